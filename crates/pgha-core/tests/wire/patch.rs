//! Writes that name what they rest on, against everything that can happen to a write.

use pgha_core::client::{CallKind, FIELD_MANAGER};
use pgha_core::diagnose::Diagnose as _;
use pgha_core::operator::pgo_v5;
use pgha_core::patch::{ObjectPatch, PatchBuilder, patch_endpoints, patch_object};
use pgha_model::effect::Effect;
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::survey::primary;
use crate::{NAMESPACE, site};

fn demote(seen: bool) -> ObjectPatch {
    PatchBuilder::default()
        .set(
            &["spec", "standby", "enabled"],
            Some(&json!(seen)),
            json!(true),
        )
        .of("postgrescluster", "zitadel")
}

fn enabled(cluster: &FakeCluster) -> Value {
    let object = cluster
        .object("postgresclusters", NAMESPACE, "zitadel")
        .unwrap();
    object["spec"]["standby"]["enabled"].clone()
}

#[tokio::test]
async fn a_patch_carries_our_field_manager_and_bumps_the_generation() {
    let cluster = primary().disabled_standby_section().build();
    let after = patch_object(&site(&cluster), &pgo_v5::resource(), &demote(false))
        .await
        .unwrap();
    assert_eq!(after.metadata.generation, Some(4));
    assert_eq!(enabled(&cluster), true);
    let request = &cluster.requests()[0];
    assert_eq!(request.field_manager.as_deref(), Some(FIELD_MANAGER));
    assert!(!FIELD_MANAGER.starts_with("kubectl"));
}

#[tokio::test]
async fn a_patch_that_rests_on_an_old_value_changes_nothing() {
    let cluster = primary().disabled_standby_section().build();
    let patch = patch_object(&site(&cluster), &pgo_v5::resource(), &demote(true)).await;
    let error = patch.unwrap_err();
    assert_eq!(
        (&error.kind, error.effect()),
        (&CallKind::TestFailed, Effect::None)
    );
    assert_eq!(enabled(&cluster), false);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_patch_is_never_reported_as_harmless() {
    for (failure, took_hold) in [
        (Failure::SilenceBefore, false),
        (Failure::SilenceAfter, true),
        (Failure::ConnectionLostBefore, false),
        (Failure::ConnectionLostAfter, true),
    ] {
        let cluster = primary().disabled_standby_section().build();
        cluster.fail(Fault::new(failure.clone()).verb("patch").times(1));
        let patch = patch_object(&site(&cluster), &pgo_v5::resource(), &demote(false)).await;
        assert_eq!(patch.unwrap_err().effect(), Effect::Unknown, "{failure:?}");
        assert_eq!(enabled(&cluster), took_hold, "{failure:?}");
        assert_eq!(cluster.requests().len(), 1, "{failure:?}");
    }
}

#[tokio::test]
async fn patronis_configuration_is_changed_only_from_what_was_read() {
    let cluster = primary().build();
    let config = |cluster: &FakeCluster| {
        let object = cluster
            .object("endpoints", NAMESPACE, "zitadel-ha-config")
            .unwrap();
        object["metadata"]["annotations"]["config"].clone()
    };
    let seen = config(&cluster);
    let patch = PatchBuilder::default()
        .set(
            &["metadata", "annotations", "config"],
            Some(&seen),
            json!("{\"pause\":true}"),
        )
        .of("endpoints", "zitadel-ha-config");
    let after = patch_endpoints(&site(&cluster), &patch).await.unwrap();
    assert_eq!(
        after.metadata.annotations.unwrap()["config"],
        "{\"pause\":true}"
    );
    let again = patch_endpoints(&site(&cluster), &patch).await.unwrap_err();
    assert_eq!(again.kind, CallKind::TestFailed);
    assert_eq!(config(&cluster), "{\"pause\":true}");
}
