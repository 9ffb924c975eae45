//! What the end-to-end suite has around each test: the lab, the plugin, pairs of clusters and live writers.
//!
//! The suite links no product code. It runs `kubectl-pgha` as a process, as a user does, and has `pgha-judge` decide from
//! the records of a writer that shares no code with it.

pub mod pair;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Verdict;
use pgha_lab::cluster::{self, Pair, Patroni, Standby, primary_site};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths::{self, Cache};
use pgha_lab::progress::Progress;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_lab::writer::{self, Audit, Load};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

pub use pgha_lab::cluster::service_file;

/// How long both sides may take to settle after a move.
const SETTLES: Duration = Duration::from_mins(3);

/// The running lab, with the programs under test.
#[derive(Debug)]
pub struct Suite {
    programs: PathBuf,
}

/// How a run of the plugin ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Suite {
    /// The lab that `cargo xtask test` has brought up; `None`, said aloud, when this run has none.
    ///
    /// # Errors
    /// The run promises a lab (`PGHA_LAB=1`) and it does not answer.
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    pub fn open() -> Result<Option<Self>> {
        if variable("PGHA_LAB").as_deref() != Some("1") {
            println!("skipped: no lab (cargo xtask test has one)");
            return Ok(None);
        }
        ensure!(
            pgha_lab::status::read().is_well(),
            "PGHA_LAB=1, and the lab does not answer"
        );
        let programs = variable("PGHA_PROGRAMS").context("PGHA_PROGRAMS names no folder")?;
        Ok(Some(Self {
            programs: programs.into(),
        }))
    }

    /// The same for a test that only the long way has.
    ///
    /// # Errors
    /// As [`Suite::open`].
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    pub fn open_for_full() -> Result<Option<Self>> {
        if !Self::is_full() {
            println!("skipped: cargo xtask test --full has it");
            return Ok(None);
        }
        Self::open()
    }

    /// Whether this run takes the long way (`cargo xtask test --full`).
    pub fn is_full() -> bool {
        variable("PGHA_FULL").as_deref() == Some("1")
    }

    /// At which writes a killed move dies, when only some are wanted (`PGHA_KILL_POINTS=20-30`).
    ///
    /// # Errors
    /// The variable is not two numbers.
    pub fn kill_points() -> Result<Option<(u32, u32)>> {
        let Some(text) = variable("PGHA_KILL_POINTS") else {
            return Ok(None);
        };
        let (first, last) = text
            .split_once('-')
            .context("PGHA_KILL_POINTS is not 1-9")?;
        Ok(Some((first.parse()?, last.parse()?)))
    }

    /// One of the programs under test.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The plugin with the lab's kubeconfig and nothing else of this process' environment.
    pub fn plugin(&self) -> Command {
        self.plugin_under(&[])
    }

    fn plugin_under(&self, runner: &[&str]) -> Command {
        // Whoever runs the suite may have it ignore SIGHUP, as `nohup` does, and a child inherits that.
        let mut command = Command::new("/usr/bin/env");
        command
            .arg("--default-signal=HUP")
            .args(runner)
            .arg(self.programs.join("kubectl-pgha"));
        command
            .env_clear()
            .env("KUBECONFIG", paths::kubeconfig())
            .env("HOME", "/nonexistent");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the plugin to its end; one that would wait for ever is killed, and ends with 137.
    pub fn run(&self, args: &[&str]) -> Result<Ended> {
        let output = self
            .plugin_under(&["/usr/bin/timeout", "--foreground", "--signal=KILL", "15m"])
            .args(args)
            .output()
            .context("kubectl-pgha does not start")?;
        Ok(Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Starts the plugin, with its output kept for [`finish`].
    pub fn start(&self, args: &[&str]) -> Result<Child> {
        let mut command = self.plugin();
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().context("kubectl-pgha does not start")
    }

    /// Makes a pair, primary in `core1`, unless it is there already.
    pub fn pair(&self, name: &str, standby: Standby, patroni: Patroni) -> Result<()> {
        let pair = Pair {
            name: name.to_owned(),
            standby,
            patroni,
            instances: 2,
        };
        cluster::ensure(&pair, &Progress::to_stderr())
    }

    /// Makes a pair that nobody else uses; what an earlier run has left under its name is removed. A run that was killed while
    /// it removed a pair may have left nothing but the repository, which no new pair of that name can use.
    pub fn fresh_pair(&self, name: &str, standby: Standby, patroni: Patroni) -> Result<()> {
        self.remove_pair(name)?;
        self.pair(name, standby, patroni)
    }

    /// Removes a pair with everything it left, its repository too.
    pub fn remove_pair(&self, name: &str) -> Result<()> {
        cluster::remove(name, &Cache::in_use()?, &Progress::to_stderr())
    }

    /// `kubectl pgha switchover --yes -o json` to the other site.
    pub fn switchover(&self, cluster: &str, from: Site) -> Result<Ended> {
        let sides = ["--from", from.name(), "--to", from.other().name()];
        self.run(&[&["switchover", cluster, "--yes", "-o", "json"][..], &sides].concat())
    }

    /// `kubectl pgha status -o json` of both sites.
    pub fn status(&self, cluster: &str) -> Result<Ended> {
        let sites = ["--context", "core1", "--context", "core2"];
        self.run(&[&["status", cluster, "-o", "json"][..], &sites].concat())
    }

    /// `kubectl pgha validate -o json` of a move to the other site.
    pub fn validate(&self, cluster: &str, from: Site) -> Result<Ended> {
        let sides = ["--from", from.name(), "--to", from.other().name()];
        self.run(&[&["validate", cluster, "-o", "json"][..], &sides].concat())
    }

    /// Waits until this side is primary, the other one follows, and nothing is held.
    pub fn await_well(&self, cluster: &str, primary: Site) -> Result<()> {
        let now = primary_site(cluster)?;
        ensure!(now == primary, "{now} is primary");
        let sites = ["--context", "core1", "--context", "core2"];
        wait::until("both sides well", SETTLES, || {
            let status = self.run(&[&["status", cluster][..], &sites].concat())?;
            ensure!(status.code == Some(0), "status says:\n{}", status.stdout);
            let is_held = status.stdout.contains("paused");
            ensure!(!is_held, "something is held:\n{}", status.stdout);
            Ok(())
        })
    }

    /// The root file system with real products, where the run has one.
    pub fn peers() -> Option<PathBuf> {
        variable("PGHA_PEERS").map(PathBuf::from)
    }

    /// Starts a writer on a pair; it ends when the guard is dropped.
    pub fn writer(&self, cluster: &str, connections: u32) -> Result<Writer> {
        writer::stop(cluster)?;
        let load = Load {
            connections,
            rate: 200,
        };
        writer::start(cluster, &self.programs.join("pgha-writer"), load)?;
        Ok(Writer {
            cluster: cluster.to_owned(),
        })
    }
}

/// A published manifest of `manifests/rbac` with the names of a cluster and of the lab's namespace.
///
/// # Errors
/// There is no such file.
pub fn manifest(file: &str, cluster: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/rbac");
    let text = std::fs::read_to_string(folder.join(file));
    let text = text.with_context(|| format!("reading {file}"))?;
    let secret = format!("{cluster}-pguser-zitadel");
    Ok(text
        .replace("zitadel-pguser-zitadel", &secret)
        .replace("-zitadel\n", &format!("-{cluster}\n"))
        .replace("[zitadel]", &format!("[{cluster}]"))
        .replace("[zitadel-", &format!("[{cluster}-"))
        .replace(" zitadel-", &format!(" {cluster}-"))
        .replace(
            "namespace: postgres\n",
            &format!("namespace: {SERVICE_NAMESPACE}\n"),
        ))
}

/// A writer that runs.
#[derive(Debug)]
pub struct Writer {
    cluster: String,
}

impl Writer {
    /// What the writer says of itself now.
    pub fn status(&self) -> Result<writer::Status> {
        writer::status(&self.cluster)
    }

    /// Ends the writing and judges it.
    pub fn judge(self, expected_moves: usize) -> Result<Verdict> {
        let within = Audit::of_moves(expected_moves).follow_within;
        self.judge_within(expected_moves, within)
    }

    /// The same, where nobody is expected to follow after that long.
    pub fn judge_within(self, expected_moves: usize, follow_within: Duration) -> Result<Verdict> {
        writer::stop(&self.cluster)?;
        let asked = Audit {
            follow_within,
            ..Audit::of_moves(expected_moves)
        };
        writer::audit(&self.cluster, &asked)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A test that failed has its own error to show.
        drop(writer::stop(&self.cluster));
    }
}

impl Ended {
    /// The checks that a refusal names.
    pub fn failing(&self) -> Result<Vec<String>> {
        let view = self.json()?;
        let findings = view["findings"].as_array().context("no findings")?;
        let checks = findings.iter().filter_map(|one| one["check"].as_str());
        Ok(checks.map(str::to_owned).collect())
    }

    /// Its stdout as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }

    /// Its stdout as lines of JSON.
    pub fn json_lines(&self) -> Result<Vec<Value>> {
        let lines = self.stdout.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .with_context(|| format!("not lines of JSON: {self:?}"))
    }
}

/// Empties the password in a user's Secret, and waits until the operator has made one of its own.
pub fn give_own_password(site: Site, secret: &str) -> Result<()> {
    let kubectl = Kubectl::new(site);
    let blank = r#"{"data":{"password":"","verifier":""}}"#;
    kubectl.run(&[
        "patch", "secret", secret, "--type", "merge", "--patch", blank,
    ])?;
    let is_made = |secret: &Value| {
        let verifier = secret["data"]["verifier"].as_str();
        verifier.is_some_and(|it| !it.is_empty())
    };
    let what = "a password of its own";
    kubectl.wait_for(what, &["secret", secret], Duration::from_mins(1), is_made)?;
    Ok(())
}

/// A service account in the clusters' namespace with these rights there, and no others.
pub fn account(name: &str, rules: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": SERVICE_NAMESPACE});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
    let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": SERVICE_NAMESPACE});
    let rbac = "rbac.authorization.k8s.io/v1";
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": rules},
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata, "roleRef": role,
            "subjects": [subject]},
    ]})
}

/// Sends a started plugin what Ctrl-C sends.
pub fn interrupt(child: &Child) -> Result<()> {
    signal(child, Signal::INT)
}

/// Kills a started plugin, as a machine that loses power does.
pub fn kill(child: &Child) -> Result<()> {
    signal(child, Signal::KILL)
}

/// Tells whoever follows the run what a long test has done.
#[expect(clippy::print_stdout, reason = "a test's output is its own")]
pub fn say(text: &str) {
    println!("{text}");
}

/// Stops a started plugin where it is.
pub fn signal_stop(child: &Child) -> Result<()> {
    signal(child, Signal::STOP)
}

/// Lets a stopped plugin go on.
pub fn signal_go_on(child: &Child) -> Result<()> {
    signal(child, Signal::CONT)
}

/// Closes what a started plugin writes to, and sends it what a closed terminal sends: its kernel and its shell both do.
pub fn hang_up(child: &mut Child) -> Result<()> {
    drop((child.stdout.take(), child.stderr.take()));
    signal(child, Signal::HUP)?;
    signal(child, Signal::HUP)
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("no such pid")?;
    rustix::process::kill_process(pid, signal).context("the plugin has ended already")
}

/// Awaits a started plugin.
pub fn finish(child: Child) -> Result<Ended> {
    let output = child.wait_with_output()?;
    Ok(Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the suite's only reader of the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
