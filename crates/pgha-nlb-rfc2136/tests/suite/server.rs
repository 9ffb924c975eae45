//! Real DNS servers in the peers' root file system, changed and read by BIND's own tools.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use pgha_nlb::SiteName;
use pgha_nlb_rfc2136::{Clock, Rfc2136, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
/// The key that may change `login`, `api` and `app` only.
pub(crate) const SECRET: &str = "cGdoYS1zZWNyZXQtdGhhdC1pcy1sb25nLWVub3VnaC0=";
/// The key of whoever else keeps the zone.
const ADMIN: &str = "YWRtaW4tc2VjcmV0LXRoYXQtaXMtbG9uZy1lbm91Z2g=";
/// A key that may change nothing that a route is read from.
pub(crate) const STRANGER: &str = "c3RyYW5nZXItc2VjcmV0LXRoYXQtaXMtbG9uZy1lbm8=";

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 86400 3600 604800 300
@ NS ns1
ns1 A 127.0.0.1
login 300 A 192.0.2.2
login 300 A 192.0.2.22
login 120 AAAA 2001:db8::2
api 45 A 192.0.2.2
app CNAME LB.Core2.example.net.
";

/// What the routes of a zone are read from.
const NAMES: [&str; 7] = [
    "login A",
    "login AAAA",
    "login CNAME",
    "api A",
    "api AAAA",
    "app CNAME",
    "app A",
];

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process.
const ENTER: &str =
    "mount --bind \"$1\" \"$0/mnt\" && root=$0 && shift && exec chroot \"$root\" \"$@\"";

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

/// The peers' root file system; says so where there is none.
pub(crate) fn peers() -> Option<PathBuf> {
    pgha_nlb::conformance::peers("DNS server")
}

/// A port that nobody uses. It is below those that the kernel gives to clients.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 200).unwrap() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        let at = ("127.0.0.1", port);
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return port;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Bind,
    Knot,
}

/// A running server; ends with its value.
pub(crate) struct Server {
    folder: TempDir,
    peers: PathBuf,
    pub(crate) port: u16,
    child: Child,
}

impl Server {
    pub(crate) async fn primary(peers: &Path, product: Product) -> Self {
        Self::start(peers, product, None).await
    }

    /// A secondary that takes the zone over when it is told to, and never by itself.
    pub(crate) async fn secondary(&self) -> Self {
        Self::start(&self.peers, Product::Knot, Some(self.port)).await
    }

    async fn start(peers: &Path, product: Product, primary: Option<u16>) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        std::fs::create_dir(folder.path().join("db")).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        if primary.is_none() {
            write("example.org.zone", ZONE);
        }
        write("named.conf", &bind(port));
        write("knot.conf", &knot(port, primary));
        write(
            "tsig.key",
            &format!("key \"pgha\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n"),
        );
        write("stranger.key", STRANGER);
        for key in ["tsig.key", "stranger.key"] {
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(folder.path().join(key), mode).unwrap();
        }
        let program: &[&str] = match product {
            Product::Bind => &["named", "-g", "-n", "1", "-c", "/mnt/named.conf"],
            Product::Knot => &["knotd", "-c", "/mnt/knot.conf"],
        };
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = enter(peers, folder.path(), program);
        let command = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().unwrap();
        let peers = peers.to_owned();
        let mut server = Self {
            folder,
            peers,
            port,
            child,
        };
        server.answers().await;
        server
    }

    async fn answers(&mut self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !self.dig("@ SOA").contains("hostmaster") {
            let ended = self.child.try_wait().unwrap();
            let log = std::fs::read_to_string(self.path("log")).unwrap();
            assert!(ended.is_none(), "it ended: {ended:?} {log}");
            ticks.tick().await;
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `dig` is answered to `login A`, one record a line.
    pub(crate) fn dig(&self, question: &str) -> String {
        let (name, kind) = question.split_once(' ').unwrap();
        let name = if name == "@" {
            "example.org.".to_owned()
        } else {
            format!("{name}.example.org.")
        };
        let port = self.port.to_string();
        let mut command = Command::new("chroot");
        command.arg(&self.peers);
        command.args([
            "dig",
            "@127.0.0.1",
            "-p",
            &port,
            "+tcp",
            "+norecurse",
            "+tries=1",
        ]);
        command.args(["+noall", "+answer", &name, kind]);
        text(&command.output().unwrap())
    }

    pub(crate) fn serial(&self) -> u64 {
        let soa = self.dig("@ SOA");
        soa.split_whitespace().nth(6).unwrap().parse().unwrap()
    }

    /// Every record of the routes with its lifetime.
    pub(crate) fn records(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for question in NAMES {
            let kind = question.split_once(' ').unwrap().1;
            let answer = self.dig(question);
            let words = answer
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            let own = words
                .filter(|words| words[3] == kind)
                .map(|words| words.join(" "));
            lines.extend(own);
        }
        sorted(&lines.join("\n").to_lowercase())
    }

    /// Changes the zone as another of its keepers does.
    pub(crate) fn nsupdate(&self, commands: &str) {
        let mut command = Command::new("chroot");
        command.arg(&self.peers);
        command.args([
            "nsupdate",
            "-v",
            "-y",
            &format!("hmac-sha256:admin:{ADMIN}"),
        ]);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let script = format!(
            "server 127.0.0.1 {}\nzone example.org.\n{commands}\nsend\n",
            self.port
        );
        child
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        text(&child.wait_with_output().unwrap());
    }

    /// A secondary asks its primary now.
    pub(crate) fn refresh(&self) {
        let knotc = [
            "knotc",
            "-s",
            "/mnt/knot.sock",
            "zone-refresh",
            "example.org",
        ];
        text(
            &enter(&self.peers, self.folder.path(), &knotc)
                .output()
                .unwrap(),
        );
    }

    pub(crate) fn at(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn settings(&self, routes: &Value) -> Value {
        json!({
            "id": "dns", "primary": self.at(), "zone": "example.org",
            "key": { "name": "pgha", "secretFile": self.path("tsig.key") },
            "nameservers": [self.at()], "routes": routes,
        })
    }

    pub(crate) fn backend(&self) -> Rfc2136 {
        backend(&self.settings(&routes()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lines in an order that is always the same.
pub(crate) fn sorted(lines: &str) -> String {
    let mut lines: Vec<_> = lines.lines().map(|line| line.to_owned() + "\n").collect();
    lines.sort();
    lines.concat()
}

fn enter(peers: &Path, folder: &Path, program: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", ENTER]);
    command.arg(peers).arg(folder).args(program);
    command
}

fn text(output: &Output) -> String {
    let (said, complaint) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // `dig` ends with 9 where nobody answers yet.
    let is_good = output.status.success() || output.status.code() == Some(9);
    assert!(is_good, "{} {said} {complaint}", output.status);
    said.into_owned()
}

fn bind(port: u16) -> String {
    format!(
        r#"
options {{
  directory "/mnt"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; dnssec-validation no; allow-transfer {{ any; }};
}};
controls {{ }};
key "pgha" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
key "admin" {{ algorithm hmac-sha256; secret "{ADMIN}"; }};
key "stranger" {{ algorithm hmac-sha256; secret "{STRANGER}"; }};
zone "example.org" {{
  type primary; file "example.org.zone";
  update-policy {{
    grant pgha name login.example.org. A AAAA CNAME;
    grant pgha name api.example.org. A AAAA CNAME;
    grant pgha name app.example.org. A AAAA CNAME;
    grant admin zonesub ANY;
    grant stranger name stranger.example.org. TXT;
  }};
}};
"#
    )
}

fn knot(port: u16, primary: Option<u16>) -> String {
    let (remote, zone) = match primary {
        None => (
            String::new(),
            "zonefile-load: whole\n    acl: [pgha, admin, stranger]".to_owned(),
        ),
        Some(primary) => (
            format!("remote:\n  - id: primary\n    address: 127.0.0.1@{primary}\n"),
            "master: primary".to_owned(),
        ),
    };
    format!(
        "
server:
    listen: 127.0.0.1@{port}
    rundir: /mnt
    pidfile: /mnt/knot.pid
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: /mnt/knot.sock
log:
  - target: stderr
    any: info
database:
    storage: /mnt/db
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
key:
  - id: pgha
    algorithm: hmac-sha256
    secret: {SECRET}
  - id: admin
    algorithm: hmac-sha256
    secret: {ADMIN}
  - id: stranger
    algorithm: hmac-sha256
    secret: {STRANGER}
acl:
  - id: pgha
    key: pgha
    action: update
    update-type: [A, AAAA, CNAME]
    update-owner: name
    update-owner-match: equal
    update-owner-name: [login, api, app]
  - id: admin
    key: admin
    action: update
  - id: stranger
    key: stranger
    action: update
    update-owner: name
    update-owner-match: equal
    update-owner-name: [stranger]
{remote}zone:
  - domain: example.org
    storage: /mnt
    file: example.org.zone
    zonefile-sync: -1
    {zone}
"
    )
}

/// Two routes of one name, one without IPv6, and one of an alias.
pub(crate) fn routes() -> Value {
    let login = json!({
        "core1": { "a": ["192.0.2.1"], "aaaa": ["2001:db8:0::1"] },
        "core2": { "a": ["192.0.2.22", "192.0.2.2"], "aaaa": ["2001:db8::2"] },
    });
    json!([
        { "name": "https", "record": "Login.example.org", "sites": login },
        { "name": "http", "record": "login.example.org.", "sites": login },
        { "name": "api", "record": "api.example.org", "sites": {
            "core1": { "a": ["192.0.2.1"] }, "core2": { "a": ["192.0.2.2"] } } },
        { "name": "app", "record": "app.example.org.", "sites": {
            "core1": { "cname": "lb.core1.example.net" }, "core2": { "cname": "lb.core2.example.net" } } },
    ])
}

#[expect(
    clippy::disallowed_methods,
    reason = "the servers have the machine's clock"
)]
pub(crate) fn clock() -> Clock {
    Arc::new(|| {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    })
}

pub(crate) fn backend(settings: &Value) -> Rfc2136 {
    let settings: Settings = serde_json::from_value(settings.clone()).unwrap();
    Rfc2136::new(settings, clock()).unwrap()
}
