//! `kubectl pgha demote`.

use pgha_core::clock;
use pgha_core::engine::{DemotionRun, Reporter, demotion_patches, interrupter};
use pgha_model::demotion::plan_demotion;
use pgha_model::event::{Event, Standing};
use pgha_model::member::Role;
use pgha_model::site::{Part, Place};

use super::{moving, one_side};
use crate::args::DemoteArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::demote::{DemotionPlanView, DemotionView};

/// Runs the command.
pub(crate) fn main(args: &DemoteArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

async fn run(args: &DemoteArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let look = async {
        let site = one_side::open_here(&args.step, session, ui).await?;
        let here = one_side::survey(&site, &args.cluster, Part::Source).await?;
        if is_standby(&here) {
            return Ok((here, Err("it was not looked for".to_owned())));
        }
        let named = args.step.peer.as_deref();
        let peer = one_side::find_peer(named, &here, Part::Target, session, ui).await?;
        Ok((here, peer))
    };
    let (side, peer) = unless_interrupted(Box::pin(look)).await?;
    let place = side.facts.survey.place.clone();
    if is_standby(&side) {
        ui.show(&DemotionView::already(&place))?;
        return Ok(Exit::Done);
    }
    let sides: Vec<_> = std::iter::once(&side).chain(peer.iter()).collect();
    moving::refuse_unfinished(&sides)?;
    let section = side.standby_section_with(peer.as_ref().ok());
    let consent = args.step.owners.consent();
    let seen = peer.as_ref().map(|peer| &peer.facts);
    let seen = seen.map_err(String::as_str);
    let plan = match plan_demotion(&side.facts, seen, &section, consent, clock::now()) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{place} cannot be demoted safely now");
            let sides = ("this side", "the other side");
            return one_side::refuse("DemotionRefusal", &refusal, sides, text, ui);
        }
    };
    let side = unless_interrupted(Box::pin(moving::holding(args.step.owners, side))).await?;
    let patches = demotion_patches(&side, &section);
    let view = DemotionPlanView::new(&plan, &patches);
    if args.step.dry_run {
        ui.show(&view)?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        let question = format!("Stop writes to {} now?", place.cluster);
        unless_interrupted(consent::ask(&view.summary(), &question, ui)).await?;
    }
    let limits = moving::limits(args.step.timeout);
    let peer_place = plan.peer.clone();
    let running = DemotionRun::new(plan, side, peer.as_ref().ok(), limits);
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| moving::tell("DemotionEvent", event, ui);
    let report: &mut Reporter<'_> = &mut report;
    let running = running.run(interrupt, report);
    match Box::pin(moving::interruptible(running, &interrupter, ui)).await {
        Ok(outcome) => {
            moving::show_last(&DemotionView::of(&outcome), ui)?;
            Ok(Exit::Done)
        }
        Err(error) => {
            let next = next(error.standing, &place, peer_place.as_ref());
            Err(moving::failure(&error, next))
        }
    }
}

/// A standby that is to be one: nothing is left to do.
fn is_standby(side: &pgha_core::engine::Side) -> bool {
    side.facts.survey.object.standby && one_side::leader_is(side, &Role::StandbyLeader)
}

/// Where things stand, and the one next command.
fn next(standing: Standing, place: &Place, peer: Option<&Place>) -> String {
    let here = &place.context;
    let status = place.status_command(peer);
    let abort = one_side::abort_command(Some(place), peer);
    match standing {
        Standing::Unchanged => one_side::again(),
        Standing::Held => format!("A hold may be left. Run `{abort}` to put it back."),
        Standing::BackAtSource => format!(
            "{here} is primary again, on a new timeline. Run `{status}`, then the same command again."
        ),
        Standing::Superseded => moving::taken_over(place, &status),
        Standing::Fenced | Standing::PromotionUnknown | Standing::Promoted | Standing::Released => {
            format!(
                "{here} is fenced and nobody is primary. Run `{abort}` to go back: it refuses if the other side is primary or \
                 holds more."
            )
        }
    }
}
