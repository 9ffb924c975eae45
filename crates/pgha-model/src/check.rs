//! The checks that a move must pass before anything is changed: one list for `validate`, which shows it, and `switchover`,
//! which refuses by what fails in it.

mod access;
pub(crate) mod archive;
pub(crate) mod by_hand;
pub mod catalog;
mod copy;
mod demotion;
mod failover;
pub mod inspection;
pub mod list;
mod promotion;
mod replay;
mod replication;
mod report;
mod reset;
mod restart;
#[cfg(test)]
mod rivals;
#[cfg(test)]
pub(crate) mod samples;
mod shutdown;
mod startup;
#[cfg(test)]
mod tests;
mod upgrade;
mod validation;
mod work;

use jiff::Timestamp;

pub use self::demotion::judge_demotion;
pub use self::failover::{FailoverConsent, FailoverFacts, judge_failover};
use self::inspection::Inspection;
pub use self::promotion::{DataLoss, PromotionFacts, judge_promotion};
use self::report::report;
pub use self::reset::{Readers, ResetConsent, ResetFacts, ResetSide, judge_reset};
pub use self::restart::judge_restart;
pub use self::shutdown::judge_shutdown;
pub use self::startup::{StartAs, StartFacts, judge_startup};
pub use self::upgrade::judge_upgrade;
pub use self::validation::{Readiness, Validation, validate};
use crate::finding::{Finding, Findings};
use crate::leader::judge_leader;
use crate::member::{PatroniVersion, Role};
use crate::owner::{self, Owner};
use crate::postgres::PostgresFacts;
use crate::site::Part;
use crate::survey::SiteSurvey;

/// One side of a move, as seen before it.
#[derive(Clone, Debug)]
pub struct SideFacts {
    /// What Kubernetes and Patroni say.
    pub survey: SiteSurvey,
    /// What Postgres says on the member that holds the lock.
    pub postgres: Option<PostgresFacts>,
    /// The members beside it whose Postgres could not be connected to.
    pub unconnected: Vec<String>,
    /// What a closer look found.
    pub inspection: Inspection,
}

/// What the user allows that a move otherwise refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// Change an object that GitOps or Helm owns.
    pub managed: bool,
    /// Hold those owners, where they can be held.
    pub holds: bool,
}

/// What is known of the other side.
#[derive(Clone, Copy, Debug)]
pub enum PeerSight<'a, T = &'a SideFacts> {
    /// It was seen.
    Seen(T),
    /// It was not; the reason as a fragment.
    Unseen(&'a str),
    /// The user says that there is none, and none was found.
    Absent,
}

impl<'a, T> PeerSight<'a, T> {
    /// What a look for it has come to; `alone` is the user's word that there is none.
    pub fn of(looked: Result<T, &'a str>, alone: bool) -> Self {
        match looked {
            Ok(seen) => Self::Seen(seen),
            Err(_) if alone => Self::Absent,
            Err(because) => Self::Unseen(because),
        }
    }

    /// The other side, where it was seen.
    pub fn seen(self) -> Option<T> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Unseen(_) | Self::Absent => None,
        }
    }
}

/// Bytes that a target may be behind before the move starts: what lies beyond is caught up first, not during the write gap.
pub const MAX_LAG_BYTES: u64 = 1 << 30;

/// Checks both sides; the move may start when nothing fails.
pub fn judge_switchover(
    source: &SideFacts,
    target: &SideFacts,
    consent: Consent,
    now: Timestamp,
) -> Findings {
    let mut findings = Findings::default();
    judge_identity(source, target, &mut findings);
    judge_parts(&source.survey, &target.survey, &mut findings);
    for (part, side) in [(Part::Source, source), (Part::Target, target)] {
        judge_leadership(part, side, now, &mut findings);
        judge_object(part, &side.survey, consent, &mut findings);
        judge_patroni(part, &side.survey, &mut findings);
        judge_postgres(part, side, &mut findings);
    }
    judge_feed(source, target, &mut findings);
    replay::judge(target, &mut findings);
    copy::judge(source, target, &mut findings);
    replication::judge(source, target, &mut findings);
    archive::judge(source, target, &mut findings);
    access::judge(source, target, &mut findings);
    work::judge(source, target, &mut findings);
    by_hand::judge(source, target, &mut findings);
    findings
}

fn judge_identity(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    let same = source.survey.object.uid == target.survey.object.uid;
    findings.fail_if(
        "sites-differ",
        None,
        same.then(|| "Source and target are the same object.".to_owned()),
        "Name two different sites with --from and --to.",
    );
    let (a, b) = (
        source.survey.system_identifier(),
        target.survey.system_identifier(),
    );
    let seen = match (a, b) {
        (Some(a), Some(b)) if a == b => None,
        (Some(a), Some(b)) => Some(format!("The system identifiers differ: {a} and {b}.")),
        (None, _) => Some("The source's system identifier is not known.".to_owned()),
        (_, None) => Some("The target's system identifier is not known.".to_owned()),
    };
    findings.fail_if(
        "system-identifier",
        None,
        seen,
        "These are not two sides of one service; check the names and contexts.",
    );
}

/// What the member that holds the lock says it is, most recently.
pub(crate) fn role_of(survey: &SiteSurvey) -> Option<Role> {
    survey
        .lock_holder()?
        .freshest()
        .ok()
        .map(|status| status.role.clone())
}

/// The two ways out when nobody is primary.
pub(crate) fn promote_either(source: &SiteSurvey, target: &SiteSurvey) -> String {
    format!(
        "There are two ways out: `{}`, or `{}`. Each compares both sides and refuses where the other one holds more.",
        promote_command(source, target),
        promote_command(target, source)
    )
}

/// The command that promotes a side, with the other side as its peer.
pub(crate) fn promote_command(side: &SiteSurvey, peer: &SiteSurvey) -> String {
    side.place.command_beside("promote", Some(&peer.place))
}

fn judge_parts(source: &SiteSurvey, target: &SiteSurvey, findings: &mut Findings) {
    let (at_source, at_target) = (role_of(source), role_of(target));
    let both_standby = promote_either(source, target);
    let (seen, advice) = match (&at_source, &at_target) {
        (Some(Role::Primary), Some(Role::StandbyLeader)) => (None, ""),
        (Some(Role::Primary), Some(Role::Primary)) => (
            Some("Both sides are primary.".to_owned()),
            "Stop writes to one side at once. After a failover, `rejoin` makes the old one a standby and keeps what only it \
             holds; no move can repair this.",
        ),
        (Some(Role::StandbyLeader), Some(Role::StandbyLeader)) => (
            Some("Both sides are standbys: nobody is primary.".to_owned()),
            both_standby.as_str(),
        ),
        (Some(Role::StandbyLeader), Some(Role::Primary)) => (
            Some("The source is the standby and the target is the primary.".to_owned()),
            "The move is already done, or swap --from and --to.",
        ),
        (_, _) => (
            Some(format!(
                "The source is {} and the target is {}.",
                at_source
                    .as_ref()
                    .map_or("without a leader".to_owned(), ToString::to_string),
                at_target
                    .as_ref()
                    .map_or("without a leader".to_owned(), ToString::to_string),
            )),
            "Run `kubectl pgha leader` on each side and wait until both have settled.",
        ),
    };
    findings.fail_if("roles", None, seen, advice);
}

fn judge_leadership(part: Part, side: &SideFacts, now: Timestamp, findings: &mut Findings) {
    let disagreements = judge_leader(&side.survey, now).disagreements;
    findings.fail_if(
        "leader-evidence",
        part,
        (!disagreements.is_empty()).then(|| disagreements.join(" ")),
        "Run `kubectl pgha leader` there; wait until every source names the same leader.",
    );
    judge_members(part, side, findings);
}

fn judge_members(part: Part, side: &SideFacts, findings: &mut Findings) {
    let stopped = side.survey.members.iter().filter(|member| {
        let status = member.freshest();
        !status.is_ok_and(crate::member::MemberStatus::is_running)
    });
    let stopped: Vec<_> = stopped.map(|member| member.pod.as_str()).collect();
    let silent: Vec<_> = side.unconnected.iter().map(String::as_str).collect();
    let silent = silent.into_iter().filter(|pod| !stopped.contains(pod));
    let silent: Vec<_> = silent.collect();
    let said = |what: &str, pods: &[&str]| {
        (!pods.is_empty()).then(|| format!("{what}: {}.", pods.join(", ")))
    };
    let seen = [
        said("Not running", &stopped),
        said("Postgres does not answer", &silent),
    ];
    let seen: Vec<_> = seen.into_iter().flatten().collect();
    findings.fail_if(
        "members-running",
        part,
        (!seen.is_empty()).then(|| seen.join(" ")),
        "Bring every member up, or remove it from the cluster.",
    );
}

/// Those of the object's checks that are named: what a move asks beside them is about its standby section.
fn judge_object_by(
    names: &[&str],
    part: Part,
    survey: &SiteSurvey,
    consent: Consent,
    findings: &mut Findings,
) {
    let mut all = Findings::default();
    judge_object(part, survey, consent, &mut all);
    let is_named = |finding: &Finding| names.contains(&finding.check);
    findings.0.extend(all.0.into_iter().filter(is_named));
}

fn judge_object(part: Part, survey: &SiteSurvey, consent: Consent, findings: &mut Findings) {
    let object = &survey.object;
    findings.fail_if(
        "operator-not-paused",
        part,
        object
            .paused
            .then(|| "spec.paused is true: somebody holds the operator.".to_owned()),
        "Find out who holds it, then set spec.paused to false.",
    );
    findings.fail_if(
        "not-shut-down",
        part,
        object.shutdown.then(|| "spec.shutdown is true.".to_owned()),
        "Start it first, with `kubectl pgha startup`; where the other side is primary, with --as-standby: spec.standby alone comes \
         too late, and it opens read-write.",
    );
    findings.fail_if(
        "no-pending-switchover",
        part,
        object
            .pending_switchover
            .as_ref()
            .map(|id| format!("The operator has an unfinished switchover, `{id}`.")),
        "Let it finish, or set spec.patroni.switchover.enabled to false.",
    );
    findings.fail_if(
        "no-hidden-standby",
        part,
        object.hidden_standby_section.then(|| {
            "spec.patroni.dynamicConfiguration holds a standby_cluster of its own: a promotion would not happen."
                .to_owned()
        }),
        "Remove standby_cluster from spec.patroni.dynamicConfiguration.",
    );
    judge_owners(part, &object.owners, consent, findings);
}

/// An owner that would take the change back stops a move, unless it is to be held and can be.
fn judge_owners(part: Part, owners: &[Owner], consent: Consent, findings: &mut Findings) {
    let (to_hold, others): (Vec<Owner>, Vec<Owner>) = owner::reverting(owners)
        .cloned()
        .partition(|owner| consent.holds && owner.to_hold().is_ok_and(|chain| !chain.is_empty()));
    let waits_for_a_person = consent.holds && others.iter().all(Owner::acts_by_hand);
    let managed = owner::writing(&others).map(|told| told + &unfit(&others, consent));
    let advice = "Change it in its source, suspend the owner, or let the move do so with --hold-owners. --allow-managed \
                  changes it all the same.";
    if consent.managed || waits_for_a_person {
        findings.warn_if("not-managed", part, managed, advice);
    } else {
        findings.fail_if("not-managed", part, managed, advice);
    }
    findings.warn_if(
        "owner-to-hold",
        part,
        owner::writing(&to_hold),
        "The move holds it first, and leaves it held: `kubectl pgha release` lets it go once its source says the same.",
    );
    findings.warn_if(
        "owner-held",
        part,
        owner::held(owners),
        "See that its source says what the move makes of the object, before it is released.",
    );
}

/// Why those who were to be held cannot be, as full sentences.
fn unfit(owners: &[Owner], consent: Consent) -> String {
    let because = |owner: &Owner| owner.to_hold().err().filter(|_| consent.holds);
    let told = owners.iter().filter_map(because);
    told.fold(String::new(), |text, because| {
        text + " It is not held: " + &because + "."
    })
}

fn judge_patroni(part: Part, survey: &SiteSurvey, findings: &mut Findings) {
    judge_patroni_pause(part, survey, findings);
    judge_patroni_version(part, survey, findings);
}

fn judge_patroni_pause(part: Part, survey: &SiteSurvey, findings: &mut Findings) {
    let paused = survey.store.as_seen().is_some_and(|store| store.paused);
    findings.fail_if(
        "patroni-not-paused",
        part,
        paused.then(|| "Patroni is paused: it would neither demote nor promote.".to_owned()),
        "Resume it with `patronictl resume`.",
    );
}

fn judge_patroni_version(part: Part, survey: &SiteSurvey, findings: &mut Findings) {
    let mut versions: Vec<_> = survey
        .members
        .iter()
        .map(|member| member.freshest().ok().and_then(|status| status.patroni))
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let shown = |version: &Option<PatroniVersion>| {
        version.map_or("unknown".to_owned(), |version| version.to_string())
    };
    let seen = match versions.as_slice() {
        [Some(_)] => None,
        [] => Some("There are no members.".to_owned()),
        several => Some(format!(
            "The members' versions of Patroni are mixed or unknown: {}.",
            several.iter().map(shown).collect::<Vec<_>>().join(", ")
        )),
    };
    findings.fail_if(
        "patroni-version",
        part,
        seen,
        "Bring every member to the same version of Patroni: how a primary is stopped depends on it.",
    );
}

fn judge_postgres(part: Part, side: &SideFacts, findings: &mut Findings) {
    judge_postgres_role(part, side, part == Part::Target, findings);
    if part == Part::Source {
        judge_archive(side, findings);
    }
}

fn judge_postgres_role(part: Part, side: &SideFacts, expected: bool, findings: &mut Findings) {
    let facts = side
        .postgres
        .as_ref()
        .ok_or("Postgres on the leader was not asked or did not answer");
    findings.fail_if(
        "postgres-answers",
        part,
        facts.err().map(|because| format!("{because}.")),
        "Check that pods/exec is permitted and that the leader's database container runs.",
    );
    let role = facts.map(|facts| {
        (facts.in_recovery != expected)
            .then(|| format!("Postgres says pg_is_in_recovery() = {}.", facts.in_recovery))
    });
    report(
        findings,
        "postgres-role",
        part,
        role.map_err(str::to_owned),
        "Run `kubectl pgha leader` there; wait until Patroni and Postgres agree.",
    );
}

fn judge_archive(source: &SideFacts, findings: &mut Findings) {
    let facts = source
        .postgres
        .as_ref()
        .ok_or("Postgres on the leader was not asked or did not answer".to_owned());
    report(
        findings,
        "archive-works",
        Part::Source,
        facts.map(archive_trouble),
        "Repair the archive; the old side needs it to follow afterwards.",
    );
}

fn archive_trouble(facts: &PostgresFacts) -> Option<String> {
    let off = (facts.archive_mode == "off" || facts.archive_command.is_empty())
        .then(|| "The source archives nothing.".to_owned());
    let failing = facts
        .failing_archive
        .as_ref()
        .map(|wal| format!("Archiving fails: {wal} was refused last."));
    off.or(failing)
}

fn judge_feed(source: &SideFacts, target: &SideFacts, findings: &mut Findings) {
    let written = source.postgres.as_ref().and_then(|facts| facts.flushed);
    let replayed = target.postgres.as_ref().and_then(|facts| facts.replayed);
    let seen = match (written, replayed) {
        (Some(written), Some(replayed)) => {
            let lag = written.bytes_ahead_of(replayed);
            (lag > MAX_LAG_BYTES)
                .then(|| format!("The target is {lag} bytes behind ({replayed} of {written})."))
        }
        (_, _) => Some("The positions of both sides could not be read.".to_owned()),
    };
    findings.fail_if(
        "target-close",
        Part::Target,
        seen,
        "Wait until the target has caught up; `kubectl pgha status -w` shows it.",
    );
    let section = target.survey.object.standby_section.as_ref();
    let no_section = source.survey.object.standby_section.is_none() && section.is_none();
    findings.fail_if(
        "standby-section",
        Part::Source,
        no_section.then(|| "Neither object says how to be a standby.".to_owned()),
        "Add spec.standby with enabled: false and a repoName or host to the source.",
    );
    let forked = source
        .postgres
        .as_ref()
        .zip(target.postgres.as_ref())
        .filter(|(source, target)| target.checkpoint_timeline > source.checkpoint_timeline)
        .map(|(source, target)| {
            format!(
                "The target is on timeline {}, the source on {}.",
                target.checkpoint_timeline, source.checkpoint_timeline
            )
        });
    findings.fail_if(
        "same-timeline",
        None,
        forked,
        "The target has forked off: rebuild it from the source before a move.",
    );
}
