//! What a request that went wrong is called, and what it may have changed.

use std::error::Error as _;
use std::time::Duration;

use pgha_core::client::{CallError, CallKind, Kubeconfig, KubeconfigSource, SiteClient};
use pgha_core::diagnose::{Diagnose as _, causes};
use pgha_core::k8s::{self, DynamicObject, Patch, PatchParams};
use pgha_model::effect::Effect;
use pgha_testkit::kubeconfig::{Context, write_kubeconfig};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::json;

use crate::{NAMESPACE, TIMEOUT, site};

const NAME: &str = "zitadel-ha-config";

fn with_object() -> FakeCluster {
    let cluster = FakeCluster::new();
    cluster.insert(
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {
        "name": NAME, "namespace": NAMESPACE, "annotations": {"config": "{}"}}}),
    );
    cluster
}

async fn read(site: &SiteClient) -> Result<DynamicObject, CallError> {
    site.call(
        "get",
        "endpoints zitadel-ha-config",
        site.objects(&k8s::endpoints()).get(NAME),
    )
    .await
}

async fn write(site: &SiteClient, seen: &str) -> Result<DynamicObject, CallError> {
    let config = "/metadata/annotations/config";
    let patch = json!([{"op": "test", "path": config, "value": seen},
        {"op": "replace", "path": config, "value": "{\"pause\":true}"}]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(patch).unwrap());
    let params = PatchParams::default();
    let api = site.objects(&k8s::endpoints());
    site.call(
        "patch",
        "endpoints zitadel-ha-config",
        api.patch(NAME, &params, &patch),
    )
    .await
}

async fn failed(failure: Failure) -> (CallError, CallError) {
    let cluster = with_object();
    cluster.fail(Fault::new(failure));
    let site = site(&cluster);
    (
        read(&site).await.unwrap_err(),
        write(&site, "{}").await.unwrap_err(),
    )
}

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_kind_and_a_write_its_effect() {
    let forbidden = |verb: &str| CallKind::Forbidden {
        verb: verb.to_owned(),
        resource: "endpoints".to_owned(),
        namespace: NAMESPACE.to_owned(),
    };
    let table = [
        (Failure::Unauthorized, CallKind::Unauthorized, Effect::None),
        (Failure::Conflict, CallKind::Conflict, Effect::None),
        (Failure::Gone, CallKind::Gone, Effect::None),
        (Failure::Forbidden, forbidden("patch"), Effect::None),
        (
            Failure::Internal("etcdserver: request timed out"),
            CallKind::Other,
            Effect::Unknown,
        ),
        (
            Failure::ConnectionRefused,
            CallKind::Unreachable,
            Effect::None,
        ),
        (
            Failure::ConnectionLostBefore,
            CallKind::Unreachable,
            Effect::Unknown,
        ),
        (
            Failure::ConnectionLostAfter,
            CallKind::Unreachable,
            Effect::Unknown,
        ),
        (Failure::SilenceBefore, CallKind::Timeout, Effect::Unknown),
        (Failure::SilenceAfter, CallKind::Timeout, Effect::Unknown),
    ];
    for (failure, kind, effect) in table {
        let (read, write) = failed(failure.clone()).await;
        assert_eq!(
            (&write.kind, write.effect()),
            (&kind, effect),
            "{failure:?}"
        );
        assert_eq!(read.effect(), Effect::None, "{failure:?}");
    }
}

#[tokio::test]
async fn a_patch_that_rests_on_an_old_value_says_so() {
    let cluster = with_object();
    let error = write(&site(&cluster), "{\"ttl\":30}").await.unwrap_err();
    assert_eq!(
        (&error.kind, error.effect()),
        (&CallKind::TestFailed, Effect::None)
    );
    assert_eq!(
        error.to_string(),
        "cannot patch endpoints zitadel-ha-config at `core1`: a value that the patch rests on has changed"
    );
}

#[tokio::test]
async fn a_missing_permission_is_told_by_verb_resource_namespace_and_site() {
    let (error, _) = failed(Failure::Forbidden).await;
    assert_eq!(
        error.to_string(),
        "`core1` does not permit you to get endpoints in namespace `prod-iam-zitadel`"
    );
    assert_eq!(
        error.hint().unwrap(),
        "Ask for a Role with `get` on `endpoints` in namespace `prod-iam-zitadel` at core1."
    );
}

#[tokio::test(start_paused = true)]
async fn the_chain_names_the_cause_once() {
    let (error, _) = failed(Failure::SilenceBefore).await;
    assert_eq!(
        error.to_string(),
        "`core1` did not answer in time (to get endpoints zitadel-ha-config)"
    );
    assert_eq!(causes(&error), ["no answer within 5 s"]);
    let (error, _) = failed(Failure::Internal("a\u{1b}[31m")).await;
    assert_eq!(causes(&error), ["Internal error occurred: a\\u{1b}[31m"]);
    assert!(error.source().unwrap().source().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_outside_of_call_has_a_deadline_too() {
    let cluster = with_object();
    cluster.fail(Fault::new(Failure::SilenceAfter));
    let site = site(&cluster);
    let error = site.objects(&k8s::endpoints()).get(NAME).await.unwrap_err();
    let error = CallError::new(&site, "get", "endpoints", error);
    assert_eq!(error.kind, CallKind::Timeout);
}

#[tokio::test]
async fn a_server_that_is_not_there_was_not_changed() {
    let cluster = with_object();
    let served = cluster.serve().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let context = Context {
        name: "core1",
        cluster: &served,
        namespace: NAMESPACE,
    };
    write_kubeconfig(&path, &[context]).unwrap();
    let kubeconfig = Kubeconfig::read(&KubeconfigSource::Flag(path)).unwrap();
    let site = SiteClient::open(&kubeconfig, None, None, TIMEOUT)
        .await
        .unwrap();
    cluster.fail(Fault::new(Failure::ConnectionLostAfter).times(1));
    let lost = write(&site, "{}").await.unwrap_err();
    assert_eq!(
        (&lost.kind, lost.effect()),
        (&CallKind::Unreachable, Effect::Unknown)
    );
    drop(served);
    let refused = write(&site, "{}").await.unwrap_err();
    assert_eq!(
        (&refused.kind, refused.effect()),
        (&CallKind::Unreachable, Effect::None)
    );
    assert_eq!(
        refused.to_string(),
        "cannot reach the API server of `core1` to patch endpoints zitadel-ha-config"
    );
    assert!(causes(&refused)[0].starts_with("Connection refused"));
}

#[tokio::test]
async fn a_served_silence_ends_with_the_request_timeout() {
    let cluster = with_object();
    cluster.fail(Fault::new(Failure::SilenceBefore));
    let limit = Duration::from_millis(50);
    let site = SiteClient::from_client("core1", NAMESPACE, cluster.client(), limit);
    assert_eq!(read(&site).await.unwrap_err().kind, CallKind::Timeout);
}
