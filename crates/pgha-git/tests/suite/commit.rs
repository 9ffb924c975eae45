//! What is committed, and what is not.

use std::fs;
use std::os::unix::fs::symlink;

use pgha_git::{Branch, File, Phase, Problem, with_trailers};
use pgha_model::effect::Effect;

use crate::git::git;
use crate::repository::{Repository, SOURCE, TARGET, WITHIN, demoted, file, tree};

/// A render that flips both sites by one line, and writes elsewhere too.
fn render() -> Vec<String> {
    let script = format!(
        "echo 'standby: true' > {SOURCE}; echo 'standby: false' > {TARGET}; echo x > extra.txt; rm notes.txt; echo rendered"
    );
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

#[tokio::test]
async fn one_render_becomes_two_commits_of_one_path_each() {
    let repository = Repository::new();
    let branch = repository.branch();
    let clone = repository.clone();
    fs::write(clone.join("notes.txt"), "an edit that is under way\n").unwrap();
    let head = git(&clone, &["rev-parse", "HEAD"]);
    let mut tree = tree(&branch).await;
    assert_eq!(tree.render(&render(), WITHIN).await.unwrap(), b"rendered\n");
    let changed = tree.changed(WITHIN).await.unwrap();
    assert_eq!(changed, [TARGET, SOURCE, "extra.txt", "notes.txt"]);
    let first = with_trailers("core2 follows", "01J-move", Phase::Source);
    let source = [tree.file(SOURCE).unwrap()];
    let demote = tree.commit(&source, &first, WITHIN).await.unwrap();
    assert_eq!(tree.head(), demote);
    let left = tree.changed(WITHIN).await.unwrap();
    assert_eq!(
        left,
        [TARGET, "extra.txt", "notes.txt"],
        "the other paths wait"
    );
    let second = with_trailers("core1 leads\n\nAs planned.\n", "01J-move", Phase::Target);
    let target = [tree.file(TARGET).unwrap()];
    let promote = tree.commit(&target, &second, WITHIN).await.unwrap();
    tree.remove(WITHIN).await.unwrap();
    for (commit, path) in [(&demote, SOURCE), (&promote, TARGET)] {
        let shown = git(&clone, &["show", "--format=", "--name-only", commit]);
        assert_eq!(shown, path);
    }
    let trailers = "--format=%(trailers:only,unfold)%an";
    let shown = git(&clone, &["show", "--no-patch", trailers, &promote]);
    assert_eq!(
        shown,
        "Pgha-Operation: 01J-move\nPgha-Phase: target\nOperator"
    );
    for (phase, made) in [
        (Phase::Source, Some(demote)),
        (Phase::Target, Some(promote.clone())),
        (Phase::Undo, None),
    ] {
        let found = branch.made(&promote, "01J-move", phase, WITHIN).await;
        assert_eq!(found.unwrap(), made);
    }
    let other = branch.made(&promote, "01J", Phase::Source, WITHIN).await;
    assert_eq!(other.unwrap(), None, "another move's is not this one's");
    // The user's clone is as it was.
    assert_eq!(git(&clone, &["status", "--short"]), " M notes.txt");
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]), head);
    assert_eq!(git(&clone, &["worktree", "list"]).lines().count(), 1);
    assert_eq!(git(&clone, &["for-each-ref"]).lines().count(), 2);
}

#[tokio::test]
async fn files_come_and_go_as_they_are() {
    let repository = Repository::new();
    let branch = repository.branch();
    git(&repository.clone(), &["config", "core.autocrlf", "true"]);
    let mut tree = tree(&branch).await;
    let script = "mkdir -p new; printf 'a\\r\\n' > new/run.sh; chmod +x new/run.sh; rm notes.txt";
    let script = ["sh", "-c", script].map(str::to_owned);
    tree.render(&script, WITHIN).await.unwrap();
    let files = ["new/run.sh", "notes.txt"].map(|path| tree.file(path).unwrap());
    let commit = tree.commit(&files, "files", WITHIN).await.unwrap();
    tree.remove(WITHIN).await.unwrap();
    let there = branch.file(&commit, "new/run.sh", WITHIN).await.unwrap();
    assert_eq!(there, ("100755".to_owned(), b"a\r\n".to_vec()));
    let gone = branch.file(&commit, "notes.txt", WITHIN).await.unwrap_err();
    assert!(gone.to_string().contains("is no file"), "{gone}");
}

#[tokio::test]
async fn a_broken_render_is_told_in_its_words_and_without_passwords() {
    let repository = Repository::new();
    let branch = repository.branch();
    let tree = tree(&branch).await;
    let script = "echo 'empty disjunction at https://me:secret@host/x' >&2; exit 1";
    let script = ["sh", "-c", script].map(str::to_owned);
    let error = tree.render(&script, WITHIN).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("empty disjunction at https://***@host/x"),
        "{said}"
    );
    assert_eq!(error.effect, Effect::None);
    let slow = ["sleep", "600"].map(str::to_owned);
    let within = std::time::Duration::from_millis(200);
    let error = tree.render(&slow, within).await.unwrap_err();
    assert_eq!(error.problem, Problem::NoAnswer { within });
    let error = tree.render(&[], WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    tree.remove(WITHIN).await.unwrap();
}

#[tokio::test]
async fn a_hook_may_refuse_and_must_not_change_the_commit() {
    for (hook, words) in [
        ("echo 'no ticket' >&2; exit 1", "no ticket"),
        (
            "echo more >> notes.txt && git add notes.txt",
            "a hook made another change",
        ),
        (
            "git reset -q",
            "another change than the planned one: no file",
        ),
        (
            &format!("echo 'standby: no' > {SOURCE}; git add {SOURCE}"),
            "a hook made another change",
        ),
    ] {
        let repository = Repository::new();
        repository.hook(&repository.clone(), "pre-commit", hook);
        let branch = repository.branch();
        let before = repository.tip();
        let error = demoted(&branch).await.unwrap_err();
        assert!(error.to_string().contains(words), "{hook}: {error}");
        assert_eq!((error.effect, repository.tip()), (Effect::None, before));
        let left = git(&repository.clone(), &["worktree", "list"]);
        assert_eq!(left.lines().count(), 1, "{hook}");
    }
}

#[tokio::test]
async fn the_users_signature_is_on_the_commit_or_there_is_none() {
    let repository = Repository::new();
    let branch = repository.branch();
    let clone = repository.clone();
    let program = repository.path("gpg");
    git(&clone, &["config", "commit.gpgsign", "true"]);
    git(
        &clone,
        &["config", "gpg.program", program.to_str().unwrap()],
    );
    repository.script(&program, "echo 'gpg: no pinentry' >&2; exit 2");
    let error = demoted(&branch).await.unwrap_err();
    assert!(error.to_string().contains("failed to sign"), "{error}");
    // What a gpg says that could sign (git's gpg-interface.c looks for the status line).
    let signature = "-----BEGIN PGP SIGNATURE-----\\n\\nx\\n-----END PGP SIGNATURE-----";
    let script = format!(
        "cat > /dev/null; printf '\\n[GNUPG:] SIG_CREATED x\\n' >&2; printf '%b\\n' '{signature}'"
    );
    repository.script(&program, &script);
    let (commit, _) = demoted(&branch).await.unwrap();
    let raw = git(&clone, &["cat-file", "commit", &commit]);
    assert!(
        raw.contains("gpgsig -----BEGIN PGP SIGNATURE-----"),
        "{raw}"
    );
}

#[tokio::test]
async fn a_commit_is_taken_back_once_and_beside_what_came_after_it() {
    let repository = Repository::new();
    let branch = repository.branch();
    let (commit, base) = demoted(&branch).await.unwrap();
    branch.push(&commit, &base, WITHIN).await.unwrap();
    repository.push_by_another();
    let mut tree = tree(&branch).await;
    let message = with_trailers("core2 leads again", "m", Phase::Undo);
    let undo = tree.revert(&commit, &message, WITHIN).await.unwrap();
    let (_, bytes) = branch.file(&undo, SOURCE, WITHIN).await.unwrap();
    assert_eq!(bytes, b"standby: false\n");
    let made = branch.made(&undo, "m", Phase::Undo, WITHIN).await.unwrap();
    assert_eq!(made.as_deref(), Some(undo.as_str()));
    let again = tree.revert(&commit, &message, WITHIN).await.unwrap_err();
    assert!(again.to_string().contains("nothing of"), "{again}");
    tree.remove(WITHIN).await.unwrap();
}

#[tokio::test]
async fn a_commit_whose_lines_have_changed_since_is_not_taken_back() {
    let repository = Repository::new();
    let branch = repository.branch();
    let mut tree = tree(&branch).await;
    let first = [file(SOURCE, "standby: true\n")];
    let first = tree.commit(&first, "first", WITHIN).await.unwrap();
    let second = [file(SOURCE, "standby: true # by hand\n")];
    let second = tree.commit(&second, "second", WITHIN).await.unwrap();
    let error = tree.revert(&first, "undo", WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert_eq!(tree.head(), second);
    tree.remove(WITHIN).await.unwrap();
}

#[tokio::test]
async fn a_path_does_not_lead_out_of_the_checkout() {
    let repository = Repository::new();
    let branch = repository.branch();
    let mut tree = tree(&branch).await;
    let outside = repository.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, tree.path().join("link")).unwrap();
    for path in [
        "link/x",
        "link",
        "../x",
        "/etc/passwd",
        ".git/config",
        "a/.GIT/hooks/x",
    ] {
        let error = tree
            .commit(&[file(path, "x")], "x", WITHIN)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("is no path in the repository"),
            "{error}"
        );
        assert!(tree.file(path).is_err(), "{path}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let absent = tree.file("none.txt").unwrap();
    let File { bytes, .. } = absent;
    assert_eq!(bytes, None);
    tree.remove(WITHIN).await.unwrap();
}

#[test]
fn names_that_git_would_take_for_something_else_are_refused() {
    let of = |remote: &str, branch: &str, option: &str| {
        let options = [option.to_owned()];
        Branch::new("/x".into(), remote, branch, &options).map(|branch| branch.at())
    };
    assert_eq!(
        of("origin", "env/prod", "a=b").as_deref(),
        Ok("origin refs/heads/env/prod")
    );
    for (remote, branch, option, words) in [
        ("https://me:secret@host/x.git", "main", "", "`remote`"),
        ("--upload-pack=x", "main", "", "`remote`"),
        ("origin", "a..b", "", "`branch`"),
        ("origin", "-x", "", "`branch`"),
        ("origin", "a:b", "", "`branch`"),
        ("origin", "x.lock", "", "`branch`"),
        ("origin", "a//b", "", "`branch`"),
        ("origin", "main", "a\nb", "`pushOptions`"),
    ] {
        let error = of(remote, branch, option).unwrap_err();
        assert!(
            error.to_string().contains(words),
            "{remote} {branch}: {error}"
        );
    }
}
