//! Orders meet: priority, partial fills, post-only, IOC, money.

use proptest::prelude::*;

use super::*;
use crate::exchange::{PostOnlyCross, Reason};

#[test]
fn better_prices_fill_first_and_equal_prices_by_time() {
    let mut bench = Bench::new(still());
    for (id, price) in [("late", "63990"), ("second", "63980"), ("third", "63980")] {
        bench.create(ANN, sell(id, price)).unwrap();
    }
    bench.create(BOB, buy("all", "63990").of("0.025")).unwrap();
    let fills: Vec<(String, String)> =
        bench.exchange.fills(ANN).into_iter().map(|fill| (fill.client_id, fill.qty.to_string())).collect();
    let expected = [("second", "0.01"), ("third", "0.01"), ("late", "0.005")];
    assert_eq!(fills, expected.map(|(id, qty)| (id.to_owned(), qty.to_owned())));
    assert_eq!(bench.open(ANN), ["late"]);
    assert_eq!(bench.query(ANN, "late").unwrap().status, Status::PartiallyFilled);
    assert_eq!(bench.query(BOB, "all").unwrap().status, Status::Filled);
}

#[test]
fn a_taker_pays_the_resting_price_and_both_pay_their_fee() {
    let mut bench = Bench::new(still());
    bench.create(ANN, sell("ask", "63000")).unwrap();
    bench.create(BOB, buy("bid", "63500").of("0.004")).unwrap();
    let (ann, bob) = (&bench.exchange.fills(ANN)[0], &bench.exchange.fills(BOB)[0]);
    assert_eq!(ann.trade_id, bob.trade_id);
    assert_eq!((ann.price.to_string(), bob.price.to_string()), ("63000".into(), "63000".into()));
    // 252 changes hands; 2 and 5.5 hundredths of a percent of it.
    assert_eq!((ann.fee.to_string(), ann.maker), ("0.0504".into(), true));
    assert_eq!((bob.fee.to_string(), bob.maker), ("0.1386".into(), false));
    assert_eq!(bench.balance(BOB, "USDT"), ("999747.8614".into(), "0".into()));
    assert_eq!(bench.balance(BOB, "BTC"), ("100.004".into(), "0".into()));
    assert_eq!(bench.balance(ANN, "BTC"), ("99.996".into(), "0.006".into()));
}

#[test]
fn an_order_tells_each_step_with_what_is_filled_so_far() {
    let mut bench = Bench::new(still());
    bench.create(ANN, sell("ask", "63990")).unwrap();
    for (id, qty) in [("a", "0.003"), ("b", "0.007")] {
        bench.create(BOB, buy(id, "63990").of(qty)).unwrap();
    }
    let told: Vec<(Status, String)> =
        bench.order_pushes(ANN, "ask").into_iter().map(|view| (view.status, view.filled.to_string())).collect();
    let expected = [(Status::New, "0"), (Status::PartiallyFilled, "0.003"), (Status::Filled, "0.01")];
    assert_eq!(told, expected.map(|(status, filled)| (status, filled.to_owned())));
    assert_eq!(bench.fill_pushes(ANN).len(), 2);
}

#[test]
fn a_post_only_order_never_takes_and_the_setup_says_how_it_ends() {
    for (cross, answer, status, reason) in [
        (PostOnlyCross::AcceptThenCancel, Ok(()), Some(Status::Canceled), Some(Reason::PostOnlyWouldCross)),
        (PostOnlyCross::AcceptThenReject, Ok(()), Some(Status::Rejected), Some(Reason::PostOnlyRejected)),
        (PostOnlyCross::Refuse, Err(ErrorCode::WouldCross), None, None),
    ] {
        let mut bench = Bench::new(Setup { post_only_cross: cross, ..still() });
        bench.create(ANN, sell("ask", "63990")).unwrap();
        assert_eq!(bench.create(BOB, buy("bid", "63990").kept(TimeInForce::PostOnly)), answer);
        let last = bench.order_pushes(BOB, "bid").pop();
        assert_eq!(last.as_ref().map(|view| view.status), status);
        assert_eq!(last.and_then(|view| view.reason), reason);
        assert!(bench.exchange.fills(BOB).is_empty());
        assert_eq!(bench.balance(BOB, "USDT").1, "0");
        bench.create(BOB, buy("lower", "63989.9").kept(TimeInForce::PostOnly)).unwrap();
        assert_eq!(bench.open(BOB), ["lower"]);
    }
}

#[test]
fn an_ioc_takes_what_is_there_and_the_rest_ends() {
    let mut bench = Bench::new(still());
    bench.create(ANN, sell("ask", "63990").of("0.004")).unwrap();
    bench.create(BOB, buy("now", "63990").kept(TimeInForce::Ioc)).unwrap();
    let view = bench.query(BOB, "now").unwrap();
    assert_eq!((view.status, view.reason), (Status::Canceled, Some(Reason::IocRest)));
    assert_eq!(view.filled.to_string(), "0.004");
    assert_eq!(bench.balance(BOB, "USDT").1, "0");
}

#[test]
fn an_account_does_not_trade_with_itself() {
    let mut bench = Bench::new(still());
    bench.create(ANN, sell("ask", "63990")).unwrap();
    bench.create(ANN, buy("bid", "63990")).unwrap();
    assert_eq!(bench.query(ANN, "bid").unwrap().reason, Some(Reason::SelfTrade));
    assert_eq!(bench.open(ANN), ["ask"]);
    assert!(bench.exchange.fills(ANN).is_empty());
}

#[test]
fn a_still_market_shows_prices_and_fills_nobody() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("over", "70000")).unwrap();
    bench.create(ANN, buy("ioc", "70000").kept(TimeInForce::Ioc)).unwrap();
    bench.run_ms(60_000);
    assert!(bench.exchange.fills(ANN).is_empty());
    assert_eq!(bench.open(ANN), ["over"]);
    let quote = bench.exchange.quote(&btc()).unwrap();
    assert!(quote.bid.is_some() && quote.ask.is_some());
    assert_eq!(bench.exchange.next_due(), None, "nothing happens by itself");
}

#[test]
fn what_breaks_a_rule_is_refused_and_holds_no_money() {
    let mut bench = Bench::new(still());
    let wrong = |new: NewOrder| NewOrder { symbol: Symbol::new("DOGE-USDT"), ..new };
    for new in [
        buy("tick", "64000.05"),
        buy("lot", "64000").of("0.0005"),
        buy("small", "1000").of("0.001"),
        buy("large", "1000").of("1001"),
        buy("zero", "64000").of("0"),
        buy("negative", "64000").of("-1"),
        buy("free", "0"),
        buy("", "64000"),
        wrong(buy("symbol", "64000")),
    ] {
        assert!(matches!(bench.create(ANN, new.clone()), Err(ErrorCode::BadRequest(_))), "{new:?}");
    }
    assert_eq!(bench.create(ANN, buy("dear", "64000").of("16")), Err(ErrorCode::Funds));
    assert_eq!(bench.create(ANN, sell("short", "64000").of("100.001")), Err(ErrorCode::Funds));
    assert!(matches!(bench.create(AccountId(9), buy("who", "64000")), Err(ErrorCode::BadRequest(_))));
    assert_eq!(bench.balance(ANN, "USDT"), ("1000000".into(), "0".into()));
    assert_eq!(bench.lines("rejected").len(), 12);
    assert!(bench.lines("accepted").is_empty());
}

#[test]
fn the_documented_ladder_is_legal() {
    let mut bench = Bench::new(still());
    for rung in 0..100 {
        let price = (40_000 - rung).to_string();
        bench.create(ANN, buy(&format!("r{rung}"), &price).of("0.001")).unwrap();
    }
    assert_eq!(bench.open(ANN).len(), 100);
}

#[test]
fn a_client_id_is_not_used_twice_even_after_its_end() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("one", "63000")).unwrap();
    assert_eq!(bench.create(ANN, buy("one", "63000")), Err(ErrorCode::DuplicateId));
    bench.create(BOB, buy("one", "63000")).unwrap();
    bench.cancel(ANN, "one").unwrap();
    bench.run_ms(100);
    assert_eq!(bench.create(ANN, buy("one", "63000")), Err(ErrorCode::DuplicateId));
}

#[test]
fn a_taken_cancel_may_still_lose_against_a_fill() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("bid", "63000")).unwrap();
    assert!(matches!(bench.cancel(ANN, "bid"), Ok(Body::CancelTaken { filled: None, .. })));
    assert_eq!(bench.cancel(ANN, "bid"), Err(ErrorCode::AlreadyCanceling));
    assert!(bench.query(ANN, "bid").unwrap().cancel_queued);
    bench.run_ms(2);
    bench.create(BOB, sell("ask", "63000").of("0.004")).unwrap();
    bench.run_ms(10);
    let view = bench.query(ANN, "bid").unwrap();
    assert_eq!((view.status, view.filled.to_string()), (Status::Canceled, "0.004".into()));
    assert_eq!(bench.cancel(ANN, "bid"), Err(ErrorCode::AlreadyCanceled));
    assert_eq!(bench.cancel(ANN, "never"), Err(ErrorCode::OrderNotFound));
}

#[test]
fn a_synchronous_cancel_is_done_with_its_answer() {
    let mut bench = Bench::new(Setup { synchronous_cancel: true, ..still() });
    bench.create(ANN, buy("bid", "63000")).unwrap();
    bench.create(BOB, sell("ask", "63000").of("0.004")).unwrap();
    match bench.cancel(ANN, "bid") {
        Ok(Body::CancelTaken { filled, .. }) => assert_eq!(filled, Some(decimal("0.004"))),
        other => panic!("{other:?}"),
    }
    assert!(bench.open(ANN).is_empty());
}

#[test]
fn cancel_all_takes_the_account_or_one_symbol() {
    let mut setup = still();
    setup.listings = Setup::new(&[btc(), Symbol::new("ETH-USDT")]).listings;
    setup.open_account(ANN);
    let mut bench = Bench::new(setup);
    let ether = |id: &str| NewOrder { symbol: Symbol::new("ETH-USDT"), ..buy(id, "3000") };
    bench.create(ANN, buy("b", "63000")).unwrap();
    bench.create(ANN, ether("e")).unwrap();
    bench.create(BOB, buy("other", "63000")).unwrap();
    let symbol = Some(btc());
    bench.ask(ANN, Ask::CancelAll { symbol }).unwrap();
    bench.run_ms(10);
    assert_eq!(bench.open(ANN), ["e"]);
    bench.ask(ANN, Ask::CancelAll { symbol: None }).unwrap();
    bench.run_ms(10);
    assert!(bench.open(ANN).is_empty());
    assert_eq!(bench.open(BOB), ["other"]);
}

#[test]
fn an_order_found_by_both_names_must_fit_both() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("a", "63000")).unwrap();
    bench.create(ANN, buy("b", "63000")).unwrap();
    bench.create(BOB, buy("c", "63000")).unwrap();
    let id = |bench: &mut Bench, who, name| bench.query(who, name).unwrap().order_id;
    let (a, c) = (id(&mut bench, ANN, "a"), id(&mut bench, BOB, "c"));
    let query =
        |client_id: Option<&str>, order_id| Ask::Query(OrderRef { client_id: client_id.map(str::to_owned), order_id });
    assert!(bench.ask(ANN, query(None, Some(a.clone()))).is_ok());
    assert!(bench.ask(ANN, query(Some("a"), Some(a.clone()))).is_ok());
    assert_eq!(bench.ask(ANN, query(Some("b"), Some(a))), Err(ErrorCode::OrderNotFound));
    assert_eq!(bench.ask(ANN, query(None, Some(c))), Err(ErrorCode::OrderNotFound), "not ours");
    assert!(matches!(bench.ask(ANN, query(None, None)), Err(ErrorCode::BadRequest(_))));
}

#[test]
fn contracts_can_be_sold_short_and_bind_margin_only() {
    let perp = Symbol::new("BTC-USDT-PERP");
    let mut setup = Setup::new(std::slice::from_ref(&perp));
    setup.activity = 0;
    setup.open_account(BOB);
    let mut bench = Bench::new(setup);
    let on = |new: NewOrder| NewOrder { symbol: perp.clone(), ..new };
    bench.create(ANN, on(sell("short", "64000").of("100"))).unwrap();
    bench.create(BOB, on(buy("long", "64000").of("100"))).unwrap();
    match bench.ask(ANN, Ask::Positions).unwrap() {
        Body::Positions(rows) => {
            assert_eq!((rows[0].qty.to_string(), rows[0].cost.to_string()), ("-100".into(), "-6400000".into()));
        }
        other => panic!("{other:?}"),
    }
    // 640,000 of about a million is margin.
    assert_eq!(bench.create(ANN, on(sell("more", "64000").of("60"))), Err(ErrorCode::Funds));
    bench.create(ANN, on(sell("less", "64000").of("50"))).unwrap();
}

/// What a random account does at a random moment.
#[derive(Clone, Debug)]
enum Deed {
    Create(u16, NewOrder),
    CancelAll(u16),
    Cancel(u16, usize),
    Wait(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let symbol = prop_oneof![Just("BTC-USDT"), Just("BTC-USDT-PERP")];
    let kept = prop_oneof![Just(TimeInForce::Gtc), Just(TimeInForce::PostOnly), Just(TimeInForce::Ioc)];
    let create = (0_u16..2, symbol, any::<bool>(), 639_000_i64..641_000, 1_i64..40_000, kept).prop_map(
        |(account, symbol, buys, ticks, lots, time_in_force)| {
            let new = NewOrder {
                client_id: String::new(),
                symbol: Symbol::new(symbol),
                side: if buys { Side::Buy } else { Side::Sell },
                price: decimal("0.1").checked_mul_int(ticks).unwrap(),
                qty: decimal("0.001").checked_mul_int(lots).unwrap(),
                time_in_force,
                not_after: None,
            };
            Deed::Create(account, new)
        },
    );
    prop_oneof![
        6 => create,
        1 => (0_u16..2).prop_map(Deed::CancelAll),
        2 => (0_u16..2, 0_usize..60).prop_map(|(account, number)| Deed::Cancel(account, number)),
        3 => (0_i64..2_000).prop_map(Deed::Wait),
    ]
}

fn carry_out(bench: &mut Bench, number: usize, deed: &Deed) {
    match deed {
        Deed::Create(account, new) => {
            let client_id = format!("o{number}");
            let new = NewOrder { client_id, ..new.clone() };
            bench.submit(AccountId(*account), Ask::Create(new));
        }
        Deed::CancelAll(account) => {
            bench.submit(AccountId(*account), Ask::CancelAll { symbol: None });
        }
        Deed::Cancel(account, number) => {
            let which = OrderRef::client(&format!("o{number}"));
            bench.submit(AccountId(*account), Ask::Cancel(which));
        }
        Deed::Wait(ms) => bench.run_ms(*ms),
    }
    bench.run_ms(0);
}

fn two_kinds(activity: u32) -> Setup {
    let mut setup = Setup::new(&[btc(), Symbol::new("BTC-USDT-PERP")]);
    setup.open_account(BOB);
    Setup { activity, maker_fee_bps: decimal("-1.37"), taker_fee_bps: decimal("5.51"), ..setup }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn money_is_conserved_to_the_last_digit_and_locks_match_the_orders(
        activity in prop_oneof![Just(0_u32), Just(3_000)],
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let mut bench = Bench::new(two_kinds(activity));
        let before = bench.exchange.totals();
        for (number, deed) in deeds.iter().enumerate() {
            carry_out(&mut bench, number, deed);
            let mut after = bench.exchange.totals();
            if let Some(contracts) = after.remove("BTC-USDT-PERP") {
                prop_assert_eq!(contracts, Decimal::ZERO);
            }
            prop_assert_eq!(&after, &before);
        }
        for account in [ANN, BOB] {
            for row in bench.exchange.balances(account) {
                prop_assert!(!row.locked.is_negative());
            }
            // With everything cancelled nothing is held any more.
            bench.submit(account, Ask::CancelAll { symbol: None });
            bench.run_ms(20);
            prop_assert!(bench.open(account).is_empty());
            for row in bench.exchange.balances(account) {
                prop_assert_eq!(row.locked, Decimal::ZERO);
            }
        }
    }

    #[test]
    fn spot_never_goes_below_zero_and_filled_never_passes_ordered(deeds in prop::collection::vec(deed(), 1..80)) {
        let mut bench = Bench::new(two_kinds(2_000));
        for (number, deed) in deeds.iter().enumerate() {
            carry_out(&mut bench, number, deed);
        }
        for account in [ANN, BOB] {
            for row in bench.exchange.balances(account) {
                prop_assert!(row.asset != "BTC" || row.locked <= row.total, "{:?}", row);
            }
            for view in bench.exchange.open_orders(account) {
                prop_assert!(view.filled < view.qty);
            }
        }
    }
}
