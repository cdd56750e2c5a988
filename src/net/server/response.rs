//! An answer, and its bytes.
//!
//! Always holds: lengths and framing are written here and nowhere else; a header that could split the answer in two is
//! never sent.

use std::io::Write;

use http::{HeaderName, HeaderValue, Method, StatusCode};

/// What the server writes itself, whatever the service says.
const OWN_HEADERS: &[&str] = &["content-length", "transfer-encoding", "connection"];

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// An answer without headers or body.
    pub fn new(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Vec::new() }
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response::new(status).header("content-type", "application/json").body(body)
    }

    /// An answer in plain words.
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response::new(status).header("content-type", "text/plain; charset=utf-8").body(body)
    }

    /// With one more header, sent as it is spelled here. Length and connection are the server's to say; a name or value
    /// that cannot travel turns the answer into a 500 that names it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Response {
        self.body = body.into();
        self
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Its body.
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// What of it cannot be sent, if anything.
    fn fault(&self) -> Option<String> {
        // 1xx are no answers, and 101 is the server's own.
        if !(200..=599).contains(&self.status) {
            return Some(format!("status {} cannot be sent", self.status));
        }
        let broken = |(name, value): &&(String, String)| {
            HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err()
        };
        self.headers.iter().find(broken).map(|(name, _)| format!("header {name:?} cannot be sent"))
    }

    /// This answer, or one that says why it cannot be sent.
    pub(super) fn sendable(self) -> Response {
        match self.fault() {
            None => self,
            Some(fault) => Response::text(500, format!("the service made a broken answer: {fault}\n")),
        }
    }

    /// Whether an answer of this status has a body at all.
    pub(super) fn may_have_body(&self) -> bool {
        self.status != 204 && self.status != 304
    }

    /// The head, up to and with the empty line.
    pub(super) fn head(&self, framing: Framing, connection: Option<&str>) -> Vec<u8> {
        let mut head = Vec::with_capacity(256);
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        // Writing to a vector does not fail.
        let _ = write!(head, "HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Other"));
        for (name, value) in &self.headers {
            if !OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        let _ = match framing {
            Framing::Length(bytes) => write!(head, "content-length: {bytes}\r\n"),
            Framing::Chunked => write!(head, "transfer-encoding: chunked\r\n"),
            Framing::Nothing => Ok(()),
        };
        if let Some(connection) = connection {
            let _ = write!(head, "connection: {connection}\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// All of it.
    pub(super) fn bytes(&self, method: &Method, connection: Option<&str>) -> Vec<u8> {
        if !self.may_have_body() {
            return self.head(Framing::Nothing, connection);
        }
        let mut bytes = self.head(Framing::Length(self.body.len()), connection);
        if method != Method::HEAD {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// By its length.
    Length(usize),
    /// In chunks.
    Chunked,
}
