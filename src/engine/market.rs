//! What the market looks like: the newest best prices of every instrument, on our grid; beside them levels of the book,
//! the last trade, and what a contract is worth by the venue's own measure, as the venue tells them.
//!
//! Always holds: a bid lies below its ask, both are positive and on the instrument's ticks, and the middle is exact
//! (a count of half ticks). A quote that breaks this is refused whole; what was known before stays, and ages.
//! Never does: guess a side that is not quoted, or judge how old is too old.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::event::{Depth, MarketNews, Print, Quote, Ticker};
use crate::domain::ids::{InstrumentId, Symbol, VenueId};
use crate::domain::instrument::{Instrument, InstrumentKind, OffGrid};
use crate::domain::money::{Decimal, PriceTicks};
use crate::domain::time::{Boot, Wall};

/// The best price of one side and what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// At.
    pub price: PriceTicks,
    /// How much, of everyone.
    pub qty: Decimal,
}

/// Both best prices of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The best buyer.
    pub bid: Touch,
    /// The best seller; always above the bid.
    pub ask: Touch,
}

impl Spread {
    /// The middle as a count of half ticks: bid plus ask. Fits, because `Market::take` refuses what would not.
    pub fn middle_half_ticks(&self) -> i64 {
        self.bid.price.count().saturating_add(self.ask.price.count())
    }
}

/// Why a quote is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quote of {symbol} ignored: {why}; the price known before stays and ages")]
pub struct BadQuote {
    /// Of what.
    pub symbol: Symbol,
    /// What is wrong.
    pub why: QuoteFault,
}

/// What is wrong with a quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteFault {
    /// A price between ticks: our rules of the instrument are not the venue's any more.
    #[error("{0}")]
    OffGrid(OffGrid),
    /// A price or a quantity that is not above zero.
    #[error("{0} is not above zero")]
    NotPositive(Decimal),
    /// A bid at or above the ask.
    #[error("the bid {bid} does not lie below the ask {ask}")]
    Crossed {
        /// The bid.
        bid: Decimal,
        /// The ask.
        ask: Decimal,
    },
    /// Prices whose middle cannot be kept exactly.
    #[error("the prices are too large to keep exactly")]
    TooLarge,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    bid: Option<Touch>,
    ask: Option<Touch>,
    mark: Option<Decimal>,
    at: Boot,
}

/// What is told beside the best prices.
#[derive(Clone, Debug, Default)]
struct Told {
    depth: Option<Depth>,
    last: Option<Print>,
    ticker: Ticker,
}

/// The newest best prices, by instrument.
#[derive(Clone, Debug, Default)]
pub struct Market {
    known: Vec<Option<Known>>,
    told: BTreeMap<InstrumentId, Told>,
    venues: Vec<Option<VenueId>>,
}

impl Market {
    /// Takes a quote in. Says whether it changed anything but the age.
    pub fn take(&mut self, at: Boot, instrument: &Instrument, quote: &Quote) -> Result<bool, BadQuote> {
        let refuse = |why| BadQuote { symbol: instrument.symbol().clone(), why };
        let bid = touch(instrument, quote.bid).map_err(refuse)?;
        let ask = touch(instrument, quote.ask).map_err(refuse)?;
        let mark = match (bid, ask) {
            (Some(bid), Some(ask)) if bid.price >= ask.price => {
                return Err(refuse(QuoteFault::Crossed {
                    bid: instrument.price_of(bid.price),
                    ask: instrument.price_of(ask.price),
                }));
            }
            (Some(bid), Some(ask)) => {
                let middle = middle(instrument, bid.price, ask.price);
                Some(middle.ok_or_else(|| refuse(QuoteFault::TooLarge))?)
            }
            _ => None,
        };
        let place = usize::from(instrument.id.0);
        if self.known.len() <= place {
            self.known.resize(place + 1, None);
            self.venues.resize(place + 1, None);
        }
        self.venues[place] = Some(instrument.venue);
        let before = self.known[place].unwrap_or_default();
        self.known[place] = Some(Known { bid, ask, mark: mark.or(before.mark), at });
        Ok((before.bid, before.ask) != (bid, ask))
    }

    /// Takes in more of the market than the best prices. What it does not tell stays as it was. Levels of the book are a
    /// sign of life: best prices that did not change are not old then.
    pub fn take_news(&mut self, at: Boot, instrument: &Instrument, news: &MarketNews) {
        let told = self.told.entry(instrument.id).or_default();
        if let Some(last) = &news.last {
            told.last = Some(last.clone());
        }
        if let Some(ticker) = &news.ticker {
            // Only a contract has a worth of its own beside its prices.
            let is_contract = instrument.rules.kind == InstrumentKind::Linear;
            let mark = ticker.mark.filter(|mark| is_contract && mark.is_positive());
            told.ticker.mark = mark.or(told.ticker.mark);
            told.ticker.funding_rate = ticker.funding_rate.or(told.ticker.funding_rate);
            told.ticker.next_funding = ticker.next_funding.or(told.ticker.next_funding);
        }
        if let Some(depth) = &news.depth {
            told.depth = Some(depth.clone());
            if let Some(Some(known)) = self.known.get_mut(usize::from(instrument.id.0))
                && known.bid.is_some()
                && known.ask.is_some()
            {
                known.at = known.at.max(at);
            }
        }
    }

    /// A venue's prices are no longer fed: nothing is quoted there until it is. Marks stay, for the books.
    pub fn forget(&mut self, venue: VenueId) {
        let of_venue = self.venues.iter().enumerate().filter(|(_, owner)| **owner == Some(venue));
        for place in of_venue.map(|(place, _)| place).collect::<Vec<_>>() {
            self.forget_prices(place);
        }
    }

    /// An instrument's prices are too old to act by. They count as forgotten until the next one comes.
    pub fn hide(&mut self, instrument: InstrumentId) {
        self.forget_prices(usize::from(instrument.0));
    }

    fn forget_prices(&mut self, place: usize) {
        if let Some(Some(known)) = self.known.get_mut(place) {
            (known.bid, known.ask) = (None, None);
        }
        // A place is an instrument's number.
        if let Some(told) = u16::try_from(place).ok().and_then(|number| self.told.get_mut(&InstrumentId(number))) {
            (told.depth, told.last) = (None, None);
        }
    }

    /// The best buyer.
    pub fn bid(&self, instrument: InstrumentId) -> Option<Touch> {
        self.of(instrument)?.bid
    }

    /// The best seller.
    pub fn ask(&self, instrument: InstrumentId) -> Option<Touch> {
        self.of(instrument)?.ask
    }

    /// Both best prices; nothing while one side is not quoted.
    pub fn spread(&self, instrument: InstrumentId) -> Option<Spread> {
        let known = self.of(instrument)?;
        Some(Spread { bid: known.bid?, ask: known.ask? })
    }

    /// The price to value positions at: the venue's mark price where it tells one, else the middle. Outlives the quotes it
    /// came from: a position does not become worthless because a stream broke.
    pub fn mark(&self, instrument: InstrumentId) -> Option<Decimal> {
        let by_venue = self.told.get(&instrument).and_then(|told| told.ticker.mark);
        by_venue.or_else(|| self.of(instrument)?.mark)
    }

    /// The best levels of the book, where the venue feeds them.
    pub fn depth(&self, instrument: InstrumentId) -> Option<&Depth> {
        self.told.get(&instrument)?.depth.as_ref()
    }

    /// The last trade of anyone.
    pub fn last_trade(&self, instrument: InstrumentId) -> Option<&Print> {
        self.told.get(&instrument)?.last.as_ref()
    }

    /// The next funding of a contract, as a part of the position's worth.
    pub fn funding_rate(&self, instrument: InstrumentId) -> Option<Decimal> {
        self.told.get(&instrument)?.ticker.funding_rate
    }

    /// When the next funding of a contract is due.
    pub fn next_funding(&self, instrument: InstrumentId) -> Option<Wall> {
        self.told.get(&instrument)?.ticker.next_funding
    }

    /// How long ago the last quote came in.
    pub fn age(&self, at: Boot, instrument: InstrumentId) -> Option<Duration> {
        Some(at.since(self.of(instrument)?.at))
    }

    fn of(&self, instrument: InstrumentId) -> Option<&Known> {
        self.known.get(usize::from(instrument.0))?.as_ref()
    }
}

fn touch(instrument: &Instrument, quoted: Option<(Decimal, Decimal)>) -> Result<Option<Touch>, QuoteFault> {
    let Some((price, qty)) = quoted else {
        return Ok(None);
    };
    for number in [price, qty] {
        if !number.is_positive() {
            return Err(QuoteFault::NotPositive(number));
        }
    }
    let price = instrument.price(price).map_err(QuoteFault::OffGrid)?;
    Ok(Some(Touch { price, qty }))
}

fn middle(instrument: &Instrument, bid: PriceTicks, ask: PriceTicks) -> Option<Decimal> {
    let half_ticks = bid.count().checked_add(ask.count())?;
    instrument.rules.tick.checked_mul_int(half_ticks)?.mul_ratio(1, 2)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BTC, catalogue, decimal, quote};
    use super::*;

    #[test]
    fn the_middle_between_two_ticks_is_exact() {
        let (catalogue, mut market) = (catalogue(), Market::default());
        let changed = market.take(Boot::ZERO, catalogue.instrument(BTC), &quote("100", "100.5"));
        assert_eq!(changed, Ok(true));
        assert_eq!(market.spread(BTC).unwrap().middle_half_ticks(), 401);
        assert_eq!(market.mark(BTC), Some(decimal("100.25")));
    }

    #[test]
    fn a_quote_that_cannot_be_is_refused_and_the_old_one_ages() {
        let (catalogue, mut market) = (catalogue(), Market::default());
        let instrument = catalogue.instrument(BTC);
        market.take(Boot::from_nanos(5), instrument, &quote("100", "101")).unwrap();
        let before = market.spread(BTC);
        let huge = "4611686018427387904";
        for (bid, ask, word) in [
            ("100.3", "101", "not a multiple of the tick"),
            ("100", "101.1", "not a multiple of the tick"),
            ("101", "101", "below the ask"),
            ("102", "101", "below the ask"),
            ("0", "101", "not above zero"),
            ("-1", "101", "not above zero"),
            (huge, huge, "multiple of the tick"),
        ] {
            let refused = market.take(Boot::from_nanos(9), instrument, &quote(bid, ask)).unwrap_err();
            assert!(refused.to_string().contains(word), "{refused}");
            assert!(refused.to_string().contains("BTC-USDT"), "{refused}");
        }
        let mut empty_level = quote("100", "101");
        empty_level.bid = Some((decimal("100"), Decimal::ZERO));
        assert!(market.take(Boot::from_nanos(9), instrument, &empty_level).is_err());
        assert_eq!(market.spread(BTC), before);
        assert_eq!(market.age(Boot::from_nanos(9), BTC), Some(Duration::from_nanos(4)));
    }

    #[test]
    fn the_same_quote_again_only_renews_the_age() {
        let (catalogue, mut market) = (catalogue(), Market::default());
        let instrument = catalogue.instrument(BTC);
        market.take(Boot::from_nanos(5), instrument, &quote("100", "101")).unwrap();
        assert_eq!(market.take(Boot::from_nanos(9), instrument, &quote("100", "101")), Ok(false));
        assert_eq!(market.age(Boot::from_nanos(9), BTC), Some(Duration::ZERO));
    }

    #[test]
    fn one_side_alone_is_no_market_but_the_mark_stays() {
        let (catalogue, mut market) = (catalogue(), Market::default());
        let instrument = catalogue.instrument(BTC);
        market.take(Boot::ZERO, instrument, &quote("100", "101")).unwrap();
        let mut one_sided = quote("99", "101");
        one_sided.ask = None;
        market.take(Boot::ZERO, instrument, &one_sided).unwrap();
        assert_eq!(market.spread(BTC), None);
        assert_eq!(market.bid(BTC).unwrap().price, instrument.price(decimal("99")).unwrap());
        assert_eq!(market.mark(BTC), Some(decimal("100.5")));
        market.forget(instrument.venue);
        assert_eq!((market.bid(BTC), market.mark(BTC)), (None, Some(decimal("100.5"))));
    }

    fn perp() -> Instrument {
        let rules = crate::domain::instrument::InstrumentRules {
            kind: InstrumentKind::Linear,
            ..super::super::testing::rules("BTC-USDT-PERP")
        };
        Instrument::new(BTC, VenueId(0), rules).unwrap()
    }

    fn news(depth: Option<Depth>, mark: Option<&str>, rate: Option<&str>) -> MarketNews {
        let ticker = Ticker { mark: mark.map(decimal), funding_rate: rate.map(decimal), next_funding: None };
        MarketNews { venue: VenueId(0), symbol: Symbol::new("BTC-USDT-PERP"), depth, last: None, ticker: Some(ticker) }
    }

    #[test]
    fn the_venues_mark_price_values_a_contract_and_no_coin() {
        let (contract, coin) = (perp(), catalogue().instrument(BTC).clone());
        for (instrument, valued) in [(&contract, "97"), (&coin, "100.5")] {
            let mut market = Market::default();
            market.take(Boot::ZERO, instrument, &quote("100", "101")).unwrap();
            market.take_news(Boot::ZERO, instrument, &news(None, Some("97"), Some("0.0001")));
            market.take_news(Boot::ZERO, instrument, &news(None, Some("0"), None));
            assert_eq!(market.mark(BTC), Some(decimal(valued)), "{}", instrument.symbol());
            assert_eq!(market.funding_rate(BTC), Some(decimal("0.0001")), "what is not told stays");
        }
    }

    #[test]
    fn levels_are_a_sign_of_life_and_go_with_the_prices() {
        let (instrument, mut market) = (perp(), Market::default());
        let depth = Depth { bids: vec![(decimal("100"), decimal("3"))], asks: Vec::new() };
        market.take(Boot::from_nanos(1), &instrument, &quote("100", "101")).unwrap();
        market.take_news(Boot::from_nanos(9), &instrument, &news(Some(depth.clone()), None, None));
        assert_eq!(market.age(Boot::from_nanos(9), BTC), Some(Duration::ZERO));
        assert_eq!(market.depth(BTC), Some(&depth));
        market.hide(BTC);
        assert_eq!((market.spread(BTC), market.depth(BTC)), (None, None));
        market.take_news(Boot::from_nanos(20), &instrument, &news(Some(depth), None, None));
        assert_eq!(market.age(Boot::from_nanos(20), BTC), Some(Duration::from_nanos(11)), "levels alone are no price");
        assert_eq!(market.take(Boot::from_nanos(21), &instrument, &quote("100", "101")), Ok(true), "told anew");
    }
}
