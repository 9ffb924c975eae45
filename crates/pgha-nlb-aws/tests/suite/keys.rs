//! Where keys come from, and what is said of wrong ones. moto checks signatures by botocore, which is not the signer's own code.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pgha_model::effect::Effect;
use pgha_nlb::{Cutover as _, CutoverError, Problem};
use pgha_nlb_aws::{Aws, Surroundings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::moto::{Moto, WITHIN, around, element, keys, peers, signing};
use crate::server::{response, serve};

/// Makes moto let in nobody but one user, and returns the user's access key and secret.
fn guarded(moto: &Moto) -> (String, String) {
    moto.act("iam", "CreateUser&UserName=pgha");
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A\
        %22elasticloadbalancing%3ADescribeListeners%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
    moto.act(
        "iam",
        &format!("PutUserPolicy&UserName=pgha&PolicyName=p&PolicyDocument={policy}"),
    );
    let key = moto.act("iam", "CreateAccessKey&UserName=pgha");
    moto.ask("moto", "POST /moto-api/reset-auth", "0");
    (
        element(&key, "AccessKeyId").to_owned(),
        element(&key, "SecretAccessKey").to_owned(),
    )
}

#[tokio::test]
async fn a_signature_is_believed_and_a_wrong_one_is_told() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let before = moto.actions();
    let settings = moto.balancer();
    let plan = {
        let backend = crate::moto::backend(settings.clone());
        let seen = backend.observe(WITHIN).await.unwrap();
        backend.plan(&seen, &"core1".into()).unwrap()
    };
    let (id, secret) = guarded(&moto);
    let with = |id: &str, secret: &str| signing(settings.clone(), around(Some(keys(id, secret))));
    with(&id, &secret).observe(WITHIN).await.unwrap();
    // It may look, and not change.
    let error = with(&id, &secret).apply(&plan, WITHIN).await.unwrap_err();
    denied(&error, "AccessDenied", "let them do what", &secret);
    let error = with(&id, "wr0ng/secret")
        .apply(&plan, WITHIN)
        .await
        .unwrap_err();
    denied(
        &error,
        "SignatureDoesNotMatch",
        "this machine's clock",
        "wr0ng/secret",
    );
    let error = with("AKIDOFNOBODY", "wr0ng/secret")
        .observe(WITHIN)
        .await
        .unwrap_err();
    denied(
        &error,
        "InvalidClientTokenId",
        "Renew the credentials",
        "wr0ng/secret",
    );
    moto.ask("moto", "POST /moto-api/reset-auth", "1000");
    assert_eq!(moto.actions(), before);
}

fn denied(error: &CutoverError, code: &str, next: &str, secret: &str) {
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert!(error.to_string().contains(code), "{error}");
    assert!(error.next.contains(next), "{}", error.next);
    assert!(!format!("{error:?}").contains(secret), "{error:?}");
    assert_eq!(error.effect, Effect::None);
}

/// Settings of a server that answers with no listener, but with the access key and the token that it was asked with.
fn echoing(credentials: &Value) -> Value {
    let port = serve(|request| {
        let of = |name: &str| {
            let mut lines = request.lines();
            let line = lines.find(|line| line.to_ascii_lowercase().starts_with(name));
            line.unwrap_or("none").to_owned()
        };
        let (key, token) = (of("authorization:"), of("x-amz-security-token:"));
        let body = format!("<e><Code>Echo</Code><Message>{key} {token}</Message></e>");
        response("400 Bad Request", &body)
    });
    json!({
        "id": "lb", "endpoint": format!("http://127.0.0.1:{port}"), "credentials": credentials,
        "by": "listeners",
        "routes": [{"name": "https", "at": "arn:aws:elasticloadbalancing:eu-west-1:1:listener/net/x",
            "sites": {"core1": "one", "core2": "two"}}],
    })
}

async fn said(backend: &Aws) -> String {
    backend.observe(WITHIN).await.unwrap_err().to_string()
}

fn written(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn keys_come_from_a_profile() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("credentials");
    let text = "# of nobody\n[default]\naws_access_key_id = AKIDDEFAULT\n[ prod ]\naws_access_key_id=AKIDPROD\n\
        aws_secret_access_key = s3cret/prod+x==\naws_session_token=t0ken\n[half]\naws_access_key_id = AKIDHALF\n";
    written(&file, text, 0o600);
    let with = |name: &str| {
        let settings = echoing(&json!({"profile": name}));
        signing(
            settings,
            Surroundings {
                credentials_file: Some(file.clone()),
                ..around(None)
            },
        )
    };
    let told = said(&with("prod")).await;
    assert!(
        told.contains("Credential=AKIDPROD/20270115/eu-west-1/elasticloadbalancing/aws4_request"),
        "{told}"
    );
    assert!(told.contains("x-amz-security-token: …"), "{told}");
    for name in ["half", "default", "nobody"] {
        let told = said(&with(name)).await;
        assert!(
            told.contains(&format!("profile {name} holds no access key")),
            "{told}"
        );
    }
    written(&file, text, 0o644);
    let told = said(&with("prod")).await;
    assert!(
        told.contains("others may use") && !told.contains("s3cret"),
        "{told}"
    );
}

#[tokio::test]
async fn keys_come_from_a_program_and_are_kept_until_they_end() {
    let folder = TempDir::new().unwrap();
    let program = |text: &str| {
        let text = format!(
            "#!/bin/sh\necho x >> {}/asked\n{text}\n",
            folder.path().display()
        );
        written(&folder.path().join("keys"), &text, 0o700);
        json!({"process": ["/bin/sh", folder.path().join("keys")]})
    };
    let good = r#"echo '{"Version": 1, "AccessKeyId": "AKIDPRINTED", "SecretAccessKey": "s3cret/x", "SessionToken": "t0ken/x",
        "Expiration": "2027-01-15T08:10:00Z"}'"#;
    let now = Arc::new(AtomicU64::new(1_800_000_000));
    let clock = Arc::clone(&now);
    let around_it = || Surroundings {
        clock: Arc::new({
            let clock = Arc::clone(&clock);
            move || clock.load(Ordering::Relaxed)
        }),
        ..around(None)
    };
    let backend = signing(echoing(&program(good)), around_it());
    let asked = || {
        std::fs::read_to_string(folder.path().join("asked"))
            .unwrap()
            .lines()
            .count()
    };
    for (later, times) in [(0, 1), (300, 1), (539, 1), (540, 2)] {
        now.store(1_800_000_000 + later, Ordering::Relaxed);
        let told = said(&backend).await;
        assert!(
            told.contains("Credential=AKIDPRINTED/") && !told.contains("t0ken"),
            "{told}"
        );
        assert_eq!(asked(), times, "{later}");
    }
    for (text, words) in [
        ("echo s3cret >&2; exit 3", "exit status: 3: run it by hand"),
        ("echo s3cret", "prints no keys"),
        (
            r#"echo '{"Version": 2, "AccessKeyId": "s3cret", "SecretAccessKey": "s3cret"}'"#,
            "prints no keys",
        ),
        (
            r#"echo '{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s3cret x"}'"#,
            "no text of a key",
        ),
    ] {
        let told = said(&signing(echoing(&program(text)), around_it())).await;
        assert!(told.contains(words) && !told.contains("s3cret"), "{told}");
    }
    let told = said(&signing(
        echoing(&json!({"process": ["/nonexistent/keys"]})),
        around(None),
    ))
    .await;
    assert!(told.contains("does not start"), "{told}");
}

#[tokio::test]
async fn without_keys_in_the_environment_it_says_so() {
    let told = said(&signing(echoing(&json!("environment")), around(None))).await;
    assert!(
        told.contains("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in the environment"),
        "{told}"
    );
}
