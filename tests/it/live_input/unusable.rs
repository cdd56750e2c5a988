//! Answers that are none, from the first question on: the start does not come about, says why, and sends nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::judge::{of_end, soundness};
use super::meddler::{Meddler, Twist};
use super::{Desk, Key, all_at_once, exchange, temporary};

/// What stands instead of an answer.
struct Case {
    name: &'static str,
    /// Part of the path.
    of: &'static str,
    twist: fn() -> Twist,
    /// 1 where the lists still show that nothing is open.
    code: i32,
    words: &'static [&'static str],
}

const EVERYTHING: &str = "/v5/";
const INSTRUMENTS: &str = "/v5/market/instruments-info";
const BALANCES: &str = "/v5/account/wallet-balance";
const OPEN: &str = "/v5/order/realtime";
const FILLS: &str = "/v5/execution/list";
const KEY_INFO: &str = "/v5/user/query-api";
const POSITIONS: &str = "/v5/position/list";

const HTML: &str = "<html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>";

fn deep() -> Vec<u8> {
    format!("{{\"retCode\":0,\"result\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes()
}

fn row_with(field: &str, value: &str) -> Vec<u8> {
    let row = format!(
        r#"{{"orderId":"7","orderLinkId":"loa1b200001a000001","symbol":"BTCUSDT","side":"Buy","price":"40000","qty":"0.010",
            "cumExecQty":"0.000","orderStatus":"New","cancelType":"UNKNOWN","rejectReason":"EC_NoError","{field}":{value}}}"#
    );
    // The field in question stands there once, with the bad value.
    let row: serde_json::Value = serde_json::from_str(&row).expect("a row");
    serde_json::json!({"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [row], "nextPageCursor": ""},
        "retExtInfo": {}, "time": 1_795_169_472_123_u64})
    .to_string()
    .into_bytes()
}

const CASES: &[Case] = &[
    Case { name: "a page with status 200", of: EVERYTHING, twist: || Twist::body(HTML), code: 3, words: &["no JSON"] },
    Case {
        name: "a page that names the region",
        of: EVERYTHING,
        twist: || Twist::Instead { status: 403, body: HTML.into() },
        code: 3,
        words: &["403", "region"],
    },
    Case {
        name: "a redirection",
        of: EVERYTHING,
        twist: || Twist::Instead { status: 302, body: Vec::new() },
        code: 3,
        words: &["302"],
    },
    Case {
        name: "only errors",
        of: EVERYTHING,
        twist: || Twist::Instead { status: 502, body: HTML.into() },
        code: 3,
        words: &["502", "Just a moment"],
    },
    Case { name: "no word", of: EVERYTHING, twist: || Twist::Silence, code: 3, words: &["did not answer in time"] },
    Case {
        name: "noise",
        of: EVERYTHING,
        twist: || Twist::Raw(vec![0x16, 0x03, 0x01, 0xff, 0xfe, 0x00, b'\r', b'\n', b'\r', b'\n']),
        code: 3,
        words: &["its answer is not HTTP"],
    },
    Case {
        name: "an answer that breaks off on the wire",
        of: INSTRUMENTS,
        twist: || {
            Twist::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{\"retCode\":0,\"result\":{\"li".to_vec())
        },
        code: 1,
        words: &["before the answer was whole"],
    },
    Case {
        name: "JSON that breaks off",
        of: INSTRUMENTS,
        twist: || Twist::Changed(|body| body.as_bytes()[..body.len() / 2].to_vec()),
        code: 1,
        words: &["breaks off"],
    },
    Case { name: "a body without end", of: INSTRUMENTS, twist: || Twist::Endless, code: 1, words: &["4194304"] },
    Case {
        name: "a body that is too large",
        of: INSTRUMENTS,
        twist: || Twist::body(format!("{{\"retCode\":0,\"x\":\"{}\"}}", "x".repeat(5 << 20))),
        code: 1,
        words: &["4194304"],
    },
    Case { name: "deep JSON", of: BALANCES, twist: || Twist::body(deep()), code: 1, words: &["nested deeper than 64"] },
    Case {
        name: "no text",
        of: BALANCES,
        twist: || Twist::body(vec![b'{', 0xff, 0xc3, b'}']),
        code: 1,
        words: &["UTF-8"],
    },
    Case { name: "nothing", of: BALANCES, twist: || Twist::body(""), code: 1, words: &["breaks off"] },
    Case {
        name: "a code that is a word",
        of: BALANCES,
        twist: || Twist::body(r#"{"retCode":"none","retMsg":"OK","result":{"list":[]}}"#),
        code: 1,
        words: &["`retCode`"],
    },
    Case {
        name: "a result that is a number",
        of: BALANCES,
        twist: || Twist::body(r#"{"retCode":0,"retMsg":"OK","result":7}"#),
        code: 1,
        words: &["result is a number"],
    },
    Case {
        name: "an amount that is a list",
        of: BALANCES,
        twist: || {
            Twist::Changed(|body| body.replace("\"walletBalance\":\"", "\"walletBalance\":[],\"was\":\"").into_bytes())
        },
        code: 1,
        words: &["walletBalance"],
    },
    Case {
        name: "steps below zero",
        of: INSTRUMENTS,
        twist: || Twist::Changed(|body| body.replace("\"tickSize\":\"", "\"tickSize\":\"-").into_bytes()),
        code: 1,
        words: &["tickSize"],
    },
    Case {
        name: "a field that stands there twice",
        of: KEY_INFO,
        twist: || Twist::Changed(|body| body.replacen('{', "{\"retCode\":0,", 1).into_bytes()),
        code: 1,
        words: &["names `retCode` twice"],
    },
    Case {
        name: "a side nobody knows",
        of: OPEN,
        twist: || Twist::body(row_with("side", "\"Hold\"")),
        code: 3,
        words: &["neither Buy nor Sell"],
    },
    Case {
        name: "a size below zero",
        of: OPEN,
        twist: || Twist::body(row_with("qty", "\"-0.01\"")),
        code: 3,
        words: &["`qty`"],
    },
    Case {
        name: "a state nobody knows",
        of: OPEN,
        twist: || Twist::body(row_with("orderStatus", "\"Sleeping\"")),
        code: 3,
        words: &["loa1b200001a000001"],
    },
    Case {
        name: "a list that is an object",
        of: FILLS,
        twist: || Twist::body(r#"{"retCode":0,"retMsg":"OK","result":{"list":{},"nextPageCursor":""}}"#),
        code: 3,
        words: &["`list`"],
    },
    Case {
        name: "pages without end",
        of: OPEN,
        twist: || {
            static PAGES: AtomicU64 = AtomicU64::new(0);
            let page = row_with("orderLinkId", "\"somebody\"");
            let mut page: Value = serde_json::from_slice(&page).expect("a page");
            page["result"]["list"] = vec![page["result"]["list"][0].clone(); 50].into();
            page["result"]["nextPageCursor"] = PAGES.fetch_add(1, Ordering::Relaxed).to_string().into();
            Twist::body(page.to_string())
        },
        code: 3,
        words: &["does not end"],
    },
    Case {
        name: "a contract that is a text",
        of: POSITIONS,
        twist: || Twist::body(r#"{"retCode":0,"retMsg":"OK","result":{"list":["none"],"nextPageCursor":""}}"#),
        code: 1,
        words: &["position"],
    },
];

/// Every case of the table, at one exchange.
pub(super) fn all_of_the_table() -> Vec<String> {
    let keys: Vec<Key> = CASES.iter().map(|_| Key::new(0)).collect();
    let folder = temporary();
    let known: Vec<_> = keys.iter().map(|key| (key, "")).collect();
    let exchange = exchange(folder.path(), &known, &["--activity", "0", "--no-limits"]);
    let both: Vec<_> = CASES.iter().zip(&keys).collect();
    let play = |(case, key): &(&Case, &Key)| {
        let meddler = Meddler::before(exchange.address());
        let (of, twist) = (case.of, case.twist);
        meddler.twist(move |target| if target.starts_with(of) { twist() } else { Twist::None });
        let desk = Desk::live(meddler.address(), key);
        let mut findings = of_end(&desk, &desk.run_out(), case.code, case.words);
        findings.extend(soundness(&desk, &meddler.signatures()));
        if meddler.n_twisted() == 0 || meddler.signatures().is_empty() {
            findings.push("nothing was twisted, or nothing was signed: this shows nothing".to_owned());
        }
        findings
    };
    let mut findings = all_at_once(&both, |(case, _)| case.name.to_owned(), play);
    let creates = exchange.ledger().arrivals.iter().filter(|arrival| arrival.creates()).count();
    findings.extend((creates > 0).then(|| format!("{creates} orders were placed")));
    findings
}

/// A stream whose subscriptions are refused for ever is none.
pub(super) fn a_stream_that_refuses_its_topics() -> Vec<String> {
    let topics = ["execution", "orderbook"];
    all_at_once(
        &topics,
        |topic| (*topic).to_owned(),
        |topic| {
            let (folder, key) = (temporary(), Key::new(0));
            let exchange = exchange(folder.path(), &[(&key, "")], &["--activity", "0"]);
            exchange.order(&json!({"command": "refuse_subscribe", "times": 1_000_000, "topic": topic}));
            let desk = Desk::live(exchange.address(), &key);
            of_end(&desk, &desk.run_out(), 1, &["stream down", "refuses the subscription", *topic])
        },
    )
}
