//! What a start does with what an earlier run left, on the real machines in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use lastorders::domain::event::SignalName;
use lastorders::domain::order::{Side, StateName};
use lastorders::domain::settings::{Mode, OnStart};
use lastorders::exchange::{AskKind, Fault, On, Plan};
use lastorders::sim::disk::MemoryDisk;
use lastorders::sim::world::{ACCOUNT, World};
use lastorders::store::load::Refusal;

use crate::harness::chance::{Chance, seed};
use crate::worlds::{
    MINUTE, SECOND, assert_books, assert_clean_stop, assert_no_create_twice, assert_truth, crowd, foreign_order,
    ledger_mark, n_in_state, n_requests, open, open_at, report, resting, resting_ten_lots, said, state_on_disk,
    trade_until_resting, world_at_rest, world_with,
};

#[test]
fn what_a_killed_run_left_is_found_cancelled_and_said() {
    let settings = resting(30);
    let mut world = world_at_rest(settings.clone(), 30);
    let old: BTreeSet<_> = open(&world).into_iter().map(|order| order.client_id).collect();
    world.kill();
    let line = world.said.len();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| world.machine().is_some_and(|machine| machine.is_trading())));
    assert!(open(&world).iter().all(|order| !old.contains(&order.client_id)), "trading begins on a clean book");
    let lines = said(&world, line);
    assert!(lines.contains(&"The run before left 30 orders that are or may be open"), "{lines:#?}");
    assert!(lines.iter().any(|text| text.contains("30 orders, of them 30 cancelled now")), "{lines:#?}");
    trade_until_resting(&mut world, 30);
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "after a kill");
}

#[test]
fn fills_missed_while_nobody_ran_are_booked_once() {
    let settings = resting_ten_lots(5);
    let mut world = world_at_rest(settings.clone(), 5);
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.004");
    world.run_for(SECOND);
    world.kill();
    crowd(&mut world, 0, 100, Side::Sell, "39999", "0.013");
    world.run_for(2 * SECOND);
    let line = world.said.len();
    for round in 0..3 {
        world.start().unwrap();
        world.run_for(5 * SECOND);
        assert_books(&world, &settings, &format!("start {round}"));
        world.kill();
    }
    assert!(said(&world, line).iter().any(|text| text.ends_with("2 missed fills booked")), "{:#?}", said(&world, line));
    let state = state_on_disk(&world, &settings);
    let held = state.venues["main"].positions.values().next().unwrap();
    assert_eq!((held.qty.to_string(), held.fills), ("0.017".to_owned(), 3));
}

#[test]
fn a_trade_booked_long_ago_does_not_bring_its_order_back() {
    // The list of fills overlaps the cursor by a minute, and the state remembers 200 ended orders: a busy minute later
    // the list shows a trade of an order that nobody remembers. It was taken for an order of ours on the book, its fill
    // was owed for ever, and no stop could be proved again.
    let settings = resting(230);
    let mut world = world_at_rest(settings.clone(), 230);
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.001");
    world.run_for(SECOND);
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "first");
    let line = world.said.len();
    world.start().unwrap();
    world.run_for(5 * SECOND);
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "second");
    assert!(!said(&world, line).iter().any(|text| text.starts_with("Found lo")), "{:#?}", said(&world, line));
}

#[test]
fn a_process_killed_at_any_moment_leaves_nothing_that_the_next_start_does_not_settle() {
    let seed = seed();
    println!("LASTORDERS_TEST_SEED={seed}");
    let mut chance = Chance::new(seed, 2);
    let mut epochs = Vec::new();
    for round in 0..40 {
        let told = format!("LASTORDERS_TEST_SEED={seed}, round {round}");
        let mut settings = resting_ten_lots(20);
        settings.venues[0].sim.latency_ms = [0, 4, 60][chance.below(3) as usize];
        let mut world = World::new(settings.clone());
        if round % 2 == 0 {
            let late = Fault::LateExecution { after_ms: None };
            world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), late).times(3)).unwrap();
            world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), Fault::AnswerLost).times(3)).unwrap();
        }
        for _ in 0..3 {
            world.start().unwrap();
            epochs.push(world.desk().unwrap().identity.epoch);
            for _ in 0..chance.below(60) {
                world.step(i64::MAX);
            }
            crowd(&mut world, 0, chance.below(300) as i64, Side::Sell, "39998", "0.013");
            world.run_for(Duration::from_millis(chance.below(400)));
            world.kill();
            world.run_for(Duration::from_millis(chance.below(700)));
        }
        world.start().unwrap();
        assert!(world.run_until(MINUTE, |world| world.machine().is_none_or(|machine| machine.is_trading())));
        assert!(world.machine().is_some(), "{told}: {:#?}", world.said);
        world.run_for(2 * SECOND);
        world.signal(SignalName::Term);
        assert_clean_stop(&mut world, &settings, 0, &told);
    }
    assert!(epochs.chunks(3).all(|run| run[0] < run[1] && run[1] < run[2]), "epochs rise: {epochs:?}");
}

#[test]
fn a_create_that_lands_after_its_process_died_is_swept_by_the_next_start() {
    let settings = resting(1);
    let mut world = World::new(settings.clone());
    let late = Fault::LateExecution { after_ms: Some(450) };
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), late)).unwrap();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| !world.creates_seen.is_empty()));
    world.kill();
    let first = world.creates_seen.keys().next().unwrap().clone();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| world.machine().is_some_and(|machine| machine.is_trading())));
    assert!(world.venues[0].ledger.iter().any(|line| line.contains("\"accepted\"") && line.contains(&first)));
    assert!(open(&world).iter().all(|order| order.client_id != first), "it landed before trading began, and is gone");
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "late");
}

#[test]
fn a_lost_state_directory_does_not_hide_our_orders() {
    let settings = resting_ten_lots(10);
    let mut world = world_at_rest(settings.clone(), 10);
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.004");
    world.run_for(15 * SECOND);
    world.kill();
    let old = world.creates_seen.len();
    world.disk = lastorders::sim::disk::MemoryDisk::default();
    let line = world.said.len();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| world.machine().is_some_and(|machine| machine.is_trading())));
    trade_until_resting(&mut world, 10);
    let n_found = said(&world, line).iter().filter(|text| text.starts_with("Found lo")).count();
    assert_eq!(n_found, 10, "{:#?}", said(&world, line));
    assert!(world.creates_seen.len() > old, "ids do not repeat");
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "lost directory");
}

#[test]
fn orders_are_adopted_after_a_kill_and_unknown_ones_are_settled_first() {
    for fault in [Fault::AnswerLost, Fault::ServerError, Fault::LateExecution { after_ms: Some(450) }] {
        let mut settings = resting(6);
        settings.start.on_start = OnStart::Adopt;
        let mut world = World::new(settings.clone());
        world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), fault.clone()).times(2)).unwrap();
        world.start().unwrap();
        assert!(world.run_until(MINUTE, |world| world.creates_seen.len() >= 6));
        world.kill();
        world.start().unwrap();
        assert!(world.run_until(MINUTE, |world| world.machine().is_some_and(|machine| machine.is_trading())));
        let desk = world.desk().unwrap();
        assert!(desk.orders.open().all(|order| order.state_name() != StateName::Unknown), "{}", fault.word());
        let before: BTreeSet<_> = open(&world).into_iter().map(|order| order.client_id).collect();
        assert!(before.len() >= 4, "{}", fault.word());
        trade_until_resting(&mut world, 6);
        world.run_for(5 * SECOND);
        let after: BTreeSet<_> = open(&world).into_iter().map(|order| order.client_id).collect();
        assert!(before.is_subset(&after), "{}: adopted orders stay where they are", fault.word());
        world.signal(SignalName::Term);
        assert_clean_stop(&mut world, &settings, 0, fault.word());
    }
}

#[test]
fn an_adopting_start_books_what_filled_meanwhile_and_the_strategy_hears_of_it() {
    let mut settings = resting(6);
    settings.start.on_start = OnStart::Adopt;
    let mut world = world_at_rest(settings.clone(), 6);
    world.kill();
    crowd(&mut world, 0, 0, Side::Sell, "39999", "0.002");
    world.run_for(SECOND);
    world.start().unwrap();
    world.run_for(10 * SECOND);
    assert_eq!(open(&world).len(), 4, "a filled rung is done and not placed again");
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "adopt and fill");
}

#[test]
fn a_state_directory_of_another_mode_or_instance_is_refused() {
    let mut world = world_with(3);
    world.kill();
    world.settings_mut().mode = Mode::Live;
    assert!(matches!(world.start(), Err(Refusal::OtherMode { .. })));
    world.settings_mut().mode = Mode::Paper;
    world.settings_mut().instance = "othr".parse().ok();
    assert!(matches!(world.start(), Err(Refusal::OtherInstance { .. })));
    world.settings_mut().instance = "test".parse().ok();
    world.start().unwrap();
    trade_until_resting(&mut world, 3);
}

#[test]
fn a_stranger_of_our_kind_keeps_live_from_trading() {
    let mut settings = resting(3);
    settings.mode = Mode::Live;
    let mut world = World::new(settings.clone());
    foreign_order(&mut world, 0, "loothr00001a000001", Side::Buy, "30000", "1");
    world.run_for(SECOND);
    world.start().unwrap();
    let code = world.run_to_verdict();
    assert_eq!(code, Some(1), "{:#?}", world.said);
    assert!(world.creates_seen.is_empty());
    assert_eq!(world.venues[0].exchange.open_orders(ACCOUNT).len(), 1, "it is not ours to cancel");
    let lines = said(&world, 0).join("\n");
    assert!(
        lines.contains("loothr00001a000001") && lines.contains("other_instances") && lines.contains("set instance")
    );

    world.settings_mut().start.other_instances = vec!["othr".parse().unwrap()];
    world.start().unwrap();
    trade_until_resting(&mut world, 3);
}

#[test]
fn in_paper_a_stranger_is_left_alone_and_named() {
    let settings = resting(3);
    let mut world = World::new(settings.clone());
    foreign_order(&mut world, 0, "loothr00001a000001", Side::Buy, "30000", "1");
    world.run_for(SECOND);
    world.start().unwrap();
    trade_until_resting(&mut world, 3);
    assert!(
        said(&world, 0).iter().any(|text| text.contains("another lastorders instance (othr)")),
        "{:#?}",
        world.said
    );
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "stranger");
    assert_eq!(world.venues[0].exchange.open_orders(ACCOUNT).len(), 1);
}

#[test]
fn a_silent_venue_ends_the_start_after_its_budget_and_says_why() {
    for fault in [Fault::AnswerLost, Fault::ServerError] {
        let mut world = world_with(4);
        world.kill();
        world.venues[0].exchange.plan(Plan::always(On::AnyAsk, fault.clone())).unwrap();
        let (line, began) = (world.said.len(), world.stamp().wall);
        world.start().unwrap();
        assert!(world.run_until(3 * MINUTE, |world| world.verdict.is_some()));
        assert_eq!(world.verdict.as_ref().unwrap().exit_code, 3, "{}", fault.word());
        assert_truth(&world, fault.word());
        let report = report(&world);
        // Where only the answers are lost, the cancels work all the same and the pushes tell.
        let n_left = if fault == Fault::ServerError { 4 } else { 0 };
        assert_eq!((report.reason.as_str(), report.orders.remaining.len()), ("start_failed", n_left));
        let lines = said(&world, line);
        let why = lines.iter().find(|text| text.starts_with("The start did not get through")).unwrap();
        assert!(why.contains("main (") && why.contains("Check that the venue can be reached"), "{why}");
        let lasted_s = (world.stamp().wall.millis() - began.millis()) / 1_000;
        assert!((60..=101).contains(&lasted_s), "{lasted_s} s");
        // The next start, in better times, finds them.
        world.venues[0].exchange.heal();
        world.start().unwrap();
        trade_until_resting(&mut world, 4);
        assert_no_create_twice(&world, "silent");
    }
}

#[test]
fn a_venue_that_is_silent_about_one_thing_keeps_us_from_trading() {
    for kind in [AskKind::Instruments, AskKind::Time, AskKind::Balances, AskKind::ListOpen, AskKind::ListFills] {
        let mut world = World::new(resting(3));
        world.venues[0].exchange.plan(Plan::always(On::Ask(kind), Fault::ServerError)).unwrap();
        world.start().unwrap();
        assert!(world.run_until(3 * MINUTE, |world| world.verdict.is_some()), "{kind:?}");
        let code = world.verdict.as_ref().unwrap().exit_code;
        let shows_orders = matches!(kind, AskKind::Instruments | AskKind::Time | AskKind::Balances);
        assert_eq!(code, if shows_orders { 1 } else { 3 }, "{kind:?}: {:#?}", world.said);
        assert!(world.creates_seen.is_empty(), "{kind:?}");
    }
}

#[test]
fn trouble_is_said_while_the_start_still_tries_and_only_once() {
    let mut world = World::new(resting(3));
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::Balances), Fault::ServerError)).unwrap();
    world.start().unwrap();
    world.run_for(10 * SECOND);
    assert!(world.verdict.is_none(), "it still tries");
    let told: Vec<_> = said(&world, 0).into_iter().filter(|text| text.contains("tries again")).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with("main: ") && told[0].contains("60 s"), "{told:#?}");
}

#[test]
fn trouble_that_passes_only_delays_a_start() {
    for kind in [AskKind::Instruments, AskKind::Time, AskKind::Balances, AskKind::ListOpen, AskKind::ListFills] {
        for fault in [Fault::AnswerLost, Fault::ServerError, Fault::RateLimited { retry_after_ms: 2_000 }] {
            let mut world = World::new(resting(3));
            world.venues[0].exchange.plan(Plan::next(On::Ask(kind), fault).times(3)).unwrap();
            world.start().unwrap();
            trade_until_resting(&mut world, 3);
        }
    }
}

#[test]
fn open_orders_at_a_venue_nobody_configured_any_more_are_named() {
    let mut settings = resting(2);
    settings.venues.push(lastorders::sim::settings::venue("other"));
    settings.strategies.push(lastorders::sim::settings::ladder("there", "other", 2));
    let mut world = world_at_rest(settings, 2);
    world.kill();
    world.settings_mut().venues.truncate(1);
    world.settings_mut().strategies.truncate(1);
    world.start().unwrap();
    assert!(world.run_until(3 * MINUTE, |world| world.verdict.is_some()));
    assert_eq!(world.verdict.as_ref().unwrap().exit_code, 3);
    let report = report(&world);
    assert_eq!(report.orders.remaining.len(), 2);
    assert!(report.orders.remaining.iter().all(|line| line.venue == "other" && line.why.contains("add it again")));
    assert_eq!((open_at(&world, 0).len(), open_at(&world, 1).len()), (0, 2), "those at `main` went");
}

#[test]
fn a_symbol_the_venue_does_not_trade_is_refused_and_leftovers_go_all_the_same() {
    let mut world = world_with(4);
    world.kill();
    world.settings_mut().venues[0].symbols.push(lastorders::domain::ids::Symbol::new("NOPE-USDT"));
    world.start().unwrap();
    assert!(world.run_until(3 * MINUTE, |world| world.verdict.is_some()));
    assert_eq!(world.verdict.as_ref().unwrap().exit_code, 1, "{:#?}", world.said);
    assert_eq!(open(&world).len(), 0);
    assert!(said(&world, 0).iter().any(|text| text.contains("does not trade NOPE-USDT")));
}

#[test]
fn nothing_is_created_before_the_start_is_through() {
    let mut settings = resting(10);
    settings.venues[0].sim.latency_ms = 20;
    let mut world = world_at_rest(settings, 10);
    world.kill();
    let (mark, n_before) = (ledger_mark(&world, 0), world.creates_seen.len());
    world.start().unwrap();
    while world.machine().is_some_and(|machine| !machine.is_trading()) {
        world.step(i64::MAX);
        assert_eq!((n_requests(&world, 0, mark, "create"), world.creates_seen.len()), (0, n_before));
    }
    assert_eq!(open(&world).len(), 0);
}

#[test]
fn only_what_rests_is_adopted() {
    for n_steps in 0..25 {
        let mut settings = resting(15);
        settings.start.on_start = OnStart::Adopt;
        let mut world = World::new(settings.clone());
        world.start().unwrap();
        assert!(world.run_until(MINUTE, |world| n_in_state(world, StateName::New) > 0));
        for _ in 0..n_steps {
            world.step(i64::MAX);
        }
        world.kill();
        world.start().unwrap();
        assert!(world.run_until(MINUTE, |world| world.machine().is_some_and(|machine| machine.is_trading())));
        let believed: BTreeSet<_> =
            world.desk().unwrap().orders.open().map(|order| order.id().as_str().to_owned()).collect();
        let resting: BTreeSet<_> = open(&world).into_iter().map(|order| order.client_id).collect();
        assert_eq!(believed, resting, "{n_steps} steps");
        trade_until_resting(&mut world, 15);
    }
}

#[test]
fn a_lost_directory_never_leads_to_an_id_that_was_given_before() {
    let mut world = World::new(resting(5));
    let mut given = BTreeSet::new();
    // Three runs within the same ten seconds, each without the memory of the one before.
    for _ in 0..3 {
        world.start().unwrap();
        let all_rest = |world: &World| world.creates_seen.len() >= 5 && open(world).len() == 5;
        assert!(world.run_until(SECOND * 3, all_rest), "{:#?}", world.said);
        world.kill();
        world.disk = MemoryDisk::default();
        for id in std::mem::take(&mut world.creates_seen).into_keys() {
            assert!(given.insert(id.clone()), "{id} was given twice");
        }
    }
    assert!(given.len() >= 15, "{given:?}");
}
