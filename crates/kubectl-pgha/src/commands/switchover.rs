//! `kubectl pgha switchover`.

use std::pin::pin;
use std::time::Duration;

use pgha_core::clock;
use pgha_core::diagnose::causes;
use pgha_core::engine::{
    Interrupter, Limits, MoveError, MoveResult, Reporter, Side, StepError, Switchover, interrupter,
    patches,
};
use pgha_model::check::Consent;
use pgha_model::effect::Effect;
use pgha_model::event::{Event, Outcome, Standing};
use pgha_model::plan::plan_switchover;
use pgha_model::site::Part;

use crate::args::SwitchoverArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::switchover::{EventView, OutcomeView, PlanView, RefusalView};

/// What `--timeout 0`, as long as it takes, means.
const LONGEST_STEP: Duration = Duration::from_hours(24);

/// Runs the command.
pub(crate) fn main(args: &SwitchoverArgs, environment: &Environment) -> Exit {
    super::change(
        &args.site,
        &args.output,
        environment,
        async |session, ui| Box::pin(run(args, session, ui)).await,
    )
}

async fn run(args: &SwitchoverArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    if args.from == args.to {
        return Err(Failure::usage("--from and --to name the same context"));
    }
    let (source, target) = unless_interrupted(open(args, session)).await?;
    let consent = Consent {
        managed: args.allow_managed,
    };
    let plan = match plan_switchover(&source.facts, &target.facts, consent, clock::now()) {
        Ok(plan) => plan,
        Err(refusal) => {
            ui.show(&RefusalView::new(&refusal.0))?;
            let hint = "Nothing was changed. Mend what failed and run the same command again.";
            let text = format!("{} cannot be moved safely now", args.cluster);
            ui.complain(&Failure::refused(text).hinting(hint));
            return Ok(Exit::Refused);
        }
    };
    let planned = patches(&source, &target);
    let view = PlanView::new(&plan, &planned);
    if args.dry_run {
        ui.show(&view)?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        let question = format!("Move {} now?", plan.source.cluster);
        unless_interrupted(consent::ask(&view.summary(), &question, ui)).await?;
    }
    let limit = args.timeout.0.min(LONGEST_STEP);
    let limits = Limits {
        step: limit,
        stop: limit,
        proof: limit,
        promotion: limit,
    };
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| show(event, ui);
    let report: &mut Reporter<'_> = &mut report;
    let moving = Switchover::new(plan, source, target, limits, interrupt, report).run();
    match Box::pin(interruptible(moving, &interrupter, ui)).await {
        Ok(outcome) => {
            show_last(&OutcomeView::new(&outcome), ui)?;
            if !outcome.logins.all_fail() {
                return Ok(Exit::Done);
            }
            ui.complain(&nobody_logs_in(&outcome));
            Ok(Exit::Held)
        }
        Err(error) => Err(failure(&error, args)),
    }
}

/// The move is done and cannot be taken back, and yet no program is served.
fn nobody_logs_in(outcome: &Outcome) -> Failure {
    let hint = "The move itself is complete. Look at the users' Secrets (`kubectl pgha sync-secrets`), the pooler and the \
                network policies of the new primary.";
    let text = format!("no user can log in to {} over TCP", outcome.target);
    Failure::stopped(Exit::Held, text, Effect::Applied).hinting(hint)
}

async fn open(args: &SwitchoverArgs, session: &Session<'_>) -> Result<(Side, Side), Failure> {
    let (from, to) =
        tokio::try_join!(session.site(Some(&args.from)), session.site(Some(&args.to)))?;
    let (source, target) = Box::pin(async {
        tokio::join!(
            Side::open(from, &args.cluster, Part::Source),
            Side::open(to, &args.cluster, Part::Target)
        )
    })
    .await;
    let source = source.map_err(|error| Failure::from(&error))?;
    let target = target.map_err(|error| Failure::from(&error))?;
    Ok((source, target))
}

fn show(event: &Event, ui: &Ui) {
    let view = EventView::new(event);
    if ui.format.is_text() {
        if let Some(line) = view.line() {
            ui.progress(line);
        }
    } else {
        // Whoever closed the pipe does not stop a move.
        drop(ui.show_next(&view));
    }
}

fn show_last(view: &OutcomeView<'_>, ui: &Ui) -> Result<(), Failure> {
    if ui.format.is_text() || ui.format == crate::args::Format::Name {
        return ui.show(view);
    }
    ui.show_next(view).map(|_closed| ())
}

/// Carries the move to its end and counts each Ctrl-C on the way.
async fn interruptible(
    moving: impl Future<Output = MoveResult>,
    interrupter: &Interrupter,
    ui: &Ui,
) -> MoveResult {
    let mut moving = pin!(moving);
    loop {
        tokio::select! {
            result = &mut moving => return result,
            Ok(()) = tokio::signal::ctrl_c() => {
                interrupter.interrupt();
                ui.note("Interrupted: going to a safe place. Ctrl-C again gives up waiting.");
            }
        }
    }
}

fn failure(error: &MoveError, args: &SwitchoverArgs) -> Failure {
    let mut because = vec![error.source.to_string()];
    because.extend(causes(&*error.source));
    if let Some(undo) = &error.undo {
        let what = match error.standing {
            Standing::Promoted | Standing::Released => "the operators were not released",
            Standing::Unchanged
            | Standing::Held
            | Standing::BackAtSource
            | Standing::Fenced
            | Standing::PromotionUnknown => "the way back failed",
        };
        because.push(format!("{what}: {undo}"));
        because.extend(causes(&**undo));
    }
    let interrupted = matches!(*error.source, StepError::Interrupted);
    let gave_up = matches!(*error.source, StepError::GivenUp);
    let exit = match error.standing {
        Standing::Unchanged if interrupted => Exit::Interrupted,
        Standing::Released if gave_up => Exit::Held,
        Standing::Unchanged | Standing::BackAtSource | Standing::Released => Exit::Stopped,
        Standing::Held | Standing::Fenced | Standing::PromotionUnknown | Standing::Promoted => {
            Exit::Held
        }
    };
    Failure::stopped(exit, error.to_string(), error.standing.effect())
        .because(because)
        .hinting(next(error.standing, &error.source, args))
}

/// Where things stand, and the one next command.
fn next(standing: Standing, why: &StepError, args: &SwitchoverArgs) -> String {
    let (cluster, from, to) = (&args.cluster, &args.from, &args.to);
    let status = format!("kubectl pgha status {cluster} --context {from} --context {to}");
    match standing {
        Standing::Unchanged => {
            format!("{from} is primary as before. The same command may be run again.")
        }
        Standing::BackAtSource => {
            format!(
                "{from} is primary again, on a new timeline. Run `{status}`, then the same command again."
            )
        }
        Standing::Held => format!(
            "{from} is primary as before, and a hold (spec.paused) may be left. Run `{status}`; set spec.paused to false \
             on both sides."
        ),
        Standing::Fenced => format!(
            "{from} is fenced and nobody is primary. To go back, set spec.paused to false on both sides; when \
             `kubectl pgha leader {cluster} --context {from}` says standby leader, set spec.standby.enabled to false at \
             {from}. Then run `{status}`."
        ),
        Standing::PromotionUnknown => format!(
            "{from} is fenced and {to} was told to become primary. Run `{status}` before anything else; never make \
             {from} primary while {to} may be."
        ),
        // The checks after the promotion did not show that the operators do no harm.
        Standing::Promoted
            if matches!(
                why,
                StepError::NotProved(_) | StepError::BasisChanged { .. }
            ) =>
        {
            format!(
                "{to} is primary, and both operators stay held: it was not seen that {from} can follow it safely. Run \
                 `{status}` and look before spec.paused is set to false on either side."
            )
        }
        Standing::Released => format!(
            "{to} is primary, and both operators work again. Run `{status} -w` until {from} follows."
        ),
        Standing::Promoted => format!(
            "{to} is primary, and a hold (spec.paused) may be left. To go on, set spec.paused to false on both sides. \
             Then run `{status}`."
        ),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use pgha_model::plan::Step;

    use super::*;
    use crate::args::{Cli, Command};

    fn ended(standing: Standing, source: StepError) -> (Exit, String) {
        let line = "kubectl-pgha switchover db --from core1 --to core2";
        let Command::Switchover(args) = Cli::parse_from(line.split(' ')).command else {
            panic!("another command")
        };
        let error = MoveError {
            step: Step::Verify,
            standing,
            source: Box::new(source),
            undo: None,
        };
        let failure = failure(&error, &args);
        let hint = failure
            .lines()
            .into_iter()
            .find(|(label, _)| *label == "hint");
        (failure.exit, hint.unwrap().1)
    }

    fn changed() -> StepError {
        StepError::BasisChanged {
            what: "both sides are primary".to_owned(),
        }
    }

    #[test]
    fn a_move_that_left_nothing_held_may_be_looked_at_later() {
        let (exit, hint) = ended(Standing::Released, changed());
        assert_eq!(exit, Exit::Stopped);
        assert!(hint.contains("both operators work again"), "{hint}");
        assert_eq!(ended(Standing::Released, StepError::GivenUp).0, Exit::Held);
    }

    #[test]
    fn operators_are_not_to_be_released_where_they_may_do_harm() {
        let (exit, hint) = ended(Standing::Promoted, changed());
        assert_eq!(exit, Exit::Held);
        assert!(hint.contains("look before spec.paused"), "{hint}");
        let (exit, hint) = ended(Standing::Promoted, StepError::GivenUp);
        assert_eq!(exit, Exit::Held);
        assert!(
            hint.contains("To go on, set spec.paused to false"),
            "{hint}"
        );
    }
}
