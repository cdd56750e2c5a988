//! The real wire: codecs' requests over HTTP clients, streams over WebSocket sessions. The only place that knows both
//! the codecs' words and the sockets'.

use std::time::Duration;

use super::streams::{Dial, Session};
use super::transport::Wire;
use crate::net::address::Address;
use crate::net::http::{self, HttpClient, HttpSettings, Outcome, Outgoing};
use crate::net::resolver::Resolver;
use crate::net::roots::Roots;
use crate::net::websocket::{Cutter, Settings as SocketSettings, WsRead, WsSession};
use crate::runtime::workers::Cuts;
use crate::venues::wire::{HttpOutcome, HttpRequest, HttpResponse, Lane};

/// To connect and shake hands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// No request of ours takes longer, whatever its own time-out.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(15);
/// Longer than the time between two `keep_warm`.
const IDLE_AGE_MAX: Duration = Duration::from_secs(25);
/// Largest answer.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Who we say we are.
const USER_AGENT: &str = concat!("lastorders/", env!("CARGO_PKG_VERSION"));

/// How sockets of a venue are opened.
#[derive(Clone)]
pub(super) struct Ways {
    /// Scheme, host and port of requests.
    pub rest: Address,
    /// Names, looked up ahead.
    pub resolver: Resolver,
    /// Whom we believe.
    pub roots: Roots,
}

/// A worker's own connections: one for each lane, so that a cancel never waits behind a list.
pub(super) struct NetWire {
    create: HttpClient,
    cancel: HttpClient,
    read: HttpClient,
}

impl NetWire {
    /// Connections that are opened when they are first used.
    pub(super) fn new(ways: &Ways) -> Result<NetWire, String> {
        let client = |lane| {
            let settings = HttpSettings {
                base: ways.rest.clone(),
                lane,
                connect_timeout: CONNECT_TIMEOUT,
                total_timeout: CALL_TIMEOUT_MAX,
                max_idle_age: IDLE_AGE_MAX,
                body_bytes_max: BODY_BYTES_MAX,
                user_agent: USER_AGENT.to_owned(),
            };
            HttpClient::new(settings, ways.resolver.clone(), ways.roots.clone())
        };
        Ok(NetWire {
            create: client(http::Lane::Create)?,
            cancel: client(http::Lane::Cancel)?,
            read: client(http::Lane::Read)?,
        })
    }
}

impl Wire for NetWire {
    fn send(&mut self, request: &HttpRequest, timeout: Duration, may_leave: &dyn Fn() -> bool) -> HttpOutcome {
        let client = match request.lane {
            Lane::Create => &mut self.create,
            Lane::Cancel => &mut self.cancel,
            Lane::Read => &mut self.read,
        };
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let outgoing = Outgoing {
            method: request.method.word(),
            path_and_query: &request.path_and_query,
            headers: &headers,
            body: request.body.as_deref().map(str::as_bytes),
            timeout,
        };
        match client.send(&outgoing, may_leave) {
            Outcome::NotSent(why) => HttpOutcome::NotSent(why),
            Outcome::Lost(why) => HttpOutcome::Lost(why),
            Outcome::Got { status, headers, body } => HttpOutcome::Got(HttpResponse { status, headers, body }),
        }
    }

    fn cuts(&self) -> Cuts {
        let create = self.create.cutter();
        let all = [create.clone(), self.cancel.cutter(), self.read.cutter()];
        Cuts { creates: Box::new(move || create.cut()), all: Box::new(move || all.iter().for_each(http::Cutter::cut)) }
    }
}

/// Opens a stream's socket, wherever its codec says it is.
pub(super) fn dial(ways: &Ways) -> Dial {
    let ways = ways.clone();
    Box::new(move |url| {
        let address = Address::parse(url).map_err(|bad| bad.to_string())?;
        let settings = SocketSettings { handshake_timeout: CONNECT_TIMEOUT, ..SocketSettings::default() };
        let session = WsSession::dial(&address, &ways.resolver, &ways.roots, &settings, &Cutter::new());
        Ok(Box::new(OpenSocket(session.map_err(|error| error.to_string())?)) as Box<dyn Session>)
    })
}

struct OpenSocket(WsSession);

impl Session for OpenSocket {
    fn read(&mut self) -> Result<Option<String>, String> {
        match self.0.read() {
            Ok(WsRead::Text(text)) => Ok(Some(text)),
            Ok(WsRead::Nothing | WsRead::Ping) => Ok(None),
            Ok(WsRead::Closed(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    }

    fn send(&mut self, text: &str) -> Result<(), String> {
        self.0.send_text(text).map_err(|error| error.to_string())
    }

    fn close(self: Box<Self>, within: Duration) {
        self.0.close_gracefully(within);
    }
}
