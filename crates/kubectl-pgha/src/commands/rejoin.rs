//! `kubectl pgha rejoin`.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use pgha_core::clock;
use pgha_core::engine::{Keep, RejoinError, RejoinRun, Reporter, Side, follows, interrupter};
use pgha_model::effect::Effect;
use pgha_model::event::{Event, Standing};
use pgha_model::member::Role;
use pgha_model::record::{Action, Epoch, MoveRecord};
use pgha_model::site::Place;
use pgha_model::unfinished::Unfinished;

use super::between::Between;
use super::unfinished::refuse_alive;
use super::{moving, one_side};
use crate::args::RejoinArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::{Page, Span, Ui};
use crate::view::rejoin::RejoinView;

/// Runs the command.
pub(crate) fn main(args: &RejoinArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

/// An unfinished move that is taken over, with its record where that can be read.
type Over = Option<(Epoch, Option<Box<MoveRecord>>)>;

/// A folder of this machine, made with the first file.
struct Folder(PathBuf);

impl Keep for Folder {
    fn file(&mut self, name: &str, content: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.0)?;
        // The log holds what the tables hold: nobody else reads it.
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(self.0.join(name))?;
        file.write_all(content)?;
        file.sync_all()
    }

    fn folder(&self) -> String {
        self.0.display().to_string()
    }
}

async fn run(args: &RejoinArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let between = unless_interrupted(Between::read(&args.between, true, session, ui)).await?;
    let (source, target) = unless_interrupted(between.open(session)).await?;
    refuse_other(&source, &target)?;
    let place = source.facts.survey.place.clone();
    let over = take_over(args, &source, &target)?;
    if over.is_none() && follows(&source, &target) {
        ui.show(&RejoinView::already(&place))?;
        return application_leaves(args, &between, session, ui).await;
    }
    if !args.yes {
        let page = summary(args, &source, &target);
        unless_interrupted(consent::ask_unplanned(&page, "Make it a standby now?", ui)).await?;
    }
    let sides = (source, target);
    Box::pin(carry_out(args, &between, sides, over, session, ui)).await
}

/// The primary must be one, and both must be sides of one service.
fn refuse_other(source: &Side, target: &Side) -> Result<(), Failure> {
    let (from, to) = (&source.facts.survey, &target.facts.survey);
    if from.object.uid == to.object.uid {
        return Err(Failure::refused("--from and --to lead to the same object"));
    }
    let (a, b) = (from.system_identifier(), to.system_identifier());
    if a.is_none() || a != b {
        let shown = |one: Option<&str>| one.unwrap_or("not known").to_owned();
        let text = format!(
            "{} and {} are not two sides of one service",
            from.place, to.place
        );
        let because = format!("the system identifiers are {} and {}", shown(a), shown(b));
        return Err(Failure::refused(text).because(vec![because]));
    }
    if !one_side::leader_is(target, &Role::Primary) || to.object.standby {
        let text = format!("{} is not primary", to.place);
        let hint = format!(
            "Look with `{}`. A side rejoins the one that is primary.",
            from.place.status_command(Some(&to.place))
        );
        return Err(Failure::refused(text).hinting(hint));
    }
    Ok(())
}

/// A rejoin that was interrupted goes on; any other unfinished move is taken over when it is dead.
fn take_over(args: &RejoinArgs, source: &Side, target: &Side) -> Result<Over, Failure> {
    let Some(unfinished) = moving::unfinished_of([source, target]) else {
        return Ok(None);
    };
    refuse_alive(&unfinished, args.take_over)?;
    let Unfinished { epoch, record, .. } = unfinished;
    Ok(Some((epoch, record)))
}

/// What a person consents to.
fn summary(args: &RejoinArgs, source: &Side, target: &Side) -> Page {
    let mut page = Page::default();
    let (from, to) = (&source.facts.survey.place, &target.facts.survey.place);
    page.line([Span::plain(format!(
        "{from} becomes a standby of {to}, at once. What only {from} holds is copied to {}.",
        folder(args).display()
    ))]);
    page.line([Span::plain(if args.rebuild {
        "Where it has left the service's history, its data is set aside and made anew; where it has left a timeline of its own \
         in the repository, the primary is stopped and promoted past it, some seconds without writes."
    } else {
        "Where it has left the service's history, it stays down until --rebuild is given."
    })]);
    page
}

fn folder(args: &RejoinArgs) -> PathBuf {
    args.keep.clone().unwrap_or_else(|| {
        let now = clock::now().strftime("%Y%m%d-%H%M%S");
        PathBuf::from(format!("{}-lost-tail-{now}", args.between.cluster))
    })
}

async fn carry_out(
    args: &RejoinArgs,
    between: &Between,
    (source, target): (Side, Side),
    over: Over,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let places = (
        source.facts.survey.place.clone(),
        target.facts.survey.place.clone(),
    );
    let mut keep = Folder(folder(args));
    let limits = moving::limits(args.timeout);
    let mut running = RejoinRun::new((source, target), limits, args.rebuild, &mut keep);
    if let Some((epoch, record)) = over {
        running = running.taking_over(epoch, record);
    }
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| moving::tell("RejoinEvent", event, ui);
    let report: &mut Reporter<'_> = &mut report;
    let running = running.run(interrupt, report);
    match Box::pin(moving::interruptible(running, &interrupter, ui)).await {
        Ok(outcome) => {
            moving::show_last(&RejoinView::of(&outcome), ui)?;
            application_leaves(args, between, session, ui).await
        }
        Err(RejoinError::NeedsRebuild(tail)) => {
            moving::show_last(&RejoinView::kept(&places.0, &tail), ui)?;
            application_leaves(args, between, session, ui).await?;
            Err(needs_rebuild(between, &places))
        }
        Err(RejoinError::Stopped(error)) => {
            let next = next(error.standing, between, &places);
            Err(moving::failure(&error, next))
        }
    }
}

/// A site that was failed over from may still run the application, which is beside a standby there.
async fn application_leaves(
    args: &RejoinArgs,
    between: &Between,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let left = between.leave_source(args.timeout.0, session, ui).await;
    match left {
        Ok(()) => Ok(Exit::Done),
        Err(failure) => {
            ui.complain(&failure.hinting("The database is in order. Run the same command again."));
            Ok(Exit::Held)
        }
    }
}

fn needs_rebuild(between: &Between, (source, target): &(Place, Place)) -> Failure {
    let text = format!("{source} has log of its own, and cannot follow as it is");
    let hint = format!(
        "It stays a standby. Look at what was kept, then run `{} --rebuild`.",
        between.command("rejoin", source, target)
    );
    Failure::stopped(Exit::Stopped, text, Effect::Applied).hinting(hint)
}

/// Where things stand, and the one next command.
fn next(standing: Standing, between: &Between, (source, target): &(Place, Place)) -> String {
    let again = between.command(Action::Rejoin.name(), source, target);
    match standing {
        Standing::Unchanged => one_side::again(),
        Standing::Superseded => moving::taken_over(source, &source.status_command(Some(target))),
        Standing::Fenced => format!(
            "{target} was stopped to be promoted past a dead branch, and is not seen to take writes. Look with `{}`; where it \
             stays a standby, `{} --force` makes it primary.",
            source.status_command(Some(target)),
            target.command("promote")
        ),
        Standing::Held
        | Standing::BackAtSource
        | Standing::PromotionUnknown
        | Standing::Promoted
        | Standing::Released => format!(
            "{target} is primary as before; {source} is kept down and may be held. Run `{again}` again."
        ),
    }
}
