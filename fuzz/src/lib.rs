//! One entry for each parser of text that comes from outside: the fuzz targets and a test of `pgha-core` call the same.
//!
//! An entry takes any bytes. It panics where the parser does, and where what the parser made of them is not sound.

use std::collections::BTreeMap;

use pgha_core::client::{Kubeconfig, KubeconfigSource};
use pgha_core::diagnose::{chain_of, sanitised};
use pgha_core::k8s::DynamicObject;
use pgha_core::operator::pgo_v5;
use pgha_core::survey::{read_patroni_objects, read_status};
use pgha_model::backup::{label_in_log, read_info, read_verification};
use pgha_model::control::ControlData;
use pgha_model::lsn::Lsn;
use pgha_model::record::{Entry, Epoch, Journal};
use pgha_model::timeline::History;

/// Takes any bytes.
pub type Parser = fn(&[u8]);

/// Every entry by its name, which is its fuzz target's and its corpus' too.
pub const PARSERS: &[(&str, Parser)] = &[
    ("patroni_status", patroni_status),
    ("patroni_annotations", patroni_annotations),
    ("operator_object", operator_object),
    ("control_data", control_data),
    ("backrest_info", backrest_info),
    ("backrest_log", backrest_log),
    ("lsn", lsn),
    ("timeline_history", timeline_history),
    ("kubeconfig", kubeconfig),
    ("move_record", move_record),
    #[cfg(feature = "oidc")]
    ("token", token),
    #[cfg(feature = "oidc")]
    ("key_set", key_set),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What an error says goes to a terminal.
fn assert_harmless(said: &str) {
    assert_eq!(sanitised(said), said, "an error steers the terminal");
}

/// Patroni's `GET /patroni`.
pub fn patroni_status(bytes: &[u8]) {
    match read_status(&text(bytes)) {
        Ok(status) => drop(format!("{status:?}")),
        Err(error) => assert_harmless(&chain_of(&error)),
    }
}

/// The annotations of Patroni's two objects, as the API server lists them.
pub fn patroni_annotations(bytes: &[u8]) {
    let Ok(objects) = serde_json::from_slice::<Vec<DynamicObject>>(bytes) else {
        return;
    };
    let (lock, store) = read_patroni_objects(&objects, "zitadel");
    if let Err(because) = lock.seen() {
        assert_harmless(because);
    }
    if let Ok(lock) = lock.seen() {
        assert_harmless(lock.holder.as_deref().unwrap_or_default());
    }
    drop(format!("{store:?}"));
}

/// The operator's object: its annotations, its spec and its status.
pub fn operator_object(bytes: &[u8]) {
    if let Ok(object) = serde_json::from_slice::<DynamicObject>(bytes) {
        let port = pgo_v5::patroni_port(&object);
        drop(format!("{port} {:?}", pgo_v5::read_object(&object)));
    }
}

/// The output of `pg_controldata`.
pub fn control_data(bytes: &[u8]) {
    match ControlData::from_text(&text(bytes)) {
        Ok(control) => drop(format!("{control:?}")),
        Err(error) => assert_harmless(&chain_of(&error)),
    }
}

/// The output of `pgbackrest info --output=json`.
pub fn backrest_info(bytes: &[u8]) {
    if let Ok(info) = read_info(&text(bytes)) {
        assert_eq!(
            info.only_new("repo1", &info),
            None,
            "what was there before is not new"
        );
    }
}

/// What pgBackRest writes while it makes a backup, and when it verifies one.
pub fn backrest_log(bytes: &[u8]) {
    let text = text(bytes);
    for line in text.lines() {
        if let Some(label) = label_in_log(line) {
            assert!(line.contains(label));
            let found = read_verification(&text, label);
            let _is_good = found.map(|found| found.is_good());
        }
    }
    drop(read_verification(&text, "20261121-153931F"));
}

/// A position in the log.
pub fn lsn(bytes: &[u8]) {
    let text = text(bytes);
    match text.parse::<Lsn>() {
        Ok(lsn) => assert_eq!(lsn.to_string().parse(), Ok(lsn)),
        Err(error) => assert_harmless(&error.to_string()),
    }
}

/// A timeline's history, as a file and as Patroni keeps it.
pub fn timeline_history(bytes: &[u8]) {
    let text = text(bytes);
    for read in [History::from_file(&text), History::from_patroni(&text)] {
        match read {
            Ok(history) => drop(format!("{history:?}")),
            Err(error) => drop(chain_of(&error)),
        }
    }
}

/// A kubeconfig file.
pub fn kubeconfig(bytes: &[u8]) {
    let Ok(file) = tempfile::NamedTempFile::new() else {
        return;
    };
    if std::fs::write(file.path(), bytes).is_err() {
        return;
    }
    match Kubeconfig::read(&KubeconfigSource::Flag(file.path().to_owned())) {
        Ok(read) => {
            let _count = read.contexts().count();
        }
        Err(error) => assert_harmless(&chain_of(&error)),
    }
}

/// The record of a move in a site's `ConfigMap`.
pub fn move_record(bytes: &[u8]) {
    const EPOCH: Epoch = Epoch(7);
    let read = |text: String| Journal::from_data(&BTreeMap::from([(Journal::key(EPOCH), text)]));
    let journal = read(text(bytes));
    assert!(journal.epoch >= EPOCH, "an epoch is never forgotten");
    match journal.moves.get(&EPOCH) {
        Some(Entry::Readable(record)) => {
            let again = serde_json::to_string(record).unwrap_or_default();
            assert_eq!(read(again).moves.get(&EPOCH), journal.moves.get(&EPOCH));
        }
        Some(Entry::Unreadable(because)) => assert!(!because.is_empty()),
        None => panic!("a record that cannot be read is kept as such"),
    }
}

/// A file with a token, and the token in it.
#[cfg(feature = "oidc")]
pub fn token(bytes: &[u8]) {
    let token = match pgha_core::oidc::read_credential(bytes) {
        Ok(token) => token,
        Err(error) => return assert_harmless(&chain_of(&error)),
    };
    match pgha_core::oidc::IdToken::read(&token) {
        Ok(read) => {
            let segments = token.expose().split('.').count();
            assert_eq!(segments, 3, "a signed token has three segments");
            drop(format!("{:?}", read.claims.audiences()));
        }
        Err(error) => assert_harmless(&chain_of(&error)),
    }
}

/// An issuer's keys.
#[cfg(feature = "oidc")]
pub fn key_set(bytes: &[u8]) {
    match pgha_core::oidc::KeySet::read(bytes) {
        Ok(set) => drop(format!("{set:?}")),
        Err(error) => assert_harmless(&chain_of(&error)),
    }
}
