//! Odd surroundings: signals that are ignored, closed or missing streams, a full disk, a frozen process, a directory
//! that cannot be written, a process namespace of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{CALM, EXIT_LIMIT, LOSSY, Outcome, READY_LIMIT, SLOW, VENUE, again, config, ledger, settle};
use crate::harness::daemon::{Daemon, Exit, Front, Home, Output, Plan, Whom};
use crate::harness::wait;
use crate::oracle::files::read_state;
use crate::oracle::verdict::{Run, judge};

const CLEAN: Exit = Exit { code: Some(0), signal: None };

fn ready(home: &Home, plan: &Plan) -> Daemon {
    let mut daemon = Daemon::start(home, plan);
    daemon.wait_ready(READY_LIMIT).unwrap();
    daemon
}

fn await_open(home: &Home) {
    let open = || ledger(home).open().next().map(|_| ());
    wait::until(READY_LIMIT, "an order on the book", open).unwrap();
}

fn assert_clean_end(home: &Home, mut daemon: Daemon, was_killed: bool) {
    let exit = daemon.wait_exit(EXIT_LIMIT).unwrap();
    drop(daemon);
    let mut outcome = Outcome::default();
    settle(&mut outcome, home, exit, was_killed);
    assert_eq!(outcome.findings, Vec::<String>::new(), "{}", home.printed());
}

/// Whether a program works here; says so when it does not, because then a test is skipped.
fn works(words: &[&str]) -> bool {
    let done = Command::new(words[0]).args(&words[1..]).output();
    let works = done.as_ref().is_ok_and(|output| output.status.success());
    if !works {
        println!("SKIPPED: `{}` does not work here: {done:?}", words.join(" "));
    }
    works
}

/// Mounts need a user namespace of one's own.
fn can_mount() -> bool {
    works(&["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
}

/// Runs the rest in a mount namespace, after these mounts.
fn with_mounts(config: &str, mounts: &str) -> Plan {
    let mut plan = Plan::new(config).through_shell(&format!("{mounts} && exec \"$@\""));
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"].map(str::to_owned);
    plan.through.splice(0..0, namespace);
    plan
}

#[test]
fn under_nohup_a_closed_terminal_ends_nothing() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let mut daemon = ready(&home, &Plan::new(&config(&CALM, 11)).through_shell("trap '' HUP; exec \"$@\""));
    await_open(&home);
    assert!(daemon.signal(Whom::Run, Signal::HUP));
    // Were it heard, the stop would show within a moment.
    for _ in 0..20 {
        let status = home.command(&["status", "--json"]).unwrap();
        let said = String::from_utf8_lossy(&status.stdout);
        assert!(status.status.success() && !said.contains("stopping"), "{said}\n{}", home.printed());
    }
    daemon.signal(Whom::Run, Signal::TERM);
    assert_clean_end(&home, daemon, false);
}

#[test]
fn closed_streams_and_a_missing_home_change_nothing() {
    for (number, script) in [
        "exec \"$@\" <&- >&- 2>&-",
        "unset HOME XDG_RUNTIME_DIR TMPDIR; exec \"$@\"",
        "cd / && exec \"$@\"",
        "umask 0; exec \"$@\"",
        "trap '' PIPE CHLD USR1 TERM INT; exec \"$@\"",
    ]
    .into_iter()
    .enumerate()
    {
        let folder = TempDir::new().unwrap();
        let home = Home::new(folder.path());
        let mut daemon = ready(&home, &Plan::new(&config(&CALM, 20 + number as u64)).through_shell(script));
        await_open(&home);
        daemon.signal(Whom::Run, Signal::TERM);
        assert_clean_end(&home, daemon, false);
    }
}

#[test]
fn a_state_directory_too_deep_for_a_socket_address_has_a_control_socket() {
    let folder = TempDir::new().unwrap();
    let deep = folder.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let home = Home::new(&deep);
    let daemon = ready(&home, &Plan::new(&config(&CALM, 12)));
    await_open(&home);
    let stopped = home.command(&["stop"]).unwrap();
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    assert_clean_end(&home, daemon, false);
}

#[test]
fn a_dry_run_sends_nothing_and_writes_no_journal() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let mut plan = Plan::new(&config(&CALM, 13));
    plan.environment.push(("MODE", "DRY_RUN".to_owned()));
    let mut daemon = ready(&home, &plan);
    let has_new = || {
        let shown = home.command(&["--mode", "DRY_RUN", "status", "--json"]).ok()?;
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).ok()?;
        (shown["orders_new"].as_u64()? > 0).then_some(())
    };
    wait::until(READY_LIMIT, "an order that would have been sent", has_new).unwrap();
    daemon.signal(Whom::Run, Signal::TERM);
    assert_eq!(daemon.wait_exit(EXIT_LIMIT).unwrap(), CLEAN, "{}", home.printed());
    let asked = if home.ledger(VENUE).exists() { ledger(&home).asked.len() } else { 0 };
    assert_eq!(asked, 0, "something was sent");
}

#[test]
fn a_frozen_process_that_goes_on_stops_in_order() {
    for freeze_first in [true, false] {
        let folder = TempDir::new().unwrap();
        let home = Home::new(folder.path());
        let mut daemon = ready(&home, &Plan::new(&config(&LOSSY, 14)));
        await_open(&home);
        if !freeze_first {
            daemon.signal(Whom::Run, Signal::TERM);
        }
        daemon.signal(Whom::Trader, Signal::STOP);
        wait::let_pass(Duration::from_secs(3));
        if freeze_first {
            // Stays pending until the process goes on.
            daemon.signal(Whom::Run, Signal::TERM);
        }
        daemon.signal(Whom::Trader, Signal::CONT);
        assert_clean_end(&home, daemon, false);
    }
}

#[test]
fn a_disk_that_is_full_for_the_journal_ends_with_no_order_open() {
    if !can_mount() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let journal = home.state().join("journal");
    std::fs::create_dir_all(&journal).unwrap();
    for place in [home.state(), journal.clone()] {
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let config = config(&CALM, 15);
    let small = format!("mount -t tmpfs -o size=32k,mode=0700 tmpfs '{}'", journal.display());
    let mut daemon = ready(&home, &with_mounts(&config, &small));
    let is_full =
        || (home.printed().contains("THE DISK FAILED") && ledger(&home).open().next().is_none()).then_some(());
    wait::until(READY_LIMIT, "the disk to be full and every order to be cancelled", is_full).unwrap();
    let exit = daemon.signal(Whom::Run, Signal::TERM).then(|| daemon.wait_exit(EXIT_LIMIT).unwrap()).unwrap();
    drop(daemon);
    assert_eq!(exit.code, Some(1), "what could not be saved is a failure, and nothing is open\n{}", home.printed());
    // The journal was in memory and is gone; the next run must know every fill all the same.
    let mut outcome = Outcome::default();
    again(&mut outcome, &home, &Plan::new(&config), true).unwrap();
    assert_eq!(outcome.findings, Vec::<String>::new(), "{}", home.printed());
}

#[test]
fn a_venue_that_cannot_answer_leaves_residue_that_is_named() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    // The ledger soon has its largest size: the exchange cannot write, so it says nothing, so nothing can be proved.
    let config = config(&CALM, 16);
    let limited = config.replace("[risk]", "[shutdown]\ncancel_timeout_s = 5\n\n[risk]");
    let mut daemon = ready(&home, &Plan::new(&limited).through_shell("ulimit -f 40; exec \"$@\""));
    let silent = || home.printed().contains("cannot write its ledger").then_some(());
    wait::until(READY_LIMIT, "the ledger to be full", silent).unwrap();
    daemon.signal(Whom::Run, Signal::TERM);
    let exit = daemon.wait_exit(EXIT_LIMIT).unwrap();
    drop(daemon);
    assert_eq!(exit.code, Some(3), "{}", home.printed());
    assert!(ledger(&home).open().next().is_some(), "nothing was open, so nothing was tried");
    let verdict = judge(Run { folder: &home.state(), venues: &[VENUE], exit_code: 3, was_killed: true });
    let unnamed: Vec<_> = verdict.findings.iter().filter(|finding| finding.contains("report")).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}\n{}", home.printed());
    // With room again the next start cleans up.
    let mut outcome = Outcome::default();
    again(&mut outcome, &home, &Plan::new(&config), true).unwrap();
    assert_eq!(outcome.findings, Vec::<String>::new(), "{}", home.printed());
}

/// Starts where nothing can be written; the exit code, and what it said.
fn start_read_only(home: &Home) -> (Option<i32>, String) {
    let state = home.state().display().to_string();
    let mounts = format!("mount --bind '{state}' '{state}' && mount -o remount,bind,ro '{state}'");
    let printed_before = home.printed().len();
    let mut daemon = Daemon::start(home, &with_mounts(&config(&SLOW, 17), &mounts));
    let exit = daemon.wait_exit(EXIT_LIMIT).unwrap();
    (exit.code, home.printed()[printed_before..].to_owned())
}

#[test]
fn a_read_only_directory_is_refused_and_the_code_tells_whether_orders_may_be_open() {
    if !can_mount() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let plan = Plan::new(&config(&CALM, 17));
    let mut daemon = ready(&home, &plan);
    await_open(&home);
    daemon.kill();
    drop(daemon);
    let (code, said) = start_read_only(&home);
    assert_eq!(code, Some(3), "a killed run left orders, and nobody could look after them: {said}");
    let place = home.state().display().to_string();
    assert!(said.contains(&place), "it names the place: {said}");

    let mut outcome = Outcome::default();
    again(&mut outcome, &home, &plan, true).unwrap();
    assert_eq!(outcome.findings, Vec::<String>::new(), "{}", home.printed());
    let (code, said) = start_read_only(&home);
    assert_eq!(code, Some(1), "the last run ended clean, so nothing is open: {said}");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    std::fs::write(folder.path().join("file"), "").unwrap();
    for place in ["/proc/nowhere/state", "file/state", "file"] {
        let mut plan = Plan::new(&config(&CALM, 18));
        plan.environment.push(("LASTORDERS_STATE_DIR", place.to_owned()));
        let mut daemon = Daemon::start(&home, &plan);
        let exit = daemon.wait_exit(EXIT_LIMIT).unwrap();
        assert_eq!(exit.code, Some(1), "{place}: {}", home.printed());
        assert!(home.printed().contains(place), "it names {place}: {}", home.printed());
    }
}

/// The daemon's number as we see it: the only child of the program that made the namespace.
fn only_child(parent: Pid) -> Option<Pid> {
    let parent = parent.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

#[test]
fn as_process_1_it_stops_in_order() {
    let namespace = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL"];
    if !works(&[&namespace[..], &["true"][..]].concat()) {
        return;
    }
    for (signal, front) in [(Signal::TERM, Front::Script), (Signal::INT, Front::Binary), (Signal::HUP, Front::Script)] {
        let folder = TempDir::new().unwrap();
        let home = Home::new(folder.path());
        let mut plan = Plan::new(&config(&SLOW, 19));
        plan.front = front;
        plan.output = Output::Files;
        plan.through = namespace.map(str::to_owned).to_vec();
        let mut daemon = Daemon::start(&home, &plan);
        wait::until(READY_LIMIT, "an order on the book", || ledger(&home).open().next().map(|_| ())).unwrap();
        let written = std::fs::read_to_string(home.state().join("lastorders.pid")).unwrap();
        assert_eq!(written.trim(), "1");
        // In a namespace of its own a process 1 without a handler does not even notice.
        kill_process(only_child(daemon.pid()).expect("it runs"), signal).unwrap();
        let exit = daemon.wait_exit(EXIT_LIMIT).unwrap();
        drop(daemon);
        let mut outcome = Outcome::default();
        settle(&mut outcome, &home, exit, false);
        assert_eq!(outcome.findings, Vec::<String>::new(), "{signal:?}\n{}", home.printed());
    }
}

#[test]
fn a_directory_that_others_may_enter_is_closed_to_them() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    std::fs::create_dir(home.state()).unwrap();
    let set_mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    set_mode(&home.state(), 0o777).unwrap();
    let plan = Plan::new(&config(&CALM, 21));
    let mut outcome = Outcome::default();
    again(&mut outcome, &home, &plan, false).unwrap();
    for name in ["journal", "paper", "state.json"] {
        set_mode(&home.state().join(name), 0o777).unwrap();
    }
    again(&mut outcome, &home, &plan, false).unwrap();
    let open: Vec<_> = outcome.findings.iter().filter(|finding| !finding.contains("state.prev.json")).collect();
    assert!(open.is_empty(), "{open:?}\n{}", home.printed());
    read_state(&home.state().join("state.json")).unwrap();
}
