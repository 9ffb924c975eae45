//! The same of Argo CD.

use std::time::Duration;

use anyhow::{Result, ensure};
use pgha_lab::gitops::{Deployer, argo};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::wait;
use serde_json::{Value, json};

use super::{NAMESPACE, PGHA, Repository, SITE, Turn, cluster, remove_object, with};

/// How Argo CD applies: as `kubectl apply` does, or on the server.
const CLIENT: &[&str] = &[];
const SERVER: &[&str] = &["ServerSideApply=true"];

/// A test's object, in the hands of Argo CD.
struct Application {
    git: Repository,
    _turn: Turn,
}

impl Application {
    /// Waits for the test's turn, and has Argo CD apply the object. `None` where this run has no Argo CD.
    fn open(name: &'static str) -> Result<Option<Self>> {
        let Some(turn) = Turn::with(Deployer::Argo)? else {
            return Ok(None);
        };
        remove(name)?;
        let application = Self {
            git: Repository::make(name)?,
            _turn: turn,
        };
        let commit = application.git.push(&cluster(name))?;
        let object = argo::application(name, name, "live", NAMESPACE);
        Kubectl::new(SITE).apply(&object.to_string())?;
        argo::await_synced(SITE, name, &commit)?;
        Ok(Some(application))
    }

    fn automated(&self, value: &Value) -> Result<()> {
        let patch = json!({"spec": {"syncPolicy": {"automated": value}}});
        argo::patch(SITE, self.git.name, &patch)
    }

    /// The barrier: the controller has seen the Application as it is, and whatever it began before is over.
    fn refresh(&self) -> Result<Value> {
        argo::refresh(SITE, self.git.name)?;
        let wait = Duration::from_mins(1);
        wait::until("what runs to end", wait, || {
            let seen = argo::get(SITE, self.git.name)?;
            let is_over = seen["operation"].is_null()
                && seen["status"]["operationState"]["phase"] != "Running";
            ensure!(is_over, "it runs");
            Ok(seen)
        })
    }
}

impl Application {
    /// Commits the object, and waits until Argo CD says that the commit is what there is.
    fn sync(&self, object: &Value) -> Result<String> {
        let commit = self.git.push(object)?;
        argo::refresh(SITE, self.git.name)?;
        argo::await_synced(SITE, self.git.name, &commit)?;
        Ok(commit)
    }

    /// Writes a value while nothing is automated, has git say the same, and lets Argo CD go on; returns the commit.
    fn pause_before_git_does(&self, options: &[&str]) -> Result<String> {
        let policy = json!({"automated": {"enabled": false}, "syncOptions": options});
        let patch = json!({"spec": {"syncPolicy": policy}});
        argo::patch(SITE, self.git.name, &patch)?;
        self.refresh()?;
        self.git.patch(PGHA, &json!({"spec": {"paused": true}}))?;
        let paused = with(&cluster(self.git.name), "/paused", &json!(true))?;
        let commit = self.sync(&paused)?;
        self.automated(&json!({"enabled": null}))?;
        self.refresh()?;
        Ok(commit)
    }

    /// Has a commit applied by an operation, and waits until it is over.
    fn operate(&self, commit: &str) -> Result<()> {
        let object = argo::get(SITE, self.git.name)?;
        // An operation has the options that it names, and not the Application's.
        let options = &object["spec"]["syncPolicy"]["syncOptions"];
        let mut sync = json!({"revision": commit, "syncStrategy": {"hook": {}}});
        if !options.is_null() {
            sync["syncOptions"] = options.clone();
        }
        let operation = json!({
            "operation": {"initiatedBy": {"username": PGHA}, "sync": sync},
            "status": {"operationState": null},
        });
        argo::patch(SITE, self.git.name, &operation)?;
        let ended = wait::until("the operation to end", argo::ANSWERS, || {
            let seen = argo::get(SITE, self.git.name)?;
            let state = &seen["status"]["operationState"];
            let is_over = seen["operation"].is_null() && state["finishedAt"].is_string();
            ensure!(is_over, "{state}");
            Ok(state.clone())
        })?;
        ensure!(ended["phase"] == "Succeeded", "{ended}");
        ensure!(ended["syncResult"]["revision"] == commit, "{ended}");
        Ok(())
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // What is left behind is removed by the next run, or with the lab.
        drop(remove(self.git.name));
    }
}

fn remove(name: &str) -> Result<()> {
    argo::delete(SITE, name)?;
    remove_object(name)
}

#[test]
fn self_heal_puts_back_what_git_has_and_leaves_what_it_lacks() -> Result<()> {
    let Some(application) = Application::open("healed")? else {
        return Ok(());
    };
    let git = &application.git;
    let tracked = "argocd.argoproj.io/tracking-id";
    let id = format!(
        "{0}:postgres-operator.crunchydata.com/PostgresCluster:{NAMESPACE}/{0}",
        git.name
    );
    let live = git.live()?;
    ensure!(live["metadata"]["annotations"][tracked] == id, "{live}");
    ensure!(live["metadata"]["labels"].is_null(), "{live}");

    git.patch(PGHA, &json!({"spec": {"paused": true}}))?;
    git.demote(PGHA)?;
    git.await_standby(false)?;
    let seen = application.refresh()?;
    ensure!(seen["status"]["sync"]["status"] == "Synced", "{seen}");
    ensure!(git.value("/paused")? == true, "it was removed");
    Ok(())
}

/// The refresh is a barrier: once it is over, nothing that was automated is under way, and nothing will be.
#[test]
fn automation_that_is_disabled_holds_until_it_is_enabled() -> Result<()> {
    let Some(application) = Application::open("held")? else {
        return Ok(());
    };
    let git = &application.git;
    application.automated(&json!({"enabled": false}))?;
    application.refresh()?;
    git.demote(PGHA)?;
    let commit = git.push(&with(&cluster(git.name), "/paused", &json!(true))?)?;
    let seen = application.refresh()?;
    let sync = &seen["status"]["sync"];
    ensure!(sync["status"] == "OutOfSync", "{sync}");
    ensure!(sync["revision"] == commit.as_str(), "{sync}");
    ensure!(git.is_standby()?, "it was reverted");
    ensure!(git.value("/paused")?.is_null(), "it was applied");

    // A merge patch keeps what it does not name.
    application.automated(&json!({"selfHeal": true, "prune": true}))?;
    application.refresh()?;
    ensure!(git.is_standby()?, "it was enabled by something else");
    application.automated(&json!({"enabled": null}))?;
    argo::await_synced(SITE, git.name, &commit)?;
    ensure!(!git.is_standby()?, "it was not reverted");
    ensure!(git.value("/paused")? == true, "it was not applied");
    Ok(())
}

#[test]
fn without_self_heal_a_patch_lasts_until_the_next_commit_of_any_file() -> Result<()> {
    let Some(application) = Application::open("lasting")? else {
        return Ok(());
    };
    let git = &application.git;
    application.automated(&json!({"selfHeal": false}))?;
    application.refresh()?;
    git.demote(PGHA)?;
    let seen = application.refresh()?;
    let sync = &seen["status"]["sync"];
    ensure!(sync["status"] == "OutOfSync", "{sync}");
    ensure!(git.is_standby()?, "it was reverted");
    let other = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "pgha-other", "namespace": NAMESPACE},
    });
    let commit = git.push_file("live/other.yaml", &other.to_string())?;
    argo::refresh(SITE, git.name)?;
    argo::await_synced(SITE, git.name, &commit)?;
    ensure!(!git.is_standby()?, "it was not reverted");
    Ok(())
}

/// As its command line does it, through the object alone.
#[test]
fn an_operation_that_is_written_into_the_application_is_carried_out() -> Result<()> {
    let Some(application) = Application::open("operated")? else {
        return Ok(());
    };
    let git = &application.git;
    application.automated(&json!({"enabled": false}))?;
    application.refresh()?;
    let commit = git.push(&with(&cluster(git.name), "/paused", &json!(true))?)?;
    application.operate(&commit)?;
    ensure!(git.value("/paused")? == true, "it was not applied");
    Ok(())
}

/// Nothing is out of sync, so nothing is applied, and Argo CD never has the value as its own. It says `Synced` all the while.
#[test]
fn a_value_that_was_there_before_git_said_it_outlives_its_removal_from_git() -> Result<()> {
    for (name, options) in [("late", CLIENT), ("late-on-server", SERVER)] {
        let Some(application) = Application::open(name)? else {
            return Ok(());
        };
        application.pause_before_git_does(options)?;
        application.sync(&cluster(name))?;
        let now = application.git.value("/paused")?;
        ensure!(now == true, "{options:?}: git has removed it");
    }
    Ok(())
}

/// An operation at the commit that says the value hands it over where Argo CD applies as `kubectl apply` does.
#[test]
fn a_value_is_gits_after_an_operation_at_the_commit_that_says_it() -> Result<()> {
    for (name, options) in [("handed", CLIENT), ("handed-on-server", SERVER)] {
        let Some(application) = Application::open(name)? else {
            return Ok(());
        };
        let commit = application.pause_before_git_does(options)?;
        application.operate(&commit)?;
        ensure!(application.git.value("/paused")? == true, "it went away");
        application.sync(&cluster(name))?;
        let now = application.git.value("/paused")?;
        ensure!(now.is_null() == options.is_empty(), "{options:?}: {now}");
    }
    Ok(())
}
