//! `validate` on a real pair: what would do harm is done to it, is named, and is taken back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use pgha_lab::cluster::{Patroni, Standby, query_leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_tests::Suite;
use serde_json::{Value, json};

const CLUSTER: &str = "checks";

/// How long the standby may take to replay, and the operator and the kubelet to carry a change into the pods.
const DEADLINE: Duration = Duration::from_mins(1);

/// A state that a check must name. Not a paused replay nor a delay: Patroni takes both back within its loop.
struct Harm {
    check: &'static str,
    severity: &'static str,
    make: fn() -> Result<()>,
    mend: fn() -> Result<()>,
}

const HARMS: &[Harm] = &[
    Harm {
        check: "collation-versions",
        severity: "fail",
        make: || {
            at_source("update pg_database set datcollversion = '0.1' where datname = 'postgres'")
        },
        mend: || {
            at_source("update pg_database set datcollversion = null where datname = 'postgres'")
        },
    },
    Harm {
        check: "collation-versions",
        severity: "fail",
        make: || {
            at_source("create collation pgha_old (provider = icu, locale = 'de', version = '1.1')")
        },
        mend: || at_source("drop collation pgha_old"),
    },
    Harm {
        check: "logical-slots",
        severity: "fail",
        make: || at_source("select pg_create_logical_replication_slot('cdc', 'pgoutput')"),
        mend: || at_source("select pg_drop_replication_slot('cdc')"),
    },
    Harm {
        check: "unlogged-tables",
        severity: "warn",
        make: || at_source("create unlogged table pgha_cache (n int)"),
        mend: || at_source("drop table pgha_cache"),
    },
    Harm {
        check: "synchronous-standbys",
        severity: "fail",
        make: || {
            configure(
                &json!({"synchronous_mode": true, "synchronous_mode_strict": true, "synchronous_node_count": 5}),
            )
        },
        mend: || {
            configure(
                &json!({"synchronous_mode": null, "synchronous_mode_strict": null, "synchronous_node_count": null}),
            )
        },
    },
    Harm {
        check: "user-secrets",
        severity: "fail",
        make: || set_password(Site::Core2, "another-one"),
        mend: || copy_secret(Site::Core1, Site::Core2),
    },
    Harm {
        check: "archive-queue-limit",
        severity: "fail",
        make: || limit_queue(&json!("1GB")),
        mend: || limit_queue(&Value::Null),
    },
    Harm {
        check: "dead-branch",
        severity: "fail",
        make: || {
            repository(
                "echo dead | pgbackrest --stanza=db --repo=1 repo-put \"archive/db/$id/000000FF.history\"",
            )
        },
        mend: || {
            repository(
                "pgbackrest --stanza=db --repo=1 repo-rm \"archive/db/$id/000000FF.history\"",
            )
        },
    },
];

#[test]
fn each_harm_is_named_and_a_switchover_refuses_by_the_same() -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.pair(CLUSTER, Standby::Streaming, Patroni::V4_1)?;
    await_result(&suite, "ready", is_ready)?;
    for harm in HARMS {
        (harm.make)().with_context(|| format!("cannot make {}", harm.check))?;
        let named = await_result(&suite, harm.check, |view| {
            severity(view, harm.check) == harm.severity
        });
        let refused = named.and_then(|view| switchover_agrees(&suite, &view));
        (harm.mend)().with_context(|| format!("cannot mend {}", harm.check))?;
        refused.with_context(|| format!("{} was not told", harm.check))?;
        await_result(&suite, "ready again", is_ready)
            .with_context(|| format!("after {}", harm.check))?;
    }
    Ok(())
}

fn sides() -> [&'static str; 4] {
    ["--from", "core1", "--to", "core2"]
}

fn validate(suite: &Suite) -> Result<Value> {
    let args = [&["validate", CLUSTER, "-o", "json"][..], &sides()[..]].concat();
    let ended = suite.run(&args)?;
    let view = ended.json()?;
    let ready = view["readyForSwitchover"]["ready"] == true;
    ensure!(
        ended.code == Some(if ready { 0 } else { 3 }),
        "the exit code is {:?}, and ready is {ready}: {}",
        ended.code,
        ended.stderr
    );
    Ok(view)
}

/// The dry run is refused by exactly the checks that fail, or is not refused.
fn switchover_agrees(suite: &Suite, view: &Value) -> Result<()> {
    let args = [
        &["switchover", CLUSTER, "--dry-run", "-o", "json"][..],
        &sides()[..],
    ]
    .concat();
    let ended = suite.run(&args)?;
    let answer = ended.json()?;
    if view["readyForSwitchover"]["ready"] == true {
        ensure!(ended.code == Some(0), "refused: {answer}");
        return Ok(());
    }
    ensure!(ended.code == Some(3), "not refused: {ended:?}");
    let findings = answer["findings"].as_array().into_iter().flatten();
    let mut refused_by: Vec<&Value> = findings.map(|finding| &finding["check"]).collect();
    refused_by.dedup();
    let blocked_by: Vec<&Value> = view["readyForSwitchover"]["blockedBy"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    ensure!(
        refused_by == blocked_by,
        "refused by {refused_by:?}, blocked by {blocked_by:?}"
    );
    Ok(())
}

/// Validates until the result is as wanted; a run takes seconds, which is pause enough.
fn await_result(suite: &Suite, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let started = Instant::now();
    loop {
        let view = validate(suite)?;
        if wanted(&view) {
            return Ok(view);
        }
        if started.elapsed() > DEADLINE {
            let findings = view["findings"].as_array().into_iter().flatten();
            let amiss: Vec<&Value> = findings.filter(|one| one["severity"] != "pass").collect();
            bail!("waited for {what}; what does not hold is {amiss:?}");
        }
    }
}

fn is_ready(view: &Value) -> bool {
    let findings = view["findings"].as_array().into_iter().flatten();
    let all_pass = findings
        .into_iter()
        .all(|finding| finding["severity"] == "pass");
    all_pass
        && view["readyForSwitchover"]["ready"] == true
        && view["readyForFailover"]["ready"] == true
}

fn severity<'a>(view: &'a Value, check: &str) -> &'a str {
    let findings = view["findings"].as_array().into_iter().flatten();
    let of_check = findings.filter(|finding| finding["check"] == check);
    let severities: Vec<&str> = of_check
        .filter_map(|finding| finding["severity"].as_str())
        .collect();
    ["fail", "warn", "pass"]
        .into_iter()
        .find(|severity| severities.contains(severity))
        .unwrap_or("not made")
}

fn at_source(sql: &str) -> Result<()> {
    query_leader(Site::Core1, CLUSTER, sql).map(drop)
}

fn repository(command: &str) -> Result<()> {
    let find = "id=$(pgbackrest --stanza=db --repo=1 repo-ls archive/db | grep -E ^[0-9]+-)";
    let script = format!("set -e; {find}; {command}");
    let pod = leader(Site::Core1)?;
    Kubectl::new(Site::Core1)
        .exec(&pod, "database", &["bash", "-c", &script])
        .map(drop)
}

fn leader(site: Site) -> Result<String> {
    let prefix = "postgres-operator.crunchydata.com";
    let selector = format!("{prefix}/cluster={CLUSTER},{prefix}/role=master");
    let pods = Kubectl::new(site).get(&["pods", "--selector", &selector])?;
    let name = pods["items"][0]["metadata"]["name"].as_str();
    name.map(str::to_owned)
        .with_context(|| format!("no leader of {CLUSTER} in {site}"))
}

fn configure(settings: &Value) -> Result<()> {
    let patch = json!({"spec": {"patroni": {"dynamicConfiguration": settings}}});
    patch_object(Site::Core2, "postgrescluster", CLUSTER, &patch)
}

fn limit_queue(limit: &Value) -> Result<()> {
    let global = json!({"archive-push-queue-max": limit});
    let patch = json!({"spec": {"backups": {"pgbackrest": {"global": global}}}});
    patch_object(Site::Core2, "postgrescluster", CLUSTER, &patch)
}

fn set_password(site: Site, password: &str) -> Result<()> {
    let patch =
        json!({"stringData": {"password": password, "verifier": "SCRAM-SHA-256$4096:another"}});
    patch_object(site, "secret", &user_secret(), &patch)
}

fn copy_secret(from: Site, to: Site) -> Result<()> {
    let secret = Kubectl::new(from).get(&["secret", &user_secret()])?;
    let data =
        json!({"password": secret["data"]["password"], "verifier": secret["data"]["verifier"]});
    patch_object(to, "secret", &user_secret(), &json!({"data": data}))
}

fn user_secret() -> String {
    format!("{CLUSTER}-pguser-zitadel")
}

fn patch_object(site: Site, kind: &str, name: &str, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", kind, name, "--type=merge", "--patch", &patch];
    Kubectl::new(site).run(&args).map(drop)
}
