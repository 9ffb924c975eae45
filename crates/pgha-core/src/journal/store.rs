//! One site's copy of the journal: a `ConfigMap`, read and swapped.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PostParams};
use pgha_model::guard::Guard;
use pgha_model::record::{Epoch, Journal, MoveRecord};
use pgha_model::site::Part;
use serde_json::{Value, json};

use super::JournalError;
use crate::client::{CallError, CallKind, FIELD_MANAGER, SiteClient};
use crate::diagnose::Diagnose as _;
use crate::patch::{PatchBuilder, parameters};
use pgha_model::effect::Effect;

/// The label that every journal carries.
const LABEL: &str = "app.kubernetes.io/managed-by";

/// What a site keeps of a cluster's moves.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The records.
    pub journal: Journal,
    /// The object's resourceVersion; `None` when there is none.
    version: Option<String>,
}

/// Reads what a site keeps of a cluster's moves; nothing is kept before the first one.
pub async fn read_journal(site: &SiteClient, cluster: &str) -> Result<Kept, CallError> {
    let name = name_of(cluster);
    let api: Api<ConfigMap> = Api::namespaced(site.client.clone(), &site.namespace);
    let found = site
        .call("get", &format!("configmap {name}"), api.get_opt(&name))
        .await?;
    Ok(found.map(Kept::from).unwrap_or_default())
}

impl From<ConfigMap> for Kept {
    fn from(object: ConfigMap) -> Self {
        Self {
            journal: Journal::from_data(&object.data.unwrap_or_default()),
            version: object.metadata.resource_version,
        }
    }
}

/// The name of the `ConfigMap` that keeps the moves of a cluster.
pub fn name_of(cluster: &str) -> String {
    format!("{cluster}-pgha")
}

/// One site's copy of a record under way.
pub(super) struct Copy {
    pub(super) part: Part,
    site: SiteClient,
    name: String,
    kept: Kept,
}

impl Copy {
    pub(super) fn new(part: Part, site: SiteClient, cluster: &str, kept: Kept) -> Self {
        Self {
            part,
            site,
            name: name_of(cluster),
            kept,
        }
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.kept.journal
    }

    /// Writes the record, resting on the object as it was last seen. When it has changed, or no answer came, it is read: our
    /// own words there mean that the write took hold, a later epoch that this one is over.
    pub(super) async fn write(&mut self, record: &MoveRecord) -> Result<(), JournalError> {
        let mut tries = 0;
        loop {
            tries += 1;
            // Also what was read after an earlier loss: a later resourceVersion alone must not let this one in again.
            self.refuse_stranger(record)?;
            let error = match self.send(record).await {
                Ok(object) => {
                    self.kept = Kept::from(object);
                    return Ok(());
                }
                Err(error) => error,
            };
            let is_lost_race = matches!(
                error.kind,
                CallKind::TestFailed | CallKind::Conflict | CallKind::NotFound
            );
            if !is_lost_race && error.effect() != Effect::Unknown {
                return Err(error.into());
            }
            self.kept = read_journal(&self.site, self.cluster()).await?;
            if self.kept.journal.readable(record.epoch) == Some(record) {
                return Ok(());
            }
            if tries == TRIES {
                return Err(error.into());
            }
        }
    }

    /// Who else has written: a later move, another one of the same epoch, or somebody who decided in this record. What this
    /// very move wrote before, without an answer, is no stranger.
    fn refuse_stranger(&self, record: &MoveRecord) -> Result<(), JournalError> {
        let found = &self.kept.journal;
        if !Guard::RecordOwner.holds(found.epoch <= record.epoch) {
            return Err(superseded(found, found.epoch));
        }
        let Some(theirs) = found.readable(record.epoch) else {
            return Ok(());
        };
        let is_own = theirs.operator == record.operator && theirs.claimed_at == record.claimed_at;
        if !Guard::RecordOwner.holds(is_own) {
            return Err(superseded(found, record.epoch));
        }
        if Guard::RecordOwner.holds(theirs.stage.allows(record.stage)) {
            return Ok(());
        }
        Err(JournalError::Decided {
            part: self.part,
            stage: theirs.stage,
        })
    }

    fn cluster(&self) -> &str {
        self.name.strip_suffix("-pgha").unwrap_or(&self.name)
    }

    async fn send(&self, record: &MoveRecord) -> Result<ConfigMap, CallError> {
        let api: Api<ConfigMap> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let what = format!("configmap {}", self.name);
        let text = serde_json::to_string_pretty(record).unwrap_or_default();
        let key = Journal::key(record.epoch);
        let Some(version) = &self.kept.version else {
            let data = BTreeMap::from([
                (Journal::epoch_key().to_owned(), record.epoch.to_string()),
                (key, text),
            ]);
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            let object = self.object(data);
            return self
                .site
                .call("create", &what, api.create(&params, &object))
                .await;
        };
        let patch = self.patch(version, record.epoch, &key, text);
        let patch = Patch::Json::<()>(patch);
        self.site
            .call("patch", &what, api.patch(&self.name, &parameters(), &patch))
            .await
    }

    fn patch(&self, version: &str, epoch: Epoch, key: &str, text: String) -> json_patch::Patch {
        let journal = &self.kept.journal;
        // `add` replaces what is there (RFC 6902, 4.1), and the resourceVersion tells what that is.
        let mut patch = PatchBuilder::default();
        if Guard::RecordSwap.stands() {
            patch = patch.test(&["metadata", "resourceVersion"], json!(version));
        }
        patch = patch
            .set(
                &["data", Journal::epoch_key()],
                None,
                json!(epoch.to_string()),
            )
            .set(&["data", key], None, Value::String(text));
        for old in journal.outlived(epoch) {
            patch = patch.drop_value(&["data", &old]);
        }
        patch.of("configmap", &self.name).operations
    }

    fn object(&self, data: BTreeMap<String, String>) -> ConfigMap {
        let mut object = ConfigMap {
            data: Some(data),
            ..ConfigMap::default()
        };
        object.metadata.name = Some(self.name.clone());
        object.metadata.namespace = Some(self.site.namespace.clone());
        let labels = [(LABEL, FIELD_MANAGER), ("pgha.dev/cluster", self.cluster())];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        object.metadata.labels = Some(labels.into());
        object
    }
}

/// How often a write that lost a race without an opponent is sent.
const TRIES: u32 = 3;

pub(super) fn superseded(found: &Journal, epoch: Epoch) -> JournalError {
    let record = found.readable(epoch);
    JournalError::Superseded {
        epoch,
        action: record.map(|record| record.action),
        operator: record.map(|record| record.operator.clone()),
    }
}
