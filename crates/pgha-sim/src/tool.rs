//! The commands `switchover`, `resume` and `abort`, over the real engine: what `kubectl-pgha` does without its terminal.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pgha_core::clock;
use pgha_core::diagnose::chain_of;
use pgha_core::engine::{
    GoingBack, Limits, MoveError, PromotionRun, Restoration, Side, Switchover, Verdict, Watched,
    await_silence, compare_ends, interrupter,
};
use pgha_core::settle::{Look, Settlement, await_until};
use pgha_model::check::{Consent, DataLoss, PromotionFacts};
use pgha_model::event::{Event, Standing};
use pgha_model::plan::{Refusal, plan_switchover};
use pgha_model::promotion::plan_promotion;
use pgha_model::record::{Action, Epoch};
use pgha_model::site::Part;
use pgha_model::unfinished::{Whereabouts, find_unfinished};

use crate::git;
use crate::server::{Held, Shared, Tool};
use crate::site::CLUSTER;

/// How long each wait may last: far longer than anything takes here that is not stuck.
const LIMITS: Limits = Limits::each(Duration::from_secs(12));

/// Pause between two plans.
const LOOK: Duration = Duration::from_secs(1);

/// How a command ended; an error is what it told, which names the state and leaves a next command.
pub(crate) type Ended = Result<(), String>;

/// Whether a Job has gone back to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WentBack {
    Yes,
    No,
}

/// One command of one tool.
pub(crate) struct Command<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) tool: Tool,
    /// From which site to which.
    pub(crate) sides: (usize, usize),
}

/// Runs a command until it ends or its tool is killed: `None`. A tool that stands still does nothing meanwhile.
pub(crate) async fn live(
    shared: &Shared,
    tool: &Tool,
    command: impl Future<Output = Ended>,
) -> Option<Ended> {
    let mut command = pin!(command);
    loop {
        let mut held = tool.held.subscribe();
        let now = *held.borrow_and_update();
        match now {
            Held::Dead => return None,
            Held::Until(until) => {
                let rest = until.saturating_sub(shared.now());
                crate::time::pass(rest).await;
                tool.held.send_replace(Held::No);
            }
            Held::No => {
                let mut changed = pin!(held.changed());
                let ended = poll_fn(|context| {
                    if changed.as_mut().poll(context).is_ready() {
                        return Poll::Ready(None);
                    }
                    command.as_mut().poll(context).map(Some)
                });
                if let Some(ended) = ended.await {
                    return Some(ended);
                }
            }
        }
    }
}

impl<'a> Command<'a> {
    /// From the first site to the second.
    pub(crate) const fn forward(shared: &'a Shared, tool: Tool) -> Self {
        Self {
            shared,
            tool,
            sides: (0, 1),
        }
    }

    async fn open(&self) -> Result<(Side, Side), String> {
        let open = |site, part| Side::open(self.shared.client(site, &self.tool), CLUSTER, part);
        let (from, to) = self.sides;
        let (source, target) =
            Box::pin(async { tokio::join!(open(from, Part::Source), open(to, Part::Target)) })
                .await;
        Ok((
            source.map_err(|error| chain_of(&error))?,
            target.map_err(|error| chain_of(&error))?,
        ))
    }

    pub(crate) async fn switchover(&self) -> Ended {
        let (source, target) = self.open().await?;
        let plan = plan_switchover(
            &source.facts,
            &target.facts,
            Consent::default(),
            clock::now(),
        );
        let plan = plan.map_err(|refusal| refused(&refusal))?;
        let mut report = |event: &Event| self.tell(event);
        let (_interrupter, interrupt) = interrupter();
        let declare = git::declare(self.shared, &self.tool, self.sides);
        let moving = Switchover::new(plan, source, target, LIMITS, interrupt, &mut report);
        let ended = Box::pin(moving.declaring(declare).run()).await;
        ended.map(drop).map_err(|error| failed(&error))
    }

    /// `resume` or `abort` with `--take-over`; whether there was anything to do.
    pub(crate) async fn take_over(&self, action: Action) -> Result<bool, String> {
        let (source, target) = self.open().await?;
        let mut journals = Vec::new();
        for side in [&source, &target] {
            journals.push(side.journal.as_ref().map_err(Clone::clone)?);
        }
        let Some(unfinished) = find_unfinished(&journals) else {
            return Ok(false);
        };
        let record = unfinished.record.clone();
        let mut restoration =
            Restoration::new((source, target), action, unfinished.epoch, record, LIMITS);
        let before = restoration
            .whereabouts()
            .await
            .map_err(|error| chain_of(&error))?;
        match (action, before) {
            (Action::Abort, Whereabouts::Target) => return Err("too late: resume".to_owned()),
            (_, Whereabouts::Both) => return Err("both sides are or will be primary".to_owned()),
            (_, _) => {}
        }
        let mut report = |event: &Event| self.tell(event);
        let (_interrupter, interrupt) = interrupter();
        let restored = Box::pin(restoration.run(interrupt, &mut report)).await;
        let (from, to) = self.sides;
        let (place, epoch) = restored.map_err(|error| failed(&error))?;
        match (action, place) {
            (Action::Abort, Whereabouts::Nowhere) => {
                Box::pin(self.promote((from, to), epoch)).await?;
            }
            (Action::Resume, Whereabouts::Nowhere) => {
                Box::pin(self.promote((to, from), epoch)).await?;
            }
            (Action::Resume, Whereabouts::Source)
                if unfinished.began_as == Some(Action::Switchover) =>
            {
                Box::pin(self.move_again()).await?;
            }
            (_, Whereabouts::Both) => return Err("both sides are primary".to_owned()),
            (_, _) => {}
        }
        Ok(true)
    }

    /// What the Job of `switchover --deadline-image` runs, at the first site alone.
    pub(crate) async fn deadline(&self, after_ms: u64) -> Result<WentBack, String> {
        let site = self.shared.client(0, &self.tool);
        let watched = Watched {
            epoch: Epoch(1),
            job: "db-pgha-1".to_owned(),
            patience: Duration::from_millis(after_ms),
        };
        let seen = await_silence(&site, CLUSTER, &watched).await;
        let record = match seen.map_err(|error| chain_of(&error))? {
            Verdict::Over(_) => return Ok(WentBack::No),
            Verdict::GoBack(record) => record,
        };
        let source = Box::pin(Side::open(site, CLUSTER, Part::Source)).await;
        let source = source.map_err(|error| chain_of(&error))?;
        let mut report = |event: &Event| self.tell(event);
        let (_interrupter, interrupt) = interrupter();
        let going = GoingBack::new(source, watched, record, LIMITS);
        match Box::pin(going.run(interrupt, &mut report)).await {
            Ok(_) => Ok(WentBack::Yes),
            // Its next life finds that nothing is left to do.
            Err(error)
                if matches!(
                    error.standing,
                    Standing::PromotionUnknown | Standing::Superseded
                ) =>
            {
                Ok(WentBack::No)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    async fn move_again(&self) -> Ended {
        let (plan, source, target) = await_plan(async || {
            let (source, target) = self.open().await?;
            let plan = plan_switchover(
                &source.facts,
                &target.facts,
                Consent::default(),
                clock::now(),
            );
            Ok(plan.map(|plan| (plan, source, target)))
        })
        .await?;
        let mut report = |event: &Event| self.tell(event);
        let (_interrupter, interrupt) = interrupter();
        let declare = git::declare(self.shared, &self.tool, self.sides);
        let moving = Switchover::new(plan, source, target, LIMITS, interrupt, &mut report);
        Box::pin(moving.declaring(declare).run())
            .await
            .map(drop)
            .map_err(|error| failed(&error))
    }

    async fn promote(&self, (here, peer): (usize, usize), epoch: Epoch) -> Ended {
        let (plan, here, peer) = await_plan(async || {
            let open = |site, part| Side::open(self.shared.client(site, &self.tool), CLUSTER, part);
            let here = Box::pin(open(here, Part::Target)).await;
            let peer = Box::pin(open(peer, Part::Source)).await;
            let mut here = here.map_err(|error| chain_of(&error))?;
            let mut peer = peer.map_err(|error| chain_of(&error))?;
            let proof = Box::pin(compare_ends(&mut peer, &mut here, LIMITS.proof)).await;
            let facts = PromotionFacts {
                target: &here.facts,
                source: Ok(&peer.facts),
                proof: Some(proof.as_ref()),
            };
            let plan = plan_promotion(&facts, Consent::default(), DataLoss::Refused, clock::now());
            Ok(plan.map(|plan| (plan, here, peer)))
        })
        .await?;
        let mut report = |event: &Event| self.tell(event);
        let (_interrupter, interrupt) = interrupter();
        let running = PromotionRun::new(plan, here, Some(peer), LIMITS).taking_over(Some(epoch));
        let ended = Box::pin(running.run(interrupt, &mut report)).await;
        ended.map(drop).map_err(|error| failed(&error))
    }

    fn tell(&self, event: &Event) {
        let who = if self.tool.is_first {
            "first"
        } else {
            "second"
        };
        let mut world = self.shared.world();
        world.now = self.shared.now();
        world.say(&format!("{who} tool: {event:?}"));
    }
}

async fn await_plan<P>(
    mut plan: impl AsyncFnMut() -> Result<Result<P, Refusal>, String>,
) -> Result<P, String> {
    let settlement = await_until(clock::monotonic() + LIMITS.step, LOOK, async || {
        Ok::<_, String>(match plan().await? {
            Ok(plan) => Look::Settled(plan),
            Err(refusal) => Look::NotYet(refusal),
        })
    });
    match settlement.await? {
        Settlement::Settled(plan) => Ok(plan),
        Settlement::TimedOut { last_seen } => {
            Err(refused(&last_seen.unwrap_or(Refusal(Vec::new()))))
        }
    }
}

fn refused(refusal: &Refusal) -> String {
    format!("refused: {:?}", refusal.0)
}

fn failed(error: &MoveError) -> String {
    let undo = error
        .undo
        .as_ref()
        .map(|undo| format!("; {}", chain_of(&**undo)));
    format!(
        "{:?} at {:?}: {}{}",
        error.standing,
        error.step,
        chain_of(&*error.source),
        undo.unwrap_or_default()
    )
}
