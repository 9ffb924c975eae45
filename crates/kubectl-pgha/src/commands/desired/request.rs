//! Waiting for a person who merges.

use std::time::Duration;

use pgha_core::clock;
use pgha_core::settle::{Look, Settlement, await_until};
use pgha_desired::{Change, Desired, Request};
use pgha_model::effect::Effect;
use pgha_model::site::Part;

use super::{Names, note};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::ui::Ui;

/// Pause between two looks at a branch.
const LOOK: Duration = Duration::from_secs(5);

/// So many looks one after the other find a branch gone before it is taken for closed: hosts remove a merged one, and may do it
/// before each of their machines knows of the merge.
const GONE: usize = 3;

/// Removes what earlier moves of the service have proposed and nobody has merged: whoever merged it now would have Git say what was
/// true then.
///
/// # Errors
/// The remote does not answer, or does not remove it.
pub(super) async fn withdraw_earlier(
    desired: &Desired,
    names: &Names,
    operation: &str,
    ui: &Ui,
) -> Result<(), Failure> {
    let proposals = desired.proposals().await;
    for proposal in proposals.map_err(|error| Failure::from(&error))? {
        if !names.is_one(&proposal.operation) || proposal.operation == operation {
            continue;
        }
        let withdrawn = desired.withdraw(&proposal).await;
        withdrawn.map_err(|error| Failure::from(&error))?;
        let branch = &proposal.branch;
        note(
            format!(
                "The branch {branch} of an earlier move is withdrawn: it must not be merged any more."
            ),
            ui,
        );
    }
    Ok(())
}

/// Waits until a part's request is merged, and returns the commit that the branch is at then.
///
/// # Errors
/// Nobody has merged it in that time, it was closed, or whoever waited has given up: it stays as it is.
pub(super) async fn merged(
    change: &Change<'_>,
    (part, operation): (Part, &str),
    branch: &str,
    within: Duration,
    ui: &Ui,
) -> Result<String, Failure> {
    let mut told = String::new();
    let mut gone = 0;
    let waited = await_until(clock::monotonic() + within, LOOK, async || {
        let because = match change.request(part, operation).await {
            Ok(Request::Merged { commit }) => {
                return Ok::<_, Failure>(Look::Settled(Some(commit)));
            }
            Ok(Request::Closed) if gone + 1 >= GONE => return Ok(Look::Settled(None)),
            Ok(Request::Closed) => {
                gone += 1;
                format!("the branch {branch} is gone, and not merged")
            }
            Ok(Request::Open) => {
                gone = 0;
                format!("nobody has merged the branch {branch}")
            }
            Err(error) => error.to_string(),
        };
        if because != told {
            ui.note(&format!("Waiting: {because}."));
            told.clone_from(&because);
        }
        Ok(Look::NotYet(because))
    });
    let given_up = |text: String| {
        let hint = "Its owners stay held. Merge it, and run the same `kubectl pgha release` or this command again: it is found by \
                    its name. A branch that is gone is proposed anew.";
        Failure::stopped(Exit::Stopped, text, Effect::Applied).hinting(hint)
    };
    match unless_interrupted(waited).await {
        Err(_interrupted) => Err(given_up(format!(
            "interrupted while the branch {branch} waited to be merged"
        ))),
        Ok(Settlement::Settled(Some(commit))) => Ok(commit),
        Ok(Settlement::Settled(None)) => Err(given_up(format!(
            "the branch {branch} is gone, and nobody has merged it"
        ))),
        Ok(Settlement::TimedOut { last_seen }) => {
            let text = format!(
                "the branch {branch} was not merged in {} s",
                within.as_secs()
            );
            Err(given_up(text).because(last_seen.into_iter().collect()))
        }
    }
}
