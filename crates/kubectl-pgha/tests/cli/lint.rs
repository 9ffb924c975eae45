//! `kubectl pgha lint`.

use pgha_testkit::FakeCluster;
use serde_json::{Value, json};

use crate::house::House;

fn house() -> House {
    House::new(&FakeCluster::new(), &FakeCluster::new())
}

#[test]
fn a_good_file_is_told_and_nobody_is_asked() {
    let house = house();
    let file = house.file().display().to_string();
    // Nothing that it names answers.
    std::fs::remove_file(house.bench.kubeconfig()).unwrap();
    let ran = house.bench.run(&["lint", &file, "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = json!({
        "file": "[HOME]/pgha.yaml", "service": "zitadel", "sites": ["core1", "core2"], "appSteps": 0, "poolers": [],
        "backends": ["table-a", "table-b"], "probes": 1, "change": "direct"
    });
    assert_eq!(view["files"], json!([expected]));
    let text = house.bench.run(&["lint", &file]);
    assert!(
        text.stdout
            .contains("core1,core2   0     -         table-a,table-b   direct"),
        "{text}"
    );
    let name = house.bench.run(&["lint", &file, "-o", "name"]);
    assert_eq!(name.stdout, "zitadel\n");
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_was_meant() {
    let house = house();
    let good = std::fs::read_to_string(house.file()).unwrap();
    for (wrong, right, place, said) in [
        (
            "contxt:",
            "context:",
            "line 6 column",
            "did you mean `context`?",
        ),
        (
            "- prob:",
            "- probe:",
            "line 19 column",
            "did you mean `probe`?",
        ),
        (
            "traffics:",
            "traffic:",
            "line 8 column",
            "did you mean `traffic`?",
        ),
        (
            "- zzz:",
            "- probe:",
            "line 19 column",
            "expected one of rfc2136",
        ),
    ] {
        house.write("other.yaml", &good.replacen(right, wrong, 1));
        let other = house
            .file()
            .with_file_name("other.yaml")
            .display()
            .to_string();
        let ran = house.bench.run(&["lint", &other]);
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(
            ran.stderr.contains(place) && ran.stderr.contains(said),
            "{ran}"
        );
        assert_eq!(
            wrong == "- zzz:",
            !ran.stderr.contains("did you mean"),
            "{ran}"
        );
    }
}

#[test]
fn one_bad_file_does_not_hide_the_others() {
    let house = house();
    let good = std::fs::read_to_string(house.file()).unwrap();
    let beside = |name: &str, text: &str| {
        house.write(name, text);
        house.file().with_file_name(name).display().to_string()
    };
    let twice = beside("twice.yaml", &good.replace("table-b", "table-a"));
    let blind = beside("blind.yaml", good.split("    - probe:").next().unwrap());
    let none = house
        .file()
        .with_file_name("none.yaml")
        .display()
        .to_string();
    let file = house.file().display().to_string();
    let ran = house.bench.run(&["lint", &twice, &blind, &file, &none]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert_eq!(ran.stdout.matches("zitadel").count(), 1, "{ran}");
    for said in [
        "twice.yaml: line 14 column 7: two traffic backends are called table-a, expected",
        "blind.yaml: line 9 column 5: the service's file has no probe",
        "cannot read the service's file",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran}");
    }
}

#[test]
fn a_folder_and_the_file_that_lies_here_are_looked_at() {
    let house = house();
    let good = std::fs::read_to_string(house.file()).unwrap();
    let folder = house.bench.home().join("services");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let iam = good.replace("{ name: zitadel }", "{ name: iam }");
    write("iam.yaml", &iam);
    write(
        "web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: { name: web }\n",
    );
    let here = ["lint", "services", "-o", "name"];
    assert_eq!(house.run_here(&here).stdout, "iam\n");
    write("zitadel.yml", &good);
    write("twin.yaml", &format!("---\n{iam}---\n{good}"));
    let ran = house.run_here(&here);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert_eq!(ran.stdout, "iam\nzitadel\n", "{ran}");
    let said = "services/twin.yaml: line 4 column 19: services/iam.yaml is of service iam too";
    assert!(ran.stderr.contains(said), "{ran}");
    let ran = house.run_here(&["lint", "-o", "name"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "zitadel\n"),
        "{ran}"
    );
    assert_eq!(ran.stderr, "Using ./pgha.yaml.\n", "{ran}");
    std::fs::remove_file(house.file()).unwrap();
    let ran = house.run_here(&["lint"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("there is no ./pgha.yaml"), "{ran}");
}
