//! A backup on request: what happens, and what it has become.

use std::time::Duration;

use pgha_core::backup::BackupEvent;
use pgha_core::patch::ObjectPatch;
use pgha_model::backup::{BackupPlan, StoredBackup, Verification};
use pgha_model::finding::Finding;
use pgha_model::observed::Observed;
use pgha_model::site::Place;
use serde::Serialize;

use super::{API_VERSION, Known, PlaceView};
use crate::ui::{Detail, Page, Span, Style, Table, View, bytes, instant, period};

/// A request, and the backup that it led to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupView {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    place: PlaceView,
    id: String,
    repo: String,
    options: Vec<String>,
    job: Option<String>,
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<Known<StoredBackup>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Known<Verification>>,
}

impl BackupView {
    /// A request that the operator has taken up.
    pub(crate) fn requested(place: &Place, id: &str, plan: &BackupPlan) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Backup",
            place: place.into(),
            id: id.to_owned(),
            repo: plan.repo.clone(),
            options: plan.options.clone(),
            job: None,
            completed_at: None,
            backup: None,
            verification: None,
        }
    }

    /// The same, when it has ended well.
    pub(crate) fn completed(
        self,
        job: Option<String>,
        completed_at: String,
        backup: &Observed<StoredBackup>,
        verification: Option<&Observed<Verification>>,
    ) -> Self {
        Self {
            job,
            completed_at: Some(completed_at),
            backup: Some(Known::of(backup, Clone::clone)),
            verification: verification.map(|found| Known::of(found, Clone::clone)),
            ..self
        }
    }

    /// Why the backup is not to be relied on although the operator calls it a success.
    pub(crate) fn complaint(&self) -> Option<String> {
        if let Some(Known::Seen(backup)) = &self.backup
            && backup.page_error == Some(true)
        {
            return Some(format!(
                "backup {} holds pages whose checksum is wrong",
                backup.label
            ));
        }
        match &self.verification {
            Some(Known::Seen(found)) if !found.is_good() => {
                Some("the backup does not verify".to_owned())
            }
            Some(Known::Unseen { unseen }) => {
                Some(format!("the backup could not be verified: {unseen}"))
            }
            Some(Known::Seen(_)) | None => None,
        }
    }

    /// What pgBackRest calls it, where it was seen.
    pub(crate) fn label(&self) -> Option<&str> {
        match &self.backup {
            Some(Known::Seen(backup)) => Some(&backup.label),
            Some(Known::Unseen { .. }) | None => None,
        }
    }

    /// The id of the request.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What proves that it is there, as full sentences.
    pub(crate) fn evidence(&self) -> String {
        let repo = &self.repo;
        let ended = self.completed_at.as_deref().unwrap_or_default();
        let there = match &self.backup {
            Some(Known::Seen(backup)) => format!(
                "pgBackRest has the {} backup {} in {repo}, with {}; the request {} ended well at {ended}.",
                backup.kind,
                backup.label,
                size(backup),
                self.id
            ),
            Some(Known::Unseen { unseen }) => format!(
                "The request {} into {repo} ended well at {ended}; what pgBackRest has of it was not seen: {unseen}.",
                self.id
            ),
            None => format!("The request {} was taken up.", self.id),
        };
        match &self.verification {
            Some(Known::Seen(found)) => format!(
                "{there} It was read back: {}, {} of {} files.",
                found.status, found.valid_files, found.files
            ),
            Some(Known::Unseen { .. }) | None => there,
        }
    }

    /// The repository that it is in.
    pub(crate) fn repo(&self) -> &str {
        &self.repo
    }

    fn rows(&self, detail: Detail) -> Vec<(&'static str, Span)> {
        let mut rows = vec![("repository", Span::plain(&self.repo))];
        match &self.backup {
            None => rows.push(("request", Span::plain(&self.id))),
            Some(Known::Unseen { unseen }) => {
                rows.push(("request", Span::plain(&self.id)));
                let text = format!("not seen: {unseen}");
                rows.push(("label", Span::new(text, Style::Warning)));
            }
            Some(Known::Seen(backup)) => rows.extend(stored_rows(backup)),
        }
        if let Some(verification) = &self.verification {
            rows.push(("verified", verification_span(verification)));
        }
        if detail == Detail::Wide {
            rows.push(("options", Span::plain(self.options.join(" "))));
            let text = |text: &Option<String>| Span::plain(text.as_deref().unwrap_or_default());
            rows.push(("job", text(&self.job)));
            rows.push(("completed", text(&self.completed_at)));
        }
        rows
    }
}

fn size(backup: &StoredBackup) -> String {
    let size = format!("{} of database", bytes(backup.size_bytes));
    match backup.repo_delta_bytes {
        Some(stored) => format!("{size}, {} in the repository", bytes(stored)),
        None => size,
    }
}

fn stored_rows(backup: &StoredBackup) -> Vec<(&'static str, Span)> {
    let took = (backup.stopped_at - backup.started_at).get_seconds();
    let mut rows = vec![
        ("label", Span::new(&backup.label, Style::Good)),
        ("type", Span::plain(&backup.kind)),
        ("size", Span::plain(size(backup))),
        (
            "time",
            Span::plain(format!("{}, took {took} s", instant(backup.started_at))),
        ),
    ];
    if backup.page_error == Some(true) {
        rows.push(("pages", Span::new("wrong checksums", Style::Bad)));
    }
    rows
}

fn verification_span(verification: &Known<Verification>) -> Span {
    match verification {
        Known::Unseen { unseen } => Span::new(format!("not seen: {unseen}"), Style::Warning),
        Known::Seen(found) => {
            let mut text = format!(
                "{}: {} of {} files",
                found.status, found.valid_files, found.files
            );
            for problem in &found.wal_problems {
                text = format!("{text}; {problem}");
            }
            let style = if found.is_good() {
                Style::Good
            } else {
                Style::Bad
            };
            Span::new(text, style)
        }
    }
}

impl View for BackupView {
    fn page(&self, detail: Detail) -> Page {
        let mut page = Page::default();
        let mut table = Table::new(vec!["BACKUP", ""]);
        for (name, value) in self.rows(detail) {
            table.row([Span::new(name, Style::Strong), value]);
        }
        page.table(table);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![match &self.backup {
            Some(Known::Seen(backup)) => backup.label.clone(),
            Some(Known::Unseen { .. }) | None => self.id.clone(),
        }]
    }
}

/// The backup before a move, as a part of its plan.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupBeforeView<'a> {
    #[serde(flatten)]
    pub(crate) plan: &'a BackupPlan,
    pub(crate) timeout_seconds: u64,
    pub(crate) verify: bool,
    pub(crate) patch: &'a ObjectPatch,
}

impl BackupBeforeView<'_> {
    /// What a person consents to.
    pub(crate) fn add_to(&self, place: &Place, page: &mut Page) {
        let read_back = if self.verify { ", and read back" } else { "" };
        page.line([Span::plain(format!(
            "Before anything of the move is written, a full backup of {place} is made into {}{read_back}: within {}, or nothing is \
             moved.",
            self.plan.repo,
            period(Duration::from_secs(self.timeout_seconds))
        ))]);
    }

    /// The patch that asks for it.
    pub(crate) fn add_patch(&self, page: &mut Page) {
        let ObjectPatch { kind, name, .. } = self.patch;
        page.line([
            Span::new("backup", Style::Strong),
            Span::plain(format!(", source: patch {kind} {name}")),
        ]);
        for operation in self.patch.operations.iter() {
            let text = serde_json::to_string(operation).unwrap_or_default();
            page.line([Span::plain("  "), Span::plain(text)]);
        }
    }
}

/// The line that a person sees of something that happened.
pub(crate) fn event_line(event: &BackupEvent<'_>) -> Vec<Span> {
    match event {
        BackupEvent::Job(job) => vec![Span::dim(format!("The Job {job} makes the backup."))],
        BackupEvent::Log { pod, line } => vec![Span::dim(format!("{pod}: ")), Span::plain(line)],
        BackupEvent::NoLog(why) => vec![
            Span::new("warning: ", Style::Warning),
            Span::plain(format!(
                "the log cannot be shown, and the backup goes on: {why}"
            )),
        ],
        BackupEvent::Retried => vec![Span::dim(
            "The pod met a configuration that was still on its way; the Job tries again.",
        )],
    }
}

/// Why no backup was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupRefusalView<'a> {
    api_version: &'static str,
    kind: &'static str,
    findings: &'a [Finding],
}

impl<'a> BackupRefusalView<'a> {
    pub(crate) fn new(findings: &'a [Finding]) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "BackupRefusal",
            findings,
        }
    }
}

impl View for BackupRefusalView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        for finding in self.findings {
            page.line([
                Span::new("FAIL", Style::Bad),
                Span::plain(format!(" {}: {}", finding.check, finding.seen)),
            ]);
            page.line([Span::plain("     "), Span::dim(&finding.advice)]);
        }
        page
    }

    fn names(&self) -> Vec<String> {
        let checks = self.findings.iter().map(|finding| finding.check.to_owned());
        checks.collect()
    }
}
