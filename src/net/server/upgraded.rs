//! A connection that has become a WebSocket.
//!
//! Always holds: texts leave in the order in which they were handed in; whoever hands one in never waits; a peer that
//! reads too slowly, or says nothing for too long, loses the connection; the service is told the end exactly once.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tungstenite::error::CapacityError;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use super::connection::{Connection, reset};
use super::{ConnId, Incoming, Service};
use crate::net::deadline::Deadline;
use crate::net::socket::{For, Wake, wait};

/// How long the peer may take to answer our close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// The same when the whole server closes.
const CLOSING_WAIT: Duration = Duration::from_millis(250);
/// Messages read in a row before it is our turn to write.
const READS_IN_A_ROW: usize = 32;
/// Longest reason in a close frame.
const REASON_BYTES_MAX: usize = 120;

/// What is to be done, in its order among the texts.
#[derive(Debug)]
enum Outgoing {
    Text(String),
    Close(u16, String),
}

/// What is to be done at once. A later one is worse and wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Mood {
    Usual = 0,
    Silent = 1,
    Drop = 2,
    Reset = 3,
    Ended = 4,
}

#[derive(Debug)]
struct Orders {
    mood: AtomicU8,
    wake: Arc<Wake>,
}

impl Orders {
    fn mood(&self) -> Mood {
        [Mood::Usual, Mood::Silent, Mood::Drop, Mood::Reset, Mood::Ended]
            .into_iter()
            .find(|mood| *mood as u8 == self.mood.load(Ordering::SeqCst))
            .unwrap_or(Mood::Ended)
    }

    fn worsen(&self, to: Mood) {
        self.mood.fetch_max(to as u8, Ordering::SeqCst);
        self.wake.wake();
    }
}

/// Speaks to the peer of one WebSocket. Nothing here waits.
#[derive(Clone, Debug)]
pub struct SocketSender {
    queue: Sender<Outgoing>,
    orders: Arc<Orders>,
}

impl SocketSender {
    /// Hands in a text. False: it will not leave, because the connection has ended or was just ended for falling too
    /// far behind.
    pub fn text(&self, text: impl Into<String>) -> bool {
        self.hand_in(Outgoing::Text(text.into()))
    }

    /// Closes after everything handed in before, with this code and reason.
    pub fn close(&self, code: u16, reason: &str) {
        self.hand_in(Outgoing::Close(code, reason.to_owned()));
    }

    /// Ends the connection at once and without a close frame.
    pub fn drop_connection(&self) {
        self.orders.worsen(Mood::Drop);
    }

    /// The same with a reset.
    pub fn reset_connection(&self) {
        self.orders.worsen(Mood::Reset);
    }

    /// From now on neither reads nor writes, but keeps the connection until the peer leaves.
    pub fn fall_silent(&self) {
        self.orders.worsen(Mood::Silent);
    }

    /// Whether the connection has ended.
    pub fn is_ended(&self) -> bool {
        self.orders.mood() == Mood::Ended
    }

    fn hand_in(&self, outgoing: Outgoing) -> bool {
        match self.orders.mood() {
            Mood::Usual => {}
            // Swallowed, as by a network that lost its way.
            Mood::Silent => return true,
            Mood::Drop | Mood::Reset | Mood::Ended => return false,
        }
        match self.queue.try_send(outgoing) {
            Ok(()) => {
                self.orders.wake.wake();
                true
            }
            Err(TrySendError::Full(_)) => {
                self.orders.worsen(Mood::Drop);
                false
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Tells the end once, also when a call into the service panicked.
struct Told<'a> {
    service: &'a dyn Service,
    orders: Arc<Orders>,
    conn: ConnId,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.orders.mood.fetch_max(Mood::Ended as u8, Ordering::SeqCst);
        self.service.socket_closed(self.conn);
    }
}

/// Answers the wish and serves the WebSocket until it ends.
pub(super) fn serve(mut connection: Connection, request: &Incoming, key: &str) {
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if connection.write_all(head.as_bytes()).is_err() {
        return;
    }
    let shared = Arc::clone(&connection.shared);
    let (queue, outgoing) = bounded(shared.settings.socket_queue_max);
    let orders = Arc::new(Orders { mood: AtomicU8::new(Mood::Usual as u8), wake: Arc::clone(&connection.wake) });
    let told = Told { service: &*shared.service, orders: Arc::clone(&orders), conn: connection.conn };
    let sender = SocketSender { queue, orders: Arc::clone(&orders) };
    shared.service.socket_open(connection.conn, &request.path_and_query, &request.headers, sender);

    let message_bytes_max = shared.settings.socket_message_bytes_max;
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    let unread = std::mem::take(&mut connection.unread);
    // A clone, for whoever says goodbye; one more descriptor only for as long as this WebSocket lives.
    let Ok(stream) = connection.stream.try_clone() else { return };
    let heard = Deadline::after(shared.settings.socket_idle_timeout);
    let end = Talk {
        socket: WebSocket::from_partially_read(stream, unread, Role::Server, Some(config)),
        connection: &connection,
        outgoing,
        orders,
        idle: heard,
        blocked: None,
        closing: None,
    }
    .talk();
    drop(told);
    match end {
        End::Gone => {}
        End::Reset => reset(&connection.stream),
        End::Orderly => connection.farewell(),
    }
}

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing more to be said.
    Gone,
    /// It is to be reset.
    Reset,
    /// After a close frame, which is to arrive.
    Orderly,
}

struct Talk<'a> {
    socket: WebSocket<TcpStream>,
    connection: &'a Connection,
    outgoing: Receiver<Outgoing>,
    orders: Arc<Orders>,
    /// When the peer has been quiet for too long.
    idle: Deadline,
    /// Bytes wait for room; until when they may.
    blocked: Option<Deadline>,
    /// Our close frame has been written; until when its answer may come.
    closing: Option<Deadline>,
}

impl Talk<'_> {
    fn talk(mut self) -> End {
        loop {
            self.connection.wake.clear();
            match self.orders.mood() {
                Mood::Usual => {}
                Mood::Silent => self.be_silent(),
                Mood::Drop | Mood::Ended => return End::Gone,
                Mood::Reset => return End::Reset,
            }
            if self.orders.mood() != Mood::Usual {
                continue;
            }
            match self.turn() {
                Ok(Turn::Again) => {}
                Ok(Turn::Rest) => self.rest(),
                Err(end) => return end,
            }
        }
    }

    /// Writes what there is, reads what there is, looks at the deadlines.
    fn turn(&mut self) -> Result<Turn, End> {
        if self.connection.shared.is_closing() && self.closing.is_none() {
            self.close(CloseCode::Away, "the server is closing", CLOSING_WAIT)?;
        }
        self.write_all_there_is()?;
        // A peer that does not read is not listened to: what it says would have to be answered.
        let more = match self.blocked {
            None => self.read_some()?,
            Some(_) => false,
        };
        let late = [Some(self.idle), self.blocked, self.closing].into_iter().flatten().any(Deadline::is_over);
        match (late, more) {
            (true, _) => Err(if self.closing.is_some() { End::Orderly } else { End::Gone }),
            (false, true) => Ok(Turn::Again),
            (false, false) => Ok(Turn::Rest),
        }
    }

    fn write_all_there_is(&mut self) -> Result<(), End> {
        let flushed = self.socket.flush();
        self.note_written(flushed)?;
        while self.blocked.is_none() && self.closing.is_none() {
            match self.outgoing.try_recv() {
                Ok(Outgoing::Text(text)) => {
                    let sent = self.socket.send(Message::text(text));
                    self.note_written(sent)?;
                }
                Ok(Outgoing::Close(code, reason)) => self.close(CloseCode::from(code), &reason, CLOSE_WAIT)?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether there may be more to read at once.
    fn read_some(&mut self) -> Result<bool, End> {
        for _ in 0..READS_IN_A_ROW {
            let message = match self.socket.read() {
                Ok(message) => message,
                Err(Error::Io(error)) if is_nothing(&error) => return Ok(false),
                Err(error) => return Err(self.say_why(&error)),
            };
            self.idle = Deadline::after(self.connection.shared.settings.socket_idle_timeout);
            match message {
                Message::Text(text) => {
                    self.connection.shared.service.socket_text(self.connection.conn, text.as_str().to_owned());
                }
                Message::Binary(_) => {
                    self.close(CloseCode::Unsupported, "only text is spoken here", CLOSE_WAIT)?;
                }
                // The answers to both are under way already.
                Message::Ping(_) | Message::Close(_) => {
                    let flushed = self.socket.flush();
                    self.note_written(flushed)?;
                }
                Message::Pong(_) | Message::Frame(_) => {}
            }
            // What the service may have asked for meanwhile comes first.
            if self.orders.mood() != Mood::Usual || self.blocked.is_some() {
                break;
            }
        }
        Ok(true)
    }

    fn close(&mut self, code: CloseCode, reason: &str, wait: Duration) -> Result<(), End> {
        let end = (0..=reason.len().min(REASON_BYTES_MAX)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        let frame = CloseFrame { code, reason: Utf8Bytes::from(&reason[..end]) };
        self.closing = Some(Deadline::after(wait));
        let closed = self.socket.close(Some(frame));
        self.note_written(closed)
    }

    fn note_written(&mut self, written: Result<(), Error>) -> Result<(), End> {
        match written {
            Ok(()) => self.blocked = None,
            Err(Error::Io(error)) if is_nothing(&error) => {
                let write_timeout = self.connection.shared.settings.write_timeout;
                self.blocked.get_or_insert_with(|| Deadline::after(write_timeout));
            }
            Err(Error::ConnectionClosed) => return Err(End::Orderly),
            // Nothing can be said after a close frame.
            Err(Error::Protocol(_)) => {}
            Err(_) => return Err(End::Gone),
        }
        Ok(())
    }

    /// Tells a peer that broke the rules which one it was, as far as it still listens.
    fn say_why(&mut self, error: &Error) -> End {
        let (code, reason) = match error {
            Error::ConnectionClosed => return End::Orderly,
            Error::Io(_) | Error::AlreadyClosed => return End::Gone,
            Error::Capacity(CapacityError::MessageTooLong { .. }) => (CloseCode::Size, "the message is too long"),
            Error::Utf8(_) => (CloseCode::Invalid, "the text is not UTF-8"),
            Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => return End::Gone,
            _ => (CloseCode::Protocol, "this is not how WebSocket is spoken"),
        };
        match self.close(code, reason, CLOSE_WAIT) {
            Ok(()) | Err(End::Orderly) => End::Orderly,
            Err(end) => end,
        }
    }

    fn rest(&self) {
        let until = [Some(self.idle), self.blocked, self.closing].into_iter().flatten().min().unwrap_or(self.idle);
        let what = if self.blocked.is_some() { For::Writing } else { For::Reading };
        wait(&self.connection.stream, what, Some(&self.connection.wake), until);
    }

    /// Until the peer leaves, the server closes, or something worse is asked for.
    fn be_silent(&self) {
        while self.orders.mood() == Mood::Silent {
            let seen =
                wait(&self.connection.stream, For::Leaving, Some(&self.connection.wake), Deadline::after(CLOSE_WAIT));
            if seen.ready || seen.gone || self.connection.shared.is_closing() {
                self.orders.worsen(Mood::Drop);
            }
            self.connection.wake.clear();
        }
    }
}

enum Turn {
    Again,
    Rest,
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
