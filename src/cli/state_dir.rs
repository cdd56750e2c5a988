//! What a look at a state directory tells, without touching it.
//!
//! Always holds: nothing is created, changed or kept locked here.
//! Never does: trust a pid file. Whether somebody trades is the lock's answer.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation};
use serde_json::Value;

use crate::domain::settings::Mode;
use crate::domain::snapshot::{SavedOrder, State};
use crate::store::directory::{StateDirectory, host_name};
use crate::store::load::{Identity, load};

/// The report of the last stop.
pub const REPORT: &str = "last_shutdown.json";
const LOCK: &str = "lastorders.lock";
const PID: &str = "lastorders.pid";
const STATE: &str = "state.json";
/// So many open orders are named one by one.
const NAMED_MAX: usize = 20;

/// Who holds the lock of a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Nobody.
    Free,
    /// A process; its pid, where it has written it.
    Held(Option<u32>),
    /// It cannot be told.
    Unreadable(String),
}

/// Whether somebody holds the lock.
pub fn lock(state_dir: &Path) -> Lock {
    match lock_of(&state_dir.join(LOCK)) {
        Lock::Held(_) => Lock::Held(pid(state_dir)),
        other => other,
    }
}

/// Whether somebody holds the lock on this file. Who it is stands elsewhere, if anywhere.
pub fn lock_of(file: &Path) -> Lock {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Lock::Free,
        Err(error) => return Lock::Unreadable(error.to_string()),
    };
    // A shared try, given back at once when the file is closed at the end of this function.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Lock::Free,
        Err(rustix::io::Errno::WOULDBLOCK) => Lock::Held(None),
        Err(error) => Lock::Unreadable(error.to_string()),
    }
}

/// The trader's pid, as it wrote it.
pub fn pid(state_dir: &Path) -> Option<u32> {
    std::fs::read_to_string(state_dir.join(PID)).ok()?.trim().parse().ok()
}

/// Orders that the files of the last run call open, one line each: the state with the journal after it, as a start
/// would read them. Where that does not work, what `state.json` alone says; `doctor` tells what is wrong with it.
pub fn open_orders(state_dir: &Path) -> Vec<String> {
    match resumed(state_dir) {
        Some(state) => state.orders.open.values().map(order_line).collect(),
        None => open_orders_of_the_file(state_dir),
    }
}

/// What a start would find. Reading changes nothing; the mode is the directory's own.
fn resumed(state_dir: &Path) -> Option<State> {
    let mut directory = StateDirectory::open_existing(state_dir).ok()?;
    [Mode::Paper, Mode::Live, Mode::DryRun].into_iter().find_map(|mode| {
        let who = Identity { instance: None, host: host_name(), mode, chance: 0 };
        load(&mut directory, &who).ok().map(|resumed| resumed.state)
    })
}

fn order_line(order: &SavedOrder) -> String {
    let (side, state) = (order.side.word(), order.state.word());
    let SavedOrder { venue, symbol, qty, price, client_id, .. } = order;
    format!("{venue} {symbol} {side} {qty} @ {price} (id={client_id}, {state})")
}

fn open_orders_of_the_file(state_dir: &Path) -> Vec<String> {
    let state = std::fs::read_to_string(state_dir.join(STATE)).ok();
    let state: Option<Value> = state.and_then(|text| serde_json::from_str(&text).ok());
    let open = state.as_ref().and_then(|state| state.get("orders")?.get("open")?.as_object());
    let text = |order: &Value, key: &str| match order.get(key) {
        Some(Value::String(text)) => text.clone(),
        _ => "?".to_owned(),
    };
    open.into_iter()
        .flatten()
        .map(|(id, order)| {
            let part = |key| text(order, key);
            format!(
                "{} {} {} {} @ {} (id={id}, {})",
                part("venue"),
                part("symbol"),
                part("side").to_uppercase(),
                part("qty"),
                part("price"),
                part("state")
            )
        })
        .collect()
}

/// A number of things: "1 order", "2 orders".
pub fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// A warning that names them.
pub fn open_orders_warning(open: &[String]) -> String {
    let mut text = format!(
        "\nWARNING: state and journal name {} of ours as open, which may rest at the venue now:\n",
        counted(open.len(), "order")
    );
    for order in open.iter().take(NAMED_MAX) {
        text.push_str(&format!("  - {order}\n"));
    }
    if open.len() > NAMED_MAX {
        text.push_str(&format!("  … and {} more\n", open.len() - NAMED_MAX));
    }
    text.push_str("The next lastorders run looks at the venue, settles what is not known and cancels them.");
    text
}

/// The last report as loose JSON; `None` where there is none, an error where it cannot be read.
pub fn last_report(state_dir: &Path) -> Option<Result<Value, String>> {
    match std::fs::read_to_string(state_dir.join(REPORT)) {
        Ok(text) => Some(serde_json::from_str(&text).map_err(|error| error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Why the saved state cannot be read; `None` when it can, or when there is none yet.
pub fn state_trouble(state_dir: &Path) -> Option<String> {
    match std::fs::read_to_string(state_dir.join(STATE)) {
        Ok(text) => serde_json::from_str::<Value>(&text).err().map(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

/// The path itself, or the nearest folder above it that is there.
pub fn nearest_existing(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// Whether this user may make files there.
pub fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Bytes this user may still write there.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(folder).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}
