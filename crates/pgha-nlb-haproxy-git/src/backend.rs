//! The backend itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use pgha_git::{Branch, File, GitError};
use pgha_haproxy::{By, Found, Located, Spot, has_backend, locate, replaced};
use pgha_nlb::plan::{conflict, plan_to_site};
use pgha_nlb::state::Document;
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Looked, Order,
    Place, Plan, Problem, Product, Purpose, Refusal, Route, RouteName, RouteState, SiteName,
    Written, diff,
};

use crate::{RouteSettings, Settings};

/// HAProxy rules and maps in a git repository.
#[derive(Clone, Debug)]
pub struct HaproxyGit {
    settings: Settings,
    git: Branch,
}

type Files = BTreeMap<String, Vec<u8>>;

impl HaproxyGit {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// A setting that git or HAProxy would take for something else.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings::new(&settings.id, because);
        let git = settings.branch().map_err(bad)?;
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
                let lines = found.iter();
                let lines = lines.map(|it| format!("line {} says `{}`", it.line, it.value));
                let (file, lines) = (self.settings.file_of(route), lines.collect::<Vec<_>>());
                let seen = format!("In {file}: {}.", lines.join(", "));
                Route::split(&route.name, seen, found.iter().map(place).collect())
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
            let mut routes = self.settings.routes.iter();
            let route = routes.find(|route| route.name == change.route);
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

    fn state(&self, commit: &str, files: Files) -> RouteState {
        let routes = self.settings.routes.iter();
        let document = |(name, bytes)| Document { name, bytes };
        RouteState {
            fence: commit.into(),
            routes: routes.map(|route| self.route(route, &files)).collect(),
            documents: files.into_iter().map(document).collect(),
        }
    }

    /// Commits the files that differ, in a checkout that is removed again; the commit.
    async fn commit(
        &self,
        (base, before): (&str, &Files),
        after: &Files,
        order: &Order<'_, ()>,
        within: Duration,
    ) -> Result<String, CutoverError> {
        let mut tree = self.git.worktree(base, within).await.map_err(cutover)?;
        let commit = async {
            let mut files = Vec::new();
            let differ = |(path, bytes): &(&String, &Vec<u8>)| before.get(*path) != Some(*bytes);
            for (path, bytes) in after.iter().filter(differ) {
                let (mode, _) = self.git.file(base, path, within).await.map_err(cutover)?;
                files.push(File {
                    path: path.clone(),
                    mode,
                    bytes: Some(bytes.clone()),
                });
            }
            let message = message(order.purpose, order.changes);
            let commit = tree.commit(&files, &message, within).await;
            let commit = commit.map_err(cutover)?;
            self.check(tree.path(), order.changes, within).await?;
            Ok(commit)
        }
        .await;
        // A folder that stays behind is no reason to stop; the commit's outcome counts.
        drop(tree.remove(within).await);
        commit
    }

    /// Lets the user's programs judge what HAProxy would get to read.
    async fn check(
        &self,
        tree: &Path,
        changes: &[Change],
        within: Duration,
    ) -> Result<(), CutoverError> {
        let config = self.settings.rendered(tree, within).await?;
        self.verify_rendered(&config, changes)?;
        self.settings.judge(&config, tree, within).await
    }

    /// Whether this machine could make a commit of what is there now.
    async fn rehearse(&self, base: &str, within: Duration) -> Result<(), CutoverError> {
        self.git.committer(within).await.map_err(cutover)?;
        let tree = self.git.worktree(base, within).await.map_err(cutover)?;
        let judged = self.check(tree.path(), &[], within).await;
        drop(tree.remove(within).await);
        judged
    }

    /// A template may make something else of a rule than the rule says.
    fn verify_rendered(&self, config: &[u8], changes: &[Change]) -> Result<(), CutoverError> {
        let own = |route: &RouteSettings| {
            let mut all = changes.iter().filter(|change| change.route == route.name);
            all.next()
                .filter(|_| matches!(route.spot, Spot::Rule { .. }))
        };
        for route in &self.settings.routes {
            let Some(change) = own(route) else {
                continue;
            };
            let located = locate(config, "the configuration", &route.spot, &route.host);
            let seen = match located {
                Located::One(found, _) if found.value == change.to => continue,
                Located::One(found, _) => {
                    format!("route {} leads to `{}` in it", route.name, found.value)
                }
                Located::Not(because) => because,
                Located::Several(_) => format!("route {} is in it more than once", route.name),
            };
            let (tried, problem) = ("use the rendered configuration", Problem::Unfit { seen });
            let next = "Nothing was pushed; look at what the template makes of the rule.";
            return Err(CutoverError::new(tried, self.at(), problem, next));
        }
        Ok(())
    }
}

/// What git says of the branch, as the port says it of every product.
fn cutover(error: GitError) -> CutoverError {
    use pgha_git::Problem as Git;
    let GitError {
        tried,
        at,
        problem,
        effect,
        next,
        source,
    } = error;
    let problem = match problem {
        Git::Moved { expected, seen } => {
            return conflict(&expected.into(), &seen.into(), tried, &at).leaving(effect);
        }
        Git::Unreachable => Problem::Unreachable,
        Git::Denied { said } => Problem::Denied { said },
        Git::NoAnswer { within } => Problem::NoAnswer { within },
        Git::Unfit { seen } => Problem::Unfit { seen },
    };
    let error = CutoverError::new(tried, at, problem, next).leaving(effect);
    match source {
        Some(source) => error.caused_by(source),
        None => error,
    }
}

fn files_of(state: &RouteState) -> Files {
    let documents = state.documents.iter();
    documents
        .map(|document| (document.name.clone(), document.bytes.clone()))
        .collect()
}

fn message(purpose: Purpose<'_>, changes: &[Change]) -> String {
    let verb = match purpose {
        Purpose::LeadTo(site) => format!("haproxy: lead to {site} by"),
        Purpose::TakeBack | Purpose::Prepare => "haproxy: take back the change of".to_owned(),
    };
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
impl Product for HaproxyGit {
    type Details = ();

    const REACHED: &'static str = "git-branch";
    const ROUTE: (&'static str, &'static str) = (
        "haproxy-rule",
        "Give the route one rule of its own, before any that holds for it too.",
    );

    fn descriptor(&self) -> Descriptor {
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

    fn at(&self) -> String {
        self.git.at()
    }

    async fn findings(&self, now: &Looked<()>, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        let files = files_of(&now.state);
        let mut findings = Vec::new();
        for route in &self.settings.routes {
            if let Located::One(_, doubts) = self.located(route, &files) {
                let advice = "Look whether the rule decides for every user.";
                let finding =
                    |seen: &String| Finding::warn(id, "haproxy-first-match", seen, advice);
                findings.extend(doubts.iter().map(finding));
            }
        }
        let rehearsed = self.rehearse(now.state.fence.as_str(), within).await;
        let failed = rehearsed.err();
        findings.extend(failed.map(|error| Finding::of_error(id, Self::REACHED, &error)));
        findings
    }

    async fn look(&self, within: Duration) -> Result<Looked<()>, CutoverError> {
        let commit = self.git.tip(within).await.map_err(cutover)?;
        self.git.fetch(&commit, within).await.map_err(cutover)?;
        let mut files = Files::new();
        for file in self.settings.files() {
            let file_there = self.git.file(&commit, file, within).await;
            let (_, bytes) = file_there.map_err(cutover)?;
            files.insert(file.to_owned(), bytes);
        }
        Ok(self.state(&commit, files).into())
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let routes = self.settings.routes.iter();
        plan_to_site(seen, to, routes.map(|route| (&route.name, &route.sites)))
    }

    fn finish(&self, seen: &RouteState, mut plan: Plan) -> Result<Plan, Refusal> {
        let before = files_of(seen);
        let (after, doubts) = self.edit(&before, &plan.changes)?;
        plan.warnings.extend(doubts);
        let diffs = before
            .iter()
            .map(|(name, bytes)| diff::unified(name, bytes, after.get(name).unwrap_or(bytes)));
        plan.diff = diffs.collect();
        Ok(plan)
    }

    async fn write(
        &self,
        order: &Order<'_, ()>,
        within: Duration,
    ) -> Result<Written<()>, CutoverError> {
        let (base, before) = (order.seen.state.fence.as_str(), files_of(&order.seen.state));
        let (after, _) = self.edit(&before, order.changes).map_err(|refusal| {
            let seen = refusal.to_string();
            let problem = Problem::Unfit { seen };
            CutoverError::new("edit", self.at(), problem, refusal.advice())
        })?;
        let commit = self.commit((base, &before), &after, order, within).await?;
        let pushed = self.git.push(&commit, base, within).await;
        pushed.map_err(cutover)?;
        Ok(Written::Shown(self.state(&commit, after).into()))
    }

    fn evidence(&self, _order: Option<&Order<'_, ()>>, now: &Looked<()>) -> Vec<String> {
        vec![format!("{} is at commit {}.", self.at(), now.state.fence)]
    }
}
