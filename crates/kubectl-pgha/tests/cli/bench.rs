//! A hermetic place to run the plugin in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use pgha_testkit::kubeconfig::{Context, write_kubeconfig};
use pgha_testkit::pgo::{Kind, PgoSite, pair};
use pgha_testkit::{FakeCluster, ServedCluster};

/// The namespace of every context.
pub(crate) const NAMESPACE: &str = "prod";

/// Names the guard that `cargo xtask guards` takes away.
const WITHOUT_GUARD: &str = "PGHA_TEST_WITHOUT_GUARD";

/// A home folder with a kubeconfig, and the clusters that it leads to.
pub(crate) struct Bench {
    home: tempfile::TempDir,
    served: Vec<ServedCluster>,
}

impl Bench {
    /// Contexts of these names lead to these clusters; the first is the current one.
    pub(crate) fn new(contexts: &[(&str, &FakeCluster)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let served: Vec<ServedCluster> = contexts
            .iter()
            .map(|(_, cluster)| cluster.serve().unwrap())
            .collect();
        let entries: Vec<Context<'_>> = contexts
            .iter()
            .zip(&served)
            .map(|((name, _), cluster)| Context {
                name,
                cluster,
                namespace: NAMESPACE,
            })
            .collect();
        let bench = Self {
            home,
            served: Vec::new(),
        };
        write_kubeconfig(&bench.kubeconfig(), &entries).unwrap();
        drop(entries);
        Self { served, ..bench }
    }

    /// One site, `core1`.
    pub(crate) fn one(site: &PgoSite) -> Self {
        Self::new(&[("core1", &cluster(site))])
    }

    /// Two sites, `core1` and `core2`.
    pub(crate) fn two((first, second): &(PgoSite, PgoSite)) -> Self {
        Self::new(&[("core1", &cluster(first)), ("core2", &cluster(second))])
    }

    /// A healthy pair with a backup.
    pub(crate) fn pair(kind: Kind) -> Self {
        let (primary, standby) = pair(kind, "zitadel", NAMESPACE, now());
        Self::two(&(primary.manual_backup("nightly"), standby))
    }

    /// A home folder with a kubeconfig of these bytes, and no cluster.
    pub(crate) fn with_kubeconfig(bytes: &[u8]) -> Self {
        let bench = Self::new(&[]);
        std::fs::write(bench.kubeconfig(), bytes).unwrap();
        bench
    }

    /// Takes a site's server away: who reads the kubeconfig from now on is refused connections. Its context leads to port 1 then, for
    /// the server of another test may get a port that is free again.
    pub(crate) fn stop(&mut self, index: usize) {
        let server = format!(r#""{}""#, self.served.remove(index).url());
        let kubeconfig = std::fs::read_to_string(self.kubeconfig()).unwrap();
        assert!(kubeconfig.contains(&server), "{server}: {kubeconfig}");
        let kubeconfig = kubeconfig.replace(&server, r#""http://127.0.0.1:1""#);
        std::fs::write(self.kubeconfig(), kubeconfig).unwrap();
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.home().join("kubeconfig")
    }

    /// The plugin in this place, not started. `cargo xtask guards` takes one of its guards away.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no settings, and passes on what its own runner has set"
    )]
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // Whoever runs the tests may have them ignore SIGHUP, as `nohup` does, and a child inherits that.
        let mut command = Command::new("/usr/bin/env");
        command
            .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_kubectl-pgha")])
            .args(arguments)
            .env_clear()
            .env("HOME", self.home())
            .env("KUBECONFIG", self.kubeconfig())
            .env("COLUMNS", "100")
            .env("TZ", "UTC")
            .envs(std::env::var_os(WITHOUT_GUARD).map(|guard| (WITHOUT_GUARD, guard)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the plugin to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        self.ran(arguments, &output)
    }

    /// What a process that was started here and ended has said.
    pub(crate) fn ran(&self, arguments: &[&str], output: &Output) -> Ran {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(&self.home().display().to_string(), "[HOME]")
        };
        Ran {
            line: format!("kubectl pgha {}", arguments.join(" ")),
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// How a process ended, and what it said.
#[must_use = "show it in a snapshot, or assert the exit code"]
#[derive(Debug)]
pub(crate) struct Ran {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "-- {name}")?;
                f.write_str(text)?;
            }
        }
        Ok(())
    }
}

/// Compares what was said with the stored text, times, ages and ports aside.
#[macro_export]
macro_rules! assert_said {
    ($($ran:expr),+ $(,)?) => {{
        let said: Vec<String> = vec![$($ran.to_string()),+];
        insta::with_settings!({filters => vec![
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-11-21T12:00:00Z"),
            (r"renewed \d+ s ago", "renewed 2 s ago"),
            (r#"(?m)"?ageSeconds"?: \d+"#, "ageSeconds: 2"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
        ], omit_expression => true}, {
            insta::assert_snapshot!(said.join("\n"));
        });
    }};
}

/// Nothing was written at any of these sites.
pub(crate) fn assert_untouched(clusters: &[&FakeCluster]) {
    for cluster in clusters {
        let requests = cluster.requests();
        let written = requests
            .iter()
            .find(|request| ["patch", "update", "delete"].contains(&request.verb));
        assert!(written.is_none(), "{written:?}");
    }
}

/// A cluster that holds a site and the namespace of every context.
pub(crate) fn cluster(site: &PgoSite) -> FakeCluster {
    let cluster = empty_cluster();
    site.install(&cluster);
    cluster
}

/// A cluster that holds nothing but the namespace of every context.
pub(crate) fn empty_cluster() -> FakeCluster {
    let cluster = FakeCluster::new();
    cluster.insert(serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}
    }));
    cluster
}

/// A healthy primary site.
pub(crate) fn primary() -> PgoSite {
    PgoSite::primary("zitadel", NAMESPACE, now())
}

/// A healthy standby site, fed by the archive.
pub(crate) fn standby() -> PgoSite {
    PgoSite::standby("zitadel", NAMESPACE, now())
}

/// The time by which sites are built.
pub(crate) fn now() -> Timestamp {
    pgha_core::clock::now()
}

/// Sends a signal to a process that a test started.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits until a process ends by itself, and ends it when it does not.
pub(crate) fn end_of(mut child: Child, limit: Duration) -> Output {
    let watched = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        if watched.elapsed() > limit {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("the process did not end by itself: {output:?}");
        }
        std::thread::yield_now();
    }
    child.wait_with_output().unwrap()
}
