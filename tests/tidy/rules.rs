//! The rules: pure functions from a file to what is wrong with it.
//!
//! Always holds: a rule says how much it looked at; `inspect` fails a rule that looked at nothing.
//! Never does: know the tree. What is allowed where is a table, handed in.

use std::collections::BTreeMap;
use std::fmt;

use crate::lexer::{Token, attribute_at};
use crate::paths::{Named, paths};
use crate::tree::Source;

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// What a rule saw.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) files: usize,
    pub(crate) lines: usize,
    pub(crate) findings: Vec<String>,
}

/// Runs a rule over the files it is about. Looking at nothing is a finding.
pub(crate) fn inspect<'a>(
    files: impl IntoIterator<Item = &'a Source>,
    rule: impl Fn(&Source) -> Vec<Finding>,
) -> Looked {
    let mut looked = Looked::default();
    for source in files {
        looked.files += 1;
        looked.lines += source.text.lines().count();
        looked.findings.extend(rule(source).iter().map(Finding::to_string));
    }
    if looked.lines == 0 {
        looked.findings.push("this rule found nothing to look at: has what it watches moved?".to_owned());
    }
    looked
}

// --- Who may name whom ---------------------------------------------------------------------------------------------

/// A module folder and the folders it may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) module: &'static str,
    pub(crate) ring: u8,
    pub(crate) may_use: &'static [&'static str],
}

/// Names of modules that the file's ring may not use.
pub(crate) fn stray_uses(source: &Source, table: &[Row]) -> Vec<Finding> {
    let modules = source.modules();
    let Some(own) = modules.first() else {
        return Vec::new();
    };
    let Some(row) = table.iter().find(|row| row.module == *own) else {
        return vec![at(source, 1, format!("`{own}` is not in the ring table"))];
    };
    let mut findings = Vec::new();
    for path in &source.code().paths {
        let Some(target) = crate_level(path, modules.len(), table) else {
            continue;
        };
        if target == *own {
            continue;
        }
        if target == "*" || !table.iter().any(|row| row.module == target) {
            findings.push(at(
                source,
                path.line,
                format!("`{}` names the crate's root: name a module of the ring table", path.text()),
            ));
        } else if !row.may_use.contains(&target) {
            let may = if row.may_use.is_empty() { "nothing".to_owned() } else { row.may_use.join(", ") };
            findings.push(at(source, path.line, format!("may not use `crate::{target}`: {own} may use {may}")));
        }
    }
    findings
}

/// The module of the crate a path leads to, if it starts from the crate's root.
fn crate_level<'a>(path: &'a Named, depth: usize, table: &[Row]) -> Option<&'a str> {
    let target = |at: usize| path.segments.get(at).map_or("*", String::as_str);
    match path.segments[0].as_str() {
        "crate" => Some(target(1)),
        "lastorders" => Some(target(1)),
        "super" => {
            let steps = path.segments.iter().take_while(|segment| *segment == "super").count();
            // From a module written inside a file, the same steps lead to a neighbour in the same folder.
            let inside_a_block = target(steps) != "*" && !table.iter().any(|row| row.module == target(steps));
            (steps >= depth && !inside_a_block).then(|| target(steps))
        }
        _ => None,
    }
}

/// Rows without a folder, folders without a row, files beside the folders.
pub(crate) fn table_fits(sources: &[Source], table: &[Row]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_library()) {
        match source.path["src/".len()..].split_once('/') {
            Some((folder, _)) => *seen.entry(folder).or_default() += 1,
            None if matches!(source.path.as_str(), "src/lib.rs" | "src/main.rs") => {}
            None => findings.push(format!("{}: a module is a folder with a row in the ring table", source.path)),
        }
    }
    for row in table {
        if seen.remove(row.module).is_none() {
            findings.push(format!("the ring table names `{}`, which has no file", row.module));
        }
        for used in row.may_use {
            match table.iter().find(|other| other.module == *used) {
                None => findings.push(format!("the row of `{}` allows `{used}`, which has no row", row.module)),
                Some(other) if other.ring > row.ring => {
                    findings.push(format!("the row of `{}` looks up, at `{used}`", row.module));
                }
                Some(_) => {}
            }
        }
    }
    findings.extend(seen.keys().map(|folder| format!("src/{folder} has no row in the ring table")));
    findings
}

// --- What may not be named -----------------------------------------------------------------------------------------

/// A place where something banned elsewhere is at home.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    /// A file, or a folder with its `/`.
    pub(crate) place: &'static str,
    pub(crate) why: &'static str,
}

impl Home {
    fn holds(&self, path: &str) -> bool {
        path == self.place || self.place.ends_with('/') && path.starts_with(self.place)
    }
}

/// Something that stays out of most places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ban {
    pub(crate) what: &'static str,
    /// Module folders it holds in; empty: all of `src/`.
    pub(crate) within: &'static [&'static str],
    /// Paths: `std::fs` bans everything inside it.
    pub(crate) paths: &'static [&'static str],
    /// Names, whatever the path before them.
    pub(crate) names: &'static [&'static str],
    /// Macros, without their `!`.
    pub(crate) macros: &'static [&'static str],
    /// Numbers with a point.
    pub(crate) float_literals: bool,
    pub(crate) homes: &'static [Home],
}

impl Ban {
    pub(crate) const EMPTY: Ban =
        Ban { what: "", within: &[], paths: &[], names: &[], macros: &[], float_literals: false, homes: &[] };

    pub(crate) fn is_about(&self, source: &Source) -> bool {
        let module = source.modules().first().copied();
        source.is_library() && (self.within.is_empty() || module.is_some_and(|name| self.within.contains(&name)))
    }

    /// Everything banned that the file names, at home or not.
    fn hits(&self, source: &Source) -> Vec<(usize, String)> {
        let code = source.code();
        let is_banned = |path: &&Named| self.paths.iter().any(|banned| path.reaches(banned));
        let paths = code.paths.iter().filter(is_banned).map(|path| (path.line, path.text()));
        let words = code.words.iter().filter(|word| {
            let text = word.text.as_str();
            let is_called = word.is_macro && self.macros.contains(&text);
            self.names.contains(&text) || is_called || self.float_literals && word.is_float
        });
        let mut hits: Vec<(usize, String)> = paths.chain(words.map(|word| (word.line, word.text.clone()))).collect();
        hits.sort();
        hits.dedup();
        hits
    }

    /// Banned things away from home.
    pub(crate) fn strays(&self, source: &Source) -> Vec<Finding> {
        if self.homes.iter().any(|home| home.holds(&source.path)) {
            return Vec::new();
        }
        self.hits(source).into_iter().map(|(line, name)| at(source, line, format!("`{name}`: {}", self.what))).collect()
    }

    /// Homes that are gone, or that nobody needs any more.
    pub(crate) fn stale_homes(&self, sources: &[Source]) -> Vec<String> {
        let mut findings = Vec::new();
        for home in self.homes {
            let built: Vec<&Source> = sources
                .iter()
                .filter(|source| source.is_library() && home.holds(&source.path) && !source.code().is_empty())
                .collect();
            if built.is_empty() {
                findings.push(format!("{}: at home in {}, which is gone", self.what, home.place));
            } else if built.iter().all(|source| self.hits(source).is_empty()) {
                findings.push(format!(
                    "{}: {} no longer needs its place in the table ({})",
                    self.what, home.place, home.why
                ));
            }
        }
        findings
    }
}

// --- Who may make the values that prove something ------------------------------------------------------------------

/// A function whose result proves something, and the only places that may call it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mint {
    pub(crate) call: &'static str,
    pub(crate) places: &'static [&'static str],
}

impl Mint {
    fn is_at(&self, path: &str) -> bool {
        self.places.iter().any(|place| path == *place || place.ends_with('/') && path.starts_with(place))
    }

    fn calls(&self, source: &Source) -> Vec<usize> {
        source.code().paths.iter().filter(|path| path.ends_with(self.call)).map(|path| path.line).collect()
    }

    /// Calls elsewhere.
    pub(crate) fn forged(&self, source: &Source) -> Vec<Finding> {
        if self.is_at(&source.path) {
            return Vec::new();
        }
        self.calls(source)
            .into_iter()
            .map(|line| {
                let only = self.places.join(", ");
                at(source, line, format!("`{}` is called only in {only}", self.call))
            })
            .collect()
    }

    /// A mint nobody uses any more guards nothing.
    pub(crate) fn idle(&self, sources: &[Source]) -> Option<String> {
        let found = sources.iter().any(|source| self.is_at(&source.path) && !self.calls(source).is_empty());
        (!found).then(|| format!("`{}` is not called in {}", self.call, self.places.join(", ")))
    }
}

// --- Text ----------------------------------------------------------------------------------------------------------

/// Tests that do not run.
pub(crate) fn ignored_tests(source: &Source) -> Vec<Finding> {
    let tokens = source.tokens();
    let mut findings = Vec::new();
    for place in 0..tokens.len() {
        let Some(attribute) = attribute_at(&tokens, place) else {
            continue;
        };
        let ignored = tokens[place..attribute.end].iter().find(|token| token.is("ignore"));
        findings.extend(ignored.map(|token| at(source, token.line, "a test that is ignored tests nothing".to_owned())));
    }
    findings
}

/// A file says at its top what it is.
pub(crate) fn missing_header(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.text.starts_with("//! ") {
        findings.push(at(source, 1, "begins with `//!` and what it is".to_owned()));
    }
    let is_module = source.path.ends_with("/mod.rs") && source.modules().len() == 1;
    if is_module && !source.code().is_empty() {
        let header: String = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        for words in ["Always holds:", "Never does:"] {
            if !header.contains(words) {
                findings.push(at(source, 1, format!("the header of a module says \"{words}\"")));
            }
        }
    }
    findings
}

/// Words that may not stand anywhere in a text, comments included.
pub(crate) fn banned_words(source: &Source, words: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for word in words {
            if has_word(line, word) {
                findings.push(at(source, number + 1, format!("`{word}` does not belong here")));
            }
        }
    }
    findings
}

/// Whether `word` stands in the line, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let joins = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    line.match_indices(word).any(|(place, _)| {
        let before = word.starts_with(char::is_alphanumeric) && joins(line[..place].chars().next_back());
        let after = word.ends_with(char::is_alphanumeric) && joins(line[place + word.len()..].chars().next());
        !before && !after
    })
}

/// A file too long for one sitting.
pub(crate) fn too_long(source: &Source, lines_max: usize, exceptions: &[(&str, usize, &str)]) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let max = exceptions.iter().find(|(path, _, _)| *path == source.path).map_or(lines_max, |(_, lines, _)| *lines);
    if lines <= max {
        return Vec::new();
    }
    vec![at(source, lines, format!("{lines} lines, at most {max}: split it"))]
}

/// Exceptions that nobody needs any more.
pub(crate) fn stale_lengths(sources: &[Source], lines_max: usize, exceptions: &[(&str, usize, &str)]) -> Vec<String> {
    let is_long =
        |path: &str| sources.iter().any(|source| source.path == path && source.text.lines().count() > lines_max);
    let stale = exceptions.iter().filter(|(path, _, _)| !is_long(path));
    stale.map(|(path, _, why)| format!("{path} no longer needs its exception ({why})")).collect()
}

/// Waiting by the clock in tests, outside the places that poll with a deadline. Code that ships is `Ban`'s business.
pub(crate) fn naps(source: &Source, homes: &[&str]) -> Vec<Finding> {
    if homes.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let sleeps = |named: &[Named]| -> Vec<usize> {
        let sleeps = named.iter().filter(|path| path.reaches("std::thread::sleep"));
        sleeps.map(|path| path.line).collect()
    };
    let shipped = if source.is_library() { sleeps(&source.code().paths) } else { Vec::new() };
    sleeps(&paths(&source.tokens()))
        .into_iter()
        .filter(|line| !shipped.contains(line))
        .map(|line| at(source, line, "a test that sleeps hopes: poll with a deadline".to_owned()))
        .collect()
}

fn at(source: &Source, line: usize, what: String) -> Finding {
    Finding { path: source.path.clone(), line, what }
}

/// Macros that must not stand even in tests.
pub(crate) fn unfinished(source: &Source) -> Vec<Finding> {
    let tokens: Vec<Token<'_>> = source.tokens();
    tokens
        .windows(2)
        .filter(|two| two[1].is("!") && matches!(two[0].text, "todo" | "unimplemented" | "dbg"))
        .map(|two| at(source, two[0].line, format!("`{}!` is not finished work", two[0].text)))
        .collect()
}
