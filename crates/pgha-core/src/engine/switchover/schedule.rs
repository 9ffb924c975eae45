//! Backup schedules change sides when the operators work again.

use std::time::Duration;

use pgha_model::schedule::{Unsettled, judge_schedules};
use serde_json::Value;

use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::diagnose::chain_of;
use crate::engine::side::Side;
use crate::schedule::list_schedules;
use crate::settle::{Look, Settlement, await_until};

/// How long the operators have for it.
const LIMIT: Duration = Duration::from_secs(10);

const LOOK: Duration = Duration::from_millis(300);

/// Both sides, as far as schedules go.
pub(super) struct Schedules {
    source: (SiteClient, String, Value),
    target: (SiteClient, String, Value),
}

/// What came of the wait.
pub(super) struct Seen {
    /// The end of the evidence, as a fragment.
    pub(super) evidence: &'static str,
    /// What a person should know, each a full sentence.
    pub(super) remarks: Vec<String>,
}

impl Schedules {
    pub(super) fn of(source: &Side, target: &Side) -> Self {
        let side = |side: &Side| {
            (
                side.site.clone(),
                side.cluster.clone(),
                side.object().clone(),
            )
        };
        Self {
            source: side(source),
            target: side(target),
        }
    }

    /// Waits until the schedules that are there have changed sides; no move fails for them.
    pub(super) async fn settle(self) -> Seen {
        let looked = await_until(clock::monotonic() + LIMIT, LOOK, async || {
            let (unsettled, any) = self.look().await?;
            Ok::<_, CallError>(if unsettled.soon.is_empty() {
                Look::Settled((unsettled.later, any))
            } else {
                Look::NotYet(unsettled)
            })
        });
        let (evidence, remarks) = match looked.await {
            Ok(Settlement::Settled((_, false))) => {
                ("no backup schedules are asked for", Vec::new())
            }
            Ok(Settlement::Settled((later, true))) if later.is_empty() => (
                "the target's backup schedules run and the source's are suspended",
                later,
            ),
            Ok(Settlement::Settled((later, true))) => {
                ("the source makes no more backups by schedule", later)
            }
            Ok(Settlement::TimedOut { last_seen }) => {
                let Unsettled { soon, later } = last_seen.unwrap_or_default();
                let remarks = [soon, later].concat();
                ("the backup schedules have not changed sides", remarks)
            }
            Err(error) => {
                let because = format!("Backup schedules were not seen: {}.", chain_of(&error));
                ("backup schedules were not seen", vec![because])
            }
        };
        Seen { evidence, remarks }
    }

    /// What is not as it should be, and whether there are schedules at all.
    async fn look(&self) -> Result<(Unsettled, bool), CallError> {
        let list = async |side: &(SiteClient, String, Value)| {
            let (site, cluster, object) = side;
            list_schedules(site, cluster, object).await
        };
        let (source, target) = tokio::try_join!(list(&self.source), list(&self.target))?;
        let any = !target.asked.is_empty() || !source.present.is_empty();
        Ok((judge_schedules(&source, &target), any))
    }
}
