//! Has the clients of a `PgBouncer` wait while nobody takes writes, so that they see a pause and no error.
//!
//! `PgBouncer` is spoken to by its admin console, a database of the name `pgbouncer` over the Postgres protocol (PgBouncer
//! documentation, Usage, Admin console). A pause outlives the connection that asked for it: whoever pauses sees to it that somebody
//! resumes.

mod admin;
mod look;
mod pause;
mod point;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use admin::PoolerError;
pub use look::{Database, Look};

/// Where a pooler is, and how its admin console is entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// What it is called in what is told of it.
    pub name: String,
    /// Its host and port.
    pub address: String,
    /// One of its `admin_users`.
    pub user: String,
    /// A file with that user's password, of the user's own; without one no password is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Over TLS, with the server's certificate verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The databases of the service, as the pooler calls them.
    pub databases: Vec<String>,
    /// How long clients may wait at most, in seconds: whatever has become of the move then, they go on.
    #[serde(default = "thirty")]
    pub longest_pause_seconds: u64,
    /// The program and its arguments that has the pooler's configuration lead to another site; `{site}` and `{host}` in them stand
    /// for where. Without one the pooler leads to what follows the primary by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub point: Vec<String>,
    /// The host of each site, as the configuration has it then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, String>,
}

const fn thirty() -> u64 {
    30
}

/// Who is believed to sign the pooler's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// A file with the authorities, in PEM [default: the system's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// A pooler.
#[derive(Clone, Debug)]
pub struct Pooler {
    settings: Settings,
}

impl Settings {
    /// The same with its files, and a program that is named by a path, where `place` puts them.
    #[must_use]
    pub fn with_files(mut self, place: impl Fn(&Path) -> PathBuf) -> Self {
        if let Some(program) = self.point.first_mut().filter(|name| name.contains('/')) {
            *program = place(Path::new(program)).display().to_string();
        }
        let of_tls = self.tls.as_mut().and_then(|tls| tls.ca_file.as_mut());
        for file in [self.password_file.as_mut(), of_tls].into_iter().flatten() {
            *file = place(file);
        }
        self
    }
}

impl Pooler {
    /// A pooler; asks nobody.
    ///
    /// # Errors
    /// The settings name no database, or no host and port; what is wrong, as a clause.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let name = &settings.name;
        if settings.databases.is_empty() {
            return Err(format!("pooler {name} names no database"));
        }
        if let Some(own) = settings.databases.iter().find(|name| *name == "pgbouncer") {
            return Err(format!("pooler {name}: {own} is its admin console"));
        }
        if settings.point.is_empty() != settings.hosts.is_empty() {
            return Err(format!(
                "pooler {name} has one of `point` and `hosts`, which need each other"
            ));
        }
        if settings.longest_pause_seconds == 0 {
            return Err(format!("pooler {name} may not pause at all"));
        }
        let pooler = Self { settings };
        match pooler.host_and_port() {
            Some(_) => Ok(pooler),
            None => Err(format!(
                "pooler {}: {} is no HOST:PORT",
                pooler.settings.name, pooler.settings.address
            )),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.settings.address.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']);
        let port = port.parse().ok()?;
        (!host.is_empty()).then_some((host, port))
    }

    /// How it stands.
    ///
    /// # Errors
    /// It does not answer within the time, or has no such database.
    pub async fn look(&self, within: Duration) -> Result<Look, PoolerError> {
        self.bounded("look at", within, async {
            let mut admin = self.enter().await?;
            self.look_by(&mut admin).await
        })
        .await
    }

    /// The longest pause.
    pub const fn longest_pause(&self) -> Duration {
        Duration::from_secs(self.settings.longest_pause_seconds)
    }

    /// The host that it leads to where this site is primary; `None` where that is not its business.
    pub fn host_of(&self, site: &str) -> Option<&str> {
        self.settings.hosts.get(site).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str, databases: &[&str]) -> Settings {
        Settings {
            name: "edge".to_owned(),
            address: address.to_owned(),
            user: "pgha".to_owned(),
            password_file: None,
            tls: None,
            databases: databases.iter().map(ToString::to_string).collect(),
            longest_pause_seconds: 30,
            point: Vec::new(),
            hosts: BTreeMap::new(),
        }
    }

    #[test]
    fn a_pooler_without_a_place_or_a_database_is_none() {
        let pooler = Pooler::new(settings("[::1]:6432", &["app"])).unwrap();
        assert_eq!(pooler.host_and_port(), Some(("::1", 6432)));
        for (address, databases, words) in [
            ("edge", &["app"][..], "no HOST:PORT"),
            ("edge:x", &["app"], "no HOST:PORT"),
            (":6432", &["app"], "no HOST:PORT"),
            ("edge:6432", &[], "no database"),
            ("edge:6432", &["pgbouncer"], "admin console"),
        ] {
            let said = Pooler::new(settings(address, databases)).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        let mut half = settings("edge:6432", &["app"]);
        half.point = vec!["./point".to_owned()];
        assert!(Pooler::new(half).unwrap_err().contains("need each other"));
        let mut hasty = settings("edge:6432", &["app"]);
        hasty.longest_pause_seconds = 0;
        assert!(Pooler::new(hasty).unwrap_err().contains("not pause at all"));
    }

    #[test]
    fn its_files_lie_where_they_are_put() {
        let mut settings = settings("a:1", &["app"]);
        settings.password_file = Some("secret".into());
        settings.tls = Some(Tls {
            ca_file: Some("ca.pem".into()),
        });
        settings.point = vec!["./point".to_owned(), "./x".to_owned()];
        let placed = settings.with_files(|file| Path::new("/srv").join(file));
        assert_eq!(placed.password_file, Some("/srv/secret".into()));
        assert_eq!(placed.point, ["/srv/./point", "./x"]);
        assert_eq!(placed.tls.unwrap().ca_file, Some("/srv/ca.pem".into()));
    }
}
