//! `kubectl pgha startup`.

use pgha_core::engine::{Side, StartupRun, Told, is_up, startup_patches};
use pgha_model::check::{Consent, StartFacts};
use pgha_model::site::Part;
use pgha_model::startup::plan_startup;

use super::one_side::{self, Peer};
use super::{moving, upkeep};
use crate::args::StartupArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::startup::{StartupPlanView, StartupView};

/// Runs the command.
pub(crate) fn main(args: &StartupArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

/// What was seen before anything is decided.
struct Seen {
    side: Side,
    peer: Peer,
    /// It was started before, and runs.
    is_up: bool,
}

async fn run(args: &StartupArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let Seen { side, peer, is_up } = unless_interrupted(Box::pin(look(args, session, ui))).await?;
    let place = side.facts.survey.place.clone();
    let object = &side.facts.survey.object;
    if args.as_standby && !object.shutdown && !object.standby {
        let text = format!("{place} is not shut down, and its object asks for a primary");
        let demote = place.command("demote");
        let hint = format!("To make a standby of a side that runs: `{demote}`.");
        return Err(Failure::refused(text).hinting(hint));
    }
    if is_up {
        ui.show(&StartupView::already(&place))?;
        return Ok(Exit::Done);
    }
    let sides: Vec<_> = std::iter::once(&side).chain(peer.iter()).collect();
    moving::refuse_unfinished(&sides)?;
    let consent = Consent {
        managed: args.allow_managed,
        ..Consent::default()
    };
    let section = side.standby_section_with(peer.as_ref().ok());
    let facts = StartFacts {
        side: &side.facts,
        record: upkeep::record_of(&side),
        peer: one_side::sight(&peer, args.pair.alone),
        section: &section,
    };
    let plan = match plan_startup(&facts, args.as_standby, consent) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{place} cannot be started safely now");
            let sides = ("this side", "the other side");
            return one_side::refuse("StartupRefusal", &refusal, sides, text, ui);
        }
    };
    let patches = startup_patches(&plan, &side);
    let view = StartupPlanView::new(&plan, &patches);
    // What was asked for before is only waited for.
    let question = (!plan.asked).then(|| format!("Start {} now?", place.cluster));
    if !upkeep::goes_ahead(&view, view.summary(), question, &args.upkeep, ui).await? {
        return Ok(Exit::Done);
    }
    let limit = upkeep::limit(&args.upkeep);
    let running = StartupRun::new(plan, side, peer.as_ref().ok(), limit);
    let look = place.command("leader");
    let next = format!(
        "See with `{look}` what has become of it, then run the same command again: it waits for the rest."
    );
    let work = async |interrupt, tell: &mut Told<'_>| running.run(interrupt, tell).await;
    let show = |outcome: &_| ui.show(&StartupView::of(outcome));
    Box::pin(upkeep::see_through(work, show, next, ui)).await
}

async fn look(args: &StartupArgs, session: &Session<'_>, ui: &Ui) -> Result<Seen, Failure> {
    let asked = (args.cluster.as_str(), &args.upkeep, &args.pair);
    let (site, cluster, peer) = upkeep::here(asked, session, ui).await?;
    let here = one_side::survey(&site, &cluster, Part::Source).await?;
    let is_up = !here.facts.survey.object.shutdown && is_up(&here).await;
    let peer = if is_up {
        Err("it was not looked for".to_owned())
    } else {
        one_side::find_peer(peer.as_deref(), &here, Part::Target, session, ui).await?
    };
    Ok(Seen {
        side: here,
        peer,
        is_up,
    })
}
