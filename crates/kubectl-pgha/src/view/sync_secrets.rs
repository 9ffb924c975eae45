//! Passwords of both sides, compared. No value and no digest of one is ever in here.

use pgha_core::secret::SecretSide;
use pgha_model::finding::Finding;
use pgha_model::secret::{Comparison, SecretFacts, SecretRow};
use serde::Serialize;

use super::{API_VERSION, PlaceView};
use crate::ui::{Detail, Page, Span, Style, Table, View};

/// The comparison, and what came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretsView<'a> {
    api_version: &'static str,
    kind: &'static str,
    from: PlaceView,
    to: PlaceView,
    secrets: &'a [SecretRow],
    findings: &'a [Finding],
    #[serde(skip_serializing_if = "Option::is_none")]
    database_unseen: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to_copy: Vec<ToCopy>,
    copied: Vec<String>,
}

/// What would be set.
#[derive(Clone, Debug, Serialize)]
struct ToCopy {
    secret: String,
    keys: Vec<&'static str>,
}

impl<'a> SecretsView<'a> {
    pub(crate) fn new(
        source: &SecretFacts,
        target: &SecretFacts,
        secrets: &'a [SecretRow],
        findings: &'a [Finding],
    ) -> Self {
        let unseen = source.database.seen().err();
        let is_unseen = target.database.as_seen().is_none();
        Self {
            api_version: API_VERSION,
            kind: "SecretComparison",
            from: (&source.survey.place).into(),
            to: (&target.survey.place).into(),
            secrets,
            findings,
            database_unseen: unseen.filter(|_| is_unseen).map(str::to_owned),
            to_copy: Vec::new(),
            copied: Vec::new(),
        }
    }

    /// The same, with what would be done.
    pub(crate) fn planned(self, source: &SecretSide, names: &[String]) -> Self {
        let to_copy = names.iter().map(|name| ToCopy {
            secret: name.clone(),
            keys: source.keys(name),
        });
        Self {
            to_copy: to_copy.collect(),
            ..self
        }
    }

    /// The same, after these were copied.
    pub(crate) fn copied(self, copied: Vec<String>) -> Self {
        Self { copied, ..self }
    }

    fn summary(&self, page: &mut Page) {
        for finding in self.findings {
            page.line([
                Span::new("FAIL", Style::Bad),
                Span::plain(format!(" {}: {}", finding.check, finding.seen)),
            ]);
            page.line([Span::plain("     "), Span::dim(&finding.advice)]);
        }
        for planned in &self.to_copy {
            let keys = planned.keys.join(" and ");
            page.line([Span::plain(format!(
                "Would copy {keys} of {} from {} to {}.",
                planned.secret, self.from.context, self.to.context
            ))]);
        }
        if !self.to_copy.is_empty() {
            page.line([Span::dim("Nothing was changed.")]);
        }
        if !self.copied.is_empty() {
            page.line([
                Span::new("Copied", Style::Good),
                Span::plain(format!(
                    " {} from {} to {}, and read back.",
                    self.copied.join(", "),
                    self.from.context,
                    self.to.context
                )),
            ]);
        }
        if let Some(because) = &self.database_unseen {
            page.line([
                Span::new("warning: ", Style::Warning),
                Span::plain(format!("what Postgres holds is not seen: {because}")),
            ]);
        }
    }

    fn sites(&self, comparison: Comparison) -> Span {
        match comparison {
            Comparison::Equal => Span::new("equal", Style::Good),
            Comparison::Differs => Span::new("differ", Style::Warning),
            Comparison::OnlyAtSource => {
                Span::new(format!("only at {}", self.from.context), Style::Bad)
            }
            Comparison::OnlyAtTarget => {
                Span::new(format!("only at {}", self.to.context), Style::Warning)
            }
        }
    }

    /// Whose password logs in.
    fn in_force(&self, row: &SecretRow) -> Span {
        match (row.database_has_source, row.database_has_target) {
            (Some(true), Some(true)) => Span::plain("both"),
            (Some(true), _) => Span::plain(&self.from.context),
            (_, Some(true)) => Span::new(&self.to.context, Style::Warning),
            (None, None) => Span::dim("not seen"),
            (_, _) => Span::new("neither", Style::Bad),
        }
    }
}

impl View for SecretsView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let mut table = Table::new(vec!["SECRET", "ROLE", "SITES", "IN FORCE"]);
        for row in self.secrets {
            table.row([
                Span::plain(&row.name),
                Span::plain(&row.role),
                self.sites(row.comparison),
                self.in_force(row),
            ]);
        }
        page.table(table);
        self.summary(&mut page);
        page
    }

    fn names(&self) -> Vec<String> {
        let differ = self
            .secrets
            .iter()
            .filter(|row| row.comparison == Comparison::Differs || self.copied.contains(&row.name));
        differ.map(|row| format!("secret/{}", row.name)).collect()
    }
}
