//! What a service's sides come to together.

use super::*;

fn checks(service: &Service<'_>) -> Vec<&'static str> {
    service.notices.iter().map(|notice| notice.check).collect()
}

fn demoted(mut survey: SiteSurvey) -> SiteSurvey {
    samples::set_status(&mut survey, samples::STANDBY);
    survey
}

#[test]
fn one_system_identifier_is_one_service() {
    let mut other = samples::primary("core3");
    samples::set_system_identifier(&mut other, "8");
    let surveys = [samples::primary("core1"), other, samples::standby("core2")];
    let services = judge_services(&surveys, samples::now());
    let contexts: Vec<Vec<&str>> = services
        .iter()
        .map(|service| {
            let sides = service.sides.iter();
            sides
                .map(|side| side.survey.place.context.as_str())
                .collect()
        })
        .collect();
    assert_eq!(contexts, [vec!["core1", "core2"], vec!["core3"]]);
    assert!(services.iter().all(Service::is_healthy));
}

#[test]
fn sides_that_do_not_say_who_they_are_stay_apart() {
    let mut silent = samples::primary("core1");
    samples::set_system_identifier(&mut silent, "");
    silent.members[0].live = Observed::unseen("not permitted");
    silent.store = Observed::unseen("not permitted");
    let surveys = [silent.clone(), silent];
    assert_eq!(judge_services(&surveys, samples::now()).len(), 2);
}

#[test]
fn the_standby_side_follows_the_primary_one() {
    let surveys = [samples::standby("core2"), samples::primary("core1")];
    let services = judge_services(&surveys, samples::now());
    let service = &services[0];
    assert_eq!(service.state, ServiceState::OnePrimary);
    assert_eq!(service.primary().unwrap().survey.place.context, "core1");
    assert_eq!(
        service.sides[0].following,
        Some(Following {
            lag_bytes: Some(0x48),
            feed: Feed::Streaming {
                from_primary: Some(true)
            },
            branch: Branch::Same,
        })
    );
    assert_eq!(service.sides[1].following, None);
    assert_eq!(checks(service), [""; 0]);
}

#[test]
fn every_state_but_one_primary_has_its_notice() {
    let (primary, standby) = (samples::primary("core1"), samples::standby("core2"));
    let mut leaderless = standby.clone();
    leaderless.lock = Observed::unseen("not permitted");
    let cases = [
        (
            vec![primary.clone(), samples::primary("core2")],
            ServiceState::BothPrimary,
            "both-primary",
        ),
        (
            vec![demoted(primary), standby.clone()],
            ServiceState::BothStandby,
            "both-standby",
        ),
        (
            vec![standby.clone(), leaderless],
            ServiceState::NoPrimary,
            "no-primary",
        ),
        (
            vec![standby],
            ServiceState::PrimaryElsewhere,
            "primary-elsewhere",
        ),
    ];
    for (surveys, state, check) in cases {
        let services = judge_services(&surveys, samples::now());
        assert_eq!(services[0].state, state);
        assert!(checks(&services[0]).contains(&check), "{check}");
        assert!(services[0].primary().is_none());
        let is_warning = state == ServiceState::PrimaryElsewhere;
        assert_eq!(services[0].is_healthy(), is_warning, "{check}");
    }
}

#[test]
fn one_backup_of_any_side_is_enough() {
    let (mut primary, mut standby) = (samples::primary("core1"), samples::standby("core2"));
    primary.object.last_backup = None;
    let surveys = [primary.clone(), standby.clone()];
    assert_eq!(
        checks(&judge_services(&surveys, samples::now())[0]),
        [""; 0]
    );
    standby.object.last_backup = None;
    let surveys = [primary, standby];
    let services = judge_services(&surveys, samples::now());
    assert_eq!(checks(&services[0]), ["no-backup"]);
    assert!(services[0].is_healthy());
}

#[test]
fn a_side_alone_without_a_leader_says_it_once() {
    let mut side = samples::primary("core1");
    side.lock = Observed::unseen("there is none yet");
    let surveys = [side];
    let services = judge_services(&surveys, samples::now());
    assert_eq!(services[0].state, ServiceState::NoPrimary);
    assert_eq!(checks(&services[0]), ["leader"]);
    assert!(!services[0].is_healthy());
}

#[test]
fn a_wedged_standby_is_named_first_and_alone() {
    let mut primary = samples::primary("core1");
    samples::promote(&mut primary, 2, "0/6000000", "0/9000000");
    let surveys = [primary, samples::standby("core2")];
    let services = judge_services(&surveys, samples::now());
    assert_eq!(checks(&services[0]), ["wedged"]);
    assert_eq!(services[0].notices[0].severity, Severity::Fail);
    assert!(!services[0].is_healthy());
}

#[test]
fn what_may_be_the_only_copy_of_commits_is_not_to_be_rebuilt_at_once() {
    // The standby stands at 0/70001B8: with its shutdown checkpoint alone past the fork, or with more.
    for (fork, is_checkpoint_alone) in [("0/7000120", true), ("0/6000000", false)] {
        let mut primary = samples::primary("core1");
        samples::promote(&mut primary, 2, fork, "0/9000000");
        let surveys = [primary, samples::standby("core2")];
        let services = judge_services(&surveys, samples::now());
        let notice = &services[0].notices[0];
        assert_eq!(
            notice.seen.contains("lost on the primary"),
            !is_checkpoint_alone
        );
        assert_eq!(
            notice.advice.contains("the only copy"),
            !is_checkpoint_alone
        );
    }
}

#[test]
fn a_standby_fed_by_nobody_or_by_another_is_told() {
    let mut primary = samples::primary("core1");
    samples::set_status(
        &mut primary,
        &samples::PRIMARY.replace("core2-0", "other-0"),
    );
    let surveys = [primary.clone(), samples::standby("core2")];
    let services = judge_services(&surveys, samples::now());
    assert_eq!(checks(&services[0]), ["fed-from-elsewhere"]);

    let mut idle = samples::standby("core2");
    samples::set_status(
        &mut idle,
        &samples::STANDBY.replace(r#""replication_state":"streaming","#, ""),
    );
    let surveys = [primary, idle];
    let services = judge_services(&surveys, samples::now());
    assert_eq!(checks(&services[0]), ["not-receiving"]);
}
