//! A position and its profit: one fold over fills, used by the engine and by the store alike.
//!
//! Always holds: `qty` is the sum of booked fills and external entries; `realised` never counts fees, fees are kept beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::money::Decimal;
use super::order::{Fill, FillKind, Side};

/// What we hold of one instrument, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Held; negative when short.
    pub qty: Decimal,
    /// What the held quantity cost in quote currency (negative for a short).
    pub cost: Decimal,
    /// Profit taken, before fees.
    pub realised: Decimal,
    /// Fees paid in quote currency (base fees at the fill's price).
    pub fees: Decimal,
    /// Fees paid in other currencies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fees_elsewhere: BTreeMap<String, Decimal>,
    /// Fees paid in base currency, uncounted in `qty`: the venue took them out of what we hold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub base_fees: Decimal,
    /// Quote currency traded by our orders, both ways.
    pub turnover: Decimal,
    /// Number of fills of our orders.
    pub fills: u64,
    /// Number of external entries: foreign trades, funding, liquidations, what was taken over.
    #[serde(default, skip_serializing_if = "is_none")]
    pub externals: u64,
}

/// A fill whose numbers do not fit the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of this fill is too large to keep exactly")]
pub struct TooLarge;

impl Position {
    /// Books a fill. On error nothing has changed.
    pub fn book(&mut self, side: Side, fill: &Fill, base: &str, quote: &str) -> Result<(), TooLarge> {
        let mut next = self.clone();
        next.try_book(side, fill, base, quote).ok_or(TooLarge)?;
        *self = next;
        Ok(())
    }

    /// Books an entry that is no trade of an order of ours. Funding moves money and no quantity. On error nothing has
    /// changed.
    pub fn book_external(
        &mut self,
        what: FillKind,
        side: Side,
        fill: &Fill,
        base: &str,
        quote: &str,
    ) -> Result<(), TooLarge> {
        let mut next = self.clone();
        next.externals += 1;
        if what.moves_quantity() {
            next.trade(side, fill).ok_or(TooLarge)?;
        }
        next.pay_fee(fill, base, quote).ok_or(TooLarge)?;
        *self = next;
        Ok(())
    }

    fn try_book(&mut self, side: Side, fill: &Fill, base: &str, quote: &str) -> Option<()> {
        let worth = fill.price.checked_mul(fill.qty)?;
        self.turnover = self.turnover.checked_add(worth)?;
        self.fills += 1;
        self.trade(side, fill)?;
        self.pay_fee(fill, base, quote)
    }

    /// Moves quantity and cost, and takes the profit of what closes.
    fn trade(&mut self, side: Side, fill: &Fill) -> Option<()> {
        let worth = fill.price.checked_mul(fill.qty)?;
        let (qty, cost) = match side {
            Side::Buy => (fill.qty, worth),
            Side::Sell => (-fill.qty, -worth),
        };
        let same_way = self.qty.is_zero() || self.qty.is_negative() == qty.is_negative();
        if same_way {
            self.qty = self.qty.checked_add(qty)?;
            self.cost = self.cost.checked_add(cost)?;
        } else if qty.abs() <= self.qty.abs() {
            // Part or all of the position closes: its share of the cost comes out.
            let share = self.cost.mul_ratio(qty.units(), self.qty.units())?;
            self.realised = self.realised.checked_sub(share.checked_mul_int(-1)?.checked_add(cost)?)?;
            self.cost = self.cost.checked_add(share)?;
            self.qty = self.qty.checked_add(qty)?;
            if self.qty.is_zero() {
                self.cost = Decimal::ZERO;
            }
        } else {
            // The fill closes the position and opens the other side with the rest.
            let closing = cost.mul_ratio(self.qty.units(), qty.units())?.checked_mul_int(-1)?;
            self.realised = self.realised.checked_sub(self.cost)?.checked_sub(closing)?;
            self.cost = cost.checked_sub(closing)?;
            self.qty = self.qty.checked_add(qty)?;
        }
        Some(())
    }

    fn pay_fee(&mut self, fill: &Fill, base: &str, quote: &str) -> Option<()> {
        if fill.fee.is_zero() {
            return Some(());
        }
        if fill.fee_asset == quote {
            self.fees = self.fees.checked_add(fill.fee)?;
        } else if fill.fee_asset == base {
            self.fees = self.fees.checked_add(fill.fee.checked_mul(fill.price)?)?;
            self.base_fees = self.base_fees.checked_add(fill.fee)?;
        } else {
            let paid = self.fees_elsewhere.entry(fill.fee_asset.clone()).or_default();
            *paid = paid.checked_add(fill.fee)?;
        }
        Some(())
    }

    /// Average price of what is held; nothing when flat.
    pub fn average_price(&self) -> Option<Decimal> {
        if self.qty.is_zero() { None } else { self.cost.checked_div(self.qty) }
    }

    /// What the held quantity is worth at `mark`, with its sign.
    pub fn notional(&self, mark: Decimal) -> Option<Decimal> {
        self.qty.checked_mul(mark)
    }

    /// Profit not taken yet, at `mark`.
    pub fn unrealised(&self, mark: Decimal) -> Option<Decimal> {
        self.notional(mark)?.checked_sub(self.cost)
    }

    /// Realised and unrealised profit less fees, at `mark` (or without the unrealised part where there is no mark).
    pub fn profit(&self, mark: Option<Decimal>) -> Option<Decimal> {
        let open = match mark {
            Some(mark) => self.unrealised(mark)?,
            None => Decimal::ZERO,
        };
        self.realised.checked_add(open)?.checked_sub(self.fees)
    }
}

fn is_zero(amount: &Decimal) -> bool {
    amount.is_zero()
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::super::ids::TradeId;
    use super::super::time::Wall;
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn fill(price: &str, qty: &str, fee: &str) -> Fill {
        Fill {
            trade_id: TradeId::new("t"),
            price: decimal(price),
            qty: decimal(qty),
            fee: decimal(fee),
            fee_asset: "USDT".into(),
            maker: true,
            at: Wall::default(),
        }
    }

    fn booked(fills: &[(Side, &str, &str)]) -> Position {
        let mut position = Position::default();
        for (side, price, qty) in fills {
            position.book(*side, &fill(price, qty, "0.1"), "BTC", "USDT").unwrap();
        }
        position
    }

    #[test]
    fn buying_twice_averages_the_price() {
        let position = booked(&[(Side::Buy, "100", "1"), (Side::Buy, "200", "1")]);
        assert_eq!(position.average_price(), Some(decimal("150")));
        assert_eq!(position.unrealised(decimal("160")), Some(decimal("20")));
        assert_eq!(position.fees, decimal("0.2"));
    }

    #[test]
    fn selling_part_takes_its_share_of_the_profit() {
        let position = booked(&[(Side::Buy, "100", "2"), (Side::Sell, "130", "0.5")]);
        assert_eq!(position.qty, decimal("1.5"));
        assert_eq!(position.realised, decimal("15"));
        assert_eq!(position.average_price(), Some(decimal("100")));
    }

    #[test]
    fn selling_through_zero_opens_a_short() {
        let position = booked(&[(Side::Buy, "100", "1"), (Side::Sell, "110", "3")]);
        assert_eq!(position.qty, decimal("-2"));
        assert_eq!(position.realised, decimal("10"));
        assert_eq!(position.average_price(), Some(decimal("110")));
        assert_eq!(position.unrealised(decimal("100")), Some(decimal("20")));
    }

    #[test]
    fn closing_a_short_lower_is_a_profit() {
        let position = booked(&[(Side::Sell, "110", "2"), (Side::Buy, "100", "2")]);
        assert_eq!((position.qty, position.cost), (Decimal::ZERO, Decimal::ZERO));
        assert_eq!(position.realised, decimal("20"));
        assert_eq!(position.profit(None), Some(decimal("19.8")));
    }

    #[test]
    fn funding_is_money_alone_and_other_entries_move_the_position_without_counting_as_ours() {
        let mut position = booked(&[(Side::Buy, "100", "2")]);
        let funding = fill("100", "2", "0.5");
        position.book_external(FillKind::Funding, Side::Buy, &funding, "BTC", "USDT").unwrap();
        assert_eq!((position.qty, position.fees), (decimal("2"), decimal("0.6")));
        let liquidation = fill("80", "2", "1");
        position.book_external(FillKind::Liquidation, Side::Sell, &liquidation, "BTC", "USDT").unwrap();
        assert_eq!((position.qty, position.realised, position.fees), (Decimal::ZERO, decimal("-40"), decimal("1.6")));
        assert_eq!((position.fills, position.externals, position.turnover), (1, 2, decimal("200")));
    }

    #[test]
    fn a_fee_in_base_currency_is_money_and_coins_that_are_gone() {
        let mut position = Position::default();
        let trade = Fill { fee_asset: "BTC".into(), ..fill("100", "2", "0.01") };
        position.book(Side::Buy, &trade, "BTC", "USDT").unwrap();
        assert_eq!((position.qty, position.fees, position.base_fees), (decimal("2"), decimal("1"), decimal("0.01")));
    }

    proptest! {
        /// Whatever the order of fills: profit is cash got less cash paid plus what is held at the mark.
        #[test]
        fn profit_is_cash_flow_plus_holding(trades in proptest::collection::vec((any::<bool>(), 1_i64..500, 1_i64..50), 1..40)) {
            let mut position = Position::default();
            let mut cash = Decimal::ZERO;
            for (buy, price, qty) in trades {
                let side = if buy { Side::Buy } else { Side::Sell };
                let trade = fill(&price.to_string(), &qty.to_string(), "0");
                position.book(side, &trade, "BTC", "USDT").unwrap();
                let worth = Decimal::whole(price * qty);
                cash = if buy { cash.checked_sub(worth) } else { cash.checked_add(worth) }.unwrap();
            }
            let mark = Decimal::whole(100);
            let exact = cash.checked_add(position.notional(mark).unwrap()).unwrap();
            let error = position.profit(Some(mark)).unwrap().checked_sub(exact).unwrap().abs();
            prop_assert!(error < decimal("0.000000000001"), "off by {}", error);
        }
    }
}
