use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pgha_model::check::{PeerSight, ResetConsent, ResetFacts};
use pgha_model::effect::Effect;
use pgha_model::reset::plan_reset;
use pgha_model::site::Part;
use pgha_testkit::pgo::PgoSite;
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::client::SiteClient;
use crate::engine::interrupter;
use crate::engine::upkeep::inside;
use crate::exec::Commands;
use crate::settle::pause;

const NAMESPACE: &str = "prod";
const LIMIT: Duration = Duration::from_secs(5);
const SECRET: &str = "zitadel-pguser-app";

fn user_secret_of(password: &str, verifier: &str) -> Value {
    let prefix = "postgres-operator.crunchydata.com";
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": SECRET, "uid": "u", "namespace": NAMESPACE, "labels": {
            format!("{prefix}/cluster"): "zitadel", format!("{prefix}/role"): "pguser", format!("{prefix}/pguser"): "app"}},
        "data": data(password, verifier)
    })
}

/// With the connection string that the operator makes of it.
fn data(password: &str, verifier: &str) -> Value {
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    let uri = format!("postgresql://app:{password}@zitadel-primary/app");
    json!({"password": encoded(password), "verifier": encoded(verifier), "uri": encoded(&uri)})
}

fn text(cluster: &FakeCluster, key: &str) -> String {
    let secret = cluster.object("secrets", NAMESPACE, SECRET).unwrap();
    let encoded = secret["data"][key].as_str().unwrap_or_default();
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

/// Two sides, what the primary's Postgres holds, and what is said in its containers.
struct Pair {
    first: FakeCluster,
    second: FakeCluster,
    held: Arc<Mutex<String>>,
    in_recovery: Arc<AtomicBool>,
    logins: Arc<Mutex<Vec<&'static str>>>,
}

const OK: &str = "pgha-login 0 ok";
const REFUSED: &str = "pgha-login 0 failed FATAL:  password authentication failed for user \"app\"";

impl Pair {
    fn new() -> Self {
        let users = |object: &mut Value| object["spec"]["users"] = json!([{"name": "app"}]);
        let first = PgoSite::primary("zitadel", NAMESPACE, clock::now()).object(users);
        let second = PgoSite::standby("zitadel", NAMESPACE, clock::now()).object(users);
        let (first, second) = (first.build(), second.build());
        for cluster in [&first, &second] {
            cluster.insert(user_secret_of("old-password", "old-verifier"));
        }
        Self {
            first,
            second,
            held: Arc::new(Mutex::new("old-verifier".to_owned())),
            in_recovery: Arc::default(),
            logins: Arc::new(Mutex::new(vec![OK, REFUSED])),
        }
    }

    /// Answers the statements of `psql` and each login in its turn.
    fn commands(&self) -> Commands {
        let (held, logins) = (Arc::clone(&self.held), Arc::clone(&self.logins));
        let in_recovery = Arc::clone(&self.in_recovery);
        inside::commands(move |_, asked| {
            if asked.contains("pgha-login") {
                let mut logins = logins.lock().unwrap();
                return format!("{}\n", logins.remove(0));
            }
            if asked.contains("pg_authid") {
                let digest = Sha256::digest(held.lock().unwrap().as_bytes());
                return json!({"app": format!("{digest:x}")}).to_string();
            }
            if in_recovery.load(Ordering::Relaxed) {
                "t"
            } else {
                "f"
            }
            .to_owned()
        })
    }

    async fn look(
        &self,
        context: &str,
        cluster: &FakeCluster,
        part: Part,
    ) -> (Side, PasswordSight) {
        let client = SiteClient::from_client(context, NAMESPACE, cluster.client(), LIMIT);
        let client = client.with_commands(self.commands());
        let side = Box::pin(Side::open(client, "zitadel", part)).await.unwrap();
        let sight = Box::pin(PasswordSight::look(&side, "app")).await.unwrap();
        (side, sight)
    }

    async fn run(&self, given: Option<&str>) -> Result<ResetOutcome, UpkeepError> {
        let given = given.map(|it| GivenPassword::read(it.as_bytes()).ok().unwrap());
        let (mut side, here) = self.look("core1", &self.first, Part::Source).await;
        let (other, there) = self.look("core2", &self.second, Part::Target).await;
        // The fake Postgres has no facts to tell.
        side.facts.postgres = Some(postgres());
        let facts = ResetFacts {
            user: "app",
            secret: SECRET,
            users: &side.users(),
            here: here.facts(&side),
            peer: PeerSight::Seen(there.facts(&other)),
        };
        let plan = plan_reset(&facts, given.is_some(), ResetConsent::default()).unwrap();
        let (_interrupter, interrupt) = interrupter();
        let run = ResetRun::new(plan, (side, here), Some(there), given, LIMIT);
        Box::pin(run.run(interrupt, &mut |_| ())).await
    }

    /// Runs it beside operators that do their part at both sites.
    async fn run_operated(&self, given: Option<&str>) -> Result<ResetOutcome, UpkeepError> {
        let operators = async {
            loop {
                operate(&self.first);
                operate(&self.second);
                // Only a primary's SQL is run.
                text(&self.first, "verifier").clone_into(&mut self.held.lock().unwrap());
                pause(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            ended = Box::pin(self.run(given)) => ended,
            () = operators => unreachable!(),
        }
    }
}

/// What is empty is made, and the connection string fits.
fn operate(cluster: &FakeCluster) {
    let (mut password, mut verifier) = (text(cluster, "password"), text(cluster, "verifier"));
    if password.is_empty() {
        "made-password".clone_into(&mut password);
        verifier.clear();
    }
    if verifier.is_empty() {
        verifier = format!("verifier-of-{password}");
    }
    let wanted = data(&password, &verifier);
    cluster.change("secrets", NAMESPACE, SECRET, |secret| {
        secret["data"] = wanted;
    });
}

fn postgres() -> pgha_model::postgres::PostgresFacts {
    serde_json::from_value(json!({
        "inRecovery": false, "systemIdentifier": "7", "checkpointTimeline": 1, "checkpointAt": "0/6000028",
        "recoveryTimeline": null, "recoveryEnd": null, "received": null, "replayedAt": null, "writtenTimeline": 1,
        "flushed": "0/7000100", "replayed": null, "replayPaused": null, "serverVersion": 150_018, "archiveMode": "on",
        "archiveCommand": "push", "restoreCommand": "get", "applyDelayMs": 0, "recoveryTargets": [],
        "synchronousStandbyNames": "", "segmentSizeBytes": 16_777_216, "lastArchived": null, "failingArchive": null,
        "receiverStatus": null, "receivedTimeline": null, "receivers": []
    }))
    .unwrap()
}

fn patches(cluster: &FakeCluster) -> Vec<Value> {
    let requests = cluster.requests().into_iter();
    let patches =
        requests.filter(|request| request.verb == "patch" && request.resource == "secrets");
    patches.filter_map(|request| request.body).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_password_is_made_by_the_operator_copied_and_logged_in_with() {
    let pair = Pair::new();
    let outcome = pair.run_operated(None).await.unwrap();
    for cluster in [&pair.first, &pair.second] {
        assert_eq!(text(cluster, "password"), "made-password");
        assert_eq!(text(cluster, "verifier"), "verifier-of-made-password");
    }
    assert_eq!(outcome.old_refused, Some(true));
    assert_eq!(outcome.unproved, [""; 0]);
    assert_eq!(
        outcome.logins.evidence(),
        "1 of 1 logins over TCP committed a transaction."
    );
    let asked = patches(&pair.first);
    let values: Vec<_> = asked[0].as_array().unwrap()[3..]
        .iter()
        .map(|it| (it["path"].clone(), it["value"].clone()))
        .collect();
    assert_eq!(
        values,
        [
            (json!("/data/password"), json!("")),
            (json!("/data/verifier"), json!(""))
        ]
    );
    let tests = asked[0].as_array().unwrap()[..3].iter();
    assert!(tests.clone().all(|it| it["op"] == "test"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_given_password_is_set_and_its_verifier_made() {
    let pair = Pair::new();
    pair.run_operated(Some("hunter2")).await.unwrap();
    assert_eq!(text(&pair.first, "password"), "hunter2");
    assert_eq!(text(&pair.second, "verifier"), "verifier-of-hunter2");
}

/// PGO applies a Secret whole, by force, as it had read it.
#[tokio::test(start_paused = true)]
async fn what_an_operator_puts_back_is_reset_again() {
    let pair = Pair::new();
    let put_back = Arc::new(AtomicUsize::new(0));
    let cluster = pair.first.clone();
    let times = Arc::clone(&put_back);
    let stale = async {
        loop {
            if times.load(Ordering::Relaxed) < 2 && text(&cluster, "verifier").is_empty() {
                cluster.change("secrets", NAMESPACE, SECRET, |secret| {
                    secret["data"] = data("old-password", "old-verifier");
                });
                times.fetch_add(1, Ordering::Relaxed);
            }
            if times.load(Ordering::Relaxed) == 2 {
                operate(&cluster);
                operate(&pair.second);
                text(&cluster, "verifier").clone_into(&mut pair.held.lock().unwrap());
            }
            pause(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::select! {
        ended = Box::pin(pair.run(None)) => ended,
        () = stale => unreachable!(),
    };
    outcome.unwrap();
    assert_eq!(put_back.load(Ordering::Relaxed), 2);
    assert_eq!(patches(&pair.first).len(), 3);
    assert_eq!(text(&pair.second, "password"), "made-password");
}

/// The Secrets are equal only once Postgres holds it: until then the other side's is the right one.
#[tokio::test(start_paused = true)]
async fn what_postgres_does_not_hold_is_not_spread() {
    let pair = Pair::new();
    let operator = async {
        loop {
            operate(&pair.first);
            pause(Duration::from_millis(50)).await;
        }
    };
    let ended = tokio::select! {
        ended = Box::pin(pair.run(None)) => ended,
        () = operator => unreachable!(),
    };
    let error = ended.unwrap_err();
    assert_eq!(error.effect, Effect::Applied);
    let said = chain_of(&error);
    assert!(
        said.contains("Postgres does not hold the verifier of"),
        "{said}"
    );
    assert_eq!(patches(&pair.second).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_password_that_still_lets_in_and_a_new_one_that_does_not_are_no_end() {
    let pair = Pair::new();
    *pair.logins.lock().unwrap() = vec![OK, OK];
    let error = pair.run_operated(None).await.unwrap_err();
    assert!(
        chain_of(&error).contains("old password still lets app in"),
        "{error:?}"
    );
    let pair = Pair::new();
    *pair.logins.lock().unwrap() = vec![REFUSED];
    let error = pair.run_operated(None).await.unwrap_err();
    assert_eq!(error.effect, Effect::Applied);
    assert!(chain_of(&error).contains("cannot log in"), "{error:?}");
    // The other side has it all the same, or a move would bring the old one back.
    assert_eq!(text(&pair.second, "password"), "made-password");
    let pair = Pair::new();
    *pair.logins.lock().unwrap() = vec![OK, "pgha-login 0 failed Connection refused"];
    let outcome = pair.run_operated(None).await.unwrap();
    assert_eq!(outcome.old_refused, None);
    assert!(
        outcome.unproved[0].contains("Connection refused"),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_takes_no_writes_any_more_and_a_changed_secret_are_left_alone() {
    let pair = Pair::new();
    pair.in_recovery.store(true, Ordering::Relaxed);
    let error = pair.run_operated(None).await.unwrap_err();
    assert_eq!(error.effect, Effect::None);
    assert_eq!(patches(&pair.first).len(), 0);
    let pair = Pair::new();
    let other = pair.first.clone();
    pair.first.before_a_patch(move || {
        other.change("secrets", NAMESPACE, SECRET, |secret| {
            secret["data"] = data("anothers", "anothers-verifier");
        });
    });
    let error = pair.run_operated(None).await.unwrap_err();
    assert_eq!(error.effect, Effect::None);
    assert_eq!(text(&pair.first, "password"), "anothers");
}

/// An operator whose copy is old makes one more password, which the other side does not have.
#[tokio::test(start_paused = true)]
async fn a_secret_that_changes_once_more_is_no_end() {
    let pair = Pair::new();
    let operator = async {
        let mut is_first = true;
        loop {
            operate(&pair.first);
            operate(&pair.second);
            text(&pair.first, "verifier").clone_into(&mut pair.held.lock().unwrap());
            if is_first && text(&pair.second, "password") == "made-password" {
                is_first = false;
                pair.first.change("secrets", NAMESPACE, SECRET, |secret| {
                    secret["data"] = data("one-more", "verifier-of-one-more");
                });
            }
            pause(Duration::from_millis(50)).await;
        }
    };
    let ended = tokio::select! {
        ended = Box::pin(pair.run(None)) => ended,
        () = operator => unreachable!(),
    };
    let error = ended.unwrap_err();
    assert_eq!(error.effect, Effect::Applied);
    assert!(
        chain_of(&error).contains("has changed the Secret"),
        "{error:?}"
    );
}

/// What the API server says to a patch may hold what was sent.
#[tokio::test(start_paused = true)]
async fn no_error_says_a_password() {
    for site in ["first", "second"] {
        let pair = Pair::new();
        let faulty = if site == "first" {
            &pair.first
        } else {
            &pair.second
        };
        let telling =
            Failure::Internal("cannot store aHVudGVyMg== for hunter2 or b2xkLXBhc3N3b3Jk");
        faulty.fail(Fault::new(telling).resource("secrets").verb("patch"));
        let error = pair.run_operated(Some("hunter2")).await.unwrap_err();
        assert_eq!(error.effect, Effect::Unknown, "{site}");
        let said = format!("{} {error:?}", chain_of(&error));
        for secret in ["hunter2", "aHVudGVyMg", "old-password", "b2xkLXBhc3N3b3Jk"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}
