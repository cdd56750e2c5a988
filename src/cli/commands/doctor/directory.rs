//! What can be seen on this machine's disk: the state directory, who holds it, what the last stop left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::findings::Findings;
use crate::cli::commands::report::result as report_result;
use crate::cli::place::{Place, shown};
use crate::cli::secrets::shell_word;
use crate::cli::state_dir::{self, Lock, counted};
use crate::domain::report::Report;

/// Less free space than this is a problem.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// The longest path a socket can have, less its closing zero.
const SOCKET_PATH_MAX: usize = 107;

/// The state directory.
pub(super) fn directory(place: &Place, findings: &mut Findings) {
    let path = &place.state_dir;
    findings.head("State directory");
    findings.row("path", &shown(path));
    let nearest = state_dir::nearest_existing(path);
    if path.exists() {
        permissions(path, findings);
    } else {
        findings.row("exists", "not yet: the first start makes it");
    }
    let is_writable = state_dir::is_writable(&nearest);
    findings.row("writable", if is_writable { "yes" } else { "NO" });
    if !is_writable {
        findings.problem(
            format!("This user cannot write in {}.", nearest.display()),
            "Give it to this user (chown), or name another with LASTORDERS_STATE_DIR.",
        );
    }
    if let Some(free) = state_dir::free_bytes(&nearest) {
        findings.row("free space", &size(free));
        if free < FREE_BYTES_MIN {
            findings.problem(
                format!("Only {} are free in {}.", size(free), nearest.display()),
                format!("Make room: at least {}.", size(FREE_BYTES_MIN)),
            );
        }
    }
    if place.socket().as_os_str().len() > SOCKET_PATH_MAX {
        findings.problem(
            format!("The path of the control socket is longer than {SOCKET_PATH_MAX} bytes."),
            "Use a shorter state directory (LASTORDERS_STATE_DIR); a relative one counts as it is written.",
        );
    }
    occupancy(path, findings);
    last_stop(path, findings);
}

fn permissions(path: &Path, findings: &mut Findings) {
    match std::fs::metadata(path) {
        Ok(data) if !data.is_dir() => {
            findings
                .problem(format!("{} is not a directory.", shown(path)), "Move it away, or name another directory.");
        }
        Ok(data) => {
            let bits = data.permissions().mode() & 0o7777;
            findings.row("permissions", &format!("{bits:04o}"));
            if bits & 0o077 != 0 {
                findings.problem(
                    format!("Others may look into {} ({bits:04o}).", shown(path)),
                    format!("chmod 700 {}", shell_word(path)),
                );
            }
        }
        Err(error) => findings.problem(format!("{} cannot be looked at: {error}.", shown(path)), "Check its owner."),
    }
}

fn occupancy(path: &Path, findings: &mut Findings) {
    let lock = state_dir::lock(path);
    let text = match &lock {
        Lock::Free => "free: no trader is running here".to_owned(),
        Lock::Held(Some(pid)) => format!("held: a trader is running, pid {pid}"),
        Lock::Held(None) => "held: a trader is starting".to_owned(),
        Lock::Unreadable(why) => format!("cannot be told: {why}"),
    };
    findings.row("lock", &text);
    if let Lock::Unreadable(why) = &lock {
        findings.problem(format!("The lock cannot be looked at: {why}."), "Check the owner of the state directory.");
    }
    if let Some(why) = state_dir::state_trouble(path) {
        findings.problem(
            format!("state.json cannot be read: {why}."),
            "Leave it: the next start puts it aside and uses the one before it and the journal.",
        );
    }
    let open = state_dir::open_orders(path);
    findings.row("open orders", &format!("{} named by state and journal", open.len()));
    if lock == Lock::Free && !open.is_empty() {
        let named = open.iter().take(5).map(|order| format!("\n      - {order}")).collect::<String>();
        findings.problem(
            format!("{} orders of ours may be open, and no trader is running:{named}", open.len()),
            "lastorders run settles and cancels them at its start.",
        );
    }
}

fn last_stop(path: &Path, findings: &mut Findings) {
    let report = match state_dir::last_report(path) {
        None => {
            findings.row("last stop", "none yet");
            return;
        }
        Some(Err(why)) => {
            findings.row("last stop", "the report cannot be read");
            findings.problem(
                format!("last_shutdown.json cannot be read: {why}."),
                "Look at it; the next stop replaces it.",
            );
            return;
        }
        Some(Ok(report)) => report,
    };
    match serde_json::from_value::<Report>(report) {
        Ok(report) => {
            let text = format!("{}, {}: {}", report.started_at, report.reason, report_result(&report));
            findings.row("last stop", &text);
            if !report.complete || report.exit_code == 3 {
                let remaining = counted(report.orders.remaining.len(), "order");
                findings.problem(
                    format!("The last stop left {remaining} that may be open."),
                    "lastorders report names them; lastorders run settles and cancels them at its start.",
                );
            }
        }
        Err(_) => findings.row("last stop", "a report of another version; see lastorders report --json"),
    }
}

/// A configuration that others may change.
pub(super) fn readable_by_others(path: &Path, findings: &mut Findings) {
    let Ok(data) = std::fs::metadata(path) else {
        return;
    };
    let bits = data.permissions().mode() & 0o7777;
    if bits & 0o022 != 0 {
        findings.problem(
            format!("Others may change {} ({bits:04o}), and so what is traded.", shown(path)),
            format!("chmod go-w {}", shell_word(path)),
        );
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
