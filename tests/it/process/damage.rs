//! Files that a disk, a careless hand or a lying copy has damaged, after a kill that left orders open: what happens must
//! be said, nothing may be lost that the exchange still knows, and code 1 may not be claimed.

use std::fs::{OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{BUSY, EXIT_LIMIT, Outcome, READY_LIMIT, config, ledger, play_all, settle};
use crate::harness::daemon::{Daemon, Home, Plan, Whom};
use crate::harness::wait;
use crate::oracle::files::entries;

/// What the next start must do.
#[derive(Clone, Copy)]
enum Then {
    /// Trade, and stop clean; findings with these words belong to the damage.
    Recovers(&'static [&'static str]),
    /// Not start: exit code, and a word that must be in what it says.
    Refuses(i32, &'static str),
}

type Damage = (&'static str, fn(&Path), Then);

/// Orders that had ended are gone from memory with the file that named them; the exchange lists them no more.
const FORGOTTEN: &str = "the state knows nothing of";

const DAMAGES: &[Damage] = &[
    ("a flipped bit in the state", |state| flip(&state.join("state.json")), Then::Recovers(&[".broken."])),
    ("an empty state", |state| cut(&state.join("state.json"), 0), Then::Recovers(&[".broken."])),
    ("half a state", |state| cut(&state.join("state.json"), 100), Then::Recovers(&[".broken."])),
    ("no state", |state| remove(&state.join("state.json")), Then::Recovers(&[])),
    ("no state of either generation", remove_states, Then::Recovers(&[])),
    // The next records begin a new journal, so the old segment ends in the middle of a line.
    ("a torn end of the journal", |state| cut_end(&newest(&state.join("journal"))), Then::Recovers(&[])),
    (
        "a flipped bit in the journal",
        |state| flip(&newest(&state.join("journal"))),
        Then::Recovers(&[".broken.", "a second time", FORGOTTEN]),
    ),
    ("no journal", |state| remove(&newest(&state.join("journal"))), Then::Recovers(&[FORGOTTEN])),
    (
        "neither state nor journal",
        |state| {
            remove_states(state);
            remove(&newest(&state.join("journal")));
        },
        Then::Recovers(&[FORGOTTEN]),
    ),
    ("a stale pid file", |state| write(&state.join("lastorders.pid"), "999999\n"), Then::Recovers(&[])),
    ("a file in the place of the socket", plain_socket, Then::Recovers(&["control.sock"])),
    ("a flipped bit in the ledger", |state| flip(&state.join("paper/main.jsonl")), Then::Refuses(3, "main.jsonl")),
    (
        "a folder in the place of the state",
        |state| make_folder(&state.join("state.json")),
        Then::Refuses(3, "state.json"),
    ),
    (
        "a folder in the place of the lock",
        |state| make_folder(&state.join("lastorders.lock")),
        Then::Refuses(3, "lastorders.lock"),
    ),
    (
        "a file in the place of the logs",
        |state| {
            std::fs::remove_dir_all(state.join("logs")).unwrap();
            write(&state.join("logs"), "x");
        },
        Then::Refuses(3, "logs"),
    ),
];

fn open_to_change(path: &Path) -> std::fs::File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// In the middle of the file.
fn flip(path: &Path) {
    let mut file = open_to_change(path);
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    open_to_change(path).set_len(bytes).unwrap();
}

fn cut_end(path: &Path) {
    let file = open_to_change(path);
    file.set_len(file.metadata().unwrap().len() - 20).unwrap();
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

fn remove_states(state: &Path) {
    for path in entries(state).iter().filter(|path| path.extension().is_some_and(|name| name == "json")) {
        remove(path);
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn plain_socket(state: &Path) {
    remove(&state.join("control.sock"));
    write(&state.join("control.sock"), "x");
}

fn make_folder(path: &Path) {
    remove(path);
    std::fs::create_dir(path).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
}

fn newest(folder: &Path) -> PathBuf {
    entries(folder).pop().expect("a segment")
}

fn filled_twice(home: &Home) -> bool {
    let ledger = ledger(home);
    ledger.open().any(|(id, _)| ledger.fills.values().filter(|fill| fill.client_id == *id).count() >= 2)
}

fn play((what, damage, then): &Damage, number: u64) -> Result<(), String> {
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let home = Home::new(folder.path());
    let plan = Plan::new(&config(&BUSY, 100 + number));
    let mut daemon = Daemon::start(&home, &plan);
    daemon.wait_ready(READY_LIMIT)?;
    wait::until(READY_LIMIT, "an order on the book that was filled in part, twice", || {
        filled_twice(&home).then_some(())
    })?;
    daemon.kill();
    drop(daemon);
    let left: Vec<String> = ledger(&home).open().map(|(id, _)| id.clone()).collect();
    damage(&home.state());
    let printed_before = home.printed().len();
    let mut daemon = Daemon::start(&home, &plan);
    match then {
        Then::Refuses(code, word) => {
            let exit = daemon.wait_exit(EXIT_LIMIT)?;
            let said = &home.printed()[printed_before..];
            if exit.code != Some(*code) || !said.contains(word) {
                return Err(format!("{what}: it ended with {exit:?} and said {said}"));
            }
            Ok(())
        }
        Then::Recovers(theirs) => {
            daemon.wait_ready(READY_LIMIT)?;
            let after = ledger(&home);
            daemon.signal(Whom::Run, Signal::TERM);
            let exit = daemon.wait_exit(EXIT_LIMIT)?;
            drop(daemon);
            let mut outcome = Outcome::default();
            settle(&mut outcome, &home, exit, true);
            let is_open = |id: &&String| after.orders.get(*id).is_none_or(|order| order.is_open());
            let kept = left.iter().filter(is_open).map(|id| format!("{id} was still open when it was ready"));
            let mut findings: Vec<String> = kept.collect();
            let is_theirs = |finding: &String| theirs.iter().any(|word| finding.contains(word));
            findings.extend(outcome.findings.into_iter().filter(|finding| !is_theirs(finding)));
            if findings.is_empty() { Ok(()) } else { Err(format!("{what}: {findings:#?}\n{}", home.printed())) }
        }
    }
}

#[test]
fn damaged_files_lose_nothing_that_the_exchange_still_knows() {
    let failures: Vec<String> = play_all(DAMAGES.len(), |number| play(&DAMAGES[number], number as u64))
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
