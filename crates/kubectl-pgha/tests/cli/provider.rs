//! `token-check` against a real OpenID provider, at which a person has logged in by code with PKCE, by refresh and by device.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Ran};

/// The provider, until it is dropped.
struct Provider {
    child: Child,
    logins: Value,
}

impl Provider {
    /// Starts it and waits for the logins; says so where there is none.
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "where `cargo xtask test` put the provider, and a skipped test says so"
    )]
    fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os("PGHA_OIDC_PROVIDER").map(PathBuf::from) else {
            println!("skipped: no OpenID provider (cargo xtask test has one)");
            return None;
        };
        let mut child = Command::new("node")
            .arg(folder.join("provider.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It tells of itself on the same stream.
        let logins = lines.map(Result::unwrap).find(|said| said.starts_with('{'));
        let logins = serde_json::from_str(&logins.unwrap()).unwrap();
        Some(Self { child, logins })
    }

    fn text(&self, name: &str) -> &str {
        self.logins[name].as_str().unwrap()
    }

    fn check(&self, bench: &Bench, token: &str, more: &[&str]) -> Ran {
        let file = bench.home().join("token");
        std::fs::write(&file, token).unwrap();
        let file = file.display().to_string();
        let arguments = ["token-check", "--token-file", &file, "-o", "json"];
        let issuer = ["--issuer", self.text("issuer"), "--client-id", "kubectl"];
        bench.run(&[&arguments[..], &issuer, more].concat())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Its standard input ends, and so does it.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

#[test]
fn logins_at_a_real_provider_are_proved() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let bench = Bench::new(&[]);
    let expect = [
        "--expect",
        "groups=prod-admin",
        "--expect",
        "email=jane@example.org",
    ];
    for login in ["code", "refreshed", "device"] {
        let ran = provider.check(&bench, provider.text(login), &expect);
        assert_eq!(ran.code, Some(0), "{login}: {ran}");
        let result: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(result["claims"]["sub"], "jane");
        assert_eq!(result["proof"], "fresh-login", "{login}");
    }
    let token = provider.text("code");
    let ran = provider.check(&bench, token, &["--expect", "groups=other"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    let device = provider.text("device");
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = device.rsplit_once('.').unwrap();
    let ran = provider.check(&bench, &format!("{signed}.{signature}"), &[]);
    assert_eq!(ran.code, Some(3), "another token's signature: {ran}");
}
