//! What pods answer behind `pods/proxy`.

use std::collections::BTreeMap;

use super::fault::bare_name;
use super::request::Call;
use super::status::{self, Answer};
use super::store::Store;

/// Scripted answers by pod, port and path.
#[derive(Default)]
pub(super) struct Proxies(BTreeMap<(String, u16, String), (u16, String)>);

impl Proxies {
    pub(super) fn answer(&mut self, pod: &str, port: u16, path: &str, code: u16, body: String) {
        self.0
            .insert((pod.to_owned(), port, path.to_owned()), (code, body));
    }

    pub(super) fn forget(&mut self, pod: &str) {
        self.0.retain(|(scripted, _, _), _| scripted != pod);
    }

    /// Answers as the pod would; a port without a script refuses the connection.
    pub(super) fn ask(&self, store: &Store, call: &Call) -> Answer {
        let target = call.name.as_deref().unwrap_or_default();
        let pod = bare_name(target);
        if let Some(missing) = store.missing(call, pod) {
            return missing;
        }
        let port = target
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or(80);
        match self.0.get(&(pod.to_owned(), port, call.rest.clone())) {
            Some((code, body)) => Answer::text(*code, "application/json", body),
            None => status::unavailable(&format!(
                "error trying to reach service: dial tcp {}:{port}: connect: connection refused",
                store.pod_ip(call, pod)
            )),
        }
    }
}
