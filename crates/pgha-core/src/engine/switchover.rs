//! A planned move, from the hold to the last member that follows.

mod after;
mod before;
mod declare;
mod fence;
mod handover;
pub(super) mod pause;
mod prove;
mod repository;
mod run;
mod schedule;
pub(super) mod wait;

use self::handover::Handover;
use std::time::Duration;

use futures::future::BoxFuture;
use pgha_model::application::Application;
use pgha_model::event::GapParts;
use pgha_model::login::Logins;
use pgha_model::lsn::Lsn;
use pgha_model::machine::Reached;
use pgha_model::plan::{Demotion, Feed, Plan, Step};
use pgha_model::proof::Closure;
use pgha_model::record::Epoch;
use pgha_model::site::Part;
use serde::Serialize;
use tokio::task::JoinSet;

use super::deadline::DeadlineJob;
use super::fence::Fence;
use super::promotion::NewPrimary;
use super::steps::Steps;
use super::{Aside, Interrupt, Limits, Reporter, Side};
use crate::clock::Instant;
use crate::exec::{ExecError, Output};
use crate::operator::pgo_v5::render;
use crate::patch::ObjectPatch;

/// Has the clients wait from now on, once the source is about to be fenced; what has come of it, as a full sentence, or why not, as a
/// clause. Whoever made it sees to it that they go on.
pub type Gate<'a> = Box<dyn FnOnce() -> BoxFuture<'a, Result<String, String>> + Send + 'a>;

/// Has Git say what one side is to be, by a commit that is named after the move's epoch; what Git says now, as a full sentence.
pub type Declare<'a> =
    Box<dyn FnMut(Part, Epoch) -> BoxFuture<'a, Result<String, GitFailure>> + Send + 'a>;

/// Why Git does not say it.
pub type GitFailure = Box<dyn std::error::Error + Send + Sync>;

/// A move under way.
pub struct Switchover<'a> {
    pub(super) plan: Plan,
    pub(super) source: Side,
    pub(super) target: Side,
    pub(super) limits: Limits,
    pub(super) steps: Steps<'a>,
    /// How far requests have gone: each is set before its request is sent.
    pub(super) reached: Reached,
    /// When the source was told to become a standby.
    pub(super) fenced_at: Option<Instant>,
    bound: Bound,
    /// The push of the source's last segment, which may outlast the promotion.
    pushing: JoinSet<Result<Output, ExecError>>,
    /// The waiting ends of the direct way from the source's log to the target's.
    handover: Option<Handover>,
    parts: GapParts,
    /// What goes back to the source if this tool dies.
    deadline: Option<DeadlineJob>,
    /// What stops at the source before it is fenced.
    application: Application,
    /// What has the clients wait from the fence on.
    gate: Option<Gate<'a>>,
    /// What has Git say first what each side is to be.
    declare: Option<Declare<'a>>,
    /// The name of the Job, once its container runs.
    deadline_job: Option<String>,
}

/// What a step has found out and a later one needs.
#[derive(Debug, Default)]
struct Bound {
    /// Where the source ended; by the fence.
    closure: Option<Closure>,
    /// That the target holds everything; by the proof.
    proof: Option<Proof>,
    /// What the new primary said, and the write gap; by the promotion.
    primary: Option<(NewPrimary, Duration)>,
    /// Where the new history forks, and what programs can do; by the verification.
    verified: Option<(Lsn, Logins)>,
}

/// What the source's end and the target's position prove together.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) closure: Closure,
    /// The end of the last record that the target's leader has replayed.
    pub(super) replayed: Lsn,
    /// The last segment came by the archive, which otherwise lacks it.
    pub(super) by_archive: bool,
}

/// A patch of the plan, at its step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPatch {
    /// When it is sent.
    pub step: Step,
    /// Where.
    pub part: Part,
    /// What.
    #[serde(flatten)]
    pub patch: ObjectPatch,
}

/// A patch of this side, at this step.
pub(super) fn planned(step: Step, side: &Side, patch: ObjectPatch) -> PlannedPatch {
    PlannedPatch {
        step,
        part: side.part,
        patch,
    }
}

/// The patches that decide a move, as they would be sent now.
pub fn patches(source: &Side, target: &Side) -> Vec<PlannedPatch> {
    let section = source.standby_section(target);
    let fenced = render::config_as_standby(source.config_before(), &section);
    let promoted = render::config_as_primary(target.config_before());
    let target_section = target.standby_section(source);
    let mut patches = owner_patches(source)
        .chain(owner_patches(target))
        .collect::<Vec<_>>();
    patches.extend([
        planned(Step::Hold, source, source.hold_patch()),
        planned(Step::Hold, target, target.hold_patch()),
        planned(Step::Fence, source, source.standby_patch(&section, true)),
        planned(Step::Fence, source, source.config_patch(&fenced)),
        planned(
            Step::Promote,
            target,
            target.standby_patch(&target_section, false),
        ),
        planned(Step::Promote, target, target.config_patch(&promoted)),
    ]);
    patches
}

/// The patches that hold this side's owners, before anything else of it is changed.
pub(super) fn owner_patches(side: &Side) -> impl Iterator<Item = PlannedPatch> {
    let patches = side.owner_patches().iter().cloned();
    patches.map(|patch| planned(Step::Hold, side, patch))
}

impl<'a> Switchover<'a> {
    /// A move that carries out a plan made from these two sides.
    pub fn new(
        plan: Plan,
        source: Side,
        target: Side,
        limits: Limits,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Self {
        let pushing = JoinSet::new();
        Self {
            plan,
            source,
            target,
            limits,
            steps: Steps::new(interrupt, report),
            reached: Reached::default(),
            fenced_at: None,
            bound: Bound::default(),
            pushing,
            handover: None,
            parts: GapParts::default(),
            deadline: None,
            deadline_job: None,
            application: Application::default(),
            gate: None,
            declare: None,
        }
    }

    /// The same, with Git said first what each side is to be: the source is a standby there before it is fenced, and the target the
    /// primary once the source is proved fenced. Both sides must be [`Side::through_git`].
    #[must_use]
    pub fn declaring(mut self, declare: Option<Declare<'a>>) -> Self {
        self.declare = declare;
        self
    }

    /// The same, with clients who wait from the fence on. Where they cannot, nothing is fenced.
    #[must_use]
    pub fn with_gate(mut self, gate: Option<Gate<'a>>) -> Self {
        self.gate = gate;
        self
    }

    /// The same, with somebody who notes what happens beside it.
    #[must_use]
    pub fn with_aside(self, aside: &Aside) -> Self {
        let steps = self.steps.beside(aside);
        Self { steps, ..self }
    }

    /// The same, with a Job at the source that goes back to it if this tool dies.
    #[must_use]
    pub fn with_deadline(mut self, job: Option<DeadlineJob>) -> Self {
        self.deadline = job;
        self
    }

    /// The same, with an application that stops at the source once everything has been rehearsed. Whether it is to run again,
    /// at which site, is for the caller to see to: the counts are in the record.
    #[must_use]
    pub fn with_application(self, application: Application) -> Self {
        if application.steps.is_empty() {
            return self;
        }
        Self {
            plan: self.plan.draining(),
            application,
            ..self
        }
    }

    pub(super) fn note(&self, step: Step, text: String) {
        self.steps.note(step, text);
    }

    /// Whether the source's Patroni needs the pause recipe.
    fn pauses(&self) -> bool {
        self.plan.demotion == Demotion::WhilePaused
    }

    pub(super) fn fence_of_source(&self) -> Fence {
        Fence {
            section: self.source.standby_section(&self.target),
            demotion: self.plan.demotion,
            leader: self.plan.source_leader.clone(),
            asks_archive: false,
        }
    }

    fn is_archive_only(&self) -> bool {
        self.plan.feed == Feed::Archive
    }
}
