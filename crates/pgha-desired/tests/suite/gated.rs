//! What stops a change before anything is pushed.

use std::fs;

use pgha_desired::{DesiredError, How, Problem};
use pgha_model::effect::Effect;
use pgha_model::site::Part;

use crate::git::git;
use crate::house::{HOLOS, House, OPERATION, PLAIN, SITE_FILE, change};

/// A plan and a commit are refused alike, and nothing is pushed.
async fn refused(house: &House, settings: &str) -> DesiredError {
    let desired = house.desired(settings);
    let before = house.tip();
    let error = change(&desired).plan().await.unwrap_err();
    let committed = change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap_err();
    assert_eq!(committed.to_string(), error.to_string());
    assert_eq!(
        (error.effect, committed.effect),
        (Effect::None, Effect::None)
    );
    assert_eq!(house.tip(), before);
    error
}

#[tokio::test]
async fn a_render_that_touches_more_is_refused_with_each_place() {
    let house = House::new();
    house.render_with(
        "sed -i 's/replicas: 2/replicas: 9/' deploy/clusters/core1/app.yaml\necho x > other.txt\necho x > deploy/x.yaml\n",
    );
    let error = refused(&house, HOLOS).await;
    let said = error.to_string();
    for words in [
        "other.txt",
        "deploy/x.yaml",
        "/spec/replicas of Deployment app of apps/v1",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(matches!(error.problem, Problem::Unexpected { places } if places.len() == 3));
}

#[tokio::test]
async fn an_object_that_comes_or_goes_is_a_change_too() {
    for (more, words) in [
        (
            "printf 'apiVersion: v1\\nkind: Secret\\nmetadata: { name: s }\\n' > deploy/clusters/core2/s.yaml",
            "Secret s of v1",
        ),
        (
            "rm deploy/clusters/core2/app.yaml",
            "Deployment app of apps/v1",
        ),
    ] {
        let house = House::new();
        house.render_with(more);
        let error = refused(&house, HOLOS).await;
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn what_was_not_expected_of_an_object_is_refused() {
    let house = House::new();
    let settings = HOLOS.replace("[/metadata/annotations]", "[/metadata/labels]");
    let error = refused(&house, &settings).await;
    assert!(
        error.to_string().contains("/metadata/annotations/"),
        "{error}"
    );
}

#[tokio::test]
async fn the_targets_commit_changes_nothing_of_the_source() {
    let house = House::new();
    let desired = house.desired(HOLOS);
    change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap();
    git(
        &house.clone(),
        &["pull", "--quiet", "--rebase", "origin", "main"],
    );
    house.render_with("sed -i 's/repo1/repo2/' deploy/clusters/core2/pg.yaml");
    let error = change(&desired)
        .commit(Part::Target, OPERATION)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("deploy/clusters/core2/pg.yaml"),
        "{error}"
    );
    assert_eq!(error.effect, Effect::None);
}

#[tokio::test]
async fn a_render_that_fails_is_told_in_its_words() {
    let house = House::new();
    house.render_with("printf 'empty disjunction\\033[2J https://me:secret@host/x' >&2; exit 1");
    let error = refused(&house, HOLOS).await;
    let said = error.to_string();
    assert!(
        said.contains("empty disjunction\\u{1b}[2J https://***@host/x"),
        "{said}"
    );
    assert!(error.next.contains("Nothing was pushed"), "{}", error.next);
}

/// What leads back after a move that has pushed nothing needs no commit, whatever somebody has made of the render meanwhile.
#[tokio::test]
async fn what_the_branch_says_already_needs_no_render() {
    let house = House::new();
    house.render_with("exit 1");
    let desired = house.desired(HOLOS);
    let back = desired.change("zitadel", &"core1".into(), &"core2".into());
    let (back, tip) = (back.unwrap(), house.tip());
    for part in [Part::Source, Part::Target] {
        let done = back.commit(part, OPERATION).await.unwrap();
        assert_eq!((done.commit, done.how), (tip.clone(), How::Already));
    }
}

#[tokio::test]
async fn a_render_that_does_not_make_them_what_they_are_to_be_is_refused() {
    let house = House::new();
    house.render_with("sed -i 's/enabled: true/enabled: false/' deploy/clusters/core2/pg.yaml");
    let error = refused(&house, HOLOS).await;
    assert!(
        error
            .to_string()
            .contains("would not say that core2 is a standby"),
        "{error}"
    );
    let house = House::new();
    let settings = HOLOS.replace("deploy/clusters/core2/**", "deploy/clusters/core2/app.yaml");
    let error = refused(&house, &settings).await;
    assert!(
        error
            .to_string()
            .contains("no PostgresCluster prod/zitadel"),
        "{error}"
    );
}

#[tokio::test]
async fn a_recovery_target_that_is_left_is_refused_by_name() {
    let house = House::new();
    let left = "sed -i \"s/options: .*/options: ['--type=time', '--target=\\\"2024-03-11\\\"']/\" deploy/clusters/core1/pg.yaml";
    house.render_with(left);
    let desired = house.desired(HOLOS);
    let error = change(&desired).plan().await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("PostgresCluster prod/zitadel"), "{said}");
    assert!(said.contains("the recovery target `--type=time`"), "{said}");
    change(&desired)
        .commit(Part::Source, OPERATION)
        .await
        .unwrap();
    let error = change(&desired)
        .commit(Part::Target, OPERATION)
        .await
        .unwrap_err();
    assert!(
        matches!(error.problem, Problem::RecoveryTarget { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_value_that_is_not_there_or_something_else_is_refused() {
    for (settings, words) in [
        (
            PLAIN.replace("core2/pg.yaml", "core2/none.yaml"),
            "core2/none.yaml",
        ),
        (PLAIN.replace("name: zitadel", "name: other"), "other"),
        (
            PLAIN.replacen("site: core2,", "site: core2, at: /spec/other/enabled,", 1),
            "/spec/other/enabled is not there",
        ),
        (
            HOLOS.replace("primaryCluster.name", "primary.name"),
            "#Platform.primary.name",
        ),
        (
            HOLOS.replace("name' }", "name', sites: { core1: one, core2: two } }"),
            "it should say `two` and says `core2`",
        ),
    ] {
        let error = refused(&House::new(), &settings).await;
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_clone_that_is_not_there_or_a_branch_that_is_not_is_told() {
    let house = House::new();
    let error = refused(&house, &PLAIN.replace("clone", "nowhere")).await;
    assert!(matches!(error.problem, Problem::NoClone), "{error}");
    fs::create_dir(house.path("empty")).unwrap();
    let error = refused(&house, &PLAIN.replace("clone", "empty")).await;
    assert!(
        error.to_string().contains("not a git repository"),
        "{error}"
    );
    let error = refused(&house, &format!("{PLAIN}branch: none\n")).await;
    assert!(error.to_string().contains("no such branch"), "{error}");
}

#[tokio::test]
async fn a_person_at_work_on_the_same_files_is_not_overtaken() {
    let house = House::new();
    let desired = house.desired(HOLOS);
    house.write("notes.txt", "mine\n");
    change(&desired).plan().await.unwrap();
    house.write(SITE_FILE, "package platforms\n");
    let error = change(&desired).plan().await.unwrap_err();
    assert!(error.to_string().contains(SITE_FILE), "{error}");
    assert!(!error.to_string().contains("notes.txt"), "{error}");
}

#[tokio::test]
async fn two_primaries_in_git_are_no_beginning() {
    let house = House::new();
    let text = house.branch_has("clusters/core1/pg.yaml");
    house.push_by_another(
        "clusters/core1/pg.yaml",
        &format!("{}\n", text.replace("true", "false")),
    );
    let error = refused(&house, PLAIN).await;
    assert!(
        error
            .to_string()
            .contains("core1 is primary, while core2 is primary too"),
        "{error}"
    );
}
