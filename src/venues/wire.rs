//! An HTTP request and what came of it, as values.

/// How an outcome is to be carried: the sockets differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Can raise exposure: reads the gate before its first byte; its socket is closed hard.
    Create,
    /// Takes risk off: short time-out, connections kept warm, never behind anything else.
    Cancel,
    /// Asks.
    Read,
}

/// The verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// DELETE.
    Delete,
    /// PUT.
    Put,
}

impl Method {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Put => "PUT",
        }
    }
}

/// A request, ready to be sent as it is: nobody encodes or sorts anything after this.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The verb.
    pub method: Method,
    /// Path and query, percent-encoded, beginning with `/`. The host is the account's.
    pub path_and_query: String,
    /// Headers beside those every request has. They hold signatures: never shown.
    pub headers: Vec<(&'static str, String)>,
    /// The body, byte for byte as signed.
    pub body: Option<String>,
    /// How to carry it.
    pub lane: Lane,
}

impl std::fmt::Debug for HttpRequest {
    /// Without headers and body: they may hold keys.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path_and_query.split('?').next().unwrap_or("");
        write!(out, "{} {path}", self.method.word())
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpOutcome {
    /// Not one byte of it left.
    NotSent(String),
    /// At least one byte may have left, and no whole answer came.
    Lost(String),
    /// A whole answer.
    Got(HttpResponse),
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, at most 4 MiB.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
