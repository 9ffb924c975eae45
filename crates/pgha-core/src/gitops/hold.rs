//! Holding those who own an object, so that none of them takes a change back, and letting them go on.
//!
//! A hold is good once the owner's controller has acknowledged a token that was written with it: a controller works at one object
//! turn after turn, so that a turn which was under way has ended by then (measured with kustomize-controller 1.9.5 and Argo CD
//! 3.2.11; a suspended Kustomization acknowledges too).

mod source;
mod turn;

use std::time::Duration;

use pgha_model::owner::{HOLD_ANNOTATION, HeldFor, Holds, Named};
use serde_json::{Map, Value, json};

pub use self::source::{Source, ask_source};
pub use self::turn::{Turn, apply, resume};
use super::{Tool, flux, holds_on};
use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::diagnose::sanitised;
use crate::k8s::DynamicObject;
use crate::patch::{ObjectPatch, PatchBuilder, patch_object, while_outdated};
use crate::settle::{Look, Settlement, await_eagerly};

/// The longest pause between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// By what Argo CD is asked to compare; its controller takes it away when it has.
const ASK_ARGO_CD: &str = "argocd.argoproj.io/refresh";

/// Why an owner was not held, or not let go.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// A request failed.
    #[error("{owner} could not be {}", if *holding { "held" } else { "let go" })]
    Call {
        /// Who.
        owner: String,
        /// What was meant: to hold it, or to let it go.
        holding: bool,
        /// Why.
        #[source]
        source: Box<CallError>,
    },
    /// It is none of those that can be held.
    #[error("{owner} cannot be held by pgha")]
    Unfit {
        /// Who.
        owner: String,
    },
    /// Its controller says nothing: it may still act when it comes back.
    #[error("{owner} did not acknowledge it within {} s: {seen}", limit.as_secs())]
    Silent {
        /// Who.
        owner: String,
        /// How long was waited.
        limit: Duration,
        /// What was seen last.
        seen: String,
    },
    /// What was meant to be held takes changes back all the same.
    #[error("{told}")]
    NotHeld {
        /// What was seen, as sentences.
        told: String,
    },
}

impl HoldError {
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Call { source, .. } if source.is_outdated())
    }

    /// Whether the same may be answered in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Call { source, .. } => source.may_pass(),
            Self::Unfit { .. } | Self::Silent { .. } | Self::NotHeld { .. } => false,
        }
    }
}

/// What an owner is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish<'a> {
    /// Held, for this cluster too.
    Held(&'a HeldFor),
    /// At work again, unless another cluster needs it held; the mark stays, so that it is known who let it go.
    Resumed { cluster: &'a str },
    /// The same, without the mark.
    LetGo { cluster: &'a str },
    /// As it is, but asked for a turn.
    Asked,
}

/// Holds an owner for a cluster, and waits until its controller has acknowledged it. Errs, with the hold left on it, when it does not.
pub async fn take(
    site: &SiteClient,
    named: &Named,
    mark: &HeldFor,
    limit: Duration,
) -> Result<(), HoldError> {
    let written = write(site, named, Wish::Held(mark)).await?;
    await_answer(site, named, limit, |tool, found| {
        let answered = written.is_answered_by(tool, found);
        (answered && tool.is_idle(found) && tool.is_held(found)).then_some(())
    })
    .await
}

/// Has an owner work again, and takes the mark for the cluster from it. `false`: another cluster needs it held.
pub async fn let_go(site: &SiteClient, named: &Named, cluster: &str) -> Result<bool, HoldError> {
    let written = write(site, named, Wish::LetGo { cluster }).await?;
    Ok(!written.still_held)
}

/// The patch that would hold an owner now.
pub async fn hold_patch(
    site: &SiteClient,
    named: &Named,
    mark: &HeldFor,
) -> Result<ObjectPatch, HoldError> {
    let (tool, found) = read(site, named, true).await?;
    let patch = patch_of(tool, &found, Wish::Held(mark)).1;
    let name = format!("{}/{}", named.namespace, patch.name);
    Ok(ObjectPatch { name, ..patch })
}

/// What was written, and by what it is known to be acknowledged.
struct Written {
    token: String,
    /// Whether somebody else still needs it held.
    still_held: bool,
}

impl Written {
    fn is_answered_by(&self, tool: Tool, found: &DynamicObject) -> bool {
        match tool {
            Tool::Application => {
                let annotations = found.metadata.annotations.as_ref();
                annotations.is_none_or(|all| !all.contains_key(ASK_ARGO_CD))
            }
            Tool::Kustomization | Tool::HelmRelease => {
                found.data.pointer("/status/lastHandledReconcileAt") == Some(&json!(self.token))
            }
        }
    }
}

impl Tool {
    /// The field by which it is held, and its value then.
    const fn field(self) -> (&'static [&'static str], bool) {
        match self {
            Self::Kustomization | Self::HelmRelease => (&["spec", "suspend"], true),
            Self::Application => (&["spec", "syncPolicy", "automated", "enabled"], false),
        }
    }

    /// By which annotation it is asked for a turn, and how.
    fn question(self, token: &str) -> (&'static str, Value) {
        match self {
            Self::Kustomization | Self::HelmRelease => (flux::ASK, json!(token)),
            Self::Application => (ASK_ARGO_CD, json!("normal")),
        }
    }

    fn is_held(self, found: &DynamicObject) -> bool {
        let (path, value) = self.field();
        self.cannot_act(found) || at(&found.data, path) == Some(&Value::Bool(value))
    }

    /// An application that is not automated has nothing to be held by.
    fn cannot_act(self, found: &DynamicObject) -> bool {
        let automated = found.data.pointer("/spec/syncPolicy/automated");
        self == Self::Application && automated.is_none_or(Value::is_null)
    }

    /// Whether it is at no turn.
    fn is_idle(self, found: &DynamicObject) -> bool {
        match self {
            Self::Application => {
                let is_there =
                    |path: &str| found.data.pointer(path).is_some_and(|it| !it.is_null());
                let phase = found.data.pointer("/status/operationState/phase");
                !is_there("/operation") && phase != Some(&json!("Running"))
            }
            Self::Kustomization | Self::HelmRelease => !flux::is_at_work(found),
        }
    }
}

async fn read(
    site: &SiteClient,
    named: &Named,
    holding: bool,
) -> Result<(Tool, DynamicObject), HoldError> {
    let unfit = || HoldError::Unfit {
        owner: named.to_string(),
    };
    let tool = Tool::of(named.kind).ok_or_else(unfit)?;
    let site = site.in_namespace(named.namespace.clone());
    let got = site.objects(&tool.resource());
    let got = site
        .call("get", &named.to_string(), got.get(&named.name))
        .await;
    Ok((tool, got.map_err(|error| failed(named, holding, error))?))
}

fn failed(named: &Named, holding: bool, error: CallError) -> HoldError {
    HoldError::Call {
        owner: named.to_string(),
        holding,
        source: Box::new(error),
    }
}

async fn write(site: &SiteClient, named: &Named, wish: Wish<'_>) -> Result<Written, HoldError> {
    let holding = matches!(wish, Wish::Held(_) | Wish::Asked);
    let attempt = async || {
        let (tool, found) = read(site, named, holding).await?;
        let (written, patch) = patch_of(tool, &found, wish);
        let at = site.in_namespace(named.namespace.clone());
        let sent = patch_object(&at, &tool.resource(), &patch).await;
        match sent {
            Ok(_) => Ok(written),
            Err(error) => Err(failed(named, holding, error)),
        }
    };
    while_outdated(attempt, HoldError::is_outdated).await
}

/// It rests on the object's version: whether the field by which it is held was absent cannot be tested.
fn patch_of(tool: Tool, found: &DynamicObject, wish: Wish<'_>) -> (Written, ObjectPatch) {
    let token = clock::now().to_string();
    let (field, held) = tool.field();
    let now = at(&found.data, field);
    let marks = holds_on(found);
    let before = marks
        .as_ref()
        .map_or_else(|| now.and_then(Value::as_bool), |marks| marks.before);
    let (wanted, marks, still_held) = match wish {
        Wish::Held(mark) => {
            let marks = marks.unwrap_or(Holds {
                before,
                by: Vec::new(),
            });
            (Some(held), Some(marks.with(mark.clone())), false)
        }
        Wish::Asked => (now.and_then(Value::as_bool), marks, false),
        Wish::Resumed { cluster } | Wish::LetGo { cluster } => {
            let others = marks.clone().and_then(|marks| marks.without(cluster));
            let still_held = others.is_some() && tool.is_held(found);
            // Who works although another cluster needs it held was let go by somebody: that is not undone here.
            let wanted = if others.is_some() {
                now.and_then(Value::as_bool)
            } else {
                before
            };
            let keeps = matches!(wish, Wish::Resumed { .. });
            (wanted, if keeps { marks } else { others }, still_held)
        }
    };
    let version = found.metadata.resource_version.clone().unwrap_or_default();
    let mut patch = PatchBuilder::default().test(&["metadata", "resourceVersion"], json!(version));
    if !tool.cannot_act(found) {
        patch = match wanted {
            Some(wanted) => patch.set(field, now, json!(wanted)),
            None => patch.remove(field, now),
        };
    }
    let patch = annotated(
        patch,
        found,
        &token,
        tool,
        marks.filter(|_| !tool.cannot_act(found)),
    );
    let kind = match tool {
        Tool::Kustomization => "kustomization",
        Tool::HelmRelease => "helmrelease",
        Tool::Application => "application",
    };
    let name = found.metadata.name.clone().unwrap_or_default();
    (Written { token, still_held }, patch.of(kind, name))
}

fn annotated(
    patch: PatchBuilder,
    found: &DynamicObject,
    token: &str,
    tool: Tool,
    marks: Option<Holds>,
) -> PatchBuilder {
    let (question, asked) = tool.question(token);
    let marks = marks.map(|marks| json!(marks.to_text()));
    let Some(annotations) = &found.metadata.annotations else {
        let mut all = Map::from_iter([(question.to_owned(), asked)]);
        all.extend(marks.map(|marks| (HOLD_ANNOTATION.to_owned(), marks)));
        return patch.set(&["metadata", "annotations"], None, Value::Object(all));
    };
    let seen = |key: &str| annotations.get(key).map(|value| json!(value));
    let under = |key| ["metadata", "annotations", key];
    let patch = patch.set(&under(question), seen(question).as_ref(), asked);
    let before = seen(HOLD_ANNOTATION);
    match marks {
        Some(marks) => patch.set(&under(HOLD_ANNOTATION), before.as_ref(), marks),
        None => patch.remove(&under(HOLD_ANNOTATION), before.as_ref()),
    }
}

fn at<'a>(data: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter()
        .try_fold(data, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

async fn await_answer(
    site: &SiteClient,
    named: &Named,
    limit: Duration,
    mut holds: impl FnMut(Tool, &DynamicObject) -> Option<()>,
) -> Result<(), HoldError> {
    let settlement = await_eagerly(clock::monotonic() + limit, LOOK, async || {
        let (tool, found) = read(site, named, true).await?;
        Ok::<_, HoldError>(match holds(tool, &found) {
            Some(()) => Look::Settled(()),
            None => Look::NotYet(said_by(tool, &found)),
        })
    });
    match settlement.await? {
        Settlement::Settled(()) => Ok(()),
        Settlement::TimedOut { last_seen } => Err(HoldError::Silent {
            owner: named.to_string(),
            limit,
            seen: last_seen.unwrap_or_else(|| "it did not answer".to_owned()),
        }),
    }
}

/// What an owner that does not answer says, as a clause.
fn said_by(tool: Tool, found: &DynamicObject) -> String {
    if !tool.is_idle(found) {
        let timeout = super::text_at(found, "/spec/timeout");
        let of = timeout.map_or_else(String::new, |timeout| format!(", which may last {timeout}"));
        return format!("it is still at a turn{of}");
    }
    if !tool.is_held(found) {
        return "somebody has let it go again".to_owned();
    }
    let name = found
        .metadata
        .name
        .as_deref()
        .map(sanitised)
        .unwrap_or_default();
    format!("no controller took notice of {name}: it is down, or stuck")
}
