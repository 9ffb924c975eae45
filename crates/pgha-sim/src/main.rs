//! `pgha-sim --seeds N [--seed S] [--ignore-tests]`, `--page FILE [--write]` or `--strike PAIR-FAULT-WRITE`: moves in a simulated
//! world, each with the faults of its seed or with one of the matrix.
//!
//! The real client, core and engine run here under paused time. The two API servers, operators, Patronis, servers and the
//! repository around them are simulated, and an auditor looks at that world alone. `cargo xtask sim` builds it with
//! optimisations and debug assertions, which it needs.

#[cfg(debug_assertions)]
mod exec;
#[cfg(debug_assertions)]
mod fault;
mod git;
#[cfg(debug_assertions)]
mod matrix;
#[cfg(debug_assertions)]
mod page;
#[cfg(debug_assertions)]
mod pair;
#[cfg(debug_assertions)]
mod patroni;
#[cfg(all(test, debug_assertions))]
mod rivals;
#[cfg(debug_assertions)]
mod rng;
#[cfg(debug_assertions)]
mod schedule;
#[cfg(debug_assertions)]
mod script;
#[cfg(debug_assertions)]
mod search;
#[cfg(debug_assertions)]
mod server;
#[cfg(debug_assertions)]
mod site;
#[cfg(debug_assertions)]
mod sql;
#[cfg(debug_assertions)]
mod stream;
#[cfg(debug_assertions)]
mod time;
#[cfg(debug_assertions)]
mod tool;
#[cfg(debug_assertions)]
mod wal;
#[cfg(debug_assertions)]
mod world;

use std::process::ExitCode;

#[cfg(debug_assertions)]
fn main() -> ExitCode {
    search::main()
}

/// What stands for containers is not in a build without debug assertions.
#[cfg(not(debug_assertions))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
