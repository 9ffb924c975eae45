//! Reads one member through its database container.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use pgha_judge::{ControlData, Lsn, Side, SideRows, TimelineHistory, TimelineId};

use super::service::Pod;
use crate::kubectl::Kubectl;
use crate::site::Site;

/// The container that PGO runs Postgres in.
const CONTAINER: &str = "database";

/// How long one reading may take, in seconds.
const PATIENCE_SECONDS: &str = "60";

/// Role and position by SQL; the timeline from the replication protocol, which alone tells the one
/// that a standby replays now (PostgreSQL documentation, "Streaming Replication Protocol").
const FACTS: &str = r#"
export LC_ALL=C
psql -XAtq -d postgres -c "select pg_is_in_recovery(), case when pg_is_in_recovery()
  then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end"
psql -XAtq "dbname=postgres replication=database" -c IDENTIFY_SYSTEM
pg_controldata
"#;

const ROWS: &str = r#"
set -e
ask() { psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }
[ "$(ask "$1" "select to_regclass('pgha_writer.rows') is null")" = t ] ||
  ask "$1" "copy (select lane, seq from pgha_writer.rows where run = '$2') to stdout csv"
"#;

/// What a member is now.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) system_identifier: String,
    pub(super) in_recovery: bool,
    pub(super) timeline: TimelineId,
    pub(super) lsn: Lsn,
}

/// One member: a pod of a site.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) site: Site,
    pub(super) pod: Pod,
}

impl Member {
    /// Runs a bash script in the database container, with arguments.
    pub(super) fn bash(&self, script: &str, args: &[&str]) -> Result<String> {
        let mut kubectl = Kubectl::new(self.site).command();
        kubectl.args(["exec", &self.pod.name, "--container", CONTAINER, "--"]);
        kubectl.args(["bash", "-c", script, "audit"]).args(args);
        // kubectl itself waits for ever for a site that is cut off.
        let mut command = Command::new("timeout");
        command
            .arg(PATIENCE_SECONDS)
            .arg(kubectl.get_program())
            .args(kubectl.get_args());
        command.stdin(Stdio::null());
        let output = command.output().context("cannot start `timeout`")?;
        // The verdict quotes this, so it is the reason alone and not the whole script.
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!("{}", reason.lines().next().unwrap_or("no answer in time"));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Reads what the member is now.
    ///
    /// # Errors
    /// Postgres does not answer; the error holds the state that its control data shows.
    pub(super) fn fetch_facts(&self) -> Result<Facts> {
        let text = self.bash(FACTS, &[])?;
        parse_facts(&text).map_err(|_| match ControlData::parse(&text) {
            Ok(control) => anyhow!("Postgres does not answer; control data: {}", control.state),
            Err(_) => anyhow!("neither Postgres nor pg_controldata answers"),
        })
    }

    /// Reads the run's rows; a member that does not even have the table has none.
    pub(super) fn fetch_rows(&self, database: &str, run: &str) -> Result<SideRows> {
        let text = self.bash(ROWS, &[database, run])?;
        Side::parse_rows(&text).map_err(anyhow::Error::msg)
    }

    /// Reads the history of the timeline that the member writes.
    ///
    /// # Errors
    /// There is none, although the timeline is not the first: nothing can be judged by it.
    pub(super) fn fetch_history(&self, timeline: TimelineId) -> Result<TimelineHistory> {
        let script = "[ \"$1\" = 1 ] || cat \"$PGDATA/pg_wal/$(printf %08X.history \"$1\")\"";
        let text = self.bash(script, &[&timeline.to_string()])?;
        Ok(TimelineHistory::parse(timeline, &text)?)
    }

    /// Ends the segment that the primary writes, so that an archive-fed standby can replay it, and
    /// returns where it ends.
    pub(super) fn switch_wal(&self) -> Result<Lsn> {
        let text = self.bash("psql -XAtq -d postgres -c 'select pg_switch_wal()'", &[])?;
        Ok(text.trim().parse()?)
    }
}

fn parse_facts(text: &str) -> Result<Facts> {
    let mut lines = text.lines();
    let mut fields = |what: &str| {
        let line = lines
            .next()
            .with_context(|| format!("there is no {what}"))?;
        Ok::<_, anyhow::Error>(line.split('|').map(str::to_owned).collect::<Vec<_>>())
    };
    let role = fields("role")?;
    let system = fields("system")?;
    let (Some(in_recovery), Some(lsn)) = (role.first(), role.get(1)) else {
        bail!("`{}` is no role and position", role.join("|"));
    };
    let (Some(system_identifier), Some(timeline)) = (system.first(), system.get(1)) else {
        bail!("`{}` is no system and timeline", system.join("|"));
    };
    Ok(Facts {
        system_identifier: system_identifier.clone(),
        in_recovery: in_recovery == "t",
        timeline: timeline.parse().context("the timeline is no number")?,
        lsn: lsn.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_position_and_timeline_are_read() {
        let facts = parse_facts("t|0/70000A0\n7442911|3|0/70000A0|\npg_control version\n").unwrap();
        assert!(facts.in_recovery);
        assert_eq!((facts.timeline, facts.lsn), (3, Lsn(0x0700_00A0)));
        assert_eq!(facts.system_identifier, "7442911");
    }

    #[test]
    fn control_data_alone_is_not_taken_for_an_answer() {
        assert!(parse_facts("pg_control version number:            1300\n").is_err());
        assert!(parse_facts("").is_err());
    }
}
