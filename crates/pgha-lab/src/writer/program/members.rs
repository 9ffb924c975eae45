//! The lanes to single members: those named in the configuration, and pods as they come and go.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Config as ClientConfig, ResourceExt as _};
use pgha_judge::Purpose;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::MEMBER;
use super::lane::Lane;
use super::shared::Shared;
use crate::writer::PodWatch;

/// Follows the members of every site until the writer stops.
///
/// # Errors
/// The ledger cannot be written, or a kubeconfig cannot be used. An API server that is away is no
/// error: the members known so far are tried on.
pub(super) async fn follow(shared: Arc<Shared>) -> Result<()> {
    let mut sites = JoinSet::new();
    for site in 0..shared.config.sites.len() {
        sites.spawn(follow_site(Arc::clone(&shared), site));
    }
    while let Some(ended) = sites.join_next().await {
        ended.context("a watch of the writer panicked")??;
    }
    Ok(())
}

/// The lanes of one site, by address.
struct Lanes {
    shared: Arc<Shared>,
    site: usize,
    running: JoinSet<Result<()>>,
    /// What tells a lane that its member is gone.
    retire: HashMap<String, watch::Sender<bool>>,
    /// The address of each pod, by its name.
    pods: HashMap<String, String>,
}

async fn follow_site(shared: Arc<Shared>, site: usize) -> Result<()> {
    let endpoint = shared.config.sites[site].clone();
    let mut stopped = shared.stopped.clone();
    let running = JoinSet::new();
    let (retire, pods) = (HashMap::new(), HashMap::new());
    let mut lanes = Lanes {
        shared,
        site,
        running,
        retire,
        pods,
    };
    for address in endpoint.members {
        lanes.ensure(address);
    }
    let mut events = match &endpoint.watch {
        Some(watch) => watch_pods(watch).await?,
        None => futures::stream::pending().boxed(),
    };
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(ended) = lanes.running.join_next() => ended.context("a lane panicked")??,
            Some(event) = events.next() => lanes.take(&event, endpoint.watch.as_ref()),
        }
    }
    while let Some(ended) = lanes.running.join_next().await {
        ended.context("a lane panicked")??;
    }
    Ok(())
}

/// The pods that match, as the API server tells of them; failures are tried again for ever.
async fn watch_pods(
    watch: &PodWatch,
) -> Result<futures::stream::BoxStream<'static, watcher::Event<Pod>>> {
    let kubeconfig = Kubeconfig::read_from(&watch.kubeconfig)
        .with_context(|| format!("cannot read {}", watch.kubeconfig.display()))?;
    let options = KubeConfigOptions {
        context: Some(watch.context.clone()),
        ..KubeConfigOptions::default()
    };
    let config = ClientConfig::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .with_context(|| format!("cannot use the context {}", watch.context))?;
    let client = Client::try_from(config).context("cannot make a client")?;
    let pods: Api<Pod> = Api::namespaced(client, &watch.namespace);
    let events = watcher(pods, watcher::Config::default().labels(&watch.selector));
    let events = events.default_backoff().into_stream();
    Ok(events.filter_map(|event| async { event.ok() }).boxed())
}

impl Lanes {
    fn take(&mut self, event: &watcher::Event<Pod>, watch: Option<&PodWatch>) {
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
                if let Some((address, watch)) = address.zip(watch) {
                    let address = format!("{address}:{}", watch.port);
                    self.pods.insert(pod.name_any(), address.clone());
                    self.ensure(address);
                }
            }
            watcher::Event::Delete(pod) => {
                let address = self.pods.remove(&pod.name_any());
                if let Some(retire) = address.and_then(|address| self.retire.remove(&address)) {
                    retire.send_replace(true);
                }
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }

    fn ensure(&mut self, address: String) {
        if self.retire.contains_key(&address) {
            return;
        }
        let (retire, retired) = watch::channel(false);
        let lane = Lane::new(
            &self.shared,
            Purpose::Member,
            self.site,
            address.clone(),
            MEMBER,
        );
        self.running.spawn(lane.until_retired(retired).run());
        self.retire.insert(address, retire);
    }
}
