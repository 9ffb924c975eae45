//! A turn of an owner: it applies what its source says.

use std::time::Duration;

use pgha_model::owner::Named;
use serde_json::Value;

use super::source::{fetch, sync_status};
use super::{HoldError, Tool, Wish, await_answer, read, write};
use crate::client::SiteClient;
use crate::gitops::{argo_cd, problem};
use crate::k8s::DynamicObject;

/// What came of an owner's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has applied what its source says.
    Taken,
    /// It has not; a clause.
    Failed(String),
}

/// Has an owner work again, and waits until it has taken a turn; the mark for the cluster stays. One that another cluster needs held
/// takes none.
pub async fn resume(
    site: &SiteClient,
    named: &Named,
    cluster: &str,
    object: &Value,
    limit: Duration,
) -> Result<Turn, HoldError> {
    let (answered, failure) = turn(site, named, (cluster, object), limit, |_, _| true).await?;
    answered?;
    Ok(failure.map_or(Turn::Taken, Turn::Failed))
}

/// Has what an owner takes its turns from fetched, and has the owner apply it; the mark for the cluster stays. What was pushed before
/// is in that turn, and what others have pushed since.
pub async fn apply(
    site: &SiteClient,
    named: &Named,
    asked: (&str, &Value),
    limit: Duration,
) -> Result<Turn, HoldError> {
    fetch(site, named, limit).await?;
    // Argo CD answers when it has compared, and applies after that.
    let applied = |tool, has_failed: bool| tool != Tool::Application || !has_failed;
    match turn(site, named, asked, limit, applied).await? {
        (Ok(()), None) => Ok(Turn::Taken),
        (Ok(()) | Err(HoldError::Silent { .. }), Some(failure)) => {
            Ok(Turn::Failed(with_windows(site, named, failure).await))
        }
        (Err(error), _) => Err(error),
    }
}

/// What keeps an application from being synced, beside why its turn has failed.
async fn with_windows(site: &SiteClient, named: &Named, failure: String) -> String {
    let windows = match read(site, named, true).await {
        Ok((Tool::Application, found)) => argo_cd::windows::told(site, &found).await,
        Ok(_) | Err(_) => None,
    };
    match windows {
        Some(windows) => format!("{failure}. {}", windows.trim_end_matches('.')),
        None => failure,
    }
}

/// Whether an owner that was resumed answered and is over with its turn, and why that has not applied what its source says.
async fn turn(
    site: &SiteClient,
    named: &Named,
    (cluster, object): (&str, &Value),
    limit: Duration,
    is_over: impl Fn(Tool, bool) -> bool,
) -> Result<(Result<(), HoldError>, Option<String>), HoldError> {
    let written = write(site, named, Wish::Resumed { cluster }).await?;
    if written.still_held {
        return Ok((Ok(()), Some("another cluster needs it held".to_owned())));
    }
    let mut failure = None;
    let answered = await_answer(site, named, limit, |tool, found| {
        let answered = written.is_answered_by(tool, found) && tool.is_idle(found);
        failure = failure_of(tool, found, object);
        (answered && is_over(tool, failure.is_some())).then_some(())
    })
    .await;
    Ok((answered, failure))
}

/// Why an owner's last turn has not applied what its source says of an object: then the object tells nothing.
fn failure_of(tool: Tool, found: &DynamicObject, object: &Value) -> Option<String> {
    if tool == Tool::Application {
        let status = sync_status(found, object);
        let status = status.as_deref().unwrap_or("nothing");
        return (status != "Synced").then(|| format!("it says {status} of the object"));
    }
    let seen = found.data.pointer("/status/observedGeneration");
    let is_current = seen.and_then(Value::as_i64) == found.metadata.generation;
    let problem = problem(found, |condition| {
        condition["type"] == "Ready" && condition["status"] != "True"
    });
    match problem {
        Some(problem) => Some(problem),
        None => (!is_current).then(|| "it has not seen its own object yet".to_owned()),
    }
}
