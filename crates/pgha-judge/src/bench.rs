//! The benchmark files: one record a run, as `cargo xtask bench … --json FILE` writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Handover, HandoverKind, State, Verdict};

/// How the standby site is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standby {
    /// From the archive alone.
    Archive,
    /// By streaming, with the archive.
    Streaming,
}

/// How the move was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The documented procedure, automated without waste.
    Documented,
    /// pgha.
    Pgha,
    /// pgha, interrupted once it had fenced the source: it takes the move back.
    Undone,
}

impl Method {
    /// Whether another site is primary in the end.
    pub fn moves(self) -> bool {
        match self {
            Self::Documented | Self::Pgha => true,
            Self::Undone => false,
        }
    }
}

/// One measured move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveRun {
    /// How the standby was fed.
    pub standby: Standby,
    /// Load writers beside the probe.
    pub writers: u32,
    /// How the move was made.
    pub method: Method,
    /// The probe's write gap in seconds.
    pub gap_s: f64,
    /// Acknowledged rows that the new primary does not hold.
    pub missing: u64,
    /// Whether the old side follows without a rebuild.
    pub rejoined: bool,
    /// What the gap was spent on, where the tool tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<GapParts>,
}

/// What a tool says that a write gap was spent on, in seconds; its own clock, so the sum is not the probe's gap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapParts {
    /// Until the source began to stop.
    #[serde(rename(deserialize = "reactionSeconds"))]
    pub reaction: f64,
    /// Until it had stopped.
    #[serde(rename(deserialize = "stopSeconds"))]
    pub stop: f64,
    /// Until the last log was at the target.
    #[serde(rename(deserialize = "shipSeconds"))]
    pub ship: f64,
    /// Until the target had replayed it.
    #[serde(rename(deserialize = "replaySeconds"))]
    pub replay: f64,
    /// Until the target's first commit.
    #[serde(rename(deserialize = "promoteSeconds"))]
    pub promote: f64,
}

impl GapParts {
    /// Name and seconds of each part, in order.
    pub fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("reaction", self.reaction),
            ("stop", self.stop),
            ("ship", self.ship),
            ("replay", self.replay),
            ("promote", self.promote),
        ]
    }
}

/// The file of `bench move`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MoveFile {
    /// The runs, in the order in which they were made.
    pub runs: Vec<MoveRun>,
}

/// The program that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// `kubectl-pgha`.
    Pgha,
    /// kubectl, on the same objects.
    Kubectl,
    /// An empty Rust program.
    Empty,
}

/// One measured command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CliRun {
    /// The command, for instance `leader`.
    pub command: String,
    /// The program.
    pub tool: Tool,
    /// Wall time in milliseconds.
    pub wall_ms: f64,
    /// Peak resident memory in KiB.
    pub rss_kib: u64,
    /// Requests that the API server's audit log counted.
    pub requests: u64,
}

/// The file of `bench cli`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CliFile {
    /// The runs, in the order in which they were made.
    pub runs: Vec<CliRun>,
}

/// One measurement of what users notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficRun {
    /// What was done: `haproxy-runtime`, `token-check` or `pooler-move`.
    pub what: String,
    /// By whom, or what is measured beside it.
    pub by: By,
    /// In milliseconds: from the command to the first request that the new site answered (`haproxy-runtime`), from the start of the
    /// program to its end (`token-check`), or the longest wait of a client (`pooler-move`).
    pub ms: f64,
    /// Requests that failed meanwhile; of a pooler's clients no more than 20 are counted.
    pub errors: u64,
    /// `ms` by the write gap of the same move, where there is one.
    pub ratio_to_gap: Option<f64>,
}

/// Who did what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// `kubectl pgha`.
    Pgha,
    /// One line on the product's own socket.
    Bare,
    /// `kubectl pgha --version`: the start of the program alone.
    Version,
    /// A program of the same library that has the issuer's keys at hand.
    Keys,
    /// An empty program.
    Empty,
}

/// The file of `bench traffic`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrafficFile {
    /// The runs, in the order in which they were made.
    pub runs: Vec<TrafficRun>,
}

/// One move of a pair that Flux or Argo CD owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GitopsRun {
    /// How it was made.
    pub mode: Mode,
    /// The write gap, in seconds.
    pub gap_s: f64,
    /// Acknowledged rows that the new primary lacks.
    pub missing: u64,
    /// How long those who apply the repository took for a commit at the target, right before the move, in seconds: from the push until
    /// the object's owner says that it has it.
    pub reconcile_s: f64,
}

/// In what order clusters and Git are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The clusters alone, with the owners held.
    Direct,
    /// The clusters, then Git.
    Fast,
    /// Git first, applied by Flux.
    GitFlux,
    /// Git first, applied by Argo CD.
    GitArgo,
}

/// The file of `bench gitops`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GitopsFile {
    /// The runs, in the order in which they were made.
    pub runs: Vec<GitopsRun>,
}

/// Why a verdict is no measurement of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotMeasured {
    /// An assumption does not hold.
    Assumption(String),
    /// The run shows another number of moves, or of moves that were taken back, than one.
    Moves(usize),
    /// There is no single primary whose rows could be counted.
    NoPrimary,
}

impl fmt::Display for NotMeasured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assumption(says) => write!(f, "the run is no measurement: {says}"),
            Self::Moves(count) => write!(f, "the run shows {count} moves, not one"),
            Self::NoPrimary => write!(f, "the run ended without a single primary"),
        }
    }
}

impl std::error::Error for NotMeasured {}

impl MoveRun {
    /// The record of the one move that `verdict` shows, or of the one that was taken back. A broken promise is part of the record, a broken assumption
    /// makes it worthless.
    ///
    /// # Errors
    /// See [`NotMeasured`].
    pub fn measured(
        verdict: &Verdict,
        standby: Standby,
        writers: u32,
        method: Method,
    ) -> Result<Self, NotMeasured> {
        if let Some(broken) = verdict
            .assumptions
            .iter()
            .find(|check| check.state != State::Holds)
        {
            return Err(NotMeasured::Assumption(broken.rests_on.clone()));
        }
        let handovers = verdict.handovers.iter();
        let is_one = |one: &&Handover| (one.kind == HandoverKind::Move) == method.moves();
        let handovers: Vec<&Handover> = handovers.filter(is_one).collect();
        let [only] = handovers[..] else {
            return Err(NotMeasured::Moves(handovers.len()));
        };
        let account = verdict.account.as_ref().ok_or(NotMeasured::NoPrimary)?;
        Ok(Self {
            standby,
            writers,
            method,
            gap_s: seconds(only.gap_us),
            missing: u64::try_from(account.missing.len()).unwrap_or(u64::MAX),
            rejoined: verdict.holds("old-side-follows"),
            parts: None,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gap of 2^53 microseconds is 285 years"
)]
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// The middle and the 95th percentile of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest figure that at least 95 percent do not exceed.
    pub p95: f64,
}

/// The spread of `figures`; none of no figures.
pub fn spread(figures: &[f64]) -> Option<Spread> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let median = f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]);
    Some(Spread {
        median,
        p95: sorted[(sorted.len() * 95).div_ceil(100) - 1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_published_shape() {
        let run = MoveRun {
            standby: Standby::Archive,
            writers: 4,
            method: Method::Documented,
            gap_s: 1.23,
            missing: 0,
            rejoined: true,
            parts: None,
        };
        let json = serde_json::to_string(&MoveFile { runs: vec![run] }).unwrap();
        let expected = r#"{"runs":[{"standby":"archive","writers":4,"method":"documented","gap_s":1.23,"missing":0,"rejoined":true}]}"#;
        assert_eq!(json, expected);
        let says = r#"{"reactionSeconds":0.1,"stopSeconds":0.2,"shipSeconds":0.0,"replaySeconds":0.05,"promoteSeconds":0.3}"#;
        let parts = Some(serde_json::from_str(says).unwrap());
        let json = serde_json::to_string(&MoveRun { parts, ..run }).unwrap();
        let expected =
            r#""parts":{"reaction":0.1,"stop":0.2,"ship":0.0,"replay":0.05,"promote":0.3}}"#;
        assert!(json.ends_with(expected), "{json}");
        let (command, tool) = ("leader".to_owned(), Tool::Pgha);
        let run = CliRun {
            command,
            tool,
            wall_ms: 1.2,
            rss_kib: 1234,
            requests: 3,
        };
        let json = serde_json::to_string(&CliFile { runs: vec![run] }).unwrap();
        let expected = r#"{"runs":[{"command":"leader","tool":"pgha","wall_ms":1.2,"rss_kib":1234,"requests":3}]}"#;
        assert_eq!(json, expected);
        let run = TrafficRun {
            what: "pooler-move".to_owned(),
            by: By::Pgha,
            ms: 950.5,
            errors: 0,
            ratio_to_gap: Some(1.1),
        };
        let json = serde_json::to_string(&TrafficFile { runs: vec![run] }).unwrap();
        let expected = r#"{"runs":[{"what":"pooler-move","by":"pgha","ms":950.5,"errors":0,"ratio_to_gap":1.1}]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn the_file_of_gitops_names_its_modes() {
        let run = GitopsRun {
            mode: Mode::GitFlux,
            gap_s: 1.5,
            missing: 0,
            reconcile_s: 0.5,
        };
        let json = serde_json::to_string(&GitopsFile { runs: vec![run] }).unwrap();
        let expected =
            r#"{"runs":[{"mode":"git-flux","gap_s":1.5,"missing":0,"reconcile_s":0.5}]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn the_spread_of_few_figures_is_exact() {
        assert_eq!(spread(&[]), None);
        assert_eq!(
            spread(&[2.0]),
            Some(Spread {
                median: 2.0,
                p95: 2.0
            })
        );
        assert_eq!(
            spread(&[4.0, 1.0, 3.0, 2.0]),
            Some(Spread {
                median: 2.5,
                p95: 4.0
            })
        );
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            spread(&hundred),
            Some(Spread {
                median: 50.5,
                p95: 95.0
            })
        );
    }
}
