//! What the source of a held owner says, as far as its controller tells.

use std::time::Duration;

use pgha_model::owner::Named;
use serde_json::Value;

use super::{HoldError, Tool, Wish, await_answer, failed, read, write};
use crate::client::SiteClient;
use crate::diagnose::sanitised;
use crate::gitops::{argo_cd, flux, holds_on, text_at};
use crate::k8s::DynamicObject;

/// What the source of a held owner says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing is known: it works, for somebody has let it go.
    AtWork,
    /// The same as the object.
    Says,
    /// Something else; a clause.
    SaysOtherwise(String),
    /// What it says is not told: only which revision it has, where that can be read, and which was applied last.
    Has {
        /// The newest revision.
        revision: Option<String>,
        /// The one that was applied last.
        applied: Option<String>,
    },
}

/// Has the source of a held owner looked at, and tells what it says of an object of a cluster.
pub async fn ask_source(
    site: &SiteClient,
    named: &Named,
    (cluster, object): (&str, &Value),
    limit: Duration,
) -> Result<Source, HoldError> {
    let (tool, found) = read(site, named, true).await?;
    if !tool.is_held(&found) {
        return Ok(Source::AtWork);
    }
    if let Some(others) = holds_on(&found).and_then(|holds| holds.without(cluster)) {
        let clusters = others.by.iter().map(|held| sanitised(&held.cluster));
        let because = format!(
            "{named} is held for {} too: let it work by hand once its source says what each of them is",
            clusters.collect::<Vec<_>>().join(", ")
        );
        return Ok(Source::SaysOtherwise(because));
    }
    match tool {
        Tool::Application => ask_application(site, named, object, limit).await,
        Tool::Kustomization | Tool::HelmRelease => ask_flux_source(site, named, limit).await,
    }
}

/// Argo CD compares a held application too.
async fn ask_application(
    site: &SiteClient,
    named: &Named,
    object: &Value,
    limit: Duration,
) -> Result<Source, HoldError> {
    let asked = write(site, named, Wish::Asked).await?;
    let mut status = None;
    await_answer(site, named, limit, |tool, found| {
        status = sync_status(found, object);
        asked.is_answered_by(tool, found).then_some(())
    })
    .await?;
    Ok(match status.as_deref() {
        Some("Synced") => Source::Says,
        status => {
            let status = status.unwrap_or("nothing");
            Source::SaysOtherwise(format!("{named} says {status} of the object"))
        }
    })
}

/// A suspended Kustomization applies nothing, and its source is fetched all the same.
async fn ask_flux_source(
    site: &SiteClient,
    named: &Named,
    limit: Duration,
) -> Result<Source, HoldError> {
    let (_, found) = read(site, named, true).await?;
    let applied = text_at(&found, "/status/lastAppliedRevision");
    let Some(source) = flux::source_of(&found) else {
        return Ok(Source::Has {
            revision: None,
            applied,
        });
    };
    let revision = flux::fetch_source(site, &source, limit).await;
    Ok(Source::Has {
        revision: revision.map_err(|error| failed(named, false, error))?,
        applied,
    })
}

/// Has the newest revision fetched from where an owner takes it. Argo CD does so whenever it compares.
pub(super) async fn fetch(
    site: &SiteClient,
    named: &Named,
    limit: Duration,
) -> Result<(), HoldError> {
    let (tool, found) = read(site, named, true).await?;
    let source = match tool {
        Tool::Application => None,
        Tool::Kustomization | Tool::HelmRelease => flux::source_of(&found),
    };
    if let Some(source) = source {
        let fetched = flux::fetch_source(site, &source, limit).await;
        fetched.map_err(|error| failed(named, false, error))?;
    }
    Ok(())
}

/// How an application's object shows in its comparison.
pub(super) fn sync_status(found: &DynamicObject, object: &Value) -> Option<String> {
    let of = |pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let place = (of("/metadata/namespace"), of("/metadata/name"));
    argo_cd::sync_status(found, of("/kind"), place)
}
