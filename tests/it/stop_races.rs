//! The ordered stop when things happen at the wrong moment: fills, lost answers, creates on their way, panics, refusals.

use std::collections::BTreeSet;
use std::time::Duration;

use lastorders::domain::event::{Event, SignalName};
use lastorders::domain::ids::{VenueId, VenueOrderId};
use lastorders::domain::order::{OrderRow, Side, StateName, VenueStatus};
use lastorders::domain::stop::StopCause;
use lastorders::exchange::{AskKind, ErrorCode, Fault, On, Plan};
use lastorders::sim::world::World;

use crate::worlds::{
    MINUTE, SECOND, assert_clean_stop, assert_no_create_twice, assert_truth, btc, crowd, decimal, faults, ledger,
    ledger_mark, n_in_state, n_requests, n_sent, open, report, requests, resting, resting_ten_lots, said,
    state_on_disk, trade_until_resting, world_at_rest,
};

fn term(world: &mut World) {
    world.signal(SignalName::Term);
}

#[test]
fn an_order_without_an_exchange_id_is_cancelled_all_the_same() {
    let mut world = World::new(resting(1));
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), Fault::AnswerLost)).unwrap();
    world.venues[0].exchange.plan(Plan::next(On::OrderPush, Fault::LostPush)).unwrap();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| open(world).len() == 1 && n_sent(world) == 1));
    let mark = ledger_mark(&world, 0);
    term(&mut world);
    world.step(i64::MAX);
    let nameless = world.desk().unwrap().orders.open().all(|order| order.key.venue_order_id.is_none());
    assert!(nameless, "it was to have no exchange id");
    let report = assert_clean_stop(&mut world, &resting(1), 0, "without id");
    assert_eq!((report.orders.found, report.orders.canceled), (1, 1));
    let lines = ledger(&world, 0, mark);
    let first = lines.iter().find(|line| line["kind"] == "request").unwrap();
    assert_eq!(
        first["what"], "cancel",
        "it is asked for at once by our own name, nobody looks for the other one first"
    );
}

#[test]
fn a_failed_cancel_does_not_stop_the_others() {
    for batch_cancel_max in [0, 10] {
        let mut settings = resting(25);
        settings.venues[0].sim.batch_cancel_max = batch_cancel_max;
        let mut world = world_at_rest(settings.clone(), 25);
        let stubborn = open(&world)[7].client_id.clone();
        let plan = Plan::always(On::AnyCancel, Fault::ServerError).for_order(&stubborn);
        world.venues[0].exchange.plan(plan).unwrap();
        term(&mut world);
        world.run_for(10 * SECOND);
        let left: Vec<_> = open(&world).into_iter().map(|order| order.client_id).collect();
        // A batch that fails as a whole takes its neighbours along only if nobody asks for them alone.
        assert_eq!(left, std::slice::from_ref(&stubborn), "batches of {batch_cancel_max}");
        assert_eq!(world.run_to_verdict(), Some(3));
        assert_truth(&world, "stubborn");
        let report = report(&world);
        assert_eq!((report.orders.canceled, report.orders.remaining.len()), (24, 1));
        assert!(report.orders.cancel_errors > 3, "{:?}", report.orders);
        assert!(report.complete && report.state_flushed);
    }
}

#[test]
fn cancels_that_fail_a_few_times_are_asked_again_until_they_work() {
    let settings = resting(25);
    let refusals = [ErrorCode::Server, ErrorCode::BadRequest("no".into()), ErrorCode::OrderNotFound];
    for refusal in refusals {
        let mut world = world_at_rest(settings.clone(), 25);
        let plan = Plan::next(On::AnyCancel, Fault::Refused(refusal.clone())).times(5);
        world.venues[0].exchange.plan(plan).unwrap();
        term(&mut world);
        let report = assert_clean_stop(&mut world, &settings, 0, &format!("{refusal:?}"));
        assert_eq!(report.orders.canceled, 25);
        assert!(report.orders.cancel_errors >= 5, "{refusal:?}: {:?}", report.orders);
    }
}

#[test]
fn a_venue_that_denies_a_resting_order_is_asked_again_at_a_measured_pace() {
    let mut settings = resting(3);
    settings.venues[0].sim.batch_cancel_max = 0;
    let mut world = world_at_rest(settings, 3);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::NotFound)).unwrap();
    let mark = ledger_mark(&world, 0);
    term(&mut world);
    assert!(
        world.run_until(MINUTE, |world| { world.verdict.is_some() || world.venues[0].ledger.len() > mark + 20_000 })
    );
    assert_eq!(world.verdict.as_ref().map(|verdict| verdict.exit_code), Some(3), "it never came to an end");
    assert_truth(&world, "denied");
    let asked = requests(&world, 0, mark);
    let n_asked: usize = asked.values().sum();
    // Three orders, thirty seconds: about a cancel and a query for each every second, and some listings.
    assert!((30..600).contains(&n_asked), "{asked:?}");
}

#[test]
fn a_refused_transition_does_not_stop_the_clean_up() {
    let settings = resting(20);
    let mut world = World::new(settings.clone());
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| {
        world.desk().is_some_and(|desk| desk.orders.n_open() > 0 && desk.orders.n_new() > 0)
    }));
    let fresh = world.desk().unwrap().orders.new_orders().next().unwrap().id();
    let resting = world.desk().unwrap().orders.open().next().unwrap().id();
    // A venue that shows an order nobody sent, and one that renames another.
    for (id, venue_order_id) in [(fresh, "V900001"), (resting, "V900002")] {
        let row = OrderRow {
            symbol: btc(),
            client_id: Some(id.as_str().to_owned()),
            venue_order_id: VenueOrderId::new(venue_order_id),
            side: Side::Buy,
            price: decimal("40000"),
            qty: decimal("0.001"),
            filled: decimal("0"),
            status: VenueStatus::Open,
            reason: String::new(),
        };
        world.tell(Event::Order(VenueId(0), Box::new(row)));
    }
    term(&mut world);
    world.step(i64::MAX);
    assert!(world.desk().unwrap().orders.n_refused() >= 1, "{:#?}", world.said);
    assert_clean_stop(&mut world, &settings, 0, "refused transition");
}

#[test]
fn batches_that_fail_in_part_and_answers_in_another_order_are_sorted_out() {
    let settings = resting(60);
    let mut world = world_at_rest(settings.clone(), 60);
    let batch = On::Ask(AskKind::CancelBatch);
    world.venues[0].exchange.plan(Plan::next(batch, Fault::PartialBatch { failing: None }).times(4)).unwrap();
    world.venues[0].exchange.plan(Plan::next(batch, Fault::ShuffledBatch).times(4)).unwrap();
    let mark = ledger_mark(&world, 0);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "partial and shuffled");
    assert_eq!(report.orders.canceled, 60);
    assert_eq!(faults(&world, 0, mark).into_iter().collect::<Vec<_>>(), ["partial_batch", "shuffled_batch"]);
}

#[test]
fn a_fill_during_the_cancel_is_booked_and_told() {
    let settings = resting(10);
    let mut world = world_at_rest(settings.clone(), 10);
    world.venues[0].exchange.plan(Plan::next(On::AnyCancel, Fault::SlowCancel { by_ms: Some(600) })).unwrap();
    crowd(&mut world, 0, 300, Side::Sell, "39998", "0.003");
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "fill during cancel");
    assert_eq!((report.orders.found, report.orders.canceled, report.orders.filled_meanwhile), (10, 7, 3));
    assert_eq!(report.positions[0].qty, decimal("0.003"));
}

#[test]
fn a_fill_whose_news_come_after_the_cancel_is_waited_for_and_booked_once() {
    for fault in [Fault::DelayedPush { by_ms: 3_000 }, Fault::LostPush, Fault::DuplicatePush] {
        let settings = resting_ten_lots(3);
        let mut world = world_at_rest(settings.clone(), 3);
        world.venues[0].exchange.plan(Plan::always(On::FillPush, fault.clone())).unwrap();
        crowd(&mut world, 0, 0, Side::Sell, "40000", "0.004");
        term(&mut world);
        let report = assert_clean_stop(&mut world, &settings, 0, fault.word());
        assert_eq!((report.orders.canceled, report.positions[0].qty), (3, decimal("0.004")), "{}", fault.word());
    }
}

#[test]
fn an_order_that_fills_after_the_venue_called_it_cancelled_is_not_forgotten() {
    let mut settings = resting(4);
    settings.venues[0].sim.synchronous_cancel = true;
    let mut world = world_at_rest(settings.clone(), 4);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::SlowCancel { by_ms: Some(900) })).unwrap();
    crowd(&mut world, 0, 500, Side::Sell, "40000", "0.001");
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "filled after its cancel");
    assert_eq!(report.positions[0].qty, decimal("0.001"));
    let filled = state_on_disk(&world, &settings).orders.recently_closed.into_iter();
    assert_eq!(filled.filter(|order| order.state == StateName::Filled).count(), 1);
}

#[test]
fn a_venue_that_calls_live_orders_cancelled_is_not_believed() {
    let mut settings = resting(4);
    settings.venues[0].sim.synchronous_cancel = true;
    let mut world = world_at_rest(settings, 4);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::SlowCancel { by_ms: Some(200_000) })).unwrap();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(3));
    assert_truth(&world, "cancelled in words only");
    assert_eq!(report(&world).orders.remaining.len(), 4);
}

#[test]
fn a_create_in_flight_at_the_signal_is_cancelled_when_it_lands() {
    let mut settings = resting(10);
    settings.venues[0].sim.latency_ms = 50;
    let mut world = World::new(settings.clone());
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| n_sent(world) == 10 && !world.creates_seen.is_empty()));
    assert_eq!(open(&world).len(), 0, "none has landed");
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "in flight");
    assert_eq!(report.proof.grade, "by_listing", "a create left just before");
    let landed = world.creates_seen.len() as u32;
    assert!(landed > 0);
    assert_eq!((report.orders.canceled, report.orders.unsent), (landed, 10 - landed), "{:?}", report.orders);
}

#[test]
fn an_unknown_create_that_turns_out_live_after_two_empty_looks_is_caught() {
    let settings = resting(1);
    let mut world = World::new(settings.clone());
    let late = Fault::LateExecution { after_ms: Some(480) };
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), late)).unwrap();
    world.venues[0].exchange.plan(Plan::always(On::OrderPush, Fault::LostPush)).unwrap();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| !world.creates_seen.is_empty()));
    term(&mut world);
    for _ in 0..2 {
        world.run_for(Duration::from_millis(200));
        assert_eq!(open(&world).len(), 0, "a listing would be empty");
        assert!(world.verdict.is_none(), "and prove nothing");
    }
    let report = assert_clean_stop(&mut world, &settings, 0, "late");
    assert_eq!((report.orders.found, report.orders.canceled, report.proof.grade.as_str()), (1, 1, "by_listing"));
    let kinds: Vec<_> = ledger(&world, 0, 0).iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect();
    assert!(kinds.contains(&"executed".to_owned()) && kinds.contains(&"closed".to_owned()));
}

#[test]
fn a_create_that_never_reached_the_venue_ends_by_evidence() {
    let settings = resting(1);
    let mut world = World::new(settings.clone());
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), Fault::ServerError)).unwrap();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| n_in_state(world, StateName::Unknown) == 1));
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "absent");
    assert_eq!((report.orders.found, report.orders.canceled), (1, 0));
    let ended = &state_on_disk(&world, &settings).orders.recently_closed[0];
    assert_eq!(ended.state, StateName::Rejected);
}

#[test]
fn a_create_that_was_new_at_the_gate_is_never_sent() {
    let settings = resting(20);
    let mut world = World::new(settings.clone());
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| n_in_state(world, StateName::New) == 10));
    let fresh: Vec<_> = world.desk().unwrap().orders.new_orders().map(|order| order.id()).collect();
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "new at the gate");
    assert!(fresh.iter().all(|id| !world.creates_seen.contains_key(id.as_str())));
    assert_eq!(report.orders.unsent as usize, fresh.len());
    assert_eq!(report.orders.found as usize, world.creates_seen.len());
}

#[test]
fn a_panic_in_trade_leads_into_the_same_stop() {
    let settings = resting_ten_lots(6);
    let mut world = World::new(settings.clone());
    let fuse = crate::bomb::Bomb::plant(&mut world, "rungs", 6);
    world.start().unwrap();
    trade_until_resting(&mut world, 6);
    world.run_for(SECOND);
    // This fill is news of the very cycle that panics.
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.004");
    fuse.light();
    let report = assert_clean_stop(&mut world, &settings, 1, "panic");
    assert_eq!((report.reason.as_str(), report.signal), ("core_panic", None));
    assert_eq!((report.orders.found, report.orders.canceled), (6, 6));
    assert_eq!(report.proof.grade, "by_listing", "memory is lost, so nobody knows what left when");
    assert_eq!(report.positions[0].qty, decimal("0.004"));
}

#[test]
fn a_panic_while_creates_are_on_their_way_leaves_none_behind() {
    for latency_ms in [0, 20, 100] {
        for n_seen in [1, 2, 5] {
            let mut settings = resting(12);
            settings.venues[0].sim.latency_ms = latency_ms;
            let mut world = World::new(settings.clone());
            let fuse = crate::bomb::Bomb::plant(&mut world, "rungs", 12);
            world.start().unwrap();
            assert!(world.run_until(MINUTE, |world| world.creates_seen.len() >= n_seen));
            fuse.light();
            assert_clean_stop(&mut world, &settings, 1, &format!("{latency_ms} ms, {n_seen} seen"));
        }
    }
}

#[test]
fn news_between_the_save_and_the_report_do_not_spoil_either() {
    // Answers of the proof may still be on their way when the state is saved: they are recorded, the state is saved
    // again, and the report tells of that second save.
    let settings = resting(3);
    for after_steps in 0..12 {
        let mut world = world_at_rest(settings.clone(), 3);
        term(&mut world);
        let saved = |world: &World| said(world, 0).contains(&"StateStore flushed to disk");
        assert!(world.run_until(MINUTE, saved));
        for _ in 0..after_steps {
            world.step(i64::MAX);
        }
        let row = lastorders::domain::order::FillRow {
            symbol: btc(),
            client_id: None,
            venue_order_id: VenueOrderId::new("V1"),
            side: Side::Buy,
            kind: lastorders::domain::order::FillKind::Trade,
            fill: lastorders::domain::order::Fill {
                trade_id: lastorders::domain::ids::TradeId::new("T-late"),
                price: decimal("40000"),
                qty: decimal("0.001"),
                fee: decimal("0"),
                fee_asset: "USDT".into(),
                maker: true,
                at: world.stamp().wall,
            },
        };
        world.tell(Event::Fill(VenueId(0), Box::new(row)));
        assert_eq!(world.run_to_verdict(), Some(0), "after {after_steps} steps: {:#?}", world.said);
        let report = report(&world);
        assert_eq!((report.complete, report.state_flushed, report.exit_code), (true, true, 0), "{after_steps}");
    }
}

#[test]
fn a_stop_at_every_moment_of_a_start_leaves_nothing() {
    for latency_ms in [0, 3] {
        let mut settings = resting(15);
        settings.venues[0].sim.latency_ms = latency_ms;
        let mut n_while_starting = 0;
        for n_steps in 0..60 {
            let mut world = world_at_rest(settings.clone(), 15);
            world.kill();
            world.start().unwrap();
            for _ in 0..n_steps {
                world.step(i64::MAX);
            }
            let was_trading = world.machine().unwrap().is_trading();
            n_while_starting += u32::from(!was_trading);
            term(&mut world);
            assert_clean_stop(&mut world, &settings, 0, &format!("latency {latency_ms}, after {n_steps} steps"));
        }
        assert!(n_while_starting >= 10, "only {n_while_starting} moments lay in the start");
    }
}

#[test]
fn a_stop_at_every_moment_of_the_first_orders_leaves_nothing() {
    let mut states = BTreeSet::new();
    for latency_ms in [0, 7] {
        let mut settings = resting(25);
        settings.venues[0].sim.latency_ms = latency_ms;
        for n_steps in (0..90).step_by(3) {
            let mut world = World::new(settings.clone());
            world.start().unwrap();
            for _ in 0..n_steps {
                world.step(i64::MAX);
            }
            let desk = world.desk().unwrap();
            states.extend(desk.orders.new_orders().chain(desk.orders.open()).map(|order| order.state_name()));
            term(&mut world);
            let told = format!("latency {latency_ms}, after {n_steps} steps");
            let report = assert_clean_stop(&mut world, &settings, 0, &told);
            let landed = world.creates_seen.len() as u32;
            assert_eq!(report.orders.found, landed, "{told}: {:?}", report.orders);
        }
    }
    assert!(states.len() >= 3, "{states:?}");
}

#[test]
fn a_cancel_budget_of_the_venue_is_kept_and_every_order_goes() {
    let mut settings = resting(60);
    settings.venues[0].sim.cancels_per_second = 10;
    let mut world = world_at_rest(settings.clone(), 60);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "slow venue");
    assert_eq!(report.orders.canceled, 60);
    assert!(report.duration_ms >= 4_900, "60 orders at 10 a second, 10 at once: {} ms", report.duration_ms);
    assert_eq!(report.orders.cancel_errors, 0, "asked no faster than allowed");
}

#[test]
fn a_ban_is_waited_out_if_there_is_time_and_told_if_not() {
    for (wait_ms, code) in [(8_000, 0), (120_000, 3)] {
        let settings = resting(10);
        let mut world = world_at_rest(settings.clone(), 10);
        let ban = Fault::RateLimited { retry_after_ms: wait_ms };
        world.venues[0].exchange.plan(Plan::next(On::AnyCancel, ban)).unwrap();
        let mark = ledger_mark(&world, 0);
        term(&mut world);
        assert_eq!(world.run_to_verdict(), Some(code), "{wait_ms}");
        assert_truth(&world, "ban");
        if code == 3 {
            assert_eq!(n_requests(&world, 0, mark, "cancel_batch"), 1, "nothing is asked of a venue that bans us");
        }
    }
}

#[test]
fn a_stop_ends_by_its_one_deadline_whatever_fails() {
    let ways: [&[(On, Fault)]; 4] = [
        &[(On::AnyAsk, Fault::AnswerLost)],
        &[(On::AnyAsk, Fault::ServerError)],
        &[(On::AnyCancel, Fault::ServerError), (On::Ask(AskKind::Query), Fault::NotFound)],
        &[(On::AnyPush, Fault::LostPush), (On::Ask(AskKind::ListOpen), Fault::StaleListing { by_ms: Some(60_000) })],
    ];
    for (number, faults) in ways.into_iter().enumerate() {
        for (cancel_s, recorder_s) in [(30, 10), (5, 2)] {
            let mut settings = resting(10);
            settings.shutdown.cancel_timeout_s = cancel_s;
            settings.shutdown.recorder_timeout_s = recorder_s;
            let mut world = world_at_rest(settings, 10);
            for (on, fault) in faults {
                let _ = world.venues[0].exchange.plan(Plan::always(*on, fault.clone()));
            }
            term(&mut world);
            assert!(world.run_to_verdict().is_some(), "way {number}: it never ended");
            let report = report(&world);
            let limit_ms = u64::from(cancel_s + recorder_s) * 1_000;
            assert!(report.duration_ms <= limit_ms, "way {number}: {} ms of {limit_ms}", report.duration_ms);
            assert_truth(&world, &format!("way {number}"));
            assert_no_create_twice(&world, "deadline");
        }
    }
}

#[test]
fn no_create_leaves_once_a_stop_has_begun_whatever_began_it() {
    for began_by in ["signal", "command", "restart", "panic"] {
        for n_seen in [2, 3, 8] {
            let mut settings = resting(40);
            settings.venues[0].sim.latency_ms = 5;
            let mut world = World::new(settings.clone());
            let fuse = (began_by == "panic").then(|| crate::bomb::Bomb::plant(&mut world, "rungs", 40));
            world.start().unwrap();
            assert!(world.run_until(MINUTE, |world| world.creates_seen.len() >= n_seen));
            match began_by {
                "command" => world.stop(StopCause::Command),
                "restart" => world.stop(StopCause::Restart),
                "signal" => term(&mut world),
                _ => fuse.unwrap().light(),
            }
            world.step(i64::MAX);
            let n_left = world.creates_seen.len();
            let code = world.run_to_verdict();
            assert!(n_left < 40, "{began_by}: none was held back");
            assert_eq!(world.creates_seen.len(), n_left, "{began_by}");
            assert_eq!((code.is_some(), open(&world).len()), (true, 0), "{began_by}");
        }
    }
}
