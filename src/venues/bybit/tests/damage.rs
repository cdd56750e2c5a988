//! Whatever the venue (or somebody in its place) sends: no panic, and no proof that is none.

use proptest::prelude::*;

use super::{KEY, NOW, SECRET, account, account_of, api_key, create_of, order, response, settings};
use crate::domain::order::{Side, TimeInForce};
use crate::domain::request::{Answered, Call, Page, RefusalKind, Scope};
use crate::venues::bybit::codes::{About, Verdict, verdict};
use crate::venues::wire::{HttpOutcome, HttpResponse};
use crate::venues::{Account, Codec, Part, Reading};

fn calls() -> Vec<Call> {
    vec![
        create_of("BTC-USDT", Side::Buy, TimeInForce::Gtc),
        Call::Cancel(order("BTC-USDT-PERP", 1, Some("u-1"))),
        Call::CancelBatch(vec![order("BTC-USDT", 1, None), order("BTC-USDT", 2, Some("v2"))]),
        Call::Query(order("BTC-USDT", 1, None)),
        Call::History(order("BTC-USDT-PERP", 1, None)),
        Call::ListOpen(None),
        Call::ListOpen(Some(Page("2|3|c".into()))),
        Call::ListFills(NOW, None),
        Call::Balances,
        Call::Positions,
        Call::Instruments,
        Call::Time,
        Call::Access,
        Call::CancelAll(Scope("spot".into())),
        Call::SetSwitch(Some(std::time::Duration::from_secs(40))),
        Call::ReadSwitch,
    ]
}

/// Bodies that are understood, one a line of the table of calls and some more, to be damaged.
const BODIES: &[&str] = &[
    r#"{"retCode":0,"retMsg":"OK","result":{"orderId":"u-1","orderLinkId":"lo7k2p000a1a000001"},"retExtInfo":{},"time":1700000000000}"#,
    r#"{"retCode":0,"result":{"list":[{"orderId":"1","orderLinkId":"lo7k2p000a1a000001"},{"orderId":"","orderLinkId":""}]},"retExtInfo":{"list":[{"code":0,"msg":"OK"},{"code":170213,"msg":"gone"}]},"time":1700000000000}"#,
    r#"{"retCode":0,"result":{"list":[{"orderId":"7","orderLinkId":"lo7k2p000a1a000001","symbol":"BTCUSDT","side":"Buy","price":"64000.5","qty":"0.010","cumExecQty":"0.001","orderStatus":"PartiallyFilled","positionIdx":0,"size":"1","execId":"e","execType":"Trade","execPrice":"1","execQty":"2","execFee":"-0.1","execTime":"1700000000000","isMaker":true,"coin":[{"coin":"BTC","walletBalance":"1"}]}],"nextPageCursor":"x%3A"},"time":1700000000000}"#,
    r#"{"retCode":0,"result":{"list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"Trading","lotSizeFilter":{"basePrecision":"0.000001","minOrderQty":"0.000011","maxLimitOrderQty":"83","minOrderAmt":"5","qtyStep":"0.1","maxOrderQty":"5"},"priceFilter":{"tickSize":"0.1"}}]},"time":1700000000000}"#,
    r#"{"retCode":0,"result":{"permissions":{"Spot":["SpotTrade"],"Wallet":["Withdraw"]},"readOnly":0,"ips":["*"],"dcpInfos":[{"product":"SPOT","dcpStatus":"ON","timeWindow":"10"}],"timeNano":"1700000000000000000","success":"1"},"time":1700000000000}"#,
    r#"{"retCode":10002,"retMsg":"req_timestamp[1],server_timestamp[1700000000000],recv_window[5]","time":1700000000000}"#,
    r#"{"retCode":10004,"retMsg":"error sign! origin_string[1700000000000canaryKEY00015000]","result":null,"time":1}"#,
];

/// Reads an outcome for every call, on a fresh and a strange part of the conversation.
fn read_all(account: &Account, outcome: &HttpOutcome) -> Vec<(Call, Reading)> {
    let strange = Part { number: 499, cursor: "1|zz".into(), gathered: vec![] };
    let mut read = Vec::new();
    for call in calls() {
        let _ = account.codec.read(&call, &strange, outcome);
        let reading = account.codec.read(&call, &Part::default(), outcome).reading;
        read.push((call, reading));
    }
    read
}

/// What a create may be said to have come to, for a status and a code.
fn check_create(reading: &Reading, status: u16, body: &[u8]) {
    let code = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|value| value.get("retCode")?.as_i64());
    let proved = match code {
        Some(code) => verdict(About::Create, code).0,
        None => Verdict::Unknown,
    };
    match reading {
        Reading::Answered(Answered::Done(_)) => assert!(status == 200 && proved == Verdict::Done, "{status} {code:?}"),
        Reading::Answered(Answered::Refused(_)) => {
            assert!(status < 500, "{status}");
            assert!(status != 200 || matches!(proved, Verdict::Refused(_)), "{status} {code:?}");
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bodies_panic_nobody_and_prove_nothing_by_accident(
        which in 0..BODIES.len(),
        cut in 0..400_usize,
        changes in proptest::collection::vec((0..400_usize, any::<u8>()), 0..4),
        status in prop_oneof![Just(200_u16), Just(200), Just(403), Just(429), Just(500), Just(503), 100..600_u16],
    ) {
        let mut body = BODIES[which].as_bytes().to_vec();
        for (at, byte) in changes {
            let length = body.len();
            body[at % length] = byte;
        }
        if cut % 3 == 0 {
            body.truncate(cut);
        }
        let outcome = HttpOutcome::Got(HttpResponse { status, headers: vec![], body: body.clone() });
        for (call, reading) in read_all(&account(), &outcome) {
            if matches!(call, Call::Create(_)) {
                check_create(&reading, status, &body);
            }
            let shown = format!("{reading:?}");
            prop_assert!(!shown.contains(SECRET) && !shown.contains(KEY), "{}", shown);
        }
    }

    #[test]
    fn any_json_with_any_code_is_judged_by_the_table(
        code in prop_oneof![Just(0_i64), -10..10_i64, 10_000..10_500_i64, 110_000..110_100_i64, 170_000..170_400_i64, any::<i64>()],
        status in prop_oneof![Just(200_u16), 300..600_u16],
        result in prop_oneof![
            Just("null".to_owned()), Just("{}".to_owned()), Just("[]".to_owned()), Just("\"\"".to_owned()),
            Just(r#"{"list":[]}"#.to_owned()), Just(r#"{"orderId":"1","orderLinkId":"lo7k2p000a1a000001"}"#.to_owned()),
            Just(r#"{"list":[{}]}"#.to_owned()), Just(r#"{"list":[null,1,"x",[]]}"#.to_owned()),
        ],
        reset in any::<i64>(), retry in any::<i64>(), time in any::<i64>(),
    ) {
        let body = format!(r#"{{"retCode":{code},"retMsg":"words","result":{result},"retExtInfo":"","time":{time}}}"#);
        let (reset, retry) = (reset.to_string(), retry.to_string());
        let headers = [("x-bapi-limit-reset-timestamp", reset.as_str()), ("retry-after", &retry), ("x-bapi-limit", "10")];
        let outcome = response(status, &headers, &body);
        for (call, reading) in read_all(&account(), &outcome) {
            if matches!(call, Call::Create(_)) {
                check_create(&reading, status, body.as_bytes());
            }
            if status >= 500 || status == 302 {
                prop_assert!(matches!(reading, Reading::Answered(Answered::Unknown(_))), "{call:?} {reading:?}");
            }
            // A cancel is never said to be done or gone by a code the table does not have.
            if matches!(call, Call::Cancel(_)) && status == 200 && verdict(About::Cancel, code).0 == Verdict::Unknown {
                prop_assert!(matches!(reading, Reading::Answered(Answered::Unknown(_))), "{code} {reading:?}");
            }
        }
    }

    #[test]
    fn any_token_and_any_cursor_are_only_text(text in r#"[0-9|%&=?# \r\na-z-]{0,40}"#, number in any::<u32>()) {
        let account = account();
        let part = Part { number, cursor: text.clone(), gathered: vec![] };
        for call in [Call::ListOpen(Some(Page(text.clone()))), Call::ListFills(NOW, Some(Page(text.clone()))),
                     Call::Positions, Call::Access, Call::Instruments, Call::ListFills(NOW, None)] {
            if let Ok(request) = account.codec.request(&call, &part, &super::signing()) {
                let path = &request.path_and_query;
                prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{path}");
                prop_assert!(path.matches('?').count() <= 1, "{path}");
            }
            let _ = account.codec.read(&call, &part, &response(200, &[], BODIES[2]));
        }
    }
}

#[test]
fn a_refused_create_is_refused_by_a_code_that_says_so() {
    // Every code there is, with a body that looks like success besides: the code decides.
    let account = account_of(&settings(&["BTC-USDT"], false), Some(api_key()));
    let create = create_of("BTC-USDT", Side::Buy, TimeInForce::Gtc);
    for code in (-20..20).chain(10_000..10_500).chain(110_000..110_120).chain(170_000..170_400) {
        let body = format!(
            r#"{{"retCode":{code},"retMsg":"","result":{{"orderId":"1","orderLinkId":"lo7k2p000a1a000001"}},"time":1700000000000}}"#
        );
        let reading = account.codec.read(&create, &Part::default(), &response(200, &[], &body)).reading;
        let expected = match verdict(About::Create, code).0 {
            Verdict::Done => matches!(reading, Reading::Answered(Answered::Done(_))),
            Verdict::Refused(kind) => {
                matches!(&reading, Reading::Answered(Answered::Refused(refusal)) if refusal.kind == kind)
            }
            Verdict::Unknown => matches!(reading, Reading::Answered(Answered::Unknown(_))),
            Verdict::Later(_) => matches!(reading, Reading::Answered(Answered::Later { .. })),
            Verdict::ClockWrong => matches!(reading, Reading::ClockWrong { .. }),
        };
        assert!(expected, "{code}: {reading:?}");
        assert_ne!(verdict(About::Create, code).0, Verdict::Refused(RefusalKind::NotFound), "{code}");
    }
}

#[test]
fn a_codec_can_be_shared_and_shows_no_key() {
    fn shared<T: Send + Sync + ?Sized>(_: &T) {}
    let account = account();
    shared::<dyn Codec>(&*account.codec);
}
