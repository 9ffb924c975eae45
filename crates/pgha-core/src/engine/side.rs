//! One side of a move: what was seen there, the connections kept to it, and the changes of it.

mod owners;
mod recovery;
mod stamp;

use std::time::Duration;

use k8s_openapi::api::core::v1::Endpoints;
use kube::Api;
use pgha_model::check::SideFacts;
use pgha_model::check::inspection::Inspection;
use pgha_model::guard::Guard;
use pgha_model::observed::Observed;
use pgha_model::owner::Named;
use pgha_model::record::{Epoch, Journal};
use pgha_model::site::Part;
use serde_json::{Map, Value};

pub(super) use self::recovery::doubt;
use self::stamp::Stamped;
use super::StepError;
use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::diagnose::chain_of;
use crate::exec::{self, Container, Process, Shell};
use crate::gitops::Closeness;
use crate::journal::read_journal;
use crate::k8s::DynamicObject;
use crate::login::Programs;
use crate::operator::pgo_v5::{self, render};
use crate::patch::{ObjectPatch, patch_endpoints, patch_object};
use crate::permission::{Role, permissions};
use crate::postgres::Psql;
use crate::settle::{Look, Settlement, await_until};
use crate::survey::{Depth, SurveyError, survey_with_owners};
use crate::validate::{denied, inspect};

/// Pause between two looks at an API server.
const LOOK: Duration = Duration::from_millis(50);

/// Why a side could not be seen. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// Kubernetes or Patroni could not be read.
    #[error("could not survey the {part}")]
    Survey {
        /// Which side.
        part: Part,
        /// Why.
        #[source]
        source: SurveyError,
    },
    /// The operator's object or Patroni's configuration could not be read.
    #[error("could not read the {part}")]
    Call {
        /// Which side.
        part: Part,
        /// Why.
        #[source]
        source: CallError,
    },
}

/// A side with its kept connections.
pub struct Side {
    /// Which side it is.
    pub part: Part,
    /// What was seen before the move.
    pub facts: SideFacts,
    /// The moves that the site keeps; why they could not be read, as a fragment.
    pub journal: Result<Journal, String>,
    pub(super) site: SiteClient,
    pub(super) cluster: String,
    /// The operator's object as last seen.
    object: Value,
    /// Patroni's configuration as last seen, byte for byte.
    config: String,
    /// The same as it was before the move.
    config_before: Value,
    /// `spec.paused` as it was before the move.
    paused_before: Option<Value>,
    /// Whether who owns the object is held before it is changed.
    holds_owners: bool,
    /// Whether the move changes what the owners' source says.
    source_moves: bool,
    /// Those that were held for this cluster since, what is highest first.
    held_owners: Vec<Named>,
    /// Whether they stay held although this side is what it was: it is about to be changed.
    keeps_owners: bool,
    /// Those that stayed held when this side was released.
    left_held: Vec<Named>,
    /// The patches that do so.
    owner_patches: Vec<ObjectPatch>,
    /// What every write of this side rests on, once the move is claimed.
    epoch: Option<Epoch>,
    /// A `psql` to each member, the leader first.
    pub(super) members: Vec<Psql>,
    /// A shell in the leader's database container.
    pub(super) shell: Option<Shell>,
}

impl Side {
    /// What the API server of this side denies of a role, each as a verb and a resource.
    pub async fn denied(&self, role: Role) -> Result<Vec<String>, CallError> {
        denied(&self.site, permissions(role, &self.cluster)).await
    }

    /// Surveys a side and keeps connections to its members. What cannot be connected to becomes a fact that is missing;
    /// the checks then refuse.
    pub async fn open(site: SiteClient, cluster: &str, part: Part) -> Result<Self, SideError> {
        let closeness = Closeness::Claimants;
        let survey = survey_with_owners(&site, cluster, Depth::Members, closeness);
        let survey = Box::pin(survey)
            .await
            .map_err(|source| SideError::Survey { part, source })?;
        let call = |source| SideError::Call { part, source };
        let (object, kept) = Box::pin(async {
            tokio::join!(fetch_object(&site, cluster), read_journal(&site, cluster))
        })
        .await;
        let object = object.map_err(call)?;
        let journal = kept
            .map(|kept| kept.journal.of_system(survey.system_identifier()))
            .map_err(|error| chain_of(&error));
        let config = match &survey.store {
            Observed::Seen(store) => store.config.clone(),
            Observed::Unseen { .. } => "{}".to_owned(),
        };
        let leader = survey.lock_holder().map(|member| member.pod.clone());
        let mut opened = Self {
            part,
            facts: SideFacts {
                survey,
                postgres: None,
                unconnected: Vec::new(),
                inspection: Inspection::unseen("it was not looked at"),
            },
            journal,
            cluster: cluster.to_owned(),
            paused_before: object.pointer("/spec/paused").cloned(),
            config_before: serde_json::from_str(&config).unwrap_or_default(),
            object,
            config,
            holds_owners: false,
            source_moves: false,
            held_owners: Vec::new(),
            keeps_owners: false,
            left_held: Vec::new(),
            owner_patches: Vec::new(),
            epoch: None,
            members: Vec::new(),
            shell: None,
            site,
        };
        let (closer, survey, object) = (
            opened.site.clone(),
            opened.facts.survey.clone(),
            opened.object.clone(),
        );
        let look = Box::pin(inspect(&closer, cluster, &survey, &object));
        let connect = Box::pin(async {
            if let Some(leader) = leader {
                opened.connect(&leader).await;
            }
        });
        let (inspection, ()) = tokio::join!(look, connect);
        opened.facts.inspection = inspection;
        Ok(opened)
    }

    async fn connect(&mut self, leader: &str) {
        let container = database(leader);
        let limit = self.site.request_timeout;
        let containers = self.containers();
        let opened = futures::future::join_all(
            containers
                .iter()
                .map(|container| Psql::open(&self.site, container, limit)),
        );
        let (opened, shell) = tokio::join!(opened, Shell::open(&self.site, &container, limit));
        for (container, opened) in containers.into_iter().zip(opened) {
            match opened {
                Ok(psql) => self.members.push(psql),
                // Without its leader nothing of a side is asked.
                Err(_) if self.members.is_empty() => return,
                Err(_) => self.facts.unconnected.push(container.pod),
            }
        }
        self.shell = shell.ok();
        if let Some(psql) = self.members.first_mut() {
            self.facts.postgres = psql.facts(limit).await.ok();
        }
    }

    /// The database container of every member, the leader's first.
    fn containers(&self) -> Vec<Container> {
        let leader = self
            .facts
            .survey
            .lock_holder()
            .map(|member| member.pod.as_str());
        let others = self
            .facts
            .survey
            .members
            .iter()
            .map(|member| member.pod.as_str());
        leader
            .into_iter()
            .chain(others.filter(|pod| Some(*pod) != leader))
            .map(database)
            .collect()
    }

    /// The database container of the survey's leader.
    pub(super) fn leader(&self) -> Option<Container> {
        self.facts
            .survey
            .lock_holder()
            .map(|member| database(&member.pod))
    }

    /// Who logs in to this side, from the leader's container.
    pub(super) fn programs(&self) -> Option<Programs> {
        Some(Programs {
            site: self.site.clone(),
            cluster: self.cluster.clone(),
            object: self.object.clone(),
            inside: self.leader()?,
        })
    }

    /// A connection to the leader's Postgres.
    pub(super) fn psql(&mut self) -> Result<&mut Psql, StepError> {
        self.members
            .first_mut()
            .ok_or_else(|| StepError::BasisChanged {
                what: "the leader's Postgres is no longer connected".to_owned(),
            })
    }

    /// The shell in the leader's container.
    pub(super) fn shell(&mut self) -> Result<&mut Shell, StepError> {
        self.shell.as_mut().ok_or_else(|| StepError::BasisChanged {
            what: "the leader's container is no longer connected".to_owned(),
        })
    }

    /// The same, to be given back or to be used up.
    pub(super) fn take_shell(&mut self) -> Result<Shell, StepError> {
        self.shell()?;
        self.shell.take().ok_or(StepError::Interrupted)
    }

    /// Starts a bash script in the leader's container that waits for input.
    pub(super) async fn start_script(&self, script: &str) -> Result<Process, StepError> {
        let leader = self.containers().into_iter().next();
        let leader = leader.ok_or_else(|| StepError::BasisChanged {
            what: format!("the {} has no leader", self.part),
        })?;
        Process::start(&self.site, &leader, &exec::bash(script))
            .await
            .map_err(StepError::Exec)
    }

    /// The section that makes this side a standby: its own, or the other side's repository.
    pub(super) fn standby_section(&self, other: &Self) -> Map<String, Value> {
        let own = self
            .object
            .pointer("/spec/standby")
            .and_then(Value::as_object);
        if let Some(own) = own {
            return own.clone();
        }
        let other = other.object.pointer("/spec/standby/repoName");
        other
            .map(|repo| ("repoName".to_owned(), repo.clone()))
            .into_iter()
            .collect()
    }

    /// The operator's object as last seen.
    pub(super) const fn object(&self) -> &Value {
        &self.object
    }

    /// The same, where the other side may not have been seen; empty when neither is known.
    pub fn standby_section_with(&self, peer: Option<&Self>) -> Map<String, Value> {
        self.standby_section(peer.unwrap_or(self))
    }

    /// `spec.paused` as it was before the move.
    pub(super) fn paused_before(&self) -> Option<bool> {
        self.paused_before.as_ref().and_then(Value::as_bool)
    }

    /// The site, for what is read beside a move.
    pub const fn site(&self) -> &SiteClient {
        &self.site
    }

    /// What an unfinished move found in `spec.paused`.
    pub(super) fn was_paused(&mut self, before: Option<bool>) {
        self.paused_before = before.map(Value::Bool);
    }

    /// Patroni's configuration as it was before the move.
    pub(super) fn config_before(&self) -> &Value {
        &self.config_before
    }

    /// Patroni's configuration as last seen.
    pub(super) fn config(&self) -> Value {
        serde_json::from_str(&self.config).unwrap_or_default()
    }

    /// The patch that asks this side's operator to leave the cluster alone.
    pub(super) fn hold_patch(&self) -> ObjectPatch {
        render::hold(&self.object, &self.cluster, true)
    }

    /// The patch that asks this side's operator for a standby or a primary.
    pub(super) fn standby_patch(&self, section: &Map<String, Value>, enabled: bool) -> ObjectPatch {
        render::standby(&self.object, &self.cluster, section, enabled)
    }

    /// The patch that asks this side's operator to stop everything, or to start it, and with a section to start it as a
    /// standby.
    pub(super) fn shutdown_patch(
        &self,
        shutdown: bool,
        standby: Option<&Map<String, Value>>,
    ) -> ObjectPatch {
        render::shutdown(&self.object, &self.cluster, shutdown, standby)
    }

    /// The patch that gives Patroni a configuration.
    pub(super) fn config_patch(&self, wanted: &Value) -> ObjectPatch {
        render::store(&self.cluster, &self.config, wanted)
    }

    /// Holds the object's owners, asks the operator to leave the cluster alone, and waits until it says so: also the proof that
    /// there is one.
    pub(super) async fn hold(&mut self, limit: Duration) -> Result<(), StepError> {
        self.hold_owners(limit).await?;
        self.hold_operator(limit).await
    }

    /// The operator alone.
    pub(super) async fn hold_operator(&mut self, limit: Duration) -> Result<(), StepError> {
        self.send_object(&self.hold_patch()).await?;
        self.await_object(limit, "the hold", |object| {
            Guard::HoldAcknowledged.holds(pause_acknowledged(object))
        })
        .await
    }

    /// Takes the hold back, and waits until the operator works again. Not where the object asks for something else than
    /// Patroni does: somebody has put it back meanwhile, and the operator would make a second primary of it.
    pub(super) async fn unhold(&mut self, limit: Duration) -> Result<(), StepError> {
        self.refresh().await?;
        let agrees = self.object_says_standby() == self.config_says_standby();
        if !Guard::RevertedStaysHeld.holds(agrees) {
            let says = |standby| if standby { "a standby" } else { "a primary" };
            let what = format!(
                "somebody has changed spec.standby: the object of the {} asks for {}, Patroni's configuration for {}; it \
                 stays held",
                self.part,
                says(self.object_says_standby()),
                says(self.config_says_standby())
            );
            return Err(StepError::BasisChanged { what });
        }
        let patch = render::unhold(&self.object, &self.cluster, self.paused_before.as_ref());
        if !patch.operations.0.is_empty() {
            self.send_object(&patch).await?;
        }
        self.await_object(limit, "the release", |object| !pause_acknowledged(object))
            .await?;
        self.let_owners_go().await
    }

    /// Gives Patroni a configuration and the operator its cluster back. A configuration that cannot be written keeps no
    /// hold: the operator renders its own.
    pub(super) async fn release(
        &mut self,
        config: &Value,
        limit: Duration,
    ) -> Result<(), StepError> {
        let written = self.send_config(config).await;
        self.unhold(limit).await?;
        written
    }

    async fn await_object(
        &mut self,
        limit: Duration,
        what: &'static str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<(), StepError> {
        let (site, cluster, part) = (self.site.clone(), self.cluster.clone(), self.part);
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            let object = fetch_object(&site, &cluster).await?;
            Ok::<_, StepError>(if holds(&object) {
                Look::Settled(object)
            } else {
                Look::NotYet(())
            })
        })
        .await?;
        match settlement {
            Settlement::Settled(object) => {
                self.object = object;
                Ok(())
            }
            Settlement::TimedOut { .. } => Err(StepError::OperatorSilent {
                part,
                limit,
                seen: format!("{what} of {cluster} is not acknowledged in its conditions"),
            }),
        }
    }

    /// Sends a patch of the operator's object and remembers the object after it.
    pub(super) async fn send_object(&mut self, patch: &ObjectPatch) -> Result<(), StepError> {
        let patch = self.fenced(patch.clone());
        let object = patch_object(&self.site, &pgo_v5::resource(), &patch).await;
        let object = match object {
            Ok(object) => object,
            Err(error) => return Err(self.explained(error, Stamped::Object).await),
        };
        self.object = serde_json::to_value(object).unwrap_or_default();
        Ok(())
    }

    /// Gives Patroni a configuration, when it is not that already.
    pub(super) async fn send_config(&mut self, wanted: &Value) -> Result<(), StepError> {
        if self.config() == *wanted {
            return Ok(());
        }
        let patch = self.fenced(self.config_patch(wanted));
        let after = match patch_endpoints(&self.site, &patch).await {
            Ok(after) => after,
            Err(error) => return Err(self.explained(error, Stamped::Store).await),
        };
        self.config = config_text(&after).unwrap_or_else(|| wanted.to_string());
        Ok(())
    }

    /// Reads the operator's object and Patroni's configuration again.
    pub(super) async fn refresh(&mut self) -> Result<(), StepError> {
        self.object = fetch_object(&self.site, &self.cluster).await?;
        let name = pgo_v5::store_name(&self.cluster);
        let api: Api<Endpoints> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let store = self
            .site
            .call("get", &format!("endpoints {name}"), api.get(&name))
            .await;
        if let Some(config) = config_text(&store?) {
            self.config = config;
        }
        Ok(())
    }

    /// Whether Patroni's configuration makes this a standby, as last seen.
    pub(super) fn config_says_standby(&self) -> bool {
        self.config().get("standby_cluster").is_some()
    }

    /// Whether the object asks for a standby, as last seen.
    pub(super) fn object_says_standby(&self) -> bool {
        says_standby(&self.object)
    }
}

/// Whether an object asks for a standby.
fn says_standby(object: &Value) -> bool {
    object.pointer("/spec/standby").is_some_and(|section| {
        section.is_object() && section.get("enabled").and_then(Value::as_bool) != Some(false)
    })
}

/// The evidence of a settlement, or the error that says what did not come.
pub(super) fn settled<T>(
    what: &'static str,
    limit: Duration,
    settlement: Settlement<T, String>,
) -> Result<T, StepError> {
    match settlement {
        Settlement::Settled(evidence) => Ok(evidence),
        Settlement::TimedOut { last_seen } => Err(StepError::NotSettled {
            what,
            limit,
            seen: last_seen.unwrap_or_else(|| "nothing was seen".to_owned()),
        }),
    }
}

pub(super) fn database(pod: &str) -> Container {
    Container {
        pod: pod.to_owned(),
        name: pgo_v5::DATABASE_CONTAINER.to_owned(),
    }
}

fn config_text(store: &Endpoints) -> Option<String> {
    store.metadata.annotations.as_ref()?.get("config").cloned()
}

async fn fetch_object(site: &SiteClient, cluster: &str) -> Result<Value, CallError> {
    let object = fetch_dynamic(site, cluster).await?;
    Ok(serde_json::to_value(object).unwrap_or_default())
}

pub(super) async fn fetch_dynamic(
    site: &SiteClient,
    cluster: &str,
) -> Result<DynamicObject, CallError> {
    let api = site.objects(&pgo_v5::resource());
    let object = format!("postgrescluster {cluster}");
    site.call("get", &object, api.get(cluster)).await
}

/// Whether the operator says that it leaves the cluster alone (PGO `controller.go`: condition `Progressing`, reason
/// `Paused`).
fn pause_acknowledged(object: &Value) -> bool {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Progressing"
            && condition["status"] == "False"
            && condition["reason"] == "Paused"
    })
}

#[cfg(test)]
mod tests;
