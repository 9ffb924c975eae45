//! A route of the service's file, as a field of its objects.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use json_patch::PatchOperation;
use kube::api::DynamicObject;
use pgha_nlb::{BackendId, CutoverError, Finding, RouteName, SiteName};
use pgha_objects::{Here, Need, Object, Part, Whereabouts, is_word};

use crate::field::Values;
use crate::preflight::{behind_service, gateway_finding, read_by_gateways};
use crate::{Field, RouteSettings};

/// A route with what its field says for each site.
#[derive(Debug)]
pub struct Leading {
    field: Field,
    values: Values,
}

/// The heaviest backend (Gateway API, `BackendRef`).
const HEAVIEST: u32 = 1_000_000;

impl Field {
    /// Refuses what no object could be found by, or no field could say.
    fn check(&self) -> Result<(), String> {
        let mut names = self.names().into_iter();
        if let Some(bad) = names.find(|text| !is_word(text) || text.contains('/')) {
            return Err(format!("`{bad}` is no name"));
        }
        match self {
            Self::Weights { weight, .. } if !(1..=HEAVIEST).contains(weight) => {
                Err(format!("the weight is 1 to {HEAVIEST}"))
            }
            Self::Weights { .. }
            | Self::Selector { .. }
            | Self::Target { .. }
            | Self::PrimaryGeoTag { .. } => Ok(()),
        }
    }
}

#[async_trait]
impl pgha_objects::Field for Leading {
    type Settings = RouteSettings;

    const KIND: &'static str = "kubernetes";
    const ROUTE: (&'static str, &'static str) = (
        "kubernetes-field",
        "Put the field in order by hand, or correct it in the service's file.",
    );
    const SETTLES_IN: Duration = Duration::from_secs(5);

    fn name(settings: &RouteSettings) -> &RouteName {
        &settings.name
    }

    fn new(
        settings: &RouteSettings,
        sites: &BTreeMap<SiteName, Whereabouts>,
    ) -> Result<(Self, Vec<Object>), String> {
        let field = &settings.field;
        field.check()?;
        let values = field.values(&settings.sites)?;
        let objects =
            Whereabouts::objects(&settings.r#in, sites, &field.resource(), field.object())?;
        let field = field.clone();
        Ok((Self { field, values }, objects))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.field == other.field
    }

    fn read(&self, _nth: usize, live: &DynamicObject) -> Result<Vec<Part>, String> {
        self.field.read(live, &self.values)
    }

    fn wanted(&self, _nth: usize, to: &SiteName) -> Option<String> {
        self.values.texts.value(to).map(str::to_owned)
    }

    fn operations(
        &self,
        live: &DynamicObject,
        what: &str,
        to: &str,
    ) -> Result<Vec<PatchOperation>, String> {
        self.field.operations(live, what, to)
    }

    fn needed(&self) -> &'static [Need<'static>] {
        const BEHIND: [Need<'static>; 2] = [
            Need::list("", "pods"),
            Need::list("discovery.k8s.io", "endpointslices"),
        ];
        match self.field {
            Field::Selector { .. } => &BEHIND,
            Field::Weights { .. } | Field::Target { .. } | Field::PrimaryGeoTag { .. } => &[],
        }
    }

    async fn found(&self, here: &Here<'_>, id: &BackendId) -> Vec<Finding> {
        match self.field {
            Field::Weights { .. } => vec![gateway_finding(here, id)],
            Field::Selector { .. } | Field::Target { .. } | Field::PrimaryGeoTag { .. } => {
                Vec::new()
            }
        }
    }

    async fn effect(&self, here: &Here<'_>) -> Result<Result<String, String>, CutoverError> {
        match self.field {
            Field::Weights { .. } => Ok(read_by_gateways(here)),
            Field::Selector { .. } => behind_service(here).await,
            Field::Target { .. } | Field::PrimaryGeoTag { .. } => Ok(Ok(here.unproven())),
        }
    }
}
