//! The lab's network: a namespace for each place, joined by a router, and one link from here to the router.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::fault;
use crate::program;
use crate::site::{Place, ROUTER_NETNS};

/// The router's link to the machine's own network namespace.
pub(crate) const HOST_LINK: &str = "to-host";
/// The end of that link that is in the machine's own namespace.
const HOST_SIDE: &str = "pgha";
const HOST_ROUTER_IP: &str = "10.100.0.1";
const HOST_IP: &str = "10.100.0.2";
/// What the machine itself sends from.
pub(crate) const HOST_RANGE: &str = "10.100.0.0/24";

/// Makes the namespaces, links and routes. There must be none of them yet.
///
/// # Errors
/// `ip` fails; the error holds what was tried.
pub fn make() -> Result<()> {
    ip(&["netns", "add", ROUTER_NETNS])?;
    sysctl(ROUTER_NETNS, "net.ipv4.ip_forward", "1")?;
    in_netns(ROUTER_NETNS, &["link", "set", "lo", "up"])?;
    for place in Place::ALL {
        make_place(place)?;
    }
    ip(&[
        "link",
        "add",
        HOST_SIDE,
        "type",
        "veth",
        "peer",
        HOST_LINK,
        "netns",
        ROUTER_NETNS,
    ])?;
    ip(&["addr", "add", &format!("{HOST_IP}/24"), "dev", HOST_SIDE])?;
    ip(&["link", "set", HOST_SIDE, "up"])?;
    in_netns(
        ROUTER_NETNS,
        &[
            "addr",
            "add",
            &format!("{HOST_ROUTER_IP}/24"),
            "dev",
            HOST_LINK,
        ],
    )?;
    in_netns(ROUTER_NETNS, &["link", "set", HOST_LINK, "up"])?;
    for place in Place::ALL {
        ip(&["route", "add", &place.range(), "via", HOST_ROUTER_IP])
            .context("the machine's own routes are in the way of the lab's")?;
    }
    fault::prepare_router()
}

/// Whether every namespace is there.
pub fn is_made() -> bool {
    namespaces().all(|name| Path::new("/run/netns").join(name).exists())
}

/// The names of all network namespaces of the lab.
pub fn namespaces() -> impl Iterator<Item = &'static str> {
    Place::ALL
        .into_iter()
        .map(Place::netns)
        .chain([ROUTER_NETNS])
}

/// Removes what [`make`] made, or a part of it. No process may be left in the namespaces.
pub fn remove() -> Result<()> {
    if Path::new("/sys/class/net").join(HOST_SIDE).exists() {
        ip(&["link", "del", HOST_SIDE])?;
    }
    for name in namespaces() {
        if Path::new("/run/netns").join(name).exists() {
            ip(&["netns", "del", name])?;
        }
    }
    Ok(())
}

fn make_place(place: Place) -> Result<()> {
    let (netns, link) = (place.netns(), place.router_link());
    ip(&["netns", "add", netns])?;
    ip(&[
        "-n",
        ROUTER_NETNS,
        "link",
        "add",
        &link,
        "type",
        "veth",
        "peer",
        "eth0",
        "netns",
        netns,
    ])?;
    in_netns(
        ROUTER_NETNS,
        &[
            "addr",
            "add",
            &format!("{}/24", place.router_ip()),
            "dev",
            &link,
        ],
    )?;
    in_netns(ROUTER_NETNS, &["link", "set", &link, "up"])?;
    in_netns(netns, &["link", "set", "lo", "up"])?;
    in_netns(
        netns,
        &["addr", "add", &format!("{}/24", place.ip()), "dev", "eth0"],
    )?;
    in_netns(netns, &["link", "set", "eth0", "up"])?;
    in_netns(
        netns,
        &[
            "route",
            "add",
            "default",
            "via",
            &place.router_ip().to_string(),
        ],
    )?;
    if let Place::Site(site) = place {
        // The node passes on what is for its pods; kube-proxy translates service addresses there.
        sysctl(netns, "net.ipv4.ip_forward", "1")?;
        sysctl(netns, "net.ipv4.conf.all.route_localnet", "1")?;
        in_netns(
            netns,
            &["addr", "add", &format!("{}/32", site.dns_ip()), "dev", "lo"],
        )?;
        let node = site.node_ip().to_string();
        for range in [site.service_range(), site.pod_range()] {
            in_netns(ROUTER_NETNS, &["route", "add", &range, "via", &node])?;
        }
    }
    Ok(())
}

fn ip(args: &[&str]) -> Result<()> {
    program::output(Command::new("ip").args(args)).map(drop)
}

fn in_netns(netns: &str, args: &[&str]) -> Result<()> {
    let mut all = vec!["-n", netns];
    all.extend(args);
    ip(&all)
}

/// The kernel shows each process the settings of its own network namespace.
fn sysctl(netns: &str, name: &str, value: &str) -> Result<()> {
    let file = format!("/proc/sys/{}", name.replace('.', "/"));
    program::output(program::in_netns(netns, "sh").args([
        "-c",
        "echo \"$0\" > \"$1\"",
        value,
        &file,
    ]))
    .map(drop)
}
