//! One connection: TCP, and TLS over it where the address asks for it.
//!
//! Always holds: every wait ends by the deadline of the call, looked at anew at least four times a second; bytes count as
//! sent from the moment the kernel takes the first of them; an end of the stream that the peer did not announce properly
//! is an error, never a whole answer; a connection is used again only if nothing has come in on it meanwhile.
//! Never does: know HTTP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::control::Control;
use super::words;
use crate::net::address::Address;
use crate::net::deadline::{Deadline, since_boot};
use crate::net::roots::Roots;

/// TLS records looked at between two calls (session tickets, key updates). A peer that sends more is not used again.
const IDLE_READS_MAX: u32 = 16;

/// Why a connection did not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The deadline passed.
    TimedOut,
    /// Another thread cut it.
    Cut,
    /// The other side closed.
    Closed,
    /// Anything else, in words.
    Other(String),
}

impl Fault {
    fn of(error: &io::Error) -> Fault {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Fault::Closed,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::TimedOut,
            _ => Fault::Other(error.to_string()),
        }
    }
}

/// How a connection is made.
pub(super) struct Dial<'a> {
    pub(super) address: &'a Address,
    pub(super) roots: &'a Roots,
    /// Whether closing it drops what is still queued.
    pub(super) closes_hard: bool,
    pub(super) control: &'a Arc<Control>,
}

/// The socket, with a deadline.
struct Socket {
    stream: Arc<TcpStream>,
    control: Arc<Control>,
    deadline: Deadline,
    n_sent: u64,
    /// The time-outs the socket has now.
    read_slice: Option<Duration>,
    write_slice: Option<Duration>,
    fault: Option<Fault>,
}

/// One connection.
pub(super) struct Line {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    idle_since: Duration,
    /// What the request has of bytes so far; they leave together.
    pending: Vec<u8>,
    /// The whole answer was read and the connection may serve another call.
    pub(super) is_reusable: bool,
}

impl Line {
    /// Connects, and shakes hands where TLS is asked for.
    pub(super) fn dial(dial: &Dial<'_>, to: SocketAddr, deadline: Deadline) -> Result<Line, Fault> {
        let left = deadline.left().ok_or(Fault::TimedOut)?;
        let stream = TcpStream::connect_timeout(&to, left).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::TimedOut,
            _ => Fault::Other(error.to_string()),
        })?;
        let prepared = stream.set_nodelay(true).and_then(|()| match dial.closes_hard {
            true => rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).map_err(io::Error::from),
            false => Ok(()),
        });
        prepared.map_err(|error| Fault::of(&error))?;
        let stream = Arc::new(stream);
        if !dial.control.hold(&stream) {
            return Err(Fault::Cut);
        }
        let mut socket = Socket {
            stream,
            control: Arc::clone(dial.control),
            deadline,
            n_sent: 0,
            read_slice: None,
            write_slice: None,
            fault: None,
        };
        let tls = match dial.address.scheme().is_tls() {
            true => Some(Box::new(shake_hands(dial, &mut socket)?)),
            false => None,
        };
        Ok(Line { socket, tls, idle_since: since_boot(), pending: Vec::new(), is_reusable: false })
    }

    /// A call begins on it.
    pub(super) fn begin(&mut self, deadline: Deadline) -> Result<(), Fault> {
        if !self.socket.control.hold(&self.socket.stream) {
            return Err(Fault::Cut);
        }
        self.socket.deadline = deadline;
        self.socket.n_sent = 0;
        self.socket.fault = None;
        self.pending.clear();
        self.is_reusable = false;
        Ok(())
    }

    /// The call is over; how long it is not used counts from now.
    pub(super) fn rest(&mut self) {
        self.idle_since = since_boot();
    }

    /// How long no call has used it, sleep of the machine included.
    pub(super) fn idle_for(&self) -> Duration {
        since_boot().saturating_sub(self.idle_since)
    }

    /// Bytes of the call under way that the kernel has taken.
    pub(super) fn n_sent(&self) -> u64 {
        self.socket.n_sent
    }

    /// What went wrong in the call under way.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.socket.fault.clone()
    }

    /// Notes what went wrong.
    pub(super) fn fail(&mut self, fault: Fault) -> Fault {
        self.socket.fail(fault)
    }

    /// Whether it goes over TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether it can serve another call: the peer has neither closed it nor said anything unasked.
    pub(super) fn is_alive(&mut self) -> bool {
        // What TLS has unpacked already and nobody read was not asked for either.
        if let Some(tls) = &mut self.tls
            && !has_nothing_to_say(tls)
        {
            return false;
        }
        let mut buffer = [0; 4_096];
        for _ in 0..IDLE_READS_MAX {
            let got = match recv(&self.socket.stream, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((n, _)) if n > 0 => &buffer[..n],
                Err(rustix::io::Errno::AGAIN) => return true,
                Err(rustix::io::Errno::INTR) => continue,
                Ok(_) | Err(_) => return false,
            };
            // Plain text: nothing may come in unasked. TLS has words of its own between two answers.
            let Some(tls) = &mut self.tls else { return false };
            let mut rest = got;
            while !rest.is_empty() {
                if !matches!(tls.read_tls(&mut rest), Ok(n) if n > 0) || !has_nothing_to_say(tls) {
                    return false;
                }
            }
        }
        false
    }

    /// Takes a part of the request.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// How much of the request waits to leave.
    pub(super) fn n_queued(&self) -> usize {
        self.pending.len()
    }

    /// Lets the queued part of the request leave.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while !rest.is_empty() {
            let done = match &mut self.tls {
                None => self.socket.write(rest),
                Some(tls) => send_tls(tls, &mut self.socket, rest),
            };
            match done {
                Ok(0) => return Err(self.fail(Fault::Closed)),
                Ok(n) => rest = &rest[n..],
                Err(error) => return Err(self.fail(Fault::of(&error))),
            }
        }
        Ok(())
    }

    /// Reads some of the answer. 0 is an end that the peer announced properly.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let read = match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => receive_tls(tls, &mut self.socket, buffer),
        };
        match read {
            // A cut looks like an end that the peer announced.
            Ok(0) if self.socket.control.is_cut() => Err(self.fail(Fault::Cut)),
            Ok(n) => Ok(n),
            Err(error) => Err(self.fail(Fault::of(&error))),
        }
    }
}

fn shake_hands(dial: &Dial<'_>, socket: &mut Socket) -> Result<ClientConnection, Fault> {
    let host = dial.address.host();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Fault::Other(error.to_string()))?;
    let mut tls = ClientConnection::new(Arc::clone(dial.roots.tls()), name)
        .map_err(|error| Fault::Other(words::tls(&error, host)))?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(socket) {
            let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let fault = match (refused, error.kind()) {
                (Some(refused), _) => Fault::Other(words::tls(refused, host)),
                (None, ErrorKind::UnexpectedEof) => Fault::Other(words::CLOSED_IN_HANDSHAKE.to_owned()),
                (None, _) => Fault::of(&error),
            };
            return Err(socket.fail(fault));
        }
    }
    Ok(tls)
}

/// Whether TLS has unpacked neither words of the peer nor its farewell.
fn has_nothing_to_say(tls: &mut ClientConnection) -> bool {
    matches!(tls.process_new_packets(), Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
}

fn send_tls(tls: &mut ClientConnection, socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
    let n = tls.writer().write(bytes)?;
    while tls.wants_write() {
        if tls.write_tls(socket)? == 0 {
            return Err(ErrorKind::BrokenPipe.into());
        }
    }
    Ok(n)
}

fn receive_tls(tls: &mut ClientConnection, socket: &mut Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Without the farewell that TLS demands, an end may be the work of anybody on the way.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(ErrorKind::ConnectionReset.into()),
            done => return done,
        }
        tls.read_tls(socket)?;
        let news = tls.process_new_packets();
        while tls.wants_write() {
            // Answers of TLS itself. That they cannot be sent shows in what is read next.
            if tls.write_tls(socket).is_err() {
                break;
            }
        }
        news.map_err(|error| io::Error::other(format!("TLS broke: {error}")))?;
    }
}

impl Socket {
    fn fail(&mut self, fault: Fault) -> Fault {
        // A cut explains whatever else went wrong.
        let fault = if self.control.is_cut() { Fault::Cut } else { fault };
        self.fault.get_or_insert(fault).clone()
    }

    /// The next time-out, or that there is none left.
    fn slice(&mut self) -> io::Result<Duration> {
        if self.control.is_cut() {
            self.fail(Fault::Cut);
            return Err(io::Error::other("cut"));
        }
        self.deadline.slice().ok_or_else(|| {
            self.fail(Fault::TimedOut);
            io::Error::other("timed out")
        })
    }
}

/// Whether to look at the deadline and wait on. A signal or a slice that is over is no failure.
fn is_only_a_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let slice = self.slice()?;
            if self.read_slice != Some(slice) {
                self.stream.set_read_timeout(Some(slice))?;
                self.read_slice = Some(slice);
            }
            match (&*self.stream).read(buffer) {
                Err(error) if is_only_a_pause(&error) => {}
                done => return done,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let slice = self.slice()?;
            if self.write_slice != Some(slice) {
                self.stream.set_write_timeout(Some(slice))?;
                self.write_slice = Some(slice);
            }
            match (&*self.stream).write(bytes) {
                Err(error) if is_only_a_pause(&error) => {}
                Ok(n) => {
                    self.n_sent += n as u64;
                    return Ok(n);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
