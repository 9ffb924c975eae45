//! Which files a change may touch.

use std::fmt;
use std::str::FromStr;

/// A pattern of paths in a repository: `*` is any text within one part, `?` one character of it, and a part `**` any number
/// of parts. `deploy/clusters/core1/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<String>);

/// A text that is no such pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern of paths is relative, has no empty part, no `..`, and `**` only as a part of its own"
)]
pub struct BadGlob;

impl FromStr for Glob {
    type Err = BadGlob;

    fn from_str(text: &str) -> Result<Self, BadGlob> {
        let is_bad = |part: &str| {
            part.is_empty() || part == "." || part == ".." || (part.contains("**") && part != "**")
        };
        let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
        if parts.iter().any(|part| is_bad(part)) {
            return Err(BadGlob);
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

impl Glob {
    /// Whether a path is one of the pattern's.
    pub fn is_of(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let is_same = |pattern: &String, part: &&str| is_part_of(pattern, part);
        matches(&self.0, &parts, |part| part == "**", is_same)
    }
}

fn is_part_of(pattern: &str, part: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let part: Vec<char> = part.chars().collect();
    let is_same = |one: &char, other: &char| *one == '?' || one == other;
    matches(&pattern, &part, |one| *one == '*', is_same)
}

/// Whether items are those of a pattern in which some stand for any number of them. As many steps as both are long, times each
/// other.
fn matches<P, T>(
    pattern: &[P],
    items: &[T],
    is_any: impl Fn(&P) -> bool,
    is_same: impl Fn(&P, &T) -> bool,
) -> bool {
    // Whether the pattern so far is of the first so many items.
    let mut fits = vec![false; items.len() + 1];
    fits[0] = true;
    for part in pattern {
        let mut next = vec![false; items.len() + 1];
        if is_any(part) {
            let first = fits.iter().position(|fits| *fits).unwrap_or(fits.len());
            next[first..].fill(true);
        } else {
            for (index, item) in items.iter().enumerate() {
                next[index + 1] = fits[index] && is_same(part, item);
            }
        }
        fits = next;
    }
    fits[items.len()]
}

/// The paths that are of none of the patterns.
pub fn outside<'p>(paths: &'p [String], globs: &[Glob]) -> Vec<&'p str> {
    let is_in = |path: &&str| globs.iter().any(|glob| glob.is_of(path));
    let paths = paths.iter().map(String::as_str);
    paths.filter(|path| !is_in(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_of(glob: &str, path: &str) -> bool {
        glob.parse::<Glob>().unwrap().is_of(path)
    }

    #[test]
    fn a_pattern_is_of_whole_parts() {
        for (glob, path) in [
            ("a/b.yaml", "a/b.yaml"),
            ("a/*.yaml", "a/b.yaml"),
            (
                "deploy/clusters/core1/**",
                "deploy/clusters/core1/pg/pg.yaml",
            ),
            ("**/pg.yaml", "pg.yaml"),
            ("**/pg.yaml", "a/b/pg.yaml"),
            ("a/**/z", "a/z"),
            ("a/**/b/**/z", "a/x/b/b/y/z"),
            ("a/?.y*", "a/é.yml"),
            ("*", "a"),
        ] {
            assert!(is_of(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("a/*.yaml", "a/b/c.yaml"),
            ("deploy/clusters/core1/**", "deploy/clusters/core10/pg.yaml"),
            (
                "deploy/clusters/core1/*",
                "deploy/clusters/core1/pg/pg.yaml",
            ),
            ("**/pg.yaml", "a/xpg.yaml"),
            ("a", "a/b"),
            ("a/b", "a"),
            ("a?", "a"),
        ] {
            assert!(!is_of(glob, path), "{glob} {path}");
        }
        let slow = format!("{}b", "*a".repeat(50));
        assert!(!is_of(&slow, &"a".repeat(5000)));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "/a", "a//b", "a/", "../a", "a/./b", "a**", "a/b**/c"] {
            assert_eq!(text.parse::<Glob>(), Err(BadGlob), "{text}");
        }
        let glob: Glob = "a/**/*.yaml".parse().unwrap();
        assert_eq!(glob.to_string(), "a/**/*.yaml");
    }

    #[test]
    fn paths_outside_are_named() {
        let globs = ["a/**", "b.yaml"].map(|glob| glob.parse().unwrap());
        let paths = ["a/x", "b.yaml", "c/b.yaml"].map(str::to_owned);
        assert_eq!(outside(&paths, &globs), ["c/b.yaml"]);
        assert_eq!(outside(&paths, &[]).len(), 3);
    }
}
