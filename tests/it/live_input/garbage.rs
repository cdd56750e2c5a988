//! Garbage in the middle of trading: answers and frames that are none. Trading goes on when it is over, and nothing is
//! lost or done twice.

use serde_json::json;

use super::judge::{of_clean_stop, soundness};
use super::meddler::{Meddler, Twist, frame, text_frame};
use super::{Desk, Key, QUIET, all_at_once, assert_none, exchange, n_fills, take_one, temporary};

const SPOT: &str = "BTC-USDT";

/// Each thing that stands instead of an answer, for a while, as orders are placed, cancelled and filled.
fn twists() -> Vec<(&'static str, Twist)> {
    let deep = format!("{{\"retCode\":0,\"result\":{}{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    vec![
        ("a page with status 200", Twist::body("<html><head><title>Hello</title></head></html>")),
        ("cut in half", Twist::Changed(|body| body.as_bytes()[..body.len() / 2].to_vec())),
        (
            "ids of another type",
            Twist::Changed(|body| body.replace("\"orderId\":\"", "\"orderId\":7,\"was\":\"").into()),
        ),
        ("a code that nobody knows", Twist::Changed(|body| body.replace("\"retCode\":0", "\"retCode\":777777").into())),
        ("deep JSON", Twist::body(deep)),
        ("an error page", Twist::Instead { status: 502, body: b"<html>Bad Gateway</html>".to_vec() }),
        ("half an answer", Twist::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"retC".to_vec())),
        ("no HTTP", Twist::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())),
        ("without end", Twist::Endless),
    ]
}

/// Answers to these paths are none for a while, again and again, while orders are filled and the account's stream breaks.
fn play_twists(path: &str) -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &QUIET);
    let meddler = Meddler::before(exchange.address());
    let desk = Desk::live(meddler.address(), &key);
    let mut trader = desk.start_ready();
    trader.wait_quoting(&exchange, 0, SPOT);
    for (number, (name, twist)) in twists().into_iter().enumerate() {
        let before = meddler.n_twisted();
        let path = path.to_owned();
        meddler.twist(move |target| if target.starts_with(&path) { twist.clone() } else { Twist::None });
        if number % 3 == 1 {
            // So that the books are compared just now.
            exchange.order(&json!({"command": "drop_sockets", "scope": "private"}));
        }
        trader.wait_for(&format!("three answers to be {name}"), || {
            take_one(&exchange, 0, SPOT);
            (meddler.n_twisted() >= before + 3).then_some(())
        });
        meddler.heal();
        trader.wait_settled(&exchange, 0);
        trader.wait_quoting(&exchange, 0, SPOT);
    }
    let n_fills = n_fills(&exchange.ledger(), 0);
    let code = trader.terminate().code;
    let mut findings = of_clean_stop(&desk, &exchange, 0, code);
    findings.extend(soundness(&desk, &meddler.signatures()));
    findings.extend((n_fills == 0).then(|| "nothing was filled: this shows little".to_owned()));
    findings
}

/// A push of an order with one thing in it exchanged for another.
fn order_with(from: &str, to: &str) -> Vec<u8> {
    let row = r#"{"category":"spot","symbol":"BTCUSDT","orderId":"1","orderLinkId":"loa1b200001a000001","side":"Buy",
        "price":"1","qty":"1","cumExecQty":"0","orderStatus":"New","cancelType":"","rejectReason":""}"#;
    assert!(row.contains(from), "{from}");
    let row = row.replace(from, to);
    text_frame(format!(r#"{{"topic":"order","id":"1","creationTime":1795169472123,"data":[{row}]}}"#).as_bytes())
}

fn book_with(levels: &str) -> Vec<u8> {
    let head = r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{"s":"BTCUSDT","#;
    text_frame(format!("{head}{levels},\"u\":2,\"seq\":2}}}}").as_bytes())
}

/// Frames that no venue should send.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let piece = |first| frame(first, &vec![b' '; 200 * 1024]);
    let beyond_memory = [&[0x81, 127, 0x7f][..], &[0xff; 7][..]].concat();
    vec![
        ("no JSON", text_frame(b"<html>Service unavailable</html>")),
        ("JSON that breaks off", text_frame(br#"{"topic":"order","data":[{"orderI"#)),
        ("a list", text_frame(b"[1,2,3]")),
        ("deep JSON", text_frame(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)).as_bytes())),
        ("data that is a text", text_frame(br#"{"topic":"execution","data":"none"}"#)),
        ("a side nobody knows", order_with("\"Buy\"", "\"Hold\"")),
        ("a size below zero", order_with("\"qty\":\"1\"", "\"qty\":\"-1\"")),
        ("an amount beyond all numbers", order_with("\"qty\":\"1\"", "\"qty\":\"1e999\"")),
        ("an id that is a number", order_with("\"orderId\":\"1\"", "\"orderId\":1")),
        ("a topic nobody asked for", text_frame(br#"{"topic":"greeks","data":[{"x":1}]}"#)),
        ("no text", frame(0x81, &[0xff, 0xfe, 0xfd])),
        ("bytes", frame(0x82, &[0, 1, 2])),
        ("a frame beyond the limit", text_frame(&vec![b' '; 300 * 1024])),
        ("a frame larger than all memory", beyond_memory),
        ("a message without end", [piece(0x01), piece(0x00).repeat(8)].concat()),
        ("a masked frame", vec![0x81, 0x82, 1, 2, 3, 4, 5, 6]),
        ("a frame of no kind", frame(0x8b, b"?")),
        ("a book below zero", book_with(r#""b":[["-1","-1"]],"a":[]"#)),
        ("a book of numbers", book_with(r#""b":[[1,1]],"a":[[2,1]]"#)),
        ("noise", vec![0x00, 0xff, 0x13, 0x37]),
    ]
}

/// Frames for one trader: a stream that breaks again and again is opened again later and later.
const FRAMES_EACH: usize = 5;

fn play_share(path: &str, frames: &[(&'static str, Vec<u8>)]) -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &QUIET);
    let meddler = Meddler::before(exchange.address());
    let desk = Desk::live(meddler.address(), &key);
    let mut trader = desk.start_ready();
    for (name, bytes) in frames {
        trader.wait_quoting(&exchange, 0, SPOT);
        let filled = n_fills(&exchange.ledger(), 0);
        meddler.say(path, bytes.clone());
        // Whether the fill falls into the gap or not is chance; it must be booked all the same.
        trader.wait_for(&format!("a fill after {name}"), || {
            take_one(&exchange, 0, SPOT);
            (n_fills(&exchange.ledger(), 0) > filled).then_some(())
        });
        trader.wait_settled(&exchange, 0);
    }
    let code = trader.terminate().code;
    let mut findings = of_clean_stop(&desk, &exchange, 0, code);
    findings.extend(soundness(&desk, &meddler.signatures()));
    findings
}

#[test]
fn garbage_in_the_middle_of_trading_ends_a_stream_at_most_and_nothing_is_lost() {
    let frames = frames();
    let mut shares: Vec<(&str, &[(&str, Vec<u8>)])> = vec![("/v5/order/", &[]), ("/v5/", &[])];
    for path in ["/v5/private", "/v5/public"] {
        shares.extend(frames.chunks(FRAMES_EACH).map(|share| (path, share)));
    }
    let name = |(path, share): &(&str, &[(&str, Vec<u8>)])| {
        let names: Vec<_> = share.iter().map(|(name, _)| *name).collect();
        format!("{path}: {}", names.join(", "))
    };
    let findings =
        all_at_once(
            &shares,
            name,
            |(path, share)| {
                if share.is_empty() { play_twists(path) } else { play_share(path, share) }
            },
        );
    assert_none(&findings);
}
