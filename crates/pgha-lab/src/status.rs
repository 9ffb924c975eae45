//! What of the lab runs, and what is wrong with it.

use std::fmt;

use crate::daemon::{self, Daemon};
use crate::fault;
use crate::lab;
use crate::paths;
use crate::site::Place;

/// Each daemon, the faults in force, and the first thing that is wrong.
#[derive(Clone, Debug)]
pub struct Status {
    daemons: Vec<(Place, String, bool)>,
    faults: Vec<String>,
    wrong: Option<String>,
}

/// Looks at the lab; works without the lock, and whatever state the lab is in.
pub fn read() -> Status {
    let mut daemons = Vec::new();
    for place in Place::ALL {
        for name in daemon::names(place).unwrap_or_default() {
            let alive = Daemon::load(place, &name).is_ok_and(|daemon| daemon.is_alive());
            daemons.push((place, name, alive));
        }
    }
    Status {
        daemons,
        faults: fault::in_router().unwrap_or_default(),
        wrong: lab::verify().err().map(|error| format!("{error:#}")),
    }
}

impl Status {
    /// Whether everything runs and answers.
    pub const fn is_well(&self) -> bool {
        self.wrong.is_none()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name, alive) in &self.daemons {
            let state = if *alive { "runs" } else { "does not run" };
            writeln!(f, "{:6} {name:24} {state}", place.name())?;
        }
        for fault in &self.faults {
            writeln!(f, "fault  {fault}")?;
        }
        match &self.wrong {
            None => write!(
                f,
                "both nodes are Ready and S3 answers; KUBECONFIG={}",
                paths::kubeconfig().display()
            ),
            Some(wrong) => write!(f, "wrong: {wrong}"),
        }
    }
}
