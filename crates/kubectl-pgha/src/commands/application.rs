//! The application of a service in a move: what leaves one site and enters the other.

use std::borrow::Cow;
use std::time::Duration;

use pgha_core::application::{ApplicationError, denied, obstacles, owners, replicas, start, stop};
use pgha_core::client::{CallError, SiteClient};
use pgha_core::diagnose::chain_of;
use pgha_model::application::{AppStep, Application, Count, Scale};
use pgha_model::effect::Effect;
use pgha_nlb::SiteName;

use super::moving::LONGEST_STEP;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::ui::{Span, Style, Ui};
use crate::view::application::ApplicationView;

/// Which of both sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toward {
    /// The one that the command goes from.
    Source,
    /// The one that it goes to.
    Target,
}

/// A site with its name in the service's file, and why it cannot be used where it cannot.
pub(crate) type NamedSite = (SiteName, Result<SiteClient, Failure>);

/// The application at both sites, as it was seen before the move.
pub(crate) struct AppMove<'a> {
    steps: &'a [AppStep],
    source: NamedSite,
    target: NamedSite,
    /// How many pods each workload has at the source, or had before it was stopped.
    at_source: Vec<Count>,
    /// To how many it is started at the target.
    at_target: Vec<Count>,
    /// Whether every workload runs where it would be started.
    runs: (bool, bool),
    /// Who else writes its objects, at each site, in sentences.
    owners: Vec<String>,
}

impl<'a> AppMove<'a> {
    /// Looks at the workloads of both sites. `before` is what an earlier move noted; a source that `may_be_gone` and does not
    /// answer is no error.
    ///
    /// # Errors
    /// Something is not permitted, cannot be seen, or nothing says how many pods to start.
    pub(crate) async fn look(
        steps: &'a [AppStep],
        source: NamedSite,
        target: NamedSite,
        before: &[Count],
        toward: Toward,
        may_be_gone: bool,
    ) -> Result<Self, Failure> {
        let seen = tokio::join!(look_at(&source, steps), look_at(&target, steps));
        let (at_target, target_owners) = seen.1?;
        let (at_source, mut owners) = match seen.0 {
            Ok(seen) => seen,
            Err(_) if may_be_gone => (Vec::new(), Vec::new()),
            Err(failure) => return Err(failure),
        };
        let runs = |counts: &[Count]| counts.iter().all(|count| count.replicas > 0);
        let runs = (runs(&at_source) && !at_source.is_empty(), runs(&at_target));
        let at_source = remembered(at_source, before);
        let at_target = match toward {
            Toward::Source => Vec::new(),
            Toward::Target => wanted(steps, &at_source, before, &at_target, &target.0)?,
        };
        owners.extend(target_owners);
        Ok(Self {
            steps,
            source,
            target,
            at_source,
            at_target,
            runs,
            owners,
        })
    }

    /// What stops at the source.
    pub(crate) fn leaving(&self) -> Application {
        Application {
            steps: at_site(self.steps, &self.source.0),
            counts: self.at_source.clone(),
        }
    }

    /// Whether every workload has pods there already, and nothing is done there all the same.
    pub(crate) fn rests_at(&self, toward: Toward) -> bool {
        let runs = match toward {
            Toward::Source => self.runs.0,
            Toward::Target => self.runs.1,
        };
        runs && !self.steps.iter().any(AppStep::acts)
    }

    /// What changes of it where it enters a site, and before where it leaves the source.
    pub(crate) fn view(&self, toward: Toward, leaves: bool) -> ApplicationView {
        let ((site, _), counts) = self.at(toward);
        let leaves = leaves.then_some(&self.source.0);
        ApplicationView::new(self.steps, counts, site, leaves).owned_by(&self.owners)
    }

    /// Who else writes its objects, in sentences.
    pub(crate) fn owners(&self) -> &[String] {
        &self.owners
    }

    const fn at(&self, toward: Toward) -> (&NamedSite, &Vec<Count>) {
        match toward {
            Toward::Source => (&self.source, &self.at_source),
            Toward::Target => (&self.target, &self.at_target),
        }
    }

    /// Starts it at a site, and waits until it is ready there: what was seen, as a full sentence.
    ///
    /// # Errors
    /// It was not seen to be; what was started stays.
    pub(crate) async fn enter(
        &self,
        toward: Toward,
        limit: Duration,
        ui: &Ui,
    ) -> Result<String, Failure> {
        let ((name, site), counts) = self.at(toward);
        let site = site.as_ref().map_err(Failure::clone)?;
        let application = Application {
            steps: at_site(self.steps, name),
            counts: counts.clone(),
        };
        let mut tell = |text: String| say(name, &text, Style::Dim, ui);
        let limit = limit.min(LONGEST_STEP);
        let started = Box::pin(start(site, &application, limit, &mut tell));
        seen(started, "be ready at", name).await
    }
}

/// Stops it at a site that is a standby: there it could only fail.
///
/// # Errors
/// It was not seen to be gone; what was stopped stays so.
pub(crate) async fn leave(
    steps: &[AppStep],
    (name, site): (&SiteName, &SiteClient),
    limit: Duration,
    ui: &Ui,
) -> Result<(), Failure> {
    let application = Application {
        steps: at_site(steps, name),
        counts: Vec::new(),
    };
    let mut tell = |text: String| say(name, &text, Style::Dim, ui);
    let limit = limit.min(LONGEST_STEP);
    let stopped = Box::pin(stop(site, &application, limit, &mut tell));
    let evidence = seen(stopped, "stop at", name).await?;
    say(name, &evidence, Style::Good, ui);
    Ok(())
}

/// The steps at a site, whose name a URL may have in it.
fn at_site(steps: &[AppStep], site: &SiteName) -> Vec<AppStep> {
    let steps = steps.iter().map(|step| step.at_site(site.as_str()));
    steps.map(Cow::into_owned).collect()
}

fn say(site: &SiteName, text: &str, style: Style, ui: &Ui) {
    let lead = Span::new(format!("application at {site} "), style);
    ui.progress([lead, Span::plain(text)]);
}

/// What came of the work at a site, unless it was interrupted.
async fn seen(
    work: impl Future<Output = Result<String, ApplicationError>>,
    to: &str,
    site: &SiteName,
) -> Result<String, Failure> {
    let done = unless_interrupted(async { Ok(work.await) }).await?;
    done.map_err(|error| {
        let text = format!("the application was not seen to {to} {site}");
        Failure::stopped(Exit::Held, text, Effect::Unknown).because(vec![chain_of(&error)])
    })
}

/// The workloads' counts at a site, once everything that the steps do there is seen to be permitted, and who else writes their objects.
async fn look_at(
    (name, site): &NamedSite,
    steps: &[AppStep],
) -> Result<(Vec<Count>, Vec<String>), Failure> {
    let site = site.as_ref().map_err(Failure::clone)?;
    let steps = &at_site(steps, name);
    let unseen = |error: CallError| Failure::from(&error);
    let denied = denied(site, steps).await.map_err(unseen)?;
    if !denied.is_empty() {
        let text = format!("the application of {} may not be moved", site.context);
        return Err(Failure::refused(text)
            .because(denied)
            .hinting("Ask for a Role with these verbs: manifests/rbac/application.yaml."));
    }
    let obstacles = obstacles(site, steps).await.map_err(unseen)?;
    if !obstacles.is_empty() {
        let text = format!("the application of {} could not be moved", site.context);
        return Err(Failure::refused(text)
            .because(obstacles)
            .hinting("Mend that, or what spec.app of the service's file says of it."));
    }
    let mut counts = Vec::new();
    for scale in scales(steps) {
        let replicas = replicas(site, scale).await.map_err(unseen)?;
        let at = scale.at();
        counts.push(Count { at, replicas });
    }
    let mut told = Vec::new();
    for (at, owners) in owners(site, steps).await {
        let owners = owners.iter();
        told.extend(owners.map(|owner| format!("{at} at {name}: {}", owner.told())));
    }
    Ok((counts, told))
}

fn scales(steps: &[AppStep]) -> impl Iterator<Item = &Scale> {
    steps.iter().filter_map(|step| {
        let AppStep::Scale(scale) = step else {
            return None;
        };
        Some(scale)
    })
}

/// What an earlier move has stopped had as many pods as it noted.
fn remembered(mut counts: Vec<Count>, before: &[Count]) -> Vec<Count> {
    for count in counts.iter_mut().filter(|count| count.replicas == 0) {
        if let Some(noted) = before.iter().find(|noted| noted.at == count.at) {
            count.replicas = noted.replicas;
        }
    }
    counts
}

/// To how many pods each workload is started: what the file says, else as many as at the site that is left, else as many as it
/// has there already.
fn wanted(
    steps: &[AppStep],
    at_source: &[Count],
    before: &[Count],
    at_target: &[Count],
    target: &SiteName,
) -> Result<Vec<Count>, Failure> {
    let mut counts = Vec::new();
    for scale in scales(steps) {
        let at = scale.at();
        let of = |counts: &[Count]| {
            let found = counts.iter().find(|count| count.at == at);
            found.map(|count| count.replicas).filter(|it| *it > 0)
        };
        let replicas = scale
            .count
            .or_else(|| of(at_source))
            .or_else(|| of(before))
            .or_else(|| of(at_target));
        let Some(replicas) = replicas else {
            let text = format!("nothing says how many pods {at} is to have at {target}");
            return Err(Failure::refused(text)
                .because(vec!["it has none at either site".to_owned()])
                .hinting("Give it a `count` in the service's file."));
        };
        counts.push(Count { at, replicas });
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn steps() -> Vec<AppStep> {
        let text = json!([
            {"scale": {"object": "deployment/a"}},
            {"scale": {"object": "deployment/b", "count": 5}},
        ]);
        serde_json::from_value(text).unwrap()
    }

    fn counts(steps: &[AppStep], replicas: [u32; 2]) -> Vec<Count> {
        let pairs = steps.iter().zip(replicas);
        pairs
            .map(|(step, replicas)| Count {
                at: step.object().unwrap(),
                replicas,
            })
            .collect()
    }

    fn started(source: [u32; 2], before: [u32; 2], target: [u32; 2]) -> Option<[u32; 2]> {
        let steps = steps();
        let [source, before, target] = [source, before, target].map(|it| counts(&steps, it));
        let source = remembered(source, &before);
        let wanted = wanted(&steps, &source, &before, &target, &"west".into()).ok()?;
        Some([wanted[0].replicas, wanted[1].replicas])
    }

    #[test]
    fn the_file_counts_then_the_source_then_the_record_then_the_target() {
        assert_eq!(started([2, 2], [9, 9], [4, 4]), Some([2, 5]));
        assert_eq!(started([0, 0], [3, 0], [4, 4]), Some([3, 5]));
        assert_eq!(started([0, 0], [0, 0], [4, 0]), Some([4, 5]));
        assert_eq!(started([0, 0], [0, 0], [0, 0]), None);
    }

    #[test]
    fn what_ran_at_the_source_is_what_the_earlier_move_noted_once_it_was_stopped() {
        let steps = steps();
        let now = counts(&steps, [0, 1]);
        let noted = counts(&steps, [2, 7]);
        let kept = remembered(now, &noted);
        assert_eq!((kept[0].replicas, kept[1].replicas), (2, 1));
    }
}
