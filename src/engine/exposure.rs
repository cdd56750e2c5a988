//! What our orders could do if they filled: sums over every order that counts for limits (`NEW`, `SENT`, `UNKNOWN`,
//! `OPEN`, `PARTIALLY_FILLED`, `PENDING_CANCEL`), kept up to date order by order.
//!
//! Always holds: the sums are those of the orders added and not removed; each operation costs the logarithm of the
//! number of different prices on one side of one instrument, never a walk over the orders.
//! Never does: hold orders. The order machine holds them and reports each change here.

use std::collections::BTreeMap;

use crate::domain::ids::{InstrumentId, VenueId};
use crate::domain::instrument::Catalogue;
use crate::domain::money::{Decimal, Lots, PriceTicks};
use crate::domain::order::{OrderTerms, Side};

/// The sums of one side of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SideExposure {
    /// How many orders.
    pub orders: u32,
    /// What is open of them, in lots.
    pub lots: i128,
    /// Ticks times lots of what is open. `None` once a sum did not fit: it stays so, and every limit refuses.
    pub tick_lots: Option<i128>,
    /// The lowest price among them.
    pub lowest: Option<PriceTicks>,
    /// The highest price among them.
    pub highest: Option<PriceTicks>,
}

/// What was to be taken off was never put on: the caller's books and these sums have parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exposure cannot give back {lots:?} lots at tick {price:?}: it does not hold them")]
pub struct NotHeld {
    /// At which price.
    pub price: PriceTicks,
    /// How much.
    pub lots: Lots,
}

#[derive(Clone, Debug)]
struct Sums {
    lots: i128,
    tick_lots: Option<i128>,
    orders: u32,
    /// How many orders lie at each price.
    prices: BTreeMap<PriceTicks, u32>,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums { lots: 0, tick_lots: Some(0), orders: 0, prices: BTreeMap::new() }
    }
}

/// Sums over all orders that count.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    sides: BTreeMap<(InstrumentId, Side), Sums>,
    venues: BTreeMap<VenueId, u32>,
    total: u32,
}

impl Exposure {
    /// An order begins to count, with this much of it open.
    pub fn add(&mut self, venue: VenueId, terms: &OrderTerms, remaining: Lots) {
        let sums = self.sides.entry((terms.instrument, terms.side)).or_default();
        sums.lots += i128::from(remaining.count());
        sums.tick_lots = sums.tick_lots.and_then(|sum| sum.checked_add(tick_lots(terms.price, remaining)));
        sums.orders += 1;
        *sums.prices.entry(terms.price).or_default() += 1;
        *self.venues.entry(venue).or_default() += 1;
        self.total += 1;
    }

    /// A part of an order that counts was filled. The order itself goes on counting until `remove`.
    pub fn reduce(&mut self, terms: &OrderTerms, by: Lots) -> Result<(), NotHeld> {
        let refuse = NotHeld { price: terms.price, lots: by };
        let sums = self.sides.get_mut(&(terms.instrument, terms.side)).ok_or(refuse)?;
        sums.give_back(terms.price, by).ok_or(refuse)
    }

    /// An order no longer counts; this much of it was still open (nothing, when it ended full).
    pub fn remove(&mut self, venue: VenueId, terms: &OrderTerms, remaining: Lots) -> Result<(), NotHeld> {
        let refuse = NotHeld { price: terms.price, lots: remaining };
        let at_venue = self.venues.get_mut(&venue).filter(|count| **count > 0).ok_or(refuse)?;
        let sums = self.sides.get_mut(&(terms.instrument, terms.side)).ok_or(refuse)?;
        sums.give_back(terms.price, remaining).ok_or(refuse)?;
        // `give_back` has found an order at this price.
        match sums.prices.get_mut(&terms.price) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                sums.prices.remove(&terms.price);
            }
        }
        sums.orders -= 1;
        *at_venue -= 1;
        self.total -= 1;
        Ok(())
    }

    /// The sums of one side of an instrument.
    pub fn side(&self, instrument: InstrumentId, side: Side) -> SideExposure {
        match self.sides.get(&(instrument, side)) {
            Some(sums) => SideExposure {
                orders: sums.orders,
                lots: sums.lots,
                tick_lots: sums.tick_lots,
                lowest: sums.prices.first_key_value().map(|(price, _)| *price),
                highest: sums.prices.last_key_value().map(|(price, _)| *price),
            },
            None => SideExposure { tick_lots: Some(0), ..SideExposure::default() },
        }
    }

    /// The best price of ours that an order of `side` would meet: our lowest sell for a buy, our highest buy for a sell.
    pub fn own_opposite(&self, instrument: InstrumentId, side: Side) -> Option<PriceTicks> {
        let opposite = self.side(instrument, side.opposite());
        match side {
            Side::Buy => opposite.lowest,
            Side::Sell => opposite.highest,
        }
    }

    /// Price times quantity of all that is open at the venues asked for. Costs the number of instruments that ever had an
    /// order, whatever rests. `None` when it does not fit.
    pub fn notional(&self, catalogue: &Catalogue, at_venue: impl Fn(VenueId) -> bool) -> Option<Decimal> {
        self.sides.iter().try_fold(Decimal::ZERO, |sum, ((instrument, _), sums)| {
            let instrument = catalogue.instrument(*instrument);
            if !at_venue(instrument.venue) {
                return Some(sum);
            }
            let tick_lot = instrument.notional(PriceTicks::new(1), Lots::new(1)?)?;
            sum.checked_add(tick_lot.mul_ratio(sums.tick_lots?, 1)?)
        })
    }

    /// How many orders count at a venue.
    pub fn at_venue(&self, venue: VenueId) -> u32 {
        self.venues.get(&venue).copied().unwrap_or(0)
    }

    /// How many orders count in all.
    pub fn total(&self) -> u32 {
        self.total
    }
}

impl Sums {
    /// Takes open lots off. `None`, and nothing changed, where they were never put on.
    fn give_back(&mut self, price: PriceTicks, lots: Lots) -> Option<()> {
        if !self.prices.contains_key(&price) || self.lots < i128::from(lots.count()) {
            return None;
        }
        if let Some(sum) = self.tick_lots {
            self.tick_lots = Some(sum.checked_sub(tick_lots(price, lots))?);
        }
        self.lots -= i128::from(lots.count());
        Some(())
    }
}

fn tick_lots(price: PriceTicks, lots: Lots) -> i128 {
    // Two 64-bit numbers always fit.
    i128::from(price.count()) * i128::from(lots.count())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BTC, Dice, ETH};
    use super::*;
    use crate::domain::order::TimeInForce;

    const MAIN: VenueId = VenueId(0);
    const OTHER: VenueId = VenueId(1);

    fn terms(instrument: InstrumentId, side: Side, price: i64, qty: i64) -> OrderTerms {
        OrderTerms {
            instrument,
            side,
            price: PriceTicks::new(price),
            qty: Lots::new(qty).unwrap(),
            time_in_force: TimeInForce::Gtc,
        }
    }

    /// The same sums by looking at every order.
    fn naive(orders: &[(VenueId, OrderTerms, i64)], instrument: InstrumentId, side: Side) -> SideExposure {
        let mine: Vec<_> =
            orders.iter().filter(|(_, terms, _)| terms.instrument == instrument && terms.side == side).collect();
        SideExposure {
            orders: mine.len() as u32,
            lots: mine.iter().map(|(.., open)| i128::from(*open)).sum(),
            tick_lots: Some(
                mine.iter().map(|(_, terms, open)| i128::from(terms.price.count()) * i128::from(*open)).sum(),
            ),
            lowest: mine.iter().map(|(_, terms, _)| terms.price).min(),
            highest: mine.iter().map(|(_, terms, _)| terms.price).max(),
        }
    }

    #[test]
    fn sums_kept_step_by_step_equal_sums_over_all_orders() {
        for seed in 1..40 {
            let mut dice = Dice::new(seed);
            let mut exposure = Exposure::default();
            let mut orders: Vec<(VenueId, OrderTerms, i64)> = Vec::new();
            for _ in 0..400 {
                let place = dice.below(orders.len().max(1) as u64) as usize;
                match dice.below(4) {
                    0 | 1 => {
                        let (venue, instrument) = if dice.one_in(2) { (MAIN, BTC) } else { (OTHER, ETH) };
                        let side = if dice.one_in(2) { Side::Buy } else { Side::Sell };
                        let qty = 1 + dice.below(9) as i64;
                        // Few prices, so that many orders share one.
                        let order = terms(instrument, side, 100 + dice.below(6) as i64, qty);
                        exposure.add(venue, &order, order.qty);
                        orders.push((venue, order, qty));
                    }
                    2 if !orders.is_empty() => {
                        let (_, order, open) = &mut orders[place];
                        let by = dice.below(*open as u64 + 1) as i64;
                        *open -= by;
                        exposure.reduce(order, Lots::new(by).unwrap()).unwrap();
                    }
                    3 if !orders.is_empty() => {
                        let (venue, order, open) = orders.swap_remove(place);
                        exposure.remove(venue, &order, Lots::new(open).unwrap()).unwrap();
                    }
                    _ => {}
                }
                for instrument in [BTC, ETH] {
                    for side in [Side::Buy, Side::Sell] {
                        assert_eq!(exposure.side(instrument, side), naive(&orders, instrument, side), "seed {seed}");
                    }
                }
                let at_main = orders.iter().filter(|(venue, ..)| *venue == MAIN).count() as u32;
                assert_eq!(exposure.at_venue(MAIN), at_main);
                assert_eq!(exposure.total(), orders.len() as u32);
            }
        }
    }

    #[test]
    fn what_was_never_added_cannot_be_taken_off() {
        let mut exposure = Exposure::default();
        let order = terms(BTC, Side::Buy, 100, 5);
        let all = Lots::new(5).unwrap();
        assert!(exposure.remove(MAIN, &order, all).is_err());
        exposure.add(MAIN, &order, all);
        let before = exposure.side(BTC, Side::Buy);
        assert!(exposure.reduce(&order, Lots::new(6).unwrap()).is_err());
        assert!(exposure.remove(OTHER, &order, all).is_err());
        assert!(exposure.remove(MAIN, &terms(BTC, Side::Buy, 101, 5), all).is_err());
        assert_eq!((exposure.side(BTC, Side::Buy), exposure.total()), (before, 1));
        exposure.remove(MAIN, &order, all).unwrap();
        assert_eq!((exposure.side(BTC, Side::Buy).orders, exposure.total()), (0, 0));
        assert_eq!(exposure.own_opposite(BTC, Side::Sell), None);
    }

    #[test]
    fn a_sum_that_does_not_fit_is_unknown_from_then_on() {
        let mut exposure = Exposure::default();
        let vast = terms(BTC, Side::Buy, i64::MAX, i64::MAX);
        for _ in 0..3 {
            exposure.add(MAIN, &vast, vast.qty);
        }
        assert_eq!(exposure.side(BTC, Side::Buy).tick_lots, None);
        for _ in 0..3 {
            exposure.remove(MAIN, &vast, vast.qty).unwrap();
        }
        assert_eq!(exposure.side(BTC, Side::Buy).tick_lots, None);
        assert_eq!(exposure.side(BTC, Side::Sell).tick_lots, Some(0));
    }
}
