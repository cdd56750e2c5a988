//! The few environment variables we read, taken once at the start.
//!
//! Always holds: only the names in `NAMES` are read, so no secret of the environment ever enters this value (`secrets`
//! reads those, when a run wants them).
//! Never does: change the environment.

use std::collections::BTreeMap;

use super::config::nearest::nearest;
use crate::domain::settings::VenueKind;

/// Every variable this part of the program reads.
const NAMES: [&str; 25] = [
    "MODE",
    "VENUE",
    "SYMBOLS",
    "LASTORDERS_CONFIG",
    "LASTORDERS_STATE_DIR",
    "LASTORDERS_INSTANCE",
    "LASTORDERS_WEB",
    "NO_COLOR",
    "RUST_LOG",
    "XDG_RUNTIME_DIR",
    "BYBIT_REST_URL",
    "BYBIT_WS_PUBLIC_URL",
    "BYBIT_WS_PRIVATE_URL",
    "COINBASE_REST_URL",
    "COINBASE_WS_PUBLIC_URL",
    "COINBASE_WS_PRIVATE_URL",
    "BINANCE_REST_URL",
    "BINANCE_WS_PUBLIC_URL",
    "BINANCE_WS_PRIVATE_URL",
    "BINANCE_US_REST_URL",
    "BINANCE_US_WS_PUBLIC_URL",
    "BINANCE_US_WS_PRIVATE_URL",
    "KRAKEN_REST_URL",
    "KRAKEN_WS_PUBLIC_URL",
    "KRAKEN_WS_PRIVATE_URL",
];
const PREFIX: &str = "LASTORDERS";
/// What follows a venue's prefix in the names we know, keys included.
const OF_A_VENUE: [&str; 7] =
    ["REST_URL", "WS_PUBLIC_URL", "WS_PRIVATE_URL", "API_KEY", "API_KEY_FILE", "API_SECRET", "API_SECRET_FILE"];

/// What the variables of this kind of venue begin with.
pub fn prefix(kind: VenueKind) -> &'static str {
    match kind {
        VenueKind::Sim => "SIM",
        VenueKind::Bybit => "BYBIT",
        VenueKind::Coinbase => "COINBASE",
        VenueKind::Binance => "BINANCE",
        VenueKind::BinanceUs => "BINANCE_US",
        VenueKind::Kraken => "KRAKEN",
    }
}

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

    /// An address in place of the venue's own (`BYBIT_REST_URL`), with the variable's name.
    pub fn address(&self, kind: VenueKind, rest: &str) -> Option<(String, &str)> {
        let name = format!("{}_{rest}", prefix(kind));
        let value = self.get(&name)?;
        Some((name, value))
    }

    /// Names that look like a misspelt one of ours, each with the one that may be meant. `kinds` are the venues in use:
    /// another program's variables for another exchange are no business of ours.
    ///
    /// They are not refused: Kubernetes sets `LASTORDERS_PORT` and the like for a service of that name.
    pub fn misspelt(&self, kinds: &[VenueKind]) -> Vec<(&str, String)> {
        let of_ours: Vec<&str> = NAMES.iter().filter_map(|name| name.strip_prefix(PREFIX)?.strip_prefix('_')).collect();
        let mut known: Vec<(&str, &[&str])> = vec![(PREFIX, &of_ours)];
        known.extend(kinds.iter().map(|kind| (prefix(*kind), OF_A_VENUE.as_slice())));
        let meant = |name: &str| {
            known.iter().find_map(|(prefix, rests)| {
                // The common prefix would make everything look alike.
                let rest = name.strip_prefix(prefix)?.strip_prefix('_')?;
                let found = nearest(rest, rests).filter(|found| *found != rest)?;
                Some(format!("{prefix}_{found}"))
            })
        };
        self.strangers.iter().filter_map(|name| Some((name.as_str(), meant(name)?))).collect()
    }

    fn set(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.values.insert(name, value.to_owned());
        }
    }

    fn note_stranger(&mut self, name: &str) {
        let is_ours = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'));
        let of_an_account = is_ours(PREFIX)
            && ["_API_KEY", "_API_SECRET"].iter().any(|part| name.trim_end_matches("_FILE").ends_with(part));
        let looks_like_ours = is_ours(PREFIX) || VenueKind::ALL.into_iter().any(|kind| is_ours(prefix(kind)));
        if looks_like_ours && !NAMES.contains(&name) && !of_an_account {
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
        assert_eq!(env.misspelt(&[]), [("LASTORDERS_STATEDIR", "LASTORDERS_STATE_DIR".to_owned())]);
    }

    #[test]
    fn a_misspelt_key_is_told_for_the_venues_in_use() {
        let env = Env::of_pairs(&[
            ("BYBIT_APIKEY", "canary-7f3a"),
            ("BYBIT_API_SECRET", "canary-7f3a"),
            ("BYBIT_MARKET", "canary-7f3a"),
            ("KRAKEN_APIKEY", "canary-7f3a"),
        ]);
        assert_eq!(env.misspelt(&[VenueKind::Bybit]), [("BYBIT_APIKEY", "BYBIT_API_KEY".to_owned())]);
        assert_eq!(env.misspelt(&[]), []);
        assert!(!format!("{env:?}").contains("canary-7f3a"));
    }

    #[test]
    fn addresses_are_found_by_the_kind_of_venue() {
        let env = Env::of_pairs(&[("BINANCE_US_REST_URL", "https://a"), ("BYBIT_REST_URL", "https://b")]);
        let found = |kind| env.address(kind, "REST_URL");
        assert_eq!(found(VenueKind::BinanceUs), Some(("BINANCE_US_REST_URL".to_owned(), "https://a")));
        assert_eq!(found(VenueKind::Bybit), Some(("BYBIT_REST_URL".to_owned(), "https://b")));
        assert_eq!(found(VenueKind::Binance), None);
    }
}
