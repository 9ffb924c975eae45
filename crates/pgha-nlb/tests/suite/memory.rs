//! A backend in memory with faults that are switched on. It is for the tests of the suite itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use pgha_model::effect::Effect;
use pgha_nlb::conformance::Peer;
use pgha_nlb::plan::{Gate, gate, plan_changes};
use pgha_nlb::state::Held;
use pgha_nlb::{
    Active, BackendId, Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Fence,
    Finding, Layer, Look, Place, Plan, Preparation, Problem, Receipt, Refusal, Route, RouteState,
    SiteName, SiteValues, diff,
};

/// The row that a preparation changes.
const TTL: &str = "ttl";

pub(crate) const PASSWORD: &str = "hunter2-but-longer";

/// What the backend does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// A look is a write.
    LooksWrite,
    /// It says that it applied, and does not.
    AppliesNothing,
    /// It forgets the second route.
    MovesOneRoute,
    /// It never says that a change has settled.
    NeverSettles,
    /// A plan always changes something.
    PlansAlways,
    /// A rollback leaves a note behind.
    RollsBackNearly,
    /// The receipt does not hold what a rollback needs.
    ForgetsChanges,
    /// A repeated apply writes again.
    AppliesTwice,
    /// Nobody looks at the fence on the way there.
    IgnoresFence,
    /// Nobody looks at the fence on the way back.
    IgnoresFenceBack,
    /// Of two values the first counts.
    TakesFirst,
    /// A value that is no site's is the site before.
    GuessesSite,
    /// A site without a value is called by its own name.
    GuessesValue,
    /// A preparation moves the users.
    PreparesByMoving,
    /// The password is in the plan.
    TellsInPlan,
    /// The password is in the receipt.
    TellsInReceipt,
    /// The password is in a message.
    TellsInError,
    /// An apply is refused.
    Denies,
    /// An apply goes through, and its answer is lost.
    LosesAnswer,
    /// An apply has no answer, and may take hold later.
    Dawdles,
    /// The answer of an apply is lost, and nobody can be asked after it.
    Vanishes,
    /// A rollback is refused.
    DeniesRollback,
}

/// The table that a product would have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: BTreeMap<String, Vec<String>>,
    pub(crate) writes: u64,
    pub(crate) is_gone: bool,
}

#[derive(Clone)]
pub(crate) struct Memory {
    id: BackendId,
    pub(crate) table: Arc<Mutex<Table>>,
    fault: Fault,
    sites: SiteValues,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({})", self.id)
    }
}

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

impl Memory {
    pub(crate) fn new(id: &str, fault: Fault) -> Self {
        let rows = [("https", "b-be"), ("http", "b-be"), (TTL, "300")]
            .map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
        let table = Table {
            rows: rows.into(),
            ..Table::default()
        };
        let pair = |name: &str| (site(name), format!("{name}-be"));
        Self {
            id: BackendId::from(id),
            table: Arc::new(Mutex::new(table)),
            fault,
            sites: SiteValues::new([pair("a"), pair("b")]).unwrap(),
        }
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap()
    }

    pub(crate) fn values(&self) -> Vec<String> {
        let table = self.table();
        ["https", "http"]
            .iter()
            .flat_map(|key| table.rows[*key].clone())
            .collect()
    }

    fn seen(&self) -> RouteState {
        let table = self.table();
        let routes = ["https", "http"].map(|name| {
            let values = &table.rows[name];
            let mut places: Vec<Place> = values
                .iter()
                .enumerate()
                .map(|(number, value)| Place {
                    at: format!("{name} {number}"),
                    value: value.clone(),
                })
                .collect();
            if self.fault == Fault::TakesFirst {
                places.truncate(1);
            }
            let mut route = Route::of_places(&name.into(), places, &self.sites);
            if self.fault == Fault::GuessesSite && matches!(route.active, Active::Unknown { .. }) {
                route.active = Active::Site(site("b"));
            }
            route
        });
        RouteState {
            fence: Fence::from(format!("{:?}", table.rows)),
            routes: routes.into(),
            documents: Vec::new(),
        }
    }

    fn write(&self, changes: &[Change]) {
        let mut table = self.table();
        table.writes += 1;
        for change in changes {
            let values = table.rows.get_mut(change.route.as_str()).unwrap();
            *values = vec![change.to.clone()];
        }
    }

    fn error(&self, tried: &'static str, problem: Problem, effect: Effect) -> CutoverError {
        CutoverError::new(tried, self.id.as_str(), problem, "Look.").leaving(effect)
    }

    fn denied(&self, tried: &'static str) -> CutoverError {
        let said = "no".to_owned();
        self.error(tried, Problem::Denied { said }, Effect::None)
    }

    fn receipt(&self, did: Did, changes: &[Change]) -> Receipt {
        let forgets = self.fault == Fault::ForgetsChanges;
        let secret = (self.fault == Fault::TellsInReceipt).then(|| PASSWORD.to_owned());
        Receipt {
            backend: self.id.clone(),
            did,
            changes: if forgets {
                Vec::new()
            } else {
                changes.to_vec()
            },
            fence: self.seen().fence,
            evidence: secret.into_iter().collect(),
        }
    }

    fn lost(&self) -> CutoverError {
        let within = Duration::from_secs(1);
        self.error("apply", Problem::NoAnswer { within }, Effect::Unknown)
    }
}

#[async_trait]
impl Cutover for Memory {
    fn describe(&self) -> Descriptor {
        Descriptor {
            id: self.id.clone(),
            kind: "memory",
            at: "here".to_owned(),
            layer: Layer::Outside,
            capabilities: Capabilities {
                compare_and_swap: true,
                atomic: true,
                persistent: false,
                needs_reload: false,
            },
            settles_in: Duration::ZERO,
        }
    }

    async fn preflight(&self, _within: Duration) -> Vec<Finding> {
        vec![Finding::pass(&self.id, "memory")]
    }

    async fn observe(&self, _within: Duration) -> Result<RouteState, CutoverError> {
        if self.table().is_gone {
            return Err(self.error("observe", Problem::Unreachable, Effect::None));
        }
        if self.fault == Fault::LooksWrite {
            self.table().writes += 1;
        }
        Ok(self.seen())
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let guess = (self.fault == Fault::GuessesValue).then(|| to.to_string());
        let value = self.sites.value(to).map(str::to_owned).or(guess);
        let mut changes = plan_changes(seen, to, |_| value.clone())?;
        if self.fault == Fault::PlansAlways && changes.is_empty() {
            changes.push(Change {
                route: "https".into(),
                at: "https 0".to_owned(),
                from: "b-be".to_owned(),
                to: value.clone().unwrap_or_default(),
            });
        }
        let show = |side: fn(&Change) -> &String| {
            let lines = changes
                .iter()
                .map(|change| format!("{} {}\n", change.at, side(change)));
            lines.collect::<String>().into_bytes()
        };
        let secret = (self.fault == Fault::TellsInPlan).then(|| PASSWORD.to_owned());
        Ok(Plan {
            backend: self.id.clone(),
            to: to.clone(),
            fence: seen.fence.clone(),
            diff: diff::unified(
                "table",
                &show(|change| &change.from),
                &show(|change| &change.to),
            ),
            changes,
            warnings: secret.into_iter().collect(),
        })
    }

    async fn apply(&self, plan: &Plan, _within: Duration) -> Result<Receipt, CutoverError> {
        let seen = self.seen();
        let looks = if self.fault == Fault::IgnoresFence && seen.held(&plan.changes) != Held::After
        {
            Gate::Go
        } else {
            gate(&plan.changes, &plan.fence, &seen, "apply", "here")?
        };
        if looks == Gate::Done && (self.fault != Fault::AppliesTwice || plan.is_empty()) {
            return Ok(self.receipt(Did::Nothing, &plan.changes));
        }
        if self.fault == Fault::Denies {
            return Err(self.denied("apply"));
        }
        if self.fault == Fault::Vanishes {
            self.table().is_gone = true;
            return Err(self.lost());
        }
        if self.fault == Fault::Dawdles {
            return Err(self.lost());
        }
        if self.fault == Fault::MovesOneRoute {
            self.write(&plan.changes[..1]);
        } else if self.fault != Fault::AppliesNothing {
            self.write(&plan.changes);
        }
        if self.fault == Fault::LosesAnswer {
            return Err(self.lost());
        }
        Ok(self.receipt(Did::Change, &plan.changes))
    }

    async fn settled(&self, receipt: &Receipt, _within: Duration) -> Result<Look, CutoverError> {
        let is_there = self.seen().held(&receipt.changes) == Held::After;
        Ok(if is_there && self.fault != Fault::NeverSettles {
            Look::Settled("The table says so.".to_owned())
        } else {
            Look::NotYet("The table says something else.".to_owned())
        })
    }

    async fn rollback(
        &self,
        receipt: &Receipt,
        _within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        if self.fault == Fault::DeniesRollback {
            return Err(self.denied("rollback"));
        }
        if self.fault != Fault::IgnoresFenceBack {
            let seen = self.seen();
            match gate(&changes, &receipt.fence, &seen, "rollback", "here") {
                Ok(Gate::Done) => return Ok(self.receipt(Did::Nothing, &changes)),
                Ok(Gate::Go) => {}
                Err(mut error) => {
                    if self.fault == Fault::TellsInError {
                        error.at = PASSWORD.into();
                    }
                    return Err(error);
                }
            }
        }
        self.write(&changes);
        if self.fault == Fault::RollsBackNearly {
            let row = ("note".to_owned(), vec!["x".to_owned()]);
            self.table().rows.extend([row]);
        }
        Ok(self.receipt(Did::Change, &changes))
    }

    async fn preparation(&self, _within: Duration) -> Result<Preparation, CutoverError> {
        let [from] = &self.table().rows[TTL][..] else {
            panic!("one value");
        };
        let change = Change {
            route: "https".into(),
            at: TTL.to_owned(),
            from: from.clone(),
            to: "30".to_owned(),
        };
        let changes = if change.from == change.to {
            Vec::new()
        } else {
            vec![change]
        };
        let fence = Fence::from(from.as_str());
        let remembers_for = Duration::from_secs(from.parse().unwrap());
        Ok(Preparation::of_changes(
            &self.id,
            "here",
            fence,
            changes,
            remembers_for,
        ))
    }

    async fn prepare(
        &self,
        preparation: &Preparation,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        if self.fault == Fault::Denies {
            return Err(self.denied("prepare"));
        }
        if self.preparation(within).await?.is_empty() {
            return Ok(preparation.nothing_done());
        }
        self.table()
            .rows
            .insert(TTL.to_owned(), vec!["30".to_owned()]);
        if self.fault == Fault::PreparesByMoving {
            self.table()
                .rows
                .insert("https".to_owned(), vec!["a-be".to_owned()]);
        }
        Ok(self.receipt(Did::Change, &preparation.changes))
    }
}

#[async_trait]
impl Peer for Memory {
    fn backend(&self) -> &dyn Cutover {
        self
    }

    fn home(&self) -> SiteName {
        site("b")
    }

    fn away(&self) -> SiteName {
        site("a")
    }

    async fn bytes(&self) -> Vec<u8> {
        format!("{:?}", self.table().rows).into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        Some(self.table().writes)
    }

    async fn disturb(&self) {
        let row = ("another".to_owned(), vec!["b-be".to_owned()]);
        self.table().rows.extend([row]);
    }

    async fn split(&self) {
        let mut table = self.table();
        let values = table.rows.get_mut("http").unwrap();
        values.push("a-be".to_owned());
    }

    async fn blind(&self) {
        let row = ("http".to_owned(), vec!["maintenance".to_owned()]);
        self.table().rows.extend([row]);
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}
