//! What a tester orders goes wrong, and the ledger says so at the moment it does.

use super::*;

fn http_fault(fields: Value) -> Value {
    json!({ "command": "http", "http": fields })
}

#[test]
fn an_answer_goes_wrong_before_or_after_the_order_is_in() {
    let kinds = [
        (json!({ "status": { "status": 502 } }), 502, Mangle::None),
        (json!({ "status": { "status": 503, "body": "json", "retry_after_s": 2 } }), 503, Mangle::None),
        (json!("html_ok"), 200, Mangle::None),
        (json!("hang"), 200, Mangle::Hang),
        (json!("drop"), 200, Mangle::DropConnection),
        (json!("reset"), 200, Mangle::Reset),
        (json!({ "truncate": { "bytes": 20 } }), 200, Mangle::Truncate(20)),
        (json!("endless"), 200, Mangle::Endless),
    ];
    for (when, rests) in [("before", 0), ("after", 1)] {
        for (kind, status, mangle) in &kinds {
            let mut stand = Stand::new(still());
            let fault = json!({ "path": "/order/create", "method": "POST", "when": when, "fault": kind, "skip": 1 });
            stand.command(http_fault(fault));
            assert_eq!(code(&stand.create("linear", "first", "Buy", "60000")), 0, "skipped");
            let struck =
                stand.signed("ann", "POST", "/v5/order/create", &order("linear", "lo-1", "Buy", "60000").to_string());
            let out = stand.ask(struck);
            assert_eq!((out.status, out.mangle), (*status, *mangle), "{kind}");
            assert_eq!(stand.open("ann", "linear").len(), 1 + rests, "{when} {kind}");
            assert_eq!(code(&stand.create("linear", "third", "Buy", "60000")), 0, "once");
            let line = stand.lines("fault").pop().unwrap();
            assert_eq!((line["ticket"].as_u64(), &line["client_ids"]), (Some(2), &json!(["lo-1"])), "{line}");
        }
    }
}

#[test]
fn a_lost_answer_hangs_and_the_order_rests() {
    let mut stand = Stand::new(still());
    stand.command(json!({ "command": "plan", "on": "create", "fault": "answer_lost", "client_id": "lo-2" }));
    assert_eq!(code(&stand.create("linear", "lo-1", "Buy", "60000")), 0);
    let lost = stand.signed("ann", "POST", "/v5/order/create", &order("linear", "lo-2", "Buy", "60000").to_string());
    assert_eq!(stand.ask(lost).mangle, Mangle::Hang);
    assert_eq!(stand.open("ann", "linear"), ["lo-2", "lo-1"]);
    assert_eq!(stand.fault_words(), ["answer_lost"]);
}

#[test]
fn batches_fail_in_part_and_come_shuffled() {
    let mut setup = unlimited();
    setup.setup.seed = 5;
    let mut stand = Stand::new(setup);
    for number in 0..6 {
        stand.create("linear", &format!("lo-{number}"), "Buy", "60000");
    }
    let legs: Vec<Value> = (0..6).map(|n| json!({ "symbol": "BTCUSDT", "orderLinkId": format!("lo-{n}") })).collect();
    let batch = json!({ "category": "linear", "request": legs });
    stand.command(
        json!({ "command": "plan", "on": "cancel_batch", "fault": { "partial_batch": { "failing": [1, 4] } } }),
    );
    let answer = stand.post("ann", "/v5/order/cancel-batch", batch.clone());
    let (said, verdicts) = (rows(&answer), answer["retExtInfo"]["list"].as_array().unwrap().clone());
    assert_eq!(said.len(), verdicts.len());
    let taken = |rows: &[Value], verdicts: &[Value]| -> Vec<String> {
        let pairs = rows.iter().zip(verdicts).filter(|(_, verdict)| verdict["code"] == 0);
        pairs.map(|(row, _)| row["orderLinkId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(taken(&said, &verdicts), ["lo-0", "lo-2", "lo-3", "lo-5"]);
    stand.run_ms(10);
    let mut left = stand.open("ann", "linear");
    left.sort();
    assert_eq!(left, ["lo-1", "lo-4"]);
    stand.command(json!({ "command": "plan", "on": "cancel_batch", "fault": "shuffled_batch" }));
    let answer = stand.post("ann", "/v5/order/cancel-batch", batch);
    let (said, verdicts) = (rows(&answer), answer["retExtInfo"]["list"].as_array().unwrap().clone());
    let names: Vec<&str> = said.iter().map(|row| row["orderLinkId"].as_str().unwrap()).collect();
    assert_ne!(names, ["lo-0", "lo-1", "lo-2", "lo-3", "lo-4", "lo-5"]);
    let mut taken = taken(&said, &verdicts);
    taken.sort();
    assert_eq!(taken, ["lo-1", "lo-4"], "each verdict stays with its order");
}

#[test]
fn stale_broken_and_lying_answers_look_like_good_ones() {
    let mut stand = Stand::new(unlimited());
    for number in 0..4 {
        stand.create("linear", &format!("lo-{number}"), "Buy", "60000");
    }
    stand.run_ms(1_000);
    stand.post("ann", "/v5/order/cancel-all", json!({ "category": "linear", "symbol": "BTCUSDT" }));
    stand.run_ms(500);
    stand.command(json!({ "command": "stale_listing", "by_ms": 1_000 }));
    assert_eq!(stand.open("ann", "linear").len(), 4, "as it was a second ago");
    assert!(stand.open("ann", "linear").is_empty());

    stand.create("linear", "lo-9", "Buy", "60000");
    stand.command(json!({ "command": "plan", "on": "query", "fault": "not_found" }));
    let query = "category=linear&symbol=BTCUSDT&orderLinkId=lo-9";
    assert!(rows(&stand.get("ann", "/v5/order/realtime", query)).is_empty());
    assert_eq!(rows(&stand.get("ann", "/v5/order/realtime", query)).len(), 1);
    stand.command(json!({ "command": "plan", "on": "cancel", "fault": "not_found" }));
    let cancel = json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": "lo-9" });
    assert_eq!(code(&stand.post("ann", "/v5/order/cancel", cancel)), 110_001);
    assert_eq!(stand.open("ann", "linear"), ["lo-9"]);

    stand.command(json!({ "command": "plan", "on": "list_open", "fault": "broken_listing" }));
    let first = stand.get("ann", "/v5/order/realtime", "category=linear&symbol=BTCUSDT");
    assert!(rows(&first).is_empty(), "half of one is none");
    let cursor = first["result"]["nextPageCursor"].as_str().unwrap();
    let second = stand.get("ann", "/v5/order/realtime", &format!("category=linear&symbol=BTCUSDT&cursor={cursor}"));
    assert_ne!(code(&second), 0);
}

#[test]
fn a_server_error_has_an_odd_envelope_and_no_effect() {
    let mut stand = Stand::new(still());
    stand.command(json!({ "command": "plan", "on": "create", "fault": "server_error", "times": 2 }));
    for link in ["lo-1", "lo-2"] {
        let answer = stand.create("linear", link, "Buy", "60000");
        assert!([10_000, 10_016].contains(&code(&answer)));
        assert_eq!((answer["result"].clone(), answer["retExtInfo"].clone()), (Value::Null, Value::Null));
    }
    assert!(stand.open("ann", "linear").is_empty());
}

#[test]
fn a_ban_a_maintenance_and_a_pause_shut_the_door_until_healed() {
    let mut stand = Stand::new(still());
    stand.command(json!({ "command": "ban", "seconds": 600 }));
    let request = stand.signed("ann", "GET", "/v5/order/realtime", "category=spot");
    assert_eq!(stand.ask(request.clone()).status, 403);
    stand.command(json!({ "command": "heal" }));
    assert_eq!(stand.ask(request).status, 200);

    let status = stand.socket("/v5/public/misc/status");
    stand.say(status, json!({ "op": "subscribe", "args": ["system.status"] }));
    stand.command(json!({ "command": "maintenance", "on": true }));
    assert_eq!(code(&stand.create("linear", "lo-1", "Buy", "60000")), 10_016);
    assert_eq!(rows(&stand.get("ann", "/v5/system/status", "")).len(), 1);
    assert_eq!(stand.pushed(status, "system.status")[0]["state"], "ongoing");
    stand.command(json!({ "command": "maintenance", "on": false }));

    stand.command(json!({ "command": "pause", "on": true }));
    let held = stand.signed("ann", "POST", "/v5/order/create", &order("linear", "lo-1", "Buy", "60000").to_string());
    let held = stand.send(held);
    let late = stand.signed("ann", "POST", "/v5/order/create", &order("linear", "lo-2", "Buy", "60000").to_string());
    stand.run_ms(3_000);
    assert!(stand.answer(held).is_none());
    stand.command(json!({ "command": "pause", "on": false }));
    assert_eq!(code(&body(stand.answer(held).unwrap())), 0);
    stand.run_ms(3_000);
    assert_eq!(code(&body(&stand.ask(late))), 10_002, "signed six seconds ago");
    assert_eq!(stand.fault_words(), ["ban", "maintenance", "engine_paused"]);
}

#[test]
fn sockets_are_dropped_silenced_and_refused() {
    let mut stand = Stand::new(still());
    let ann = stand.private("ann", &["order"]);
    let bob = stand.private("bob", &["order"]);
    let public = stand.socket("/v5/public/spot");
    stand.command(json!({ "command": "silence", "scope": "private", "account": 0, "ms": 5_000 }));
    stand.create("linear", "lost", "Buy", "60000");
    stand.run_ms(5_000);
    stand.create("linear", "heard", "Buy", "60000");
    let names: Vec<Value> = stand.pushed(ann, "order").iter().map(|row| row["orderLinkId"].clone()).collect();
    assert_eq!(names, ["heard"]);

    let dropped = stand.command(json!({ "command": "drop_sockets", "scope": "private", "account": 0 }));
    assert_eq!(
        (dropped["sockets"].as_u64(), stand.closed(ann), stand.closed(bob)),
        (Some(1), Some(CloseHow::Hard), None)
    );
    stand.command(json!({ "command": "drop_sockets", "scope": "public", "how": "silent" }));
    assert_eq!(stand.closed(public), Some(CloseHow::FallSilent));
    stand.say(public, json!({ "op": "ping" }));
    assert!(stand.texts(public).is_empty());

    stand.command(json!({ "command": "refuse_subscribe", "topic": "order" }));
    let again = stand.private("ann", &["order"]);
    assert_eq!(stand.texts(again).last().unwrap()["success"], false);
    stand.say(again, json!({ "op": "subscribe", "args": ["order"] }));
    assert_eq!(stand.texts(again).last().unwrap()["success"], true);
    assert_eq!(stand.fault_words(), ["socket_silenced", "socket_dropped", "socket_fell_silent", "subscribe_refused"]);
}

#[test]
fn pushes_come_twice_late_or_never() {
    for (fault, wanted) in [
        ("duplicate", vec!["New", "New", "Cancelled"]),
        ("lose", vec!["Cancelled"]),
        ("reorder", vec!["Cancelled", "New"]),
    ] {
        let mut stand = Stand::new(still());
        let socket = stand.private("ann", &["order"]);
        stand.command(json!({ "command": "pushes", "fault": fault }));
        stand.create("linear", "lo-1", "Buy", "60000");
        stand.post(
            "ann",
            "/v5/order/cancel",
            json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": "lo-1" }),
        );
        stand.run_ms(100);
        let states: Vec<Value> = stand.pushed(socket, "order").iter().map(|row| row["orderStatus"].clone()).collect();
        assert_eq!(states, wanted, "{fault}");
    }
}

#[test]
fn funding_liquidation_and_strangers_orders_show_as_the_venue_shows_them() {
    let mut stand = Stand::new(unlimited());
    let totals = stand.totals();
    let socket = stand.private("ann", &["execution", "order"]);
    stand.post("bob", "/v5/order/create", order("linear", "bob-1", "Sell", "64010"));
    stand.create("linear", "lo-1", "Buy", "64010");
    let booked = stand.command(json!({ "command": "funding", "symbol": "BTC-USDT-PERP", "rate": "0.0001" }));
    assert_eq!(booked["accounts"], 2);
    let funding = stand.pushed(socket, "execution").pop().unwrap();
    assert_eq!((funding["execType"].as_str(), funding["execFee"].as_str()), (Some("Funding"), Some("0.064")));
    assert_eq!((funding["orderId"].as_str(), funding["orderLinkId"].as_str()), (Some(""), Some("")));

    let foreign = json!({
        "command": "foreign_order", "account": 0, "symbol": "BTC-USDT-PERP", "side": "SELL", "price": "70000", "qty": "0.01",
    });
    let placed = stand.command(foreign);
    assert_eq!(stand.open("ann", "linear"), [""]);
    assert!(placed["orderId"].as_str().unwrap().contains('-'));

    stand.command(json!({ "command": "liquidation", "account": 0, "symbol": "BTC-USDT-PERP" }));
    let fills = rows(&stand.get("ann", "/v5/execution/list", "category=linear"));
    let kinds: Vec<&str> = fills.iter().map(|row| row["execType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["BustTrade", "Funding", "Trade"], "newest first");
    assert_eq!(stand.pushed(socket, "order").last().unwrap()["cancelType"], "CancelByPrepareLiq");
    assert!(rows(&stand.get("ann", "/v5/position/list", "category=linear&settleCoin=USDT")).is_empty());
    assert_eq!(stand.totals(), totals, "nothing came from nowhere");
    let back = Gateway::restore(unlimited(), &stand.file()).unwrap();
    assert_eq!(back.gateway.exchange().totals(), stand.gateway.exchange().totals());
    for account in [ANN, BOB] {
        let (before, after) = (stand.gateway.exchange(), back.gateway.exchange());
        assert_eq!(before.balances(account), after.balances(account));
        assert_eq!(before.fills(account), after.fills(account));
    }
}

#[test]
fn what_one_account_pays_the_crowd_gets() {
    let mut stand = Stand::new(unlimited());
    let totals = stand.totals();
    stand.create("linear", "lo-1", "Sell", "64010");
    let take = json!({ "symbol": "BTC-USDT-PERP", "side": "BUY", "price": "64010", "qty": "0.01" });
    stand.command(but(take, json!({ "command": "crowd_takes" })));
    stand.command(json!({ "command": "funding", "symbol": "BTC-USDT-PERP", "rate": "-0.00025" }));
    let funding = rows(&stand.get("ann", "/v5/execution/list", "category=linear")).remove(0);
    assert_eq!((funding["side"].as_str(), funding["execFee"].as_str()), (Some("Sell"), Some("0.16")));
    stand.command(json!({ "command": "liquidation", "account": 0, "symbol": "BTC-USDT-PERP", "deleveraging": true }));
    assert_eq!(rows(&stand.get("ann", "/v5/execution/list", "category=linear"))[0]["execType"], "AdlTrade");
    assert_eq!(stand.totals(), totals);
}

#[test]
fn latency_counts_both_ways() {
    let mut stand = Stand::new(still());
    stand.command(json!({ "command": "latency", "ms": 30 }));
    let request = stand.signed("ann", "POST", "/v5/order/create", &order("linear", "lo-1", "Buy", "60000").to_string());
    let ticket = stand.send(request);
    stand.run_ms(29);
    assert!(stand.lines("http").is_empty());
    stand.run_ms(1);
    assert_eq!(stand.lines("accepted").len(), 1);
    stand.run_ms(29);
    assert!(stand.answer(ticket).is_none());
    stand.run_ms(1);
    assert!(stand.answer(ticket).is_some());
}

#[test]
fn the_tester_sees_every_live_order_and_every_command_is_one_line() {
    let mut stand = Stand::new(still());
    stand.create("linear", "lo-1", "Buy", "60000");
    let dump = stand.command(json!({ "command": "orders" }));
    assert_eq!(dump["accounts"][0]["orders"][0]["orderLinkId"], "lo-1");
    assert_eq!(stand.command(json!({ "command": "balances" }))["accounts"].as_array().unwrap().len(), 2);
    for (command, good) in [
        (json!({ "command": "rates", "rates": { "answer_lost": 10 } }), true),
        (json!({ "command": "rates", "rates": { "answer_lots": 10 } }), false),
        (json!({ "command": "plan", "on": "any_cancel", "fault": { "slow_cancel": { "by_ms": 5 } } }), true),
        (json!({ "command": "plan", "on": "any_cancel", "fault": "no_such" }), false),
        (json!({ "command": "crowd_takes", "symbol": "BTC-USDT", "side": "BUY", "price": "1", "qty": "1" }), true),
        (json!({ "command": "ban", "seconds": 1, "more": 2 }), false),
        (json!({ "command": "dance" }), false),
    ] {
        assert_eq!(serde_json::from_value::<AdminCommand>(command.clone()).is_ok(), good, "{command}");
    }
    let impossible: AdminCommand =
        serde_json::from_value(json!({ "command": "plan", "on": "time", "fault": "shuffled_batch" })).unwrap();
    assert!(stand.gateway.command(stand.now, impossible).is_err(), "a plan that can never strike is refused");
}
