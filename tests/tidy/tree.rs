//! The files of this repository, read once.
//!
//! Never does: follow what is not ours (build output, state directories, the history).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use crate::lexer;
use crate::lexer::{Kind, Token};
use crate::paths::{Named, paths};

/// The code of a file that ships, taken apart once for all rules.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) paths: Vec<Named>,
    pub(crate) words: Vec<Word>,
}

/// A name or a number in it.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) is_macro: bool,
    pub(crate) is_float: bool,
}

impl Code {
    fn of(tokens: &[Token<'_>]) -> Code {
        let is = |place: usize, text: &str| tokens.get(place).is_some_and(|token| token.is(text));
        let words = tokens.iter().enumerate().filter(|(_, token)| matches!(token.kind, Kind::Name | Kind::Number));
        let words = words.map(|(place, token)| Word {
            text: token.text.to_owned(),
            line: token.line,
            is_macro: token.kind == Kind::Name && is(place + 1, "!") && !is(place + 2, "="),
            is_float: token.is_float_literal(),
        });
        Code { words: words.collect(), paths: paths(tokens) }
    }

    /// Nothing is written yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// A text file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The whole file is compiled for tests only.
    pub(crate) is_test: bool,
    code: OnceLock<Code>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), is_test: false, code: OnceLock::new() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_library(&self) -> bool {
        self.is_rust() && self.path.starts_with("src/")
    }

    /// All its code, tests included.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        lexer::lex(&self.text)
    }

    /// The code that ships.
    pub(crate) fn code(&self) -> &Code {
        self.code.get_or_init(|| {
            let tokens = if self.is_test { Vec::new() } else { lexer::shipped(&self.tokens()) };
            Code::of(&tokens)
        })
    }

    /// Module names from the crate's root: `["orders", "machine"]`; none for `lib.rs` and `main.rs`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let Some(inside) = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else {
            return Vec::new();
        };
        let mut names: Vec<&str> = inside.split('/').collect();
        if names.last() == Some(&"mod") || inside == "lib" || inside == "main" {
            names.pop();
        }
        names
    }
}

/// Every text file of the repository, in the order of their paths.
pub(crate) fn read() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    walk(root, "", &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    mark_tests(&mut sources);
    sources
}

fn walk(folder: &Path, prefix: &str, sources: &mut Vec<Source>) {
    const NOT_OURS: [&str; 5] = ["target", ".git", "var", "corpus", "artifacts"];
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name().into_string().expect("file names are plain text");
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("a file type");
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), sources);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_else(|error| panic!("{path}: {error}"));
            sources.extend(String::from_utf8(bytes).ok().map(|text| Source::new(&path, &text)));
        }
    }
}

/// A file declared by `#[cfg(test)] mod name;` is a test, with everything below it.
pub(crate) fn mark_tests(sources: &mut [Source]) {
    let mut folders = BTreeSet::new();
    for source in sources.iter().filter(|source| source.is_library()) {
        let tokens = source.tokens();
        let own = ["mod.rs", "lib.rs", "main.rs"]
            .iter()
            .find_map(|name| source.path.strip_suffix(name))
            .map_or_else(|| format!("{}/", source.path.trim_end_matches(".rs")), str::to_owned);
        folders.extend(lexer::test_modules(&tokens).iter().map(|name| format!("{own}{name}")));
    }
    for source in sources {
        source.is_test |= folders
            .iter()
            .any(|folder| source.path == format!("{folder}.rs") || source.path.starts_with(&format!("{folder}/")));
    }
}
