//! Every seed through its target, with nothing but cargo; and planted defects, so that the checks themselves are seen
//! failing.

use std::panic::{UnwindSafe, catch_unwind};
use std::path::Path;

use lastorders::domain::event::{Quote, Stream};
use lastorders::domain::ids::{Symbol, VenueId, VenueOrderId};
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{OrderKey, OrderRow, Side, VenueStatus};
use lastorders::domain::request::{Answered, Facts, Refusal, RefusalKind};
use lastorders::domain::time::Boot;
use lastorders::exchange::dialects::bybit::AdminCommand;
use lastorders::exchange::dialects::{CloseHow, GatewayOut, SocketId};
use lastorders::venues::StreamOut;
use lastorders::venues::wire::{HttpOutcome, HttpResponse};
use lastorders_fuzz::accounts::{self, KEY, Shape};
use lastorders_fuzz::bybit_answers::{Said, judge_batch, judge_cancel, judge_create};
use lastorders_fuzz::talk::{Cause, Talk, Watch};
use lastorders_fuzz::{book, bybit_answers, bybit_private, bybit_public, dialect, store};

/// Runs a target over its seeds; each must be there.
fn run(target: &str, check: fn(&[u8]), at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{target}: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= at_least, "{target}: {} seeds", names.len());
    for name in names {
        let bytes = std::fs::read(&name).unwrap();
        if catch_unwind(|| check(&bytes)).is_err() {
            panic!("{}", name.display());
        }
        // Cut short anywhere, it is an input like any other.
        for end in (0..bytes.len()).step_by(97) {
            check(&bytes[..end]);
        }
    }
}

#[test]
fn answers_hold() {
    run("bybit_answers", bybit_answers::check, 15);
}

#[test]
fn public_streams_hold() {
    run("bybit_public", bybit_public::check, 5);
}

#[test]
fn private_streams_hold() {
    run("bybit_private", bybit_private::check, 5);
}

#[test]
fn books_hold() {
    run("book", book::check, 3);
}

#[test]
fn the_dialect_holds() {
    run("dialect", dialect::check, 6);
}

#[test]
fn the_store_holds() {
    run("store", store::check, 6);
}

#[test]
fn every_order_of_the_tester_among_the_seeds_is_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/dialect");
    let mut n_orders = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for order in text.lines().filter_map(|line| line.strip_prefix("A ")) {
            serde_json::from_str::<AdminCommand>(order).unwrap_or_else(|error| panic!("{order}: {error}"));
            n_orders += 1;
        }
    }
    assert!(n_orders >= 20, "{n_orders}");
}

#[test]
fn streams_deliver_when_the_venue_agrees() {
    let mut public = talk(Stream::Public, public_eyes());
    let seed = include_str!("../seeds/bybit_public/contracts");
    let lines: Vec<&str> = seed.lines().skip(1).take(6).collect();
    public.run(lines[..4].join("\n").as_bytes());
    assert!(!public.delivers(), "the deeper book is missing");
    public.run(lines[4..].join("\n").as_bytes());
    assert!(public.delivers());
    let mut private = talk(Stream::Private, bybit_private::Eyes::default());
    private.run(b"+\n+");
    assert!(!private.delivers(), "one subscription is not answered");
    private.run(b"+");
    assert!(private.delivers());
}

/// Whether a check notices.
fn is_noticed(check: impl FnOnce() + UnwindSafe) -> bool {
    catch_unwind(check).is_err()
}

fn said(status: u16, body: &str) -> Said {
    Said::of(&HttpOutcome::Got(HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }))
}

fn refused(kind: RefusalKind) -> Answered {
    Answered::Refused(Refusal { kind, text: "x".into() })
}

fn taken() -> Answered {
    Answered::Done(Facts::CancelTaken { filled: None })
}

#[test]
fn a_create_that_is_done_without_proof_is_noticed() {
    let key = accounts::order("BTC-USDT", 1, None);
    let done = Answered::Done(Facts::Created(VenueOrderId::new("7")));
    let good = r#"{"retCode":0,"result":{"orderId":"7"}}"#;
    judge_create(&done, &key, &said(200, good));
    let other = r#"{"retCode":0,"result":{"orderId":"7","orderLinkId":"other"}}"#;
    for (status, body) in
        [(201, good), (200, r#"{"retCode":10016,"result":{"orderId":"7"}}"#), (200, "{}"), (200, other)]
    {
        assert!(is_noticed(|| judge_create(&done, &key, &said(status, body))), "{status} {body}");
    }
    let funds = refused(RefusalKind::Funds);
    judge_create(&funds, &key, &said(200, r#"{"retCode":110007}"#));
    for (status, body) in [(200, r#"{"retCode":110001}"#), (500, r#"{"retCode":110007}"#), (200, "")] {
        assert!(is_noticed(|| judge_create(&funds, &key, &said(status, body))), "{status} {body}");
    }
}

#[test]
fn a_cancel_of_another_order_is_noticed() {
    let key = accounts::order("BTC-USDT", 1, Some("7"));
    judge_cancel(&taken(), &key, &said(200, r#"{"retCode":0,"result":{"orderId":"7"}}"#));
    assert!(is_noticed(|| judge_cancel(&taken(), &key, &said(200, r#"{"retCode":0,"result":{"orderId":"8"}}"#))));
    assert!(is_noticed(|| judge_cancel(&refused(RefusalKind::NotFound), &key, &said(200, r#"{"retCode":10016}"#))));
}

#[test]
fn a_batch_item_that_takes_anothers_verdict_is_noticed() {
    let keys: Vec<OrderKey> = [1, 2].map(|sequence| accounts::order("BTC-USDT", sequence, None)).into();
    let body = format!(
        r#"{{"retCode":0,"result":{{"list":[{{"orderLinkId":"{}"}},{{"orderLinkId":"{}"}}]}},"retExtInfo":{{"list":[{{"code":0}},{{"code":170213}}]}}}}"#,
        keys[0].client_id, keys[1].client_id
    );
    let items = |one: Answered, other: Answered| {
        Answered::Done(Facts::Batch([(keys[0].client_id, one), (keys[1].client_id, other)].into()))
    };
    judge_batch(&items(taken(), refused(RefusalKind::NotFound)), &keys, &said(200, &body));
    let swapped = items(refused(RefusalKind::NotFound), taken());
    assert!(is_noticed(|| judge_batch(&swapped, &keys, &said(200, &body))));
    assert!(is_noticed(|| judge_batch(&items(taken(), taken()), &keys, &said(200, &body))));
}

fn quote(bid: i64, ask: i64) -> StreamOut {
    let level = |price| Some((Decimal::whole(price), Decimal::ONE));
    let symbol = Symbol::new("BTC-USDT-PERP");
    StreamOut::Quote(Quote { venue: VenueId(0), symbol, bid: level(bid), ask: level(ask) })
}

fn talk<W: Watch>(kind: Stream, watch: W) -> Talk<W> {
    let mut streams = accounts::account(Shape::Whole).streams;
    let place = streams.iter().rposition(|(stream, ..)| *stream == kind).unwrap();
    Talk::new(streams.remove(place).2, watch)
}

fn public_eyes() -> bybit_public::Eyes {
    bybit_public::Eyes::on("BTC-USDT-PERP", "ETH-USDC-PERP")
}

/// What came out, one after the other, all of it of one frame.
fn hear(kind: Stream, outs: &[StreamOut]) -> bool {
    let frame = Cause::Frame("{}");
    match kind {
        Stream::Public => {
            let mut talk = talk(kind, public_eyes());
            is_noticed(std::panic::AssertUnwindSafe(|| outs.iter().for_each(|out| talk.saw(frame, out))))
        }
        Stream::Private => {
            let mut talk = talk(kind, bybit_private::Eyes::default());
            is_noticed(std::panic::AssertUnwindSafe(|| outs.iter().for_each(|out| talk.saw(frame, out))))
        }
    }
}

#[test]
fn streams_that_break_their_word_are_noticed() {
    let broken = || StreamOut::Broken("x".into());
    assert!(!hear(Stream::Public, &[quote(1, 2), broken()]));
    for (why, outs) in [
        ("a crossed quote", vec![quote(2, 2)]),
        ("a quote of nothing", vec![quote(0, 2)]),
        ("news after the end", vec![broken(), quote(1, 2)]),
        ("up without a market", vec![quote(1, 2), StreamOut::Up]),
        ("what nobody can read", vec![StreamOut::Send("ping".into())]),
    ] {
        assert!(hear(Stream::Public, &outs), "{why}");
    }
    assert!(!hear(Stream::Private, &[broken()]));
    assert!(hear(Stream::Private, &[StreamOut::Up]), "up after a login alone");
    assert!(hear(Stream::Private, &[StreamOut::Remark(format!("key {KEY}"))]), "a text with the key");
    assert!(hear(Stream::Private, &[quote(1, 2)]), "prices on a private stream");
}

#[test]
fn an_older_row_behind_a_newer_one_is_noticed() {
    let row = OrderRow {
        symbol: Symbol::new("BTC-USDT"),
        client_id: None,
        venue_order_id: VenueOrderId::new("7"),
        side: Side::Buy,
        price: Decimal::ONE,
        qty: Decimal::ONE,
        filled: Decimal::ZERO,
        status: VenueStatus::Open,
        reason: String::new(),
    };
    let out = StreamOut::Order(Box::new(row));
    let frame = |updated: i64| format!(r#"{{"data":[{{"updatedTime":"{updated}","orderStatus":"New"}}]}}"#);
    let hear = |times: [i64; 2]| {
        is_noticed(|| {
            let mut eyes = bybit_private::Eyes::default();
            times.iter().for_each(|updated| eyes.saw(Boot::ZERO, &out, Some(&frame(*updated))));
        })
    };
    assert!(!hear([5, 5]) && !hear([5, 6]));
    assert!(hear([6, 5]));
}

#[test]
fn a_gateway_that_breaks_its_word_is_noticed() {
    let line = |seq: u64| GatewayOut::Ledger(format!(r#"{{"seq":{seq},"t_ms":1,"kind":"x","sum":"00000000"}}"#));
    let noticed = |outs: &[GatewayOut]| {
        is_noticed(|| {
            let mut judge = dialect::Judge::default();
            outs.iter().for_each(|out| judge.saw(out));
        })
    };
    assert!(!noticed(&[line(1), line(2)]));
    assert!(noticed(&[line(1), line(3)]), "a line is missing");
    assert!(noticed(&[GatewayOut::Ledger("{".into())]), "a line that is no JSON");
    assert!(noticed(&[GatewayOut::Text(SocketId(0), "{}".into())]), "a text for nobody");
    assert!(noticed(&[GatewayOut::CloseSocket(SocketId(0), CloseHow::Hard)]), "the end of no socket");
}

#[test]
fn a_book_that_is_crossed_or_out_of_order_is_noticed() {
    let level = |price| (Decimal::whole(price), Decimal::ONE);
    book::depth_is_sound(&[level(2), level(1)], &[level(3)]);
    assert!(is_noticed(|| book::depth_is_sound(&[level(2)], &[level(2)])));
    assert!(is_noticed(|| book::depth_is_sound(&[level(1), level(2)], &[])));
    assert!(is_noticed(|| book::depth_is_sound(&[(Decimal::ONE, Decimal::ZERO)], &[])));
}
