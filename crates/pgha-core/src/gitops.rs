//! Who owns an object, and what the owners' own objects say of it now.
//!
//! Signs on the object say whom to ask; what decides is the owner's own object: whether it is suspended, how often it takes its
//! turn, and whether somebody above it would undo a suspension. Nothing is changed. What cannot be read is `Unseen`, and an owner that
//! was not seen is taken for one that reverts.

mod argo_cd;
mod flux;
pub mod hold;

use std::collections::BTreeSet;

use futures::future::join_all;
use kube::Api;
use pgha_model::observed::Observed;
use pgha_model::owner::{self, Holds, Named, Owner, OwnerKind, OwnerState, Parent, Reverts};
use serde_json::Value;

use crate::client::{CallError, SiteClient};
use crate::diagnose::{chain_of, sanitised};
use crate::k8s::{self, ApiResource, DynamicObject, ListParams};

/// More parents than this are a circle or a house that nobody understands.
const HIGHEST: usize = 5;

/// As many objects of one kind and namespace are looked through.
const MOST: u32 = 500;

/// What shows that an owner claims an object, beside a sign on it.
const LISTED: &str = "its own list of what it applied";

/// How closely owners are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closeness {
    /// Those that have signed the object: a request for each, and for each of its parents.
    Signed,
    /// Also those that claim the object beside the one that signed last: a list of each kind that signed.
    Claimants,
}

/// The kinds of owners that have an object of their own which can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Kustomization,
    HelmRelease,
    Application,
}

impl Tool {
    const fn of(kind: OwnerKind) -> Option<Self> {
        match kind {
            OwnerKind::FluxKustomization => Some(Self::Kustomization),
            OwnerKind::FluxHelmRelease => Some(Self::HelmRelease),
            OwnerKind::ArgoCdApplication => Some(Self::Application),
            OwnerKind::HelmRelease
            | OwnerKind::RancherFleet
            | OwnerKind::KappApp
            | OwnerKind::Controller => None,
        }
    }

    const fn kind(self) -> OwnerKind {
        match self {
            Self::Kustomization => OwnerKind::FluxKustomization,
            Self::HelmRelease => OwnerKind::FluxHelmRelease,
            Self::Application => OwnerKind::ArgoCdApplication,
        }
    }

    fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Kustomization => (
                "kustomize.toolkit.fluxcd.io",
                "v1",
                "Kustomization",
                "kustomizations",
            ),
            Self::HelmRelease => (
                "helm.toolkit.fluxcd.io",
                "v2",
                "HelmRelease",
                "helmreleases",
            ),
            Self::Application => ("argoproj.io", "v1alpha1", "Application", "applications"),
        };
        k8s::resource(group, version, kind, plural)
    }

    fn state(self, found: &DynamicObject) -> OwnerState {
        match self {
            Self::Kustomization => flux::kustomization_state(found),
            Self::HelmRelease => flux::release_state(found),
            Self::Application => argo_cd::state(found),
        }
    }
}

/// An object, as an owner's own object names it.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: String,
    name: String,
    metadata: Value,
    /// What a change of ours would change: names of fields, from the top.
    fields: &'a [&'a [&'a str]],
}

impl<'a> Subject<'a> {
    fn new(object: &DynamicObject, resource: &'a ApiResource, fields: &'a [&'a [&'a str]]) -> Self {
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            group: &resource.group,
            kind: &resource.kind,
            namespace: of(&object.metadata.namespace),
            name: of(&object.metadata.name),
            metadata: serde_json::to_value(&object.metadata).unwrap_or_default(),
            fields,
        }
    }
}

/// Everybody whose sign is on the object, strongest first; none of them was asked.
pub fn signs(object: &DynamicObject) -> Vec<Owner> {
    let metadata = serde_json::to_value(&object.metadata).unwrap_or_default();
    owner::signed(&metadata, sanitised)
}

/// Everybody who owns the object, with what each one's own object says now: those of [`signs`], and whom only a label names. `fields`
/// are those that a change of ours would change, each as names from the top.
pub async fn owners(
    site: &SiteClient,
    signed: Vec<Owner>,
    object: &DynamicObject,
    resource: &ApiResource,
    fields: &[&[&str]],
    closeness: Closeness,
) -> Vec<Owner> {
    let subject = Subject::new(object, resource, fields);
    let label = argo_cd::label_of(&subject, &signed);
    let labelled = argo_cd::find_by_label(site, label, &subject);
    let looks = signed
        .into_iter()
        .map(|owner| look_at(site, owner, &subject));
    let (looked_at, labelled) = tokio::join!(join_all(looks), labelled);
    let mut owners: Vec<Owner> = looked_at.into_iter().chain(labelled).collect();
    if closeness == Closeness::Claimants {
        add_claimants(site, &mut owners, &subject).await;
    }
    owners
}

/// What an owner's own object says, and who stands above it.
async fn look_at(site: &SiteClient, owner: Owner, subject: &Subject<'_>) -> Owner {
    let Some(tool) = Tool::of(owner.kind) else {
        return owner;
    };
    match fetch(site, tool, &owner, Some(subject)).await {
        Ok(found) => described(site, (tool, owner), &found, subject).await,
        Err(because) => Owner {
            state: Observed::Unseen { because },
            ..owner
        },
    }
}

/// The owner with all that its object says.
async fn described(
    site: &SiteClient,
    (tool, mut owner): (Tool, Owner),
    found: &DynamicObject,
    subject: &Subject<'_>,
) -> Owner {
    let (lists, drift) = match tool {
        Tool::Kustomization => (flux::lists(found, subject), flux::drift(subject)),
        Tool::HelmRelease => (false, flux::drift(subject)),
        Tool::Application => (
            argo_cd::lists(found, subject),
            argo_cd::drift(found, subject),
        ),
    };
    owner.state = Observed::Seen(tool.state(found));
    owner.drift = drift;
    owner.holds = holds_on(found);
    owner.namespace = found.metadata.namespace.as_deref().map(sanitised);
    if lists && !owner.evidence.iter().any(|evidence| evidence == LISTED) {
        owner.evidence.push(LISTED.to_owned());
    }
    (owner.parents, owner.windows) = tokio::join!(parents(site, tool, found), async {
        match tool {
            Tool::Application => argo_cd::windows::told(site, found).await,
            Tool::Kustomization | Tool::HelmRelease => None,
        }
    });
    owner
}

/// Reads an owner's object; why it could not be read, as a fragment.
async fn fetch(
    site: &SiteClient,
    tool: Tool,
    owner: &Owner,
    subject: Option<&Subject<'_>>,
) -> Result<DynamicObject, String> {
    match tool {
        Tool::Kustomization | Tool::HelmRelease => flux::fetch(site, tool, owner).await,
        Tool::Application => argo_cd::fetch(site, owner, subject).await,
    }
}

/// Who writes the owner's own object, up to the root.
async fn parents(site: &SiteClient, tool: Tool, found: &DynamicObject) -> Vec<Parent> {
    let mut parents = Vec::new();
    let (mut child, mut of) = (found.clone(), tool);
    let mut known = BTreeSet::from([path_of(&child)]);
    while parents.len() < HIGHEST {
        let Some(signed) = signs(&child).into_iter().next() else {
            break;
        };
        let fetched = match Tool::of(signed.kind) {
            Some(tool) => {
                let found = fetch(site, tool, &signed, None).await;
                found.map(|found| (tool, found))
            }
            None => Err("nothing of it can be asked".to_owned()),
        };
        if let Ok((_, found)) = &fetched
            && !known.insert(path_of(found))
        {
            break;
        }
        let reverts = fetched
            .as_ref()
            .map(|(tool, found)| tool.state(found).reverts);
        let is_held = matches!(reverts, Ok(Reverts::Held { .. }));
        let seen = fetched.as_ref().ok();
        let named = seen.and_then(|(tool, found)| named(*tool, found));
        let holds = seen.and_then(|(_, found)| holds_on(found));
        parents.push(Parent {
            owner: signed.to_string(),
            named,
            holds,
            undoes_hold: !is_held && writes_hold(of, &child),
            reverts: reverts.into(),
        });
        let Ok((tool, found)) = fetched else { break };
        (child, of) = (found, tool);
    }
    parents
}

/// The owner's object by its name.
fn named(tool: Tool, found: &DynamicObject) -> Option<Named> {
    Some(Named {
        kind: tool.kind(),
        namespace: found.metadata.namespace.clone()?,
        name: found.metadata.name.clone()?,
    })
}

/// The marks of moves on an owner's object.
fn holds_on(found: &DynamicObject) -> Option<Holds> {
    let annotations = found.metadata.annotations.as_ref()?;
    Holds::from_text(annotations.get(owner::HOLD_ANNOTATION)?)
}

fn path_of(object: &DynamicObject) -> (Option<String>, Option<String>, Option<String>) {
    let kind = object.types.as_ref().map(|types| types.kind.clone());
    let metadata = &object.metadata;
    (kind, metadata.namespace.clone(), metadata.name.clone())
}

/// Whether one who applies the owner's object has the very field by which it is held among those that it applies: it would put that
/// back. A field that Git does not name stays as it is, whoever wrote it, unless its manager's name begins with `kubectl` (measured
/// with kustomize-controller 1.9.5 and Argo CD 3.2.11).
fn writes_hold(tool: Tool, child: &DynamicObject) -> bool {
    let pointer = match tool {
        Tool::Application => "/f:spec/f:syncPolicy/f:automated/f:enabled",
        Tool::Kustomization | Tool::HelmRelease => "/f:spec/f:suspend",
    };
    let entries = child.metadata.managed_fields.iter().flatten();
    let mut appliers = entries.filter(|entry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        flux::MANAGERS.contains(&manager) || owner::ARGO_CD_MANAGERS.contains(&manager)
    });
    appliers.any(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer(pointer).is_some())
    })
}

/// Adds who claims the object without having signed it last.
async fn add_claimants(site: &SiteClient, owners: &mut Vec<Owner>, subject: &Subject<'_>) {
    let places: Vec<(Tool, String)> = owners
        .iter()
        .filter_map(|owner| Some((Tool::of(owner.kind)?, owner.namespace.clone()?)))
        .collect();
    for (index, (tool, namespace)) in places.iter().enumerate() {
        if places[..index].contains(&(*tool, namespace.clone())) {
            continue;
        }
        // It has no list of what it applied.
        if *tool == Tool::HelmRelease {
            continue;
        }
        match list_claimants(site, *tool, namespace, subject).await {
            Ok(listed) => {
                for (owner, object) in listed.claiming {
                    let is_it = |known: &Owner| known.to_string() == owner.to_string();
                    if !owners.iter().any(is_it) {
                        owners.push(described(site, (*tool, owner), &object, subject).await);
                    }
                }
                if listed.is_cut {
                    let because = format!("`{namespace}` has more than {MOST} of them");
                    note_unseen(owners, *tool, &because);
                }
            }
            Err(error) => note_unseen(owners, *tool, &chain_of(&error)),
        }
    }
}

/// Those of a namespace that have an object among what they applied.
struct Listed {
    claiming: Vec<(Owner, DynamicObject)>,
    /// Whether there are more than were looked through.
    is_cut: bool,
}

async fn list_claimants(
    site: &SiteClient,
    tool: Tool,
    namespace: &str,
    subject: &Subject<'_>,
) -> Result<Listed, CallError> {
    let at = site.in_namespace(namespace);
    let resource = tool.resource();
    let api: Api<DynamicObject> = at.objects(&resource);
    let params = ListParams::default().limit(MOST);
    let request = api.list(&params);
    let list = at.call("list", &resource.plural, request).await?;
    let more = list.metadata.continue_.as_deref().unwrap_or_default();
    let is_cut = !more.is_empty();
    let lists = |found: &DynamicObject| match tool {
        Tool::Kustomization => flux::lists(found, subject),
        Tool::Application => argo_cd::lists(found, subject),
        Tool::HelmRelease => false,
    };
    let claiming = list.items.into_iter().filter(lists);
    let signed = |found: DynamicObject| {
        let name = found.metadata.name.as_deref().map(sanitised);
        let namespace = Some(sanitised(namespace));
        let owner = Owner::by_sign(tool.kind(), namespace, name, LISTED);
        (owner, found)
    };
    Ok(Listed {
        claiming: claiming.map(signed).collect(),
        is_cut,
    })
}

/// Says at those who are known that others could not be looked for.
fn note_unseen(owners: &mut [Owner], tool: Tool, because: &str) {
    for owner in owners {
        if Tool::of(owner.kind) == Some(tool) {
            owner.others_unseen = Some(because.to_owned());
        }
    }
}

/// A condition of an owner's object that says that it is not well, in its own words.
fn problem(found: &DynamicObject, is_bad: impl Fn(&Value) -> bool) -> Option<String> {
    /// More than this helps nobody, in characters.
    const MOST: usize = 300;
    let conditions = found.data.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|condition| is_bad(condition))?;
    let text = |key: &str| {
        condition
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let reason = [text("reason"), text("type")]
        .into_iter()
        .find(|text| !text.is_empty());
    let told = format!("{}: {}", reason.unwrap_or_default(), text("message"));
    Some(sanitised(&told.chars().take(MOST).collect::<String>()))
}

fn text_at(found: &DynamicObject, pointer: &str) -> Option<String> {
    found
        .data
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(sanitised)
}

fn is_true(found: &DynamicObject, pointer: &str) -> bool {
    found.data.pointer(pointer) == Some(&Value::Bool(true))
}
