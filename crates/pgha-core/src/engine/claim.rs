//! The first step: the record of the move at each site, and its epoch on each object.

use pgha_model::application::Count;
use pgha_model::failover::Failover;
use pgha_model::plan::{Demotion, Feed, LeaderIdentity, Step};
use pgha_model::record::{Action, Epoch, MoveRecord, RecordedSide};
use pgha_model::site::Part;
use serde_json::Value;

use super::steps::Steps;
use super::{Limits, Side, StepError};
use crate::journal::{self, Claiming};
use crate::operator::pgo_v5::render;

/// What a move says of itself when it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent<'a> {
    pub(super) action: Action,
    /// The unfinished move that it takes over.
    pub(super) takes_over: Option<Epoch>,
    /// Its record: what was there before it counts, and not what it has left.
    pub(super) before: Option<&'a MoveRecord>,
    pub(super) feed: Option<Feed>,
    pub(super) demotion: Option<Demotion>,
    pub(super) failover: Option<&'a Failover>,
    /// The Job that claims, where it is one.
    pub(super) deadline_job: Option<&'a str>,
    /// What of the application is to be stopped.
    pub(super) application: &'a [Count],
    /// What the user has lifted, as full sentences.
    pub(super) lifted: &'a [String],
}

impl Intent<'_> {
    pub(super) const fn of(action: Action) -> Self {
        Self {
            action,
            takes_over: None,
            before: None,
            feed: None,
            demotion: None,
            failover: None,
            deadline_job: None,
            application: &[],
            lifted: &[],
        }
    }
}

/// Writes the record to the sides that take part, and the epoch on everything that will be written there.
pub(super) async fn claim(
    steps: &Steps<'_>,
    intent: Intent<'_>,
    source: Option<&mut Side>,
    target: Option<&mut Side>,
    limits: Limits,
) -> Result<((), String), StepError> {
    let mut sides: Vec<&mut Side> = source.into_iter().chain(target).collect();
    let (mut recorded, mut places, mut stamped) = (Vec::new(), Vec::new(), Epoch::default());
    for side in &sides {
        let (record, kept, epoch) = tokio::try_join!(
            async { Ok(Box::pin(record_of(side)).await) },
            journal::read_journal(&side.site, &side.cluster),
            side.stamped()
        )?;
        stamped = stamped.max(epoch);
        recorded.push((side.part, record));
        let cluster = side.cluster.clone();
        places.push((side.part, side.site.clone(), cluster, kept));
    }
    let of = |part: Part| {
        let mut all = recorded.iter();
        let now = all.find(|(side, _)| *side == part).map(|(_, now)| now);
        // A side that takes no part is what the move before knew of it.
        let before = intent.before.and_then(|record| record.side(part));
        before.or(now).cloned()
    };
    let identifier = sides
        .iter()
        .find_map(|side| side.facts.survey.system_identifier());
    let claiming = Claiming {
        action: intent.action,
        takes_over: intent.takes_over,
        system_identifier: identifier.unwrap_or_default().to_owned(),
        source: of(Part::Source),
        target: of(Part::Target),
        feed: intent.feed,
        demotion: intent.demotion,
        failover: intent.failover.cloned(),
        deadline_job: intent.deadline_job.map(str::to_owned),
        application: counts(intent),
        stamped,
        patience: limits.patience(),
    };
    let claim = journal::claim(claiming, places).await?;
    let epoch = claim.epoch();
    steps.keep(claim).await;
    for text in intent.lifted {
        steps.note(Step::Claim, text.clone());
    }
    let count = sides.len();
    let stamps = sides.iter_mut().map(|side| side.stamp(epoch));
    futures::future::try_join_all(stamps).await?;
    let at = if count == 1 {
        "this site"
    } else {
        "both sites"
    };
    let evidence = format!("Epoch {epoch} is at {at}, in the record and on every object.");
    Ok(((), evidence))
}

/// Whoever takes over a move that has stopped an application goes on knowing what there was of it.
fn counts(intent: Intent<'_>) -> Vec<Count> {
    let before = intent.before.map(|record| record.application.as_slice());
    let own = Some(intent.application).filter(|counts| !counts.is_empty());
    own.or(before).unwrap_or_default().to_vec()
}

/// The side as it is before the move.
async fn record_of(side: &Side) -> RecordedSide {
    let survey = &side.facts.survey;
    let leader = survey.lock_holder();
    let settings = render::MOVED_SETTINGS.iter().map(|name| {
        let path = format!("/postgresql/parameters/{name}");
        let value = side.config_before().pointer(&path).and_then(Value::as_str);
        ((*name).to_owned(), value.map(str::to_owned))
    });
    RecordedSide {
        place: survey.place.clone(),
        identity: journal::identify(&side.site, &survey.object.uid).await,
        leader: leader.map(LeaderIdentity::of),
        paused: side.paused_before(),
        standby: survey.object.standby,
        settings: settings.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgha_testkit::pgo::PgoSite;

    use super::*;
    use crate::client::SiteClient;
    use crate::clock;
    use crate::engine::interrupter;

    const LIMIT: Duration = Duration::from_secs(5);
    const LIMITS: Limits = Limits::each(LIMIT);

    #[tokio::test]
    async fn what_was_lifted_is_in_the_record() {
        let cluster = PgoSite::primary("zitadel", "prod", clock::now()).build();
        let client = SiteClient::from_client("core1", "prod", cluster.client(), LIMIT);
        let opened = Box::pin(Side::open(client, "zitadel", Part::Source)).await;
        let mut side = opened.unwrap();
        let lifted = ["`not-managed` was lifted by --allow-managed. Flux has it.".to_owned()];
        let intent = Intent {
            lifted: &lifted,
            ..Intent::of(Action::Demote)
        };
        let mut report = |_: &pgha_model::event::Event| {};
        let (_interrupter, interrupt) = interrupter();
        let steps = Steps::new(interrupt, &mut report);
        let claimed = Box::pin(claim(&steps, intent, Some(&mut side), None, LIMITS));
        let claimed = steps.steadily(Step::Claim, claimed).await;
        claimed.map_err(|(_, error)| error).unwrap();
        let journal = journal::read_journal(&side.site, "zitadel").await.unwrap();
        let record = journal.journal.readable(Epoch(1)).unwrap();
        let told = record.events.iter().any(|one| {
            one.event == pgha_model::event::Event::noted(Step::Claim, lifted[0].clone())
        });
        assert!(told, "{:?}", record.events);
    }
}
