//! A real `PgBouncer` before both sites of a service, and its clients.

use std::fs::{self, File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::json;

use super::{Config, Entrance, Report, entrance};
use crate::process::Identity;
use crate::program;
use crate::site::Site;
use crate::wait;

/// How long it may take to listen, and its clients until each has written.
const DEADLINE: Duration = Duration::from_mins(2);

/// Enters the root file system with the folder at `/mnt`, in a mount namespace that ends with the process. `PgBouncer` does not run
/// as root.
const ENTER: &str = "mount --bind \"$1\" \"$0/mnt\" && exec chroot --userspec=65534:65534 \"$0\" pgbouncer /mnt/pgbouncer.ini";

/// As the pooler calls the database of the service.
const DATABASE: &str = "app";

/// A running `PgBouncer`; ends with its value.
pub struct Bouncer {
    child: Child,
    folder: PathBuf,
    port: u16,
    entrance: Entrance,
}

/// Its clients; they end with their value.
pub struct Clients {
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
    /// Starts one that leads to the service's leader at a site. `peers` is the root file system that has it, `folder` one that
    /// outlives it.
    ///
    /// # Errors
    /// The service is not at the site, or nobody listens in time (the error holds the end of the log).
    pub fn start(cluster: &str, peers: &Path, at: Site, folder: &Path) -> Result<Self> {
        let entrance = entrance(cluster)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = folder.join("bouncer");
        fs::create_dir(&folder)?;
        for made in [folder.parent().context("no folder")?, &folder] {
            fs::set_permissions(made, Permissions::from_mode(0o755))?;
        }
        write_files(&folder, &entrance, at, port)?;
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
        })
        .with_context(|| program::last_lines(&bouncer.folder.join("log"), 5))?;
        Ok(bouncer)
    }

    /// What the service's file says of it.
    pub fn entry(&self, longest: u32) -> String {
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

    /// Sees that the pooler leads to a site, as its configuration has it.
    ///
    /// # Errors
    /// It does not.
    pub fn leads_to(&self, site: Site) -> Result<()> {
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
    ///
    /// # Errors
    /// Nobody has.
    pub fn has_resumed(&self) -> Result<()> {
        let log = fs::read_to_string(self.folder.join("log"))?;
        ensure!(log.contains("RESUME"), "{log}");
        Ok(())
    }

    /// Starts clients by the program `pgha-pooled`, and waits until a row of each was acknowledged.
    ///
    /// # Errors
    /// They do not write in time.
    pub fn clients(&self, program: &Path, name: &str, clients: u32) -> Result<Clients> {
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
    ///
    /// # Errors
    /// They have ended before, or not well.
    pub fn end(mut self) -> Result<Report> {
        Identity::of(self.child.id())?.signal(Signal::TERM)?;
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the clients ended with {ended}");
        Report::read(&self.report)
    }
}

fn write_files(folder: &Path, entrance: &Entrance, at: Site, port: u16) -> Result<()> {
    let Entrance {
        hosts,
        user,
        password,
        database,
    } = entrance;
    let host = hosts.get(at.name());
    let host = host.context("the service is not at this site")?;
    let users = format!("\"pgha\" \"s3cret\"\n\"{user}\" \"{password}\"\n");
    fs::write(folder.join("users.txt"), users)?;
    // What is left out stands as it does where nobody has tuned it: with `server_login_retry = 0` a pause that took a connection
    // for a failed one would not show.
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
"
    );
    fs::write(folder.join("pgbouncer.ini"), config)?;
    let password = folder.join("password");
    fs::write(&password, "s3cret")?;
    Ok(fs::set_permissions(
        &password,
        Permissions::from_mode(0o600),
    )?)
}
