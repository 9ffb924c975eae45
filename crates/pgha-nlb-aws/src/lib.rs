//! Moves users by weights at AWS: those of record sets of Route 53, or of target groups of a Network Load Balancer's listener.
//!
//! A move gives the whole weight to what is a site's, and 0 to what is another's; nothing else is changed, nothing created. At
//! Route 53 it is one batch that deletes exactly what was seen and creates what is to be: Route 53 refuses the whole batch where
//! a set is not as the request says, and so compares and writes in one step (API reference, `ChangeResourceRecordSets`). A
//! listener compares nothing: between the last look and the write there is a moment in which another writer is not seen, and
//! what was written is read back.

mod api;
mod backend;
mod credentials;
mod listeners;
mod route53;
mod weights;
mod xml;

use std::path::PathBuf;

use pgha_dns::DnsName;
use pgha_nlb::{BackendId, RouteName, SiteValues};
use serde::Deserialize;

pub use backend::Aws;
pub use credentials::{Clock, Keys, Source, Surroundings};

/// One product of AWS'.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// What has the weights.
    pub by: By,
    /// The routes.
    pub routes: Vec<Weighted>,
    /// Which keys requests are signed with.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "environment")))]
    pub credentials: Source,
    /// The region that a signature names; that of the listeners, or `us-east-1`, when it is left out.
    #[serde(default)]
    pub region: Option<String>,
    /// Where the service listens: `https://…`; AWS' own when it is left out.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Who is believed to sign its certificate; the system's store when it is left out.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// What has the weights.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum By {
    /// Record sets of Route 53.
    Route53 {
        /// The hosted zone's id: `Z1D633PJN98FT9`.
        zone: String,
        /// What a preparation lowers a lifetime to, in seconds.
        #[serde(default = "short")]
        ttl: u32,
    },
    /// The default actions of listeners of Network Load Balancers.
    Listeners,
}

const fn short() -> u32 {
    30
}

/// A name with a weighted record set for each site, or a listener with a target group for each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weighted {
    /// The route's name.
    pub name: RouteName,
    /// The name that users look up, or the listener's ARN.
    pub at: String,
    /// The `SetIdentifier` of each site's record sets, or the ARN of its target group.
    pub sites: SiteValues,
}

impl Weighted {
    /// The name that users look up, where it is one.
    fn record(&self) -> Option<DnsName> {
        DnsName::new(&self.at).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn made(settings: Value) -> Result<Aws, String> {
        let around = Surroundings {
            keys: None,
            credentials_file: None,
            clock: Arc::new(|| 0),
        };
        let settings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        Aws::new(settings, around).map_err(|error| error.to_string())
    }

    fn names() -> Value {
        json!({
            "id": "dns", "by": {"route53": {"zone": "Z1D633PJN98FT9"}},
            "routes": [
                {"name": "https", "at": "Login.example.org", "sites": {"core1": "one", "core2": "two"}},
                {"name": "api", "at": "api.example.org.", "sites": {"core1": "one", "core2": "two"}},
            ],
        })
    }

    fn listeners() -> Value {
        let arn = |name: &str| format!("arn:aws:elasticloadbalancing:eu-central-1:1:{name}");
        let route = |name: &str| {
            let (listener, one, two) = (arn(name), arn("one"), arn("two"));
            json!({"name": name, "at": listener, "sites": {"core1": one, "core2": two}})
        };
        json!({"id": "lb", "by": "listeners", "routes": [route("https"), route("http")]})
    }

    #[test]
    fn what_is_not_set_is_as_aws_has_it() {
        let debug = |settings: Value| format!("{:?}", made(settings).unwrap());
        assert!(debug(names()).contains("\"login.example.org.\""));
        assert!(debug(listeners()).contains("Environment"));
        let at = |settings| pgha_nlb::Cutover::describe(&made(settings).unwrap()).at;
        assert_eq!(at(names()), "hosted zone Z1D633PJN98FT9 of Route 53");
        assert_eq!(at(listeners()), "Elastic Load Balancing in eu-central-1");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (mut settings, pointer, value, words) in [
            (
                names(),
                "/by/route53/zone",
                json!("a/b"),
                "no id of a hosted zone",
            ),
            (names(), "/by", json!({"elb": {}}), "elb"),
            (
                names(),
                "/routes/0/at",
                json!("api.example.org"),
                "one and the same",
            ),
            (
                names(),
                "/routes/0/at",
                json!("*.example.org"),
                "no name of its own",
            ),
            (names(), "/routes/0/at", json!("a b"), "no name of its own"),
            (names(), "/routes/0/name", json!("api"), "called api"),
            (
                names(),
                "/routes/0/sites/core1",
                json!("two"),
                "both called",
            ),
            (names(), "/routes/0/sites/core1", json!(""), "empty"),
            (names(), "/region", json!("../x"), "its region"),
            (
                names(),
                "/endpoint",
                json!("http://route53.example"),
                "its endpoint",
            ),
            (
                names(),
                "/endpoint",
                json!("https://route53.example/x"),
                "its endpoint",
            ),
            (
                names(),
                "/endpoint",
                json!("https://me:s@route53.example"),
                "user name",
            ),
            (names(), "/credentials", json!("secret"), "unknown variant"),
            (
                listeners(),
                "/routes/0/at",
                json!("https"),
                "listeners are of several",
            ),
            (listeners(), "/routes", json!([]), "its region"),
        ] {
            if let Some(there) = settings.pointer_mut(pointer) {
                *there = value;
            } else {
                settings[&pointer[1..]] = value;
            }
            let said = made(settings).unwrap_err();
            assert!(said.contains(words), "{pointer}: {said}");
        }
    }
}
