//! Asking for consent at the terminal.

use std::io::{BufRead as _, IsTerminal as _};

use pgha_model::guard::Guard;

use crate::failure::Failure;
use crate::ui::{Page, Ui};

/// Shows what would be done and asks. Without a terminal there is nobody to ask, and silence is no consent.
pub(crate) async fn ask(page: &Page, question: &str, ui: &Ui) -> Result<(), Failure> {
    let hint = "Look at the plan with --dry-run, then give --yes.";
    ask_for(page, &format!("{question} Type yes: "), "yes", hint, ui).await
}

/// The same for a command that has no --dry-run.
pub(crate) async fn ask_unplanned(page: &Page, question: &str, ui: &Ui) -> Result<(), Failure> {
    let hint = "Run it at a terminal to see what it would do, or give --yes.";
    ask_for(page, &format!("{question} Type yes: "), "yes", hint, ui).await
}

/// The same for a word that is harder to type by habit.
pub(crate) async fn ask_for(
    page: &Page,
    question: &str,
    word: &str,
    hint: &str,
    ui: &Ui,
) -> Result<(), Failure> {
    let can_ask = std::io::stdin().is_terminal() && ui.format.is_text();
    if !Guard::Consent.holds(can_ask) {
        let refused = Failure::refused("there is no terminal to ask for consent at");
        return Err(refused.hinting(hint));
    }
    ui.prompt(page, question);
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    match answer.await {
        Ok(Ok(line)) if Guard::Consent.holds(line.trim() == word) => Ok(()),
        _ => Err(Failure::refused("no consent was given")),
    }
}
