//! A real HAProxy in the peers' root file system, whose backends answer with their own names.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use pgha_nlb::SiteName;
use pgha_nlb_haproxy_runtime::{HaproxyRuntime, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
pub(crate) const MAP: &str = "/mnt/host.map";
pub(crate) const SNI_MAP: &str = "/mnt/sni.map";

const CONFIG: &str = "\
global
  stats socket /mnt/admin.sock mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend mapped
  bind unix@/mnt/mapped.sock
  use_backend %[hdr(host),lower,map_str(/mnt/host.map,nowhere)]
frontend named
  bind unix@/mnt/named.sock
  use_backend core2-http if { hdr(host) -i web.ois.run login.ois.run }
  use_backend core1-http if { hdr(host) -i core1.ois.run }
frontend tls
  mode tcp
  bind unix@/mnt/tls.sock
  tcp-request inspect-delay 1s
  use_backend %[req.ssl_sni,lower,map_str(/mnt/sni.map,core2-https)]
backend core1-http
  http-request return status 200 content-type text/plain string core1
backend core2-http
  http-request return status 200 content-type text/plain string core2
backend nowhere
  http-request deny
backend core1-https
  mode tcp
  server c1 127.0.0.1:9
backend core2-https
  mode tcp
  server c2 127.0.0.1:9
";

/// The rules with inline patterns, by their lines in the configuration.
const RULES: [(&str, &str); 2] = [
    ("core2-http", "use_backend core2-http if"),
    ("core1-http", "use_backend core1-http if"),
];

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process.
const ENTER: &str =
    "mount --bind \"$1\" \"$0/mnt\" && exec chroot \"$0\" haproxy -db -f /mnt/h.cfg";

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

/// The peers' root file system; says so where there is none.
pub(crate) fn peers() -> Option<PathBuf> {
    pgha_nlb::conformance::peers("HAProxy")
}

/// A running HAProxy; ends with its value.
pub(crate) struct Haproxy {
    folder: TempDir,
    peers: PathBuf,
    child: Mutex<Child>,
}

fn start(peers: &Path, folder: &Path) -> Child {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", ENTER]);
    command.arg(peers).arg(folder);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Haproxy {
    pub(crate) async fn start(peers: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("h.cfg"), CONFIG).unwrap();
        let hosts = "web.ois.run core2-http\nlogin.ois.run core2-http\napi.ois.run core2-http\n";
        std::fs::write(folder.path().join("host.map"), hosts).unwrap();
        let names = "web.ois.run core2-https\nlogin.ois.run core2-https\n";
        std::fs::write(folder.path().join("sni.map"), names).unwrap();
        let child = Mutex::new(start(peers, folder.path()));
        let haproxy = Self {
            folder,
            peers: peers.to_owned(),
            child,
        };
        haproxy.answers().await;
        haproxy
    }

    async fn answers(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let sockets = ["admin.sock", "mapped.sock", "named.sock", "tls.sock"];
        let is_deaf = |socket: &str| UnixStream::connect(self.path(socket)).is_err();
        while sockets.iter().any(|socket| is_deaf(socket)) {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "HAProxy ended: {ended:?}");
            ticks.tick().await;
        }
    }

    fn end(&self) {
        let mut child = self.child.lock().unwrap();
        drop(child.kill());
        drop(child.wait());
    }

    /// Another process on the same files, as after a restart.
    pub(crate) async fn restart(&self) {
        self.end();
        *self.child.lock().unwrap() = start(&self.peers, self.folder.path());
        self.answers().await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The answer of the runtime API to commands, as an operator would give them.
    pub(crate) fn runtime(&self, commands: &str) -> String {
        let mut stream = UnixStream::connect(self.path("admin.sock")).unwrap();
        stream
            .write_all(format!("{commands}\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Who answers a request for a host at a frontend.
    pub(crate) fn served_by(&self, frontend: &str, host: &str) -> String {
        let mut stream = UnixStream::connect(self.path(frontend)).unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.rsplit("\r\n").next().unwrap().to_owned()
    }

    pub(crate) fn settings(&self, routes: &Value) -> Value {
        json!({ "id": "lb", "socket": {"unix": self.path("admin.sock")}, "routes": routes })
    }

    pub(crate) fn backend(&self, routes: &Value) -> HaproxyRuntime {
        let settings: Settings = serde_json::from_value(self.settings(routes)).unwrap();
        HaproxyRuntime::new(settings).unwrap()
    }

    /// The number that this process gives a rule's patterns.
    pub(crate) fn number(&self, backend: &str) -> String {
        let line = line_of(backend);
        let all = self.runtime("show acl");
        let about = format!("line {line}.");
        let found = all.lines().find(|text| text.contains(&about)).unwrap();
        found.split(' ').next().unwrap().to_owned()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.end();
    }
}

fn line_of(backend: &str) -> usize {
    let (_, start) = RULES.iter().find(|(name, _)| *name == backend).unwrap();
    let mut lines = CONFIG.lines();
    lines
        .position(|line| line.trim().starts_with(start))
        .unwrap()
        + 1
}

fn sites(suffix: &str) -> Value {
    json!({ "core1": format!("core1-{suffix}"), "core2": format!("core2-{suffix}") })
}

/// One key in each of two maps.
pub(crate) fn two_maps() -> Value {
    json!([
        { "name": "http", "host": "login.ois.run", "spot": {"map": {"file": MAP}}, "sites": sites("http") },
        { "name": "https", "host": "login.ois.run", "spot": {"map": {"file": SNI_MAP}}, "sites": sites("https") },
    ])
}

/// Two keys of one map.
pub(crate) fn two_keys() -> Value {
    json!([
        { "name": "login", "host": "login.ois.run", "spot": {"map": {"file": MAP}}, "sites": sites("http") },
        { "name": "api", "host": "api.ois.run", "spot": {"map": {"file": MAP}}, "sites": sites("http") },
    ])
}

/// The inline patterns of rules.
pub(crate) fn inline() -> Value {
    let rule = |backend: &str| json!({ "file": "/mnt/h.cfg", "line": line_of(backend) });
    json!([{
        "name": "http", "host": "login.ois.run", "sites": sites("http"),
        "spot": {"acls": {
            "fetch": "hdr(host)",
            "rules": { "core1-http": rule("core1-http"), "core2-http": rule("core2-http") },
        }},
    }])
}
