//! `kubectl pgha backup`.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use pgha_core::backup::{
    self, BackupEvent, BackupSite, Ended, FollowError, Followed, RequestError,
};
use pgha_core::client::SiteClient;
use pgha_core::clock::{self, Instant};
use pgha_core::diagnose::{Diagnose as _, causes, chain_of};
use pgha_core::operator::pgo_v5::BACKUP_ANNOTATION;
use pgha_core::patch::ObjectPatch;
use pgha_model::backup::{BackupPlan, BackupType, StoredBackup, judge_backup, plan_backup};
use pgha_model::check::Consent;
use pgha_model::effect::Effect;
use pgha_model::finding::Finding;
use pgha_model::observed::Observed;

use crate::args::{BackupArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interruptions;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::backup::{BackupRefusalView, BackupView, event_line};

/// What `--timeout 0`, as long as it takes, means.
pub(super) const LONGEST_BACKUP: Duration = Duration::from_hours(24 * 30);

/// How long the operator may take to take a request up. It works on one within seconds; one that is busy with an error
/// comes back to it later.
const ACCEPTANCE: Duration = Duration::from_mins(1);

/// How often everything is looked at again because the object changed between the look and the request.
const LOOKS: u32 = 3;

/// Runs the command.
pub(crate) fn main(args: &BackupArgs, environment: &Environment) -> Exit {
    super::change(&args.common, environment, async |session, ui| {
        Box::pin(run(args, session, ui)).await
    })
}

/// How far a request has come: what Ctrl-C means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was changed.
    Looking,
    /// It is on its way: whether it takes hold is known in a moment.
    Sending,
    /// It is there.
    Sent,
}

/// What backup is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The operator's Postgres cluster.
    pub(super) cluster: &'a str,
    /// The repository; without one that of the request before, else the first.
    pub(super) repo: Option<&'a str>,
    /// What to copy; without one that of the request before.
    pub(super) kind: Option<BackupType>,
    /// Whether the repository is read back afterwards.
    pub(super) verify: bool,
    /// What is said of owners that would take the request back.
    pub(super) consent: Consent,
    /// How long it may take; nothing is as long as it takes.
    pub(super) limit: Duration,
}

/// One request under way.
struct Request<'a> {
    wanted: Wanted<'a>,
    ui: &'a Ui,
    site: &'a SiteClient,
    id: String,
    deadline: Instant,
    stage: Cell<Stage>,
    /// Ctrl-C came while the request was on its way.
    is_stopped: Cell<bool>,
}

async fn run(args: &BackupArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let site = session.site(args.context.as_deref()).await?;
    super::tell_current(ui, args.context.as_deref(), &site);
    let wanted = Wanted {
        cluster: &args.cluster,
        repo: args.repo.as_deref(),
        kind: args.kind.map(Into::into),
        verify: args.verify,
        consent: Consent {
            managed: args.allow_managed,
            ..Consent::default()
        },
        limit: args.timeout.0,
    };
    let request = Request::new(wanted, &site, ui);
    let made = request.interruptible(request.carry_out(args.no_wait));
    let Some(view) = Box::pin(made).await? else {
        return Ok(Exit::Refused);
    };
    ui.show(&view).map_err(Failure::after_change)?;
    if args.no_wait {
        ui.note(&request.how_to_look());
    }
    Ok(ui.conclude(doubt(&view).as_ref()))
}

/// Makes a backup and waits for its end. `None`: it was refused, nothing was changed, and why was shown.
///
/// # Errors
/// It was not made, or not seen to be; interrupted, it goes on by itself once it was asked for.
pub(super) async fn make(
    wanted: Wanted<'_>,
    site: &SiteClient,
    ui: &Ui,
) -> Result<Option<BackupView>, Failure> {
    let request = Request::new(wanted, site, ui);
    let made = request.interruptible(request.carry_out(false));
    let Some(view) = Box::pin(made).await? else {
        return Ok(None);
    };
    doubt(&view).map_or(Ok(Some(view)), Err)
}

/// A backup that would be made now, with the patch that asks for it.
///
/// # Errors
/// It would not be: each reason is a cause.
pub(super) async fn plan(
    wanted: Wanted<'_>,
    site: &SiteClient,
) -> Result<(BackupPlan, ObjectPatch), Failure> {
    let before = look(site, wanted.cluster).await?;
    let (plan, failures) = wanted.judge(&before)?;
    if failures.is_empty() {
        if wanted.verify
            && let Err(because) = before.facts.info.seen()
        {
            return Err(not_verifiable(because));
        }
        let patch = before.request(&backup::new_id(), &plan);
        return Ok((plan, patch));
    }
    let place = &before.facts.survey.place;
    let advice = failures
        .iter()
        .map(|one| one.advice.as_str())
        .collect::<Vec<_>>();
    let because = failures
        .iter()
        .map(|one| format!("{}: {}", one.check, one.seen));
    Err(
        Failure::refused(format!("a backup of {place} would not be made now"))
            .because(because.collect())
            .hinting(advice.join(" ")),
    )
}

/// Why a backup is not to be relied on although the operator calls it a success.
fn doubt(view: &BackupView) -> Option<Failure> {
    let failure = Failure::stopped(Exit::Stopped, view.complaint()?, Effect::Applied);
    Some(failure.hinting("Do not rely on this backup: make a full one."))
}

async fn look(site: &SiteClient, cluster: &str) -> Result<BackupSite, Failure> {
    let looked = BackupSite::look(site, cluster).await;
    looked.map_err(|error| Failure::from(&error))
}

fn not_verifiable(because: &str) -> Failure {
    let text = "pgBackRest cannot be asked, so the backup could not be verified";
    Failure::refused(text).because(vec![because.to_owned()])
}

impl Wanted<'_> {
    /// The plan, and everything that the operator would refuse it for or keep it without a word.
    fn judge(&self, before: &BackupSite) -> Result<(BackupPlan, Vec<Finding>), Failure> {
        let Some(plan) = plan_backup(&before.facts.spec, self.repo, self.kind) else {
            return Err(Failure::refused("the object has no backup repository"));
        };
        let findings = judge_backup(&before.facts, &plan, self.consent, clock::now());
        let failures = findings.failures().cloned().collect();
        Ok((plan, failures))
    }
}

impl<'a> Request<'a> {
    fn new(wanted: Wanted<'a>, site: &'a SiteClient, ui: &'a Ui) -> Self {
        Self {
            wanted,
            ui,
            site,
            id: backup::new_id(),
            deadline: clock::monotonic() + wanted.limit.min(LONGEST_BACKUP),
            stage: Cell::new(Stage::Looking),
            is_stopped: Cell::new(false),
        }
    }

    /// Does the work until Ctrl-C: what that means depends on how far the request has come.
    async fn interruptible<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        let mut interruptions = Interruptions::default();
        tokio::select! {
            result = &mut work => return result,
            Ok(()) = interruptions.next() => {}
        }
        match self.stage.get() {
            Stage::Looking => Err(Failure::interrupted()),
            Stage::Sent => Err(self.left_alone("interrupted")),
            Stage::Sending => {
                self.is_stopped.set(true);
                tokio::select! {
                    result = &mut work => result,
                    Ok(()) = interruptions.next() => Err(self.left_alone("interrupted")),
                }
            }
        }
    }

    /// The backup, or the request that was taken up where nobody waits for it. `None`: refused, and said why.
    async fn carry_out(&self, no_wait: bool) -> Result<Option<BackupView>, Failure> {
        let Some((before, plan)) = self.ask().await? else {
            return Ok(None);
        };
        self.unless_stopped(self.await_acceptance()).await?;
        if no_wait {
            let place = &before.facts.survey.place;
            return Ok(Some(BackupView::requested(place, &self.id, &plan)));
        }
        let followed = self.unless_stopped(Box::pin(self.follow())).await?;
        let made = self.finish(&before, &plan, followed);
        self.unless_stopped(made).await.map(Some)
    }

    /// Looks, judges and asks. `None`: refused, and said why.
    async fn ask(&self) -> Result<Option<(BackupSite, BackupPlan)>, Failure> {
        for _ in 0..LOOKS {
            let before = look(self.site, self.wanted.cluster).await?;
            let Some(plan) = self.judged(&before)? else {
                return Ok(None);
            };
            self.stage.set(Stage::Sending);
            let patch = before.request(&self.id, &plan);
            match backup::send(self.site, &patch, &self.id).await {
                Ok(()) => {
                    self.stage.set(Stage::Sent);
                    return Ok(Some((before, plan)));
                }
                Err(RequestError::Changed(_)) => self.stage.set(Stage::Looking),
                Err(RequestError::Call(error)) if error.effect() == Effect::Unknown => {
                    return Err(self.unknown(&error));
                }
                Err(RequestError::Call(error)) => return Err(Failure::from(&error)),
            }
            if self.is_stopped.get() {
                return Err(Failure::interrupted());
            }
        }
        Err(Failure::refused("the object changes all the time")
            .hinting("See who writes it, then run the same command again."))
    }

    fn judged(&self, before: &BackupSite) -> Result<Option<BackupPlan>, Failure> {
        let (plan, failures) = self.wanted.judge(before)?;
        if failures.is_empty() {
            self.tell_unseen(before)?;
            return Ok(Some(plan));
        }
        // A script that takes a name takes it for the backup's: without one there is none.
        if self.ui.format != Format::Name {
            self.ui.show(&BackupRefusalView::new(&failures))?;
        }
        let text = format!("a backup of {} would not be made now", self.wanted.cluster);
        self.ui.complain(&Failure::refused(text));
        Ok(None)
    }

    /// Without pgBackRest's word there is a backup, but no label, size or verification of it.
    fn tell_unseen(&self, before: &BackupSite) -> Result<(), Failure> {
        let Err(because) = before.facts.info.seen() else {
            return Ok(());
        };
        if self.wanted.verify {
            return Err(not_verifiable(because));
        }
        self.ui.note(&format!(
            "What the repositories hold is not seen: {because}"
        ));
        Ok(())
    }

    async fn await_acceptance(&self) -> Result<(), Failure> {
        let deadline = self.deadline.min(clock::monotonic() + ACCEPTANCE);
        let cluster = self.wanted.cluster;
        let accepted = backup::await_accepted(self.site, cluster, &self.id, deadline).await;
        match accepted {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.withdrawn().await),
            Err(error) => Err(self
                .left_alone("the object could not be read any more")
                .because(vec![error.to_string()])),
        }
    }

    /// A request that nobody serves would fire at an unforeseen time.
    async fn withdrawn(&self) -> Failure {
        let text = "the operator did not take the request up";
        match backup::withdraw(self.site, self.wanted.cluster, &self.id).await {
            Ok(true) => Failure::stopped(
                Exit::Stopped,
                format!("{text}; it was withdrawn"),
                Effect::None,
            )
            .hinting("See whether the operator runs, and what the object's events say."),
            Ok(false) => self.left_alone("the operator took the request up late"),
            Err(error) => self
                .left_alone(text)
                .because(vec![format!("it could not be withdrawn: {error}")]),
        }
    }

    async fn follow(&self) -> Result<Followed, Failure> {
        let report = |event: &BackupEvent<'_>| self.ui.progress(event_line(event));
        let cluster = self.wanted.cluster;
        backup::follow(self.site, cluster, &self.id, self.deadline, &report)
            .await
            .map_err(|error| match &error {
                FollowError::TimedOut { .. } => self.left_alone(&error.to_string()),
                FollowError::Call(_) => self
                    .left_alone("the object could not be read any more")
                    .because(vec![error.to_string()]),
            })
    }

    /// What the backup has become.
    async fn finish(
        &self,
        before: &BackupSite,
        plan: &BackupPlan,
        followed: Followed,
    ) -> Result<BackupView, Failure> {
        let completed_at = match &followed.ended {
            Ended::Succeeded { completed_at } => completed_at.clone(),
            Ended::Failed => return Err(self.failed(&followed)),
            Ended::Replaced { by } => {
                let text = format!("the request `{by}` took its place; its result is never told");
                return Err(self.left_alone(&text));
            }
        };
        let stored = self.stored(before, plan, &followed).await;
        let verified = match (&stored, self.wanted.verify) {
            (Observed::Seen(backup), true) => Some(self.verified(before, backup).await),
            (Observed::Unseen { because }, true) => Some(Observed::unseen(because)),
            (_, false) => None,
        };
        let place = &before.facts.survey.place;
        Ok(BackupView::requested(place, &self.id, plan).completed(
            followed.job,
            completed_at,
            &stored,
            verified.as_ref(),
        ))
    }

    /// The backup as pgBackRest has it, by the label in its own log; without a log, the only one that is new.
    async fn stored(
        &self,
        before: &BackupSite,
        plan: &BackupPlan,
        followed: &Followed,
    ) -> Observed<StoredBackup> {
        let Some(leader) = before.leader() else {
            return Observed::unseen("there is no leader to ask");
        };
        let info = match backup::fetch_info(self.site, &leader).await {
            Ok(info) => info,
            Err(error) => return Observed::unseen(chain_of(&error)),
        };
        let known = before.facts.info.as_seen();
        let found = match &followed.label {
            Some(label) => info.labelled(&plan.repo, label),
            None => known.and_then(|known| info.only_new(&plan.repo, known)),
        };
        found.cloned().map_or_else(
            || Observed::unseen("pgBackRest names no backup that can only be this one"),
            Observed::Seen,
        )
    }

    async fn verified(
        &self,
        before: &BackupSite,
        backup: &StoredBackup,
    ) -> Observed<pgha_model::backup::Verification> {
        let Some(leader) = before.leader() else {
            return Observed::unseen("there is no leader to ask");
        };
        self.ui
            .note("Verifying: pgBackRest reads the whole repository back.");
        let left = self.deadline - clock::monotonic();
        match backup::verify(self.site, &leader, &backup.repo, &backup.label, left).await {
            Ok(found) => Observed::Seen(found),
            Err(error) => Observed::unseen(chain_of(&error)),
        }
    }

    fn failed(&self, followed: &Followed) -> Failure {
        let job = followed.job.as_deref().unwrap_or("JOB");
        let text = match &followed.job {
            Some(job) => format!("the backup failed: a pod of the Job {job} did"),
            None => "the backup failed".to_owned(),
        };
        Failure::stopped(Exit::Stopped, text, Effect::Applied)
            .because(followed.last_lines.clone())
            .hinting(self.how_to_end(job))
    }

    fn how_to_end(&self, job: &str) -> String {
        let SiteClient {
            context, namespace, ..
        } = self.site;
        let kubectl = format!("kubectl --context {context} -n {namespace}");
        format!(
            "The Job may try again by itself, six times at most. To end it: `{kubectl} annotate postgrescluster {} \
             {BACKUP_ANNOTATION}-`, then `{kubectl} delete job {job}`.",
            self.wanted.cluster
        )
    }

    fn unknown(&self, error: &pgha_core::client::CallError) -> Failure {
        Failure::stopped(Exit::Held, error.to_string(), Effect::Unknown)
            .because(causes(error))
            .hinting(format!(
                "The request `{}` may have been taken. {}",
                self.id,
                self.how_to_look()
            ))
    }

    /// The request stays, and the backup goes on without us.
    fn left_alone(&self, why: &str) -> Failure {
        let text = format!("{why}; the backup `{}` goes on by itself", self.id);
        Failure::stopped(Exit::Held, text, Effect::Applied).hinting(self.how_to_look())
    }

    fn how_to_look(&self) -> String {
        let SiteClient {
            context, namespace, ..
        } = self.site;
        format!(
            "See it with `kubectl --context {context} -n {namespace} get postgrescluster {} -o \
             jsonpath={{.status.pgbackrest.manualBackup}}`.",
            self.wanted.cluster
        )
    }

    /// Does the rest, unless Ctrl-C came while the request was on its way.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if self.is_stopped.get() {
            return Err(self.left_alone("interrupted"));
        }
        work.await
    }
}
