//! Moving users, and taking that back.

use std::future::Future;
use std::time::Duration;

use pgha_core::clock;
use pgha_core::diagnose::chain_of;
use pgha_core::settle::{self, Settlement, await_until};
use pgha_model::effect::Effect;
use pgha_nlb::composite::CompositeError;
use pgha_nlb::state::Held;
use pgha_nlb::{Active, Did, Look, Plan, Receipt, RouteState, SiteName};

use super::probing::all_answered_by;
use super::record::{Record, State, Store};
use super::{Planned, failing, make_plan, open, primary, refuse_blind};
use crate::args::{MoveArgs, RollbackArgs};
use crate::commands::moving::LONGEST_STEP;
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::{Interruptions, unless_interrupted};
use crate::service::{Service, Traffic};
use crate::session::Session;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;
use crate::view::traffic::{OutcomeView, PlansView};

/// How long to wait between two looks at whether users have arrived.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// Runs `traffic move`.
pub(super) fn main(args: &MoveArgs, environment: &Environment) -> Exit {
    crate::commands::start(&args.common(), environment, async |settings, ui| {
        Box::pin(run(args, settings, ui)).await
    })
}

/// Runs `traffic rollback`.
pub(super) fn rollback(args: &RollbackArgs, environment: &Environment) -> Exit {
    crate::commands::start(&args.service.common(), environment, async |settings, ui| {
        Box::pin(take_back(args, settings, ui)).await
    })
}

async fn run(args: &MoveArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let (service, traffic) = open(&args.service)?;
    let to = SiteName::from(args.to.as_str());
    service.site(&to)?;
    refuse_blind(&traffic)?;
    let store = Store::new(args.record.as_deref(), settings, &service)?;
    let begun = clock::now();
    let (findings, planned) = unless_interrupted(async {
        if !args.allow_standby {
            let session = Session::open(settings)?;
            primary::refuse_standby(&service, &to, &session, ui).await?;
        }
        let within = args.service.within();
        let findings = traffic.backends.preflight(within).await;
        if let Some(failure) = failing(&findings) {
            return Err(failure);
        }
        Ok((findings, make_plan(&traffic, &to, within).await?))
    })
    .await?;
    let before = store.read(&service)?;
    let plans = unfinished_kept(before.as_ref(), &planned, &to, &store)?;
    let is_there = planned.plans.iter().all(Plan::is_empty);
    if !is_there {
        if !args.yes {
            let page = PlansView::new(&service, &to, &findings, &planned.plans).summary();
            let question = format!("Move the users of {} to {to} now?", service.name);
            unless_interrupted(consent::ask(&page, &question, ui)).await?;
        }
        let from = site_of(&planned.seen);
        store.write(&Record::new(&service, from, &to, begun, plans))?;
    }
    let started = clock::monotonic();
    let receipts = apply(&traffic, &planned.plans, args, &store, &service, ui).await?;
    if let Some(mut record) = store.read(&service)?.filter(|record| record.to == to) {
        record.state = State::Applied;
        store.write(&record).map_err(Failure::after_change)?;
    }
    let waited = arrive(&traffic, &receipts, &to, args);
    match unless_interrupted(waited).await {
        Ok(looks) => {
            ui.show(&OutcomeView::new(
                &service,
                &to,
                &receipts,
                &looks,
                started.elapsed(),
            ))?;
            Ok(Exit::Done)
        }
        Err(failure) => Err(not_arrived(&failure, is_there, args, &to)),
    }
}

/// The site that all routes lead to, where that can be told.
fn site_of(seen: &[RouteState]) -> Option<SiteName> {
    let mut sites = seen.iter().map(|state| match state.active() {
        Active::Site(site) => Some(site),
        Active::Split { .. } | Active::Unknown { .. } => None,
    });
    let first = sites.next()??;
    sites
        .all(|site| site.as_ref() == Some(&first))
        .then_some(first)
}

/// The plans to be kept: what an earlier move that did not come to its end has changed already stays in the record, so that it
/// can be taken back too.
fn unfinished_kept(
    before: Option<&Record>,
    planned: &Planned,
    to: &SiteName,
    store: &Store,
) -> Result<Vec<Plan>, Failure> {
    let Some(before) = before.filter(|record| record.state == State::Begun) else {
        return Ok(planned.plans.clone());
    };
    if before.to != *to {
        let text = format!(
            "an earlier move of the users to {} did not come to its end",
            before.to
        );
        return Err(Failure::refused(text).hinting(format!(
            "Run `kubectl pgha traffic rollback`, or move to {} first; its record is {}.",
            before.to,
            store.shown()
        )));
    }
    let pairs = planned.plans.iter().zip(&planned.seen);
    let kept = pairs.map(|(plan, seen)| {
        let mut earlier = before.plans.iter();
        let earlier = earlier.find(|earlier| earlier.backend == plan.backend);
        let made =
            earlier.filter(|earlier| plan.is_empty() && seen.held(&earlier.changes) == Held::After);
        made.unwrap_or(plan).clone()
    });
    Ok(kept.collect())
}

async fn apply(
    traffic: &Traffic,
    plans: &[Plan],
    args: &MoveArgs,
    store: &Store,
    service: &Service,
    ui: &Ui,
) -> Result<Vec<Receipt>, Failure> {
    let applying = traffic.backends.apply(plans, args.service.within());
    let applied = see_through(applying, ui).await?;
    match applied.map_err(|uneven| Failure::unexpected(uneven.to_string()))? {
        Ok(receipts) => Ok(receipts),
        Err(error) => {
            if error.effect() == Effect::None
                && let Some(mut record) = store.read(service)?
            {
                record.state = State::TakenBack;
                store.write(&record)?;
            }
            Err(not_applied(&error, args))
        }
    }
}

/// A change that is under way is seen to its end: dropping it would leave nobody who knows what it did.
async fn see_through<T>(work: impl Future<Output = T>, ui: &Ui) -> Result<T, Failure> {
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

const LOOK: &str = "Run `kubectl pgha traffic show` to see where they lead, then `traffic move` or `traffic rollback`.";

fn not_applied(error: &CompositeError, args: &MoveArgs) -> Failure {
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
        let file = args.service.file.display();
        format!("Run `kubectl pgha traffic show -f {file}`, then `traffic rollback -f {file}`.")
    };
    Failure::stopped(exit, error.to_string(), effect)
        .because(causes)
        .hinting(hint)
}

/// Waits until every backend says so and new users are answered by the site.
async fn arrive(
    traffic: &Traffic,
    receipts: &[Receipt],
    to: &SiteName,
    args: &MoveArgs,
) -> Result<Vec<Look>, Failure> {
    let deadline = clock::monotonic() + args.timeout.0.min(LONGEST_STEP);
    let arrived = await_until(deadline, BETWEEN_LOOKS, async || {
        look(traffic, receipts, to, args).await
    });
    match arrived.await? {
        Settlement::Settled(looks) => Ok(looks),
        Settlement::TimedOut { last_seen } => {
            let instead = last_seen.unwrap_or_else(|| "no look came to its end".to_owned());
            Err(Failure::refused(instead))
        }
    }
}

/// One look; what was seen instead, when users have not arrived.
async fn look(
    traffic: &Traffic,
    receipts: &[Receipt],
    to: &SiteName,
    args: &MoveArgs,
) -> Result<settle::Look<Vec<Look>, String>, Failure> {
    let within = args.service.within();
    let looks = traffic.backends.settled(receipts, within).await;
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
    let answered = all_answered_by(&traffic.probes, to, args.samples, within).await;
    Ok(match answered {
        Ok(()) => settle::Look::Settled(looks),
        Err(seen) => settle::Look::NotYet(seen),
    })
}

/// The routes lead there, and it is not proved that users are.
fn not_arrived(because: &Failure, is_there: bool, args: &MoveArgs, to: &SiteName) -> Failure {
    let file = args.service.file.display();
    let text =
        format!("the routes lead to {to}, and it is not proved that users are answered there");
    let hint = format!(
        "Run `kubectl pgha traffic verify -f {file} --to {to}` again later, or `kubectl pgha traffic rollback -f {file}`."
    );
    let failure = if is_there {
        Failure::refused(text)
    } else {
        Failure::stopped(Exit::Held, text, Effect::Applied)
    };
    failure.because(vec![because.in_one_line()]).hinting(hint)
}

async fn take_back(args: &RollbackArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let (service, traffic) = open(&args.service)?;
    let store = Store::new(args.record.as_deref(), settings, &service)?;
    let Some(mut record) = store
        .read(&service)?
        .filter(|it| it.state != State::TakenBack)
    else {
        let text = format!(
            "no move of the users of {} is recorded in {}",
            service.name,
            store.shown()
        );
        return Err(Failure::refused(text)
            .hinting("Run `kubectl pgha traffic move --to SITE` to send them to a site."));
    };
    let within = args.service.within();
    let receipts = unless_interrupted(what_was_made(&traffic, &record, within)).await?;
    if !args.yes {
        let page = PlansView::new(&service, &record.to, &[], &record.plans).summary();
        let question = format!("Take this back, which was begun at {}?", record.begun);
        unless_interrupted(consent::ask(&page, &question, ui)).await?;
    }
    let started = clock::monotonic();
    let taking_back = traffic.backends.rollback(&receipts, within);
    let (done, stuck) = see_through(taking_back, ui)
        .await?
        .map_err(|uneven| Failure::unexpected(uneven.to_string()))?;
    if !stuck.is_empty() {
        let unknown = stuck.iter().any(|one| one.error.effect == Effect::Unknown);
        let effect = if unknown {
            Effect::Unknown
        } else {
            Effect::Applied
        };
        let text = "not every change of the routes was taken back";
        let causes = stuck.iter().map(ToString::to_string).collect();
        return Err(Failure::stopped(Exit::Held, text, effect)
            .because(causes)
            .hinting(LOOK));
    }
    record.state = State::TakenBack;
    store.write(&record).map_err(Failure::after_change)?;
    ui.show(&OutcomeView::taken_back(
        &service,
        &record.to,
        &done,
        started.elapsed(),
    ))?;
    Ok(Exit::Done)
}

/// A receipt for each backend, from what it holds now.
///
/// # Errors
/// One of them is neither as before nor as the move has left it: nothing is taken back then.
async fn what_was_made(
    traffic: &Traffic,
    record: &Record,
    within: Duration,
) -> Result<Vec<Receipt>, Failure> {
    let mut receipts = Vec::new();
    for part in traffic.backends.parts() {
        let id = part.describe().id;
        let seen = part.observe(within).await;
        let seen = seen.map_err(|error| Failure::from(&error))?;
        let plan = record.plans.iter().find(|plan| plan.backend == id);
        let changes = plan.map(|plan| plan.changes.clone()).unwrap_or_default();
        let did = match seen.held(&changes) {
            _ if changes.is_empty() => Did::Nothing,
            Held::After => Did::Change,
            Held::Before => Did::Nothing,
            Held::Neither => {
                let text =
                    format!("backend {id} is neither as the move left it nor as it was before");
                return Err(Failure::refused(text).hinting(LOOK));
            }
        };
        receipts.push(Receipt {
            backend: id,
            did,
            changes,
            fence: seen.fence,
            evidence: Vec::new(),
        });
    }
    let is_known = |plan: &&Plan| {
        receipts
            .iter()
            .any(|receipt| receipt.backend == plan.backend)
    };
    match record.plans.iter().find(|plan| !is_known(plan)) {
        None => Ok(receipts),
        Some(plan) => {
            let text = format!(
                "the service's file has no backend {} any more",
                plan.backend
            );
            Err(Failure::refused(text).hinting("Take the file of that move."))
        }
    }
}
