//! What went wrong, flattened once at the edge: message, causes, effect, hint, exit code.

use std::fmt;

use pgha_core::client::{CallError, OpenError};
use pgha_core::diagnose::{Diagnose, causes};
use pgha_core::engine::SideError;
use pgha_core::oidc::{IssuerError, LoginError, UserError};
use pgha_core::survey::SurveyError;
use pgha_desired::DesiredError;
use pgha_model::effect::Effect;
use pgha_nlb::CutoverError;
use serde::Serialize;

use crate::exit::Exit;
use crate::view::API_VERSION;

/// Why a command did not do what it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// With what code the process ends.
    pub(crate) exit: Exit,
    message: String,
    causes: Vec<String>,
    effect: Effect,
    hint: Option<String>,
}

impl Failure {
    /// The arguments, the environment or the kubeconfig are wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
            causes: Vec::new(),
            effect: Effect::None,
            hint: None,
        }
    }

    /// What was seen, or could not be seen, forbids to go on; nothing was changed.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Refused,
            ..Self::usage(message)
        }
    }

    /// A change stopped part-way and has left this behind.
    pub(crate) fn stopped(exit: Exit, message: impl Into<String>, effect: Effect) -> Self {
        Self {
            exit,
            effect,
            ..Self::usage(message)
        }
    }

    /// The person pressed Ctrl-C before anything was changed.
    pub(crate) fn interrupted() -> Self {
        Self {
            exit: Exit::Interrupted,
            ..Self::usage("interrupted")
        }
    }

    /// Something that only a bug can bring about.
    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Unexpected,
            ..Self::usage(message)
        }
    }

    /// The same, with what led to it.
    pub(crate) fn because(self, causes: Vec<String>) -> Self {
        Self { causes, ..self }
    }

    /// The same, as what stood in the way of something else.
    pub(crate) fn so_that(self, what: &str) -> Self {
        let message = format!("{what}: {}", self.message);
        Self { message, ..self }
    }

    /// The same, with what to do next, as a full sentence.
    pub(crate) fn hinting(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same, with what to do next where it does not say so itself.
    pub(crate) fn or_hinting(self, hint: &str) -> Self {
        let hint = self.hint.clone().or_else(|| Some(hint.to_owned()));
        Self { hint, ..self }
    }

    /// The same, seen only after a change had taken hold.
    pub(crate) fn after_change(self) -> Self {
        Self {
            exit: Exit::Stopped,
            effect: Effect::Applied,
            ..self
        }
    }

    fn diagnosed(exit: Exit, error: &impl Diagnose) -> Self {
        Self {
            exit,
            message: error.to_string(),
            causes: causes(error),
            effect: error.effect(),
            hint: error.hint(),
        }
    }

    /// What it has left behind.
    pub(crate) const fn effect(&self) -> Effect {
        self.effect
    }

    /// Message and causes, as the causes of another one.
    pub(crate) fn chain(&self) -> Vec<String> {
        let mut chain = vec![self.message.clone()];
        chain.extend(self.causes.iter().cloned());
        chain
    }

    /// Message and causes in one line.
    pub(crate) fn in_one_line(&self) -> String {
        let mut text = self.message.clone();
        for cause in &self.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        text
    }

    /// Its lines for a person: a label and what it says.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("error", self.message.clone())];
        lines.extend(self.causes.iter().map(|cause| ("cause", cause.clone())));
        lines.push(("effect", self.effect.to_string()));
        lines.extend(self.hint.iter().map(|hint| ("hint", hint.clone())));
        lines
    }

    /// Its shape for a program.
    pub(crate) fn view(&self) -> FailureView<'_> {
        FailureView {
            api_version: API_VERSION,
            kind: "Failure",
            exit_code: self.exit as u8,
            message: &self.message,
            causes: &self.causes,
            effect: self.effect,
            hint: self.hint.as_deref(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<&OpenError> for Failure {
    fn from(error: &OpenError) -> Self {
        Self::diagnosed(Exit::Usage, error)
    }
}

impl From<&CutoverError> for Failure {
    fn from(error: &CutoverError) -> Self {
        let exit = match error.effect {
            Effect::None => Exit::Refused,
            Effect::Applied | Effect::Unknown => Exit::Held,
        };
        let failure = Self::stopped(exit, error.to_string(), error.effect);
        let causes = causes(error);
        failure.because(causes).hinting(error.next.to_string())
    }
}

impl From<&DesiredError> for Failure {
    fn from(error: &DesiredError) -> Self {
        let exit = match error.effect {
            Effect::None => Exit::Refused,
            Effect::Applied | Effect::Unknown => Exit::Held,
        };
        let failure = Self::stopped(exit, error.to_string(), error.effect);
        failure
            .because(causes(error))
            .hinting(error.next.to_string())
    }
}

impl From<&UserError> for Failure {
    fn from(error: &UserError) -> Self {
        Self::diagnosed(Exit::Usage, error)
    }
}

impl From<&LoginError> for Failure {
    fn from(error: &LoginError) -> Self {
        Self::diagnosed(Exit::Refused, error)
    }
}

impl From<&IssuerError> for Failure {
    fn from(error: &IssuerError) -> Self {
        Self::diagnosed(Exit::Refused, error)
    }
}

impl From<&SurveyError> for Failure {
    fn from(error: &SurveyError) -> Self {
        Self::diagnosed(Exit::Refused, error)
    }
}

impl From<&SideError> for Failure {
    fn from(error: &SideError) -> Self {
        let hint = match error {
            SideError::Survey { source, .. } => source.hint(),
            SideError::Call { source, .. } => source.hint(),
        };
        let refused = Self::refused(error.to_string()).because(causes(error));
        Self { hint, ..refused }
    }
}

impl From<&CallError> for Failure {
    fn from(error: &CallError) -> Self {
        Self::diagnosed(Exit::Refused, error)
    }
}

/// A failure as programs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureView<'a> {
    api_version: &'static str,
    kind: &'static str,
    exit_code: u8,
    message: &'a str,
    causes: &'a [String],
    effect: Effect,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}
