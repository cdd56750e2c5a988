//! A venue's JSON, read strictly, and its fields by name.
//!
//! Always holds: text nested deeper than [`DEPTH_MAX`] and objects that name a field twice are refused; a field of the
//! wrong type is an error that names the field; unknown fields are ignored; an empty text means "none".
//! Never does: numbers with a point. Venues send money as text; what is a JSON number here is a count or a time.

use serde_json::{Map, Value};

use crate::domain::money::Decimal;
use crate::domain::time::Wall;

/// Deepest nesting that is read. No venue goes beyond ten; deeper text is an attack or damage.
pub const DEPTH_MAX: usize = 64;

/// Why a text is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misread(pub String);

/// Reads a text.
pub fn read(text: &str) -> Result<Value, Misread> {
    check_shape(text)?;
    // Only the place is told, never the text: an answer may echo what must not be logged.
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_eof() { "JSON that breaks off" } else { "no JSON" };
        Misread(format!("{what} (line {line}, column {column})"))
    })
}

/// Reads a body.
pub fn read_bytes(body: &[u8]) -> Result<Value, Misread> {
    read(std::str::from_utf8(body).map_err(|_| Misread("no text in UTF-8".into()))?)
}

/// Depth and doubled names, which `serde_json` would let pass (128 levels, the last of two fields wins). Loose about
/// everything else: the parser comes after it.
fn check_shape(text: &str) -> Result<(), Misread> {
    let bytes = text.as_bytes();
    // Names seen in each open object; `None` for an open array.
    let mut open: Vec<Option<std::collections::BTreeSet<&str>>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' => open.push(Some(std::collections::BTreeSet::new())),
            b'[' => open.push(None),
            b'}' | b']' => {
                open.pop();
            }
            b'"' => {
                let begin = at;
                while let Some(&inside) = bytes.get(at).filter(|&&byte| byte != b'"') {
                    at += if inside == b'\\' { 2 } else { 1 };
                }
                let end = at.min(bytes.len());
                at += 1;
                let next = bytes.get(at..).and_then(|rest| rest.iter().find(|byte| !byte.is_ascii_whitespace()));
                if let (Some(b':'), Some(Some(names)), Some(name)) = (next, open.last_mut(), text.get(begin..end))
                    && !names.insert(name)
                {
                    return Err(Misread(format!("JSON that names `{}` twice", clipped(name))));
                }
            }
            _ => {}
        }
        if open.len() > DEPTH_MAX {
            return Err(Misread(format!("JSON nested deeper than {DEPTH_MAX}")));
        }
    }
    Ok(())
}

/// A text cut short for people, without control characters.
pub fn clipped(text: &str) -> String {
    let mut short: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(200).collect();
    if text.chars().nth(200).is_some() {
        short.push_str("...");
    }
    short
}

/// The fields of an object.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    what: &'a str,
}

impl<'a> Fields<'a> {
    /// Of a value that must be an object; `what` names it in errors.
    pub fn of(value: &'a Value, what: &'a str) -> Result<Fields<'a>, Misread> {
        match value {
            Value::Object(map) => Ok(Fields { map, what }),
            other => Err(Misread(format!("{what} is {}, not an object", kind(other)))),
        }
    }

    fn wrong(&self, name: &str, wanted: &str, found: &Value) -> Misread {
        Misread(format!("{}: `{name}` is {}, not {wanted}", self.what, kind(found)))
    }

    fn missing(&self, name: &str) -> Misread {
        Misread(format!("{}: no `{name}`", self.what))
    }

    /// Whatever stands there; `None` for nothing and for `null`.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text; `None` for nothing, `null` and the empty text.
    pub fn maybe_text(&self, name: &str) -> Result<Option<&'a str>, Misread> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.wrong(name, "a text", other)),
        }
    }

    /// A text that must be there.
    pub fn text(&self, name: &str) -> Result<&'a str, Misread> {
        self.maybe_text(name)?.ok_or_else(|| self.missing(name))
    }

    /// A decimal number, as text.
    pub fn maybe_decimal(&self, name: &str) -> Result<Option<Decimal>, Misread> {
        self.maybe_text(name)?
            .map(|text| text.parse().map_err(|error| Misread(format!("{}: `{name}`: {error}", self.what))))
            .transpose()
    }

    /// A decimal number that must be there.
    pub fn decimal(&self, name: &str) -> Result<Decimal, Misread> {
        self.maybe_decimal(name)?.ok_or_else(|| self.missing(name))
    }

    /// A decimal number that is not negative.
    pub fn maybe_amount(&self, name: &str) -> Result<Option<Decimal>, Misread> {
        match self.maybe_decimal(name)? {
            Some(amount) if amount.is_negative() => {
                Err(Misread(format!("{}: `{name}` is negative: {amount}", self.what)))
            }
            other => Ok(other),
        }
    }

    /// A decimal number that must be there and is not negative.
    pub fn amount(&self, name: &str) -> Result<Decimal, Misread> {
        self.maybe_amount(name)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number, as a JSON number or as text.
    pub fn maybe_integer(&self, name: &str) -> Result<Option<i64>, Misread> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_i64(),
            Some(other) => return Err(self.wrong(name, "a whole number", other)),
        };
        number.map(Some).ok_or_else(|| Misread(format!("{}: `{name}` is not a whole number", self.what)))
    }

    /// A whole number that must be there.
    pub fn integer(&self, name: &str) -> Result<i64, Misread> {
        self.maybe_integer(name)?.ok_or_else(|| self.missing(name))
    }

    /// Milliseconds since 1970, as a number or as text.
    pub fn maybe_millis(&self, name: &str) -> Result<Option<Wall>, Misread> {
        Ok(self.maybe_integer(name)?.map(Wall::from_millis))
    }

    /// Milliseconds since 1970 that must be there.
    pub fn millis(&self, name: &str) -> Result<Wall, Misread> {
        self.maybe_millis(name)?.ok_or_else(|| self.missing(name))
    }

    /// Yes or no; `None` for nothing and `null`.
    pub fn maybe_flag(&self, name: &str) -> Result<Option<bool>, Misread> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(name, "true or false", other)),
        }
    }

    /// A list; `None` for nothing and `null`.
    pub fn maybe_list(&self, name: &str) -> Result<Option<&'a [Value]>, Misread> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(self.wrong(name, "a list", other)),
        }
    }

    /// A list that must be there.
    pub fn list(&self, name: &str) -> Result<&'a [Value], Misread> {
        self.maybe_list(name)?.ok_or_else(|| self.missing(name))
    }

    /// An object that must be there; `what` names it in errors.
    pub fn object(&self, name: &str, what: &'a str) -> Result<Fields<'a>, Misread> {
        match self.value(name) {
            None => Err(self.missing(name)),
            Some(value) => Fields::of(value, what),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_nested_too_deep_is_refused_before_it_is_parsed() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert!(read(&nested(DEPTH_MAX + 1)).is_err());
        assert!(read(&nested(1_000_000)).is_err());
        assert!(read(&format!("{{\"a\":\"{}\"}}", "[".repeat(1_000))).is_ok(), "brackets in a text are no nesting");
        let wide = format!("[{}[]]", "[],".repeat(1_000));
        assert!(read(&wide).is_ok(), "siblings do not add up");
    }

    #[test]
    fn a_field_named_twice_is_refused() {
        assert!(read(r#"{"qty":"1","qty":"2"}"#).is_err());
        assert!(read(r#"{"qty" : "1", "a":[{"qty":"2"}], "b":{"qty":"3"}}"#).is_ok(), "other objects may have it too");
        assert!(read(r#"["a","a"]"#).is_ok());
        assert!(read(r#"{"a":"\"x\":","b":"\"x\":"}"#).is_ok());
    }

    #[test]
    fn an_error_names_the_field_and_what_stands_there() {
        let value = read(r#"{"qty":5,"price":"-1","when":"soon","list":{}}"#).unwrap();
        let fields = Fields::of(&value, "order").unwrap();
        assert_eq!(fields.decimal("qty").unwrap_err().0, "order: `qty` is a number, not a text");
        assert_eq!(fields.amount("price").unwrap_err().0, "order: `price` is negative: -1");
        assert_eq!(fields.millis("when").unwrap_err().0, "order: `when` is not a whole number");
        assert_eq!(fields.list("list").unwrap_err().0, "order: `list` is an object, not a list");
        assert_eq!(fields.text("absent").unwrap_err().0, "order: no `absent`");
    }

    #[test]
    fn an_empty_text_is_nothing() {
        let value = read(r#"{"a":"","b":null,"c":"0"}"#).unwrap();
        let fields = Fields::of(&value, "row").unwrap();
        assert_eq!(fields.maybe_decimal("a").unwrap(), None);
        assert_eq!(fields.maybe_decimal("b").unwrap(), None);
        assert_eq!(fields.maybe_decimal("c").unwrap(), Some(Decimal::ZERO));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_reader(text in r#"[\[\]{}":,\\a0 \n\u{e9}]{0,60}"#) {
            let _ = read(&text);
        }
    }
}
