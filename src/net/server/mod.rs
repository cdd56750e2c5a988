//! A small HTTP and WebSocket server on plain threads, for a few hundred connections on loopback.
//!
//! Always holds: one named thread a connection, and never more connections than the cap (more are told 503); a whole
//! head, a whole body, a whole answer each have one deadline, so a peer that drips, falls silent or never reads ends by
//! the clock; heads, bodies, messages and queues have a largest size; a request whose end is in doubt is refused and its
//! connection closed, so two readers never disagree on where the next one begins.
//! Never does: TLS, compression, ranges, files, several requests of one connection at once.
//!
//! What a service may do besides answering ([`Reply::hang`], [`Reply::truncated`], [`SocketSender::fall_silent`], ...) is
//! for rehearsing what networks do to clients.

mod answering;
mod chunks;
mod connection;
mod door;
mod head;
mod reply;
mod response;
mod upgraded;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use http::Method;

pub use reply::Reply;
pub use response::Response;
pub use upgraded::SocketSender;

/// One connection, for as long as the server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A whole request.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The connection it came on.
    pub conn: ConnId,
    /// Its method.
    pub method: Method,
    /// What was asked for, byte for byte as it was sent; begins with `/` (or is `*`).
    pub path_and_query: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, with chunks joined.
    pub body: Vec<u8>,
    /// When its last byte was read.
    pub arrived: Instant,
}

impl Incoming {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// What was asked for, without the query.
    pub fn path(&self) -> &str {
        self.path_and_query.split_once('?').map_or(self.path_and_query.as_str(), |(path, _)| path)
    }

    /// The query, empty when there is none.
    pub fn query(&self) -> &str {
        self.path_and_query.split_once('?').map_or("", |(_, query)| query)
    }
}

/// Keys and signatures travel in headers, queries and bodies: none of them is shown.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("conn", &self.conn)
            .field("method", &self.method)
            .field("path", &self.path())
            .field("n_headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What answers. Called on the threads of the connections, several at once; must not block for long.
pub trait Service: Send + Sync {
    /// Answers a request, now or later and from any thread.
    fn http(&self, request: Incoming, reply: Reply);

    /// Whether this well-formed wish for a WebSocket is granted. If not, it is handed to [`Service::http`] like any
    /// other request, which says why.
    fn upgrade(&self, request: &Incoming) -> bool;

    /// A WebSocket is open; the peer has been told. Called before any [`Service::socket_text`] of this connection.
    fn socket_open(&self, conn: ConnId, path_and_query: &str, headers: &[(String, String)], to: SocketSender);

    /// A text came.
    fn socket_text(&self, conn: ConnId, text: String);

    /// The WebSocket has ended, for whatever reason. Called once for each [`Service::socket_open`].
    fn socket_closed(&self, conn: ConnId);
}

/// Limits and patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// First part of the threads' names: `NAME.door`, `NAME.17`.
    pub name: String,
    /// Connections served at once; more are told 503.
    pub connections_max: usize,
    /// Largest head of a request.
    pub header_bytes_max: usize,
    /// Largest body of a request.
    pub body_bytes_max: usize,
    /// For a whole head, from its first byte; on a new connection from the start.
    pub header_timeout: Duration,
    /// For a whole body.
    pub body_timeout: Duration,
    /// How long a connection may rest between two requests.
    pub idle_timeout: Duration,
    /// How long the service may take.
    pub reply_timeout: Duration,
    /// For a whole answer, or a whole frame, to leave.
    pub write_timeout: Duration,
    /// How long a WebSocket may be without a whole message from the peer.
    pub socket_idle_timeout: Duration,
    /// Largest message on a WebSocket.
    pub socket_message_bytes_max: usize,
    /// Messages that may wait for a peer that reads slowly; one more ends the connection.
    pub socket_queue_max: usize,
}

impl Settings {
    /// The usual limits, under this name.
    pub fn named(name: &str) -> Settings {
        Settings {
            name: name.to_owned(),
            connections_max: 256,
            header_bytes_max: 16 << 10,
            body_bytes_max: 1 << 20,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            reply_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            socket_idle_timeout: Duration::from_secs(600),
            socket_message_bytes_max: 1 << 20,
            socket_queue_max: 1_024,
        }
    }
}

/// How a server ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Threads that ended in time.
    pub n_joined: usize,
    /// Names of those that did not, and are left behind.
    pub late: Vec<String>,
}

/// A running server. Dropping it closes everything without waiting.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    door: door::Door,
}

impl Server {
    /// Binds and serves.
    pub fn start(address: SocketAddr, settings: Settings, service: Arc<dyn Service>) -> io::Result<Server> {
        let (local_addr, door) = door::Door::open(address, settings, service)?;
        Ok(Server { local_addr, door })
    }

    /// Where it listens: with the port that the system chose, if it was asked to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Connections that are served just now.
    pub fn n_connections(&self) -> usize {
        self.door.n_connections()
    }

    /// Frees the port, ends every connection (a WebSocket is told 1001), and joins the threads that end in time.
    pub fn close(self, within: Duration) -> Closed {
        self.door.close(within)
    }
}
