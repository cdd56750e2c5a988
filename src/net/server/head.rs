//! The head of a request: what is asked, how its body ends, whether the connection goes on. Pure.
//!
//! Always holds: a head that two readers might understand differently (two lengths, a length beside chunks, an unknown
//! coding, a name with blanks) is refused.

use http::Method;

use super::response::Response;

/// Most headers in a head.
const HEADERS_MAX: usize = 64;

/// Why a request is not served. Its connection is closed, for nobody knows where the next one would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    why: &'static str,
}

impl Refusal {
    pub(super) const BODY_TOO_LARGE: Refusal =
        Refusal { status: 413, why: "the body is larger than this server takes" };
    pub(super) const LATE: Refusal = Refusal { status: 408, why: "the request did not come in time" };
    pub(super) const CROWDED: Refusal = Refusal { status: 503, why: "too many connections" };
    pub(super) const CLOSING: Refusal = Refusal { status: 503, why: "the server is closing" };

    pub(super) const fn bad(why: &'static str) -> Refusal {
        Refusal { status: 400, why }
    }

    const fn of(status: u16, why: &'static str) -> Refusal {
        Refusal { status, why }
    }

    pub(super) fn response(self) -> Response {
        let response = Response::text(self.status, format!("{}\n", self.why));
        match self.status {
            426 => response.header("upgrade", "websocket").header("sec-websocket-version", "13"),
            _ => response,
        }
    }
}

/// How a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(usize),
    Chunked,
}

/// A head, read and judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path_and_query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    /// The client waits for a word before it sends the body.
    pub(super) expects_continue: bool,
    /// HTTP/1.0, which must be told that a connection stays.
    pub(super) is_old: bool,
    pub(super) keep_alive: bool,
}

/// Reads a head from the front of what has come. `None`: it is not all there. Otherwise also how long it was.
pub(super) fn parse(
    input: &[u8],
    header_bytes_max: usize,
    body_bytes_max: usize,
) -> Result<Option<(Head, usize)>, Refusal> {
    let too_long = Refusal::of(431, "the head of the request is larger than this server takes");
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(input) {
        Ok(httparse::Status::Complete(length)) if length <= header_bytes_max => length,
        Ok(httparse::Status::Partial) if input.len() < header_bytes_max => return Ok(None),
        Ok(_) => return Err(too_long),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::of(431, "too many headers")),
        Err(httparse::Error::Version) => return Err(Refusal::of(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")),
        Err(_) => return Err(Refusal::bad("the head of the request cannot be read")),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::bad("the first line of the request cannot be read"));
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::bad("the method cannot be read"))?;
    let headers = request.headers.iter().map(owned).collect::<Result<Vec<_>, _>>()?;
    let is_old = version == 0;
    let head = Head {
        path_and_query: path_and_query(target)?,
        body: body(&headers, is_old, body_bytes_max)?,
        expects_continue: expects_continue(&headers, is_old)?,
        is_old,
        keep_alive: match is_old {
            true => has_token(&headers, "connection", "keep-alive"),
            false => !has_token(&headers, "connection", "close"),
        },
        method,
        headers,
    };
    if !is_old && values(&head.headers, "host").count() != 1 {
        return Err(Refusal::bad("a request names one host"));
    }
    Ok(Some((head, length)))
}

/// The key of a wish for a WebSocket. `None`: it is none. A wish that cannot be granted is refused.
pub(super) fn socket_key(head: &Head) -> Result<Option<&str>, Refusal> {
    let wished = head.method == Method::GET
        && !head.is_old
        && has_token(&head.headers, "connection", "upgrade")
        && has_token(&head.headers, "upgrade", "websocket");
    if !wished {
        return Ok(None);
    }
    if head.body != Body::Length(0) {
        return Err(Refusal::bad("a wish for a WebSocket has no body"));
    }
    if !values(&head.headers, "sec-websocket-version").eq(["13"]) {
        return Err(Refusal::of(426, "WebSocket version 13 is spoken here"));
    }
    let mut keys = values(&head.headers, "sec-websocket-key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key) => Ok(Some(key)),
        _ => Err(Refusal::bad("a wish for a WebSocket has one key of 16 bytes")),
    }
}

/// 16 bytes in base 64: 22 digits and two signs of filling.
fn is_key(key: &str) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with("==") && key.as_bytes()[..22].iter().all(digit)
}

fn owned(header: &httparse::Header<'_>) -> Result<(String, String), Refusal> {
    let value = std::str::from_utf8(header.value).map_err(|_| Refusal::bad("a header is not UTF-8"))?;
    Ok((header.name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

/// A path as it was sent; a whole address is cut down to its path.
fn path_and_query(target: &str) -> Result<String, Refusal> {
    if target.starts_with('/') || target == "*" {
        return Ok(target.to_owned());
    }
    let whole: http::Uri = target.parse().map_err(|_| Refusal::bad("what is asked for cannot be read"))?;
    match (whole.scheme(), whole.path_and_query()) {
        (Some(_), Some(path)) => Ok(path.as_str().to_owned()),
        _ => Err(Refusal::bad("what is asked for is no path")),
    }
}

fn body(headers: &[(String, String)], is_old: bool, body_bytes_max: usize) -> Result<Body, Refusal> {
    let mut lengths = values(headers, "content-length");
    let mut codings = values(headers, "transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Body::Length(0)),
        (Some(_), Some(_)) => Err(Refusal::bad("a length beside a transfer coding")),
        (Some(length), None) => {
            let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            if lengths.next().is_some() || !is_number {
                return Err(Refusal::bad("a length that cannot be read, or more than one"));
            }
            let length = length.parse().ok().filter(|length| *length <= body_bytes_max);
            Ok(Body::Length(length.ok_or(Refusal::BODY_TOO_LARGE)?))
        }
        (None, Some(_)) if is_old => Err(Refusal::bad("HTTP/1.0 knows no transfer codings")),
        (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") && codings.next().is_none() => Ok(Body::Chunked),
        (None, Some(_)) => Err(Refusal::of(501, "the only transfer coding known here is chunked, once")),
    }
}

fn expects_continue(headers: &[(String, String)], is_old: bool) -> Result<bool, Refusal> {
    let mut expected = values(headers, "expect").peekable();
    if is_old || expected.peek().is_none() {
        return Ok(false);
    }
    match expected.all(|value| value.eq_ignore_ascii_case("100-continue")) {
        true => Ok(true),
        false => Err(Refusal::of(417, "something is expected that this server does not know")),
    }
}

fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// Whether a list of words, over all headers of this name, holds this one.
fn has_token(headers: &[(String, String)], name: &str, token: &str) -> bool {
    values(headers, name).flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}
