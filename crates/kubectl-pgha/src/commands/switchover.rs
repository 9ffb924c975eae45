//! `kubectl pgha switchover`.

use std::sync::Mutex;

use pgha_core::clock;
use pgha_core::engine::{
    DeadlineJob, Limits, Reporter, Side, StepError, Switchover, interrupter, patches,
};
use pgha_core::journal::JournalError;
use pgha_core::permission::Role;
use pgha_model::check::Consent;
use pgha_model::event::{Event, Standing};
use pgha_model::plan::{Plan, Step, plan_switchover};
use pgha_model::site::{Part, Place};
use pgha_nlb::SiteName;
use tokio::sync::oneshot;

use super::traffic::{Followers, ServiceFile};
use super::{moving, one_side};
use crate::args::SwitchoverArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::switchover::{OutcomeView, PlanView};

/// Runs the command.
pub(crate) fn main(args: &SwitchoverArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

/// The cluster and the contexts that a move is between.
struct Between<'a> {
    cluster: &'a str,
    contexts: (&'a str, &'a str),
    /// Where the file says it.
    namespace: Option<&'a str>,
}

fn between<'a>(
    args: &'a SwitchoverArgs,
    file: Option<&'a ServiceFile<'_>>,
) -> Result<Between<'a>, Failure> {
    let Some(file) = file else {
        let from = args.from.as_deref().unwrap_or_default();
        if from == args.to {
            return Err(Failure::usage("--from and --to name the same context"));
        }
        return Ok(Between {
            cluster: &args.cluster,
            contexts: (from, &args.to),
            namespace: None,
        });
    };
    let (from, to) = file.service.pair(args.from.as_deref(), &args.to)?;
    Ok(Between {
        cluster: &to.cluster,
        contexts: (&from.context, &to.context),
        namespace: to.namespace.as_deref(),
    })
}

async fn run(args: &SwitchoverArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let read = |path| ServiceFile::read(path, &args.cluster);
    let file = args.file.as_deref().map(read).transpose()?;
    let Between {
        cluster,
        contexts,
        namespace,
    } = between(args, file.as_ref())?;
    let opened = open(cluster, contexts, namespace, session);
    let (source, target) = unless_interrupted(opened).await?;
    moving::refuse_unfinished(&[&source, &target])?;
    let deadline = args.deadline.job();
    unless_interrupted(refuse_unplaceable(deadline.as_ref(), &source)).await?;
    let consent = Consent {
        managed: args.allow_managed,
    };
    let plan = match plan_switchover(&source.facts, &target.facts, consent, clock::now()) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!("{cluster} cannot be moved safely now");
            let sides = ("source", "target");
            return one_side::refuse("SwitchoverRefusal", &refusal, sides, text, ui);
        }
    };
    let users = unless_interrupted(users(file.as_ref(), args, session)).await?;
    let planned = patches(&source, &target);
    let limits = moving::limits(args.timeout);
    let view = PlanView::new(
        &plan,
        &planned,
        deadline.as_ref(),
        limits.patience(),
        users.as_ref().map(Followers::view),
    );
    if args.dry_run {
        ui.show(&view)?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        let question = format!("Move {} now?", plan.source.cluster);
        unless_interrupted(consent::ask(&view.summary(), &question, ui)).await?;
    }
    drop(view);
    carry_out(plan, (source, target), deadline, limits, users.as_ref(), ui).await
}

/// Who follows, seen before anything is changed: users who could not follow stop a move that has not begun.
async fn users<'a>(
    file: Option<&'a ServiceFile<'_>>,
    args: &SwitchoverArgs,
    session: &Session<'_>,
) -> Result<Option<Followers<'a>>, Failure> {
    let Some(file) = file else {
        return Ok(None);
    };
    let to = SiteName::from(args.to.as_str());
    file.followers(&to, args.timeout.0, session).await
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

/// Carries a plan out, from its first event to its exit code. Users follow as soon as the target is verified, while the rest of
/// the move goes on.
pub(super) async fn carry_out(
    plan: Plan,
    (source, target): (Side, Side),
    deadline: Option<DeadlineJob>,
    limits: Limits,
    users: Option<&Followers<'_>>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let (from, to) = (plan.source.clone(), plan.target.clone());
    let (word, verified) = oneshot::channel();
    let word = Mutex::new(Some(word));
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| {
        moving::tell("SwitchoverEvent", event, ui);
        if is_verified(event) {
            give(&word);
        }
    };
    let report: &mut Reporter<'_> = &mut report;
    let moving = Switchover::new(plan, source, target, limits, interrupt, report);
    let moving = moving.with_deadline(deadline).run();
    let moving = async {
        let ended = Box::pin(moving::interruptible(moving, &interrupter, ui)).await;
        // A move that never came so far has nobody wait for the word.
        drop(word.lock().map(|mut word| word.take()));
        ended
    };
    let following = async {
        match users {
            Some(users) => users.follow(verified, ui).await,
            None => None,
        }
    };
    let (ended, followed) = Box::pin(async { tokio::join!(moving, following) }).await;
    // Users of a move that never came so far have not been told to follow.
    let waiting = users.filter(|_| followed.is_none());
    let left_behind = match (users, followed) {
        (Some(users), Some(Err(because))) => Some(users.left_behind(&because)),
        _ => None,
    };
    match ended {
        Ok(outcome) => {
            moving::show_last(&OutcomeView::new(&outcome), ui)?;
            let nobody = outcome.logins.all_fail();
            let nobody = nobody.then(|| moving::nobody_logs_in(&outcome.target));
            let complaints: Vec<_> = nobody.into_iter().chain(left_behind).collect();
            for complaint in &complaints {
                ui.complain(complaint);
            }
            Ok(if complaints.is_empty() {
                Exit::Done
            } else {
                Exit::Held
            })
        }
        Err(error) => {
            if let Some(complaint) = &left_behind {
                ui.complain(complaint);
            }
            let mut next = next(error.standing, &error.source, &from, &to);
            if let Some(waiting) = waiting.filter(|_| may_be_primary(error.standing)) {
                let command = waiting.command();
                next = format!("{next} Once {} is primary, run `{command}`.", to.context);
            }
            Err(moving::failure(&error, next))
        }
    }
}

/// The target takes writes, and everything that has to be so for users is.
const fn is_verified(event: &Event) -> bool {
    matches!(
        event,
        Event::Settled {
            step: Step::Verify,
            ..
        }
    )
}

/// Whether the target is primary, or may become it by what is run next.
const fn may_be_primary(standing: Standing) -> bool {
    match standing {
        Standing::Unchanged | Standing::Held | Standing::BackAtSource | Standing::Superseded => {
            false
        }
        Standing::Fenced | Standing::PromotionUnknown | Standing::Promoted | Standing::Released => {
            true
        }
    }
}

fn give(word: &Mutex<Option<oneshot::Sender<()>>>) {
    let word = word.lock().ok().and_then(|mut word| word.take());
    // Where nobody follows, nobody waits for it.
    word.map(|word| word.send(()).ok());
}

/// Looks at both sides of a service.
pub(super) async fn open(
    cluster: &str,
    (from, to): (&str, &str),
    namespace: Option<&str>,
    session: &Session<'_>,
) -> Result<(Side, Side), Failure> {
    let (mut from, mut to) = tokio::try_join!(session.site(Some(from)), session.site(Some(to)))?;
    if let Some(namespace) = namespace {
        (from, to) = (from.in_namespace(namespace), to.in_namespace(namespace));
    }
    let (source, target) = Box::pin(async {
        tokio::join!(
            Side::open(from, cluster, Part::Source),
            Side::open(to, cluster, Part::Target)
        )
    })
    .await;
    let source = source.map_err(|error| Failure::from(&error))?;
    let target = target.map_err(|error| Failure::from(&error))?;
    Ok((source, target))
}

/// Where things stand, and the one next command.
fn next(standing: Standing, why: &StepError, source: &Place, target: &Place) -> String {
    let (from, to) = (&source.context, &target.context);
    let status = source.status_command(Some(target));
    let (resume, abort) = (
        source.command_toward("resume", target),
        source.command_toward("abort", target),
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
    use pgha_core::engine::MoveError;

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
        let hint = next(
            error.standing,
            &error.source,
            &place("core1"),
            &place("core2"),
        );
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
