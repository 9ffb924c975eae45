//! `kubectl pgha promote`.

use jiff::Timestamp;
use pgha_core::clock;
use pgha_core::engine::{Limits, PromotionRun, Reporter, Side, compare_ends, promotion_patches};
use pgha_model::check::{DataLoss, PromotionFacts};
use pgha_model::event::Standing;
use pgha_model::member::Role;
use pgha_model::promotion::{PromotionPlan, plan_promotion};
use pgha_model::record::Epoch;
use pgha_model::site::{Part, Place};
use pgha_model::standstill::{Doubt, Standstill};

use super::following::Followers;
use super::moving;
use super::one_side::{self, Peer};
use crate::args::{OwnersArgs, PromoteArgs};
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::application::UsersView;
use crate::view::promote::{PromotionPlanView, PromotionView};

/// Runs the command.
pub(crate) fn main(args: &PromoteArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

/// What was seen before anything is decided.
struct Seen {
    here: Side,
    peer: Peer,
    proof: Option<Result<Standstill, Doubt>>,
    /// When both sides had been read: the comparison of their ends may take longer than what was read is good for, and
    /// each step asks again for what it rests on.
    at: Timestamp,
}

impl Seen {
    async fn holding(self, owners: OwnersArgs) -> Result<Self, Failure> {
        let here = moving::holding(owners, self.here).await?;
        let peer = match self.peer {
            Ok(peer) => Ok(moving::holding(owners, peer).await?),
            Err(because) => Err(because),
        };
        Ok(Self { here, peer, ..self })
    }
}

async fn run(args: &PromoteArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let accepted = args.yes_i_accept_data_loss_of.as_ref();
    if accepted.is_some_and(|name| *name != args.cluster) {
        let text = format!("--yes-i-accept-data-loss-of does not name {}", args.cluster);
        return Err(Failure::usage(text));
    }
    let seen = unless_interrupted(Box::pin(look(args, session, ui))).await?;
    let place = seen.here.facts.survey.place.clone();
    if is_primary(&seen.here) {
        ui.show(&PromotionView::already(&place))?;
        return Ok(Exit::Done);
    }
    if !args.force {
        let sides: Vec<_> = std::iter::once(&seen.here)
            .chain(seen.peer.iter())
            .collect();
        moving::refuse_unfinished(&sides)?;
    }
    let facts = PromotionFacts {
        target: &seen.here.facts,
        source: match &seen.peer {
            Ok(peer) => Ok(&peer.facts),
            Err(because) => Err(because),
        },
        proof: seen.proof.as_ref().map(Result::as_ref),
    };
    let consent = args.step.owners.consent();
    let loss = if args.force {
        DataLoss::Accepted
    } else {
        DataLoss::Refused
    };
    let plan = match plan_promotion(&facts, consent, loss, seen.at) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{place} cannot be promoted safely now");
            let sides = ("the other side", "this side");
            return one_side::refuse("PromotionRefusal", &refusal, sides, text, ui);
        }
    };
    let seen = unless_interrupted(Box::pin(seen.holding(args.step.owners))).await?;
    let patches = promotion_patches(&plan, &seen.here, seen.peer.as_ref().ok());
    let view = PromotionPlanView::new(&plan, &patches, UsersView::default());
    if args.step.dry_run {
        ui.show(&view)?;
        return Ok(Exit::Done);
    }
    unless_interrupted(ask(args, &view, ui)).await?;
    let limits = moving::limits(args.step.timeout);
    // By force also past a move that nobody can finish: its other site may be gone.
    let over = moving::unfinished_of([&seen.here]).filter(|_| args.force);
    let over = over.map(|unfinished| unfinished.epoch);
    carry_out(plan, seen.here, seen.peer.ok(), limits, over, None, ui).await
}

/// Carries a plan out, from its first event to its exit code.
pub(super) async fn carry_out(
    plan: PromotionPlan,
    here: Side,
    peer: Option<Side>,
    limits: Limits,
    takes_over: Option<Epoch>,
    users: Option<&Followers<'_>>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let (place, peer_place) = (plan.target.clone(), plan.source.clone());
    let running = PromotionRun::new(plan, here, peer, limits).taking_over(takes_over);
    let next = |standing| next(standing, &place, peer_place.as_ref(), users);
    Box::pin(see_through(running, &place, next, users, ui)).await
}

/// Sees a promotion of the target to its end; `next` says where things stand when it fails, and the one next command.
pub(super) async fn see_through(
    running: PromotionRun,
    target: &Place,
    next: impl FnOnce(Standing) -> String,
    users: Option<&Followers<'_>>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let aside = users.map(Followers::aside).cloned().unwrap_or_default();
    let running = running.with_aside(&aside);
    let work = async |interrupt, report: &mut Reporter<'_>| running.run(interrupt, report).await;
    let (ended, followed) = moving::see_through("PromotionEvent", users, ui, work).await;
    match ended {
        Ok(outcome) => {
            moving::show_last(&PromotionView::of(&outcome), ui)?;
            if let Some(failover) = &outcome.failover {
                let rejoin = match users {
                    Some(users) => users.by_file("rejoin"),
                    None => failover.source.command_toward("rejoin", &outcome.target),
                };
                let source = &failover.source.context;
                ui.note(&format!("When {source} is back, run `{rejoin}`."));
            }
            let served = moving::complain_of_logins(&outcome.logins, &outcome.target, ui);
            Ok(followed.conclude(served, ui))
        }
        Err(error) => {
            let next = next(error.standing);
            Err(moving::failure_beside(
                &error,
                next,
                target,
                (users, followed),
                ui,
            ))
        }
    }
}

async fn look(args: &PromoteArgs, session: &Session<'_>, ui: &Ui) -> Result<Seen, Failure> {
    let site = one_side::open_here(&args.step, session, ui).await?;
    let mut here = one_side::survey(&site, &args.cluster, Part::Target).await?;
    if is_primary(&here) {
        let peer = Err("it was not looked for".to_owned());
        return Ok(Seen {
            here,
            peer,
            proof: None,
            at: clock::now(),
        });
    }
    let limit = moving::limits(args.step.timeout).proof;
    let named = args.step.peer.as_deref();
    let mut peer = one_side::find_peer(named, &here, Part::Source, session, ui).await?;
    let at = clock::now();
    let proof = match &mut peer {
        // Beside a primary nothing is compared.
        Ok(peer) if one_side::leader_is(peer, &Role::Primary) => None,
        Ok(peer) => Some(Box::pin(compare_ends(peer, &mut here, limit)).await),
        Err(_) => None,
    };
    Ok(Seen {
        here,
        peer,
        proof,
        at,
    })
}

/// A primary that is to be one: nothing is left to do. One that is being demoted may still answer as a primary.
pub(super) fn is_primary(side: &Side) -> bool {
    !side.facts.survey.object.standby && one_side::leader_is(side, &Role::Primary)
}

/// A promotion that may lose data is consented to by the cluster's name.
async fn ask(args: &PromoteArgs, view: &PromotionPlanView<'_>, ui: &Ui) -> Result<(), Failure> {
    let cluster = &args.cluster;
    if args.yes || args.yes_i_accept_data_loss_of.is_some() {
        return Ok(());
    }
    if !args.force {
        return consent::ask(&view.summary(), &format!("Promote {cluster} now?"), ui).await;
    }
    let question = "Promote it all the same? Type the cluster's name: ";
    let hint = "Look at the plan with --dry-run, then give --yes-i-accept-data-loss-of with the cluster's name.";
    consent::ask_for(&view.summary(), question, cluster, hint, ui).await
}

/// Where things stand, and the one next command.
fn next(
    standing: Standing,
    place: &Place,
    peer: Option<&Place>,
    users: Option<&Followers<'_>>,
) -> String {
    let here = &place.context;
    let status = place.status_command(peer);
    let abort = users.map_or_else(
        || one_side::abort_command(peer, Some(place)),
        |users| users.by_file("abort"),
    );
    let resume = abort.replace("pgha abort", "pgha resume");
    match standing {
        Standing::Unchanged => one_side::again(),
        Standing::Held => format!("Holds may be left. Run `{abort}` to put them back."),
        Standing::Superseded => moving::taken_over(place, &status),
        Standing::Released => format!(
            "{here} is primary and both operators work. Run `{status}` to see whether the others follow."
        ),
        Standing::Promoted => format!(
            "{here} is primary, and holds may be left on either side. Run `{resume}` to go on."
        ),
        Standing::PromotionUnknown | Standing::BackAtSource | Standing::Fenced => format!(
            "{here} was told to become primary; never promote the other side while {here} may be. Run `{resume}`: it sees \
             what has become of it."
        ),
    }
}
