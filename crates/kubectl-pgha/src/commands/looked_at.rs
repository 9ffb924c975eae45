//! What a command looks at: contexts of the kubeconfig, or the sites of a service's file.

use std::path::Path;

use pgha_core::client::SiteClient;

use super::tell_current;
use crate::failure::Failure;
use crate::service::Service;
use crate::session::Session;
use crate::ui::Ui;

/// The sites that are asked, and for which cluster.
pub(crate) struct LookedAt {
    /// Each once, in the namespace of the service where a file names one.
    pub(crate) sites: Vec<SiteClient>,
    /// The operator's cluster; `None` for all.
    pub(crate) cluster: Option<String>,
}

impl LookedAt {
    /// Reads the service's file where one is named: `named` is the service then, and the cluster otherwise.
    ///
    /// # Errors
    /// The file makes no sense or is of another service, its sites have clusters of different names, there is no such context, or
    /// its credentials cannot be used.
    pub(crate) async fn open(
        file: Option<&Path>,
        named: Option<&str>,
        contexts: &[String],
        session: &Session<'_>,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        let Some(path) = file else {
            let sites = session.sites(contexts).await?;
            if let (Some(site), true) = (sites.first(), contexts.is_empty()) {
                tell_current(ui, None, site);
            }
            let cluster = named.map(str::to_owned);
            return Ok(Self { sites, cluster });
        };
        let service = Service::read(path)?;
        if let Some(named) = named {
            service.check_name(named)?;
        }
        let cluster = service.cluster()?.to_owned();
        let mut sites = Vec::new();
        for site in &service.sites {
            let namespace = site.namespace.as_deref();
            sites.push(session.site_in(&site.context, namespace).await?);
        }
        Ok(Self {
            sites,
            cluster: Some(cluster),
        })
    }
}
