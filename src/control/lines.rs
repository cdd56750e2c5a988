//! Lines over a socket, with a deadline for the whole line and not for each byte.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// No wait is longer without looking again.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Why a line was not read or written.
#[derive(Debug)]
pub(super) enum LineError {
    /// Not in time.
    Late,
    /// Longer than allowed.
    TooLong,
    /// The other side ended before the line did; so many bytes had come.
    Half(usize),
    /// We are closing.
    Closing,
    /// The socket failed.
    Broken(io::Error),
}

/// A moment to be done by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    #[allow(clippy::disallowed_methods, reason = "its own deadlines; the boot clock belongs to another ring")]
    pub(super) fn within(wait: Duration) -> Deadline {
        let now = Instant::now();
        // A wait beyond what the clock can count is as good as a year.
        let at = now.checked_add(wait);
        Deadline(at.unwrap_or_else(|| now + Duration::from_secs(31_536_000)))
    }

    #[allow(clippy::disallowed_methods, reason = "its own deadlines; the boot clock belongs to another ring")]
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Reads up to the first line break. `closing` ends the wait when it becomes readable or ends.
pub(super) fn read_line(
    stream: &UnixStream,
    bytes_max: usize,
    deadline: Deadline,
    closing: Option<&UnixStream>,
) -> Result<Vec<u8>, LineError> {
    stream.set_nonblocking(true).map_err(LineError::Broken)?;
    let mut line = Vec::new();
    let mut chunk = [0_u8; 4_096];
    loop {
        let mut source: &UnixStream = stream;
        match source.read(&mut chunk) {
            Ok(0) => return Err(LineError::Half(line.len())),
            Ok(count) => {
                let end = chunk[..count].iter().position(|byte| *byte == b'\n');
                line.extend_from_slice(&chunk[..end.unwrap_or(count)]);
                if line.len() > bytes_max {
                    return Err(LineError::TooLong);
                }
                if end.is_some() {
                    return Ok(line);
                }
                // Also when bytes keep coming: a drip must not outlive the deadline.
                if deadline.left().is_zero() {
                    return Err(LineError::Late);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_for(stream, PollFlags::IN, deadline, closing)?;
            }
            Err(error) => return Err(LineError::Broken(error)),
        }
    }
}

/// Writes all of it.
pub(super) fn write_all(stream: &UnixStream, mut bytes: &[u8], deadline: Deadline) -> Result<(), LineError> {
    stream.set_nonblocking(true).map_err(LineError::Broken)?;
    while !bytes.is_empty() {
        let mut sink: &UnixStream = stream;
        match sink.write(bytes) {
            Ok(count) => {
                bytes = &bytes[count..];
                if deadline.left().is_zero() && !bytes.is_empty() {
                    return Err(LineError::Late);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_for(stream, PollFlags::OUT, deadline, None)?;
            }
            Err(error) => return Err(LineError::Broken(error)),
        }
    }
    Ok(())
}

/// Waits until something may have happened, at most `LONGEST_WAIT`.
fn wait_for(
    stream: &UnixStream,
    flags: PollFlags,
    deadline: Deadline,
    closing: Option<&UnixStream>,
) -> Result<(), LineError> {
    let left = deadline.left();
    if left.is_zero() {
        return Err(LineError::Late);
    }
    let mut waits = vec![PollFd::new(stream, flags)];
    waits.extend(closing.map(|closing| PollFd::new(closing, PollFlags::IN)));
    // An interrupted wait is a wait that was over early.
    let _ = poll(&mut waits, Some(&timespec(left.min(LONGEST_WAIT))));
    match waits.get(1) {
        Some(closing) if !closing.revents().is_empty() => Err(LineError::Closing),
        _ => Ok(()),
    }
}

/// Waits until one of these is readable or ended; which ones are.
pub(super) fn readable<const N: usize>(sources: [&dyn AsFd; N]) -> [bool; N] {
    let mut waits = sources.map(|source| PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN));
    let _ = poll(&mut waits, Some(&timespec(LONGEST_WAIT)));
    waits.map(|wait| !wait.revents().is_empty())
}

fn timespec(wait: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(wait.subsec_nanos()) }
}
