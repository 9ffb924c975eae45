//! `kubectl pgha deadline`: what the Job at the source of a move runs.

use std::time::Duration;

use pgha_core::client::SiteClient;
use pgha_core::engine::{
    GoingBack, MoveError, Reporter, Side, Verdict, Watched, await_silence, interrupter,
};
use pgha_core::journal::read_journal;
use pgha_core::permission::moving as moving_permissions;
use pgha_core::validate::denied;
use pgha_model::event::{Event, Standing};
use pgha_model::record::{Epoch, MoveRecord};
use pgha_model::site::{Part, Place};

use super::moving;
use crate::args::DeadlineArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::unfinished::UnfinishedView;

/// Runs the command.
pub(crate) fn main(args: &DeadlineArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

async fn run(args: &DeadlineArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let site = session.site(None).await?;
    if args.check {
        return unless_interrupted(check(args, &site, ui)).await;
    }
    let watched = Watched {
        epoch: Epoch(args.epoch),
        job: args.job.clone(),
        patience: args.patience(),
    };
    ui.note(&format!(
        "Watching the move of {}/{} with epoch {}.",
        site.namespace, args.cluster, args.epoch
    ));
    let waiting = async {
        let seen = await_silence(&site, &args.cluster, &watched).await;
        seen.map_err(|error| Failure::from(&error))
    };
    let record = match unless_interrupted(waiting).await? {
        Verdict::GoBack(record) => record,
        Verdict::Over(why) => {
            let text = format!("There is nothing to do for {}: {why}.", args.job);
            ui.show(&UnfinishedView::said(text))?;
            return Ok(Exit::Done);
        }
    };
    ui.note(&silence(&record, watched.patience));
    let opened = async {
        let opened = Box::pin(Side::open(site, &args.cluster, Part::Source)).await;
        opened.map_err(|error| Failure::from(&error))
    };
    let source = unless_interrupted(opened).await?;
    refuse_other_side(&record, &source)?;
    let place = source.facts.survey.place.clone();
    let target = record.side(Part::Target).map(|side| side.place.clone());
    let origin = record.side(Part::Source).map(|side| side.place.clone());
    let abort = origin
        .zip(target)
        .map(|(source, target)| source.command_toward("abort", &target));
    let abort = abort.unwrap_or_else(|| "kubectl pgha abort".to_owned());
    let going = GoingBack::new(source, watched, record, moving::limits(args.timeout));
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| moving::tell("DeadlineEvent", event, ui);
    let report: &mut Reporter<'_> = &mut report;
    let ended = moving::interruptible(going.run(interrupt, report), &interrupter, ui);
    match Box::pin(ended).await {
        Ok(was_fenced) => {
            let again = if was_fenced { "again" } else { "as before" };
            let text = format!(
                "{place} is primary {again}. What the move has left at the other side, `{abort}` puts back."
            );
            moving::show_last(&UnfinishedView::said(text), ui)?;
            Ok(Exit::Done)
        }
        Err(error) => Err(failure(&error, &place, &abort)),
    }
}

/// Whether the record can be read, and everything that going back does is permitted.
async fn check(args: &DeadlineArgs, site: &SiteClient, ui: &Ui) -> Result<Exit, Failure> {
    let (cluster, namespace) = (&args.cluster, &site.namespace);
    let journal = read_journal(site, cluster).await;
    let journal = journal.map_err(|error| Failure::from(&error))?.journal;
    if !journal.moves.contains_key(&Epoch(args.epoch)) {
        let text = format!(
            "{namespace}/{cluster} has no move with epoch {}",
            args.epoch
        );
        return Err(Failure::refused(text));
    }
    let denied = denied(site, moving_permissions(cluster)).await;
    let denied = denied.map_err(|error| Failure::from(&error))?;
    if !denied.is_empty() {
        let text = format!("{} may not go back to {namespace}/{cluster}", args.job);
        return Err(Failure::refused(text).because(denied));
    }
    let text = format!("{} may go back to {namespace}/{cluster}.", args.job);
    ui.show(&UnfinishedView::said(text))?;
    Ok(Exit::Done)
}

fn silence(record: &MoveRecord, patience: Duration) -> String {
    format!(
        "{} (epoch {}) has not said a word for {} s: going back to the source.",
        record.operator,
        record.epoch,
        patience.as_secs()
    )
}

/// A cluster of the same name that is another one.
fn refuse_other_side(record: &MoveRecord, source: &Side) -> Result<(), Failure> {
    let recorded = record.side(Part::Source);
    let uid = &source.facts.survey.object.uid;
    if recorded.is_some_and(|recorded| recorded.identity.object_uid == *uid) {
        return Ok(());
    }
    let place = &source.facts.survey.place;
    Err(Failure::refused(format!(
        "{place} is not the source of the move with epoch {}",
        record.epoch
    )))
}

fn failure(error: &MoveError, place: &Place, abort: &str) -> Failure {
    let next = match error.standing {
        Standing::Superseded => moving::taken_over(place, &place.status_command(None)),
        Standing::PromotionUnknown => {
            "Never make the source primary while the target may be. Run `kubectl pgha resume`: it sees what has become of it."
                .to_owned()
        }
        Standing::Unchanged
        | Standing::Held
        | Standing::BackAtSource
        | Standing::Fenced
        | Standing::Promoted
        | Standing::Released => format!("The Job tries again; `{abort}` does the same."),
    };
    moving::failure(error, next)
}
