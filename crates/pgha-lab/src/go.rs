//! Programs built from Go modules, pinned by a recipe's `go.mod` and `go.sum`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::built::{self, Key};
use crate::paths::Cache;
use crate::program;
use crate::progress::Part;

/// A module of the lab's own, and the programs that are built from it.
#[derive(Debug)]
pub struct Recipe {
    /// The name: of the part that is shown, and in the cache.
    pub name: &'static str,
    /// The module's files by their paths in it.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// What is built, each into a program named as its last part.
    pub(crate) packages: &'static [&'static str],
    /// What the linker is told of the version, made from `go.mod`.
    pub(crate) version_flags: fn(&str) -> String,
    /// The module, and the folder in it, whose custom resource definitions are kept beside the programs.
    pub(crate) definitions: Option<(&'static str, &'static str)>,
}

/// The folder beside a recipe's programs with the custom resource definitions of its module.
pub(crate) const DEFINITIONS: &str = "crds";

/// The six programs of Kubernetes.
pub const KUBERNETES: Recipe = Recipe {
    name: "kubernetes",
    files: &[
        ("go.mod", include_str!("../recipes/kubernetes/go.mod")),
        ("go.sum", include_str!("../recipes/kubernetes/go.sum")),
        ("tools.go", include_str!("../recipes/kubernetes/tools.go")),
    ],
    packages: &[
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubectl",
        "k8s.io/kubernetes/cmd/kubelet",
    ],
    version_flags: kubernetes_version_flags,
    definitions: None,
};

/// CoreDNS with few plugins.
pub const COREDNS: Recipe = Recipe {
    name: "coredns",
    files: &[
        ("go.mod", include_str!("../recipes/coredns/go.mod")),
        ("go.sum", include_str!("../recipes/coredns/go.sum")),
        ("main.go", include_str!("../recipes/coredns/main.go")),
    ],
    packages: &["."],
    version_flags: |_| String::new(),
    definitions: None,
};

/// The S3 store.
pub const VERSITYGW: Recipe = Recipe {
    name: "versitygw",
    files: &[
        ("go.mod", include_str!("../recipes/versitygw/go.mod")),
        ("go.sum", include_str!("../recipes/versitygw/go.sum")),
        ("tools.go", include_str!("../recipes/versitygw/tools.go")),
    ],
    packages: &["github.com/versity/versitygw/cmd/versitygw"],
    version_flags: |_| String::new(),
    definitions: None,
};

impl Recipe {
    /// Returns the folder with the programs, after building them if need be.
    ///
    /// # Errors
    /// There is no Go, or a build fails; the error holds what it wrote.
    pub fn ensure(&self, cache: &Cache, part: &Part) -> Result<PathBuf> {
        let version = program::output(Command::new("go").args(["env", "GOVERSION", "GOARCH"]))
            .context("the lab builds its Kubernetes with Go: install Go 1.25 or newer")?;
        let flags = self.linker_flags();
        let mut key = Key::default().with("go", &version).with("flags", &flags);
        for (name, content) in self.files {
            key = key.with(name, content);
        }
        if let Some((module, folder)) = self.definitions {
            key = key.with("definitions", format!("{module} {folder}"));
        }
        built::ensure(cache, self.name, &key, |folder| {
            let source = folder.join("source");
            fs::create_dir(&source)?;
            for (name, content) in self.files {
                let file = source.join(name);
                fs::create_dir_all(file.parent().unwrap_or(&source))?;
                fs::write(file, content)?;
            }
            self.build(&source, folder, &flags, part)?;
            if let Some((module, of_module)) = self.definitions {
                keep_definitions(&source, module, of_module, &folder.join(DEFINITIONS))?;
            }
            part.note("built");
            Ok(fs::remove_dir_all(source)?)
        })
    }

    fn linker_flags(&self) -> String {
        let module = self
            .files
            .iter()
            .find(|(name, _)| *name == "go.mod")
            .map_or("", |f| f.1);
        format!("-s -w {}", (self.version_flags)(module))
            .trim_end()
            .to_owned()
    }

    fn build(&self, source: &Path, folder: &Path, flags: &str, part: &Part) -> Result<()> {
        part.note("downloading modules");
        let stale = r"{{if .Stale}}{{.ImportPath}}{{end}}";
        let mut list = go(source);
        list.args(["list", "-deps", "-trimpath", "-ldflags", flags, "-f", stale]);
        let steps = program::output(list.args(self.packages))?.lines().count();
        part.expect(u64::try_from(steps)?);

        let mut build = go(source);
        build.args([
            "build",
            "-v",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            flags,
            "-o",
        ]);
        build.arg(folder).args(self.packages);
        let mut child = build
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start go")?;
        let mut written = String::new();
        if let Some(stderr) = child.stderr.take() {
            let mut lines = BufReader::new(stderr);
            let mut line = String::new();
            while lines.read_line(&mut line)? > 0 {
                part.note(line.trim_end());
                part.advance();
                written.push_str(&std::mem::take(&mut line));
            }
            lines.read_to_string(&mut written)?;
        }
        let status = child.wait()?;
        if !status.success() {
            let from = written.len().saturating_sub(4000);
            let tail = written.get(from..).unwrap_or(&written);
            bail!("{} ended with {status}:\n{tail}", program::line(&build));
        }
        Ok(())
    }
}

/// Copies the definitions of a module that was downloaded for the build.
fn keep_definitions(source: &Path, module: &str, folder: &str, to: &Path) -> Result<()> {
    let mut list = go(source);
    let found = program::output(list.args(["list", "-m", "-f", "{{.Dir}}", module]))?;
    let folder = Path::new(found.trim()).join(folder);
    fs::create_dir(to)?;
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default();
        // A list of the others, for another tool.
        if name != "kustomization.yaml" {
            fs::write(to.join(name), fs::read(&file)?)?;
        }
    }
    Ok(())
}

fn go(source: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .stdin(Stdio::null());
    command
}

/// Without these the programs call themselves v0.0.0 (`k8s.io/component-base/version/base.go`).
fn kubernetes_version_flags(module: &str) -> String {
    let version = module
        .lines()
        .find_map(|line| line.strip_prefix("require k8s.io/kubernetes v"))
        .unwrap_or("0.0.0");
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
    let variable = "-X k8s.io/component-base/version";
    format!(
        "{variable}.gitVersion=v{version} {variable}.gitMajor={major} {variable}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_is_told_the_version_that_its_module_requires() {
        let flags = KUBERNETES.linker_flags();
        assert!(flags.contains("gitVersion=v1.34."), "{flags}");
        assert!(flags.ends_with("gitMinor=34"), "{flags}");
    }

    #[test]
    fn a_recipe_without_versions_has_no_stray_space() {
        assert_eq!(COREDNS.linker_flags(), "-s -w");
    }
}
