//! The entry for HAProxy's files: an edit changes one value and nothing around it.
//!
//! It stands by itself because `pgha-core`, whose test runs the other entries, knows no traffic product.

use pgha_haproxy::{By, Located, Spot, has_backend, locate, replaced};

const HOST: &str = "login.ois.run";

/// A configuration, a template of one, or a map.
///
/// # Panics
/// An edit changed a byte outside of the value, or what is found afterwards is not what was written.
pub(crate) fn haproxy_edit(bytes: &[u8]) {
    let rule = |frontend: &str, by| Spot::Rule {
        frontend: frontend.to_owned(),
        by,
    };
    let map = Spot::Map {
        file: "sni.map".to_owned(),
    };
    for spot in [
        rule("sni-ingress", By::Sni),
        rule("http-ingress", By::Host),
        map,
    ] {
        edit(bytes, &spot);
    }
    let _known = has_backend(bytes, "core1-https");
}

fn edit(bytes: &[u8], spot: &Spot) {
    let found = match locate(bytes, "file", spot, HOST) {
        Located::One(found, _) => found,
        Located::Several(all) => {
            assert!(all.len() > 1, "one is not several");
            return;
        }
        Located::Not(because) => {
            assert!(!because.is_empty(), "a refusal says why");
            return;
        }
    };
    let range = found.range.clone();
    let after = replaced(bytes, range.clone(), "elsewhere");
    assert_eq!(
        after[..range.start],
        bytes[..range.start],
        "bytes before the value"
    );
    let tail = after.len() - (bytes.len() - range.end);
    assert_eq!(after[tail..], bytes[range.end..], "bytes after the value");
    assert_eq!(&after[range.start..tail], b"elsewhere");
    let again = locate(&after, "file", spot, HOST);
    let Located::One(again, _) = again else {
        panic!("after the edit: {again:?}");
    };
    assert_eq!(again.value, "elsewhere");
    assert_eq!((again.at, again.line), (found.at, found.line));
    if let Ok(value) = std::str::from_utf8(&bytes[range]) {
        assert_eq!(
            replaced(&after, again.range, value),
            bytes,
            "there and back"
        );
    }
}
