//! Traps of a physical copy: what the copied files mean depends on the programs that read them.

use std::collections::BTreeMap;

use super::SideFacts;
use super::inspection::{CollationFacts, MemberFacts, OfferedExtension};
use super::report::{Seen, any_member, report};
use crate::finding::Findings;
use crate::site::Part;

pub(super) fn judge(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    let compare = |differ: fn(&MemberFacts, &MemberFacts) -> Option<String>| -> Seen {
        let leader = source
            .inspection
            .leader()
            .map_err(|because| format!("the source's leader: {because}"))?;
        any_member(&target.inspection, |member| differ(leader, member))
    };
    let part = Part::Target;
    report(
        findings,
        "server-version",
        part,
        compare(major_versions),
        "Bring both sides to one major version; a move is no upgrade.",
    );
    report(
        findings,
        "server-minor-version",
        part,
        compare(minor_versions),
        "Bring both sides to the same image.",
    );
    report(
        findings,
        "collation-versions",
        part,
        compare(collations),
        "Give both sides the same image. Where indexes were built by another version, rebuild them at the source, then \
         run ALTER DATABASE … REFRESH COLLATION VERSION or ALTER COLLATION … REFRESH VERSION.",
    );
    report(
        findings,
        "extension-libraries",
        part,
        compare(extensions),
        "Give the target an image with the same extensions.",
    );
    report(
        findings,
        "preload-libraries",
        part,
        compare(preloads),
        "Set shared_preload_libraries alike in both objects.",
    );
    report(
        findings,
        "standby-limits",
        part,
        compare(limits),
        "Raise these settings at the target and restart it.",
    );
}

fn major_versions(source: &MemberFacts, target: &MemberFacts) -> Option<String> {
    let (a, b) = (
        source.server.version / 10_000,
        target.server.version / 10_000,
    );
    (a != b).then(|| format!("Postgres {b}, and the source runs {a}"))
}

fn minor_versions(source: &MemberFacts, target: &MemberFacts) -> Option<String> {
    let shown = |version: u32| format!("{}.{}", version / 10_000, version % 10_000);
    let (a, b) = (source.server.version, target.server.version);
    (a != b).then(|| format!("Postgres {}, and the source runs {}", shown(b), shown(a)))
}

fn collations(source: &MemberFacts, target: &MemberFacts) -> Option<String> {
    let mut texts = Vec::new();
    for (name, database) in &source.databases {
        let copied = target.databases.get(name);
        for collation in &database.collations {
            let there = copied.and_then(|database| {
                database.collations.iter().find(|other| {
                    other.name == collation.name && other.provider == collation.provider
                })
            });
            texts.extend(order_differs(collation, there).map(|text| format!("{text} in {name}")));
        }
    }
    joined(&texts)
}

/// Whether the target orders otherwise than the source's indexes were built. A collation that is not there yet is
/// younger than what the target has replayed.
fn order_differs(built: &CollationFacts, there: Option<&CollationFacts>) -> Option<String> {
    let wanted = built.recorded.as_ref().or(built.actual.as_ref());
    let actual = there?.actual.as_ref();
    let shown = |version: Option<&String>| version.map_or("none", String::as_str).to_owned();
    (wanted != actual).then(|| {
        format!(
            "{} has version {} of `{}`, and its indexes were built by {}",
            built.provider,
            shown(actual),
            built.name,
            shown(wanted)
        )
    })
}

fn extensions(source: &MemberFacts, target: &MemberFacts) -> Option<String> {
    let offers = |member: &MemberFacts| -> BTreeMap<String, OfferedExtension> {
        let offered = member.server.extensions_offered.iter();
        offered.map(|one| (one.name.clone(), one.clone())).collect()
    };
    let (at_source, at_target) = (offers(source), offers(target));
    let mut texts = Vec::new();
    for (database, facts) in &source.databases {
        for extension in &facts.extensions {
            let name = &extension.name;
            let text = match (at_source.get(name), at_target.get(name)) {
                (_, None) => Some(format!("no extension {name}, which {database} has")),
                (_, Some(there)) if !there.versions.contains(&extension.version) => Some(format!(
                    "no version {} of extension {name}, which {database} has",
                    extension.version
                )),
                (Some(here), Some(there)) if here.default_version != there.default_version => {
                    let shown = |one: &OfferedExtension| {
                        one.default_version.as_deref().unwrap_or("none").to_owned()
                    };
                    Some(format!(
                        "extension {name} is {}, and the source's is {}",
                        shown(there),
                        shown(here)
                    ))
                }
                (_, Some(_)) => None,
            };
            texts.extend(text);
        }
    }
    texts.dedup();
    joined(&texts)
}

fn preloads(source: &MemberFacts, target: &MemberFacts) -> Option<String> {
    let libraries = |member: &MemberFacts| -> Vec<String> {
        let words = member.server.preload_libraries.split(',');
        let words = words.map(|word| word.trim().trim_matches('"').to_owned());
        let mut words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words
    };
    let (a, b) = (libraries(source), libraries(target));
    (a != b).then(|| {
        format!(
            "loads `{}`, and the source loads `{}`",
            b.join(","),
            a.join(",")
        )
    })
}

/// The settings that a standby compares with its primary's.
const LIMITS: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

fn limits(source: &MemberFacts, target: &MemberFacts) -> Option<String> {
    let lower = LIMITS.iter().filter_map(|name| {
        let wanted = source.server.limits.get(*name)?;
        let there = target.server.limits.get(*name)?;
        (there < wanted).then(|| format!("{name} is {there}, and the source's is {wanted}"))
    });
    joined(&lower.collect::<Vec<_>>())
}

fn joined(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(", "))
}
