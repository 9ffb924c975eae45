//! `kubectl pgha sync-secrets`.

use std::time::Duration;

use pgha_core::clock;
use pgha_core::diagnose::Diagnose as _;
use pgha_core::secret::{SecretError, SecretSide};
use pgha_core::survey::SurveyError;
use pgha_model::effect::Effect;
use pgha_model::secret::{Comparison, SecretRow, compare, judge_sync};

use crate::args::SyncSecretsArgs;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::{Ui, View as _};
use crate::view::sync_secrets::SecretsView;

/// How long the target's operator may take to make the connection strings anew.
const DERIVATION: Duration = Duration::from_secs(30);

/// Runs the command.
pub(crate) fn main(args: &SyncSecretsArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

async fn run(args: &SyncSecretsArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    if args.from == args.to {
        return Err(Failure::usage("--from and --to name the same context"));
    }
    let (source, target) = unless_interrupted(look(args, session)).await?;
    let rows = compare(&source.facts, &target.facts);
    let findings = judge_sync(&source.facts, &target.facts, args.allow_managed);
    let view = SecretsView::new(&source.facts, &target.facts, &rows, &findings);
    if !findings.is_empty() {
        ui.show(&view)?;
        let text = format!("the passwords of {} cannot be copied safely", args.cluster);
        ui.complain(&Failure::refused(text));
        return Ok(Exit::Refused);
    }
    let names = differing(&rows);
    if names.is_empty() || args.dry_run {
        ui.show(&view.planned(&source, &names))?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        let page = view.page(ui.detail());
        let question = format!(
            "Give {} the passwords of {} in {} Secrets?",
            args.to,
            args.from,
            names.len()
        );
        unless_interrupted(consent::ask(&page, &question, ui)).await?;
    }
    copy(&source, &target, &names).await?;
    verify(&source, &target, &names, ui).await?;
    show_result(args, session, ui, names).await
}

async fn look(
    args: &SyncSecretsArgs,
    session: &Session<'_>,
) -> Result<(SecretSide, SecretSide), Failure> {
    let (from, to) =
        tokio::try_join!(session.site(Some(&args.from)), session.site(Some(&args.to)))?;
    let (source, target) = tokio::join!(
        Box::pin(SecretSide::look(from, &args.cluster)),
        Box::pin(SecretSide::look(to, &args.cluster))
    );
    let read = |side: Result<SecretSide, SurveyError>| side.map_err(|error| Failure::from(&error));
    Ok((read(source)?, read(target)?))
}

fn differing(rows: &[SecretRow]) -> Vec<String> {
    let differ = rows
        .iter()
        .filter(|row| row.comparison == Comparison::Differs);
    differ.map(|row| row.name.clone()).collect()
}

/// One patch a Secret, each of which is whole by itself.
async fn copy(source: &SecretSide, target: &SecretSide, names: &[String]) -> Result<(), Failure> {
    for (done, name) in names.iter().enumerate() {
        if let Err(error) = source.copy_to(target, name).await {
            return Err(stopped(&error, done, names.len()));
        }
    }
    Ok(())
}

fn stopped(error: &SecretError, done: usize, all: usize) -> Failure {
    let (exit, effect) = match (error.effect(), done) {
        (Effect::Unknown, _) => (Exit::Held, Effect::Unknown),
        (Effect::None | Effect::Applied, 0) => (Exit::Refused, Effect::None),
        (Effect::None | Effect::Applied, _) => (Exit::Stopped, Effect::Applied),
    };
    let failure = Failure::stopped(exit, error.to_string(), effect)
        .because(vec![format!("{done} of {all} Secrets were copied")]);
    failure.hinting(error.hint().unwrap_or_else(|| {
        "Run the same command again: it compares anew and copies what still differs.".to_owned()
    }))
}

async fn verify(
    source: &SecretSide,
    target: &SecretSide,
    names: &[String],
    ui: &Ui,
) -> Result<(), Failure> {
    ui.note("Copied; reading the target back.");
    let deadline = clock::monotonic() + DERIVATION;
    let copied = async {
        let waited = source.await_copied(target, names, deadline).await;
        waited.map_err(|error| {
            Failure::stopped(Exit::Stopped, error.to_string(), Effect::Applied)
                .hinting("Run the same command again: it compares anew.")
        })
    };
    let late = match unless_interrupted(copied).await {
        Err(failure) if failure.exit == Exit::Interrupted => {
            let text = "interrupted; the passwords were copied, and not read back";
            return Err(Failure::stopped(Exit::Stopped, text, Effect::Applied));
        }
        result => result?,
    };
    if late.is_empty() {
        return Ok(());
    }
    let text = format!(
        "not everything in {} is as it should be after {} s",
        late.join(", "),
        DERIVATION.as_secs()
    );
    Err(
        Failure::stopped(Exit::Stopped, text, Effect::Applied).hinting(
            "Look at the target's operator: it makes the connection strings of password and verifier, unless it is \
             paused. Then run the same command again.",
        ),
    )
}

/// Looks at both sides again and shows them.
async fn show_result(
    args: &SyncSecretsArgs,
    session: &Session<'_>,
    ui: &Ui,
    copied: Vec<String>,
) -> Result<Exit, Failure> {
    let (source, target) = look(args, session).await.map_err(Failure::after_change)?;
    let rows = compare(&source.facts, &target.facts);
    let view = SecretsView::new(&source.facts, &target.facts, &rows, &[]);
    ui.show(&view.copied(copied))
        .map_err(Failure::after_change)?;
    let differ = differing(&rows);
    if differ.is_empty() {
        return Ok(Exit::Done);
    }
    let text = format!(
        "{} differs again: somebody else writes it",
        differ.join(", ")
    );
    Err(Failure::stopped(Exit::Stopped, text, Effect::Applied))
}
