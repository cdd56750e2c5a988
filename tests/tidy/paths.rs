//! The paths a file names: its `use` trees written out, and what stands in the code, with renames followed.
//!
//! Always holds: `use std::{time as t, fs::*}` and a later `t::Instant` are seen as `std::time`, `std::fs::*` and
//! `std::time::Instant`.
//! Never does: resolve scopes. A rename anywhere in a file counts for all of it, which errs to the strict side.

use std::collections::BTreeMap;

use crate::lexer::{Kind, Token};

/// A path and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl Named {
    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }

    /// Whether it names `path`, something inside it, or everything around it by a glob.
    pub(crate) fn reaches(&self, path: &str) -> bool {
        let wanted: Vec<&str> = path.split("::").collect();
        if let Some((last, around)) = self.segments.split_last()
            && last == "*"
        {
            return wanted.len() > around.len() && around.iter().zip(&wanted).all(|(have, want)| have == want)
                || starts_with(around, &wanted);
        }
        starts_with(&self.segments, &wanted)
    }

    /// Whether it ends so: `Checked::mint` by whatever way.
    pub(crate) fn ends_with(&self, path: &str) -> bool {
        let wanted: Vec<&str> = path.split("::").collect();
        let from = self.segments.len().checked_sub(wanted.len());
        from.is_some_and(|from| self.segments[from..] == wanted)
    }
}

fn starts_with(segments: &[String], wanted: &[&str]) -> bool {
    segments.len() >= wanted.len() && segments.iter().zip(wanted).all(|(have, want)| have == want)
}

/// All paths of a file, in the order of its text.
pub(crate) fn paths(tokens: &[Token<'_>]) -> Vec<Named> {
    let mut reader = Reader { tokens, at: 0, named: Vec::new(), renames: BTreeMap::new() };
    let mut in_code = Vec::new();
    while let Some(token) = tokens.get(reader.at) {
        let before = reader.at.checked_sub(1).map(|at| &tokens[at]);
        if token.is("use") && !before.is_some_and(|token| token.is(".") || token.is("<") || token.is("+")) {
            reader.at += 1;
            reader.tree(&[]);
        } else if token.is("extern") && reader.mark(1, "crate") {
            in_code.extend(
                tokens.get(reader.at + 2).map(|name| Named { segments: vec![name.text.to_owned()], line: name.line }),
            );
            reader.at += 3;
        } else if token.kind == Kind::Name && !before.is_some_and(|token| token.is(".")) {
            in_code.push(reader.straight());
        } else {
            reader.at += 1;
        }
    }
    let Reader { mut named, renames, .. } = reader;
    for mut path in in_code.into_iter().map(canonical) {
        if let Some(full) = renames.get(&path.segments[0]) {
            path.segments.splice(..1, full.iter().cloned());
            path = canonical(path);
        }
        if path.segments.len() > 1 {
            named.push(path);
        }
    }
    named.sort_by_key(|path| path.line);
    named
}

/// `core` and `alloc` are `std` by another name; `self::` adds nothing.
fn canonical(mut path: Named) -> Named {
    while path.segments.len() > 1 && path.segments[0] == "self" {
        path.segments.remove(0);
    }
    if matches!(path.segments[0].as_str(), "core" | "alloc") {
        path.segments[0] = "std".to_owned();
    }
    path
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    named: Vec<Named>,
    renames: BTreeMap<String, Vec<String>>,
}

impl Reader<'_> {
    fn mark(&self, ahead: usize, text: &str) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| token.is(text))
    }

    fn separator(&self) -> bool {
        self.mark(0, ":") && self.mark(1, ":")
    }

    /// A path in code: names with `::` between them.
    fn straight(&mut self) -> Named {
        let line = self.tokens[self.at].line;
        let mut segments = vec![self.tokens[self.at].text.to_owned()];
        self.at += 1;
        while self.separator() && self.tokens.get(self.at + 2).is_some_and(|token| token.kind == Kind::Name) {
            segments.push(self.tokens[self.at + 2].text.to_owned());
            self.at += 3;
        }
        Named { segments, line }
    }

    /// One branch of a `use` tree, after `use`, `{` or `,`.
    fn tree(&mut self, around: &[String]) {
        if self.separator() {
            self.at += 2;
        }
        let mut segments = around.to_vec();
        let mut line = self.tokens.get(self.at).map_or(0, |token| token.line);
        while let Some(token) = self.tokens.get(self.at) {
            line = token.line;
            if token.is("{") {
                self.at += 1;
                while self.at < self.tokens.len() && !self.mark(0, "}") {
                    self.tree(&segments);
                    self.at += usize::from(self.mark(0, ","));
                }
                self.at += 1;
                return;
            }
            if token.kind != Kind::Name && !token.is("*") {
                break;
            }
            segments.push(token.text.to_owned());
            self.at += 1;
            if !self.separator() {
                break;
            }
            self.at += 2;
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let mut name = segments.last().cloned().unwrap_or_default();
        if self.mark(0, "as") {
            name = self.tokens.get(self.at + 1).map_or_else(String::new, |token| token.text.to_owned());
            self.at += 2;
        }
        if segments.len() == around.len() && !self.mark(0, "}") && !self.mark(0, ",") {
            // Nothing that belongs here: step over it, so that reading always ends.
            self.at += 1;
        }
        if segments.is_empty() {
            return;
        }
        let path = canonical(Named { segments, line });
        if name != "*" && name != "_" {
            self.renames.insert(name, path.segments.clone());
        }
        self.named.push(path);
    }
}
