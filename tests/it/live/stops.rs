//! SIGTERM while orders rest, at the venue's own pace: nothing is left, nothing is exceeded, the report is true.

use rustix::process::Signal;

use super::judge::{all_were_cancelled, limits_were_kept, settle};
use super::switch;
use super::trader::{Stand, Terms};
use crate::harness::met::{Met, Outcome, play_all};
use crate::harness::wait::Watch;

/// Orders, one way's latency, and whether the account is ours alone.
type Case = (usize, u32, bool);

const CASES: &[Case] = &[
    (1, 0, false),
    (10, 0, false),
    (100, 0, false),
    (1, 50, false),
    (10, 50, false),
    (100, 50, false),
    (100, 50, true),
];
const MORE: &[Case] = &[(300, 0, false), (300, 50, false), (10, 0, true), (300, 0, true), (300, 50, true)];
/// Each is two processes.
const AT_ONCE: usize = 8;

fn play((n_orders, latency_ms, is_exclusive): Case) -> Result<Outcome, String> {
    let terms = Terms { latency_ms, is_exclusive, ..Terms::resting(n_orders) };
    let mut stand = Stand::new(&terms)?;
    stand.start_ready()?;
    stand.wait_open(n_orders)?;
    let struck = stand.signal(Signal::TERM);
    let watch = Watch::start();
    let exit = stand.wait_exit()?;
    let mut outcome = Outcome { took: watch.read(), ..Outcome::default() };
    settle(&mut outcome, &stand, &struck, exit, false);
    let ledger = stand.ledger();
    outcome.findings.extend(limits_were_kept(&ledger));
    outcome.findings.extend(all_were_cancelled(&stand.report()?, n_orders, is_exclusive));
    if ledger.book.orders.len() != n_orders {
        outcome.findings.push(format!("{} orders were placed for {n_orders} rungs", ledger.book.orders.len()));
    }
    let swept = ledger.arrivals.iter().any(|arrival| arrival.path.ends_with("/cancel-all"));
    if swept != is_exclusive {
        outcome.findings.push(format!("cancel-all was used: {swept}; the account is ours alone: {is_exclusive}"));
    }
    if !outcome.findings.is_empty() {
        outcome.findings.push(stand.printed());
    }
    Ok(outcome)
}

#[test]
fn resting_orders_are_all_cancelled_within_the_limits_and_the_report_is_true() {
    let is_full = switch("LASTORDERS_TEST_LIVE").is_some_and(|value| value == "full");
    let more = if is_full { MORE } else { &[] };
    let cases: Vec<Case> = CASES.iter().chain(more).copied().collect();
    let watch = Watch::start();
    let outcomes = play_all(cases.len(), AT_ONCE, |number| (number, play(cases[number])));
    let mut met = Met::default();
    for (number, outcome) in outcomes {
        let (n_orders, latency_ms, is_exclusive) = cases[number];
        let whose = if is_exclusive { "ours alone" } else { "shared" };
        met.add(&format!("{n_orders} orders at {latency_ms} ms, an account {whose}"), outcome);
    }
    met.print(watch.read());
    assert!(met.failures.is_empty(), "{}", met.failures.join("\n"));
    assert_eq!(met.ready, cases.len());
}
