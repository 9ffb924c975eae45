//! What came of logging in as a program does.

use serde::Serialize;

/// One login over TCP that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The user in Postgres.
    pub user: String,
    /// The Kubernetes service that was connected to.
    pub service: String,
    /// What was said last; `None` when a transaction was committed on a primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What came of logging in as each user through each service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Logins {
    /// Those that were tried.
    pub tried: Vec<Login>,
    /// Why others were not, each a full sentence.
    pub unchecked: Vec<String>,
}

impl Logins {
    /// Whether logins were tried and every one failed.
    pub fn all_fail(&self) -> bool {
        !self.tried.is_empty() && self.tried.iter().all(|login| login.failed.is_some())
    }

    /// What a person should know beside the evidence, each a full sentence.
    pub fn remarks(&self) -> Vec<String> {
        let failed = self.tried.iter().filter_map(|login| {
            let (user, service) = (&login.user, &login.service);
            let said = login.failed.as_ref()?;
            Some(format!("{user} cannot log in through {service}: {said}."))
        });
        failed.chain(self.unchecked.iter().cloned()).collect()
    }

    /// How many logins worked, as a full sentence.
    pub fn evidence(&self) -> String {
        let worked = self.tried.iter().filter(|login| login.failed.is_none());
        match self.tried.len() {
            0 => "No login was tried.".to_owned(),
            all => format!(
                "{} of {all} logins over TCP committed a transaction.",
                worked.count()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(service: &str, failed: Option<&str>) -> Login {
        Login {
            user: "app".to_owned(),
            service: service.to_owned(),
            failed: failed.map(str::to_owned),
        }
    }

    #[test]
    fn a_login_that_fails_is_told_and_is_not_yet_everything() {
        let mut logins = Logins {
            tried: vec![
                login("db-primary", None),
                login("db-pgbouncer", Some("connection refused")),
            ],
            unchecked: vec!["There is no Secret db-pguser-late.".to_owned()],
        };
        assert!(!logins.all_fail());
        assert_eq!(
            logins.evidence(),
            "1 of 2 logins over TCP committed a transaction."
        );
        assert_eq!(
            logins.remarks(),
            [
                "app cannot log in through db-pgbouncer: connection refused.",
                "There is no Secret db-pguser-late."
            ]
        );
        logins.tried.remove(0);
        assert!(logins.all_fail());
    }

    #[test]
    fn what_was_not_tried_does_not_fail() {
        let logins = Logins::default();
        assert!(!logins.all_fail());
        assert_eq!(logins.evidence(), "No login was tried.");
    }
}
