//! The audit: reads every member of both sites and has the judge decide.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::{
    Evidence, Ledger, Lsn, Outcome, Question, Scan, Side, TimelineId, Unread, Verdict, WalEvidence,
    WalReading, judge,
};

use super::member::{Facts, Member};
use super::process::{folder, is_running};
use super::stored::Stored;
use super::{Config, config, service, wal};
use crate::site::Site;
use crate::wait;

/// What an audit is asked to do.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What the judge is asked; whether the writer runs is found out.
    pub question: Question,
    /// How long the standbys may take to replay what the primary has.
    pub follow_within: Duration,
    /// Whether the logs are read too.
    pub reads_wal: bool,
    /// Judge what was read the last time, and read nothing.
    pub is_repeated: bool,
}

impl Audit {
    /// Everything, of a run in which the service has moved so often; the standbys may take half a minute.
    pub fn of_moves(expected: usize) -> Self {
        Self {
            question: Question {
                expected_moves: Some(expected),
                ..Question::default()
            },
            follow_within: Duration::from_secs(30),
            reads_wal: true,
            is_repeated: false,
        }
    }
}

/// Audits the writer's run on a cluster. A writer that runs goes on; its rows up to now are judged.
///
/// # Errors
/// There is no ledger, or no site can be asked at all. A member that does not answer is part of the
/// verdict and no error.
pub fn audit(cluster: &str, audit: &Audit) -> Result<Verdict> {
    let folder = folder(cluster);
    // A writer that ends between the two steps has an ended ledger, never the other way round.
    let is_open = is_running(&folder);
    let text = fs::read_to_string(config::ledger(&folder))
        .with_context(|| format!("no writer was started on {cluster}"))?;
    let ledger = Ledger::parse(&text)?;
    let stored = if audit.is_repeated {
        Stored::load(&folder)?
    } else {
        let config: Config = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
        let stored = Stored {
            is_open,
            ..read(cluster, &config.database, &ledger, audit)?
        };
        stored.save(&folder)?;
        stored
    };
    let wal = match &stored.wal {
        None => WalReading::NotAsked,
        Some(Err(why)) => WalReading::Unreadable(why),
        Some(Ok(wal)) => WalReading::Read(wal),
    };
    let evidence = Evidence {
        ledger: &ledger,
        sides: &stored.sides,
        unread: &stored.unread,
        wal,
    };
    let question = Question {
        is_open: stored.is_open,
        ..audit.question.clone()
    };
    let verdict = judge(evidence, &question);
    fs::write(
        folder.join("verdict.json"),
        serde_json::to_vec_pretty(&verdict)?,
    )?;
    Ok(verdict)
}

fn read(cluster: &str, database: &str, ledger: &Ledger, audit: &Audit) -> Result<Stored> {
    let mut stored = Stored::default();
    let members = members(cluster, &mut stored.unread)?;
    if let Some((primary, at)) = only_primary(&members) {
        let end = primary
            .switch_wal()
            .context("the primary cannot end its segment")?;
        let others = members
            .iter()
            .filter(|member| member.pod.name != primary.pod.name);
        await_replay(
            &others.collect::<Vec<_>>(),
            at.timeline,
            end,
            audit.follow_within,
        );
        if audit.reads_wal {
            let read = read_wal(primary, &members, at.timeline, oldest(ledger));
            stored.wal = Some(read.map_err(|error| format!("{error:#}")));
        }
    } else if audit.reads_wal {
        stored.wal = Some(Err(
            "there is no single primary whose history could be read".to_owned(),
        ));
    }
    for member in &members {
        match read_side(member, database, &ledger.run) {
            Ok(side) => stored.sides.push(side),
            Err(error) => stored.unread.push(unread(member, &error)),
        }
    }
    Ok(stored)
}

/// Every member of every site that has the cluster; a site that does not answer is unread.
fn members(cluster: &str, silent: &mut Vec<Unread>) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    for site in Site::ALL {
        match service::pods(site, cluster) {
            Ok(pods) => members.extend(pods.into_iter().map(|pod| Member { site, pod })),
            Err(error) => silent.push(Unread {
                site: site.name().to_owned(),
                member: String::new(),
                why: format!("{error:#}"),
            }),
        }
    }
    ensure!(
        !members.is_empty(),
        "no site has a Postgres pod of {cluster}"
    );
    Ok(members)
}

/// The member that is out of recovery, if there is exactly one.
fn only_primary(members: &[Member]) -> Option<(&Member, Facts)> {
    let facts = members
        .iter()
        .filter_map(|member| Some((member, member.fetch_facts().ok()?)));
    let mut primaries: Vec<_> = facts.filter(|(_, facts)| !facts.in_recovery).collect();
    let only = primaries.pop()?;
    primaries.is_empty().then_some(only)
}

/// Waits until the others have replayed up to `end`. One that does not is read as it is: that it
/// stays behind is for the judge to say.
fn await_replay(others: &[&Member], timeline: TimelineId, end: Lsn, deadline: Duration) {
    let reached = wait::until("the standbys to follow", deadline, || {
        for member in others {
            let facts = member.fetch_facts()?;
            ensure!(
                facts.timeline == timeline && facts.lsn >= end,
                "{} lags",
                member.pod.name
            );
        }
        Ok(())
    });
    drop(reached);
}

fn read_side(member: &Member, database: &str, run: &str) -> Result<Side> {
    let facts = member.fetch_facts()?;
    Ok(Side {
        site: member.site.name().to_owned(),
        member: member.pod.name.clone(),
        system_identifier: facts.system_identifier,
        in_recovery: facts.in_recovery,
        timeline: facts.timeline,
        lsn: facts.lsn,
        rows: member.fetch_rows(database, run)?,
    })
}

fn unread(member: &Member, error: &anyhow::Error) -> Unread {
    Unread {
        site: member.site.name().to_owned(),
        member: member.pod.name.clone(),
        why: format!("{error:#}"),
    }
}

/// The oldest timeline on which a row of the run was acknowledged.
fn oldest(ledger: &Ledger) -> TimelineId {
    let timelines = ledger.rows.iter().filter_map(|row| match row.outcome {
        Outcome::Acknowledged { timeline, .. } => Some(timeline),
        Outcome::Refused { .. } | Outcome::Unknown => None,
    });
    timelines.min().unwrap_or(TimelineId::MAX)
}

fn read_wal(
    primary: &Member,
    members: &[Member],
    timeline: TimelineId,
    oldest: TimelineId,
) -> Result<WalEvidence> {
    let history = primary.fetch_history(timeline)?;
    let mut scans: Vec<Scan> = Vec::new();
    for member in members {
        // A member that cannot be scanned leaves its forks uncovered, which the judge says.
        let own = wal::scan(member, &history, oldest).unwrap_or_default();
        for fork in history.forks.iter().filter(|fork| fork.timeline >= oldest) {
            let has_end = own.iter().any(|scan| {
                scan.timeline == fork.timeline
                    && scan.records.iter().any(|record| record.lsn < fork.at)
            });
            if !has_end {
                scans.extend(
                    wal::scan_archived(member, &history, fork.timeline)
                        .ok()
                        .flatten(),
                );
            }
        }
        scans.extend(own);
    }
    Ok(WalEvidence { history, scans })
}
