//! `traffic move`, and taking it back.

use std::time::Duration;

use pgha_core::clock;
use pgha_model::effect::Effect;
use pgha_nlb::state::Held;
use pgha_nlb::{Did, Plan, Receipt, SiteName};

use super::cutover::{Cutover, LOOK, Patience, see_through};
use super::record::{Record, State, Store};
use super::{open, primary};
use crate::args::{MoveArgs, RollbackArgs};
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::service::Traffic;
use crate::session::Session;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;
use crate::view::traffic::{OutcomeView, PlansView};

/// Runs `traffic move`.
pub(super) fn main(args: &MoveArgs, environment: &Environment) -> Exit {
    crate::commands::start(&args.service.common(), environment, async |settings, ui| {
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
    let (service, traffic) = unless_interrupted(open(&args.service, true, settings, ui)).await?;
    let to = SiteName::from(args.to.as_str());
    let patience = Patience {
        within: args.service.within(),
        arrival: args.timeout.0,
        samples: args.samples,
    };
    let what = (&service, &traffic);
    let cutover = Cutover::new(what, &to, args.record.as_deref(), settings, patience)?;
    let prepared = unless_interrupted(async {
        if !args.allow_standby {
            let session = Session::open(settings)?;
            primary::refuse_standby(&service, &to, &session, ui).await?;
        }
        cutover.prepare().await
    })
    .await?;
    if !args.yes && !prepared.is_there() {
        let page = cutover.view(&prepared).summary();
        let question = format!("Move the users of {} to {to} now?", service.name);
        unless_interrupted(consent::ask_unplanned(&page, &question, ui)).await?;
    }
    let arrived = cutover.carry_out(&prepared, ui).await?;
    ui.show(&cutover.outcome(&arrived))?;
    Ok(Exit::Done)
}

async fn take_back(args: &RollbackArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let (service, traffic) = unless_interrupted(open(&args.service, true, settings, ui)).await?;
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
    let receipts = unless_interrupted(async {
        if !args.allow_standby {
            let session = Session::open(settings)?;
            primary::refuse_leaving(&service, &record.to, &session, ui).await?;
        }
        what_was_made(&traffic, &record, within).await
    })
    .await?;
    if !args.yes {
        let page = PlansView::new(&service, &record.to, &[], &record.plans).summary();
        let question = format!("Take this back, which was begun at {}?", record.begun);
        unless_interrupted(consent::ask_unplanned(&page, &question, ui)).await?;
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
