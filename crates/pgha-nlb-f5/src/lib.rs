//! Moves users by BIG-IP DNS (GTM), through iControl REST: by which member of a pool is enabled.
//!
//! All changes of a move are made in one transaction, which is checked as a whole when it is committed. BIG-IP compares nothing
//! before that, so between the last look and the commit there is a moment in which another writer is not seen; what was written
//! is read back, and that alone tells what became of a commit whose answer was lost.
//!
//! Facts are from F5's iControl REST API reference (clouddocs.f5.com/api/icontrol-rest, `APIRef_tm_gtm_pool_a`), F5's articles
//! "Demystifying iControl REST, part 7: understanding transactions" and "iControl REST authentication token management"
//! (community.f5.com), and F5's Ansible collection `f5_modules` with its recorded answers. Nobody has tried this against a BIG-IP:
//! the tests run against a stub that was written from these documents.

mod backend;
mod pool;
mod unit;

use std::path::PathBuf;

use pgha_nlb::{BackendId, RouteName, SiteValues, refuse_twins};
use serde::Deserialize;

pub use backend::BigIp;

/// One BIG-IP, and others of its DNS synchronization group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// Where the BIG-IP that is changed has its management: `https://bigip1.example.org`.
    pub url: String,
    /// The same of others in its group, which are only looked at: a move has settled when they show it too.
    #[serde(default)]
    pub others: Vec<String>,
    /// Who it is changed by.
    pub user: String,
    /// A file with nothing but the user's password, which nobody else may read.
    pub password_file: PathBuf,
    /// Who knows the user: `tmos` is whatever the BIG-IP is set up to ask.
    #[serde(default = "tmos")]
    pub login_provider: String,
    /// Who is believed to sign its certificate; the system's store when it is left out.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The routes.
    pub routes: Vec<RouteSettings>,
}

/// The pool that decides where the users of one route go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// The pool's full path: `/Common/login`.
    pub pool: String,
    /// The type of the records that it answers with.
    #[serde(rename = "type")]
    pub records: Records,
    /// The member of each site, by its full path: `/Common/SERVER:VIRTUAL-SERVER`.
    pub sites: SiteValues,
}

/// A type of records that leads users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Records {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Other names.
    Cname,
}

fn tmos() -> String {
    "tmos".to_owned()
}

impl Settings {
    /// Refuses what would lead to other objects than it names, and routes that cannot be told apart.
    fn check(&self) -> Result<(), String> {
        refuse_twins(self.routes.iter().map(|route| &route.name))?;
        for (index, route) in self.routes.iter().enumerate() {
            let members = route.sites.iter().map(|(_, member)| member);
            let mut names = members.chain([route.pool.as_str()]);
            if let Some(name) = names.find(|name| !is_full_path(name)) {
                return Err(format!(
                    "`{name}` is no full path of letters, digits and `-_.:`"
                ));
            }
            let is_same = |other: &&RouteSettings| other.path() == route.path();
            if let Some(other) = self.routes.iter().take(index).find(is_same) {
                let (one, other) = (&other.name, &route.name);
                return Err(format!(
                    "routes {one} and {other} are one pool: name one of them"
                ));
            }
        }
        Ok(())
    }
}

fn is_full_path(name: &str) -> bool {
    let parts = name.strip_prefix('/').and_then(|name| name.split_once('/'));
    let is_plain = |part: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        !part.is_empty() && part.chars().all(is_allowed)
    };
    parts.is_some_and(|(partition, name)| is_plain(partition) && is_plain(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusal(pointer: &str, value: Value) -> String {
        let route = |name: &str, kind: &str| {
            json!({"name": name, "pool": "/Common/login", "type": kind,
                   "sites": {"core1": "/Common/bigip1:vs", "core2": "/Common/bigip2:vs"}})
        };
        let mut settings = json!({
            "id": "gslb", "url": "https://bigip1.example", "others": ["https://bigip2.example"], "user": "pgha",
            "passwordFile": "password", "routes": [route("v4", "a"), route("v6", "aaaa")],
        });
        *settings.pointer_mut(pointer).unwrap() = value;
        let settings = serde_json::from_value::<Settings>(settings);
        match settings.map(BigIp::new) {
            Ok(Ok(_)) => String::new(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_name_may_be_two_pools() {
        assert_eq!(refusal("/user", json!("pgha")), "");
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        for (pointer, value, words) in [
            ("/url", json!("http://bigip1.example"), "in the clear"),
            ("/others/0", json!("http://192.0.2.1"), "in the clear"),
            ("/routes/0/pool", json!("login"), "no full path"),
            ("/routes/0/pool", json!("/Common/../x"), "no full path"),
            ("/routes/0/pool", json!("/Common/a?b"), "no full path"),
            ("/routes/0/pool", json!("/Common/"), "no full path"),
            (
                "/routes/1/sites/core1",
                json!("/Common/a b"),
                "no full path",
            ),
            (
                "/routes/1/sites/core1",
                json!("/Common/bigip2:vs"),
                "both called",
            ),
            ("/routes/1/type", json!("a"), "one pool"),
            ("/routes/1/type", json!("mx"), "unknown variant"),
            ("/routes/1/name", json!("v4"), "called v4"),
        ] {
            let said = refusal(pointer, value);
            assert!(said.contains(words), "{pointer}: {said}");
        }
    }
}
