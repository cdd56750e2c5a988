//! A desk on a bench: a test plays store, runtime and venue by hand, one event at a time, and every record the desk
//! writes is folded as the store would.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::action::{Action, Level};
use crate::domain::event::Event;
use crate::domain::ids::{
    ClientOrderId, Epoch, Instance, InstrumentId, StrategyLetter, Symbol, TradeId, VenueId, VenueOrderId,
};
use crate::domain::instrument::{Catalogue, InstrumentKind, InstrumentRules, VenueTraits};
use crate::domain::money::{Decimal, Lots, PriceTicks};
use crate::domain::order::{
    Checked, Durable, Fill, FillRow, Lsn, OrderRow, OrderTerms, Outcome, Side, StateName, TimeInForce, VenueStatus,
};
use crate::domain::record::Record;
use crate::domain::request::{Answer, Answered, Call, Facts, Refusal, RefusalKind, Request, RequestId};
use crate::domain::settings::Mode;
use crate::domain::snapshot::{RECENTLY_CLOSED_MAX, State};
use crate::domain::time::{Boot, Stamp, Wall};
use crate::orders::desk::{Desk, Identity, Note};

/// Cancels by client id, in batches of ten; an acknowledged cancel is not the end of it.
pub(super) const MAIN: VenueId = VenueId(0);
/// Wants its own id for a cancel, knows no batch; an acknowledged cancel is final.
pub(super) const PLAIN: VenueId = VenueId(1);

pub(super) const DEADLINE_MS: u64 = 3_000;
pub(super) const LAG_MS: u64 = 500;
pub(super) const SETTLE_MS: u64 = 4_000;
pub(super) const GAP_MS: u64 = 1_000;
/// Lots of every order made here.
pub(super) const QTY: i64 = 10;
const STARTED_MS: u64 = 1_000_000;

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn lots(count: i64) -> Decimal {
    Decimal::from_units(1_000_000_000_000_000).checked_mul_int(count).unwrap()
}

pub(super) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let main = VenueTraits {
        cancel_ack_is_final: false,
        batch_cancel_max: 10,
        cancel_by_client_id: true,
        create_deadline: ms(DEADLINE_MS),
        lag: ms(LAG_MS),
        settle: ms(SETTLE_MS),
        listing_gap: ms(GAP_MS),
        cancels_per_second: 10,
        cancel_burst: 10,
        request_timeout: ms(10_000),
        open_orders_max: 500,
        ..VenueTraits::default()
    };
    let plain =
        VenueTraits { cancel_ack_is_final: true, batch_cancel_max: 0, cancel_by_client_id: false, ..main.clone() };
    assert_eq!(catalogue.add_venue("main", main), Some(MAIN));
    assert_eq!(catalogue.add_venue("plain", plain), Some(PLAIN));
    for venue in [MAIN, PLAIN] {
        let rules = InstrumentRules {
            symbol: symbol(),
            kind: InstrumentKind::Spot,
            base: "BTC".into(),
            quote: "USDT".into(),
            tick: Decimal::ONE,
            lot: lots(1),
            min_qty: lots(1),
            max_qty: Decimal::whole(100),
            min_notional: Decimal::ZERO,
            tradable: true,
        };
        assert_eq!(catalogue.learn(venue, rules), Some(InstrumentId(u16::from(venue.0))));
    }
    catalogue
}

pub(super) fn symbol() -> Symbol {
    Symbol::new("BTC-USDT")
}

pub(super) fn identity() -> Identity {
    Identity { instance: "a1b2".parse().unwrap(), epoch: Epoch(7), mode: Mode::Paper }
}

/// An id of an earlier run of ours.
pub(super) fn old_id(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(identity().instance, Epoch(3), StrategyLetter::nth(0).unwrap(), sequence).unwrap()
}

/// An id of another instance.
pub(super) fn strange_id(sequence: u32) -> ClientOrderId {
    let other: Instance = "zzzz".parse().unwrap();
    ClientOrderId::new(other, Epoch(3), StrategyLetter::nth(0).unwrap(), sequence).unwrap()
}

/// What the venue calls an order of ours.
pub(super) fn venue_id(id: ClientOrderId) -> VenueOrderId {
    VenueOrderId::new(&format!("v-{}", &id.as_str()[2..]))
}

/// An order as the venue shows it, `filled` lots of it traded.
pub(super) fn row(id: ClientOrderId, status: VenueStatus, filled: i64) -> OrderRow {
    OrderRow {
        symbol: symbol(),
        client_id: Some(id.as_str().to_owned()),
        venue_order_id: venue_id(id),
        side: Side::Buy,
        price: Decimal::whole(100),
        qty: lots(QTY),
        filled: lots(filled),
        status,
        reason: String::new(),
    }
}

/// Somebody else's order.
pub(super) fn foreign_row(name: &str) -> OrderRow {
    OrderRow {
        client_id: Some(name.to_owned()),
        venue_order_id: VenueOrderId::new(name),
        ..row(old_id(1), VenueStatus::Open, 0)
    }
}

pub(super) fn open(id: ClientOrderId) -> OrderRow {
    row(id, VenueStatus::Open, 0)
}

pub(super) fn ended(id: ClientOrderId, outcome: Outcome, filled: i64) -> OrderRow {
    row(id, VenueStatus::Ended(outcome), filled)
}

/// A trade of an order of ours at a moment of the venue's clock.
pub(super) fn trade(id: ClientOrderId, name: &str, qty: i64, at: Wall) -> FillRow {
    FillRow {
        symbol: symbol(),
        client_id: Some(id.as_str().to_owned()),
        venue_order_id: venue_id(id),
        side: Side::Buy,
        kind: crate::domain::order::FillKind::Trade,
        fill: Fill {
            trade_id: TradeId::new(name),
            price: Decimal::whole(100),
            qty: lots(qty),
            fee: Decimal::ZERO,
            fee_asset: "USDT".into(),
            maker: true,
            at,
        },
    }
}

pub(super) fn refused(kind: RefusalKind) -> Answered {
    Answered::Refused(Refusal { kind, text: format!("{kind:?}") })
}

pub(super) fn lost() -> Answered {
    Answered::Unknown("the connection broke".into())
}

pub(super) fn later(wait_ms: u64) -> Answered {
    Answered::Later { wait: ms(wait_ms), why: "too many requests".into() }
}

pub(super) fn taken() -> Answered {
    Answered::Done(Facts::CancelTaken { filled: None })
}

/// The whole listing on one page.
pub(super) fn listing(rows: Vec<OrderRow>) -> Answered {
    Answered::Done(Facts::OpenOrders { rows, next: None })
}

/// The desk with everything around it.
#[derive(Clone, Debug)]
pub(super) struct Bench {
    pub(super) desk: Desk,
    pub(super) at: Stamp,
    /// Requests that wait for their answer, oldest first.
    pub(super) wire: Vec<Request>,
    /// What the store made of the records.
    pub(super) state: State,
    pub(super) said: Vec<(Level, String)>,
    pub(super) notes: Vec<Note>,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let state = State::empty("a1b2", "host", "PAPER");
        Bench::around(Desk::new(catalogue(), identity(), Lsn(0), 0), state, stamp(STARTED_MS))
    }

    /// With a main venue that is a little different.
    pub(super) fn with_main(change: impl FnOnce(&mut VenueTraits)) -> Bench {
        let state = State::empty("a1b2", "host", "PAPER");
        let usual = catalogue();
        let mut changed = Catalogue::default();
        let mut main = usual.venue(MAIN).traits.clone();
        change(&mut main);
        for (name, traits) in [("main", main), ("plain", usual.venue(PLAIN).traits.clone())] {
            changed.add_venue(name, traits);
        }
        for instrument in usual.instruments() {
            changed.learn(instrument.venue, instrument.rules.clone());
        }
        Bench::around(Desk::new(changed, identity(), Lsn(0), 0), state, stamp(STARTED_MS))
    }

    fn around(desk: Desk, state: State, at: Stamp) -> Bench {
        Bench { desk, at, wire: Vec::new(), state, said: Vec::new(), notes: Vec::new() }
    }

    /// The process dies and another begins with what is on the disk.
    pub(super) fn restarted(&self) -> Bench {
        let epoch = Epoch(self.desk.identity.epoch.0 + 1);
        let identity = Identity { epoch, ..self.desk.identity };
        let (desk, unwatched) = Desk::restore(catalogue(), identity, &self.state, 1_000_000, self.at);
        assert!(unwatched.is_empty());
        Bench::around(desk, self.state.clone(), self.at)
    }

    /// Lets the desk do something and takes in what it asks for.
    pub(super) fn with<T>(&mut self, act: impl FnOnce(&mut Desk, Stamp, &mut Vec<Action>) -> T) -> T {
        let mut out = Vec::new();
        let given = act(&mut self.desk, self.at, &mut out);
        for action in out {
            match action {
                Action::Record(lsn, record) => self.fold(lsn, &record),
                Action::Send(request) => self.wire.push(*request),
                Action::Say(level, words) => self.said.push((level, words)),
                other => panic!("the desk never asks for {other:?}"),
            }
        }
        self.notes.extend(self.desk.take_notes());
        given
    }

    fn fold(&mut self, lsn: Lsn, record: &Record) {
        assert_eq!(lsn.0, self.state.journal_seq.0 + 1, "records have no gaps");
        self.state.apply(lsn, record);
    }

    /// Time passes and the desk does what is due.
    pub(super) fn pass(&mut self, millis: u64) {
        self.at = stamp(self.at.boot.nanos() / 1_000_000 + millis);
        self.with(|desk, at, out| desk.work(at, out));
    }

    /// Time passes in small steps.
    pub(super) fn pass_slowly(&mut self, millis: u64) {
        for _ in 0..millis / 50 {
            self.pass(50);
        }
    }

    pub(super) fn take(&mut self, event: Event) {
        self.with(|desk, at, out| {
            desk.take(at, &event, out);
            desk.work(at, out);
        });
    }

    pub(super) fn push(&mut self, venue: VenueId, row: OrderRow) {
        self.take(Event::Order(venue, Box::new(row)));
    }

    pub(super) fn fill(&mut self, venue: VenueId, row: FillRow) {
        self.take(Event::Fill(venue, Box::new(row)));
    }

    /// A trade that happens now.
    pub(super) fn trade(&self, id: ClientOrderId, name: &str, qty: i64) -> FillRow {
        trade(id, name, qty, self.at.wall)
    }

    /// An order whose record is under way.
    pub(super) fn intend(&mut self, venue: VenueId) -> ClientOrderId {
        let terms = OrderTerms {
            instrument: InstrumentId(u16::from(venue.0)),
            side: Side::Buy,
            price: PriceTicks::new(100),
            qty: Lots::new(QTY).unwrap(),
            time_in_force: TimeInForce::Gtc,
        };
        let letter = StrategyLetter::nth(0).unwrap();
        self.with(|desk, at, out| desk.intend(at, Checked::mint(terms), letter, out)).unwrap()
    }

    /// The store's word about everything written up to here.
    pub(super) fn durable(&mut self) {
        self.take(Event::Durable(Durable::synced(self.state.journal_seq)));
    }

    /// An order that was handed over and is not answered yet.
    pub(super) fn sent(&mut self, venue: VenueId) -> ClientOrderId {
        let id = self.intend(venue);
        self.durable();
        id
    }

    /// An order that rests.
    pub(super) fn resting(&mut self, venue: VenueId) -> ClientOrderId {
        let id = self.sent(venue);
        self.answer_create(id, Answered::Done(Facts::Created(venue_id(id))));
        id
    }

    pub(super) fn cancel(&mut self, id: ClientOrderId) {
        self.with(|desk, at, out| desk.cancel(at, id, 0, out));
        self.pass(0);
    }

    /// Takes the oldest waiting request of a kind off the wire.
    pub(super) fn next(&mut self, word: &str) -> Option<Request> {
        let place = self.wire.iter().position(|request| request.call.word() == word)?;
        Some(self.wire.remove(place))
    }

    /// The words of all requests that wait.
    pub(super) fn waiting(&self) -> Vec<&'static str> {
        self.wire.iter().map(|request| request.call.word()).collect()
    }

    pub(super) fn n_waiting(&self, word: &str) -> usize {
        self.waiting().iter().filter(|waiting| **waiting == word).count()
    }

    pub(super) fn answer(&mut self, request: &Request, answered: Answered) {
        let left_at = (!matches!(answered, Answered::NotSent(_))).then_some(self.at.boot);
        self.answer_left(request.id, left_at, answered);
    }

    pub(super) fn answer_left(&mut self, id: RequestId, left_at: Option<Boot>, answered: Answered) {
        let answer = Answer { id, venue: MAIN, left_at, answered };
        self.take(Event::Answer(Box::new(answer)));
    }

    /// Answers the oldest waiting request of a kind.
    pub(super) fn reply(&mut self, word: &str, answered: Answered) -> Request {
        let request = self.next(word).unwrap_or_else(|| panic!("no {word} waits, only {:?}", self.waiting()));
        self.answer(&request, answered);
        request
    }

    pub(super) fn answer_create(&mut self, id: ClientOrderId, answered: Answered) {
        let is_it = |request: &Request| matches!(&request.call, Call::Create(create) if create.key.client_id == id);
        let place = self.wire.iter().position(is_it).expect("its create waits");
        let request = self.wire.remove(place);
        self.answer(&request, answered);
    }

    /// The last page of a list of fills, complete up to now.
    pub(super) fn fills(&self, rows: Vec<FillRow>) -> Answered {
        Answered::Done(Facts::Fills { rows, next: None, complete_to: self.at.wall })
    }

    pub(super) fn state_of(&self, id: ClientOrderId) -> StateName {
        self.desk.orders.get(id).expect("known").state_name()
    }

    pub(super) fn filled(&self, id: ClientOrderId) -> i64 {
        self.desk.orders.get(id).expect("known").filled.count()
    }

    /// What was said at this level or louder.
    pub(super) fn alarms(&self) -> Vec<&str> {
        self.said.iter().filter(|(level, _)| *level <= Level::Warn).map(|(_, words)| words.as_str()).collect()
    }

    /// The fold of the records and the desk tell the same.
    pub(super) fn agrees_with_its_records(&self) {
        let saved = &self.state.orders;
        assert_eq!(self.state.misfits, 0, "records that do not fit");
        let mut told: BTreeMap<_, _> = saved.recently_closed.iter().map(|order| (order.client_id, order)).collect();
        told.extend(saved.open.iter().map(|(id, order)| (*id, order)));
        let counts = |id: &ClientOrderId| self.desk.orders.get(*id).is_some();
        assert!(told.keys().all(counts), "the file knows an order that the desk does not");
        let mut n_live = 0;
        for order in self.desk.orders.new_orders().chain(self.desk.orders.open()) {
            n_live += 1;
            assert!(saved.open.contains_key(&order.id()), "{} is not among the open ones on file", order.id());
        }
        assert_eq!(n_live, saved.open.len(), "the file calls an order open that has ended");
        for (id, saved) in &told {
            let order = self.desk.orders.get(*id).unwrap();
            let lot = self.desk.catalogue.instrument(order.terms.instrument).rules.lot;
            // What an earlier run had not answered is read as unknown; no record says so.
            let is_left_over = id.epoch() != self.desk.identity.epoch;
            let read = match saved.state {
                StateName::New | StateName::Sent if is_left_over => StateName::Unknown,
                state => state,
            };
            assert_eq!(order.state_name(), read, "state of {id}");
            assert_eq!(lot.checked_mul_int(order.filled.count()).unwrap(), saved.filled, "filled of {id}");
            assert_eq!(lot.checked_mul_int(order.terms.qty.count()).unwrap(), saved.qty, "size of {id}");
        }
        assert!(saved.recently_closed.len() <= RECENTLY_CLOSED_MAX);
        for (instrument, position) in self.desk.positions() {
            let venue = &self.state.venues[&self.desk.catalogue.venue(instrument.venue).name];
            assert_eq!(venue.positions.get(instrument.symbol()), Some(position));
        }
        for (venue, name) in [(MAIN, "main"), (PLAIN, "plain")] {
            let saved = self.state.venues.get(name).and_then(|venue| venue.booked_to);
            assert_eq!(self.desk.account(venue).booked_to(), saved);
        }
    }
}

pub(super) fn stamp(millis: u64) -> Stamp {
    let wall = Wall::from_millis(1_795_000_000_000 + i64::try_from(millis).unwrap());
    Stamp { boot: Boot::from_nanos(millis * 1_000_000), wall, wall_error: Duration::ZERO }
}
