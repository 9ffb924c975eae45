//! Users who follow a move of the database.

use std::path::Path;
use std::time::Duration;

use pgha_nlb::SiteName;
use pgha_nlb_kubernetes::Open;
use tokio::sync::oneshot::Receiver;

use super::cutover::{Arrived, Cutover, Patience, Prepared};
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::service::{Service, Traffic, build};
use crate::session::Session;
use crate::ui::{Span, Style, Ui, period};
use crate::view::traffic::PlansView;

/// As many new users in a row, on each probe, are proof.
const SAMPLES: u32 = 3;

/// A service's file, with what moves its users where it names that.
#[derive(Debug)]
pub(crate) struct ServiceFile<'a> {
    /// Where it lies.
    pub(crate) path: &'a Path,
    /// The service.
    pub(crate) service: Service,
    traffic: Option<Traffic>,
}

impl<'a> ServiceFile<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// It makes no sense, or is not of the service that was named.
    pub(crate) fn read(path: &'a Path, named: &str, open: &Open) -> Result<Self, Failure> {
        let service = Service::read(path)?;
        if service.name != named {
            let text = format!("the file is of service {}, not of {named}", service.name);
            return Err(Failure::usage(text));
        }
        let has_users = !service.traffic.is_empty();
        let traffic = has_users.then(|| build(&service, path, open));
        let traffic = traffic.transpose()?;
        Ok(Self {
            path,
            service,
            traffic,
        })
    }

    /// Its users, looked at as far as can be before the move; `None` when the file says nothing of them.
    ///
    /// # Errors
    /// Nothing proves where they arrive, or there is no place for the record of their move.
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
        let prepared = cutover.prepare().await;
        Ok(Some(Followers { cutover, prepared }))
    }
}

/// Users who are to follow.
#[derive(Debug)]
pub(crate) struct Followers<'a> {
    cutover: Cutover<'a>,
    /// Why they could not follow as everything is now, where that was seen.
    prepared: Result<Prepared, Failure>,
}

/// What became of the users of a move.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The move has none, or never came so far that they should follow.
    NotAsked,
    /// New users were answered by the site.
    Arrived,
    /// They were not seen to follow.
    Behind(Failure),
}

impl Followers<'_> {
    /// Refuses a move whose users could not follow. Where nobody takes writes that is no reason to stay there: see
    /// [`warn`](Self::warn).
    ///
    /// # Errors
    /// They could not.
    pub(crate) fn refuse_unready(self) -> Result<Self, Failure> {
        match self.prepared {
            Ok(_) => Ok(self),
            Err(because) => Err(because),
        }
    }

    /// Tells of users who could not follow as everything is now.
    pub(crate) fn warn(&self, ui: &Ui) {
        if let Err(because) = &self.prepared {
            let why = because.in_one_line();
            ui.note(&format!(
                "The users could not follow as everything is now, and the database comes first: {why}."
            ));
        }
    }

    /// What would be changed; `None` where that cannot be told.
    pub(crate) fn view(&self) -> Option<PlansView<'_>> {
        let prepared = self.prepared.as_ref().ok()?;
        Some(self.cutover.view(prepared))
    }

    /// The command that moves them by itself.
    pub(crate) fn command(&self) -> String {
        self.cutover.command()
    }

    /// Waits for the word that the target is verified, and follows.
    pub(crate) async fn follow(&self, verified: Receiver<()>, ui: &Ui) -> Followed {
        match verified.await {
            Ok(()) => self.follow_now(ui).await,
            Err(_never) => Followed::NotAsked,
        }
    }

    /// Follows a target that is primary already.
    pub(crate) async fn follow_now(&self, ui: &Ui) -> Followed {
        let prepared = self.prepared.as_ref().ok();
        match Box::pin(self.cutover.follow(prepared, ui)).await {
            Ok(arrived) => {
                self.tell(&arrived, ui);
                Followed::Arrived
            }
            Err(because) => Followed::Behind(self.left_behind(&because)),
        }
    }

    /// Sees the users of a database that has moved before to its site: asks first where something is to be changed.
    ///
    /// # Errors
    /// Nobody agreed to it, or what would be changed cannot be told.
    pub(crate) async fn catch_up(self, yes: bool, ui: &Ui) -> Result<Exit, Failure> {
        let ready = self.refuse_unready()?;
        if let Some(view) = ready.view().filter(|_| !yes && !ready.are_there()) {
            let question = "The database is there already. Move its users now?";
            unless_interrupted(consent::ask_unplanned(&view.summary(), question, ui)).await?;
        }
        Ok(ready.follow_now(ui).await.conclude(Exit::Done, ui))
    }

    fn are_there(&self) -> bool {
        self.prepared.as_ref().is_ok_and(Prepared::is_there)
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
    fn left_behind(&self, because: &Failure) -> Failure {
        let text = "the database has moved, and its users have not been seen to follow";
        let failure = Failure::stopped(Exit::Held, text, because.effect());
        let hint = format!("Run `{}`.", self.command());
        failure.because(because.chain()).hinting(hint)
    }
}

impl Followed {
    /// The exit code of a move that is complete otherwise; complains of users who were left behind.
    pub(crate) fn conclude(self, otherwise: Exit, ui: &Ui) -> Exit {
        match self {
            Self::NotAsked | Self::Arrived => otherwise,
            Self::Behind(failure) => {
                ui.complain(&failure);
                Exit::Held
            }
        }
    }

    /// Whether they have not been told to follow.
    pub(crate) const fn is_not_asked(&self) -> bool {
        matches!(self, Self::NotAsked)
    }
}
