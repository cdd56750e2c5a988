//! The state on disk: the fold of the journal. `state.json` holds it; replay and the store thread make it with the
//! same function.
//!
//! Always holds: `apply` is total (a record that does not fit is counted, never a panic) and depends on nothing but
//! the state and the record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{ClientOrderId, Epoch, Symbol, TradeId, VenueOrderId};
use super::money::Decimal;
use super::order::{Fill, FillKind, Lsn, Side, StateName, TimeInForce};
use super::position::Position;
use super::record::{Intent, Moved, Record, RiskState};
use super::time::Wall;

/// The version of the file's form.
pub const STATE_VERSION: u32 = 1;
/// Ended orders kept for people and for late fills.
pub const RECENTLY_CLOSED_MAX: usize = 200;
/// A trade id is remembered this long after the cursor passed it, so that an overlapping list never books it twice.
pub const TRADE_MEMORY_MS: i64 = 15 * 60 * 1000;

/// An order as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedOrder {
    /// Our id.
    pub client_id: ClientOrderId,
    /// The venue's id, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// At.
    pub price: Decimal,
    /// How much.
    pub qty: Decimal,
    /// Booked fills.
    pub filled: Decimal,
    /// For how long.
    pub time_in_force: TimeInForce,
    /// Found at a venue, not made by a run this file knows: fills of it may lie before the file begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
    /// Where it stands.
    pub state: StateName,
    /// Why it ended, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it was intended.
    pub created_at: Wall,
    /// When it last changed.
    pub updated_at: Wall,
}

/// Open orders and the ones that ended last.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedOrders {
    /// Not ended: `NEW`, or may rest.
    pub open: BTreeMap<ClientOrderId, SavedOrder>,
    /// Ended last, oldest first; at most `RECENTLY_CLOSED_MAX`.
    pub recently_closed: Vec<SavedOrder>,
}

/// What is known of one venue account.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedVenue {
    /// Our books of it begin here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Wall>,
    /// All fills up to here are booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booked_to: Option<Wall>,
    /// Trades near the cursor, so that none is booked twice.
    #[serde(default)]
    pub recent_trades: BTreeMap<TradeId, Wall>,
    /// What the account holds, as the venue last said.
    #[serde(default)]
    pub balances: BTreeMap<String, Decimal>,
    /// Positions by symbol.
    #[serde(default)]
    pub positions: BTreeMap<Symbol, Position>,
}

/// A strategy's letter and memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedStrategy {
    /// Its letter in client ids.
    pub letter: char,
    /// Its own memory.
    #[serde(default)]
    pub memory: serde_json::Value,
}

/// All we know, as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Form of the file.
    pub version: u32,
    /// Whose it is.
    pub instance: String,
    /// The machine it was written on.
    pub host: String,
    /// The last run.
    pub epoch: Epoch,
    /// Counts the saves.
    pub generation: u64,
    /// `DRY_RUN`, `PAPER` or `LIVE`.
    pub mode: String,
    /// The last record folded in.
    pub journal_seq: Lsn,
    /// Orders.
    pub orders: SavedOrders,
    /// Accounts by the operator's name for them.
    pub venues: BTreeMap<String, SavedVenue>,
    /// Strategies by name.
    pub strategies: BTreeMap<String, SavedStrategy>,
    /// The risk gate's memory.
    pub risk: RiskState,
    /// Records that did not fit when folded; 0 in a sound file.
    #[serde(default)]
    pub misfits: u64,
    /// When it was written.
    pub saved_at: Wall,
}

impl State {
    /// The state before the first record.
    pub fn empty(instance: &str, host: &str, mode: &str) -> State {
        State {
            version: STATE_VERSION,
            instance: instance.to_owned(),
            host: host.to_owned(),
            epoch: Epoch(0),
            generation: 0,
            mode: mode.to_owned(),
            journal_seq: Lsn(0),
            orders: SavedOrders::default(),
            venues: BTreeMap::new(),
            strategies: BTreeMap::new(),
            risk: RiskState::default(),
            misfits: 0,
            saved_at: Wall::default(),
        }
    }

    /// Folds one record in. The same for a live process and for replay. A record at or before `journal_seq` is
    /// already in and changes nothing.
    pub fn apply(&mut self, lsn: Lsn, record: &Record) {
        if lsn <= self.journal_seq {
            return;
        }
        self.journal_seq = lsn;
        match record {
            Record::Epoch { epoch, .. } => self.epoch = self.epoch.max(*epoch),
            Record::Intent(intent) => self.open(intent, StateName::New, false),
            Record::Found(intent) => self.found(intent),
            Record::Moved(moved) => self.moved(moved),
            Record::Fill { client_id, venue, symbol, side, base, quote, fill } => {
                self.fill(*client_id, venue, symbol, *side, (base, quote), fill);
            }
            Record::External { venue, symbol, what, side, base, quote, fill } => {
                self.external(venue, symbol, (*what, *side), (base, quote), fill);
            }
            Record::Opened { venue, at } => {
                self.venue(venue).opened_at.get_or_insert(*at);
            }
            Record::BookedBefore { client_id, filled } => {
                if let Some(order) = self.orders.known(*client_id) {
                    order.count(*filled);
                }
            }
            Record::Cursor { venue, booked_to } => self.venue(venue).pass_cursor(*booked_to),
            Record::Balances { venue, balances } => self.venue(venue).balances.clone_from(balances),
            Record::Risk(risk) => self.risk = risk.clone(),
            Record::Strategy { name, letter, memory } => {
                self.strategies.insert(name.clone(), SavedStrategy { letter: *letter, memory: memory.clone() });
            }
        }
    }

    fn venue(&mut self, name: &str) -> &mut SavedVenue {
        self.venues.entry(name.to_owned()).or_default()
    }

    fn open(&mut self, intent: &Intent, state: StateName, found: bool) {
        let order = SavedOrder {
            client_id: intent.client_id,
            venue_order_id: None,
            venue: intent.venue.clone(),
            symbol: intent.symbol.clone(),
            side: intent.side,
            price: intent.price,
            qty: intent.qty,
            filled: Decimal::ZERO,
            time_in_force: intent.time_in_force,
            found,
            state,
            reason: String::new(),
            created_at: intent.at,
            updated_at: intent.at,
        };
        if self.orders.open.insert(intent.client_id, order).is_some() {
            self.misfits += 1;
        }
    }

    /// An order that nobody knew, or the true size of one that only a fill had told of.
    fn found(&mut self, intent: &Intent) {
        match self.orders.known(intent.client_id) {
            Some(order) => order.qty = intent.qty,
            None => self.open(intent, StateName::Unknown, true),
        }
    }

    fn moved(&mut self, moved: &Moved) {
        if let Some(order) = self.orders.open.get_mut(&moved.client_id) {
            order.take(moved);
            if moved.state.is_terminal()
                && let Some(order) = self.orders.open.remove(&moved.client_id)
            {
                self.orders.recently_closed.push(order);
                let surplus = self.orders.recently_closed.len().saturating_sub(RECENTLY_CLOSED_MAX);
                self.orders.recently_closed.drain(..surplus);
            }
            return;
        }
        match self.orders.recently_closed.iter_mut().rev().find(|order| order.client_id == moved.client_id) {
            // A late fill turns CANCELED into FILLED; nothing else moves an ended order.
            Some(order) if moved.state.is_terminal() => order.take(moved),
            // It ended so long ago that the file has dropped it; the desk remembers more of them.
            None if moved.state.is_terminal() => {}
            _ => self.misfits += 1,
        }
    }

    fn fill(
        &mut self,
        client_id: ClientOrderId,
        venue: &str,
        symbol: &Symbol,
        side: Side,
        assets: (&str, &str),
        fill: &Fill,
    ) {
        let account = self.venue(venue);
        if account.recent_trades.insert(fill.trade_id.clone(), fill.at).is_some() {
            self.misfits += 1;
            return;
        }
        let position = account.positions.entry(symbol.clone()).or_default();
        let booked = position.book(side, fill, assets.0, assets.1).is_ok();
        if let Some(order) = self.orders.known(client_id) {
            order.count(order.filled.checked_add(fill.qty).unwrap_or(order.filled));
        }
        if !booked {
            self.misfits += 1;
        }
    }

    fn external(
        &mut self,
        venue: &str,
        symbol: &Symbol,
        (what, side): (FillKind, Side),
        assets: (&str, &str),
        fill: &Fill,
    ) {
        let account = self.venue(venue);
        if account.recent_trades.insert(fill.trade_id.clone(), fill.at).is_some() {
            self.misfits += 1;
            return;
        }
        let position = account.positions.entry(symbol.clone()).or_default();
        if position.book_external(what, side, fill, assets.0, assets.1).is_err() {
            self.misfits += 1;
        }
    }
}

impl SavedOrders {
    fn known(&mut self, id: ClientOrderId) -> Option<&mut SavedOrder> {
        match self.open.get_mut(&id) {
            Some(order) => Some(order),
            None => self.recently_closed.iter_mut().rev().find(|order| order.client_id == id),
        }
    }
}

impl SavedOrder {
    fn count(&mut self, filled: Decimal) {
        self.filled = filled;
        if self.state == StateName::Open && !filled.is_zero() {
            self.state = StateName::PartiallyFilled;
        }
    }

    fn take(&mut self, moved: &Moved) {
        self.state = moved.state;
        self.updated_at = moved.at;
        if moved.venue_order_id.is_some() {
            self.venue_order_id.clone_from(&moved.venue_order_id);
        }
        if !moved.reason.is_empty() {
            self.reason.clone_from(&moved.reason);
        }
    }
}

impl SavedVenue {
    fn pass_cursor(&mut self, booked_to: Wall) {
        self.booked_to = self.booked_to.max(Some(booked_to));
        let forget_before = booked_to.plus_millis(-TRADE_MEMORY_MS);
        self.recent_trades.retain(|_, at| *at >= forget_before);
    }
}
