//! Users who follow a move of the database.

use std::time::Duration;

use pgha_core::clock::{self, Instant};
use pgha_core::engine::{Aside, Gate};
use pgha_model::application::{Application, Count};
use pgha_model::event::{Followed as Noted, Follower};
use pgha_nlb::SiteName;
use tokio::sync::oneshot::Receiver;

use super::application::{AppMove, NamedSite, Toward};
use super::login::TestLogin;
use super::poolers::Poolers;
use super::traffic::{Arrived, Cutover, Patience, Prepared};
use crate::consent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::service::{Service, Traffic, build};
use crate::session::{Reach, Session};
use crate::ui::{Span, Style, Ui, period};
use crate::view::application::{FollowedView, UsersView};

/// As many new users in a row, on each probe, are proof.
const SAMPLES: u32 = 3;

/// A service's file, with what moves its users where it names that.
#[derive(Debug)]
pub(crate) struct ServiceFile {
    /// The service.
    pub(crate) service: Service,
    traffic: Option<Traffic>,
}

/// What is to follow, and how far it may be awaited.
pub(crate) struct Following<'a> {
    /// The site that the command goes from.
    pub(crate) from: &'a SiteName,
    /// The site that it goes to, and users follow to.
    pub(crate) to: &'a SiteName,
    /// The site that the command goes from, and the one that it goes to; `None` without an application.
    pub(crate) sites: Option<(NamedSite, NamedSite)>,
    /// Which of them is entered.
    pub(crate) toward: Toward,
    /// What an earlier move noted of the application.
    pub(crate) before: Vec<Count>,
    /// Whether the application leaves the source before.
    pub(crate) leaves: bool,
    /// A source that does not answer is no error.
    pub(crate) may_be_gone: bool,
    /// How long arrival may take.
    pub(crate) arrival: Duration,
    /// The service's file with both sites, as a command line has them.
    pub(crate) by_file: String,
}

impl ServiceFile {
    /// A service with what moves its users.
    ///
    /// # Errors
    /// What moves them cannot be made of its file.
    pub(crate) fn new(service: Service, reach: &Reach) -> Result<Self, Failure> {
        let has_users = !service.traffic.is_empty();
        let traffic = has_users.then(|| build(&service, reach)).transpose()?;
        Ok(Self { service, traffic })
    }

    /// Its application and its users, looked at as far as can be before the move; `None` when the file says nothing of either.
    /// Only users of the target follow: they have not left the source.
    ///
    /// # Errors
    /// Nothing proves where they arrive, or there is no place for the record of their move.
    pub(crate) async fn followers<'b>(
        &'b self,
        following: Following<'b>,
        session: &Session<'_>,
    ) -> Result<Option<Followers<'b>>, Failure> {
        let Following {
            from,
            to,
            sites,
            toward,
            before,
            leaves,
            may_be_gone,
            arrival,
            by_file,
        } = following;
        let traffic = self.traffic.as_ref();
        let traffic = match traffic.filter(|_| toward == Toward::Target) {
            Some(traffic) => Some(self.users(traffic, to, arrival, session).await?),
            None => None,
        };
        let application = match sites {
            Some((source, target)) => {
                let steps = &self.service.app;
                let looked = AppMove::look(steps, source, target, &before, toward, may_be_gone);
                Some(Box::pin(looked).await)
            }
            None => None,
        };
        let entered = match toward {
            Toward::Source => from,
            Toward::Target => to,
        };
        let poolers = match self.service.poolers.as_slice() {
            [] => None,
            poolers => {
                let within = session.settings().request_timeout;
                Some(Poolers::look(poolers, (from, entered), leaves, within).await)
            }
        };
        let login = match self.service.login()? {
            Some(login) if toward == Toward::Target => {
                Some(TestLogin::look(login, session.settings()).await)
            }
            Some(_) | None => None,
        };
        let asked = [
            (Follower::Poolers, poolers.is_some()),
            (Follower::Application, application.is_some()),
            (Follower::Users, traffic.is_some()),
            (Follower::Login, login.is_some()),
        ];
        let asked = asked.into_iter().filter(|(_, is_asked)| *is_asked);
        let asked: Vec<Follower> = asked.map(|(who, _)| who).collect();
        Ok((!asked.is_empty()).then_some(Followers {
            application,
            poolers,
            traffic,
            login,
            from,
            entered,
            toward,
            leaves,
            arrival,
            by_file,
            aside: Aside::of(asked),
        }))
    }

    async fn users<'b>(
        &'b self,
        traffic: &'b Traffic,
        to: &SiteName,
        arrival: Duration,
        session: &Session<'_>,
    ) -> Result<Users<'b>, Failure> {
        let settings = session.settings();
        let patience = Patience {
            within: settings.request_timeout,
            arrival,
            samples: SAMPLES,
        };
        let what = (&self.service, traffic);
        let cutover = Cutover::new(what, to, None, settings, patience)?;
        let prepared = cutover.prepare().await;
        Ok(Users { cutover, prepared })
    }
}

/// The users' way in.
#[derive(Debug)]
struct Users<'a> {
    cutover: Cutover<'a>,
    /// Why they could not follow as everything is now, where that was seen.
    prepared: Result<Prepared, Failure>,
}

/// The application and the users that are to follow.
pub(crate) struct Followers<'a> {
    /// Why it could not follow as everything is now, where that was seen.
    application: Option<Result<AppMove<'a>, Failure>>,
    /// Likewise.
    poolers: Option<Result<Poolers<'a>, Failure>>,
    traffic: Option<Users<'a>>,
    login: Option<TestLogin>,
    /// The site that the command goes from.
    from: &'a SiteName,
    /// The site that is entered.
    entered: &'a SiteName,
    toward: Toward,
    leaves: bool,
    arrival: Duration,
    by_file: String,
    aside: Aside,
}

/// What became of them.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The move has none, or never came so far that they should follow.
    NotAsked,
    /// New users were answered by the site.
    Arrived,
    /// They were not seen to follow.
    Behind(Failure),
}

/// Who was not seen to follow, and why.
struct Behind(Follower, Failure);

/// Somebody who is there now.
fn arrived(who: Follower, began: Instant) -> Noted {
    arrived_in(who, clock::monotonic() - began)
}

const fn arrived_in(who: Follower, took: Duration) -> Noted {
    Noted {
        who,
        arrived: true,
        took,
    }
}

impl Followers<'_> {
    /// What is to be known before a move and stops none, in sentences.
    pub(crate) fn remarks(&self) -> &[String] {
        let application = self.application.as_ref().and_then(|one| one.as_ref().ok());
        application.map(AppMove::owners).unwrap_or_default()
    }

    /// Refuses a move that application or users could not follow. Where nobody takes writes that is no reason to stay there: see
    /// [`warn`](Self::warn).
    ///
    /// # Errors
    /// They could not.
    pub(crate) fn refuse_unready(self) -> Result<Self, Failure> {
        let doubt = self.doubts().next().cloned();
        doubt.map_or(Ok(self), Err)
    }

    /// Why they could not follow as everything is now.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = &Failure> {
        let application = self.application.iter().filter_map(|one| one.as_ref().err());
        let poolers = self.poolers.iter().filter_map(|one| one.as_ref().err());
        let users = self
            .traffic
            .iter()
            .filter_map(|users| users.prepared.as_ref().err());
        let login = self.login.iter().filter_map(TestLogin::doubt);
        application.chain(poolers).chain(users).chain(login)
    }

    /// Tells of those who could not follow as everything is now.
    pub(crate) fn warn(&self, ui: &Ui) {
        for because in self.doubts() {
            let why = because.in_one_line();
            ui.note(&format!(
                "The users could not follow as everything is now, and the database comes first: {why}."
            ));
        }
    }

    /// What would be changed, as far as it can be told.
    pub(crate) fn view(&self) -> UsersView<'_> {
        let application = self.application.as_ref().and_then(|one| one.as_ref().ok());
        let users = self.traffic.as_ref();
        UsersView {
            poolers: self.seen_poolers().map(Poolers::view).unwrap_or_default(),
            application: application.map(|one| one.view(self.toward, self.leaves)),
            users: users.and_then(|users| Some(users.cutover.view(users.prepared.as_ref().ok()?))),
            login: self.login.as_ref().map(TestLogin::view),
        }
    }

    fn seen_poolers(&self) -> Option<&Poolers<'_>> {
        self.poolers.as_ref().and_then(|one| one.as_ref().ok())
    }

    /// What has the clients of poolers wait while the source is fenced.
    pub(crate) fn gate(&self) -> Option<Gate<'_>> {
        self.seen_poolers().map(Poolers::gate)
    }

    /// What notes in the record of the move how they followed.
    pub(crate) const fn aside(&self) -> &Aside {
        &self.aside
    }

    /// Lets them go on as soon as the target takes writes, at the target; and once nothing is awaited any more, wherever they were.
    pub(crate) async fn let_go(&self, promoted: Receiver<()>, ui: &Ui) -> Followed {
        let Some(poolers) = self.seen_poolers() else {
            return Followed::NotAsked;
        };
        let site = promoted.await.is_ok().then_some(self.entered);
        let began = clock::monotonic();
        let opened = poolers.open(site).await;
        let opened = self
            .gone_on(site.unwrap_or(self.from), began, opened, ui)
            .await;
        self.concluded(self.toward, began, opened).await
    }

    const fn site(&self, toward: Toward) -> &SiteName {
        match (toward, self.toward) {
            (Toward::Target, Toward::Target) => self.entered,
            _ => self.from,
        }
    }

    async fn open_poolers(&self, toward: Toward, ui: &Ui) -> Result<(), Behind> {
        let (site, began) = (self.site(toward), clock::monotonic());
        let opened = match &self.poolers {
            None => return Ok(()),
            Some(Ok(poolers)) => poolers.open(Some(site)).await,
            Some(Err(because)) => Err(because.clone()),
        };
        self.gone_on(site, began, opened, ui).await
    }

    /// Tells and notes that clients of poolers go on.
    async fn gone_on(
        &self,
        site: &SiteName,
        began: Instant,
        opened: Result<Option<String>, Failure>,
        ui: &Ui,
    ) -> Result<(), Behind> {
        let opened = opened.map_err(|because| Behind(Follower::Poolers, because))?;
        let Some(evidence) = opened else {
            return Ok(());
        };
        let view = FollowedView::clients(site, &evidence);
        let told = ("poolers to", arrived(Follower::Poolers, began));
        self.tell(told, &view, ui).await;
        Ok(())
    }

    /// Tells who has followed, and notes it.
    async fn tell(&self, (who, followed): (&str, Noted), view: &FollowedView<'_>, ui: &Ui) {
        if ui.format.is_text() {
            let lead = Span::new(format!("{who} {} ", view.site()), Style::Good);
            ui.progress([lead, Span::plain(view.evidence())]);
        } else {
            // Whoever closed the pipe does not stop a move.
            drop(ui.show_next(view));
        }
        let text = view.evidence().to_owned();
        self.aside.note(text, Some(followed)).await;
    }

    async fn concluded(
        &self,
        toward: Toward,
        began: Instant,
        done: Result<(), Behind>,
    ) -> Followed {
        match done {
            Ok(()) => Followed::Arrived,
            Err(behind) => self.behind(toward, began, &behind).await,
        }
    }

    /// They were not seen to follow, which is noted.
    async fn behind(&self, toward: Toward, began: Instant, behind: &Behind) -> Followed {
        let Behind(who, because) = behind;
        let failure = self.left_behind(*who, toward, because);
        let followed = Noted {
            arrived: false,
            ..arrived(*who, began)
        };
        let text = format!("{}.", failure.in_one_line());
        self.aside.note(text, Some(followed)).await;
        Followed::Behind(failure)
    }

    /// Whether something stops at the source before it is fenced.
    pub(crate) const fn leaves(&self) -> bool {
        self.application.is_some()
    }

    /// What stops at the source before it is fenced.
    pub(crate) fn leaving(&self) -> Application {
        match &self.application {
            Some(Ok(application)) => application.leaving(),
            Some(Err(_)) | None => Application::default(),
        }
    }

    /// The command that moves them by itself.
    pub(crate) fn command(&self) -> String {
        match (&self.application, &self.traffic) {
            (None, Some(users)) => users.cutover.command(),
            (_, _) => self.by_file("resume"),
        }
    }

    /// A command that goes between both sites, with the service's file.
    pub(crate) fn by_file(&self, verb: &str) -> String {
        format!("kubectl pgha {verb} {}", self.by_file)
    }

    /// Waits for the word that the target is verified, and follows.
    pub(crate) async fn follow(&self, verified: Receiver<()>, ui: &Ui) -> Followed {
        match verified.await {
            Ok(()) => self.follow_now(ui).await,
            Err(_never) => Followed::NotAsked,
        }
    }

    /// Follows to a site that is primary already: the application, and once that is ready the users.
    pub(crate) async fn follow_now(&self, ui: &Ui) -> Followed {
        let mut began = clock::monotonic();
        let ready = async {
            self.open_poolers(self.toward, ui).await?;
            self.enter(self.toward, ui).await
        };
        if let Err(behind) = ready.await {
            return self.behind(self.toward, began, &behind).await;
        }
        let Some(users) = &self.traffic else {
            return self.somebody_logs_in(ui).await;
        };
        began = clock::monotonic();
        let prepared = users.prepared.as_ref().ok();
        match Box::pin(users.cutover.follow(prepared, ui)).await {
            Ok(arrived) => {
                users.tell(&arrived, ui);
                let took = period(arrived.took());
                let text = format!("Users have arrived at {}, in {took}.", self.entered);
                let followed = arrived_in(Follower::Users, arrived.took());
                self.aside.note(text, Some(followed)).await;
                self.somebody_logs_in(ui).await
            }
            Err(because) => {
                let behind = Behind(Follower::Users, because);
                self.behind(self.toward, began, &behind).await
            }
        }
    }

    /// Last of all: whether somebody can use the service.
    async fn somebody_logs_in(&self, ui: &Ui) -> Followed {
        let began = clock::monotonic();
        let Some(login) = &self.login else {
            return Followed::Arrived;
        };
        let ended = match Box::pin(login.log_in(ui)).await {
            Ok(evidence) => {
                let view = FollowedView::login(self.entered, &evidence);
                let told = ("login at", arrived(Follower::Login, began));
                self.tell(told, &view, ui).await;
                Ok(())
            }
            Err(because) => Err(Behind(Follower::Login, because)),
        };
        self.concluded(self.toward, began, ended).await
    }

    /// The application is to run at the source as before: the move that had stopped it there was taken back.
    pub(crate) async fn go_back(&self, ui: &Ui) -> Followed {
        let began = clock::monotonic();
        let ready = async {
            self.open_poolers(Toward::Source, ui).await?;
            self.enter(Toward::Source, ui).await
        };
        self.concluded(Toward::Source, began, ready.await).await
    }

    async fn enter(&self, toward: Toward, ui: &Ui) -> Result<(), Behind> {
        let began = clock::monotonic();
        let entered = match &self.application {
            None => return Ok(()),
            Some(Ok(application)) => application.enter(toward, self.arrival, ui).await,
            Some(Err(because)) => Err(because.clone()),
        };
        let entered = entered.map_err(|because| Behind(Follower::Application, because))?;
        let view = FollowedView::application(self.site(toward), &entered);
        let told = ("application at", arrived(Follower::Application, began));
        self.tell(told, &view, ui).await;
        Ok(())
    }

    /// Sees to those of a database that needs nothing: asks first where something is to be changed.
    ///
    /// # Errors
    /// Nobody agreed to it, or what would be changed cannot be told.
    pub(crate) async fn catch_up(self, yes: bool, ui: &Ui) -> Result<Exit, Failure> {
        let ready = self.refuse_unready()?;
        if !yes && !ready.are_there() {
            let view = ready.view();
            let mut page = crate::ui::Page::default();
            view.add_to(&mut page);
            let question = "The database is there already. Have them follow now?";
            unless_interrupted(consent::ask_unplanned(&page, question, ui)).await?;
        }
        Ok(ready.follow_now(ui).await.conclude(Exit::Done, ui))
    }

    fn are_there(&self) -> bool {
        let application = self.application.iter();
        let mut runs = application.map(|one| one.as_ref().is_ok_and(|it| it.rests_at(self.toward)));
        let users = self.traffic.iter();
        let mut arrived = users.map(|users| users.prepared.as_ref().is_ok_and(Prepared::is_there));
        // Poolers are let go on, which harms nobody; but they may have to be pointed elsewhere first.
        self.poolers.is_none() && runs.all(|it| it) && arrived.all(|it| it)
    }

    /// What is to be told of those who did not follow.
    fn left_behind(&self, who: Follower, toward: Toward, because: &Failure) -> Failure {
        let login = self.login.as_ref().filter(|_| who == Follower::Login);
        let text = match (toward, login) {
            (Toward::Target, Some(_)) => {
                "the database has moved, and nobody has been seen to log in"
            }
            (Toward::Target, None) => {
                "the database has moved, and its users have not been seen to follow"
            }
            (Toward::Source, _) => {
                "the database is where it was, and its application has not been seen to run"
            }
        };
        let failure = Failure::stopped(Exit::Held, text, because.effect());
        let command = login.map_or_else(|| self.command(), TestLogin::command);
        let hint = format!("Run `{command}`.");
        failure.because(because.chain()).hinting(hint)
    }
}

impl Users<'_> {
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

    /// What became of these and of others, whom it tells of at once where they are behind as well.
    #[must_use]
    pub(crate) fn beside(self, others: Self, ui: &Ui) -> Self {
        match (self, others) {
            (Self::Behind(failure), Self::Behind(other)) => {
                ui.complain(&other);
                Self::Behind(failure)
            }
            (these, Self::NotAsked | Self::Arrived) => these,
            (_, behind) => behind,
        }
    }

    /// Whether they have not been told to follow.
    pub(crate) const fn is_not_asked(&self) -> bool {
        matches!(self, Self::NotAsked)
    }
}
