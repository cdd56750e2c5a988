//! The crowd: carries out on the book what the invented market says, and shows the best prices.
//!
//! Always holds: the crowd never trades with itself by standing; prices are shown only when they changed. With an
//! activity of 0 the crowd is painted: its prices are shown and count for post-only, but nobody trades with it, and an
//! order that would have taken from it rests.

use super::answers::{Emit, Quote};
use super::book::Owner;
use super::ledger::Line;
use super::market::Take;
use super::trading::Taker;
use super::venue::{Due, Exchange, Touch};
use crate::domain::order::Side;

/// How often a price is noted in the ledger, at most.
const NOTE_EVERY_US: i64 = 10_000_000;

impl Exchange {
    /// One step of an instrument's market.
    pub(super) fn market_step(&mut self, place: usize) {
        let wait_us = self.step_wait_us(place);
        match self.alone_until {
            // Nobody was there to see this part: the market sleeps through it.
            Some(wakes) if wakes > self.now => return self.schedule(wakes, Due::MarketStep(place)),
            _ => self.schedule(self.now.plus(wait_us), Due::MarketStep(place)),
        }
        let step = self.pits[place].market.step();
        self.clear_stale(place, step.bid, step.ask, step.reach);
        for take in step.takes {
            self.crowd_take(place, take);
        }
        for (side, ticks, lots) in step.posts {
            self.crowd_post(place, side, ticks, lots);
        }
        self.stir(place);
        self.note_price(place);
    }

    fn step_wait_us(&mut self, place: usize) -> i64 {
        let mean_us = 100_000_000 / i64::from(self.setup.activity.max(1));
        let chance = self.pits[place].market.chance();
        chance.between(mean_us / 2, mean_us + mean_us / 2).max(1_000)
    }

    /// Takes away the crowd's entries that the price has passed or left behind, and some others.
    fn clear_stale(&mut self, place: usize, best_bid: i64, best_ask: i64, reach: i64) {
        let pit = &mut self.pits[place];
        for side in [Side::Buy, Side::Sell] {
            for (ticks, rank) in pit.book.crowd(side) {
                let stands_well = match side {
                    Side::Buy => ticks <= best_bid && ticks >= best_bid - reach,
                    Side::Sell => ticks >= best_ask && ticks <= best_ask + reach,
                };
                if !stands_well || pit.market.chance().below(4) == 0 {
                    pit.book.remove(side, ticks, rank);
                }
            }
        }
    }

    /// Someone of the crowd takes; the answer is what was left.
    pub(super) fn crowd_take(&mut self, place: usize, take: Take) -> i64 {
        let taken = self.take(Taker::Crowd, place, take.side, take.limit, take.lots);
        taken.left
    }

    /// Someone of the crowd would stand here; an account's order in the way is traded with first.
    fn crowd_post(&mut self, place: usize, side: Side, ticks: i64, lots: i64) {
        let pit = &mut self.pits[place];
        if pit.book.crowd_at(side, ticks) {
            return;
        }
        let mut lots = lots;
        if pit.book.front(side, ticks).is_some() && pit.market.chance().below(2) == 0 {
            // The price moves into a resting order bit by bit as often as at a blow.
            lots = pit.market.small_lots();
        }
        let left = self.crowd_take(place, Take { side, limit: ticks, lots });
        if left > 0 {
            self.pits[place].book.add(side, ticks, Owner::Crowd, left);
        }
    }

    pub(super) fn price_moved(&mut self, place: usize, ticks: i64) {
        self.pits[place].market.set_fair_ticks(ticks);
        self.stir(place);
        self.note_price(place);
    }

    fn note_price(&mut self, place: usize) {
        let pit = &mut self.pits[place];
        let ticks = pit.market.fair_ticks();
        let waited = pit.noted_at.plus(NOTE_EVERY_US) <= self.now;
        if waited && pit.noted_ticks != ticks {
            let line = self.market_line(place);
            self.note(line);
            let pit = &mut self.pits[place];
            (pit.noted_at, pit.noted_ticks) = (self.now, ticks);
        }
    }

    pub(super) fn market_line(&self, place: usize) -> Line {
        let pit = &self.pits[place];
        Line::Market { symbol: pit.symbol.clone(), price: self.grids[place].price(pit.market.fair_ticks()) }
    }

    /// The best prices at this moment, the painted ones included.
    pub(super) fn touch(&self, place: usize) -> Touch {
        let pit = &self.pits[place];
        let (bid, ask) = (pit.book.best(Side::Buy), pit.book.best(Side::Sell));
        if let Some(fed) = &pit.fed {
            // What it shows counts for post-only also where accounts have taken it already.
            let shown_bid = fed.bid_ticks.map(|ticks| (ticks, fed.bid_lots));
            let shown_ask = fed.ask_ticks.map(|ticks| (ticks, fed.ask_lots));
            let better = |own: Option<(i64, i64)>, shown: Option<(i64, i64)>, side: Side| match (own, shown) {
                (Some(own), Some(shown)) if side == Side::Buy => Some(if own.0 > shown.0 { own } else { shown }),
                (Some(own), Some(shown)) => Some(if own.0 < shown.0 { own } else { shown }),
                (own, shown) => own.or(shown),
            };
            return (better(bid, shown_bid, Side::Buy), better(ask, shown_ask, Side::Sell));
        }
        if self.setup.activity > 0 || self.setup.fed {
            return (bid, ask);
        }
        let (painted_bid, painted_ask) = pit.market.painted();
        let bid = bid.filter(|(ticks, _)| *ticks > painted_bid.0).unwrap_or(painted_bid);
        let ask = ask.filter(|(ticks, _)| *ticks < painted_ask.0).unwrap_or(painted_ask);
        (Some(bid), Some(ask))
    }

    /// The book changed: a quote is due when its time has come.
    pub(super) fn stir(&mut self, place: usize) {
        let pit = &mut self.pits[place];
        if pit.quote_due || self.setup.fed {
            return;
        }
        pit.quote_due = true;
        let every_us = self.setup.quote_every_us.max(0);
        let at = if pit.quoted.is_none() {
            self.now
        } else {
            // Up to a tenth earlier or later, as no venue is a clock.
            let jitter_us = self.chance.between(-every_us / 10, every_us / 10);
            pit.quoted_at.plus(every_us + jitter_us)
        };
        self.schedule(at, Due::ShowQuote(place));
    }

    pub(super) fn show_quote(&mut self, place: usize) {
        let touch = self.touch(place);
        let now = self.now;
        let lands = now.plus(self.draw_latency());
        let pit = &mut self.pits[place];
        pit.quote_due = false;
        if self.setup.fed {
            return;
        }
        let empty = touch == (None, None) && pit.quoted.is_none();
        if empty || pit.quoted == Some(touch) || self.alone_until.is_some() {
            return;
        }
        pit.quoted = Some(touch);
        pit.quoted_at = now;
        pit.quote_lands = pit.quote_lands.max(lands);
        let lands = pit.quote_lands;
        let quote = self.quote_of(place, touch);
        self.schedule(lands, Due::Deliver(Emit::Quote(quote)));
    }

    pub(super) fn quote_of(&self, place: usize, touch: Touch) -> Quote {
        let grid = &self.grids[place];
        let amounts = |(ticks, lots)| (grid.price(ticks), grid.qty(lots));
        Quote {
            symbol: self.pits[place].symbol.clone(),
            bid: touch.0.map(amounts),
            ask: touch.1.map(amounts),
            at: self.now,
        }
    }
}
