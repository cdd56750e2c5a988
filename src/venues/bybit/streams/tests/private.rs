//! The account's own news.

use super::super::private::PrivateStream;
use super::*;
use crate::domain::order::{FillKind, Outcome, VenueStatus};

const URL: &str = "wss://stream.example/v5/private";

fn stream(exclusive_account: bool) -> PrivateStream {
    PrivateStream::new(URL, key(), symbols(&["BTC-USDT", "BTC-USDT-PERP"]), exclusive_account)
}

fn live() -> Line<PrivateStream> {
    let (mut line, out) = Line::opened(stream(false));
    let mut asked = requests(&out);
    for _ in 0..2 {
        let answers: Vec<StreamOut> = asked.iter().flat_map(|(id, op, _)| line.hear(&agreed(id, op))).collect();
        asked = requests(&answers);
    }
    line
}

/// A row of an order: `id status updated filled` and more fields.
fn order(text: &str, more: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    format!(
        r#"{{"category":"linear","symbol":"BTCUSDT","orderId":"{}","orderLinkId":"lo7k2p000a1a000001","side":"Buy",
        "price":"64000","qty":"1","orderStatus":"{}","updatedTime":"{}","cumExecQty":"{}"{more}}}"#,
        words[0], words[1], words[2], words[3]
    )
}

fn execution(more: &str) -> String {
    format!(
        r#"{{"category":"linear","symbol":"BTCUSDT","execId":"e1","orderId":"o1","orderLinkId":"","side":"Sell","execType":"Trade",
        "execPrice":"64000","execQty":"0.5","execFee":"17.6","feeCurrency":"USDT","isMaker":true,"execTime":"1746270400353"{more}}}"#
    )
}

fn push(topic: &str, rows: &[String]) -> String {
    format!(r#"{{"id":"1","topic":"{topic}","creationTime":1672364262474,"data":[{}]}}"#, rows.join(","))
}

#[test]
fn the_login_is_signed_as_the_venue_says() {
    let (_, out) = Line::opened(stream(false));
    let signature = "9c4c0629fddfee26ca0da50a7fed51968fce6935d34b02e772d3bd0c34327bd1";
    let asked = requests(&out);
    assert_eq!(asked.len(), 1, "nothing is asked for before the login is through");
    assert_eq!(format!("{out:?}"), "[Send(..)]", "and nobody prints it by accident");
    assert_eq!((asked[0].1.as_str(), asked[0].2.join(" ")), ("auth", format!("XXXXXXXXXX 1662350400000 {signature}")));
}

#[test]
fn the_address_says_when_a_dead_connection_may_be_cut() {
    assert_eq!(stream(false).url(), format!("{URL}?max_active_time=60s"));
    let own = format!("{URL}?max_active_time=30s");
    assert_eq!(PrivateStream::new(&own, key(), symbols(&[]), false).url(), own);
}

#[test]
fn it_is_up_after_the_login_and_both_subscriptions() {
    for first in [0, 1] {
        let (mut line, out) = Line::opened(stream(false));
        let login = line.hear(&agreed(&requests(&out)[0].0, "auth"));
        assert!(!is_up(&login));
        let asked = requests(&login);
        assert_eq!(
            asked.iter().map(|(_, op, args)| format!("{op} {}", args.join(" "))).collect::<Vec<_>>(),
            ["subscribe order", "subscribe execution"]
        );
        assert!(!is_up(&line.hear(&agreed(&asked[first].0, "subscribe"))));
        assert!(is_up(&line.hear(&agreed(&asked[1 - first].0, "subscribe"))));
    }
    // Also in the shapes without our numbers, and when the venue still knows an earlier login.
    for login in [
        r#"{"success":true,"ret_msg":"","op":"auth","conn_id":"c"}"#,
        r#"{"retCode":20001,"retMsg":"Repeat auth","op":"auth"}"#,
    ] {
        let (mut line, _) = Line::opened(stream(false));
        assert_eq!(requests(&line.hear(login)).len(), 2);
        let bare = r#"{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c"}"#;
        assert!(!is_up(&line.hear(bare)));
        assert!(is_up(&line.hear(bare)));
        assert!(!is_up(&line.hear(bare)), "once");
    }
}

#[test]
fn a_refused_login_is_told_without_the_key() {
    let signature = "9c4c0629fddfee26ca0da50a7fed51968fce6935d34b02e772d3bd0c34327bd1";
    let echo = format!("error sign! origin_string[XXXXXXXXXX1662350400000] sign {signature}");
    for answer in [
        format!(r#"{{"success":false,"ret_msg":"{echo}","op":"auth"}}"#),
        format!(r#"{{"retCode":10004,"retMsg":"{echo}","op":"auth","connId":"c"}}"#),
        format!(r#"{{"success":false,"ret_msg":"{echo}"}}"#),
    ] {
        let (mut line, _) = Line::opened(stream(true));
        let why = why_broken(&line.hear(&answer));
        assert!(why.contains("error sign!"), "{why}");
        assert!(!why.contains("XXXXXXXXXX") && !why.contains(signature), "{why}");
    }
}

#[test]
fn the_key_is_not_told_wherever_the_venue_puts_it() {
    let row = r#"{"category":"XXXXXXXXXX","symbol":"XXXXXXXXXX"}"#;
    for frame in [
        r#"{"op":"XXXXXXXXXX"}"#.to_owned(),
        r#"{"XXXXXXXXXX":1,"XXXXXXXXXX":2}"#.to_owned(),
        r#"{"op":"auth","req_id":"auth-1","success":false,"data":{"failTopics":["XXXXXXXXXX"]}}"#.to_owned(),
        format!(r#"{{"topic":"order","data":[{row}]}}"#),
    ] {
        let (mut line, _) = Line::opened(stream(true));
        let out = line.hear(&frame);
        assert!(matches!(out.as_slice(), [StreamOut::Remark(_) | StreamOut::Broken(_)]), "{frame}");
        assert!(!format!("{out:?}").contains("XXXXXXXXXX"), "{out:?}");
    }
}

#[test]
fn what_is_needed_and_not_answered_in_time_is_named() {
    let (mut line, out) = Line::opened(stream(false));
    assert_eq!(line.wait(10_000), []);
    assert!(why_broken(&line.wait(500)).contains("login"));
    let id = requests(&out)[0].0.clone();
    line.open();
    let asked = requests(&line.hear(&agreed(&id, "auth")));
    line.hear(&agreed(&asked[0].0, "subscribe"));
    assert!(why_broken(&line.wait(10_500)).contains("execution"));
    // A quiet account is silent for hours; only a ping without a pong is a sign.
    let mut line = live();
    assert_eq!(line.wait(3_600_000), []);
    line.ping();
    assert_eq!(line.hear(r#"{"req_id":"","op":"pong","args":["1675418560633"],"conn_id":"c"}"#), []);
    assert_eq!(line.wait(60_000), []);
    line.ping();
    assert!(why_broken(&line.wait(10_500)).contains("ping"));
}

#[test]
fn a_refused_dead_mans_switch_spoils_nothing() {
    let refusal = |id: &str, topic: &str| {
        format!(
            r#"{{"success":false,"ret_msg":"error:handler not found,topic:{topic}","conn_id":"c","req_id":"{id}","op":"subscribe"}}"#
        )
    };
    for with_numbers in [true, false] {
        let (mut line, out) = Line::opened(stream(true));
        let asked = requests(&line.hear(&agreed(&requests(&out)[0].0, "auth")));
        let topics: Vec<&str> = asked.iter().map(|(_, _, args)| args[0].as_str()).collect();
        assert_eq!(topics, ["order", "execution", "dcp.spot", "dcp.future"]);
        assert!(asked.iter().all(|(_, _, args)| args.len() == 1), "a request each");
        let id = |place: usize| if with_numbers { asked[place].0.as_str() } else { "" };
        let out = line.hear(&refusal(id(2), "dcp.spot"));
        let [StreamOut::Remark(words)] = &out[..] else { panic!("{out:?}") };
        assert!(words.contains("no dead man's switch for this account") && words.contains("dcp.spot"), "{words}");
        line.hear(&agreed(id(0), "subscribe"));
        assert!(is_up(&line.hear(&agreed(id(1), "subscribe"))), "without waiting for the switch");
        // The other one is never answered.
        let out = line.wait(20_000);
        let [StreamOut::Remark(words)] = &out[..] else { panic!("{out:?}") };
        assert!(words.contains("dcp.future"), "{words}");
    }
}

#[test]
fn an_older_row_of_an_order_is_left_out() {
    // Frames in the order they come; those marked with `-` are left out.
    let cases: [&[&str]; 8] = [
        &["a New 10 0", "a PartiallyFilled 12 0.4", "-a New 10 0", "-a PartiallyFilled 11 0.2", "a Filled 13 1"],
        // Within one millisecond the step on the way decides, then what is filled.
        &["a PartiallyFilled 10 0.4", "-a New 10 0", "-a PartiallyFilled 10 0.2", "a PartiallyFilled 10 0.6"],
        &["a Cancelled 10 0", "-a New 10 0", "-a New 9 0", "-a PendingCancel 10 0"],
        &["a Untriggered 10 0", "a Triggered 10 0", "a New 10 0", "-a Triggered 10 0"],
        // The same again is harmless; another order is another order.
        &["a New 10 0", "a New 10 0", "b New 5 0"],
        // Two ends: the cancel that lost against the fill.
        &["a Filled 10 1", "a Filled 11 1"],
        // A word we do not know is a question: it goes out, is not remembered, and is not asked about the past.
        &["a New 10 0", "a Hovering 10 0", "a PartiallyFilled 10 0.1", "-a Hovering 9 0"],
        &["a Hovering 10 0", "a New 9 0"],
    ];
    for rows in cases {
        let mut line = live();
        for row in rows {
            let (old, row) = row.strip_prefix('-').map_or((false, *row), |row| (true, row));
            let told = line.told(&push("order", &[order(row, "")]));
            assert_eq!(told.len(), 1);
            assert_eq!(told[0] == "remark", old, "{row} in {rows:?}");
        }
    }
}

#[test]
fn a_frame_of_several_rows_tells_them_all_in_order() {
    for topic in ["order", "order.linear"] {
        let frame = push(topic, &[order("a New 10 0", ""), order("b Filled 10 1", ""), order("a Cancelled 11 0", "")]);
        assert_eq!(live().told(&frame), ["order a Open 0", "order b Ended(Filled) 1", "order a Ended(Canceled) 0"]);
    }
}

#[test]
fn an_end_keeps_the_venues_words() {
    let cases = [
        ("a Cancelled 11 0", "CancelByUser", "EC_PostOnlyWillTakeLiquidity", Outcome::Canceled),
        ("a Filled 11 1", "CancelByUser", "EC_OrigClOrdIDDoesNotExist", Outcome::Filled),
        ("a Cancelled 11 0.4", "CancelByDCP", "EC_NoError", Outcome::Canceled),
        ("a Rejected 11 0", "UNKNOWN", "EC_Others", Outcome::Rejected),
    ];
    for (row, cancel, reject, outcome) in cases {
        let mut line = live();
        line.hear(&push("order", &[order("a New 10 0", "")]));
        let more = format!(r#","cancelType":"{cancel}","rejectReason":"{reject}""#);
        let out = line.hear(&push("order", &[order(row, &more)]));
        let [StreamOut::Order(order)] = &out[..] else { panic!("{out:?}") };
        assert_eq!(order.status, VenueStatus::Ended(outcome));
        for word in [cancel, reject].iter().filter(|word| !["UNKNOWN", "EC_NoError"].contains(word)) {
            assert!(order.reason.contains(word), "{}", order.reason);
        }
    }
}

#[test]
fn executions_go_out_as_they_come_duplicates_and_all() {
    let mut line = live();
    let frame = push("execution", &[execution(""), execution(r#","execType2":1"#)]);
    let out = line.hear(&frame);
    assert_eq!(line.hear(&frame), out, "the desk tells duplicates apart");
    let StreamOut::Fill(fill) = &out[0] else { panic!("{out:?}") };
    assert_eq!((fill.symbol.as_str(), fill.kind, fill.fill.maker), ("BTC-USDT-PERP", FillKind::Trade, true));
    assert_eq!((fill.fill.price, fill.fill.qty), (decimal("64000"), decimal("0.5")));
    assert_eq!((fill.fill.fee, fill.fill.fee_asset.as_str()), (decimal("17.6"), "USDT"));
    let fast = push("execution.fast", &[execution("")]);
    assert_eq!(line.hear(&fast), [], "a topic without fees is not asked for and not taken");
}

#[test]
fn rows_of_symbols_nobody_configured_go_out_and_other_categories_do_no_harm() {
    let mut line = live();
    let rows = [r#","symbol":"DOGEUSDT""#, r#","category":"option""#, r#","category":"inverse","symbol":"BTCUSD""#];
    let plain = order("a New 10 0", "");
    for (more, told) in rows.iter().zip(["order a Open 0", "remark", "remark"]) {
        let mut row = plain.clone();
        for field in more.split(',').filter(|field| !field.is_empty()) {
            let name = field.split(':').next().unwrap();
            row = row.replacen(&format!(r#"{name}:"linear""#), field, 1).replacen(
                &format!(r#"{name}:"BTCUSDT""#),
                field,
                1,
            );
        }
        assert_eq!(line.told(&push("order", &[row])), [told]);
    }
}

#[test]
fn a_row_that_cannot_be_read_ends_the_connection_after_the_others_went_out() {
    let bad = [
        order("a New 10 0", "").replace(r#""qty":"1""#, r#""qty":"-1""#),
        order("a New 10 0", "").replace(r#""orderId":"a""#, r#""orderId":7"#),
        order("a New soon 0", ""),
        "7".to_owned(),
    ];
    for row in bad {
        let mut line = live();
        let told = line.told(&push("order", &[row.clone(), order("b New 10 0", "")]));
        assert_eq!(told, ["order b Open 0", "broken"], "{row}");
        assert_eq!(line.hear(&push("order", &[order("c New 10 0", "")])), [], "silent after it");
    }
    let bad = execution("").replace("\"0.5\"", "0.5");
    assert_eq!(live().told(&push("execution", &[bad, execution("")])), ["fill e1:o1 Trade 0.5", "broken"]);
    assert_eq!(live().told(r#"{"topic":"order","data":{}}"#), ["broken"]);
    assert_eq!(live().told(r#"{"topic":"wallet","data":{}}"#), [] as [&str; 0], "not ours to read");
}

#[test]
fn ended_orders_are_forgotten_after_a_minute_and_never_more_than_ten_thousand_are_remembered() {
    let mut line = live();
    line.hear(&push("order", &[order("a Cancelled 10 0", ""), order("b New 10 0", "")]));
    line.wait(59_000);
    assert_eq!(line.told(&push("order", &[order("a New 9 0", "")])), ["remark"]);
    line.wait(2_000);
    assert_eq!(
        line.told(&push("order", &[order("a New 9 0", ""), order("b New 9 0", "")])),
        ["order a Open 0", "remark"]
    );

    let mut line = live();
    line.hear(&push("order", &[order("old New 10 0", ""), order("ended Cancelled 10 0", "")]));
    let stale = push("order", &[order("old New 9 0", ""), order("ended New 9 0", "")]);
    let fill_up = |line: &mut Line<PrivateStream>, from: u32, to: u32| {
        for number in from..to {
            line.hear(&push("order", &[order(&format!("{number} New 10 0"), "")]));
        }
    };
    fill_up(&mut line, 0, 9_998);
    assert_eq!(line.told(&stale), ["remark", "remark"], "all ten thousand are known");
    fill_up(&mut line, 9_998, 9_999);
    assert_eq!(line.told(&push("order", &[order("old New 9 0", "")])), ["remark"], "the ended one goes first");
    fill_up(&mut line, 9_999, 10_000);
    assert_eq!(line.told(&push("order", &[order("old New 9 0", "")])), ["order old Open 0"], "then the oldest");
}

#[test]
fn a_new_connection_begins_with_nothing() {
    let mut line = live();
    line.hear(&push("order", &[order("a New 10 0", "")]));
    let out = line.open();
    assert_eq!(requests(&out).len(), 1);
    assert_eq!(line.told(&push("order", &[order("a New 9 0", "")])), ["order a Open 0"]);
    assert!(!is_up(&line.hear(r#"{"success":true,"op":"subscribe"}"#)), "an answer from before is none");
}
