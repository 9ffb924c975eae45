//! A real HAProxy in the peers' root file system, in front of two sites.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::wait;
use serde_json::{Value, json};

/// How long it may take to listen.
const DEADLINE: Duration = Duration::from_secs(10);

/// The map as HAProxy knows it.
const MAP: &str = "/mnt/host.map";

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process. HAProxy ends with whoever
/// started it, also when that is killed.
const ENTER: &str = "mount --bind \"$1\" \"$0/mnt\" && exec setpriv --pdeathsig KILL chroot \"$0\" haproxy -db -f /mnt/h.cfg";

/// What HAProxy is to do.
#[derive(Clone, Copy)]
pub(crate) struct Front<'a> {
    /// Where users come in.
    pub(crate) at: SocketAddr,
    /// The host that they ask for.
    pub(crate) host: &'a str,
    /// The site that they are led to at first.
    pub(crate) site: &'a str,
    /// The lines of a site's backend.
    pub(crate) backend: &'a dyn Fn(&str) -> String,
}

/// A running HAProxy; ends with its value.
#[derive(Debug)]
pub(crate) struct Haproxy {
    folder: PathBuf,
    child: Child,
    at: SocketAddr,
    host: String,
}

/// An address of this machine that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Haproxy {
    /// Starts it with its files in a folder of its own.
    ///
    /// # Errors
    /// Nothing answers on its socket in time.
    pub(crate) fn start(peers: &Path, folder: &Path, front: Front<'_>) -> Result<Self> {
        fs::write(folder.join("h.cfg"), config(front))?;
        let map = format!("{} {}-http\n", front.host, front.site);
        fs::write(folder.join("host.map"), map)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", ENTER]);
        command.arg(peers).arg(folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let haproxy = Self {
            folder: folder.to_owned(),
            child: child.context("unshare does not start")?,
            at: front.at,
            host: front.host.to_owned(),
        };
        wait::until("HAProxy", DEADLINE, || {
            UnixStream::connect(haproxy.socket())?;
            Ok(())
        })?;
        Ok(haproxy)
    }

    /// Where users come in.
    pub(crate) const fn at(&self) -> SocketAddr {
        self.at
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// Sends users to a site by one line on its socket.
    pub(crate) fn set(&self, site: &str) -> Result<()> {
        let mut socket = UnixStream::connect(self.socket())?;
        writeln!(socket, "set map {MAP} {} {site}-http", self.host)?;
        let mut said = String::new();
        socket.read_to_string(&mut said)?;
        ensure!(said.trim().is_empty(), "HAProxy says {said}");
        Ok(())
    }

    /// `spec.traffic` of a service's file whose users are led by this HAProxy.
    pub(crate) fn traffic(&self) -> Value {
        let (at, host) = (self.at, &self.host);
        let names =
            |end: &str| json!({"core1": format!("core1{end}"), "core2": format!("core2{end}")});
        json!([
            {"haproxyRuntime": {
                "id": "lb",
                "socket": {"unix": self.socket()},
                "routes": [{
                    "name": "http",
                    "host": host,
                    "spot": {"map": {"file": MAP}},
                    "sites": names("-http"),
                }],
            }},
            {"probe": {
                "route": "http",
                "url": format!("http://{host}/"),
                "family": "v4",
                "connectTo": at,
                "evidence": [{"header": {"name": "x-site", "values": names("")}}],
            }},
        ])
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn config(front: Front<'_>) -> String {
    let backend = |site: &str| format!("backend {site}-http\n{}", (front.backend)(site));
    format!(
        "global
  stats socket /mnt/admin.sock mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend users
  bind {}
  use_backend %[hdr(host),field(1,:),lower,map_str({MAP},nowhere)]
{}{}backend nowhere
  http-request deny
",
        front.at,
        backend("core1"),
        backend("core2")
    )
}
