//! Each check has a way to fail here, and the list is complete.

use std::collections::BTreeSet;

use super::catalog::CHECKS;
use super::inspection::{Inspection, MemberFacts, SlotFacts, WalsenderFacts};
use super::samples::{Sample, worst};
use crate::finding::Severity;
use crate::member::MemberStatus;
use crate::observed::Observed;
use crate::owner::OwnerKind;
use crate::service::samples::{
    PRIMARY, STANDBY, at_work, helm_release, promote, set_status, set_system_identifier, suspended,
};
use crate::site::Part::{Source, Target};
use crate::survey::{ManualBackup, SiteSurvey};
use crate::timeline::Timeline;

type Spoil = fn(&mut Sample);

/// For each check what makes it fail or warn.
const SPOILERS: &[(&str, Spoil)] = &[
    ("sites-differ", |s| {
        s.target.survey.object.uid = s.source.survey.object.uid.clone();
    }),
    ("system-identifier", |s| {
        set_system_identifier(&mut s.target.survey, "8");
    }),
    ("roles", |s| set_status(&mut s.target.survey, PRIMARY)),
    ("roles", |s| set_status(&mut s.source.survey, STANDBY)),
    ("leader-evidence", |s| {
        s.source.survey.members[0].role_label = Some("replica".to_owned());
    }),
    ("members-running", |s| {
        each_status(&mut s.target.survey, |status| {
            "starting".clone_into(&mut status.state);
        });
    }),
    ("operator-not-paused", |s| {
        s.source.survey.object.paused = true;
    }),
    ("not-shut-down", |s| s.target.survey.object.shutdown = true),
    ("no-pending-switchover", |s| {
        s.source.survey.object.pending_switchover = Some("x".to_owned());
    }),
    ("no-hidden-standby", |s| {
        s.target.survey.object.hidden_standby_section = true;
    }),
    ("not-managed", |s| {
        s.source.survey.object.owners = vec![helm_release()];
    }),
    ("owner-to-hold", |s| {
        s.consent.holds = true;
        s.source.survey.object.owners = vec![at_work()];
    }),
    ("owner-held", |s| {
        s.source.survey.object.owners = vec![suspended()];
    }),
    ("patroni-not-paused", |s| {
        if let Observed::Seen(store) = &mut s.target.survey.store {
            store.paused = true;
        }
    }),
    ("patroni-version", |s| {
        each_status(&mut s.source.survey, |status| status.patroni = None);
    }),
    ("postgres-answers", |s| s.source.postgres = None),
    ("postgres-role", |s| {
        if let Some(facts) = &mut s.target.postgres {
            facts.in_recovery = false;
        }
    }),
    ("archive-works", |s| {
        if let Some(facts) = &mut s.source.postgres {
            facts.failing_archive = Some("000000010000000000000007".to_owned());
        }
    }),
    ("replay-not-paused", |s| {
        at_replica(s, |m| m.server.replay_paused = Some(true));
    }),
    ("no-apply-delay", |s| {
        at_replica(s, |m| m.server.apply_delay_ms = 60_000);
    }),
    ("no-recovery-target", |s| {
        at_replica(s, |m| {
            m.server.recovery_targets = vec!["recovery_target_time".to_owned()];
        });
    }),
    ("target-close", |s| {
        if let Some(facts) = &mut s.source.postgres {
            facts.flushed = Some("1/0".parse().unwrap());
        }
    }),
    ("standby-section", |s| {
        s.target.survey.object.standby_section = None;
    }),
    ("same-timeline", |s| {
        if let Some(facts) = &mut s.target.postgres {
            facts.checkpoint_timeline = 2;
        }
    }),
    ("can-follow", |s| {
        promote(&mut s.source.survey, 2, "0/5000000", "0/A000000");
    }),
    ("server-version", |s| {
        s.server(Target, |m| m.server.version = 160_004);
    }),
    ("server-minor-version", |s| {
        s.server(Target, |m| m.server.version = 150_017);
    }),
    ("collation-versions", |s| collation(s, 0, "2.41")),
    ("collation-versions", |s| collation(s, 1, "153.121")),
    ("extension-libraries", |s| {
        s.server(Target, |m| m.server.extensions_offered.clear());
    }),
    ("extension-libraries", |s| {
        s.server(Target, |m| {
            m.server.extensions_offered[0].default_version = Some("16.0".to_owned());
        });
    }),
    ("extension-libraries", |s| {
        s.server(Target, |m| m.server.extensions_offered[0].versions.clear());
    }),
    ("preload-libraries", |s| {
        s.server(Target, |m| m.server.preload_libraries.clear());
    }),
    ("standby-limits", |s| {
        at_replica(s, |m| {
            m.server.limits.insert("max_worker_processes".to_owned(), 4);
        });
    }),
    ("room-for-followers", |s| {
        s.server(Target, |m| {
            m.server.limits.insert("max_wal_senders".to_owned(), 0);
        });
    }),
    ("logical-slots", |s| {
        s.server(Source, |m| m.server.slots.push(logical(None)));
    }),
    ("logical-slots", |s| {
        s.server(Source, |m| m.server.slots.push(logical(Some(false))));
        s.server(Target, |m| m.server.slots.push(logical(Some(false))));
    }),
    ("slots-reserved", |s| {
        s.server(Source, |m| {
            let mut slot = logical(None);
            slot.wal_status = Some("lost".to_owned());
            m.server.slots.push(slot);
        });
    }),
    ("other-walsenders", |s| {
        s.server(Source, |m| {
            "pg_receivewal".clone_into(&mut m.server.walsenders[0].application_name);
        });
    }),
    ("fed-by-source", |s| {
        s.server(Source, |m| m.server.walsenders.clear());
    }),
    ("synchronous-standbys", |s| {
        s.patroni_config(
            Target,
            r#"{"synchronous_mode":true,"synchronous_mode_strict":true}"#,
        );
    }),
    ("synchronous-standbys", |s| {
        s.server(Target, |m| {
            "elsewhere-0".clone_into(&mut m.server.synchronous_standby_names);
        });
    }),
    ("synchronous-mode-alike", |s| {
        s.patroni_config(Source, r#"{"synchronous_mode":"on"}"#);
    }),
    ("member-names-differ", |s| {
        "core2-0".clone_into(&mut s.source.survey.members[0].pod);
    }),
    ("archive-queue-limit", |s| {
        at_replica(s, |m| {
            m.queue_limits = vec!["archive-push-queue-max=1GB".to_owned()];
        });
    }),
    ("archive-queue-limit", |s| {
        s.source.inspection.queue_limit_in_object = Some("1GB".to_owned());
    }),
    ("archive-backlog", |s| {
        s.server(Source, |m| m.server.segments_to_archive = 100);
    }),
    ("dead-branch", |s| branch(s, Timeline(2), None)),
    ("dead-branch", |s| branch(s, Timeline(1), Some(false))),
    ("finished-backup", |s| {
        s.source.survey.object.last_backup = None;
    }),
    ("no-pending-backup", |s| {
        s.target.survey.object.requested_backup = Some("b7".to_owned());
    }),
    ("no-running-backup", |s| {
        s.server(Source, |m| m.server.backups_running = 1);
    }),
    ("no-running-backup", |s| {
        s.source.survey.object.manual_backup = Some(ManualBackup {
            id: "b7".to_owned(),
            finished: false,
            succeeded: 0,
            failed: 0,
            completed_at: None,
        });
    }),
    ("unlogged-tables", |s| {
        s.server(Source, |m| {
            let database = m.databases.values_mut().next().unwrap();
            database.unlogged_tables = vec!["public.cache".to_owned()];
        });
    }),
    ("long-transactions", |s| {
        s.server(Source, |m| m.server.oldest_transaction_s = 3600);
    }),
    ("prepared-transactions", |s| {
        s.server(Source, |m| m.server.prepared_transactions = 1);
    }),
    ("rewind-possible", |s| {
        s.server(Source, |m| m.server.can_rewind = false);
    }),
    ("keeps-diverged-data", |s| {
        let config = r#"{"postgresql":{"remove_data_directory_on_diverged_timelines":true}}"#;
        s.patroni_config(Source, config);
    }),
    ("disk-space", |s| {
        at_replica(s, |m| m.free_bytes = Some(1 << 20));
    }),
    ("peer-reachable", |s| {
        s.server(Source, |m| m.reaches_peer = Some(false));
    }),
    ("user-secrets", |s| secret(s, 0)),
    ("pgbouncer-secret", |s| secret(s, 1)),
    ("monitoring-secret", |s| secret(s, 2)),
    ("permissions", |s| {
        if let Observed::Seen(permissions) = &mut s.target.inspection.permissions {
            permissions[0].allowed = false;
        }
    }),
    ("operators-pooler", |s| {
        s.source.inspection.operators_pooler = Some("zitadel-pgbouncer".to_owned());
    }),
    ("clocks-agree", |s| {
        s.server(Target, |m| m.clock_behind_s = -60);
    }),
    ("stops-cleanly-by-hand", |s| {
        each_status(&mut s.source.survey, |status| {
            status.patroni = Some("3.3.8".parse().unwrap());
        });
    }),
    ("last-segment-by-hand", |s| {
        s.server(Target, |m| m.server.receiver_status = None);
    }),
];

#[test]
fn a_healthy_pair_is_ready() {
    let validation = Sample::healthy().validate();
    let amiss: Vec<_> = validation
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Pass)
        .collect();
    assert!(amiss.is_empty(), "{amiss:#?}");
    assert!(validation.ready_for_switchover.ready && validation.ready_for_failover.ready);
    let silent = validation
        .findings
        .iter()
        .find(|finding| finding.seen.is_empty());
    assert_eq!(silent, None, "a pass says what was seen");
}

#[test]
fn each_check_can_fail_with_the_severity_of_the_list() {
    for (id, spoil) in SPOILERS {
        let mut sample = Sample::healthy();
        spoil(&mut sample);
        let validation = sample.validate();
        let check = super::catalog::find(id).unwrap();
        assert_eq!(worst(&validation, id), check.severity, "{id}");
        let told = validation
            .findings
            .iter()
            .find(|finding| finding.check == *id && finding.severity == check.severity);
        let told = told.unwrap();
        assert!(
            told.seen.ends_with('.') && told.advice.ends_with('.'),
            "{told:?}"
        );
        let blocked = validation.ready_for_switchover.blocked_by.contains(id);
        assert_eq!(blocked, check.severity == Severity::Fail, "{id}");
    }
}

#[test]
fn every_check_of_the_list_is_made_and_has_a_spoiler() {
    let listed: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
    let spoiled: BTreeSet<_> = SPOILERS.iter().map(|(id, _)| *id).collect();
    let validation = Sample::healthy().validate();
    let made: BTreeSet<_> = validation
        .findings
        .iter()
        .map(|finding| finding.check)
        .collect();
    assert_eq!(spoiled, listed);
    assert_eq!(made, listed);
}

#[test]
fn what_was_not_looked_at_does_not_hold() {
    let mut sample = Sample::healthy();
    sample.target.inspection = Inspection::unseen("pods/exec is not permitted");
    let validation = sample.validate();
    assert!(!validation.ready_for_failover.ready);
    for check in [
        "replay-not-paused",
        "collation-versions",
        "user-secrets",
        "permissions",
    ] {
        assert_eq!(worst(&validation, check), Severity::Fail, "{check}");
    }
    let told = validation
        .findings
        .iter()
        .find(|finding| finding.check == "user-secrets");
    assert_eq!(
        told.unwrap().seen,
        "This could not be looked at: pods/exec is not permitted."
    );
}

#[test]
fn a_failover_does_not_mind_what_only_the_source_lacks() {
    let mut sample = Sample::healthy();
    sample.server(Source, |m| {
        m.queue_limits = vec!["archive-push-queue-max=1GB".to_owned()];
    });
    let validation = sample.validate();
    assert_eq!(
        validation.ready_for_switchover.blocked_by,
        ["archive-queue-limit"]
    );
    assert!(validation.ready_for_failover.ready);
    collation(&mut sample, 0, "2.41");
    let validation = sample.validate();
    assert_eq!(
        validation.ready_for_failover.blocked_by,
        ["collation-versions"]
    );
}

#[test]
fn an_owner_that_the_user_allows_is_a_warning() {
    let mut sample = Sample::healthy();
    sample.target.survey.object.owners = vec![helm_release()];
    sample.consent.managed = true;
    let validation = sample.validate();
    assert_eq!(worst(&validation, "not-managed"), Severity::Warn);
    assert!(validation.ready_for_switchover.ready);
}

#[test]
fn an_owner_that_is_held_stops_no_move_unless_its_parent_frees_it() {
    let mut sample = Sample::healthy();
    sample.target.survey.object.owners = vec![suspended()];
    let validation = sample.validate();
    assert_eq!(worst(&validation, "not-managed"), Severity::Pass);
    assert!(validation.ready_for_switchover.ready);
    let parents = &mut sample.target.survey.object.owners[0].parents;
    parents.push(crate::owner::Parent {
        owner: "Flux Kustomization flux-system/root".to_owned(),
        named: None,
        holds: None,
        undoes_hold: true,
        reverts: Observed::unseen("it was not looked at"),
    });
    let validation = sample.validate();
    assert_eq!(worst(&validation, "not-managed"), Severity::Fail);
}

#[test]
fn an_owner_that_can_be_held_stops_no_move_that_holds_it() {
    let mut sample = Sample::healthy();
    sample.target.survey.object.owners = vec![at_work()];
    assert_eq!(worst(&sample.validate(), "not-managed"), Severity::Fail);
    sample.consent.holds = true;
    let validation = sample.validate();
    assert_eq!(worst(&validation, "not-managed"), Severity::Pass);
    assert_eq!(worst(&validation, "owner-to-hold"), Severity::Warn);
    assert!(validation.ready_for_switchover.ready);
    // Helm takes nothing back by itself; Fleet does, and has nothing to be held by.
    sample.target.survey.object.owners.push(helm_release());
    let validation = sample.validate();
    assert_eq!(worst(&validation, "not-managed"), Severity::Warn);
    sample.target.survey.object.owners[1].kind = OwnerKind::RancherFleet;
    sample.target.survey.object.owners[1].state = Observed::unseen("it was not looked at");
    let validation = sample.validate();
    assert_eq!(worst(&validation, "not-managed"), Severity::Fail);
    let seen = validation
        .findings
        .iter()
        .find(|one| one.severity == Severity::Fail);
    let seen = &seen.unwrap().seen;
    assert!(seen.contains("It is not held: "), "{seen}");
}

/// Patroni of a follower asks for the leader's history in this way (`rewind.py`, `get_replication_connection_cursor`).
#[test]
fn a_walsender_that_was_asked_for_no_log_is_in_nobodys_way() {
    let mut sample = Sample::healthy();
    let asking = |state: &str| WalsenderFacts {
        application_name: String::new(),
        state: state.to_owned(),
    };
    sample.server(Source, |m| m.server.walsenders.push(asking("startup")));
    let validation = sample.validate();
    assert_eq!(worst(&validation, "other-walsenders"), Severity::Pass);
    sample.server(Source, |m| m.server.walsenders.push(asking("catchup")));
    let validation = sample.validate();
    assert_eq!(worst(&validation, "other-walsenders"), Severity::Fail);
}

#[test]
fn a_history_that_the_source_made_itself_is_no_dead_branch() {
    let mut sample = Sample::healthy();
    branch(&mut sample, Timeline(1), Some(true));
    assert_eq!(worst(&sample.validate(), "dead-branch"), Severity::Pass);
}

#[test]
fn a_secret_that_is_missing_on_one_side_is_told_with_the_side() {
    let mut sample = Sample::healthy();
    if let Observed::Seen(secrets) = &mut sample.target.inspection.secrets {
        secrets[0].digests = None;
    }
    let validation = sample.validate();
    let told = validation
        .findings
        .iter()
        .find(|finding| finding.check == "user-secrets");
    assert_eq!(
        told.unwrap().seen,
        "secret zitadel-pguser-zitadel is not at the target."
    );
}

fn each_status(survey: &mut SiteSurvey, change: fn(&mut MemberStatus)) {
    for member in &mut survey.members {
        for status in [&mut member.live, &mut member.status] {
            if let Observed::Seen(status) = status {
                change(status);
            }
        }
    }
}

/// The member that does not lead could be elected too.
fn at_replica(sample: &mut Sample, change: impl FnOnce(&mut MemberFacts)) {
    if let Observed::Seen(facts) = &mut sample.target.inspection.members[1].1 {
        change(facts);
    }
}

fn collation(sample: &mut Sample, index: usize, actual: &str) {
    at_replica(sample, |member| {
        let database = member.databases.get_mut("zitadel").unwrap();
        database.collations[index].actual = Some(actual.to_owned());
    });
}

fn logical(synced: Option<bool>) -> SlotFacts {
    SlotFacts {
        name: "cdc".to_owned(),
        is_logical: true,
        is_temporary: false,
        wal_status: Some("reserved".to_owned()),
        synced,
    }
}

fn branch(sample: &mut Sample, newest: Timeline, same_as_leaders: Option<bool>) {
    if let Observed::Seen(branches) = &mut sample.target.inspection.branches {
        branches[0].newest = Some(newest);
        branches[0].same_as_leaders = same_as_leaders;
    }
}

fn secret(sample: &mut Sample, index: usize) {
    if let Observed::Seen(secrets) = &mut sample.target.inspection.secrets {
        let digests = secrets[index].digests.as_mut().unwrap();
        *digests.values_mut().next().unwrap() = 2;
    }
}
