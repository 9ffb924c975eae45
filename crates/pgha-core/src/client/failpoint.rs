//! A point at which a test has this process die, as if it were killed: at one side of its nth write.
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
    after: bool,
    seen: Arc<AtomicU32>,
}

impl FromStr for Failpoint {
    type Err = &'static str;

    /// Reads `NUMBER:before` or `NUMBER:after`; the first write is 1.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "not a number, a colon, and `before` or `after`";
        let (write, moment) = text.split_once(':').ok_or(expected)?;
        let after = match moment {
            "before" => false,
            "after" => true,
            _ => return Err(expected),
        };
        Ok(Self {
            write: write.parse().map_err(|_| expected)?,
            after,
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
                if is_here && !point.after {
                    std::process::abort();
                }
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
