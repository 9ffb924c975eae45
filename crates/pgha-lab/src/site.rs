//! The places of the lab: two sites, the edge, and their addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The namespace that holds the Postgres service in both sites.
pub const SERVICE_NAMESPACE: &str = "prod-iam-zitadel";

/// The network namespace that joins all the others; each link can be cut there by itself.
pub const ROUTER_NETNS: &str = "pgha-router";

/// Where the S3 store answers: a name that both sites' DNS resolves to the edge.
pub const S3_ENDPOINT: &str = "s3.lab:7070";
/// The name part of [`S3_ENDPOINT`].
pub const S3_HOST: &str = "s3.lab";
/// The port part of [`S3_ENDPOINT`].
pub const S3_PORT: u16 = 7070;
/// The bucket for the backup repositories.
pub const S3_BUCKET: &str = "pgbackrest";
/// The access key of the S3 store.
pub const S3_KEY: &str = "labkey";
/// The secret of [`S3_KEY`].
pub const S3_SECRET: &str = "labsecretlabsecret";
/// The region the S3 store says it is in.
pub const S3_REGION: &str = "us-east-1";

/// The Postgres image with Patroni 4.1.
pub const IMAGE_PATRONI_4_1: &str = "lab.local/postgres:15-patroni4.1";
/// The Postgres image with Patroni 3.3.
pub const IMAGE_PATRONI_3_3: &str = "lab.local/postgres:15-patroni3.3";
/// The image of a pod's first process.
pub const IMAGE_PAUSE: &str = "lab.local/pause:1";
/// The plugin, for what runs in a site.
pub const IMAGE_PLUGIN: &str = "lab.local/kubectl-pgha:1";
/// The storage class whose volumes are folders of this machine.
pub const STORAGE_CLASS: &str = "manual";

/// One of the two Kubernetes sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// `core1`
    Core1,
    /// `core2`
    Core2,
}

impl Site {
    /// Both sites, in order.
    pub const ALL: [Self; 2] = [Self::Core1, Self::Core2];

    /// The name: also the context in the lab's kubeconfig.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core1 => "core1",
            Self::Core2 => "core2",
        }
    }

    /// The other site.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Core1 => Self::Core2,
            Self::Core2 => Self::Core1,
        }
    }

    /// The site as a place on the lab's network.
    pub const fn place(self) -> Place {
        Place::Site(self)
    }

    /// The network namespace of the site's only node.
    pub const fn netns(self) -> &'static str {
        self.place().netns()
    }

    /// The Kubernetes name of the site's only node.
    pub fn node_name(self) -> String {
        format!("{}-node", self.name())
    }

    /// The node's address.
    pub const fn node_ip(self) -> Ipv4Addr {
        self.place().ip()
    }

    /// The URL of the API server.
    pub fn api_server(self) -> String {
        format!("https://{}:6443", self.node_ip())
    }

    /// The range of the cluster IPs, as a prefix.
    pub fn service_range(self) -> String {
        format!("10.{}.96.0/24", self.place().second_octet())
    }

    /// The address of the `kubernetes` service: the first of the range.
    pub const fn service_ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.place().second_octet(), 96, 1)
    }

    /// The address of the cluster's DNS.
    pub const fn dns_ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.place().second_octet(), 96, 10)
    }

    /// The range of the pods' addresses, as a prefix.
    pub fn pod_range(self) -> String {
        format!("10.{}.128.0/24", self.place().second_octet())
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|site| site.name() == text)
            .ok_or_else(|| format!("`{text}` is not a site of the lab: core1 or core2"))
    }
}

/// A network of the lab behind the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// One of the sites: node, services and pods.
    Site(Site),
    /// Where the S3 store is.
    Edge,
}

impl Place {
    /// Every place, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Site(Site::Core1), Self::Site(Site::Core2), Self::Edge];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Site(site) => site.name(),
            Self::Edge => "edge",
        }
    }

    /// The network namespace.
    pub const fn netns(self) -> &'static str {
        match self {
            Self::Site(Site::Core1) => "pgha-core1",
            Self::Site(Site::Core2) => "pgha-core2",
            Self::Edge => "pgha-edge",
        }
    }

    /// The place's own end of its link to the router.
    pub const fn ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second_octet(), 0, 2)
    }

    /// The router's end of the link.
    pub const fn router_ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second_octet(), 0, 1)
    }

    /// Everything the place may send from: node, services and pods.
    pub fn range(self) -> String {
        format!("10.{}.0.0/16", self.second_octet())
    }

    /// The router's network interface towards the place.
    pub fn router_link(self) -> String {
        format!("to-{}", self.name())
    }

    const fn second_octet(self) -> u8 {
        match self {
            Self::Site(Site::Core1) => 101,
            Self::Site(Site::Core2) => 102,
            Self::Edge => 103,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|place| place.name() == text)
            .ok_or_else(|| format!("`{text}` is not a place of the lab: core1, core2 or edge"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_the_sites_number() {
        assert_eq!(Site::Core2.node_ip().to_string(), "10.102.0.2");
        assert_eq!(Site::Core2.service_range(), "10.102.96.0/24");
        assert_eq!(Site::Core2.dns_ip().to_string(), "10.102.96.10");
        assert_eq!(Site::Core1.pod_range(), "10.101.128.0/24");
        assert_eq!(Place::Edge.router_ip().to_string(), "10.103.0.1");
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        for place in Place::ALL {
            assert_eq!(place.name().parse(), Ok(place));
        }
        assert!("core3".parse::<Site>().unwrap_err().contains("core3"));
    }
}
