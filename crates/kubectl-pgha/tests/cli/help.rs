//! The help, the version, and the reference that is made of them.

use std::path::Path;

use crate::bench::Bench;

#[test]
fn the_version_needs_no_kubeconfig() {
    let bench = Bench::with_kubeconfig(b"\tnot yaml");
    let ran = bench.run(&["--version"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(
        ran.stdout,
        format!("kubectl-pgha {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help_calls_the_plugin_as_people_do() {
    let bench = Bench::new(&[]);
    let (asked, short, bare) = (
        bench.run(&["--help"]),
        bench.run(&["leader", "-h"]),
        bench.run(&[]),
    );
    assert_eq!(
        (asked.code, short.code, bare.code),
        (Some(0), Some(0), Some(2))
    );
    assert!(
        asked.stdout.contains("Usage: kubectl pgha <COMMAND>"),
        "{asked}"
    );
    assert!(
        short.stdout.contains("Usage: kubectl pgha leader"),
        "{short}"
    );
    // Without arguments the help is what went wrong, so it is no result.
    assert_eq!(
        (bare.stdout.as_str(), bare.stderr.as_str()),
        ("", asked.stdout.as_str())
    );
}

#[test]
fn the_reference_is_what_the_help_says() {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let now = reference();
    if std::fs::read_to_string(&stored).ok().as_deref() == Some(&now) {
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli.md");
    std::fs::write(&fresh, now).unwrap();
    panic!(
        "docs/cli.md is stale; mend it with: cp {} docs/cli.md",
        fresh.display()
    );
}

/// Every command's long help, as one page.
fn reference() -> String {
    let mut page = String::from(
        "# The command line\n\n\
         Made from the help by a test of the crate `kubectl-pgha`, which fails when this page is stale.\n",
    );
    let mut plugin = kubectl_pgha::command().term_width(100);
    plugin.build();
    let top = plugin.clone().render_long_help().to_string();
    section(&mut page, "kubectl pgha", &top);
    for command in plugin.get_subcommands_mut() {
        if !command.is_hide_set() {
            let title = format!("kubectl pgha {}", command.get_name());
            let help = command.render_long_help().to_string();
            section(&mut page, &title, &help);
            for below in command.get_subcommands_mut() {
                let title = format!("{title} {}", below.get_name());
                section(&mut page, &title, &below.render_long_help().to_string());
            }
        }
    }
    page
}

fn section(page: &mut String, title: &str, help: &str) {
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = lines.join("\n");
    page.extend([
        "\n## `",
        title,
        "`\n\n```text\n",
        help.trim_end(),
        "\n```\n",
    ]);
}
