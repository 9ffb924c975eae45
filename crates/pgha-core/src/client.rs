//! One client for each *named* kubeconfig context, and what can go wrong when it is used.

mod call;
#[cfg(debug_assertions)]
mod failpoint;
mod kubeconfig;
mod kuberc;
mod proxy;

use std::time::Duration;

use http::Request;
use kube::client::Body;
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use pgha_model::site::Place;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

pub use self::call::{CallError, CallKind, DeadlinePassed};
#[cfg(debug_assertions)]
pub use self::failpoint::Failpoint;
#[cfg(feature = "oidc")]
pub(crate) use self::kubeconfig::said_of;
pub use self::kubeconfig::{Kubeconfig, KubeconfigSource, OpenError};
pub use self::kuberc::{Kuberc, KubercSource, PluginDenied};
pub use self::proxy::EnvironmentProxy;
use crate::clock;
use crate::k8s::{ApiResource, DynamicObject};

/// Our name in `managedFields`. Never one that begins with `kubectl`: Flux takes the fields of such managers over and
/// then removes what is not in git (kustomize-controller, `kustomization_controller.go`).
pub const FIELD_MANAGER: &str = "pgha";

/// What we call ourselves in the API server's audit log.
pub const USER_AGENT: &str = concat!("pgha/", env!("CARGO_PKG_VERSION"));

/// How long a request may take when nobody said.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A Kubernetes place that was named, and the client that speaks to its API server.
///
/// Each request has a deadline for the head of its answer. No request is repeated by itself: a repeated write could take
/// hold twice, and a repeated read hides that a site is hard to reach.
#[derive(Clone)]
pub struct SiteClient {
    /// Name of the kubeconfig context.
    pub context: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// The client. Use it through [`Api`]; wrap its errors with [`CallError::new`].
    pub client: Client,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// SHA-256 of the certificate authorities that the kubeconfig trusts there, as hexadecimal digits.
    pub server_ca: Option<String>,
    #[cfg(debug_assertions)]
    pub(crate) commands: Option<crate::exec::Commands>,
}

impl SiteClient {
    /// Opens the named context, or the kubeconfig's current one; without a namespace, the context's own.
    ///
    /// Nothing is sent: a server that is not there is noticed by the first request.
    pub async fn open(
        kubeconfig: &Kubeconfig,
        context: Option<&str>,
        namespace: Option<&str>,
        request_timeout: Duration,
    ) -> Result<Self, OpenError> {
        let context = kubeconfig.known_context(context)?.to_owned();
        let permitted = kubeconfig.permitted(&context)?;
        let config = load(permitted, &context).await?;
        Self::of_config(kubeconfig, config, context, namespace, request_timeout)
    }

    /// Opens the named context with a token in place of its own credentials, of which none is used.
    #[cfg(feature = "oidc")]
    pub async fn open_with_token(
        kubeconfig: &Kubeconfig,
        context: &str,
        token: &crate::oidc::Token,
        request_timeout: Duration,
    ) -> Result<Self, OpenError> {
        let context = kubeconfig.known_context(Some(context))?.to_owned();
        let mut config = load(kubeconfig.as_read(), &context).await?;
        config.auth_info = kube::config::AuthInfo {
            token: Some(token.expose().to_owned().into()),
            ..kube::config::AuthInfo::default()
        };
        Self::of_config(kubeconfig, config, context, None, request_timeout)
    }

    fn of_config(
        kubeconfig: &Kubeconfig,
        mut config: Config,
        context: String,
        namespace: Option<&str>,
        request_timeout: Duration,
    ) -> Result<Self, OpenError> {
        config.proxy_url = kubeconfig.proxy_of(&context, &config.cluster_url)?;
        config.default_retry = false;
        config.connect_timeout = Some(request_timeout);
        let agent = http::HeaderValue::from_static(USER_AGENT);
        config.headers.push((http::header::USER_AGENT, agent));
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
        let server_ca = config.root_cert.as_deref().map(digest);
        let client =
            Client::try_from(config).map_err(|error| OpenError::of_client(&context, &error))?;
        let site = Self::from_client(context, namespace, client, request_timeout);
        Ok(Self { server_ca, ..site })
    }

    /// A site over a client that is there already.
    pub fn from_client(
        context: impl Into<String>,
        namespace: impl Into<String>,
        client: Client,
        request_timeout: Duration,
    ) -> Self {
        Self {
            context: context.into(),
            namespace: namespace.into(),
            client: with_deadline(client, request_timeout),
            request_timeout,
            server_ca: None,
            #[cfg(debug_assertions)]
            commands: None,
        }
    }

    /// The same site, whose containers are a simulation's.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn with_commands(self, commands: crate::exec::Commands) -> Self {
        Self {
            commands: Some(commands),
            ..self
        }
    }

    /// The same API server, another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            ..self.clone()
        }
    }

    /// The same site, at one of whose writes this process dies.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn dying_at(self, point: &Failpoint) -> Self {
        Self {
            client: point.arm(self.client.clone()),
            ..self
        }
    }

    /// Where an operator's cluster of this name would be.
    pub fn place(&self, cluster: &str) -> Place {
        Place {
            context: self.context.clone(),
            namespace: self.namespace.clone(),
            cluster: cluster.to_owned(),
        }
    }

    /// The objects of a resource in the site's namespace.
    pub fn objects(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// Awaits one request to its end, body included, within the request timeout.
    pub async fn call<T>(
        &self,
        verb: &'static str,
        object: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, CallError> {
        let late = || {
            kube::Error::Service(Box::new(DeadlinePassed {
                limit: self.request_timeout,
            }))
        };
        let answer = timeout(self.request_timeout, request).await;
        answer
            .unwrap_or_else(|_elapsed| Err(late()))
            .map_err(|error| CallError::new(self, verb, object, error))
    }
}

async fn load(kubeconfig: kube::config::Kubeconfig, context: &str) -> Result<Config, OpenError> {
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| OpenError::unusable(context, &error))
}

fn digest(certificates: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    for certificate in certificates {
        hash.update(certificate);
    }
    format!("{:x}", hash.finalize())
}

/// The same client, each of whose requests must be answered, as far as the answer's head, in time. What comes after the
/// head is not bounded here: an exec or a followed log lives as long as it wants.
fn with_deadline(client: Client, limit: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let began = clock::monotonic();
            let answer = timeout(limit, client.send(request)).await;
            let answer = answer.unwrap_or_else(|_elapsed| {
                Err(kube::Error::Service(Box::new(DeadlinePassed { limit })))
            });
            tell(&line, began, &answer);
            answer
        }
    });
    Client::new(service, namespace)
}

/// Logs a request with its answer, as `kubectl -v 6` does.
fn tell(line: &str, began: clock::Instant, answer: &kube::Result<http::Response<Body>>) {
    let took = clock::monotonic().duration_since(began).as_millis();
    match answer {
        Ok(answer) => tracing::info!("{line} {} in {took} ms", answer.status()),
        Err(error) => tracing::info!("{line} failed in {took} ms: {error}"),
    }
}
