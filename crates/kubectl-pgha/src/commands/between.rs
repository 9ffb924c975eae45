//! The two sides that a command goes between: contexts of the kubeconfig, or sites of a service's file.

use std::time::Duration;

use pgha_core::client::SiteClient;
use pgha_core::diagnose::sanitised;
use pgha_core::engine::Side;
use pgha_model::site::{Part, Place};
use pgha_nlb::SiteName;
use pgha_nlb_kubernetes::Open;

use super::one_side;
use super::traffic::{Followers, ServiceFile};
use crate::args::BetweenArgs;
use crate::failure::Failure;
use crate::session::Session;

/// Both sides, as they were named.
#[derive(Debug)]
pub(crate) struct Between<'a> {
    file: Option<ServiceFile<'a>>,
    /// The operator's Postgres cluster.
    pub(crate) cluster: String,
    /// The context of the site that the command goes from.
    pub(crate) from: String,
    /// The context of the site that it goes to.
    pub(crate) to: String,
    namespace: Option<String>,
    /// What the service's file calls them.
    names: (SiteName, SiteName),
}

impl<'a> Between<'a> {
    /// Reads the service's file where one is named. `open` is for the contexts that its users come through.
    ///
    /// # Errors
    /// The file makes no sense, has no such sites, or both sides are one and the same.
    pub(crate) fn read(args: &'a BetweenArgs, open: &Open) -> Result<Self, Failure> {
        let BetweenArgs {
            cluster, from, to, ..
        } = args;
        let Some(path) = &args.file else {
            let from = from.clone().unwrap_or_default();
            if from == *to {
                return Err(Failure::usage("--from and --to name the same context"));
            }
            return Ok(Self {
                file: None,
                cluster: cluster.clone(),
                names: (from.as_str().into(), to.as_str().into()),
                from,
                to: to.clone(),
                namespace: None,
            });
        };
        let file = ServiceFile::read(path, cluster, open)?;
        let (source, target) = file.service.pair(from.as_deref(), to)?;
        Ok(Self {
            cluster: target.cluster.clone(),
            from: source.context.clone(),
            to: target.context.clone(),
            namespace: target.namespace.clone(),
            names: (source.name.clone(), target.name.clone()),
            file: Some(file),
        })
    }

    /// The API server of one of both contexts, in the namespace of the service where the file has one.
    ///
    /// # Errors
    /// There is no such context, or its credentials cannot be used.
    pub(crate) async fn site(
        &self,
        context: &str,
        session: &Session<'_>,
    ) -> Result<SiteClient, Failure> {
        let site = session.site(Some(context)).await?;
        Ok(match &self.namespace {
            Some(namespace) => site.in_namespace(namespace),
            None => site,
        })
    }

    /// Looks at both sides.
    ///
    /// # Errors
    /// One of them cannot be seen.
    pub(crate) async fn open(&self, session: &Session<'_>) -> Result<(Side, Side), Failure> {
        let (from, to) =
            tokio::try_join!(self.site(&self.from, session), self.site(&self.to, session))?;
        let (source, target) = Box::pin(async {
            tokio::join!(
                one_side::survey(&from, &self.cluster, Part::Source),
                one_side::survey(&to, &self.cluster, Part::Target)
            )
        })
        .await;
        Ok((source?, target?))
    }

    /// The users of the service, as far as can be seen before the move; `None` where no file tells of any.
    ///
    /// # Errors
    /// The file has no probe, or there is no place for the record of their move.
    pub(crate) async fn followers(
        &self,
        arrival: Duration,
        session: &Session<'_>,
    ) -> Result<Option<Followers<'_>>, Failure> {
        match &self.file {
            Some(file) => file.followers(&self.names.1, arrival, session).await,
            None => Ok(None),
        }
    }

    /// The command line that goes from one of both sides to the other, with the file where there is one: without it the users
    /// would stay behind.
    pub(crate) fn command(&self, verb: &str, from: &Place, to: &Place) -> String {
        let Some(file) = &self.file else {
            return from.command_toward(verb, to);
        };
        let name = |place: &Place| {
            if place.context == self.to {
                &self.names.1
            } else {
                &self.names.0
            }
        };
        format!(
            "kubectl pgha {verb} {} -f {} --from {} --to {}",
            file.service.name,
            sanitised(&file.path.display().to_string()),
            name(from),
            name(to)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::session::nowhere;

    const FILE: &str = "\
apiVersion: pgha.dev/v1alpha1
kind: Service
metadata: { name: iam }
spec:
  sites:
    - { name: east, context: core1, namespace: prod, cluster: zitadel }
    - { name: west, context: core2, namespace: prod, cluster: zitadel }
";

    fn place(context: &str) -> Place {
        Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "zitadel".to_owned(),
        }
    }

    #[test]
    fn a_command_goes_on_as_the_sides_were_named() {
        let mut args = BetweenArgs {
            cluster: "zitadel".to_owned(),
            file: None,
            from: Some("core1".to_owned()),
            to: "core2".to_owned(),
        };
        let (source, target) = (place("core1"), place("core2"));
        let named = Between::read(&args, &nowhere()).unwrap();
        assert_eq!(
            named.command("resume", &source, &target),
            "kubectl pgha resume zitadel -n prod --from core1 --to core2"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iam.yaml");
        fs::write(&path, FILE).unwrap();
        args = BetweenArgs {
            cluster: "iam".to_owned(),
            file: Some(path.clone()),
            from: None,
            to: "west".to_owned(),
        };
        let filed = Between::read(&args, &nowhere()).unwrap();
        assert_eq!((filed.from.as_str(), filed.to.as_str()), ("core1", "core2"));
        assert_eq!(
            filed.command("switchover", &target, &source),
            format!(
                "kubectl pgha switchover iam -f {} --from west --to east",
                path.display()
            )
        );
    }

    #[test]
    fn one_context_is_no_two_sides() {
        let args = BetweenArgs {
            cluster: "zitadel".to_owned(),
            file: None,
            from: Some("core1".to_owned()),
            to: "core1".to_owned(),
        };
        assert!(Between::read(&args, &nowhere()).is_err());
    }
}
