//! The bytes below a session: a socket that keeps to deadlines, with or without TLS.
//!
//! Always holds: a read gives up when its slice is over, also while bytes keep dripping in, and gives up by `WouldBlock`,
//! which loses nothing; a write gives up by `TimedOut`, after which the session is over.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::Cutter;
use crate::net::deadline::Deadline;
use crate::net::socket::{For, read_ready, wait, write_ready};

/// No wait is longer without looking at the clock again: a machine that slept does not wait on.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A socket with deadlines for what is under way.
#[derive(Debug)]
pub(super) struct Paced {
    stream: TcpStream,
    read_by: Deadline,
    write_by: Deadline,
    /// What a read that is late says: in a handshake it failed, later nothing came.
    late: io::ErrorKind,
    /// A read of this slice has looked at the socket.
    looked: bool,
    cutter: Cutter,
}

impl Paced {
    /// For a handshake, all of it by this deadline.
    pub(super) fn new(stream: TcpStream, by: Deadline, cutter: Cutter) -> io::Result<Paced> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Paced { stream, read_by: by, write_by: by, late: io::ErrorKind::TimedOut, looked: false, cutter })
    }

    /// The next call's slices.
    fn begin(&mut self, read_slice: Duration, write_timeout: Duration) {
        self.read_by = Deadline::after(read_slice);
        self.write_by = Deadline::after(write_timeout);
        self.late = io::ErrorKind::WouldBlock;
        self.looked = false;
    }

    /// Less time for what is still to be read.
    pub(super) fn hurry(&mut self, within: Duration) {
        self.read_by = self.read_by.min(Deadline::after(within));
    }
}

impl Read for Paced {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // The first look is free, however short the slice; after it the slice counts, whatever comes in.
            if self.looked && self.read_by.is_over() {
                return Err(self.late.into());
            }
            self.looked = true;
            match read_ready(&self.stream, into)? {
                // Not the peer's end but our own cut: whoever took it for an end would send no goodbye.
                Some(0) if self.cutter.is_cut() => return Err(self.late.into()),
                Some(count) => return Ok(count),
                None => {}
            }
            wait(&self.stream, For::Reading, None, self.read_by.min(Deadline::after(LOOK_EVERY)));
        }
    }
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(count) = write_ready(&self.stream, bytes)? {
                return Ok(count);
            }
            if self.write_by.is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            wait(&self.stream, For::Writing, None, self.write_by.min(Deadline::after(LOOK_EVERY)));
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Plain or secured.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(Paced),
    Tls(Box<StreamOwned<ClientConnection, Paced>>),
}

impl Wire {
    pub(super) fn begin(&mut self, read_slice: Duration, write_timeout: Duration) {
        self.paced().begin(read_slice, write_timeout);
    }

    pub(super) fn paced(&mut self) -> &mut Paced {
        match self {
            Wire::Plain(paced) => paced,
            Wire::Tls(stream) => &mut stream.sock,
        }
    }

    /// Ends our side and reads away what still comes until the peer ends its own: unread bytes would turn our end into
    /// a reset, and a reset can take the goodbye with it.
    pub(super) fn end_by(&mut self, within: Duration) {
        self.begin(within, within);
        if let Wire::Tls(stream) = self {
            stream.conn.send_close_notify();
            // Whoever does not take it has left already.
            let _ = stream.flush();
        }
        let stream = &self.paced().stream;
        let deadline = Deadline::after(within);
        let mut bytes = [0_u8; 8_192];
        let mut may_say_more = stream.shutdown(Shutdown::Write).is_ok();
        while may_say_more && !deadline.is_over() {
            match read_ready(stream, &mut bytes) {
                Ok(Some(count)) => may_say_more = count > 0,
                Ok(None) => drop(wait(stream, For::Reading, None, deadline.min(Deadline::after(LOOK_EVERY)))),
                Err(_) => break,
            }
        }
        self.shut();
    }

    pub(super) fn shut(&mut self) {
        // What has ended already needs no ending.
        let _ = self.paced().stream.shutdown(Shutdown::Both);
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(paced) => paced.read(into),
            Wire::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(paced) => paced.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(paced) => paced.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}

/// Nothing came, and nothing is wrong.
pub(super) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The peer, or the network, ended the connection.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}
