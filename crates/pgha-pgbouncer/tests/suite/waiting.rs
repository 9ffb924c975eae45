//! Clients that wait, and go on.

use std::time::Duration;

use pgha_pgbouncer::{Database, Look, Pooler};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::backend::Answer;
use crate::server::{Server, WITHIN, ends, start, start_before};

async fn await_look(pooler: &Pooler, wanted: impl Fn(&Database) -> bool) {
    let seen = async {
        while !wanted(&pooler.look(WITHIN).await.unwrap().databases[0]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, seen).await.unwrap();
}

async fn await_waiting(pooler: &Pooler, wanted: u64) {
    await_look(pooler, |database| database.waiting == wanted).await;
}

type Asked = JoinHandle<Result<(), tokio_postgres::Error>>;

fn ask(client: Client) -> Asked {
    tokio::spawn(async move { client.simple_query("select").await.map(drop) })
}

/// A pooler that is paused, and a client of it who waits.
async fn waiting(server: &Server) -> (Pooler, Asked) {
    let pooler = server.pooler();
    let client = server.client().await;
    client.simple_query("select").await.unwrap();
    pooler.pause(WITHIN).await.unwrap();
    let asked = ask(client);
    await_waiting(&pooler, 1).await;
    (pooler, asked)
}

fn is_paused(look: &Look) -> bool {
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
        let asked = ask(server.client().await);
        await_waiting(&pooler, 1).await;
        assert!(!asked.is_finished());
        // Whoever pauses what is paused changes nothing.
        pooler.pause(WITHIN).await.unwrap();
        pooler.resume(WITHIN).await.unwrap();
        ends(asked).await.unwrap();
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
    let blocked = ask(client);
    await_waiting(&pooler, 1).await;
    pooler.resume(WITHIN).await.unwrap();
    ends(blocked).await.unwrap();
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
    // Before that it would be served, by a connection of its own.
    await_look(&pooler, |database| database.is_paused).await;
    let late = ask(server.client().await);
    await_waiting(&pooler, 1).await;
    assert!(!paused.is_finished());
    client.simple_query("commit").await.unwrap();
    ends(paused).await.unwrap();
    assert!(!late.is_finished());
    pooler.resume(WITHIN).await.unwrap();
    ends(late).await.unwrap();
}

#[tokio::test]
async fn a_login_that_a_pause_meets_comes_about_first() {
    let Some(server) = start_before("transaction", &[Answer::Silence]) else {
        return;
    };
    let pooler = server.pooler();
    let first = server.connect();
    await_waiting(&pooler, 1).await;
    pooler.pause(WITHIN).await.unwrap();
    assert!(is_paused(&pooler.look(WITHIN).await.unwrap()));
    let first = ask(ends(first).await);
    // Were the login taken for one that failed, this one would get an error.
    let second = ask(server.client().await);
    await_waiting(&pooler, 2).await;
    pooler.resume(WITHIN).await.unwrap();
    ends(first).await.unwrap();
    ends(second).await.unwrap();
    assert_eq!(server.setting("server_login_retry").await, "3600");
}

#[tokio::test]
async fn logins_that_never_come_about_refuse_the_pause() {
    let Some(server) = start_before("transaction", &[Answer::Silence; 9]) else {
        return;
    };
    let pooler = server.pooler();
    let first = server.connect();
    await_waiting(&pooler, 1).await;
    let said = pooler.pause(WITHIN).await.unwrap_err().to_string();
    assert!(
        said.contains("no connection to Postgres came about within 2 s"),
        "{said}"
    );
    assert!(!is_paused(&pooler.look(WITHIN).await.unwrap()));
    assert_eq!(server.setting("server_login_retry").await, "3600");
    first.abort();
}

/// A service that has just moved may still lead elsewhere.
#[tokio::test]
async fn who_is_refused_at_first_after_a_pause_goes_on_all_the_same() {
    let answers = &[Answer::Welcome, Answer::Refusal, Answer::Refusal];
    let Some(server) = start_before("transaction", answers) else {
        return;
    };
    let (pooler, asked) = waiting(&server).await;
    pooler.resume(WITHIN).await.unwrap();
    ends(asked).await.unwrap();
    assert_eq!(server.setting("server_login_retry").await, "3600");
}

#[tokio::test]
async fn who_is_never_let_in_after_a_pause_is_told_and_no_longer_paused() {
    let answers = &[Answer::Welcome, Answer::Silence];
    let Some(server) = start_before("transaction", answers) else {
        return;
    };
    let (pooler, asked) = waiting(&server).await;
    let said = pooler.resume(WITHIN).await.unwrap_err().to_string();
    assert!(said.contains("it has resumed, and no connection"), "{said}");
    assert!(!is_paused(&pooler.look(WITHIN).await.unwrap()));
    pooler.resume(WITHIN).await.unwrap();
    asked.abort();
}

#[tokio::test]
async fn what_a_killed_tool_has_set_is_put_back_by_the_next() {
    let Some(server) = start("transaction") else {
        return;
    };
    let pooler = server.pooler();
    server.command("SET server_login_retry = '0.05'").await;
    pooler.pause(WITHIN).await.unwrap();
    pooler.resume(WITHIN).await.unwrap();
    assert_eq!(server.setting("server_login_retry").await, "3600");
}
