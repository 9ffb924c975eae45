//! `cargo xtask bench move`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Question;
use pgha_judge::bench::{Method, MoveFile, MoveRun, Spread, Standby, spread};
use pgha_lab::cluster::{self, Pair, Patroni, primary_site};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths::{self, Cache};
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_lab::writer::{self, Audit, Load};
use serde_json::json;

use crate::lab;
use crate::part::say;

/// What Patroni logs when a site has become a standby: what the documented procedure waits for.
const STANDBY_LINE: &str = "the standby leader with the lock";

/// How many rows must follow a move.
const ROWS_AFTER: u64 = 200;

struct Bench {
    plugin: PathBuf,
    writer: PathBuf,
    progress: Progress,
}

/// Runs the pairs and writes the file after each move, so that an interrupted run keeps what it has.
pub(super) fn run(pairs: u32, file: &Path) -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| crate::demo::build_plugin())?;
    lab::up_with_standin(&progress)?;
    let writer = lab::build_program("pgha-writer")?;
    let bench = Bench {
        plugin,
        writer,
        progress,
    };
    let mut runs = MoveFile::default();
    for standby in [Standby::Archive, Standby::Streaming] {
        for writers in [0, 4] {
            for _ in 0..pairs {
                for method in [Method::Pgha, Method::Documented] {
                    runs.runs.push(bench.measure(standby, writers, method)?);
                    fs::write(file, serde_json::to_vec_pretty(&runs)?)?;
                }
            }
        }
    }
    report(&runs);
    Ok(())
}

impl Bench {
    fn measure(&self, standby: Standby, writers: u32, method: Method) -> Result<MoveRun> {
        let name = match standby {
            Standby::Archive => "bench-archive",
            Standby::Streaming => "bench-streaming",
        };
        self.ensure_pair(name, standby)?;
        let from = primary_site(name)?;
        writer::stop(name)?;
        writer::start(
            name,
            &self.writer,
            Load {
                connections: writers,
                rate: 200,
            },
        )?;
        let moved = match method {
            Method::Pgha => self.move_by_pgha(name, from),
            Method::Documented => move_as_documented(name, from),
        };
        if moved.is_ok() {
            await_rows_after(name)?;
        }
        writer::stop(name)?;
        moved?;
        let question = Question {
            expected_moves: Some(1),
            ..Question::default()
        };
        let follow_within = Duration::from_secs(30);
        let asked = Audit {
            question,
            follow_within,
            reads_wal: false,
            is_repeated: false,
        };
        let verdict = writer::audit(name, &asked)?;
        let run = MoveRun::measured(&verdict, standby, writers, method)?;
        say(&serde_json::to_string(&run)?);
        if !run.rejoined {
            // The old side is lost: only a rebuild helps, and it is not part of the figure.
            cluster::remove(name, &Cache::in_use()?, &self.progress)?;
        }
        Ok(run)
    }

    fn ensure_pair(&self, name: &str, standby: Standby) -> Result<()> {
        let standby = match standby {
            Standby::Archive => cluster::Standby::Archive,
            Standby::Streaming => cluster::Standby::Streaming,
        };
        let (name, patroni) = (name.to_owned(), Patroni::V4_1);
        cluster::ensure(
            &Pair {
                name,
                standby,
                patroni,
                instances: 2,
            },
            &self.progress,
        )
    }

    fn move_by_pgha(&self, name: &str, from: Site) -> Result<()> {
        let to = from.other();
        let mut plugin = Command::new(&self.plugin);
        plugin
            .env("KUBECONFIG", paths::kubeconfig())
            .stdin(Stdio::null());
        plugin.args([
            "switchover",
            name,
            "--from",
            from.name(),
            "--to",
            to.name(),
            "--yes",
        ]);
        ensure!(plugin.status()?.success(), "pgha did not move {name}");
        Ok(())
    }
}

/// The gap ends with the target's first row; the judge wants to see that it went on.
fn await_rows_after(name: &str) -> Result<()> {
    let before = writer::status(name)?.acknowledged;
    wait::until("rows after the move", Duration::from_secs(30), || {
        let now = writer::status(name)?.acknowledged;
        ensure!(
            now >= before + ROWS_AFTER,
            "{now} rows, {before} at the end of the move"
        );
        Ok(())
    })
}

/// Enable the standby at the source, wait for the log line, disable it at the target: PGO's documentation, "Standby
/// Cluster", without a person's pauses.
fn move_as_documented(name: &str, from: Site) -> Result<()> {
    let (source, target) = (Kubectl::new(from), Kubectl::new(from.other()));
    let leader = source.get(&["endpoints", &format!("{name}-ha")])?;
    let leader = leader["metadata"]["annotations"]["leader"]
        .as_str()
        .context("no leader")?
        .to_owned();
    let since = source.run(&[
        "exec", &leader, "-c", "database", "--", "date", "--utc", "+%FT%TZ",
    ])?;
    set_standby(source, name, true)?;
    wait::until(
        "the log line of the standby leader",
        Duration::from_mins(2),
        || {
            let since = format!("--since-time={}", since.trim());
            let log = source
                .run(&["logs", &leader, "-c", "database", &since])?
                .to_lowercase();
            ensure!(log.contains(STANDBY_LINE), "{leader} has not logged it");
            Ok(())
        },
    )?;
    set_standby(target, name, false)?;
    wait::until("the target's promotion", Duration::from_mins(2), || {
        let row = cluster::query_leader(from.other(), name, "select pg_is_in_recovery()")?;
        ensure!(row.trim() == "f", "still in recovery");
        Ok(())
    })
}

fn set_standby(kubectl: Kubectl, name: &str, enabled: bool) -> Result<()> {
    let patch = json!({"spec": {"standby": {"enabled": enabled}}}).to_string();
    kubectl
        .run(&[
            "patch",
            "postgrescluster",
            name,
            "--type=merge",
            "--patch",
            &patch,
        ])
        .map(drop)
}

fn report(file: &MoveFile) {
    say("standby    writers  method      runs  median s  p95 s  missing  rejoined");
    for standby in [Standby::Archive, Standby::Streaming] {
        for writers in [0, 4] {
            let median = [Method::Documented, Method::Pgha].map(|method| {
                let runs: Vec<_> = file
                    .runs
                    .iter()
                    .filter(|run| (run.standby, run.writers, run.method) == (standby, writers, method))
                    .collect();
                let gaps: Vec<_> = runs.iter().map(|run| run.gap_s).collect();
                let Spread { median, p95 } = spread(&gaps)?;
                let missing: u64 = runs.iter().map(|run| run.missing).sum();
                let rejoined = runs.iter().filter(|run| run.rejoined).count();
                say(&format!(
                    "{:<10} {writers:>7}  {:<10} {:>5}  {median:>8.3} {p95:>6.3}  {missing:>7}  {rejoined} of {}",
                    format!("{standby:?}").to_lowercase(),
                    format!("{method:?}").to_lowercase(),
                    runs.len(),
                    runs.len(),
                ));
                Some(median)
            });
            if let [Some(documented), Some(pgha)] = median {
                say(&format!("           ratio {:.3}", pgha / documented));
            }
        }
    }
}
