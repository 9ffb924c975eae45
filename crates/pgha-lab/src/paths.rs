//! Where the lab keeps things: the run folder (gone after `down`) and the cache (gone after `clean`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::site::{Place, Site};

/// The run folder: pids, sockets, logs, certificates, kubeconfigs. One lab a machine, so one fixed place.
pub const RUN: &str = "/run/pgha-lab";

/// The kubeconfig with the contexts `core1` and `core2`, admin rights, namespace `prod-iam-zitadel`.
pub fn kubeconfig() -> PathBuf {
    Path::new(RUN).join("kubeconfig")
}

/// One of the programs that `up` built: `kubectl`, `kube-apiserver`, `coredns`, `versitygw`, …
pub fn program(name: &str) -> PathBuf {
    Path::new(RUN).join("bin").join(name)
}

/// The run folder of one place.
pub fn place(place: Place) -> PathBuf {
    Path::new(RUN).join(place.name())
}

/// Where the pid files of one place are.
pub fn pids(of: Place) -> PathBuf {
    place(of).join("run")
}

/// Where the logs of one place are.
pub fn logs(of: Place) -> PathBuf {
    place(of).join("log")
}

/// The kubeconfig with one site only, the one that its operator uses.
pub fn site_kubeconfig(site: Site) -> PathBuf {
    place(site.place()).join("kubeconfig")
}

/// The log of every request that a site's API server answered, one JSON object a line, level Metadata.
pub fn audit_log(site: Site) -> PathBuf {
    logs(site.place()).join("audit.log")
}

/// What a process in the site's network needs as `/etc/resolv.conf` to see the cluster's DNS.
pub fn resolv_conf(site: Site) -> PathBuf {
    place(site.place()).join("resolv.conf")
}

/// A link to the cache that the running lab uses: a later command's environment may name another one.
pub(crate) fn in_use() -> PathBuf {
    Path::new(RUN).join("cache")
}

/// The cache folder: what took long to build, and the sites' data.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's: `$XDG_CACHE_HOME/pgha`, or `~/.cache/pgha`.
    ///
    /// # Errors
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[expect(
        clippy::disallowed_methods,
        reason = "the lab's only reader of the environment: where the user's cache is"
    )]
    pub fn of_user() -> Result<Self> {
        let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(
                std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?,
            )
            .join(".cache"),
        };
        Ok(Self::at(base.join("pgha")))
    }

    /// The one that the running lab was brought up with, or the user's.
    ///
    /// # Errors
    /// As [`Cache::of_user`].
    pub fn in_use() -> Result<Self> {
        fs::read_link(in_use())
            .map(Self::at)
            .or_else(|_| Self::of_user())
    }

    /// A cache in a folder of the caller's.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a tool of the project's own is installed; its version is part of the name.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.root.join("tools").join(name)
    }

    /// What was built, by content.
    pub fn built(&self) -> PathBuf {
        self.root.join("built")
    }

    /// A site's images, kept between `down` and `up`.
    pub fn containerd(&self, site: Site) -> PathBuf {
        self.root.join("containerd").join(site.name())
    }

    /// A place's data (etcd, volumes, buckets), removed by `down`.
    pub fn data(&self, place: Place) -> PathBuf {
        self.root.join("sites").join(place.name())
    }
}
