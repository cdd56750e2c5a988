//! News from the venue: pushes, rows of lists, fills, prices. One door for all three machines.
//!
//! Always holds: a fill of ours is booked once, whatever the state of its order and whether or not we know it, and so is
//! whatever else moves the account (`externals`); an order of ours that nobody here knew is taken in, never ignored.

use std::collections::BTreeMap;

use super::desk::{Desk, Note};
use super::machine::Order;
use super::moves::News;
use crate::domain::action::{Action, Level};
use crate::domain::event::{Event, MarketNews, Quote};
use crate::domain::ids::{ClientOrderId, InstrumentId, Symbol, VenueId, VenueOrderId};
use crate::domain::instrument::{InstrumentKind, InstrumentRules};
use crate::domain::money::{Decimal, Lots};
use crate::domain::order::{
    FillKind, FillRow, OrderKey, OrderRow, OrderState, OrderTerms, Side, TimeInForce, VenueStatus,
};
use crate::domain::record::{Intent, Record};
use crate::domain::time::Stamp;

/// Grid of an instrument that nobody configured and the venue told no rules of: fine enough for any real one.
const IMPLIED_GRID: Decimal = Decimal::from_units(1_000_000_000);

impl Desk {
    /// Takes in what concerns orders and accounts. Other events are the owner's.
    pub fn take(&mut self, at: Stamp, event: &Event, out: &mut Vec<Action>) {
        match event {
            Event::Answer(answer) => self.answer(at, (**answer).clone(), out),
            Event::Order(venue, row) => self.see(at, *venue, row, out),
            Event::Fill(venue, row) => self.fill(at, *venue, row, out),
            Event::Quote(quote) => self.quoted(quote),
            Event::Market(news) => self.market_told(news),
            Event::Link(venue, stream, state) => self.stream_changed(at, *venue, *stream, state),
            Event::Durable(durable) => self.durable(at, *durable, out),
            Event::Limits(venue, news) => self.catalogue.learn_limit(*venue, *news),
            Event::Disk(_) | Event::Saved(..) | Event::Command(..) | Event::Signal(_) | Event::Closed(..) => {}
        }
    }

    fn quoted(&mut self, quote: &Quote) {
        if let Some(instrument) = self.catalogue.find(quote.venue, &quote.symbol) {
            let price = |side: &Option<(Decimal, Decimal)>| side.as_ref().map(|(price, _)| *price);
            self.touch.insert(instrument.id, (price(&quote.bid), price(&quote.ask)));
        }
    }

    /// A contract is worth what the venue says it is: that is what it liquidates by.
    fn market_told(&mut self, news: &MarketNews) {
        let Some(mark) = news.ticker.as_ref().and_then(|ticker| ticker.mark).filter(|mark| mark.is_positive()) else {
            return;
        };
        if let Some(instrument) = self.catalogue.find(news.venue, &news.symbol)
            && instrument.rules.kind == InstrumentKind::Linear
        {
            self.venue_marks.insert(instrument.id, mark);
        }
    }

    /// Which order of ours a row or a fill is about: by our own id where the venue shows it, else by the venue's.
    pub(super) fn whose(
        &self,
        venue: VenueId,
        client_id: Option<&str>,
        venue_order_id: &VenueOrderId,
    ) -> Option<ClientOrderId> {
        let shown = client_id.and_then(|text| text.parse::<ClientOrderId>().ok());
        shown
            .filter(|id| id.instance() == self.identity.instance)
            .or_else(|| self.orders.by_venue_id(venue, venue_order_id).map(Order::id))
    }

    /// Takes in a row from a push, a query or a list, if it is about an order of ours.
    pub(super) fn see(&mut self, at: Stamp, venue: VenueId, row: &OrderRow, out: &mut Vec<Action>) {
        let Some(id) = self.whose(venue, row.client_id.as_deref(), &row.venue_order_id) else {
            return;
        };
        if self.orders.get(id).is_none() {
            if let VenueStatus::Ended(_) = row.status {
                // Old news of an order that was forgotten or never known here. What it traded, if anything, is in the
                // list of fills; taking the order in again would wait for fills that were booked long ago.
                if !row.filled.is_zero() {
                    self.expect_fills(at, venue);
                }
                return;
            }
            self.found(at, venue, id, row, out);
        }
        self.name(id, &row.venue_order_id, out);
        self.mend_size(at, id, row, out);
        self.note_filled(at, id, Some(row.filled));
        let news = match row.status {
            VenueStatus::Open => News::SeenOpen,
            VenueStatus::PendingCancel => News::SeenCanceling,
            VenueStatus::Ended(outcome) => News::SeenEnded(outcome),
            VenueStatus::Strange => return,
        };
        self.news(at, id, news, &row.reason, out);
    }

    /// Takes in the venue's id of an order.
    pub(super) fn name(&mut self, id: ClientOrderId, told: &VenueOrderId, out: &mut Vec<Action>) {
        // A row without one names nobody: a cancel by an empty id would be refused for ever.
        if told.as_str().is_empty() {
            return;
        }
        if let Err(refused) = self.orders.name(id, told) {
            self.tally.refused_news += 1;
            out.push(Action::Say(Level::Error, format!("{refused}. Compare both with the venue's own page")));
        }
    }

    /// An order that only a fill told us of, in this run or an earlier one, gets its true size from the venue's row.
    fn mend_size(&mut self, at: Stamp, id: ClientOrderId, row: &OrderRow, out: &mut Vec<Action>) {
        let Some(order) = self.orders.get(id).filter(|order| order.checked.is_none()) else { return };
        let terms = order.terms;
        let instrument = self.catalogue.instrument(terms.instrument);
        let Ok(qty) = instrument.qty(row.qty) else { return };
        if qty != terms.qty {
            let price = instrument.price_of(terms.price);
            let record = self.found_record(at, id, (order.key.venue, price), row);
            self.record(record, out);
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

    /// What the venue says is filled in all. What of it was not told trade by trade is asked for, if no push brings it.
    pub(super) fn note_filled(&mut self, at: Stamp, id: ClientOrderId, filled: Option<Decimal>) {
        let (Some(filled), Some(order)) = (filled, self.orders.get(id)) else {
            return;
        };
        let venue = order.key.venue;
        let Ok(filled) = self.catalogue.instrument(order.terms.instrument).qty(filled) else { return };
        if filled > order.filled {
            self.expect_fills(at, venue);
        }
        self.orders.venue_says_filled(id, filled);
    }

    /// A fill happened that was not told trade by trade: the list is asked, if no push brings it first.
    fn expect_fills(&mut self, at: Stamp, venue: VenueId) {
        let due = at.boot.after(super::lists::FILL_PATIENCE);
        let account = &mut self.accounts[usize::from(venue.0)];
        account.fills_due = Some(account.fills_due.map_or(due, |earlier| earlier.min(due)));
    }

    fn found_record(&self, at: Stamp, id: ClientOrderId, (venue, price): (VenueId, Decimal), row: &OrderRow) -> Record {
        Record::Found(Intent {
            client_id: id,
            venue: self.catalogue.venue(venue).name.clone(),
            symbol: row.symbol.clone(),
            side: row.side,
            price,
            qty: row.qty,
            time_in_force: TimeInForce::Gtc,
            at: at.wall,
        })
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
            venue_order_id: Some(row.venue_order_id.clone()).filter(|told| !told.as_str().is_empty()),
        };
        let record = self.found_record(at, id, (venue, row.price), row);
        self.record(record, out);
        self.orders.insert(Order {
            key,
            terms,
            state: OrderState::Unknown { since: at.boot, cancel_asked: false },
            filled: Lots::ZERO,
            venue_filled: Lots::ZERO,
            checked: None,
            handed_over_at: at.boot,
            changed_at: at.boot,
            reason: String::new(),
        });
        self.found.insert(id);
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
            kind: InstrumentKind::of_symbol(symbol),
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

    /// Books a fill of ours, or what else moved the account, once.
    pub(super) fn fill(&mut self, at: Stamp, venue: VenueId, row: &FillRow, out: &mut Vec<Action>) {
        let owner = self.whose(venue, row.client_id.as_deref(), &row.venue_order_id);
        let Some(id) = owner.filter(|_| row.kind == FillKind::Trade) else {
            return self.external(at, venue, row, out);
        };
        // Before anything else: lists overlap, and a trade booked long ago may be of an order nobody remembers. That one
        // is not found anew; its fills would be owed for ever.
        if !self.orders.claim_trade(venue, &row.fill.trade_id, row.fill.at) {
            return;
        }
        self.accounts[usize::from(venue.0)].n_rows += 1;
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
        self.book_position(venue, instrument, id, row, out);
        self.name(id, &row.venue_order_id, out);
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
            let arrives_by = self.orders.get(id).map_or(at.boot, |order| self.arrives_by(order));
            self.doubts.raise(venue, id, at.boot, arrives_by);
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
