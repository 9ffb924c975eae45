//! A moto server in the peers' root file system, with a hosted zone and a load balancer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, CutoverError, Finding, Receipt, SiteName};
use pgha_nlb_aws::{Aws, Keys, Settings, Surroundings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "s3cret/of+nobody";
pub(crate) const TOKEN: &str = "t0ken//of+nobody==";
/// Starts until one finds its port free: another process may take it between the choice and the start.
const STARTS: usize = 10;

/// Enters the root file system in a mount namespace that ends with the process.
const ENTER: &str = "exec chroot \"$0\" env PYTHONPATH=/opt/moto PYTHONDONTWRITEBYTECODE=1 \
    python3 -m moto.server --host 127.0.0.1 --port \"$1\"";

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

/// The peers' root file system; says so where there is none.
pub(crate) fn peers() -> Option<PathBuf> {
    pgha_nlb::conformance::peers("moto")
}

/// A running moto; ends with its last value.
pub(crate) struct Moto {
    process: Arc<Process>,
    pub(crate) zone: String,
    pub(crate) listeners: Vec<String>,
    pub(crate) groups: Vec<String>,
}

struct Process {
    folder: TempDir,
    child: Mutex<Child>,
    port: u16,
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        drop(child.kill());
        drop(child.wait());
    }
}

/// Whatever an HTTP server answers to a whole request.
pub(crate) fn exchange(port: u16, request: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// What is in the first element of this name.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

/// A weighted record set; `what` is what it leads to, and more.
pub(crate) fn set(name: &str, kind: &str, (id, weight): (&str, u32), what: &str) -> String {
    format!(
        "<ResourceRecordSet><Name>{name}.example.org.</Name><Type>{kind}</Type><SetIdentifier>{id}</SetIdentifier>\
         <Weight>{weight}</Weight>{what}</ResourceRecordSet>"
    )
}

pub(crate) fn records(ttl: u32, value: &str) -> String {
    let record = format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>");
    format!("<TTL>{ttl}</TTL><ResourceRecords>{record}</ResourceRecords>")
}

impl Process {
    async fn try_start(peers: &Path) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", ENTER]);
        command.arg(peers).arg(port.to_string());
        let log = File::create(folder.path().join("log")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = Mutex::new(command.spawn().unwrap());
        let process = Self {
            folder,
            child,
            port,
        };
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while exchange(port, "GET /moto-api/data.json HTTP/1.0\r\n\r\n").is_err() {
            ticks.tick().await;
            if process.child.lock().unwrap().try_wait().unwrap().is_some() {
                return None;
            }
        }
        let ended = process.child.lock().unwrap().try_wait().unwrap();
        ended.is_none().then_some(process)
    }
}

impl Moto {
    pub(crate) async fn start(peers: &Path) -> Self {
        for _ in 0..STARTS {
            if let Some(process) = Process::try_start(peers).await {
                return Self::made(Arc::new(process));
            }
        }
        panic!("moto does not start");
    }

    fn made(process: Arc<Process>) -> Self {
        let mut moto = Self {
            process,
            zone: String::new(),
            listeners: Vec::new(),
            groups: Vec::new(),
        };
        moto.make_zone();
        moto.make_listeners();
        moto
    }

    /// The same process without what it knew: a new one takes seconds.
    pub(crate) fn anew(&self) -> Self {
        self.ask("moto", "POST /moto-api/reset", "");
        Self::made(Arc::clone(&self.process))
    }

    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    /// A request as an operator would send it, and what is answered.
    pub(crate) fn ask(&self, service: &str, what: &str, body: &str) -> String {
        let kind = match service {
            "route53" => "application/xml",
            "moto" => "text/plain",
            _ => "application/x-www-form-urlencoded",
        };
        let request = format!(
            "{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20261129/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n{body}",
            body.len()
        );
        let answer = String::from_utf8(exchange(self.port(), &request).unwrap()).unwrap();
        let status = answer.split(' ').nth(1).unwrap();
        assert!(status.starts_with('2'), "{what} {body}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// A request of the older kind: an action with its parameters.
    pub(crate) fn act(&self, service: &str, action: &str) -> String {
        let version = match service {
            "ec2" => "2016-11-15",
            "iam" => "2010-05-08",
            _ => "2015-12-01",
        };
        self.ask(
            service,
            "POST /",
            &format!("Version={version}&Action={action}"),
        )
    }

    /// Changes record sets as another writer would.
    pub(crate) fn change(&self, action: &str, sets: &[String]) {
        let changes = sets
            .iter()
            .map(|set| format!("<Change><Action>{action}</Action>{set}</Change>"));
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>\
             <Changes>{}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
            changes.collect::<String>()
        );
        let path = format!("POST /2013-04-01/hostedzone/{}/rrset", self.zone);
        self.ask("route53", &path, &body);
    }

    fn make_zone(&mut self) {
        let body = "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <Name>example.org.</Name><CallerReference>x</CallerReference></CreateHostedZoneRequest>";
        let made = self.ask("route53", "POST /2013-04-01/hostedzone", body);
        let id = element(&made, "Id").rsplit('/').next().unwrap();
        id.clone_into(&mut self.zone);
        let checked = "<HealthCheckId>11111111-1111-1111-1111-111111111111</HealthCheckId>";
        let alias = |host: &str| {
            format!(
                "<AliasTarget><HostedZoneId>Z26RNL4JYFTOTI</HostedZoneId><DNSName>{host}.elb.example.net.</DNSName>\
                 <EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>"
            )
        };
        let plain = |name: &str, kind: &str, value: &str| {
            let records = records(60, value);
            format!(
                "<ResourceRecordSet><Name>{name}.example.org.</Name><Type>{kind}</Type>{records}</ResourceRecordSet>"
            )
        };
        // What moto was once told to create it never creates again, not even after a DELETE in the same batch.
        self.change(
            "UPSERT",
            &[
                set(
                    "login",
                    "A",
                    ("one", 0),
                    &(records(300, "192.0.2.1") + checked),
                ),
                set(
                    "login",
                    "A",
                    ("two", 255),
                    &(records(300, "192.0.2.2") + checked),
                ),
                set("login", "AAAA", ("one", 0), &records(600, "2001:db8::1")),
                set("login", "AAAA", ("two", 128), &records(600, "2001:db8::2")),
                plain("login", "TXT", "\"of nobody's business\""),
                set(
                    "api",
                    "CNAME",
                    ("api one", 0),
                    &records(20, "lb.one.example.net"),
                ),
                set(
                    "api",
                    "CNAME",
                    ("api two", 7),
                    &records(20, "lb.two.example.net"),
                ),
                set("app", "A", ("app-one", 0), &alias("one")),
                set("app", "A", ("app-two", 1), &alias("two")),
                plain("web", "A", "192.0.2.80"),
            ],
        );
    }

    fn make_listeners(&mut self) {
        let vpc = self.act("ec2", "CreateVpc&CidrBlock=10.0.0.0/16");
        let vpc = element(&vpc, "vpcId");
        let subnet = self.act(
            "ec2",
            &format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.0.0/24"),
        );
        let subnet = element(&subnet, "subnetId");
        let made = format!("CreateLoadBalancer&Name=lb&Type=network&Subnets.member.1={subnet}");
        let balancer = self.act("elasticloadbalancing", &made);
        let balancer = element(&balancer, "LoadBalancerArn");
        for name in ["https-one", "https-two", "http-one", "http-two", "spare"] {
            let made = format!(
                "CreateTargetGroup&Name={name}&Protocol=TCP&Port=443&VpcId={vpc}&TargetType=ip"
            );
            let made = self.act("elasticloadbalancing", &made);
            self.groups
                .push(element(&made, "TargetGroupArn").to_owned());
        }
        for (port, pair) in [(443, [0, 1]), (80, [2, 3])] {
            let weights = self.forward(&[(pair[0], 0), (pair[1], 5)]);
            let made = format!(
                "CreateListener&LoadBalancerArn={balancer}&Protocol=TCP&Port={port}{weights}"
            );
            let made = self.act("elasticloadbalancing", &made);
            self.listeners
                .push(element(&made, "ListenerArn").to_owned());
        }
        let target = format!(
            "RegisterTargets&TargetGroupArn={}&Targets.member.1.Id=10.0.0.5",
            self.groups[0]
        );
        self.act("elasticloadbalancing", &target);
    }

    fn forward(&self, weights: &[(usize, u32)]) -> String {
        let action = "&DefaultActions.member.1";
        let each = weights.iter().enumerate().map(|(index, (group, weight))| {
            let (group, place) = (
                &self.groups[*group],
                format!("{action}.ForwardConfig.TargetGroups.member.{}", index + 1),
            );
            format!("{place}.TargetGroupArn={group}{place}.Weight={weight}")
        });
        format!("{action}.Type=forward{}", each.collect::<String>())
    }

    /// Gives target groups of a listener weights as another writer would.
    pub(crate) fn weigh(&self, listener: usize, weights: &[(usize, u32)]) {
        let (arn, weights) = (&self.listeners[listener], self.forward(weights));
        self.act(
            "elasticloadbalancing",
            &format!("ModifyListener&ListenerArn={arn}{weights}"),
        );
    }

    /// Every record set as moto tells it.
    pub(crate) fn sets(&self) -> Vec<String> {
        let path = format!("GET /2013-04-01/hostedzone/{}/rrset", self.zone);
        let told = self.ask("route53", &path, "");
        let mut sets: Vec<_> = told
            .split("<ResourceRecordSet>")
            .skip(1)
            .map(str::to_owned)
            .collect();
        let last = sets.last_mut().unwrap();
        last.truncate(last.find("</ResourceRecordSets>").unwrap());
        sets.sort_unstable();
        sets
    }

    /// Every listener's default action as moto tells it.
    pub(crate) fn actions(&self) -> String {
        let describe = |arn: &String| {
            self.act(
                "elasticloadbalancing",
                &format!("DescribeListeners&ListenerArns.member.1={arn}"),
            )
        };
        let told: Vec<_> = self.listeners.iter().map(describe).collect();
        told.iter()
            .map(|told| element(told, "DefaultActions"))
            .collect()
    }

    /// How often record sets were changed.
    pub(crate) fn batches(&self) -> usize {
        let log = std::fs::read_to_string(self.process.folder.path().join("log")).unwrap();
        log.lines()
            .filter(|line| line.contains("POST /2013-04-01/hostedzone/"))
            .count()
    }

    pub(crate) fn names(&self) -> Value {
        json!({
            "id": "dns", "endpoint": format!("http://127.0.0.1:{}", self.port()),
            "by": {"route53": {"zone": self.zone, "ttl": 30}}, "routes": [
                {"name": "https", "at": "login.example.org", "sites": {"core1": "one", "core2": "two"}},
                {"name": "api", "at": "api.example.org", "sites": {"core1": "api one", "core2": "api two"}},
                {"name": "app", "at": "app.example.org", "sites": {"core1": "app-one", "core2": "app-two"}},
            ],
        })
    }

    pub(crate) fn balancer(&self) -> Value {
        let route = |name: &str, listener: usize, groups: [usize; 2]| {
            let [one, two] = groups.map(|group| &self.groups[group]);
            json!({"name": name, "at": self.listeners[listener], "sites": {"core1": one, "core2": two}})
        };
        json!({
            "id": "lb", "endpoint": format!("http://127.0.0.1:{}", self.port()),
            "by": "listeners", "routes": [route("https", 0, [0, 1]), route("http", 1, [2, 3])],
        })
    }
}

/// The settings with another server in the place of moto.
pub(crate) fn through(mut settings: Value, port: u16) -> Value {
    settings["endpoint"] = json!(format!("http://127.0.0.1:{port}"));
    settings
}

pub(crate) fn keys(id: &str, secret: &str) -> Keys {
    Keys {
        id: id.to_owned(),
        secret: secret.to_owned().into(),
        token: None,
    }
}

pub(crate) fn around(keys: Option<Keys>) -> Surroundings {
    Surroundings {
        keys,
        credentials_file: None,
        clock: Arc::new(|| 1_800_000_000),
    }
}

pub(crate) fn signing(settings: Value, around: Surroundings) -> Aws {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    Aws::new(settings, around).unwrap()
}

pub(crate) fn backend(settings: Value) -> Aws {
    let token = Some(TOKEN.to_owned().into());
    signing(
        settings,
        around(Some(Keys {
            token,
            ..keys("AKIDOFNOBODY", SECRET)
        })),
    )
}

pub(crate) async fn moved(backend: &Aws) -> Result<Receipt, CutoverError> {
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    backend.apply(&plan, WITHIN).await
}

pub(crate) fn severity(findings: &[Finding], check: &str) -> Severity {
    let found = findings.iter().filter(|finding| finding.check == check);
    found.map(|finding| finding.severity).max().unwrap()
}
