//! The HTTP client: one request, one outcome, and the outcome says whether a byte may have left.
//!
//! Read in this order: this file (a call), `line` (a connection), `framing` (where it meets `ureq`), `control` (cutting a
//! call short), `words`.
//!
//! Always holds: `NotSent` means that the kernel took no byte of the request; the gate is read when the connection stands
//! and TLS has shaken hands, with nothing that waits between it and the first byte; a request is written at most once,
//! also when its connection turns out dead; every wait has a deadline and every answer a largest size.
//! Never does: retry, follow a redirect, use a proxy or a cookie, unpack, look a name up, share a connection between two
//! calls.

mod control;
mod framing;
mod line;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use ureq::http::{Method, Request, Response, Uri};
use ureq::{Agent, Body};

use self::control::Control;
pub use self::control::Cutter;
use self::framing::{Slot, lock};
use self::line::{Dial, Fault, Line};
use super::address::{Address, Scheme};
use super::deadline::Deadline;
use super::resolver::Resolver;
use super::roots::Roots;

/// Addresses tried in one call.
const ADDRESSES_MAX: usize = 4;
/// Read at a time.
const CHUNK_BYTES: usize = 16 * 1_024;
/// Headers that decide where a request ends. Ours alone.
const OUR_HEADERS: [&str; 8] =
    ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"];

/// What a client carries: its sockets differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Can raise exposure: closing its socket drops what has not left yet.
    Create,
    /// Takes risk off.
    Cancel,
    /// Asks.
    Read,
}

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Scheme, host and port. It has no path of its own.
    pub base: Address,
    /// What it carries.
    pub lane: Lane,
    /// To connect and shake hands, all addresses together.
    pub connect_timeout: Duration,
    /// A whole call; a request may ask for less, not for more.
    pub total_timeout: Duration,
    /// A connection that rested longer is not used again. More than the time between two `warm`.
    pub max_idle_age: Duration,
    /// The largest body of an answer.
    pub body_bytes_max: usize,
    /// Who we say we are.
    pub user_agent: String,
}

/// A request, ready to be sent as it is.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The verb.
    pub method: &'a str,
    /// Percent-encoded, beginning with `/`; sent byte for byte.
    pub path_and_query: &'a str,
    /// Beside those that every request has.
    pub headers: &'a [(&'a str, &'a str)],
    /// Sent byte for byte.
    pub body: Option<&'a [u8]>,
    /// For the whole call, connecting included.
    pub timeout: Duration,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not one byte of it left.
    NotSent(String),
    /// A byte may have left, and no whole answer came.
    Lost(String),
    /// A whole answer, whatever its status.
    Got {
        /// The status.
        status: u16,
        /// Names in lower case.
        headers: Vec<(String, String)>,
        /// As it came.
        body: Vec<u8>,
    },
}

/// What `warm` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warmth {
    /// A connection stands and will be young enough until the next look.
    Ready,
    /// A new one was made.
    Opened,
    /// None could be made.
    Cold(String),
}

/// One way to one venue: at most one call at a time, at most one connection. Each worker owns its own, one a lane.
pub struct HttpClient {
    settings: HttpSettings,
    resolver: Resolver,
    roots: Roots,
    control: Arc<Control>,
    slot: Slot,
    agent: Agent,
    /// Rests between two calls.
    line: Option<Line>,
}

impl fmt::Debug for Outgoing<'_> {
    /// Without query, headers and body: they may hold keys.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.path_and_query.split('?').next().unwrap_or(""))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HttpClient({}, {:?})", self.settings.base, self.settings.lane)
    }
}

impl HttpClient {
    /// A client without a connection yet. Says what is wrong with the settings.
    pub fn new(settings: HttpSettings, resolver: Resolver, roots: Roots) -> Result<HttpClient, String> {
        if !matches!(settings.base.scheme(), Scheme::Http | Scheme::Https) {
            return Err(format!("{} is no address for requests: use https://", settings.base));
        }
        if settings.base.path_and_query() != "/" {
            return Err(format!("{} must end with its host: paths are the venue's", settings.base));
        }
        if HeaderValue::from_str(&settings.user_agent).is_err() {
            return Err("the user agent has characters that no header can have".into());
        }
        let slot = Slot::default();
        let agent = framing::agent(slot.clone(), settings.total_timeout, &settings.user_agent);
        Ok(HttpClient { settings, resolver, roots, control: Arc::default(), slot, agent, line: None })
    }

    /// Cuts short what `send` or `warm` waits for, from another thread.
    pub fn cutter(&self) -> Cutter {
        Cutter(Arc::clone(&self.control))
    }

    /// Sends a request and waits for its answer. `may_leave` is read once, right before the first byte.
    pub fn send(&mut self, outgoing: &Outgoing<'_>, may_leave: &dyn Fn() -> bool) -> Outcome {
        let request = match self.request(outgoing) {
            Ok(request) => request,
            Err(why) => return Outcome::NotSent(format!("the request cannot be written: {why}")),
        };
        let deadline = Deadline::after(outgoing.timeout.min(self.settings.total_timeout));
        if !self.control.begin() {
            return Outcome::NotSent("the client is closed".into());
        }
        let outcome = self.carry(request, deadline, may_leave);
        self.control.end();
        outcome
    }

    /// Sees to it that a connection stands, without a request. Younger connections than half of `max_idle_age` are left
    /// alone, so that one is still good at the next look.
    pub fn warm(&mut self) -> Warmth {
        if !self.control.begin() {
            return Warmth::Cold("the client is closed".into());
        }
        let is_ready =
            self.line.as_mut().is_some_and(|line| line.idle_for() < self.settings.max_idle_age / 2 && line.is_alive());
        let warmth = if is_ready {
            Warmth::Ready
        } else {
            self.line = None;
            match self.dial(Deadline::after(self.settings.total_timeout)) {
                Ok(line) => {
                    self.line = Some(line);
                    Warmth::Opened
                }
                Err(why) => Warmth::Cold(why),
            }
        };
        self.control.end();
        warmth
    }

    fn carry(&mut self, request: Request<Option<&[u8]>>, deadline: Deadline, may_leave: &dyn Fn() -> bool) -> Outcome {
        let mut line = match self.open(deadline) {
            Ok(line) => line,
            Err(why) => return Outcome::NotSent(why),
        };
        if let Err(fault) = line.begin(deadline) {
            return Outcome::NotSent(self.sentence(&words::fault(&fault), "nothing was sent"));
        }
        if !may_leave() {
            line.rest();
            self.line = Some(line);
            return Outcome::NotSent("the gate was shut before its first byte".into());
        }
        let shared = Arc::new(std::sync::Mutex::new(line));
        self.slot.put(Some(Arc::clone(&shared)));
        let answer = self.converse(request);
        // Taken back also if it was never asked for, or the next call would get a connection that nobody looked at.
        self.slot.put(None);
        let (n_sent, fault, is_reusable) = {
            let line = lock(&shared);
            (line.n_sent(), line.fault(), line.is_reusable)
        };
        match answer {
            Ok(got) => {
                if is_reusable && let Some(line) = Arc::into_inner(shared) {
                    let mut line = line.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
                    line.rest();
                    self.line = Some(line);
                }
                got
            }
            Err(why) => {
                let why = fault.map_or(why, |fault| words::fault(&fault));
                if n_sent == 0 {
                    Outcome::NotSent(self.sentence(&why, "nothing was sent"))
                } else {
                    Outcome::Lost(self.sentence(&why, "the request may have arrived"))
                }
            }
        }
    }

    /// The resting connection if it is still good, else a new one.
    fn open(&mut self, deadline: Deadline) -> Result<Line, String> {
        if let Some(mut line) = self.line.take()
            && line.idle_for() < self.settings.max_idle_age
            && line.is_alive()
        {
            return Ok(line);
        }
        self.dial(deadline)
    }

    /// Tries the addresses in turn: each gets half of the time left, the last all of it.
    fn dial(&self, deadline: Deadline) -> Result<Line, String> {
        let base = &self.settings.base;
        let mut addresses = self.resolver.addresses(base).map_err(|why| format!("{why}; nothing was sent"))?;
        addresses.truncate(ADDRESSES_MAX);
        let deadline = deadline.min(Deadline::after(self.settings.connect_timeout));
        let dial = Dial {
            address: base,
            roots: &self.roots,
            closes_hard: self.settings.lane == Lane::Create,
            control: &self.control,
        };
        let mut whys = Vec::new();
        for (number, to) in addresses.iter().enumerate() {
            let Some(left) = deadline.left() else { break };
            let turn = if number + 1 < addresses.len() { Deadline::after(left / 2) } else { deadline };
            match Line::dial(&dial, *to, turn) {
                Ok(line) => {
                    self.resolver.worked(base, to.ip());
                    return Ok(line);
                }
                Err(Fault::Cut) => return Err(self.sentence(&words::fault(&Fault::Cut), "nothing was sent")),
                Err(fault) => {
                    self.resolver.failed(base, to.ip());
                    whys.push(format!("{}: {}", to.ip(), words::fault(&fault)));
                }
            }
        }
        if whys.is_empty() {
            whys.push("no time was left to connect".to_owned());
        }
        Err(format!("no connection to {} ({}); nothing was sent", base.authority(), whys.join("; ")))
    }

    /// Writes the request and reads the whole answer.
    fn converse(&self, request: Request<Option<&[u8]>>) -> Result<Outcome, String> {
        let (parts, body) = request.into_parts();
        let response = match body {
            Some(body) => self.agent.run(Request::from_parts(parts, body)),
            None => self.agent.run(Request::from_parts(parts, ())),
        };
        let response = response.map_err(|error| words::answer(&error))?;
        let bytes_max = self.settings.body_bytes_max;
        let too_long = || format!("the body of its answer is longer than {bytes_max} bytes");
        let announced = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > bytes_max as u64) {
            return Err(too_long());
        }
        read_answer(response, bytes_max).map_err(|error| match error {
            Some(error) => words::answer(&ureq::Error::from(error)),
            None => too_long(),
        })
    }

    fn request<'a>(&self, outgoing: &Outgoing<'a>) -> Result<Request<Option<&'a [u8]>>, String> {
        let path = outgoing.path_and_query;
        if !path.starts_with('/') {
            return Err("its path does not begin with /".into());
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its path has characters that must be percent-encoded".into());
        }
        let uri: Uri = format!("{}{path}", self.settings.base.origin())
            .parse()
            .map_err(|_| "its path has characters that must be percent-encoded".to_owned())?;
        if uri.path_and_query().is_none_or(|sent| sent.as_str() != path) {
            return Err("its path would not be sent as it is: percent-encode it".into());
        }
        let method = Method::from_bytes(outgoing.method.as_bytes()).map_err(|_| "its verb is none".to_owned())?;
        // A verb that usually has a body says that it has none by a length of 0.
        let empty: &[u8] = &[];
        let body = outgoing.body.or((method == Method::POST || method == Method::PUT).then_some(empty));
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        for (name, value) in outgoing.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header has no proper name".to_owned())?;
            if OUR_HEADERS.contains(&name.as_str()) {
                return Err(format!("the header {name} is not the caller's to set"));
            }
            let mut value =
                HeaderValue::from_str(value).map_err(|_| format!("the header {name} has a value it cannot have"))?;
            value.set_sensitive(true);
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }

    fn sentence(&self, why: &str, so: &str) -> String {
        format!("{}: {why}; {so}", self.settings.base.authority())
    }
}

/// Reads the whole answer. No error inside means that it is too long.
fn read_answer(response: Response<Body>, bytes_max: usize) -> Result<Outcome, Option<std::io::Error>> {
    let (parts, body) = response.into_parts();
    let mut reader = body.into_reader();
    let mut whole = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let n = reader.read(&mut chunk).map_err(Some)?;
        if n == 0 {
            break;
        }
        if whole.len() + n > bytes_max {
            return Err(None);
        }
        whole.extend_from_slice(&chunk[..n]);
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Ok(Outcome::Got { status: parts.status.as_u16(), headers, body: whole })
}
