use super::*;
use crate::event::{Followed, Standing};
use crate::record::tests::{at, record};
use crate::record::{BackupBefore, Ending, RecordedEvent};

/// A move of these events, a second each, that has ended; without a standing it went as planned.
fn moved(events: Vec<Event>, standing: Option<Standing>) -> MoveRecord {
    let events = (1..).zip(events).map(|(second, event)| RecordedEvent {
        at: at(second),
        event,
    });
    MoveRecord {
        events: events.collect(),
        followers: Some(Vec::new()),
        ending: Some(Ending {
            at: at(90),
            standing,
            because: None,
            result: None,
        }),
        ..record(3)
    }
}

fn settled(step: Step) -> Event {
    Event::Settled {
        step,
        took: Duration::from_secs(2),
        evidence: format!("{} is so.", step.name()),
    }
}

fn followed(who: Follower, arrived: bool) -> Event {
    Event::Noted {
        step: Step::Rejoin,
        text: "They were seen.".to_owned(),
        followed: Some(Followed {
            who,
            arrived,
            took: Duration::from_secs(1),
        }),
    }
}

fn all() -> Vec<Event> {
    let steps = Step::ALL.into_iter().filter(|step| *step != Step::Drain);
    steps.map(settled).collect()
}

fn told(record: &MoveRecord) -> Vec<Row> {
    runbook(&Story {
        chain: vec![record],
        releases: Vec::new(),
    })
}

fn answer(record: &MoveRecord, section: &str) -> Answer {
    let rows = told(record);
    let mut rows = rows.iter();
    let row = rows.find(|row| row.task.section == Some(section));
    row.unwrap().answer
}

#[test]
fn every_step_of_a_move_takes_the_place_of_a_task_once() {
    for step in Step::ALL {
        let doers = TASKS.iter().flat_map(|task| task.by);
        let count = doers.filter(|doer| **doer == Doer::Step(step)).count();
        assert_eq!(count, 1, "{}", step.name());
    }
    for who in [
        Follower::Poolers,
        Follower::Application,
        Follower::Users,
        Follower::Login,
    ] {
        let mut doers = TASKS.iter().flat_map(|task| task.by);
        assert!(doers.any(|doer| *doer == Doer::Follower(who)));
    }
}

#[test]
fn a_move_that_went_as_planned_proves_each_task_that_was_part_of_it() {
    let record = moved(all(), None);
    for row in told(&record) {
        let is_proved = row.answer == Answer::Proved;
        assert!(is_proved || row.answer == Answer::NotPart, "{row:?}");
        assert_eq!(
            (row.proofs.is_empty(), row.because.is_none()),
            (!is_proved, is_proved),
            "{row:?}"
        );
    }
    let proof = &told(&record)[6].proofs[0];
    assert_eq!(
        (proof.by, proof.said.as_str()),
        ("promote", "promote is so.")
    );
    assert_eq!(record.events[proof.event.unwrap()].at, proof.at);
    for section in ["Full Backup", "Reconcile the application", "Cut over NLB"] {
        assert_eq!(answer(&record, section), Answer::NotPart, "{section}");
    }
}

#[test]
fn who_followed_and_the_backup_before_are_proofs() {
    let mut events = all();
    let all = [Follower::Application, Follower::Users, Follower::Login];
    events.extend(all.map(|who| followed(who, true)));
    let mut record = moved(events, None);
    record.followers = Some(all.to_vec());
    record.backup = Some(BackupBefore {
        id: "pgha-1".to_owned(),
        repo: "repo2".to_owned(),
        label: None,
        at: at(0),
        took: Duration::from_mins(5),
        evidence: "It is there.".to_owned(),
    });
    for section in [
        "Full Backup",
        "Reconcile the application",
        "Cut over NLB",
        "Test Login",
    ] {
        assert_eq!(answer(&record, section), Answer::Proved, "{section}");
    }
}

#[test]
fn who_was_left_behind_is_no_proof() {
    let mut events = all();
    events.push(followed(Follower::Users, false));
    let mut record = moved(events, None);
    assert_eq!(answer(&record, "Cut over NLB"), Answer::NotProved);
    // The command that moves them afterwards notes so in the same record.
    let event = followed(Follower::Users, true);
    record.events.push(RecordedEvent { at: at(95), event });
    assert_eq!(answer(&record, "Cut over NLB"), Answer::Proved);
}

#[test]
fn a_move_that_stopped_says_how_far_it_came() {
    let mut events: Vec<Event> = all().into_iter().take(5).collect();
    events.push(Event::Started { step: Step::Fence });
    let mut record = moved(events, Some(Standing::Fenced));
    record.followers = Some(vec![Follower::Users]);
    assert_eq!(answer(&record, "Demote"), Answer::NotProved);
    assert_eq!(answer(&record, "Promote"), Answer::NotReached);
    assert_eq!(answer(&record, "Cut over NLB"), Answer::NotReached);
    let event = Event::Undone {
        evidence: "It is back.".to_owned(),
    };
    record.events.push(RecordedEvent { at: at(50), event });
    assert_eq!(answer(&record, "Initial State"), Answer::TakenBack);
}

#[test]
fn what_an_older_record_does_not_say_is_not_said() {
    let mut record = moved(all(), None);
    record.followers = None;
    assert_eq!(answer(&record, "Cut over NLB"), Answer::Untold);
    record.action = Action::Release;
    assert!(told(&record).is_empty());
}

#[test]
fn the_release_after_it_is_what_git_says() {
    let record = moved(all(), None);
    let mut release = moved(vec![settled(Step::Release)], None);
    (release.action, release.epoch) = (Action::Release, Epoch(4));
    let rows = runbook(&Story {
        chain: vec![&record],
        releases: vec![&release],
    });
    let git = rows.iter().find(|row| row.task.by == [Doer::Release]);
    let git = git.unwrap();
    assert_eq!(
        (git.answer, git.proofs[0].epoch),
        (Answer::Proved, Epoch(4))
    );
}

#[test]
fn what_was_taken_over_is_told_with_what_went_on() {
    let mut first = moved(all().into_iter().take(7).collect(), None);
    first.ending = None;
    first.followers = Some(vec![Follower::Users]);
    let mut resumed = moved(vec![settled(Step::Claim), settled(Step::Release)], None);
    (resumed.action, resumed.epoch) = (Action::Resume, Epoch(4));
    let mut promoted = moved(
        vec![settled(Step::Promote), followed(Follower::Users, true)],
        None,
    );
    (promoted.action, promoted.epoch) = (Action::Promote, Epoch(5));
    let story = Story {
        chain: vec![&first, &resumed, &promoted],
        releases: Vec::new(),
    };
    let rows = runbook(&story);
    let of = |section| {
        rows.iter()
            .find(|row| row.task.section == Some(section))
            .unwrap()
    };
    for (section, epoch) in [("Demote", 3), ("Promote", 5), ("Cut over NLB", 5)] {
        let row = of(section);
        assert_eq!(
            (row.answer, row.proofs.last().unwrap().epoch),
            (Answer::Proved, Epoch(epoch))
        );
    }
    assert_eq!(
        of("Verify that the new primary is one").answer,
        Answer::NotReached
    );
    resumed.action = Action::Abort;
    let aborted = Story {
        chain: vec![&first, &resumed],
        releases: Vec::new(),
    };
    let rows = runbook(&aborted);
    let demoted = rows
        .iter()
        .find(|row| row.task.section == Some("Demote"))
        .unwrap();
    assert_eq!(demoted.answer, Answer::TakenBack);
}
