//! An API server in memory.

pub(crate) mod fault;
mod proxy;
pub(crate) mod request;
mod resource;
mod scale;
mod selector;
mod status;
mod store;
mod write;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::{Value, json};

use self::fault::{Failure, Fault, Faults};
use self::proxy::Proxies;
use self::request::{Call, LoggedRequest};
use self::status::Answer;
use self::store::Store;

/// Who the requests come from, in the words of a refusal.
const USER: &str = "jane";

/// An API server in memory, with its faults and the log of what it was asked. Clones are the same cluster.
#[derive(Clone, Default)]
pub struct FakeCluster {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    store: Store,
    proxies: Proxies,
    faults: Faults,
    log: Vec<LoggedRequest>,
    between: Option<Deed>,
}

/// What another writer does.
type Deed = Box<dyn FnOnce() + Send>;

/// What happens to one request.
enum Course {
    /// It is answered.
    Answer(Answer),
    /// It is answered later.
    Late(Duration, Answer),
    /// It is never answered, and the connection stays.
    Silence,
    /// There is no connection, or it breaks.
    Broken(io::ErrorKind),
}

impl FakeCluster {
    /// A cluster without objects that knows the core resources, Jobs and Crunchy PGO's `PostgresCluster`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The real client over this cluster.
    pub fn client(&self) -> kube::Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let cluster = cluster.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                cluster.respond(&head, &body).await
            }
        });
        kube::Client::new(service, "default")
    }

    /// Puts an object there as it is, with its namespace. The object names its `apiVersion` and `kind`.
    ///
    /// # Panics
    /// When the object has no name, or is of a kind that the cluster does not know: a mistake in the test.
    pub fn insert(&self, object: Value) {
        self.state().store.insert(object);
    }

    /// The object as it is now; `resource` is the plural.
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state()
            .store
            .object(resource, namespace, name)
            .cloned()
    }

    /// Changes an object behind the client's back, as another writer would.
    ///
    /// # Panics
    /// When there is no such object: a mistake in the test.
    pub fn change(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        self.state().store.change(resource, namespace, name, change);
    }

    /// Removes an object behind the client's back.
    pub fn remove(&self, resource: &str, namespace: &str, name: &str) {
        self.state().store.remove(resource, namespace, name);
    }

    /// Makes a resource known, as the installation of a CRD does.
    pub fn install(&self, group: &str, version: &str, kind: &str, plural: &str) {
        self.state().store.install(group, version, kind, plural);
    }

    /// Makes a resource unknown, as if its CRD were not installed.
    pub fn uninstall(&self, resource: &str) {
        self.state().store.uninstall(resource);
    }

    /// Scripts what a port of a pod answers through `pods/proxy`; `path` begins with `/`.
    pub fn answer_proxy(
        &self,
        pod: &str,
        port: u16,
        path: &str,
        code: u16,
        body: impl Into<String>,
    ) {
        self.state()
            .proxies
            .answer(pod, port, path, code, body.into());
    }

    /// Ends the script of a pod's ports: the connection is refused there.
    pub fn silence_proxy(&self, pod: &str) {
        self.state().proxies.forget(pod);
    }

    /// Another writer, who is faster than the next patch.
    pub fn before_a_patch(&self, deed: impl FnOnce() + Send + 'static) {
        self.state().between = Some(Box::new(deed));
    }

    /// Lets requests go wrong from now on.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// What was asked so far, in order.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.state().log.clone()
    }

    /// Forgets what was asked so far.
    pub fn forget_requests(&self) {
        self.state().log.clear();
    }

    /// Answers one request as the API server does, for whoever stands between it and a client.
    ///
    /// Errs where a fault has the connection break.
    pub async fn respond(
        &self,
        head: &http::request::Parts,
        body: &[u8],
    ) -> io::Result<Response<Full<Bytes>>> {
        if head.method == Method::PATCH {
            let between = self.state().between.take();
            if let Some(deed) = between {
                deed();
            }
        }
        let course = self.state().take_course(head, body);
        match course {
            Course::Answer(answer) => Ok(answer.into_response()),
            Course::Late(delay, answer) => {
                travel(delay).await;
                Ok(answer.into_response())
            }
            Course::Silence => std::future::pending().await,
            Course::Broken(kind) => Err(io::Error::from(kind)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the state has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_course(&mut self, head: &http::request::Parts, body: &[u8]) -> Course {
        let call = Call::parse(head);
        self.log.push(LoggedRequest::of(head, &call, body));
        match self.faults.strike(&call) {
            None => Course::Answer(self.answer(head, &call, body)),
            Some(Failure::Late(delay)) => Course::Late(delay, self.answer(head, &call, body)),
            Some(Failure::ConnectionRefused) => Course::Broken(io::ErrorKind::ConnectionRefused),
            Some(Failure::ConnectionLostBefore) => Course::Broken(io::ErrorKind::ConnectionReset),
            Some(Failure::ConnectionLostAfter) => {
                self.answer(head, &call, body);
                Course::Broken(io::ErrorKind::ConnectionReset)
            }
            Some(Failure::SilenceBefore) => Course::Silence,
            Some(Failure::SilenceAfter) => {
                self.answer(head, &call, body);
                Course::Silence
            }
            Some(Failure::Forbidden) => {
                Course::Answer(status::forbidden(&call, self.store.group_of(&call)))
            }
            Some(Failure::Unauthorized) => Course::Answer(status::unauthorized()),
            Some(Failure::Conflict) => Course::Answer(status::conflict(&call)),
            Some(Failure::Gone) => Course::Answer(status::gone()),
            Some(Failure::Internal(message)) => Course::Answer(status::internal(message)),
        }
    }

    fn answer(&mut self, head: &http::request::Parts, call: &Call, body: &[u8]) -> Answer {
        if call.resource == "selfsubjectaccessreviews" && head.method == Method::POST {
            return self.review_access(body);
        }
        if !self.store.knows(call) {
            return status::unknown_path();
        }
        match (call.subresource.as_deref(), call.verb) {
            (Some("proxy"), _) => self.proxies.ask(&self.store, call),
            (None | Some("status"), "get") => self.store.get(call, head),
            (Some("scale"), "get") => self.store.get_scale(call),
            (Some("scale"), "patch") => self.store.patch_scale(call, body),
            (None, "list") => self.store.list(call, head),
            (None | Some("status"), "patch") => self.store.patch(call, head, body),
            (None | Some("status"), "update") => self.store.replace(call, body),
            (None, "create") => self.store.create(call, body),
            (None, "delete") => self.store.delete(call, body),
            (_, _) => status::method_not_allowed(),
        }
    }

    /// What a fault forbids is what the review denies.
    fn review_access(&self, body: &[u8]) -> Answer {
        let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
            return status::bad_request("the object provided is unrecognized");
        };
        let asked = Call::of_review(&review);
        let is_allowed = !self.faults.forbids(&asked);
        review["status"] = json!({ "allowed": is_allowed });
        Answer::created(&review)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time an answer travels is what this fault is about; tests pause the clock"
)]
async fn travel(delay: Duration) {
    tokio::time::sleep(delay).await;
}
