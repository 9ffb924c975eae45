//! `kubectl pgha leader`.

use pgha_core::clock;
use pgha_core::survey::{Depth, ask_postgres_instead, survey_site};
use pgha_model::leader::{LeaderVerdict, judge_leader};
use pgha_model::survey::SiteSurvey;

use crate::args::{Format, LeaderArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::leader::LeaderView;

/// Runs the command.
pub(crate) fn main(args: &LeaderArgs, environment: &Environment) -> Exit {
    super::read(&args.common, environment, async |session, ui| {
        run(args, session, ui).await
    })
}

async fn run(args: &LeaderArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let site = session.site(args.context.as_deref()).await?;
    super::tell_current(ui, args.context.as_deref(), &site);
    let mut survey = survey_site(&site, &args.cluster, Depth::Leader)
        .await
        .map_err(|error| Failure::from(&error))?;
    ask_postgres_instead(&site, &mut survey).await;
    let now = clock::now();
    let verdict = judge_leader(&survey, now);
    let refusal = refusal(&survey, &verdict);
    // A script that takes a name takes it for the leader's: without agreement there is none.
    if refusal.is_none() || ui.format != Format::Name {
        ui.show(&LeaderView::new(&survey, &verdict, now))?;
    }
    Ok(match refusal {
        None => Exit::Done,
        Some(refusal) => {
            ui.complain(&refusal);
            refusal.exit
        }
    })
}

fn refusal(survey: &SiteSurvey, verdict: &LeaderVerdict<'_>) -> Option<Failure> {
    if verdict.disagreements.is_empty() {
        return None;
    }
    let place = &survey.place;
    let message = if verdict.member.is_none() {
        format!("{place} has no leader that could be shown")
    } else {
        format!("the evidence about the leader of {place} disagrees")
    };
    let refusal = Failure::refused(message).because(verdict.disagreements.clone());
    Some(if survey.lock.as_seen().is_some() {
        refusal.hinting("Look again after Patroni's next turn; where it stays, look at its log.")
    } else {
        refusal
    })
}
