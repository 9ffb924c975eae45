//! What every command takes: where, how long, and in what form.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::settings::RequestTimeout;

#[derive(Clone, Debug, Args)]
pub(crate) struct CommonArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Site options")]
pub(crate) struct SiteArgs {
    /// The Kubernetes namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// The kubeconfig file [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<std::path::PathBuf>,

    /// How long one request may take, `5s` or `1m30s`; 0 is as long as it takes [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) request_timeout: Option<RequestTimeout>,
}

/// Beside a `--file`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigMapArgs {
    /// The kubeconfig context of the cluster where a `ConfigMap` of --file is [default: the current one]
    #[arg(
        long,
        value_name = "CONTEXT",
        requires = "file",
        help_heading = "Site options"
    )]
    pub(crate) context: Option<String>,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output options")]
pub(crate) struct OutputArgs {
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,

    /// Whether to colour the output [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,

    /// Log what is done on stderr; twice for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For people, with more columns
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
    /// Only the name, as kubectl takes it
    Name,
    /// A page for a browser, only where a command takes [`or_html`].
    #[value(skip)]
    Html,
    /// The same page as text, likewise.
    #[value(skip)]
    Markdown,
}

/// Takes `html` and `md` beside what every command takes.
pub(super) fn or_html() -> impl TypedValueParser<Value = Format> {
    let usual = Format::value_variants()
        .iter()
        .filter_map(Format::to_possible_value);
    let html = PossibleValue::new("html").help("One page that needs nothing else, for a report");
    let markdown = PossibleValue::new("md").help("The same in Markdown");
    let names: Vec<PossibleValue> = usual.chain([html, markdown]).collect();
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "html" => Format::Html,
        "md" => Format::Markdown,
        usual => Format::from_str(usual, true).unwrap_or(Format::Table),
    })
}

impl Format {
    /// Whether people read the result.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// When a person reads it at a terminal
    Auto,
    Always,
    Never,
}
