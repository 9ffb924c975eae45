//! What a load balancer has after a move, and what is said of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pgha_model::effect::Effect;
use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, Did, Look};
use serde_json::json;

use crate::moto::{
    Moto, WITHIN, backend, element, exchange, moved, peers, severity, site, through,
};
use crate::server::{Then, response, serve};

#[tokio::test]
async fn all_weight_goes_to_the_other_target_group_and_nothing_else_changes() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let sticky = "&DefaultActions.member.1.ForwardConfig.TargetGroupStickinessConfig";
    let arn = &moto.listeners[0];
    let group = |index: usize, weight: u32| {
        let name = format!(
            "&DefaultActions.member.1.ForwardConfig.TargetGroups.member.{}",
            index + 1
        );
        format!(
            "{name}.TargetGroupArn={}{name}.Weight={weight}",
            moto.groups[index]
        )
    };
    let (one, two) = (group(0, 0), group(1, 5));
    moto.act("elasticloadbalancing", &format!(
        "ModifyListener&ListenerArn={arn}&DefaultActions.member.1.Type=forward{one}{two}{sticky}.Enabled=true{sticky}.DurationSeconds=60"
    ));
    let backend = backend(moto.balancer());
    let before = moto.actions();
    let receipt = moved(&backend).await.unwrap();
    let swapped = before
        .replace("<Weight>0<", "<Weight>x<")
        .replace("<Weight>5<", "<Weight>0<")
        .replace("<Weight>x<", "<Weight>5<");
    assert_ne!(swapped, before);
    assert_eq!(moto.actions(), swapped);
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(moto.actions(), before);
}

#[tokio::test]
async fn a_site_whose_targets_are_not_healthy_is_told() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let findings = backend(moto.balancer()).preflight(WITHIN).await;
    let told: Vec<_> = findings
        .iter()
        .filter(|finding| finding.check == "listener-targets")
        .collect();
    let severities: Vec<_> = told.iter().map(|finding| finding.severity).collect();
    // Only the first target group has a target.
    assert_eq!(
        severities,
        [
            Severity::Pass,
            Severity::Warn,
            Severity::Warn,
            Severity::Warn
        ]
    );
    assert!(
        told[1].seen.contains("None of the 0 targets of core2's"),
        "{told:?}"
    );
    assert_eq!(severity(&findings, "aws-weights"), Severity::Pass);
}

/// A front of moto that answers as moto does, but for one `ModifyListener`, which `then` answers.
fn front(moto: &Moto, first: usize, then: impl Fn(u16, &str) -> Then + Send + 'static) -> u16 {
    let (behind, asked) = (moto.port(), AtomicUsize::new(0));
    serve(move |request| {
        if request.contains("Action=ModifyListener")
            && asked.fetch_add(1, Ordering::Relaxed) == first
        {
            return then(behind, request);
        }
        Then::Answer(exchange(behind, request).unwrap())
    })
}

#[tokio::test]
async fn where_the_second_listener_refuses_the_first_is_taken_back() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let before = moto.actions();
    let throttled = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
    let port = front(&moto, 1, move |_, _| response("400 Bad Request", throttled));
    let error = moved(&backend(through(moto.balancer(), port)))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Rate exceeded"), "{error}");
    assert_eq!((error.effect, moto.actions()), (Effect::None, before));
    assert!(error.next.contains("wait a minute"), "{}", error.next);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_looked_after() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let before = moto.actions();
    // The last one takes hold, and its answer is lost.
    let lost = front(&moto, 1, |behind, request| {
        exchange(behind, request).unwrap();
        Then::End
    });
    let backend = backend(through(moto.balancer(), lost));
    let receipt = moved(&backend).await.unwrap();
    assert_eq!(receipt.did, Did::Change);
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(moto.actions(), before);
    // The first one is never heard of again: it may still take hold.
    let gone = front(&moto, 0, |_, _| Then::End);
    let error = moved(&crate::moto::backend(through(moto.balancer(), gone)))
        .await
        .unwrap_err();
    assert_eq!((error.effect, moto.actions()), (Effect::Unknown, before));
}

#[tokio::test]
async fn a_writer_between_the_look_and_the_write_is_seen_afterwards() {
    let Some(peers) = peers() else { return };
    let moto = Arc::new(Moto::start(&peers).await);
    let other = Arc::downgrade(&moto);
    // Nothing compares: the last writer wins, and the read afterwards tells.
    let port = front(&moto, 1, move |behind, request| {
        let answer = exchange(behind, request).unwrap();
        other.upgrade().unwrap().weigh(1, &[(2, 1), (3, 1)]);
        Then::Answer(answer)
    });
    let error = moved(&backend(through(moto.balancer(), port)))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not show it"), "{error}");
    assert_eq!(error.effect, Effect::Unknown);
    assert!(moto.actions().contains("<Weight>1</Weight>"));
}

#[tokio::test]
async fn a_listener_that_is_not_there_is_told() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let mut settings = moto.balancer();
    let arn = format!("{}0", moto.listeners[0]);
    settings["routes"][0]["at"] = json!(arn);
    let error = backend(settings.clone()).observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("does not tell of"), "{error}");
    let routes = settings["routes"].as_array_mut().unwrap();
    routes.pop();
    let error = backend(settings).observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("ListenerNotFound"), "{error}");
}

#[tokio::test]
async fn a_listener_that_does_more_than_forward_is_no_route() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let told = moto.act(
        "elasticloadbalancing",
        &format!(
            "DescribeListeners&ListenerArns.member.1={}",
            moto.listeners[0]
        ),
    );
    assert_eq!(element(&told, "Protocol"), "TCP");
    for (from, to, words) in [
        (
            "<Protocol>TCP</Protocol>",
            "<Protocol>HTTPS</Protocol>",
            "Application Load Balancer",
        ),
        (
            "<Type>forward</Type>",
            "<Type>redirect</Type>",
            "not to forward",
        ),
    ] {
        let told = told.replace(from, to);
        let port = serve(move |_| response("200 OK", &told));
        let mut settings = through(moto.balancer(), port);
        settings["routes"].as_array_mut().unwrap().pop();
        let backend = backend(settings);
        let seen = backend.observe(WITHIN).await.unwrap();
        let said = backend.plan(&seen, &site("core1")).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}
