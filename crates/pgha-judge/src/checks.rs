//! Each assumption and each promise, with what it rests on.

use crate::{
    Account, Check, Handover, HandoverKind, Ledger, Overlap, Question, Side, State, Unread,
    WalFinding,
};

fn check(id: &str, holds: bool, rests_on: String) -> Check {
    let state = if holds { State::Holds } else { State::Broken };
    Check {
        id: id.to_owned(),
        state,
        rests_on,
    }
}

fn unjudged(id: &str, rests_on: &str) -> Check {
    Check {
        id: id.to_owned(),
        state: State::Unjudged,
        rests_on: rests_on.to_owned(),
    }
}

pub(crate) fn ledger_complete(ledger: &Ledger, question: &Question) -> Check {
    let other_faults: Vec<&String> = ledger
        .faults
        .iter()
        .filter(|fault| !is_clock_fault(fault))
        .collect();
    let says = if let Some(fault) = other_faults.first() {
        format!("the ledger contradicts itself: {fault}")
    } else if ledger.ended_us.is_some() {
        format!(
            "{} rows, each written down before it was sent, and an end",
            ledger.rows.len()
        )
    } else if question.is_open {
        format!(
            "{} rows so far, of a writer that is running",
            ledger.rows.len()
        )
    } else {
        "the ledger has no end: the writer was killed or crashed".to_owned()
    };
    let is_ended = ledger.ended_us.is_some() && !ledger.is_torn;
    check(
        "ledger-complete",
        other_faults.is_empty() && (is_ended || question.is_open),
        says,
    )
}

fn is_clock_fault(fault: &str) -> bool {
    fault.starts_with("the clock")
}

pub(crate) fn clock_monotonic(ledger: &Ledger) -> Check {
    let drift = |(at_us, wall_us): &(u64, i64)| wall_us - ledger.wall_us - at_us.cast_signed();
    let drifts: Vec<i64> = ledger.beats.iter().map(drift).collect();
    let spread = drifts
        .iter()
        .max()
        .zip(drifts.iter().min())
        .map_or(0, |(max, min)| max - min);
    let says = match ledger.faults.iter().find(|fault| is_clock_fault(fault)) {
        Some(fault) => fault.clone(),
        None => format!(
            "every line is later than the one before; wall time differs from it by {} at most",
            ms(spread)
        ),
    };
    check(
        "clock-monotonic",
        !ledger.faults.iter().any(|fault| is_clock_fault(fault)),
        says,
    )
}

pub(crate) fn writer_ran_through(longest_stall_us: u64, question: &Question) -> Check {
    let says = format!(
        "the writer showed that it ran at least every {} (allowed {})",
        ms(longest_stall_us.cast_signed()),
        ms(question.max_stall_us.cast_signed())
    );
    check(
        "writer-ran-through",
        longest_stall_us <= question.max_stall_us,
        says,
    )
}

pub(crate) fn moves_measured(handovers: &[Handover], question: &Question) -> Check {
    let moves: Vec<&Handover> = handovers
        .iter()
        .filter(|handover| handover.kind == HandoverKind::Move)
        .collect();
    let poor = moves
        .iter()
        .find(|one| one.rows_before.min(one.rows_after) < question.min_rows);
    let is_expected = question
        .expected_moves
        .is_none_or(|expected| expected == moves.len());
    let says = match (poor, question.expected_moves) {
        (Some(poor), _) => format!(
            "only {} rows of the probe before and {} after the move to {} (wanted {})",
            poor.rows_before, poor.rows_after, poor.target, question.min_rows
        ),
        (None, Some(expected)) if !is_expected => {
            format!("{} moves were seen, {expected} expected", moves.len())
        }
        (None, _) => format!(
            "{} moves, each with {} rows of the probe or more on both sides",
            moves.len(),
            question.min_rows
        ),
    };
    check("moves-measured", poor.is_none() && is_expected, says)
}

pub(crate) fn same_service(sides: &[Side], unread: &[Unread]) -> Check {
    let mut identifiers: Vec<&str> = sides
        .iter()
        .map(|side| side.system_identifier.as_str())
        .collect();
    identifiers.dedup();
    match (identifiers.as_slice(), sides.len() + unread.len()) {
        ([one], 2..) => check(
            "same-service",
            true,
            format!("system identifier {one} on every side that was read"),
        ),
        ([_], _) => unjudged("same-service", "only one side was looked at"),
        ([], _) => unjudged("same-service", "no side could be read"),
        (several, _) => check(
            "same-service",
            false,
            format!("system identifiers {}", several.join(", ")),
        ),
    }
}

pub(crate) fn one_primary(primaries: &[&Side], unread: &[Unread]) -> Check {
    let id = "one-primary";
    match (primaries, unread) {
        ([only], []) => check(
            id,
            true,
            format!(
                "only {} is out of recovery, on timeline {}",
                name(only),
                only.timeline
            ),
        ),
        ([only], [unread, ..]) => unjudged(
            id,
            &format!("{} is out of recovery, but {unread}", name(only)),
        ),
        ([], [unread, ..]) => unjudged(id, &unread.to_string()),
        ([], []) => check(
            id,
            false,
            "every member is in recovery: nobody takes writes".to_owned(),
        ),
        (several, _) => {
            let names: Vec<_> = several
                .iter()
                .map(|side| format!("{} (timeline {})", name(side), side.timeline))
                .collect();
            check(
                id,
                false,
                format!("out of recovery at the same time: {}", names.join(", ")),
            )
        }
    }
}

fn name(side: &Side) -> String {
    format!("{} {}", side.site, side.member)
}

pub(crate) fn one_writer(overlaps: &[Overlap], ledger: &Ledger) -> Check {
    let says = match overlaps.first() {
        Some(first) => format!(
            "{} took {} rows on timeline {} while {} took {} on timeline {}, for {}",
            first.elder.site,
            first.elder_rows,
            first.elder.timeline,
            first.younger.site,
            first.younger_rows,
            first.younger.timeline,
            ms((first.until_us - first.from_us).cast_signed())
        ),
        None => format!(
            "no two servers' acknowledged rows overlap in time ({} servers were reached)",
            ledger.servers.len()
        ),
    };
    check("one-writer", overlaps.is_empty(), says)
}

pub(crate) fn row_checks(account: Option<&Account>) -> Vec<Check> {
    let Some(account) = account else {
        let ids = ["nothing-missing", "no-duplicates", "nothing-invented"];
        return ids
            .map(|id| unjudged(id, "no single primary whose rows could be counted"))
            .into();
    };
    let invented = account.refused_present.len() + account.unheard_of.len();
    vec![
        check(
            "nothing-missing",
            account.missing.is_empty() && account.acknowledged > 0,
            format!(
                "{} of {} acknowledged rows are missing on the primary",
                account.missing.len(),
                account.acknowledged
            ),
        ),
        check(
            "no-duplicates",
            account.duplicates.is_empty(),
            format!(
                "{} of {} rows are there more than once",
                account.duplicates.len(),
                account.present
            ),
        ),
        check(
            "nothing-invented",
            invented == 0,
            format!("{invented} rows are there that were refused or never sent"),
        ),
    ]
}

pub(crate) fn follow_checks(
    ledger: &Ledger,
    sides: &[Side],
    primary: Option<&Side>,
    unread: &[Unread],
) -> Vec<Check> {
    let (old, replicas) = ("old-side-follows", "replicas-follow");
    let Some(primary) = primary else {
        return [old, replicas]
            .map(|id| unjudged(id, "there is no single primary to follow"))
            .into();
    };
    let is_here = |site: &str| site == primary.site;
    let follows = |id, here: bool| {
        let silent = unread.iter().find(|unread| is_here(&unread.site) == here);
        let others: Vec<&Side> = sides
            .iter()
            .filter(|side| is_here(&side.site) == here && !std::ptr::eq(*side, primary))
            .collect();
        follows(id, ledger, primary, &others, silent)
    };
    let is_alone = !sides.iter().any(|side| !is_here(&side.site))
        && !unread.iter().any(|one| !is_here(&one.site));
    let old = if is_alone {
        unjudged(old, "only the primary's site was looked at")
    } else {
        follows(old, false)
    };
    vec![old, follows(replicas, true)]
}

fn follows(
    id: &str,
    ledger: &Ledger,
    primary: &Side,
    others: &[&Side],
    silent: Option<&Unread>,
) -> Check {
    if let Some(silent) = silent {
        return check(id, false, silent.to_string());
    }
    for other in others {
        let lacks = |id| primary.rows.contains_key(id) && !other.rows.contains_key(id);
        let missing = ledger.acknowledged().filter(|row| lacks(&row.id)).count();
        if !other.in_recovery || other.timeline != primary.timeline || missing > 0 {
            let role = if other.in_recovery {
                "replays"
            } else {
                "writes"
            };
            let says = format!(
                "{} {role} timeline {} at {} and lacks {missing} rows of the primary, which is on timeline {}",
                name(other),
                other.timeline,
                other.lsn,
                primary.timeline
            );
            return check(id, false, says);
        }
    }
    let says = format!(
        "{} members hold every acknowledged row that the primary holds, on timeline {}",
        others.len(),
        primary.timeline
    );
    check(id, true, says)
}

pub(crate) fn wal_checks(wal: &WalFinding) -> Vec<Check> {
    let (lost, forked) = (
        "no-commit-outside-history",
        "forks-after-shutdown-checkpoint",
    );
    let mut checks = Vec::new();
    checks.push(match (wal.stray_commits.first(), wal.uncovered.first()) {
        (Some(stray), _) => check(
            lost,
            false,
            format!(
                "{} commits outside the primary's history, the first on {} ({}), timeline {} at {}",
                wal.stray_commits.len(),
                stray.member,
                stray.site,
                stray.timeline,
                stray.record.lsn
            ),
        ),
        (None, Some(uncovered)) => unjudged(lost, uncovered),
        (None, None) => check(
            lost,
            true,
            format!(
                "the logs around {} forks hold no commit past them",
                wal.forks.len()
            ),
        ),
    });
    checks.push(
        match (
            wal.unclean_forks.first(),
            wal.stray_others.first(),
            wal.uncovered.first(),
        ) {
            (Some(fork), ..) => check(
                forked,
                false,
                format!(
                    "timeline {} was left at {} before the source's shutdown checkpoint",
                    fork.timeline, fork.at
                ),
            ),
            (None, Some(stray), _) => check(
                forked,
                false,
                format!(
                    "{} went on past the fork of timeline {}, at {}",
                    stray.member, stray.timeline, stray.record.lsn
                ),
            ),
            (None, None, Some(uncovered)) => unjudged(forked, uncovered),
            (None, None, None) => check(
                forked,
                true,
                format!(
                    "{} forks, each right after a shutdown checkpoint",
                    wal.forks.len()
                ),
            ),
        },
    );
    checks
}

pub(crate) fn ms(us: i64) -> String {
    format!("{}.{} ms", us / 1000, (us % 1000).abs() / 100)
}
