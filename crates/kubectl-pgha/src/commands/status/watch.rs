//! `status -w`: a terminal is redrawn, a pipe gets lines.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Question;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{Draw, Page, Pipe, Span, Ui, View as _, instant};
use crate::view::status::StatusView;

/// From one reading to the next. Patroni renews what it writes every `loop_wait`, 10 s unless changed; the members'
/// own answers are always new.
const PERIOD: Duration = Duration::from_secs(2);

/// Reads again and again, until nobody reads the result or Ctrl-C.
pub(super) async fn run(question: &Question<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut screen = Screen::new(ui);
    let mut earlier: Option<StatusView> = None;
    loop {
        ticks.tick().await;
        match question.ask().await {
            Ok(mut view) => {
                if let Some(earlier) = &earlier {
                    view.compare_with(earlier);
                }
                if screen.show(&view)? == Pipe::Closed {
                    return Ok(Exit::Done);
                }
                earlier = Some(view);
            }
            // A site that was seen before may be seen again; one that never was will not be for being asked again.
            Err(failure) if earlier.is_some() => screen.tell(&failure),
            Err(failure) => return Err(failure),
        }
    }
}

/// What was shown so far.
struct Screen<'a> {
    ui: &'a Ui,
    widths: Option<Vec<usize>>,
    remarks: Vec<Vec<Span>>,
}

impl<'a> Screen<'a> {
    const fn new(ui: &'a Ui) -> Self {
        Self {
            ui,
            widths: None,
            remarks: Vec::new(),
        }
    }

    fn show(&mut self, view: &StatusView) -> Result<Pipe, Failure> {
        if !self.ui.format.is_text() {
            return self.ui.show_next(view);
        }
        if self.ui.can_redraw {
            return self.redraw(view);
        }
        self.append(view)
    }

    fn redraw(&mut self, view: &StatusView) -> Result<Pipe, Failure> {
        let mut page = view.page(self.ui.detail());
        page.blank();
        page.line([Span::dim(format!(
            "Read at {}, again every {} s. Ctrl-C ends it.",
            instant(view.seen_at()),
            PERIOD.as_secs()
        ))]);
        let draw = match self.widths.replace(Vec::new()) {
            None => Draw::First,
            Some(_) => Draw::Again,
        };
        self.ui.redraw(&page, draw)
    }

    /// Adds the rows, and the remarks when they are others than before.
    fn append(&mut self, view: &StatusView) -> Result<Pipe, Failure> {
        let mut table = view.table(view.lasting_columns(self.ui.detail()));
        if let Some(widths) = &self.widths {
            table.continue_from(widths);
        }
        self.widths = Some(table.widths());
        let mut page = Page::default();
        page.table(table);
        let remarks = view.notices();
        if remarks != self.remarks {
            page.append(Page::of_lines(remarks.clone()));
            self.remarks = remarks;
        }
        self.ui.write_page(&page)
    }

    fn tell(&self, failure: &Failure) {
        self.ui.complain(failure);
    }
}
