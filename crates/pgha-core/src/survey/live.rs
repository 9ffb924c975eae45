//! Asking a member itself, through the API server: Patroni's `GET /patroni` behind `pods/proxy`.
//!
//! The API server does not verify the pod's certificate: the answer is evidence of whoever holds the pod's port, and no
//! proof. Unsafe verbs stay closed, since Patroni asks a client certificate for them (Patroni `docs/rest_api.rst`).

use futures::AsyncReadExt as _;
use http::Request;
use pgha_model::member::{InvalidMemberStatus, MemberStatus};
use pgha_model::observed::Observed;
use pgha_model::survey::Member;

use super::member::read_status;
use super::said;
use crate::client::{CallError, SiteClient};

/// The longest answer that is read. Patroni's are below 4 KiB; a pod must not fill our memory.
const LONGEST_ANSWER_BYTES: u64 = 1 << 20;

/// Why a member's own word could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The request did not end well; [`crate::client::CallKind::Forbidden`] where `pods/proxy` is not permitted.
    #[error(transparent)]
    Call(CallError),
    /// What answered is not Patroni.
    #[error("the answer of {pod} is not Patroni's")]
    NotPatroni {
        /// The pod.
        pod: String,
        /// What is wrong with the answer.
        #[source]
        source: InvalidMemberStatus,
    },
}

/// What goes with the question. Patroni reads no body of a GET (`api.py`); without one its answer waits 40 ms for the API
/// server's delayed acknowledgement of what its TLS has sent last, and with one it does not (measured in the lab through the
/// API server on Patroni 3.3 and 4.1: 48 ms and 5 ms, every answer complete).
const BODY: &[u8] = b"\n";

/// Asks Patroni in a pod what its member is, in one request.
///
/// What stands before an API server may refuse a GET with a body (RFC 9110, 9.3.1); then it is asked once more without.
pub async fn fetch_live_status(
    site: &SiteClient,
    pod: &str,
    port: u16,
) -> Result<MemberStatus, LiveError> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/https:{pod}:{port}/proxy/patroni",
        site.namespace
    );
    let bytes = match ask(site, pod, &path, BODY).await {
        Err(error) if error.is_bad_request() => ask(site, pod, &path, &[]).await,
        answered => answered,
    };
    let bytes = bytes.map_err(LiveError::Call)?;
    read_status(&String::from_utf8_lossy(&bytes)).map_err(|source| LiveError::NotPatroni {
        pod: pod.to_owned(),
        source,
    })
}

async fn ask(site: &SiteClient, pod: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
    let request = async {
        let request = Request::get(path)
            .body(body.to_vec())
            .map_err(kube::Error::HttpError)?;
        let answer = site.client.request_stream(request).await?;
        let mut bytes = Vec::new();
        let mut answer = answer.take(LONGEST_ANSWER_BYTES);
        answer
            .read_to_end(&mut bytes)
            .await
            .map_err(kube::Error::ReadEvents)?;
        Ok(bytes)
    };
    site.call("get", &format!("pods/proxy of {pod}"), request)
        .await
}

/// The member's own word as a fact of the survey.
///
/// Where `pods/proxy` is not permitted, `Unseen` says so; asking by exec instead is the caller's to decide.
pub(super) async fn observe(
    site: &SiteClient,
    member: &Member,
    port: u16,
) -> Observed<MemberStatus> {
    if member.phase != "Running" {
        return Observed::unseen(format!("the pod is {}", member.phase));
    }
    match fetch_live_status(site, &member.pod, port).await {
        Ok(status) => Observed::Seen(status),
        Err(error) => Observed::unseen(said(&error)),
    }
}
