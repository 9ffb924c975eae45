//! The lists of others and of our own that the checks answer to: each item has its checks, or the reason why it has none.

mod own;
mod peers;

use self::own::{FAULTS, OPERATOR, S0, SECURITY};
use self::peers::{DATA_GUARD, INCIDENTS, REPMGR};

/// A list with where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Its title.
    pub title: &'static str,
    /// Its items.
    pub items: &'static [Item],
}

/// One thing that the list says must be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its short name, by which the table of checks refers to it.
    pub name: &'static str,
    /// What it asks for.
    pub asks: &'static str,
    /// What answers it.
    pub answer: Answer,
}

/// What answers an item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These checks.
    Checks(&'static [&'static str]),
    /// No check, for this reason.
    Not(&'static str),
}

const fn item(name: &'static str, asks: &'static str, answer: Answer) -> Item {
    Item { name, asks, answer }
}

/// Every list.
pub const LISTS: &[List] = &[
    List {
        title: "The survey before a move (step S0 of the design)",
        items: S0,
    },
    List {
        title: "The faults of the fault matrix, before anything is changed",
        items: FAULTS,
    },
    List {
        title: "Published incidents",
        items: INCIDENTS,
    },
    List {
        title: "Security",
        items: SECURITY,
    },
    List {
        title: "repmgr, `standby switchover --dry-run`",
        items: REPMGR,
    },
    List {
        title: "Oracle Data Guard, `VALIDATE DATABASE`",
        items: DATA_GUARD,
    },
    List {
        title: "The operator, seen on a running one",
        items: OPERATOR,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Answer::{Checks, Not};
    use super::*;
    use crate::check::catalog::{CHECKS, find};

    #[test]
    fn every_item_names_checks_that_exist_and_is_named_once() {
        let mut names = BTreeSet::new();
        for item in LISTS.iter().flat_map(|list| list.items) {
            assert!(names.insert(item.name), "{} twice", item.name);
            match item.answer {
                Checks(ids) => {
                    assert!(!ids.is_empty(), "{}", item.name);
                    for id in ids {
                        assert!(find(id).is_some(), "{}: {id}", item.name);
                    }
                }
                Not(reason) => assert!(reason.ends_with('.'), "{}", item.name),
            }
        }
    }

    #[test]
    fn every_fault_is_answered() {
        let faults: Vec<_> = FAULTS.iter().map(|item| item.name.to_owned()).collect();
        let wanted: Vec<_> = (1..=31).map(|number| format!("F{number}")).collect();
        assert_eq!(faults, wanted);
    }

    #[test]
    fn every_check_comes_from_somewhere() {
        let answered: BTreeSet<_> = LISTS
            .iter()
            .flat_map(|list| list.items)
            .filter_map(|item| match item.answer {
                Checks(ids) => Some(ids),
                Not(_) => None,
            })
            .flatten()
            .copied()
            .collect();
        let all: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(answered, all);
    }
}
