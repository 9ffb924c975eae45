//! What the commands of every day have in common: the record of moves, what is told on the way, and how it ended.

use std::time::Duration;

use pgha_core::client::SiteClient;
use pgha_core::diagnose::causes;
use pgha_core::engine::{Interrupt, Side, StepError, Told, UpkeepError, interrupter};
use pgha_model::effect::Effect;

use super::by_file::{self, FileAt};
use super::moving::{self, LONGEST_STEP};
use super::one_side;
use crate::args::{PairArgs, UpkeepArgs};
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::ui::{Page, Span, Ui, View};

/// How long it may take.
pub(super) fn limit(args: &UpkeepArgs) -> Duration {
    args.timeout.0.min(LONGEST_STEP)
}

/// The site, the cluster there, and the context of the other side where it was named.
pub(super) async fn here(
    (cluster, upkeep, pair): (&str, &UpkeepArgs, &PairArgs),
    session: &Session<'_>,
    ui: &Ui,
) -> Result<(SiteClient, String, Option<String>), Failure> {
    let dry_run = upkeep.dry_run;
    let context = upkeep.context.as_deref();
    let (Some(file), Some(name)) = (&pair.file, &pair.site) else {
        let named = (context, pair.peer.as_deref());
        let site = one_side::open_named(named, dry_run, session, ui).await?;
        return Ok((site, cluster.to_owned(), pair.peer.clone()));
    };
    let at = FileAt {
        file,
        context,
        changes: !dry_run,
    };
    let service = by_file::open(at, Some(cluster), session.settings(), ui).await?;
    let (peer, here) = service.pair(None, name)?;
    let site = session
        .site_in(&here.context, here.namespace.as_deref())
        .await?;
    Ok((site, here.cluster.clone(), Some(peer.context.clone())))
}

/// Whether the record of moves was seen, or why not, as a fragment.
pub(super) fn record_of(side: &Side) -> Result<(), &str> {
    match &side.journal {
        Ok(_) => Ok(()),
        Err(because) => Err(because),
    }
}

/// Whether it is to be done: a plan that is only to be seen is shown, and a person is asked the question unless that was answered
/// before. Without a question nobody is asked.
pub(super) async fn goes_ahead(
    view: &impl View,
    summary: Page,
    question: Option<String>,
    args: &UpkeepArgs,
    ui: &Ui,
) -> Result<bool, Failure> {
    if args.dry_run {
        ui.show(view)?;
        return Ok(false);
    }
    if let Some(question) = question.filter(|_| !args.yes) {
        unless_interrupted(consent::ask(&summary, &question, ui)).await?;
    }
    Ok(true)
}

/// Sees the work to its end: tells what happens, counts each interruption, and shows what has come of it; `next` is what to do where it
/// stopped.
pub(super) async fn see_through<T>(
    work: impl AsyncFnOnce(Interrupt, &mut Told<'_>) -> Result<T, UpkeepError>,
    show: impl FnOnce(&T) -> Result<(), Failure>,
    next: String,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let (interrupter, interrupt) = interrupter();
    let mut tell = |text: &str| ui.progress([Span::dim(text)]);
    let running = work(interrupt, &mut tell);
    match Box::pin(moving::interruptible(running, &interrupter, ui)).await {
        Ok(outcome) => {
            show(&outcome).map_err(Failure::after_change)?;
            Ok(Exit::Done)
        }
        Err(error) => Err(failure(&error, next)),
    }
}

/// What stopped it, with what to do next where the change was taken.
fn failure(error: &UpkeepError, next: String) -> Failure {
    let interrupted = matches!(*error.source, StepError::Interrupted);
    if interrupted && error.effect == Effect::None {
        return Failure::interrupted();
    }
    let mut because = vec![error.source.to_string()];
    because.extend(causes(&*error.source));
    if error.is_taken_back {
        return Failure::stopped(Exit::Stopped, error.to_string(), error.effect)
            .because(because)
            .hinting(one_side::again());
    }
    let (exit, next) = match error.effect {
        Effect::None => (
            Exit::Refused,
            "Nothing was changed. The same command may be run again.".to_owned(),
        ),
        Effect::Applied => (Exit::Stopped, next),
        Effect::Unknown => (Exit::Held, next),
    };
    Failure::stopped(exit, error.to_string(), error.effect)
        .because(because)
        .hinting(next)
}
