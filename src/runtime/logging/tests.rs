//! The log from end to end, with real pipes and files and without a global logger.

use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode as FileMode, OFlags, fcntl_setfl, mknodat};

use super::*;
use crate::domain::settings::Mode;

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(folder: &Path, screen: Screen) -> LogSettings {
    LogSettings::new(folder.to_owned(), "", screen)
}

fn say(logger: &Logger, level: Level, target: &str, text: &str) {
    logger.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
}

fn info(logger: &Logger, text: &str) {
    say(logger, Level::Info, "lastorders::test", text);
}

/// The messages of a log text, without their times; every line must have one.
fn messages(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            assert_eq!(time.len(), "2026-11-20T10:11:12.123Z".len(), "{line}");
            rest.to_owned()
        })
        .collect()
}

fn file_text(folder: &Path) -> String {
    fs::read_to_string(folder.join(FILE_NAME)).unwrap()
}

fn pipe() -> (io::PipeReader, Screen) {
    let (reads, writes) = io::pipe().unwrap();
    (reads, Screen::on(OwnedFd::from(writes)))
}

fn rest_of(mut reads: io::PipeReader) -> String {
    let mut text = String::new();
    reads.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_line_has_a_time_a_level_and_the_message_and_goes_to_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let (reads, screen) = pipe();
    let (logger, handle) = start(settings(folder.path(), screen)).unwrap();
    info(&logger, "trading");
    say(&logger, Level::Error, "lastorders", "look here");
    say(&logger, Level::Warn, "ureq::pool", "from elsewhere");
    say(&logger, Level::Debug, "lastorders", "too quiet");
    say(&logger, Level::Trace, "ureq", "Authorization: canary");
    assert!(handle.flush_and_stop(PATIENCE));
    let text = file_text(folder.path());
    assert_eq!(messages(&text), ["INFO  trading", "ERROR look here", "WARN  ureq::pool: from elsewhere"]);
    assert_eq!(rest_of(reads), text);
}

#[test]
fn nobody_reading_stderr_stops_neither_the_callers_nor_the_file() {
    const LINES: usize = 6_000;
    let folder = tempfile::tempdir().unwrap();
    let (reads, screen) = pipe();
    let (logger, handle) = start(settings(folder.path(), screen)).unwrap();
    for number in 0..LINES {
        info(&logger, &format!("line {number} of a program whose output nobody reads"));
    }
    assert!(handle.flush_and_stop(PATIENCE), "the end does not wait for a reader");
    let written = messages(&file_text(folder.path()));
    assert_eq!(written.len(), LINES);
    for (number, line) in written.iter().enumerate() {
        assert_eq!(*line, format!("INFO  line {number} of a program whose output nobody reads"));
    }
    let shown = messages(&rest_of(reads));
    assert!(shown.len() < LINES && shown[..] == written[..shown.len()], "whole lines, from the first");
}

#[test]
fn a_reader_who_comes_back_is_told_how_much_is_missing() {
    const LINES: usize = 4_000;
    let folder = tempfile::tempdir().unwrap();
    let (mut reads, screen) = pipe();
    let (logger, handle) = start(settings(folder.path(), screen)).unwrap();
    for number in 0..LINES {
        info(&logger, &format!("line {number}, which is long enough to fill a pipe soon"));
    }
    // The file is written before the screen: once the last line is there, all but it met a full pipe.
    while !fs::read_to_string(folder.path().join(FILE_NAME))
        .is_ok_and(|text| text.contains(&format!("line {},", LINES - 1)))
    {
        thread::yield_now();
    }
    let mut first = vec![0; 32 * 1_024];
    reads.read_exact(&mut first).unwrap();
    info(&logger, "after the gap");
    assert!(handle.flush_and_stop(PATIENCE));
    let text = String::from_utf8([first, rest_of(reads).into_bytes()].concat()).unwrap();
    let shown = messages(&text);
    let (notices, lines): (Vec<&String>, Vec<&String>) = shown.iter().partition(|line| line.contains("were not shown"));
    assert!(!notices.is_empty());
    let missing: usize =
        notices.iter().map(|line| line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(lines.len() + missing, LINES + 1, "shown and missing make all of them");
    assert_eq!(shown.last().unwrap(), "INFO  after the gap");
}

#[test]
fn a_reader_slower_than_a_burst_loses_nothing() {
    const LINES: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let (mut reads, screen) = pipe();
    let mut settings = settings(folder.path(), screen);
    settings.queue_lines = 5 * LINES;
    settings.screen_patience = PATIENCE;
    let (logger, handle) = start(settings).unwrap();
    for number in 0..LINES {
        info(&logger, &format!("line {number} of a burst, many times what a pipe holds"));
    }
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let mut little = [0; 512];
        while let Ok(count @ 1..) = reads.read(&mut little) {
            text.push_str(std::str::from_utf8(&little[..count]).unwrap());
        }
        text
    });
    assert!(handle.flush_and_stop(PATIENCE));
    assert_eq!(reader.join().unwrap(), file_text(folder.path()));
}

#[test]
fn a_closed_stderr_is_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let (reads, screen) = pipe();
    let (logger, handle) = start(settings(folder.path(), screen)).unwrap();
    drop(reads);
    for number in 0..100 {
        info(&logger, &number.to_string());
    }
    assert!(handle.flush_and_stop(PATIENCE));
    assert_eq!(messages(&file_text(folder.path())).len(), 100);
    info(&logger, "after the end"); // Goes nowhere, harms nobody.
}

#[test]
fn a_full_queue_drops_counts_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    // A log file that takes nothing for now: a pipe with a reader who waits.
    mknodat(CWD, &path, FileType::Fifo, FileMode::from_raw_mode(0o600), 0).unwrap();
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let mut slow = fs::File::from(rustix::fs::open(&path, flags, FileMode::empty()).unwrap());
    fcntl_setfl(&slow, OFlags::empty()).unwrap();
    let mut settings = settings(folder.path(), Screen::none());
    settings.queue_lines = 256;
    settings.file_bytes_max = u64::MAX;
    let (logger, handle) = start(settings).unwrap();
    let mut n_said: usize = 0;
    let lost = || logger.shared.lost.load(Ordering::Relaxed);
    let mut say_until = |done: &dyn Fn() -> bool| {
        while !done() {
            info(&logger, "a line that fills the pipe behind the log file until it takes no more");
            n_said += 1;
        }
    };
    // Room for a few lines is left in the pipe, and then more than that wait in a full queue: now the thread is stuck.
    say_until(&|| rustix::io::ioctl_fionread(&slow).unwrap() > 60_000);
    let lost_before = lost();
    say_until(&|| lost() > lost_before + 100);
    assert!(!handle.flush_and_stop(Duration::from_millis(20)), "a disk that hangs makes it late, no more");
    let mut seen = String::new();
    slow.read_to_string(&mut seen).unwrap(); // Until the thread has ended.
    let lines = messages(&seen);
    let (notices, written): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("log lines were lost"));
    let lost: usize =
        notices.iter().map(|line| line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()).sum();
    assert!(lost >= 100);
    assert_eq!(written.len() + lost, n_said, "written and lost make all of them");
}

#[test]
fn a_disk_that_refuses_is_said_on_the_screen_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::write(&logs, "in the way").unwrap();
    let (reads, screen) = pipe();
    let mut settings = settings(&logs, screen);
    settings.retry_after = Duration::ZERO;
    let (logger, handle) = start(settings).unwrap();
    info(&logger, "one");
    info(&logger, "two");
    let mut reads = io::BufReader::new(reads);
    let mut shown = String::new();
    while !shown.contains("two") {
        io::BufRead::read_line(&mut reads, &mut shown).unwrap();
    }
    fs::remove_file(&logs).unwrap();
    info(&logger, "three");
    assert!(handle.flush_and_stop(PATIENCE));
    reads.read_to_string(&mut shown).unwrap();
    let shown = messages(&shown);
    assert!(shown[0].starts_with("ERROR the log file cannot be written"), "{shown:?}");
    assert_eq!(shown[1..3], ["INFO  one", "INFO  two"]);
    assert!(shown[3].starts_with("WARN  the log file takes lines again; 2 lines"), "{shown:?}");
    assert_eq!(shown[4], "INFO  three");
    let written = messages(&file_text(&logs));
    assert_eq!(written[0], "INFO  three");
    assert!(written[1].contains("2 lines before the last one are missing"));
}

#[test]
fn secrets_never_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (reads, screen) = pipe();
    let (logger, handle) = start(settings(folder.path(), screen)).unwrap();
    handle.hide("canary-key");
    handle.hide("canary-key-and-more");
    handle.hide("");
    handle.hide("a");
    info(&logger, "key=canary-key, again canary-key; longer canary-key-and-more, and a plain word");
    say(&logger, Level::Error, "canary-key::module", "x");
    assert!(handle.flush_and_stop(PATIENCE));
    let text = file_text(folder.path());
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(messages(&text)[0], "INFO  key=[secret], again [secret]; longer [secret], and a plain word");
    assert_eq!(rest_of(reads), text);
}

#[test]
fn a_message_cannot_forge_a_line_or_move_the_cursor() {
    let cases = [
        ("two\nlines", "two\\nlines"),
        ("ends here\n", "ends here"),
        ("\x1b[2Jcleared\r", "\\u{1b}[2Jcleared"),
        ("tab\there", "tab here"),
        ("bell\x07 nul\0", "bell\\u{7} nul\\u{0}"),
        ("\u{202e}reversed\u{2028}", "\\u{202e}reversed\\u{2028}"),
        ("grüße €", "grüße €"),
    ];
    for (message, line) in cases {
        assert_eq!(escaped(message), line);
    }
}

#[test]
fn a_bad_filter_is_said_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), Screen::none());
    settings.filter = "lastorders=loud,lastorders=debug".into();
    let (logger, handle) = start(settings).unwrap();
    say(&logger, Level::Debug, "lastorders::engine", "seen");
    assert!(handle.flush_and_stop(PATIENCE));
    let written = messages(&file_text(folder.path()));
    assert!(written[0].starts_with("WARN  RUST_LOG: `lastorders=loud`"), "{written:?}");
    assert_eq!(written[1], "DEBUG seen");
}

#[test]
fn without_a_terminal_there_is_no_status_line() {
    let folder = tempfile::tempdir().unwrap();
    let (reads, screen) = pipe();
    let (logger, handle) = start(settings(folder.path(), screen)).unwrap();
    assert!(!handle.has_terminal());
    handle.show_status(Some(StatusLine {
        mode: Mode::Live,
        phase: "trading".into(),
        uptime: Duration::ZERO,
        orders_open: 0,
        orders_unknown: 0,
        fills: 0,
        profit: None,
        positions: Vec::new(),
        links_down: Vec::new(),
    }));
    info(&logger, "only this");
    assert!(handle.flush_and_stop(PATIENCE));
    assert_eq!(messages(&rest_of(reads)), ["INFO  only this"]);
}

#[test]
fn dropping_the_handle_still_writes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (reads, screen) = pipe();
    let (logger, handle) = start(settings(folder.path(), screen)).unwrap();
    info(&logger, "last words");
    drop(handle);
    // The thread owns the other end: the text ends when the thread does.
    assert_eq!(messages(&rest_of(reads)), ["INFO  last words"]);
}

proptest! {
    #[test]
    fn an_escaped_text_is_one_line_without_control(text in any::<String>()) {
        prop_assert!(!escaped(&text).contains(char::is_control));
    }
}
