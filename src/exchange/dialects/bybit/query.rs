//! What a request asks: fields of a query or of a JSON body, both read the same way.
//!
//! Always holds: a query is decoded exactly once; what is not text is not guessed at.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::answer::Answer;
use super::names::Category;
use crate::domain::money::Decimal;

/// Fields by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn from_query(query: &str) -> Fields {
        let mut fields = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.insert(decoded(name), Value::String(decoded(value)));
        }
        Fields(fields)
    }

    pub(super) fn from_body(body: &[u8]) -> Result<Fields, Answer> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            _ => Err(Answer::error(10001, "params error: request body is not a JSON object")),
        }
    }

    pub(super) fn from_value(value: &Value) -> Option<Fields> {
        value.as_object().cloned().map(Fields)
    }

    /// A text; an empty one and `null` count as absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Answer> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(super) fn needed(&self, name: &str) -> Result<&str, Answer> {
        self.text(name)?.ok_or_else(|| Answer::error(10001, &format!("params error: {name} is required")))
    }

    /// An amount, written as text.
    pub(super) fn amount(&self, name: &str) -> Result<Option<Decimal>, Answer> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| wrong(name)),
        }
    }

    /// A whole number, as such or as text.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Answer> {
        match self.0.get(name) {
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(|| wrong(name)),
            _ => match self.text(name)? {
                None => Ok(None),
                Some(text) => text.parse().map(Some).map_err(|_| wrong(name)),
            },
        }
    }

    /// A yes or no, as such or as text.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Answer> {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => Ok(*flag),
            _ => match self.text(name)? {
                None | Some("false") => Ok(false),
                Some("true") => Ok(true),
                Some(_) => Err(wrong(name)),
            },
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<&[Value], Answer> {
        match self.0.get(name) {
            Some(Value::Array(list)) => Ok(list),
            _ => Err(Answer::error(10001, &format!("params error: {name} is required"))),
        }
    }

    /// The category: one spoken here, or `None` for one that only exists.
    pub(super) fn category(&self) -> Result<Option<Category>, Answer> {
        match self.needed("category")? {
            "inverse" | "option" => Ok(None),
            word => match Category::parse(word) {
                Some(category) => Ok(Some(category)),
                None => Err(Answer::error(10001, "params error: category is invalid")),
            },
        }
    }

    /// The names of the orders it is about, for the ledger.
    pub(super) fn links(&self) -> Vec<String> {
        let own = self.0.get("orderLinkId").into_iter();
        let legs = self.0.get("request").and_then(Value::as_array).into_iter().flatten();
        let links = own.chain(legs.filter_map(|leg| leg.get("orderLinkId")));
        // What lies in the ledger is bounded, whatever was sent.
        links.filter_map(Value::as_str).take(20).map(|link| link.chars().take(64).collect()).collect()
    }
}

fn wrong(name: &str) -> Answer {
    Answer::error(10001, &format!("params error: {name} is invalid"))
}

/// Percent-decoding, once.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let hex = bytes.get(place + 1..place + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(coded)) => {
                plain.push(coded);
                place += 3;
            }
            (b'+', _) => {
                plain.push(b' ');
                place += 1;
            }
            _ => {
                plain.push(byte);
                place += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Percent-encoding of everything that is not plain.
pub(super) fn encoded(text: &str) -> String {
    let mut coded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            coded.push(char::from(byte));
        } else {
            coded.push_str(&format!("%{byte:02X}"));
        }
    }
    coded
}

/// A cursor as the wire shows it: percent-encoded already, so that it can be put into a query as it is.
pub(super) fn cursor_shown(cursor: &str) -> String {
    encoded(&format!("page_token={cursor}&"))
}

/// A cursor as it came back, decoded once with the rest of the query.
pub(super) fn cursor_read(fields: &Fields) -> Result<Option<String>, Answer> {
    match fields.text("cursor")? {
        None => Ok(None),
        Some(text) => match text.strip_prefix("page_token=").and_then(|rest| rest.strip_suffix('&')) {
            Some(cursor) => Ok(Some(cursor.to_owned())),
            None => Err(Answer::error(10001, "params error: cursor is invalid")),
        },
    }
}

/// Fields of the query of a socket's address.
pub(super) fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_exactly_once() {
        let shown = cursor_shown("17@99");
        assert_eq!(shown, "page_token%3D17%4099%26");
        let fields = Fields::from_query(&format!("category=spot&cursor={shown}"));
        assert_eq!(cursor_read(&fields).unwrap(), Some("17@99".to_owned()));
        let twice = Fields::from_query(&format!("cursor={}", encoded(&shown)));
        assert!(cursor_read(&twice).is_err(), "encoded twice is broken");
    }

    #[test]
    fn odd_escapes_are_left_alone() {
        for (text, plain) in
            [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("a+b", "a b"), ("%C3%A4", "ä"), ("%ff", "\u{fffd}")]
        {
            assert_eq!(decoded(text), plain, "{text}");
        }
    }

    #[test]
    fn amounts_are_text_and_nothing_else() {
        let fields = Fields::from_body(br#"{"qty":1,"price":"1e5","size":"0.5","none":""}"#).unwrap();
        assert!(fields.amount("qty").is_err() && fields.amount("price").is_err());
        assert_eq!(fields.amount("size").unwrap(), Some("0.5".parse().unwrap()));
        assert_eq!(fields.amount("none").unwrap(), None);
    }
}
