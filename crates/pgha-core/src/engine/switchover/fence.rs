//! The fence: the leader of the source stops cleanly, and its own control data says where.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::Api;
use pgha_model::control::ControlData;
use pgha_model::plan::LeaderIdentity;
use pgha_model::proof::Closure;

use super::{Switchover, pause};
use crate::clock;
use crate::engine::StepError;
use crate::engine::side::Side;
use crate::operator::pgo_v5::{self, render};
use crate::postgres::ControlError;

/// Prints the control data as soon as it says `shut down`, and before it for how many microseconds the server was seen
/// stopping. A member that Patroni has already started again as a standby is missed, so this looks often; until the server
/// says that it stops (PostgreSQL source, `pidfile.h`, `PM_STATUS_STOPPING`) a look starts no process.
pub(super) const WATCH_FOR_SHUTDOWN: &str = r#"
exec {tick}<> <(:)
is_up() { mapfile -t -s 7 -n 1 line < "$PGDATA/postmaster.pid" && [[ ${line-} != stopping* ]]; }
while is_up 2>/dev/null; do read -r -t 0.005 -u "$tick"; done
began=${EPOCHREALTIME/[.,]/}
while :; do
  out=$(LC_ALL=C pg_controldata "$PGDATA") || exit 3
  [[ $out =~ cluster\ state:\ +shut\ down$'\n' ]] && break
  read -r -t 0.01 -u "$tick"
done
printf 'pgha-stopping-us: %s\n%s\n' "$((${EPOCHREALTIME/[.,]/} - began))" "$out""#;

impl Switchover<'_> {
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
        let begun = clock::monotonic();
        self.reached.fence_sent = Some(begun);
        let watched = if self.pauses() {
            // The wish first: a hold that ends early must not find a stopped primary that is to be one.
            let script = format!("{}\n{WATCH_FOR_SHUTDOWN}", pause::STOP);
            match self.source.send_object(&patch).await {
                Ok(()) => shell.run(&script, limit).await.map_err(StepError::Exec),
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
        let took = clock::monotonic() - begun;
        let container = shell.container().clone();
        self.source.shell = Some(shell);
        let text = watched?.ok(&container).map_err(StepError::Exec)?;
        let control = ControlData::from_text(&text)
            .map_err(|error| StepError::Control(ControlError::Invalid(error)))?;
        let closure = self.close(&control)?;
        self.parts.stop = stopping_time(&text).unwrap_or_default().min(took);
        self.parts.reaction = took.saturating_sub(self.parts.stop);
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
}

/// What [`WATCH_FOR_SHUTDOWN`] says of the time that the server was seen stopping.
fn stopping_time(text: &str) -> Option<Duration> {
    let us = text
        .lines()
        .find_map(|line| line.strip_prefix("pgha-stopping-us: "))?;
    us.trim().parse().ok().map(Duration::from_micros)
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// A lock file of a server (PostgreSQL documentation, 73.1) in this state.
    fn lock_file(state: &str) -> String {
        format!("1\n/pgdata/pg15\n1\n5432\n/tmp\n*\n 1 1\n{state:<8}\n")
    }

    #[test]
    fn the_stop_is_seen_and_timed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Says `shutting down` at the first look and `shut down` from the second on.
        let program = "#!/bin/sh\ncat \"$PGDATA/control\"\nprintf 'Database cluster state:  shut down\\nLatest\\n' > \"$PGDATA/control\"\n";
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
