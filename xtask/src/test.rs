//! `cargo xtask test`: everything that tells whether the tree is good.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use pgha_lab::progress::Progress;

use crate::guards::Whole;
use crate::lab;
use crate::part::{self, Count};
use crate::peers;

/// Run all tests: style, rules of the tree, units, the plugin's process tests, each guard, the simulation, and the lab suite
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also run what takes long: more moves, and every standby and Patroni of the lab
    #[arg(long)]
    full: bool,

    /// Leave out what needs the lab
    #[arg(long, conflicts_with = "full")]
    no_lab: bool,
}

/// What all tests and the lab's own programs are built with, in one build: cargo settles the features of what is below for the
/// packages that are named together, and would build the half of it again for each other choice of packages.
pub(crate) const BUILD: [&str; 4] = [
    "--workspace",
    "--locked",
    "--features",
    "kubectl-pgha/aws,kubectl-pgha/schema,pgha-lab/programs,pgha-model/mutation,pgha-nlb/conformance",
];

/// They take three minutes on two cores.
const UNITS: Duration = Duration::from_mins(20);

/// It takes half an hour on two cores.
const LAB: Duration = Duration::from_mins(55);

/// Runs the parts in order and fails at the first that fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut count = Count::default();
    let result = run_parts(args, &mut count);
    if result.is_err() && count.failed == 0 {
        // A part that is no test has failed; it counts as one.
        count.failed = 1;
    }
    part::say(&format!("{} passed, {} failed", count.passed, count.failed));
    result
}

fn run_parts(args: &Args, count: &mut Count) -> Result<()> {
    part::run("format", &mut cargo(&["fmt", "--all", "--check"]), count)?;
    let deny = ["--all-targets", "--quiet", "--", "-D", "warnings"];
    part::run("clippy", built("clippy").args(deny), count)?;
    part::say("== tidy");
    crate::tidy::run()?;
    crate::deny::run(count)?;
    let everything = ["--all-targets", "--quiet"];
    part::run("build", built("build").args(everything), count)?;
    let mut units = built("test");
    units.args(["--exclude", "pgha-tests", "--quiet"]);
    let peers = peers::ensure()?;
    if let Some(root) = &peers {
        units.env(peers::VARIABLE, root);
    }
    if let Some(folder) = crate::provider::ensure()? {
        units.env(crate::provider::VARIABLE, folder);
    }
    if args.full {
        units.env("PGHA_FULL", "1");
    }
    let what = "unit, doc, plan-script, FakeCluster and process tests";
    part::run_within(Some(UNITS), what, &mut units, count)?;
    part::say("== guards");
    crate::guards::run(Whole::Passed)?;
    let seeds = crate::sim::SEEDS.to_string();
    let mut sim = crate::sim::command();
    part::run("sim", sim.args(["--seeds", &seeds]), count)?;
    let mut page = crate::sim::command();
    let page = page.args(["--page", crate::sim::PAGE]);
    part::run("each fault at each write", page, count)?;
    if args.no_lab {
        part::say("== lab suite: left out");
        return Ok(());
    }
    run_lab_suite(args, peers.as_deref(), count)
}

fn run_lab_suite(args: &Args, peers: Option<&Path>, count: &mut Count) -> Result<()> {
    let progress = Progress::to_stderr();
    let was_up = pgha_lab::status::read().is_well();
    lab::up_with(lab::built("pgha-standin"), &progress)?;
    // The plugin here differs from the shipped one in that a variable can take a guard away. The suite passes none on.
    let programs = lab::workspace().join("target/debug");
    let mut suite = built("test");
    suite.args(["--test", "lab", "--test", "standin"]);
    if args.full {
        // Hours of moves are worth all that they can tell, not only the first that fails.
        suite.arg("--no-fail-fast").env("PGHA_FULL", "1");
    }
    suite.args(["--", "--test-threads", "1", "--nocapture"]);
    suite.env("PGHA_LAB", "1").env("PGHA_PROGRAMS", &programs);
    if let Some(root) = peers {
        suite.env(peers::VARIABLE, root);
    }
    let limit = (!args.full).then_some(LAB);
    let result = part::run_within(limit, "lab suite", &mut suite, count).and_then(|()| {
        part::say("== bench move, one pair");
        crate::bench::one_pair(&programs)?;
        if args.full {
            part::say("== demo --gitops");
            crate::demo::run(crate::demo::Args::GITOPS)?;
        }
        Ok(())
    });
    if !was_up {
        pgha_lab::lab::down(&progress)?;
    }
    result
}

/// A cargo command on the one build.
pub(crate) fn built(verb: &str) -> Command {
    let mut command = cargo(&[verb]);
    command.args(BUILD);
    command
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(lab::workspace()).args(args);
    command
}
