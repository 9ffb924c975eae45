//! The report of a move, written to a file once the move has ended, whatever its end.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use pgha_core::client::SiteClient;
use pgha_core::clock;
use pgha_core::diagnose::sanitised;
use pgha_core::engine::Side;
use pgha_model::effect::Effect;
use pgha_model::record::{Epoch, PastMove, merge};

use super::history::Found;
use crate::args::ReportArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{Ui, View as _};
use crate::view::history::{HistoryView, Seen};
use crate::whole_file;

/// Where the report of a move goes, and whose records it is made of.
#[derive(Default)]
pub(super) struct Report {
    file: Option<ReportFile>,
    of: RefCell<Option<Records>>,
}

/// A file that can be written.
#[derive(Debug)]
struct ReportFile {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Markdown,
}

/// Where the records are.
struct Records {
    sites: Vec<SiteClient>,
    cluster: String,
    /// The last move before.
    before: Epoch,
}

impl Report {
    /// The report that the command line asks for; asked before anything is looked at.
    ///
    /// # Errors
    /// The file has another ending, or cannot be written.
    pub(super) fn asked(args: &ReportArgs) -> Result<Self, Failure> {
        let file = args.report.as_deref().map(ReportFile::at).transpose()?;
        Ok(Self {
            file,
            of: RefCell::default(),
        })
    }

    /// Nobody asked for one.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// It is of what these sides' records say that they have not said so far. What is said first counts.
    pub(super) fn of<'s>(&self, sides: impl IntoIterator<Item = &'s Side>) {
        if self.file.is_none() || self.of.borrow().is_some() {
            return;
        }
        let sides: Vec<&Side> = sides.into_iter().collect();
        let Some(first) = sides.first() else {
            return;
        };
        let journals = sides.iter().filter_map(|side| side.journal.as_ref().ok());
        let before = journals.map(|journal| journal.epoch).max();
        self.of.replace(Some(Records {
            cluster: first.facts.survey.place.cluster.clone(),
            sites: sides.iter().map(|side| side.site().clone()).collect(),
            before: before.unwrap_or_default(),
        }));
    }

    /// Writes it, and ends as the command has ended otherwise. A report that could not be written is told, and the end of a command
    /// that has ended well.
    pub(super) async fn conclude(
        self,
        ended: Result<Exit, Failure>,
        ui: &Ui,
    ) -> Result<Exit, Failure> {
        let (Some(file), Some(of)) = (self.file, self.of.into_inner()) else {
            return ended;
        };
        match of.write_to(&file).await {
            Ok(Some(())) => {
                ui.note(&format!("The report is in {}.", file.shown()));
                ended
            }
            Ok(None) => {
                ui.note("No move has begun, so there is no report of it.");
                ended
            }
            Err(because) => {
                let text = format!("the report was not written to {}", file.shown());
                let failure = Failure::stopped(Exit::Stopped, text, Effect::Applied)
                    .because(because.chain())
                    .hinting(of.by_hand(file.form));
                if matches!(ended, Ok(Exit::Done)) {
                    return Err(failure);
                }
                ui.complain(&failure);
                ended
            }
        }
    }
}

impl Records {
    /// Reads the records and writes the file; `None` where no move was recorded since.
    async fn write_to(&self, file: &ReportFile) -> Result<Option<()>, Failure> {
        let found = Found::read(&self.sites, &self.cluster).await?;
        let all = merge(&found.journals);
        let moves = since(&all, self.before);
        if moves.is_empty() {
            return match found.unread.first() {
                Some(site) => Err(Failure::refused(format!(
                    "{} was not seen: {}",
                    site.context, site.because
                ))),
                None => Ok(None),
            };
        }
        let view = HistoryView::new(&Seen {
            cluster: &self.cluster,
            journals: &found.journals,
            unread: &found.unread,
            moves: &moves,
            all: &all,
            is_one: moves.len() == 1,
            at: clock::now(),
        });
        let text = match file.form {
            Form::Html => view.html(),
            Form::Markdown => view.markdown(),
        };
        let written = whole_file::replace(&file.path, &text.unwrap_or_default());
        let written = written.map_err(|error| Failure::refused(error.to_string()));
        written.map(Some)
    }

    /// How the same report is made of the records.
    fn by_hand(&self, form: Form) -> String {
        let contexts = self
            .sites
            .iter()
            .map(|site| format!(" --context {}", site.context));
        let (contexts, ending) = (contexts.collect::<String>(), form.ending());
        format!(
            "The move has ended as it says itself. `kubectl pgha history {}{contexts} -o {ending}` makes the same of its records.",
            self.cluster
        )
    }
}

/// The moves after this one, and those that they go on with.
fn since(all: &[PastMove], before: Epoch) -> Vec<PastMove> {
    let continued = |past: &PastMove| past.continued_by.is_some_and(|later| later > before);
    let is_of_it = |past: &&PastMove| past.epoch > before || continued(past);
    all.iter().filter(is_of_it).cloned().collect()
}

impl Form {
    const fn ending(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
        }
    }
}

impl ReportFile {
    fn at(path: &Path) -> Result<Self, Failure> {
        let shown = sanitised(&path.display().to_string());
        let ending = path.extension().and_then(|ending| ending.to_str());
        let forms = [Form::Html, Form::Markdown];
        let Some(form) = forms.into_iter().find(|form| Some(form.ending()) == ending) else {
            let text = format!("--report {shown} ends neither with .html nor with .md");
            return Err(Failure::usage(text));
        };
        let file = Self {
            path: path.to_owned(),
            form,
        };
        file.refuse_unwritable().map_err(|error| {
            Failure::usage(format!("the report cannot be written to {shown}: {error}"))
        })?;
        Ok(file)
    }

    fn shown(&self) -> String {
        sanitised(&self.path.display().to_string())
    }

    /// A move is not to be over before that is seen.
    fn refuse_unwritable(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let beside = whole_file::beside(&self.path);
        File::create_new(&beside)?;
        fs::remove_file(beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(path: &Path) -> Result<Report, Failure> {
        Report::asked(&ReportArgs {
            report: Some(path.to_owned()),
        })
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let said = |name: &str| report(&folder.path().join(name)).err().unwrap();
        fs::create_dir(folder.path().join("folder.md")).unwrap();
        for (name, words) in [
            ("move.pdf", "ends neither with .html nor with .md"),
            ("move", "ends neither"),
            ("missing/move.html", "No such file"),
            ("folder.md", "directory"),
        ] {
            let failure = said(name);
            let text = failure.in_one_line();
            assert!(
                text.contains(words) && failure.exit == Exit::Usage,
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("move.md");
        fs::write(&path, "old").unwrap();
        let report = report(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        whole_file::replace(&report.file.unwrap().path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
