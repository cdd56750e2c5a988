//! Real processes: the binary is started, told to stop in every way at drawn moments, starved, killed and lied to, and
//! judged by the exchange's ledger.
//!
//! A set of stops counts only if it met enough: at least five states of orders at the signals, `SENT`, `UNKNOWN` and
//! `PENDING_CANCEL` among them, and a fault that struck after a signal. What it met is printed, with the seed.

#![allow(clippy::print_stdout, reason = "seed and histogram are read with --nocapture, and shown when a test fails")]

mod commands;
mod damage;
mod kills;
mod stops;
mod surroundings;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::daemon::{Daemon, Exit, Home, Plan, Whom};
use crate::oracle::ledger::Ledger;
use crate::oracle::verdict::{Run, judge};

const VENUE: &str = "main";
const INSTANCE: &str = "a1b2";
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The stop's own 40 s, and what a busy machine adds.
const EXIT_LIMIT: Duration = Duration::from_secs(75);
const AT_ONCE: usize = 8;

/// How the built-in market treats us: keys of `[venue.sim]` and of `[venue.sim.faults]`.
struct Market {
    name: &'static str,
    /// How busy the crowd is: the busier, the more orders are filled bit by bit.
    activity: u32,
    sim: &'static str,
    faults: &'static str,
}

const CALM: Market = Market { name: "calm", activity: 2_000, sim: "", faults: "" };
const BUSY: Market = Market { name: "busy", activity: 20_000, sim: "latency_ms = 3", faults: "lost_push = 50" };
const SLOW: Market = Market {
    name: "slow",
    activity: 8_000,
    sim: "latency_ms = 40\nlatency_jitter_ms = 80\nbatch_cancel_max = 0",
    faults: "slow_cancel = 300",
};
const LOSSY: Market = Market {
    name: "lossy",
    activity: 8_000,
    sim: "latency_ms = 15\nlatency_jitter_ms = 40",
    faults: "answer_lost = 120\nserver_error = 60\nlost_push = 100\nduplicate_push = 100\nnot_found = 60\nslow_cancel = 200",
};
const MESSY: Market = Market {
    name: "messy",
    activity: 8_000,
    sim: "latency_ms = 10\nlatency_jitter_ms = 20\nbatch_cancel_max = 4",
    faults: "partial_batch = 400\nshuffled_batch = 400\nstale_listing = 150\nbroken_listing = 80\nrate_limited = 80\n\
             late_execution = 60",
};
const SYNCHRONOUS: Market = Market {
    name: "synchronous",
    activity: 8_000,
    sim: "latency_ms = 5\nsynchronous_cancel = true\ncancels_per_second = 40",
    faults: "answer_lost = 40",
};

fn config(market: &Market, seed: u64) -> String {
    let Market { activity, sim, faults, .. } = market;
    format!(
        r#"instance = "{INSTANCE}"

[[venue]]
name = "{VENUE}"
kind = "sim"
symbols = ["BTC-USDT"]

[venue.sim]
seed = {seed}
activity = {activity}
{sim}

[venue.sim.faults]
{faults}

[[strategy]]
name = "mm"
kind = "market_maker"
symbols = ["BTC-USDT"]
levels = 4
spread_bps = "6"
level_step_bps = "3"
order_qty = "0.02"
max_position_qty = "1"
skew_bps = "2"
requote_bps = "2"

[[strategy]]
name = "rungs"
kind = "ladder"
symbols = ["BTC-USDT"]
side = "both"
start_offset_bps = "4"
step = "5"
rungs = 5
order_qty = "1"

[risk]
max_order_notional = "200000"
max_position_notional = "10000000"
max_open_orders = 60
max_orders_per_second = 200
max_daily_loss = "1000000"
"#
    )
}

/// What the exchange says.
fn ledger(home: &Home) -> Ledger {
    Ledger::read(&home.ledger(VENUE), &format!("lo{INSTANCE}"))
}

/// What a stop met and how it ended.
#[derive(Default)]
struct Outcome {
    findings: Vec<String>,
    /// Orders by state when the first signal was sent.
    states: BTreeMap<String, u32>,
    /// Faults the exchange struck from the first signal on.
    faults: BTreeMap<String, u32>,
    was_ready: bool,
    was_born: bool,
    fills: usize,
    took: Duration,
}

/// An exit code of 0, and everything as it must be.
fn settle(outcome: &mut Outcome, home: &Home, exit: Exit, was_killed: bool) {
    if exit.code != Some(0) {
        outcome.findings.push(format!("it ended with {exit:?}"));
    }
    let exit_code = exit.code.unwrap_or(-1);
    let verdict = judge(Run { folder: &home.state(), venues: &[VENUE], exit_code, was_killed });
    outcome.findings.extend(verdict.findings);
    outcome.fills = verdict.fills;
}

/// A start at once in the same directory, and a stop.
fn again(outcome: &mut Outcome, home: &Home, plan: &Plan, was_killed: bool) -> Result<(), String> {
    let mut daemon = Daemon::start(home, plan);
    daemon.wait_ready(READY_LIMIT)?;
    daemon.signal(Whom::Run, Signal::TERM);
    let exit = daemon.wait_exit(EXIT_LIMIT)?;
    drop(daemon);
    settle(outcome, home, exit, was_killed);
    Ok(())
}

/// Plays every number from 0, a few at once.
fn play_all<T: Send>(count: usize, play: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let outcome = play(number);
                    done.lock().expect("no player panics while it holds this").push(outcome);
                }
            });
        }
    });
    done.into_inner().expect("all players have ended")
}

/// What a whole set met.
#[derive(Default)]
struct Met {
    /// In how many stops an order in that state was present at the signal.
    states: BTreeMap<String, u32>,
    faults: BTreeMap<String, u32>,
    failures: Vec<String>,
    stops: usize,
    ready: usize,
    born: usize,
    fills: usize,
    slowest: Duration,
}

impl Met {
    fn add(&mut self, what: &str, outcome: Result<Outcome, String>) {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(why) => return self.failures.push(format!("{what}: {why}")),
        };
        for name in outcome.states.keys() {
            *self.states.entry(name.clone()).or_default() += 1;
        }
        for (word, count) in &outcome.faults {
            *self.faults.entry(word.clone()).or_default() += count;
        }
        self.stops += 1;
        self.ready += usize::from(outcome.was_ready);
        self.born += usize::from(outcome.was_born);
        self.fills += outcome.fills;
        self.slowest = self.slowest.max(outcome.took);
        if !outcome.findings.is_empty() {
            self.failures.push(format!("{what}:\n    {}", outcome.findings.join("\n    ")));
        }
    }

    fn print(&self, took: Duration) {
        let stops = self.stops;
        println!("{stops} stops in {:.1} s, the slowest {:.1} s", took.as_secs_f64(), self.slowest.as_secs_f64());
        println!("{} were ready, {} had begun, {} fills in all", self.ready, self.born, self.fills);
        println!("stops by state present at the signal: {:?}", self.states);
        println!("faults after the signal: {:?}", self.faults);
    }

    /// What the set did not meet and had to.
    fn too_little(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for name in ["SENT", "UNKNOWN", "PENDING_CANCEL"] {
            if !self.states.contains_key(name) {
                findings.push(format!("no order was {name} at any signal"));
            }
        }
        if self.states.len() < 5 {
            findings.push(format!("only {} states were present at the signals", self.states.len()));
        }
        if self.faults.is_empty() {
            findings.push("no fault struck after a signal".to_owned());
        }
        if self.fills == 0 {
            findings.push("nothing was ever filled".to_owned());
        }
        if self.born * 2 < self.stops {
            findings.push(format!("only {} of {} stops met a daemon that had begun", self.born, self.stops));
        }
        findings
    }
}
