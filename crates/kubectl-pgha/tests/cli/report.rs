//! The report of a move: as `history` makes it of a record, and where a command may not write it.

use std::collections::BTreeSet;
use std::time::Duration;

use pgha_model::event::{Event, Followed, Follower};
use pgha_model::plan::Step;
use pgha_model::record::{BackupBefore, MoveRecord, RecordedEvent};
use pgha_testkit::pgo::Kind;
use serde_json::Value;

use crate::bench::Bench;
use crate::history::{good_move, kept};

const HOSTILE: &str = "<script>alert(1)</script>|[x](https://e.example)`*_\u{1b}[2J\u{202e}\"'&";

/// A move with a backup before, whose users have followed and whose application has not.
fn whole_move(said: &str) -> MoveRecord {
    let mut record = good_move();
    record.followers = Some(vec![Follower::Application, Follower::Users]);
    record.backup = Some(BackupBefore {
        id: "pgha-20261121T115500000Z".to_owned(),
        repo: "repo2".to_owned(),
        label: Some("20261121-115500F".to_owned()),
        at: record.claimed_at,
        took: Duration::from_secs(75),
        evidence: format!("pgBackRest has the full backup 20261121-115500F in repo2. {said}"),
    });
    for (who, arrived) in [(Follower::Application, false), (Follower::Users, true)] {
        let followed = Some(Followed {
            who,
            arrived,
            took: Duration::from_millis(1250),
        });
        let event = Event::Noted {
            step: Step::Rejoin,
            text: format!("They were looked for at core2. {said}"),
            followed,
        };
        let at = record.claimed_at + Duration::from_mins(1);
        record.events.push(RecordedEvent { at, event });
    }
    record
}

fn shown(record: &MoveRecord, form: &str) -> String {
    let bench = Bench::new(&[("core1", &kept(record))]);
    let ran = bench.run(&["history", "zitadel", "1", "-o", form]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    ran.stdout
}

/// What stands between quotes after these words, each time.
fn values(page: &str, after: &str) -> Vec<String> {
    let parts = page.split(after).skip(1);
    let values = parts.filter_map(|part| part.split('"').next());
    values.map(str::to_owned).collect()
}

#[test]
fn each_task_of_the_run_book_leads_to_what_proved_it() {
    let page = shown(&whole_move(""), "html");
    let (links, anchors) = (values(&page, "href=\"#"), values(&page, "id=\""));
    let anchors: BTreeSet<String> = anchors.into_iter().collect();
    // Every step but the drain, the backup, application and users.
    assert_eq!(links.len(), 11 + 1 + 2);
    for link in &links {
        assert!(anchors.contains(link), "{link}: {anchors:?}");
    }
    let rows: Vec<&str> = page.split("<tr>").collect();
    for (task, answer) in [
        ("Take a full backup", "good\">proved<"),
        ("Make the primary a standby", "good\">proved<"),
        ("Make the standby primary", "good\">proved<"),
        ("Stop the application", "bad\">not proved<"),
        ("Lead users to the new site", "good\">proved<"),
        ("Log in as a person", "plain\">not part of it<"),
    ] {
        let mut rows = rows.iter().filter(|row| row.contains(task));
        let row = rows.next().unwrap();
        assert!(row.contains(answer), "{row}");
    }
}

#[test]
fn markdown_says_the_same_and_so_does_json() {
    let record = whole_move("");
    let page = shown(&record, "md");
    for told in [
        "# Switchover of zitadel from core1 to core2\n",
        "| task | run book | answer | what was seen |\n|---|---|---|---|\n",
        "| Make the standby primary | Promote | proved | promote (",
        "| Log in as a person, and check what the token proves | Test Login | not part of it |",
        "1.93 s",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let view: Value = serde_json::from_str(&shown(&record, "json")).unwrap();
    let rows = view["moves"][0]["runbook"].as_array().unwrap();
    let promoted = rows.iter().find(|row| row["section"] == "Promote").unwrap();
    assert_eq!(promoted["answer"], "proved");
    let event = usize::try_from(promoted["proofs"][0]["event"].as_u64().unwrap()).unwrap();
    let events = &view["moves"][0]["record"]["events"];
    assert_eq!(promoted["proofs"][0]["said"], events[event]["evidence"]);
}

#[test]
fn a_report_is_the_same_whenever_it_is_made() {
    let record = whole_move("");
    for (form, made) in [("html", "<footer>"), ("md", "Made by kubectl pgha")] {
        let report = || {
            let page = shown(&record, form);
            page.split(made).next().unwrap().to_owned()
        };
        assert_eq!(report(), report());
    }
}

#[test]
fn nothing_that_was_seen_becomes_markup() {
    let mut record = whole_move(HOSTILE);
    record.operator = HOSTILE.to_owned();
    if let Some(target) = &mut record.target {
        target.place.context = HOSTILE.to_owned();
    }
    let page = shown(&record, "html");
    assert!(!page.contains("<script") && !page.contains('\u{202e}'));
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    let page = shown(&record, "md");
    assert!(!page.contains('<') && !page.contains('\u{1b}') && !page.contains("https://"));
    assert!(page.contains("\\|\\[x\\]"), "{page}");
    let rows = page.lines().filter(|line| line.starts_with("| Take"));
    for row in rows {
        let cells = row.replace("\\|", "").matches('|').count();
        assert_eq!(cells, 5, "{row}");
    }
}

#[test]
fn a_report_that_could_not_be_written_is_refused_before_anything_is_asked() {
    let bench = Bench::pair(Kind::StreamingStandby);
    for command in ["switchover", "resume", "failover"] {
        for (file, words) in [
            ("move.pdf", "ends neither with .html nor with .md"),
            ("no/such/folder/move.html", "No such file or directory"),
        ] {
            let file = bench.home().join(file);
            let sides = ["--from", "core1", "--to", "core2", "--report"];
            let args = [&[command, "zitadel"][..], &sides, &[file.to_str().unwrap()]].concat();
            let ran = bench.run(&args);
            assert_eq!(ran.code, Some(2), "{ran}");
            assert!(ran.stderr.contains(words), "{ran}");
            assert!(ran.stderr.contains("effect: nothing was changed"), "{ran}");
        }
    }
}

/// A move that is refused has no record, and what was there stays.
#[test]
fn a_move_that_has_not_begun_leaves_the_file_alone() {
    let bench = Bench::pair(Kind::StreamingStandby);
    let file = bench.home().join("move.html");
    std::fs::write(&file, "of an earlier move").unwrap();
    let sides = ["--from", "core2", "--to", "core1", "--yes", "--report"];
    let args = [
        &["switchover", "zitadel"][..],
        &sides,
        &[file.to_str().unwrap()],
    ]
    .concat();
    let ran = bench.run(&args);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("there is no report of it"), "{ran}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept, "of an earlier move");
    let mut left = std::fs::read_dir(bench.home()).unwrap();
    assert!(left.all(|one| !one.unwrap().file_name().to_string_lossy().ends_with(".tmp")));
}
