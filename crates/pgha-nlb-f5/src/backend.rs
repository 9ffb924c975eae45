//! The backend itself.

use std::iter::once;
use std::time::Duration;

use async_trait::async_trait;
use pgha_nlb::plan::plan_to_site;
use pgha_nlb::state::Held;
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Look, Looked,
    Order, Product, Refusal, RouteState, SiteName, Written,
};
use serde_json::Value;

use crate::Settings;
use crate::pool::fence;
use crate::unit::{Session, Unit};

/// The pools of one BIG-IP DNS.
#[derive(Clone, Debug)]
pub struct BigIp {
    settings: Settings,
    unit: Unit,
    others: Vec<Unit>,
}

impl BigIp {
    /// A backend; asks nothing yet.
    ///
    /// # Errors
    /// A URL is none of an API or goes over a network without TLS, a name is no full path, or two routes cannot be told apart.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings::new(&settings.id, because);
        settings.check().map_err(bad)?;
        let unit = |url: &String| Unit::new(url, &settings);
        let others: Result<_, _> = settings.others.iter().map(unit).collect();
        let (unit, others) = (unit(&settings.url).map_err(bad)?, others.map_err(bad)?);
        Ok(Self {
            settings,
            unit,
            others,
        })
    }

    /// Every route as one BIG-IP shows it.
    async fn look_at(&self, unit: &Unit, within: Duration) -> Result<RouteState, CutoverError> {
        let session = unit.session("read the pools", within).await?;
        let pools = self.pools(&session).await;
        session.end().await;
        let pools = pools?;
        let routes = self.settings.routes.iter().zip(&pools);
        let fences: Vec<_> = pools.iter().map(fence).collect();
        Ok(RouteState {
            fence: fences.join("; ").into(),
            routes: routes.map(|(route, pool)| route.route(pool)).collect(),
            documents: Vec::new(),
        })
    }

    async fn pools(&self, session: &Session<'_>) -> Result<Vec<Value>, CutoverError> {
        let mut pools = Vec::new();
        for route in &self.settings.routes {
            let path = format!("{}?expandSubcollections=true", route.path());
            pools.push(session.get(&path).await?);
        }
        Ok(pools)
    }

    /// Whether another one of the group shows the same.
    async fn other(&self, unit: &Unit, now: &RouteState, within: Duration) -> Finding {
        let (id, check) = (&self.settings.id, "f5-others");
        match self.look_at(unit, within).await {
            Err(error) => Finding::of_error(id, check, &error),
            Ok(own) if own.routes == now.routes => Finding::pass(id, check),
            Ok(_) => {
                let seen = format!("{} shows other routes.", unit.api.at());
                let advice = "See that its DNS synchronization group works, and has both.";
                Finding::fail(id, check, &seen, advice)
            }
        }
    }
}

#[async_trait]
impl Product for BigIp {
    type Details = ();

    const REACHED: &'static str = "f5-reached";
    const ROUTE: (&'static str, &'static str) =
        ("f5-pool", "Enable the member of one site by hand.");

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "f5",
            at: self.unit.api.at().to_owned(),
            layer: Layer::Dns,
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
        let api = &self.unit.api;
        vec![api.key_finding(&self.settings.id, "f5-password")]
    }

    async fn findings(&self, now: &Looked<()>, within: Duration) -> Vec<Finding> {
        let mut findings = Vec::new();
        for unit in &self.others {
            findings.push(self.other(unit, &now.state, within).await);
        }
        findings
    }

    async fn look(&self, within: Duration) -> Result<Looked<()>, CutoverError> {
        Ok(self.look_at(&self.unit, within).await?.into())
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let routes = self.settings.routes.iter();
        plan_to_site(seen, to, routes.map(|route| (&route.name, &route.sites)))
    }

    async fn write(
        &self,
        order: &Order<'_, ()>,
        within: Duration,
    ) -> Result<Written<()>, CutoverError> {
        let routes = self.settings.routes.iter();
        let commands = routes.flat_map(|route| route.commands(order.changes));
        let session = self.unit.session("change the pools", within).await?;
        let written = session.transact(commands.collect()).await;
        session.end().await;
        written
    }

    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        for unit in once(&self.unit).chain(&self.others) {
            let (now, at) = (self.look_at(unit, within).await?, unit.api.at());
            if now.held(changes) != Held::After {
                return Ok(Look::NotYet(format!("{at} does not show the change.")));
            }
        }
        let at = self.unit.api.at();
        Ok(Look::Settled(match self.others.len() {
            0 => format!("{at} shows the change."),
            others => format!("{at} shows the change, and so do {others} others of its group."),
        }))
    }
}
