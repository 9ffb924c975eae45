//! `kubectl pgha lint`.

use std::path::Path;

use super::traffic::refuse_blind;
use crate::args::LintArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::{Service, build, senseless};
use crate::session::Reach;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;
use crate::view::lint::{FileView, LintView};

/// Runs the command.
pub(crate) fn main(args: &LintArgs, environment: &Environment) -> Exit {
    super::read_alone(&args.common(), environment, async |settings, ui| {
        run(args, settings, ui)
    })
}

fn run(args: &LintArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let reach = Reach::of(settings);
    let mut good = Vec::new();
    for path in &args.files {
        match look(path, &reach) {
            Ok(view) => good.push(view),
            Err(failure) => ui.complain(&failure),
        }
    }
    let all = good.len() == args.files.len();
    ui.show(&LintView::new(good))?;
    Ok(if all { Exit::Done } else { Exit::Usage })
}

/// What a file says, as far as it can be told without asking anybody.
fn look(path: &Path, reach: &Reach) -> Result<FileView, Failure> {
    let service = Service::read(path)?;
    if service.traffic.is_empty() {
        return Ok(FileView::new(path, &service, None));
    }
    let made = build(&service, path, reach).and_then(|traffic| {
        refuse_blind(&traffic)?;
        Ok(traffic)
    });
    let traffic = made.map_err(|failure| senseless(path, &failure.in_one_line()))?;
    Ok(FileView::new(path, &service, Some(&traffic)))
}
