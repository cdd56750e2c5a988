//! One connection: requests one after the other, until it ends or becomes a WebSocket.
//!
//! Always holds: a head, a body and a rest between requests each have one deadline for the whole of it; after a refusal
//! nothing more is read as a request.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

use super::answering::Goes;
use super::chunks::Chunks;
use super::door::{Place, Shared};
use super::head::{self, Body, Head, Refusal};
use super::reply::{Manner, Reply};
use super::{ConnId, Incoming, upgraded};
use crate::net::deadline::Deadline;
use crate::net::socket::{For, Wake, read_ready, wait, write_ready};

/// How long we listen to a peer that still talks after our last word, so that this word is not lost by a reset.
const FAREWELL: Duration = Duration::from_secs(1);
/// How much of that talk is read away.
const FAREWELL_BYTES_MAX: usize = 1 << 20;
/// What is under way when the server closes may take so long to leave.
const CLOSING_WRITE: Duration = Duration::from_millis(500);

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Over {
    /// It ended, broke, or had nothing more to say.
    Ended,
    /// The peer is told why, then it ends.
    Refused(Refusal),
}

impl From<Refusal> for Over {
    fn from(refusal: Refusal) -> Over {
        Over::Refused(refusal)
    }
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Over {
        Over::Ended
    }
}

/// A connection and its thread.
pub(super) struct Connection {
    pub(super) conn: ConnId,
    pub(super) stream: TcpStream,
    pub(super) wake: Arc<Wake>,
    pub(super) shared: Arc<Shared>,
    /// Read and not yet understood.
    pub(super) unread: Vec<u8>,
    _place: Place,
}

impl Connection {
    pub(super) fn new(
        conn: ConnId,
        stream: TcpStream,
        wake: Arc<Wake>,
        shared: Arc<Shared>,
        place: Place,
    ) -> Connection {
        Connection { conn, stream, wake, shared, unread: Vec::new(), _place: place }
    }

    /// The whole life of the connection.
    pub(super) fn serve(mut self) {
        let mut patience = self.shared.settings.header_timeout;
        loop {
            match self.one_request(patience) {
                Ok(Goes::On) => patience = self.shared.settings.idle_timeout,
                Ok(Goes::Upgraded(request, key)) => return upgraded::serve(self, &request, &key),
                Ok(Goes::Ends(Manner::Close)) => return self.farewell(),
                Ok(Goes::Ends(Manner::Reset)) => return self.reset(),
                Err(Over::Ended) => return,
                Err(Over::Refused(refusal)) => {
                    let told = self.write_all(&refusal.response().bytes(&Method::GET, Some("close")));
                    return if told.is_ok() {
                        self.farewell()
                    };
                }
            }
        }
    }

    fn one_request(&mut self, patience: Duration) -> Result<Goes, Over> {
        let head = self.read_head(patience)?;
        let key = head::socket_key(&head)?.map(str::to_owned);
        let body = self.read_body(&head)?;
        let Head { method, path_and_query, headers, is_old, keep_alive, .. } = head;
        let request = Incoming { conn: self.conn, method, path_and_query, headers, body, arrived: arrived() };
        match key {
            Some(key) if self.shared.service.upgrade(&request) => return Ok(Goes::Upgraded(request, key)),
            Some(_) | None => {}
        }
        let method = request.method.clone();
        let (reply, answers) = Reply::new(Arc::clone(&self.wake));
        self.shared.service.http(request, reply);
        let connection = match (keep_alive, is_old) {
            (false, _) => Some("close"),
            (true, true) => Some("keep-alive"),
            (true, false) => None,
        };
        let answer = self.await_answer(&answers)?;
        self.carry_out(answer, &method, connection)
    }

    /// Reads up to the end of a head. Before its first byte `patience` counts, then the time for a whole head.
    fn read_head(&mut self, patience: Duration) -> Result<Head, Over> {
        let shared = Arc::clone(&self.shared);
        let limits = &shared.settings;
        let mut deadline = Deadline::after(patience);
        let mut begun = false;
        loop {
            if !self.unread.is_empty() {
                if !begun {
                    begun = true;
                    deadline = deadline.min(Deadline::after(limits.header_timeout));
                }
                if let Some((head, length)) = head::parse(&self.unread, limits.header_bytes_max, limits.body_bytes_max)?
                {
                    self.unread.drain(..length);
                    return Ok(head);
                }
            }
            match self.read_more(deadline)? {
                More::Bytes => {}
                // A connection that said nothing is owed nothing.
                More::Late | More::Closing if self.unread.is_empty() => return Err(Over::Ended),
                More::Late => return Err(Refusal::LATE.into()),
                More::Closing => return Err(Refusal::CLOSING.into()),
            }
        }
    }

    fn read_body(&mut self, head: &Head) -> Result<Vec<u8>, Over> {
        if head.body == Body::Length(0) {
            return Ok(Vec::new());
        }
        if head.expects_continue && self.unread.is_empty() {
            self.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let deadline = Deadline::after(self.shared.settings.body_timeout);
        let mut chunks = Chunks::new(self.shared.settings.body_bytes_max);
        loop {
            match head.body {
                Body::Length(length) if self.unread.len() >= length => {
                    let rest = self.unread.split_off(length);
                    return Ok(std::mem::replace(&mut self.unread, rest));
                }
                Body::Length(_) => {}
                Body::Chunked => {
                    let used = chunks.take(&self.unread)?;
                    self.unread.drain(..used);
                    if chunks.is_done() {
                        return Ok(chunks.into_body());
                    }
                }
            }
            match self.read_more(deadline)? {
                More::Bytes => {}
                More::Late => return Err(Refusal::LATE.into()),
                More::Closing => return Err(Refusal::CLOSING.into()),
            }
        }
    }

    /// Adds what comes next. The peer's end of its side ends the connection: half a request is none.
    fn read_more(&mut self, deadline: Deadline) -> Result<More, Over> {
        let mut bytes = [0_u8; 8_192];
        loop {
            // Looked at also while bytes keep coming: a drip must not outlive the deadline.
            if deadline.is_over() {
                return Ok(More::Late);
            }
            if self.shared.is_closing() {
                return Ok(More::Closing);
            }
            match read_ready(&self.stream, &mut bytes)? {
                Some(0) => return Err(Over::Ended),
                Some(count) => {
                    self.unread.extend_from_slice(&bytes[..count]);
                    return Ok(More::Bytes);
                }
                None => {
                    wait(&self.stream, For::Reading, Some(&self.wake), deadline);
                    self.wake.clear();
                }
            }
        }
    }

    /// Writes all of it by one deadline.
    pub(super) fn write_all(&self, bytes: &[u8]) -> Result<(), Over> {
        self.write_by(bytes, Deadline::after(self.shared.settings.write_timeout))
    }

    pub(super) fn write_by(&self, mut bytes: &[u8], mut deadline: Deadline) -> Result<(), Over> {
        let mut hurried = false;
        while !bytes.is_empty() {
            match write_ready(&self.stream, bytes)? {
                Some(count) => bytes = &bytes[count..],
                None if deadline.is_over() => return Err(Over::Ended),
                None => {
                    if self.shared.is_closing() && !hurried {
                        hurried = true;
                        deadline = deadline.min(Deadline::after(CLOSING_WRITE));
                    }
                    wait(&self.stream, For::Writing, Some(&self.wake), deadline);
                    self.wake.clear();
                }
            }
        }
        Ok(())
    }

    /// Ends our side, and reads away what the peer still says: unread bytes would turn the end into a reset, and a
    /// reset can take our last answer with it.
    pub(super) fn farewell(self) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Deadline::after(FAREWELL);
        let mut bytes = [0_u8; 8_192];
        let mut seen = 0;
        while seen < FAREWELL_BYTES_MAX && !deadline.is_over() && !self.shared.is_closing() {
            match read_ready(&self.stream, &mut bytes) {
                Ok(Some(0)) | Err(_) => return,
                Ok(Some(count)) => seen += count,
                Ok(None) => {
                    wait(&self.stream, For::Reading, Some(&self.wake), deadline);
                    self.wake.clear();
                }
            }
        }
    }

    /// Ends both sides at once; what was not yet delivered is lost, and the peer is told so.
    pub(super) fn reset(self) {
        reset(&self.stream);
    }
}

/// With this setting the end of the socket is a reset.
pub(super) fn reset(stream: &TcpStream) {
    // What cannot be reset is closed.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// The moment a request was whole, for whoever measures.
#[allow(clippy::disallowed_methods, reason = "an arrival time; no deadline and no decision here hangs on it")]
fn arrived() -> Instant {
    Instant::now()
}

/// What came of reading on.
enum More {
    Bytes,
    Late,
    Closing,
}
