//! Changing the objects, and telling by what they say afterwards how that ended.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::plan::{conflict, inverse};
use pgha_nlb::state::Held;
use pgha_nlb::{Change, CutoverError, Did, Problem, Receipt};

use crate::backend::{Kubernetes, Seen};

const TRIED: &str = "change the routes";

impl Kubernetes {
    /// The changes that are of one object.
    fn of_object(&self, number: usize, changes: &[Change]) -> Vec<Change> {
        let begin = format!("{}: ", self.objects[number].label());
        let own = changes
            .iter()
            .filter(|change| change.at.starts_with(&begin));
        own.cloned().collect()
    }

    /// Changes one object; `false` when it is no longer as it was seen.
    async fn write(
        &self,
        number: usize,
        (changes, seen): (&[Change], &Seen),
        within: Duration,
    ) -> Result<bool, CutoverError> {
        let object = &self.objects[number];
        let mut operations = Vec::new();
        for change in changes {
            let mut routes = self.routes.iter();
            let route = routes.find(|route| route.settings.name == change.route);
            let what = change.at.rsplit_once(": ").map_or("", |(_, what)| what);
            let made = route.map_or_else(
                || Err(format!("there is no route {}", change.route)),
                |route| {
                    let field = &route.settings.field;
                    field.operations(&seen.objects[number], what, &change.to)
                },
            );
            let unfit = |seen| object.error(TRIED, Problem::Unfit { seen }, "Plan again.");
            operations.extend(made.map_err(unfit)?);
        }
        self.clusters.patch(object, operations, within).await
    }

    /// Changes every object that changes are of, up to the first that fails; the changes that were made, and whether there was
    /// none that was no longer as it was seen.
    async fn write_all(
        &self,
        changes: &[Change],
        seen: &Seen,
        within: Duration,
    ) -> (Vec<Change>, Result<bool, CutoverError>) {
        let mut made = Vec::new();
        for number in 0..self.objects.len() {
            let own = self.of_object(number, changes);
            if own.is_empty() {
                continue;
            }
            match self.write(number, (&own, seen), within).await {
                Ok(true) => made.extend(own),
                failed => return (made, failed),
            }
        }
        (made, Ok(true))
    }

    /// Makes changes, and says by what the objects say afterwards how that ended.
    pub(crate) async fn change(
        &self,
        changes: &[Change],
        seen: &Seen,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let (made, written) = self.write_all(changes, seen, within).await;
        let sent = match &written {
            Ok(_) => Effect::None,
            Err(error) => error.effect,
        };
        let after = match self.look(within).await {
            Ok(after) => after,
            Err(error) => {
                let left = if made.is_empty() {
                    sent
                } else {
                    Effect::Unknown
                };
                return Err(written.err().unwrap_or(error).leaving(left));
            }
        };
        let error = match (after.state.held(changes), written) {
            (Held::After, written) => {
                let is_ours = !made.is_empty() || written.is_err();
                let did = if is_ours { Did::Change } else { Did::Nothing };
                let mut receipt = self.receipt(did, changes, &after.state);
                let lost = "An answer was lost; the objects were looked at afterwards.";
                receipt
                    .evidence
                    .extend(written.is_err().then(|| lost.to_owned()));
                return Ok(receipt);
            }
            (_, Ok(true)) => {
                let seen = "it took the change and does not show it: somebody else writes too";
                let (seen, next) = (seen.to_owned(), "Look at the objects before anything else.");
                let unfit = CutoverError::new(TRIED, self.at(), Problem::Unfit { seen }, next);
                return Err(unfit.leaving(Effect::Unknown));
            }
            (_, Ok(false)) => conflict(&seen.state.fence, &after.state.fence, TRIED, &self.at()),
            (_, Err(error)) => error,
        };
        let is_undone = self.undo(&made, &after, within).await;
        Err(error.leaving(if is_undone { sent } else { Effect::Unknown }))
    }

    /// Takes back what was made in some of the objects, unless somebody has changed it since; whether nothing of it is left.
    async fn undo(&self, made: &[Change], after: &Seen, within: Duration) -> bool {
        let places = || after.state.routes.iter().flat_map(|route| &route.places);
        let is_there = |change: &Change| {
            places().any(|place| place.at == change.at && place.value == change.to)
        };
        if !made.iter().all(is_there) {
            return false;
        }
        let (_, written) = self.write_all(&inverse(made), after, within).await;
        written.is_ok_and(|is_written| is_written)
    }
}
