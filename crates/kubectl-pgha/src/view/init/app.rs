//! The application: what refers to the database by its Secrets or its hosts.

use std::collections::BTreeSet;

use pgha_core::surroundings::{PoolerPart, RECONCILE, Workload, WorkloadKind};
use pgha_model::application::ObjectName;
use pgha_model::owner::{Owner, OwnerKind, reverting};

use super::text::{Text, scalar};
use super::{Draft, MOST, Pair, leave_out, pairs, some};

/// What is written of one workload.
enum Line {
    Remark(String),
    Live(String),
    Example(String),
}

/// A step of which nothing was found.
const ANY: &str = "- scale: { object: deployment/NAME }";

/// Writes the steps, in the order in which kinds are started.
pub(super) fn write(draft: &Draft<'_>, text: &mut Text) {
    let found = pairs(draft, |one| one.pooler != PoolerPart::Whole);
    let written = found.iter().take(MOST);
    let mut lines: Vec<Line> = written.flat_map(|pair| lines(draft, pair)).collect();
    text.blank();
    text.remark(
        2,
        "What uses the database is known by the Secrets and hosts that its own template names, in this namespace alone: what gets \
         them from a ConfigMap, from elsewhere or from an operator is to be added (docs/application.md).",
    );
    if found.is_empty() {
        text.remark(
            2,
            "Nothing was found. A workload that is to run where the primary is:",
        );
        text.example(2, "app:");
        text.example(4, ANY);
        return;
    }
    text.remark(
        2,
        "The steps are taken in this order where the application enters, and in reverse order where it leaves. Which needs another \
         one first was not seen: put that one first.",
    );
    if lines.iter().all(|line| matches!(line, Line::Remark(_))) {
        lines.push(Line::Example(ANY.to_owned()));
    }
    let has_live = lines.iter().any(|line| matches!(line, Line::Live(_)));
    if has_live {
        text.live(2, "app:");
    } else {
        text.example(2, "app:");
    }
    for line in lines {
        match line {
            Line::Remark(line) => text.remark(4, &line),
            Line::Live(line) => text.live(4, &line),
            Line::Example(line) => text.example(4, &line),
        }
    }
    leave_out(found.len(), "use the database", text);
}

fn lines(draft: &Draft<'_>, pair: &Pair<'_>) -> Vec<Line> {
    let Some(any) = pair.iter().flatten().next() else {
        return Vec::new();
    };
    let object = any.object();
    let mut lines = vec![Line::Remark(format!("{object}: {}.", used_by(pair)))];
    // A name that no API server gives cannot be written.
    if object.parse::<ObjectName>().is_err() {
        lines.push(Line::Remark(
            "Its name is none that a step could have.".to_owned(),
        ));
        return lines;
    }
    match any.kind {
        WorkloadKind::Job => lines.extend(job(draft, pair, &object)),
        WorkloadKind::CronJob => lines.push(cron_job(draft, pair)),
        WorkloadKind::StatefulSet | WorkloadKind::Deployment => {
            lines.extend(workload(draft, pair, &object));
        }
    }
    lines
}

fn used_by(pair: &Pair<'_>) -> String {
    let uses: BTreeSet<&String> = pair.iter().flatten().flat_map(|one| &one.uses).collect();
    let uses: Vec<String> = uses.into_iter().cloned().collect();
    some(&uses, 3)
}

fn job(draft: &Draft<'_>, pair: &Pair<'_>, object: &str) -> Vec<Line> {
    let mut lines = vec![Line::Remark(
        "If it is to run anew at each site that is entered, and does no harm then:".to_owned(),
    )];
    if let Some((has, lacks)) = only_at(draft, pair) {
        lines.push(Line::Remark(format!(
            "Only {has} has it: entering {lacks} would wait for it."
        )));
    }
    lines.push(Line::Example(format!(
        "- job: {{ object: {}, recreate: true }}",
        scalar(object)
    )));
    lines
}

fn cron_job(draft: &Draft<'_>, pair: &Pair<'_>) -> Line {
    let sites = draft.sites.iter().zip(pair);
    let runs: Vec<&str> = sites
        .filter(|(_, one)| one.is_some_and(|one| !one.suspended))
        .map(|(site, _)| site.name())
        .collect();
    let runs = if runs.is_empty() {
        "It is suspended wherever it is".to_owned()
    } else {
        format!("It runs at {}", runs.join(" and "))
    };
    Line::Remark(format!(
        "{runs}. No step suspends a CronJob: where the standby is, a run finds a database that it can only read."
    ))
}

fn workload(draft: &Draft<'_>, pair: &Pair<'_>, object: &str) -> Vec<Line> {
    let scale = format!("- scale: {{ object: {} }}", scalar(object));
    let restart = format!("- restart: {{ object: {} }}", scalar(object));
    let doubt = |because: String, examples: Vec<String>| {
        let examples = examples.into_iter().map(Line::Example);
        std::iter::once(Line::Remark(because))
            .chain(examples)
            .collect()
    };
    let &[Some(here), Some(there)] = pair else {
        let (has, lacks) = only_at(draft, pair).unwrap_or_default();
        let because = format!(
            "Only {has} has it, or only there does it use the database: with this step no move begins before it is at {lacks} \
             too, where it need have no pods."
        );
        return doubt(because, vec![scale]);
    };
    if [here, there]
        .iter()
        .any(|one| one.pooler == PoolerPart::Beside)
    {
        let because = "A container of it is a pooler by its image or its port 6432. If it is there for this application alone, and \
                       runs where the primary is:";
        return doubt(because.to_owned(), vec![scale]);
    }
    let pods = [here, there].map(|one| one.replicas.unwrap_or_default());
    let standby = draft.primary.map(|primary| pods[1 - primary]);
    if pods.iter().all(|count| *count > 0) || standby.is_some_and(|count| count > 0) {
        let because = format!(
            "It is to have {}, so it may be meant to run at both sites. If it is to run where the primary is, `scale`; if it stays \
             and is to connect anew, `restart`:",
            said_pods(draft, pods)
        );
        return doubt(because, vec![scale, restart]);
    }
    let mut lines = vec![Line::Remark(count(draft, pods)), Line::Live(scale)];
    lines.extend(writers(draft, [here, there], object));
    lines
}

/// The site that has it and the one that lacks it.
fn only_at<'a>(draft: &Draft<'a>, pair: &Pair<'_>) -> Option<(&'a str, &'a str)> {
    let [here, there] = draft.sites.map(|site| site.survey.place.context.as_str());
    match pair {
        [Some(_), None] => Some((here, there)),
        [None, Some(_)] => Some((there, here)),
        [Some(_), Some(_)] | [None, None] => None,
    }
}

fn said_pods(draft: &Draft<'_>, pods: [u32; 2]) -> String {
    let [here, there] = draft.sites.map(|site| site.survey.place.context.as_str());
    format!("{} pods at {here} and {} at {there}", pods[0], pods[1])
}

fn count(draft: &Draft<'_>, pods: [u32; 2]) -> String {
    let seen = said_pods(draft, pods);
    if pods == [0, 0] {
        return format!("It is to have {seen}: a move starts none, unless `count` says how many.");
    }
    format!("It is to have {seen}; a move starts as many as there were.")
}

/// Who else writes it, and the annotation by which Flux is told to leave it alone.
fn writers(draft: &Draft<'_>, [here, there]: [&Workload; 2], object: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let annotate = |values: &str| {
        format!(
            "- annotate: {{ object: {}, key: {RECONCILE}, {values} }}",
            scalar(object)
        )
    };
    let says = |one: &Workload, side: &str| {
        let value = one.reconcile.as_deref();
        value.map(|value| format!("{side}: {}", scalar(value)))
    };
    if here.reconcile != there.reconcile {
        let (primary, standby) = match draft.primary {
            Some(1) => (there, here),
            Some(_) | None => (here, there),
        };
        let values: Vec<String> = [says(primary, "primary"), says(standby, "standby")]
            .into_iter()
            .flatten()
            .collect();
        let line = annotate(&values.join(", "));
        if draft.primary.is_some() {
            lines.push(Line::Remark("So it is annotated now, for Flux.".to_owned()));
            lines.push(Line::Live(line));
        } else {
            lines.push(Line::Remark(
                "It is annotated for Flux, differently at both sites; which of them is primary was not seen:".to_owned(),
            ));
            lines.push(Line::Example(line));
        }
        return lines;
    }
    let owners = || {
        [here, there]
            .into_iter()
            .flat_map(|one| reverting(&one.owners))
    };
    let is_flux = owners().any(|owner| owner.kind == OwnerKind::FluxKustomization);
    let names: BTreeSet<String> = owners().map(Owner::to_string).collect();
    for name in names.into_iter().take(4) {
        lines.push(Line::Remark(format!(
            "{name} writes it too: what that says of `replicas` comes back the next time."
        )));
    }
    if is_flux {
        lines.push(Line::Remark(
            "Flux leaves it alone where the standby is, if it is annotated so:".to_owned(),
        ));
        lines.push(Line::Example(annotate("standby: disabled")));
    }
    lines
}
