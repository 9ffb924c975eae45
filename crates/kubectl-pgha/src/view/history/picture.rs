//! A move as a picture: a bar for each step, and the time in which nobody took writes.

use std::time::Duration;

use jiff::Timestamp;
use pgha_model::record::{Fate, Known, MoveRecord, NoWrites, Stretch, What, course};

use super::markup::Markup;
use crate::ui::period;

/// All lengths are in the picture's own units, of which it is this wide.
const WIDTH: f64 = 960.0;
/// Where the bars begin: left of it are the names.
const LEFT: f64 = 80.0;
/// Where they end: right of it is room for the last duration.
const RIGHT: f64 = 870.0;
/// Where the first row begins: above it is the name of the write gap.
const TOP: f64 = 24.0;
const ROW: f64 = 24.0;
const BAR: f64 = 15.0;
/// The least width of what took almost no time.
const THIN: f64 = 2.0;
/// A write gap that fills less of the picture than this gets one of its own.
const TOO_SMALL: f64 = 0.3;

/// The part of time that a picture shows, in seconds since the claim.
#[derive(Clone, Copy)]
struct Window {
    from: f64,
    until: f64,
}

/// What a picture shows, in seconds since the claim.
struct Scene {
    bars: Vec<Bar>,
    gap: Option<Gap>,
}

struct Bar {
    what: What,
    from: f64,
    until: f64,
    fate: Fate,
    took: Duration,
}

#[derive(Clone, Copy)]
struct Gap {
    from: f64,
    until: f64,
    is_open: bool,
    known: Known,
}

/// The whole move, and its write gap by itself where that would be too small to see.
pub(super) fn timeline(record: &MoveRecord, no_writes: Option<&NoWrites>) -> Markup {
    let scene = Scene::of(record, no_writes);
    let mut markup = Markup::default();
    let Some(whole) = scene.window() else {
        return markup;
    };
    figure("The whole move, since it began", &scene, whole, &mut markup);
    if let Some(close) = scene.gap.and_then(|gap| gap.close_up(whole)) {
        figure("The write gap, close up", &scene, close, &mut markup);
    }
    markup
}

impl Scene {
    fn of(record: &MoveRecord, no_writes: Option<&NoWrites>) -> Self {
        let second = |time: Timestamp| time.duration_since(record.claimed_at).as_secs_f64();
        let bar = |stretch: &Stretch| Bar {
            what: stretch.what,
            from: second(stretch.began),
            until: second(stretch.ended),
            fate: stretch.fate,
            took: stretch.took(),
        };
        let bars: Vec<Bar> = course(record).iter().map(bar).collect();
        let last = bars.iter().map(|bar| bar.until).fold(0.0, f64::max);
        let gap = no_writes.map(|gap| Gap {
            from: second(gap.began),
            until: gap.ended.map_or(last, second),
            is_open: gap.ended.is_none(),
            known: gap.known,
        });
        Self { bars, gap }
    }

    /// The window that shows everything; nothing when nothing took any time.
    fn window(&self) -> Option<Window> {
        let from = self.bars.iter().map(|bar| bar.from).fold(0.0, f64::min);
        let until = self.bars.iter().map(|bar| bar.until).fold(0.0, f64::max);
        (until - from > 0.0).then_some(Window { from, until })
    }
}

impl Gap {
    fn close_up(self, whole: Window) -> Option<Window> {
        let length = self.until - self.from;
        let is_small = length > 0.0 && length < TOO_SMALL * whole.length();
        (is_small && !self.is_open).then_some(Window {
            from: self.from - length * 0.15,
            until: self.until + length * 0.15,
        })
    }

    /// Whether a bar is mostly inside.
    fn holds(self, bar: &Bar) -> bool {
        let middle = f64::midpoint(bar.from, bar.until);
        (self.from..=self.until).contains(&middle)
    }
}

impl Window {
    const fn length(self) -> f64 {
        self.until - self.from
    }

    /// Where a moment is in the picture; what is outside is at its edge.
    fn x(self, second: f64) -> f64 {
        let share = (second - self.from) / self.length();
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn shows(self, bar: &Bar) -> bool {
        bar.until >= self.from && bar.from <= self.until
    }

    /// Round moments, about six of them.
    fn ticks(self) -> Vec<f64> {
        let rough = self.length() / 6.0;
        let scale = 10.0_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0]
            .map(|factor| factor * scale)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * scale);
        let first = (self.from / step).ceil() * step;
        let ticks = (0..10_u8).map(|count| f64::from(count).mul_add(step, first));
        // Zero may come out as negative.
        ticks
            .map(|tick| tick + 0.0)
            .take_while(|tick| *tick <= self.until)
            .collect()
    }
}

fn figure(caption: &'static str, scene: &Scene, window: Window, markup: &mut Markup) {
    let bars: Vec<&Bar> = scene.bars.iter().filter(|bar| window.shows(bar)).collect();
    let rows = u16::try_from(bars.len()).unwrap_or(u16::MAX);
    let bottom = TOP + f64::from(rows) * ROW;
    markup.raw("<figure><figcaption>").raw(caption);
    markup.raw("</figcaption>\n<svg role=\"img\" viewBox=\"0 0 ");
    markup.text(&format!("{WIDTH} {}", bottom + 22.0));
    markup.raw("\"><title>").raw(caption).raw("</title>\n");
    grid(window, bottom, markup);
    if let Some(gap) = scene.gap {
        draw_gap(gap, window, bottom, markup);
    }
    let mut y = TOP;
    for bar in bars {
        let is_within = scene.gap.is_some_and(|gap| gap.holds(bar));
        draw_bar(bar, is_within, window, y, markup);
        y += ROW;
    }
    markup.raw("</svg></figure>\n");
}

/// The round moments, with their times since the claim.
fn grid(window: Window, bottom: f64, markup: &mut Markup) {
    for tick in window.ticks() {
        let x = window.x(tick);
        markup.raw("<line class=\"grid\"");
        markup
            .at("x1", x)
            .at("x2", x)
            .at("y1", TOP)
            .at("y2", bottom);
        markup.raw("/><text class=\"faint\" text-anchor=\"middle\"");
        markup.at("x", x).at("y", bottom + 16.0).raw(">");
        markup.text(&moment(tick)).raw("</text>\n");
    }
}

fn draw_gap(gap: Gap, window: Window, bottom: f64, markup: &mut Markup) {
    let (from, until) = (window.x(gap.from), window.x(gap.until));
    markup.raw("<rect class=\"gap\"").at("x", from);
    markup.at("width", (until - from).max(THIN));
    markup.at("y", TOP).at("height", bottom - TOP).raw("/>");
    for x in [Some(from), Some(until).filter(|_| !gap.is_open)]
        .into_iter()
        .flatten()
    {
        markup.raw("<line class=\"edge\"");
        markup
            .at("x1", x)
            .at("x2", x)
            .at("y1", TOP - 4.0)
            .at("y2", bottom)
            .raw("/>");
    }
    let length = Duration::try_from_secs_f64(gap.until - gap.from).unwrap_or_default();
    let text = match (gap.is_open, gap.known) {
        (true, Known::Perhaps) => "perhaps no writes from here on".to_owned(),
        (true, _) => "no writes from here on".to_owned(),
        (false, Known::Measured) => format!("no writes for {}", period(length)),
        (false, _) => format!("no writes for at most {}", period(length)),
    };
    let middle = f64::midpoint(from, until).clamp(LEFT + 80.0, RIGHT - 80.0);
    markup.raw("<text class=\"gapname\" text-anchor=\"middle\"");
    markup.at("x", middle).at("y", TOP - 8.0).raw(">");
    markup.text(&text).raw("</text>\n");
}

fn draw_bar(bar: &Bar, is_within: bool, window: Window, y: f64, markup: &mut Markup) {
    let (from, until) = (window.x(bar.from), window.x(bar.until));
    let baseline = y + 16.0;
    markup.raw("<text text-anchor=\"end\"");
    markup.at("x", LEFT - 8.0).at("y", baseline).raw(">");
    markup.raw(bar.what.name()).raw("</text><rect class=\"");
    markup.raw(match (bar.what, is_within) {
        (What::Undo, _) => "undo",
        (What::Step(_), true) => "within",
        (What::Step(_), false) => "bar",
    });
    markup.raw(if bar.fate == Fate::Settled {
        "\""
    } else {
        " unsettled\""
    });
    markup.at("x", from).at("width", (until - from).max(THIN));
    markup.at("y", y + (ROW - BAR) / 2.0).at("height", BAR);
    markup
        .raw(" rx=\"2\"/><text")
        .at("x", until.max(from + THIN) + 6.0);
    markup.at("y", baseline).raw(">");
    match bar.fate {
        Fate::Settled => markup.text(&period(bar.took)),
        Fate::GivenUp => markup.text(&period(bar.took)).raw(", not settled"),
        Fate::Untold => markup.raw("?"),
    };
    markup.raw("</text>\n");
}

/// A time since the claim, as short as it is exact.
fn moment(second: f64) -> String {
    if second.abs() >= 600.0 {
        return format!("{:.1} min", second / 60.0);
    }
    let text = format!("{second:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(from: f64, until: f64) -> Vec<String> {
        let ticks = Window { from, until }.ticks();
        ticks.into_iter().map(moment).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 31.8), ["0 s", "10 s", "20 s", "30 s"]);
        assert_eq!(
            ticks(-0.3, 0.9),
            ["-0.2 s", "0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s"]
        );
        assert_eq!(ticks(0.0, 3600.0)[1], "16.7 min");
    }

    #[test]
    fn what_is_outside_is_drawn_at_the_edge() {
        let window = Window {
            from: 10.0,
            until: 20.0,
        };
        let near = |x: f64, y: f64| (x - y).abs() < 1e-9;
        assert!(near(window.x(5.0), LEFT) && near(window.x(25.0), RIGHT));
        assert!(near(window.x(15.0), f64::midpoint(LEFT, RIGHT)));
    }

    #[test]
    fn only_a_small_gap_that_has_ended_gets_a_picture_of_its_own() {
        let whole = Window {
            from: 0.0,
            until: 100.0,
        };
        let gap = Gap {
            from: 40.0,
            until: 50.0,
            is_open: false,
            known: Known::Measured,
        };
        assert!(gap.close_up(whole).is_some());
        let open = Gap {
            is_open: true,
            ..gap
        };
        let wide = Gap { until: 90.0, ..gap };
        let none = Gap { until: 40.0, ..gap };
        assert!(
            [open, wide, none]
                .iter()
                .all(|gap| gap.close_up(whole).is_none())
        );
    }
}
