//! Changing the objects, one after the other.

use std::time::Duration;

use kube::api::DynamicObject;
use pgha_model::effect::Effect;
use pgha_nlb::plan::{conflict, inverse};
use pgha_nlb::state::Held;
use pgha_nlb::{Change, CutoverError, Order, Problem, Product, Written};

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
    async fn write_one(
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
                    field.operations(&seen.details[number], what, &change.to)
                },
            );
            let unfit = |seen| object.error(TRIED, Problem::Unfit { seen }, "Plan again.");
            operations.extend(made.map_err(unfit)?);
        }
        self.clusters.patch(object, operations, within).await
    }

    /// Changes every object that changes are of, up to the first that fails. Returns the changes that were made, and `false`
    /// when an object was no longer as it was seen.
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
            match self.write_one(number, (&own, seen), within).await {
                Ok(true) => made.extend(own),
                failed => return (made, failed),
            }
        }
        (made, Ok(true))
    }

    /// Makes changes, one object after the other.
    pub(crate) async fn change(
        &self,
        order: &Order<'_, Vec<DynamicObject>>,
        within: Duration,
    ) -> Result<Written<Vec<DynamicObject>>, CutoverError> {
        let (changes, seen) = (order.changes, order.seen);
        let (made, written) = self.write_all(changes, seen, within).await;
        let error = match written {
            Ok(true) => return Ok(Written::Taken(Vec::new())),
            Ok(false) => {
                let now = self.look(within).await?.state.fence;
                let at = Product::at(self);
                return Ok(Written::Denied(conflict(
                    &seen.state.fence,
                    &now,
                    TRIED,
                    &at,
                )));
            }
            Err(error) if error.effect == Effect::None => return Ok(Written::Denied(error)),
            Err(error) => error,
        };
        let Ok(now) = self.look(within).await else {
            return Err(error.leaving(Effect::Unknown));
        };
        if now.state.held(changes) == Held::After {
            return Ok(Written::Lost(error));
        }
        self.undo(&made, &now, within).await;
        // What has no answer may still take hold.
        Err(error.leaving(Effect::Unknown))
    }

    /// Takes back what was made in some of the objects, unless somebody has changed it since; whether nothing of it is left.
    pub(crate) async fn undo(&self, changes: &[Change], now: &Seen, within: Duration) -> bool {
        let says = |at: &str, text: &str| {
            let mut places = now.state.routes.iter().flat_map(|route| &route.places);
            places.any(|place| place.at == at && place.value == text)
        };
        let made: Vec<_> = changes
            .iter()
            .filter(|change| says(&change.at, &change.to))
            .cloned()
            .collect();
        let (_, written) = self.write_all(&inverse(&made), now, within).await;
        written.is_ok_and(|is_written| is_written)
    }
}
