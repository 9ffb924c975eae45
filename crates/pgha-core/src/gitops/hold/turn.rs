//! A turn of an owner: it applies what its source says.

use std::time::Duration;

use pgha_model::owner::Named;
use serde_json::Value;

use super::source::{fetch, sync_status};
use super::{HoldError, Tool, Wish, await_answer, write};
use crate::client::SiteClient;
use crate::gitops::problem;
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
    let written = write(site, named, Wish::Resumed { cluster }).await?;
    if written.still_held {
        return Ok(Turn::Failed("another cluster needs it held".to_owned()));
    }
    let mut failure = None;
    await_answer(site, named, limit, |tool, found| {
        let answered = written.is_answered_by(tool, found) && tool.is_idle(found);
        failure = failure_of(tool, found, object);
        answered.then_some(())
    })
    .await?;
    Ok(failure.map_or(Turn::Taken, Turn::Failed))
}

/// Has what an owner takes its turns from fetched, and has the owner apply it; the mark for the cluster stays. What was pushed before
/// is in that turn, and what others have pushed since.
pub async fn apply(
    site: &SiteClient,
    named: &Named,
    (cluster, object): (&str, &Value),
    limit: Duration,
) -> Result<Turn, HoldError> {
    fetch(site, named, limit).await?;
    let written = write(site, named, Wish::Resumed { cluster }).await?;
    if written.still_held {
        return Ok(Turn::Failed("another cluster needs it held".to_owned()));
    }
    let mut failure = None;
    let ended = await_answer(site, named, limit, |tool, found| {
        let answered = written.is_answered_by(tool, found) && tool.is_idle(found);
        failure = failure_of(tool, found, object);
        // Argo CD answers when it has compared, and applies after that.
        let is_over = tool != Tool::Application || failure.is_none();
        (answered && is_over).then_some(())
    });
    match (ended.await, failure) {
        (Ok(()), None) => Ok(Turn::Taken),
        (Ok(()) | Err(HoldError::Silent { .. }), Some(failure)) => Ok(Turn::Failed(failure)),
        (Err(error), _) => Err(error),
    }
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
