//! Makes a pair: the primary with its first backup, the users' passwords, then the standby, until it really replays.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::manifest::{self, Side, postgres_cluster};
use super::sql::{leader, members, patroni_status, pod_name, query};
use super::{Pair, Standby, USER, certificate};
use crate::kubectl::Kubectl;
use crate::progress::Progress;
use crate::site::{SERVICE_NAMESPACE, Site};
use crate::wait;

const PRIMARY_DEADLINE: Duration = Duration::from_mins(5);
const STANDBY_DEADLINE: Duration = Duration::from_mins(5);
const REPLAY_DEADLINE: Duration = Duration::from_mins(1);

/// Makes the pair and shows what it waits for.
///
/// # Errors
/// A cluster of that name is there already, or a wait passes its deadline.
pub fn create(pair: &Pair, progress: &Progress) -> Result<()> {
    let (one, two) = (Kubectl::new(Site::Core1), Kubectl::new(Site::Core2));
    for kubectl in [one, two] {
        if kubectl.find(&["postgrescluster", &pair.name])?.is_some() {
            bail!("{} has a cluster {} already", kubectl.site(), pair.name);
        }
    }
    progress.part("objects that both sites need", |_| {
        let mut shared = vec![manifest::s3_credentials()];
        if pair.standby == Standby::Streaming {
            shared.extend(certificate::secrets(&pair.name)?);
        }
        apply(one, &shared)?;
        apply(two, &shared)
    })?;
    progress.part("core1: a primary with its first backup", |_| {
        apply(one, &[postgres_cluster(pair, Side::Primary, None)])?;
        await_condition(
            one,
            pair,
            "condition=PGBackRestReplicaCreate",
            PRIMARY_DEADLINE,
        )?;
        await_ready(one, pair, PRIMARY_DEADLINE)
    })?;
    if pair.standby == Standby::None {
        return Ok(());
    }
    // Before the standby exists: whoever finds a Secret keeps its password and verifier.
    progress.part("core2: the users' passwords of core1", |_| {
        copy_user_secret(pair)
    })?;
    progress.part("core2: a standby", |_| {
        let peer = match pair.standby {
            Standby::Archive | Standby::None => None,
            Standby::Streaming => Some(service_address(one, pair)?),
        };
        apply(
            two,
            &[postgres_cluster(pair, Side::Standby, peer.as_deref())],
        )?;
        if pair.standby == Standby::Streaming {
            name_the_peer(pair)?;
        }
        await_ready(two, pair, STANDBY_DEADLINE)
    })?;
    progress.part("core2: every member replays what core1 writes now", |_| {
        await_replay(pair)
    })
}

fn apply(kubectl: Kubectl, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    kubectl.apply(&list.to_string())
}

/// The primary can name the standby's address only once there is one.
fn name_the_peer(pair: &Pair) -> Result<()> {
    let address = wait::until("the standby's address", STANDBY_DEADLINE, || {
        service_address(Kubectl::new(Site::Core2), pair)
    })?;
    let patch = json!({"spec": {"standby": manifest::standby(Side::Primary, Some(&address))}});
    let patch = patch.to_string();
    let args = [
        "patch",
        "postgrescluster",
        &pair.name,
        "--type=merge",
        "--patch",
        &patch,
    ];
    Kubectl::new(Site::Core1).run(&args).map(drop)
}

fn service_address(kubectl: Kubectl, pair: &Pair) -> Result<String> {
    let service = kubectl.get(&["service", &format!("{}-ha", pair.name)])?;
    let address = service["spec"]["clusterIP"]
        .as_str()
        .filter(|it| it.contains('.'));
    address
        .map(str::to_owned)
        .context("the service has no address")
}

/// Waits on the server's side, so that the wait costs nothing.
fn await_condition(kubectl: Kubectl, pair: &Pair, what: &str, deadline: Duration) -> Result<()> {
    let object = format!("postgrescluster/{}", pair.name);
    let wanted = format!("--for={what}");
    let timeout = format!("--timeout={}s", deadline.as_secs());
    kubectl
        .run(&["wait", &object, &wanted, &timeout])
        .map(drop)
        .with_context(|| format!("{} in {} is not there yet", pair.name, kubectl.site()))
}

fn await_ready(kubectl: Kubectl, pair: &Pair, deadline: Duration) -> Result<()> {
    let ready = format!(
        "jsonpath={{.status.instances[0].readyReplicas}}={}",
        pair.instances
    );
    await_condition(kubectl, pair, &ready, deadline)
}

/// Password and verifier of the primary, with the labels by which the operator knows them.
fn copy_user_secret(pair: &Pair) -> Result<()> {
    let secret = format!("{}-pguser-{USER}", pair.name);
    let found = Kubectl::new(Site::Core1).get(&["secret", &secret])?;
    let mut data = json!({});
    for key in ["password", "verifier"] {
        let value = found["data"][key].as_str().unwrap_or_default();
        ensure!(!value.is_empty(), "{secret} has no {key}");
        data[key] = json!(value);
    }
    let copy = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret,
            "namespace": SERVICE_NAMESPACE,
            "labels": found["metadata"]["labels"],
        },
        "data": data,
    });
    apply(Kubectl::new(Site::Core2), &[copy])
}

/// Writes one WAL record in core1 and waits until every member of core2 has replayed past it.
fn await_replay(pair: &Pair) -> Result<()> {
    let (one, two) = (Kubectl::new(Site::Core1), Kubectl::new(Site::Core2));
    let primary = leader(one, &pair.name)?;
    let mark = query(
        one,
        &primary,
        "SELECT pg_logical_emit_message(true, 'pgha-lab', 'does it arrive?')",
    )?;
    query(one, &primary, "SELECT pg_switch_wal()")?;
    let question = format!("SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= '{mark}'");
    wait::until(
        &format!("{mark} replayed in core2"),
        REPLAY_DEADLINE,
        || {
            let pods = members(two, &pair.name)?;
            ensure!(pods.len() == pair.instances as usize, "{} pods", pods.len());
            for pod in &pods {
                let answer = query(two, pod_name(pod), &question)?;
                ensure!(answer == "t", "{} has not", pod_name(pod));
            }
            let standby_leader = leader(two, &pair.name)?;
            let status = pods
                .iter()
                .find(|pod| pod_name(pod) == standby_leader)
                .map(patroni_status);
            let status = status.context("the leader has no pod")?;
            ensure!(
                status["role"] == "standby_leader",
                "{standby_leader} is {}",
                status["role"]
            );
            if pair.standby == Standby::Streaming {
                let receiver = query(
                    two,
                    &standby_leader,
                    "SELECT status FROM pg_stat_wal_receiver",
                )?;
                ensure!(
                    receiver == "streaming",
                    "{standby_leader} receives nothing: `{receiver}`"
                );
            }
            Ok(())
        },
    )
}
