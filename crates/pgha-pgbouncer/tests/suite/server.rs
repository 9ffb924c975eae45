//! A `PgBouncer` in the peers' root file system.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pgha_pgbouncer::{Pooler, Settings};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::backend::{self, Answer};

pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// Starts until one finds its port free: another process may take it between the choice and the start.
const STARTS: usize = 10;

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process. `PgBouncer` does not run
/// as root.
const ENTER: &str = "mount --bind \"$1\" \"$0/mnt\" && exec chroot --userspec=65534:65534 \"$0\" pgbouncer /mnt/pgbouncer.ini";

/// A running `PgBouncer`; ends with its value.
pub(crate) struct Server {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts one; `None`, and says so, where there are no peers.
pub(crate) fn start(mode: &str) -> Option<Server> {
    start_before(mode, &[])
}

/// Starts one before a backend that answers its first connections so.
pub(crate) fn start_before(mode: &str, first: &'static [Answer]) -> Option<Server> {
    let Some(peers) = std::env::var_os("PGHA_PEERS") else {
        eprintln!("skipped: PGHA_PEERS does not name where PgBouncer is");
        return None;
    };
    let backend = backend::serve(first);
    let started = (0..STARTS).find_map(|_| try_start(Path::new(&peers), mode, backend));
    assert!(started.is_some(), "PgBouncer does not start");
    started
}

fn try_start(peers: &Path, mode: &str, backend: u16) -> Option<Server> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let users = "\"pgha\" \"s3cret\"\n\"app\" \"app\"\n";
    std::fs::write(folder.path().join("users.txt"), users).unwrap();
    write_config(folder.path(), port, mode, backend);
    let log = File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", ENTER]);
    command.arg(peers).arg(folder.path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let mut child = command.spawn().unwrap();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::yield_now();
    }
    Some(Server {
        folder,
        child,
        port,
    })
}

fn write_config(folder: &Path, port: u16, mode: &str, backend: u16) {
    let config = format!(
        "[databases]
app = host=127.0.0.1 port={backend}
Other = host=127.0.0.1 port={backend}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /mnt/users.txt
admin_users = pgha
pool_mode = {mode}
query_wait_timeout = 90
server_login_retry = 3600
"
    );
    std::fs::write(folder.join("pgbouncer.ini"), config).unwrap();
}

impl Server {
    pub(crate) fn settings(&self, user: &str, password: &str, databases: &[&str]) -> Settings {
        Settings {
            name: "edge".to_owned(),
            address: format!("127.0.0.1:{}", self.port),
            user: user.to_owned(),
            password_file: Some(self.password_file(password)),
            tls: None,
            databases: databases.iter().map(ToString::to_string).collect(),
            longest_pause_seconds: 30,
            point: Vec::new(),
            hosts: BTreeMap::new(),
        }
    }

    pub(crate) fn pooler(&self) -> Pooler {
        Pooler::new(self.settings("pgha", "s3cret", &["app"])).unwrap()
    }

    /// A client of the pooler.
    pub(crate) async fn client(&self) -> Client {
        ends(self.connect()).await
    }

    /// Becomes a client of the pooler, once that lets it in.
    pub(crate) fn connect(&self) -> JoinHandle<Client> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).dbname("app");
        config.user("app").password("app");
        tokio::spawn(connect(config))
    }

    /// A pooler whose program is this shell script, with `{site}` and `{host}` as its arguments.
    pub(crate) fn pointed_by(&self, script: &str) -> Pooler {
        let words = [
            "sh",
            "-c",
            script,
            &self.folder.path().display().to_string(),
            "{site}",
            "{host}",
        ];
        let hosts = [("core1", "127.0.0.1"), ("core2", "127.0.0.2")];
        let own = |(site, host): (&str, &str)| (site.to_owned(), host.to_owned());
        Pooler::new(Settings {
            point: words.map(str::to_owned).to_vec(),
            hosts: hosts.into_iter().map(own).collect(),
            ..self.settings("pgha", "s3cret", &["app"])
        })
        .unwrap()
    }

    async fn console(&self) -> Client {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).dbname("pgbouncer");
        config.user("pgha").password("s3cret");
        connect(config).await
    }

    /// Has the console do something.
    pub(crate) async fn command(&self, command: &str) {
        self.console().await.simple_query(command).await.unwrap();
    }

    /// A setting, as the console shows it.
    pub(crate) async fn setting(&self, key: &str) -> String {
        let console = self.console().await;
        let answer = console.simple_query("SHOW CONFIG").await.unwrap();
        let value = answer.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else {
                return None;
            };
            row.get("value").filter(|_| row.get("key") == Some(key))
        });
        value.unwrap().to_owned()
    }

    pub(crate) fn text_of(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    fn password_file(&self, password: &str) -> PathBuf {
        let path = self.folder.path().join(format!("password-{password}"));
        std::fs::write(&path, format!("{password}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }
}

async fn connect(config: Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    // Its end shows in what is asked next.
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// What a task comes to, which is not waited for endlessly.
pub(crate) async fn ends<T>(task: JoinHandle<T>) -> T {
    tokio::time::timeout(WITHIN, task).await.unwrap().unwrap()
}
