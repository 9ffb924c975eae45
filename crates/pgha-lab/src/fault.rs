//! Faults by command: links, the archive, daemons, processes in pods, volumes. Each can be healed again.

use anyhow::Result;

use crate::program;
use crate::site::ROUTER_NETNS;

pub mod archive;
pub mod link;
pub mod process;
pub mod volume;

/// The chains of rules that the router passes a packet through: one for links, one for the archive.
const CHAINS: [&str; 2] = [link::CHAIN, archive::CHAIN];

/// Makes the router ready for faults. The lab's network must be new.
pub(crate) fn prepare_router() -> Result<()> {
    for chain in CHAINS {
        iptables(&["-N", chain])?;
        iptables(&["-A", "FORWARD", "-j", chain])?;
    }
    Ok(())
}

/// The router's faults that are in force now, in the words of `iptables(8)` and `tc(8)`.
///
/// # Errors
/// There is no router.
pub fn in_router() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for chain in CHAINS {
        let rules = program::output(
            program::in_netns(ROUTER_NETNS, "iptables").args(["--wait", "-S", chain]),
        )?;
        found.extend(
            rules
                .lines()
                .filter(|rule| rule.starts_with("-A"))
                .map(str::to_owned),
        );
    }
    found.extend(link::slowed()?);
    Ok(found)
}

/// Adds a rule of the router's, unless it is there.
fn add_rule(chain: &str, rule: &[&str]) -> Result<()> {
    if iptables(&[&["-C", chain], rule].concat()).is_ok() {
        return Ok(());
    }
    iptables(&[&["-A", chain], rule].concat())
}

/// Removes a rule of the router's, if it is there.
fn remove_rule(chain: &str, rule: &[&str]) -> Result<()> {
    if iptables(&[&["-C", chain], rule].concat()).is_err() {
        return Ok(());
    }
    iptables(&[&["-D", chain], rule].concat())
}

fn iptables(args: &[&str]) -> Result<()> {
    program::output(
        program::in_netns(ROUTER_NETNS, "iptables")
            .arg("--wait")
            .args(args),
    )
    .map(drop)
}
