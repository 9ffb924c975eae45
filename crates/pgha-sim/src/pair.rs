//! The kinds of pair that a move meets.

use pgha_testkit::pgo::{Kind, PgoSite, pair};

use crate::rng::Rng;
use crate::site::{CLUSTER, NAMESPACE};

/// How the leader of a standby gets the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Feed {
    /// From the repository alone.
    Archive,
    /// From the other side's leader, with the repository behind it. Both objects name the other side, as pgo.md 10.9 has it,
    /// so that a source that was stopped streams too.
    Streaming,
}

/// Which Patroni both sides run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Patroni {
    /// It stops a primary cleanly when its cluster becomes a standby.
    V4_1,
    /// It stops it at once, and is paused for a move.
    V3_3,
}

/// A kind of pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) feed: Feed,
    pub(crate) patroni: Patroni,
}

impl Pair {
    pub(crate) const ALL: [Self; 4] = [
        Self::of(Feed::Archive, Patroni::V4_1),
        Self::of(Feed::Streaming, Patroni::V4_1),
        Self::of(Feed::Archive, Patroni::V3_3),
        Self::of(Feed::Streaming, Patroni::V3_3),
    ];

    const fn of(feed: Feed, patroni: Patroni) -> Self {
        Self { feed, patroni }
    }

    /// Each as often as the others.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let [first, second, third, fourth] = Self::ALL;
        match rng.between(0, 3) {
            0 => first,
            1 => second,
            2 => third,
            _ => fourth,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match (self.feed, self.patroni) {
            (Feed::Archive, Patroni::V4_1) => "archive/4.1",
            (Feed::Streaming, Patroni::V4_1) => "streaming/4.1",
            (Feed::Archive, Patroni::V3_3) => "archive/3.3",
            (Feed::Streaming, Patroni::V3_3) => "streaming/3.3",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pair| pair.name() == name)
    }

    /// The primary and the standby as their API servers show them.
    pub(crate) fn build(self, now: jiff::Timestamp) -> (PgoSite, PgoSite) {
        let kind = match self.feed {
            Feed::Archive => Kind::ArchiveStandby,
            Feed::Streaming => Kind::StreamingStandby,
        };
        let (primary, standby) = pair(kind, CLUSTER, NAMESPACE, now);
        let version = self.patroni.version();
        let primary = primary.patroni(version);
        let primary = match self.feed {
            Feed::Archive => primary,
            Feed::Streaming => primary.object(|object| {
                object["spec"]["standby"]["host"] = "10.102.96.17".into();
                object["spec"]["standby"]["port"] = 5432.into();
            }),
        };
        (primary, standby.patroni(version))
    }
}

impl Patroni {
    pub(crate) const fn version(self) -> &'static str {
        match self {
            Self::V4_1 => "4.1.4",
            Self::V3_3 => "3.3.8",
        }
    }

    /// What it calls a member that takes writes (Patroni release notes, 4.0.0).
    pub(crate) const fn primary(self) -> &'static str {
        match self {
            Self::V4_1 => "primary",
            Self::V3_3 => "master",
        }
    }
}
