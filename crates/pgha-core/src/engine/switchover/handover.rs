//! archive-get out of the way, and the last segments handed over directly.
//!
//! An archive-only target asks the repository for each segment and, when it is promoted, for histories that are not
//! there: each request is a process and a TLS connection, and together they are most of the write gap.

use std::time::Duration;

use pgha_model::handover::{Arrival, judge_arrivals, segments_between};
use pgha_model::lsn::{Lsn, SegmentSize};
use pgha_model::plan::Step;
use pgha_model::proof::Closure;

use super::Switchover;
use super::before::await_setting;
use crate::engine::StepError;
use crate::exec::Process;
use crate::operator::pgo_v5::render;
use crate::postgres::ANSWER_TIME;

/// A restore command that has nothing, at no cost.
const NOTHING: &str = "/bin/false";

/// The first release whose `restore_command` changes without a restart (PostgreSQL 14 release notes, E.1.3.1.6).
const RELOADS_RESTORE_COMMAND: u32 = 140_000;

/// How many segments are handed over at most; a target that is further behind gets archive-get back.
const MAX_SEGMENTS: usize = 8;

/// How long the hand-over may take before archive-get is put back.
const LIMIT: Duration = Duration::from_secs(20);

/// Reads names of segments from a line, writes their sums to stderr and their content, packed, to stdout.
const SEND: &str = r#"
read -r names && cd "$PGDATA/pg_wal" && { sha256sum -- $names >&2 & } && tar -cf - -- $names | gzip -1; wait"#;

/// Reads a count of bytes from a line and so many packed bytes after it; says of each segment what arrived: sum, name,
/// size, and from its page header timeline, position and system identifier (PostgreSQL source, `xlog_internal.h`,
/// `XLogLongPageHeaderData`).
const RECEIVE: &str = r#"
set -e -o pipefail
read -r count
into=$(readlink -f "$PGDATA/pg_wal").pgha
rm -rf "$into"; mkdir -m 700 "$into"
head -c "$count" | tar -xzf - -C "$into"
cd "$into"
for name in *; do
  field() { od -An -v -t "u$2" -j "$1" -N "$2" -- "$name" | tr -d ' '; }
  set -- $(sha256sum -- "$name")
  echo "$1 $name $(stat -c %s -- "$name") $(field 4 4) $(field 8 8) $(field 24 8)"
done
sync -- *"#;

/// Moves what arrived into the log, oldest first. A file of that name may be there: Postgres recycles old segments under
/// names that are still to come.
const ACCEPT: &str = r#"
log=$(readlink -f "$PGDATA/pg_wal"); into=$log.pgha
for name in "$into"/*; do mv -f -- "$name" "$log/"; done; rm -rf "$into"; sync -- "$log""#;

/// Both ends, each started and waiting for its first line.
pub(super) struct Handover {
    sender: Process,
    receiver: Process,
}

impl Switchover<'_> {
    /// The target stops asking the archive, and the direct way is opened.
    pub(super) async fn detach(&mut self) -> Result<((), String), StepError> {
        let version = self
            .target
            .facts
            .postgres
            .as_ref()
            .map_or(0, |facts| facts.server_version);
        if version < RELOADS_RESTORE_COMMAND {
            return Ok((
                (),
                "This Postgres cannot change restore_command while it runs.".to_owned(),
            ));
        }
        let archive_only = self.is_archive_only();
        if archive_only {
            let ends = (
                self.source.start_script(SEND),
                self.target.start_script(RECEIVE),
            );
            let (sender, receiver) = tokio::try_join!(ends.0, ends.1)?;
            self.handover = Some(Handover { sender, receiver });
        }
        let mut config = self.target.config();
        render::set_restore_command(&mut config, NOTHING);
        self.target.send_config(&config).await?;
        let limit = self.limits.step;
        for psql in &mut self.target.members {
            await_setting(psql, "restore_command", NOTHING, limit).await?;
        }
        self.await_last_request(limit).await?;
        let way = if archive_only {
            "; the last segments go directly"
        } else {
            ""
        };
        Ok((
            (),
            format!("restore_command is {NOTHING} on every member of the target{way}."),
        ))
    }

    /// A request that began before the change goes on; a promotion would wait for it.
    async fn await_last_request(&mut self, limit: Duration) -> Result<(), StepError> {
        let shell = self.target.shell()?;
        let none_left = "for look in 1 2; do while pgrep -f 'archive-get [0-9A-F]' >/dev/null; do sleep 0.05; done; \
                         sleep 0.25; done";
        shell
            .run(none_left, limit)
            .await
            .map(drop)
            .map_err(StepError::Exec)
    }

    /// Hands the segments over, from the target's position to the source's end. When that does not work the target gets
    /// its archive-get back: slower, and proved all the same. Whether it worked.
    pub(super) async fn hand_over(&mut self, handover: Handover, closure: &Closure) -> bool {
        let handed = tokio::time::timeout(LIMIT, self.try_hand_over(handover, closure)).await;
        let failed = match handed {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("it took more than {} s", LIMIT.as_secs()),
        };
        self.note(
            Step::Prove,
            format!("The segments were not handed over ({failed}); the archive has to do."),
        );
        let mut config = self.target.config();
        if let Some(before) = self
            .target
            .facts
            .postgres
            .as_ref()
            .map(|facts| facts.restore_command.clone())
        {
            render::set_restore_command(&mut config, &before);
        }
        if let Err(error) = self.target.send_config(&config).await {
            self.note(
                Step::Prove,
                format!("The target's restore_command was not put back: {error}."),
            );
        }
        false
    }

    async fn try_hand_over(
        &mut self,
        handover: Handover,
        closure: &Closure,
    ) -> Result<(), StepError> {
        let Handover {
            mut sender,
            mut receiver,
        } = handover;
        let replayed: Lsn = self
            .target
            .psql()?
            .lsn("select pg_last_wal_replay_lsn()", ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        let facts = self.source.facts.postgres.as_ref();
        let size = facts.and_then(|facts| SegmentSize::from_bytes(facts.segment_size_bytes));
        let size = size.unwrap_or(SegmentSize::DEFAULT);
        let names = segments_between(closure, replayed, size, MAX_SEGMENTS);
        let names = names.ok_or_else(|| changed("the target is too far behind"))?;
        sender
            .give(format!("{}\n", names.join(" ")).as_bytes())
            .await
            .map_err(StepError::Exec)?;
        let sent = sender.finish_bytes().await.map_err(StepError::Exec)?;
        if sent.exit_code != 0 {
            return Err(changed(format!(
                "the source could not send: {}",
                sent.stderr.trim()
            )));
        }
        let count = format!("{}\n", sent.stdout.len());
        receiver
            .give(count.as_bytes())
            .await
            .map_err(StepError::Exec)?;
        receiver.give(&sent.stdout).await.map_err(StepError::Exec)?;
        let received = receiver.finish().await.map_err(StepError::Exec)?;
        if received.exit_code != 0 {
            return Err(changed(format!(
                "the target could not receive: {}",
                received.stderr.trim()
            )));
        }
        let arrivals = Arrival::from_text(&received.stdout);
        judge_arrivals(closure, &names, size, &sent.stderr, &arrivals).map_err(changed)?;
        let shell = self.target.shell()?;
        let container = shell.container().clone();
        let accepted = shell.run(ACCEPT, LIMIT).await.map_err(StepError::Exec)?;
        accepted.ok(&container).map_err(StepError::Exec).map(drop)
    }
}

fn changed(what: impl AsRef<str>) -> StepError {
    StepError::BasisChanged {
        what: crate::diagnose::sanitised(what.as_ref()),
    }
}
