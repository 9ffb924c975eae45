//! What is wrong with a service's file, and where in it.

use std::fmt::Display;

use pgha_core::diagnose::sanitised;
use serde_saphyr::Location;

/// As clap has it for its own arguments.
const ALIKE: f64 = 0.7;

/// A mistake, behind the line and the column where it is.
pub(super) fn at(place: Location, because: impl Display) -> String {
    format!("line {} column {}: {because}", place.line(), place.column())
}

/// What the parser says: line, column and reason, which come first; the lines after them show the file, which the person has.
pub(super) fn said(error: &serde_saphyr::Error) -> String {
    let error = error.to_string();
    let first = error.trim_start().lines().next().unwrap_or_default();
    let reason = first.strip_prefix("error: ").unwrap_or(first);
    let reason = sanitised(reason);
    match meant(&reason) {
        Some(name) => format!("{reason}; did you mean `{name}`?"),
        None => reason,
    }
}

/// The expected name that is most like the unknown one, as serde words it: ``unknown field `a`, expected one of `b`, `c` ``.
fn meant(reason: &str) -> Option<&str> {
    let (_, unknown) = reason
        .split_once("unknown field `")
        .or_else(|| reason.split_once("unknown variant `"))?;
    let (unknown, expected) = unknown.split_once("`, expected ")?;
    let expected = expected.strip_prefix("one of ").unwrap_or(expected);
    let names = expected
        .split([',', ' '])
        .map(|name| name.trim_matches('`'));
    let likeness = |name: &str| strsim::jaro(unknown, name);
    let best = names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) > ALIKE).then_some(best)
}
