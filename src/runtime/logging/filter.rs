//! What is logged: `RUST_LOG`, and the cap on other crates.

use log::{Level, LevelFilter, Metadata};

use super::LEVEL_DEFAULT;

/// Whether a target is this crate.
pub(super) fn is_ours(target: &str) -> bool {
    let name = env!("CARGO_CRATE_NAME");
    target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether `RUST_LOG` is asked at all: other crates never get below info.
pub(super) fn is_within_cap(metadata: &Metadata<'_>) -> bool {
    metadata.level() <= Level::Info || is_ours(metadata.target())
}

/// The filter of a specification that was `checked`.
pub(super) fn build(spec: &str) -> env_logger::Logger {
    env_logger::Builder::new().filter_level(LEVEL_DEFAULT).parse_filters(spec).build()
}

/// The parts that are understood, and those that are not. The library would print a warning to stderr by itself, where
/// a full pipe blocks it.
pub(super) fn checked(spec: &str) -> (String, Vec<String>) {
    let (directives, pattern) = match spec.split_once('/') {
        Some((directives, pattern)) => (directives, Some(pattern)),
        None => (spec, None),
    };
    let (good, mut bad): (Vec<&str>, Vec<&str>) =
        directives.split(',').map(str::trim).filter(|part| !part.is_empty()).partition(|part| is_directive(part));
    let mut spec = good.join(",");
    match pattern {
        Some(pattern) if pattern.contains('/') => bad.push(pattern),
        Some(pattern) => {
            spec.push('/');
            spec.push_str(pattern);
        }
        None => {}
    }
    (spec, bad.into_iter().map(str::to_owned).collect())
}

fn is_directive(part: &str) -> bool {
    match part.split_once('=') {
        None => part.parse::<LevelFilter>().is_ok() || is_module(part),
        Some((module, level)) => is_module(module) && level.parse::<LevelFilter>().is_ok(),
    }
}

fn is_module(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-:".contains(letter);
    !name.is_empty() && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(spec: &str, target: &str, level: Level) -> bool {
        let filter = build(&checked(spec).0);
        let metadata = Metadata::builder().target(target).level(level).build();
        is_within_cap(&metadata) && log::Log::enabled(&filter, &metadata)
    }

    #[test]
    fn info_is_the_default_and_other_crates_never_get_below_it() {
        let cases = [
            ("", "lastorders::runtime", Level::Info, true),
            ("", "lastorders::runtime", Level::Debug, false),
            ("debug", "lastorders", Level::Debug, true),
            ("debug", "lastorders", Level::Trace, false),
            ("trace", "tungstenite::protocol", Level::Debug, false),
            ("tungstenite=trace", "tungstenite", Level::Trace, false),
            ("tungstenite=trace", "tungstenite", Level::Info, true),
            ("tungstenite=off", "tungstenite", Level::Error, false),
            ("warn", "ureq", Level::Info, false),
            ("lastorders::store=trace", "lastorders::store::journal", Level::Trace, true),
            ("lastorders::store=trace", "lastorders::engine", Level::Info, true),
            ("debug", "lastorders_lookalike", Level::Debug, false),
        ];
        for (spec, target, level, expected) in cases {
            assert_eq!(logged(spec, target, level), expected, "{spec} {target} {level}");
        }
    }

    #[test]
    fn what_is_no_filter_is_named_and_left_out() {
        let cases: [(&str, &str, &[&str]); 5] = [
            ("info, lastorders=debug", "info,lastorders=debug", &[]),
            ("info,lastorders=loud,,x y", "info", &["lastorders=loud", "x y"]),
            ("=debug", "", &["=debug"]),
            ("info/fill", "info/fill", &[]),
            ("info/a/b", "info", &["a/b"]),
        ];
        for (spec, good, bad) in cases {
            assert_eq!(checked(spec), (good.to_owned(), bad.iter().map(|part| part.to_string()).collect()));
        }
    }
}
