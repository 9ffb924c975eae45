//! Two sites as the API servers, the operators, Patroni and Postgres make them, and the writes that reach them.

use pgha_model::record::Stage;
use pgha_model::unfinished::SideState;

/// The source.
pub(crate) const A: usize = 0;
/// The target.
pub(crate) const B: usize = 1;

/// What the world checks before it takes a write; each can be switched off, to see that the search finds what it prevents.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent guards, each with its own name"
)]
pub(crate) struct Guards {
    /// Writes of objects rest on the epoch.
    pub(crate) epoch: bool,
    /// Writes of records rest on the resourceVersion.
    pub(crate) swap: bool,
    /// A decision is written to the record.
    pub(crate) decision: bool,
    /// Whoever sees the source alone goes back only where the target cannot have been told.
    pub(crate) untold: bool,
    /// The promotion waits for the proof.
    pub(crate) proof: bool,
    /// A hold is only taken back from an object that says what its side is.
    pub(crate) release: bool,
}

impl Guards {
    pub(crate) const ALL: Self = Self {
        epoch: true,
        swap: true,
        decision: true,
        untold: true,
        proof: true,
        release: true,
    };
}

/// Whether somebody still has to see to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ended {
    /// It has no end.
    Not,
    /// It ended with something left behind.
    Open,
    /// It ended.
    Closed,
}

/// The newest record of a site's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) epoch: u8,
    /// Which tool wrote it.
    pub(crate) by: u8,
    pub(crate) stage: Stage,
    pub(crate) ended: Ended,
}

/// The operator's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    pub(crate) standby: bool,
    pub(crate) held: bool,
}

/// What a Postgres is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Postgres {
    /// It takes writes.
    Primary,
    /// It does not, and has said where its log ends.
    Standby,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Site {
    pub(crate) record: Option<Record>,
    pub(crate) object: Object,
    pub(crate) object_epoch: u8,
    /// Patroni's configuration makes it a standby.
    pub(crate) config: bool,
    pub(crate) config_epoch: u8,
    pub(crate) postgres: Postgres,
    /// It has all that was ever acknowledged, by whichever side.
    pub(crate) complete: bool,
    /// The API server does not answer.
    pub(crate) down: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// A record; `fresh` while nobody has written it since its writer last saw it.
    Record {
        record: Record,
        fresh: bool,
    },
    Object {
        seen: Object,
        wanted: Object,
        /// Whether the patch tests what the object says of a standby.
        tests_standby: bool,
    },
    Config {
        seen: bool,
        wanted: bool,
    },
    StampObject {
        seen: u8,
    },
    StampConfig {
        seen: u8,
    },
}

/// A request that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Write {
    pub(crate) site: usize,
    pub(crate) by: u8,
    pub(crate) epoch: u8,
    pub(crate) what: What,
}

impl Site {
    const fn new(postgres: Postgres) -> Self {
        let standby = matches!(postgres, Postgres::Standby);
        Self {
            record: None,
            object: Object {
                standby,
                held: false,
            },
            object_epoch: 0,
            config: standby,
            config_epoch: 0,
            postgres,
            complete: !standby,
            down: false,
        }
    }

    pub(crate) fn writes(&self) -> bool {
        self.postgres == Postgres::Primary
    }

    pub(crate) fn state(&self) -> SideState {
        SideState {
            config_standby: self.config,
            object_standby: self.object.standby,
            patroni_paused: false,
            writes: self.writes(),
        }
    }

    pub(crate) fn record_epoch(&self) -> u8 {
        self.record.map_or(0, |record| record.epoch)
    }

    /// Whether the write took hold.
    pub(crate) fn apply(&mut self, write: &Write, guards: Guards) -> bool {
        let of_epoch = |stamp: u8| !guards.epoch || stamp == write.epoch;
        match write.what {
            What::Record { record, fresh } => {
                if guards.swap && !fresh {
                    return false;
                }
                self.record = Some(record);
            }
            What::Object {
                seen,
                wanted,
                tests_standby,
            } => {
                let same = self.object.held == seen.held
                    && (!tests_standby || self.object.standby == seen.standby);
                if !same || !of_epoch(self.object_epoch) {
                    return false;
                }
                self.object.held = wanted.held;
                if tests_standby {
                    self.object.standby = wanted.standby;
                }
            }
            What::Config { seen, wanted } => {
                if self.config != seen || !of_epoch(self.config_epoch) {
                    return false;
                }
                self.config = wanted;
            }
            What::StampObject { seen } => {
                if self.object_epoch != seen {
                    return false;
                }
                self.object_epoch = write.epoch;
            }
            What::StampConfig { seen } => {
                if self.config_epoch != seen {
                    return false;
                }
                self.config_epoch = write.epoch;
            }
        }
        true
    }
}

/// What nobody may ever see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broken {
    /// A side was promoted beside a primary, or without everything that was acknowledged.
    pub(crate) incomplete_promotion: bool,
    /// The promotion was sent again in one epoch.
    pub(crate) sent_twice: bool,
    /// A write took hold after a later move had put its epoch everywhere.
    pub(crate) late_effect: bool,
}

/// What the sites do by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Own {
    /// An operator that is not held renders Patroni's configuration from its object.
    Render(usize),
    /// Patroni makes Postgres what its configuration says.
    Follow(usize),
    /// The log of one side arrives at the other.
    Ship(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) sites: [Site; 2],
    /// A write whose sender waits no longer, and which may yet arrive.
    pub(crate) late: Option<Write>,
    /// The highest epoch that is on every object.
    pub(crate) stamped: u8,
    /// In which epochs the promotion was sent, a bit each.
    pub(crate) sent: u8,
    pub(crate) broken: Broken,
    /// A write arrived although its move had taken everything back or ended.
    pub(crate) stray: bool,
}

impl World {
    pub(crate) const fn new() -> Self {
        Self {
            sites: [Site::new(Postgres::Primary), Site::new(Postgres::Standby)],
            late: None,
            stamped: 0,
            sent: 0,
            broken: Broken {
                incomplete_promotion: false,
                sent_twice: false,
                late_effect: false,
            },
            stray: false,
        }
    }

    /// A write arrives; whether it took hold.
    pub(crate) fn arrive(&mut self, write: &Write, guards: Guards) -> bool {
        let applied = self.sites[write.site].apply(write, guards);
        let is_record = matches!(write.what, What::Record { .. });
        if applied && !is_record && write.epoch < self.stamped {
            self.broken.late_effect = true;
        }
        if applied
            && is_record
            && let Some(late) = &mut self.late
            && late.site == write.site
            && let What::Record { fresh, .. } = &mut late.what
        {
            *fresh = false;
        }
        applied
    }

    /// What the sites can do now.
    pub(crate) fn own(&self) -> impl Iterator<Item = Own> {
        let of_site = |at: usize| {
            let (site, peer) = (&self.sites[at], &self.sites[1 - at]);
            let renders = !site.down && !site.object.held && site.config != site.object.standby;
            let follows = site.config == site.writes();
            let ships = !site.complete && !site.writes() && !peer.writes();
            [
                renders.then_some(Own::Render(at)),
                follows.then_some(Own::Follow(at)),
                ships.then_some(Own::Ship(at)),
            ]
        };
        [of_site(A), of_site(B)].into_iter().flatten().flatten()
    }

    pub(crate) fn carry_out(&mut self, own: Own) {
        match own {
            Own::Render(at) => self.sites[at].config = self.sites[at].object.standby,
            Own::Ship(at) => self.sites[at].complete = true,
            Own::Follow(at) if self.sites[at].config => {
                self.sites[at].postgres = Postgres::Standby;
            }
            Own::Follow(at) => {
                let peer_writes = self.sites[1 - at].writes();
                if peer_writes || !self.sites[at].complete {
                    self.broken.incomplete_promotion = true;
                }
                self.sites[at].postgres = Postgres::Primary;
                self.sites[1 - at].complete = false;
            }
        }
    }

    pub(crate) fn has_two_primaries(&self) -> bool {
        self.sites.iter().all(Site::writes)
    }

    /// The side that is the only primary.
    pub(crate) fn primary(&self) -> Option<usize> {
        match (self.sites[A].writes(), self.sites[B].writes()) {
            (true, false) => Some(A),
            (false, true) => Some(B),
            (_, _) => None,
        }
    }

    /// The newest record; of two copies the one that knows the end.
    pub(crate) fn newest(&self) -> Option<Record> {
        let records = self.sites.iter().filter_map(|site| site.record);
        records.max_by_key(|record| (record.epoch, record.ended != Ended::Not))
    }

    /// Whether some record says that this move has ended and left nothing.
    pub(crate) fn has_ended(&self, epoch: u8) -> bool {
        let mut records = self.sites.iter().filter_map(|site| site.record);
        records.any(|record| record.epoch == epoch && record.ended == Ended::Closed)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.newest()
            .is_some_and(|record| record.ended != Ended::Closed)
    }
}
