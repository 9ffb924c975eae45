//! Both commits, in their order, and what others do meanwhile.

use std::fs;

use pgha_desired::{How, PartState, Problem};
use pgha_model::effect::Effect;
use pgha_model::site::Part;

use crate::git::git;
use crate::house::{HOLOS, House, OPERATION, PLAIN, SITE_FILE, change, move_it};

#[tokio::test]
async fn one_line_becomes_two_commits_and_goes_with_the_second() {
    let house = House::new();
    let desired = house.desired(HOLOS);
    let change = change(&desired);
    let planned = change.plan().await.unwrap();
    assert_eq!(planned.base, house.tip());
    assert_eq!(
        planned.source.files,
        [
            "deploy/clusters/core2/app.yaml",
            "deploy/clusters/core2/pg.yaml"
        ]
    );
    assert_eq!(
        planned.target.files,
        [
            "deploy/clusters/core1/app.yaml",
            "deploy/clusters/core1/pg.yaml",
            SITE_FILE
        ]
    );
    let changes: Vec<_> = planned
        .source
        .changes
        .iter()
        .map(|it| it.at.as_str())
        .collect();
    assert_eq!(
        changes,
        [
            "/metadata/annotations/kustomize.toolkit.fluxcd.io~1reconcile",
            "/spec/dataSource/pgbackrest/options",
            "/spec/standby/enabled"
        ]
    );
    assert!(planned.target.diff[2].contains("+#Platform: primaryCluster: name: \"core1\""));
    let done = change.commit(Part::Source, OPERATION).await.unwrap();
    assert_eq!((done.how, &done.commit), (How::Pushed, &house.tip()));
    assert_eq!(
        house.log("1"),
        "zitadel: make core2 a standby\n\ndeploy/clusters/core2/app.yaml\ndeploy/clusters/core2/pg.yaml"
    );
    assert!(house.branch_has(SITE_FILE).contains("\"core2\""));
    assert!(
        house
            .branch_has("deploy/clusters/core1/pg.yaml")
            .contains("enabled: true")
    );
    change.commit(Part::Target, OPERATION).await.unwrap();
    assert_eq!(
        house.log("1"),
        format!(
            "zitadel: make core1 the primary\n\ndeploy/clusters/core1/app.yaml\ndeploy/clusters/core1/pg.yaml\n{SITE_FILE}"
        )
    );
    assert!(
        house
            .branch_has(SITE_FILE)
            .contains("// Where writes go.\n#Platform: primaryCluster: name: \"core1\"")
    );
    let again = change.commit(Part::Source, OPERATION).await.unwrap();
    assert_eq!((again.how, again.commit), (How::Already, done.commit));
    let status = git(&house.clone(), &["status", "--porcelain"]);
    assert_eq!(status, "", "the clone is as it was");
    let trees = git(&house.clone(), &["worktree", "list"]);
    assert_eq!(trees.lines().count(), 1, "{trees}");
}

#[tokio::test]
async fn a_manifest_of_each_site_is_edited_by_path() {
    let house = House::new();
    let desired = house.desired(PLAIN);
    let before = house.branch_has("clusters/core2/pg.yaml");
    move_it(&desired).await;
    let after = house.branch_has("clusters/core2/pg.yaml");
    assert_eq!(after, before.replace("enabled: false", "enabled: true"));
    assert_eq!(
        house.log("2"),
        "zitadel: make core1 the primary\n\nclusters/core1/pg.yaml\n\
         zitadel: make core2 a standby\n\nclusters/core2/pg.yaml"
    );
    let message = git(&house.server(), &["log", "-1", "--format=%b", "main~1"]);
    assert_eq!(
        message,
        format!(
            "/spec/standby/enabled of clusters/core2/pg.yaml: false -> true\n\nPgha-Operation: {OPERATION}\nPgha-Phase: source"
        )
    );
}

#[tokio::test]
async fn one_file_for_both_sites_is_two_commits_too() {
    let house = House::new();
    house.push_by_another(
        "values.yaml",
        "core1: { standby: 'yes' } # one\ncore2: { standby: 'no' }\n",
    );
    let desired = house.desired(
        "way: git\nrepository: clone\nedits:
  - { site: core1, file: values.yaml, at: /core1/standby, primary: 'no', standby: 'yes' }
  - { site: core2, file: values.yaml, at: /core2/standby, primary: 'no', standby: 'yes' }
",
    );
    let planned = change(&desired).plan().await.unwrap();
    assert!(
        planned.source.diff[0].contains("+core2: { standby: 'yes' }"),
        "{planned:?}"
    );
    assert!(!planned.source.diff[0].contains("+core1"));
    assert!(planned.target.diff[0].contains("+core1: { standby: 'no' } # one"));
    assert!(!planned.target.diff[0].contains("+core2"));
    move_it(&desired).await;
    assert_eq!(
        house.branch_has("values.yaml"),
        "core1: { standby: 'no' } # one\ncore2: { standby: 'yes' }"
    );
}

#[tokio::test]
async fn the_targets_commit_waits_for_the_sources() {
    for settings in [HOLOS, PLAIN] {
        let house = House::new();
        let desired = house.desired(settings);
        let before = house.tip();
        let error = change(&desired)
            .commit(Part::Target, OPERATION)
            .await
            .unwrap_err();
        assert!(matches!(error.problem, Problem::NoSource { .. }), "{error}");
        assert_eq!((error.effect, house.tip()), (Effect::None, before));
    }
}

#[tokio::test]
async fn the_targets_commit_is_refused_where_others_undid_the_sources() {
    let house = House::new();
    let desired = house.desired(PLAIN);
    let was = house.branch_has("clusters/core2/pg.yaml");
    change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap();
    house.push_by_another("clusters/core2/pg.yaml", &was);
    let error = change(&desired)
        .commit(Part::Target, OPERATION)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("undone by others"), "{error}");
}

#[tokio::test]
async fn a_branch_that_moves_is_looked_at_again_and_never_overwritten() {
    let house = House::new();
    let desired = house.desired(HOLOS);
    house.push_by_another("notes.txt", "b\n");
    let once = r#"[ -e "$FOLDER/once" ] && exit 0; : > "$FOLDER/once"; cd "$FOLDER/other" && unset GIT_DIR && git commit -q --allow-empty -m late && git push -q origin HEAD:main"#;
    house.hook(&house.clone(), "pre-push", once);
    change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap();
    let subjects = git(&house.server(), &["log", "-3", "--format=%s", "main"]);
    assert_eq!(subjects, "zitadel: make core2 a standby\nlate\nby another");
}

#[tokio::test]
async fn a_branch_that_never_rests_is_left_to_its_people() {
    let house = House::new();
    let desired = house.desired(PLAIN);
    house.push_by_another("notes.txt", "b\n");
    let each = r#"cd "$FOLDER/other" && unset GIT_DIR && git commit -q --allow-empty -m late && git push -q origin HEAD:main"#;
    house.hook(&house.clone(), "pre-push", each);
    let error = change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap_err();
    assert!(error.is_moved() && error.changed_nothing(), "{error}");
    assert!(
        house
            .branch_has("clusters/core2/pg.yaml")
            .contains("enabled: false")
    );
}

#[tokio::test]
async fn what_a_hook_or_an_expired_key_refuses_changes_nothing() {
    let key = "echo 'the deploy key has expired' >&2; exit 1";
    for (server, name, script, words) in [
        (true, "pre-receive", key, "has expired"),
        (
            false,
            "pre-commit",
            "echo 'no commit on a Friday' >&2; exit 1",
            "on a Friday",
        ),
        (
            false,
            "pre-push",
            "echo 'not without a review' >&2; exit 1",
            "without a review",
        ),
        (
            false,
            "pre-commit",
            "echo spam >> notes.txt; git add notes.txt",
            "another change",
        ),
    ] {
        let house = House::new();
        let desired = house.desired(PLAIN);
        let before = house.tip();
        let of = if server {
            house.server()
        } else {
            house.clone()
        };
        house.hook(&of, name, script);
        let error = change(&desired)
            .commit(Part::Source, OPERATION)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(
            (error.effect, house.tip()),
            (Effect::None, before),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_gone_got_nothing() {
    let house = House::new();
    let desired = house.desired(PLAIN);
    fs::rename(house.server(), house.path("gone")).unwrap();
    let error = change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert!(error.changed_nothing());
}

#[tokio::test]
async fn parts_are_found_again_and_taken_back_in_order() {
    let house = House::new();
    let desired = house.desired(HOLOS);
    let change = change(&desired);
    let find = async || change.find(OPERATION).await.unwrap();
    assert_eq!(find().await, (PartState::None, PartState::None));
    let nothing = change.revert(Part::Source, OPERATION).await.unwrap();
    assert_eq!(nothing.how, How::Already);
    let source = change.commit(Part::Source, OPERATION).await.unwrap().commit;
    let made = |commit: &String| PartState::Made {
        commit: commit.clone(),
    };
    assert_eq!(find().await, (made(&source), PartState::None));
    assert_eq!(change.find("another").await.unwrap().0, PartState::None);
    let target = change.commit(Part::Target, OPERATION).await.unwrap().commit;
    assert_eq!(find().await, (made(&source), made(&target)));
    let error = change.revert(Part::Source, OPERATION).await.unwrap_err();
    assert!(
        error.to_string().contains("both sites would be primary"),
        "{error}"
    );
    let by = change.revert(Part::Target, OPERATION).await.unwrap().commit;
    assert_eq!(find().await, (made(&source), PartState::TakenBack { by }));
    house.push_by_another("notes.txt", "later\n");
    let undone = change.revert(Part::Source, OPERATION).await.unwrap();
    assert_eq!(undone.how, How::Pushed);
    assert!(
        house
            .branch_has("deploy/clusters/core2/pg.yaml")
            .contains("enabled: false")
    );
    assert!(change.is_taken_back(Part::Source).await.unwrap().is_some());
    let again = change.revert(Part::Source, OPERATION).await.unwrap();
    assert_eq!((again.how, again.commit), (How::Already, undone.commit));
    let error = change.commit(Part::Source, OPERATION).await.unwrap_err();
    assert!(
        matches!(error.problem, Problem::TakenBack { .. }),
        "{error}"
    );
    change.commit(Part::Source, "02NEXT").await.unwrap();
}

#[tokio::test]
async fn a_revert_that_does_not_apply_any_more_is_told() {
    let house = House::new();
    let desired = house.desired(PLAIN);
    change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap();
    let before = house.push_by_another("clusters/core2/pg.yaml", "a: 1\n");
    let error = change(&desired)
        .revert(Part::Source, OPERATION)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("take a commit back"), "{error}");
    assert_eq!((error.effect, house.tip()), (Effect::None, before));
}

#[tokio::test]
async fn what_git_says_already_is_no_commit() {
    let house = House::new();
    let desired = house.desired(PLAIN);
    move_it(&desired).await;
    let before = house.tip();
    let planned = change(&desired).plan().await.unwrap();
    assert!(planned.source.files.is_empty() && planned.target.files.is_empty());
    for part in [Part::Source, Part::Target] {
        let done = change(&desired).commit(part, "02NEXT").await.unwrap();
        assert_eq!((done.how, &done.commit), (How::Already, &before));
    }
}

/// Nothing is left to be rendered when the target is to be told.
#[tokio::test]
async fn a_commit_that_was_made_before_is_only_pushed() {
    let house = House::new();
    let desired = house.desired(HOLOS);
    let change = change(&desired);
    let early = change.prepare(Part::Target, OPERATION).await.unwrap_err();
    assert!(matches!(early.problem, Problem::NoSource { .. }), "{early}");
    change.commit(Part::Source, OPERATION).await.unwrap();
    let tip = house.tip();
    let prepared = change.prepare(Part::Target, OPERATION).await.unwrap();
    let prepared = prepared.unwrap();
    assert_eq!(house.tip(), tip, "nothing is pushed yet");
    let done = change.deliver(&prepared, Part::Target, OPERATION).await;
    let done = done.unwrap();
    assert_eq!((done.how, &done.commit), (How::Pushed, &house.tip()));
    assert!(
        house
            .log("1")
            .starts_with("zitadel: make core1 the primary")
    );
    let again = change.prepare(Part::Target, OPERATION).await.unwrap();
    assert_eq!(again, None, "it is there");
}

#[tokio::test]
async fn a_commit_that_was_made_before_somebody_pushed_is_made_anew() {
    let house = House::new();
    let desired = house.desired(HOLOS);
    let change = change(&desired);
    change.commit(Part::Source, OPERATION).await.unwrap();
    let prepared = change.prepare(Part::Target, OPERATION).await.unwrap();
    let theirs = house.push_by_another("notes.txt", "b\n");
    let done = change
        .deliver(&prepared.unwrap(), Part::Target, OPERATION)
        .await
        .unwrap();
    assert_eq!(done.commit, house.tip());
    let parent = git(&house.server(), &["rev-parse", "main^"]);
    assert_eq!(parent, theirs);
}
