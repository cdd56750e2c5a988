//! Log lines on their way to the log file and to stderr, by one thread.
//!
//! Always holds: a caller never waits. A line goes into a bounded queue or is counted as lost; the thread writes it to
//! the file, then to the screen if there is room. So a reader of stderr who stops reading costs the screen lines, never
//! the file, and a disk that refuses costs the file lines, never the screen; both say how many once they work again.
//! One record is one line: control characters in a message are escaped, so nobody's text can forge a line or move the
//! cursor. Secrets the process told us are replaced before a line leaves.
//! Other crates never log below info, whatever `RUST_LOG` says: some print what they send.
//! Never does: print, panic, or block the end of the process past its deadline.

mod file;
mod filter;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use zeroize::Zeroizing;

use super::clock::Clock;
use super::terminal::{Screen, StatusLine};
use crate::domain::time::Wall;

/// Name of the thread.
pub const THREAD_NAME: &str = "log";
/// Name of the file in the folder; older ones are `lastorders.log.1` (the youngest) and up.
pub const FILE_NAME: &str = "lastorders.log";
/// Shorter secrets are not looked for: replacing them would eat ordinary words.
const SECRET_CHARS_MIN: usize = 6;

/// Where lines go and how many may wait.
#[derive(Debug)]
pub struct LogSettings {
    /// The folder of the log files; made when missing.
    pub folder: PathBuf,
    /// What `RUST_LOG` says.
    pub filter: String,
    /// Where people look.
    pub screen: Screen,
    /// A file is put aside before it grows beyond this.
    pub file_bytes_max: u64,
    /// How many files put aside are kept.
    pub files_kept: u32,
    /// Lines that may wait; full: the line is dropped and counted.
    pub queue_lines: usize,
    /// How long a reader of the screen is waited for, once, before lines go to the file alone.
    pub screen_patience: Duration,
    /// How long a file that refused is left alone.
    pub retry_after: Duration,
}

impl LogSettings {
    /// The usual sizes.
    pub fn new(folder: PathBuf, filter: &str, screen: Screen) -> LogSettings {
        LogSettings {
            folder,
            filter: filter.to_owned(),
            screen,
            file_bytes_max: 16 * 1024 * 1024,
            files_kept: 5,
            queue_lines: 8_192,
            screen_patience: Duration::from_millis(50),
            retry_after: Duration::from_secs(5),
        }
    }
}

/// Starts the thread. The logger is to be installed once per process (`Logger::install`).
pub fn start(settings: LogSettings) -> io::Result<(Logger, LogHandle)> {
    let (queue, lines) = bounded(settings.queue_lines);
    let shared = Arc::new(Shared::default());
    let (spec, bad_parts) = filter::checked(&settings.filter);
    let logger = Logger { filter: filter::build(&spec), queue: queue.clone(), shared: Arc::clone(&shared) };
    let has_terminal = settings.screen.is_terminal();
    let writer = writer::Writer::new(settings, lines, Arc::clone(&shared));
    let thread = thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || writer.run())?;
    for part in bad_parts {
        logger.put(Level::Warn, format!("RUST_LOG: `{part}` is not `level` or `module=level` and is ignored"));
    }
    let handle = LogHandle { queue, shared, thread: Some(thread), has_terminal };
    Ok((logger, handle))
}

/// What goes through the queue.
#[derive(Debug)]
enum Line {
    /// A log line.
    Log {
        /// When.
        at: Wall,
        /// How loud.
        level: Level,
        /// The message, escaped.
        text: String,
    },
    /// The status line to show from now on.
    Status(Option<Box<StatusLine>>),
    /// Look at the flags.
    Wake,
}

/// What callers and the thread share.
#[derive(Debug, Default)]
struct Shared {
    /// Lines that found the queue full and have not been reported yet.
    lost: AtomicU64,
    stopping: AtomicBool,
    secrets: RwLock<Vec<Zeroizing<String>>>,
}

impl Shared {
    /// The text with every secret replaced.
    fn redacted(&self, text: String) -> String {
        // A poisoned list is still the list: it is only ever pushed to.
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(text, |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), "[secret]") } else { text }
        })
    }
}

/// The front end: filters, formats the message, and puts it into the queue.
#[derive(Debug)]
pub struct Logger {
    filter: env_logger::Logger,
    queue: Sender<Line>,
    shared: Arc<Shared>,
}

impl Logger {
    /// Makes it the logger of the process.
    pub fn install(self) -> Result<(), SetLoggerError> {
        let level = self.filter.filter();
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(level);
        Ok(())
    }

    fn put(&self, level: Level, text: String) {
        let line = Line::Log { at: Clock.wall(), level, text };
        if self.queue.try_send(line).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        filter::is_within_cap(metadata) && self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !filter::is_within_cap(record.metadata()) || !self.filter.matches(record) {
            return;
        }
        let message = record.args().to_string();
        let message = escaped(&message);
        let text = match filter::is_ours(record.target()) {
            true => message,
            false => format!("{}: {message}", record.target()),
        };
        self.put(record.level(), text);
    }

    fn flush(&self) {
        // The thread writes as soon as it can; waiting for it is `LogHandle::flush_and_stop`.
    }
}

/// The other end, for the runtime. Dropping it ends the thread once the queue is empty, without waiting.
#[derive(Debug)]
pub struct LogHandle {
    queue: Sender<Line>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    has_terminal: bool,
}

impl LogHandle {
    /// Whether a status line would be seen.
    pub fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// Shows a status line below the log, or none; nothing happens where there is no terminal.
    pub fn show_status(&self, status: Option<StatusLine>) {
        if self.has_terminal {
            // Full: the next second brings a fresher one.
            let _ = self.queue.try_send(Line::Status(status.map(Box::new)));
        }
    }

    /// From now on this text is replaced wherever it would appear.
    pub fn hide(&self, secret: &str) {
        if secret.chars().count() < SECRET_CHARS_MIN {
            return;
        }
        let mut secrets = self.shared.secrets.write().unwrap_or_else(PoisonError::into_inner);
        secrets.push(Zeroizing::new(secret.to_owned()));
        // The longest first, so that a secret that is part of another does not leave the other's ends standing.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Writes what waits, clears the status line, ends the thread. `false` when it was late; it is not waited for then.
    #[allow(clippy::disallowed_methods, reason = "joining with a deadline: std has no timed join")]
    pub fn flush_and_stop(mut self, within: Duration) -> bool {
        self.signal_end();
        let Some(thread) = self.thread.take() else {
            return true;
        };
        let deadline = Clock.boot().after(within);
        while !thread.is_finished() {
            if Clock.boot() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread.join().is_ok()
    }

    fn signal_end(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = self.queue.try_send(Line::Wake);
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.signal_end();
    }
}

/// The text on one line, with nothing in it that a terminal would obey.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.trim_end_matches(['\n', '\r']).chars() {
        match letter {
            '\n' => out.push_str("\\n"),
            '\t' => out.push(' '),
            // Line separators and the marks that turn the direction of text deceive as well as control characters do.
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.extend(letter.escape_default()),
            control if control.is_control() => out.extend(control.escape_default()),
            plain => out.push(plain),
        }
    }
    out
}

/// The line as it stands in file and on screen.
fn formatted(at: Wall, level: Level, text: &str) -> String {
    format!("{at} {level:<5} {text}\n")
}

/// The level below which nothing is asked for at all.
const LEVEL_DEFAULT: LevelFilter = LevelFilter::Info;
