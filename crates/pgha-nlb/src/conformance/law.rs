//! One function a law: `Ok` when it is kept, else what happened.

use std::fmt::Debug;

use pgha_model::effect::Effect;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Peer, WITHIN};
use crate::cutover::Look;
use crate::error::CutoverError;
use crate::name::{RouteName, SiteName};
use crate::plan::{Plan, Refusal};
use crate::receipt::{Did, Receipt};
use crate::state::{Active, RouteState};

type Kept = Result<(), String>;

/// Looks at which a change may take to have its effect.
const LOOKS: usize = 300;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Kept {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn failed(what: &str) -> impl FnOnce(CutoverError) -> String {
    move |error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{what} failed: {error} ({}) {source:?}", error.effect)
    }
}

async fn observe(peer: &impl Peer) -> Result<RouteState, String> {
    let seen = peer.backend().observe(WITHIN).await;
    seen.map_err(failed("observe"))
}

async fn plan(peer: &impl Peer, to: &SiteName) -> Result<Plan, String> {
    let seen = observe(peer).await?;
    let plan = peer.backend().plan(&seen, to);
    plan.map_err(|refusal| format!("the plan was refused: {refusal}"))
}

async fn apply(peer: &impl Peer, plan: &Plan) -> Result<Receipt, String> {
    let receipt = peer.backend().apply(plan, WITHIN).await;
    receipt.map_err(failed("apply"))
}

async fn move_away(peer: &impl Peer) -> Result<Receipt, String> {
    let plan = plan(peer, &peer.away()).await?;
    ensure(!plan.is_empty(), || {
        "the plan to another site is empty".to_owned()
    })?;
    apply(peer, &plan).await
}

async fn same_bytes(peer: &impl Peer, before: &[u8], when: &str) -> Kept {
    let now = peer.bytes().await;
    ensure(now == before, || {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "the product differs {when}:\n{}\nwas\n{}",
            text(&now),
            text(before)
        )
    })
}

pub(super) async fn looking_changes_nothing(peer: &impl Peer) -> Kept {
    let before = peer.bytes().await;
    let writes = peer.writes().await;
    drop(peer.backend().preflight(WITHIN).await);
    let plan = plan(peer, &peer.away()).await?;
    ensure(!plan.diff.is_empty(), || "the plan has no diff".to_owned())?;
    ensure(plan.fence == observe(peer).await?.fence, || {
        "the fence moves by itself".to_owned()
    })?;
    same_bytes(peer, &before, "after looks").await?;
    ensure(peer.writes().await == writes, || {
        "a look was counted as a change".to_owned()
    })
}

pub(super) async fn an_apply_moves_every_route_and_settles(peer: &impl Peer) -> Kept {
    let seen = observe(peer).await?;
    ensure(seen.active() == Active::Site(peer.home()), || {
        format!("a peer at home is seen as {:?}", seen.active())
    })?;
    let receipt = move_away(peer).await?;
    ensure(receipt.did == Did::Change, || {
        "a receipt of a change says that nothing was done".to_owned()
    })?;
    let mut seen = String::new();
    for _ in 0..LOOKS {
        let look = peer.backend().settled(&receipt, WITHIN).await;
        match look.map_err(failed("settled"))? {
            Look::Settled(_) => {
                let now = observe(peer).await?;
                return ensure(now.active() == Active::Site(peer.away()), || {
                    format!("after an apply it is seen as {:?}", now.active())
                });
            }
            Look::NotYet(instead) => seen = instead,
        }
        peer.wait().await;
    }
    Err(format!("it never settled: {seen}"))
}

pub(super) async fn a_plan_after_an_apply_is_empty(peer: &impl Peer) -> Kept {
    move_away(peer).await?;
    let again = plan(peer, &peer.away()).await?;
    ensure(again.is_empty() && again.diff.is_empty(), || {
        format!("the plan is {:?} {}", again.changes, again.diff)
    })
}

pub(super) async fn an_empty_plan_changes_nothing(peer: &impl Peer) -> Kept {
    let before = peer.bytes().await;
    let writes = peer.writes().await;
    let plan = plan(peer, &peer.home()).await?;
    ensure(plan.is_empty(), || {
        format!("the plan is {:?}", plan.changes)
    })?;
    let receipt = apply(peer, &plan).await?;
    ensure(receipt.did == Did::Nothing, || {
        "it says that it changed something".to_owned()
    })?;
    same_bytes(peer, &before, "after an empty plan").await?;
    let back = peer.backend().rollback(&receipt, WITHIN).await;
    ensure(back.is_ok_and(|back| back.did == Did::Nothing), || {
        "the rollback of nothing is not nothing".to_owned()
    })?;
    same_bytes(peer, &before, "after a rollback of nothing").await?;
    ensure(peer.writes().await == writes, || {
        "it was counted as a change".to_owned()
    })
}

pub(super) async fn a_rollback_restores_the_bytes(peer: &impl Peer) -> Kept {
    let before = peer.bytes().await;
    let receipt = move_away(peer).await?;
    ensure(peer.bytes().await != before, || {
        "the apply changed nothing".to_owned()
    })?;
    let back = peer.backend().rollback(&receipt, WITHIN).await;
    let back = back.map_err(failed("rollback"))?;
    ensure(back.did == Did::Change, || {
        "the receipt of the rollback says that nothing was done".to_owned()
    })?;
    same_bytes(peer, &before, "after the rollback").await
}

pub(super) async fn a_rollback_from_the_journal_works(peer: &impl Peer) -> Kept {
    let before = peer.bytes().await;
    let plan = through_the_journal(&plan(peer, &peer.away()).await?)?;
    let receipt = through_the_journal(&apply(peer, &plan).await?)?;
    let back = peer.backend().rollback(&receipt, WITHIN).await;
    back.map_err(failed("rollback"))?;
    same_bytes(peer, &before, "after the rollback").await
}

fn through_the_journal<T>(value: &T) -> Result<T, String>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let back: T = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    ensure(back == *value, || {
        format!("the journal gives back {back:?} for {value:?}")
    })?;
    Ok(back)
}

pub(super) async fn an_apply_that_is_repeated_changes_once(peer: &impl Peer) -> Kept {
    let plan = plan(peer, &peer.away()).await?;
    apply(peer, &plan).await?;
    let after = peer.bytes().await;
    let writes = peer.writes().await;
    let again = apply(peer, &plan).await?;
    ensure(again.did == Did::Nothing, || {
        "the second says that it changed something".to_owned()
    })?;
    same_bytes(peer, &after, "after the second apply").await?;
    ensure(peer.writes().await == writes, || {
        "the second was counted as a change".to_owned()
    })
}

fn is_a_clean_conflict(result: Result<Receipt, CutoverError>) -> Kept {
    match result {
        Ok(receipt) => Err(format!("it went through: {receipt:?}")),
        Err(error) if !error.is_conflict() => Err(failed("not by a conflict: it")(error)),
        Err(error) => ensure(error.effect == Effect::None, || {
            format!("the conflict says: {}", error.effect)
        }),
    }
}

pub(super) async fn a_stale_fence_is_a_conflict(peer: &impl Peer) -> Kept {
    let plan = plan(peer, &peer.away()).await?;
    peer.disturb().await;
    let disturbed = peer.bytes().await;
    is_a_clean_conflict(peer.backend().apply(&plan, WITHIN).await)?;
    same_bytes(peer, &disturbed, "after a conflict").await
}

pub(super) async fn a_stale_receipt_is_a_conflict(peer: &impl Peer) -> Kept {
    let receipt = move_away(peer).await?;
    peer.disturb().await;
    let disturbed = peer.bytes().await;
    is_a_clean_conflict(peer.backend().rollback(&receipt, WITHIN).await)?;
    same_bytes(peer, &disturbed, "after a conflict").await
}

async fn refusal(peer: &impl Peer, to: &SiteName) -> Result<Refusal, String> {
    let seen = observe(peer).await?;
    match peer.backend().plan(&seen, to) {
        Ok(plan) => Err(format!("it was planned: {:?}", plan.changes)),
        Err(refusal) => Ok(refusal),
    }
}

pub(super) async fn what_is_split_is_refused(peer: &impl Peer) -> Kept {
    let earlier = plan(peer, &peer.away()).await?;
    peer.split().await;
    let split = peer.bytes().await;
    for to in [peer.home(), peer.away()] {
        let refusal = refusal(peer, &to).await?;
        ensure(matches!(refusal, Refusal::Split { .. }), || {
            format!("it was refused, but as {refusal:?}")
        })?;
    }
    is_a_clean_conflict(peer.backend().apply(&earlier, WITHIN).await)?;
    same_bytes(peer, &split, "after an apply on a split route").await
}

pub(super) async fn what_is_unknown_is_refused(peer: &impl Peer) -> Kept {
    let earlier = plan(peer, &peer.away()).await?;
    peer.blind().await;
    let blind = peer.bytes().await;
    for to in [peer.home(), peer.away()] {
        let refusal = refusal(peer, &to).await?;
        ensure(matches!(refusal, Refusal::Unknown { .. }), || {
            format!("it was refused, but as {refusal:?}")
        })?;
    }
    is_a_clean_conflict(peer.backend().apply(&earlier, WITHIN).await)?;
    same_bytes(peer, &blind, "after an apply on an unknown route").await
}

pub(super) async fn a_site_without_a_value_is_refused(peer: &impl Peer) -> Kept {
    let nowhere = SiteName::from("a-site-that-nobody-has-named");
    let refusal = refusal(peer, &nowhere).await?;
    ensure(matches!(refusal, Refusal::NoSuchSite { .. }), || {
        format!("it was refused, but as {refusal:?}")
    })
}

/// Where each route leads. A place may tell a lifetime too, which a preparation changes.
fn leading(state: &RouteState) -> Vec<(RouteName, Active)> {
    let routes = state.routes.iter();
    routes
        .map(|route| (route.name.clone(), route.active.clone()))
        .collect()
}

pub(super) async fn a_preparation_moves_nobody(peer: &impl Peer) -> Kept {
    let (before, writes) = (peer.bytes().await, peer.writes().await);
    let preparation = peer.backend().preparation(WITHIN).await;
    let preparation = preparation.map_err(failed("preparation"))?;
    same_bytes(peer, &before, "after a preparation was looked for").await?;
    ensure(peer.writes().await == writes, || {
        "a look for a preparation was counted as a change".to_owned()
    })?;
    let routes = leading(&observe(peer).await?);
    let did = if preparation.is_empty() {
        Did::Nothing
    } else {
        Did::Change
    };
    for (turn, did) in [("first", did), ("second", Did::Nothing)] {
        let receipt = peer.backend().prepare(&preparation, WITHIN).await;
        let receipt = receipt.map_err(failed("prepare"))?;
        ensure(receipt.did == did, || {
            format!("the receipt of the {turn} says {:?}", receipt.did)
        })?;
        ensure(leading(&observe(peer).await?) == routes, || {
            format!("a route leads elsewhere after the {turn}")
        })?;
    }
    let again = peer.backend().preparation(WITHIN).await;
    let again = again.map_err(failed("preparation"))?;
    ensure(again.is_empty(), || {
        format!("after it there is still {:?}", again.changes)
    })
}

pub(super) async fn no_secret_is_told(peer: &impl Peer) -> Kept {
    let mut told = vec![format!("{:?}", peer.backend())];
    let json = |text: serde_json::Result<String>| text.map_err(|error| error.to_string());
    told.push(json(serde_json::to_string(&peer.backend().describe()))?);
    let findings = peer.backend().preflight(WITHIN).await;
    told.push(json(serde_json::to_string(&findings))?);
    let plan = plan(peer, &peer.away()).await?;
    told.push(json(serde_json::to_string(&plan))?);
    let receipt = apply(peer, &plan).await?;
    told.push(json(serde_json::to_string(&receipt))?);
    peer.disturb().await;
    if let Err(error) = peer.backend().rollback(&receipt, WITHIN).await {
        told.push(format!("{error} {error:?}"));
    }
    for secret in peer.secrets() {
        ensure(!told.iter().any(|text| text.contains(&secret)), || {
            format!("the secret `{secret}` is in what it tells")
        })?;
    }
    Ok(())
}
