//! Rust text as tokens: enough of the language to tell code from comments, text literals and tests.
//!
//! Always holds: what stands in a comment or in a literal is never a name; a token knows its line.
//! Never does: guess by lines. A rule that searched raw text would find its own table.

/// A piece of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Name,
    /// A number.
    Number,
    /// A text, byte or character literal.
    Literal,
    /// One character of punctuation.
    Mark,
}

/// A piece of code and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text && matches!(self.kind, Kind::Name | Kind::Mark)
    }

    /// A number that only a float can hold.
    pub(crate) fn is_float_literal(&self) -> bool {
        if self.kind != Kind::Number || ["0x", "0b", "0o"].iter().any(|base| self.text.starts_with(base)) {
            return false;
        }
        let digits = self.text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '_');
        match digits.chars().next() {
            None => false,
            Some('u' | 'i') => false,
            Some(_) => true,
        }
    }
}

/// All tokens of a text.
pub(crate) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new() };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn pass(&mut self, length: usize) -> &'a str {
        let passed = &self.text[self.at..self.at + length];
        self.line += passed.matches('\n').count();
        self.at += length;
        passed
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let line = self.line;
        let text = self.pass(length);
        self.tokens.push(Token { kind, text, line });
    }

    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return false;
        };
        if first.is_whitespace() {
            self.pass(first.len_utf8());
        } else if rest.starts_with("//") {
            self.pass(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.pass(block_comment_length(rest));
        } else if let Some(length) = literal_length(rest) {
            self.push(Kind::Literal, length);
        } else if is_name_start(first) {
            let prefix = if rest.starts_with("r#") { 2 } else { 0 };
            self.pass(prefix);
            let length = name_length(self.rest());
            self.push(Kind::Name, length);
        } else if first.is_ascii_digit() {
            let after_point = self.tokens.last().is_some_and(|token| token.is("."));
            self.push(Kind::Number, number_length(rest, after_point));
        } else if first == '\'' {
            // A lifetime: its name is of no interest, but it must not open a character literal.
            let length = 1 + name_length(&rest[1..]);
            self.pass(length);
        } else {
            self.push(Kind::Mark, first.len_utf8());
        }
        true
    }
}

fn is_name_start(letter: char) -> bool {
    letter.is_alphabetic() || letter == '_'
}

fn name_length(text: &str) -> usize {
    text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(text.len())
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the text, byte or character literal the text begins with.
fn literal_length(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""]
        .into_iter()
        .find(|prefix| text.starts_with(prefix) && text[prefix.len()..].starts_with(['"', '\'', '#']))?;
    let body = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let quoted = body[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let inner = quoted.find(&close).map_or(quoted.len(), |at| (at + close.len()).min(quoted.len()));
        return Some(prefix.len() + hashes + 1 + inner);
    }
    if body.starts_with('"') {
        return Some(prefix.len() + quoted_length(body, '"'));
    }
    if !body.starts_with('\'') || prefix == "c" {
        return None;
    }
    let mut letters = body[1..].chars();
    let first = letters.next()?;
    let closes_at_once = letters.next() == Some('\'');
    (first == '\\' || closes_at_once).then(|| prefix.len() + quoted_length(body, '\''))
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn number_length(text: &str, after_point: bool) -> usize {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    if after_point {
        // The index of a tuple's field: `pair.0.1` holds no number with a point.
        return text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    }
    let mut at = name_length(text);
    let based = byte(0) == b'0' && matches!(byte(1), b'x' | b'b' | b'o');
    if !based && byte(at) == b'.' && byte(at + 1) != b'.' && !is_name_start(char::from(byte(at + 1))) {
        at += 1 + name_length(&text[at + 1..]);
    }
    let mantissa = text[..at].trim_end_matches(['e', 'E']);
    let exponent = mantissa.len() + 1 == at && mantissa.bytes().all(|digit| !digit.is_ascii_alphabetic());
    if exponent && matches!(byte(at), b'+' | b'-') {
        at += 1 + name_length(&text[at + 1..]);
    }
    at
}

/// The tokens that ship: without items under `#[cfg(test)]` and `#[test]`.
pub(crate) fn shipped<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let Some(attribute) = attribute_at(tokens, at) else {
            kept.push(tokens[at]);
            at += 1;
            continue;
        };
        if !attribute.is_test {
            kept.extend_from_slice(&tokens[at..attribute.end]);
            at = attribute.end;
        } else if attribute.inner {
            return Vec::new();
        } else {
            at = item_end(tokens, attribute.end);
        }
    }
    kept
}

/// Names of modules that exist for tests only, by `#[cfg(test)] mod name;`.
pub(crate) fn test_modules<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for at in 0..tokens.len() {
        let Some(attribute) = attribute_at(tokens, at).filter(|attribute| attribute.is_test) else {
            continue;
        };
        let item = &tokens[attribute.end..item_end(tokens, attribute.end)];
        if let [.., keyword, name, end] = item
            && keyword.is("mod")
            && end.is(";")
        {
            names.push(name.text);
        }
    }
    names
}

/// An attribute among tokens.
pub(crate) struct Attribute {
    /// The first token after it.
    pub(crate) end: usize,
    inner: bool,
    is_test: bool,
}

/// The attribute that begins at this token.
pub(crate) fn attribute_at(tokens: &[Token<'_>], at: usize) -> Option<Attribute> {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.is(text));
    if !is(at, "#") {
        return None;
    }
    let inner = is(at + 1, "!");
    let open = at + 1 + usize::from(inner);
    if !is(open, "[") {
        return None;
    }
    let end = closing(tokens, open) + 1;
    let words: Vec<&str> = tokens[open + 1..(end - 1).max(open + 1)].iter().map(|token| token.text).collect();
    let is_test = matches!(words.as_slice(), ["cfg", "(", "test", ")"] | ["test"]);
    Some(Attribute { end, inner, is_test })
}

/// The place of the bracket that closes the one at `open`, or the last token.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Mark && matches!(token.text, "(" | "[" | "{") {
            depth += 1;
        } else if token.kind == Kind::Mark && matches!(token.text, ")" | "]" | "}") {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len().saturating_sub(1)
}

/// The first token after the item that begins at `start` (its other attributes included).
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    const KEYWORDS: [&str; 16] = [
        "pub",
        "fn",
        "mod",
        "use",
        "struct",
        "enum",
        "union",
        "impl",
        "trait",
        "const",
        "static",
        "type",
        "async",
        "extern",
        "macro_rules",
        "let",
    ];
    // These end with their semicolon, whatever braces they hold.
    const TO_SEMICOLON: [&str; 5] = ["use", "const", "static", "type", "let"];
    let mut at = start;
    while let Some(attribute) = attribute_at(tokens, at) {
        at = attribute.end;
    }
    let is_item = tokens.get(at).is_some_and(|token| KEYWORDS.contains(&token.text));
    while tokens.get(at).is_some_and(|token| token.is("pub")) {
        at += 1;
        if tokens.get(at).is_some_and(|token| token.is("(")) {
            at = closing(tokens, at) + 1;
        }
    }
    let is_const_function = tokens.get(at + 1).is_some_and(|token| token.is("fn"));
    let to_semicolon = tokens.get(at).is_some_and(|token| TO_SEMICOLON.contains(&token.text)) && !is_const_function;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.text {
            _ if token.kind != Kind::Mark => at += 1,
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            ")" | "]" | "}" => return at,
            "{" if is_item && !to_semicolon => return closing(tokens, at) + 1,
            "(" | "[" | "{" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    tokens.len()
}
