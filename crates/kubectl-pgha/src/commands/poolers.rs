//! Clients of poolers who wait while nobody takes writes.

mod guard;

use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use pgha_core::clock::{self, Instant};
use pgha_core::engine::Gate;
use pgha_model::effect::Effect;
use pgha_nlb::SiteName;
use pgha_pgbouncer::{Look, Pooler, PoolerError};

pub(crate) use self::guard::main as guard_main;

use self::guard::Guard;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::period;
use crate::view::poolers::PoolerView;

/// Transactions under way may take so long to end; a pause for longer would cost the other clients more than it spares them.
const ENDING: Duration = Duration::from_secs(5);

/// The poolers of a service in a move.
#[derive(Debug)]
pub(crate) struct Poolers<'a> {
    all: &'a [Pooler],
    to: &'a SiteName,
    /// Whether they pause before the source is fenced.
    pauses: bool,
    within: Duration,
    /// Since when clients wait, and who lets them go on should this tool die.
    closed: Mutex<Option<(Instant, Guard)>>,
    /// Whoever lets them go on does so alone.
    opening: tokio::sync::Mutex<()>,
}

impl<'a> Poolers<'a> {
    /// Looks at each. Those that are to `pause` lead to the site `from`, and to no other.
    ///
    /// # Errors
    /// One does not answer, or cannot do what the move needs of it.
    pub(crate) async fn look(
        poolers: &'a [Pooler],
        (from, to): (&'a SiteName, &'a SiteName),
        pauses: bool,
        within: Duration,
    ) -> Result<Self, Failure> {
        let looks = join_all(poolers.iter().map(|pooler| pooler.look(within))).await;
        for (pooler, look) in poolers.iter().zip(looks) {
            let look = look.map_err(|error| {
                refused(
                    "the poolers of the service were not seen",
                    error.to_string(),
                )
            })?;
            let obstacle = obstacle(pooler, &look, (from, to), pauses);
            if let Some(because) = obstacle {
                let text = format!("the clients of pooler {} cannot wait", pooler.name());
                return Err(refused(&text, because));
            }
        }
        Ok(Self {
            all: poolers,
            to,
            pauses,
            within,
            closed: Mutex::new(None),
            opening: tokio::sync::Mutex::new(()),
        })
    }

    /// What becomes of each.
    pub(crate) fn view(&self) -> Vec<PoolerView> {
        let views = self.all.iter();
        views
            .map(|pooler| PoolerView::new(pooler, self.to, self.pauses))
            .collect()
    }

    /// What the engine has them wait by.
    pub(crate) fn gate(&self) -> Gate<'_> {
        Box::new(|| Box::pin(self.close()))
    }

    async fn close(&self) -> Result<String, String> {
        let guard = Guard::start(self.all).await?;
        let begun = clock::monotonic();
        if let Ok(mut closed) = self.closed.lock() {
            *closed = Some((begun, guard));
        }
        let paused = join_all(self.all.iter().map(|pooler| pooler.pause(ENDING))).await;
        let failed = paused.into_iter().find_map(Result::err);
        if let Some(error) = failed {
            // Nothing is fenced: nobody has to wait for the way back.
            self.resume_all().await.ok();
            return Err(error.to_string());
        }
        let took = period(clock::monotonic() - begun);
        Ok(format!(
            "The clients of {} wait, paused in {took}.",
            self.names()
        ))
    }

    /// Has them lead to this site where one is named, and lets their clients go on: how long they waited, as a full sentence, where
    /// they did.
    ///
    /// # Errors
    /// One was not seen to. The others are; and the clients of this one go on by themselves once their longest pause is over.
    pub(crate) async fn open(&self, site: Option<&SiteName>) -> Result<Option<String>, Failure> {
        let _alone = self.opening.lock().await;
        let closed = self.closed.lock().ok().and_then(|mut closed| closed.take());
        if closed.is_none() && site.is_none() {
            return Ok(None);
        }
        let opened = async {
            if let Some(site) = site {
                self.lead_to(site).await?;
            }
            self.resume_all().await
        };
        if let Err(error) = opened.await {
            // They go on all the same, wherever that leads, rather than wait for nothing.
            self.resume_all().await.ok();
            return Err(Failure::stopped(
                Exit::Held,
                "the clients of a pooler were not seen to go on",
                Effect::Unknown,
            )
            .because(vec![error.to_string()]));
        }
        let Some((since, guard)) = closed else {
            return Ok(None);
        };
        guard.dismiss().await;
        let waited = period(clock::monotonic() - since);
        let names = self.names();
        Ok(Some(format!(
            "The clients of {names} go on, at most {waited} after they began to wait."
        )))
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.all.iter().map(Pooler::name).collect();
        names.join(", ")
    }

    async fn lead_to(&self, site: &SiteName) -> Result<(), PoolerError> {
        let poolers = self.all.iter();
        let led = poolers.map(|pooler| pooler.lead_to(site.as_str(), self.within));
        join_all(led)
            .await
            .into_iter()
            .try_for_each(|led| led.map(drop))
    }

    async fn resume_all(&self) -> Result<(), PoolerError> {
        let poolers = self.all.iter();
        let resumed = join_all(poolers.map(|pooler| pooler.resume(self.within))).await;
        resumed.into_iter().collect()
    }
}

fn refused(text: &str, because: String) -> Failure {
    let hint = "Mend that, or take it out of spec.poolers of the service's file: docs/poolers.md.";
    Failure::refused(text.to_owned())
        .because(vec![because])
        .hinting(hint)
}

/// Why a pooler cannot do what a move needs of it, as a clause.
fn obstacle(
    pooler: &Pooler,
    look: &Look,
    (from, to): (&SiteName, &SiteName),
    pauses: bool,
) -> Option<String> {
    let points = !pooler.settings().point.is_empty();
    let unknown = [from, to]
        .into_iter()
        .find(|site| points && pooler.host_of(site.as_str()).is_none());
    if let Some(site) = unknown {
        return Some(format!("its `hosts` do not name {site}"));
    }
    if !pauses {
        return None;
    }
    for database in &look.databases {
        let name = &database.name;
        if !database.can_pause() {
            return Some(format!(
                "its database {name} pools by {}: a pause would wait for each client to go away",
                database.mode
            ));
        }
        if database.is_paused {
            return Some(format!(
                "its database {name} is paused already: somebody else's work is under way, or was left"
            ));
        }
        let expected = pooler.host_of(from.as_str());
        if expected.is_some_and(|host| host != database.host) {
            return Some(format!(
                "its database {name} leads to {}, and not to {from}",
                database.host
            ));
        }
    }
    let longest = pooler.longest_pause();
    let patience = look.patience.filter(|patience| *patience <= longest)?;
    Some(format!(
        "it gives a waiting client an error after {} s (query_wait_timeout), before the longest pause of {} s",
        patience.as_secs(),
        longest.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use pgha_pgbouncer::{Database, Settings};
    use serde_json::json;

    use super::*;

    fn pooler() -> Pooler {
        let settings = json!({
            "name": "edge", "address": "edge:6432", "user": "pgha", "databases": ["app"],
            "point": ["./point"], "hosts": {"core1": "a", "core2": "b"},
        });
        Pooler::new(serde_json::from_value::<Settings>(settings).unwrap()).unwrap()
    }

    fn said(change: impl FnOnce(&mut Look), pauses: bool, to: &str) -> Option<String> {
        let mut look = Look {
            version: "1.18".to_owned(),
            databases: vec![Database {
                name: "app".to_owned(),
                host: "a".to_owned(),
                mode: "transaction".to_owned(),
                is_paused: false,
                waiting: 0,
            }],
            patience: Some(Duration::from_mins(2)),
        };
        change(&mut look);
        obstacle(&pooler(), &look, (&"core1".into(), &to.into()), pauses)
    }

    #[test]
    fn what_a_pooler_cannot_do_is_said_before() {
        assert_eq!(said(|_| {}, true, "core2"), None);
        for (change, words) in [
            (
                Box::new(|it: &mut Look| it.databases[0].mode = "session".to_owned())
                    as Box<dyn FnOnce(&mut Look)>,
                "pools by session",
            ),
            (
                Box::new(|it| it.databases[0].is_paused = true),
                "is paused already",
            ),
            (
                Box::new(|it| it.databases[0].host = "b".to_owned()),
                "leads to b, and not to core1",
            ),
            (
                Box::new(|it| it.patience = Some(Duration::from_secs(30))),
                "after 30 s (query_wait_timeout)",
            ),
        ] {
            let said = said(change, true, "core2").unwrap();
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(
            said(|it| it.patience = None, true, "core2"),
            None,
            "a client that waits for ever is let go on"
        );
        assert!(said(|_| {}, true, "core3").unwrap().contains("core3"));
    }

    #[test]
    fn where_nobody_waits_it_may_stand_as_it_does() {
        let change = |it: &mut Look| {
            it.databases[0].is_paused = true;
            it.databases[0].host = "b".to_owned();
        };
        assert_eq!(said(change, false, "core2"), None);
        assert!(said(change, false, "core3").is_some());
    }
}
