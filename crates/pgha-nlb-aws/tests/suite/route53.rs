//! What Route 53 has after a move, and what is said of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pgha_model::effect::Effect;
use pgha_nlb::finding::Severity;
use pgha_nlb::{Active, Cutover as _, Did, Look, Problem};
use serde_json::json;

use crate::moto::{
    Moto, WITHIN, backend, element, exchange, moved, peers, records, set, severity, site, through,
};
use crate::server::{Then, response, serve};

const BATCH: &str = "POST /2013-04-01/hostedzone/";
const CHANGE: &str = "GET /2013-04-01/change/";

fn without_weights(sets: &[String]) -> Vec<String> {
    let weight = |set: &String| {
        let (before, rest) = set.split_once("<Weight>").unwrap_or((set, ""));
        let after = rest.split_once("</Weight>").map_or("", |(_, after)| after);
        format!("{before}{after}")
    };
    let mut sets: Vec<_> = sets.iter().map(weight).collect();
    sets.sort_unstable();
    sets
}

#[tokio::test]
async fn weights_change_in_one_batch_and_everything_else_stays_byte_for_byte() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let backend = backend(moto.names());
    let (before, batches) = (moto.sets(), moto.batches());
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    for line in [
        r#"-A login.example.org. = {"core1":0,"core2":255}"#,
        r#"+A login.example.org. = {"core1":255,"core2":0}"#,
        r#"+AAAA login.example.org. = {"core1":128,"core2":0}"#,
        r#"+CNAME api.example.org. = {"core1":7,"core2":0}"#,
        r#"+A app.example.org. = {"core1":1,"core2":0}"#,
    ] {
        let mut lines = plan.diff.lines();
        assert!(lines.any(|shown| shown == line), "{line}\n{}", plan.diff);
    }
    let receipt = backend.apply(&plan, WITHIN).await.unwrap();
    assert_eq!(moto.batches(), batches + 1);
    let told = receipt.evidence.join(" ");
    assert!(told.contains("for up to 600 s"), "{told}");
    let after = moto.sets();
    assert_ne!(after, before);
    assert_eq!(without_weights(&after), without_weights(&before));
    assert!(
        after.concat().contains("<EvaluateTargetHealth>true"),
        "{after:?}"
    );
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::Settled(told) if told.contains("INSYNC")),
        "{look:?}"
    );
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!((moto.sets(), moto.batches()), (before, batches + 2));
}

#[tokio::test]
async fn a_change_has_settled_when_every_server_has_it() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let (behind, asked) = (moto.port(), AtomicUsize::new(0));
    let port = serve(move |request| {
        let is_change = request.starts_with(CHANGE);
        match is_change.then(|| asked.fetch_add(1, Ordering::Relaxed)) {
            Some(0) => response(
                "400 Bad Request",
                "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
            ),
            Some(1) => response(
                "200 OK",
                "<GetChangeResponse><ChangeInfo><Status>PENDING</Status></ChangeInfo></GetChangeResponse>",
            ),
            _ => Then::Answer(exchange(behind, request).unwrap()),
        }
    });
    let backend = backend(through(moto.names(), port));
    let receipt = moved(&backend).await.unwrap();
    for word in ["Throttling", "PENDING"] {
        let look = backend.settled(&receipt, WITHIN).await.unwrap();
        assert!(
            matches!(&look, Look::NotYet(told) if told.contains(word)),
            "{look:?}"
        );
    }
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
    // Another process knows of no change, and sees the sets all the same.
    let other = crate::moto::backend(moto.names());
    let look = other.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
}

/// A front of moto that compares as Route 53 does, which moto does not: it refuses a batch that deletes what is not there exactly
/// so (API reference, `ChangeResourceRecordSets`). `before` runs before each batch is looked at.
fn comparing(moto: &Arc<Moto>, before: impl Fn(&Moto) + Send + 'static) -> u16 {
    // What outlives the test must not keep moto running.
    let moto = Arc::downgrade(moto);
    serve(move |request| {
        let moto = moto.upgrade().unwrap();
        if request.starts_with(BATCH) {
            before(&moto);
            let sets = moto.sets();
            let deleted = request
                .split("<Action>DELETE</Action><ResourceRecordSet>")
                .skip(1);
            let mut deleted = deleted.map(|rest| rest.split_once("</Change>").unwrap().0);
            if !deleted.clone().all(|set| sets.iter().any(|own| own == set)) {
                let name = element(deleted.next().unwrap(), "Name");
                return response(
                    "400 Bad Request",
                    &format!(
                        "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error>\
                     <Type>Sender</Type><Code>InvalidChangeBatch</Code><Message>[Tried to delete resource record set \
                     [name='{name}', type='A', set identifier='one'] but the values provided do not match the current \
                     values]</Message></Error><RequestId>x</RequestId></ErrorResponse>"
                    ),
                );
            }
        }
        Then::Answer(exchange(moto.port(), request).unwrap())
    })
}

#[tokio::test]
async fn a_writer_between_the_look_and_the_batch_is_never_overwritten() {
    let Some(peers) = peers() else { return };
    let moto = Arc::new(Moto::start(&peers).await);
    let other = [set(
        "login",
        "AAAA",
        ("two", 128),
        &records(600, "2001:db8::99"),
    )];
    let foreign = other.clone();
    let port = comparing(&moto, move |moto| moto.change("UPSERT", &foreign));
    let before = without_weights(&moto.sets()).len();
    let error = moved(&backend(through(moto.names(), port)))
        .await
        .unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(error.effect, Effect::None);
    let sets = moto.sets();
    assert_eq!(sets.len(), before);
    assert!(
        sets.concat().contains("2001:db8::99") && sets.concat().contains("<Weight>255"),
        "{sets:?}"
    );
    // With nobody between, the same front lets the batch through: what is deleted is exactly what is there.
    let port = comparing(&moto, |_| {});
    let receipt = moved(&backend(through(moto.names(), port))).await.unwrap();
    assert_eq!(receipt.did, Did::Change);
}

#[tokio::test]
async fn a_batch_that_is_refused_changes_nothing_and_is_told_in_the_words_of_aws() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    for (status, code, words) in [
        (
            "400 Bad Request",
            "PriorRequestNotComplete",
            "wait a minute",
        ),
        ("400 Bad Request", "Throttling", "wait a minute"),
        ("429 Too Many Requests", "SlowDown", "wait a minute"),
        (
            "400 Bad Request",
            "InvalidChangeBatch",
            "Correct what AWS says",
        ),
        ("403 Forbidden", "AccessDenied", "let them do"),
    ] {
        let behind = moto.port();
        let port = serve(move |request| {
            if request.starts_with(BATCH) {
                let body = format!(
                    "<ErrorResponse><Error><Code>{code}</Code><Message>no\u{1b}[2J</Message></Error></ErrorResponse>"
                );
                return response(status, &body);
            }
            Then::Answer(exchange(behind, request).unwrap())
        });
        let before = moto.sets();
        let error = moved(&backend(through(moto.names(), port)))
            .await
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(code) && said.contains("no\\u{1b}[2J"),
            "{said}"
        );
        assert!(error.next.contains(words), "{}", error.next);
        assert_eq!((error.effect, moto.sets()), (Effect::None, before));
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_replaced_by_what_is_there() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let (behind, batches) = (moto.port(), moto.batches());
    let is_lost = Arc::new(AtomicBool::new(true));
    let port = serve({
        let is_lost = Arc::clone(&is_lost);
        move |request| {
            let is_batch = request.starts_with(BATCH);
            if is_batch && !is_lost.load(Ordering::Relaxed) {
                return Then::End;
            }
            let answer = exchange(behind, request).unwrap();
            if is_batch {
                Then::End
            } else {
                Then::Answer(answer)
            }
        }
    });
    let backend = backend(through(moto.names(), port));
    let receipt = moved(&backend).await.unwrap();
    assert_eq!((receipt.did, moto.batches()), (Did::Change, batches + 1));
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
    // What may be under way is unknown, and not sent again.
    is_lost.store(false, Ordering::Relaxed);
    let error = backend.rollback(&receipt, WITHIN).await.unwrap_err();
    assert_eq!(
        (error.effect, moto.batches()),
        (Effect::Unknown, batches + 1),
        "{error}"
    );
}

#[tokio::test]
async fn what_weights_do_not_tell_is_no_site() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let two = |weight: u32| {
        set(
            "api",
            "CNAME",
            ("api two", weight),
            &records(20, "lb.two.example.net"),
        )
    };
    let unweighted = "<ResourceRecordSet><Name>api.example.org.</Name><Type>CNAME</Type>\
        <SetIdentifier>api two</SetIdentifier><Region>eu-west-1</Region><TTL>20</TTL><ResourceRecords><ResourceRecord>\
        <Value>x.example.net</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>";
    for (action, change, words) in [
        // Route 53 answers with each of them then.
        ("UPSERT", two(0), r#"says {"core1":0,"core2":0}"#),
        (
            "UPSERT",
            unweighted.to_owned(),
            "has not one weight for `api two` of site core2",
        ),
        ("DELETE", two(7), "has not one weight for `api two`"),
    ] {
        let moto = moto.anew();
        moto.change(action, &[change]);
        let backend = backend(moto.names());
        let seen = backend.observe(WITHIN).await.unwrap();
        let (Active::Split { seen: said } | Active::Unknown { because: said }) =
            &seen.routes[1].active
        else {
            panic!("{seen:?}");
        };
        assert!(said.contains(words), "{said}");
        assert!(backend.plan(&seen, &site("core1")).is_err());
        let findings = backend.preflight(WITHIN).await;
        assert_eq!(severity(&findings, "aws-weights"), Severity::Fail);
    }
}

#[tokio::test]
async fn long_lifetimes_and_health_checks_are_told_and_lifetimes_lowered_beforehand() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let backend = backend(moto.names());
    let findings = backend.preflight(WITHIN).await;
    for (check, expected) in [
        ("aws-reached", Severity::Pass),
        ("aws-weights", Severity::Pass),
        ("route53-ttl", Severity::Warn),
        ("route53-health", Severity::Warn),
    ] {
        assert_eq!(severity(&findings, check), expected, "{check}");
    }
    let preparation = backend.preparation(WITHIN).await.unwrap();
    let receipt = backend.prepare(&preparation, WITHIN).await.unwrap();
    assert_eq!(receipt.did, Did::Change);
    let sets = moto.sets().concat();
    assert!(
        sets.contains("<TTL>30<") && sets.contains("<TTL>20<") && !sets.contains("<TTL>600<"),
        "{sets}"
    );
    let findings = backend.preflight(WITHIN).await;
    assert_eq!(severity(&findings, "route53-ttl"), Severity::Pass);
}

#[tokio::test]
async fn a_zone_that_is_not_there_is_told() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let mut settings = moto.names();
    settings["by"]["route53"]["zone"] = json!("Z1D633PJN98FT9");
    let error = backend(settings).observe(WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Unfit { .. }), "{error}");
    assert!(error.to_string().contains("NoSuchHostedZone"), "{error}");
}
