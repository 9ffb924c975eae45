//! Asking the leader's Postgres, through exec, what Patroni could not be asked or does not say.

use pgha_model::observed::Observed;
use pgha_model::postgres::PostgresFacts;
use pgha_model::survey::{Member, SiteSurvey};

use super::said;
use crate::client::SiteClient;
use crate::diagnose::sanitised;
use crate::exec::Container;
use crate::operator::pgo_v5::DATABASE_CONTAINER;
use crate::postgres::{Psql, SqlError};

/// Asks Postgres in the leader's container, where Patroni could not be asked: `pods/exec` may be permitted where
/// `pods/proxy` is not. Where neither answers, the member is `Unseen` with both reasons.
///
/// Does nothing when the leader answered already, does not run, or is not known.
pub async fn ask_postgres_instead(site: &SiteClient, survey: &mut SiteSurvey) {
    let Some(leader) = running_leader(survey) else {
        return;
    };
    let Err(because) = leader.live.seen().map_err(str::to_owned) else {
        return;
    };
    leader.live = match fetch_facts(site, &leader.pod).await {
        Ok(facts) => {
            let mut status = facts.as_lock_holder();
            // Postgres does not know it, and it does not change while the pod lives.
            let on_pod = leader.status.as_seen();
            status.patroni = on_pod.and_then(|status| status.patroni);
            Observed::Seen(status)
        }
        Err(error) => Observed::unseen(format!("{because}; {}", said(&error))),
    };
}

/// Asks the leader's Postgres what its control file has on record, beside what Patroni said. Where it cannot be asked the
/// survey stays as it is.
pub async fn ask_for_record(site: &SiteClient, survey: &mut SiteSurvey) {
    let Some(leader) = running_leader(survey) else {
        return;
    };
    let Observed::Seen(live) = &mut leader.live else {
        return;
    };
    if let Ok(facts) = fetch_facts(site, &leader.pod).await {
        live.reached = facts.reached();
    }
}

fn running_leader(survey: &mut SiteSurvey) -> Option<&mut Member> {
    let pod = survey.lock_holder()?.pod.clone();
    let mut members = survey.members.iter_mut();
    members.find(|member| member.pod == pod && member.phase == "Running")
}

async fn fetch_facts(site: &SiteClient, pod: &str) -> Result<PostgresFacts, SqlError> {
    let container = Container {
        pod: pod.to_owned(),
        name: DATABASE_CONTAINER.to_owned(),
    };
    let mut psql = Psql::open(site, &container, site.request_timeout).await?;
    let mut facts = psql.facts(site.request_timeout).await?;
    for receiver in &mut facts.receivers {
        receiver.application_name = sanitised(&receiver.application_name);
    }
    Ok(facts)
}
