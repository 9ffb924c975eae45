//! A way to an API server on which another writer is faster.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;

/// A way to the API server on which somebody else is faster than the first patch.
pub(super) struct Between {
    /// Where it is reached, in plain HTTP and without credentials.
    pub(super) at: SocketAddr,
    proxy: Child,
    deed: Deed,
}

/// What is done once.
type Deed = Arc<Mutex<Option<Box<dyn FnOnce() -> Result<()> + Send>>>>;

impl Between {
    /// Begins to listen; `deed` is what another writer does right before the first patch arrives.
    pub(super) fn start(
        site: Site,
        deed: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let mut command = Kubectl::new(site).command();
        command.args(["proxy", "--port=0"]).stdout(Stdio::piped());
        let mut proxy = command.spawn().context("kubectl proxy does not start")?;
        let mut line = String::new();
        let stdout = proxy.stdout.take().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let behind = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let deed: Deed = Arc::new(Mutex::new(Some(Box::new(deed))));
        let (at, shared) = (listener.local_addr()?, Arc::clone(&deed));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (behind, deed) = (behind.clone(), Arc::clone(&shared));
                // A connection that breaks shows in what the plugin says.
                thread::spawn(move || drop(forward(client, &behind, &deed)));
            }
        });
        Ok(Self { at, proxy, deed })
    }

    /// Whether a patch came by.
    pub(super) fn was_used(&self) -> bool {
        self.deed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

fn forward(mut client: TcpStream, behind: &str, deed: &Deed) -> Result<()> {
    let mut server = TcpStream::connect(behind)?;
    let (mut answers, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || std::io::copy(&mut answers, &mut to_client));
    let mut bytes = [0; 8192];
    loop {
        let count = client.read(&mut bytes)?;
        let Some(sent) = bytes.get(..count).filter(|sent| !sent.is_empty()) else {
            return Ok(server.shutdown(Shutdown::Write)?);
        };
        if sent.starts_with(b"PATCH ") {
            let first = deed.lock().unwrap_or_else(PoisonError::into_inner).take();
            first.map_or(Ok(()), |deed| deed())?;
        }
        server.write_all(sent)?;
    }
}
