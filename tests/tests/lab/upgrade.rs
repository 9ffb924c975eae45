//! Other images for both sides of a pair under live writes: the standby first, and images that are not there are put back.

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{Patroni, Standby, leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_tests::Suite;
use pgha_tests::pair::DEADLINE;

use crate::upkeep::{done, refused, run};

const CLUSTER: &str = "upgraded";

/// An image that no node has, and that none may pull (`imagePullPolicy: Never`).
const MISSING: &str = "lab.local/postgres:no-such-tag";

#[test]
fn both_sides_get_other_images_the_standby_first_and_no_write_is_lost() -> Result<()> {
    let Some(suite) = Suite::open_for_full()? else {
        return Ok(());
    };
    suite.fresh_pair(CLUSTER, Standby::Streaming, Patroni::V3_3)?;
    let [primary, standby] = Site::ALL;
    suite.await_well(CLUSTER, primary)?;
    let image = Patroni::V4_1.image();
    let images = ["--postgres-image", image, "--pgbackrest-image", image];
    let writer = suite.writer(CLUSTER, 2)?;

    let early = run(&suite, "upgrade", CLUSTER, primary, &images)?;
    refused(&early, "standby-first")?;

    let dry = [&images[..], &["--dry-run"]].concat();
    let shown = done(&suite, "upgrade", CLUSTER, standby, &dry)?;
    let operations = &shown["patches"][0]["operations"];
    ensure!(operations.to_string().contains("/spec/image"), "{shown}");
    ensure!(image_of(standby)? == Patroni::V3_3.image(), "{shown}");

    let missing = ["--postgres-image", MISSING];
    let put_back = run(&suite, "upgrade", CLUSTER, standby, &missing)?;
    ensure!(put_back.code == Some(4), "{put_back:?}");
    ensure!(
        put_back.stderr.contains("ErrImageNeverPull"),
        "{put_back:?}"
    );
    ensure!(image_of(standby)? == Patroni::V3_3.image(), "{put_back:?}");
    suite.await_well(CLUSTER, primary)?;

    // As GitOps does it: what the object asks for is waited for.
    let patch = format!(
        r#"--patch={{"spec":{{"image":"{image}","backups":{{"pgbackrest":{{"image":"{image}"}}}}}}}}"#
    );
    let asked = ["patch", "postgrescluster", CLUSTER, "--type=merge", &patch];
    Kubectl::new(standby).run(&asked)?;
    let at_standby = done(&suite, "upgrade", CLUSTER, standby, &images)?;
    ensure_runs_4_1(&at_standby)?;
    ensure!(at_standby["replay"]["streams"] == true, "{at_standby}");
    let led_before = leader(Kubectl::new(primary), CLUSTER)?;
    let at_primary = done(&suite, "upgrade", CLUSTER, primary, &images)?;
    ensure_runs_4_1(&at_primary)?;
    ensure!(at_primary["committed"].is_string(), "{at_primary}");
    ensure!(at_primary["leader"] != led_before.as_str(), "{at_primary}");
    let again = done(&suite, "upgrade", CLUSTER, primary, &images)?;
    ensure!(again["changed"] == false, "{again}");

    let verdict = writer.judge_within(0, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    suite.await_well(CLUSTER, primary)?;
    // What it was for: the way of moving that only the newer Patroni has.
    let moved = suite.switchover(CLUSTER, primary)?;
    ensure!(moved.code == Some(0), "{moved:?}");
    suite.await_well(CLUSTER, standby)?;
    suite.remove_pair(CLUSTER)
}

/// The image of Postgres that the object names.
fn image_of(site: Site) -> Result<String> {
    let object = Kubectl::new(site).get(&["postgrescluster", CLUSTER])?;
    let image = object["spec"]["image"].as_str().context("no image")?;
    Ok(image.to_owned())
}

/// Every member runs the new image by its own word, and no member is missing.
fn ensure_runs_4_1(outcome: &serde_json::Value) -> Result<()> {
    let members = outcome["members"].as_array().context("no members")?;
    ensure!(members.len() == 2, "{outcome}");
    for member in members {
        let patroni = |when: &str| member[when]["patroni"].as_str().unwrap_or_default();
        ensure!(patroni("before").starts_with("3.3"), "{outcome}");
        ensure!(patroni("now").starts_with("4.1"), "{outcome}");
    }
    Ok(())
}
