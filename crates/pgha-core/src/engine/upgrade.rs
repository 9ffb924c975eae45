//! Every member of one side gets other images: the operator replaces their pods, replicas first and the leader last, and each
//! is looked at until it runs. Where one cannot start, the images are put back.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use pgha_model::check::StartAs;
use pgha_model::effect::Effect;
use pgha_model::survey::{Images, Member, SiteSurvey};
use pgha_model::upgrade::{UpgradeOutcome, UpgradePlan, Upgraded, Versions};
use serde_json::Value;

use super::running::{Proved, Running, wanted_members};
use super::side::{doubt, settled};
use super::upkeep::{InTheWay, Told, UpkeepError, basis, pods_beside_jobs, send};
use super::{Interrupt, Side, StepError, changed};
use crate::client::SiteClient;
use crate::clock::{self, Instant};
use crate::diagnose::{chain_of, sanitised};
use crate::operator::pgo_v5::{self, render};
use crate::patch::ObjectPatch;
use crate::settle::{Look, await_until};
use crate::survey::{Depth, survey_site};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// An upgrade under way.
pub struct UpgradeRun {
    plan: UpgradePlan,
    side: Side,
    /// Where the other side is, when it was seen.
    peer: Option<SiteClient>,
    limit: Duration,
    decided_from: [Option<Value>; 4],
}

/// How the operator's work ended.
enum Rolled {
    /// Every member runs the images, and all of it is quiet.
    Everywhere(Box<SiteSurvey>),
    /// A member does not start with them; a clause.
    Stuck(String),
}

/// The patch that asks for it, as it would be sent now.
pub fn upgrade_patch(side: &Side, images: &Images) -> ObjectPatch {
    render::images(side.object(), &side.cluster, images)
}

impl UpgradeRun {
    /// An upgrade that carries out a plan made from these sides; `limit` is how long it may take until every member runs, and as long
    /// again where the images are put back.
    pub fn new(plan: UpgradePlan, side: Side, peer: Option<&Side>, limit: Duration) -> Self {
        Self {
            peer: peer.map(|peer| peer.site.clone()),
            decided_from: basis(side.object()),
            plan,
            side,
            limit,
        }
    }

    /// Carries the plan out.
    ///
    /// # Errors
    /// The request was not taken, a member did not start with the new images, or did not run when the time was over, or Postgres is
    /// something else than before. Whoever runs it again waits for the rest.
    pub async fn run(
        mut self,
        interrupt: Interrupt,
        tell: &mut Told<'_>,
    ) -> Result<UpgradeOutcome, UpkeepError> {
        let place = self.plan.place.clone();
        if !self.plan.asked {
            let images = self.plan.images.clone();
            let patch = |side: &Side| upgrade_patch(side, &images);
            let sent = send(&mut self.side, &self.decided_from, patch).await;
            let what = format!("{place} was asked for no other images");
            sent.map_err(|error| UpkeepError::before(what, error))?;
            tell("The operator was asked for the images: it replaces the leader last.");
        }
        let deadline = clock::monotonic() + self.limit;
        let failed = |error| {
            let what = format!("{place} was not seen to run the images everywhere");
            UpkeepError::after(what, error)
        };
        let rolled = Box::pin(interrupt.stops(self.await_images(deadline, tell))).await;
        let survey = match rolled.map_err(failed)? {
            Rolled::Everywhere(survey) => survey,
            Rolled::Stuck(because) => {
                return Err(Box::pin(self.take_back(because, interrupt, tell)).await);
            }
        };
        let running = Running {
            side: &self.side,
            peer: self.peer.as_ref(),
            limit: self.limit,
        };
        let runs_as = if self.plan.is_primary {
            StartAs::Primary
        } else {
            StartAs::Standby
        };
        let proved = Box::pin(interrupt.stops(running.prove(runs_as, deadline))).await;
        Ok(self.conclude(&survey, proved.map_err(failed)?))
    }

    /// Waits until every member runs the images and every source names the same leader, or one does not start.
    async fn await_images(
        &self,
        deadline: Instant,
        tell: &mut Told<'_>,
    ) -> Result<Rolled, StepError> {
        let images = &self.plan.images;
        let mut in_the_way = InTheWay::new(tell);
        let settlement = await_until(deadline, LOOK, async || {
            let survey =
                match survey_site(&self.side.site, &self.side.cluster, Depth::Members).await {
                    Ok(survey) => survey,
                    Err(error) => return Ok(Look::NotYet(chain_of(&error))),
                };
            if !survey.object.images.have(images) {
                return Err(changed("somebody has changed the images meanwhile"));
            }
            let mut new = survey.members.iter();
            let stuck = new.find_map(|member| {
                let because = member.stuck.as_ref()?;
                let is_new = member.images.have(images);
                is_new.then(|| {
                    format!(
                        "{} does not start with the new images: {because}",
                        member.pod
                    )
                })
            });
            if let Some(because) = stuck {
                return Ok(Look::Settled(Rolled::Stuck(because)));
            }
            let seen = match self.left_to_replace(&survey).await {
                Some(left) => Some(left),
                None => doubt(&survey),
            };
            let Some(seen) = seen else {
                return Ok(Look::Settled(Rolled::Everywhere(Box::new(survey))));
            };
            Ok(in_the_way.not_yet(seen))
        });
        settled("a rollout to every member", self.limit, settlement.await?)
    }

    /// What does not run the images yet, as a full sentence.
    async fn left_to_replace(&self, survey: &SiteSurvey) -> Option<String> {
        let images = &self.plan.images;
        let old = survey
            .members
            .iter()
            .filter(|member| !is_new(member, images));
        let mut left: Vec<String> = old.map(|member| member.pod.clone()).collect();
        let wanted = wanted_members(self.side.object());
        if survey.members.len() < wanted {
            return Some(format!(
                "{} of {wanted} members are there.",
                survey.members.len()
            ));
        }
        if left.is_empty() {
            match self.hosts_with_other_image().await {
                Ok(hosts) => left = hosts,
                Err(error) => return Some(format!("{}.", chain_of(&error))),
            }
        }
        (!left.is_empty()).then(|| format!("Still to be replaced: {}.", left.join(", ")))
    }

    /// The pods beside the members, such as a repository host, whose pgBackRest is of another image.
    async fn hosts_with_other_image(&self) -> Result<Vec<String>, StepError> {
        let Some(wanted) = &self.plan.images.pgbackrest else {
            return Ok(Vec::new());
        };
        let pods = pods_beside_jobs(&self.side).await?;
        let is_other = |pod: &&Pod| {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut backrest = containers.filter(|one| one.name == pgo_v5::BACKREST_CONTAINER);
            backrest.any(|one| one.image.as_deref() != Some(wanted))
        };
        let others = pods.iter().filter(is_other);
        Ok(others.map(|pod| sanitised(&pod.name_any())).collect())
    }

    /// Puts the images back that were there before, and waits until every member runs.
    async fn take_back(
        mut self,
        because: String,
        interrupt: Interrupt,
        tell: &mut Told<'_>,
    ) -> UpkeepError {
        let place = self.plan.place.clone();
        if self.plan.asked {
            let what = format!("the images of {place} stay: what was there before is not known");
            return UpkeepError::after(what, changed(because));
        }
        tell(&format!("{because}. The images are put back."));
        let back = render::images_back(&self.side.cluster, &self.plan.images, &self.plan.before);
        if let Err(error) = self.side.send_object(&back).await {
            let what = format!("{because}, and the images of {place} were not put back");
            return UpkeepError::after(what, error);
        }
        let well = Box::pin(interrupt.stops(self.await_as_before(tell))).await;
        if let Err(error) = well {
            let what = format!(
                "{because}; the images of {place} were put back, and not every member was seen to run"
            );
            return UpkeepError::after(what, error);
        }
        UpkeepError {
            what: format!("the images of {place} are those from before again"),
            effect: Effect::None,
            is_taken_back: true,
            source: Box::new(changed(because)),
        }
    }

    async fn await_as_before(&self, tell: &mut Told<'_>) -> Result<(), StepError> {
        let wanted = wanted_members(self.side.object());
        let mut in_the_way = InTheWay::new(tell);
        let deadline = clock::monotonic() + self.limit;
        let settlement = await_until(deadline, LOOK, async || {
            let survey = survey_site(&self.side.site, &self.side.cluster, Depth::Members).await;
            let seen = match survey {
                Err(error) => Some(chain_of(&error)),
                Ok(survey) => {
                    let mut members = survey.members.iter();
                    let new = members.find(|one| one.images.have(&self.plan.images));
                    let missing = survey.members.len() < wanted;
                    match new {
                        Some(new) => Some(format!("{} has the new images still.", new.pod)),
                        None if missing => Some("A member is not there.".to_owned()),
                        None => doubt(&survey),
                    }
                }
            };
            let Some(seen) = seen else {
                return Ok::<_, StepError>(Look::Settled(()));
            };
            Ok(in_the_way.not_yet(seen))
        });
        settled("the members from before", self.limit, settlement.await?)
    }

    fn conclude(self, survey: &SiteSurvey, proved: Proved) -> UpgradeOutcome {
        let mut unproved = proved.unproved;
        let mut members = Vec::new();
        for member in &survey.members {
            let mut planned = self.plan.members.iter();
            let before = planned.find(|one| one.identity.pod == member.pod);
            let (before, now) = (before.map(|one| one.runs), Versions::of(member));
            let is_older = before.is_some_and(|before| now.server_version < before.server_version);
            if is_older && now.server_version.is_some() {
                unproved.push(format!(
                    "{} runs an older Postgres than before.",
                    member.pod
                ));
            }
            members.push(Upgraded {
                pod: member.pod.clone(),
                before,
                now,
            });
        }
        let leader = survey.lock_holder();
        UpgradeOutcome {
            place: self.plan.place,
            members,
            leader: leader.map_or_else(String::new, |leader| leader.pod.clone()),
            committed: proved.committed,
            replay: proved.replay,
            unproved,
        }
    }
}

/// Whether a member's pod was made with the images, and stays.
fn is_new(member: &Member, images: &Images) -> bool {
    member.images.have(images) && !member.terminating
}

#[cfg(test)]
mod tests;
