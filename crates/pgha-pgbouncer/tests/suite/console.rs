//! What the admin console says, and whom it lets in.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use pgha_pgbouncer::{Pooler, Settings};

use crate::server::{WITHIN, start};

#[tokio::test]
async fn a_pooler_says_how_it_stands() {
    let Some(server) = start("transaction") else {
        return;
    };
    let pooler = Pooler::new(server.settings("pgha", "s3cret", &["app", "Other"])).unwrap();
    let look = pooler.look(WITHIN).await.unwrap();
    assert!(look.version.contains("PgBouncer 1."), "{look:?}");
    assert_eq!(look.patience, Some(Duration::from_secs(90)));
    let [app, other] = &look.databases[..] else {
        panic!("{look:?}");
    };
    assert_eq!(
        (app.host.as_str(), app.mode.as_str(), app.is_paused),
        ("127.0.0.1", "transaction", false)
    );
    assert!(app.can_pause());
    assert_eq!(other.name, "Other");
    pooler.pause(WITHIN).await.unwrap();
    let paused = pooler.look(WITHIN).await.unwrap();
    assert!(paused.databases.iter().all(|database| database.is_paused));
    pooler.resume(WITHIN).await.unwrap();
}

#[tokio::test]
async fn session_pooling_cannot_pause() {
    let Some(server) = start("session") else {
        return;
    };
    let look = server.pooler().look(WITHIN).await.unwrap();
    assert!(!look.databases[0].can_pause(), "{look:?}");
}

#[tokio::test]
async fn a_pooler_is_pointed_to_another_site_while_its_clients_wait() {
    let Some(server) = start("transaction") else {
        return;
    };
    let script = "sed -i \"/^app/s/host=[^ ]*/host=$2/\" \"$0/pgbouncer.ini\" && echo \"$1\" >> \"$0/asked\"";
    let pooler = server.pointed_by(script);
    pooler.pause(WITHIN).await.unwrap();
    assert_eq!(
        pooler.lead_to("core1", WITHIN).await,
        Ok(false),
        "it leads there"
    );
    assert_eq!(pooler.lead_to("core2", WITHIN).await, Ok(true));
    let seen = pooler.look(WITHIN).await.unwrap();
    assert_eq!(
        (seen.databases[0].host.as_str(), seen.databases[0].is_paused),
        ("127.0.0.2", true)
    );
    assert_eq!(pooler.lead_to("core2", WITHIN).await, Ok(false));
    pooler.resume(WITHIN).await.unwrap();
    assert_eq!(server.text_of("asked"), "core2\n");
    assert_eq!(
        server.pooler().lead_to("core3", WITHIN).await,
        Ok(false),
        "not its business"
    );
}

#[tokio::test]
async fn a_program_that_does_not_do_it_is_told() {
    let Some(server) = start("transaction") else {
        return;
    };
    for (script, words) in [
        ("echo no way >&2; exit 3", "no way"),
        (
            "exit 0",
            "its database app leads to 127.0.0.1, not to 127.0.0.2, after its program",
        ),
    ] {
        let error = server
            .pointed_by(script)
            .lead_to("core2", WITHIN)
            .await
            .unwrap_err();
        assert!(error.because.contains(words), "{error}");
    }
    let error = server
        .pointed_by("sleep 60")
        .lead_to("core2", Duration::from_millis(300))
        .await;
    assert!(error.unwrap_err().because.contains("within 0.3 s"));
    let error = server
        .pointed_by("")
        .lead_to("core3", WITHIN)
        .await
        .unwrap_err();
    assert!(error.because.contains("no host of core3"), "{error}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_without_the_password() {
    let Some(server) = start("transaction") else {
        return;
    };
    for (user, password, database, words) in [
        ("pgha", "wr0ng", "app", "authentication failed"),
        ("app", "app", "app", "not allowed"),
        ("nobody", "s3cret", "app", "authentication failed"),
        ("pgha", "s3cret", "none", "it has no database none"),
    ] {
        let pooler = Pooler::new(server.settings(user, password, &[database])).unwrap();
        let said = pooler.look(WITHIN).await.unwrap_err().to_string();
        assert!(
            said.contains(words) && !said.contains(password) || password == "app",
            "{said}"
        );
    }
    let mut open = server.settings("pgha", "s3cret", &["app"]);
    open.password_file = Some(std::env::current_exe().unwrap());
    let said = Pooler::new(open)
        .unwrap()
        .look(WITHIN)
        .await
        .unwrap_err()
        .to_string();
    assert!(said.contains("others may use"), "{said}");
    let mut over_tls = server.settings("pgha", "s3cret", &["app"]);
    over_tls.tls = Some(pgha_pgbouncer::Tls::default());
    let said = Pooler::new(over_tls)
        .unwrap()
        .look(WITHIN)
        .await
        .unwrap_err()
        .to_string();
    assert!(said.contains("TLS"), "{said}");
}

#[tokio::test]
async fn nobody_at_the_port_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let at = |port: u16| {
        Pooler::new(Settings {
            name: "edge".to_owned(),
            address: format!("127.0.0.1:{port}"),
            user: "pgha".to_owned(),
            password_file: None,
            tls: None,
            databases: vec!["app".to_owned()],
            longest_pause_seconds: 30,
            point: Vec::new(),
            hosts: BTreeMap::default(),
        })
        .unwrap()
    };
    // It accepts, and says nothing.
    let error = at(port).look(Duration::from_millis(200)).await.unwrap_err();
    assert!(error.because.contains("within 0.2 s"), "{error}");
    // One that was free a moment ago may be held by a process that somebody starts.
    let error = at(1).pause(WITHIN).await.unwrap_err();
    assert!(error.because.contains("refused"), "{error}");
}
