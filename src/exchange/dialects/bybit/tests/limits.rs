//! The gate: signatures, clocks, limits.

use super::*;

fn without(mut request: HttpIn, header: &str) -> HttpIn {
    request.headers.retain(|(name, _)| name != header);
    request
}

fn with(request: HttpIn, header: &str, value: &str) -> HttpIn {
    let mut request = without(request, header);
    request.headers.push((header.to_owned(), value.to_owned()));
    request
}

#[test]
fn a_request_that_is_not_signed_for_these_very_bytes_is_refused_and_written_down() {
    let mut stand = Stand::new(still());
    let good = stand.signed("ann", "POST", "/v5/order/create", &order("linear", "lo-1", "Buy", "60000").to_string());
    let mut changed = good.clone();
    changed.body.push(b' ');
    let listing = stand.signed("ann", "GET", "/v5/order/realtime", "category=spot&limit=50");
    let mut turned = listing.clone();
    turned.path_and_query = "/v5/order/realtime?limit=50&category=spot".to_owned();
    let cases = [
        (changed, 10_004),
        (turned, 10_004),
        (with(good.clone(), "x-bapi-sign", "00"), 10_004),
        (with(good.clone(), "x-bapi-recv-window", "6000"), 10_004),
        (with(good.clone(), "x-bapi-api-key", "nobody"), 10_003),
        (with(good.clone(), "x-bapi-api-key", "bob"), 10_004),
        (without(good.clone(), "x-bapi-sign"), 10_001),
        (without(good.clone(), "x-bapi-timestamp"), 10_001),
        (with(good.clone(), "x-bapi-timestamp", "soon"), 10_001),
    ];
    for (request, wanted) in cases {
        let answer = body(&stand.ask(request));
        assert_eq!(code(&answer), wanted, "{answer}");
        assert!(!answer.to_string().contains("secret"));
        let line = stand.lines("http").pop().unwrap();
        assert_eq!((line["code"].as_i64(), line["t_ms"].as_i64()), (Some(wanted), Some(START_MS)));
    }
    assert!(stand.open("ann", "linear").is_empty() && stand.lines("accepted").is_empty());
    assert_eq!(code(&body(&stand.ask(good))), 0, "the same with nothing changed is let in");
}

#[test]
fn a_timestamp_is_good_from_the_window_before_to_a_second_after() {
    for (ahead_ms, let_in) in [(-5_001, false), (-5_000, true), (0, true), (999, true), (1_000, false)] {
        let mut stand = Stand::new(still());
        stand.command(json!({ "command": "clock_skew", "ms": ahead_ms }));
        let request = stand.signed("ann", "GET", "/v5/order/realtime", "category=spot");
        stand.command(json!({ "command": "clock_skew", "ms": 0 }));
        let answer = body(&stand.ask(request));
        assert_eq!(code(&answer), if let_in { 0 } else { 10_002 }, "{ahead_ms}: {answer}");
        if !let_in {
            let words = answer["retMsg"].as_str().unwrap();
            let told = format!("req_timestamp[{}],server_timestamp[{START_MS}],recv_window[5000]", START_MS + ahead_ms);
            assert!(words.contains(&told), "{words}");
        }
    }
}

#[test]
fn all_times_on_the_wire_are_the_venues() {
    let mut setup = still();
    setup.clock_skew_ms = 700;
    let mut stand = Stand::new(setup);
    let time = body(&stand.ask(HttpIn {
        method: "GET".to_owned(),
        path_and_query: "/v5/market/time".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    }));
    assert_eq!(
        (time["time"].as_i64(), time["result"]["timeSecond"].as_str()),
        (Some(START_MS + 700), Some("1795169472"))
    );
    assert_eq!(time["result"]["timeNano"], "1795169472700000000");
    stand.create("spot", "lo-1", "Buy", "60000");
    let row = rows(&stand.get("ann", "/v5/order/realtime", "category=spot"));
    assert_eq!(row[0]["createdTime"], (START_MS + 700).to_string());
}

#[test]
fn a_create_that_is_got_to_after_its_window_is_refused() {
    let mut stand = Stand::new(still());
    stand.command(json!({ "command": "plan", "on": "create", "fault": { "late_execution": { "after_ms": 5_001 } } }));
    let late = stand.signed("ann", "POST", "/v5/order/create", &order("linear", "lo-1", "Buy", "60000").to_string());
    let late = stand.send(late);
    stand.run_ms(6_000);
    assert_eq!(stand.answer(late).unwrap().mangle, Mangle::Hang);
    let rejected = stand.lines("rejected");
    assert_eq!((rejected.len(), rejected[0]["code"].as_str()), (1, Some("deadline")));
    assert!(stand.open("ann", "linear").is_empty());
}

#[test]
fn a_key_that_may_only_look_places_nothing() {
    let mut stand = Stand::new(still());
    let answer = stand.post(READER, "/v5/order/create", order("linear", "lo-1", "Buy", "60000"));
    assert_eq!(code(&answer), 10_005);
    assert_eq!(code(&stand.get(READER, "/v5/order/realtime", "category=spot")), 0);
    let key = stand.get(READER, "/v5/user/query-api", "");
    assert_eq!(
        (key["result"]["readOnly"].as_i64(), key["result"]["permissions"]["Wallet"].clone()),
        (Some(1), json!([]))
    );
}

fn header(out: &HttpOut, wanted: &str) -> String {
    out.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()).unwrap_or_default()
}

#[test]
fn cancels_are_counted_by_endpoint_and_batches_by_their_orders() {
    let mut stand = Stand::new(still());
    for number in 0..30 {
        let leg = but(order("linear", &format!("lo-{number}"), "Buy", "60000"), json!({}));
        let batch = json!({ "category": "linear", "request": [leg] });
        stand.post("ann", "/v5/order/create-batch", batch);
        if number % 10 == 9 {
            stand.run_ms(1_000);
        }
    }
    assert_eq!(stand.gateway.exchange().open_orders(ANN).len(), 30);
    let batch = |from: usize, count: usize| {
        let legs: Vec<Value> =
            (from..from + count).map(|n| json!({ "symbol": "BTCUSDT", "orderLinkId": format!("lo-{n}") })).collect();
        json!({ "category": "linear", "request": legs }).to_string()
    };
    let first = stand.signed("ann", "POST", "/v5/order/cancel-batch", &batch(0, 7));
    let first = stand.ask(first);
    assert_eq!(["X-Bapi-Limit", "X-Bapi-Limit-Status"].map(|name| header(&first, name)), ["10", "3"]);
    let second = stand.signed("ann", "POST", "/v5/order/cancel-batch", &batch(7, 7));
    let second = stand.ask(second);
    let codes: Vec<i64> = body(&second)["retExtInfo"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| verdict["code"].as_i64().unwrap())
        .collect();
    assert_eq!(codes, [0, 0, 0, 10_006, 10_006, 10_006, 10_006], "the first three fit");
    let reset = header(&second, "X-Bapi-Limit-Reset-Timestamp");
    assert_eq!(reset, (stand.gateway.venue_ms() + 1_000).to_string());
    let cut = stand.lines("http").pop().unwrap();
    assert_eq!((cut["code"].as_i64(), cut["cut"].as_u64()), (Some(0), Some(4)));
    let third = stand.post("ann", "/v5/order/cancel-batch", serde_json::from_str(&batch(14, 1)).unwrap());
    assert_eq!(code(&third), 10_006, "nothing is left");
    assert_eq!(stand.lines("http").pop().unwrap()["code"], 10_006, "and that is written down");
    let single = json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": "lo-14" });
    assert_eq!(code(&stand.post("ann", "/v5/order/cancel", single)), 0, "single cancels have their own");
    stand.run_ms(1_000);
    assert_eq!(stand.open("ann", "linear").len(), 19);
}

#[test]
fn an_address_that_asks_too_much_meets_403_until_the_ban_ends() {
    let mut setup = still();
    setup.limits = Limits { address_per_5s: 5, ban_s: 600, ..Limits::default() };
    let mut stand = Stand::new(setup);
    let time = HttpIn {
        method: "GET".to_owned(),
        path_and_query: "/v5/market/time".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let statuses: Vec<u16> = (0..7).map(|_| stand.ask(time.clone()).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 403, 403]);
    let banned = stand.signed("ann", "POST", "/v5/order/cancel-all", r#"{"category":"spot"}"#);
    let banned = stand.ask(banned);
    assert_eq!((banned.status, String::from_utf8_lossy(&banned.body).contains("access too frequent")), (403, true));
    stand.run_ms(600_000);
    assert_eq!(stand.ask(time).status, 200);
    assert_eq!(stand.lines("http").iter().filter(|line| line["code"] == 403).count(), 3);
}

#[test]
fn an_unknown_path_is_404_and_a_get_with_a_body_is_403() {
    let mut stand = Stand::new(still());
    let request = |path: &str, body: &[u8]| HttpIn {
        method: "GET".to_owned(),
        path_and_query: path.to_owned(),
        headers: Vec::new(),
        body: body.to_vec(),
    };
    assert_eq!(stand.ask(request("/v5/market/nothing", b"")).status, 404);
    assert_eq!(stand.ask(request("/v5/market/time", b"{}")).status, 403);
}
