//! Users who follow a move of the database.

use std::path::Path;
use std::time::Duration;

use pgha_nlb::SiteName;
use tokio::sync::oneshot::Receiver;

use super::cutover::{Arrived, Cutover, Patience, Prepared};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::{Service, Traffic, build};
use crate::session::Session;
use crate::ui::{Span, Style, Ui, period};
use crate::view::traffic::PlansView;

/// As many new users in a row, on each probe, are proof.
const SAMPLES: u32 = 3;

/// A service's file, with what moves its users where it names that.
#[derive(Debug)]
pub(crate) struct ServiceFile<'a> {
    path: &'a Path,
    /// The service.
    pub(crate) service: Service,
    traffic: Option<Traffic>,
}

impl<'a> ServiceFile<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// It makes no sense, or is not of the service that was named.
    pub(crate) fn read(path: &'a Path, named: &str) -> Result<Self, Failure> {
        let service = Service::read(path)?;
        if service.name != named {
            let text = format!("the file is of service {}, not of {named}", service.name);
            return Err(Failure::usage(text));
        }
        let has_users = !service.traffic.is_empty();
        let traffic = has_users.then(|| build(&service, path)).transpose()?;
        Ok(Self {
            path,
            service,
            traffic,
        })
    }

    /// Its users, looked at as far as can be before the move; `None` when the file says nothing of them.
    ///
    /// # Errors
    /// They could not follow.
    pub(crate) async fn followers(
        &self,
        to: &SiteName,
        arrival: Duration,
        session: &Session<'_>,
    ) -> Result<Option<Followers<'_>>, Failure> {
        let Some(traffic) = &self.traffic else {
            return Ok(None);
        };
        let settings = session.settings();
        let patience = Patience {
            within: settings.request_timeout,
            arrival,
            samples: SAMPLES,
        };
        let what = (&self.service, traffic, self.path);
        let cutover = Cutover::new(what, to, None, settings, patience)?;
        let prepared = cutover.prepare().await?;
        Ok(Some(Followers { cutover, prepared }))
    }
}

/// Users who are to follow.
#[derive(Debug)]
pub(crate) struct Followers<'a> {
    cutover: Cutover<'a>,
    prepared: Prepared,
}

impl Followers<'_> {
    /// What would be changed.
    pub(crate) fn view(&self) -> PlansView<'_> {
        self.cutover.view(&self.prepared)
    }

    /// The command that moves them by itself.
    pub(crate) fn command(&self) -> String {
        self.cutover.command()
    }

    /// Waits for the word that the target is verified, and follows; `None` when it never comes.
    pub(crate) async fn follow(
        &self,
        verified: Receiver<()>,
        ui: &Ui,
    ) -> Option<Result<Arrived, Failure>> {
        verified.await.ok()?;
        let followed = Box::pin(self.cutover.follow(&self.prepared, ui)).await;
        if let Ok(arrived) = &followed {
            self.tell(arrived, ui);
        }
        Some(followed)
    }

    fn tell(&self, arrived: &Arrived, ui: &Ui) {
        if ui.format.is_text() {
            let text = format!("in {}", period(arrived.took()));
            ui.progress([
                Span::new("users have arrived ", Style::Good),
                Span::plain(text),
            ]);
        } else {
            // Whoever closed the pipe does not stop a move.
            drop(ui.show_next(&self.cutover.outcome(arrived)));
        }
    }

    /// What is to be told of users who did not follow.
    pub(crate) fn left_behind(&self, because: &Failure) -> Failure {
        let text = "the database has moved, and its users have not been seen to follow";
        let failure = Failure::stopped(Exit::Held, text, because.effect());
        let hint = format!("Run `{}`.", self.command());
        failure.because(because.chain()).hinting(hint)
    }
}
