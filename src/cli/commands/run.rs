//! `run` and `trade`: check everything, say what is about to happen, hand over to the trader.
//!
//! The guardian is not built yet, so `run` is the trader itself. After a wanted restart it replaces itself by a fresh
//! copy: the same process id for the supervisor, the configuration as it is then, and nothing left over from before.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::cli::banner::banner;
use crate::cli::commands::doctor::Open;
use crate::cli::console::Console;
use crate::cli::ready::{self, Given, Ready};
use crate::cli::secrets::Keys;
use crate::cli::{exit, refuse, state_dir};
use crate::domain::settings::Settings;

/// What begins a run.
pub struct Starter<'s> {
    /// Trades until stopped; gives the exit code.
    pub launcher: &'s dyn Fn(Settings, Keys) -> u8,
    /// Begins this process again from the start; comes back only when that failed.
    pub again: &'s dyn Fn() -> std::io::Error,
    /// Makes a way to ask a venue, for `doctor`.
    pub open: &'s Open<'s>,
}

/// Runs the trader; `ends_on_restart` hands a wanted restart to the caller.
pub fn run(given: &Given<'_>, ends_on_restart: bool, starter: &Starter<'_>, console: &mut Console<'_>) -> u8 {
    let Ready { loaded, keys } = match ready::check(given).ready() {
        Ok(ready) => ready,
        Err(refusals) => {
            let code = refuse(&refusals, console);
            console.tell("\nNothing was started. lastorders doctor looks at all of it without starting anything.");
            if let Ok(place) = given.place {
                let open = state_dir::open_orders(&place.state_dir);
                if !open.is_empty() {
                    console.tell(&state_dir::open_orders_warning(&open));
                }
            }
            return code;
        }
    };
    console.tell(&banner(&loaded.settings, console.colour_err));
    for note in &loaded.notes {
        console.tell(&format!("  note: {note}"));
    }
    let code = (starter.launcher)(loaded.settings, keys);
    if code != exit::RESTART || ends_on_restart {
        return code;
    }
    let error = (starter.again)();
    console.tell(&format!(
        "A restart is wanted, but this process could not begin again: {error}.\nNothing of ours is open. Start it by hand."
    ));
    exit::FAILED
}

/// Replaces this process by a fresh one of the same program with the same arguments.
///
/// The name in /proc works even after a rebuild has replaced the file; where the file is still the same its own path is
/// taken, so that the process keeps its name in `ps`.
#[allow(clippy::disallowed_methods, reason = "only as a name; /proc/self/exe is the fallback")]
pub fn begin_again(args: &[OsString]) -> std::io::Error {
    let this = Path::new("/proc/self/exe");
    let identity = |path: &Path| std::fs::metadata(path).map(|data| (data.dev(), data.ino())).ok();
    let own_path = std::env::current_exe().ok().filter(|path| identity(path) == identity(this));
    let mut command = std::process::Command::new(own_path.as_deref().unwrap_or(this));
    if let Some(name) = args.first() {
        command.arg0(name);
    }
    command.args(args.iter().skip(1)).exec()
}
