//! What is said when nobody can log in, and what must not be said.

use std::time::Duration;

use pgha_core::exec::Container;
use pgha_core::login::Programs;
use pgha_model::login::Logins;
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::survey::primary;
use crate::{NAMESPACE, site};

async fn log_in(cluster: &FakeCluster) -> Logins {
    let object = cluster.object("postgresclusters", NAMESPACE, "zitadel");
    let programs = Programs {
        site: site(cluster),
        cluster: "zitadel".to_owned(),
        object: object.unwrap(),
        inside: Container {
            pod: "zitadel-pgha1-abcd-0".to_owned(),
            name: "database".to_owned(),
        },
    };
    programs.log_in(Duration::ZERO).await
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data})
}

#[tokio::test]
async fn secrets_that_may_not_be_read_are_no_failed_logins() {
    let cluster = primary().build();
    cluster.fail(Fault::new(Failure::Forbidden).resource("secrets"));
    let logins = log_in(&cluster).await;
    assert!(!logins.all_fail());
    assert_eq!(logins.unchecked.len(), 1, "{logins:?}");
    assert!(
        logins.unchecked[0].contains("does not permit you to get secrets"),
        "{logins:?}"
    );
}

#[tokio::test]
async fn a_secret_without_a_password_and_a_missing_one_are_named() {
    let users = json!([{"name": "app"}, {"name": "late"}]);
    let cluster = primary()
        .object(|object| object["spec"]["users"] = users)
        .build();
    cluster.insert(secret("zitadel-pguser-app", &json!({"password": ""})));
    assert_eq!(
        log_in(&cluster).await.unchecked,
        [
            "Secret zitadel-pguser-app has no password.",
            "There is no Secret zitadel-pguser-late."
        ]
    );
}

#[tokio::test]
async fn without_exec_nothing_is_tried_and_no_password_is_shown() {
    let cluster = primary()
        .object(|object| object["spec"]["users"] = json!([{"name": "app"}]))
        .build();
    cluster.insert(secret(
        "zitadel-pguser-app",
        &json!({"password": "aHVudGVyMg=="}),
    ));
    let logins = log_in(&cluster).await;
    assert!(logins.tried.is_empty(), "{logins:?}");
    let said = logins.unchecked.join(" ");
    assert!(said.starts_with("No login was tried: "), "{said}");
    assert!(
        !said.contains("hunter2") && !said.contains("aHVudGVyMg"),
        "{said}"
    );
}
