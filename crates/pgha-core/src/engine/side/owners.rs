//! The owners of this side's object, held while a move changes it.

use std::time::Duration;

use pgha_model::owner::{self, HeldFor, Named, Owner};
use serde_json::{Value, json};

use super::{Side, fetch_dynamic, fetch_object, says_standby};
use crate::client::CallError;
use crate::engine::{StepError, changed};
use crate::gitops::hold::{self, HoldError, Turn};
use crate::gitops::{self, Closeness};
use crate::operator::pgo_v5;
use crate::patch::ObjectPatch;
use crate::settle::pause;

/// Pause between two looks at the object while nobody takes writes: more looks would take the processor from who is to write it.
const LOOK: Duration = Duration::from_millis(40);

/// Nobody who applies Git's word has written the object sooner (measured with kustomize-controller 1.9.5: half a second).
const SOONEST: Duration = Duration::from_millis(200);

impl Side {
    /// The same side, whose owners are held before its object is changed; with the patches that do so, as they would be sent now.
    pub async fn holding_owners(mut self) -> Result<Self, HoldError> {
        let epoch = self.journal.as_ref().map(|journal| journal.epoch.next());
        let mark = self.mark(epoch.unwrap_or_default());
        for owner in self.facts.survey.object.owners.clone() {
            for named in owner.to_hold().unwrap_or_default() {
                let patch = hold::hold_patch(&self.site, &named, &mark).await?;
                self.owner_patches.push(patch);
            }
        }
        self.holds_owners = true;
        Ok(self)
    }

    /// The same side, of a move that changes what its owners' source says: they are let go only once they have shown what that is.
    ///
    /// # Errors
    /// The source may name `spec.paused`: an owner's turn would then wake the operator in the middle.
    pub fn through_git(mut self) -> Result<Self, StepError> {
        self.refuse_named_pause()?;
        self.source_moves = true;
        Ok(self)
    }

    /// An owner whose source names `spec.paused` would end the operator's pause in the middle.
    pub(in crate::engine) fn refuse_named_pause(&self) -> Result<(), StepError> {
        if self.paused_before().is_none() {
            return Ok(());
        }
        Err(changed(
            "spec.paused is in the object, so that its source may name it: the owner would then wake the operator in the middle. Take \
             it out of the source and of the object first",
        ))
    }

    /// Has those who apply this side's object take one turn with what was pushed, while the operator leaves the cluster alone, and
    /// sees that the object asks for this afterwards. Says who did; nothing where nobody applies it by himself.
    ///
    /// They work from then on, until they are held again.
    pub(in crate::engine) async fn take_turn(
        &mut self,
        owners: Vec<Owner>,
        standby: bool,
        limit: Duration,
    ) -> Result<Vec<Named>, StepError> {
        let cluster = self.own_name();
        let mut taken = Vec::new();
        for owner in owners {
            let is_held = owner
                .holds
                .as_ref()
                .is_some_and(|held| held.of(&cluster).is_some());
            let Some(named) = owner.named().filter(|_| is_held) else {
                continue;
            };
            let object = (cluster.as_str(), &self.object);
            let turn = hold::apply(&self.site, &named, object, limit);
            let turn = if standby {
                turn.await?
            } else {
                // Nobody writes meanwhile: what the owner does after it has written the object is not waited for.
                tokio::select! {
                    turn = turn => turn?,
                    () = self.until_primary_is_asked_for() => Turn::Taken,
                }
            };
            match turn {
                Turn::Taken => taken.push(named),
                Turn::Failed(because) => {
                    return Err(changed(format!("{named} has not applied it: {because}")));
                }
            }
        }
        self.refresh().await?;
        if !taken.is_empty() && self.object_says_standby() != standby {
            let asks = if standby { "a primary" } else { "a standby" };
            let names: Vec<String> = taken.iter().map(ToString::to_string).collect();
            return Err(changed(format!(
                "the object of the {} asks for {asks} after the turn of {}",
                self.part,
                names.join(" and ")
            )));
        }
        Ok(taken)
    }

    /// Waits, as long as it takes, until the object asks for a primary.
    async fn until_primary_is_asked_for(&self) {
        pause(SOONEST).await;
        loop {
            let object = fetch_object(&self.site, &self.cluster).await;
            if object.is_ok_and(|object| !says_standby(&object)) {
                return;
            }
            pause(LOOK).await;
        }
    }

    /// The patches that hold this side's owners.
    pub(in crate::engine) fn owner_patches(&self) -> &[ObjectPatch] {
        &self.owner_patches
    }

    /// Who owns the object now.
    pub(in crate::engine) async fn look_at_owners(&self) -> Result<Vec<Owner>, CallError> {
        let object = fetch_dynamic(&self.site, &self.cluster).await?;
        let (resource, fields) = (pgo_v5::resource(), pgo_v5::MOVED_FIELDS);
        let signed = gitops::signs(&object);
        let closeness = Closeness::Claimants;
        let looked = gitops::owners(&self.site, signed, &object, &resource, fields, closeness);
        Ok(Box::pin(looked).await)
    }

    /// Holds every owner that would take a change back, and sees them held. Who is held by a move of this cluster already, and was let
    /// go meanwhile, is held again, also where no owner was to be held.
    pub(in crate::engine) async fn hold_owners(
        &mut self,
        limit: Duration,
    ) -> Result<(), StepError> {
        if !self.holds_owners && self.facts.survey.object.owners.is_empty() {
            return Ok(());
        }
        let owners = self.look_at_owners().await?;
        let cluster = self.own_name();
        let all = self.holds_owners;
        let ours = |owner: &&Owner| all || !owner.held_for(&cluster).is_empty();
        let mut is_new = false;
        for owner in owners.iter().filter(ours) {
            let marked = owner.held_for(&cluster);
            if owner.is_held() && !marked.is_empty() {
                marked
                    .into_iter()
                    .rev()
                    .for_each(|(named, _)| self.know_held(named));
                continue;
            }
            let chain = owner.to_hold().map_err(|because| HoldError::NotHeld {
                told: format!("{owner} cannot be held: {because}"),
            });
            let mark = self.mark(self.epoch.unwrap_or_default());
            for named in chain? {
                // Before it is taken: what was written without an answer is let go too.
                self.know_held(named.clone());
                hold::take(&self.site, &named, &mark, limit).await?;
                is_new = true;
            }
        }
        if is_new && self.holds_owners {
            self.see_owners_held().await?;
        }
        Ok(())
    }

    fn know_held(&mut self, named: Named) {
        if !self.held_owners.contains(&named) {
            self.held_owners.push(named);
        }
    }

    async fn see_owners_held(&self) -> Result<(), StepError> {
        let owners = self.look_at_owners().await?;
        let acts = |owner: &&Owner| !owner.acts_by_hand();
        let reverting: Vec<Owner> = owner::reverting(&owners).filter(acts).cloned().collect();
        match owner::writing(&reverting) {
            Some(told) => Err(HoldError::NotHeld { told }.into()),
            None => Ok(()),
        }
    }

    /// Lets those owners go whose source says what the object says: where this side is again what it was when they were held, and
    /// their source has not been changed. The others stay held until their source is seen to say the same.
    pub(super) async fn let_owners_go(&mut self) -> Result<(), StepError> {
        if self.held_owners.is_empty() {
            return Ok(());
        }
        self.left_held.clear();
        for (named, held) in self.look_at_held().await? {
            if held.may_differ || held.standby != self.object_says_standby() {
                self.left_held.push(named);
            } else if !self.keeps_owners {
                hold::let_go(&self.site, &named, &held.cluster).await?;
            }
        }
        Ok(())
    }

    /// Nobody is let go from now on: this side is about to be changed.
    pub(in crate::engine) const fn keep_owners(&mut self) {
        self.keeps_owners = true;
    }

    /// Who stayed held when this side was released, and what is to be done about it, as full sentences; `None` where nobody did.
    pub(in crate::engine) fn told_left(&self) -> Option<String> {
        let names: Vec<String> = self.left_held.iter().map(ToString::to_string).collect();
        if names.is_empty() {
            return None;
        }
        let place = &self.facts.survey.place;
        Some(format!(
            "Held until Git says what {} is now: {}. To commit: {}. Then let go with `{}`.",
            place,
            names.join(", "),
            self.to_commit(),
            place.command("release")
        ))
    }

    /// What the source of this side's object must say for its owners to be let go, as a merge patch.
    pub(in crate::engine) fn to_commit(&self) -> Value {
        let standby = self.object.pointer("/spec/standby").cloned();
        json!({"spec": {"standby": standby.unwrap_or_default()}})
    }

    /// The owners that are held for this cluster, in the order in which they are let go.
    pub(in crate::engine) async fn look_at_held(&self) -> Result<Vec<(Named, HeldFor)>, CallError> {
        let (owners, cluster) = (self.look_at_owners().await?, self.own_name());
        let held = owners.iter().flat_map(|owner| owner.held_for(&cluster));
        Ok(held.collect())
    }

    /// Who is held for this cluster, as a sentence; nothing where nobody is.
    pub(in crate::engine) fn told_held(&self) -> String {
        let held = self.held_owners.iter();
        let names: Vec<String> = held.map(ToString::to_string).collect();
        match *names {
            [] => String::new(),
            [_] => format!(" At the {} {} is held.", self.part, names.join(", ")),
            _ => format!(" At the {} {} are held.", self.part, names.join(", ")),
        }
    }

    fn mark(&self, epoch: pgha_model::record::Epoch) -> HeldFor {
        HeldFor {
            cluster: self.own_name(),
            epoch,
            standby: self.object_says_standby(),
            may_differ: self.source_moves,
        }
    }

    /// How a mark names this side.
    pub(in crate::engine) fn own_name(&self) -> String {
        format!("{}/{}", self.site.namespace, self.cluster)
    }
}
