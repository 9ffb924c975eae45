//! Inside one member's database container, through one shell.

use std::collections::BTreeMap;
use std::time::Duration;

use pgha_model::check::inspection::{DatabaseFacts, MemberFacts, ServerFacts};
use serde::Deserialize;
use serde_json::Value;

use crate::client::SiteClient;
use crate::clock;
use crate::diagnose::sanitised;
use crate::exec::{Container, ExecError, Shell, quote};

/// Prints lines that begin with `pgha-` and a word.
const LOOK: &str = include_str!("look.sh");

/// How long a look may take at least: it is many statements and no single request.
pub(super) const LOOK_TIME: Duration = Duration::from_secs(30);

/// Why a member was not looked into.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    /// The shell could not be opened, or did not answer.
    #[error("could not look into a container")]
    Exec(#[source] ExecError),
    /// The script told less than everything.
    #[error("the look into {pod} ended early: {said}")]
    Incomplete {
        /// Which member.
        pod: String,
        /// Its last line.
        said: String,
    },
}

/// The server that a side's own standby section names.
pub(super) struct Peer {
    host: String,
    port: u16,
}

impl Peer {
    /// `None` when the section names no host.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let host = object.pointer("/spec/standby/host")?.as_str()?;
        let port = object.pointer("/spec/standby/port").and_then(Value::as_u64);
        Some(Self {
            host: host.to_owned(),
            port: port.and_then(|port| port.try_into().ok()).unwrap_or(5432),
        })
    }
}

/// Looks into a member.
pub(super) async fn look(
    site: &SiteClient,
    container: &Container,
    peer: Option<&Peer>,
) -> Result<MemberFacts, LookError> {
    let limit = site.request_timeout.max(LOOK_TIME);
    let mut shell = Shell::open(site, container, limit)
        .await
        .map_err(LookError::Exec)?;
    let host = peer.map_or("", |peer| peer.host.as_str());
    let port = peer.map_or(0, |peer| peer.port);
    let script = format!("peer_host={}\npeer_port={port}\n{LOOK}", quote(host));
    let output = shell.run(&script, limit).await.map_err(LookError::Exec)?;
    let now_s = clock::now().as_second();
    read(&output.stdout, now_s).ok_or_else(|| LookError::Incomplete {
        pod: container.pod.clone(),
        said: last_line(&output.stdout),
    })
}

/// What went wrong, as the script or a program in it said.
pub(super) fn last_line(output: &str) -> String {
    let told = |line: &&str| !line.trim().is_empty() && !line.starts_with("pgha-server");
    let line = output.lines().rev().find(told).unwrap_or("it said nothing");
    sanitised(line.trim_start_matches("pgha-failed").trim())
}

#[derive(Deserialize)]
struct NamedDatabase {
    name: String,
    #[serde(flatten)]
    facts: DatabaseFacts,
}

fn read(output: &str, now_s: i64) -> Option<MemberFacts> {
    let values = |word: &str| {
        let word = format!("pgha-{word} ");
        output
            .lines()
            .filter_map(move |line| line.strip_prefix(&word).map(str::to_owned))
    };
    let server: ServerFacts = serde_json::from_str(&values("server").next()?).ok()?;
    let databases = values("database")
        .map(|json| {
            let one: NamedDatabase = serde_json::from_str(&json).ok()?;
            Some((one.name, one.facts))
        })
        .collect::<Option<BTreeMap<_, _>>>()?;
    // The script's last line: without it something before went wrong.
    let clock_s: i64 = values("clock").next()?.trim().parse().ok()?;
    let free_kib = values("free")
        .next()
        .and_then(|text| text.trim().parse::<u64>().ok());
    Some(MemberFacts {
        server,
        databases,
        queue_limits: values("queue").map(|line| sanitised(line.trim())).collect(),
        archives_asynchronously: values("async").any(|word| word.trim() == "yes"),
        free_bytes: free_kib.map(|kib| kib.saturating_mul(1024)),
        reaches_peer: values("peer").next().map(|word| word.trim() == "yes"),
        clock_behind_s: now_s.saturating_sub(clock_s),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = r#"pgha-server {"version":150018,"preloadLibraries":"","limits":{},"canRewind":true,
"synchronousStandbyNames":"","replayPaused":null,"applyDelayMs":0,"recoveryTargets":[],"receiverStatus":null,"slots":[],
"walsenders":[],"segmentsToArchive":0,"segmentSizeBytes":16777216,"oldestTransactionS":0,"preparedTransactions":0,
"backupsRunning":0,"extensionsOffered":[]}"#;
    const REST: &str = r#"
psql: some notice
pgha-database {"name":"a b","collations":[],"extensions":[],"unloggedTables":["public.t"]}
pgha-queue archive-push-queue-max = 1GB
pgha-async yes
pgha-free 1024
pgha-peer no
pgha-clock 90
"#;

    fn output() -> String {
        format!("{}{REST}", SERVER.replace('\n', ""))
    }

    #[test]
    fn a_whole_look_is_read() {
        let facts = read(&output(), 100).unwrap();
        assert_eq!(facts.server.version, 150_018);
        assert_eq!(facts.databases["a b"].unlogged_tables, ["public.t"]);
        assert_eq!(facts.queue_limits, ["archive-push-queue-max = 1GB"]);
        assert!(facts.archives_asynchronously);
        assert_eq!(facts.free_bytes, Some(1 << 20));
        assert_eq!(facts.reaches_peer, Some(false));
        assert_eq!(facts.clock_behind_s, 10);
    }

    #[test]
    fn a_look_that_ended_early_is_none() {
        let cut = output().replace("pgha-clock 90\n", "ERROR:  \u{1b}[2Jstatement timeout\n");
        assert!(read(&cut, 100).is_none());
        assert_eq!(last_line(&cut), "ERROR:  \\u{1b}[2Jstatement timeout");
        assert_eq!(last_line("\n"), "it said nothing");
    }

    #[test]
    fn a_section_without_a_host_names_no_peer() {
        let object = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        assert!(Peer::of(&object(r#"{"spec":{"standby":{"repoName":"repo1"}}}"#)).is_none());
        let peer = Peer::of(&object(r#"{"spec":{"standby":{"host":"h","port":6432}}}"#)).unwrap();
        assert_eq!((peer.host.as_str(), peer.port), ("h", 6432));
    }
}
