//! Steps of an application that are asked over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgha_core::application::{obstacles, start, stop};
use pgha_model::application::{AppStep, Application};
use pgha_testkit::FakeCluster;
use serde_json::{Value, json};

use crate::site;

const LIMIT: Duration = Duration::from_millis(1200);

/// A server that answers each request with the next of these, the last one for ever; none hangs up.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn answering(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers: Vec<_> = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect();
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                let mut request = String::new();
                while !is_whole(&request) {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => request.push_str(&String::from_utf8_lossy(&buffer[..read])),
                    }
                }
                let mut notes = notes.lock().unwrap();
                let answer = answers.get(notes.len()).or(answers.last());
                notes.push(request);
                drop(notes);
                if let Some((status, body)) = answer {
                    let length = body.len();
                    let text =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
                    // Whoever does not wait for it has its own reason.
                    drop(stream.write_all(text.as_bytes()));
                }
            }
        });
        Self { port, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

fn private_file(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, "s3cret\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn application(steps: Value) -> Application {
    Application {
        steps: serde_json::from_value::<Vec<AppStep>>(steps).unwrap(),
        counts: Vec::new(),
    }
}

async fn enter(steps: Value) -> Result<String, String> {
    let mut tell = |_: String| {};
    let site = site(&FakeCluster::new());
    let came = start(&site, &application(steps), LIMIT, &mut tell).await;
    came.map_err(|error| error.to_string())
}

async fn leave(steps: Value) -> Result<String, String> {
    let mut tell = |_: String| {};
    let site = site(&FakeCluster::new());
    let came = stop(&site, &application(steps), LIMIT, &mut tell).await;
    came.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_page_is_put_on_and_off() {
    let server = Server::answering(&[(503, ""), (204, ""), (200, "ok")]);
    let folder = tempfile::tempdir().unwrap();
    let token = private_file(folder.path(), "token");
    let steps = json!([{"call": {
        "standby": {"url": server.url("/page?on=1"), "method": "PUT", "json": {"on": true}},
        "primary": {"url": server.url("/page"), "method": "DELETE"},
        "tokenFile": token,
    }}]);
    let said = leave(steps.clone()).await.unwrap();
    assert_eq!(
        said,
        format!("PUT {} answered 204.", server.url("/page?on=1"))
    );
    let said = enter(steps).await.unwrap();
    assert_eq!(
        said,
        format!("DELETE {} answered 200.", server.url("/page"))
    );
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "a 503 is asked again");
    let first = asked[0].to_lowercase();
    assert!(first.starts_with("put /page?on=1 http/1.1\r\n"), "{first}");
    for line in [
        "authorization: bearer s3cret",
        "content-type: application/json",
        "host: 127.0.0.1:",
    ] {
        assert!(first.contains(line), "{first}");
    }
    assert!(first.ends_with("\r\n\r\n{\"on\":true}"), "{first}");
    assert!(asked[2].starts_with("DELETE /page HTTP/1.1"), "{asked:?}");
}

#[tokio::test]
async fn a_no_is_told_and_not_asked_again() {
    for status in [302, 400, 401, 404] {
        let server = Server::answering(&[(status, "s3cret")]);
        let url = server.url("/page");
        let error = leave(json!([{"call": {"standby": {"url": url}}}]))
            .await
            .unwrap_err();
        assert_eq!(
            error,
            format!("POST {}: It answers {status}.", server.url("/page"))
        );
        assert_eq!(server.asked().len(), 1);
    }
    let server = Server::answering(&[(500, "")]);
    let steps = json!([{"call": {"standby": {"url": server.url("/")}}}]);
    let error = leave(steps).await.unwrap_err();
    assert!(
        error.contains("Not as wanted within 1 s. It answers 500."),
        "{error}"
    );
    assert!(server.asked().len() > 1);
}

#[tokio::test]
async fn a_side_without_a_request_asks_nobody() {
    let server = Server::answering(&[(200, "")]);
    let steps = json!([{"call": {"standby": {"url": server.url("/")}}}]);
    assert!(enter(steps).await.is_ok());
    assert!(
        leave(json!([{"wait": {"url": server.url("/ready")}}]))
            .await
            .is_ok()
    );
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_is_awaited_until_it_is_as_wanted() {
    let server = Server::answering(&[(503, ""), (200, "starting"), (200, "it is ready now")]);
    let elsewhere = format!("127.0.0.1:{}", server.port);
    let steps = json!([{"wait": {
        "url": "http://login.example/ready", "connectTo": elsewhere, "contains": "ready",
    }}]);
    let said = enter(steps).await.unwrap();
    assert_eq!(said, "http://login.example/ready answers 200.");
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(
        asked[0].to_lowercase().contains("host: login.example\r\n"),
        "{asked:?}"
    );
    let server = Server::answering(&[(302, "")]);
    let url = server.url("/");
    let steps = json!([{"wait": {"url": url, "status": 302}}]);
    assert!(enter(steps).await.is_ok());
    let error = enter(json!([{"wait": {"url": server.url("/")}}]))
        .await
        .unwrap_err();
    assert!(error.contains("It answers 302, not 200."), "{error}");
}

#[tokio::test]
async fn nobody_who_answers_is_told() {
    let silent = Server::answering(&[]);
    let error = enter(json!([{"wait": {"url": silent.url("/")}}]))
        .await
        .unwrap_err();
    assert!(
        error.contains("Not as wanted within 1 s. No HTTP"),
        "{error}"
    );
    // Nobody listens there; a port that was free a moment ago may be held by a process that somebody starts.
    let url = "http://127.0.0.1:1/";
    let error = enter(json!([{"wait": {"url": url}}])).await.unwrap_err();
    assert!(error.contains("No connection to 127.0.0.1"), "{error}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_before() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    std::fs::write(&open, "s3cret").unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let private = private_file(folder.path(), "private");
    let steps = json!([
        {"call": {"standby": {"url": "https://a.example/"}, "tokenFile": &open}},
        {"wait": {"url": "https://a.example/", "caFile": &open}},
        {"wait": {"url": "https://a.example/", "caFile": folder.path().join("none")}},
        {"wait": {"url": "https://a.example:x/"}},
        {"call": {"standby": {"url": "http://a.example/"}, "tokenFile": &private}},
        {"call": {"standby": {"url": "http://127.0.0.1/"}, "tokenFile": &private}},
        {"wait": {"url": "https://a.example/"}},
    ]);
    let site = site(&FakeCluster::new());
    let steps: Vec<AppStep> = serde_json::from_value(steps).unwrap();
    let said = obstacles(&site, &steps).await.unwrap();
    assert_eq!(said.len(), 5, "{said:?}");
    for (said, words) in said.iter().zip([
        "its mode is 644",
        "no certificate",
        "none",
        "a.example:x",
        "in the clear",
    ]) {
        assert!(said.contains(words) && !said.contains("s3cret"), "{said}");
    }
}
