use std::sync::{Arc, Mutex};

use pgha_model::check::{Consent, PeerSight};
use pgha_model::site::Part;
use pgha_model::upgrade::plan_upgrade;
use pgha_testkit::FakeCluster;
use pgha_testkit::pgo::PgoSite;
use serde_json::json;

use super::*;
use crate::engine::interrupter;
use crate::engine::upkeep::inside;

const NAMESPACE: &str = "prod";
const LIMIT: Duration = Duration::from_secs(5);
const OLD: &str = "registry/postgres:1";
const NEW: &str = "registry/postgres:2";

fn images(image: &str) -> Images {
    Images {
        postgres: Some(image.to_owned()),
        pgbackrest: Some(image.to_owned()),
    }
}

/// A primary whose object names no image of Postgres, as most do.
fn site() -> PgoSite {
    PgoSite::primary("zitadel", NAMESPACE, clock::now()).object(|object| {
        object["spec"]["backups"]["pgbackrest"]["image"] = OLD.into();
    })
}

/// Does the operator's part for one pod.
fn replace(cluster: &FakeCluster, pod: &str, image: &str, waiting: Option<&str>) {
    let containers = json!([
        {"name": "database", "image": image},
        {"name": "pgbackrest", "image": image},
    ]);
    let state = waiting.map_or(
        json!({"running": {}}),
        |reason| json!({"waiting": {"reason": reason, "message": "no such image"}}),
    );
    cluster.change("pods", NAMESPACE, pod, |object| {
        object["spec"]["containers"] = containers;
        object["status"]["containerStatuses"] = json!([{"name": "database", "state": state}]);
    });
}

fn built(site: &PgoSite) -> FakeCluster {
    let cluster = site.build();
    for member in 0..2 {
        replace(&cluster, site.pod(member), OLD, None);
    }
    cluster
}

/// Where the object names its images.
fn spec(cluster: &FakeCluster) -> [Option<Value>; 2] {
    let object = cluster.object("postgresclusters", NAMESPACE, "zitadel");
    let object = object.unwrap();
    ["/spec/image", "/spec/backups/pgbackrest/image"].map(|path| object.pointer(path).cloned())
}

/// An upgrade beside which something happens whenever it tells of something.
async fn upgrade(
    site: &PgoSite,
    cluster: &FakeCluster,
    mut happens: impl FnMut(&str) + Send,
) -> Result<UpgradeOutcome, UpkeepError> {
    let leader = site.pod(0).to_owned();
    let client = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
    let client = client.with_commands(inside::commands(move |pod, asked| {
        let said = match asked {
            asked if asked.contains("pg_logical_emit_message") => "0/7000028",
            asked if asked.contains("pg_is_in_recovery") && pod == leader => "f",
            asked if asked.contains("pg_is_in_recovery") => "t",
            _ => "1",
        };
        said.to_owned()
    }));
    let opened = Box::pin(Side::open(client, "zitadel", Part::Source)).await;
    let here = opened.unwrap();
    let plan = plan(&here);
    let (_interrupter, interrupt) = interrupter();
    let run = UpgradeRun::new(plan, here, None, LIMIT);
    Box::pin(run.run(interrupt, &mut happens)).await
}

fn plan(side: &Side) -> UpgradePlan {
    let mut facts = side.facts.clone();
    // The fake's servers do not say enough for the checks; what is asked for already is planned all the same.
    facts.survey.object.images = images(NEW);
    let consent = Consent::default();
    let planned = plan_upgrade(
        &facts,
        Ok(()),
        PeerSight::Absent,
        &images(NEW),
        consent,
        clock::now(),
    );
    UpgradePlan {
        asked: false,
        before: side.facts.survey.object.images.clone(),
        ..planned.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_every_member_and_the_repository_host_run_the_images() {
    let site = site();
    let cluster = built(&site);
    cluster.insert(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "zitadel-repo-host-0",
        "namespace": NAMESPACE, "uid": "h", "labels": {"postgres-operator.crunchydata.com/cluster": "zitadel"}},
        "spec": {"containers": [{"name": "pgbackrest", "image": OLD}]}}));
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let outcome = upgrade(&site, &cluster, |text| {
        seen.lock().unwrap().push(text.to_owned());
        if text.contains("was asked for") {
            replace(&cluster, site.pod(1), NEW, None);
        } else if text.contains("repo-host") {
            replace(&cluster, "zitadel-repo-host-0", NEW, None);
        } else {
            replace(&cluster, site.pod(0), NEW, None);
        }
    });
    let outcome = outcome.await.unwrap();
    assert_eq!(spec(&cluster), [Some(NEW.into()), Some(NEW.into())]);
    let pods: Vec<_> = outcome.members.iter().map(|one| one.pod.as_str()).collect();
    assert_eq!(pods, [site.pod(0), site.pod(1)]);
    assert_eq!(outcome.committed, Some("0/7000028".parse().unwrap()));
    assert_eq!(outcome.leader, site.pod(0));
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn images_with_which_a_member_does_not_start_are_put_back() {
    let site = site();
    let cluster = built(&site);
    let error = upgrade(&site, &cluster, |text| {
        if text.contains("was asked for") {
            replace(&cluster, site.pod(1), NEW, Some("ImagePullBackOff"));
        } else if text.contains("are put back") {
            assert!(text.contains("no such image"), "{text}");
        } else {
            replace(&cluster, site.pod(1), OLD, None);
        }
    });
    let error = error.await.unwrap_err();
    assert!(error.is_taken_back, "{error:?}");
    assert_eq!(error.effect, Effect::None);
    assert_eq!(spec(&cluster), [None, Some(OLD.into())]);
}

/// A pull that is tried once more is none that has failed.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_still_pulled_is_waited_for() {
    let site = site();
    let cluster = built(&site);
    let error = upgrade(&site, &cluster, |_| {
        replace(&cluster, site.pod(1), NEW, Some("ErrImagePull"));
    });
    let error = error.await.unwrap_err();
    assert!(!error.is_taken_back, "{error:?}");
    assert_eq!(error.effect, Effect::Applied);
    assert_eq!(spec(&cluster), [Some(NEW.into()), Some(NEW.into())]);
}

#[tokio::test(start_paused = true)]
async fn images_that_somebody_else_changes_meanwhile_end_it() {
    let site = site();
    let cluster = built(&site);
    let error = upgrade(&site, &cluster, |_| {
        cluster.change("postgresclusters", NAMESPACE, "zitadel", |object| {
            object["spec"]["image"] = "registry/postgres:3".into();
        });
    });
    let error = error.await.unwrap_err();
    assert_eq!(error.effect, Effect::Applied);
    assert!(
        error.source.to_string().contains("somebody has changed"),
        "{error:?}"
    );
}
