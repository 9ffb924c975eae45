//! What `rollback` needs, kept on this machine: written before the first change, so that a kill leaves it too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pgha_core::diagnose::sanitised;
use pgha_nlb::{Plan, SiteName};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::private_file;
use crate::service::Service;
use crate::settings::Settings;
use crate::view::API_VERSION;

const KIND: &str = "TrafficRecord";

/// The last move of a service's users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    api_version: String,
    kind: String,
    /// The service.
    pub(super) service: String,
    /// Where they were moved.
    pub(super) to: SiteName,
    /// When that began.
    pub(super) begun: Timestamp,
    /// How far it came.
    pub(super) state: State,
    /// What was changed, or was to be, one for each backend.
    pub(super) plans: Vec<Plan>,
}

/// How far a move of users came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// Some of its changes may have been made.
    Begun,
    /// All of them were.
    Applied,
    /// All of them were taken back.
    TakenBack,
}

impl Record {
    pub(super) fn new(
        service: &Service,
        to: &SiteName,
        begun: Timestamp,
        plans: Vec<Plan>,
    ) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            service: service.name.clone(),
            to: to.clone(),
            begun,
            state: State::Begun,
            plans,
        }
    }

    fn check(self, service: &Service) -> Result<Self, String> {
        if self.api_version != API_VERSION || self.kind != KIND {
            return Err(format!("it is no {KIND} of {API_VERSION}"));
        }
        if self.service != service.name {
            return Err(format!("it is of service {}", self.service));
        }
        Ok(self)
    }
}

/// The file of a service's record.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
}

impl Store {
    /// The file that was named, or the one of this service.
    ///
    /// # Errors
    /// None was named, and there is no folder for such files.
    pub(super) fn new(
        named: Option<&Path>,
        settings: &Settings,
        service: &Service,
    ) -> Result<Self, Failure> {
        if let Some(path) = named {
            let path = path.to_owned();
            return Ok(Self { path });
        }
        let folder = settings.state_folder.as_ref().ok_or_else(|| {
            Failure::usage("there is no home folder to keep the record of the move in")
                .hinting("Name a file with --record.")
        })?;
        let file = format!("{}.json", service.name);
        Ok(Self {
            path: folder.join("traffic").join(file),
        })
    }

    /// The file, as people read it.
    pub(super) fn shown(&self) -> String {
        sanitised(&self.path.display().to_string())
    }

    /// The last record; `None` when there is none.
    ///
    /// # Errors
    /// What is there cannot be read; it is left as it is.
    pub(super) fn read(&self, service: &Service) -> Result<Option<Record>, Failure> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let record: Record =
            serde_json::from_slice(&text).map_err(|error| self.unreadable(&error))?;
        let record = record
            .check(service)
            .map_err(|because| self.unreadable(&because))?;
        Ok(Some(record))
    }

    fn unreadable(&self, because: &dyn std::fmt::Display) -> Failure {
        let text = format!("the record {} cannot be used: {because}", self.shown());
        Failure::refused(text)
            .hinting("Look at it, then move it away or name another with --record.")
    }

    /// Replaces the record; after this it is on the disk, whole, or the old one is.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, record: &Record) -> Result<(), Failure> {
        let written = serde_json::to_string_pretty(record).map_err(io::Error::from);
        let written = written.and_then(|text| private_file::replace(&self.path, &(text + "\n")));
        written.map_err(|error| {
            let text = format!(
                "the record of the move cannot be kept in {}: {error}",
                self.shown()
            );
            Failure::refused(text).hinting("Name another file with --record.")
        })
    }
}
