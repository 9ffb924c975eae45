//! Passwords that both sides of a service must agree on, and whether they may be copied from one to the other.
//!
//! No value is in here, only fingerprints of values. The trap behind it: the operator writes its Secrets' passwords into
//! Postgres when their SQL differs from what it ran last (`status.usersRevision`), so the first promotion of a site makes
//! that site's Secrets the passwords of the whole service, and a later move back does not undo it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::finding::{Finding, Findings};
use crate::member::Role;
use crate::observed::Observed;
use crate::owner::{self, Owner};
use crate::site::Part;
use crate::survey::SiteSurvey;

/// A SHA-256 digest of a secret value. It is compared and never shown: a weak password is found by its digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

/// A Secret that holds a role's password at one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSecret {
    /// Its name, the same at both sites.
    pub name: String,
    /// Kubernetes' UID.
    pub uid: String,
    /// The role in Postgres.
    pub role: String,
    /// The password; `None` when it is empty or missing: the operator is about to make one.
    pub password: Option<Fingerprint>,
    /// The SCRAM verifier, likewise.
    pub verifier: Option<Fingerprint>,
    /// Who else writes it, other than the operator; only their signs were read.
    pub owners: Vec<Owner>,
}

/// One site, as far as passwords go.
#[derive(Clone, Debug)]
pub struct SecretFacts {
    /// The site.
    pub survey: SiteSurvey,
    /// Its Secrets, by name.
    pub secrets: BTreeMap<String, RoleSecret>,
    /// What Postgres itself holds for each role: the fingerprint of its verifier.
    pub database: Observed<BTreeMap<String, Fingerprint>>,
}

/// How a Secret of both sites compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Comparison {
    /// Password and verifier are the same.
    Equal,
    /// One of them or both differ.
    Differs,
    /// Only the source has it.
    OnlyAtSource,
    /// Only the target has it.
    OnlyAtTarget,
}

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRow {
    /// The Secret's name.
    pub name: String,
    /// The role in Postgres.
    pub role: String,
    /// How the sites compare.
    pub comparison: Comparison,
    /// Whether Postgres holds the source's verifier; `None` when that was not seen, or the role is not there.
    pub database_has_source: Option<bool>,
    /// Whether Postgres holds the target's verifier.
    pub database_has_target: Option<bool>,
}

/// Compares both sites, by name. The database's word is the source's, since both sides hold the same database; the
/// target's where the source's was not seen.
pub fn compare(source: &SecretFacts, target: &SecretFacts) -> Vec<SecretRow> {
    let database = source.database.as_seen().or(target.database.as_seen());
    let mut names: Vec<&String> = source.secrets.keys().chain(target.secrets.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let (a, b) = (source.secrets.get(name), target.secrets.get(name));
            let role = &a.or(b)?.role;
            let stored = database.and_then(|database| database.get(role));
            let holds = |secret: Option<&RoleSecret>| {
                let verifier = secret?.verifier.as_ref()?;
                Some(stored? == verifier)
            };
            let comparison = match (a, b) {
                (Some(a), Some(b)) if a.password == b.password && a.verifier == b.verifier => {
                    Comparison::Equal
                }
                (Some(_), Some(_)) => Comparison::Differs,
                (Some(_), None) => Comparison::OnlyAtSource,
                (None, _) => Comparison::OnlyAtTarget,
            };
            Some(SecretRow {
                name: name.clone(),
                role: role.clone(),
                comparison,
                database_has_source: holds(a),
                database_has_target: holds(b),
            })
        })
        .collect()
}

/// Checks whether the target may get the source's passwords.
pub fn judge_sync(
    source: &SecretFacts,
    target: &SecretFacts,
    allows_managed: bool,
) -> Vec<Finding> {
    let mut findings = Findings::default();
    let rows = compare(source, target);
    judge_sites(source, target, &rows, &mut findings);
    for row in &rows {
        judge_row(row, source, target, allows_managed, &mut findings);
    }
    findings.failures().cloned().collect()
}

fn judge_sites(
    source: &SecretFacts,
    target: &SecretFacts,
    rows: &[SecretRow],
    findings: &mut Findings,
) {
    let same = source.survey.object.uid == target.survey.object.uid;
    findings.fail_if(
        "sites-differ",
        None,
        same.then(|| "Source and target are the same object.".to_owned()),
        "Name two different sites with --from and --to.",
    );
    let identifiers = (
        source.survey.system_identifier(),
        target.survey.system_identifier(),
    );
    let seen = match identifiers {
        (Some(a), Some(b)) if a == b => None,
        (Some(a), Some(b)) => Some(format!("The system identifiers differ: {a} and {b}.")),
        (_, _) => Some("A system identifier is not known.".to_owned()),
    };
    findings.fail_if(
        "system-identifier",
        None,
        seen,
        "These are not two sides of one service; check the names and contexts.",
    );
    let both_primary = is(&source.survey, &Role::Primary) && is(&target.survey, &Role::Primary);
    findings.fail_if(
        "roles",
        None,
        both_primary.then(|| "Both sides are primary.".to_owned()),
        "Stop writes to one side at once, then compare both; passwords are the smaller trouble.",
    );
    // At a writable target the operator runs the new password's SQL at once, so it must be the one in force already.
    let is_in_force = rows
        .iter()
        .filter(|row| row.comparison == Comparison::Differs)
        .all(|row| row.database_has_source == Some(true));
    let target_is_standby = is(&target.survey, &Role::StandbyLeader);
    findings.fail_if(
        "target-standby",
        Part::Target,
        (!target_is_standby && !is_in_force).then(|| {
            "The target is no standby: its operator would change live passwords at once, and Postgres is not seen to \
             hold the source's."
                .to_owned()
        }),
        "Swap --from and --to, or look why Postgres could not be asked.",
    );
}

fn is(survey: &SiteSurvey, role: &Role) -> bool {
    let holder = survey.lock_holder();
    holder
        .and_then(|member| member.freshest().ok())
        .is_some_and(|status| status.role == *role)
}

fn judge_row(
    row: &SecretRow,
    source: &SecretFacts,
    target: &SecretFacts,
    allows_managed: bool,
    findings: &mut Findings,
) {
    let name = &row.name;
    findings.fail_if(
        "secret-missing",
        Part::Target,
        (row.comparison == Comparison::OnlyAtSource)
            .then(|| format!("The target has no Secret {name}.")),
        "Add the user to the target's spec.users, as at the source, and wait until its operator has made the Secret.",
    );
    if row.comparison != Comparison::Differs {
        return;
    }
    let (Some(a), Some(b)) = (source.secrets.get(name), target.secrets.get(name)) else {
        return;
    };
    let is_incomplete = a.password.is_none() || a.verifier.is_none();
    findings.fail_if(
        "secret-incomplete",
        Part::Source,
        is_incomplete.then(|| format!("The Secret {name} lacks a password or a verifier.")),
        "Wait until the source's operator has made both.",
    );
    let advice = if row.database_has_target == Some(true) {
        "Postgres holds the target's password: swap --from and --to."
    } else {
        "Neither side's Secret is what Postgres holds: `kubectl pgha reset-password` at the primary makes a new one for both."
    };
    findings.fail_if(
        "password-in-force",
        Part::Source,
        (!is_incomplete && row.database_has_source == Some(false)).then(|| {
            format!(
                "Postgres does not hold the password of {} that the source's Secret {name} has.",
                row.role
            )
        }),
        advice,
    );
    let managed = owner::writing(&b.owners).filter(|_| !allows_managed);
    findings.fail_if(
        "managed",
        Part::Target,
        managed.map(|told| format!("Somebody else writes the Secret {name}. {told}")),
        "The owner will put its own value back. Give --allow-managed to copy all the same.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::samples::{helm_release, primary, set_system_identifier, standby};

    fn print(number: u8) -> Fingerprint {
        Fingerprint([number; 32])
    }

    fn facts(survey: SiteSurvey, uid: &str, secrets: &[(&str, u8)]) -> SecretFacts {
        let mut survey = survey;
        uid.clone_into(&mut survey.object.uid);
        let secret = |(role, number): &(&str, u8)| {
            let name = format!("zitadel-pguser-{role}");
            let secret = RoleSecret {
                name: name.clone(),
                uid: "u".to_owned(),
                role: (*role).to_owned(),
                password: Some(print(*number)),
                verifier: Some(print(*number)),
                owners: Vec::new(),
            };
            (name, secret)
        };
        SecretFacts {
            survey,
            secrets: secrets.iter().map(secret).collect(),
            database: Observed::Seen(BTreeMap::from([("app".to_owned(), print(1))])),
        }
    }

    fn pair() -> (SecretFacts, SecretFacts) {
        (
            facts(primary("core1"), "a", &[("app", 1)]),
            facts(standby("core2"), "b", &[("app", 2)]),
        )
    }

    fn failed((source, target): &(SecretFacts, SecretFacts)) -> Vec<&'static str> {
        let findings = judge_sync(source, target, false);
        findings.iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn secrets_are_compared_by_name() {
        let source = facts(
            primary("core1"),
            "a",
            &[("app", 1), ("old", 1), ("same", 3)],
        );
        let target = facts(
            standby("core2"),
            "b",
            &[("app", 2), ("new", 1), ("same", 3)],
        );
        let rows = compare(&source, &target);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.role.as_str(), row.comparison))
            .collect();
        assert_eq!(
            seen,
            [
                ("app", Comparison::Differs),
                ("new", Comparison::OnlyAtTarget),
                ("old", Comparison::OnlyAtSource),
                ("same", Comparison::Equal),
            ]
        );
        assert_eq!(rows[0].database_has_source, Some(true));
        assert_eq!(rows[0].database_has_target, Some(false));
        assert_eq!(rows[3].database_has_source, None);
    }

    #[test]
    fn a_pair_may_be_synced_from_the_password_in_force() {
        assert!(failed(&pair()).is_empty());
    }

    #[test]
    fn what_would_do_harm_is_refused() {
        let mut spoiled = pair();
        "a".clone_into(&mut spoiled.1.survey.object.uid);
        assert_eq!(failed(&spoiled), ["sites-differ"]);
        let mut spoiled = pair();
        set_system_identifier(&mut spoiled.1.survey, "8");
        assert_eq!(failed(&spoiled), ["system-identifier"]);
        let mut spoiled = pair();
        spoiled.1.secrets.clear();
        assert_eq!(failed(&spoiled), ["secret-missing"]);
        let mut spoiled = pair();
        for secret in spoiled.0.secrets.values_mut() {
            secret.verifier = None;
        }
        assert_eq!(failed(&spoiled), ["secret-incomplete"]);
        let mut spoiled = pair();
        for secret in spoiled.1.secrets.values_mut() {
            secret.owners.push(helm_release());
        }
        assert_eq!(failed(&spoiled), ["managed"]);
    }

    #[test]
    fn a_password_that_is_not_in_force_is_not_spread() {
        let (source, target) = pair();
        let swapped = facts(primary("core1"), "a", &[("app", 2)]);
        let findings = judge_sync(
            &swapped,
            &facts(standby("core2"), "b", &[("app", 1)]),
            false,
        );
        assert_eq!(findings[0].check, "password-in-force");
        assert!(findings[0].advice.contains("swap"), "{findings:?}");
        drop((source, target));
    }

    #[test]
    fn a_writable_target_gets_only_what_is_in_force() {
        let source = facts(standby("core1"), "a", &[("app", 1)]);
        let mut target = facts(primary("core2"), "b", &[("app", 2)]);
        assert!(judge_sync(&source, &target, false).is_empty());
        target.database = Observed::unseen("not asked");
        let mut unseen = source;
        unseen.database = Observed::unseen("not asked");
        assert_eq!(failed(&(unseen, target)), ["target-standby"]);
        let both = (
            facts(primary("core1"), "a", &[("app", 1)]),
            facts(primary("core2"), "b", &[("app", 1)]),
        );
        assert_eq!(failed(&both), ["roles"]);
    }

    #[test]
    fn a_fingerprint_shows_nothing() {
        assert_eq!(format!("{:?}", print(7)), "Fingerprint");
    }
}
