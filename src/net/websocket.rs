//! A WebSocket session as a client: opened by a deadline, read in slices, written with a deadline, cut from elsewhere.
//!
//! Always holds: plain text goes to loopback addresses only; certificates are checked by the configuration that is handed
//! in; frames and messages have a largest size; no call blocks longer than its own deadline, whatever the peer does or
//! leaves undone, except that a [`Cutter`] cannot shorten the TCP connect itself.
//! Never does: open again, resubscribe, ping on its own, or repeat in an error what was sent or what was asked for.

mod handshake;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use super::address::Address;
use super::deadline::Deadline;
use super::resolver::Resolver;
use super::roots::Roots;
use handshake::Reached;
use wire::Wire;

/// Longest piece of a peer's own words in an error or a reason.
const EXCERPT_CHARS_MAX: usize = 200;

/// Where to, already resolved.
#[derive(Clone)]
pub struct Target {
    /// The name in the peer's certificate.
    pub host: String,
    /// Host, and port where it is not the usual one: what the `Host` header says.
    pub authority: String,
    /// What is asked for. May hold a token, so it is never shown.
    pub path_and_query: String,
    /// Where to connect, the likeliest first.
    pub addresses: Vec<SocketAddr>,
    /// Over TLS with this configuration; without it in plain text, to loopback only.
    pub tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("authority", &self.authority)
            .field("addresses", &self.addresses)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// Limits and patience of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For all of connecting, TLS and upgrading together.
    pub handshake_timeout: Duration,
    /// How long a read waits for something to come.
    pub read_slice: Duration,
    /// For a whole frame to leave: a peer that does not read must not hold us.
    pub write_timeout: Duration,
    /// Largest single frame.
    pub frame_bytes_max: usize,
    /// Largest message, of one frame or many.
    pub message_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            handshake_timeout: Duration::from_secs(5),
            read_slice: Duration::from_millis(50),
            write_timeout: Duration::from_secs(5),
            frame_bytes_max: 256 << 10,
            message_bytes_max: 1 << 20,
        }
    }
}

/// What a read brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WsRead {
    /// A text.
    Text(String),
    /// Nothing came in time, or only a part, or an answer to nothing.
    Nothing,
    /// A ping; its answer has left or leaves with the next call.
    Ping,
    /// The session is over, and why.
    Closed(String),
}

/// Why a session was not opened or is over.
#[derive(Debug, thiserror::Error)]
pub enum WsError {
    /// Plain text to another machine.
    #[error("WebSocket to {0}: plain text goes to loopback addresses only: use wss://")]
    PlainText(SocketAddr),
    /// Nothing to connect to.
    #[error("WebSocket to {host}: {why}")]
    NoAddress {
        /// The name.
        host: String,
        /// Why it has no address, and what to do.
        why: String,
    },
    /// What was asked for cannot be written as a request.
    #[error("WebSocket to {host}: {what}: check the address in the configuration")]
    BadTarget {
        /// Whom it was for.
        host: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No TCP connection.
    #[error("WebSocket to {host}: no connection ({error}): check the network and whether the venue is up")]
    Connect {
        /// To whom.
        host: String,
        /// The last address's failure.
        error: io::Error,
    },
    /// TLS failed; there is no way around it.
    #[error(
        "WebSocket to {host}: TLS failed ({error}): check the address, this machine's clock, and who sits in between"
    )]
    Tls {
        /// With whom.
        host: String,
        /// What the TLS library said.
        error: String,
    },
    /// Not open in time.
    #[error("WebSocket to {host}: {phase} took longer than {timeout_ms} ms")]
    Late {
        /// To whom.
        host: String,
        /// What was under way.
        phase: &'static str,
        /// How long all of it may take.
        timeout_ms: u128,
    },
    /// The peer answered, but not with a WebSocket.
    #[error("WebSocket to {host}: refused with status {status}{}: {excerpt}", retry_words(*.retry_after_s))]
    Refused {
        /// Who refused.
        host: String,
        /// The HTTP status.
        status: u16,
        /// After how many seconds to come again, if it said so.
        retry_after_s: Option<u64>,
        /// The beginning of what it said, on one line.
        excerpt: String,
    },
    /// What answered does not speak WebSocket.
    #[error("WebSocket to {host}: what answered is no WebSocket server ({what}): check the address")]
    NotWebSocket {
        /// Who answered.
        host: String,
        /// How that shows.
        what: String,
    },
    /// A frame or message over the limits. Nothing of it is kept; the session is over.
    #[error("WebSocket: a message of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// Its size, as far as it was told.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The peer broke the rules of the protocol.
    #[error("WebSocket: {0}")]
    Protocol(String),
    /// Our words find no room: the peer does not read.
    #[error("WebSocket: the peer has not read for {timeout_ms} ms")]
    NotReading {
        /// How long a frame may take to leave.
        timeout_ms: u128,
    },
    /// The connection failed.
    #[error("WebSocket: the connection broke: {0}")]
    Broken(io::Error),
    /// It was cut from our side.
    #[error("WebSocket: cut by us")]
    Cut,
    /// It had ended before.
    #[error("WebSocket: the session is over")]
    Over,
}

fn retry_words(retry_after_s: Option<u64>) -> String {
    retry_after_s.map_or_else(String::new, |seconds| format!(" (try again after {seconds} s)"))
}

/// Ends a session from another thread, also one that is still being opened. A cutter that has cut stays cut.
#[derive(Clone, Debug, Default)]
pub struct Cutter {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_cut: AtomicBool,
    /// The socket of the session under way, and which session that is.
    socket: Mutex<(u64, Option<TcpStream>)>,
}

impl Cutter {
    /// One that has not cut.
    pub fn new() -> Cutter {
        Cutter::default()
    }

    /// Wakes a blocked read and ends the session. A close frame can still be sent.
    pub fn cut(&self) {
        self.shut(Shutdown::Read);
    }

    /// Also wakes a blocked write. Nothing can be sent any more.
    pub fn cut_hard(&self) {
        self.shut(Shutdown::Both);
    }

    /// Whether it has cut.
    pub fn is_cut(&self) -> bool {
        self.inner.is_cut.load(Ordering::SeqCst)
    }

    fn shut(&self, how: Shutdown) {
        self.inner.is_cut.store(true, Ordering::SeqCst);
        if let Some(socket) = &self.socket().1 {
            // One that has ended already needs no cutting.
            let _ = socket.shutdown(how);
        }
    }

    /// Makes a socket the one to cut; its number. A cut that came before counts.
    fn attach(&self, socket: TcpStream) -> Result<u64, WsError> {
        let mut slot = self.socket();
        *slot = (slot.0 + 1, None);
        if self.is_cut() {
            return Err(WsError::Cut);
        }
        slot.1 = Some(socket);
        Ok(slot.0)
    }

    /// Forgets a socket, unless another one has taken its place.
    fn detach(&self, number: u64) {
        let mut slot = self.socket();
        if slot.0 == number {
            slot.1 = None;
        }
    }

    fn socket(&self) -> MutexGuard<'_, (u64, Option<TcpStream>)> {
        self.inner.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open session.
pub struct WsSession {
    socket: WebSocket<Wire>,
    settings: Settings,
    cutter: Cutter,
    number: u64,
    peer: SocketAddr,
    is_over: bool,
    /// Half a frame may have left: nothing may follow it, not even a goodbye.
    is_spoilt: bool,
}

impl fmt::Debug for WsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsSession").field("peer", &self.peer).field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl WsSession {
    /// Opens a session at a venue's address: the name must be known by the deadline that the whole opening has, and the
    /// resolver learns which of its addresses led there.
    pub fn dial(
        address: &Address,
        resolver: &Resolver,
        roots: &Roots,
        settings: &Settings,
        cutter: &Cutter,
    ) -> Result<WsSession, WsError> {
        let by = Deadline::after(settings.handshake_timeout);
        let found = resolver.wait_for(address, settings.handshake_timeout);
        let target = Target {
            host: address.host().to_owned(),
            authority: address.authority(),
            path_and_query: address.path_and_query().to_owned(),
            addresses: found.map_err(|why| WsError::NoAddress { host: address.host().to_owned(), why })?,
            tls: address.scheme().is_tls().then(|| Arc::clone(roots.tls())),
        };
        WsSession::open_by(&target, settings, cutter, by, &|ip, reached| match reached {
            Reached::Yes => resolver.worked(address, ip),
            Reached::No => resolver.failed(address, ip),
        })
    }

    /// Connects, secures and upgrades, all by one deadline.
    pub fn open(target: &Target, settings: &Settings, cutter: &Cutter) -> Result<WsSession, WsError> {
        WsSession::open_by(target, settings, cutter, Deadline::after(settings.handshake_timeout), &|_, _| {})
    }

    fn open_by(
        target: &Target,
        settings: &Settings,
        cutter: &Cutter,
        by: Deadline,
        tried: &dyn Fn(IpAddr, Reached),
    ) -> Result<WsSession, WsError> {
        let opened = handshake::open(target, settings, cutter, by, tried)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(32 << 10)
            .write_buffer_size(0)
            .max_frame_size(Some(settings.frame_bytes_max))
            .max_message_size(Some(settings.message_bytes_max));
        Ok(WsSession {
            socket: WebSocket::from_partially_read(opened.wire, opened.unread, Role::Client, Some(config)),
            settings: settings.clone(),
            cutter: cutter.clone(),
            number: opened.number,
            peer: opened.peer,
            is_over: false,
            is_spoilt: false,
        })
    }

    /// Whom it is connected with.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What cuts this session.
    pub fn cutter(&self) -> Cutter {
        self.cutter.clone()
    }

    /// The next message, if one is complete within the slice. What came of an incomplete one is kept for the next call.
    pub fn read(&mut self) -> Result<WsRead, WsError> {
        if self.is_over {
            return Err(WsError::Over);
        }
        if self.cutter.is_cut() {
            return Ok(self.over("cut by us"));
        }
        self.begin(self.settings.read_slice);
        match self.socket.read() {
            Ok(Message::Text(text)) => Ok(WsRead::Text(text.as_str().to_owned())),
            Ok(Message::Ping(_)) => {
                // The answer is queued; what hinders it now hinders the next call too and is told there.
                let _ = self.socket.flush();
                Ok(WsRead::Ping)
            }
            Ok(Message::Pong(_) | Message::Frame(_)) => Ok(WsRead::Nothing),
            Ok(Message::Close(frame)) => {
                // Our answer to it; the peer may have left already.
                let _ = self.socket.flush();
                Ok(match frame {
                    Some(frame) => {
                        let code = u16::from(frame.code);
                        self.over(&format!("closed by the peer: {code} {}", excerpt(frame.reason.as_str())))
                    }
                    None => self.over("closed by the peer without a reason"),
                })
            }
            Ok(Message::Binary(_)) => {
                Err(self.failed(WsError::Protocol("a binary message came, and only texts are expected".to_owned())))
            }
            Err(Error::Io(error)) if wire::is_nothing(&error) && !self.cutter.is_cut() => Ok(WsRead::Nothing),
            Err(error) => self.read_failed(error),
        }
    }

    /// Sends a text; it has left for the kernel when this returns.
    pub fn send_text(&mut self, text: &str) -> Result<(), WsError> {
        if self.is_over {
            return Err(WsError::Over);
        }
        if self.cutter.is_cut() {
            return Err(self.failed(WsError::Cut));
        }
        self.begin(self.settings.read_slice);
        match self.socket.send(Message::text(text)) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.is_spoilt = true;
                Err(self.explain(error))
            }
        }
    }

    /// Sends a close frame (also after a cut), ends our side and gives the peer until the deadline to end its own.
    pub fn close_gracefully(mut self, within: Duration) {
        if !self.is_spoilt {
            self.socket.get_mut().begin(within, within);
            let goodbye = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
            // Whoever does not take our goodbye has left already.
            let _ = self.socket.close(Some(goodbye));
        }
        self.socket.get_mut().end_by(within);
    }

    fn begin(&mut self, read_slice: Duration) {
        self.socket.get_mut().begin(read_slice, self.settings.write_timeout);
    }

    fn over(&mut self, why: &str) -> WsRead {
        self.is_over = true;
        WsRead::Closed(why.to_owned())
    }

    fn failed(&mut self, error: WsError) -> WsError {
        self.is_over = true;
        error
    }

    /// An end is an end, also without a goodbye; what breaks the rules is an error.
    fn read_failed(&mut self, error: Error) -> Result<WsRead, WsError> {
        if self.cutter.is_cut() {
            return Ok(self.over("cut by us"));
        }
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Ok(self.over("closed")),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Ok(self.over("the connection ended without a goodbye"))
            }
            Error::Io(error) if wire::is_end(&error) => {
                Ok(self.over(&format!("the connection ended: {}", error.kind())))
            }
            error => Err(self.explain(error)),
        }
    }

    fn explain(&mut self, error: Error) -> WsError {
        self.is_over = true;
        if self.cutter.is_cut() {
            return WsError::Cut;
        }
        match error {
            Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                WsError::TooLarge { bytes: size, bytes_max: max_size }
            }
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                WsError::NotReading { timeout_ms: self.settings.write_timeout.as_millis() }
            }
            Error::Io(error) => WsError::Broken(error),
            Error::ConnectionClosed | Error::AlreadyClosed => WsError::Over,
            // Its text would hold the message.
            Error::WriteBufferFull(_) => WsError::Protocol("no room to write".to_owned()),
            Error::Utf8(_) => WsError::Protocol("the peer sent a text that is not UTF-8".to_owned()),
            other => WsError::Protocol(excerpt(&other.to_string())),
        }
    }
}

impl Drop for WsSession {
    fn drop(&mut self) {
        // The cutter holds a clone: without this the peer would not see an end.
        self.cutter.detach(self.number);
    }
}

/// The beginning of a peer's words: one line, nothing that a terminal would obey.
fn excerpt(words: &str) -> String {
    let cleaned: String = words.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let mut line = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(EXCERPT_CHARS_MAX) {
        line.truncate(end);
        line.push_str("..");
    }
    line
}
