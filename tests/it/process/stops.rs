//! Stops at drawn moments, by every signal and every way there is.

use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    BUSY, CALM, EXIT_LIMIT, LOSSY, MESSY, Market, Met, Outcome, READY_LIMIT, SLOW, SYNCHRONOUS, VENUE, again, config,
    ledger, play_all, settle,
};
use crate::harness::chance::{Chance, seed};
use crate::harness::daemon::{Daemon, Front, Home, Output, Plan, Whom};
use crate::harness::wait::{self, Watch};
use crate::oracle::files::{Journal, read_state, states_recorded};
use crate::oracle::verdict::judge_unborn;

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
    scenario("TERM to run", &CALM, TERM_RUN, 4),
    scenario("TERM to run", &BUSY, TERM_RUN, 12),
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
    Scenario { front: Front::Script, ..scenario("run_live.sh's terminal closed", &BUSY, HANG_UP, 4) },
    Scenario { front: Front::Script, then: (99, 10), ..scenario("100 TERM to run_live.sh", &LOSSY, TERM_RUN, 4) },
    Scenario { front: Front::Script, ..scenario("Ctrl-C at run_live.sh", &LOSSY, CTRL_C, 4) },
    Scenario { output: Output::NobodyReads, ..scenario("nobody reads", &SLOW, TERM_RUN, 4) },
    Scenario { output: Output::ReaderGone, ..scenario("reader gone", &LOSSY, TERM_RUN, 4) },
];

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
    // One in eight falls into the very first steps, one in eight into the rest of the start, the others into trading.
    let moment_ms = match chance.below(8) {
        0 => chance.below(15),
        1 => chance.below(600),
        _ => {
            daemon.wait_ready(READY_LIMIT)?;
            20 + chance.below(2_500)
        }
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
        outcome.faults = ledger(&home).faults_since(struck_us / 1_000);
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

/// As the daemon writes times.
fn rfc3339(wall_us: i64) -> String {
    // A time of today fits.
    let stamp = jiff::Timestamp::from_millisecond(wall_us / 1_000).expect("a time of today");
    format!("{stamp:.3}")
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
