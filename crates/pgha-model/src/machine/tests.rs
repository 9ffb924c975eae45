use super::*;

/// Everything that can be observed of a command.
const SEEN: [Observation; 7] = [
    Observation::Settled,
    Observation::Undone { was_fenced: false },
    Observation::Undone { was_fenced: true },
    Observation::Failed(Cause::Trouble),
    Observation::Failed(Cause::Interrupted),
    Observation::Failed(Cause::GivenUp),
    Observation::Failed(Cause::Superseded),
];

const CLAIMED: Reached = Reached {
    claimed: true,
    fence_sent: false,
    promotion_sent: false,
    harmless: false,
    released: false,
};

const FENCED: Reached = Reached {
    fence_sent: true,
    ..CLAIMED
};

/// The machine that awaits the end of this command.
const fn awaiting(awaited: Command) -> Machine {
    Machine { awaited }
}

fn after(command: Command, seen: Observation, reached: Reached) -> Command {
    awaiting(command).step(seen, reached).1
}

fn failed(command: Command, reached: Reached) -> Command {
    after(command, Observation::Failed(Cause::Trouble), reached)
}

fn left(standing: Standing) -> Command {
    Command::Stop(End::Left(standing))
}

#[test]
fn a_move_in_which_everything_settles_takes_every_step_in_order() {
    let (mut machine, mut command) = Machine::begin();
    let mut commands = Vec::new();
    while !matches!(command, Command::Stop(_)) {
        commands.push(command);
        (machine, command) = machine.step(Observation::Settled, FENCED);
    }
    assert_eq!(command, Command::Stop(End::Done));
    let mut wanted: Vec<_> = Step::ALL.into_iter().map(Command::Perform).collect();
    let promotion = Step::ALL.iter().position(|step| *step == Step::Promote);
    wanted.insert(promotion.unwrap(), Command::Decide(Decision::Promote));
    assert_eq!(commands, wanted);
}

#[test]
fn nothing_is_promoted_but_after_the_decision_and_nothing_is_undone_after_the_promotion_was_sent() {
    let commands = Step::ALL.into_iter().map(Command::Perform).chain([
        Command::Decide(Decision::Promote),
        Command::Decide(Decision::GoBack),
        Command::Undo,
        Command::ReleaseAllTheSame,
    ]);
    for command in commands {
        for seen in SEEN {
            let next = after(command, seen, FENCED);
            if next == Command::Perform(Step::Promote) {
                assert_eq!(command, Command::Decide(Decision::Promote));
            }
            if next == Command::Undo {
                assert_eq!(command, Command::Decide(Decision::GoBack), "{seen:?}");
            }
            let sent = Reached {
                promotion_sent: true,
                ..FENCED
            };
            let next = after(Command::Perform(Step::Promote), seen, sent);
            assert!(next != Command::Undo && next != Command::Decide(Decision::GoBack));
        }
    }
}

#[test]
fn whoever_was_superseded_does_nothing_more() {
    for step in Step::ALL {
        let seen = Observation::Failed(Cause::Superseded);
        let next = after(Command::Perform(step), seen, FENCED);
        assert_eq!(next, left(Standing::Superseded));
    }
    let seen = Observation::Failed(Cause::Superseded);
    for command in [Command::Undo, Command::Decide(Decision::GoBack)] {
        assert_eq!(after(command, seen, FENCED), left(Standing::Superseded));
    }
}

#[test]
fn a_failure_before_the_fence_is_undone_and_needs_no_decision() {
    assert_eq!(
        failed(Command::Perform(Step::Claim), Reached::default()),
        left(Standing::Unchanged)
    );
    for step in [
        Step::Hold,
        Step::Prepare,
        Step::Rehearse,
        Step::Drain,
        Step::Detach,
    ] {
        assert_eq!(
            failed(Command::Perform(step), CLAIMED),
            Command::Undo,
            "{step:?}"
        );
    }
    let undone = Observation::Undone { was_fenced: false };
    assert_eq!(
        after(Command::Undo, undone, CLAIMED),
        left(Standing::Unchanged)
    );
    assert_eq!(failed(Command::Undo, CLAIMED), left(Standing::Held));
}

#[test]
fn a_failure_after_the_fence_is_undone_only_once_that_is_decided() {
    for command in [
        Command::Perform(Step::Fence),
        Command::Perform(Step::Prove),
        Command::Decide(Decision::Promote),
        Command::Perform(Step::Promote),
    ] {
        let back = Command::Decide(Decision::GoBack);
        assert_eq!(failed(command, FENCED), back, "{command:?}");
    }
    assert_eq!(
        failed(Command::Decide(Decision::GoBack), FENCED),
        left(Standing::Fenced)
    );
    let undone = Observation::Undone { was_fenced: true };
    assert_eq!(
        after(Command::Undo, undone, FENCED),
        left(Standing::BackAtSource)
    );
    assert_eq!(failed(Command::Undo, FENCED), left(Standing::Fenced));
}

#[test]
fn operators_get_their_clusters_back_only_where_they_do_no_harm_and_somebody_waits() {
    let promoted = Reached {
        promotion_sent: true,
        ..FENCED
    };
    let harmless = Reached {
        harmless: true,
        ..promoted
    };
    let verify = Command::Perform(Step::Verify);
    assert_eq!(failed(verify, promoted), left(Standing::Promoted));
    assert_eq!(failed(verify, harmless), Command::ReleaseAllTheSame);
    let gave_up = Observation::Failed(Cause::GivenUp);
    assert_eq!(after(verify, gave_up, harmless), left(Standing::Promoted));
    let released = Reached {
        released: true,
        ..harmless
    };
    let release = Command::ReleaseAllTheSame;
    assert_eq!(
        after(release, Observation::Settled, released),
        left(Standing::Released)
    );
    assert_eq!(failed(release, harmless), left(Standing::Promoted));
    assert_eq!(
        failed(Command::Perform(Step::Rejoin), released),
        left(Standing::Released)
    );
}
