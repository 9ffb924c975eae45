//! What goes to the program and comes back, version 1. `docs/traffic-exec.md` is for those who write one.

use pgha_nlb::{Change, Fence, Place, RouteName};
use serde::{Deserialize, Serialize};

/// The name of the protocol with its version. A program that reads another one ends badly.
pub(crate) const VERSION: &str = "pgha.dev/traffic-exec/v1";

/// What the program is asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a> {
    pub(crate) version: &'static str,
    pub(crate) operation: Operation,
    /// The routes that the service's file names.
    pub(crate) routes: Vec<&'a RouteName>,
    /// What the changes rest on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fence: Option<&'a Fence>,
    #[serde(skip_serializing_if = "<[Change]>::is_empty")]
    pub(crate) changes: &'a [Change],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Operation {
    Observe,
    Change,
}

/// The answer to `observe`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Observed {
    pub(crate) version: String,
    pub(crate) fence: Fence,
    pub(crate) routes: Vec<ObservedRoute>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ObservedRoute {
    pub(crate) name: RouteName,
    #[serde(default)]
    pub(crate) places: Vec<ObservedPlace>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ObservedPlace {
    pub(crate) at: String,
    pub(crate) value: String,
}

impl From<ObservedPlace> for Place {
    fn from(place: ObservedPlace) -> Self {
        Self {
            at: place.at,
            value: place.value,
        }
    }
}

/// The answer to `change`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Changed {
    pub(crate) version: String,
    pub(crate) outcome: Outcome,
    #[serde(default)]
    pub(crate) evidence: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Outcome {
    /// All changes are made.
    Done,
    /// The product is not as the fence says; nothing was changed.
    Conflict {
        /// What it is now.
        fence: Fence,
    },
    /// Nothing was changed, for a reason.
    Refused {
        /// The reason.
        because: String,
    },
}
