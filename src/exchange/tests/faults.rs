//! Every fault does what it says and stands in the ledger.

use super::*;
use crate::exchange::{AskKind, Fault, FaultRates, On, Plan};

fn planned(plan: Plan) -> Bench {
    let mut bench = Bench::new(still());
    bench.exchange.plan(plan).unwrap();
    bench
}

fn next(kind: AskKind, fault: Fault) -> Plan {
    Plan::next(On::Ask(kind), fault)
}

#[test]
fn a_lost_answer_leaves_the_order_on_the_book() {
    let mut bench = planned(next(AskKind::Create, Fault::AnswerLost));
    assert_eq!(bench.try_ask(ANN, Ask::Create(buy("a", "63000"))), None);
    bench.run_ms(60_000);
    assert_eq!(bench.open(ANN), ["a"]);
    assert_eq!(bench.faults(), ["answer_lost"]);
    let fault = &bench.lines("fault")[0];
    assert_eq!((fault["client_ids"][0].as_str(), fault["ticket"].as_u64()), (Some("a"), Some(1)));
    assert!(bench.lines("answer").is_empty());
    bench.create(ANN, buy("b", "63000")).unwrap();
}

#[test]
fn a_server_error_looks_the_same_whether_it_was_carried_out_or_not() {
    for (fault, open) in [(Fault::ServerError, 0), (Fault::ServerErrorExecuted, 1)] {
        let mut bench = planned(next(AskKind::Create, fault.clone()));
        assert_eq!(bench.create(ANN, buy("a", "63000")), Err(ErrorCode::Server));
        assert_eq!(bench.open(ANN).len(), open);
        assert_eq!(bench.faults(), [fault.word()]);
    }
}

#[test]
fn a_late_create_is_carried_out_after_the_caller_gave_up_and_before_its_deadline() {
    for seed in 0..20 {
        let mut bench = Bench::new(Setup { seed, ..still() });
        bench.exchange.plan(next(AskKind::Create, Fault::LateExecution { after_ms: None })).unwrap();
        let not_after = Some(bench.now.plus_millis(3_000));
        let late = NewOrder { not_after, ..buy("a", "63000") };
        assert_eq!(bench.try_ask(ANN, Ask::Create(late)), None);
        bench.run_ms(1_499);
        assert!(bench.listed(ANN).unwrap().is_empty());
        assert!(bench.listed(ANN).unwrap().is_empty());
        bench.run_ms(1_501);
        assert_eq!(bench.listed(ANN).unwrap(), ["a"], "live after two empty listings");
        assert_eq!(bench.reply(Ticket(1)), None);
        let promised = bench.lines("fault")[0]["time_ms"].as_i64().unwrap();
        assert_eq!(bench.lines("executed")[0]["t_ms"].as_i64(), Some(promised));
        assert!((1_500..3_000).contains(&(promised - START_MS)));
    }
}

#[test]
fn a_create_that_comes_after_its_deadline_never_rests() {
    let mut bench = planned(next(AskKind::Create, Fault::LateExecution { after_ms: Some(30_000) }));
    let not_after = Some(bench.now.plus_millis(3_000));
    let late = NewOrder { not_after, ..buy("a", "63000") };
    assert_eq!(bench.try_ask(ANN, Ask::Create(late)), None);
    bench.run_ms(60_000);
    assert!(bench.open(ANN).is_empty());
    assert_eq!(bench.lines("rejected")[0]["code"], "deadline");
}

#[test]
fn a_late_cancel_works_later_without_an_answer() {
    let mut bench = planned(next(AskKind::Cancel, Fault::LateExecution { after_ms: None }));
    bench.create(ANN, buy("a", "63000")).unwrap();
    assert_eq!(bench.try_ask(ANN, Ask::Cancel(OrderRef::client("a"))), None);
    bench.run_ms(499);
    assert_eq!(bench.open(ANN), ["a"]);
    bench.run_ms(2_000);
    assert!(bench.open(ANN).is_empty());
}

#[test]
fn not_found_for_a_live_order_does_nothing_to_it() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("a", "63000")).unwrap();
    bench.exchange.plan(Plan::always(On::AnyAsk, Fault::NotFound)).unwrap();
    assert_eq!(bench.cancel(ANN, "a"), Err(ErrorCode::OrderNotFound));
    assert_eq!(bench.query(ANN, "a"), Err(ErrorCode::OrderNotFound));
    bench.run_ms(1_000);
    assert_eq!(bench.listed(ANN).unwrap(), ["a"]);
    assert_eq!(bench.faults(), ["not_found", "not_found"]);
    bench.exchange.heal();
    assert!(bench.cancel(ANN, "a").is_ok());
}

#[test]
fn a_stale_listing_shows_the_book_of_a_moment_ago() {
    let mut bench = Bench::new(Setup { page_size: 2, ..still() });
    for id in ["a", "b", "c", "d"] {
        bench.create(ANN, buy(id, "63000")).unwrap();
    }
    bench.run_ms(1_000);
    bench.cancel(ANN, "b").unwrap();
    bench.create(BOB, sell("s", "63000").of("0.004")).unwrap();
    bench.create(ANN, buy("e", "62000")).unwrap();
    bench.run_ms(100);
    let stale = Fault::StaleListing { by_ms: Some(500) };
    bench.exchange.plan(next(AskKind::ListOpen, stale)).unwrap();
    assert_eq!(bench.listed(ANN).unwrap(), ["a", "b", "c", "d"], "on every page");
    assert_eq!(bench.listed(ANN).unwrap(), ["a", "c", "d", "e"]);
    let stale = Fault::StaleListing { by_ms: Some(500) };
    bench.exchange.plan(next(AskKind::ListOpen, stale)).unwrap();
    match bench.ask(ANN, Ask::ListOpen { cursor: None }).unwrap() {
        Body::OpenOrders { rows, .. } => {
            assert_eq!((rows[0].filled, rows[0].status), (Decimal::ZERO, Status::New), "not filled then");
        }
        other => panic!("{other:?}"),
    }
    let as_of = bench.lines("fault")[0]["time_ms"].as_i64();
    assert_eq!(as_of, Some(bench.now.millis() - 500));
}

#[test]
fn a_broken_listing_breaks_off_with_an_error_after_a_part() {
    let mut bench = Bench::new(still());
    for id in ["a", "b", "c", "d"] {
        bench.create(ANN, buy(id, "63000")).unwrap();
    }
    bench.exchange.plan(Plan::always(On::AnyAsk, Fault::BrokenListing)).unwrap();
    let next = match bench.ask(ANN, Ask::ListOpen { cursor: None }).unwrap() {
        Body::OpenOrders { rows, next } => {
            assert_eq!(rows.len(), 2);
            next
        }
        other => panic!("{other:?}"),
    };
    assert!(next.is_some(), "the part does not pass for the whole");
    assert_eq!(bench.ask(ANN, Ask::ListOpen { cursor: next }), Err(ErrorCode::Server));
    let fills = Ask::ListFills { since: Micros::default(), cursor: None };
    assert!(matches!(bench.ask(ANN, fills), Ok(Body::Fills { next: Some(_), .. })));
    assert_eq!(bench.faults()[0], "broken_listing");
}

#[test]
fn a_slow_cancel_is_answered_long_before_it_is_done_and_can_still_fill() {
    for synchronous_cancel in [false, true] {
        let mut bench = Bench::new(Setup { synchronous_cancel, ..still() });
        let slow = Fault::SlowCancel { by_ms: Some(1_000) };
        bench.exchange.plan(next(AskKind::Cancel, slow)).unwrap();
        bench.create(ANN, buy("a", "63000")).unwrap();
        assert!(bench.cancel(ANN, "a").is_ok());
        bench.run_ms(900);
        bench.create(BOB, sell("s", "63000").of("0.004")).unwrap();
        assert_eq!(bench.open(ANN), ["a"]);
        bench.run_ms(100);
        assert!(bench.open(ANN).is_empty());
        assert_eq!(bench.query(ANN, "a").unwrap().filled.to_string(), "0.004");
        assert_eq!(bench.faults(), ["slow_cancel"]);
    }
}

fn five(bench: &mut Bench) -> Ask {
    let ids = ["a", "b", "c", "d", "e"];
    for id in ids {
        bench.create(ANN, buy(id, "63000")).unwrap();
    }
    let orders = ids.map(OrderRef::client).to_vec();
    Ask::CancelBatch { orders }
}

#[test]
fn a_partial_batch_leaves_exactly_the_failing_items_alone() {
    for subset in 0_u32..32 {
        let failing: Vec<usize> = (0..5).filter(|item| subset & (1 << item) != 0).collect();
        let fault = Fault::PartialBatch { failing: Some(failing.clone()) };
        let mut bench = planned(next(AskKind::CancelBatch, fault));
        let batch = five(&mut bench);
        let answer = bench.ask(ANN, batch).unwrap();
        bench.run_ms(10);
        let ids = ["a", "b", "c", "d", "e"];
        let left: Vec<&str> = failing.iter().map(|item| ids[*item]).collect();
        assert_eq!(bench.open(ANN), left);
        let Body::Batch(items) = answer else { panic!() };
        for item in items {
            let id = item.client_id.unwrap();
            assert_eq!(item.result.is_err(), left.contains(&id.as_str()), "{id}");
        }
    }
}

#[test]
fn a_drawn_partial_batch_fails_at_least_one_and_leaves_some_out() {
    let (mut left_out, mut failed) = (0, 0);
    for seed in 0..60 {
        let mut bench = Bench::new(Setup { seed, ..still() });
        let fault = Fault::PartialBatch { failing: None };
        bench.exchange.plan(next(AskKind::CancelBatch, fault)).unwrap();
        let batch = five(&mut bench);
        let Ok(Body::Batch(items)) = bench.ask(ANN, batch) else { panic!() };
        bench.run_ms(10);
        assert!(!bench.open(ANN).is_empty());
        left_out += 5 - items.len();
        failed += items.iter().filter(|item| item.result.is_err()).count();
    }
    assert!(left_out > 0 && failed > 0, "{left_out} {failed}");
}

#[test]
fn a_shuffled_batch_names_its_items() {
    let mut bench = planned(next(AskKind::CancelBatch, Fault::ShuffledBatch));
    let batch = five(&mut bench);
    let Ok(Body::Batch(items)) = bench.ask(ANN, batch) else { panic!() };
    let mut ids: Vec<String> = items.into_iter().map(|item| item.client_id.unwrap()).collect();
    assert_ne!(ids, ["a", "b", "c", "d", "e"]);
    ids.sort();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
}

#[test]
fn refusals_by_plan_do_nothing() {
    let refused = Fault::Refused(ErrorCode::Funds);
    let mut bench = planned(Plan::next(On::Ask(AskKind::Create), refused));
    assert_eq!(bench.create(ANN, buy("a", "63000")), Err(ErrorCode::Funds));
    let limited = Fault::RateLimited { retry_after_ms: 700 };
    bench.exchange.plan(Plan::always(On::AnyAsk, limited)).unwrap();
    let code = ErrorCode::RateLimited { retry_after_ms: 700 };
    assert_eq!(bench.create(ANN, buy("a", "63000")), Err(code));
    assert!(bench.open(ANN).is_empty());
    assert_eq!(bench.faults(), ["refused", "rate_limited"]);
}

#[test]
fn a_delayed_answer_tells_of_something_long_done() {
    let mut bench = planned(next(AskKind::Create, Fault::DelayedAnswer { by_ms: 800 }));
    assert_eq!(bench.try_ask(ANN, Ask::Create(buy("a", "63000"))), None);
    assert_eq!(bench.open(ANN), ["a"]);
    bench.run_ms(800);
    assert!(bench.reply(Ticket(1)).unwrap().result.is_ok());
}

#[test]
fn pushes_are_lost_doubled_or_late() {
    for (fault, told) in [
        (Fault::LostPush, vec![Status::Canceled]),
        (Fault::DuplicatePush, vec![Status::New, Status::New, Status::Canceled]),
        (Fault::DelayedPush { by_ms: 500 }, vec![Status::Canceled, Status::New]),
    ] {
        let mut bench = planned(Plan::next(On::OrderPush, fault.clone()));
        bench.create(ANN, buy("a", "63000")).unwrap();
        bench.cancel(ANN, "a").unwrap();
        bench.run_ms(1_000);
        assert_eq!(bench.statuses(ANN, "a"), told, "{fault:?}");
        assert_eq!(bench.faults(), [fault.word()]);
        assert_eq!(bench.lines("fault")[0]["on"], "order_push");
    }
}

#[test]
fn a_fill_can_be_told_after_the_cancel() {
    let mut bench = planned(Plan::next(On::FillPush, Fault::DelayedPush { by_ms: 500 }).for_account(ANN));
    bench.create(ANN, buy("a", "63000")).unwrap();
    bench.create(BOB, sell("s", "63000").of("0.004")).unwrap();
    bench.cancel(ANN, "a").unwrap();
    bench.run_ms(1_000);
    let is_cancel = |emit: &Emit| matches!(emit, Emit::Push(ANN, Push::Order(view)) if view.status == Status::Canceled);
    let cancel = bench.heard.iter().position(is_cancel).unwrap();
    let fill = bench.heard.iter().position(|emit| matches!(emit, Emit::Push(ANN, Push::Fill(_)))).unwrap();
    assert!(cancel < fill);
}

#[test]
fn random_faults_strike_about_as_often_as_their_rate() {
    let faults = FaultRates { answer_lost: 200, ..FaultRates::default() };
    let mut bench = Bench::new(Setup { faults, ..still() });
    let answered = (0..1_000).filter(|_| bench.try_ask(ANN, Ask::Time).is_some()).count();
    assert!((750..850).contains(&answered), "{answered}");
    assert_eq!(bench.faults().len(), 1_000 - answered);
    bench.exchange.heal();
    assert!((0..100).all(|_| bench.try_ask(ANN, Ask::Time).is_some()));
}
