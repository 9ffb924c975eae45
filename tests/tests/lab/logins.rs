//! A move that is complete and serves nobody: no user can log in to the new primary.

use anyhow::{Context as _, Result, bail, ensure};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::Suite;
use pgha_tests::pair::{ARCHIVE, DEADLINE, Pair};
use serde_json::{Value, json};

#[test]
fn a_move_after_which_nobody_logs_in_ends_with_5() -> Result<()> {
    let Some(pair) = Pair::open(ARCHIVE)? else {
        return Ok(());
    };
    let from = pair.primary()?;
    pair.suite.await_well(pair.kind.cluster, from)?;
    let before = passwords(pair.kind.cluster)?;
    // The same at both sites, and not what the database checks: the operator changes nothing where a verifier is there.
    write_passwords(&before, |_| "d3Jvbmc=".to_owned())?;
    let moved = pair.suite.switchover(pair.kind.cluster, from);
    write_passwords(&before, str::to_owned)?;
    let moved = moved?;
    ensure!(moved.code == Some(5), "the move ended with {moved:?}");
    ensure!(
        moved.stdout.contains("SwitchoverOutcome") && moved.stderr.contains("no user can log in"),
        "it said {moved:?}"
    );
    pair.suite.await_well(pair.kind.cluster, from.other())?;
    // An operator that had read a Secret before writes back what it read.
    wait::until("the passwords as before", DEADLINE, || {
        let now = passwords(pair.kind.cluster)?;
        if now == before {
            return Ok(());
        }
        write_passwords(&before, str::to_owned)?;
        bail!("an operator has put a password back")
    })?;
    back(&pair.suite, pair.kind.cluster, from.other())
}

/// With its passwords again the service moves back, and its users log in.
fn back(suite: &Suite, cluster: &str, from: Site) -> Result<()> {
    let moved = suite.switchover(cluster, from)?;
    ensure!(moved.code == Some(0), "the move back ended with {moved:?}");
    suite.await_well(cluster, from.other())
}

/// A user's Secret at a site, with its password as it is kept.
#[derive(PartialEq)]
struct Password {
    site: Site,
    secret: String,
    kept: String,
}

fn passwords(cluster: &str) -> Result<Vec<Password>> {
    let of = format!(
        "postgres-operator.crunchydata.com/cluster={cluster},postgres-operator.crunchydata.com/role=pguser"
    );
    let mut found = Vec::new();
    for site in Site::ALL {
        let list = Kubectl::new(site).get(&["secrets", "-l", &of])?;
        for secret in list["items"].as_array().context("no list")? {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            found.push(Password {
                site,
                secret: text(&secret["metadata"]["name"]).context("no name")?,
                kept: text(&secret["data"]["password"]).context("no password")?,
            });
        }
    }
    ensure!(!found.is_empty(), "{cluster} has no users");
    Ok(found)
}

fn write_passwords(all: &[Password], new: impl Fn(&str) -> String) -> Result<()> {
    for one in all {
        let patch = json!({"data": {"password": new(&one.kept)}}).to_string();
        let patch = format!("--patch={patch}");
        Kubectl::new(one.site).run(&["patch", "secret", &one.secret, "--type=merge", &patch])?;
    }
    Ok(())
}
