//! Pairs that several tests use one after the other, and what is done to a move of one.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{Patroni, Standby, primary_site};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;

use crate::{Ended, Suite};

/// How long both sides may take to be well again.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// How long each step of a command may take here: the machine may be busy.
const TIMEOUT: &str = "2m";

/// What a move says when a step begins or has settled.
pub mod event {
    /// Both operators leave their cluster alone.
    pub const HELD: &str = r#""event":"settled","step":"hold""#;
    /// The preparation is done.
    pub const PREPARING: &str = r#""event":"settled","step":"prepare""#;
    /// The source is about to be told to stop.
    pub const FENCING: &str = r#""event":"started","step":"fence""#;
    /// The source has stopped.
    pub const FENCED: &str = r#""event":"settled","step":"fence""#;
    /// The target holds everything.
    pub const PROVED: &str = r#""event":"settled","step":"prove""#;
    /// The target is about to be told.
    pub const PROMOTING: &str = r#""event":"started","step":"promote""#;
    /// The target takes writes.
    pub const PROMOTED: &str = r#""event":"settled","step":"promote""#;
    /// Users may come.
    pub const VERIFIED: &str = r#""event":"settled","step":"verify""#;
    /// Both operators work again.
    pub const RELEASED: &str = r#""event":"settled","step":"release""#;
}

/// An archive-only pair.
pub const ARCHIVE: Kind = Kind {
    cluster: "moves-archive",
    standby: Standby::Archive,
    patroni: Patroni::V4_1,
};

/// A streaming pair.
pub const STREAMING: Kind = Kind {
    cluster: "moves-streaming",
    standby: Standby::Streaming,
    patroni: Patroni::V4_1,
};

/// An archive-only pair of an old Patroni.
pub const OLD: Kind = Kind {
    cluster: "moves-archive-33",
    standby: Standby::Archive,
    patroni: Patroni::V3_3,
};

/// A streaming pair of an old Patroni.
pub const OLD_STREAMING: Kind = Kind {
    cluster: "moves-streaming-33",
    standby: Standby::Streaming,
    patroni: Patroni::V3_3,
};

/// A pair that other tests use too.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub cluster: &'static str,
    /// How the standby is fed.
    pub standby: Standby,
    /// Which Patroni runs.
    pub patroni: Patroni,
}

/// A pair in the lab.
#[derive(Debug)]
pub struct Pair {
    /// The lab.
    pub suite: Suite,
    /// Which pair.
    pub kind: Kind,
}

impl Pair {
    /// Makes the pair unless it is there; `None` without a lab.
    pub fn open(kind: Kind) -> Result<Option<Self>> {
        let Some(suite) = Suite::open()? else {
            return Ok(None);
        };
        suite.pair(kind.cluster, kind.standby, kind.patroni)?;
        Ok(Some(Self { suite, kind }))
    }

    /// The site that is primary now.
    pub fn primary(&self) -> Result<Site> {
        primary_site(self.kind.cluster)
    }

    /// The arguments of a move to the other site.
    pub fn switchover(&self, from: Site) -> Vec<&'static str> {
        let sides = ["--from", from.name(), "--to", from.other().name()];
        let how = ["--yes", "-o", "json", "--timeout", TIMEOUT];
        [&["switchover", self.kind.cluster][..], &sides, &how].concat()
    }

    /// The arguments of a command that takes over.
    pub fn taking_over(&self, verb: &'static str, from: Site) -> Vec<&'static str> {
        let sides = ["--from", from.name(), "--to", from.other().name()];
        let how = ["--yes", "--timeout", TIMEOUT];
        [&[verb, self.kind.cluster][..], &sides, &how].concat()
    }

    /// Runs it, although the tool may be alive.
    pub fn take_over(&self, verb: &str, from: Site) -> Result<Ended> {
        let verb = if verb == "abort" { "abort" } else { "resume" };
        let args = [&self.taking_over(verb, from)[..], &["--take-over"]].concat();
        self.suite.run(&args)
    }

    /// Whether the move came through because it has no such write; otherwise it is resumed.
    pub fn dies_at(&self, point: &str) -> Result<bool> {
        let from = self.primary()?;
        let writer = self.suite.writer(self.kind.cluster, 0)?;
        let mut command = self.suite.plugin();
        command.args(self.switchover(from));
        let output = command.env("PGHA_TEST_DIE_AT", point).output()?;
        let came_through = output.status.code() == Some(0);
        if !came_through {
            ensure!(output.status.code().is_none(), "at {point}: {output:?}");
            let resumed = self.take_over("resume", from)?;
            ensure!(resumed.code == Some(0), "resume after {point}: {resumed:?}");
        }
        // Before the first write there is nothing to resume.
        let to = self.primary()?;
        let verdict = writer.judge_within(usize::from(to != from), DEADLINE)?;
        ensure!(verdict.ruling == Ruling::Pass, "{point}: {verdict}");
        self.is_well(to)?;
        Ok(came_through)
    }

    /// The record of the last move has these words.
    pub fn history_says(&self, words: &str) -> Result<()> {
        let [one, other] = Site::ALL.map(Site::name);
        let sites = ["--context", one, "--context", other];
        let asked = [&["history", self.kind.cluster, "-o", "json"][..], &sites].concat();
        let past = self.suite.run(&asked)?;
        ensure!(past.stdout.contains(words), "{words}: {past:?}");
        Ok(())
    }

    /// Waits until this side is primary, the other one follows, and nothing is held.
    pub fn is_well(&self, primary: Site) -> Result<()> {
        wait::until("both sides well", DEADLINE, || {
            let now = self.primary()?;
            ensure!(now == primary, "{now} is primary");
            let status = self.suite.status(self.kind.cluster)?;
            ensure!(status.code == Some(0), "status says: {}", status.stdout);
            for held in ["operator-paused", "patroni-paused"] {
                ensure!(!status.stdout.contains(held), "held: {}", status.stdout);
            }
            for site in Site::ALL {
                let object = Kubectl::new(site).get(&["postgrescluster", self.kind.cluster])?;
                ensure!(object["spec"]["paused"] != true, "{site} is held");
            }
            Ok(())
        })
    }
}

/// Reads until a line holds this.
///
/// # Errors
/// The output ends before it.
pub fn await_line(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    wanted: &str,
) -> Result<()> {
    for line in lines {
        if line?.contains(wanted) {
            return Ok(());
        }
    }
    bail!("{wanted} never came")
}
