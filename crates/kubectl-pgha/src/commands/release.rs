//! `kubectl pgha release`.

use std::time::Duration;

use pgha_core::client::SiteClient;
use pgha_core::clock;
use pgha_core::diagnose::chain_of;
use pgha_core::engine::{
    LettingGo, Limits, MoveError, Readiness, Reporter, StepError, interrupter,
};
use pgha_core::settle::{Look, Settlement, await_until};
use pgha_model::event::Event;
use pgha_model::record::{Action, MoveRecord};
use pgha_model::site::{Part, Place};

use super::desired::{self, Committed};
use super::looked_at::{Asked, LookedAt};
use super::{moving, one_side};
use crate::args::ReleaseArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::release::{HeldSide, ReleaseView};

/// Pause between two looks at a source.
const LOOK: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) fn main(args: &ReleaseArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

async fn run(args: &ReleaseArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let limits = moving::limits(args.timeout);
    let looking = look(args, limits, session, ui);
    let (mut found, looked_at) = unless_interrupted(Box::pin(looking)).await?;
    let view = ReleaseView::new(found.iter().map(shown).collect());
    if args.dry_run || found.iter().all(LettingGo::is_nothing_to_do) {
        ui.show(&view)?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        let question = "Let them go as soon as Git says the same?";
        unless_interrupted(consent::ask_unplanned(&view.summary(), question, ui)).await?;
    }
    let wait = if args.wait.0.is_zero() {
        moving::LONGEST_STEP
    } else {
        args.wait.0
    };
    if let Some(service) = &looked_at.service {
        let committed = desired::commit(service, &found, wait, ui).await?;
        if committed == Committed::Awaited {
            let cluster = looked_at.cluster.as_deref().unwrap_or(&args.cluster);
            let again = find(&looked_at.sites, cluster, limits);
            found = unless_interrupted(Box::pin(again)).await?;
        }
    }
    let_all_go(found, wait, ui).await
}

fn shown(letting: &LettingGo) -> HeldSide {
    let owners = letting.held().map(ToString::to_string).collect();
    let place = &letting.side().facts.survey.place;
    HeldSide::found(place, owners, letting.to_commit())
}

/// Who is held at each site. A move that is not finished is in the way, but for a release, which is taken over.
async fn look(
    args: &ReleaseArgs,
    limits: Limits,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<(Vec<LettingGo>, LookedAt), Failure> {
    if args.file.is_none() && !args.dry_run {
        super::refuse_unnamed(args.contexts.first().map(String::as_str))?;
    }
    let asked = Asked {
        file: args.file.as_deref(),
        named: Some(&args.cluster),
        contexts: &args.contexts,
        everywhere: false,
        changes: true,
    };
    let looked_at = LookedAt::open(asked, session, ui).await?;
    let cluster = looked_at.cluster.as_deref().unwrap_or(&args.cluster);
    let found = find(&looked_at.sites, cluster, limits).await?;
    Ok((found, looked_at))
}

/// Who is held at each of these sites for the cluster.
///
/// # Errors
/// A site cannot be seen, or a move is not finished there.
pub(super) async fn find(
    sites: &[SiteClient],
    cluster: &str,
    limits: Limits,
) -> Result<Vec<LettingGo>, Failure> {
    let mut found = Vec::new();
    for site in sites {
        let side = one_side::survey(site, cluster, Part::Source).await?;
        let unfinished = moving::unfinished_of([&side]);
        let record: Option<Box<MoveRecord>> = unfinished.and_then(|unfinished| unfinished.record);
        if record
            .as_ref()
            .is_none_or(|record| record.action != Action::Release)
        {
            moving::refuse_unfinished(&[&side])?;
        }
        let letting = Box::pin(LettingGo::of(side, record.as_deref(), limits)).await;
        found.push(letting.map_err(|error| unseen(&error))?);
    }
    Ok(found)
}

/// Lets them go, one site after the other; with 3 where some stay held.
pub(super) async fn let_all_go(
    found: Vec<LettingGo>,
    wait: Duration,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let mut held: Vec<HeldSide> = found.iter().map(shown).collect();
    for letting in found.iter().filter(|one| one.held().next().is_some()) {
        let place = &letting.side().facts.survey.place;
        ui.note(&format!(
            "What Git is to say of {place}: {}.",
            letting.to_commit()
        ));
    }
    let mut ended = Exit::Done;
    for (mut letting, side) in found.into_iter().zip(&mut held) {
        match Box::pin(let_go(wait, &mut letting, ui)).await {
            Ok(()) => side.let_go(),
            Err(failure) if failure.exit == Exit::Refused => {
                ui.complain(&failure);
                ended = Exit::Refused;
            }
            Err(failure) => return Err(failure),
        }
    }
    moving::show_last(&ReleaseView::new(held), ui)?;
    Ok(ended)
}

fn unseen(error: &StepError) -> Failure {
    Failure::refused("the owners cannot be let go now").because(vec![chain_of(error)])
}

/// Waits until the sources of a side may say what it is, and tries; again when they say otherwise.
async fn let_go(wait: Duration, letting: &mut LettingGo, ui: &Ui) -> Result<(), Failure> {
    let place = letting.side().facts.survey.place.clone();
    let deadline = clock::monotonic() + wait;
    let mut told = String::new();
    loop {
        let waited = await_until(deadline, LOOK, async || {
            let readiness = letting.look().await.map_err(|error| unseen(&error))?;
            Ok::<_, Failure>(match readiness {
                Readiness::NoneHeld => Look::Settled(false),
                Readiness::MayGo => Look::Settled(true),
                Readiness::NotYet(because) => {
                    if because != told {
                        ui.note(&format!("{place} waits for Git: {because}."));
                        told.clone_from(&because);
                    }
                    Look::NotYet(because)
                }
            })
        });
        match unless_interrupted(waited).await? {
            Settlement::Settled(false) => return Ok(()),
            Settlement::Settled(true) => {
                if try_once(letting, ui)
                    .await
                    .map_err(|error| stopped(&error, &place))?
                {
                    return Ok(());
                }
            }
            Settlement::TimedOut { last_seen } => {
                let because = last_seen.unwrap_or_else(|| "nothing was seen in time".to_owned());
                return Err(stays_held(letting, &place, because));
            }
        }
    }
}

async fn try_once(letting: &mut LettingGo, ui: &Ui) -> Result<bool, MoveError> {
    let (interrupter, interrupt) = interrupter();
    let mut report = |event: &Event| moving::tell("ReleaseEvent", event, ui);
    let report: &mut Reporter<'_> = &mut report;
    let running = letting.run(interrupt, report);
    Box::pin(moving::interruptible(running, &interrupter, ui)).await
}

fn stays_held(letting: &LettingGo, place: &Place, because: String) -> Failure {
    let patch = letting.to_commit();
    let hint = format!(
        "Commit {patch} for {place}, then run `{}` again.",
        place.command("release")
    );
    Failure::refused(format!("the owners of {place} stay held"))
        .because(vec![because])
        .hinting(hint)
}

/// What is left behind is safe: the operator is paused, and Postgres is as it was.
fn stopped(error: &MoveError, place: &Place) -> Failure {
    let next = format!(
        "Look with `{}`, then run `{}` again: it goes on with what is left.",
        place.command("status"),
        place.command("release")
    );
    moving::failure(error, next)
}
