//! `cargo xtask dist`: the archive that is shipped, and krew's manifest of it.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::lab;
use crate::part::say;

/// The largest release binary, in bytes.
const MAX_BINARY_BYTES: u64 = 15_000_000;

/// Builds the linux-amd64 archive under `target/dist` and writes `krew/pgha.yaml` with its real sum.
pub(crate) fn run() -> Result<()> {
    let plugin = crate::demo::build_plugin()?;
    let size = fs::metadata(&plugin)?.len();
    ensure!(
        size <= MAX_BINARY_BYTES,
        "the binary has {size} bytes, at most {MAX_BINARY_BYTES}"
    );
    refuse_test_switches(&fs::read(&plugin)?)?;
    let root = lab::workspace();
    let folder = root.join("target/dist");
    fs::create_dir_all(&folder)?;
    fs::copy(&plugin, folder.join("kubectl-pgha"))?;
    fs::copy(root.join("LICENSE"), folder.join("LICENSE"))?;
    let archive = folder.join("kubectl-pgha-linux-amd64.tar.gz");
    // The same content gives the same bytes, whoever builds it and when.
    let options = [
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
    ];
    let mut tar = Command::new("tar");
    tar.current_dir(&folder)
        .args(options)
        .args(["--use-compress-program=gzip -n", "-cf"]);
    let packed = tar
        .arg(&archive)
        .args(["LICENSE", "kubectl-pgha"])
        .status()?;
    ensure!(packed.success(), "tar ended with {packed}");
    let sum = hex::encode(Sha256::digest(fs::read(&archive)?));
    fs::write(
        root.join("krew/pgha.yaml"),
        manifest(env!("CARGO_PKG_VERSION"), &sum),
    )?;
    say(&format!(
        "{sum}  {} ({size} bytes of program)",
        archive.display()
    ));
    Ok(())
}

/// What tests steer a program by is not in the one that is shipped.
fn refuse_test_switches(program: &[u8]) -> Result<()> {
    let switch = b"PGHA_TEST_";
    let has_some = program.windows(switch.len()).any(|bytes| bytes == switch);
    ensure!(!has_some, "the binary has a switch that is for tests only");
    Ok(())
}

/// krew's manifest. The URI names the release by the version alone: where it is served is decided at the release.
fn manifest(version: &str, sum: &str) -> String {
    let mut yaml = String::new();
    let lines = [
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2".to_owned(),
        "kind: Plugin".to_owned(),
        "metadata:".to_owned(),
        "  name: pgha".to_owned(),
        "spec:".to_owned(),
        format!("  version: v{version}"),
        "  shortDescription: Move a Postgres service between clusters".to_owned(),
        "  description: |".to_owned(),
        "    Moves a Postgres service that an operator runs (Crunchy PGO v5, Patroni inside)"
            .to_owned(),
        "    from one Kubernetes cluster to another, and proves each step by what Postgres says."
            .to_owned(),
        "  platforms:".to_owned(),
        "    - selector:".to_owned(),
        "        matchLabels:".to_owned(),
        "          os: linux".to_owned(),
        "          arch: amd64".to_owned(),
        format!("      uri: https://pgha.dev/releases/v{version}/kubectl-pgha-linux-amd64.tar.gz"),
        format!("      sha256: {sum}"),
        "      bin: kubectl-pgha".to_owned(),
    ];
    for line in lines {
        // Writing into a String cannot fail.
        let _ = writeln!(yaml, "{line}");
    }
    yaml
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_program_that_tests_can_steer_is_not_shipped() {
        assert!(super::refuse_test_switches(b"..PGHA_TEST_DIE_AT..").is_err());
        assert!(super::refuse_test_switches(b"..PGHA_TEST..").is_ok());
    }

    #[test]
    fn the_manifest_names_version_and_sum() {
        let yaml = super::manifest("1.2.3", "abc");
        assert!(yaml.contains("version: v1.2.3\n"));
        assert!(yaml.contains("sha256: abc\n"));
        assert!(yaml.contains("/v1.2.3/"));
    }
}
