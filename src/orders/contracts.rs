//! Contract positions as the venue shows them, held against ours, and how our books of an account begin.
//!
//! Always holds: books begin once in the life of a state directory. What the account holds of contracts at that moment
//! is taken over as an entry of its own, at the venue's entry price and told loudly; a difference found later is named
//! and never taken over.
//! Never does: judge by an answer that a trade or another entry has outrun.

use std::collections::BTreeMap;

use super::desk::Desk;
use crate::domain::action::{Action, Level};
use crate::domain::ids::{InstrumentId, TradeId, VenueId, VenueOrderId};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::money::Decimal;
use crate::domain::order::{Fill, FillKind, FillRow, Side};
use crate::domain::record::Record;
use crate::domain::request::PositionRow;
use crate::domain::time::{Boot, Stamp, Wall};

/// What the venue said of the account's contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// When it was asked.
    pub asked: Stamp,
    /// Rows of trades and entries that had come in when it was asked: with more since, it is of another moment.
    pub(super) n_rows: u64,
    /// What is not named is flat.
    pub held: BTreeMap<InstrumentId, PositionRow>,
}

impl Desk {
    pub(super) fn positions_in(&mut self, venue: VenueId, asked: (Stamp, u64), rows: Vec<PositionRow>) {
        let mut held = BTreeMap::new();
        for row in rows.into_iter().filter(|row| !row.qty.is_zero()) {
            held.insert(self.instrument_for(venue, &row.symbol), row);
        }
        let (asked, n_rows) = asked;
        self.accounts[usize::from(venue.0)].contracts = Some(Contracts { asked, n_rows, held });
    }

    /// What the venue said of the account's contracts, if it was asked since then and nothing has happened to the
    /// account since it was.
    fn contracts_since(&self, venue: VenueId, since: Boot) -> Option<&Contracts> {
        let account = self.account(venue);
        account.contracts.as_ref().filter(|told| told.asked.boot >= since && told.n_rows == account.n_rows)
    }

    /// Whether the venue told the account's contracts since then, and nothing has happened to the account since.
    pub fn knows_contracts(&self, venue: VenueId, since: Boot) -> bool {
        self.contracts_since(venue, since).is_some()
    }

    /// Contracts of which the venue shows more or less than our books, by over one lot: the venue's less ours.
    pub fn contract_drifts(&self, venue: VenueId) -> BTreeMap<InstrumentId, Decimal> {
        let Some(told) = &self.account(venue).contracts else { return BTreeMap::new() };
        let is_contract =
            |instrument: &&Instrument| instrument.venue == venue && instrument.rules.kind == InstrumentKind::Linear;
        let contracts = self.catalogue.instruments().iter().filter(is_contract);
        contracts.filter_map(|instrument| Some((instrument.id, self.contract_drift(told, instrument)?))).collect()
    }

    fn contract_drift(&self, told: &Contracts, instrument: &Instrument) -> Option<Decimal> {
        let theirs = told.held.get(&instrument.id).map_or(Decimal::ZERO, |row| row.qty);
        let ours = self.positions.get(&instrument.id).map_or(Decimal::ZERO, |position| position.qty);
        let drift = theirs.checked_sub(ours).unwrap_or(theirs);
        (drift.abs() > instrument.rules.lot).then_some(drift)
    }

    /// Begins our books of an account, once every fill of ours is booked: contracts are taken over as they are. `since`
    /// is when the fills were complete. `false` while the venue has not told.
    pub fn open_books(&mut self, venue: VenueId, since: Stamp, out: &mut Vec<Action>) -> bool {
        if self.account(venue).opened_at().is_some() {
            return true;
        }
        let (opened_at, held) = if self.catalogue.venue(venue).traits.tells_positions {
            let Some(told) = self.contracts_since(venue, since.boot) else { return false };
            (told.asked.wall, told.held.clone())
        } else {
            (since.wall, BTreeMap::new())
        };
        // Ours may show what the venue does not: from a run whose end nobody recorded.
        let known: Vec<_> = self.contract_ids(venue).collect();
        for instrument in known {
            self.take_over(venue, instrument, held.get(&instrument), opened_at, out);
        }
        self.accounts[usize::from(venue.0)].opened_at = Some(opened_at);
        let name = self.catalogue.venue(venue).name.clone();
        self.record(Record::Opened { venue: name, at: opened_at }, out);
        true
    }

    fn contract_ids(&self, venue: VenueId) -> impl Iterator<Item = InstrumentId> {
        let instruments = self.catalogue.instruments().iter();
        instruments
            .filter(move |known| known.venue == venue && known.rules.kind == InstrumentKind::Linear)
            .map(|it| it.id)
    }

    /// Books the difference between what the venue shows of a contract and what our fills make of it.
    fn take_over(
        &mut self,
        venue: VenueId,
        instrument: InstrumentId,
        row: Option<&PositionRow>,
        at: Wall,
        out: &mut Vec<Action>,
    ) {
        let ours = self.position(instrument);
        let theirs = row.map_or(Decimal::ZERO, |row| row.qty);
        let Some(drift) = theirs.checked_sub(ours.qty).filter(|drift| !drift.is_zero()) else { return };
        let symbol = self.catalogue.instrument(instrument).symbol().clone();
        let average = row.and_then(|row| row.entry).or(ours.average_price()).or(self.mark(instrument));
        // What our fills paid is a part of the venue's average: the rest cost the rest.
        let rest = average.and_then(|price| price.checked_mul(theirs)?.checked_sub(ours.cost)?.checked_div(drift));
        let entry = rest.filter(|price| price.is_positive()).or(average);
        let name = &self.catalogue.venue(venue).name;
        out.push(Action::Say(
            Level::Warn,
            format!(
                "{symbol}: {name} holds {theirs}, of which our books know {}: the rest is taken over at {}. It counts for every limit",
                ours.qty,
                entry.map_or("no known price".into(), |price| price.to_string()),
            ),
        ));
        let fill = Fill {
            trade_id: TradeId::new(&format!("opening:{symbol}:{}", at.millis())),
            price: entry.unwrap_or(Decimal::ZERO),
            qty: drift.abs(),
            fee: Decimal::ZERO,
            fee_asset: String::new(),
            maker: false,
            at,
        };
        let side = if drift.is_negative() { Side::Sell } else { Side::Buy };
        let row = FillRow {
            symbol,
            client_id: None,
            venue_order_id: VenueOrderId::new("opening"),
            side,
            kind: FillKind::Opening,
            fill,
        };
        if self.orders.claim_trade(venue, &row.fill.trade_id, at) {
            self.book_external(venue, instrument, &row, out);
        }
    }
}
