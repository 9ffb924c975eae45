//! The backend itself.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use async_trait::async_trait;
use pgha_model::effect::Effect;
use pgha_nlb::plan::{inverse, plan_to_site};
use pgha_nlb::state::{Document, Held};
use pgha_nlb::{
    BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer, Look, Looked,
    Order, Place, Plan, Problem, Product, Refusal, Route, RouteName, RouteState, SiteName, Written,
};
use sha2::{Digest as _, Sha256};

use crate::socket::Live;
use crate::table::Sessions;
use crate::{Acl, RouteSettings, Settings, Socket, Spot};

const BACKENDS: &str = "backends";
const CHANGE: &str = "change the routes";
const UNPERSISTED: &str = "Nothing persists this: a reload of HAProxy takes it back.";
/// What one command may hold is `tune.bufsize`, 16 KiB by default.
const PAYLOAD: usize = 8 * 1024;

/// One HAProxy process, changed while it runs.
#[derive(Clone, Debug)]
pub struct HaproxyRuntime {
    settings: Settings,
}

/// Keys of a map with their values.
type Keys = Vec<(String, String)>;

/// Maps by file, as HAProxy has them.
type Maps = BTreeMap<String, Keys>;

impl HaproxyRuntime {
    /// A backend; reads nothing.
    ///
    /// # Errors
    /// A setting that HAProxy would take for a command.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings::new(&settings.id, because);
        settings.check().map_err(bad)?;
        Ok(Self { settings })
    }

    /// The sessions of each HAProxy backend: what grows while a probe asks is who serves.
    pub async fn sessions(&self, within: Duration) -> Result<Vec<Sessions>, CutoverError> {
        self.live(within).sessions().await
    }

    fn live(&self, within: Duration) -> Live<'_> {
        let socket = &self.settings.socket;
        Live { socket, within }
    }

    fn route_named(&self, name: &RouteName) -> Option<&RouteSettings> {
        let mut routes = self.settings.routes.iter();
        routes.find(|route| route.name == *name)
    }

    async fn maps(&self, live: Live<'_>) -> Result<Maps, CutoverError> {
        let mut maps = Maps::new();
        for route in &self.settings.routes {
            if let Spot::Map { file } = &route.spot
                && !maps.contains_key(file)
            {
                maps.insert(file.clone(), live.map(file).await?);
            }
        }
        Ok(maps)
    }

    /// The commands that make changes, and maps of which several keys change, which are replaced whole.
    async fn commands(
        &self,
        changes: &[Change],
        live: Live<'_>,
    ) -> Result<(Vec<String>, Vec<(String, Keys)>), CutoverError> {
        let (mut commands, mut maps) = (Vec::new(), BTreeMap::<String, Keys>::new());
        for change in changes {
            let Some(route) = self.route_named(&change.route) else {
                continue;
            };
            let host = &route.host;
            match &route.spot {
                Spot::Map { file } => {
                    let keys = maps.entry(file.clone()).or_default();
                    keys.push((host.clone(), change.to.clone()));
                }
                Spot::Acls { fetch, rules } => {
                    // First into the one, then out of the other: at no moment is the host nowhere.
                    for (verb, backend) in [("add", &change.to), ("del", &change.from)] {
                        if let Some(acl) = rules.get(backend) {
                            let number = live.acl_number(fetch, acl).await?;
                            commands.push(format!("{verb} acl #{number} {host}"));
                        }
                    }
                }
            }
        }
        let mut whole = Vec::new();
        for (file, keys) in maps {
            match &keys[..] {
                [(host, to)] => commands.push(format!("set map {file} {host} {to}")),
                _ => whole.push((file, keys)),
            }
        }
        Ok((commands, whole))
    }

    /// Makes changes. Whatever HAProxy answers but nothing is a complaint.
    async fn make(&self, changes: &[Change], live: Live<'_>) -> Result<(), CutoverError> {
        let (commands, whole) = self.commands(changes, live).await?;
        for (file, keys) in whole {
            replace_map(&file, &keys, live).await?;
        }
        if commands.is_empty() {
            return Ok(());
        }
        mutate(&commands.join(";"), live).await
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
        match &self.settings.socket {
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

    fn backend_findings(&self, sessions: &[Sessions]) -> Vec<Finding> {
        let (id, check) = (&self.settings.id, "haproxy-backend");
        let routes = self.settings.routes.iter();
        let wanted = routes.flat_map(|route| route.sites.iter());
        let findings = wanted.filter_map(|(site, value)| {
            let mut found = sessions.iter().filter(|one| one.backend == value);
            let Some(found) = found.next() else {
                let seen = format!("HAProxy has no backend `{value}` for {site}.");
                let advice = "Add it, or correct the route's value.";
                return Some(Finding::fail(id, check, &seen, advice));
            };
            if found.status.starts_with("UP") {
                return None;
            }
            let seen = format!("Backend `{value}` of {site} is {}.", found.status);
            let advice = "Users who are moved there get errors until it is up.";
            Some(Finding::warn(id, check, &seen, advice))
        });
        findings.collect()
    }
}

/// The patterns of each rule, by HAProxy backend.
async fn lists(
    fetch: &str,
    rules: &BTreeMap<String, Acl>,
    live: Live<'_>,
) -> Result<Vec<(String, Vec<String>)>, CutoverError> {
    let mut lists = Vec::new();
    for (backend, acl) in rules {
        let number = live.acl_number(fetch, acl).await?;
        lists.push((backend.clone(), live.patterns(&number).await?));
    }
    Ok(lists)
}

async fn mutate(commands: &str, live: Live<'_>) -> Result<(), CutoverError> {
    let answer = live.ask(CHANGE, commands).await?;
    if answer.trim().is_empty() {
        return Ok(());
    }
    Err(denied(CHANGE, answer, live))
}

fn denied(tried: &'static str, said: String, live: Live<'_>) -> CutoverError {
    let next = "See that the socket's level allows the change.";
    CutoverError::new(
        tried,
        live.socket.to_string(),
        Problem::Denied { said },
        next,
    )
}

/// Replaces a map in one moment, so that no request sees one key of two changed.
async fn replace_map(file: &str, keys: &Keys, live: Live<'_>) -> Result<(), CutoverError> {
    let tried = "replace a map";
    let mut entries = live.map(file).await?;
    for (host, to) in keys {
        if let Some((_, value)) = entries.iter_mut().find(|(key, _)| key == host) {
            value.clone_from(to);
        }
    }
    let answer = live.ask(tried, &format!("prepare map {file}")).await?;
    let Some(version) = answer.trim().strip_prefix("New version created: ") else {
        return Err(denied(tried, answer, live));
    };
    let add = format!("add map @{version} {file} <<\n");
    let mut payload = String::new();
    for (key, value) in &entries {
        let entry = format!("{key} {value}\n");
        if !payload.is_empty() && payload.len() + entry.len() > PAYLOAD {
            mutate(&format!("{add}{payload}"), live).await?;
            payload.clear();
        }
        payload.push_str(&entry);
    }
    mutate(&format!("{add}{payload}"), live).await?;
    mutate(&format!("commit map @{version} {file}"), live).await
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
    let values = places.iter().map(|place| format!("`{}`", place.value));
    let values: Vec<_> = values.collect();
    let (host, values) = (&route.host, values.join(", "));
    match places.len() {
        0 => Route::unknown(&route.name, format!("{table} have or has no {host}.")),
        1 => Route::of_places(&route.name, places, &route.sites),
        _ => {
            let seen = format!("{table}: {host} is there more than once, for {values}.");
            Route::split(&route.name, seen, places)
        }
    }
}

#[async_trait]
impl Product for HaproxyRuntime {
    type Details = Vec<Sessions>;

    const REACHED: &'static str = "haproxy-reached";
    const ROUTE: (&'static str, &'static str) = (
        "haproxy-route",
        "Put the map or the rules in order by hand.",
    );

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "haproxy-runtime",
            at: self.settings.socket.to_string(),
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

    fn beforehand(&self) -> Vec<Finding> {
        let (id, check) = (&self.settings.id, "haproxy-persisted");
        let persisted = if self.settings.persisted_by.is_some() {
            Finding::pass(id, check)
        } else {
            let advice =
                "Pair it with a backend that writes the files, and name that in `persistedBy`.";
            Finding::warn(id, check, UNPERSISTED, advice)
        };
        vec![self.socket_finding(), persisted]
    }

    async fn findings(&self, now: &Looked<Vec<Sessions>>, _within: Duration) -> Vec<Finding> {
        self.backend_findings(&now.details)
    }

    async fn look(&self, within: Duration) -> Result<Looked<Vec<Sessions>>, CutoverError> {
        let live = self.live(within);
        let process = live.process().await?;
        let maps = self.maps(live).await?;
        let mut documents = Vec::new();
        let mut document = |name: String, lines: Vec<String>| {
            let lines = lines.iter().flat_map(|line| [line.as_str(), "\n"]);
            let bytes = lines.collect::<String>().into_bytes();
            documents.push(Document { name, bytes });
        };
        let mut routes = Vec::new();
        for route in &self.settings.routes {
            match &route.spot {
                Spot::Map { file } => {
                    let entries = maps.get(file).map(Vec::as_slice).unwrap_or_default();
                    routes.push(map_route(route, file, entries));
                }
                Spot::Acls { fetch, rules } => {
                    let lists = lists(fetch, rules, live).await?;
                    routes.push(acl_route(route, fetch, &lists));
                    for (backend, patterns) in lists {
                        document(format!("patterns of {fetch} for {backend}"), patterns);
                    }
                }
            }
        }
        for (file, entries) in maps {
            let lines = entries.iter().map(|(key, value)| format!("{key} {value}"));
            document(format!("map {file}"), lines.collect());
        }
        let sessions = live.sessions().await?;
        let backends = sessions.iter().map(|one| one.backend.clone());
        document(BACKENDS.to_owned(), backends.collect());
        let mut hash = Sha256::new_with_prefix(format!("process {process}\n"));
        for document in &documents {
            hash.update(format!("{}\n{}\n", document.name, document.bytes.len()));
            hash.update(&document.bytes);
        }
        let digest = hex::encode(&hash.finalize()[..8]);
        Ok(Looked {
            state: RouteState {
                fence: format!("process {process}, {digest}").into(),
                routes,
                documents,
            },
            details: sessions,
        })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let routes = self.settings.routes.iter();
        plan_to_site(seen, to, routes.map(|route| (&route.name, &route.sites)))
    }

    fn finish(&self, seen: &RouteState, mut plan: Plan) -> Result<Plan, Refusal> {
        let mut documents = seen.documents.iter();
        let backends = documents.find(|document| document.name == BACKENDS);
        let backends = backends.map(|document| String::from_utf8_lossy(&document.bytes));
        let backends = backends.unwrap_or_default();
        let is_known = |change: &&Change| backends.lines().any(|name| name == change.to);
        if let Some(change) = plan.changes.iter().find(|change| !is_known(change)) {
            return Err(Refusal::Unfit {
                route: change.route.clone(),
                seen: format!("HAProxy has no backend `{}`.", change.to),
                advice: "Add the backend, or correct the route's value.".to_owned(),
            });
        }
        if self.settings.persisted_by.is_none() && !plan.is_empty() {
            plan.warnings.push(UNPERSISTED.to_owned());
        }
        Ok(plan)
    }

    async fn write(
        &self,
        order: &Order<'_, Vec<Sessions>>,
        within: Duration,
    ) -> Result<Written<Vec<Sessions>>, CutoverError> {
        Ok(match self.make(order.changes, self.live(within)).await {
            Ok(()) => Written::Taken(Vec::new()),
            Err(error) if matches!(error.problem, Problem::Denied { .. }) => Written::Denied(error),
            Err(error) => Written::Lost(error),
        })
    }

    async fn take_back_part(
        &self,
        order: &Order<'_, Vec<Sessions>>,
        now: &Looked<Vec<Sessions>>,
        within: Duration,
    ) -> Effect {
        let made = |change: &&Change| now.state.held(std::slice::from_ref(*change)) == Held::After;
        let made: Vec<Change> = order.changes.iter().filter(made).cloned().collect();
        // How it went shows in what is there afterwards.
        drop(self.make(&inverse(&made), self.live(within)).await);
        match self.look(within).await {
            Ok(now) if now.state.held(order.changes) == Held::Before => Effect::None,
            _ => Effect::Unknown,
        }
    }

    fn evidence(
        &self,
        _order: Option<&Order<'_, Vec<Sessions>>>,
        now: &Looked<Vec<Sessions>>,
    ) -> Vec<String> {
        let mut evidence = vec![format!("HAProxy at {} says so itself.", self.at())];
        evidence.extend(self.counted(&now.details));
        if self.settings.persisted_by.is_none() {
            evidence.push(UNPERSISTED.to_owned());
        }
        evidence
    }

    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        let now = self.look(within).await?;
        Ok(match now.state.held(changes) {
            Held::After => Look::Settled(self.counted(&now.details).join(" ")),
            Held::Before | Held::Neither => {
                Look::NotYet("HAProxy does not have the change: was it reloaded?".to_owned())
            }
        })
    }
}
