//! Owners that a move holds, and the marks that it leaves on them: pure.
//!
//! The mark is on the owner's own object, so that whoever finds it held knows for whom, and how it was before, also where the
//! record of the move is lost. An owner may write many clusters: it is let go when the last one needs it no more.

use serde::{Deserialize, Serialize};

use super::{Owner, OwnerKind, Reverts};
use crate::record::Epoch;

/// The annotation of an owner's object that holds the marks, as JSON.
pub const HOLD_ANNOTATION: &str = "pgha.dev/hold";

/// An owner's object, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// What it is.
    pub kind: OwnerKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The marks on one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holds {
    /// What was in the field by which it is held before the first hold; `None` where there was nothing.
    pub before: Option<bool>,
    /// For whom it is held.
    pub by: Vec<HeldFor>,
}

/// For which cluster an owner is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldFor {
    /// `namespace/name` of the cluster's object.
    pub cluster: String,
    /// The move that holds it.
    pub epoch: Epoch,
    /// Whether that object asked for a standby when the owner was first held for it: what the owner's source said then.
    pub standby: bool,
    /// Whether the source may say something else by now: the move changes it too, or it is not the first that holds the owner.
    /// Such an owner is let go only once its own turn has shown what its source says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_differ: bool,
}

impl Holds {
    /// Reads the annotation; `None` for what is none of ours.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What the annotation says.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The mark for a cluster.
    pub fn of(&self, cluster: &str) -> Option<&HeldFor> {
        self.by.iter().find(|held| held.cluster == cluster)
    }

    /// The same with one mark more. A cluster for which it is held already keeps what it was at first; whether the source still
    /// says so is not known once another move holds it.
    #[must_use]
    pub fn with(mut self, mark: HeldFor) -> Self {
        match self.by.iter_mut().find(|held| held.cluster == mark.cluster) {
            Some(held) => {
                held.may_differ |= mark.may_differ || held.epoch != mark.epoch;
                held.epoch = mark.epoch;
            }
            None => self.by.push(mark),
        }
        self
    }

    /// The same without the mark for a cluster; `None` when nobody else needs it held.
    #[must_use]
    pub fn without(mut self, cluster: &str) -> Option<Self> {
        self.by.retain(|held| held.cluster != cluster);
        (!self.by.is_empty()).then_some(self)
    }
}

impl Owner {
    /// Its own object, where its whole name is known.
    pub fn named(&self) -> Option<Named> {
        Some(Named {
            kind: self.kind,
            namespace: self.namespace.clone()?,
            name: self.name.clone()?,
        })
    }

    /// Whether nobody has it write but a person: there is nothing to hold.
    pub fn acts_by_hand(&self) -> bool {
        let state = self.state.as_seen();
        state.is_some_and(|state| state.reverts == Reverts::ByHand)
    }

    /// What must be held so that it takes no change back, what is highest first; why that cannot be done, as a clause.
    pub fn to_hold(&self) -> Result<Vec<Named>, String> {
        let is_ours = self.holds.is_some();
        if self.exempt.is_some() || self.acts_by_hand() || (self.is_held() && !is_ours) {
            return Ok(Vec::new());
        }
        if let Err(because) = self.state.seen() {
            return Err(format!("{self} was not seen: {because}"));
        }
        let own = self.named();
        let mut chain = vec![own.ok_or_else(|| format!("the whole name of {self} is not known"))?];
        for parent in self.parents.iter().filter(|parent| parent.undoes_hold) {
            let seen = parent.named.clone();
            let unseen = || format!("{}, which would undo the hold, was not seen", parent.owner);
            chain.push(seen.ok_or_else(unseen)?);
        }
        if let Some(unfit) = chain.iter().find(|named| !named.kind.can_be_held()) {
            return Err(format!("a {} is not held by pgha", unfit.kind.words()));
        }
        chain.reverse();
        Ok(chain)
    }
}

impl Owner {
    /// Those of it and its parents that carry a mark for this cluster, what is lowest first: the order in which they are let go.
    pub fn held_for(&self, cluster: &str) -> Vec<(Named, HeldFor)> {
        let own = (self.named(), self.holds.as_ref());
        let parents = self.parents.iter();
        let all = std::iter::once(own)
            .chain(parents.map(|parent| (parent.named.clone(), parent.holds.as_ref())));
        all.filter_map(|(named, holds)| Some((named?, holds?.of(cluster)?.clone())))
            .collect()
    }
}

impl OwnerKind {
    /// Whether its controller acknowledges a hold, so that nothing is under way any more. A suspended `HelmRelease` does not
    /// (Flux documentation, "`HelmRelease`", "Suspend"), and the others have nothing to hold them by.
    const fn can_be_held(self) -> bool {
        matches!(self, Self::FluxKustomization | Self::ArgoCdApplication)
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.words(), self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OwnerState, Parent};
    use super::*;
    use crate::observed::Observed;

    fn mark(cluster: &str, epoch: u64, standby: bool) -> HeldFor {
        HeldFor {
            cluster: cluster.to_owned(),
            epoch: Epoch(epoch),
            standby,
            may_differ: false,
        }
    }

    fn kustomization(reverts: Reverts) -> Owner {
        let of = |text: &str| Some(text.to_owned());
        let mut owner = Owner::by_sign(
            OwnerKind::FluxKustomization,
            of("flux-system"),
            of("db"),
            "labels",
        );
        owner.state = Observed::Seen(OwnerState {
            reverts,
            source: None,
            revision: None,
            problem: None,
        });
        owner
    }

    fn parent(kind: OwnerKind, name: &str, undoes_hold: bool) -> Parent {
        let named = Named {
            kind,
            namespace: "flux-system".to_owned(),
            name: name.to_owned(),
        };
        Parent {
            owner: named.to_string(),
            named: Some(named),
            holds: None,
            undoes_hold,
            reverts: Observed::Seen(Reverts::AtOnce),
        }
    }

    #[test]
    fn an_owner_is_let_go_when_the_last_cluster_needs_it_no_more() {
        let holds = Holds {
            before: Some(false),
            by: vec![mark("prod/a", 3, false)],
        };
        let both = holds.clone().with(mark("prod/b", 7, true));
        assert_eq!(Holds::from_text(&both.to_text()), Some(both.clone()));
        assert_eq!(both.clone().without("prod/b"), Some(holds.clone()));
        assert_eq!(holds.without("prod/a"), None);
        assert_eq!(both.of("prod/b").map(|held| held.epoch), Some(Epoch(7)));
        assert_eq!(Holds::from_text("by hand"), None);
    }

    #[test]
    fn a_second_move_keeps_what_the_source_said_before_the_first() {
        let first = Holds {
            before: None,
            by: vec![mark("prod/a", 3, false)],
        };
        let second = first.with(mark("prod/a", 4, true));
        let unsure = HeldFor {
            may_differ: true,
            ..mark("prod/a", 4, false)
        };
        assert_eq!(second.by, [unsure]);
    }

    #[test]
    fn a_move_that_changes_the_source_is_never_let_go_unseen() {
        let through_git = HeldFor {
            may_differ: true,
            ..mark("prod/a", 3, false)
        };
        let first = Holds {
            before: None,
            by: vec![mark("prod/a", 3, false)],
        };
        assert_eq!(first.clone().with(mark("prod/a", 3, false)), first);
        let held = first
            .with(through_git.clone())
            .with(mark("prod/a", 3, true));
        assert_eq!(held.by, [through_git]);
        let text = held.to_text();
        assert!(text.contains(r#""mayDiffer":true"#), "{text}");
        assert_eq!(Holds::from_text(&text), Some(held));
        let old = r#"{"before":null,"by":[{"cluster":"prod/a","epoch":3,"standby":false}]}"#;
        assert!(!Holds::from_text(old).unwrap().by[0].may_differ);
    }

    #[test]
    fn who_would_undo_a_hold_is_held_first() {
        let mut owner = kustomization(Reverts::AtOnce);
        owner.parents = vec![
            parent(OwnerKind::FluxKustomization, "apps", true),
            parent(OwnerKind::ArgoCdApplication, "root", true),
            parent(OwnerKind::FluxKustomization, "flux-system", false),
        ];
        let names: Vec<String> = owner
            .to_hold()
            .unwrap()
            .into_iter()
            .map(|named| named.name)
            .collect();
        assert_eq!(names, ["root", "apps", "db"]);
        owner.parents[1] = parent(OwnerKind::FluxHelmRelease, "root", true);
        assert!(owner.to_hold().unwrap_err().contains("Flux HelmRelease"));
        owner.parents[1].named = None;
        assert!(
            owner
                .to_hold()
                .unwrap_err()
                .contains("flux-system/root, which")
        );
    }

    #[test]
    fn what_a_person_holds_is_left_alone_and_what_was_not_seen_is_refused() {
        let by = "spec.suspend is true".to_owned();
        let mut owner = kustomization(Reverts::Held { by });
        assert_eq!(owner.to_hold(), Ok(Vec::new()));
        owner.holds = Some(Holds {
            before: None,
            by: vec![mark("prod/other", 3, false)],
        });
        assert_eq!(owner.to_hold().map(|held| held.len()), Ok(1));
        assert_eq!(kustomization(Reverts::ByHand).to_hold(), Ok(Vec::new()));
        owner.state = Observed::unseen("there is no such object");
        assert!(owner.to_hold().unwrap_err().contains("no such object"));
    }
}
