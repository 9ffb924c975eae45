//! The Debian mirror that apt uses on this machine.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The Debian release of the images.
pub(super) const RELEASE: &str = "bookworm";

/// One line of `sources.list(5)` without its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uri: String,
    pub(super) suite: String,
}

/// The machine's sources for the release (its updates and security too), the release's own first.
///
/// # Errors
/// apt has none for the release.
pub(super) fn sources() -> Result<Vec<Source>> {
    let mut found = Vec::new();
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(entries) = fs::read_dir(folder) {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => found.extend(one_line(&text)),
            Some("sources") => found.extend(deb822(&text)),
            _ => {}
        }
    }
    found.retain(|source| {
        source.suite == RELEASE || source.suite.starts_with(&format!("{RELEASE}-"))
    });
    let main = found
        .iter()
        .position(|source| source.suite == RELEASE)
        .with_context(|| format!("apt's sources name no mirror for Debian {RELEASE}"))?;
    found.swap(0, main);
    Ok(found)
}

fn one_line(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else {
            continue;
        };
        let rest = match rest.trim_start().strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let mut words = rest.split_whitespace();
        if let (Some(uri), Some(suite), true) = (
            words.next(),
            words.next(),
            words.clone().any(|word| word == "main"),
        ) {
            found.push(Source {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
            });
        }
    }
    found
}

fn deb822(text: &str) -> Vec<Source> {
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut found = Vec::new();
    for stanza in without_comments.join("\n").split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .unwrap_or("")
                .split_whitespace()
        };
        let is_wanted = field("Types").any(|word| word == "deb")
            && field("Components").any(|word| word == "main")
            && field("Enabled").all(|word| word != "no");
        if is_wanted {
            for suite in field("Suites") {
                found.extend(field("URIs").map(|uri| Source {
                    uri: uri.to_owned(),
                    suite: suite.to_owned(),
                }));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suite: &str) -> Source {
        Source {
            uri: uri.to_owned(),
            suite: suite.to_owned(),
        }
    }

    #[test]
    fn a_line_with_options_is_read_and_others_left_out() {
        let text = "# deb http://m/old x main\n\
                    deb [arch=amd64 signed-by=/k] http://m/debian bookworm main contrib\n\
                    deb-src http://m/debian bookworm main\n\
                    deb http://m/other bookworm non-free\n";
        assert_eq!(one_line(text), [source("http://m/debian", "bookworm")]);
    }

    #[test]
    fn a_stanza_gives_a_source_for_each_suite() {
        let text = "Types: deb\n# a comment\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\n\nTypes: deb\nURIs: http://m/off\nSuites: bookworm\n\
                    Components: main\nEnabled: no\n";
        assert_eq!(
            deb822(text),
            [
                source("http://m/debian", "bookworm"),
                source("http://m/debian", "bookworm-updates")
            ]
        );
    }
}
