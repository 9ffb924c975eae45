//! The application of a service at one site: looked at, stopped, started.
//!
//! Each kind of step has its own module; here are their order, what they need, and what may keep them from being taken.

mod field;
mod http;
mod job;
mod owner;
mod restart;
mod scale;

use std::time::Duration;

use futures::future::try_join_all;
use kube::Api;
use pgha_model::application::{AppStep, Application, At, Scale, Side};

pub(crate) use self::job::KEY as KEPT;
use self::job::{Work, kept_name};
pub use self::owner::owners;
use self::scale::{Workload, replicas_of};
use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::k8s::{DynamicObject, resource};
use crate::permission::Permission;
use crate::settle::Settlement;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Why an application was not stopped or started. Steps that were taken before stay taken.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// A request failed.
    #[error("a request failed")]
    Call(#[source] Box<CallError>),
    /// What was awaited did not come.
    #[error("{what} within {} s: {seen}", limit.as_secs())]
    NotSettled {
        /// What did not happen, as a clause.
        what: String,
        /// How long was waited.
        limit: Duration,
        /// What was seen last.
        seen: String,
    },
    /// Somebody else keeps a workload running.
    #[error("{at} was scaled to 0 and is scaled to {replicas} again: somebody else decides on it")]
    PutBack {
        /// Which.
        at: At,
        /// To how many pods.
        replicas: i32,
    },
    /// An object says what neither side has it say.
    #[error("{at} {seen}: somebody else decides on it")]
    Foreign {
        /// Which.
        at: String,
        /// What it says, as a verb and what follows.
        seen: String,
    },
    /// What was awaited cannot come any more.
    #[error("{at} failed: {because}")]
    Failed {
        /// Which.
        at: String,
        /// What is told of it.
        because: String,
    },
    /// What was asked over HTTP was not answered as it should be.
    #[error("{what}: {because}")]
    Web {
        /// The request.
        what: String,
        /// Full sentences.
        because: String,
    },
    /// Which pods are a workload's is not told.
    #[error("{at} does not say which pods are its own")]
    Blind {
        /// Which.
        at: At,
    },
}

impl From<CallError> for ApplicationError {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

/// Takes what is done, a full sentence each.
pub type Tell<'a> = dyn FnMut(String) + Send + 'a;

/// What the steps need to be permitted at each site.
pub fn permissions(steps: &[AppStep]) -> Vec<(Option<String>, Permission)> {
    let mut needed = Vec::new();
    for step in steps {
        if let Some(at) = step.object() {
            let all = permissions_of(step, &at);
            needed.extend(all.into_iter().map(|one| (at.namespace.clone(), one)));
        }
    }
    needed.sort();
    needed.dedup();
    needed
}

fn permissions_of(step: &AppStep, at: &At) -> Vec<Permission> {
    let of = |verb, part| Permission::of_object(verb, &at.object, part);
    match step {
        AppStep::Scale(_) => vec![
            of("get", Some("scale")),
            of("patch", Some("scale")),
            Permission::on("list", "", "pods"),
        ],
        AppStep::Annotate(_) | AppStep::Select(_) | AppStep::Restart(_) => {
            vec![of("get", None), of("patch", None)]
        }
        AppStep::Job(job) if job.recreate => {
            let mut kept = at.object.clone();
            kept.name = kept_name(&kept.name);
            vec![
                of("get", None),
                of("delete", None),
                Permission::of_object("get", &kept, None),
                Permission::of_object("delete", &kept, None),
                Permission::on("create", "batch", "jobs"),
            ]
        }
        AppStep::Job(_) => vec![of("get", None)],
        AppStep::Call(_) | AppStep::Wait(_) => Vec::new(),
    }
}

/// Which of them a site denies, each as a verb and a resource.
pub async fn denied(site: &SiteClient, steps: &[AppStep]) -> Result<Vec<String>, CallError> {
    let asked = permissions(steps).into_iter().map(|(namespace, needed)| {
        let site = in_namespace(site, namespace.as_deref());
        async move { crate::validate::denied(&site, vec![needed]).await }
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// What would keep a step from being taken at a site as it is now, a clause each. Nobody is asked over HTTP.
pub async fn obstacles(site: &SiteClient, steps: &[AppStep]) -> Result<Vec<String>, CallError> {
    let asked = steps.iter().map(|step| obstacle(site, step));
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

async fn obstacle(site: &SiteClient, step: &AppStep) -> Result<Option<String>, CallError> {
    match step {
        // How many pods a workload has is asked before.
        AppStep::Scale(_) => Ok(None),
        AppStep::Annotate(one) => field::Held::of(site, one.at()).read().await.map(|_| None),
        AppStep::Select(select) => field::cannot_select(site, select).await,
        AppStep::Restart(restart) => restart::cannot_restart(site, restart).await,
        AppStep::Job(job) => Work::of(site, job).cannot_recreate().await,
        AppStep::Call(call) => Ok(http::cannot_call(call)),
        AppStep::Wait(wait) => Ok(http::cannot_wait(wait)),
    }
}

/// How many pods a workload is to have at a site now.
pub async fn replicas(site: &SiteClient, scale: &Scale) -> Result<u32, CallError> {
    let workload = Workload::of(site, scale);
    let seen = workload.read().await?;
    Ok(u32::try_from(replicas_of(&seen)).unwrap_or_default())
}

/// Leaves a site: every step says what is so where the standby is, in reverse order, each awaited, and all of it within the
/// limit: whoever waits for it is silent meanwhile. Returns what has come of it, as full sentences.
pub async fn stop(
    site: &SiteClient,
    application: &Application,
    limit: Duration,
    tell: &mut Tell<'_>,
) -> Result<String, ApplicationError> {
    let deadline = clock::monotonic() + limit;
    let mut stopped = Vec::new();
    let mut seen = Vec::new();
    for step in application.steps.iter().rev() {
        let left = deadline.saturating_duration_since(clock::monotonic());
        match step {
            AppStep::Scale(scale) => {
                Workload::of(site, scale).stop(left, tell).await?;
                stopped.insert(0, scale.at());
            }
            AppStep::Job(job) => {
                Work::of(site, job).await_rest(left).await?;
                stopped.insert(0, job.at());
            }
            AppStep::Annotate(one) => field::annotate(site, one, Side::Standby, tell).await?,
            AppStep::Select(one) => field::select(site, one, Side::Standby, tell).await?,
            AppStep::Call(call) => {
                if let Some(request) = call.on(Side::Standby) {
                    seen.push(http::call(call, request, left).await?);
                }
            }
            AppStep::Restart(_) | AppStep::Wait(_) => {}
        }
    }
    Ok(evidence("No pod is left of", &stopped, seen))
}

/// Enters a site: every step says what is so where the primary is, in order, each awaited. Returns what has come of it, as full
/// sentences.
pub async fn start(
    site: &SiteClient,
    application: &Application,
    limit: Duration,
    tell: &mut Tell<'_>,
) -> Result<String, ApplicationError> {
    let mut ready = Vec::new();
    let mut seen = Vec::new();
    for step in &application.steps {
        match step {
            AppStep::Scale(scale) => match (scale.at(), application.count(&scale.at())) {
                (at, Some(count)) => {
                    Workload::of(site, scale).start(count, limit, tell).await?;
                    ready.push(at);
                }
                (at, None) => tell(format!("{at} did not run, and is left alone.")),
            },
            AppStep::Annotate(one) => field::annotate(site, one, Side::Primary, tell).await?,
            AppStep::Select(one) => field::select(site, one, Side::Primary, tell).await?,
            AppStep::Restart(one) => {
                if restart::restart(site, one, limit, tell).await? {
                    seen.push(format!("Every pod of {} is new.", one.at()));
                }
            }
            AppStep::Job(job) => {
                Work::of(site, job).complete(limit, tell).await?;
                seen.push(format!("{} is complete.", job.at()));
            }
            AppStep::Call(call) => {
                if let Some(request) = call.on(Side::Primary) {
                    seen.push(http::call(call, request, limit).await?);
                }
            }
            AppStep::Wait(wait) => seen.push(http::wait(wait, limit).await?),
        }
    }
    Ok(evidence("Every pod is ready of", &ready, seen))
}

fn evidence(of_pods: &str, workloads: &[At], mut more: Vec<String>) -> String {
    if !workloads.is_empty() {
        let names: Vec<_> = workloads.iter().map(At::to_string).collect();
        more.insert(0, format!("{of_pods} {}.", names.join(", ")));
    }
    if more.is_empty() {
        return "All of it is as it is to be.".to_owned();
    }
    more.join(" ")
}

fn in_namespace(site: &SiteClient, namespace: Option<&str>) -> SiteClient {
    namespace.map_or_else(|| site.clone(), |namespace| site.in_namespace(namespace))
}

fn objects(site: &SiteClient, at: At) -> (SiteClient, Api<DynamicObject>, At) {
    let site = in_namespace(site, at.namespace.as_deref());
    let of = &at.object.resource;
    let api = site.objects(&resource(&of.group, &of.version, &of.plural, &of.plural));
    (site, api, at)
}

fn settled<T>(
    at: &At,
    what: &str,
    limit: Duration,
    settlement: Settlement<T, String>,
) -> Result<T, ApplicationError> {
    match settlement {
        Settlement::Settled(value) => Ok(value),
        Settlement::TimedOut { last_seen } => Err(ApplicationError::NotSettled {
            what: format!("{at}: {what}"),
            limit,
            seen: last_seen.unwrap_or_else(|| "nothing was seen".to_owned()),
        }),
    }
}
