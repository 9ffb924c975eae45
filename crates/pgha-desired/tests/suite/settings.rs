//! What is wrong with settings, and where.

use std::path::Path;

use pgha_desired::Settings;

use crate::house::{HOLOS, PLAIN, desired};

/// Line and column, and what is told.
fn mistake(settings: &str) -> String {
    let mistake = desired(settings, Path::new("/srv")).unwrap_err();
    let place = mistake
        .place
        .map_or_else(String::new, |at| format!("{}:{}: ", at.line(), at.column()));
    format!("{place}{}", mistake.because)
}

#[test]
fn the_ways_are_read() {
    assert!(desired(HOLOS, Path::new("/srv")).unwrap().is_some());
    let desired_git = desired(PLAIN, Path::new("/srv")).unwrap().unwrap();
    assert_eq!(desired_git.at(), "origin refs/heads/main");
    assert!(
        desired("way: direct\n", Path::new("/srv"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_contradicts_itself_is_told_with_its_place() {
    for (settings, words) in [
        (
            "way: direct\nrepository: x\n".to_owned(),
            "`way: direct` changes no repository",
        ),
        ("way: git\n".to_owned(), "no repository is named"),
        ("way: git\nrepository: x\n".to_owned(), "nothing is edited"),
        (
            format!("{PLAIN}mergeRequest: {{ branchPrefix: a/ }}\n"),
            "6:15: mergeRequest is of another way",
        ),
        (
            PLAIN.replacen("core1", "core3", 1),
            "4:5: there is no site `core3`, expected one of core1, core2",
        ),
        (
            PLAIN.replacen("site: core1,", "site: core1, sites: { core1: a },", 1),
            "4:5: `sites` is for a value without `site`",
        ),
        (
            PLAIN.replacen("site: core1,", "site: core1, standby: false,", 1),
            "4:5: `primary` and `standby` are the same",
        ),
        (
            PLAIN.replacen("site: core1,", "site: core1, primary: [],", 1),
            "4:5: a value is a list",
        ),
        (
            PLAIN.replacen("site: core1,", "site: core1, field: a.b,", 1),
            "4:5: `object` is of YAML and `field` of CUE",
        ),
        (
            PLAIN.replacen("site: core1,", "site: core1, at: /a, field: a.b,", 1),
            "4:5: both `at` and `field`",
        ),
        (
            PLAIN.replacen("site: core1", "site: core2", 1),
            "no edit is of site core1",
        ),
        (
            "way: git\nrepository: x\nedits:\n  - { file: a.yaml, at: /primary }\n".to_owned(),
            "4:5: one value for all sites is no two commits",
        ),
        (
            HOLOS.replace(", field: '#Platform.primaryCluster.name'", ""),
            "4:5: no place in the file is named",
        ),
        (
            HOLOS.replace("name' }", "name', primary: a }"),
            "4:5: `primary` and `standby` are a site's",
        ),
        (
            HOLOS.replace("name' }", "name', sites: { core1: core2 } }"),
            "4:5: two of `sites` have the same value",
        ),
        (
            HOLOS.replace("name' }", "name', sites: { core3: a } }"),
            "4:5: there is no site `core3`",
        ),
        (
            HOLOS.replace("[./render.sh]", "[]"),
            "6:3: render.command names no program",
        ),
        (
            HOLOS.replace(", core2: ['deploy/clusters/core2/**']", ""),
            "6:3: render.paths has none of site core2",
        ),
    ] {
        let said = mistake(&settings);
        assert!(said.starts_with(words), "{said}\n{settings}");
    }
}

#[test]
fn a_word_that_cannot_be_is_told_where_it_stands() {
    for (settings, place, words) in [
        (
            format!("{PLAIN}remote: 'https://me:secret@host/x.git'\n"),
            "line 6",
            "is not the name of a remote",
        ),
        (
            format!("{PLAIN}branch: a..b\n"),
            "line 6",
            "is not a branch",
        ),
        (
            PLAIN.replacen("clusters/core1/", "../", 1),
            "line 4",
            "is not a path in the repository",
        ),
        (
            PLAIN.replacen("site: core1,", "site: core1, at: spec/x,", 1),
            "line 4",
            "is not a place",
        ),
        (
            HOLOS.replace("#Platform.", "#Platform.."),
            "line 4",
            "is not a field",
        ),
        (
            HOLOS.replace("core1/**", "core1**"),
            "line 7",
            "is not a pattern of paths",
        ),
        (
            format!("{PLAIN}mergeRequest: {{ link: git.example }}\n"),
            "line 6",
            "is not a link",
        ),
        (
            format!("{PLAIN}mergeRequest: {{ branchPrefix: -x }}\n"),
            "line 6",
            "is not the beginning",
        ),
        (
            PLAIN.replace("repository:", "repo:"),
            "line 2",
            "unknown field `repo`",
        ),
        (
            PLAIN.replace("way: git", "way: gitt"),
            "line 1",
            "unknown variant `gitt`",
        ),
    ] {
        let error = serde_saphyr::from_str::<Settings>(&settings)
            .unwrap_err()
            .to_string();
        assert!(error.contains(place) && error.contains(words), "{error}");
    }
}
