//! The known word nearest to a misspelt one.

/// The nearest of `known`, if any is near enough to be meant.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), *candidate))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// " Did you mean `x`?", or nothing.
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known).map_or_else(String::new, |found| format!(" Did you mean `{found}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not_forced() {
        let known = ["name", "kind", "symbols", "cancel_timeout_s", "recorder_timeout_s"];
        let cases = [
            ("symbls", Some("symbols")),
            ("symbol", Some("symbols")),
            ("cancel_timeout", Some("cancel_timeout_s")),
            ("recorder_timeout_ms", Some("recorder_timeout_s")),
            ("knid", Some("kind")),
            ("colour", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
