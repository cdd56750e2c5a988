//! Money and contracts: who holds what, and what a trade moves.
//!
//! Always holds: a trade moves exactly what one side gives to the other, to the last digit; fees go to the venue. Over
//! all holders (accounts, crowd, venue) each currency and each contract sums to what it began with.
//! Never does: ask whether a trade may happen, liquidate, or charge funding: a contract's holder may go below zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::instrument::{InstrumentKind, InstrumentRules};
use crate::domain::money::Decimal;
use crate::domain::order::Side;

/// Largest amount the model works with: far below what a `Decimal` can hold, so that sums of sums still fit.
pub(super) const AMOUNT_MAX: Decimal = Decimal::whole(1_000_000_000_000_000);

/// Sum. Amounts are bounded by `AMOUNT_MAX` where they enter, so the border is never met.
pub(super) fn plus(a: Decimal, b: Decimal) -> Decimal {
    Decimal::from_units(a.units().saturating_add(b.units()))
}

/// Difference; see [`plus`].
pub(super) fn minus(a: Decimal, b: Decimal) -> Decimal {
    Decimal::from_units(a.units().saturating_sub(b.units()))
}

/// An instrument's arithmetic: counts of ticks and lots into amounts.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    pub(super) rules: InstrumentRules,
    pub(super) base: Arc<str>,
    pub(super) quote: Arc<str>,
    tick_lot: Decimal,
    leverage: i128,
}

impl Grid {
    /// `None` when tick and lot cannot be used.
    pub(super) fn new(rules: &InstrumentRules, leverage: u32) -> Option<Grid> {
        let tick_lot = rules.tick.checked_mul(rules.lot)?;
        if !rules.tick.is_positive() || !rules.lot.is_positive() || !tick_lot.is_positive() {
            return None;
        }
        Some(Grid {
            base: Arc::from(rules.base.as_str()),
            quote: Arc::from(rules.quote.as_str()),
            rules: rules.clone(),
            tick_lot,
            leverage: i128::from(leverage.max(1)),
        })
    }

    /// How many ticks a price is; `None` between two, below one, or too large.
    pub(super) fn ticks(&self, price: Decimal) -> Option<i64> {
        on_grid(price, self.rules.tick).filter(|ticks| *ticks > 0)
    }

    /// How many lots a quantity is; `None` between two, below one, or too large.
    pub(super) fn lots(&self, qty: Decimal) -> Option<i64> {
        on_grid(qty, self.rules.lot).filter(|lots| *lots > 0)
    }

    pub(super) fn price(&self, ticks: i64) -> Decimal {
        times(self.rules.tick, ticks)
    }

    pub(super) fn qty(&self, lots: i64) -> Decimal {
        times(self.rules.lot, lots)
    }

    /// Price times quantity.
    pub(super) fn notional(&self, ticks: i64, lots: i64) -> Decimal {
        times(times(self.tick_lot, ticks), lots)
    }

    pub(super) fn is_contract(&self) -> bool {
        self.rules.kind == InstrumentKind::Linear
    }

    /// What an order holds while `lots` of it are open, and of which currency.
    pub(super) fn lock(&self, side: Side, ticks: i64, lots: i64, fee_bps_max: Decimal) -> (Arc<str>, Decimal) {
        let worth = self.notional(ticks, lots);
        let fee = fee(worth, fee_bps_max);
        match (self.is_contract(), side) {
            (true, _) => (self.quote.clone(), plus(self.margin(worth), fee)),
            (false, Side::Buy) => (self.quote.clone(), plus(worth, fee)),
            (false, Side::Sell) => (self.base.clone(), self.qty(lots)),
        }
    }

    /// The margin a contract of this worth needs.
    pub(super) fn margin(&self, worth: Decimal) -> Decimal {
        Decimal::from_units(worth.abs().units() / self.leverage)
    }
}

fn on_grid(amount: Decimal, step: Decimal) -> Option<i64> {
    match amount.steps_of(step) {
        Some((count, true)) if amount <= AMOUNT_MAX => Some(count),
        _ => None,
    }
}

fn times(step: Decimal, count: i64) -> Decimal {
    Decimal::from_units(step.units().saturating_mul(i128::from(count)))
}

/// The fee on an amount, cut at the 18th place.
pub(super) fn fee(worth: Decimal, bps: Decimal) -> Decimal {
    let hundred_percent_bps = Decimal::whole(10_000).units();
    worth.mul_ratio(bps.units(), hundred_percent_bps).unwrap_or(Decimal::ZERO)
}

/// An amount of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Coin {
    pub(super) total: Decimal,
    pub(super) locked: Decimal,
}

/// A contract position: lots and what they were opened for, both negative when short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Contract {
    pub(super) lots: i64,
    pub(super) cost: Decimal,
}

/// What one holder has.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Purse {
    pub(super) coins: BTreeMap<Arc<str>, Coin>,
    /// By the instrument's place.
    pub(super) contracts: BTreeMap<usize, Contract>,
}

impl Purse {
    fn coin(&mut self, asset: &Arc<str>) -> &mut Coin {
        self.coins.entry(asset.clone()).or_default()
    }

    pub(super) fn add(&mut self, asset: &Arc<str>, amount: Decimal) {
        let coin = self.coin(asset);
        coin.total = plus(coin.total, amount);
    }

    pub(super) fn set(&mut self, asset: &str, total: Decimal) {
        self.coin(&Arc::from(asset)).total = total;
    }

    /// Changes what is held back for orders.
    pub(super) fn relock(&mut self, asset: &Arc<str>, before: Decimal, after: Decimal) {
        let coin = self.coin(asset);
        coin.locked = plus(minus(coin.locked, before), after);
    }

    /// What can still be bound: all of it less what orders and contracts hold.
    pub(super) fn free(&self, asset: &Arc<str>, grids: &[Grid]) -> Decimal {
        let coin = self.coins.get(asset).copied().unwrap_or_default();
        let mut free = minus(coin.total, coin.locked);
        for (&place, contract) in &self.contracts {
            if let Some(grid) = grids.get(place).filter(|grid| grid.quote == *asset) {
                free = minus(free, grid.margin(contract.cost));
            }
        }
        free
    }

    /// Books this holder's side of a trade, without the fee.
    pub(super) fn trade(&mut self, place: usize, grid: &Grid, side: Side, ticks: i64, lots: i64) {
        let worth = grid.notional(ticks, lots);
        if !grid.is_contract() {
            let (paid, got) = match side {
                Side::Buy => (-worth, grid.qty(lots)),
                Side::Sell => (worth, -grid.qty(lots)),
            };
            self.add(&grid.quote, paid);
            self.add(&grid.base, got);
            return;
        }
        let realised = self.contracts.entry(place).or_default().trade(grid, side, ticks, lots);
        self.add(&grid.quote, realised);
    }
}

impl Contract {
    /// Closes what is open the other way, opens the rest; the answer is what was won by closing.
    fn trade(&mut self, grid: &Grid, side: Side, ticks: i64, lots: i64) -> Decimal {
        let sign = if side == Side::Buy { 1 } else { -1 };
        let against = self.lots.signum() == -sign;
        let closing = if against { lots.min(self.lots.abs()) } else { 0 };
        let mut realised = Decimal::ZERO;
        if closing > 0 {
            let part = self.cost.mul_ratio(i128::from(closing), i128::from(self.lots.abs())).unwrap_or(self.cost);
            let signed_worth = times(grid.notional(ticks, closing), sign);
            // Long: what the sale brings less what it cost. Short: the same with both signs turned.
            realised = -plus(signed_worth, part);
            self.cost = minus(self.cost, part);
            self.lots += sign * closing;
        }
        let opening = lots - closing;
        self.cost = plus(self.cost, times(grid.notional(ticks, opening), sign));
        self.lots += sign * opening;
        realised
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Symbol;
    use crate::exchange::setup::Listing;
    use proptest::prelude::*;

    fn grid(symbol: &str) -> Grid {
        Grid::new(&Listing::for_symbol(&Symbol::new(symbol)).rules, 10).unwrap()
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_spot_trade_changes_coins_for_money() {
        let grid = grid("BTC-USDT");
        let mut purse = Purse::default();
        purse.trade(0, &grid, Side::Buy, 640_000, 3);
        assert_eq!(purse.coins["USDT"].total, decimal("-192"));
        assert_eq!(purse.coins["BTC"].total, decimal("0.003"));
    }

    #[test]
    fn a_contract_pays_only_what_closing_wins() {
        let grid = grid("BTC-USDT-PERP");
        let mut purse = Purse::default();
        purse.trade(0, &grid, Side::Buy, 640_000, 4);
        assert_eq!(purse.coins["USDT"].total, Decimal::ZERO);
        purse.trade(0, &grid, Side::Sell, 650_000, 1);
        assert_eq!(purse.coins["USDT"].total, decimal("1"));
        purse.trade(0, &grid, Side::Sell, 630_000, 5);
        assert_eq!(purse.coins["USDT"].total, decimal("-2"));
        let short = purse.contracts[&0];
        assert_eq!((short.lots, short.cost), (-2, decimal("-126")));
        purse.trade(0, &grid, Side::Buy, 620_000, 2);
        assert_eq!(purse.coins["USDT"].total, Decimal::ZERO);
        assert_eq!(purse.contracts[&0], Contract::default());
    }

    #[test]
    fn contracts_bind_margin() {
        let grids = [grid("BTC-USDT-PERP")];
        let mut purse = Purse::default();
        purse.set("USDT", Decimal::whole(100));
        purse.trade(0, &grids[0], Side::Sell, 640_000, 10);
        assert_eq!(purse.free(&grids[0].quote, &grids), decimal("36"));
    }

    proptest! {
        #[test]
        fn both_sides_of_contract_trades_cancel_out(trades in prop::collection::vec((any::<bool>(), 1_i64..900_000, 1_i64..50), 1..40)) {
            let grid = grid("BTC-USDT-PERP");
            let (mut one, mut other) = (Purse::default(), Purse::default());
            for (buys, ticks, lots) in trades {
                let side = if buys { Side::Buy } else { Side::Sell };
                one.trade(0, &grid, side, ticks, lots);
                other.trade(0, &grid, side.opposite(), ticks, lots);
                let worth = |purse: &Purse| minus(purse.coins["USDT"].total, purse.contracts[&0].cost);
                prop_assert_eq!(one.contracts[&0].lots, -other.contracts[&0].lots);
                prop_assert_eq!(plus(worth(&one), worth(&other)), Decimal::ZERO);
            }
        }
    }
}
