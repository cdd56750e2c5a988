//! Prices.

use super::super::public::PublicStream;
use super::*;
use crate::domain::ids::VenueId;
use crate::venues::bybit::symbols::Category;

const PERP: &str = "BTC-USDT-PERP";

fn stream(category: Category, names: &[&str]) -> PublicStream {
    let symbols: Vec<Symbol> = names.iter().map(|name| Symbol::new(name)).collect();
    PublicStream::new(VenueId(3), category, "ws://127.0.0.1:1".into(), &symbols, &[])
}

fn levels(text: &str) -> String {
    let level = |part: &str| {
        let (price, size) = part.split_once('x').unwrap();
        format!(r#"["{price}","{size}"]"#)
    };
    text.split_whitespace().map(level).collect::<Vec<_>>().join(",")
}

/// A book frame: `depth type number@sequence bids | asks`, as `50 delta 8@80 99x1 | 101x0`.
fn book(name: &str, text: &str) -> String {
    let (head, asks) = text.split_once('|').unwrap();
    let mut words = head.split_whitespace();
    let (depth, kind) = (words.next().unwrap(), words.next().unwrap());
    let (number, sequence) = words.next().unwrap().split_once('@').unwrap();
    let bids = words.collect::<Vec<_>>().join(" ");
    let (bids, asks) = (levels(&bids), levels(asks));
    format!(
        r#"{{"topic":"orderbook.{depth}.{name}","ts":1700000000000,"type":"{kind}","data":{{"s":"{name}","b":[{bids}],
        "a":[{asks}],"u":{number},"seq":{sequence}}},"cts":1700000000001}}"#
    )
}

/// One contract, everything confirmed, both books at 100 and 101.
fn live() -> Line<PublicStream> {
    let (mut line, out) = Line::opened(stream(Category::Linear, &[PERP]));
    for (id, op, _) in requests(&out) {
        line.hear(&agreed(&id, &op));
    }
    line.hear(&book("BTCUSDT", "50 snapshot 7@70 100x1 99x2 | 101x3 102x4"));
    assert!(is_up(&line.hear(&book("BTCUSDT", "1 snapshot 5@70 100x1 | 101x3"))));
    line
}

#[test]
fn it_is_up_when_all_is_confirmed_and_every_symbol_has_its_books() {
    let names = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"];
    let (mut line, out) = Line::opened(stream(Category::Spot, &names));
    let asked = requests(&out);
    assert_eq!(
        asked.iter().map(|(_, op, args)| (op.as_str(), args.len())).collect::<Vec<_>>(),
        [("subscribe", 10), ("subscribe", 2)]
    );
    assert_eq!(
        asked[0].2[..4],
        ["orderbook.1.BTCUSDT", "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "orderbook.1.ETHUSDT"]
    );
    let mut steps = vec![agreed(&asked[0].0, "subscribe"), agreed(&asked[1].0, "subscribe")];
    for name in ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"] {
        steps.push(book(name, "50 snapshot 7@70 100x1 | 101x1"));
        steps.push(book(name, "1 snapshot 7@70 100x1 | 101x1"));
    }
    // Whichever comes last makes it up, and nothing before does.
    for last in 0..steps.len() {
        line.open();
        let order = (0..steps.len()).filter(|&step| step != last).chain([last]);
        let ups: Vec<bool> = order.map(|step| is_up(&line.hear(&steps[step]))).collect();
        assert_eq!(ups.iter().position(|&up| up), Some(steps.len() - 1), "last came step {last}");
        assert!(!is_up(&line.hear(&steps[2])), "once");
    }
}

#[test]
fn every_shape_of_a_confirmation_counts() {
    let list = r#""orderbook.1.BTCUSDT","orderbook.50.BTCUSDT","publicTrade.BTCUSDT","tickers.BTCUSDT""#;
    let cases = [
        // Spot, linear (which may leave our number out), and the one that lists topics.
        (vec![r#"{"success":true,"ret_msg":"subscribe","conn_id":"c","req_id":"subscribe-1","op":"subscribe"}"#.into()], true),
        (vec![r#"{"success":true,"ret_msg":"","conn_id":"c","req_id":"","op":"subscribe"}"#.into()], true),
        (vec![r#"{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c"}"#.into()], true),
        (vec![r#"{"retCode":0,"retMsg":"OK","op":"subscribe","connId":"c"}"#.into()], true),
        (vec![format!(r#"{{"success":true,"conn_id":"c","data":{{"failTopics":[],"successTopics":[{list}]}},"type":"COMMAND_RESP"}}"#)], true),
        (
            vec![
                r#"{"success":true,"data":{"failTopics":[],"successTopics":["orderbook.1.BTCUSDT","tickers.BTCUSDT"]},"type":"COMMAND_RESP"}"#.into(),
                r#"{"success":true,"data":{"successTopics":["orderbook.50.BTCUSDT","publicTrade.BTCUSDT"]},"type":"COMMAND_RESP"}"#.into(),
            ],
            true,
        ),
        // Half of it, someone else's, or without a word about success: not confirmed.
        (vec![r#"{"success":true,"data":{"successTopics":["orderbook.1.BTCUSDT"]},"type":"COMMAND_RESP"}"#.into()], false),
        (vec![r#"{"success":true,"ret_msg":"","req_id":"subscribe-99","op":"subscribe"}"#.into()], false),
        (vec![r#"{"ret_msg":"subscribe","req_id":"subscribe-1","op":"subscribe"}"#.into()], false),
        (vec![r#"{"success":true,"ret_msg":"pong","op":"ping"}"#.into()], false),
        (vec![r#"{"success":true,"op":"auth"}"#.into()], false),
    ];
    for (answers, confirmed) in cases {
        let (mut line, _) = Line::opened(stream(Category::Linear, &[PERP]));
        line.hear(&book("BTCUSDT", "50 snapshot 7@70 100x1 | 101x1"));
        line.hear(&book("BTCUSDT", "1 snapshot 7@70 100x1 | 101x1"));
        let out: Vec<StreamOut> = answers.iter().flat_map(|answer: &String| line.hear(answer)).collect();
        assert_eq!(is_up(&out), confirmed, "{answers:?}");
    }
}

#[test]
fn a_refused_topic_is_named() {
    let cases = [
        (
            r#"{"success":false,"ret_msg":"error:handler not found,topic:tickers.BTCUSDT","req_id":"subscribe-1","op":"subscribe"}"#,
            "tickers.BTCUSDT",
        ),
        (
            r#"{"success":false,"ret_msg":"Invalid symbol :[BTCUSDT]","req_id":"","op":"subscribe"}"#,
            "orderbook.50.BTCUSDT",
        ),
        (
            r#"{"success":true,"data":{"failTopics":["publicTrade.BTCUSDT"],"successTopics":["tickers.BTCUSDT"]},"type":"COMMAND_RESP"}"#,
            "of publicTrade.BTCUSDT:",
        ),
        (
            r#"{"success":false,"data":{"failTopics":["orderbook.1.BTCUSDT"],"successTopics":[]},"type":"COMMAND_RESP"}"#,
            "of orderbook.1.BTCUSDT:",
        ),
        (r#"{"retCode":10404,"retMsg":"op unknown","op":"subscribe"}"#, "10404"),
        // Errors that belong to no request of ours.
        (r#"{"success":false,"ret_msg":"too many requests"}"#, "too many requests"),
        (r#"{"retCode":10006,"retMsg":"Too many visits!","op":"what"}"#, "10006"),
        (r#"{"success":false,"ret_msg":"bad ping","op":"ping"}"#, "bad ping"),
    ];
    for (answer, named) in cases {
        let (mut line, _) = Line::opened(stream(Category::Linear, &[PERP]));
        let why = why_broken(&line.hear(answer));
        assert!(why.contains(named), "{why}");
        assert_eq!(line.hear(&book("BTCUSDT", "1 snapshot 7@70 100x1 | 101x1")), [], "silent after it");
        assert_eq!(line.wait(30_000), []);
        assert_eq!(line.ping(), []);
        assert_eq!(requests(&line.open()).len(), 1, "and anew with the next socket");
    }
}

#[test]
fn each_pulse_is_a_quote_even_if_nothing_changed() {
    let mut line = live();
    for _ in 0..3 {
        assert_eq!(line.wait(3_000), []);
        assert_eq!(line.told(&book("BTCUSDT", "1 snapshot 5@70 100x1 | 101x3")), ["quote BTC-USDT-PERP 100x1 101x3"]);
    }
    assert_eq!(line.told(&book("BTCUSDT", "1 snapshot 6@71 100x1 |")), ["quote BTC-USDT-PERP 100x1 -"]);
}

#[test]
fn the_best_price_is_the_one_of_the_later_state_of_the_market() {
    let cases: [(&[&str], &str); 8] = [
        // The deeper book is ahead: its best counts, until depth 1 has caught up.
        (&["50 delta 8@75 100.5x9 |"], "100.5x9 101x3"),
        (&["50 delta 8@75 100.5x9 |", "1 snapshot 6@72 100x5 | 101x3"], "100.5x9 101x3"),
        (&["50 delta 8@75 100.5x9 |", "1 snapshot 6@75 100.4x5 | 101x3"], "100.4x5 101x3"),
        (&["50 delta 8@75 100.5x9 |", "1 snapshot 6@76 100.6x5 | 101x3"], "100.6x5 101x3"),
        // Depth 1 is ahead.
        (&["1 snapshot 6@80 99x5 | 100x3", "50 delta 8@75 100.5x9 |"], "99x5 100x3"),
        // A book that missed something is not asked, until a snapshot makes it whole.
        (&["50 delta 9@75 100.5x9 |"], "100x1 101x3"),
        (&["50 delta 9@75 100.5x9 |", "50 snapshot 10@76 100.7x2 | 101x1"], "100.7x2 101x1"),
        // A service that began anew counts from one: what the other book showed is from before.
        (&["50 delta 8@75 100.5x9 |", "1 snapshot 1@3 90x1 | 91x1"], "90x1 91x1"),
    ];
    for (frames, best) in cases {
        let mut line = live();
        let mut last = String::new();
        for frame in frames {
            let told = line.told(&book("BTCUSDT", frame));
            last = told.into_iter().rfind(|word| word.starts_with("quote")).unwrap_or(last);
        }
        let last = if last.is_empty() { "quote BTC-USDT-PERP 100x1 101x3".into() } else { last };
        assert_eq!(last, format!("quote BTC-USDT-PERP {best}"), "{frames:?}");
    }
}

#[test]
fn a_restart_of_the_venues_service_replaces_the_book_whatever_its_frame_is_called() {
    let mut line = live();
    let told = line.told(&book("BTCUSDT", "50 delta 1@3 90x1 | 91x1"));
    assert_eq!(told, ["BTC-USDT-PERP depth 1/1", "quote BTC-USDT-PERP 90x1 91x1"]);
    assert_eq!(line.told(&book("BTCUSDT", "1 snapshot 2@4 90x2 | 91x1")), ["quote BTC-USDT-PERP 90x2 91x1"]);
}

#[test]
fn depth_goes_out_best_first_and_ten_deep() {
    let mut line = live();
    let bids = (0..30).map(|step| format!("{}x1", 100 - step)).collect::<Vec<_>>().join(" ");
    let out = line.hear(&book("BTCUSDT", &format!("50 snapshot 8@80 {bids} | 101x2")));
    let StreamOut::Market(news) = &out[0] else { panic!("{out:?}") };
    let depth = news.depth.as_ref().unwrap();
    assert_eq!((news.venue, news.symbol.as_str()), (VenueId(3), PERP));
    assert_eq!((depth.bids.len(), depth.bids[0], depth.bids[9].0), (10, (decimal("100"), decimal("1")), decimal("91")));
    assert_eq!(depth.asks, [(decimal("101"), decimal("2"))]);
    assert_eq!(line.told(&book("BTCUSDT", "50 delta 8@81 50x1 |")), [] as [&str; 0], "an old delta tells nothing");
}

#[test]
fn a_broken_book_is_asked_for_anew_once_and_then_the_socket_is_given_up() {
    let broken = [
        "50 delta 8@71 101x1 |",
        "50 delta 8@71 100x0 99x0 | 101x0 102x0",
        "50 delta 8@71 100x-1 |",
        "50 delta 8@71 0x1 |",
        "50 what 8@71 100x1 |",
    ];
    for frame in broken {
        let mut line = live();
        let asked = requests(&line.hear(&book("BTCUSDT", frame)));
        let topic = vec!["orderbook.50.BTCUSDT".to_owned()];
        assert_eq!(
            asked.iter().map(|(_, op, args)| (op.as_str(), args)).collect::<Vec<_>>(),
            [("unsubscribe", &topic), ("subscribe", &topic)]
        );
        // What was still on its way is dropped; depth 1 goes on meanwhile.
        assert_eq!(line.told(&book("BTCUSDT", "50 delta 9@72 100x1 |")), [] as [&str; 0]);
        assert_eq!(line.told(&book("BTCUSDT", "1 snapshot 6@72 100x1 | 101x3")), ["quote BTC-USDT-PERP 100x1 101x3"]);
        for (id, op, _) in &asked {
            assert_eq!(line.hear(&agreed(id, op)), []);
        }
        assert_eq!(line.told(&book("BTCUSDT", "50 snapshot 20@90 100x1 | 101x1")).len(), 2);
        let why = why_broken(&line.hear(&book("BTCUSDT", "50 delta 21@91 102x1 |")));
        assert!(why.contains("orderbook.50.BTCUSDT"), "{why}");
    }
}

#[test]
fn a_book_that_breaks_once_an_hour_does_not_cost_the_socket() {
    let mut line = live();
    for hour in 0..5_u64 {
        let asked = requests(&line.hear(&book("BTCUSDT", "50 delta 500@71 105x1 |")));
        assert_eq!(asked.len(), 2, "hour {hour}");
        for (id, op, _) in &asked {
            line.hear(&agreed(id, op));
        }
        line.hear(&book("BTCUSDT", "50 snapshot 20@90 100x1 | 101x1"));
        line.now = line.now.after(Duration::from_secs(3_600));
    }
}

#[test]
fn silence_is_told_with_the_name_of_what_is_silent() {
    // Nothing at all.
    let mut line = live();
    assert_eq!(line.wait(10_000), []);
    assert!(why_broken(&line.wait(1_000)).contains("any linear symbol"));
    // No answer to the subscription, though the market talks.
    let (mut line, _) = Line::opened(stream(Category::Linear, &[PERP]));
    for _ in 0..10 {
        line.hear(&book("BTCUSDT", "1 snapshot 7@70 100x1 | 101x1"));
        assert_eq!(line.wait(1_000), []);
    }
    assert!(why_broken(&line.wait(1_000)).contains("orderbook.1.BTCUSDT"));
    // One symbol of two, and a symbol whose frames cannot be read.
    for other in ["", r#"{"topic":"orderbook.1.ETHUSDT","type":"snapshot","data":{"s":"ETHUSDT"}}"#] {
        let (mut line, out) = Line::opened(stream(Category::Linear, &[PERP, "ETH-USDT-PERP"]));
        for (id, op, _) in requests(&out) {
            line.hear(&agreed(&id, &op));
        }
        line.hear(&book("BTCUSDT", "50 snapshot 7@70 100x1 | 101x1"));
        for _ in 0..10 {
            line.hear(&book("BTCUSDT", "1 snapshot 7@70 100x1 | 101x1"));
            if !other.is_empty() {
                assert_eq!(line.told(other), ["remark"]);
            }
            assert_eq!(line.wait(1_000), []);
        }
        assert!(why_broken(&line.wait(1_000)).contains("ETH-USDT-PERP"));
    }
    // A pulse that stops, though everything else of the symbol goes on.
    let mut line = live();
    let mut out = Vec::new();
    for number in 0..11 {
        line.hear(&book("BTCUSDT", &format!("50 delta {}@{} 99x{number} |", 8 + number, 71 + number)));
        out.extend(line.wait(1_000));
    }
    assert!(why_broken(&out).contains("orderbook.1.BTCUSDT"));
    // A book that was never shown whole.
    let (mut line, out) = Line::opened(stream(Category::Linear, &[PERP]));
    line.hear(&agreed(&requests(&out)[0].0, "subscribe"));
    let mut out = Vec::new();
    for _ in 0..11 {
        line.hear(&book("BTCUSDT", "1 snapshot 7@70 100x1 | 101x1"));
        line.hear(&book("BTCUSDT", "50 delta 8@70 100x1 | 101x1"));
        out.extend(line.wait(1_000));
    }
    assert!(why_broken(&out).contains("orderbook.50.BTCUSDT"));
}

#[test]
fn a_book_that_stands_still_while_the_best_price_moves_is_told() {
    let mut line = live();
    let mut out = Vec::new();
    for second in 0..20 {
        // The same best price again and again, then moves that the deeper book never shows.
        let size = if second < 5 { 1 } else { second };
        line.hear(&book("BTCUSDT", &format!("1 snapshot {0}@{0} 100x{size} | 101x3", 100 + second)));
        out.extend(line.wait(1_000));
        assert_eq!(out.len(), usize::from(second >= 15), "second {second}");
    }
    assert!(why_broken(&out).contains("orderbook.50.BTCUSDT"));
    // With the move in it, all is well.
    let mut line = live();
    for second in 0..20 {
        line.hear(&book("BTCUSDT", &format!("1 snapshot {0}@{0} 100x{0} | 101x3", 100 + second)));
        line.hear(&book("BTCUSDT", &format!("50 delta {}@{} 100x{second} |", 8 + second, 100 + second)));
        assert_eq!(line.wait(1_000), []);
    }
}

#[test]
fn a_symbol_that_is_only_watched_may_be_refused_silent_or_broken() {
    let extra = [Symbol::new("OLD-USDT-PERP")];
    let with = |symbols: &[Symbol]| PublicStream::new(VenueId(3), Category::Linear, "ws://x".into(), symbols, &extra);
    let (mut line, out) = Line::opened(with(&[Symbol::new(PERP)]));
    let asked = requests(&out);
    assert_eq!((asked.len(), asked[1].2[0].as_str()), (2, "orderbook.1.OLDUSDT"), "a request of its own");
    let no = format!(r#"{{"success":false,"ret_msg":"Invalid symbol","req_id":"{}","op":"subscribe"}}"#, asked[1].0);
    assert_eq!(line.told(&no), ["remark"]);
    line.hear(&agreed(&asked[0].0, "subscribe"));
    line.hear(&book("BTCUSDT", "50 snapshot 7@70 100x1 | 101x3"));
    assert!(is_up(&line.hear(&book("BTCUSDT", "1 snapshot 7@70 100x1 | 101x3"))));
    for _ in 0..20 {
        line.hear(&book("BTCUSDT", "1 snapshot 7@70 100x1 | 101x3"));
        assert_eq!(line.wait(1_000), []);
    }
    // If it is there, it is quoted; if it breaks, it is asked for anew once and then left.
    assert_eq!(line.told(&book("OLDUSDT", "1 snapshot 7@70 5x1 | 6x1")), ["quote OLD-USDT-PERP 5x1 6x1"]);
    for n_asked in [2, 0] {
        line.hear(&book("OLDUSDT", "50 snapshot 7@70 5x1 | 6x1"));
        assert_eq!(requests(&line.hear(&book("OLDUSDT", "50 delta 8@71 6x1 |"))).len(), n_asked);
    }
    // A socket that has nothing else is up, and stays so when nobody answers.
    let (mut line, out) = Line::opened(with(&[]));
    assert!(is_up(&out));
    assert_eq!(line.wait(20_000).iter().map(word).collect::<Vec<_>>(), ["remark"]);
}

#[test]
fn every_shape_of_a_pong_is_one_and_its_absence_is_told() {
    let pongs = [
        Some(r#"{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"","op":"ping"}"#),
        Some(r#"{"req_id":"","op":"pong","args":["1675418560633"],"conn_id":"c"}"#),
        Some(r#"{"retCode":0,"retMsg":"OK","op":"pong","data":["1711002002529"],"connId":"c"}"#),
        None,
    ];
    for pong in pongs {
        let mut line = live();
        let asked = requests(&line.ping());
        assert_eq!((asked.len(), asked[0].1.as_str()), (1, "ping"));
        line.ping();
        if let Some(pong) = pong {
            assert_eq!(line.hear(pong), []);
        }
        let mut out = Vec::new();
        for _ in 0..12 {
            line.hear(&book("BTCUSDT", "1 snapshot 5@70 100x1 | 101x3"));
            out.extend(line.wait(1_000));
        }
        assert_eq!(out.len(), usize::from(pong.is_none()), "{pong:?}");
    }
}

#[test]
fn a_new_ping_does_not_excuse_the_one_before() {
    let mut line = live();
    let mut out = Vec::new();
    for _ in 0..4 {
        line.hear(&book("BTCUSDT", "1 snapshot 5@70 100x1 | 101x3"));
        line.ping();
        out.extend(line.wait(3_000));
    }
    assert!(why_broken(&out).contains("ping"));
}

#[test]
fn a_ticker_is_kept_together_from_a_snapshot_and_what_changed_since() {
    let mut line = live();
    let mut told = |kind: &str, data: &str| {
        line.told(&format!(
            r#"{{"topic":"tickers.BTCUSDT","type":"{kind}","cs":1,"ts":2,"data":{{"symbol":"BTCUSDT",{data}}}}}"#
        ))
    };
    let first = r#""markPrice":"66666.60","fundingRate":"-0.005","nextFundingTime":"1760342400000","lastPrice":"1""#;
    assert_eq!(told("snapshot", first), ["BTC-USDT-PERP mark 66666.6 funding -0.005 1760342400000"]);
    assert_eq!(told("delta", r#""markPrice":"66667""#), ["BTC-USDT-PERP mark 66667 funding -0.005 1760342400000"]);
    assert_eq!(told("delta", r#""bid1Price":"66666""#), [] as [&str; 0], "nothing of ours changed");
    assert_eq!(
        told("delta", r#""fundingRate":"","markPrice":"66668""#),
        ["BTC-USDT-PERP mark 66668 funding -0.005 1760342400000"]
    );
    for bad in [r#""markPrice":"-1""#, r#""markPrice":5"#, r#""fundingRate":"1e9""#, r#""nextFundingTime":"soon""#] {
        assert_eq!(told("delta", bad), ["remark"], "{bad}");
    }
    assert_eq!(told("snapshot", r#""markPrice":"5""#), ["BTC-USDT-PERP mark 5 funding - -"], "replaced");
}

#[test]
fn the_last_trade_of_a_frame_is_the_last() {
    let mut line = live();
    let row = |price: &str, side: &str| {
        format!(r#"{{"T":1672304486865,"s":"BTCUSDT","S":"{side}","v":"0.001","p":"{price}","i":"x","BT":false}}"#)
    };
    let frame = |rows: &[String]| {
        format!(r#"{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{}]}}"#, rows.join(","))
    };
    let told = line.told(&frame(&[row("16578.50", "Buy"), row("16578.60", "Sell")]));
    assert_eq!(told, ["BTC-USDT-PERP last 16578.6x0.001 SELL 1672304486865"]);
    assert_eq!(line.told(&frame(&[])), [] as [&str; 0]);
    for bad in [row("0", "Buy"), row("-1", "Buy"), row("1", "Both"), "7".into()] {
        assert_eq!(line.told(&frame(std::slice::from_ref(&bad))), ["remark"], "{bad}");
    }
}

#[test]
fn topics_nobody_asked_for_are_ignored() {
    let mut line = live();
    for topic in
        ["orderbook.50.ETHUSDT", "orderbook.200.BTCUSDT", "kline.5.BTCUSDT", "orderbook.1", "", "a.b.c.d", "order"]
    {
        assert_eq!(line.hear(&format!(r#"{{"topic":"{topic}","data":[{{}}]}}"#)), [], "{topic}");
    }
}
