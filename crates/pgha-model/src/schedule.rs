//! Backup schedules of both sides after a move: the primary's run, the standby's are suspended.

/// A schedule as Kubernetes keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name in Kubernetes.
    pub name: String,
    /// Whether it is suspended.
    pub suspended: bool,
}

/// The schedules of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedules {
    /// Those that the operator's object asks for, by name.
    pub asked: Vec<String>,
    /// Those that are there.
    pub present: Vec<Schedule>,
}

/// What is not as it should be, each a full sentence; nothing when the target's run and the source's are suspended.
pub fn judge_schedules(source: &Schedules, target: &Schedules) -> Vec<String> {
    let running = source.present.iter().filter(|schedule| !schedule.suspended);
    let running = running.map(|schedule| {
        let name = &schedule.name;
        format!("The source's backup schedule {name} still runs.")
    });
    let of_target = target.asked.iter().filter_map(|name| {
        let present = target.present.iter().find(|schedule| schedule.name == *name);
        match present {
            Some(schedule) if !schedule.suspended => None,
            Some(_) => Some(format!("The target's backup schedule {name} is suspended.")),
            None => Some(format!(
                "The target has no backup schedule {name} yet; the operator makes it after its first backup there."
            )),
        }
    });
    running.chain(of_target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(suspended: &[bool]) -> Schedules {
        let name = |number: usize| format!("db-repo{number}-full");
        let present = suspended
            .iter()
            .enumerate()
            .map(|(number, suspended)| Schedule {
                name: name(number),
                suspended: *suspended,
            });
        Schedules {
            asked: (0..2).map(name).collect(),
            present: present.collect(),
        }
    }

    #[test]
    fn the_primary_makes_backups_and_the_standby_does_not() {
        assert_eq!(
            judge_schedules(&side(&[true, true]), &side(&[false, false])),
            [""; 0]
        );
        assert_eq!(
            judge_schedules(&side(&[true, false]), &side(&[true])),
            [
                "The source's backup schedule db-repo1-full still runs.",
                "The target's backup schedule db-repo0-full is suspended.",
                "The target has no backup schedule db-repo1-full yet; the operator makes it after its first backup there.",
            ]
        );
    }

    #[test]
    fn a_standby_needs_no_schedule_yet() {
        assert_eq!(judge_schedules(&side(&[]), &side(&[false, false])), [""; 0]);
    }
}
