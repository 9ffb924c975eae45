//! The operator stand-in: keeps the contract of Crunchy PGO v5 for `PostgresCluster` v1beta1, traps included.
//!
//! What it serves is what the lab's scenarios rest on: members, Patroni's configuration, backups to S3, standby,
//! shutdown, switchover, users, `PgBouncer`. It does not serve: repositories on volumes, restores, data sources,
//! monitoring, rolling out a changed pod template, tablespaces, snapshots. The schema in
//! `recipes/crds/postgrescluster.yaml` leaves those fields out, so asking for them is an error and not silence.
//!
//! Run beside PGO 6.0.3 on the same lab, it differed besides in what nobody here looks at: no disruption budgets, no
//! spread constraints, no automatic growth of volumes, no `status.monitoring` and no `status.proxy` without a pooler.

mod backrest;
mod backup;
mod backup_job;
mod bouncer;
mod deletion;
mod event;
mod exec;
mod instance;
mod instance_pod;
mod member;
mod name;
mod object;
mod patroni;
mod patroni_file;
mod psql;
mod reconcile;
mod rollout;
mod schedule;
mod scram;
mod service;
mod settings;
mod stanza;
mod status;
mod switchover;
mod tls;
mod types;
mod user;
mod user_secret;
mod watch;

pub use settings::Settings;
pub use watch::run;
