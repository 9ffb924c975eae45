//! The tasks of the procedure: the one place that says what takes the place of what.

use serde::Serialize;

use crate::event::Follower;
use crate::plan::Step;

/// What a person does by hand.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The sections of the run book that say so; `None` of what it does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<&'static str>,
    /// What is to be done, for any service.
    pub what: &'static str,
    /// Who does it here, in order.
    #[serde(skip)]
    pub by: &'static [Doer],
    /// Why a move does not do it where it does not, as full sentences.
    #[serde(skip)]
    pub otherwise: &'static str,
}

/// Who does a part of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doer {
    /// The backup before the move.
    Backup,
    /// A step of it.
    Step(Step),
    /// Somebody who follows.
    Follower(Follower),
    /// The command after it that lets the owners go.
    Release,
}

/// Every task, in the run book's order.
pub const TASKS: &[Task] = &[
    Task {
        section: Some("Initial State, Identify the leader"),
        what: "See which side is primary, which is its standby, and that nobody else moves them",
        by: &[Doer::Step(Step::Claim)],
        otherwise: "",
    },
    Task {
        section: Some("Full Backup"),
        what: "Take a full backup of the primary, and see it in the repository",
        by: &[Doer::Backup],
        otherwise: "No backup was asked for: neither --backup nor spec.backup of the service's file.",
    },
    Task {
        section: Some("Initial State"),
        what: "See that the standby holds the primary's data and gets what it writes",
        by: &[Doer::Step(Step::Rehearse)],
        otherwise: "Nothing was rehearsed: the other side was at rest, or not seen.",
    },
    Task {
        section: Some("Edit Platform site config, Render"),
        what: "Say in Git which side is primary: edit, render, review, commit, push, reconcile",
        by: &[Doer::Release],
        otherwise: "The objects were changed at the clusters. Where owners are held, `kubectl pgha release` lets them go once \
                    Git says the same.",
    },
    Task {
        section: Some("Demote"),
        what: "Make the primary a standby",
        by: &[Doer::Step(Step::Hold), Doer::Step(Step::Fence)],
        otherwise: "This command demotes nobody.",
    },
    Task {
        section: Some("Verify that the old primary is a standby"),
        what: "See that it takes no writes any more, and that the other side holds all that it has written",
        by: &[Doer::Step(Step::Prove)],
        otherwise: "This command compares no running pair.",
    },
    Task {
        section: Some("Promote"),
        what: "Make the standby primary",
        by: &[Doer::Step(Step::Promote)],
        otherwise: "This command promotes nobody.",
    },
    Task {
        section: Some("Verify that the new primary is one"),
        what: "See that it takes writes, that programs can log in to it, and that the old one does not write",
        by: &[Doer::Step(Step::Verify)],
        otherwise: "This command promotes nobody.",
    },
    Task {
        section: Some("Reconcile the application"),
        what: "Stop the application where the primary was, start it where it is, and see it ready",
        by: &[
            Doer::Step(Step::Drain),
            Doer::Follower(Follower::Poolers),
            Doer::Follower(Follower::Application),
        ],
        otherwise: "The service's file names no application and no pooler, or there was no file.",
    },
    Task {
        section: Some("Cut over NLB"),
        what: "Lead users to the new site, and see new ones arrive there",
        by: &[Doer::Follower(Follower::Users)],
        otherwise: "The service's file names no traffic, or there was no file.",
    },
    Task {
        section: Some("Test Login"),
        what: "Log in as a person, and check what the token proves",
        by: &[Doer::Follower(Follower::Login)],
        otherwise: "The service's file names no login, or there was no file. `kubectl pgha login --fresh` logs a person in, and checks \
                    the token.",
    },
    Task {
        section: None,
        what: "Have the target ready: it looks for log often, and asks no archive while it is promoted",
        by: &[Doer::Step(Step::Prepare), Doer::Step(Step::Detach)],
        otherwise: "This command needs no such preparation.",
    },
    Task {
        section: None,
        what: "Put every setting back, and have both operators work again",
        by: &[Doer::Step(Step::Release)],
        otherwise: "This command holds nothing that it would have to let go.",
    },
    Task {
        section: None,
        what: "See the old primary follow the new one",
        by: &[Doer::Step(Step::Rejoin)],
        otherwise: "This command does not wait for the other side.",
    },
];
