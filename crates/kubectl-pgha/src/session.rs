//! The sites that a command works with: one client for each named context.

use std::sync::Arc;
use std::time::Duration;

use pgha_core::client::{Kubeconfig, SiteClient};
use pgha_core::oidc::{Token, token_of_user};
use pgha_nlb_kubernetes::{Open, Opened};

use crate::failure::Failure;
#[cfg(feature = "aws")]
use crate::settings::Aws;
use crate::settings::Settings;

/// Longer than whoever uses such a client waits.
const BOUNDED_BY_ITS_USER: Duration = Duration::from_hours(1);

/// What backends may use of this process.
pub(crate) struct Reach {
    /// Opens contexts later, each when it is needed first, in its own namespace.
    pub(crate) open: Open,
    /// What requests to AWS may be signed with.
    #[cfg(feature = "aws")]
    pub(crate) aws: Aws,
}

impl Reach {
    /// What there is in these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            open: opener(settings),
            #[cfg(feature = "aws")]
            aws: settings.aws.clone(),
        }
    }

    /// What opens nothing.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            open: Arc::new(|context| Box::pin(async { Err(context) })),
            #[cfg(feature = "aws")]
            aws: Aws::default(),
        }
    }
}

fn opener(settings: &Settings) -> Open {
    let settings = Arc::new(Settings {
        namespace: None,
        request_timeout: BOUNDED_BY_ITS_USER,
        ..settings.clone()
    });
    Arc::new(move |context| {
        let settings = Arc::clone(&settings);
        Box::pin(async move {
            let session = Session::open(&settings).map_err(|failure| failure.in_one_line())?;
            let site = session.site(Some(&context)).await;
            let site = site.map_err(|failure| failure.in_one_line())?;
            let (client, namespace) = (site.client, site.namespace);
            Ok(Opened { client, namespace })
        })
    })
}

/// The kubeconfig, read once.
pub(crate) struct Session<'a> {
    settings: &'a Settings,
    kubeconfig: Kubeconfig,
}

impl<'a> Session<'a> {
    /// Reads the kubeconfig. Nothing is sent anywhere.
    pub(crate) fn open(settings: &'a Settings) -> Result<Self, Failure> {
        let kubeconfig =
            Kubeconfig::read(&settings.kubeconfig).map_err(|error| Failure::from(&error))?;
        Ok(Self {
            settings,
            kubeconfig: kubeconfig
                .with_kuberc(settings.kuberc.clone())
                .with_proxy(settings.proxy.clone()),
        })
    }

    /// What this command works with.
    pub(crate) const fn settings(&self) -> &Settings {
        self.settings
    }

    /// The site of a context, or of the current one.
    pub(crate) async fn site(&self, context: Option<&str>) -> Result<SiteClient, Failure> {
        let site = SiteClient::open(
            &self.kubeconfig,
            context,
            self.settings.namespace.as_deref(),
            self.settings.request_timeout,
        )
        .await
        .map_err(|error| Failure::from(&error))?;
        #[cfg(debug_assertions)]
        if let Some(point) = &self.settings.die_at {
            return Ok(site.dying_at(point));
        }
        Ok(site)
    }

    /// The site of a context, in this namespace where one is named.
    pub(crate) async fn site_in(
        &self,
        context: &str,
        namespace: Option<&str>,
    ) -> Result<SiteClient, Failure> {
        let site = self.site(Some(context)).await?;
        Ok(match namespace {
            Some(namespace) => site.in_namespace(namespace),
            None => site,
        })
    }

    /// The site of a context, with a token in place of its own credentials.
    pub(crate) async fn site_with_token(
        &self,
        context: &str,
        token: &Token,
    ) -> Result<SiteClient, Failure> {
        let limit = self.settings.request_timeout;
        SiteClient::open_with_token(&self.kubeconfig, context, token, limit)
            .await
            .map_err(|error| Failure::from(&error))
    }

    /// The token of one of its users.
    pub(crate) async fn token_of_user(&self, user: &str) -> Result<Token, Failure> {
        let token = token_of_user(&self.kubeconfig, user).await;
        token.map_err(|error| Failure::from(&error))
    }

    /// The sites of these contexts, each once; without any, the current one's.
    pub(crate) async fn sites(&self, contexts: &[String]) -> Result<Vec<SiteClient>, Failure> {
        if contexts.is_empty() {
            return Ok(vec![self.site(None).await?]);
        }
        let mut sites: Vec<SiteClient> = Vec::new();
        for context in contexts {
            if sites.iter().all(|site| site.context != *context) {
                sites.push(self.site(Some(context)).await?);
            }
        }
        Ok(sites)
    }

    /// The names of the contexts.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = &str> {
        self.kubeconfig.contexts()
    }
}
