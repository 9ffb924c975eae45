//! The backend itself.

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pgha_dns::{Lifetimes, Records, lifetimes, plan_records};
use pgha_nlb::finding::Severity;
use pgha_nlb::text::one_line;
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Looked, Order,
    Preparation, Product, Refusal, RouteState, SiteName, Written,
};
use pgha_wire::{Api, Question};

use crate::Settings;
use crate::zone::Zone;

/// The kinds of zone that are written here, and not where they are transferred from.
const OWN: [&str; 4] = ["Native", "Master", "Primary", "Producer"];

/// One zone of one PowerDNS.
#[derive(Clone, Debug)]
pub struct PowerDns {
    settings: Settings,
    api: Api,
}

impl PowerDns {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// The URL is none of an API, a route is none of the zone, or two cannot be told apart.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings::new(&settings.id, because);
        let api = settings.api().map_err(bad)?;
        settings.check_routes().map_err(bad)?;
        Ok(Self { settings, api })
    }

    fn key_finding(&self) -> Finding {
        let (id, check) = (&self.settings.id, "powerdns-key");
        let key = self.api.key_finding(id, check);
        if key.severity == Severity::Pass && self.api.is_clear() {
            let seen = "The key goes over the network in the clear.";
            let advice = "Put a proxy with TLS before the API, and name it with https://.";
            return Finding::warn(id, check, seen, advice);
        }
        key
    }

    fn zone_finding(&self, zone: &Zone) -> Finding {
        let (id, check) = (&self.settings.id, "powerdns-zone");
        if let Some(seen) = foreign(zone) {
            return Finding::fail(id, check, &format!("{seen}."), FOREIGN);
        }
        if zone.dnssec {
            let seen = "The zone is signed, and the API does not tell by whom.";
            let advice = "See by `pdnsutil show-zone` that PowerDNS holds its keys: in a presigned zone a change has no \
                          signature.";
            return Finding::warn(id, check, seen, advice);
        }
        Finding::pass(id, check)
    }
}

const FOREIGN: &str = "Name the server that the zone is transferred from.";

/// Why a change of the zone would be lost here, if it would. PowerDNS' API takes it all the same.
fn foreign(zone: &Zone) -> Option<String> {
    let is_own = OWN.iter().any(|kind| zone.kind.eq_ignore_ascii_case(kind));
    let kind = one_line(&zone.kind);
    (!is_own).then(|| format!("its kind is {kind}: the next transfer would overwrite a change"))
}

#[async_trait]
impl Product for PowerDns {
    type Details = Zone;

    const REACHED: &'static str = "powerdns-reached";
    const ROUTE: (&'static str, &'static str) =
        ("powerdns-record", "Put the records in order by hand.");

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "powerdns",
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
        vec![self.key_finding()]
    }

    async fn findings(&self, now: &Looked<Zone>, _within: Duration) -> Vec<Finding> {
        let (id, ttl) = (&self.settings.id, self.settings.ttl);
        vec![
            self.zone_finding(&now.details),
            lifetimes::finding(id, "powerdns-ttl", &now.state, ttl),
        ]
    }

    async fn look(&self, within: Duration) -> Result<Looked<Zone>, CutoverError> {
        let zone: Zone = self.api.get("read the zone", "", within).await?;
        let routes = &self.settings.routes;
        let state = RouteState {
            fence: zone.fence(routes).into(),
            routes: routes.iter().map(|route| zone.route(route)).collect(),
            documents: Vec::new(),
        };
        Ok(Looked {
            state,
            details: zone,
        })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let mut changes = Vec::new();
        for change in plan_records(seen, to, &self.settings.routes)? {
            let records = change.to.parse::<Records>().unwrap_or_default();
            let wanted = records.iter().map(|it| (it.kind(), self.settings.ttl));
            let wanted = lifetimes::change_with(&change, seen, &wanted.collect::<Lifetimes>());
            changes.push(change);
            changes.extend(wanted);
        }
        Ok(changes)
    }

    async fn write(
        &self,
        order: &Order<'_, Zone>,
        within: Duration,
    ) -> Result<Written<Zone>, CutoverError> {
        let tried = "change the records";
        let zone = &order.seen.details;
        if let Some(seen) = foreign(zone) {
            return Err(self.api.unfit(tried, seen, FOREIGN));
        }
        let body = zone.patch(order.changes, &self.settings.routes);
        let body = body.map_err(|seen| self.api.unfit(tried, seen, "Plan again."))?;
        let question = Question::get(tried, "", within);
        self.api.change(question.with(Method::PATCH, body)).await
    }

    fn evidence(&self, order: Option<&Order<'_, Zone>>, now: &Looked<Zone>) -> Vec<String> {
        let (at, fence) = (self.api.at(), &now.state.fence);
        let says = format!("{at} says so itself ({fence}).");
        [says]
            .into_iter()
            .chain(order.map(lifetimes::remembered))
            .collect()
    }

    async fn to_prepare(&self, within: Duration) -> Result<Preparation, CutoverError> {
        let seen = self.look(within).await?.state;
        let (id, ttl) = (&self.settings.id, self.settings.ttl);
        Ok(lifetimes::preparation(id, self.api.at(), &seen, ttl))
    }
}
