//! The invented market at work, and the same again for the same seed.

use super::*;
use crate::exchange::FaultRates;

#[test]
fn quotes_come_about_every_100_ms_and_only_when_they_changed() {
    let mut bench = Bench::new(busy(1));
    bench.run_ms(60_000);
    let quotes = bench.quotes();
    assert!((200..=700).contains(&quotes.len()), "{}", quotes.len());
    for pair in quotes.windows(2) {
        assert!(pair[0].at < pair[1].at);
        assert_ne!((&pair[0].bid, &pair[0].ask), (&pair[1].bid, &pair[1].ask));
    }
    for quote in &quotes {
        assert!(quote.bid.unwrap().0 < quote.ask.unwrap().0, "{quote:?}");
    }
    let still_quotes = {
        let mut bench = Bench::new(still());
        bench.run_ms(60_000);
        bench.quotes().len()
    };
    assert_eq!(still_quotes, 1);
}

#[test]
fn the_book_has_depth_on_both_sides_and_never_crosses() {
    let mut bench = Bench::new(busy(2));
    for _ in 0..300 {
        bench.run_ms(100);
        let bids = bench.exchange.depth(&btc(), Side::Buy, 20);
        let asks = bench.exchange.depth(&btc(), Side::Sell, 20);
        assert!(bids.len() >= 3 && asks.len() >= 3, "{} {}", bids.len(), asks.len());
        assert!(bids[0].0 < asks[0].0);
    }
}

#[test]
fn orders_near_the_touch_fill_in_parts_and_far_ones_rest() {
    let mut bench = Bench::new(busy(3));
    let mut partly = 0;
    let mut ended = 0;
    bench.create(ANN, buy("far", "40000")).unwrap();
    for number in 0..40 {
        let quote = bench.exchange.quote(&btc()).unwrap();
        let (bid, ask) = (quote.bid.unwrap().0.to_string(), quote.ask.unwrap().0.to_string());
        let (b, s) = (format!("b{number}"), format!("s{number}"));
        bench.create(ANN, buy(&b, &bid)).unwrap();
        bench.create(BOB, sell(&s, &ask)).unwrap();
        bench.run_ms(10_000);
        for (account, id) in [(ANN, &b), (BOB, &s)] {
            let statuses = bench.statuses(account, id);
            partly += usize::from(statuses.contains(&Status::PartiallyFilled));
            ended += usize::from(statuses.contains(&Status::Filled));
        }
        bench.ask(ANN, Ask::Cancel(OrderRef::client(&b))).ok();
        bench.ask(BOB, Ask::Cancel(OrderRef::client(&s))).ok();
        bench.run_ms(100);
    }
    assert!(ended >= 20, "{ended} of 80 filled");
    assert!(partly >= 10, "{partly} of 80 were seen in part filled");
    assert_eq!(bench.open(ANN), ["far"]);
}

#[test]
fn a_taker_gets_the_crowds_price() {
    let mut bench = Bench::new(busy(4));
    let ask = bench.exchange.quote(&btc()).unwrap().ask.unwrap().0;
    bench.create(ANN, buy("now", "70000").of("0.001").kept(TimeInForce::Ioc)).unwrap();
    let fills = bench.exchange.fills(ANN);
    assert_eq!((fills.len(), fills[0].price, fills[0].maker), (1, ask, false));
}

#[test]
fn the_same_seed_and_requests_give_the_same_emissions_byte_for_byte() {
    let run = |seed| {
        let rates = FaultRates {
            answer_lost: 50,
            server_error: 50,
            late_execution: 50,
            not_found: 50,
            stale_listing: 100,
            slow_cancel: 100,
            duplicate_push: 100,
            lost_push: 100,
            ..FaultRates::default()
        };
        let mut bench = Bench::new(Setup { latency_us: 700, latency_jitter_us: 5_000, faults: rates, ..busy(seed) });
        for number in 0..150 {
            let price = (63_990 + number % 20).to_string();
            bench.submit(ANN, Ask::Create(buy(&format!("b{number}"), &price)));
            bench.submit(BOB, Ask::Create(sell(&format!("s{number}"), &price)));
            bench.submit(ANN, Ask::Cancel(OrderRef::client(&format!("b{}", number / 2))));
            bench.submit(BOB, Ask::ListOpen { cursor: None });
            bench.run_ms(37);
        }
        format!("{:?}", bench.heard)
    };
    let first = run(1);
    assert!(first.len() > 100_000 && first == run(1));
    assert!(first != run(2));
}

#[test]
fn the_way_time_is_cut_does_not_change_what_happens() {
    let run = |cuts: i64| {
        let mut bench = Bench::new(busy(6));
        bench.create(ANN, buy("bid", "63999")).unwrap();
        for _ in 0..cuts {
            bench.run_ms(30_000 / cuts);
        }
        bench.heard
    };
    assert_eq!(run(1), run(100));
}

#[test]
fn next_due_is_enough_to_drive_it() {
    let mut by_due = Bench::new(busy(7));
    let end = Micros::from_millis(START_MS + 20_000);
    while let Some(due) = by_due.exchange.next_due().filter(|due| *due <= end) {
        by_due.exchange.advance(due, &mut by_due.heard);
    }
    let mut at_once = Bench::new(busy(7));
    at_once.run_ms(20_000);
    assert_eq!(by_due.heard, at_once.heard);
}

#[test]
fn a_scripted_take_and_a_moved_price_happen_at_their_moment() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("bid", "63000")).unwrap();
    let at = bench.now.plus_millis(500);
    assert!(bench.exchange.crowd_takes(at, &btc(), Side::Sell, decimal("63000"), decimal("0.004")));
    assert!(bench.exchange.move_price(at, &btc(), decimal("60000")));
    assert!(!bench.exchange.move_price(at, &Symbol::new("X-Y"), decimal("60000")));
    bench.run_ms(499);
    assert!(bench.exchange.fills(ANN).is_empty());
    bench.run_ms(1);
    assert_eq!(bench.exchange.fills(ANN)[0].qty.to_string(), "0.004");
    let ask = bench.exchange.quote(&btc()).unwrap().ask.unwrap().0;
    assert!(ask < decimal("60100"), "{ask}");
}

#[test]
fn the_price_path_does_not_depend_on_what_accounts_ask() {
    let fair = |asks: bool| {
        let mut bench = Bench::new(busy(8));
        for _ in 0..100 {
            if asks {
                bench.ask(ANN, Ask::ListOpen { cursor: None }).unwrap();
            }
            bench.run_ms(100);
        }
        bench.quotes().pop().map(|quote| (quote.bid, quote.ask))
    };
    assert_eq!(fair(false), fair(true));
}

#[test]
fn a_change_away_from_the_touch_gives_no_quote() {
    let mut bench = Bench::new(still());
    bench.run_ms(1_000);
    bench.create(ANN, buy("far", "63000")).unwrap();
    bench.run_ms(1_000);
    assert_eq!(bench.quotes().len(), 1);
    bench.create(ANN, buy("touch", "64000")).unwrap();
    bench.run_ms(1_000);
    assert_eq!(bench.quotes().len(), 2);
}
