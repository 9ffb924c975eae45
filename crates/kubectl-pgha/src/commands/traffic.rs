//! `kubectl pgha traffic`.

mod cutover;
mod moving;
mod preparing;
mod primary;
mod probing;
mod record;

use std::time::Duration;

use pgha_nlb::finding::Severity;
use pgha_nlb::{Finding, Plan, Refusal, RouteState, SiteName};

pub(crate) use self::cutover::{Arrived, Cutover, Patience, Prepared};
use self::probing::ask_once;
use super::by_file::{self, FileAt};
use crate::args::{PlanArgs, ServiceArgs, ShowArgs, TrafficArgs, TrafficCommand, VerifyArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::{Service, Traffic, build};
use crate::session::Reach;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;
use crate::view::traffic::{PlansView, ShowView, VerifyView};

/// Runs the command.
pub(crate) fn main(args: &TrafficArgs, environment: &Environment) -> Exit {
    match &args.command {
        TrafficCommand::Show(args) => {
            super::read_alone(&args.service.common(), environment, async |settings, ui| {
                show(args, settings, ui).await
            })
        }
        TrafficCommand::Plan(args) => {
            super::read_alone(&args.service.common(), environment, async |settings, ui| {
                plan(args, settings, ui).await
            })
        }
        TrafficCommand::Verify(args) => {
            super::read_alone(&args.service.common(), environment, async |settings, ui| {
                verify(args, settings, ui).await
            })
        }
        TrafficCommand::Prepare(args) => preparing::main(args, environment),
        TrafficCommand::Move(args) => moving::main(args, environment),
        TrafficCommand::Rollback(args) => moving::rollback(args, environment),
    }
}

/// The service and what moves its users.
async fn open(
    args: &ServiceArgs,
    changes: bool,
    settings: &Settings,
    ui: &Ui,
) -> Result<(Service, Traffic), Failure> {
    let named = args.service.as_deref();
    let service = match &args.file {
        Some(file) => {
            let context = args.config_map.context.as_deref();
            let at = FileAt {
                file,
                context,
                changes,
            };
            by_file::open(at, named, settings, ui).await?
        }
        None => by_file::default_of_all(named, ui)?,
    };
    let traffic = build(&service, &Reach::of(settings))?;
    Ok((service, traffic))
}

async fn show(args: &ShowArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let (service, traffic) = open(&args.service, false, settings, ui).await?;
    let within = args.service.within();
    let mut seen = Vec::new();
    for part in traffic.backends.parts() {
        seen.push((part.describe(), part.observe(within).await));
    }
    let samples = ask_once(&traffic.probes, within).await;
    let view = ShowView::new(&service, &seen, &samples);
    ui.show(&view)?;
    let hint =
        "Look at what the table says of each; `traffic plan --to SITE` says what a move would do.";
    let doubt = view
        .doubt()
        .map(|doubt| Failure::refused(doubt).hinting(hint));
    Ok(ui.conclude(doubt.as_ref()))
}

async fn plan(args: &PlanArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let (service, traffic) = open(&args.service, false, settings, ui).await?;
    let to = SiteName::from(args.to.as_str());
    service.site(&to)?;
    let within = args.service.within();
    let findings = traffic.backends.preflight(within).await;
    let plans = make_plan(&traffic, &to, within).await?.plans;
    let view = PlansView::new(&service, &to, &findings, &plans);
    ui.show(&view)?;
    Ok(ui.conclude(failing(&findings).as_ref()))
}

/// Why users cannot be moved, by what was looked at beforehand.
fn failing(findings: &[Finding]) -> Option<Failure> {
    let fails = |finding: &&Finding| finding.severity == Severity::Fail;
    let failed: Vec<_> = findings.iter().filter(fails).collect();
    let first = failed.first()?;
    let causes = failed
        .iter()
        .map(|finding| format!("{}: {}: {}", finding.backend, finding.check, finding.seen));
    let refused = Failure::refused("the users cannot be moved now").because(causes.collect());
    Some(refused.hinting(first.advice.clone()))
}

async fn verify(args: &VerifyArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let (service, traffic) = open(&args.service, false, settings, ui).await?;
    let to = SiteName::from(args.to.as_str());
    service.site(&to)?;
    refuse_blind(&service, &traffic)?;
    let mut samples = Vec::new();
    for _ in 0..args.samples {
        samples.extend(ask_once(&traffic.probes, args.service.within()).await);
    }
    let view = VerifyView::new(&service, &to, &samples);
    ui.show(&view)?;
    let doubt = (!view.is_proved()).then(|| {
        Failure::refused(format!("not every new user is answered by {to}")).hinting(
            "Look where each backend leads with `traffic show`; a cache or a name's lifetime may need time.",
        )
    });
    Ok(ui.conclude(doubt.as_ref()))
}

/// Without a probe nothing is proved.
pub(crate) fn refuse_blind(service: &Service, traffic: &Traffic) -> Result<(), Failure> {
    if !traffic.probes.is_empty() {
        return Ok(());
    }
    let because = "the service's file has no probe, so nothing proves who answers";
    let refused = Failure::refused(service.said_of_traffic(because));
    Err(refused.hinting("Add one to spec.traffic: docs/traffic.md shows how."))
}

/// What was seen, and a plan for every backend.
#[derive(Debug)]
struct Planned {
    seen: Vec<RouteState>,
    plans: Vec<Plan>,
}

async fn make_plan(traffic: &Traffic, to: &SiteName, within: Duration) -> Result<Planned, Failure> {
    let seen = traffic.backends.observe(within).await;
    let seen = seen.map_err(|error| Failure::from(&error))?;
    match traffic.backends.plan(&seen, to) {
        Ok(Ok(plans)) => Ok(Planned { seen, plans }),
        Ok(Err(refusal)) => Err(refused(&refusal)),
        Err(uneven) => Err(Failure::unexpected(uneven.to_string())),
    }
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::refused(refusal.to_string()).hinting(refusal.advice())
}
