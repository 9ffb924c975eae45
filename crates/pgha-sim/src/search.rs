//! Many schedules on all cores, and what is told of them.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::matrix;
use crate::page;
use crate::pair::Pair;
use crate::schedule::{self, Verdict};

/// Seeds that are told with their trace.
const TOLD: usize = 3;

struct Asked {
    seeds: u64,
    first: u64,
    ignores_tests: bool,
    shows_trace: bool,
    /// The page that is made of the matrix, and whether it is written or compared.
    page: Option<(String, bool)>,
    /// A pair, a fault of the matrix, by its place, and the number of a write.
    strike: Option<(Pair, usize, u64)>,
}

pub(crate) fn main() -> ExitCode {
    let Some(asked) = read(std::env::args().skip(1)) else {
        say(
            "usage: pgha-sim [--seeds N] [--seed S] [--ignore-tests] [--trace] [--page FILE [--write]] [--strike PAIR-FAULT-WRITE]",
        );
        return ExitCode::from(2);
    };
    if let Some((file, writes)) = &asked.page {
        return make_page(file, *writes);
    }
    if let Some((pair, place, write)) = asked.strike {
        return strike(pair, place, write);
    }
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let moved = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= asked.seeds {
                        return;
                    }
                    let seed = asked.first + number;
                    let verdict = schedule::run(seed, asked.ignores_tests);
                    moved.fetch_add(u64::from(verdict.moved), Ordering::Relaxed);
                    if !verdict.violations.is_empty() || asked.shows_trace {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((seed, verdict));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    conclude(
        &asked,
        failed,
        moved.into_inner(),
        began.elapsed().as_secs_f64(),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with one digit")]
fn conclude(asked: &Asked, mut failed: Vec<(u64, Verdict)>, moved: u64, seconds: f64) -> ExitCode {
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, verdict) in failed.iter().take(TOLD) {
        tell(*seed, verdict);
    }
    failed.retain(|(_, verdict)| !verdict.violations.is_empty());
    for (seed, verdict) in failed.iter().skip(TOLD) {
        say(&format!(
            "seed {seed}: {}",
            verdict.violations.first().map_or("", String::as_str)
        ));
    }
    let rate = asked.seeds as f64 / seconds;
    say(&format!(
        "{} schedules from seed {}, {} failed, {moved} moved; {rate:.1} a second",
        asked.seeds,
        asked.first,
        failed.len()
    ));
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Makes the page of what is tested; compared with the file, it must be the same.
fn make_page(file: &str, writes: bool) -> ExitCode {
    let (text, wrong) = page::make();
    for line in &wrong {
        say(line);
    }
    let stored = std::fs::read_to_string(file).unwrap_or_default();
    if writes && let Err(error) = std::fs::write(file, &text) {
        say(&format!("{file} cannot be written: {error}"));
        return ExitCode::FAILURE;
    }
    let is_stale = !writes && stored != text;
    if is_stale {
        say(&format!("{file} is stale: cargo xtask sim --page --write"));
    }
    say(&format!(
        "{file}: {} rows, {} wrong",
        text.lines().filter(|line| line.starts_with("| ")).count(),
        wrong.len()
    ));
    if is_stale || !wrong.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// One schedule of the matrix, with what happened.
fn strike(pair: Pair, place: usize, write: u64) -> ExitCode {
    let Some(verdict) = matrix::again(pair, place, write) else {
        say("there is no such fault");
        return ExitCode::from(2);
    };
    tell(1, &verdict);
    if verdict.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(seed: u64, verdict: &Verdict) {
    let pair = verdict.pair.name();
    say(&format!("seed {seed}: {pair}, {:?}", verdict.faults));
    for line in verdict.trace.iter().chain(&verdict.violations) {
        say(line);
    }
}

fn read(mut words: impl Iterator<Item = String>) -> Option<Asked> {
    let mut asked = Asked {
        seeds: 1,
        first: 1,
        ignores_tests: false,
        shows_trace: false,
        page: None,
        strike: None,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => asked.seeds = words.next()?.parse().ok()?,
            "--seed" => asked.first = words.next()?.parse().ok()?,
            "--ignore-tests" => asked.ignores_tests = true,
            "--trace" => asked.shows_trace = true,
            "--page" => asked.page = Some((words.next()?, false)),
            "--write" => asked.page.as_mut()?.1 = true,
            "--strike" => {
                let text = words.next()?;
                let mut words = text.splitn(3, '-');
                let pair = Pair::by_name(words.next()?)?;
                let (place, write) = (words.next()?, words.next()?);
                asked.strike = Some((pair, place.parse().ok()?, write.parse().ok()?));
            }
            _ => return None,
        }
    }
    Some(asked)
}

#[expect(clippy::print_stdout, reason = "the result of the program")]
fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use pgha_model::site::Part;

    use crate::fault::{Faults, Git, Trouble};
    use crate::pair::Pair;
    use crate::schedule::{self, First};

    const PLAIN: Pair = Pair::ALL[0];

    /// Longer than another tool needs to take over.
    const LATE: u64 = 10_000;

    /// Enough for a look; `cargo xtask sim` runs many.
    #[test]
    fn a_few_schedules_end_well() {
        for seed in 1..=8 {
            let verdict = schedule::run(seed, false);
            assert_eq!(
                verdict.violations, [""; 0],
                "seed {seed}: {:?}",
                verdict.faults
            );
        }
    }

    /// Nobody fills a segment of the log there: whoever takes over ends one, or a side that is fed by the archive follows at
    /// `archive_timeout`, or never.
    #[test]
    fn whoever_takes_a_move_of_a_quiet_database_over_comes_to_its_end() {
        for pair in Pair::ALL {
            for write in 9..=54 {
                let faults = Faults {
                    is_quiet: true,
                    ..with(write, Trouble::KillAfter)
                };
                let verdict = schedule::run_with(pair, 1, faults);
                let pair = pair.name();
                assert_eq!(verdict.violations, [""; 0], "{pair}, write {write}");
                assert!(verdict.moved, "{pair}, write {write}");
            }
        }
    }

    fn with(write: u64, trouble: Trouble) -> Faults {
        Faults {
            at: vec![(write, trouble)],
            ..Faults::default()
        }
    }

    /// A tool that wakes up beside another does harm where patches rest on nothing.
    #[test]
    fn a_world_without_the_tests_of_patches_is_found_out() {
        let mut writes = 1..=schedule::writes(PLAIN);
        assert!(writes.any(|write| {
            let faults = Faults {
                ignores_tests: true,
                ..with(write, Trouble::Freeze(LATE))
            };
            !schedule::run_with(PLAIN, 1, faults).violations.is_empty()
        }));
    }

    /// The first tool stood still while it stamped its epoch, and took back on its way out what another had done since.
    #[test]
    fn a_claim_that_fails_half_way_takes_nothing_back_of_a_later_move() {
        let hold = schedule::run_with(PLAIN, 1, Faults::default()).write_of("Hold");
        for write in 1..hold.unwrap() {
            let verdict = schedule::run_with(PLAIN, 1, with(write, Trouble::Freeze(LATE)));
            assert_eq!(verdict.violations, [""; 0], "write {write}");
        }
    }

    /// A Job takes a move over that died between the fence and the promotion.
    #[test]
    fn a_job_goes_back_from_a_fence() {
        let proof = schedule::run_with(PLAIN, 1, Faults::default()).write_of("Prove");
        let faults = Faults {
            aborts: true,
            job_after: Some(LATE),
            ..with(proof.unwrap(), Trouble::KillBefore)
        };
        let verdict = schedule::run_with(PLAIN, 1, faults);
        assert_eq!(verdict.violations, [""; 0]);
        assert!(!verdict.moved);
        let told = |line: &String| line.contains("on a new timeline") && line.contains("Promote");
        assert!(verdict.trace.iter().any(told), "{:?}", verdict.trace);
    }

    /// The source's Postgres crashed while its Patroni was paused, the tool died before it had told anything to stop, and the
    /// Job waited for a primary that nobody started.
    #[test]
    fn a_job_starts_a_source_that_has_crashed_while_patroni_was_paused() {
        let pair = Pair::by_name("archive/3.3").unwrap();
        let quiet = schedule::run_with(pair, 1, Faults::default());
        let fence = quiet.write_of("Fence").unwrap();
        let told = |line: &&String| line.ends_with("of the tool to core1: PATCH db");
        let writes = quiet
            .trace
            .iter()
            .filter(told)
            .filter_map(|line| schedule::write_in(line));
        let told = writes.into_iter().find(|write| *write > fence).unwrap();
        let faults = Faults {
            at: vec![(fence, Trouble::Crash(0)), (told, Trouble::KillBefore)],
            aborts: true,
            job_after: Some(LATE),
            ..Faults::default()
        };
        let verdict = schedule::run_with(pair, 1, faults);
        assert_eq!(verdict.violations, [""; 0]);
        assert!(!verdict.moved);
    }

    fn through(git: Git) -> schedule::Verdict {
        let faults = Faults {
            git: Some(git),
            ..Faults::default()
        };
        let verdict = schedule::run_with(PLAIN, 1, faults);
        assert_eq!(verdict.violations, [""; 0], "{git:?}");
        verdict
    }

    /// Postgres is told nothing of a commit before its time, whoever has applied it.
    #[test]
    fn git_leads_and_is_followed_whether_it_is_applied_or_not() {
        for is_ignored in [false, true] {
            let verdict = through(Git {
                is_ignored,
                ..Git::default()
            });
            let at = |text: &str| verdict.trace.iter().position(|line| line.contains(text));
            let source = at("Git says what the source is").unwrap();
            let target = at("Git says what the target is").unwrap();
            assert!(verdict.moved);
            assert!(source < at("Settled { step: Fence").unwrap());
            assert!(at("Settled { step: Prove").unwrap() < target);
        }
    }

    #[test]
    fn what_git_does_not_take_is_taken_back() {
        for refuses in [Part::Source, Part::Target] {
            let verdict = through(Git {
                refuses: Some(refuses),
                ..Git::default()
            });
            assert_eq!(
                (verdict.first, verdict.moved),
                (First::Back, false),
                "{refuses}"
            );
        }
    }

    #[test]
    fn a_schedule_is_the_same_again() {
        // Deadlines are told by the wall clock, which is not simulated.
        let timeless = |line: &String| line.split(" had until ").next().map(str::to_owned);
        let again = || {
            let trace = schedule::run(5, false).trace;
            trace.iter().map(timeless).collect::<Vec<_>>()
        };
        assert_eq!(again(), again());
    }
}
