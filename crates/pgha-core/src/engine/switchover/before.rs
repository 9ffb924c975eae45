//! The steps up to the proof: each can be taken back.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::Api;
use pgha_model::control::ControlData;
use pgha_model::lsn::Lsn;
use pgha_model::plan::LeaderIdentity;
use pgha_model::proof::Closure;
use pgha_model::timeline::Timeline;

use tokio::time::timeout;

use super::{Proof, Switchover, pause};
use crate::clock;
use crate::engine::StepError;
use crate::engine::side::{Side, settled};
use crate::operator::pgo_v5::{self, render};
use crate::postgres::{ANSWER_TIME, ControlError, Psql};
use crate::settle::{Look, await_until};

/// How often an archive-only target asks for log during a move; 5 s otherwise (PostgreSQL documentation, 20.6.3).
const POLL_INTERVAL: &str = "200ms";

/// How much log the source of an archive-only move keeps.
const KEPT_LOG: &str = "512MB";

/// Prints the control data as soon as it says `shut down`. A member that Patroni has already started again as a standby
/// is missed, so this looks often.
const WATCH_FOR_SHUTDOWN: &str = r#"
while :; do
  out=$(LC_ALL=C pg_controldata "$PGDATA") || exit 3
  [[ $out =~ cluster\ state:\ +shut\ down$'\n' ]] && { printf '%s\n' "$out"; exit 0; }
  sleep 0.01
done"#;

impl Switchover<'_> {
    /// Both operators leave their cluster alone: each is otherwise a second writer of Patroni's configuration.
    pub(super) async fn hold(&mut self) -> Result<((), String), StepError> {
        self.reached.prepared = true;
        let limit = self.limits.step;
        tokio::try_join!(self.source.hold(limit), self.target.hold(limit))?;
        Ok((
            (),
            "Both objects say Progressing=False, reason Paused.".to_owned(),
        ))
    }

    /// The target asks the archive often; that bounds what an archive-only move waits for.
    pub(super) async fn prepare(&mut self) -> Result<((), String), StepError> {
        let mut config = self.target.config();
        render::set_parameter(
            &mut config,
            "wal_retrieve_retry_interval",
            Some(POLL_INTERVAL),
        );
        self.target.send_config(&config).await?;
        self.keep_log_at_source().await?;
        if self.pauses() {
            self.pause_patroni().await?;
        }
        let limit = self.limits.step;
        for psql in &mut self.target.members {
            await_setting(psql, "wal_retrieve_retry_interval", POLL_INTERVAL, limit).await?;
        }
        Ok((
            (),
            format!("Every member of the target looks for log each {POLL_INTERVAL}."),
        ))
    }

    /// What is handed over directly must still be there when the source has stopped: its shutdown checkpoint recycles
    /// every segment that the archive holds.
    async fn keep_log_at_source(&mut self) -> Result<(), StepError> {
        if !self.is_archive_only() {
            return Ok(());
        }
        let mut config = self.source.config();
        render::set_parameter(&mut config, "wal_keep_size", Some(KEPT_LOG));
        self.source.send_config(&config).await?;
        let limit = self.limits.step;
        await_setting(self.source.psql()?, "wal_keep_size", KEPT_LOG, limit).await
    }

    /// A canary takes the very way that the last records will take.
    pub(super) async fn rehearse(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        let psql = self.source.psql()?;
        psql.query("checkpoint", limit)
            .await
            .map_err(StepError::Sql)?;
        let canary = emit_canary(psql).await?;
        let segment = "select pg_walfile_name(pg_current_wal_insert_lsn())";
        let segment = psql
            .query(segment, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        psql.query("select pg_switch_wal()", ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        await_replay(&mut self.target, canary, limit).await?;
        await_archived(self.source.psql()?, &segment, limit).await?;
        self.push_archived(&segment).await?;
        self.refuse_dead_branch().await?;
        Ok((
            (),
            format!("The canary at {canary} was replayed on every member of the target."),
        ))
    }

    /// Runs the push that the proof will need, on a segment that the archive holds already.
    async fn push_archived(&mut self, segment: &str) -> Result<(), StepError> {
        let command = self.push_command(segment)?;
        let limit = self.limits.step;
        let shell = self.source.shell()?;
        let container = shell.container().clone();
        let output = shell.run(&command, limit).await.map_err(StepError::Exec)?;
        output.ok(&container).map_err(StepError::Exec).map(drop)
    }

    fn push_command(&self, segment: &str) -> Result<String, StepError> {
        let facts = self.source.facts.postgres.as_ref();
        let command = facts.map_or("", |facts| facts.archive_command.as_str());
        render::push_command(command, segment).ok_or_else(|| StepError::BasisChanged {
            what: format!("the archive command `{command}` is not pgBackRest's"),
        })
    }

    /// A history of the next timeline in the repository belongs to a dead branch: whoever follows it is lost.
    async fn refuse_dead_branch(&mut self) -> Result<(), StepError> {
        let facts = self
            .source
            .facts
            .postgres
            .as_ref()
            .zip(self.target.facts.postgres.as_ref());
        let Some((source, target)) = facts else {
            return Ok(());
        };
        let history = Timeline(source.checkpoint_timeline + 1).history_file_name();
        let probe = "/tmp/pgha-history-probe";
        let Some(fetch) = render::fetch_command(&target.restore_command, &history, probe) else {
            return Ok(());
        };
        let script = format!("{fetch}; code=$?; rm -f {probe}; exit $code");
        let limit = self.limits.step;
        let shell = self.target.shell()?;
        let container = shell.container().clone();
        let output = shell.run(&script, limit).await.map_err(StepError::Exec)?;
        match output.exit_code {
            // pgBackRest ends with 1 when the archive does not hold the file (its documentation, `archive-get`).
            1 => Ok(()),
            0 => Err(StepError::BasisChanged {
                what: format!("the repository already holds {history}, of a branch that is dead"),
            }),
            _ => output.ok(&container).map_err(StepError::Exec).map(drop),
        }
    }

    /// The leader of the source stops cleanly; its own control data says where.
    pub(super) async fn fence(&mut self) -> Result<(Closure, String), StepError> {
        tokio::try_join!(
            check_leader(&self.source, &self.plan.source_leader),
            check_leader(&self.target, &self.plan.target_leader)
        )?;
        let section = self.source.standby_section(&self.target);
        let config = render::config_as_standby(&self.source.config(), &section);
        let patch = self.source.standby_patch(&section, true);
        let mut shell = self.source.take_shell()?;
        let limit = self.limits.stop;
        self.reached.fence_sent = Some(clock::monotonic());
        let watched = if self.pauses() {
            // The wish first: a hold that ends early must not find a stopped primary that is to be one.
            match self.source.send_object(&patch).await {
                Ok(()) => shell.run(pause::STOP, limit).await.map_err(StepError::Exec),
                Err(error) => Err(error),
            }
        } else {
            let watch = async {
                shell
                    .run(WATCH_FOR_SHUTDOWN, limit)
                    .await
                    .map_err(StepError::Exec)
            };
            let send = async {
                self.source.send_object(&patch).await?;
                self.source.send_config(&config).await
            };
            tokio::try_join!(watch, send).map(|(output, ())| output)
        };
        let container = shell.container().clone();
        self.source.shell = Some(shell);
        let text = watched?.ok(&container).map_err(StepError::Exec)?;
        let control = ControlData::from_text(&text)
            .map_err(|error| StepError::Control(ControlError::Invalid(error)))?;
        let closure = self.close(&control)?;
        let evidence = format!(
            "{}: control data says `shut down` at {} on timeline {}.",
            container.pod, closure.checkpoint, closure.timeline
        );
        Ok((closure, evidence))
    }

    fn close(&self, control: &ControlData) -> Result<Closure, StepError> {
        let expected = self
            .source
            .facts
            .survey
            .system_identifier()
            .unwrap_or_default();
        Closure::from_control(control, expected).map_err(StepError::NotProved)
    }

    /// The target holds everything, on every member that Patroni could elect.
    ///
    /// The push waits where the archive is not on the target's way: it would take the processor from what is.
    pub(super) async fn prove(&mut self, closure: Closure) -> Result<(Proof, String), StepError> {
        let direct = match self.handover.take() {
            Some(handover) => self.hand_over(handover, &closure).await,
            None => !self.is_archive_only(),
        };
        let (checkpoint, limit) = (closure.checkpoint, self.limits.proof);
        let positions = if direct {
            let positions = await_replay(&mut self.target, checkpoint, limit).await?;
            self.start_push(&closure)?;
            positions
        } else {
            self.start_push(&closure)?;
            self.await_replay_by_archive(checkpoint).await?
        };
        for (member, replayed) in &positions {
            closure
                .covers(member, *replayed)
                .map_err(StepError::NotProved)?;
        }
        let replayed = positions
            .first()
            .map(|(_, replayed)| *replayed)
            .unwrap_or_default();
        let evidence = format!(
            "{} members of the target replayed to {replayed}, past the checkpoint at {checkpoint}.",
            positions.len()
        );
        Ok((Proof { closure, replayed }, evidence))
    }

    /// Waits for the replay of what the push brings, and no longer than that can work.
    async fn await_replay_by_archive(
        &mut self,
        checkpoint: Lsn,
    ) -> Result<Vec<(String, Lsn)>, StepError> {
        let limit = self.limits.proof;
        let mut replay = std::pin::pin!(await_replay(&mut self.target, checkpoint, limit));
        loop {
            tokio::select! {
                positions = &mut replay => return positions,
                Some(pushed) = self.pushing.join_next() => {
                    if !pushed.is_ok_and(|output| output.is_ok_and(|output| output.exit_code == 0)) {
                        return Err(StepError::BasisChanged {
                            what: "the last segment could not be pushed to the repository".to_owned(),
                        });
                    }
                }
            }
        }
    }

    fn start_push(&mut self, closure: &Closure) -> Result<(), StepError> {
        let command = self.push_command(&closure.segment)?;
        let script = format!(
            "for ready in \"$PGDATA\"/pg_wal/archive_status/*.ready; do [ -e \"$ready\" ] || continue; \
             segment=${{ready##*/}}; segment=${{segment%.ready}}; {}; done; {command}",
            command.replace(&closure.segment, "$segment")
        );
        let limit = self.limits.proof;
        let mut shell = self.source.take_shell()?;
        self.pushing
            .spawn(async move { shell.run(&script, limit).await });
        Ok(())
    }
}

/// A committed transaction that changes nothing; returns its position.
pub(in crate::engine) async fn emit_canary(psql: &mut Psql) -> Result<Lsn, StepError> {
    let canary = "select pg_logical_emit_message(true, 'pgha', 'canary')";
    psql.lsn(canary, ANSWER_TIME).await.map_err(StepError::Sql)
}

/// Waits until every member of a standby side has replayed past a position; returns up to where each has, the leader
/// first.
pub(super) async fn await_replay(
    side: &mut Side,
    past: Lsn,
    limit: Duration,
) -> Result<Vec<(String, Lsn)>, StepError> {
    let Some((leader, replicas)) = side.members.split_first_mut() else {
        return Err(StepError::BasisChanged {
            what: format!("the {} has no members", side.part),
        });
    };
    let first = await_member(leader, past, limit).await?;
    let mut waiting = std::pin::pin!(await_members(replicas, past, limit));
    let others = loop {
        wake_senders(leader).await?;
        if let Ok(others) = timeout(WAKE, &mut waiting).await {
            break others?;
        }
    };
    Ok(std::iter::once(first).chain(others).collect())
}

/// The same for members that all follow somebody else.
pub(super) async fn await_members(
    members: &mut [Psql],
    past: Lsn,
    limit: Duration,
) -> Result<Vec<(String, Lsn)>, StepError> {
    try_join_all(
        members
            .iter_mut()
            .map(|psql| await_member(psql, past, limit)),
    )
    .await
}

async fn await_member(
    psql: &mut Psql,
    past: Lsn,
    limit: Duration,
) -> Result<(String, Lsn), StepError> {
    let replayed = psql
        .await_replay(past, limit)
        .await
        .map_err(StepError::Sql)?;
    let member = psql.member().to_owned();
    match replayed {
        Some(replayed) => Ok((member, replayed)),
        None => Err(StepError::NotSettled {
            what: "replay past the awaited position",
            limit,
            seen: format!("{member} has not replayed past {past}"),
        }),
    }
}

/// Has a standby leader send on what it has replayed.
///
/// Before Postgres 16 the senders of a standby that is fed by the archive are not woken by its replay and look by
/// themselves only every 10 s (PostgreSQL source, `walsender.c`, `WalSndComputeSleeptime`); a reload wakes them.
async fn wake_senders(leader: &mut Psql) -> Result<(), StepError> {
    let reload = leader.query("select pg_reload_conf()", ANSWER_TIME).await;
    reload.map(drop).map_err(StepError::Sql)
}

/// Pause between two reloads.
const WAKE: Duration = Duration::from_millis(100);

/// Waits until the archiver of a primary says that a segment, or a later one, is in the archive.
pub(super) async fn await_archived(
    psql: &mut Psql,
    segment: &str,
    limit: Duration,
) -> Result<(), StepError> {
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let query = "select coalesce(last_archived_wal, '') from pg_stat_archiver";
        let last = psql
            .query(query, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        // Names of one timeline sort as their positions do, and a later timeline sorts later.
        Ok::<_, StepError>(if *last >= *segment {
            Look::Settled(())
        } else {
            Look::NotYet(format!(
                "the last archived segment is {last}, awaited was {segment}"
            ))
        })
    });
    settled("archiving", limit, settlement.await?)
}

const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn await_setting(
    psql: &mut Psql,
    name: &str,
    wanted: &str,
    limit: Duration,
) -> Result<(), StepError> {
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let seen = psql
            .query(&format!("show {name}"), ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        Ok::<_, StepError>(if seen == wanted {
            Look::Settled(())
        } else {
            Look::NotYet(format!("{name} is {seen} on {}", psql.member()))
        })
    });
    settled("a change of settings", limit, settlement.await?)
}

/// The lock is still held by the very pod that the plan names: any other member's end would prove nothing.
async fn check_leader(at: &Side, planned: &LeaderIdentity) -> Result<(), StepError> {
    let site = &at.site;
    let lock: Api<Endpoints> = Api::namespaced(site.client.clone(), &site.namespace);
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &site.namespace);
    let name = pgo_v5::lock_name(&at.cluster);
    let (lock, pod) = tokio::join!(
        site.call("get", "endpoints", lock.get(&name)),
        site.call("get", "pod", pods.get(&planned.pod))
    );
    let lock = lock?;
    let uid = pod?.metadata.uid.unwrap_or_default();
    let holder = lock
        .metadata
        .annotations
        .and_then(|all| all.get("leader").cloned());
    if holder.as_deref() == Some(&planned.pod) && uid == planned.uid {
        return Ok(());
    }
    let seen = holder.unwrap_or_else(|| "nobody".to_owned());
    Err(StepError::BasisChanged {
        what: format!(
            "the leader of the {} was {}, now the lock names {seen}",
            at.part, planned.pod
        ),
    })
}
