//! `kubectl pgha upgrade`.

use pgha_core::clock;
use pgha_core::engine::{Side, Told, UpgradeRun, upgrade_patch};
use pgha_model::check::Consent;
use pgha_model::site::Part;
use pgha_model::survey::Images;
use pgha_model::upgrade::plan_upgrade;

use super::one_side::{self, Peer};
use super::{moving, upkeep};
use crate::args::UpgradeArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::upgrade::{UpgradePlanView, UpgradeView};

/// Runs the command.
pub(crate) fn main(args: &UpgradeArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

async fn run(args: &UpgradeArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let (side, peer) = unless_interrupted(Box::pin(look(args, session, ui))).await?;
    let place = side.facts.survey.place.clone();
    let sides: Vec<_> = std::iter::once(&side).chain(peer.iter()).collect();
    moving::refuse_unfinished(&sides)?;
    let images = Images {
        postgres: args.postgres_image.clone(),
        pgbackrest: args.pgbackrest_image.clone(),
    };
    let consent = Consent {
        managed: args.allow_managed,
        ..Consent::default()
    };
    let sight = one_side::sight(&peer, args.pair.alone);
    let record = upkeep::record_of(&side);
    let planned = plan_upgrade(&side.facts, record, sight, &images, consent, clock::now());
    let plan = match planned {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{place} cannot be upgraded safely now");
            let sides = ("this side", "the other side");
            return one_side::refuse("UpgradeRefusal", &refusal, sides, text, ui);
        }
    };
    if plan.is_done(&side.facts) {
        ui.show(&UpgradeView::already(&place))?;
        return Ok(Exit::Done);
    }
    let patches: Vec<_> = (!plan.asked)
        .then(|| upgrade_patch(&side, &images))
        .into_iter()
        .collect();
    let view = UpgradePlanView::new(&plan, &patches);
    // What was asked for before is only waited for.
    let question = (!plan.asked).then(|| format!("Upgrade {} now?", place.cluster));
    if !upkeep::goes_ahead(&view, view.summary(), question, &args.upkeep, ui).await? {
        return Ok(Exit::Done);
    }
    let limit = upkeep::limit(&args.upkeep);
    let running = UpgradeRun::new(plan, side, peer.as_ref().ok(), limit);
    let look = place.command("leader");
    let next = format!(
        "The operator goes on by itself. See with `{look}` what has become of it, then run the same command again: it waits for the rest."
    );
    let work = async |interrupt, tell: &mut Told<'_>| running.run(interrupt, tell).await;
    let show = |outcome: &_| ui.show(&UpgradeView::of(outcome));
    Box::pin(upkeep::see_through(work, show, next, ui)).await
}

async fn look(args: &UpgradeArgs, session: &Session<'_>, ui: &Ui) -> Result<(Side, Peer), Failure> {
    let asked = (args.cluster.as_str(), &args.upkeep, &args.pair);
    let (site, cluster, peer) = upkeep::here(asked, session, ui).await?;
    let here = one_side::survey(&site, &cluster, Part::Source).await?;
    let peer = one_side::find_peer(peer.as_deref(), &here, Part::Target, session, ui).await?;
    Ok((here, peer))
}
