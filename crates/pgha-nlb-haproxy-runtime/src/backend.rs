//! The backend itself.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use async_trait::async_trait;
use pgha_model::effect::Effect;
use pgha_nlb::plan::{Gate, gate, inverse, plan_to_site};
use pgha_nlb::state::{Document, Held};
use pgha_nlb::{
    Active, Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Finding, Layer, Look,
    Place, Plan, Problem, Receipt, Refusal, Route, RouteName, RouteState, SiteName,
};
use sha2::{Digest as _, Sha256};

use crate::table::{self, Sessions};
use crate::{BadSettings, RouteSettings, Settings, Socket, Spot};

const BACKENDS: &str = "backends";
const UNPERSISTED: &str = "Nothing persists this: a reload of HAProxy takes it back.";
/// What one command may hold is `tune.bufsize`, 16 KiB by default.
const PAYLOAD: usize = 8 * 1024;

/// One HAProxy process, changed while it runs.
#[derive(Clone, Debug)]
pub struct HaproxyRuntime {
    settings: Settings,
}

/// Maps by file, as HAProxy has them.
type Maps = BTreeMap<String, Vec<(String, String)>>;

impl HaproxyRuntime {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// A setting that HAProxy would take for a command.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The sessions of each HAProxy backend: what grows while a probe asks is who serves.
    pub async fn sessions(&self, within: Duration) -> Result<Vec<Sessions>, CutoverError> {
        table::sessions(self.socket(), within).await
    }

    fn socket(&self) -> &Socket {
        &self.settings.socket
    }

    fn at(&self) -> String {
        self.socket().to_string()
    }

    fn route_named(&self, name: &RouteName) -> Option<&RouteSettings> {
        self.settings
            .routes
            .iter()
            .find(|route| route.name == *name)
    }

    async fn maps(&self, within: Duration) -> Result<Maps, CutoverError> {
        let mut maps = Maps::new();
        for route in &self.settings.routes {
            if let Spot::Map { file } = &route.spot
                && !maps.contains_key(file)
            {
                maps.insert(file.clone(), table::map(self.socket(), file, within).await?);
            }
        }
        Ok(maps)
    }

    /// The patterns of each rule of a route, by HAProxy backend.
    async fn lists(
        &self,
        route: &RouteSettings,
        within: Duration,
    ) -> Result<Vec<(String, Vec<String>)>, CutoverError> {
        let Spot::Acls { fetch, rules } = &route.spot else {
            return Ok(Vec::new());
        };
        let mut lists = Vec::new();
        for (backend, acl) in rules {
            let number = table::acl_number(self.socket(), fetch, acl, within).await?;
            let patterns = table::patterns(self.socket(), &number, within).await?;
            lists.push((backend.clone(), patterns));
        }
        Ok(lists)
    }

    /// The commands that make changes, and maps of which several keys change, which are replaced whole.
    async fn commands(
        &self,
        changes: &[Change],
        within: Duration,
    ) -> Result<(Vec<String>, Vec<(String, Vec<Change>)>), CutoverError> {
        let (mut commands, mut keys) = (Vec::new(), BTreeMap::<String, Vec<Change>>::new());
        for change in changes {
            let Some(route) = self.route_named(&change.route) else {
                continue;
            };
            match &route.spot {
                Spot::Map { file } => keys.entry(file.clone()).or_default().push(change.clone()),
                Spot::Acls { fetch, rules } => {
                    // First into the one, then out of the other: at no moment is the host nowhere.
                    for (verb, backend) in [("add", &change.to), ("del", &change.from)] {
                        let Some(acl) = rules.get(backend) else {
                            continue;
                        };
                        let number = table::acl_number(self.socket(), fetch, acl, within).await?;
                        commands.push(format!("{verb} acl #{number} {}", route.host));
                    }
                }
            }
        }
        let (single, whole): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|(_, changes)| changes.len() == 1);
        for (file, changes) in single {
            let hosts = changes
                .iter()
                .filter_map(|change| Some((self.route_named(&change.route)?, change)));
            commands.extend(
                hosts.map(|(route, change)| format!("set map {file} {} {}", route.host, change.to)),
            );
        }
        Ok((commands, whole))
    }

    /// Makes changes. Whatever HAProxy answers but nothing is a complaint.
    async fn write(&self, changes: &[Change], within: Duration) -> Result<(), CutoverError> {
        let (commands, whole) = self.commands(changes, within).await?;
        for (file, changes) in whole {
            self.replace_map(&file, &changes, within).await?;
        }
        if commands.is_empty() {
            return Ok(());
        }
        self.mutate(&commands.join(";"), within).await
    }

    async fn mutate(&self, commands: &str, within: Duration) -> Result<(), CutoverError> {
        let tried = "change the routes";
        let answer = self.socket().ask(tried, commands, within).await?;
        if answer.trim().is_empty() {
            return Ok(());
        }
        Err(self.denied(tried, answer))
    }

    fn denied(&self, tried: &'static str, said: String) -> CutoverError {
        let next = "See that the socket's level allows the change.";
        CutoverError::new(tried, self.at(), Problem::Denied { said }, next)
    }

    /// Replaces a map in one moment, so that no request sees one key of two changed.
    async fn replace_map(
        &self,
        file: &str,
        changes: &[Change],
        within: Duration,
    ) -> Result<(), CutoverError> {
        let tried = "replace a map";
        let mut entries = table::map(self.socket(), file, within).await?;
        for change in changes {
            let host = self.route_named(&change.route).map(|route| &route.host);
            let entry = entries.iter_mut().find(|(key, _)| Some(key) == host);
            if let Some((_, value)) = entry {
                value.clone_from(&change.to);
            }
        }
        let answer = self
            .socket()
            .ask(tried, &format!("prepare map {file}"), within)
            .await?;
        let version = answer.trim().strip_prefix("New version created: ");
        let version = version
            .ok_or_else(|| self.denied(tried, answer.clone()))?
            .to_owned();
        let mut payload = String::new();
        for (key, value) in &entries {
            let line = format!("{key} {value}\n");
            if !payload.is_empty() && payload.len() + line.len() > PAYLOAD {
                self.mutate(&format!("add map @{version} {file} <<\n{payload}"), within)
                    .await?;
                payload.clear();
            }
            payload.push_str(&line);
        }
        self.mutate(&format!("add map @{version} {file} <<\n{payload}"), within)
            .await?;
        self.mutate(&format!("commit map @{version} {file}"), within)
            .await
    }

    /// Makes changes, and says by what HAProxy has afterwards how that ended.
    async fn change(&self, changes: &[Change], within: Duration) -> Result<Receipt, CutoverError> {
        let written = self.write(changes, within).await;
        let after = self
            .observe(within)
            .await
            .map_err(|error| error.leaving(Effect::Unknown))?;
        match (after.held(changes), written) {
            (Held::After, _) => self.receipt(Did::Change, changes, &after, within).await,
            (Held::Before, Err(error)) if matches!(error.problem, Problem::Denied { .. }) => {
                Err(error)
            }
            (Held::Before, Err(error)) => Err(error.leaving(Effect::Unknown)),
            (_, written) => {
                let error = written.err().unwrap_or_else(|| {
                    let seen = "HAProxy took the commands and does not show all of their effect"
                        .to_owned();
                    let next = "Look at the routes again before anything else.";
                    CutoverError::new(
                        "change the routes",
                        self.at(),
                        Problem::Unfit { seen },
                        next,
                    )
                });
                Err(error.leaving(self.undo_part(changes, &after, within).await))
            }
        }
    }

    /// Takes back what of the changes was made; returns what is left of them.
    async fn undo_part(&self, changes: &[Change], after: &RouteState, within: Duration) -> Effect {
        let made = |change: &&Change| after.held(std::slice::from_ref(*change)) == Held::After;
        let made: Vec<Change> = changes.iter().filter(made).cloned().collect();
        // How it went shows in what is there afterwards.
        drop(self.write(&inverse(&made), within).await);
        match self.observe(within).await {
            Ok(seen) if seen.held(changes) == Held::Before => Effect::None,
            _ => Effect::Unknown,
        }
    }

    async fn receipt(
        &self,
        did: Did,
        changes: &[Change],
        seen: &RouteState,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let mut evidence = vec![format!("HAProxy at {} says so itself.", self.at())];
        if let Ok(sessions) = self.sessions(within).await {
            evidence.extend(self.counted(&sessions));
        }
        if self.settings.persisted_by.is_none() {
            evidence.push(UNPERSISTED.to_owned());
        }
        Ok(Receipt {
            backend: self.settings.id.clone(),
            did,
            changes: changes.to_vec(),
            fence: seen.fence.clone(),
            evidence,
        })
    }

    fn counted(&self, sessions: &[Sessions]) -> Vec<String> {
        let is_ours = |sessions: &&Sessions| {
            let mut routes = self.settings.routes.iter();
            routes.any(|route| route.sites.site(&sessions.backend).is_some())
        };
        let told = sessions.iter().filter(is_ours).map(|one| {
            format!(
                "Backend {} has had {} sessions, {} now, and is {}.",
                one.backend, one.total, one.current, one.status
            )
        });
        told.collect()
    }

    fn socket_finding(&self) -> Finding {
        let id = &self.settings.id;
        let advice =
            "Whoever reaches the socket can move the users: use a unix socket of mode 600.";
        match self.socket() {
            Socket::Tcp(address) => {
                let seen = format!("{address} is neither encrypted nor authenticated.");
                Finding::warn(id, "haproxy-socket", &seen, advice)
            }
            Socket::Unix(path) => match std::fs::metadata(path) {
                Ok(found) if found.permissions().mode() & 0o002 != 0 => {
                    let seen = format!("Everybody on this machine may use {}.", path.display());
                    Finding::warn(id, "haproxy-socket", &seen, advice)
                }
                _ => Finding::pass(id, "haproxy-socket"),
            },
        }
    }

    fn route_finding(&self, route: &Route) -> Finding {
        let advice = "Put the map or the rules in order by hand.";
        Finding::of_route(&self.settings.id, "haproxy-route", route, advice)
    }

    fn backend_findings(&self, sessions: &[Sessions]) -> Vec<Finding> {
        let wanted = self
            .settings
            .routes
            .iter()
            .flat_map(|route| route.sites.iter());
        let findings = wanted.filter_map(|(site, value)| {
            let found = sessions.iter().find(|sessions| sessions.backend == value);
            let (seen, advice) = match found {
                None => (
                    format!("HAProxy has no backend `{value}` for {site}."),
                    "Add it, or correct the route's value.",
                ),
                Some(found) if found.status.starts_with("UP") => return None,
                Some(found) => (
                    format!("Backend `{value}` of {site} is {}.", found.status),
                    "Users who are moved there get errors until it is up.",
                ),
            };
            Some(match found {
                None => Finding::fail(&self.settings.id, "haproxy-backend", &seen, advice),
                Some(_) => Finding::warn(&self.settings.id, "haproxy-backend", &seen, advice),
            })
        });
        findings.collect()
    }
}

fn map_route(route: &RouteSettings, file: &str, entries: &[(String, String)]) -> Route {
    let keys = entries.iter().filter(|(key, _)| *key == route.host);
    let places: Vec<Place> = keys
        .map(|(_, value)| Place {
            at: format!("map {file}: {}", route.host),
            value: value.clone(),
        })
        .collect();
    one_place(route, places, &format!("Map {file}"))
}

fn acl_route(route: &RouteSettings, fetch: &str, lists: &[(String, Vec<String>)]) -> Route {
    let mut places = Vec::new();
    for (backend, patterns) in lists {
        let own = patterns
            .iter()
            .filter(|pattern| pattern.eq_ignore_ascii_case(&route.host));
        places.extend(own.map(|_| Place {
            at: format!("patterns of {fetch}: {}", route.host),
            value: backend.clone(),
        }));
    }
    one_place(route, places, &format!("The rules of {fetch}"))
}

/// A host that is there twice is split: which one counts depends on the order, and taking one away shows the other.
fn one_place(route: &RouteSettings, places: Vec<Place>, table: &str) -> Route {
    let values: Vec<_> = places
        .iter()
        .map(|place| format!("`{}`", place.value))
        .collect();
    let (host, values) = (&route.host, values.join(", "));
    match places.len() {
        0 => Route::unknown(&route.name, format!("{table} have or has no {host}.")),
        1 => Route::of_places(&route.name, places, &route.sites),
        _ => Route {
            name: route.name.clone(),
            active: Active::Split {
                seen: format!("{table}: {host} is there more than once, for {values}."),
            },
            places,
        },
    }
}

#[async_trait]
impl Cutover for HaproxyRuntime {
    fn describe(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "haproxy-runtime",
            at: self.at(),
            layer: Layer::Tcp,
            capabilities: Capabilities {
                compare_and_swap: false,
                atomic: self.settings.routes.len() == 1,
                persistent: false,
                needs_reload: false,
            },
            settles_in: Duration::from_millis(50),
        }
    }

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        let mut findings = vec![self.socket_finding()];
        findings.push(if self.settings.persisted_by.is_some() {
            Finding::pass(id, "haproxy-persisted")
        } else {
            let advice =
                "Pair it with a backend that writes the files, and name that in `persistedBy`.";
            Finding::warn(id, "haproxy-persisted", UNPERSISTED, advice)
        });
        match (self.observe(within).await, self.sessions(within).await) {
            (Ok(seen), Ok(sessions)) => {
                findings.extend(seen.routes.iter().map(|route| self.route_finding(route)));
                findings.extend(self.backend_findings(&sessions));
            }
            (Err(error), _) | (_, Err(error)) => {
                findings.push(Finding::fail(
                    id,
                    "haproxy-reached",
                    &error.to_string(),
                    &error.next,
                ));
            }
        }
        findings
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        let process = table::process(self.socket(), within).await?;
        let maps = self.maps(within).await?;
        let mut documents = Vec::new();
        let mut document = |name: String, lines: Vec<String>| {
            let bytes = lines
                .iter()
                .flat_map(|line| [line.as_str(), "\n"])
                .collect::<String>()
                .into_bytes();
            documents.push(Document { name, bytes });
        };
        let mut routes = Vec::new();
        for route in &self.settings.routes {
            match &route.spot {
                Spot::Map { file } => {
                    let entries = maps.get(file).map(Vec::as_slice).unwrap_or_default();
                    routes.push(map_route(route, file, entries));
                }
                Spot::Acls { fetch, .. } => {
                    let lists = self.lists(route, within).await?;
                    routes.push(acl_route(route, fetch, &lists));
                    for (backend, patterns) in lists {
                        document(format!("patterns of {fetch} for {backend}"), patterns);
                    }
                }
            }
        }
        for (file, entries) in maps {
            let lines = entries
                .into_iter()
                .map(|(key, value)| format!("{key} {value}"));
            document(format!("map {file}"), lines.collect());
        }
        let sessions = self.sessions(within).await?;
        document(
            BACKENDS.to_owned(),
            sessions.into_iter().map(|one| one.backend).collect(),
        );
        let mut hash = Sha256::new_with_prefix(format!("process {process}\n"));
        for document in &documents {
            hash.update(format!("{}\n{}\n", document.name, document.bytes.len()));
            hash.update(&document.bytes);
        }
        let digest = hex::encode(&hash.finalize()[..8]);
        Ok(RouteState {
            fence: format!("process {process}, {digest}").into(),
            routes,
            documents,
        })
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let routes = self.settings.routes.iter();
        let routes = routes.map(|route| (&route.name, &route.sites));
        let changes = plan_to_site(seen, to, routes)?;
        let backends = seen
            .documents
            .iter()
            .find(|document| document.name == BACKENDS);
        let backends = backends.map(|document| String::from_utf8_lossy(&document.bytes));
        let backends = backends.unwrap_or_default();
        if let Some(change) = changes
            .iter()
            .find(|change| !backends.lines().any(|name| name == change.to))
        {
            return Err(Refusal::Unfit {
                route: change.route.clone(),
                seen: format!("HAProxy has no backend `{}`.", change.to),
                advice: "Add the backend, or correct the route's value.".to_owned(),
            });
        }
        let mut plan = Plan::of_changes(&self.settings.id, &self.at(), seen, to, changes);
        if self.settings.persisted_by.is_none() && !plan.is_empty() {
            plan.warnings.push(UNPERSISTED.to_owned());
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        let seen = self.observe(within).await?;
        match gate(
            &plan.changes,
            &plan.fence,
            &seen,
            "apply the plan",
            &self.at(),
        )? {
            Gate::Done => {
                self.receipt(Did::Nothing, &plan.changes, &seen, within)
                    .await
            }
            Gate::Go => self.change(&plan.changes, within).await,
        }
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        let seen = self.observe(within).await?;
        Ok(match seen.held(&receipt.changes) {
            Held::After => Look::Settled(self.counted(&self.sessions(within).await?).join(" ")),
            Held::Before | Held::Neither => {
                Look::NotYet("HAProxy does not have the change: was it reloaded?".to_owned())
            }
        })
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        let seen = self.observe(within).await?;
        match gate(&changes, &receipt.fence, &seen, "roll back", &self.at())? {
            Gate::Done => self.receipt(Did::Nothing, &changes, &seen, within).await,
            Gate::Go => self.change(&changes, within).await,
        }
    }
}
