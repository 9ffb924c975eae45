//! The records of moves, over an API server that answers late, not at all, or somebody else first.

use std::collections::BTreeMap;
use std::time::Duration;

use pgha_core::client::SiteClient;
use pgha_core::journal::{Claim, Claiming, JournalError, Kept, claim, read_journal};
use pgha_model::event::{Event, Followed, Follower, Standing};
use pgha_model::plan::Step;
use pgha_model::record::{Action, BackupBefore, Ending, Epoch, RecordedSide, SiteIdentity, Stage};
use pgha_model::site::{Part, Place};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::site;

const NAME: &str = "zitadel-pgha";
const LIMIT: Duration = Duration::from_secs(5);

struct Sites {
    clusters: [FakeCluster; 2],
    clients: [SiteClient; 2],
}

impl Sites {
    fn new() -> Self {
        let clusters = [FakeCluster::new(), FakeCluster::new()];
        for cluster in &clusters {
            let metadata = json!({"name": crate::NAMESPACE});
            cluster.insert(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
        }
        let clients = [site(&clusters[0]), site(&clusters[1])];
        Self { clusters, clients }
    }

    /// What both sites keep now.
    async fn look(&self) -> Vec<(Part, SiteClient, String, Kept)> {
        let mut seen = Vec::new();
        for (part, client) in [Part::Source, Part::Target].into_iter().zip(&self.clients) {
            let kept = read_journal(client, "zitadel").await.unwrap();
            seen.push((part, client.clone(), "zitadel".to_owned(), kept));
        }
        seen
    }

    async fn claim(&self, takes_over: Option<Epoch>) -> Result<Claim, JournalError> {
        claim(claiming(takes_over), self.look().await).await
    }

    /// An epoch's record, at each site.
    fn records(&self, epoch: u64) -> Vec<Option<Value>> {
        let namespace = &self.clients[0].namespace;
        let record = |cluster: &FakeCluster| {
            let object = cluster.object("configmaps", namespace, NAME)?;
            let text = object["data"][format!("move-{epoch}")].as_str()?.to_owned();
            serde_json::from_str(&text).ok()
        };
        self.clusters.iter().map(record).collect()
    }

    /// The stage and the end of an epoch's record, at each site.
    fn stages(&self, epoch: u64) -> Vec<Option<String>> {
        let stage = |record: Option<Value>| {
            let record = record?;
            let end = record["ending"]["standing"].as_str().unwrap_or_default();
            Some(format!("{} {end}", record["stage"].as_str()?))
        };
        self.records(epoch).into_iter().map(stage).collect()
    }

    /// What an epoch's record has noted, at each site.
    fn noted(&self, epoch: u64) -> Vec<Vec<String>> {
        let noted = |record: Option<Value>| {
            let events = record.unwrap_or_default()["events"].clone();
            let events = events.as_array().cloned().unwrap_or_default();
            let word = |event: &Value, name: &str| event[name].as_str().map(str::to_owned);
            let said = |event: &Value| {
                Some(format!(
                    "{}: {}",
                    word(event, "step")?,
                    word(event, "text")?
                ))
            };
            events.iter().filter_map(said).collect()
        };
        self.records(epoch).into_iter().map(noted).collect()
    }
}

fn claiming(takes_over: Option<Epoch>) -> Claiming {
    let side = |context: &str| RecordedSide {
        place: Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "zitadel".to_owned(),
        },
        identity: SiteIdentity::default(),
        leader: None,
        paused: None,
        standby: false,
        settings: BTreeMap::new(),
    };
    Claiming {
        action: Action::Switchover,
        takes_over,
        system_identifier: "7".to_owned(),
        source: Some(side("core1")),
        target: Some(side("core2")),
        feed: None,
        demotion: None,
        failover: None,
        deadline_job: None,
        application: Vec::new(),
        stamped: Epoch(0),
        patience: Duration::from_mins(1),
    }
}

fn ending(standing: Option<Standing>) -> Ending {
    Ending {
        at: "2026-11-21T10:00:00Z".parse().unwrap(),
        standing,
        because: None,
        result: None,
    }
}

fn text(stage: &str) -> Vec<Option<String>> {
    vec![Some(stage.to_owned()); 2]
}

#[tokio::test]
async fn a_claim_is_at_both_sites_and_each_epoch_is_higher() {
    let sites = Sites::new();
    let mut first = sites.claim(None).await.unwrap();
    assert_eq!(first.epoch(), Epoch(1));
    assert_eq!(sites.stages(1), text("preparing "));
    for _ in 0..2 {
        assert_eq!(first.flush().await.unwrap(), Vec::<String>::new());
        assert_eq!(sites.stages(1), text("preparing "));
    }
    first.enter(Stage::Fenced);
    assert_eq!(first.flush().await.unwrap(), Vec::<String>::new());
    assert_eq!(sites.stages(1), text("fenced "));
    assert_eq!(first.end(ending(None)).await, Vec::<String>::new());
    assert_eq!(sites.stages(1), text("ended "));
    assert_eq!(sites.claim(None).await.unwrap().epoch(), Epoch(2));
}

/// Users may arrive after the database has.
#[tokio::test]
async fn what_happens_beside_is_kept_also_after_the_end() {
    let sites = Sites::new();
    let mut claimed = sites.claim(None).await.unwrap();
    let step = Step::Promote;
    let backup = BackupBefore {
        id: "pgha-1".to_owned(),
        repo: "repo1".to_owned(),
        label: None,
        at: jiff::Timestamp::UNIX_EPOCH,
        took: Duration::from_secs(9),
        evidence: "It is there.".to_owned(),
    };
    claimed.beside(vec![Follower::Users], Some(backup));
    claimed.note(&Event::Started { step });
    assert_eq!(
        claimed.note_beside("Clients go on.".to_owned(), None).await,
        [""; 0]
    );
    assert_eq!(sites.noted(1), vec![Vec::<String>::new(); 2]);
    assert_eq!(claimed.end(ending(None)).await, [""; 0]);
    let followed = Followed {
        who: Follower::Users,
        arrived: true,
        took: Duration::from_secs(2),
    };
    let text_of_it = "Users have arrived.".to_owned();
    let lost = claimed.note_beside(text_of_it, Some(followed)).await;
    assert_eq!(lost, [""; 0]);
    let both = ["promote: Clients go on.", "promote: Users have arrived."];
    assert_eq!(sites.noted(1), vec![both.map(str::to_owned).to_vec(); 2]);
    assert_eq!(sites.stages(1), text("ended "));
    for record in sites.records(1).into_iter().flatten() {
        assert_eq!(record["followers"], json!(["users"]));
        assert_eq!(record["backup"]["id"], "pgha-1");
        let newest = record["events"].as_array().unwrap().last().unwrap();
        let expected = json!({"who": "users", "arrived": true, "tookSeconds": 2.0});
        assert_eq!(newest["followed"], expected);
    }
    // Whoever has taken over since is not written over.
    sites.claim(None).await.unwrap();
    let lost = claimed.note_beside("Too late.".to_owned(), None).await;
    assert!(lost.concat().contains("has taken over"), "{lost:?}");
    assert_eq!(sites.stages(2), text("preparing "));
}

#[tokio::test]
async fn an_epoch_on_an_object_counts_although_the_journal_is_lost() {
    let sites = Sites::new();
    let mut stamped = claiming(None);
    stamped.stamped = Epoch(8);
    let claimed = claim(stamped, sites.look().await).await.unwrap();
    assert_eq!(claimed.epoch(), Epoch(9));
}

#[tokio::test]
async fn an_unfinished_move_of_the_database_that_had_the_name_before_is_not_in_the_way() {
    let sites = Sites::new();
    sites.claim(None).await.unwrap();
    let mut new = claiming(None);
    new.system_identifier = "8".to_owned();
    let claimed = claim(new, sites.look().await).await.unwrap();
    assert_eq!(claimed.epoch(), Epoch(2));
}

#[tokio::test]
async fn an_unfinished_move_is_in_the_way_of_all_but_its_successor() {
    let sites = Sites::new();
    let mut first = sites.claim(None).await.unwrap();
    let refused = sites.claim(None).await.err().unwrap();
    let epoch = Epoch(1);
    assert!(matches!(refused, JournalError::Unfinished { epoch: at, .. } if at == epoch));
    let second = sites.claim(Some(Epoch(1))).await.unwrap();
    assert_eq!(second.epoch(), Epoch(2));

    first.enter(Stage::Fenced);
    let late = first.flush().await.unwrap_err();
    assert!(
        matches!(
            late,
            JournalError::Superseded {
                epoch: Epoch(2),
                ..
            }
        ),
        "{late}"
    );
    let late = first.decide(Stage::Promoting, LIMIT).await.unwrap_err();
    assert!(matches!(late, JournalError::Superseded { .. }), "{late}");
    assert_eq!(sites.stages(1), text("preparing "));
}

#[tokio::test]
async fn of_two_at_once_one_claims() {
    let sites = Sites::new();
    let (first, second) = (sites.look().await, sites.look().await);
    assert!(claim(claiming(None), first).await.is_ok());
    let late = claim(claiming(None), second).await.err().unwrap();
    assert!(
        matches!(
            late,
            JournalError::Superseded {
                epoch: Epoch(1),
                ..
            }
        ),
        "{late}"
    );
}

#[tokio::test]
async fn a_claim_that_was_read_too_early_is_refused() {
    let sites = Sites::new();
    let mut earlier = sites.claim(None).await.unwrap();
    assert_eq!(earlier.end(ending(None)).await, Vec::<String>::new());
    let (first, second) = (sites.look().await, sites.look().await);
    assert!(claim(claiming(None), first).await.is_ok());
    let late = claim(claiming(None), second).await.err();
    assert!(
        matches!(
            late,
            Some(JournalError::Superseded {
                epoch: Epoch(2),
                ..
            })
        ),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_claim_that_one_site_does_not_take_leaves_nothing_open() {
    let sites = Sites::new();
    let seen = sites.look().await;
    sites.clusters[1].fail(Fault::new(Failure::Forbidden).verb("create"));
    assert!(claim(claiming(None), seen).await.is_err());
    assert_eq!(sites.stages(1), [Some("ended unchanged".to_owned()), None]);
    sites.clusters[1].heal();
    assert_eq!(sites.claim(None).await.unwrap().epoch(), Epoch(2));
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_counts_when_it_is_there() {
    for failure in [Failure::ConnectionLostAfter, Failure::SilenceAfter] {
        let sites = Sites::new();
        let mut claimed = sites.claim(None).await.unwrap();
        let lost = Fault::new(failure).verb("patch").times(1);
        sites.clusters[0].fail(lost);
        claimed.decide(Stage::Fenced, LIMIT).await.unwrap();
        claimed.decide(Stage::Promoting, LIMIT).await.unwrap();
        assert_eq!(sites.stages(1)[0].as_deref(), Some("promoting "));
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_cannot_be_written_is_none_and_the_way_back_stays() {
    let sites = Sites::new();
    let mut claimed = sites.claim(None).await.unwrap();
    claimed.decide(Stage::Fenced, LIMIT).await.unwrap();
    sites.clusters[0].fail(Fault::new(Failure::ConnectionRefused));
    let undecided = claimed.decide(Stage::Promoting, LIMIT).await.unwrap_err();
    assert!(matches!(undecided, JournalError::Call(_)), "{undecided}");
    sites.clusters[0].heal();
    claimed.decide(Stage::Undone, LIMIT).await.unwrap();
    let late = claimed.decide(Stage::Promoting, LIMIT).await.unwrap_err();
    assert!(matches!(late, JournalError::Decided { .. }), "{late}");
    assert_eq!(sites.stages(1)[0].as_deref(), Some("undone "));
}

/// Somebody at the source goes back at the deadline; the tool, which does not know, must not promote.
#[tokio::test]
async fn who_finds_it_undone_by_another_does_not_promote() {
    let sites = Sites::new();
    let mut claimed = sites.claim(None).await.unwrap();
    claimed.decide(Stage::Fenced, LIMIT).await.unwrap();
    let namespace = sites.clients[0].namespace.clone();
    sites.clusters[0].change("configmaps", &namespace, NAME, |object| {
        let text = object["data"]["move-1"].as_str().unwrap();
        object["data"]["move-1"] = json!(text.replace("\"fenced\"", "\"undone\""));
    });
    let late = claimed.decide(Stage::Promoting, LIMIT).await.unwrap_err();
    assert!(
        matches!(
            late,
            JournalError::Decided {
                stage: Stage::Undone,
                ..
            }
        ),
        "{late}"
    );
    claimed.decide(Stage::Undone, LIMIT).await.unwrap();
}

#[tokio::test]
async fn twenty_moves_are_kept() {
    let sites = Sites::new();
    for _ in 0..23 {
        let mut claimed = sites.claim(None).await.unwrap();
        claimed.end(ending(None)).await;
    }
    let kept = read_journal(&sites.clients[0], "zitadel").await.unwrap();
    let epochs: Vec<u64> = kept.journal.moves.keys().map(|epoch| epoch.0).collect();
    assert_eq!(epochs, (4..=23).collect::<Vec<_>>());
}
