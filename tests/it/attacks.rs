//! Attacks on the core, on the real machines in virtual time. Each test says what must hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use lastorders::domain::command::Command;
use lastorders::domain::event::{Event, LinkState, SignalName, Stream};
use lastorders::domain::ids::{ClientOrderId, InstrumentId, Symbol, VenueId, VenueOrderId};
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{OrderRow, OrderTerms, Side, TimeInForce, VenueStatus};
use lastorders::domain::settings::{MarketMakerSettings, OnExit, OnStart, Settings, StrategyKind, StrategySettings};
use lastorders::domain::stop::StopCause;
use lastorders::domain::time::Boot;
use lastorders::engine::risk::RiskRefusal;
use lastorders::engine::strategy::{AdoptedOrder, OrderChange, Slot, Strategy, View, Wish};
use lastorders::exchange::{Ask, AskKind, Fault, On, OrderRef, Plan, Ticket};
use lastorders::runtime::machine::OwnStrategy;
use lastorders::sim::disk::MemoryDisk;
use lastorders::sim::settings::{ladder, quiet, venue};
use lastorders::sim::world::{ACCOUNT, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn resting(n: u32) -> Settings {
    let mut settings = quiet();
    settings.strategies = vec![ladder("rungs", "main", n)];
    settings
}

fn open_at(world: &World, place: usize) -> usize {
    world.venues[place].exchange.open_orders(ACCOUNT).len()
}

fn started(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.start().unwrap();
    world
}

fn world_with(n: u32) -> World {
    let mut world = started(resting(n));
    assert!(world.run_until(MINUTE, |world| open_at(world, 0) == n as usize), "{:#?}", world.said);
    world.run_for(SECOND * 5);
    world
}

fn said(world: &World, words: &str) -> bool {
    world.said.iter().any(|(_, text)| text.contains(words))
}

/// A strategy that is a function.
struct Scripted<F> {
    play: F,
    adopts: fn() -> bool,
    /// Panics at the next news of an order once it is set.
    fuse: Arc<AtomicBool>,
}

impl<F: FnMut(&View<'_>, &mut Vec<Wish>) + Send> Strategy for Scripted<F> {
    fn on_market(&mut self, _: &View<'_>, _: InstrumentId, _: &mut Vec<Wish>) {}
    fn on_order(&mut self, _: &View<'_>, _: &OrderChange, _: &mut Vec<Wish>) {
        assert!(!self.fuse.load(Ordering::SeqCst), "planted");
    }
    fn on_cycle(&mut self, view: &View<'_>, out: &mut Vec<Wish>) {
        (self.play)(view, out);
    }
    fn placed(&mut self, _: Slot, _: ClientOrderId) {}
    fn refused(&mut self, _: Boot, _: Slot, _: &RiskRefusal) {}
    fn memory(&self) -> Value {
        Value::Null
    }
    fn take_memory_changed(&mut self) -> bool {
        false
    }
    fn recall(&mut self, _: &Value) -> Result<(), String> {
        Ok(())
    }
    fn adopt(&mut self, _: &AdoptedOrder) -> bool {
        (self.adopts)()
    }
}

fn own(play: impl FnMut(&View<'_>, &mut Vec<Wish>) + Send + 'static) -> OwnStrategy {
    OwnStrategy { name: "own".into(), strategy: Box::new(Scripted { play, adopts: || true, fuse: Arc::default() }) }
}

fn own_settings() -> Settings {
    let mut settings = quiet();
    settings.strategies = vec![ladder("own", "main", 1)];
    settings
}

fn place(view: &View<'_>, number: u32, time_in_force: TimeInForce, price: i64) -> Option<Wish> {
    let instrument = view.catalogue.instruments().first()?;
    let terms = OrderTerms {
        instrument: instrument.id,
        side: Side::Buy,
        price: instrument.price(Decimal::whole(price)).ok()?,
        qty: instrument.qty("0.001".parse().ok()?).ok()?,
        time_in_force,
    };
    Some(Wish::Place { slot: Slot(number), terms })
}

fn id(epoch_like: ClientOrderId, sequence: u32) -> ClientOrderId {
    ClientOrderId::new(epoch_like.instance(), epoch_like.epoch(), epoch_like.strategy(), sequence).unwrap()
}

fn some_id(world: &World) -> ClientOrderId {
    world.desk().unwrap().orders.open().next().unwrap().id()
}

fn row_of(id: ClientOrderId, status: VenueStatus) -> OrderRow {
    OrderRow {
        symbol: Symbol::new("BTC-USDT"),
        client_id: Some(id.as_str().to_owned()),
        venue_order_id: VenueOrderId::new(&format!("late-{id}")),
        side: Side::Buy,
        price: Decimal::whole(39_000),
        qty: "0.001".parse().unwrap(),
        filled: Decimal::ZERO,
        status,
        reason: String::new(),
    }
}

// ---------------------------------------------------------------- proof

#[test]
fn news_of_an_open_order_after_the_proof_never_ends_in_exit_code_0() {
    let mut world = world_with(3);
    let late = id(some_id(&world), 900);
    world.signal(SignalName::Term);
    assert!(world.run_until(MINUTE, |world| said(world, "Step 4/11")));
    world.tell(Event::Order(VenueId(0), Box::new(row_of(late, VenueStatus::Open))));
    let code = world.run_to_verdict();
    let report = world.report().unwrap();
    assert!(
        code == Some(3) || report.orders.remaining.is_empty(),
        "exit {code:?}, proved {}, remaining {:?}",
        report.proof.proved,
        report.orders.remaining
    );
}

#[test]
fn a_venue_that_was_proved_early_is_swept_again_when_an_order_shows_up_there() {
    let mut settings = quiet();
    settings.venues = vec![venue("main"), venue("other")];
    settings.strategies = vec![ladder("rungs", "main", 3), ladder("more", "other", 3)];
    let mut world = started(settings);
    assert!(world.run_until(MINUTE, |world| open_at(world, 0) == 3 && open_at(world, 1) == 3));
    world.run_for(SECOND * 5);
    let late = id(some_id(&world), 900);
    // The other venue takes its time.
    world.venues[1].exchange.plan(Plan::next(On::Ask(AskKind::ListOpen), Fault::ServerError).times(10)).unwrap();
    world.signal(SignalName::Term);
    world.run_for(Duration::from_millis(500));
    assert!(world.verdict.is_none());
    // A real order of ours on the book of the first: a create that arrived against all promises.
    let now = lastorders::exchange::Micros::from(world.stamp().wall);
    let order = lastorders::exchange::NewOrder {
        client_id: late.as_str().to_owned(),
        symbol: Symbol::new("BTC-USDT"),
        side: Side::Buy,
        price: Decimal::whole(39_000),
        qty: "0.001".parse().unwrap(),
        time_in_force: TimeInForce::Gtc,
        not_after: None,
    };
    world.venues[0].exchange.submit(now, ACCOUNT, Ticket(9_999_999), Ask::Create(order));
    let code = world.run_to_verdict();
    assert!(code == Some(3) || open_at(&world, 0) == 0, "exit {code:?} with {} on the book", open_at(&world, 0));
}

#[test]
fn a_stop_before_the_books_were_read_is_not_kept_by_policy() {
    let mut settings = resting(5);
    settings.start.on_start = OnStart::Adopt;
    settings.shutdown.on_exit = OnExit::Keep;
    let mut world = started(settings);
    assert!(world.run_until(MINUTE, |world| open_at(world, 0) == 5));
    world.kill();
    world.disk = MemoryDisk::default(); // The state directory is lost.
    world.start().unwrap();
    world.signal(SignalName::Term);
    let code = world.run_to_verdict();
    let report = world.report().unwrap();
    assert!(
        code == Some(3) || report.orders.kept.len() == 5,
        "exit {code:?}, kept {} of {} on the book",
        report.orders.kept.len(),
        open_at(&world, 0)
    );
}

#[test]
fn no_create_leaves_after_the_trading_machine_panicked() {
    let mut settings = own_settings();
    settings.venues[0].sim.latency_ms = 40;
    let mut world = World::new(settings);
    let fail = Arc::new(AtomicBool::new(false));
    let mut n = 0;
    let play = move |view: &View<'_>, out: &mut Vec<Wish>| {
        if view.may_create && n < 40 {
            n += 1;
            out.extend(place(view, n, TimeInForce::PostOnly, 39_000));
        }
    };
    let strategy = Box::new(Scripted { play, adopts: || true, fuse: Arc::clone(&fail) });
    world.give_strategy(OwnStrategy { name: "own".into(), strategy });
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| world.creates_seen.len() >= 5));
    fail.store(true, Ordering::SeqCst);
    let is_stopping = |world: &World| world.machine().is_none_or(lastorders::runtime::machine::Machine::is_stopping);
    let mut before = world.creates_seen.len();
    world.run_until(MINUTE, |world| {
        if !is_stopping(world) {
            before = world.creates_seen.len();
        }
        is_stopping(world)
    });
    world.run_to_verdict();
    assert_eq!(world.creates_seen.len(), before, "creates left after the panic");
}

// ---------------------------------------------------------------- books

fn churning(requote_bps: &str) -> Settings {
    let mut settings = quiet();
    settings.venues[0].sim.activity = 1_000;
    settings.strategies = vec![StrategySettings {
        name: "mm".into(),
        venue: "main".into(),
        symbols: vec![Symbol::new("BTC-USDT")],
        kind: StrategyKind::MarketMaker(MarketMakerSettings {
            levels: 5,
            spread_bps: Decimal::ONE,
            level_step_bps: Decimal::ONE,
            order_qty: "0.001".parse().unwrap(),
            max_position_qty: Decimal::ONE,
            skew_bps: Decimal::ZERO,
            requote_bps: requote_bps.parse().unwrap(),
            post_only: true,
        }),
    }];
    settings
}

/// Fills of a fault-free market are all booked, and stay so however many orders have ended since.
#[test]
fn a_very_busy_run_owes_no_fills_and_stops_clean() {
    let mut world = started(churning("0.01"));
    world.run_for(MINUTE * 3);
    let n_fills = world.venues[0].exchange.fills(ACCOUNT).len();
    assert!(n_fills > 5, "{n_fills} fills");
    let desk = world.desk().unwrap();
    let (owed, creates) = (desk.orders.owed_at(VenueId(0)).count(), desk.tally().creates);
    assert_eq!(owed, 0, "orders are owed fills after {creates} creates and {n_fills} fills, all booked long ago");
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(0));
}

#[test]
fn a_busy_run_that_stopped_clean_can_start_again() {
    let mut world = started(churning("0.5"));
    world.run_for(MINUTE * 2);
    let n_fills = world.venues[0].exchange.fills(ACCOUNT).len();
    let creates = world.desk().unwrap().tally().creates;
    assert!(n_fills > 5, "{n_fills} fills");
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(0), "{:#?}", world.report().map(|report| report.proof));
    world.said.clear();
    world.start().unwrap();
    let trades = |world: &World| world.machine().is_some_and(lastorders::runtime::machine::Machine::is_trading);
    world.run_until(SECOND * 120, |world| world.verdict.is_some() || trades(world));
    let last: Vec<_> = world.said.iter().rev().take(12).collect();
    assert!(trades(&world), "{creates} creates, {n_fills} fills; {:?}; {last:#?}", world.verdict);
}

#[test]
fn adopting_begins_only_with_books_that_agree_with_the_venue() {
    let mut settings = resting(5);
    settings.start.on_start = OnStart::Adopt;
    let mut world = started(settings);
    assert!(world.run_until(MINUTE, |world| open_at(world, 0) == 5));
    world.run_for(SECOND * 3);
    world.kill();
    // The operator cancels two by hand while we are down.
    let ids: Vec<_> =
        world.venues[0].exchange.open_orders(ACCOUNT).iter().take(2).map(|order| order.client_id.clone()).collect();
    for (n, id) in ids.iter().enumerate() {
        let now = world.venues[0].exchange.now();
        world.venues[0].exchange.submit(now, ACCOUNT, Ticket(8_000_000 + n as u64), Ask::Cancel(OrderRef::client(id)));
    }
    world.run_for(SECOND * 5);
    assert_eq!(open_at(&world, 0), 3);
    world.start().unwrap();
    assert!(
        world.run_until(MINUTE, |world| world.machine().is_some_and(lastorders::runtime::machine::Machine::is_trading))
    );
    let believed = world.desk().unwrap().orders.n_open();
    assert_eq!(believed, open_at(&world, 0), "trading begins on orders that are gone");
}

#[test]
fn an_order_believed_ended_that_a_listing_shows_is_chased_while_trading() {
    let mut settings = resting(3);
    settings.venues[0].sim.synchronous_cancel = true;
    let mut world = started(settings);
    assert!(world.run_until(MINUTE, |world| open_at(world, 0) == 3));
    world.run_for(SECOND * 3);
    let ghost = some_id(&world);
    // The venue says it ended; it did not.
    world.tell(Event::Order(VenueId(0), {
        let real = world.desk().unwrap().orders.get(ghost).unwrap().key.clone();
        let mut row = row_of(ghost, VenueStatus::Ended(lastorders::domain::order::Outcome::Canceled));
        row.venue_order_id = real.venue_order_id.unwrap();
        Box::new(row)
    }));
    // Two reconciliations at least.
    world.run_for(SECOND * 150);
    let on_book = open_at(&world, 0);
    let counted = world.desk().unwrap().orders.n_open();
    assert!(counted >= on_book, "{on_book} on the book, {counted} counted");
}

#[test]
fn a_cancel_that_was_asked_for_is_asked_for_again_after_a_restart_with_adopt() {
    let mut settings = own_settings();
    settings.start.on_start = OnStart::Adopt;
    let mut world = World::new(settings);
    let mut step = 0;
    let placed = Arc::new(std::sync::Mutex::new(None::<ClientOrderId>));
    struct One(Arc<std::sync::Mutex<Option<ClientOrderId>>>, u32);
    impl Strategy for One {
        fn on_market(&mut self, _: &View<'_>, _: InstrumentId, _: &mut Vec<Wish>) {}
        fn on_order(&mut self, _: &View<'_>, change: &OrderChange, out: &mut Vec<Wish>) {
            if change.state == lastorders::domain::order::StateName::Open && self.1 == 1 {
                self.1 = 2;
                out.push(Wish::Cancel(change.client_id));
            }
        }
        fn on_cycle(&mut self, view: &View<'_>, out: &mut Vec<Wish>) {
            if self.1 == 0 && view.may_create {
                self.1 = 1;
                out.extend(place(view, 1, TimeInForce::PostOnly, 39_000));
            }
        }
        fn placed(&mut self, _: Slot, id: ClientOrderId) {
            *self.0.lock().unwrap() = Some(id);
        }
        fn refused(&mut self, _: Boot, _: Slot, _: &RiskRefusal) {}
        fn memory(&self) -> Value {
            Value::Null
        }
        fn take_memory_changed(&mut self) -> bool {
            false
        }
        fn recall(&mut self, _: &Value) -> Result<(), String> {
            Ok(())
        }
        fn adopt(&mut self, _: &AdoptedOrder) -> bool {
            true
        }
    }
    world.give_strategy(OwnStrategy { name: "own".into(), strategy: Box::new(One(Arc::clone(&placed), 0)) });
    world.venues[0].exchange.plan(Plan::always(On::AnyCancel, Fault::ServerError)).unwrap();
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| world.state().is_some_and(|state| {
        state.orders.open.values().any(|order| order.state == lastorders::domain::order::StateName::PendingCancel)
    })));
    world.kill();
    world.venues[0].exchange.heal();
    step += 1;
    world.give_strategy(OwnStrategy { name: "own".into(), strategy: Box::new(One(placed, step + 5)) });
    world.start().unwrap();
    world.run_for(SECOND * 130);
    assert_eq!(open_at(&world, 0), 0, "the cancel is forgotten: {:#?}", world.said);
}

#[test]
fn a_mark_is_there_from_the_first_cycle_of_trading() {
    let mut world = world_with(1);
    let _ = &mut world;
    let desk = world.desk().unwrap();
    let instrument = desk.catalogue.instruments()[0].id;
    assert!(desk.mark(instrument).is_some(), "profit and daily loss are worked out without a mark");
}

// ---------------------------------------------------------------- trading

#[test]
fn a_resume_while_a_pause_is_still_being_proved_lets_orders_rest() {
    let mut world = World::new(own_settings());
    let (mut n, mut last) = (0, Boot::ZERO);
    world.give_strategy(own(move |view, out| {
        if view.may_create && view.at.boot.since(last) >= Duration::from_millis(100) {
            last = view.at.boot;
            n += 1;
            out.extend(place(view, n, TimeInForce::PostOnly, 39_000));
        }
    }));
    world.start().unwrap();
    world.run_for(SECOND * 2);
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::ListOpen), Fault::ServerError).times(20)).unwrap();
    let paused = world.command(Command::Pause { keep_orders: false });
    world.run_for(Duration::from_millis(500));
    assert_eq!(open_at(&world, 0), 0);
    world.command(Command::Resume);
    world.run_for(Duration::from_millis(1));
    let (cancels, creates) = (world.desk().unwrap().tally().cancel_requests, world.creates_seen.len());
    world.run_for(SECOND * 3);
    let more = world.desk().unwrap().tally().cancel_requests - cancels;
    let created = world.creates_seen.len() - creates;
    let rest = open_at(&world, 0);
    world.run_for(SECOND * 10);
    let answer = world.answers.iter().find(|(id, _)| *id == paused).map(|(_, answer)| answer.text.clone());
    assert!(
        more == 0 && created > 0,
        "{created} created after resume, {more} cancels, {rest} rest; pause said {answer:?}"
    );
}

#[test]
fn a_failing_disk_with_thousands_of_unsent_orders_does_not_break_the_books() {
    let mut world = World::new(own_settings());
    let mut n = 0;
    world.give_strategy(own(move |view, out| {
        if view.may_create && n == 0 {
            for _ in 0..6_000 {
                n += 1;
                out.extend(place(view, n, TimeInForce::PostOnly, 39_000));
            }
        }
    }));
    world.start().unwrap();
    let disk = world.disk.clone();
    assert!(world.run_until(MINUTE, |world| {
        // The disk fails just before the records of the orders come to it.
        let has_new = world.desk().is_some_and(|desk| desk.orders.n_new() > 5_500);
        disk.refuse(has_new);
        has_new
    }));
    world.run_for(Duration::from_millis(5));
    assert!(!said(&world, "The trading machine failed"), "{:#?}", &world.said[world.said.len() - 5..]);
}

#[test]
fn trading_waits_for_a_stream_that_went_down_during_the_start() {
    let mut settings = resting(5);
    settings.venues[0].sim.latency_ms = 50;
    let mut world = started(settings);
    world.run_for(Duration::from_millis(20));
    world.tell(Event::Link(VenueId(0), Stream::Private, LinkState::Down("planted".into())));
    world.run_for(SECOND * 10);
    assert_eq!(world.creates_seen.len(), 0, "orders are sent though no news of them can come");
}

#[test]
fn a_strategy_that_panics_while_adopting_leads_to_a_stop() {
    let mut settings = own_settings();
    settings.start.on_start = OnStart::Adopt;
    let mut world = World::new(settings);
    let mut n = 0;
    world.give_strategy(own(move |view, out| {
        if view.may_create && n < 3 {
            n += 1;
            out.extend(place(view, n, TimeInForce::PostOnly, 39_000));
        }
    }));
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| open_at(world, 0) == 3));
    world.kill();
    world.give_strategy(OwnStrategy {
        name: "own".into(),
        strategy: Box::new(Scripted {
            play: |_: &View<'_>, _: &mut Vec<Wish>| {},
            adopts: || panic!("planted"),
            fuse: Arc::default(),
        }),
    });
    world.start().unwrap();
    let code = world.run_to_verdict();
    assert_eq!((code, open_at(&world, 0)), (Some(1), 0));
}

// ---------------------------------------------------------------- report

#[test]
fn the_final_report_and_the_process_tell_the_same_exit_code() {
    let mut world = world_with(3);
    world.disk.refuse(true);
    world.signal(SignalName::Term);
    assert!(world.run_until(MINUTE, |world| said(world, "Step 5/11")));
    world.disk.refuse(false);
    let code = world.run_to_verdict();
    let report = world.report().unwrap();
    assert_eq!(
        (Some(report.exit_code), report.complete),
        (code, true),
        "state_flushed in the report: {}, said: {:?}",
        report.state_flushed,
        world.said.iter().filter(|(_, text)| text.contains("State flushed")).collect::<Vec<_>>()
    );
}

#[test]
fn a_record_after_the_save_step_does_not_make_the_report_lie() {
    let mut world = world_with(3);
    let late = id(some_id(&world), 901);
    world.signal(SignalName::Term);
    assert!(world.run_until(MINUTE, |world| said(world, "StateStore flushed to disk")));
    let mut row = row_of(late, VenueStatus::Ended(lastorders::domain::order::Outcome::Canceled));
    row.filled = "0.001".parse().unwrap();
    world.tell(Event::Order(VenueId(0), Box::new(row)));
    let code = world.run_to_verdict();
    let report = world.report().unwrap();
    assert_eq!(Some(report.exit_code), code, "state_flushed in the report: {}", report.state_flushed);
}

#[test]
fn a_stop_with_thousands_of_orders_counts_them_all() {
    let mut settings = own_settings();
    settings.venues[0].sim.batch_cancel_max = 100;
    let mut world = World::new(settings);
    let mut n = 0;
    world.give_strategy(own(move |view, out| {
        if view.may_create && n < 6_000 {
            for _ in 0..50 {
                n += 1;
                out.extend(place(view, n, TimeInForce::PostOnly, 39_000));
            }
        }
    }));
    world.start().unwrap();
    assert!(world.run_until(MINUTE * 3, |world| open_at(world, 0) == 6_000), "{}", open_at(&world, 0));
    world.run_for(SECOND * 3);
    world.signal(SignalName::Term);
    let code = world.run_to_verdict();
    let report = world.report().unwrap();
    assert_eq!((code, report.orders.found, report.orders.canceled), (Some(0), 6_000, 6_000));
}

#[test]
fn the_restart_command_is_answered_with_yes() {
    let mut world = world_with(1);
    world.stop(StopCause::Restart);
    // The loop hands the command that began the stop to the machine, for its answer.
    let asked = world.command(Command::Restart);
    assert_eq!(world.run_to_verdict(), Some(75));
    let answer = world.answers.iter().find(|(id, _)| *id == asked).map(|(_, answer)| answer.clone());
    assert!(answer.as_ref().is_some_and(|answer| answer.ok), "{answer:?}");
}

#[test]
fn whoever_waits_for_a_pause_is_answered_when_a_stop_begins() {
    let mut world = world_with(3);
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::ListOpen), Fault::ServerError).times(5)).unwrap();
    let asked = world.command(Command::Pause { keep_orders: false });
    world.run_for(Duration::from_millis(300));
    world.signal(SignalName::Term);
    world.run_to_verdict();
    assert!(world.answers.iter().any(|(id, _)| *id == asked), "no answer");
}
