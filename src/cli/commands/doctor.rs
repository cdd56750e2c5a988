//! `doctor`: looks at everything a run depends on and names each problem with its mend. Touches nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::report::result as report_result;
use crate::cli::config::Loaded;
use crate::cli::console::Console;
use crate::cli::grace::{deadline_s, grace_period_s, may_own, may_own_explained};
use crate::cli::place::{Place, shown};
use crate::cli::ready::{self, Given};
use crate::cli::state_dir::{self, Lock, counted};
use crate::cli::{banner, exit};
use crate::domain::ids::Symbol;
use crate::domain::report::Report;
use crate::domain::settings::{Mode, OnExit, OnStart, Settings, VenueKind};

/// Less free space than this is a problem.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// The longest path a socket can have, less its closing zero.
const SOCKET_PATH_MAX: usize = 107;

/// Something that is wrong, and its mend.
struct Problem {
    what: String,
    mend: String,
}

/// What was seen.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Findings {
    fn row(&mut self, title: &str, text: &str) {
        self.lines.push(format!("  {title:<15} {text}").trim_end().to_owned());
    }

    fn head(&mut self, title: &str) {
        self.lines.push(String::new());
        self.lines.push(title.to_owned());
    }

    fn problem(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(Problem { what: what.into(), mend: mend.into() });
    }
}

/// Looks, tells; the exit code says whether anything is wrong.
pub fn doctor(given: &Given<'_>, _is_offline: bool, console: &mut Console<'_>) -> u8 {
    let Given { file, place, .. } = *given;
    let mut findings = Findings::default();
    findings.lines.push(format!("lastorders {}", env!("CARGO_PKG_VERSION")));
    match place {
        Ok(place) => findings.row("mode", mode(place.mode)),
        Err(_) => findings.row("mode", "refused, see below"),
    }
    findings.row("configuration", &file.map_or_else(|| "no file: the defaults".to_owned(), shown));
    let checked = ready::check(given);
    let loaded = &checked.loaded;
    if let Ok(loaded) = loaded {
        let instance = loaded.settings.instance;
        let drawn = "drawn at the first start and kept in the state directory";
        findings.row("instance", &instance.map_or_else(|| drawn.to_owned(), |instance| instance.to_string()));
    }
    if let Ok(place) = place {
        directory(place, &mut findings);
    }
    match loaded {
        Ok(loaded) => configured(loaded, &mut findings),
        Err(refusals) => {
            for refusal in refusals {
                findings.problem(refusal.to_string(), "");
            }
        }
    }
    if let Some(path) = file {
        readable_by_others(path, &mut findings);
    }
    who_cancels(loaded.as_ref().ok().map(|loaded| &loaded.settings), &mut findings);
    verdict(&mut findings);
    console.say(&findings.lines.join("\n"));
    if findings.problems.is_empty() { exit::DONE } else { exit::FAILED }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::DryRun => "DRY_RUN: no order is sent or recorded",
        Mode::Paper => "PAPER: a paper account, no real money",
        Mode::Live => "LIVE: REAL MONEY",
    }
}

fn directory(place: &Place, findings: &mut Findings) {
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
                    format!("chmod 700 {}", shown(path)),
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

fn configured(loaded: &Loaded, findings: &mut Findings) {
    let settings = &loaded.settings;
    findings.head("Venues");
    for venue in &settings.venues {
        let symbols: Vec<&str> = venue.symbols.iter().map(Symbol::as_str).collect();
        let kind = match venue.kind {
            VenueKind::Sim => "built-in market, invented",
            other => other.word(),
        };
        findings.row(&venue.name, &format!("{kind}: {}", symbols.join(", ")));
        findings.row("", &format!("may own {} open orders,", may_own(settings, venue)));
        findings.row("", &may_own_explained(settings, venue));
    }
    findings.head("Strategies");
    for line in banner::strategy_lines(settings) {
        findings.lines.push(format!("  {line}"));
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
    findings.notes.extend(loaded.notes.iter().cloned());
}

fn readable_by_others(path: &Path, findings: &mut Findings) {
    let Ok(data) = std::fs::metadata(path) else {
        return;
    };
    let bits = data.permissions().mode() & 0o7777;
    if bits & 0o022 != 0 {
        findings.problem(
            format!("Others may change {} ({bits:04o}), and so what is traded.", shown(path)),
            format!("chmod go-w {}", shown(path)),
        );
    }
}

/// Which cause is answered by whom, as far as it is built. No more than the truth.
fn who_cancels(settings: Option<&Settings>, findings: &mut Findings) {
    findings.head("Who cancels our orders");
    let shutdown = settings.map(|settings| &settings.shutdown);
    let stop = match shutdown.map(|shutdown| shutdown.on_exit) {
        Some(OnExit::Keep) => "nobody: on_exit = \"keep\" leaves them at the venue and names them".to_owned(),
        Some(OnExit::Cancel) | None => {
            let within = shutdown.map_or_else(String::new, |shutdown| format!(", within {} s", deadline_s(shutdown)));
            format!("the trader's ordered stop: at once, proved{within}")
        }
    };
    let next_start = match settings.map(|settings| settings.start.on_start) {
        Some(OnStart::Adopt) => "nobody; the next start gives them back to their strategies",
        Some(OnStart::Cancel) | None => "nobody before the next start, which finds and cancels them",
    };
    let rows = [
        ("SIGTERM, SIGINT, SIGHUP,", ""),
        ("lastorders stop", stop.as_str()),
        ("a panic while trading", stop.as_str()),
        ("a panic while stopping", next_start),
        ("SIGKILL, out of memory,", ""),
        ("power cut", next_start),
        ("the trader hangs", "nobody until somebody kills it and starts it again"),
    ];
    for (cause, who) in rows {
        findings.lines.push(format!("  {cause:<26} {who}").trim_end().to_owned());
    }
    findings.lines.push(
        "  The guardian and the venues' own timers, which will answer the last four, are not built yet.".to_owned(),
    );
}

fn verdict(findings: &mut Findings) {
    if !findings.notes.is_empty() {
        findings.head("Notes");
        let notes: Vec<String> = findings.notes.iter().map(|note| format!("  - {note}")).collect();
        findings.lines.extend(notes);
    }
    match findings.problems.len() {
        0 => findings.head("No problems found."),
        1 => findings.head("One problem:"),
        count => findings.head(&format!("{count} problems:")),
    }
    let mut lines = Vec::new();
    for (number, problem) in findings.problems.iter().enumerate() {
        lines.push(format!("  {}. {}", number + 1, problem.what));
        if !problem.mend.is_empty() {
            lines.push(format!("     Mend: {}", problem.mend));
        }
    }
    findings.lines.extend(lines);
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
