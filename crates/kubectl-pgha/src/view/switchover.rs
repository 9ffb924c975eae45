//! A move: its plan, what happens, and how it ended.

use std::time::Duration;

use pgha_core::engine::{DeadlineJob, PlannedPatch};
use pgha_desired::Planned;
use pgha_model::event::{Event, Outcome};
use pgha_model::finding::Finding;
use pgha_model::plan::{Feed, Plan, Step};
use pgha_model::site::Part;
use serde::Serialize;

use super::API_VERSION;
use super::application::UsersView;
use super::backup::BackupBeforeView;
use super::desired::DesiredView;
use crate::service::Git;
use crate::ui::{Detail, Page, Span, Style, Table, View};

/// A plan as it would be carried out now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    plan: &'a Plan,
    patches: &'a [PlannedPatch],
    /// Who goes back to the source if the tool dies; `None` for nobody.
    deadline_job: Option<DeadlineView<'a>>,
    /// What is made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<BackupBeforeView<'a>>,
    /// What the move of the application and of the users will change.
    #[serde(flatten)]
    users: UsersView<'a>,
    /// What is committed with the move.
    #[serde(skip_serializing_if = "Option::is_none")]
    commits: Option<DesiredView<'a>>,
    /// When that is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<Git>,
}

/// The Job that a move leaves at its source.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadlineView<'a> {
    image: &'a str,
    service_account: &'a str,
    /// How long the record of the move may stay as it is.
    after_seconds: u64,
}

impl<'a> PlanView<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        patches: &'a [PlannedPatch],
        job: Option<&'a DeadlineJob>,
        patience: Duration,
        users: UsersView<'a>,
    ) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "SwitchoverPlan",
            users,
            commits: None,
            backup: None,
            git: None,
            plan,
            patches,
            deadline_job: job.map(|job| DeadlineView {
                image: &job.image,
                service_account: &job.account,
                after_seconds: patience.as_secs(),
            }),
        }
    }

    /// The same, with the backup that is made before.
    pub(crate) fn after(self, backup: Option<BackupBeforeView<'a>>) -> Self {
        Self { backup, ..self }
    }

    /// The same, with what is committed, and when.
    pub(crate) fn committing(self, planned: Option<&'a (Git, Planned)>) -> Self {
        let commits = planned.map(|(_, planned)| DesiredView::new(planned));
        let git = planned.map(|(git, _)| *git);
        Self {
            commits,
            git,
            ..self
        }
    }

    /// Who goes back if the tool dies, as a full sentence.
    fn deadline(&self) -> String {
        let source = &self.plan.source;
        match &self.deadline_job {
            Some(job) => format!(
                "If this command dies, a Job of {} at {source} goes back to it after {} s.",
                job.image, job.after_seconds
            ),
            None => "If this command dies between fence and promotion, nobody takes writes until `resume` or `abort` is run: \
                     there is no --deadline-image."
                .to_owned(),
        }
    }

    /// What a person consents to: the sides and the steps.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        let fed = match plan.feed {
            Feed::Archive => "from the repository",
            Feed::Streaming => "by streaming",
        };
        page.line([
            Span::plain("Move "),
            Span::new(&plan.source.cluster, Style::Strong),
            Span::plain(format!(
                " from {} to {}; the target is fed {fed}.",
                plan.source, plan.target
            )),
        ]);
        page.blank();
        add_steps(&mut page, &plan.steps, Step::purpose);
        page.line([Span::plain(self.deadline())]);
        if let Some(backup) = &self.backup {
            backup.add_to(&plan.source, &mut page);
        }
        add_warnings(&mut page, &plan.warnings);
        self.users.add_to(&mut page);
        if let Some(commits) = &self.commits {
            commits.add_to(Detail::Usual, &mut page);
            let when = match self.git {
                Some(Git::Leads) => {
                    "The first is pushed and applied before the source is fenced, the second once the source is proved fenced."
                }
                Some(Git::Follows) | None => {
                    "Both are pushed once the move is proved, the standby's first."
                }
            };
            page.line([Span::plain(when)]);
        }
        page
    }
}

impl View for PlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let last = "During the preparation the target's wal_retrieve_retry_interval is set to 200ms as well; everything \
                    is put back afterwards. Nothing was changed.";
        let mut page = self.summary();
        if let Some(backup) = &self.backup {
            page.blank();
            backup.add_patch(&mut page);
        }
        plan_page(page, self.patches, last)
    }

    fn names(&self) -> Vec<String> {
        step_names(&self.plan.steps)
    }
}

/// The steps of a plan, with what each does.
pub(super) fn add_steps(page: &mut Page, steps: &[Step], purpose: impl Fn(Step) -> &'static str) {
    let mut table = Table::new(vec!["STEP", "WHAT"]);
    for step in steps {
        table.row([Span::plain(step.name()), Span::plain(purpose(*step))]);
    }
    page.table(table);
}

/// What was seen that does not stop a plan.
pub(super) fn add_warnings(page: &mut Page, warnings: &[Finding]) {
    for warning in warnings {
        page.line([
            Span::new("warning: ", Style::Warning),
            Span::plain(&warning.seen),
        ]);
    }
}

/// A plan that is only shown: what it does, its patches, and a last remark.
pub(super) fn plan_page(summary: Page, patches: &[PlannedPatch], last: &str) -> Page {
    let mut page = summary;
    page.blank();
    add_patches(&mut page, patches);
    page.blank();
    page.line([Span::dim(last)]);
    page
}

/// The names of a plan's steps.
pub(super) fn step_names(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| step.name().to_owned()).collect()
}

/// The patches of a plan, an operation a line.
fn add_patches(page: &mut Page, patches: &[PlannedPatch]) {
    for planned in patches {
        let (patch, part) = (&planned.patch, planned.part);
        page.line([
            Span::new(planned.step.name(), Style::Strong),
            Span::plain(format!(", {part}: patch {} {}", patch.kind, patch.name)),
        ]);
        for operation in patch.operations.iter() {
            let text = serde_json::to_string(operation).unwrap_or_default();
            page.line([Span::plain("  "), Span::plain(text)]);
        }
    }
}

/// Names and values, a line each.
pub(super) fn add_results(page: &mut Page, rows: Vec<(&str, String)>) {
    let mut table = Table::new(vec!["RESULT", ""]);
    for (name, value) in rows {
        table.row([Span::new(name, Style::Strong), Span::plain(value)]);
    }
    page.table(table);
}

/// One thing that happened, as a line of JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    event: &'a Event,
}

impl<'a> EventView<'a> {
    pub(crate) fn new(kind: &'static str, event: &'a Event) -> Self {
        Self {
            api_version: API_VERSION,
            kind,
            event,
        }
    }

    /// The line that a person sees, if it is one for persons.
    pub(crate) fn line(&self) -> Option<Vec<Span>> {
        let word = |text: &str, style| Span::new(format!("{text:<9}"), style);
        match self.event {
            Event::Started { .. } => None,
            Event::Noted { step, text, .. } => Some(vec![
                word(step.name(), Style::Warning),
                Span::plain(format!("         {text}")),
            ]),
            Event::Settled {
                step,
                took,
                evidence,
            } => Some(vec![
                word(step.name(), Style::Good),
                Span::plain(format!("{:>7.2} s  {evidence}", took.as_secs_f64())),
            ]),
            Event::Undoing { because } => Some(vec![
                word("undo", Style::Warning),
                Span::plain(format!("           {because}")),
            ]),
            Event::Undone { evidence } => Some(vec![
                word("undone", Style::Good),
                Span::plain(format!("           {evidence}")),
            ]),
        }
    }
}

impl View for EventView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        self.line().map(Page::of_line).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A finished move.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutcomeView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

impl<'a> OutcomeView<'a> {
    pub(crate) fn new(outcome: &'a Outcome) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "SwitchoverOutcome",
            outcome,
        }
    }
}

impl View for OutcomeView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let outcome = self.outcome;
        let closure = &outcome.closure;
        let mut page = Page::default();
        page.blank();
        let mut rows = vec![
            ("primary", outcome.target.to_string()),
            ("standby", outcome.source.to_string()),
            (
                "write gap",
                format!(
                    "{:.2} s, as this tool saw it",
                    outcome.write_gap.as_secs_f64()
                ),
            ),
            (
                "source ended",
                format!("{} on timeline {}", closure.end, closure.timeline),
            ),
            (
                "target held",
                format!(
                    "everything up to {} before it was promoted",
                    outcome.replayed
                ),
            ),
            (
                "fork",
                format!("timeline {} begins at {}", outcome.timeline, outcome.fork),
            ),
        ];
        let logins = std::iter::once(outcome.logins.evidence()).chain(outcome.logins.remarks());
        rows.extend(logins.map(|said| ("logins", said)));
        add_results(&mut page, rows);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.outcome.target.to_string()]
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusalView<'a> {
    api_version: &'static str,
    kind: &'static str,
    findings: &'a [Finding],
    /// What a person calls the source and the target.
    #[serde(skip)]
    sides: (&'a str, &'a str),
}

impl<'a> RefusalView<'a> {
    pub(crate) fn new(
        kind: &'static str,
        findings: &'a [Finding],
        sides: (&'a str, &'a str),
    ) -> Self {
        Self {
            api_version: API_VERSION,
            kind,
            findings,
            sides,
        }
    }
}

impl View for RefusalView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        for finding in self.findings {
            let side = match finding.part {
                Some(Part::Source) => self.sides.0,
                Some(Part::Target) => self.sides.1,
                None => "both",
            };
            page.line([
                Span::new("FAIL", Style::Bad),
                Span::plain(format!(" {side} {}: {}", finding.check, finding.seen)),
            ]);
            page.line([Span::plain("     "), Span::dim(&finding.advice)]);
        }
        page
    }

    fn names(&self) -> Vec<String> {
        self.findings
            .iter()
            .map(|finding| finding.check.to_owned())
            .collect()
    }
}
