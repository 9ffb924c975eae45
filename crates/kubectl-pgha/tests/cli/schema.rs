//! The schema of the service's file.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The service's files that a document shows.
fn shown(page: &str) -> Vec<String> {
    let page = fs::read_to_string(documents().join(page)).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let texts = blocks.map(|block| block.split("```").next().unwrap().to_owned());
    texts.collect()
}

/// What the schema says is wrong with a file.
fn mistakes(text: &str) -> Vec<String> {
    let file: Value = serde_saphyr::from_str(text).unwrap();
    let schema = jsonschema::validator_for(&kubectl_pgha::service_schema()).unwrap();
    let mistakes = schema.iter_errors(&file);
    mistakes
        .map(|it| format!("{}: {it}", it.instance_path()))
        .collect()
}

#[test]
fn the_schema_is_what_the_types_say() {
    let stored = documents().join("service.schema.json");
    let mut now = serde_json::to_string_pretty(&kubectl_pgha::service_schema()).unwrap();
    now.push('\n');
    if fs::read_to_string(&stored).ok().as_deref() == Some(&now) {
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("service.schema.json");
    fs::write(&fresh, now).unwrap();
    panic!(
        "docs/service.schema.json is stale; mend it with: cp {} docs/service.schema.json",
        fresh.display()
    );
}

#[test]
fn every_file_of_the_documents_is_one_by_the_schema() {
    for (page, files) in [
        ("traffic.md", 10),
        ("poolers.md", 1),
        ("application.md", 1),
        ("change.md", 3),
        ("report.md", 1),
    ] {
        let texts = shown(page);
        assert_eq!(texts.len(), files, "{page}");
        for text in texts {
            assert_eq!(mistakes(&text), Vec::<String>::new(), "{page}: {text}");
        }
    }
}

#[test]
fn a_wrong_file_is_none_by_the_schema() {
    for (page, right, wrong) in [
        ("traffic.md", "kind: Service", "kind: Pod"),
        ("traffic.md", "v1alpha1", "v2"),
        ("traffic.md", "  traffic:", "  traffics:"),
        ("traffic.md", "- probe:", "- prob:"),
        ("traffic.md", "context: core1-admin, ", ""),
        ("traffic.md", "persistedBy:", "persistedby:"),
        ("traffic.md", "map: { file: ", "map: { fill: "),
        ("traffic.md", "line: 31", "line: many"),
        ("traffic.md", "family: v4", "family: v5"),
        ("traffic.md", "core1: core1-https", "core1: [core1-https]"),
        ("poolers.md", "databases:", "database:"),
        ("change.md", "way: git", "way: gitt"),
        ("change.md", "repository:", "repositry:"),
        ("change.md", "file: clusters", "files: clusters"),
        ("application.md", "recreate: true", "recreate: often"),
        ("application.md", "method: PUT", "method: GET"),
        ("application.md", "deployment/portal", "portal"),
        ("application.md", "url: https://", "url: "),
    ] {
        let good = shown(page).swap_remove(0);
        let bad = good.replacen(right, wrong, 1);
        assert_ne!(bad, good, "{right}");
        assert!(!mistakes(&bad).is_empty(), "{wrong}");
    }
}
