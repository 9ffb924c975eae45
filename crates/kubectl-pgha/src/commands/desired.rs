//! Git beside a move: what is committed before and after it, and what is taken back with it.

use pgha_core::engine::{Declare, GitFailure, LettingGo, Limits};
use pgha_desired::{Change, Desired, DesiredError, Done, How};
use pgha_model::event::Event;
use pgha_model::member::Role;
use pgha_model::plan::Step;
use pgha_model::record::Epoch;
use pgha_model::site::Part;
use pgha_nlb::SiteName;

use super::looked_at::LookedAt;
use super::{moving, one_side, release};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::Service;
use crate::session::Session;
use crate::ui::Ui;

/// By what both commits of a move are found again.
fn operation(service: &str, epoch: Epoch) -> String {
    format!("{service}-{epoch}")
}

/// Has Git say first what each side is to be, in the order of a move between these sites; `None` where no repository may be changed.
pub(super) fn declare<'a>(
    service: &'a Service,
    (source, target): (&'a SiteName, &'a SiteName),
) -> Option<Declare<'a>> {
    let desired = service.desired().ok()??;
    let change = desired.change(&service.name, source, target)?;
    Some(Box::new(move |part, epoch| {
        let (change, operation) = (change.clone(), operation(&service.name, epoch));
        let site = match part {
            Part::Source => source,
            Part::Target => target,
        };
        Box::pin(async move {
            let done = change.commit(part, &operation).await;
            let done = done.map_err(|error| Box::new(error) as GitFailure)?;
            Ok(said(desired, &done, site, part))
        })
    }))
}

/// What Git says now, as a full sentence.
fn said(desired: &Desired, done: &Done, site: &SiteName, part: Part) -> String {
    let how = match done.how {
        How::Already => "says already",
        How::Pushed | How::Proposed { .. } => "says now",
    };
    let role = match part {
        Part::Source => "a standby",
        Part::Target => "the primary",
    };
    format!(
        "{} {how} that {site} is {role}: {}.",
        desired.at(),
        done.commit
    )
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
        let found = release::find(&looked_at.sites, cluster, limits).await?;
        commit(service, &found, ui).await?;
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

/// Commits what the service's file says of both sides, the standby's first, where it says that Git is changed by commits. What was
/// committed for a move that was taken back is taken back before. Nothing where nobody is held: then Git is not contradicted.
///
/// # Errors
/// There is not exactly one primary, or Git does not take it.
pub(super) async fn commit(service: &Service, found: &[LettingGo], ui: &Ui) -> Result<(), Failure> {
    let (Some(desired), Some(epoch)) = (
        service.desired()?,
        found.iter().filter_map(LettingGo::epoch).max(),
    ) else {
        return Ok(());
    };
    if desired.is_by_merge_request() {
        return Ok(());
    }
    let (standby, primary) = (
        only(service, found, &Role::StandbyLeader)?,
        only(service, found, &Role::Primary)?,
    );
    let mut operation = operation(&service.name, epoch);
    if found.iter().all(LettingGo::is_as_before) {
        if let Some(change) = desired.change(&service.name, primary, standby) {
            take_back(&change, &operation)
                .await
                .map_err(|error| Failure::from(&error))?;
        }
        operation.push_str("-back");
    }
    let Some(change) = desired.change(&service.name, standby, primary) else {
        return Ok(());
    };
    for (part, site) in [(Part::Source, standby), (Part::Target, primary)] {
        let done = change.commit(part, &operation).await;
        let done = done.map_err(|error| Failure::from(&error))?;
        let text = said(desired, &done, site, part);
        let step = Step::Release;
        moving::tell("ReleaseEvent", &Event::noted(step, text), ui);
    }
    Ok(())
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
    found: &[LettingGo],
    role: &Role,
) -> Result<&'s SiteName, Failure> {
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
    site.map(|site| &site.name).ok_or_else(|| {
        Failure::refused(format!(
            "{} has no site of the context {context}",
            service.name
        ))
    })
}
