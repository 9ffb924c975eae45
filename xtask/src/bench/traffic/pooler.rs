//! Moves of a database on the lab whose clients come through a real `PgBouncer` and wait.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::bench::{By, Method, Standby, TrafficRun};
use pgha_lab::cluster::{self, Pair, Patroni, SERVICE, primary_site, service_file};
use pgha_lab::paths;
use pgha_lab::pooled::Report;
use pgha_lab::pooled::bouncer::Bouncer;
use pgha_lab::site::Site;
use pgha_lab::writer::{self, Load};
use tempfile::TempDir;

use super::{Bench, Keep};
use crate::bench::moves;
use crate::lab;
use crate::part::say;

/// What it is called in the file.
pub(super) const WHAT: &str = "pooler-move";

/// Its own pair: the pooler is to find the primary where the last move has left it.
const CLUSTER: &str = "bench-pooler";

const CLIENTS: u32 = 4;

/// How long they may wait, in seconds, as the service's file says.
const LONGEST_PAUSE: u32 = 30;

/// The probe alone measures the write gap; the clients are the load.
const PROBE: Load = Load {
    connections: 0,
    rate: 200,
};

/// Moves it there and back in turn.
pub(super) fn run(bench: &Bench, moves: u32, keep: &mut Keep<'_>) -> Result<()> {
    if moves == 0 {
        return Ok(());
    }
    let house = House::open(bench)?;
    for number in 1..=moves {
        keep(house.measure(bench, number)?)?;
    }
    Ok(())
}

/// A pair, a pooler before it, the service's file, and the programs that write.
struct House {
    writer: PathBuf,
    clients: PathBuf,
    bouncer: Bouncer,
    folder: TempDir,
}

impl House {
    fn open(bench: &Bench) -> Result<Self> {
        lab::up_with_standin(&bench.progress)?;
        let writer = lab::build_program("pgha-writer")?;
        let clients = lab::build_program("pgha-pooled")?;
        let pair = Pair {
            name: CLUSTER.to_owned(),
            standby: cluster::Standby::Streaming,
            patroni: Patroni::V4_1,
            instances: 2,
        };
        cluster::ensure(&pair, &bench.progress)?;
        let folder = tempfile::tempdir()?;
        let at = primary_site(CLUSTER)?;
        let bouncer = Bouncer::start(CLUSTER, &bench.peers, at, folder.path())?;
        let text = service_file(CLUSTER, &bouncer.entry(LONGEST_PAUSE));
        fs::write(folder.path().join("pgha.yaml"), text)?;
        Ok(Self {
            writer,
            clients,
            bouncer,
            folder,
        })
    }

    /// One move to the other site.
    fn measure(&self, bench: &Bench, number: u32) -> Result<TrafficRun> {
        let to = primary_site(CLUSTER)?.other();
        writer::stop(CLUSTER)?;
        writer::start(CLUSTER, &self.writer, PROBE)?;
        let moved = self.move_under_load(bench, number, to);
        writer::stop(CLUSTER)?;
        let report = moved?;
        let of_move = moves::measured(CLUSTER, Standby::Streaming, 0, Method::Pgha)?;
        ensure!(
            of_move.missing == 0 && of_move.rejoined && report.present >= report.acknowledged,
            "the move was not whole: {of_move:?}, {report:?}"
        );
        self.bouncer.leads_to(to)?;
        for error in &report.errors {
            say(&format!("a client got an error: {error}"));
        }
        let run = TrafficRun {
            what: WHAT.to_owned(),
            by: By::Pgha,
            ms: report.longest_wait_ms,
            errors: u64::try_from(report.errors.len())?,
            ratio_to_gap: Some(report.longest_wait_ms / (of_move.gap_s * 1000.0)),
        };
        say(&serde_json::to_string(&run)?);
        Ok(run)
    }

    /// What the clients saw of it.
    fn move_under_load(&self, bench: &Bench, number: u32, to: Site) -> Result<Report> {
        let name = format!("move-{number}");
        let clients = self.bouncer.clients(&self.clients, &name, CLIENTS)?;
        self.switch_over(bench, to)?;
        moves::await_rows_after(CLUSTER)?;
        clients.end()
    }

    fn switch_over(&self, bench: &Bench, to: Site) -> Result<()> {
        let mut plugin = Command::new(&bench.plugin);
        plugin.args(["switchover", SERVICE, "-f"]);
        plugin.arg(self.folder.path().join("pgha.yaml"));
        plugin.args(["--to", to.name(), "--yes", "-o", "json"]);
        plugin.env("KUBECONFIG", paths::kubeconfig());
        plugin.env("XDG_STATE_HOME", self.folder.path());
        plugin.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = plugin.output().context("kubectl-pgha does not start")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "pgha did not move {CLUSTER}:\n{said}"
        );
        Ok(())
    }
}
