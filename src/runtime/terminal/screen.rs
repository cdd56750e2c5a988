//! stderr, written to without being held up by whoever reads it.
//!
//! Always holds: a write happens only where the kernel says there is room, and in pieces a pipe takes whole. Room is
//! waited for once, for the patience of the caller; who did not read then is not waited for until there is room again.
//! So a reader who is merely slower than a burst loses nothing, and one who is gone costs a moment, once. Pipes and
//! terminals are opened anew without blocking, because "room" on a terminal may be a single byte, and because others
//! may fill a shared pipe between the question and the write.
//! Never does: fail. Output nobody can read is counted by the caller, not an error.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, isatty, tcgetattr, tcgetpgrp, tcgetwinsize};

/// What a pipe takes in one piece or not at all.
const PIECE_BYTES_MAX: usize = 4_096;
/// For a terminal that does not tell its width.
const COLUMNS_DEFAULT: usize = 80;

/// What became of some output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Taken.
    Yes,
    /// No room: nobody reads, or not fast enough.
    NoRoom,
    /// Nobody will ever read it again.
    Gone,
}

/// A place to show lines.
#[derive(Debug)]
pub struct Screen {
    file: Option<File>,
    is_terminal: bool,
    /// The end of a piece that was taken in part; goes first when there is room.
    rest: Vec<u8>,
    /// There was no room when we last waited for it.
    is_stuck: bool,
}

impl Screen {
    /// This process's stderr.
    pub fn stderr() -> Screen {
        match io::stderr().as_fd().try_clone_to_owned() {
            Ok(fd) => Screen::on(fd),
            Err(_) => Screen::none(),
        }
    }

    /// Nothing: whatever is shown is gone.
    pub fn none() -> Screen {
        Screen { file: None, is_terminal: false, rest: Vec::new(), is_stuck: false }
    }

    /// Whatever this descriptor is.
    pub fn on(fd: OwnedFd) -> Screen {
        let is_terminal = isatty(&fd);
        Screen { file: Some(File::from(unblocked(fd, is_terminal))), is_terminal, rest: Vec::new(), is_stuck: false }
    }

    /// Whether a person may be looking.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Its width.
    pub fn columns(&self) -> usize {
        let size = self.file.as_ref().and_then(|file| tcgetwinsize(file).ok());
        match size.map(|size| usize::from(size.ws_col)) {
            None | Some(0) => COLUMNS_DEFAULT,
            Some(columns) => columns,
        }
    }

    /// Shows all of it, now or as soon as there is room, or nothing of it.
    pub fn show(&mut self, bytes: &[u8], patience: Duration) -> Shown {
        let rest = std::mem::take(&mut self.rest);
        match self.write(&rest, patience) {
            (_, Shown::Yes) => {}
            (taken, other) => {
                self.rest = rest[taken..].to_vec();
                return other;
            }
        }
        match self.write(bytes, patience) {
            (0, other) => other,
            (taken, Shown::NoRoom) => {
                self.rest = bytes[taken..].to_vec();
                Shown::Yes
            }
            (_, other) => other,
        }
    }

    /// Writes piece by piece; how much was taken, and how it ended.
    fn write(&mut self, bytes: &[u8], patience: Duration) -> (usize, Shown) {
        let Some(file) = &mut self.file else {
            return (0, Shown::Gone);
        };
        let mut taken = 0;
        while taken < bytes.len() {
            let patience = if self.is_stuck { Duration::ZERO } else { patience };
            self.is_stuck = !has_room(file, self.is_terminal, patience);
            if self.is_stuck {
                return (taken, Shown::NoRoom);
            }
            let piece = &bytes[taken..bytes.len().min(taken + PIECE_BYTES_MAX)];
            match file.write(piece) {
                Ok(count) => taken += count,
                Err(error) => {
                    let shown = meaning(&error);
                    if shown == Shown::Gone {
                        self.file = None;
                    }
                    return (taken, shown);
                }
            }
        }
        (taken, Shown::Yes)
    }
}

/// A closed pipe, a terminal that hung up, a descriptor that is none: gone. A full disk or an interrupted call: later.
fn meaning(error: &io::Error) -> Shown {
    let gone = [rustix::io::Errno::IO, rustix::io::Errno::NXIO, rustix::io::Errno::BADF];
    let is_gone = error.kind() == io::ErrorKind::BrokenPipe
        || gone.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    if is_gone { Shown::Gone } else { Shown::NoRoom }
}

fn has_room(file: &File, is_terminal: bool, patience: Duration) -> bool {
    let wait = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    if is_terminal && would_be_stopped(file) {
        return false;
    }
    let mut waits = [PollFd::new(file, PollFlags::OUT)];
    let asked = poll(&mut waits, Some(&wait));
    // A closed or broken end is "ready": the write says which.
    asked.is_ok_and(|ready| ready > 0)
}

/// With `stty tostop`, a process that is not in the terminal's foreground is stopped for writing to it.
fn would_be_stopped(file: &File) -> bool {
    let in_background = tcgetpgrp(file).is_ok_and(|foreground| foreground != getpgrp());
    in_background && tcgetattr(file).is_ok_and(|modes| modes.local_modes.contains(LocalModes::TOSTOP))
}

/// The same pipe or terminal through a description of our own that does not block. Setting the flag on the one we
/// inherited would set it for everyone who shares it. Files keep theirs, since it holds the place to write at.
fn unblocked(fd: OwnedFd, is_terminal: bool) -> OwnedFd {
    let is_pipe = fstat(&fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if !is_pipe && !is_terminal {
        return fd;
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap_or(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Shows numbered lines until there is no room; how many were taken.
    fn fill(screen: &mut Screen, line: &str) -> usize {
        (0..100_000).find(|_| screen.show(line.as_bytes(), Duration::ZERO) != Shown::Yes).unwrap()
    }

    #[test]
    fn a_pipe_nobody_reads_has_no_room_and_blocks_nobody() {
        let (mut reads, writes) = io::pipe().unwrap();
        let mut screen = Screen::on(writes.into());
        let shown = fill(&mut screen, "a line\n");
        assert!(shown > 1_000);
        assert_eq!(screen.show(b"one more\n", Duration::ZERO), Shown::NoRoom);
        let mut bytes = vec![0; 4_096 * 4];
        reads.read_exact(&mut bytes).unwrap();
        assert_eq!(screen.show(b"seen\n", Duration::ZERO), Shown::Yes);
        drop(screen);
        let mut text = String::new();
        reads.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("a line\nseen\n"), "whole lines only");
    }

    #[test]
    fn a_reader_is_waited_for_once_and_again_only_after_there_was_room() {
        let (mut reads, writes) = io::pipe().unwrap();
        let mut screen = Screen::on(writes.into());
        fill(&mut screen, "a line\n");
        assert!(screen.is_stuck);
        let for_ever = Duration::from_secs(3_600);
        assert_eq!(screen.show(b"not waited for\n", for_ever), Shown::NoRoom);
        reads.read_exact(&mut vec![0; 4_096 * 4]).unwrap();
        assert_eq!(screen.show(b"seen\n", for_ever), Shown::Yes);
        assert!(!screen.is_stuck);
    }

    #[test]
    fn a_long_line_that_fits_in_part_is_finished_before_the_next() {
        let (mut reads, writes) = io::pipe().unwrap();
        let mut screen = Screen::on(writes.into());
        let long = format!("{}\n", "x".repeat(9_999));
        let shown = fill(&mut screen, &long);
        let mut first = vec![0; 40_000];
        reads.read_exact(&mut first).unwrap();
        assert_eq!(screen.show(b"next\n", Duration::ZERO), Shown::Yes);
        drop(screen);
        let mut rest = Vec::new();
        reads.read_to_end(&mut rest).unwrap();
        let text = String::from_utf8([first, rest].concat()).unwrap();
        assert_eq!(text, format!("{}next\n", long.repeat(shown)));
    }

    #[test]
    fn a_closed_pipe_is_gone_for_good() {
        let (reads, writes) = io::pipe().unwrap();
        let mut screen = Screen::on(writes.into());
        drop(reads);
        assert_eq!(screen.show(b"x\n", Duration::ZERO), Shown::Gone);
        assert_eq!(screen.show(b"x\n", Duration::ZERO), Shown::Gone);
        assert_eq!(Screen::none().show(b"x\n", Duration::ZERO), Shown::Gone);
    }

    #[test]
    fn a_socket_nobody_reads_blocks_nobody_either() {
        let (_reads, writes) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut screen = Screen::on(writes.into());
        assert!(fill(&mut screen, "a line\n") > 10);
    }

    #[test]
    fn a_file_is_appended_to_where_others_write_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("err.log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"before\n").unwrap();
        let mut screen = Screen::on(file.try_clone().unwrap().into());
        assert!(!screen.is_terminal());
        assert_eq!(screen.show(b"ours\n", Duration::ZERO), Shown::Yes);
        file.write_all(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\nours\nafter\n");
        assert_eq!(screen.columns(), COLUMNS_DEFAULT);
    }

    #[test]
    fn the_flags_of_the_inherited_end_stay_as_they_were() {
        let (_reads, writes) = io::pipe().unwrap();
        let kept = writes.try_clone().unwrap();
        let _screen = Screen::on(writes.into());
        assert!(!rustix::fs::fcntl_getfl(&kept).unwrap().contains(OFlags::NONBLOCK));
    }
}
