//! A healthy pair with a closer look at both sides, for tests to spoil.

use std::collections::BTreeMap;

use serde_json::json;

use super::inspection::{
    Inspection, Login, LoginSecret, MemberFacts, Permission, RepositoryBranch,
};
use super::{Consent, SideFacts, Validation, validate};
use crate::finding::Severity;
use crate::observed::Observed;
use crate::postgres::PostgresFacts;
use crate::service::samples;
use crate::site::Part;
use crate::survey::{Images, SiteSurvey};

/// Both sides.
pub(crate) struct Sample {
    pub(crate) source: SideFacts,
    pub(crate) target: SideFacts,
    pub(crate) consent: Consent,
}

/// An image of Postgres, and none of pgBackRest.
pub(crate) fn images(postgres: &str) -> Images {
    Images {
        postgres: Some(postgres.to_owned()),
        pgbackrest: None,
    }
}

impl Sample {
    pub(crate) fn healthy() -> Self {
        let mut source = samples::primary("core1");
        let mut target = samples::standby("core2");
        "a".clone_into(&mut source.object.uid);
        "b".clone_into(&mut target.object.uid);
        target.object.standby_section = Some(json!({"enabled": true, "repoName": "repo1"}));
        Self {
            source: side(source, Part::Source),
            target: side(target, Part::Target),
            consent: Consent::default(),
        }
    }

    pub(super) fn validate(&self) -> Validation {
        validate(&self.source, &self.target, self.consent, samples::now())
    }

    pub(super) fn server(&mut self, part: Part, change: impl FnOnce(&mut MemberFacts)) {
        let side = match part {
            Part::Source => &mut self.source,
            Part::Target => &mut self.target,
        };
        if let Observed::Seen(facts) = &mut side.inspection.members[0].1 {
            change(facts);
        }
    }

    pub(super) fn patroni_config(&mut self, part: Part, config: &str) {
        let side = match part {
            Part::Source => &mut self.source,
            Part::Target => &mut self.target,
        };
        if let Observed::Seen(store) = &mut side.survey.store {
            config.clone_into(&mut store.config);
        }
    }
}

/// What the check found, the worst of both sides.
pub(super) fn worst(validation: &Validation, check: &str) -> Severity {
    let of_check = validation
        .findings
        .iter()
        .filter(|finding| finding.check == check);
    of_check.map(|finding| finding.severity).max().unwrap()
}

fn side(survey: SiteSurvey, part: Part) -> SideFacts {
    let pod = survey.members[0].pod.clone();
    let replica = format!("{}-1", survey.place.context);
    SideFacts {
        inspection: Inspection {
            members: vec![
                (pod, Observed::Seen(member(part))),
                (replica, Observed::Seen(member(Part::Target))),
            ],
            branches: Observed::Seen(vec![RepositoryBranch {
                repo: "repo1".to_owned(),
                newest: None,
                same_as_leaders: None,
            }]),
            queue_limit_in_object: None,
            secrets: Observed::Seen(secrets()),
            permissions: Observed::Seen(vec![Permission {
                verb: "patch",
                resource: "endpoints".to_owned(),
                allowed: true,
            }]),
            operators_pooler: None,
        },
        postgres: Some(postgres(part)),
        unconnected: Vec::new(),
        survey,
    }
}

fn secrets() -> Vec<LoginSecret> {
    let secret = |login, name: &str, keys: [&str; 2]| LoginSecret {
        login,
        name: name.to_owned(),
        digests: Some(keys.map(|key| (key.to_owned(), 1)).into()),
    };
    vec![
        secret(
            Login::User,
            "zitadel-pguser-zitadel",
            ["password", "verifier"],
        ),
        secret(
            Login::Pgbouncer,
            "zitadel-pgbouncer",
            ["pgbouncer-password", "pgbouncer-verifier"],
        ),
        secret(
            Login::Monitoring,
            "zitadel-monitoring",
            ["password", "verifier"],
        ),
    ]
}

fn postgres(part: Part) -> PostgresFacts {
    let standby = part == Part::Target;
    serde_json::from_value(json!({
        "inRecovery": standby, "systemIdentifier": "7", "checkpointTimeline": 1,
        "checkpointAt": "0/6000028", "recoveryTimeline": standby.then_some(1),
        "recoveryEnd": standby.then_some("0/70000B8"), "received": standby.then_some("0/70000B8"), "replayedAt": null,
        "writtenTimeline": (!standby).then_some(1),
        "flushed": (!standby).then_some("0/7000100"), "replayed": standby.then_some("0/70000B8"),
        "replayPaused": standby.then_some(false), "serverVersion": 150_018, "archiveMode": "on",
        "archiveCommand": "push", "restoreCommand": "get", "applyDelayMs": 0, "recoveryTargets": [],
        "synchronousStandbyNames": "", "segmentSizeBytes": 16_777_216, "lastArchived": null,
        "failingArchive": null, "receiverStatus": standby.then_some("streaming"),
        "receivedTimeline": standby.then_some(1), "receivers": []
    }))
    .unwrap()
}

fn member(part: Part) -> MemberFacts {
    let standby = part == Part::Target;
    let limits: BTreeMap<&str, i64> = [
        ("max_connections", 100),
        ("max_worker_processes", 8),
        ("max_wal_senders", 10),
        ("max_replication_slots", 10),
        ("max_prepared_transactions", 0),
        ("max_locks_per_transaction", 64),
    ]
    .into();
    let senders = if standby {
        json!([])
    } else {
        json!([{"applicationName": "core2-0", "state": "streaming"}])
    };
    let server = json!({
        "version": 150_018, "preloadLibraries": "pgaudit", "limits": limits, "canRewind": true,
        "synchronousStandbyNames": "", "replayPaused": standby.then_some(false), "applyDelayMs": 0,
        "recoveryTargets": [], "receiverStatus": standby.then_some("streaming"), "slots": [],
        "walsenders": senders, "segmentsToArchive": 0, "segmentSizeBytes": 16_777_216, "oldestTransactionS": 0,
        "preparedTransactions": 0, "backupsRunning": 0,
        "extensionsOffered": [{"name": "pgaudit", "defaultVersion": "1.7", "versions": ["1.7"]}]
    });
    let database = json!({
        "collations": [
            {"name": "database default", "provider": "libc", "recorded": "2.36", "actual": "2.36"},
            {"name": "german", "provider": "icu", "recorded": "153.120", "actual": "153.120"}
        ],
        "extensions": [{"name": "pgaudit", "version": "1.7"}], "unloggedTables": []
    });
    MemberFacts {
        server: serde_json::from_value(server).unwrap(),
        databases: [(
            "zitadel".to_owned(),
            serde_json::from_value(database).unwrap(),
        )]
        .into(),
        queue_limits: Vec::new(),
        archives_asynchronously: true,
        free_bytes: Some(1 << 30),
        reaches_peer: Some(true),
        clock_behind_s: 0,
    }
}

/// Has every member of a side run this version of Patroni.
pub(crate) fn run_patroni(side: &mut SideFacts, version: &str) {
    for member in &mut side.survey.members {
        for status in [&mut member.status, &mut member.live] {
            if let Observed::Seen(status) = status {
                status.patroni = version.parse().ok();
            }
        }
    }
}
