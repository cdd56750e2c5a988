//! Real processes: the binary is started, told to stop in every way at drawn moments, and judged by the exchange's
//! ledger.
//!
//! A set of stops counts only if it met enough: at least five states of orders at the signals, `SENT`, `UNKNOWN` and
//! `PENDING_CANCEL` among them, and a fault that struck after a signal. What it met is printed, with the seed.

#![allow(clippy::print_stdout, reason = "seed and histogram are read with --nocapture, and shown when a test fails")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::chance::{Chance, seed};
use crate::harness::daemon::{Daemon, Exit, Front, Home, Output, Plan, Whom};
use crate::harness::wait::{self, Watch};
use crate::oracle::files::{Journal, read_state, states_recorded};
use crate::oracle::ledger::Ledger;
use crate::oracle::verdict::{Run, judge, judge_unborn, ours};

const VENUE: &str = "main";
const INSTANCE: &str = "a1b2";
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The stop's own 40 s, and what a busy machine adds.
const EXIT_LIMIT: Duration = Duration::from_secs(75);
const AT_ONCE: usize = 8;

/// How the built-in market treats us: keys of `[venue.sim]` and of `[venue.sim.faults]`.
struct Market {
    name: &'static str,
    sim: &'static str,
    faults: &'static str,
}

const CALM: Market = Market { name: "calm", sim: "", faults: "" };
const SLOW: Market = Market {
    name: "slow",
    sim: "latency_ms = 40\nlatency_jitter_ms = 80\nbatch_cancel_max = 0",
    faults: "slow_cancel = 300",
};
const LOSSY: Market = Market {
    name: "lossy",
    sim: "latency_ms = 15\nlatency_jitter_ms = 40",
    faults: "answer_lost = 120\nserver_error = 60\nlost_push = 100\nduplicate_push = 100\nnot_found = 60\nslow_cancel = 200",
};
const MESSY: Market = Market {
    name: "messy",
    sim: "latency_ms = 10\nlatency_jitter_ms = 20\nbatch_cancel_max = 4",
    faults: "partial_batch = 400\nshuffled_batch = 400\nstale_listing = 150\nbroken_listing = 80\nrate_limited = 80\n\
             late_execution = 60",
};
const SYNCHRONOUS: Market = Market {
    name: "synchronous",
    sim: "latency_ms = 5\nsynchronous_cancel = true\ncancels_per_second = 40",
    faults: "answer_lost = 40",
};

/// A signal, so long after the one before it.
type Blow = (u64, Whom, Signal);

/// How a daemon is run and told to stop, and how often that is tried.
struct Scenario {
    name: &'static str,
    market: &'static Market,
    front: Front,
    output: Output,
    blows: &'static [Blow],
    /// The last blow falls again so often, so far apart.
    then: (usize, u64),
    tries: usize,
}

const fn scenario(name: &'static str, market: &'static Market, blows: &'static [Blow], tries: usize) -> Scenario {
    Scenario { name, market, front: Front::Binary, output: Output::Files, blows, then: (0, 0), tries }
}

const TERM_RUN: &[Blow] = &[(0, Whom::Run, Signal::TERM)];
const TERM_TRADER: &[Blow] = &[(0, Whom::Trader, Signal::TERM)];
const INT_RUN: &[Blow] = &[(0, Whom::Run, Signal::INT)];
const CTRL_C: &[Blow] = &[(0, Whom::Group, Signal::INT)];
const INT_TRADER: &[Blow] = &[(0, Whom::Trader, Signal::INT)];
const HANG_UP: &[Blow] = &[(0, Whom::Run, Signal::HUP)];
const TERM_THRICE: &[Blow] =
    &[(0, Whom::Run, Signal::TERM), (1_200, Whom::Trader, Signal::TERM), (1_200, Whom::Run, Signal::TERM)];
const TERM_THEN_INT: &[Blow] = &[(0, Whom::Run, Signal::TERM), (300, Whom::Trader, Signal::INT)];

const SCENARIOS: &[Scenario] = &[
    scenario("TERM to run", &CALM, TERM_RUN, 10),
    scenario("TERM to run", &SLOW, TERM_RUN, 8),
    scenario("TERM to run", &LOSSY, TERM_RUN, 14),
    scenario("TERM to run", &MESSY, TERM_RUN, 8),
    scenario("TERM to run", &SYNCHRONOUS, TERM_RUN, 4),
    scenario("TERM to the trader", &SLOW, TERM_TRADER, 6),
    scenario("TERM to the trader", &LOSSY, TERM_TRADER, 8),
    scenario("INT to run", &LOSSY, INT_RUN, 6),
    scenario("INT to the trader", &MESSY, INT_TRADER, 4),
    scenario("Ctrl-C in a terminal", &SLOW, CTRL_C, 6),
    scenario("terminal closed", &CALM, HANG_UP, 4),
    scenario("TERM three times", &LOSSY, TERM_THRICE, 6),
    scenario("TERM, then INT", &SLOW, TERM_THEN_INT, 4),
    Scenario { then: (99, 10), ..scenario("100 TERM in a second", &SLOW, TERM_RUN, 4) },
    Scenario { then: (99, 10), ..scenario("100 TERM in a second to the trader", &MESSY, TERM_TRADER, 4) },
    Scenario { then: (99, 10), ..scenario("100 INT in a second", &CALM, INT_RUN, 4) },
    Scenario { front: Front::Script, ..scenario("TERM to run_live.sh", &SLOW, TERM_RUN, 6) },
    Scenario { front: Front::Script, ..scenario("Ctrl-C at run_live.sh", &LOSSY, CTRL_C, 4) },
    Scenario { output: Output::NobodyReads, ..scenario("nobody reads", &SLOW, TERM_RUN, 4) },
    Scenario { output: Output::ReaderGone, ..scenario("reader gone", &LOSSY, TERM_RUN, 4) },
];

fn config(market: &Market, seed: u64) -> String {
    let Market { sim, faults, .. } = market;
    format!(
        r#"instance = "{INSTANCE}"

[[venue]]
name = "{VENUE}"
kind = "sim"
symbols = ["BTC-USDT"]

[venue.sim]
seed = {seed}
activity = 8000
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

/// Starts, waits for a drawn moment, strikes, waits for the end, judges; then starts and stops once more in the same
/// directory.
fn play(scenario: &Scenario, number: u64, set_seed: u64) -> Result<Outcome, String> {
    let mut chance = Chance::new(set_seed, number);
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let home = Home::new(folder.path());
    let mut plan = Plan::new(&config(scenario.market, chance.below(1 << 40)));
    plan.front = scenario.front;
    plan.output = scenario.output;
    plan.own_group = scenario.blows.iter().any(|(_, whom, _)| *whom == Whom::Group);
    if scenario.output == Output::NobodyReads {
        plan.environment.push(("RUST_LOG", "lastorders=trace".to_owned()));
    }
    let mut daemon = Daemon::start(&home, &plan);
    // One in four falls into the start, the others into trading.
    let moment_ms = if chance.below(4) == 0 {
        chance.below(400)
    } else {
        daemon.wait_ready(READY_LIMIT)?;
        20 + chance.below(2_500)
    };
    wait::let_pass(Duration::from_millis(moment_ms));
    let mut outcome = Outcome { was_ready: daemon.is_ready(), ..Outcome::default() };
    let state_before = read_state(&home.state().join("state.json")).ok();
    let struck_us = wait::wall_us();
    let watch = Watch::start();
    // A segment may be deleted before the end, and what was on its way to the disk is only there after it: both looks
    // together tell what the signal met.
    let mut journal = Journal::default();
    strike(&mut daemon, scenario, || journal = Journal::read(&home.state().join("journal"), false));
    let exit = daemon.wait_exit(EXIT_LIMIT)?;
    outcome.took = watch.read();
    drop(daemon);
    journal.records.extend(Journal::read(&home.state().join("journal"), false).records);
    for name in states_recorded(state_before.as_ref(), &journal, &rfc3339(struck_us)).into_values() {
        *outcome.states.entry(name).or_default() += 1;
    }
    if !outcome.was_ready && !home.state().join("state.json").exists() {
        // Before it could take the signal over, or before it owned anything.
        outcome.findings = judge_unborn(&home.state(), &[VENUE]);
        if exit.code != Some(0) && exit.signal.is_none() {
            outcome.findings.push(format!("it had not begun and ended with {exit:?}"));
        }
    } else {
        outcome.was_born = true;
        settle(&mut outcome, &home, exit, false);
        let beginning = ours(&home.state()).unwrap_or_default();
        let ledger = Ledger::read(&home.state().join(format!("paper/{VENUE}.jsonl")), &beginning);
        outcome.faults = ledger.faults_since(struck_us / 1_000);
    }
    if outcome.findings.is_empty() && number.is_multiple_of(4) {
        again(&mut outcome, &home, &plan, false)?;
    }
    let printed = if outcome.findings.is_empty() { String::new() } else { home.printed() };
    outcome.findings.extend((!printed.is_empty()).then_some(printed));
    Ok(outcome)
}

/// All blows of the scenario. `meanwhile` is done right after the first.
fn strike(daemon: &mut Daemon, scenario: &Scenario, meanwhile: impl FnOnce()) {
    let mut meanwhile = Some(meanwhile);
    for (after_ms, whom, signal) in scenario.blows {
        wait::let_pass(Duration::from_millis(*after_ms));
        daemon.signal(*whom, *signal);
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
    }
    let (more, every_ms) = scenario.then;
    let Some((_, whom, signal)) = scenario.blows.last() else { return };
    for _ in 0..more {
        wait::let_pass(Duration::from_millis(every_ms));
        if !daemon.signal(*whom, *signal) {
            return;
        }
    }
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

/// As the daemon writes times.
fn rfc3339(wall_us: i64) -> String {
    // A time of today fits.
    let stamp = jiff::Timestamp::from_millisecond(wall_us / 1_000).expect("a time of today");
    format!("{stamp:.3}")
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

#[test]
fn a_stop_at_any_moment_leaves_nothing_behind() {
    let set_seed = seed();
    println!("LASTORDERS_TEST_SEED={set_seed}");
    let plays: Vec<&Scenario> =
        SCENARIOS.iter().flat_map(|scenario| std::iter::repeat_n(scenario, scenario.tries)).collect();
    assert!(plays.len() >= 100, "{} moments are too few", plays.len());
    let watch = Watch::start();
    let outcomes = play_all(plays.len(), |number| (number, play(plays[number], number as u64, set_seed)));
    let mut met = Met::default();
    for (number, outcome) in outcomes {
        let Scenario { name, market, .. } = plays[number];
        met.add(&format!("stop {number} ({name}, {} market)", market.name), outcome);
    }
    met.print(watch.read());
    assert!(met.failures.is_empty(), "seed {set_seed}:\n{}", met.failures.join("\n"));
    assert_eq!(met.too_little(), Vec::<String>::new(), "seed {set_seed}");
}

/// Killed without a word while orders rest; the next start must find and cancel them and book what it missed.
fn play_kill(number: u64, set_seed: u64) -> Result<(Outcome, usize), String> {
    let mut chance = Chance::new(set_seed, 1_000 + number);
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let home = Home::new(folder.path());
    let markets = [&CALM, &SLOW, &LOSSY, &MESSY];
    let plan = Plan::new(&config(markets[(number % 4) as usize], chance.below(1 << 40)));
    let beginning = format!("lo{INSTANCE}");
    let read = || Ledger::read(&home.state().join(format!("paper/{VENUE}.jsonl")), &beginning);
    let mut daemon = Daemon::start(&home, &plan);
    daemon.wait_ready(READY_LIMIT)?;
    wait::until(READY_LIMIT, "an order on the book", || read().open().next().map(|_| ()))?;
    wait::let_pass(Duration::from_millis(chance.below(1_500)));
    daemon.kill();
    drop(daemon);
    let left: Vec<String> = read().open().map(|(id, _)| id.clone()).collect();
    let mut outcome = Outcome::default();
    let mut daemon = Daemon::start(&home, &plan);
    daemon.wait_ready(READY_LIMIT)?;
    let status = home.command(&["status", "--ready"]).map_err(|error| error.to_string())?;
    if !status.status.success() {
        outcome.findings.push(format!("ready by its pid file, and `status --ready` ends with {}", status.status));
    }
    let after = read();
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

#[test]
fn a_second_start_is_refused_and_the_first_goes_on() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let plan = Plan::new(&config(&CALM, 1));
    let mut first = Daemon::start(&home, &plan);
    first.wait_ready(READY_LIMIT).unwrap();
    let mut second = Daemon::start(&home, &plan);
    assert_eq!(second.wait_exit(EXIT_LIMIT).unwrap().code, Some(4), "{}", home.printed());
    drop(second);
    assert!(first.signal(Whom::Trader, Signal::TERM), "the first has ended");
    let exit = first.wait_exit(EXIT_LIMIT).unwrap();
    let mut outcome = Outcome::default();
    settle(&mut outcome, &home, exit, false);
    assert_eq!(outcome.findings, Vec::<String>::new(), "{}", home.printed());
}

/// The rules about what a set must have met are rules too.
#[test]
fn a_set_that_met_too_little_does_not_count() {
    let states = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    let met = |names: &[&str], faults: &[&str], fills| Met {
        states: states(names),
        faults: states(faults),
        fills,
        ..Met::default()
    };
    let all = ["SENT", "UNKNOWN", "PENDING_CANCEL", "OPEN", "NEW"];
    assert_eq!(met(&all, &["answer_lost"], 1).too_little(), Vec::<String>::new());
    assert_eq!(met(&all[1..], &["answer_lost"], 1).too_little().len(), 2);
    assert_eq!(met(&all[..4], &["answer_lost"], 1).too_little(), ["only 4 states were present at the signals"]);
    assert_eq!(met(&all, &[], 1).too_little(), ["no fault struck after a signal"]);
    assert_eq!(met(&all, &["answer_lost"], 0).too_little(), ["nothing was ever filled"]);
    let unborn = Met { stops: 100, born: 49, ..met(&all, &["answer_lost"], 1) };
    assert_eq!(unborn.too_little(), ["only 49 of 100 stops met a daemon that had begun"]);
}
