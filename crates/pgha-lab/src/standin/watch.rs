//! What makes the stand-in look: changes of a `PostgresCluster`, of what it owns, and three changes of a pod.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};

use super::member::{has_pending_restart, is_primary, patroni_role};
use super::name;
use super::reconcile::{Again, Operator, reconcile};
use super::settings::Settings;
use super::types::{self, PostgresCluster};

/// The real operator looks at every object once an hour even if nothing changed.
const RESYNC: Duration = Duration::from_hours(1);

/// How long the stand-in's watches rest after an error of one of them.
///
/// The watches of a controller are one stream to `kube`, and an error of any lets all of them rest: its default back-off
/// (up to 30 s an error, as client-go has it for *each* reflector) adds up to many minutes after an API server was away.
/// With this one each of the fourteen looks again within half a minute, as the real operator's do.
const REST: Duration = Duration::from_secs(1);

/// [`REST`], every time.
struct Constant;

impl Iterator for Constant {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(REST)
    }
}

impl Backoff for Constant {
    fn reset(&mut self) {}
}

/// Serves until the process is told to stop (SIGTERM or SIGINT).
///
/// # Errors
/// When the kubeconfig cannot be read or has no usable client.
pub async fn run(settings: Settings) -> Result<()> {
    let kubeconfig = Kubeconfig::read_from(&settings.kubeconfig)
        .with_context(|| format!("reading {}", settings.kubeconfig))?;
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let operator = Arc::new(Operator { client, settings });
    let mut namespaces: Vec<Option<String>> = operator
        .settings
        .namespaces
        .iter()
        .cloned()
        .map(Some)
        .collect();
    if namespaces.is_empty() {
        namespaces.push(None);
    }
    tracing::info!(?namespaces, "the operator stand-in serves");
    let controllers: FuturesUnordered<_> = namespaces
        .into_iter()
        .map(|it| control(Arc::clone(&operator), it))
        .collect();
    controllers.collect::<Vec<()>>().await;
    Ok(())
}

/// The reconciler's shared state: the operator and, for the back-off, how often each object failed in a row.
struct Context {
    operator: Arc<Operator>,
    failures: Mutex<HashMap<String, u32>>,
}

async fn control(operator: Arc<Operator>, namespace: Option<String>) {
    let scope = Scope {
        client: operator.client.clone(),
        namespace,
    };
    let main: Api<PostgresCluster> = scope.dynamic_api();
    let owned = || watcher::Config::default().labels(&name::selector(&[("cluster", "")]));
    let context = Arc::new(Context {
        operator,
        failures: Mutex::default(),
    });
    Controller::new_with(main, watcher::Config::default(), types::api_resource())
        // Two at a time, like PGO_WORKERS' default.
        .with_config(Config::default().concurrency(2))
        .trigger_backoff(Constant)
        .owns(scope.api::<ConfigMap>(), owned())
        .owns(scope.api::<Endpoints>(), owned())
        .owns(scope.api::<PersistentVolumeClaim>(), owned())
        .owns(scope.api::<Secret>(), owned())
        .owns(scope.api::<Service>(), owned())
        .owns(scope.api::<ServiceAccount>(), owned())
        .owns(scope.api::<Deployment>(), owned())
        .owns(scope.api::<StatefulSet>(), owned())
        .owns(scope.api::<Job>(), owned())
        .owns(scope.api::<CronJob>(), owned())
        .owns(scope.api::<Role>(), owned())
        .owns(scope.api::<RoleBinding>(), owned())
        .watches(scope.api::<Pod>(), members(), pod_trigger())
        .shutdown_on_signal()
        .run(turn, retry, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Scope {
    fn api<K: super::object::Child>(&self) -> Api<K> {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn dynamic_api(&self) -> Api<PostgresCluster> {
        let resource = types::api_resource();
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

/// An error of a reconcile, with its causes.
#[derive(Debug)]
struct Failed(anyhow::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Failed {}

async fn turn(pg_cluster: Arc<PostgresCluster>, context: Arc<Context>) -> Result<Action, Failed> {
    let name = pg_cluster.name_any();
    let namespace = pg_cluster.namespace().unwrap_or_default();
    // The status that the last turn wrote may not have reached the watch yet: read it where it was written.
    let api: Api<PostgresCluster> = Api::namespaced_with(
        context.operator.client.clone(),
        &namespace,
        &types::api_resource(),
    );
    let Some(newest) = api
        .get_opt(&name)
        .await
        .map_err(|error| Failed(error.into()))?
    else {
        context.reset(&pg_cluster);
        return Ok(Action::await_change());
    };
    let again = Box::pin(reconcile(&context.operator, &newest))
        .await
        .map_err(Failed)?;
    tracing::info!(name, ?again, "reconciled");
    if again == Again::WithBackoff {
        return Ok(Action::requeue(context.back_off(&pg_cluster)));
    }
    context.reset(&pg_cluster);
    Ok(Action::requeue(match again {
        Again::After(seconds) => Duration::from_secs(seconds),
        Again::OnChange | Again::WithBackoff => RESYNC,
    }))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the controller's"
)]
fn retry(pg_cluster: Arc<PostgresCluster>, error: &Failed, context: Arc<Context>) -> Action {
    tracing::error!(name = pg_cluster.name_any(), "{error}");
    Action::requeue(context.back_off(&pg_cluster))
}

impl Context {
    /// 5 ms, doubled with every failure in a row, at most 1000 s: the work queue of the real operator.
    fn back_off(&self, pg_cluster: &PostgresCluster) -> Duration {
        let mut failures = self
            .failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = failures.entry(key(pg_cluster)).or_default();
        let delay = Duration::from_millis(5).saturating_mul(1 << (*count).min(20));
        *count += 1;
        delay.min(Duration::from_secs(1000))
    }

    fn reset(&self, pg_cluster: &PostgresCluster) {
        let mut failures = self
            .failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failures.remove(&key(pg_cluster));
    }
}

fn key(pg_cluster: &PostgresCluster) -> String {
    format!(
        "{}/{}",
        pg_cluster.namespace().unwrap_or_default(),
        pg_cluster.name_any()
    )
}

/// What of a pod's last look matters for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Glance {
    standby_leader: bool,
    primary: bool,
    pending_restart: bool,
}

impl Glance {
    fn at(pod: &Pod) -> Self {
        Self {
            standby_leader: patroni_role(pod).as_deref() == Some("standby_leader"),
            primary: is_primary(pod),
            pending_restart: has_pending_restart(pod),
        }
    }

    /// A pod that stops being the standby leader, that becomes primary, or that waits for a restart. Nothing else
    /// of a pod makes the operator look.
    fn calls(self, next: Self) -> bool {
        (self.standby_leader && !next.standby_leader)
            || (!self.primary && next.primary)
            || self.pending_restart
            || next.pending_restart
    }
}

fn members() -> watcher::Config {
    watcher::Config::default().labels(&name::selector(&[("cluster", ""), ("instance", "")]))
}

/// Names the `PostgresCluster` of a pod whose change matters.
fn pod_trigger() -> impl Fn(Pod) -> Option<ObjectRef<PostgresCluster>> + Send + Sync + 'static {
    let seen: Mutex<HashMap<String, Glance>> = Mutex::default();
    move |pod| {
        let next = Glance::at(&pod);
        let mut seen = seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let last = seen.insert(pod.uid().unwrap_or_default(), next)?;
        let owner = pod.labels().get(&name::key("cluster"))?;
        last.calls(next).then(|| {
            ObjectRef::new_with(owner, types::api_resource())
                .within(&pod.namespace().unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_changes_of_a_pod_call_the_operator() {
        let replica = Glance::default();
        let primary = Glance {
            primary: true,
            ..replica
        };
        let standby = Glance {
            standby_leader: true,
            ..replica
        };
        assert!(replica.calls(primary), "became primary");
        assert!(standby.calls(primary), "promoted");
        assert!(standby.calls(replica), "no longer standby leader");
        assert!(replica.calls(Glance {
            pending_restart: true,
            ..replica
        }));
        assert!(!primary.calls(standby), "a demotion calls nobody");
        assert!(!replica.calls(replica));
    }
}
