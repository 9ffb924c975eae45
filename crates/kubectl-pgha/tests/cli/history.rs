//! `kubectl pgha history`.

mod records;

use pgha_model::event::{Event, Standing};
use pgha_model::plan::Step;
use pgha_model::record::{MoveRecord, RecordedEvent, Stage};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::json;

use self::records::{Site, broken, fenced, newer, switchover, undone};
use crate::assert_said;
use crate::bench::{Bench, Ran, empty_cluster};

const BOTH: [&str; 4] = ["--context", "core1", "--context", "core2"];

/// The record of a move that went well.
pub(crate) fn good_move() -> MoveRecord {
    switchover(1, 5)
}

/// A site that keeps this record alone.
pub(crate) fn kept(record: &MoveRecord) -> FakeCluster {
    Site::default().keeping(record).cluster()
}

/// Two sites that keep the same: a move that went well, one that was taken back, one whose tool died in the fence.
fn two_sites() -> [FakeCluster; 2] {
    let moves = || {
        let records = [switchover(1, 5), undone(2, 4), fenced(3, 3)];
        records.iter().fold(Site::default(), Site::keeping)
    };
    [moves().cluster(), moves().cluster()]
}

fn bench([first, second]: &[FakeCluster; 2]) -> Bench {
    Bench::new(&[("core1", first), ("core2", second)])
}

fn history(bench: &Bench, arguments: &[&str]) -> Ran {
    bench.run(&[&["history", "zitadel"], arguments, &BOTH].concat())
}

#[test]
fn the_moves_of_two_sites_are_one_list() {
    let bench = bench(&two_sites());
    assert_said!(
        history(&bench, &[]),
        history(&bench, &["-o", "wide"]),
        history(&bench, &["-o", "name"]),
        bench.run(&["history", "zitadel"]),
    );
}

#[test]
fn one_move_is_shown_step_by_step() {
    let bench = bench(&two_sites());
    assert_said!(
        history(&bench, &["1"]),
        history(&bench, &["2"]),
        history(&bench, &["3", "-o", "wide"]),
    );
}

#[test]
fn what_a_user_has_lifted_is_told() {
    let told = "`not-managed` was lifted by --allow-managed. The object is owned by Flux.";
    let mut record = switchover(1, 5);
    let noted = Event::noted(Step::Claim, told.to_owned());
    record.events.insert(
        1,
        RecordedEvent {
            at: record.claimed_at,
            event: noted,
        },
    );
    let bench = Bench::new(&[("core1", &Site::default().keeping(&record).cluster())]);
    for form in ["wide", "json", "html"] {
        let ran = bench.run(&["history", "zitadel", "1", "-o", form]);
        let text = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(told), "{ran}");
    }
}

#[test]
fn programs_get_the_records_as_they_are() {
    let bench = bench(&two_sites());
    let ran = history(&bench, &["1", "-o", "json"]);
    let view: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &view["kind"]), (Some(0), &json!("History")));
    let [shown] = view["moves"].as_array().unwrap().as_slice() else {
        panic!("{ran}");
    };
    assert_eq!(
        shown["record"],
        serde_json::to_value(switchover(1, 5)).unwrap()
    );
    assert_eq!(shown["state"], "done");
    assert_eq!(shown["writeGapSeconds"], 1.93);
    assert_eq!(shown["keptAt"], json!(["core1", "core2"]));
    let states = |ran: &Ran| {
        let view: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let moves = view["moves"].as_array().unwrap().iter();
        moves.map(|one| one["state"].clone()).collect::<Vec<_>>()
    };
    let all = history(&bench, &["-o", "json"]);
    assert_eq!(states(&all), ["done", "backAtSource", "unfinished"]);
    let yaml = history(&bench, &["-o", "yaml"]);
    assert!(yaml.stdout.contains("state: backAtSource"), "{yaml}");
}

#[test]
fn a_record_that_cannot_be_read_is_listed_with_its_reason() {
    let site = Site::default().keeping(&switchover(1, 5));
    let cluster = site.holding(2, &newer(2)).holding(3, &broken()).cluster();
    let bench = Bench::new(&[("core1", &cluster)]);
    assert_said!(
        bench.run(&["history", "zitadel"]),
        bench.run(&["history", "zitadel", "2"]),
    );
    let ran = bench.run(&["history", "zitadel", "-o", "json"]);
    assert!(ran.stdout.contains("it has version 2"), "{ran}");
    let ran = bench.run(&["history", "zitadel", "-o", "html"]);
    assert!(ran.stdout.contains("it has version 2"), "{ran}");
}

#[test]
fn a_cluster_that_was_never_moved_has_no_history() {
    let bench = bench(&[empty_cluster(), empty_cluster()]);
    assert_said!(
        history(&bench, &[]),
        bench.run(&["history", "zitadel", "-o", "name"]),
        history(&bench, &["1"]),
    );
}

#[test]
fn an_unknown_move_is_refused_with_those_that_are_known() {
    let bench = bench(&two_sites());
    assert_said!(history(&bench, &["7"]), history(&bench, &["last"]));
}

#[test]
fn copies_that_differ_are_told() {
    let (mut behind, mut promoting) = (fenced(3, 3), fenced(4, 2));
    behind.events.truncate(2);
    promoting.stage = Stage::Promoting;
    let mut other = switchover(5, 1);
    other.operator = "bob, process 9".to_owned();
    let first = [fenced(3, 3), promoting, switchover(5, 1)];
    let second = [behind, fenced(4, 2), other];
    let site = |records: [_; 3]| records.iter().fold(Site::default(), Site::keeping);
    let bench = bench(&[site(first).cluster(), site(second).cluster()]);
    assert_said!(history(&bench, &[]));
}

#[test]
fn a_record_that_was_lost_and_one_that_was_taken_over_are_told() {
    let mut resumed = switchover(4, 2);
    resumed.continues = Some(fenced(3, 3).epoch);
    let site = Site::default().keeping(&fenced(3, 3)).keeping(&resumed);
    let bench = Bench::new(&[("core1", &site.last_epoch(9).cluster())]);
    assert_said!(bench.run(&["history", "zitadel"]));
}

#[test]
fn a_site_that_cannot_be_reached_does_not_hide_the_other() {
    let mut bench = bench(&two_sites());
    bench.stop(1);
    let list = history(&bench, &[]);
    assert_eq!(list.code, Some(3));
    let unseen =
        "UNSEEN core2: cannot reach the API server of `core2` to get configmap zitadel-pgha";
    assert!(list.stdout.contains(unseen), "{list}");
    assert!(list.stdout.contains("switchover"), "{list}");
    let page = history(&bench, &["1", "-o", "html"]);
    assert_eq!(page.code, Some(3));
    assert!(
        page.stdout
            .contains("cannot reach the API server of `core2`"),
        "{page}"
    );
    bench.stop(0);
    let ran = history(&bench, &["1"]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr
            .contains("none of the sites that were asked could be seen"),
        "{ran}"
    );
}

#[test]
fn a_permission_that_is_missing_is_named() {
    let clusters = two_sites();
    for cluster in &clusters {
        cluster.fail(Fault::new(Failure::Forbidden).resource("configmaps"));
    }
    let bench = bench(&clusters);
    assert_said!(
        bench.run(&["history", "zitadel", "--context", "core1"]),
        history(&bench, &[]),
    );
}

#[test]
fn html_is_one_page_that_needs_nothing_else() {
    let bench = bench(&two_sites());
    let ran = history(&bench, &["1", "-o", "html"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let page = &ran.stdout;
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for outside in [
        "http:", "https:", "<script", "<link", "<img", "url(", "@import", "src=",
    ] {
        let page = page.replace("http-equiv", "");
        assert!(!page.contains(outside), "{outside}");
    }
    for told in [
        "Switchover of zitadel from core1 to core2",
        "jane@laptop, process 7",
        "1.93 s",
        "<svg role=\"img\"",
        "The write gap",
        "prod/zitadel@core2",
        "zitadel-pgha1-abcd-0",
        "control data of zitadel-pgha1-abcd-0",
        "class=\"badge good\">done<",
    ] {
        assert!(page.contains(told), "{told}");
    }
    let whole = history(&bench, &["-o", "html"]);
    assert_eq!(whole.code, Some(0));
    assert_eq!(whole.stdout.matches("<section").count(), 3);
}

#[test]
fn nothing_that_a_record_says_becomes_markup_or_steers_a_terminal() {
    let hostile = "<script>alert(1)</script>\u{1b}[2J\u{202e}\"'&";
    let mut record = switchover(1, 5);
    record.operator = hostile.to_owned();
    for side in [&mut record.source, &mut record.target]
        .into_iter()
        .flatten()
    {
        side.place.context = hostile.to_owned();
    }
    let record = records::saying(record, hostile);
    let bench = Bench::new(&[("core1", &Site::default().keeping(&record).cluster())]);
    for form in ["html", "table", "wide", "json", "yaml", "name"] {
        for id in [&["1"][..], &[]] {
            let ran = bench.run(&[&["history", "zitadel", "-o", form], id].concat());
            assert_eq!(ran.code, Some(0), "{ran}");
            let steers = |character: char| {
                (character.is_control() && character != '\n') || character == '\u{202e}'
            };
            assert!(!ran.stdout.contains(steers), "{form}");
            if form == "html" {
                assert!(!ran.stdout.contains("<script"), "{ran}");
                assert!(ran.stdout.contains("&lt;script&gt;alert(1)"), "{ran}");
                assert!(ran.stdout.contains("\\u{1b}[2J"), "{ran}");
            }
        }
    }
}

#[test]
fn a_record_that_makes_little_sense_does_no_harm() {
    let mut empty = switchover(1, 5);
    empty.events.clear();
    (empty.source, empty.target, empty.ending) = (None, None, None);
    let mut odd = switchover(2, 4);
    odd.events.reverse();
    odd.claimed_at = jiff::Timestamp::MIN;
    odd.deadline = jiff::Timestamp::MAX;
    for recorded in &mut odd.events {
        if let Event::Settled { took, .. } = &mut recorded.event {
            *took = std::time::Duration::from_secs(u64::MAX / 4);
        }
    }
    let site = Site::default().keeping(&empty).keeping(&odd);
    let bench = Bench::new(&[("core1", &site.cluster())]);
    for form in ["html", "table", "wide", "json", "yaml"] {
        for id in [&["1"][..], &["2"], &[]] {
            let ran = bench.run(&[&["history", "zitadel", "-o", form], id].concat());
            assert_eq!(ran.code, Some(0), "{ran}");
            assert!(
                !ran.stdout.contains("NaN") && !ran.stdout.contains("inf\""),
                "{ran}"
            );
        }
    }
}

#[test]
fn html_is_for_history_alone() {
    let bench = bench(&two_sites());
    let ran = bench.run(&["status", "-o", "html"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr
            .contains("[possible values: table, wide, json, yaml, name]"),
        "{ran}"
    );
}

#[test]
fn a_move_under_way_is_told_as_such() {
    let mut record = fenced(3, 0);
    record.deadline = crate::bench::now() + std::time::Duration::from_mins(1);
    let mut held = undone(4, 1);
    if let Some(ending) = &mut held.ending {
        ending.standing = Some(Standing::Held);
    }
    let site = Site::default().keeping(&record).keeping(&held);
    let bench = Bench::new(&[("core1", &site.cluster())]);
    let ran = bench.run(&["history", "zitadel"]);
    assert!(ran.stdout.contains("under way, fenced"), "{ran}");
    assert!(
        ran.stdout.contains("WARN move 4: It is not finished."),
        "{ran}"
    );
    assert!(!ran.stdout.contains("WARN move 3"), "{ran}");
}
