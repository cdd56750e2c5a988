//! Killed in LIVE without a word, with orders on the book and creates under way: the next start, in the same directory,
//! finds all of it before it trades.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::judge::settle;
use super::trader::{Stand, Terms, open_ids};
use crate::harness::chance::{Chance, seed};
use crate::harness::met::{Met, Outcome, play_all};
use crate::harness::wait::{self, Watch};

const KILLS: usize = 6;
const AT_ONCE: usize = 6;
/// Rests before the kill; the ladders go on growing.
const OPEN_MIN: usize = 15;

/// What a kill left, and how the next run ended.
struct Left {
    outcome: Outcome,
    n_orders: usize,
    /// Creates the exchange heard of, or carried out, only after the kill.
    n_late: usize,
}

fn play(number: u64, set_seed: u64) -> Result<Left, String> {
    let mut chance = Chance::new(set_seed, 5_000 + number);
    let terms = Terms {
        is_busy: number.is_multiple_of(2),
        latency_ms: 40,
        jitter_ms: 30,
        market_seed: 1 + chance.below(1 << 40),
        // More than can stand when the kill comes: creates are always under way.
        ..Terms::resting(120)
    };
    let mut stand = Stand::new(&terms)?;
    stand.start_ready()?;
    stand.wait_open(OPEN_MIN)?;
    wait::let_pass(Duration::from_millis(chance.below(1_500)));
    if number % 3 == 1 {
        stand.order(
            &json!({"command": "plan", "on": "create", "fault": {"late_execution": {"after_ms": 1_500}}, "times": 3}),
        );
        wait::let_pass(Duration::from_millis(200 + chance.below(200)));
    }
    stand.kill();
    let before = stand.ledger();
    let watch = Watch::start();
    stand.start_ready()?;
    let after = stand.ledger();
    let mut outcome = Outcome::default();
    // Whatever of the first run the exchange has taken, and be it after the kill: none of it may rest now.
    let first: BTreeSet<&String> = before.book.asked.iter().chain(before.book.orders.keys()).collect();
    let by_first = |id: &&String| first.contains(id) || epoch_of(id) == first.iter().next().and_then(|id| epoch_of(id));
    let late: BTreeSet<&String> =
        after.book.orders.keys().filter(|id| !before.book.orders.contains_key(*id)).filter(by_first).collect();
    let still_open = open_ids(&after.book);
    outcome.findings.extend(
        still_open
            .iter()
            .filter(by_first)
            .map(|id| format!("{id} was left by the kill and rests when the next run is ready")),
    );
    let n_orders = open_ids(&before.book).len();
    let n_late = late.len();
    let struck = stand.signal(Signal::TERM);
    let exit = stand.wait_exit()?;
    outcome.took = watch.read();
    settle(&mut outcome, &stand, &struck, exit, true);
    if !outcome.findings.is_empty() {
        outcome.findings.push(stand.printed());
    }
    Ok(Left { outcome, n_orders, n_late })
}

/// Which run a client id is from: it tells so itself.
fn epoch_of(id: &str) -> Option<&str> {
    id.get(6..11)
}

#[test]
fn what_a_kill_leaves_at_the_venue_is_cleared_away_before_the_next_run_trades() {
    let set_seed = seed();
    println!("LASTORDERS_TEST_SEED={set_seed}");
    let watch = Watch::start();
    let (mut n_orders, mut n_late) = (0, 0);
    let mut met = Met::default();
    for (number, left) in play_all(KILLS, AT_ONCE, |number| (number, play(number as u64, set_seed))) {
        let outcome = left.map(|left| {
            n_orders += left.n_orders;
            n_late += left.n_late;
            left.outcome
        });
        met.add(&format!("kill {number}"), outcome);
    }
    met.print(watch.read());
    println!("{KILLS} kills left {n_orders} orders on the book, and {n_late} creates that came after the kill");
    assert!(met.failures.is_empty(), "seed {set_seed}:\n{}", met.failures.join("\n"));
    assert!(n_orders >= KILLS * OPEN_MIN, "seed {set_seed}: a kill left too little to be found");
    assert!(n_late > 0, "seed {set_seed}: no create was under way at any kill");
}
