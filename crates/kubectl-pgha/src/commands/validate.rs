//! `kubectl pgha validate`.

use pgha_core::clock;
use pgha_model::check::validate;

use super::between::{Asked, Between};
use super::following::Followers;
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
    let between = Between::read(&args.between, false, session, ui).await?;
    let (source, target) = between.open(session).await?;
    let consent = args.owners.consent();
    let validation = validate(&source.facts, &target.facts, consent, clock::now());
    let asked = Asked {
        leaves: true,
        ..Asked::to_target([&source, &target])
    };
    let arrival = session.settings().request_timeout;
    let followers = between.followers(asked, arrival, session).await?;
    let planned = between.planned().await;
    let (source, target) = (&source.facts.survey.place, &target.facts.survey.place);
    let desired = planned.as_ref().ok().and_then(Option::as_ref);
    ui.show(&ValidationView::new(source, target, &validation, desired))?;
    let is_ready = validation.ready_for_switchover.ready;
    if !is_ready {
        let text = format!("{} is not ready for a switchover", between.cluster);
        let hint = "Mend what fails and run the same command again.";
        ui.complain(&Failure::refused(text).hinting(hint));
    }
    for remark in followers.iter().flat_map(Followers::remarks) {
        ui.note(remark);
    }
    let mut could_follow = true;
    let doubts = followers.iter().flat_map(Followers::doubts);
    for doubt in doubts.chain(planned.as_ref().err()) {
        could_follow = false;
        ui.complain(doubt);
    }
    Ok(if is_ready && could_follow {
        Exit::Done
    } else {
        Exit::Refused
    })
}
