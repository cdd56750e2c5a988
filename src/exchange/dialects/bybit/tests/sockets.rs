//! Sockets: logins, subscriptions, streams.

use super::*;

#[test]
fn a_private_socket_wants_a_login_and_a_bad_one_ends_it() {
    let mut stand = Stand::new(still());
    let socket = stand.socket("/v5/private");
    stand.say(socket, json!({ "op": "subscribe", "args": ["order"] }));
    assert_eq!(stand.texts(socket)[0]["success"], false);
    stand.say(socket, json!({ "op": "auth", "args": ["ann", stand.gateway.venue_ms() + 1_000, "00"] }));
    assert_eq!(stand.texts(socket)[1]["success"], false);
    assert_eq!(stand.closed(socket), Some(CloseHow::Gracefully));
    let late = stand.socket("/v5/private");
    let expires = stand.gateway.venue_ms();
    let signature = sign::signature("ann-secret", format!("GET/realtime{expires}").as_bytes());
    stand.say(late, json!({ "op": "auth", "args": ["ann", expires, signature] }));
    assert_eq!(
        (stand.texts(late)[0]["success"].as_bool(), stand.closed(late)),
        (Some(false), Some(CloseHow::Gracefully))
    );
}

#[test]
fn pushes_go_to_the_account_and_the_category_that_was_subscribed() {
    let mut stand = Stand::new(still());
    let all = stand.private("ann", &["order", "execution", "wallet", "position"]);
    let spot = stand.private("ann", &["order.spot", "execution.spot"]);
    let bobs = stand.private("bob", &["order"]);
    stand.create("linear", "lo-1", "Buy", "60000");
    stand.create("spot", "lo-2", "Buy", "60000");
    let names = |rows: Vec<Value>| -> Vec<String> {
        rows.iter().map(|row| row["orderLinkId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(stand.pushed(all, "order")), ["lo-1", "lo-2"]);
    assert_eq!(names(stand.pushed(spot, "order.spot")), ["lo-2"]);
    assert!(stand.pushed(bobs, "order").is_empty());

    stand.post("bob", "/v5/order/create", order("linear", "bob-1", "Sell", "59000"));
    assert_eq!(names(stand.pushed(all, "execution")), ["lo-1"]);
    assert_eq!(stand.pushed(all, "position")[0]["size"], "0.010");
    assert_eq!(stand.pushed(all, "wallet").len(), 1);
    assert_eq!(stand.pushed(all, "order").last().unwrap()["orderStatus"], "Filled");
    assert!(stand.pushed(spot, "execution.spot").is_empty());
    assert_eq!(names(stand.pushed(bobs, "order")).last().unwrap(), "bob-1");

    let mixed = stand.private("ann", &["order", "order.spot"]);
    assert_eq!(stand.texts(mixed).last().unwrap()["success"], false, "whole and part may not be mixed");
}

#[test]
fn nothing_is_sent_again_when_a_connection_begins() {
    let mut stand = Stand::new(still());
    let first = stand.private("ann", &["order"]);
    stand.gateway.socket_closed(stand.now, first);
    stand.create("linear", "lo-1", "Buy", "60000");
    let second = stand.private("ann", &["order"]);
    stand.run_ms(60_000);
    assert!(stand.pushed(first, "order").is_empty() && stand.pushed(second, "order").is_empty());
}

/// A book built from what a socket was told, as a careful client would.
/// Rows of a book: price and quantity.
type Rows = Vec<(String, String)>;

fn book(stand: &Stand, socket: SocketId) -> (Rows, Rows) {
    let mut sides = [std::collections::BTreeMap::new(), std::collections::BTreeMap::new()];
    let mut last = 0;
    let mut begun = false;
    for text in
        stand.texts(socket).into_iter().filter(|text| text["topic"].as_str().unwrap_or("").starts_with("orderbook"))
    {
        let update = text["data"]["u"].as_u64().unwrap();
        if text["type"] == "snapshot" {
            sides = Default::default();
            begun = true;
        } else {
            assert!(begun && update == last + 1, "{update} after {last}");
        }
        last = update;
        for (side, name) in sides.iter_mut().zip(["b", "a"]) {
            for row in text["data"][name].as_array().unwrap() {
                let (price, size) = (row[0].as_str().unwrap().to_owned(), row[1].as_str().unwrap().to_owned());
                let key: i128 = price.parse::<crate::domain::money::Decimal>().unwrap().units();
                if size == "0" {
                    side.remove(&key);
                } else {
                    side.insert(key, (price, size));
                }
            }
        }
    }
    let [bids, asks] = sides;
    (bids.into_values().rev().collect(), asks.into_values().collect())
}

#[test]
fn deltas_lead_from_the_snapshot_to_the_book_as_it_is_for_early_and_late_comers() {
    let mut setup = still();
    setup.setup.activity = 1_000;
    let mut stand = Stand::new(setup);
    stand.run_ms(1_000);
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let socket = stand.socket("/v5/public/linear");
        stand.say(socket, json!({ "op": "subscribe", "args": ["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"] }));
        sockets.push(socket);
        stand.run_ms(3_270);
    }
    let rest = stand.get("ann", "/v5/market/orderbook", "category=linear&symbol=BTCUSDT&limit=50");
    let side = |name: &str| -> Vec<(String, String)> {
        let rows = rest["result"][name].as_array().unwrap().iter();
        rows.map(|row| (row[0].as_str().unwrap().to_owned(), row[1].as_str().unwrap().to_owned())).collect()
    };
    // The streams look ten times a second: run to just after a look.
    let told = book(&stand, sockets[0]);
    assert!(told.0.len() >= 8 && told.1.len() >= 8, "{told:?}");
    for socket in &sockets {
        assert_eq!(book(&stand, *socket), told);
    }
    assert!(side("b").len() >= 8);
    let deltas = stand.texts(sockets[0]).iter().filter(|text| text["type"] == "delta").count();
    assert!(deltas > 20, "{deltas}");
    assert!(stand.pushed(sockets[0], "publicTrade.BTCUSDT").len() > 5, "strangers trade, too");
    for (bid, ask) in told.0.iter().zip(&told.1).take(1) {
        let number = |text: &str| text.parse::<crate::domain::money::Decimal>().unwrap();
        assert!(number(&bid.0) < number(&ask.0));
    }
}

#[test]
fn a_book_of_one_level_is_always_whole_and_told_again_when_it_is_quiet() {
    let mut stand = Stand::new(still());
    let socket = stand.socket("/v5/public/spot");
    stand.say(socket, json!({ "op": "subscribe", "args": ["orderbook.1.BTCUSDT"] }));
    stand.run_ms(6_500);
    stand.command(json!({ "command": "move_price", "symbol": "BTC-USDT", "price": "65000" }));
    stand.run_ms(200);
    let texts: Vec<Value> = stand.texts(socket).into_iter().filter(|text| text.get("topic").is_some()).collect();
    let updates: Vec<u64> = texts.iter().map(|text| text["data"]["u"].as_u64().unwrap()).collect();
    assert!(texts.iter().all(|text| text["type"] == "snapshot"));
    assert_eq!(updates, [100, 100, 100, 101]);
}

#[test]
fn prices_of_contracts_come_as_changes_and_of_spot_as_a_whole() {
    for (path, kind) in [("/v5/public/linear", "delta"), ("/v5/public/spot", "snapshot")] {
        let mut stand = Stand::new(still());
        let socket = stand.socket(path);
        stand.say(socket, json!({ "op": "subscribe", "args": ["tickers.BTCUSDT"] }));
        for symbol in ["BTC-USDT", "BTC-USDT-PERP"] {
            stand.command(json!({ "command": "move_price", "symbol": symbol, "price": "65000" }));
        }
        stand.run_ms(200);
        let kinds: Vec<Value> = stand
            .texts(socket)
            .into_iter()
            .filter(|text| text.get("topic").is_some())
            .map(|text| text["type"].clone())
            .collect();
        assert_eq!(kinds, [json!("snapshot"), json!(kind)]);
    }
}

#[test]
fn a_silent_client_is_cut_off_and_one_that_pings_is_not() {
    let mut stand = Stand::new(still());
    let quiet = stand.socket("/v5/public/spot");
    let brief = stand.socket("/v5/private?max_active_time=30s");
    let lively = stand.socket("/v5/private?max_active_time=1m");
    for _ in 0..30 {
        stand.run_ms(20_000);
        stand.say(lively, json!({ "op": "ping", "req_id": "7" }));
    }
    assert_eq!((stand.closed(quiet), stand.closed(brief)), (Some(CloseHow::Gracefully), Some(CloseHow::Gracefully)));
    assert_eq!(stand.closed(lively), None);
    assert_eq!(stand.texts(lively)[0]["req_id"], "7");
    let nowhere = stand.socket("/v6/other");
    assert_eq!(stand.closed(nowhere), Some(CloseHow::Gracefully));
}

#[test]
fn what_is_subscribed_too_much_or_unknown_is_refused() {
    let mut stand = Stand::new(still());
    let socket = stand.socket("/v5/public/spot");
    let eleven: Vec<String> = (0..11).map(|_| "tickers.BTCUSDT".to_owned()).collect();
    stand.say(socket, json!({ "op": "subscribe", "args": eleven }));
    for topic in ["orderbook.7.BTCUSDT", "tickers.NOPE", "kline.1.BTCUSDT", "orderbook.BTCUSDT", "tickers.BTCUSDT.more"]
    {
        stand.say(socket, json!({ "op": "subscribe", "args": [topic] }));
    }
    assert_eq!(stand.texts(socket).len(), 6);
    assert!(stand.texts(socket).iter().all(|text| text["success"] == false));
    stand.say(socket, json!("not an object"));
    assert_eq!(stand.texts(socket).len(), 7);
}

#[test]
fn orders_go_over_the_trading_socket_as_well() {
    let mut stand = Stand::new(still());
    let socket = stand.socket("/v5/trade");
    let request = |stand: &Stand, op: &str, args: Value| {
        json!({
            "reqId": "r1",
            "header": { "X-BAPI-TIMESTAMP": stand.gateway.venue_ms().to_string(), "X-BAPI-RECV-WINDOW": "5000" },
            "op": op,
            "args": [args],
        })
    };
    let create = request(&stand, "order.create", order("linear", "lo-1", "Buy", "60000"));
    stand.say(socket, create.clone());
    assert_eq!(stand.texts(socket)[0]["retCode"], 10_007, "not without a login");
    stand.login(socket, "ann");
    stand.login(socket, "ann");
    assert_eq!(
        (stand.texts(socket)[1]["retCode"].as_i64(), stand.texts(socket)[2]["retCode"].as_i64()),
        (Some(0), Some(20_001))
    );
    stand.say(socket, create);
    let taken = stand.texts(socket).pop().unwrap();
    assert_eq!((taken["retCode"].as_i64(), taken["reqId"].as_str()), (Some(0), Some("r1")));
    assert_eq!(taken["header"]["X-Bapi-Limit-Status"], "9");
    assert_eq!(stand.open("ann", "linear"), ["lo-1"]);
    let cancel = json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": "lo-1" });
    let cancel = request(&stand, "order.cancel", cancel);
    stand.say(socket, cancel);
    stand.run_ms(10);
    assert!(stand.open("ann", "linear").is_empty());
    let unknown = request(&stand, "order.dance", json!({}));
    stand.say(socket, unknown);
    assert_eq!(stand.texts(socket).pop().unwrap()["retCode"], 10_404);
    let late = request(&stand, "order.create", order("linear", "lo-2", "Buy", "60000"));
    stand.run_ms(5_001);
    stand.say(socket, late);
    assert_eq!(stand.texts(socket).pop().unwrap()["retCode"], 10_002);
}

/// A socket is one stream of bytes: however long each text takes, none overtakes another, nor the opening.
#[test]
fn texts_of_a_socket_arrive_in_their_order_whatever_the_jitter() {
    let mut setup = still();
    setup.setup.latency_jitter_us = 50_000;
    let mut stand = Stand::new(setup);
    for _ in 0..20 {
        let socket = stand.socket("/v5/public/linear");
        for number in 0..5 {
            stand.say(socket, json!({ "op": "ping", "req_id": number.to_string() }));
        }
        stand.run_ms(200);
        let answered: Vec<Value> = stand.texts(socket).iter().map(|text| text["req_id"].clone()).collect();
        assert_eq!(answered, ["0", "1", "2", "3", "4"]);
        stand.gateway.socket_closed(stand.now, socket);
    }
    stand.run_ms(200);
    assert!(stand.gateway.landings.is_empty(), "{:?}", stand.gateway.landings);
}
