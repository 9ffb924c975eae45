//! `cargo xtask guards`: each guard taken away in turn, and whether its test misses it.
//!
//! The guards are the product's own list. The tests are built once, with the feature that lets a guard be taken away; what
//! is taken away is told by the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use pgha_model::guard::{self, Entry, Target, Test};
use serde_json::Value;

use crate::lab;
use crate::part::say;

/// Names the guard that is taken away.
const VARIABLE: &str = "PGHA_TEST_WITHOUT_GUARD";

/// How many guards are tried at the same time.
const AT_ONCE: usize = 2;

/// The test binaries, by package and target.
type Binaries = BTreeMap<(String, String), PathBuf>;

/// What became of a guard that was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Its test failed.
    Missed,
    /// Its test passed: nothing would miss it.
    Survived,
    /// Its test says nothing: it is not there, or fails anyway.
    Useless(&'static str),
}

/// What is known of the tests with every guard in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// Nothing: each is run to see.
    Unknown,
    /// They have just passed, all of them.
    Passed,
}

/// Takes each guard away; errs when a test did not miss it.
pub(crate) fn run(whole: Whole) -> Result<()> {
    let binaries = build()?;
    let guards = guard::all();
    let verdicts = judge_all(&guards, &binaries, whole)?;
    let width = guards.iter().map(|guard| guard.id.len()).max();
    let width = width.unwrap_or_default();
    for (guard, verdict) in guards.iter().zip(&verdicts) {
        let Test { package, name, .. } = guard.missed_by;
        say(&format!(
            "{:width$}  {:8}  {package} {name}",
            guard.id,
            word(verdict)
        ));
    }
    let missed = verdicts.iter().filter(|one| **one == Verdict::Missed);
    let missed = missed.count();
    say(&format!("{missed} of {} guards are missed", guards.len()));
    ensure!(
        missed == guards.len(),
        "some guard can go without a test failing"
    );
    Ok(())
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Missed => "missed",
        Verdict::Survived => "SURVIVED",
        Verdict::Useless(why) => why,
    }
}

/// Every verdict, in the order of the guards.
fn judge_all(guards: &[Entry], binaries: &Binaries, whole: Whole) -> Result<Vec<Verdict>> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(guard) = guards.get(index) else {
                    return Ok(());
                };
                let verdict = judge(guard, binaries, whole)?;
                let mut found = found.lock().map_err(|_| poisoned())?;
                found.insert(index, verdict);
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| poisoned())??;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let found = found.into_inner().map_err(|_| poisoned())?;
    Ok(found.into_values().collect())
}

fn poisoned() -> anyhow::Error {
    anyhow::anyhow!("a thread that tried a guard has panicked")
}

fn judge(guard: &Entry, binaries: &Binaries, whole: Whole) -> Result<Verdict> {
    let test = guard.missed_by;
    let whole = match whole {
        Whole::Unknown => run_test(test, binaries, None)?,
        Whole::Passed => Ended::Passed,
    };
    let lacking = run_test(test, binaries, Some(guard.id))?;
    Ok(verdict(whole, lacking))
}

/// From how the test ended with the guard and without it.
const fn verdict(whole: Ended, lacking: Ended) -> Verdict {
    match (whole, lacking) {
        (Ended::Absent, _) | (_, Ended::Absent) => Verdict::Useless("NO TEST"),
        (Ended::Failed, _) => Verdict::Useless("BROKEN"),
        (Ended::Passed, Ended::Failed) => Verdict::Missed,
        (Ended::Passed, Ended::Passed) => Verdict::Survived,
    }
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Passed,
    Failed,
    Absent,
}

fn run_test(test: Test, binaries: &Binaries, without: Option<&str>) -> Result<Ended> {
    let target = match test.target {
        Target::Library => "lib",
        Target::Tests(name) => name,
    };
    let key = (test.package.to_owned(), target.to_owned());
    let binary = binaries.get(&key);
    let binary = binary.with_context(|| format!("{} has no tests {target}", test.package))?;
    let folder = lab::workspace().join("crates").join(test.package);
    let mut command = Command::new(binary);
    command
        .args(["--exact", test.name])
        .current_dir(folder)
        .env_remove(VARIABLE)
        .envs(without.map(|guard| (VARIABLE, guard)))
        // A snapshot that differs is to fail, and to leave nothing behind.
        .env("INSTA_UPDATE", "no")
        .stdin(Stdio::null());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(ended(&said, output.status.success()))
}

/// A binary that runs no test has succeeded too.
fn ended(said: &str, succeeded: bool) -> Ended {
    if !said.contains("running 1 test") {
        Ended::Absent
    } else if succeeded {
        Ended::Passed
    } else {
        Ended::Failed
    }
}

/// Builds the tests, as `cargo xtask test` does: there it is built already.
fn build() -> Result<Binaries> {
    let mut command = crate::test::built("test");
    command
        .args(["--no-run", "--quiet", "--message-format", "json"])
        .stderr(Stdio::inherit());
    let output = command.output().context("run cargo test --no-run")?;
    if !output.status.success() {
        bail!("the tests were not built: {}", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(binary_of).collect())
}

/// What a line of cargo says of a test binary (Cargo reference, "External tools", JSON messages).
fn binary_of(line: &str) -> Option<((String, String), PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_test = message["profile"]["test"].as_bool()?;
    let binary = message["executable"].as_str().filter(|_| is_test)?;
    let kind = message["target"]["kind"][0].as_str()?;
    let target = match kind {
        "test" => message["target"]["name"].as_str()?,
        kind => kind,
    };
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let package = manifest.parent()?.file_name()?.to_str()?;
    Some(((package.to_owned(), target.to_owned()), binary.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_that_passes_with_the_guard_and_fails_without_it_misses_it() {
        use Ended::{Absent, Failed, Passed};
        assert_eq!(verdict(Passed, Failed), Verdict::Missed);
        assert_eq!(verdict(Passed, Passed), Verdict::Survived);
        assert_eq!(verdict(Failed, Failed), Verdict::Useless("BROKEN"));
        assert_eq!(verdict(Absent, Absent), Verdict::Useless("NO TEST"));
        assert_eq!(verdict(Passed, Absent), Verdict::Useless("NO TEST"));
    }

    #[test]
    fn a_name_that_no_test_has_is_not_taken_for_a_pass() {
        assert_eq!(ended("\nrunning 0 tests\n", true), Ended::Absent);
        assert_eq!(ended("\nrunning 1 test\n", true), Ended::Passed);
        assert_eq!(ended("\nrunning 1 test\n", false), Ended::Failed);
    }

    #[test]
    fn a_test_binary_is_known_by_its_package_and_its_target() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/x/pgha-core/Cargo.toml",
            "target":{"kind":["test"],"name":"wire"},"profile":{"test":true},"executable":"/t/wire-1"}"#;
        let ((package, target), binary) = binary_of(line).unwrap();
        assert_eq!((&*package, &*target), ("pgha-core", "wire"));
        assert_eq!(binary, PathBuf::from("/t/wire-1"));
        assert_eq!(binary_of(&line.replace("true", "false")), None);
    }
}
