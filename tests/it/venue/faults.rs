//! Faults that are ordered by the admin port: what of them is seen on the wire, and what the ledger says of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Outcome, resting};
use super::exchange::Exchange;
use super::server::{CANCEL, CREATE, REALTIME, STILL, cancel, create, folder};

const SHORT: Duration = Duration::from_millis(400);

/// A fault of the next answer to a create.
fn next_create(when: &str, fault: Value) -> Value {
    json!({"command": "http", "http": {"path": CREATE, "when": when, "fault": fault}})
}

/// Whether an order with this id was ever placed, by the ledger, and whether the fault is noted with its id.
fn was_placed(exchange: &Exchange, client_id: &str, word: &str) -> bool {
    let ledger = exchange.wait_for("the fault in the ledger", |ledger| {
        let noted = ledger
            .strikes
            .iter()
            .any(|strike| strike.word == word && strike.client_ids == [client_id] && strike.ticket.is_some());
        noted.then(|| ledger.clone())
    });
    assert!(ledger.book.findings.is_empty(), "{:#?}", ledger.book.findings);
    ledger.has_order(client_id)
}

#[test]
fn each_fault_of_an_answer_is_seen_as_it_is_called_and_the_ledger_says_whether_it_was_carried_out() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    type Seen = fn(&Outcome) -> bool;
    let cases: &[(&str, Value, &str, Seen)] = &[
        (
            "503",
            json!({"status": {"status": 503}}),
            "http_status",
            |seen| matches!(seen, Outcome::Answer(answer) if answer.status == 503 && answer.body.starts_with(b"<html")),
        ),
        (
            "429",
            json!({"status": {"status": 429, "body": "empty", "retry_after_s": 3}}),
            "http_status",
            |seen| matches!(seen, Outcome::Answer(answer) if answer.status == 429 && answer.header("retry-after") == Some("3")),
        ),
        (
            "html",
            json!("html_ok"),
            "http_html_ok",
            |seen| matches!(seen, Outcome::Answer(answer) if answer.status == 200 && answer.body.starts_with(b"<html")),
        ),
        (
            "code",
            json!({"code": {"code": 10016, "msg": "busy"}}),
            "http_code",
            |seen| matches!(seen, Outcome::Answer(answer) if answer.code() == 10_016),
        ),
        ("hang", json!("hang"), "http_hang", |seen| matches!(seen, Outcome::Silent(bytes) if bytes.is_empty())),
        ("drop", json!("drop"), "http_drop", |seen| matches!(seen, Outcome::Closed(bytes) if bytes.is_empty())),
        ("reset", json!("reset"), "http_reset", |seen| matches!(seen, Outcome::Reset(bytes) if bytes.is_empty())),
        (
            "cut",
            json!({"truncate": {"bytes": 7}}),
            "http_truncate",
            |seen| matches!(seen, Outcome::Closed(bytes) if bytes.ends_with(b"\r\n\r\n{\"retCo") || bytes.len() > 7),
        ),
        ("endless", json!("endless"), "http_endless", |seen| matches!(seen, Outcome::Endless(_))),
    ];
    for (name, fault, word, is_as_called) in cases {
        for when in ["before", "after"] {
            let id = format!("lo-{name}-{when}");
            exchange.order(&next_create(when, fault.clone()));
            let mut client = exchange.client().with_patience(if *name == "hang" { SHORT } else { 10 * SHORT });
            let seen = client.post(CREATE, &resting(&id, "40000"));
            assert!(is_as_called(&seen), "{name}, {when} it was carried out: {seen:?}");
            assert_eq!(was_placed(&exchange, &id, word), when == "after", "{name} {when}");
            // The next one is as if nothing had been.
            create(&mut exchange.client(), &format!("lo-{name}-{when}-next"));
        }
    }
    let struck = exchange.look("faults");
    assert_eq!((&struck["struck"]["http_status"], &struck["struck"]["http_hang"]), (&json!(4), &json!(2)), "{struck}");
    assert_eq!(exchange.ledger().struck_since(0)["http_status"], 4);
}

#[test]
fn a_lost_answer_of_the_model_hangs_on_the_wire_and_the_order_lives() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    exchange.order(&json!({"command": "plan", "on": "create", "fault": "answer_lost"}));
    let seen = exchange.client().with_patience(SHORT).post(CREATE, &resting("lo-lost", "40000"));
    assert_eq!(seen, Outcome::Silent(Vec::new()));
    let ledger = exchange.ledger();
    assert!(ledger.live_of(0).contains("lo-lost"));
    assert_eq!(ledger.struck_since(0)["answer_lost"], 1);
    cancel(&mut exchange.client(), "lo-lost").answer().result();
}

#[test]
fn a_ban_and_a_maintenance_refuse_everything_until_they_are_healed() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    let listing = "category=linear&symbol=BTCUSDT";
    exchange.order(&json!({"command": "ban", "seconds": 600}));
    let answer = exchange.client().get(REALTIME, listing).answer();
    assert_eq!(answer.status, 403);
    assert!(String::from_utf8_lossy(&answer.body).contains("access too frequent"));
    exchange.order(&json!({"command": "heal"}));
    exchange.client().get(REALTIME, listing).answer().result();
    exchange.order(&json!({"command": "maintenance", "on": true}));
    assert_ne!(exchange.client().get(REALTIME, listing).answer().code(), 0);
    exchange.order(&json!({"command": "maintenance", "on": false}));
    exchange.client().get(REALTIME, listing).answer().result();
    let words = exchange.ledger().struck_since(0);
    assert!(words.contains_key("ban") && words.contains_key("maintenance"), "{words:?}");
}

#[test]
fn limits_are_told_in_headers_and_refuse_what_is_too_much() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &["--activity", "0"]);
    let mut client = exchange.client();
    let answers: Vec<_> =
        (0..40).map(|number| client.post(CREATE, &resting(&format!("lo-{number}"), "40000")).answer()).collect();
    assert_eq!(answers[0].header("x-bapi-limit"), Some("10"));
    assert_eq!(answers[0].header("x-bapi-limit-status"), Some("9"));
    let refused = answers.iter().filter(|answer| answer.code() == 10_006).count();
    assert!(refused > 0, "forty creates in a moment are more than ten a second");
    let ledger = exchange.ledger();
    assert_eq!(ledger.book.orders.len(), 40 - refused, "what was refused was not carried out");
    let busiest = ledger.busiest_seconds();
    assert!(busiest[&(0, CREATE.to_owned(), true)] > 10, "the judge sees that it was too much: {busiest:?}");
}

#[test]
fn sockets_end_fall_silent_and_lose_pushes_as_ordered() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    let mut client = exchange.client();
    for (how, word) in [("hard", "socket_dropped"), ("gracefully", "socket_closed")] {
        let mut stream = exchange.private(&["order"]);
        let ended = exchange.order(&json!({"command": "drop_sockets", "scope": "private", "how": how}));
        assert_eq!(ended["sockets"], 1, "{ended}");
        let end = stream.wait_for_end();
        assert_eq!(end == "closed", how == "gracefully", "{how}: {end}");
        assert!(exchange.ledger().struck_since(0).contains_key(word));
    }
    let mut stream = exchange.private(&["order"]);
    exchange.order(&json!({"command": "pushes", "fault": "lose"}));
    create(&mut client, "lo-unheard");
    create(&mut client, "lo-heard");
    stream.wait_for_row("order", "lo-heard", |_| true);
    assert_eq!(exchange.ledger().struck_since(0)["lost_push"], 1);
    exchange.order(&json!({"command": "pushes", "fault": "duplicate"}));
    cancel(&mut client, "lo-heard").answer().result();
    for _ in 0..2 {
        stream.wait_for_row("order", "lo-heard", |row| row["orderStatus"] == "Cancelled");
    }
}

#[test]
fn a_venue_whose_clock_is_off_refuses_and_says_its_time() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    exchange.order(&json!({"command": "clock_skew", "ms": -60_000}));
    let answer = exchange.client().post(CREATE, &resting("lo-late", "40000")).answer();
    assert_eq!(answer.code(), 10_002);
    assert!(answer.json()["retMsg"].as_str().expect("words").contains("server_timestamp["));
    assert!(!exchange.ledger().has_order("lo-late"));
}

#[test]
fn what_is_slow_is_slow_both_ways_and_nothing_overtakes_on_one_connection() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &[&STILL[..], &["--latency-ms", "30"]].concat());
    let mut client = exchange.client();
    create(&mut client, "lo-one");
    client.post(CANCEL, &json!({"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "lo-one"})).answer().result();
    let arrivals: Vec<i64> = exchange.ledger().arrivals.iter().map(|arrival| arrival.at_us).collect();
    assert!(arrivals.len() == 2 && arrivals[1] - arrivals[0] >= 60_000, "one way there, one way back: {arrivals:?}");
}
