//! The beginning of a move: its epoch at every site and on every object that it will write.

use std::time::Duration;

use pgha_model::application::Count;
use pgha_model::event::Standing;
use pgha_model::failover::Failover;
use pgha_model::guard::Guard;
use pgha_model::plan::{Demotion, Feed};
use pgha_model::record::{
    Action, Ending, Entry, Epoch, Journal, MoveRecord, RecordedSide, Stage, VERSION,
};

use super::store::{Copy, Kept, superseded};
use super::{Claim, JournalError, deadline, identity};
use crate::client::SiteClient;
use crate::clock;
use pgha_model::site::Part;

/// What a move says of itself when it begins.
#[derive(Clone, Debug)]
pub struct Claiming {
    /// What it is.
    pub action: Action,
    /// The unfinished move that it takes over; without one, an unfinished move is in the way.
    pub takes_over: Option<Epoch>,
    /// Both sides' system identifier.
    pub system_identifier: String,
    /// The source as it is now, where it was seen.
    pub source: Option<RecordedSide>,
    /// The target as it is now, where it was seen.
    pub target: Option<RecordedSide>,
    /// How the target is fed.
    pub feed: Option<Feed>,
    /// How the source is stopped.
    pub demotion: Option<Demotion>,
    /// What a failover adds.
    pub failover: Option<Failover>,
    /// The Job that claims, where it is one.
    pub deadline_job: Option<String>,
    /// How many pods each workload of the application has at the source before it is stopped.
    pub application: Vec<Count>,
    /// The highest epoch that the objects carry: a journal may be lost.
    pub stamped: Epoch,
    /// For how long the writer may be silent.
    pub patience: Duration,
}

/// Writes the record of a move to the sites that take part, the source's first. Errs, with nothing left behind, when an
/// earlier move is unfinished or another one is faster.
pub async fn claim(
    claiming: Claiming,
    sites: Vec<(Part, SiteClient, String, Kept)>,
) -> Result<Claim, JournalError> {
    let mut epoch = Epoch::default();
    if Guard::EpochOnObjects.stands() {
        epoch = claiming.stamped;
    }
    for (_, _, _, kept) in &sites {
        epoch = epoch.max(kept.journal.epoch);
        refuse_unfinished(&kept.journal, &claiming)?;
    }
    let operator = match sites.first() {
        Some((_, site, ..)) => identity::user(site).await,
        None => None,
    };
    let patience = claiming.patience;
    let record = record(claiming, epoch.next(), operator);
    let copies = sites
        .into_iter()
        .map(|(part, site, cluster, kept)| Copy::new(part, site, &cluster, kept))
        .collect();
    let mut claim = Claim {
        record,
        copies,
        patience,
    };
    claim.begin().await?;
    Ok(claim)
}

impl Claim {
    /// One site after the other: of two that begin at the same time one fails at the first.
    async fn begin(&mut self) -> Result<(), JournalError> {
        for index in 0..self.copies.len() {
            let (record, copies) = (&self.record, &mut self.copies);
            let Some(copy) = copies.get_mut(index) else {
                break;
            };
            if copy.journal().epoch >= record.epoch {
                return Err(superseded(copy.journal(), copy.journal().epoch));
            }
            if let Err(error) = copy.write(record).await {
                self.take_back(index, &error).await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn take_back(&mut self, written: usize, because: &JournalError) {
        self.copies.truncate(written);
        let ending = Ending {
            at: clock::now(),
            standing: Some(Standing::Unchanged),
            because: Some(format!("{because}.")),
            result: None,
        };
        for lost in self.end(ending).await {
            tracing::warn!("{lost}");
        }
    }
}

fn refuse_unfinished(journal: &Journal, claiming: &Claiming) -> Result<(), JournalError> {
    let takes_over = claiming.takes_over;
    let system = claiming.system_identifier.as_str();
    let ours = |(_, entry): &(Epoch, &Entry)| system.is_empty() || entry.is_of_system(system);
    let unfinished = journal
        .last()
        .filter(ours)
        .and_then(|(epoch, entry)| match entry {
            Entry::Readable(record) if !record.is_open() => None,
            Entry::Readable(record) => Some((epoch, Some(record.action))),
            Entry::Unreadable(_) => Some((epoch, None)),
        });
    match unfinished {
        Some((epoch, action))
            if !Guard::UnfinishedFirst.holds(takes_over.is_some_and(|taken| epoch <= taken)) =>
        {
            Err(JournalError::Unfinished { epoch, action })
        }
        _ => Ok(()),
    }
}

fn record(claiming: Claiming, epoch: Epoch, operator: Option<String>) -> MoveRecord {
    let user = operator.unwrap_or_else(|| "a user the API server does not name".to_owned());
    MoveRecord {
        version: VERSION,
        epoch,
        action: claiming.action,
        continues: claiming.takes_over,
        operator: format!("{user}, process {}", std::process::id()),
        claimed_at: clock::now(),
        system_identifier: claiming.system_identifier,
        source: claiming.source,
        target: claiming.target,
        feed: claiming.feed,
        demotion: claiming.demotion,
        failover: claiming.failover,
        deadline_job: claiming.deadline_job,
        application: claiming.application,
        backup: None,
        followers: None,
        stage: Stage::Preparing,
        deadline: deadline(claiming.patience),
        events: Vec::new(),
        ending: None,
    }
}
