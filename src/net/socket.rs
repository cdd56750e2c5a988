//! Waiting on sockets: a way to wake a waiting thread, and TCP reads and writes that never block on their own.
//!
//! Always holds: sockets here are non-blocking and every wait is a poll with an end; an interrupted call is tried again;
//! a wake is never lost (what it announces is looked at after `Wake::clear`).
//! Never does: wait without a deadline or somebody who wakes it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::deadline::Deadline;

/// Wakes a thread that waits on a socket. Its owner clears it and *then* looks at what may have changed.
#[derive(Debug)]
pub(super) struct Wake {
    reader: UnixStream,
    writer: UnixStream,
    /// A byte is on its way: one is enough.
    pending: AtomicBool,
}

impl Wake {
    pub(super) fn new() -> io::Result<Wake> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Wake { reader, writer, pending: AtomicBool::new(false) })
    }

    pub(super) fn wake(&self) {
        if !self.pending.swap(true, Ordering::SeqCst) {
            // A full pair is readable, which is all that is wanted.
            let _ = (&self.writer).write(&[1]);
        }
    }

    /// First the byte, then the flag: a wake in between is followed by its owner's look, and one after it writes anew.
    pub(super) fn clear(&self) {
        let mut bytes = [0_u8; 16];
        while matches!((&self.reader).read(&mut bytes), Ok(count) if count > 0) {}
        self.pending.swap(false, Ordering::SeqCst);
    }
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Bytes to read, or the end of them.
    Reading,
    /// Room to write.
    Writing,
    /// Only that the peer ends its side or breaks the connection.
    Leaving,
    /// Only that the connection is broken.
    Breaking,
}

/// Why a wait ended. Both false: the deadline, a wake, or an interruption.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// What was waited for has happened.
    pub(super) ready: bool,
    /// The connection is broken, or closed by both sides.
    pub(super) gone: bool,
}

/// Waits for one thing on a socket, for a wake, or until the deadline.
pub(super) fn wait(socket: &impl AsFd, what: For, wake: Option<&Wake>, until: Deadline) -> Seen {
    let flags = match what {
        For::Reading => PollFlags::IN,
        For::Writing => PollFlags::OUT,
        For::Leaving => peer_ended(),
        For::Breaking => PollFlags::empty(),
    };
    let mut waits = vec![PollFd::new(socket, flags)];
    waits.extend(wake.map(|wake| PollFd::new(&wake.reader, PollFlags::IN)));
    let left = until.left().unwrap_or_default();
    let timeout =
        Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) };
    if poll(&mut waits, Some(&timeout)).is_err() {
        return Seen::default();
    }
    let happened = waits[0].revents();
    Seen {
        ready: happened.intersects(flags),
        gone: happened.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
    }
}

#[cfg(target_os = "linux")]
fn peer_ended() -> PollFlags {
    PollFlags::RDHUP
}

/// Where the kernel does not tell the peer's end from bytes, both wake us and the reader finds out.
#[cfg(not(target_os = "linux"))]
fn peer_ended() -> PollFlags {
    PollFlags::IN
}

/// Reads what is there. `None`: nothing yet. `Some(0)`: the peer has ended its side.
pub(super) fn read_ready(mut stream: &TcpStream, into: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(into) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Writes what there is room for. `None`: no room.
pub(super) fn write_ready(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.write(bytes) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
