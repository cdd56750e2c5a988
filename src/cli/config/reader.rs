//! Walks a TOML file key by key and collects everything that is wrong with it.
//!
//! A derived serde type would stop at the first mistake and could not name the nearest known key, so the file is read
//! as a tree with spans. What the file says (`Section`) and what the program works with (`domain::settings`) stay apart.
//!
//! Always holds: a key that nobody asked for is refused; so is one that looks like a secret, wherever it stands, and
//! its value is never copied out of the file's text.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::homes;
use super::nearest::{did_you_mean, nearest};
use super::refusal::{Refusal, clipped};
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;

/// A file being read.
pub(super) struct Reading<'t> {
    file: String,
    text: &'t str,
    refusals: RefCell<Vec<Refusal>>,
    broken_lines: RefCell<Vec<usize>>,
    origins: RefCell<BTreeMap<String, String>>,
}

impl<'t> Reading<'t> {
    /// Of this text; `file` is its name in refusals.
    pub(super) fn new(file: &str, text: &'t str) -> Reading<'t> {
        Reading {
            file: file.to_owned(),
            text,
            refusals: RefCell::default(),
            broken_lines: RefCell::default(),
            origins: RefCell::default(),
        }
    }

    /// The tree. Every syntax error is a refusal; the parser's own report is not used because it quotes the line.
    pub(super) fn parse(&self) -> DeTable<'t> {
        let (tree, errors) = DeTable::parse_recoverable(self.text);
        let mut lines = Vec::new();
        for error in errors {
            let line = error.span().map_or(0, |span| self.line(&span));
            self.refuse(Refusal {
                source: self.file.clone(),
                line,
                key: String::new(),
                value: None,
                problem: format!("This is not TOML: {}.", error.message()),
                allowed: "See https://toml.io for the form of the file.".to_owned(),
            });
            lines.push(line);
        }
        let tree = tree.into_inner();
        self.refuse_secrets("", &tree);
        // What the parser made of a broken line is not what was meant: nothing more is said about it.
        self.broken_lines.borrow_mut().extend(lines);
        tree
    }

    /// Adds a refusal.
    pub(super) fn refuse(&self, refusal: Refusal) {
        if refusal.line == 0 || !self.broken_lines.borrow().contains(&refusal.line) {
            self.refusals.borrow_mut().push(refusal);
        }
    }

    /// Everything refused so far and where each value stands, by key path.
    pub(super) fn finish(self) -> (Vec<Refusal>, BTreeMap<String, String>) {
        (self.refusals.into_inner(), self.origins.into_inner())
    }

    fn line(&self, span: &Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
    }

    fn refuse_secrets(&self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = joined(path, key.get_ref());
            if is_secret(key.get_ref(), value.get_ref()) {
                self.refuse(Refusal {
                    source: self.file.clone(),
                    line: self.line(&key.span()),
                    key: name,
                    value: None,
                    problem: "Secrets do not belong in this file.".to_owned(),
                    allowed: "Use the environment: <KIND>_API_KEY and <KIND>_API_SECRET, or the same with _FILE.\n    \
                              Replace it at the exchange if others could read this file."
                        .to_owned(),
                });
            } else {
                self.refuse_secrets_in(&name, value.get_ref());
            }
        }
    }

    fn refuse_secrets_in(&self, path: &str, value: &DeValue<'_>) {
        match value {
            DeValue::Table(inner) => self.refuse_secrets(path, inner),
            DeValue::Array(items) => items.iter().for_each(|item| self.refuse_secrets_in(path, item.get_ref())),
            _ => {}
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() || key.is_empty() { format!("{path}{key}") } else { format!("{path}.{key}") }
}

/// The header of a table with this path: the path without the names of list entries.
fn header(path: &str) -> String {
    let mut depth = 0_u32;
    path.chars()
        .filter(|letter| {
            match letter {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

/// Whether a key holds something that must not be shown. A table is no secret by its name (there is a coin called
/// TOKEN); what it holds is looked at by itself.
fn is_secret(key: &str, value: &DeValue<'_>) -> bool {
    !matches!(value, DeValue::Table(_)) && looks_secret(key)
}

/// Whether a key is called like a secret, or nearly so.
fn looks_secret(key: &str) -> bool {
    const PARTS: [&str; 8] =
        ["apikey", "secret", "token", "password", "passwd", "passphrase", "privatekey", "credential"];
    let plain: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    PARTS.iter().any(|part| plain.contains(part)) || ["apikey", "apisecret"].iter().any(|word| near(&plain, word))
}

fn near(word: &str, other: &str) -> bool {
    strsim::damerau_levenshtein(word, other) <= 2
}

/// What an amount may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// Above zero.
    Positive,
    /// Zero or above.
    NotNegative,
}

/// A table of the file, or the absence of one.
pub(super) struct Section<'r> {
    reading: &'r Reading<'r>,
    path: String,
    table: Option<&'r DeTable<'r>>,
    line: usize,
    known: RefCell<Vec<&'static str>>,
}

/// A key that is there.
struct Field<'r> {
    value: &'r DeValue<'r>,
    line: usize,
    path: String,
    shown: String,
}

impl<'r> Section<'r> {
    /// The whole file.
    pub(super) fn root(reading: &'r Reading<'r>, table: &'r DeTable<'r>) -> Section<'r> {
        Section { reading, path: String::new(), table: Some(table), line: 0, known: RefCell::default() }
    }

    /// Takes note of a key that is known here though it may not be read.
    pub(super) fn knows(&self, key: &'static str) {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
    }

    /// Whether the table is there.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether a key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.get(key).is_some())
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let field = self.field(key)?;
        match field.value {
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => self.wrong(&field, "This is not a text.", "Write a text in quotes."),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let field = self.field(key)?;
        match field.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong(&field, "This is neither true nor false.", "Allowed: true, false."),
        }
    }

    /// A whole number within limits.
    pub(super) fn whole(&self, key: &'static str, limits: (u64, u64)) -> Option<u64> {
        let field = self.field(key)?;
        let allowed = format!("Allowed: a whole number from {} to {}.", limits.0, limits.1);
        let DeValue::Integer(number) = field.value else {
            return self.wrong(&field, "This is not a whole number.", &allowed);
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (limits.0..=limits.1).contains(&number) => Some(number),
            _ => self.wrong(&field, "This is out of range.", &allowed),
        }
    }

    /// A whole number within limits that fits 32 bits.
    pub(super) fn whole_u32(&self, key: &'static str, limits: (u32, u32)) -> Option<u32> {
        let number = self.whole(key, (u64::from(limits.0), u64::from(limits.1)))?;
        u32::try_from(number).ok()
    }

    /// An exact amount: a text, or a whole number. A float is refused, because it has lost digits already.
    pub(super) fn amount(&self, key: &'static str, limit: Amount) -> Option<Decimal> {
        let field = self.field(key)?;
        let allowed = match limit {
            Amount::Positive => "Allowed: a number above zero, as a text such as \"0.25\".",
            Amount::NotNegative => "Allowed: zero or a number above it, as a text such as \"0.25\".",
        };
        let parsed = match field.value {
            DeValue::String(text) => text.parse::<Decimal>().ok(),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Decimal::whole),
            DeValue::Float(number) => {
                let mend = format!("Write it as a text: {key} = \"{}\".", number.as_str());
                return self.wrong(&field, "A number with a point is not kept exactly.", &mend);
            }
            _ => None,
        };
        match parsed {
            None => self.wrong(&field, "This is not an amount.", allowed),
            Some(amount) if amount.is_positive() || (limit == Amount::NotNegative && amount.is_zero()) => Some(amount),
            Some(_) => self.wrong(&field, "This is out of range.", allowed),
        }
    }

    /// One of these words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let field = self.field(key)?;
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let allowed = format!("Allowed: {}.", names.join(", "));
        let DeValue::String(text) = field.value else {
            return self.wrong(&field, "This is not a text.", &allowed);
        };
        match words.iter().find(|(word, _)| *word == text.as_ref()) {
            Some((_, value)) => Some(*value),
            None => {
                self.wrong(&field, &format!("This is not a word known here.{}", did_you_mean(text, &names)), &allowed)
            }
        }
    }

    /// A list of symbols without repetition. An unsound one is left out.
    pub(super) fn symbols(&self, key: &'static str) -> Option<Vec<Symbol>> {
        let texts = self.texts(key, "a list of symbols such as [\"BTC-USDT\"]")?;
        let mut symbols: Vec<Symbol> = Vec::new();
        for (text, line) in texts {
            match super::symbol(&text) {
                Ok(symbol) if symbols.contains(&symbol) => {
                    self.refuse_item(key, line, &text, "This symbol is listed twice.", "Name each symbol once.");
                }
                Ok(symbol) => symbols.push(symbol),
                Err(allowed) => self.refuse_item(key, line, &text, "This is not a symbol in our form.", &allowed),
            }
        }
        Some(symbols)
    }

    /// A list of texts with their lines.
    pub(super) fn texts(&self, key: &'static str, what: &str) -> Option<Vec<(String, usize)>> {
        let field = self.field(key)?;
        let allowed = format!("Allowed: {what}.");
        let DeValue::Array(items) = field.value else {
            return self.wrong(&field, "This is not a list.", &allowed);
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => texts.push((text.clone().into_owned(), self.reading.line(&item.span()))),
                _ => return self.wrong(&field, "An entry of this list is not a text.", &allowed),
            }
        }
        Some(texts)
    }

    /// A table in this one; one that is not there has no keys.
    pub(super) fn table(&self, key: &'static str) -> Section<'r> {
        let found = self.field(key).and_then(|field| match field.value {
            DeValue::Table(table) => Some((table, field.line)),
            _ => self.wrong(&field, "This is not a table.", &format!("Write it as [{}].", header(&field.path))),
        });
        Section {
            reading: self.reading,
            path: joined(&self.path, key),
            table: found.map(|(table, _)| table),
            line: found.map_or(0, |(_, line)| line),
            known: RefCell::default(),
        }
    }

    /// The tables of `[[key]]`, called by their `name` in paths.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'r>> {
        let Some(field) = self.field(key) else {
            return Vec::new();
        };
        let mend = format!("Write each as [[{key}]].");
        let DeValue::Array(items) = field.value else {
            let _: Option<()> = self.wrong(&field, "This is not a list of tables.", &mend);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                let _: Option<()> = self.wrong(&field, "An entry is not a table.", &mend);
                continue;
            };
            let name = match table.get("name").map(Spanned::get_ref) {
                Some(DeValue::String(name)) => clipped(name),
                _ => format!("#{}", place + 1),
            };
            sections.push(Section {
                reading: self.reading,
                path: format!("{}[{name}]", joined(&self.path, key)),
                table: Some(table),
                line: self.reading.line(&item.span()),
                known: RefCell::default(),
            });
        }
        sections
    }

    /// The tables of `[key."name"]`, with their names.
    pub(super) fn named_tables(&self, key: &'static str) -> Vec<(String, Section<'r>)> {
        let outer = self.table(key);
        let Some(table) = outer.table else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in table {
            let name = name.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(inner) => sections.push((
                    name.to_owned(),
                    Section {
                        reading: self.reading,
                        path: format!("{}.\"{name}\"", outer.path),
                        table: Some(inner),
                        line: self.reading.line(&value.span()),
                        known: RefCell::default(),
                    },
                )),
                value if is_secret(name, value) => {}
                _ => self.refuse(
                    &format!("{key}.{name}"),
                    None,
                    "This is not a table.",
                    &format!("Write it as [{}.\"{name}\"].", outer.path),
                ),
            }
        }
        sections
    }

    /// Refuses the absence of a key (a key that is there but wrong has been refused already).
    pub(super) fn require<T>(&self, key: &'static str, value: Option<T>, allowed: &str) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.refuse(key, None, "This key is missing.", allowed);
        }
        value
    }

    /// Refuses the value of a key of this table.
    pub(super) fn refuse(&self, key: &str, value: Option<&str>, problem: &str, allowed: &str) {
        let line = self.table.and_then(|table| table.get_key_value(key)).map(|(key, _)| key.span());
        self.reading.refuse(Refusal {
            source: self.reading.file.clone(),
            line: line.map_or(self.line, |span| self.reading.line(&span)),
            key: joined(&self.path, key),
            value: value.map(clipped),
            problem: problem.to_owned(),
            allowed: allowed.to_owned(),
        });
    }

    /// Refuses every key that nobody asked for.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for (key, value) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) || is_secret(name, value.get_ref()) {
                continue;
            }
            if let Some(words) = homes::elsewhere(&self.path, name) {
                self.refuse(name, None, "This key does not belong here.", &words);
                continue;
            }
            let place =
                if self.path.is_empty() { "at the top of the file".to_owned() } else { format!("in {}", self.path) };
            let mut all = known.clone();
            all.sort_unstable();
            let meant = nearest(name, &known).map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
            self.refuse(
                name,
                None,
                &format!("This key is not known {place}.{meant}"),
                &format!("Known here: {}.", all.join(", ")),
            );
        }
    }

    fn field(&self, key: &'static str) -> Option<Field<'r>> {
        self.knows(key);
        let (name, value) = self.table?.get_key_value(key)?;
        let line = self.reading.line(&name.span());
        let path = joined(&self.path, key);
        let shown = match value.get_ref() {
            // Whatever a table or a list holds may be no business of a terminal.
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            _ => clipped(self.reading.text.get(value.span()).unwrap_or_default()),
        };
        let origin = format!("{}:{line}", self.reading.file);
        self.reading.origins.borrow_mut().insert(path.clone(), origin);
        Some(Field { value: value.get_ref(), line, path, shown })
    }

    fn wrong<T>(&self, field: &Field<'_>, problem: &str, allowed: &str) -> Option<T> {
        self.reading.refuse(Refusal {
            source: self.reading.file.clone(),
            line: field.line,
            key: field.path.clone(),
            value: Some(field.shown.clone()),
            problem: problem.to_owned(),
            allowed: allowed.to_owned(),
        });
        None
    }

    fn refuse_item(&self, key: &str, line: usize, text: &str, problem: &str, allowed: &str) {
        self.reading.refuse(Refusal {
            source: self.reading.file.clone(),
            line,
            key: joined(&self.path, key),
            value: Some(format!("\"{}\"", clipped(text))),
            problem: problem.to_owned(),
            allowed: allowed.to_owned(),
        });
    }
}
