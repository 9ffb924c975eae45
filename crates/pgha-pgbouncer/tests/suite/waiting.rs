//! Clients that wait, and go on.

use std::time::Duration;

use pgha_pgbouncer::Pooler;

use crate::server::{WITHIN, start};

async fn waiting(pooler: &Pooler) -> u64 {
    pooler.look(WITHIN).await.unwrap().databases[0].waiting
}

async fn await_waiting(pooler: &Pooler, wanted: u64) {
    while waiting(pooler).await != wanted {
        tokio::task::yield_now().await;
    }
}

fn is_paused(look: &pgha_pgbouncer::Look) -> bool {
    look.databases.iter().all(|database| database.is_paused)
}

#[tokio::test]
async fn a_client_waits_and_sees_no_error() {
    let Some(server) = start("transaction") else {
        return;
    };
    let pooler = server.pooler();
    let client = server.client().await;
    client.simple_query("select").await.unwrap();
    for _ in 0..2 {
        pooler.pause(WITHIN).await.unwrap();
        assert!(is_paused(&pooler.look(WITHIN).await.unwrap()));
        let asked = tokio::spawn({
            let client = server.client().await;
            async move { client.simple_query("select").await.map(drop) }
        });
        await_waiting(&pooler, 1).await;
        assert!(!asked.is_finished());
        // Whoever pauses what is paused changes nothing.
        pooler.pause(WITHIN).await.unwrap();
        pooler.resume(WITHIN).await.unwrap();
        asked.await.unwrap().unwrap();
        assert!(!is_paused(&pooler.look(WITHIN).await.unwrap()));
    }
    pooler.resume(WITHIN).await.unwrap();
}

#[tokio::test]
async fn a_transaction_under_way_comes_to_its_end_first() {
    let Some(server) = start("transaction") else {
        return;
    };
    let pooler = server.pooler();
    let client = server.client().await;
    client.simple_query("begin").await.unwrap();
    let error = pooler.pause(Duration::from_millis(300)).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("cannot pause pooler edge at 127.0.0.1:") && said.contains("within 0.3 s"),
        "{said}"
    );
    // It goes on to pause all the same: that is why somebody has to resume it.
    client.simple_query("commit").await.unwrap();
    let blocked = tokio::spawn(async move { client.simple_query("select").await.map(drop) });
    await_waiting(&pooler, 1).await;
    pooler.resume(WITHIN).await.unwrap();
    blocked.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pause_ends_with_the_last_transaction() {
    let Some(server) = start("transaction") else {
        return;
    };
    let pooler = server.pooler();
    let client = server.client().await;
    client.simple_query("begin").await.unwrap();
    let asked = pooler.clone();
    let paused = tokio::spawn(async move { asked.pause(WITHIN).await });
    let second = server.client().await;
    let late = tokio::spawn(async move { second.simple_query("select").await.map(drop) });
    await_waiting(&pooler, 1).await;
    assert!(!paused.is_finished());
    client.simple_query("commit").await.unwrap();
    paused.await.unwrap().unwrap();
    assert!(!late.is_finished());
    pooler.resume(WITHIN).await.unwrap();
    late.await.unwrap().unwrap();
}
