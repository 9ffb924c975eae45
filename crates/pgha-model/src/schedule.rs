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

/// What is not as it should be, each a full sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// What the operators change as soon as they see their objects.
    pub soon: Vec<String>,
    /// What comes only later: a side that was never primary gets its schedules after its first backup.
    pub later: Vec<String>,
}

/// Compares both sides with what should be: the target's schedules run, and the source's are suspended.
pub fn judge_schedules(source: &Schedules, target: &Schedules) -> Unsettled {
    let running = source.present.iter().filter(|schedule| !schedule.suspended);
    let running = running.map(|schedule| {
        let name = &schedule.name;
        format!("The source's backup schedule {name} still runs.")
    });
    let mut unsettled = Unsettled {
        soon: running.collect(),
        later: Vec::new(),
    };
    for name in &target.asked {
        let present = target
            .present
            .iter()
            .find(|schedule| schedule.name == *name);
        match present {
            Some(schedule) if !schedule.suspended => {}
            Some(_) => unsettled
                .soon
                .push(format!("The target's backup schedule {name} is suspended.")),
            None => unsettled.later.push(format!(
                "The target has no backup schedule {name} yet; the operator makes it after its first backup there."
            )),
        }
    }
    unsettled
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
        let settled = judge_schedules(&side(&[true, true]), &side(&[false, false]));
        assert_eq!(settled, Unsettled::default());
        let unsettled = judge_schedules(&side(&[true, false]), &side(&[true]));
        assert_eq!(
            unsettled.soon,
            [
                "The source's backup schedule db-repo1-full still runs.",
                "The target's backup schedule db-repo0-full is suspended.",
            ]
        );
        assert_eq!(
            unsettled.later,
            [
                "The target has no backup schedule db-repo1-full yet; the operator makes it after its first backup there."
            ]
        );
    }

    #[test]
    fn a_standby_needs_no_schedule_yet() {
        let settled = judge_schedules(&side(&[]), &side(&[false, false]));
        assert_eq!(settled, Unsettled::default());
    }
}
