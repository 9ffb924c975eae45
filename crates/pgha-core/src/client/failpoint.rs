//! A point at which a test has this process die, as if it were killed or had a bug: at its nth write.
//!
//! Only builds with debug assertions have it.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Method, Request};
use kube::Client;
use kube::client::Body;

/// Where to die. Clones count together.
#[derive(Clone, Debug)]
pub struct Failpoint {
    write: u32,
    moment: Moment,
    seen: Arc<AtomicU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Killed before it.
    Before,
    /// Killed after it.
    After,
    /// A panic in its place.
    Bug,
}

impl FromStr for Failpoint {
    type Err = &'static str;

    /// Reads `NUMBER:before`, `NUMBER:after` or `NUMBER:bug`; the first write is 1.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "not a number, a colon, and `before`, `after` or `bug`";
        let (write, moment) = text.split_once(':').ok_or(expected)?;
        let moment = match moment {
            "before" => Moment::Before,
            "after" => Moment::After,
            "bug" => Moment::Bug,
            _ => return Err(expected),
        };
        Ok(Self {
            write: write.parse().map_err(|_| expected)?,
            moment,
            seen: Arc::default(),
        })
    }
}

impl Failpoint {
    /// The same client, which dies there.
    pub(super) fn arm(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let point = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, point) = (client.clone(), point.clone());
            async move {
                let is_here = point.counts(&request);
                if is_here && point.moment == Moment::Before {
                    std::process::abort();
                }
                assert!(
                    !is_here || point.moment == Moment::After,
                    "a bug that a test asked for"
                );
                let answer = client.send(request).await;
                if is_here {
                    std::process::abort();
                }
                answer
            }
        });
        Client::new(service, namespace)
    }

    /// Whether this is the write to die at. Reviews of access write nothing, and an exec is told by its own effect.
    fn counts(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let writes = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        );
        if !writes || path.contains("reviews") || path.ends_with("/exec") {
            return false;
        }
        self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.write
    }
}
