//! The login after a move, as a service's file has it, at a fake issuer and without a person.

use std::fs;

use pgha_testkit::pgo::{Kind, pair};
use serde_json::json;

use crate::bench::{NAMESPACE, Ran, cluster, now};
use crate::house::{BEFORE, House};
use crate::issuer::{DOCUMENT, Issuer, KEYS, Key, Reply, set};

/// Where the issuer gives tokens.
const TOKENS: &str = "/token";

/// The database is at core1 already, its users at core2, and a client logs in at the issuer.
fn house(issuer: &Issuer) -> House {
    let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
    let login = format!(
        "  login: {{ issuer: \"{}\", clientId: robot, grant: clientCredentials, clientSecretFile: secret }}\n",
        issuer.url()
    );
    let house = House::with(&cluster(&primary), &cluster(&standby), &login);
    house.write("secret", "hunter2\n");
    let mut document = issuer.document();
    document["token_endpoint"] = json!(format!("{}{TOKENS}", issuer.url()));
    issuer.reply(DOCUMENT, [Reply::Json(document)]);
    let token = json!({"access_token": "t0ken", "token_type": "Bearer", "expires_in": 300});
    issuer.reply(TOKENS, [Reply::Json(token)]);
    house
}

fn resume(house: &House) -> Ran {
    house.run(&["resume", "zitadel", "--to", "core1", "--yes"])
}

#[test]
fn somebody_logs_in_once_users_have_followed() {
    let key = Key::new("a");
    let issuer = Issuer::new(&[&key]);
    let house = house(&issuer);
    let ran = resume(&house);
    assert_eq!(ran.code, Some(0), "{ran}");
    let told = format!(
        "robot was given a token by {}, without a person; 1 of 1 keys from before are published.",
        issuer.url()
    );
    assert!(ran.stderr.contains(&told), "{ran}");
    let said = ran.to_string();
    assert!(
        !said.contains("hunter2") && !said.contains("t0ken"),
        "{said}"
    );
    assert_eq!(house.table("b"), "https core1-pool\n");
    assert_eq!(issuer.requests(TOKENS).len(), 1);
}

#[test]
fn an_issuer_that_reads_another_database_is_told() {
    let keys = [Key::new("a"), Key::new("b")];
    let issuer = Issuer::new(&[&keys[0]]);
    let house = house(&issuer);
    issuer.reply(KEYS, [set(&[&keys[0]]), set(&[&keys[1]])]);
    let ran = resume(&house);
    assert_eq!(ran.code, Some(5), "{ran}");
    let told = "publishes none of the 1 keys from before the move";
    assert!(ran.stderr.contains(told), "{ran}");
    assert!(issuer.requests(TOKENS).is_empty());
}

#[test]
fn who_is_not_let_in_ends_with_5_and_the_command_that_tries_again() {
    let key = Key::new("a");
    let issuer = Issuer::new(&[&key]);
    let house = house(&issuer);
    issuer.reply(TOKENS, [Reply::Head("503 Service Unavailable")]);
    let ran = resume(&house);
    assert_eq!(ran.code, Some(5), "{ran}");
    let told = "the database has moved, and nobody has been seen to log in";
    assert!(ran.stderr.contains(told), "{ran}");
    let hint = format!("hint: Run `kubectl pgha login --issuer {}", issuer.url());
    assert!(ran.stderr.contains(&hint), "{ran}");
}

#[test]
fn a_login_that_could_not_be_made_now_stops_a_move_before_it_begins() {
    let key = Key::new("a");
    let issuer = Issuer::new(&[&key]);
    let house = house(&issuer);
    fs::remove_file(house.bench.home().join("secret")).unwrap();
    let ran = resume(&house);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("cannot read"), "{ran}");
    house.write("secret", "hunter2\n");
    issuer.reply(DOCUMENT, [Reply::Head("503 Service Unavailable")]);
    let ran = resume(&house);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_eq!(house.table("b"), BEFORE, "nobody has been moved");
    let checked = house.run(&["validate", "zitadel", "--from", "core1", "--to", "core2"]);
    assert!(checked.to_string().contains("503"), "{checked}");
}

#[test]
fn a_login_that_contradicts_itself_is_told_with_its_line() {
    let key = Key::new("a");
    let issuer = Issuer::new(&[&key]);
    for (from, to, words) in [
        (
            ", clientSecretFile: secret",
            "",
            "line 8 column 10: spec.login: a client logs in with its secret, expected `clientSecretFile`",
        ),
        (
            "clientSecretFile: secret",
            "clientSecretFile: secret, expect: { groups: admin }",
            "line 8 column 10: spec.login: a client's own token has no claims",
        ),
        (
            "grant: clientCredentials",
            "grant: password",
            "unknown variant `password`",
        ),
        ("clientId:", "clientID:", "did you mean `clientId`?"),
        (
            "issuer: \"http://",
            "issuer: \"ftp://",
            "line 8 column 10: spec.login: ",
        ),
    ] {
        let house = house(&issuer);
        let file = house.file().display().to_string();
        house.edit(from, to);
        let ran = house.bench.run(&["lint", &file]);
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains(words), "{words}: {ran}");
    }
}
