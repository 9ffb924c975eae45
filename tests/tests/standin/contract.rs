//! What everybody who looks at the operator's objects relies on.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::fixture::{NAME, traps};
use super::kubectl::get;

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["name"].as_str())
        .collect()
}

#[test]
fn objects_have_the_operators_names_labels_and_containers() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    let leader = traps.leader()?;
    let pod = get(&["pod", &leader])?;
    let containers = [
        "database",
        "replication-cert-copy",
        "pgbackrest",
        "pgbackrest-config",
    ];
    ensure!(names(&pod["spec"]["containers"]) == containers, "{pod}");
    let label = |key: &str| {
        pod["metadata"]["labels"][format!("postgres-operator.crunchydata.com/{key}")].clone()
    };
    ensure!(label("cluster") == NAME && label("instance-set") == "pgha1");
    ensure!(label("data") == "postgres" && label("patroni") == format!("{NAME}-ha"));
    ensure!(
        label("role") == "master",
        "the lock holder's label in every version"
    );
    ensure!(format!("{}-0", label("instance").as_str().unwrap_or_default()) == leader);

    let set = get(&["statefulset", leader.trim_end_matches("-0")])?;
    ensure!(set["spec"]["updateStrategy"]["type"] == "OnDelete");
    let leader_service = get(&["service", &format!("{NAME}-ha")])?;
    ensure!(
        leader_service["spec"].get("selector").is_none(),
        "its endpoints are Patroni's"
    );
    let primary = get(&["endpoints", &format!("{NAME}-primary")])?;
    let address = &primary["subsets"][0]["addresses"][0]["ip"];
    ensure!(*address == leader_service["spec"]["clusterIP"], "{address}");

    let configuration = traps.configuration()?;
    ensure!(configuration["ttl"] == 30 && configuration["loop_wait"] == 10);
    ensure!(configuration.get("standby_cluster").is_none());
    ensure!(configuration["postgresql"]["parameters"]["log_directory"] == "/pgdata/logs/postgres");
    let identifier = &traps.object()?["status"]["patroni"]["systemIdentifier"];
    ensure!(*identifier != json!(null));
    let own = traps.sql("SELECT system_identifier FROM pg_control_system()")?;
    ensure!(*identifier == own.as_str(), "{identifier} is not {own}");
    Ok(())
}
