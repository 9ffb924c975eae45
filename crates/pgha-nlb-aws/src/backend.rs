//! The backend itself.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use pgha_dns::lifetimes;
use pgha_model::effect::Effect;
use pgha_nlb::plan::{conflict, plan_to_site};
use pgha_nlb::state::Held;
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Look, Looked,
    Order, Preparation, Product, Refusal, RouteState, SiteName, Written, refuse_twins,
};
use pgha_wire::Server;

use crate::api::Api;
use crate::credentials::{Purse, Surroundings};
use crate::weights::{Spot, moved, state};
use crate::{By, Settings, listeners, route53};

/// One hosted zone, or the listeners of one region.
pub struct Aws {
    settings: Settings,
    api: Api,
    /// The last change that Route 53 took from this process.
    change: Mutex<Option<String>>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aws").field(&self.settings).finish()
    }
}

impl Aws {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// The zone, a listener or the endpoint is none, or two routes cannot be told apart.
    pub fn new(mut settings: Settings, around: Surroundings) -> Result<Self, BadSettings> {
        let id = settings.id.clone();
        let bad = |because: String| BadSettings::new(&id, because);
        settings.check().map_err(bad)?;
        let region = settings.region().to_owned();
        let url = settings.endpoint();
        let url = url.parse::<Uri>();
        let url = url.map_err(|error| bad(format!("its endpoint: {error}")))?;
        let server = Server::of(&url).map_err(|because| bad(format!("its endpoint: {because}")))?;
        let is_loopback = ["localhost", "127.0.0.1", "::1"].contains(&server.name());
        if url.query().is_some() || url.path() != "/" || !(server.is_tls || is_loopback) {
            return Err(bad("its endpoint is `https://` and a host".to_owned()));
        }
        let (service, content, at) = match &settings.by {
            By::Route53 { zone, .. } => {
                let at = format!("hosted zone {zone} of Route 53");
                ("route53", "application/xml", at)
            }
            By::Listeners => {
                let at = format!("Elastic Load Balancing in {region}");
                (
                    "elasticloadbalancing",
                    "application/x-www-form-urlencoded",
                    at,
                )
            }
        };
        let ca_file = settings.ca_file.clone();
        let purse = Purse::new(settings.credentials.clone(), around);
        let api = Api {
            service,
            content,
            region,
            url,
            server,
            ca_file,
            purse,
            at,
        };
        let change = Mutex::default();
        Ok(Self {
            settings,
            api,
            change,
        })
    }

    const fn is_dns(&self) -> bool {
        matches!(self.settings.by, By::Route53 { .. })
    }

    fn change(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    fn check(&mut self) -> Result<(), String> {
        let is_id = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if !is_id(self.region()) {
            return Err("its region is none, or its listeners are of several".to_owned());
        }
        if let By::Route53 { zone, .. } = &self.by {
            if !is_id(zone) {
                return Err("its zone is no id of a hosted zone".to_owned());
            }
            for route in &mut self.routes {
                let name = route.record().filter(|name| !name.is_wildcard());
                let name = name.ok_or_else(|| format!("`{}` is no name of its own", route.at))?;
                name.as_str().clone_into(&mut route.at);
            }
        }
        let mut ids = self.routes.iter().flat_map(|route| route.sites.iter());
        if ids.any(|(_, id)| id.is_empty()) {
            return Err("what it calls a site is empty".to_owned());
        }
        refuse_twins(self.routes.iter().map(|route| &route.name))?;
        let mut at: Vec<_> = self.routes.iter().map(|route| &route.at).collect();
        at.sort_unstable();
        at.dedup();
        let is_clear = at.len() == self.routes.len();
        let twins = || "two of its routes are one and the same: name one of them".to_owned();
        is_clear.then_some(()).ok_or_else(twins)
    }

    /// The region; that of all listeners, which their ARNs name, unless it is set.
    fn region(&self) -> &str {
        match (&self.region, &self.by, self.routes.as_slice()) {
            (Some(region), ..) => region,
            (None, By::Route53 { .. }, _) => "us-east-1",
            (None, By::Listeners, routes) => {
                let mut all = routes.iter().map(|route| route.at.split(':').nth(3));
                let first = all.next().flatten().unwrap_or_default();
                let is_one = all.all(|other| other == Some(first));
                if is_one { first } else { "" }
            }
        }
    }

    fn endpoint(&self) -> String {
        let own = match &self.by {
            By::Route53 { .. } => "https://route53.amazonaws.com".to_owned(),
            By::Listeners => format!(
                "https://elasticloadbalancing.{}.amazonaws.com",
                self.region()
            ),
        };
        self.endpoint.clone().unwrap_or(own)
    }
}

#[async_trait]
impl Product for Aws {
    type Details = Vec<Spot>;

    const REACHED: &'static str = "aws-reached";
    const ROUTE: (&'static str, &'static str) =
        ("aws-weights", "Put the weights in order by hand.");

    fn descriptor(&self) -> Descriptor {
        let is_dns = self.is_dns();
        Descriptor {
            id: self.settings.id.clone(),
            kind: if is_dns { "route53" } else { "aws-listeners" },
            at: self.api.at.clone(),
            layer: if is_dns { Layer::Dns } else { Layer::Tcp },
            capabilities: Capabilities {
                compare_and_swap: is_dns,
                atomic: is_dns,
                persistent: true,
                needs_reload: false,
            },
            // Route 53 tells all its servers within 60 s (developer guide).
            settles_in: Duration::from_secs(if is_dns { 60 } else { 10 }),
        }
    }

    async fn findings(&self, now: &Looked<Vec<Spot>>, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        match &self.settings.by {
            By::Route53 { .. } => vec![
                lifetimes::finding(id, "route53-ttl", &now.state, 0),
                route53::health(id, &now.details),
            ],
            By::Listeners => listeners::health(&self.api, id, &self.settings.routes, within).await,
        }
    }

    async fn look(&self, within: Duration) -> Result<Looked<Vec<Spot>>, CutoverError> {
        let (api, routes) = (&self.api, &self.settings.routes);
        let details = match &self.settings.by {
            By::Route53 { zone, .. } => route53::look(api, (zone, routes), within).await?,
            By::Listeners => listeners::look(api, routes, within).await?,
        };
        let mut state = state(&details, routes);
        if self.is_dns() {
            for (told, route) in state.routes.iter_mut().zip(routes) {
                told.places.extend(route53::lifetimes(&details, route));
            }
        }
        Ok(Looked { state, details })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let routes = self.settings.routes.iter();
        let routes = routes.map(|route| (&route.name, &route.sites));
        Ok(moved(plan_to_site(seen, to, routes)?, to))
    }

    async fn write(
        &self,
        order: &Order<'_, Vec<Spot>>,
        within: Duration,
    ) -> Result<Written<Vec<Spot>>, CutoverError> {
        let (api, routes) = (&self.api, &self.settings.routes);
        let (spots, changes) = (&order.seen.details, order.changes);
        let By::Route53 { zone, .. } = &self.settings.by else {
            let written = listeners::write(api, routes, (spots, changes), within).await;
            return Ok(match written {
                Ok(()) => Written::Taken(Vec::new()),
                Err(error) if error.effect == Effect::None => Written::Denied(error),
                Err(error) => Written::Lost(error),
            });
        };
        *self.change() = None;
        let written = route53::write(api, (zone, routes), (spots, changes), within).await;
        let error = match written {
            Ok(change) => {
                *self.change() = change;
                return Ok(Written::Taken(Vec::new()));
            }
            Err(error) if error.effect == Effect::None => error,
            Err(error) => return Ok(Written::Lost(error)),
        };
        let seen = &order.seen.state.fence;
        Err(match self.look(within).await {
            Ok(Looked { state, .. }) if state.fence != *seen => {
                conflict(seen, &state.fence, error.tried, &error.at)
            }
            _ => error,
        })
    }

    async fn take_back_part(
        &self,
        order: &Order<'_, Vec<Spot>>,
        now: &Looked<Vec<Spot>>,
        within: Duration,
    ) -> Effect {
        if !self.is_dns() {
            let changes = order.changes.iter().rev();
            let made = changes.filter(|it| now.state.held(std::slice::from_ref(it)) == Held::After);
            let back: Vec<_> = made.map(Change::inverse).collect();
            let (api, routes) = (&self.api, &self.settings.routes);
            // The look afterwards tells what became of it.
            drop(listeners::write(api, routes, (&now.details, &back), within).await);
        }
        match self.look(within).await {
            Ok(then) if then.state.held(order.changes) == Held::Before => Effect::None,
            _ => Effect::Unknown,
        }
    }

    fn evidence(
        &self,
        order: Option<&Order<'_, Vec<Spot>>>,
        now: &Looked<Vec<Spot>>,
    ) -> Vec<String> {
        let says = format!("{} says so itself ({}).", self.api.at, now.state.fence);
        let is_dns = self.is_dns();
        let remembered = order.filter(|_| is_dns).map(lifetimes::remembered);
        [says].into_iter().chain(remembered).collect()
    }

    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        let (change, at) = (self.change().clone(), &self.api.at);
        if let Some(id) = &change
            && let Some(missing) = route53::missing(&self.api, id, within).await?
        {
            return Ok(missing);
        }
        let now = self.look(within).await?.state;
        Ok(match (now.held(changes), change) {
            (Held::After, Some(id)) => {
                Look::Settled(format!("{at} says that change {id} is INSYNC."))
            }
            (Held::After, None) => Look::Settled(format!("{at} shows the change ({}).", now.fence)),
            _ => Look::NotYet(format!("{at} does not show the change ({}).", now.fence)),
        })
    }

    async fn to_prepare(&self, within: Duration) -> Result<Preparation, CutoverError> {
        let By::Route53 { ttl, .. } = &self.settings.by else {
            return Ok(Preparation::none(&self.settings.id, "".into()));
        };
        let seen = self.look(within).await?.state;
        let (id, at) = (&self.settings.id, &self.api.at);
        Ok(lifetimes::preparation(id, at, &seen, *ttl))
    }
}
