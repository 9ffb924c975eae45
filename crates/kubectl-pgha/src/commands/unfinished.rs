//! `kubectl pgha resume` and `kubectl pgha abort`: a move that was left unfinished goes on, or is taken back.
//!
//! Both take the move over, so that its tool can write nothing any more should it still run, put both sides in order, and
//! then decide from what they see.

use std::time::Duration;

use pgha_core::clock;
use pgha_core::engine::{
    DeadlineJob, Limits, Reporter, Restoration, Side, compare_ends, interrupter,
};
use pgha_core::settle::{Look, Settlement, await_until};
use pgha_model::check::{DataLoss, PromotionFacts};
use pgha_model::effect::Effect;
use pgha_model::event::{Event, Standing};
use pgha_model::guard::Guard;
use pgha_model::plan::{Plan, Refusal, plan_switchover};
use pgha_model::promotion::{PromotionPlan, plan_promotion};
use pgha_model::record::{Action, Epoch};
use pgha_model::site::{Part, Place};
use pgha_model::unfinished::{Unfinished, Whereabouts, find_unfinished};

use super::application::Toward;
use super::between::{Asked, Between};
use super::following::Followers;
use super::report::Report;
use super::{desired, moving, one_side, promote, switchover};
use crate::args::{ResumeArgs, TakeOverArgs};
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::service::Telling;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::unfinished::UnfinishedView;

/// Pause between two looks at sides that come to rest.
const LOOK: Duration = Duration::from_secs(1);

/// How long one comparison of both sides' ends may take, of several until the limit.
const COMPARISON: Duration = Duration::from_secs(15);

/// Runs `resume`.
pub(crate) fn resume(args: &ResumeArgs, environment: &Environment) -> Exit {
    super::change(&args.over.common, environment, async |session, ui| {
        let deadline = args.deadline.job();
        let report = Report::asked(&args.report)?;
        let over = (&args.over, Action::Resume);
        let ended = Box::pin(run(over, deadline, &report, session, ui)).await;
        report.conclude(ended, ui).await
    })
}

/// Runs `abort`.
pub(crate) fn abort(args: &TakeOverArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(
            (args, Action::Abort),
            None,
            &Report::none(),
            session,
            ui,
        ))
        .await
    })
}

async fn run(
    (args, action): (&TakeOverArgs, Action),
    deadline: Option<DeadlineJob>,
    report: &Report,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let between = unless_interrupted(Box::pin(Between::read_moving(
        &args.between,
        Telling::AsBegun,
        session,
        ui,
    )))
    .await?;
    let (source, target) = unless_interrupted(between.open(session)).await?;
    report.of([&source, &target]);
    let Some(unfinished) = find(&source, &target)? else {
        let asked = left_behind(action, &between, (&source, &target));
        let users = followers(asked, args, &between, session).await?;
        return nothing_unfinished(args, &source, users, ui).await;
    };
    refuse_rejoin(&unfinished, &source, &target)?;
    refuse_other_sides(&unfinished, &source, &target)?;
    refuse_alive(&unfinished, args.take_over)?;
    unless_interrupted(switchover::refuse_unplaceable(deadline.as_ref(), &source)).await?;
    let limits = moving::limits(args.timeout);
    let places = (
        source.facts.survey.place.clone(),
        target.facts.survey.place.clone(),
    );
    let asked = (!is_demotion(action, &unfinished)).then(|| Asked {
        toward: toward(action),
        ..Asked::to_target([&source, &target])
    });
    let record = unfinished.record.clone();
    let mut restoration =
        Restoration::new((source, target), action, unfinished.epoch, record, limits)
            .wanting_nobody(is_demotion(action, &unfinished));
    let before = unless_interrupted(async { Ok(restoration.whereabouts().await) }).await?;
    let before = before.map_err(|error| {
        Failure::refused("it could not be seen where the primary is")
            .because(vec![pgha_core::diagnose::chain_of(&error)])
    })?;
    refuse_too_late(action, before, &between, &places)?;
    let users = followers(asked, args, &between, session).await?;
    tell_forgotten(&unfinished, &between, ui);
    if let Some(users) = &users {
        users.warn(ui);
    }
    let plans = users.as_ref().map(Followers::view).unwrap_or_default();
    let view = UnfinishedView::new(&unfinished, action, before, &places, plans);
    if !args.yes {
        let question = format!(
            "{} it now?",
            if action == Action::Abort {
                "Take back"
            } else {
                "Go on with"
            }
        );
        unless_interrupted(consent::ask_unplanned(&view.summary(), &question, ui)).await?;
    }
    drop(view);
    if let Some(users) = &users {
        restoration = restoration.with_aside(users.aside());
    }
    let (place, epoch) = take_over(restoration, &between, &places, action, ui).await?;
    let service = Service {
        args,
        between: &between,
        users: users.as_ref(),
        session,
        limits,
        epoch,
        deadline,
        ui,
    };
    let going_on = service.go_on(action, unfinished.began_as, place, &places);
    let ended = Box::pin(going_on).await;
    match between.committing() {
        Some(service) => Box::pin(desired::settle(service, limits, ended, session, ui)).await,
        None => ended,
    }
}

/// Where application and users belong once the command has done its work.
const fn toward(action: Action) -> Toward {
    match action {
        Action::Abort => Toward::Source,
        Action::Switchover
        | Action::Demote
        | Action::Promote
        | Action::Failover
        | Action::Rejoin
        | Action::Release
        | Action::Resume => Toward::Target,
    }
}

/// Who may be left behind by a move that is finished: of one that was taken back, the application that it had stopped.
fn left_behind(
    action: Action,
    between: &Between,
    (source, target): (&Side, &Side),
) -> Option<Asked> {
    let asked = Asked::to_target([source, target]);
    match (promote::is_primary(source), promote::is_primary(target)) {
        (false, true) => (action == Action::Resume).then_some(asked),
        (true, false) if between.has_application() && !asked.before.is_empty() => Some(Asked {
            toward: Toward::Source,
            ..asked
        }),
        (_, _) => None,
    }
}

/// Without the service's file an application that the move has stopped stays so.
fn tell_forgotten(unfinished: &Unfinished, between: &Between, ui: &Ui) {
    let record = unfinished.record.as_ref();
    let stopped = record.map_or(&[][..], |record| &record.application);
    if stopped.is_empty() || between.has_application() {
        return;
    }
    let names: Vec<_> = stopped.iter().map(|count| count.at.to_string()).collect();
    ui.note(&format!(
        "The move may have stopped {} at the source: without -f FILE of the service that stays so.",
        names.join(", ")
    ));
}

/// Application and users of the file, looked at only where they are to follow.
async fn followers<'a>(
    asked: Option<Asked>,
    args: &TakeOverArgs,
    between: &'a Between,
    session: &Session<'_>,
) -> Result<Option<Followers<'a>>, Failure> {
    match asked {
        Some(asked) => unless_interrupted(between.followers(asked, args.timeout.0, session)).await,
        None => Ok(None),
    }
}

/// The database needs nothing; where it has moved before, its users may.
async fn nothing_unfinished(
    args: &TakeOverArgs,
    source: &Side,
    users: Option<Followers<'_>>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let view = UnfinishedView::none(&source.facts.survey.place);
    match users {
        None => {
            ui.show(&view)?;
            Ok(Exit::Done)
        }
        Some(users) => {
            moving::show_last(&view, ui)?;
            users.catch_up(args.yes, ui).await
        }
    }
}

/// Whoever goes on with a demotion wants two standbys.
fn is_demotion(action: Action, unfinished: &Unfinished) -> bool {
    action == Action::Resume && unfinished.began_as == Some(Action::Demote)
}

fn find(source: &Side, target: &Side) -> Result<Option<Unfinished>, Failure> {
    let mut journals = Vec::new();
    for side in [source, target] {
        match &side.journal {
            Ok(journal) => journals.push(journal),
            Err(because) => {
                let text = format!("the records at the {} cannot be read", side.part);
                return Err(Failure::refused(text).because(vec![because.clone()]));
            }
        }
    }
    Ok(find_unfinished(&journals))
}

/// A rejoin knows by itself how far it came, and what only the returning side holds is not kept by any other command.
fn refuse_rejoin(unfinished: &Unfinished, source: &Side, target: &Side) -> Result<(), Failure> {
    let record = unfinished.record.as_ref();
    let (from, to) = (&source.facts.survey.place, &target.facts.survey.place);
    let command = match record.map(|record| record.action) {
        Some(Action::Rejoin) => from.command_toward("rejoin", to),
        Some(Action::Release) => from.command("release") + " --context " + &to.context,
        _ => return Ok(()),
    };
    let hint = format!("Run `{command}` to go on with it.");
    Err(Failure::refused(format!("{} is not finished", unfinished.name())).hinting(hint))
}

/// The contexts must lead to the very sites of the record, whatever they are called.
fn refuse_other_sides(
    unfinished: &Unfinished,
    source: &Side,
    target: &Side,
) -> Result<(), Failure> {
    let Some(record) = &unfinished.record else {
        return Ok(());
    };
    for side in [source, target] {
        let recorded = record.side(side.part);
        let uid = &side.facts.survey.object.uid;
        let is_recorded = recorded.is_none_or(|recorded| recorded.identity.object_uid == *uid);
        if !Guard::RecordedSites.holds(is_recorded) {
            let text = format!(
                "{} does not go from {} to {}",
                unfinished.name(),
                source.facts.survey.place.context,
                target.facts.survey.place.context
            );
            let hint =
                "Give --from and --to as that move had them: `kubectl pgha history` shows it.";
            return Err(Failure::refused(text).hinting(hint));
        }
    }
    Ok(())
}

/// Whoever takes over a living tool stops it; that is wanted only when it is said.
pub(super) fn refuse_alive(unfinished: &Unfinished, take_over: bool) -> Result<(), Failure> {
    let is_over = !unfinished.may_be_alive(clock::now());
    if Guard::LivingTool.holds(take_over || is_over) {
        return Ok(());
    }
    let text = format!("{} may still be at work", unfinished.name());
    let until = unfinished.record.as_ref().map(|record| record.deadline);
    let because = until.map(|until| format!("it has until {until} to write its next step"));
    let hint = "Wait for it, or give --take-over if you know that it is dead: it can then write nothing any more.";
    Err(Failure::refused(text)
        .because(because.into_iter().collect())
        .hinting(hint))
}

fn refuse_too_late(
    action: Action,
    place: Whereabouts,
    between: &Between,
    (source, target): &(Place, Place),
) -> Result<(), Failure> {
    match (action, place) {
        (Action::Abort, Whereabouts::Target) => Err(Failure::refused(format!(
            "{target} is primary already, or was told to become it: a promotion is not taken back"
        ))
        .hinting(format!(
            "Run `{}` to see the move to its end, then `{}` to move back.",
            between.command("resume", source, target),
            between.command("switchover", target, source)
        ))),
        (_, Whereabouts::Both) if Guard::NotBothPrimary.stands() => Err(Failure::refused(
            "both sides are or will be primary",
        )
        .hinting(format!(
            "Stop writes to one side at once; `{}` shows both.",
            source.status_command(Some(target))
        ))),
        (_, _) => Ok(()),
    }
}

async fn take_over(
    restoration: Restoration,
    between: &Between,
    (source, target): &(Place, Place),
    action: Action,
    ui: &Ui,
) -> Result<(Whereabouts, Epoch), Failure> {
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| moving::tell("RestorationEvent", event, ui);
    let report: &mut Reporter<'_> = &mut report;
    let running = restoration.run(interrupt, report);
    let ended = Box::pin(moving::interruptible(running, &interrupter, ui)).await;
    ended.map_err(|error| {
        let status = source.status_command(Some(target));
        let next = if error.standing == Standing::Superseded {
            moving::taken_over(source, &status)
        } else {
            let again = between.command(action.name(), source, target);
            format!("Look with `{status}`, then run `{again}` again.")
        };
        moving::failure(&error, next)
    })
}

/// Both sides, looked at anew.
struct Service<'a> {
    args: &'a TakeOverArgs,
    between: &'a Between,
    /// Who follows once the target is primary.
    users: Option<&'a Followers<'a>>,
    session: &'a Session<'a>,
    limits: Limits,
    /// In which both sides were put in order.
    epoch: Epoch,
    /// What is left at the source of a move that is carried out again.
    deadline: Option<DeadlineJob>,
    ui: &'a Ui,
}

impl Service<'_> {
    async fn go_on(
        &self,
        action: Action,
        began_as: Option<Action>,
        place: Whereabouts,
        (source, target): &(Place, Place),
    ) -> Result<Exit, Failure> {
        let said = |text: String| {
            self.ui.show(&UnfinishedView::said(text))?;
            Ok(Exit::Done)
        };
        match (action, place) {
            (Action::Abort, Whereabouts::Source) => {
                let text = format!("{source} is primary as before, and nothing is held.");
                self.followed_by_users(said(text)?).await
            }
            (Action::Abort, Whereabouts::Nowhere) => {
                Box::pin(self.promote((&self.between.from, &self.between.to))).await
            }
            (Action::Abort, Whereabouts::Target) => Err(Failure::stopped(
                Exit::Stopped,
                format!("{target} was promoted before its move was taken over"),
                Effect::Applied,
            )
            .hinting(format!(
                "It is primary, and {source} follows. To move back, run `{}`.",
                self.between.command("switchover", target, source)
            ))),
            (_, Whereabouts::Target) => {
                let text = format!("{target} is primary, {source} follows, and nothing is held.");
                self.followed_by_users(said(text)?).await
            }
            (_, Whereabouts::Source) if began_as == Some(Action::Switchover) => {
                Box::pin(self.move_again()).await
            }
            (_, Whereabouts::Source) => said(format!(
                "{source} is primary as before; the step may be run again."
            )),
            (_, Whereabouts::Nowhere) if began_as == Some(Action::Demote) => {
                said(format!("{source} is a standby, as it was to become."))
            }
            (_, Whereabouts::Nowhere) => {
                Box::pin(self.promote((&self.between.to, &self.between.from))).await
            }
            (_, Whereabouts::Both) => Err(Failure::unexpected("both sides are primary")),
        }
    }

    async fn followed_by_users(&self, done: Exit) -> Result<Exit, Failure> {
        match self.users {
            Some(users) => Ok(users.follow_now(self.ui).await.conclude(done, self.ui)),
            None => Ok(done),
        }
    }

    async fn move_again(&self) -> Result<Exit, Failure> {
        let planned = await_plan(self.limits, async || {
            let (source, target) = self.between.open(self.session).await?;
            let consent = self.between.owners(self.args.owners).consent();
            let plan = plan_switchover(&source.facts, &target.facts, consent, clock::now());
            Ok(plan.map(|plan: Plan| (plan, source, target)))
        });
        match unless_interrupted(planned).await? {
            Ok((plan, source, target)) => {
                let held = self.between.holding(self.args.owners, source, target);
                let sides = Box::pin(held).await?;
                let deadline = self.deadline.clone();
                let with = (self.between, self.users);
                switchover::carry_out(plan, sides, deadline, self.limits, with, None, self.ui).await
            }
            Err(refusal) => {
                if let Some(users) = self.users {
                    users.go_back(self.ui).await.conclude(Exit::Held, self.ui);
                }
                let text = format!(
                    "{} is in order, and cannot be moved safely now",
                    self.between.cluster
                );
                let sides = ("source", "target");
                one_side::refuse("SwitchoverRefusal", &refusal, sides, text, self.ui)
            }
        }
    }

    /// Promotes the first of two standbys when it is proved to hold everything that the second has.
    async fn promote(&self, (here, peer): (&str, &str)) -> Result<Exit, Failure> {
        let planned = await_plan(self.limits, async || {
            let (here, peer) = tokio::try_join!(
                self.between.site(here, self.session),
                self.between.site(peer, self.session)
            )?;
            let cluster = &self.between.cluster;
            let mut here = one_side::survey(&here, cluster, Part::Target).await?;
            let mut peer = one_side::survey(&peer, cluster, Part::Source).await?;
            let at = clock::now();
            let limit = self.limits.proof.min(COMPARISON);
            let proof = Box::pin(compare_ends(&mut peer, &mut here, limit)).await;
            let facts = PromotionFacts {
                target: &here.facts,
                source: Ok(&peer.facts),
                proof: Some(proof.as_ref()),
            };
            let consent = self.between.owners(self.args.owners).consent();
            let plan = plan_promotion(&facts, consent, DataLoss::Refused, at);
            Ok(plan.map(|plan: PromotionPlan| (plan, here, peer)))
        });
        match unless_interrupted(planned).await? {
            Ok((plan, here, peer)) => {
                let held = self.between.holding(self.args.owners, here, peer);
                let (here, peer) = Box::pin(held).await?;
                let over = Some(self.epoch);
                let (limits, users) = (self.limits, self.users);
                promote::carry_out(plan, here, Some(peer), limits, over, users, self.ui).await
            }
            Err(refusal) => {
                let text = format!(
                    "{} at {here} cannot be promoted safely now",
                    self.between.cluster
                );
                let sides = ("the other side", "this side");
                one_side::refuse("PromotionRefusal", &refusal, sides, text, self.ui)
            }
        }
    }
}

/// Plans once both sides have come to rest: members that have just been restarted refuse a plan for a while.
async fn await_plan<P>(
    limits: Limits,
    mut plan: impl AsyncFnMut() -> Result<Result<P, Refusal>, Failure>,
) -> Result<Result<P, Refusal>, Failure> {
    let deadline = clock::monotonic() + limits.step;
    let settlement = await_until(deadline, LOOK, async || {
        Ok::<_, Failure>(match plan().await? {
            Ok(plan) => Look::Settled(plan),
            Err(refusal) => Look::NotYet(refusal),
        })
    });
    Ok(match settlement.await? {
        Settlement::Settled(plan) => Ok(plan),
        Settlement::TimedOut { last_seen } => Err(last_seen.unwrap_or(Refusal(Vec::new()))),
    })
}
