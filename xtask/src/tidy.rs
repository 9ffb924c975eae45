//! `cargo xtask tidy`: the rules that no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Lines over which a source file fails the check.
const MAX_LINES: usize = 600;

/// The only edges between our crates (from, to). A new one is a change to ARCHITECTURE.md too.
const EDGES: &[(&str, &str)] = &[
    ("pgha-core", "pgha-model"),
    ("pgha-core", "pgha-testkit"),
    ("pgha-core", "pgha-wire"),
    ("kubectl-pgha", "pgha-model"),
    ("kubectl-pgha", "pgha-core"),
    ("kubectl-pgha", "pgha-testkit"),
    ("kubectl-pgha", "pgha-nlb"),
    ("kubectl-pgha", "pgha-pgbouncer"),
    ("pgha-pgbouncer", "pgha-nlb"),
    ("pgha-pgbouncer", "pgha-wire"),
    ("pgha-core", "pgha-nlb"),
    ("pgha-nlb", "pgha-model"),
    ("pgha-nlb-health", "pgha-testkit"),
    ("pgha-nlb-kubernetes", "pgha-testkit"),
    ("pgha-objects", "pgha-model"),
    ("pgha-objects", "pgha-nlb"),
    ("pgha-dns", "pgha-nlb"),
    ("kubectl-pgha", "pgha-desired"),
    ("pgha-desired", "pgha-edit"),
    ("pgha-desired", "pgha-git"),
    ("pgha-desired", "pgha-model"),
    ("pgha-desired", "pgha-nlb"),
    ("pgha-edit", "pgha-model"),
    ("pgha-git", "pgha-model"),
    ("pgha-nlb-haproxy-git", "pgha-git"),
    ("pgha-wire", "pgha-model"),
    ("pgha-wire", "pgha-nlb"),
    ("pgha-sim", "pgha-core"),
    ("pgha-sim", "pgha-model"),
    ("pgha-sim", "pgha-testkit"),
    ("pgha-lab", "pgha-judge"),
    ("pgha-tests", "pgha-judge"),
    ("pgha-tests", "pgha-lab"),
    ("xtask", "pgha-lab"),
    ("xtask", "pgha-model"),
    ("xtask", "pgha-judge"),
];

/// Third-party crates that only the named crates may use directly.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("clap", &["kubectl-pgha", "xtask"]),
    ("anyhow", &["xtask", "pgha-lab", "pgha-tests"]),
    (
        "kube",
        &[
            "pgha-core",
            "pgha-nlb-health",
            "pgha-nlb-kubernetes",
            "pgha-objects",
            "pgha-testkit",
            "pgha-sim",
            "pgha-lab",
        ],
    ),
    (
        "k8s-openapi",
        &[
            "pgha-core",
            "pgha-nlb-health",
            "pgha-nlb-kubernetes",
            "pgha-objects",
            "pgha-testkit",
            "pgha-lab",
        ],
    ),
];

/// What the pure crates may use directly.
const PURE: &[(&str, &[&str])] = &[
    (
        "pgha-model",
        &[
            "jiff",
            "schemars",
            "serde",
            "serde_json",
            "thiserror",
            "insta",
            "stateright",
            "proptest",
        ],
    ),
    ("pgha-judge", &["serde", "serde_json", "insta", "proptest"]),
    (
        "pgha-edit",
        &["serde-saphyr", "serde_json", "serde_yaml_ng", "thiserror"],
    ),
    ("pgha-haproxy", &["schemars", "serde"]),
    (
        "pgha-dns",
        &["schemars", "serde", "serde_json", "thiserror"],
    ),
    (
        "pgha-nlb",
        &[
            "async-trait",
            "schemars",
            "serde",
            "serde_json",
            "similar",
            "thiserror",
            "tokio",
        ],
    ),
];

/// Checks the tree and prints what is wrong; errs when anything is.
pub(crate) fn run() -> Result<()> {
    let root = crate::lab::workspace();
    let mut findings = Vec::new();
    check_dependencies(&direct_dependencies(root)?, &mut findings);
    for path in tracked_files(root)? {
        check_file(root, &path, &mut findings);
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!(
        "tidy found {}:\n  {}",
        findings.len(),
        findings.join("\n  ")
    )
}

fn direct_dependencies(root: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?;
    Ok(packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().unwrap_or_default().to_owned();
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            let names = dependencies.filter_map(|d| d["name"].as_str().map(str::to_owned));
            (name, names.collect())
        })
        .collect())
}

/// A traffic backend, one crate a product, sees the port and nothing above it; only the plugin chooses backends.
fn is_allowed(from: &str, to: &str) -> bool {
    let is_backend = |name: &str| name.starts_with("pgha-nlb-");
    let below = [
        "pgha-dns",
        "pgha-haproxy",
        "pgha-model",
        "pgha-nlb",
        "pgha-objects",
        "pgha-wire",
    ];
    EDGES.contains(&(from, to))
        || (is_backend(from) && below.contains(&to))
        || (is_backend(to) && from == "kubectl-pgha")
}

fn check_dependencies(packages: &BTreeMap<String, BTreeSet<String>>, findings: &mut Vec<String>) {
    for (from, dependencies) in packages {
        for to in dependencies {
            let ours = packages.contains_key(to);
            if ours && !is_allowed(from, to) {
                findings.push(format!("{from} may not depend on {to}"));
            }
            let wrapped = WRAPPERS.iter().find(|(name, _)| name == to);
            if wrapped.is_some_and(|(_, allowed)| !allowed.contains(&from.as_str())) {
                findings.push(format!("{from} may not use {to} directly"));
            }
            let pure = PURE.iter().find(|(name, _)| name == from);
            if !ours && pure.is_some_and(|(_, allowed)| !allowed.contains(&to.as_str())) {
                findings.push(format!("{from} is pure and may not use {to}"));
            }
        }
    }
}

fn tracked_files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .context("run git ls-files")?;
    if !output.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect())
}

fn check_file(root: &Path, path: &Path, findings: &mut Vec<String>) {
    let Ok(text) = std::fs::read_to_string(root.join(path)) else {
        return;
    };
    let shown = path.display();
    if path.extension().is_some_and(|extension| extension == "rs") {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            findings.push(format!("{shown}: {lines} lines, at most {MAX_LINES}"));
        }
        if path.file_name().is_some_and(|name| name == "mod.rs") {
            findings.push(format!("{shown}: modules are x.rs and x/, never mod.rs"));
        }
    }
    if path == Path::new("ARCHITECTURE.md") && text.lines().count() > 300 {
        findings.push(format!("{shown}: more than 300 lines"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(edges: &[(&str, &str)]) -> BTreeMap<String, BTreeSet<String>> {
        let mut map: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            map.entry((*to).to_owned()).or_default();
            map.entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        map
    }

    fn findings(edges: &[(&str, &str)]) -> Vec<String> {
        let mut findings = Vec::new();
        check_dependencies(&packages(edges), &mut findings);
        findings
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        assert_eq!(
            findings(&[("pgha-model", "pgha-core")]),
            ["pgha-model may not depend on pgha-core"]
        );
    }

    #[test]
    fn a_wrapped_crate_in_the_wrong_place_is_found() {
        let mut map = packages(&[]);
        map.insert("pgha-model".to_owned(), BTreeSet::from(["kube".to_owned()]));
        let mut findings = Vec::new();
        check_dependencies(&map, &mut findings);
        assert_eq!(
            findings,
            [
                "pgha-model may not use kube directly",
                "pgha-model is pure and may not use kube"
            ]
        );
    }

    #[test]
    fn a_backend_sees_the_port_and_is_seen_by_the_plugin_only() {
        assert!(findings(&[("pgha-nlb-x", "pgha-nlb"), ("kubectl-pgha", "pgha-nlb-x")]).is_empty());
        assert_eq!(
            findings(&[
                ("pgha-nlb-x", "pgha-core"),
                ("pgha-core", "pgha-nlb-x"),
                ("pgha-nlb-y", "pgha-nlb-x")
            ]),
            [
                "pgha-core may not depend on pgha-nlb-x",
                "pgha-nlb-x may not depend on pgha-core",
                "pgha-nlb-y may not depend on pgha-nlb-x"
            ]
        );
    }

    #[test]
    fn the_allowed_arrows_pass() {
        assert!(findings(&[("pgha-core", "pgha-model"), ("xtask", "pgha-lab")]).is_empty());
    }
}
