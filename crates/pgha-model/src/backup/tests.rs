use super::*;
use crate::service::samples::{helm_release, now, primary, standby};
use crate::survey::{BackupRepo, Condition, ManualBackup};

const INFO: &str = r#"[{"archive":[],"backup":[{"archive":{"start":"000000010000000000000003",
    "stop":"000000010000000000000004"},"backrest":{"format":5,"version":"2.45"},
    "database":{"id":1,"repo-key":1},"error":false,"info":{"delta":30837830,
    "repository":{"delta":4106445,"size":4106445},"size":30837830},"label":"20261121-153931F",
    "prior":null,"reference":null,"timestamp":{"start":1795275571,"stop":1795275606},"type":"full"}],
    "status":{"code":0,"lock":{"backup":{"held":true}},"message":"ok"}}]"#;

const VERIFIED: &str = "\
stanza: db
status: ok
  archiveId: 15-1, total WAL checked: 6, total valid WAL: 6
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261121-154217F, status: valid, total files checked: 1268, total valid files: 1268
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
";

fn facts() -> BackupFacts {
    let mut survey = primary("core1");
    survey.object.repos = vec![BackupRepo {
        name: "repo1".to_owned(),
        stanza_created: true,
        replica_create_backup_complete: true,
    }];
    survey.object.conditions = vec![condition("PGBackRestReplicaCreate", "True")];
    BackupFacts {
        survey,
        spec: BackupSpec {
            repos: vec!["repo1".to_owned()],
            on_volume: Vec::new(),
            manual_repo: None,
            manual_options: Vec::new(),
        },
        jobs: Vec::new(),
        info: Observed::Seen(RepoInfo::default()),
    }
}

fn condition(kind: &str, status: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: String::new(),
        message: String::new(),
        observed_generation: None,
    }
}

fn backup(id: &str, finished: bool, failed: u32) -> ManualBackup {
    ManualBackup {
        id: id.to_owned(),
        finished,
        succeeded: 0,
        failed,
        completed_at: finished.then(|| "2026-11-21T15:40:06Z".to_owned()),
    }
}

fn failures(facts: &BackupFacts, repo: Option<&str>) -> Vec<&'static str> {
    let plan = plan_backup(&facts.spec, repo, None).unwrap();
    judge_backup(facts, &plan, Consent::default(), now())
        .failures()
        .map(|finding| finding.check)
        .collect()
}

fn spoiled(spoil: impl FnOnce(&mut BackupFacts)) -> Vec<&'static str> {
    let mut facts = facts();
    spoil(&mut facts);
    failures(&facts, None)
}

#[test]
fn a_healthy_primary_may_be_asked() {
    assert!(failures(&facts(), None).is_empty());
    let mut with_volume = facts();
    with_volume.spec.on_volume = vec!["repo1".to_owned()];
    let ready = condition("PGBackRestRepoHostReady", "True");
    with_volume.survey.object.conditions.push(ready);
    assert!(failures(&with_volume, None).is_empty());
}

#[test]
fn each_gate_is_seen_beforehand() {
    assert_eq!(spoiled(|f| f.survey = standby("core2")), ["primary"]);
    assert_eq!(spoiled(|f| f.survey.object.paused = true), ["paused"]);
    assert_eq!(spoiled(|f| f.survey.object.shutdown = true), ["shutdown"]);
    let id = || Some("id".to_owned());
    assert_eq!(
        spoiled(|f| f.survey.object.pending_switchover = id()),
        ["switchover"]
    );
    assert_eq!(spoiled(|f| f.survey.object.repos.clear()), ["stanza"]);
    assert_eq!(
        spoiled(|f| f.survey.object.conditions.clear()),
        ["first-backup"]
    );
    assert_eq!(
        spoiled(|f| f.spec.on_volume = vec!["repo1".to_owned()]),
        ["repo-host"]
    );
    let option = || vec!["--repo=2".to_owned()];
    assert_eq!(spoiled(|f| f.spec.manual_options = option()), ["options"]);
    assert_eq!(
        spoiled(|f| f.survey.object.owners = vec![helm_release()]),
        ["managed"]
    );
    assert_eq!(
        spoiled(|f| f.survey.object.requested_backup = id()),
        ["pending-request"]
    );
    let locked = RepoInfo {
        locked: true,
        ..RepoInfo::default()
    };
    assert_eq!(spoiled(|f| f.info = Observed::Seen(locked)), ["running"]);
    assert_eq!(failures(&facts(), Some("repo2")), ["repo"]);
}

#[test]
fn a_running_job_stands_in_the_way_and_a_finished_one_does_not() {
    let job = |unfinished| BackupJob {
        name: "zitadel-backup-abcd".to_owned(),
        kind: "scheduled".to_owned(),
        id: None,
        unfinished,
    };
    assert_eq!(spoiled(|f| f.jobs.push(job(true))), ["running"]);
    assert!(spoiled(|f| f.jobs.push(job(false))).is_empty());
}

#[test]
fn a_request_that_was_taken_up_and_has_no_job_yet_stands_in_the_way() {
    let running = |finished| {
        spoiled(|facts| {
            facts.survey.object.requested_backup = Some("theirs".to_owned());
            facts.survey.object.manual_backup = Some(backup("theirs", finished, 0));
        })
    };
    assert_eq!(running(false), ["running"]);
    assert!(running(true).is_empty());
}

#[test]
fn an_owner_can_be_overruled() {
    let mut facts = facts();
    facts.survey.object.owners.push(helm_release());
    let plan = plan_backup(&facts.spec, None, None).unwrap();
    let consent = Consent {
        managed: true,
        ..Consent::default()
    };
    assert_eq!(
        judge_backup(&facts, &plan, consent, now())
            .failures()
            .count(),
        0
    );
}

#[test]
fn the_type_that_was_asked_for_replaces_the_objects() {
    let mut spec = facts().spec;
    spec.manual_repo = Some("repo2".to_owned());
    spec.manual_options = vec!["--type=incr".to_owned(), "--start-fast".to_owned()];
    let plan = plan_backup(&spec, None, Some(BackupType::Full)).unwrap();
    assert_eq!(plan.repo, "repo2");
    assert_eq!(
        plan.options,
        ["--start-fast", "--type=full", "--log-level-console=info"]
    );
    let plan = plan_backup(&spec, Some("repo1"), None).unwrap();
    assert_eq!(plan.repo, "repo1");
    assert_eq!(plan.options[0], "--type=incr");
    spec.manual_options = plan.options.clone();
    assert_eq!(plan_backup(&spec, Some("repo1"), None).unwrap(), plan);
}

#[test]
fn a_request_succeeds_by_its_own_id_completion_and_condition() {
    let mut object = facts().survey.object;
    let state = |object: &ClusterObject| state_of_request(object, "mine");
    object.requested_backup = Some("mine".to_owned());
    assert_eq!(state(&object), RequestState::NotAccepted);
    object.manual_backup = Some(backup("older", true, 0));
    object.conditions = vec![condition("PGBackRestManualBackupSuccessful", "True")];
    assert_eq!(state(&object), RequestState::NotAccepted);
    object.manual_backup = Some(backup("mine", false, 1));
    assert_eq!(state(&object), RequestState::Running { failed: 1 });
    object.manual_backup = Some(backup("mine", true, 0));
    assert!(matches!(state(&object), RequestState::Succeeded { .. }));
    object.conditions = vec![condition("PGBackRestManualBackupSuccessful", "False")];
    assert_eq!(state(&object), RequestState::Failed);
    object.conditions.clear();
    assert_eq!(state(&object), RequestState::Running { failed: 0 });
    object.requested_backup = Some("theirs".to_owned());
    let by = "theirs".to_owned();
    assert_eq!(state(&object), RequestState::Replaced { by });
}

#[test]
fn what_pgbackrest_says_is_read() {
    let info = read_info(INFO).unwrap();
    assert!(info.locked);
    let backup = info.labelled("repo1", "20261121-153931F").unwrap();
    assert_eq!(backup.size_bytes, 30_837_830);
    assert_eq!(backup.repo_delta_bytes, Some(4_106_445));
    assert_eq!(backup.page_error, Some(false));
    assert_eq!((backup.stopped_at - backup.started_at).get_seconds(), 35);
    assert_eq!(info.only_new("repo1", &RepoInfo::default()), Some(backup));
    assert_eq!(info.only_new("repo1", &info), None);
    assert_eq!(read_info("[]").unwrap(), RepoInfo::default());
    assert!(read_info("ERROR: [056]").is_err());
}

#[test]
fn the_label_is_in_the_log() {
    let direct =
        "2026-11-21 15:40:06.1 P00   INFO: new backup label = 20261121-153931F_20261121-160000I";
    assert_eq!(
        label_in_log(direct),
        Some("20261121-153931F_20261121-160000I")
    );
    let wrapped =
        r#"level=info msg="output=[P00   INFO: new backup label = 20261121-153931F\n P00]""#;
    assert_eq!(label_in_log(wrapped), Some("20261121-153931F"));
    assert_eq!(label_in_log("new backup label = "), None);
}

#[test]
fn a_verification_is_good_when_every_file_and_all_log_is() {
    let found = read_verification(VERIFIED, "20261121-154217F").unwrap();
    assert!(found.is_good(), "{found:?}");
    assert_eq!(found.files, 1268);
    assert_eq!(read_verification(VERIFIED, "20261121-000000F"), None);
    let torn = VERIFIED.replace("total valid files: 1268", "total valid files: 1267");
    assert!(
        !read_verification(&torn, "20261121-154217F")
            .unwrap()
            .is_good()
    );
    let gap = VERIFIED.replace("total valid WAL: 6", "total valid WAL: 5");
    assert!(
        !read_verification(&gap, "20261121-154217F")
            .unwrap()
            .is_good()
    );
}
