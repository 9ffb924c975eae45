//! What PGO v5 renders, and the patches that ask for it.
//!
//! Source of the shapes: PGO v5.8.9 `internal/patroni/config.go` (`DynamicConfiguration`) and
//! `internal/pgbackrest/postgres.go`. PGO replaces Patroni's whole configuration with its own rendering at its next
//! reconcile; whatever is written here is either that same content or temporary.

use pgha_model::survey::Images;
use serde_json::{Map, Value, json};

use super::store_name;
use crate::patch::{ObjectPatch, PatchBuilder};

const KIND: &str = "postgrescluster";

/// Where the object names its images: Postgres' and pgBackRest's.
const IMAGES: [&[&str]; 2] = [
    &["spec", "image"],
    &["spec", "backups", "pgbackrest", "image"],
];

/// Postgres' settings that a move changes in Patroni's configuration, until the operator renders its own again.
pub const MOVED_SETTINGS: [&str; 4] = [
    "restore_command",
    "wal_keep_size",
    "wal_retrieve_retry_interval",
    "wal_sender_timeout",
];

/// A restore command that has nothing, at no cost.
pub const NO_ARCHIVE: &str = "/bin/false";

/// Asks the operator to leave the cluster alone, or to work again; rests on the hold and the standby section as seen.
pub fn hold(object: &Value, name: &str, paused: bool) -> ObjectPatch {
    let seen = object.pointer("/spec/paused");
    let standby = object.pointer("/spec/standby");
    let mut patch = PatchBuilder::default();
    if let Some(standby) = standby {
        patch = patch.test(&["spec", "standby"], standby.clone());
    }
    patch
        .set(&["spec", "paused"], seen, json!(paused))
        .of(KIND, name)
}

/// Takes back a hold, as if there had been none; rests on the standby section, which the operator renders then.
pub fn unhold(object: &Value, name: &str, before: Option<&Value>) -> ObjectPatch {
    let seen = object.pointer("/spec/paused");
    let mut patch = PatchBuilder::default();
    if let Some(standby) = object.pointer("/spec/standby").filter(|_| seen.is_some()) {
        patch = patch.test(&["spec", "standby"], standby.clone());
    }
    match before {
        Some(before) => patch.set(&["spec", "paused"], seen, before.clone()),
        None => patch.remove(&["spec", "paused"], seen),
    }
    .of(KIND, name)
}

/// Asks the operator for a standby, or for a primary; rests on the standby section and the hold as seen.
///
/// `section` is the section to have; its `enabled` is set here and always written out, because a section without it means
/// enabled (the CRD's default).
pub fn standby(
    object: &Value,
    name: &str,
    section: &Map<String, Value>,
    enabled: bool,
) -> ObjectPatch {
    let mut wanted = section.clone();
    wanted.insert("enabled".to_owned(), json!(enabled));
    let mut patch = PatchBuilder::default();
    if let Some(paused) = object.pointer("/spec/paused") {
        patch = patch.test(&["spec", "paused"], paused.clone());
    }
    let seen = object.pointer("/spec/standby");
    patch
        .set(&["spec", "standby"], seen, Value::Object(wanted))
        .of(KIND, name)
}

/// Asks the operator to stop everything, or to start it; with a section also to make a standby of it. Rests on the
/// standby section and the hold as seen, and on what it asked for before.
pub fn shutdown(
    object: &Value,
    name: &str,
    shutdown: bool,
    section: Option<&Map<String, Value>>,
) -> ObjectPatch {
    let standby_seen = object.pointer("/spec/standby");
    let mut patch = PatchBuilder::default();
    if let Some(paused) = object.pointer("/spec/paused") {
        patch = patch.test(&["spec", "paused"], paused.clone());
    }
    if let Some(section) = section {
        let mut wanted = section.clone();
        wanted.insert("enabled".to_owned(), json!(true));
        patch = patch.set(&["spec", "standby"], standby_seen, Value::Object(wanted));
    } else if let Some(standby) = standby_seen {
        patch = patch.test(&["spec", "standby"], standby.clone());
    }
    let seen = object.pointer("/spec/shutdown");
    patch
        .set(&["spec", "shutdown"], seen, json!(shutdown))
        .of(KIND, name)
}

/// Asks the operator for other images; what is `None` in `wanted` stays. Rests on those that are there, on the standby section and
/// on the hold as seen.
pub fn images(object: &Value, name: &str, wanted: &Images) -> ObjectPatch {
    let mut patch = PatchBuilder::default();
    for path in [&["spec", "standby"][..], &["spec", "paused"]] {
        if let Some(seen) = object.pointer(&format!("/{}", path.join("/"))) {
            patch = patch.test(path, seen.clone());
        }
    }
    let images = IMAGES.iter().zip([&wanted.postgres, &wanted.pgbackrest]);
    for (path, image) in images {
        if let Some(image) = image {
            let seen = object.pointer(&format!("/{}", path.join("/")));
            patch = patch.set(path, seen, json!(image));
        }
    }
    patch.of(KIND, name)
}

/// Takes other images back: what was there before, or nothing. Rests on those that were asked for.
pub fn images_back(name: &str, asked: &Images, before: &Images) -> ObjectPatch {
    let mut patch = PatchBuilder::default();
    let asked = [&asked.postgres, &asked.pgbackrest];
    let before = [&before.postgres, &before.pgbackrest];
    for (path, (asked, before)) in IMAGES.iter().zip(asked.into_iter().zip(before)) {
        let Some(asked) = asked else { continue };
        let seen = json!(asked);
        patch = match before {
            Some(before) => patch.set(path, Some(&seen), json!(before)),
            None => patch.remove(path, Some(&seen)),
        };
    }
    patch.of(KIND, name)
}

/// Replaces Patroni's configuration; rests on the text as seen.
pub fn store(cluster: &str, seen: &str, wanted: &Value) -> ObjectPatch {
    PatchBuilder::default()
        .set(
            &["metadata", "annotations", "config"],
            Some(&json!(seen)),
            json!(wanted.to_string()),
        )
        .of("endpoints", store_name(cluster))
}

/// Patroni's configuration of a primary, made into that of a standby.
pub fn config_as_standby(config: &Value, section: &Map<String, Value>) -> Value {
    let mut config = config.clone();
    let base = base_restore_command(&config);
    let mut standby = Map::new();
    let mut methods = Vec::new();
    if let Some(host) = section.get("host") {
        standby.insert("host".to_owned(), host.clone());
        if let Some(port) = section.get("port") {
            standby.insert("port".to_owned(), port.clone());
        }
    }
    let repo = section.get("repoName").and_then(Value::as_str);
    if let Some(number) = repo.and_then(|name| name.strip_prefix("repo")) {
        let command = match &*base {
            NO_ARCHIVE => base,
            _ => format!("{base} --repo={number}"),
        };
        methods.push("pgbackrest");
        standby.insert("restore_command".to_owned(), json!(command));
        set_restore_command(&mut config, &command);
    }
    if section.contains_key("host") {
        methods.push("basebackup");
    }
    standby.insert("create_replica_methods".to_owned(), json!(methods));
    if let Some(config) = config.as_object_mut() {
        config.insert("standby_cluster".to_owned(), Value::Object(standby));
    }
    config
}

/// Patroni's configuration of a standby, made into that of a primary.
pub fn config_as_primary(config: &Value) -> Value {
    let mut config = config.clone();
    let base = base_restore_command(&config);
    if let Some(config) = config.as_object_mut() {
        config.remove("standby_cluster");
    }
    set_restore_command(&mut config, &base);
    config
}

/// Sets, or with `None` removes, one of Postgres' parameters in Patroni's configuration.
pub fn set_parameter(config: &mut Value, name: &str, value: Option<&str>) {
    let parameters = config
        .pointer_mut("/postgresql/parameters")
        .and_then(Value::as_object_mut);
    if let Some(parameters) = parameters {
        match value {
            Some(value) => parameters.insert(name.to_owned(), json!(value)),
            None => parameters.remove(name),
        };
    }
}

/// Pauses Patroni, or lets it go on.
pub fn set_pause(config: &mut Value, paused: bool) {
    if let Some(config) = config.as_object_mut() {
        if paused {
            config.insert("pause".to_owned(), json!(true));
        } else {
            config.remove("pause");
        }
    }
}

/// Sets the command with which a standby asks the archive, in both places that Patroni reads.
pub fn set_restore_command(config: &mut Value, command: &str) {
    set_parameter(config, "restore_command", Some(command));
    if let Some(standby) = config.pointer_mut("/standby_cluster/restore_command") {
        *standby = json!(command);
    }
}

/// Has a standby that streams ask the archive alone; its receiver ends, also one that hangs. One without an archive is left as it
/// is: without its last source Patroni would no longer take it for a standby, and promote it (Patroni `global_config.py`,
/// `is_standby_cluster`).
pub fn forget_server(config: &mut Value) {
    let standby = config.pointer_mut("/standby_cluster");
    let standby = standby.and_then(Value::as_object_mut);
    if let Some(standby) = standby.filter(|standby| standby.contains_key("restore_command")) {
        standby.remove("host");
        standby.remove("port");
    }
}

/// Puts the operator's own restore command where a move has left [`NO_ARCHIVE`], when nobody knows what was there.
pub fn forget_no_archive(config: &mut Value) {
    let path = "/postgresql/parameters/restore_command";
    if config.pointer(path).and_then(Value::as_str) == Some(NO_ARCHIVE) {
        set_restore_command(config, RESTORE_COMMAND);
    }
}

/// What the operator renders (PGO `internal/pgbackrest/postgres.go`).
const RESTORE_COMMAND: &str = r#"pgbackrest --stanza=db archive-get %f "%p""#;

/// The command that pushes one segment now, and not through a queue, made from the archive command; `None` when that is
/// not pgBackRest's.
///
/// Under `archive-async` pgBackRest pushes only segments that Postgres marked ready, and the segment of the shutdown
/// checkpoint never is (pgBackRest `src/command/archive/push/push.c`).
pub fn push_command(archive_command: &str, segment: &str) -> Option<String> {
    let arguments = archive_command.strip_prefix("pgbackrest ")?;
    let path = format!("\"$PGDATA/pg_wal/{segment}\"");
    let arguments = arguments.replace("\"%p\"", "%p");
    arguments.contains("%p").then(|| {
        format!(
            "pgbackrest --no-archive-async {}",
            arguments.replace("%p", &path)
        )
    })
}

/// The command that asks the archive for one file, made from the restore command; `None` when that is not pgBackRest's.
pub fn fetch_command(restore_command: &str, file: &str, destination: &str) -> Option<String> {
    let arguments = restore_command
        .strip_prefix("pgbackrest ")?
        .replace("\"%p\"", "%p");
    let complete = arguments.contains("%f") && arguments.contains("%p");
    complete.then(|| {
        let arguments = arguments.replace("%f", file).replace("%p", destination);
        format!("pgbackrest --no-archive-async {arguments}")
    })
}

/// The file that a test of writing makes: pgBackRest looks there for nothing but folders of a database's version.
pub const WRITE_TEST_FILE: &str = "pgha-write-test";

/// What a test of writing prints when the file stays.
pub const LEFT_BEHIND: &str = "pgha-left-behind";

/// For each repository of the object the script that writes a file there and removes it, made from the archive command;
/// `None` when that is not pgBackRest's.
pub fn write_tests(archive_command: &str, object: &Value) -> Option<Vec<(String, String)>> {
    let (options, _) = archive_command
        .strip_prefix("pgbackrest ")?
        .split_once("archive-push")?;
    let stanza = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("--stanza="))?;
    let script = |number: u32| {
        let command = format!("pgbackrest {} --repo={number}", options.trim());
        let file = format!("archive/{stanza}/{WRITE_TEST_FILE}");
        let script = format!(
            "echo 'kubectl pgha' | {command} repo-put {file} && {{ {command} repo-rm {file} || echo {LEFT_BEHIND}; }}"
        );
        (format!("repo{number}"), script)
    };
    Some(repositories(object).into_iter().map(script).collect())
}

/// The numbers of the object's repositories: pgBackRest knows 1 to 4 with this operator.
pub fn repositories(object: &Value) -> Vec<u32> {
    let repos = object
        .pointer("/spec/backups/pgbackrest/repos")
        .and_then(Value::as_array);
    let names = repos
        .into_iter()
        .flatten()
        .filter_map(|repo| repo.get("name")?.as_str());
    names
        .filter_map(|name| name.strip_prefix("repo")?.parse().ok())
        .collect()
}

/// The restore command without the choice of a repository.
fn base_restore_command(config: &Value) -> String {
    let command = config
        .pointer("/postgresql/parameters/restore_command")
        .and_then(Value::as_str);
    let command = command.unwrap_or(RESTORE_COMMAND);
    match command.rsplit_once(" --repo=") {
        Some((base, number)) if number.bytes().all(|b| b.is_ascii_digit()) => base.to_owned(),
        _ => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary() -> Value {
        json!({"loop_wait": 10, "ttl": 30, "postgresql": {"use_slots": false, "parameters": {
            "archive_mode": "on",
            "restore_command": "pgbackrest --stanza=db archive-get %f \"%p\""}}})
    }

    fn section(json: &Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn an_archive_standby_is_rendered_as_the_operator_does() {
        let config = config_as_standby(
            &primary(),
            &section(&json!({"repoName": "repo1", "enabled": true})),
        );
        assert_eq!(
            config["standby_cluster"],
            json!({"create_replica_methods": ["pgbackrest"],
                "restore_command": "pgbackrest --stanza=db archive-get %f \"%p\" --repo=1"})
        );
        assert_eq!(
            config["postgresql"]["parameters"]["restore_command"],
            "pgbackrest --stanza=db archive-get %f \"%p\" --repo=1"
        );
    }

    #[test]
    fn a_streaming_standby_is_rendered_as_the_operator_does() {
        let config = config_as_standby(
            &primary(),
            &section(&json!({"host": "10.0.0.1", "port": 5432, "repoName": "repo2"})),
        );
        assert_eq!(
            config["standby_cluster"],
            json!({"create_replica_methods": ["pgbackrest", "basebackup"], "host": "10.0.0.1", "port": 5432,
                "restore_command": "pgbackrest --stanza=db archive-get %f \"%p\" --repo=2"})
        );
    }

    #[test]
    fn a_standby_without_its_server_is_one_of_the_archive() {
        let both = json!({"host": "10.0.0.1", "port": 5432, "repoName": "repo2"});
        let mut config = config_as_standby(&primary(), &section(&both));
        forget_server(&mut config);
        assert_eq!(
            config["standby_cluster"],
            json!({"create_replica_methods": ["pgbackrest", "basebackup"],
                "restore_command": "pgbackrest --stanza=db archive-get %f \"%p\" --repo=2"})
        );
    }

    #[test]
    fn a_standby_without_an_archive_keeps_its_server() {
        let alone = json!({"host": "10.0.0.1", "port": 5432});
        let before = config_as_standby(&primary(), &section(&alone));
        let mut config = before.clone();
        forget_server(&mut config);
        assert_eq!(config, before);
    }

    #[test]
    fn there_and_back_is_the_same() {
        let standby = config_as_standby(&primary(), &section(&json!({"repoName": "repo1"})));
        assert_eq!(config_as_primary(&standby), primary());
    }

    #[test]
    fn other_images_rest_on_those_that_are_there_and_are_taken_back_as_they_were() {
        let before = json!({"spec": {"paused": false, "standby": {"enabled": true},
            "backups": {"pgbackrest": {"image": "pgbackrest:1"}}}});
        let wanted = Images {
            postgres: Some("postgres:2".to_owned()),
            pgbackrest: Some("pgbackrest:2".to_owned()),
        };
        let there = Images {
            postgres: None,
            pgbackrest: Some("pgbackrest:1".to_owned()),
        };
        let patch = images(&before, "zitadel", &wanted);
        let mut after = before.clone();
        json_patch::patch(&mut after, &patch.operations).unwrap();
        assert_eq!(after["spec"]["image"], "postgres:2");
        let mut another = before.clone();
        another["spec"]["backups"]["pgbackrest"]["image"] = json!("pgbackrest:0");
        assert!(json_patch::patch(&mut another, &patch.operations).is_err());
        let back = images_back("zitadel", &wanted, &there);
        json_patch::patch(&mut after, &back.operations).unwrap();
        assert_eq!(after, before);
        let mut changed = json!({"spec": {"image": "postgres:3"}});
        assert!(json_patch::patch(&mut changed, &back.operations).is_err());
    }

    #[test]
    fn the_standby_section_always_says_whether_it_is_enabled() {
        let object = json!({"spec": {"paused": true, "standby": {"repoName": "repo1"}}});
        let patch = standby(
            &object,
            "zitadel",
            &section(&json!({"repoName": "repo1"})),
            false,
        );
        assert_eq!(
            serde_json::to_value(patch.operations).unwrap(),
            json!([
                {"op": "test", "path": "/spec/paused", "value": true},
                {"op": "test", "path": "/spec/standby", "value": {"repoName": "repo1"}},
                {"op": "replace", "path": "/spec/standby", "value": {"repoName": "repo1", "enabled": false}},
            ])
        );
    }

    #[test]
    fn each_repository_is_written_to_and_cleaned() {
        let object = json!({"spec": {"backups": {"pgbackrest": {"repos": [{"name": "repo1"}, {"name": "repo3"}]}}}});
        let tests = write_tests(r#"pgbackrest --stanza=db archive-push "%p""#, &object).unwrap();
        assert_eq!(tests[0].0, "repo1");
        assert_eq!(
            tests[1].1,
            "echo 'kubectl pgha' | pgbackrest --stanza=db --repo=3 repo-put archive/db/pgha-write-test && \
             { pgbackrest --stanza=db --repo=3 repo-rm archive/db/pgha-write-test || echo pgha-left-behind; }"
        );
        assert_eq!(write_tests("true", &object), None);
    }

    #[test]
    fn only_numbers_of_repositories_reach_a_shell() {
        let repos = json!([{"name": "repo1"}, {"name": "repo$(x)"}, {"name": "repo4"}]);
        let object = json!({"spec": {"backups": {"pgbackrest": {"repos": repos}}}});
        assert_eq!(repositories(&object), [1, 4]);
    }

    #[test]
    fn the_push_goes_past_the_queue() {
        assert_eq!(
            push_command(
                r#"pgbackrest --stanza=db archive-push "%p""#,
                "000000010000000000000005"
            )
            .unwrap(),
            r#"pgbackrest --no-archive-async --stanza=db archive-push "$PGDATA/pg_wal/000000010000000000000005""#
        );
        assert_eq!(push_command("/bin/true", "000000010000000000000005"), None);
    }

    #[test]
    fn a_file_is_asked_for_with_the_clusters_own_command() {
        let command = r#"pgbackrest --stanza=db archive-get %f "%p" --repo=1"#;
        assert_eq!(
            fetch_command(command, "00000002.history", "/tmp/probe").unwrap(),
            "pgbackrest --no-archive-async --stanza=db archive-get 00000002.history /tmp/probe --repo=1"
        );
        assert_eq!(
            fetch_command("/bin/false", "00000002.history", "/tmp/probe"),
            None
        );
    }

    #[test]
    fn a_hold_is_taken_back_as_it_was_found() {
        let object = json!({"spec": {"paused": true}});
        let operations = |patch: ObjectPatch| serde_json::to_value(patch.operations).unwrap();
        assert_eq!(
            operations(unhold(&object, "z", None)),
            json!([{"op": "test", "path": "/spec/paused", "value": true}, {"op": "remove", "path": "/spec/paused"}])
        );
        assert_eq!(
            operations(unhold(&object, "z", Some(&json!(false))))[1]["value"],
            json!(false)
        );
    }
}
