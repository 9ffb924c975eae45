//! Everything that speaks to an API server, over a fake one.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod application;
mod application_http;
mod application_objects;
mod call;
mod gitops;
mod hold;
mod journal;
mod login;
mod open;
mod patch;
mod permission;
mod schedule;
mod surroundings;
mod survey;
mod trouble;
mod validate;

use std::time::Duration;

use pgha_core::client::SiteClient;
use pgha_testkit::FakeCluster;

const NAMESPACE: &str = "prod-iam-zitadel";
const TIMEOUT: Duration = Duration::from_secs(5);

fn site(cluster: &FakeCluster) -> SiteClient {
    SiteClient::from_client("core1", NAMESPACE, cluster.client(), TIMEOUT)
}
