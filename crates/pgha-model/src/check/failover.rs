//! What a failover must pass.

use jiff::Timestamp;

use super::promotion::judge_target;
use super::{Consent, SideFacts, archive, judge_identity, judge_members};
use crate::failover::{AcceptedLoss, Risk, SourceSight, Supply};
use crate::finding::{Findings, Severity};
use crate::site::Part;
use crate::standstill::Doubt;

/// What a failover is decided from. The target is the side to be promoted, the source is what was primary.
#[derive(Clone, Copy, Debug)]
pub struct FailoverFacts<'a> {
    /// The side to be promoted.
    pub target: &'a SideFacts,
    /// The other side, where its API server answers.
    pub source: Option<&'a SideFacts>,
    /// What is known of it.
    pub sight: &'a SourceSight,
    /// Why the comparison of both ends proves nothing, where there was one.
    pub doubt: Option<&'a Doubt>,
    /// What still comes to the target.
    pub supply: &'a Supply,
    /// What may be lost.
    pub risk: &'a Risk,
}

/// What the person who decides allows, and says.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailoverConsent<'a> {
    /// What every move may be allowed.
    pub step: Consent,
    /// What is accepted to be lost.
    pub accepted: Option<AcceptedLoss>,
    /// Why the source is known to be down.
    pub word: Option<&'a str>,
}

/// Checks a failover; it may start when nothing fails. Nothing that is allowed lifts `peer-not-primary`: two primaries are
/// never made.
pub fn judge_failover(
    facts: &FailoverFacts<'_>,
    consent: FailoverConsent<'_>,
    now: Timestamp,
) -> Findings {
    let (target, sight) = (facts.target, facts.sight);
    let mut findings = Findings::default();
    if let Some(source) = facts.source {
        judge_identity(source, target, &mut findings);
    }
    let primary = sight.primary();
    findings.fail_if(
        "peer-not-primary",
        Part::Source,
        primary.map(|pod| format!("{pod} of the source takes writes.")),
        "Move the service with `switchover`, which loses nothing. Nothing lifts this.",
    );
    judge_target(target, consent.step, now, &mut findings);
    if primary.is_none() {
        findings.fail_if(
            "source-silent",
            Part::Target,
            facts.supply.is_alive(),
            "Somebody writes that log. Look at the source by another way; a receiver gives up a dead server by itself \
             (wal_receiver_timeout, 1 min by default).",
        );
        judge_fence(sight, consent.word, &mut findings);
        findings.fail_if(
            "loss-accepted",
            Part::Target,
            facts.risk.exceeds(consent.accepted, now),
            "Say with --accept-loss-of what may be lost: a time like 30s, bytes like 16MiB, or ROWS-UNKNOWN.",
        );
    }
    judge_soft(facts, &mut findings);
    findings
}

/// Without a proof that the source writes no more, only a person's word that it is down.
fn judge_fence(sight: &SourceSight, word: Option<&str>, findings: &mut Findings) {
    let silence = sight.silence();
    let advice = "Make sure that the site is down, then say why you know it with --site-is-down. What is not seen may be \
                  primary, and a configuration written elsewhere does not stop it.";
    if word.is_some() {
        findings.warn_if("source-fenced", Part::Source, silence, advice);
    } else {
        findings.fail_if("source-fenced", Part::Source, silence, advice);
    }
}

/// What a failover would rather have, and does without.
fn judge_soft(facts: &FailoverFacts<'_>, findings: &mut Findings) {
    let mut soft = Findings::default();
    judge_members(Part::Target, facts.target, &mut soft);
    let timeline = archive::timeline(facts.target);
    archive::judge_repository(Part::Target, facts.target, timeline, &mut soft);
    let doubt = facts
        .doubt
        .map(|doubt| format!("It is not proved that nothing is lost: {doubt}."));
    soft.fail_if(
        "holds-everything",
        None,
        doubt,
        "Where the source's members answer, `promote` at either side compares both and names the one that holds more.",
    );
    for finding in &mut soft.0 {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    findings.0.append(&mut soft.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::Sample;
    use crate::failover::MemberSight;
    use crate::service::samples::now;

    /// Both sides, and what was seen beside.
    struct Case {
        sample: Sample,
        sight: SourceSight,
        supply: Supply,
        risk: Risk,
        accepted: Option<AcceptedLoss>,
        word: Option<&'static str>,
    }

    impl Case {
        /// A source that is gone, and a person who says so and accepts what may be lost.
        fn accepted() -> Self {
            let sample = Sample::healthy();
            let place = sample.source.survey.place.clone();
            Self {
                sight: SourceSight {
                    unseen: Some("no answer within 10 s".to_owned()),
                    ..SourceSight::at(place)
                },
                sample,
                supply: Supply::default(),
                risk: Risk::default(),
                accepted: Some(AcceptedLoss::RowsUnknown),
                word: Some("the power is off"),
            }
        }

        fn failing(&self) -> Vec<&'static str> {
            let facts = FailoverFacts {
                target: &self.sample.target,
                source: None,
                sight: &self.sight,
                doubt: None,
                supply: &self.supply,
                risk: &self.risk,
            };
            let consent = FailoverConsent {
                step: self.sample.consent,
                accepted: self.accepted,
                word: self.word,
            };
            let findings = judge_failover(&facts, consent, now());
            findings.failures().map(|finding| finding.check).collect()
        }

        fn sees(mut self, sight: MemberSight) -> Self {
            self.sight.unseen = None;
            self.sight.members = vec![("core1-0".to_owned(), sight)];
            self
        }
    }

    #[test]
    fn what_was_said_and_accepted_is_enough_and_each_of_both_is_needed() {
        assert_eq!(Case::accepted().failing(), [""; 0]);
        let without_word = Case {
            word: None,
            ..Case::accepted()
        };
        assert_eq!(without_word.failing(), ["source-fenced"]);
        let without_loss = Case {
            accepted: None,
            ..Case::accepted()
        };
        assert_eq!(without_loss.failing(), ["loss-accepted"]);
    }

    #[test]
    fn a_source_whose_members_are_seen_not_to_write_needs_no_word() {
        for sight in [MemberSight::Reads, MemberSight::Stopped] {
            let case = Case {
                word: None,
                ..Case::accepted()
            }
            .sees(sight);
            assert_eq!(case.failing(), [""; 0]);
        }
        let silent = MemberSight::Silent("no answer".to_owned());
        let case = Case {
            word: None,
            ..Case::accepted()
        }
        .sees(silent);
        assert_eq!(case.failing(), ["source-fenced"]);
    }

    #[test]
    fn nothing_lifts_that_the_source_takes_writes() {
        assert_eq!(
            Case::accepted().sees(MemberSight::Writes).failing(),
            ["peer-not-primary"]
        );
    }

    #[test]
    fn no_word_stands_against_a_log_that_still_comes() {
        let mut case = Case::accepted();
        case.supply.receiver = Some("streaming".to_owned());
        assert_eq!(case.failing(), ["source-silent"]);
        case.supply = Supply {
            receiver: None,
            newest: Some(("01".to_owned(), "02".to_owned())),
        };
        assert_eq!(case.failing(), ["source-silent"]);
    }
}
