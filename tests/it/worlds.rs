//! Worlds for the tests of the three machines, and what can be read of them without asking the daemon.
//!
//! Always holds: every judgement about orders and fills is made by the exchange's own books and ledger lines; the
//! daemon's part is what lies on its disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use lastorders::domain::ids::{Symbol, TradeId};
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{OrderState, Side, StateName, TimeInForce};
use lastorders::domain::report::Report;
use lastorders::domain::settings::{
    LadderSettings, LadderSides, LadderStart, Settings, StrategyKind, StrategySettings,
};
use lastorders::domain::snapshot::State;
use lastorders::exchange::{Ask, Micros, NewOrder, OrderView, Ticket};
use lastorders::sim::settings::{ladder, quiet};
use lastorders::sim::world::{ACCOUNT, World};
use lastorders::store::load;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// What the client ids of the instance under test begin with.
pub(crate) const OURS: &str = "lotest";
/// Above every number the world gives.
const FOREIGN_TICKET: u64 = 1_000_000_000;

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(crate) fn btc() -> Symbol {
    Symbol::new("BTC-USDT")
}

/// A ladder of `n` buys from 40,000 down on a still market.
pub(crate) fn resting(n: u32) -> Settings {
    let mut settings = quiet();
    settings.strategies = vec![ladder("rungs", "main", n)];
    settings
}

/// The same with ten lots an order, so that one can be filled in part.
pub(crate) fn resting_ten_lots(n: u32) -> Settings {
    let mut settings = quiet();
    settings.strategies = vec![ladder_of("rungs", "main", n, "0.010")];
    settings
}

/// A ladder as `sim::settings::ladder` makes it, of this size.
pub(crate) fn ladder_of(name: &str, venue: &str, rungs: u32, qty: &str) -> StrategySettings {
    let kind = StrategyKind::Ladder(LadderSettings {
        sides: LadderSides::One(Side::Buy),
        start: LadderStart::Price(Decimal::whole(40_000)),
        step: Decimal::ONE,
        rungs,
        order_qty: decimal(qty),
        post_only: true,
    });
    StrategySettings { kind, ..ladder(name, venue, rungs) }
}

/// A world with these settings that has traded until `n` orders rest at each venue, and five seconds longer, so that no
/// create left lately.
pub(crate) fn world_at_rest(settings: Settings, n: usize) -> World {
    let mut world = World::new(settings);
    world.start().unwrap();
    trade_until_resting(&mut world, n);
    world.run_for(5 * SECOND);
    world
}

/// Runs until every venue shows `n` of our orders.
pub(crate) fn trade_until_resting(world: &mut World, n: usize) {
    let rest = |world: &World| (0..world.venues.len()).all(|venue| open_at(world, venue).len() == n);
    assert!(world.run_until(MINUTE, rest), "{n} orders never rested: {:#?}", world.said);
}

pub(crate) fn world_with(n: u32) -> World {
    world_at_rest(resting(n), n as usize)
}

/// Our orders that rest at a venue, by the venue's own books.
pub(crate) fn open_at(world: &World, venue: usize) -> Vec<OrderView> {
    let all = world.venues[venue].exchange.open_orders(ACCOUNT);
    all.into_iter().filter(|order| order.client_id.starts_with(OURS)).collect()
}

/// Our orders that rest anywhere.
pub(crate) fn open(world: &World) -> Vec<OrderView> {
    (0..world.venues.len()).flat_map(|venue| open_at(world, venue)).collect()
}

/// Orders the desk believes to be in this state.
pub(crate) fn n_in_state(world: &World, wanted: StateName) -> usize {
    let desk = world.desk().expect("a process runs");
    desk.orders.new_orders().chain(desk.orders.open()).filter(|order| order.state_name() == wanted).count()
}

/// Orders that were sent and not answered.
pub(crate) fn n_sent(world: &World) -> usize {
    let desk = world.desk().expect("a process runs");
    desk.orders.open().filter(|order| matches!(order.state, OrderState::Sent { .. })).count()
}

/// Ledger lines of a venue from `from` on.
pub(crate) fn ledger(world: &World, venue: usize, from: usize) -> Vec<Value> {
    let lines = world.venues[venue].ledger[from..].iter();
    lines.map(|line| serde_json::from_str(line).expect("a ledger line is JSON")).collect()
}

/// How many lines the ledger of a venue has: where "from now on" begins.
pub(crate) fn ledger_mark(world: &World, venue: usize) -> usize {
    world.venues[venue].ledger.len()
}

/// How many requests of each kind reached a venue from `from` on.
pub(crate) fn requests(world: &World, venue: usize, from: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in ledger(world, venue, from).iter().filter(|line| line["kind"] == "request") {
        *counts.entry(line["what"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// How many of one kind.
pub(crate) fn n_requests(world: &World, venue: usize, from: usize, what: &str) -> usize {
    requests(world, venue, from).get(what).copied().unwrap_or(0)
}

/// The words of the faults that struck at a venue from `from` on.
pub(crate) fn faults(world: &World, venue: usize, from: usize) -> BTreeSet<String> {
    let lines = ledger(world, venue, from);
    let struck = lines.iter().filter(|line| line["kind"] == "fault");
    struck.map(|line| line["fault"].as_str().unwrap().to_owned()).collect()
}

/// What the operator read from line `from` on.
pub(crate) fn said(world: &World, from: usize) -> Vec<&str> {
    world.said[from..].iter().map(|(_, text)| text.as_str()).collect()
}

/// The report on disk; there must be one.
pub(crate) fn report(world: &World) -> Report {
    world.report().unwrap_or_else(|| panic!("no report: {:#?}", world.said))
}

/// What a new process would find on the disk.
pub(crate) fn state_on_disk(world: &World, settings: &Settings) -> State {
    let who = load::Identity { instance: settings.instance, host: "sim".into(), mode: settings.mode, chance: 7 };
    load::load(&mut world.disk.clone(), &who).expect("the state on disk is whole").state
}

/// Somebody else of the same account places a limit order under a name of theirs.
pub(crate) fn foreign_order(world: &mut World, venue: usize, client_id: &str, side: Side, price: &str, qty: &str) {
    let order = NewOrder {
        client_id: client_id.to_owned(),
        symbol: btc(),
        side,
        price: decimal(price),
        qty: decimal(qty),
        time_in_force: TimeInForce::Gtc,
        not_after: None,
    };
    foreign_ask(world, venue, Ask::Create(order));
}

/// Somebody else asks something of the same account. The answer goes nowhere.
pub(crate) fn foreign_ask(world: &mut World, venue: usize, ask: Ask) {
    let now = now(world);
    world.venues[venue].exchange.submit(now, ACCOUNT, Ticket(FOREIGN_TICKET), ask);
}

/// Now, as the exchange counts.
pub(crate) fn now(world: &World) -> Micros {
    Micros::from_millis(world.stamp().wall.millis())
}

/// The crowd takes this much at this price (`Side::Sell`: it sells to us), so many milliseconds from now.
pub(crate) fn crowd(world: &mut World, venue: usize, after_ms: i64, side: Side, price: &str, qty: &str) {
    let at = now(world).plus_millis(after_ms);
    assert!(world.venues[venue].exchange.crowd_takes(at, &btc(), side, decimal(price), decimal(qty)));
}

/// Every fill the exchange knows of ours is booked on disk, once, and nothing else is; the books fitted every record.
pub(crate) fn assert_books(world: &World, settings: &Settings, told: &str) {
    let state = state_on_disk(world, settings);
    assert_eq!(state.misfits, 0, "{told}: records did not fit");
    for (place, venue) in settings.venues.iter().enumerate() {
        let fills = world.venues[place].exchange.fills(ACCOUNT);
        let ours: Vec<_> = fills.iter().filter(|fill| fill.client_id.starts_with(OURS)).collect();
        let mut held: BTreeMap<Symbol, (Decimal, u64)> = BTreeMap::new();
        for fill in &ours {
            let signed = if fill.side == Side::Buy { fill.qty } else { -fill.qty };
            let (qty, n) = held.entry(fill.symbol.clone()).or_default();
            *qty = qty.checked_add(signed).unwrap();
            *n += 1;
        }
        let saved = state.venues.get(&venue.name);
        let positions = saved.map(|saved| saved.positions.clone()).unwrap_or_default();
        let booked: BTreeMap<_, _> =
            positions.into_iter().map(|(symbol, position)| (symbol, (position.qty, position.fills))).collect();
        assert_eq!(booked, held, "{told}: positions at {}", venue.name);
        let known: BTreeSet<TradeId> =
            saved.map(|saved| saved.recent_trades.keys().cloned().collect()).unwrap_or_default();
        let lacking: Vec<_> = ours.iter().filter(|fill| !known.contains(&fill.trade_id)).collect();
        let is_recent =
            |fill: &&&&lastorders::exchange::FillView| fill.at.millis() >= world.stamp().wall.millis() - 14 * 60 * 1000;
        assert_eq!(lacking.iter().filter(is_recent).count(), 0, "{told}: trades are missing: {lacking:#?}");
    }
}

/// No create reached a venue twice.
pub(crate) fn assert_no_create_twice(world: &World, told: &str) {
    let twice: Vec<_> = world.creates_seen.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{told}: sent twice: {twice:?}");
}

/// The exit code tells the truth about what rests, and whatever rests is named.
pub(crate) fn assert_truth(world: &World, told: &str) {
    let code = world.verdict.as_ref().map(|verdict| verdict.exit_code);
    let resting = open(world);
    if resting.is_empty() {
        return;
    }
    assert_eq!(code, Some(3), "{told}: {} orders rest", resting.len());
    let named: BTreeSet<_> =
        report(world).orders.remaining.iter().map(|line| line.client_order_id.as_str().to_owned()).collect();
    let unnamed: Vec<_> = resting.iter().filter(|order| !named.contains(&order.client_id)).collect();
    assert!(unnamed.is_empty(), "{told}: not named: {unnamed:#?}");
}

/// A stop that must end clean: the code, an empty book, whole books, nothing sent twice.
pub(crate) fn assert_clean_stop(world: &mut World, settings: &Settings, code: u8, told: &str) -> Report {
    let got = world.run_to_verdict();
    assert_eq!(got, Some(code), "{told}: {:#?}", world.said);
    assert_eq!(open(world), Vec::new(), "{told}");
    assert_books(world, settings, told);
    assert_no_create_twice(world, told);
    let report = report(world);
    assert!(report.complete && report.state_flushed, "{told}: {report:#?}");
    assert_eq!((report.exit_code, report.orders.remaining.len()), (code, 0), "{told}: {report:#?}");
    report
}
