//! A user who gets a new password: the plan, what became of the old one, and what it came to. No value is in here.

use serde::Serialize;

use crate::check::{ResetConsent, ResetFacts, ResetSide, judge_reset};
use crate::finding::{Finding, Severity};
use crate::login::Logins;
use crate::plan::Refusal;
use crate::site::Place;

/// What Postgres and `PgBouncer` say, in English, of somebody whose password is another one (PostgreSQL `auth.c`, `auth_failed`).
const REFUSED: &str = "authentication failed";

/// What a new password will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetPlan {
    /// The side that takes writes.
    pub place: Place,
    /// The user in Postgres.
    pub user: String,
    /// The Secret, the same at both sides.
    pub secret: String,
    /// Whether a person gives the password; otherwise the operator makes one.
    pub given: bool,
    /// The users whose passwords become those of their Secrets too.
    pub others: Vec<String>,
    /// The other side, which gets the same one.
    pub peer: Option<Place>,
    /// The programs that have the old one until they read the Secret again, a clause each.
    pub readers: Vec<String>,
    /// What was seen that does not stop it.
    pub warnings: Vec<Finding>,
}

/// A user who has a new password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetOutcome {
    /// The side that takes writes.
    pub place: Place,
    /// The user in Postgres.
    pub user: String,
    /// The Secret, the same at both sides.
    pub secret: String,
    /// The other side, which was read back with the same one.
    pub peer: Option<Place>,
    /// What came of logging in with the new one.
    #[serde(flatten)]
    pub logins: Logins,
    /// Whether the old one was refused; `None` where that was not shown.
    pub old_refused: Option<bool>,
    /// The programs that have the old one until they read the Secret again, a clause each.
    pub readers: Vec<String>,
    /// What could not be proved, as full sentences.
    pub unproved: Vec<String>,
}

/// What became of the old password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldPassword {
    /// Postgres refuses it.
    Refused,
    /// It still lets the user in, through this service.
    LetsIn {
        /// Which.
        service: String,
    },
    /// It was not tried, or it is not known why it did not let the user in; the reason as a clause.
    NotShown {
        /// Why.
        because: String,
    },
}

impl OldPassword {
    /// What logins with it say.
    pub fn of(logins: &Logins) -> Self {
        let unknown = |because: &str| Self::NotShown {
            because: because.trim_end_matches('.').to_owned(),
        };
        let mut tried = logins.tried.iter();
        if let Some(login) = tried.clone().find(|login| login.failed.is_none()) {
            let service = login.service.clone();
            return Self::LetsIn { service };
        }
        let mut others = tried.clone().filter_map(|login| login.failed.as_deref());
        match (tried.next(), others.find(|said| !said.contains(REFUSED))) {
            (Some(_), None) => Self::Refused,
            (Some(_), Some(said)) => unknown(said),
            (None, _) => unknown(logins.unchecked.first().map_or("it was not tried", |it| it)),
        }
    }
}

/// Plans a new password, or says why there is none. `given` says that a person brings it.
pub fn plan_reset(
    facts: &ResetFacts<'_>,
    given: bool,
    consent: ResetConsent,
) -> Result<ResetPlan, Refusal> {
    let findings = judge_reset(facts, consent);
    if findings.failures().next().is_some() {
        return Err(Refusal(findings.failures().cloned().collect()));
    }
    let peer = facts.peer.seen();
    let place = |one: ResetSide<'_>| one.side.survey.place.clone();
    let readers = [Some(facts.here), peer]
        .into_iter()
        .flatten()
        .flat_map(|one| {
            let context = &one.side.survey.place.context;
            let found = one.readers.found.iter();
            found.map(move |reader| format!("{reader} at {context}"))
        });
    Ok(ResetPlan {
        place: place(facts.here),
        user: facts.user.to_owned(),
        secret: facts.secret.to_owned(),
        given,
        others: facts.others(),
        peer: peer.map(place),
        readers: readers.collect(),
        warnings: findings
            .0
            .into_iter()
            .filter(|finding| finding.severity == Severity::Warn)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Login;

    fn logins(failed: &[Option<&str>]) -> Logins {
        let login = |failed: Option<&str>| Login {
            user: "app".to_owned(),
            service: "zitadel-primary".to_owned(),
            failed: failed.map(str::to_owned),
        };
        Logins {
            tried: failed.iter().copied().map(login).collect(),
            unchecked: Vec::new(),
        }
    }

    #[test]
    fn only_a_refusal_of_the_password_itself_shows_that_it_is_worth_nothing() {
        let refused = "FATAL:  password authentication failed for user \"app\"";
        assert_eq!(
            OldPassword::of(&logins(&[Some(refused)])),
            OldPassword::Refused
        );
        let lets_in = OldPassword::LetsIn {
            service: "zitadel-primary".to_owned(),
        };
        assert_eq!(OldPassword::of(&logins(&[Some(refused), None])), lets_in);
        let unknown = |because: &str| OldPassword::NotShown {
            because: because.to_owned(),
        };
        assert_eq!(
            OldPassword::of(&logins(&[Some("Connection refused")])),
            unknown("Connection refused")
        );
        assert_eq!(OldPassword::of(&logins(&[])), unknown("it was not tried"));
        let unchecked = Logins {
            unchecked: vec!["No login was tried: no exec.".to_owned()],
            ..Logins::default()
        };
        assert_eq!(
            OldPassword::of(&unchecked),
            unknown("No login was tried: no exec")
        );
    }
}
