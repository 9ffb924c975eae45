//! archive-get out of the way, and the last segments handed over directly.
//!
//! An archive-only target asks the repository for each segment and, when it is promoted, for histories that are not
//! there: each request is a process and a TLS connection, and together they are most of the write gap.

use std::time::Duration;

use futures::future::try_join_all;
use pgha_model::handover::{Arrival, Cargo, Shipment};
use pgha_model::lsn::{Lsn, SegmentSize};
use pgha_model::plan::Step;
use pgha_model::proof::Closure;

use super::Switchover;
use super::before::POLL_INTERVAL;
use super::wait::await_setting;
use crate::engine::StepError;
use crate::exec::Process;
use crate::operator::pgo_v5::render::{self, NO_ARCHIVE};
use crate::postgres::ANSWER_TIME;

/// The first release whose `restore_command` changes without a restart (PostgreSQL 14 release notes, E.1.3.1.6).
const RELOADS_RESTORE_COMMAND: u32 = 140_000;

/// How many segments are handed over at most; a target that is further behind gets archive-get back.
const MAX_SEGMENTS: usize = 8;

/// How long the hand-over may take before archive-get is put back.
const LIMIT: Duration = Duration::from_secs(20);

/// How often an archive-only target looks for log when a look costs it next to nothing. One that streams would as often
/// try to reach the source that has stopped.
const LOOK_INTERVAL: &str = "50ms";

/// Reads from a line how much of the last segment to send and the segments' names; writes a line with how many bytes of
/// each it sends, and each as a gzip member of its own, whose sum and length the other end checks (RFC 1952, 2.3.1).
///
/// A segment that was ended early is sent only as far as it is log. The first record of the next one says where the record
/// before it is, and whether that is the switch (PostgreSQL source, `xlogrecord.h`, `XLogRecord`; `xlog_internal.h`,
/// `XLogLongPageHeaderData`; `pg_control.h`, `XLOG_SWITCH`), after which a reader goes on in the next segment.
const SEND: &str = r#"
set -e -o pipefail
read -r tail names
cd "$PGDATA/pg_wal"
set -- $names
log_bytes() {
  bytes=$(stat -c %s -- "$1")
  local header record at
  header=($(od -An -v -w56 -t u8 -N 56 -- "$2"))
  at=$((header[6] - header[1] + bytes))
  if [ "${header[2]}" = 0 ] && [ "$at" -gt 0 ] && [ "$at" -lt "$bytes" ]; then
    record=($(od -An -v -w24 -t u1 -j "$at" -N 24 -- "$1"))
    [ "${record[*]:0:4} ${record[*]:16:2}" = "24 0 0 0 64 0" ] && bytes=$(((at + 24) / 65536 * 65536 + 65536))
  fi
  lengths+=("$bytes")
}
lengths=()
while [ $# -gt 1 ]; do log_bytes "$1" "$2"; shift; done
lengths+=("$tail")
(IFS=,; echo "${lengths[*]}")
set -- $names
for length in "${lengths[@]}"; do head -c "$length" -- "$1" | gzip -1 -n -c; shift; done"#;

/// Reads from a line the size of a segment, a count of bytes, how many bytes of each segment are sent, and their names, and
/// so many packed bytes after the line; says of each segment what arrived, as [`Arrival`] reads it. Once it reads `accept`, moves them into the log, oldest
/// first, and wakes the server, which otherwise looks only after its interval.
///
/// Zeros are not written, only reserved. A segment of that name may be in the log already: Postgres recycles old segments
/// under names that are still to come. The mark `.done` is what Postgres itself leaves for a segment that it has fetched
/// (`xlogarchive.c`, `KeepFileRestoredFromArchive`): the source archives these segments, and nobody else.
const RECEIVE: &str = r#"
set -e -o pipefail; umask 077
read -r size count lengths names
lengths=(${lengths//,/ })
log=$(readlink -f "$PGDATA/pg_wal"); into=$log.pgha
rm -rf -- "$into"; mkdir -- "$into"; cd -- "$into"
head -c "$count" | gzip -d -c | for name in $names; do
  fallocate -l "$size" -- "$name" 2>/dev/null || truncate -s "$size" -- "$name"
  dd status=none bs=64K count="$((lengths[0] / 65536))" iflag=fullblock conv=sparse,notrunc of="$name"
  lengths=("${lengths[@]:1}")
done
for name in $names; do echo "$name $(stat -c %s -- "$name") $(od -An -v -w32 -t u8 -N 32 -- "$name")"; done
sync -- *
echo arrived
read -r go; [ "$go" = accept ]
for name in $names; do mv -f -- "$name" "$log/"; : > "$log/archive_status/$name.done"; done
pg_ctl reload -s -D "$PGDATA"
cd /; rmdir -- "$into"; sync -- "$log""#;

/// Both ends, each started and waiting for its first line.
pub(super) struct Handover {
    sender: Process,
    receiver: Process,
    /// Up to where the target had replayed when it no longer asked the archive: it does not move from there by itself.
    replayed: Lsn,
}

impl Switchover<'_> {
    /// The target stops asking the archive, and the direct way is opened.
    pub(super) async fn detach(&mut self) -> Result<((), String), StepError> {
        // Somebody may have let them go since: nobody may take back what the fence is about to write.
        let limit = self.limits.step;
        tokio::try_join!(
            self.source.hold_owners(limit),
            self.target.hold_owners(limit)
        )?;
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
        let mut config = self.target.config();
        render::set_restore_command(&mut config, NO_ARCHIVE);
        if self.is_archive_only() {
            render::set_parameter(
                &mut config,
                "wal_retrieve_retry_interval",
                Some(LOOK_INTERVAL),
            );
        }
        self.target.send_config(&config).await?;
        let limit = self.limits.step;
        for psql in &mut self.target.members {
            await_setting(psql, "restore_command", NO_ARCHIVE, limit).await?;
        }
        self.await_last_request(limit).await?;
        let way = if self.is_archive_only() {
            self.handover = Some(self.open_handover().await?);
            "; the last segments go directly"
        } else {
            ""
        };
        self.checkpoint(limit).await?;
        Ok((
            (),
            format!("restore_command is {NO_ARCHIVE} on every member of the target{way}."),
        ))
    }

    /// What is written now need not be written by the shutdown checkpoint, while nobody can write. On the target a
    /// restartpoint also keeps old segments under names to come (PostgreSQL documentation, 30.5 "WAL Configuration"): the
    /// last one arrives without a new file to fill first.
    async fn checkpoint(&mut self, limit: Duration) -> Result<(), StepError> {
        let members = self.target.members.iter_mut();
        let all = members.chain([self.source.psql()?]);
        try_join_all(all.map(|psql| psql.query("checkpoint", limit)))
            .await
            .map(drop)
            .map_err(StepError::Sql)
    }

    async fn open_handover(&mut self) -> Result<Handover, StepError> {
        let (sender, receiver) = tokio::try_join!(
            self.source.start_script(SEND),
            self.target.start_script(RECEIVE)
        )?;
        let replayed = "select pg_last_wal_replay_lsn()";
        let replayed = self.target.psql()?.lsn(replayed, ANSWER_TIME).await;
        Ok(Handover {
            sender,
            receiver,
            replayed: replayed.map_err(StepError::Sql)?,
        })
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
        self.ask_archive(&format!("The segments were not handed over ({failed})"))
            .await;
        false
    }

    /// The target asks the archive, and nobody else. `because` is a clause, as a full sentence begins.
    pub(super) async fn ask_archive(&mut self, because: &str) {
        self.note(Step::Prove, format!("{because}; the archive has to do."));
        let mut config = self.target.config();
        if let Some(before) = self
            .target
            .facts
            .postgres
            .as_ref()
            .map(|facts| facts.restore_command.clone())
        {
            render::set_restore_command(&mut config, &before);
            render::forget_server(&mut config);
            render::set_parameter(
                &mut config,
                "wal_retrieve_retry_interval",
                Some(POLL_INTERVAL),
            );
        }
        if let Err(error) = self.target.send_config(&config).await {
            self.note(
                Step::Prove,
                format!("The target's restore_command was not put back: {error}."),
            );
        }
    }

    async fn try_hand_over(
        &mut self,
        handover: Handover,
        closure: &Closure,
    ) -> Result<(), StepError> {
        let Handover {
            sender,
            receiver,
            replayed,
        } = handover;
        let facts = self.source.facts.postgres.as_ref();
        let size = facts.and_then(|facts| SegmentSize::from_bytes(facts.segment_size_bytes));
        let size = size.unwrap_or(SegmentSize::DEFAULT);
        let shipment = Shipment::plan(closure, replayed, size, MAX_SEGMENTS);
        let shipment = shipment.ok_or_else(|| changed("the target is too far behind"))?;
        let sent = send(sender, &shipment).await?;
        let cargo = shipment.read_cargo(&sent, size).map_err(changed)?;
        receive(receiver, closure, &shipment, size, &cargo).await
    }
}

async fn send(mut sender: Process, shipment: &Shipment) -> Result<Vec<u8>, StepError> {
    let wanted = format!("{} {}\n", shipment.tail_bytes, shipment.names.join(" "));
    sender
        .give(wanted.as_bytes())
        .await
        .map_err(StepError::Exec)?;
    let sent = sender.finish_bytes().await.map_err(StepError::Exec)?;
    if sent.exit_code == 0 {
        return Ok(sent.stdout);
    }
    let says = sent.stderr.trim();
    Err(changed(format!("the source could not send: {says}")))
}

async fn receive(
    mut receiver: Process,
    closure: &Closure,
    shipment: &Shipment,
    size: SegmentSize,
    cargo: &Cargo<'_>,
) -> Result<(), StepError> {
    let (size_bytes, names) = (size.as_bytes(), shipment.names.join(" "));
    let Cargo { lengths, packed } = cargo;
    let mut given = format!("{size_bytes} {} {lengths} {names}\n", packed.len()).into_bytes();
    given.extend_from_slice(packed);
    receiver.give(&given).await.map_err(StepError::Exec)?;
    let said = receiver.read_to_line("arrived").await;
    let Some(said) = said.map_err(StepError::Exec)? else {
        let ended = receiver.finish().await.map_err(StepError::Exec)?;
        let says = ended.stderr.trim();
        return Err(changed(format!("the target could not receive: {says}")));
    };
    let arrivals = Arrival::from_text(&said);
    shipment.judge(closure, size, &arrivals).map_err(changed)?;
    receiver.give(b"accept\n").await.map_err(StepError::Exec)?;
    let accepted = receiver.finish().await.map_err(StepError::Exec)?;
    if accepted.exit_code == 0 {
        return Ok(());
    }
    let says = accepted.stderr.trim();
    Err(changed(format!("the target could not accept: {says}")))
}

fn changed(what: impl AsRef<str>) -> StepError {
    StepError::BasisChanged {
        what: crate::diagnose::sanitised(what.as_ref()),
    }
}

#[cfg(test)]
mod tests;
