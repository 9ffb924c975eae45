//! The owners that a move has held, let go once their source says what the cluster is now.
//!
//! What the source says is seen without any access to it: while the operator leaves the cluster alone, the owner takes its turn and
//! writes the object. Where that still asks for what the cluster is, owner and operator go on; otherwise the owner is held again and
//! the object put back, and nothing has happened to Postgres.

use std::collections::BTreeMap;

use pgha_model::event::Standing;
use pgha_model::owner::{HeldFor, Named, OwnerKind};
use pgha_model::plan::Step;
use pgha_model::record::{Action, Epoch, MoveRecord};
use serde_json::{Map, Value, json};

use super::claim::{Intent, claim};
use super::side::fetch_dynamic;
use super::steps::{Steps, standing_of};
use super::{Interrupt, Limits, MoveError, Reporter, Side, StepError};
use crate::client::{FIELD_MANAGER, SiteClient};
use crate::gitops::hold::{self, Source, Turn};
use crate::operator::pgo_v5;
use crate::patch::{PatchBuilder, patch_object, while_outdated};

/// The field manager whose fields Flux takes over at its next turn: any whose name begins with `kubectl` (measured with
/// kustomize-controller 1.9.5).
const HANDED_OVER: &str = "kubectl-handover";

/// Owners of one side that are let go.
pub struct LettingGo {
    side: Side,
    limits: Limits,
    takes_over: Option<Epoch>,
    /// Whether a release was left unfinished here, so that an owner may have put the object back, or works already.
    goes_on: bool,
    held: Vec<(Named, HeldFor)>,
    /// What the sources of the owners had when they were tried last; `None` where that cannot be read.
    tried: BTreeMap<String, Option<String>>,
}

/// What can be done about the owners of a side now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// None is held by a move of this cluster.
    NoneHeld,
    /// Their sources may say what the cluster is now.
    MayGo,
    /// A source says otherwise, or says nothing new; a clause.
    NotYet(String),
}

impl LettingGo {
    /// Looks at who is held at this side. A release that was left unfinished is taken over.
    ///
    /// # Errors
    /// The object or its owners cannot be read.
    pub async fn of(
        mut side: Side,
        unfinished: Option<&MoveRecord>,
        limits: Limits,
    ) -> Result<Self, StepError> {
        let held = side.look_at_held().await?;
        let takes_over = unfinished.filter(|record| record.action == Action::Release);
        if let Some(before) = takes_over.and_then(|record| record.source.as_ref()) {
            side.was_paused(before.paused);
        }
        Ok(Self {
            goes_on: takes_over.is_some(),
            takes_over: takes_over.map(|record| record.epoch),
            tried: BTreeMap::new(),
            side,
            limits,
            held,
        })
    }

    /// The side, as it was seen.
    pub const fn side(&self) -> &Side {
        &self.side
    }

    /// Who is held.
    pub fn held(&self) -> impl Iterator<Item = &Named> {
        self.held.iter().map(|(named, _)| named)
    }

    /// The move that has held them last.
    pub fn epoch(&self) -> Option<Epoch> {
        self.held.iter().map(|(_, held)| held.epoch).max()
    }

    /// Whether this side is what it was when its owners were held first, as far as any are.
    pub fn is_as_before(&self) -> bool {
        let is_standby = self.side.object_says_standby();
        self.held.iter().all(|(_, held)| held.standby == is_standby)
    }

    /// Whether nobody is held, and no release was left unfinished.
    pub fn is_nothing_to_do(&self) -> bool {
        self.held.is_empty() && self.takes_over.is_none()
    }

    /// What the source must say, as a merge patch of the object.
    pub fn to_commit(&self) -> Value {
        self.side.to_commit()
    }

    /// Whether it is worth trying; asks each source to be looked at, and changes nothing else.
    ///
    /// # Errors
    /// An owner or its source cannot be read.
    pub async fn look(&mut self) -> Result<Readiness, StepError> {
        if self.is_nothing_to_do() {
            return Ok(Readiness::NoneHeld);
        }
        self.side.refresh().await?;
        self.side.refuse_named_pause()?;
        if self.goes_on {
            return Ok(Readiness::MayGo);
        }
        let mut worth_trying = Vec::new();
        for (named, held) in &self.held {
            let is_as_before = held.standby == self.side.object_says_standby();
            if is_as_before && !held.may_differ && named.kind == OwnerKind::FluxKustomization {
                continue;
            }
            let limit = self.limits.step;
            let asked = (held.cluster.as_str(), self.side.object());
            let revision = match hold::ask_source(&self.side.site, named, asked, limit).await? {
                Source::Says | Source::AtWork => continue,
                Source::SaysOtherwise(because) => return Ok(Readiness::NotYet(because)),
                // What may have been changed and applied since is tried once, whatever was applied last.
                Source::Has { revision, applied }
                    if !held.may_differ && revision.is_some() && revision == applied =>
                {
                    return Ok(Readiness::NotYet(nothing_new(named, revision.as_deref())));
                }
                Source::Has { revision, .. } => revision,
            };
            let tried = self.tried.get(&named.to_string());
            if tried.is_some_and(|tried| *tried == revision) {
                return Ok(Readiness::NotYet(nothing_new(named, revision.as_deref())));
            }
            worth_trying.push((named.to_string(), revision));
        }
        self.tried.extend(worth_trying);
        Ok(Readiness::MayGo)
    }

    /// Tries it. `false`: a source says otherwise, and its owner is held as before.
    pub async fn run<'a>(
        &mut self,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Result<bool, MoveError> {
        let steps = Steps::new(interrupt, report);
        let ended = Box::pin(self.carry_out(&steps)).await;
        steps.conclude(&ended, None, None).await;
        ended
    }

    async fn carry_out(&mut self, steps: &Steps<'_>) -> Result<bool, MoveError> {
        let error = |standing| {
            move |(step, error): (Step, StepError)| {
                let standing = standing_of(&error, standing);
                MoveError::new(step, standing, error)
            }
        };
        let claimed = steps.steadily(Step::Claim, self.claim(steps)).await;
        claimed.map_err(error(Standing::Unchanged))?;
        // From here to the end nothing interrupts it: an owner at work beside a held operator is nothing to leave behind.
        let held = steps.gives_up(Step::Hold, self.hold()).await;
        held.map_err(error(Standing::Held))?;
        let verified = steps.gives_up(Step::Verify, self.compare()).await;
        let agrees = verified.map_err(error(Standing::Held))?;
        let released = steps.gives_up(Step::Release, self.release(agrees)).await;
        released.map_err(error(Standing::Held))?;
        Ok(agrees)
    }

    async fn claim(&mut self, steps: &Steps<'_>) -> Result<((), String), StepError> {
        let intent = Intent {
            takes_over: self.takes_over.take(),
            ..Intent::of(Action::Release)
        };
        claim(steps, intent, Some(&mut self.side), None, self.limits).await
    }

    /// The operator only: the owners stay as they are, held or let go by somebody.
    async fn hold(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        self.side.hold_operator(limit).await?;
        let is = self.side.config_says_standby();
        if self.side.object_says_standby() != is {
            if !self.goes_on {
                let what = "the object asks for something else than Patroni's configuration";
                return Err(StepError::BasisChanged {
                    what: what.to_owned(),
                });
            }
            let section = self.side.standby_section_with(None);
            self.put_back(&section, is).await?;
        }
        // From here on it is tried like any other.
        self.goes_on = false;
        let evidence = "The object says Progressing=False, reason Paused.";
        Ok(((), evidence.to_owned()))
    }

    /// What the object asked for before an owner took its turn.
    async fn put_back(
        &mut self,
        section: &Map<String, Value>,
        is_standby: bool,
    ) -> Result<(), StepError> {
        if is_standby && section.is_empty() {
            let what = "spec.standby is gone from the object, and nothing here knows what was in it: write it again";
            return Err(StepError::BasisChanged {
                what: what.to_owned(),
            });
        }
        let patch = self.side.standby_patch(section, is_standby);
        self.side.send_object(&patch).await
    }

    /// Has each owner take its turn, and sees what becomes of the object. What the move has written is Flux' own by then: a field that
    /// its source does not name goes, and is seen to go while the operator does nothing.
    async fn compare(&mut self) -> Result<(bool, String), StepError> {
        let limit = self.limits.step;
        if self.held.is_empty() {
            return Ok((true, "No owner is held any more.".to_owned()));
        }
        let is = self.side.config_says_standby();
        let section = self.side.standby_section_with(None);
        for (named, held) in self.held.clone() {
            if named.kind == OwnerKind::FluxKustomization {
                hand_over(&self.side.site, &self.side.cluster).await?;
            }
            let (site, object) = (&self.side.site, self.side.object());
            let turn = hold::resume(site, &named, &held.cluster, object, limit).await?;
            self.side.refresh().await?;
            let sleeps = self.side.object().pointer("/spec/paused") == Some(&json!(true));
            let is_the_same = sleeps && self.side.object_says_standby() == is;
            let because = match turn {
                Turn::Taken if is_the_same => continue,
                Turn::Taken => {
                    "it has put spec.standby back: its source does not say it yet".to_owned()
                }
                Turn::Failed(because) => format!("its turn tells nothing: {because}"),
            };
            hold::take(&self.side.site, &named, &held, limit).await?;
            self.side.refresh().await?;
            self.put_back(&section, is).await?;
            let text = format!("{named} was let go and is held again, for {because}.");
            return Ok((false, text));
        }
        let says = if is { "a standby" } else { "a primary" };
        let text = format!("After their turn the object asks for {says}, as before.");
        Ok((true, text))
    }

    async fn release(&mut self, agrees: bool) -> Result<((), String), StepError> {
        if !agrees {
            self.side.unhold(self.limits.step).await?;
            let text = "The operator works again; the owners are held as before.";
            return Ok(((), text.to_owned()));
        }
        for (named, held) in &self.held {
            hold::let_go(&self.side.site, named, &held.cluster).await?;
        }
        self.held.clear();
        self.side.unhold(self.limits.step).await?;
        let text = "The operator works again, and so do the owners.";
        Ok(((), text.to_owned()))
    }
}

fn nothing_new(named: &Named, revision: Option<&str>) -> String {
    match revision {
        Some(revision) => format!("the source of {named} has nothing newer than {revision}"),
        None => format!(
            "the source of {named} says something else, and pgha may not ask it for anything newer"
        ),
    }
}

/// Gives the fields that a move has written to whom Flux takes them from at its next turn: it does not apply what is equal already, so
/// they would stay a move's, and stay for ever.
async fn hand_over(site: &SiteClient, cluster: &str) -> Result<(), StepError> {
    let attempt = async || {
        let found = fetch_dynamic(site, cluster).await?;
        let fields = serde_json::to_value(&found.metadata.managed_fields).unwrap_or_default();
        let Some(after) = handed_over(&fields) else {
            return Ok(());
        };
        let version = found.metadata.resource_version.unwrap_or_default();
        let patch = PatchBuilder::default()
            .test(&["metadata", "resourceVersion"], json!(version))
            .set(&["metadata", "managedFields"], Some(&fields), after)
            .of("postgrescluster", cluster);
        patch_object(site, &pgo_v5::resource(), &patch).await?;
        Ok(())
    };
    while_outdated(attempt, StepError::is_outdated).await
}

/// The managers of an object's fields, with what ours has of `spec.standby` under another name; `None` where it has none of it.
fn handed_over(managed: &Value) -> Option<Value> {
    let mut entries = managed.as_array()?.clone();
    let index = entries.iter().position(|entry| {
        entry["manager"] == FIELD_MANAGER && entry.pointer("/fieldsV1/f:spec/f:standby").is_some()
    })?;
    let mut given = entries.get(index)?.clone();
    let spec = entries
        .get_mut(index)?
        .pointer_mut("/fieldsV1/f:spec")?
        .as_object_mut()?;
    let standby = spec.remove("f:standby")?;
    if spec.is_empty() {
        entries
            .get_mut(index)?
            .pointer_mut("/fieldsV1")?
            .as_object_mut()?
            .remove("f:spec");
    }
    given["manager"] = json!(HANDED_OVER);
    let given_spec = Map::from_iter([("f:standby".to_owned(), standby)]);
    given["fieldsV1"] = json!({"f:spec": given_spec});
    entries.push(given);
    Some(Value::Array(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_source_names_changes_hands() {
        let managed = json!([
            {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:image": {}}}},
            {"manager": "pgha", "operation": "Update", "fieldsV1": {
                "f:metadata": {"f:annotations": {"f:pgha.dev/epoch": {}}},
                "f:spec": {"f:paused": {}, "f:standby": {"f:enabled": {}}}}},
        ]);
        let after = handed_over(&managed).unwrap();
        assert_eq!(after[0], managed[0]);
        assert_eq!(after[1]["fieldsV1"]["f:spec"], json!({"f:paused": {}}));
        assert_eq!(
            after[1]["fieldsV1"]["f:metadata"],
            managed[1]["fieldsV1"]["f:metadata"]
        );
        assert_eq!(
            after[2],
            json!({"manager": "kubectl-handover", "operation": "Update",
                "fieldsV1": {"f:spec": {"f:standby": {"f:enabled": {}}}}})
        );
        assert_eq!(handed_over(&after), None);
    }
}
