//! The objects of a backend, and what is found at each whatever its fields are.

use std::fmt;
use std::time::Duration;

use kube::api::DynamicObject;
use pgha_model::owner::signed;
use pgha_nlb::text::one_line;
use pgha_nlb::{BackendId, CutoverError, Fence, Finding};
use sha2::{Digest as _, Sha256};

use crate::cluster::{Clusters, Need, Object, Open};

/// Objects, each once, and the contexts that they are in.
pub(crate) struct Objects {
    pub(crate) all: Vec<Object>,
    pub(crate) clusters: Clusters,
}

impl fmt::Debug for Objects {
    // A client holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.at())
    }
}

impl Objects {
    /// Objects of contexts that `open` opens; opens none yet.
    pub(crate) fn new(open: Open, all: Vec<Object>) -> Self {
        let clusters = Clusters::new(open, &all);
        Self { all, clusters }
    }

    /// Where all of them are, for a person.
    pub(crate) fn at(&self) -> String {
        let labels: Vec<_> = self.all.iter().map(Object::label).collect();
        labels.join(", ")
    }

    /// Reads all of them.
    pub(crate) async fn read(&self, within: Duration) -> Result<Vec<DynamicObject>, CutoverError> {
        let mut live = Vec::new();
        for object in &self.all {
            live.push(self.clusters.get(object, within).await?);
        }
        Ok(live)
    }

    /// A digest of what the objects want, and of none of what controllers report.
    pub(crate) fn fence(&self, live: &[DynamicObject]) -> Fence {
        let mut hash = Sha256::new();
        for (place, object) in self.all.iter().zip(live) {
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            hash.update(format!("{}\n{uid}\n", place.label()));
            // A ConfigMap has data, and anything else a spec.
            for wanted in ["spec", "data"] {
                hash.update(format!("{}\n", object.data[wanted]));
            }
            let annotations = object.metadata.annotations.iter().flatten();
            for (key, value) in annotations.filter(|(key, _)| key.starts_with("external-dns.")) {
                hash.update(format!("{key} {value:?}\n"));
            }
        }
        format!("digest {}", hex::encode(&hash.finalize()[..8])).into()
    }

    /// Whether we may read and change an object, and do what else is needed.
    pub(crate) async fn permission_finding(
        &self,
        id: &BackendId,
        object: &Object,
        needed: impl Iterator<Item = Need<'static>>,
        within: Duration,
    ) -> Finding {
        let check = "kubernetes-permission";
        let plural = &object.resource.plural;
        let changed = match object.changed_by {
            Some(part) => format!("{plural}/{part}"),
            None => plural.clone(),
        };
        let own = |verb, resource| Need {
            verb,
            group: &object.resource.group,
            resource,
            name: Some(&object.name),
        };
        let mut all = vec![own("get", plural), own("patch", &changed)];
        for need in needed {
            all.push(need);
        }
        match self.clusters.denied(object, &all, within).await {
            Err(error) => Finding::of_error(id, check, &error),
            Ok(denied) if denied.is_empty() => Finding::pass(id, check),
            Ok(denied) => {
                let seen = format!("For {}, you may not {}.", object.label(), denied.join(", "));
                Finding::fail(id, check, &seen, "Ask for a Role that permits it.")
            }
        }
    }
}

/// Who else writes an object.
pub(crate) fn owner_finding(id: &BackendId, object: &Object, live: &DynamicObject) -> Finding {
    let check = "kubernetes-owner";
    let metadata = serde_json::to_value(&live.metadata).unwrap_or_default();
    let owners = signed(&metadata, one_line);
    let writing = owners.iter().filter(|owner| owner.exempt.is_none());
    let writing: Vec<String> = writing.map(ToString::to_string).collect();
    if writing.is_empty() {
        return Finding::pass(id, check);
    }
    let (label, writing) = (object.label(), writing.join(", "));
    let seen = format!("{label} is also written by {writing}.");
    let advice =
        "See that it does not put the field back: suspend it, or have it leave the field alone.";
    Finding::warn(id, check, &seen, advice)
}
