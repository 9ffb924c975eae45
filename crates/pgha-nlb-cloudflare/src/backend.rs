//! The backend itself.

use std::iter::once;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pgha_nlb::plan::plan_to_site;
use pgha_nlb::state::Place;
use pgha_nlb::text::one_line;
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Looked, Order,
    Product, Refusal, Route, RouteSettings, RouteState, SiteName, Written,
};
use pgha_wire::{Api, Question};
use serde_json::{Map, json};

use crate::Settings;
use crate::balancer::{Balancer, Envelope, Pools};

/// One load balancer.
#[derive(Clone, Debug)]
pub struct Cloudflare {
    settings: Settings,
    api: Api,
}

impl Cloudflare {
    /// A backend; asks nothing yet.
    ///
    /// # Errors
    /// The URL is none of an API or goes over a network without TLS, or an identifier is none.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let api = settings.api();
        let api = api.map_err(|because| BadSettings::new(&settings.id, because))?;
        Ok(Self { settings, api })
    }

    /// Who was led somewhere is led there again ("Session affinity").
    fn affinity(&self, now: &Balancer) -> Finding {
        let check = "cloudflare-affinity";
        let kind = now.session_affinity.as_deref().unwrap_or_default();
        if ["", "none"].contains(&kind) {
            return Finding::pass(&self.settings.id, check);
        }
        let lasts = now.session_affinity_ttl.unwrap_or_default();
        let seen = format!(
            "Who was at a pool stays there while it is healthy, for {lasts} s: its session affinity is `{}`.",
            one_line(kind)
        );
        let advice = "Set its session affinity to `none` before you move.";
        Finding::warn(&self.settings.id, check, &seen, advice)
    }
}

#[async_trait]
impl Product for Cloudflare {
    type Details = Balancer;

    const REACHED: &'static str = "cloudflare-reached";
    const ROUTE: (&'static str, &'static str) = (
        "cloudflare-pools",
        "Put the load balancer in order by hand: enabled, steering `off`, no rule that overrides it, a site's pool first.",
    );

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "cloudflare",
            at: self.api.at().to_owned(),
            layer: Layer::Http,
            capabilities: Capabilities {
                compare_and_swap: false,
                atomic: true,
                persistent: true,
                needs_reload: false,
            },
            settles_in: Duration::from_secs(30),
        }
    }

    fn beforehand(&self) -> Vec<Finding> {
        vec![self.api.key_finding(&self.settings.id, "cloudflare-token")]
    }

    async fn findings(&self, now: &Looked<Balancer>, _within: Duration) -> Vec<Finding> {
        vec![self.affinity(&now.details)]
    }

    async fn look(&self, within: Duration) -> Result<Looked<Balancer>, CutoverError> {
        let asked = self.api.get("read the load balancer", "", within);
        let Envelope { result: details } = asked.await?;
        let pools = details.pools().text();
        let fence = format!("modified {}, {pools}", one_line(&details.modified_on));
        let at = format!("pools of {}", one_line(&details.name));
        let route = Route {
            name: self.settings.route.name.clone(),
            active: details.active(&self.settings.route.sites),
            places: vec![Place { at, value: pools }],
        };
        let state = RouteState {
            fence: fence.into(),
            routes: vec![route],
            documents: Vec::new(),
        };
        Ok(Looked { state, details })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let mut bare = seen.clone();
        for place in bare.routes.iter_mut().flat_map(|route| &mut route.places) {
            place.value = Pools::of(&place.value).0.swap_remove(0);
        }
        let RouteSettings { name, sites } = &self.settings.route;
        let changes = plan_to_site(&bare, to, once((name, sites)))?;
        let places = seen.routes.iter().flat_map(|route| &route.places);
        let whole = changes
            .into_iter()
            .zip(places)
            .map(|(change, place)| Change {
                from: place.value.clone(),
                to: Pools::of(&place.value).led_to(&change.to, sites).text(),
                ..change
            });
        Ok(whole.collect())
    }

    async fn write(
        &self,
        order: &Order<'_, Balancer>,
        within: Duration,
    ) -> Result<Written<Balancer>, CutoverError> {
        let now = &order.seen.details;
        let mut body = Map::new();
        for Pools(pools, fallback) in order.changes.iter().map(|change| Pools::of(&change.to)) {
            if pools != now.default_pools {
                body.insert("default_pools".to_owned(), json!(pools));
            }
            if fallback != now.fallback_pool {
                body.insert("fallback_pool".to_owned(), json!(fallback));
            }
        }
        let question = Question::get("change the load balancer", "", within);
        let question = question.with(Method::PATCH, body.into());
        self.api.change(question).await
    }
}
