//! Every fault at the moment of the signal, alone and in drawn pairs.
//!
//! Always holds: a stop that ends with 0 has left nothing; one whose venue answered again in time has left nothing; what
//! is left is named, and the next start clears it away; no create is sent twice, no fill is lost or booked twice.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::judge::{settle, settle_residue};
use super::switch;
use super::table::{Ends, FAULTS, Fault};
use super::trader::{Stand, Terms, open_ids};
use crate::harness::chance::{Chance, seed};
use crate::harness::met::{Met, Outcome, play_all};
use crate::harness::wait::{self, Watch};

/// Each is two processes.
const AT_ONCE: usize = 8;
const DRAWN_PAIRS: usize = 20;
/// How long after the signal a venue that comes back does so: well within the budget of a stop.
const HEALED_AFTER: Duration = Duration::from_millis(2_500);
/// The budget where the venue comes back, and where it does not.
const BUDGETS_S: (u32, u32) = (30, 6);
/// A create is signed for three seconds: after this none can be carried out any more.
const LATE_LIMIT: Duration = Duration::from_millis(3_500);

/// How long the signal waits for a fault; beside another it may never strike.
const STRIKE_LIMIT: Duration = Duration::from_secs(10);
/// How many orders rest before anything is done.
const OPEN_MIN: usize = 28;

fn terms(faults: &[&Fault], chance: &mut Chance) -> Terms {
    let comes_back = faults.iter().all(|fault| fault.ends != Ends::Never);
    Terms {
        is_busy: true,
        latency_ms: 5,
        jitter_ms: 20,
        cancel_timeout_s: if comes_back { BUDGETS_S.0 } else { BUDGETS_S.1 },
        market_seed: 1 + chance.below(1 << 40),
        // More contracts than a batch may hold in a second, so that some are cancelled one by one.
        rungs: (8, 16),
        ..Terms::resting(0)
    }
}

fn tell(stand: &Stand, commands: &[&str]) {
    for command in commands {
        let command: Value = serde_json::from_str(command).unwrap_or_else(|error| panic!("{command}: {error}"));
        stand.order(&command);
    }
}

/// Starts, waits until enough rests, strikes, stops, judges; where orders are left, starts once more in peace.
fn play(faults: &[&Fault], number: u64, set_seed: u64) -> Result<Outcome, String> {
    let mut chance = Chance::new(set_seed, number);
    let mut stand = Stand::new(&terms(faults, &mut chance))?;
    stand.start_ready()?;
    stand.wait_open(OPEN_MIN)?;
    wait::let_pass(Duration::from_millis(chance.below(1_500)));
    let mut unmet = Vec::new();
    // Who is waited for comes first: others may keep it from ever striking.
    for fault in faults.iter().filter(|fault| fault.is_awaited) {
        tell(&stand, fault.early);
        if !stand.has_struck(fault.word, STRIKE_LIMIT) {
            unmet.push(fault.word);
        }
        // For the answer, or its absence, to be booked.
        wait::let_pass(Duration::from_millis(100 + chance.below(150)));
    }
    for fault in faults.iter().filter(|fault| !fault.is_awaited) {
        tell(&stand, fault.early);
    }
    let struck = stand.signal(Signal::TERM);
    let watch = Watch::start();
    let late: Vec<&str> = faults.iter().flat_map(|fault| fault.late.iter().copied()).collect();
    tell(&stand, &late);
    let comes_back = faults.iter().all(|fault| fault.ends != Ends::Never);
    if comes_back && faults.iter().any(|fault| fault.ends == Ends::Healed) {
        wait::let_pass(HEALED_AFTER.saturating_sub(watch.read()));
        stand.order(&json!({"command": "heal"}));
    }
    let exit = stand.wait_exit()?;
    let mut outcome = Outcome { took: watch.read(), ..Outcome::default() };
    if faults.iter().any(|fault| fault.is_late) {
        wait::let_pass(LATE_LIMIT);
    }
    if exit.code == Some(3) && !comes_back {
        settle_residue(&mut outcome, &stand, &struck);
        clear_away(&mut outcome, &mut stand)?;
    } else {
        settle(&mut outcome, &stand, &struck, exit, false);
    }
    let unseen = faults.iter().filter(|fault| fault.is_seen_after && !outcome.faults.contains_key(fault.word));
    unmet.extend(unseen.map(|fault| fault.word));
    // Of two, one may take the other's place; alone, it must have been tried.
    if unmet.len() == faults.len() {
        outcome.findings.push(format!("nothing was tried: {unmet:?} never struck"));
    }
    if !outcome.findings.is_empty() {
        outcome.findings.push(stand.printed());
    }
    Ok(outcome)
}

/// The venue is well again: the next start must find what was left, cancel it, and book what was missed.
fn clear_away(outcome: &mut Outcome, stand: &mut Stand) -> Result<(), String> {
    for command in
        [json!({"command": "heal"}), json!({"command": "latency", "ms": 0}), json!({"command": "clock_skew", "ms": 0})]
    {
        stand.order(&command);
    }
    let left = open_ids(&stand.ledger().book);
    stand.start_ready()?;
    let after = stand.ledger();
    let is_open = |id: &&String| after.book.orders.get(*id).is_none_or(|order| order.is_open());
    outcome
        .findings
        .extend(left.iter().filter(is_open).map(|id| format!("{id} was left, and is open when the next run is ready")));
    let struck = stand.signal(Signal::TERM);
    let exit = stand.wait_exit()?;
    let mut second = Outcome::default();
    settle(&mut second, stand, &struck, exit, false);
    outcome.findings.extend(second.findings.into_iter().map(|finding| format!("the run after it: {finding}")));
    outcome.fills = outcome.fills.max(second.fills);
    Ok(())
}

/// Every fault alone, then every pair.
fn all_plays() -> Vec<Vec<&'static Fault>> {
    let mut plays: Vec<Vec<&Fault>> = FAULTS.iter().map(|fault| vec![fault]).collect();
    for (place, first) in FAULTS.iter().enumerate() {
        plays.extend(FAULTS[place + 1..].iter().map(|second| vec![first, second]));
    }
    plays
}

fn name_of(play: &[&Fault]) -> String {
    play.iter().map(|fault| fault.name).collect::<Vec<_>>().join(" + ")
}

/// Which of them are played: each fault alone and some drawn pairs, or all, or one by its name.
fn chosen(plays: &[Vec<&Fault>], set_seed: u64) -> Vec<usize> {
    if let Some(only) = switch("LASTORDERS_TEST_LIVE_FAULT") {
        return (0..plays.len()).filter(|number| name_of(&plays[*number]) == only).collect();
    }
    if switch("LASTORDERS_TEST_LIVE_PAIRS").is_some_and(|which| which == "all") {
        return (0..plays.len()).collect();
    }
    let mut chance = Chance::new(set_seed, u64::MAX);
    let n_pairs = plays.len() - FAULTS.len();
    let mut chosen: Vec<usize> = (0..FAULTS.len()).collect();
    chosen.extend((0..DRAWN_PAIRS).map(|_| FAULTS.len() + chance.below(n_pairs as u64) as usize));
    chosen
}

#[test]
fn each_fault_and_pairs_of_them_at_the_moment_of_the_signal_leave_nothing_or_name_what_they_leave() {
    let rounds: u64 = match switch("LASTORDERS_TEST_LIVE_REPEAT") {
        Some(text) => text.parse().unwrap_or_else(|_| panic!("LASTORDERS_TEST_LIVE_REPEAT is a number, not `{text}`")),
        None => 1,
    };
    let first_seed = seed();
    let plays = all_plays();
    for set_seed in (0..rounds).map(|round| first_seed + round) {
        println!("LASTORDERS_TEST_SEED={set_seed}");
        let chosen = chosen(&plays, set_seed);
        assert!(!chosen.is_empty(), "no fault or pair of faults has this name");
        let watch = Watch::start();
        let outcomes = play_all(chosen.len(), AT_ONCE, |place| {
            let number = chosen[place];
            (number, play(&plays[number], number as u64, set_seed))
        });
        let mut met = Met::default();
        for (number, outcome) in outcomes {
            met.add(&format!("play {number} ({})", name_of(&plays[number])), outcome);
        }
        met.print(watch.read());
        assert!(met.failures.is_empty(), "seed {set_seed}:\n{}", met.failures.join("\n"));
        if chosen.len() > 1 {
            assert_eq!(met.too_little(), Vec::<String>::new(), "seed {set_seed}");
        }
    }
}

#[test]
fn every_fault_of_the_table_is_known_to_the_exchange() {
    let folder = tempfile::TempDir::new().unwrap();
    let exchange = crate::venue::exchange::Exchange::start(folder.path(), &["--activity", "0"]);
    for fault in FAULTS {
        for command in fault.early.iter().chain(fault.late) {
            let command: Value = serde_json::from_str(command).unwrap_or_else(|error| panic!("{command}: {error}"));
            exchange.try_order(&command).unwrap_or_else(|why| panic!("{}: {why}", fault.name));
        }
        exchange.order(&json!({"command": "heal"}));
    }
}
