//! A platform as Holos has it: CUE in which one line names the primary cluster, rendered into the files that Flux or Argo CD
//! applies in each cluster. It adopts a pair of the lab's as that is, so that there is nothing to change for who takes over.

mod by_argo;
mod by_flux;
mod files;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::git::{self, WorkTree};
use super::{Deployer, remove_if_there};
use crate::cluster::primary_site;
use crate::kubectl::Kubectl;
use crate::paths::{self, Cache};
use crate::program;
use crate::progress::Progress;
use crate::site::{Place, SERVICE_NAMESPACE, Site};

/// The program that renders.
const CUE: &str = "cue";
/// The file with the line that names the primary cluster.
pub const SITE_FILE: &str = "platforms/platform.site.cue";
/// Where the copy's own settings say who applies it.
const DEPLOYER: &str = "lab.deployer";

/// The platform of one pair: a repository of its name, and a person's copy of that.
#[derive(Clone, Debug)]
pub struct Platform {
    cluster: String,
    deployer: Deployer,
    tree: WorkTree,
}

/// An application that people log in to: an OpenID provider of node, by programs on the lab's machine.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The program node.
    pub node: PathBuf,
    /// The folder with `pod.mjs` (`tests/oidc`) and its packages.
    pub folder: PathBuf,
    /// The URL that it names in its tokens.
    pub issuer: String,
}

impl Platform {
    /// Writes a platform for a pair as it is now, pushes it, and has it applied at both sites. Its application does nothing.
    ///
    /// # Errors
    /// There is no such pair, it has a platform already, or it is not applied.
    pub fn adopt(cluster: &str, deployer: Deployer, progress: &Progress) -> Result<Self> {
        Self::adopt_with(None, cluster, deployer, progress)
    }

    /// The same, with an application that people log in to, where Flux applies it. At the standby's site it is stopped.
    ///
    /// # Errors
    /// As with one that does nothing.
    pub fn adopt_with(
        provider: Option<&Provider>,
        cluster: &str,
        deployer: Deployer,
        progress: &Progress,
    ) -> Result<Self> {
        let cache = Cache::in_use()?;
        let platform = progress.part(&format!("{cluster}: a platform of it"), |_| {
            Self::write(cluster, provider, deployer, &cache).with_context(|| {
                format!("what is left of an earlier one goes by cargo xtask lab gitops release {cluster}")
            })
        })?;
        for site in Site::ALL {
            progress.part(&format!("{site}: {deployer} adopts {cluster}"), |_| {
                for object in platform.roots(site) {
                    Kubectl::new(site).apply(&object.to_string())?;
                }
                platform.await_applied(site)
            })?;
        }
        if provider.is_some() {
            progress.part(&format!("{cluster}: its standby's application"), |_| {
                platform.make_stopped_app(primary_site(cluster)?.other())
            })?;
        }
        Ok(platform)
    }

    /// Flux leaves alone what a standby's file has, so that it is not made either: as it would be where its site was primary before.
    fn make_stopped_app(&self, site: Site) -> Result<()> {
        let name = self.app_name();
        let rendered = format!("{}/components/{name}/{name}.gen.yaml", Self::rendered(site));
        let kubectl = Kubectl::new(site);
        kubectl.apply(&fs::read_to_string(self.folder().join(rendered))?)?;
        kubectl
            .run(&["scale", "deployment", &name, "--replicas=0"])
            .map(drop)
    }

    /// The address of the application's Service at a site, which the lab's machine reaches.
    ///
    /// # Errors
    /// The application is not one that people log in to.
    pub fn app_address(&self, site: Site) -> Result<String> {
        let service = Kubectl::new(site).get(&["service", &self.app_name()])?;
        let address = service["spec"]["clusterIP"].as_str();
        Ok(address.context("a Service without an address")?.to_owned())
    }

    /// The platform that a pair has.
    ///
    /// # Errors
    /// It has none.
    pub fn open(cluster: &str) -> Result<Self> {
        let tree = WorkTree::at(folder(cluster, &Cache::in_use()?));
        ensure!(
            tree.folder().join(SITE_FILE).exists(),
            "{cluster} has no platform: cargo xtask lab gitops adopt {cluster}"
        );
        let deployer = tree.git(&["config", DEPLOYER])?;
        Ok(Self {
            cluster: cluster.to_owned(),
            deployer: deployer.trim().parse().map_err(anyhow::Error::msg)?,
            tree,
        })
    }

    /// Takes a pair out of the hands of who applies it and removes its platform; the pair stays as it is.
    ///
    /// # Errors
    /// A site does not answer.
    pub fn release(cluster: &str, progress: &Progress) -> Result<()> {
        let cache = Cache::in_use()?;
        for site in Site::ALL {
            progress.part(&format!("{site}: {cluster} is let go"), |_| {
                by_flux::release(site, cluster)?;
                by_argo::release(site, cluster)?;
                let app = app_name(cluster);
                let app = ["deployment", "service"].map(|kind| format!("{kind}/{app}"));
                let args = ["delete", &app[0], &app[1], "--ignore-not-found"];
                Kubectl::new(site).run(&args).map(drop)
            })?;
        }
        git::forget(&cache, cluster)?;
        remove_if_there(fs::remove_dir_all(folder(cluster, &cache)))
    }

    /// The person's copy: files, commits, pushes.
    pub const fn tree(&self) -> &WorkTree {
        &self.tree
    }

    /// The service's file that has its line changed and rendered by commits.
    pub fn service(&self) -> Value {
        let cluster = &self.cluster;
        let site = |site: Site| {
            let name = site.name();
            json!({"name": name, "context": name, "namespace": SERVICE_NAMESPACE, "cluster": cluster})
        };
        let rendered = |site| [format!("{}/**", Self::rendered(site))];
        json!({"apiVersion": "pgha.dev/v1alpha1", "kind": "Service", "metadata": {"name": cluster}, "spec": {
            "sites": Site::ALL.map(site),
            "change": {
                "way": "git",
                "repository": self.folder(),
                "edits": [{"file": SITE_FILE, "field": "#Platform.primaryCluster.name"}],
                "render": {"command": ["sh", "render.sh"],
                    "paths": {"core1": rendered(Site::Core1), "core2": rendered(Site::Core2)}},
                "expect": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": self.app_name(),
                    "at": ["/metadata/annotations"]}],
            },
        }})
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.tree.folder()
    }

    /// The name of what applies the others at each site: a Kustomization, or an Application.
    pub fn root_name(&self) -> String {
        root_name(&self.cluster)
    }

    /// The name of what applies the `PostgresCluster`.
    pub fn postgres_name(&self) -> String {
        postgres_name(&self.cluster)
    }

    /// The name of the application, and of the Kustomization that applies it: Argo CD leaves it out, for it knows no annotation
    /// that has it leave a standby's alone.
    pub fn app_name(&self) -> String {
        app_name(&self.cluster)
    }

    /// What is rendered for one site, as a path in the copy.
    pub fn rendered(site: Site) -> String {
        format!("deploy/clusters/{site}")
    }

    /// The file with the `PostgresCluster` of one site, as a path in the copy.
    pub fn postgres_file(&self, site: Site) -> String {
        let name = self.postgres_name();
        format!("{}/components/{name}/{name}.gen.yaml", Self::rendered(site))
    }

    /// Has the one line name another primary cluster. Nothing is rendered.
    ///
    /// # Errors
    /// The file has no such line.
    pub fn name_primary(&self, site: Site) -> Result<()> {
        let file = self.folder().join(SITE_FILE);
        let text = fs::read_to_string(&file)?;
        let named = files::with_primary(&text, site)?;
        fs::write(&file, named).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Renders both sites' files.
    ///
    /// # Errors
    /// CUE refuses; the error holds what it wrote.
    pub fn render(&self) -> Result<()> {
        let mut render = Command::new("sh");
        let bin = paths::program(CUE);
        let bin = bin.parent().context("a program without a folder")?;
        render
            .arg(self.folder().join("render.sh"))
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        program::output(&mut render).map(drop)
    }

    /// Has what was pushed fetched and applied at one site, and waits until it is.
    ///
    /// # Errors
    /// It is not.
    pub fn reconcile(&self, site: Site) -> Result<()> {
        match self.deployer {
            Deployer::Flux => by_flux::fetch(site, &self.cluster)?,
            Deployer::Argo => by_argo::fetch(site, &self.cluster)?,
        }
        self.await_applied(site)
    }

    fn write(
        cluster: &str,
        provider: Option<&Provider>,
        deployer: Deployer,
        cache: &Cache,
    ) -> Result<Self> {
        git::create(cache, cluster)?;
        let platform = Self {
            cluster: cluster.to_owned(),
            deployer,
            tree: WorkTree::clone_of(cluster, folder(cluster, cache))?,
        };
        let tree = &platform.tree;
        tree.git(&["config", DEPLOYER, &deployer.to_string()])?;
        let primary = files::write(tree.folder(), cluster, provider)?;
        platform.name_primary(primary)?;
        platform.render()?;
        tree.commit(&["."], "Adopt what is there")?;
        tree.push()?;
        Ok(platform)
    }

    /// What a person applies once, and all else follows from.
    fn roots(&self, site: Site) -> Vec<Value> {
        match self.deployer {
            Deployer::Flux => by_flux::roots(site, &self.cluster),
            Deployer::Argo => by_argo::roots(site, &self.cluster),
        }
    }

    fn await_applied(&self, site: Site) -> Result<()> {
        let commit = self.tree.head()?;
        match self.deployer {
            Deployer::Flux => by_flux::await_applied(site, &self.cluster, &commit),
            Deployer::Argo => by_argo::await_applied(site, &self.cluster, &commit),
        }
    }
}

fn folder(cluster: &str, cache: &Cache) -> PathBuf {
    cache.data(Place::Edge).join("platforms").join(cluster)
}

fn root_name(cluster: &str) -> String {
    format!("{cluster}-platform")
}

fn postgres_name(cluster: &str) -> String {
    format!("{cluster}-postgres")
}

fn app_name(cluster: &str) -> String {
    format!("{cluster}-app")
}

/// A pair's object with who wrote what of it, where it is.
fn object(site: Site, cluster: &str) -> Result<Option<Value>> {
    let [kind, name, flag, namespace] = named(cluster);
    Kubectl::new(site).find(&[kind, name, flag, namespace, "--show-managed-fields"])
}

/// `kubectl VERB` on a pair's object, where that is, with what comes after its name.
fn on_object(site: Site, cluster: &str, verb: &str, rest: &[&str]) -> Result<()> {
    if object(site, cluster)?.is_none() {
        return Ok(());
    }
    let args = [&[verb][..], &named(cluster), rest].concat();
    Kubectl::new(site).run(&args).map(drop)
}

const fn named(cluster: &str) -> [&str; 4] {
    ["postgrescluster", cluster, "--namespace", SERVICE_NAMESPACE]
}
