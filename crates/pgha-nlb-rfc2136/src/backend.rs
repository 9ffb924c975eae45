//! The backend itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::TSigner;
use pgha_dns::{BadRecords, Record, lifetimes, plan_records, wanted};
use pgha_nlb::plan::conflict;
use pgha_nlb::state::{Document, Held};
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Look, Looked,
    Order, Preparation, Problem, Product, Refusal, RouteState, SiteName, Written,
};

use crate::Settings;
use crate::update::{Said, Swap, rehearsal, send, swaps};
use crate::wire::{Failed, within};
use crate::zone::{Zone, lifetimes_of};

const UPDATE: &str = "update the records";
const KEY: &str = "See that key name, secret and algorithm are the primary's, that the clocks agree, and that its policy lets \
     the key change these names.";

/// The time in seconds since 1970, which a signature holds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// One zone, changed at its primary.
#[derive(Clone)]
pub struct Rfc2136 {
    settings: Settings,
    clock: Clock,
}

impl fmt::Debug for Rfc2136 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rfc2136").field(&self.settings).finish()
    }
}

impl Rfc2136 {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// A record outside the zone, or routes that contradict each other.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings::new(&settings.id, because);
        settings.check().map_err(bad)?;
        Ok(Self { settings, clock })
    }

    fn primary(&self) -> &str {
        &self.settings.primary
    }

    fn state(&self, zone: &Zone) -> RouteState {
        let routes = self.settings.routes.iter();
        RouteState {
            fence: zone.fence(),
            routes: routes.map(|route| zone.route(route)).collect(),
            documents: vec![Document {
                name: format!("zone {}", self.settings.zone),
                bytes: zone.text().into_bytes(),
            }],
        }
    }

    fn error(&self, problem: Problem) -> CutoverError {
        CutoverError::new(UPDATE, self.primary(), problem, KEY)
    }

    /// What the changes make of the zone: each type keeps its lifetime, and a new one has the shortest of the name.
    fn swaps(&self, changes: &[Change], zone: &Zone) -> Result<Vec<Swap>, BadRecords> {
        let wanted = wanted(changes, &self.settings.routes)?.into_iter();
        let swaps = wanted.map(|(name, wanted)| {
            let seen = zone.seen(&name);
            let lifetimes = wanted.lifetimes.unwrap_or_else(|| lifetimes_of(&seen));
            let shortest = seen.values().copied().min().unwrap_or(self.settings.ttl);
            let with = |data: &Record| {
                let ttl = lifetimes.of(data.kind()).unwrap_or(shortest);
                (data.clone(), ttl)
            };
            let records = wanted.records.unwrap_or_else(|| zone.records(&name));
            let wanted = records.iter().map(with).collect();
            Swap { name, seen, wanted }
        });
        Ok(swaps.collect())
    }

    fn signer(&self) -> Result<TSigner, CutoverError> {
        let signer = self.settings.key.signer();
        signer.map_err(|seen| self.error(Problem::Unfit { seen }))
    }

    async fn send(
        &self,
        message: Result<Message, Failed>,
        signer: &TSigner,
        time: Duration,
    ) -> Result<Said, CutoverError> {
        let now = (self.clock)();
        within(time, UPDATE, self.primary(), async {
            send(self.primary(), message?, signer, now).await
        })
        .await
    }

    async fn key_finding(&self, zone: &Zone, time: Duration) -> Finding {
        let pairs = zone.names.iter().map(|(name, seen)| Swap {
            name: name.clone(),
            seen: seen.clone(),
            wanted: seen.clone(),
        });
        let pairs: Vec<_> = pairs.collect();
        let rehearsal = rehearsal(&self.settings.zone, &pairs);
        let sent = match self.signer() {
            Ok(signer) => self.send(rehearsal, &signer, time).await,
            Err(error) => Err(error),
        };
        let id = &self.settings.id;
        let fail = |seen: &str| Finding::fail(id, "dns-key", seen, KEY);
        match sent {
            Ok(Said::Unmet(ResponseCode::YXDomain)) => Finding::pass(id, "dns-key"),
            Ok(Said::Done) => fail("The primary takes an update whose precondition does not hold."),
            Ok(Said::Unmet(code)) => fail(&format!("The primary says {code} to a precondition.")),
            Ok(Said::Denied(said)) => fail(&self.error(Problem::Denied { said }).to_string()),
            Err(error) => fail(&error.to_string()),
        }
    }

    async fn nameserver_findings(&self, zone: &Zone, time: Duration) -> Vec<Finding> {
        let (id, check) = (&self.settings.id, "dns-nameservers");
        if self.settings.nameservers.is_empty() {
            let seen = "Only the primary is asked, and users may be answered by other nameservers.";
            let advice = "Name each of the zone's nameservers in `nameservers`.";
            return vec![Finding::warn(id, check, seen, advice)];
        }
        let mut findings = Vec::new();
        for server in &self.settings.nameservers {
            findings.push(match Zone::look(&self.settings, server, time).await {
                Ok(other) if other.names == zone.names => continue,
                Ok(other) => {
                    let (own, primary) = (other.serial, zone.serial);
                    let seen = format!("{server} answers otherwise: serial {own}, not {primary}.");
                    let advice =
                        "See that the primary notifies it, and that it may transfer the zone.";
                    Finding::warn(id, check, &seen, advice)
                }
                Err(error) => {
                    let advice =
                        "Bring it back, or take it out of `nameservers`: a move waits for each.";
                    Finding::fail(id, check, &error.to_string(), advice)
                }
            });
        }
        if findings.is_empty() {
            findings.push(Finding::pass(id, check));
        }
        findings
    }
}

#[async_trait]
impl Product for Rfc2136 {
    type Details = Zone;

    const REACHED: &'static str = "dns-server";
    const ROUTE: (&'static str, &'static str) = ("dns-record", "Put the records in order by hand.");

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "rfc2136",
            at: format!("{} at {}", self.settings.zone, self.primary()),
            layer: Layer::Dns,
            capabilities: Capabilities {
                compare_and_swap: true,
                atomic: true,
                persistent: true,
                needs_reload: false,
            },
            settles_in: Duration::from_secs(self.settings.ttl.into()),
        }
    }

    fn at(&self) -> String {
        self.primary().to_owned()
    }

    async fn findings(&self, now: &Looked<Zone>, within: Duration) -> Vec<Finding> {
        // A move keeps the lifetimes.
        let ttl = lifetimes::finding(&self.settings.id, "dns-ttl", &now.state, 0);
        let mut findings = vec![ttl, self.key_finding(&now.details, within).await];
        findings.extend(self.nameserver_findings(&now.details, within).await);
        findings
    }

    async fn look(&self, within: Duration) -> Result<Looked<Zone>, CutoverError> {
        let zone = Zone::look(&self.settings, self.primary(), within).await?;
        Ok(Looked {
            state: self.state(&zone),
            details: zone,
        })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        plan_records(seen, to, &self.settings.routes)
    }

    async fn write(
        &self,
        order: &Order<'_, Zone>,
        within: Duration,
    ) -> Result<Written<Zone>, CutoverError> {
        let signer = self.signer()?;
        let pairs = self.swaps(order.changes, &order.seen.details);
        let pairs = pairs.map_err(|error| {
            let seen = error.to_string();
            self.error(Problem::Unfit { seen })
        })?;
        let message = swaps(&self.settings.zone, &pairs);
        Ok(match self.send(message, &signer, within).await {
            Ok(Said::Done) => Written::Taken(Vec::new()),
            Ok(Said::Unmet(_)) => {
                let (seen, now) = (&order.seen.state, self.look(within).await?.state);
                return Err(conflict(&seen.fence, &now.fence, UPDATE, self.primary()));
            }
            Ok(Said::Denied(said)) => Written::Denied(self.error(Problem::Denied { said })),
            Err(error) => Written::Lost(error),
        })
    }

    fn evidence(&self, order: Option<&Order<'_, Zone>>, now: &Looked<Zone>) -> Vec<String> {
        let (primary, serial) = (self.primary(), now.details.serial);
        let answers = format!("{primary} answers so, serial {serial}.");
        [answers]
            .into_iter()
            .chain(order.map(lifetimes::remembered))
            .collect()
    }

    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        let (primary, others) = (&self.settings.primary, self.settings.nameservers.iter());
        let mut servers = vec![primary.as_str()];
        servers.extend(others.filter(|it| *it != primary).map(String::as_str));
        for server in &servers {
            let zone = Zone::look(&self.settings, server, within).await?;
            if self.state(&zone).held(changes) != Held::After {
                let serial = zone.serial;
                return Ok(Look::NotYet(format!(
                    "{server} does not answer with the change, serial {serial}."
                )));
            }
        }
        let servers = servers.join(", ");
        Ok(Look::Settled(format!("{servers} answer with the change.")))
    }

    async fn to_prepare(&self, within: Duration) -> Result<Preparation, CutoverError> {
        let seen = self.look(within).await?.state;
        let (id, ttl) = (&self.settings.id, self.settings.ttl);
        Ok(lifetimes::preparation(id, self.primary(), &seen, ttl))
    }
}
