//! A `PgBouncer` before both sites, and its clients.

use std::fs::{self, File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use pgha_lab::pooled::{Config, Entrance, Report, entrance};
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::pair::{DEADLINE, Pair};
use pgha_tests::terminate;
use serde_json::json;

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process. `PgBouncer` does not run
/// as root.
const ENTER: &str = "mount --bind \"$1\" \"$0/mnt\" && exec chroot --userspec=65534:65534 \"$0\" pgbouncer /mnt/pgbouncer.ini";

/// As the pooler calls the database of the service.
const DATABASE: &str = "app";

/// A running `PgBouncer`; ends with its value.
pub(super) struct Bouncer {
    child: Child,
    folder: PathBuf,
    port: u16,
    entrance: Entrance,
}

/// Its clients.
pub(super) struct Clients {
    child: Child,
    report: PathBuf,
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Bouncer {
    /// Starts one that leads to a site.
    pub(super) fn start(pair: &Pair, peers: &Path, at: Site, folder: &Path) -> Result<Self> {
        let entrance = entrance(pair.kind.cluster)?;
        let host = entrance.hosts.get(at.name());
        let host = host.context("the service is not at this site")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = folder.join("bouncer");
        fs::create_dir(&folder)?;
        for made in [folder.parent().context("no folder")?, &folder] {
            fs::set_permissions(made, Permissions::from_mode(0o755))?;
        }
        let Entrance {
            user,
            password,
            database,
            ..
        } = &entrance;
        let users = format!("\"pgha\" \"s3cret\"\n\"{user}\" \"{password}\"\n");
        fs::write(folder.join("users.txt"), users)?;
        let config = format!(
            "[databases]
{DATABASE} = host={host} port=5432 dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /mnt/users.txt
admin_users = pgha
pool_mode = transaction
server_tls_sslmode = require
server_login_retry = 0
"
        );
        fs::write(folder.join("pgbouncer.ini"), config)?;
        let password = folder.join("password");
        fs::write(&password, "s3cret")?;
        fs::set_permissions(&password, Permissions::from_mode(0o600))?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--", "sh", "-c", ENTER])
            .arg(peers)
            .arg(&folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let bouncer = Self {
            child: command.spawn().context("PgBouncer does not start")?,
            folder,
            port,
            entrance,
        };
        wait::until("PgBouncer to listen", DEADLINE, || {
            TcpStream::connect(("127.0.0.1", port))
                .map(drop)
                .context("nobody listens")
        })?;
        Ok(bouncer)
    }

    /// What the service's file says of it.
    pub(super) fn entry(&self, longest: u32) -> String {
        let hosts = self
            .entrance
            .hosts
            .iter()
            .map(|(site, host)| format!("{site}: {host}"));
        let hosts: Vec<_> = hosts.collect();
        let (port, folder) = (self.port, self.folder.display());
        format!(
            "  poolers:
    - name: edge
      address: 127.0.0.1:{port}
      user: pgha
      passwordFile: {folder}/password
      databases: [{DATABASE}]
      longestPauseSeconds: {longest}
      point: [sed, -i, '/^{DATABASE}/s/host=[^ ]*/host={{host}}/', {folder}/pgbouncer.ini]
      hosts: {{ {} }}
",
            hosts.join(", ")
        )
    }

    /// Waits until the pooler leads to a site, as its configuration has it.
    pub(super) fn leads_to(&self, site: Site) -> Result<()> {
        let config = fs::read_to_string(self.folder.join("pgbouncer.ini"))?;
        let host = self
            .entrance
            .hosts
            .get(site.name())
            .context("no such site")?;
        ensure!(config.contains(&format!("host={host} ")), "{config}");
        Ok(())
    }

    /// Whether somebody has had its clients go on, as its log says.
    pub(super) fn has_resumed(&self) -> Result<()> {
        let log = fs::read_to_string(self.folder.join("log"))?;
        ensure!(log.contains("RESUME"), "{log}");
        Ok(())
    }

    /// Starts clients, and waits until a row of each was acknowledged.
    pub(super) fn clients(&self, program: &Path, name: &str, clients: u32) -> Result<Clients> {
        let report = self.folder.join(format!("{name}-report.json"));
        let config = Config {
            address: format!("127.0.0.1:{}", self.port),
            user: self.entrance.user.clone(),
            password: self.entrance.password.clone(),
            database: DATABASE.to_owned(),
            clients,
            report: report.clone(),
        };
        let file = self.folder.join(format!("{name}.json"));
        fs::write(&file, json!(config).to_string())?;
        let mut command = Command::new(program);
        let child = command.arg(&file).spawn().context("no clients")?;
        let clients = Clients { child, report };
        wait::until("the clients to write", DEADLINE, || {
            Report::read(&clients.report).map(drop)
        })?;
        Ok(clients)
    }
}

impl Clients {
    /// Ends them, once each has its last answer.
    pub(super) fn end(mut self) -> Result<Report> {
        terminate(&self.child)?;
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the clients ended with {ended}");
        Report::read(&self.report)
    }
}
