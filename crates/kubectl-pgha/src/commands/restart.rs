//! `kubectl pgha restart`.

use pgha_core::clock;
use pgha_core::engine::{RestartRun, Side, Told};
use pgha_model::restart::plan_restart;
use pgha_model::site::Part;

use super::{moving, one_side, upkeep};
use crate::args::RestartArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::restart::{RestartPlanView, RestartView};

/// Runs the command.
pub(crate) fn main(args: &RestartArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

async fn run(args: &RestartArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let side = unless_interrupted(Box::pin(look(args, session, ui))).await?;
    let place = side.facts.survey.place.clone();
    moving::refuse_unfinished(&[&side])?;
    let plan = match plan_restart(&side.facts, upkeep::record_of(&side), clock::now()) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{place} cannot be restarted safely now");
            let sides = ("this side", "the other side");
            return one_side::refuse("RestartRefusal", &refusal, sides, text, ui);
        }
    };
    let view = RestartPlanView::new(&plan);
    let question = Some(format!("Restart {} now?", place.cluster));
    if !upkeep::goes_ahead(&view, view.summary(), question, &args.upkeep, ui).await? {
        return Ok(Exit::Done);
    }
    let running = RestartRun::new(plan, side, upkeep::limit(&args.upkeep));
    let look = place.command("leader");
    let next = format!(
        "See with `{look}` what has become of it. The same command again restarts every member."
    );
    let work = async |interrupt, tell: &mut Told<'_>| running.run(interrupt, tell).await;
    let show = |outcome: &_| ui.show(&RestartView::of(outcome));
    Box::pin(upkeep::see_through(work, show, next, ui)).await
}

async fn look(args: &RestartArgs, session: &Session<'_>, ui: &Ui) -> Result<Side, Failure> {
    let named = (args.upkeep.context.as_deref(), None);
    let site = one_side::open_named(named, args.upkeep.dry_run, session, ui).await?;
    one_side::survey(&site, &args.cluster, Part::Source).await
}
