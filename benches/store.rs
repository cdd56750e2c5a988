//! The parts one by one: disk, snapshot, order machine, outbox, exchange model, and how fast virtual time goes.
//!
//! How to read it. *Journal*: the store's append and sync of a group against the bare file that takes as many bytes, on
//! the disk of the temporary folder; near 1 for one record means the store adds nothing to the disk's own time, and the
//! time per record must fall with the group, or groups are pointless. *Snapshot*: grows with the orders by its nature; it
//! runs on the store's thread, so it delays `Durable` and never the loop. *With few and with many*: one operation while
//! 10 and while 10,000 others are there; a ratio near 1 (2 with cold caches) is right, a large one a walk. *World*:
//! how much faster than life a backtest of the demo would run.

mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use lastorders::domain::event::Event;
use lastorders::domain::ids::{ClientOrderId, Epoch, Instance, InstrumentId, StrategyLetter, Symbol, VenueId};
use lastorders::domain::instrument::Catalogue;
use lastorders::domain::money::{Decimal, Lots, PriceTicks};
use lastorders::domain::order::{Lsn, OrderKey, OrderState, OrderTerms, Side, TimeInForce};
use lastorders::domain::record::{Intent, Record};
use lastorders::domain::request::{Call, Request, RequestId};
use lastorders::domain::settings::{MarketMakerSettings, Mode, StrategyKind, StrategySettings, Sync};
use lastorders::domain::time::{Boot, Wall};
use lastorders::exchange::{AccountId, Ask, Exchange, Micros, NewOrder, OrderRef, Setup, Ticket};
use lastorders::orders::machine::{Order, OrderStateMachine};
use lastorders::orders::moves::News;
use lastorders::outbox::{Gate, Lane, Next, Outbox};
use lastorders::runtime::paper::traits_of;
use lastorders::sim::settings::{quiet, venue};
use lastorders::sim::world::World;
use lastorders::store::journal;
use lastorders::store::thread::{Message, SegmentLimits, Store};
use lastorders::store::{Identity, StateDirectory, load};
use support::{median, ratio, row, say, shown, table, timed};

const SYMBOL: &str = "BTC-USDT";
const VENUE: VenueId = VenueId(0);
const ACCOUNT: AccountId = AccountId(0);
const FEW: u32 = 10;
const MANY: u32 = 10_000;
/// Numbers of the orders that come and go lie above those that stay.
const PASSING: u32 = 1_000_000;

fn wall_zero() -> Wall {
    Wall::from_millis(1_795_132_800_000)
}

fn client_id(n: u32) -> ClientOrderId {
    let letter = StrategyLetter::nth(0).expect("the first letter");
    ClientOrderId::new(Instance::from_chance(1), Epoch(1), letter, n).expect("a small number")
}

fn milli(thousandths: i128) -> Decimal {
    Decimal::from_units(thousandths * (Decimal::ONE.units() / 1_000))
}

// --- disk ----------------------------------------------------------------------------------------------------------

fn intent(n: u32) -> Record {
    Record::Intent(Intent {
        client_id: client_id(n),
        venue: "main".into(),
        symbol: Symbol::new(SYMBOL),
        side: Side::Buy,
        price: Decimal::whole(40_000),
        qty: milli(1),
        time_in_force: TimeInForce::PostOnly,
        at: wall_zero(),
    })
}

fn open_store(folder: &Path) -> (Store<StateDirectory>, u64) {
    let mut directory = StateDirectory::open(folder, Mode::Paper).expect("a folder of our own");
    let who = Identity { instance: Some(Instance::from_chance(1)), host: "bench".into(), mode: Mode::Paper, chance: 1 };
    let resumed = load(&mut directory, &who).expect("an empty folder");
    let next = resumed.next.0;
    let never = SegmentLimits { n_records_max: u64::MAX, n_bytes_max: u64::MAX };
    (Store::open(directory, resumed, Sync::Cycle, never, wall_zero), next)
}

fn group(next: &mut u64, n_records: u32) -> Vec<Message> {
    let message = |_| {
        let number = *next;
        *next += 1;
        Message::Append(Lsn(number), Box::new(intent(u32::try_from(number).unwrap_or(u32::MAX))))
    };
    (0..n_records).map(message).collect()
}

fn journal_table() {
    let mut rows = vec![row(["records a group", "store", "a record", "bare file", "ratio", "bytes a record"])];
    for n_records in [1_u32, 10, 100, 1_000] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut store, mut next) = open_store(&folder.path().join("state"));
        let mut bare = File::create(folder.path().join("bare")).expect("a file in it");
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        let mut n_bytes = 0;
        for _ in 0..40 {
            let messages = group(&mut next, n_records);
            let lines: String = (0..n_records)
                .filter_map(|n| journal::encode(Lsn(next + u64::from(n)), Lsn(next), &intent(n)).ok())
                .collect();
            n_bytes = lines.len();
            let (took, n_durable) = timed(|| {
                let mut n_durable = 0;
                store.work(messages, |event| n_durable += u32::from(matches!(event, Event::Durable(_))));
                n_durable
            });
            assert_eq!(n_durable, 1, "each group is said to be durable once");
            ours.push(took);
            floors.push(timed(|| bare.write_all(lines.as_bytes()).and_then(|()| bare.sync_data())).0);
        }
        let (ours, floor) = (median(&ours), median(&floors));
        rows.push(row([
            &n_records.to_string(),
            &shown(ours),
            &shown(ours / n_records),
            &shown(floor),
            &ratio(ours.as_nanos(), floor.as_nanos()),
            &(n_bytes / n_records as usize).to_string(),
        ]));
    }
    table("Journal: append and sync a group (median of 40)", &rows);
}

fn snapshot_table() {
    let mut rows = vec![row(["open orders", "save", "a copy of the fold", "bytes"])];
    for n_orders in [10_u32, 1_000, 10_000] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().join("state");
        let (mut store, mut next) = open_store(&place);
        store.work(group(&mut next, n_orders), |_| {});
        let mut saves = Vec::new();
        for _ in 0..5 {
            // A save of what is saved already does nothing.
            store.work(group(&mut next, 1), |_| {});
            saves.push(timed(|| store.work([Message::SaveState], |_| {})).0);
        }
        let copies: Vec<Duration> = (0..5).map(|_| timed(|| store.state().clone()).0).collect();
        let n_bytes = std::fs::metadata(place.join("state.json")).map_or(0, |file| file.len());
        rows.push(row([&n_orders.to_string(), &shown(median(&saves)), &shown(median(&copies)), &n_bytes.to_string()]));
    }
    table("Snapshot: state.json written, synced, renamed (median of 5)", &rows);
}

// --- with few and with many ----------------------------------------------------------------------------------------

fn terms(n: u32) -> OrderTerms {
    OrderTerms {
        instrument: InstrumentId(0),
        side: Side::Buy,
        price: PriceTicks::new(400_000 - i64::from(n % 100_000)),
        qty: Lots::new(10).expect("not negative"),
        time_in_force: TimeInForce::PostOnly,
    }
}

fn key(n: u32) -> OrderKey {
    OrderKey { venue: VENUE, symbol: Symbol::new(SYMBOL), client_id: client_id(n), venue_order_id: None }
}

fn live(machine: &mut OrderStateMachine, n: u32, news: &[News]) {
    machine.insert(Order {
        key: key(n),
        terms: terms(n),
        state: OrderState::New,
        filled: Lots::ZERO,
        venue_filled: Lots::ZERO,
        checked: None,
        handed_over_at: Boot::ZERO,
        changed_at: Boot::ZERO,
        reason: String::new(),
    });
    for news in news {
        machine.apply(Boot::ZERO, client_id(n), *news).expect("a legal move");
    }
}

/// What one operation costs with so many others there.
fn cost(n_rounds: u32, mut operation: impl FnMut(u32)) -> Duration {
    let samples: Vec<Duration> = (0..n_rounds).map(|n| timed(|| operation(PASSING + n)).0).collect();
    median(&samples)
}

fn order_machine(n_resting: u32) -> Duration {
    let mut machine = OrderStateMachine::default();
    let resting = [News::HandedOver, News::Created];
    let whole = [News::HandedOver, News::Created, News::CancelAsked, News::CancelTaken, News::CancelDone];
    (0..n_resting).for_each(|n| live(&mut machine, n, &resting));
    cost(4_000, |n| live(&mut machine, n, &whole))
}

fn outbox(n_waiting: u32) -> Duration {
    let mut catalogue = Catalogue::default();
    catalogue.add_venue("main", traits_of(&venue("main").sim));
    let mut outbox = Outbox::new(&catalogue);
    let cancel = |n: u32| {
        Box::new(Request {
            id: RequestId(u64::from(n)),
            venue: VENUE,
            call: Call::Cancel(key(n)),
            not_after: Boot::NEVER,
        })
    };
    for n in 0..n_waiting {
        let _ = outbox.push(cancel(n));
    }
    cost(4_000, |n| {
        let _ = outbox.push(cancel(n));
        assert!(matches!(outbox.next(Boot::ZERO, VENUE, Lane::Any, Gate::Open), Next::Go(_)), "no limit binds");
    })
}

fn new_order(n: u32) -> Ask {
    Ask::Create(NewOrder {
        client_id: client_id(n).as_str().to_owned(),
        symbol: Symbol::new(SYMBOL),
        side: Side::Buy,
        price: Decimal::whole(40_000 - i64::from(n % 20_000)),
        qty: milli(1),
        time_in_force: TimeInForce::PostOnly,
        not_after: None,
    })
}

fn exchange(n_resting: u32) -> Duration {
    let setup =
        Setup { activity: 0, cancel_delay_us: 0, open_orders_max: 100_000, ..Setup::new(&[Symbol::new(SYMBOL)]) };
    let mut exchange = Exchange::new(setup);
    let mut now = Micros::new(1);
    let mut out = Vec::new();
    let mut ask = |ask: Ask, number: u32| {
        now = now.plus(100);
        exchange.submit(now, ACCOUNT, Ticket(u64::from(number)), ask);
        out.clear();
        exchange.advance(now, &mut out);
    };
    (0..n_resting).for_each(|n| ask(new_order(n), n));
    cost(2_000, |n| {
        ask(new_order(n), n);
        ask(Ask::Cancel(OrderRef::client(client_id(n).as_str())), n);
    })
}

/// Its name, and what it costs with so many others there.
type Operation = (&'static str, fn(u32) -> Duration);

fn few_and_many_table() {
    let mut rows = vec![row(["operation", "with 10", "with 10000", "ratio"])];
    let operations: [Operation; 3] = [
        ("order machine: a whole life (6 moves)", order_machine),
        ("outbox: push and next, of cancels", outbox),
        ("exchange: create and cancel, ledger lines included", exchange),
    ];
    for (words, operation) in operations {
        let (few, many) = (operation(FEW), operation(MANY));
        rows.push(row([words, &shown(few), &shown(many), &ratio(many.as_nanos(), few.as_nanos())]));
    }
    table("With few and with many others there (median)", &rows);
}

// --- virtual time --------------------------------------------------------------------------------------------------

fn world_table() {
    const VIRTUAL: Duration = Duration::from_secs(15 * 60);
    let mut settings = quiet();
    settings.venues[0].sim.activity = 1_000;
    settings.strategies = vec![StrategySettings {
        name: "mm".into(),
        venue: "main".into(),
        symbols: vec![Symbol::new(SYMBOL)],
        kind: StrategyKind::MarketMaker(MarketMakerSettings {
            levels: 3,
            spread_bps: Decimal::whole(4),
            level_step_bps: Decimal::whole(2),
            order_qty: milli(1),
            max_position_qty: milli(4),
            skew_bps: Decimal::whole(2),
            requote_bps: Decimal::ONE,
            post_only: true,
        }),
    }];
    let mut world = World::new(settings);
    world.start().expect("an empty disk");
    let (took, ()) = timed(|| world.run_for(VIRTUAL));
    let hours_a_minute = VIRTUAL.as_nanos() * 60 / took.as_nanos().max(1) / 3_600;
    let (n_fills, n_creates) = world.desk().map_or((0, 0), |desk| (desk.tally().fills, desk.tally().creates));
    say(&format!(
        "\nWorld: {} virtual minutes of the demo ({n_creates} creates, {n_fills} fills, {} ledger lines) took {}: \
         {hours_a_minute} virtual hours a minute",
        VIRTUAL.as_secs() / 60,
        world.venues[0].ledger.len(),
        shown(took),
    ));
}

fn main() {
    journal_table();
    snapshot_table();
    few_and_many_table();
    world_table();
}
