//! From nothing to an open WebSocket: connect, secure, upgrade, all by one deadline.
//!
//! Always holds: what answers is a WebSocket server that has understood this very request, or the session is not opened;
//! the head of its answer has a largest size, and so has what is told of a refusal.
//! Never does: follow a redirect; offer an extension or a protocol; repeat the path, which may hold a token.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::wire::{Paced, Wire};
use super::{Cutter, Settings, Target, WsError, excerpt};
use crate::net::deadline::Deadline;

/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// How much of a refusal is read, and for how long.
const REFUSAL_BYTES_MAX: usize = 2_048;
const REFUSAL_WAIT: Duration = Duration::from_millis(500);
/// A part of the path so long may be a token, and is not repeated when the peer repeats it.
const TOKEN_CHARS_MIN: usize = 12;

/// An open WebSocket before its first frame.
pub(super) struct Opened {
    pub(super) wire: Wire,
    /// What came behind the head: frames already.
    pub(super) unread: Vec<u8>,
    /// Which of the cutter's sockets it is.
    pub(super) number: u64,
    pub(super) peer: SocketAddr,
}

/// Forgets the socket when opening it ends in an error.
struct Attached<'a> {
    cutter: &'a Cutter,
    number: u64,
    is_open: bool,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            self.cutter.detach(self.number);
        }
    }
}

/// `tried` hears of each address whether it can be reached by this way.
pub(super) fn open(
    target: &Target,
    settings: &Settings,
    cutter: &Cutter,
    by: Deadline,
    tried: &dyn Fn(IpAddr, Reached),
) -> Result<Opened, WsError> {
    let opening = Opening { target, settings, by, tried };
    opening.check()?;
    if cutter.is_cut() {
        return Err(WsError::Cut);
    }
    let (stream, peer) = opening.connect(cutter)?;
    let clone = stream.try_clone().map_err(WsError::Broken)?;
    let number = cutter.attach(clone)?;
    let mut attached = Attached { cutter, number, is_open: false };
    let opened = opening.secure(stream, cutter.clone()).and_then(|mut wire| {
        let unread = opening.upgrade(&mut wire)?;
        Ok(Opened { wire, unread, number, peer })
    });
    match opened {
        // Whatever a cut looks like from inside.
        _ if cutter.is_cut() => Err(WsError::Cut),
        Ok(opened) => {
            tried(peer.ip(), Reached::Yes);
            attached.is_open = true;
            Ok(opened)
        }
        Err(error) => {
            // Whoever refuses in the venue's name was the right one to ask.
            let reached = if matches!(error, WsError::Refused { .. }) { Reached::Yes } else { Reached::No };
            tried(peer.ip(), reached);
            Err(error)
        }
    }
}

/// Whether an address leads to the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    Yes,
    No,
}

struct Opening<'a> {
    target: &'a Target,
    settings: &'a Settings,
    by: Deadline,
    tried: &'a dyn Fn(IpAddr, Reached),
}

impl Opening<'_> {
    fn check(&self) -> Result<(), WsError> {
        let target = self.target;
        let far = target.addresses.iter().find(|address| !address.ip().is_loopback());
        if let (None, Some(far)) = (&target.tls, far) {
            return Err(WsError::PlainText(*far));
        }
        let graphic = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        match () {
            () if target.addresses.is_empty() => Err(self.no_address()),
            () if !graphic(&target.authority) => Err(self.bad("the host cannot be written in a request")),
            () if !graphic(&target.path_and_query) || !target.path_and_query.starts_with('/') => {
                Err(self.bad("the path cannot be written in a request"))
            }
            () => Ok(()),
        }
    }

    /// The first address that answers; each gets its share of the time.
    fn connect(&self, cutter: &Cutter) -> Result<(TcpStream, SocketAddr), WsError> {
        let addresses = &self.target.addresses;
        let mut failure = None;
        for (number, address) in addresses.iter().enumerate() {
            if cutter.is_cut() {
                return Err(WsError::Cut);
            }
            let left = self.by.left().unwrap_or_default();
            let share = left / u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
            if share.is_zero() {
                return Err(self.late("connecting"));
            }
            match TcpStream::connect_timeout(address, share) {
                Ok(stream) => return Ok((stream, *address)),
                Err(error) => {
                    (self.tried)(address.ip(), Reached::No);
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if error.kind() == io::ErrorKind::TimedOut => Err(self.late("connecting")),
            Some(error) => Err(WsError::Connect { host: self.host(), error }),
            None => Err(self.no_address()),
        }
    }

    fn secure(&self, stream: TcpStream, cutter: Cutter) -> Result<Wire, WsError> {
        let mut paced = Paced::new(stream, self.by, cutter).map_err(WsError::Broken)?;
        let Some(config) = &self.target.tls else { return Ok(Wire::Plain(paced)) };
        let tls = |error: String| WsError::Tls { host: self.host(), error: excerpt(&error) };
        let name = ServerName::try_from(self.target.host.clone())
            .map_err(|_| self.bad("the host is no name that TLS knows"))?;
        let mut connection = ClientConnection::new(config.clone(), name).map_err(|error| tls(error.to_string()))?;
        while connection.is_handshaking() {
            match connection.complete_io(&mut paced) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(self.late("the TLS handshake")),
                Err(error) => return Err(tls(error.to_string())),
            }
        }
        Ok(Wire::Tls(Box::new(StreamOwned::new(connection, paced))))
    }

    /// What came behind the head of the answer.
    fn upgrade(&self, wire: &mut Wire) -> Result<Vec<u8>, WsError> {
        let key = generate_key();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {key}\r\nUser-Agent: lastorders/{}\r\n\r\n",
            self.target.path_and_query,
            self.target.authority,
            env!("CARGO_PKG_VERSION"),
        );
        wire.write_all(request.as_bytes()).and_then(|()| wire.flush()).map_err(|error| self.failed(error))?;
        let mut answer = Vec::new();
        loop {
            if let Some((head, length)) = self.parse(&answer)? {
                let behind = answer.split_off(length);
                return match head.status {
                    101 => self.accept(&head, &key).map(|()| behind),
                    _ => Err(self.refused(&head, behind, wire)),
                };
            }
            if !self.read_more(wire, &mut answer).map_err(|error| self.failed(error))? {
                return Err(self.not_websocket("it hung up"));
            }
        }
    }

    fn read_more(&self, wire: &mut Wire, into: &mut Vec<u8>) -> io::Result<bool> {
        let mut bytes = [0_u8; 4_096];
        // The socket keeps the deadline only where it has to wait.
        if self.by.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let count = wire.read(&mut bytes)?;
        into.extend_from_slice(&bytes[..count]);
        Ok(count > 0)
    }

    fn parse(&self, answer: &[u8]) -> Result<Option<(Head, usize)>, WsError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let too_long = || self.not_websocket("the head of its answer is too long");
        let length = match response.parse(answer) {
            Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
            Ok(httparse::Status::Partial) if answer.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(too_long()),
            Err(_) => return Err(self.not_websocket("its answer is not HTTP")),
        };
        let headers = response.headers.iter();
        let headers = headers
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned()));
        Ok(Some((Head { status: response.code.unwrap_or(0), headers: headers.collect() }, length)))
    }

    /// The answer must come from a server that understood this very request, and agree to nothing we did not offer.
    fn accept(&self, head: &Head, key: &str) -> Result<(), WsError> {
        match () {
            () if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") => {
                Err(self.not_websocket("status 101 without an upgrade"))
            }
            () if head.value("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) => {
                Err(self.not_websocket("it answered another request than ours"))
            }
            () if head.value("sec-websocket-extensions").is_some()
                || head.value("sec-websocket-protocol").is_some() =>
            {
                Err(self.not_websocket("it uses an extension or a protocol that was not offered"))
            }
            () => Ok(()),
        }
    }

    fn refused(&self, head: &Head, mut body: Vec<u8>, wire: &mut Wire) -> WsError {
        wire.paced().hurry(REFUSAL_WAIT);
        let length = head.value("content-length").and_then(|length| length.parse().ok());
        let wanted = length.unwrap_or(REFUSAL_BYTES_MAX).min(REFUSAL_BYTES_MAX);
        // A body that does not come is no second failure.
        while body.len() < wanted && matches!(self.read_more(wire, &mut body), Ok(true)) {}
        body.truncate(wanted);
        let words = without_tokens(&String::from_utf8_lossy(&body), &self.target.path_and_query);
        let excerpt = match excerpt(&words) {
            said if said.is_empty() => "it gave no reason".to_owned(),
            said => said,
        };
        let retry_after_s = head.value("retry-after").and_then(|seconds| seconds.parse().ok());
        WsError::Refused { host: self.host(), status: head.status, retry_after_s, excerpt }
    }

    fn host(&self) -> String {
        self.target.host.clone()
    }

    fn no_address(&self) -> WsError {
        let why = "no address is known for this name: check its spelling and this machine's DNS";
        WsError::NoAddress { host: self.host(), why: why.to_owned() }
    }

    fn bad(&self, what: &'static str) -> WsError {
        WsError::BadTarget { host: self.host(), what }
    }

    fn late(&self, phase: &'static str) -> WsError {
        WsError::Late { host: self.host(), phase, timeout_ms: self.settings.handshake_timeout.as_millis() }
    }

    fn not_websocket(&self, what: &str) -> WsError {
        WsError::NotWebSocket { host: self.host(), what: what.to_owned() }
    }

    fn failed(&self, error: io::Error) -> WsError {
        match error.kind() {
            io::ErrorKind::TimedOut => self.late("the answer to the upgrade"),
            // A certificate may also be refused late, by the other side.
            io::ErrorKind::InvalidData => WsError::Tls { host: self.host(), error: excerpt(&error.to_string()) },
            _ => WsError::Broken(error),
        }
    }
}

/// The head of an answer. Names in lower case.
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.headers.iter().filter(|(own, _)| own == name);
        values.flat_map(|(_, value)| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
    }
}

/// Error pages like to repeat what was asked for.
fn without_tokens(words: &str, path_and_query: &str) -> String {
    let parts = path_and_query.split(['/', '?', '&', '=']).filter(|part| part.len() >= TOKEN_CHARS_MIN);
    parts.fold(words.to_owned(), |words, part| words.replace(part, "[..]"))
}
