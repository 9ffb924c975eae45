//! Who may log in after a move, and whether the move itself is permitted.

use std::collections::{BTreeMap, BTreeSet};

use super::SideFacts;
use super::inspection::{Login, LoginSecret};
use super::report::{Seen, report, sentence};
use crate::finding::Findings;
use crate::site::Part;

pub(super) fn judge(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    judge_secrets(source, target, findings);
    for (part, side) in [(Part::Source, source), (Part::Target, target)] {
        judge_permissions(part, side, findings);
    }
}

pub(super) fn judge_secrets(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    let logins = [
        ("user-secrets", Login::User),
        ("pgbouncer-secret", Login::Pgbouncer),
        ("monitoring-secret", Login::Monitoring),
    ];
    for (check, login) in logins {
        report(
            findings,
            check,
            None,
            secrets(source, target, login),
            "Copy the source's password and verifier to the target, and look again.",
        );
    }
}

pub(super) fn judge_permissions(part: Part, side: &SideFacts, findings: &mut Findings) {
    report(
        findings,
        "permissions",
        part,
        permissions(side),
        "Ask for a Role with these verbs in this namespace.",
    );
}

fn secrets(source: &SideFacts, target: &SideFacts, login: Login) -> Seen {
    let of = |side: &SideFacts| -> Result<BTreeMap<String, LoginSecret>, String> {
        let secrets = side.inspection.secrets.seen()?.iter();
        let wanted = secrets.filter(|secret| secret.login == login);
        Ok(wanted
            .map(|secret| (secret.name.clone(), secret.clone()))
            .collect())
    };
    let (at_source, at_target) = (of(source)?, of(target)?);
    let names: BTreeSet<_> = at_source.keys().chain(at_target.keys()).collect();
    let differing = names.into_iter().filter_map(|name| {
        let digests = |side: &BTreeMap<String, LoginSecret>| side.get(name)?.digests.clone();
        difference(name, digests(&at_source), digests(&at_target))
    });
    Ok(sentence(&differing.collect::<Vec<_>>()))
}

fn difference(
    name: &str,
    source: Option<BTreeMap<String, u64>>,
    target: Option<BTreeMap<String, u64>>,
) -> Option<String> {
    let (source, target) = match (source, target) {
        (None, None) => return Some(format!("secret {name} is at neither side")),
        (Some(_), None) => return Some(format!("secret {name} is not at the target")),
        (None, Some(_)) => return Some(format!("secret {name} is not at the source")),
        (Some(source), Some(target)) => (source, target),
    };
    let keys: BTreeSet<_> = source.keys().chain(target.keys()).collect();
    let differing: Vec<_> = keys
        .into_iter()
        .filter(|key| source.get(*key) != target.get(*key))
        .map(String::as_str)
        .collect();
    (!differing.is_empty()).then(|| format!("secret {name} differs in {}", differing.join(" and ")))
}

fn permissions(side: &SideFacts) -> Seen {
    let denied = side.inspection.permissions.seen()?.iter();
    let denied: Vec<_> = denied
        .filter(|permission| !permission.allowed)
        .map(|permission| format!("{} {}", permission.verb, permission.resource))
        .collect();
    Ok((!denied.is_empty()).then(|| format!("Not permitted: {}.", denied.join(", "))))
}
