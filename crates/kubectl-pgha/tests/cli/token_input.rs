//! Where `token-check` takes its token from, whom it asks, and what of it may be seen.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::issuer::{CLIENT, Issuer, Key, Reply, encoded};
use crate::token_check::{Place, json_of};

#[test]
fn a_token_that_is_refused_by_its_form_causes_no_request() {
    let place = Place::new();
    let claims = place.issuer.claims();
    let with = |header: Value| place.key.sign_with(&header, &claims);
    let payload = encoded(claims.to_string());
    for (token, said) in [
        (with(json!({"alg": "none"})), "is not signed"),
        (
            with(json!({"alg": "HS256", "kid": "first"})),
            "`HS256`, which is not accepted",
        ),
        (with(json!({"alg": "ES256", "crit": ["exp"]})), "`crit`"),
        (
            with(json!({"alg": "ES256", "typ": "at+jwt"})),
            "is no ID token",
        ),
        (
            format!("{}.{payload}.", encoded(r#"{"alg":"ES256","alg":"none"}"#)),
            "twice",
        ),
        (format!("a.{payload}"), "2 segments"),
        ("a.b.c.d.e".to_owned(), "encrypted"),
        (String::new(), "there is nothing in it"),
        (r#"{"kind":"ExecCredential"}"#.to_owned(), ".status.token"),
    ] {
        let ran = place.check(&token, &[]);
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(ran.stderr.contains(said), "{said}: {ran}");
        assert!(ran.stderr.contains("effect: nothing was changed"), "{ran}");
    }
    assert_eq!(place.asked(), 0);
}

#[test]
fn a_credential_comes_from_standard_input_too() {
    let place = Place::new();
    let token = place.key.sign(&place.issuer.claims());
    let credential = json!({"kind": "ExecCredential", "status": {"token": token}}).to_string();
    let url = place.issuer.url();
    let arguments = [
        "token-check",
        "--token-file",
        "-",
        "--issuer",
        &url,
        "--client-id",
        CLIENT,
    ];
    let mut child = place
        .bench
        .command(&arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(credential.as_bytes()).unwrap();
    drop(stdin);
    let ran = place
        .bench
        .ran(&arguments, &child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn a_user_of_the_kubeconfig_brings_the_token() {
    let place = Place::new();
    let token = place.key.sign(&place.issuer.claims());
    let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": token}});
    let program = place.path("login");
    fs::write(&program, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(place.path("kept"), &token).unwrap();
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": program});
    place.kubeconfig(&json!({"apiVersion": "v1", "kind": "Config", "users": [
        {"name": "program", "user": {"exec": exec}}, {"name": "text", "user": {"token": token}},
        {"name": "file", "user": {"tokenFile": place.path("kept")}}, {"name": "basic", "user": {"username": "a", "password": "b"}},
        {"name": "nothing", "user": {}}, {"name": "gone", "user": {"tokenFile": "/none/there"}}]}));
    let run = |user| {
        let url = place.issuer.url();
        let arguments = [
            "token-check",
            "--from-kubeconfig",
            user,
            "--issuer",
            &url,
            "--client-id",
            CLIENT,
        ];
        place.bench.run(&arguments)
    };
    for user in ["program", "text", "file"] {
        let ran = run(user);
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    for (user, said) in [
        ("basic", "does not log in with a token"),
        ("nothing", "does not log in with a token"),
        ("gone", "cannot be had"),
        ("jane", "Known users: program, text"),
    ] {
        let ran = run(user);
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains(said), "{said}: {ran}");
    }
    fs::create_dir_all(place.path(".kube")).unwrap();
    let policy = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: DenyAll\n";
    fs::write(place.path(".kube/kuberc"), policy).unwrap();
    let ran = run("program");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("DenyAll"), "{ran}");
}

#[test]
fn a_token_that_is_only_decoded_is_told_as_unverified_and_nobody_is_asked() {
    let place = Place::new();
    let mut claims = place.issuer.claims();
    claims["name"] = json!("jane\u{1b}[2J");
    let token = place.key.sign_with(&json!({"alg": "none"}), &claims);
    let file = place.file(&token);
    let run = |more: &[&str]| {
        let arguments = ["token-check", "--token-file", &file, "--decode-only"];
        place.bench.run(&[&arguments[..], more].concat())
    };
    let ran = run(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.starts_with("NOTHING WAS VERIFIED"), "{ran}");
    assert!(!ran.stdout.contains('\u{1b}'), "{ran}");
    let result = json_of(&run(&["-o", "json"]));
    assert_eq!(
        (&result["verified"], &result["proved"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(place.asked(), 0);
}

#[test]
fn each_api_server_says_whom_it_lets_in() {
    const REVIEW: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let place = Place::new();
    let site = Issuer::new(&[]);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": {"userInfo": {"username": "oidc:jane", "groups": ["oidc:prod-admin", "system:authenticated"]}}});
    site.reply(REVIEW, [Reply::Json(review)]);
    let (context, cluster) = (
        json!({"cluster": "core1", "user": "admin"}),
        json!({"server": site.url()}),
    );
    place.kubeconfig(&json!({"apiVersion": "v1", "kind": "Config", "contexts": [{"name": "core1", "context": context}],
        "clusters": [{"name": "core1", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": "the-admins-own-token"}}]}));
    let token = place.key.sign(&place.issuer.claims());
    let ran = place.check(&token, &["--apiserver", "core1"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(
        ran.stdout
            .contains("lets in oidc:jane with the groups oidc:prod-admin"),
        "{ran}"
    );
    let asked = site.requests(REVIEW);
    assert!(asked[0].contains(&format!("Bearer {token}")), "{asked:?}");
    assert!(!asked[0].contains("the-admins-own-token"));
    site.reply(REVIEW, [Reply::Head("401 Unauthorized")]);
    let ran = place.check(&token, &["--apiserver", "core1", "-o", "json"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    let result = json_of(&ran);
    assert_eq!(result["apiServers"][0]["accepted"], false);
    assert_eq!(result["proved"], false);
    let asked = place.asked();
    let ran = place.check(&token, &["--apiserver", "core9"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert_eq!(place.asked(), asked, "the issuer was asked first");
}

#[test]
fn a_token_is_told_in_no_output_and_no_log() {
    let place = Place::new();
    let token = place.key.sign(&place.issuer.claims());
    let forged = Key::new("first").sign(&place.issuer.claims());
    let broken = format!("{token}.x");
    for token in [&token, &forged, &broken] {
        let (file, url) = (place.file(token), place.issuer.url());
        for format in ["table", "wide", "json", "yaml", "name"] {
            let arguments = [
                "token-check",
                "--token-file",
                &file,
                "--issuer",
                &url,
                "--client-id",
                CLIENT,
                "-o",
                format,
            ];
            let output = place
                .bench
                .command(&arguments)
                .env("PGHA_LOG", "trace")
                .output()
                .unwrap();
            let ran = place.bench.ran(&arguments, &output);
            for secret in token.split('.').filter(|segment| segment.len() > 9) {
                assert!(
                    !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                    "{ran}"
                );
            }
        }
    }
}

#[test]
fn arguments_that_prove_nothing_are_refused() {
    let place = Place::new();
    let file = place.file("a.b.c");
    let given = ["token-check", "--token-file", file.as_str()];
    for more in [
        &[][..],
        &["--issuer", "https://login.example"],
        &["--client-id", "a"],
        &[
            "--decode-only",
            "--issuer",
            "https://login.example",
            "--client-id",
            "a",
        ],
        &["--decode-only", "--expect", "a=b"],
        &["--decode-only", "--from-kubeconfig", "a"],
        &[
            "--issuer",
            "https://login.example",
            "--client-id",
            "a",
            "--expect",
            "groups",
        ],
        &[
            "--issuer",
            "https://login.example",
            "--client-id",
            "a",
            "--since",
            "noon",
        ],
        &[
            "--issuer",
            "https://login.example",
            "--client-id",
            "a",
            "--baseline",
            "a",
            "--save-baseline",
            "b",
        ],
    ] {
        let ran = place.bench.run(&[&given[..], more].concat());
        assert_eq!(ran.code, Some(2), "{ran}");
    }
    let token = place.key.sign(&place.issuer.claims());
    place.file(&token);
    for url in [
        "http://login.example",
        "https://a:b@login.example",
        "login.example",
    ] {
        let ran = place
            .bench
            .run(&[&given[..], &["--issuer", url, "--client-id", "a"]].concat());
        assert_eq!(ran.code, Some(2), "{ran}");
    }
    let ran = place.bench.run(&[
        "token-check",
        "--token-file",
        "/none/there",
        "--decode-only",
    ]);
    assert_eq!(ran.code, Some(2), "{ran}");
}
