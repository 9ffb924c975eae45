//! The Job that watches a move at its source.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use pgha_model::record::Epoch;
use serde_json::{Value, json};

use crate::client::FIELD_MANAGER;
use crate::clock;
use crate::diagnose::sanitised;
use crate::engine::side::{Side, settled};
use crate::engine::{Limits, StepError};
use crate::settle::{Look, await_until};

/// Pause between two looks at its pod.
const LOOK: Duration = Duration::from_millis(500);

/// On the Job's pod: its Job. The label of Kubernetes itself has changed its name (1.27).
const LABEL: &str = "pgha.dev/deadline-job";

/// How long a Job that has ended stays, with its log.
const KEPT: Duration = Duration::from_hours(1);

/// How long it lives beyond its patience: one whose image is never found would wait for ever.
const LIVES: Duration = Duration::from_hours(24);

/// How often its container may start again: the kubelet waits longer each time, up to five minutes.
const RESTARTS: u32 = 1_000;

/// How long one look at what it may do may take, and how many may fail before it is started again.
const CHECK: Duration = Duration::from_secs(10);
const CHECKS: u32 = 60;

/// The user and group of its process, which needs none of its own in the image.
const USER: u32 = 65_532;

/// What is run at the source, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineJob {
    /// An image that has `kubectl-pgha` on its `PATH`.
    pub image: String,
    /// A `ServiceAccount` of the cluster's namespace that is permitted what the operator's role permits.
    pub account: String,
}

impl DeadlineJob {
    /// Its name for a move of this epoch.
    pub fn name(cluster: &str, epoch: Epoch) -> String {
        format!("{cluster}-pgha-{epoch}")
    }

    fn manifest(&self, at: &Side, epoch: Epoch, limits: Limits) -> Value {
        let (cluster, namespace) = (&at.cluster, &at.site.namespace);
        let name = Self::name(cluster, epoch);
        let labels = json!({
            "app.kubernetes.io/managed-by": FIELD_MANAGER,
            "pgha.dev/cluster": cluster,
            LABEL: &name,
        });
        let seconds = |duration: Duration| format!("{}s", duration.as_secs().max(1));
        let command = [
            "kubectl-pgha".to_owned(),
            "deadline".to_owned(),
            cluster.clone(),
            format!("--namespace={namespace}"),
            format!("--epoch={epoch}"),
            format!("--job={name}"),
            format!("--after={}", seconds(limits.patience())),
            format!("--timeout={}", seconds(limits.step)),
        ];
        let check = [command.as_slice(), &["--check".to_owned()]].concat();
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "backoffLimit": RESTARTS,
                "activeDeadlineSeconds": (limits.patience() + LIVES).as_secs(),
                "ttlSecondsAfterFinished": KEPT.as_secs(),
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "restartPolicy": "OnFailure",
                        "serviceAccountName": self.account,
                        "securityContext": {
                            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [{
                            "name": "deadline",
                            "image": self.image,
                            "command": command,
                            // Until it has shown that it may do what it is there for, nothing rests on it.
                            "startupProbe": {"exec": {"command": check}, "periodSeconds": 1,
                                "timeoutSeconds": CHECK.as_secs(), "failureThreshold": CHECKS},
                            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                            "securityContext": {
                                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }],
                    },
                },
            },
        })
    }
}

/// Creates the Job at a side and waits until its container runs and may do what it is there for. Its name.
pub(in crate::engine) async fn place(
    job: &DeadlineJob,
    at: &Side,
    epoch: Epoch,
    limits: Limits,
) -> Result<String, StepError> {
    let name = DeadlineJob::name(&at.cluster, epoch);
    let manifest = job.manifest(at, epoch, limits);
    let object: Job =
        serde_json::from_value(manifest).map_err(|error| StepError::BasisChanged {
            what: format!("the Job {name} cannot be written: {error}"),
        })?;
    let api: Api<Job> = Api::namespaced(at.site.client.clone(), &at.site.namespace);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let what = format!("job {name}");
    at.site
        .call("create", &what, api.create(&params, &object))
        .await?;
    await_watching(at, &name, limits.step).await?;
    Ok(name)
}

/// Waits until the container of a side's Job runs.
pub(in crate::engine) async fn await_watching(
    at: &Side,
    job: &str,
    limit: Duration,
) -> Result<(), StepError> {
    let pods: Api<Pod> = Api::namespaced(at.site.client.clone(), &at.site.namespace);
    let params = ListParams::default().labels(&format!("{LABEL}={job}"));
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let listed = at.site.call("list", "pods", pods.list(&params)).await?;
        let mut states = listed.items.iter().map(state);
        Ok::<_, StepError>(match states.find(Result::is_ok) {
            Some(_) => Look::Settled(()),
            None => Look::NotYet(match listed.items.iter().find_map(|pod| state(pod).err()) {
                Some(why) => format!("the pod of {job} does not run: {why}"),
                None => format!("{job} has no pod"),
            }),
        })
    });
    settled(
        "the start of the Job that goes back at the deadline",
        limit,
        settlement.await?,
    )
}

/// Whether a pod's container runs; why not, as the kubelet says.
fn state(pod: &Pod) -> Result<(), String> {
    let status = pod.status.as_ref();
    let container = status.and_then(|status| status.container_statuses.as_ref()?.first());
    if container.is_some_and(|container| container.ready) {
        return Ok(());
    }
    let state = container.and_then(|container| container.state.as_ref());
    let is_running = state.is_some_and(|state| state.running.is_some());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref());
    let phase = || status.and_then(|status| status.phase.clone());
    let unproved =
        "it has not shown yet that it may go back to the source; its pod's events say why";
    let why = waiting
        .and_then(|waiting| waiting.reason.clone())
        .or_else(|| is_running.then(|| unproved.to_owned()))
        .or_else(|| ended.map(|ended| format!("it ended with {}", ended.exit_code)))
        .or_else(phase);
    Err(sanitised(
        &why.unwrap_or_else(|| "it has no state".to_owned()),
    ))
}

#[cfg(test)]
mod tests {
    use pgha_model::site::Part;
    use pgha_testkit::FakeCluster;
    use pgha_testkit::pgo::PgoSite;

    use super::*;
    use crate::client::SiteClient;

    const NAMESPACE: &str = "prod";
    const LIMIT: Duration = Duration::from_secs(5);
    const LIMITS: Limits = Limits::each(LIMIT);

    fn job() -> DeadlineJob {
        DeadlineJob {
            image: "pgha:1".to_owned(),
            account: "pgha-deadline".to_owned(),
        }
    }

    async fn source(cluster: &FakeCluster) -> Side {
        let site = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
        let opened = Box::pin(Side::open(site, "db", Part::Source)).await;
        opened.unwrap()
    }

    fn pod(state: &Value, ready: bool) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "db-pgha-7-x", "namespace": NAMESPACE, "labels": {LABEL: "db-pgha-7"}},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "deadline", "ready": ready,
                "restartCount": 0, "image": "pgha:1", "imageID": "", "state": state}]}})
    }

    #[tokio::test(start_paused = true)]
    async fn the_job_is_placed_and_its_container_seen_before_anything_rests_on_it() {
        let cluster = PgoSite::primary("db", NAMESPACE, clock::now()).build();
        let at = source(&cluster).await;
        let placed = Box::pin(place(&job(), &at, Epoch(7), LIMITS)).await;
        let told = placed.unwrap_err().to_string();
        assert!(told.contains("db-pgha-7 has no pod"), "{told}");
        cluster.insert(pod(&json!({"waiting": {"reason": "ErrImagePull"}}), false));
        let told = await_watching(&at, "db-pgha-7", LIMIT).await.unwrap_err();
        assert!(told.to_string().contains("ErrImagePull"), "{told}");
        cluster.insert(pod(&json!({"running": {}}), true));
        await_watching(&at, "db-pgha-7", LIMIT).await.unwrap();
        let object = cluster.object("jobs", NAMESPACE, "db-pgha-7").unwrap();
        let spec = &object["spec"]["template"]["spec"];
        assert_eq!(spec["serviceAccountName"], "pgha-deadline");
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        let command = spec["containers"][0]["command"].as_array().unwrap();
        for word in [
            "deadline",
            "db",
            "--epoch=7",
            "--job=db-pgha-7",
            "--after=15s",
        ] {
            assert!(command.iter().any(|one| one == word), "{word}: {command:?}");
        }
        // No selector of the operator may take its pod for one of the cluster's.
        let labels = object["spec"]["template"]["metadata"]["labels"].as_object();
        let is_operators = |key: &String| key.starts_with("postgres-operator.");
        assert!(!labels.unwrap().keys().any(is_operators));
    }
}
