//! `token-check` and `login` against a real OpenID provider, at which a person logs in by code with PKCE, by refresh and by
//! device.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use pgha_testkit::pgo::{Kind, pair};
use serde_json::Value;

use crate::bench::{Bench, NAMESPACE, Ran, cluster, now};
use crate::house::House;

/// The provider with a person at it, until it is dropped.
struct Provider {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
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
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        // It tells of itself on the same stream.
        let first = said.by_ref().map(Result::unwrap);
        let logins = first.into_iter().find(|said| said.starts_with('{'));
        let logins = serde_json::from_str(&logins.unwrap()).unwrap();
        Some(Self {
            child,
            said,
            logins,
        })
    }

    /// Has the person do something.
    fn person(&mut self, verb: &str, what: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{verb} {what}").unwrap();
        let said = self.said.by_ref().map(Result::unwrap);
        let said = said
            .into_iter()
            .find(|said| said == "done" || said.starts_with("failed"));
        assert_eq!(said.as_deref(), Some("done"), "{verb} {what}");
    }

    /// The arguments of a login as the person's client.
    fn login<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let client = [
            "login",
            "--issuer",
            self.text("issuer"),
            "--client-id",
            "kubectl",
        ];
        let asked = [
            "--scope",
            "email",
            "--scope",
            "groups",
            "--scope",
            "offline_access",
        ];
        [&client[..], &asked, &["-o", "json"], more].concat()
    }

    /// Logs in, and has the person do their part once the command says where.
    fn log_in(&mut self, bench: &Bench, verb: &str, more: &[&str]) -> Ran {
        let arguments: Vec<String> = self.login(more).iter().map(ToString::to_string).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.see_through(bench, verb, &arguments)
    }

    /// Runs a command that has a person log in.
    fn see_through(&mut self, bench: &Bench, verb: &str, arguments: &[&str]) -> Ran {
        let mut command = bench.command(arguments);
        // Where the program of a service's file finds its interpreter.
        let mut child = command.env("PATH", env!("PATH")).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let word = if verb == "device" {
            " and type "
        } else {
            "Log in at "
        };
        let line = said.by_ref().map(Result::unwrap);
        let line = line.into_iter().find(|line| line.contains(word)).unwrap();
        let what = line.split(word).nth(1).unwrap();
        let what = what.split(' ').next().unwrap().to_owned();
        self.person(verb, &what);
        let rest: Vec<String> = said.map(Result::unwrap).collect();
        let mut output = child.wait_with_output().unwrap();
        output.stderr = rest.join("\n").into_bytes();
        bench.ran(arguments, &output)
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
        // Killed, and not told: now and then Node hangs as it exits by itself.
        drop(self.child.kill());
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

const BY_HAND: [&str; 1] = ["--no-browser"];

fn view(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"))
}

/// The only file of kept tokens.
fn kept(bench: &Bench) -> PathBuf {
    let folder = bench.home().join(".local/state/pgha/login");
    let files = std::fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut json = paths.filter(|path| path.extension().is_some_and(|it| it == "json"));
    json.next().unwrap()
}

#[test]
fn a_person_logs_in_by_a_browser_and_is_kept() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    let bench = Bench::new(&[]);
    let ran = provider.log_in(&bench, "browser", &BY_HAND);
    assert_eq!(ran.code, Some(0), "{ran}");
    let first = view(&ran);
    // The issuer remembers who has logged in when it started, which may be in the same second.
    let proof = first["proof"].as_str().unwrap();
    assert!(
        ["refreshed-session", "fresh-login"].contains(&proof),
        "{first}"
    );
    assert_eq!(first["claims"]["sub"], "jane");
    let checks = first["checks"].as_array().unwrap();
    let nonce = checks.iter().find(|check| check["name"] == "nonce");
    assert_eq!(nonce.unwrap()["result"], "pass", "{first}");
    let file = kept(&bench);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nobody is asked again while the token is good.
    let again = bench.run(&provider.login(&[]));
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(view(&again)["token"]["mark"], first["token"]["mark"]);
    // Nor while the session is: a token that is good no more is refreshed.
    let text = std::fs::read_to_string(&file).unwrap();
    let mut stored: Value = serde_json::from_str(&text).unwrap();
    let (signed, _) = provider.text("device").rsplit_once('.').unwrap();
    stored["idToken"] = format!("{signed}.AAAA").into();
    std::fs::write(&file, stored.to_string()).unwrap();
    let refreshed = bench.run(&provider.login(&[]));
    assert_eq!(refreshed.code, Some(0), "{refreshed}");
    // Within a second the ID token may be the same again; the access token never is.
    let renewed: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_ne!(renewed["accessToken"], stored["accessToken"]);
    let issuer = provider.text("issuer");
    let check = [
        "token-check",
        "--from-cache",
        "--issuer",
        issuer,
        "--client-id",
        "kubectl",
    ];
    let checked = bench.run(&[&check[..], &["-o", "json"]].concat());
    assert_eq!(checked.code, Some(0), "{checked}");
    assert_eq!(
        view(&checked)["token"]["mark"],
        view(&refreshed)["token"]["mark"]
    );
    let fresh = provider.log_in(&bench, "browser", &["--no-browser", "--fresh"]);
    assert_eq!(fresh.code, Some(0), "{fresh}");
    assert_eq!(view(&fresh)["proof"], "fresh-login");
    for ran in [&ran, &again, &refreshed, &checked, &fresh] {
        for name in ["idToken", "accessToken", "refreshToken"] {
            let text = std::fs::read_to_string(&file).unwrap();
            let stored: Value = serde_json::from_str(&text).unwrap();
            let secret = stored[name].as_str().unwrap();
            assert!(!ran.to_string().contains(secret), "{name} is shown: {ran}");
        }
    }
}

#[test]
fn a_person_logs_in_by_a_code_and_a_program_by_itself() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    let bench = Bench::new(&[]);
    let device = ["--grant", "device", "--no-cache"];
    let ran = provider.log_in(&bench, "device", &device);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(view(&ran)["claims"]["email"], "jane@example.org");
    assert!(!bench.home().join(".local").exists());
    let secret = bench.home().join("secret");
    let robot = |text: &str| {
        std::fs::write(&secret, text).unwrap();
        let client = [
            "login",
            "--issuer",
            provider.text("issuer"),
            "--client-id",
            "robot",
        ];
        let grant = ["--grant", "client-credentials", "-o", "json"];
        let file = ["--client-secret-file", secret.to_str().unwrap()];
        bench.run(&[&client[..], &grant, &file].concat())
    };
    let ran = robot("hunter2\n");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(view(&ran)["kind"], "ClientToken");
    let ran = robot("hunter3");
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stdout.contains("invalid_client"), "{ran}");
    assert!(!ran.to_string().contains("hunter3"), "{ran}");
}

#[test]
fn who_gives_up_is_not_logged_in() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    let bench = Bench::new(&[]);
    let ran = provider.log_in(&bench, "refuse", &BY_HAND);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stdout.contains("access_denied"), "{ran}");
    let late = bench.run(&provider.login(&["--no-browser", "--timeout", "1s"]));
    assert_eq!(late.code, Some(3), "{late}");
    assert!(late.stdout.contains("1 s have passed"), "{late}");
    let everybody = bench.run(&provider.login(&["--listen", "0.0.0.0:0"]));
    assert_eq!(everybody.code, Some(2), "{everybody}");
    let unproved = ["--no-browser", "--expect", "groups=other"];
    let ran = provider.log_in(&bench, "browser", &unproved);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        std::fs::read_dir(bench.home().join(".local/state/pgha/login"))
            .unwrap()
            .all(|file| file
                .unwrap()
                .path()
                .extension()
                .is_some_and(|it| it == "lock"))
    );
}

/// Once users have followed, a person logs in at a real provider, in a browser or by a code.
#[test]
fn a_person_logs_in_once_users_have_followed() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    for (grant, verb) in [("authcode", "browser"), ("device", "device")] {
        let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
        let login = format!(
            "  login: {{ issuer: \"{}\", clientId: kubectl, grant: {grant}, scopes: [email, groups], expect: {{ groups: prod-admin }} }}\n",
            provider.text("issuer")
        );
        let house = House::with(&cluster(&primary), &cluster(&standby), &login);
        let file = house.file();
        let resume = [
            "resume",
            "zitadel",
            "--to",
            "core1",
            "--yes",
            "-f",
            file.to_str().unwrap(),
        ];
        let ran = provider.see_through(&house.bench, verb, &resume);
        assert_eq!(ran.code, Some(0), "{ran}");
        let told = "as a user of kubectl, and the token is proved; ";
        assert!(ran.stderr.contains(told), "{ran}");
        assert_eq!(house.table("b"), "https core1-pool\n");
        house.edit("groups: prod-admin", "groups: other");
        let ran = provider.see_through(&house.bench, verb, &resume);
        assert_eq!(ran.code, Some(5), "{ran}");
        assert!(ran.stderr.contains("the token is not proved"), "{ran}");
    }
}
