//! What Postgres says, through `psql` in the database container.

use std::fmt::Write as _;
use std::time::Duration;

use pgha_model::control::{ControlData, InvalidControlData};
use pgha_model::lsn::Lsn;
use pgha_model::postgres::PostgresFacts;
use tokio::io::AsyncBufReadExt as _;
use tokio::time::timeout;

use crate::client::SiteClient;
use crate::exec::{Container, ExecError, Process, Shell};

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// `psql` could not be started, was lost, or did not answer in time.
    #[error("could not ask Postgres")]
    Exec(#[source] ExecError),
    /// Postgres refused the statement.
    #[error("Postgres on {member} said {sqlstate}: {message}")]
    Refused {
        /// Which member.
        member: String,
        /// Five characters (PostgreSQL documentation, appendix A).
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// The answer is not what the statement returns.
    #[error("Postgres on {member} answered something else than {expected}")]
    Unreadable {
        /// Which member.
        member: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// A `psql` that stays open in a member's database container, as the superuser over the local socket.
///
/// A statement that was not seen to end spoils it: open another.
pub struct Psql {
    process: Process,
    member: String,
    container: Container,
    statements: u64,
    spoiled: bool,
}

/// A statement that tells everything of [`PostgresFacts`] as one JSON line.
const FACTS: &str = "\
select json_build_object(
  'inRecovery', pg_is_in_recovery(),
  'systemIdentifier', (select system_identifier::text from pg_control_system()),
  'checkpointTimeline', (select timeline_id from pg_control_checkpoint()),
  'checkpointAt', (select checkpoint_lsn::text from pg_control_checkpoint()),
  'recoveryTimeline', case when pg_is_in_recovery() then
    (select nullif(min_recovery_end_timeline, 0) from pg_control_recovery()) end,
  'recoveryEnd', case when pg_is_in_recovery() then
    (select min_recovery_end_lsn::text from pg_control_recovery()) end,
  'writtenTimeline', case when not pg_is_in_recovery() then
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,
  'flushed', case when not pg_is_in_recovery() then pg_current_wal_flush_lsn()::text end,
  'received', case when pg_is_in_recovery() then pg_last_wal_receive_lsn()::text end,
  'replayed', case when pg_is_in_recovery() then pg_last_wal_replay_lsn()::text end,
  'replayedAt', case when pg_is_in_recovery() then pg_last_xact_replay_timestamp() end,
  'replayPaused', case when pg_is_in_recovery() then pg_is_wal_replay_paused() end,
  'serverVersion', current_setting('server_version_num')::int,
  'archiveMode', current_setting('archive_mode'),
  'archiveCommand', current_setting('archive_command'),
  'restoreCommand', current_setting('restore_command'),
  'applyDelayMs', (select setting::bigint from pg_settings where name = 'recovery_min_apply_delay'),
  'recoveryTargets', (select coalesce(json_agg(name), '[]') from pg_settings
    where name in ('recovery_target', 'recovery_target_lsn', 'recovery_target_name', 'recovery_target_time',
      'recovery_target_xid') and setting <> ''),
  'synchronousStandbyNames', current_setting('synchronous_standby_names'),
  'segmentSizeBytes', (select setting::bigint from pg_settings where name = 'wal_segment_size'),
  'lastArchived', (select last_archived_wal from pg_stat_archiver),
  'failingArchive', (select case when last_failed_time > coalesce(last_archived_time, '-infinity')
    then last_failed_wal end from pg_stat_archiver),
  'receiverStatus', (select status from pg_stat_wal_receiver),
  'receivedTimeline', (select received_tli from pg_stat_wal_receiver where latest_end_lsn is not null),
  'receivers', (select coalesce(json_agg(json_build_object('application_name', application_name,
    'state', coalesce(state, ''), 'sync_state', coalesce(sync_state, ''))), '[]') from pg_stat_replication))";

impl Psql {
    /// Opens `psql` in a member's container, and proves that Postgres answers.
    pub async fn open(
        site: &SiteClient,
        container: &Container,
        limit: Duration,
    ) -> Result<Self, SqlError> {
        let argv = ["psql", "-X", "-q", "-A", "-t", "-d", "postgres"];
        let late = || ExecError::Timeout {
            container: container.clone(),
            limit,
        };
        let process = timeout(limit, Process::start(site, container, &argv))
            .await
            .unwrap_or_else(|_elapsed| Err(late()))
            .map_err(SqlError::Exec)?;
        let member = container.pod.clone();
        let container = container.clone();
        let mut psql = Self {
            process,
            member,
            container,
            statements: 0,
            spoiled: false,
        };
        psql.query("select 1", limit).await?;
        Ok(psql)
    }

    /// The member it speaks to.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// The container that it runs in.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Runs one statement and returns its rows, a line each, fields separated by `|`.
    pub async fn query(&mut self, statement: &str, limit: Duration) -> Result<String, SqlError> {
        let [rows] = self.query_each([statement], limit).await?;
        Ok(rows)
    }

    /// Runs statements one after the other for one round trip, each in a transaction of its own, and returns the rows of
    /// each. One that fails does not stop those after it; the first failure is the answer.
    pub async fn query_each<const N: usize>(
        &mut self,
        statements: [&str; N],
        limit: Duration,
    ) -> Result<[String; N], SqlError> {
        if self.spoiled {
            return Err(self.lost());
        }
        self.spoiled = true;
        let late = ExecError::Timeout {
            container: self.container.clone(),
            limit,
        };
        let answers = timeout(limit, self.query_to_end(&statements))
            .await
            .unwrap_or(Err(SqlError::Exec(late)))?;
        self.spoiled = false;
        let rows: Vec<String> = answers.into_iter().collect::<Result<_, _>>()?;
        rows.try_into()
            .map_err(|_| self.unreadable("each statement"))
    }

    async fn query_to_end(
        &mut self,
        statements: &[&str],
    ) -> Result<Vec<Result<String, SqlError>>, SqlError> {
        let first = self.statements + 1;
        let mut framed = String::new();
        for statement in statements {
            self.statements += 1;
            // psql sets these variables after each statement (PostgreSQL documentation, psql, "Variables").
            let end = end_of(self.statements);
            let _ = write!(
                framed,
                "{statement}\n;\n\\echo {end} :SQLSTATE :LAST_ERROR_MESSAGE\n"
            );
        }
        let given = self.process.give(framed.as_bytes()).await;
        given.map_err(SqlError::Exec)?;
        let mut answers = Vec::new();
        for number in first..=self.statements {
            answers.push(self.read_answer(&end_of(number)).await?);
        }
        Ok(answers)
    }

    /// Reads what one statement returned or why it failed; an error when its end was not seen.
    async fn read_answer(&mut self, end: &str) -> Result<Result<String, SqlError>, SqlError> {
        let mut rows = String::new();
        loop {
            let mut line = Vec::new();
            let read = self.process.stdout.read_until(b'\n', &mut line).await;
            if !read.is_ok_and(|bytes| bytes > 0) {
                return Err(self.lost());
            }
            let line = String::from_utf8_lossy(&line);
            match line.strip_prefix(end) {
                Some(rest) => return Ok(self.ended(&rows, rest.trim())),
                None => rows.push_str(&line),
            }
        }
    }

    fn ended(&self, rows: &str, state: &str) -> Result<String, SqlError> {
        let (sqlstate, message) = state.split_once(' ').unwrap_or((state, ""));
        // The variable keeps an earlier message; only the state tells whether this statement failed.
        if sqlstate == "00000" {
            return Ok(rows.trim_end_matches('\n').to_owned());
        }
        Err(SqlError::Refused {
            member: self.member.clone(),
            sqlstate: sqlstate.to_owned(),
            message: crate::diagnose::sanitised(message),
        })
    }

    fn lost(&self) -> SqlError {
        SqlError::Exec(ExecError::Lost {
            container: self.container.clone(),
        })
    }

    /// Everything of [`PostgresFacts`], from one statement.
    pub async fn facts(&mut self, limit: Duration) -> Result<PostgresFacts, SqlError> {
        let row = self.query(FACTS, limit).await?;
        serde_json::from_str(&row).map_err(|_| self.unreadable("its facts"))
    }

    /// A position, from a statement that returns one.
    pub async fn lsn(&mut self, statement: &str, limit: Duration) -> Result<Lsn, SqlError> {
        let row = self.query(statement, limit).await?;
        row.trim()
            .parse()
            .map_err(|_| self.unreadable("a position"))
    }

    /// Waits on the server, without a round trip a look, until it has replayed past a position; returns up to where it
    /// has. `Ok(None)`: not within the time, or the server is no longer in recovery.
    ///
    /// The position returned is the end of the last replayed record.
    pub async fn await_replay(
        &mut self,
        past: Lsn,
        within: Duration,
    ) -> Result<Option<Lsn>, SqlError> {
        let condition = format!("pg_last_wal_replay_lsn() > '{past}' or not pg_is_in_recovery()");
        let wait = wait_statement(&condition, within);
        let replayed = format!(
            "select pg_last_wal_replay_lsn() where pg_is_in_recovery() and pg_last_wal_replay_lsn() > '{past}'"
        );
        let asked = [&*wait, &*replayed];
        let [_, row] = self.query_each(asked, within + ANSWER_TIME).await?;
        if row.is_empty() {
            return Ok(None);
        }
        row.trim()
            .parse()
            .map(Some)
            .map_err(|_| self.unreadable("a position"))
    }

    /// Waits on the server until it is out of recovery; whether it is.
    pub async fn await_promotion(&mut self, within: Duration) -> Result<bool, SqlError> {
        let wait = wait_statement("not pg_is_in_recovery()", within);
        let asked = [&*wait, "select pg_is_in_recovery()"];
        let [_, row] = self.query_each(asked, within + ANSWER_TIME).await?;
        Ok(row.trim() == "f")
    }

    fn unreadable(&self, expected: &'static str) -> SqlError {
        SqlError::Unreadable {
            member: self.member.clone(),
            expected,
        }
    }
}

fn end_of(statement: u64) -> String {
    format!("pgha-end-of-statement-{statement}")
}

/// How long the answer to a simple statement may take.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Pause between two looks inside the server.
const LOOK_SECONDS: f64 = 0.005;

/// A statement that ends when the condition holds, or the time is over.
///
/// It commits at each look: a snapshot kept on a standby conflicts with replay, which would then wait for us
/// (PostgreSQL documentation, 27.4.2 "Handling Query Conflicts").
fn wait_statement(condition: &str, within: Duration) -> String {
    let seconds = within.as_secs_f64();
    format!(
        "do $$ declare ends_at timestamptz := clock_timestamp() + interval '{seconds} seconds'; begin \
         while not ({condition}) and clock_timestamp() < ends_at loop perform pg_sleep({LOOK_SECONDS}); commit; \
         end loop; end $$"
    )
}

/// Why control data was not read.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The program did not run to its end.
    #[error("could not read the control data")]
    Exec(#[source] ExecError),
    /// It printed something else.
    #[error("could not read the control data")]
    Invalid(#[source] InvalidControlData),
}

/// Reads a member's control file; Postgres need not run.
pub async fn fetch_control_data(
    shell: &mut Shell,
    limit: Duration,
) -> Result<ControlData, ControlError> {
    let output = shell
        .run(PRINT_CONTROL_DATA, limit)
        .await
        .map_err(ControlError::Exec)?;
    let text = output.ok(shell.container()).map_err(ControlError::Exec)?;
    ControlData::from_text(&text).map_err(ControlError::Invalid)
}

/// Prints the control file in the language that [`ControlData::from_text`] reads.
pub const PRINT_CONTROL_DATA: &str = "LC_ALL=C pg_controldata \"$PGDATA\"";
