//! Keeping a side from being primary by its configuration alone, whatever starts there and whenever.

use std::time::Duration;

use pgha_model::failover::SourceSight;
use serde_json::{Map, Value};

use super::promote::look_at_source;
use super::side::settled;
use super::{Side, StepError};
use crate::clock;
use crate::operator::pgo_v5::render;
use crate::settle::{Look, await_until};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// A standby's section that names no server. With one, Patroni rewinds a forked member by itself (Patroni
/// `postgresql/rewind.py`), and what only that member holds is gone before anybody has kept it.
pub(super) fn without_server(section: &Map<String, Value>) -> Map<String, Value> {
    let mut section = section.clone();
    if section.contains_key("repoName") {
        section.remove("host");
        section.remove("port");
    }
    section
}

/// Patroni's configuration of a side that is kept down.
pub(super) fn config_kept_down(side: &Side, section: &Map<String, Value>) -> Value {
    let mut config = render::config_as_standby(&side.config(), section);
    // A paused Patroni would not act on it.
    render::set_pause(&mut config, false);
    config
}

/// Makes a side a standby by its object and by Patroni's configuration, and waits until no member of it is seen to write.
/// Its operator is not held: it may be gone, and what it renders from the object is the same.
pub(super) async fn keep_down(
    side: &mut Side,
    section: &Map<String, Value>,
    limit: Duration,
) -> Result<SourceSight, StepError> {
    let patch = side.standby_patch(section, true);
    side.send_object(&patch).await?;
    let place = side.facts.survey.place.clone();
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        // An operator that was at work on the old object may have put back what it read from it.
        side.refresh().await?;
        let config = config_kept_down(side, section);
        side.send_config(&config).await?;
        let sight = look_at_source(&place, Ok(side)).await;
        Ok::<_, StepError>(match sight.primary() {
            None => Look::Settled(sight),
            Some(pod) => Look::NotYet(format!("{pod} takes writes")),
        })
    });
    settled("a side without a primary", limit, settlement.await?)
}
