//! Target groups of listeners' default actions (Elastic Load Balancing API reference, version 2015-12-01).

use std::time::Duration;

use form_urlencoded::Serializer;
use http::Method;
use pgha_nlb::{BackendId, Change, CutoverError, Finding};

use crate::Weighted;
use crate::api::Api;
use crate::weights::{Member, Spot, wanted, weights};
use crate::xml::Node;

const READ: &str = "read the listeners";
const CHANGE: &str = "change a listener";
const HEALTH: &str = "ask for targets' health";

fn form(action: &str, parameters: &[(String, &str)]) -> String {
    let mut form = Serializer::new(format!("Action={action}&Version=2015-12-01"));
    form.extend_pairs(parameters).finish()
}

/// Looks at every listener.
pub(crate) async fn look(
    api: &Api,
    routes: &[Weighted],
    within: Duration,
) -> Result<Vec<Spot>, CutoverError> {
    let names = (1..=routes.len()).map(|index| format!("ListenerArns.member.{index}"));
    let pairs: Vec<_> = names.zip(routes.iter().map(|it| it.at.as_str())).collect();
    let form = form("DescribeListeners", &pairs);
    let text = api.read(READ, (Method::POST, "/", form), within).await?;
    let root = Node::read(&text).map_err(|seen| api.unfit(READ, seen))?;
    let spots = routes.iter().map(|route| {
        let mut listeners = root.nodes_of("Listeners").iter();
        let listener = listeners.find(|it| it.text_of("ListenerArn").as_deref() == Some(&route.at));
        let missing = || api.unfit(READ, format!("it does not tell of {}", route.at));
        Ok(spot(listener.ok_or_else(missing)?, route))
    });
    spots.collect()
}

fn spot(listener: &Node<'_>, route: &Weighted) -> Spot {
    let protocol = listener.text_of("Protocol").unwrap_or_default();
    let mut parameters = Vec::new();
    let actions = listener.nodes_of("DefaultActions");
    flatten("DefaultActions", actions, &mut parameters);
    let kinds = actions.iter().filter_map(|node| node.text_of("Type"));
    let kinds: Vec<_> = kinds.collect();
    let unfit = if protocol.starts_with("HTTP") {
        Some("an Application Load Balancer's, whose rules decide before its default action")
    } else {
        (kinds != ["forward"]).then_some("one whose default action is not to forward")
    };
    let is_group = |name: &&str| name.contains(".TargetGroups.");
    let members = parameters.iter().filter_map(|(name, arn)| {
        let group = name.strip_suffix(".TargetGroupArn").filter(is_group)?;
        let name = format!("{group}.Weight");
        let own = parameters.iter().find(|(other, _)| *other == name);
        Some(Member {
            id: arn.clone(),
            weight: own.and_then(|(_, text)| text.parse().ok()).unwrap_or(1),
            form: [format!("&{name}="), String::new()],
            ttl: None,
        })
    });
    let is_weight = |name: &str| is_group(&name) && name.ends_with(".Weight");
    let mut rest = Serializer::new(String::new());
    rest.extend_pairs(parameters.iter().filter(|(name, _)| !is_weight(name)));
    Spot {
        route: route.name.clone(),
        at: route.at.clone(),
        members: members.collect(),
        rest: rest.finish(),
        unfit: unfit.map(|why| format!("`{}` is {why}.", route.at)),
    }
}

/// What an answer tells, as a request says it.
fn flatten(name: &str, nodes: &[Node<'_>], into: &mut Vec<(String, String)>) {
    for (index, node) in nodes.iter().enumerate() {
        let own = match node.name.as_str() {
            "member" => format!("{name}.member.{}", index + 1),
            other => format!("{name}.{other}"),
        };
        match node.text() {
            Some(text) if text.is_empty() => {}
            Some(text) => into.push((own, text.into_owned())),
            None => flatten(&own, &node.nodes, into),
        }
    }
}

/// Makes changes, one after the other. After an error whose effect is none, those before it are made.
pub(crate) async fn write(
    api: &Api,
    routes: &[Weighted],
    (spots, changes): (&[Spot], &[Change]),
    within: Duration,
) -> Result<(), CutoverError> {
    for (route, spot) in routes.iter().flat_map(|route| route.spots(spots)) {
        let Some(weights) = wanted(changes, &spot.at).map(weights) else {
            continue;
        };
        let mut form = form("ModifyListener", &[("ListenerArn".to_owned(), &spot.at)]);
        form.extend(["&", &spot.rest]);
        let members = spot.members.iter();
        form.extend(members.map(|it| it.sent(it.wanted(&route.sites, &weights))));
        let question = (Method::POST, "/", form);
        api.ask(CHANGE, question, within).await?;
    }
    Ok(())
}

/// Whether the target groups have somebody who could serve users.
pub(crate) async fn health(
    api: &Api,
    id: &BackendId,
    routes: &[Weighted],
    within: Duration,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let check = "listener-targets";
    for (site, group) in routes.iter().flat_map(|route| route.sites.iter()) {
        let form = form(
            "DescribeTargetHealth",
            &[("TargetGroupArn".to_owned(), group)],
        );
        let told = api.read(HEALTH, (Method::POST, "/", form), within).await;
        let Ok(text) = &told else {
            findings.extend(told.err().map(|error| Finding::of_error(id, check, &error)));
            continue;
        };
        let root = Node::read(text).unwrap_or_default();
        let targets = root.nodes_of("TargetHealthDescriptions");
        let mut states = targets.iter().filter_map(|node| node.find("State")?.text());
        if states.any(|state| state == "healthy") {
            findings.push(Finding::pass(id, check));
            continue;
        }
        let all = targets.len();
        let seen = format!("None of the {all} targets of {site}'s `{group}` is healthy.");
        let advice = "Where the site is to serve users only after the move, see to it then.";
        findings.push(Finding::warn(id, check, &seen, advice));
    }
    findings
}
