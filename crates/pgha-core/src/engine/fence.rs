//! Stopping a primary so that it says itself where it ended, and the way back from there.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::Api;
use pgha_model::control::{ClusterState, ControlData};
use pgha_model::guard::Guard;
use pgha_model::plan::{Demotion, LeaderIdentity};
use pgha_model::proof::{Closure, Recovered};
use pgha_model::timeline::Timeline;
use serde_json::{Map, Value};

use super::side::{Side, settled};
use super::switchover::pause;
use super::{Limits, StepError};
use crate::clock::{self, Instant};
use crate::exec::{Container, ExecError, Shell};
use crate::operator::pgo_v5::{self, render};
use crate::patch::ObjectPatch;
use crate::postgres::{ANSWER_TIME, ControlError, PRINT_CONTROL_DATA, Psql};
use crate::settle::{Look, await_until};

/// Prints the control data as soon as it says `shut down`, and before it for how many microseconds the server was seen
/// stopping. A member that Patroni has already started again as a standby is missed, so this looks often, and a look starts
/// no process until the server says that it stops (PostgreSQL source, `pidfile.h`, `PM_STATUS_STOPPING`) and its control
/// file has changed: everything in it is among the first pieces between zeros.
pub(super) const WATCH_FOR_SHUTDOWN: &str = r#"
exec {tick}<> <(:)
is_up() { mapfile -t -s 7 -n 1 line < "$PGDATA/postmaster.pid" && [[ ${line-} != stopping* ]]; }
while is_up 2>/dev/null; do read -r -t 0.005 -u "$tick"; done
began=${EPOCHREALTIME/[.,]/}
seen=
while :; do
  mapfile -d '' -n 400 control < "$PGDATA/global/pg_control" || exit 3
  if [[ "${control[*]}" != "$seen" ]]; then
    seen="${control[*]}"
    out=$(LC_ALL=C pg_controldata "$PGDATA") || exit 3
    [[ $out =~ cluster\ state:\ +shut\ down$'\n' ]] && break
  fi
  read -r -t 0.005 -u "$tick"
done
printf 'pgha-stopping-us: %s\n%s\n' "$((${EPOCHREALTIME/[.,]/} - began))" "$out""#;

/// How a side is made a standby.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    /// The section of the operator's object that makes it one.
    pub(super) section: Map<String, Value>,
    /// How its Patroni wants it.
    pub(super) demotion: Demotion,
    /// The member that is stopped: only its own word counts.
    pub(super) leader: LeaderIdentity,
    /// Whether it asks the archive from then on. In a move it does so after the release: until then each request of its
    /// members would take the processor from what the write gap waits for.
    pub(super) asks_archive: bool,
}

/// A side that was stopped.
#[derive(Clone, Debug)]
pub(super) struct Stopped {
    /// Where its log ends.
    pub(super) closure: Closure,
    /// From the request until the server began to stop.
    pub(super) reaction: Duration,
    /// From then until its control data said `shut down`.
    pub(super) stop: Duration,
    /// Why the stop itself was not seen, as a full sentence.
    pub(super) missed: Option<String>,
}

impl Stopped {
    /// Where the log ended, as a full sentence.
    pub(super) fn evidence(&self, leader: &LeaderIdentity) -> String {
        let (end, timeline) = (self.closure.end, self.closure.timeline);
        format!("{} ended with {end} on timeline {timeline}.", leader.pod)
    }
}

impl Fence {
    /// Stops the leader of a side cleanly and makes the side a standby.
    ///
    /// `begun` is set before the first request that may have an effect.
    pub(super) async fn stop(
        &self,
        at: &mut Side,
        limits: Limits,
        begun: &mut Option<Instant>,
    ) -> Result<Stopped, StepError> {
        let mut config = render::config_as_standby(&at.config(), &self.section);
        if !self.asks_archive {
            render::set_restore_command(&mut config, render::NO_ARCHIVE);
        }
        let patch = at.standby_patch(&self.section, true);
        let shell = at.take_shell()?;
        let leader = shell.container().clone();
        let limit = limits.stop;
        let since = clock::monotonic();
        *begun = Some(since);
        let watched = if self.demotion == Demotion::WhilePaused {
            // The wish first: a hold that ends early must not find a stopped primary that is to be one.
            at.send_object(&patch).await?;
            let script = format!("{}\n{WATCH_FOR_SHUTDOWN}", pause::STOP);
            watch(shell, &script, limit).await
        } else {
            send_and_watch(at, limit, shell, &patch, &config).await?
        };
        let took = clock::monotonic() - since;
        let (closure, stopping, missed) = match watched {
            Ok((shell, text)) => {
                at.shell = Some(shell);
                (close(at, &text)?, stopping_time(&text), None)
            }
            Err(error) => {
                let missed = format!("The stop was not seen ({error}); it was looked at again.");
                (
                    self.look_again(at, &leader, limit).await?,
                    None,
                    Some(missed),
                )
            }
        };
        if self.demotion == Demotion::WhilePaused {
            // Before anything else: with this Patroni lets the lock go, and whoever ends the pause from now on, also
            // without this tool, starts a standby. An operator that ends pause and primary in one write starts what held
            // the lock as a primary, beside the other side's (patroni issue 1660).
            at.send_config(&config).await?;
        }
        let stop = stopping.unwrap_or_default().min(took);
        Ok(Stopped {
            closure,
            reaction: took.saturating_sub(stop),
            stop,
            missed,
        })
    }

    /// When the watch was lost: the same member still says `shut down`, or it is back in recovery and says how far its log
    /// goes. Never another member's word.
    async fn look_again(
        &self,
        at: &mut Side,
        leader: &Container,
        limit: Duration,
    ) -> Result<Closure, StepError> {
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            check_pod(at, &self.leader).await?;
            match self.look_once(at, leader).await {
                Ok(Some((shell, closure))) => Ok(Look::Settled((shell, closure))),
                Ok(None) => Ok(Look::NotYet(format!("{} is neither", leader.pod))),
                Err(StepError::Exec(error)) => Ok(Look::NotYet(error.to_string())),
                Err(StepError::Sql(error)) => Ok(Look::NotYet(error.to_string())),
                Err(error) => Err(error),
            }
        });
        let what = "a clean stop or a recovery of the source's leader";
        let (shell, closure) = settled(what, limit, settlement.await?)?;
        at.shell = Some(shell);
        Ok(closure)
    }

    async fn look_once(
        &self,
        at: &Side,
        leader: &Container,
    ) -> Result<Option<(Shell, Closure)>, StepError> {
        let site = &at.site;
        let mut shell = Shell::open(site, leader, ANSWER_TIME)
            .await
            .map_err(StepError::Exec)?;
        let printed = shell.run(PRINT_CONTROL_DATA, ANSWER_TIME).await;
        let printed = printed.and_then(|output| output.ok(leader));
        let text = printed.map_err(StepError::Exec)?;
        let control = ControlData::from_text(&text)
            .map_err(|error| StepError::Control(ControlError::Invalid(error)))?;
        if control.state == ClusterState::ShutDown {
            return Ok(Some((shell, close(at, &text)?)));
        }
        let mut psql = Psql::open(site, leader, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        // Twice: a position that still moves is not the end.
        let asked = [RECOVERED, "select pg_sleep(0.2)", RECOVERED];
        let [before, _, after] = psql
            .query_each(asked, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        let Some(recovered) = Recovered::from_row(&after).filter(|_| before == after) else {
            return Ok(None);
        };
        let facts = at.facts.postgres.as_ref();
        let timeline = Timeline(facts.map_or(0, |facts| facts.checkpoint_timeline));
        let expected = system_identifier(at);
        let closure = Closure::from_recovered(&recovered, expected, timeline, control.segment_size);
        Ok(Some((shell, closure.map_err(StepError::NotProved)?)))
    }

    /// Makes a fenced side primary again, by a promotion and never by a restart on the same timeline: the segment of its
    /// shutdown checkpoint may be in the archive already, and would be filled again under the same name. So its demotion
    /// is awaited before it is taken back. `false`: it did not come back in recovery, and is told all the same.
    pub(super) async fn take_back(
        &self,
        side: &mut Side,
        limits: Limits,
    ) -> Result<bool, StepError> {
        if self.demotion == Demotion::WhilePaused {
            pause::stop_for_undo(side, &self.section, limits).await?;
        }
        let came_back = side.leader_in_recovery(limits.stop).await?;
        tell_primary(side, &self.section).await?;
        Ok(came_back)
    }
}

/// Tells a side that is in recovery to become primary again: its object, then Patroni's configuration.
pub(super) async fn tell_primary(
    side: &mut Side,
    section: &Map<String, Value>,
) -> Result<(), StepError> {
    let object = side.standby_patch(section, false);
    side.send_object(&object).await?;
    let config = render::config_as_primary(&side.config());
    side.send_config(&config).await
}

/// Watches for the stop while the source is told to become a standby. A watch that fails stops nothing: what was begun
/// is sent whole.
async fn send_and_watch(
    at: &mut Side,
    limit: Duration,
    shell: Shell,
    patch: &ObjectPatch,
    config: &Value,
) -> Result<Watched, StepError> {
    let mut watched = std::pin::pin!(watch(shell, WATCH_FOR_SHUTDOWN, limit));
    let mut sent = std::pin::pin!(async {
        at.send_object(patch).await?;
        at.send_config(config).await
    });
    tokio::select! {
        result = &mut sent => {
            result?;
            Ok(watched.await)
        }
        early = &mut watched => {
            sent.await?;
            Ok(early)
        }
    }
}

fn close(at: &Side, text: &str) -> Result<Closure, StepError> {
    let control = ControlData::from_text(text)
        .map_err(|error| StepError::Control(ControlError::Invalid(error)))?;
    Closure::from_control(&control, system_identifier(at)).map_err(StepError::NotProved)
}

fn system_identifier(of: &Side) -> &str {
    of.facts.survey.system_identifier().unwrap_or_default()
}

/// A shell that is free again and what it printed, or why the stop was not seen.
type Watched = Result<(Shell, String), ExecError>;

async fn watch(mut shell: Shell, script: &str, limit: Duration) -> Watched {
    let container = shell.container().clone();
    let text = shell.run(script, limit).await?.ok(&container)?;
    Ok((shell, text))
}

/// What [`Recovered::from_row`] reads; no row from a server that takes writes.
pub(super) const RECOVERED: &str = "select system_identifier, timeline_id, pg_last_wal_replay_lsn() \
     from pg_control_system(), pg_control_checkpoint() where pg_is_in_recovery()";

/// Pause between two looks at a server whose stop was missed.
const LOOK: Duration = Duration::from_millis(200);

/// What [`WATCH_FOR_SHUTDOWN`] says of the time that the server was seen stopping.
fn stopping_time(text: &str) -> Option<Duration> {
    let us = text
        .lines()
        .find_map(|line| line.strip_prefix("pgha-stopping-us: "))?;
    us.trim().parse().ok().map(Duration::from_micros)
}

/// The lock is still held by the very pod that the plan names: any other member's end would prove nothing.
pub(super) async fn check_leader(at: &Side, planned: &LeaderIdentity) -> Result<(), StepError> {
    let site = &at.site;
    let lock: Api<Endpoints> = Api::namespaced(site.client.clone(), &site.namespace);
    let name = pgo_v5::lock_name(&at.cluster);
    let (lock, same) = tokio::join!(
        site.call("get", "endpoints", lock.get(&name)),
        check_pod(at, planned)
    );
    let annotations = lock?.metadata.annotations.unwrap_or_default();
    same?;
    match annotations.get("leader") {
        Some(holder) if Guard::PlannedLeader.holds(*holder == planned.pod) => Ok(()),
        holder => Err(StepError::BasisChanged {
            what: format!(
                "the leader of the {} was {}, now the lock names {}",
                at.part,
                planned.pod,
                holder.map_or("nobody", String::as_str)
            ),
        }),
    }
}

/// The pod of that name is still the one that the plan means.
async fn check_pod(at: &Side, planned: &LeaderIdentity) -> Result<(), StepError> {
    let site = &at.site;
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &site.namespace);
    let pod = site.call("get", "pod", pods.get(&planned.pod)).await?;
    let is_same = pod.metadata.uid.as_deref() == Some(&planned.uid);
    if Guard::PlannedLeader.holds(is_same) {
        return Ok(());
    }
    Err(StepError::BasisChanged {
        what: format!(
            "the leader of the {} was {}, and that pod was replaced",
            at.part, planned.pod
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use pgha_model::site::Part;
    use pgha_testkit::pgo::PgoSite;

    use super::*;
    use crate::client::SiteClient;

    #[tokio::test]
    async fn another_leader_or_another_pod_is_not_the_planned_one() {
        let site = PgoSite::primary("zitadel", "prod", clock::now());
        let cluster = site.build();
        let pod = cluster.object("pods", "prod", site.pod(0)).unwrap();
        let client = SiteClient::from_client("core1", "prod", cluster.client(), ANSWER_TIME);
        let at = Box::pin(Side::open(client, "zitadel", Part::Source)).await;
        let at = at.unwrap();
        let planned = LeaderIdentity {
            pod: site.pod(0).to_owned(),
            uid: pod["metadata"]["uid"].as_str().unwrap().to_owned(),
        };
        check_leader(&at, &planned).await.unwrap();
        let replaced = LeaderIdentity {
            uid: "another".to_owned(),
            ..planned.clone()
        };
        assert!(check_leader(&at, &replaced).await.is_err());
        let lock = pgo_v5::lock_name("zitadel");
        cluster.change("endpoints", "prod", &lock, |object| {
            object["metadata"]["annotations"]["leader"] = site.pod(1).into();
        });
        assert!(check_leader(&at, &planned).await.is_err());
    }

    /// A lock file of a server (PostgreSQL documentation, 73.1) in this state.
    fn lock_file(state: &str) -> String {
        format!("1\n/pgdata/pg15\n1\n5432\n/tmp\n*\n 1 1\n{state:<8}\n")
    }

    #[test]
    fn the_stop_is_seen_and_timed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Says `shutting down` at the first look; the file changes after it, and the second look says `shut down`.
        let program = "#!/bin/sh\ncat \"$PGDATA/control\"\nprintf 'Database cluster state:  shut down\\nLatest\\n' > \"$PGDATA/control\"\nprintf 'a\\0c' > \"$PGDATA/global/pg_control\"\n";
        fs::create_dir(path("global")).unwrap();
        fs::write(path("global/pg_control"), "a\0b").unwrap();
        fs::write(path("pg_controldata"), program).unwrap();
        fs::set_permissions(path("pg_controldata"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path("control"), "Database cluster state:  shutting down\n").unwrap();
        fs::write(path("postmaster.pid"), lock_file("ready")).unwrap();
        let mut watch = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", WATCH_FOR_SHUTDOWN])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("PGDATA", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(watch.try_wait().unwrap().is_none());
        fs::write(path("postmaster.pid"), lock_file("stopping")).unwrap();
        let said = watch.wait_with_output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(stopping_time(&said).unwrap() > Duration::ZERO, "{said}");
        assert!(
            said.ends_with("Database cluster state:  shut down\nLatest\n"),
            "{said}"
        );
    }

    #[test]
    fn the_time_is_read_in_microseconds() {
        assert_eq!(
            stopping_time("pgha-stopping-us: 1500\n"),
            Some(Duration::from_micros(1500))
        );
        assert_eq!(stopping_time("Database cluster state: shut down"), None);
    }
}
