//! A real HAProxy in the peers' root file system, in front of two sites that answer with their own names.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::wait;
use tempfile::TempDir;

/// How long it may take to listen.
const DEADLINE: Duration = Duration::from_secs(10);

/// The map as HAProxy knows it.
const MAP: &str = "/mnt/host.map";

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process.
const ENTER: &str =
    "mount --bind \"$1\" \"$0/mnt\" && exec chroot \"$0\" haproxy -db -f /mnt/h.cfg";

/// A running HAProxy; ends with its value.
#[derive(Debug)]
pub(super) struct Haproxy {
    folder: TempDir,
    child: Child,
    at: SocketAddr,
}

impl Haproxy {
    /// Starts it with its users at `core2`.
    pub(super) fn start(peers: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // A port that was free a moment ago.
        let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        fs::write(folder.path().join("h.cfg"), config(at))?;
        fs::write(folder.path().join("host.map"), "login.example core2-http\n")?;
        fs::write(folder.path().join("pgha.yaml"), service(folder.path(), at))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", ENTER]);
        command.arg(peers).arg(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.context("unshare does not start")?;
        let haproxy = Self { folder, child, at };
        wait::until("HAProxy", DEADLINE, || {
            UnixStream::connect(haproxy.socket())?;
            Ok(())
        })?;
        Ok(haproxy)
    }

    /// Where users come in.
    pub(super) const fn at(&self) -> SocketAddr {
        self.at
    }

    /// The service's file.
    pub(super) fn service(&self) -> PathBuf {
        self.folder.path().join("pgha.yaml")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Sends users to a site by one line on its socket.
    pub(super) fn set(&self, site: &str) -> Result<()> {
        let mut socket = UnixStream::connect(self.socket())?;
        writeln!(socket, "set map {MAP} login.example {site}-http")?;
        let mut said = String::new();
        socket.read_to_string(&mut said)?;
        ensure!(said.trim().is_empty(), "HAProxy says {said}");
        Ok(())
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn config(at: SocketAddr) -> String {
    let backend = |site: &str| {
        format!(
            "backend {site}-http
  http-request return status 200 content-type text/plain hdr x-site {site} string {site}
"
        )
    };
    format!(
        "global
  stats socket /mnt/admin.sock mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend users
  bind {at}
  use_backend %[hdr(host),lower,map_str({MAP},nowhere)]
{}{}backend nowhere
  http-request deny
",
        backend("core1"),
        backend("core2")
    )
}

fn service(folder: &Path, at: SocketAddr) -> String {
    let socket = folder.join("admin.sock");
    let socket = socket.display();
    format!(
        "apiVersion: pgha.dev/v1alpha1
kind: Service
metadata: {{ name: bench }}
spec:
  sites:
    - {{ name: core1, context: core1, cluster: bench }}
    - {{ name: core2, context: core2, cluster: bench }}
  traffic:
    - haproxyRuntime:
        id: lb
        socket: {{ unix: {socket} }}
        routes:
          - name: http
            host: login.example
            spot: {{ map: {{ file: {MAP} }} }}
            sites: {{ core1: core1-http, core2: core2-http }}
    - probe:
        route: http
        url: http://login.example/
        family: v4
        connectTo: {at}
        evidence: [{{ header: {{ name: x-site, values: {{ core1: core1, core2: core2 }} }} }}]
"
    )
}
