//! A market that is told, not invented: the best prices of somebody else's venue, which accounts trade against.
//!
//! Always holds: what accounts took from a price stays taken while the fed price stays there, however often it is told
//! again; an order that rests fills at its own price. Quotes leave as they were fed.
//! Never does: invent a trade between strangers. What the real market does beyond its touch is not known here.

use super::answers::{Emit, Quote};
use super::asks::Micros;
use super::book::Owner;
use super::market::Take;
use super::venue::{Due, Exchange};
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::order::Side;

/// The touch as it was fed, in ticks and lots; a price off the grid is moved away from the market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fed {
    pub(super) quote: Quote,
    pub(super) bid_ticks: Option<i64>,
    pub(super) bid_lots: i64,
    pub(super) ask_ticks: Option<i64>,
    pub(super) ask_lots: i64,
    /// What accounts took from each side at this price.
    bid_taken: i64,
    ask_taken: i64,
}

impl Fed {
    fn side(&self, side: Side) -> (Option<i64>, i64, i64) {
        match side {
            Side::Buy => (self.bid_ticks, self.bid_lots, self.bid_taken),
            Side::Sell => (self.ask_ticks, self.ask_lots, self.ask_taken),
        }
    }

    fn set_taken(&mut self, side: Side, taken: i64) {
        match side {
            Side::Buy => self.bid_taken = taken,
            Side::Sell => self.ask_taken = taken,
        }
    }
}

impl Exchange {
    /// Tells the best prices and quantities of the real market at this moment. `false` for an unknown symbol, amounts
    /// that are not positive, or a bid that is not below the ask; nothing changes then.
    pub fn feed(&mut self, at: Micros, symbol: &Symbol, bid: (Decimal, Decimal), ask: (Decimal, Decimal)) -> bool {
        self.begin(at);
        let Some(place) = self.pit(symbol) else {
            return false;
        };
        let positive = [bid.0, bid.1, ask.0, ask.1].iter().all(|amount| amount.is_positive());
        if !positive || bid.0 >= ask.0 {
            return false;
        }
        let rules = &self.grids[place].rules;
        let down = |amount: Decimal, step: Decimal| amount.steps_of(step).map(|(count, _)| count);
        let up = |amount: Decimal, step: Decimal| {
            amount.steps_of(step).map(|(count, exact)| if exact { count } else { count + 1 })
        };
        let fed = Fed {
            bid_ticks: down(bid.0, rules.tick).filter(|ticks| *ticks > 0),
            bid_lots: down(bid.1, rules.lot).unwrap_or(0),
            ask_ticks: up(ask.0, rules.tick),
            ask_lots: down(ask.1, rules.lot).unwrap_or(0),
            quote: Quote { symbol: symbol.clone(), bid: Some(bid), ask: Some(ask), at },
            bid_taken: 0,
            ask_taken: 0,
        };
        self.schedule(at.max(self.now), Due::Feed(place, fed));
        true
    }

    /// The real market moved: what it reaches fills, the rest of it stands where accounts can take it.
    pub(super) fn fed(&mut self, place: usize, mut fed: Fed) {
        let before = self.pits[place].fed.take();
        for side in [Side::Buy, Side::Sell] {
            let crowd = self.pits[place].book.crowd(side);
            let left: i64 = crowd.iter().map(|&(ticks, _)| self.crowd_lots(place, side, ticks)).sum();
            for (ticks, rank) in crowd {
                self.pits[place].book.remove(side, ticks, rank);
            }
            let (ticks, ..) = fed.side(side);
            if let Some((old_ticks, old_lots, old_taken)) = before.as_ref().map(|before| before.side(side))
                && old_ticks == ticks
            {
                // What was there and is not any more, accounts have taken.
                let stood = (old_lots - old_taken).max(0);
                fed.set_taken(side, old_taken + (stood - left).max(0));
            }
        }
        let quote = fed.quote.clone();
        self.pits[place].fed = Some(fed.clone());
        for side in [Side::Buy, Side::Sell] {
            let (Some(ticks), lots, taken) = fed.side(side) else {
                continue;
            };
            let there = (lots - taken).max(0);
            if there == 0 {
                continue;
            }
            let left = self.crowd_take(place, Take { side, limit: ticks, lots: there });
            fed.set_taken(side, taken + (there - left));
            if left > 0 {
                self.pits[place].book.add(side, ticks, Owner::Crowd, left);
            }
        }
        self.pits[place].market.set_fair_ticks(fed.bid_ticks.or(fed.ask_ticks).unwrap_or(1));
        self.pits[place].fed = Some(fed);
        if self.alone_until.is_none() {
            let lands = self.now.plus(self.draw_latency()).max(self.pits[place].quote_lands);
            self.pits[place].quote_lands = lands;
            self.schedule(lands, Due::Deliver(Emit::Quote(quote)));
        }
    }

    /// What the crowd has left at a price.
    fn crowd_lots(&self, place: usize, side: Side, ticks: i64) -> i64 {
        self.pits[place].book.crowd_lots(side, ticks)
    }
}
