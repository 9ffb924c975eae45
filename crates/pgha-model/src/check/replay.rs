//! Whether every member of the target replays all it gets: any of them could be elected.

use super::SideFacts;
use super::report::{any_member, report};
use crate::finding::Findings;
use crate::site::Part;

pub(super) fn judge(target: &SideFacts, findings: &mut Findings) {
    let inspection = &target.inspection;
    let part = Part::Target;
    report(
        findings,
        "replay-not-paused",
        part,
        any_member(inspection, |member| {
            (member.server.replay_paused == Some(true)).then(|| "replay is paused".to_owned())
        }),
        "Run `select pg_wal_replay_resume()` on every member of the target.",
    );
    report(
        findings,
        "no-apply-delay",
        part,
        any_member(inspection, |member| {
            let delay = member.server.apply_delay_ms;
            (delay != 0).then(|| format!("recovery_min_apply_delay is {delay} ms"))
        }),
        "Remove the delay: a promotion waits for it.",
    );
    report(
        findings,
        "no-recovery-target",
        part,
        any_member(inspection, |member| {
            let targets = &member.server.recovery_targets;
            (!targets.is_empty()).then(|| format!("{} is set", targets.join(" and ")))
        }),
        "Remove the recovery target.",
    );
}
