//! The quotes of one instrument: what rests on each level, and what a level still has to put out.
//!
//! Always holds: a level has at most one quote; what it filled, shows and owes is a whole multiple of `order_qty`.
//! Never does: decide where a quote belongs, or wish for anything.

use super::super::market::{Spread, Touch};
use super::super::strategy::Backoff;
use super::SIDES;
use crate::domain::ids::{ClientOrderId, InstrumentId};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Decimal, Lots, PriceTicks};
use crate::domain::order::Side;

/// One instrument's quotes.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) instrument: InstrumentId,
    pub(super) order_lots: Lots,
    /// Nearest first; buys, sells.
    pub(super) sides: [Vec<Level>; 2],
    /// The last best prices that were not ours alone; bid, ask.
    pub(super) foreign: [Option<PriceTicks>; 2],
    pub(super) told_too_small: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    pub(super) quote: Option<Quote>,
    /// Still to be put out of the current `order_qty`; none when the next one is due.
    pub(super) owed: Lots,
    /// A limit refused more than `order_qty` at once: leftovers wait.
    pub(super) no_extra: bool,
    pub(super) backoff: Backoff,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    /// None while it is only wished for.
    pub(super) client_id: Option<ClientOrderId>,
    pub(super) price: PriceTicks,
    pub(super) qty: Lots,
    pub(super) filled: Lots,
    pub(super) cancel_wished: bool,
}

impl Quote {
    pub(super) fn open(&self) -> Lots {
        self.qty.less(self.filled)
    }
}

impl Level {
    /// How much to quote next, of what `fits`; what stays owed is noted.
    pub(super) fn choose(&mut self, order: Lots, fits: impl Fn(Lots) -> bool) -> Option<Lots> {
        if self.owed.is_zero() {
            self.owed = order;
        }
        let fits = |qty: Lots| fits(qty) && !(self.no_extra && qty > order);
        let (owed, both) = (self.owed, self.owed.checked_add(order));
        if fits(owed) {
            self.owed = Lots::ZERO;
            return Some(owed);
        }
        if let Some(both) = both.filter(|&both| owed < order && fits(both)) {
            self.owed = Lots::ZERO;
            return Some(both);
        }
        if !fits(order) {
            return None;
        }
        // Less than one quote owed: the next quote goes out by itself and the leftover goes on waiting.
        if owed >= order {
            self.owed = owed.less(order);
        }
        Some(order)
    }

    pub(super) fn owe(&mut self, lots: Lots) {
        self.owed = self.owed.checked_add(lots).unwrap_or(self.owed);
    }
}

impl Book {
    pub(super) fn new(instrument: InstrumentId, order_lots: Lots, levels: usize) -> Book {
        let side = vec![Level::default(); levels];
        Book { instrument, order_lots, sides: [side.clone(), side], foreign: [None, None], told_too_small: false }
    }

    /// The middle of what others quote, in half ticks.
    pub(super) fn foreign_middle(&mut self, instrument: &Instrument, spread: Spread) -> Option<i64> {
        let touches = [spread.bid, spread.ask];
        let mut middle = 0_i64;
        for (number, touch) in touches.into_iter().enumerate() {
            let behind = |price: &PriceTicks| match SIDES[number] {
                Side::Buy => *price <= touch.price,
                Side::Sell => *price >= touch.price,
            };
            let price = if self.stands_alone(number, instrument, touch) {
                self.foreign[number].filter(behind).unwrap_or(touch.price)
            } else {
                self.foreign[number] = Some(touch.price);
                touch.price
            };
            middle = middle.checked_add(price.count())?;
        }
        Some(middle)
    }

    /// Whether all that stands at this touch is ours.
    pub(super) fn stands_alone(&self, side: usize, instrument: &Instrument, touch: Touch) -> bool {
        let mut ours = Decimal::ZERO;
        for quote in self.sides[side].iter().filter_map(|level| level.quote.as_ref()) {
            if quote.client_id.is_some() && quote.price == touch.price {
                ours = ours.checked_add(instrument.qty_of(quote.open())).unwrap_or(ours);
            }
        }
        ours >= touch.qty
    }

    pub(super) fn nearest_own(&self, side: Side) -> Option<PriceTicks> {
        let number = usize::from(side == Side::Sell);
        let prices = self.sides[number].iter().filter_map(|level| Some(level.quote?.price));
        match side {
            Side::Buy => prices.max(),
            Side::Sell => prices.min(),
        }
    }
}
