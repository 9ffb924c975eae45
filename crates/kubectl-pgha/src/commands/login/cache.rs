//! Tokens that are kept for the next time: one file for each issuer and client, which only its owner can read.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use pgha_core::diagnose::sanitised;
use pgha_core::oidc::{Grant, Token};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::private_file;
use crate::settings::Settings;

/// The file of one issuer and client.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
}

/// What is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    scopes: Vec<String>,
    /// The token of the person.
    pub(crate) id_token: Token,
    access_token: Token,
    /// What gets new ones.
    pub(crate) refresh_token: Option<Token>,
}

/// As it is written.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    scopes: Vec<String>,
    id_token: String,
    access_token: String,
    refresh_token: Option<String>,
}

impl Kept {
    /// What to keep of this; `None` when nobody logged in.
    pub(super) fn of(granted: &Grant, scopes: &[String]) -> Option<Self> {
        Some(Self {
            scopes: scopes.to_vec(),
            id_token: granted.id_token.clone()?,
            access_token: granted.access_token.clone(),
            refresh_token: granted.refresh_token.clone(),
        })
    }

    /// The same as it was given. The nonce was checked then.
    pub(super) fn granted(&self) -> Grant {
        Grant {
            id_token: Some(self.id_token.clone()),
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone(),
            expires_in: None,
            nonce: None,
        }
    }
}

impl Cache {
    /// The file of this issuer and client.
    ///
    /// # Errors
    /// There is no folder for such files.
    pub(crate) fn new(settings: &Settings, issuer: &str, client_id: &str) -> Result<Self, Failure> {
        let folder = settings.state_folder.as_ref().ok_or_else(|| {
            Failure::usage("there is no home folder to keep tokens in").hinting("Give --no-cache.")
        })?;
        let name = Token::new(format!("{issuer}\n{client_id}")).mark();
        Ok(Self {
            path: folder.join("login").join(format!("{name}.json")),
        })
    }

    /// Waits until no other command logs in with it: a refresh token may be good for one use only.
    pub(super) async fn lock(&self) -> Result<File, Failure> {
        let path = self.path.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || private_file::lock(&path));
        let locked = locked
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        locked.map_err(|error| self.unusable(&error))
    }

    /// What is kept for these scopes.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub(crate) fn read(&self, scopes: &[String]) -> Result<Option<Kept>, Failure> {
        let kept = self.read_any()?;
        Ok(kept.filter(|kept| kept.scopes == scopes))
    }

    /// What is kept, for whatever scopes.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub(crate) fn read_any(&self) -> Result<Option<Kept>, Failure> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable(&error)),
        };
        // Its message could show what is in the file.
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|_| self.unusable(&"it is no file of pgha's"))?;
        Ok(Some(Kept {
            scopes: stored.scopes,
            id_token: Token::new(stored.id_token),
            access_token: Token::new(stored.access_token),
            refresh_token: stored.refresh_token.map(Token::new),
        }))
    }

    /// Keeps this in place of what was kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, kept: &Kept) -> Result<(), Failure> {
        let stored = Stored {
            scopes: kept.scopes.clone(),
            id_token: kept.id_token.expose().to_owned(),
            access_token: kept.access_token.expose().to_owned(),
            refresh_token: kept
                .refresh_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
        };
        let written = serde_json::to_string(&stored).map_err(io::Error::from);
        let written = written.and_then(|text| private_file::replace(&self.path, &text));
        written.map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, because: &dyn std::fmt::Display) -> Failure {
        let shown = sanitised(&self.path.display().to_string());
        Failure::refused(format!("tokens cannot be kept in {shown}: {because}"))
            .hinting("Move the file away, or give --no-cache.")
    }
}
