//! The judge of a stop in LIVE is shown what is right, which it must pass, and one defect after the other, each of which
//! it must name.

use serde_json::{Value, json};

use super::judge::{all_were_cancelled, counts_are_true, limits_were_kept, trade_of};
use crate::oracle::ledger::sealed;
use crate::venue::ledger::VenueLedger;

/// The stop began at this moment; the ledger's times are milliseconds since 1970.
const BEGAN: &str = "1970-01-01T00:00:10.000Z";

fn accepted(number: u64, symbol: &str) -> Value {
    json!({"t_ms": 1_000, "kind": "accepted", "request": number, "account": 0, "client_id": format!("lo{number}"),
           "order_id": format!("V{number}"), "symbol": symbol, "side": "BUY", "price": "64000", "qty": "1",
           "filled": "0", "time_in_force": "gtc"})
}

fn closed(number: u64, t_ms: i64, reason: &str, filled: &str) -> Value {
    json!({"t_ms": t_ms, "kind": "closed", "account": 0, "client_id": format!("lo{number}"),
           "order_id": format!("V{number}"), "reason": reason, "filled": filled})
}

fn fill(number: u64) -> Value {
    json!({"t_ms": 10_050, "kind": "fill", "account": 0, "client_id": format!("lo{number}"), "order_id": format!("V{number}"),
           "trade_id": "T1", "trade": 1, "symbol": "BTC-USDT", "side": "BUY", "price": "64000", "qty": "1", "fee": "0",
           "fee_asset": "USDT", "maker": true, "with": "crowd"})
}

/// One that ended before the stop, two that the stop cancelled, one that was filled meanwhile.
fn ledger() -> VenueLedger {
    let mut lines: Vec<Value> = (1..=4).map(|number| accepted(number, "BTC-USDT")).collect();
    lines.extend([closed(1, 5_000, "cancelled", "0"), closed(2, 10_040, "cancelled", "0")]);
    lines.extend([closed(3, 10_041, "cancelled", "0"), fill(4), closed(4, 10_050, "filled", "1")]);
    let ledger = VenueLedger::parse(&sealed(&lines));
    assert_eq!(ledger.book.findings, Vec::<String>::new());
    ledger
}

fn report(found: u64, canceled: u64, filled: u64) -> Value {
    json!({"started_at": BEGAN, "venues": [{"canceled": canceled}],
           "orders": {"found": found, "canceled": canceled, "filled_meanwhile": filled, "cancel_errors": 0, "unsent": 0,
                      "kept": [], "remaining": []}})
}

#[test]
fn a_report_that_tells_what_happened_passes() {
    assert_eq!(counts_are_true(&report(3, 2, 1), &ledger()), Vec::<String>::new());
    // The one of five seconds before may have been on its way to us.
    assert_eq!(counts_are_true(&report(4, 3, 1), &ledger()), Vec::<String>::new());
}

#[test]
fn a_report_that_claims_too_much_or_leaves_something_out_is_named() {
    let named = |name: &str| Value::from(vec![json!({"client_order_id": name}), json!({"client_order_id": name})]);
    let with = |mut report: Value, change: fn(&mut Value)| {
        change(&mut report);
        report
    };
    let mut twice = report(9, 2, 1);
    twice["orders"]["remaining"] = named("lo9");
    for (words, report) in [
        ("says 4 canceled", report(9, 4, 1)),
        ("says 1 canceled", report(9, 1, 1)),
        ("says 0 filled_meanwhile", report(9, 2, 0)),
        ("says 2 filled_meanwhile", report(9, 2, 2)),
        ("do not fit together", report(2, 2, 1)),
        ("names an order twice", twice),
        ("have 1 canceled", with(report(3, 2, 1), |report| report["venues"][0]["canceled"] = json!(1))),
        ("when the stop began", with(report(3, 2, 1), |report| report["started_at"] = json!("yesterday"))),
    ] {
        let findings = counts_are_true(&report, &ledger());
        assert!(findings.iter().any(|finding| finding.contains(words)), "nobody said \"{words}\" but {findings:#?}");
    }
}

#[test]
fn every_count_of_a_plain_stop_is_looked_at() {
    assert_eq!(all_were_cancelled(&report(3, 3, 0), 3, false), Vec::<String>::new());
    for name in ["found", "canceled", "filled_meanwhile", "cancel_errors", "unsent"] {
        let mut wrong = report(3, 3, 0);
        wrong["orders"][name] = json!(7);
        assert_eq!(all_were_cancelled(&wrong, 3, false).len(), 1, "{name}");
        assert_eq!(all_were_cancelled(&wrong, 3, true).len(), usize::from(name != "cancel_errors"), "{name}");
    }
}

fn asked(ticket: u64, t_ms: i64, call: &str, code: i64) -> Value {
    json!({"t_ms": t_ms, "kind": "http", "ticket": ticket, "method": "POST", "path": format!("/v5/order/{call}"),
           "account": 0, "client_ids": ["lo1"], "code": code})
}

#[test]
fn more_than_a_limit_is_named_whoever_notices() {
    let judged = |lines: &[Value]| limits_were_kept(&VenueLedger::parse(&sealed(lines)));
    let many = |count: u64, symbol: &str| -> Vec<Value> {
        let calls = (1..=count).map(|ticket| asked(ticket, 2_000 + ticket as i64, "cancel", 0));
        [accepted(1, symbol)].into_iter().chain(calls).collect()
    };
    assert_eq!(judged(&many(20, "BTC-USDT")), Vec::<String>::new());
    assert_eq!(judged(&many(10, "BTC-USDT-PERP")), Vec::<String>::new());
    let spot = judged(&many(21, "BTC-USDT"));
    assert_eq!(spot, ["21 in a second of /v5/order/cancel on spot, the limit is 20"]);
    let linear = judged(&many(11, "BTC-USDT-PERP"));
    assert_eq!(linear, ["11 in a second of /v5/order/cancel on contracts, the limit is 10"]);
    let refused = judged(&[accepted(1, "BTC-USDT"), asked(1, 2_000, "cancel", 10_006)]);
    assert_eq!(refused, ["1 requests were refused for a rate limit"]);
}

#[test]
fn a_trade_is_known_by_the_venues_name_of_it() {
    assert_eq!(trade_of("2290000000000000007:1900000000000000512").as_deref(), Some("T7"));
    assert_eq!(trade_of("2290000000000000007").as_deref(), Some("T7"));
    assert_eq!(trade_of("02f59075-8a6d-4293-abec-5a3c9e17d233:x"), trade_of("02f59075-8a6d-4293-abec-5a3c9e17d233"));
    assert_eq!(trade_of("no trade"), None);
}
