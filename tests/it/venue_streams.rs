//! Frames of real venues' documentation and captures, where a checkout of them lies beside this one. Without it the test
//! says that it looked at nothing; with it every frame must be understood and say what it says.

use std::path::Path;
use std::time::Duration;

use lastorders::domain::event::{MarketNews, Quote};
use lastorders::domain::ids::{Symbol, VenueId};
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{FillKind, FillRow, OrderRow, Outcome, Side, VenueStatus};
use lastorders::domain::secret::{ApiKey, Secret};
use lastorders::domain::time::{Boot, Wall};
use lastorders::venues::bybit::streams::private::PrivateStream;
use lastorders::venues::bybit::streams::public::PublicStream;
use lastorders::venues::bybit::symbols::{Category, Symbols};
use lastorders::venues::{Signing, StreamCodec, StreamOut};

const SAMPLES: &str = "../shared/venues/samples/bybit";

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn level(price: &str, size: &str) -> (Decimal, Decimal) {
    (decimal(price), decimal(size))
}

fn open<C: StreamCodec>(mut codec: C) -> C {
    let now = Wall::from_millis(1_700_000_000_000);
    let signing = Signing { now, valid_for: Duration::from_secs(3), nonce: 1, chance: [7; 32] };
    codec.opened(Boot::ZERO, &signing, &mut Vec::new());
    codec
}

fn public(category: Category) -> PublicStream {
    let symbol = if category == Category::Spot { "BTC-USDT" } else { "BTC-USDT-PERP" };
    open(PublicStream::new(VenueId(0), category, "ws://127.0.0.1:1".into(), &[Symbol::new(symbol)], &[]))
}

fn private() -> PrivateStream {
    let key = ApiKey { key: Secret::new("k".into()), secret: Secret::new("s".into()) };
    open(PrivateStream::new("ws://127.0.0.1:1", key, Symbols::default(), false))
}

fn hear(mut codec: impl StreamCodec, frames: &[&str]) -> Vec<StreamOut> {
    let mut out = Vec::new();
    for frame in frames {
        codec.frame(Boot::ZERO, frame, &mut out);
    }
    out
}

fn market(out: &[StreamOut]) -> &MarketNews {
    match out {
        [StreamOut::Market(news), ..] => news,
        other => panic!("no news of the market: {other:?}"),
    }
}

fn quote(out: &[StreamOut]) -> &Quote {
    match out {
        [.., StreamOut::Quote(quote)] => quote,
        other => panic!("no quote: {other:?}"),
    }
}

fn order(out: &[StreamOut]) -> &OrderRow {
    match out {
        [StreamOut::Order(row)] => row,
        other => panic!("no order: {other:?}"),
    }
}

fn fill(out: &[StreamOut]) -> &FillRow {
    match out {
        [StreamOut::Fill(row)] => row,
        other => panic!("no fill: {other:?}"),
    }
}

/// How many requests went out: an answer that was understood leads to the next ones.
fn n_sent(out: &[StreamOut]) -> usize {
    assert!(!out.iter().any(|out| matches!(out, StreamOut::Broken(_))), "{out:?}");
    out.iter().filter(|out| matches!(out, StreamOut::Send(_))).count()
}

fn is_up(out: &[StreamOut]) -> bool {
    out.contains(&StreamOut::Up)
}

const BOOKS: [&str; 2] = [
    r#"{"topic":"orderbook.1.BTCUSDT","type":"snapshot","data":{"s":"BTCUSDT","b":[["1","1"]],"a":[["2","1"]],"u":5,"seq":5}}"#,
    r#"{"topic":"orderbook.50.BTCUSDT","type":"snapshot","data":{"s":"BTCUSDT","b":[["1","1"]],"a":[["2","1"]],"u":5,"seq":5}}"#,
];

/// What each sample must say; a sample that is not in here fails.
fn check(name: &str, text: &str) {
    match name {
        "ws_orderbook_snapshot.json" | "ws_orderbook_delta.json" => check_book(name, text),
        "ws_public_trade.json" | "ws_ticker_linear_snapshot.json" | "ws_ticker_spot.json" => check_market(name, text),
        "ws_order_update.json" | "ws_execution.json" | "ws_execution_fast.json" => check_account(name, text),
        "ws_auth_ok_private.json" | "ws_trade_auth_ok.json" => assert_eq!(n_sent(&hear(private(), &[text])), 2),
        "ws_subscribe_ack_private.json" => {
            assert!(is_up(&hear(private(), &[r#"{"success":true,"op":"auth"}"#, text, text])))
        }
        "ws_subscribe_ack_public.json" => {
            // It bears the number of a request of someone else: not an answer to ours.
            assert!(!is_up(&hear(public(Category::Spot), &[BOOKS[0], BOOKS[1], text])));
            let ours = text.replace("10001", "subscribe-1");
            assert!(is_up(&hear(public(Category::Spot), &[BOOKS[0], BOOKS[1], &ours])));
        }
        "ws_pong_private.json" | "ws_pong_public_linear.json" | "ws_trade_pong.json" => check_pong(text),
        // Nothing we ask for; it must do no harm.
        "ws_system_status.json" => assert_eq!(hear(public(Category::Spot), &[text]), []),
        "ws_trade_create_ack.json" | "ws_trade_create_batch_all_legs_failed.json" => {
            assert!(matches!(&hear(private(), &[text])[..], [StreamOut::Remark(_)]));
        }
        // What a client sends.
        "ws_trade_auth_request.json" | "ws_trade_create_request.json" => {}
        other => panic!("nobody says what {other} must say"),
    }
}

fn check_book(name: &str, text: &str) {
    if name == "ws_orderbook_snapshot.json" {
        let out = hear(public(Category::Spot), &[text]);
        let depth = market(&out).depth.as_ref().unwrap();
        assert_eq!(depth.bids, [level("16493.50", "0.006"), level("16493.00", "0.100")]);
        assert_eq!(depth.asks, [level("16611.00", "0.029"), level("16612.00", "0.213")]);
        assert_eq!(quote(&out).bid, Some(level("16493.50", "0.006")));
        return;
    }
    let before = r#"{"topic":"orderbook.50.BTCUSDT","type":"snapshot","data":{"s":"BTCUSDT","b":[["30240.00","1"]],
        "a":[["30248.70","1"],["30249.60","1"]],"u":177400506,"seq":66544703341}}"#;
    let out = hear(public(Category::Linear), &[before, text]);
    let quote = quote(&out);
    assert_eq!((quote.bid, quote.ask), (Some(level("30247.20", "30.028")), Some(level("30249.30", "0.892"))));
    let StreamOut::Market(news) = &out[2] else { panic!("{out:?}") };
    let depth = news.depth.as_ref().unwrap();
    assert_eq!((depth.bids.len(), depth.asks.len()), (4, 5), "what has the size 0 is gone");
}

fn check_market(name: &str, text: &str) {
    match name {
        "ws_public_trade.json" => {
            let out = hear(public(Category::Spot), &[text]);
            let last = market(&out).last.as_ref().unwrap();
            assert_eq!((last.price, last.qty, last.taker), (decimal("16578.50"), decimal("0.001"), Side::Buy));
            assert_eq!(last.at, Wall::from_millis(1_672_304_486_865));
        }
        "ws_ticker_linear_snapshot.json" => {
            let out = hear(public(Category::Linear), &[text]);
            let ticker = market(&out).ticker.as_ref().unwrap();
            assert_eq!((ticker.mark, ticker.funding_rate), (Some(decimal("66666.60")), Some(decimal("-0.005"))));
            assert_eq!(ticker.next_funding, Some(Wall::from_millis(1_760_342_400_000)));
        }
        // Spot has neither mark nor funding.
        _ => assert_eq!(hear(public(Category::Spot), &[text]), []),
    }
}

fn check_account(name: &str, text: &str) {
    match name {
        "ws_order_update.json" => {
            assert!(matches!(&hear(private(), &[text])[..], [StreamOut::Remark(_)]), "an option is not ours");
            let out = hear(private(), &[&text.replace("\"option\"", "\"linear\"")]);
            let row = order(&out);
            assert_eq!(row.venue_order_id.as_str(), "5cf98598-39a7-459e-97bf-76ca765ee020");
            assert_eq!((row.side, row.price, row.qty), (Side::Sell, decimal("72.5"), decimal("1")));
            assert_eq!((row.filled, row.status), (decimal("1"), VenueStatus::Ended(Outcome::Filled)));
            assert_eq!((row.client_id.clone(), row.reason.as_str()), (None, ""));
        }
        "ws_execution.json" => {
            let out = hear(private(), &[text]);
            let row = fill(&out);
            assert_eq!((row.symbol.as_str(), row.side, row.kind), ("BTC-USDT-PERP", Side::Sell, FillKind::Trade));
            assert_eq!(row.venue_order_id.as_str(), "9aac161b-8ed6-450d-9cab-c5cc67c21784");
            assert!(row.fill.trade_id.as_str().contains("0ab1bdf7-4219-438b-b30a-32ec863018f7"));
            assert_eq!((row.fill.price, row.fill.qty, row.fill.maker), (decimal("95900.1"), decimal("0.5"), false));
            // With the tax on top of it.
            assert_eq!((row.fill.fee, row.fill.fee_asset.as_str()), (decimal("26.378931279"), "USDT"));
            assert_eq!(row.fill.at, Wall::from_millis(1_746_270_400_353));
        }
        _ => assert_eq!(hear(private(), &[text]), [], "no fee in it: not asked for, not taken"),
    }
}

fn check_pong(text: &str) {
    for pong in [Some(text), None] {
        let (mut codec, mut out) = (private(), Vec::new());
        codec.frame(Boot::ZERO, r#"{"success":true,"op":"auth"}"#, &mut out);
        for _ in 0..2 {
            codec.frame(Boot::ZERO, r#"{"success":true,"op":"subscribe"}"#, &mut out);
        }
        codec.ping(Boot::ZERO, &mut out);
        out.clear();
        if let Some(pong) = pong {
            codec.frame(Boot::ZERO, pong, &mut out);
        }
        codec.tick(Boot::ZERO.after(Duration::from_secs(60)), &mut out);
        assert_eq!(out.len(), usize::from(pong.is_none()), "{out:?}");
    }
}

#[test]
fn frames_of_the_venues_documentation_say_what_they_say() {
    let Ok(folder) = Path::new(SAMPLES).read_dir() else {
        println!("skipped: no samples of Bybit frames at {SAMPLES}");
        return;
    };
    let mut n_checked = 0;
    for entry in folder {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("ws_") {
            println!("{name}");
            check(&name, &std::fs::read_to_string(&path).unwrap());
            n_checked += 1;
        }
    }
    assert!(n_checked >= 15, "only {n_checked} samples of frames at {SAMPLES}");
}
