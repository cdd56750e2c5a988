//! The venue itself: what it holds, and how time goes on. Other files carry out requests, trades and the crowd.
//!
//! Always holds: everything happens in the order of `(time, slot)`; time never goes back. Looking up an order, a level
//! or what is due costs a logarithm, so an event costs about the same with ten and with ten thousand orders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::answers::{Emit, FillView, Push, Reason, Reply};
use super::asks::{AccountId, Ask, Micros, OrderMarks, Ticket};
use super::book::Book;
use super::chance::Chance;
use super::faults::{Fault, FaultRates, Faults, ImpossiblePlan, Place, Plan, Scene};
use super::fed::Fed;
use super::ledger::{Entry, Line, Who};
use super::limits::Bucket;
use super::market::{Market, Take};
use super::money::{Grid, Purse};
use super::setup::{Listing, Setup};
use crate::domain::ids::{Symbol, TradeId, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};

/// A venue: deterministic for its setup, the requests, and the times they come at.
#[derive(Debug)]
pub struct Exchange {
    pub(super) setup: Setup,
    pub(super) now: Micros,
    pub(super) begun: bool,
    pub(super) queue: BTreeMap<(Micros, u64), Due>,
    pub(super) last_slot: u64,
    pub(super) grids: Vec<Grid>,
    pub(super) pits: Vec<Pit>,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) crowd: Purse,
    pub(super) fees: Purse,
    pub(super) orders: BTreeMap<u64, Order>,
    pub(super) closed: VecDeque<u64>,
    pub(super) last_order: u64,
    pub(super) last_trade: u64,
    pub(super) last_request: u64,
    pub(super) last_seq: u64,
    /// Requests that are to be carried out late: they survive a restart.
    pub(super) late: BTreeMap<u64, Late>,
    pub(super) faults: Faults,
    pub(super) chance: Chance,
    pub(super) out: Vec<Emit>,
    /// Requests that get no answer, for a gateway that has to hold a connection open; kept only if one wants them.
    pub(super) unanswered: Option<Vec<Ticket>>,
    /// Trades as the public sees them; kept only if a gateway wants them.
    pub(super) prints: Option<Vec<Print>>,
    /// Windows of dead man's switches that a dialect keeps, by account and product, in seconds.
    pub(super) switches: BTreeMap<(AccountId, String), u32>,
    /// While catching up nobody is connected: pushes and quotes go nowhere, and the crowd sleeps until this moment.
    pub(super) alone_until: Option<Micros>,
}

/// One instrument's trading: book, price, last quote.
#[derive(Debug)]
pub(super) struct Pit {
    pub(super) symbol: Symbol,
    pub(super) book: Book,
    pub(super) market: Market,
    /// The market of somebody else's venue, where that is what accounts trade against.
    pub(super) fed: Option<Fed>,
    pub(super) quote_due: bool,
    pub(super) quoted_at: Micros,
    pub(super) quoted: Option<Touch>,
    pub(super) quote_lands: Micros,
    pub(super) noted_at: Micros,
    pub(super) noted_ticks: i64,
}

/// A trade as the public sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) pit: usize,
    /// The taker's.
    pub(super) side: Side,
    pub(super) ticks: i64,
    pub(super) lots: i64,
    pub(super) at: Micros,
}

/// Best bid and ask: price in ticks and quantity in lots.
pub(super) type Touch = (Option<(i64, i64)>, Option<(i64, i64)>);

/// One account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) purse: Purse,
    pub(super) live: BTreeSet<u64>,
    /// Every order still remembered, by the caller's name.
    pub(super) names: BTreeMap<Arc<str>, u64>,
    pub(super) fills: VecDeque<Filled>,
    pub(super) cancels: Bucket,
    pub(super) creates: Bucket,
    pub(super) countdown: Option<Micros>,
    /// When the last push of each stream lands: a stream keeps its order.
    pub(super) order_push_lands: Micros,
    pub(super) fill_push_lands: Micros,
}

impl Account {
    pub(super) fn new(setup: &Setup) -> Account {
        Account {
            purse: Purse::default(),
            live: BTreeSet::new(),
            names: BTreeMap::new(),
            fills: VecDeque::new(),
            cancels: Bucket::new(setup.cancels_per_second),
            creates: Bucket::new(setup.creates_per_second),
            countdown: None,
            order_push_lands: Micros::default(),
            fill_push_lands: Micros::default(),
        }
    }
}

/// A fill with the trade's number, which orders the list.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub(super) trade: u64,
    pub(super) view: FillView,
    /// When it was booked: lists that lag go by this.
    pub(super) booked_at: Micros,
    /// For the ledger: whom it traded with.
    pub(super) with: String,
}

/// A request to be carried out after its caller has given up.
#[derive(Clone, Debug)]
pub(super) struct Late {
    pub(super) ticket: Ticket,
    pub(super) account: AccountId,
    pub(super) ask: Ask,
    pub(super) due: Micros,
    pub(super) arrived: Micros,
}

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Accepted; takes what it can before it rests.
    Taking,
    /// On the book, at this place in time.
    Resting(u64),
    /// Ended.
    Closed(Micros, Reason),
}

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) no: u64,
    pub(super) request: u64,
    pub(super) account: AccountId,
    pub(super) client_id: Arc<str>,
    pub(super) order_id: VenueOrderId,
    pub(super) pit: usize,
    pub(super) side: Side,
    pub(super) ticks: i64,
    pub(super) lots: i64,
    pub(super) filled_lots: i64,
    pub(super) time_in_force: TimeInForce,
    pub(super) created_at: Micros,
    pub(super) life: Life,
    /// A cancel was taken and is done then.
    pub(super) canceling: Option<(Micros, Reason)>,
    /// What it holds of the account's money.
    pub(super) locked: Decimal,
    /// When how many lots filled: for listings from a moment ago.
    pub(super) fills: Vec<(Micros, i64)>,
    pub(super) marks: OrderMarks,
    /// Prices times quantities of its fills, and their fees.
    pub(super) worth: Decimal,
    pub(super) paid: Decimal,
    pub(super) updated_at: Micros,
}

impl Order {
    pub(super) fn left(&self) -> i64 {
        self.lots - self.filled_lots
    }

    pub(super) fn is_live(&self) -> bool {
        !matches!(self.life, Life::Closed(..))
    }

    pub(super) fn who(&self) -> Who {
        Who { account: self.account, client_id: self.client_id.to_string(), order_id: self.order_id.clone() }
    }
}

/// Something to happen at its time.
#[derive(Debug)]
pub(super) enum Due {
    Arrive(Ticket, AccountId, Ask),
    ExecuteLate(u64),
    CancelDone(u64),
    /// An order that a crash left between two lines.
    Resume(u64),
    Countdown(AccountId),
    MarketStep(usize),
    CrowdTake(usize, Take),
    MovePrice(usize, i64),
    ShowQuote(usize),
    Feed(usize, Fed),
    Deliver(Emit),
}

impl Exchange {
    /// A new venue. Its time begins with the first `submit` or `advance`. Listings whose tick or lot cannot be used are
    /// left out.
    pub fn new(setup: Setup) -> Exchange {
        let mut exchange = Exchange::bare(setup, 0);
        let purses = exchange.setup.accounts.clone();
        for (account, coins) in purses {
            let mut holder = Account::new(&exchange.setup);
            for (asset, total) in coins {
                holder.purse.set(&asset, total.min(super::money::AMOUNT_MAX));
            }
            exchange.accounts.insert(account, holder);
        }
        exchange
    }

    /// A venue without accounts; `salt` keeps a restarted one from repeating its chance.
    pub(super) fn bare(setup: Setup, salt: u64) -> Exchange {
        let seed = setup.seed ^ salt.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mut exchange = Exchange {
            now: Micros::default(),
            begun: false,
            queue: BTreeMap::new(),
            last_slot: 0,
            grids: Vec::new(),
            pits: Vec::new(),
            accounts: BTreeMap::new(),
            crowd: Purse::default(),
            fees: Purse::default(),
            orders: BTreeMap::new(),
            closed: VecDeque::new(),
            last_order: 0,
            last_trade: 0,
            last_request: 0,
            last_seq: 0,
            late: BTreeMap::new(),
            faults: Faults::new(setup.faults.clone(), Chance::new(seed, 1)),
            chance: Chance::new(seed, 2),
            out: Vec::new(),
            unanswered: None,
            prints: None,
            switches: BTreeMap::new(),
            alone_until: None,
            setup,
        };
        let listings = exchange.setup.listings.clone();
        for listing in &listings {
            if exchange.pit(&listing.rules.symbol).is_none() {
                exchange.list(listing, salt);
            }
        }
        exchange
    }

    /// Opens trading in an instrument; `None` when its rules cannot be used.
    pub(super) fn list(&mut self, listing: &Listing, salt: u64) -> Option<usize> {
        let grid = Grid::new(&listing.rules, self.setup.leverage)?;
        let (start_ticks, _) = listing.start_price.steps_of(listing.rules.tick)?;
        let per_thousand =
            Decimal::whole(1_000).checked_div(listing.start_price).and_then(|qty| qty.steps_of(listing.rules.lot));
        let place = self.pits.len();
        // Each instrument has its own chance, so that its path does not depend on how many others there are.
        let purpose = 16 + place as u64;
        let chance = Chance::new(self.setup.seed ^ salt.wrapping_mul(0xd6e8_feb8_6659_fd93), purpose);
        self.pits.push(Pit {
            symbol: listing.rules.symbol.clone(),
            book: Book::default(),
            market: Market::new(start_ticks, per_thousand.map_or(1, |(lots, _)| lots.max(1)), chance),
            fed: None,
            quote_due: false,
            quoted_at: Micros::default(),
            quoted: None,
            quote_lands: Micros::default(),
            noted_at: Micros::default(),
            noted_ticks: 0,
        });
        self.grids.push(grid);
        Some(place)
    }

    /// Takes a request. It arrives after the latency; `advance` carries it out. Times before the model's are taken as now.
    pub fn submit(&mut self, now: Micros, account: AccountId, ticket: Ticket, ask: Ask) {
        self.begin(now);
        let arrives = now.max(self.now).plus(self.draw_latency());
        self.schedule(arrives, Due::Arrive(ticket, account, ask));
    }

    /// Lets everything happen that is due up to `to`, and hands out what came of it.
    pub fn advance(&mut self, to: Micros, out: &mut Vec<Emit>) {
        self.begin(to);
        let to = to.max(self.now);
        while let Some(entry) = self.queue.first_entry() {
            let (at, _) = *entry.key();
            if at > to {
                break;
            }
            let due = entry.remove();
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = to;
        out.append(&mut self.out);
    }

    /// Lets time go on as it did while nobody was connected, as after a restart: what happened stands in the ledger
    /// lines, but pushes and quotes went nowhere. Of a long absence the market lives through the last two minutes only.
    /// A clock that was set back meanwhile takes everything that is due with it.
    pub fn catch_up(&mut self, to: Micros, out: &mut Vec<Emit>) {
        const LIVED_THROUGH_US: i64 = 120_000_000;
        self.begin(to);
        if to < self.now {
            self.set_back(to);
        }
        self.alone_until = Some(to.plus(-LIVED_THROUGH_US));
        let mut all = Vec::new();
        self.advance(to, &mut all);
        out.extend(all.into_iter().filter(|emit| matches!(emit, Emit::Ledger(_))));
        self.alone_until = None;
        for pit in &mut self.pits {
            pit.quoted = None;
        }
        for place in 0..self.pits.len() {
            self.stir(place);
        }
    }

    /// When something is due next; `None`: not until a request comes.
    pub fn next_due(&self) -> Option<Micros> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// The model's time.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Orders a fault. Plans come before the random faults.
    pub fn plan(&mut self, plan: Plan) -> Result<(), ImpossiblePlan> {
        self.faults.plan(plan)
    }

    /// How many plans have not struck as often as they should (those for ever included).
    pub fn plans_left(&self) -> usize {
        self.faults.plans_left()
    }

    /// Ends every plan and every random fault. What already went wrong stays: a request to be carried out late still is.
    pub fn heal(&mut self) {
        self.faults.heal();
    }

    /// Changes the rates of random faults.
    pub fn set_fault_rates(&mut self, rates: FaultRates) {
        self.faults.set_rates(rates);
    }

    /// Has someone of the crowd take up to `qty` at `limit` or better at this moment, whatever the activity: for tests
    /// that need a fill just then. `false` for an unknown symbol or an amount off its grid.
    pub fn crowd_takes(&mut self, at: Micros, symbol: &Symbol, side: Side, limit: Decimal, qty: Decimal) -> bool {
        self.begin(at);
        let Some(place) = self.pit(symbol) else {
            return false;
        };
        let grid = &self.grids[place];
        let (Some(limit), Some(lots)) = (grid.ticks(limit), grid.lots(qty)) else {
            return false;
        };
        self.schedule(at.max(self.now), Due::CrowdTake(place, Take { side, limit, lots }));
        true
    }

    /// Moves the invented price at this moment. `false` for an unknown symbol or a price off its grid.
    pub fn move_price(&mut self, at: Micros, symbol: &Symbol, price: Decimal) -> bool {
        self.begin(at);
        let Some(place) = self.pit(symbol) else {
            return false;
        };
        let Some(ticks) = self.grids[place].ticks(price) else {
            return false;
        };
        self.schedule(at.max(self.now), Due::MovePrice(place, ticks));
        true
    }

    /// The first moment: time begins, the ledger begins, the market opens.
    pub(super) fn begin(&mut self, now: Micros) {
        if self.begun {
            return;
        }
        self.begun = true;
        self.now = now;
        let lines = self.checkpoint_lines();
        self.out.extend(lines.into_iter().map(Emit::Ledger));
        self.open_market();
    }

    pub(super) fn open_market(&mut self) {
        for place in 0..self.pits.len() {
            if self.setup.fed {
                continue;
            }
            if self.setup.activity > 0 {
                self.schedule(self.now, Due::MarketStep(place));
            }
            self.stir(place);
        }
    }

    /// The caller's clock was set back: what was due in a while is due in the same while.
    fn set_back(&mut self, to: Micros) {
        let back_us = to.micros() - self.now.micros();
        let queue = std::mem::take(&mut self.queue);
        let moved = queue.into_iter().map(|((at, slot), due)| ((at.plus(back_us), slot), due));
        self.queue = moved.collect();
        self.now = to;
        for late in self.late.values_mut() {
            late.due = late.due.plus(back_us);
        }
        for order in self.orders.values_mut() {
            if let Some((due, _)) = &mut order.canceling {
                *due = due.plus(back_us);
            }
            order.created_at = order.created_at.min(to);
            if let Life::Closed(at, _) = &mut order.life {
                *at = to.min(*at);
            }
            for (at, _) in &mut order.fills {
                *at = to.min(*at);
            }
        }
        for holder in self.accounts.values_mut() {
            holder.countdown = holder.countdown.map(|due| due.plus(back_us));
            for filled in &mut holder.fills {
                filled.booked_at = to.min(filled.booked_at);
            }
            holder.order_push_lands = to;
            holder.fill_push_lands = to;
            holder.cancels = Bucket::new(self.setup.cancels_per_second);
            holder.creates = Bucket::new(self.setup.creates_per_second);
        }
        for pit in &mut self.pits {
            (pit.quoted_at, pit.quote_lands, pit.noted_at) = (to, to, to);
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Arrive(ticket, account, ask) => self.arrive(ticket, account, ask),
            Due::ExecuteLate(request) => self.execute_late(request),
            Due::CancelDone(no) => self.cancel_done(no),
            Due::Resume(no) => self.settle_new(no),
            Due::Countdown(account) => self.countdown_done(account),
            Due::MarketStep(place) => self.market_step(place),
            Due::CrowdTake(place, take) => {
                self.crowd_take(place, take);
            }
            Due::MovePrice(place, ticks) => self.price_moved(place, ticks),
            Due::ShowQuote(place) => self.show_quote(place),
            Due::Feed(place, fed) => self.fed(place, fed),
            Due::Deliver(emit) => self.out.push(emit),
        }
    }

    /// The next place in line.
    pub(super) fn slot(&mut self) -> u64 {
        self.last_slot += 1;
        self.last_slot
    }

    pub(super) fn schedule(&mut self, at: Micros, due: Due) {
        let slot = self.slot();
        self.queue.insert((at.max(self.now), slot), due);
    }

    pub(super) fn draw_latency(&mut self) -> i64 {
        let jitter_us = self.setup.latency_jitter_us;
        let extra = if jitter_us > 0 { self.chance.between(0, jitter_us) } else { 0 };
        self.setup.latency_us.max(0) + extra
    }

    pub(super) fn note(&mut self, line: Line) {
        let text = self.line_at(self.now, line);
        self.out.push(Emit::Ledger(text));
    }

    pub(super) fn line_at(&mut self, at: Micros, line: Line) -> String {
        self.last_seq += 1;
        Entry::new(self.last_seq, at, line).encode()
    }

    pub(super) fn pit(&self, symbol: &Symbol) -> Option<usize> {
        self.pits.iter().position(|pit| pit.symbol == *symbol)
    }

    /// Sends an answer back. `slot` was reserved before the request was carried out: with it the answer comes before the
    /// pushes of the same moment, without it after them.
    pub(super) fn deliver_answer(&mut self, ticket: Ticket, reply: Reply, slot: u64, extra_us: i64) {
        let lands = self.now.plus(self.draw_latency()).plus(extra_us);
        let slot = if self.chance.below(4) == 0 { self.slot() } else { slot };
        self.queue.insert((lands, slot), Due::Deliver(Emit::Answer(ticket, reply)));
    }

    /// Sends news to an account. Each stream keeps its order, unless a fault says otherwise.
    pub(super) fn push(&mut self, account: AccountId, push: Push) {
        if self.alone_until.is_some() {
            return;
        }
        let (place, client_id) = match &push {
            Push::Order(view) => (Place::OrderPush, view.client_id.clone()),
            Push::Fill(view) => (Place::FillPush, view.client_id.clone()),
        };
        let scene = Scene { place, account, client_ids: &[client_id.as_str()], live: false };
        let fault = self.faults.draw(&scene);
        let mut lands = self.now.plus(self.draw_latency());
        if let Some(holder) = self.accounts.get_mut(&account) {
            let last = match push {
                Push::Order(_) => &mut holder.order_push_lands,
                Push::Fill(_) => &mut holder.fill_push_lands,
            };
            lands = lands.max(*last);
            *last = lands;
        }
        let mut time_ms = None;
        if let Some(Fault::DelayedPush { by_ms }) = fault {
            lands = lands.plus_millis(i64::from(by_ms));
            time_ms = Some(lands.millis());
        }
        if let Some(fault) = &fault {
            self.note(Line::Fault {
                fault: fault.word().to_owned(),
                on: place,
                account,
                request: None,
                ticket: None,
                client_ids: vec![client_id],
                time_ms,
                detail: None,
            });
        }
        let copies = match fault {
            Some(Fault::LostPush) => 0,
            Some(Fault::DuplicatePush) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            self.schedule(lands, Due::Deliver(Emit::Push(account, push.clone())));
        }
    }

    pub(super) fn trade_id(number: u64) -> TradeId {
        TradeId::new(&format!("T{number}"))
    }

    pub(super) fn order_id(number: u64) -> VenueOrderId {
        VenueOrderId::new(&format!("V{number}"))
    }
}
