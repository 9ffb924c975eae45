//! Merge requests.

use pgha_desired::{How, PartState, Problem, Request};
use pgha_model::site::Part;

use crate::git::git;
use crate::house::{HOLOS, House, OPERATION, change};

fn settings() -> String {
    let request = "mergeRequest: { link: 'https://git.example/new?source={branch}' }\n";
    format!(
        "{}{request}",
        HOLOS.replace("way: git", "way: mergeRequest")
    )
}

/// Somebody merges a branch as one new commit, without its message.
fn squash(house: &House, branch: &str) {
    let other = house.path("other");
    house.push_by_another("notes.txt", &format!("before the merge of {branch}\n"));
    git(&other, &["fetch", "--quiet", "origin"]);
    git(
        &other,
        &["merge", "--quiet", "--squash", &format!("origin/{branch}")],
    );
    git(
        &other,
        &["commit", "--quiet", "--message", "Merge request 7"],
    );
    git(&other, &["push", "--quiet", "origin", "HEAD:main"]);
}

#[tokio::test]
async fn a_squashed_merge_is_known_by_what_the_files_say() {
    let house = House::new();
    let desired = house.desired(&settings());
    let change = change(&desired);
    assert!(change.plan().await.unwrap().by_merge_request);
    let (base, done) = (
        house.tip(),
        change.commit(Part::Source, OPERATION).await.unwrap(),
    );
    let (branch, link) = (
        "pgha/01JDESIRED-source".to_owned(),
        Some("https://git.example/new?source=pgha%2F01JDESIRED-source".to_owned()),
    );
    assert_eq!(
        done.how,
        How::Proposed {
            branch: branch.clone(),
            link
        }
    );
    assert_eq!(house.tip(), base, "the branch itself is as it was");
    assert_eq!(
        change.is_merged(Part::Source, OPERATION).await.unwrap(),
        None
    );
    let again = change.commit(Part::Source, OPERATION).await.unwrap();
    assert_eq!(again, done, "a second run finds the first one's");
    let error = change.commit(Part::Target, OPERATION).await.unwrap_err();
    assert!(matches!(error.problem, Problem::NoSource { .. }), "{error}");
    squash(&house, &branch);
    let merged = change.request(Part::Source, OPERATION).await.unwrap();
    let commit = house.tip();
    assert_eq!(merged, Request::Merged { commit });
    assert_eq!(
        change.find(OPERATION).await.unwrap().0,
        PartState::None,
        "its trailers are gone"
    );
    let done = change.commit(Part::Target, OPERATION).await.unwrap();
    let How::Proposed { branch, .. } = done.how else {
        panic!("it is proposed");
    };
    assert_eq!(
        change.is_merged(Part::Target, OPERATION).await.unwrap(),
        None
    );
    squash(&house, &branch);
    assert!(
        change
            .is_merged(Part::Target, OPERATION)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_request_that_nobody_may_merge_any_more_is_withdrawn() {
    let house = House::new();
    let desired = house.desired(&settings());
    let change = change(&desired);
    assert_eq!(desired.proposals().await.unwrap(), []);
    change.commit(Part::Source, OPERATION).await.unwrap();
    git(&house.server(), &["branch", "pgha/of-a-person", "main"]);
    let state = change.request(Part::Source, OPERATION).await.unwrap();
    assert_eq!(state, Request::Open);
    let proposals = desired.proposals().await.unwrap();
    let [proposal] = &proposals[..] else {
        panic!("{proposals:?}");
    };
    assert_eq!(proposal.operation, OPERATION);
    desired.withdraw(proposal).await.unwrap();
    desired.withdraw(proposal).await.unwrap();
    let state = change.request(Part::Source, OPERATION).await.unwrap();
    assert_eq!(state, Request::Closed);
    let branches = git(&house.server(), &["branch", "--format=%(refname:short)"]);
    assert_eq!(branches, "main\npgha/of-a-person");
}

#[tokio::test]
async fn a_request_that_somebody_changed_is_not_withdrawn_unseen() {
    let house = House::new();
    let desired = house.desired(&settings());
    let change = change(&desired);
    change.commit(Part::Source, OPERATION).await.unwrap();
    let proposals = desired.proposals().await.unwrap();
    let refuse = "echo 'branches are kept' >&2; exit 1";
    house.hook(&house.server(), "pre-receive", refuse);
    let error = desired.withdraw(&proposals[0]).await.unwrap_err();
    assert!(error.to_string().contains("branches are kept"), "{error}");
    assert!(error.next.contains("by hand"), "{}", error.next);
}

#[tokio::test]
async fn taking_back_is_proposed_too() {
    let house = House::new();
    let desired = house.desired(&settings());
    let change = change(&desired);
    change.commit(Part::Source, OPERATION).await.unwrap();
    let branch = "pgha/01JDESIRED-source";
    git(
        &house.server(),
        &[
            "update-ref",
            "refs/heads/main",
            &format!("refs/heads/{branch}"),
        ],
    );
    let merged = change.is_merged(Part::Source, OPERATION).await.unwrap();
    assert_eq!(merged, Some(house.tip()));
    let undo = change.revert(Part::Source, OPERATION).await.unwrap();
    let How::Proposed { branch, .. } = undo.how else {
        panic!("it is proposed");
    };
    assert_eq!(branch, "pgha/01JDESIRED-source-undo");
    assert_eq!(change.is_taken_back(Part::Source).await.unwrap(), None);
    squash(&house, &branch);
    assert!(change.is_taken_back(Part::Source).await.unwrap().is_some());
}
