//! How the desired state of a service is changed, as its file says.

use std::path::Path;

use pgha_desired::{Desired, Patience, Place, Settings, Way};
use serde::Serialize;
use serde_saphyr::{Location, Spanned};

use super::mistake::at;
use super::{Service, Site};
use crate::failure::Failure;

/// When Git is told what a move makes of the sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Git {
    /// Before the source is fenced, and before the target is promoted.
    Leads,
    /// After the move.
    Follows,
}

/// When a command is to tell Git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Before the clusters are changed.
    Beforehand,
    /// After the move.
    Afterwards,
    /// As the file would have it for a move that has begun, in whichever way.
    AsBegun,
}

/// How desired state is changed.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Where.
    pub(crate) way: Way,
    /// The repository; `None` where clusters are changed directly.
    desired: Option<Desired>,
    /// Where the file says so.
    said_at: Location,
}

impl Change {
    /// What a document says; a repository lies relative to the folder.
    ///
    /// # Errors
    /// It contradicts itself: where, and what was expected.
    pub(super) fn read(
        settings: Option<Spanned<Settings>>,
        sites: &[Site],
        folder: &Path,
    ) -> Result<Self, String> {
        let Some(settings) = settings else {
            return Ok(Self {
                way: Way::Direct,
                desired: None,
                said_at: Location::UNKNOWN,
            });
        };
        let said_at = settings.referenced;
        let places = sites.iter().map(|site| Place {
            site: site.name.clone(),
            namespace: site.namespace.clone(),
            cluster: site.cluster.clone(),
        });
        let places: Vec<Place> = places.collect();
        let desired = settings.value.desired(folder, &places, Patience::default());
        let desired = desired.map_err(|mistake| {
            let because = format!("spec.change: {}", mistake.because);
            at(mistake.place.unwrap_or(said_at), because)
        })?;
        let way = settings.value.way;
        Ok(Self {
            way,
            desired,
            said_at,
        })
    }
}

impl Service {
    /// Refuses a change of desired state in a repository, for a command that changes the clusters alone: Git would say something
    /// else afterwards.
    ///
    /// # Errors
    /// The file says that it is in one.
    pub(crate) fn refuse_repository(&self) -> Result<(), Failure> {
        let way = self.change.way;
        if way == Way::Direct {
            return Ok(());
        }
        let because = format!(
            "`way: {}` changes a repository, and this command changes the clusters alone",
            way.word()
        );
        let refused = self.mistaken(self.change.said_at, &because);
        Err(refused.hinting(
            "With `way: git`, `switchover` commits what it does. Write `way: direct` to have Git say something else until somebody \
             commits it.",
        ))
    }

    /// Refuses changes that people have to merge, for a move that waits for them: nobody is primary meanwhile.
    ///
    /// # Errors
    /// The file says so.
    pub(crate) fn refuse_merge_requests(&self) -> Result<(), Failure> {
        if self.change.way != Way::MergeRequest {
            return Ok(());
        }
        let because =
            "a move does not wait for a merge request between the fence and the promotion";
        let refused = self.mistaken(self.change.said_at, because);
        Err(refused.hinting(
            "Move with --fast: both are proposed once the move is proved, and the owners are let go once they are merged.",
        ))
    }

    /// Refuses what no repository is changed by.
    ///
    /// # Errors
    /// The file says that clusters are changed directly.
    pub(crate) fn refuse_direct(&self) -> Result<(), Failure> {
        if self.change.way != Way::Direct {
            return Ok(());
        }
        let because = "--fast commits to a branch, which `way: direct` does not";
        let refused = self.mistaken(self.change.said_at, because);
        Err(refused.hinting(
            "Move with --hold-owners; `kubectl pgha release` lets the owners go once Git says the same.",
        ))
    }

    /// The repository of its desired state; `None` where clusters are changed directly.
    ///
    /// # Errors
    /// Its file is in a cluster: whoever may write there would change a repository with the keys of everybody who reads it.
    pub(crate) fn desired(&self) -> Result<Option<&Desired>, Failure> {
        let desired = self.change.desired.as_ref();
        if desired.is_none() || !self.origin.is_remote {
            return Ok(desired);
        }
        let because = "a repository that a ConfigMap names is not changed from this machine";
        let refused = self.mistaken(self.change.said_at, because);
        Err(refused.hinting("Keep what names a repository in a file, and name that with --file."))
    }
}
