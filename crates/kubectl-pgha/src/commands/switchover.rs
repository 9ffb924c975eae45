//! `kubectl pgha switchover`.

mod before;

use pgha_core::clock;
use pgha_core::engine::{
    DeadlineJob, Limits, MoveError, Reporter, Side, StepError, Switchover, patches,
};
use pgha_core::journal::JournalError;
use pgha_core::permission::Role;
use pgha_model::event::Standing;
use pgha_model::plan::{Plan, Step, plan_switchover};
use pgha_model::record::BackupBefore;
use pgha_model::site::Place;

use self::before::{Accepted, Backup};
use super::between::{Asked, Between};
use super::following::Followers;
use super::report::Report;
use super::{desired, moving, one_side};
use crate::args::SwitchoverArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::service::Telling;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::switchover::{OutcomeView, PlanView};

/// Runs the command.
pub(crate) fn main(args: &SwitchoverArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        let report = Report::asked(&args.report)?;
        let ended = async {
            let telling = if args.fast {
                Telling::Afterwards
            } else {
                Telling::Beforehand
            };
            let read = Between::read_moving(&args.between, telling, session, ui);
            let between = unless_interrupted(Box::pin(read)).await?;
            Box::pin(run(args, &between, None, &report, session, ui)).await
        };
        let ended = ended.await;
        report.conclude(ended, ui).await
    })
}

/// Plans, asks, and moves; with a plan that was `accepted`, does not ask again.
async fn run(
    args: &SwitchoverArgs,
    between: &Between,
    accepted: Option<Accepted>,
    report: &Report,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let (source, target) = unless_interrupted(between.open(session)).await?;
    report.of([&source, &target]);
    moving::refuse_unfinished(&[&source, &target])?;
    let deadline = args.deadline.job();
    unless_interrupted(refuse_unplaceable(deadline.as_ref(), &source)).await?;
    let consent = between.owners(args.owners).consent();
    let plan = match plan_switchover(&source.facts, &target.facts, consent, clock::now()) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{} cannot be moved safely now", between.cluster);
            let sides = ("source", "target");
            return one_side::refuse("SwitchoverRefusal", &refusal, sides, text, ui);
        }
    };
    let held = between.holding(args.owners, source, target);
    let (source, target) = unless_interrupted(Box::pin(held)).await?;
    let asked = Asked {
        leaves: true,
        ..Asked::to_target([&source, &target])
    };
    let users = unless_interrupted(between.followers(asked, args.timeout.0, session)).await?;
    // Users who could not follow stop a move that has not begun.
    let users = users.map(Followers::refuse_unready).transpose()?;
    let drains = users.as_ref().is_some_and(Followers::leaves);
    let plan = if drains { plan.draining() } else { plan };
    let backup = if accepted.is_some() {
        None
    } else {
        let owners = between.owners(args.owners);
        let looked = Backup::look(args.backup, owners, between, &target, session);
        unless_interrupted(Box::pin(looked)).await?
    };
    let commits = match between.git {
        Some(git) => {
            let planned = unless_interrupted(Box::pin(between.planned())).await?;
            planned.map(|planned| (git, planned))
        }
        None => None,
    };
    let planned = patches(&source, &target);
    let limits = moving::limits(args.timeout);
    let view = PlanView::new(
        &plan,
        &planned,
        deadline.as_ref(),
        limits.patience(),
        users.as_ref().map(Followers::view).unwrap_or_default(),
    )
    .after(backup.as_ref().map(Backup::view))
    .committing(commits.as_ref());
    if args.dry_run {
        ui.show(&view)?;
        return Ok(Exit::Done);
    }
    if !args.yes && accepted.is_none() {
        let question = format!("Move {} now?", plan.source.cluster);
        unless_interrupted(consent::ask(&view.summary(), &question, ui)).await?;
    }
    drop(view);
    if let Some(backup) = backup {
        let Some(accepted) = backup.make(plan, ui).await? else {
            return Ok(Exit::Refused);
        };
        // Everything is looked at anew: the backup took as long as it took.
        let moved = Box::pin(run(args, between, Some(accepted), report, session, ui));
        return before::after(moved.await, ui);
    }
    let made = accepted.map(|accepted| accepted.still(&plan, ui));
    let made = made.transpose()?;
    let sides = (source, target);
    let with = (between, users.as_ref());
    let moved = carry_out(plan, sides, deadline, limits, with, made, ui).await;
    match between.committing() {
        Some(service) => Box::pin(desired::settle(service, limits, moved, session, ui)).await,
        None => moved,
    }
}

/// Whether the Job that was asked for may be placed; asked before anything is changed.
pub(super) async fn refuse_unplaceable(
    job: Option<&DeadlineJob>,
    source: &Side,
) -> Result<(), Failure> {
    if job.is_none() {
        return Ok(());
    }
    let denied = source.denied(Role::DeadlinePlacer).await;
    let denied = denied.map_err(|error| Failure::from(&error))?;
    if denied.is_empty() {
        return Ok(());
    }
    let place = &source.facts.survey.place;
    Err(Failure::refused(format!(
        "the Job of --deadline-image cannot be placed beside {place}"
    ))
    .because(denied)
    .hinting("Ask for the role in manifests/rbac/deadline.yaml, or leave --deadline-image out."))
}

/// Carries a plan out, from its first event to its exit code.
pub(super) async fn carry_out(
    plan: Plan,
    (source, target): (Side, Side),
    deadline: Option<DeadlineJob>,
    limits: Limits,
    (between, users): (&Between, Option<&Followers<'_>>),
    made: Option<BackupBefore>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let (from, to) = (plan.source.clone(), plan.target.clone());
    let application = users.map(Followers::leaving).unwrap_or_default();
    let aside = users.map(Followers::aside).cloned().unwrap_or_default();
    let aside = aside.after(made);
    let work = async |interrupt, report: &mut Reporter<'_>| {
        let declare = between.declare(&source);
        let moving = Switchover::new(plan, source, target, limits, interrupt, report);
        let moving = moving.with_application(application).declaring(declare);
        let moving = moving.with_gate(users.and_then(Followers::gate));
        let moving = moving.with_aside(&aside);
        Box::pin(moving.with_deadline(deadline).run()).await
    };
    let (ended, followed) = moving::see_through("SwitchoverEvent", users, ui, work).await;
    match ended {
        Ok(outcome) => {
            moving::show_last(&OutcomeView::new(&outcome), ui)?;
            let served = moving::complain_of_logins(&outcome.logins, &outcome.target, ui);
            Ok(followed.conclude(served, ui))
        }
        Err(error) => {
            let next = next(error.standing, &error.source, between, (&from, &to));
            if let Some(users) = users.filter(|_| has_left_and_is_back(&error)) {
                users.go_back(ui).await.conclude(Exit::Held, ui);
            }
            Err(moving::failure_beside(
                &error,
                next,
                &to,
                (users, followed),
                ui,
            ))
        }
    }
}

/// Whether the application had begun to leave a source that is primary as before.
fn has_left_and_is_back(error: &MoveError) -> bool {
    let is_back = matches!(error.standing, Standing::Unchanged | Standing::BackAtSource);
    is_back && error.step >= Step::Drain
}

/// Where things stand, and the one next command.
fn next(
    standing: Standing,
    why: &StepError,
    between: &Between,
    (source, target): (&Place, &Place),
) -> String {
    let (from, to) = (&source.context, &target.context);
    let status = source.status_command(Some(target));
    let (resume, abort) = (
        between.command("resume", source, target),
        between.command("abort", source, target),
    );
    match standing {
        Standing::Unchanged if unfinished(why) => {
            format!("Run `{resume}` to go on with it, or `{abort}` to take it back.")
        }
        Standing::Unchanged => {
            format!("{from} is primary as before. The same command may be run again.")
        }
        Standing::BackAtSource => {
            format!(
                "{from} is primary again, on a new timeline. Run `{status}`, then the same command again."
            )
        }
        Standing::Held => format!(
            "{from} is primary as before, and holds or settings may be left. Run `{abort}` to put them back."
        ),
        Standing::Fenced => format!(
            "{from} is fenced and nobody is primary. Run `{abort}` to go back, or `{resume}` to go on; both compare the \
             sides first."
        ),
        Standing::PromotionUnknown => format!(
            "{from} is fenced and {to} was told to become primary; never make {from} primary while {to} may be. Run \
             `{resume}`: it sees what has become of it."
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
                 `{status}` and look before `{resume}` releases them."
            )
        }
        Standing::Superseded => moving::taken_over(source, &status),
        Standing::Released => format!(
            "{to} is primary, and both operators work again. Run `{resume}` to see whether {from} follows."
        ),
        Standing::Promoted => {
            format!("{to} is primary, and holds may be left. Run `{resume}` to go on.")
        }
    }
}

fn unfinished(why: &StepError) -> bool {
    matches!(why, StepError::Journal(error) if matches!(**error, JournalError::Unfinished { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{BetweenArgs, ConfigMapArgs};

    fn ended(standing: Standing, source: StepError) -> (Exit, String) {
        let place = |context: &str| Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "db".to_owned(),
        };
        let error = MoveError {
            step: Step::Verify,
            standing,
            source: Box::new(source),
            undo: None,
        };
        let args = BetweenArgs {
            cluster: "db".to_owned(),
            file: None,
            config_map: ConfigMapArgs::default(),
            from: Some("core1".to_owned()),
            to: "core2".to_owned(),
        };
        let between = Between::of_contexts(&args).unwrap();
        let places = (&place("core1"), &place("core2"));
        let hint = next(error.standing, &error.source, &between, places);
        let failure = moving::failure(&error, hint);
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
    fn who_gives_up_is_told_the_whole_command_that_goes_on() {
        let (exit, hint) = ended(Standing::Fenced, StepError::GivenUp);
        assert_eq!(exit, Exit::Held);
        let back = "`kubectl pgha abort db -n prod --from core1 --to core2`";
        assert!(hint.contains(back), "{hint}");
        let (_, hint) = ended(Standing::PromotionUnknown, StepError::GivenUp);
        let on = "`kubectl pgha resume db -n prod --from core1 --to core2`";
        assert!(hint.contains(on), "{hint}");
    }

    #[test]
    fn operators_are_not_to_be_released_where_they_may_do_harm() {
        let (exit, hint) = ended(Standing::Promoted, changed());
        assert_eq!(exit, Exit::Held);
        assert!(hint.contains("look before"), "{hint}");
        let (exit, hint) = ended(Standing::Promoted, StepError::GivenUp);
        assert_eq!(exit, Exit::Held);
        assert!(
            hint.contains("resume db -n prod --from core1 --to core2"),
            "{hint}"
        );
    }
}
