//! Whether a run may begin: the configuration, and in LIVE the keys, the state directory, and whether what may be owned
//! can be cancelled. Looks, and touches nothing.
//!
//! Always holds: everything that is wrong is told at once, each with its mend, before anything is started or sent. What
//! only the venue can tell is asked by the start itself, and by `doctor`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::config::refusal::Refusal;
use super::config::{self, Draft, Loaded};
use super::environment::Env;
use super::grace::{may_own, may_own_explained};
use super::place::{Place, shown};
use super::secrets::{self, Found, Keys, Vault};
use super::state_dir;
use crate::domain::settings::{Mode, Settings, VenueKind};

/// The source of refusals of the state directory.
pub const STATE_DIRECTORY: &str = "state directory";

/// What a command was given.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// The configuration file.
    pub file: Option<&'g Path>,
    /// Mode and state directory.
    pub place: &'g Result<Place, Box<Refusal>>,
    /// The environment, without secrets.
    pub env: &'g Env,
    /// Where secrets come from.
    pub vault: Vault<'g>,
}

/// What a run begins with.
#[derive(Debug)]
pub struct Ready {
    /// The configuration.
    pub loaded: Loaded,
    /// Keys by the venue's name; none where the mode needs none.
    pub keys: Keys,
}

/// Everything that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// The configuration, or what is wrong with it.
    pub loaded: Result<Loaded, Vec<Refusal>>,
    /// The keys of each real venue; empty where the mode needs none.
    pub found: Vec<Found>,
    /// What else LIVE refuses.
    pub refusals: Vec<Refusal>,
}

/// Looks at everything.
pub fn check(given: &Given<'_>) -> Checked {
    let Draft { result, mode, accounts } = config::load(given.file, given.place, given.env);
    let mut checked = Checked { loaded: result, found: Vec::new(), refusals: Vec::new() };
    if mode != Mode::Live {
        return checked;
    }
    // PAPER and DRY_RUN need no key, and what is not read cannot get lost.
    checked.found = secrets::look(&accounts, given.vault);
    if let Ok(loaded) = &checked.loaded {
        checked.refusals.extend(too_many_to_cancel(&loaded.settings));
    }
    if let Ok(place) = given.place {
        checked.refusals.extend(unfit(&place.state_dir));
    }
    checked
}

impl Checked {
    /// All of it, or every refusal.
    pub fn ready(self) -> Result<Ready, Vec<Refusal>> {
        let (loaded, mut refusals) = match self.loaded {
            Ok(loaded) => (Some(loaded), Vec::new()),
            Err(refusals) => (None, refusals),
        };
        let keys = secrets::keys(self.found).unwrap_or_else(|bad| {
            refusals.extend(bad);
            Keys::new()
        });
        refusals.extend(self.refusals);
        match loaded {
            Some(loaded) if refusals.is_empty() => Ok(Ready { loaded, keys }),
            _ => Err(refusals),
        }
    }
}

/// More open orders than a stop could cancel in its time.
fn too_many_to_cancel(settings: &Settings) -> Option<Refusal> {
    let wanted = settings.risk.max_open_orders;
    let real = || settings.venues.iter().filter(|venue| venue.kind != VenueKind::Sim);
    let cancelable: u64 = real().map(|venue| u64::from(may_own(settings, venue))).sum();
    if real().next().is_none() || u64::from(wanted) <= cancelable {
        return None;
    }
    let sums: Vec<String> =
        real().map(|venue| format!("{}: {}", venue.name, may_own_explained(settings, venue))).collect();
    Some(Refusal {
        source: settings
            .config_file
            .as_ref()
            .map_or_else(|| config::FILE.to_owned(), |file| file.display().to_string()),
        line: 0,
        key: "risk.max_open_orders".to_owned(),
        value: Some(wanted.to_string()),
        problem: format!(
            "A stop could cancel {cancelable} orders in its time, not {wanted}.\n    {}",
            sums.join("\n    ")
        ),
        allowed: format!(
            "Set max_open_orders = {cancelable} or less under [risk], or a longer cancel_timeout_s under [shutdown]."
        ),
    })
}

/// Why LIVE's state cannot lie there.
fn unfit(path: &Path) -> Option<Refusal> {
    let refuse = |problem: String, allowed: String| {
        Some(Refusal { source: STATE_DIRECTORY.to_owned(), line: 0, key: shown(path), value: None, problem, allowed })
    };
    let elsewhere = "Give it to this user (chown), or name another with LASTORDERS_STATE_DIR.";
    match std::fs::metadata(path) {
        Ok(data) if !data.is_dir() => {
            return refuse("This is no directory.".to_owned(), "Name another with LASTORDERS_STATE_DIR.".to_owned());
        }
        Ok(data) if data.mode() & 0o077 != 0 => {
            let mode = data.mode() & 0o7777;
            return refuse(
                format!("Others may look into it (mode {mode:04o})."),
                format!("chmod 700 {}", secrets::shell_word(path)),
            );
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return refuse(format!("It cannot be looked at: {error}."), elsewhere.to_owned()),
    }
    let nearest = state_dir::nearest_existing(path);
    if state_dir::is_writable(&nearest) {
        return None;
    }
    refuse(format!("This user cannot write in {}.", nearest.display()), elsewhere.to_owned())
}
