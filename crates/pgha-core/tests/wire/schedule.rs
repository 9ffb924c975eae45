//! What a side's backup schedules are read as.

use pgha_core::schedule::list_schedules;
use pgha_model::schedule::Schedule;
use pgha_testkit::{Failure, Fault};
use serde_json::{Value, json};

use crate::survey::primary;
use crate::{NAMESPACE, site};

fn cron_job(name: &str, labels: &[&str], suspended: &Value) -> Value {
    let label = |name: &&str| {
        (
            format!("postgres-operator.crunchydata.com/{name}"),
            json!("full"),
        )
    };
    let mut labels: serde_json::Map<String, Value> = labels.iter().map(label).collect();
    labels.insert(
        "postgres-operator.crunchydata.com/cluster".to_owned(),
        json!("zitadel"),
    );
    json!({"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"schedule": "0 3 * * 0", "suspend": suspended, "jobTemplate": {}}})
}

#[tokio::test]
async fn only_schedules_of_backups_are_read() {
    let cluster = primary().build();
    cluster.insert(cron_job(
        "zitadel-repo1-full",
        &["pgbackrest-cronjob"],
        &json!(true),
    ));
    cluster.insert(cron_job("other", &[], &json!(false)));
    let object = json!({"spec": {"backups": {"pgbackrest": {"repos": [
        {"name": "repo1", "schedules": {"full": "0 3 * * 0"}}]}}}});
    let seen = list_schedules(&site(&cluster), "zitadel", &object)
        .await
        .unwrap();
    assert_eq!(seen.asked, ["zitadel-repo1-full"]);
    let name = "zitadel-repo1-full".to_owned();
    assert_eq!(
        seen.present,
        [Schedule {
            name,
            suspended: true
        }]
    );
}

#[tokio::test]
async fn schedules_that_may_not_be_listed_are_an_error_that_says_so() {
    let cluster = primary().build();
    cluster.fail(Fault::new(Failure::Forbidden).resource("cronjobs"));
    let error = list_schedules(&site(&cluster), "zitadel", &Value::Null)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cronjobs"), "{error}");
}
