//! Bugs of other tools that a check or a plan keeps away, each by its name (docs/testing.md lists them all).

use super::failover::{FailoverConsent, FailoverFacts, judge_failover};
use super::inspection::SlotFacts;
use super::samples::{Sample, run_patroni, worst};
use crate::failover::{AcceptedLoss, Risk, SourceSight, Supply};
use crate::finding::Severity;
use crate::plan::{Demotion, plan_switchover};
use crate::service::samples::now;
use crate::site::Part::{Source, Target};

/// A standby cluster was made of a primary by an immediate stop, and its last commits were lost, before Patroni 4.1.
#[test]
fn patroni_1164_an_older_patroni_is_never_told_to_demote_itself() {
    for (version, demotion) in [
        ("3.3.11", Demotion::WhilePaused),
        ("4.0.9", Demotion::WhilePaused),
        ("4.1.0", Demotion::InPlace),
    ] {
        let mut sample = Sample::healthy();
        run_patroni(&mut sample.source, version);
        let plan = plan_switchover(&sample.source, &sample.target, sample.consent, now()).unwrap();
        assert_eq!(plan.demotion, demotion, "{version}");
    }
}

/// After a partition two pods were labelled master, and the wrong one was believed.
#[test]
fn zalando_2854_a_label_makes_no_leader() {
    let mut sample = Sample::healthy();
    let holder = sample.source.survey.lock_holder().unwrap().pod.clone();
    for member in &mut sample.source.survey.members {
        member.role_label = Some("master".to_owned());
    }
    match plan_switchover(&sample.source, &sample.target, sample.consent, now()) {
        Ok(plan) => assert_eq!(plan.source_leader.pod, holder),
        Err(refusal) => {
            let mut named = refusal.0.iter().map(|finding| finding.check);
            assert!(named.any(|check| check == "leader-evidence"), "{refusal:?}");
        }
    }
    // The lock's holder whose label was lost is doubted, and nobody else is taken for the leader.
    for member in &mut sample.source.survey.members {
        let label = if member.pod == holder {
            "replica"
        } else {
            "master"
        };
        member.role_label = Some(label.to_owned());
    }
    assert_eq!(worst(&sample.validate(), "leader-evidence"), Severity::Fail);
}

/// An option of Patroni deletes a data directory that may be the only copy of what was lost.
#[test]
fn canonical_1173_an_option_that_deletes_diverged_data_is_told() {
    let mut sample = Sample::healthy();
    let config = r#"{"postgresql":{"remove_data_directory_on_diverged_timelines":true}}"#;
    sample.patroni_config(Source, config);
    assert_ne!(
        worst(&sample.validate(), "keeps-diverged-data"),
        Severity::Pass
    );
}

/// A logical slot that was still catching up kept the primary from stopping, and the dry run had not said so.
#[test]
fn repmgr_841_a_logical_slot_that_the_target_lacks_is_refused() {
    let mut sample = Sample::healthy();
    let slot = SlotFacts {
        name: "cdc".to_owned(),
        is_logical: true,
        is_temporary: false,
        wal_status: Some("reserved".to_owned()),
        synced: None,
    };
    sample.server(Source, |member| member.server.slots.push(slot.clone()));
    assert_eq!(worst(&sample.validate(), "logical-slots"), Severity::Fail);
}

/// Followers with fewer worker processes than the new primary stopped.
#[test]
fn repmgr_826_a_standby_with_fewer_workers_is_told() {
    let mut sample = Sample::healthy();
    sample.server(Target, |member| {
        let limits = &mut member.server.limits;
        limits.insert("max_worker_processes".to_owned(), 4);
    });
    assert_ne!(worst(&sample.validate(), "standby-limits"), Severity::Pass);
}

/// A primary that nobody could see any more was still reached by its clients, and went on writing beside the new one.
#[test]
fn cnpg_7407_a_primary_that_is_only_unseen_is_not_failed_over_from() {
    let sample = Sample::healthy();
    let sight = SourceSight {
        unseen: Some("no answer within 10 s".to_owned()),
        ..SourceSight::at(sample.source.survey.place.clone())
    };
    let facts = FailoverFacts {
        target: &sample.target,
        source: None,
        sight: &sight,
        doubt: None,
        supply: &Supply::default(),
        risk: &Risk::default(),
    };
    let consent = FailoverConsent {
        step: sample.consent,
        accepted: Some(AcceptedLoss::RowsUnknown),
        word: None,
    };
    let findings = judge_failover(&facts, consent, now());
    let failing: Vec<_> = findings.failures().map(|finding| finding.check).collect();
    assert_eq!(failing, ["source-fenced"]);
}
