//! The exchange's dialect against samples of the real venue's wire: the same fields of the same kinds, file by file.
//!
//! The samples lie beside the project on some machines; where they are not, this says so and checks nothing. Values are
//! not compared, shapes are: which fields an object has, and whether each is text, number, flag, list, object or null.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lastorders::domain::ids::Symbol;
use lastorders::exchange::dialects::bybit::{AdminCommand, Gateway, GatewaySetup, Key, Limits};
use lastorders::exchange::dialects::{GatewayOut, HttpIn, SocketId};
use lastorders::exchange::{AccountId, Micros, Setup, Ticket};
use serde_json::{Value, json};

const START_MS: i64 = 1_795_169_472_000;

/// Samples a client sends, and the list of sources: nothing a venue emits.
const NOT_EMITTED: &[&str] = &["SOURCES.md", "ws_trade_auth_request.json", "ws_trade_create_request.json"];

/// Where a sample and what is emitted differ for a reason: the file, the path of the field, why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("instrument_linear_premarket_nocancel.json", ".result.list[].symbolId", "an older sample has none"),
    ("instrument_linear_premarket_nocancel.json", ".result.list[].preListingInfo", "nothing here is before its market"),
    ("open_orders_page.json", ".result.list[].cumFeeDetail", "by coin; empty before the first fill"),
    ("order_history_page.json", ".result.list[].cumFeeDetail", "by coin; empty without a fill"),
    ("ws_order_update.json", ".data[].cumFeeDetail", "by coin; empty before the first fill"),
    ("ws_execution.json", ".data[].extraFees[]", "no such fees here"),
];

struct Stand {
    gateway: Gateway,
    now: Micros,
    heard: Vec<GatewayOut>,
    last: u64,
}

impl Stand {
    fn new() -> Stand {
        let symbols = ["BTC-USDT", "BTC-USDT-PERP"].map(Symbol::new);
        let mut setup = Setup::new(&symbols);
        setup.open_account(AccountId(1));
        setup.activity = 0;
        let mut ann = Key::trading("ann", "ann-secret", AccountId(0));
        ann.has_switch = true;
        let keys = vec![ann, Key::trading("bob", "bob-secret", AccountId(1))];
        let gateway = Gateway::new(GatewaySetup { setup, keys, limits: Limits::default(), clock_skew_ms: 0 });
        let mut stand = Stand { gateway, now: Micros::from_millis(START_MS), heard: Vec::new(), last: 0 };
        stand.run_ms(0);
        stand
    }

    fn run_ms(&mut self, ms: i64) {
        self.now = self.now.plus_millis(ms);
        self.gateway.advance(self.now, &mut self.heard);
    }

    fn ask_at(&mut self, time_ms: i64, key: &str, method: &str, path: &str, payload: &str) -> Value {
        self.last += 1;
        let ticket = Ticket(self.last);
        let text = format!("{time_ms}{key}5000{payload}");
        let headers = [
            ("x-bapi-api-key", key.to_owned()),
            ("x-bapi-timestamp", time_ms.to_string()),
            ("x-bapi-recv-window", "5000".to_owned()),
            ("x-bapi-sign", signature(&format!("{key}-secret"), &text)),
        ];
        let get = method == "GET";
        let request = HttpIn {
            method: method.to_owned(),
            path_and_query: if get { format!("{path}?{payload}") } else { path.to_owned() },
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: if get { Vec::new() } else { payload.as_bytes().to_vec() },
        };
        self.gateway.http(self.now, ticket, request);
        self.run_ms(0);
        let answer = self.heard.iter().find_map(|out| match out {
            GatewayOut::Http(answered, out) if *answered == ticket => Some(&out.body),
            _ => None,
        });
        serde_json::from_slice(answer.expect("an answer at once")).unwrap()
    }

    fn get(&mut self, path: &str, query: &str) -> Value {
        self.ask_at(self.now.millis(), "ann", "GET", path, query)
    }

    fn post(&mut self, key: &str, path: &str, fields: Value) -> Value {
        self.ask_at(self.now.millis(), key, "POST", path, &fields.to_string())
    }

    fn create(&mut self, key: &str, category: &str, link: &str, side: &str, price: &str) -> Value {
        self.post(key, "/v5/order/create", order(category, link, side, price))
    }

    fn command(&mut self, command: Value) {
        let command: AdminCommand = serde_json::from_value(command).unwrap();
        self.gateway.command(self.now, command).unwrap();
        self.run_ms(0);
    }

    fn socket(&mut self, path: &str, says: &[Value]) -> SocketId {
        self.last += 1;
        let socket = SocketId(self.last);
        self.gateway.socket_open(self.now, socket, path);
        for message in says {
            self.say(socket, message.clone());
        }
        socket
    }

    fn say(&mut self, socket: SocketId, message: Value) {
        self.gateway.socket_text(self.now, socket, &message.to_string());
        self.run_ms(0);
    }

    fn login(&self) -> Value {
        let expires = self.now.millis() + 1_000;
        json!({ "op": "auth", "args": ["ann", expires, signature("ann-secret", &format!("GET/realtime{expires}"))] })
    }

    fn texts(&self, socket: SocketId) -> Vec<Value> {
        let text = |out: &GatewayOut| match out {
            GatewayOut::Text(to, text) if *to == socket => Some(serde_json::from_str(text).unwrap()),
            _ => None,
        };
        self.heard.iter().filter_map(text).collect()
    }

    fn first(&self, socket: SocketId, topic: &str, kind: Option<&str>) -> Value {
        let mut texts = self.texts(socket).into_iter();
        let found = texts.find(|text| text["topic"] == topic && kind.is_none_or(|kind| text["type"] == kind));
        found.unwrap_or_else(|| panic!("nothing of {topic} {kind:?}"))
    }
}

fn signature(secret: &str, text: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    ring::hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn order(category: &str, link: &str, side: &str, price: &str) -> Value {
    json!({
        "category": category, "symbol": "BTCUSDT", "side": side, "orderType": "Limit", "qty": "0.01", "price": price,
        "timeInForce": "GTC", "orderLinkId": link,
    })
}

/// What the exchange says where the venue said what is in the file.
fn emitted() -> BTreeMap<&'static str, Value> {
    let mut said = over_http();
    said.extend(over_sockets());
    said
}

fn over_http() -> BTreeMap<&'static str, Value> {
    let mut stand = Stand::new();
    let mut said: BTreeMap<&'static str, Value> = BTreeMap::new();
    said.insert("place_ack.json", stand.create("ann", "spot", "s1", "Buy", "60000"));
    let missing = json!({ "category": "linear", "symbol": "BTCUSDT" });
    said.insert("error_10001_missing_order_id.json", stand.post("ann", "/v5/order/cancel", missing));
    stand.create("ann", "linear", "l1", "Buy", "60000");
    said.insert("error_110072_duplicate_link_id.json", stand.create("ann", "linear", "l1", "Buy", "60000"));
    let change = json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": "l1", "price": "59000" });
    said.insert("amend_ack.json", stand.post("ann", "/v5/order/amend", change));
    said.insert("open_orders_page.json", stand.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT"));
    let named = |category: &str, link: &str| json!({ "category": category, "symbol": "BTCUSDT", "orderLinkId": link });
    said.insert("cancel_ack.json", stand.post("ann", "/v5/order/cancel", named("linear", "l1")));
    said.insert("error_110001_order_not_exist.json", stand.post("ann", "/v5/order/cancel", named("linear", "no")));
    said.insert("error_170213_spot_order_not_exist.json", stand.post("ann", "/v5/order/cancel", named("spot", "no")));
    stand.run_ms(2_000);
    said.insert("order_history_page.json", stand.get("/v5/order/history", "category=linear"));
    let legs = json!([order("spot", "s2", "Buy", "60000"), order("spot", "s3", "Buy", "60000")]);
    let batch = json!({ "category": "spot", "request": legs });
    said.insert("place_batch_ack.json", stand.post("ann", "/v5/order/create-batch", batch));
    let legs = json!([{ "symbol": "BTCUSDT", "orderLinkId": "s2" }, { "symbol": "BTCUSDT", "orderLinkId": "no" }]);
    let batch = json!({ "category": "spot", "request": legs });
    said.insert("cancel_batch_partial_failure.json", stand.post("ann", "/v5/order/cancel-batch", batch));
    said.insert("cancel_all_spot.json", stand.post("ann", "/v5/order/cancel-all", json!({ "category": "spot" })));
    stand.create("bob", "linear", "b1", "Sell", "64010");
    stand.create("ann", "linear", "l2", "Buy", "64010");
    said.insert("executions_page.json", stand.get("/v5/execution/list", "category=linear"));
    said.insert("positions_linear.json", stand.get("/v5/position/list", "category=linear&settleCoin=USDT"));
    said.insert("wallet_balance.json", stand.get("/v5/account/wallet-balance", "accountType=UNIFIED"));
    said.insert("instrument_linear.json", stand.get("/v5/market/instruments-info", "category=linear"));
    said.insert(
        "instrument_linear_premarket_nocancel.json",
        stand.get("/v5/market/instruments-info", "category=linear&symbol=BTCUSDT"),
    );
    said.insert("instrument_spot.json", stand.get("/v5/market/instruments-info", "category=spot"));
    said.insert("tickers_spot.json", stand.get("/v5/market/tickers", "category=spot"));
    said.insert("tickers_inverse.json", stand.get("/v5/market/tickers", "category=linear"));
    said.insert("orderbook_rest.json", stand.get("/v5/market/orderbook", "category=spot&symbol=BTCUSDT"));
    said.insert("server_time.json", stand.get("/v5/market/time", ""));
    let window = json!({ "product": "DERIVATIVES", "timeWindow": 10 });
    said.insert("dcp_set_ack.json", stand.post("ann", "/v5/order/disconnected-cancel-all", window));
    said.insert("dcp_info.json", stand.get("/v5/account/query-dcp-info", ""));
    let late_ms = stand.now.millis() - 6_000;
    said.insert(
        "error_10002_timestamp.json",
        stand.ask_at(late_ms, "ann", "GET", "/v5/order/realtime", "category=spot"),
    );
    for _ in 0..10 {
        stand.post("ann", "/v5/order/cancel", named("linear", "no"));
    }
    said.insert("error_10006_rate_limit.json", stand.post("ann", "/v5/order/cancel", named("linear", "no")));
    stand.command(json!({ "command": "maintenance", "on": true }));
    said.insert("system_status.json", stand.get("/v5/system/status", ""));
    said
}

fn over_sockets() -> BTreeMap<&'static str, Value> {
    let mut stand = Stand::new();
    let mut said: BTreeMap<&'static str, Value> = BTreeMap::new();
    let subscribe = |topics: Value| json!({ "op": "subscribe", "req_id": "10001", "args": topics });
    let topics = json!(["order", "execution", "execution.fast"]);
    let private = stand.socket("/v5/private", &[stand.login(), subscribe(topics), json!({ "op": "ping" })]);
    for (place, file) in
        ["ws_auth_ok_private.json", "ws_subscribe_ack_private.json", "ws_pong_private.json"].into_iter().enumerate()
    {
        said.insert(file, stand.texts(private)[place].clone());
    }
    let topics = json!(["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT"]);
    let linear = stand.socket("/v5/public/linear", &[json!({ "op": "ping" }), subscribe(topics)]);
    said.insert("ws_pong_public_linear.json", stand.texts(linear)[0].clone());
    said.insert("ws_subscribe_ack_public.json", stand.texts(linear)[1].clone());
    let spot = stand.socket("/v5/public/spot", &[subscribe(json!(["tickers.BTCUSDT"]))]);
    said.insert("ws_ticker_spot.json", stand.first(spot, "tickers.BTCUSDT", None));
    said.insert("ws_ticker_linear_snapshot.json", stand.first(linear, "tickers.BTCUSDT", Some("snapshot")));
    said.insert("ws_orderbook_snapshot.json", stand.first(linear, "orderbook.50.BTCUSDT", Some("snapshot")));
    stand.create("bob", "linear", "b1", "Sell", "64010");
    stand.create("ann", "linear", "l1", "Buy", "64010");
    for (symbol, price) in [("BTC-USDT-PERP", "64100"), ("BTC-USDT", "64100")] {
        stand.command(json!({ "command": "move_price", "symbol": symbol, "price": price }));
    }
    stand.run_ms(300);
    said.insert("ws_orderbook_delta.json", stand.first(linear, "orderbook.50.BTCUSDT", Some("delta")));
    said.insert("ws_public_trade.json", stand.first(linear, "publicTrade.BTCUSDT", None));
    said.insert("ws_order_update.json", stand.first(private, "order", None));
    said.insert("ws_execution.json", stand.first(private, "execution", None));
    said.insert("ws_execution_fast.json", stand.first(private, "execution.fast", None));

    let trade = stand.socket("/v5/trade", &[stand.login(), json!({ "op": "ping" })]);
    let request = |op: &str, args: Value| {
        let header = json!({ "X-BAPI-TIMESTAMP": (START_MS + 300).to_string(), "X-BAPI-RECV-WINDOW": "8000" });
        json!({ "reqId": "test-005", "header": header, "op": op, "args": [args] })
    };
    stand.say(trade, request("order.create", order("linear", "l2", "Buy", "60000")));
    let mut refused = order("linear", "l3", "Buy", "60000");
    refused["positionIdx"] = json!(1);
    let mut batch = request("order.create-batch", json!({ "category": "linear", "request": [refused] }));
    batch.as_object_mut().unwrap().remove("reqId");
    stand.say(trade, batch);
    let files = [
        "ws_trade_auth_ok.json",
        "ws_trade_pong.json",
        "ws_trade_create_ack.json",
        "ws_trade_create_batch_all_legs_failed.json",
    ];
    for (place, file) in files.into_iter().enumerate() {
        said.insert(file, stand.texts(trade)[place].clone());
    }
    let status = stand.socket("/v5/public/misc/status", &[subscribe(json!(["system.status"]))]);
    stand.command(json!({ "command": "maintenance", "on": true }));
    said.insert("ws_system_status.json", stand.first(status, "system.status", None));
    said
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Where two values are of another shape, by path.
fn differences(sample: &Value, emitted: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match (sample, emitted) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (name, value) in wanted {
                let path = format!("{path}.{name}");
                match got.get(name) {
                    Some(other) => differences(value, other, &path, found),
                    None => found.push((path, "missing".to_owned())),
                }
            }
            for name in got.keys().filter(|name| !wanted.contains_key(*name)) {
                found.push((format!("{path}.{name}"), "not in the sample".to_owned()));
            }
        }
        (Value::Array(wanted), Value::Array(got)) => {
            let path = format!("{path}[]");
            match (wanted.first(), got.first()) {
                (Some(one), Some(other)) => differences(one, other, &path, found),
                (Some(_), None) => found.push((path, "nothing in the list".to_owned())),
                (None, _) => {}
            }
        }
        _ if kind(sample) != kind(emitted) => {
            found.push((path.to_owned(), format!("{} instead of {}", kind(emitted), kind(sample))));
        }
        _ => {}
    }
}

fn samples() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../shared", "../../shared"].map(|shared| root.join(shared).join("venues/samples/bybit"));
    beside.into_iter().find(|folder| folder.is_dir())
}

#[test]
fn everything_the_venue_was_seen_to_say_the_exchange_says_in_the_same_shape() {
    let emitted = emitted();
    let Some(folder) = samples() else {
        eprintln!("skipped: no samples of the venue beside the project");
        return;
    };
    let mut compared = 0;
    let mut wrong = Vec::new();
    let mut excused: Vec<(String, String)> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let file = entry.file_name().into_string().unwrap();
        if NOT_EMITTED.contains(&file.as_str()) {
            continue;
        }
        let sample: Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
        let Some(said) = emitted.get(file.as_str()) else {
            wrong.push(format!("{file}: nothing like it is emitted here"));
            continue;
        };
        compared += 1;
        let mut found = Vec::new();
        differences(&sample, said, "", &mut found);
        for (path, why) in found {
            let known = |(of, at, _): &&(&str, &str, &str)| *of == file && path.starts_with(at);
            match DIFFERENT.iter().find(known) {
                Some((of, at, _)) => excused.push(((*of).to_owned(), (*at).to_owned())),
                None => wrong.push(format!("{file}{path}: {why}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 40, "{compared}");
    for (of, at, why) in DIFFERENT {
        let used = excused.iter().any(|(file, path)| file == of && path == at);
        assert!(used, "{of}{at} does not differ (any more): {why}");
    }
}

#[test]
fn the_comparison_sees_what_is_missing_added_or_of_another_kind() {
    let sample = json!({ "a": "1", "b": [{ "c": 1, "d": null }], "e": [] });
    for (other, path) in [
        (json!({ "a": "1", "b": [{ "c": 1, "d": null }] }), ".e"),
        (json!({ "a": "1", "b": [{ "c": "1", "d": null }], "e": [] }), ".b[].c"),
        (json!({ "a": "1", "b": [{ "c": 1, "d": {} }], "e": [] }), ".b[].d"),
        (json!({ "a": "1", "b": [], "e": [] }), ".b[]"),
        (json!({ "a": "1", "b": [{ "c": 1, "d": null }], "e": [], "f": 1 }), ".f"),
    ] {
        let mut found = Vec::new();
        differences(&sample, &other, "", &mut found);
        assert_eq!(found.iter().map(|(path, _)| path.as_str()).collect::<Vec<&str>>(), [path]);
    }
    let mut found = Vec::new();
    differences(&sample, &sample, "", &mut found);
    assert!(found.is_empty());
}
