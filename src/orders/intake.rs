//! News from the venue: pushes, rows of lists, fills, prices. One door for all three machines.
//!
//! Always holds: a fill of ours is booked once, whatever the state of its order and whether or not we know it; an
//! order of ours that nobody here knew is taken in, never ignored.

use std::collections::BTreeMap;

use super::desk::{Desk, Note};
use super::machine::Order;
use super::moves::News;
use crate::domain::action::{Action, Level};
use crate::domain::event::{Event, Quote};
use crate::domain::ids::{ClientOrderId, InstrumentId, Symbol, VenueId};
use crate::domain::instrument::{InstrumentKind, InstrumentRules};
use crate::domain::money::{Decimal, Lots};
use crate::domain::order::{FillRow, Lsn, OrderKey, OrderRow, OrderState, OrderTerms, Side, TimeInForce, VenueStatus};
use crate::domain::record::{Intent, Record};
use crate::domain::time::Stamp;

/// Grid of an instrument that nobody configured and the venue told no rules of: fine enough for any real one.
const IMPLIED_GRID: Decimal = Decimal::from_units(1_000_000_000);

impl Desk {
    /// Takes in what concerns orders and accounts. Other events are the owner's.
    pub fn take(&mut self, at: Stamp, event: &Event, out: &mut Vec<Action>) {
        match event {
            Event::Answer(answer) => self.answer(at, (**answer).clone(), out),
            Event::Order(venue, row) => self.pushed(at, *venue, row, out),
            Event::Fill(venue, row) => self.fill(at, *venue, row, out),
            Event::Quote(quote) => self.quoted(quote),
            Event::Durable(durable) => self.durable(at, *durable, out),
            Event::Link(..)
            | Event::Disk(_)
            | Event::Saved(..)
            | Event::Command(..)
            | Event::Signal(_)
            | Event::Closed(..) => {}
        }
    }

    fn quoted(&mut self, quote: &Quote) {
        if let Some(instrument) = self.catalogue.find(quote.venue, &quote.symbol) {
            let price = |side: &Option<(Decimal, Decimal)>| side.as_ref().map(|(price, _)| *price);
            self.touch.insert(instrument.id, (price(&quote.bid), price(&quote.ask)));
        }
    }

    fn pushed(&mut self, at: Stamp, venue: VenueId, row: &OrderRow, out: &mut Vec<Action>) {
        let ours = row.our_id().is_some_and(|id| id.instance() == self.identity.instance);
        if ours || self.orders.by_venue_id(venue, &row.venue_order_id).is_some() {
            self.see(at, venue, row, out);
        }
    }

    /// Takes in a row about an order of ours, from a push, a query or a list.
    pub(super) fn see(&mut self, at: Stamp, venue: VenueId, row: &OrderRow, out: &mut Vec<Action>) {
        let known = self.orders.by_venue_id(venue, &row.venue_order_id).map(Order::id);
        let Some(id) = known.or_else(|| row.our_id()) else {
            return;
        };
        if self.orders.get(id).is_none() {
            if let VenueStatus::Ended(_) = row.status
                && row.filled.is_zero()
            {
                return; // Old news of an order that left nothing behind.
            }
            self.found(at, venue, id, row, out);
        }
        if let Err(refused) = self.orders.name(id, &row.venue_order_id) {
            out.push(Action::Say(Level::Error, format!("{refused}: it is watched under both names")));
        }
        self.mend_size(id, row);
        self.note_filled(id, Some(row.filled));
        let news = match row.status {
            VenueStatus::Open => News::SeenOpen,
            VenueStatus::PendingCancel => News::SeenCanceling,
            VenueStatus::Ended(outcome) => News::SeenEnded(outcome),
            VenueStatus::Strange => return,
        };
        self.news(at, id, news, &row.reason, out);
        if self.orders.get(id).is_some_and(|order| order.venue_filled > order.filled) {
            let due = at.boot.after(super::lists::FILL_PATIENCE);
            let account = &mut self.accounts[usize::from(venue.0)];
            account.fills_due = Some(account.fills_due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// An order that only a fill told us of gets its true size from the venue's row.
    fn mend_size(&mut self, id: ClientOrderId, row: &OrderRow) {
        let Some(order) = self.orders.get(id).filter(|order| order.intent == Lsn(0) && order.checked.is_none()) else {
            return;
        };
        if let Ok(qty) = self.catalogue.instrument(order.terms.instrument).qty(row.qty) {
            self.orders.mend_size(id, qty);
            self.sizes_unknown.remove(&id);
        }
    }

    /// A further fill of an order that only fills tell of: it is larger still, and must not look filled by a size that
    /// was made up.
    fn outgrow(&mut self, id: ClientOrderId, qty: Lots) {
        let Some(order) = self.orders.get(id).filter(|_| self.sizes_unknown.contains(&id)) else { return };
        let beyond = order.filled.checked_add(qty).and_then(|filled| filled.checked_add(Lots::new(1)?));
        if let Some(larger) = beyond.filter(|larger| *larger > order.terms.qty) {
            self.orders.mend_size(id, larger);
        }
    }

    pub(super) fn note_filled(&mut self, id: ClientOrderId, filled: Option<Decimal>) {
        let (Some(filled), Some(order)) = (filled, self.orders.get(id)) else {
            return;
        };
        let instrument = self.catalogue.instrument(order.terms.instrument);
        if let Ok(filled) = instrument.qty(filled) {
            self.orders.venue_says_filled(id, filled);
        }
    }

    /// An order of ours that nobody here knew: from an earlier run whose records are gone, or a create we thought dead.
    fn found(&mut self, at: Stamp, venue: VenueId, id: ClientOrderId, row: &OrderRow, out: &mut Vec<Action>) {
        let Some(terms) = self.terms_on_grid(venue, &row.symbol, (row.side, row.price, row.qty), TimeInForce::Gtc)
        else {
            let size = format!("{} {} @ {}", row.side, row.qty, row.price);
            out.push(Action::Say(Level::Error, format!("Order {id} ({size}) has numbers out of range")));
            return;
        };
        let key = OrderKey {
            venue,
            symbol: row.symbol.clone(),
            client_id: id,
            venue_order_id: Some(row.venue_order_id.clone()),
        };
        let intent = Record::Found(Intent {
            client_id: id,
            venue: self.catalogue.venue(venue).name.clone(),
            symbol: row.symbol.clone(),
            side: row.side,
            price: row.price,
            qty: row.qty,
            time_in_force: TimeInForce::Gtc,
            at: at.wall,
        });
        self.record(intent, out);
        self.orders.insert(Order {
            key,
            terms,
            state: OrderState::Unknown { since: at.boot, cancel_asked: false },
            filled: Lots::ZERO,
            venue_filled: Lots::ZERO,
            intent: Lsn(0),
            checked: None,
            handed_over_at: at.boot,
            changed_at: at.boot,
            reason: String::new(),
        });
        self.notes.push(Note::Found(id));
    }

    /// The terms of an order made elsewhere. What lies off the grid (the venue changed its rules) is rounded away from
    /// the market and up in size: a cancel needs the name, not the size.
    pub(super) fn terms_on_grid(
        &mut self,
        venue: VenueId,
        symbol: &Symbol,
        (side, price, qty): (Side, Decimal, Decimal),
        time_in_force: TimeInForce,
    ) -> Option<OrderTerms> {
        let instrument = self.instrument_for(venue, symbol);
        let grid = self.catalogue.instrument(instrument);
        let price = grid.price_away_from_market(side, price).ok()?;
        let (lots, exact) = qty.steps_of(grid.rules.lot)?;
        let qty = Lots::new(if exact { lots } else { lots + 1 })?;
        Some(OrderTerms { instrument, side, price, qty, time_in_force })
    }

    /// The instrument of a symbol; one nobody configured is taken in with an implied grid, closed for trading, so that
    /// an order of ours on it can still be cancelled and its fills booked.
    pub(super) fn instrument_for(&mut self, venue: VenueId, symbol: &Symbol) -> InstrumentId {
        if let Some(known) = self.catalogue.find(venue, symbol) {
            return known.id;
        }
        let mut assets = symbol.as_str().split('-');
        let rules = InstrumentRules {
            symbol: symbol.clone(),
            kind: if symbol.as_str().ends_with("-PERP") { InstrumentKind::Linear } else { InstrumentKind::Spot },
            base: assets.next().unwrap_or_default().to_owned(),
            quote: assets.next().unwrap_or_default().to_owned(),
            tick: IMPLIED_GRID,
            lot: IMPLIED_GRID,
            min_qty: Decimal::ZERO,
            max_qty: Decimal::ZERO,
            min_notional: Decimal::ZERO,
            tradable: false,
        };
        // The rules above are valid; only a 65,537th instrument would be refused, and then the first takes the blame.
        self.catalogue.learn(venue, rules).unwrap_or(InstrumentId(0))
    }

    /// Books a fill of ours, once.
    pub(super) fn fill(&mut self, at: Stamp, venue: VenueId, row: &FillRow, out: &mut Vec<Action>) {
        let by_client = row.client_id.as_deref().and_then(|text| text.parse::<ClientOrderId>().ok());
        let by_venue = self.orders.by_venue_id(venue, &row.venue_order_id).map(Order::id);
        let Some(id) = by_venue.or(by_client.filter(|id| id.instance() == self.identity.instance)) else {
            self.tally.foreign_fills += 1;
            return;
        };
        let is_found = self.orders.get(id).is_none();
        let instrument = self.instrument_for(venue, &row.symbol);
        if is_found {
            let lot = self.catalogue.instrument(instrument).rules.lot;
            self.found(at, venue, id, &row_from_fill(row, lot), out);
            self.sizes_unknown.insert(id);
        }
        let Ok(qty) = self.catalogue.instrument(instrument).qty(row.fill.qty) else {
            self.tally.unbookable_fills += 1;
            out.push(Action::Say(
                Level::Error,
                format!(
                    "Fill {} of {id}: {} is not a whole number of lots. It is not booked; compare with the venue",
                    row.fill.trade_id, row.fill.qty
                ),
            ));
            return;
        };
        if !self.orders.claim_trade(venue, &row.fill.trade_id, row.fill.at) {
            return;
        }
        self.book_position(venue, instrument, id, row, out);
        if let Err(refused) = self.orders.name(id, &row.venue_order_id) {
            out.push(Action::Say(Level::Error, format!("{refused}: it is watched under both names")));
        }
        self.outgrow(id, qty);
        match self.orders.book(at.boot, id, qty) {
            Ok(Some(moved)) => self.moved(at, id, moved.before, moved.after, out),
            Ok(None) => {}
            Err(refused) => {
                self.tally.refused_news += 1;
                out.push(Action::Say(Level::Warn, format!("A fill was booked, its order could not move: {refused}")));
            }
        }
        if is_found {
            // The fill shows that the order was there, not that it is gone: ask.
            self.doubts.raise(id, at.boot, at.boot);
        }
        self.notes.push(Note::Filled { id, instrument, side: row.side, qty, price: row.fill.price });
    }

    fn book_position(
        &mut self,
        venue: VenueId,
        instrument: InstrumentId,
        id: ClientOrderId,
        row: &FillRow,
        out: &mut Vec<Action>,
    ) {
        let rules = &self.catalogue.instrument(instrument).rules;
        let (base, quote) = (rules.base.clone(), rules.quote.clone());
        let position = self.positions.entry(instrument).or_default();
        if position.book(row.side, &row.fill, &base, &quote).is_err() {
            self.tally.unbookable_fills += 1;
            out.push(Action::Say(
                Level::Error,
                format!("Fill {} of {id} is too large for the books", row.fill.trade_id),
            ));
        }
        self.tally.fills += 1;
        let record = Record::Fill {
            client_id: id,
            venue: self.catalogue.venue(venue).name.clone(),
            symbol: row.symbol.clone(),
            side: row.side,
            base,
            quote,
            fill: row.fill.clone(),
        };
        self.record(record, out);
    }

    pub(super) fn balances_in(&mut self, venue: VenueId, balances: BTreeMap<String, Decimal>, out: &mut Vec<Action>) {
        let account = &mut self.accounts[usize::from(venue.0)];
        if account.balances != balances {
            account.balances.clone_from(&balances);
            let name = self.catalogue.venue(venue).name.clone();
            self.record(Record::Balances { venue: name, balances }, out);
        }
        self.notes.push(Note::Balances(venue));
    }
}

/// What a fill tells of its order when nothing else does: something more than this was asked for, at about this price.
/// The size is mended by the first row the venue shows of it.
fn row_from_fill(row: &FillRow, lot: Decimal) -> OrderRow {
    OrderRow {
        symbol: row.symbol.clone(),
        client_id: row.client_id.clone(),
        venue_order_id: row.venue_order_id.clone(),
        side: row.side,
        price: row.fill.price,
        qty: row.fill.qty.checked_add(lot).unwrap_or(row.fill.qty),
        filled: Decimal::ZERO,
        status: VenueStatus::Strange,
        reason: String::new(),
    }
}
