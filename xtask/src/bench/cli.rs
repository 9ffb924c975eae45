//! `cargo xtask bench cli`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::bench::{CliFile, CliRun, Spread, Tool, spread};
use pgha_lab::cluster::{self, Pair, Patroni, Standby};
use pgha_lab::paths;
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use serde_json::Value;

use crate::lab;
use crate::part::say;

/// The cluster that is asked about.
const CLUSTER: &str = "bench-archive";

/// Runs each command beside the one it is compared with, and writes the file.
pub(super) fn run(runs: u32, file: &Path) -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| crate::demo::build_plugin())?;
    lab::up_with_standin(&progress)?;
    ensure_pair(&progress)?;
    let empty = build_empty()?;
    let pgha = plugin.as_path();
    let kubectl = paths::program("kubectl");
    let objects = [
        "--context",
        "core1",
        "get",
        "postgrescluster,pods,endpoints",
        "-o",
        "json",
    ];
    let version = ["--version"];
    let leader = ["leader", CLUSTER, "--context", "core1"];
    let status = ["status", CLUSTER, "--context", "core1"];
    let mut all = CliFile::default();
    for _ in 0..runs {
        for (command, tool, program, args) in [
            ("leader", Tool::Pgha, pgha, &leader[..]),
            ("leader", Tool::Kubectl, &kubectl, &objects[..]),
            ("status", Tool::Pgha, pgha, &status[..]),
            ("status", Tool::Kubectl, &kubectl, &objects[..]),
            ("version", Tool::Pgha, pgha, &version[..]),
            ("version", Tool::Empty, &empty, &[][..]),
        ] {
            all.runs.push(measure(command, tool, program, args)?);
        }
    }
    fs::write(file, serde_json::to_vec_pretty(&all)?)?;
    report(&all);
    Ok(())
}

fn ensure_pair(progress: &Progress) -> Result<()> {
    let (standby, patroni) = (Standby::Archive, Patroni::V4_1);
    cluster::ensure(
        &Pair {
            name: CLUSTER.to_owned(),
            standby,
            patroni,
            instances: 2,
        },
        progress,
    )
}

/// The smallest Rust program there is, built as the plugin is.
pub(super) fn build_empty() -> Result<PathBuf> {
    let folder = lab::workspace().join("target/bench");
    fs::create_dir_all(&folder)?;
    let (source, program) = (folder.join("empty.rs"), folder.join("empty"));
    fs::write(&source, "fn main() {}\n")?;
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition",
        "2024",
        "-C",
        "opt-level=3",
        "-C",
        "strip=symbols",
        "-o",
    ]);
    ensure!(
        rustc.arg(&program).arg(&source).status()?.success(),
        "rustc failed"
    );
    Ok(program)
}

/// One run: wall time, the peak of its memory as GNU time reports it, and its requests by the API server's audit log.
fn measure(command: &str, tool: Tool, program: &Path, args: &[&str]) -> Result<CliRun> {
    let audit = paths::audit_log(Site::Core1);
    let before = fs::metadata(&audit)?.len();
    let peak = lab::workspace().join("target/bench/peak");
    let mut timed = Command::new("time");
    timed
        .args(["--format", "%M", "--output"])
        .arg(&peak)
        .arg(program)
        .args(args);
    timed.env("KUBECONFIG", paths::kubeconfig());
    timed
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = Instant::now();
    let status = timed.status().context("GNU time does not start")?;
    let wall_ms = begun.elapsed().as_secs_f64() * 1000.0;
    ensure!(
        status.success(),
        "{} {} ended with {status}",
        program.display(),
        args.join(" ")
    );
    let rss_kib = fs::read_to_string(&peak)?.trim().parse()?;
    let requests = requests_since(&audit, before, tool)?;
    Ok(CliRun {
        command: command.to_owned(),
        tool,
        wall_ms,
        rss_kib,
        requests,
    })
}

fn requests_since(audit: &Path, from: u64, tool: Tool) -> Result<u64> {
    use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
    let agent = match tool {
        Tool::Pgha => "pgha/",
        Tool::Kubectl => "kubectl/",
        Tool::Empty => return Ok(0),
    };
    let mut log = File::open(audit)?;
    log.seek(SeekFrom::Start(from))?;
    let mut count = 0;
    for line in BufReader::new(log).lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        let ours = event["userAgent"]
            .as_str()
            .is_some_and(|name| name.starts_with(agent));
        count += u64::from(ours && event["stage"] == "ResponseComplete");
    }
    Ok(count)
}

fn report(file: &CliFile) {
    say("command  tool     median ms  p95 ms  peak KiB  requests");
    for command in ["leader", "status", "version"] {
        let medians = [Tool::Pgha, Tool::Kubectl, Tool::Empty].map(|tool| {
            let runs: Vec<_> = file
                .runs
                .iter()
                .filter(|run| run.command == command && run.tool == tool)
                .collect();
            let walls: Vec<_> = runs.iter().map(|run| run.wall_ms).collect();
            let Spread { median: wall, p95 } = spread(&walls)?;
            let peak = runs.iter().map(|run| run.rss_kib).max()?;
            let requests = runs.iter().map(|run| run.requests).max()?;
            let tool = format!("{tool:?}").to_lowercase();
            say(&format!(
                "{command:<8} {tool:<8} {wall:>9.1} {p95:>7.1} {peak:>9} {requests:>9}"
            ));
            Some(wall)
        });
        if let [Some(pgha), kubectl, empty] = medians
            && let Some(other) = kubectl.or(empty)
        {
            say(&format!("         ratio {:.2}", pgha / other));
        }
    }
}
