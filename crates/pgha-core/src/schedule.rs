//! The backup schedules of a site.

use k8s_openapi::api::batch::v1::CronJob;
use kube::{Api, ResourceExt as _};
use pgha_model::schedule::{Schedule, Schedules};
use serde_json::Value;

use crate::client::{CallError, SiteClient};
use crate::diagnose::sanitised;
use crate::k8s::ListParams;
use crate::operator::pgo_v5::backup::{schedules_asked, schedules_selector};

/// Reads the schedules that a site has, beside those that its object asks for.
pub async fn list_schedules(
    site: &SiteClient,
    cluster: &str,
    object: &Value,
) -> Result<Schedules, CallError> {
    let api: Api<CronJob> = Api::namespaced(site.client.clone(), &site.namespace);
    let params = ListParams::default().labels(&schedules_selector(cluster));
    let listed = site.call("list", "cronjobs", api.list(&params)).await?;
    let read = |job: CronJob| Schedule {
        name: sanitised(&job.name_any()),
        suspended: job.spec.and_then(|spec| spec.suspend).unwrap_or(false),
    };
    Ok(Schedules {
        asked: schedules_asked(cluster, object),
        present: listed.items.into_iter().map(read).collect(),
    })
}
