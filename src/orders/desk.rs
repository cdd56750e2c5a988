//! The desk: orders, positions and everything that is under way with the venues. `Start`, `Trade` and `Stop` each own
//! it in turn, so that a fill is booked and a lost answer resolved in the same way whatever the process is doing.
//!
//! Always holds: every change of an order is recorded as it happens; a create leaves only risk-checked and recorded;
//! what is not known is asked about until it is.
//! Never does: decide to trade, to cancel or to stop. It carries out what its owner wants and answers what happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::cancels::{Cancels, Due, Rank};
use super::doubts::{Doubts, Question};
use super::keepalive::{Keeper, SwitchAsk};
use super::lists::Account;
use super::machine::{Order, OrderStateMachine};
use super::moves::News;
use crate::domain::action::{Action, Level};
use crate::domain::ids::{ClientOrderId, Epoch, Instance, InstrumentId, StrategyLetter, Symbol, VenueId};
use crate::domain::instrument::{BatchBy, Catalogue, Instrument, InstrumentKind};
use crate::domain::money::{Decimal, Lots};
use crate::domain::order::{Checked, Create, Durable, FillKind, Lsn, OrderKey, OrderState, Side, StateName};
use crate::domain::position::Position;
use crate::domain::record::{Intent, Moved as MovedRecord, Record};
use crate::domain::request::{Call, Refusal, Request, RequestId};
use crate::domain::settings::Mode;
use crate::domain::time::{Boot, Stamp};

/// Who we are in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Ours.
    pub instance: Instance,
    /// This run.
    pub epoch: Epoch,
    /// How real it is.
    pub mode: Mode,
}

/// What the owner should know of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An order changed its state.
    Moved {
        /// The order.
        id: ClientOrderId,
        /// From.
        before: StateName,
        /// To.
        after: StateName,
    },
    /// A fill of ours was booked.
    Filled {
        /// The order.
        id: ClientOrderId,
        /// What.
        instrument: InstrumentId,
        /// Which way.
        side: Side,
        /// How much.
        qty: Lots,
        /// At.
        price: Decimal,
    },
    /// The venue refused a create.
    CreateRefused(ClientOrderId, Refusal),
    /// A cancel was refused, lost or answered with an error.
    CancelFailed(ClientOrderId, String),
    /// A cancel of everything at a venue came to nothing; each order is cancelled by itself.
    CancelAllFailed(VenueId, String),
    /// An order of ours that nobody here knew.
    Found(ClientOrderId),
    /// A complete listing came in; see `Desk::account`.
    Listed(VenueId),
    /// A listing broke off: it says nothing.
    ListingFailed(VenueId, String),
    /// All fills up to now are booked.
    FillsComplete(VenueId),
    /// The list of fills broke off.
    FillsFailed(VenueId, String),
    /// Rules of instruments came in; how many could be used.
    Instruments(VenueId, usize),
    /// Balances came in.
    Balances(VenueId),
    /// The account's contracts came in; see `Desk::contract_drifts`.
    Positions(VenueId),
    /// What the key may do came in; see `Account::access`.
    Access(VenueId),
    /// Something moved the account that is no trade of an order of ours.
    External {
        /// What it moved.
        instrument: InstrumentId,
        /// What came about.
        what: FillKind,
        /// In words.
        words: String,
    },
    /// The venue's dead man's switch is not armed any more, or may have fired: its orders may be gone.
    SwitchLost(VenueId),
    /// The venue's clock minus ours, in milliseconds, and how far that may be off.
    ClockOffset(VenueId, i64, Duration),
    /// A question about an account failed.
    AskFailed(VenueId, &'static str, String),
}

/// With fewer open orders single cancels are as fast as a cancel-all, and they leave orders of others alone.
const CANCEL_ALL_MIN: usize = 2;
/// What a cancel-all has not ended after this is cancelled order by order.
const CANCEL_ALL_PATIENCE: Duration = Duration::from_secs(1);

/// What a request on its way is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Create(ClientOrderId),
    Cancel(ClientOrderId),
    CancelBatch(Vec<ClientOrderId>),
    CancelAll,
    Ghost(ClientOrderId),
    Query(ClientOrderId),
    History(ClientOrderId),
    ListOpen,
    ListFills,
    Balances,
    Instruments,
    Time,
    /// With the number of rows of the account that had come in when it was asked.
    Positions(u64),
    Access,
    Switch(SwitchAsk),
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) venue: VenueId,
    pub(super) about: About,
    pub(super) asked: Stamp,
}

/// Counters for report, status and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Creates handed over.
    pub creates: u64,
    /// Cancel requests sent (a batch is one).
    pub cancel_requests: u64,
    /// Fills booked.
    pub fills: u64,
    /// Fills of orders that are not ours.
    pub foreign_fills: u64,
    /// Entries booked that are no fill of an order of ours: foreign fills, funding, liquidations.
    pub externals: u64,
    /// News that fitted no move.
    pub refused_news: u64,
    /// Fills whose numbers do not fit the instrument's grid: money we could not book.
    pub unbookable_fills: u64,
}

/// The desk.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Venues and instruments.
    pub catalogue: Catalogue,
    /// Every order.
    pub orders: OrderStateMachine,
    /// Who we are.
    pub identity: Identity,
    pub(super) positions: BTreeMap<InstrumentId, Position>,
    pub(super) venue_marks: BTreeMap<InstrumentId, Decimal>,
    pub(super) keepers: Vec<Keeper>,
    pub(super) touch: BTreeMap<InstrumentId, (Option<Decimal>, Option<Decimal>)>,
    pub(super) accounts: Vec<Account>,
    pub(super) cancels: Cancels,
    pub(super) doubts: Doubts,
    pub(super) pending: BTreeMap<RequestId, Pending>,
    pub(super) notes: Vec<Note>,
    pub(super) tally: Tally,
    pub(super) closing_reason: String,
    /// Orders that were found, not made, by this run: a part of their fills may have been booked by an earlier one.
    pub(super) found: BTreeSet<ClientOrderId>,
    /// Orders that only a fill told us of so far.
    pub(super) sizes_unknown: BTreeSet<ClientOrderId>,
    waiting: VecDeque<(Lsn, ClientOrderId)>,
    sequences: BTreeMap<StrategyLetter, u32>,
    last_lsn: Lsn,
    last_request: u64,
    gate_shut: bool,
}

impl Desk {
    /// A desk that knows no order yet. `last_lsn` is the last record in the journal; requests count up from `first_request`.
    pub fn new(catalogue: Catalogue, identity: Identity, last_lsn: Lsn, first_request: u64) -> Desk {
        let accounts = catalogue.venues().iter().map(|_| Account::default()).collect();
        let keepers = catalogue.venues().iter().map(|venue| Keeper::new(venue.traits.switch)).collect();
        Desk {
            catalogue,
            orders: OrderStateMachine::default(),
            identity,
            positions: BTreeMap::new(),
            venue_marks: BTreeMap::new(),
            keepers,
            touch: BTreeMap::new(),
            accounts,
            cancels: Cancels::default(),
            doubts: Doubts::default(),
            pending: BTreeMap::new(),
            notes: Vec::new(),
            tally: Tally::default(),
            closing_reason: String::new(),
            found: BTreeSet::new(),
            sizes_unknown: BTreeSet::new(),
            waiting: VecDeque::new(),
            sequences: BTreeMap::new(),
            last_lsn,
            last_request: first_request,
            gate_shut: false,
        }
    }

    /// Takes in a risk-checked order: it is `NEW`, and its record is under way to the disk. It leaves when the store
    /// says `Durable`. `None` when nothing may be created any more.
    pub fn intend(
        &mut self,
        at: Stamp,
        checked: Checked,
        letter: StrategyLetter,
        out: &mut Vec<Action>,
    ) -> Option<ClientOrderId> {
        if self.gate_shut {
            return None;
        }
        let sequence = self.sequences.entry(letter).or_default();
        let id = loop {
            *sequence += 1;
            let id = ClientOrderId::new(self.identity.instance, self.identity.epoch, letter, *sequence)?;
            if self.orders.get(id).is_none() {
                break id;
            }
        };
        let terms = *checked.terms();
        let instrument = self.catalogue.instrument(terms.instrument).clone();
        let key = OrderKey {
            venue: instrument.venue,
            symbol: instrument.symbol().clone(),
            client_id: id,
            venue_order_id: None,
        };
        let intent = Record::Intent(Intent {
            client_id: id,
            venue: self.catalogue.venue(instrument.venue).name.clone(),
            symbol: key.symbol.clone(),
            side: terms.side,
            price: instrument.price_of(terms.price),
            qty: instrument.qty_of(terms.qty),
            time_in_force: terms.time_in_force,
            at: at.wall,
        });
        let lsn = self.record(intent, out);
        self.orders.insert(Order {
            key,
            terms,
            state: OrderState::New,
            filled: Lots::ZERO,
            venue_filled: Lots::ZERO,
            checked: Some(checked),
            handed_over_at: at.boot,
            changed_at: at.boot,
            reason: String::new(),
        });
        if self.records() {
            self.waiting.push_back((lsn, id));
        }
        Some(id)
    }

    /// The store's word came: orders whose intent it covers are handed over.
    pub(super) fn durable(&mut self, at: Stamp, durable: Durable, out: &mut Vec<Action>) {
        while let Some(&(lsn, id)) = self.waiting.front() {
            let Some(sealed) = durable.seal(lsn) else { break };
            self.waiting.pop_front();
            let Some(order) = self.orders.get(id) else { continue };
            let (OrderState::New, Some(checked)) = (order.state, order.checked) else {
                continue;
            };
            let (key, terms, intended_at) = (order.key.clone(), order.terms, order.changed_at);
            if at.boot > intended_at.after(self.catalogue.venue(key.venue).traits.create_deadline) {
                // The disk took longer than an order may wait: its price is of a market that has gone.
                self.news(at, id, News::EndedUnsent, "not sent: its record took too long", out);
                continue;
            }
            let instrument = self.catalogue.instrument(terms.instrument);
            let (price, qty) = (instrument.price_of(terms.price), instrument.qty_of(terms.qty));
            let venue = key.venue;
            let not_after = at.boot.after(self.catalogue.venue(venue).traits.create_deadline);
            let create = Create::new(key, checked, sealed, price, qty);
            self.news(at, id, News::HandedOver, "", out);
            self.tally.creates += 1;
            self.accounts[usize::from(venue.0)].n_creates_on_their_way += 1;
            self.send(at, venue, Call::Create(create), About::Create(id), not_after, out);
        }
    }

    /// Wants an order cancelled, until it has ended. A `NEW` order ends at once: nothing of it has left.
    pub fn cancel(&mut self, at: Stamp, id: ClientOrderId, rank: Rank, out: &mut Vec<Action>) {
        let Some(order) = self.orders.get(id) else { return };
        match order.state {
            OrderState::New => self.news(at, id, News::EndedUnsent, "cancelled before it was sent", out),
            state if state.is_open() => {
                let venue = order.key.venue;
                self.want_cancel(at, venue, id, rank);
                self.news(at, id, News::CancelAsked, "", out);
            }
            _ => {}
        }
    }

    pub(super) fn want_cancel(&mut self, at: Stamp, venue: VenueId, id: ClientOrderId, rank: Rank) {
        // What a cancel-all on its way should end is asked for by itself only if that comes to nothing. An order that
        // may not have arrived yet is not among what the venue finds.
        let rests = self.orders.get(id).is_some_and(|order| order.state == OrderState::Resting);
        let account = &mut self.accounts[usize::from(venue.0)];
        let first_at = if rests { account.singly_from.max(at.boot) } else { at.boot };
        if self.cancels.want(id, rank, first_at) {
            account.n_cancels_wanted += 1;
        }
    }

    /// Asks the venue to cancel everything in every scope, foreign orders included: only where its traits give scopes,
    /// which they do only for an account that is ours alone. Cancels of single orders wait a moment for it.
    pub fn cancel_all(&mut self, at: Stamp, venue: VenueId, out: &mut Vec<Action>) {
        let scopes = self.catalogue.venue(venue).traits.cancel_all_scopes.clone();
        if scopes.is_empty() || self.orders.n_open_at(venue) < CANCEL_ALL_MIN || !self.sends() {
            return;
        }
        self.accounts[usize::from(venue.0)].singly_from = at.boot.after(CANCEL_ALL_PATIENCE);
        for scope in scopes {
            self.tally.cancel_requests += 1;
            self.accounts[usize::from(venue.0)].n_cancel_requests += 1;
            self.send(at, venue, Call::CancelAll(scope), About::CancelAll, Boot::NEVER, out);
        }
    }

    /// A cancel-all came to nothing: every order is asked for by itself, now.
    pub(super) fn cancel_singly(&mut self, at: Stamp, venue: VenueId) {
        self.accounts[usize::from(venue.0)].singly_from = at.boot;
        let open: Vec<_> = self.orders.open_at(venue).map(Order::id).collect();
        for id in open {
            self.cancels.hasten(id, at.boot);
        }
    }

    /// Whether its cancel is wanted already.
    pub fn wants_cancel(&self, id: ClientOrderId) -> bool {
        self.cancels.wants(id)
    }

    /// Whether the cancel of every order of a venue that may rest is wanted already. Costs the same for any number.
    pub fn wants_all_cancelled(&self, venue: VenueId) -> bool {
        self.account(venue).n_cancels_wanted == self.orders.n_open_at(venue)
    }

    /// Raises nothing any more: `NEW` orders end unsent, and so will every queued create when the runtime hands it back.
    pub fn shut_gate(&mut self, at: Stamp, out: &mut Vec<Action>) {
        self.gate_shut = true;
        self.waiting.clear();
        let never_left: Vec<_> = self.orders.new_orders().map(Order::id).collect();
        for id in never_left {
            self.news(at, id, News::EndedUnsent, "not sent: the stop had begun", out);
        }
    }

    /// What is due by the clock: pings, cancels, questions about orders in doubt, fills that are owed.
    pub fn work(&mut self, at: Stamp, out: &mut Vec<Action>) {
        self.ping(at, out);
        if !self.sends() {
            return;
        }
        self.keep_switches(at, out);
        let due = self.cancels.due(at.boot);
        self.send_cancels(at, due, out);
        for (id, question) in self.doubts.due(at.boot) {
            self.ask(at, id, question, out);
        }
        // While a create is out its answer decides; what was gathered meanwhile is kept for it.
        let is_out = |id: &ClientOrderId| {
            self.orders.get(*id).is_some_and(|order| matches!(order.state, OrderState::Sent { .. }))
        };
        let absent: Vec<_> = self.doubts.proven_absent().filter(|id| !is_out(id)).collect();
        for id in absent {
            self.doubts.settle(id);
            self.news(at, id, News::Absent, "absent from listing, query, history and fills", out);
        }
        for place in 0..self.accounts.len() {
            let venue = VenueId(place as u8); // The catalogue holds at most 256 venues.
            if self.accounts[place].fills_due.is_some_and(|due| due <= at.boot) {
                self.fetch_fills(at, venue, out);
            }
        }
    }

    fn send_cancels(&mut self, at: Stamp, due: Vec<Due>, out: &mut Vec<Action>) {
        let mut by_venue: BTreeMap<VenueId, Vec<Due>> = BTreeMap::new();
        for due in due {
            let Some(order) = self.orders.get(due.id) else { continue };
            let traits = &self.catalogue.venue(order.key.venue).traits;
            if order.key.venue_order_id.is_none() && !traits.cancel_by_client_id {
                // The venue wants its own id and we do not have it yet: find the order first.
                let arrives_by = self.arrives_by(order);
                self.doubts.raise(order.key.venue, due.id, at.boot, arrives_by);
                self.cancels.failed(due.id, at.boot, false);
                continue;
            }
            by_venue.entry(order.key.venue).or_default().push(due);
        }
        for (venue, dues) in by_venue {
            for ids in self.cancel_groups(venue, dues) {
                self.send_cancel_of(at, venue, &ids, out);
            }
        }
    }

    /// Which orders go into which request: batches where the venue has them, of what it lets stand together, and single
    /// cancels between them where it bills these apart, so that both budgets are used up at the same time.
    fn cancel_groups(&self, venue: VenueId, dues: Vec<Due>) -> Vec<Vec<ClientOrderId>> {
        let traits = &self.catalogue.venue(venue).traits;
        let batch_max = traits.batch_cancel_max.max(1);
        let (alone, together): (Vec<_>, Vec<_>) = dues.into_iter().partition(|due| due.alone || batch_max == 1);
        let mut groups: Vec<_> = alone.into_iter().map(|due| vec![due.id]).collect();
        let mut shelves: BTreeMap<(InstrumentKind, Option<Symbol>), Vec<ClientOrderId>> = BTreeMap::new();
        for due in together {
            let Some(order) = self.orders.get(due.id) else { continue };
            let (kind, symbol) = (InstrumentKind::of_symbol(&order.key.symbol), &order.key.symbol);
            let shelf = match traits.batch_cancel_by {
                BatchBy::Any => (InstrumentKind::Spot, None),
                BatchBy::Kind => (kind, None),
                BatchBy::Symbol => (kind, Some(symbol.clone())),
            };
            shelves.entry(shelf).or_default().push(due.id);
        }
        for ((kind, _), ids) in shelves {
            let n_singles = traits.billing.singles_per_batch(kind, batch_max as u32) as usize;
            let at_once = traits.billing.batched_at_once(kind).map_or(ids.len(), |orders| orders as usize);
            // What batches can do at once needs the fewest requests that way.
            let (first, mut rest) = ids.split_at(ids.len().min(at_once));
            groups.extend(first.chunks(batch_max).map(<[ClientOrderId]>::to_vec));
            while !rest.is_empty() {
                let (singles, after) = rest.split_at(rest.len().min(n_singles));
                let (batch, after) = after.split_at(after.len().min(batch_max));
                groups.extend(singles.iter().map(|id| vec![*id]));
                groups.extend((!batch.is_empty()).then(|| batch.to_vec()));
                rest = after;
            }
        }
        groups
    }

    fn send_cancel_of(&mut self, at: Stamp, venue: VenueId, ids: &[ClientOrderId], out: &mut Vec<Action>) {
        let keys: Vec<_> = ids.iter().filter_map(|id| self.orders.get(*id)).map(|order| order.key.clone()).collect();
        let (call, about) = match (keys.as_slice(), ids) {
            ([key], [id]) => (Call::Cancel(key.clone()), About::Cancel(*id)),
            _ => (Call::CancelBatch(keys), About::CancelBatch(ids.to_vec())),
        };
        self.tally.cancel_requests += 1;
        self.accounts[usize::from(venue.0)].n_cancel_requests += 1;
        let request = self.send(at, venue, call, about, Boot::NEVER, out);
        for id in ids {
            self.cancels.sent(*id, request);
        }
    }

    fn ask(&mut self, at: Stamp, id: ClientOrderId, question: Question, out: &mut Vec<Action>) {
        let Some(order) = self.orders.get(id) else {
            self.doubts.settle(id);
            return;
        };
        let key = order.key.clone();
        let venue = key.venue;
        match question {
            Question::Query => {
                let request = self.send(at, venue, Call::Query(key), About::Query(id), Boot::NEVER, out);
                self.doubts.sent(id, request);
            }
            Question::History => {
                let request = self.send(at, venue, Call::History(key), About::History(id), Boot::NEVER, out);
                self.doubts.sent(id, request);
            }
            Question::Listing => self.list(at, venue, out),
            Question::Fills => self.fetch_fills(at, venue, out),
        }
    }

    /// Asks about an account: balances, contracts, instruments, the clock, what the key may do.
    pub fn ask_account(&mut self, at: Stamp, venue: VenueId, call: Call, out: &mut Vec<Action>) {
        let about = match call {
            Call::Balances => About::Balances,
            Call::Instruments => About::Instruments,
            Call::Time => About::Time,
            Call::Positions => About::Positions(self.account(venue).n_rows),
            Call::Access => About::Access,
            _ => return,
        };
        // A slow venue is not asked the same again while it is still at it.
        if self.pending.values().any(|pending| pending.venue == venue && pending.about == about) {
            return;
        }
        self.send(at, venue, call, about, Boot::NEVER, out);
    }

    /// When an order that arrived at all must show: its create cannot arrive any later, and lists have caught up. A
    /// fresh order takes longer to appear than a known one to change, so the venue's `settle` counts where it is longer.
    pub(super) fn arrives_by(&self, order: &Order) -> Boot {
        let traits = &self.catalogue.venue(order.key.venue).traits;
        order.handed_over_at.after(traits.settle.max(traits.create_deadline.saturating_add(traits.lag)))
    }

    pub(super) fn send(
        &mut self,
        at: Stamp,
        venue: VenueId,
        call: Call,
        about: About,
        not_after: Boot,
        out: &mut Vec<Action>,
    ) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.pending.insert(id, Pending { venue, about, asked: at });
        out.push(Action::Send(Box::new(Request { id, venue, call, not_after })));
        id
    }

    /// Writes a record and gives its place. In DRY_RUN nothing is written and every place is 0.
    pub fn record(&mut self, record: Record, out: &mut Vec<Action>) -> Lsn {
        if !self.records() {
            return Lsn(0);
        }
        self.last_lsn = Lsn(self.last_lsn.0 + 1);
        out.push(Action::Record(self.last_lsn, Box::new(record)));
        self.last_lsn
    }

    /// Applies news to an order; records and notes the move, or tells the operator why it is impossible.
    pub(super) fn news(&mut self, at: Stamp, id: ClientOrderId, news: News, reason: &str, out: &mut Vec<Action>) {
        match self.orders.apply(at.boot, id, news) {
            Ok(Some(moved)) => {
                if moved.after.is_terminal() {
                    let ours = reason.is_empty() && moved.after == StateName::Canceled;
                    let reason = if ours { self.closing_reason.clone() } else { reason.to_owned() };
                    self.orders.give_reason(id, &reason);
                }
                self.moved(at, id, moved.before, moved.after, out);
            }
            Ok(None) => {}
            Err(refused) => {
                self.tally.refused_news += 1;
                out.push(Action::Say(Level::Warn, format!("News that does not fit was left aside: {refused}")));
            }
        }
    }

    pub(super) fn moved(
        &mut self,
        at: Stamp,
        id: ClientOrderId,
        before: StateName,
        after: StateName,
        out: &mut Vec<Action>,
    ) {
        let Some(order) = self.orders.get(id) else { return };
        let (state, venue, arrives_by) = (order.state, order.key.venue, self.arrives_by(order));
        let record = Record::Moved(MovedRecord {
            client_id: id,
            state: after,
            venue_order_id: order.key.venue_order_id.clone(),
            reason: order.reason.clone(),
            at: at.wall,
        });
        self.record(record, out);
        self.notes.push(Note::Moved { id, before, after });
        match state {
            OrderState::Done(_) => {
                if self.cancels.settle(id) {
                    self.accounts[usize::from(venue.0)].n_cancels_wanted -= 1;
                }
                self.doubts.settle(id);
            }
            OrderState::Unknown { .. } => self.doubts.raise(venue, id, at.boot, arrives_by),
            OrderState::Canceling => {
                self.doubts.settle(id);
                // One that was in doubt rests after all. One that rested has its turn already.
                if !matches!(before, StateName::Open | StateName::PartiallyFilled) {
                    self.cancels.hasten(id, at.boot);
                }
            }
            OrderState::New | OrderState::Sent { .. } | OrderState::Resting => self.doubts.settle(id),
        }
    }

    /// What happened since the last call.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Sets the reason that orders we cancel from now on are closed with.
    pub fn close_with_reason(&mut self, reason: &str) {
        reason.clone_into(&mut self.closing_reason);
    }

    /// An account's books.
    pub fn account(&self, venue: VenueId) -> &Account {
        &self.accounts[usize::from(venue.0)]
    }

    /// What is held of an instrument.
    pub fn position(&self, instrument: InstrumentId) -> Position {
        self.positions.get(&instrument).cloned().unwrap_or_default()
    }

    /// All positions ever touched, flat ones included.
    pub fn positions(&self) -> impl Iterator<Item = (&Instrument, &Position)> {
        self.positions.iter().map(|(id, position)| (self.catalogue.instrument(*id), position))
    }

    /// What a position is valued at: the venue's mark price of a contract, else the middle of the best prices last seen,
    /// or the one side there is.
    pub fn mark(&self, instrument: InstrumentId) -> Option<Decimal> {
        if let Some(mark) = self.venue_marks.get(&instrument) {
            return Some(*mark);
        }
        match self.touch.get(&instrument)? {
            (Some(bid), Some(ask)) => bid.checked_add(*ask)?.mul_ratio(1, 2),
            (one, other) => one.or(*other),
        }
    }

    /// Smaller is more urgent to cancel: exposure-raising before reducing, near the market before far.
    pub fn cancel_rank(&self, order: &Order) -> Rank {
        const REDUCING: Rank = 1 << 48;
        let instrument = self.catalogue.instrument(order.terms.instrument);
        let held = self.positions.get(&instrument.id).map_or(Decimal::ZERO, |position| position.qty);
        let reduces = match order.terms.side {
            Side::Buy => held.is_negative(),
            Side::Sell => held.is_positive(),
        };
        let price = instrument.price_of(order.terms.price);
        let far = self.mark(instrument.id).and_then(|mark| mark.checked_sub(price));
        let ticks = far.and_then(|far| far.abs().steps_of(instrument.rules.tick)).map_or(0, |(ticks, _)| ticks);
        ticks.min(REDUCING - 1) + if reduces { REDUCING } else { 0 }
    }

    /// Counters.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Entries booked so far, ours and external ones.
    pub fn n_booked(&self) -> u64 {
        self.tally.fills + self.tally.externals
    }

    /// Requests on their way.
    pub fn n_pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether any order's state is in doubt.
    pub fn has_doubts(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// The last record's place.
    pub fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }

    /// The highest request number used.
    pub fn last_request(&self) -> u64 {
        self.last_request
    }

    /// Whether anything is written to disk in this mode.
    pub fn records(&self) -> bool {
        self.identity.mode != Mode::DryRun
    }

    /// Whether anything is sent in this mode.
    pub fn sends(&self) -> bool {
        self.identity.mode != Mode::DryRun
    }
}
