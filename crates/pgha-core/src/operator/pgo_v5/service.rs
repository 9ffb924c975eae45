//! The services through which programs reach the primary.

use serde_json::Value;

/// Postgres' port when the object does not name one (CRD default of `spec.port` and `spec.proxy.pgBouncer.port`).
const PORT: u64 = 5432;

/// A service that leads to the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, in the cluster's namespace.
    pub name: String,
    /// Its port.
    pub port: u64,
}

/// The service of the primary, and the pooler's when the object has one that runs (PGO `internal/naming/names.go`).
pub fn writable_services(cluster: &str, object: &Value) -> Vec<Service> {
    let service = |name: &str, section: Option<&Value>| Service {
        name: format!("{cluster}-{name}"),
        port: section
            .and_then(|section| section.get("port")?.as_u64())
            .unwrap_or(PORT),
    };
    let bouncer = object
        .pointer("/spec/proxy/pgBouncer")
        .filter(|section| !section.is_null())
        .filter(|section| section.get("replicas").and_then(Value::as_u64) != Some(0));
    let primary = service("primary", object.get("spec"));
    let bouncer = bouncer.map(|section| service("pgbouncer", Some(section)));
    std::iter::once(primary).chain(bouncer).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn services(spec: &Value) -> Vec<(String, u64)> {
        let services = writable_services("db", &json!({ "spec": spec }));
        let pair = |service: Service| (service.name, service.port);
        services.into_iter().map(pair).collect()
    }

    #[test]
    fn the_object_says_which_services_there_are() {
        let primary = |port| ("db-primary".to_owned(), port);
        assert_eq!(services(&json!({})), [primary(5432)]);
        let bouncer = ("db-pgbouncer".to_owned(), 6432);
        assert_eq!(
            services(&json!({"port": 5433, "proxy": {"pgBouncer": {"port": 6432}}})),
            [primary(5433), bouncer]
        );
        assert_eq!(
            services(&json!({"proxy": {"pgBouncer": {"replicas": 0}}})),
            [primary(5432)]
        );
    }
}
