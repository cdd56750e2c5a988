//! What a person at a terminal sees: one status line, drawn again each second. Where stderr is no terminal: nothing.
//!
//! Always holds: LIVE stands first and cannot be overlooked, in colour and without; the line never wraps, because what
//! does not fit is left out from the end, least important last.
//! Never does: write. The log thread draws it, so that it and the log lines do not tear each other.

mod screen;

use std::fmt;
use std::time::Duration;

pub use screen::{Screen, Shown};

use crate::domain::event::Stream;
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::settings::Mode;
use crate::domain::time::Boot;

/// Between two drawings.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How things stand, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// How real it is.
    pub mode: Mode,
    /// What it is doing, in a word or two: `trading`, `paused`, `stopping 3/11`.
    pub phase: String,
    /// Since the process began.
    pub uptime: Duration,
    /// Orders that may rest.
    pub orders_open: usize,
    /// Of these, orders nobody knows about.
    pub orders_unknown: usize,
    /// Fills booked in this run.
    pub fills: u64,
    /// Profit of this run where it is known, in quote currency.
    pub profit: Option<Decimal>,
    /// What is held, flat instruments left out.
    pub positions: Vec<(Symbol, Decimal)>,
    /// Streams that do not deliver, by the venue's name.
    pub links_down: Vec<(String, Stream)>,
}

impl StatusLine {
    /// The line in at most this many columns, without colour.
    pub fn fit(&self, columns: usize) -> String {
        let mut line = String::new();
        for part in self.parts() {
            let gap = if line.is_empty() { 0 } else { 3 };
            let room = columns.saturating_sub(line.chars().count() + gap);
            if part.chars().count() > room {
                // The first part, the mode, is shown as far as it goes; nothing may stand in its place.
                if line.is_empty() {
                    line.extend(part.chars().take(columns));
                }
                break;
            }
            if gap > 0 {
                line.push_str(" | ");
            }
            line.push_str(&part);
        }
        line
    }

    /// The line for a terminal: LIVE stands white on red.
    pub fn fit_coloured(&self, columns: usize) -> String {
        let line = self.fit(columns);
        let mode = mode_words(self.mode);
        match (self.mode, line.strip_prefix(mode)) {
            (Mode::Live, Some(rest)) => format!("\x1b[1;37;41m{mode}\x1b[0m{rest}"),
            _ => line,
        }
    }

    /// Most important first.
    fn parts(&self) -> Vec<String> {
        let mut parts = vec![mode_words(self.mode).to_owned(), self.phase.clone()];
        if !self.links_down.is_empty() {
            let names: Vec<String> =
                self.links_down.iter().map(|(venue, stream)| format!("{venue} {}", stream_word(*stream))).collect();
            parts.push(format!("DOWN: {}", names.join(", ")));
        }
        parts.push(match self.orders_unknown {
            0 => format!("open {}", self.orders_open),
            unknown => format!("open {} ({unknown} unknown)", self.orders_open),
        });
        parts.push(format!("fills {}", self.fills));
        if let Some(profit) = self.profit {
            parts.push(format!("profit {}", profit.truncated(2).with_places(2)));
        }
        parts.push(format!("up {}", Uptime(self.uptime)));
        parts.extend(self.positions.iter().map(|(symbol, qty)| format!("{symbol} {qty}")));
        for part in &mut parts {
            // Names come from outside; nothing in them may move the cursor.
            *part = part.replace(char::is_control, "?");
        }
        parts
    }
}

impl fmt::Display for StatusLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.fit(usize::MAX))
    }
}

fn mode_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "*** LIVE, REAL MONEY ***",
        Mode::Paper | Mode::DryRun => mode.word(),
    }
}

fn stream_word(stream: Stream) -> &'static str {
    match stream {
        Stream::Public => "prices",
        Stream::Private => "orders",
    }
}

/// A span as a person says it: `12s`, `3m07s`, `5h02m`, `9d14h`.
struct Uptime(Duration);

impl fmt::Display for Uptime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        if days > 0 {
            write!(out, "{days}d{:02}h", hours % 24)
        } else if hours > 0 {
            write!(out, "{hours}h{:02}m", minutes % 60)
        } else if minutes > 0 {
            write!(out, "{minutes}m{:02}s", seconds % 60)
        } else {
            write!(out, "{seconds}s")
        }
    }
}

/// Tells when the line is to be drawn again.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusPace {
    next: Boot,
}

impl StatusPace {
    /// Whether it is time; if so, the next time is a second later.
    pub fn is_due(&mut self, at: Boot) -> bool {
        let due = at >= self.next;
        if due {
            self.next = at.after(STATUS_EVERY);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(mode: Mode) -> StatusLine {
        StatusLine {
            mode,
            phase: "trading".into(),
            uptime: Duration::from_secs(3_725),
            orders_open: 12,
            orders_unknown: 0,
            fills: 7,
            profit: Some("-1.239".parse().unwrap()),
            positions: vec![(Symbol::new("BTC-USDT"), "0.01".parse().unwrap())],
            links_down: Vec::new(),
        }
    }

    #[test]
    fn the_line_says_how_things_stand() {
        assert_eq!(
            status(Mode::Paper).to_string(),
            "PAPER | trading | open 12 | fills 7 | profit -1.23 | up 1h02m | BTC-USDT 0.01"
        );
    }

    #[test]
    fn trouble_stands_before_figures() {
        let mut line = status(Mode::DryRun);
        line.orders_unknown = 2;
        line.links_down = vec![("main".into(), Stream::Private), ("other".into(), Stream::Public)];
        assert_eq!(line.fit(76), "DRY_RUN | trading | DOWN: main orders, other prices | open 12 (2 unknown)");
    }

    #[test]
    fn live_is_unmistakable_with_colour_and_without() {
        let line = status(Mode::Live);
        assert!(line.fit(60).starts_with("*** LIVE, REAL MONEY *** | trading"));
        let coloured = line.fit_coloured(60);
        assert!(coloured.starts_with("\x1b[1;37;41m*** LIVE, REAL MONEY ***\x1b[0m | trading"));
        assert_eq!(line.fit(8), "*** LIVE", "even where nothing else fits");
        assert_eq!(status(Mode::Paper).fit_coloured(60), status(Mode::Paper).fit(60));
    }

    #[test]
    fn the_line_never_exceeds_the_terminal() {
        for mode in [Mode::DryRun, Mode::Paper, Mode::Live] {
            for columns in 0..120 {
                assert!(status(mode).fit(columns).chars().count() <= columns, "{columns}");
            }
        }
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        let mut line = status(Mode::Paper);
        line.links_down = vec![("\x1b[2Jmain\n".into(), Stream::Public)];
        assert!(!line.to_string().contains(char::is_control));
    }

    #[test]
    fn uptime_reads_as_people_say_it() {
        let cases = [(0, "0s"), (59, "59s"), (187, "3m07s"), (3_600, "1h00m"), (827_000, "9d13h")];
        for (seconds, text) in cases {
            assert_eq!(Uptime(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn the_line_is_drawn_once_a_second() {
        let mut pace = StatusPace::default();
        let drawn: Vec<u64> = (0..40)
            .map(|quarter| quarter * 250)
            .filter(|millis| pace.is_due(Boot::from_nanos(millis * 1_000_000)))
            .collect();
        assert_eq!(drawn, (0..10).map(|second| second * 1_000).collect::<Vec<u64>>());
    }
}
