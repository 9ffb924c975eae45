//! What `status` says of real pairs that the fake API server has not: the word of Postgres itself.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::{Patroni, Standby, primary_site, query_leader};
use pgha_lab::documented;
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::{Suite, account};
use serde_json::{Value, json};

const CLUSTER: &str = "moves-archive";

/// Who may run commands in pods, and not ask what listens in them.
const OPERATOR: &str = "pgha-suite-exec-only";

/// The primary archives its first segment after this much idle time, and only then is behind it all that a follower holds.
const ARCHIVE_TIMEOUT: Duration = Duration::from_mins(1);

#[test]
fn who_may_exec_and_not_use_the_proxy_is_told_the_same() -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.pair(CLUSTER, Standby::Archive, Patroni::V4_1)?;
    let kubeconfig = kubeconfig()?;
    let path = kubeconfig.to_str().context("a path that is no text")?;
    let both = ["--context", "core1", "--context", "core2", "-o", "json"];
    let status = [&["status", CLUSTER][..], &both].concat();
    // Of a follower's timeline Postgres tells only what its control data has, and that moves with a restartpoint: after a move
    // Patroni, which asks by IDENTIFY_SYSTEM, is ahead until then.
    let primary = primary_site(CLUSTER)?;
    query_leader(primary, CLUSTER, "checkpoint")?;
    query_leader(primary, CLUSTER, "select pg_switch_wal()")?;
    wait::until("the same words by exec", ARCHIVE_TIMEOUT * 2, || {
        query_leader(primary.other(), CLUSTER, "checkpoint")?;
        let poor = suite.run(&[&status[..], &["--kubeconfig", path]].concat())?;
        let rich = suite.run(&status)?;
        ensure!(poor.code == rich.code, "{poor:?}\n{rich:?}");
        let (seen, asked) = (told(&poor.json()?), told(&rich.json()?));
        ensure!(seen == asked, "{seen}\n{asked}");
        Ok(())
    })?;
    let leader = ["leader", CLUSTER, "--context", "core2", "-o", "json"];
    let leader = suite.run(&[&leader[..], &["--kubeconfig", path]].concat())?;
    ensure!(leader.code == Some(0), "{leader:?}");
    for site in [Site::Core1, Site::Core2] {
        for kind in ["rolebinding", "role", "serviceaccount"] {
            Kubectl::new(site).run(&["delete", kind, OPERATOR])?;
        }
    }
    Ok(())
}

/// In the segment that an idle primary writes now, positions do not tell a follower from a side that is lost.
#[test]
fn a_wedged_side_is_told_while_the_primary_is_idle() -> Result<()> {
    let Some(suite) = Suite::open_for_full()? else {
        return Ok(());
    };
    let cluster = "status-wedged";
    suite.fresh_pair(cluster, Standby::Archive, Patroni::V4_1)?;
    let lost = primary_site(cluster)?;
    documented::switch_standby(cluster, lost)?;
    wait::until("the wedged side in status", ARCHIVE_TIMEOUT / 2, || {
        let view = suite.status(cluster)?.json()?;
        let notices = view["services"][0]["notices"].as_array();
        let mut notices = notices.into_iter().flatten();
        let is_it = |notice: &Value| {
            notice["check"] == "wedged" && notice["place"]["context"] == lost.name()
        };
        ensure!(notices.any(is_it), "status says: {view}");
        Ok(())
    })?;
    let refused = suite.switchover(cluster, lost.other())?;
    ensure!(refused.code == Some(3), "not refused: {refused:?}");
    ensure!(refused.stdout.contains("wedged"), "{refused:?}");
    suite.remove_pair(cluster)
}

/// What does not change from one look to the next.
fn told(view: &Value) -> Value {
    let services = view["services"].as_array().into_iter().flatten();
    let services = services.map(|service| {
        let sides = service["sides"].as_array().into_iter().flatten();
        let sides: Value = sides
            .map(|side| {
                let following = &side["following"];
                let is_behind_known = following["lagBytes"].is_u64();
                json!([
                    side["place"],
                    side["role"],
                    side["leader"],
                    side["timeline"],
                    side["patroni"],
                    following["feed"],
                    following["branch"],
                    is_behind_known,
                ])
            })
            .collect();
        json!([service["state"], sides, service["notices"]])
    });
    services.collect()
}

/// The lab's kubeconfig with an account at each site that has every right of a reader but `pods/proxy`.
fn kubeconfig() -> Result<PathBuf> {
    let view = ["config", "view", "--raw", "--flatten", "-o", "json"];
    let mut config: Value = serde_json::from_str(&Kubectl::new(Site::Core1).run(&view)?)?;
    for site in [Site::Core1, Site::Core2] {
        let kubectl = Kubectl::new(site);
        kubectl.apply(&operator().to_string())?;
        let token = kubectl.run(&["create", "token", OPERATOR, "--duration=10m"])?;
        let contexts = config["contexts"].as_array().into_iter().flatten();
        let mut contexts = contexts.filter(|context| context["name"] == site.name());
        let user = contexts.next().context("no context")?["context"]["user"].clone();
        let users = config["users"].as_array_mut().into_iter().flatten();
        for named in users.filter(|named| named["name"] == user) {
            named["user"] = json!({"token": token.trim()});
        }
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exec-only");
    fs::write(&path, config.to_string()).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// Who may read what `status` reads, and run commands in pods.
fn operator() -> Value {
    account(
        OPERATOR,
        &json!([
            {"apiGroups": ["postgres-operator.crunchydata.com"], "resources": ["postgresclusters"],
                "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["endpoints", "pods"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
        ]),
    )
}
