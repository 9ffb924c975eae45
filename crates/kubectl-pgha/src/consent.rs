//! Asking for consent at the terminal.

use std::io::{BufRead as _, IsTerminal as _};

use crate::failure::Failure;
use crate::ui::{Page, Ui};

/// Shows what would be done and asks. Without a terminal there is nobody to ask, and silence is no consent.
pub(crate) async fn ask(page: &Page, question: &str, ui: &Ui) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !ui.format.is_text() {
        return Err(
            Failure::refused("there is no terminal to ask for consent at")
                .hinting("Look at the plan with --dry-run, then give --yes."),
        );
    }
    ui.prompt(page, &format!("{question} Type yes: "));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    match answer.await {
        Ok(Ok(line)) if line.trim() == "yes" => Ok(()),
        _ => Err(Failure::refused("no consent was given")),
    }
}
