//! Which site may have the users: the one whose Postgres takes writes, while no other's does.

use futures::future::join_all;
use pgha_core::diagnose::chain_of;
use pgha_core::engine::Side;
use pgha_model::member::Role;
use pgha_model::site::Part;
use pgha_nlb::SiteName;

use crate::commands::one_side::leader_is;
use crate::failure::Failure;
use crate::service::{Service, Site};
use crate::session::Session;
use crate::ui::Ui;

const HINT: &str = "Move the database first (`kubectl pgha switchover`), or give --allow-standby.";

/// Refuses to send users to a site that is not seen to be the only primary. A site that cannot be seen is told of: it may
/// be why the users are moved.
pub(super) async fn refuse_standby(
    service: &Service,
    to: &SiteName,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<(), Failure> {
    let refuse = |text: String| Failure::refused(text).hinting(HINT);
    for (site, seen) in look_at_all(service, to, session).await {
        let Site { name, context, .. } = site;
        match (name == to, seen) {
            (true, Ok(true)) | (false, Ok(false)) => {}
            (true, Ok(false)) => {
                return Err(refuse(format!(
                    "Postgres at {name} ({context}) is a standby"
                )));
            }
            (false, Ok(true)) => {
                return Err(refuse(format!(
                    "Postgres at {name} ({context}) is primary, and not only at {to}"
                )));
            }
            (true, Err(because)) => {
                let text = format!("it cannot be told whether {name} ({context}) is primary");
                return Err(refuse(text).because(vec![because]));
            }
            (false, Err(because)) => {
                ui.note(&format!("Site {name} ({context}) was not seen: {because}."));
            }
        }
    }
    Ok(())
}

/// Refuses to take users away from the only primary. Where that is not seen, they may have been moved by mistake.
pub(super) async fn refuse_leaving(
    service: &Service,
    from: &SiteName,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<(), Failure> {
    let seen = look_at_all(service, from, session).await;
    for (site, seen) in &seen {
        if let Err(because) = seen {
            let Site { name, context, .. } = site;
            ui.note(&format!("Site {name} ({context}) was not seen: {because}."));
        }
    }
    let is_only_primary =
        |(site, seen): &(&Site, Result<bool, String>)| *seen == Ok(site.name == *from);
    if !seen.iter().all(is_only_primary) {
        return Ok(());
    }
    let text = format!("Postgres at {from} is primary, and nowhere else: its users belong there");
    Err(Failure::refused(text).hinting(HINT))
}

/// Whether each site's leader takes writes; the one that the users shall reach, or leave, comes first.
async fn look_at_all<'a>(
    service: &'a Service,
    first: &SiteName,
    session: &Session<'_>,
) -> Vec<(&'a Site, Result<bool, String>)> {
    let looked = service.sites.iter().map(|site| async move {
        let part = if site.name == *first {
            Part::Target
        } else {
            Part::Source
        };
        (site, look(site, part, session).await)
    });
    let mut seen = join_all(looked).await;
    seen.sort_by_key(|(site, _)| site.name != *first);
    seen
}

/// Whether a site's leader takes writes.
async fn look(site: &Site, part: Part, session: &Session<'_>) -> Result<bool, String> {
    let client = session.site_in(&site.context, site.namespace.as_deref());
    let client = client.await.map_err(|failure| failure.in_one_line())?;
    let opened = Box::pin(Side::open(client, &site.cluster, part)).await;
    let opened = opened.map_err(|error| chain_of(&error))?;
    Ok(leader_is(&opened, &Role::Primary))
}
