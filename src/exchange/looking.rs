//! Looking at the venue from outside time: what tests, screens and backtests may know without asking.
//!
//! Never does: change anything, or stand in for a request: nobody trades on what it shows.

use std::collections::BTreeMap;

use super::answers::{BalanceView, FillView, OrderView, Quote};
use super::asks::AccountId;
use super::money;
use super::venue::{Exchange, Life, Order};
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::order::Side;

impl Exchange {
    /// The account's live orders, as they are.
    pub fn open_orders(&self, account: AccountId) -> Vec<OrderView> {
        let live = self.accounts.get(&account).map(|holder| &holder.live);
        let numbers = live.into_iter().flatten();
        numbers.filter_map(|no| self.orders.get(no)).map(|order| self.view(order)).collect()
    }

    /// The account's remembered fills, as they are.
    pub fn fills(&self, account: AccountId) -> Vec<FillView> {
        let fills = self.accounts.get(&account).map(|holder| &holder.fills);
        fills.into_iter().flatten().map(|fill| fill.view.clone()).collect()
    }

    /// What the account holds.
    pub fn balances(&self, account: AccountId) -> Vec<BalanceView> {
        let coins = self.accounts.get(&account).map(|holder| &holder.purse.coins);
        let rows = coins.into_iter().flatten();
        rows.map(|(asset, coin)| BalanceView { asset: asset.to_string(), total: coin.total, locked: coin.locked })
            .collect()
    }

    /// Everything there is of each currency and each contract, over accounts, crowd and fees. Trading does not change it.
    pub fn totals(&self) -> BTreeMap<String, Decimal> {
        let mut totals = BTreeMap::new();
        let mut add = |name: &str, amount: Decimal| {
            let sum: &mut Decimal = totals.entry(name.to_owned()).or_default();
            *sum = money::plus(*sum, amount);
        };
        let accounts = self.accounts.values().map(|account| &account.purse);
        for purse in accounts.chain([&self.crowd, &self.fees]) {
            for (asset, coin) in &purse.coins {
                add(asset, coin.total);
            }
            for (&place, contract) in &purse.contracts {
                let grid = &self.grids[place];
                // What a contract was opened for is still in its holder's pocket, and will change hands at the end.
                add(&grid.quote, -contract.cost);
                add(grid.rules.symbol.as_str(), grid.rules.lot.checked_mul_int(contract.lots).unwrap_or_default());
            }
        }
        totals
    }

    /// The best prices at this moment.
    pub fn quote(&self, symbol: &Symbol) -> Option<Quote> {
        let place = self.pit(symbol)?;
        Some(self.quote_of(place, self.touch(place)))
    }

    /// The first levels of one side, best first: price and sum.
    pub fn depth(&self, symbol: &Symbol, side: Side, levels_max: usize) -> Vec<(Decimal, Decimal)> {
        let Some(place) = self.pit(symbol) else {
            return Vec::new();
        };
        let grid = &self.grids[place];
        let levels = self.pits[place].book.depth(side, levels_max).into_iter();
        levels.map(|(ticks, lots)| (grid.price(ticks), grid.qty(lots))).collect()
    }

    /// The first levels of one side as the public sees them, best first: ticks and lots. Where the market is painted, so
    /// are the levels behind its touch.
    pub(super) fn levels(&self, place: usize, side: Side, levels_max: usize) -> Vec<(i64, i64)> {
        const PAINTED_LEVELS: i64 = 25;
        let pit = &self.pits[place];
        let own = pit.book.depth(side, levels_max);
        if self.setup.activity > 0 || self.setup.fed {
            return own;
        }
        let mut levels: BTreeMap<i64, i64> = own.into_iter().collect();
        let ((bid, lots), (ask, _)) = pit.market.painted();
        let gap = (bid / 40_000).max(1);
        for level in 0..PAINTED_LEVELS {
            let ticks = if side == Side::Buy { bid - level * gap } else { ask + level * gap };
            // An account's order that stands beyond the painted touch hides what is painted behind it.
            let hidden = match pit.book.best(side.opposite()) {
                Some((best, _)) if side == Side::Buy => ticks >= best,
                Some((best, _)) => ticks <= best,
                None => false,
            };
            if ticks > 0 && !hidden {
                // Not all alike, and always the same at the same price.
                let painted = lots / 2 + ticks.wrapping_mul(7_919) % (lots / 2).max(1);
                *levels.entry(ticks).or_default() += painted;
            }
        }
        let levels = levels.into_iter();
        match side {
            Side::Buy => levels.rev().take(levels_max).collect(),
            Side::Sell => levels.take(levels_max).collect(),
        }
    }

    pub(super) fn view(&self, order: &Order) -> OrderView {
        let grid = &self.grids[order.pit];
        let (closed_at, reason) = match order.life {
            Life::Closed(at, reason) => (Some(at), Some(reason)),
            Life::Taking | Life::Resting(_) => (None, None),
        };
        OrderView {
            client_id: order.client_id.to_string(),
            order_id: order.order_id.clone(),
            symbol: self.pits[order.pit].symbol.clone(),
            side: order.side,
            price: grid.price(order.ticks),
            qty: grid.qty(order.lots),
            filled: grid.qty(order.filled_lots),
            time_in_force: order.time_in_force,
            status: super::trading::status(order.filled_lots, reason),
            cancel_queued: order.is_live() && order.canceling.is_some(),
            reason,
            created_at: order.created_at,
            closed_at,
            marks: order.marks,
            worth: order.worth,
            paid: order.paid,
            updated_at: order.updated_at,
        }
    }
}
