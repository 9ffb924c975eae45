//! What a GitOps house is built from.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Deployer;
use crate::go::Recipe;
use crate::host;
use crate::paths::Cache;
use crate::progress::Progress;

/// A file of a recipe by its path in the module.
macro_rules! files {
    ($recipe:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../../recipes/", $recipe, "/", $file)))),+]
    };
}

/// git over HTTP: a few lines around the program that git itself has for it.
const GIT_HTTP: Recipe = Recipe {
    name: "git-http",
    files: files!("git-http": "go.mod", "main.go"),
    packages: &["."],
    version_flags: |_| String::new(),
    definitions: None,
};

/// What Holos renders with.
const CUE: Recipe = Recipe {
    name: "cue",
    files: files!("cue": "go.mod", "go.sum", "tools.go"),
    packages: &["cuelang.org/go/cmd/cue"],
    version_flags: |_| String::new(),
    definitions: None,
};

const KUSTOMIZE: Recipe = Recipe {
    name: "kustomize-controller",
    files: files!("kustomize-controller": "go.mod", "go.sum", "tools.go"),
    packages: &["github.com/fluxcd/kustomize-controller"],
    version_flags: |_| String::new(),
    definitions: Some(("github.com/fluxcd/kustomize-controller", "config/crd/bases")),
};

/// One library of it is not served by Go's proxy; the recipe has a stand-in for that, of what is called.
const SOURCE: Recipe = Recipe {
    name: "source-controller",
    files: files!(
        "source-controller":
        "go.mod", "go.sum", "tools.go", "artifact/go.mod", "artifact/config/config.go",
        "artifact/digest/digest.go", "artifact/server/server.go", "artifact/storage/archive.go",
        "artifact/storage/storage.go"
    ),
    packages: &["github.com/fluxcd/source-controller"],
    version_flags: |_| String::new(),
    definitions: Some(("github.com/fluxcd/source-controller", "config/crd/bases")),
};

/// The two parts of Argo CD that act, in one program. 3.2.12 does not compile, and from 3.3 on a part of the module is missing.
const ARGO: Recipe = Recipe {
    name: "argocd",
    files: files!("argocd": "go.mod", "go.sum", "main.go"),
    packages: &["."],
    version_flags: |_| String::new(),
    definitions: Some(("github.com/argoproj/argo-cd/v3", "manifests/crds")),
};

/// The machine's own packages: git has the server's half of git over HTTP.
const GIT_PACKAGES: &str = "git test -x /usr/lib/git-core/git-http-backend\n";
const ARGO_PACKAGES: &str = "redis-server command -v redis-server\n";

/// The folders of what was built.
pub(super) struct Parts {
    pub(super) git: PathBuf,
    cue: PathBuf,
    pub(super) deployer: Built,
}

/// The folders of what applies.
pub(super) enum Built {
    Flux { source: PathBuf, kustomize: PathBuf },
    Argo(PathBuf),
}

impl Parts {
    pub(super) fn all(&self) -> Vec<&Path> {
        let mut all: Vec<&Path> = vec![&self.git, &self.cue];
        match &self.deployer {
            Built::Flux { source, kustomize } => all.extend([source.as_path(), kustomize]),
            Built::Argo(argo) => all.push(argo),
        }
        all
    }
}

/// Builds what is not there: a quarter of an hour on two cores, once.
///
/// # Errors
/// A build fails; the error holds what it wrote.
pub(super) fn ensure(deployer: Deployer, cache: &Cache, progress: &Progress) -> Result<Parts> {
    let packages = match deployer {
        Deployer::Flux => GIT_PACKAGES.to_owned(),
        Deployer::Argo => [GIT_PACKAGES, ARGO_PACKAGES].concat(),
    };
    progress.part("packages", |part| host::ensure_list(&packages, part))?;
    let build = |recipe: Recipe| progress.part(recipe.name, |part| recipe.ensure(cache, part));
    Ok(Parts {
        git: build(GIT_HTTP)?,
        cue: build(CUE)?,
        deployer: match deployer {
            Deployer::Flux => Built::Flux {
                source: build(SOURCE)?,
                kustomize: build(KUSTOMIZE)?,
            },
            Deployer::Argo => Built::Argo(build(ARGO)?),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn below(folder: &Path, root: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(below(&path, root));
            } else {
                let name = path.strip_prefix(root).unwrap();
                found.insert(name.to_string_lossy().into_owned());
            }
        }
        found
    }

    #[test]
    fn no_file_of_a_recipe_is_left_out() {
        for recipe in [GIT_HTTP, CUE, KUSTOMIZE, SOURCE, ARGO] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("recipes")
                .join(recipe.name);
            let named: BTreeSet<String> = recipe
                .files
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect();
            assert_eq!(named, below(&folder, &folder), "{}", recipe.name);
        }
    }
}
