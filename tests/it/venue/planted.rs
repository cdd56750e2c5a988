//! The judge of a local exchange's ledger is shown a clean one, which it must pass, and one defect after the other,
//! each of which it must name.

use serde_json::{Value, json};

use super::ledger::{VenueLedger, most_in_a_second};
use crate::oracle::ledger::sealed;

const ONE: &str = "loa1b200001a000001";
const TWO: &str = "loa1b200001a000002";

fn http(ticket: u64, t_ms: i64, call: &str, client_ids: &[&str]) -> Value {
    json!({"t_ms": t_ms, "kind": "http", "ticket": ticket, "method": "POST", "path": format!("/v5/order/{call}"),
           "account": 0, "client_ids": client_ids, "code": 0})
}

fn request(ticket: u64, t_ms: i64, what: &str, more: Value) -> Value {
    let mut line = json!({"t_ms": t_ms, "kind": "request", "request": ticket, "ticket": ticket, "account": 0,
                          "what": what});
    for (name, value) in more.as_object().expect("fields") {
        line[name] = value.clone();
    }
    line
}

fn accepted(number: u64, account: u64, client_id: &str) -> Value {
    json!({"t_ms": 1_000, "kind": "accepted", "request": number, "account": account, "client_id": client_id,
           "order_id": format!("V{number}"), "symbol": "BTC-USDT", "side": "BUY", "price": "64000", "qty": "0.01",
           "filled": "0", "time_in_force": "gtc"})
}

fn clean() -> Vec<Value> {
    vec![
        http(1, 1_000, "create", &[ONE]),
        request(1, 1_000, "place", json!({"client_id": ONE, "symbol": "BTC-USDT"})),
        accepted(1, 0, ONE),
        http(2, 1_010, "create", &[TWO]),
        request(2, 1_010, "place", json!({"client_id": TWO, "symbol": "BTC-USDT"})),
        accepted(2, 1, TWO),
        http(3, 1_900, "cancel-batch", &[ONE, TWO]),
        request(3, 1_900, "cancel_batch", json!({"orders": [{"client_id": ONE}, {"client_id": TWO}]})),
        json!({"t_ms": 1_900, "kind": "fault", "fault": "answer_lost", "on": "cancel_batch", "account": 0,
               "request": 3, "ticket": 3, "client_ids": [ONE]}),
        json!({"t_ms": 1_910, "kind": "closed", "account": 0, "client_id": ONE, "order_id": "V1",
               "reason": "cancelled", "filled": "0"}),
    ]
}

fn judged(lines: &[Value]) -> VenueLedger {
    VenueLedger::parse(&sealed(lines))
}

#[test]
fn a_clean_ledger_tells_what_happened() {
    let ledger = judged(&clean());
    assert_eq!(ledger.book.findings, Vec::<String>::new());
    assert!(ledger.live_of(0).is_empty());
    assert_eq!(ledger.live_of(1).into_iter().collect::<Vec<_>>(), [TWO]);
    assert_eq!(ledger.struck_since(1_900_000)["answer_lost"], 1);
    assert!(ledger.struck_since(1_900_001).is_empty());
    let strike = &ledger.strikes[0];
    assert_eq!((strike.ticket, strike.client_ids.as_slice()), (Some(3), [ONE.to_owned()].as_slice()));
    let kinds: Vec<_> = ledger.arrivals.iter().map(|arrival| (arrival.creates(), arrival.cancels())).collect();
    assert_eq!(kinds, [(true, false), (true, false), (false, true)]);
    let busiest = ledger.busiest_seconds();
    assert_eq!(busiest[&(0, "/v5/order/cancel-batch".to_owned(), false)], 2, "{busiest:?}");
    assert_eq!(busiest[&(0, "/v5/order/create".to_owned(), false)], 2, "{busiest:?}");
}

#[test]
fn a_cancel_by_the_venues_id_is_counted_in_the_market_of_its_order() {
    let mut lines = clean();
    lines.push(http(4, 1_950, "cancel", &[]));
    lines.push(request(4, 1_950, "cancel", json!({"order_id": "V2"})));
    lines.push(http(5, 1_950, "cancel", &[]));
    lines.push(request(5, 1_950, "cancel", json!({"order_id": "V9"})));
    let busiest = judged(&lines).busiest_seconds();
    assert_eq!(busiest[&(0, "/v5/order/cancel".to_owned(), false)], 1, "{busiest:?}");
    assert_eq!(busiest[&(0, "/v5/order/cancel".to_owned(), true)], 1, "unknown: {busiest:?}");
}

#[test]
fn an_order_that_is_left_is_seen() {
    let mut lines = clean();
    lines.pop();
    assert_eq!(judged(&lines).live_of(0).into_iter().collect::<Vec<_>>(), [ONE]);
}

#[test]
fn a_create_that_arrives_twice_is_named() {
    let mut lines = clean();
    let mut refused = http(4, 2_000, "create", &[TWO]);
    refused["code"] = json!(10_002);
    lines.push(refused);
    assert!(judged(&lines).book.findings.is_empty(), "refused at the door: it may be signed again");
    lines.push(http(5, 2_000, "create-batch", &[TWO]));
    let findings = judged(&lines).book.findings;
    assert!(findings.iter().any(|finding| finding.contains(TWO) && finding.contains("second time")), "{findings:?}");
}

#[test]
fn a_missing_line_and_a_changed_one_are_named() {
    let whole = sealed(&clean());
    let lines: Vec<&str> = whole.lines().collect();
    let without: String =
        lines.iter().enumerate().filter(|(at, _)| *at != 5).map(|(_, line)| format!("{line}\n")).collect();
    assert!(!VenueLedger::parse(&without).book.findings.is_empty());
    assert!(!VenueLedger::parse(&whole.replacen("\"0.01\"", "\"0.02\"", 1)).book.findings.is_empty());
}

#[test]
fn a_second_is_a_second_wherever_it_begins() {
    assert_eq!(most_in_a_second(vec![]), 0);
    assert_eq!(most_in_a_second(vec![(0, 1), (999_999, 1), (1_000_000, 1)]), 2);
    assert_eq!(most_in_a_second(vec![(1_500_000, 3), (500_001, 1), (0, 10)]), 11);
    assert_eq!(most_in_a_second(vec![(900_000, 5), (1_100_000, 5), (1_900_000, 5)]), 10);
}
