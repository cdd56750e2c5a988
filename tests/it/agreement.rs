//! The judge reads what the exchange model and the store really write.
//!
//! Model and judge share no code, and this is where they are held against each other: one of them changing the form of
//! its lines alone fails here, and not as a judge that silently finds nothing.

use std::path::Path;

use lastorders::domain::ids::Symbol;
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{Fill, Lsn, Side, StateName, TimeInForce};
use lastorders::domain::record::{Intent, Moved, Record};
use lastorders::domain::report::{OrderCounts, ProofReport, Report, TaskReport};
use lastorders::domain::settings::{SimFaults, SimSettings};
use lastorders::domain::snapshot::State;
use lastorders::domain::time::Wall;
use lastorders::exchange::{AccountId, Ask, Emit, Exchange, FillView, Micros, NewOrder, OrderRef, Setup, Ticket};
use lastorders::store::{journal, snapshot};
use tempfile::TempDir;

use crate::harness::chance::Chance;
use crate::oracle::ledger::Ledger;
use crate::oracle::verdict::{Run, judge};

const OURS: &str = "loa1b2";
const STEP_MS: i64 = 20;
const BEGINNING_MS: i64 = 1_795_000_000_000;

fn busy_market(seed: u64) -> Exchange {
    let faults = SimFaults { answer_lost: 100, late_execution: 50, slow_cancel: 200, ..SimFaults::default() };
    let settings = SimSettings { seed, activity: 5_000, latency_ms: 5, faults, ..SimSettings::default() };
    Exchange::new(Setup::from_settings(&settings, &[Symbol::new("BTC-USDT")]))
}

fn order(number: u32, chance: &mut Chance, middle: Decimal) -> NewOrder {
    let side = if chance.below(2) == 0 { Side::Buy } else { Side::Sell };
    let away = Decimal::whole(i64::try_from(chance.below(40)).unwrap() - 10);
    let price = if side == Side::Buy { middle.checked_sub(away) } else { middle.checked_add(away) };
    NewOrder {
        client_id: format!("{OURS}00001a{number:06}"),
        symbol: Symbol::new("BTC-USDT"),
        side,
        price: price.unwrap().truncated(0),
        qty: "0.01".parse().unwrap(),
        time_in_force: TimeInForce::Gtc,
        not_after: None,
    }
}

/// An exchange after 300 orders and as many cancels, some of them of orders long gone; and its ledger.
fn traded(seed: u64) -> (Exchange, String) {
    let mut chance = Chance::new(seed, 0);
    let mut exchange = busy_market(seed);
    let mut emitted = Vec::new();
    let mut now_ms = BEGINNING_MS;
    for number in 0..300 {
        now_ms += STEP_MS;
        let now = Micros::from_millis(now_ms);
        exchange.advance(now, &mut emitted);
        let quote = exchange.quote(&Symbol::new("BTC-USDT"));
        let middle = quote.and_then(|quote| quote.bid).map_or(Decimal::whole(64_000), |(price, _)| price);
        let ask = Ask::Create(order(number, &mut chance, middle));
        exchange.submit(now, AccountId(0), Ticket(u64::from(number)), ask);
        let earlier = chance.below(u64::from(number) + 1);
        let which = OrderRef::client(&format!("{OURS}00001a{earlier:06}"));
        exchange.submit(now, AccountId(0), Ticket(10_000 + u64::from(number)), Ask::Cancel(which));
    }
    exchange.advance(Micros::from_millis(now_ms + STEP_MS), &mut emitted);
    let lines = emitted.iter().filter_map(|emit| match emit {
        Emit::Ledger(line) => Some(format!("{line}\n")),
        Emit::Answer(..) | Emit::Push(..) | Emit::Quote(_) => None,
    });
    let text = lines.collect();
    (exchange, text)
}

#[test]
fn what_the_ledger_says_is_what_the_exchange_holds() {
    for seed in 1..=5 {
        let (exchange, text) = traded(seed);
        let ledger = Ledger::parse(&text, OURS);
        assert_eq!(ledger.findings, Vec::<String>::new(), "seed {seed}");

        let open = exchange.open_orders(AccountId(0));
        let mut held: Vec<String> = open.iter().map(|order| format!("{} {}", order.client_id, order.filled)).collect();
        held.sort();
        let read: Vec<String> = ledger.open().map(|(id, order)| format!("{id} {}", order.filled)).collect();
        assert_eq!(read, held, "seed {seed}: open orders");

        let fills = exchange.fills(AccountId(0));
        let mut held: Vec<String> = fills
            .iter()
            .map(|fill| format!("{} {} {} {} {}", fill.trade_id, fill.client_id, fill.price, fill.qty, fill.fee))
            .collect();
        held.sort();
        let fills = ledger.fills.iter();
        let mut read: Vec<String> = fills
            .map(|(id, fill)| format!("{id} {} {} {} {}", fill.client_id, fill.price, fill.qty, fill.fee))
            .collect();
        read.sort();
        assert_eq!(read, held, "seed {seed}: fills");

        assert!(read.len() > 20, "seed {seed}: only {} fills, so little was compared", read.len());
        let words = ledger.faults_since(0);
        assert!(words.len() >= 3, "seed {seed}: {words:?}");
        let settled =
            ledger.orders.values().filter(|order| order.reason == "cancelled" && order.canceling_ms.is_some());
        assert!(settled.count() > 20, "seed {seed}: hardly a cancel was carried out");
    }
}

/// The records a faultless daemon would have written about what the ledger says.
fn records(ledger: &Ledger, fills: &[FillView]) -> Vec<Record> {
    let mut records = Vec::new();
    for (id, order) in &ledger.orders {
        let (client_id, at) = (id.parse().unwrap(), Wall::from_millis(order.accepted_ms));
        let (price, qty) = (Decimal::ONE, order.qty.to_string().parse().unwrap());
        let (venue, symbol) = ("main".to_owned(), Symbol::new(&order.symbol));
        let intent =
            Intent { client_id, venue, symbol, side: Side::Buy, price, qty, time_in_force: TimeInForce::Gtc, at };
        records.push(Record::Intent(intent));
    }
    records.extend(fills.iter().map(|fill| Record::Fill {
        client_id: fill.client_id.parse().unwrap(),
        venue: "main".to_owned(),
        symbol: fill.symbol.clone(),
        side: fill.side,
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        fill: Fill {
            trade_id: fill.trade_id.clone(),
            price: fill.price,
            qty: fill.qty,
            fee: fill.fee,
            fee_asset: fill.fee_asset.clone(),
            maker: fill.maker,
            at: fill.at.wall(),
        },
    }));
    records.extend(ledger.orders.iter().map(|(id, order)| {
        let state = if order.filled == order.qty { StateName::Filled } else { StateName::Canceled };
        let at = Wall::from_millis(order.accepted_ms);
        Record::Moved(Moved { client_id: id.parse().unwrap(), state, venue_order_id: None, reason: String::new(), at })
    }));
    records
}

fn report() -> Report {
    Report {
        version: 1,
        complete: true,
        instance: "a1b2".to_owned(),
        epoch: 1,
        mode: "PAPER".to_owned(),
        reason: "signal".to_owned(),
        signal: Some("SIGTERM".to_owned()),
        signals_repeated: 0,
        started_at: Wall::default(),
        finished_at: Wall::default(),
        duration_ms: 1,
        steps: Vec::new(),
        orders: OrderCounts::default(),
        venues: Vec::new(),
        proof: ProofReport { proved: true, ..ProofReport::default() },
        dead_man_switch: "none".to_owned(),
        external_entries: 0,
        pending_jobs: Vec::new(),
        tasks: TaskReport::default(),
        positions: Vec::new(),
        state_flushed: true,
        recorder_flushed: true,
        swept_by: "trader".to_owned(),
        exit_code: 0,
    }
}

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let path = folder.join(name);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The daemon's own fold and files over the exchange's own ledger: the judge must pass what is only rested orders, and
/// must see a fill that is left out.
#[test]
fn what_the_fold_makes_of_the_fills_is_what_the_judge_makes_of_them() {
    for (seed, leave_out) in [(1, 0), (2, 0), (3, 1)] {
        let (exchange, text) = traded(seed);
        let ledger = Ledger::parse(&text, OURS);
        let mut fills = exchange.fills(AccountId(0));
        fills.truncate(fills.len() - leave_out);
        let mut state = State::empty("a1b2", "here", "PAPER");
        let mut lines = String::new();
        for (number, record) in (1..).zip(records(&ledger, &fills)) {
            lines.push_str(&journal::encode(Lsn(number), Lsn(0), &record).unwrap());
            state.apply(Lsn(number), &record);
        }
        let temporary = TempDir::new().unwrap();
        let folder = temporary.path().join("state");
        put(&folder, "state.json", snapshot::encode(&state).unwrap());
        put(&folder, "journal/00000000000000000001.jsonl", lines);
        put(&folder, "paper/main.jsonl", text);
        put(&folder, "last_shutdown.json", serde_json::to_string_pretty(&report()).unwrap());
        let verdict = judge(Run { folder: &folder, venues: &["main"], exit_code: 0, was_killed: false });
        // Nobody stopped this exchange: what rests on it is the one thing the judge must name.
        let resting = ledger.open().count();
        let about_rest = |what: &&String| {
            what.contains(" rests on the book") || what.contains("which is open") || what.contains("orders open")
        };
        let others: Vec<&String> = verdict.findings.iter().filter(|what| !about_rest(what)).collect();
        assert!(resting > 0 && verdict.findings.len() >= 2 * resting, "seed {seed}: {:?}", verdict.findings);
        assert_eq!(others.is_empty(), leave_out == 0, "seed {seed}: {others:#?}");
        assert!(verdict.fills > 20, "seed {seed}");
        if leave_out > 0 {
            assert!(others.iter().any(|what| what.ends_with("is not booked")), "{others:#?}");
        }
    }
}
