//! Cuts, slows and heals the way from one place to another, in the router.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use super::{add_rule, iptables, remove_rule};
use crate::network::{HOST_LINK, HOST_RANGE};
use crate::program;
use crate::site::{Place, ROUTER_NETNS};

pub(super) const CHAIN: &str = "PGHA-LINKS";

/// One end of a way through the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A site or the edge.
    Place(Place),
    /// The machine itself, where pgha and the writer run.
    Host,
}

/// How a way is slowed; at least one of the two.
#[derive(Clone, Debug)]
pub struct Slowness {
    /// The most that passes, in the words of `tc(8)`: `5mbit`.
    pub rate: Option<String>,
    /// How long each packet is held, in the words of `tc(8)`: `50ms`. Needs a kernel with `netem`.
    pub delay: Option<String>,
}

/// Lets nothing pass from one end to the other.
pub fn cut(from: End, to: End) -> Result<()> {
    add_rule(
        CHAIN,
        &["-s", &from.range(), "-d", &to.range(), "-j", "DROP"],
    )
}

/// Slows what passes from one end to the other.
///
/// # Errors
/// Neither rate nor delay is given, or the kernel cannot do it.
pub fn slow(from: End, to: End, slowness: &Slowness) -> Result<()> {
    if slowness.rate.is_none() && slowness.delay.is_none() {
        bail!("say how slow: a rate, a delay or both");
    }
    unslow(from, to)?;
    let (link, class) = (to.link(), from.class());
    // What has no class of its own passes at the speed of the link.
    drop(tc(&[
        "qdisc", "add", "dev", &link, "root", "handle", "1:", "htb",
    ]));
    let rate = slowness.rate.as_deref().unwrap_or("10gbit");
    tc(&[
        "class", "add", "dev", &link, "parent", "1:", "classid", class, "htb", "rate", rate,
    ])?;
    if let Some(delay) = &slowness.delay {
        tc(&[
            "qdisc", "add", "dev", &link, "parent", class, "netem", "delay", delay,
        ])
        .or_else(|error| unslow(from, to).and(Err(error)))
        .context("this machine's kernel cannot hold packets (netem): slow by rate instead")?;
    }
    tc(&[
        "filter",
        "add",
        "dev",
        &link,
        "parent",
        "1:",
        "protocol",
        "ip",
        "prio",
        from.priority(),
        "u32",
        "match",
        "ip",
        "src",
        &from.range(),
        "flowid",
        class,
    ])
}

/// Lets everything pass from one end to the other, at full speed.
pub fn heal(from: End, to: End) -> Result<()> {
    remove_rule(
        CHAIN,
        &["-s", &from.range(), "-d", &to.range(), "-j", "DROP"],
    )?;
    unslow(from, to)
}

/// Heals every way.
pub fn heal_all() -> Result<()> {
    iptables(&["-F", CHAIN])?;
    for end in End::ALL {
        // A link that was never slowed has nothing to remove.
        drop(tc(&["qdisc", "del", "dev", &end.link(), "root"]));
    }
    Ok(())
}

/// The classes of slowed ways, with the link each is on.
pub(super) fn slowed() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for end in End::ALL {
        let link = end.link();
        let classes = program::output(
            program::in_netns(ROUTER_NETNS, "tc").args(["class", "show", "dev", &link]),
        )?;
        found.extend(classes.lines().map(|class| format!("{link}: {class}")));
    }
    Ok(found)
}

/// What is not there needs no removing.
fn unslow(from: End, to: End) -> Result<()> {
    let (link, class) = (to.link(), from.class());
    drop(tc(&[
        "filter",
        "del",
        "dev",
        &link,
        "parent",
        "1:",
        "prio",
        from.priority(),
    ]));
    drop(tc(&["class", "del", "dev", &link, "classid", class]));
    let left = program::output(
        program::in_netns(ROUTER_NETNS, "tc")
            .args(["class", "show", "dev", &link, "classid", class]),
    )?;
    if !left.trim().is_empty() {
        bail!("the way from {from} to {to} is still slow: {}", left.trim());
    }
    Ok(())
}

fn tc(args: &[&str]) -> Result<()> {
    program::output(program::in_netns(ROUTER_NETNS, "tc").args(args)).map(drop)
}

impl End {
    /// Every end.
    const ALL: [Self; 4] = [
        Self::Place(Place::ALL[0]),
        Self::Place(Place::ALL[1]),
        Self::Place(Place::ALL[2]),
        Self::Host,
    ];

    fn range(self) -> String {
        match self {
            Self::Place(place) => place.range(),
            Self::Host => HOST_RANGE.to_owned(),
        }
    }

    /// The router's link to it.
    fn link(self) -> String {
        match self {
            Self::Place(place) => place.router_link(),
            Self::Host => HOST_LINK.to_owned(),
        }
    }

    /// The class of what comes from it, on any link.
    fn class(self) -> &'static str {
        match self.priority() {
            "1" => "1:1",
            "2" => "1:2",
            "3" => "1:3",
            _ => "1:4",
        }
    }

    /// Filters are told apart by their priority.
    fn priority(self) -> &'static str {
        ["1", "2", "3", "4"][Self::ALL.iter().position(|end| *end == self).unwrap_or(3)]
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Host => f.write_str("host"),
        }
    }
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|end| end.to_string() == text)
            .ok_or_else(|| format!("`{text}` is not an end of a link: core1, core2, edge or host"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_read_back_and_has_a_class_of_its_own() {
        let mut classes: Vec<_> = End::ALL.iter().map(|end| end.class()).collect();
        classes.dedup();
        assert_eq!(classes, ["1:1", "1:2", "1:3", "1:4"]);
        for end in End::ALL {
            assert_eq!(end.to_string().parse(), Ok(end));
        }
    }
}
