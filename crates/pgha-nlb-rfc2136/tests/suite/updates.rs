//! What the servers hold afterwards, and what is said of it.

use std::sync::Arc;

use pgha_model::effect::Effect;
use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, CutoverError, Did, Finding, Look, Plan, Problem, Receipt, Refusal};
use pgha_nlb_rfc2136::{Rfc2136, Settings};
use serde_json::{Value, json};

use crate::between::{Between, Fate};
use crate::server::{
    Product, STRANGER, Server, WITHIN, backend, clock, peers, routes, site, sorted,
};

const BOTH: [Product; 2] = [Product::Bind, Product::Knot];

async fn plan(backend: &Rfc2136) -> Plan {
    let seen = backend.observe(WITHIN).await.unwrap();
    backend.plan(&seen, &site("core1")).unwrap()
}

async fn moved(backend: &Rfc2136) -> Receipt {
    let plan = plan(backend).await;
    backend.apply(&plan, WITHIN).await.unwrap()
}

async fn finding(backend: &Rfc2136, check: &str) -> Finding {
    let findings = backend.preflight(WITHIN).await;
    let mut found = findings.iter().filter(|finding| finding.check == check);
    found
        .next()
        .unwrap_or_else(|| panic!("{check}: {findings:?}"))
        .clone()
}

/// A backend with another key.
fn keyed(server: &Server, name: &str, file: &str, algorithm: &str) -> Rfc2136 {
    let mut settings = server.settings(&routes());
    settings["key"] =
        json!({ "name": name, "secretFile": server.path(file), "algorithm": algorithm });
    backend(&settings)
}

#[tokio::test]
async fn all_records_change_in_one_message_and_keep_their_lifetimes() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        let server = Server::primary(&peers, product).await;
        let backend = server.backend();
        let serial = server.serial();
        let receipt = moved(&backend).await;
        assert_eq!(server.serial(), serial + 1, "{product:?}");
        let wanted = "\
api.example.org. 45 in a 192.0.2.1
app.example.org. 300 in cname lb.core1.example.net.
login.example.org. 120 in aaaa 2001:db8::1
login.example.org. 300 in a 192.0.2.1
";
        assert_eq!(server.records(), wanted, "{product:?}");
        let evidence = receipt.evidence.join(" ");
        assert!(evidence.contains("for up to 300 s"), "{evidence}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_the_primarys_changes_nothing_and_is_told() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        let server = Server::primary(&peers, product).await;
        let before = (server.records(), server.serial());
        for (name, file, algorithm, words) in [
            ("pgha", "stranger.key", "hmac-sha256", "BADSIG"),
            ("nobody", "stranger.key", "hmac-sha256", "BADKEY"),
            ("stranger", "stranger.key", "hmac-sha512", "BADKEY"),
        ] {
            let backend = keyed(&server, name, file, algorithm);
            let error = backend
                .apply(&plan(&backend).await, WITHIN)
                .await
                .unwrap_err();
            assert!(
                matches!(error.problem, Problem::Denied { .. }),
                "{product:?} {error}"
            );
            assert_eq!(error.effect, Effect::None);
            assert!(error.to_string().contains(words), "{product:?} {error}");
            assert!(error.next.contains("key name, secret"), "{}", error.next);
            assert!(!format!("{error:?} {backend:?}").contains(STRANGER));
            let finding = finding(&backend, "dns-key").await;
            assert_eq!(finding.severity, Severity::Fail);
            assert!(finding.seen.contains(words), "{product:?} {finding:?}");
        }
        assert_eq!((server.records(), server.serial()), before, "{product:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        let server = Server::primary(&peers, product).await;
        let settings: Settings = serde_json::from_value(server.settings(&routes())).unwrap();
        let now = clock()();
        let late = Rfc2136::new(settings, Arc::new(move || now - 4000)).unwrap();
        let error = late.apply(&plan(&late).await, WITHIN).await.unwrap_err();
        assert!(
            error.to_string().contains("BADTIME: the clocks"),
            "{product:?} {error}"
        );
    }
}

#[tokio::test]
async fn a_key_whose_policy_does_not_reach_is_found_beforehand() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        let server = Server::primary(&peers, product).await;
        let before = (server.records(), server.serial());
        let stranger = keyed(&server, "stranger", "stranger.key", "hmac-sha256");
        let found = finding(&stranger, "dns-key").await;
        assert_eq!(found.severity, Severity::Fail, "{product:?} {found:?}");
        let error = stranger
            .apply(&plan(&stranger).await, WITHIN)
            .await
            .unwrap_err();
        assert!(
            matches!(error.problem, Problem::Denied { .. }),
            "{product:?} {error}"
        );
        assert_eq!(error.effect, Effect::None, "{product:?} {error}");
        let own = finding(&server.backend(), "dns-key").await;
        assert_eq!(own.severity, Severity::Pass, "{product:?} {own:?}");
        assert_eq!((server.records(), server.serial()), before, "{product:?}");
    }
}

#[tokio::test]
async fn a_key_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(peers) = peers() else { return };
    let server = Server::primary(&peers, Product::Knot).await;
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(server.path("tsig.key"), open).unwrap();
    let backend = server.backend();
    let error = backend
        .apply(&plan(&backend).await, WITHIN)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("others may use the key file"),
        "{error}"
    );
    assert_eq!(error.effect, Effect::None);
    assert_eq!(finding(&backend, "dns-key").await.severity, Severity::Fail);
}

/// What a backend says that a server is between, and looks as often as that.
async fn applied(
    server: Arc<Server>,
    fate: Fate,
    before: &'static str,
) -> Result<Receipt, CutoverError> {
    let plan = plan(&server.backend()).await;
    let writer = Arc::clone(&server);
    // A look, the update, and a look afterwards.
    let between = Between::new(&server.at(), 3, fate, move || {
        if !before.is_empty() {
            writer.nsupdate(before);
        }
    });
    let mut settings = server.settings(&routes());
    settings["primary"] = json!(between.at);
    let result = backend(&settings).apply(&plan, WITHIN).await;
    between.end();
    result
}

#[tokio::test]
async fn the_primary_itself_refuses_what_rests_on_an_old_value() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        for other in [
            "update add login.example.org. 300 A 192.0.2.1",
            "update delete login.example.org. A 192.0.2.22",
            "update delete login.example.org. AAAA",
            "update add api.example.org. 300 AAAA 2001:db8::9",
            "update delete app.example.org. CNAME\nupdate add app.example.org. 300 CNAME x.example.net.",
        ] {
            let server = Arc::new(Server::primary(&peers, product).await);
            let before = server.records();
            let error = applied(Arc::clone(&server), Fate::Answered, other).await;
            let error = error.unwrap_err();
            assert!(error.is_conflict(), "{product:?} {other} {error}");
            assert_eq!(error.effect, Effect::None);
            let after = server.records();
            assert_ne!(after, before, "the other writer came first");
            assert!(
                !after.contains("core1")
                    && after.contains("2001:db8::1") == before.contains("2001:db8::1")
            );
            assert_eq!(server.serial(), 2, "{product:?}: only the other one wrote");
        }
    }
}

#[tokio::test]
async fn what_leaves_the_records_alone_does_not_stop_an_update() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        let server = Arc::new(Server::primary(&peers, product).await);
        let other = "update add other.example.org. 300 TXT x";
        let receipt = applied(Arc::clone(&server), Fate::Answered, other).await;
        assert_eq!(receipt.unwrap().did, Did::Change, "{product:?}");
        assert_eq!(server.serial(), 3);
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_after_and_nothing_is_sent_again() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        let server = Arc::new(Server::primary(&peers, product).await);
        let receipt = applied(Arc::clone(&server), Fate::Unheard, "")
            .await
            .unwrap();
        assert_eq!(receipt.did, Did::Change, "{product:?}");
        assert!(
            receipt.evidence.join(" ").contains("answer was lost"),
            "{receipt:?}"
        );
        assert_eq!(server.serial(), 2, "{product:?}");

        let server = Arc::new(Server::primary(&peers, product).await);
        let error = applied(Arc::clone(&server), Fate::Lost, "")
            .await
            .unwrap_err();
        assert_eq!(
            (&error.problem, error.effect),
            (&Problem::Unreachable, Effect::Unknown)
        );
        assert_eq!(server.serial(), 1, "{product:?}");
    }
}

#[tokio::test]
async fn a_secondary_that_lags_is_waited_for() {
    let Some(peers) = peers() else { return };
    let primary = Server::primary(&peers, Product::Bind).await;
    let secondary = primary.secondary().await;
    let mut settings = primary.settings(&routes());
    settings["nameservers"] = json!([primary.at(), secondary.at()]);
    let backend = backend(&settings);
    assert_eq!(
        finding(&backend, "dns-nameservers").await.severity,
        Severity::Pass
    );
    let receipt = moved(&backend).await;
    for _ in 0..3 {
        let look = backend.settled(&receipt, WITHIN).await.unwrap();
        let Look::NotYet(seen) = look else {
            panic!("{look:?}")
        };
        assert!(seen.contains(&secondary.at()), "{seen}");
    }
    let lags = finding(&backend, "dns-nameservers").await;
    assert_eq!(lags.severity, Severity::Warn, "{lags:?}");
    secondary.refresh();
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
    while secondary.serial() != primary.serial() {
        ticks.tick().await;
    }
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
    let at = secondary.at();
    drop(secondary);
    let gone = finding(&backend, "dns-nameservers").await;
    assert_eq!(gone.severity, Severity::Fail, "{gone:?}");
    assert!(gone.seen.contains(&at), "{gone:?}");
    assert!(backend.settled(&receipt, WITHIN).await.is_err());
}

#[tokio::test]
async fn a_preparation_lowers_lifetimes_and_no_address() {
    let Some(peers) = peers() else { return };
    for product in BOTH {
        let server = Server::primary(&peers, product).await;
        let backend = server.backend();
        assert_eq!(finding(&backend, "dns-ttl").await.severity, Severity::Warn);
        let (before, serial) = (server.records(), server.serial());
        let preparation = backend.preparation(WITHIN).await.unwrap();
        assert_eq!(preparation.remembers_for.as_secs(), 300);
        assert!(
            preparation
                .diff
                .contains("-TTL of login.example.org. = A 300; AAAA 120"),
            "{}",
            preparation.diff
        );
        let receipt = backend.prepare(&preparation, WITHIN).await.unwrap();
        assert_eq!((receipt.did, receipt.changes.len()), (Did::Change, 4));
        let short = [" 300 ", " 120 ", " 45 "].map(|ttl| (ttl, " 30 "));
        let wanted = short
            .iter()
            .fold(before, |text, (from, to)| text.replace(from, to));
        let wanted = sorted(&wanted);
        assert_eq!(
            (server.records(), server.serial()),
            (wanted, serial + 1),
            "{product:?}"
        );
        assert_eq!(finding(&backend, "dns-ttl").await.severity, Severity::Pass);
        let again = backend.preparation(WITHIN).await.unwrap();
        assert!(again.is_empty());
        assert_eq!(
            backend.prepare(&again, WITHIN).await.unwrap().did,
            Did::Nothing
        );
        assert_eq!(server.serial(), serial + 1, "{product:?}");
    }
}

#[tokio::test]
async fn a_preparation_of_another_zone_is_a_conflict() {
    let Some(peers) = peers() else { return };
    let server = Server::primary(&peers, Product::Bind).await;
    let backend = server.backend();
    let preparation = backend.preparation(WITHIN).await.unwrap();
    server.nsupdate("update add login.example.org. 300 A 192.0.2.1");
    let before = server.records();
    let error = backend.prepare(&preparation, WITHIN).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(server.records(), before);
}

#[tokio::test]
async fn addresses_never_become_an_alias() {
    let Some(peers) = peers() else { return };
    let server = Server::primary(&peers, Product::Knot).await;
    let mut routes = routes();
    for route in [0, 1] {
        routes[route]["sites"]["core1"] = json!({ "cname": "lb.core1.example.net" });
    }
    let backend = backend(&server.settings(&routes));
    let seen = backend.observe(WITHIN).await.unwrap();
    let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Unfit { .. }), "{refusal:?}");
}

#[tokio::test]
async fn what_is_no_primary_of_the_zone_is_told() {
    let Some(peers) = peers() else { return };
    let primary = Server::primary(&peers, Product::Bind).await;
    let with = |key: &str, value: Value, records: Value| {
        let mut settings = primary.settings(&records);
        settings[key] = value;
        backend(&settings)
    };
    let other = json!([{ "name": "https", "record": "a.example.net", "sites": {
        "core1": { "a": ["192.0.2.1"] }, "core2": { "a": ["192.0.2.2"] } } }]);
    let unknown = finding(&with("zone", json!("example.net"), other), "dns-server").await;
    assert!(unknown.seen.contains("by its own authority"), "{unknown:?}");
    // A secondary answers for the zone, and takes no update.
    let secondary = primary.secondary().await;
    let wrong = with("primary", json!(secondary.at()), routes());
    let found = finding(&wrong, "dns-key").await;
    assert_eq!(found.severity, Severity::Fail, "{found:?}");
    let gone = with("primary", json!("127.0.0.1:9"), routes());
    let error = gone.observe(WITHIN).await.unwrap_err();
    assert_eq!(
        (&error.problem, error.effect),
        (&Problem::Unreachable, Effect::None)
    );
}
