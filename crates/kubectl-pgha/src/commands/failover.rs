//! `kubectl pgha failover`.

use std::time::Duration;

use jiff::Timestamp;
use pgha_core::clock;
use pgha_core::diagnose::chain_of;
use pgha_core::engine::{
    Limits, PromotionRun, Reporter, Side, compare_ends, interrupter, look_at_source,
    look_at_supply, promotion_patches, put_in_order_alone,
};
use pgha_model::check::{DataLoss, FailoverConsent, FailoverFacts, PromotionFacts};
use pgha_model::deadline::job_of;
use pgha_model::event::{Event, Standing};
use pgha_model::failover::{Risk, SourceSight, Supply};
use pgha_model::member::Role;
use pgha_model::plan::Refusal;
use pgha_model::promotion::{PromotionPlan, plan_failover, plan_promotion, risk_of_failover};
use pgha_model::record::Epoch;
use pgha_model::site::{Part, Place};
use pgha_model::standstill::{Doubt, Standstill};
use pgha_model::unfinished::{Course, Unfinished};

use super::between::{Asked, Between};
use super::following::Followers;
use super::report::Report;
use super::unfinished::refuse_alive;
use super::{moving, one_side, promote};
use crate::args::FailoverArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::promote::{PromotionPlanView, PromotionView};

/// How long the comparison of both sides' ends may take, where the source answers.
const COMPARISON: Duration = Duration::from_secs(15);

/// Runs the command.
pub(crate) fn main(args: &FailoverArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        let report = Report::asked(&args.report)?;
        let ended = Box::pin(run(args, &report, session, ui)).await;
        report.conclude(ended, ui).await
    })
}

/// What was seen before anything is decided.
struct Seen {
    target: Side,
    source: one_side::Peer,
    sight: SourceSight,
    proof: Option<Result<Standstill, Doubt>>,
    supply: Supply,
    risk: Risk,
    at: Timestamp,
}

async fn run(
    args: &FailoverArgs,
    report: &Report,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let between = unless_interrupted(Between::read(&args.between, true, session, ui)).await?;
    let mut seen = unless_interrupted(Box::pin(look(args, &between, session))).await?;
    report.of(std::iter::once(&seen.target).chain(seen.source.iter()));
    let mut over = None;
    let sides = std::iter::once(&seen.target).chain(seen.source.iter());
    if let Some(unfinished) = moving::unfinished_of(sides) {
        over = Some(unfinished.epoch);
        refuse_alive(&unfinished, args.take_over)?;
        if !args.dry_run {
            let order = Box::pin(put_in_order(args, &between, unfinished, seen, ui));
            let (course, epoch) = order.await?;
            over = (course == Course::Standby).then_some(epoch);
            seen = unless_interrupted(Box::pin(look(args, &between, session))).await?;
        }
    }
    let asked = Asked {
        may_be_gone: true,
        ..Asked::to_target(std::iter::once(&seen.target).chain(seen.source.iter()))
    };
    let followers = between.followers(asked, args.timeout.0, session);
    let place = seen.target.facts.survey.place.clone();
    if promote::is_primary(&seen.target) {
        return already(args, &place, unless_interrupted(followers).await?, ui).await;
    }
    let plan = match plan(args, &seen) {
        Ok(plan) => plan,
        Err(refusal) => {
            for sentence in seen.sight.sentences(seen.at) {
                ui.note(&sentence);
            }
            let text = format!(
                "{place} cannot be promoted in place of {} now",
                between.from
            );
            let sides = ("the source", "the target");
            return one_side::refuse("FailoverRefusal", &refusal, sides, text, ui);
        }
    };
    let users = unless_interrupted(followers).await?;
    let users = users.as_ref();
    let held = Box::pin(moving::holding(args.owners, seen.target));
    seen.target = unless_interrupted(held).await?;
    if let Ok(source) = seen.source {
        let held = Box::pin(moving::holding(args.owners, source));
        seen.source = Ok(unless_interrupted(held).await?);
    }
    let patches = promotion_patches(&plan, &seen.target, seen.source.as_ref().ok());
    let view = PromotionPlanView::new(
        &plan,
        &patches,
        users.map(Followers::view).unwrap_or_default(),
    );
    for sentence in seen.sight.sentences(seen.at) {
        ui.note(&sentence);
    }
    if let Some(users) = users {
        users.warn(ui);
    }
    if args.dry_run {
        ui.show(&view)?;
        return Ok(Exit::Done);
    }
    unless_interrupted(ask(args, &view, &between.cluster, ui)).await?;
    drop(view);
    let limits = moving::limits(args.timeout);
    if plan.failover.is_none() {
        let (target, source) = (seen.target, seen.source.ok());
        return promote::carry_out(plan, target, source, limits, over, users, ui).await;
    }
    carry_out(plan, seen, limits, over, (&between, users), ui).await
}

/// The database needs nothing; its users may.
async fn already(
    args: &FailoverArgs,
    place: &Place,
    users: Option<Followers<'_>>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let view = PromotionView::already(place);
    let Some(users) = users else {
        ui.show(&view)?;
        return Ok(Exit::Done);
    };
    moving::show_last(&view, ui)?;
    if args.dry_run {
        return Ok(Exit::Done);
    }
    users.catch_up(args.yes, ui).await
}

/// Opens the target, and the source as far as it answers.
async fn look(
    args: &FailoverArgs,
    between: &Between,
    session: &Session<'_>,
) -> Result<Seen, Failure> {
    let target = between.site(&between.to, session).await?;
    let mut target = one_side::survey(&target, &between.cluster, Part::Target).await?;
    let target_place = target.facts.survey.place.clone();
    let mut source = open_source(between, session, &target_place.namespace).await?;
    let place = match &source {
        Ok(side) => side.facts.survey.place.clone(),
        Err(_) => Place {
            context: between.from.clone(),
            ..target_place
        },
    };
    let supply = look_at_supply(&mut target, None).await;
    let at = clock::now();
    let proof = match &mut source {
        Ok(side) if one_side::leader_is(side, &Role::StandbyLeader) => {
            let limit = moving::limits(args.timeout).proof.min(COMPARISON);
            Some(Box::pin(compare_ends(side, &mut target, limit)).await)
        }
        Ok(_) | Err(_) => None,
    };
    let mut sight = look_at_source(&place, source.as_ref().map_err(String::as_str)).await;
    let journal = target.journal.as_ref().ok();
    sight.deadline_job = journal.and_then(job_of).map(str::to_owned);
    let supply = look_at_supply(&mut target, Some(&supply)).await;
    let risk = risk_of_failover(&target.facts, &sight);
    Ok(Seen {
        target,
        source,
        sight,
        proof,
        supply,
        risk,
        at,
    })
}

/// A source that is gone is no error; a context that does not exist is one.
async fn open_source(
    between: &Between,
    session: &Session<'_>,
    namespace: &str,
) -> Result<one_side::Peer, Failure> {
    let is_known = session.contexts().any(|context| context == between.from);
    let site = match session.site(Some(&between.from)).await {
        Ok(site) => site.in_namespace(namespace),
        Err(failure) if is_known => return Ok(Err(failure.in_one_line())),
        Err(failure) => return Err(failure),
    };
    let opened = Box::pin(Side::open(site, &between.cluster, Part::Source)).await;
    Ok(opened.map_err(|error| chain_of(&error)))
}

/// Where everything answers and nothing is lost, it is an ordinary promotion.
fn plan(args: &FailoverArgs, seen: &Seen) -> Result<PromotionPlan, Refusal> {
    let consent = args.owners.consent();
    if let (Ok(source), Some(Ok(proof))) = (&seen.source, &seen.proof) {
        let facts = PromotionFacts {
            target: &seen.target.facts,
            source: Ok(&source.facts),
            proof: Some(Ok(proof)),
        };
        let planned = plan_promotion(&facts, consent, DataLoss::Refused, seen.at);
        if planned.is_ok() {
            return planned;
        }
    }
    let facts = FailoverFacts {
        target: &seen.target.facts,
        source: seen.source.as_ref().ok().map(|side| &side.facts),
        sight: &seen.sight,
        doubt: seen.proof.as_ref().and_then(|proof| proof.as_ref().err()),
        supply: &seen.supply,
        risk: &seen.risk,
    };
    let consent = FailoverConsent {
        step: consent,
        accepted: args.accept_loss_of,
        word: args.site_is_down.as_deref(),
    };
    plan_failover(&facts, consent, seen.at)
}

/// What may lose data is consented to by the cluster's name.
async fn ask(
    args: &FailoverArgs,
    view: &PromotionPlanView<'_>,
    cluster: &str,
    ui: &Ui,
) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let question = format!("Make {cluster} primary there now? Type the cluster's name: ");
    let hint = "Look at the plan with --dry-run, then give --yes.";
    consent::ask_for(&view.summary(), &question, cluster, hint, ui).await
}

/// The target of a move that was left unfinished is put in order by itself: its other side may be gone.
async fn put_in_order(
    args: &FailoverArgs,
    between: &Between,
    unfinished: Unfinished,
    seen: Seen,
    ui: &Ui,
) -> Result<(Course, Epoch), Failure> {
    let target = seen.target.facts.survey.place.clone();
    if !args.yes {
        let mut page = crate::ui::Page::default();
        page.line([crate::ui::Span::plain(format!(
            "{} is not finished: {}. {target} is put in order first.",
            unfinished.name(),
            unfinished.state()
        ))]);
        unless_interrupted(consent::ask_unplanned(&page, "Take it over now?", ui)).await?;
    }
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| moving::tell("RestorationEvent", event, ui);
    let report: &mut Reporter<'_> = &mut report;
    let limits = moving::limits(args.timeout);
    let of = (unfinished.epoch, unfinished.record);
    let running = put_in_order_alone(seen.target, of, limits, interrupt, report);
    let ended = Box::pin(moving::interruptible(running, &interrupter, ui)).await;
    ended.map_err(|error| moving::failure(&error, again(between, &seen.sight.place, &target)))
}

async fn carry_out(
    plan: PromotionPlan,
    seen: Seen,
    limits: Limits,
    over: Option<Epoch>,
    (between, users): (&Between, Option<&Followers<'_>>),
    ui: &Ui,
) -> Result<Exit, Failure> {
    let (source, target) = (seen.sight.place, plan.target.clone());
    let running = PromotionRun::new(plan, seen.target, seen.source.ok(), limits)
        .supplied(seen.supply)
        .taking_over(over);
    let next = |standing| next(standing, between, (&source, &target));
    Box::pin(promote::see_through(running, &target, next, users, ui)).await
}

/// The same command takes its own unfinished run over.
fn again(between: &Between, source: &Place, target: &Place) -> String {
    format!(
        "Run `{}` again.",
        between.command("failover", source, target)
    )
}

/// Where things stand, and the one next command.
fn next(standing: Standing, between: &Between, (source, target): (&Place, &Place)) -> String {
    let (from, to) = (&source.context, &target.context);
    let again = again(between, source, target);
    match standing {
        Standing::Unchanged => one_side::again(),
        Standing::Superseded => moving::taken_over(target, &source.status_command(Some(target))),
        Standing::Fenced => format!(
            "{from} was made a standby, and nobody is primary. {again} Where {from} answers again, `{}` compares both \
             sides.",
            between.command("abort", source, target)
        ),
        Standing::Held | Standing::BackAtSource => format!("Holds may be left. {again}"),
        Standing::PromotionUnknown => format!(
            "{to} was told to become primary; never let {from} take writes while {to} may be. {again} It sees what has \
             become of it."
        ),
        Standing::Promoted | Standing::Released => {
            format!("{to} is primary, and holds may be left. {again} It puts them back.")
        }
    }
}
