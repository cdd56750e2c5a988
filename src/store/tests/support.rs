//! What the store's tests share: a story of records, a store that runs through it, and the one verdict on a disk.

use std::collections::BTreeMap;

use crate::domain::event::{DiskNews, Event, Saved};
use crate::domain::ids::{ClientOrderId, Epoch, Instance, StrategyLetter, Symbol, TradeId, VenueOrderId};
use crate::domain::order::{Fill, Lsn, Side, StateName, TimeInForce};
use crate::domain::record::{Intent, Moved, Record, RiskState};
use crate::domain::report::{OrderCounts, ProofReport, Report, TaskReport};
use crate::domain::settings::{Mode, Sync};
use crate::domain::snapshot::State;
use crate::domain::time::Wall;
use crate::store::journal::{Header, JOURNAL_VERSION};
use crate::store::load::{Identity, Loaded, load};
use crate::store::sim_disk::SimDisk;
use crate::store::thread::{Flow, Message, SegmentLimits, Store};

pub(crate) const INSTANCE: &str = "t3st";
pub(crate) const HOST: &str = "here";

pub(crate) fn now() -> Wall {
    Wall::from_millis(1_795_169_472_123)
}

fn instance() -> Instance {
    INSTANCE.parse().unwrap()
}

pub(crate) fn who() -> Identity {
    Identity { instance: Some(instance()), host: HOST.into(), mode: Mode::Paper, chance: 7 }
}

pub(crate) fn live() -> Identity {
    Identity { mode: Mode::Live, ..who() }
}

pub(crate) fn header(first: Lsn) -> Header {
    Header {
        version: JOURNAL_VERSION,
        instance: INSTANCE.into(),
        host: HOST.into(),
        mode: Mode::Paper.word().into(),
        first,
    }
}

pub(crate) fn order_id(number: u32) -> ClientOrderId {
    ClientOrderId::new(instance(), Epoch(1), StrategyLetter::nth(0).unwrap(), number).unwrap()
}

fn at(number: usize) -> Wall {
    now().plus_millis(i64::try_from(number).unwrap() * 1_000)
}

pub(crate) fn intent(number: u32, when: Wall) -> Intent {
    Intent {
        client_id: order_id(number),
        venue: "main".into(),
        symbol: Symbol::new("BTC-USDT"),
        side: if number.is_multiple_of(2) { Side::Buy } else { Side::Sell },
        price: "64000.5".parse().unwrap(),
        qty: "0.010".parse().unwrap(),
        time_in_force: TimeInForce::PostOnly,
        at: when,
    }
}

pub(crate) fn fill(number: u32, trade: &str, when: Wall) -> Record {
    let intent = intent(number, when);
    Record::Fill {
        client_id: intent.client_id,
        venue: intent.venue,
        symbol: intent.symbol,
        side: intent.side,
        base: "BTC".into(),
        quote: "USDT".into(),
        fill: Fill {
            trade_id: TradeId::new(trade),
            price: intent.price,
            qty: "0.001".parse().unwrap(),
            fee: "-0.02".parse().unwrap(),
            fee_asset: "USDT".into(),
            maker: true,
            at: when,
        },
    }
}

pub(crate) fn moved(number: u32, state: StateName, when: Wall) -> Record {
    Record::Moved(Moved {
        client_id: order_id(number),
        state,
        venue_order_id: Some(VenueOrderId::new(&format!("v\"{number}\n"))),
        reason: if state.is_terminal() { "graceful_shutdown".into() } else { String::new() },
        at: when,
    })
}

/// One record of each kind in turn, so that a short story has them all.
pub(crate) fn record(index: usize) -> Record {
    let when = at(index);
    let number = u32::try_from(index / 10).unwrap();
    match index % 10 {
        0 => Record::Epoch { epoch: Epoch(number + 1), at: when },
        1 => Record::Intent(intent(number, when)),
        2 => moved(number, StateName::Open, when),
        3 => fill(number, &format!("t{index}"), when),
        4 => Record::Cursor { venue: "main".into(), booked_to: when },
        5 => Record::Balances {
            venue: "main".into(),
            balances: BTreeMap::from([("USDT".to_owned(), "12.5".parse().unwrap())]),
        },
        6 => Record::Strategy {
            name: "mm \u{1F600}".into(),
            letter: 'a',
            memory: serde_json::json!({"next": index, "rungs": [1, null, "x"]}),
        },
        7 => Record::Risk(RiskState {
            day: 20_000,
            profit_at_day_start: "-3.25".parse().unwrap(),
            latched: (index % 20 == 7).then(|| "daily loss".to_owned()),
            paused: true,
        }),
        8 => Record::Found(intent(number + 100_000, when)),
        _ => moved(number, StateName::Canceled, when),
    }
}

pub(crate) fn records(n: usize) -> Vec<Record> {
    (0..n).map(record).collect()
}

/// What the records come to, by nothing but `State::apply`.
pub(crate) fn fold(records: &[Record]) -> State {
    let mut state = State::empty(INSTANCE, HOST, Mode::Paper.word());
    for (seq, record) in (1..).zip(records) {
        state.apply(Lsn(seq), record);
    }
    state
}

/// A state without what a save stamps on it.
pub(crate) fn content(state: &State) -> State {
    State { generation: 0, saved_at: Wall::default(), ..state.clone() }
}

pub(crate) fn report(complete: bool, started_at: Wall) -> Report {
    Report {
        version: 1,
        complete,
        instance: INSTANCE.into(),
        epoch: 77,
        mode: Mode::Paper.word().into(),
        reason: "signal".into(),
        signal: Some("SIGTERM".into()),
        signals_repeated: 0,
        started_at,
        finished_at: started_at,
        duration_ms: 210,
        steps: Vec::new(),
        orders: OrderCounts::default(),
        venues: Vec::new(),
        proof: ProofReport::default(),
        dead_man_switch: "none".into(),
        external_entries: 0,
        pending_jobs: Vec::new(),
        tasks: TaskReport::default(),
        positions: Vec::new(),
        state_flushed: true,
        recorder_flushed: true,
        swept_by: "trader".into(),
        exit_code: if complete { 0 } else { 3 },
    }
}

/// A store in use, and what it promised.
pub(crate) struct Run {
    pub(crate) store: Store<SimDisk>,
    pub(crate) disk: SimDisk,
    pub(crate) events: Vec<Event>,
    next: usize,
}

impl Run {
    pub(crate) fn start(disk: &SimDisk, sync: Sync) -> Result<Run, String> {
        // Three records a segment, so that a short story turns several.
        let limits = SegmentLimits { n_records_max: 3, n_bytes_max: u64::MAX };
        Run::start_with(disk, sync, limits)
    }

    pub(crate) fn start_with(disk: &SimDisk, sync: Sync, limits: SegmentLimits) -> Result<Run, String> {
        let resumed = load(&mut disk.clone(), &who()).map_err(|refusal| refusal.to_string())?;
        let next = usize::try_from(resumed.next.0 - 1).unwrap();
        let mut events = Vec::new();
        let mut store = Store::open(disk.clone(), resumed, sync, limits, now);
        store.announce(|event| events.push(event));
        Ok(Run { store, disk: disk.clone(), events, next })
    }

    pub(crate) fn work(&mut self, messages: impl IntoIterator<Item = Message>) -> Flow {
        let events = &mut self.events;
        self.store.work(messages, |event| events.push(event))
    }

    pub(crate) fn retry(&mut self) {
        let events = &mut self.events;
        self.store.retry(|event| events.push(event));
    }

    /// Appends the next records of the story as one group.
    pub(crate) fn append(&mut self, n: usize) {
        let group: Vec<Message> = (self.next..self.next + n)
            .map(|index| Message::Append(Lsn(index as u64 + 1), Box::new(record(index))))
            .collect();
        self.next += n;
        self.work(group);
    }

    pub(crate) fn promised(&self) -> Lsn {
        promised(&self.events)
    }

    pub(crate) fn saved(&self, which: Saved) -> Option<Result<(), String>> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Saved(file, result) if *file == which => Some(result.clone()),
            _ => None,
        })
    }
}

/// The last record that was called durable.
pub(crate) fn promised(events: &[Event]) -> Lsn {
    let up_to = events.iter().filter_map(|event| match event {
        Event::Durable(durable) => Some(durable.up_to()),
        _ => None,
    });
    up_to.max().unwrap_or_default()
}

/// Whether anything was called durable between a refusal and the recovery after it.
pub(crate) fn promised_while_refused(events: &[Event]) -> bool {
    let mut refused = false;
    events.iter().any(|event| {
        match event {
            Event::Disk(DiskNews::Failed(_)) => refused = true,
            Event::Disk(DiskNews::Recovered) => refused = false,
            _ => {}
        }
        refused && matches!(event, Event::Durable(_))
    })
}

/// The verdict on a disk after something happened to it: a start finds all that was promised, nothing that was never
/// written, and says so when something was there; and it can go on from it.
pub(crate) fn verdict(disk: &SimDisk, promised: Lsn, n_written: usize) -> Result<(), String> {
    let resumed = load(&mut disk.clone(), &who()).map_err(|refusal| format!("refused: {refusal}"))?;
    let reached = resumed.state.journal_seq;
    if reached < promised {
        return Err(format!("record {} was promised, {} is found", promised.0, reached.0));
    }
    if promised > Lsn(0) && resumed.loaded == Loaded::Absent {
        return Err("a fresh start".into());
    }
    if let Loaded::Damaged(why) = &resumed.loaded {
        return Err(format!("called damaged: {why}"));
    }
    let n_found = usize::try_from(reached.0).unwrap();
    if n_found > n_written {
        return Err(format!("{n_found} records found, {n_written} written"));
    }
    if content(&resumed.state) != content(&fold(&records(n_found))) {
        return Err(format!("the state is not what {n_found} records come to"));
    }
    let mut run = Run::start(disk, Sync::Cycle)?;
    run.append(2);
    if run.promised() != Lsn(reached.0 + 2) {
        return Err(format!("it does not go on: {:?}", run.events));
    }
    let again = load(&mut run.disk.after_kill(), &who()).map_err(|refusal| format!("refused later: {refusal}"))?;
    if content(&again.state) != content(&fold(&records(n_found + 2))) {
        return Err("what was recorded after it is not found".into());
    }
    Ok(())
}
