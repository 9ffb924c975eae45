//! How long resolvers remember the records of a name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pgha_nlb::state::Place;
use pgha_nlb::{Active, BackendId, Change, Finding, Order, Preparation, Route, RouteState};

use crate::name::DnsName;
use crate::records::Kind;

/// How the place of a name's lifetimes begins. No name has a space in it.
const PLACE: &str = "TTL of ";

/// Users wait as long as a lifetime for a move; over this it is worth a warning, in seconds.
const LONG: u32 = 60;

/// The lifetime (TTL) of each type of record of a name, in seconds, with one text: `A 300; AAAA 600`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes(BTreeMap<Kind, u32>);

impl Lifetimes {
    /// Of one type.
    pub fn of(&self, kind: Kind) -> Option<u32> {
        self.0.get(&kind).copied()
    }

    /// The longest of all, in seconds.
    pub fn longest(&self) -> u32 {
        self.0.values().copied().max().unwrap_or_default()
    }

    /// The same, none longer than this, in seconds.
    #[must_use]
    pub fn at_most(&self, ttl: u32) -> Self {
        let each = self.0.iter();
        each.map(|(kind, own)| (*kind, ttl.min(*own))).collect()
    }

    /// The place where a backend tells them.
    pub fn place(&self, name: &DnsName) -> Place {
        Place {
            at: place_of(name),
            value: self.to_string(),
        }
    }
}

/// Of several of one type the longest counts.
impl FromIterator<(Kind, u32)> for Lifetimes {
    fn from_iter<T: IntoIterator<Item = (Kind, u32)>>(each: T) -> Self {
        let mut all = BTreeMap::new();
        for (kind, ttl) in each {
            let longest = all.entry(kind).or_insert(ttl);
            *longest = ttl.max(*longest);
        }
        Self(all)
    }
}

impl fmt::Display for Lifetimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.0.iter().map(|(k, ttl)| format!("{k} {ttl}")).collect();
        f.write_str(&each.join("; "))
    }
}

/// Reads the text; what is none in it is left out.
impl From<&str> for Lifetimes {
    fn from(text: &str) -> Self {
        let one = |part: &str| {
            let (kind, ttl) = part.split_once(' ')?;
            Some((Kind::of(kind)?, ttl.parse().ok()?))
        };
        text.split("; ").filter_map(one).collect()
    }
}

/// The place of a name's lifetimes.
pub(crate) fn place_of(name: &(impl fmt::Display + ?Sized)) -> String {
    format!("{PLACE}{name}")
}

/// Whether a place tells lifetimes, and not where a name leads.
pub(crate) fn is_place(at: &str) -> bool {
    at.starts_with(PLACE)
}

/// Each place of lifetimes, with its route.
fn told<'a>(
    routes: impl Iterator<Item = &'a Route>,
) -> impl Iterator<Item = (&'a Route, &'a Place, Lifetimes)> {
    let places = routes.flat_map(|route| route.places.iter().map(move |place| (route, place)));
    places
        .filter(|(_, place)| is_place(&place.at))
        .map(|(route, place)| (route, place, Lifetimes::from(place.value.as_str())))
}

/// The change of a name's lifetimes that goes with a change of its records, when each becomes this, in seconds.
pub fn change_with(change: &Change, seen: &RouteState, wanted: &Lifetimes) -> Option<Change> {
    let (at, to) = (place_of(&change.at), wanted.to_string());
    let mut all = told(seen.routes.iter());
    let (_, place, _) = all.find(|(_, place, _)| place.at == at && place.value != to)?;
    Some(Change {
        route: change.route.clone(),
        at,
        from: place.value.clone(),
        to,
    })
}

/// What lowers the lifetimes of routes that lead to a site to `ttl` seconds.
pub fn preparation(id: &BackendId, at: &str, seen: &RouteState, ttl: u32) -> Preparation {
    let leading = |route: &&Route| matches!(route.active, Active::Site(_));
    let long = told(seen.routes.iter().filter(leading));
    let long: Vec<_> = long.filter(|(_, _, own)| own.longest() > ttl).collect();
    let changes = long.iter().map(|(route, place, own)| Change {
        route: route.name.clone(),
        at: place.at.clone(),
        from: place.value.clone(),
        to: own.at_most(ttl).to_string(),
    });
    let remembered = long.iter().map(|(_, _, own)| own.longest()).max();
    let remembered = Duration::from_secs(remembered.unwrap_or_default().into());
    Preparation::of_changes(id, at, seen.fence.clone(), changes.collect(), remembered)
}

/// Whether users who looked a name up wait long for a move. `written` is the lifetime that a move writes, 0 when it keeps them.
pub fn finding(id: &BackendId, check: &str, seen: &RouteState, written: u32) -> Finding {
    let long = told(seen.routes.iter())
        .map(|(_, place, own)| (own.longest(), place.at.as_str()))
        .chain([(written, "`ttl` in the service's file")])
        .max()
        .filter(|(seconds, _)| *seconds > LONG);
    let Some((seconds, at)) = long else {
        return Finding::pass(id, check);
    };
    let seen = format!("{at} is {seconds} s: so long may users go to the former site.");
    let advice = "Run `kubectl pgha traffic prepare` as long as that before you move: it lowers it to `ttl`.";
    Finding::warn(id, check, &seen, advice)
}

/// For how long resolvers may still give what was changed, as a full sentence.
pub fn remembered<D>(order: &Order<'_, D>) -> String {
    let is_changed = |route: &&Route| order.changes.iter().any(|it| it.route == route.name);
    let longest = told(order.seen.state.routes.iter().filter(is_changed))
        .map(|(_, _, own)| own.longest())
        .max();
    let seconds = longest.unwrap_or_default();
    format!("Resolvers may give the old records for up to {seconds} s.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_one_text_and_are_lowered_by_type() {
        let all = [(Kind::Aaaa, 20), (Kind::A, 30), (Kind::A, 300)];
        let all: Lifetimes = all.into_iter().collect();
        assert_eq!(all.to_string(), "A 300; AAAA 20");
        assert_eq!(Lifetimes::from("A 300; AAAA 20"), all);
        assert_eq!((all.longest(), all.of(Kind::Cname)), (300, None));
        assert_eq!(all.at_most(30).to_string(), "A 30; AAAA 20");
        assert_eq!(Lifetimes::from("no; A x"), Lifetimes::default());
    }
}
