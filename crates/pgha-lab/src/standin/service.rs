//! Services and the access that Patroni and the backup jobs have to the API server.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Endpoints, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde_json::{Value, json};

use super::name;
use super::reconcile::Turn;

impl Turn<'_> {
    /// `<c>-pods`: a DNS name for each member, also before it is ready.
    pub(crate) async fn reconcile_pod_service(&self) -> Result<()> {
        let labels = name::labels(&[("cluster", &self.name)]);
        let body = json!({"spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": name::labels(&[("cluster", &self.name)]),
        }});
        self.apply::<Service>(&format!("{}-pods", self.name), &labels, body)
            .await?;
        Ok(())
    }

    /// `<c>-ha`, whose endpoints Patroni writes, and `<c>-primary`, which names its address.
    pub(crate) async fn reconcile_leader_services(&self) -> Result<()> {
        let spec = &self.pg_cluster.spec;
        let scope = name::scope(&self.name);
        let labels = name::labels(&[("cluster", &self.name), ("patroni", &scope)]);
        let asked = spec.service.clone().unwrap_or_default();
        let mut port = postgres_port(spec.port());
        if let Some(node_port) = asked.node_port {
            port["nodePort"] = json!(node_port);
        }
        let kind = asked.kind.unwrap_or_else(|| "ClusterIP".to_owned());
        let body = json!({"spec": {"type": kind, "ports": [port]}});
        let leader: Service = self.apply(&scope, &labels, body).await?;
        let address = leader
            .spec
            .and_then(|spec| spec.cluster_ip)
            .with_context(|| format!("{scope} has no address yet"))?;

        let primary = format!("{}-primary", self.name);
        let labels = name::labels(&[("cluster", &self.name), ("role", "primary")]);
        let port = postgres_port(spec.port());
        let body = json!({"spec": {"clusterIP": "None", "ports": [port]}});
        self.apply::<Service>(&primary, &labels, body).await?;
        let body = json!({"subsets": [{
            "addresses": [{"ip": address}],
            "ports": [{"name": "postgres", "port": spec.port(), "protocol": "TCP"}],
        }]});
        self.apply::<Endpoints>(&primary, &labels, body).await?;
        Ok(())
    }

    pub(crate) async fn reconcile_replica_service(&self) -> Result<()> {
        let labels = name::labels(&[("cluster", &self.name), ("role", "replica")]);
        let body = json!({"spec": {
            "type": "ClusterIP",
            "ports": [postgres_port(self.pg_cluster.spec.port())],
            "selector": labels,
        }});
        self.apply::<Service>(&format!("{}-replicas", self.name), &labels, body)
            .await?;
        Ok(())
    }

    /// `<c>-ha-config`, so that nobody else takes the name of Patroni's configuration object.
    pub(crate) async fn reconcile_patroni_config_service(&self) -> Result<()> {
        let scope = name::scope(&self.name);
        let labels = name::labels(&[("cluster", &self.name), ("patroni", &scope)]);
        let body = json!({"spec": {"clusterIP": "None"}});
        self.apply::<Service>(&format!("{scope}-config"), &labels, body)
            .await?;
        Ok(())
    }

    /// Accounts and permissions: `<c>-instance` for Patroni, `<c>-pgbackrest` for the backup jobs, and `<c>-repohost`,
    /// which the real operator makes also where no repository is on a volume.
    pub(crate) async fn reconcile_access(&self) -> Result<()> {
        let rule = |resource: &str, verbs: &[&str]| json!({"apiGroups": [""], "resources": [resource], "verbs": verbs});
        let patroni = [
            rule(
                "endpoints",
                &[
                    "create",
                    "deletecollection",
                    "get",
                    "list",
                    "patch",
                    "watch",
                ],
            ),
            rule("pods", &["get", "list", "patch", "watch"]),
            rule("services", &["create"]),
        ];
        let of_cluster = ("cluster", self.name.as_str());
        self.grant("instance", &[of_cluster], &patroni).await?;
        let of_backrest = [of_cluster, ("pgbackrest", "")];
        let backup = [rule("pods", &["list"]), rule("pods/exec", &["create"])];
        self.grant("pgbackrest", &of_backrest, &backup).await?;
        let host = [rule("pods", &["patch"])];
        self.grant("repohost", &of_backrest, &host).await
    }

    async fn grant(&self, role: &str, labels: &[(&str, &str)], rules: &[Value]) -> Result<()> {
        let account = &format!("{}-{role}", self.name);
        let labels = name::labels(labels);
        self.apply::<ServiceAccount>(account, &labels, json!({}))
            .await?;
        self.apply::<Role>(account, &labels, json!({"rules": rules}))
            .await?;
        let body = json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account}],
        });
        self.apply::<RoleBinding>(account, &labels, body).await?;
        Ok(())
    }
}

fn postgres_port(port: u16) -> Value {
    json!({"name": "postgres", "port": port, "protocol": "TCP", "targetPort": "postgres"})
}
