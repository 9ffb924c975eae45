//! The draft of a service's file: what was found goes in, and text that the file's own reader takes comes out.
//!
//! A line that counts says what was seen at the sites. Whatever could not be known is a remark, or an example whose lines begin
//! with `#` and no blank.

mod app;
mod text;
mod traffic;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use pgha_core::surroundings::{Surroundings, Workload};
use pgha_model::owner::reverting;
use pgha_model::survey::SiteSurvey;

use self::text::{Text, scalar};
use super::API_VERSION;

/// How many of one kind of thing are written down; who has more writes a file by other means.
const MOST: usize = 100;

/// What was seen at one site, whose name in the file is its context's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) survey: &'a SiteSurvey,
    pub(crate) around: &'a Surroundings,
}

/// What a file is drafted from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    /// Both sites, as they were named.
    pub(crate) sites: [Found<'a>; 2],
    /// Which of both is the only primary; `None` where that was not seen.
    pub(crate) primary: Option<usize>,
}

impl Found<'_> {
    fn name(&self) -> &str {
        &self.survey.place.context
    }
}

impl<'a> Draft<'a> {
    /// The file.
    pub(crate) fn text(&self) -> String {
        let mut text = Text::default();
        self.head(&mut text);
        self.sites(&mut text);
        app::write(self, &mut text);
        traffic::poolers(self, &mut text);
        traffic::write(self, &mut text);
        text.into_string()
    }

    /// What could not be looked at, a clause each.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &'a str> {
        let sites = self.sites.into_iter();
        sites.flat_map(|site| site.around.unread.iter().map(String::as_str))
    }

    fn cluster(&self) -> &'a str {
        &self.sites[0].survey.place.cluster
    }

    fn head(&self, text: &mut Text) {
        let name = service_name(self.cluster());
        text.remark(
            0,
            "Drafted by `kubectl pgha init` from what both sites say. A line that begins with `#` and a blank explains; one with \
             `#` alone is an example: take the `#` away, and fill in what is in CAPITALS.",
        );
        text.remark(
            0,
            "`kubectl pgha lint FILE` checks the form, and `kubectl pgha validate SERVICE -f FILE --to SITE` whether a move by it \
             could be made.",
        );
        for unread in self.unread() {
            text.remark(
                0,
                &format!("Could not be looked at, and may have more to name: {unread}."),
            );
        }
        text.live(0, &format!("apiVersion: {API_VERSION}"));
        text.live(0, "kind: Service");
        text.live(0, &format!("metadata: {{ name: {} }}", scalar(&name)));
        text.live(0, "spec:");
    }

    fn sites(&self, text: &mut Text) {
        match self.primary {
            Some(index) => {
                let primary = self.sites[index].name();
                text.remark(
                    2,
                    &format!(
                        "{primary} was primary when this was written, which the file need not say."
                    ),
                );
            }
            None => text.remark(
                2,
                "Which site is primary was not seen: see `kubectl pgha status -f FILE`.",
            ),
        }
        for site in self.sites {
            let name = site.name();
            if site.survey.system_identifier().is_none() {
                text.remark(
                    2,
                    &format!(
                        "{name} did not say its system identifier: whether both are sides of one service was not seen, and \
                         `validate` tells."
                    ),
                );
            }
            for owner in reverting(&site.survey.object.owners) {
                text.remark(
                    2,
                    &format!(
                        "At {name} the cluster's object is written by {owner} too, which may put back what a move changes: hold \
                         it, have the same in its source, and see `--allow-managed`."
                    ),
                );
            }
        }
        text.live(2, "sites:");
        for site in self.sites {
            let place = &site.survey.place;
            let [name, namespace, cluster] =
                [&place.context, &place.namespace, &place.cluster].map(|it| scalar(it));
            text.live(
                4,
                &format!("- {{ name: {name}, context: {name}, namespace: {namespace}, cluster: {cluster} }}"),
            );
        }
        self.services(text);
    }

    /// Programs need them, and the file does not.
    fn services(&self, text: &mut Text) {
        let services = self.sites.iter().flat_map(|site| &site.around.services);
        let mut names: Vec<String> = services
            .map(|service| format!("{}:{}", service.name, service.port))
            .collect();
        names.sort();
        names.dedup();
        if !names.is_empty() {
            let names = names.join(", ");
            text.remark(2, &format!("Programs reach the primary by {names}."));
        }
    }
}

/// A workload at both sites, by its kind and name.
type Pair<'a> = [Option<&'a Workload>; 2];

/// The workloads that one of both sites has and that are of interest, each with what it is at either.
fn pairs<'a>(draft: &Draft<'a>, is_wanted: impl Fn(&Workload) -> bool) -> Vec<Pair<'a>> {
    let mut pairs: BTreeMap<_, Pair<'a>> = BTreeMap::new();
    for (index, site) in draft.sites.into_iter().enumerate() {
        for one in &site.around.workloads {
            pairs.entry((one.kind, one.name.as_str())).or_default()[index] = Some(one);
        }
    }
    let is_wanted = |pair: &Pair<'_>| pair.iter().flatten().any(|one| is_wanted(one));
    pairs.into_values().filter(is_wanted).collect()
}

/// A service's name: small letters, digits and `-`, at most 63 of them.
fn service_name(cluster: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name: String = cluster
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(63)
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "service" } else { name }.to_owned()
}

/// Tells of what is not written down.
fn leave_out(all: usize, what: &str, text: &mut Text) {
    let left = all.saturating_sub(MOST);
    if left > 0 {
        text.remark(4, &format!("{left} more {what}, and are left out here."));
    }
}

/// `a, b and 3 more`.
fn some(all: &[String], most: usize) -> String {
    let shown = all.get(..most).unwrap_or(all).join(", ");
    match all.len().saturating_sub(most) {
        0 => shown,
        left => format!("{shown} and {left} more"),
    }
}
