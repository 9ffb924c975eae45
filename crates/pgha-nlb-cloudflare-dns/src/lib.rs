//! Moves users by the content of DNS records at Cloudflare, through its API (version 4).
//!
//! All records of a move change in one batch, which is one transaction of Cloudflare's database, though its servers get it record by
//! record. A patch keeps what it does not name: the lifetime, the proxy, comments and tags. The API compares nothing before it
//! writes, so between the last look and the write there is a moment in which another writer is not seen; what was written is read
//! back, and that alone tells what became of a request whose answer was lost.
//!
//! Facts are from Cloudflare's API reference (developers.cloudflare.com/api, "DNS > Records", 2026-08), its generated client
//! cloudflare-go, and the pages "Batch record changes", "Time to Live (TTL)" and "Proxied DNS records" of
//! developers.cloudflare.com/dns. Nobody has tried this against Cloudflare itself: the tests run against a stub that was written
//! from these documents.

mod backend;
mod records;

use std::path::PathBuf;

use http::header;
use pgha_dns::RouteSettings;
use pgha_nlb::{BackendId, refuse_twins};
use pgha_wire::{Api, Auth, Kind};
use serde::Deserialize;
use serde_json::Value;

pub use backend::CloudflareDns;

/// The lifetimes that a record may have, in seconds; below 60 only in an Enterprise zone ("Create DNS Record").
const TTL: std::ops::RangeInclusive<u32> = 30..=86_400;

/// Records of one zone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// Where the API is.
    #[serde(default = "cloudflare")]
    pub url: String,
    /// The zone's identifier.
    pub zone: String,
    /// A file with nothing but an API token, which nobody else may read.
    pub api_token_file: PathBuf,
    /// Who is believed to sign the API's certificate; the system's store when it is left out.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What `traffic prepare` lowers lifetimes to, in seconds. A move keeps them.
    pub ttl: u32,
    /// The routes.
    pub routes: Vec<RouteSettings>,
}

fn cloudflare() -> String {
    "https://api.cloudflare.com/client/v4".to_owned()
}

impl Settings {
    /// The API below the records of the zone.
    fn api(&self) -> Result<Api, String> {
        let zone = &self.zone;
        if zone.is_empty() || !zone.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!(
                "`{zone}` is no identifier of a zone: letters and digits"
            ));
        }
        let url = format!(
            "{}/zones/{zone}/dns_records",
            self.url.trim_end_matches('/')
        );
        let files = (self.api_token_file.clone(), self.ca_file.clone());
        let auth = Auth::Header(header::AUTHORIZATION, "Bearer ");
        let api = Api::new(&url, files, url.clone(), (auth, KIND))?;
        api.refuse_clear()?;
        Ok(api)
    }

    /// Refuses routes that could not be told apart, or not be changed.
    fn check(&self) -> Result<(), String> {
        if !TTL.contains(&self.ttl) {
            return Err(format!(
                "its ttl is not from {} to {} s",
                TTL.start(),
                TTL.end()
            ));
        }
        refuse_twins(self.routes.iter().map(|route| &route.name))?;
        for (index, RouteSettings { name, record, .. }) in self.routes.iter().enumerate() {
            let mut before = self.routes.iter().take(index);
            if let Some(other) = before.find(|other| other.record == *record) {
                let other = &other.name;
                return Err(format!(
                    "routes {other} and {name} are one record: name one of them"
                ));
            }
        }
        Ok(())
    }
}

const KIND: Kind = Kind {
    name: "Cloudflare's API",
    what: "zone",
    largest: 4 * 1024 * 1024,
    said,
    key: "Put an API token of Cloudflare's into a file that only you may read.",
    reach: "See that this machine reaches the API, and that its certificate is trusted here.",
    denied: "See that the token in `apiTokenFile` is active and may edit `DNS` of the zone.",
    missing: "Correct `zone` in the service's file.",
};

/// What an answer says is wrong ("Make API calls > Response").
fn said(answer: &Value) -> Option<String> {
    let errors = answer["errors"].as_array()?.iter();
    let said = errors.map(|it| Some(format!("{} ({})", it["message"].as_str()?, it["code"])));
    let said: Option<Vec<_>> = said.collect();
    said.filter(|all| !all.is_empty()).map(|all| all.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (pointer, value, words) in [
            ("/url", json!("http://api.example"), "in the clear"),
            ("/zone", json!("../accounts"), "no identifier"),
            ("/ttl", json!(29), "from 30 to 86400"),
            ("/ttl", json!(1), "from 30"),
            ("/routes/1/name", json!("https"), "called https"),
            (
                "/routes/1/record",
                json!("LOGIN.example.org."),
                "are one record",
            ),
            (
                "/routes/0/sites/core1",
                json!({"a": ["192.0.2.2"]}),
                "both called",
            ),
        ] {
            let mut settings = json!({
                "id": "dns", "url": "https://api.example/client/v4/", "zone": "023e", "apiTokenFile": "token", "ttl": 60,
                "routes": [
                    {"name": "https", "record": "login.example.org",
                     "sites": {"core1": {"a": ["192.0.2.1"]}, "core2": {"a": ["192.0.2.2"]}}},
                    {"name": "api", "record": "api.example.org",
                     "sites": {"core1": {"cname": "lb.core1.example"}, "core2": {"cname": "lb.core2.example"}}},
                ],
            });
            let good: Settings = serde_json::from_value(settings.clone()).unwrap();
            let at = pgha_nlb::Cutover::describe(&CloudflareDns::new(good).unwrap()).at;
            assert_eq!(at, "https://api.example/client/v4/zones/023e/dns_records");
            *settings.pointer_mut(pointer).unwrap() = value;
            let said = match serde_json::from_value::<Settings>(settings) {
                Ok(settings) => CloudflareDns::new(settings).unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(words), "{pointer}: {said}");
        }
    }
}
