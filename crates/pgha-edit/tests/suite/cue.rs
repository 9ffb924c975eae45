//! CUE as a platform is written in it.

use pgha_edit::cue::{Path, edited};
use pgha_edit::{EditError, Place, Problem};
use serde_json::{Value, json};

const PLATFORM: &str = include_str!("../../../../fuzz/corpus/cue_edit/platform.site.cue");
const BRACES: &str = include_str!("../../../../fuzz/corpus/cue_edit/braces.cue");
const NAME: &str = "#Platform.primaryCluster.name";

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// The name of the site that writes, from core1 to core2.
fn flipped(text: &str) -> Result<String, EditError> {
    edited(text, &path(NAME), &json!("core1"), &json!("core2"))
}

#[test]
fn the_platforms_one_line_is_flipped() {
    let (old, new) = ("name: \"core1\" // one", "name: \"core2\" // one");
    assert_eq!(PLATFORM.matches(old).count(), 1);
    assert_eq!(flipped(PLATFORM).unwrap(), PLATFORM.replace(old, new));
    let again = flipped(&PLATFORM.replace(old, new)).unwrap();
    assert_eq!(again, PLATFORM.replace(old, new), "it is there already");
    let back = edited(BRACES, &path(NAME), &json!("core2"), &json!("core1"));
    assert_eq!(back.unwrap(), BRACES.replace("core2", "core1"));
}

#[test]
fn a_path_may_be_written_in_every_way() {
    for (text, at) in [
        ("a: b: c: true", "a.b.c"),
        ("a: {b: {c: true, d: 1}}", "a.b.c"),
        ("a:\n\tb: {\n\t\tc:\n\t\t\ttrue\n\t}\n", "a.b.c"),
        ("a: #B & {\n\tb: c: true\n}", "a.b.c"),
        ("X=a: \"b\": c!: true", "a.b.c"),
        ("a: \"login-ui\": on: true", "a.\"login-ui\".on"),
        ("{a: {b: true}}", "a.b"),
        ("for: if: let: true", "for.if.let"),
        ("a: [{b: false}]\nb: true", "b"),
    ] {
        let after = edited(text, &path(at), &json!(true), &json!(false));
        assert_eq!(after.unwrap(), text.replace("true", "false"), "{text}");
    }
}

fn refusal(text: &str, at: &str, from: &Value, to: &Value) -> (Problem, Option<(usize, usize)>) {
    let error = edited(text, &path(at), from, to).unwrap_err();
    let place = error.place.map(|Place { line, column }| (line, column));
    (error.problem, place)
}

#[test]
fn comments_and_texts_do_not_fool_it() {
    for text in [
        "// #Platform: primaryCluster: name: \"core1\"",
        "x: \"\"\"\n\t#Platform: primaryCluster: name: \"core1\"\n\t\"\"\"",
        "x: #\"#Platform: primaryCluster: name: \"core1\"\"#",
        "x: \"\\({#Platform: primaryCluster: name: \"core1\"})\"",
        "x: [{#Platform: primaryCluster: name: \"core1\"}]",
        "y: #Platform: primaryCluster: name: \"core1\"",
        "[string]: #Platform: primaryCluster: name: \"core1\"",
        "let x = {#Platform: primaryCluster: name: \"core1\"}",
    ] {
        let error = flipped(text).unwrap_err();
        assert!(
            matches!(error.problem, Problem::Nothing { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn more_than_one_place_is_refused() {
    let twice = format!("{PLATFORM}\n#Platform: primaryCluster: name: string\n");
    let (problem, place) = refusal(&twice, NAME, &json!("core1"), &json!("core2"));
    assert!(
        matches!(problem, Problem::Several { count: 2, .. }),
        "{problem}"
    );
    assert_eq!(place, Some((6, 34)));
}

#[test]
fn another_value_and_another_kind_are_refused() {
    let error = edited(PLATFORM, &path(NAME), &json!("core9"), &json!("core2")).unwrap_err();
    let error = error.in_file("platform.site.cue").to_string();
    assert_eq!(
        error,
        "cannot set #Platform.primaryCluster.name in platform.site.cue:6:34: it should say `core9` and says `core1`"
    );
    let (problem, _) = refusal("a: true", "a", &json!(true), &json!("x"));
    assert!(matches!(problem, Problem::Kind { .. }), "{problem}");
    let (problem, _) = refusal("a: \"x\"", "a", &json!("x"), &json!("a\"b"));
    assert_eq!(problem, Problem::Unwritable);
}

#[test]
fn what_is_no_literal_of_its_own_is_refused() {
    for text in [
        "a: *\"x\" | string",
        "a: string",
        "a: \"x\" @tag(site)",
        "a: \"x\" + \"y\"",
        "a: \"\\(b)\"",
        "a: #\"x\"#",
        "a: 'x'",
        "a: \"\"\"\n\tx\n\t\"\"\"",
        "a: 1",
        "if b {a: \"x\"}",
        "for k, v in b {a: \"x\"}",
        "{a: \"x\"} | {a: 1}",
    ] {
        let text = text.replace("| {a: 1}", "| {c: 1}");
        let (problem, _) = refusal(&text, "a", &json!("x"), &json!("y"));
        assert!(
            matches!(problem, Problem::Unsupported { .. }),
            "{text}: {problem}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    for (text, place) in [
        ("a: \"x\nb: 1\n", (1, 4)),
        ("a: {\nb: 1\n", (1, 4)),
        ("a: 1\n}\n", (2, 1)),
        ("a: \"\"\"\nb", (1, 4)),
        ("a: [1, 2\n", (2, 1)),
        ("@a(\n", (1, 1)),
    ] {
        let (problem, at) = refusal(text, "a", &json!("x"), &json!("y"));
        assert!(
            matches!(problem, Problem::Unreadable { .. }),
            "{text}: {problem}"
        );
        assert_eq!(at, Some(place), "{text}");
    }
    let deep = "a: {".repeat(2000);
    assert!(flipped(&deep).is_err());
    let deep = "\"\\(".repeat(2000);
    assert!(flipped(&deep).is_err());
}

#[test]
fn what_is_no_path_is_refused() {
    for text in [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a: b",
        "1",
        "\"a",
        "a\nb",
        "a.\"\\(b)\"",
    ] {
        assert!(text.parse::<Path>().is_err(), "{text}");
    }
    let shown = path("#Platform.\"login-ui\".on").to_string();
    assert_eq!(shown, "#Platform.\"login-ui\".on");
}
