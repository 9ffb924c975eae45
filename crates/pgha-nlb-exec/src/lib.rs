//! Moves users by a program of the site's own, for products that pgha does not know.
//!
//! The program gets one JSON document on its input and writes one to its output; `docs/traffic-exec.md` describes both. What it
//! says is not believed: after a change it is asked again where the routes lead. It finds its own credentials; pgha gives it
//! none.

mod protocol;

use std::io;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use pgha_nlb::plan::{conflict, plan_to_site};
use pgha_nlb::text::one_line;
use pgha_nlb::{
    BackendId, BadSettings, Capabilities, Change, CutoverError, Descriptor, Fence, Layer, Looked,
    Order, Place, Problem, Product, Refusal, Route, RouteSettings, RouteState, SiteName, Written,
    refuse_twins,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::protocol::{Changed, Observed, Operation, Outcome, Request, VERSION};

/// More than this is no answer, in bytes.
const LARGEST_ANSWER: u64 = 1024 * 1024;
const OBSERVE: &str = "observe the routes";
const CHANGE: &str = "change the routes";

/// The program and what it is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
        let bad = |because: String| BadSettings::new(&settings.id, because);
        if settings.program.first().is_none_or(String::is_empty) {
            return Err(bad("it names no program".to_owned()));
        }
        refuse_twins(settings.routes.iter().map(|route| &route.name)).map_err(bad)?;
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
            Operation::Observe => OBSERVE,
            Operation::Change => CHANGE,
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

    async fn exchange(&self, input: &[u8]) -> io::Result<Ended> {
        let mut command = Command::new(self.program());
        command.args(self.settings.program.iter().skip(1));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program that ends without reading its input says why elsewhere.
                drop(stdin.write_all(input).await);
            }
        };
        let ((), output, said) = tokio::join!(write, read(stdout), read(stderr));
        let (output, said) = (output?, said?);
        let status = child.wait().await?;
        let said = one_line(&String::from_utf8_lossy(&said));
        Ok(if status.success() {
            Ended::Well { output, said }
        } else {
            Ended::Badly(format!("{status} {said}"))
        })
    }

    fn version(&self, tried: &'static str, version: &str) -> Result<(), CutoverError> {
        if version == VERSION {
            return Ok(());
        }
        let seen = format!("it answers in {version}, not in {VERSION}");
        Err(self.error(tried, Problem::Unfit { seen }))
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(LARGEST_ANSWER).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
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
impl Product for Exec {
    type Details = ();

    const REACHED: &'static str = "exec-answers";
    const ROUTE: (&'static str, &'static str) = ("exec-route", "Put the route in order by hand.");

    fn descriptor(&self) -> Descriptor {
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

    async fn look(&self, within: Duration) -> Result<Looked<()>, CutoverError> {
        let mut seen: Observed = self.run(Operation::Observe, None, &[], within).await?;
        self.version(OBSERVE, &seen.version)?;
        let routes = self.settings.routes.iter();
        let state = RouteState {
            routes: routes.map(|route| route_of(route, &mut seen)).collect(),
            fence: seen.fence,
            documents: Vec::new(),
        };
        Ok(state.into())
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
        let fence = &order.seen.state.fence;
        let run = self.run(Operation::Change, Some(fence), order.changes, within);
        let answer = run.await.and_then(|answer: Changed| {
            self.version(CHANGE, &answer.version)?;
            Ok(answer)
        });
        match answer {
            // However it ended, it may have sent something before.
            Err(error) => Ok(Written::Lost(error)),
            Ok(answer) => match answer.outcome {
                Outcome::Done => {
                    let told = answer.evidence.iter();
                    Ok(Written::Taken(told.map(|line| one_line(line)).collect()))
                }
                Outcome::Conflict { fence: now } => {
                    Err(conflict(fence, &now, CHANGE, self.program()))
                }
                Outcome::Refused { because: said } => {
                    Err(self.error(CHANGE, Problem::Denied { said }))
                }
            },
        }
    }
}
