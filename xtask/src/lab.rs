//! `cargo xtask lab`.

mod cluster;
mod fault;
mod gitops;
mod writer;

use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitStatus};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use pgha_lab::kubectl::Kubectl;
use pgha_lab::lab::{self, Options};
use pgha_lab::operator::Operator;
use pgha_lab::progress::Progress;
use pgha_lab::site::{IMAGE_PATRONI_4_1, Site};
use pgha_lab::status;

/// Work with the lab: two real Kubernetes sites on this machine
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the lab up, or verify that it is
    Up(Up),
    /// End everything of the lab and keep what was built
    Down,
    /// End everything of the lab and remove what was built
    Clean,
    /// Show what runs
    Status,
    /// Make, remove and list Postgres clusters
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Write rows to a cluster, and judge afterwards what became of them
    #[command(subcommand)]
    Writer(writer::Command),
    /// Break a part of the lab on purpose, and heal it
    #[command(subcommand)]
    Fault(fault::Command),
    /// Run a git host and Flux or Argo CD beside the lab, and put clusters into their hands
    #[command(subcommand)]
    Gitops(gitops::Command),
    /// Run kubectl against a site
    Kubectl {
        /// The site: core1 or core2
        site: Site,
        /// The arguments for kubectl
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
    /// Open a shell in a pod
    Shell {
        /// The site: core1 or core2
        site: Site,
        /// The pod
        pod: String,
        /// The container
        #[arg(short, long, default_value = "database")]
        container: String,
    },
}

/// Which operator runs in the lab
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// Run this operator in place of the stand-in
    #[arg(long, value_name = "PATH", requires = "crds")]
    operator: Option<PathBuf>,

    /// The folder with the operator's CRDs
    #[arg(long, value_name = "DIR")]
    crds: Option<PathBuf>,

    /// The image that the operator uses for Postgres and its tools
    #[arg(long, value_name = "NAME", default_value = IMAGE_PATRONI_4_1)]
    image: String,
}

/// Runs one of the subcommands.
pub(crate) fn run(command: Command) -> Result<()> {
    let progress = Progress::to_stderr();
    match command {
        Command::Up(args) => {
            lab::up(&args.options(&progress)?, &progress)?;
            progress.line("the lab is up: cargo xtask lab status");
            Ok(())
        }
        Command::Down => lab::down(&progress),
        Command::Clean => lab::clean(&progress),
        Command::Status => show(&status::read()),
        Command::Cluster(command) => cluster::run(command, &progress),
        Command::Writer(command) => writer::run(command, &progress),
        Command::Fault(command) => fault::run(command),
        Command::Gitops(command) => gitops::run(command, &progress),
        Command::Kubectl { site, args } => become_child(Kubectl::new(site).command().args(args)),
        Command::Shell {
            site,
            pod,
            container,
        } => become_child(Kubectl::new(site).command().args([
            "exec",
            "--stdin",
            "--tty",
            &pod,
            "--container",
            &container,
            "--",
            "bash",
        ])),
    }
}

/// Brings the lab up with the operator stand-in of this tree, which it builds.
pub(crate) fn up_with_standin(progress: &Progress) -> Result<()> {
    up_as(None, progress)
}

/// Brings the lab up with a stand-in that is built already.
pub(crate) fn up_with(standin: PathBuf, progress: &Progress) -> Result<()> {
    up_as(Some(standin), progress)
}

fn up_as(operator: Option<PathBuf>, progress: &Progress) -> Result<()> {
    let up = Up {
        operator,
        crds: None,
        image: IMAGE_PATRONI_4_1.to_owned(),
    };
    lab::up(&up.options(progress)?, progress)
}

impl Up {
    fn options(self, progress: &Progress) -> Result<Options> {
        let program = match self.operator {
            Some(program) => program,
            None => progress.part("operator stand-in", |_| build_program("pgha-standin"))?,
        };
        Ok(Options {
            crds: self
                .crds
                .unwrap_or_else(|| workspace().join("crates/pgha-lab/recipes/crds")),
            operator: Operator {
                program,
                image: self.image,
            },
        })
    }
}

/// Builds one of the programs that run in the lab, and returns its path.
pub(crate) fn build_program(name: &str) -> Result<PathBuf> {
    let mut cargo = Process::new("cargo");
    cargo.current_dir(workspace());
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "pgha-lab",
        "--features",
        "programs",
        "--bin",
    ]);
    ended_well(cargo.arg(name).status(), &format!("the build of {name}"))?;
    Ok(built(name))
}

/// Where a program of this tree is once it is built for work on it.
pub(crate) fn built(name: &str) -> PathBuf {
    workspace().join("target/debug").join(name)
}

/// The folder of the workspace that this xtask was built from.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Runs a command with this terminal, and fails as it does.
fn become_child(command: &mut Process) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    ended_well(command.status(), &name)
}

fn ended_well(status: std::io::Result<ExitStatus>, what: &str) -> Result<()> {
    let status = status.with_context(|| format!("{what} does not start: is the lab up?"))?;
    if !status.success() {
        bail!("{what} ended with {status}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of `lab status`")]
fn show(status: &status::Status) -> Result<()> {
    println!("{status}");
    if !status.is_well() {
        bail!("the lab is not up");
    }
    Ok(())
}
