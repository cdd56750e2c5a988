//! `doctor`: looks at everything a run depends on and names each problem with its mend. Touches nothing.
//!
//! Always holds: no text of a key is shown, at most the end of its name; a venue is only asked, never told.

mod ask;
mod directory;
mod findings;
#[cfg(test)]
mod tests;
mod venue;
mod watch;

use std::path::PathBuf;

pub use self::ask::{Ask, Open, open};
use self::findings::Findings;
use self::venue::Case;
use self::watch::{Cover, who_cancels};
use crate::cli::banner;
use crate::cli::config::Loaded;
use crate::cli::console::Console;
use crate::cli::exit;
use crate::cli::grace::{deadline_s, grace_period_s, may_own, may_own_explained, traits};
use crate::cli::place::shown;
use crate::cli::ready::{self, Checked, Given};
use crate::cli::secrets::Found;
use crate::cli::state_dir::{self, Lock};
use crate::domain::ids::Symbol;
use crate::domain::secret::ApiKey;
use crate::domain::settings::{Mode, Settings, VenueKind, VenueSettings};
use crate::runtime::clock::Clock;
use crate::store::{account_lock_folders, account_lock_name};

/// How to look.
pub struct Looking<'l> {
    /// Ask no venue.
    pub is_offline: bool,
    /// Makes a way to ask one.
    pub open: &'l Open<'l>,
}

/// Looks, tells; the exit code says whether anything is wrong.
pub fn doctor(given: &Given<'_>, looking: &Looking<'_>, console: &mut Console<'_>) -> u8 {
    let mut findings = Findings::default();
    findings.line(&format!("lastorders {}", env!("CARGO_PKG_VERSION")));
    match given.place {
        Ok(place) => findings.row("mode", mode(place.mode)),
        Err(_) => findings.row("mode", "refused, see below"),
    }
    findings.row("configuration", &given.file.map_or_else(|| "no file: the defaults".to_owned(), shown));
    let Checked { loaded, found, refusals } = ready::check(given);
    if let Ok(loaded) = &loaded {
        let instance = loaded.settings.instance;
        let drawn = "drawn at the first start and kept in the state directory";
        findings.row("instance", &instance.map_or_else(|| drawn.to_owned(), |instance| instance.to_string()));
    }
    findings.row("clock", &format!("{} by this machine", Clock.wall()));
    if let Ok(place) = given.place {
        directory::directory(place, &mut findings);
    }
    keys(given, &found, &mut findings);
    let mut covers = Vec::new();
    match &loaded {
        Ok(loaded) => {
            covers = venues(loaded, &found, looking, &mut findings);
            configured(loaded, &mut findings);
        }
        Err(refusals) => tell(refusals, &mut findings),
    }
    found.iter().for_each(|found| tell(&found.refusals, &mut findings));
    // What is wrong with the directory has been said in its chapter.
    let others: Vec<_> = refusals.into_iter().filter(|refusal| refusal.source != ready::STATE_DIRECTORY).collect();
    tell(&others, &mut findings);
    if let Some(path) = given.file {
        directory::readable_by_others(path, &mut findings);
    }
    who_cancels(loaded.as_ref().ok().map(|loaded| &loaded.settings), &covers, &mut findings);
    let is_well = findings.is_well();
    console.say(&findings.page());
    if is_well { exit::DONE } else { exit::FAILED }
}

fn tell(refusals: &[crate::cli::config::refusal::Refusal], findings: &mut Findings) {
    for refusal in refusals {
        findings.problem(refusal.to_string(), "");
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::DryRun => "DRY_RUN: no order is sent or recorded",
        Mode::Paper => "PAPER: a paper account, no real money",
        Mode::Live => "LIVE: REAL ORDERS",
    }
}

/// Which keys there are, where they came from, and whether another run has their accounts.
fn keys(given: &Given<'_>, found: &[Found], findings: &mut Findings) {
    if found.is_empty() {
        return;
    }
    findings.head("Keys");
    let own = given.place.as_ref().map(|place| state_dir::lock(&place.state_dir));
    let is_running = matches!(own, Ok(Lock::Held(_)));
    for one in found {
        match &one.key {
            Some(key) => {
                let end = one.hint().map_or_else(String::new, |end| format!(" (ends in {end})"));
                findings.row(&one.venue, &format!("there{end}: {}", one.sources.join("; ")));
                account(given, (one, key), is_running, findings);
            }
            None => findings.row(&one.venue, "NOT THERE OR NOT USABLE, see below"),
        }
    }
}

/// The lock of an account.
fn account(given: &Given<'_>, (found, key): (&Found, &ApiKey), is_running: bool, findings: &mut Findings) {
    let name = account_lock_name(found.kind.word(), key.key.expose());
    let folders = account_lock_folders(given.env.get("XDG_RUNTIME_DIR").map(std::path::Path::new));
    let locks: Vec<(PathBuf, Lock)> = folders
        .into_iter()
        .map(|folder| folder.join(&name))
        .map(|file| (file.clone(), state_dir::lock_of(&file)))
        .collect();
    let text = match locks.iter().find(|(_, lock)| *lock != Lock::Free) {
        None => "free".to_owned(),
        Some((_, Lock::Held(_))) if is_running => "held by the trader that is running here".to_owned(),
        Some((file, Lock::Held(_))) => {
            findings.problem(
                format!("Another run trades the account of venue {}: {} is locked.", found.venue, file.display()),
                "Stop it first, or use another account. lslocks and fuser name the process.",
            );
            "HELD by another run".to_owned()
        }
        Some((_, Lock::Free)) => "free".to_owned(),
        Some((file, Lock::Unreadable(why))) => {
            findings.problem(
                format!("The lock of the account cannot be looked at: {why}."),
                format!("Check the owner of {}.", file.display()),
            );
            format!("cannot be told: {why}")
        }
    };
    findings.row("", &format!("account lock: {text}"));
}

/// Each venue: what is configured, what may be owned, and what the venue itself says.
fn venues(loaded: &Loaded, found: &[Found], looking: &Looking<'_>, findings: &mut Findings) -> Vec<(String, Cover)> {
    let settings = &loaded.settings;
    let is_running = matches!(state_dir::lock(&settings.state_dir), Lock::Held(_));
    let mut covers = Vec::new();
    for venue in &settings.venues {
        findings.head(&format!("Venue {}", venue.name));
        about(settings, venue, findings);
        if venue.kind == VenueKind::Sim {
            continue;
        }
        let key = found.iter().find(|found| found.venue == venue.name).and_then(|found| found.key.as_ref());
        let promises = traits(settings, venue);
        let case = Case { settings, venue, key, traits: &promises, is_running };
        let cover = if looking.is_offline {
            findings.row("asked", "no: --offline");
            Cover::of(&promises, venue, None)
        } else {
            asked(&case, looking, findings)
        };
        if settings.mode == Mode::Live {
            findings.row("dead man", &cover.told());
        }
        covers.push((venue.name.clone(), cover));
    }
    covers
}

fn asked(case: &Case<'_>, looking: &Looking<'_>, findings: &mut Findings) -> Cover {
    match (looking.open)(case.venue, case.key) {
        Ok(mut line) => venue::look(case, line.as_mut(), findings),
        Err(why) => {
            findings.row("asked", "NO");
            let what = format!("Venue {}: it cannot be asked: {why}", case.venue.name);
            findings.problem(what, "Look at its addresses; or leave this out: lastorders doctor --offline.");
            Cover::of(case.traits, case.venue, None)
        }
    }
}

fn about(settings: &Settings, venue: &VenueSettings, findings: &mut Findings) {
    let symbols: Vec<&str> = venue.symbols.iter().map(Symbol::as_str).collect();
    let kind = match venue.kind {
        VenueKind::Sim => "built-in market, invented".to_owned(),
        kind => format!("{}, {}", kind.word(), banner::world(settings.mode, &venue.connection)),
    };
    findings.row("kind", &kind);
    for (what, address) in banner::addresses(&venue.connection) {
        findings.row("", &format!("{what} at {address}"));
    }
    findings.row("symbols", &symbols.join(", "));
    findings
        .row("may own", &format!("{} open orders: {}", may_own(settings, venue), may_own_explained(settings, venue)));
    if venue.kind != VenueKind::Sim {
        let exclusive = if venue.exclusive_account {
            "yes: ALL orders of the account may be cancelled, not only ours"
        } else {
            "no: only our own orders are ever cancelled"
        };
        findings.row("exclusive", exclusive);
        if settings.mode != Mode::Live {
            findings.row("keys", &format!("none needed in {}, and none read", settings.mode.word()));
        }
    }
}

fn configured(loaded: &Loaded, findings: &mut Findings) {
    let settings = &loaded.settings;
    findings.head("Strategies");
    for line in banner::strategy_lines(settings) {
        findings.prose(&line);
    }
    findings.head("Stop");
    let shutdown = &settings.shutdown;
    findings.row(
        "deadline",
        &format!(
            "{} s from the first signal (cancel_timeout_s {} + recorder_timeout_s {})",
            deadline_s(shutdown),
            shutdown.cancel_timeout_s,
            shutdown.recorder_timeout_s
        ),
    );
    let grace = grace_period_s(shutdown);
    findings
        .row("grace period", &format!("{grace} s, the deadline and 5: what a supervisor must grant before it kills"));
    findings.row("", &format!("systemd TimeoutStopSec={grace}, docker stop -t {grace}, Kubernetes"));
    findings.row("", &format!("terminationGracePeriodSeconds: {grace}"));
    loaded.notes.iter().for_each(|note| findings.note(note.clone()));
}
