//! What the commands that move a primary have in common: how long, what is told on the way, Ctrl-C, and how it ended.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use pgha_core::diagnose::causes;
use pgha_core::engine::{
    Interrupt, Interrupter, Limits, MoveError, Reporter, Side, StepError, interrupter,
};
use pgha_model::effect::Effect;
use pgha_model::event::{Event, Standing};
use pgha_model::login::Logins;
use pgha_model::plan::Step;
use pgha_model::record::{Action, MoveRecord};
use pgha_model::site::Place;
use pgha_model::unfinished::{Unfinished, find_unfinished};
use tokio::sync::oneshot;

use super::following::{Followed, Followers};
use crate::args::{Format, OwnersArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interruptions;
use crate::settings::RequestTimeout;
use crate::ui::{Span, Style, Ui, View};
use crate::view::switchover::EventView;

/// What `--timeout 0`, as long as it takes, means.
pub(crate) const LONGEST_STEP: Duration = Duration::from_hours(24);

/// How long each wait may last.
pub(crate) fn limits(timeout: RequestTimeout) -> Limits {
    Limits::each(timeout.0.min(LONGEST_STEP))
}

/// The same side, whose owners are held first where that was asked for.
///
/// # Errors
/// An owner's own object could not be read.
pub(crate) async fn holding(owners: OwnersArgs, side: Side) -> Result<Side, Failure> {
    if !owners.hold_owners {
        return Ok(side);
    }
    let place = side.facts.survey.place.clone();
    Box::pin(side.holding_owners()).await.map_err(|error| {
        Failure::refused(format!("the owners of {place} cannot be held")).because(
            std::iter::once(error.to_string())
                .chain(causes(&error))
                .collect(),
        )
    })
}

/// The same for both sides.
pub(crate) async fn holding_both(
    owners: OwnersArgs,
    source: Side,
    target: Side,
) -> Result<(Side, Side), Failure> {
    Ok((
        Box::pin(holding(owners, source)).await?,
        Box::pin(holding(owners, target)).await?,
    ))
}

/// A side whose owners' source the move changes too.
///
/// # Errors
/// An owner could end the operator's pause.
pub(crate) fn through_git(side: Side) -> Result<Side, Failure> {
    let place = side.facts.survey.place.clone();
    side.through_git().map_err(|error| {
        Failure::refused(format!("{place} cannot be moved through Git now"))
            .because(vec![error.to_string()])
    })
}

/// Tells one thing that happened: a line on stderr for a person, a document on stdout for a program.
pub(crate) fn tell(kind: &'static str, event: &Event, ui: &Ui) {
    let view = EventView::new(kind, event);
    if ui.format.is_text() {
        if let Some(line) = view.line() {
            ui.progress(line);
        }
    } else {
        // Whoever closed the pipe does not stop a move.
        drop(ui.show_next(&view));
    }
}

/// Tells what was done beside the steps of a move, like one of them.
pub(crate) fn show_beside(view: &impl View, name: &str, line: String, ui: &Ui) {
    if ui.format.is_text() {
        let name = Span::new(format!("{name:<9}"), Style::Good);
        ui.progress([name, Span::plain(line)]);
    } else {
        // Whoever closed the pipe does not stop a move.
        drop(ui.show_next(view));
    }
}

/// Shows the outcome, after the events where those are documents too.
pub(crate) fn show_last(view: &impl View, ui: &Ui) -> Result<(), Failure> {
    let shown = if ui.format.is_text() || ui.format == Format::Name {
        ui.show(view)
    } else {
        ui.show_next(view).map(|_closed| ())
    };
    shown.map_err(|failure| {
        failure
            .after_change()
            .hinting("The move itself is complete.")
    })
}

/// Sees a move to its end: tells what happens, counts each interruption, and has users follow as soon as the target is verified,
/// while the rest of the move goes on.
pub(crate) async fn see_through<T>(
    kind: &'static str,
    users: Option<&Followers<'_>>,
    ui: &Ui,
    carry_out: impl AsyncFnOnce(Interrupt, &mut Reporter<'_>) -> T,
) -> (T, Followed) {
    let (word, verified) = oneshot::channel();
    let (first_word, promoted) = oneshot::channel();
    let words = Mutex::new((Some(first_word), Some(word)));
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| {
        tell(kind, event, ui);
        let (is_promoted, is_verified) = (
            is_settled(event, Step::Promote),
            is_settled(event, Step::Verify),
        );
        if let Ok(mut words) = words.lock() {
            give(&mut words.0, is_promoted || is_verified);
            give(&mut words.1, is_verified);
        }
    };
    let moving = async {
        let ended = interruptible(carry_out(interrupt, &mut report), &interrupter, ui).await;
        // A move that never came so far has nobody wait for a word.
        drop(words.lock().map(|mut words| std::mem::take(&mut *words)));
        ended
    };
    let following = async {
        match users {
            Some(users) => users.follow(verified, ui).await,
            None => Followed::NotAsked,
        }
    };
    let going_on = async {
        match users {
            Some(users) => users.let_go(promoted, ui).await,
            None => Followed::NotAsked,
        }
    };
    let (ended, followed, gone_on) =
        Box::pin(async { tokio::join!(moving, following, going_on) }).await;
    (ended, followed.beside(gone_on, ui))
}

/// Whether this step has done its work: the target takes writes, or everything that has to be so for users is.
fn is_settled(event: &Event, wanted: Step) -> bool {
    matches!(event, Event::Settled { step, .. } if *step == wanted)
}

fn give(word: &mut Option<oneshot::Sender<()>>, now: bool) {
    if now {
        // Where nobody waits, nobody hears it.
        word.take().map(|word| word.send(()).ok());
    }
}

/// Carries the work to its end and counts each interruption on the way.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = T>,
    interrupter: &Interrupter,
    ui: &Ui,
) -> T {
    let mut work = pin!(work);
    let mut interruptions = Interruptions::default();
    loop {
        tokio::select! {
            result = &mut work => return result,
            Ok(()) = interruptions.next() => {
                interrupter.interrupt();
                ui.note("Interrupted: going to a safe place. Ctrl-C again gives up waiting.");
            }
        }
    }
}

/// What stopped it, with where things stand and the one next command.
pub(crate) fn failure(error: &MoveError, next: String) -> Failure {
    let mut because = vec![error.source.to_string()];
    because.extend(causes(&*error.source));
    if let Some(undo) = &error.undo {
        let what = match error.standing {
            Standing::Promoted | Standing::Released => "the operators were not released",
            Standing::Unchanged
            | Standing::Held
            | Standing::BackAtSource
            | Standing::Fenced
            | Standing::Superseded
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
        Standing::Held
        | Standing::Fenced
        | Standing::PromotionUnknown
        | Standing::Promoted
        | Standing::Superseded => Exit::Held,
    };
    Failure::stopped(exit, error.to_string(), error.standing.effect())
        .because(because)
        .hinting(next)
}

/// The same for a move with users. Those who have not been told to follow are told of, where the target is primary or may
/// become it, with the command that moves them by itself.
pub(crate) fn failure_beside(
    error: &MoveError,
    mut next: String,
    target: &Place,
    (users, followed): (Option<&Followers<'_>>, Followed),
    ui: &Ui,
) -> Failure {
    let is_waiting = followed.is_not_asked() && may_be_primary(error.standing);
    followed.conclude(Exit::Held, ui);
    if let Some(waiting) = users.filter(|_| is_waiting) {
        let command = waiting.command();
        next = format!(
            "{next} Once {} is primary, `{command}` moves its users by itself.",
            target.context
        );
    }
    failure(error, next)
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

/// The unfinished move of a service, as far as the records of these sides can be read.
pub(crate) fn unfinished_of<'a>(sides: impl IntoIterator<Item = &'a Side>) -> Option<Unfinished> {
    let journals = sides
        .into_iter()
        .filter_map(|side| side.journal.as_ref().ok());
    find_unfinished(&journals.collect::<Vec<_>>())
}

/// An unfinished move is in the way of the next one: it is gone on with, or taken back.
pub(crate) fn refuse_unfinished(sides: &[&Side]) -> Result<(), Failure> {
    let Some(unfinished) = unfinished_of(sides.iter().copied()) else {
        return Ok(());
    };
    let hint = match unfinished.record.as_deref() {
        Some(MoveRecord {
            action: Action::Rejoin,
            source: Some(source),
            target: Some(target),
            ..
        }) => format!(
            "Run `{}` to go on with it.",
            source.place.command_toward("rejoin", &target.place)
        ),
        Some(MoveRecord {
            failover: Some(failover),
            target: Some(target),
            ..
        }) => format!(
            "Run `{}` to go on with it.",
            failover.source.command_toward("failover", &target.place)
        ),
        Some(MoveRecord {
            action: Action::Release,
            source: Some(source),
            ..
        }) => format!("Run `{}` to go on with it.", source.place.command("release")),
        Some(MoveRecord {
            source: Some(source),
            target: Some(target),
            ..
        }) => {
            let command = |verb| source.place.command_toward(verb, &target.place);
            format!(
                "Run `{}` to go on with it, or `{}` to take it back.",
                command("resume"),
                command("abort")
            )
        }
        _ => "Run `kubectl pgha resume` to go on with it, or `kubectl pgha abort` to take it back, with --from and --to."
            .to_owned(),
    };
    let text = format!("{} is not finished", unfinished.name());
    Err(Failure::refused(text)
        .because(vec![unfinished.state()])
        .hinting(hint))
}

/// What to do where another move has taken over.
pub(crate) fn taken_over(place: &Place, status: &str) -> String {
    format!(
        "This command has written nothing since. See what the other one does with `{}`, and where things stand with \
         `{status}`.",
        place.command("history")
    )
}

/// The exit code of a side that was promoted and cannot be taken back; complains when no program is served all the same.
pub(crate) fn complain_of_logins(logins: &Logins, target: &Place, ui: &Ui) -> Exit {
    if !logins.all_fail() {
        return Exit::Done;
    }
    let hint = "The move itself is complete. Look at the users' Secrets (`kubectl pgha sync-secrets`), the pooler and the \
                network policies of the new primary.";
    let text = format!("no user can log in to {target} over TCP");
    ui.complain(&Failure::stopped(Exit::Held, text, Effect::Applied).hinting(hint));
    Exit::Held
}
