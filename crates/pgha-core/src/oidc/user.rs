//! The token of a user of the kubeconfig, got as kubectl gets it.

use http::{HeaderValue, Request, Response, Uri, header};
use kube::Config;
use kube::client::{Body, ConfigExt as _};
use pgha_model::effect::Effect;
use tower::{BoxError, Layer as _, ServiceExt as _};

use super::token::Token;
use crate::client::{Kubeconfig, PluginDenied, said_of};
use crate::diagnose::{Diagnose, sanitised};

/// Why a user of the kubeconfig has no token for us.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("the kubeconfig has no user `{user}`")]
    Unknown {
        /// The user that was asked for.
        user: String,
        /// The users that there are.
        known: Vec<String>,
    },
    /// The person's own policy forbids the program that is to bring the token.
    #[error("the token of user `{user}` comes from the program `{command}`")]
    Denied {
        /// The user.
        user: String,
        /// The program, as the kubeconfig names it.
        command: String,
        /// Which policy, and where it is.
        #[source]
        source: PluginDenied,
    },
    /// A program that was to bring it failed, or a file is not there.
    #[error("the token of user `{user}` cannot be had: {because}")]
    Failed {
        /// The user.
        user: String,
        /// What went wrong, without what a program said.
        because: String,
    },
    /// The user does not log in with a token.
    #[error("the user `{user}` does not log in with a token")]
    NoToken {
        /// The user.
        user: String,
    },
}

impl Diagnose for UserError {
    fn effect(&self) -> Effect {
        Effect::None
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { known, .. } if known.is_empty() => {
                Some("The kubeconfig has no users at all.".to_owned())
            }
            Self::Unknown { known, .. } => Some(format!("Known users: {}.", known.join(", "))),
            Self::Denied {
                command, source, ..
            } => {
                let file = sanitised(&source.file.display().to_string());
                Some(format!("If you trust `{command}`, permit it in {file}."))
            }
            Self::Failed { .. } | Self::NoToken { .. } => None,
        }
    }
}

/// Gets the token with which a user of the kubeconfig speaks to API servers. A program that brings it is started, when the
/// person's policy permits it. No request is made.
pub async fn token_of_user(kubeconfig: &Kubeconfig, user: &str) -> Result<Token, UserError> {
    let shown = || sanitised(user);
    let info = kubeconfig
        .permitted_user(user)
        .ok_or_else(|| UserError::Unknown {
            user: shown(),
            known: kubeconfig.users().map(sanitised).collect(),
        })?
        .map_err(|(command, source)| UserError::Denied {
            user: shown(),
            command,
            source,
        })?;
    // The layer that signs requests is asked to sign one that goes nowhere.
    let mut config = Config::new(Uri::from_static("https://127.0.0.1"));
    config.auth_info = info;
    let failed = |because: String| UserError::Failed {
        user: shown(),
        because: sanitised(&because),
    };
    let layer = config.auth_layer().map_err(|error| {
        if let kube::Error::Auth(error) = error {
            return failed(said_of(&error));
        }
        // Anything else may quote the token.
        failed("it cannot be sent".to_owned())
    })?;
    let layer = layer.ok_or_else(|| UserError::NoToken { user: shown() })?;
    let echo = tower::service_fn(async |request: Request<Body>| {
        let mut answer = Response::new(());
        *answer.headers_mut() = request.headers().clone();
        Ok::<_, BoxError>(answer)
    });
    let signed = layer.layer(echo).oneshot(Request::new(Body::empty())).await;
    let signed = signed.map_err(|_| failed("it cannot be read or renewed".to_owned()))?;
    let value = signed.headers().get(header::AUTHORIZATION);
    let token = value.and_then(bearer);
    token.ok_or_else(|| UserError::NoToken { user: shown() })
}

fn bearer(value: &HeaderValue) -> Option<Token> {
    let value = value.to_str().ok()?;
    value.strip_prefix("Bearer ").map(Token::new)
}
