//! Where our connections meet `ureq`, which writes requests and reads answers.
//!
//! Always holds: `ureq` opens nothing and looks nothing up: it gets the one connection that was made for the call, and
//! a second wish for one fails; a request leaves in one piece, when its last byte is there.
//! Never does: keep a pool. Whether a connection is used again is decided by the client, by the clock that counts sleep.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::config::{AutoHeaderValue, Config};
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Agent, Error};

use super::line::{Fault, Line};

/// The largest head of an answer.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Holds more than the largest head.
const BUFFER_BYTES: usize = 64 * 1_024;
/// A request longer than this leaves in more than one piece.
const PIECE_BYTES_MAX: usize = 256 * 1_024;
/// How much later `ureq` gives up than we do: never first, but never never.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection, shared between the client and the call that uses it.
pub(super) type SharedLine = Arc<Mutex<Line>>;

/// Where the client leaves the connection for the next call.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<SharedLine>>>);

pub(super) fn lock(line: &SharedLine) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    pub(super) fn put(&self, line: Option<SharedLine>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    fn take(&self) -> Option<SharedLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An agent over connections out of the slot.
pub(super) fn agent(slot: Slot, total_timeout: Duration, user_agent: &str) -> Agent {
    let timeout = Some(total_timeout.saturating_add(PATIENCE));
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .save_redirect_history(false)
        .proxy(None)
        .user_agent(user_agent)
        .accept_encoding(AutoHeaderValue::Provided(Arc::new("identity".to_owned())))
        .max_response_header_size(HEAD_BYTES_MAX)
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        .timeout_global(timeout)
        .timeout_per_call(timeout)
        .timeout_per_read(timeout)
        .timeout_per_write(timeout)
        .timeout_resolve(timeout)
        .timeout_connect(timeout)
        .timeout_send_request(timeout)
        .timeout_await_100(timeout)
        .timeout_send_body(timeout)
        .timeout_recv_response(timeout)
        .timeout_recv_body(timeout)
        .build();
    Agent::with_parts(config, FromSlot(slot), NoLookUp)
}

/// Looks nothing up: the connection is made already. `ureq` asks before it asks for a connection.
#[derive(Debug)]
struct NoLookUp;

impl Resolver for NoLookUp {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut nowhere = self.empty();
        nowhere.push(SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(nowhere)
    }
}

struct FromSlot(Slot);

impl fmt::Debug for FromSlot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("FromSlot")
    }
}

impl Connector<()> for FromSlot {
    type Out = LineTransport;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<LineTransport>, Error> {
        let line = self.0.take().ok_or(Error::ConnectionFailed)?;
        Ok(Some(LineTransport { line, buffers: LazyBuffers::new(BUFFER_BYTES, BUFFER_BYTES) }))
    }
}

/// A call's use of a connection.
struct LineTransport {
    line: SharedLine,
    buffers: LazyBuffers,
}

impl fmt::Debug for LineTransport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LineTransport")
    }
}

/// The fault itself stays with the connection. This kind of error is one that `ureq` never takes for the end of a body.
fn failed(_: Fault) -> Error {
    Error::Io(io::Error::other("the connection failed"))
}

impl Transport for LineTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let mut line = lock(&self.line);
        line.queue(&self.buffers.output()[..amount]);
        if line.n_queued() > PIECE_BYTES_MAX { line.flush().map_err(failed) } else { Ok(()) }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let mut line = lock(&self.line);
        // Whoever waits for an answer has written the whole request.
        line.flush().map_err(failed)?;
        let free = self.buffers.input_append_buf();
        if free.is_empty() {
            return Err(failed(line.fail(Fault::Other("a line of its answer has no end".into()))));
        }
        let n = line.read(free).map_err(failed)?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    /// `ureq` asks this once a call, after the whole answer was read, if it would use the connection again.
    fn is_open(&mut self) -> bool {
        let mut line = lock(&self.line);
        line.is_reusable = line.is_alive();
        line.is_reusable
    }

    fn is_tls(&self) -> bool {
        lock(&self.line).is_tls()
    }
}
