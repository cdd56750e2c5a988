//! What anyone may ask: time, instruments, prices, trades.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::Gateway;
use super::answer::Answer;
use super::desk::{Outcome, Shape};
use super::lists::limit;
use super::names::{self, Category, Listed};
use super::query::Fields;
use super::routes::Endpoint;
use super::rows::{places, side_word};
use crate::domain::money::Decimal;
use crate::domain::order::Side;
use crate::exchange::money::{Grid, plus};
use crate::exchange::venue::Print;
use crate::exchange::{Ask, Micros};

/// Trades of an instrument that can still be asked for.
const PRINTS_MAX: usize = 1_000;
const MINUTE_MS: i64 = 60_000;

/// What was traded of an instrument.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    pub(super) prints: VecDeque<(u64, Print)>,
    pub(super) last_no: u64,
    pub(super) last: i64,
    pub(super) rises: bool,
    pub(super) first: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) volume_lots: i64,
    pub(super) turnover: Decimal,
}

impl Tape {
    pub(super) fn new(ticks: i64) -> Tape {
        Tape {
            prints: VecDeque::new(),
            last_no: 0,
            last: ticks,
            rises: true,
            first: ticks,
            high: ticks,
            low: ticks,
            volume_lots: 0,
            turnover: Decimal::ZERO,
        }
    }

    /// Writes a trade down; the answer is its number.
    pub(super) fn print(&mut self, print: Print, grid: &Grid) -> u64 {
        self.last_no += 1;
        self.rises = if print.ticks == self.last { self.rises } else { print.ticks > self.last };
        self.last = print.ticks;
        self.high = self.high.max(print.ticks);
        self.low = self.low.min(print.ticks);
        self.volume_lots = self.volume_lots.saturating_add(print.lots);
        self.turnover = plus(self.turnover, grid.notional(print.ticks, print.lots));
        self.prints.push_back((self.last_no, print));
        if self.prints.len() > PRINTS_MAX {
            self.prints.pop_front();
        }
        self.last_no
    }
}

impl Gateway {
    /// A question anyone may ask.
    pub(super) fn show(&mut self, endpoint: Endpoint, fields: &Fields) -> Result<Outcome, Answer> {
        if endpoint == Endpoint::Time {
            return Ok(Outcome::Ask(Ask::Time, Shape::Time));
        }
        if endpoint == Endpoint::Status {
            let list = if self.mishaps.maintenance { json!([self.status_row()]) } else { json!([]) };
            return Ok(Outcome::Now(Answer::ok(json!({ "list": list })).saying("")));
        }
        let named = fields.text("symbol")?.map(str::to_owned);
        let Some(category) = fields.category()? else {
            let category = fields.needed("category")?;
            return Ok(Outcome::Now(Answer::ok(json!({ "category": category, "list": [], "nextPageCursor": "" }))));
        };
        if endpoint == Endpoint::Instruments {
            return Ok(Outcome::Ask(Ask::Instruments, Shape::Instruments { category, symbol: named }));
        }
        if endpoint == Endpoint::Tickers {
            return Ok(Outcome::Now(self.tickers(category, named.as_deref())?));
        }
        let name = fields.needed("symbol")?;
        let pit = self.pit(category, name).ok_or_else(|| Answer::error(10_001, "Not supported symbols"))?;
        Ok(Outcome::Now(match endpoint {
            Endpoint::Book => {
                let usual = if category == Category::Spot { 1 } else { 25 };
                self.say_book(pit, limit(fields, usual, 1_000)?)
            }
            Endpoint::Prints => self.say_prints(pit, limit(fields, 60, 1_000)?),
            _ => self.candles(pit, fields)?,
        }))
    }

    pub(super) fn say_time(&self, at: Micros) -> Answer {
        let micros = at.plus(self.skew_us).micros();
        Answer::ok(json!({
            "timeSecond": micros.div_euclid(1_000_000).to_string(),
            "timeNano": format!("{micros}000"),
        }))
    }

    pub(super) fn status_row(&self) -> Value {
        json!({
            "id": "4d95b2a0-587f-11f0-bcc9-56f28c94d6ea",
            "title": "maintenance",
            "state": "ongoing",
            "begin": self.ms(self.now).to_string(),
            "end": self.ms(self.now.plus(3_600_000_000)).to_string(),
            "href": "",
            "serviceTypes": [1, 2, 3, 4, 5],
            "product": [1, 2],
            "uidSuffix": [],
            "maintainType": 1,
            "env": 1,
        })
    }

    pub(super) fn say_instruments(&self, category: Category, symbol: Option<&str>) -> Answer {
        let listed = self.listed.iter().enumerate();
        let wanted = listed
            .filter(|(_, listed)| listed.category == category && symbol.is_none_or(|symbol| listed.name == symbol));
        let list: Vec<Value> = wanted
            .map(|(pit, listed)| match category {
                Category::Spot => self.spot_instrument(pit, listed),
                Category::Linear => self.linear_instrument(pit, listed),
            })
            .collect();
        let mut result = json!({ "category": category.word(), "list": list });
        if category == Category::Linear {
            result["nextPageCursor"] = json!("");
        }
        Answer::ok(result)
    }

    fn spot_instrument(&self, pit: usize, listed: &Listed) -> Value {
        let rules = &self.exchange.grids[pit].rules;
        let max_market = rules.max_qty.checked_div(Decimal::whole(2)).unwrap_or(rules.max_qty);
        json!({
            "symbolId": pit + 1,
            "symbol": listed.name,
            "baseCoin": listed.base,
            "quoteCoin": listed.quote,
            "innovation": "0",
            "status": if rules.tradable { "Trading" } else { "PreLaunch" },
            "marginTrading": "none",
            "stTag": "0",
            "lotSizeFilter": {
                "basePrecision": rules.lot.to_string(),
                "quotePrecision": "0.0000001",
                "minOrderQty": rules.min_qty.to_string(),
                "maxOrderQty": rules.max_qty.to_string(),
                "minOrderAmt": rules.min_notional.to_string(),
                "maxOrderAmt": "8000000",
                "maxLimitOrderQty": rules.max_qty.to_string(),
                "maxMarketOrderQty": max_market.to_string(),
                "postOnlyMaxLimitOrderSize": rules.max_qty.to_string(),
            },
            "priceFilter": { "tickSize": rules.tick.to_string() },
            "riskParameters": { "priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1" },
            "symbolType": "",
        })
    }

    fn linear_instrument(&self, pit: usize, listed: &Listed) -> Value {
        let rules = &self.exchange.grids[pit].rules;
        let (tick, lot) = (places(rules.tick), places(rules.lot));
        let most = rules.max_qty.with_places(lot);
        json!({
            "symbol": listed.name,
            "symbolId": pit + 1,
            "contractType": "LinearPerpetual",
            "status": if rules.tradable { "Trading" } else { "PreLaunch" },
            "baseCoin": listed.base,
            "quoteCoin": listed.quote,
            "launchTime": "1585526400000",
            "deliveryTime": "0",
            "deliveryFeeRate": "",
            "priceScale": tick.to_string(),
            "leverageFilter": { "minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01" },
            "priceFilter": {
                "minPrice": rules.tick.to_string(),
                "maxPrice": Decimal::whole(1_999_999).with_places(tick),
                "tickSize": rules.tick.to_string(),
            },
            "lotSizeFilter": {
                "maxOrderQty": most,
                "minOrderQty": rules.min_qty.to_string(),
                "qtyStep": rules.lot.to_string(),
                "postOnlyMaxOrderQty": most,
                "maxMktOrderQty": most,
                "minNotionalValue": rules.min_notional.to_string(),
            },
            "unifiedMarginTrade": true,
            "fundingInterval": 480,
            "settleCoin": listed.quote,
            "copyTrading": "none",
            "upperFundingRate": "0.00375",
            "lowerFundingRate": "-0.00375",
            "isPreListing": false,
            "preListingInfo": null,
            "riskParameters": { "priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1" },
            "symbolType": "",
        })
    }

    fn tickers(&self, category: Category, symbol: Option<&str>) -> Result<Answer, Answer> {
        if let Some(symbol) = symbol
            && self.pit(category, symbol).is_none()
        {
            return Err(Answer::error(10_001, "Not supported symbols"));
        }
        let listed = self.listed.iter().enumerate();
        let wanted = listed
            .filter(|(_, listed)| listed.category == category && symbol.is_none_or(|symbol| listed.name == symbol));
        let list: Vec<Value> = wanted.map(|(pit, _)| self.ticker_row(pit)).collect();
        Ok(Answer::ok(json!({ "category": category.word(), "list": list })))
    }

    /// Prices as a list shows them.
    fn ticker_row(&self, pit: usize) -> Value {
        let mut row = self.ticker_core(pit);
        let (bid, ask) = self.touch_texts(pit);
        (row["bid1Price"], row["bid1Size"]) = (json!(bid.0), json!(bid.1));
        (row["ask1Price"], row["ask1Size"]) = (json!(ask.0), json!(ask.1));
        if self.listed[pit].category == Category::Spot {
            return row;
        }
        self.add_contract(&mut row, pit);
        for (name, value) in [
            ("predictedDeliveryPrice", ""),
            ("basisRate", ""),
            ("deliveryFeeRate", ""),
            ("deliveryTime", "0"),
            ("basis", ""),
            ("basisRateYear", ""),
        ] {
            row[name] = json!(value);
        }
        row
    }

    /// What a contract's prices say beyond those of spot.
    fn add_contract(&self, row: &mut Value, pit: usize) {
        let grid = &self.exchange.grids[pit];
        let mark = grid.price(self.exchange.fair_ticks(pit)).with_places(places(grid.rules.tick));
        let first = grid.price(self.tapes[pit].first).with_places(places(grid.rules.tick));
        for (name, value) in [
            ("indexPrice", mark.as_str()),
            ("markPrice", mark.as_str()),
            ("prevPrice1h", first.as_str()),
            ("openInterest", "0"),
            ("openInterestValue", "0"),
            ("fundingRate", "0.0001"),
            ("fundingIntervalHour", "8"),
            ("fundingCap", "0.005"),
            ("preOpenPrice", ""),
            ("preQty", ""),
            ("curPreListingPhase", ""),
        ] {
            row[name] = json!(value);
        }
        let interval_ms = 8 * 3_600_000;
        let next_ms = (self.ms(self.now) / interval_ms + 1) * interval_ms;
        row["nextFundingTime"] = json!(next_ms.to_string());
    }

    /// What all showings of prices have in common.
    fn ticker_core(&self, pit: usize) -> Value {
        let (tape, grid) = (&self.tapes[pit], &self.exchange.grids[pit]);
        let price = |ticks: i64| grid.price(ticks).with_places(places(grid.rules.tick));
        let moved = Decimal::whole(tape.last - tape.first).checked_div(Decimal::whole(tape.first.max(1)));
        let mut row = json!({
            "symbol": self.listed[pit].name,
            "lastPrice": price(tape.last),
            "prevPrice24h": price(tape.first),
            "price24hPcnt": moved.unwrap_or(Decimal::ZERO).truncated(6).to_string(),
            "highPrice24h": price(tape.high),
            "lowPrice24h": price(tape.low),
            "turnover24h": tape.turnover.truncated(8).to_string(),
            "volume24h": grid.qty(tape.volume_lots).to_string(),
        });
        if self.listed[pit].category == Category::Spot {
            row["usdIndexPrice"] = json!(price(self.exchange.fair_ticks(pit)));
        }
        row
    }

    /// Prices as a stream shows them.
    pub(super) fn ticker_stream(&self, pit: usize) -> Value {
        let mut row = self.ticker_core(pit);
        if self.listed[pit].category == Category::Linear {
            let (bid, ask) = self.touch_texts(pit);
            (row["bid1Price"], row["bid1Size"]) = (json!(bid.0), json!(bid.1));
            (row["ask1Price"], row["ask1Size"]) = (json!(ask.0), json!(ask.1));
            self.add_contract(&mut row, pit);
            row["tickDirection"] = json!(if self.tapes[pit].rises { "PlusTick" } else { "MinusTick" });
        }
        row
    }

    fn touch_texts(&self, pit: usize) -> ((String, String), (String, String)) {
        let best = |side| {
            let levels = self.exchange.levels(pit, side, 1);
            levels.first().map_or_else(Default::default, |&level| self.level_texts(pit, level))
        };
        (best(Side::Buy), best(Side::Sell))
    }

    pub(super) fn level_texts(&self, pit: usize, (ticks, lots): (i64, i64)) -> (String, String) {
        let grid = &self.exchange.grids[pit];
        let (tick, lot) = (places(grid.rules.tick), places(grid.rules.lot));
        (grid.price(ticks).with_places(tick), grid.qty(lots).with_places(lot))
    }

    fn say_book(&self, pit: usize, depth: usize) -> Answer {
        let side = |side| -> Vec<Value> {
            let levels = self.exchange.levels(pit, side, depth).into_iter();
            levels.map(|level| json!(<[String; 2]>::from(self.level_texts(pit, level)))).collect()
        };
        let now_ms = self.ms(self.now);
        Answer::ok(json!({
            "s": self.listed[pit].name,
            "b": side(Side::Buy),
            "a": side(Side::Sell),
            "ts": now_ms,
            "u": self.feeds.update_of(pit),
            "seq": self.feeds.seq,
            "cts": now_ms,
        }))
    }

    fn say_prints(&self, pit: usize, count: usize) -> Answer {
        let category = self.listed[pit].category;
        let rows: Vec<Value> = self.tapes[pit]
            .prints
            .iter()
            .rev()
            .take(count)
            .map(|(no, print)| {
                let (price, size) = self.level_texts(pit, (print.ticks, print.lots));
                json!({
                    "execId": names::execution_id(category, *no),
                    "symbol": self.listed[pit].name,
                    "price": price,
                    "size": size,
                    "side": side_word(print.side),
                    "time": self.ms(print.at).to_string(),
                    "isBlockTrade": false,
                    "isRPITrade": false,
                    "seq": no.to_string(),
                })
            })
            .collect();
        Answer::ok(json!({ "category": category.word(), "list": rows }))
    }

    /// Candles of the trades that are still known, newest first.
    fn candles(&self, pit: usize, fields: &Fields) -> Result<Answer, Answer> {
        let minutes = match fields.needed("interval")? {
            "D" => 1_440,
            "W" => 10_080,
            "M" => 43_200,
            text => text.parse::<i64>().ok().filter(|minutes| (1..=720).contains(minutes)).unwrap_or(0),
        };
        if minutes == 0 {
            return Err(Answer::error(10_001, "params error: interval is invalid"));
        }
        let width_ms = minutes * MINUTE_MS;
        let grid = &self.exchange.grids[pit];
        let mut candles: Vec<(i64, [i64; 4], i64, Decimal)> = Vec::new();
        for (_, print) in &self.tapes[pit].prints {
            let begin = self.ms(print.at).div_euclid(width_ms) * width_ms;
            let worth = grid.notional(print.ticks, print.lots);
            match candles.last_mut().filter(|candle| candle.0 == begin) {
                Some((_, [_, high, low, close], lots, turnover)) => {
                    (*high, *low, *close) = ((*high).max(print.ticks), (*low).min(print.ticks), print.ticks);
                    *lots = lots.saturating_add(print.lots);
                    *turnover = plus(*turnover, worth);
                }
                None => candles.push((begin, [print.ticks; 4], print.lots, worth)),
            }
        }
        let count = limit(fields, 200, 1_000)?;
        let price = |ticks: i64| grid.price(ticks).with_places(places(grid.rules.tick));
        let rows: Vec<Value> = candles
            .iter()
            .rev()
            .take(count)
            .map(|(begin, [open, high, low, close], lots, turnover)| {
                let prices = [price(*open), price(*high), price(*low), price(*close)];
                let [open, high, low, close] = prices;
                json!([begin.to_string(), open, high, low, close, grid.qty(*lots).to_string(), turnover.to_string()])
            })
            .collect();
        let listed = &self.listed[pit];
        Ok(Answer::ok(json!({ "symbol": listed.name, "category": listed.category.word(), "list": rows })))
    }
}
