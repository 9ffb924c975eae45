//! Services' files that make sense.

use serde::Serialize;

use super::API_VERSION;
use crate::service::{Service, Traffic};
use crate::ui::{Detail, Page, Span, Table, View};

/// The files.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LintView {
    api_version: &'static str,
    kind: &'static str,
    files: Vec<FileView>,
}

/// What a file says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileView {
    file: String,
    service: String,
    sites: Vec<String>,
    /// How many steps the application has.
    app_steps: usize,
    poolers: Vec<String>,
    backends: Vec<String>,
    probes: usize,
    /// Where desired state is changed.
    change: &'static str,
}

impl LintView {
    pub(crate) const fn new(files: Vec<FileView>) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ServiceFiles",
            files,
        }
    }
}

impl FileView {
    pub(crate) fn new(service: &Service, traffic: Option<&Traffic>) -> Self {
        let backends = traffic.into_iter().flat_map(|it| it.backends.parts());
        Self {
            file: service.origin.shown.clone(),
            service: service.name.clone(),
            sites: service.sites.iter().map(|it| it.name.to_string()).collect(),
            app_steps: service.app.len(),
            poolers: service
                .poolers
                .iter()
                .map(|it| it.name().to_owned())
                .collect(),
            backends: backends.map(|it| it.describe().id.to_string()).collect(),
            probes: traffic.map_or(0, |it| it.probes.len()),
            change: service.change.way.word(),
        }
    }

    fn row(&self) -> [Span; 7] {
        let listed = |names: &[String]| match names {
            [] => "-".to_owned(),
            names => names.join(","),
        };
        [
            self.file.clone(),
            self.service.clone(),
            listed(&self.sites),
            self.app_steps.to_string(),
            listed(&self.poolers),
            listed(&self.backends),
            self.change.to_owned(),
        ]
        .map(Span::plain)
    }
}

impl View for LintView {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        if self.files.is_empty() {
            return page;
        }
        let heads = [
            "FILE", "SERVICE", "SITES", "APP", "POOLERS", "TRAFFIC", "CHANGE",
        ];
        let mut table = Table::new(heads.to_vec());
        for file in &self.files {
            table.row(file.row());
        }
        page.table(table);
        page
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.service.clone()).collect()
    }
}
