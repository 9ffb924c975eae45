//! What leaves the process: versioned shapes, made from facts of the model. A view never reads anything.

pub(crate) mod application;
pub(crate) mod backup;
pub(crate) mod demote;
pub(crate) mod desired;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod leader;
pub(crate) mod lint;
pub(crate) mod login;
mod member;
pub(crate) mod poolers;
pub(crate) mod promote;
pub(crate) mod rejoin;
pub(crate) mod release;
pub(crate) mod reset_password;
pub(crate) mod restart;
pub(crate) mod shutdown;
pub(crate) mod startup;
pub(crate) mod status;
pub(crate) mod switchover;
pub(crate) mod sync_secrets;
pub(crate) mod token_check;
pub(crate) mod traffic;
pub(crate) mod unfinished;
pub(crate) mod upgrade;
mod upkeep;
pub(crate) mod validate;

use pgha_model::observed::Observed;
use pgha_model::site::Place;
use serde::Serialize;

/// The version of every shape here. A field may be added; one that is taken away or changes its meaning is a new version.
pub(crate) const API_VERSION: &str = "pgha.dev/v1alpha1";

/// A fact, or `{"unseen": "why"}`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Known<T> {
    Seen(T),
    Unseen { unseen: String },
}

impl<T> Known<T> {
    pub(crate) fn of<F>(fact: &Observed<F>, view: impl FnOnce(&F) -> T) -> Self {
        match fact.seen() {
            Ok(fact) => Self::Seen(view(fact)),
            Err(because) => Self::Unseen {
                unseen: because.to_owned(),
            },
        }
    }
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlaceView {
    pub(crate) context: String,
    pub(crate) namespace: String,
    pub(crate) cluster: String,
}

impl From<&Place> for PlaceView {
    fn from(place: &Place) -> Self {
        Self {
            context: place.context.clone(),
            namespace: place.namespace.clone(),
            cluster: place.cluster.clone(),
        }
    }
}
