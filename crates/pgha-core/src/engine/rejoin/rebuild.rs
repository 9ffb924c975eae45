//! Data that has left the service's history is set aside on its own volume, and Patroni makes a new copy.

use std::time::Duration;

use super::RejoinRun;
use super::tail::run;
use crate::clock;
use crate::engine::StepError;
use crate::engine::side::{database, settled};
use crate::engine::steps::Steps;
use crate::engine::switchover::pause::pause_patroni;
use crate::exec::Container;
use crate::operator::pgo_v5::render;
use crate::settle::{Look, await_until};
use crate::survey::{Depth, survey_site};
use pgha_model::plan::Step;

/// How long a new copy may take: as long as it takes; Ctrl-C twice gives up waiting.
const LONGEST: Duration = Duration::from_hours(48);

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// How long Postgres may take to stop, and its folders to be renamed.
const ASIDE: Duration = Duration::from_mins(2);

/// Stops Postgres and renames its folders, the log's too where that is linked; says where they are. There must be room for
/// the new copy beside them.
///
/// Patroni stands still meanwhile: of a standby cluster it starts Postgres again even while it is paused (Patroni `ha.py`,
/// `recover`; measured on 4.1.5).
fn set_aside(suffix: &str) -> String {
    format!(
        r#"set -e
old="$PGDATA.{suffix}"
if [ -d "$old" ]; then echo "$old"; exit 0; fi
stop() {{
  pg_ctl -D "$1" -s -m fast -w stop >/dev/null 2>&1 || true
  status=0; pg_ctl -D "$1" status >/dev/null 2>&1 || status=$?
  if [ "$status" != 3 ]; then echo "Postgres does not stop" >&2; exit 4; fi
}}
size=$(du -skL "$PGDATA" | cut -f1)
free=$(df -Pk "$PGDATA" | tail -n 1 | tr -s ' ' | cut -d' ' -f4)
if [ "$free" -lt "$size" ]; then echo "$size KiB are needed beside the old data, $free KiB are free" >&2; exit 5; fi
stop "$PGDATA"
if ! patroni=$(pgrep -f '{PATRONI}'); then echo "Patroni does not run" >&2; exit 6; fi
trap 'kill -CONT $patroni' EXIT
kill -STOP $patroni
for one in $patroni; do
  while [ -e "/proc/$one" ] && [ "$(cut -d' ' -f3 "/proc/$one/stat")" != T ]; do sleep 0.01; done
done
stop "$PGDATA"
log=$(readlink -f "$PGDATA/pg_wal")
if [ -L "$PGDATA/pg_wal" ]; then
  mv "$log" "$log.{suffix}"
  ln -sfn "$log.{suffix}" "$PGDATA/pg_wal"
  mkdir -m 0700 "$log"
fi
mv "$PGDATA" "$old"
if [ -e "$old/postmaster.pid" ]; then stop "$old"; fi
mkdir -m 0700 "$PGDATA"
echo "$old""#
    )
}

/// Patroni's command line, as PGO starts it (its `database` container runs `patroni /etc/patroni`). The brackets keep the pattern
/// from finding the command that it is part of.
const PATRONI: &str = "patron[i] /etc/patroni";

/// Removes Patroni's cache of its configuration where it is all that the new folder has: written at the end of a turn that
/// began before the renaming, it keeps Patroni from making the copy (Patroni `ha.py`: "data dir for the cluster is not
/// empty, but system ID is invalid").
fn clear_cache(suffix: &str) -> String {
    format!(
        r#"cache=patroni.dynamic.json
if [ -d "$PGDATA.{suffix}" ] && [ "$(ls -A "$PGDATA")" = "$cache" ]; then rm "$PGDATA/$cache"; fi"#
    )
}

/// Says where the old data is of a member whose new copy is not finished: pgBackRest restores the control file last (its
/// documentation, `restore`), and `pg_basebackup` too (PostgreSQL source, `basebackup.c`).
const UNFINISHED_COPY: &str = r#"if [ ! -f "$PGDATA/global/pg_control" ]; then ls -d "$PGDATA".pgha-* 2>/dev/null | tail -n 1; fi; true"#;

impl RejoinRun<'_> {
    /// Waits for the copies that an earlier rejoin has begun and that are not finished: before that nothing can be compared.
    pub(super) async fn await_begun_copies(&self, steps: &Steps<'_>) -> Result<(), StepError> {
        let site = &self.source.site;
        for member in &self.source.facts.survey.members {
            let container = database(&member.pod);
            let mut told = false;
            let settlement = await_until(clock::monotonic() + LONGEST, LOOK, async || {
                let old = match run(site, &container, UNFINISHED_COPY, ASIDE).await {
                    Ok(old) => old.trim().to_owned(),
                    // A container that starts is asked again by whoever compares.
                    Err(_) if !told => return Ok(Look::Settled(())),
                    Err(error) => return Ok(Look::NotYet(error.to_string())),
                };
                if old.is_empty() {
                    return Ok::<_, StepError>(Look::Settled(()));
                }
                if !told {
                    told = true;
                    let text = format!(
                        "{} has its old data in {old} and gets a new copy.",
                        member.pod
                    );
                    steps.note(Step::Prove, text);
                }
                Ok(Look::NotYet(format!(
                    "the copy of {} is not finished",
                    member.pod
                )))
            });
            settled("a new copy of every member", LONGEST, settlement.await?)?;
        }
        Ok(())
    }

    /// Sets aside the data of every member and waits until each has a new copy.
    pub(super) async fn rebuild(
        &mut self,
        steps: &Steps<'_>,
    ) -> Result<(Vec<(String, String)>, String), StepError> {
        let limit = self.limits.step;
        // A Patroni that is not paused would make its copy, or elect a member, before the data of all is set aside.
        pause_patroni(&mut self.source, limit).await?;
        let epoch = steps.epoch().await.unwrap_or_default();
        let suffix = format!("pgha-{epoch}");
        let mut aside = Vec::new();
        for member in &self.source.facts.survey.members {
            let container = database(&member.pod);
            let old = self.set_aside(&container, &suffix).await?;
            steps.note(
                Step::Prepare,
                format!("The old data of {} is in {old}.", member.pod),
            );
            aside.push((member.pod.clone(), old));
        }
        let mut config = self.source.config();
        render::set_pause(&mut config, false);
        self.source.send_config(&config).await?;
        self.await_copies(steps, &suffix).await?;
        let evidence = format!(
            "{} members have a new copy, and are in recovery.",
            aside.len()
        );
        Ok((aside, evidence))
    }

    async fn set_aside(&self, at: &Container, suffix: &str) -> Result<String, StepError> {
        let said = run(&self.source.site, at, &set_aside(suffix), ASIDE).await?;
        Ok(said.trim().to_owned())
    }

    /// Patroni's own word of what each member does is told while it changes.
    async fn await_copies(&mut self, steps: &Steps<'_>, suffix: &str) -> Result<(), StepError> {
        let (site, cluster) = (self.source.site.clone(), self.source.cluster.clone());
        let mut told = String::new();
        let settlement = await_until(clock::monotonic() + LONGEST, LOOK, async || {
            let survey = match survey_site(&site, &cluster, Depth::Members).await {
                Ok(survey) => survey,
                // A copy takes hours: one look that fails is not the end of it.
                Err(error) => return Ok(Look::NotYet(format!("it cannot be surveyed: {error}"))),
            };
            let members = survey.members.iter().map(|member| {
                let state = member.freshest().map(|status| status.state.clone());
                (member.pod.clone(), state.unwrap_or_default())
            });
            let members: Vec<_> = members.collect();
            let now = members.iter().map(|(pod, state)| format!("{pod}: {state}"));
            let now = now.collect::<Vec<_>>().join(", ");
            if now != told {
                steps.note(Step::Prepare, format!("{now}."));
                told.clone_from(&now);
            }
            for (pod, _) in members.iter().filter(|(_, state)| state != "running") {
                // A container that cannot be asked now is asked at the next look.
                let _asked = run(&site, &database(pod), &clear_cache(suffix), ASIDE).await;
            }
            let is_led = survey.lock_holder().is_some();
            let all_run = members.iter().all(|(_, state)| state == "running");
            Ok::<_, StepError>(if is_led && all_run {
                Look::Settled(survey)
            } else {
                Look::NotYet(now)
            })
        });
        self.source.facts.survey =
            settled("a new copy of every member", LONGEST, settlement.await?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Output};

    use pgha_model::event::Event;
    use pgha_model::site::Part;
    use pgha_testkit::pgo::{Kind, pair};
    use pgha_testkit::{Failure, FakeCluster, Fault};

    use super::*;
    use crate::client::SiteClient;
    use crate::engine::rejoin::Keep;
    use crate::engine::{Limits, Reporter, Side, interrupter};

    /// A volume with a data folder whose log is linked, where bash functions stand for the container's programs.
    struct Volume {
        folder: tempfile::TempDir,
    }

    impl Volume {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["pg15", "pg15_wal"] {
                fs::create_dir(folder.path().join(name)).unwrap();
            }
            std::os::unix::fs::symlink(
                folder.path().join("pg15_wal"),
                folder.path().join("pg15/pg_wal"),
            )
            .unwrap();
            fs::write(folder.path().join("pg15/PG_VERSION"), "15").unwrap();
            fs::write(folder.path().join("pg15_wal/segment"), "log").unwrap();
            Self { folder }
        }

        fn at(&self, name: &str) -> std::path::PathBuf {
            self.folder.path().join(name)
        }

        fn run(&self, script: &str) -> Output {
            let mut bash = Command::new("bash");
            bash.args(["--noprofile", "--norc", "-c", script])
                .env("PGDATA", self.at("pg15"));
            bash.output().unwrap()
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The state letter of a process (proc(5), `/proc/pid/stat`).
    fn state(pid: u32) -> String {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, after) = stat.rsplit_once(") ").unwrap();
        after[..1].to_owned()
    }

    #[test]
    fn patroni_stands_still_while_the_old_data_is_renamed() {
        let volume = Volume::new();
        let mut patroni = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = patroni.id();
        let programs = format!(
            r#"pgrep() {{ echo {pid}; }}
pg_ctl() {{ [ "$3" != status ] || {{ cut -d' ' -f3 /proc/{pid}/stat >>"$PGDATA/../seen"; return 3; }}; }}
"#
        );
        let ended = volume.run(&(programs + &set_aside("pgha-7")));
        let still = state(pid);
        patroni.kill().unwrap();
        patroni.wait().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let seen = fs::read_to_string(volume.at("seen")).unwrap();
        assert_eq!(seen.lines().last(), Some("T"), "{seen}");
        assert_ne!(still, "T");
        assert_eq!(names(&volume.at("pg15")), Vec::<String>::new());
        assert_eq!(names(&volume.at("pg15_wal")), Vec::<String>::new());
        assert_eq!(names(&volume.at("pg15.pgha-7")), ["PG_VERSION", "pg_wal"]);
        let kept = volume.at("pg15.pgha-7/pg_wal/segment");
        assert_eq!(fs::read_to_string(kept).unwrap(), "log");
    }

    #[test]
    fn nothing_is_renamed_where_postgres_does_not_stop() {
        let volume = Volume::new();
        let programs = "pgrep() { return 1; }; pg_ctl() { return 0; }\n";
        let ended = volume.run(&(programs.to_owned() + &set_aside("pgha-7")));
        assert_eq!(ended.status.code(), Some(4), "{ended:?}");
        assert_eq!(names(&volume.at("pg15")), ["PG_VERSION", "pg_wal"]);
    }

    #[test]
    fn only_a_cache_that_is_alone_in_a_new_folder_is_removed() {
        let volume = Volume::new();
        let cache = "patroni.dynamic.json";
        volume.run(&format!("touch $PGDATA/{cache}; {}", clear_cache("pgha-7")));
        assert!(volume.at("pg15").join(cache).exists());
        fs::rename(volume.at("pg15"), volume.at("old")).unwrap();
        fs::create_dir(volume.at("pg15")).unwrap();
        volume.run(&format!("touch $PGDATA/{cache}; {}", clear_cache("pgha-7")));
        assert!(volume.at("pg15").join(cache).exists());
        fs::rename(volume.at("old"), volume.at("pg15.pgha-7")).unwrap();
        volume.run(&clear_cache("pgha-7"));
        assert_eq!(names(&volume.at("pg15")), Vec::<String>::new());
        assert!(volume.at("pg15.pgha-7").join(cache).exists());
    }

    #[test]
    fn a_copy_without_its_control_file_is_not_finished() {
        let volume = Volume::new();
        let said = |volume: &Volume| String::from_utf8(volume.run(UNFINISHED_COPY).stdout).unwrap();
        // A folder that was never renamed is no copy.
        assert_eq!(said(&volume), "");
        fs::create_dir(volume.at("pg15.pgha-7")).unwrap();
        let old = format!("{}\n", volume.at("pg15.pgha-7").display());
        assert_eq!(said(&volume), old);
        fs::create_dir(volume.at("pg15/global")).unwrap();
        fs::write(volume.at("pg15/global/pg_control"), "").unwrap();
        assert_eq!(said(&volume), "");
    }

    struct Nowhere;

    impl Keep for Nowhere {
        fn file(&mut self, _name: &str, _content: &[u8]) -> std::io::Result<()> {
            Ok(())
        }

        fn folder(&self) -> String {
            String::new()
        }
    }

    /// A copy takes hours, and a connection that breaks meanwhile is not the end of it.
    #[tokio::test(start_paused = true)]
    async fn a_look_that_fails_does_not_end_the_wait_for_the_copies() {
        const NAMESPACE: &str = "prod-iam-zitadel";
        let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, clock::now());
        let (here, there) = (standby.build(), primary.build());
        let open = async |context: &str, cluster: &FakeCluster, part| {
            let limit = Duration::from_secs(5);
            let site = SiteClient::from_client(context, NAMESPACE, cluster.client(), limit);
            Box::pin(Side::open(site, "zitadel", part)).await.unwrap()
        };
        let source = open("core1", &here, Part::Source).await;
        let target = open("core2", &there, Part::Target).await;
        here.fail(Fault::new(Failure::Forbidden).resource("pods").times(1));
        let (_interrupter, interrupt) = interrupter();
        let mut told = Vec::new();
        let mut report = |event: &Event| told.push(format!("{event:?}"));
        let report: &mut Reporter<'_> = &mut report;
        let steps = Steps::new(interrupt, report);
        let mut keep = Nowhere;
        let mut run = RejoinRun::new((source, target), Limits::default(), true, &mut keep);
        Box::pin(run.await_copies(&steps, "pgha-7")).await.unwrap();
        assert_eq!(run.source.facts.survey.members.len(), 2);
    }
}
