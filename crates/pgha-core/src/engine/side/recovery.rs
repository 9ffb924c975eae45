//! Whether the members of a side are in recovery, asked anew: after a stop none of the old connections lives.

use std::convert::Infallible;
use std::time::Duration;

use pgha_model::leader::judge_leader;
use pgha_model::member::MemberStatus;
use pgha_model::survey::SiteSurvey;

use super::{LOOK, Side, settled};
use crate::clock;
use crate::diagnose::chain_of;
use crate::engine::StepError;
use crate::exec::Container;
use crate::postgres::{ANSWER_TIME, Psql};
use crate::settle::{Look, Settlement, await_until};
use crate::survey::{Depth, survey_site};

impl Side {
    /// Connects to every member anew: after a stop, none of the old connections lives.
    pub(in crate::engine) async fn reconnect(&mut self, limit: Duration) -> Result<(), StepError> {
        let containers = self.containers();
        let deadline = clock::monotonic() + limit;
        let mut members = Vec::new();
        for container in containers {
            let site = &self.site;
            let opened = await_until(deadline, LOOK, async || {
                Ok::<_, StepError>(match Psql::open(site, &container, ANSWER_TIME).await {
                    Ok(psql) => Look::Settled(psql),
                    Err(error) => Look::NotYet(error.to_string()),
                })
            });
            members.push(settled(
                "a connection to every member",
                limit,
                opened.await?,
            )?);
        }
        self.members = members;
        Ok(())
    }

    /// Waits until the leader of the survey answers and is in recovery; `false` when the time is over.
    pub(in crate::engine) async fn leader_in_recovery(
        &mut self,
        limit: Duration,
    ) -> Result<bool, StepError> {
        let leader: Vec<_> = self.containers().into_iter().take(1).collect();
        Ok(self.await_recovery("t", &leader, limit).await?.is_some())
    }

    /// Waits until this member's Postgres answers and is in recovery; `false` when the time is over.
    pub(in crate::engine) async fn in_recovery(
        &self,
        member: &Container,
        limit: Duration,
    ) -> Result<bool, StepError> {
        let only = std::slice::from_ref(member);
        Ok(self.await_recovery("t", only, limit).await?.is_some())
    }

    /// Whether some member answers now and takes writes.
    pub(in crate::engine) async fn takes_writes(&self) -> bool {
        self.first_that_says("f", &self.containers())
            .await
            .is_some()
    }

    /// Waits until some member takes writes, and keeps the connection to it.
    pub(in crate::engine) async fn await_primary(
        &mut self,
        limit: Duration,
    ) -> Result<(), StepError> {
        let primary = self.await_recovery("f", &self.containers(), limit).await?;
        let primary = primary.ok_or_else(|| StepError::NotSettled {
            what: "a promotion",
            limit,
            seen: format!("no member of the {} takes writes", self.part),
        })?;
        self.members = vec![primary];
        Ok(())
    }

    /// The first of the containers whose Postgres says this of its recovery; one that does not answer is asked again.
    async fn await_recovery(
        &self,
        word: &str,
        containers: &[Container],
        limit: Duration,
    ) -> Result<Option<Psql>, StepError> {
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            Ok::<_, StepError>(match self.first_that_says(word, containers).await {
                Some(psql) => Look::Settled(psql),
                None => Look::NotYet(()),
            })
        });
        Ok(match settlement.await? {
            Settlement::Settled(psql) => Some(psql),
            Settlement::TimedOut { .. } => None,
        })
    }

    /// The first of the containers whose Postgres answers now, and says this of its recovery.
    async fn first_that_says(&self, word: &str, containers: &[Container]) -> Option<Psql> {
        for container in containers {
            let Ok(mut psql) = Psql::open(&self.site, container, ANSWER_TIME).await else {
                continue;
            };
            let row = psql.query("select pg_is_in_recovery()", ANSWER_TIME).await;
            if row.is_ok_and(|row| row == word) {
                return Some(psql);
            }
        }
        None
    }

    /// Waits until everything that names this side's leader agrees and every member runs; what still disagrees when the
    /// time is over, as full sentences. A pod's own word lags by a turn of Patroni, and the next command would refuse.
    pub(in crate::engine) async fn await_agreement(&self, limit: Duration) -> Option<String> {
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            let seen = survey_site(&self.site, &self.cluster, Depth::Members).await;
            Ok::<_, Infallible>(match seen {
                Ok(survey) => match doubt(&survey) {
                    None => Look::Settled(()),
                    Some(doubt) => Look::NotYet(doubt),
                },
                Err(error) => Look::NotYet(format!("{error}.")),
            })
        });
        match settlement.await {
            Ok(Settlement::Settled(())) => None,
            Ok(Settlement::TimedOut { last_seen }) => Some(last_seen.unwrap_or_default()),
        }
    }
}

impl Side {
    /// How many members there are, where there are at least so many, each of them runs, and every source names the same
    /// leader; else what is in the way, as full sentences.
    pub(in crate::engine) async fn quiet(&self, members: usize) -> Result<usize, String> {
        let survey = survey_site(&self.site, &self.cluster, Depth::Members).await;
        let survey = survey.map_err(|error| format!("{}.", chain_of(&error)))?;
        let there = survey.members.len();
        if there < members {
            return Err(format!("{there} of {members} members are there."));
        }
        doubt(&survey).map_or(Ok(there), Err)
    }
}

/// What a survey says against a quiet side.
pub(in crate::engine) fn doubt(survey: &SiteSurvey) -> Option<String> {
    let disagreements = judge_leader(survey, clock::now()).disagreements;
    if !disagreements.is_empty() {
        return Some(disagreements.join(" "));
    }
    let mut members = survey.members.iter();
    let stopped = members.find(|member| !member.freshest().is_ok_and(MemberStatus::is_running));
    stopped.map(|member| format!("{} does not run.", member.pod))
}
