//! What answers to creates, cancels, batches and queries prove.

use super::{KEY, NOW, account, answered, create_of, facts, ok, order, read, refusal, response, result};
use crate::domain::event::LimitNews;
use crate::domain::order::{Side, TimeInForce, VenueStatus};
use crate::domain::request::{Answered, Call, Facts, Refusal, RefusalKind};
use crate::domain::time::Wall;
use crate::venues::Reading;
use crate::venues::wire::HttpOutcome;
use std::time::Duration;

const OURS: &str = "lo7k2p000a1a000001";

fn create() -> Call {
    create_of("BTC-USDT", Side::Buy, TimeInForce::Gtc)
}

fn kind(answered: Answered) -> RefusalKind {
    match answered {
        Answered::Refused(refusal) => refusal.kind,
        other => panic!("not refused: {other:?}"),
    }
}

fn is_unknown(answered: &Answered) -> bool {
    matches!(answered, Answered::Unknown(_))
}

#[test]
fn an_accepted_create_has_the_venues_id() {
    let account = account();
    let taken = answered(&account, &create(), &result(&format!(r#"{{"orderId":"13210037","orderLinkId":"{OURS}"}}"#)));
    assert!(matches!(facts(taken), Facts::Created(id) if id.as_str() == "13210037"));
    for body in [
        r#"{"orderId":"","orderLinkId":"lo7k2p000a1a000001"}"#,
        r#"{"orderLinkId":"lo7k2p000a1a000001"}"#,
        r#"{"orderId":"1","orderLinkId":"somebody-else"}"#,
        r#"{"orderId":1}"#,
        "{}",
        "null",
        "[]",
    ] {
        assert!(is_unknown(&answered(&account, &create(), &result(body))), "{body}");
    }
}

#[test]
fn an_accepted_cancel_is_taken_and_not_more() {
    let (account, call) = (account(), Call::Cancel(order("BTC-USDT", 1, Some("u-1"))));
    for body in [r#"{"orderId":"u-1","orderLinkId":"lo7k2p000a1a000001"}"#, r#"{"orderId":"u-1"}"#, "{}"] {
        let taken = facts(answered(&account, &call, &result(body)));
        assert_eq!(taken, Facts::CancelTaken { filled: None }, "{body}");
    }
    assert!(is_unknown(&answered(&account, &call, &result(r#"{"orderId":"u-2","orderLinkId":"x"}"#))));
    assert!(is_unknown(&answered(&account, &call, &result(r#"{"orderId":"u-2","orderLinkId":"lo7k2p000a1a000001"}"#))));
    assert_eq!(kind(answered(&account, &call, &refusal(170_213, "Order does not exist."))), RefusalKind::NotFound);
    assert_eq!(
        kind(answered(&account, &call, &refusal(110_010, "Order already cancelled"))),
        RefusalKind::AlreadyEnded
    );
}

#[test]
fn a_cancel_answered_with_the_name_of_another_order_is_not_taken() {
    let (account, call) = (account(), Call::Cancel(order("BTC-USDT", 1, None)));
    for body in [r#"{"orderLinkId":"lo7k2p000a1a000001"}"#, r#"{"orderId":"u-1","orderLinkId":"lo7k2p000a1a000001"}"#] {
        let taken = facts(answered(&account, &call, &result(body)));
        assert_eq!(taken, Facts::CancelTaken { filled: None }, "{body}");
    }
    // Neither side names an id of the venue's: that is no agreement.
    for body in
        [r#"{"orderLinkId":"lo7k2p000a1a00'0001"}"#, r#"{"orderId":"","orderLinkId":"x"}"#, r#"{"orderId":"u-1"}"#]
    {
        assert!(is_unknown(&answered(&account, &call, &result(body))), "{body}");
    }
}

#[test]
fn silence_and_damage_prove_nothing_about_a_create() {
    let account = account();
    let bodies = [
        "",
        "<html>Welcome to the hotel</html>",
        "{",
        r#"{"retCode":0"#,
        "null",
        "[]",
        "0",
        r#"{"retCode":"x"}"#,
        r#"{"retMsg":"OK"}"#,
        r#"{"retCode":0}"#,
        r#"{"retCode":0,"result":{"orderId":"1"},"result":{"orderId":"2"}}"#,
        r#"{"retCode":123456,"retMsg":"new words"}"#,
        "\u{feff}{}",
    ];
    for body in bodies {
        assert!(is_unknown(&answered(&account, &create(), &ok(body))), "{body}");
    }
    let deep =
        format!(r#"{{"retCode":0,"result":{{"orderId":"1","x":{}{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(is_unknown(&answered(&account, &create(), &ok(&deep))));
    for status in [500, 502, 503, 504, 408, 302] {
        let body = format!(r#"{{"retCode":0,"result":{{"orderId":"1","orderLinkId":"{OURS}"}},"time":1}}"#);
        assert!(is_unknown(&answered(&account, &create(), &response(status, &[], &body))), "{status}");
        assert!(
            is_unknown(&answered(&account, &create(), &response(status, &[], r#"{"retCode":110007}"#))),
            "{status}"
        );
        assert!(is_unknown(&answered(&account, &Call::Balances, &response(status, &[], ""))), "{status}");
    }
    assert!(is_unknown(&answered(&account, &create(), &HttpOutcome::Lost("reset".into()))));
    assert!(matches!(
        answered(&account, &create(), &HttpOutcome::NotSent("refused".into())),
        Answered::NotSent(why) if why == "refused"
    ));
}

#[test]
fn a_ban_is_one_in_whichever_words_it_comes() {
    let account = account();
    for (status, body) in [
        (403, r#"{"retCode":10403,"retMsg":"Forbidden","time":1795132800000}"#),
        (403, r#"{"retCode":10009,"retMsg":"IP has been banned","time":1795132800000}"#),
        (403, "<html><title>403, access too frequent</title></html>"),
        (200, r#"{"retCode":10403,"retMsg":"Forbidden","time":1795132800000}"#),
    ] {
        match answered(&account, &create(), &response(status, &[], body)) {
            Answered::Later { wait, .. } => assert!(wait.as_secs() >= 600, "{status} {body}"),
            other => panic!("{status} {body}: {other:?}"),
        }
    }
}

#[test]
fn a_limit_waits_until_the_venue_says_it_resets() {
    let account = account();
    let body = format!(r#"{{"retCode":10006,"retMsg":"Too many visits!","time":{}}}"#, NOW.millis());
    let reset = (NOW.millis() + 640).to_string();
    let wait_of =
        |headers: &[(&str, &str)], status| match answered(&account, &create(), &response(status, headers, &body)) {
            Answered::Later { wait, .. } => wait.as_millis(),
            other => panic!("not later: {other:?}"),
        };
    assert_eq!(wait_of(&[("x-bapi-limit-reset-timestamp", &reset)], 200), 640);
    assert_eq!(wait_of(&[("x-bapi-limit-reset-timestamp", "1")], 200), 200, "a reset in the past");
    assert_eq!(wait_of(&[("x-bapi-limit-reset-timestamp", "99999999999999")], 200), 10_000, "no limit is that long");
    assert_eq!(wait_of(&[("x-bapi-limit-reset-timestamp", "soon")], 200), 200);
    assert_eq!(wait_of(&[("retry-after", "7")], 429), 7_000);
    assert_eq!(wait_of(&[("retry-after", "900")], 429), 900_000, "a ban");
    assert_eq!(wait_of(&[("retry-after", "9223372036854775807")], 429), 3_600_000, "no venue is silent for ever");
    assert_eq!(wait_of(&[], 429), 200);
}

#[test]
fn headers_tell_of_the_bucket_the_call_draws_from() {
    let account = account();
    let body = format!(r#"{{"retCode":0,"result":{{"orderId":"1","orderLinkId":"{OURS}"}},"time":1700000000005}}"#);
    let headers = [("X-Bapi-Limit", "20"), ("X-Bapi-Limit-Status", "19"), ("X-Bapi-Limit-Reset-Timestamp", "1")];
    let told = read(&account, &create(), &response(200, &headers, &body));
    assert_eq!(told.limits, [LimitNews { bucket: 0, limit: 20, left: 19 }]);
    assert_eq!(account.traits.billing.buckets[0].name, "spot creates");
    assert_eq!(told.server_time, Some(Wall::from_millis(1_700_000_000_005)));
    for (call, name) in [
        (Call::Cancel(order("BTC-USDT", 1, None)), "spot cancels"),
        (Call::Cancel(order("BTC-USDT-PERP", 1, None)), "linear cancels"),
        (Call::CancelBatch(vec![order("BTC-USDT", 1, None)]), "spot batch cancels"),
        (Call::CancelBatch(vec![order("BTC-USDT-PERP", 1, None)]), "linear batch cancels"),
        (Call::ListOpen(None), "reads"),
    ] {
        let told = read(&account, &call, &response(200, &headers, "{}")).limits;
        assert_eq!(account.traits.billing.buckets[told[0].bucket].name, name);
        // The bucket the news is about is one the call pays from.
        assert!(account.traits.billing.draws(&call).iter().any(|(bucket, _)| *bucket == told[0].bucket));
    }
    assert_eq!(read(&account, &Call::Access, &response(200, &headers, "{}")).limits, [], "it has a limit of its own");
    assert_eq!(
        read(&account, &create(), &response(200, &[("x-bapi-limit", "-4"), ("x-bapi-limit-status", "x")], "")).limits,
        []
    );
}

#[test]
fn a_ban_is_obeyed_and_a_blocked_country_is_named() {
    let account = account();
    for call in [create(), Call::Cancel(order("BTC-USDT", 1, None)), Call::ListOpen(None)] {
        match answered(&account, &call, &response(403, &[], "403, access too frequent, please try again later")) {
            Answered::Later { wait, why } => {
                assert!(wait >= Duration::from_secs(600));
                assert!(why.contains("banned") && why.contains("cancels"), "{why}");
            }
            other => panic!("{call:?}: {other:?}"),
        }
        match answered(
            &account,
            &call,
            &response(403, &[], "<html><title>403 ERROR</title>block access from your country"),
        ) {
            Answered::Refused(Refusal { text, .. }) => {
                assert!(text.contains("mainland China") && text.contains("403 ERROR"), "{text}")
            }
            other => panic!("{call:?}: {other:?}"),
        }
    }
    assert!(
        matches!(answered(&account, &create(), &refusal(10_403, "")), Answered::Later { wait, .. } if wait.as_secs() == 600)
    );
}

#[test]
fn a_wrong_clock_tells_the_venues_time() {
    let account = account();
    let words = "invalid request, please check your server timestamp or recv_window param. req_timestamp[1696396708819],server_timestamp[1696396707813],recv_window[15000]";
    let reading = |outcome| read(&account, &create(), &outcome).reading;
    assert_eq!(reading(refusal(10_002, words)), Reading::ClockWrong { server: Wall::from_millis(1_696_396_707_813) });
    assert_eq!(reading(refusal(-1, "timestamp")), Reading::ClockWrong { server: NOW });
    let short = ok(r#"{"retCode":10002,"retMsg":"server_timestamp[soon]"}"#);
    assert!(matches!(reading(short), Reading::Answered(Answered::Later { .. })), "no time to set a clock by");
}

#[test]
fn what_the_venue_quotes_of_a_key_is_not_told() {
    let account = account();
    let words = format!("error sign! origin_string[1700000000000{KEY}5000{{a[0]}}], key {KEY}");
    let told = answered(&account, &Call::Balances, &refusal(10_004, &words));
    let text = format!("{told:?}");
    assert!(!text.contains(KEY) && !text.contains("1700000000000"), "{text}");
    assert!(text.contains("origin_string[..]") && text.contains("testnet"), "{text}");
    // Nor where nobody expects it: what cannot be read is quoted.
    let twice = answered(&account, &Call::Balances, &ok(&format!(r#"{{"{KEY}":1,"{KEY}":2}}"#)));
    assert!(is_unknown(&twice) && !format!("{twice:?}").contains(KEY), "{twice:?}");
}

#[test]
fn a_batch_is_judged_order_by_order() {
    let account = account();
    let orders: Vec<_> = (1..=4).map(|n| order("BTC-USDT", n, Some(&format!("v{n}")))).collect();
    let call = Call::CancelBatch(orders.clone());
    let batch = |list: &str, verdicts: &str| {
        let body = format!(
            r#"{{"retCode":0,"retMsg":"OK","result":{{"list":[{list}]}},"retExtInfo":{{"list":[{verdicts}]}},"time":1}}"#
        );
        answered(&account, &call, &ok(&body))
    };
    let items = |answered: Answered| match facts(answered) {
        Facts::Batch(items) => orders.iter().map(|order| items.get(&order.client_id).cloned()).collect::<Vec<_>>(),
        other => panic!("not a batch: {other:?}"),
    };
    let taken = Some(Answered::Done(Facts::CancelTaken { filled: None }));
    let line = |n: u8| format!(r#"{{"orderId":"v{n}","orderLinkId":"lo7k2p000a1a00000{n}"}}"#);
    let is = |item: &Option<Answered>, kind: RefusalKind| matches!(item, Some(Answered::Refused(refusal)) if refusal.kind == kind);
    let good = r#"{"code":0,"msg":"OK"}"#;
    let gone = r#"{"code":170213,"msg":"Order does not exist."}"#;
    let fast = r#"{"code":10006,"msg":"Too many visits!"}"#;
    let odd = r#"{"code":987,"msg":"?"}"#;

    // In another order than asked: told apart by id.
    let shuffled = items(batch(&[line(3), line(1), line(4), line(2)].join(","), &[gone, good, fast, odd].join(",")));
    assert_eq!(shuffled[0], taken);
    assert!(is_unknown(shuffled[1].as_ref().unwrap()));
    assert!(is(&shuffled[2], RefusalKind::NotFound));
    assert!(matches!(shuffled[3], Some(Answered::Later { .. })));

    // A failed line names nothing: its place tells, because nothing else is out of place.
    let nameless = r#"{"orderId":"","orderLinkId":""}"#.to_owned();
    let placed =
        items(batch(&[line(1), nameless.clone(), line(3), line(4)].join(","), &[good, gone, good, good].join(",")));
    assert_eq!((&placed[0], &placed[2], &placed[3]), (&taken, &taken, &taken));
    assert!(is(&placed[1], RefusalKind::NotFound));

    // Named nothing, and others are out of place: nobody knows whose it is.
    let lost =
        items(batch(&[line(2), nameless.clone(), line(3), line(4)].join(","), &[good, gone, good, good].join(",")));
    assert_eq!((&lost[0], &lost[1]), (&None, &taken));

    // Shorter than asked.
    let short = items(batch(&[line(1), nameless].join(","), &[good, gone].join(",")));
    assert_eq!(short, [taken.clone(), None, None, None]);

    // Twice about one order.
    let twice = items(batch(&[line(1), line(1), line(3), line(4)].join(","), &[good, gone, good, good].join(",")));
    assert!(is_unknown(twice[0].as_ref().unwrap()));
    assert_eq!(twice[1], None);

    // Names and verdicts that do not belong together, or no verdicts at all.
    assert!(is_unknown(&batch(&line(1), &[good, gone].join(","))));
    for ext in ["{}", "null", r#""""#, r#"{"list":null}"#] {
        let body = format!(r#"{{"retCode":0,"result":{{"list":[{}]}},"retExtInfo":{ext},"time":1}}"#, line(1));
        assert!(is_unknown(&answered(&account, &call, &ok(&body))), "{ext}");
    }
    assert_eq!(kind(answered(&account, &call, &refusal(10_001, "params error"))), RefusalKind::Other);
}

#[test]
fn a_query_shows_the_order_asked_for_or_none() {
    let account = account();
    let row = |id: &str| {
        format!(
            r#"{{"orderId":"7","orderLinkId":"{id}","symbol":"BTCUSDT","side":"Buy","price":"1","qty":"2","cumExecQty":"0.5","orderStatus":"PartiallyFilled"}}"#
        )
    };
    for call in [Call::Query(order("BTC-USDT", 1, None)), Call::History(order("BTC-USDT", 1, None))] {
        let list =
            |rows: &str| answered(&account, &call, &result(&format!(r#"{{"list":[{rows}],"nextPageCursor":"x"}}"#)));
        match facts(list(&row(OURS))) {
            Facts::Order(Some(order)) => assert_eq!(
                (order.status, order.filled.to_string(), order.symbol.as_str()),
                (VenueStatus::Open, "0.5".into(), "BTC-USDT")
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(facts(list("")), Facts::Order(None));
        assert!(is_unknown(&list(&row("another"))), "an answer about others says nothing of ours");
        assert!(is_unknown(&list(r#"{"orderId":7}"#)));
        assert!(is_unknown(&answered(&account, &call, &result("{}"))), "no list is not an empty list");
    }
}

#[test]
fn a_cancel_all_that_fails_is_no_success() {
    let account = account();
    let call = Call::CancelAll(account.traits.cancel_all_scopes[0].clone());
    let said = |body: &str| answered(&account, &call, &result(body));
    assert_eq!(facts(said(r#"{"list":[],"success":"1"}"#)), Facts::CancelTaken { filled: None });
    assert_eq!(facts(said(r#"{"success":"1"}"#)), Facts::CancelTaken { filled: None });
    assert_eq!(kind(said(r#"{"list":[],"success":"0"}"#)), RefusalKind::NotNow);
    assert!(is_unknown(&said(r#"{"success":1}"#)));
}
