//! The backend with a real program, a script whose product is a file.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use pgha_model::effect::Effect;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, CutoverError, Did, Problem, Receipt, SiteName};
use pgha_nlb_exec::{Exec, Settings};
use serde_json::json;
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(20);
const SECRET: &str = "the-programs-own-token";

/// Keeps a table of `route value` lines.
const TABLE: &str = include_str!("table.py");

/// What a program of a site's own does first: it finds its secret in a file beside its table.
const LOGIN: &str = "\
import os, sys
assert open(os.path.join(os.path.dirname(sys.argv[1]), 'token')).read()
";

fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

struct Script {
    folder: TempDir,
    backend: Exec,
}

fn script(edit: impl Fn(String) -> String) -> Script {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("table"), "https b-pool\nhttp b-pool\n").unwrap();
    fs::write(folder.path().join("token"), SECRET).unwrap();
    let program = folder.path().join("program.py");
    fs::write(&program, edit(format!("{LOGIN}{TABLE}"))).unwrap();
    let sites = json!({ "a": "a-pool", "b": "b-pool" });
    let settings: Settings = serde_json::from_value(json!({
        "id": "own", "program": ["python3", program, folder.path().join("table")], "comparesAndSwaps": true,
        "routes": [{ "name": "https", "sites": sites }, { "name": "http", "sites": sites }],
    }))
    .unwrap();
    let backend = Exec::new(settings).unwrap();
    Script { folder, backend }
}

impl Script {
    fn table(&self) -> PathBuf {
        self.folder.path().join("table")
    }

    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.table()).unwrap();
        fs::write(self.table(), text.replace(from, to)).unwrap();
    }

    async fn applied(&self, within: Duration) -> Result<Receipt, CutoverError> {
        let seen = self.backend.observe(WITHIN).await.unwrap();
        let plan = self.backend.plan(&seen, &site("a")).unwrap();
        self.backend.apply(&plan, within).await
    }
}

#[async_trait]
impl Peer for Script {
    fn backend(&self) -> &dyn Cutover {
        &self.backend
    }

    fn home(&self) -> SiteName {
        site("b")
    }

    fn away(&self) -> SiteName {
        site("a")
    }

    async fn bytes(&self) -> Vec<u8> {
        fs::read(self.table()).unwrap()
    }

    async fn disturb(&self) {
        self.edit("https", "other b-pool\nhttps");
    }

    async fn split(&self) {
        self.edit("https", "https a-pool\nhttps");
    }

    async fn blind(&self) {
        self.edit("http b-pool", "http maintenance");
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

#[tokio::test]
async fn every_law_of_the_port_is_kept() {
    assert_eq!(broken(async || script(|text| text)).await, []);
}

#[tokio::test]
async fn a_program_that_says_done_and_does_nothing_is_not_believed() {
    let script = script(|text| text.replace("open(path, \"w\").write", "str"));
    let error = script.applied(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("does not show it"), "{error}");
    assert_eq!(error.effect, Effect::Unknown);
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words_and_changed_nothing() {
    let refused = r#"answer["outcome"] = {"refused": {"because": "change freeze"}}"#;
    let script = script(|text| {
        text.replace(
            r#"answer["outcome"] = {"conflict": {"fence": digest()}}"#,
            "pass",
        )
        .replace(r#"asked["fence"] != digest()"#, "False")
        .replace(r#"open(path, "w").write"#, "str")
        .replace(r#"answer["outcome"] = "done""#, refused)
    });
    let error = script.applied(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("change freeze"), "{error}");
    assert_eq!(error.effect, Effect::None);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_looked_after() {
    let script = script(|text| text.replace(r#"answer["outcome"] = "done""#, "sys.exit(3)"));
    let receipt = script.applied(WITHIN).await.unwrap();
    assert_eq!(receipt.did, Did::Change);
}

#[tokio::test]
async fn a_program_that_dies_says_why() {
    let script = script(|_| "import sys; sys.exit('no such pool')".to_owned());
    let error = script.backend.observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("no such pool"), "{error}");
    assert_eq!(error.effect, Effect::None);
}

#[tokio::test]
async fn a_program_that_hangs_is_ended() {
    let script = script(|_| "import signal; signal.pause()".to_owned());
    let error = script
        .backend
        .observe(Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(matches!(error.problem, Problem::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn another_version_and_no_json_are_no_answer() {
    let other =
        script(|text| text.replace(r#"{"version": asked["version"]}"#, r#"{"version": "v2"}"#));
    let error = other.backend.observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("it answers in v2"), "{error}");
    let noise = script(|_| "print('ok')".to_owned());
    let error = noise.backend.observe(WITHIN).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("its answer is none of pgha.dev/traffic-exec/v1"),
        "{error}"
    );
}

#[test]
fn settings_without_a_program_are_refused() {
    let settings = json!({ "id": "own", "program": [], "routes": [] });
    let settings: Settings = serde_json::from_value(settings).unwrap();
    assert!(Exec::new(settings).is_err());
}
