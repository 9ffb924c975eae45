//! Steps that are about more than a workload's count: a restart, a Service, a Job, and what is asked over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::{IMAGE_PATRONI_4_1, SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::pair::DEADLINE;
use serde_json::{Value, json};

const LOGIN: &str = "pgha-suite-login";
const PORTAL: &str = "pgha-suite-portal";
const SETUP: &str = "pgha-suite-setup";
const KEPT: &str = "pgha-suite-setup-pgha-kept";

/// The objects at both sites, and a server that writes down what it is asked.
pub(super) struct Steps {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    /// The Job and the pod of each site before the move.
    before: Vec<(Site, [String; 2])>,
}

impl Steps {
    /// Makes the objects as they are where the primary is and where it is not.
    pub(super) fn make(primary: Site) -> Result<Self> {
        remove()?;
        for site in Site::ALL {
            super::apply(site, PORTAL, 1, site == primary)?;
            let app = if site == primary { "login" } else { "page" };
            apply_service(site, LOGIN, app)?;
            apply_job(site, SETUP)?;
        }
        for site in Site::ALL {
            wait::until("the portal to run", DEADLINE, || {
                ensure!(super::pods(site, PORTAL)? == 1, "no pod");
                Ok(())
            })?;
        }
        let (port, asked) = serve()?;
        let before = Site::ALL.map(|site| Ok((site, [uid_of_job(site)?, uid_of_pod(site)?])));
        Ok(Self {
            port,
            asked,
            before: before.into_iter().collect::<Result<_>>()?,
        })
    }

    /// What comes before the workloads in the service's file.
    pub(super) fn first() -> String {
        format!("    - job: {{ object: job/{SETUP}, recreate: true }}\n")
    }

    /// And what comes after them.
    pub(super) fn last(&self) -> String {
        let url = format!("http://127.0.0.1:{}", self.port);
        format!(
            "    - restart: {{ object: deployment/{PORTAL} }}
    - wait: {{ url: '{url}/ready/{{site}}', contains: ready }}
    - select: {{ object: service/{LOGIN}, primary: {{ app: login }}, standby: {{ app: page }} }}
    - call:
        standby: {{ url: '{url}/page/{{site}}', json: {{ on: true }} }}
        primary: {{ url: '{url}/page/{{site}}', method: DELETE }}
"
        )
    }

    /// Each was taken at its side, and in the order of the file.
    pub(super) fn are_taken(&self, from: Site, to: Site) -> Result<()> {
        let asked = self
            .asked
            .lock()
            .map_err(|_| anyhow::anyhow!("the server panicked"))?;
        let wanted = [
            format!("POST /page/{}", from.name()),
            format!("GET /ready/{}", to.name()),
            format!("DELETE /page/{}", to.name()),
        ];
        ensure!(*asked == wanted, "{asked:?}");
        for (site, [job, pod]) in &self.before {
            let (site, is_primary) = (*site, *site == to);
            let service = Kubectl::new(site).get(&["service", LOGIN])?;
            let app = if is_primary { "login" } else { "page" };
            ensure!(
                service["spec"]["selector"] == json!({"app": app}),
                "{service}"
            );
            is_complete(site, SETUP)?;
            ensure!(
                (uid_of_job(site)? != *job) == is_primary,
                "the Job of {site}"
            );
            ensure!(
                (uid_of_pod(site)? != *pod) == is_primary,
                "the pod of {site}"
            );
            let kept = ["get", "job", KEPT, "--ignore-not-found", "-o", "name"];
            ensure!(
                Kubectl::new(site).run(&kept)?.is_empty(),
                "{KEPT} is left at {site}"
            );
        }
        Ok(())
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        // What is left behind is removed by the next test, or with the lab.
        drop(remove());
    }
}

fn remove() -> Result<()> {
    for site in Site::ALL {
        let kubectl = Kubectl::new(site);
        for [kind, name] in [
            ["service", LOGIN],
            ["job", SETUP],
            ["job", KEPT],
            ["deployment", PORTAL],
        ] {
            kubectl.run(&["delete", kind, name, "--ignore-not-found"])?;
        }
    }
    Ok(())
}

/// A Service that leads to pods with this label.
pub(crate) fn apply_service(site: Site, name: &str, app: &str) -> Result<()> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": SERVICE_NAMESPACE},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80}]},
    });
    Kubectl::new(site).apply(&service.to_string())
}

/// A Job that does nothing, and is done with it.
pub(crate) fn apply_job(site: Site, name: &str) -> Result<()> {
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": SERVICE_NAMESPACE, "labels": {"app": name}},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "setup", "image": IMAGE_PATRONI_4_1, "imagePullPolicy": "Never",
                "command": ["true"],
            }],
        }}},
    });
    Kubectl::new(site).apply(&job.to_string())?;
    wait::until("the Job to be complete", DEADLINE, || {
        is_complete(site, name)
    })
}

fn is_complete(site: Site, name: &str) -> Result<()> {
    let job = Kubectl::new(site).get(&["job", name])?;
    let conditions = job["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    ensure!(
        conditions.any(|it| it["type"] == "Complete" && it["status"] == "True"),
        "{}",
        job["status"]
    );
    Ok(())
}

fn uid_of_job(site: Site) -> Result<String> {
    uid(&Kubectl::new(site).get(&["job", SETUP])?)
}

fn uid_of_pod(site: Site) -> Result<String> {
    let selector = format!("--selector=app={PORTAL}");
    let pods = Kubectl::new(site).get(&["pods", &selector])?;
    let pods = pods["items"].as_array().context("no list")?;
    let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    uid(pods.iter().find(stays).context("no pod of the portal")?)
}

fn uid(object: &Value) -> Result<String> {
    let uid = object["metadata"]["uid"].as_str().context("no uid")?;
    Ok(uid.to_owned())
}

/// Answers everything, and writes down the first words of each request.
fn serve() -> Result<(u16, Arc<Mutex<Vec<String>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let line = stream.map_err(anyhow::Error::from).and_then(answer);
            if let (Ok(line), Ok(mut notes)) = (line, notes.lock()) {
                notes.push(line);
            }
        }
    });
    Ok((port, asked))
}

fn answer(stream: TcpStream) -> Result<String> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse()?;
        }
    }
    std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
    let body = "ready";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    reader
        .get_mut()
        .write_all(format!("{head}{body}").as_bytes())?;
    let words: Vec<_> = first.split(' ').take(2).collect();
    Ok(words.join(" "))
}
