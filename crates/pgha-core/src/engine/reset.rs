//! A user gets a new password: at the primary's operator, until Postgres holds it, then in the Secret of the other side, and
//! somebody logs in with it.
//!
//! The other side's Secret comes before the logins: from the moment that Postgres holds the new password, a promotion of the other
//! side would bring the old one back.

use std::time::Duration;

use pgha_model::check::{Readers, ResetSide};
use pgha_model::reset::{OldPassword, ResetOutcome, ResetPlan};
use serde_json::Value;

use super::side::settled;
use super::upkeep::{Told, UpkeepError, basis, refuse_changed};
use super::{Interrupt, Side, StepError, changed};
use crate::clock::{self, Instant};
use crate::diagnose::{chain_of, sanitised};
use crate::login::Programs;
use crate::operator::pgo_v5::secret::{user_secret, users};
use crate::postgres::ANSWER_TIME;
use crate::secret::{GivenPassword, SecretSide};
use crate::surroundings::look_around;
use crate::survey::SurveyError;

/// How long each login is tried: a pooler learns of a new password with its next look.
const LOGIN_LIMIT: Duration = Duration::from_secs(20);

/// What was seen of one side's passwords.
pub struct PasswordSight {
    secrets: SecretSide,
    denied: Result<Vec<String>, String>,
    readers: Readers,
}

impl PasswordSight {
    /// Looks at the Secrets of a side, at who owns that of one user, and at the programs that read it.
    pub async fn look(side: &Side, user: &str) -> Result<Self, SurveyError> {
        let secret = user_secret(&side.cluster, user);
        let looked = Box::pin(SecretSide::look(side.site.clone(), &side.cluster));
        let around = Box::pin(list_readers(side, &secret));
        let (secrets, readers) = tokio::join!(looked, around);
        let mut secrets = secrets?;
        secrets.ask_owners(&secret).await;
        let denied = secrets.denied(&secret).await;
        Ok(Self {
            denied: denied.map_err(|error| chain_of(&error)),
            secrets,
            readers,
        })
    }

    /// The same as facts, with what else was seen of that side.
    pub fn facts<'a>(&'a self, side: &'a Side) -> ResetSide<'a> {
        ResetSide {
            side: &side.facts,
            record: side.journal.as_ref().map(|_| ()).map_err(String::as_str),
            secrets: &self.secrets.facts,
            denied: self.denied.as_deref().map_err(String::as_str),
            readers: &self.readers,
        }
    }
}

/// Who reads a Secret. That it could not be looked at forbids nothing.
async fn list_readers(side: &Side, secret: &str) -> Readers {
    let around = match look_around(&side.site, &side.cluster).await {
        Ok(around) => around,
        Err(error) => {
            return Readers {
                found: Vec::new(),
                unread: vec![chain_of(&error)],
            };
        }
    };
    let found = around.workloads.iter().filter_map(|workload| {
        let places = workload.places_of(secret);
        let object = sanitised(&workload.object());
        (!places.is_empty()).then(|| format!("{object} ({})", places.join(", ")))
    });
    Readers {
        found: found.collect(),
        unread: around.unread,
    }
}

impl Side {
    /// The users that the object asks for.
    pub fn users(&self) -> Vec<String> {
        let users = users(&self.cluster, self.object());
        users.into_iter().map(sanitised).collect()
    }

    /// The Secret of a user.
    pub fn secret_of(&self, user: &str) -> String {
        user_secret(&self.cluster, user)
    }
}

/// A new password under way.
pub struct ResetRun {
    plan: ResetPlan,
    side: Side,
    here: SecretSide,
    there: Option<SecretSide>,
    given: Option<GivenPassword>,
    limit: Duration,
    decided_from: [Option<Value>; 4],
}

impl ResetRun {
    /// A run that carries out a plan made from these sights, of the side that takes writes and of the other one; `limit` is how long
    /// it may take.
    pub fn new(
        plan: ResetPlan,
        (side, here): (Side, PasswordSight),
        there: Option<PasswordSight>,
        given: Option<GivenPassword>,
        limit: Duration,
    ) -> Self {
        Self {
            decided_from: basis(side.object()),
            plan,
            side,
            here: here.secrets,
            there: there.map(|there| there.secrets),
            given,
            limit,
        }
    }

    /// Carries the plan out.
    ///
    /// # Errors
    /// The request was not taken, Postgres was not seen to hold the new password, the other side does not have it, or nobody logged in
    /// with it.
    pub async fn run(
        mut self,
        interrupt: Interrupt,
        tell: &mut Told<'_>,
    ) -> Result<ResetOutcome, UpkeepError> {
        let (place, user) = (self.plan.place.clone(), self.plan.user.clone());
        let deadline = clock::monotonic() + self.limit;
        let before = |error| {
            let what = format!("the password of {user} at {place} was not changed");
            UpkeepError::before(what, error)
        };
        let checked = Box::pin(interrupt.stops(self.check())).await;
        checked.map_err(before)?;
        let asked = self
            .here
            .reset(&self.plan.secret, self.given.as_ref())
            .await;
        asked.map_err(StepError::Secret).map_err(before)?;
        tell(&format!(
            "The operator was asked for a new verifier in {}.",
            self.plan.secret
        ));
        let made = Box::pin(interrupt.stops(self.await_made(deadline))).await;
        let anew = made.map_err(|error| {
            let what = format!("Postgres at {place} was not seen to hold a new password of {user}");
            UpkeepError::after(what, error)
        })?;
        tell("Postgres holds it.");
        if let (Some(there), Some(peer)) = (&self.there, &self.plan.peer) {
            let copied = self.copy(&anew, there, deadline);
            let copied = Box::pin(interrupt.stops(copied)).await;
            copied.map_err(|error| {
                let what = format!(
                    "the new password of {user} is in force at {place}, and {peer} was not seen to have it"
                );
                UpkeepError::after(what, error)
            })?;
            tell(&format!("{peer} has the same one."));
        }
        let concluded = Box::pin(interrupt.stops(self.conclude(&anew))).await;
        concluded.map_err(|error| {
            let what = format!("the new password of {user} is in force, and not as it should be");
            UpkeepError::after(what, error)
        })
    }

    /// The object still says what was decided from, no move was claimed, and the leader takes writes.
    async fn check(&mut self) -> Result<(), StepError> {
        self.side.refresh().await?;
        refuse_changed(&self.side, &self.decided_from)?;
        let asked = self
            .side
            .psql()?
            .query("select pg_is_in_recovery()", ANSWER_TIME);
        let said = asked.await.map_err(StepError::Sql)?;
        if said.trim() == "f" {
            return Ok(());
        }
        Err(changed("the leader takes no writes any more"))
    }

    async fn await_made(&self, deadline: Instant) -> Result<SecretSide, StepError> {
        let (secret, given) = (&self.plan.secret, self.given.as_ref());
        let made = self.here.await_reset(secret, given, deadline).await;
        settled(
            "a new password in Postgres",
            self.limit,
            made.map_err(StepError::Secret)?,
        )
    }

    async fn copy(
        &self,
        anew: &SecretSide,
        there: &SecretSide,
        deadline: Instant,
    ) -> Result<(), StepError> {
        let secret = &self.plan.secret;
        let copied = anew.copy_to(there, secret).await;
        copied.map_err(StepError::Secret)?;
        let names = [secret.clone()];
        let left = anew.await_copied(there, &names, deadline).await;
        if left.map_err(StepError::Secret)?.is_empty() {
            return Ok(());
        }
        Err(StepError::NotSettled {
            what: "the same password at the other side",
            limit: self.limit,
            seen: format!("{secret} is not as it should be there"),
        })
    }

    /// The user logs in with the new password, and not with the old one.
    async fn conclude(&self, anew: &SecretSide) -> Result<ResetOutcome, StepError> {
        let (plan, user) = (&self.plan, &self.plan.user);
        let programs = self.side.programs();
        let programs = programs.ok_or_else(|| changed("this side has no leader"))?;
        let logins = programs.log_in_as(user, self.limit.min(LOGIN_LIMIT)).await;
        if logins.all_fail() {
            return Err(changed(logins.remarks().join(" ")));
        }
        let mut unproved = logins.remarks();
        let old_refused = self.try_old(&programs, anew, &mut unproved).await?;
        let unchanged = anew.is_unchanged(&plan.secret).await;
        if !unchanged.map_err(StepError::Secret)? {
            let what = format!("somebody has changed the Secret {} again", plan.secret);
            return Err(changed(what));
        }
        Ok(ResetOutcome {
            place: plan.place.clone(),
            user: user.clone(),
            secret: plan.secret.clone(),
            peer: plan.peer.clone(),
            logins,
            old_refused,
            readers: plan.readers.clone(),
            unproved,
        })
    }

    /// Whether the old password is refused; where that is not shown, it is said.
    async fn try_old(
        &self,
        programs: &Programs,
        anew: &SecretSide,
        unproved: &mut Vec<String>,
    ) -> Result<Option<bool>, StepError> {
        let (user, secret) = (&self.plan.user, &self.plan.secret);
        let old = self.here.password(secret);
        let Some(old) = old.filter(|old| anew.password(secret) != Some(old)) else {
            unproved.push("There was no other password before.".to_owned());
            return Ok(None);
        };
        match OldPassword::of(&programs.log_in_with(user, old).await) {
            OldPassword::Refused => Ok(Some(true)),
            OldPassword::LetsIn { service } => Err(changed(format!(
                "the old password still lets {user} in through {service}: Postgres asks for none there (pg_hba.conf), or somebody \
                 has put the old one back"
            ))),
            OldPassword::NotShown { because } => {
                unproved.push(format!(
                    "That the old password is refused is not proved: {because}."
                ));
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
