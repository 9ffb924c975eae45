//! The backend itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, ResponseCode};
use pgha_dns::{BadSettings, Kind, Record, Records};
use pgha_model::effect::Effect;
use pgha_nlb::plan::{Gate, conflict, gate, plan_to_site};
use pgha_nlb::state::{Document, Held};
use pgha_nlb::{
    Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Fence, Finding, Layer, Look,
    Plan, Preparation, Problem, Receipt, Refusal, RouteState, SiteName,
};

use crate::Settings;
use crate::update::{Said, Swap, rehearsal, send, swaps};
use crate::wire::{Failed, within};
use crate::zone::{Seen, Zone};

/// Users wait as long as a lifetime for a move; over this it is worth a warning, in seconds.
const LONG: u32 = 60;
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
        settings.check()?;
        Ok(Self { settings, clock })
    }

    fn primary(&self) -> &str {
        &self.settings.primary
    }

    async fn look(&self, time: Duration) -> Result<Zone, CutoverError> {
        Zone::look(&self.settings, self.primary(), time).await
    }

    fn state(&self, zone: &Zone) -> RouteState {
        let routes = self.settings.routes.iter();
        RouteState {
            fence: zone.fence(),
            routes: routes
                .map(|route| route.leading(&zone.records(&route.record)))
                .collect(),
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
    fn wanted(&self, changes: &[Change], zone: &Zone) -> Result<Vec<Swap>, CutoverError> {
        let mut wanted = BTreeMap::new();
        for change in changes {
            let unfit = |seen| self.error(Problem::Unfit { seen });
            let to = change.to.parse::<Records>();
            let to = to.map_err(|error| unfit(error.to_string()))?;
            let route = self
                .settings
                .routes
                .iter()
                .find(|route| route.name == change.route);
            let route =
                route.ok_or_else(|| unfit(format!("there is no route {}", change.route)))?;
            let seen = zone.seen(&route.record);
            let shortest = seen.values().copied().min().unwrap_or(self.settings.ttl);
            let ttl = |data: &Record| {
                let mut same = seen.iter().filter(|(other, _)| other.kind() == data.kind());
                same.next().map_or(shortest, |(_, ttl)| *ttl)
            };
            let to: Seen = to.iter().map(|data| (data.clone(), ttl(data))).collect();
            wanted.insert(route.record.clone(), (seen.clone(), to));
        }
        let swaps = wanted
            .into_iter()
            .map(|(name, (seen, wanted))| Swap { name, seen, wanted });
        Ok(swaps.collect())
    }

    async fn send(
        &self,
        message: Result<Message, Failed>,
        time: Duration,
    ) -> Result<Said, CutoverError> {
        let signer = self.settings.key.signer();
        let signer = signer.map_err(|seen| self.error(Problem::Unfit { seen }))?;
        let now = (self.clock)();
        within(time, UPDATE, self.primary(), async {
            send(self.primary(), message?, &signer, now).await
        })
        .await
    }

    /// Makes swaps in one message, and says by what the primary answers afterwards how that ended. The second is evidence.
    async fn swap(
        &self,
        fence: &Fence,
        pairs: &[Swap],
        time: Duration,
    ) -> Result<(Zone, Option<String>), CutoverError> {
        if let Err(seen) = self.settings.key.signer() {
            return Err(self.error(Problem::Unfit { seen }));
        }
        let sent = self.send(swaps(&self.settings.zone, pairs), time).await;
        if let Ok(Said::Unmet(_)) = sent {
            let now = self.look(time).await?;
            return Err(conflict(fence, &now.fence(), UPDATE, self.primary()));
        }
        let after = self
            .look(time)
            .await
            .map_err(|error| error.leaving(Effect::Unknown))?;
        let says = |side: fn(&Swap) -> &Seen| {
            pairs
                .iter()
                .all(|pair| after.seen(&pair.name) == *side(pair))
        };
        let error = match sent {
            _ if says(|pair| &pair.wanted) => {
                let lost = "Its answer was lost; the zone was looked at afterwards.".to_owned();
                return Ok((after, (!matches!(sent, Ok(Said::Done))).then_some(lost)));
            }
            Ok(Said::Denied(said)) if says(|pair| &pair.seen) => {
                return Err(self.error(Problem::Denied { said }));
            }
            Ok(Said::Denied(said)) => self.error(Problem::Denied { said }),
            Ok(Said::Done | Said::Unmet(_)) => {
                let seen = "it took the update and does not answer with it".to_owned();
                self.error(Problem::Unfit { seen })
            }
            Err(error) => error,
        };
        Err(error.leaving(Effect::Unknown))
    }

    async fn change(
        &self,
        fence: &Fence,
        (changes, zone): (&[Change], &Zone),
        time: Duration,
    ) -> Result<Receipt, CutoverError> {
        let pairs = self.wanted(changes, zone)?;
        let (after, lost) = self.swap(fence, &pairs, time).await?;
        let ttl = pairs.iter().flat_map(|pair| pair.seen.values()).max();
        let ttl = ttl.copied().unwrap_or_default();
        let mut receipt = self.receipt(Did::Change, changes, &after);
        receipt.evidence.push(format!(
            "Resolvers may give the old records for up to {ttl} s."
        ));
        receipt.evidence.extend(lost);
        Ok(receipt)
    }

    fn receipt(&self, did: Did, changes: &[Change], zone: &Zone) -> Receipt {
        Receipt {
            backend: self.settings.id.clone(),
            did,
            changes: changes.to_vec(),
            fence: zone.fence(),
            evidence: vec![format!(
                "{} answers so, serial {}.",
                self.primary(),
                zone.serial
            )],
        }
    }

    /// The names whose lifetime is longer than it shall be, with a change for each of their types.
    fn lowered(&self, zone: &Zone) -> (Vec<Swap>, Vec<Change>) {
        let (mut pairs, mut changes) = (Vec::new(), Vec::new());
        let to = self.settings.ttl;
        for (name, seen) in &zone.names {
            let Some(route) = self
                .settings
                .routes
                .iter()
                .find(|route| route.record == *name)
            else {
                continue;
            };
            for kind in Kind::ALL {
                let ttls = seen.iter().filter(|(data, _)| data.kind() == kind);
                let from = ttls.map(|(_, ttl)| *ttl).max().unwrap_or_default();
                if from > to {
                    changes.push(Change {
                        route: route.name.clone(),
                        at: format!("TTL of {name} {kind}"),
                        from: from.to_string(),
                        to: to.to_string(),
                    });
                }
            }
            let wanted: Seen = seen
                .iter()
                .map(|(data, ttl)| (data.clone(), to.min(*ttl)))
                .collect();
            if wanted != *seen {
                let (name, seen) = (name.clone(), seen.clone());
                pairs.push(Swap { name, seen, wanted });
            }
        }
        (pairs, changes)
    }

    fn preparation_of(&self, zone: &Zone) -> Preparation {
        let (pairs, changes) = self.lowered(zone);
        let longest = pairs.iter().flat_map(|pair| pair.seen.values()).max();
        let longest = Duration::from_secs(longest.copied().unwrap_or_default().into());
        let (id, at) = (&self.settings.id, self.primary());
        Preparation::of_changes(id, at, zone.fence(), changes, longest)
    }

    async fn key_finding(&self, zone: &Zone, time: Duration) -> Finding {
        let pairs = zone.names.iter().map(|(name, seen)| Swap {
            name: name.clone(),
            seen: seen.clone(),
            wanted: seen.clone(),
        });
        let pairs: Vec<_> = pairs.collect();
        let sent = self
            .send(rehearsal(&self.settings.zone, &pairs), time)
            .await;
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
            match Zone::look(&self.settings, server, time).await {
                Ok(other) if other.names == zone.names => {}
                Ok(other) => {
                    let serials = (other.serial, zone.serial);
                    let seen = format!(
                        "{server} answers otherwise: serial {}, not {}.",
                        serials.0, serials.1
                    );
                    let advice =
                        "See that the primary notifies it, and that it may transfer the zone.";
                    findings.push(Finding::warn(id, check, &seen, advice));
                }
                Err(error) => {
                    let advice =
                        "Bring it back, or take it out of `nameservers`: a move waits for each.";
                    findings.push(Finding::fail(id, check, &error.to_string(), advice));
                }
            }
        }
        if findings.is_empty() {
            findings.push(Finding::pass(id, check));
        }
        findings
    }
}

#[async_trait]
impl Cutover for Rfc2136 {
    fn describe(&self) -> Descriptor {
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

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        let zone = match self.look(within).await {
            Ok(zone) => zone,
            Err(error) => {
                return vec![Finding::fail(
                    id,
                    "dns-server",
                    &error.to_string(),
                    &error.next,
                )];
            }
        };
        let mut findings = vec![Finding::pass(id, "dns-server")];
        let advice = "Put the records in order by hand.";
        let finding = |route| Finding::of_route(id, "dns-record", route, advice);
        findings.extend(self.state(&zone).routes.iter().map(finding));
        let ttl = zone.longest();
        findings.push(if ttl > LONG {
            let seen = format!(
                "Resolvers remember the records for up to {ttl} s: users arrive only after that."
            );
            let advice = "Lower it with `kubectl pgha traffic prepare`, that long before the move.";
            Finding::warn(id, "dns-ttl", &seen, advice)
        } else {
            Finding::pass(id, "dns-ttl")
        });
        findings.push(self.key_finding(&zone, within).await);
        findings.extend(self.nameserver_findings(&zone, within).await);
        findings
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        Ok(self.state(&self.look(within).await?))
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let routes = self.settings.routes.iter();
        let changes = plan_to_site(seen, to, routes.map(|route| (&route.name, &route.sites)))?;
        let is_alias = |text: &str| {
            text.parse::<Records>()
                .is_ok_and(|records| records.has(Kind::Cname))
        };
        if let Some(change) = changes
            .iter()
            .find(|it| is_alias(&it.from) != is_alias(&it.to))
        {
            return Err(Refusal::Unfit {
                route: change.route.clone(),
                seen: format!("{} would change between addresses and a CNAME.", change.at),
                advice: "Give each site of the route addresses, or each a CNAME.".to_owned(),
            });
        }
        Ok(Plan::of_changes(
            &self.settings.id,
            self.primary(),
            seen,
            to,
            changes,
        ))
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        let zone = self.look(within).await?;
        let (changes, at) = (&plan.changes, self.primary());
        match gate(
            changes,
            &plan.fence,
            &self.state(&zone),
            "apply the plan",
            at,
        )? {
            Gate::Done => Ok(self.receipt(Did::Nothing, changes, &zone)),
            Gate::Go => self.change(&plan.fence, (changes, &zone), within).await,
        }
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        let mut servers = vec![self.settings.primary.clone()];
        servers.extend(
            self.settings
                .nameservers
                .iter()
                .filter(|it| **it != self.settings.primary)
                .cloned(),
        );
        for server in &servers {
            let zone = Zone::look(&self.settings, server, within).await?;
            if self.state(&zone).held(&receipt.changes) != Held::After {
                let serial = zone.serial;
                return Ok(Look::NotYet(format!(
                    "{server} does not answer with the change, serial {serial}."
                )));
            }
        }
        Ok(Look::Settled(format!(
            "{} answer with the change.",
            servers.join(", ")
        )))
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        let zone = self.look(within).await?;
        match gate(
            &changes,
            &receipt.fence,
            &self.state(&zone),
            "roll back",
            self.primary(),
        )? {
            Gate::Done => Ok(self.receipt(Did::Nothing, &changes, &zone)),
            Gate::Go => self.change(&receipt.fence, (&changes, &zone), within).await,
        }
    }

    async fn preparation(&self, within: Duration) -> Result<Preparation, CutoverError> {
        Ok(self.preparation_of(&self.look(within).await?))
    }

    async fn prepare(
        &self,
        preparation: &Preparation,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let zone = self.look(within).await?;
        let (pairs, changes) = self.lowered(&zone);
        if preparation.is_empty() || changes.is_empty() {
            return Ok(self.receipt(Did::Nothing, &[], &zone));
        }
        if zone.fence() != preparation.fence {
            return Err(conflict(
                &preparation.fence,
                &zone.fence(),
                UPDATE,
                self.primary(),
            ));
        }
        let (after, lost) = self.swap(&preparation.fence, &pairs, within).await?;
        let mut receipt = self.receipt(Did::Change, &changes, &after);
        receipt.evidence.extend(lost);
        Ok(receipt)
    }
}
