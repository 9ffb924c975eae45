//! A contract stub: the pools of one BIG-IP DNS, as F5's documents tell of iControl REST.
//!
//! It gives tokens for a password, at most 100 at a time, tells a pool with its members in the form of the recorded answers of
//! `f5_modules`, keeps what is sent with a transaction's identifier until that is committed, and then does all of it or nothing.
//! What the documents do not tell (most words of errors) is made up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use pgha_nlb::SiteName;
use pgha_nlb::conformance::stub::{Fault, Request, Then, private_file, serve};
use pgha_nlb_f5::{BigIp, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "s3cret pass";
/// How every token begins.
pub(crate) const TOKEN: &str = "T0KEN";
/// "iControl REST authentication token management".
const MOST_TOKENS: usize = 100;

/// The steps at which something may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Login,
    Read,
    Begin,
    Queue,
    Commit,
    End,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Each member of each pool, by the pool's type: whether it is enabled.
    pub(crate) pools: BTreeMap<&'static str, BTreeMap<String, bool>>,
    /// The pools that are disabled as a whole.
    pub(crate) disabled: BTreeSet<&'static str>,
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) commits: Vec<Vec<(String, Value)>>,
    pub(crate) faults: BTreeMap<Step, Fault>,
    open: BTreeMap<u64, Vec<(String, Value)>>,
    count: u64,
}

impl State {
    fn next(&mut self) -> u64 {
        self.count += 1;
        1_389_812_350 + self.count
    }

    fn answer(&mut self, request: &Request) -> Then {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        if step(request) == Step::Login {
            return self.login(&body);
        }
        if !self.tokens.contains(request.header("x-f5-auth-token")) {
            return failure(
                401,
                "Authorization failed: no user authentication header or token detected.",
            );
        }
        let transaction = request.header("x-f5-rest-coordination-id");
        match (request.method.as_str(), request.path.as_str()) {
            ("PATCH", path) if !transaction.is_empty() => {
                let Some(open) = transaction
                    .parse()
                    .ok()
                    .and_then(|id| self.open.get_mut(&id))
                else {
                    return failure(404, "there is no such transaction");
                };
                open.push((path.to_owned(), body));
                let queued = json!({"kind": "tm:transaction:commandsstate", "commandId": open.len(), "method": "PATCH"});
                ok(&queued)
            }
            ("POST", "/mgmt/tm/transaction") => {
                let id = self.next();
                self.open.insert(id, Vec::new());
                ok(
                    &json!({"transId": id, "state": "STARTED", "timeoutSeconds": 120, "kind": "tm:transactionstate"}),
                )
            }
            ("DELETE", path) if path.starts_with("/mgmt/shared/authz/tokens/") => {
                self.tokens.remove(path.rsplit('/').next().unwrap());
                ok(&json!({}))
            }
            (method, path) => match path.strip_prefix("/mgmt/tm/transaction/") {
                Some(id) => self.end(method, id.parse().unwrap(), &body),
                None => self.pool(path),
            },
        }
    }

    fn login(&mut self, body: &Value) -> Then {
        if body != &json!({"username": "pgha", "password": PASSWORD, "loginProviderName": "tmos"}) {
            return failure(401, "Authentication failed.");
        }
        if self.tokens.len() >= MOST_TOKENS {
            return failure(400, "user pgha has reached maximum active login tokens");
        }
        let token = format!("{TOKEN}{}", self.next());
        self.tokens.insert(token.clone());
        ok(&json!({"username": "pgha", "token": {"token": token, "timeout": 1200}}))
    }

    fn end(&mut self, method: &str, id: u64, body: &Value) -> Then {
        let Some(commands) = self.open.remove(&id) else {
            return failure(404, "there is no such transaction");
        };
        if method == "DELETE" {
            return ok(&json!({}));
        }
        assert_eq!(body, &json!({"state": "VALIDATING"}));
        let before = self.pools.clone();
        for (path, body) in &commands {
            if !self.set(path, body) {
                self.pools = before;
                return failure(
                    400,
                    "transaction failed:01020036:3: The requested Pool Member was not found.",
                );
            }
        }
        self.commits.push(commands);
        ok(&json!({"transId": id, "state": "COMPLETED", "kind": "tm:transactionstate"}))
    }

    fn set(&mut self, path: &str, body: &Value) -> bool {
        let member = path.rsplit('/').next().unwrap().replace('~', "/");
        let kind = path.split('/').nth(5).unwrap();
        let pool = self.pools.get_mut(kind);
        let Some(member) = pool.and_then(|pool| pool.get_mut(&member)) else {
            return false;
        };
        *member = body["enabled"] == true;
        body == &json!({"enabled": *member, "disabled": !*member})
    }

    fn pool(&self, path: &str) -> Then {
        let found = self.pools.iter().find(|(kind, _)| {
            path == format!("/mgmt/tm/gtm/pool/{kind}/~Common~login?expandSubcollections=true")
        });
        let Some((kind, members)) = found else {
            return failure(404, "01020036:3: The requested Pool was not found.");
        };
        let flag = |is_on| if is_on { "enabled" } else { "disabled" };
        let member = |(name, is_on): (&String, &bool)| {
            json!({
                "kind": format!("tm:gtm:pool:{kind}:members:membersstate"), "fullPath": name, "generation": 141,
                flag(*is_on): true, "memberOrder": 0, "monitor": "default", "ratio": 1,
            })
        };
        let items: Vec<_> = members.iter().map(member).collect();
        ok(&json!({
            "kind": format!("tm:gtm:pool:{kind}:{kind}state"), "name": "login", "partition": "Common", "generation": 142,
            flag(!self.disabled.contains(kind)): true, "loadBalancingMode": "round-robin", "ttl": 30,
            "membersReference": {"isSubcollection": true, "items": items},
        }))
    }
}

fn step(request: &Request) -> Step {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/mgmt/shared/authn/login") => Step::Login,
        ("POST", _) => Step::Begin,
        ("PATCH", path) if path.starts_with("/mgmt/tm/transaction/") => Step::Commit,
        ("PATCH", _) => Step::Queue,
        ("DELETE", _) => Step::End,
        _ => Step::Read,
    }
}

pub(crate) fn ok(body: &Value) -> Then {
    Then::Answer("200 OK".to_owned(), body.to_string())
}

pub(crate) fn failure(code: u16, message: &str) -> Then {
    let body = json!({"code": code, "message": message, "errorStack": [], "apiError": 3});
    Then::Answer(format!("{code} Error"), body.to_string())
}

pub(crate) struct Stub {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let pool = || {
            [
                member(1, false),
                member(2, true),
                ("/Common/page:vs".to_owned(), false),
            ]
            .into()
        };
        let state = Arc::new(Mutex::new(State {
            pools: [("a", pool()), ("aaaa", pool())].into(),
            ..State::default()
        }));
        let own = Arc::clone(&state);
        let port = serve(move |request| {
            let mut state = own.lock().unwrap();
            match state.faults.get(&step(&request)).cloned() {
                None => state.answer(&request),
                Some(Fault::Instead(then)) => then,
                Some(Fault::After(then)) => {
                    state.answer(&request);
                    then
                }
            }
        })
        .unwrap();
        let folder = TempDir::new().unwrap();
        Self {
            folder,
            state,
            port,
        }
    }

    pub(crate) fn with<T>(&self, see: impl FnOnce(&mut State) -> T) -> T {
        see(&mut self.state.lock().unwrap())
    }

    /// Another writer enables or disables a member of a pool.
    pub(crate) fn set(&self, kind: &str, member: &str, is_on: bool) {
        self.with(|state| {
            let pool = state.pools.get_mut(kind).unwrap();
            pool.insert(member.to_owned(), is_on);
        });
    }

    /// All that is configured.
    pub(crate) fn pools(&self) -> String {
        self.with(|state| format!("{:?}", state.pools))
    }

    pub(crate) fn fault(&self, step: Step, fault: Fault) {
        self.with(|state| state.faults.insert(step, fault));
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn settings(&self) -> Value {
        let sites = json!({"core1": member(1, true).0, "core2": member(2, true).0});
        json!({
            "id": "gslb", "url": self.url(), "user": "pgha",
            "passwordFile": private_file(self.folder(), "password", PASSWORD).unwrap(),
            "routes": [
                {"name": "v4", "pool": "/Common/login", "type": "a", "sites": sites},
                {"name": "v6", "pool": "/Common/login", "type": "aaaa", "sites": sites},
            ],
        })
    }

    pub(crate) fn backend(&self) -> BigIp {
        backend(self.settings())
    }
}

/// A site's member.
pub(crate) fn member(site: u8, is_on: bool) -> (String, bool) {
    (format!("/Common/bigip{site}:vs_login"), is_on)
}

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

pub(crate) fn backend(settings: Value) -> BigIp {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    BigIp::new(settings).unwrap()
}
