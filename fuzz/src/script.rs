//! What the text formats of the targets have in common: an input is lines, and bytes that are no UTF-8 become `U+FFFD`.

/// The lines of an input, without their ends.
pub fn lines(input: &[u8]) -> impl Iterator<Item = String> + '_ {
    input.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned())
}

/// A line's first character and the rest of it, without a blank between the two.
pub fn command(line: &str) -> Option<(char, &str)> {
    let first = line.chars().next()?;
    let rest = &line[first.len_utf8()..];
    Some((first, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// Everything up to the first blank, and what follows it.
pub fn word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// A number, or what stands for it where none can be read.
pub fn number_or(text: &str, otherwise: u64) -> u64 {
    text.trim().parse().unwrap_or(otherwise)
}
