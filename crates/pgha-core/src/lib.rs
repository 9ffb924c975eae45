//! Typed primitives over Kubernetes, Patroni and Postgres for moving a service between sites.
