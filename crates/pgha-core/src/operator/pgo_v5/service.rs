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

/// The service of the primary, and the pooler's when the object has one that runs.
pub fn writable_services(cluster: &str, object: &Value) -> Vec<Service> {
    let primary = service(cluster, "primary", object.get("spec"));
    let bouncer = pooler_service(cluster, object);
    std::iter::once(primary).chain(bouncer).collect()
}

/// The service of the pooler when the object has one that runs.
pub fn pooler_service(cluster: &str, object: &Value) -> Option<Service> {
    let section = object.pointer("/spec/proxy/pgBouncer")?;
    let runs = section.get("replicas").and_then(Value::as_u64) != Some(0);
    (!section.is_null() && runs).then(|| service(cluster, "pgbouncer", Some(section)))
}

/// PGO `internal/naming/names.go`.
fn service(cluster: &str, name: &str, section: Option<&Value>) -> Service {
    let port = section.and_then(|section| section.get("port")?.as_u64());
    Service {
        name: format!("{cluster}-{name}"),
        port: port.unwrap_or(PORT),
    }
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
