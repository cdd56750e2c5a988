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

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::daemon::{Daemon, Exit, Home, Plan, Whom};
use crate::harness::met::{self, Met, Outcome};
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
    met::play_all(count, AT_ONCE, play)
}
