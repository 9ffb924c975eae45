//! What a person sees of the figures.

use pgha_judge::bench::{By, Spread, TrafficFile, TrafficRun, spread};

use super::{cutover, pooler, token};
use crate::part::say;

/// Shows them, each beside what it is compared with.
pub(super) fn show(file: &TrafficFile) {
    say("what             by       runs  median ms   p95 ms  errors");
    let of = |what, by| line(file, what, by);
    if let (Some(pgha), Some(bare)) = (of(cutover::WHAT, By::Pgha), of(cutover::WHAT, By::Bare)) {
        note(&format!(
            "pgha by bare (one line on HAProxy's socket): {:.2}",
            pgha / bare
        ));
    }
    let [pgha, version, keys, empty] =
        [By::Pgha, By::Version, By::Keys, By::Empty].map(|by| of(token::WHAT, by));
    if let (Some(pgha), Some(version)) = (pgha, version) {
        note(&format!(
            "pgha by version (its --version): {:.2}, {:.1} ms more; it keeps no keys, so two requests to the issuer are in it",
            pgha / version,
            pgha - version
        ));
    }
    if let (Some(keys), Some(empty)) = (keys, empty) {
        note(&format!(
            "keys (the same check with the issuer's keys at hand) by empty: {:.2}, {:.1} ms more (goal: at most 5)",
            keys / empty,
            keys - empty
        ));
    }
    if of(pooler::WHAT, By::Pgha).is_some()
        && let Some((median, worst)) = ratios(&file.runs)
    {
        note(&format!(
            "longest wait by write gap: median {median:.2}, worst {worst:.2} (goal: at most 2, and no errors)"
        ));
    }
}

/// Says the figures of one kind, and returns their median; `None` when there are none.
fn line(file: &TrafficFile, what: &str, by: By) -> Option<f64> {
    let wanted = |run: &&TrafficRun| run.what == what && run.by == by;
    let runs: Vec<_> = file.runs.iter().filter(wanted).collect();
    let times: Vec<f64> = runs.iter().map(|run| run.ms).collect();
    let Spread { median, p95 } = spread(&times)?;
    let errors: u64 = runs.iter().map(|run| run.errors).sum();
    let by = format!("{by:?}").to_lowercase();
    let count = runs.len();
    say(&format!(
        "{what:<16} {by:<8} {count:>4}  {median:>9.1} {p95:>8.1} {errors:>7}"
    ));
    Some(median)
}

/// The middle and the worst of the waits by the write gaps of their moves.
fn ratios(runs: &[TrafficRun]) -> Option<(f64, f64)> {
    let ratios: Vec<f64> = runs.iter().filter_map(|run| run.ratio_to_gap).collect();
    let worst = ratios.iter().copied().max_by(f64::total_cmp)?;
    Some((spread(&ratios)?.median, worst))
}

fn note(text: &str) {
    say(&format!("                 {text}"));
}
