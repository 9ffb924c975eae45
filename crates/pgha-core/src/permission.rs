//! What pgha needs to be permitted, a verb on a resource each: the one list that `validate` asks about and that the
//! manifests under `manifests/rbac` are held against.

use std::borrow::Cow;

use pgha_model::application::ObjectName;

use crate::journal;
use crate::operator::pgo_v5;
use crate::operator::pgo_v5::secret::user_secret;

/// What a person may do with pgha. Each is a Role at both sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look: `leader`, `status`, `history`, `init`. Opens no container and reads no Secret.
    Viewer,
    /// Move: everything but `sync-secrets` and `reset-password`. Opens containers, which is as much as the database's superuser.
    Operator,
    /// What `switchover --deadline-image` needs beside the operator's: whoever may create a Job runs any image as any account
    /// of the namespace. The Job itself is an operator.
    DeadlinePlacer,
    /// What `sync-secrets` and `reset-password` need beside the operator's: the list of Secrets returns what is in them.
    SecretKeeper,
}

/// A verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// `get`, `list`, `create` or `patch`.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// The resource, in the plural.
    pub resource: Cow<'static, str>,
    /// The part of it that is meant: `exec`.
    pub subresource: Option<&'static str>,
    /// The one object, where it is known before; the others of the kind are not touched.
    pub name: Option<String>,
    /// The namespace, where it is not the cluster's own.
    pub namespace: Option<&'static str>,
}

impl Permission {
    pub(crate) const fn on(
        verb: &'static str,
        group: &'static str,
        resource: &'static str,
    ) -> Self {
        Self {
            verb,
            group: Cow::Borrowed(group),
            resource: Cow::Borrowed(resource),
            subresource: None,
            name: None,
            namespace: None,
        }
    }

    fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    /// On one object that a person has named, or on a part of it.
    pub(crate) fn of_object(
        verb: &'static str,
        object: &ObjectName,
        subresource: Option<&'static str>,
    ) -> Self {
        Self {
            verb,
            group: Cow::Owned(object.resource.group.clone()),
            resource: Cow::Owned(object.resource.plural.clone()),
            subresource,
            name: Some(object.name.clone()),
            namespace: None,
        }
    }

    fn of_pods(verb: &'static str, subresource: &'static str) -> Self {
        Self {
            subresource: Some(subresource),
            ..Self::on(verb, "", "pods")
        }
    }
}

/// Everything that a role permits for one cluster.
pub fn permissions(role: Role, cluster: &str) -> Vec<Permission> {
    match role {
        Role::Viewer => [looking(cluster), drafting()].concat(),
        Role::Operator => {
            let mut all = looking(cluster);
            for more in [drafting(), moving(cluster), helping(cluster)] {
                all.extend(more);
            }
            all.sort();
            all.dedup();
            all
        }
        Role::DeadlinePlacer => vec![Permission::on("create", "batch", "jobs")],
        Role::SecretKeeper => keeping_secrets(cluster),
    }
}

/// What a look from outside needs. `pods/proxy` is Patroni's own answer; the lists name no object, since the API server
/// permits a list of a kind as a whole or not at all.
fn looking(cluster: &str) -> Vec<Permission> {
    let clusters = |verb| Permission::on(verb, pgo_v5::PREFIX, "postgresclusters");
    vec![
        clusters("get").named(cluster),
        clusters("list"),
        Permission::on("list", "", "endpoints"),
        Permission::on("list", "", "pods"),
        Permission::of_pods("get", "proxy"),
        Permission::on("get", "", "configmaps").named(&journal::name_of(cluster)),
    ]
}

/// What `init` looks at beside the cluster, and writes of in the file where it may not: programs, and how users come to them.
fn drafting() -> Vec<Permission> {
    let routes = |resource| Permission::on("list", "gateway.networking.k8s.io", resource);
    vec![
        Permission::on("list", "apps", "deployments"),
        Permission::on("list", "apps", "statefulsets"),
        Permission::on("list", "batch", "cronjobs"),
        Permission::on("list", "batch", "jobs"),
        Permission::on("list", "", "services"),
        Permission::on("list", "networking.k8s.io", "ingresses"),
        routes("httproutes"),
        routes("tlsroutes"),
    ]
}

/// What no move can do without. Of exec both verbs: a connection over WebSocket is a `get`, and from Kubernetes 1.35 on
/// `create` is asked for as well (KEP-4006).
pub fn moving(cluster: &str) -> Vec<Permission> {
    let object = |verb| Permission::on(verb, pgo_v5::PREFIX, "postgresclusters").named(cluster);
    let endpoints = |verb| Permission::on(verb, "", "endpoints");
    let pods = |verb| Permission::on(verb, "", "pods");
    let journals = |verb| Permission::on(verb, "", "configmaps");
    let (journal, store) = (journal::name_of(cluster), pgo_v5::store_name(cluster));
    vec![
        object("get"),
        object("patch"),
        endpoints("list"),
        endpoints("get").named(&pgo_v5::lock_name(cluster)),
        endpoints("get").named(&store),
        endpoints("patch").named(&store),
        pods("list"),
        pods("get"),
        Permission::of_pods("get", "exec"),
        Permission::of_pods("create", "exec"),
        journals("get").named(&journal),
        journals("patch").named(&journal),
        // What is to be created has no name yet when the API server asks who may.
        journals("create"),
    ]
}

/// What a move, a validation or a backup goes on without, and tells so: the logins after a move, the backup schedules,
/// the site's identity in the record, the Jobs of a backup and what they write.
fn helping(cluster: &str) -> Vec<Permission> {
    let secret = |name: String| Permission::on("get", "", "secrets").named(&name);
    vec![
        secret(user_secret(cluster, cluster)),
        secret(format!("{cluster}-pgbouncer")),
        secret(format!("{cluster}-monitoring")),
        Permission::on("list", "batch", "cronjobs"),
        Permission::on("list", "batch", "jobs"),
        Permission::of_pods("get", "log"),
        Permission {
            namespace: Some("kube-system"),
            ..Permission::on("get", "", "namespaces").named("kube-system")
        },
    ]
}

/// Which Secrets there are is known from the list alone: a user that the object no longer names keeps its own.
fn keeping_secrets(cluster: &str) -> Vec<Permission> {
    let patch = |name: String| Permission::on("patch", "", "secrets").named(&name);
    vec![
        Permission::on("list", "", "secrets"),
        patch(user_secret(cluster, cluster)),
        patch(format!("{cluster}-pgbouncer")),
        patch(format!("{cluster}-monitoring")),
    ]
}

/// What a new password needs of the Secret that it is in.
pub(crate) fn resetting(secret: &str) -> Vec<Permission> {
    vec![
        Permission::on("get", "", "secrets").named(secret),
        Permission::on("patch", "", "secrets").named(secret),
    ]
}
