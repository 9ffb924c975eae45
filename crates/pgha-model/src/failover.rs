//! A failover: one side is promoted although the other cannot say where it ended, by what is known of the other one, by a
//! proof that it writes no more, and by what a person accepts to lose.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::guard::Guard;
use crate::lsn::Lsn;
use crate::proof::Closure;
use crate::site::Place;
use crate::timeline::Timeline;

/// What a person accepts to lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedLoss {
    /// The commits of so long a time.
    Time(Duration),
    /// So many bytes of log.
    Bytes(u64),
    /// Whatever it is.
    RowsUnknown,
}

/// The word for a loss that nobody can bound.
const ROWS_UNKNOWN: &str = "ROWS-UNKNOWN";

/// Units of bytes: Kubernetes' and Postgres' for powers of 1024, SI's for powers of 1000.
const BYTES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Units of time.
const TIMES: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl FromStr for AcceptedLoss {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let because = "not a time like 30s, a number of bytes like 16MiB, or ROWS-UNKNOWN";
        if text.eq_ignore_ascii_case(ROWS_UNKNOWN) {
            return Ok(Self::RowsUnknown);
        }
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| because)?;
        let of = |units: &[(&str, u64)]| {
            let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*factor)
        };
        of(&BYTES)
            .map(Self::Bytes)
            .or_else(|| of(&TIMES).map(|ms| Self::Time(Duration::from_millis(ms))))
            .ok_or(because)
    }
}

impl fmt::Display for AcceptedLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) if time.subsec_millis() == 0 => write!(f, "{}s", time.as_secs()),
            Self::Time(time) => write!(f, "{}ms", time.as_millis()),
            Self::Bytes(bytes) => write!(f, "{bytes}B"),
            Self::RowsUnknown => f.write_str(ROWS_UNKNOWN),
        }
    }
}

impl Serialize for AcceptedLoss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AcceptedLoss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a member of the source was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberSight {
    /// It answers and takes writes.
    Writes,
    /// It answers and is in recovery.
    Reads,
    /// It does not run: its pod's containers have ended, or its control data says that it was shut down.
    Stopped,
    /// It does not answer, and may run; why, as a fragment.
    Silent(String),
}

/// What is known of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSight {
    /// Where it is.
    pub place: Place,
    /// Why its API server did not answer, as a fragment; `None` when it did.
    pub unseen: Option<String>,
    /// Its members; empty when its API server did not answer.
    pub members: Vec<(String, MemberSight)>,
    /// When Patroni's lock was last renewed, by its holder's clock.
    pub last_seen: Option<Timestamp>,
    /// The last position that Patroni wrote down.
    pub last_known: Option<Lsn>,
    /// Where it ended, by its own control data, when it was shut down cleanly.
    pub closure: Option<Closure>,
    /// The Job there that makes it primary again by itself when an unfinished move falls silent.
    pub deadline_job: Option<String>,
}

impl SourceSight {
    /// A source of which nothing is known but its place.
    pub const fn at(place: Place) -> Self {
        Self {
            place,
            unseen: None,
            members: Vec::new(),
            last_seen: None,
            last_known: None,
            closure: None,
            deadline_job: None,
        }
    }

    /// A member that takes writes.
    pub fn primary(&self) -> Option<&str> {
        let mut members = self.members.iter();
        members.find_map(|(pod, sight)| (*sight == MemberSight::Writes).then_some(pod.as_str()))
    }

    /// Who takes writes, as a fragment; `None` when nobody is seen to.
    pub fn writer(&self) -> Option<String> {
        self.primary().map(|pod| format!("{pod} takes writes"))
    }

    /// Why it cannot be said of every member that it takes no writes, as a sentence or a fragment; `None` when it can.
    pub fn not_down(&self) -> Option<String> {
        let silence = self.silence();
        self.writer()
            .or_else(|| silence.filter(|_| Guard::ReturningDown.stands()))
    }

    /// Who may write without being seen, and why, as a sentence; `None` when nobody can.
    pub fn silence(&self) -> Option<String> {
        if let Some(because) = &self.unseen {
            let job = self.deadline_job.as_ref().map(|job| {
                format!(" If it runs, the Job {job} there makes it primary again by itself.")
            });
            let job = job.unwrap_or_default();
            return Some(format!("The source was not seen: {because}.{job}"));
        }
        let silent = self.members.iter().filter_map(|(pod, sight)| match sight {
            MemberSight::Silent(because) => Some(format!("{pod} ({because})")),
            MemberSight::Writes | MemberSight::Reads | MemberSight::Stopped => None,
        });
        let silent: Vec<_> = silent.collect();
        (!silent.is_empty()).then(|| format!("May run unseen: {}.", silent.join(", ")))
    }

    /// What is known, as full sentences.
    pub fn sentences(&self, now: Timestamp) -> Vec<String> {
        let mut sentences = Vec::new();
        let place = &self.place;
        match &self.unseen {
            Some(because) => sentences.push(format!("{place} does not answer: {because}.")),
            None if self.members.is_empty() => {
                sentences.push(format!("{place} answers, and has no members."));
            }
            None => {
                let told = self.members.iter().map(|(pod, sight)| match sight {
                    MemberSight::Writes => format!("{pod} takes writes"),
                    MemberSight::Reads => format!("{pod} is in recovery"),
                    MemberSight::Stopped => format!("{pod} does not run"),
                    MemberSight::Silent(_) => format!("{pod} does not answer"),
                });
                let told: Vec<_> = told.collect();
                sentences.push(format!("Of {place}: {}.", told.join(", ")));
            }
        }
        if let Some(at) = self.last_seen {
            let ago = spoken(now.duration_since(at));
            sentences.push(format!(
                "Its leader last renewed Patroni's lock at {at}, {ago} ago."
            ));
        }
        sentences
    }
}

/// What still comes to the target from its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// `pg_stat_wal_receiver.status` of the target's leader; `None` without a receiver.
    pub receiver: Option<String>,
    /// The archive's newest segment when the look began, and when it ended; `None` when the archive does not answer.
    pub newest: Option<(String, String)>,
}

impl Supply {
    /// Why somebody seems to write the log that the target replays, as a sentence.
    pub fn is_alive(&self) -> Option<String> {
        if self.receiver.as_deref() == Some("streaming") {
            return Some(
                "The target still streams: its receiver is connected to a server of the source."
                    .to_owned(),
            );
        }
        let (before, after) = self.newest.as_ref()?;
        (before != after)
            .then(|| format!("The archive grew from {before} to {after} while it was looked at."))
    }
}

/// The bound of what may be lost: everything after what the target holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// Up to where the target's leader has replayed.
    pub held: Option<Lsn>,
    /// When the last commit that it replayed was made, by the primary's clock.
    pub held_at: Option<Timestamp>,
    /// The last position that is known of the source; it may have gone on since.
    pub last_known: Option<Lsn>,
    /// Where the source ended, by its own control data: nothing was written after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_end: Option<Lsn>,
}

impl Risk {
    /// The same, with where the source ended, if that is on the timeline that the target replays.
    #[must_use]
    pub fn ending_at(mut self, closure: Option<&Closure>, timeline: Option<Timeline>) -> Self {
        let closure = closure.filter(|closure| Some(closure.timeline) == timeline);
        self.source_end = closure.map(|closure| closure.end.to_exceed());
        self
    }

    /// Whether it is known that nothing is lost: the target has replayed past the source's last record's beginning.
    pub fn is_nothing(&self) -> bool {
        self.held
            .zip(self.source_end)
            .is_some_and(|(held, end)| held > end)
    }

    /// How many bytes of log are lost; known only where the source's end is.
    pub fn bytes(&self) -> Option<u64> {
        let (held, end) = self.held.zip(self.source_end)?;
        Some(if held > end {
            0
        } else {
            end.bytes_ahead_of(held) + 1
        })
    }

    /// Of how long a time commits may be lost, at most: since the last one that the target holds.
    pub fn time(&self, now: Timestamp) -> Option<SignedDuration> {
        self.held_at.map(|at| now.duration_since(at))
    }

    /// Why this is more than what is accepted, as a sentence; `None` when it is not.
    pub fn exceeds(&self, accepted: Option<AcceptedLoss>, now: Timestamp) -> Option<String> {
        if self.is_nothing() {
            return None;
        }
        match accepted {
            Some(AcceptedLoss::RowsUnknown) => None,
            None => Some(format!("Data may be lost. {}", self.sentences().join(" "))),
            Some(AcceptedLoss::Bytes(most)) => match self.bytes() {
                Some(bytes) if bytes <= most => None,
                Some(bytes) => Some(format!(
                    "{bytes} bytes of log are lost, more than the {most} that are accepted."
                )),
                None => Some(
                    "How many bytes of log are lost is not known: the source has not said where it ended."
                        .to_owned(),
                ),
            },
            Some(AcceptedLoss::Time(most)) => match self.time(now) {
                Some(time) if time.unsigned_abs() <= most => None,
                Some(time) => Some(format!(
                    "The last commit that the target holds was made {} ago, more than the {} that are accepted.",
                    spoken(time),
                    spoken(SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX)),
                )),
                None => Some("When the target's last commit was made is not known.".to_owned()),
            },
        }
    }

    /// The bound, as full sentences.
    pub fn sentences(&self) -> Vec<String> {
        if self.is_nothing() {
            return vec![
                "Nothing is lost: this side has replayed the last record of the other one, which was shut down cleanly."
                    .to_owned(),
            ];
        }
        let mut sentences = Vec::new();
        match (self.held, self.held_at) {
            (Some(held), Some(at)) => sentences.push(format!(
                "This side holds the log up to {held}; the last commit in it is of {at}. Every later commit is lost."
            )),
            (Some(held), None) => sentences.push(format!(
                "This side holds the log up to {held}; when the last commit in it was made is not known. Every later \
                 commit is lost."
            )),
            (None, _) => sentences.push(
                "Up to where this side holds the log is not known, and so is what is lost.".to_owned(),
            ),
        }
        sentences.push(match (self.bytes(), self.last_known.zip(self.held)) {
            (Some(bytes), _) => {
                format!("The other side was shut down cleanly, {bytes} bytes further.")
            }
            (None, Some((known, held))) => format!(
                "The other side was last seen at {known}, {} bytes further; it may have gone on since.",
                known.bytes_ahead_of(held)
            ),
            (None, None) => "How far the other side has come is not known.".to_owned(),
        });
        sentences
    }
}

/// What proves that the source writes no more (`agent.md`, "fence proofs": the first and the fourth).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "by", rename_all_fields = "camelCase")]
pub enum FenceProof {
    /// Its configuration makes it a standby, and every member of it is in recovery or does not run.
    Source,
    /// A person has said that the site is down.
    Word {
        /// Why it is known to be.
        reason: String,
    },
}

/// What a failover adds to a promotion; it is kept in the record of the move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// The side that was primary.
    pub source: Place,
    /// Whether its API server answers: then it is made a standby there, and stays one when it comes back.
    pub fenced_at_source: bool,
    /// What its object said of how to be a standby, which the fence may have shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby_section: Option<Value>,
    /// What proves that it writes no more.
    pub fence: FenceProof,
    /// What is accepted to be lost.
    pub accepted: Option<AcceptedLoss>,
    /// The bound of what may be lost, as it was known last.
    pub risk: Risk,
}

/// A duration in the unit that suits it.
fn spoken(time: SignedDuration) -> String {
    let seconds = time.unsigned_abs().as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::LogEnd;
    use crate::service::samples::now;

    fn lsn(text: &str) -> Lsn {
        text.parse().unwrap()
    }

    fn risk() -> Risk {
        Risk {
            held: Some(lsn("0/5000000")),
            held_at: Some(now() - SignedDuration::from_secs(90)),
            last_known: Some(lsn("0/5000100")),
            source_end: None,
        }
    }

    fn closure(timeline: u32, at: &str) -> Closure {
        Closure {
            system_identifier: "7".to_owned(),
            timeline: Timeline(timeline),
            end: LogEnd::Checkpoint(lsn(at)),
            segment: String::new(),
        }
    }

    #[test]
    fn a_loss_is_accepted_in_time_bytes_or_blindly() {
        let read = |text: &str| text.parse::<AcceptedLoss>();
        assert_eq!(read("30s"), Ok(AcceptedLoss::Time(Duration::from_secs(30))));
        assert_eq!(read("5m"), Ok(AcceptedLoss::Time(Duration::from_mins(5))));
        assert_eq!(read("250ms").unwrap().to_string(), "250ms");
        assert_eq!(read("16MiB"), Ok(AcceptedLoss::Bytes(16 << 20)));
        assert_eq!(read("0B"), Ok(AcceptedLoss::Bytes(0)));
        assert_eq!(read("rows-unknown"), Ok(AcceptedLoss::RowsUnknown));
        for wrong in [
            "",
            "5",
            "all",
            "-5s",
            "5 s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for loss in ["90s", "250ms", "5B", "ROWS-UNKNOWN"] {
            assert_eq!(read(loss).unwrap().to_string(), loss);
        }
    }

    #[test]
    fn more_than_what_is_accepted_is_refused_and_so_is_what_cannot_be_measured() {
        let exceeds = |accepted: &str| risk().exceeds(accepted.parse().ok(), now());
        assert_eq!(exceeds("90s"), None);
        assert!(exceeds("89s").unwrap().contains("90 s ago"));
        assert_eq!(exceeds("ROWS-UNKNOWN"), None);
        assert!(exceeds("1GiB").unwrap().contains("not known"));
        assert!(exceeds("nothing").unwrap().starts_with("Data may be lost."));
        let blind = Risk {
            held_at: None,
            ..risk()
        };
        assert!(blind.exceeds("30d".parse().ok(), now()).is_some());
    }

    #[test]
    fn the_end_of_a_source_that_was_shut_down_makes_the_loss_exact() {
        let ended = |at: &str| risk().ending_at(Some(&closure(3, at)), Some(Timeline(3)));
        // The shutdown checkpoint begins where the target ends: it lacks that record.
        assert_eq!(ended("0/5000000").bytes(), Some(1));
        assert!(!ended("0/5000000").is_nothing());
        assert_eq!(ended("0/50000FF").exceeds("256B".parse().ok(), now()), None);
        assert!(
            ended("0/5000100")
                .exceeds("256B".parse().ok(), now())
                .is_some()
        );
        assert!(ended("0/4FFFFFF").is_nothing());
        assert_eq!(ended("0/4FFFFFF").exceeds(None, now()), None);
    }

    #[test]
    fn the_end_of_another_timeline_says_nothing() {
        let risk = risk().ending_at(Some(&closure(2, "0/4000000")), Some(Timeline(3)));
        assert_eq!((risk.bytes(), risk.is_nothing()), (None, false));
    }

    #[test]
    fn the_last_known_position_of_the_other_side_is_told() {
        assert!(risk().sentences()[1].contains("256 bytes further"));
    }

    #[test]
    fn a_target_that_still_gets_log_has_a_source_that_lives() {
        let streams = Supply {
            receiver: Some("streaming".to_owned()),
            newest: None,
        };
        assert!(streams.is_alive().is_some());
        let newest = |before: &str, after: &str| Supply {
            receiver: Some("stopping".to_owned()),
            newest: Some((before.to_owned(), after.to_owned())),
        };
        assert!(
            newest("01", "02")
                .is_alive()
                .unwrap()
                .contains("from 01 to 02")
        );
        assert_eq!(newest("02", "02").is_alive(), None);
        assert_eq!(Supply::default().is_alive(), None);
    }

    #[test]
    fn who_may_write_unseen_is_named() {
        let place = Place {
            context: "core1".to_owned(),
            namespace: "prod".to_owned(),
            cluster: "db".to_owned(),
        };
        let mut sight = SourceSight {
            members: vec![
                ("a-0".to_owned(), MemberSight::Stopped),
                ("a-1".to_owned(), MemberSight::Reads),
            ],
            deadline_job: Some("db-pgha-7".to_owned()),
            ..SourceSight::at(place)
        };
        assert_eq!((sight.silence(), sight.writer()), (None, None));
        assert_eq!(sight.not_down(), None);
        sight.members.push((
            "a-2".to_owned(),
            MemberSight::Silent("no answer".to_owned()),
        ));
        assert_eq!(sight.silence().unwrap(), "May run unseen: a-2 (no answer).");
        assert_eq!(sight.not_down(), sight.silence());
        sight.members[0].1 = MemberSight::Writes;
        assert_eq!(sight.primary(), Some("a-0"));
        assert_eq!(sight.not_down().unwrap(), "a-0 takes writes");
        sight.unseen = Some("no answer".to_owned());
        let told = "The source was not seen: no answer. If it runs, the Job db-pgha-7 there makes it primary again by itself.";
        assert_eq!(sight.silence().unwrap(), told);
    }
}
