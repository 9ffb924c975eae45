//! One path to a server: connect, ask or write, and begin again whatever happens.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pgha_judge::{Lsn, Purpose, Record, TimelineId};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connect::{Link, Refusal};
use super::setup::TABLE;
use super::shared::Shared;

/// The shortest time between two connection attempts of a lane that measures or watches. A TLS
/// handshake with a server that is starting costs both sides milliseconds, on the machine that is
/// being measured.
const RECONNECT: Duration = Duration::from_millis(20);
/// The same for load, of which there may be many.
const RECONNECT_LOAD: Duration = Duration::from_millis(100);

/// The SQLSTATE of a table that is not there (PostgreSQL documentation, "Error Codes").
const UNDEFINED_TABLE: &str = "42P01";

/// One path to a server.
pub(super) struct Lane {
    shared: Arc<Shared>,
    purpose: Purpose,
    site: usize,
    address: String,
    interval: Duration,
    retired: Option<watch::Receiver<bool>>,
}

/// What a running lane knows.
struct State {
    number: u32,
    seq: u64,
    link: Option<Link>,
    next_attempt: Instant,
    last_complaint: String,
}

impl Lane {
    pub(super) fn new(
        shared: &Arc<Shared>,
        purpose: Purpose,
        site: usize,
        address: String,
        interval: Duration,
    ) -> Self {
        let shared = Arc::clone(shared);
        Self {
            shared,
            purpose,
            site,
            address,
            interval,
            retired: None,
        }
    }

    /// Ends the lane once this is true and its connection is gone.
    #[must_use]
    pub(super) fn until_retired(mut self, retired: watch::Receiver<bool>) -> Self {
        self.retired = Some(retired);
        self
    }

    /// Runs until the writer stops.
    ///
    /// # Errors
    /// The ledger cannot be written; without it nothing may be sent.
    pub(super) async fn run(self) -> Result<()> {
        let site = &self.shared.config.sites[self.site].site;
        let number = self
            .shared
            .journal
            .open_lane(self.purpose, site, &self.address)?;
        let (link, last_complaint) = (None, String::new());
        let mut state = State {
            number,
            seq: 0,
            link,
            next_attempt: Instant::now(),
            last_complaint,
        };
        let mut stopped = self.shared.stopped.clone();
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
                _ = ticks.tick() => {}
            }
            if self.is_retired() && state.link.is_none() {
                return Ok(());
            }
            self.turn(&mut state).await?;
        }
    }

    fn is_retired(&self) -> bool {
        self.retired
            .as_ref()
            .is_some_and(|retired| *retired.borrow())
    }

    /// One turn: connect if need be, then a question to a standby or a row to a primary.
    async fn turn(&self, state: &mut State) -> Result<()> {
        let Some(mut link) = self.linked(state).await? else {
            return Ok(());
        };
        if link.is_in_recovery {
            match link.ask().await {
                Ok(true) if self.is_behind_the_service(&link) => {
                    return self.disconnected(state, "another member of the site takes rows");
                }
                Ok(true) => {
                    state.link = Some(link);
                    return Ok(());
                }
                Ok(false) => {}
                Err(Refusal::Said(why) | Refusal::Lost(why)) => {
                    return self.disconnected(state, &why);
                }
            }
        }
        self.write(state, link).await
    }

    /// Whether the service leads to another member by now than this connection does.
    fn is_behind_the_service(&self, link: &Link) -> bool {
        self.purpose != Purpose::Member
            && self.shared.is_writable_elsewhere(self.site, &link.server)
    }

    async fn linked(&self, state: &mut State) -> Result<Option<Link>> {
        if state.link.is_some() || Instant::now() < state.next_attempt {
            return Ok(state.link.take());
        }
        let pause = if self.purpose == Purpose::Load {
            RECONNECT_LOAD
        } else {
            RECONNECT
        };
        state.next_attempt = Instant::now() + pause;
        match self.shared.connector.connect(&self.address).await {
            Ok(link) => {
                state.last_complaint.clear();
                let (lane, in_recovery) = (state.number, link.is_in_recovery);
                let (server, started) = (link.server.clone(), link.started.clone());
                self.shared.journal.note(|at_us| Record::Up {
                    at_us,
                    lane,
                    server,
                    started,
                    in_recovery,
                })?;
                Ok(Some(link))
            }
            Err(why) => self.disconnected(state, &why).map(|()| None),
        }
    }

    async fn write(&self, state: &mut State, mut link: Link) -> Result<()> {
        let journal = &self.shared.journal;
        state.seq += 1;
        let (lane, seq) = (state.number, state.seq);
        journal.note(|at_us| Record::Try { at_us, lane, seq })?;
        let sent = i64::try_from(seq).context("row numbers are used up")?;
        match link.insert(journal.run(), i64::from(lane), sent).await {
            Ok((timeline, lsn)) => {
                let (tli, lsn) = position(&timeline, &lsn)?;
                journal.note(|at_us| Record::Ack {
                    at_us,
                    lane,
                    seq,
                    tli,
                    lsn,
                })?;
                self.shared.tell_writable(self.site, &link.server);
                link.is_in_recovery = false;
                state.link = Some(link);
                Ok(())
            }
            Err(Refusal::Said(code)) => {
                if code == UNDEFINED_TABLE {
                    // A primary without the table lost even that: the rows from now on count.
                    drop(link.run(TABLE).await);
                }
                journal.note(|at_us| Record::No {
                    at_us,
                    lane,
                    seq,
                    code,
                })?;
                self.shared.tell_not_writable(self.site, &link.server);
                // Whatever the reason, the next turn asks before it writes again.
                link.is_in_recovery = true;
                state.link = Some(link);
                Ok(())
            }
            Err(Refusal::Lost(why)) => {
                journal.note(|at_us| Record::Lost {
                    at_us,
                    lane,
                    seq,
                    why: why.clone(),
                })?;
                self.shared.tell_not_writable(self.site, &link.server);
                self.disconnected(state, &why)
            }
        }
    }

    /// Notes a lost or failed connection, once for each new reason.
    fn disconnected(&self, state: &mut State, why: &str) -> Result<()> {
        if state.last_complaint == why {
            return Ok(());
        }
        why.clone_into(&mut state.last_complaint);
        let (lane, why) = (state.number, why.to_owned());
        self.shared
            .journal
            .note(|at_us| Record::Down { at_us, lane, why })
    }
}

fn position(timeline: &str, lsn: &str) -> Result<(TimelineId, Lsn)> {
    let timeline = TimelineId::from_str_radix(timeline, 16).context("a timeline is no number")?;
    Ok((timeline, lsn.parse()?))
}
