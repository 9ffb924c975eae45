//! `cargo xtask bench move` and `bench undo`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::bench::{GapParts, Method, MoveFile, MoveRun, Spread, Standby, spread};
use pgha_lab::cluster::{self, Pair, Patroni, primary_site};
use pgha_lab::documented;
use pgha_lab::paths::{self, Cache};
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_lab::writer::{self, Audit, Load};
use rustix::process::{Pid, Signal, kill_process};

use crate::lab;
use crate::part::say;

/// How many rows must follow a move.
const ROWS_AFTER: u64 = 200;

/// A kind of standby and how many load writers run beside the probe.
pub(super) type Kind = (Standby, u32);

/// Everything that is measured.
pub(super) const ALL_KINDS: [Kind; 4] = [
    (Standby::Archive, 0),
    (Standby::Archive, 4),
    (Standby::Streaming, 0),
    (Standby::Streaming, 4),
];

/// How a move is compared with the documented procedure, and how with one that is taken back.
pub(super) const WITH_DOCUMENTED: [Method; 2] = [Method::Documented, Method::Pgha];
pub(super) const WITH_UNDONE: [Method; 2] = [Method::Pgha, Method::Undone];

/// What the plugin says once the source takes no write any more.
const FENCED: &str = r#""event":"settled","step":"fence""#;

/// What a run measures.
pub(super) struct Asked<'a> {
    /// Pairs of moves of each kind.
    pub(super) pairs: u32,
    pub(super) kinds: &'a [Kind],
    /// The two ways of a pair: the second is told by the first, and made before it, which may cost a side.
    pub(super) methods: [Method; 2],
    /// Moves of pgha alone after them.
    pub(super) moves: u32,
}

struct Bench {
    plugin: PathBuf,
    writer: PathBuf,
    progress: Progress,
}

/// Runs the pairs and writes the file after each move, so that an interrupted run keeps what it has.
pub(super) fn run(asked: &Asked<'_>, file: &Path) -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| crate::demo::build_plugin())?;
    lab::up_with_standin(&progress)?;
    let writer = lab::build_program("pgha-writer")?;
    let bench = Bench {
        plugin,
        writer,
        progress,
    };
    report(&bench.run(asked, file)?, asked.methods);
    Ok(())
}

/// See [`super::one_pair`]. The pair is removed at the end.
pub(super) fn one_pair(programs: &Path) -> Result<()> {
    let bench = Bench {
        plugin: programs.join("kubectl-pgha"),
        writer: programs.join("pgha-writer"),
        progress: Progress::to_stderr(),
    };
    let asked = Asked {
        pairs: 1,
        kinds: &ALL_KINDS[..1],
        methods: WITH_DOCUMENTED,
        moves: 0,
    };
    let file = programs.join("bench-move.json");
    let runs = bench.run(&asked, &file)?.runs;
    report(&MoveFile { runs: runs.clone() }, asked.methods);
    bench.remove(name_of(Standby::Archive))?;
    let pgha = runs.iter().find(|run| run.method == Method::Pgha);
    let is_whole = |run: &MoveRun| run.missing == 0 && run.rejoined && run.parts.is_some();
    ensure!(pgha.is_some_and(is_whole), "pgha's move: {pgha:?}");
    Ok(())
}

fn name_of(standby: Standby) -> &'static str {
    match standby {
        Standby::Archive => "bench-archive",
        Standby::Streaming => "bench-streaming",
    }
}

impl Bench {
    fn run(&self, asked: &Asked<'_>, file: &Path) -> Result<MoveFile> {
        let mut runs = MoveFile::default();
        let mut measure = |(standby, writers), method| -> Result<()> {
            runs.runs.push(self.measure(standby, writers, method)?);
            fs::write(file, serde_json::to_vec_pretty(&runs)?)?;
            Ok(())
        };
        for kind in asked.kinds {
            for _ in 0..asked.pairs {
                for method in asked.methods.into_iter().rev() {
                    measure(*kind, method)?;
                }
            }
        }
        for kind in asked
            .kinds
            .iter()
            .cycle()
            .step_by(2)
            .take(asked.moves as usize)
        {
            measure(*kind, Method::Pgha)?;
        }
        Ok(runs)
    }

    fn remove(&self, name: &str) -> Result<()> {
        cluster::remove(name, &Cache::in_use()?, &self.progress)
    }

    fn measure(&self, standby: Standby, writers: u32, method: Method) -> Result<MoveRun> {
        let name = name_of(standby);
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
            Method::Documented => documented::switch_standby(name, from).map(|()| None),
            Method::Undone => self.take_back(name, from).map(|()| None),
        };
        if moved.is_ok() {
            await_rows_after(name)?;
        }
        writer::stop(name)?;
        let parts = moved?;
        let measured = measured(name, standby, writers, method)?;
        let run = MoveRun { parts, ..measured };
        say(&serde_json::to_string(&run)?);
        if !run.rejoined {
            // The old side is lost: only a rebuild helps, and it is not part of the figure.
            self.remove(name)?;
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

    fn move_by_pgha(&self, name: &str, from: Site) -> Result<Option<GapParts>> {
        let output = self.switchover(name, from).output()?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "pgha did not move {name}:\n{said}");
        let outcome: serde_json::Value =
            serde_json::from_str(said.lines().last().context("pgha said nothing")?)?;
        Ok(Some(serde_json::from_value(outcome["parts"].clone())?))
    }

    /// A move that a person interrupts as soon as the source is fenced.
    fn take_back(&self, name: &str, from: Site) -> Result<()> {
        let mut plugin = self.switchover(name, from);
        let mut moving = plugin.stdout(Stdio::piped()).spawn()?;
        let pid = Pid::from_child(&moving);
        let stdout = moving.stdout.take().context("no stdout")?;
        let mut said = BufReader::new(stdout).lines();
        let is_fenced = |line: &std::io::Result<String>| {
            let line = line.as_ref();
            line.is_ok_and(|line| line.contains(FENCED))
        };
        let fenced = said.find(is_fenced);
        if fenced.is_some() {
            kill_process(pid, Signal::INT)?;
        }
        let rest: Vec<String> = said.collect::<std::io::Result<_>>()?;
        let status = moving.wait()?;
        let told = rest.join("\n");
        ensure!(fenced.is_some(), "pgha did not fence {name}: {status}");
        ensure!(status.code() == Some(4), "{name}: {status}\n{told}");
        Ok(())
    }

    fn switchover(&self, name: &str, from: Site) -> Command {
        let to = from.other();
        let mut plugin = Command::new(&self.plugin);
        plugin
            .env("KUBECONFIG", paths::kubeconfig())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        plugin.args(["switchover", name, "--yes", "-o", "json"]);
        plugin.args(["--from", from.name(), "--to", to.name()]);
        plugin
    }
}

/// What the auditor makes of the one move that the writer, which has ended, saw.
pub(super) fn measured(
    name: &str,
    standby: Standby,
    writers: u32,
    method: Method,
) -> Result<MoveRun> {
    let asked = Audit {
        reads_wal: false,
        ..Audit::of_moves(usize::from(method.moves()))
    };
    let verdict = writer::audit(name, &asked)?;
    Ok(MoveRun::measured(&verdict, standby, writers, method)?)
}

/// The gap ends with the target's first row; the judge wants to see that it went on.
pub(super) fn await_rows_after(name: &str) -> Result<()> {
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

fn report(file: &MoveFile, methods: [Method; 2]) {
    say("standby    writers  method      runs  median s  p95 s  missing  rejoined");
    for kind in ALL_KINDS {
        let medians = methods.map(|method| report_one(file, kind, method));
        if let [Some(first), Some(second)] = medians {
            say(&format!("           ratio {:.3}", second / first));
        }
    }
}

/// One line of the report, and the median behind it; nothing when there were no such runs.
fn report_one(file: &MoveFile, (standby, writers): Kind, method: Method) -> Option<f64> {
    let wanted =
        |run: &&MoveRun| (run.standby, run.writers, run.method) == (standby, writers, method);
    let runs: Vec<_> = file.runs.iter().filter(wanted).collect();
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
    report_parts(&runs);
    Some(median)
}

fn report_parts(runs: &[&MoveRun]) {
    let parts: Vec<_> = runs
        .iter()
        .filter_map(|run| run.parts.map(|parts| parts.named()))
        .collect();
    let Some(first) = parts.first() else {
        return;
    };
    let medians = first.iter().enumerate().filter_map(|(at, (name, _))| {
        let seconds: Vec<_> = parts.iter().map(|named| named[at].1).collect();
        Some(format!("{name} {:.3}", spread(&seconds)?.median))
    });
    let medians: Vec<_> = medians.collect();
    say(&format!("           medians: {}", medians.join(", ")));
}
