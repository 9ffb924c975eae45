//! `kubectl pgha completion`, and what shells and kubectl get when they ask.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use pgha_testkit::pgo::Kind;

use crate::assert_said;
use crate::bench::{Bench, primary};

#[test]
fn kubectl_gets_commands_flags_contexts_and_clusters() {
    let bench = Bench::pair(Kind::ArchiveStandby);
    let complete = |words: &[&str]| bench.run(&[&["__complete"], words].concat());
    assert_said!(
        complete(&["le"]),
        complete(&["leader", ""]),
        complete(&["leader", "zit"]),
        complete(&["leader", "--context", "core2", "-n", "nowhere", ""]),
        complete(&["status", "--context", "core1", "--context", ""]),
        complete(&["status", "-o", ""]),
        complete(&["leader", "--kube"]),
        complete(&["completion", ""]),
        complete(&["switchover", "--from", "core2", "--to", ""]),
        complete(&["switchover", "--from", "core2", "zi"]),
        complete(&["init", "--from", ""]),
        complete(&["init", "--from", "core1", "zi"]),
    );
}

#[test]
fn an_unreachable_site_offers_nothing_and_says_nothing() {
    let mut bench = Bench::one(&primary());
    bench.stop(0);
    let ran = bench.run(&["__complete", "leader", "zi"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), ":4\n", "")
    );
}

/// What bash offers for the last of these words, in the home folder.
fn bash_offers(bench: &Bench, words: &[&str]) -> String {
    let script = bench.run(&["completion", "bash"]).stdout;
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-pgha"))
        .parent()
        .unwrap();
    let (line, last) = (words.join(" "), words.len());
    let (word, before) = (words[last - 1], words[last - 2]);
    let ask = format!(
        "
        COMP_WORDS=(kubectl-pgha {line}); COMP_CWORD={last}; COMP_TYPE=9
        _clap_complete_kubectl_pgha kubectl-pgha {word} {before}
        printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &format!("{script}\n{ask}")])
        .current_dir(bench.home())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("HOME", bench.home())
        .env("KUBECONFIG", bench.kubeconfig())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn bash_completes_what_the_script_registers() {
    let bench = Bench::pair(Kind::ArchiveStandby);
    assert_eq!(bash_offers(&bench, &["leader", "zi"]), "zitadel\n");
}

#[test]
fn a_services_file_is_a_file_or_a_folder() {
    let bench = Bench::new(&[]);
    std::fs::write(bench.home().join("service.yaml"), "").unwrap();
    std::fs::create_dir(bench.home().join("services")).unwrap();
    for command in ["status", "switchover"] {
        let offers = bash_offers(&bench, &[command, "-f", "serv"]);
        let mut offers: Vec<&str> = offers.lines().map(str::trim).collect();
        offers.sort_unstable();
        assert_eq!(offers, ["service.yaml", "services/"], "{command}");
    }
}

#[test]
fn the_helper_of_kubectl_is_a_program() {
    let bench = Bench::pair(Kind::ArchiveStandby);
    let helper = bench.home().join("kubectl_complete-pgha");
    std::fs::write(&helper, bench.run(&["completion", "kubectl"]).stdout).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-pgha"))
        .parent()
        .unwrap();
    let output = Command::new(&helper)
        .args(["leader", "zi"])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("KUBECONFIG", bench.kubeconfig())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "zitadel\n:4\n");
}

#[test]
fn every_shell_has_a_script() {
    let bench = Bench::new(&[]);
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let ran = bench.run(&["completion", shell]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stdout.contains("PGHA_COMPLETE"), "{ran}");
    }
}
