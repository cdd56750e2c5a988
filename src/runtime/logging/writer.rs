//! The thread `log`: takes lines out of the queue, writes them to the file, then to the screen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::Level;

use super::file::{FileNews, LogFile};
use super::{Line, LogSettings, Shared, formatted};
use crate::domain::time::Wall;
use crate::runtime::clock::Clock;
use crate::runtime::terminal::{Screen, Shown, StatusLine};

/// No wait is longer, so a lost wake-up costs a moment.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// Goes to the start of the terminal's line and clears it.
const CLEAR_LINE: &[u8] = b"\r\x1b[2K";

pub(super) struct Writer {
    lines: Receiver<Line>,
    shared: Arc<Shared>,
    file: LogFile,
    screen: Screen,
    /// The status line that stands below the log.
    status: Option<Box<StatusLine>>,
    /// How long a reader of the screen is waited for, once.
    screen_patience: Duration,
    /// Lines the screen had no room for and that have not been reported yet.
    n_unshown: u64,
}

impl Writer {
    pub(super) fn new(settings: LogSettings, lines: Receiver<Line>, shared: Arc<Shared>) -> Writer {
        Writer {
            lines,
            shared,
            file: LogFile::new(settings.folder, settings.file_bytes_max, settings.files_kept, settings.retry_after),
            screen: settings.screen,
            screen_patience: settings.screen_patience,
            status: None,
            n_unshown: 0,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let is_last = self.shared.stopping.load(Ordering::SeqCst);
            let wait = if is_last { Duration::ZERO } else { LONGEST_WAIT };
            match self.lines.recv_timeout(wait) {
                Ok(line) => self.take(line),
                Err(RecvTimeoutError::Timeout) if !is_last => self.rest(),
                // Nothing waits and nothing more is expected.
                Err(_) => return self.end(),
            }
            // There is room again once half the queue is worked off.
            if self.lines.len() * 2 <= self.lines.capacity().unwrap_or(usize::MAX) {
                self.report_lost();
            }
        }
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Log { at, level, text } => self.write(at, level, text),
            Line::Status(status) => {
                self.status = status;
                let drawing = self.drawn(b"");
                // A status line that is not seen is no loss.
                self.screen.show(&drawing, self.patience());
            }
            Line::Wake => {}
        }
    }

    /// Nothing to do for a moment: looks after what was put off.
    fn rest(&mut self) {
        self.file.look_after();
        self.report_unshown();
    }

    fn end(&mut self) {
        self.report_lost();
        self.status = None;
        self.report_unshown();
        let cleared = self.drawn(b"");
        self.screen.show(&cleared, self.patience());
    }

    fn write(&mut self, at: Wall, level: Level, text: String) {
        let line = self.shared.redacted(formatted(at, level, &text));
        match self.file.append(Clock.boot(), &line) {
            None => {}
            Some(FileNews::Refuses(why)) => {
                let text = format!("the log file cannot be written, lines go to stderr alone: {why}");
                self.show(&self.own_line(Level::Error, &text));
            }
            Some(FileNews::Recovered { lost }) => {
                let text = format!("the log file takes lines again; {lost} lines before the last one are missing");
                let news = self.own_line(Level::Warn, &text);
                self.file.append(Clock.boot(), &news);
                self.show(&news);
            }
        }
        self.show(&line);
    }

    fn report_lost(&mut self) {
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} log lines were lost, because they came faster than they could be written");
            self.write(Clock.wall(), Level::Warn, text);
        }
    }

    fn show(&mut self, line: &str) {
        self.report_unshown();
        if self.n_unshown > 0 {
            self.n_unshown += 1;
            return;
        }
        let drawing = self.drawn(line.as_bytes());
        if self.screen.show(&drawing, self.patience()) == Shown::NoRoom {
            self.n_unshown += 1;
        }
    }

    /// Says what is missing on the screen, as soon as there is room.
    fn report_unshown(&mut self) {
        if self.n_unshown == 0 {
            return;
        }
        let text = format!(
            "{} lines were not shown, because nobody read them; they are in {}",
            self.n_unshown,
            self.file.path().display()
        );
        let drawing = self.drawn(self.own_line(Level::Warn, &text).as_bytes());
        if self.screen.show(&drawing, self.patience()) != Shown::NoRoom {
            self.n_unshown = 0;
        }
    }

    /// A reader is waited for only while few lines wait: the file must not fall behind for the screen's sake.
    fn patience(&self) -> Duration {
        let capacity = self.lines.capacity().unwrap_or(usize::MAX);
        if self.lines.len() > capacity / 4 { Duration::ZERO } else { self.screen_patience }
    }

    fn own_line(&self, level: Level, text: &str) -> String {
        self.shared.redacted(formatted(Clock.wall(), level, text))
    }

    /// A line as the screen gets it: on a terminal the status line makes way and is drawn again, in one piece.
    fn drawn(&self, line: &[u8]) -> Vec<u8> {
        if !self.screen.is_terminal() {
            return line.to_vec();
        }
        let mut drawing = CLEAR_LINE.to_vec();
        drawing.extend_from_slice(line);
        if let Some(status) = &self.status {
            // One column stays free: a full line would wrap on some terminals.
            let columns = self.screen.columns().saturating_sub(1);
            let status = self.shared.redacted(status.fit_coloured(columns));
            drawing.extend_from_slice(status.as_bytes());
        }
        drawing
    }
}
