//! External entries: what happens to the account that is no trade of an order of ours. Trades of others, funding,
//! liquidations, deleveraging, settlements.
//!
//! Always holds: an entry is booked once, by the same memory of trade ids as our fills; it counts for position, profit
//! and every limit; the operator hears of it. What others did before our books began is in what the account held then,
//! and is not booked.
//! Never does: take a trade for foreign while an order of ours waits for the venue's id of it.
//!
//! A symbol that nobody configured is recorded under its own name with implied rules, closed for trading. Leaving such
//! entries out would leave their fees and losses out of the day's loss, and the account is one purse.

use super::desk::{Desk, Note};
use crate::domain::action::{Action, Level};
use crate::domain::ids::{InstrumentId, VenueId};
use crate::domain::order::{FillKind, FillRow};
use crate::domain::record::Record;
use crate::domain::time::Stamp;

impl Desk {
    /// Takes in a row that is no trade of an order known to be ours.
    pub(super) fn external(&mut self, at: Stamp, venue: VenueId, row: &FillRow, out: &mut Vec<Action>) {
        if self.may_be_ours(venue, row) {
            // The venue's name of some order of ours is still to come; the list is asked again then.
            self.defer(at, venue, row.fill.at);
            return;
        }
        if !self.orders.claim_trade(venue, &row.fill.trade_id, row.fill.at) {
            return;
        }
        self.accounts[usize::from(venue.0)].n_rows += 1;
        if row.kind == FillKind::Trade {
            self.tally.foreign_fills += 1;
        }
        if self.account(venue).opened_at().is_none_or(|opened| row.fill.at < opened) {
            return;
        }
        let instrument = self.instrument_for(venue, &row.symbol);
        self.book_external(venue, instrument, row, out);
    }

    /// A trade without a client id can be of an order of ours whose venue id nobody has told yet.
    fn may_be_ours(&self, venue: VenueId, row: &FillRow) -> bool {
        row.kind == FillKind::Trade
            && row.client_id.is_none()
            && self.orders.open_at(venue).any(|order| {
                order.key.venue_order_id.is_none() && order.key.symbol == row.symbol && order.terms.side == row.side
            })
    }

    /// Books an entry, records it and notes it. The caller has claimed its id.
    pub(super) fn book_external(
        &mut self,
        venue: VenueId,
        instrument: InstrumentId,
        row: &FillRow,
        out: &mut Vec<Action>,
    ) {
        let rules = &self.catalogue.instrument(instrument).rules;
        let (base, quote) = (rules.base.clone(), rules.quote.clone());
        let position = self.positions.entry(instrument).or_default();
        if position.book_external(row.kind, row.side, &row.fill, &base, &quote).is_err() {
            self.tally.unbookable_fills += 1;
            let (id, what) = (&row.fill.trade_id, row.kind.words());
            let text =
                format!("{}: entry {id} ({what}) is too large for the books; compare with the venue", row.symbol);
            out.push(Action::Say(Level::Error, text));
        }
        self.tally.externals += 1;
        let record = Record::External {
            venue: self.catalogue.venue(venue).name.clone(),
            symbol: row.symbol.clone(),
            what: row.kind,
            side: row.side,
            base,
            quote,
            fill: row.fill.clone(),
        };
        self.record(record, out);
        self.notes.push(Note::External { instrument, what: row.kind, words: external_words(row) });
    }
}

/// An entry in words: what, and what it moved.
fn external_words(row: &FillRow) -> String {
    let (symbol, fill) = (&row.symbol, &row.fill);
    let what = row.kind.words();
    let fee = match fill.fee {
        none if none.is_zero() => String::new(),
        paid if paid.is_positive() => format!(", {paid} {} paid", fill.fee_asset),
        got => format!(", {} {} received", -got, fill.fee_asset),
    };
    if row.kind.moves_quantity() {
        format!("{symbol}: {what}: {} {} @ {}{fee}", row.side, fill.qty, fill.price)
    } else {
        format!("{symbol}: {what}{fee}")
    }
}
