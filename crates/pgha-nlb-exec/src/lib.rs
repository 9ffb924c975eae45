//! Moves users by a program of the site's own, for products that pgha does not know.
//!
//! The program gets one JSON document on its input and writes one to its output; `docs/traffic-exec.md` describes both. What it
//! says is not believed: after a change it is asked again where the routes lead. It finds its own credentials; pgha gives it
//! none.

mod protocol;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use pgha_model::effect::Effect;
use pgha_nlb::plan::{Gate, conflict, gate, plan_to_site};
use pgha_nlb::state::Held;
use pgha_nlb::text::one_line;
use pgha_nlb::{
    BackendId, Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Fence, Finding, Layer,
    Look, Place, Plan, Problem, Receipt, Refusal, Route, RouteName, RouteState, SiteName,
    SiteValues,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::protocol::{Changed, Observed, Operation, Outcome, Request, VERSION};

/// More than this is no answer, in bytes.
const LARGEST_ANSWER: u64 = 1024 * 1024;

/// The program and what it is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// The program and its arguments. Never a secret: arguments are seen by everybody on the machine.
    pub program: Vec<String>,
    /// The routes.
    pub routes: Vec<RouteSettings>,
    /// Whether the product compares the fence and writes in one step.
    #[serde(default)]
    pub compares_and_swaps: bool,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name, which the program knows.
    pub name: RouteName,
    /// What the program calls each site.
    pub sites: SiteValues,
}

/// Settings that no backend can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("traffic backend {id}: {because}")]
pub struct BadSettings {
    /// The backend.
    pub id: BackendId,
    /// What is wrong.
    pub because: &'static str,
}

/// A program of the site's own.
#[derive(Clone, Debug)]
pub struct Exec {
    settings: Settings,
}

impl Exec {
    /// A backend; runs nothing.
    ///
    /// # Errors
    /// There is no program, or two routes have one name.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let id = settings.id.clone();
        if settings.program.first().is_none_or(String::is_empty) {
            let because = "it names no program";
            return Err(BadSettings { id, because });
        }
        let names: BTreeSet<_> = settings.routes.iter().map(|route| &route.name).collect();
        if names.len() != settings.routes.len() {
            let because = "two of its routes have the same name";
            return Err(BadSettings { id, because });
        }
        Ok(Self { settings })
    }

    fn program(&self) -> &str {
        self.settings.program.first().map_or("", String::as_str)
    }

    fn error(&self, tried: &'static str, problem: Problem) -> CutoverError {
        let next = "Run the program by hand with the same input: docs/traffic-exec.md says which.";
        CutoverError::new(tried, self.program(), problem, next)
    }

    /// Runs the program to its end. An error says nothing of what it changed: its effect is none.
    async fn run<T: DeserializeOwned>(
        &self,
        operation: Operation,
        fence: Option<&Fence>,
        changes: &[Change],
        within: Duration,
    ) -> Result<T, CutoverError> {
        let tried = match operation {
            Operation::Observe => "observe the routes",
            Operation::Change => "change the routes",
        };
        let request = Request {
            version: VERSION,
            operation,
            routes: self
                .settings
                .routes
                .iter()
                .map(|route| &route.name)
                .collect(),
            fence,
            changes,
        };
        let unfit = |seen: String| self.error(tried, Problem::Unfit { seen });
        let input = serde_json::to_vec(&request).map_err(|error| unfit(error.to_string()))?;
        let exchange = tokio::time::timeout(within, self.exchange(&input));
        let (output, said) = match exchange.await {
            Err(_elapsed) => return Err(self.error(tried, Problem::NoAnswer { within })),
            Ok(Err(cause)) => return Err(self.error(tried, Problem::Unreachable).caused_by(cause)),
            Ok(Ok(Ended::Badly(said))) => return Err(self.error(tried, Problem::Denied { said })),
            Ok(Ok(Ended::Well { output, said })) => (output, said),
        };
        serde_json::from_slice(&output).map_err(|error| {
            let said = if said.is_empty() {
                String::new()
            } else {
                format!("; it said: {said}")
            };
            unfit(format!("its answer is none of {VERSION}: {error}{said}"))
        })
    }

    async fn exchange(&self, input: &[u8]) -> std::io::Result<Ended> {
        let mut command = Command::new(self.program());
        command.args(self.settings.program.iter().skip(1));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin.take() {
                // A program that ends without reading its input says why elsewhere.
                drop(stdin.write_all(input).await);
            }
        };
        let (mut output, mut said) = (Vec::new(), Vec::new());
        let read = async {
            if let Some(stdout) = stdout {
                stdout.take(LARGEST_ANSWER).read_to_end(&mut output).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let listen = async {
            if let Some(stderr) = stderr {
                stderr.take(LARGEST_ANSWER).read_to_end(&mut said).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let ((), read, listened) = tokio::join!(write, read, listen);
        read.and(listened)?;
        let status = child.wait().await?;
        let said = one_line(&String::from_utf8_lossy(&said));
        Ok(if status.success() {
            Ended::Well { output, said }
        } else {
            Ended::Badly(format!("{status} {said}"))
        })
    }

    /// Lets the program make changes, and says by what it observes afterwards how that ended.
    async fn change(
        &self,
        changes: &[Change],
        fence: &Fence,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let tried = "change the routes";
        let answer = self
            .run::<Changed>(Operation::Change, Some(fence), changes, within)
            .await;
        let answer = answer.and_then(|answer| {
            self.version(tried, &answer.version)?;
            Ok(answer)
        });
        let (evidence, error) = match answer {
            Ok(Changed {
                outcome: Outcome::Done,
                evidence,
                ..
            }) => (evidence, None),
            Ok(Changed {
                outcome: Outcome::Conflict { fence: seen },
                ..
            }) => {
                return Err(conflict(fence, &seen, tried, self.program()));
            }
            Ok(Changed {
                outcome: Outcome::Refused { because },
                ..
            }) => {
                return Err(self.error(tried, Problem::Denied { said: because }));
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        let after = self
            .observe(within)
            .await
            .map_err(|error| error.leaving(Effect::Unknown))?;
        if after.held(changes) == Held::After {
            return Ok(self.receipt(Did::Change, changes, &after, &evidence));
        }
        let error = error.unwrap_or_else(|| {
            let seen = "it says that all is done, and does not observe it".to_owned();
            self.error(tried, Problem::Unfit { seen })
        });
        Err(error.leaving(Effect::Unknown))
    }

    fn version(&self, tried: &'static str, version: &str) -> Result<(), CutoverError> {
        if version == VERSION {
            return Ok(());
        }
        let seen = format!("it answers in {version}, not in {VERSION}");
        Err(self.error(tried, Problem::Unfit { seen }))
    }

    fn receipt(
        &self,
        did: Did,
        changes: &[Change],
        seen: &RouteState,
        evidence: &[String],
    ) -> Receipt {
        Receipt {
            backend: self.settings.id.clone(),
            did,
            changes: changes.to_vec(),
            fence: seen.fence.clone(),
            evidence: evidence.iter().map(|line| one_line(line)).collect(),
        }
    }
}

fn route_of(route: &RouteSettings, seen: &mut Observed) -> Route {
    let Some(at) = seen.routes.iter().position(|seen| seen.name == route.name) else {
        return Route::unknown(&route.name, "The program does not tell it.");
    };
    let places = seen.routes.remove(at).places.into_iter().map(Place::from);
    Route::of_places(&route.name, places.collect(), &route.sites)
}

enum Ended {
    Well { output: Vec<u8>, said: String },
    Badly(String),
}

#[async_trait]
impl Cutover for Exec {
    fn describe(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "exec",
            at: self.program().to_owned(),
            layer: Layer::Outside,
            capabilities: Capabilities {
                compare_and_swap: self.settings.compares_and_swaps,
                atomic: false,
                persistent: true,
                needs_reload: false,
            },
            settles_in: Duration::from_secs(30),
        }
    }

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        match self.observe(within).await {
            Err(error) => vec![Finding::of_error(id, "exec-answers", &error)],
            Ok(seen) => {
                let mut findings = vec![Finding::pass(id, "exec-answers")];
                let advice = "Put the route in order by hand.";
                let finding = |route| Finding::of_route(id, "exec-route", route, advice);
                findings.extend(seen.routes.iter().map(finding));
                findings
            }
        }
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        let mut seen: Observed = self.run(Operation::Observe, None, &[], within).await?;
        self.version("observe the routes", &seen.version)?;
        let routes = self
            .settings
            .routes
            .iter()
            .map(|route| route_of(route, &mut seen));
        Ok(RouteState {
            routes: routes.collect(),
            fence: seen.fence,
            documents: Vec::new(),
        })
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let routes = self.settings.routes.iter();
        let routes = routes.map(|route| (&route.name, &route.sites));
        let changes = plan_to_site(seen, to, routes)?;
        let (id, at) = (&self.settings.id, self.program());
        Ok(Plan::of_changes(id, at, seen, to, changes))
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        let seen = self.observe(within).await?;
        match gate(
            &plan.changes,
            &plan.fence,
            &seen,
            "apply the plan",
            self.program(),
        )? {
            Gate::Done => Ok(self.receipt(Did::Nothing, &plan.changes, &seen, &[])),
            Gate::Go => self.change(&plan.changes, &plan.fence, within).await,
        }
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        let seen = self.observe(within).await?;
        Ok(match seen.held(&receipt.changes) {
            Held::After => Look::Settled(format!("{} observes the change.", self.program())),
            Held::Before | Held::Neither => {
                Look::NotYet(format!("{} does not observe the change.", self.program()))
            }
        })
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        let seen = self.observe(within).await?;
        match gate(&changes, &receipt.fence, &seen, "roll back", self.program())? {
            Gate::Done => Ok(self.receipt(Did::Nothing, &changes, &seen, &[])),
            Gate::Go => self.change(&changes, &receipt.fence, within).await,
        }
    }
}
