//! The judge, shown defects: one that it lets pass is no judge.

use serde_json::{Value, json};

use super::judge::{Externals, bookings, of_limits};
use crate::oracle::exact::Exact;
use crate::oracle::files::Journal;
use crate::venue::ledger::VenueLedger;

const ID: &str = "loa1b200001a000001";

fn line(seq: u64, kind: &str, fields: &Value) -> String {
    let mut line = json!({"seq": seq, "t_ms": 1_795_169_472_000_u64 + seq, "kind": kind, "account": 0});
    for (name, value) in fields.as_object().expect("an object") {
        line[name.as_str()] = value.clone();
    }
    line.to_string() + "\n"
}

/// Two fills of one order, and a funding beside it.
fn ledger() -> (VenueLedger, Externals) {
    let order = json!({"client_id": ID, "order_id": "V1", "symbol": "BTC-USDT", "side": "BUY", "price": "100", "qty": "3",
        "filled": "0"});
    let fill = |trade: &str, qty: &str| {
        json!({"client_id": ID, "order_id": "V1", "trade_id": trade, "symbol": "BTC-USDT", "side": "BUY", "price": "100",
            "qty": qty, "fee": "0.1", "fee_asset": "USDT"})
    };
    let text = [
        line(1, "accepted", &order),
        line(2, "fill", &fill("T1", "1")),
        line(3, "fill", &fill("T2", "2")),
        line(4, "closed", &json!({"client_id": ID, "reason": "filled", "filled": "3"})),
    ];
    let ledger = VenueLedger::parse(&text.concat());
    assert!(ledger.book.findings.is_empty(), "{:?}", ledger.book.findings);
    let funding = ("T3".to_owned(), (0, "BTC-USDT".to_owned(), Exact::ZERO));
    (ledger, [funding].into_iter().collect())
}

/// The venue's name of a trade on spot.
fn exec(trade: u64) -> String {
    format!("{}:V1", 2_290_000_000_000_000_000_u64 + trade)
}

fn state() -> Value {
    json!({
        "misfits": 0,
        "orders": {"open": {}, "recently_closed": [{"client_id": ID, "filled": "3"}]},
        "venues": {"main": {
            "recent_trades": {exec(1): "x", exec(2): "x", exec(3): "x"},
            "positions": {"BTC-USDT": {"qty": "3", "fills": 2}},
        }},
    })
}

fn journal(records: &[(u64, &str)]) -> Journal {
    let record = |trade: u64, qty: &str| {
        json!({"kind": "fill", "client_id": ID, "fill": {"trade_id": exec(trade), "price": "100", "qty": qty,
            "fee": "0.1", "fee_asset": "USDT"}})
    };
    let records = records.iter().zip(1..).map(|((trade, qty), seq)| (seq, record(*trade, qty)));
    Journal { records: records.collect(), findings: Vec::new() }
}

const BOTH: [(u64, &str); 2] = [(1, "1"), (2, "2")];

#[test]
fn books_that_agree_are_left_in_peace_and_each_planted_defect_is_found() {
    let (ledger, externals) = ledger();
    let judged = |state: &Value, journal: &Journal| bookings(state, journal, &ledger, &externals, 0);
    assert_eq!(judged(&state(), &journal(&BOTH)), Vec::<String>::new());
    type Spoil = fn(&mut Value);
    let cases: &[(&str, Spoil)] = &[
        ("is not booked", |state| {
            state["venues"]["main"]["recent_trades"].as_object_mut().expect("an object").remove(&exec(2));
        }),
        ("T3 is not booked", |state| {
            state["venues"]["main"]["recent_trades"].as_object_mut().expect("an object").remove(&exec(3));
        }),
        ("never happened", |state| state["venues"]["main"]["recent_trades"][exec(9)] = "x".into()),
        ("under two names", |state| {
            state["venues"]["main"]["recent_trades"][exec(1).replace("V1", "V2")] = "x".into();
        }),
        ("4 are booked", |state| state["venues"]["main"]["positions"]["BTC-USDT"]["qty"] = "4".into()),
        ("3 fills of ours", |state| state["venues"]["main"]["positions"]["BTC-USDT"]["fills"] = 3.into()),
        ("did not fit", |state| state["misfits"] = 1.into()),
        ("still has", |state| state["orders"]["open"][ID] = json!({"state": "OPEN"})),
        ("2 filled", |state| state["orders"]["recently_closed"][0]["filled"] = "2".into()),
    ];
    for (words, spoil) in cases {
        let mut state = state();
        spoil(&mut state);
        let findings = judged(&state, &journal(&BOTH));
        assert!(findings.iter().any(|finding| finding.contains(words)), "{words}: {findings:?}");
    }
    let twice = judged(&state(), &journal(&[(1, "1"), (2, "2"), (1, "1")]));
    assert!(twice.iter().any(|finding| finding.contains("a second time")), "{twice:?}");
    let otherwise = judged(&state(), &journal(&[(1, "1"), (2, "5")]));
    assert!(otherwise.iter().any(|finding| finding.contains("otherwise")), "{otherwise:?}");
}

#[test]
fn too_much_in_a_second_is_found_and_so_is_a_refusal() {
    let asked = |at: u64, code: i64| {
        let fields = json!({"ticket": at, "path": "/v5/order/create", "client_ids": [format!("lo{at}")], "code": code});
        line(at, "http", &fields)
    };
    let text = |count: u64, code: i64| (1..=count).map(|at| asked(at, code)).collect::<String>();
    assert_eq!(of_limits(&VenueLedger::parse(&text(10, 0))), Vec::<String>::new());
    assert_eq!(of_limits(&VenueLedger::parse(&text(11, 0))).len(), 1);
    assert_eq!(of_limits(&VenueLedger::parse(&text(1, 10_006))).len(), 1);
}
