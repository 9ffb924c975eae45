//! `traffic prepare`: what makes a later move take effect sooner, and moves nobody.

use pgha_model::effect::Effect;
use pgha_nlb::{CutoverError, Did, Preparation, Receipt};

use super::cutover::see_through;
use super::open;
use crate::args::PrepareArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;
use crate::view::traffic::{PreparedView, summary};

/// Runs `traffic prepare`.
pub(super) fn main(args: &PrepareArgs, environment: &Environment) -> Exit {
    crate::commands::start(&args.service.common(), environment, async |settings, ui| {
        Box::pin(run(args, settings, ui)).await
    })
}

async fn run(args: &PrepareArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let (service, traffic) = unless_interrupted(open(&args.service, true, settings, ui)).await?;
    let within = args.service.within();
    let preparations = unless_interrupted(async {
        let preparations = traffic.backends.preparations(within).await;
        preparations.map_err(|error| Failure::from(&error))
    })
    .await?;
    if !args.yes && !preparations.iter().all(Preparation::is_empty) {
        let question = format!("Prepare a move of the users of {} now?", service.name);
        let page = summary(&preparations);
        unless_interrupted(consent::ask_unplanned(&page, &question, ui)).await?;
    }
    let preparing = traffic.backends.prepare(&preparations, within);
    let done = see_through(preparing, ui)
        .await?
        .map_err(|uneven| Failure::unexpected(uneven.to_string()))?;
    ui.show(&PreparedView::new(&service, &preparations, &done))?;
    Ok(ui.conclude(failed(&done).as_ref()))
}

/// Why not every backend was prepared, and what all of it left behind.
fn failed(done: &[Result<Receipt, CutoverError>]) -> Option<Failure> {
    let errors: Vec<&CutoverError> = done.iter().filter_map(|one| one.as_ref().err()).collect();
    let first = errors.first()?;
    let changed = done.iter().flatten().any(|one| one.did == Did::Change);
    let left = errors.iter().map(|error| error.effect).max()?;
    let (exit, effect) = match left {
        Effect::None if changed => (Exit::Stopped, Effect::Applied),
        Effect::None => (Exit::Refused, Effect::None),
        Effect::Applied | Effect::Unknown => (Exit::Held, left),
    };
    let failure = Failure::stopped(exit, "not every backend was prepared", effect);
    let causes = errors.iter().map(ToString::to_string).collect();
    Some(failure.because(causes).hinting(first.next.to_string()))
}

#[cfg(test)]
mod tests {
    use pgha_nlb::{Fence, Problem};

    use super::*;

    fn error(effect: Effect) -> Result<Receipt, CutoverError> {
        Err(CutoverError::new("update", "ns1", Problem::Unreachable, "Look.").leaving(effect))
    }

    fn receipt(did: Did) -> Receipt {
        let nothing = Preparation::none(&"dns".into(), Fence::from("1")).nothing_done();
        Receipt { did, ..nothing }
    }

    #[test]
    fn what_was_left_behind_decides_the_exit_code() {
        assert!(failed(&[Ok(receipt(Did::Change)), Ok(receipt(Did::Nothing))]).is_none());
        for (done, exit) in [
            (
                [Ok(receipt(Did::Nothing)), error(Effect::None)],
                Exit::Refused,
            ),
            (
                [Ok(receipt(Did::Change)), error(Effect::None)],
                Exit::Stopped,
            ),
            (
                [Ok(receipt(Did::Nothing)), error(Effect::Unknown)],
                Exit::Held,
            ),
        ] {
            assert_eq!(failed(&done).unwrap().exit, exit);
        }
    }
}
