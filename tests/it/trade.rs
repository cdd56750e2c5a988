//! Trading: pauses, limits, comparisons with the venue, a disk that fails. On the real machines in virtual time.

use std::collections::BTreeSet;

use lastorders::domain::command::{Command, CommandAnswer, CommandId};
use lastorders::domain::event::SignalName;
use lastorders::domain::ids::Symbol;
use lastorders::domain::money::Decimal;
use lastorders::domain::order::Side;
use lastorders::exchange::{AskKind, ErrorCode, Fault, On, Plan};
use lastorders::sim::settings::quiet;
use lastorders::sim::world::World;

use crate::worlds::{
    MINUTE, SECOND, assert_books, assert_clean_stop, assert_no_create_twice, btc, crowd, decimal, ladder_of, now, open,
    resting, resting_ten_lots, said, state_on_disk, trade_until_resting, world_at_rest, world_with,
};

fn answer(world: &World, id: CommandId) -> Option<&CommandAnswer> {
    world.answers.iter().find(|(answered, _)| *answered == id).map(|(_, answer)| answer)
}

/// Asks and waits for the answer.
fn command(world: &mut World, command: Command) -> CommandAnswer {
    let id = world.command(command);
    assert!(world.run_until(2 * MINUTE, |world| answer(world, id).is_some()), "no answer: {:#?}", world.said);
    answer(world, id).cloned().unwrap()
}

fn is_trading(world: &World) -> bool {
    world.machine().is_some_and(|machine| machine.phase() == "trading")
}

#[test]
fn a_pause_cancels_proves_and_then_answers() {
    for ask in [Command::Pause { keep_orders: false }, Command::CancelAll] {
        let mut settings = resting(20);
        settings.venues[0].sim.latency_ms = 10;
        let mut world = world_at_rest(settings, 20);
        let n_created = world.creates_seen.len();
        let id = world.command(ask.clone());
        while answer(&world, id).is_none() {
            world.step(i64::MAX);
        }
        assert_eq!(open(&world).len(), 0, "answered before it was so");
        let text = &answer(&world, id).unwrap().text;
        assert!(text.contains("main: none left (by_order, 2 listings)"), "{text}");
        world.run_for(MINUTE);
        assert_eq!((open(&world).len(), world.creates_seen.len()), (0, n_created), "{ask:?}");
        assert!(command(&mut world, Command::Resume).ok);
        trade_until_resting(&mut world, 20);
    }
}

#[test]
fn a_pause_that_keeps_orders_leaves_them_and_places_none() {
    let mut world = world_with(5);
    let before = open(&world);
    assert!(command(&mut world, Command::Pause { keep_orders: true }).ok);
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.001");
    world.run_for(MINUTE);
    assert_eq!(open(&world), before[1..], "one filled, the others stay");
    assert!(command(&mut world, Command::CancelAll).text.contains("none left"));
    assert_eq!(open(&world).len(), 0);
}

#[test]
fn a_pause_outlives_the_process() {
    let mut world = world_with(5);
    command(&mut world, Command::CancelAll);
    world.kill();
    world.start().unwrap();
    world.run_for(MINUTE);
    assert_eq!(open(&world).len(), 0);
    assert!(command(&mut world, Command::Resume).ok);
    trade_until_resting(&mut world, 5);
}

#[test]
fn who_resumes_before_the_pause_was_shown_trades_and_both_are_answered() {
    for wait_steps in [0, 1, 3, 6] {
        let mut settings = resting(10);
        settings.venues[0].sim.latency_ms = 20;
        let mut world = world_at_rest(settings, 10);
        let pause = world.command(Command::Pause { keep_orders: false });
        for _ in 0..wait_steps {
            world.step(i64::MAX);
        }
        let resume = world.command(Command::Resume);
        world.run_for(5 * SECOND);
        assert!(answer(&world, resume).is_some_and(|answer| answer.ok), "{wait_steps}");
        let paused = answer(&world, pause).unwrap_or_else(|| panic!("{wait_steps}: the pause was never answered"));
        assert!(!paused.ok, "{wait_steps}: nothing was shown: {}", paused.text);
        assert!(is_trading(&world));
        trade_until_resting(&mut world, 10);
        let n_created = world.creates_seen.len();
        world.run_for(MINUTE);
        assert_eq!((open(&world).len(), world.creates_seen.len()), (10, n_created), "{wait_steps}: nobody cancels on");
    }
}

#[test]
fn a_stop_answers_whoever_waits_for_a_pause() {
    let mut world = world_with(5);
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::ServerError)).unwrap();
    let pause = world.command(Command::Pause { keep_orders: false });
    world.run_for(SECOND);
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(3));
    assert!(answer(&world, pause).is_some_and(|answer| !answer.ok), "{:?}", world.answers);
}

#[test]
fn a_refused_disk_stops_creates_but_not_cancels_and_trading_comes_back() {
    let settings = resting(10);
    let mut world = world_at_rest(settings.clone(), 10);
    world.disk.refuse(true);
    // Something to record, so that the disk is noticed.
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.001");
    assert!(world.run_until(MINUTE, |world| open(world).is_empty()), "resting orders go: {:#?}", world.said);
    let n_created = world.creates_seen.len();
    world.run_for(MINUTE);
    assert_eq!((open(&world).len(), world.creates_seen.len()), (0, n_created), "no creates on a dead disk");
    assert!(said(&world, 0).iter().any(|text| text.starts_with("THE DISK FAILED")));
    world.disk.refuse(false);
    trade_until_resting(&mut world, 9);
    assert!(is_trading(&world));
    world.run_for(5 * SECOND);
    world.signal(SignalName::Term);
    assert_clean_stop(&mut world, &settings, 0, "disk");
}

#[test]
fn a_disk_that_fails_while_orders_are_new_sends_none_of_them() {
    for n_steps in 0..20 {
        let settings = resting(30);
        let mut world = World::new(settings.clone());
        world.start().unwrap();
        assert!(world.run_until(MINUTE, |world| world.desk().is_some_and(|desk| desk.orders.n_new() > 0)));
        for _ in 0..n_steps {
            world.step(i64::MAX);
        }
        world.disk.refuse(true);
        let recorded = state_on_disk(&world, &settings).orders;
        let ended = recorded.recently_closed.iter().map(|order| order.client_id);
        let recorded: BTreeSet<_> = recorded.open.into_keys().chain(ended).collect();
        world.run_for(5 * SECOND);
        let unrecorded: Vec<_> =
            world.creates_seen.keys().filter(|id| !recorded.contains(&id.parse().unwrap())).collect();
        assert!(unrecorded.is_empty(), "{n_steps}: sent without a record: {unrecorded:?}");
        world.disk.refuse(false);
        trade_until_resting(&mut world, 30);
        world.signal(SignalName::Term);
        assert_clean_stop(&mut world, &settings, 0, &format!("{n_steps} steps"));
    }
}

#[test]
fn a_days_loss_latches_trading_off_across_restarts() {
    let mut settings = resting_ten_lots(5);
    settings.risk.max_daily_loss = Decimal::whole(100);
    let mut world = world_at_rest(settings.clone(), 5);
    crowd(&mut world, 0, 0, Side::Sell, "40000", "0.010");
    world.run_for(SECOND);
    let at = now(&world);
    assert!(world.venues[0].exchange.move_price(at, &btc(), decimal("20000")));
    assert!(world.run_until(MINUTE, |world| open(world).is_empty()), "{:#?}", world.said);
    assert!(said(&world, 0).iter().any(|text| text.starts_with("TRADING IS LATCHED OFF")), "{:#?}", world.said);
    let n_created = world.creates_seen.len();
    assert!(!command(&mut world, Command::Resume).ok, "a resume does not end a latch");
    let at = now(&world);
    assert!(world.venues[0].exchange.move_price(at, &btc(), decimal("64000")));
    for _ in 0..2 {
        world.run_for(MINUTE);
        assert_eq!((open(&world).len(), world.creates_seen.len()), (0, n_created));
        world.kill();
        world.start().unwrap();
    }
    world.run_for(5 * SECOND);
    world.signal(SignalName::Term);
    let report = assert_clean_stop(&mut world, &settings, 0, "latched");
    assert_eq!(report.positions[0].qty, decimal("0.010"), "a stop never trades");
    assert!(state_on_disk(&world, &settings).risk.latched.is_some());
}

#[test]
fn ten_rejections_within_a_minute_pause_the_symbol() {
    let mut world = World::new(resting(30));
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::Create), Fault::Refused(ErrorCode::Funds))).unwrap();
    world.start().unwrap();
    assert!(world.run_until(2 * MINUTE, |world| {
        said(world, 0).iter().any(|text| text.starts_with("BTC-USDT is paused: the venue refused ten orders"))
    }));
    world.run_for(5 * SECOND);
    let n_created = world.creates_seen.len();
    assert!((10..=30).contains(&n_created), "only what was under way already: {n_created}");
    world.venues[0].exchange.heal();
    world.run_for(5 * MINUTE);
    assert_eq!((open(&world).len(), world.creates_seen.len()), (0, n_created), "it waits for the operator");
    assert!(command(&mut world, Command::Resume).ok);
    trade_until_resting(&mut world, 30);
}

#[test]
fn a_difference_between_the_books_pulls_quotes_until_two_comparisons_agree() {
    let mut settings = resting(5);
    settings.venues[0].symbols.push(Symbol::new("ETH-USDT"));
    let mut elsewhere = ladder_of("eth", "main", 3, "1");
    elsewhere.symbols = vec![Symbol::new("ETH-USDT")];
    if let lastorders::domain::settings::StrategyKind::Ladder(ladder) = &mut elsewhere.kind {
        ladder.start = lastorders::domain::settings::LadderStart::Price(Decimal::whole(2_000));
    }
    settings.strategies.push(elsewhere);
    let mut world = world_at_rest(settings, 8);
    world.run_for(2 * MINUTE);
    // Somebody takes a coin out of the account: no trade tells of it.
    world.venues[0].moved_by_hand.insert("BTC".into(), decimal("-1"));
    assert!(world.run_until(3 * MINUTE, |world| open(world).len() == 3), "{:#?}", world.said);
    assert!(open(&world).iter().all(|order| order.symbol == Symbol::new("ETH-USDT")), "only what differs is pulled");
    let line = world.said.iter().position(|(_, text)| text.starts_with("Our books and the venue's differ")).unwrap();
    assert!(world.said[line].1.contains("BTC by -1"), "{}", world.said[line].1);
    world.run_for(10 * MINUTE);
    assert_eq!(open(&world).len(), 3, "a difference does not go away by itself");
    // And brings it back.
    world.venues[0].moved_by_hand.clear();
    assert!(world.run_until(5 * MINUTE, |world| open(world).len() == 8), "{:#?}", said(&world, line));
    assert!(said(&world, line).iter().any(|text| text.contains("two reconciliations agree again")));
}

#[test]
fn comparisons_that_cannot_be_made_pause_the_venue_until_one_succeeds() {
    let mut world = world_with(5);
    let balances = On::Ask(AskKind::Balances);
    world.venues[0].exchange.plan(Plan::always(balances, Fault::ServerError)).unwrap();
    assert!(world.run_until(3 * MINUTE, |world| open(world).is_empty()), "{:#?}", world.said);
    assert!(said(&world, 0).iter().any(|text| text.starts_with("Three reconciliations in a row failed")));
    world.venues[0].exchange.heal();
    trade_until_resting(&mut world, 5);
}

#[test]
fn fills_while_the_first_comparison_is_made_are_no_difference() {
    // The first comparison says what the account held before us. Made while a fill was under way it was off by that
    // fill for ever, and every later one differed.
    let mut n_held = 0;
    for after_ms in (0..120).step_by(6) {
        let mut settings = resting_ten_lots(6);
        settings.start.on_start = lastorders::domain::settings::OnStart::Adopt;
        settings.venues[0].sim.latency_ms = 20;
        settings.venues[0].sim.latency_jitter_ms = 20;
        let mut world = world_at_rest(settings, 6);
        world.kill();
        world.venues[0].exchange.plan(Plan::always(On::FillPush, Fault::DelayedPush { by_ms: 3_000 })).unwrap();
        world.start().unwrap();
        assert!(world.run_until(MINUTE, |world| world.machine().is_some_and(|machine| machine.is_trading())));
        crowd(&mut world, 0, after_ms, Side::Sell, "40000", "0.005");
        world.run_for(5 * MINUTE);
        n_held += u32::from(said(&world, 0).iter().any(|text| text.starts_with("Our books and the venue's differ")));
        assert_no_create_twice(&world, "baseline");
    }
    assert_eq!(n_held, 0);
}

#[test]
fn a_pushed_link_that_goes_down_pulls_quotes_and_up_brings_them_back() {
    use lastorders::domain::event::{Event, LinkState, Stream};
    use lastorders::domain::ids::VenueId;
    let mut world = world_with(5);
    world.tell(Event::Link(VenueId(0), Stream::Private, LinkState::Down("cut".into())));
    assert!(world.run_until(MINUTE, |world| open(world).is_empty()));
    world.tell(Event::Link(VenueId(0), Stream::Private, LinkState::Up));
    trade_until_resting(&mut world, 5);
}

#[test]
fn a_create_without_an_answer_is_never_sent_again() {
    for fault in [
        Fault::AnswerLost,
        Fault::ServerError,
        Fault::ServerErrorExecuted,
        Fault::LateExecution { after_ms: None },
        Fault::RateLimited { retry_after_ms: 300 },
        Fault::Refused(ErrorCode::DuplicateId),
    ] {
        let settings = resting(20);
        let mut world = World::new(settings.clone());
        world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Create), fault.clone()).times(8)).unwrap();
        world.start().unwrap();
        world.run_for(MINUTE);
        assert_no_create_twice(&world, fault.word());
        assert_eq!(open(&world).len(), 20, "{}: each rung has its one order", fault.word());
        assert_books(&world, &settings, fault.word());
    }
}

#[test]
fn an_order_the_venue_denies_by_name_is_found_in_its_lists() {
    let settings = resting(5);
    let mut world = World::new(settings.clone());
    let plans = [
        Plan::next(On::Ask(AskKind::Create), Fault::AnswerLost).times(2),
        Plan::always(On::Ask(AskKind::Query), Fault::NotFound),
        Plan::always(On::OrderPush, Fault::LostPush),
    ];
    for plan in plans {
        world.venues[0].exchange.plan(plan).unwrap();
    }
    world.start().unwrap();
    world.run_for(MINUTE);
    assert_eq!((open(&world).len(), world.creates_seen.len()), (5, 5), "none was taken for dead and placed again");
}

#[test]
fn thousands_of_orders_cancelled_in_one_go_keep_the_counts_right() {
    let settings = resting(5_300);
    let mut world = World::new(settings);
    world.start().unwrap();
    assert!(world.run_until(5 * MINUTE, |world| open(world).len() == 5_300), "{}", open(&world).len());
    assert!(command(&mut world, Command::CancelAll).ok);
    assert!(is_paused(&world), "{:#?}", world.said.last());
}

fn is_paused(world: &World) -> bool {
    world.machine().is_some_and(|machine| machine.phase().contains("paused by the operator"))
}

#[test]
fn without_strategies_nothing_is_ever_asked_for() {
    let mut world = world_at_rest(quiet(), 0);
    world.run_for(10 * MINUTE);
    assert!(world.creates_seen.is_empty());
}
