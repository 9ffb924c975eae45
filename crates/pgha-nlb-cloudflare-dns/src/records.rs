//! Records as the API tells them, what they say of each route, and the patches that change them.

use pgha_dns::{DnsName, Kind, Lifetimes, Record, Records, RouteSettings, Wanted};
use pgha_nlb::Route;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a lifetime of 1 stands for, `automatic`, in seconds ("Time to Live (TTL)").
const AUTOMATIC: u32 = 300;

/// What an answer is in.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) result: Vec<Stored>,
    pub(crate) result_info: ResultInfo,
}

/// How many there are of what a page shows.
#[derive(Debug, Deserialize)]
pub(crate) struct ResultInfo {
    pub(crate) total_count: usize,
}

/// One record.
#[derive(Debug, Deserialize, Serialize)]
pub struct Stored {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: String,
    ttl: u32,
    #[serde(default)]
    proxied: bool,
    modified_on: String,
}

impl Stored {
    /// Whether it is of this name.
    pub(crate) fn is_of(&self, name: &DnsName) -> bool {
        self.name.eq_ignore_ascii_case(bare(name.as_str()))
    }

    /// The record, if its type leads users; or why that cannot be told.
    fn record(&self) -> Option<Result<Record, String>> {
        let kind = Kind::of(&self.kind)?;
        let unread = || format!("It has a record of type {kind} that cannot be read.");
        Some(Record::new(kind, &self.content).ok_or_else(unread))
    }

    /// How long resolvers keep it; what is proxied they never see.
    fn lifetime(&self) -> Option<(Kind, u32)> {
        let ttl = if self.ttl == 1 { AUTOMATIC } else { self.ttl };
        (!self.proxied).then_some((Kind::of(&self.kind)?, ttl))
    }

    /// Its name, where Cloudflare answers for it with addresses of its own.
    pub(crate) fn hidden(&self) -> Option<&str> {
        let is_hidden = self.proxied && Kind::of(&self.kind).is_some();
        is_hidden.then_some(&self.name)
    }
}

/// A name, or a record's content, as the API has it.
pub(crate) fn bare(name: &str) -> &str {
    name.trim_end_matches('.')
}

/// Where a route leads.
pub(crate) fn leading(all: &[Stored], route: &RouteSettings) -> Route {
    let own = || all.iter().filter(|stored| stored.is_of(&route.record));
    let records: Result<Records, _> = own().filter_map(Stored::record).collect();
    match records {
        Ok(records) => {
            let kept: Lifetimes = own().filter_map(Stored::lifetime).collect();
            route.leading(&records, &kept)
        }
        Err(because) => Route::unknown(&route.name, because),
    }
}

/// The patches that make of the records of a name what is wanted, where there are as many of each type.
pub(crate) fn patches(all: &[Stored], name: &DnsName, wanted: &Wanted) -> Vec<Value> {
    let mut patches = Vec::new();
    for kind in Kind::ALL {
        let own = all.iter().filter(|stored| stored.is_of(name));
        let own = own.filter_map(|stored| Some((stored.record()?.ok()?, stored)));
        let mut own: Vec<_> = own.filter(|(record, _)| record.kind() == kind).collect();
        if let Some(ttl) = wanted.lifetimes.as_ref().and_then(|all| all.of(kind)) {
            let is_long = |it: &Stored| it.lifetime().is_some_and(|(_, own)| own > ttl);
            let long = own.iter().filter(|(_, it)| is_long(it));
            patches.extend(long.map(|(_, it)| json!({"id": it.id, "ttl": ttl})));
        }
        let Some(to) = &wanted.records else { continue };
        // In their order, so that a change that is taken back gives each record the content that it had.
        own.sort_by(|(one, _), (other, _)| one.cmp(other));
        let had: Records = own.iter().map(|(record, _)| record.clone()).collect();
        let new = to
            .iter()
            .filter(|it| it.kind() == kind && !had.contains(it));
        let old = own.iter().filter(|(record, _)| !to.contains(record));
        let content = |record: &Record| bare(&record.content()).to_owned();
        let both = old.zip(new);
        patches.extend(both.map(|((_, it), new)| json!({"id": it.id, "content": content(new)})));
    }
    patches
}

/// How many records of each type there are in a text of them.
pub(crate) fn shape(text: &str) -> [usize; 3] {
    let records = text.parse::<Records>().unwrap_or_default();
    let count = |kind| {
        records
            .iter()
            .filter(|record| record.kind() == kind)
            .count()
    };
    Kind::ALL.map(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: &str, kind: &str, content: &str, ttl: u32, proxied: bool) -> Stored {
        let stored = json!({
            "id": id, "name": "Login.example.org", "type": kind, "content": content, "ttl": ttl, "proxied": proxied,
            "modified_on": "2014-01-01T05:20:00.12345Z", "comment": "x", "tags": ["owner:dns"],
        });
        serde_json::from_value(stored).unwrap()
    }

    fn name() -> DnsName {
        DnsName::new("login.example.org").unwrap()
    }

    /// The patches to the records of a text, and those back from it.
    fn to(all: &[Stored], text: &str) -> Vec<Value> {
        let wanted = Wanted {
            records: Some(text.parse().unwrap()),
            lifetimes: None,
        };
        patches(all, &name(), &wanted)
    }

    #[test]
    fn each_record_gets_its_former_content_back() {
        let before = [
            stored("1", "A", "192.0.2.22", 60, false),
            stored("2", "A", "192.0.2.21", 60, false),
            stored("3", "A", "192.0.2.9", 60, false),
            stored("4", "AAAA", "2001:db8::2", 60, false),
            stored("5", "TXT", "x", 60, false),
        ];
        let there = to(
            &before,
            "A 192.0.2.9; A 192.0.2.11; A 192.0.2.12; AAAA 2001:db8::1",
        );
        let patch = |id: &str, content: &str| json!({"id": id, "content": content});
        let a = [
            patch("2", "192.0.2.11"),
            patch("1", "192.0.2.12"),
            patch("4", "2001:db8::1"),
        ];
        assert_eq!(there, a);
        let after = [
            stored("1", "A", "192.0.2.12", 60, false),
            stored("2", "A", "192.0.2.11", 60, false),
            stored("3", "A", "192.0.2.9", 60, false),
            stored("4", "AAAA", "2001:db8::1", 60, false),
        ];
        let back = to(
            &after,
            "A 192.0.2.9; A 192.0.2.21; A 192.0.2.22; AAAA 2001:db8::2",
        );
        let a = [
            patch("2", "192.0.2.21"),
            patch("1", "192.0.2.22"),
            patch("4", "2001:db8::2"),
        ];
        assert_eq!(back, a);
    }

    #[test]
    fn a_name_has_no_dot_at_its_end_there() {
        let alias = [stored("1", "CNAME", "lb.core2.example", 1, true)];
        let patch = json!({"id": "1", "content": "lb.core1.example"});
        assert_eq!(to(&alias, "CNAME lb.core1.example."), [patch]);
    }

    #[test]
    fn lifetimes_are_lowered_where_resolvers_keep_them() {
        let all = [
            stored("1", "A", "192.0.2.21", 1, false),
            stored("2", "A", "192.0.2.22", 60, false),
            stored("3", "AAAA", "2001:db8::2", 1, true),
        ];
        assert_eq!(all[0].lifetime(), Some((Kind::A, AUTOMATIC)));
        assert_eq!(all[2].lifetime(), None);
        let wanted = Wanted {
            records: None,
            lifetimes: Some("A 60; AAAA 60".into()),
        };
        let lowered = patches(&all, &name(), &wanted);
        assert_eq!(lowered, [json!({"id": "1", "ttl": 60})]);
    }

    #[test]
    fn a_shape_counts_each_type() {
        assert_eq!(shape("A 192.0.2.1; A 192.0.2.2; AAAA ::1"), [2, 1, 0]);
        assert_eq!(shape("CNAME x."), [0, 0, 1]);
    }
}
