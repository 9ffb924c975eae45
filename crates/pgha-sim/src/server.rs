//! Both API servers as a tool reaches them: what it asks is answered by `FakeCluster`, when no fault is in the way.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use kube::client::Body;
use pgha_core::client::SiteClient;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::exec;
use crate::fault::Trouble;
use crate::site::{CLUSTER, NAMESPACE, State};
use crate::time::pass;
use crate::world::World;

/// How long a tool waits for one answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The world, and what runs in it by itself.
#[derive(Clone)]
pub(crate) struct Shared {
    world: Arc<Mutex<World>>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    began: Instant,
}

/// A tool as the world knows it. Clones are the same tool.
#[derive(Clone)]
pub(crate) struct Tool {
    /// Whether faults that are counted by its writes meet it.
    pub(crate) is_first: bool,
    writes: Arc<Mutex<u64>>,
    /// What holds it: nothing, until when it stands still, or that it is dead.
    pub(crate) held: watch::Sender<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    No,
    Until(u64),
    Dead,
}

impl Tool {
    pub(crate) fn new(is_first: bool) -> Self {
        Self {
            is_first,
            writes: Arc::default(),
            held: watch::channel(Held::No).0,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.held.borrow() == Held::Dead
    }

    /// Its command has ended.
    pub(crate) fn leave(&self) {
        self.die();
    }

    fn die(&self) {
        self.held.send_replace(Held::Dead);
    }
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self {
            world: Arc::new(Mutex::new(world)),
            tasks: Arc::default(),
            began: Instant::now(),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Lets something run beside everything else, as long as the world lasts.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(work);
    }

    /// The real client of a site, over the simulated one.
    pub(crate) fn client(&self, site: usize, tool: &Tool) -> SiteClient {
        let (shared, owner) = (self.clone(), tool.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (shared, tool) = (shared.clone(), owner.clone());
            async move { shared.serve(site, &tool, request).await }
        });
        let client = kube::Client::new(service, NAMESPACE);
        let name = self.world().sites[site].name;
        SiteClient::from_client(name, NAMESPACE, client, REQUEST_TIMEOUT)
            .with_commands(exec::commands(self, site, tool))
    }

    /// Whether a site's API server is not reached now.
    pub(crate) fn is_down(&self, site: usize) -> bool {
        let now = self.now();
        now < self.world().sites[site].down_until
    }

    async fn serve(
        &self,
        site: usize,
        tool: &Tool,
        request: Request<Body>,
    ) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let mut body = body
            .collect()
            .await
            .map_err(io::Error::other)?
            .to_bytes()
            .to_vec();
        let is_write = matches!(head.method, Method::POST | Method::PATCH | Method::PUT)
            && !head.uri.path().contains("reviews");
        let travel = self.world().rng.between(1, 15);
        pass(travel).await;
        if tool.is_dead() {
            return std::future::pending().await;
        }
        let trouble = if is_write {
            self.strike(site, tool, &head)
        } else {
            None
        };
        if self.is_down(site) {
            pass(200).await;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if self.world().faults.ignores_tests {
            body = without_tests(&body);
        }
        match trouble {
            Some(Trouble::KillBefore) => return self.kill(tool).await,
            Some(Trouble::KillAfter) => {
                drop(self.apply(site, &head, &body, is_write).await);
                return self.kill(tool).await;
            }
            Some(Trouble::KillLate(delay)) => {
                let shared = self.clone();
                let head = head.clone();
                self.spawn(async move {
                    pass(delay).await;
                    drop(shared.apply(site, &head, &body, true).await);
                });
                return self.kill(tool).await;
            }
            Some(Trouble::Freeze(time)) => {
                tool.held.send_replace(Held::Until(self.now() + time));
                pass(time).await;
            }
            Some(Trouble::LoseBefore) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Trouble::LoseAfter) => {
                drop(self.apply(site, &head, &body, is_write).await);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            _ => {}
        }
        let answer = self.apply(site, &head, &body, is_write).await;
        pass(1).await;
        answer
    }

    async fn kill(&self, tool: &Tool) -> io::Result<Response<Full<Bytes>>> {
        self.world().say("the tool is killed");
        tool.die();
        std::future::pending().await
    }

    /// What this write of the first tool meets; what happens to the world itself happens here.
    fn strike(&self, site: usize, tool: &Tool, head: &http::request::Parts) -> Option<Trouble> {
        if !tool.is_first {
            return None;
        }
        let write = {
            let mut writes = tool.writes.lock().unwrap_or_else(PoisonError::into_inner);
            *writes += 1;
            *writes
        };
        let now = self.now();
        let mut world = self.world();
        let name = world.sites[site].name;
        let what = head
            .uri
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let trouble = world.faults.strike(write);
        let met = trouble.map_or(String::new(), |trouble| format!(", {trouble:?}"));
        world.say(&format!(
            "write {write} of the tool to {name}: {} {what}{met}",
            head.method
        ));
        match trouble? {
            Trouble::Outage(time) => world.sites[site].down_until = now + time,
            Trouble::Down(at, time) => world.sites[at].down_until = now + time,
            Trouble::Archive(time) => world.archive.broken_until = now + time,
            Trouble::Crash(at) => world.crash(at, now),
            Trouble::Link(time) => world.link_until = now + time,
            Trouble::LoseReceiver => world.break_receivers(now),
            Trouble::NeverUp(at) => world.sites[at].members[0].never_up = true,
            Trouble::WipeConditions(at) => {
                let cluster = world.sites[at].cluster.clone();
                cluster.change("postgresclusters", NAMESPACE, CLUSTER, |object| {
                    object["status"]["conditions"] = Value::Array(Vec::new());
                });
            }
            Trouble::Replace(at) => {
                world.crash(at, now);
                world.sites[at].members[0].uid.push('x');
                world.publish(at);
            }
            Trouble::Conflict => {
                // Somebody else writes the object first.
                let resource = if what == "db" {
                    "postgresclusters"
                } else if what == "db-pgha" {
                    "configmaps"
                } else {
                    "endpoints"
                };
                if world.sites[site]
                    .cluster
                    .object(resource, NAMESPACE, &what)
                    .is_some()
                {
                    world.sites[site]
                        .cluster
                        .change(resource, NAMESPACE, &what, |object| {
                            object["metadata"]["labels"]["touched"] = Value::from(now.to_string());
                        });
                }
            }
            Trouble::KillBefore
            | Trouble::KillAfter
            | Trouble::KillLate(_)
            | Trouble::Freeze(_)
            | Trouble::LoseBefore
            | Trouble::LoseAfter => {}
        }
        trouble
    }

    async fn apply(
        &self,
        site: usize,
        head: &http::request::Parts,
        body: &[u8],
        is_write: bool,
    ) -> io::Result<Response<Full<Bytes>>> {
        let cluster = self.world().sites[site].cluster.clone();
        let answer = cluster.respond(head, body).await;
        if is_write {
            let mut world = self.world();
            if answer
                .as_ref()
                .is_ok_and(|answer| !answer.status().is_success())
            {
                world.say(&format!("refused: {}", String::from_utf8_lossy(body)));
            }
            world.written(site);
        }
        cluster.forget_requests();
        answer
    }
}

/// A patch whose tests of an epoch are gone.
fn without_tests(body: &[u8]) -> Vec<u8> {
    let Ok(Value::Array(operations)) = serde_json::from_slice::<Value>(body) else {
        return body.to_vec();
    };
    let kept = operations
        .into_iter()
        .filter(|operation| operation["op"] != "test");
    Value::from(kept.collect::<Vec<_>>())
        .to_string()
        .into_bytes()
}

impl World {
    /// Connections between the databases break, and are made again when their turn comes.
    fn break_receivers(&mut self, now: u64) {
        for index in 0..2 {
            if self.sites[index].receiver.is_some() {
                self.lose_receiver(index);
                self.sites[index].fetch_at = now + self.sites[index].retry_ms();
            }
        }
    }

    fn crash(&mut self, at: usize, now: u64) {
        let until = now + self.rng.between(500, 4_000);
        self.catch_up(at);
        let server = &mut self.sites[at].members[0];
        if matches!(
            server.state,
            State::Primary | State::Standby | State::Promoting { .. } | State::Stopping { .. }
        ) {
            if matches!(server.state, State::Stopping { .. }) {
                server.control.state = "in production";
            }
            server.state = State::Down { until };
            server.drain_until = 0;
            server.life += 1;
            self.publish(at);
        }
    }
}
