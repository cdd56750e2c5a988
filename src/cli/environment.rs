//! The few environment variables we read, taken once at the start.
//!
//! Always holds: only the names in `NAMES` are read, so no secret of the environment ever enters this value.
//! Never does: change the environment.

use std::collections::BTreeMap;

use super::config::nearest::nearest;

/// Every variable this part of the program reads.
const NAMES: [&str; 8] = [
    "MODE",
    "VENUE",
    "SYMBOLS",
    "LASTORDERS_CONFIG",
    "LASTORDERS_STATE_DIR",
    "LASTORDERS_INSTANCE",
    "LASTORDERS_WEB",
    "NO_COLOR",
];
const PREFIX: &str = "LASTORDERS_";

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Env {
    values: BTreeMap<&'static str, String>,
    not_text: Vec<&'static str>,
    /// Names that begin like ours but are none: perhaps misspelt.
    strangers: Vec<String>,
}

impl Env {
    /// The environment of this process.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Env {
        let mut env = Env::default();
        for name in NAMES {
            if let Some(value) = std::env::var_os(name) {
                match value.into_string() {
                    Ok(text) => env.set(name, &text),
                    Err(_) => env.not_text.push(name),
                }
            }
        }
        for (name, _) in std::env::vars_os() {
            env.note_stranger(&name.to_string_lossy());
        }
        env
    }

    /// An environment of these pairs; names we do not read are left out.
    pub fn of_pairs(pairs: &[(&str, &str)]) -> Env {
        let mut env = Env::default();
        for (name, value) in pairs {
            match NAMES.iter().find(|known| *known == name) {
                Some(known) => env.set(known, value),
                None => env.note_stranger(name),
            }
        }
        env
    }

    /// A variable. One that is set to nothing counts as not set: container tools pass such ones on.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Variables of ours whose value is not valid text.
    pub fn not_text(&self) -> &[&'static str] {
        &self.not_text
    }

    /// Names that look like a misspelt one of ours, each with the one that may be meant.
    ///
    /// They are not refused: Kubernetes sets `LASTORDERS_PORT` and the like for a service of that name.
    pub fn misspelt(&self) -> Vec<(&str, &'static str)> {
        let ours: Vec<&str> = NAMES.iter().copied().filter(|name| name.starts_with(PREFIX)).collect();
        self.strangers
            .iter()
            .filter_map(|name| {
                // The common prefix would make everything look alike.
                let rest = name.strip_prefix(PREFIX)?;
                let rests: Vec<&str> = ours.iter().filter_map(|known| known.strip_prefix(PREFIX)).collect();
                let found = nearest(rest, &rests)?;
                let known = NAMES.iter().find(|known| known.strip_prefix(PREFIX) == Some(found))?;
                Some((name.as_str(), *known))
            })
            .collect()
    }

    fn set(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.values.insert(name, value.to_owned());
        }
    }

    fn note_stranger(&mut self, name: &str) {
        let of_an_account = name.contains("_API_KEY") || name.contains("_API_SECRET");
        if name.starts_with(PREFIX) && !NAMES.contains(&name) && !of_an_account {
            self.strangers.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_set_to_nothing_is_not_set() {
        assert_eq!(Env::of_pairs(&[("MODE", "")]).get("MODE"), None);
        assert_eq!(Env::of_pairs(&[("MODE", "LIVE")]).get("MODE"), Some("LIVE"));
    }

    #[test]
    fn secrets_of_the_environment_are_not_even_read() {
        let env = Env::of_pairs(&[("BYBIT_API_SECRET", "canary-7f3a"), ("LASTORDERS_MAIN_API_KEY", "canary-7f3a")]);
        assert!(!format!("{env:?}").contains("canary-7f3a"));
    }

    #[test]
    fn a_misspelt_variable_is_told_and_a_stranger_is_left_alone() {
        let env = Env::of_pairs(&[
            ("LASTORDERS_STATEDIR", "/x"),
            ("LASTORDERS_PORT", "tcp://10.0.0.1:80"),
            ("LASTORDERS_SERVICE_HOST", "10.0.0.1"),
            ("LASTORDERS_MAIN_API_KEY", "k"),
        ]);
        assert_eq!(env.misspelt(), [("LASTORDERS_STATEDIR", "LASTORDERS_STATE_DIR")]);
    }
}
