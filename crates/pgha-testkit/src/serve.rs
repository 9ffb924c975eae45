//! A fake cluster behind a loopback port, for tests that start a process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::FakeCluster;

/// A fake cluster that listens on a loopback port in plain HTTP, until it is dropped.
pub struct ServedCluster {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeCluster {
    /// Listens on a free port of the loopback address, in a thread of its own.
    pub fn serve(&self) -> std::io::Result<ServedCluster> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let cluster = self.clone();
        let thread = std::thread::Builder::new()
            .name("fake-cluster".to_owned())
            .spawn(move || runtime.block_on(accept(cluster, listener, stopped)))?;
        Ok(ServedCluster {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl ServedCluster {
    /// Where it listens, `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for ServedCluster {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread shows in the answers that the test did not get.
            drop(thread.join());
        }
    }
}

/// Serves connections until the other end of `stopped` is dropped; connections under way are cut then.
async fn accept(cluster: FakeCluster, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                connections.spawn(serve_connection(cluster.clone(), stream));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(cluster: FakeCluster, stream: TcpStream) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let cluster = cluster.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map_err(std::io::Error::other)?
                .to_bytes();
            cluster.respond(&head, &body).await
        }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    // An error here is a client that went away, or a fault that breaks the connection.
    drop(
        connection
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}
