//! The archive and the backups in it.

use super::inspection::RepositoryBranch;
use super::report::{Seen, any_member, report, sentence};
use super::{MAX_LAG_BYTES, SideFacts};
use crate::finding::Findings;
use crate::site::Part;
use crate::timeline::Timeline;

pub(super) fn judge(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    let newest = timeline(source);
    for (part, side) in [(Part::Source, source), (Part::Target, target)] {
        judge_repository(part, side, newest, findings);
    }
    judge_source(source, findings);
    judge_target(target, findings);
}

/// What is amiss in the repository of a side, while the service is on this timeline.
pub(super) fn judge_repository(
    part: Part,
    side: &SideFacts,
    timeline: Option<Timeline>,
    findings: &mut Findings,
) {
    report(
        findings,
        "archive-queue-limit",
        part,
        queue_limit(side),
        "Take archive-push-queue-max away: watch the volume instead.",
    );
    report(
        findings,
        "dead-branch",
        part,
        dead_branch(timeline, side),
        "Where the other side is to be made anew, `kubectl pgha rejoin … --rebuild` promotes the primary past it. Else have the \
         dead branch's history and segments taken out of the repository, or give the service another repository path and a \
         new backup, before anything is promoted or restored.",
    );
}

/// What a stop would leave behind.
pub(super) fn judge_source(source: &SideFacts, findings: &mut Findings) {
    report(
        findings,
        "archive-backlog",
        Part::Source,
        backlog(source),
        "Wait until the archive has caught up.",
    );
    judge_backups(source, findings);
}

/// What a promotion would set off.
pub(super) fn judge_target(target: &SideFacts, findings: &mut Findings) {
    report(
        findings,
        "no-pending-backup",
        Part::Target,
        Ok(pending_backup(target)),
        "Take the request back if it should not start by itself after the promotion.",
    );
}

fn queue_limit(side: &SideFacts) -> Seen {
    let in_object = side.inspection.queue_limit_in_object.as_ref();
    if let Some(limit) = in_object {
        return Ok(Some(format!(
            "The object sets archive-push-queue-max to {limit}."
        )));
    }
    any_member(&side.inspection, |member| {
        (!member.queue_limits.is_empty()).then(|| member.queue_limits.join(", "))
    })
}

fn dead_branch(timeline: Option<Timeline>, side: &SideFacts) -> Seen {
    let timeline = timeline.ok_or("the service's timeline is not known")?;
    let branches = side.inspection.branches.seen()?;
    let dead = branches.iter().filter_map(|branch| dead(branch, timeline));
    Ok(sentence(&dead.collect::<Vec<_>>()))
}

fn dead(branch: &RepositoryBranch, timeline: Timeline) -> Option<String> {
    let RepositoryBranch {
        repo,
        newest,
        same_as_leaders,
    } = branch;
    let newest = (*newest)?;
    if newest > timeline {
        return Some(format!(
            "{repo} has the history of timeline {newest}, and the source is on {timeline}"
        ));
    }
    (newest == timeline && *same_as_leaders == Some(false))
        .then(|| format!("{repo} has another history of timeline {newest} than this side's leader"))
}

/// The control file tells the timeline of the last checkpoint; right after a promotion Patroni knows better.
pub(crate) fn timeline(source: &SideFacts) -> Option<Timeline> {
    let control = source
        .postgres
        .as_ref()
        .map(|facts| Timeline(facts.checkpoint_timeline));
    let leader = source.survey.lock_holder();
    let live = leader.and_then(|member| member.freshest().ok()?.timeline);
    control.max(live)
}

fn backlog(source: &SideFacts) -> Seen {
    let server = &source.inspection.leader()?.server;
    let bytes = server
        .segments_to_archive
        .saturating_mul(server.segment_size_bytes.get());
    Ok((bytes > MAX_LAG_BYTES).then(|| {
        format!(
            "{} segments wait to be archived.",
            server.segments_to_archive
        )
    }))
}

fn judge_backups(source: &SideFacts, findings: &mut Findings) {
    let object = &source.survey.object;
    let has_first = object
        .repos
        .iter()
        .any(|repo| repo.replica_create_backup_complete);
    let none = object.last_backup.is_none() && !has_first;
    report(
        findings,
        "finished-backup",
        Part::Source,
        Ok(none.then(|| "No finished backup is on record.".to_owned())),
        "Take one with `kubectl pgha backup`, or the operator's own way.",
    );
    report(
        findings,
        "no-running-backup",
        Part::Source,
        running_backup(source),
        "Wait for it to finish.",
    );
}

fn pending_backup(target: &SideFacts) -> Option<String> {
    let object = &target.survey.object;
    let accepted = object.manual_backup.as_ref().map(|backup| &backup.id);
    let asked = object.requested_backup.as_ref();
    asked
        .filter(|id| accepted != Some(id))
        .map(|id| format!("Backup {id} was asked for and waits."))
}

pub(super) fn running_backup(source: &SideFacts) -> Seen {
    let manual = source.survey.object.manual_backup.as_ref();
    if let Some(backup) = manual.filter(|backup| !backup.finished) {
        return Ok(Some(format!("Backup {} is not finished.", backup.id)));
    }
    let running = source.inspection.leader()?.server.backups_running;
    Ok((running > 0).then(|| "A backup is connected to the leader.".to_owned()))
}
