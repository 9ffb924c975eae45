//! `kubectl pgha reset-password`.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use pgha_core::diagnose::chain_of;
use pgha_core::engine::{PasswordSight, ResetRun, Side, Told};
use pgha_core::secret::GivenPassword;
use pgha_model::check::{PeerSight, ResetConsent, ResetFacts};
use pgha_model::plan::Refusal;
use pgha_model::reset::{ResetPlan, plan_reset};
use pgha_model::site::Part;

use super::{moving, one_side, upkeep};
use crate::args::ResetPasswordArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::given;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::reset_password::{ResetPlanView, ResetView};

/// As much as is read of a file: more than a password may be.
const LONGEST_FILE: u64 = 4096;

/// Runs the command.
pub(crate) fn main(args: &ResetPasswordArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

/// One side, with what was seen of its passwords.
type Seen = (Side, PasswordSight);

async fn run(args: &ResetPasswordArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let given = unless_interrupted(read_given(args.password_file.as_deref())).await?;
    let (here, peer) = unless_interrupted(Box::pin(look(args, session, ui))).await?;
    let sides = std::iter::once(&here).chain(peer.iter());
    let sides: Vec<_> = sides.map(|(side, _)| side).collect();
    moving::refuse_unfinished(&sides)?;
    let place = here.0.facts.survey.place.clone();
    let plan = match plan(args, &here, &peer, given.is_some()) {
        Ok(plan) => plan,
        Err(refusal) => {
            let text = format!(
                "{} of {place} cannot get a new password safely now",
                args.user
            );
            let sides = ("this side", "the other side");
            return one_side::refuse("ResetRefusal", &refusal, sides, text, ui);
        }
    };
    let view = ResetPlanView::new(&plan);
    let question = format!(
        "Give {} of {} a new password now?",
        args.user, place.cluster
    );
    if !upkeep::goes_ahead(&view, view.summary(), Some(question), &args.upkeep, ui).await? {
        return Ok(Exit::Done);
    }
    let next = next(&plan);
    let there = peer.ok().map(|(_, sight)| sight);
    let running = ResetRun::new(plan, here, there, given, upkeep::limit(&args.upkeep));
    let work = async |interrupt, tell: &mut Told<'_>| running.run(interrupt, tell).await;
    let show = |outcome: &_| ui.show(&ResetView::of(outcome));
    Box::pin(upkeep::see_through(work, show, next, ui)).await
}

fn plan(
    args: &ResetPasswordArgs,
    (side, sight): &Seen,
    peer: &Result<Seen, String>,
    given: bool,
) -> Result<ResetPlan, Refusal> {
    let seen = peer.as_ref().map(|(side, sight)| sight.facts(side));
    let facts = ResetFacts {
        user: &args.user,
        secret: &side.secret_of(&args.user),
        users: &side.users(),
        here: sight.facts(side),
        peer: PeerSight::of(seen.map_err(String::as_str), args.pair.alone),
    };
    let consent = ResetConsent {
        managed: args.allow_managed,
        others: args.allow_others,
    };
    plan_reset(&facts, given, consent)
}

/// What to do where it stopped after the change.
fn next(plan: &ResetPlan) -> String {
    let again = "The same command again makes another one";
    match &plan.peer {
        Some(peer) => format!(
            "See with `{} --dry-run` whose password Postgres holds; without --dry-run it brings that to the other side. {again}.",
            plan.place.command_toward("sync-secrets", peer)
        ),
        None => format!("{again}."),
    }
}

async fn look(
    args: &ResetPasswordArgs,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<(Seen, Result<Seen, String>), Failure> {
    let asked = (args.cluster.as_str(), &args.upkeep, &args.pair);
    let (client, cluster, peer) = upkeep::here(asked, session, ui).await?;
    let side = one_side::survey(&client, &cluster, Part::Source).await?;
    let peer = one_side::find_peer(peer.as_deref(), &side, Part::Target, session, ui).await?;
    let (here, there) = tokio::join!(
        Box::pin(PasswordSight::look(&side, &args.user)),
        Box::pin(look_there(peer, &args.user))
    );
    let here = here.map_err(|error| Failure::from(&error))?;
    Ok(((side, here), there))
}

async fn look_there(peer: one_side::Peer, user: &str) -> Result<Seen, String> {
    let side = peer?;
    let sight = PasswordSight::look(&side, user).await;
    let sight = sight.map_err(|error| chain_of(&error))?;
    Ok((side, sight))
}

/// The password that a person brings, where one does.
async fn read_given(path: Option<&Path>) -> Result<Option<GivenPassword>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    if path == Path::new("-") && io::stdin().is_terminal() {
        let text = "--password-file - reads standard input, and a terminal shows what is typed";
        return Err(Failure::usage(text).hinting("Give it by a pipe or by a file."));
    }
    let (bytes, shown) = given::read(path, LONGEST_FILE).await?;
    GivenPassword::read(&bytes)
        .map(Some)
        .map_err(|error| Failure::usage(format!("there is no password in {shown}: {error}")))
}
