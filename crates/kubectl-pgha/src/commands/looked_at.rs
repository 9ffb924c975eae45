//! What a command looks at: contexts of the kubeconfig, or the sites of a service's file.

use std::path::Path;

use pgha_core::client::SiteClient;

use super::by_file::{self, FileAt};
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
    /// The service, where a file names one.
    pub(crate) service: Option<Service>,
}

/// Where a command was told to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The service's file.
    pub(crate) file: Option<&'a Path>,
    /// The service where there is a file, and the cluster otherwise.
    pub(crate) named: Option<&'a str>,
    /// The contexts; with a `ConfigMap` the one that it is in.
    pub(crate) contexts: &'a [String],
    /// Whether every namespace is to be looked at.
    pub(crate) everywhere: bool,
    /// Whether the command changes anything.
    pub(crate) changes: bool,
}

impl LookedAt {
    /// Reads the service's file where one is named, or lies here and nothing else says where to look.
    ///
    /// # Errors
    /// The file makes no sense or is of another service, its sites have clusters of different names, there is no such context, or
    /// its credentials cannot be used.
    pub(crate) async fn open(
        asked: Asked<'_>,
        session: &Session<'_>,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        if let Some(service) = asked.service(session, ui).await? {
            let looked_at = Self::of(&service, session).await?;
            return Ok(Self {
                service: Some(service),
                ..looked_at
            });
        }
        let sites = session.sites(asked.contexts).await?;
        if let (Some(site), true) = (sites.first(), asked.contexts.is_empty()) {
            tell_current(ui, None, site);
        }
        let cluster = asked.named.map(str::to_owned);
        Ok(Self {
            sites,
            cluster,
            service: None,
        })
    }

    /// The sites of a service.
    pub(super) async fn of(service: &Service, session: &Session<'_>) -> Result<Self, Failure> {
        let cluster = service.cluster()?.to_owned();
        let mut sites = Vec::new();
        for site in &service.sites {
            let namespace = site.namespace.as_deref();
            sites.push(session.site_in(&site.context, namespace).await?);
        }
        Ok(Self {
            sites,
            cluster: Some(cluster),
            service: None,
        })
    }
}

impl Asked<'_> {
    async fn service(&self, session: &Session<'_>, ui: &Ui) -> Result<Option<Service>, Failure> {
        let settings = session.settings();
        if let Some(file) = self.file {
            let context = match self.contexts {
                [] => None,
                [context] => Some(context.as_str()),
                _ => {
                    return Err(Failure::usage(
                        "--file and more than one --context were given",
                    ));
                }
            };
            let at = FileAt {
                file,
                context,
                changes: self.changes,
            };
            let service = by_file::open(at, self.named, settings, ui).await?;
            return Ok(Some(service));
        }
        let is_open = self.contexts.is_empty() && !self.everywhere && settings.namespace.is_none();
        if !is_open {
            return Ok(None);
        }
        let service = by_file::default(self.named)?;
        if service.is_some() {
            by_file::tell(ui);
        }
        Ok(service)
    }
}
