//! What only the returning side holds: found by both histories and by Postgres' own reader of the log, and copied away.

use std::fmt::Write as _;
use std::time::Duration;

use pgha_model::control::ControlData;
use pgha_model::lsn::SegmentSize;
use pgha_model::rejoin::{KeptFile, Line, Stray, Tail, commits};
use pgha_model::timeline::{History, Timeline};
use sha2::{Digest as _, Sha256};

use super::Keep;
use crate::client::SiteClient;
use crate::clock;
use crate::engine::promotion::{read_history, timeline_of};
use crate::engine::side::{database, settled};
use crate::engine::{Side, StepError, changed};
use crate::exec::{self, Container, ExecError, Process};
use crate::postgres::PRINT_CONTROL_DATA;
use crate::settle::{Look, await_until};

/// How long the reading of one stretch of log may take.
const READ_TIME: Duration = Duration::from_mins(10);

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// How long the copy of one segment may take.
const COPY_TIME: Duration = Duration::from_mins(5);

/// A member with its control data and its line.
type Furthest = (Container, ControlData, Line);

/// Reads where the source's line leaves the target's; `None` where it does not.
///
/// Every member of the source is asked; the one whose control data has come furthest counts.
pub(super) async fn read_tail(
    source: &mut Side,
    target: &mut Side,
    limit: Duration,
) -> Result<Option<Tail>, StepError> {
    target.await_primary(limit).await?;
    let primary = target.psql()?;
    let timeline = timeline_of(primary).await?;
    let theirs = Line {
        timeline,
        history: read_history(primary, timeline).await?,
    };
    let (container, control, own) = await_furthest(source, limit).await?;
    let strays = own.strays_from(&theirs);
    if strays.is_empty() {
        return Ok(None);
    }
    read_strays(source, &container, strays, control.segment_size)
        .await
        .map(Some)
}

/// The member that has come furthest. A container that starts may end once more, so each is asked until all have answered.
async fn await_furthest(source: &Side, limit: Duration) -> Result<Furthest, StepError> {
    let settlement = await_until(
        clock::monotonic() + limit,
        LOOK,
        async || match find_furthest(source).await {
            Ok(furthest) => Ok(Look::Settled(furthest)),
            Err(StepError::Exec(lost @ (ExecError::Open { .. } | ExecError::Lost { .. }))) => {
                Ok(Look::NotYet(lost.to_string()))
            }
            Err(error) => Err(error),
        },
    );
    settled("the control data of every member", limit, settlement.await?)
}

async fn find_furthest(source: &Side) -> Result<Furthest, StepError> {
    let mut furthest: Option<Furthest> = None;
    for member in &source.facts.survey.members {
        let container = database(&member.pod);
        let (control, line) = read_line(source, &container).await?;
        let is_further = furthest.as_ref().is_none_or(|(_, other, _)| {
            (control.timeline, control.checkpoint) > (other.timeline, other.checkpoint)
        });
        if is_further {
            furthest = Some((container, control, line));
        }
    }
    furthest.ok_or_else(|| changed("the source has no members"))
}

/// A member's timeline with its history, from its files: its Postgres need not run.
async fn read_line(source: &Side, at: &Container) -> Result<(ControlData, Line), StepError> {
    let said = run(&source.site, at, PRINT_CONTROL_DATA, READ_TIME).await?;
    let control = ControlData::from_text(&said)
        .map_err(|_| changed(format!("the control data of {} cannot be read", at.pod)))?;
    let timeline = control.timeline;
    let history = if timeline == Timeline(1) {
        History::default()
    } else {
        let file = timeline.history_file_name();
        let said = run(
            &source.site,
            at,
            &format!("cat \"$PGDATA/pg_wal/{file}\""),
            READ_TIME,
        )
        .await?;
        History::from_file(&said)
            .map_err(|error| changed(format!("{file} of {} cannot be read: {error}", at.pod)))?
    };
    Ok((control, Line { timeline, history }))
}

async fn read_strays(
    source: &Side,
    at: &Container,
    strays: Vec<Stray>,
    size: SegmentSize,
) -> Result<Tail, StepError> {
    let (mut committed, mut is_empty, mut files) = (Vec::new(), true, Vec::new());
    for stray in &strays {
        let read = reader(stray);
        let first = run(
            &source.site,
            at,
            &format!("{read} --limit 1 2>/dev/null; true"),
            READ_TIME,
        )
        .await?;
        is_empty &= first.trim().is_empty();
        let said = format!("{read} --rmgr=Transaction 2>/dev/null; true");
        committed.extend(commits(&run(&source.site, at, &said, READ_TIME).await?));
        let list = format!(
            "cd \"$PGDATA/pg_wal\" && for file in {:08X}*; do [ -f \"$file\" ] && echo \"$file\"; done; true",
            stray.timeline.0
        );
        let first = stray.first_segment(size);
        let all = run(&source.site, at, &list, READ_TIME).await?;
        let wanted = |name: &&str| {
            name.get(..24)
                .is_none_or(|segment| segment >= first.as_str())
        };
        files.extend(all.lines().filter(wanted).map(str::to_owned));
    }
    if !is_empty && files.is_empty() {
        return Err(changed("the log after the fork is no longer at the source"));
    }
    Ok(Tail {
        member: at.pod.clone(),
        strays,
        committed: committed.len(),
        commits: committed,
        is_empty,
        files,
    })
}

/// Prints the records of a stretch. It ends with 1 where the log does (PostgreSQL source, `pg_waldump.c`).
fn reader(stray: &Stray) -> String {
    let mut command = format!(
        "LC_ALL=C pg_waldump --path \"$PGDATA/pg_wal\" --timeline {} --start {}",
        stray.timeline, stray.from
    );
    if let Some(to) = stray.to {
        let _ = write!(command, " --end {to}");
    }
    command
}

/// Copies every file of the tail, each compared by its sum, and the list of what was committed.
pub(super) async fn keep(
    source: &Side,
    tail: &Tail,
    keep: &mut dyn Keep,
) -> Result<Vec<KeptFile>, StepError> {
    let at = database(&tail.member);
    let mut kept = Vec::new();
    for file in &tail.files {
        let path = format!("\"$PGDATA/pg_wal/{file}\"");
        let sum = run(&source.site, &at, &format!("sha256sum < {path}"), COPY_TIME).await?;
        let content = fetch(source, &at, &format!("cat {path}")).await?;
        let sha256 = format!("{:x}", Sha256::digest(&content));
        if sum.split_whitespace().next() != Some(sha256.as_str()) {
            return Err(changed(format!("{file} changed while it was copied")));
        }
        store(keep, file, &content)?;
        kept.push(KeptFile {
            name: file.clone(),
            bytes: content.len() as u64,
            sha256,
        });
    }
    let mut list = tail.commits.join("\n");
    list.push('\n');
    store(keep, "transactions.txt", list.as_bytes())?;
    let told = serde_json::json!({"tail": tail, "files": kept});
    store(keep, "tail.json", format!("{told:#}\n").as_bytes())?;
    Ok(kept)
}

fn store(keep: &mut dyn Keep, name: &str, content: &[u8]) -> Result<(), StepError> {
    keep.file(name, content).map_err(|error| {
        changed(format!(
            "{name} cannot be kept in {}: {error}",
            keep.folder()
        ))
    })
}

async fn fetch(source: &Side, at: &Container, script: &str) -> Result<Vec<u8>, StepError> {
    let whole = async {
        let process = Process::start(&source.site, at, &exec::bash(script)).await?;
        process.finish_bytes().await
    };
    let late = || ExecError::Timeout {
        container: at.clone(),
        limit: COPY_TIME,
    };
    let ended = tokio::time::timeout(COPY_TIME, whole).await;
    let bytes = ended
        .unwrap_or_else(|_elapsed| Err(late()))
        .map_err(StepError::Exec)?;
    if bytes.exit_code == 0 {
        return Ok(bytes.stdout);
    }
    Err(changed(format!("a file of {} cannot be read", at.pod)))
}

/// What a script printed in a container of this site.
pub(super) async fn run(
    site: &SiteClient,
    at: &Container,
    script: &str,
    limit: Duration,
) -> Result<String, StepError> {
    let said = exec::run_script(site, at, script, limit).await;
    said.map_err(StepError::Exec)
}
