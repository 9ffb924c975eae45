//! The backend itself.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use pgha_haproxy::{By, Found, Located, Spot, has_backend, locate, replaced};
use pgha_nlb::plan::{Gate, gate, plan_to_site, warn_of_disagreement};
use pgha_nlb::state::{Document, Held};
use pgha_nlb::{
    Active, Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Finding, Layer, Look,
    Place, Plan, Problem, Receipt, Refusal, Route, RouteName, RouteState, SiteName, diff,
};

use crate::git::{Git, fence};
use crate::{BadSettings, RouteSettings, Settings};

/// HAProxy rules and maps in a git repository.
#[derive(Clone, Debug)]
pub struct HaproxyGit {
    settings: Settings,
    git: Git,
}

type Files = BTreeMap<String, Vec<u8>>;

impl HaproxyGit {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// A setting that git or HAProxy would take for something else.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        settings.check()?;
        let git = Git {
            checkout: settings.checkout.clone(),
            remote: settings.remote.clone(),
            reference: format!("refs/heads/{}", settings.branch),
            push_options: settings.push_options.clone(),
        };
        Ok(Self { settings, git })
    }

    fn located(&self, route: &RouteSettings, files: &Files) -> Located {
        let file = self.settings.file_of(route);
        match files.get(file) {
            Some(bytes) => locate(bytes, file, &route.spot, &route.host),
            None => Located::Not(format!("{file} was not read.")),
        }
    }

    fn route(&self, route: &RouteSettings, files: &Files) -> Route {
        let place = |found: &Found| Place {
            at: found.at.clone(),
            value: found.value.clone(),
        };
        match self.located(route, files) {
            Located::One(found, _) => {
                Route::of_places(&route.name, vec![place(&found)], &route.sites)
            }
            Located::Not(because) => Route::unknown(&route.name, because),
            Located::Several(found) => {
                let lines: Vec<_> = found
                    .iter()
                    .map(|found| format!("line {} says `{}`", found.line, found.value))
                    .collect();
                let seen = format!("In {}: {}.", self.settings.file_of(route), lines.join(", "));
                Route {
                    name: route.name.clone(),
                    active: Active::Split { seen },
                    places: found.iter().map(place).collect(),
                }
            }
        }
    }

    /// The files after changes, and what a person should know of it.
    fn edit(&self, files: &Files, changes: &[Change]) -> Result<(Files, Vec<String>), Refusal> {
        let (mut edited, mut warnings) = (files.clone(), Vec::new());
        for change in changes {
            let unfit = |seen: String, advice: &str| Refusal::Unfit {
                route: change.route.clone(),
                seen,
                advice: advice.to_owned(),
            };
            let lost = || unfit("its rule is not there.".to_owned(), "Plan again.");
            let route = self
                .settings
                .routes
                .iter()
                .find(|route| route.name == change.route);
            let route = route.ok_or_else(lost)?;
            let config = &self.settings.config;
            if !files
                .get(config)
                .is_some_and(|bytes| has_backend(bytes, &change.to))
            {
                let seen = format!("{config} has no backend `{}`.", change.to);
                return Err(unfit(
                    seen,
                    "Add the backend, or correct the route's value.",
                ));
            }
            let Located::One(found, doubts) = self.located(route, &edited) else {
                return Err(lost());
            };
            if (&found.at, &found.value) != (&change.at, &change.from) {
                return Err(lost());
            }
            let file = self.settings.file_of(route);
            let bytes = edited
                .get(file)
                .map(|bytes| replaced(bytes, found.range, &change.to));
            edited.insert(file.to_owned(), bytes.unwrap_or_default());
            // What was read back decides, not what was meant.
            match self.located(route, &edited) {
                Located::One(found, _) if found.value == change.to => warnings.extend(doubts),
                Located::One(..) | Located::Several(_) | Located::Not(_) => return Err(lost()),
            }
        }
        Ok((edited, warnings))
    }

    async fn read(&self, commit: &str, within: Duration) -> Result<Files, CutoverError> {
        self.git.fetch(commit, within).await?;
        let mut files = Files::new();
        for file in self.settings.files() {
            let (_, bytes) = self.git.file(commit, file, within).await?;
            files.insert(file.to_owned(), bytes);
        }
        Ok(files)
    }

    async fn change(
        &self,
        changes: &[Change],
        seen: &RouteState,
        message: &str,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let base = seen.fence.as_str();
        let before = files_of(seen);
        let (after, _) = self.edit(&before, changes).map_err(|refusal| {
            let seen = refusal.to_string();
            CutoverError::new(
                "edit",
                self.git.at(),
                Problem::Unfit { seen },
                refusal.advice(),
            )
        })?;
        let tree = self.git.worktree(base, within).await?;
        let commit = async {
            let mut files = Vec::new();
            for (path, bytes) in after
                .iter()
                .filter(|(path, bytes)| before.get(*path) != Some(*bytes))
            {
                let (mode, _) = self.git.file(base, path, within).await?;
                files.push((path.as_str(), mode, bytes.as_slice()));
            }
            let files: Vec<_> = files
                .iter()
                .map(|(path, mode, bytes)| (*path, mode.as_str(), *bytes))
                .collect();
            let commit = tree.commit(&files, message, within).await?;
            let config = self.settings.rendered(&tree.path, within).await?;
            self.verify_rendered(&config, changes)?;
            self.settings.judge(&config, &tree.path, within).await?;
            Ok(commit)
        }
        .await;
        // A folder that stays behind is no reason to stop; the commit's outcome counts.
        drop(tree.remove(within).await);
        let commit: String = commit?;
        self.git.push(&commit, base, within).await?;
        Ok(Receipt {
            backend: self.settings.id.clone(),
            did: Did::Change,
            changes: changes.to_vec(),
            fence: fence(&commit),
            evidence: vec![format!("{} is at commit {commit}.", self.git.at())],
        })
    }

    /// A template may make something else of a rule than the rule says.
    fn verify_rendered(&self, config: &[u8], changes: &[Change]) -> Result<(), CutoverError> {
        for change in changes {
            let routes = self
                .settings
                .routes
                .iter()
                .filter(|route| route.name == change.route);
            for route in routes.filter(|route| matches!(route.spot, Spot::Rule { .. })) {
                let located = locate(config, "the configuration", &route.spot, &route.host);
                let seen = match located {
                    Located::One(found, _) if found.value == change.to => continue,
                    Located::One(found, _) => {
                        format!("route {} leads to `{}` in it", route.name, found.value)
                    }
                    Located::Not(because) => because,
                    Located::Several(_) => format!("route {} is in it more than once", route.name),
                };
                let next = "Nothing was pushed; look at what the template makes of the rule.";
                let problem = Problem::Unfit { seen };
                return Err(CutoverError::new(
                    "use the rendered configuration",
                    self.git.at(),
                    problem,
                    next,
                ));
            }
        }
        Ok(())
    }

    fn nothing(&self, changes: Vec<Change>, seen: &RouteState) -> Receipt {
        Receipt {
            backend: self.settings.id.clone(),
            did: Did::Nothing,
            changes,
            fence: seen.fence.clone(),
            evidence: vec![format!("{} is at commit {}.", self.git.at(), seen.fence)],
        }
    }

    async fn findings(&self, within: Duration) -> Result<Vec<Finding>, CutoverError> {
        let id = &self.settings.id;
        let seen = self.observe(within).await?;
        let mut findings = vec![Finding::pass(id, "git-branch")];
        let advice = "Give the route one rule of its own, before any that holds for it too.";
        let finding = |route| Finding::of_route(id, "haproxy-rule", route, advice);
        findings.extend(seen.routes.iter().map(finding));
        let files = files_of(&seen);
        for route in &self.settings.routes {
            if let Located::One(_, doubts) = self.located(route, &files) {
                let advice = "Look whether the rule decides for every user.";
                findings.extend(
                    doubts
                        .iter()
                        .map(|doubt| Finding::warn(id, "haproxy-first-match", doubt, advice)),
                );
            }
        }
        let base = seen.fence.as_str();
        let identity = ["var", "GIT_COMMITTER_IDENT"];
        self.git
            .output(
                &self.settings.checkout,
                "learn who commits",
                &identity,
                within,
            )
            .await?;
        let tree = self.git.worktree(base, within).await?;
        let judged = async {
            let config = self.settings.rendered(&tree.path, within).await?;
            self.settings.judge(&config, &tree.path, within).await
        }
        .await;
        drop(tree.remove(within).await);
        judged.map(|()| findings)
    }
}

fn files_of(state: &RouteState) -> Files {
    let documents = state.documents.iter();
    documents
        .map(|document| (document.name.clone(), document.bytes.clone()))
        .collect()
}

fn message(verb: &str, changes: &[Change]) -> String {
    let mut routes: Vec<&RouteName> = changes.iter().map(|change| &change.route).collect();
    routes.dedup();
    let names: Vec<_> = routes.iter().map(|route| route.as_str()).collect();
    let lines = changes
        .iter()
        .map(|change| format!("{}: {} -> {}", change.at, change.from, change.to));
    format!(
        "{verb} {}\n\n{}",
        names.join(", "),
        lines.collect::<Vec<_>>().join("\n")
    )
}

#[async_trait]
impl Cutover for HaproxyGit {
    fn describe(&self) -> Descriptor {
        let is_tcp = |route: &RouteSettings| matches!(route.spot, Spot::Rule { by: By::Sni, .. });
        Descriptor {
            id: self.settings.id.clone(),
            kind: "haproxy-git",
            at: format!("{} of {}", self.git.at(), self.settings.checkout.display()),
            layer: if self.settings.routes.iter().any(is_tcp) {
                Layer::Tcp
            } else {
                Layer::Http
            },
            capabilities: Capabilities {
                compare_and_swap: true,
                atomic: true,
                persistent: true,
                needs_reload: true,
            },
            settles_in: Duration::from_secs(30),
        }
    }

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let findings = self.findings(within).await;
        findings.unwrap_or_else(|error| {
            vec![Finding::of_error(&self.settings.id, "git-branch", &error)]
        })
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        let commit = self.git.tip(within).await?;
        let files = self.read(&commit, within).await?;
        let routes = self
            .settings
            .routes
            .iter()
            .map(|route| self.route(route, &files));
        Ok(RouteState {
            fence: fence(&commit),
            routes: routes.collect(),
            documents: files
                .into_iter()
                .map(|(name, bytes)| Document { name, bytes })
                .collect(),
        })
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let routes = self.settings.routes.iter();
        let routes = routes.map(|route| (&route.name, &route.sites));
        let changes = plan_to_site(seen, to, routes)?;
        let before = files_of(seen);
        let (after, doubts) = self.edit(&before, &changes)?;
        let mut warnings = warn_of_disagreement(seen);
        warnings.extend(doubts);
        let diffs = before
            .iter()
            .map(|(name, bytes)| diff::unified(name, bytes, after.get(name).unwrap_or(bytes)));
        Ok(Plan {
            backend: self.settings.id.clone(),
            to: to.clone(),
            fence: seen.fence.clone(),
            diff: diffs.collect(),
            changes,
            warnings,
        })
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        let seen = self.observe(within).await?;
        match gate(
            &plan.changes,
            &plan.fence,
            &seen,
            "apply the plan",
            &self.git.at(),
        )? {
            Gate::Done => Ok(self.nothing(plan.changes.clone(), &seen)),
            Gate::Go => {
                let message = message(&format!("haproxy: lead to {} by", plan.to), &plan.changes);
                self.change(&plan.changes, &seen, &message, within).await
            }
        }
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        let seen = self.observe(within).await?;
        let at = format!("{} is at commit {}", self.git.at(), seen.fence);
        Ok(match seen.held(&receipt.changes) {
            Held::After => Look::Settled(format!("{at}, with the change.")),
            Held::Before | Held::Neither => Look::NotYet(format!("{at}, without the change.")),
        })
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        let seen = self.observe(within).await?;
        match gate(&changes, &receipt.fence, &seen, "roll back", &self.git.at())? {
            Gate::Done => Ok(self.nothing(changes, &seen)),
            Gate::Go => {
                let message = message("haproxy: take back the change of", &changes);
                self.change(&changes, &seen, &message, within).await
            }
        }
    }
}
