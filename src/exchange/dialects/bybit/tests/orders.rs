//! Orders over HTTP: taken, listed, ended.

use super::*;

#[test]
fn an_order_is_taken_listed_and_taken_off() {
    for category in ["linear", "spot"] {
        let mut stand = Stand::new(still());
        let taken = stand.create(category, "lo-1", "Buy", "60000");
        assert_eq!((code(&taken), &taken["result"]["orderLinkId"]), (0, &json!("lo-1")));
        let id = taken["result"]["orderId"].as_str().unwrap().to_owned();
        assert_eq!(id.contains('-'), category == "linear", "a UUID on linear, a number on spot: {id}");
        assert_eq!(stand.open("ann", category), ["lo-1"]);
        assert!(stand.open("bob", category).is_empty());

        let fields = json!({ "category": category, "symbol": "BTCUSDT", "orderId": id, "orderLinkId": "another" });
        assert_eq!(code(&stand.post("ann", "/v5/order/cancel", fields.clone())), 0, "the venue's id wins");
        assert_eq!(stand.open("ann", category), ["lo-1"], "an acknowledged cancel is not a done one");
        stand.run_ms(10);
        assert!(stand.open("ann", category).is_empty());

        let query = format!("category={category}&symbol=BTCUSDT&orderLinkId=lo-1");
        let closed = rows(&stand.get("ann", "/v5/order/realtime", &query));
        assert_eq!(closed[0]["orderStatus"], "Cancelled", "by id it is still shown");
        assert_eq!(closed[0]["cancelType"], "CancelByUser");
        let history = rows(&stand.get("ann", "/v5/order/history", &format!("category={category}")));
        assert_eq!(history[0]["orderId"], json!(id));

        let again = stand.post("ann", "/v5/order/cancel", fields);
        let gone = if category == "spot" { [170_213, 170_142] } else { [110_001, 110_010] };
        assert!(gone.contains(&code(&again)), "{again}");
    }
}

#[test]
fn what_is_wrong_with_an_order_is_said_in_the_categorys_numbers() {
    let cases = [
        (json!({ "price": "60000.05" }), 10_001, 170_134),
        (json!({ "qty": "0.0001" }), 10_001, 170_137),
        (json!({ "qty": "0.001", "price": "10" }), 110_094, 170_140),
        (json!({ "qty": "900", "price": "60000" }), 110_007, 170_131),
        (json!({ "qty": 1 }), 10_001, 10_001),
        (json!({ "side": "buy" }), 10_001, 10_001),
        (json!({ "timeInForce": "GTD" }), 10_001, 10_001),
        (json!({ "symbol": "NOPE" }), 10_001, 170_121),
        (json!({ "orderLinkId": "no spaces" }), 10_001, 10_001),
        (json!({ "triggerPrice": "50000" }), 10_001, 10_001),
        (json!({ "positionIdx": 1 }), 10_001, 10_001),
        (json!({ "orderLinkId": "taken" }), 110_072, 170_141),
        (json!({ "category": "option" }), 10_001, 10_001),
        (json!({ "category": "nonsense" }), 10_001, 10_001),
    ];
    for (place, category) in ["linear", "spot"].into_iter().enumerate() {
        let mut stand = Stand::new(unlimited());
        assert_eq!(code(&stand.create(category, "taken", "Buy", "50000")), 0);
        for (fields, linear, spot) in &cases {
            let wrong = but(order(category, "lo-1", "Buy", "60000"), fields.clone());
            let answer = stand.post("ann", "/v5/order/create", wrong);
            assert_eq!(code(&answer), [*linear, *spot][place], "{category} {fields}: {answer}");
        }
        assert_eq!(stand.open("ann", category), ["taken"], "nothing of that came in");
    }
}

#[test]
fn a_post_only_order_that_would_take_is_taken_and_then_cancelled() {
    let mut stand = Stand::new(still());
    let socket = stand.private("ann", &["order"]);
    let crossing = but(order("linear", "lo-1", "Buy", "70000"), json!({ "timeInForce": "PostOnly" }));
    assert_eq!(code(&stand.post("ann", "/v5/order/create", crossing)), 0);
    let states = stand.pushed(socket, "order");
    assert_eq!(states.last().unwrap()["orderStatus"], "Cancelled");
    assert_eq!(states.last().unwrap()["rejectReason"], "EC_PostOnlyWillTakeLiquidity");
}

#[test]
fn a_batch_answers_leg_by_leg_and_is_well_even_when_no_leg_is() {
    let mut stand = Stand::new(still());
    let leg = |link: &str, price: &str| but(order("linear", link, "Buy", price), json!({ "category": null }));
    let legs = [leg("lo-1", "60000"), leg("lo-2", "60000.01"), leg("lo-3", "60001"), leg("lo-1", "60002")];
    let answer = stand.post("ann", "/v5/order/create-batch", json!({ "category": "linear", "request": legs }));
    let codes = |answer: &Value| -> Vec<i64> {
        let list = answer["retExtInfo"]["list"].as_array().unwrap();
        list.iter().map(|verdict| verdict["code"].as_i64().unwrap()).collect()
    };
    assert_eq!(codes(&answer), [0, 10_001, 0, 110_072]);
    let said = rows(&answer);
    let names: Vec<&str> = said.iter().map(|row| row["orderLinkId"].as_str().unwrap()).collect();
    assert_eq!(names, ["lo-1", "lo-2", "lo-3", "lo-1"]);
    assert_eq!((said[1]["orderId"].as_str(), said[1]["createAt"].as_str()), (Some(""), Some("")));
    let id = said[0]["orderId"].clone();

    let legs = json!([
        { "symbol": "BTCUSDT", "orderId": id },
        { "symbol": "BTCUSDT", "orderLinkId": "never" },
        { "symbol": "BTCUSDT", "orderLinkId": "lo-3" },
        { "symbol": "ETHPERP", "orderLinkId": "lo-3" },
    ]);
    let answer = stand.post("ann", "/v5/order/cancel-batch", json!({ "category": "linear", "request": legs }));
    assert_eq!(codes(&answer), [0, 110_001, 0, 110_001]);
    stand.run_ms(10);
    assert!(stand.open("ann", "linear").is_empty());
    let none = json!({ "category": "linear", "request": [{ "symbol": "BTCUSDT", "orderLinkId": "lo-1" }] });
    let answer = stand.post("ann", "/v5/order/cancel-batch", none);
    assert_eq!((code(&answer), codes(&answer)[0] == 0), (0, false), "{answer}");
}

#[test]
fn cancel_all_needs_a_scope_on_linear_and_takes_its_first() {
    let mut stand = Stand::new(unlimited());
    let place = |stand: &mut Stand, link: &str, fields: Value| {
        let order = but(order("linear", link, "Buy", "60000"), fields);
        assert_eq!(code(&stand.post("ann", "/v5/order/create", order)), 0);
    };
    place(&mut stand, "usdt", json!({}));
    place(&mut stand, "usdc", json!({ "symbol": "ETHPERP", "price": "3000" }));
    assert_eq!(code(&stand.create("spot", "spot", "Buy", "60000")), 0);

    let all = |stand: &mut Stand, fields: Value| {
        let answer = stand.post("ann", "/v5/order/cancel-all", fields);
        stand.run_ms(10);
        answer
    };
    assert_eq!(code(&all(&mut stand, json!({ "category": "linear" }))), 10_001);
    let stops = json!({ "category": "spot", "orderFilter": "StopOrder" });
    assert_eq!(rows(&all(&mut stand, stops)).len(), 0, "other kinds of orders are not these");
    let taken = all(&mut stand, json!({ "category": "linear", "settleCoin": "USDC" }));
    assert_eq!((rows(&taken)[0]["orderLinkId"].clone(), &taken["result"]["success"]), (json!("usdc"), &json!("1")));
    let first = json!({ "category": "linear", "symbol": "BTCUSDT", "settleCoin": "USDC" });
    assert_eq!(rows(&all(&mut stand, first)).len(), 1, "the symbol comes before the coin");
    assert!(rows(&all(&mut stand, json!({ "category": "linear", "settleCoin": "EUR" }))).is_empty());
    assert_eq!(stand.open("ann", "spot"), ["spot"]);
    assert_eq!(rows(&all(&mut stand, json!({ "category": "spot" }))).len(), 1);
    assert!(stand.open("ann", "spot").is_empty());
}

#[test]
fn every_page_has_a_cursor_and_no_order_is_missed_while_others_come_and_go() {
    let mut stand = Stand::new(unlimited());
    for number in 0..120 {
        let price = (50_000 + number).to_string();
        assert_eq!(code(&stand.create("linear", &format!("stay-{number}"), "Buy", &price)), 0);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    let mut pages = 0;
    loop {
        let query = format!("category=linear&settleCoin=USDT&limit=20{cursor}");
        let answer = stand.get("ann", "/v5/order/realtime", &query);
        let page = rows(&answer);
        seen.extend(page.iter().map(|row| row["orderLinkId"].as_str().unwrap().to_owned()));
        pages += 1;
        let next = answer["result"]["nextPageCursor"].as_str().unwrap().to_owned();
        assert_eq!(next.is_empty(), page.is_empty(), "a page with rows has a cursor, the last one too");
        if page.is_empty() {
            break;
        }
        assert!(next.contains("%3D") && !next.contains('='), "{next}");
        cursor = format!("&cursor={next}");
        // The world goes on between two pages.
        stand.create("linear", &format!("new-{pages}"), "Buy", "49000");
        let gone = json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": seen[seen.len() - 3] });
        stand.post("ann", "/v5/order/cancel", gone);
        stand.run_ms(10);
    }
    let stayed: Vec<String> = (0..120).rev().map(|number| format!("stay-{number}")).collect();
    assert_eq!(seen, stayed, "each once, the newest first");
    assert_eq!(pages, 7);
    let twice = stand.get("ann", "/v5/order/realtime", "category=linear&settleCoin=USDT&cursor=page_token%253D3%2526");
    assert_eq!(code(&twice), 10_001, "a cursor that was encoded twice is broken");
}

#[test]
fn a_listing_of_linear_orders_needs_a_scope_and_another_category_is_empty() {
    let mut stand = Stand::new(still());
    assert_eq!(code(&stand.get("ann", "/v5/order/realtime", "category=linear")), 10_001);
    for query in ["category=inverse&settleCoin=BTC", "category=option", "category=spot", "category=linear&baseCoin=BTC"]
    {
        assert!(rows(&stand.get("ann", "/v5/order/realtime", query)).is_empty(), "{query}");
    }
}

#[test]
fn market_orders_trade_and_their_fills_wallet_and_position_show_it() {
    let mut stand = Stand::new(still());
    let sells = but(order("linear", "bob-1", "Sell", "64010"), json!({ "qty": "0.03" }));
    assert_eq!(code(&stand.post("bob", "/v5/order/create", sells)), 0);
    let market = but(order("linear", "lo-1", "Buy", ""), json!({ "orderType": "Market", "qty": "0.02" }));
    assert_eq!(code(&stand.post("ann", "/v5/order/create", market)), 0);
    let fills = rows(&stand.get("ann", "/v5/execution/list", "category=linear&symbol=BTCUSDT"));
    let fill = &fills[0];
    assert_eq!(
        (fills.len(), fill["execQty"].as_str(), fill["execPrice"].as_str()),
        (1, Some("0.020"), Some("64010.0"))
    );
    assert_eq!((fill["isMaker"].as_bool(), fill["leavesQty"].as_str()), (Some(false), Some("0.000")));
    assert_eq!(fill["execFee"], "0.70411", "5.5 bps of 1,280.2");
    let position = rows(&stand.get("ann", "/v5/position/list", "category=linear&settleCoin=USDT"));
    assert_eq!((position[0]["side"].as_str(), position[0]["size"].as_str()), (Some("Buy"), Some("0.020")));
    let flat = rows(&stand.get("ann", "/v5/position/list", "category=linear&symbol=ETHPERP"));
    assert_eq!((flat[0]["side"].as_str(), flat[0]["size"].as_str()), (Some(""), Some("0.00")));
    assert!(rows(&stand.get("ann", "/v5/position/list", "category=linear&settleCoin=USDC")).is_empty());
    let wallet = rows(&stand.get("ann", "/v5/account/wallet-balance", "accountType=UNIFIED&coin=USDT"));
    assert_eq!(wallet[0]["coin"][0]["walletBalance"], "999999.29589");

    let row = rows(&stand.get("ann", "/v5/order/history", "category=linear&orderLinkId=lo-1"));
    assert_eq!((row[0]["orderStatus"].as_str(), row[0]["avgPrice"].as_str()), (Some("Filled"), Some("64010")));
    assert_ne!(row[0]["price"], "0", "on linear a market order has the price it may go to");
}

#[test]
fn what_is_left_of_an_immediate_order_ends_in_the_categorys_words() {
    for (category, status) in [("linear", "Cancelled"), ("spot", "PartiallyFilledCanceled")] {
        let mut stand = Stand::new(still());
        let sells = order(category, "bob-1", "Sell", "64010");
        assert_eq!(code(&stand.post("bob", "/v5/order/create", sells)), 0);
        let ioc = but(order(category, "lo-1", "Buy", "64010"), json!({ "timeInForce": "IOC", "qty": "0.03" }));
        assert_eq!(code(&stand.post("ann", "/v5/order/create", ioc)), 0);
        let query = format!("category={category}&symbol=BTCUSDT&orderLinkId=lo-1");
        let row = rows(&stand.get("ann", "/v5/order/realtime", &query));
        assert_eq!((row[0]["orderStatus"].as_str(), row[0]["cumExecQty"].as_str()), (Some(status), Some("0.010")));
        assert_eq!(row[0]["rejectReason"], "EC_CancelForNoFullFill");
        let fok = but(order(category, "lo-2", "Buy", "64010"), json!({ "timeInForce": "FOK" }));
        assert_eq!(code(&stand.post("ann", "/v5/order/create", fok)), 0);
        let query = format!("category={category}&symbol=BTCUSDT&orderLinkId=lo-2");
        let row = rows(&stand.get("ann", "/v5/order/realtime", &query));
        assert_eq!(
            (row[0]["orderStatus"].as_str(), row[0]["rejectReason"].as_str()),
            (Some("Cancelled"), Some("EC_NoImmediateQtyToFill"))
        );
    }
}

#[test]
fn a_spot_market_buy_is_in_quote_unless_it_says_otherwise() {
    let mut stand = Stand::new(unlimited());
    let sells = but(order("spot", "bob-1", "Sell", "64010"), json!({ "qty": "1" }));
    stand.post("bob", "/v5/order/create", sells);
    let market =
        |link: &str, fields: Value| but(order("spot", link, "Buy", ""), but(json!({ "orderType": "Market" }), fields));
    stand.post("ann", "/v5/order/create", market("quote", json!({ "qty": "1000" })));
    stand.post("ann", "/v5/order/create", market("base", json!({ "qty": "0.02", "marketUnit": "baseCoin" })));
    let row = |stand: &mut Stand, link: &str| {
        let query = format!("category=spot&orderLinkId={link}");
        rows(&stand.get("ann", "/v5/order/realtime", &query)).remove(0)
    };
    let quote = row(&mut stand, "quote");
    assert_eq!((quote["qty"].as_str(), quote["cumExecQty"].as_str()), (Some("1000.000"), Some("0.014")));
    assert_eq!(row(&mut stand, "base")["cumExecQty"], "0.020");
}

#[test]
fn an_order_without_a_name_gets_one_on_spot_only() {
    let mut stand = Stand::new(still());
    let nameless = |category: &str| but(order(category, "", "Buy", "60000"), json!({}));
    let spot = stand.post("ann", "/v5/order/create", nameless("spot"));
    let linear = stand.post("ann", "/v5/order/create", nameless("linear"));
    assert!(spot["result"]["orderLinkId"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(linear["result"]["orderLinkId"], "");
    let id = linear["result"]["orderId"].as_str().unwrap();
    let row = rows(&stand.get("ann", "/v5/order/realtime", &format!("category=linear&symbol=BTCUSDT&orderId={id}")));
    assert_eq!(row[0]["orderLinkId"], "");
}

#[test]
fn an_order_is_not_found_by_another_account_category_or_symbol() {
    let mut stand = Stand::new(still());
    let taken = stand.create("linear", "lo-1", "Buy", "60000");
    let id = taken["result"]["orderId"].as_str().unwrap().to_owned();
    for (key, query) in [
        ("bob", format!("category=linear&symbol=BTCUSDT&orderId={id}")),
        ("ann", format!("category=spot&symbol=BTCUSDT&orderId={id}")),
        ("ann", "category=spot&symbol=BTCUSDT&orderLinkId=lo-1".to_owned()),
        ("ann", "category=linear&symbol=ETHPERP&orderLinkId=lo-1".to_owned()),
        ("ann", "category=linear&symbol=BTCUSDT&orderLinkId=~1.0".to_owned()),
        ("ann", "category=linear&symbol=BTCUSDT&orderId=V1".to_owned()),
    ] {
        assert!(rows(&stand.get(key, "/v5/order/realtime", &query)).is_empty(), "{key} {query}");
    }
}

#[test]
fn an_amended_order_keeps_its_names_and_loses_its_place() {
    let mut stand = Stand::new(still());
    stand.create("linear", "lo-1", "Buy", "60000");
    let fields =
        json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": "lo-1", "price": "61000", "qty": "0.02" });
    assert_eq!(code(&stand.post("ann", "/v5/order/amend", fields)), 0);
    let row = rows(&stand.get("ann", "/v5/order/realtime", "category=linear&symbol=BTCUSDT"));
    assert_eq!((row[0]["price"].as_str(), row[0]["qty"].as_str()), (Some("61000.0"), Some("0.020")));
    let totals = stand.gateway.exchange().totals();
    let back = Gateway::restore(still(), &stand.file()).unwrap();
    let orders = back.gateway.exchange().open_orders(ANN);
    assert_eq!((orders.len(), orders[0].price.to_string()), (1, "61000".to_owned()));
    assert_eq!(back.gateway.exchange().totals(), totals);
    let locked = |gateway: &Gateway| gateway.exchange().balances(ANN).iter().map(|row| row.locked).max();
    assert_eq!(locked(&stand.gateway), "122.671".parse().ok(), "a tenth of 1,220 and the fee");
    assert_eq!(locked(&back.gateway), locked(&stand.gateway));
}

#[test]
fn a_reduce_only_order_needs_a_position_and_goes_with_it() {
    let mut stand = Stand::new(unlimited());
    let reducing = |link: &str| but(order("linear", link, "Sell", "65000"), json!({ "reduceOnly": true }));
    assert_eq!(code(&stand.post("ann", "/v5/order/create", reducing("early"))), 110_017);
    stand.post("bob", "/v5/order/create", order("linear", "bob-1", "Sell", "64010"));
    stand.create("linear", "lo-1", "Buy", "64010");
    assert_eq!(code(&stand.post("ann", "/v5/order/create", reducing("rests"))), 0);
    stand.post("bob", "/v5/order/create", order("linear", "bob-2", "Buy", "63000"));
    stand.create("linear", "close", "Sell", "63000");
    let row = rows(&stand.get("ann", "/v5/order/realtime", "category=linear&symbol=BTCUSDT&orderLinkId=rests"));
    assert_eq!(row[0]["cancelType"], "CancelByReduceOnly");
}

#[test]
fn a_hedged_account_names_a_side_and_sees_both() {
    let mut setup = unlimited();
    setup.keys[0].hedge_mode = true;
    let mut stand = Stand::new(setup);
    assert_eq!(code(&stand.create("linear", "lo-1", "Buy", "60000")), 10_001);
    let sided = but(order("linear", "lo-1", "Buy", "60000"), json!({ "positionIdx": 1 }));
    assert_eq!(code(&stand.post("ann", "/v5/order/create", sided)), 0);
    let rows = rows(&stand.get("ann", "/v5/position/list", "category=linear&symbol=BTCUSDT"));
    let indices: Vec<i64> = rows.iter().map(|row| row["positionIdx"].as_i64().unwrap()).collect();
    assert_eq!(indices, [1, 2]);
}

#[test]
fn an_ended_order_is_shown_by_the_history_when_nothing_else_shows_it() {
    let mut stand = Stand::new(unlimited());
    let ends = |stand: &mut Stand, link: &str| {
        let ioc = but(order("linear", link, "Buy", "60000"), json!({ "timeInForce": "IOC" }));
        stand.post("ann", "/v5/order/create", ioc);
    };
    ends(&mut stand, "first");
    let realtime = |stand: &mut Stand, link: &str| {
        let query = format!("category=linear&symbol=BTCUSDT&orderLinkId={link}");
        rows(&stand.get("ann", "/v5/order/realtime", &query)).len()
    };
    for number in 0..499 {
        ends(&mut stand, &format!("lo-{number}"));
    }
    assert_eq!(realtime(&mut stand, "first"), 1);
    ends(&mut stand, "one-more");
    assert_eq!(realtime(&mut stand, "first"), 0, "only the last 500 are remembered there");
    stand.command(json!({ "command": "forget_ended" }));
    assert_eq!(realtime(&mut stand, "one-more"), 0);
    let closed = stand.get("ann", "/v5/order/realtime", "category=linear&symbol=BTCUSDT&openOnly=1");
    assert!(rows(&closed).is_empty());
    let history = stand.get("ann", "/v5/order/history", "category=linear&orderLinkId=first");
    assert_eq!(rows(&history).len(), 1);
}

#[test]
fn a_cancel_all_takes_500_at_most() {
    let mut setup = unlimited();
    setup.setup.listings.push(crate::exchange::Listing::for_symbol(&Symbol::new("ETH-USDT-PERP")));
    let mut stand = Stand::new(setup);
    for number in 0..260 {
        stand.create("linear", &format!("b{number}"), "Buy", "50000");
        let eth = but(order("linear", &format!("e{number}"), "Buy", "3000"), json!({ "symbol": "ETHUSDT" }));
        stand.post("ann", "/v5/order/create", eth);
    }
    let all = json!({ "category": "linear", "settleCoin": "USDT" });
    assert_eq!(rows(&stand.post("ann", "/v5/order/cancel-all", all)).len(), 500);
    stand.run_ms(10);
    assert_eq!(stand.gateway.exchange().open_orders(ANN).len(), 20);
}

#[test]
fn no_more_orders_rest_than_the_venue_allows() {
    let mut stand = Stand::new(unlimited());
    for number in 0..500 {
        let answer = stand.create("linear", &format!("lo-{number}"), "Buy", "50000");
        assert_eq!(code(&answer), 0, "{answer}");
    }
    assert_eq!(code(&stand.create("linear", "over", "Buy", "50000")), 110_020);
    assert_eq!(code(&stand.create("spot", "spot", "Buy", "50000")), 0, "spot is counted apart");
}
