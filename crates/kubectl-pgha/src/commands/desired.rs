//! Git beside a move: what is committed before and after it, and what is taken back with it.

mod request;

use std::sync::Arc;
use std::time::Duration;

use pgha_core::engine::{Declare, GitFailure, LettingGo, Limits, Side};
use pgha_desired::{Change, Desired, DesiredError, Done, How, Prepared, role};
use pgha_model::event::Event;
use pgha_model::member::Role;
use pgha_model::plan::Step;
use pgha_model::record::Epoch;
use pgha_model::site::Part;
use pgha_nlb::SiteName;
use tokio::sync::Mutex;

use super::looked_at::LookedAt;
use super::{moving, one_side, release};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::Service;
use crate::session::Session;
use crate::ui::Ui;

/// How the changes of one service are called in a repository, which may have services of the same name, of other stages.
#[derive(Clone, Debug)]
pub(super) struct Names {
    service: String,
    /// What no other service has: the end of the system identifier.
    system: String,
}

impl Names {
    pub(super) fn of(service: &Service, side: &Side) -> Self {
        let system = side.facts.survey.system_identifier().unwrap_or_default();
        let digits: String = system.chars().filter(char::is_ascii_digit).collect();
        Self {
            service: service.name.clone(),
            system: digits[digits.len().saturating_sub(LAST)..].to_owned(),
        }
    }

    /// By what both commits of a move are found again.
    fn operation(&self, epoch: Epoch) -> String {
        format!("{}-{epoch}-{}", self.service, self.system)
    }

    /// Whether that is the name of a move of this service.
    fn is_one(&self, operation: &str) -> bool {
        let operation = operation.strip_suffix(BACK).unwrap_or(operation);
        let epoch = operation
            .strip_prefix(&self.service)
            .and_then(|rest| rest.strip_suffix(&self.system))
            .and_then(|rest| rest.strip_prefix('-')?.strip_suffix('-'));
        epoch.is_some_and(|epoch| epoch.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// So many digits of a system identifier tell services of one name apart: it is made of a time and of a process's number.
const LAST: usize = 8;

/// What the changes are called besides that lead back to what was before a move.
const BACK: &str = "-back";

/// Has Git say first what each side is to be, in the order of a move between these sites; `None` where no repository may be changed.
pub(super) fn declare<'a>(
    service: &'a Service,
    names: Names,
    (source, target): (&'a SiteName, &'a SiteName),
) -> Option<Declare<'a>> {
    let desired = service.desired().ok()??;
    let change = desired.change(&service.name, source, target)?;
    let targets = Arc::new(Mutex::new(None));
    Some(Box::new(move |part, epoch| {
        let (change, operation) = (change.clone(), names.operation(epoch));
        let targets = Arc::clone(&targets);
        let site = match part {
            Part::Source => source,
            Part::Target => target,
        };
        Box::pin(async move {
            let done = declared(&change, part, &operation, &targets).await;
            let done = done.map_err(|error| Box::new(error) as GitFailure)?;
            Ok(said(desired, &done, site, part))
        })
    }))
}

/// The target's commit, once the source's is pushed.
type Targets = Mutex<Option<Prepared>>;

/// Commits a part. With the source's the target's is made as well and kept back: nothing is rendered while nobody takes writes, and a
/// render that fails does so before the fence.
async fn declared(
    change: &Change<'_>,
    part: Part,
    operation: &str,
    targets: &Targets,
) -> Result<Done, DesiredError> {
    let mut targets = targets.lock().await;
    match (part, targets.take()) {
        (Part::Target, Some(prepared)) => change.deliver(&prepared, part, operation).await,
        (Part::Target, None) => change.commit(part, operation).await,
        (Part::Source, _) => {
            let done = change.commit(part, operation).await?;
            *targets = change.prepare(Part::Target, operation).await?;
            Ok(done)
        }
    }
}

/// What Git says now, as a full sentence.
fn said(desired: &Desired, done: &Done, site: &SiteName, part: Part) -> String {
    let (at, role, commit) = (desired.at(), role(part), &done.commit);
    match &done.how {
        How::Already => format!("{at} says already that {site} is {role}: {commit}."),
        How::Pushed => format!("{at} says now that {site} is {role}: {commit}."),
        How::Proposed { branch, link } => {
            let link = link.as_ref();
            let link = link.map_or_else(String::new, |link| format!(", to be merged at {link}"));
            format!("The branch {branch} proposes to {at} that {site} is {role}: {commit}{link}.")
        }
    }
}

/// Sees to it that Git says what has come of a move, and lets the owners go that it has held. Whatever comes of this, the move
/// itself has ended as it did. Where it is not finished nothing is done: whoever ends it goes on from there.
pub(super) async fn settle(
    service: &Service,
    limits: Limits,
    moved: Result<Exit, Failure>,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let followed = async {
        let looked_at = LookedAt::of(service, session).await?;
        let cluster = looked_at.cluster.as_deref().unwrap_or_default();
        let mut found = release::find(&looked_at.sites, cluster, limits).await?;
        let within = service.desired()?.and_then(Desired::merges_within);
        let within = within.unwrap_or(moving::LONGEST_STEP);
        if commit(service, &found, within, ui).await? == Committed::Awaited {
            found = release::find(&looked_at.sites, cluster, limits).await?;
        }
        release::let_all_go(found, limits.patience(), ui).await
    };
    let ended = match &moved {
        Err(failure) if failure.exit == Exit::Held => return moved,
        Ok(_) | Err(_) => Box::pin(followed).await,
    };
    let name = &service.name;
    match (ended, moved) {
        (Ok(Exit::Done), moved) => moved,
        (Ok(_), Ok(_)) => Ok(Exit::Stopped),
        (Ok(_), Err(failure)) => Err(failure),
        (Err(failure), moved) => {
            let hint = format!(
                "The move itself has ended, and the owners are held. Run `kubectl pgha release {name}` with the same --file: it \
                 goes on with what is left."
            );
            ui.complain(&failure.hinting(hint));
            moved.map(|_done| Exit::Stopped)
        }
    }
}

/// How Git came to say what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// Without a person.
    AtOnce,
    /// A person has merged something, which may have taken long.
    Awaited,
}

/// Commits what the service's file says of both sides, or proposes it and waits until it is merged, the standby's first. What was
/// committed for a move that was taken back is taken back before. Nothing where nobody is held: then Git is not contradicted.
///
/// # Errors
/// There is not exactly one primary, or Git does not take it, or nobody merges it in that time.
pub(super) async fn commit(
    service: &Service,
    found: &[LettingGo],
    within: Duration,
    ui: &Ui,
) -> Result<Committed, Failure> {
    let (Some(desired), Some(epoch)) = (
        service.desired()?,
        found.iter().filter_map(LettingGo::epoch).max(),
    ) else {
        return Ok(Committed::AtOnce);
    };
    let (standby, primary) = (
        only(service, found, &Role::StandbyLeader)?,
        only(service, found, &Role::Primary)?,
    );
    let names = Names::of(service, primary.1);
    let (standby, primary) = (standby.0, primary.0);
    let mut operation = names.operation(epoch);
    if found.iter().all(LettingGo::is_as_before) {
        // What was proposed is withdrawn, and the way back is another change.
        let change = desired.change(&service.name, primary, standby);
        if let Some(change) = change.filter(|_| !desired.is_by_merge_request()) {
            take_back(&change, &operation)
                .await
                .map_err(|error| Failure::from(&error))?;
        }
        operation.push_str(BACK);
    }
    request::withdraw_earlier(desired, &names, &operation, ui).await?;
    let Some(change) = desired.change(&service.name, standby, primary) else {
        return Ok(Committed::AtOnce);
    };
    let mut committed = Committed::AtOnce;
    for (part, site) in [(Part::Source, standby), (Part::Target, primary)] {
        let done = change.commit(part, &operation).await;
        let done = done.map_err(|error| Failure::from(&error))?;
        note(said(desired, &done, site, part), ui);
        if let How::Proposed { branch, .. } = &done.how {
            let commit = request::merged(&change, (part, &operation), branch, within, ui).await?;
            let how = How::Pushed;
            note(said(desired, &Done { commit, how }, site, part), ui);
            committed = Committed::Awaited;
        }
    }
    Ok(committed)
}

fn note(text: String, ui: &Ui) {
    moving::tell("ReleaseEvent", &Event::noted(Step::Release, text), ui);
}

/// Takes back what was committed for a move, the target's part first.
async fn take_back(change: &Change<'_>, operation: &str) -> Result<(), DesiredError> {
    for part in [Part::Target, Part::Source] {
        change.revert(part, operation).await?;
    }
    Ok(())
}

/// The one site whose Postgres and whose object both say this.
fn only<'s>(
    service: &'s Service,
    found: &'s [LettingGo],
    role: &Role,
) -> Result<(&'s SiteName, &'s Side), Failure> {
    let is_it = |letting: &&LettingGo| {
        let is_standby = letting.side().facts.survey.object.standby;
        one_side::leader_is(letting.side(), role) && is_standby == (*role == Role::StandbyLeader)
    };
    let mut them = found.iter().filter(is_it);
    let (Some(it), None) = (them.next(), them.next()) else {
        let text = format!(
            "{} has not exactly one {role}, so nothing is committed",
            service.name
        );
        let hint = format!("Look with `kubectl pgha status {}`.", service.name);
        return Err(Failure::refused(text).hinting(hint));
    };
    let context = &it.side().facts.survey.place.context;
    let site = service.sites.iter().find(|site| site.context == *context);
    site.map(|site| (&site.name, it.side())).ok_or_else(|| {
        Failure::refused(format!(
            "{} has no site of the context {context}",
            service.name
        ))
    })
}
