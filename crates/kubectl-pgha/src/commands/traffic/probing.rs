//! Asking as new users do.

use std::time::Duration;

use futures::future::join_all;
use pgha_nlb::probe::Answer;
use pgha_nlb::{Sample, SiteName};

use crate::service::Routed;
use crate::view::traffic::Asked;

/// One new user on every probe, all at the same time.
pub(super) async fn ask_once(probes: &[Routed], within: Duration) -> Vec<Asked> {
    let asked = probes
        .iter()
        .map(|(route, probe)| async { (route.clone(), probe.sample(within).await) });
    join_all(asked).await
}

/// Whether this many new users in a row are answered by the site on every probe; otherwise what was seen instead.
pub(super) async fn all_answered_by(
    probes: &[Routed],
    site: &SiteName,
    samples: u32,
    within: Duration,
) -> Result<(), String> {
    for _ in 0..samples {
        let asked = ask_once(probes, within).await;
        let other = asked
            .iter()
            .find(|(_, sample)| sample.answer.site() != Some(site));
        if let Some((route, sample)) = other {
            return Err(format!(
                "{} on route {route}: {}",
                sample.asked,
                said(sample)
            ));
        }
    }
    Ok(())
}

/// Who answered, in words.
fn said(sample: &Sample) -> String {
    match &sample.answer {
        Answer::Site { site, how } => format!("answered by {site}. {how}"),
        Answer::Unrecognised { seen } | Answer::Contradiction { seen } => seen.clone(),
        Answer::Failed { because } => because.clone(),
    }
}
