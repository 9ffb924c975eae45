//! Pushing a side's log to its repository, past the queue of `archive-async`.

use std::time::Duration;

use pgha_model::lsn::SegmentSize;
use pgha_model::proof::{Closure, Recovered};

use super::StepError;
use super::fence::RECOVERED;
use super::side::Side;
use crate::exec;
use crate::operator::pgo_v5::render;
use crate::postgres::ANSWER_TIME;

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
    Ok(script(&command, &closure.segment))
}

fn script(command: &str, segment: &str) -> String {
    format!(
        "for ready in \"$PGDATA\"/pg_wal/archive_status/*.ready; do [ -e \"$ready\" ] || continue; \
         segment=${{ready##*/}}; segment=${{segment%.ready}}; {}; done; {command}",
        command.replace(segment, "$segment")
    )
}

/// The same for a member that is back in recovery, which says itself how far its log goes. Returns the last segment's name.
pub(super) async fn push_recovered(
    of: &mut Side,
    leader: Option<&str>,
    limit: Duration,
) -> Result<String, StepError> {
    let (client, part) = (of.site.clone(), of.part);
    let identifier = of.facts.survey.system_identifier();
    let identifier = identifier.unwrap_or_default().to_owned();
    let own = of
        .members
        .iter()
        .position(|psql| leader.is_none_or(|leader| psql.member() == leader));
    let psql = of.members.get_mut(own.unwrap_or_default());
    let changed = |what: String| StepError::BasisChanged { what };
    let psql = psql.ok_or_else(|| changed(format!("the {part} has no members")))?;
    let asked = [RECOVERED, "show archive_command", "show wal_segment_size"];
    let [row, command, shown] = psql
        .query_each(asked, ANSWER_TIME)
        .await
        .map_err(StepError::Sql)?;
    let recovered = Recovered::from_row(&row);
    let recovered =
        recovered.ok_or_else(|| changed(format!("{} is not in recovery", psql.member())))?;
    let size = segment_size(&shown).unwrap_or(SegmentSize::DEFAULT);
    let closure = Closure::from_recovered(&recovered, &identifier, recovered.timeline, size);
    let segment = closure.map_err(StepError::NotProved)?.segment;
    let command = render::push_command(&command, &segment).ok_or_else(|| {
        changed(format!(
            "the archive command `{command}` is not pgBackRest's"
        ))
    })?;
    let script = script(&command, &segment);
    let pushed = exec::run_script(&client, psql.container(), &script, limit).await;
    pushed.map_err(StepError::Exec)?;
    Ok(segment)
}

/// Reads what Postgres shows, `16MB`.
fn segment_size(shown: &str) -> Option<SegmentSize> {
    let (number, unit) = match shown.trim() {
        text if text.ends_with("MB") => (text.trim_end_matches("MB"), 1 << 20),
        text if text.ends_with("GB") => (text.trim_end_matches("GB"), 1 << 30),
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    SegmentSize::from_bytes(number.checked_mul(unit)?)
}

fn push_command(side: &Side, segment: &str) -> Result<String, StepError> {
    let facts = side.facts.postgres.as_ref();
    let command = facts.map_or("", |facts| facts.archive_command.as_str());
    render::push_command(command, segment).ok_or_else(|| StepError::BasisChanged {
        what: format!("the archive command `{command}` is not pgBackRest's"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_segment_is_read_as_postgres_shows_it() {
        assert_eq!(segment_size("16MB"), Some(SegmentSize::DEFAULT));
        assert_eq!(segment_size("1GB"), SegmentSize::from_bytes(1 << 30));
        for text in ["", "MB", "16", "3MB", "16kB"] {
            assert_eq!(segment_size(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_ready_is_pushed_before_the_last_segment() {
        let segment = "000000010000000000000005";
        let command = format!("pgbackrest archive-push \"$PGDATA/pg_wal/{segment}\"");
        let script = script(&command, segment);
        assert!(script.contains("archive-push \"$PGDATA/pg_wal/$segment\"; done; "));
        assert!(script.ends_with(&command));
    }
}
