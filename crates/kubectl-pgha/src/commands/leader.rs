//! `kubectl pgha leader`.

use pgha_core::client::SiteClient;
use pgha_core::clock;
use pgha_core::diagnose::causes;
use pgha_core::exec::Container;
use pgha_core::operator::pgo_v5::DATABASE_CONTAINER;
use pgha_core::postgres::{Psql, SqlError};
use pgha_core::survey::{Depth, survey_site};
use pgha_model::leader::{LeaderVerdict, judge_leader};
use pgha_model::observed::Observed;
use pgha_model::postgres::PostgresFacts;
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
    super::read(
        &args.site,
        &args.output,
        environment,
        async |session, ui| run(args, session, ui).await,
    )
}

async fn run(args: &LeaderArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let site = session.site(args.context.as_deref()).await?;
    super::tell_current(ui, args.context.as_deref(), &site);
    let mut survey = survey_site(&site, &args.cluster, Depth::Leader)
        .await
        .map_err(|error| Failure::from(&error))?;
    ask_postgres(&site, &mut survey).await;
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

/// Asks Postgres in the leader's container, where Patroni could not be asked: `pods/exec` may be permitted where
/// `pods/proxy` is not.
async fn ask_postgres(site: &SiteClient, survey: &mut SiteSurvey) {
    let Some(pod) = survey.lock_holder().map(|member| member.pod.clone()) else {
        return;
    };
    let Some(leader) = survey.members.iter_mut().find(|member| member.pod == pod) else {
        return;
    };
    let Err(because) = leader.live.seen().map_err(str::to_owned) else {
        return;
    };
    if leader.phase != "Running" {
        return;
    }
    leader.live = match fetch_facts(site, pod).await {
        Ok(facts) => Observed::Seen(facts.as_lock_holder()),
        Err(error) => {
            let failed = Failure::refused(error.to_string()).because(causes(&error));
            Observed::unseen(format!("{because}; {}", failed.in_one_line()))
        }
    };
}

async fn fetch_facts(site: &SiteClient, pod: String) -> Result<PostgresFacts, SqlError> {
    let container = Container {
        pod,
        name: DATABASE_CONTAINER.to_owned(),
    };
    let mut psql = Psql::open(site, &container, site.request_timeout).await?;
    psql.facts(site.request_timeout).await
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
