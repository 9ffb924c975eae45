//! Git, where it leads: a commit, and whoever applies it to the operator's object.

use std::io;

use pgha_core::engine::{Declare, GitFailure};
use pgha_model::site::Part;
use serde_json::json;

use crate::fault::Git;
use crate::server::{Held, Shared, Tool};
use crate::site::{CLUSTER, NAMESPACE};
use crate::time::pass;

/// Commits what each of these sites is to be, and has it applied.
pub(crate) fn declare<'a>(
    shared: &'a Shared,
    tool: &'a Tool,
    sides: (usize, usize),
) -> Option<Declare<'a>> {
    let git = shared.world().faults.git?;
    Some(Box::new(move |part, _| {
        let site = match part {
            Part::Source => sides.0,
            Part::Target => sides.1,
        };
        Box::pin(commit(shared, tool, git, (part, site)))
    }))
}

async fn commit(
    shared: &Shared,
    tool: &Tool,
    git: Git,
    (part, site): (Part, usize),
) -> Result<String, GitFailure> {
    let takes = shared.world().rng.between(50, 900);
    pass(takes).await;
    if git.refuses == Some(part) {
        return Err(io::Error::other("Git takes nothing").into());
    }
    if !git.is_ignored && *tool.held.borrow() != Held::Dead {
        apply(shared, part, site);
    }
    Ok(format!("Git says what the {part} is to be."))
}

/// As Flux and Argo CD do: they test nothing, and know no epoch.
fn apply(shared: &Shared, part: Part, site: usize) {
    let now = shared.now();
    let mut world = shared.world();
    let site = &mut world.sites[site];
    let is_standby = part == Part::Source;
    site.cluster
        .change("postgresclusters", NAMESPACE, CLUSTER, |object| {
            object["spec"]["standby"]["enabled"] = json!(is_standby);
        });
    site.take_over(now, 0);
}
