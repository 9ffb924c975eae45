//! What runs and what is stored at a side, and what a stop or a promotion does to it.

use super::SideFacts;
use super::report::{Seen, any_member, report};
use crate::finding::Findings;
use crate::site::Part;

/// Seconds for which a transaction may be open without being told.
const LONG_TRANSACTION_S: i64 = 60;

/// Segments for which there must be room.
const SEGMENTS_OF_ROOM: u64 = 16;

/// Seconds by which clocks may differ, the time of a look included.
const CLOCK_DIFFERENCE_S: u64 = 5;

/// Names that are told before the rest is counted.
const NAMES_SHOWN: usize = 5;

pub(super) fn judge(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    judge_source(source, findings);
    report(
        findings,
        "operators-pooler",
        Part::Source,
        Ok(operators_pooler(source)),
        "Let programs that must see no error come through a PgBouncer of yours, which a move pauses: spec.poolers of the service's \
         file.",
    );
    for (part, side) in [(Part::Source, source), (Part::Target, target)] {
        report(
            findings,
            "disk-space",
            part,
            disk_space(side),
            "Make room on the volume.",
        );
        report(
            findings,
            "clocks-agree",
            part,
            clocks_agree(side),
            "Let the nodes and this machine keep their time by NTP.",
        );
    }
}

/// It has no user that may enter its admin console, and gets none without new pods.
fn operators_pooler(source: &SideFacts) -> Option<String> {
    let service = source.inspection.operators_pooler.as_ref()?;
    Some(format!(
        "The operator's own pooler, {service}, cannot be paused without new pods: its clients see their connections end in a move."
    ))
}

/// What a stop would end or leave behind.
pub(super) fn judge_source(source: &SideFacts, findings: &mut Findings) {
    let part = Part::Source;
    report(
        findings,
        "unlogged-tables",
        part,
        unlogged_tables(source),
        "Run ALTER TABLE … SET LOGGED where the rows matter.",
    );
    judge_long_transactions(source, findings);
    report(
        findings,
        "prepared-transactions",
        part,
        prepared_transactions(source),
        "Commit them or roll them back before the move.",
    );
    report(
        findings,
        "rewind-possible",
        part,
        rewind_possible(source),
        "Turn wal_log_hints on.",
    );
    report(
        findings,
        "peer-reachable",
        part,
        peer_reachable(source),
        "Open the network from the source's pods to that host and port.",
    );
}

/// What a stop of the leader would end.
pub(super) fn judge_long_transactions(source: &SideFacts, findings: &mut Findings) {
    report(
        findings,
        "long-transactions",
        Part::Source,
        long_transactions(source),
        "Wait for it, or end it yourself.",
    );
}

fn unlogged_tables(source: &SideFacts) -> Seen {
    let leader = source.inspection.leader()?;
    let tables: Vec<_> = leader
        .databases
        .iter()
        .flat_map(|(name, database)| {
            database
                .unlogged_tables
                .iter()
                .map(move |table| format!("{name}: {table}"))
        })
        .collect();
    if tables.is_empty() {
        return Ok(None);
    }
    let shown = tables.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>();
    let more = match tables.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Ok(Some(format!("Unlogged: {}{more}.", shown.join(", "))))
}

fn long_transactions(source: &SideFacts) -> Seen {
    let age = source.inspection.leader()?.server.oldest_transaction_s;
    Ok((age > LONG_TRANSACTION_S).then(|| format!("A transaction has been open for {age} s.")))
}

fn prepared_transactions(source: &SideFacts) -> Seen {
    let count = source.inspection.leader()?.server.prepared_transactions;
    Ok((count > 0).then(|| format!("Prepared transactions: {count}.")))
}

fn rewind_possible(source: &SideFacts) -> Seen {
    let possible = source.inspection.leader()?.server.can_rewind;
    Ok((!possible).then(|| "There are neither data checksums nor wal_log_hints.".to_owned()))
}

fn peer_reachable(source: &SideFacts) -> Seen {
    let answers = source.inspection.leader()?.reaches_peer;
    Ok((answers == Some(false))
        .then(|| "The host of the source's standby section does not take connections.".to_owned()))
}

fn disk_space(side: &SideFacts) -> Seen {
    any_member(&side.inspection, |member| {
        let wanted = SEGMENTS_OF_ROOM.saturating_mul(member.server.segment_size_bytes.get());
        let free = member.free_bytes?;
        (free < wanted).then(|| format!("{} MiB are free", free >> 20))
    })
}

fn clocks_agree(side: &SideFacts) -> Seen {
    let behind = side.inspection.leader()?.clock_behind_s;
    let by = behind.unsigned_abs();
    Ok((by > CLOCK_DIFFERENCE_S).then(|| {
        let word = if behind > 0 { "behind" } else { "ahead of" };
        format!("The leader's clock is {by} s {word} this machine's.")
    }))
}
