//! Pushing a side's log to its repository, past the queue of `archive-async`.

use std::time::Duration;

use pgha_model::proof::Closure;

use super::StepError;
use super::side::Side;
use crate::operator::pgo_v5::render;

/// Runs the push that a proof will need, on a segment that the archive holds already.
pub(super) async fn push_archived(
    side: &mut Side,
    segment: &str,
    limit: Duration,
) -> Result<(), StepError> {
    let command = push_command(side, segment)?;
    let shell = side.shell()?;
    let container = shell.container().clone();
    let output = shell.run(&command, limit).await.map_err(StepError::Exec)?;
    output.ok(&container).map_err(StepError::Exec).map(drop)
}

/// Pushes what the archive lacks of a stopped side's log: what Postgres marked as ready, and the segment of the shutdown
/// checkpoint, which it never marks.
pub(super) fn push_script(side: &Side, closure: &Closure) -> Result<String, StepError> {
    let command = push_command(side, &closure.segment)?;
    Ok(format!(
        "for ready in \"$PGDATA\"/pg_wal/archive_status/*.ready; do [ -e \"$ready\" ] || continue; \
         segment=${{ready##*/}}; segment=${{segment%.ready}}; {}; done; {command}",
        command.replace(&closure.segment, "$segment")
    ))
}

fn push_command(side: &Side, segment: &str) -> Result<String, StepError> {
    let facts = side.facts.postgres.as_ref();
    let command = facts.map_or("", |facts| facts.archive_command.as_str());
    render::push_command(command, segment).ok_or_else(|| StepError::BasisChanged {
        what: format!("the archive command `{command}` is not pgBackRest's"),
    })
}
