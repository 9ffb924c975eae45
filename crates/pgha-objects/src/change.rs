//! Changing the objects, one after the other.

use std::time::Duration;

use kube::api::DynamicObject;
use pgha_model::effect::Effect;
use pgha_nlb::plan::{conflict, inverse};
use pgha_nlb::state::Held;
use pgha_nlb::{Change, CutoverError, Order, Problem, Product as _, Written};

use crate::backend::{Backend, Seen, part_of};
use crate::field::Field;

const TRIED: &str = "change the routes";

/// How far a change came.
struct Progress {
    made: Vec<Change>,
    /// An answer that did not come, of a change that is there all the same.
    lost: Option<CutoverError>,
    /// `false` when an object was no longer as it was seen.
    end: Result<bool, CutoverError>,
}

impl<F: Field> Backend<F> {
    /// Changes one object; `false` when it is no longer as it was seen.
    async fn write_one(
        &self,
        number: usize,
        (changes, seen): (&[Change], &Seen),
        within: Duration,
    ) -> Result<bool, CutoverError> {
        let (object, live) = (&self.objects.all[number], &seen.details[number]);
        let mut operations = Vec::new();
        for change in changes {
            let what = part_of(object, &change.at).unwrap_or_default();
            let made = match self.find(&change.route, &change.at) {
                Some((route, _)) => route.field.operations(live, what, &change.to),
                None => Err(format!("there is no route {}", change.route)),
            };
            let unfit = |seen| object.error(TRIED, Problem::Unfit { seen }, "Plan again.");
            operations.extend(made.map_err(unfit)?);
        }
        let clusters = &self.objects.clusters;
        clusters.patch(object, operations, within).await
    }

    /// Changes every object that changes are of, in their order, up to the first that fails.
    async fn write_all(&self, changes: &[Change], seen: &Seen, within: Duration) -> Progress {
        let mut numbers = Vec::new();
        for number in changes.iter().filter_map(|change| self.number_of(change)) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        let (mut made, mut lost) = (Vec::new(), None);
        for number in numbers {
            let is_own = |change: &&Change| self.number_of(change) == Some(number);
            let own: Vec<_> = changes.iter().filter(is_own).cloned().collect();
            match self.write_one(number, (&own, seen), within).await {
                Ok(true) => {}
                Err(error) if error.effect != Effect::None && self.is_there(&own, within).await => {
                    lost = Some(error);
                }
                end => return Progress { made, lost, end },
            }
            made.extend(own);
        }
        let end = Ok(true);
        Progress { made, lost, end }
    }

    /// Whether changes whose answer did not come are there.
    async fn is_there(&self, changes: &[Change], within: Duration) -> bool {
        let now = self.look(within).await;
        now.is_ok_and(|now| changes.iter().all(|change| says(&now, change)))
    }

    /// Makes changes, one object after the other. Where one fails without saying what it left behind, those before it are taken
    /// back.
    pub(crate) async fn change(
        &self,
        order: &Order<'_, Vec<DynamicObject>>,
        within: Duration,
    ) -> Result<Written<Vec<DynamicObject>>, CutoverError> {
        let seen = order.seen;
        let Progress { made, lost, end } = self.write_all(order.changes, seen, within).await;
        if matches!(end, Ok(true)) {
            let lost = lost.map(Written::Lost);
            return Ok(lost.unwrap_or_else(|| Written::Taken(Vec::new())));
        }
        let (error, now) = match (end, self.look(within).await) {
            (Ok(_), Ok(now)) => {
                let (expected, at) = (&seen.state.fence, self.objects.at());
                (conflict(expected, &now.state.fence, TRIED, &at), now)
            }
            (Err(error), Ok(now)) => (error, now),
            (Ok(_), Err(error)) | (Err(error), Err(_)) => {
                return Err(left(error, made.is_empty()));
            }
        };
        if now.state.held(order.changes) == Held::After {
            // Somebody else has made the rest of it.
            return Ok(Written::Denied(error));
        }
        let is_undone = self.undo(&made, &now, within).await;
        Err(left(error, is_undone))
    }

    /// Takes back what was made in some of the objects, unless somebody has changed it since; whether nothing of it is left.
    pub(crate) async fn undo(&self, changes: &[Change], now: &Seen, within: Duration) -> bool {
        let made = changes.iter().filter(|change| says(now, change));
        let made: Vec<_> = made.cloned().collect();
        let undone = self.write_all(&inverse(&made), now, within).await;
        let is_seen = |change| said(now, change).is_some();
        undone.end.is_ok_and(|is_written| is_written) && changes.iter().all(is_seen)
    }
}

/// The failure of a change of which nothing else is left, or something may be. What has no answer may still take hold.
fn left(error: CutoverError, nothing_else: bool) -> CutoverError {
    if nothing_else && error.effect == Effect::None {
        return error;
    }
    error.leaving(Effect::Unknown)
}

/// What the place of a change says; `None` where that cannot be read.
fn said<'a>(now: &'a Seen, change: &Change) -> Option<&'a str> {
    let mut places = now.state.routes.iter().flat_map(|route| &route.places);
    let place = places.find(|place| place.at == change.at)?;
    Some(&place.value)
}

/// Whether a place says what a change would have it say.
fn says(now: &Seen, change: &Change) -> bool {
    said(now, change) == Some(&change.to)
}
