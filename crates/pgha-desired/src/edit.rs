//! One value that says which site is primary.

use std::collections::BTreeMap;

use pgha_edit::yaml::{self, Target};
use pgha_edit::{EditError, Pointer, cue};
use pgha_nlb::SiteName;
use serde_json::Value;

/// Where in a file a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Yaml { target: Target, at: Pointer },
    Cue(cue::Path),
}

/// Whose value it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Of {
    /// One site's.
    Site {
        site: SiteName,
        primary: Value,
        standby: Value,
    },
    /// It names the primary of all.
    All(BTreeMap<SiteName, Value>),
}

/// A value in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Switch {
    pub(crate) file: String,
    pub(crate) spot: Spot,
    pub(crate) of: Of,
}

/// What a value was and is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) from: Value,
    pub(crate) to: Value,
}

impl Of {
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        let (one, all) = match self {
            Self::Site {
                primary, standby, ..
            } => (Some([primary, standby]), None),
            Self::All(values) => (None, Some(values.values())),
        };
        one.into_iter().flatten().chain(all.into_iter().flatten())
    }
}

impl Switch {
    pub(crate) fn is_of(&self, name: &SiteName) -> bool {
        matches!(&self.of, Of::Site { site, .. } if site == name)
    }

    pub(crate) const fn is_of_all(&self) -> bool {
        matches!(self.of, Of::All(_))
    }

    /// How it turns when the source becomes a standby and the target the primary; none where it is another site's.
    pub(crate) fn turn(&self, source: &SiteName, target: &SiteName) -> Option<Turn> {
        let (from, to) = match &self.of {
            Of::Site {
                site,
                primary,
                standby,
            } if site == source => (primary, standby),
            Of::Site {
                site,
                primary,
                standby,
            } if site == target => (standby, primary),
            Of::Site { .. } => return None,
            Of::All(values) => (values.get(source)?, values.get(target)?),
        };
        Some(Turn {
            from: from.clone(),
            to: to.clone(),
        })
    }

    /// What a person calls the place.
    pub(crate) fn at(&self) -> String {
        match &self.spot {
            Spot::Yaml { at, .. } => at.to_string(),
            Spot::Cue(path) => path.to_string(),
        }
    }

    /// The text after the turn; the same where it says so already.
    ///
    /// # Errors
    /// The value is not there, or is neither of the two.
    pub(crate) fn turned(&self, text: &str, turn: &Turn) -> Result<String, Wrong> {
        match &self.spot {
            Spot::Cue(path) => Ok(cue::edited(text, path, &turn.from, &turn.to)?),
            Spot::Yaml { target, at } => {
                let edit = |to: &Value| yaml::Edit::Set {
                    at: at.clone(),
                    to: to.clone(),
                };
                let now = |to| yaml::edited(text, target, &[edit(to)]);
                if now(&turn.to)? == text {
                    return Ok(text.to_owned());
                }
                // A value that is not there would be put in: the place was named wrongly.
                if now(&turn.from)? != text {
                    return Err(Wrong::Other);
                }
                Ok(now(&turn.to)?)
            }
        }
    }

    /// Whether the text says what it is to say.
    pub(crate) fn says(&self, text: &str, to: &Value) -> bool {
        let turn = Turn {
            from: to.clone(),
            to: to.clone(),
        };
        self.turned(text, &turn).is_ok_and(|after| after == text)
    }
}

/// Why a value does not turn.
pub(crate) enum Wrong {
    Edit(EditError),
    /// It is not there, or says neither of the two.
    Other,
}

impl From<EditError> for Wrong {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}
