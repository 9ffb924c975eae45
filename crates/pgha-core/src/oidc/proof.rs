//! What a token that verifies proves of the time since a move began.

use jiff::{SignedDuration, Timestamp};

use super::claims::Claims;

/// How long before now a login counts as just made when nobody named a time.
pub const JUST_NOW: SignedDuration = SignedDuration::from_mins(10);

/// Which proof a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The person logged in since then: the whole way through the login page worked.
    FreshLogin,
    /// The token was issued since then for a login from before: the issuer's token endpoint and its session worked, the
    /// login page is not proved.
    RefreshedSession,
    /// The token was issued since then and does not say when the login was.
    NewToken,
    /// The token is from before: it proves only that the issuer still publishes the key.
    OldToken,
}

impl Proof {
    /// Judges by when the token was issued and when the login was, both by the issuer's clock.
    pub fn of(claims: &Claims, since: Timestamp) -> Self {
        let is_since = |name| matches!(claims.time(name), Ok(Some(time)) if time >= since);
        match (is_since("iat"), claims.time("auth_time")) {
            (false, _) => Self::OldToken,
            (true, Ok(None)) => Self::NewToken,
            (true, _) if is_since("auth_time") => Self::FreshLogin,
            (true, _) => Self::RefreshedSession,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FreshLogin => "fresh-login",
            Self::RefreshedSession => "refreshed-session",
            Self::NewToken => "new-token",
            Self::OldToken => "old-token",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_times_of_issue_and_of_login_tell_the_proof() {
        let since = Timestamp::from_second(1000).unwrap();
        for (claims, proof) in [
            (json!({"iat": 1000, "auth_time": 1000}), Proof::FreshLogin),
            (
                json!({"iat": 1001, "auth_time": 999}),
                Proof::RefreshedSession,
            ),
            (
                json!({"iat": 1001, "auth_time": "now"}),
                Proof::RefreshedSession,
            ),
            (json!({"iat": 1001}), Proof::NewToken),
            (json!({"iat": 999, "auth_time": 1001}), Proof::OldToken),
            (json!({"auth_time": 1001}), Proof::OldToken),
        ] {
            let claims = Claims(claims.as_object().cloned().unwrap());
            assert_eq!(Proof::of(&claims, since), proof, "{claims:?}");
        }
    }

    /// The login that the runbook shows as its proof: the session was three days old.
    #[test]
    fn the_runbooks_login_was_a_refreshed_session() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let claims =
            json!({"iat": time("2024-03-14T22:13:24Z"), "auth_time": time("2024-03-11T15:49:46Z")});
        let claims = Claims(claims.as_object().cloned().unwrap());
        let since = "2024-03-14T22:00:00Z".parse().unwrap();
        assert_eq!(Proof::of(&claims, since), Proof::RefreshedSession);
    }
}
