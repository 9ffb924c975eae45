//! Sending users to a site: what is looked at before, the change, and the wait until they arrive.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use pgha_core::clock;
use pgha_core::diagnose::chain_of;
use pgha_core::settle::{self, Settlement, await_until};
use pgha_model::effect::Effect;
use pgha_nlb::composite::CompositeError;
use pgha_nlb::state::Held;
use pgha_nlb::{Finding, Look, Plan, Receipt, SiteName};

use super::probing::all_answered_by;
use super::record::{Record, State, Store};
use super::{Planned, failing, make_plan, refuse_blind};
use crate::commands::moving::LONGEST_STEP;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::{Interruptions, unless_interrupted};
use crate::service::{Service, Traffic};
use crate::settings::Settings;
use crate::ui::Ui;
use crate::view::traffic::{OutcomeView, PlansView};

/// How long to wait between two looks at whether users have arrived.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// What to do where something was left behind.
pub(super) const LOOK: &str = "Run `kubectl pgha traffic show` to see where they lead, then `traffic move` or `traffic rollback`.";

/// How long things may take, and how much is proof.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// One exchange with a backend, or one answer to a probe.
    pub(crate) within: Duration,
    /// Until users have arrived.
    pub(crate) arrival: Duration,
    /// New users in a row on each probe.
    pub(crate) samples: u32,
}

/// The users of a service, and the site that they shall reach.
#[derive(Debug)]
pub(crate) struct Cutover<'a> {
    service: &'a Service,
    traffic: &'a Traffic,
    to: SiteName,
    store: Store,
    patience: Patience,
}

/// What was seen before, and what would be changed.
#[derive(Debug)]
pub(crate) struct Prepared {
    findings: Vec<Finding>,
    planned: Planned,
}

/// Users that have arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    receipts: Vec<Receipt>,
    looks: Vec<Look>,
    took: Duration,
}

impl<'a> Cutover<'a> {
    /// The users of a service. Asks nobody anything yet.
    ///
    /// # Errors
    /// The service has no such site or no probe, or there is no place for the record.
    pub(crate) fn new(
        (service, traffic): (&'a Service, &'a Traffic),
        to: &SiteName,
        record: Option<&Path>,
        settings: &Settings,
        patience: Patience,
    ) -> Result<Self, Failure> {
        service.site(to)?;
        refuse_blind(service, traffic)?;
        Ok(Self {
            service,
            traffic,
            to: to.clone(),
            store: Store::new(record, settings, service)?,
            patience,
        })
    }

    /// Looks at everything and changes nothing.
    ///
    /// # Errors
    /// The users cannot be moved now.
    pub(crate) async fn prepare(&self) -> Result<Prepared, Failure> {
        self.store.read(self.service)?;
        let within = self.patience.within;
        let findings = self.traffic.backends.preflight(within).await;
        if let Some(failure) = failing(&findings) {
            return Err(failure);
        }
        let planned = make_plan(self.traffic, &self.to, within).await?;
        Ok(Prepared { findings, planned })
    }

    /// What would be changed.
    pub(crate) fn view<'b>(&'b self, prepared: &'b Prepared) -> PlansView<'b> {
        let plans = &prepared.planned.plans;
        PlansView::new(self.service, &self.to, &prepared.findings, plans)
    }

    /// Makes the changes and waits until users arrive.
    ///
    /// # Errors
    /// Its effect says what is left.
    pub(crate) async fn carry_out(&self, prepared: &Prepared, ui: &Ui) -> Result<Arrived, Failure> {
        let started = clock::monotonic();
        if !prepared.is_there() {
            let kept = self.unfinished_kept(&prepared.planned)?;
            let record = Record::new(self.service, &self.to, clock::now(), kept);
            self.store.write(&record)?;
        }
        let receipts = self.apply(&prepared.planned.plans, ui).await?;
        self.settle_record(State::Applied)
            .map_err(Failure::after_change)?;
        match unless_interrupted(self.arrive(&receipts)).await {
            Ok(looks) => Ok(Arrived {
                receipts,
                looks,
                took: started.elapsed(),
            }),
            Err(failure) => Err(self.not_arrived(&failure, prepared)),
        }
    }

    /// Makes the changes some time after they were prepared, if they were: what is no longer as it was then is looked at anew.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) and [`carry_out`](Self::carry_out).
    pub(crate) async fn follow(
        &self,
        prepared: Option<&Prepared>,
        ui: &Ui,
    ) -> Result<Arrived, Failure> {
        if let Some(prepared) = prepared {
            match self.carry_out(prepared, ui).await {
                Err(failure) if matches!(failure.exit, Exit::Refused | Exit::Stopped) => {}
                result => return result,
            }
        }
        let again = self.prepare().await?;
        self.carry_out(&again, ui).await
    }

    /// What became of the users.
    pub(crate) fn outcome<'b>(&'b self, arrived: &'b Arrived) -> OutcomeView<'b> {
        let Arrived {
            receipts,
            looks,
            took,
        } = arrived;
        OutcomeView::new(self.service, &self.to, receipts, looks, *took)
    }

    /// The command that does this by itself.
    pub(crate) fn command(&self) -> String {
        let (flags, to) = (self.service.flags(), &self.to);
        format!("kubectl pgha traffic move {flags} --to {to}")
    }

    fn settle_record(&self, state: State) -> Result<(), Failure> {
        let record = self.store.read(self.service)?;
        match record.filter(|record| record.to == self.to) {
            Some(mut record) => {
                record.state = state;
                self.store.write(&record)
            }
            None => Ok(()),
        }
    }

    /// The plans to be kept: what an earlier move that did not come to its end has changed already stays in the record, so that
    /// it can be taken back too.
    fn unfinished_kept(&self, planned: &Planned) -> Result<Vec<Plan>, Failure> {
        let before = self.store.read(self.service)?;
        let Some(before) = before.filter(|record| record.state == State::Begun) else {
            return Ok(planned.plans.clone());
        };
        if before.to != self.to {
            let text = format!(
                "an earlier move of the users to {} did not come to its end",
                before.to
            );
            return Err(Failure::refused(text).hinting(format!(
                "Run `kubectl pgha traffic rollback`, or move to {} first; its record is {}.",
                before.to,
                self.store.shown()
            )));
        }
        let pairs = planned.plans.iter().zip(&planned.seen);
        let kept = pairs.map(|(plan, seen)| {
            let mut earlier = before.plans.iter();
            let earlier = earlier.find(|earlier| earlier.backend == plan.backend);
            let made = earlier
                .filter(|earlier| plan.is_empty() && seen.held(&earlier.changes) == Held::After);
            made.unwrap_or(plan).clone()
        });
        Ok(kept.collect())
    }

    async fn apply(&self, plans: &[Plan], ui: &Ui) -> Result<Vec<Receipt>, Failure> {
        let applying = self.traffic.backends.apply(plans, self.patience.within);
        let applied = see_through(applying, ui).await?;
        match applied.map_err(|uneven| Failure::unexpected(uneven.to_string()))? {
            Ok(receipts) => Ok(receipts),
            Err(error) => {
                if error.effect() == Effect::None {
                    self.settle_record(State::TakenBack)?;
                }
                Err(self.not_applied(&error))
            }
        }
    }

    fn not_applied(&self, error: &CompositeError) -> Failure {
        let effect = error.effect();
        let exit = match effect {
            Effect::None if error.taken_back.is_empty() => Exit::Refused,
            Effect::None => Exit::Stopped,
            Effect::Applied | Effect::Unknown => Exit::Held,
        };
        let mut causes = vec![chain_of(&error.error)];
        causes.extend(error.stuck.iter().map(ToString::to_string));
        let hint = if effect == Effect::None {
            error.error.next.to_string()
        } else {
            let flags = self.service.flags();
            format!("Run `kubectl pgha traffic show {flags}`, then `traffic rollback {flags}`.")
        };
        Failure::stopped(exit, error.to_string(), effect)
            .because(causes)
            .hinting(hint)
    }

    /// Waits until every backend says so and new users are answered by the site.
    async fn arrive(&self, receipts: &[Receipt]) -> Result<Vec<Look>, Failure> {
        let deadline = clock::monotonic() + self.patience.arrival.min(LONGEST_STEP);
        let arrived = await_until(deadline, BETWEEN_LOOKS, async || self.look(receipts).await);
        match arrived.await? {
            Settlement::Settled(looks) => Ok(looks),
            Settlement::TimedOut { last_seen } => {
                let instead = last_seen.unwrap_or_else(|| "no look came to its end".to_owned());
                Err(Failure::refused(instead))
            }
        }
    }

    /// One look; what was seen instead, when users have not arrived.
    async fn look(&self, receipts: &[Receipt]) -> Result<settle::Look<Vec<Look>, String>, Failure> {
        let Patience {
            within, samples, ..
        } = self.patience;
        let looks = self.traffic.backends.settled(receipts, within).await;
        let looks = match looks.map_err(|uneven| Failure::unexpected(uneven.to_string()))? {
            Ok(looks) => looks,
            Err(error) => return Ok(settle::Look::NotYet(chain_of(&error))),
        };
        let waits = looks.iter().find_map(|look| match look {
            Look::NotYet(seen) => Some(seen.clone()),
            Look::Settled(_) => None,
        });
        if let Some(seen) = waits {
            return Ok(settle::Look::NotYet(seen));
        }
        let answered = all_answered_by(&self.traffic.probes, &self.to, samples, within).await;
        Ok(match answered {
            Ok(()) => settle::Look::Settled(looks),
            Err(seen) => settle::Look::NotYet(seen),
        })
    }

    /// The routes lead there, and it is not proved that users are.
    fn not_arrived(&self, because: &Failure, prepared: &Prepared) -> Failure {
        let (flags, to) = (self.service.flags(), &self.to);
        let text =
            format!("the routes lead to {to}, and it is not proved that users are answered there");
        let hint = format!(
            "Run `kubectl pgha traffic verify {flags} --to {to}` again later, or `kubectl pgha traffic rollback {flags}`."
        );
        let failure = if prepared.is_there() {
            Failure::refused(text)
        } else {
            Failure::stopped(Exit::Held, text, Effect::Applied)
        };
        failure.because(vec![because.in_one_line()]).hinting(hint)
    }
}

impl Arrived {
    /// How long it took, from the first change.
    pub(crate) const fn took(&self) -> Duration {
        self.took
    }
}

impl Prepared {
    /// Whether nothing is to be changed.
    pub(crate) fn is_there(&self) -> bool {
        self.planned.plans.iter().all(Plan::is_empty)
    }
}

/// A change that is under way is seen to its end: dropping it would leave nobody who knows what it did.
pub(super) async fn see_through<T>(work: impl Future<Output = T>, ui: &Ui) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    let mut interruptions = Interruptions::default();
    tokio::select! {
        done = &mut work => return Ok(done),
        Ok(()) = interruptions.next() => {
            ui.note("The change that is under way comes to its end first; Ctrl-C again gives up waiting.");
        }
    }
    tokio::select! {
        done = &mut work => Ok(done),
        Ok(()) = interruptions.next() => {
            let text = "gave up waiting for a change of the routes";
            Err(Failure::stopped(Exit::Held, text, Effect::Unknown).hinting(LOOK))
        }
    }
}
