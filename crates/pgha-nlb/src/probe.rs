//! Asking as a user does.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::name::SiteName;

/// Asks once, as a new user would, and says who answered. It knows nothing of any backend.
#[async_trait]
pub trait Probe: fmt::Debug + Send + Sync {
    /// What it asks: `https://login.ois.run/ over IPv4`.
    fn asks(&self) -> String;

    /// Asks once. A failure to get an answer is a sample too.
    async fn sample(&self, within: Duration) -> Sample;
}

/// What one question brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// What was asked.
    pub asked: String,
    /// The address that was asked, where one was found.
    pub address: Option<String>,
    /// Who answered.
    pub answer: Answer,
    /// From the question to the end of the answer.
    #[serde(skip)]
    pub took: Duration,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// A site.
    Site {
        /// Which one.
        site: SiteName,
        /// How that is known, as a full sentence.
        how: String,
    },
    /// Somebody, and nothing in the answer tells which site.
    Unrecognised {
        /// What was seen, as a full sentence.
        seen: String,
    },
    /// Two pieces of evidence name different sites.
    Contradiction {
        /// What was seen, as a full sentence.
        seen: String,
    },
    /// Nobody, or nobody who speaks the protocol.
    Failed {
        /// Why, as a full sentence.
        because: String,
    },
}

impl Answer {
    /// The site that answered, where that is known.
    pub const fn site(&self) -> Option<&SiteName> {
        match self {
            Self::Site { site, .. } => Some(site),
            Self::Unrecognised { .. } | Self::Contradiction { .. } | Self::Failed { .. } => None,
        }
    }
}
