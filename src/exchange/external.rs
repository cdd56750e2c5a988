//! What happens to an account without an order of its own: funding, liquidation. Only where somebody outside orders it.
//!
//! Always holds: what an account pays or gives, the crowd gets, to the last digit; the ledger says so before anyone hears.

use super::answers::{Cause, FillView, Push, Reason};
use super::asks::{AccountId, Micros};
use super::money;
use super::trading::fill_line;
use super::venue::{Exchange, Filled};
use crate::domain::ids::{Symbol, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::Side;

impl Exchange {
    /// Funding of a contract at this moment: a holder of a long position pays `rate_ppm` millionths of its worth at the
    /// fair price (a short one gets it). The answer is how many accounts it was booked on.
    pub fn fund(&mut self, at: Micros, symbol: &Symbol, rate_ppm: i64) -> usize {
        self.begin(at);
        let Some(place) = self.pit(symbol).filter(|place| self.grids[*place].is_contract()) else {
            return 0;
        };
        let accounts: Vec<AccountId> = self.accounts.keys().copied().collect();
        let mut booked = 0;
        for account in accounts {
            let lots = self.position_lots(account, place);
            if lots == 0 {
                continue;
            }
            let (side, ticks) = (if lots > 0 { Side::Buy } else { Side::Sell }, self.fair_ticks(place));
            let worth = self.grids[place].notional(ticks, lots);
            let paid = worth.mul_ratio(i128::from(rate_ppm), 1_000_000).unwrap_or(Decimal::ZERO);
            self.external(account, place, Cause::Funding, side, lots.abs(), paid);
            booked += 1;
        }
        booked
    }

    /// Closes an account's position at the fair price, as a venue does in a liquidation or to deleverage. Its orders in
    /// the instrument go first. `false` where there is no position.
    pub fn liquidate(&mut self, at: Micros, account: AccountId, symbol: &Symbol, cause: Cause) -> bool {
        self.begin(at);
        let Some(place) = self.pit(symbol).filter(|_| matches!(cause, Cause::Liquidation | Cause::AutoDeleverage))
        else {
            return false;
        };
        let lots = self.position_lots(account, place);
        if lots == 0 {
            return false;
        }
        let live = self.accounts.get(&account).map(|holder| holder.live.clone());
        for no in live.into_iter().flatten() {
            if self.orders.get(&no).is_some_and(|order| order.pit == place) {
                self.close(no, Reason::Liquidation);
            }
        }
        let side = if lots > 0 { Side::Sell } else { Side::Buy };
        let worth = self.grids[place].notional(self.fair_ticks(place), lots.abs());
        let fee = money::fee(worth, self.setup.taker_fee_bps);
        self.external(account, place, cause, side, lots.abs(), fee);
        true
    }

    /// The account's position in lots, negative when short.
    pub(super) fn position_lots(&self, account: AccountId, place: usize) -> i64 {
        let contract = self.accounts.get(&account).and_then(|holder| holder.purse.contracts.get(&place));
        contract.map_or(0, |contract| contract.lots)
    }

    pub(super) fn fair_ticks(&self, place: usize) -> i64 {
        self.pits[place].market.fair_ticks().max(1)
    }

    fn external(&mut self, account: AccountId, place: usize, cause: Cause, side: Side, lots: i64, fee: Decimal) {
        self.last_trade += 1;
        let grid = &self.grids[place];
        let view = FillView {
            trade_id: Exchange::trade_id(self.last_trade),
            client_id: String::new(),
            order_id: VenueOrderId::new(""),
            symbol: self.pits[place].symbol.clone(),
            side,
            price: grid.price(self.fair_ticks(place)),
            qty: grid.qty(lots),
            fee,
            fee_asset: grid.quote.to_string(),
            maker: false,
            at: self.now,
            cause,
        };
        let filled =
            Filled { trade: self.last_trade, view: view.clone(), booked_at: self.now, with: "crowd".to_owned() };
        self.note(fill_line(account, &filled));
        if self.book_external(account, place, self.last_trade, &view).is_some() {
            self.push(account, Push::Fill(view));
        }
    }

    /// Moves money and contracts for it; `None` for an amount off its grid or an account that is not there.
    pub(super) fn book_external(
        &mut self,
        account: AccountId,
        place: usize,
        trade: u64,
        view: &FillView,
    ) -> Option<()> {
        let grid = &self.grids[place];
        let (ticks, lots) = grid.ticks(view.price).zip(grid.lots(view.qty))?;
        let holder = self.accounts.get_mut(&account)?;
        holder.purse.add(&grid.quote, -view.fee);
        if view.cause == Cause::Funding {
            self.crowd.add(&grid.quote, view.fee);
        } else {
            holder.purse.trade(place, grid, view.side, ticks, lots);
            self.crowd.trade(place, grid, view.side.opposite(), ticks, lots);
            self.fees.add(&grid.quote, view.fee);
        }
        let filled = Filled { trade, view: view.clone(), booked_at: view.at, with: "crowd".to_owned() };
        holder.fills.push_back(filled);
        if holder.fills.len() > self.setup.fills_max {
            holder.fills.pop_front();
        }
        Some(())
    }
}
