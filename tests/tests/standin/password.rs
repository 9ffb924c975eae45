//! Passwords live in two places, and the operator brings them together only on its own terms.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::fixture::{NAME, Traps, traps};
use super::kubectl::{await_that, get, kubectl};

fn secret_name() -> String {
    format!("{NAME}-pguser-zitadel")
}

/// One value of the user's Secret, still in base64.
fn value(key: &str) -> Result<String> {
    let secret = get(&["secret", &secret_name()])?;
    Ok(secret["data"][key].as_str().unwrap_or_default().to_owned())
}

fn change_secret(patch: &serde_json::Value) -> Result<()> {
    let patch = format!("--patch={patch}");
    kubectl(&["patch", "secret", &secret_name(), "--type=merge", &patch]).map(drop)
}

/// What Postgres holds, in base64 like the Secret's value.
fn held(traps: &Traps) -> Result<String> {
    traps.sql(
        "SELECT replace(encode(rolpassword::bytea, 'base64'), E'\\n', '') FROM pg_authid \
         WHERE rolname = 'zitadel'",
    )
}

/// Has the verifier made anew. A reconcile that had read the old one before writes it back, as the real operator does, so
/// it is emptied until a new one is there.
fn renew_verifier(emptied: &serde_json::Value) -> Result<()> {
    let old = value("verifier")?;
    await_that("a new verifier", Duration::from_secs(30), || {
        let now = value("verifier")?;
        if now == old {
            change_secret(emptied)?;
        }
        Ok((!now.is_empty() && now != old).then_some(()))
    })
}

fn await_in_step(traps: &Traps) -> Result<()> {
    await_that(
        "Postgres to hold the Secret's verifier",
        Duration::from_secs(30),
        || {
            let verifier = value("verifier")?;
            Ok((!verifier.is_empty() && held(traps)? == verifier).then_some(()))
        },
    )
}

#[test]
fn users_sql_runs_only_when_it_differs_from_what_ran_last() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    await_in_step(&traps)?;
    let revision = traps.object()?["status"]["usersRevision"].clone();
    traps.sql("ALTER ROLE zitadel PASSWORD 'changed behind the back'")?;
    // A spec change that a whole reconcile serves, so that its end can be seen.
    traps
        .patch(&json!({"spec": {"patroni": {"dynamicConfiguration": {"failsafe_mode": true}}}}))?;
    let object = traps.await_observed()?;
    ensure!(
        object["status"]["usersRevision"] == revision,
        "the revision moved"
    );
    ensure!(
        held(&traps)? != value("verifier")?,
        "the operator wrote the password again"
    );

    traps.reset_patroni()?;
    renew_verifier(&json!({"data": {"verifier": ""}}))?;
    await_in_step(&traps)
}

#[test]
fn a_password_alone_changes_nothing_and_an_empty_verifier_is_made_again() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    await_in_step(&traps)?;
    let (verifier, uri) = (value("verifier")?, value("uri")?);
    change_secret(&json!({"stringData": {"password": "only-the-password"}}))?;
    await_that("the operator to see it", Duration::from_secs(30), || {
        Ok((value("uri")? != uri).then_some(()))
    })?;
    ensure!(
        value("verifier")? == verifier,
        "a verifier that is there is kept"
    );

    renew_verifier(&json!({"data": {"verifier": ""}}))?;
    await_in_step(&traps)?;

    let password = value("password")?;
    renew_verifier(&json!({"data": {"password": "", "verifier": ""}}))?;
    ensure!(
        value("password")? != password,
        "the password is the old one"
    );
    await_in_step(&traps)
}
