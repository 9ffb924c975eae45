//! Opening a context of a kubeconfig.

use std::path::{Path, PathBuf};

use pgha_core::client::{
    DEFAULT_REQUEST_TIMEOUT, EnvironmentProxy, Kubeconfig, KubeconfigSource, OpenError, SiteClient,
    USER_AGENT,
};
use pgha_core::clock;
use pgha_core::diagnose::{Diagnose as _, causes};
use pgha_core::survey::{Scope, fetch_live_status, list_clusters};
use pgha_testkit::FakeCluster;
use pgha_testkit::kubeconfig::{Context, write_kubeconfig};
use pgha_testkit::pgo::PgoSite;

const TWO_CONTEXTS: &str = "
apiVersion: v1
kind: Config
current-context: core1
clusters:
- {name: one, cluster: {server: 'https://127.0.0.1:1'}}
- {name: bad, cluster: {server: 'no url at all'}}
- {name: ca, cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: '!'}}
users:
- {name: jane, user: {token: t}}
contexts:
- {name: core1, context: {cluster: one, user: jane, namespace: prod-iam-zitadel}}
- {name: core2, context: {cluster: one, user: jane}}
- {name: nowhere, context: {cluster: bad, user: jane}}
- {name: unverifiable, context: {cluster: ca, user: jane}}
- {name: dangling, context: {cluster: gone, user: jane}}
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn read(path: &Path) -> Result<Kubeconfig, OpenError> {
    Kubeconfig::read(&KubeconfigSource::Flag(path.to_owned()))
}

fn two_contexts() -> Kubeconfig {
    read(&Folder::new().file("config", TWO_CONTEXTS)).unwrap()
}

async fn open(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<SiteClient, OpenError> {
    SiteClient::open(kubeconfig, context, None, DEFAULT_REQUEST_TIMEOUT).await
}

async fn refused(context: &str) -> OpenError {
    open(&two_contexts(), Some(context)).await.err().unwrap()
}

#[tokio::test]
async fn a_named_context_brings_its_namespace() {
    let kubeconfig = two_contexts();
    let names: Vec<&str> = kubeconfig.contexts().collect();
    assert_eq!(
        names,
        ["core1", "core2", "nowhere", "unverifiable", "dangling"]
    );
    let core1 = open(&kubeconfig, None).await.unwrap();
    assert_eq!(
        (core1.context.as_str(), core1.namespace.as_str()),
        ("core1", "prod-iam-zitadel")
    );
    assert_eq!(
        open(&kubeconfig, Some("core2")).await.unwrap().namespace,
        "default"
    );
    let other = SiteClient::open(&kubeconfig, None, Some("other"), DEFAULT_REQUEST_TIMEOUT).await;
    assert_eq!(other.unwrap().namespace, "other");
}

#[tokio::test]
async fn an_unknown_context_is_told_with_the_known_ones() {
    let error = refused("core3\u{1b}[31m").await;
    assert_eq!(
        error.to_string(),
        "the kubeconfig has no context `core3\\u{1b}[31m`"
    );
    assert_eq!(
        error.hint().unwrap(),
        "Known contexts: core1, core2, nowhere, unverifiable, dangling."
    );
}

#[tokio::test]
async fn without_a_current_context_one_must_be_named() {
    let text = TWO_CONTEXTS.replace("current-context: core1", "current-context: ''");
    let kubeconfig = read(&Folder::new().file("config", &text)).unwrap();
    let error = open(&kubeconfig, None).await.err().unwrap();
    assert!(
        matches!(error, OpenError::NoCurrentContext { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_context_leads_to_must_be_usable() {
    for context in ["nowhere", "unverifiable", "dangling"] {
        let error = refused(context).await;
        let expected = format!("the context `{context}` cannot be used: ");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn a_missing_file_is_told_by_its_path() {
    let missing = Folder::new().path("config");
    let error = read(&missing).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("there is no kubeconfig at {}", missing.display())
    );
}

#[test]
fn what_is_no_kubeconfig_is_told_in_one_line() {
    let folder = Folder::new();
    for text in ["\t{[not yaml", "- a\n- b\n", "clusters: 7\n"] {
        let error = read(&folder.file("config", text)).unwrap_err();
        assert!(
            matches!(error, OpenError::NotKubeconfig { .. }),
            "{text:?}: {error}"
        );
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let bytes = folder.path("config");
    std::fs::write(&bytes, [0x80, 0x81, 0x82]).unwrap();
    assert!(matches!(read(&bytes), Err(OpenError::NotKubeconfig { .. })));
}

#[test]
fn a_folder_cannot_be_read() {
    let folder = Folder::new();
    assert!(matches!(
        read(folder.0.path()),
        Err(OpenError::Unreadable { .. })
    ));
}

#[test]
fn the_first_file_of_a_list_wins_and_missing_ones_are_skipped() {
    let folder = Folder::new();
    let second = TWO_CONTEXTS.replace("current-context: core1", "current-context: core2");
    let paths = vec![
        folder.path("missing"),
        folder.file("first", TWO_CONTEXTS),
        folder.file("second", &second),
    ];
    let kubeconfig = Kubeconfig::read(&KubeconfigSource::List(paths)).unwrap();
    assert_eq!(kubeconfig.current_context(), Some("core1"));
    let nothing = KubeconfigSource::List(vec![folder.path("a"), folder.path("b")]);
    assert!(matches!(
        Kubeconfig::read(&nothing),
        Err(OpenError::Missing { .. })
    ));
}

#[tokio::test]
async fn requests_name_the_program_and_are_never_repeated_by_themselves() {
    let cluster = FakeCluster::new();
    let primary = PgoSite::primary("zitadel", "prod", clock::now()).without_live_answers();
    primary.install(&cluster);
    let served = cluster.serve().unwrap();
    let folder = Folder::new();
    let path = folder.path("config");
    let context = Context {
        name: "core1",
        cluster: &served,
        namespace: "prod",
    };
    write_kubeconfig(&path, &[context]).unwrap();
    let site = open(&read(&path).unwrap(), None).await.unwrap();
    // The answer is 503, which the client would repeat if it were let.
    let answer = fetch_live_status(&site, primary.pod(0), 8008).await;
    assert!(
        answer
            .unwrap_err()
            .to_string()
            .starts_with("cannot get pods/proxy")
    );
    let requests = cluster.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].user_agent.as_deref(), Some(USER_AGENT));
}

#[tokio::test]
async fn a_program_that_brings_no_credentials_is_told_apart() {
    let exec = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: 'false', interactiveMode: Never}}";
    let text = TWO_CONTEXTS.replace("{token: t}", exec);
    let kubeconfig = read(&Folder::new().file("config", &text)).unwrap();
    let error = open(&kubeconfig, None).await.err().unwrap();
    assert!(matches!(error, OpenError::Credentials { .. }), "{error}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_not_reached() {
    let cluster = FakeCluster::new();
    let served = cluster.serve().unwrap();
    let folder = Folder::new();
    let path = folder.path("config");
    let context = Context {
        name: "core1",
        cluster: &served,
        namespace: "prod",
    };
    write_kubeconfig(&path, &[context]).unwrap();
    let proxy = EnvironmentProxy {
        url: Some("http://127.0.0.1:1".to_owned()),
        exceptions: String::new(),
    };
    // A server on this machine needs no proxy, one elsewhere is asked for through it.
    let near = open(&read(&path).unwrap().with_proxy(proxy.clone()), None)
        .await
        .unwrap();
    assert_eq!(list_clusters(&near, Scope::Namespace).await.unwrap(), []);
    let text = TWO_CONTEXTS.replace("127.0.0.1", "api.example");
    let kubeconfig = read(&folder.file("far", &text)).unwrap().with_proxy(proxy);
    let far = open(&kubeconfig, None).await.unwrap();
    let error = list_clusters(&far, Scope::Namespace).await.unwrap_err();
    assert!(
        causes(&error)[0].starts_with("Connection refused"),
        "{error}"
    );
}
