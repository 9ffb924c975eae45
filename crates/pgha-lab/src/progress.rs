//! Shows each part's progress and the time it took: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where the parts of one command are shown: stderr.
#[derive(Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
}

impl Progress {
    /// Bars when stderr is a terminal, else a line for each part that ends.
    pub fn to_stderr() -> Self {
        Self {
            bars: std::io::stderr().is_terminal().then(MultiProgress::new),
        }
    }

    /// Runs one part and shows how long it took.
    ///
    /// # Errors
    /// What `run` returns, under the part's name.
    pub fn part<T>(&self, name: &str, run: impl FnOnce(&Part) -> Result<T>) -> Result<T> {
        let bar = match &self.bars {
            Some(bars) => bars.add(ProgressBar::no_length()),
            None => ProgressBar::hidden(),
        };
        bar.set_style(spinner());
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        let started = Instant::now();
        let part = Part { bar };
        let result = run(&part);
        part.bar.finish_and_clear();
        let outcome = if result.is_ok() { "" } else { " FAILED" };
        let message = part.bar.message();
        let took = started.elapsed().as_secs_f64();
        self.line(&format!(
            "{took:7.1} s  {name}{outcome}{}{message}",
            gap(&message)
        ));
        result.with_context(|| name.to_owned())
    }

    /// Shows one line above the bars.
    pub fn line(&self, text: &str) {
        // Nobody reading the progress is no reason to stop the work.
        drop(match &self.bars {
            Some(bars) => bars.println(text),
            None => writeln!(std::io::stderr(), "{text}"),
        });
    }
}

/// One part while it runs.
#[derive(Debug)]
pub struct Part {
    bar: ProgressBar,
}

impl Part {
    /// Says what the part does now; the last note stays on its line.
    pub fn note(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// Turns the spinner into a bar of `steps`.
    pub fn expect(&self, steps: u64) {
        self.bar.set_length(steps);
        self.bar.set_style(bar());
    }

    /// One of the expected steps is done.
    pub fn advance(&self) {
        self.bar.inc(1);
    }
}

fn gap(message: &str) -> &'static str {
    if message.is_empty() { "" } else { ": " }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{elapsed:>9}  {spinner} {prefix} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar() -> ProgressStyle {
    ProgressStyle::with_template("{elapsed:>9}  {prefix} [{bar:30}] {pos}/{len} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
