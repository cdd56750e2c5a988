//! Venues' wire dialects: what a client's bytes mean to the model, and how the model's answers look on the wire.
//!
//! Always holds: a dialect shares no type with the codec that talks to it, or one misreading would hide behind the same
//! misreading on the other side. Pure like the model: bytes and times in, bytes and times out.
//! Never does: open a socket, read a clock. A server carries the bytes, and carries out what [`GatewayOut`] says.

pub mod bybit;

use std::fmt;

use super::asks::Ticket;

/// A WebSocket connection, named by the server that holds it; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// A request as it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpIn {
    /// `GET`, `POST`.
    pub method: String,
    /// The path and, after a `?`, the query: exactly as sent.
    pub path_and_query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Exactly as sent.
    pub body: Vec<u8>,
}

// Headers hold keys and signatures.
impl fmt::Debug for HttpIn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HttpIn({} {}, {} bytes)", self.method, self.path_and_query, self.body.len())
    }
}

impl HttpIn {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer, and what goes wrong on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOut {
    /// The status line's number.
    pub status: u16,
    /// Without `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the server does to it.
    pub mangle: Mangle,
}

/// What happens to an answer on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangle {
    /// Nothing.
    None,
    /// It is never sent; the connection stays open.
    Hang,
    /// It is never sent; the connection is closed.
    DropConnection,
    /// It is never sent; the connection is reset.
    Reset,
    /// Only so many bytes of the body are sent, though all were announced; then the connection is closed.
    Truncate(usize),
    /// The body goes on for ever.
    Endless,
}

/// How a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHow {
    /// With a close frame.
    Gracefully,
    /// Without one.
    Hard,
    /// It stays open, and nothing is read or written any more.
    FallSilent,
}

/// What a server is to carry out, in this order: ledger lines are written before what follows them is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayOut {
    /// A line for the ledger, without the line break.
    Ledger(String),
    /// The answer to a request.
    Http(Ticket, HttpOut),
    /// A text message.
    Text(SocketId, String),
    /// The end of a socket. Nothing comes for it any more.
    CloseSocket(SocketId, CloseHow),
}
