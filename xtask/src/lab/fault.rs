//! `cargo xtask lab fault`.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use pgha_lab::fault::link::{self, End, Slowness};
use pgha_lab::fault::{archive, process, volume};
use pgha_lab::gitops::git;
use pgha_lab::paths::Cache;
use pgha_lab::site::{Place, Site};

/// Break a part of the lab on purpose, and heal it
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Cut, slow or heal the way between two of core1, core2, edge and host
    #[command(subcommand)]
    Link(Link),
    /// Break or heal the archive (S3) for one site
    #[command(subcommand)]
    Archive(Archive),
    /// Fill the volume of a pod, or give the space back
    #[command(subcommand)]
    Volume(Volume),
    /// Have the git host of `lab gitops` answer every request with an error, or as it should again
    #[command(subcommand)]
    Git(Git),
    /// Stop a daemon of core1, core2 or edge politely; `lab status` lists them
    Stop(Daemon),
    /// Start a stopped or killed daemon again
    Start(Daemon),
    /// Kill a daemon (SIGKILL)
    Kill(Daemon),
    /// Freeze a daemon (SIGSTOP)
    Pause(Daemon),
    /// Let a frozen daemon go on (SIGCONT)
    Resume(Daemon),
    /// Kill, freeze or resume the processes of one name in a pod
    Process {
        /// What to do
        act: Act,
        /// The site: core1 or core2
        site: Site,
        /// The pod
        pod: String,
        /// The name of the processes, as `ps` shows it: postgres, patroni
        name: String,
        /// The container
        #[arg(short, long, default_value = "database")]
        container: String,
    },
}

/// Cut, slow or heal the way between two ends
#[derive(Debug, Subcommand)]
pub(crate) enum Link {
    /// Let nothing pass
    Cut(Way),
    /// Let little pass, or late
    Slow {
        #[command(flatten)]
        way: Way,
        /// The most that passes, for example 5mbit
        #[arg(long, required_unless_present = "delay")]
        rate: Option<String>,
        /// How long each packet is held, for example 50ms; not every kernel can
        #[arg(long)]
        delay: Option<String>,
    },
    /// Let everything pass again; without ends, on every way
    Heal {
        /// Where it comes from
        #[arg(requires = "to")]
        from: Option<End>,
        /// Where it goes to
        to: Option<End>,
        /// Only from the first to the second
        #[arg(long)]
        one_way: bool,
    },
}

/// A way through the router
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Way {
    /// Where it comes from: core1, core2, edge or host
    from: End,
    /// Where it goes to: core1, core2, edge or host
    to: End,
    /// Only from the first to the second
    #[arg(long = "one-way")]
    is_single: bool,
}

/// Break or heal the archive (S3) for one site
#[derive(Debug, Subcommand)]
pub(crate) enum Archive {
    /// Make the archive unusable
    Break {
        /// The site: core1 or core2
        site: Site,
        /// Refuse connections at once, instead of never answering
        #[arg(long)]
        refuse: bool,
    },
    /// Make the archive usable again
    Heal {
        /// The site: core1 or core2
        site: Site,
    },
}

/// Have the git host of `lab gitops` answer every request with an error, or as it should again
#[derive(Debug, Subcommand)]
pub(crate) enum Git {
    /// Answer every request with a status
    Break {
        /// 401 as for a key that has expired, 503 as a host that is being mended
        #[arg(value_parser = clap::value_parser!(u16).range(400..=599))]
        status: u16,
    },
    /// Answer as it should again
    Heal,
}

/// Fill the volume of a pod, or give the space back
#[derive(Debug, Subcommand)]
pub(crate) enum Volume {
    /// Take all the space that is left
    Fill {
        /// The site: core1 or core2
        site: Site,
        /// The pod
        pod: String,
    },
    /// Give the space back
    Heal {
        /// The site: core1 or core2
        site: Site,
        /// The pod
        pod: String,
    },
}

/// A daemon of the lab
#[derive(Debug, clap::Args)]
pub(crate) struct Daemon {
    /// Where it runs: core1, core2 or edge
    place: Place,
    /// Its name: kube-apiserver, operator, versitygw
    name: String,
}

/// What to do to processes in a pod
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Act {
    Kill,
    Pause,
    Resume,
}

/// Runs one of the subcommands.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Link(link) => run_link(link),
        Command::Archive(Archive::Break { site, refuse }) => {
            let how = if refuse {
                archive::Break::Refused
            } else {
                archive::Break::Silent
            };
            archive::cut(site, how)
        }
        Command::Archive(Archive::Heal { site }) => archive::heal(site),
        Command::Volume(Volume::Fill { site, pod }) => volume::fill(site, &Cache::in_use()?, &pod),
        Command::Volume(Volume::Heal { site, pod }) => volume::heal(site, &Cache::in_use()?, &pod),
        Command::Git(Git::Break { status }) => git::answer_with(&Cache::in_use()?, Some(status)),
        Command::Git(Git::Heal) => git::answer_with(&Cache::in_use()?, None),
        Command::Stop(daemon) => process::stop_daemon(daemon.place, &daemon.name),
        Command::Start(daemon) => process::start_daemon(daemon.place, &daemon.name),
        Command::Kill(daemon) => act(&daemon, process::Act::Kill),
        Command::Pause(daemon) => act(&daemon, process::Act::Pause),
        Command::Resume(daemon) => act(&daemon, process::Act::Resume),
        Command::Process {
            act,
            site,
            pod,
            name,
            container,
        } => process::act_in_pod(site, &pod, &container, &name, act.into()),
    }
}

fn act(daemon: &Daemon, act: process::Act) -> Result<()> {
    process::act_on_daemon(daemon.place, &daemon.name, act)
}

fn run_link(command: Link) -> Result<()> {
    match command {
        Link::Cut(way) => way.each(link::cut),
        Link::Slow { way, rate, delay } => {
            let slowness = Slowness { rate, delay };
            way.each(|from, to| link::slow(from, to, &slowness))
        }
        Link::Heal {
            from: Some(from),
            to: Some(to),
            one_way,
        } => Way {
            from,
            to,
            is_single: one_way,
        }
        .each(link::heal),
        Link::Heal { .. } => link::heal_all(),
    }
}

impl Way {
    fn each(&self, act: impl Fn(End, End) -> Result<()>) -> Result<()> {
        act(self.from, self.to)?;
        if self.is_single {
            Ok(())
        } else {
            act(self.to, self.from)
        }
    }
}

impl From<Act> for process::Act {
    fn from(act: Act) -> Self {
        match act {
            Act::Kill => Self::Kill,
            Act::Pause => Self::Pause,
            Act::Resume => Self::Resume,
        }
    }
}
