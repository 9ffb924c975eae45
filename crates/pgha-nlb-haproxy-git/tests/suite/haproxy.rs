//! The real HAProxy judges what is pushed.

use std::path::PathBuf;

use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, Did};
use serde_json::{Value, json};

use crate::repository::{Repository, TEMPLATE, WITHIN, applied, backend};

/// Enters the peers' root file system with the file's folder at `/mnt`, in a mount namespace that ends with it.
const CHECK: &str = "mount --bind \"$(dirname \"$1\")\" \"$0/mnt\" \
                     && exec chroot \"$0\" haproxy -c -f \"/mnt/$(basename \"$1\")\"";

fn peers() -> Option<PathBuf> {
    pgha_nlb::conformance::peers("HAProxy")
}

fn settings(repository: &Repository, peers: &std::path::Path) -> Value {
    let mut settings = repository.settings();
    settings["render"] = json!([
        "sed",
        "1d;s#<%= $stats_socket %>#/tmp/stats.sock#",
        "{file}"
    ]);
    settings["check"] = json!([
        "unshare", "--mount", "--", "sh", "-c", CHECK, peers, "{file}"
    ]);
    settings
}

#[tokio::test]
async fn haproxy_takes_what_is_pushed() {
    let Some(peers) = peers() else { return };
    let repository = Repository::new();
    let backend = backend(settings(&repository, &peers));
    let findings = backend.preflight(WITHIN).await;
    let is_good = findings
        .iter()
        .all(|finding| finding.severity == Severity::Pass);
    assert!(is_good, "{findings:?}");
    assert_eq!(applied(&backend).await.unwrap().did, Did::Change);
}

#[tokio::test]
async fn haproxys_complaint_stops_the_push() {
    let Some(peers) = peers() else { return };
    let broken = TEMPLATE.replace("  maxconn 1000\n", "  maxcon 1000\n");
    let repository = Repository::with(&broken);
    let before = repository.tip();
    let backend = backend(settings(&repository, &peers));
    let error = applied(&backend).await.unwrap_err();
    assert!(
        error.to_string().contains("unknown keyword 'maxcon'"),
        "{error}"
    );
    assert_eq!(repository.tip(), before);
    let findings = backend.preflight(WITHIN).await;
    assert!(
        findings
            .iter()
            .any(|finding| finding.severity == Severity::Fail),
        "{findings:?}"
    );
}
