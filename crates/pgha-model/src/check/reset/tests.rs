use super::*;
use crate::check::samples::Sample;
use crate::finding::Severity;
use crate::reset::{ResetPlan, plan_reset};
use crate::secret::RoleSecret;
use crate::service::samples::{helm_release, set_system_identifier, suspended};

const SECRET: &str = "zitadel-pguser-app";

/// A pair whose passwords are in step, for tests to spoil.
struct Pair {
    sample: Sample,
    users: Vec<String>,
    secrets: [SecretFacts; 2],
    readers: Readers,
    denied: Vec<String>,
    consent: ResetConsent,
}

fn print(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

fn pair() -> Pair {
    let sample = Sample::healthy();
    let secret = |(role, number): (&str, u8)| {
        let name = format!("zitadel-pguser-{role}");
        let secret = RoleSecret {
            name: name.clone(),
            uid: "u".to_owned(),
            role: role.to_owned(),
            password: Some(print(number)),
            verifier: Some(print(number)),
            owners: Vec::new(),
        };
        (name, secret)
    };
    let roles = [("app", 1), ("report", 2)];
    let facts = |side: &SideFacts| SecretFacts {
        survey: side.survey.clone(),
        secrets: roles.map(secret).into(),
        database: Observed::Seen(roles.map(|(role, it)| (role.to_owned(), print(it))).into()),
    };
    Pair {
        users: vec!["app".to_owned(), "report".to_owned()],
        secrets: [facts(&sample.source), facts(&sample.target)],
        sample,
        readers: Readers::default(),
        denied: Vec::new(),
        consent: ResetConsent::default(),
    }
}

impl Pair {
    fn sides(&self) -> [ResetSide<'_>; 2] {
        let side = |side, secrets| ResetSide {
            side,
            record: Ok(()),
            secrets,
            denied: Ok(&self.denied),
            readers: &self.readers,
        };
        [
            side(&self.sample.source, &self.secrets[0]),
            side(&self.sample.target, &self.secrets[1]),
        ]
    }

    fn facts(&self) -> ResetFacts<'_> {
        let [here, peer] = self.sides();
        ResetFacts {
            user: "app",
            secret: SECRET,
            users: &self.users,
            here,
            peer: PeerSight::Seen(peer),
        }
    }

    fn failing(&self) -> Vec<&'static str> {
        failing(&self.facts(), self.consent)
    }

    fn plan(&self) -> ResetPlan {
        plan_reset(&self.facts(), false, self.consent).unwrap()
    }
}

fn failing(facts: &ResetFacts<'_>, consent: ResetConsent) -> Vec<&'static str> {
    let findings = judge_reset(facts, consent);
    findings.failures().map(|finding| finding.check).collect()
}

fn told(plan: &ResetPlan) -> Vec<&'static str> {
    plan.warnings.iter().map(|finding| finding.check).collect()
}

#[test]
fn a_user_of_a_healthy_pair_gets_a_new_password_at_both_sides() {
    let mut pair = pair();
    pair.readers.found = vec!["deployment/app (env DB of app)".to_owned()];
    let plan = pair.plan();
    assert_eq!(plan.peer.map(|peer| peer.context).as_deref(), Some("core2"));
    assert_eq!(
        plan.readers,
        [
            "deployment/app (env DB of app) at core1",
            "deployment/app (env DB of app) at core2"
        ]
    );
    assert_eq!(plan.others, [""; 0]);
    assert_eq!(plan.warnings, []);
}

#[test]
fn whoever_owns_the_object_owns_no_secret() {
    let mut pair = pair();
    pair.sample.source.survey.object.owners = vec![helm_release()];
    assert_eq!(pair.failing(), [""; 0]);
}

#[test]
fn a_standby_is_refused_with_the_command_for_its_primary() {
    let pair = pair();
    let [primary, standby] = pair.sides();
    let swapped = ResetFacts {
        here: standby,
        peer: PeerSight::Seen(primary),
        ..pair.facts()
    };
    let findings = judge_reset(&swapped, ResetConsent::default());
    let refused = findings.failures().next().unwrap();
    assert_eq!(refused.check, "is-primary");
    assert!(
        refused.advice.contains(
            "kubectl pgha reset-password zitadel -n prod --context core1 --peer core2 --user app"
        ),
        "{}",
        refused.advice
    );
}

#[test]
fn what_nobody_would_prove_or_bring_to_postgres_is_not_begun() {
    let mut spoiled = pair();
    spoiled.sample.source.postgres = None;
    assert_eq!(spoiled.failing(), ["postgres-answers"]);
    let mut spoiled = pair();
    spoiled.secrets[0].database = Observed::unseen("no exec");
    assert_eq!(spoiled.failing(), ["postgres-answers"]);
    let mut spoiled = pair();
    spoiled.sample.source.survey.object.paused = true;
    spoiled.sample.source.survey.object.shutdown = true;
    assert_eq!(spoiled.failing(), ["operator-not-paused", "not-shut-down"]);
    let mut spoiled = pair();
    spoiled.denied = vec![format!("patch secrets {SECRET}")];
    assert_eq!(spoiled.failing(), ["permissions", "permissions"]);
    let unseen = pair();
    let mut facts = unseen.facts();
    facts.here.record = Err("forbidden");
    facts.here.denied = Err("timed out");
    assert_eq!(
        failing(&facts, unseen.consent),
        ["record-seen", "permissions"]
    );
}

#[test]
fn a_user_that_the_object_does_not_name_or_that_has_no_secret_gets_none() {
    let mut spoiled = pair();
    spoiled.users.remove(0);
    assert_eq!(spoiled.failing(), ["user-known"]);
    let mut spoiled = pair();
    spoiled.secrets[0].secrets.remove(SECRET);
    assert_eq!(spoiled.failing(), ["secret-there"]);
}

#[test]
fn an_owner_of_the_secret_forbids_it_at_both_sides_unless_it_is_held_or_that_is_allowed() {
    for side in [0, 1] {
        let mut pair = pair();
        let owner_is = |pair: &mut Pair, owner| {
            let secret = pair.secrets[side].secrets.get_mut(SECRET).unwrap();
            secret.owners = vec![owner];
        };
        owner_is(&mut pair, helm_release());
        assert_eq!(pair.failing(), ["managed"]);
        pair.consent.managed = true;
        assert_eq!(pair.failing(), [""; 0]);
        pair.consent.managed = false;
        owner_is(&mut pair, suspended());
        assert_eq!(pair.failing(), [""; 0]);
        assert_eq!(told(&pair.plan()), ["owner-held"]);
    }
}

/// The operator's one script would change the password of a user whom nobody has named.
#[test]
fn another_user_whose_password_would_change_too_is_not_passed_over() {
    let mut pair = pair();
    let secret = pair.secrets[0].secrets.get_mut("zitadel-pguser-report");
    secret.unwrap().verifier = Some(print(9));
    assert_eq!(pair.failing(), ["others-in-step"]);
    pair.consent.others = true;
    let plan = pair.plan();
    assert_eq!(plan.others, ["report"]);
    assert_eq!(told(&plan), ["others-in-step"]);
    // A user whom the object no longer names is in no script.
    pair.users.truncate(1);
    pair.consent.others = false;
    assert_eq!(pair.failing(), [""; 0]);
}

#[test]
fn the_other_side_must_be_able_to_get_it() {
    let mut spoiled = pair();
    spoiled.secrets[1].secrets.remove(SECRET);
    assert_eq!(spoiled.failing(), ["secret-missing"]);
    let mut spoiled = pair();
    spoiled.sample.target.survey.object.paused = true;
    assert_eq!(spoiled.failing(), ["operator-not-paused"]);
    let mut spoiled = pair();
    set_system_identifier(&mut spoiled.secrets[1].survey, "8");
    assert_eq!(spoiled.failing(), ["system-identifier"]);
    let mut spoiled = pair();
    spoiled.secrets[1].survey = spoiled.secrets[0].survey.clone();
    "b".clone_into(&mut spoiled.secrets[1].survey.object.uid);
    assert_eq!(spoiled.failing(), ["roles"]);
    // A Secret of a side that is shut down can be written all the same.
    let mut down = pair();
    down.sample.target.survey.object.shutdown = true;
    down.secrets[1].survey.members.clear();
    assert_eq!(down.failing(), [""; 0]);
}

#[test]
fn a_side_that_was_not_seen_forbids_it_unless_there_is_none() {
    let pair = pair();
    let unseen = ResetFacts {
        peer: PeerSight::Unseen("core2 does not answer"),
        ..pair.facts()
    };
    assert_eq!(failing(&unseen, pair.consent), ["peer-seen"]);
    let alone = ResetFacts {
        peer: PeerSight::Absent,
        ..pair.facts()
    };
    let plan = plan_reset(&alone, true, pair.consent).unwrap();
    assert_eq!(told(&plan), ["peer-seen"]);
    assert_eq!(plan.warnings[0].severity, Severity::Warn);
    assert!(plan.peer.is_none() && plan.given);
}

#[test]
fn programs_that_could_not_be_looked_for_are_told() {
    let mut pair = pair();
    pair.readers.unread = vec!["deployments are forbidden".to_owned()];
    assert_eq!(told(&pair.plan()), ["readers-seen", "readers-seen"]);
}
