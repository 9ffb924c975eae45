//! Moves users by the order of the pools of a load balancer of Cloudflare's, through its API (version 4).
//!
//! The API compares nothing before it writes, so between the last look and the write there is a moment in which another writer
//! is not seen. A change names only the fields that it is about, all else stays as it is; what was written is read back, and that
//! alone tells what became of a request whose answer was lost.
//!
//! Facts are from Cloudflare's API reference (developers.cloudflare.com/api, "Load Balancers", 2026-08), its generated client
//! cloudflare-go, and pages of developers.cloudflare.com that are named where a fact is used. Nobody has tried this against
//! Cloudflare itself: the tests run against a stub that was written from these documents.

mod backend;
mod balancer;

use std::path::PathBuf;

use http::header;
use pgha_nlb::{BackendId, RouteSettings};
use pgha_wire::{Api, Auth, Kind};
use serde::Deserialize;
use serde_json::Value;

pub use backend::Cloudflare;

/// One load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// Where the API is.
    #[serde(default = "cloudflare")]
    pub url: String,
    /// The identifier of the zone that the load balancer is in.
    pub zone: String,
    /// The load balancer's identifier.
    pub load_balancer: String,
    /// A file with nothing but an API token, which nobody else may read.
    pub api_token_file: PathBuf,
    /// Who is believed to sign the API's certificate; the system's store when it is left out.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The route that it is, with the identifier of each site's pool.
    pub route: RouteSettings,
}

fn cloudflare() -> String {
    "https://api.cloudflare.com/client/v4".to_owned()
}

impl Settings {
    /// The API below the load balancer's own URL.
    fn api(&self) -> Result<Api, String> {
        let own = [&self.zone, &self.load_balancer].map(String::as_str);
        let pools = self.route.sites.iter().map(|(_, pool)| pool);
        let is_id = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric());
        if let Some(id) = own.into_iter().chain(pools).find(|id| !is_id(id)) {
            return Err(format!(
                "`{id}` is no identifier of Cloudflare's: letters and digits"
            ));
        }
        let Self {
            url,
            zone,
            load_balancer,
            ..
        } = self;
        let url = format!(
            "{}/zones/{zone}/load_balancers/{load_balancer}",
            url.trim_end_matches('/')
        );
        let files = (self.api_token_file.clone(), self.ca_file.clone());
        let auth = Auth::Header(header::AUTHORIZATION, "Bearer ");
        let api = Api::new(&url, files, url.clone(), (auth, KIND))?;
        api.refuse_clear()?;
        Ok(api)
    }
}

const KIND: Kind = Kind {
    name: "Cloudflare's API",
    what: "load balancer",
    largest: 1024 * 1024,
    said,
    key: "Put an API token of Cloudflare's into a file that only you may read.",
    reach: "See that this machine reaches the API, and that its certificate is trusted here.",
    denied: "See that the token in `apiTokenFile` is active and may edit `Load Balancers` of the zone.",
    missing: "Correct `zone` or `loadBalancer` in the service's file.",
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

    fn settings(pointer: &str, value: Value) -> Result<String, String> {
        let mut settings = json!({
            "id": "edge", "url": "https://api.example/client/v4/", "zone": "023e", "loadBalancer": "699d",
            "apiTokenFile": "token", "caFile": null,
            "route": {"name": "https", "sites": {"core1": "17b5", "core2": "9290"}},
        });
        *settings.pointer_mut(pointer).unwrap() = value;
        let settings: Settings = serde_json::from_value(settings).map_err(|e| e.to_string())?;
        let backend = Cloudflare::new(settings).map_err(|e| e.to_string())?;
        Ok(pgha_nlb::Cutover::describe(&backend).at)
    }

    #[test]
    fn a_load_balancer_is_told_by_its_url() {
        let at = "https://api.example/client/v4/zones/023e/load_balancers/699d";
        assert_eq!(settings("/caFile", json!("ca.pem")).unwrap(), at);
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        for (pointer, value, words) in [
            ("/url", json!("http://api.example"), "in the clear"),
            ("/url", json!("https://x@api.example"), "user name"),
            ("/zone", json!("../accounts"), "no identifier"),
            ("/loadBalancer", json!(""), "no identifier"),
            ("/route/sites/core1", json!("a, b"), "no identifier"),
            ("/route/sites/core1", json!("9290"), "both called"),
            (
                "/route",
                json!({"name": "https", "pools": {}}),
                "unknown field",
            ),
        ] {
            let said = settings(pointer, value).unwrap_err();
            assert!(said.contains(words), "{pointer}: {said}");
        }
    }

    #[test]
    fn errors_are_told_with_their_codes() {
        let two =
            json!({"errors": [{"code": 1002, "message": "no pool"}, {"code": 7, "message": "x"}]});
        assert_eq!(said(&two).unwrap(), "no pool (1002); x (7)");
        for other in [json!({"errors": []}), json!({"errors": [7]}), json!(null)] {
            assert_eq!(said(&other), None);
        }
    }
}
