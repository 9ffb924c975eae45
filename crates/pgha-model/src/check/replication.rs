//! Who takes the log from whom, and what the new primary would wait for.

use serde_json::Value;

use super::SideFacts;
use super::report::{Seen, any_member, report, sentence};
use crate::finding::Findings;
use crate::follow::{Branch, judge_following};
use crate::member::MemberStatus;
use crate::observed::Observed;
use crate::site::Part;

pub(super) fn judge(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    report(
        findings,
        "can-follow",
        Part::Target,
        can_follow(source, target),
        "Compare it with the source, for it may be the only copy of commits that the source lacks; then rebuild it from \
         the source's backup.",
    );
    report(
        findings,
        "logical-slots",
        Part::Source,
        logical_slots(source, target),
        "Keep each slot in step at the target (Postgres 17: failover slots and sync_replication_slots), or drop it and \
         give its subscriber a new start after the move.",
    );
    report(
        findings,
        "slots-reserved",
        Part::Source,
        slots_reserved(source),
        "Drop the slot, or let its follower catch up.",
    );
    report(
        findings,
        "other-walsenders",
        Part::Source,
        other_walsenders(source, target),
        "Stop them before the move, and point them to the new primary afterwards.",
    );
    report(
        findings,
        "fed-by-source",
        Part::Target,
        fed_by_source(source, target),
        "Let the target's standby section name the source, and wait until it streams from there. A receiver stays with a \
         member of the source that was leader when it connected: restart the target's leader then, and it connects anew.",
    );
    report(
        findings,
        "room-for-followers",
        Part::Target,
        room_for_followers(target),
        "Raise max_wal_senders or max_replication_slots at the target.",
    );
    judge_synchronous(target, findings);
    report(
        findings,
        "synchronous-mode-alike",
        None,
        synchronous_mode_alike(source, target),
        "Set synchronous_mode alike in both objects.",
    );
    report(
        findings,
        "member-names-differ",
        None,
        Ok(shared_names(source, target)),
        "Recreate one of them under another name.",
    );
    for (part, side) in [(Part::Source, source), (Part::Target, target)] {
        report(
            findings,
            "keeps-diverged-data",
            part,
            config(side).map(|config| deletes_data(&config)),
            "Take these settings out of Patroni's configuration.",
        );
    }
}

/// Whether the target's commits would wait for replicas that it has not.
pub(super) fn judge_synchronous(target: &SideFacts, findings: &mut Findings) {
    report(
        findings,
        "synchronous-standbys",
        Part::Target,
        synchronous_standbys(target),
        "Give the target enough replicas, or change its synchronous settings before the move.",
    );
}

/// Right after a promotion a standby's branch may be undecided, by its control file too; a move sees a canary replayed before it stops anything.
fn can_follow(source: &SideFacts, target: &SideFacts) -> Seen {
    let leader = |side: &SideFacts| {
        let member = side.survey.lock_holder().ok_or("a side has no leader")?;
        let status = member.freshest()?.clone();
        Ok::<_, String>((member.pod.clone(), status))
    };
    let ((_, primary), (name, mut standby)) = (leader(source)?, leader(target)?);
    if let Some(postgres) = &target.postgres {
        standby.reached = postgres.reached();
    }
    let history = match source.survey.store.seen() {
        Ok(store) => store.history.clone(),
        Err(because) => Observed::unseen(because),
    };
    match judge_following(&primary, &history, &standby, &name).branch {
        Branch::Same | Branch::Ancestor { .. } | Branch::Undecided { .. } => Ok(None),
        Branch::Wedged {
            timeline,
            forked_at,
            end,
        } => Ok(Some(format!(
            "The target is wedged: it holds timeline {timeline} up to {end}, and the source's history left that timeline \
             at {forked_at}."
        ))),
        Branch::Foreign { timeline } => Ok(Some(format!(
            "The target is on timeline {timeline}, which is no part of the source's history: it was a primary on a \
             branch of its own."
        ))),
        Branch::Unseen { because } => Err(because),
    }
}

fn logical_slots(source: &SideFacts, target: &SideFacts) -> Seen {
    let leader = source.inspection.leader()?;
    let wanted: Vec<_> = leader
        .server
        .slots
        .iter()
        .filter(|slot| slot.is_logical && !slot.is_temporary)
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let copies = &target.inspection.leader()?.server.slots;
    let amiss = wanted.iter().filter_map(|slot| {
        let copy = copies
            .iter()
            .find(|copy| copy.is_logical && copy.name == slot.name);
        match copy {
            None => Some(format!("slot {} is not at the target", slot.name)),
            Some(copy) if copy.synced == Some(false) => Some(format!(
                "slot {} at the target is not kept in step",
                slot.name
            )),
            Some(copy) if copy.wal_status.as_deref() == Some("lost") => {
                Some(format!("slot {} at the target has lost its log", slot.name))
            }
            Some(_) => None,
        }
    });
    Ok(sentence(&amiss.collect::<Vec<_>>()))
}

fn slots_reserved(source: &SideFacts) -> Seen {
    let slots = source.inspection.leader()?.server.slots.iter();
    let short = slots.filter_map(|slot| {
        let status = slot.wal_status.as_deref()?;
        matches!(status, "lost" | "unreserved").then(|| format!("slot {} is {status}", slot.name))
    });
    Ok(sentence(&short.collect::<Vec<_>>()))
}

fn other_walsenders(source: &SideFacts, target: &SideFacts) -> Seen {
    let members = || source.survey.members.iter().chain(&target.survey.members);
    let senders = source.inspection.leader()?.server.walsenders.iter();
    // One that was asked for no log yet is not waited for at a stop (PostgreSQL source, `walsender.c`, `WalSndWaitStopping` and
    // `HandleWalSndInitStopping`); Patroni's followers look at a history by such a one.
    let others = senders
        .filter(|sender| sender.state != "startup")
        .filter(|sender| members().all(|member| member.pod != sender.application_name))
        .map(|sender| format!("`{}` ({})", sender.application_name, sender.state));
    let others: Vec<_> = others.collect();
    Ok((!others.is_empty()).then(|| format!("Others take the log: {}.", others.join(", "))))
}

fn fed_by_source(source: &SideFacts, target: &SideFacts) -> Seen {
    if target.inspection.leader()?.server.receiver_status.is_none() {
        return Ok(None);
    }
    let Some(leader) = target.survey.lock_holder() else {
        return Err("the target has no leader".to_owned());
    };
    let mut senders = source.inspection.leader()?.server.walsenders.iter();
    let is_there = senders.any(|sender| sender.application_name == leader.pod);
    Ok((!is_there).then(|| {
        format!(
            "{} streams, and the source's leader does not send to it.",
            leader.pod
        )
    }))
}

fn room_for_followers(target: &SideFacts) -> Seen {
    let server = &target.inspection.leader()?.server;
    let used = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let full = [
        ("max_wal_senders", used(server.walsenders.len())),
        ("max_replication_slots", used(server.slots.len())),
    ];
    let full = full.into_iter().filter_map(|(name, used)| {
        let limit = *server.limits.get(name)?;
        (used >= limit).then(|| format!("{name} is {limit}, and {used} are in use"))
    });
    Ok(sentence(&full.collect::<Vec<_>>()))
}

fn synchronous_standbys(target: &SideFacts) -> Seen {
    let holder = target.survey.lock_holder().map(|member| &member.pod);
    let replicas: Vec<&str> = target
        .survey
        .members
        .iter()
        .filter(|member| Some(&member.pod) != holder)
        .filter(|member| member.freshest().is_ok_and(MemberStatus::is_running))
        .map(|member| member.pod.as_str())
        .collect();
    let config = config(target)?;
    let wanted = strictly_wanted(&config);
    if wanted > replicas.len() {
        return Ok(Some(format!(
            "synchronous_mode_strict waits for {wanted} replicas, and {} run.",
            replicas.len()
        )));
    }
    any_member(&target.inspection, |member| {
        let names = &member.server.synchronous_standby_names;
        let (wanted, there) = satisfied(names, &replicas);
        (wanted > there).then(|| {
            format!("synchronous_standby_names is `{names}`: {wanted} are waited for, and {there} of them run here")
        })
    })
}

fn config(side: &SideFacts) -> Result<Value, String> {
    let store = side.survey.store.seen()?;
    serde_json::from_str(&store.config)
        .map_err(|_| "Patroni's configuration is not JSON".to_owned())
}

/// How many replicas a primary with this configuration waits for without a way out (Patroni documentation,
/// "Replication modes").
fn strictly_wanted(config: &Value) -> usize {
    if !is_on(&config["synchronous_mode_strict"]) || !is_on(&config["synchronous_mode"]) {
        return 0;
    }
    let count = config["synchronous_node_count"].as_u64().unwrap_or(1);
    usize::try_from(count.max(1)).unwrap_or(usize::MAX)
}

/// Patroni takes `quorum` and the words that YAML takes for a true value.
fn is_on(setting: &Value) -> bool {
    match setting {
        Value::Bool(on) => *on,
        Value::String(word) => {
            matches!(
                word.to_lowercase().as_str(),
                "on" | "true" | "yes" | "1" | "quorum"
            )
        }
        Value::Number(number) => number.as_i64() == Some(1),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// How many standbys `synchronous_standby_names` waits for, and how many of these replicas it would count
/// (PostgreSQL documentation, 20.6.2).
fn satisfied(names: &str, replicas: &[&str]) -> (usize, usize) {
    let names = names.trim();
    if names.is_empty() {
        return (0, replicas.len());
    }
    let (head, list) = names.split_once('(').map_or(("1", names), |(head, list)| {
        (head, list.trim_end_matches([')', ' ']))
    });
    let wanted = head
        .split_whitespace()
        .next_back()
        .and_then(|word| word.parse().ok());
    let listed: Vec<String> = list
        .split(',')
        .map(|name| name.trim().trim_matches('"').to_lowercase())
        .collect();
    let counts = |replica: &&&str| {
        listed
            .iter()
            .any(|name| name == "*" || *name == replica.to_lowercase())
    };
    (wanted.unwrap_or(1), replicas.iter().filter(counts).count())
}

fn synchronous_mode_alike(source: &SideFacts, target: &SideFacts) -> Seen {
    let (a, b) = (config(source)?, config(target)?);
    let mode = |config: &Value| {
        if is_on(&config["synchronous_mode"]) {
            "on"
        } else {
            "off"
        }
    };
    Ok((mode(&a) != mode(&b)).then(|| {
        format!(
            "synchronous_mode is {} at the source and {} at the target.",
            mode(&a),
            mode(&b)
        )
    }))
}

fn shared_names(source: &SideFacts, target: &SideFacts) -> Option<String> {
    let names = source.survey.members.iter().map(|member| &member.pod);
    let shared: Vec<_> = names
        .filter(|name| {
            target
                .survey
                .members
                .iter()
                .any(|member| member.pod == **name)
        })
        .map(String::as_str)
        .collect();
    (!shared.is_empty()).then(|| format!("At both sides there is {}.", shared.join(", ")))
}

fn deletes_data(config: &Value) -> Option<String> {
    let settings = [
        "remove_data_directory_on_rewind_failure",
        "remove_data_directory_on_diverged_timelines",
    ];
    let on = settings
        .into_iter()
        .filter(|name| is_on(&config["postgresql"][*name]))
        .map(|name| format!("{name} is on"));
    sentence(&on.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    #[test]
    fn standbys_are_counted_as_postgres_counts_them() {
        let replicas = ["a-0", "b-0"];
        assert_eq!(satisfied("", &replicas), (0, 2));
        assert_eq!(satisfied("*", &replicas), (1, 2));
        assert_eq!(satisfied("x, \"a-0\"", &replicas), (1, 1));
        assert_eq!(satisfied("FIRST 2 (a-0, x)", &replicas), (2, 1));
        assert_eq!(satisfied("ANY 3 (*)", &replicas), (3, 2));
        assert_eq!(satisfied("2 (A-0, B-0)", &replicas), (2, 2));
        assert_eq!(satisfied("other", &replicas), (1, 0));
    }
}
