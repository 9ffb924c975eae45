//! `kubectl pgha status`.

mod watch;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use pgha_core::client::SiteClient;
use pgha_core::clock;
use pgha_core::gitops::Closeness;
use pgha_core::survey::{
    Depth, Scope, ask_for_record, ask_postgres_instead, list_clusters, survey_with_owners,
};
use pgha_model::follow::Branch;
use pgha_model::service::{Side, judge_services};
use pgha_model::site::Place;
use pgha_model::survey::SiteSurvey;

use super::looked_at::{Asked, LookedAt};
use crate::args::{Format, StatusArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::status::{StatusView, Unseen};

/// How many clusters of one site are read at the same time.
const CLUSTERS_AT_ONCE: usize = 8;

/// Runs the command.
pub(crate) fn main(args: &StatusArgs, environment: &Environment) -> Exit {
    super::read(&args.common, environment, async |session, ui| {
        run(args, session, ui).await
    })
}

async fn run(args: &StatusArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    if args.watch && ui.format == Format::Name {
        return Err(Failure::usage("-w shows positions, and -o name has none"));
    }
    let asked = Asked {
        file: args.file.as_deref(),
        named: args.cluster.as_deref(),
        contexts: &args.contexts,
        everywhere: args.all_namespaces,
        changes: false,
    };
    let looked_at = LookedAt::open(asked, session, ui).await?;
    let question = Question {
        args,
        looked_at: &looked_at,
    };
    if args.watch {
        return watch::run(&question, ui).await;
    }
    let view = question.ask().await?;
    ui.show(&view)?;
    if view.is_empty() {
        ui.note(&question.nothing_there());
    }
    Ok(match view.complaint(ui.format) {
        None => Exit::Done,
        Some(complaint) => {
            ui.complain(&complaint);
            complaint.exit
        }
    })
}

/// What is asked, of whom.
struct Question<'a> {
    args: &'a StatusArgs,
    looked_at: &'a LookedAt,
}

impl Question<'_> {
    /// Reads every site at the same time. Errs only when nothing at all was seen and there is one reason for it.
    async fn ask(&self) -> Result<StatusView, Failure> {
        let seen_at = clock::now();
        let found = join_all(self.looked_at.sites.iter().map(|site| self.find(site))).await;
        // Positions are compared between sites: their reading begins when it is known at all of them what to read.
        let readings = self
            .looked_at
            .sites
            .iter()
            .zip(found)
            .map(|(site, places)| async move {
                match places {
                    Ok(places) => read_all(site, places).await,
                    Err(failure) => vec![Err(failure)],
                }
            });
        let mut surveys: Vec<SiteSurvey> = Vec::new();
        let mut unseen: Vec<Unseen> = Vec::new();
        for (site, readings) in self.looked_at.sites.iter().zip(join_all(readings).await) {
            for reading in readings {
                match reading {
                    Ok(survey) => surveys.push(survey),
                    Err(failure) => unseen.push(Unseen {
                        context: site.context.clone(),
                        cluster: self.looked_at.cluster.clone(),
                        failure,
                    }),
                }
            }
        }
        if let ([], [_]) = (surveys.as_slice(), unseen.as_slice()) {
            return Err(unseen.remove(0).failure);
        }
        self.look_closer(&mut surveys).await;
        let services = judge_services(&surveys, clock::now());
        Ok(StatusView::new(&services, &unseen, seen_at))
    }

    /// Asks the Postgres of a standby of which Patroni's words do not show on which branch it is.
    async fn look_closer(&self, surveys: &mut [SiteSurvey]) {
        let services = judge_services(surveys, clock::now());
        let sides = services.iter().flat_map(|service| &service.sides);
        let undecided: Vec<Place> = sides
            .filter(|side| is_undecided(side))
            .map(|side| side.survey.place.clone())
            .collect();
        let looks = surveys.iter_mut().filter_map(|survey| {
            let place = &survey.place;
            let is_of = |site: &&SiteClient| site.context == place.context;
            let site = self.looked_at.sites.iter().find(is_of)?;
            let site = site.in_namespace(place.namespace.clone());
            undecided
                .contains(place)
                .then_some(async move { ask_for_record(&site, survey).await })
        });
        join_all(looks).await;
    }

    /// Which clusters to read at a site.
    async fn find(&self, site: &SiteClient) -> Result<Vec<Place>, Failure> {
        let scope = match (&self.looked_at.cluster, self.args.all_namespaces) {
            (Some(cluster), false) => return Ok(vec![site.place(cluster)]),
            (_, false) => Scope::Namespace,
            (_, true) => Scope::AllNamespaces,
        };
        let mut places = list_clusters(site, scope)
            .await
            .map_err(|error| Failure::from(&error))?;
        if let Some(cluster) = &self.looked_at.cluster {
            places.retain(|place| place.cluster == *cluster);
            if places.is_empty() {
                let message = format!("`{}` has no Postgres cluster `{cluster}`", site.context);
                return Err(Failure::refused(message));
            }
        }
        Ok(places)
    }

    fn nothing_there(&self) -> String {
        if self.args.all_namespaces {
            return "No Postgres clusters were found.".to_owned();
        }
        let namespace = self
            .looked_at
            .sites
            .first()
            .map_or("", |site| site.namespace.as_str());
        format!("No Postgres clusters were found in namespace `{namespace}`; -A looks in all.")
    }
}

fn is_undecided(side: &Side<'_>) -> bool {
    let branch = side.following.as_ref().map(|following| &following.branch);
    matches!(branch, Some(Branch::Undecided { .. }))
}

async fn read_all(site: &SiteClient, places: Vec<Place>) -> Vec<Result<SiteSurvey, Failure>> {
    let readings = places.into_iter().map(|place| async move {
        let site = site.in_namespace(place.namespace);
        let (depth, closeness) = (Depth::Leader, Closeness::Signed);
        let mut survey = survey_with_owners(&site, &place.cluster, depth, closeness)
            .await
            .map_err(|error| Failure::from(&error))?;
        ask_postgres_instead(&site, &mut survey).await;
        Ok(survey)
    });
    stream::iter(readings)
        .buffered(CLUSTERS_AT_ONCE)
        .collect()
        .await
}
