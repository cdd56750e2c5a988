//! What an account is and holds: wallet, positions, key, settings.

use serde_json::{Value, json};

use super::Gateway;
use super::answer::Answer;
use super::desk::{Outcome, Shape};
use super::gate::Access;
use super::names::Category;
use super::query::Fields;
use super::routes::Endpoint;
use super::rows::{places, side_word};
use crate::domain::money::Decimal;
use crate::domain::order::Side;
use crate::exchange::money::{Contract, minus, plus};
use crate::exchange::{AccountId, Ask};

impl Gateway {
    /// Questions about the account and settings of it.
    pub(super) fn about_account(
        &mut self,
        endpoint: Endpoint,
        access: Access,
        fields: &Fields,
    ) -> Result<Outcome, Answer> {
        let answer = match endpoint {
            Endpoint::FeeRate => self.fee_rates(fields)?,
            Endpoint::AccountInfo => self.account_info(access.account),
            Endpoint::KeyInfo => self.key_info(access),
            Endpoint::Coins => self.coins(),
            Endpoint::SetSwitch => self.set_switch(access, fields)?,
            Endpoint::ReadSwitch => self.read_switch(access.account),
            Endpoint::Setting => Answer::ok(json!({})),
            _ => Answer::error(10_016, "Internal error"),
        };
        Ok(Outcome::Now(answer))
    }

    pub(super) fn ask_positions(&self, fields: &Fields) -> Result<Outcome, Answer> {
        match fields.category()? {
            None => {
                let category = fields.needed("category")?;
                Ok(Outcome::Now(Answer::ok(json!({ "list": [], "nextPageCursor": "", "category": category }))))
            }
            Some(Category::Spot) => Err(Answer::error(10_001, "params error: category is invalid")),
            Some(Category::Linear) => {
                let symbol = match fields.text("symbol")? {
                    None => None,
                    Some(name) => {
                        let pit = self.pit(Category::Linear, name);
                        Some(pit.ok_or_else(|| Answer::error(10_001, "params error: symbol invalid"))?)
                    }
                };
                let settle = fields.text("settleCoin")?.map(str::to_owned);
                if symbol.is_none() && settle.is_none() {
                    let words = "Missing some parameters that must be filled in, symbol or settleCoin";
                    return Err(Answer::error(10_001, words));
                }
                Ok(Outcome::Ask(Ask::Positions, Shape::Positions { symbol, settle }))
            }
        }
    }

    /// Positions: of a symbol also where there is none, otherwise those there are.
    pub(super) fn positions(&self, account: AccountId, symbol: Option<usize>, settle: Option<&str>) -> Vec<Value> {
        let hedged = self.hedged(account);
        let mut rows = Vec::new();
        for (pit, listed) in self.listed.iter().enumerate() {
            let asked = match symbol {
                Some(symbol) => symbol == pit,
                None => listed.category == Category::Linear && settle.is_none_or(|settle| listed.quote == settle),
            };
            if !asked {
                continue;
            }
            let holder = self.exchange.accounts.get(&account);
            let contract = holder.and_then(|holder| holder.purse.contracts.get(&pit)).copied().unwrap_or_default();
            if symbol.is_none() && contract.lots == 0 {
                continue;
            }
            if !hedged {
                rows.push(self.position_row(pit, &contract, 0));
                continue;
            }
            let none = Contract::default();
            let (long, short) = if contract.lots > 0 { (contract, none) } else { (none, contract) };
            rows.push(self.position_row(pit, &long, 1));
            rows.push(self.position_row(pit, &short, 2));
        }
        rows
    }

    pub(super) fn hedged(&self, account: AccountId) -> bool {
        self.keys.iter().any(|key| key.account == account && key.hedge_mode)
    }

    pub(super) fn position_row(&self, pit: usize, contract: &Contract, index: u8) -> Value {
        let grid = &self.exchange.grids[pit];
        let (tick, lot) = (places(grid.rules.tick), places(grid.rules.lot));
        let size = grid.qty(contract.lots.abs());
        let side = match contract.lots {
            0 => "",
            lots => side_word(if lots > 0 { Side::Buy } else { Side::Sell }),
        };
        let average = contract.cost.abs().checked_div(size).unwrap_or(Decimal::ZERO).truncated(8);
        let mark_ticks = self.exchange.fair_ticks(pit);
        let worth = grid.notional(mark_ticks, contract.lots);
        let margin = grid.margin(contract.cost).to_string();
        let now = self.ms(self.now).to_string();
        json!({
            "positionIdx": index,
            "riskId": 1,
            "riskLimitValue": "2000000",
            "symbol": self.listed[pit].name,
            "side": side,
            "size": size.with_places(lot),
            "avgPrice": average.to_string(),
            "positionValue": contract.cost.abs().to_string(),
            "tradeMode": 0,
            "positionStatus": "Normal",
            "autoAddMargin": 0,
            "adlRankIndicator": if contract.lots == 0 { 0 } else { 2 },
            "leverage": self.exchange.setup.leverage.to_string(),
            "breakEvenPrice": "",
            "positionBalance": margin,
            "markPrice": grid.price(mark_ticks).with_places(tick),
            "liqPrice": "",
            "bustPrice": "",
            "positionMM": "0",
            "positionMMByMp": "0",
            "positionIM": margin,
            "positionIMByMp": margin,
            "tpslMode": "Full",
            "takeProfit": "0.00",
            "stopLoss": "0.00",
            "trailingStop": "0.00",
            "unrealisedPnl": minus(worth, contract.cost).to_string(),
            "curRealisedPnl": "0",
            "cumRealisedPnl": "0",
            "seq": self.exchange.last_trade,
            "isReduceOnly": false,
            "mmrSysUpdateTime": "",
            "leverageSysUpdatedTime": "",
            "sessionAvgPrice": "",
            "createdTime": now,
            "updatedTime": now,
        })
    }

    /// The wallet, of these coins or of all.
    pub(super) fn wallet(&self, account: AccountId, coins: &[String]) -> Value {
        let mut rows = Vec::new();
        let (mut equity_sum, mut free_sum) = (Decimal::ZERO, Decimal::ZERO);
        for row in self.exchange.balances(account) {
            let worth = |amount: Decimal| self.in_dollars(&row.asset, amount);
            let unrealised = self.unrealised(account, &row.asset);
            let equity = plus(row.total, unrealised);
            let free = self.exchange.accounts.get(&account).map_or(Decimal::ZERO, |holder| {
                holder.purse.free(&std::sync::Arc::from(row.asset.as_str()), &self.exchange.grids)
            });
            equity_sum = plus(equity_sum, worth(equity));
            free_sum = plus(free_sum, worth(free));
            if !coins.is_empty() && !coins.contains(&row.asset) {
                continue;
            }
            rows.push(json!({
                "availableToBorrow": "",
                "bonus": "0",
                "accruedInterest": "0",
                "availableToWithdraw": "",
                "totalOrderIM": "0",
                "equity": equity.to_string(),
                "totalPositionMM": "0",
                "usdValue": worth(equity).to_string(),
                "spotHedgingQty": "0",
                "unrealisedPnl": unrealised.to_string(),
                "collateralSwitch": true,
                "borrowAmount": "0",
                "totalPositionIM": "0",
                "walletBalance": row.total.to_string(),
                "cumRealisedPnl": "0",
                "locked": row.locked.to_string(),
                "marginCollateral": true,
                "coin": row.asset,
                "spotBorrow": "0",
            }));
        }
        json!({
            "totalEquity": equity_sum.to_string(),
            "accountIMRate": "0",
            "accountIMRateByMp": "0",
            "totalMarginBalance": equity_sum.to_string(),
            "totalInitialMargin": "0",
            "totalInitialMarginByMp": "0",
            "accountType": "UNIFIED",
            "totalAvailableBalance": free_sum.to_string(),
            "accountMMRate": "0",
            "accountMMRateByMp": "0",
            "totalPerpUPL": "0",
            "totalWalletBalance": equity_sum.to_string(),
            "accountLTV": "0",
            "totalMaintenanceMargin": "0",
            "totalMaintenanceMarginByMp": "0",
            "coin": rows,
        })
    }

    /// What open contracts of an account would win now, in this currency.
    fn unrealised(&self, account: AccountId, asset: &str) -> Decimal {
        let contracts = self.exchange.accounts.get(&account).map(|holder| &holder.purse.contracts);
        let own = contracts.into_iter().flatten().filter(|(pit, _)| self.listed[**pit].quote == asset);
        own.fold(Decimal::ZERO, |sum, (&pit, contract)| {
            let worth = self.exchange.grids[pit].notional(self.exchange.fair_ticks(pit), contract.lots);
            plus(sum, minus(worth, contract.cost))
        })
    }

    /// About what an amount is worth in dollars; nothing for a coin without a market here.
    fn in_dollars(&self, asset: &str, amount: Decimal) -> Decimal {
        if asset.starts_with("USD") {
            return amount;
        }
        let pit = self.listed.iter().position(|listed| listed.base == asset && listed.quote.starts_with("USD"));
        let price = pit.map(|pit| self.exchange.grids[pit].price(self.exchange.fair_ticks(pit)));
        price.and_then(|price| price.checked_mul(amount)).unwrap_or(Decimal::ZERO)
    }

    fn fee_rates(&self, fields: &Fields) -> Result<Answer, Answer> {
        let category = fields.category()?;
        let symbol = fields.text("symbol")?;
        let per_one = |bps: Decimal| bps.checked_div(Decimal::whole(10_000)).unwrap_or(Decimal::ZERO).to_string();
        let setup = &self.exchange.setup;
        let wanted = self
            .listed
            .iter()
            .filter(|listed| Some(listed.category) == category && symbol.is_none_or(|symbol| listed.name == symbol));
        let list: Vec<Value> = wanted
            .map(|listed| {
                json!({
                    "symbol": listed.name,
                    "takerFeeRate": per_one(setup.taker_fee_bps),
                    "makerFeeRate": per_one(setup.maker_fee_bps),
                })
            })
            .collect();
        Ok(Answer::ok(json!({ "category": fields.needed("category")?, "list": list })))
    }

    fn account_info(&self, account: AccountId) -> Answer {
        let window_s =
            self.exchange.switches.iter().find(|((holder, _), _)| *holder == account).map(|(_, window)| *window);
        Answer::ok(json!({
            "marginMode": "REGULAR_MARGIN",
            "updatedTime": self.ms(self.now).to_string(),
            "unifiedMarginStatus": 5,
            "dcpStatus": if window_s.is_some() { "ON" } else { "OFF" },
            "timeWindow": window_s.unwrap_or(0),
            "smpGroup": 0,
            "isMasterTrader": false,
            "spotHedgingStatus": "OFF",
        }))
    }

    fn key_info(&self, access: Access) -> Answer {
        let key = &self.keys[access.key];
        let when = |on: bool, words: &[&str]| if on { json!(words) } else { json!([]) };
        let wallet: &[&str] = &["AccountTransfer", "Withdraw"];
        Answer::ok(json!({
            "id": (1_000 + access.key).to_string(),
            "note": "lastorders exchange",
            "apiKey": key.api_key,
            "readOnly": if key.may_trade { 0 } else { 1 },
            "secret": "",
            "permissions": {
                "ContractTrade": when(key.may_trade, &["Order", "Position"]),
                "Spot": when(key.may_trade, &["SpotTrade"]),
                "Wallet": when(key.may_withdraw, wallet),
                "Options": [],
                "Derivatives": [],
                "CopyTrading": [],
                "BlockTrade": [],
                "Exchange": [],
                "NFT": [],
                "Affiliate": [],
                "Earn": [],
            },
            "ips": ["*"],
            "type": 1,
            "deadlineDay": 83,
            "expiredAt": "2036-01-01T00:00:00Z",
            "createdAt": "2026-01-01T00:00:00Z",
            "unified": 0,
            "uta": 1,
            "userID": 100_000 + i64::from(access.account.0),
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": true,
            "parentUid": "0",
            "kycLevel": "LEVEL_1",
            "kycRegion": "",
        }))
    }

    fn coins(&self) -> Answer {
        let mut coins: Vec<&str> = self.listed.iter().flat_map(|listed| [&*listed.base, &*listed.quote]).collect();
        coins.sort_unstable();
        coins.dedup();
        let rows: Vec<Value> = coins
            .into_iter()
            .map(|coin| {
                json!({ "name": coin, "coin": coin, "remainAmount": "0", "chains": [{
                    "chainType": coin,
                    "confirmation": "10",
                    "withdrawFee": "0",
                    "depositMin": "0",
                    "withdrawMin": "0",
                    "chain": coin,
                    "chainDeposit": "0",
                    "chainWithdraw": "0",
                    "minAccuracy": "8",
                    "withdrawPercentageFee": "0",
                    "contractAddress": "",
                }] })
            })
            .collect();
        Answer::ok(json!({ "rows": rows }))
    }
}
