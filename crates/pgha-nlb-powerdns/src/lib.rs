//! Moves users by record sets of a zone, through PowerDNS' HTTP API (authoritative server, `api=yes`).
//!
//! All records of all routes change in one request, which PowerDNS makes one transaction. It compares nothing before it writes,
//! so between the last look and the write there is a moment in which another writer is not seen; what was written is read
//! back, and that alone tells what became of a request whose answer was lost.

mod backend;
mod zone;

use std::path::PathBuf;

use http::HeaderName;
use pgha_dns::{DnsName, RouteSettings};
use pgha_nlb::{BackendId, refuse_twins};
use pgha_wire::{Api, Auth, Kind};
use serde::Deserialize;

pub use backend::PowerDns;

/// The longest lifetime that resolvers know, in seconds (RFC 2181, section 8).
const LONGEST: u32 = 0x7fff_ffff;

/// One zone of one server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// Where its API listens: `https://dns.example:8081`, with a path where a proxy has it under one.
    pub url: String,
    /// What the API calls the server.
    #[serde(default = "localhost")]
    pub server: String,
    /// The zone that the records are in.
    pub zone: DnsName,
    /// A file with nothing but the key of the API, which nobody else may read.
    pub api_key_file: PathBuf,
    /// Who is believed to sign the server's certificate; the system's store when it is left out.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Whether the key may be sent in the clear to another machine.
    #[serde(default)]
    pub allow_cleartext: bool,
    /// How long resolvers may keep what a move wrote, in seconds.
    pub ttl: u32,
    /// The routes.
    pub routes: Vec<RouteSettings>,
}

fn localhost() -> String {
    "localhost".to_owned()
}

impl Settings {
    /// The API below the zone.
    fn api(&self) -> Result<Api, String> {
        let Self { server, zone, .. } = self;
        let url = self.url.trim_end_matches('/');
        let files = (self.api_key_file.clone(), self.ca_file.clone());
        let auth = Auth::Header(HeaderName::from_static("x-api-key"), "");
        let path = format!("{url}/api/v1/servers/{server}/zones/{zone}");
        let api = Api::new(&path, files, format!("zone {zone} of {url}"), (auth, KIND))?;
        if !self.allow_cleartext {
            let or_say = |because| format!("{because}, or say `allowCleartext: true`");
            api.refuse_clear().map_err(or_say)?;
        }
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if server.is_empty() || !server.chars().all(is_allowed) {
            return Err("its server is of letters, digits and `-_.`".to_owned());
        }
        Ok(api)
    }

    /// Refuses routes that PowerDNS could not tell apart, or not change.
    fn check_routes(&self) -> Result<(), String> {
        // PowerDNS takes more, and shows another number.
        if self.ttl > LONGEST {
            return Err(format!("its ttl is longer than {LONGEST} s"));
        }
        refuse_twins(self.routes.iter().map(|route| &route.name))?;
        for (index, RouteSettings { name, record, .. }) in self.routes.iter().enumerate() {
            if !self.zone.holds(record) {
                return Err(format!("`{record}` is no name in zone {}", self.zone));
            }
            // One set cannot change twice in one request.
            let mut before = self.routes[..index].iter();
            if let Some(other) = before.find(|other| other.record == *record) {
                return Err(format!(
                    "routes {} and {name} are one and the same record: name one of them",
                    other.name
                ));
            }
        }
        Ok(())
    }
}

const KIND: Kind = Kind {
    name: "PowerDNS' API",
    what: "zone",
    // A zone that is longer is not read.
    largest: 16 * 1024 * 1024,
    said: |answer| answer["error"].as_str().map(str::to_owned),
    key: "Put the key of the API into a file that only you may read.",
    reach: "See that PowerDNS runs with `api=yes`, that `webserver-allow-from` lets this machine in, and that its certificate is \
            trusted here.",
    denied: "See that `apiKeyFile` holds this server's `api-key`.",
    missing: "Correct `server`, `zone` or `url` in the service's file.",
};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings() -> Value {
        json!({
            "id": "dns", "url": "https://dns.example:8081", "zone": "Example.org", "apiKeyFile": "key", "ttl": 30,
            "routes": [
                {"name": "https", "record": "login.example.org",
                 "sites": {"core1": {"a": ["192.0.2.1"]}, "core2": {"a": ["192.0.2.2"]}}},
                {"name": "api", "record": "API.example.org.",
                 "sites": {"core1": {"cname": "lb.core1.example"}, "core2": {"cname": "lb.core2.example"}}},
            ],
        })
    }

    fn refusal(pointer: &str, value: Value) -> String {
        let mut settings = settings();
        settings["server"] = json!("localhost");
        *settings.pointer_mut(pointer).unwrap() = value;
        match serde_json::from_value::<Settings>(settings) {
            Ok(settings) => PowerDns::new(settings).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_absolute_and_in_small_letters() {
        let settings: Settings = serde_json::from_value(settings()).unwrap();
        assert_eq!(settings.server, "localhost");
        let (zone, routes) = (&settings.zone, &settings.routes);
        assert_eq!(
            (zone.as_str(), routes[1].record.as_str()),
            ("example.org.", "api.example.org.")
        );
        assert_eq!(
            routes[1].sites.value(&"core1".into()),
            Some("CNAME lb.core1.example.")
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (pointer, value, words) in [
            ("/url", json!("dns.example"), "url"),
            ("/url", json!("ftp://dns.example"), "begins with"),
            ("/url", json!("https://me:key@dns.example"), "user name"),
            ("/url", json!("https://dns.example/?key=x"), "question"),
            ("/url", json!("http://dns.example:8081"), "allowCleartext"),
            ("/url", json!("http://127.0.0.1.example"), "allowCleartext"),
            ("/server", json!("../x"), "server"),
            ("/zone", json!("a/b"), "no name"),
            ("/ttl", json!(2_147_483_648_u32), "ttl"),
            (
                "/routes/0/record",
                json!("login.other.org"),
                "no name in zone",
            ),
            (
                "/routes/0/record",
                json!("loginexample.org"),
                "no name in zone",
            ),
            ("/routes/0/name", json!("api"), "called api"),
            ("/routes/0/record", json!("api.example.org"), "same record"),
            (
                "/routes/0/sites/core1",
                json!({"a": ["192.0.2.2"]}),
                "both called",
            ),
        ] {
            let said = refusal(pointer, value);
            assert!(said.contains(words), "{pointer}: {said}");
        }
    }

    #[test]
    fn the_key_may_go_in_the_clear_on_this_machine_or_when_somebody_says_so() {
        let is_clear = |url: &str, allow: bool| {
            let mut settings = settings();
            settings["url"] = json!(url);
            settings["allowCleartext"] = json!(allow);
            let settings: Settings = serde_json::from_value(settings).unwrap();
            settings.api().unwrap().is_clear()
        };
        for url in [
            "http://127.0.0.1:8081",
            "http://[::1]:8081",
            "http://localhost",
        ] {
            assert!(!is_clear(url, false), "{url}");
        }
        assert!(is_clear("http://192.0.2.53", true));
        assert!(!is_clear("https://192.0.2.53", true));
    }
}
