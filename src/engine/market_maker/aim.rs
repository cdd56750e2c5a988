//! Where quotes belong: prices from one moment's market and position.
//!
//! Always holds: every price is on a tick, above zero, rounded away from the market; all arithmetic is checked, and what
//! cannot be worked out exactly is no price.
//! Never does: remember anything.

use super::super::market::Spread;
use super::WHOLE_BPS_UNITS;
use crate::domain::instrument::Instrument;
use crate::domain::money::{Decimal, PriceTicks};
use crate::domain::order::Side;
use crate::domain::settings::MarketMakerSettings;

/// Where quotes belong, for one moment's market and position.
pub(super) struct Aim<'a> {
    instrument: &'a Instrument,
    spread: Spread,
    half_ticks: i64,
    middle: Decimal,
    /// The middle, moved against the position.
    center: Decimal,
    post_only: bool,
    requote_bps: Decimal,
}

impl Aim<'_> {
    pub(super) fn new<'a>(
        settings: &MarketMakerSettings,
        instrument: &'a Instrument,
        spread: Spread,
        half_ticks: i64,
        position: Decimal,
    ) -> Option<Aim<'a>> {
        let middle = instrument.rules.tick.checked_mul_int(half_ticks)?.mul_ratio(1, 2)?;
        let max = settings.max_position_qty;
        let full = position.clamp(-max, max);
        let lean =
            middle.mul_ratio(settings.skew_bps.units(), WHOLE_BPS_UNITS)?.mul_ratio(full.units(), max.units())?;
        Some(Aim {
            instrument,
            spread,
            half_ticks,
            middle,
            center: middle.checked_sub(lean)?,
            post_only: settings.post_only,
            requote_bps: settings.requote_bps,
        })
    }

    pub(super) fn price(&self, side: Side, distance: i128) -> Option<PriceTicks> {
        let distance = self.middle.mul_ratio(distance, WHOLE_BPS_UNITS)?;
        let price = match side {
            Side::Buy => self.center.checked_sub(distance)?,
            Side::Sell => self.center.checked_add(distance)?,
        };
        let price = self.instrument.price_away_from_market(side, price).ok()?;
        let price = match (side, self.post_only) {
            (_, false) => price,
            (Side::Buy, true) => price.min(self.spread.ask.price.checked_add(-1)?),
            (Side::Sell, true) => price.max(self.spread.bid.price.checked_add(1)?),
        };
        (price.count() > 0).then_some(price)
    }

    /// Whether a quote is off by the tolerance or more.
    pub(super) fn is_off(&self, price: PriceTicks, target: PriceTicks) -> bool {
        let off_ticks = price.count().abs_diff(target.count());
        if off_ticks == 0 {
            return false;
        }
        let off = i128::from(off_ticks).checked_mul(2 * WHOLE_BPS_UNITS);
        let allowed = i128::from(self.half_ticks).checked_mul(self.requote_bps.units());
        match (off, allowed) {
            (Some(off), Some(allowed)) => off >= allowed,
            _ => true,
        }
    }
}
