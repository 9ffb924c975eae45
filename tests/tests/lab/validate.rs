//! `validate` on a real pair: what would do harm is done to it, is named, and is taken back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use pgha_lab::cluster::{leader, primary_site, query_leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_tests::Suite;
use pgha_tests::pair::STREAMING;
use serde_json::{Value, json};

const CLUSTER: &str = STREAMING.cluster;

/// How long the standby may take to replay, and the operator and the kubelet to carry a change into the pods.
const DEADLINE: Duration = Duration::from_mins(1);

/// A state that a check must name. Not a paused replay nor a delay: Patroni takes both back within its loop.
struct Harm {
    check: &'static str,
    severity: &'static str,
    /// Makes it, in a pair that is primary at this site.
    make: fn(Site) -> Result<()>,
    /// Takes it back.
    mend: fn(Site) -> Result<()>,
}

const HARMS: &[Harm] = &[
    Harm {
        check: "collation-versions",
        severity: "fail",
        make: |primary| {
            at_source(
                primary,
                "update pg_database set datcollversion = '0.1' where datname = 'postgres'",
            )
        },
        mend: |primary| {
            at_source(
                primary,
                "update pg_database set datcollversion = null where datname = 'postgres'",
            )
        },
    },
    Harm {
        check: "collation-versions",
        severity: "fail",
        make: |primary| {
            at_source(
                primary,
                "create collation pgha_old (provider = icu, locale = 'de', version = '1.1')",
            )
        },
        mend: |primary| at_source(primary, "drop collation pgha_old"),
    },
    Harm {
        check: "logical-slots",
        severity: "fail",
        make: |primary| {
            at_source(
                primary,
                "select pg_create_logical_replication_slot('cdc', 'pgoutput')",
            )
        },
        mend: |primary| at_source(primary, "select pg_drop_replication_slot('cdc')"),
    },
    Harm {
        check: "unlogged-tables",
        severity: "warn",
        make: |primary| at_source(primary, "create unlogged table pgha_cache (n int)"),
        mend: |primary| at_source(primary, "drop table pgha_cache"),
    },
    Harm {
        check: "synchronous-standbys",
        severity: "fail",
        make: |primary| {
            configure(
                primary.other(),
                &json!({"synchronous_mode": true, "synchronous_mode_strict": true, "synchronous_node_count": 5}),
            )
        },
        mend: |primary| {
            configure(
                primary.other(),
                &json!({"synchronous_mode": null, "synchronous_mode_strict": null, "synchronous_node_count": null}),
            )
        },
    },
    Harm {
        check: "user-secrets",
        severity: "fail",
        make: |primary| set_password(primary.other(), "another-one"),
        mend: |primary| copy_secret(primary, primary.other()),
    },
    Harm {
        check: "archive-queue-limit",
        severity: "fail",
        make: |primary| limit_queue(primary.other(), &json!("1GB")),
        mend: |primary| limit_queue(primary.other(), &Value::Null),
    },
    Harm {
        check: "dead-branch",
        severity: "fail",
        make: |primary| {
            repository(
                primary,
                "echo dead | pgbackrest --stanza=db --repo=1 repo-put \"archive/db/$id/000000FF.history\"",
            )
        },
        mend: |primary| {
            repository(
                primary,
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
    suite.pair(CLUSTER, STREAMING.standby, STREAMING.patroni)?;
    let primary = primary_site(CLUSTER)?;
    await_result(&suite, primary, "ready", is_ready)?;
    for harm in HARMS {
        (harm.make)(primary).with_context(|| format!("cannot make {}", harm.check))?;
        let refused = await_refusal(&suite, primary, harm);
        (harm.mend)(primary).with_context(|| format!("cannot mend {}", harm.check))?;
        refused.with_context(|| format!("{} was not told", harm.check))?;
        await_result(&suite, primary, "ready again", is_ready)
            .with_context(|| format!("after {}", harm.check))?;
    }
    Ok(())
}

fn sides(primary: Site) -> [&'static str; 4] {
    ["--from", primary.name(), "--to", primary.other().name()]
}

fn validate(suite: &Suite, primary: Site) -> Result<Value> {
    let args = [
        &["validate", CLUSTER, "-o", "json"][..],
        &sides(primary)[..],
    ]
    .concat();
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
fn switchover_agrees(suite: &Suite, primary: Site, view: &Value) -> Result<()> {
    let args = [
        &["switchover", CLUSTER, "--dry-run", "-o", "json"][..],
        &sides(primary)[..],
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

/// Validates until the harm is named and a switchover agrees. Both look for themselves, and what an operator renders anew reaches
/// one member after the other.
fn await_refusal(suite: &Suite, primary: Site, harm: &Harm) -> Result<()> {
    let started = Instant::now();
    loop {
        let view = await_result(suite, primary, harm.check, |view| {
            severity(view, harm.check) == harm.severity
        })?;
        let agreed = switchover_agrees(suite, primary, &view);
        if agreed.is_ok() || started.elapsed() > DEADLINE {
            return agreed;
        }
    }
}

/// Validates until the result is as wanted; a run takes seconds, which is pause enough.
fn await_result(
    suite: &Suite,
    primary: Site,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let started = Instant::now();
    loop {
        let view = validate(suite, primary)?;
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

fn at_source(primary: Site, sql: &str) -> Result<()> {
    query_leader(primary, CLUSTER, sql).map(drop)
}

fn repository(primary: Site, command: &str) -> Result<()> {
    let find = "id=$(pgbackrest --stanza=db --repo=1 repo-ls archive/db | grep -E ^[0-9]+-)";
    let script = format!("set -e; {find}; {command}");
    let kubectl = Kubectl::new(primary);
    let pod = leader(kubectl, CLUSTER)?;
    kubectl
        .exec(&pod, "database", &["bash", "-c", &script])
        .map(drop)
}

fn configure(standby: Site, settings: &Value) -> Result<()> {
    let patch = json!({"spec": {"patroni": {"dynamicConfiguration": settings}}});
    patch_object(standby, "postgrescluster", CLUSTER, &patch)
}

fn limit_queue(standby: Site, limit: &Value) -> Result<()> {
    let global = json!({"archive-push-queue-max": limit});
    let patch = json!({"spec": {"backups": {"pgbackrest": {"global": global}}}});
    patch_object(standby, "postgrescluster", CLUSTER, &patch)
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
