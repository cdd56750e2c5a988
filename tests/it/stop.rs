//! The ordered stop, on the real machines in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use lastorders::domain::event::SignalName;
use lastorders::domain::order::{Side, StateName};
use lastorders::domain::settings::{Mode, OnExit, OnStart, Settings};
use lastorders::domain::stop::StopCause;
use lastorders::exchange::{AskKind, Fault, On, Plan};
use lastorders::shutdown::steps::Step;
use lastorders::sim::settings::{ladder, quiet, venue};
use lastorders::sim::world::World;

use crate::worlds::{
    MINUTE, OURS, SECOND, assert_books, assert_clean_stop, assert_truth, btc, crowd, decimal, foreign_order, ladder_of,
    ledger_mark, n_in_state, n_requests, open, open_at, report, requests, resting, resting_ten_lots, said,
    state_on_disk, trade_until_resting, world_at_rest, world_with,
};

fn term(world: &mut World) {
    world.signal(SignalName::Term);
}

#[test]
fn paper_cancels_what_rests_and_proves_it() {
    let mut world = world_with(100);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &resting(100), 0, "paper");
    assert_eq!((report.orders.found, report.orders.canceled), (100, 100));
    assert_eq!((report.proof.proved, report.proof.grade.as_str()), (true, "by_order"));
}

#[test]
fn dry_run_skips_cancellation_and_says_so() {
    let mut settings = resting(5);
    settings.mode = Mode::DryRun;
    let mut world = World::new(settings);
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| world.desk().is_some_and(|desk| desk.orders.n_new() == 5)));
    let mark = ledger_mark(&world, 0);
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(0));
    assert!(world.creates_seen.is_empty());
    assert_eq!(requests(&world, 0, mark).len(), 0, "nothing is asked of the venue");
    let report = report(&world);
    assert_eq!((report.mode.as_str(), report.orders.unsent, report.orders.found), ("DRY_RUN", 5, 0));
    assert_eq!((report.proof.proved, report.proof.grade.as_str()), (false, "skipped"));
    for step in ["cancel", "prove"] {
        let line = report.steps.iter().find(|line| line.name == step).unwrap();
        assert!(line.ok && line.note.starts_with("skipped"), "{line:?}");
    }
}

#[test]
fn with_nothing_to_cancel_nothing_is_cancelled_and_that_is_proved() {
    let mut world = world_at_rest(quiet(), 0);
    let (mark, line) = (ledger_mark(&world, 0), world.said.len());
    term(&mut world);
    let report = assert_clean_stop(&mut world, &quiet(), 0, "nothing");
    assert_eq!((report.orders.found, report.orders.canceled, report.proof.proved), (0, 0, true));
    assert!(said(&world, line).contains(&"No active orders to cancel"));
    assert_eq!(n_requests(&world, 0, mark, "cancel") + n_requests(&world, 0, mark, "cancel_batch"), 0);
    assert!(n_requests(&world, 0, mark, "list_open") >= 2, "{:?}", requests(&world, 0, mark));
}

#[test]
fn one_order_is_cancelled_by_a_single_call() {
    let mut world = world_with(1);
    let (mark, line) = (ledger_mark(&world, 0), world.said.len());
    term(&mut world);
    let report = assert_clean_stop(&mut world, &resting(1), 0, "one");
    assert_eq!(n_requests(&world, 0, mark, "cancel"), 1);
    assert_eq!(n_requests(&world, 0, mark, "cancel_batch"), 0);
    assert_eq!((report.orders.canceled, report.venues[0].cancel_requests), (1, 1));
    assert!(said(&world, line).contains(&"Canceled 1 order"));
}

#[test]
fn many_orders_are_cancelled_by_batches() {
    let mut world = world_with(100);
    let mark = ledger_mark(&world, 0);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &resting(100), 0, "many");
    assert_eq!(n_requests(&world, 0, mark, "cancel"), 0);
    assert_eq!(n_requests(&world, 0, mark, "cancel_batch"), 10, "ten orders fit a batch");
    assert_eq!(report.venues[0].cancel_requests, 10);
}

#[test]
fn where_the_venue_has_no_batch_every_order_gets_its_own_cancel() {
    let mut settings = resting(30);
    settings.venues[0].sim.batch_cancel_max = 0;
    let mut world = world_at_rest(settings.clone(), 30);
    let (mark, line) = (ledger_mark(&world, 0), world.said.len());
    term(&mut world);
    assert_clean_stop(&mut world, &settings, 0, "no batch");
    assert_eq!((n_requests(&world, 0, mark, "cancel"), n_requests(&world, 0, mark, "cancel_batch")), (30, 0));
    assert!(said(&world, line).contains(&"Canceled 30 orders one by one"));
}

#[test]
fn more_orders_than_the_machine_remembers_are_all_counted() {
    let settings = resting(5_200);
    let mut world = world_at_rest(settings.clone(), 5_200);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "5,200");
    assert_eq!((report.orders.found, report.orders.canceled), (5_200, 5_200));
}

/// The stop takes over in the cycle that also brings the news: the order was open at the signal.
#[test]
fn an_order_that_ends_in_the_very_cycle_of_the_signal_counts_as_found() {
    let mut n_met = 0;
    for wait_us in (0..4_000).step_by(50) {
        let settings = resting_ten_lots(3);
        let mut world = world_at_rest(settings.clone(), 3);
        crowd(&mut world, 0, 0, Side::Sell, "40000", "0.010");
        world.run_for(Duration::from_micros(wait_us));
        let n_open = n_in_state(&world, StateName::Open);
        term(&mut world);
        let report = assert_clean_stop(&mut world, &settings, 0, "the same cycle");
        let orders = &report.orders;
        assert_eq!(orders.found, orders.canceled + orders.filled_meanwhile, "{wait_us} us: {orders:?}");
        assert_eq!(orders.found as usize, n_open, "{wait_us} us: {orders:?}");
        n_met += u32::from(orders.filled_meanwhile == 1);
    }
    assert!(n_met > 0, "no fill came with a signal");
}

#[test]
fn the_log_of_a_stop_has_the_words_other_tools_look_for() {
    let settings = resting_ten_lots(3);
    let mut world = world_at_rest(settings.clone(), 3);
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.004");
    world.run_for(SECOND);
    let orders = open(&world);
    let line = world.said.len();
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "words");
    let name = |place: usize, left: &str, price: &str, state: &str| {
        let order = &orders[place];
        format!("  - BTC-USDT BUY {left} @ {price} (id={}, order_id={}{state})", order.client_id, order.order_id)
    };
    let expected = [
        "SHUTDOWN SIGNAL RECEIVED (SIGTERM) - initiating graceful shutdown".to_owned(),
        "Step 1/11: Closing the gate for new orders".into(),
        "Step 2/11: Canceling active orders".into(),
        "Found 3 active orders to cancel".into(),
        name(0, "0.006", "40000.0", ", PARTIALLY_FILLED"),
        name(1, "0.010", "39999.0", ""),
        name(2, "0.010", "39998.0", ""),
        "Batch canceled 3 orders".into(),
        "Step 3/11: Proving that no order is left".into(),
        "Step 4/11: Flushing StateStore to disk".into(),
        "StateStore flushed to disk".into(),
        "Step 5/11: Stopping strategies".into(),
        "Step 6/11: Closing streams and REST workers".into(),
        "Step 7/11: Closing the control socket".into(),
        "Step 8/11: Joining threads".into(),
        "Step 9/11: Closing the recorder".into(),
        "Step 10/11: Writing the final report".into(),
        "Step 11/11: Releasing locks".into(),
        "GRACEFUL SHUTDOWN COMPLETE".into(),
        "  Orders canceled: 3".into(),
        "  Filled meanwhile: 0".into(),
        "  Cancel errors: 0".into(),
        "  Orders remaining: 0 (proved by_order)".into(),
        "  State flushed: true".into(),
        "  Positions held: BTC-USDT 0.004".into(),
        format!("  Duration: {}.{:02} s", report.duration_ms / 1000, report.duration_ms % 1000 / 10),
    ];
    assert_eq!(said(&world, line), expected);
}

#[test]
fn the_report_of_a_stop_is_complete() {
    let mut settings = resting_ten_lots(3);
    settings.venues[0].sim.latency_ms = 20;
    let mut world = world_at_rest(settings.clone(), 3);
    foreign_order(&mut world, 0, "by-hand-1", Side::Buy, "30000", "1");
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.004");
    world.run_for(SECOND);
    let began = world.stamp().wall;
    let epoch = world.state().unwrap().epoch;
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "report");

    assert_eq!((report.version, report.complete, report.exit_code), (1, true, 0));
    assert_eq!((report.instance.as_str(), report.epoch, report.mode.as_str()), ("test", epoch.0, "PAPER"));
    assert_eq!((report.reason.as_str(), report.signal.as_deref()), ("signal", Some("SIGTERM")));
    assert_eq!(report.signals_repeated, 0);
    assert_eq!(report.started_at, began);
    let lasted_ms = report.finished_at.millis() - began.millis();
    assert!(lasted_ms.abs_diff(report.duration_ms as i64) <= 1, "{lasted_ms} and {}", report.duration_ms);
    let names: Vec<_> = report.steps.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, Step::ALL.map(Step::word), "all eleven, in order");
    assert!(report.steps.iter().all(|line| line.ok), "{:#?}", report.steps);
    let spent_ms: u64 = report.steps.iter().map(|line| line.ms).sum();
    assert!(spent_ms <= report.duration_ms + 11, "no time is counted twice: {:#?}", report.steps);

    assert_eq!(report.venues.len(), 1);
    let at_venue = &report.venues[0];
    assert_eq!((at_venue.name.as_str(), at_venue.foreign_orders, at_venue.cancel_requests), ("main", 1, 1));
    assert_eq!(at_venue.orders, report.orders, "one venue is all there is");
    let orders = &report.orders;
    assert_eq!((orders.found, orders.canceled, orders.filled_meanwhile), (3, 3, 0));
    assert_eq!((orders.cancel_errors, orders.unsent), (0, 0));
    assert!(orders.kept.is_empty() && orders.remaining.is_empty());
    for proof in [&report.proof, &at_venue.proof] {
        assert_eq!((proof.proved, proof.grade.as_str(), proof.listings), (true, "by_order", 2));
        assert!(proof.at.is_some_and(|at| at >= began) && proof.missing.is_empty());
    }

    assert!(!report.dead_man_switch.is_empty() && report.pending_jobs.is_empty());
    assert!(report.tasks.late.is_empty());
    assert_eq!(report.positions.len(), 1);
    let held = &report.positions[0];
    assert_eq!((held.venue.as_str(), &held.symbol, held.qty), ("main", &btc(), decimal("0.004")));
    assert_eq!(held.notional, held.mark.unwrap().checked_mul(held.qty));
    assert!(report.state_flushed && report.recorder_flushed);
    assert_eq!(report.swept_by, "trader");

    let state = state_on_disk(&world, &settings);
    assert!(state.orders.open.is_empty());
    assert_eq!(state.orders.recently_closed.len(), 3);
    assert!(state.orders.recently_closed.iter().all(|order| order.reason == "graceful_shutdown"), "{state:#?}");
}

#[test]
fn a_draft_lies_on_disk_from_the_first_step_on_and_does_not_flatter() {
    let mut world = world_with(4);
    world.venues[0].exchange.plan(Plan::always(On::AnyAsk, Fault::ServerError)).unwrap();
    term(&mut world);
    world.run_for(SECOND);
    let draft = report(&world);
    assert_eq!((draft.complete, draft.exit_code, draft.orders.remaining.len()), (false, 3, 4));
    assert_eq!(draft.steps.len(), 1, "the gate is shut, the orders are being cancelled");
}

#[test]
fn a_venue_that_fails_every_call_still_leads_to_save_report_and_unlock() {
    let mut world = world_with(12);
    world.venues[0].exchange.plan(Plan::always(On::AnyAsk, Fault::ServerError)).unwrap();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(3));
    assert_truth(&world, "dead venue");
    let report = report(&world);
    assert_eq!((report.complete, report.exit_code, report.state_flushed), (true, 3, true));
    assert_eq!(report.orders.remaining.len(), 12, "every order is named");
    let names: Vec<_> = report.steps.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, Step::ALL.map(Step::word));
    let bad: Vec<_> = report.steps.iter().filter(|line| !line.ok).map(|line| line.name.as_str()).collect();
    assert_eq!(bad, ["cancel", "prove"]);
    assert!(report.duration_ms <= 40_000, "{} ms", report.duration_ms);
    assert!(!report.proof.proved && !report.proof.missing.is_empty());
    let open_on_disk = state_on_disk(&world, &resting(12)).orders.open;
    assert_eq!(open_on_disk.len(), 12, "the next start finds them");
}

#[test]
fn a_venue_that_never_answers_is_no_proof() {
    for on in [On::Ask(AskKind::ListOpen), On::Ask(AskKind::ListFills)] {
        let mut world = world_with(5);
        world.venues[0].exchange.plan(Plan::always(on, Fault::AnswerLost)).unwrap();
        term(&mut world);
        assert_eq!(world.run_to_verdict(), Some(3), "{on:?}");
        assert_eq!(open(&world).len(), 0, "they are cancelled all the same");
        let report = report(&world);
        assert!(!report.proof.proved && !report.proof.missing.is_empty(), "{on:?}: {:?}", report.proof);
    }
}

#[test]
fn a_listing_that_breaks_off_is_not_an_empty_one() {
    let mut world = world_with(5);
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::ListOpen), Fault::BrokenListing)).unwrap();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(3));
    assert_eq!(report(&world).proof.listings, 0);
}

#[test]
fn a_state_that_cannot_be_written_is_said_and_is_a_failure() {
    let mut world = world_with(5);
    world.disk.refuse(true);
    let line = world.said.len();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(1), "{:#?}", said(&world, line));
    assert_eq!(open(&world).len(), 0, "cancels need no disk");
    let lines = said(&world, line);
    assert!(lines.iter().any(|text| text.contains("StateStore NOT flushed")), "{lines:#?}");
    assert!(lines.contains(&"  State flushed: false"), "{lines:#?}");
}

#[test]
fn a_disk_that_works_again_in_time_saves_the_stop() {
    let settings = resting(5);
    let mut world = world_at_rest(settings.clone(), 5);
    world.disk.refuse(true);
    world.venues[0].exchange.plan(Plan::next(On::AnyCancel, Fault::ServerError).times(3)).unwrap();
    term(&mut world);
    world.run_for(Duration::from_millis(300));
    world.disk.refuse(false);
    assert_clean_stop(&mut world, &settings, 0, "disk mended");
}

#[test]
fn a_state_that_could_be_written_only_at_the_last_step_counts_as_written() {
    let settings = resting(5);
    let mut world = world_at_rest(settings.clone(), 5);
    world.disk.refuse(true);
    term(&mut world);
    assert!(world.run_until(MINUTE, |world| said(world, 0).iter().any(|text| text.contains("NOT flushed"))));
    world.disk.refuse(false);
    assert_clean_stop(&mut world, &settings, 0, "second try");
}

#[test]
fn residue_outranks_a_disk_that_refuses() {
    let mut world = world_with(5);
    world.disk.refuse(true);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::ServerError)).unwrap();
    let line = world.said.len();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(3));
    let lines = said(&world, line).join("\n");
    assert_eq!(open(&world).iter().filter(|order| !lines.contains(&order.client_id)).count(), 0, "named in the log");
}

#[test]
fn a_stop_whose_cancels_come_to_nothing_says_why_once_and_each_order_says_it_in_the_report() {
    let mut world = world_with(5);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::ServerError)).unwrap();
    let line = world.said.len();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(3));
    let told: Vec<_> = said(&world, line).into_iter().filter(|text| text.starts_with("main: cancels fail")).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("tries again"), "{told:#?}");
    let report = report(&world);
    assert_eq!(report.orders.remaining.len(), 5);
    assert!(report.orders.remaining.iter().all(|order| order.why.contains("cancels fail")), "{report:#?}");
}

#[test]
fn foreign_orders_are_left_alone_and_counted() {
    let settings = resting(5);
    let mut world = world_at_rest(settings.clone(), 5);
    foreign_order(&mut world, 0, "by-hand-1", Side::Buy, "30000", "1");
    foreign_order(&mut world, 0, "lo", Side::Sell, "90000", "1");
    foreign_order(&mut world, 0, "loOTHER00001a000001", Side::Sell, "90001", "1");
    foreign_order(&mut world, 0, "loothr00001a000001", Side::Sell, "90002", "1");
    world.run_for(SECOND);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "foreign");
    let left: Vec<_> = world.venues[0].exchange.open_orders(lastorders::sim::world::ACCOUNT);
    assert_eq!(left.len(), 4, "{left:#?}");
    assert_eq!(report.venues[0].foreign_orders, 4, "every order that is not ours counts");
    assert_eq!(report.orders.canceled, 5);
}

fn two_venues() -> Settings {
    let mut settings = quiet();
    settings.venues = vec![venue("main"), venue("other")];
    settings.strategies = vec![ladder("here", "main", 10), ladder("there", "other", 10)];
    settings
}

#[test]
fn two_venues_are_both_cancelled_and_proved() {
    let mut world = world_at_rest(two_venues(), 10);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &two_venues(), 0, "two");
    assert_eq!(report.orders.canceled, 20);
    assert!(report.venues.iter().all(|at_venue| at_venue.proof.proved && at_venue.orders.canceled == 10));
}

#[test]
fn a_dead_venue_does_not_keep_a_healthy_one_waiting() {
    let mut world = world_at_rest(two_venues(), 10);
    world.venues[1].exchange.plan(Plan::always(On::AnyAsk, Fault::ServerError)).unwrap();
    let began = world.stamp().wall;
    term(&mut world);
    world.run_for(SECOND);
    assert_eq!((open_at(&world, 0).len(), open_at(&world, 1).len()), (0, 10));
    assert_eq!(world.run_to_verdict(), Some(3));
    assert_truth(&world, "one dead");
    let report = report(&world);
    let (healthy, dead) = (&report.venues[0], &report.venues[1]);
    assert_eq!((healthy.proof.proved, healthy.proof.grade.as_str()), (true, "by_order"));
    let proved_after_ms = healthy.proof.at.unwrap().millis() - began.millis();
    assert!(proved_after_ms < 1_000, "proved after {proved_after_ms} ms");
    assert_eq!((dead.proof.proved, dead.orders.remaining.len(), healthy.orders.remaining.len()), (false, 10, 0));
    assert!(report.orders.remaining.iter().all(|line| line.venue == "other"));
    assert!(!report.proof.proved);
}

/// Ends with these signals, so many milliseconds apart, at a venue that is dead. Gives how long it took, in seconds.
fn impatient(signals: &[(u64, SignalName)]) -> (u64, World) {
    let mut world = world_with(3);
    world.venues[0].exchange.plan(Plan::always(On::AnyAsk, Fault::ServerError)).unwrap();
    for (after_ms, signal) in signals {
        world.run_for(Duration::from_millis(*after_ms));
        world.signal(*signal);
    }
    assert_eq!(world.run_to_verdict(), Some(3));
    assert_truth(&world, "impatient");
    (report(&world).duration_ms / 1000, world)
}

#[test]
fn repeated_sigterm_is_counted_and_changes_nothing() {
    let one = impatient(&[(0, SignalName::Term)]).0;
    let signals: Vec<_> = (0..8).map(|_| (1_500, SignalName::Term)).collect();
    let (many, world) = impatient(&signals);
    assert_eq!(many, one);
    assert_eq!(report(&world).signals_repeated, 7);
    assert_eq!(report(&world).signal.as_deref(), Some("SIGTERM"));
}

#[test]
fn a_second_sigint_tells_what_is_open_and_a_third_hurries() {
    use SignalName::{Int, Term};
    let patient = impatient(&[(0, Int)]).0;
    let (seconds, world) = impatient(&[(0, Int), (2_000, Int)]);
    assert_eq!(seconds, patient, "the second one only asks");
    let lines = said(&world, 0);
    let asked = lines.iter().position(|text| text.starts_with("Still stopping, at most 3")).unwrap();
    assert!(lines[asked + 1..asked + 4].iter().all(|text| text.contains(OURS)), "{:#?}", &lines[asked..]);
    for (signals, at_most_s) in [
        (vec![(0, Int), (2_000, Int), (2_000, Int)], 12),
        (vec![(0, Term), (2_000, Int), (2_000, Int)], 12),
        (vec![(0, Int), (2_000, Int), (1_500, Int), (1_500, Int), (1_500, Int)], 14),
    ] {
        let (seconds, _) = impatient(&signals);
        assert!(seconds <= at_most_s, "{signals:?}: {seconds} s");
        assert!(seconds >= 4 + 3, "{signals:?}: a last round is given its time, {seconds} s");
    }
    let (seconds, _) = impatient(&[(0, Int), (2_000, Int), (11_000, Int)]);
    assert_eq!(seconds, patient, "two that lie further apart do not add up");
}

#[test]
fn a_restart_is_a_whole_stop_with_its_own_code() {
    let mut world = world_with(5);
    world.stop(StopCause::Restart);
    let report = assert_clean_stop(&mut world, &resting(5), 75, "restart");
    assert_eq!((report.reason.as_str(), report.orders.canceled), ("restart", 5));
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
}

#[test]
fn a_signal_during_a_restart_makes_it_a_stop() {
    let settings = resting(5);
    let mut world = world_at_rest(settings.clone(), 5);
    world.stop(StopCause::Restart);
    world.step(i64::MAX);
    term(&mut world);
    let report = assert_clean_stop(&mut world, &settings, 0, "restart, then SIGTERM");
    assert_eq!((report.reason.as_str(), report.signals_repeated), ("signal", 1));
}

fn kept(n: u32) -> Settings {
    let mut settings = resting(n);
    settings.shutdown.on_exit = OnExit::Keep;
    settings.start.on_start = OnStart::Adopt;
    settings
}

#[test]
fn kept_orders_are_named_and_adopted_by_the_next_start() {
    let settings = kept(8);
    let mut world = world_at_rest(settings.clone(), 8);
    let before: BTreeSet<_> = open(&world).into_iter().map(|order| order.client_id).collect();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(0));
    let report = report(&world);
    let named: BTreeSet<_> = report.orders.kept.iter().map(|line| line.client_order_id.as_str().to_owned()).collect();
    assert_eq!((&named, report.orders.canceled, report.orders.remaining.len()), (&before, 0, 0));
    assert!(world.verdict.as_ref().unwrap().summary.contains("8 kept by policy"));

    let n_created = world.creates_seen.len();
    world.start().unwrap();
    world.run_for(10 * SECOND);
    let after: BTreeSet<_> = open(&world).into_iter().map(|order| order.client_id).collect();
    assert_eq!((after, world.creates_seen.len()), (before, n_created), "the same orders, and no new ones");
    world.settings_mut().shutdown.on_exit = OnExit::Cancel;
    world.kill();
    world.settings_mut().start.on_start = OnStart::Cancel;
    world.start().unwrap();
    trade_until_resting(&mut world, 8);
    assert_books(&world, &settings, "kept");
}

#[test]
fn orders_whose_strategy_is_gone_are_cancelled_not_adopted() {
    let settings = kept(8);
    let mut world = world_at_rest(settings, 8);
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(0));
    world.settings_mut().strategies = vec![ladder_of("newcomer", "main", 2, "0.002")];
    world.start().unwrap();
    trade_until_resting(&mut world, 2);
    world.run_for(10 * SECOND);
    let left = open(&world);
    assert!(left.len() == 2 && left.iter().all(|order| order.qty == decimal("0.002")), "{left:#?}");
    assert!(left.iter().all(|order| !order.client_id.contains('a') || &order.client_id[11..12] == "b"), "{left:#?}");
}

#[test]
fn keeping_orders_still_settles_the_unknown_ones() {
    let settings = kept(3);
    let mut world = World::new(settings.clone());
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), Fault::AnswerLost)).unwrap();
    world.venues[0].exchange.plan(Plan::next(On::OrderPush, Fault::LostPush)).unwrap();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| n_in_state(world, StateName::Unknown) == 1));
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(0));
    let report = report(&world);
    assert_eq!((report.orders.kept.len(), open(&world).len()), (3, 3));
    assert!(report.orders.kept.iter().all(|line| line.state == StateName::Open), "{:#?}", report.orders.kept);
}

#[test]
fn an_unknown_order_that_cannot_be_settled_is_not_kept_but_residue() {
    let settings = kept(3);
    let mut world = World::new(settings);
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), Fault::AnswerLost)).unwrap();
    world.venues[0].exchange.plan(Plan::next(On::OrderPush, Fault::LostPush)).unwrap();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| !world.creates_seen.is_empty()));
    world.venues[0].exchange.plan(Plan::always(On::AnyAsk, Fault::ServerError)).unwrap();
    term(&mut world);
    assert_eq!(world.run_to_verdict(), Some(3));
    let report = report(&world);
    assert!(!report.orders.remaining.is_empty());
    assert!(report.orders.remaining.iter().all(|line| line.state == StateName::Unknown), "{report:#?}");
}
