//! Starts that are refused: the keys, the account, the addresses, the clock, the configuration.

use serde_json::json;

use super::judge::of_end;
use super::{Desk, all_at_once, exchange};
use crate::venue::exchange::Exchange;

/// A start that must not come about.
struct Case {
    name: &'static str,
    /// Key and secret it uses.
    key: (&'static str, &'static str),
    code: i32,
    /// Words that tell the cause and the mend.
    words: &'static [&'static str],
}

/// Accounts and keys of one exchange.
const KEYS: [&str; 5] = [
    "withdraw-key-77aa:canary-secret-01:1:withdraw",
    "reading-key-77ab:canary-secret-02:2:read-only",
    "hedging-key-77ac:canary-secret-03:3:hedge",
    "shared-key-77ad:canary-secret-04:4",
    "worst-key-77ae:canary-secret-05:5:withdraw,read-only,hedge",
];

const CASES: &[Case] = &[
    Case {
        name: "a key nobody knows",
        key: ("unknown-key-77af", "canary-secret-06"),
        code: 3,
        words: &["10003", "Key, secret, environment and host must belong together"],
    },
    Case {
        name: "a wrong secret",
        key: ("shared-key-77ad", "canary-secret-that-is-wrong"),
        code: 3,
        words: &["10004", "Key, secret, environment and host must belong together"],
    },
    Case {
        name: "a key that may withdraw",
        key: ("withdraw-key-77aa", "canary-secret-01"),
        code: 1,
        words: &["may withdraw", "make one that may only trade"],
    },
    Case {
        name: "a key that may not trade",
        key: ("reading-key-77ab", "canary-secret-02"),
        code: 1,
        words: &["may not place orders", "give it the permission to trade"],
    },
    Case {
        name: "hedge mode",
        key: ("hedging-key-77ac", "canary-secret-03"),
        code: 1,
        words: &["hedge mode", "set it to one-way mode"],
    },
    Case {
        name: "a stranger's order",
        key: ("shared-key-77ad", "canary-secret-04"),
        code: 1,
        words: &["another lastorders instance", "zz99", "other_instances"],
    },
    Case {
        name: "all of it",
        key: ("worst-key-77ae", "canary-secret-05"),
        code: 1,
        words: &["may withdraw", "may not place orders", "hedge mode"],
    },
];

#[test]
fn a_key_or_an_account_that_must_not_trade_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let words: Vec<&str> = KEYS.iter().flat_map(|key| ["--key", key]).chain(["--activity", "0"]).collect();
    let exchange = exchange(folder.path(), &words);
    exchange.order(&json!({
        "command": "foreign_order", "account": 4, "symbol": "BTC-USDT-PERP", "side": "BUY", "price": "40000",
        "qty": "0.001", "link": "lozz9900001a000001",
    }));
    all_at_once(
        CASES,
        |case| case.name.to_owned(),
        |case| {
            let desk = Desk::live(exchange.address()).with_key(case.key.0, case.key.1);
            of_end(&desk, &desk.run_out(), case.code, case.words)
        },
    );
    nothing_was_sent(&exchange);
    assert!(exchange.ledger().has_order("lozz9900001a000001") && !exchange.ledger().live_of(4).is_empty());
}

fn nothing_was_sent(exchange: &Exchange) {
    let ledger = exchange.ledger();
    let told: Vec<_> = ledger.arrivals.iter().filter(|arrival| arrival.creates() || arrival.cancels()).collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(ledger.arrivals.len() > 10, "nobody asked anything: this shows nothing");
}
