//! Streams, pings, prices that grow old, and the venue's dead man's switch. On the real machines in virtual time.

use std::time::Duration;

use lastorders::domain::event::{SignalName, Stream};
use lastorders::domain::ids::VenueId;
use lastorders::domain::instrument::Switch;
use lastorders::domain::money::Decimal;
use lastorders::domain::order::Side;
use lastorders::domain::settings::{OnExit, OnStart, Settings};
use lastorders::exchange::{AskKind, ErrorCode, Fault, On, Plan};
use lastorders::sim::settings::{ladder, venue};
use lastorders::sim::world::World;
use serde_json::Value;

use crate::worlds::{
    MINUTE, SECOND, assert_books, assert_clean_stop, assert_no_create_twice, assert_truth, crowd, decimal, ledger,
    ledger_mark, n_requests, open, open_at, report, resting, resting_ten_lots, said, trade_until_resting,
    world_at_rest,
};

const WINDOW: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(5);
const TIMER: Switch = Switch::Timer { window: WINDOW, renew_every: RENEW_EVERY };

/// A venue with a timer, on an account that is ours alone.
fn guarded(n: u32) -> (Settings, World) {
    let mut settings = resting(n);
    settings.venues[0].exclusive_account = true;
    let mut world = World::new(settings.clone());
    world.venues[0].traits.switch = TIMER;
    (settings, world)
}

/// Until when the venue's timer runs, as the ledger tells it; nothing while it is off.
fn timer(world: &World) -> Option<i64> {
    let lines = ledger(world, 0, 0);
    lines.iter().rev().find(|line| line["kind"] == "countdown").and_then(|line| line["time_ms"].as_i64())
}

fn place_of(lines: &[Value], what: &str) -> Option<usize> {
    lines.iter().position(|line| line["kind"] == "request" && line["what"] == what)
}

fn is_trading(world: &World) -> bool {
    world.machine().is_some_and(|machine| machine.phase() == "trading")
}

#[test]
fn after_a_reconnect_the_lists_tell_what_no_push_told() {
    let settings = resting_ten_lots(5);
    let mut world = world_at_rest(settings.clone(), 5);
    for round in 0..10 {
        let from = ledger_mark(&world, 0);
        world.cut(0, Stream::Private);
        crowd(&mut world, 0, 1, Side::Sell, "39000", "0.004");
        assert!(world.run_until(MINUTE, |world| open(world).is_empty()), "quotes are pulled");
        world.run_for(SECOND);
        let mended = ledger_mark(&world, 0);
        world.mend(0, Stream::Private);
        world.run_for(2 * SECOND);
        assert!(n_requests(&world, 0, mended, "list_open") >= 1, "{round}");
        assert!(n_requests(&world, 0, mended, "list_fills") >= 1, "{round}");
        let asked = ledger(&world, 0, mended);
        let since = asked.iter().find(|line| line["what"] == "list_fills").unwrap()["since_us"].as_i64().unwrap();
        let cut_at = ledger(&world, 0, from)[0]["t_ms"].as_i64().unwrap();
        assert!(since / 1_000 <= cut_at - 50_000, "{round}: from the cursor, with overlap: {since} {cut_at}");
        assert_books(&world, &settings, &format!("round {round}"));
        world.run_for(20 * SECOND);
    }
    assert_no_create_twice(&world, "reconnects");
}

#[test]
fn a_start_waits_for_both_streams() {
    for missing in [Stream::Public, Stream::Private] {
        let mut world = World::new(resting(5));
        world.cut(0, missing);
        world.start().unwrap();
        world.run_for(30 * SECOND);
        assert!(world.machine().is_some_and(|machine| !machine.is_trading()), "{missing:?}");
        assert!(world.creates_seen.is_empty());
        world.mend(0, missing);
        trade_until_resting(&mut world, 5);
    }
}

#[test]
fn streams_that_are_up_are_pinged_by_every_machine_and_only_while_the_loop_passes() {
    let mut world = World::new(resting(5));
    world.venues[0].traits.ping_every = Some(10 * SECOND);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    let n = |world: &World, stream| world.pings.get(&(VenueId(0), stream)).map_or(0, Vec::len);
    assert!((5..=7).contains(&n(&world, Stream::Public)), "{:?}", world.pings);
    assert!((5..=7).contains(&n(&world, Stream::Private)), "{:?}", world.pings);
    let before = n(&world, Stream::Private);
    world.freeze(10 * MINUTE);
    world.run_for(SECOND);
    assert!(n(&world, Stream::Private) <= before + 1, "nobody pings while the loop stands still");
    world.cut(0, Stream::Private);
    let before = (n(&world, Stream::Private), n(&world, Stream::Public));
    world.run_for(MINUTE);
    assert_eq!(n(&world, Stream::Private), before.0, "there is nothing to ping");
    assert!(n(&world, Stream::Public) >= before.1 + 5);
    // A stop that takes long pings on.
    world.mend(0, Stream::Private);
    trade_until_resting(&mut world, 5);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::ServerError)).unwrap();
    let before = n(&world, Stream::Private);
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(3));
    assert!((2..=4).contains(&(n(&world, Stream::Private) - before)), "{:?}", world.pings);
}

#[test]
fn old_prices_pull_the_quotes_of_their_instrument_and_of_no_other() {
    let mut settings = resting(5);
    settings.venues.push(venue("second"));
    settings.strategies.push(ladder("others", "second", 4));
    for venue in &mut settings.venues {
        venue.sim.activity = 1_000;
    }
    let mut world = World::new(settings);
    for venue in &mut world.venues {
        venue.traits.stale_after = Some(10 * SECOND);
    }
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| open_at(world, 0).len() == 5 && open_at(world, 1).len() == 4));
    world.run_for(MINUTE);
    assert_eq!(open(&world).len(), 9, "prices come: {:#?}", world.said);
    world.silence(0, Stream::Public);
    world.run_for(9 * SECOND);
    assert_eq!(open_at(&world, 0).len(), 5, "not yet old");
    assert!(world.run_until(5 * SECOND, |world| open_at(world, 0).is_empty()), "{:#?}", world.said);
    let n_created = world.creates_seen.len();
    world.run_for(10 * MINUTE);
    assert_eq!((open_at(&world, 0).len(), open_at(&world, 1).len()), (0, 4));
    assert_eq!(world.creates_seen.len(), n_created, "no new ones by old prices");
    assert!(is_trading(&world), "no hold of the whole process");
    let told = said(&world, 0);
    assert_eq!(told.iter().filter(|text| text.contains("no price for over 10 s")).count(), 1, "{told:#?}");
    world.mend(0, Stream::Public);
    assert!(world.run_until(15 * SECOND, |world| open_at(world, 0).len() == 5), "{:#?}", world.said);
}

#[test]
fn in_a_quiet_market_without_a_patience_nothing_grows_old() {
    let mut world = world_at_rest(resting(5), 5);
    world.run_for(30 * MINUTE);
    assert_eq!(open(&world).len(), 5, "{:#?}", world.said);
}

#[test]
fn a_switch_is_armed_before_the_first_order_renewed_and_disarmed_last_on_proof() {
    let (settings, mut world) = guarded(5);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    let lines = ledger(&world, 0, 0);
    let (armed, read, first) =
        (place_of(&lines, "set_countdown"), place_of(&lines, "read_countdown"), place_of(&lines, "create"));
    assert!(armed.is_some() && armed < read && read < first, "{armed:?} {read:?} {first:?}");
    let from = ledger_mark(&world, 0);
    world.run_for(5 * MINUTE);
    assert_eq!(open(&world).len(), 5, "it never fires: {:#?}", world.said);
    let n_renewals = n_requests(&world, 0, from, "set_countdown");
    assert!((50..=70).contains(&n_renewals), "{n_renewals}");
    let from = ledger_mark(&world, 0);
    world.signal(SignalName::Term);
    let report = assert_clean_stop(&mut world, &settings, 0, "switch");
    assert_eq!(timer(&world), None, "disarmed");
    assert!(report.dead_man_switch.contains("disarmed"), "{}", report.dead_man_switch);
    let lines = ledger(&world, 0, from);
    let last_listing = lines.iter().rposition(|line| line["what"] == "list_open").unwrap();
    let disarming = lines.iter().position(|line| line["kind"] == "countdown" && line["time_ms"].is_null()).unwrap();
    assert!(disarming > last_listing, "only what is proved gone needs no switch");
}

#[test]
fn with_orders_left_the_switch_stays_armed_and_cancels_them() {
    let (_, mut world) = guarded(5);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(5 * SECOND);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::ServerError)).unwrap();
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(3));
    assert_truth(&world, "left armed");
    assert!(report(&world).dead_man_switch.contains("left armed"), "{}", report(&world).dead_man_switch);
    assert_eq!(open(&world).len(), 5);
    assert!(timer(&world).is_some());
    world.run_for(WINDOW + SECOND);
    assert_eq!(open(&world).len(), 0, "the venue did it");
}

#[test]
fn a_killed_process_is_covered() {
    let (_, mut world) = guarded(5);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    world.kill();
    world.run_for(WINDOW + SECOND);
    assert_eq!(open(&world).len(), 0);
}

#[test]
fn lost_answers_about_the_switch_never_let_it_fire_nor_leave_it_armed() {
    let mut n_off = 0;
    for skip in 0..6 {
        let (settings, mut world) = guarded(5);
        for kind in [AskKind::SetCountdown, AskKind::ReadCountdown] {
            for fault in [Fault::AnswerLost, Fault::ServerError, Fault::RateLimited { retry_after_ms: 700 }] {
                world.venues[0].exchange.plan(Plan::next(On::Ask(kind), fault).after(skip)).unwrap();
            }
        }
        world.start().unwrap();
        trade_until_resting(&mut world, 5);
        world.run_for(2 * MINUTE);
        assert_eq!(open(&world).len(), 5, "{skip}: {:#?}", world.said);
        world.signal(SignalName::Term);
        let report = assert_clean_stop(&mut world, &settings, 0, &format!("skip {skip}"));
        // Three lost answers in a row may be more than the step has time for; then it says so.
        let says_off = report.dead_man_switch.contains("disarmed after");
        let says_left = report.dead_man_switch.contains("did not show in time");
        assert!(says_left || (says_off && timer(&world).is_none()), "{skip}: {}", report.dead_man_switch);
        n_off += u32::from(says_off);
    }
    assert!(n_off >= 4, "{n_off}");
}

#[test]
fn the_disarming_waits_for_a_renewal_that_is_under_way() {
    // Requests that are under way together may arrive in any order: a renewal that came last would arm it again.
    for seed in 0..30 {
        let mut settings = resting(2);
        settings.venues[0].exclusive_account = true;
        settings.venues[0].sim.seed = seed;
        settings.venues[0].sim.latency_jitter_ms = 200;
        let mut world = World::new(settings.clone());
        let renew_every = Duration::from_millis(300);
        world.venues[0].traits.switch = Switch::Timer { window: WINDOW, renew_every };
        world.start().unwrap();
        trade_until_resting(&mut world, 2);
        world.run_for(10 * SECOND);
        world.signal(SignalName::Term);
        let report = assert_clean_stop(&mut world, &settings, 0, &format!("{seed}"));
        world.run_for(5 * SECOND);
        assert_eq!(timer(&world), None, "{seed}: {}", report.dead_man_switch);
        assert!(report.dead_man_switch.contains("disarmed after"), "{seed}: {}", report.dead_man_switch);
    }
}

#[test]
fn a_disarming_that_nobody_confirms_is_told_as_it_is_and_holds_up_no_stop() {
    let (settings, mut world) = guarded(5);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(5 * SECOND);
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::SetCountdown), Fault::ServerError)).unwrap();
    world.signal(SignalName::Term);
    let report = assert_clean_stop(&mut world, &settings, 0, "unconfirmed");
    assert!(report.dead_man_switch.contains("did not show in time"), "{}", report.dead_man_switch);
    assert!(report.duration_ms < 3_000, "{report:#?}");
}

#[test]
fn two_missed_renewals_alarm_and_one_that_comes_through_holds_it_off() {
    let (_, mut world) = guarded(5);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    let n_created = world.creates_seen.len();
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::SetCountdown), Fault::ServerError)).unwrap();
    assert!(world.run_until(20 * SECOND, |world| {
        said(world, 0).iter().any(|text| text.contains("was not renewed 2 times in a row"))
    }));
    world.venues[0].exchange.heal();
    world.run_for(5 * MINUTE);
    assert_eq!((open(&world).len(), world.creates_seen.len()), (5, n_created), "it did not fire: {:#?}", world.said);
}

#[test]
fn a_switch_that_may_have_fired_leads_to_a_comparison_and_is_armed_anew() {
    // Frozen for longer than the window: the venue has taken everything off.
    let (settings, mut world) = guarded(5);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    let from = ledger_mark(&world, 0);
    world.freeze(WINDOW + 10 * SECOND);
    world.run_for(SECOND);
    assert!(said(&world, 0).iter().any(|text| text.contains("it is taken to have fired")), "{:#?}", world.said);
    let fired = ledger(&world, 0, from).iter().filter(|line| line["reason"] == "countdown").count();
    assert_eq!(fired, 5, "the venue's timer fired");
    trade_until_resting(&mut world, 5);
    let lines = ledger(&world, 0, from);
    assert!(place_of(&lines, "list_open").is_some());
    assert!(place_of(&lines, "set_countdown") < place_of(&lines, "create"), "armed before the next order");
    world.run_for(2 * MINUTE);
    assert_eq!(open(&world).len(), 5);
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "fired");
    assert_eq!(timer(&world), None);
}

#[test]
fn renewals_that_never_come_through_stop_new_orders_before_it_fires() {
    let (_, mut world) = guarded(5);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::SetCountdown), Fault::ServerError)).unwrap();
    world.run_for(WINDOW + 10 * SECOND);
    assert_eq!(open(&world).len(), 0, "it fired");
    let n_created = world.creates_seen.len();
    world.run_for(5 * SECOND);
    assert_eq!(world.creates_seen.len(), n_created, "while it is being armed nothing is placed");
    // It cannot be had: said, and traded without.
    assert!(world.run_until(2 * MINUTE, |world| {
        said(world, 0).iter().any(|text| text.contains("no dead man's switch on this account"))
    }));
    trade_until_resting(&mut world, 5);
    world.venues[0].exchange.heal();
    assert!(world.run_until(3 * MINUTE, |world| timer(world).is_some_and(|due| due > world.stamp().wall.millis())));
}

#[test]
fn an_account_without_the_permission_trades_without_and_says_so() {
    for limit in [None, Some("100")] {
        let (mut settings, _) = guarded(5);
        settings.risk.uncovered_max_notional = limit.map(decimal);
        let mut world = World::new(settings.clone());
        world.venues[0].traits.switch = TIMER;
        let refused = Fault::Refused(ErrorCode::BadRequest("not enabled".into()));
        world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::SetCountdown), refused)).unwrap();
        world.start().unwrap();
        let wanted = if limit.is_some() { 2 } else { 5 };
        trade_until_resting(&mut world, wanted);
        world.run_for(MINUTE);
        // Each is worth 40 at most: two may rest under 100, a third may not.
        assert_eq!(open(&world).len(), wanted, "{limit:?}");
        let told = said(&world, 0);
        let words = "no dead man's switch on this account: not enabled. Should this machine fail, nobody cancels";
        assert_eq!(told.iter().filter(|text| text.contains(words)).count(), 1, "{told:#?}");
        assert_eq!(n_requests(&world, 0, 0, "set_countdown"), 1, "a proven no is not asked again");
        world.signal(SignalName::Term);
        let report = assert_clean_stop(&mut world, &settings, 0, "without");
        assert!(report.dead_man_switch.contains("none: not enabled"), "{}", report.dead_man_switch);
    }
}

#[test]
fn on_an_account_that_is_not_ours_alone_no_switch_is_touched() {
    let (mut settings, _) = guarded(5);
    settings.venues[0].exclusive_account = false;
    let mut world = World::new(settings.clone());
    world.venues[0].traits.switch = TIMER;
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    world.signal(SignalName::Term);
    let report = assert_clean_stop(&mut world, &settings, 0, "shared");
    assert_eq!(n_requests(&world, 0, 0, "set_countdown"), 0);
    assert!(report.dead_man_switch.contains("exclusive_account = false"), "{}", report.dead_man_switch);
}

#[test]
fn covered_orders_do_not_count_as_uncovered_until_the_switch_is_lost() {
    let (mut settings, _) = guarded(5);
    settings.risk.uncovered_max_notional = Some(decimal("100"));
    let mut world = World::new(settings);
    world.venues[0].traits.switch = TIMER;
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    assert_eq!(open(&world).len(), 5);
    // Renewals do not come through, and what the venue did is not heard: for all we know the orders rest uncovered.
    world.venues[0].exchange.plan(Plan::always(On::OrderPush, Fault::LostPush)).unwrap();
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::SetCountdown), Fault::ServerError)).unwrap();
    assert!(world.run_until(2 * MINUTE, |world| {
        said(world, 0).iter().any(|text| text.contains("more rests without a dead man's switch"))
    }));
    world.run_for(MINUTE);
    assert!(open(&world).len() <= 2, "{}", open(&world).len());
}

#[test]
fn kept_orders_stay_under_the_switch() {
    let (mut settings, _) = guarded(5);
    settings.shutdown.on_exit = OnExit::Keep;
    settings.start.on_start = OnStart::Adopt;
    let mut world = World::new(settings);
    world.venues[0].traits.switch = TIMER;
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(5 * SECOND);
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(0));
    assert_eq!(open(&world).len(), 5);
    assert!(report(&world).dead_man_switch.contains("orders are kept"), "{}", report(&world).dead_man_switch);
    // Whoever comes back in time keeps them.
    world.start().unwrap();
    let n_created = world.creates_seen.len();
    world.run_for(2 * MINUTE);
    assert_eq!((open(&world).len(), world.creates_seen.len()), (5, n_created), "{:#?}", world.said);
}

#[test]
fn a_switch_that_hangs_on_the_stream_is_set_once_and_taken_for_fired_after_a_long_silence() {
    let (_, _) = guarded(1);
    let mut settings = resting(5);
    settings.venues[0].exclusive_account = true;
    settings.risk.max_daily_loss = Decimal::whole(1_000);
    let mut world = World::new(settings);
    world.venues[0].traits.switch = Switch::Session { window: 10 * SECOND };
    // The model has a timer only; a long one stands in for a switch that hangs on the stream.
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| world.machine().is_some_and(|machine| machine.is_trading())));
    world.run_for(SECOND);
    assert_eq!(n_requests(&world, 0, 0, "set_countdown"), 1);
    let from = ledger_mark(&world, 0);
    world.cut(0, Stream::Private);
    world.run_for(12 * SECOND);
    assert!(said(&world, 0).iter().any(|text| text.contains("it is taken to have fired")), "{:#?}", world.said);
    assert_eq!(n_requests(&world, 0, from, "set_countdown"), 0, "not without the stream");
    world.mend(0, Stream::Private);
    world.run_for(SECOND);
    assert_eq!(n_requests(&world, 0, from, "set_countdown"), 1, "armed anew");
    assert!(world.run_until(MINUTE, |world| open(world).len() == 5));
}
