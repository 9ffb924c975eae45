//! `kubectl pgha validate`.

use pgha_core::clock;
use pgha_core::engine::Side;
use pgha_model::check::{Consent, validate};
use pgha_model::site::Part;

use crate::args::ValidateArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::validate::ValidationView;

/// Runs the command.
pub(crate) fn main(args: &ValidateArgs, environment: &Environment) -> Exit {
    super::read(&args.common, environment, async |session, ui| {
        run(args, session, ui).await
    })
}

async fn run(args: &ValidateArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    if args.from == args.to {
        return Err(Failure::usage("--from and --to name the same context"));
    }
    let (from, to) =
        tokio::try_join!(session.site(Some(&args.from)), session.site(Some(&args.to)))?;
    let (source, target) = tokio::join!(
        Side::open(from, &args.cluster, Part::Source),
        Side::open(to, &args.cluster, Part::Target)
    );
    let source = source.map_err(|error| Failure::from(&error))?;
    let target = target.map_err(|error| Failure::from(&error))?;
    let consent = Consent {
        managed: args.allow_managed,
    };
    let validation = validate(&source.facts, &target.facts, consent, clock::now());
    let (source, target) = (&source.facts.survey.place, &target.facts.survey.place);
    ui.show(&ValidationView::new(source, target, &validation))?;
    if validation.ready_for_switchover.ready {
        return Ok(Exit::Done);
    }
    let text = format!("{} is not ready for a switchover", args.cluster);
    let hint = "Mend what fails and run the same command again.";
    ui.complain(&Failure::refused(text).hinting(hint));
    Ok(Exit::Refused)
}
