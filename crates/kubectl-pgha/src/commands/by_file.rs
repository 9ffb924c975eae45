//! The service that a command is about, by its file: the one that `-f` names, or `pgha.yaml` in the current folder.
//!
//! That file is used only where the command line leaves open where to look: nobody is sent to other clusters by a file that happens to
//! lie where they are. It is never looked for in the folders above.

use std::io::IsTerminal as _;
use std::path::Path;

use pgha_core::config_map::read_config_map;
use pgha_core::diagnose::sanitised;

use super::tell_current;
use crate::failure::Failure;
use crate::service::{Found, Service, Source, may_have, nothing_in, of_config_map, read_path};
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::{Span, Ui};

/// What is used where nothing else was named.
const DEFAULT: &str = "pgha.yaml";

/// Where a service's file is, as the command line says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileAt<'a> {
    /// What `-f` names.
    pub(crate) file: &'a Path,
    /// The context of a `ConfigMap`.
    pub(crate) context: Option<&'a str>,
    /// Whether the command is one that changes something.
    pub(crate) changes: bool,
}

/// The service that was named, in the file that was.
///
/// # Errors
/// It cannot be read, makes no sense, or has no such service.
pub(crate) async fn open(
    at: FileAt<'_>,
    named: Option<&str>,
    settings: &Settings,
    ui: &Ui,
) -> Result<Service, Failure> {
    read(at, settings, ui).await?.choose(named)
}

/// The services of a file, a folder or a `ConfigMap`.
///
/// # Errors
/// It cannot be read, or there is none.
pub(crate) async fn read(at: FileAt<'_>, settings: &Settings, ui: &Ui) -> Result<Found, Failure> {
    let found = match Source::of(at.file)? {
        Source::Path(path) => {
            if at.context.is_some() {
                let shown = sanitised(&path.display().to_string());
                let text = format!("--context says where a ConfigMap is, and {shown} is none");
                return Err(Failure::usage(text).hinting(
                    "The file names the contexts of its sites: leave --context or --file out.",
                ));
            }
            read_path(&path)?
        }
        Source::ConfigMap { namespace, name } => {
            if at.changes {
                refuse_unnamed(at.context)?;
            }
            let session = Session::open(settings)?;
            let site = match (at.context, namespace.as_deref()) {
                (Some(context), namespace) => session.site_in(context, namespace).await?,
                (None, Some(namespace)) => session.site(None).await?.in_namespace(namespace),
                (None, None) => session.site(None).await?,
            };
            tell_current(ui, at.context, &site);
            let data = read_config_map(&site, &name).await;
            let data = data.map_err(|error| Failure::from(&error))?;
            let shown = format!("configmap/{}/{name}", site.namespace);
            let flags = format!("-f {shown} --context {}", site.context);
            of_config_map(&shown, &flags, data)
        }
    };
    if found.services.is_empty() {
        return Err(nothing_in(&found.shown, found.unread));
    }
    Ok(found)
}

/// Another cluster's file would move another service: without a terminal nobody sees which it is.
fn refuse_unnamed(context: Option<&str>) -> Result<(), Failure> {
    if context.is_some() || std::io::stdin().is_terminal() {
        return Ok(());
    }
    let text = "there is no terminal, and no --context names the cluster that the ConfigMap is in";
    Err(Failure::refused(text).hinting("Give --context."))
}

/// `pgha.yaml` of the current folder, for a command that can do nothing without a file.
///
/// # Errors
/// It is not there, makes no sense, or has no such service.
pub(crate) fn default_of_all(named: Option<&str>, ui: &Ui) -> Result<Service, Failure> {
    let service = default_services()?.choose(named)?;
    tell(ui);
    Ok(service)
}

/// The services of `pgha.yaml` of the current folder.
///
/// # Errors
/// It is not there, or cannot be read.
pub(crate) fn default_services() -> Result<Found, Failure> {
    if !is_there() {
        let text = format!("there is no ./{DEFAULT}");
        return Err(Failure::usage(text).hinting("Name the service's file."));
    }
    read_path(Path::new(DEFAULT))
}

/// `pgha.yaml` of the current folder, where it is there and may be about the service that was named.
///
/// # Errors
/// It makes no sense, and does not say that it is about another service.
pub(crate) fn default(named: Option<&str>) -> Result<Option<Service>, Failure> {
    let path = Path::new(DEFAULT);
    let is_about = match named {
        _ if !is_there() => false,
        None => true,
        Some(named) => may_have(path, named)?,
    };
    if !is_about {
        return Ok(None);
    }
    let chosen = read_path(path)?.choose(named);
    let hint =
        "It is used, as it lies here: mend it, or say with other flags than --file where to look.";
    chosen.map(Some).map_err(|failure| failure.or_hinting(hint))
}

fn is_there() -> bool {
    Path::new(DEFAULT).is_file()
}

/// Says that `pgha.yaml` is used, also to whoever reads the result by a program.
pub(crate) fn tell(ui: &Ui) {
    ui.progress([Span::dim(format!("Using ./{DEFAULT}."))]);
}

/// Says that `pgha.yaml` is not used, although it knows both names.
pub(crate) fn tell_unused(ui: &Ui) {
    let text = format!(
        "./{DEFAULT} is not used, as --from and --to are contexts: with `-f {DEFAULT}` application and users follow."
    );
    ui.note(&text);
}
