//! Bad input: whatever comes in, nothing panics, nothing impossible comes out, and what may be lost is told.

use proptest::prelude::*;

use super::super::private::PrivateStream;
use super::super::public::PublicStream;
use super::*;
use crate::domain::ids::VenueId;
use crate::venues::bybit::symbols::Category;

fn public() -> Line<PublicStream> {
    let symbols = [Symbol::new("BTC-USDT-PERP")];
    Line::opened(PublicStream::new(VenueId(0), Category::Linear, "ws://127.0.0.1:1".into(), &symbols, &[])).0
}

fn private() -> Line<PrivateStream> {
    Line::opened(PrivateStream::new("ws://127.0.0.1:1", key(), symbols(&["BTC-USDT"]), true)).0
}

/// Frames of every kind, sound.
const SOUND: [&str; 12] = [
    r#"{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1,"data":{"s":"BTCUSDT","b":[["100","1"],["99","2"]],"a":[["101","3"]],"u":7,"seq":70},"cts":1}"#,
    r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[["100","0"]],"a":[["100.5","3"]],"u":8,"seq":71},"cts":1}"#,
    r#"{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1,"data":{"s":"BTCUSDT","b":[["100","1"]],"a":[["101","3"]],"u":7,"seq":70},"cts":1}"#,
    r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{"T":1672304486865,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50"}]}"#,
    r#"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"66666.60","fundingRate":"-0.005","nextFundingTime":"1760342400000"},"ts":1}"#,
    r#"{"topic":"order","creationTime":1,"data":[{"category":"spot","symbol":"BTCUSDT","orderId":"1","orderLinkId":"","side":"Buy","price":"1","qty":"1","orderStatus":"New","updatedTime":"1","cumExecQty":"0"}]}"#,
    r#"{"topic":"execution","creationTime":1,"data":[{"category":"spot","symbol":"BTCUSDT","orderId":"1","execId":"2","orderLinkId":"","side":"Buy","execPrice":"1","execQty":"1","execType":"Trade","execTime":"1","execFee":"0","isMaker":false}]}"#,
    r#"{"success":true,"ret_msg":"","op":"auth","conn_id":"c"}"#,
    r#"{"success":true,"ret_msg":"","op":"subscribe","conn_id":"c","req_id":""}"#,
    r#"{"success":true,"data":{"failTopics":[],"successTopics":["orderbook.1.BTCUSDT"]},"type":"COMMAND_RESP"}"#,
    r#"{"req_id":"","op":"pong","args":["1675418560633"],"conn_id":"c"}"#,
    r#"{"retCode":0,"retMsg":"OK","op":"auth","connId":"c"}"#,
];

#[test]
fn what_is_no_frame_ends_the_connection_because_it_may_have_been_news() {
    let deep = format!(r#"{{"topic":"order","data":[{}{}]}}"#, "[".repeat(64), "]".repeat(64));
    let very_deep = "[".repeat(100_000);
    let bad = [
        "",
        "nonsense",
        "<html>",
        "[]",
        "7",
        "null",
        "\"order\"",
        "{",
        r#"{"topic":"order","data":[{"#,
        r#"{"a":1}x"#,
        r#"{"topic":"order","data":[],"topic":"order"}"#,
        r#"{"success":"true","op":"auth"}"#,
        r#"{"success":true,"op":5}"#,
        r#"{"retCode":"none","op":"auth"}"#,
        r#"{"topic":"order","data":[],"u":1e999}"#,
        r#"{"success":true,"data":{"failTopics":7},"type":"COMMAND_RESP"}"#,
        &deep,
        &very_deep,
    ];
    for text in bad {
        let short: String = text.chars().take(60).collect();
        assert_eq!(public().told(text), ["broken"], "{short}");
        assert_eq!(private().told(text), ["broken"], "{short}");
    }
}

#[test]
fn what_is_a_frame_and_means_nothing_to_us_does_no_harm() {
    for text in ["{}", r#"{"topic":5}"#, r#"{"topic":null,"op":"welcome"}"#, r#"{"op":"subscribe"}"#, r#"{"data":[1]}"#]
    {
        for told in [public().told(text), private().told(text)] {
            assert_eq!(told, ["remark"], "{text}");
        }
    }
}

#[test]
fn every_sound_frame_cut_short_anywhere_ends_the_connection() {
    for frame in SOUND {
        for end in 0..frame.len() {
            assert_eq!(public().told(&frame[..end]), ["broken"], "{}", &frame[..end]);
            assert_eq!(private().told(&frame[..end]), ["broken"], "{}", &frame[..end]);
        }
    }
}

/// Values to put in the place of a sound one.
const STRANGE: [&str; 18] = [
    "null",
    "true",
    "-1",
    "0",
    "1",
    "1e400",
    "18446744073709551616",
    "9223372036854775807",
    "0.5",
    r#""""#,
    r#""-1""#,
    r#""0""#,
    r#""1e5""#,
    r#""99999999999999999999999999999999999999999""#,
    r#""NaN""#,
    r#""\u0000""#,
    "[]",
    "{}",
];

/// A frame with one of its values replaced, or its text damaged.
fn damaged() -> impl Strategy<Value = String> {
    (0..SOUND.len(), 0..STRANGE.len(), any::<prop::sample::Index>(), 0..4_u8).prop_map(
        |(frame, strange, place, way)| {
            let frame = SOUND[frame];
            let values: Vec<usize> = frame.match_indices(':').map(|(at, _)| at + 1).collect();
            match way {
                0 => frame.to_owned(),
                1 => {
                    let at = place.index(frame.len());
                    format!("{}{}{}", &frame[..at], STRANGE[strange], &frame[at + 1..])
                }
                _ => {
                    let begin = values[place.index(values.len())];
                    let end = begin + value_len(&frame[begin..]);
                    format!("{}{}{}", &frame[..begin], STRANGE[strange], &frame[end..])
                }
            }
        },
    )
}

/// How long the JSON value at the begin of a text is.
fn value_len(text: &str) -> usize {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    stream.next();
    stream.byte_offset()
}

/// Nothing that cannot be comes out, and nothing at all after `Broken`.
fn check<C: StreamCodec>(line: &mut Line<C>, frames: &[String]) -> Result<(), TestCaseError> {
    let mut ended = false;
    for frame in frames {
        let mut out = line.hear(frame);
        out.extend(line.wait(250));
        for out in out {
            prop_assert!(!ended, "after the end: {:?}", word(&out));
            match &out {
                StreamOut::Broken(why) => {
                    ended = true;
                    prop_assert!(!why.is_empty() && why.len() < 1_000);
                }
                StreamOut::Quote(quote) => {
                    if let (Some(bid), Some(ask)) = (quote.bid, quote.ask) {
                        prop_assert!(bid.0 < ask.0);
                    }
                    for (price, size) in [quote.bid, quote.ask].into_iter().flatten() {
                        prop_assert!(price.is_positive() && size.is_positive());
                    }
                }
                StreamOut::Order(row) => {
                    prop_assert!(!row.qty.is_negative() && !row.filled.is_negative());
                    prop_assert!(!row.venue_order_id.as_str().is_empty());
                }
                StreamOut::Fill(row) => prop_assert!(!row.fill.qty.is_negative()),
                StreamOut::Market(news) => {
                    prop_assert!(
                        news.last.as_ref().is_none_or(|last| last.price.is_positive() && last.qty.is_positive())
                    );
                }
                StreamOut::Send(_) | StreamOut::Up | StreamOut::Remark(_) => {}
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn damaged_frames_never_panic_a_stream(frames in prop::collection::vec(damaged(), 1..30)) {
        check(&mut public(), &frames)?;
        check(&mut private(), &frames)?;
    }

    #[test]
    fn no_text_panics_a_stream(text in r#"\PC{0,80}"#) {
        check(&mut public(), std::slice::from_ref(&text))?;
        check(&mut private(), &[text])?;
    }
}
