//! An event costs the same with 10 and with 10,000 open orders.
//!
//! The real `Trade` machine, with a market maker that quotes and a ladder whose rungs rest, meets a venue that does
//! what it is asked. Two such desks, one small and one large, take the same events in turn, so that whatever else the
//! machine is busy with hits both. Each row is one kind of event: the median cost of the cycle that takes it, on both
//! desks, and the ratio of the two.
//!
//! How to read it: near 1 is right. Up to about 2 is the price of deeper trees and colder caches (10,000 orders do not
//! fit the first cache). A ratio that grows when the large desk grows (`-- 40000`) is a walk over the orders: a defect.
//! The rows below the line grow by their nature and are not events of the hot path; they show the longest cycle.
//!
//! Time is rough on a shared machine; instructions are not. With valgrind installed:
//! `cargo bench --bench event_cost -- --instructions` prints the same table in instructions (about three minutes).

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use lastorders::domain::action::Action;
use lastorders::domain::command::{Command as Operator, CommandId};
use lastorders::domain::event::{Event, LinkState, Quote, Stream};
use lastorders::domain::ids::{ClientOrderId, Epoch, StrategyLetter, Symbol, TradeId, VenueId, VenueOrderId};
use lastorders::domain::instrument::Catalogue;
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{Fill, FillRow, OrderRow, Outcome, Side, VenueStatus};
use lastorders::domain::record::RiskState;
use lastorders::domain::request::{Answer, Answered, Call, Facts, Request};
use lastorders::domain::settings::{MarketMakerSettings, Settings, StrategyKind, StrategySettings, Sync};
use lastorders::domain::time::{Boot, Stamp, Wall};
use lastorders::engine::trade::{Begin, Trade};
use lastorders::exchange::Listing;
use lastorders::orders::desk::{Desk, Identity};
use lastorders::orders::status;
use lastorders::runtime::paper::traits_of;
use lastorders::sim::disk::MemoryDisk;
use lastorders::sim::settings::{ladder, quiet};
use lastorders::store::load;
use lastorders::store::thread::{Message, SegmentLimits, Store};
use support::{median, ratio, row, say, shown, table, timed};

const SYMBOL: &str = "BTC-USDT";
const VENUE: VenueId = VenueId(0);
const FEW: u32 = 10;
const MANY: u32 = 10_000;
const ROUNDS: u64 = 1_500;
/// Rounds whose cost is not counted: caches and branches learn the way.
const WARM_UP: u64 = 100;
const BEGINNING_MS: i64 = 1_795_132_800_000;

/// The kinds of events, in the order of the table. Each has a function of its own that is never inlined, so that a
/// profiler can tell them apart by name.
macro_rules! kinds {
    ($($kind:ident, $function:ident, $act:ident, $words:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        enum Kind { $($kind,)* }

        impl Kind {
            const ALL: &[Kind] = &[$(Kind::$kind,)*];

            fn words(self) -> &'static str {
                match self { $(Kind::$kind => $words,)* }
            }

            fn function(self) -> &'static str {
                match self { $(Kind::$kind => stringify!($function),)* }
            }

            fn cycle(self, trade: &mut Trade, at: Stamp, events: &[Event], out: &mut Vec<Action>) {
                match self { $(Kind::$kind => $function(trade, at, events, out),)* }
            }
        }

        $(
            #[inline(never)]
            fn $function(trade: &mut Trade, at: Stamp, events: &[Event], out: &mut Vec<Action>) {
                // Its own words keep two of these from being merged into one.
                black_box($words);
                $act(trade, at, events, out);
            }
        )*
    };
}

kinds! {
    Idle, cost_of_idle, take, "nothing happened";
    SameQuote, cost_of_same_quote, take, "quote, unchanged";
    NearQuote, cost_of_near_quote, take, "quote, moved a little";
    FarQuote, cost_of_far_quote, take, "quote, moves our quotes";
    Push, cost_of_push, take, "push of a resting rung";
    PartFill, cost_of_part_fill, take, "fill of a part of a rung";
    QuoteFill, cost_of_quote_fill, take, "fill that ends a quote";
    Durable, cost_of_durable, take, "durable: a create leaves";
    Created, cost_of_created, take, "create answered";
    CancelTaken, cost_of_cancel_taken, take, "cancels answered";
    Canceled, cost_of_canceled, take, "push: a cancel is done";
    RungFill, cost_of_rung_fill, take, "fill that ends a rung";
    StatusLine, cost_of_status_line, show, "status line (each second)";
    Status, cost_of_status, take, "status command (names up to 500)";
    Listing, cost_of_listing, take, "a whole listing (each minute)";
}

fn take(trade: &mut Trade, at: Stamp, events: &[Event], out: &mut Vec<Action>) {
    trade.cycle(at, events, out);
}

/// What the loop works out for a terminal.
fn show(trade: &mut Trade, _: Stamp, _: &[Event], _: &mut Vec<Action>) {
    let desk = trade.desk();
    let n_open = desk.orders.n_open() + desk.orders.n_new();
    black_box((n_open, desk.orders.n_unknown(), status::profit(desk)));
}

/// Kinds that grow with the orders by their nature.
const BY_NATURE: &[Kind] = &[Kind::Status, Kind::Listing];

fn wall_zero() -> Wall {
    Wall::from_millis(BEGINNING_MS)
}

fn milli(thousandths: i128) -> Decimal {
    Decimal::from_units(thousandths * (Decimal::ONE.units() / 1_000))
}

fn quote_at(middle: i64) -> Event {
    let much = Decimal::whole(10);
    Event::Quote(Quote {
        venue: VENUE,
        symbol: Symbol::new(SYMBOL),
        bid: Some((Decimal::whole(middle - 10), much)),
        ask: Some((Decimal::whole(middle + 10), much)),
    })
}

fn settings(rungs: u32) -> Settings {
    let mut settings = quiet();
    let market_maker = MarketMakerSettings {
        levels: 1,
        spread_bps: Decimal::whole(20),
        level_step_bps: Decimal::ONE,
        order_qty: milli(1),
        max_position_qty: Decimal::whole(1_000_000),
        skew_bps: Decimal::ZERO,
        requote_bps: Decimal::whole(2),
        post_only: true,
    };
    let mut rung_settings = ladder("rungs", "main", rungs);
    if let StrategyKind::Ladder(own) = &mut rung_settings.kind {
        // Large, so that a rung takes thousands of part fills.
        own.order_qty = Decimal::whole(10);
        own.step = milli(500);
    }
    settings.strategies = vec![
        StrategySettings {
            name: "mm".into(),
            venue: "main".into(),
            symbols: vec![Symbol::new(SYMBOL)],
            kind: StrategyKind::MarketMaker(market_maker),
        },
        rung_settings,
    ];
    settings.risk.general.max_position_notional = Decimal::whole(1_000_000_000_000);
    settings.risk.max_open_orders = 1_000_000;
    settings.risk.max_daily_loss = Decimal::whole(1_000_000_000_000);
    settings.store.sync = Sync::Os;
    settings.venues[0].sim.open_orders_max = 1_000_000;
    settings
}

/// A desk that trades, and the venue it trades with.
struct Host {
    trade: Trade,
    store: Store<MemoryDisk>,
    at_ms: u64,
    messages: Vec<Message>,
    requests: VecDeque<Request>,
    book: BTreeMap<ClientOrderId, OrderRow>,
    last_trade: u64,
    last_order: u64,
    base: Decimal,
    samples: BTreeMap<Kind, Vec<Duration>>,
    counts: bool,
}

impl Host {
    /// A desk with so many rungs resting, and the market maker's quotes.
    fn new(rungs: u32) -> Host {
        let settings = settings(rungs);
        let mut catalogue = Catalogue::default();
        let venue = catalogue.add_venue("main", traits_of(&settings.venues[0].sim)).expect("the first venue");
        catalogue.learn(venue, Listing::for_symbol(&Symbol::new(SYMBOL)).rules).expect("rules that can be used");
        let instance = settings.instance.expect("the settings of a world have one");
        let mut disk = MemoryDisk::default();
        let who = load::Identity { instance: Some(instance), host: "bench".into(), mode: settings.mode, chance: 1 };
        let resumed = load::load(&mut disk, &who).expect("an empty disk");
        let store = Store::open(disk, resumed, settings.store.sync, SegmentLimits::default(), wall_zero);
        let identity = Identity { instance, epoch: Epoch(7), mode: settings.mode };
        let last_lsn = store.state().journal_seq;
        let letters = settings.strategies.iter().zip(0..);
        let begin = Begin {
            before: lastorders::orders::sweep::Before::ThisProcess,
            desk: Desk::new(catalogue, identity, last_lsn, 0),
            letters: letters
                .map(|(strategy, n)| (strategy.name.clone(), StrategyLetter::nth(n).expect("two letters")))
                .collect(),
            strategies: settings.strategies,
            memories: BTreeMap::new(),
            leftovers: BTreeSet::new(),
            risk: RiskState::default(),
            quotes: Vec::new(),
            limits: settings.risk,
            shutdown: settings.shutdown,
            own: BTreeMap::new(),
        };
        let mut host = Host {
            trade: Trade::new(begin, stamp(1)).unwrap_or_else(|(_, why)| panic!("{why:?}")),
            store,
            at_ms: 1,
            messages: Vec::new(),
            requests: VecDeque::new(),
            book: BTreeMap::new(),
            last_trade: 0,
            last_order: 0,
            base: Decimal::whole(1_000_000),
            samples: BTreeMap::new(),
            counts: false,
        };
        for stream in [Stream::Public, Stream::Private] {
            host.cycle(None, &[Event::Link(VENUE, stream, LinkState::Up)]);
        }
        host.cycle(None, &[quote_at(64_000)]);
        while host.book.len() < rungs as usize + 2 {
            host.settle();
            host.cycle(None, &[]);
        }
        // The rate limit forgets the burst of the beginning, so that no event below pays for it.
        host.at_ms += 2_000;
        for middle in [64_200, 64_000] {
            host.cycle(None, &[quote_at(middle)]);
            host.settle();
        }
        let n_open = host.trade.desk().orders.n_open();
        assert_eq!(n_open, rungs as usize + 2, "every rung and two quotes rest");
        host
    }

    /// One cycle, a millisecond after the one before. Counted under its kind.
    fn cycle(&mut self, kind: Option<Kind>, events: &[Event]) {
        self.at_ms += 1;
        let at = stamp(self.at_ms);
        let mut out = Vec::new();
        match kind {
            Some(kind) => {
                let (took, ()) = timed(|| kind.cycle(&mut self.trade, at, events, &mut out));
                if self.counts {
                    self.samples.entry(kind).or_default().push(took);
                }
            }
            None => self.trade.cycle(at, events, &mut out),
        }
        for action in out {
            match action {
                Action::Record(lsn, record) => self.messages.push(Message::Append(lsn, record)),
                Action::Send(request) => self.requests.push_back(*request),
                _ => {}
            }
        }
    }

    /// What the store says of everything recorded so far.
    fn durable(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.store.work(std::mem::take(&mut self.messages), |event| events.push(event));
        events
    }

    /// The venue's answer to the oldest request that waits, and what it pushes.
    fn answer(&mut self) -> Option<(Kind, Event, Vec<Event>)> {
        let request = self.requests.pop_front()?;
        let mut pushes = Vec::new();
        let mut kind = Kind::Listing;
        let facts = match &request.call {
            Call::Create(create) => {
                kind = Kind::Created;
                self.last_order += 1;
                let row = OrderRow {
                    symbol: create.key.symbol.clone(),
                    client_id: Some(create.key.client_id.as_str().to_owned()),
                    venue_order_id: VenueOrderId::new(&format!("{}", self.last_order)),
                    side: create.terms().side,
                    price: create.price,
                    qty: create.qty,
                    filled: Decimal::ZERO,
                    status: VenueStatus::Open,
                    reason: String::new(),
                };
                self.book.insert(create.key.client_id, row.clone());
                pushes.push(Event::Order(VENUE, Box::new(row.clone())));
                Facts::Created(row.venue_order_id)
            }
            Call::Cancel(key) => {
                kind = Kind::CancelTaken;
                pushes.extend(self.cancel(key.client_id));
                Facts::CancelTaken { filled: None }
            }
            Call::CancelBatch(keys) => {
                kind = Kind::CancelTaken;
                pushes.extend(keys.iter().filter_map(|key| self.cancel(key.client_id)));
                let taken = Answered::Done(Facts::CancelTaken { filled: None });
                Facts::Batch(keys.iter().map(|key| (key.client_id, taken.clone())).collect())
            }
            Call::Query(key) | Call::History(key) => Facts::Order(self.book.get(&key.client_id).cloned()),
            Call::ListOpen(_) => Facts::OpenOrders { rows: self.book.values().cloned().collect(), next: None },
            Call::ListFills(..) => Facts::Fills { rows: Vec::new(), next: None, complete_to: stamp(self.at_ms).wall },
            Call::Balances => Facts::Balances(BTreeMap::from([("BTC".to_owned(), self.base)])),
            Call::Instruments => Facts::Instruments(Vec::new()),
            Call::Time => Facts::Time(stamp(self.at_ms).wall),
            other => panic!("a question nobody asks here: {other:?}"),
        };
        let left_at = Some(stamp(self.at_ms).boot);
        let answer = Answer { id: request.id, venue: VENUE, left_at, answered: Answered::Done(facts) };
        Some((kind, Event::Answer(Box::new(answer)), pushes))
    }

    fn cancel(&mut self, id: ClientOrderId) -> Option<Event> {
        let mut row = self.book.remove(&id)?;
        row.status = VenueStatus::Ended(Outcome::Canceled);
        Some(Event::Order(VENUE, Box::new(row)))
    }

    /// Until nothing is under way.
    fn settle(&mut self) {
        while !self.messages.is_empty() || !self.requests.is_empty() {
            let durable = self.durable();
            self.cycle(None, &durable);
            while let Some((_, answer, pushes)) = self.answer() {
                self.cycle(None, &[answer]);
                self.cycle(None, &pushes);
            }
        }
    }

    /// The same, event by event, each counted.
    fn settle_counted(&mut self) {
        while !self.messages.is_empty() || !self.requests.is_empty() {
            let sends = self.trade.desk().orders.n_new() > 0;
            let durable = self.durable();
            self.cycle(sends.then_some(Kind::Durable), &durable);
            while let Some((kind, answer, pushes)) = self.answer() {
                self.cycle((kind != Kind::Listing).then_some(kind), &[answer]);
                for push in pushes {
                    let done = kind == Kind::CancelTaken;
                    self.cycle(done.then_some(Kind::Canceled), &[push]);
                }
            }
        }
    }

    fn fill(&mut self, id: ClientOrderId, qty: Decimal) -> Event {
        let row = self.book.get_mut(&id).expect("it rests");
        self.last_trade += 1;
        let left = row.qty.checked_sub(row.filled).expect("small numbers");
        let qty = if qty > left { left } else { qty };
        row.filled = row.filled.checked_add(qty).expect("small numbers");
        let fill = FillRow {
            symbol: row.symbol.clone(),
            client_id: row.client_id.clone(),
            venue_order_id: row.venue_order_id.clone(),
            side: row.side,
            kind: lastorders::domain::order::FillKind::Trade,
            fill: Fill {
                trade_id: TradeId::new(&format!("t{}", self.last_trade)),
                price: row.price,
                qty,
                fee: Decimal::ZERO,
                fee_asset: "USDT".into(),
                maker: true,
                at: stamp(self.at_ms).wall,
            },
        };
        if row.side == Side::Buy {
            self.base = self.base.checked_add(qty).expect("small numbers");
        } else {
            self.base = self.base.checked_sub(qty).expect("small numbers");
        }
        if row.filled == row.qty {
            self.book.remove(&id);
        }
        Event::Fill(VENUE, Box::new(fill))
    }

    fn of_strategy(&self, letter: usize) -> impl DoubleEndedIterator<Item = (&ClientOrderId, &OrderRow)> {
        let letter = StrategyLetter::nth(letter);
        self.book.iter().filter(move |(id, _)| Some(id.strategy()) == letter)
    }

    /// One of every event that can be repeated.
    fn round(&mut self, number: u64, rungs: &[ClientOrderId]) {
        self.cycle(Some(Kind::Idle), &[]);
        self.cycle(Some(Kind::SameQuote), &[quote_at(64_000)]);
        for middle in [64_001, 64_000] {
            self.cycle(Some(Kind::NearQuote), &[quote_at(middle)]);
        }
        // Wherever they lie: a stride that visits near and far rungs alike.
        let rung = rungs[usize::try_from(number * 7_919).unwrap_or(0) % rungs.len()];
        let push = Event::Order(VENUE, Box::new(self.book[&rung].clone()));
        self.cycle(Some(Kind::Push), &[push]);
        let fill = self.fill(rung, milli(1));
        self.cycle(Some(Kind::PartFill), &[fill]);
        let side = if number.is_multiple_of(2) { Side::Buy } else { Side::Sell };
        let quote = self.of_strategy(0).find(|(_, row)| row.side == side).map(|(id, _)| *id).expect("a quote rests");
        let fill = self.fill(quote, Decimal::ONE);
        self.cycle(Some(Kind::QuoteFill), &[fill]);
        self.settle_counted();
        for middle in [64_200, 64_000] {
            self.cycle(Some(Kind::FarQuote), &[quote_at(middle)]);
            self.settle_counted();
        }
        self.cycle(Some(Kind::StatusLine), &[]);
        if number.is_multiple_of(16) {
            self.cycle(Some(Kind::Status), &[Event::Command(CommandId(number), Operator::Status)]);
        }
    }

    /// Events that use the desk up: the last measurements.
    fn end(&mut self) {
        for _ in 0..6 {
            let nearest = self.of_strategy(1).max_by_key(|(_, row)| row.price).map(|(id, _)| *id).expect("rungs rest");
            let fill = self.fill(nearest, Decimal::whole(1_000));
            self.cycle(Some(Kind::RungFill), &[fill]);
            self.settle();
        }
        for _ in 0..6 {
            // A minute on, the books are compared.
            self.at_ms += 61_000;
            self.cycle(None, &[quote_at(64_000)]);
            while let Some((kind, answer, _)) = self.answer() {
                let is_listing = matches!(&answer, Event::Answer(answer)
                    if matches!(&answer.answered, Answered::Done(Facts::OpenOrders { .. })));
                self.cycle(is_listing.then_some(kind), &[answer]);
            }
            self.settle();
        }
    }
}

fn stamp(ms: u64) -> Stamp {
    Stamp {
        boot: Boot::from_nanos(1_000_000_000 + ms * 1_000_000),
        wall: wall_zero().plus_millis(i64::try_from(ms).unwrap_or(i64::MAX)),
        wall_error: Duration::ZERO,
    }
}

/// The desks take their rounds in turn.
fn run(sizes: &[u32], rounds: u64, warm_up: u64) -> Vec<Host> {
    let mut hosts: Vec<Host> = sizes.iter().map(|size| Host::new(*size)).collect();
    let rungs: Vec<Vec<ClientOrderId>> =
        hosts.iter().map(|host| host.of_strategy(1).map(|(id, _)| *id).collect()).collect();
    for number in 0..warm_up + rounds {
        for (host, rungs) in hosts.iter_mut().zip(&rungs) {
            host.counts = number >= warm_up;
            host.round(number, rungs);
        }
    }
    for host in &mut hosts {
        host.counts = true;
        host.end();
    }
    hosts
}

fn by_time(many: u32) {
    let hosts = run(&[FEW, many], ROUNDS, WARM_UP);
    let mut rows = vec![row(["event", &format!("{FEW} orders"), &format!("{many} orders"), "ratio", "samples"])];
    for kind in Kind::ALL {
        let [few, large] = [&hosts[0], &hosts[1]].map(|host| host.samples.get(kind).cloned().unwrap_or_default());
        let (a, b) = (median(&few), median(&large));
        if kind == &BY_NATURE[0] {
            rows.push(row(["--"]));
        }
        let n_samples = few.len().to_string();
        rows.push(row([kind.words(), &shown(a), &shown(b), &ratio(b.as_nanos(), a.as_nanos()), &n_samples]));
    }
    table("Cost of the cycle that takes an event (median)", &rows);
}

const INSTRUCTION_ROUNDS: u64 = 64;

/// This program again, under valgrind, once for each size.
fn by_instructions(many: u32) {
    let program = std::env::args_os().next().expect("a program has a name");
    let mut columns = Vec::new();
    for size in [FEW, many] {
        let file = std::env::temp_dir().join(format!("lastorders-event-cost-{}-{size}", std::process::id()));
        let mut valgrind = Command::new("valgrind");
        valgrind.arg("--tool=callgrind").arg("-q").arg(format!("--callgrind-out-file={}", file.display()));
        for kind in Kind::ALL {
            valgrind.arg(format!("--toggle-collect=*{}*", kind.function()));
        }
        match valgrind.arg(&program).args(["--size", &size.to_string()]).status() {
            Ok(status) if status.success() => {}
            Ok(status) => return say(&format!("valgrind ended with {status}")),
            Err(error) => return say(&format!("valgrind is needed for instructions: {error}")),
        }
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        // It is in the temporary folder; nobody misses it.
        let _ = std::fs::remove_file(&file);
        columns.push(instructions(&text));
    }
    let mut rows = vec![row(["event", &format!("{FEW} orders"), &format!("{many} orders"), "ratio"])];
    for kind in Kind::ALL {
        let [a, b] = [0, 1].map(|column| columns[column].get(kind).copied().unwrap_or(0));
        if kind == &BY_NATURE[0] {
            rows.push(row(["--"]));
        }
        rows.push(row([kind.words(), &a.to_string(), &b.to_string(), &ratio(b, a)]));
    }
    table("Instructions of the cycle that takes an event (mean)", &rows);
}

/// Instructions a call of each kind's function, from a callgrind file: `calls=<n>` is followed by a line whose last
/// number is what those calls cost in all.
fn instructions(text: &str) -> BTreeMap<Kind, u128> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut sums: BTreeMap<Kind, (u128, u128)> = BTreeMap::new();
    let (mut callee, mut n_calls) = (None, None);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (id, name) = name.split_once(' ').unwrap_or((name, ""));
            if !name.is_empty() {
                names.insert(id, name);
            }
            if line.starts_with("cfn=") {
                let name = names.get(id).copied().unwrap_or_default();
                callee = Kind::ALL.iter().find(|kind| name.contains(kind.function()));
            }
        } else if let Some(calls) = line.strip_prefix("calls=") {
            n_calls = calls.split(' ').next().and_then(|calls| calls.parse::<u128>().ok());
        } else if let (Some(kind), Some(calls)) = (callee, n_calls.take()) {
            let cost = line.split(' ').next_back().and_then(|cost| cost.parse::<u128>().ok()).unwrap_or(0);
            let sum = sums.entry(*kind).or_default();
            *sum = (sum.0 + calls, sum.1 + cost);
        }
    }
    sums.into_iter().map(|(kind, (calls, cost))| (kind, cost / calls.max(1))).collect()
}

fn main() {
    // `cargo bench` hands `--bench` on; it means nothing here.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let size = |text: &str| text.parse::<u32>().unwrap_or(MANY).clamp(FEW, 60_000);
    match words.as_slice() {
        ["--size", text] => drop(run(&[size(text)], INSTRUCTION_ROUNDS, 0)),
        ["--instructions"] => by_instructions(MANY),
        ["--instructions", text] => by_instructions(size(text)),
        [text] => by_time(size(text)),
        _ => by_time(MANY),
    }
}
