//! Data that has left the service's history is set aside on its own volume, and Patroni makes a new copy.

use std::time::Duration;

use super::RejoinRun;
use crate::clock;
use crate::engine::side::{database, settled};
use crate::engine::steps::Steps;
use crate::engine::switchover::pause::pause_patroni;
use crate::engine::{StepError, changed};
use crate::exec::{self, Container};
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
fn set_aside(suffix: &str) -> String {
    format!(
        r#"set -e
old="$PGDATA.{suffix}"
if [ -d "$old" ]; then echo "$old"; exit 0; fi
pg_ctl -D "$PGDATA" -s -m fast -w stop >/dev/null 2>&1 || true
status=0; pg_ctl -D "$PGDATA" status >/dev/null 2>&1 || status=$?
if [ "$status" != 3 ]; then echo "Postgres does not stop" >&2; exit 4; fi
log=$(readlink -f "$PGDATA/pg_wal")
size=$(du -skL "$PGDATA" | cut -f1)
free=$(df -Pk "$PGDATA" | tail -n 1 | tr -s ' ' | cut -d' ' -f4)
if [ "$free" -lt "$size" ]; then echo "$size KiB are needed beside the old data, $free KiB are free" >&2; exit 5; fi
if [ -L "$PGDATA/pg_wal" ]; then
  mv "$log" "$log.{suffix}"
  ln -sfn "$log.{suffix}" "$PGDATA/pg_wal"
  mkdir -m 0700 "$log"
fi
mv "$PGDATA" "$old"
mkdir -m 0700 "$PGDATA"
echo "$old""#
    )
}

impl RejoinRun<'_> {
    /// Sets aside the data of every member and waits until each has a new copy.
    pub(super) async fn rebuild(
        &mut self,
        steps: &Steps<'_>,
    ) -> Result<(Vec<(String, String)>, String), StepError> {
        let limit = self.limits.step;
        // A Patroni that is not paused would start Postgres again between its stop and the renaming.
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
        self.await_copies(steps).await?;
        let evidence = format!(
            "{} members have a new copy, and are in recovery.",
            aside.len()
        );
        Ok((aside, evidence))
    }

    async fn set_aside(&self, at: &Container, suffix: &str) -> Result<String, StepError> {
        let script = set_aside(suffix);
        let argv = ["bash", "--noprofile", "--norc", "-c", &script];
        let said = exec::run(&self.source.site, at, &argv, ASIDE).await;
        let said = said.and_then(|output| output.ok(at));
        Ok(said.map_err(StepError::Exec)?.trim().to_owned())
    }

    /// Patroni's own word of what each member does is told while it changes.
    async fn await_copies(&mut self, steps: &Steps<'_>) -> Result<(), StepError> {
        let (site, cluster) = (self.source.site.clone(), self.source.cluster.clone());
        let mut told = String::new();
        let settlement = await_until(clock::monotonic() + LONGEST, LOOK, async || {
            let survey = survey_site(&site, &cluster, Depth::Members).await;
            let survey =
                survey.map_err(|error| changed(format!("it cannot be surveyed: {error}")))?;
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
