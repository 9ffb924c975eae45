//! A contract stub: the records of one zone, as Cloudflare's API reference tells of them ("DNS > Records": list and batch).
//!
//! It takes an API token, answers in the envelope and in pages, does all patches of a batch or none, keeps what a patch does not
//! name, and notes when a record was modified. What the reference does not tell (most codes of errors) is made up.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use pgha_nlb::SiteName;
use pgha_nlb::conformance::stub::{Fault, Request, Then, private_file, serve};
use pgha_nlb_cloudflare_dns::{CloudflareDns, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "s3cret-token";
const RECORDS: &str = "/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records";

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) records: Vec<Value>,
    modified: u64,
    pub(crate) batches: Vec<Value>,
    pub(crate) largest_page: usize,
    pub(crate) reading: Option<Fault>,
    pub(crate) writing: Option<Fault>,
}

impl State {
    fn answer(&mut self, request: &Request) -> Then {
        if request.header("authorization") != format!("Bearer {TOKEN}") {
            return failure("403 Forbidden", 10000, "Authentication error");
        }
        let Some(below) = request.path.strip_prefix(RECORDS) else {
            return failure("404 Not Found", 7003, "Could not route to the zone");
        };
        match (request.method.as_str(), below.strip_prefix('?')) {
            ("GET", Some(query)) => self.list(query),
            ("POST", None) if below == "/batch" => self.batch(&request.body),
            _ => failure("405 Method Not Allowed", 10405, "Method not allowed"),
        }
    }

    fn list(&self, query: &str) -> Then {
        let of = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
        };
        let name = of("name.exact").unwrap_or_default().to_lowercase();
        let size = of("per_page").and_then(|size| size.parse().ok());
        let size = size.unwrap_or(100).min(self.largest_page);
        let all = self.records.iter().filter(|it| it["name"] == name.as_str());
        let all: Vec<_> = all.collect();
        let page: Vec<_> = all.iter().take(size).collect();
        let info =
            json!({"page": 1, "per_page": size, "count": page.len(), "total_count": all.len()});
        success(&json!(page), &info)
    }

    fn batch(&mut self, body: &str) -> Then {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        self.batches.push(body.clone());
        let before = self.records.clone();
        for patch in body["patches"].as_array().into_iter().flatten() {
            if let Err(because) = self.patch(patch) {
                self.records = before;
                return failure("400 Bad Request", 9005, because);
            }
        }
        success(&json!({"patches": self.records}), &Value::Null)
    }

    fn patch(&mut self, patch: &Value) -> Result<(), &'static str> {
        self.modified += 1;
        let now = format!("2026-11-29T16:00:00.{:05}Z", self.modified);
        let mut records = self.records.iter_mut();
        let record = records.find(|record| record["id"] == patch["id"]);
        let record = record.ok_or("Record does not exist.")?;
        let mut patched = record.clone();
        for (name, value) in patch.as_object().unwrap() {
            patched[name] = value.clone();
        }
        patched["modified_on"] = now.into();
        let content = patched["content"].as_str().unwrap_or_default();
        let is_content = match patched["type"].as_str().unwrap() {
            "A" => content.parse::<Ipv4Addr>().is_ok(),
            "AAAA" => content.parse::<Ipv6Addr>().is_ok(),
            _ => !content.is_empty() && !content.ends_with('.'),
        };
        let ttl = patched["ttl"].as_u64().unwrap_or_default();
        let is_ttl = ttl == 1 || (patched["proxied"] != true && (60..=86_400).contains(&ttl));
        if !is_content || !is_ttl {
            return Err("Content or ttl for this record is invalid.");
        }
        *record = patched;
        Ok(())
    }

    /// Another writer's patch of a record.
    pub(crate) fn change(&mut self, id: &str, field: &str, value: &Value) {
        self.patch(&json!({"id": id, field: value})).unwrap();
    }
}

fn success(result: &Value, info: &Value) -> Then {
    let body = json!({"success": true, "errors": [], "messages": [], "result": result, "result_info": info});
    Then::Answer("200 OK".to_owned(), body.to_string())
}

pub(crate) fn failure(status: &str, code: i64, message: &str) -> Then {
    let errors = [json!({"code": code, "message": message})];
    let body = json!({"success": false, "errors": errors, "messages": [], "result": null});
    Then::Answer(status.to_owned(), body.to_string())
}

/// A record with what a move must keep.
pub(crate) fn record(id: &str, name: &str, kind: &str, content: &str, ttl: u32) -> Value {
    json!({
        "id": id, "name": name, "type": kind, "content": content, "ttl": ttl, "proxied": false, "proxiable": true,
        "comment": "of the network team", "tags": ["owner:dns-team"], "settings": {}, "meta": {},
        "created_on": "2014-01-01T05:20:00.12345Z", "modified_on": "2014-01-01T05:20:00.12345Z",
    })
}

pub(crate) struct Stub {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let login = "login.example.org";
        let state = Arc::new(Mutex::new(State {
            records: vec![
                record("a1", login, "A", "192.0.2.22", 1),
                record("a2", login, "A", "192.0.2.21", 60),
                record("aaaa", login, "AAAA", "2001:db8::2", 120),
                record("txt", login, "TXT", "of nobody's business", 300),
                record("api", "api.example.org", "CNAME", "lb.core2.example", 60),
                record("web", "web.example.org", "A", "192.0.2.80", 600),
            ],
            modified: 0,
            batches: Vec::new(),
            largest_page: 5_000,
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
                        .batches
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

    /// All records but when they were modified.
    pub(crate) fn records(&self) -> Vec<Value> {
        let mut records = self.with(|state| state.records.clone());
        for record in &mut records {
            record["modified_on"].take();
        }
        records
    }

    pub(crate) fn batches(&self) -> usize {
        self.with(|state| state.batches.len())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn settings(&self) -> Value {
        json!({
            "id": "dns", "url": format!("http://127.0.0.1:{}/client/v4/", self.port),
            "zone": "023e105f4ecef8ad9ca31a8372d0c353", "ttl": 60,
            "apiTokenFile": private_file(self.folder(), "token", TOKEN).unwrap(),
            "routes": [
                {"name": "https", "record": "login.example.org", "sites": {
                    "core1": {"a": ["192.0.2.11", "192.0.2.12"], "aaaa": ["2001:db8::1"]},
                    "core2": {"a": ["192.0.2.21", "192.0.2.22"], "aaaa": ["2001:db8::2"]},
                }},
                {"name": "api", "record": "api.example.org", "sites": {
                    "core1": {"cname": "lb.core1.example"}, "core2": {"cname": "lb.core2.example"},
                }},
            ],
        })
    }

    pub(crate) fn backend(&self) -> CloudflareDns {
        backend(self.settings())
    }
}

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

pub(crate) fn backend(settings: Value) -> CloudflareDns {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    CloudflareDns::new(settings).unwrap()
}
