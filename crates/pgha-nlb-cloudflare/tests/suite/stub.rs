//! A contract stub: one load balancer, as Cloudflare's API reference tells of it ("Load Balancers": get and edit).
//!
//! It takes an API token, answers in the envelope, keeps what a PATCH does not name, notes when it was modified, and refuses pools
//! that there are none of. What the reference does not tell (the codes of errors) is made up.

use std::path::Path;
use std::sync::{Arc, Mutex};

use pgha_nlb::SiteName;
use pgha_nlb::conformance::stub::{Fault, Request, Then, private_file, serve};
use pgha_nlb_cloudflare::{Cloudflare, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "s3cret-token";
pub(crate) const ONE: &str = "17b5962d775c646f3f9725cbc7a53df4";
pub(crate) const TWO: &str = "9290f38c5d07c2e2f4df57b1f61d4196";
/// A pool with a page for maintenance.
pub(crate) const PAGE: &str = "00920f38ce07c2e2f4df50b1f61d4194";
const PATH: &str = "/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/load_balancers/699d98642c564d2e855e9661899b7252";

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) balancer: Value,
    modified: u64,
    pub(crate) patches: Vec<Value>,
    pub(crate) reading: Option<Fault>,
    pub(crate) writing: Option<Fault>,
}

impl State {
    /// Another writer's change, or this one's.
    pub(crate) fn change(&mut self, name: &str, value: Value) {
        self.modified += 1;
        self.balancer["modified_on"] = json!(format!("2026-11-29T16:00:00.{:05}Z", self.modified));
        self.balancer[name] = value;
    }

    fn answer(&mut self, request: &Request) -> Then {
        if request.header("authorization") != format!("Bearer {TOKEN}") {
            return failure("403 Forbidden", 10000, "Authentication error");
        }
        if request.path != PATH {
            return failure("404 Not Found", 1001, "load balancer not found");
        }
        match request.method.as_str() {
            "GET" => success(&self.balancer),
            "PATCH" => self.patch(&request.body),
            _ => failure("405 Method Not Allowed", 10405, "Method not allowed"),
        }
    }

    fn patch(&mut self, body: &str) -> Then {
        let Ok(Value::Object(fields)) = serde_json::from_str(body) else {
            return failure("400 Bad Request", 1004, "body is no object");
        };
        self.patches.push(fields.clone().into());
        let is_pool = |pool: &Value| [ONE, TWO, PAGE].map(Value::from).contains(pool);
        let is_good = fields.iter().all(|(name, value)| match name.as_str() {
            "default_pools" => value.as_array().is_some_and(|all| all.iter().all(is_pool)),
            "fallback_pool" => is_pool(value),
            _ => false,
        });
        if !is_good {
            return failure("400 Bad Request", 1002, "validation failed: no such pool");
        }
        for (name, value) in fields {
            self.change(&name, value);
        }
        success(&self.balancer)
    }
}

fn success(result: &Value) -> Then {
    let body = json!({"success": true, "errors": [], "messages": [], "result": result});
    Then::Answer("200 OK".to_owned(), body.to_string())
}

pub(crate) fn failure(status: &str, code: i64, message: &str) -> Then {
    let errors = [json!({"code": code, "message": message})];
    let body = json!({"success": false, "errors": errors, "messages": [], "result": null});
    Then::Answer(status.to_owned(), body.to_string())
}

pub(crate) struct Stub {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let balancer = json!({
            "id": "699d98642c564d2e855e9661899b7252", "name": "login.example.org", "description": "of the network team",
            "created_on": "2014-01-01T05:20:00.12345Z", "modified_on": "2014-01-01T05:20:00.12345Z", "enabled": true,
            "default_pools": [TWO, ONE], "fallback_pool": TWO, "steering_policy": "off", "proxied": true, "ttl": 30,
            "region_pools": {}, "country_pools": {}, "pop_pools": {}, "rules": [], "session_affinity": "none",
            "networks": ["cloudflare"],
        });
        let state = Arc::new(Mutex::new(State {
            balancer,
            modified: 0,
            patches: Vec::new(),
            reading: None,
            writing: None,
        }));
        let own = Arc::clone(&state);
        let port = serve(move |request| {
            let mut state = own.lock().unwrap();
            let fault = match request.method.as_str() {
                "GET" => state.reading.clone(),
                _ => state.writing.clone(),
            };
            match fault {
                None => state.answer(&request),
                Some(Fault::Instead(then)) => {
                    state
                        .patches
                        .extend(serde_json::from_str(&request.body).ok());
                    then
                }
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

    /// All but when it was modified.
    pub(crate) fn balancer(&self) -> Value {
        let mut balancer = self.with(|state| state.balancer.clone());
        balancer["modified_on"].take();
        balancer
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn settings(&self) -> Value {
        json!({
            "id": "edge", "url": format!("http://127.0.0.1:{}/client/v4/", self.port),
            "zone": "023e105f4ecef8ad9ca31a8372d0c353", "loadBalancer": "699d98642c564d2e855e9661899b7252",
            "apiTokenFile": private_file(self.folder(), "token", TOKEN).unwrap(),
            "route": {"name": "https", "sites": {"core1": ONE, "core2": TWO}},
        })
    }

    pub(crate) fn backend(&self) -> Cloudflare {
        backend(self.settings())
    }
}

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

pub(crate) fn backend(settings: Value) -> Cloudflare {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Cloudflare::new(settings).unwrap()
}
