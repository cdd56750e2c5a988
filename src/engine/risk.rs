//! The risk gate: the only maker of `Checked`, so no order leaves that did not pass here. The same in every mode.
//!
//! Always holds: a minted order breaks no limit, given that every order that counts is in the `Exposure` handed in;
//! figures that do not fit their type refuse; a latch outlives the process and ends only by `rearm`.
//! Never does: send, cancel, or look at orders one by one. It says no, or mints.

mod refusal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub use self::refusal::{Breach, OrderWords, RiskRefusal};
use super::exposure::Exposure;
use super::market::{Market, Spread};
use crate::domain::ids::{InstrumentId, VenueId};
use crate::domain::instrument::{Catalogue, Instrument, Venue, VenueTraits};
use crate::domain::money::{Decimal, Lots, PriceTicks};
use crate::domain::order::{Checked, OrderTerms, Side, TimeInForce};
use crate::domain::record::RiskState;
use crate::domain::settings::{RiskLimits, ShutdownSettings, SymbolLimits};
use crate::domain::time::{Boot, Stamp};

/// This many rejections by the venue ...
pub const REJECTIONS_MAX: usize = 10;
/// ... within this time pause a symbol.
pub const REJECTIONS_WINDOW: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// A price moved by `n` hundredths of a percent is `price * (WHOLE + n) / WHOLE`, with `n` in units of 10^-18.
const WHOLE_BPS_UNITS: i128 = 10_000 * Decimal::ONE.units();

/// How many orders we may own at a venue: never more than could be cancelled in the time a stop has.
pub fn may_own(traits: &VenueTraits, limits: &RiskLimits, shutdown: &ShutdownSettings) -> u32 {
    let cap = limits.max_open_orders.min(traits.open_orders_max);
    if traits.cancels_per_second == 0 {
        return cap;
    }
    // 0.7 of it: the rest is for repeats, listings and whatever else bills the same bucket.
    let cancelable = u64::from(traits.cancels_per_second) * u64::from(shutdown.cancel_timeout_s) * 7 / 10;
    cap.min(u32::try_from(cancelable).unwrap_or(u32::MAX))
}

/// What an order is judged by, besides the gate's own memory.
#[derive(Clone, Copy)]
pub struct GateView<'a> {
    /// Instruments and venues.
    pub catalogue: &'a Catalogue,
    /// Best prices.
    pub market: &'a Market,
    /// All orders that count. A minted order must be added before the next check.
    pub exposure: &'a Exposure,
    /// What we hold of the order's instrument; negative when short.
    pub position: Decimal,
    /// Whether a venue cancels what rests there, should this process fall silent.
    pub is_covered: &'a dyn Fn(VenueId) -> bool,
}

/// Holds orders against the operator's limits.
#[derive(Clone, Debug)]
pub struct RiskGate {
    limits: RiskLimits,
    shutdown: ShutdownSettings,
    state: RiskState,
    unsaved: bool,
    /// The profit last marked, for a day that begins between two marks.
    profit: Option<Decimal>,
    /// When the newest orders were minted; at most `max_orders_per_second` of them.
    minted_at: VecDeque<Boot>,
    symbols: BTreeMap<InstrumentId, SymbolGate>,
}

#[derive(Clone, Debug, Default)]
struct SymbolGate {
    rejected_at: VecDeque<Boot>,
    too_many_rejections: bool,
    held: Option<String>,
    stale_after: Option<Duration>,
}

impl RiskGate {
    /// A gate with the memory of an earlier run.
    pub fn new(limits: RiskLimits, shutdown: ShutdownSettings, state: RiskState) -> RiskGate {
        RiskGate {
            limits,
            shutdown,
            state,
            unsaved: false,
            profit: None,
            minted_at: VecDeque::new(),
            symbols: BTreeMap::new(),
        }
    }

    /// Lets an order through, or says which limit it would break. Letting through counts for the rate at once,
    /// whether or not the order is sent.
    pub fn check(&mut self, at: Stamp, terms: OrderTerms, view: &GateView<'_>) -> Result<Checked, RiskRefusal> {
        let instrument = view.catalogue.instrument(terms.instrument);
        let case = Case {
            terms: &terms,
            instrument,
            venue: view.catalogue.venue(instrument.venue),
            limits: self.limits.of(instrument.symbol()),
            view,
        };
        let verdict = self
            .open_for(terms.instrument)
            .and_then(|()| case.size())
            .and_then(|()| case.price())
            .and_then(|()| case.position())
            .and_then(|()| self.uncovered(&case))
            .and_then(|()| self.count(&case))
            .and_then(|()| self.rate(at.boot));
        match verdict {
            Ok(()) => {
                self.minted_at.push_back(at.boot);
                Ok(Checked::mint(terms))
            }
            Err(breach) => Err(RiskRefusal { order: Box::new(OrderWords::new(instrument, &terms)), breach }),
        }
    }

    /// The venue rejected an order. Says whether this paused the symbol.
    pub fn note_rejection(&mut self, at: Stamp, instrument: InstrumentId) -> bool {
        let gate = self.symbols.entry(instrument).or_default();
        let since = at.boot.before(REJECTIONS_WINDOW);
        while gate.rejected_at.front().is_some_and(|&then| then < since) {
            gate.rejected_at.pop_front();
        }
        gate.rejected_at.push_back(at.boot);
        if gate.rejected_at.len() < REJECTIONS_MAX || gate.too_many_rejections {
            // A paused symbol gets no new orders, yet late answers may still come: keep no more than matter.
            gate.rejected_at.truncate(REJECTIONS_MAX);
            return false;
        }
        gate.too_many_rejections = true;
        true
    }

    /// Pauses a symbol until `release`: its books and the venue's disagree, or the like.
    pub fn hold(&mut self, instrument: InstrumentId, why: &str) {
        self.symbols.entry(instrument).or_default().held = Some(why.to_owned());
    }

    /// Ends a `hold`.
    pub fn release(&mut self, instrument: InstrumentId) {
        if let Some(gate) = self.symbols.get_mut(&instrument) {
            gate.held = None;
        }
    }

    /// Lets no order of a symbol pass while its prices are older than this.
    pub fn stale(&mut self, instrument: InstrumentId, after: Duration) {
        self.symbols.entry(instrument).or_default().stale_after = Some(after);
    }

    /// Prices come again: ends a `stale`.
    pub fn fresh(&mut self, instrument: InstrumentId) {
        if let Some(gate) = self.symbols.get_mut(&instrument) {
            gate.stale_after = None;
        }
    }

    /// Whether more rests where no switch would cancel it than the limit allows.
    pub fn has_too_much_uncovered(&self, view: &GateView<'_>) -> bool {
        let Some(allowed) = self.limits.uncovered_max_notional else { return false };
        let resting = view.exposure.notional(view.catalogue, |venue| !(view.is_covered)(venue));
        resting.is_none_or(|resting| resting > allowed)
    }

    /// No new orders until `resume`.
    pub fn pause(&mut self) {
        self.unsaved |= !self.state.paused;
        self.state.paused = true;
    }

    /// The operator lets trading go on: ends `pause` and the pauses after rejections. Ends neither a latch nor a `hold`.
    pub fn resume(&mut self) {
        self.unsaved |= self.state.paused;
        self.state.paused = false;
        for gate in self.symbols.values_mut() {
            gate.too_many_rejections = false;
            gate.rejected_at.clear();
        }
    }

    /// Books the profit of the whole process (all venues, realised and unrealised, less fees): begins a new day at
    /// 00:00 UTC and latches trading off when the day's loss reaches the limit. Says why, when this call latched.
    pub fn mark(&mut self, at: Stamp, profit: Decimal) -> Option<String> {
        self.turn_day(at, profit);
        self.profit = Some(profit);
        if self.state.latched.is_some() {
            return None;
        }
        let allowed = self.limits.max_daily_loss;
        let reason = match self.state.profit_at_day_start.checked_sub(profit) {
            Some(loss) if loss.is_positive() && loss >= allowed => {
                format!("loss of {loss} since 00:00 UTC, max_daily_loss = {allowed}")
            }
            Some(_) => return None,
            None => "the day's loss cannot be worked out exactly: a number is too large".to_owned(),
        };
        self.latch(&reason);
        Some(reason)
    }

    fn turn_day(&mut self, at: Stamp, profit: Decimal) {
        let (day, known) = (at.wall.day(), self.state.day);
        // A clock set back over midnight does not begin yesterday again; one that was wrong by days does not keep us
        // waiting for the day it showed.
        if day > known || day < known.saturating_sub(1) {
            self.state.day = day;
            self.state.profit_at_day_start = self.profit.unwrap_or(profit);
            self.unsaved = true;
        }
    }

    /// Latches trading off, across restarts, until `rearm`. The first reason stays.
    pub fn latch(&mut self, reason: &str) {
        if self.state.latched.is_none() {
            self.state.latched = Some(reason.to_owned());
            self.unsaved = true;
        }
    }

    /// The operator ends a latch; the day's loss counts anew from this profit.
    pub fn rearm(&mut self, profit: Decimal) {
        if self.state.latched.take().is_some() {
            self.state.profit_at_day_start = profit;
            self.profit = Some(profit);
            self.unsaved = true;
        }
    }

    /// What must be recorded, when it changed since this was last asked.
    pub fn take_unsaved(&mut self) -> Option<RiskState> {
        std::mem::take(&mut self.unsaved).then(|| self.state.clone())
    }

    /// What the gate remembers across restarts.
    pub fn state(&self) -> &RiskState {
        &self.state
    }

    /// Why no order of this instrument can pass at all, in words; nothing where one may.
    pub fn shut_for(&self, instrument: InstrumentId) -> Option<String> {
        self.open_for(instrument).err().map(|breach| breach.to_string())
    }

    /// Whether orders may pass as far as latch and pause go.
    pub fn is_open(&self) -> bool {
        self.state.latched.is_none() && !self.state.paused
    }

    fn open_for(&self, instrument: InstrumentId) -> Result<(), Breach> {
        if let Some(reason) = &self.state.latched {
            return Err(Breach::Latched(reason.clone()));
        }
        if self.state.paused {
            return Err(Breach::Paused);
        }
        let Some(gate) = self.symbols.get(&instrument) else {
            return Ok(());
        };
        if let Some(after) = gate.stale_after {
            return Err(Breach::StaleMarket { after_s: after.as_secs() });
        }
        if let Some(why) = &gate.held {
            return Err(Breach::SymbolPaused(why.clone()));
        }
        if gate.too_many_rejections {
            let why = format!("{REJECTIONS_MAX} rejections by the venue within a minute; the operator resumes it");
            return Err(Breach::SymbolPaused(why));
        }
        Ok(())
    }

    /// What would rest where nobody cancels it for us.
    fn uncovered(&self, case: &Case<'_>) -> Result<(), Breach> {
        let Some(allowed) = self.limits.uncovered_max_notional else { return Ok(()) };
        let view = case.view;
        if (view.is_covered)(case.venue.id) {
            return Ok(());
        }
        let resting = view.exposure.notional(view.catalogue, |venue| !(view.is_covered)(venue));
        let this = case.instrument.notional(case.terms.price, case.terms.qty);
        let value = resting.zip(this).and_then(|(resting, this)| resting.checked_add(this));
        match value {
            None => Err(Breach::TooLarge("uncovered_max_notional")),
            Some(value) if value > allowed => Err(Breach::Uncovered { value, allowed }),
            Some(_) => Ok(()),
        }
    }

    fn count(&self, case: &Case<'_>) -> Result<(), Breach> {
        let exposure = case.view.exposure;
        let (value, allowed) = (exposure.total().saturating_add(1), self.limits.max_open_orders);
        if value > allowed {
            return Err(Breach::OpenOrders { value, allowed });
        }
        let value = exposure.at_venue(case.venue.id).saturating_add(1);
        let allowed = may_own(&case.venue.traits, &self.limits, &self.shutdown);
        if value > allowed {
            let venue = case.venue.name.clone();
            return Err(Breach::VenueOrders { venue, value, allowed });
        }
        Ok(())
    }

    /// No stretch shorter than a second ever holds more mints than the limit. Makes room in the window.
    fn rate(&mut self, now: Boot) -> Result<(), Breach> {
        while self.minted_at.front().is_some_and(|&then| now.since(then) >= SECOND) {
            self.minted_at.pop_front();
        }
        let allowed = self.limits.max_orders_per_second;
        if self.minted_at.len() as u64 >= u64::from(allowed) {
            return Err(Breach::Rate { allowed });
        }
        Ok(())
    }
}

/// One order before the gate.
struct Case<'a> {
    terms: &'a OrderTerms,
    instrument: &'a Instrument,
    venue: &'a Venue,
    limits: &'a SymbolLimits,
    view: &'a GateView<'a>,
}

impl Case<'_> {
    /// The venue's rules, and the worth of the order by itself.
    fn size(&self) -> Result<(), Breach> {
        let (instrument, terms) = (self.instrument, self.terms);
        let rules = &instrument.rules;
        if !rules.tradable {
            return Err(Breach::NotTradable);
        }
        let price = (rules.tick.checked_mul_int(terms.price.count())).ok_or(Breach::TooLarge("the price"))?;
        if !price.is_positive() {
            return Err(Breach::Price(price));
        }
        let qty = (rules.lot.checked_mul_int(terms.qty.count())).ok_or(Breach::TooLarge("the quantity"))?;
        let allowed = rules.min_qty;
        if terms.qty.is_zero() || qty < allowed {
            return Err(Breach::BelowMinQty { value: qty, allowed });
        }
        let allowed = rules.max_qty;
        if qty > allowed {
            return Err(Breach::AboveMaxQty { value: qty, allowed });
        }
        let worth = instrument.notional(terms.price, terms.qty);
        let value = worth.ok_or(Breach::TooLarge("max_order_notional"))?;
        let allowed = rules.min_notional;
        if value < allowed {
            return Err(Breach::BelowMinNotional { value, allowed });
        }
        let allowed = self.limits.max_order_notional;
        if value > allowed {
            return Err(Breach::OrderNotional { value, allowed });
        }
        Ok(())
    }

    /// The collar, the touch, our own orders.
    fn price(&self) -> Result<(), Breach> {
        let (instrument, price) = (self.instrument, self.terms.price);
        let spread = self.spread()?;
        let through = self.limits.collar_through_bps;
        let away = self.limits.collar_away_bps;
        let value = instrument.price_of(price);
        let (through, away, beyond, behind, touch) = match self.terms.side {
            Side::Buy => {
                let through = highest(spread.ask.price, through).ok_or(Breach::TooLarge("collar_through_bps"))?;
                let away = lowest(spread.bid.price, away).ok_or(Breach::TooLarge("collar_away_bps"))?;
                (through, away, price > through, price < away, spread.ask.price)
            }
            Side::Sell => {
                let through = lowest(spread.bid.price, through).ok_or(Breach::TooLarge("collar_through_bps"))?;
                let away = highest(spread.ask.price, away).ok_or(Breach::TooLarge("collar_away_bps"))?;
                (through, away, price < through, price > away, spread.bid.price)
            }
        };
        if beyond {
            let allowed = instrument.price_of(through);
            return Err(Breach::CollarThrough { value, allowed });
        }
        if behind {
            let allowed = instrument.price_of(away);
            return Err(Breach::CollarAway { value, allowed });
        }
        if self.terms.time_in_force == TimeInForce::PostOnly && self.meets(touch) {
            let touch = instrument.price_of(touch);
            return Err(Breach::WouldCross { value, touch });
        }
        match self.view.exposure.own_opposite(instrument.id, self.terms.side) {
            Some(own) if self.meets(own) => {
                let own = instrument.price_of(own);
                Err(Breach::SelfCross { value, own })
            }
            _ => Ok(()),
        }
    }

    fn position(&self) -> Result<(), Breach> {
        let allowed = self.limits.max_position_notional;
        match self.worth_if_filled() {
            None => Err(Breach::TooLarge("max_position_notional")),
            Some(value) if value > allowed => Err(Breach::PositionNotional { value, allowed }),
            Some(_) => Ok(()),
        }
    }

    /// Worth of the position on this order's side were every open order of the side filled, this one included.
    ///
    /// A position the same way counts at the mark. One the other way is closed first: as much as closes counts
    /// nothing, and the rest counts at the orders' own prices, the cheapest of them taken to be the ones that closed,
    /// so that the sum is never too small.
    fn worth_if_filled(&self) -> Option<Decimal> {
        let (instrument, terms) = (self.instrument, self.terms);
        let side = self.view.exposure.side(instrument.id, terms.side);
        let this = i128::from(terms.price.count()).checked_mul(i128::from(terms.qty.count()))?;
        let tick_lot = instrument.notional(PriceTicks::new(1), Lots::new(1)?)?;
        let worth = tick_lot.mul_ratio(side.tick_lots?.checked_add(this)?, 1)?;
        let held = match terms.side {
            Side::Buy => self.view.position,
            Side::Sell => -self.view.position,
        };
        if !held.is_negative() {
            // `price` has found a market before, so there is a mark.
            let mark = self.view.market.mark(instrument.id)?;
            return held.checked_mul(mark)?.checked_add(worth);
        }
        let lots = side.lots.checked_add(i128::from(terms.qty.count()))?;
        let qty = instrument.rules.lot.mul_ratio(lots, 1)?;
        let closing = held.abs();
        if qty <= closing {
            return Some(Decimal::ZERO);
        }
        let cheapest = side.lowest.map_or(terms.price, |own| own.min(terms.price));
        worth.checked_sub(closing.checked_mul(instrument.price_of(cheapest))?)
    }

    /// Whether the order would trade with one of the other side at `other`.
    fn meets(&self, other: PriceTicks) -> bool {
        match self.terms.side {
            Side::Buy => self.terms.price >= other,
            Side::Sell => self.terms.price <= other,
        }
    }

    fn spread(&self) -> Result<Spread, Breach> {
        self.view.market.spread(self.instrument.id).ok_or(Breach::NoMarket)
    }
}

/// The highest tick not above `price` raised by `bps`.
fn highest(price: PriceTicks, bps: Decimal) -> Option<PriceTicks> {
    let factor = WHOLE_BPS_UNITS.checked_add(bps.units())?;
    let ticks = i128::from(price.count()).checked_mul(factor)?.div_euclid(WHOLE_BPS_UNITS);
    i64::try_from(ticks).ok().map(PriceTicks::new)
}

/// The lowest tick not below `price` lowered by `bps`.
fn lowest(price: PriceTicks, bps: Decimal) -> Option<PriceTicks> {
    let factor = WHOLE_BPS_UNITS.checked_sub(bps.units())?;
    let scaled = i128::from(price.count()).checked_mul(factor)?;
    let ticks = scaled.checked_neg()?.div_euclid(WHOLE_BPS_UNITS).checked_neg()?;
    i64::try_from(ticks).ok().map(PriceTicks::new)
}
