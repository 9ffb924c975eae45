//! What a look at something learned.

use serde::Serialize;

/// A fact that was looked for. Unseen is not absent: a partition hides a primary, it does not stop it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Observed<T> {
    /// It was read, and this is what it said.
    Seen(T),
    /// It could not be read.
    Unseen {
        /// Why, as a lowercase fragment without a full stop.
        because: String,
    },
}

impl<T> Observed<T> {
    /// An unseen fact, with the reason.
    pub fn unseen(because: impl Into<String>) -> Self {
        Self::Unseen {
            because: because.into(),
        }
    }

    /// The fact, or why it was not seen.
    pub fn seen(&self) -> Result<&T, &str> {
        match self {
            Self::Seen(fact) => Ok(fact),
            Self::Unseen { because } => Err(because),
        }
    }

    /// The fact when it was seen.
    pub fn as_seen(&self) -> Option<&T> {
        self.seen().ok()
    }

    /// The same observation of something inside the fact.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Self::Seen(fact) => Observed::Seen(change(fact)),
            Self::Unseen { because } => Observed::Unseen { because },
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Observed<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(fact) => Self::Seen(fact),
            Err(error) => Self::Unseen {
                because: error.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_unseen_with_its_reason() {
        let observed: Observed<u8> = Err::<u8, _>("timed out").into();
        assert_eq!(observed.seen(), Err("timed out"));
    }
}
