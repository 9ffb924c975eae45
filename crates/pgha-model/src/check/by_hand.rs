//! What the operators' documented way of a switch, `spec.standby` set by hand on one side after the other, would do to
//! this pair. A switchover of this tool goes another way and is not touched by it.

use super::SideFacts;
use super::report::{Seen, report};
use crate::finding::Findings;
use crate::member::PatroniVersion;
use crate::site::Part;

/// The checks of this kind.
pub(crate) const CHECKS: [&str; 2] = ["stops-cleanly-by-hand", "last-segment-by-hand"];

/// What both advise.
const ADVICE: &str = "Move with `kubectl pgha switchover`, which stops the source cleanly and proves that the target has \
                      everything; do not set spec.standby by hand.";

pub(super) fn judge(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    let [stop, segment] = CHECKS;
    report(
        findings,
        stop,
        Part::Source,
        Ok(stops_at_once(source)),
        ADVICE,
    );
    report(
        findings,
        segment,
        Part::Source,
        keeps_last_segment(source, target),
        ADVICE,
    );
}

fn stops_at_once(source: &SideFacts) -> Option<String> {
    let versions = source.survey.members.iter();
    let versions = versions.filter_map(|member| member.freshest().ok()?.patroni);
    let old = versions
        .filter(|version| *version < PatroniVersion::FIRST_WITH_CLEAN_DEMOTION)
        .min()?;
    Some(format!(
        "Patroni {old} stops a primary at once when its object becomes a standby's: commits that are not on the target \
         yet would be lost with the old side."
    ))
}

fn keeps_last_segment(source: &SideFacts, target: &SideFacts) -> Seen {
    let streams = target.inspection.leader()?.server.receiver_status.is_some();
    if streams || !source.inspection.leader()?.archives_asynchronously {
        return Ok(None);
    }
    Ok(Some(
        "With archive-async Patroni cannot push the segment of the shutdown checkpoint: the target, fed by the archive, \
         would fork before the source's end, and the old side would never follow again."
            .to_owned(),
    ))
}
