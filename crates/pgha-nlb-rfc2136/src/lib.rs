//! Moves users by DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945).
//!
//! All records of a move change in one message, on the condition that each record set is still as it was seen: the primary
//! itself compares and writes in one step. The primary and every nameserver is asked directly, never a resolver. **Resolvers
//! remember what they were told for its lifetime (TTL)**; a move keeps the lifetimes, and a preparation lowers them beforehand.

mod backend;
mod key;
mod records;
mod update;
mod wire;
mod zone;

use pgha_dns::{DnsName, RouteSettings};
use pgha_nlb::{BackendId, refuse_twins};
use serde::Deserialize;

pub use backend::{Clock, Rfc2136};
pub use key::{Algorithm, KeySettings};

/// What a preparation lowers a lifetime to, in seconds.
const SHORT: u32 = 30;

/// One zone at its primary.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// The primary, which takes updates over TCP: `ns1.example.org:53`.
    pub primary: String,
    /// The zone.
    pub zone: DnsName,
    /// What updates are signed with.
    pub key: KeySettings,
    /// Every nameserver that resolvers ask; a move has settled when all of them answer with it.
    #[serde(default)]
    pub nameservers: Vec<String>,
    /// What a preparation lowers the records' lifetime (TTL) to, in seconds.
    #[serde(default = "short")]
    pub ttl: u32,
    /// The routes.
    pub routes: Vec<RouteSettings>,
}

const fn short() -> u32 {
    SHORT
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        let mut servers = self.nameservers.iter().chain([&self.primary]);
        if let Some(server) = servers.find(|server| !has_port(server)) {
            return Err(format!("`{server}` is no host:port"));
        }
        refuse_twins(self.routes.iter().map(|route| &route.name))?;
        for (index, RouteSettings { record, sites, .. }) in self.routes.iter().enumerate() {
            if !self.zone.holds(record) || record.is_wildcard() {
                let zone = &self.zone;
                return Err(format!("`{record}` is no name of its own in zone {zone}"));
            }
            let mut before = self.routes[..index].iter();
            if before.any(|other| other.record == *record && other.sites != *sites) {
                return Err(format!("two of its routes want {record} otherwise"));
            }
        }
        Ok(())
    }
}

fn has_port(server: &str) -> bool {
    let port = server.rsplit_once(':');
    port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{
        "id": "dns", "primary": "ns1.example.org:53", "zone": "Example.org",
        "key": {"name": "pgha", "secretFile": "tsig.key"},
        "routes": [
            {"name": "https", "record": "login.example.ORG.", "sites": {
                "core1": {"a": ["192.0.2.11", "192.0.2.1"], "aaaa": ["2001:DB8:0::1"]},
                "core2": {"a": ["192.0.2.2"]}}},
            {"name": "app", "record": "app.example.org", "sites": {
                "core1": {"cname": "lb.Core1.example.net"}, "core2": {"cname": "lb.core2.example.net."}}}
        ]}"#;

    fn read(text: &str) -> Result<Settings, String> {
        let settings: Settings = serde_json::from_str(text).map_err(|error| error.to_string())?;
        settings.check()?;
        Ok(settings)
    }

    #[test]
    fn a_site_has_one_canonical_value() {
        let settings = read(GOOD).unwrap();
        let value = |route: usize| settings.routes[route].sites.value(&"core1".into());
        assert_eq!(
            value(0),
            Some("A 192.0.2.1; A 192.0.2.11; AAAA 2001:db8::1")
        );
        assert_eq!(value(1), Some("CNAME lb.core1.example.net."));
        assert_eq!(settings.routes[0].record.to_string(), "login.example.org.");
        assert_eq!(settings.ttl, SHORT);
    }

    #[test]
    fn what_no_zone_could_hold_is_refused() {
        for (from, to, words) in [
            (r#""a": ["192.0.2.2"]"#, "", "neither addresses nor"),
            (
                r#"["192.0.2.2"]"#,
                r#"["192.0.2.2"], "cname": "x.org""#,
                "no addresses",
            ),
            ("192.0.2.2", "192.0.2.300", "invalid"),
            (
                "lb.core2.example.net.",
                "LB.core1.example.NET",
                "both called",
            ),
            (
                "app.example.org",
                "app.example.net",
                "`app.example.net.` is no name of its own",
            ),
            ("app.example.org", "*.example.org", "no name of its own"),
            (
                "app.example.org",
                "login.example.org",
                "want login.example.org. otherwise",
            ),
            (r#""name": "app""#, r#""name": "https""#, "called https"),
            ("ns1.example.org:53", "ns1.example.org", "no host:port"),
            (
                r#""secretFile": "tsig.key""#,
                r#""secret": "c2VjcmV0""#,
                "unknown field",
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let said = read(&GOOD.replace(from, to)).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }
}
