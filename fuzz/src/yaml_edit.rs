//! The entry for YAML: an edit changes one value and no byte around it.
//!
//! It stands by itself because `pgha-core`, whose test runs the other entries, edits nothing.

use pgha_edit::kustomize::{self, Files};
use pgha_edit::yaml::{Edit, Target, documents, edited};
use pgha_edit::{ObjectId, Pointer};
use serde_json::{Value, json};

/// What YAML 1.1 and 1.2 take for true or false.
const TRUTHS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "y", "n"];

/// What the kustomization is of.
const CLUSTER: &str = "\
apiVersion: postgres-operator.crunchydata.com/v1beta1
kind: PostgresCluster
metadata: {name: zitadel}
spec: {port: 5432, standby: {enabled: true}}
";

/// A file with objects, a kustomization, or values of Helm.
///
/// # Panics
/// An edit changed something else than its value, or is not what it says.
pub(crate) fn yaml_edit(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let cluster = ObjectId {
        api_version: "postgres-operator.crunchydata.com/v1beta1".to_owned(),
        kind: "PostgresCluster".to_owned(),
        namespace: Some("prod-iam-zitadel".to_owned()),
        name: "zitadel".to_owned(),
    };
    overlay(text, &cluster);
    for target in [Target::Sole, Target::Object(cluster)] {
        flip(text, &target);
        for way in [&["zz"][..], &["spec", "zz"], &["spec", "standby", "zz"]] {
            there_and_back(text, &target, &Pointer::new(way.iter().copied()));
        }
        let gone = Edit::Remove {
            at: Pointer::new(["spec", "dataSource"]),
        };
        if let Some(after) = tried(text, &target, &gone) {
            assert!(after.len() <= text.len(), "less is left: {after}");
        }
    }
}

/// The text as a kustomization of a cluster. What is edited once is as it is to be.
fn overlay(text: &str, cluster: &ObjectId) {
    let pair = |(path, text): (&str, &str)| (path.to_owned(), text.to_owned());
    let all = [("k/kustomization.yaml", text), ("k/pg.yaml", CLUSTER)];
    let mut files: Files = all.into_iter().map(pair).collect();
    for to in [true, false] {
        let edit = set(&Pointer::new(["spec", "standby", "enabled"]), json!(to));
        match kustomize::edited(&files, "k", cluster, &edit) {
            Ok(None) => {}
            Ok(Some((path, after))) => {
                let before = files.insert(path, after.clone()).unwrap_or_default();
                assert!(before != after, "an edit changes something");
                let again = kustomize::edited(&files, "k", cluster, &edit);
                assert_eq!(again, Ok(None), "once is enough: {after}");
            }
            Err(error) => {
                let said = format!("{error} {}", error.advice());
                assert!(!said.contains(char::is_control), "{said:?}");
            }
        }
    }
}

/// The text after an edit; the same edit again changes nothing.
fn tried(text: &str, target: &Target, edit: &Edit) -> Option<String> {
    match edited(text, target, std::slice::from_ref(edit)) {
        Ok(after) => {
            let again = edited(&after, target, std::slice::from_ref(edit));
            assert_eq!(again.as_ref(), Ok(&after), "once is enough");
            Some(after)
        }
        Err(error) => {
            let said = format!("{error} {}", error.advice());
            assert!(!said.contains(char::is_control), "{said:?}");
            None
        }
    }
}

fn set(at: &Pointer, to: Value) -> Edit {
    let at = at.clone();
    Edit::Set { at, to }
}

/// A value that is there is replaced by itself.
fn flip(text: &str, target: &Target) {
    let at = Pointer::new(["spec", "standby", "enabled"]);
    let is_there = |value: &Value| value.pointer(&at.to_string()).is_some();
    if !documents(text).is_ok_and(|all| all.iter().any(is_there)) {
        return;
    }
    for to in [true, false] {
        let Some(after) = tried(text, target, &set(&at, json!(to))) else {
            continue;
        };
        let (old, new) = words(text, &after);
        if (old, new) != ("", "") {
            assert!(TRUTHS.contains(&old.to_lowercase().as_str()), "{old}");
            assert_eq!(new, to.to_string());
        }
    }
}

/// The words in which two texts differ: all before and behind them is the same.
fn words<'t>(one: &'t str, other: &'t str) -> (&'t str, &'t str) {
    if one == other {
        return ("", "");
    }
    let same = |(a, b): &(u8, u8)| a == b;
    let prefix = one.bytes().zip(other.bytes()).take_while(same).count();
    let most = one.len().min(other.len()) - prefix;
    let ends = one.bytes().rev().zip(other.bytes().rev());
    let suffix = ends.take_while(same).count().min(most);
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let letters = one.as_bytes()[..prefix].iter().rev();
    let start = prefix - letters.take_while(|byte| is_letter(byte)).count();
    let letters = one.as_bytes()[one.len() - suffix..].iter();
    let end = suffix - letters.take_while(|byte| is_letter(byte)).count();
    (
        &one[start..one.len() - end],
        &other[start..other.len() - end],
    )
}

/// A key that is put in and taken out again leaves the text that was there.
fn there_and_back(text: &str, target: &Target, at: &Pointer) {
    let value = json!({"enabled": true, "words": ["a b", "on"]});
    let Some(there) = tried(text, target, &set(at, value)) else {
        return;
    };
    assert!(there.len() > text.len());
    let gone = Edit::Remove { at: at.clone() };
    let Some(mut back) = tried(&there, target, &gone) else {
        panic!("what was put in can be taken out: {there}");
    };
    if is_absent(text, target, at) {
        return;
    }
    // A last line without an end got one.
    if !text.ends_with('\n') && back.ends_with('\n') {
        back.truncate(back.trim_end_matches(['\r', '\n']).len());
    }
    assert_eq!(back, text, "from {there}");
}

/// Whether the mapping that a key was put into had to be made: it stays, and is empty.
fn is_absent(text: &str, target: &Target, at: &Pointer) -> bool {
    let Some((_, parent @ [_, ..])) = at.tokens().split_last() else {
        return false;
    };
    let at = Pointer::new(parent.iter().cloned());
    let gone = edited(text, target, &[Edit::Remove { at }]);
    gone.is_ok_and(|after| after == text)
}
