//! What a failover does before it promotes: the source is fenced as far as it can be reached, and what the target has
//! received is replayed.

use pgha_model::failover::{FenceProof, Risk, SourceSight};
use pgha_model::plan::Step;
use pgha_model::site::Part;
use pgha_model::standstill::at_rest;
use pgha_model::timeline::Timeline;

use super::PromotionRun;
use super::sight::{look_at_source, look_at_supply};
use crate::clock;
use crate::engine::keep_down::{config_kept_down, keep_down, without_server};
use crate::engine::side::settled;
use crate::engine::standstill::read_side;
use crate::engine::switchover::planned;
use crate::engine::{PlannedPatch, Side, StepError, changed};
use crate::settle::{Look, await_until};

/// Pause between two looks.
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);

/// The patches that fence the source, as they would be sent now.
pub(super) fn fence_patches(source: &Side, target: &Side) -> [PlannedPatch; 2] {
    let section = without_server(&source.standby_section(target));
    let config = config_kept_down(source, &section);
    [
        planned(Step::Fence, source, source.standby_patch(&section, true)),
        planned(Step::Fence, source, source.config_patch(&config)),
    ]
}

impl PromotionRun {
    /// Fences the source by its configuration, and sees that no member of it writes.
    pub(super) async fn fence(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.stop;
        let Some(source) = self.source.as_mut() else {
            return Err(changed("the source is no longer connected"));
        };
        self.fenced = true;
        let section = without_server(&source.standby_section(&self.target));
        let sight = keep_down(source, &section, limit, SourceSight::writer).await?;
        self.judge_silence(&sight)?;
        let seen = sight.sentences(clock::now()).join(" ");
        let evidence =
            format!("The source's object and Patroni's configuration make it a standby. {seen}");
        Ok(((), evidence))
    }

    /// Waits until the target has replayed everything that it received, and nothing more comes.
    pub(super) async fn drain(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.proof;
        let (target, supply) = (&mut self.target, &self.supply);
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            let rests = read_side(target)
                .await
                .and_then(|ends| at_rest(&ends, Part::Target));
            let ends = match rests {
                Ok(ends) => ends,
                Err(doubt) => return Ok(Look::NotYet(doubt.to_string())),
            };
            let now = look_at_supply(target, Some(supply)).await;
            Ok::<_, StepError>(match (now.is_alive(), ends.first()) {
                (None, Some((_, end))) => Look::Settled(*end),
                (Some(alive), _) => return Err(changed(alive)),
                (None, None) => Look::NotYet("the target has no members".to_owned()),
            })
        });
        let end = settled("the end of the replay", limit, settlement.await?)?;
        let held_at = match self.target.members.first_mut() {
            Some(psql) => psql.facts(limit).await.map_err(StepError::Sql)?.replayed_at,
            None => None,
        };
        let sight = self.see_source().await;
        let risk = Risk {
            held: Some(end.at),
            held_at,
            ..self.plan.risk.take().unwrap_or_default()
        };
        let risk = risk.ending_at(sight.closure.as_ref(), Some(end.timeline));
        let evidence = format!(
            "Everything that was received is replayed. {}",
            risk.sentences().join(" ")
        );
        self.accept(risk, end.timeline)?;
        Ok(((), evidence))
    }

    /// What may be lost is known best now, and is still no more than what is accepted.
    fn accept(&mut self, risk: Risk, timeline: Timeline) -> Result<(), StepError> {
        let failover = self.plan.failover.as_mut();
        let accepted = failover.as_ref().and_then(|failover| failover.accepted);
        if let Some(failover) = failover {
            failover.risk = risk.clone();
        }
        let exceeds = risk.exceeds(accepted, clock::now());
        self.plan.risk = Some(risk);
        match exceeds {
            None => Ok(()),
            Some(text) => Err(changed(format!("on timeline {timeline}: {text}"))),
        }
    }

    /// Right before the promotion: no member of the source takes writes, and nothing comes from it.
    pub(super) async fn look_again(&mut self) -> Result<(), StepError> {
        let sight = self.see_source().await;
        if let Some(pod) = sight.primary() {
            return Err(changed(format!("{pod} of the source takes writes")));
        }
        self.judge_silence(&sight)?;
        let supply = look_at_supply(&mut self.target, Some(&self.supply)).await;
        match supply.is_alive() {
            None => Ok(()),
            Some(alive) => Err(changed(alive)),
        }
    }

    async fn see_source(&self) -> SourceSight {
        let place = self.plan.failover.as_ref();
        let place = place.map_or(&self.plan.target, |failover| &failover.source);
        let unseen = "it was not seen when this began";
        look_at_source(place, self.source.as_ref().ok_or(unseen)).await
    }

    /// A member that does not answer may write, unless somebody has said that the site is down.
    fn judge_silence(&self, sight: &SourceSight) -> Result<(), StepError> {
        let fence = self.plan.failover.as_ref().map(|failover| &failover.fence);
        match sight.silence() {
            Some(silence) if fence == Some(&FenceProof::Source) => Err(changed(silence)),
            Some(_) | None => Ok(()),
        }
    }
}
