//! What a failed operation left behind.

use std::fmt;

use serde::Serialize;

/// What a failure changed, mildest first, so that the effect of several failures is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Nothing was changed.
    None,
    /// The change took hold.
    Applied,
    /// The request was sent and no answer came: it may have taken hold, or may yet.
    Unknown,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nothing was changed",
            Self::Applied => "the change was applied",
            Self::Unknown => "unknown; the change may have taken hold",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Effect;

    #[test]
    fn unknown_wins_over_everything() {
        assert_eq!(
            [Effect::Unknown, Effect::None, Effect::Applied]
                .into_iter()
                .max(),
            Some(Effect::Unknown)
        );
    }
}
