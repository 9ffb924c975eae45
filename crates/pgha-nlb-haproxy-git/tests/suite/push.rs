//! What reaches the server, what does not, and what is said of it.

use std::fs;
use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::{Active, Cutover as _, Did, Problem, Refusal};
use serde_json::json;

use crate::git::git;
use crate::repository::{
    FILE, Repository, TEMPLATE, WITHIN, applied, backend, observed, plan, site,
};

fn after(template: &str) -> String {
    template
        .replace(
            "core2-https if { req.ssl_sni -i login.ois.run }",
            "core1-https if { req.ssl_sni -i login.ois.run }",
        )
        .replace(
            "core2-http if { hdr(host) -i login.ois.run }",
            "core1-http if { hdr(host) -i login.ois.run }",
        )
}

#[tokio::test]
async fn both_rules_move_in_one_commit_and_the_option_reaches_the_hook() {
    let repository = Repository::new();
    let server = repository.server();
    repository.hook(
        &server,
        "post-receive",
        r#"echo "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0" > "$FOLDER/options""#,
    );
    let clone = repository.clone();
    repository.hook(
        &clone,
        "commit-msg",
        r#"echo "Reviewed-by: a hook" >> "$1""#,
    );
    fs::write(clone.join("notes.txt"), "an edit that is under way\n").unwrap();
    let before = repository.tip();
    let receipt = applied(&repository.backend()).await.unwrap();
    assert_eq!(receipt.did, Did::Change);
    assert_eq!(receipt.fence.as_str(), repository.tip());
    assert_eq!(repository.served(FILE), after(TEMPLATE).into_bytes());
    let range = format!("{before}..production");
    let log = git(&server, &["log", "--format=%an%n%B", "--name-only", &range]);
    assert!(
        log.starts_with("Operator\nhaproxy: lead to core1 by https, http\n"),
        "{log}"
    );
    assert!(log.contains("Reviewed-by: a hook"), "{log}");
    assert_eq!(
        log.matches(FILE).count(),
        3,
        "two changes and one file: {log}"
    );
    let options = fs::read_to_string(repository.path("options")).unwrap();
    assert_eq!(options, "1 run=netlb\n");
    // The user's clone is as it was.
    assert_eq!(git(&clone, &["status", "--short"]), " M notes.txt");
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]), before);
    assert_eq!(git(&clone, &["worktree", "list"]).lines().count(), 1);
    assert_eq!(
        git(&clone, &["for-each-ref"]).lines().count(),
        2,
        "no reference is new"
    );
}

#[tokio::test]
async fn line_ends_stay_whatever_the_clone_converts() {
    let template = TEMPLATE.replace('\n', "\r\n");
    let repository = Repository::with(&template);
    git(&repository.clone(), &["config", "core.autocrlf", "true"]);
    applied(&repository.backend()).await.unwrap();
    assert_eq!(repository.served(FILE), after(&template).into_bytes());
}

#[tokio::test]
async fn the_plan_shows_the_runbooks_diff() {
    let plan = plan(&Repository::new().backend()).await;
    let changed: Vec<_> = plan
        .diff
        .lines()
        .filter(|line| line.starts_with(['+', '-']))
        .collect();
    assert_eq!(
        changed,
        [
            &format!("--- a/{FILE}"),
            &format!("+++ b/{FILE}"),
            "-  use_backend core2-https if { req.ssl_sni -i login.ois.run }",
            "+  use_backend core1-https if { req.ssl_sni -i login.ois.run }",
            "-  use_backend core2-http if { hdr(host) -i login.ois.run }",
            "+  use_backend core1-http if { hdr(host) -i login.ois.run }",
        ]
    );
}

#[tokio::test]
async fn a_remote_that_is_not_there_is_said_to_be_out_of_reach() {
    let repository = Repository::new();
    let backend = repository.backend();
    let plan = plan(&backend).await;
    fs::rename(repository.server(), repository.path("gone")).unwrap();
    let error = backend.apply(&plan, WITHIN).await.unwrap_err();
    assert_eq!(
        (&error.problem, error.effect),
        (&Problem::Unreachable, Effect::None)
    );
    assert!(
        error.to_string().contains("puppet refs/heads/production"),
        "{error}"
    );
    let findings = backend.preflight(WITHIN).await;
    assert!(
        findings[0].seen.contains("cannot be reached"),
        "{findings:?}"
    );
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    let repository = Repository::new();
    repository.hook(
        &repository.server(),
        "pre-receive",
        "echo 'not on a Friday' >&2; exit 1",
    );
    let before = repository.tip();
    let error = applied(&repository.backend()).await.unwrap_err();
    assert!(error.to_string().contains("not on a Friday"), "{error}");
    assert_eq!(error.effect, Effect::None);
    assert_eq!(repository.tip(), before);
}

#[tokio::test]
async fn a_push_that_comes_in_between_is_a_conflict_and_stays() {
    let repository = Repository::new();
    repository.push_by_another("notes.txt", |text| text + "b\n");
    // The user's own hook runs right before the push: the latest moment at which another one can come first.
    repository.hook(
        &repository.clone(),
        "pre-push",
        r#"cd "$FOLDER/other" && unset GIT_DIR && git commit -q --allow-empty -m race && git push -q origin HEAD:production"#,
    );
    let error = applied(&repository.backend()).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(error.effect, Effect::None);
    let last = git(
        &repository.server(),
        &["log", "-1", "--format=%s", "production"],
    );
    assert_eq!(last, "race");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_looked_after() {
    let repository = Repository::new();
    let fifo = repository.path("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    // The branch is updated, and nobody hears of it.
    repository.hook(
        &repository.server(),
        "post-receive",
        r#"read -r line < "$FOLDER/fifo""#,
    );
    let backend = repository.backend();
    let plan = plan(&backend).await;
    let receipt = backend.apply(&plan, Duration::from_secs(4)).await.unwrap();
    assert_eq!(
        (receipt.did, receipt.fence.as_str()),
        (Did::Change, repository.tip().as_str())
    );
    fs::write(&fifo, "go\n").unwrap();
}

#[tokio::test]
async fn a_push_of_which_nothing_is_known_is_unknown() {
    let repository = Repository::new();
    let fifo = repository.path("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    repository.hook(
        &repository.server(),
        "pre-receive",
        r#"read -r line < "$FOLDER/fifo""#,
    );
    let backend = repository.backend();
    let plan = plan(&backend).await;
    let error = backend
        .apply(&plan, Duration::from_secs(4))
        .await
        .unwrap_err();
    assert_eq!(error.effect, Effect::Unknown, "{error}");
    fs::write(&fifo, "go\n").unwrap();
}

#[tokio::test]
async fn a_hook_that_changes_more_is_stopped_before_the_push() {
    let repository = Repository::new();
    let before = repository.tip();
    let hook = "echo more >> notes.txt && git add notes.txt";
    repository.hook(&repository.clone(), "pre-commit", hook);
    let error = applied(&repository.backend()).await.unwrap_err();
    assert!(
        error.to_string().contains("a hook made another change"),
        "{error}"
    );
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(repository.tip(), before);
}

#[tokio::test]
async fn a_check_that_fails_stops_before_the_push() {
    let repository = Repository::new();
    let mut settings = repository.settings();
    settings["check"] = json!([
        "sh",
        "-c",
        "grep -q core1-https \"$0\" && echo 'bad line' && exit 1",
        "{file}"
    ]);
    let before = repository.tip();
    let backend = backend(settings);
    let error = applied(&backend).await.unwrap_err();
    assert!(error.to_string().contains("bad line"), "{error}");
    assert_eq!((error.effect, repository.tip()), (Effect::None, before));
    assert_eq!(
        git(&repository.clone(), &["worktree", "list"])
            .lines()
            .count(),
        1
    );
}

#[tokio::test]
async fn a_template_that_makes_something_else_of_the_rule_is_refused() {
    let repository = Repository::new();
    let mut settings = repository.settings();
    settings["render"] = json!(["sed", "s/core1-http /core2-http /", "{file}"]);
    let before = repository.tip();
    let error = applied(&backend(settings)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("route http leads to `core2-http` in it"),
        "{error}"
    );
    assert_eq!(repository.tip(), before);
}

#[tokio::test]
async fn a_backend_that_the_file_lacks_is_refused() {
    let repository = Repository::with(&TEMPLATE.replace("backend core1-http ", "backend renamed "));
    let backend = repository.backend();
    let seen = observed(&backend).await;
    let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Unfit { .. }), "{refusal:?}");
    assert!(
        refusal.to_string().contains("no backend `core1-http`"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_shadow_is_told_before_a_move() {
    let shadow = "  use_backend k1-https if { req.ssl_sni -i -m end .ois.run }\n";
    let first = "  use_backend core2-https if { req.ssl_sni -i web.holos.run }\n";
    let repository = Repository::with(&TEMPLATE.replace(first, &format!("{shadow}{first}")));
    let backend = repository.backend();
    let seen = observed(&backend).await;
    assert!(matches!(seen.routes[0].active, Active::Unknown { .. }));
    let findings = backend.preflight(WITHIN).await;
    let seen: Vec<_> = findings
        .iter()
        .map(|finding| finding.seen.as_str())
        .collect();
    assert!(
        seen.iter()
            .any(|seen| seen.contains("sends login.ois.run to `k1-https`")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_map_and_a_rule_move_in_one_commit() {
    let repository = Repository::new();
    let map = "# by Puppet\nweb.holos.run core2-https\nlogin.ois.run\tcore2-https\n";
    fs::write(repository.clone().join("sni.map"), map).unwrap();
    let clone = repository.clone();
    git(&clone, &["add", "sni.map"]);
    git(&clone, &["commit", "--quiet", "--message", "Add a map"]);
    git(&clone, &["push", "--quiet", "puppet", "HEAD:production"]);
    let mut settings = repository.settings();
    settings["routes"][0]["spot"] = json!({"map": {"file": "sni.map"}});
    let before = repository.tip();
    applied(&backend(settings)).await.unwrap();
    let wanted = map.replace("run\tcore2-https", "run\tcore1-https");
    assert_eq!(repository.served("sni.map"), wanted.into_bytes());
    let names = git(
        &repository.server(),
        &["diff", "--name-only", &before, "production"],
    );
    assert_eq!(names, format!("{FILE}\nsni.map"));
}
