//! The verdict over a stop in LIVE: the ledger of the exchange, the report, the state and the journal must tell the same
//! story.

use std::collections::BTreeSet;

use serde_json::Value;

use super::trader::{Stand, Struck, VENUE};
use crate::harness::daemon::Exit;
use crate::harness::met::Outcome;
use crate::oracle::verdict::{Books, Run, judge_by, judge_residue};
use crate::venue::ledger::{self, VenueLedger};

/// Most in any second, by path: on spot, on contracts. As the venue publishes it for an ordinary account.
const LIMITS: [(&str, usize, usize); 4] = [
    ("/v5/order/create", 20, 10),
    ("/v5/order/cancel", 20, 10),
    ("/v5/order/cancel-batch", 20, 10),
    ("/v5/order/cancel-all", 20, 10),
];
/// Of every list.
const READS_MAX: usize = 50;
const RATE_LIMITED: i64 = 10_006;

/// The daemon keeps the two sides of a trade apart by the order: `EXEC:ORDER`.
pub(super) fn trade_of(name: &str) -> Option<String> {
    ledger::trade_of(name.rsplit_once(':').map_or(name, |(exec_id, _)| exec_id))
}

/// What a run left must be as it is after a clean end: nothing open, everything booked, the report true.
pub(super) fn settle(outcome: &mut Outcome, stand: &Stand, struck: &Struck, exit: Exit, was_killed: bool) {
    if exit.code != Some(0) {
        outcome.findings.push(format!("it ended with {exit:?}"));
    }
    let ledger = stand.ledger();
    let books = [Books { venue: VENUE, ledger: &ledger.book, trade_of }];
    let run = Run { folder: &stand.state(), venues: &[VENUE], exit_code: exit.code.unwrap_or(-1), was_killed };
    let verdict = judge_by(run, &books);
    outcome.findings.extend(verdict.findings);
    outcome.fills = verdict.fills;
    match stand.report() {
        Ok(report) => outcome.findings.extend(counts_are_true(&report, &ledger)),
        Err(what) => outcome.findings.push(what),
    }
    note(outcome, stand, struck, &ledger);
}

/// What a run left that could not clean up: every order that rests is named, and what it did know is booked once.
pub(super) fn settle_residue(outcome: &mut Outcome, stand: &Stand, struck: &Struck) {
    let ledger = stand.ledger();
    let books = [Books { venue: VENUE, ledger: &ledger.book, trade_of }];
    let run = Run { folder: &stand.state(), venues: &[VENUE], exit_code: 3, was_killed: false };
    outcome.findings.extend(judge_residue(run, &books).findings);
    note(outcome, stand, struck, &ledger);
}

/// What the signal met.
fn note(outcome: &mut Outcome, stand: &Stand, struck: &Struck, ledger: &VenueLedger) {
    outcome.was_ready = struck.was_ready;
    outcome.was_born = true;
    for name in struck.states(stand) {
        *outcome.states.entry(name).or_default() += 1;
    }
    for (word, count) in ledger.struck_since(struck.at_us) {
        *outcome.faults.entry(word).or_default() += u32::try_from(count).unwrap_or(u32::MAX);
    }
}

/// The report claims no cancel and no fill that the exchange does not know of, and leaves none out that came after the
/// stop began; what it says remains is what rests.
pub(super) fn counts_are_true(report: &Value, ledger: &VenueLedger) -> Vec<String> {
    let mut findings = Vec::new();
    let orders = &report["orders"];
    let count = |name: &str| orders[name].as_u64().unwrap_or(u64::MAX);
    let began_ms = report["started_at"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let Some(began_ms) = began_ms.map(|began| began.as_millisecond()) else {
        return vec![format!("the report does not tell when the stop began: {}", report["started_at"])];
    };
    let ended = |is_wanted: fn(&str) -> bool, from_ms: i64| {
        let orders = ledger.book.orders.values().filter(|order| is_wanted(&order.reason));
        orders.filter(|order| order.closed_ms.is_some_and(|closed_ms| closed_ms > from_ms)).count() as u64
    };
    type Reason = fn(&str) -> bool;
    // An order that the venue took off by itself may be called cancelled; one that we cancelled must be.
    let (by_us, by_venue): (Reason, Reason) = (|reason| reason == "cancelled", |reason| reason != "filled");
    let filled: Reason = |reason| reason == "filled";
    for (name, must, may) in [("canceled", by_us, by_venue), ("filled_meanwhile", filled, filled)] {
        // The very millisecond belongs to both sides.
        let (least, most) = (ended(must, began_ms), ended(may, i64::MIN));
        let told = count(name);
        if !(least..=most).contains(&told) {
            findings.push(format!("the report says {told} {name}; the ledger: {least} since it began, {most} in all"));
        }
    }
    let remaining: Vec<&str> = orders["remaining"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|order| order["client_order_id"].as_str())
        .collect();
    let distinct: BTreeSet<&str> = remaining.iter().copied().collect();
    if distinct.len() != remaining.len() {
        findings.push(format!("the report names an order twice: {remaining:?}"));
    }
    if count("found") < count("canceled") + count("filled_meanwhile") + remaining.len() as u64 {
        findings.push(format!("the report's counts do not fit together: {orders}"));
    }
    let by_venue: u64 = report["venues"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|venue| venue["canceled"].as_u64().unwrap_or_default())
        .sum();
    if by_venue != count("canceled") {
        findings.push(format!("the venues of the report have {by_venue} canceled, all orders {}", count("canceled")));
    }
    findings
}

/// Exactly so many orders rested, all were cancelled, none was filled. Where a cancel-all sweeps, a cancel of its own may
/// come too late for an order.
pub(super) fn all_were_cancelled(report: &Value, n_orders: usize, is_swept: bool) -> Vec<String> {
    let orders = &report["orders"];
    let wanted =
        [("found", n_orders), ("canceled", n_orders), ("filled_meanwhile", 0), ("cancel_errors", 0), ("unsent", 0)];
    let counts = wanted.iter().filter(|(name, _)| !(is_swept && *name == "cancel_errors"));
    let differs = counts.filter(|(name, count)| orders[*name] != *count);
    differs.map(|(name, count)| format!("the report says {} {name}, not {count}", orders[*name])).collect()
}

/// No limit of the venue was exceeded, by its own count and by ours.
pub(super) fn limits_were_kept(ledger: &VenueLedger) -> Vec<String> {
    let mut findings = Vec::new();
    let refused = ledger.arrivals.iter().filter(|arrival| arrival.code == RATE_LIMITED).count();
    if refused > 0 {
        findings.push(format!("{refused} requests were refused for a rate limit"));
    }
    for ((_, path, is_contract), busiest) in ledger.busiest_seconds() {
        let line = LIMITS.iter().find(|(limited, ..)| *limited == path);
        let limit = line.map_or(READS_MAX, |(_, spot, linear)| if is_contract { *linear } else { *spot });
        if busiest > limit {
            let market = if is_contract { "contracts" } else { "spot" };
            findings.push(format!("{busiest} in a second of {path} on {market}, the limit is {limit}"));
        }
    }
    findings
}
