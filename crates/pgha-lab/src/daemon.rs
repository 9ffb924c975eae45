//! Daemons of the lab: each in its place's network namespace and a session of its own, with a log and a pid file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::paths;
use crate::process::Identity;
use crate::program;
use crate::site::Place;
use crate::wait;

/// How a daemon is run; kept beside its pid file, so that a later command can start it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Daemon {
    place: String,
    name: String,
    program: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    resolv_conf: Option<PathBuf>,
    version: String,
}

/// What a daemon finds programs by; nothing else of the caller's environment reaches it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts the file `$0` in the place of the machine's DNS settings and becomes the program. The sites' volumes are left out
/// of the new mount namespace: a copy of a mount would keep a volume in use after it has been unmounted.
const IN_OWN_MOUNTS: &str = "umount --lazy --quiet /run/pgha-lab/cache/sites/*/volumes/*/
mount --bind \"$0\" /etc/resolv.conf && exec setsid \"$@\"";

impl Daemon {
    /// A daemon that is not started yet.
    pub fn new(place: Place, name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            place: place.name().to_owned(),
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            resolv_conf: None,
            version: String::new(),
        }
    }

    /// The daemon of this name that was started before.
    ///
    /// # Errors
    /// There is none; the error names those that there are.
    pub fn load(place: Place, name: &str) -> Result<Self> {
        let file = paths::pids(place).join(format!("{name}.json"));
        let Ok(text) = fs::read_to_string(&file) else {
            bail!(
                "{place} has no daemon `{name}`; it has {}",
                names(place)?.join(", ")
            );
        };
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Gives it a `/etc/resolv.conf` of its own, in a mount namespace of its own.
    #[must_use]
    pub fn resolv_conf(mut self, file: PathBuf) -> Self {
        self.resolv_conf = Some(file);
        self
    }

    /// Says which content its program has, for [`Daemon::is_same`].
    #[must_use]
    pub fn version(mut self, version: String) -> Self {
        self.version = version;
        self
    }

    /// Starts it, unless it runs already.
    ///
    /// # Errors
    /// It cannot be started. That it starts says nothing about its being ready.
    pub fn start(&self) -> Result<()> {
        if self.identity().is_ok_and(|identity| identity.is_alive()) {
            return Ok(());
        }
        let place = self.place()?;
        fs::create_dir_all(paths::pids(place))?;
        fs::create_dir_all(paths::logs(place))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log()?)?;
        let mut command = self.command(place);
        command
            .env_clear()
            .env("PATH", PATH)
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/");
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program::line(&command)))?;
        // Every program in front of the daemon's own replaces itself, so the child's pid is the daemon's.
        let identity = Identity::of(child.id())?;
        let base = paths::pids(place).join(&self.name);
        fs::write(
            base.with_extension("json"),
            serde_json::to_vec_pretty(self)?,
        )?;
        fs::write(base.with_extension("pid"), format!("{identity}\n"))?;
        Ok(())
    }

    /// Waits until `probe` succeeds.
    ///
    /// # Errors
    /// The daemon ended or the deadline passed; the error holds the last lines of its log.
    pub fn await_ready(
        &self,
        deadline: Duration,
        mut probe: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let identity = self.identity()?;
        let what = format!("{} of {} to be ready", self.name, self.place);
        wait::until(&what, deadline, || match probe() {
            Ok(()) => Ok(true),
            Err(_) if !identity.is_alive() => Ok(false),
            Err(error) => Err(error),
        })
        .and_then(|ready| {
            if ready {
                Ok(())
            } else {
                bail!("{} has ended", self.name)
            }
        })
        .with_context(|| {
            self.log()
                .map_or_else(|_| what.clone(), |log| program::last_lines(&log, 12))
        })
    }

    /// Ends it: first politely, after `grace` for certain.
    pub fn stop(&self, grace: Duration) -> Result<()> {
        match self.identity() {
            Ok(identity) => identity.stop(grace),
            Err(_) => Ok(()),
        }
    }

    /// Starts it; one of its name that runs in another way is ended first.
    ///
    /// # Errors
    /// As [`Daemon::start`] and [`Daemon::stop`].
    pub fn ensure(&self, grace: Duration) -> Result<()> {
        if let Ok(running) = Self::load(self.place()?, &self.name)
            && !running.is_same(self)
        {
            running.stop(grace)?;
        }
        self.start()
    }

    /// Ends it and forgets that there was one: the lab is well without it.
    pub fn remove(&self, grace: Duration) -> Result<()> {
        self.stop(grace)?;
        for extension in ["json", "pid"] {
            let file = paths::pids(self.place()?).join(format!("{}.{extension}", self.name));
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.identity()?.signal(signal)
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        self.identity().is_ok_and(|identity| identity.is_alive())
    }

    /// Which content its program has, as [`Daemon::version`] was told.
    pub fn version_text(&self) -> &str {
        &self.version
    }

    /// The program it runs.
    pub fn program(&self) -> &PathBuf {
        &self.program
    }

    /// Whether another description would run it in exactly this way.
    pub fn is_same(&self, other: &Self) -> bool {
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }

    /// Its log.
    pub fn log(&self) -> Result<PathBuf> {
        Ok(paths::logs(self.place()?).join(format!("{}.log", self.name)))
    }

    fn identity(&self) -> Result<Identity> {
        Identity::read(&paths::pids(self.place()?).join(format!("{}.pid", self.name)))
    }

    fn place(&self) -> Result<Place> {
        self.place.parse().map_err(anyhow::Error::msg)
    }

    fn command(&self, place: Place) -> Command {
        let mut command;
        if let Some(file) = &self.resolv_conf {
            command = program::in_netns(place.netns(), "unshare");
            command.args(["--mount", "--", "sh", "-c"]);
            command.arg(IN_OWN_MOUNTS).arg(file);
        } else {
            command = program::in_netns(place.netns(), "setsid");
        }
        command.arg(&self.program).args(&self.args);
        program::without_inherited_files(&command)
    }
}

/// The names of a place's daemons, sorted.
pub fn names(place: Place) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(paths::pids(place)).with_context(|| format!("{place} is not up"))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
