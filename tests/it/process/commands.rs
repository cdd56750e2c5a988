//! Commands through the real binary: asked by one process, obeyed by another.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{CALM, EXIT_LIMIT, Outcome, READY_LIMIT, SLOW, VENUE, config, ledger, play_all, settle};
use crate::harness::chance::{Chance, seed};
use crate::harness::daemon::{Daemon, Home, Plan, Whom};
use crate::harness::wait;
use crate::oracle::files::read_state;

/// What a command said, and whether it ended with 0.
fn asked(home: &Home, words: &[&str]) -> (bool, String) {
    let output = home.command(words).expect("the binary under test runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

fn n_open(home: &Home) -> usize {
    ledger(home).open().count()
}

fn await_open(home: &Home) {
    wait::until(READY_LIMIT, "an order on the book", || (n_open(home) > 0).then_some(())).unwrap();
}

fn status(home: &Home) -> Value {
    let output = home.command(&["status", "--json"]).expect("the binary under test runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn ready(home: &Home, plan: &Plan) -> Daemon {
    let mut daemon = Daemon::start(home, plan);
    daemon.wait_ready(READY_LIMIT).unwrap();
    daemon
}

fn assert_clean_end(home: &Home, mut daemon: Daemon) {
    let exit = daemon.wait_exit(EXIT_LIMIT).unwrap();
    drop(daemon);
    let mut outcome = Outcome::default();
    settle(&mut outcome, home, exit, false);
    assert_eq!(outcome.findings, Vec::<String>::new(), "{}", home.printed());
}

#[test]
fn a_second_start_is_refused_and_the_first_goes_on() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let plan = Plan::new(&config(&CALM, 1));
    let mut first = ready(&home, &plan);
    let mut second = Daemon::start(&home, &plan);
    assert_eq!(second.wait_exit(EXIT_LIMIT).unwrap().code, Some(4), "{}", home.printed());
    drop(second);
    assert!(first.signal(Whom::Trader, Signal::TERM), "the first has ended");
    assert_clean_end(&home, first);
}

#[test]
fn every_command_does_what_it_says() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    assert!(!asked(&home, &["status"]).0, "nobody is there to answer");
    let daemon = ready(&home, &Plan::new(&config(&CALM, 2)));
    await_open(&home);
    let shown = status(&home);
    assert_eq!((&shown["ready"], &shown["mode"]), (&Value::Bool(true), &Value::from("PAPER")), "{shown}");
    assert_eq!(asked(&home, &["status", "--ready"]), (true, "ready\n".to_owned()));
    assert!(asked(&home, &["status"]).0);

    let (obeyed, said) = asked(&home, &["pause"]);
    assert!(obeyed, "{said}");
    assert_eq!(n_open(&home), 0, "it answered before every order was gone: {said}");
    assert!(!asked(&home, &["status", "--ready"]).0, "a trader on hold is not ready");
    let (obeyed, said) = asked(&home, &["resume"]);
    assert!(obeyed, "{said}");
    await_open(&home);
    let (obeyed, said) = asked(&home, &["pause", "--keep-orders"]);
    assert!(obeyed, "{said}");
    assert!(n_open(&home) > 0, "a pause that keeps orders took them away: {said}");
    assert!(asked(&home, &["resume"]).0);
    let (obeyed, said) = asked(&home, &["cancel-all"]);
    assert!(obeyed, "{said}");
    assert_eq!(n_open(&home), 0, "it answered before every order was gone: {said}");
    assert!(asked(&home, &["resume"]).0);
    await_open(&home);

    let (obeyed, said) = asked(&home, &["stop"]);
    assert!(obeyed && !said.contains("already"), "it was the first to ask: {said}");
    assert_clean_end(&home, daemon);
    assert!(!asked(&home, &["stop"]).0, "nobody is there to stop");
}

#[test]
fn a_restart_keeps_the_process_and_trades_on() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let mut daemon = ready(&home, &Plan::new(&config(&CALM, 3)));
    await_open(&home);
    let before = (home.trader(), status(&home)["epoch"].as_u64());
    let (obeyed, said) = asked(&home, &["restart"]);
    assert!(obeyed, "{said}");
    let trades_again = || {
        let shown = home.command(&["status", "--json"]).ok()?;
        let shown: Value = serde_json::from_slice(&shown.stdout).ok()?;
        (shown["epoch"].as_u64() > before.1 && shown["ready"] == true).then_some(())
    };
    wait::until(READY_LIMIT, "the next run to be ready", trades_again).unwrap();
    assert_eq!(home.trader(), before.0, "a supervisor watches this process");
    await_open(&home);
    daemon.signal(Whom::Run, Signal::TERM);
    assert_clean_end(&home, daemon);
}

/// Who asks for a stop wants an end, also when somebody has just asked for a restart.
fn stop_during_restart(number: u64, set_seed: u64) -> Result<(), String> {
    let mut chance = Chance::new(set_seed, 2_000 + number);
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let home = Home::new(folder.path());
    let mut daemon = Daemon::start(&home, &Plan::new(&config(&SLOW, chance.below(1 << 40))));
    daemon.wait_ready(READY_LIMIT)?;
    wait::let_pass(Duration::from_millis(chance.below(400)));
    let (obeyed, said) = asked(&home, &["restart"]);
    if !obeyed {
        return Err(format!("the restart was refused: {said}"));
    }
    let by_command = number.is_multiple_of(3);
    if number % 3 == 1 {
        // The last moment: nobody listens to the signals' thread any more.
        let closed = || home.printed().contains("Step 9/11").then_some(());
        wait::until(EXIT_LIMIT, "the last steps", closed)?;
    } else {
        wait::let_pass(Duration::from_millis(chance.below(1_200)));
    }
    if by_command {
        // Between two runs there is nobody to hear it, and it says so.
        let stopped = || asked(&home, &["stop"]).0.then_some(());
        wait::until(READY_LIMIT, "somebody to take the stop", stopped)?;
    } else {
        daemon.signal(Whom::Run, Signal::TERM);
    }
    let exit = daemon.wait_exit(EXIT_LIMIT)?;
    drop(daemon);
    let ended_between_two_runs = !by_command && exit.signal == Some(Signal::TERM.as_raw());
    if exit.code != Some(0) && !ended_between_two_runs {
        return Err(format!("it ended with {exit:?}\n{}", home.printed()));
    }
    let open = n_open(&home);
    let state = read_state(&home.state().join("state.json"))?;
    match state["orders"]["open"].as_object() {
        Some(known) if open == 0 && known.is_empty() => Ok(()),
        known => Err(format!("{open} orders rest at {VENUE}, the state knows {known:?}")),
    }
}

#[test]
fn a_stop_during_a_restart_stays_a_stop() {
    const TRIES: usize = 18;
    let set_seed = seed();
    println!("LASTORDERS_TEST_SEED={set_seed}");
    let failures: Vec<String> = play_all(TRIES, |number| (number, stop_during_restart(number as u64, set_seed)))
        .into_iter()
        .filter_map(|(number, played)| played.err().map(|why| format!("restart {number}: {why}")))
        .collect();
    assert!(failures.is_empty(), "seed {set_seed}:\n{}", failures.join("\n"));
}
