//! Requests as bytes: queries, bodies, headers.
//!
//! Always holds: a GET has no body (the venue answers 403 to one that has); a query is encoded once, here, and signed
//! as it stands; a cursor goes back as it came.

use std::fmt::Write;
use std::time::Duration;

use super::envelope::refused;
use super::sign;
use crate::domain::request::Answered;
use crate::domain::secret::ApiKey;
use crate::venues::Signing;
use crate::venues::wire::{HttpRequest, Lane, Method};

/// How long a request may count that is no create.
const RECV_WINDOW_MS: u64 = 5_000;
/// How long a create may count, at most.
pub(super) const CREATE_WINDOW_MAX: Duration = Duration::from_secs(3);

/// A query being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(String);

impl Query {
    /// One more field.
    pub(super) fn with(mut self, name: &str, value: &str) -> Query {
        self.begin(name);
        for byte in value.bytes() {
            self.push(byte, byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
        }
        self
    }

    /// Where to go on. A cursor comes percent-encoded and goes back so; a byte that could end the field is encoded all
    /// the same.
    pub(super) fn with_cursor(mut self, cursor: &str) -> Query {
        if cursor.is_empty() {
            return self;
        }
        self.begin("cursor");
        for byte in cursor.bytes() {
            self.push(byte, byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte));
        }
        self
    }

    fn begin(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
    }

    fn push(&mut self, byte: u8, as_it_is: bool) {
        if as_it_is {
            self.0.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(self.0, "%{byte:02X}");
        }
    }
}

/// A question anyone may ask.
pub(super) fn public(path: &str, query: &Query) -> HttpRequest {
    let path_and_query = if query.0.is_empty() { path.to_owned() } else { format!("{path}?{}", query.0) };
    HttpRequest { method: Method::Get, path_and_query, headers: Vec::new(), body: None, lane: Lane::Read }
}

/// A question about the account.
pub(super) fn ask(
    key: Option<&ApiKey>,
    path: &str,
    query: &Query,
    signing: &Signing,
) -> Result<HttpRequest, Box<Answered>> {
    let headers = sign::headers(needed(key)?, signing.now, RECV_WINDOW_MS, &query.0);
    Ok(HttpRequest { headers, ..public(path, query) })
}

/// Something to be done.
pub(super) fn act(
    key: Option<&ApiKey>,
    path: &str,
    body: String,
    lane: Lane,
    signing: &Signing,
) -> Result<HttpRequest, Box<Answered>> {
    let window_ms = match lane {
        // The order must not be executed later than the caller allows: the venue refuses it after this.
        Lane::Create => u64::try_from(signing.valid_for.min(CREATE_WINDOW_MAX).as_millis()).unwrap_or(0),
        Lane::Cancel | Lane::Read => RECV_WINDOW_MS,
    };
    if window_ms == 0 {
        return Err(Box::new(Answered::NotSent("its time was over before it was signed".into())));
    }
    let mut headers = sign::headers(needed(key)?, signing.now, window_ms, &body);
    headers.push(("Content-Type", "application/json".to_owned()));
    Ok(HttpRequest { method: Method::Post, path_and_query: path.to_owned(), headers, body: Some(body), lane })
}

fn needed(key: Option<&ApiKey>) -> Result<&ApiKey, Box<Answered>> {
    key.ok_or_else(|| refused("there is no key for this account: only public data can be asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_back_as_it_came() {
        let query = Query::default().with("category", "linear").with_cursor("132766%3A2%2C132766%3A2");
        assert_eq!(query.0, "category=linear&cursor=132766%3A2%2C132766%3A2");
        let plain = Query::default().with_cursor("a=b&c d\r\n#");
        assert_eq!(plain.0, "cursor=a%3Db%26c%20d%0D%0A%23");
        assert_eq!(Query::default().with("symbol", "A&B").with_cursor("").0, "symbol=A%26B");
    }
}
