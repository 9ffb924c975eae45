//! What the published incidents and the security notes ask for: each has its guards, or the reason why it has none.

/// One thing that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The incident, or the number of the note.
    pub from: &'static str,
    /// What it asks for.
    pub asks: &'static str,
    /// What answers it.
    pub answer: Answer,
}

/// What answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These guards.
    Guards(&'static [&'static str]),
    /// No guard, for this reason.
    Not(&'static str),
}

use self::Answer::{Guards, Not};

const fn wanted(from: &'static str, asks: &'static str, answer: Answer) -> Wanted {
    Wanted { from, asks, answer }
}

/// Everything, incidents first.
pub const WANTED: &[Wanted] = &[
    wanted(
        "GitHub 2018",
        "a threshold longer than a blip, and a third vantage point",
        Not("A person decides each move. It belongs to the agent, which is not there yet."),
    ),
    wanted(
        "GitHub 2018",
        "the source is fenced before the target is promoted",
        Guards(&[
            "clean-end",
            "promotion-decided",
            "peer-not-primary",
            "nobody-writes",
            "source-fenced",
            "source-silent",
        ]),
    ),
    wanted(
        "GitHub 2018",
        "refused where it is not known what was not replicated",
        Guards(&[
            "past-the-end",
            "holds-everything",
            "target-close",
            "loss-accepted",
        ]),
    ),
    wanted(
        "GitHub 2018",
        "the application fits the other side",
        Not("A move does not know the application yet."),
    ),
    wanted(
        "GitLab 2017",
        "nothing is deleted",
        Guards(&["keeps-diverged-data"]),
    ),
    wanted(
        "GitLab 2017",
        "what is stopped is named by cluster, database and role, and looked at again right before",
        Guards(&["system-identifier", "same-database", "planned-leader"]),
    ),
    wanted(
        "GitLab 2017",
        "a backup that can be restored",
        Guards(&["finished-backup"]),
    ),
    wanted(
        "GitLab geo 2018",
        "an epoch at both sites",
        Guards(&[
            "epoch-in-write",
            "epoch-rises",
            "epoch-on-objects",
            "one-decision",
        ]),
    ),
    wanted(
        "GitLab geo 2018",
        "a primary that comes back starts fenced",
        Guards(&[
            "not-shut-down",
            "stopped-stays-down",
            "reverted-stays-held",
            "returning-down",
        ]),
    ),
    wanted(
        "GoCardless 2017",
        "the real conditions of a promotion are tried before",
        Guards(&[
            "patroni-not-paused",
            "no-hidden-standby",
            "synchronous-standbys",
            "dead-branch",
        ]),
    ),
    wanted(
        "GoCardless 2017",
        "a manual way when the automation is stuck",
        Guards(&["living-tool", "superseded-stops"]),
    ),
    wanted(
        "GoCardless 2016",
        "evidence for go or no-go is shown early; to stop is a success",
        Guards(&["permissions", "user-secrets", "consent"]),
    ),
    wanted(
        "Cloudflare 2020",
        "several sources agree; a store that only reads is no dead site",
        Guards(&["leader-evidence", "roles", "postgres-role"]),
    ),
    wanted(
        "Cloudflare 2020",
        "the old side follows again without being rebuilt",
        Guards(&[
            "past-the-end",
            "fork-at-end",
            "can-follow",
            "rewind-possible",
        ]),
    ),
    wanted(
        "Cloudflare 2020",
        "a single primary can carry the load",
        Not("The load of a side is not measured."),
    ),
    wanted(
        "EDB, documentdb, CNPG",
        "a fence has an end: without a proof in time the source comes back, while nothing was sent",
        Guards(&["return-decided", "forward-only", "one-decision"]),
    ),
    wanted(
        "C1",
        "the rules of the plugin index",
        Not("About the release, not about a move."),
    ),
    wanted(
        "C2",
        "the supply chain",
        Not("About the release, not about a move; `cargo xtask deny` looks at it."),
    ),
    wanted(
        "C3",
        "the least privilege, and both verbs of exec, before the first write",
        Guards(&["permissions"]),
    ),
    wanted(
        "C4",
        "Patroni's unsafe REST endpoints without authentication",
        Not("The operator gives every cluster client certificates, and a move uses none of them."),
    ),
    wanted(
        "C5",
        "no secret leaves the program",
        Not(
            "About the program: what holds a secret cannot be printed, and passwords are compared by digest.",
        ),
    ),
    wanted(
        "C6",
        "text that steers a terminal",
        Guards(&["harmless-text"]),
    ),
    wanted(
        "C7",
        "a context that leads to another site than was meant",
        Guards(&["sites-differ", "system-identifier", "recorded-sites"]),
    ),
    wanted(
        "C8",
        "commands and patches that somebody else completes",
        Not("About the program: patches are typed, and values reach a shell as values."),
    ),
    wanted(
        "C9",
        "the agent's own account",
        Not("There is no agent yet."),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::list::LISTS;
    use crate::guard::all;

    #[test]
    fn everything_that_is_asked_for_has_guards_that_exist_or_a_reason() {
        let ids: BTreeSet<_> = all().iter().map(|guard| guard.id).collect();
        for wanted in WANTED {
            match wanted.answer {
                Guards(guards) => {
                    assert!(!guards.is_empty(), "{}", wanted.asks);
                    for guard in guards {
                        assert!(ids.contains(guard), "{}: {guard}", wanted.asks);
                    }
                }
                Not(reason) => assert!(reason.ends_with('.'), "{}", wanted.asks),
            }
        }
    }

    #[test]
    fn every_note_on_security_and_every_incident_is_there() {
        let from: BTreeSet<_> = WANTED.iter().map(|wanted| wanted.from).collect();
        let notes = (1..=9).map(|number| format!("C{number}"));
        let incidents = [
            "GitHub 2018",
            "GitLab 2017",
            "GitLab geo 2018",
            "GoCardless 2017",
            "GoCardless 2016",
            "Cloudflare 2020",
            "EDB, documentdb, CNPG",
        ];
        let items: BTreeSet<_> = LISTS
            .iter()
            .flat_map(|list| list.items)
            .map(|item| item.name)
            .collect();
        assert!(incidents.iter().all(|name| items.contains(name)));
        let wanted: BTreeSet<_> = notes.chain(incidents.map(str::to_owned)).collect();
        assert_eq!(from, wanted.iter().map(String::as_str).collect());
    }
}
