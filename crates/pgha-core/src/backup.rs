//! Backups on request: look whether one may be asked for, ask, follow it to its own end, and read what it left.
//!
//! A request that the operator cannot serve is kept without a word, so everything is looked at before, and nothing counts
//! as accepted or done but by the request's own id.

mod follow;
mod repository;

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use pgha_model::backup::{BackupFacts, BackupJob, BackupPlan, RequestState, state_of_request};
use pgha_model::effect::Effect;
use pgha_model::observed::Observed;
use pgha_model::survey::ClusterObject;
use serde_json::Value;

pub use self::follow::{BackupEvent, Ended, FollowError, Followed, await_accepted, follow};
pub use self::repository::{RepositoryError, fetch_info, verify};
use crate::client::{CallError, CallKind, SiteClient};
use crate::clock;
use crate::diagnose::{Diagnose as _, chain_of};
use crate::exec::Container;
use crate::k8s::ListParams;
use crate::operator::pgo_v5::{self, DATABASE_CONTAINER, backup as pgo_backup};
use crate::patch::{ObjectPatch, patch_object};
use crate::survey::{Depth, SurveyError, survey_site};

/// A site as it was before a backup is asked for.
#[derive(Clone, Debug)]
pub struct BackupSite {
    /// Everything that decides.
    pub facts: BackupFacts,
    /// The object as it was read: the request rests on it.
    object: Value,
}

impl BackupSite {
    /// Reads everything. Errs when the object, the pods or the Jobs cannot be read; what pgBackRest would say is `Unseen`
    /// where no command may be run.
    pub async fn look(site: &SiteClient, cluster: &str) -> Result<Self, SurveyError> {
        // The object is read before the survey: the patch then rests on what is no newer than what was judged.
        let object = fetch_object(site, cluster).await;
        let survey = survey_site(site, cluster, Depth::Leader).await?;
        let object = object.map_err(SurveyError::Call)?;
        let jobs = list_jobs(site, cluster).await.map_err(SurveyError::Call)?;
        let leader = survey.lock_holder().map(|member| database(&member.pod));
        let info = match &leader {
            Some(leader) => match fetch_info(site, leader).await {
                Ok(info) => Observed::Seen(info),
                Err(error) => Observed::unseen(chain_of(&error)),
            },
            None => Observed::unseen("there is no leader to ask"),
        };
        Ok(Self {
            facts: BackupFacts {
                spec: pgo_backup::read_spec(&object),
                survey,
                jobs,
                info,
            },
            object,
        })
    }

    /// The container in which pgBackRest can be asked.
    pub fn leader(&self) -> Option<Container> {
        let leader = self.facts.survey.lock_holder()?;
        Some(database(&leader.pod))
    }

    /// The patch that asks for a backup with this id.
    pub fn request(&self, id: &str, plan: &BackupPlan) -> ObjectPatch {
        let name = &self.facts.survey.place.cluster;
        pgo_backup::request(&self.object, name, id, plan)
    }
}

/// A new id, as the operator's own plugin makes them: the time, here to the millisecond, and a mark of who asked.
pub fn new_id() -> String {
    format!("pgha-{}", clock::now().strftime("%Y%m%dT%H%M%S%3fZ"))
}

/// How sending a request ended.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The object is no longer what was judged: nothing was changed, and everything is to be looked at again.
    #[error("the object changed in between")]
    Changed(#[source] CallError),
    /// The request was refused, or it is not known whether it took hold.
    #[error(transparent)]
    Call(CallError),
}

/// Sends a request. Where no answer comes, the object itself tells whether it took hold.
pub async fn send(site: &SiteClient, patch: &ObjectPatch, id: &str) -> Result<(), RequestError> {
    let sent = patch_object(site, &pgo_v5::resource(), patch).await;
    let error = match sent {
        Ok(_) => return Ok(()),
        Err(error) if error.kind == CallKind::TestFailed => {
            return Err(RequestError::Changed(error));
        }
        Err(error) => error,
    };
    if error.effect() == Effect::Unknown
        && let Ok(object) = fetch_status(site, &patch.name).await
        && object.requested_backup.as_deref() == Some(id)
    {
        return Ok(());
    }
    Err(RequestError::Call(error))
}

/// Takes a request back. `Ok(false)`: it is too late, the operator has taken it up or somebody else has asked.
pub async fn withdraw(site: &SiteClient, cluster: &str, id: &str) -> Result<bool, CallError> {
    let patch = pgo_backup::withdraw(cluster, id);
    match patch_object(site, &pgo_v5::resource(), &patch).await {
        Ok(_) => {}
        Err(error) if error.kind == CallKind::TestFailed => return Ok(false),
        Err(error) => return Err(error),
    }
    let object = fetch_status(site, cluster).await?;
    Ok(state_of_request(&object, id) == RequestState::NotAccepted)
}

/// The Jobs that make backups.
pub(crate) async fn list_jobs(
    site: &SiteClient,
    cluster: &str,
) -> Result<Vec<BackupJob>, CallError> {
    let api: Api<Job> = Api::namespaced(site.client.clone(), &site.namespace);
    let params = ListParams::default().labels(&pgo_backup::jobs_selector(cluster));
    let jobs = site.call("list", "jobs", api.list(&params)).await?;
    let read = |job: &Job| pgo_backup::read_job(&serde_json::to_value(job).ok()?);
    Ok(jobs.items.iter().filter_map(read).collect())
}

pub(crate) async fn fetch_status(
    site: &SiteClient,
    cluster: &str,
) -> Result<ClusterObject, CallError> {
    let api = site.objects(&pgo_v5::resource());
    let object = format!("postgrescluster {cluster}");
    let object = site.call("get", &object, api.get(cluster)).await?;
    Ok(pgo_v5::read_object(&object))
}

async fn fetch_object(site: &SiteClient, cluster: &str) -> Result<Value, CallError> {
    let api = site.objects(&pgo_v5::resource());
    let what = format!("postgrescluster {cluster}");
    let object = site.call("get", &what, api.get(cluster)).await?;
    serde_json::to_value(object)
        .map_err(|error| CallError::new(site, "get", what, kube::Error::SerdeError(error)))
}

fn database(pod: &str) -> Container {
    Container {
        pod: pod.to_owned(),
        name: DATABASE_CONTAINER.to_owned(),
    }
}
