//! What Flux and Argo CD really do to objects that somebody else writes to as well, shown on the real controllers with plain
//! kubectl. The product rests on these facts; one that is no longer true is seen here first.
//!
//! Each test has an object, a repository and a Kustomization of its own. The object is a `PostgresCluster`, for what becomes of a
//! field depends on its schema, in a namespace that no operator watches.

mod argo;
mod broken;
mod gates;
mod holds;
mod owners;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::gitops::git::{self, WorkTree};
use pgha_lab::gitops::{self, Deployer, QUIET_NAMESPACE as NAMESPACE, flux};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths::Cache;
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::Suite;
use serde_json::{Value, json};
use tempfile::TempDir;

const SITE: Site = Site::Core1;
/// How many turns the tests take with Flux and Argo CD; the last of them ends both.
const TURNS: usize = 21;

/// What the product writes as.
const PGHA: &str = "pgha";
/// What a person's kubectl writes as.
const KUBECTL: &str = "kubectl-x";

static TURN: Mutex<()> = Mutex::new(());
static LEFT: AtomicUsize = AtomicUsize::new(TURNS);

/// A test's turn with what applies.
struct Turn {
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for it, and brings up what applies. `None` where this run has none.
    fn with(deployer: Deployer) -> Result<Option<Self>> {
        // A test that failed poisons the lock; each has objects of its own.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if Suite::open_for_full()?.is_none() {
            return Ok(None);
        }
        let turn = Self { _turn: turn };
        if !deployer.is_up() {
            gitops::up(deployer, &Progress::to_stderr())?;
        }
        Ok(Some(turn))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            // What is left behind is removed with the lab.
            drop(gitops::down(&Progress::to_stderr()));
        }
    }
}

/// A test's repository, and a person's copy of it.
struct Repository {
    name: &'static str,
    tree: WorkTree,
    cache: Cache,
    _folder: TempDir,
}

impl Repository {
    /// A new one, whatever an earlier run has left.
    fn make(name: &'static str) -> Result<Self> {
        let cache = Cache::in_use()?;
        git::forget(&cache, name)?;
        git::create(&cache, name)?;
        let folder = tempfile::tempdir()?;
        Ok(Self {
            name,
            tree: WorkTree::clone_of(name, folder.path().join("tree"))?,
            cache,
            _folder: folder,
        })
    }

    /// Commits the test's object and pushes it.
    fn push(&self, object: &Value) -> Result<String> {
        self.push_file("live/object.yaml", &object.to_string())
    }

    /// The same for another file.
    fn push_file(&self, name: &str, content: &str) -> Result<String> {
        let file = self.tree.folder().join(name);
        fs::create_dir_all(file.parent().context("a file without a folder")?)?;
        fs::write(file, content)?;
        let commit = self.tree.commit(&["."], "Say what is wanted")?;
        self.tree.push()?;
        Ok(commit)
    }

    /// The object as it is.
    fn live(&self) -> Result<Value> {
        get(&format!("postgrescluster/{}", self.name), NAMESPACE)
    }

    /// A value of the object's spec.
    fn value(&self, pointer: &str) -> Result<Value> {
        let live = self.live()?;
        Ok(live["spec"].pointer(pointer).cloned().unwrap_or_default())
    }

    /// Whether the object is a standby now.
    fn is_standby(&self) -> Result<bool> {
        Ok(self.value("/standby/enabled")? == true)
    }

    /// Waits until the object is a standby, or is none.
    fn await_standby(&self, wanted: bool) -> Result<()> {
        wait::until("the field to change", Duration::from_secs(30), || {
            ensure!(self.is_standby()? == wanted, "it has not");
            Ok(())
        })
    }

    /// Changes the object as somebody.
    fn patch(&self, manager: &str, patch: &Value) -> Result<()> {
        let object = format!("postgrescluster/{}", self.name);
        patch_as(manager, &object, NAMESPACE, "merge", patch)
    }

    /// Makes it a standby as somebody.
    fn demote(&self, manager: &str) -> Result<()> {
        self.patch(manager, &json!({"spec": {"standby": {"enabled": true}}}))
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // What is left behind is removed by the next run, or with the lab.
        drop(git::answer_with(&self.cache, None));
        drop(git::forget(&self.cache, self.name));
    }
}

/// A test's object, in the hands of Flux.
struct House {
    git: Repository,
    _turn: Turn,
}

impl House {
    /// Waits for the test's turn, and has Flux apply the object. `None` where this run has no Flux.
    fn open(name: &'static str) -> Result<Option<Self>> {
        let Some(turn) = Turn::with(Deployer::Flux)? else {
            return Ok(None);
        };
        remove(name)?;
        let house = Self {
            git: Repository::make(name)?,
            _turn: turn,
        };
        let commit = house.git.push(&cluster(name))?;
        for object in [
            flux::repository(name),
            flux::kustomization(name, name, "./live"),
        ] {
            Kubectl::new(SITE).apply(&object.to_string())?;
        }
        flux::await_applied(SITE, name, &commit)?;
        Ok(Some(house))
    }

    /// Commits the object, and waits until Flux has applied the commit.
    fn sync(&self, object: &Value) -> Result<()> {
        let commit = self.git.push(object)?;
        self.fetch()?;
        flux::await_applied(SITE, self.git.name, &commit).map(drop)
    }

    /// Has Flux fetch what was pushed.
    fn fetch(&self) -> Result<Value> {
        flux::reconcile(SITE, &self.source())
    }

    /// Has Flux apply what it has fetched, and waits for its answer.
    fn reconcile(&self) -> Result<Value> {
        flux::reconcile(SITE, &self.kustomization())
    }

    fn source(&self) -> String {
        format!("gitrepository/{}", self.git.name)
    }

    fn kustomization(&self) -> String {
        format!("kustomization/{}", self.git.name)
    }

    /// The Kustomization as it is.
    fn flux(&self) -> Result<Value> {
        get(&self.kustomization(), flux::NAMESPACE)
    }

    fn suspend(&self, manager: &str, value: &Value) -> Result<()> {
        let patch = json!({"spec": {"suspend": value}});
        patch_as(
            manager,
            &self.kustomization(),
            flux::NAMESPACE,
            "merge",
            &patch,
        )
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // What is left behind is removed by the next run, or with the lab.
        drop(remove(self.git.name));
    }
}

fn remove(name: &str) -> Result<()> {
    for object in [
        format!("kustomization/{name}-root"),
        format!("kustomization/{name}"),
        format!("gitrepository/{name}"),
    ] {
        flux::delete(SITE, &object)?;
    }
    remove_object(name)
}

fn remove_object(name: &str) -> Result<()> {
    let object = ["delete", "postgrescluster", name, "--ignore-not-found"];
    Kubectl::new(SITE)
        .run(&[&object[..], &["--namespace", NAMESPACE]].concat())
        .map(drop)
}

/// What git says of a primary.
fn cluster(name: &str) -> Value {
    json!({
        "apiVersion": "postgres-operator.crunchydata.com/v1beta1",
        "kind": "PostgresCluster",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "postgresVersion": 15,
            "standby": {"enabled": false, "repoName": "repo1"},
            "instances": [{"name": "pgha1", "replicas": 2, "dataVolumeClaimSpec": {}}],
            "backups": {"pgbackrest": {"repos": [{
                "name": "repo1",
                "s3": {"bucket": "b", "endpoint": "s3.lab:7070", "region": "us-east-1"},
            }]}},
        },
    })
}

/// The same with a value at a pointer of its spec; `null` leaves it out.
fn with(object: &Value, pointer: &str, value: &Value) -> Result<Value> {
    let mut changed = object.clone();
    let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
    let parent = changed["spec"].pointer_mut(parent);
    let parent = parent
        .and_then(Value::as_object_mut)
        .context("no such parent")?;
    if value.is_null() {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), value.clone());
    }
    Ok(changed)
}

fn get(object: &str, namespace: &str) -> Result<Value> {
    let args = [object, "--namespace", namespace, "--show-managed-fields"];
    Kubectl::new(SITE).get(&args)
}

fn patch_as(manager: &str, object: &str, namespace: &str, kind: &str, patch: &Value) -> Result<()> {
    let args = [
        "patch",
        object,
        "--namespace",
        namespace,
        &format!("--type={kind}"),
        &format!("--field-manager={manager}"),
        &format!("--patch={patch}"),
    ];
    Kubectl::new(SITE).run(&args).map(drop)
}

/// Whether a manager owns a field of the object's spec, by its name in `fieldsV1`.
fn owns(live: &Value, manager: &str, field: &str) -> bool {
    let entries = live["metadata"]["managedFields"].as_array();
    let mut entries = entries.into_iter().flatten();
    entries.any(|entry| {
        let has = entry["fieldsV1"]["f:spec"].get(field).is_some();
        entry["manager"] == manager && has
    })
}

/// The newest revision that a Kustomization has applied ends in this commit.
fn has_applied(kustomization: &Value, commit: &str) -> bool {
    let applied = kustomization["status"]["lastAppliedRevision"].as_str();
    applied.is_some_and(|revision| revision.ends_with(commit))
}
