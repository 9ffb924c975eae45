//! The backend itself.

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pgha_dns::{DnsName, lifetimes, plan_records, wanted};
use pgha_nlb::text::one_line;
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Looked, Order,
    Preparation, Product, Refusal, RouteState, SiteName, Written,
};
use pgha_wire::{Api, Question};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::Settings;
use crate::records::{Envelope, Stored, bare, leading, patches, shape};

/// More records of one name are not looked at.
const MOST: usize = 1000;

/// Records of one zone.
#[derive(Clone, Debug)]
pub struct CloudflareDns {
    settings: Settings,
    api: Api,
}

impl CloudflareDns {
    /// A backend; asks nothing yet.
    ///
    /// # Errors
    /// The URL is none of an API or goes over a network without TLS, the zone is no identifier, or two routes cannot be told apart.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings::new(&settings.id, because);
        let api = settings.api().map_err(bad)?;
        settings.check().map_err(bad)?;
        Ok(Self { settings, api })
    }

    /// Every record of a name.
    async fn of_name(&self, name: &DnsName, within: Duration) -> Result<Vec<Stored>, CutoverError> {
        let tried = "read the records";
        let path = format!("?name.exact={}&per_page={MOST}", bare(name.as_str()));
        let Envelope {
            mut result,
            result_info,
        } = self.api.get(tried, &path, within).await?;
        if result_info.total_count > result.len() {
            let seen = format!(
                "`{name}` has more records than the {} that it shows",
                result.len()
            );
            let next = "Name a record with fewer in the service's file.";
            return Err(self.api.unfit(tried, seen, next));
        }
        result.retain(|stored| stored.is_of(name));
        Ok(result)
    }

    fn proxied(&self, all: &[Stored]) -> Finding {
        let (id, check) = (&self.settings.id, "cloudflare-proxied");
        let Some(name) = all.iter().find_map(Stored::hidden) else {
            return Finding::pass(id, check);
        };
        let seen = format!(
            "`{name}` is proxied: DNS tells Cloudflare's own addresses of it, before a move and after."
        );
        let advice = "Believe a probe only for what the site itself says in its answer, not for an address or a certificate.";
        Finding::warn(id, check, &one_line(&seen), advice)
    }
}

#[async_trait]
impl Product for CloudflareDns {
    type Details = Vec<Stored>;

    const REACHED: &'static str = "cloudflare-reached";
    const ROUTE: (&'static str, &'static str) =
        ("cloudflare-record", "Put the records in order by hand.");

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "cloudflare-dns",
            at: self.api.at().to_owned(),
            layer: Layer::Dns,
            capabilities: Capabilities {
                compare_and_swap: false,
                atomic: true,
                persistent: true,
                needs_reload: false,
            },
            settles_in: Duration::from_secs(self.settings.ttl.into()),
        }
    }

    fn beforehand(&self) -> Vec<Finding> {
        vec![self.api.key_finding(&self.settings.id, "cloudflare-token")]
    }

    async fn findings(&self, now: &Looked<Vec<Stored>>, _within: Duration) -> Vec<Finding> {
        let ttl = lifetimes::finding(&self.settings.id, "cloudflare-ttl", &now.state, 0);
        vec![self.proxied(&now.details), ttl]
    }

    async fn look(&self, within: Duration) -> Result<Looked<Vec<Stored>>, CutoverError> {
        let routes = &self.settings.routes;
        let mut details = Vec::new();
        for route in routes {
            details.extend(self.of_name(&route.record, within).await?);
        }
        let mut lines: Vec<_> = details.iter().map(|it| json!(it).to_string()).collect();
        lines.sort_unstable();
        let digest = hex::encode(&Sha256::digest(lines.concat())[..8]);
        let state = RouteState {
            fence: format!("records {digest}").into(),
            routes: routes
                .iter()
                .map(|route| leading(&details, route))
                .collect(),
            documents: Vec::new(),
        };
        Ok(Looked { state, details })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let changes = plan_records(seen, to, &self.settings.routes)?;
        let mut all = changes.iter();
        match all.find(|change| shape(&change.from) != shape(&change.to)) {
            None => Ok(changes),
            Some(Change {
                route, from, to, ..
            }) => Err(Refusal::Unfit {
                route: route.clone(),
                seen: format!(
                    "`{from}` and `{to}` are not as many of each type, and a record that is removed loses its comment, tags and proxy."
                ),
                advice: "Give each site as many records of each type as the others.".to_owned(),
            }),
        }
    }

    async fn write(
        &self,
        order: &Order<'_, Vec<Stored>>,
        within: Duration,
    ) -> Result<Written<Vec<Stored>>, CutoverError> {
        let tried = "change the records";
        let names = wanted(order.changes, &self.settings.routes);
        let names = names.map_err(|e| self.api.unfit(tried, e.to_string(), "Plan again."))?;
        let each = names.iter();
        let patches = each.flat_map(|(name, wanted)| patches(&order.seen.details, name, wanted));
        let body = json!({ "patches": patches.collect::<Vec<_>>() });
        let question = Question::get(tried, "/batch", within);
        self.api.change(question.with(Method::POST, body)).await
    }

    fn evidence(
        &self,
        order: Option<&Order<'_, Vec<Stored>>>,
        _now: &Looked<Vec<Stored>>,
    ) -> Vec<String> {
        order.map(lifetimes::remembered).into_iter().collect()
    }

    async fn to_prepare(&self, within: Duration) -> Result<Preparation, CutoverError> {
        let seen = self.look(within).await?.state;
        let (id, ttl) = (&self.settings.id, self.settings.ttl);
        Ok(lifetimes::preparation(id, self.api.at(), &seen, ttl))
    }
}
