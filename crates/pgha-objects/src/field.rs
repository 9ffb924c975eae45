//! What a backend knows of a route, and nobody else does.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use json_patch::PatchOperation;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::{DynamicObject, ListParams};
use pgha_nlb::{Active, BackendId, CutoverError, Finding, RouteName, SiteName};
use serde::de::DeserializeOwned;

use crate::cluster::{Need, Object};
use crate::objects::Objects;
use crate::place::Whereabouts;

/// One part of an object that says where users go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one, in words.
    pub what: String,
    /// What it says.
    pub value: String,
    /// Where that leads.
    pub active: Active,
}

/// A route that is a field of one object, or of several. `nth` is an object's place in the list that [`new`](Self::new) gave.
#[async_trait]
pub trait Field: fmt::Debug + Send + Sync + Sized {
    /// The route, as the service's file has it.
    type Settings: Send + Sync;

    /// The kind of backend.
    const KIND: &'static str;

    /// The check of each route, and what to do about one that is split or unknown, as a full sentence.
    const ROUTE: (&'static str, &'static str);

    /// How long a change usually takes to have an effect.
    const SETTLES_IN: Duration;

    /// The name of a route.
    fn name(settings: &Self::Settings) -> &RouteName;

    /// A route and its objects; `sites` are those of the service, each with its context.
    ///
    /// # Errors
    /// No object could be found by it, or no field could say so.
    fn new(
        settings: &Self::Settings,
        sites: &BTreeMap<SiteName, Whereabouts>,
    ) -> Result<(Self, Vec<Object>), String>;

    /// Whether both are the same field of an object that both have.
    fn is_same(&self, other: &Self) -> bool;

    /// What an object says.
    ///
    /// # Errors
    /// Why it cannot be told where it leads, as a full sentence.
    fn read(&self, nth: usize, live: &DynamicObject) -> Result<Vec<Part>, String>;

    /// Where its parts lead together, each with its place.
    fn together(&self, parts: &[(String, Part)]) -> Active {
        together(parts)
    }

    /// What the parts of an object say when users go to a site; `None` where the route does not know the site.
    fn wanted(&self, nth: usize, to: &SiteName) -> Option<String>;

    /// Whether an object changes before those of other routes do.
    fn is_first(&self, _nth: usize, _to: &SiteName) -> bool {
        false
    }

    /// The operations that have a part of an object say something else: tests of what it says now, and the change.
    ///
    /// # Errors
    /// It cannot say so.
    fn operations(
        &self,
        live: &DynamicObject,
        what: &str,
        to: &str,
    ) -> Result<Vec<PatchOperation>, String>;

    /// What one must be permitted beside reading and changing the objects.
    fn needed(&self) -> &'static [Need<'static>] {
        &[]
    }

    /// What else is found at an object. Changes nothing.
    async fn found(&self, _here: &Here<'_>, _id: &BackendId) -> Vec<Finding> {
        Vec::new()
    }

    /// What tells that what an object says has an effect, or what is seen instead, each a full sentence.
    async fn effect(&self, here: &Here<'_>) -> Result<Result<String, String>, CutoverError>;
}

/// Where parts lead that all lead to one and the same site, or do not.
fn together(parts: &[(String, Part)]) -> Active {
    let Some((first, Part { active, .. })) = parts.first() else {
        let because = "Nothing says where it leads.".to_owned();
        return Active::Unknown { because };
    };
    for (at, Part { active: other, .. }) in parts {
        match (active, other) {
            _ if active == other => {}
            (Active::Site(_), Active::Site(_)) => {
                let seen = format!("`{first}` and `{at}` lead to different sites.");
                return Active::Split { seen };
            }
            (Active::Site(_), _) => return other.clone(),
            (_, _) => break,
        }
    }
    active.clone()
}

/// An object as one look saw it.
pub struct Here<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) object: &'a Object,
    /// What it is.
    pub live: &'a DynamicObject,
    pub(crate) within: Duration,
}

impl Here<'_> {
    /// The object, for a person.
    pub fn label(&self) -> String {
        self.object.label()
    }

    /// What is told where nothing but the object tells.
    pub fn unproven(&self) -> String {
        let label = self.label();
        format!("{label} says so; only a probe shows what comes of it.")
    }

    /// Lists what is in its namespace; `tried` is for the message of a failure.
    ///
    /// # Errors
    /// The API server did not answer with a list.
    pub async fn list<K>(
        &self,
        tried: &'static str,
        params: &ListParams,
    ) -> Result<Vec<K>, CutoverError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + fmt::Debug + DeserializeOwned,
    {
        let clusters = &self.objects.clusters;
        clusters
            .list(self.object, (tried, params), self.within)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lead_together_or_not() {
        let (core1, core2) = (Active::Site("core1".into()), Active::Site("core2".into()));
        let unknown = Active::Unknown {
            because: "x".to_owned(),
        };
        let part = |active: &Active| Part {
            what: String::new(),
            value: String::new(),
            active: active.clone(),
        };
        let both =
            |one, other| together(&[("a".to_owned(), part(one)), ("b".to_owned(), part(other))]);
        assert_eq!(both(&core1, &core1), core1);
        assert_eq!(both(&core1, &unknown), unknown);
        assert_eq!(both(&unknown, &core1), unknown);
        assert!(matches!(both(&core1, &core2), Active::Split { .. }));
        assert!(matches!(together(&[]), Active::Unknown { .. }));
    }
}
