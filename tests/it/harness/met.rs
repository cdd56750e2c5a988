//! Playing many stops, a few at once, and what the whole set met.
//!
//! A set counts only if it met enough: at least five states of orders at the signals, `SENT`, `UNKNOWN` and
//! `PENDING_CANCEL` among them, and a fault that struck after a signal.

#![allow(clippy::print_stdout, reason = "the histogram is read with --nocapture, and shown when a test fails")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a stop met and how it ended.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) findings: Vec<String>,
    /// Orders by state when the first signal was sent.
    pub(crate) states: BTreeMap<String, u32>,
    /// Faults the exchange struck from the first signal on.
    pub(crate) faults: BTreeMap<String, u32>,
    pub(crate) was_ready: bool,
    pub(crate) was_born: bool,
    pub(crate) fills: usize,
    pub(crate) took: Duration,
}

/// Plays every number from 0, so many at once.
pub(crate) fn play_all<T: Send>(count: usize, at_once: usize, play: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(count) {
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
pub(crate) struct Met {
    /// In how many stops an order in that state was present at the signal.
    pub(crate) states: BTreeMap<String, u32>,
    pub(crate) faults: BTreeMap<String, u32>,
    pub(crate) failures: Vec<String>,
    pub(crate) stops: usize,
    pub(crate) ready: usize,
    pub(crate) born: usize,
    pub(crate) fills: usize,
    pub(crate) slowest: Duration,
}

impl Met {
    pub(crate) fn add(&mut self, what: &str, outcome: Result<Outcome, String>) {
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

    pub(crate) fn print(&self, took: Duration) {
        let stops = self.stops;
        println!("{stops} stops in {:.1} s, the slowest {:.1} s", took.as_secs_f64(), self.slowest.as_secs_f64());
        println!("{} were ready, {} had begun, {} fills in all", self.ready, self.born, self.fills);
        println!("stops by state present at the signal: {:?}", self.states);
        println!("faults after the signal: {:?}", self.faults);
    }

    /// What the set did not meet and had to.
    pub(crate) fn too_little(&self) -> Vec<String> {
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
