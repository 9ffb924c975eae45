//! The backup before a move: made and seen to be there before anything of the move is written.

use pgha_core::client::SiteClient;
use pgha_core::clock;
use pgha_core::engine::Side;
use pgha_core::patch::ObjectPatch;
use pgha_model::backup::{BackupPlan, BackupType};
use pgha_model::check::Consent;
use pgha_model::plan::Plan;
use pgha_model::record::BackupBefore;

use crate::args::{BackupBeforeArgs, OwnersArgs};
use crate::commands::backup::{self, LONGEST_BACKUP, Wanted};
use crate::commands::between::Between;
use crate::commands::moving::show_beside;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::BackupSettings;
use crate::session::Session;
use crate::ui::Ui;
use crate::view::backup::BackupBeforeView;

/// What the move was not.
const NOT_BEGUN: &str = "the move was not begun";

/// A backup that was planned, and is to be made before the move.
pub(super) struct Backup<'a> {
    cluster: &'a str,
    repo: Option<String>,
    settings: BackupSettings,
    consent: Consent,
    site: SiteClient,
    plan: BackupPlan,
    patch: ObjectPatch,
}

/// A move that was accepted, and the backup that was made since.
pub(super) struct Accepted {
    plan: Plan,
    made: BackupBefore,
}

impl<'a> Backup<'a> {
    /// The backup that is to be made, as it would be asked for now; `None` where none is wanted.
    ///
    /// # Errors
    /// It would not be made: each reason is a cause.
    pub(super) async fn look(
        args: BackupBeforeArgs,
        owners: OwnersArgs,
        between: &'a Between,
        target: &Side,
        session: &Session<'_>,
    ) -> Result<Option<Self>, Failure> {
        let in_file = between
            .service()
            .and_then(|service| service.backup.as_ref());
        let Some(settings) = settings(args, in_file)? else {
            return Ok(None);
        };
        let site = between.site(&between.from, session).await?;
        let cluster = between.cluster.as_str();
        // A backup that is to be restored from at the target is of use where the target looks.
        let fed_from = || target.standby_section_with(None).remove("repoName");
        let fed_from = || fed_from()?.as_str().map(str::to_owned);
        let repo = settings.repo.clone().or_else(fed_from);
        // Who is asked to hold the owners knows of them, and a request that they take back ends as a backup that failed.
        let consent = Consent {
            managed: owners.allow_managed || owners.hold_owners,
            ..Consent::default()
        };
        let wanted = wanted(cluster, repo.as_deref(), &settings, consent);
        let planned = backup::plan(wanted, &site).await;
        let (plan, patch) = planned.map_err(|failure| failure.so_that(NOT_BEGUN))?;
        Ok(Some(Self {
            cluster,
            repo,
            settings,
            consent,
            site,
            plan,
            patch,
        }))
    }

    /// It as a part of the move's plan.
    pub(super) fn view(&self) -> BackupBeforeView<'_> {
        BackupBeforeView {
            plan: &self.plan,
            timeout_seconds: self.settings.limit().min(LONGEST_BACKUP).as_secs(),
            verify: self.settings.verify,
            patch: &self.patch,
        }
    }

    /// Makes it. Whatever fails here has changed nothing of the move.
    ///
    /// # Errors
    /// It was not made, or not seen to be.
    pub(super) async fn make(self, plan: Plan, ui: &Ui) -> Result<Option<Accepted>, Failure> {
        let began = clock::monotonic();
        let wanted = wanted(
            self.cluster,
            self.repo.as_deref(),
            &self.settings,
            self.consent,
        );
        let made = backup::make(wanted, &self.site, ui).await;
        let made = made.map_err(|failure| {
            if failure.exit == Exit::Interrupted {
                failure
            } else {
                failure.so_that(NOT_BEGUN)
            }
        })?;
        let Some(view) = made else {
            return Ok(None);
        };
        let made = BackupBefore {
            id: view.id().to_owned(),
            repo: view.repo().to_owned(),
            label: view.label().map(str::to_owned),
            at: clock::now(),
            took: clock::monotonic() - began,
            evidence: view.evidence(),
        };
        let line = format!("{:>7.2} s  {}", made.took.as_secs_f64(), made.evidence);
        show_beside(&view, "backup", line, ui);
        Ok(Some(Accepted { plan, made }))
    }
}

impl Accepted {
    /// The backup, for the record of the move, once the plan is still what was accepted: a backup takes as long as it takes.
    ///
    /// # Errors
    /// It is another one now.
    pub(super) fn still(self, now: &Plan, ui: &Ui) -> Result<BackupBefore, Failure> {
        let without_warnings = |plan: &Plan| Plan {
            warnings: Vec::new(),
            ..plan.clone()
        };
        if without_warnings(&self.plan) != without_warnings(now) {
            let text = "the sides are not as they were when the plan was accepted";
            return Err(Failure::refused(text));
        }
        let known = |check| self.plan.warnings.iter().any(|one| one.check == check);
        for new in now.warnings.iter().filter(|one| !known(one.check)) {
            ui.note(&format!("Seen since the plan was accepted: {}", new.seen));
        }
        Ok(self.made)
    }
}

/// What the command line and the service's file say together.
fn settings(
    args: BackupBeforeArgs,
    in_file: Option<&BackupSettings>,
) -> Result<Option<BackupSettings>, Failure> {
    let asked = in_file
        .cloned()
        .or_else(|| args.backup.then(BackupSettings::default));
    match (asked.filter(|_| !args.no_backup), args.backup_timeout) {
        (Some(settings), Some(timeout)) => Ok(Some(settings.within(timeout.0))),
        (None, Some(_)) => {
            let text = "--backup-timeout is for a backup, and none is to be made";
            Err(Failure::usage(text).hinting("Give --backup as well."))
        }
        (settings, None) => Ok(settings),
    }
}

fn wanted<'a>(
    cluster: &'a str,
    repo: Option<&'a str>,
    settings: &BackupSettings,
    consent: Consent,
) -> Wanted<'a> {
    Wanted {
        cluster,
        repo,
        kind: Some(BackupType::Full),
        verify: settings.verify,
        consent,
        limit: settings.limit(),
    }
}

/// A refusal after the backup: that was made, and nothing else.
pub(super) fn after(ended: Result<Exit, Failure>, ui: &Ui) -> Result<Exit, Failure> {
    let is_there = "The backup is there, and nothing else was changed. With --no-backup the same command makes no other.";
    match ended {
        Ok(Exit::Refused) => {
            ui.note(is_there);
            Ok(Exit::Stopped)
        }
        Err(failure) if matches!(failure.exit, Exit::Refused | Exit::Interrupted) => {
            let failure = failure.so_that(NOT_BEGUN).after_change();
            Err(failure.or_hinting(is_there))
        }
        ended => ended,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgha_model::finding::{Finding, Severity};
    use pgha_model::plan::{Demotion, Feed, LeaderIdentity, Step};
    use pgha_model::site::Place;
    use pgha_testkit::pgo::PgoSite;

    use super::*;
    use crate::args::Format;

    const NAMESPACE: &str = "prod";

    fn ui() -> Ui {
        Ui::plain(Format::Json)
    }

    fn planned(site: &PgoSite, repo: Option<&str>) -> Result<(BackupPlan, ObjectPatch), Failure> {
        let runtime = crate::commands::runtime().unwrap();
        let settings = BackupSettings::default();
        let wanted = wanted("zitadel", repo, &settings, Consent::default());
        let limit = Duration::from_secs(5);
        let cluster = site.build();
        let planned = runtime.block_on(async {
            let client = SiteClient::from_client("core1", NAMESPACE, cluster.client(), limit);
            Box::pin(backup::plan(wanted, &client)).await
        });
        let requests = cluster.requests();
        assert!(requests.iter().all(|request| request.verb != "patch"));
        planned
    }

    fn primary() -> PgoSite {
        PgoSite::primary("zitadel", NAMESPACE, clock::now())
    }

    #[test]
    fn a_backup_is_planned_as_a_full_one_and_asked_for_only_later() {
        let (plan, patch) = planned(&primary(), None).unwrap();
        assert_eq!(plan.repo, "repo1");
        assert!(plan.options.contains(&"--type=full".to_owned()), "{plan:?}");
        assert!(!patch.operations.is_empty());
    }

    #[test]
    fn what_would_keep_a_backup_waiting_refuses_the_move() {
        for (site, repo, check) in [
            (primary().paused(), None, "paused: "),
            (primary(), Some("repo2"), "repo: "),
            (primary().managed_by_flux(), None, "managed: "),
            (
                primary().object(|object| object["status"]["conditions"] = serde_json::json!([])),
                None,
                "first-backup: ",
            ),
        ] {
            let failure = planned(&site, repo).unwrap_err();
            let text = failure.in_one_line();
            assert!(
                failure.exit == Exit::Refused && text.contains(check),
                "{text}"
            );
        }
    }

    fn plan(leader: &str, warnings: &[&'static str]) -> Plan {
        let place = |context: &str| Place {
            context: context.to_owned(),
            namespace: NAMESPACE.to_owned(),
            cluster: "zitadel".to_owned(),
        };
        let identity = |pod: &str| LeaderIdentity {
            pod: pod.to_owned(),
            uid: pod.to_owned(),
        };
        let warnings = warnings.iter().map(|check| Finding {
            check,
            part: None,
            severity: Severity::Warn,
            seen: "It was seen.".to_owned(),
            advice: String::new(),
        });
        Plan {
            source: place("core1"),
            target: place("core2"),
            feed: Feed::Archive,
            demotion: Demotion::InPlace,
            source_leader: identity(leader),
            target_leader: identity("b"),
            steps: Step::ALL.to_vec(),
            warnings: warnings.collect(),
        }
    }

    #[test]
    fn a_plan_that_is_another_one_after_the_backup_was_not_accepted() {
        let still = |now: &Plan| {
            let made = BackupBefore {
                id: "pgha-1".to_owned(),
                repo: "repo1".to_owned(),
                label: None,
                at: clock::now(),
                took: Duration::from_secs(9),
                evidence: "It is there.".to_owned(),
            };
            let plan = plan("a", &["old"]);
            Accepted { plan, made }.still(now, &ui())
        };
        assert!(still(&plan("a", &["old", "new"])).is_ok());
        let refused = still(&plan("c", &["old"])).unwrap_err();
        let ended = after(Err(refused), &ui()).unwrap_err();
        assert_eq!(ended.exit, Exit::Stopped);
        assert!(ended.in_one_line().starts_with(NOT_BEGUN));
        assert_eq!(after(Ok(Exit::Refused), &ui()).unwrap(), Exit::Stopped);
        assert_eq!(after(Ok(Exit::Done), &ui()).unwrap(), Exit::Done);
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let settings = |args: &BackupBeforeArgs, in_file: Option<BackupSettings>| {
            settings(*args, in_file.as_ref())
                .map(|settings| settings.map(|it| it.limit().as_secs()))
        };
        let (none, in_file) = (BackupBeforeArgs::default(), Some(BackupSettings::default()));
        let timeout = Some("90m".parse().unwrap());
        let long = BackupBeforeArgs {
            backup_timeout: timeout,
            ..none
        };
        assert_eq!(settings(&none, None).unwrap(), None);
        assert_eq!(settings(&none, in_file.clone()).unwrap(), Some(3600));
        assert_eq!(settings(&long, in_file.clone()).unwrap(), Some(5400));
        let without = BackupBeforeArgs {
            no_backup: true,
            ..none
        };
        assert_eq!(settings(&without, in_file).unwrap(), None);
        let asked = BackupBeforeArgs {
            backup: true,
            ..none
        };
        assert_eq!(settings(&asked, None).unwrap(), Some(3600));
        assert_eq!(settings(&long, None).unwrap_err().exit, Exit::Usage);
    }
}
