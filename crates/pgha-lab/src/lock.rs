//! One command at a time may change the lab of a machine.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::paths;

/// Held while a command changes the lab; given up when dropped, by a killed process too.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// Another command holds it, or this is not root.
    pub fn take() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("the lab makes network namespaces and mounts: run it as root");
        }
        let path = Path::new(paths::RUN).join("lock");
        loop {
            fs::create_dir_all(paths::RUN)
                .with_context(|| format!("cannot make {}", paths::RUN))?;
            let file = File::options().create(true).append(true).open(&path)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                bail!("another `lab` command is at work on this machine");
            }
            // `down` removes the file: a lock on a removed file keeps nobody out.
            if fs::metadata(&path)
                .is_ok_and(|now| file.metadata().is_ok_and(|m| m.ino() == now.ino()))
            {
                return Ok(Self { file });
            }
        }
    }

    /// Removes the run folder, which must hold no mounts, and gives the lock up.
    pub fn remove_run_folder(self) -> Result<()> {
        fs::remove_dir_all(paths::RUN).with_context(|| format!("cannot remove {}", paths::RUN))?;
        drop(self.file);
        Ok(())
    }
}
