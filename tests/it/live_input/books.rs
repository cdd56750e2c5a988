//! Accounts that others touch, and markets that fall silent: the books stay those of the venue, and what cannot be
//! explained is held.

use serde_json::{Value, json};

use super::judge::of_clean_stop;
use super::meddler::{Meddler, Twist};
use super::{Desk, Key, QUIET, Trader, exchange, ours_live, take_one, tell, temporary};
use crate::oracle::exact::Exact;
use crate::oracle::files::amount;
use crate::venue::exchange::Exchange;

const SPOT: &str = "BTC-USDT";
const CONTRACT: &str = "BTC-USDT-PERP";
/// An order of another of our kind, whom the configuration knows.
const STRANGER: &str = "lozz9900001a000001";

fn qty_of_contract(rows: &Value) -> Exact {
    let rows = rows.as_array().expect("positions");
    rows.iter().find(|row| row["symbol"] == CONTRACT).map_or(Exact::ZERO, |row| amount(row, "qty").expect("a quantity"))
}

/// What the venue says an account holds of the contract.
fn held(exchange: &Exchange) -> Exact {
    let shown = exchange.order(&json!({"command": "balances"}));
    qty_of_contract(&shown["accounts"][0]["positions"])
}

/// An order that somebody else places on the account.
fn foreign(price: &str, more: &Value) -> Value {
    let mut command = json!({"command": "foreign_order", "account": 0, "symbol": CONTRACT, "side": "BUY", "price": price,
        "qty": "0.003"});
    for (name, value) in more.as_object().expect("an object") {
        command[name.as_str()] = value.clone();
    }
    command
}

fn what_others_do() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &QUIET);
    exchange.order(&foreign("30000", &json!({"symbol": SPOT, "link": STRANGER})));
    let desk = Desk::live(exchange.address(), &key)
        .with_config("start_offset_bps = 200", "start_offset_bps = 15")
        .with_config("[shutdown]", "[start]\nother_instances = [\"zz99\"]\n\n[shutdown]");
    let mut trader = desk.start_ready();
    // The same at both ends, with so many entries that no order of ours made.
    let agrees = |externals: u64| {
        let theirs = held(&exchange);
        let status = desk.status()?;
        let is_same = qty_of_contract(&status["positions"]) == theirs && theirs == held(&exchange);
        (is_same && status["external_entries"].as_u64() == Some(externals)).then_some(())
    };
    trader.wait_for("a position by fills of ours", || {
        take_one(&exchange, 0, CONTRACT);
        (held(&exchange) != Exact::ZERO).then_some(())
    });
    trader.wait_settled(&exchange, 0);
    exchange.order(&json!({"command": "funding", "symbol": CONTRACT, "rate": "0.0001"}));
    trader.wait_for("the funding to be booked", || agrees(1));
    exchange.order(&foreign("30000", &json!({"link": "somebody-else-1"})));
    exchange.order(&foreign("90000", &json!({"immediate": true})));
    exchange.order(&foreign("90000", &json!({"symbol": SPOT, "immediate": true})));
    trader.wait_for("a stranger's trades to be booked", || agrees(3));
    trader.wait_settled(&exchange, 0);
    // The venue takes every order of the contract off the book, whoever placed it, and closes the position.
    exchange.order(&json!({"command": "liquidation", "account": 0, "symbol": CONTRACT}));
    trader.wait_for("the liquidation to be booked", || agrees(4));
    exchange.order(&foreign("30000", &json!({"link": "somebody-else-2"})));
    trader.wait_settled(&exchange, 0);
    let code = trader.terminate().code;
    let mut findings = of_clean_stop(&desk, &exchange, 0, code);
    let left = exchange.ledger().live_of(0);
    for id in ["somebody-else-2", STRANGER] {
        findings.extend((!left.contains(id)).then(|| format!("{id}, an order of somebody else, was taken")));
    }
    findings
}

fn n_on_contract(exchange: &Exchange) -> usize {
    let shown = exchange.look("orders");
    let rows = shown["accounts"][0]["orders"].as_array().expect("orders");
    rows.iter().filter(|row| row["symbol"] == CONTRACT).count()
}

fn what_nobody_can_explain() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &QUIET);
    let meddler = Meddler::before(exchange.address());
    let desk = Desk::live(meddler.address(), &key);
    let mut trader = desk.start_ready();
    trader.wait_quoting(&exchange, 0, CONTRACT);
    trader.wait_quoting(&exchange, 0, SPOT);
    meddler.twist(|target| {
        if !target.starts_with("/v5/position/list") {
            return Twist::None;
        }
        Twist::Changed(|body| {
            let mut answer: Value = serde_json::from_str(body).unwrap_or_default();
            let row = json!({"symbol": "BTCUSDT", "side": "Buy", "size": "0.7", "positionIdx": 0, "avgPrice": "64000"});
            answer["result"]["list"] = json!([row]);
            answer.to_string().into_bytes()
        })
    });
    // After a reconnect the books are compared at once; a difference counts when a second look confirms it. At the third
    // look it has counted.
    cut_and_compare(&mut trader, &exchange, 2);
    cut_and_compare(&mut trader, &exchange, 1);
    trader.wait_for("the contract's orders to be pulled and the pair to be quoted", || {
        (n_on_contract(&exchange) == 0 && ours_live(&exchange.ledger(), 0) > 0).then_some(())
    });
    let (pair_before, contract_before) = n_creates(&exchange);
    // The pair goes on: quotes follow the market, now up, now down.
    let mut price = 64_000;
    trader.wait_for("the pair's quotes to follow the market", || {
        price = if price == 64_000 { 64_500 } else { 64_000 };
        exchange.order(&json!({"command": "move_price", "symbol": SPOT, "price": price.to_string()}));
        (n_creates(&exchange).0 >= pair_before + 8).then_some(())
    });
    let n_meanwhile = n_creates(&exchange).1 - contract_before;
    meddler.heal();
    // Two looks that agree release it.
    cut_and_compare(&mut trader, &exchange, 1);
    cut_and_compare(&mut trader, &exchange, 1);
    trader.wait_for("the contract to be quoted again", || (n_on_contract(&exchange) > 0).then_some(()));
    let code = trader.terminate().code;
    let mut findings = of_clean_stop(&desk, &exchange, 0, code);
    findings.extend((n_meanwhile > 0).then(|| format!("{n_meanwhile} orders were placed on what cannot be explained")));
    findings
}

/// Cuts the account's stream and waits until the venue's positions were asked for so many times.
fn cut_and_compare(trader: &mut Trader<'_>, exchange: &Exchange, times: usize) {
    let n_looks = || {
        let ledger = exchange.ledger();
        // With a symbol it is a question about the mode; those are asked at a start.
        ledger.arrivals.iter().filter(|arrival| arrival.path == "/v5/position/list").count()
    };
    let before = n_looks();
    exchange.order(&json!({"command": "drop_sockets", "scope": "private", "how": "hard", "account": 0}));
    trader.wait_for("the books to be compared", || (n_looks() >= before + times).then_some(()));
}

/// Creates that arrived, for the pair and for the contract.
fn n_creates(exchange: &Exchange) -> (usize, usize) {
    let ledger = exchange.ledger();
    let on = |is_contract: bool| {
        let creates = ledger.arrivals.iter().filter(|arrival| arrival.creates());
        creates.filter(|arrival| arrival.is_contract == Some(is_contract)).count()
    };
    (on(false), on(true))
}

fn a_silent_market() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &QUIET);
    let desk = Desk::live(exchange.address(), &key);
    let mut trader = desk.start_ready();
    trader.wait_quoting(&exchange, 0, SPOT);
    trader.wait_quoting(&exchange, 0, CONTRACT);
    trader.wait_for("the quotes to be pulled", || {
        // New sockets too: the whole market is silent.
        exchange.order(&json!({"command": "silence", "scope": "public", "ms": 120_000}));
        (ours_live(&exchange.ledger(), 0) == 0).then_some(())
    });
    exchange.order(&json!({"command": "heal"}));
    trader.wait_quoting(&exchange, 0, SPOT);
    trader.wait_quoting(&exchange, 0, CONTRACT);
    let code = trader.terminate().code;
    of_clean_stop(&desk, &exchange, 0, code)
}

#[test]
fn the_books_stay_those_of_the_venue_and_what_cannot_be_explained_or_seen_is_not_traded() {
    tell(&[
        ("what others do is booked, and their orders are left alone", what_others_do),
        ("a position that nobody can explain holds the instrument until it is gone", what_nobody_can_explain),
        ("a silent market pulls the quotes, and its return brings them back", a_silent_market),
    ]);
}
