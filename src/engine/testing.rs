//! Helpers of the engine's tests: instruments, quotes, dice, and a desk that carries out a strategy's wishes.

use crate::domain::event::Quote;
use crate::domain::ids::{InstrumentId, Symbol, VenueId};
use crate::domain::instrument::{Catalogue, InstrumentKind, InstrumentRules, VenueTraits};
use crate::domain::money::Decimal;
use std::time::Duration;

/// `BTC-USDT` at venue 0: tick 0.5, lot 0.001, orders from 0.002 to 100 worth at least 5.
pub(super) const BTC: InstrumentId = InstrumentId(0);
/// `ETH-USDT` at venue 1.
pub(super) const ETH: InstrumentId = InstrumentId(1);

pub(super) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn traits() -> VenueTraits {
    VenueTraits {
        cancel_ack_is_final: false,
        batch_cancel_max: 10,
        cancel_by_client_id: true,
        create_deadline: Duration::from_secs(3),
        lag: Duration::ZERO,
        settle: Duration::ZERO,
        listing_gap: Duration::ZERO,
        cancels_per_second: 0,
        cancel_burst: 0,
        request_timeout: Duration::from_secs(5),
        open_orders_max: 1_000_000,
    }
}

pub(super) fn rules(symbol: &str) -> InstrumentRules {
    InstrumentRules {
        symbol: Symbol::new(symbol),
        kind: InstrumentKind::Spot,
        base: symbol[..3].into(),
        quote: "USDT".into(),
        tick: decimal("0.5"),
        lot: decimal("0.001"),
        min_qty: decimal("0.002"),
        max_qty: decimal("100"),
        min_notional: decimal("5"),
        tradable: true,
    }
}

pub(super) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (name, symbol) in [("main", "BTC-USDT"), ("other", "ETH-USDT")] {
        let venue = catalogue.add_venue(name, traits()).unwrap();
        catalogue.learn(venue, rules(symbol)).unwrap();
    }
    catalogue
}

/// A quote of `BTC-USDT` with plenty standing on both sides.
pub(super) fn quote(bid: &str, ask: &str) -> Quote {
    let much = decimal("1000");
    Quote {
        venue: VenueId(0),
        symbol: Symbol::new("BTC-USDT"),
        bid: Some((decimal(bid), much)),
        ask: Some((decimal(ask), much)),
    }
}

/// Chance from a seed (xorshift).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// A number from 0, below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
