//! `kubectl pgha lint`.

use std::path::PathBuf;

use super::by_file::{self, FileAt};
use super::traffic::refuse_blind;
use crate::args::LintArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::{Service, Source, build};
use crate::session::Reach;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;
use crate::view::lint::{FileView, LintView};

/// Runs the command.
pub(crate) fn main(args: &LintArgs, environment: &Environment) -> Exit {
    super::read_alone(&args.common, environment, async |settings, ui| {
        run(args, settings, ui).await
    })
}

async fn run(args: &LintArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let reach = Reach::of(settings);
    let (mut good, mut all) = (Vec::new(), true);
    for found in find(args, settings, ui).await {
        match found.and_then(|service| look(&service, &reach)) {
            Ok(view) => good.push(view),
            Err(failure) => {
                all = false;
                ui.complain(&failure);
            }
        }
    }
    ui.show(&LintView::new(good))?;
    Ok(if all { Exit::Done } else { Exit::Usage })
}

/// The services of everything that was named, each of which may make no sense.
async fn find(args: &LintArgs, settings: &Settings, ui: &Ui) -> Vec<Result<Service, Failure>> {
    if args.files.is_empty() {
        return match by_file::default_services() {
            Ok(found) => {
                by_file::tell(ui);
                found.services
            }
            Err(failure) => vec![Err(failure)],
        };
    }
    let is_remote = |file: &PathBuf| matches!(Source::of(file), Ok(Source::ConfigMap { .. }));
    let has_remote = args.files.iter().any(is_remote);
    let mut services = Vec::new();
    for file in &args.files {
        // A context beside no ConfigMap at all is a mistake, which is told.
        let context = args.context.as_deref();
        let context = context.filter(|_| is_remote(file) || !has_remote);
        let at = FileAt {
            file,
            context,
            changes: false,
        };
        match by_file::read(at, settings, ui).await {
            Ok(found) => services.extend(found.services),
            Err(failure) => services.push(Err(failure)),
        }
    }
    services
}

/// What a file says, as far as it can be told without asking anybody.
fn look(service: &Service, reach: &Reach) -> Result<FileView, Failure> {
    service.desired()?;
    if service.traffic.is_empty() {
        return Ok(FileView::new(service, None));
    }
    let traffic = build(service, reach)?;
    refuse_blind(service, &traffic)?;
    Ok(FileView::new(service, Some(&traffic)))
}
