//! A cluster that is started: as what, the plan, and what it came to.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::check::{Consent, SideFacts, StartAs, StartFacts, judge_startup};
use crate::finding::{Finding, Severity};
use crate::lsn::Lsn;
use crate::plan::Refusal;
use crate::site::Place;

/// What a start will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartupPlan {
    /// What is started.
    pub place: Place,
    /// The other side; `None` when it was not seen.
    pub peer: Option<Place>,
    /// As what.
    pub starts_as: StartAs,
    /// The section that the object gets to start as a standby; `None` where it says all that it is to say.
    pub standby: Option<Map<String, Value>>,
    /// The section that Patroni's configuration is made a standby's by, before anything starts; `None` where it is one.
    pub config: Option<Map<String, Value>>,
    /// Whether the object asks for it already: the rest is waited for.
    pub asked: bool,
    /// What was seen that does not stop it.
    pub warnings: Vec<Finding>,
}

/// A cluster that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartupOutcome {
    /// What was started.
    pub place: Place,
    /// As what, by Postgres' own word.
    pub started_as: StartAs,
    /// How many members run.
    pub members: usize,
    /// Where a transaction was committed, on a primary.
    pub committed: Option<Lsn>,
    /// How far a standby is.
    pub replay: Option<Replay>,
    /// What could not be proved, as full sentences.
    pub unproved: Vec<String>,
}

/// How far a standby's leader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Up to where it has replayed.
    pub replayed: Option<Lsn>,
    /// What the other side's primary had written before; `None` where it was not seen.
    pub written: Option<Lsn>,
    /// Whether it takes the log from a server.
    pub streams: bool,
}

impl Replay {
    /// Why it is not seen to follow yet, as a full sentence.
    pub fn doubt(&self) -> Option<String> {
        let at = |at: Option<Lsn>| at.map_or("an unknown position".to_owned(), |at| at.to_string());
        if self.streams
            || self
                .written
                .is_some_and(|written| self.replayed >= Some(written))
        {
            return None;
        }
        Some(format!(
            "It does not stream, and has replayed up to {} of {}: that it follows is not seen yet.",
            at(self.replayed),
            at(self.written)
        ))
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.streams {
            "streams"
        } else {
            "does not stream"
        };
        write!(
            f,
            "every member is in recovery; the leader {how}, and has replayed up to "
        )?;
        match self.replayed {
            Some(at) => write!(f, "{at}"),
            None => f.write_str("an unknown position"),
        }
    }
}

/// As what a side is to start.
///
/// What the object says counts, and not what Patroni's configuration says: the operator renders that from the object as soon
/// as a member runs.
pub const fn starts_as(side: &SideFacts, as_standby: bool) -> StartAs {
    if as_standby || side.survey.object.standby {
        StartAs::Standby
    } else {
        StartAs::Primary
    }
}

/// Plans a start, or says why there is none. One that the object asks for already is only waited for.
pub fn plan_startup(
    facts: &StartFacts<'_>,
    as_standby: bool,
    consent: Consent,
) -> Result<StartupPlan, Refusal> {
    let survey = &facts.side.survey;
    let asked = !survey.object.shutdown;
    let starts_as = starts_as(facts.side, as_standby);
    let findings = judge_startup(facts, starts_as, consent);
    if !asked && findings.failures().next().is_some() {
        return Err(Refusal(findings.failures().cloned().collect()));
    }
    let is_standby = starts_as == StartAs::Standby;
    let is_ready = survey.store.as_seen().is_some_and(|store| store.standby);
    let mut enabled = facts.section.clone();
    enabled.insert("enabled".to_owned(), true.into());
    let section = |wanted: bool| (wanted && !asked).then(|| enabled.clone());
    let is_told = |finding: &Finding| finding.severity == Severity::Warn && !asked;
    Ok(StartupPlan {
        place: survey.place.clone(),
        peer: facts.peer.seen().map(|peer| peer.survey.place.clone()),
        starts_as,
        standby: section(is_standby && !survey.object.standby),
        config: section(is_standby && !is_ready),
        asked,
        warnings: findings.0.into_iter().filter(is_told).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::PeerSight;
    use crate::check::samples::Sample;
    use crate::observed::Observed;

    fn plan(sample: &Sample, as_standby: bool) -> Result<StartupPlan, Refusal> {
        let section = json!({"repoName": "repo1"});
        let facts = StartFacts {
            side: &sample.source,
            record: Ok(()),
            peer: PeerSight::Seen(&sample.target),
            section: section.as_object().unwrap(),
        };
        plan_startup(&facts, as_standby, sample.consent)
    }

    fn down() -> Sample {
        let mut sample = Sample::healthy();
        sample.source.survey.object.shutdown = true;
        sample.source.survey.members.clear();
        sample
    }

    #[test]
    fn a_primary_needs_no_preparation() {
        let plan = plan(&down(), false).unwrap();
        assert_eq!((plan.starts_as, plan.asked), (StartAs::Primary, false));
        assert_eq!((plan.standby, plan.config), (None, None));
    }

    /// The whole point: the object alone comes too late.
    #[test]
    fn whatever_starts_as_a_standby_has_patronis_configuration_made_one_before() {
        let sample = down();
        let asked_for = plan(&sample, true).unwrap();
        assert_eq!(asked_for.starts_as, StartAs::Standby);
        let enabled = json!({"repoName": "repo1", "enabled": true});
        assert_eq!(asked_for.standby.as_ref(), enabled.as_object());
        assert_eq!(asked_for.config.as_ref(), enabled.as_object());
        let mut said = down();
        said.source.survey.object.standby = true;
        let by_object = plan(&said, false).unwrap();
        assert!(by_object.standby.is_none() && by_object.config.is_some());
        if let Observed::Seen(store) = &mut said.source.survey.store {
            store.standby = true;
        }
        let ready = plan(&said, false).unwrap();
        assert!(ready.standby.is_none() && ready.config.is_none());
    }

    #[test]
    fn what_is_asked_for_already_is_waited_for() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.paused = true;
        let plan = plan(&sample, false).unwrap();
        assert!(plan.asked && plan.warnings.is_empty());
    }

    #[test]
    fn a_standby_follows_where_it_streams_or_has_what_was_written() {
        let replay = |replayed: u64, written: Option<u64>, streams| Replay {
            replayed: Some(Lsn::from_bytes(replayed)),
            written: written.map(Lsn::from_bytes),
            streams,
        };
        assert_eq!(replay(1, None, true).doubt(), None);
        assert_eq!(replay(7, Some(7), false).doubt(), None);
        assert!(replay(6, Some(7), false).doubt().is_some());
        assert!(replay(6, None, false).doubt().is_some());
    }
}
