//! Moves users by HAProxy's runtime API: maps and inline patterns, without a reload.
//!
//! It takes effect with the next connection, and **nothing persists it**: a reload or a restart reads the files again. Pair it
//! with a backend that writes them ([`Settings::persisted_by`]). HAProxy compares nothing before it writes, so between the last
//! look and the write there is a moment in which another writer is not seen; what was written is read back.

mod backend;
mod socket;
mod table;

use std::collections::BTreeMap;

use pgha_nlb::{BackendId, RouteName, SiteValues, refuse_twins};
use serde::Deserialize;

pub use backend::HaproxyRuntime;
pub use socket::Socket;
pub use table::Sessions;

/// One HAProxy process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// Where its runtime API listens.
    pub socket: Socket,
    /// The backend that writes the same into the files.
    #[serde(default)]
    pub persisted_by: Option<BackendId>,
    /// The routes.
    pub routes: Vec<RouteSettings>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// The host that users ask for.
    pub host: String,
    /// Where HAProxy keeps it.
    pub spot: Spot,
    /// The HAProxy backend of each site.
    pub sites: SiteValues,
}

/// Where HAProxy keeps which backend serves a host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Spot {
    /// A map file by the name that the configuration has for it; the host is a key.
    Map {
        /// The name.
        file: String,
    },
    /// The inline patterns of `use_backend … if { fetch -i host … }` rules: the host is in one of them.
    Acls {
        /// What the rules compare: `req.ssl_sni`, `hdr(host)`.
        fetch: String,
        /// The rule of each HAProxy backend.
        rules: BTreeMap<String, Acl>,
    },
}

/// A rule with inline patterns, by where it stands in the configuration that runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acl {
    /// The file as HAProxy was given it.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        refuse_twins(self.routes.iter().map(|route| &route.name))?;
        for route in &self.routes {
            let values = || route.sites.iter().map(|(_, value)| value);
            let has_rules = match &route.spot {
                Spot::Map { file } if !is_plain(file) => {
                    return Err("a map is named as in the configuration".to_owned());
                }
                Spot::Map { .. } => true,
                Spot::Acls { rules, .. } => values().all(|value| rules.contains_key(value)),
            };
            if !has_rules {
                return Err("every backend of a site needs its rule".to_owned());
            }
            if !is_plain(&route.host) || !values().all(is_plain) {
                return Err("hosts and backends are of letters, digits and `-_.:`".to_owned());
            }
        }
        Ok(())
    }
}

/// A word that cannot end a command of the runtime API, or begin another one.
fn is_plain(word: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    !word.is_empty() && word.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(host: &str, spot: &serde_json::Value) -> Result<(), String> {
        let settings = serde_json::json!({
            "id": "lb", "socket": {"unix": "/run/haproxy.sock"},
            "routes": [{
                "name": "https", "host": host, "spot": spot,
                "sites": {"core1": "core1-https", "core2": "core2-https"},
            }],
        });
        serde_json::from_value::<Settings>(settings)
            .unwrap()
            .check()
    }

    #[test]
    fn a_word_that_would_end_a_command_is_refused() {
        let map = serde_json::json!({"map": {"file": "/etc/haproxy/sni.map"}});
        assert_eq!(settings("login.ois.run", &map), Ok(()));
        for host in ["a; disable frontend x", "a\nb", "a\\", ""] {
            assert!(settings(host, &map).is_err(), "{host}");
        }
        assert!(settings("a", &serde_json::json!({"map": {"file": "x y"}})).is_err());
    }

    #[test]
    fn a_site_without_a_rule_is_refused() {
        let rules = serde_json::json!({"core1-https": {"file": "h.cfg", "line": 19}});
        let spot = serde_json::json!({"acls": {"fetch": "req.ssl_sni", "rules": rules}});
        let because = settings("login.ois.run", &spot).unwrap_err();
        assert_eq!(because, "every backend of a site needs its rule");
    }
}
