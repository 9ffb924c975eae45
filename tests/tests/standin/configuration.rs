//! Patroni's configuration has a second writer.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::fixture::{NAME, Traps, traps};
use super::kubectl::{await_that, kubectl};

const MARK: &str = "maximum_lag_on_failover";

/// That it arrived is Patroni's word: where the operator is not paused, it may have replaced the change before a look
/// can be taken.
fn edit_by_hand(traps: &Traps, value: u32) -> Result<()> {
    let change = format!("{MARK}={value}");
    let said = traps.exec(&["patronictl", "edit-config", "--force", "--set", &change])?;
    ensure!(
        said.contains("Configuration changed"),
        "the change by hand did not arrive: {said}"
    );
    Ok(())
}

#[test]
fn every_reconcile_replaces_the_whole_configuration() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    edit_by_hand(&traps, 4711)?;
    // Any change of the object is a reason to look; this one asks for nothing.
    kubectl(&[
        "annotate",
        "postgrescluster",
        NAME,
        "--overwrite",
        "traps/look=here",
    ])?;
    await_that("the change by hand to go", Duration::from_secs(30), || {
        Ok(traps.configuration()?.get(MARK).is_none().then_some(()))
    })
}

#[test]
fn while_paused_nothing_is_applied_and_nothing_replaced() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    traps.patch(&json!({"spec": {"paused": true}}))?;
    await_paused(&traps)?;
    edit_by_hand(&traps, 4712)?;
    traps
        .patch(&json!({"spec": {"patroni": {"dynamicConfiguration": {"failsafe_mode": true}}}}))?;
    await_paused(&traps)?;
    let held = traps.configuration()?;
    ensure!(
        held[MARK] == 4712 && held.get("failsafe_mode").is_none(),
        "{held}"
    );

    traps.patch(&json!({"spec": {"paused": null}}))?;
    await_that(
        "what was asked for to be applied",
        Duration::from_secs(30),
        || {
            let now = traps.configuration()?;
            Ok((now["failsafe_mode"] == true && now.get(MARK).is_none()).then_some(()))
        },
    )?;
    traps.reset_patroni()
}

/// The condition carries the generation that the operator declined to apply.
fn await_paused(traps: &Traps) -> Result<()> {
    await_that(
        "the operator to hold still",
        Duration::from_secs(30),
        || {
            let object = traps.object()?;
            let conditions = object["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let held = conditions.iter().any(|it| {
                it["type"] == "Progressing"
                    && it["status"] == "False"
                    && it["reason"] == "Paused"
                    && it["observedGeneration"] == object["metadata"]["generation"]
            });
            Ok(held.then_some(()))
        },
    )
}

#[test]
fn the_generation_is_observed_even_when_the_reconcile_failed() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    traps.patch(&json!({
        "metadata": {"annotations": {"postgres-operator.crunchydata.com/trigger-switchover": "no"}},
        "spec": {"patroni": {
            "switchover": {"enabled": true, "targetInstance": "nobody"},
            "dynamicConfiguration": {"failsafe_mode": true},
        }},
    }))?;
    traps.await_observed()?;
    let held = traps.configuration()?;
    ensure!(
        held.get("failsafe_mode").is_none(),
        "a failing switchover blocks everything after it"
    );

    traps.patch(&json!({"spec": {"patroni": {"switchover": null}}}))?;
    await_that("the rest to be applied", Duration::from_secs(30), || {
        Ok((traps.configuration()?["failsafe_mode"] == true).then_some(()))
    })?;
    traps.reset_patroni()
}
