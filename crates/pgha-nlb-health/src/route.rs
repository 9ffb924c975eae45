//! A route of the service's file: the endpoints of its sites.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use json_patch::PatchOperation;
use kube::api::DynamicObject;
use pgha_nlb::{Active, BackendId, CutoverError, Finding, RouteName, SiteName};
use pgha_objects::{Field, Here, Object, Part, Whereabouts};

use crate::workload::{budget_finding, pods};
use crate::{Endpoint, RouteSettings};

/// An endpoint at each of these sites.
#[derive(Debug)]
pub struct Watched {
    endpoint: Endpoint,
    sites: Vec<SiteName>,
}

#[async_trait]
impl Field for Watched {
    type Settings = RouteSettings;

    const KIND: &'static str = "health";
    const ROUTE: (&'static str, &'static str) = (
        "health-endpoint",
        "By hand, have the endpoint answer at one site and at no other; or correct the service's file.",
    );
    const SETTLES_IN: Duration = Duration::from_secs(30);

    fn name(settings: &RouteSettings) -> &RouteName {
        &settings.name
    }

    fn new(
        settings: &RouteSettings,
        known: &BTreeMap<SiteName, Whereabouts>,
    ) -> Result<(Self, Vec<Object>), String> {
        let (endpoint, places) = (settings.endpoint.clone(), &settings.r#in);
        endpoint.check()?;
        let sites: Vec<_> = places.iter().filter_map(|it| it.site.clone()).collect();
        if sites.len() != places.len() || BTreeSet::from_iter(&sites).len() != sites.len() {
            return Err("`in` is of sites, each once".to_owned());
        }
        if sites.len() < 2 {
            return Err("`in` is of two sites or more: the endpoint moves between them".to_owned());
        }
        let resource = endpoint.resource()?;
        let mut objects = Whereabouts::objects(places, known, &resource, endpoint.object())?;
        for object in &mut objects {
            object.changed_by = endpoint.changed_by();
        }
        Ok((Self { endpoint, sites }, objects))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.endpoint.part() == other.endpoint.part()
    }

    fn read(&self, nth: usize, live: &DynamicObject) -> Result<Vec<Part>, String> {
        let value = self.endpoint.read(live)?;
        let active = match self.endpoint.answers(&value) {
            Some(true) => Active::Site(self.sites[nth].clone()),
            Some(false) => Active::Unknown {
                because: "The endpoint is not to answer there.".to_owned(),
            },
            None => Active::Unknown {
                because: format!("It says `{value}`, which is neither of its two values."),
            },
        };
        let what = self.endpoint.part();
        Ok(vec![Part {
            what,
            value,
            active,
        }])
    }

    fn together(&self, parts: &[(String, Part)]) -> Active {
        let told: Vec<_> = parts
            .iter()
            .map(|(at, part)| format!("{at} = {}", part.value))
            .collect();
        let told = told.join(", ");
        let is_foreign = |part: &Part| self.endpoint.answers(&part.value).is_none();
        if let Some((_, part)) = parts.iter().find(|(_, part)| is_foreign(part)) {
            return part.active.clone();
        }
        let all = parts.iter().map(|(_, part)| &part.active);
        let answering: Vec<_> = all.filter(|it| matches!(it, Active::Site(_))).collect();
        match answering.as_slice() {
            [site] => (*site).clone(),
            [] => Active::Unknown {
                because: format!("The endpoint is to answer at no site: {told}."),
            },
            _ => Active::Split {
                seen: format!("The endpoint is to answer at more than one site: {told}."),
            },
        }
    }

    fn wanted(&self, nth: usize, to: &SiteName) -> Option<String> {
        let is_known = self.sites.contains(to);
        is_known.then(|| self.endpoint.text(self.sites[nth] == *to))
    }

    /// The inverse of the changes is in the reverse order, and so has the old site's endpoint answer first.
    fn is_first(&self, nth: usize, to: &SiteName) -> bool {
        self.sites[nth] == *to
    }

    fn operations(
        &self,
        live: &DynamicObject,
        _what: &str,
        to: &str,
    ) -> Result<Vec<PatchOperation>, String> {
        self.endpoint.operations(live, to)
    }

    async fn found(&self, here: &Here<'_>, id: &BackendId) -> Vec<Finding> {
        match self.endpoint {
            Endpoint::Scale { count, .. } => vec![budget_finding(here, count, id).await],
            Endpoint::Latch { .. } => Vec::new(),
        }
    }

    async fn effect(&self, here: &Here<'_>) -> Result<Result<String, String>, CutoverError> {
        Ok(match self.endpoint {
            Endpoint::Scale { .. } => pods(here),
            Endpoint::Latch { .. } => Ok(here.unproven()),
        })
    }
}
