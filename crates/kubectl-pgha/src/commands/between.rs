//! The two sides that a command goes between: contexts of the kubeconfig, or sites of a service's file.

use std::time::Duration;

use pgha_core::client::SiteClient;
use pgha_core::engine::{Declare, Side};
use pgha_desired::Planned;
use pgha_model::application::{Count, last_counts};
use pgha_model::site::{Part, Place};
use pgha_nlb::SiteName;

use super::application::{NamedSite, Toward, leave};
use super::by_file::{self, FileAt};
use super::desired::Names;
use super::following::{Followers, Following, ServiceFile};
use super::{desired, moving, one_side};
use crate::args::{BetweenArgs, OwnersArgs};
use crate::failure::Failure;
use crate::service::{Git, Service, Telling};
use crate::session::{Reach, Session};
use crate::ui::Ui;

/// Both sides, as they were named.
#[derive(Debug)]
pub(crate) struct Between {
    file: Option<ServiceFile>,
    /// The operator's Postgres cluster.
    pub(crate) cluster: String,
    /// The context of the site that the command goes from.
    pub(crate) from: String,
    /// The context of the site that it goes to.
    pub(crate) to: String,
    namespace: Option<String>,
    /// What the service's file calls them.
    names: (SiteName, SiteName),
    /// When Git is told; `None` where only the clusters are changed.
    pub(crate) git: Option<Git>,
}

impl Between {
    /// Both sides as the command line names them: by the service's file where one is named, or lies here and nothing else says
    /// where they are. `changes` is whether the command changes anything.
    ///
    /// # Errors
    /// The file makes no sense, has no such sites, or both sides are one and the same.
    pub(crate) async fn read(
        args: &BetweenArgs,
        changes: bool,
        session: &Session<'_>,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        match service(args, changes, session, ui).await? {
            Some(service) => {
                if changes {
                    service.refuse_repository()?;
                }
                Self::of_service(service, args, &Reach::of(session.settings()))
            }
            None => Self::of_contexts(args),
        }
    }

    /// The same for a command that moves the primary, and has Git say so where the service's file names a repository.
    ///
    /// # Errors
    /// As above; or Git cannot be told in the way that is asked for.
    pub(crate) async fn read_moving(
        args: &BetweenArgs,
        telling: Telling,
        session: &Session<'_>,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        let Some(service) = service(args, true, session, ui).await? else {
            if telling != Telling::Afterwards {
                return Self::of_contexts(args);
            }
            return Err(Failure::usage(
                "--fast commits what a service's file says, and there is none",
            )
            .hinting("Name it with --file; its spec.change says what is committed where."));
        };
        match telling {
            Telling::Beforehand => service.refuse_merge_requests()?,
            Telling::Afterwards => service.refuse_direct()?,
            Telling::AsBegun => {}
        }
        let git = service.desired()?.map(|desired| {
            if telling == Telling::Afterwards || desired.is_by_merge_request() {
                Git::Follows
            } else {
                Git::Leads
            }
        });
        let between = Self::of_service(service, args, &Reach::of(session.settings()))?;
        Ok(Self { git, ..between })
    }

    /// The service whose file names a repository that is changed with it.
    pub(crate) fn committing(&self) -> Option<&Service> {
        self.git.and_then(|_| self.service())
    }

    /// What has Git say first what each side is to be; `None` where it is said afterwards, or nowhere.
    pub(crate) fn declare(&self, source: &Side) -> Option<Declare<'_>> {
        let leads = self.git == Some(Git::Leads);
        let service = self.service().filter(|_| leads)?;
        let names = Names::of(service, source);
        desired::declare(service, names, (&self.names.0, &self.names.1))
    }

    /// Both sides, whose owners are held where that was asked for, or where Git is changed with the move.
    ///
    /// # Errors
    /// An owner's own object could not be read, or an owner could end the operator's pause.
    pub(crate) async fn holding(
        &self,
        owners: OwnersArgs,
        source: Side,
        target: Side,
    ) -> Result<(Side, Side), Failure> {
        let owners = self.owners(owners);
        let (source, target) = moving::holding_both(owners, source, target).await?;
        if self.git.is_none() {
            return Ok((source, target));
        }
        Ok((moving::through_git(source)?, moving::through_git(target)?))
    }

    /// What is to be done about owners: they are held where Git is changed with the move.
    pub(crate) fn owners(&self, owners: OwnersArgs) -> OwnersArgs {
        OwnersArgs {
            hold_owners: owners.hold_owners || self.git.is_some(),
            ..owners
        }
    }

    /// The service's file, where there is one.
    pub(crate) fn service(&self) -> Option<&Service> {
        self.file.as_ref().map(|file| &file.service)
    }

    /// Two contexts.
    ///
    /// # Errors
    /// One is missing, or they are one and the same.
    pub(super) fn of_contexts(args: &BetweenArgs) -> Result<Self, Failure> {
        let BetweenArgs {
            cluster, from, to, ..
        } = args;
        let from = from.clone().ok_or_else(|| {
            Failure::usage("--from is missing, which a service's file would make up for").hinting(format!(
                "Name both contexts with --from and --to, or the file with --file: without that ./pgha.yaml is used where it has the \
                 service {cluster}, and no --namespace is given."
            ))
        })?;
        if from == *to {
            return Err(Failure::usage("--from and --to name the same context"));
        }
        Ok(Self {
            file: None,
            git: None,
            cluster: cluster.clone(),
            names: (from.as_str().into(), to.as_str().into()),
            from,
            to: to.clone(),
            namespace: None,
        })
    }

    fn of_service(service: Service, args: &BetweenArgs, reach: &Reach) -> Result<Self, Failure> {
        let file = ServiceFile::new(service, reach)?;
        let (source, target) = file.service.pair(args.from.as_deref(), &args.to)?;
        Ok(Self {
            cluster: target.cluster.clone(),
            from: source.context.clone(),
            to: target.context.clone(),
            namespace: target.namespace.clone(),
            names: (source.name.clone(), target.name.clone()),
            git: None,
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
        session.site_in(context, self.namespace.as_deref()).await
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

    /// The application and the users of the service, as far as can be seen before they follow; `None` where no file tells of
    /// any.
    ///
    /// # Errors
    /// The file has no probe, or there is no place for the record of the users' move.
    pub(crate) async fn followers(
        &self,
        asked: Asked,
        arrival: Duration,
        session: &Session<'_>,
    ) -> Result<Option<Followers<'_>>, Failure> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let (source, target) = (&self.names.0, &self.names.1);
        let following = Following {
            from: source,
            to: target,
            sites: self.application_sites(session).await,
            toward: asked.toward,
            before: asked.before,
            leaves: asked.leaves,
            may_be_gone: asked.may_be_gone,
            arrival,
            by_file: flags_of(file, source, target),
        };
        file.followers(following, session).await
    }

    /// Both commits of the move in the repository of the service's desired state, as they would be now; `None` where clusters are
    /// changed directly.
    ///
    /// # Errors
    /// The repository is not as it must be, or more would change there than was expected.
    pub(crate) async fn planned(&self) -> Result<Option<Planned>, Failure> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let desired = file.service.desired()?;
        let (source, target) = (&self.names.0, &self.names.1);
        let change = desired.and_then(|it| it.change(&file.service.name, source, target));
        match change {
            None => Ok(None),
            Some(change) => {
                let planned = change.plan().await;
                planned.map(Some).map_err(|error| Failure::from(&error))
            }
        }
    }

    /// Both sites, opened only for an application: a credential plug-in may run for each.
    async fn application_sites(&self, session: &Session<'_>) -> Option<(NamedSite, NamedSite)> {
        if !self.has_application() {
            return None;
        }
        let (source, target) =
            tokio::join!(self.site(&self.from, session), self.site(&self.to, session));
        Some((
            (self.names.0.clone(), source),
            (self.names.1.clone(), target),
        ))
    }

    /// Has the application leave the site that the command goes from, which is a standby; nothing where the file has none.
    ///
    /// # Errors
    /// It was not seen to be gone.
    pub(crate) async fn leave_source(
        &self,
        limit: Duration,
        session: &Session<'_>,
        ui: &Ui,
    ) -> Result<(), Failure> {
        let Some(file) = self.file.as_ref().filter(|_| self.has_application()) else {
            return Ok(());
        };
        let site = self.site(&self.from, session).await?;
        leave(&file.service.app, (&self.names.0, &site), limit, ui).await
    }

    /// Whether the service's file tells of an application.
    pub(crate) fn has_application(&self) -> bool {
        let file = self.file.as_ref();
        file.is_some_and(|file| !file.service.app.is_empty())
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
            "kubectl pgha {verb} {}",
            flags_of(file, name(from), name(to))
        )
    }
}

/// Who follows, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Which site is entered.
    pub(crate) toward: Toward,
    /// What an earlier move noted of the application.
    pub(crate) before: Vec<Count>,
    /// Whether the application leaves the source before.
    pub(crate) leaves: bool,
    /// A source that does not answer is no error.
    pub(crate) may_be_gone: bool,
}

impl Asked {
    /// Those who follow to the site that the command goes to, as these sides' records tell.
    pub(crate) fn to_target<'a>(sides: impl IntoIterator<Item = &'a Side>) -> Self {
        let journals = sides
            .into_iter()
            .filter_map(|side| side.journal.as_ref().ok());
        Self {
            toward: Toward::Target,
            before: last_counts(&journals.collect::<Vec<_>>()),
            leaves: false,
            may_be_gone: false,
        }
    }
}

fn flags_of(file: &ServiceFile, from: &SiteName, to: &SiteName) -> String {
    let Service { name, origin, .. } = &file.service;
    format!("{name} {} --from {from} --to {to}", origin.flags)
}

/// The service of the file that is named, or of the one that lies here and is meant: the command line says where to look by two
/// contexts or a namespace, and by nothing else.
async fn service(
    args: &BetweenArgs,
    changes: bool,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Option<Service>, Failure> {
    let named = Some(args.cluster.as_str());
    let settings = session.settings();
    if let Some(file) = &args.file {
        let at = FileAt {
            file,
            context: args.config_map.context.as_deref(),
            changes,
        };
        return by_file::open(at, named, settings, ui).await.map(Some);
    }
    if settings.namespace.is_some() {
        return Ok(None);
    }
    let sites = [args.from.as_deref(), Some(args.to.as_str())];
    let has = |service: &Service| {
        let mut sites = sites.iter().flatten();
        sites.all(|site| service.site(&(*site).into()).is_ok())
    };
    let is_context = |site: &str| session.contexts().any(|context| context == site);
    if sites.iter().all(|site| site.is_some_and(is_context)) {
        // What lies here is not used, so that it need not make sense.
        if matches!(by_file::default(named), Ok(Some(service)) if has(&service)) {
            by_file::tell_unused(ui);
        }
        return Ok(None);
    }
    let service = by_file::default(named)?;
    let service = service.filter(|service| args.from.is_none() || has(service));
    if service.is_some() {
        by_file::tell(ui);
    }
    Ok(service)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::args::ConfigMapArgs;
    use crate::service::read_path;

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
            config_map: ConfigMapArgs::default(),
            from: Some("core1".to_owned()),
            to: "core2".to_owned(),
        };
        let (source, target) = (place("core1"), place("core2"));
        let named = Between::of_contexts(&args).unwrap();
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
            config_map: ConfigMapArgs::default(),
            from: None,
            to: "west".to_owned(),
        };
        let service = read_path(&path).unwrap().choose(Some("iam")).unwrap();
        let filed = Between::of_service(service, &args, &Reach::none()).unwrap();
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
            config_map: ConfigMapArgs::default(),
            from: Some("core1".to_owned()),
            to: "core1".to_owned(),
        };
        assert!(Between::of_contexts(&args).is_err());
    }
}
