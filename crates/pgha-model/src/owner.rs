//! Who else writes an object, whether that takes a change of ours back, and when: pure.

mod hold;
mod signs;

use std::fmt::{self, Write as _};

use serde::Serialize;

pub use self::hold::{HOLD_ANNOTATION, HeldFor, Holds, Named};
pub use self::signs::{ARGO_CD_MANAGERS, Clean, label_tracked, signed, writer_of};
use crate::observed::Observed;

/// What kind of owner it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OwnerKind {
    /// A `Kustomization` of Flux.
    FluxKustomization,
    /// A `HelmRelease` of Flux.
    FluxHelmRelease,
    /// An `Application` of Argo CD.
    ArgoCdApplication,
    /// A release of Helm without a controller.
    HelmRelease,
    /// A bundle of Rancher Fleet.
    RancherFleet,
    /// An app of kapp.
    KappApp,
    /// The object that owner references name as the controller.
    Controller,
}

impl OwnerKind {
    /// What people call it.
    const fn words(self) -> &'static str {
        match self {
            Self::FluxKustomization => "Flux Kustomization",
            Self::FluxHelmRelease => "Flux HelmRelease",
            Self::ArgoCdApplication => "Argo CD application",
            Self::HelmRelease => "Helm release",
            Self::RancherFleet => "Rancher Fleet",
            Self::KappApp => "kapp app",
            Self::Controller => "its controller",
        }
    }

    /// What it is called where it does not say its own name.
    const fn nameless(self) -> &'static str {
        match self {
            Self::ArgoCdApplication => "Argo CD",
            Self::HelmRelease => "Helm",
            Self::FluxKustomization
            | Self::FluxHelmRelease
            | Self::RancherFleet
            | Self::KappApp
            | Self::Controller => self.words(),
        }
    }
}

/// Somebody who writes an object again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// What kind of owner.
    pub kind: OwnerKind,
    /// The namespace of its own object, where that has one and the sign names it.
    pub namespace: Option<String>,
    /// Its own name, where the sign names it.
    pub name: Option<String>,
    /// What shows that the object is its: fragments, strongest first.
    pub evidence: Vec<String>,
    /// Why it leaves the object alone, as the object itself says: `kustomize.toolkit.fluxcd.io/reconcile: disabled`.
    pub exempt: Option<String>,
    /// What its own object says.
    pub state: Observed<OwnerState>,
    /// How the object differs already from what the owner wants, as a sentence.
    pub drift: Option<String>,
    /// When it applies nothing, whatever its source says, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<String>,
    /// For whom pgha holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
    /// Who writes its own object again, the nearest first: each is the parent of the one before.
    pub parents: Vec<Parent>,
    /// Why it was not seen whether others of its kind claim the object too, where that was asked, as a fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others_unseen: Option<String>,
}

/// What an owner's own object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerState {
    /// When it takes a change back.
    pub reverts: Reverts,
    /// From where it takes what it applies: `GitRepository flux-system/db`.
    pub source: Option<String>,
    /// What it applied last: `main@sha1:…`.
    pub revision: Option<String>,
    /// Why it is not well, in its own words.
    pub problem: Option<String>,
}

/// When an owner takes a change back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "when")]
pub enum Reverts {
    /// As soon as it sees it.
    AtOnce,
    /// At its next turn.
    Within {
        /// The time between two turns, as the owner has it: `10m0s`.
        interval: String,
    },
    /// With the next change of what it applies, whatever else that changes.
    NextChange,
    /// When a person has it applied again.
    ByHand,
    /// Not while it is held.
    Held {
        /// By what: `spec.suspend is true`.
        by: String,
    },
}

/// Who writes an owner's own object again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// What people call it.
    pub owner: String,
    /// Its own object, where that was seen.
    #[serde(skip)]
    pub named: Option<Named>,
    /// For whom pgha holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
    /// Whether it writes the very field by which the owner is held, so that a hold would be undone.
    pub undoes_hold: bool,
    /// When it takes a change back.
    pub reverts: Observed<Reverts>,
}

impl Owner {
    /// An owner of which only the sign is known.
    pub fn by_sign(
        kind: OwnerKind,
        namespace: Option<String>,
        name: Option<String>,
        evidence: impl Into<String>,
    ) -> Self {
        // Nothing runs that would take a change to a release of Helm's back.
        let state = if kind == OwnerKind::HelmRelease {
            Observed::Seen(OwnerState {
                reverts: Reverts::ByHand,
                source: None,
                revision: None,
                problem: None,
            })
        } else {
            Observed::unseen("it was not looked at")
        };
        Self {
            kind,
            namespace,
            name,
            evidence: vec![evidence.into()],
            exempt: None,
            state,
            drift: None,
            windows: None,
            holds: None,
            parents: Vec::new(),
            others_unseen: None,
        }
    }

    /// Whether nothing takes a change back until somebody releases it.
    pub fn is_held(&self) -> bool {
        let is_held = match self.state.as_seen().map(|state| &state.reverts) {
            Some(Reverts::Held { .. }) => !self.parents.iter().any(|parent| parent.undoes_hold),
            _ => false,
        };
        is_held || self.exempt.is_some()
    }

    /// What it does with a change of ours, after its name: `takes a change back within 10m0s`.
    pub fn verdict(&self) -> String {
        if let Some(exempt) = &self.exempt {
            return format!("leaves it alone ({exempt})");
        }
        match &self.state {
            Observed::Seen(state) => state.reverts.to_string(),
            Observed::Unseen { because } => {
                format!("will take a change back ({because}, so it is not known when)")
            }
        }
    }

    /// Everything that is known of it, in sentences.
    pub fn told(&self) -> String {
        let mut text = format!("{self} owns the object and {}.", self.verdict());
        for more in [&self.drift, &self.windows].into_iter().flatten() {
            text.push(' ');
            text.push_str(more);
        }
        let state = self.state.as_seen();
        if let Some(problem) = state.and_then(|state| state.problem.as_deref()) {
            // Writing into a String cannot fail.
            let _ = write!(text, " It is not well: {problem}.");
        }
        for parent in &self.parents {
            let what = if parent.undoes_hold {
                "and would undo a hold"
            } else {
                "and would leave a hold alone"
            };
            let _ = write!(text, " {} writes it {what}.", parent.owner);
        }
        if let Some(because) = &self.others_unseen {
            let _ = write!(
                text,
                " Whether others claim the object too was not seen: {because}."
            );
        }
        text
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.namespace, &self.name) {
            (kind, _, None) => f.write_str(kind.nameless()),
            (OwnerKind::Controller, _, Some(name)) => f.write_str(name),
            (kind, None, Some(name)) => write!(f, "{} {name}", kind.words()),
            (kind, Some(namespace), Some(name)) => {
                write!(f, "{} {namespace}/{name}", kind.words())
            }
        }
    }
}

impl fmt::Display for Reverts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("takes a change back at once"),
            Self::Within { interval } => write!(f, "takes a change back within {interval}"),
            Self::NextChange => {
                f.write_str("takes a change back with the next change of what it applies")
            }
            Self::ByHand => f.write_str("takes a change back when somebody has it applied again"),
            Self::Held { by } => write!(f, "is held ({by})"),
        }
    }
}

/// Those who take a change back.
pub fn reverting(owners: &[Owner]) -> impl Iterator<Item = &Owner> {
    owners.iter().filter(|owner| !owner.is_held())
}

/// What is known of those who take a change back, in sentences; `None` where nobody does.
pub fn writing(owners: &[Owner]) -> Option<String> {
    told(reverting(owners))
}

/// What is known of those who are held, in sentences; `None` where nobody is.
pub fn held(owners: &[Owner]) -> Option<String> {
    told(owners.iter().filter(|owner| owner.is_held()))
}

fn told<'a>(owners: impl Iterator<Item = &'a Owner>) -> Option<String> {
    let sentences: Vec<String> = owners.map(Owner::told).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(reverts: Reverts) -> Owner {
        let mut owner = Owner::by_sign(
            OwnerKind::FluxKustomization,
            Some("flux-system".to_owned()),
            Some("db".to_owned()),
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

    fn suspended() -> Owner {
        owner(Reverts::Held {
            by: "spec.suspend is true".to_owned(),
        })
    }

    #[test]
    fn an_owner_that_is_held_takes_nothing_back_unless_its_parent_frees_it() {
        assert!(!owner(Reverts::AtOnce).is_held());
        let mut held = suspended();
        assert!(held.is_held());
        let parent = |undoes_hold| Parent {
            owner: "Flux Kustomization flux-system/root".to_owned(),
            named: None,
            holds: None,
            undoes_hold,
            reverts: Observed::Seen(Reverts::AtOnce),
        };
        held.parents = vec![parent(false)];
        assert!(held.is_held());
        held.parents.push(parent(true));
        assert!(!held.is_held());
        assert!(
            held.told()
                .contains("root writes it and would undo a hold.")
        );
    }

    #[test]
    fn what_was_not_seen_is_taken_to_revert() {
        let mut unseen = suspended();
        unseen.state = Observed::unseen("there is no such object here");
        assert!(!unseen.is_held());
        assert!(unseen.told().contains("will take a change back"));
        unseen.exempt = Some("kustomize.toolkit.fluxcd.io/reconcile: disabled".to_owned());
        assert!(unseen.is_held());
    }

    #[test]
    fn an_owner_is_called_what_people_call_it() {
        let named = |kind, namespace: Option<&str>, name: Option<&str>| {
            let of = |text: Option<&str>| text.map(str::to_owned);
            Owner::by_sign(kind, of(namespace), of(name), "").to_string()
        };
        assert_eq!(suspended().to_string(), "Flux Kustomization flux-system/db");
        assert_eq!(named(OwnerKind::ArgoCdApplication, None, None), "Argo CD");
        assert_eq!(named(OwnerKind::HelmRelease, None, None), "Helm");
        assert_eq!(
            named(OwnerKind::Controller, None, Some("Database db")),
            "Database db"
        );
        assert_eq!(
            named(OwnerKind::HelmRelease, None, Some("db")),
            "Helm release db"
        );
    }
}
