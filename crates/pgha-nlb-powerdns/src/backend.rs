//! The backend itself.

use std::time::Duration;

use async_trait::async_trait;
use pgha_dns::{BadRecords, BadSettings, Kind, Records};
use pgha_model::effect::Effect;
use pgha_nlb::plan::{Gate, gate, plan_to_site};
use pgha_nlb::state::Held;
use pgha_nlb::text::one_line;
use pgha_nlb::{
    Active, Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Finding, Layer, Look,
    Plan, Preparation, Problem, Receipt, Refusal, Route, RouteState, SiteName,
};

use crate::Settings;
use crate::api::Api;
use crate::zone::{Zone, is_ttl, longest, lowered, ttl_of, ttls};

/// Users who looked a name up wait up to its TTL; more than this is long, in seconds.
const LONG: u32 = 60;
/// The kinds of zone that are written here, and not where they are transferred from.
const OWN: [&str; 4] = ["Native", "Master", "Primary", "Producer"];

/// One zone of one PowerDNS.
#[derive(Clone, Debug)]
pub struct PowerDns {
    settings: Settings,
    api: Api,
    is_clear: bool,
}

impl PowerDns {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// The URL is none of an API, a route is none of the zone, or two cannot be told apart.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let bad = |because| {
            let id = settings.id.clone();
            BadSettings { id, because }
        };
        let (url, is_clear) = settings.server().map_err(bad)?;
        settings.check_routes().map_err(bad)?;
        let (key_file, ca_file) = (settings.api_key_file.clone(), settings.ca_file.clone());
        let api = Api::new(
            url,
            (&settings.server, settings.zone.as_str()),
            key_file,
            ca_file,
        );
        Ok(Self {
            settings,
            api,
            is_clear,
        })
    }

    async fn zone(&self, within: Duration) -> Result<Zone, CutoverError> {
        let tried = "read the zone";
        let body = self.api.get(tried, within).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let seen = format!("its answer is no zone of PowerDNS' API: {error}");
            let next = "See that `url` is of the API of a PowerDNS Authoritative Server.";
            self.api.error(tried, Problem::Unfit { seen }, next)
        })
    }

    fn state(&self, zone: &Zone) -> RouteState {
        RouteState {
            fence: zone.fence(&self.settings.routes).into(),
            routes: self
                .settings
                .routes
                .iter()
                .map(|route| zone.route(route))
                .collect(),
            documents: Vec::new(),
        }
    }

    /// Makes changes, and says by what PowerDNS has afterwards how that ended.
    async fn change(
        &self,
        changes: &[Change],
        zone: &Zone,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let tried = "change the records";
        let unfit = |seen: String, next: &str| self.api.error(tried, Problem::Unfit { seen }, next);
        if let Some(seen) = foreign(zone) {
            return Err(unfit(seen, FOREIGN));
        }
        let body = zone.patch(changes, &self.settings.routes);
        let body = body.map_err(|seen| unfit(seen, "Plan again."))?;
        let written = self.api.patch(tried, &body, within).await;
        if let Err(error) = written {
            if error.effect == Effect::None {
                return Err(error);
            }
            return match self.observe(within).await {
                Ok(after) if after.held(changes) == Held::After => {
                    Ok(self.receipt(Did::Change, changes, &after))
                }
                _ => Err(error),
            };
        }
        let after = self.observe(within).await;
        let after = after.map_err(|error| error.leaving(Effect::Unknown))?;
        if after.held(changes) == Held::After {
            return Ok(self.receipt(Did::Change, changes, &after));
        }
        let seen = "it took the change and does not show it: somebody else writes too".to_owned();
        Err(unfit(seen, "Look at the records before anything else.").leaving(Effect::Unknown))
    }

    fn receipt(&self, did: Did, changes: &[Change], seen: &RouteState) -> Receipt {
        let mut evidence = vec![format!(
            "{} says so itself ({}).",
            self.api.at(),
            seen.fence
        )];
        if did == Did::Change {
            let before = changes.iter().filter(|change| is_ttl(&change.at));
            let seconds = before.map(|change| longest(&change.from)).max();
            let seconds = seconds.unwrap_or(self.settings.ttl);
            evidence.push(format!(
                "Resolvers may keep the former records for {seconds} s more."
            ));
        }
        Receipt {
            backend: self.settings.id.clone(),
            did,
            changes: changes.to_vec(),
            fence: seen.fence.clone(),
            evidence,
        }
    }

    /// The change of lifetimes that goes with a change of records, if any.
    fn lifetimes(&self, change: &Change, seen: &RouteState) -> Result<Option<Change>, Refusal> {
        let unfit = |seen: String, advice: &str| Refusal::Unfit {
            route: change.route.clone(),
            seen,
            advice: advice.to_owned(),
        };
        let records = |text: &str| text.parse::<Records>();
        let both = records(&change.from).and_then(|from| Ok((from, records(&change.to)?)));
        let bad = |seen: BadRecords| unfit(seen.to_string(), "Put the records in order by hand.");
        let (from, to) = both.map_err(bad)?;
        if from.has(Kind::Cname) != to.has(Kind::Cname) {
            let seen = format!("`{from}` and `{to}` are a name and addresses");
            let advice = "Give the route either a `cname` at each site or addresses at each.";
            return Err(unfit(seen, advice));
        }
        let at = ttl_of(&change.at);
        let mut places = seen.routes.iter().flat_map(|route| &route.places);
        let place = places.find(|place| place.at == at);
        let wanted = ttls(&to, self.settings.ttl);
        let place = place.filter(|place| place.value != wanted);
        Ok(place.map(|place| Change {
            route: change.route.clone(),
            at,
            from: place.value.clone(),
            to: wanted,
        }))
    }

    /// The lifetimes that are longer than they shall be, of routes that lead to a site.
    fn lowered(&self, seen: &RouteState) -> Vec<Change> {
        let leading = seen.routes.iter();
        let leading = leading.filter(|route| matches!(route.active, Active::Site(_)));
        let places = leading.flat_map(|route| route.places.iter().map(move |place| (route, place)));
        let ttl = self.settings.ttl;
        let long = places.filter(|(_, place)| is_ttl(&place.at) && longest(&place.value) > ttl);
        long.map(|(route, place)| Change {
            route: route.name.clone(),
            at: place.at.clone(),
            from: place.value.clone(),
            to: lowered(&place.value, ttl),
        })
        .collect()
    }

    fn key_finding(&self) -> Finding {
        let (id, check) = (&self.settings.id, "powerdns-key");
        if let Some(seen) = self.api.key_problem() {
            let advice = "Put the key of the API into a file that only you may read.";
            return Finding::fail(id, check, &format!("{seen}."), advice);
        }
        if self.is_clear {
            let seen = "The key goes over the network in the clear.";
            let advice = "Put a proxy with TLS before the API, and name it with https://.";
            return Finding::warn(id, check, seen, advice);
        }
        Finding::pass(id, check)
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

    fn record_finding(&self, route: &Route) -> Finding {
        let advice = "Put the records in order by hand.";
        Finding::of_route(&self.settings.id, "powerdns-record", route, advice)
    }

    fn ttl_finding(&self, seen: &RouteState) -> Finding {
        let (id, check) = (&self.settings.id, "powerdns-ttl");
        let places = seen.routes.iter().flat_map(|route| &route.places);
        let places = places.filter(|place| is_ttl(&place.at));
        let long = places
            .map(|place| (longest(&place.value), place.at.as_str()))
            .chain([(self.settings.ttl, "`ttl` in the service's file")])
            .max()
            .filter(|(seconds, _)| *seconds > LONG);
        let Some((seconds, at)) = long else {
            return Finding::pass(id, check);
        };
        let seen = format!("{at} is {seconds} s: so long may users go to the former site.");
        let advice = "Run `kubectl pgha traffic prepare` as long as that before you move: it lowers it to `ttl`.";
        Finding::warn(id, check, &seen, advice)
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
impl Cutover for PowerDns {
    fn describe(&self) -> Descriptor {
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

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        let mut findings = vec![self.key_finding()];
        match self.zone(within).await {
            Err(error) => findings.push(Finding::of_error(id, "powerdns-reached", &error)),
            Ok(zone) => {
                let seen = self.state(&zone);
                findings.push(Finding::pass(id, "powerdns-reached"));
                findings.push(self.zone_finding(&zone));
                findings.extend(seen.routes.iter().map(|route| self.record_finding(route)));
                findings.push(self.ttl_finding(&seen));
            }
        }
        findings
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        Ok(self.state(&self.zone(within).await?))
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let mut bare = seen.clone();
        for route in &mut bare.routes {
            route.places.retain(|place| !is_ttl(&place.at));
        }
        let routes = self
            .settings
            .routes
            .iter()
            .map(|route| (&route.name, &route.sites));
        let mut changes = Vec::new();
        for change in plan_to_site(&bare, to, routes)? {
            let lifetimes = self.lifetimes(&change, seen)?;
            changes.push(change);
            changes.extend(lifetimes);
        }
        let id = &self.settings.id;
        Ok(Plan::of_changes(id, self.api.at(), seen, to, changes))
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        let zone = self.zone(within).await?;
        let (seen, changes) = (self.state(&zone), &plan.changes);
        match gate(changes, &plan.fence, &seen, "apply the plan", self.api.at())? {
            Gate::Done => Ok(self.receipt(Did::Nothing, changes, &seen)),
            Gate::Go => self.change(changes, &zone, within).await,
        }
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        let seen = self.observe(within).await?;
        let (at, fence) = (self.api.at(), &seen.fence);
        Ok(match seen.held(&receipt.changes) {
            Held::After => Look::Settled(format!("{at} has the records ({fence}).")),
            Held::Before | Held::Neither => {
                Look::NotYet(format!("{at} does not have the records ({fence})."))
            }
        })
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        let zone = self.zone(within).await?;
        let seen = self.state(&zone);
        match gate(&changes, &receipt.fence, &seen, "roll back", self.api.at())? {
            Gate::Done => Ok(self.receipt(Did::Nothing, &changes, &seen)),
            Gate::Go => self.change(&changes, &zone, within).await,
        }
    }

    async fn preparation(&self, within: Duration) -> Result<Preparation, CutoverError> {
        let seen = self.observe(within).await?;
        let changes = self.lowered(&seen);
        let remembered = changes.iter().map(|change| longest(&change.from)).max();
        let remembered = Duration::from_secs(remembered.unwrap_or_default().into());
        let (id, at) = (&self.settings.id, self.api.at());
        Ok(Preparation::of_changes(
            id, at, seen.fence, changes, remembered,
        ))
    }

    async fn prepare(
        &self,
        preparation: &Preparation,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let zone = self.zone(within).await?;
        let (seen, at) = (self.state(&zone), self.api.at());
        let Preparation { changes, fence, .. } = preparation;
        match gate(changes, fence, &seen, "lower the lifetimes", at)? {
            Gate::Done => Ok(self.receipt(Did::Nothing, changes, &seen)),
            Gate::Go => self.change(changes, &zone, within).await,
        }
    }
}
