//! Branches that are dead: a history in the repository that the primary did not write, which whoever asks the archive for
//! the latest timeline follows all the same.

use std::time::Duration;

use pgha_model::timeline::Timeline;

use super::{Side, StepError};
use crate::operator::pgo_v5::render;

/// Where the history is fetched to, in the leader's container.
const PROBE: &str = "/tmp/pgha-history-probe";

/// Whether the repository that this side asks holds the history of a timeline. `false` where its Postgres was not seen, or
/// has no `restore_command`: then nobody asks.
pub(super) async fn holds_history(
    side: &mut Side,
    timeline: Timeline,
    limit: Duration,
) -> Result<bool, StepError> {
    let Some(facts) = &side.facts.postgres else {
        return Ok(false);
    };
    let history = timeline.history_file_name();
    let Some(fetch) = render::fetch_command(&facts.restore_command, &history, PROBE) else {
        return Ok(false);
    };
    let script = format!("{fetch}; code=$?; rm -f {PROBE}; exit $code");
    let shell = side.shell()?;
    let container = shell.container().clone();
    let output = shell.run(&script, limit).await.map_err(StepError::Exec)?;
    match output.exit_code {
        // pgBackRest ends with 1 when the archive does not hold the file (its documentation, `archive-get`).
        1 => Ok(false),
        0 => Ok(true),
        _ => {
            output.ok(&container).map_err(StepError::Exec)?;
            Ok(false)
        }
    }
}
