//! Postgres clusters in the lab: a primary in `core1` and, mostly, its standby in `core2`; made, removed, listed.

mod certificate;
mod create;
mod list;
mod manifest;
mod remove;
mod sql;

use std::fmt;
use std::str::FromStr;

use crate::site::{IMAGE_PATRONI_3_3, IMAGE_PATRONI_4_1, SERVICE_NAMESPACE, Site};

pub use create::create;
pub use list::{Row, ensure, list, primary_site, query_leader};
pub use remove::remove;
pub use sql::leader;

/// User and database of every cluster in the lab.
pub const USER: &str = "zitadel";
/// What a file of a service calls it here, whichever cluster it is of.
pub const SERVICE: &str = "zitadel";
/// The instance set of every cluster in the lab.
pub const INSTANCE_SET: &str = "pgha1";
/// The repository that both sites of a pair share.
pub const REPO: &str = "repo1";

/// A primary with its standby, or alone: what `create` makes.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The name of both `PostgresCluster` objects.
    pub name: String,
    /// How the standby gets its WAL.
    pub standby: Standby,
    /// Which Patroni runs in both.
    pub patroni: Patroni,
    /// Members of each side.
    pub instances: u32,
}

/// How a standby gets its WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// There is none: a primary alone, in `core1`.
    None,
    /// From the repository only.
    Archive,
    /// From the other site's leader, and from the repository.
    Streaming,
}

impl FromStr for Standby {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "archive" => Ok(Self::Archive),
            "streaming" => Ok(Self::Streaming),
            _ => Err(format!(
                "`{text}` is not a kind of standby: archive, streaming or none"
            )),
        }
    }
}

/// A line of Patroni for which the lab has an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patroni {
    /// 3.3: a demotion stops Postgres at once.
    V3_3,
    /// 4.1: a demotion stops Postgres cleanly.
    V4_1,
}

impl Patroni {
    /// The image that runs it.
    pub const fn image(self) -> &'static str {
        match self {
            Self::V3_3 => IMAGE_PATRONI_3_3,
            Self::V4_1 => IMAGE_PATRONI_4_1,
        }
    }
}

impl FromStr for Patroni {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "3.3" => Ok(Self::V3_3),
            "4.1" => Ok(Self::V4_1),
            _ => Err(format!("`{text}` is not a Patroni of the lab: 3.3 or 4.1")),
        }
    }
}

impl fmt::Display for Patroni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_3 => "3.3",
            Self::V4_1 => "4.1",
        })
    }
}

/// The file of a service whose sites are the lab's; `rest` is the rest of its `spec`, indented by two.
pub fn service_file(cluster: &str, rest: &str) -> String {
    let sites = Site::ALL.map(|site| {
        let name = site.name();
        format!(
            "    - {{ name: {name}, context: {name}, namespace: {SERVICE_NAMESPACE}, cluster: {cluster} }}\n"
        )
    });
    let sites = sites.concat();
    format!(
        "apiVersion: pgha.dev/v1alpha1
kind: Service
metadata: {{ name: {SERVICE} }}
spec:
  sites:
{sites}{rest}"
    )
}

/// The operator's label that every object of a cluster carries.
fn cluster_label(name: &str) -> String {
    format!("postgres-operator.crunchydata.com/cluster={name}")
}

/// Selects the members' pods of a cluster.
fn member_selector(name: &str) -> String {
    format!(
        "{},postgres-operator.crunchydata.com/instance",
        cluster_label(name)
    )
}
