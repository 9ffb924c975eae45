//! The only way out: results on stdout, everything else on stderr.

mod page;
mod table;
mod unit;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::ErrorKind;
use pgha_core::diagnose::sanitised;
use serde::Serialize;

pub(crate) use self::page::{Page, Span, Style};
pub(crate) use self::table::Table;
pub(crate) use self::unit::{age, bytes, instant, period};
use crate::args::Format;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::settings::Settings;

/// A result in every form in which it can be asked for. Forms are readers of the same facts and read nothing themselves.
pub(crate) trait View: Serialize {
    /// For people.
    fn page(&self, detail: Detail) -> Page;

    /// The names, as kubectl takes them, one a line.
    fn names(&self) -> Vec<String>;

    /// For a browser, where a command can be asked for that.
    fn html(&self) -> Option<String> {
        None
    }

    /// The same as Markdown.
    fn markdown(&self) -> Option<String> {
        None
    }
}

/// How much a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What fits a usual terminal.
    Usual,
    /// Everything.
    Wide,
}

/// Where a command's output goes, and in what form.
#[derive(Debug)]
pub(crate) struct Ui {
    /// The form of the result.
    pub(crate) format: Format,
    /// Whether stdout is a terminal that can be redrawn.
    pub(crate) can_redraw: bool,
    color_stdout: bool,
    color_stderr: bool,
    /// Whether documents were shown one after the other: what follows is one of them.
    is_stream: AtomicBool,
}

/// Whether somebody still reads the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pipe {
    /// Yes, or a file takes it.
    Open,
    /// The reader went away: it has what it wanted.
    Closed,
}

/// Whether a page is drawn over another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// Over whatever is on the terminal.
    First,
    /// Over the page before.
    Again,
}

impl Ui {
    /// The output that the settings ask for.
    pub(crate) const fn new(settings: &Settings) -> Self {
        Self {
            format: settings.format,
            can_redraw: settings.can_redraw,
            color_stdout: settings.color_stdout,
            color_stderr: settings.color_stderr,
            is_stream: AtomicBool::new(false),
        }
    }

    /// Plain output, for a failure that comes before the settings.
    pub(crate) const fn plain(format: Format) -> Self {
        Self {
            format,
            can_redraw: false,
            color_stdout: false,
            color_stderr: false,
            is_stream: AtomicBool::new(false),
        }
    }

    /// How much a page shows.
    pub(crate) fn detail(&self) -> Detail {
        if self.format == Format::Wide {
            Detail::Wide
        } else {
            Detail::Usual
        }
    }

    /// Shows a result.
    pub(crate) fn show(&self, view: &impl View) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table | Format::Wide => view.page(self.detail()).render(self.color_stdout),
            Format::Name => {
                let names = view.names().into_iter();
                names.map(|name| sanitised(&name) + "\n").collect()
            }
            Format::Json | Format::Yaml => self.document(view)?,
            Format::Html => view.html().unwrap_or_default(),
            Format::Markdown => view.markdown().unwrap_or_default(),
        };
        write_stdout(&text).map(|_pipe| ())
    }

    /// Shows one of several results: JSON in one line, YAML as one document of many.
    pub(crate) fn show_next(&self, view: &impl View) -> Result<Pipe, Failure> {
        match self.one_of_many(view)? {
            Some(text) => {
                self.is_stream.store(true, Ordering::Relaxed);
                write_stdout(&text)
            }
            None => Ok(Pipe::Open),
        }
    }

    fn one_of_many(&self, view: &impl Serialize) -> Result<Option<String>, Failure> {
        Ok(match self.format {
            Format::Json => Some(harmless(&json(view, serde_json::to_string)?) + "\n"),
            Format::Yaml => Some(format!("---\n{}", self.document(view)?)),
            Format::Table | Format::Wide | Format::Name | Format::Html | Format::Markdown => None,
        })
    }

    /// Shows a page as it is.
    pub(crate) fn write_page(&self, page: &Page) -> Result<Pipe, Failure> {
        write_stdout(&page.render(self.color_stdout))
    }

    /// Shows a page in place of everything that is on the terminal.
    pub(crate) fn redraw(&self, page: &Page, draw: Draw) -> Result<Pipe, Failure> {
        // Home, the page with each line's old rest cleared, then everything below it cleared: no flicker.
        let page = page.render(self.color_stdout).replace('\n', "\x1b[K\n");
        let clear = if draw == Draw::First { "\x1b[2J" } else { "" };
        write_stdout(&format!("{clear}\x1b[H{page}\x1b[J"))
    }

    /// Tells a person something beside the result; programs are not told.
    pub(crate) fn note(&self, text: &str) {
        if self.format.is_text() {
            self.write_stderr(&Page::of_line([Span::dim(text)]));
        }
    }

    /// Tells a person what happens, a line each.
    pub(crate) fn progress(&self, line: impl IntoIterator<Item = Span>) {
        self.write_stderr(&Page::of_line(line));
    }

    /// Shows what is asked for consent, and the question, on stderr.
    pub(crate) fn prompt(&self, page: &Page, question: &str) {
        self.write_stderr(page);
        drop(write_to(&mut io::stderr().lock(), &sanitised(question)));
    }

    /// Tells what is wrong although there is a result, on stderr in every format.
    pub(crate) fn complain(&self, failure: &Failure) {
        let lines = failure.lines().into_iter().map(|(label, text)| {
            let style = if label == "error" {
                Style::Bad
            } else {
                Style::Strong
            };
            [
                Span::new(format!("{label}:"), style),
                Span::plain(" "),
                Span::plain(&text),
            ]
        });
        self.write_stderr(&Page::of_lines(lines));
    }

    /// How a command ends whose result is shown: well, or with what is wrong although there is one.
    pub(crate) fn conclude(&self, doubt: Option<&Failure>) -> Exit {
        doubt.map_or(Exit::Done, |doubt| {
            self.complain(doubt);
            doubt.exit
        })
    }

    /// Shows a failure in place of a result: on stdout where a program reads it, else on stderr.
    pub(crate) fn fail(&self, failure: &Failure) {
        match self.failure_document(failure) {
            // Whoever closed the pipe does not read what went wrong either.
            Some(text) => drop(write_stdout(&text)),
            None => self.complain(failure),
        }
    }

    fn failure_document(&self, failure: &Failure) -> Option<String> {
        match self.format {
            Format::Json | Format::Yaml if self.is_stream.load(Ordering::Relaxed) => {
                self.one_of_many(&failure.view()).ok().flatten()
            }
            Format::Json | Format::Yaml => self.document(&failure.view()).ok(),
            Format::Table | Format::Wide | Format::Name | Format::Html | Format::Markdown => None,
        }
    }

    fn document(&self, view: &impl Serialize) -> Result<String, Failure> {
        if self.format == Format::Yaml {
            let text = serde_saphyr::to_string(view).map_err(|error| unwritable(&error))?;
            return Ok(harmless(&text));
        }
        Ok(harmless(&json(view, serde_json::to_string_pretty)?) + "\n")
    }

    fn write_stderr(&self, page: &Page) {
        // Without a stderr there is nobody to tell.
        drop(write_to(
            &mut io::stderr().lock(),
            &page.render(self.color_stderr),
        ));
    }
}

/// What to do after a bug, beneath what the bug says of itself.
pub(crate) fn tell_of_bug() {
    let text = "error: kubectl-pgha has a bug, and ended where it stood\n\
                effect: unknown\n\
                hint: See with `kubectl pgha status` where things stand; a move that was under way goes on with `kubectl pgha resume`.\n";
    drop(write_to(&mut io::stderr().lock(), text));
}

/// Prints what the parser of the arguments says, help and version included.
pub(crate) fn show_usage(error: &clap::Error) -> Exit {
    // What the person typed comes back in it, which may have been copied from anywhere.
    let text = harmless_lines(&error.render().to_string());
    if !error.use_stderr() {
        drop(write_stdout(&text));
        return Exit::Done;
    }
    // Without any argument the help itself is the answer.
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let effect = if is_help {
        ""
    } else {
        "\neffect: nothing was changed"
    };
    let text = format!("{}{effect}\n", text.trim_end());
    // Without a stderr there is nobody to tell.
    drop(write_to(&mut io::stderr().lock(), &text));
    Exit::Usage
}

/// Tells a person what to do by hand, on stderr whatever the result's form: nobody else can.
pub(crate) fn instruct(text: &str) {
    // Without a stderr there is nobody to tell.
    drop(write_to(
        &mut io::stderr().lock(),
        &format!("{}\n", sanitised(text)),
    ));
}

/// Prints text that is no command's result: completions.
pub(crate) fn print(text: &str) {
    drop(write_stdout(text));
}

/// Shows a result that has one form, a file's. Whoever made the text has made it harmless.
///
/// # Errors
/// It cannot be written.
pub(crate) fn show_file(text: &str) -> Result<(), Failure> {
    write_stdout(text).map(|_pipe| ())
}

fn write_stdout(text: &str) -> Result<Pipe, Failure> {
    match write_to(&mut io::stdout().lock(), text) {
        Ok(()) => Ok(Pipe::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Pipe::Closed),
        Err(error) => Err(Failure::refused(format!(
            "the result cannot be written: {error}"
        ))),
    }
}

fn write_to(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

fn json<T: Serialize>(
    view: &T,
    write: fn(&T) -> serde_json::Result<String>,
) -> Result<String, Failure> {
    write(view).map_err(|error| unwritable(&error))
}

fn unwritable(error: &dyn std::error::Error) -> Failure {
    Failure::unexpected(format!("the result cannot be written: {error}"))
}

fn harmless_lines(text: &str) -> String {
    let lines = text.split('\n').map(sanitised);
    lines.collect::<Vec<_>>().join("\n")
}

/// Escapes what steers a terminal and JSON leaves as it is: the second set of control characters, and the marks that
/// turn the direction of writing. They can only be inside strings there, and `\u` means the same in JSON and YAML.
fn harmless(text: &str) -> String {
    let clean = |character: char| match character {
        '\n' | ' '..='~' => character.to_string(),
        _ if sanitised(character.encode_utf8(&mut [0; 4])).len() == character.len_utf8() => {
            character.to_string()
        }
        _ => format!("\\u{:04x}", u32::from(character)),
    };
    text.chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_after_other_documents_is_one_of_them() {
        let failure = Failure::refused("it cannot be moved");
        let ui = Ui::plain(Format::Json);
        assert!(ui.failure_document(&failure).unwrap().lines().count() > 1);
        ui.is_stream.store(true, Ordering::Relaxed);
        let line = ui.failure_document(&failure).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        let ui = Ui::plain(Format::Yaml);
        ui.is_stream.store(true, Ordering::Relaxed);
        assert!(ui.failure_document(&failure).unwrap().starts_with("---\n"));
        assert_eq!(Ui::plain(Format::Table).failure_document(&failure), None);
    }
}
