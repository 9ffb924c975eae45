//! What a new password of a user must pass: it is made at the primary alone, and the other side has to have the same one
//! before it is promoted.

use std::collections::BTreeMap;

use super::shutdown::judge_record;
use super::{Consent, PeerSight, SideFacts, judge_object_by};
use crate::finding::Findings;
use crate::observed::Observed;
use crate::owner;
use crate::secret::{Fingerprint, SecretFacts, judge_sync};
use crate::site::Part;

/// What the user allows that a new password otherwise refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetConsent {
    /// Change a Secret that GitOps or Helm owns.
    pub managed: bool,
    /// Have the operator set passwords of other users too.
    pub others: bool,
}

/// Programs that read a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// What reads it, a clause each.
    pub found: Vec<String>,
    /// What could not be looked at, a clause each.
    pub unread: Vec<String>,
}

/// One side, as far as a new password goes.
#[derive(Clone, Copy, Debug)]
pub struct ResetSide<'a> {
    /// What was seen of it.
    pub side: &'a SideFacts,
    /// Whether the record of moves was seen, or why not.
    pub record: Result<(), &'a str>,
    /// Its passwords.
    pub secrets: &'a SecretFacts,
    /// What may not be done with the user's Secret, or why that was not seen, as a fragment.
    pub denied: Result<&'a [String], &'a str>,
    /// Which programs read that Secret.
    pub readers: &'a Readers,
}

/// What a new password is decided from.
#[derive(Clone, Copy, Debug)]
pub struct ResetFacts<'a> {
    /// The user in Postgres.
    pub user: &'a str,
    /// The Secret of that user, by its name.
    pub secret: &'a str,
    /// The users that the object asks for.
    pub users: &'a [String],
    /// The side that takes writes.
    pub here: ResetSide<'a>,
    /// The other side.
    pub peer: PeerSight<'a, ResetSide<'a>>,
}

impl ResetFacts<'_> {
    /// The other users of whose passwords Postgres holds another than their Secrets. The operator writes the passwords of all users by
    /// one script (PGO `internal/postgres/users.go`, `WriteUsersInPostgreSQL`), which a new one has it run.
    pub(crate) fn others(&self) -> Vec<String> {
        let secrets = self.here.secrets.secrets.values();
        let Some(database) = self.here.secrets.database.as_seen() else {
            return Vec::new();
        };
        let differs = |role: &str, verifier: Option<Fingerprint>| {
            let held = database.get(role).copied();
            held.is_some() && verifier.is_some() && held != verifier
        };
        secrets
            .filter(|secret| secret.role != self.user && self.users.contains(&secret.role))
            .filter(|secret| differs(&secret.role, secret.verifier))
            .map(|secret| secret.role.clone())
            .collect()
    }
}

/// Checks a new password; it may be made when nothing fails.
pub fn judge_reset(facts: &ResetFacts<'_>, consent: ResetConsent) -> Findings {
    let mut findings = Findings::default();
    judge_side(Part::Source, facts.here, &mut findings);
    judge_primary(facts, &mut findings);
    judge_user(facts, &mut findings);
    judge_owners(
        Part::Source,
        facts.here,
        facts.secret,
        consent,
        &mut findings,
    );
    judge_others(facts, consent, &mut findings);
    match facts.peer {
        PeerSight::Seen(peer) => {
            judge_side(Part::Target, peer, &mut findings);
            judge_copy(facts, peer, consent, &mut findings);
            judge_owners(Part::Target, peer, facts.secret, consent, &mut findings);
        }
        PeerSight::Unseen(because) => findings.fail_if(
            "peer-seen",
            Part::Target,
            Some(format!(
                "The other side was not seen, and it has to have the same password before it is promoted: {because}."
            )),
            "Make it reachable, or name it with --peer or --file; where there is none, or where it gets the password later by \
             `kubectl pgha sync-secrets`, say so with --alone.",
        ),
        PeerSight::Absent => findings.warn_if(
            "peer-seen",
            Part::Target,
            Some("No other side gets the new password.".to_owned()),
            "Where there is one, run `kubectl pgha sync-secrets` before any move: its promotion brings the old password back.",
        ),
    }
    findings
}

/// What both sides must pass.
fn judge_side(part: Part, one: ResetSide<'_>, findings: &mut Findings) {
    judge_record(part, one.record, findings);
    // The other side may be down.
    let names: &[&str] = match part {
        Part::Source => &["operator-not-paused", "not-shut-down"],
        Part::Target => &["operator-not-paused"],
    };
    judge_object_by(names, part, &one.side.survey, Consent::default(), findings);
    let seen = match one.denied {
        Ok([]) => None,
        Ok(denied) => Some(format!("Not permitted: {}.", denied.join(", "))),
        Err(because) => Some(format!("What is permitted was not seen: {because}.")),
    };
    findings.fail_if(
        "permissions",
        part,
        seen,
        "Ask for the Role of `manifests/rbac/secrets.yaml` in this namespace.",
    );
    let unread = one.readers.unread.join("; ");
    findings.warn_if(
        "readers-seen",
        part,
        (!unread.is_empty()).then(|| format!("Not every program was looked at: {unread}.")),
        "Look yourself which programs read the Secret: they keep the old password until they read it again.",
    );
}

/// Only a primary that takes writes gets a new password (PGO `internal/controller/postgrescluster/postgres.go`,
/// `reconcilePostgresUsersInPostgreSQL`).
fn judge_primary(facts: &ResetFacts<'_>, findings: &mut Findings) {
    let here = facts.here;
    let in_recovery = here.side.postgres.as_ref().map(|it| it.in_recovery);
    let unseen = here.secrets.database.seen().err();
    let silent = match (in_recovery, unseen) {
        (None, _) => Some("Postgres on the leader does not answer.".to_owned()),
        (_, Some(because)) => Some(format!("What Postgres holds was not seen: {because}.")),
        (Some(_), None) => None,
    };
    findings.fail_if(
        "postgres-answers",
        Part::Source,
        silent,
        "Check that pods/exec is permitted and that the leader's database container runs.",
    );
    let advice = match facts.peer {
        PeerSight::Seen(peer) => {
            let (there, here) = (&peer.side.survey.place, &here.side.survey.place);
            let command = there.command_beside("reset-password", Some(here));
            format!(
                "Run it where the primary is: `{command} --user {}`.",
                facts.user
            )
        }
        PeerSight::Unseen(_) | PeerSight::Absent => "Run it where the primary is.".to_owned(),
    };
    findings.fail_if(
        "is-primary",
        Part::Source,
        (in_recovery == Some(true)).then(|| {
            "This side is a standby: a new password in its Secret would reach no Postgres, and be the wrong one when it is promoted."
                .to_owned()
        }),
        &advice,
    );
}

fn judge_user(facts: &ResetFacts<'_>, findings: &mut Findings) {
    let (user, users) = (facts.user, facts.users);
    let is_known = users.iter().any(|known| known == user);
    findings.fail_if(
        "user-known",
        Part::Source,
        (!is_known).then(|| format!("The object asks for no user `{user}`.")),
        &format!("Its users are: {}.", users.join(", ")),
    );
    let is_missing = is_known && !facts.here.secrets.secrets.contains_key(facts.secret);
    findings.fail_if(
        "secret-there",
        Part::Source,
        is_missing.then(|| format!("There is no Secret {}.", facts.secret)),
        "Wait until the operator has made it.",
    );
}

fn judge_owners(
    part: Part,
    one: ResetSide<'_>,
    secret: &str,
    consent: ResetConsent,
    findings: &mut Findings,
) {
    let Some(known) = one.secrets.secrets.get(secret) else {
        return;
    };
    if part == Part::Source {
        let writing = owner::writing(&known.owners).filter(|_| !consent.managed);
        findings.fail_if(
            "managed",
            part,
            writing.map(|told| format!("Somebody else writes the Secret {secret}. {told}")),
            "Change it in its source, or suspend the owner. --allow-managed changes it all the same.",
        );
    }
    findings.warn_if(
        "owner-held",
        part,
        owner::held(&known.owners),
        "See that its source does not bring the old password back, before it is released.",
    );
}

fn judge_others(facts: &ResetFacts<'_>, consent: ResetConsent, findings: &mut Findings) {
    let others = facts.others();
    let seen = (!others.is_empty()).then(|| {
        format!(
            "The operator sets the passwords of all users at once, and Postgres holds others than their Secrets for: {}.",
            others.join(", ")
        )
    });
    let check = "others-in-step";
    let advice = "Where the other side's Secret is in force, bring it here with `kubectl pgha sync-secrets`. --allow-others has \
                  theirs set to what their Secrets say.";
    if consent.others {
        findings.warn_if(check, Part::Source, seen, advice);
    } else {
        findings.fail_if(check, Part::Source, seen, advice);
    }
}

/// What a copy of the new password would meet: judged on what will be, a password that nobody has but this side's Secret and Postgres.
fn judge_copy(
    facts: &ResetFacts<'_>,
    peer: ResetSide<'_>,
    consent: ResetConsent,
    findings: &mut Findings,
) {
    let anew = Fingerprint([0; 32]);
    let (mut source, mut target) = (facts.here.secrets.clone(), peer.secrets.clone());
    for side in [&mut source, &mut target] {
        side.secrets.retain(|name, _| name == facts.secret);
    }
    for secret in source.secrets.values_mut() {
        (secret.password, secret.verifier) = (Some(anew), Some(anew));
    }
    source.database = Observed::Seen(BTreeMap::from([(facts.user.to_owned(), anew)]));
    findings
        .0
        .extend(judge_sync(&source, &target, consent.managed));
}

#[cfg(test)]
mod tests;
