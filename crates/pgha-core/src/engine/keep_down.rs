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

/// Makes a side a standby by its object and by Patroni's configuration, and waits until a look at it finds nothing in the
/// way: [`SourceSight::writer`], or [`SourceSight::not_down`] where nobody may be left unseen.
/// Its operator is not held: it may be gone, and what it renders from the object is the same.
pub(super) async fn keep_down(
    side: &mut Side,
    section: &Map<String, Value>,
    limit: Duration,
    in_the_way: fn(&SourceSight) -> Option<String>,
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
        Ok::<_, StepError>(match in_the_way(&sight) {
            None => Look::Settled(sight),
            Some(what) => Look::NotYet(what),
        })
    });
    settled("a side without a primary", limit, settlement.await?)
}

#[cfg(test)]
mod tests {
    use pgha_model::site::Part;
    use pgha_testkit::pgo::PgoSite;
    use pgha_testkit::{Failure, FakeCluster, Fault};

    use super::*;
    use crate::client::SiteClient;

    const NAMESPACE: &str = "prod-iam-zitadel";
    const LIMIT: Duration = Duration::from_secs(5);

    /// What keeping the cluster's side down found after `happens`.
    async fn kept_down(
        site: &PgoSite,
        happens: fn(&FakeCluster),
        in_the_way: fn(&SourceSight) -> Option<String>,
    ) -> Result<SourceSight, StepError> {
        let cluster = site.build();
        let core1 = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
        let mut kept = Box::pin(Side::open(core1, "zitadel", Part::Source))
            .await
            .unwrap();
        happens(&cluster);
        let section = Map::new();
        Box::pin(keep_down(&mut kept, &section, LIMIT, in_the_way)).await
    }

    fn pods_unseen(cluster: &FakeCluster) {
        let refused = Fault::new(Failure::Forbidden).verb("list");
        cluster.fail(refused.resource("pods"));
    }

    fn is_not_settled(ended: &Result<SourceSight, StepError>) -> bool {
        matches!(ended, Err(StepError::NotSettled { .. }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_takes_writes_is_waited_for() {
        let primary = PgoSite::primary("zitadel", NAMESPACE, clock::now());
        let ended = kept_down(&primary, |_| (), SourceSight::writer).await;
        assert!(is_not_settled(&ended), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_is_not_seen_is_not_down() {
        let standby = PgoSite::standby("zitadel", NAMESPACE, clock::now());
        let ended = kept_down(&standby, pods_unseen, SourceSight::not_down).await;
        assert!(is_not_settled(&ended), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_does_not_answer_is_not_down() {
        let standby = PgoSite::standby("zitadel", NAMESPACE, clock::now()).without_live_answers();
        let ended = kept_down(&standby, |_| (), SourceSight::not_down).await;
        assert!(is_not_settled(&ended), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_whose_members_are_all_in_recovery_is_down() {
        let standby = PgoSite::standby("zitadel", NAMESPACE, clock::now());
        let sight = kept_down(&standby, |_| (), SourceSight::not_down).await;
        assert_eq!(sight.unwrap().members.len(), 2);
    }
}
