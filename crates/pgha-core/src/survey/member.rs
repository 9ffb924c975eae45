//! Reading a member's pod.

use kube::ResourceExt as _;
use pgha_model::member::{InvalidMemberStatus, MemberStatus};
use pgha_model::observed::Observed;
use pgha_model::survey::{Images, Member};
use serde::Deserialize;
use serde_json::Value;

use super::said;
use crate::diagnose::sanitised;
use crate::k8s::Object;
use crate::operator::pgo_v5::{BACKREST_CONTAINER, DATABASE_CONTAINER, ROLE_LABEL};

/// A pod with the few fields that a survey needs: whole pods cost memory and time.
pub(super) type Pod = Object<PodSpec, PodStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    node_name: Option<String>,
    #[serde(default)]
    containers: Vec<PodContainer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct PodContainer {
    name: String,
    image: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodStatus {
    phase: Option<String>,
    #[serde(default)]
    conditions: Vec<PodCondition>,
    #[serde(default)]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ContainerStatus {
    name: String,
    #[serde(default)]
    state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ContainerState {
    waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Waiting {
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// kubelet's words for a container that does not start as its pod is (kubelet source, `images/types.go` and
/// `kuberuntime/kuberuntime_container.go`).
const STUCK: [&str; 7] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// Reads a pod into a member that nobody has asked yet.
pub(super) fn read_pod(pod: &Pod) -> Member {
    let status = pod.status.as_ref();
    let phase = status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Unknown");
    Member {
        pod: sanitised(&pod.name_any()),
        uid: sanitised(pod.metadata.uid.as_deref().unwrap_or_default()),
        node: pod.spec.node_name.as_deref().map(sanitised),
        phase: sanitised(phase),
        ready: status.is_some_and(is_ready),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        role_label: pod.labels().get(ROLE_LABEL).map(|label| sanitised(label)),
        images: Images {
            postgres: image(pod, DATABASE_CONTAINER),
            pgbackrest: image(pod, BACKREST_CONTAINER),
        },
        stuck: status.and_then(stuck),
        status: annotated_status(pod),
        live: Observed::unseen("it was not asked"),
    }
}

fn image(pod: &Pod, container: &str) -> Option<String> {
    let mut containers = pod.spec.containers.iter();
    let found = containers.find(|one| one.name == container)?;
    found.image.as_deref().map(sanitised)
}

/// What keeps a container from starting, where it does not go away by itself with the next look: an image that is still
/// pulled or tried once more is none.
fn stuck(status: &PodStatus) -> Option<String> {
    let containers = status.init_container_statuses.iter();
    let mut waiting = containers
        .chain(&status.container_statuses)
        .filter_map(|container| Some((container, container.state.waiting.as_ref()?)));
    waiting.find_map(|(container, waiting)| {
        let reason = waiting.reason.as_deref()?;
        STUCK.contains(&reason).then(|| {
            let message = waiting.message.as_deref().unwrap_or("no reason was given");
            sanitised(&format!(
                "{} of it is in {reason}: {message}",
                container.name
            ))
        })
    })
}

fn is_ready(status: &PodStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.kind == "Ready" && condition.status == "True")
}

fn annotated_status(pod: &Pod) -> Observed<MemberStatus> {
    let Some(json) = pod.annotations().get("status") else {
        return Observed::unseen("the pod has no status annotation");
    };
    match read_status(json) {
        Ok(status) => Observed::Seen(status),
        Err(error) => Observed::unseen(said(&error)),
    }
}

/// Reads a member's description of itself, every text in it made fit for a terminal.
pub fn read_status(json: &str) -> Result<MemberStatus, InvalidMemberStatus> {
    match serde_json::from_str::<Value>(json) {
        Ok(mut description) => {
            sanitise_texts(&mut description);
            MemberStatus::from_json(&description.to_string())
        }
        Err(_) => MemberStatus::from_json(json),
    }
}

fn sanitise_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = sanitised(text),
        Value::Array(items) => items.iter_mut().for_each(sanitise_texts),
        Value::Object(fields) => fields.values_mut().for_each(sanitise_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
