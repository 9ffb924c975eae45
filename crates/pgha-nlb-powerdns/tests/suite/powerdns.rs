//! A real PowerDNS in the peers' root file system, with one zone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use pgha_nlb::conformance::stub::private_file;
use pgha_nlb::{Cutover as _, Receipt, SiteName};
use pgha_nlb_powerdns::{PowerDns, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
pub(crate) const ZONE: &str = "example.org.";
/// Starts until one finds its ports free: another process may take one between the choice and the start.
const STARTS: usize = 10;

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process.
const ENTER: &str = "mount --bind \"$1\" \"$0/mnt\" && exec chroot \"$0\" sh -c '
sqlite3 -cmd \"PRAGMA synchronous = OFF\" /mnt/zones.db < /usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql &&
exec pdns_server --config-dir=/mnt'";

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

/// The peers' root file system; says so where there is none.
pub(crate) fn peers() -> Option<PathBuf> {
    pgha_nlb::conformance::peers("PowerDNS")
}

/// A running PowerDNS; ends with its value.
pub(crate) struct Server {
    folder: TempDir,
    child: Mutex<Child>,
    port: u16,
    pub(crate) key: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        drop(child.kill());
        drop(child.wait());
    }
}

fn config(dns: u16, api: u16, key: &str) -> String {
    format!(
        "\
launch=gsqlite3
gsqlite3-database=/mnt/zones.db
gsqlite3-dnssec=yes
gsqlite3-pragma-synchronous=0
local-address=127.0.0.1
local-port={dns}
api=yes
api-key={key}
webserver=yes
webserver-address=127.0.0.1
webserver-port={api}
webserver-allow-from=127.0.0.1
socket-dir=/mnt
security-poll-suffix=
"
    )
}

/// Whatever an HTTP server answers to a whole request.
pub(crate) fn exchange(port: u16, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn set(name: &str, kind: &str, ttl: u32, records: &[&str]) -> Value {
    let records = records
        .iter()
        .map(|content| match content.strip_prefix('#') {
            Some(content) => json!({"content": content, "disabled": true}),
            None => json!({"content": content, "disabled": false}),
        });
    json!({
        "name": name, "type": kind, "ttl": ttl, "changetype": "REPLACE", "records": records.collect::<Vec<_>>(),
    })
}

impl Server {
    pub(crate) async fn start(peers: &Path) -> Self {
        for _ in 0..STARTS {
            if let Some(server) = Self::try_start(peers).await {
                server.make_zone();
                return server;
            }
        }
        panic!("PowerDNS does not start");
    }

    async fn try_start(peers: &Path) -> Option<Self> {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (dns, api) = (free(), free());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let (dns_port, port) = (port(&dns), port(&api));
        drop((dns, api));
        let folder = TempDir::new().unwrap();
        // One of its own tells this server from another one at a port that somebody else took.
        let key = format!("s3cret-{dns_port}-{port}");
        std::fs::write(
            folder.path().join("pdns.conf"),
            config(dns_port, port, &key),
        )
        .unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", ENTER]);
        command.arg(peers).arg(folder.path());
        let log = File::create(folder.path().join("log")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = Mutex::new(command.spawn().unwrap());
        let server = Self {
            folder,
            child,
            port,
            key,
        };
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while server
            .try_ask("GET", "", "")
            .is_none_or(|(status, _)| status != 200)
        {
            if server.is_lost() {
                return None;
            }
            ticks.tick().await;
        }
        Some(server)
    }

    /// Whether it ended, or runs on without its API.
    fn is_lost(&self) -> bool {
        let ended = self.child.lock().unwrap().try_wait().unwrap();
        let log = std::fs::read(self.folder().join("log")).unwrap();
        ended.is_some() || String::from_utf8_lossy(&log).contains("HTTP socket failed")
    }

    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let request = format!(
            "{method} /api/v1/servers/localhost{path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        let answer = exchange(self.port, request.as_bytes()).ok()?;
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, serde_json::from_str(body).unwrap_or_default()))
    }

    /// A request as an operator would send it.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_ask(method, path, &body.to_string()).unwrap();
        assert!((200..300).contains(&status), "{status} {answer}");
        answer
    }

    fn make_zone(&self) {
        let sets = [
            set("login.example.org.", "A", 300, &["192.0.2.2", "#192.0.2.9"]),
            set("login.example.org.", "AAAA", 600, &["2001:db8::2"]),
            set(
                "login.example.org.",
                "TXT",
                600,
                &["\"of nobody's business\""],
            ),
            set("api.example.org.", "CNAME", 20, &["lb.core2.example."]),
            set("web.example.org.", "A", 600, &["192.0.2.80"]),
        ];
        let zone = json!({
            "name": ZONE, "kind": "Native", "nameservers": ["ns1.example.org."], "soa_edit_api": "INCREASE",
            "rrsets": sets,
        });
        self.ask("POST", "/zones", &zone);
    }

    pub(crate) fn zone(&self) -> Value {
        self.ask("GET", &format!("/zones/{ZONE}"), &Value::Null)
    }

    /// Every set but the one with the serial.
    pub(crate) fn sets(&self) -> Vec<String> {
        let zone = self.zone();
        let sets = zone["rrsets"].as_array().unwrap().iter();
        let mut sets: Vec<_> = sets
            .filter(|set| set["type"] != "SOA")
            .map(ToString::to_string)
            .collect();
        sets.sort_unstable();
        sets
    }

    pub(crate) fn serial(&self) -> u64 {
        self.zone()["serial"].as_u64().unwrap()
    }

    /// Replaces a set as another writer would.
    pub(crate) fn replace(&self, name: &str, kind: &str, records: &[&str]) {
        let sets = json!({"rrsets": [set(name, kind, 300, records)]});
        self.ask("PATCH", &format!("/zones/{ZONE}"), &sets);
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn settings(&self) -> Value {
        json!({
            "id": "dns", "url": format!("http://127.0.0.1:{}", self.port), "zone": "example.org", "ttl": 30,
            "apiKeyFile": private_file(self.folder(), "key", &self.key).unwrap(),
            "routes": [
                {"name": "https", "record": "login.example.org", "sites": {
                    "core1": {"a": ["192.0.2.1"], "aaaa": ["2001:db8::1"]},
                    "core2": {"a": ["192.0.2.2"], "aaaa": ["2001:db8::2"]},
                }},
                {"name": "api", "record": "api.example.org", "sites": {
                    "core1": {"cname": "lb.core1.example"}, "core2": {"cname": "lb.core2.example"},
                }},
            ],
        })
    }
}

pub(crate) fn backend(settings: Value) -> PowerDns {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    PowerDns::new(settings).unwrap()
}

pub(crate) async fn moved(backend: &PowerDns) -> Result<Receipt, pgha_nlb::CutoverError> {
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    backend.apply(&plan, WITHIN).await
}
