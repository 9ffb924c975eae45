//! Poolers and the ways by which users come in: examples, for what decides where they lead is not seen in a cluster.

use std::collections::{BTreeMap, BTreeSet};

use pgha_core::surroundings::PoolerPart;

use super::text::{Text, scalar};
use super::{Draft, MOST, Pair, leave_out, pairs, some};

/// What a host's name in an example stands for when it is not known.
const HOST: &str = "HOST";

/// Writes of the operator's own pooler, and an example for each other one.
pub(super) fn poolers(draft: &Draft<'_>, text: &mut Text) {
    let found = pairs(draft, |one| one.pooler == PoolerPart::Whole);
    let own: BTreeSet<&String> = draft
        .sites
        .iter()
        .filter_map(|site| site.around.operators_pooler.as_ref())
        .collect();
    text.blank();
    for name in own {
        text.remark(
            2,
            &format!("{name} is the operator's own pooler, which cannot be paused: its clients connect anew (docs/poolers.md)."),
        );
    }
    if found.is_empty() {
        text.remark(
            2,
            "No other pooler was found in this namespace. The clients of one elsewhere can be made to wait, and see no error: \
             docs/poolers.md.",
        );
        return;
    }
    text.remark(
        2,
        "Poolers by their image or port. Clients of a PgBouncer can be made to wait, and see no error: docs/poolers.md says what \
         it needs for that, and how it is pointed to the other site.",
    );
    text.example(2, "poolers:");
    for pair in found.iter().take(MOST) {
        pooler(pair, text);
    }
    leave_out(found.len(), "are poolers", text);
}

fn pooler(pair: &Pair<'_>, text: &mut Text) {
    let Some(any) = pair.iter().flatten().next() else {
        return;
    };
    let uses: BTreeSet<String> = pair
        .iter()
        .flatten()
        .flat_map(|one| one.uses.clone())
        .collect();
    let uses: Vec<String> = uses.into_iter().collect();
    let leads = if uses.is_empty() {
        "to which database it leads was not seen".to_owned()
    } else {
        some(&uses, 3)
    };
    text.remark(4, &format!("{}: {leads}.", any.object()));
    text.example(4, &format!("- name: {}", scalar(&any.name)));
    for line in [
        "address: HOST:6432",
        "user: ADMIN-USER",
        "passwordFile: PASSWORD-FILE",
        "databases: [DATABASE]",
    ] {
        text.example(6, line);
    }
}

/// One host by which users come in, at either site.
#[derive(Default)]
struct Way {
    is_tls: bool,
    through: BTreeSet<String>,
}

/// Writes an example of what moves the users, with a probe for each host by which they come in.
pub(super) fn write(draft: &Draft<'_>, text: &mut Text) {
    let ways = ways(draft);
    text.blank();
    if ways.is_empty() {
        text.remark(2, "By which hosts users come in was not seen.");
    }
    for (host, way) in ways.iter().take(MOST) {
        let host = if host.is_empty() {
            "whatever host they name"
        } else {
            host
        };
        let through: Vec<&str> = way.through.iter().take(4).map(String::as_str).collect();
        text.remark(
            2,
            &format!("Users come in by {host} ({}).", through.join("; ")),
        );
    }
    leave_out(ways.len(), "are hosts by which users come in", text);
    text.remark(
        2,
        "What decides at which site they arrive was not seen: docs/traffic.md has an entry for each product, in place of \
         `manual`, which tells a person. A probe asks as a user does, and wants a sign by which the answers of both sites differ.",
    );
    let mut routes: Vec<(String, String)> = Vec::new();
    for (host, way) in ways.iter().take(MOST) {
        let route = route_name(host, &routes);
        routes.push((route, url(host, way.is_tls)));
    }
    if routes.is_empty() {
        routes.push(("https".to_owned(), url(HOST, true)));
    }
    example(draft, &routes, text);
}

fn ways(draft: &Draft<'_>) -> BTreeMap<String, Way> {
    let mut ways: BTreeMap<String, Way> = BTreeMap::new();
    for site in draft.sites {
        for entrance in &site.around.entrances {
            let way = ways.entry(entrance.host.clone()).or_default();
            let workloads: Vec<String> = entrance.workloads.iter().cloned().collect();
            way.is_tls |= entrance.is_tls || !entrance.object.starts_with("Ingress ");
            way.through.insert(format!(
                "{} at {}: service/{}, {}",
                entrance.object,
                site.name(),
                entrance.service,
                some(&workloads, 3)
            ));
        }
    }
    ways
}

/// `login-example-org`, and with a number where that is taken.
fn route_name(host: &str, taken: &[(String, String)]) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric();
    let name: String = host
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(63)
        .collect();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "users" } else { name };
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let is_free = |name: &String| taken.iter().all(|(other, _)| other != name);
    names.find(is_free).unwrap_or_default()
}

/// What a user would ask for. A host that stands for many, or that is none, is to be filled in.
fn url(host: &str, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let is_one = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    let host = if is_one { host } else { HOST };
    format!("{scheme}://{host}/")
}

fn example(draft: &Draft<'_>, routes: &[(String, String)], text: &mut Text) {
    let [here, there] = draft.sites.map(|site| scalar(site.name()));
    let values = |one: &str, other: &str| format!("{{ {here}: {one}, {there}: {other} }}");
    text.example(2, "traffic:");
    text.example(4, "- manual:");
    text.example(8, "id: by-hand");
    text.example(8, "at: WHOSE-LOAD-BALANCER");
    text.example(8, "routes:");
    for (route, _) in routes {
        let sites = values("WHAT-LEADS-THERE", "WHAT-LEADS-TO-THE-OTHER");
        text.example(
            10,
            &format!("- {{ name: {}, sites: {sites} }}", scalar(route)),
        );
    }
    for (route, url) in routes {
        text.example(4, "- probe:");
        text.example(8, &format!("route: {}", scalar(route)));
        text.example(8, &format!("url: {}", scalar(url)));
        text.example(8, "family: v4");
        let values = values("ITS-VALUE", "ITS-OTHER-VALUE");
        text.example(
            8,
            &format!("evidence: [{{ header: {{ name: A-HEADER, values: {values} }} }}]"),
        );
    }
}
