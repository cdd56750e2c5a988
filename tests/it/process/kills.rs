//! Killed without a word: what the next start makes of it.

use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{CALM, EXIT_LIMIT, LOSSY, MESSY, Met, Outcome, READY_LIMIT, SLOW, again, config, ledger, play_all, settle};
use crate::harness::chance::{Chance, seed};
use crate::harness::daemon::{Daemon, Home, Plan, Whom};
use crate::harness::wait;

/// Killed without a word while orders rest; the next start must find and cancel them and book what it missed.
fn play_kill(number: u64, set_seed: u64) -> Result<(Outcome, usize), String> {
    let mut chance = Chance::new(set_seed, 1_000 + number);
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let home = Home::new(folder.path());
    let markets = [&CALM, &SLOW, &LOSSY, &MESSY];
    let plan = Plan::new(&config(markets[(number % 4) as usize], chance.below(1 << 40)));
    let mut daemon = Daemon::start(&home, &plan);
    daemon.wait_ready(READY_LIMIT)?;
    wait::until(READY_LIMIT, "an order on the book", || ledger(&home).open().next().map(|_| ()))?;
    wait::let_pass(Duration::from_millis(chance.below(1_500)));
    daemon.kill();
    drop(daemon);
    let left: Vec<String> = ledger(&home).open().map(|(id, _)| id.clone()).collect();
    let mut outcome = Outcome::default();
    let mut daemon = Daemon::start(&home, &plan);
    daemon.wait_ready(READY_LIMIT)?;
    let status = home.command(&["status", "--ready"]).map_err(|error| error.to_string())?;
    if !status.status.success() {
        outcome.findings.push(format!("ready by its pid file, and `status --ready` ends with {}", status.status));
    }
    let after = ledger(&home);
    for id in left.iter().filter(|id| after.orders.get(*id).is_none_or(|order| order.is_open())) {
        outcome.findings.push(format!("{id} was left by the kill and is still open when the next run is ready"));
    }
    daemon.signal(Whom::Run, Signal::TERM);
    let exit = daemon.wait_exit(EXIT_LIMIT)?;
    drop(daemon);
    settle(&mut outcome, &home, exit, true);
    Ok((outcome, left.len()))
}

#[test]
fn what_a_kill_leaves_is_found_and_cancelled_by_the_next_start() {
    const KILLS: usize = 12;
    let set_seed = seed();
    println!("LASTORDERS_TEST_SEED={set_seed}");
    let outcomes = play_all(KILLS, |number| (number, play_kill(number as u64, set_seed)));
    let mut met = Met::default();
    let mut n_left = 0;
    for (number, outcome) in outcomes {
        let outcome = outcome.map(|(outcome, left)| {
            n_left += left;
            outcome
        });
        met.add(&format!("kill {number}"), outcome);
    }
    println!("{KILLS} kills left {n_left} orders open");
    assert!(met.failures.is_empty(), "seed {set_seed}:\n{}", met.failures.join("\n"));
    assert!(n_left > 0, "seed {set_seed}: no kill left an order behind, so nothing was tried");
}

/// Killed again and again before it gets anywhere, then started in peace.
#[test]
fn fifty_kills_during_the_start_hurt_nothing() {
    const KILLS: u64 = 50;
    let set_seed = seed();
    println!("LASTORDERS_TEST_SEED={set_seed}");
    let mut chance = Chance::new(set_seed, 3_000);
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let plan = Plan::new(&config(&CALM, 5));
    for number in 0..KILLS {
        let mut daemon = Daemon::start(&home, &plan);
        // Some get as far as the first orders.
        let longest_ms = if number.is_multiple_of(10) { 1_500 } else { 60 };
        wait::let_pass(Duration::from_millis(chance.below(longest_ms)));
        daemon.kill();
    }
    let mut outcome = Outcome::default();
    again(&mut outcome, &home, &plan, true).unwrap_or_else(|why| panic!("seed {set_seed}: {why}"));
    assert_eq!(outcome.findings, Vec::<String>::new(), "seed {set_seed}:\n{}", home.printed());
}
