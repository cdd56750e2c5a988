//! Anything at all may come in: nothing panics, money stays, and the same comes out for the same.

use proptest::prelude::*;

use super::*;

fn words() -> impl Strategy<Value = String> {
    let known = [
        "category",
        "linear",
        "spot",
        "symbol",
        "BTCUSDT",
        "ETHPERP",
        "side",
        "Buy",
        "qty",
        "price",
        "0",
        "-1",
        "1e9",
        "0.001",
        "99999999999999999999999999999999999999",
        "orderId",
        "orderLinkId",
        "request",
        "cursor",
        "limit",
        "page_token=3&",
        "startTime",
        "endTime",
        "9223372036854775807",
        "-9223372036854775808",
        "settleCoin",
        "USDT",
        "op",
        "auth",
        "subscribe",
        "args",
        "order",
        "orderbook.50.BTCUSDT",
        "dcp.future",
        "timeWindow",
        "product",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "\\PC{0,12}"]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        words().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((words(), inner), 0..8).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

const PATHS: &[(&str, &str)] = &[
    ("GET", "/v5/market/time"),
    ("GET", "/v5/market/instruments-info"),
    ("GET", "/v5/market/tickers"),
    ("GET", "/v5/market/orderbook"),
    ("GET", "/v5/market/recent-trade"),
    ("GET", "/v5/market/kline"),
    ("POST", "/v5/order/create"),
    ("POST", "/v5/order/create-batch"),
    ("POST", "/v5/order/amend"),
    ("POST", "/v5/order/cancel"),
    ("POST", "/v5/order/cancel-batch"),
    ("POST", "/v5/order/cancel-all"),
    ("GET", "/v5/order/realtime"),
    ("GET", "/v5/order/history"),
    ("GET", "/v5/execution/list"),
    ("GET", "/v5/position/list"),
    ("POST", "/v5/order/disconnected-cancel-all"),
    ("GET", "/v5/account/fee-rate"),
];

fn almost_an_order() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(vec![
        "category",
        "symbol",
        "side",
        "orderType",
        "qty",
        "price",
        "timeInForce",
        "orderLinkId",
    ]);
    let categories = prop::sample::select(vec!["linear", "spot"]);
    (categories, any::<bool>(), 60_000..68_000_i64, prop::option::of((field, json_value())), any::<u16>()).prop_map(
        |(category, buys, price, spoilt, link)| {
            let side = if buys { "Buy" } else { "Sell" };
            let mut order = order(category, &format!("w{link}"), side, &price.to_string());
            if let Some((field, value)) = spoilt {
                order[field] = value;
            }
            order
        },
    )
}

/// Orders as often as everything else together: they are to meet.
fn request() -> impl Strategy<Value = ((&'static str, &'static str), Value)> {
    prop_oneof![
        (prop::sample::select(PATHS.to_vec()), json_value()),
        (prop::sample::select(PATHS.to_vec()), almost_an_order()),
        (Just(("POST", "/v5/order/create")), almost_an_order()),
        (Just(("POST", "/v5/order/create")), almost_an_order()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_request_panics_and_money_stays(
        requests in prop::collection::vec((request(), any::<bool>()), 1..40)
    ) {
        let mut stand = Stand::new(unlimited());
        let totals = stand.totals();
        for (((method, path), value), anns) in requests {
            let payload = match (method, value.as_object()) {
                ("GET", Some(fields)) => {
                    let pair = |(name, value): (&String, &Value)| {
                        format!("{}={}", query::encoded(name), query::encoded(value.as_str().unwrap_or(&value.to_string())))
                    };
                    fields.iter().map(pair).collect::<Vec<String>>().join("&")
                }
                _ => value.to_string(),
            };
            let request = stand.signed(if anns { "ann" } else { "bob" }, method, path, &payload);
            let out = stand.ask(request);
            let answer: Value = serde_json::from_slice(&out.body).unwrap();
            prop_assert!(answer["retCode"].is_i64(), "{}", answer);
            stand.run_ms(7);
        }
        prop_assert_eq!(stand.totals(), totals);
        let back = Gateway::restore(unlimited(), &stand.file()).unwrap();
        prop_assert_eq!(back.gateway.exchange().open_orders(ANN), stand.gateway.exchange().open_orders(ANN));
    }

    #[test]
    fn no_bytes_panic(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PUT")],
        path in "\\PC{0,60}",
        body in prop::collection::vec(any::<u8>(), 0..200),
        texts in prop::collection::vec(prop_oneof!["\\PC{0,80}".boxed(), json_value().prop_map(|value| value.to_string()).boxed()], 0..12),
    ) {
        let mut stand = Stand::new(still());
        for path in [path.as_str(), "/v5/order/create", "/v5/order/realtime"] {
            let headers = ["x-bapi-api-key", "x-bapi-timestamp", "x-bapi-sign", "x-bapi-recv-window"];
            let headers = headers.map(|name| (name.to_owned(), String::from_utf8_lossy(&body).into_owned())).to_vec();
            stand.ask(HttpIn { method: method.to_owned(), path_and_query: path.to_owned(), headers, body: body.clone() });
        }
        for path in ["/v5/public/spot", "/v5/public/linear", "/v5/private", "/v5/trade"] {
            let socket = stand.socket(path);
            if path == "/v5/private" || path == "/v5/trade" {
                stand.login(socket, "ann");
            }
            for text in &texts {
                stand.gateway.socket_text(stand.now, socket, text);
            }
            stand.run_ms(150);
        }
    }

    #[test]
    fn the_same_goes_in_and_the_same_comes_out(seed in 0_u64..20, orders in prop::collection::vec(almost_an_order(), 1..15)) {
        let run = || {
            let mut setup = unlimited();
            setup.setup.seed = seed;
            setup.setup.activity = 1_000;
            setup.setup.latency_us = 3_000;
            setup.setup.latency_jitter_us = 5_000;
            let mut stand = Stand::new(setup);
            let socket = stand.private("ann", &["order", "execution", "wallet"]);
            stand.run_ms(50);
            stand.login(socket, "ann");
            for order in &orders {
                let request = stand.signed("ann", "POST", "/v5/order/create", &order.to_string());
                stand.send(request);
                stand.run_ms(60);
            }
            stand.heard
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn deep_json_is_refused_and_not_followed() {
    let mut stand = Stand::new(unlimited());
    let deep = "[".repeat(100_000);
    let request = stand.signed("ann", "POST", "/v5/order/create", &deep);
    assert_eq!(code(&body(&stand.ask(request))), 10_001);
    let socket = stand.socket("/v5/private");
    stand.gateway.socket_text(stand.now, socket, &deep);
    stand.run_ms(0);
    assert_eq!(stand.texts(socket)[0]["success"], false);
}
