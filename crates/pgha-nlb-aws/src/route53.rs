//! Weighted record sets of names in a hosted zone (Route 53 API reference, version 2013-04-01).

use std::time::Duration;

use http::Method;
use pgha_dns::{Kind, Lifetimes};
use pgha_nlb::{BackendId, Change, CutoverError, Finding, Look, Place};

use crate::Weighted;
use crate::api::{Api, BUSY};
use crate::weights::{Member, Spot, wanted, weights};
use crate::xml::Node;

/// The most that one answer holds.
const MOST: usize = 300;
const READ: &str = "read the record sets";
const CHANGE: &str = "change the record sets";
const SETTLE: &str = "ask for a change";

/// Looks at every set of every name.
pub(crate) async fn look(
    api: &Api,
    (zone, routes): (&str, &[Weighted]),
    within: Duration,
) -> Result<Vec<Spot>, CutoverError> {
    let mut all = Vec::new();
    for route in routes {
        let name = &route.at;
        let path = format!("/2013-04-01/hostedzone/{zone}/rrset?maxitems={MOST}&name={name}");
        let question = (Method::GET, path.as_str(), String::new());
        let text = api.read(READ, question, within).await?;
        all.extend(spots(&text, route).map_err(|seen| api.unfit(READ, seen))?);
    }
    Ok(all)
}

fn spots(text: &str, route: &Weighted) -> Result<Vec<Spot>, String> {
    let root = Node::read(text)?;
    let sets = root.find("ResourceRecordSets");
    let sets = sets.ok_or("it answers no record sets")?;
    let is_own = |set: &&Node<'_>| {
        let name = set.text_of("Name");
        name.is_some_and(|name| name.eq_ignore_ascii_case(&route.at))
    };
    let own: Vec<_> = sets.nodes.iter().filter(is_own).collect();
    let is_cut = root.find("IsTruncated").and_then(Node::text).as_deref() == Some("true");
    if is_cut && own.len() == sets.nodes.len() {
        return Err(format!("{} has more than {MOST} record sets", route.at));
    }
    let of = |kind: Kind| own.iter().filter(move |set| kind_of(set) == Some(kind));
    let others = own.iter().filter(|set| kind_of(set).is_none());
    let mut rest = others.map(|set| set.whole).collect::<String>();
    let kinds = Kind::ALL.into_iter().filter(|kind| of(*kind).count() > 0);
    let spots = kinds.map(|kind| Spot {
        route: route.name.clone(),
        at: format!("{kind} {}", route.at),
        members: of(kind).map(|set| member(set)).collect(),
        rest: std::mem::take(&mut rest),
        unfit: None,
    });
    Ok(spots.collect())
}

fn kind_of(set: &Node<'_>) -> Option<Kind> {
    Kind::of(&set.text_of("Type")?)
}

/// A set; one whose weight cannot be told, or not be written, has no identifier.
fn member(set: &Node<'_>) -> Member {
    let number = |name: &str| set.text_of(name)?.parse::<u32>().ok();
    let is_there_once = |tag: &str| set.whole.matches(tag).count() == 1;
    let weighted = number("Weight").and_then(|weight| {
        let tag = format!("<Weight>{weight}</Weight>");
        let (before, after) = set.whole.split_once(&tag).filter(|_| is_there_once(&tag))?;
        let form = [format!("{before}<Weight>"), format!("</Weight>{after}")];
        Some((set.text_of("SetIdentifier")?.into_owned(), weight, form))
    });
    let plain = || (String::new(), 1, [set.whole.to_owned(), String::new()]);
    let (id, weight, form) = weighted.unwrap_or_else(plain);
    let ttl = number("TTL").filter(|ttl| is_there_once(&tag_of(*ttl)));
    Member {
        id,
        weight,
        form,
        ttl,
    }
}

fn tag_of(ttl: u32) -> String {
    format!("<TTL>{ttl}</TTL>")
}

/// The place that tells how long the sets of a name are remembered.
pub(crate) fn lifetimes(spots: &[Spot], route: &Weighted) -> Option<Place> {
    let own = spots.iter().filter(|spot| spot.route == route.name);
    let longest = own.filter_map(|spot| {
        let each = spot.members.iter().filter_map(|member| member.ttl);
        Some((kind_at(spot)?, each.max()?))
    });
    let (all, name) = (longest.collect::<Lifetimes>(), route.record()?);
    (all.longest() > 0).then(|| all.place(&name))
}

fn kind_at(spot: &Spot) -> Option<Kind> {
    Kind::of(spot.at.split(' ').next()?)
}

/// The request that makes changes: what is there is deleted, and created with another weight or lifetime.
fn batch(spots: &[Spot], changes: &[Change], routes: &[Weighted]) -> String {
    let (mut deleted, mut created) = (String::new(), String::new());
    for (route, spot) in routes.iter().flat_map(|route| route.spots(spots)) {
        let weights = wanted(changes, &spot.at).map(weights).unwrap_or_default();
        let place = route.record().map(|name| Lifetimes::default().place(&name));
        let lifetimes = place.and_then(|place| wanted(changes, &place.at).map(Lifetimes::from));
        let longest = lifetimes.and_then(|all| all.of(kind_at(spot)?));
        for member in &spot.members {
            let now = member.sent(member.weight);
            let mut then = member.sent(member.wanted(&route.sites, &weights));
            if let (Some(own), Some(longest)) = (member.ttl, longest) {
                let ttl = own.min(longest);
                then = then.replacen(&tag_of(own), &tag_of(ttl), 1);
            }
            if now != then {
                deleted.extend(["<Change><Action>DELETE</Action>", &now, "</Change>"]);
                created.extend(["<Change><Action>CREATE</Action>", &then, "</Change>"]);
            }
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ChangeResourceRecordSetsRequest \
         xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes>{deleted}{created}</Changes>\
         </ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

/// Sends the batch; the id by which Route 53 knows the change.
pub(crate) async fn write(
    api: &Api,
    (zone, routes): (&str, &[Weighted]),
    (spots, changes): (&[Spot], &[Change]),
    within: Duration,
) -> Result<Option<String>, CutoverError> {
    let path = format!("/2013-04-01/hostedzone/{zone}/rrset");
    let batch = (Method::POST, path.as_str(), batch(spots, changes, routes));
    let text = api.ask(CHANGE, batch, within).await?;
    let root = Node::read(&text).unwrap_or_default();
    let id = root.find("ChangeInfo").and_then(|info| info.text_of("Id"));
    let id = id.and_then(|id| Some(id.rsplit('/').next()?.to_owned()));
    Ok(id.filter(|id| id.chars().all(|c| c.is_ascii_alphanumeric())))
}

/// What is missing until every server of Route 53 answers with a change; nothing where all do.
pub(crate) async fn missing(
    api: &Api,
    id: &str,
    within: Duration,
) -> Result<Option<Look>, CutoverError> {
    let path = format!("/2013-04-01/change/{id}");
    let question = (Method::GET, path.as_str(), String::new());
    let text = match api.read(SETTLE, question, within).await {
        Ok(text) => text,
        Err(error) if *error.next == *BUSY => return Ok(Some(Look::NotYet(format!("{error}.")))),
        Err(error) => return Err(error),
    };
    let root = Node::read(&text).unwrap_or_default();
    let status = root.find("Status").and_then(Node::text).unwrap_or_default();
    let not_yet = format!("Route 53 has not told all its servers: change {id} is {status}.");
    Ok((status != "INSYNC").then_some(Look::NotYet(not_yet)))
}

/// Whether Route 53 may answer with a site whose weight is 0 (developer guide, "Health checks and weighted routing").
pub(crate) fn health(id: &BackendId, spots: &[Spot]) -> Finding {
    let check = "route53-health";
    let is_checked = |member: &Member| {
        let sent = member.sent(0);
        sent.contains("<HealthCheckId>") || sent.contains("<EvaluateTargetHealth>true<")
    };
    let mut checked = spots
        .iter()
        .filter(|spot| spot.members.iter().any(is_checked));
    let Some(Spot { at, .. }) = checked.next() else {
        return Finding::pass(id, check);
    };
    let seen =
        format!("`{at}` has health checks: weight 0 is answered too while all else is unhealthy.");
    let advice =
        "See that the site is healthy before users are sent there, or take the checks away.";
    Finding::warn(id, check, &seen, advice)
}
