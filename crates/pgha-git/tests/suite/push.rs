//! What reaches the server, what does not, and what is said of it.

use std::fs;
use std::time::Duration;

use pgha_git::Problem;
use pgha_model::effect::Effect;
use tokio::process::Command;

use crate::git::git;
use crate::repository::{Repository, SOURCE, WITHIN, demoted, tree};

/// A push that hangs is given up after this.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_push_is_seen_at_the_remote_and_its_words_are_kept() {
    let repository = Repository::new();
    let server = repository.server();
    let hook = r#"echo "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0"; echo "created by me:secret: https://me:secret@host/mr""#;
    repository.hook(&server, "post-receive", hook);
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    let pushed = branch.push(&commit, &base, WITHIN).await.unwrap();
    assert_eq!(repository.tip(), commit);
    assert_eq!(pushed.told[0], "1 run=deploy");
    assert_eq!(pushed.link(), Some("https://***@host/mr"));
    assert!(branch.is_in(&base, &commit, WITHIN).await.unwrap());
    assert!(!branch.is_in(&commit, &base, WITHIN).await.unwrap());
}

#[tokio::test]
async fn a_branch_that_moved_is_an_answer_and_the_second_try_rests_on_it() {
    let repository = Repository::new();
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    let theirs = repository.push_by_another();
    let error = branch.push(&commit, &base, WITHIN).await.unwrap_err();
    let (expected, seen) = (base, theirs.clone());
    assert_eq!(error.problem, Problem::Moved { expected, seen });
    assert_eq!((error.is_moved(), error.effect), (true, Effect::None));
    assert_eq!(repository.tip(), theirs, "what the other pushed stays");
    let (commit, base) = demoted(&branch).await.unwrap();
    assert_eq!(base, theirs);
    branch.push(&commit, &base, WITHIN).await.unwrap();
    assert_eq!(repository.tip(), commit);
}

#[tokio::test]
async fn a_push_in_the_last_moment_is_a_moved_branch_too() {
    let repository = Repository::new();
    let branch = repository.branch();
    repository.push_by_another();
    let (commit, base) = demoted(&branch).await.unwrap();
    let race = r#"cd "$FOLDER/other" && unset GIT_DIR && git commit -q --allow-empty -m late && git push -q origin HEAD:main"#;
    repository.hook(&repository.clone(), "pre-push", race);
    let error = branch.push(&commit, &base, WITHIN).await.unwrap_err();
    assert!(error.is_moved(), "{error}");
    let last = git(&repository.server(), &["log", "-1", "--format=%s", "main"]);
    assert_eq!(last, "late");
}

#[tokio::test]
async fn a_commit_that_is_pushed_upon_at_once_has_arrived() {
    let repository = Repository::new();
    let branch = repository.branch();
    repository.push_by_another();
    let (commit, base) = demoted(&branch).await.unwrap();
    let upon = r#"cd "$FOLDER/other" && unset GIT_DIR GIT_QUARANTINE_PATH && git pull -q --ff-only && git commit -q --allow-empty -m upon && git push -q origin HEAD:main"#;
    repository.hook(&repository.server(), "post-update", upon);
    // The hook's own push calls it again, which finds nothing to do.
    let once = r#"[ -e "$FOLDER/once" ] && exit 0; : > "$FOLDER/once""#;
    repository.hook(
        &repository.server(),
        "post-update",
        &format!("{once}\n{upon}"),
    );
    branch.push(&commit, &base, WITHIN).await.unwrap();
    assert_ne!(repository.tip(), commit);
    let subjects = git(&repository.server(), &["log", "-2", "--format=%s", "main"]);
    assert_eq!(subjects, "upon\ncore2 follows");
}

#[tokio::test]
async fn a_server_that_takes_a_push_and_drops_it_is_not_believed() {
    let repository = Repository::new();
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    let drop = format!("git update-ref refs/heads/main {base}");
    repository.hook(&repository.server(), "post-receive", &drop);
    let error = branch.push(&commit, &base, WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("which is without it"), "{error}");
    assert_eq!(error.effect, Effect::Unknown);
}

#[tokio::test]
async fn a_remote_that_is_not_there_got_nothing() {
    let repository = Repository::new();
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    fs::rename(repository.server(), repository.path("gone")).unwrap();
    let error = branch.push(&commit, &base, WITHIN).await.unwrap_err();
    let is = (&error.problem, error.effect);
    assert_eq!(is, (&Problem::Unreachable, Effect::None));
    let error = branch.tip(WITHIN).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable);
    assert!(
        error.to_string().contains("origin refs/heads/main"),
        "{error}"
    );
}

#[tokio::test]
async fn a_branch_that_is_not_there_is_told() {
    let repository = Repository::new();
    let branch = pgha_git::Branch::new(repository.clone(), "origin", "none", &[]).unwrap();
    let error = branch.tip(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("no such branch"), "{error}");
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    for (hook, words) in [
        (
            "echo 'the deploy key has expired' >&2; exit 1",
            "has expired",
        ),
        (
            r#"read -r old new ref; git cat-file commit "$new" | grep -q gpgsig || { echo 'unsigned commit' >&2; exit 1; }"#,
            "unsigned commit",
        ),
    ] {
        let repository = Repository::new();
        repository.hook(&repository.server(), "pre-receive", hook);
        let branch = repository.branch();
        let (commit, base) = demoted(&branch).await.unwrap();
        let error = branch.push(&commit, &base, WITHIN).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!((error.effect, repository.tip()), (Effect::None, base));
    }
}

#[tokio::test]
async fn a_hook_of_the_clone_that_refuses_leaves_nothing() {
    let repository = Repository::new();
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    repository.hook(
        &repository.clone(),
        "pre-push",
        "echo 'not on a Friday' >&2; exit 1",
    );
    let error = branch.push(&commit, &base, WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("not on a Friday"), "{error}");
    assert_eq!((error.effect, repository.tip()), (Effect::None, base));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_looked_after() {
    let repository = Repository::new();
    let fifo = repository.fifo("fifo");
    // The branch is updated, and nobody hears of it.
    let hang = r#"read -r line < "$FOLDER/fifo""#;
    repository.hook(&repository.server(), "post-receive", hang);
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    branch.push(&commit, &base, SOON).await.unwrap();
    assert_eq!(repository.tip(), commit);
    fs::write(&fifo, "go\n").unwrap();
}

#[tokio::test]
async fn a_push_of_which_nothing_is_known_is_unknown() {
    let repository = Repository::new();
    let fifo = repository.fifo("fifo");
    let hang = r#"read -r line < "$FOLDER/fifo""#;
    repository.hook(&repository.server(), "pre-receive", hang);
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    let error = branch.push(&commit, &base, SOON).await.unwrap_err();
    assert_eq!(error.effect, Effect::Unknown, "{error}");
    fs::write(&fifo, "go\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_push_that_can_never_arrive_is_none() {
    let repository = Repository::new();
    let fifo = repository.fifo("fifo");
    let branch = repository.branch();
    let there = repository.fifo("there");
    let (commit, base) = demoted(&branch).await.unwrap();
    // The server hangs on this push only, and another one overtakes it.
    let hang = format!(
        r#"read -r old new ref; [ "$new" != {commit} ] || {{ echo > "$FOLDER/there"; read -r line < "$FOLDER/fifo"; }}"#
    );
    repository.hook(&repository.server(), "pre-receive", &hang);
    let overtake = async {
        let mut wait = Command::new("cat");
        wait.arg(&there).kill_on_drop(true).output().await.unwrap();
        tokio::task::block_in_place(|| repository.push_by_another())
    };
    let within = 2 * SOON;
    let overtake = tokio::time::timeout(2 * within, overtake);
    let (error, theirs) = tokio::join!(branch.push(&commit, &base, within), overtake);
    let error = error.unwrap_err();
    assert!(error.is_moved(), "{error}");
    assert_eq!(error.effect, Effect::None);
    fs::write(&fifo, "go\n").unwrap();
    assert_eq!(repository.tip(), theirs.unwrap());
}

#[tokio::test]
async fn a_branch_for_a_merge_request_is_made_once() {
    let repository = Repository::new();
    let hook = "echo; echo 'View merge request:'; echo '  https://git.example.org/mr/7'; echo";
    repository.hook(&repository.server(), "post-receive", hook);
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    let options = ["merge_request.create".to_owned()];
    let publish = async |name: &str| branch.publish(&commit, name, &options, WITHIN).await;
    let pushed = publish("pgha/01J-source").await.unwrap();
    assert_eq!(pushed.link(), Some("https://git.example.org/mr/7"));
    let there = git(
        &repository.server(),
        &["rev-parse", "refs/heads/pgha/01J-source"],
    );
    assert_eq!((there, repository.tip()), (commit.clone(), base));
    publish("pgha/01J-source").await.unwrap();
    git(&repository.server(), &["branch", "pgha/taken", "main"]);
    let error = publish("pgha/taken").await.unwrap_err();
    assert!(error.is_moved(), "{error}");
    assert!(publish("--bad").await.is_err());
    let open = tree(&branch).await;
    let text = fs::read_to_string(open.path().join(SOURCE)).unwrap();
    assert_eq!(text, "standby: false\n", "the branch itself is as it was");
    open.remove(WITHIN).await.unwrap();
}

#[tokio::test]
async fn a_published_branch_is_found_and_removed_where_it_is_as_it_was() {
    let repository = Repository::new();
    let branch = repository.branch();
    let (commit, _) = demoted(&branch).await.unwrap();
    let name = "pgha/01J-source";
    assert_eq!(branch.published(name, WITHIN).await.unwrap(), None);
    branch.publish(&commit, name, &[], WITHIN).await.unwrap();
    let published = branch.published(name, WITHIN).await.unwrap();
    assert_eq!(published.as_ref(), Some(&commit));
    let theirs = repository.push_by_another();
    let reference = format!("refs/heads/{name}");
    git(&repository.server(), &["update-ref", &reference, &theirs]);
    let error = branch.unpublish(name, &commit, WITHIN).await.unwrap_err();
    assert!(error.is_moved(), "{error}");
    branch.unpublish(name, &theirs, WITHIN).await.unwrap();
    branch.unpublish(name, &theirs, WITHIN).await.unwrap();
    assert_eq!(branch.published(name, WITHIN).await.unwrap(), None);
}

#[tokio::test]
async fn published_branches_are_listed_by_how_their_names_begin() {
    let repository = Repository::new();
    let branch = repository.branch();
    let (commit, _) = demoted(&branch).await.unwrap();
    for name in ["pgha/7-source", "pgha/8-source", "pghax/7-source"] {
        branch.publish(&commit, name, &[], WITHIN).await.unwrap();
    }
    let published = branch.published_as("pgha/", WITHIN).await.unwrap();
    let names: Vec<_> = published
        .iter()
        .map(|(name, at)| (name.as_str(), at))
        .collect();
    assert_eq!(
        names,
        [("pgha/7-source", &commit), ("pgha/8-source", &commit)]
    );
    assert_eq!(branch.published_as("none/", WITHIN).await.unwrap(), []);
    assert!(branch.published_as("--bad", WITHIN).await.is_err());
}
