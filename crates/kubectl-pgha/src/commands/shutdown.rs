//! `kubectl pgha shutdown`.

use pgha_core::engine::{ShutdownRun, Side, Told, shutdown_patch};
use pgha_model::check::Consent;
use pgha_model::shutdown::plan_shutdown;
use pgha_model::site::Part;

use super::one_side::{self, Peer};
use super::{moving, upkeep};
use crate::args::ShutdownArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::shutdown::{ShutdownPlanView, ShutdownView};

/// Runs the command.
pub(crate) fn main(args: &ShutdownArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

async fn run(args: &ShutdownArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let (side, peer) = unless_interrupted(Box::pin(look(args, session, ui))).await?;
    let place = side.facts.survey.place.clone();
    let object = &side.facts.survey.object;
    if object.shutdown && side.facts.survey.members.is_empty() {
        ui.show(&ShutdownView::already(&place))?;
        return Ok(Exit::Done);
    }
    let sides: Vec<_> = std::iter::once(&side).chain(peer.iter()).collect();
    moving::refuse_unfinished(&sides)?;
    let consent = Consent {
        managed: args.allow_managed,
        ..Consent::default()
    };
    let record = upkeep::record_of(&side);
    let seen = peer.as_ref().ok().map(|peer| &peer.facts);
    let plan = match plan_shutdown(&side.facts, record, seen, consent) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{place} cannot be shut down safely now");
            let sides = ("this side", "the other side");
            return one_side::refuse("ShutdownRefusal", &refusal, sides, text, ui);
        }
    };
    let patches: Vec<_> = (!plan.asked)
        .then(|| shutdown_patch(&side))
        .into_iter()
        .collect();
    let view = ShutdownPlanView::new(&plan, &patches);
    // What was asked for before is only waited for.
    let question = (!plan.asked).then(|| format!("Stop {} now?", place.cluster));
    if !upkeep::goes_ahead(&view, view.summary(), question, &args.upkeep, ui).await? {
        return Ok(Exit::Done);
    }
    let running = ShutdownRun::new(plan, side, upkeep::limit(&args.upkeep));
    let again = place.command("shutdown");
    let next = format!(
        "The operator goes on by itself unless somebody takes spec.shutdown back. Run `{again}` again: it waits for the rest."
    );
    let work = async |interrupt, tell: &mut Told<'_>| running.run(interrupt, tell).await;
    let show = |outcome: &_| ui.show(&ShutdownView::of(outcome));
    Box::pin(upkeep::see_through(work, show, next, ui)).await
}

async fn look(
    args: &ShutdownArgs,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<(Side, Peer), Failure> {
    let peer = args.peer.as_deref();
    let named = (args.upkeep.context.as_deref(), peer);
    let site = one_side::open_named(named, args.upkeep.dry_run, session, ui).await?;
    let here = one_side::survey(&site, &args.cluster, Part::Source).await?;
    let peer = one_side::find_peer(peer, &here, Part::Target, session, ui).await?;
    Ok((here, peer))
}
