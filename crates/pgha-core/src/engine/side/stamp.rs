//! The epoch on the objects that a move writes: whoever comes later with an older one finds its patch refused.

use k8s_openapi::api::core::v1::Endpoints;
use kube::Api;
use pgha_model::guard::Guard;
use pgha_model::record::Epoch;
use serde_json::{Value, json};

use super::{Side, fetch_object};
use crate::client::{CallError, CallKind};
use crate::engine::StepError;
use crate::operator::pgo_v5;
use crate::patch::{ObjectPatch, PatchBuilder, patch_endpoints, patch_object, while_outdated};

/// The annotation that holds the epoch of the last move.
pub(in crate::engine) const EPOCH_ANNOTATION: &str = "pgha.dev/epoch";

/// Where it is.
const PATH: [&str; 3] = ["metadata", "annotations", EPOCH_ANNOTATION];

/// An object that carries an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Stamped {
    /// The operator's.
    Object,
    /// Patroni's configuration.
    Store,
}

impl Side {
    /// The highest epoch that the objects of this side carry.
    pub(in crate::engine) async fn stamped(&self) -> Result<Epoch, CallError> {
        let (object, store) = tokio::try_join!(
            self.fetch_stamped(Stamped::Object),
            self.fetch_stamped(Stamped::Store)
        )?;
        Ok(epoch_of(&object).max(epoch_of(&store)).unwrap_or_default())
    }

    /// Puts the epoch on both objects; from then on every write of this side rests on it.
    pub(in crate::engine) async fn stamp(&mut self, epoch: Epoch) -> Result<(), StepError> {
        // Before the stamps: when one of them fails, or its answer comes too late, the way back rests on the epoch too.
        self.epoch = Some(epoch);
        tokio::try_join!(
            self.stamp_one(Stamped::Object, epoch),
            self.stamp_one(Stamped::Store, epoch)
        )?;
        self.refresh().await
    }

    async fn stamp_one(&self, which: Stamped, epoch: Epoch) -> Result<(), StepError> {
        let attempt = async || {
            let object = self.fetch_stamped(which).await?;
            match epoch_of(&object) {
                Some(seen) if seen == epoch => return Ok(()),
                Some(seen) if !Guard::EpochRises.holds(seen < epoch) => {
                    return Err(superseded(seen));
                }
                _ => {}
            }
            let patch = self.stamp_patch(which, &object, epoch);
            Ok(self.send_stamp(which, &patch).await?)
        };
        while_outdated(attempt, StepError::is_outdated).await
    }

    async fn send_stamp(&self, which: Stamped, patch: &ObjectPatch) -> Result<(), CallError> {
        match which {
            Stamped::Object => patch_object(&self.site, &pgo_v5::resource(), patch)
                .await
                .map(drop),
            Stamped::Store => patch_endpoints(&self.site, patch).await.map(drop),
        }
    }

    /// Rests on the epoch before, or, where there is none to test, on the object's resourceVersion.
    fn stamp_patch(&self, which: Stamped, object: &Value, epoch: Epoch) -> ObjectPatch {
        let (kind, name) = match which {
            Stamped::Object => ("postgrescluster", self.cluster.clone()),
            Stamped::Store => ("endpoints", pgo_v5::store_name(&self.cluster)),
        };
        let annotations = object.pointer("/metadata/annotations");
        let seen = annotations.and_then(|all| all.get(EPOCH_ANNOTATION));
        let wanted = json!(epoch.to_string());
        let patch = PatchBuilder::default();
        let patch = match (annotations, seen) {
            (Some(_), Some(seen)) => patch.set(&PATH, Some(seen), wanted),
            (Some(_), None) => patch
                .test(&["metadata", "resourceVersion"], version_of(object))
                .set(&PATH, None, wanted),
            (None, _) => patch
                .test(&["metadata", "resourceVersion"], version_of(object))
                .set(&PATH[..2], None, json!({ EPOCH_ANNOTATION: wanted })),
        };
        patch.of(kind, name)
    }

    async fn fetch_stamped(&self, which: Stamped) -> Result<Value, CallError> {
        match which {
            Stamped::Object => fetch_object(&self.site, &self.cluster).await,
            Stamped::Store => {
                let name = pgo_v5::store_name(&self.cluster);
                let client = self.site.client.clone();
                let api: Api<Endpoints> = Api::namespaced(client, &self.site.namespace);
                let what = format!("endpoints {name}");
                let store = self.site.call("get", &what, api.get(&name)).await?;
                Ok(serde_json::to_value(store).unwrap_or_default())
            }
        }
    }

    /// The same patch, resting on the move's epoch.
    pub(super) fn fenced(&self, patch: ObjectPatch) -> ObjectPatch {
        match self.epoch {
            Some(epoch) if Guard::EpochInWrite.stands() => {
                patch.resting_on(&PATH, json!(epoch.to_string()))
            }
            _ => patch,
        }
    }

    /// The same patch, resting on the epoch that the operator's object carries as last seen, whosever it is; on the whole
    /// object where it carries none.
    pub(in crate::engine) fn resting_as_seen(&self, patch: ObjectPatch) -> ObjectPatch {
        let annotations = self.object.pointer("/metadata/annotations");
        match annotations.and_then(|all| all.get(EPOCH_ANNOTATION)) {
            Some(epoch) => patch.resting_on(&PATH, epoch.clone()),
            None => patch.resting_on(&["metadata", "resourceVersion"], version_of(&self.object)),
        }
    }

    /// Why a patch was refused: another move's epoch, or another value that it rests on.
    pub(super) async fn explained(&self, error: CallError, which: Stamped) -> StepError {
        if error.kind == CallKind::TestFailed
            && let Some(epoch) = self.epoch
            && let Ok(object) = self.fetch_stamped(which).await
            && let Some(seen) = epoch_of(&object)
            && seen > epoch
        {
            return superseded(seen);
        }
        error.into()
    }
}

fn superseded(epoch: Epoch) -> StepError {
    let by = format!("another move (epoch {epoch}) has taken over");
    StepError::Superseded { by }
}

fn epoch_of(object: &Value) -> Option<Epoch> {
    let annotations = object.pointer("/metadata/annotations")?;
    Epoch::from_text(annotations.get(EPOCH_ANNOTATION)?.as_str()?)
}

fn version_of(object: &Value) -> Value {
    let version = object.pointer("/metadata/resourceVersion");
    version.cloned().unwrap_or_default()
}
