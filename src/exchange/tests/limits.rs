//! Limits, deadlines, pages, lags, the dead man's switch, time.

use super::*;
use crate::exchange::Reason;

fn rungs(bench: &mut Bench, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|number| format!("r{number:05}")).collect();
    for id in &ids {
        bench.create(ANN, buy(id, "40000").of("0.001")).unwrap();
    }
    ids
}

fn batch(ids: &[String]) -> Ask {
    let orders = ids.iter().map(|id| OrderRef::client(id)).collect();
    Ask::CancelBatch { orders }
}

fn results(body: Result<Body, ErrorCode>) -> Vec<(String, Result<Option<Decimal>, ErrorCode>)> {
    match body {
        Ok(Body::Batch(items)) => items.into_iter().map(|item| (item.client_id.unwrap(), item.result)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_counts_each_order_and_is_cut_at_the_budget() {
    let mut bench = Bench::new(Setup { cancels_per_second: 4, ..still() });
    let ids = rungs(&mut bench, 6);
    let told = results(bench.ask(ANN, batch(&ids)));
    let verdicts: Vec<bool> = told.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(verdicts, [true, true, true, true, false, false]);
    assert_eq!(told[4].1, Err(ErrorCode::RateLimited { retry_after_ms: 250 }));
    let last = Ticket(bench.last_ticket);
    assert_eq!(bench.reply(last).unwrap().limit.unwrap().remaining, 0);
    bench.run_ms(10);
    assert_eq!(bench.open(ANN), ids[4..]);
    assert!(matches!(bench.cancel(ANN, &ids[4]), Err(ErrorCode::RateLimited { .. })));
    bench.run_ms(250);
    bench.cancel(ANN, &ids[4]).unwrap();
}

#[test]
fn creates_have_their_own_budget_and_each_account_its_own() {
    let mut bench = Bench::new(Setup { creates_per_second: 2, ..still() });
    bench.create(ANN, buy("1", "63000")).unwrap();
    bench.create(ANN, buy("2", "63000")).unwrap();
    assert_eq!(bench.create(ANN, buy("3", "63000")), Err(ErrorCode::RateLimited { retry_after_ms: 500 }));
    bench.create(BOB, buy("1", "63000")).unwrap();
    bench.cancel(ANN, "1").unwrap();
    bench.run_ms(500);
    bench.create(ANN, buy("3", "63000")).unwrap();
}

#[test]
fn a_batch_has_a_largest_size_and_may_not_exist() {
    for (most, size, good) in [(10, 10, true), (10, 11, false), (0, 1, false), (10, 0, false)] {
        let mut bench = Bench::new(Setup { batch_cancel_max: most, ..still() });
        let ids = rungs(&mut bench, size);
        let answer = bench.ask(ANN, batch(&ids));
        assert_eq!(answer.is_ok(), good, "{size} of {most}");
        bench.run_ms(10);
        assert_eq!(bench.open(ANN).is_empty(), good || size == 0);
    }
}

#[test]
fn an_account_rests_no_more_than_the_venue_allows() {
    let mut bench = Bench::new(Setup { open_orders_max: 2, ..still() });
    rungs(&mut bench, 2);
    assert_eq!(bench.create(ANN, buy("third", "40000")), Err(ErrorCode::TooManyOrders));
    bench.create(BOB, buy("other", "40000")).unwrap();
}

#[test]
fn a_create_after_its_deadline_is_refused() {
    let mut bench = Bench::new(Setup { latency_us: 10_000, ..still() });
    let by = |id: &str, ms| NewOrder { not_after: Some(Micros::from_millis(START_MS + ms)), ..buy(id, "63000") };
    let late = bench.submit(ANN, Ask::Create(by("late", 9)));
    let just = bench.submit(ANN, Ask::Create(by("just", 10)));
    bench.run_ms(20);
    assert_eq!(bench.reply(late).unwrap().result, Err(ErrorCode::Deadline));
    assert!(bench.reply(just).unwrap().result.is_ok());
    assert_eq!(bench.open(ANN), ["just"]);
}

#[test]
fn pages_together_hold_every_order_once() {
    for count in [0, 1, 49, 50, 51, 100, 123] {
        let mut bench = Bench::new(still());
        let ids = rungs(&mut bench, count);
        assert_eq!(bench.listed(ANN).unwrap(), ids);
    }
    let mut bench = Bench::new(still());
    let cursor = Some("nonsense".to_owned());
    assert!(matches!(bench.ask(ANN, Ask::ListOpen { cursor }), Err(ErrorCode::BadRequest(_))));
}

#[test]
fn fills_come_page_by_page_from_a_moment_on() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("deep", "63000").of("1")).unwrap();
    for number in 0..120 {
        bench.run_ms(1);
        bench.create(BOB, sell(&format!("s{number}"), "63000").of("0.001")).unwrap();
    }
    let since = Micros::from_millis(START_MS + 31);
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        match bench.ask(ANN, Ask::ListFills { since, cursor }).unwrap() {
            Body::Fills { rows, next, .. } => {
                assert!(rows.len() <= 50);
                seen.extend(rows.into_iter().map(|fill| fill.at.millis() - START_MS));
                cursor = next;
            }
            other => panic!("{other:?}"),
        }
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (31..=120).collect::<Vec<i64>>(), "the first moment is part of it");
}

#[test]
fn lists_that_lag_say_how_far_they_are() {
    let mut bench = Bench::new(Setup { fills_lag_us: 1_000_000, history_lag_us: 2_000_000, ..still() });
    bench.create(ANN, buy("bid", "63000")).unwrap();
    bench.create(BOB, sell("ask", "63000")).unwrap();
    let fills = |bench: &mut Bench| match bench.ask(ANN, Ask::ListFills { since: Micros::default(), cursor: None }) {
        Ok(Body::Fills { rows, complete_to, .. }) => (rows.len(), complete_to.millis() - START_MS),
        other => panic!("{other:?}"),
    };
    let history = |bench: &mut Bench| bench.ask(ANN, Ask::History(OrderRef::client("bid"))).is_ok();
    assert_eq!((fills(&mut bench), history(&mut bench)), ((0, -1_000), false));
    bench.run_ms(1_000);
    assert_eq!((fills(&mut bench), history(&mut bench)), ((1, 0), false));
    bench.run_ms(1_000);
    assert!(history(&mut bench));
}

#[test]
fn ended_orders_are_forgotten_in_time_and_live_ones_never() {
    let mut bench = Bench::new(Setup { closed_orders_max: 2, synchronous_cancel: true, ..still() });
    let ids = rungs(&mut bench, 5);
    for id in &ids[..4] {
        bench.cancel(ANN, id).unwrap();
    }
    let known: Vec<bool> = ids.iter().map(|id| bench.query(ANN, id).is_ok()).collect();
    assert_eq!(known, [false, false, true, true, true]);
}

#[test]
fn the_dead_mans_switch_cancels_everything_of_its_account_unless_put_off() {
    let mut bench = Bench::new(still());
    rungs(&mut bench, 3);
    bench.create(BOB, buy("bob", "40000")).unwrap();
    let arm = |ms| Ask::SetCountdown { ms };
    bench.ask(ANN, arm(Some(1_000))).unwrap();
    bench.run_ms(900);
    bench.ask(ANN, arm(Some(1_000))).unwrap();
    bench.run_ms(900);
    assert_eq!(bench.open(ANN).len(), 3);
    assert_eq!(bench.ask(ANN, Ask::ReadCountdown), Ok(Body::Countdown(Some(Micros::from_millis(START_MS + 1_900)))));
    bench.run_ms(100);
    assert!(bench.open(ANN).is_empty());
    assert_eq!(bench.order_pushes(ANN, "r00002").last().unwrap().reason, Some(Reason::Countdown));
    assert_eq!(bench.open(BOB), ["bob"]);
    assert_eq!(bench.ask(ANN, Ask::ReadCountdown), Ok(Body::Countdown(None)));
    rungs_again(&mut bench);
    bench.ask(ANN, arm(Some(1_000))).unwrap();
    bench.ask(ANN, arm(None)).unwrap();
    bench.run_ms(5_000);
    assert_eq!(bench.open(ANN), ["again"]);
}

fn rungs_again(bench: &mut Bench) {
    bench.create(ANN, buy("again", "40000")).unwrap();
}

#[test]
fn answers_take_the_way_there_and_back() {
    let mut bench = Bench::new(Setup { latency_us: 1_500, ..still() });
    let ticket = bench.submit(ANN, Ask::Time);
    bench.run_ms(2);
    assert!(bench.reply(ticket).is_none());
    bench.run_ms(1);
    let reply = bench.reply(ticket).unwrap();
    assert_eq!(reply.result, Ok(Body::Time(Micros::new(START_MS * 1_000 + 1_500))));
}

#[test]
fn time_that_steps_back_is_taken_as_now() {
    let mut bench = Bench::new(still());
    bench.run_ms(5_000);
    bench.now = bench.now.plus_millis(-3_000);
    bench.create(ANN, buy("bid", "63000")).unwrap();
    assert_eq!(bench.exchange.now(), Micros::from_millis(START_MS + 5_000));
    assert_eq!(bench.query(ANN, "bid").unwrap().created_at, Micros::from_millis(START_MS + 5_000));
}

#[test]
fn answers_and_pushes_come_in_either_order() {
    let mut bench = Bench::new(still());
    let mut push_first = 0;
    for number in 0..200 {
        bench.heard.clear();
        bench.create(ANN, buy(&format!("o{number}"), "40000")).unwrap();
        let answer = bench.heard.iter().position(|emit| matches!(emit, Emit::Answer(..))).unwrap();
        let push = bench.heard.iter().position(|emit| matches!(emit, Emit::Push(..))).unwrap();
        push_first += usize::from(push < answer);
    }
    assert!((1..200).contains(&push_first), "{push_first} of 200");
}

#[test]
fn each_stream_keeps_its_order_whatever_the_delays() {
    let mut bench = Bench::new(Setup { latency_jitter_us: 50_000, ..still() });
    bench.submit(ANN, Ask::Create(buy("deep", "63000").of("1")));
    bench.run_ms(100);
    for number in 0..200 {
        let new = sell(&format!("s{number}"), "63000").of("0.001");
        bench.submit(BOB, Ask::Create(new));
        bench.run_ms(1);
    }
    bench.run_ms(1_000);
    let filled: Vec<Decimal> = bench.order_pushes(ANN, "deep").into_iter().map(|view| view.filled).collect();
    assert!(filled.len() == 201 && filled.is_sorted());
    let trades: Vec<Micros> = bench.fill_pushes(ANN).into_iter().map(|fill| fill.at).collect();
    assert!(trades.len() == 200 && trades.is_sorted());
}
