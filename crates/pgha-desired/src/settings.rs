//! What the service's file says of how the clusters' desired state is changed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pgha_edit::glob::Glob;
use pgha_edit::{Pointer, cue};
use pgha_git::{is_path, is_word};
use pgha_nlb::SiteName;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

/// The group and version of the operator's objects.
const PGO: &str = "postgres-operator.crunchydata.com/v1beta1";

/// How the clusters' desired state is changed.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Where a change is made: at the clusters, in a branch, or by a merge request to it.
    pub way: Way,
    /// A clone of the repository on this machine. Nothing in its working tree, its index or its branches is changed.
    #[serde(default)]
    pub repository: Option<PathBuf>,
    /// The name of the clone's remote. Not an address, which could hold a password.
    #[serde(default = "origin")]
    pub remote: Remote,
    /// The branch that Flux or Argo CD applies.
    #[serde(default = "main")]
    pub branch: BranchName,
    /// What the server's hooks are told with each push.
    #[serde(default)]
    pub push_options: Vec<String>,
    /// The values that say which site is primary.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Edit>"))]
    #[serde(default)]
    pub edits: Vec<Spanned<Edit>>,
    /// What makes the sites' files of what is edited.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Render>"))]
    #[serde(default)]
    pub render: Option<Spanned<Render>>,
    /// What the render may change beside `spec.standby.enabled` and `spec.dataSource` of the clusters.
    #[serde(default)]
    pub expect: Vec<Expect>,
    /// How a merge request is made; with `way: mergeRequest` only.
    #[cfg_attr(feature = "schema", schemars(with = "Option<MergeRequest>"))]
    #[serde(default)]
    pub merge_request: Option<Spanned<MergeRequest>>,
}

/// Where a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// At the clusters alone.
    Direct,
    /// In a branch of a repository, by two commits.
    Git,
    /// In a branch of a repository, by two merge requests.
    MergeRequest,
}

impl Way {
    /// As the file has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Git => "git",
            Self::MergeRequest => "mergeRequest",
        }
    }
}

/// One value in one file.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Edit {
    /// The site that it is about. Without one the value names the primary for all of them.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// The file, by its path in the repository.
    pub file: RepositoryPath,
    /// Which document of a YAML file; without it the file has one.
    #[serde(default)]
    pub object: Option<Object>,
    /// Where in a YAML document: `/spec/standby/enabled`, which is also what is meant where neither this nor `field` is given.
    #[serde(default)]
    pub at: Option<At>,
    /// Where in a file of CUE: `#Platform.primaryCluster.name`.
    #[serde(default)]
    pub field: Option<Field>,
    /// What it says where the site is primary [default: false].
    #[serde(default)]
    pub primary: Option<Value>,
    /// What it says where the site is a standby [default: true].
    #[serde(default)]
    pub standby: Option<Value>,
    /// Without `site`: what it says for each primary site [default: the site's name].
    #[serde(default)]
    pub sites: BTreeMap<SiteName, Value>,
}

/// An object of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object {
    /// Its group and version [default: the Postgres operator's].
    #[serde(default = "pgo")]
    pub api_version: String,
    /// Its kind [default: PostgresCluster].
    #[serde(default = "postgres_cluster")]
    pub kind: String,
    /// Its namespace; without it any is meant.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What makes the sites' files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Render {
    /// A program and its arguments, run in a temporary checkout.
    pub command: Vec<String>,
    /// The files of each site that it may change: `deploy/clusters/core1/**`.
    pub paths: BTreeMap<SiteName, Vec<PathGlob>>,
}

/// What of an object may change.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// Its group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; without it any is meant.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The places in it, with all that is below them. A `*` is any one key or index.
    pub at: Vec<At>,
}

/// How a merge request is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MergeRequest {
    /// What the names of the pushed branches begin with.
    #[serde(default = "prefix")]
    pub branch_prefix: Prefix,
    /// Where a person opens it, with `{branch}` for the pushed branch [default: what the server tells].
    #[serde(default)]
    pub link: Option<Link>,
    /// What the server is told with the push: `merge_request.create`.
    #[serde(default)]
    pub push_options: Vec<String>,
    /// How long a command waits for each to be merged; 0 is as long as it takes [default: 3600].
    #[serde(default = "an_hour")]
    pub timeout_seconds: u64,
}

impl Default for MergeRequest {
    fn default() -> Self {
        Self {
            branch_prefix: prefix(),
            link: None,
            push_options: Vec::new(),
            timeout_seconds: an_hour(),
        }
    }
}

macro_rules! checked {
    ($(#[$doc:meta])* $name:ident($of:ty) = $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String")]
        pub struct $name(
            #[cfg_attr(feature = "schema", schemars(with = "String"))] pub(crate) $of,
        );

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let read: fn(String) -> Result<$of, String> = $read;
                read(text).map(Self)
            }
        }
    };
}

/// The text, where it is good.
fn if_good(text: String, is_good: bool, wanted: &str) -> Result<String, String> {
    if is_good {
        Ok(text)
    } else {
        Err(format!("`{text}` is not {wanted}"))
    }
}

/// As git has it, whose own rules are in `pgha_git::Branch`.
fn is_branch(text: &str) -> bool {
    pgha_git::Branch::new(PathBuf::new(), "origin", text, &[]).is_ok()
}

checked!(
    /// The name of a remote.
    Remote(String) = |text| {
        let is_good = is_word(&text);
        if_good(text, is_good, "the name of a remote, expected one as `git remote` lists it")
    }
);
checked!(
    /// The name of a branch.
    BranchName(String) = |text| {
        let is_good = is_branch(&text);
        if_good(text, is_good, "a branch, expected a name without `refs/heads/`")
    }
);
checked!(
    /// The beginning of a branch's name.
    Prefix(String) = |text| {
        let is_good = is_branch(&format!("{text}x"));
        if_good(text, is_good, "the beginning of a branch's name, expected one like `pgha/`")
    }
);
checked!(
    /// A path in the repository.
    RepositoryPath(String) = |text| {
        let is_good = is_path(&text);
        if_good(text, is_good, "a path in the repository, expected one like `clusters/core1/pg.yaml`")
    }
);
checked!(
    /// A place in a document.
    At(Pointer) = |text| {
        let pointer: Result<Pointer, _> = text.parse();
        let pointer = pointer.ok().filter(|pointer| !pointer.tokens().is_empty());
        let wanted = || format!("`{text}` is not a place, expected one like `/spec/standby/enabled`");
        pointer.ok_or_else(wanted)
    }
);
checked!(
    /// A field of CUE.
    Field(cue::Path) = |text| {
        let wanted = |_| format!("`{text}` is not a field, expected one like `#Platform.primaryCluster.name`");
        text.parse().map_err(wanted)
    }
);
checked!(
    /// Files by a pattern.
    PathGlob(Glob) = |text| {
        let wanted = |_| format!("`{text}` is not a pattern of paths, expected one like `deploy/clusters/core1/**`");
        text.parse().map_err(wanted)
    }
);
checked!(
    /// An address with a place for the branch's name.
    Link(String) = |text| {
        let is_url = text.starts_with("https://") || text.starts_with("http://");
        let is_good = is_url && text.contains("{branch}") && !text.contains(char::is_whitespace);
        if_good(text, is_good, "a link, expected one like `https://git.example/new?source={branch}`")
    }
);

fn origin() -> Remote {
    Remote("origin".to_owned())
}

fn main() -> BranchName {
    BranchName("main".to_owned())
}

const fn an_hour() -> u64 {
    3600
}

fn prefix() -> Prefix {
    Prefix("pgha/".to_owned())
}

pub(crate) fn pgo() -> String {
    PGO.to_owned()
}

pub(crate) fn postgres_cluster() -> String {
    "PostgresCluster".to_owned()
}
