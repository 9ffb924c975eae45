//! Following one request: its acceptance, its Job, the log of the Job's pods, and its own end.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, ResourceExt};
use pgha_model::backup::{RequestState, label_in_log, state_of_request};
use pgha_model::survey::ClusterObject;

use super::{fetch_status, list_jobs};
use crate::client::{CallError, CallKind, SiteClient};
use crate::clock::Instant;
use crate::diagnose::sanitised;
use crate::k8s::ListParams;
use crate::operator::pgo_v5::backup::{JOB_CONTAINER, job_pods_selector};
use crate::settle::{Look, Settlement, await_until};

const INTERVAL: Duration = Duration::from_millis(500);

/// How long the last lines of a pod that has ended may take to come.
const LAST_LINES: Duration = Duration::from_secs(3);

/// Lines of the log that a failure shows.
const KEPT_LINES: usize = 12;

/// The longest line that is shown; more of it is cut away.
const LONGEST_LINE: usize = 2_000;

/// A failure that the operator's own command ends in while a changed `ConfigMap` is still on its way, and that the Job's
/// next pod does not meet (PGO `cmd/pgbackrest`, `COMPARE_HASH`).
const PASSING: &str = "does not match local hash";

/// Something that happened on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupEvent<'a> {
    /// The Job is there.
    Job(&'a str),
    /// A pod of the Job wrote a line; fit for a terminal.
    Log {
        /// The pod.
        pod: &'a str,
        /// What it wrote.
        line: &'a str,
    },
    /// The log cannot be shown, and why. The backup goes on.
    NoLog(&'a str),
    /// A pod failed for a reason that the next one does not meet.
    Retried,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well: its own id, its completion and the condition say so.
    Succeeded {
        /// When, in the object's own text.
        completed_at: String,
    },
    /// A pod failed, or the whole Job.
    Failed,
    /// Another request took its place: its result is never recorded.
    Replaced {
        /// The other one's id.
        by: String,
    },
}

/// What was seen of a request to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// How it ended.
    pub ended: Ended,
    /// The Job that served it.
    pub job: Option<String>,
    /// The label that pgBackRest gave the backup, by the log.
    pub label: Option<String>,
    /// The last lines of the newest pod.
    pub last_lines: Vec<String>,
}

/// Why a request could not be followed. It goes on by itself.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The object could not be read any more.
    #[error(transparent)]
    Call(Box<CallError>),
    /// The time is over.
    #[error("the time is over, and {} made the backup", job.as_deref().unwrap_or("no Job"))]
    TimedOut {
        /// The Job, if there was one.
        job: Option<String>,
    },
}

/// Awaits that the operator takes a request up. `Ok(false)`: not before the deadline.
pub async fn await_accepted(
    site: &SiteClient,
    cluster: &str,
    id: &str,
    deadline: Instant,
) -> Result<bool, CallError> {
    let settled = await_until(deadline, INTERVAL, async || {
        let object = fetch_status(site, cluster).await?;
        Ok(match state_of_request(&object, id) {
            RequestState::NotAccepted => Look::NotYet(()),
            RequestState::Running { .. }
            | RequestState::Succeeded { .. }
            | RequestState::Failed
            | RequestState::Replaced { .. } => Look::Settled(()),
        })
    })
    .await?;
    Ok(matches!(settled, Settlement::Settled(())))
}

/// Follows an accepted request to its end, and tells what happens. Dropping it changes nothing.
pub async fn follow(
    site: &SiteClient,
    cluster: &str,
    id: &str,
    deadline: Instant,
    report: &dyn Fn(&BackupEvent<'_>),
) -> Result<Followed, FollowError> {
    let log = RefCell::new(Log::default());
    let lines = follow_log(site, cluster, id, deadline, report, &log);
    let end = await_end(site, cluster, id, deadline, report, &log);
    let mut lines = std::pin::pin!(lines);
    let ended = tokio::select! {
        ended = end => ended,
        // The log never ends before the backup does.
        () = &mut lines => Err(FollowError::TimedOut { job: None }),
    };
    // The end is seen before the last lines are.
    drop(
        tokio::time::timeout(LAST_LINES, async {
            let drained = await_until(deadline, INTERVAL, async || {
                let is_read = log.borrow().is_read();
                Ok::<_, std::convert::Infallible>(if is_read {
                    Look::Settled(())
                } else {
                    Look::NotYet(())
                })
            });
            tokio::select! {
                _ = drained => {}
                () = &mut lines => {}
            }
        })
        .await,
    );
    let log = log.take();
    match ended {
        Ok(ended) => Ok(Followed {
            ended,
            job: log.job,
            label: log.label,
            last_lines: log.last_lines.into(),
        }),
        Err(FollowError::TimedOut { .. }) => Err(FollowError::TimedOut { job: log.job }),
        Err(error) => Err(error),
    }
}

/// What is known of the Job's log so far.
#[derive(Debug, Default)]
struct Log {
    job: Option<String>,
    /// Pods whose log was begun.
    begun: BTreeSet<String>,
    /// Pods whose log was read to its end.
    read: BTreeSet<String>,
    label: Option<String>,
    last_lines: VecDeque<String>,
    /// Failed pods that the next one makes up for.
    passing: u32,
    is_hidden: bool,
}

impl Log {
    fn is_read(&self) -> bool {
        self.is_hidden || (!self.begun.is_empty() && self.begun == self.read)
    }

    /// What an earlier pod wrote says nothing of this one.
    fn begin(&mut self, pod: &str) {
        self.begun.insert(pod.to_owned());
        self.last_lines.clear();
        self.label = None;
    }

    fn take_line(&mut self, line: &str) {
        if let Some(label) = label_in_log(line) {
            self.label = Some(label.to_owned());
        }
        if self.last_lines.len() == KEPT_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.to_owned());
    }
}

async fn await_end(
    site: &SiteClient,
    cluster: &str,
    id: &str,
    deadline: Instant,
    report: &dyn Fn(&BackupEvent<'_>),
    log: &RefCell<Log>,
) -> Result<Ended, FollowError> {
    let settled = await_until(deadline, INTERVAL, async || {
        let object = match fetch_status(site, cluster).await {
            Ok(object) => object,
            // A backup takes longer than a weak link stays well.
            Err(error) if is_passing(&error) => return Ok(Look::NotYet(())),
            Err(error) => return Err(error),
        };
        let look = match ended(&object, id) {
            Ok(ended) => Look::Settled(ended),
            Err(failed) if failed > log.borrow().passing => judge_failed_pod(failed, report, log),
            Err(_) => Look::NotYet(()),
        };
        Ok(look)
    })
    .await
    .map_err(|error| FollowError::Call(Box::new(error)))?;
    match settled {
        Settlement::Settled(ended) => Ok(ended),
        Settlement::TimedOut { .. } => Err(FollowError::TimedOut { job: None }),
    }
}

fn is_passing(error: &CallError) -> bool {
    matches!(error.kind, CallKind::Unreachable | CallKind::Timeout)
}

/// The Job itself takes more than ten minutes to fail: six further pods, each after a longer pause.
fn judge_failed_pod(
    failed: u32,
    report: &dyn Fn(&BackupEvent<'_>),
    log: &RefCell<Log>,
) -> Look<Ended, ()> {
    let mut log = log.borrow_mut();
    // With a label the newest pod made the backup, and the operator has yet to say so: on a real one, seconds later.
    if !log.is_read() || log.label.is_some() {
        return Look::NotYet(());
    }
    if log.last_lines.iter().any(|line| line.contains(PASSING)) {
        log.passing = failed;
        log.last_lines.clear();
        report(&BackupEvent::Retried);
        return Look::NotYet(());
    }
    Look::Settled(Ended::Failed)
}

/// The end, or how many pods failed so far.
fn ended(object: &ClusterObject, id: &str) -> Result<Ended, u32> {
    match state_of_request(object, id) {
        RequestState::Succeeded { completed_at } => Ok(Ended::Succeeded { completed_at }),
        RequestState::Failed => Ok(Ended::Failed),
        RequestState::Replaced { by } => Ok(Ended::Replaced { by }),
        RequestState::Running { failed } => Err(failed),
        RequestState::NotAccepted => Err(0),
    }
}

/// Shows the log of one pod of the Job after the other. Ends at the deadline only.
async fn follow_log(
    site: &SiteClient,
    cluster: &str,
    id: &str,
    deadline: Instant,
    report: &dyn Fn(&BackupEvent<'_>),
    log: &RefCell<Log>,
) {
    let ended = await_until(deadline, INTERVAL, async || {
        let next = next_pod(site, cluster, id, report, log).await;
        let shown = match next {
            Ok(Some(pod)) => show_log(site, &pod, report, log).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = shown {
            log.borrow_mut().is_hidden = true;
            report(&BackupEvent::NoLog(&error.to_string()));
            return Err(());
        }
        Ok::<Look<(), ()>, ()>(Look::NotYet(()))
    })
    .await;
    if ended.is_err() {
        // Without a log the end is awaited all the same.
        std::future::pending::<()>().await;
    }
}

/// The next pod whose log can be read and was not.
async fn next_pod(
    site: &SiteClient,
    cluster: &str,
    id: &str,
    report: &dyn Fn(&BackupEvent<'_>),
    log: &RefCell<Log>,
) -> Result<Option<String>, CallError> {
    let jobs = list_jobs(site, cluster).await?;
    let job = jobs.into_iter().find(|job| job.id.as_deref() == Some(id));
    let Some(job) = job.map(|job| job.name) else {
        return Ok(None);
    };
    if log.borrow().job.as_ref() != Some(&job) {
        report(&BackupEvent::Job(&job));
        log.borrow_mut().job = Some(job.clone());
    }
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &site.namespace);
    let params = ListParams::default().labels(&job_pods_selector(&job));
    let mut pods = site.call("list", "pods", pods.list(&params)).await?.items;
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    let next = pods.iter().find(|pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Running" | "Succeeded" | "Failed"))
            && !log.borrow().begun.contains(&pod.name_any())
    });
    Ok(next.map(ResourceExt::name_any))
}

async fn show_log(
    site: &SiteClient,
    pod: &str,
    report: &dyn Fn(&BackupEvent<'_>),
    log: &RefCell<Log>,
) -> Result<(), CallError> {
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &site.namespace);
    let params = LogParams {
        container: Some(JOB_CONTAINER.to_owned()),
        follow: true,
        ..LogParams::default()
    };
    let object = format!("pods/log of {pod}");
    let mut stream = pods
        .log_stream(pod, &params)
        .await
        .map_err(|error| CallError::new(site, "get", &object, error))?;
    {
        let mut log = log.borrow_mut();
        log.begin(pod);
    }
    let mut lines = Lines::default();
    let mut bytes = vec![0; 16 << 10];
    let mut show = |line: &str| {
        log.borrow_mut().take_line(line);
        report(&BackupEvent::Log { pod, line });
    };
    // A log that breaks off is one that was read as far as it goes: the status tells how the backup ended.
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        lines.feed(&bytes[..count], &mut show);
    }
    lines.end(&mut show);
    log.borrow_mut().read.insert(pod.to_owned());
    Ok(())
}

/// Bytes into lines that are fit for a terminal.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn feed(&mut self, bytes: &[u8], show: &mut impl FnMut(&str)) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end(show);
            } else if self.0.len() < LONGEST_LINE {
                self.0.push(*byte);
            }
        }
    }

    fn end(&mut self, show: &mut impl FnMut(&str)) {
        if !self.0.is_empty() {
            let line = std::mem::take(&mut self.0);
            show(&sanitised(String::from_utf8_lossy(&line).trim_end()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut shown = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk, &mut |line| shown.push(line.to_owned()));
        }
        lines.end(&mut |line| shown.push(line.to_owned()));
        shown
    }

    #[test]
    fn lines_are_whole_clean_and_of_a_bounded_length() {
        assert_eq!(
            lines(&[b"P00 IN", b"FO\r\n\n\x1b[2Jlast"]),
            ["P00 INFO", "\\u{1b}[2Jlast"]
        );
        assert_eq!(lines(&[&[b'a'; 10_000]])[0].len(), LONGEST_LINE);
    }

    /// What one failed pod is taken for when this was read of the newest pod.
    fn judged(lines: &[&str]) -> Look<Ended, ()> {
        let mut log = Log::default();
        log.begin("zitadel-backup-abcd-1");
        for line in lines {
            log.take_line(line);
        }
        log.read = log.begun.clone();
        judge_failed_pod(1, &|_| {}, &RefCell::new(log))
    }

    #[test]
    fn a_failed_pod_is_the_end_unless_a_later_one_made_the_backup() {
        assert!(matches!(
            judged(&["ERROR: [056]: unable to find primary cluster"]),
            Look::Settled(Ended::Failed)
        ));
        assert!(matches!(
            judged(&["P00   INFO: new backup label = 20261121-180415F_20261121-182419D"]),
            Look::NotYet(())
        ));
        assert!(matches!(judged(&[PASSING]), Look::NotYet(())));
    }

    #[test]
    fn a_label_is_of_the_newest_pod() {
        let mut log = Log::default();
        log.begin("zitadel-backup-abcd-1");
        log.take_line("P00   INFO: new backup label = 20261121-153931F");
        log.begin("zitadel-backup-abcd-2");
        assert_eq!(log.label, None);
        assert!(log.last_lines.is_empty());
    }

    #[test]
    fn only_the_last_lines_are_kept_and_the_label_is_found() {
        let mut log = Log::default();
        log.take_line("P00   INFO: new backup label = 20261121-153931F");
        for number in 0..KEPT_LINES {
            log.take_line(&number.to_string());
        }
        assert_eq!(log.label.as_deref(), Some("20261121-153931F"));
        assert_eq!(log.last_lines.len(), KEPT_LINES);
        assert_eq!(log.last_lines[0], "0");
    }
}
