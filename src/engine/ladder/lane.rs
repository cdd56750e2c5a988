//! One side of a ladder on one instrument: its rungs, and which of them still want an order.
//!
//! Always holds: a rung has at most one order; what is filled, resting, owed and carried adds up to `order_qty` for
//! each rung; nothing here walks the rungs.
//! Never does: talk to the engine. The ladder turns what is wanted here into wishes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::risk::{Breach, RiskRefusal};
use super::super::strategy::{Backoff, OrderChange, Places};
use super::ranges::Ranges;
use crate::domain::ids::{ClientOrderId, InstrumentId};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Lots, PriceTicks};
use crate::domain::order::{Side, StateName};
use crate::domain::time::Boot;

/// Most orders wished for in one cycle, a lane.
pub(super) const PLACED_PER_CYCLE_MAX: usize = 10;
/// After the gate's rate limit the lane tries again this much later.
const RATE_WAIT: Duration = Duration::from_millis(250);
/// The longest wait of a lane after refusals in a row.
const LANE_WAIT_MAX: Duration = Duration::from_secs(8);
/// The longest wait of a rung.
const RUNG_WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) instrument: InstrumentId,
    pub(super) side: Side,
    pub(super) step_ticks: i64,
    pub(super) order_lots: Lots,
    pub(super) rungs_max: u32,
    /// The price of the first rung, once it is fixed.
    pub(super) first: Option<PriceTicks>,
    pub(super) rungs: Places<Rung>,
    /// What a rung still has to put out, where that is not `order_lots` and not nothing.
    pub(super) partial: BTreeMap<u32, Lots>,
    pub(super) done: Ranges,
    /// Left over from done rungs, too small to be an order.
    pub(super) carry: Lots,
    /// A limit refused more than one rung's worth at once: the carry waits.
    pub(super) no_extra: bool,
    /// Rungs from here on were never tried.
    fresh: u32,
    /// Rungs that want an order again.
    again: BTreeSet<u32>,
    /// Rungs that may not yet try again.
    waiting: BTreeSet<(Boot, u32)>,
    backoff: Backoff,
    pub(super) told_left_out: bool,
    /// Something to remember has changed.
    pub(super) changed: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Rung {
    pub(super) order: Option<RungOrder>,
    /// The order before this one, and what of it is counted: its fills may come late.
    before: Option<(ClientOrderId, Lots)>,
    /// Filled late by the order before, while this one rests: taken off what is left of it.
    late: Lots,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RungOrder {
    /// None while it is only wished for.
    pub(super) client_id: Option<ClientOrderId>,
    pub(super) qty: Lots,
    pub(super) filled: Lots,
    /// How much of `qty` came from the carry.
    pub(super) carried: Lots,
}

/// A rung that wants an order, and how much.
pub(super) struct Wanted {
    pub(super) rung: u32,
    pub(super) price: PriceTicks,
    pub(super) qty: Lots,
}

impl Lane {
    pub(super) fn new(instrument: InstrumentId, side: Side, step_ticks: i64, order_lots: Lots, rungs: u32) -> Lane {
        Lane {
            instrument,
            side,
            step_ticks,
            order_lots,
            rungs_max: rungs,
            first: None,
            rungs: Places::new(rungs as usize),
            partial: BTreeMap::new(),
            done: Ranges::default(),
            carry: Lots::ZERO,
            no_extra: false,
            fresh: 0,
            again: BTreeSet::new(),
            waiting: BTreeSet::new(),
            backoff: Backoff::default(),
            told_left_out: false,
            changed: false,
        }
    }

    /// The price of a rung; nothing before the first is fixed, or where it would not be above zero.
    pub(super) fn price(&self, rung: u32) -> Option<PriceTicks> {
        let away = self.step_ticks.checked_mul(i64::from(rung))?;
        let price = match self.side {
            Side::Buy => self.first?.checked_add(away.checked_neg()?)?,
            Side::Sell => self.first?.checked_add(away)?,
        };
        (price.count() > 0).then_some(price)
    }

    /// The rung at a price.
    pub(super) fn rung_at(&self, price: PriceTicks) -> Option<u32> {
        let first = self.first?.count();
        let away = match self.side {
            Side::Buy => first.checked_sub(price.count())?,
            Side::Sell => price.count().checked_sub(first)?,
        };
        let rung = if self.step_ticks == 0 { away } else { away.checked_div(self.step_ticks)? };
        let rung = u32::try_from(rung).ok().filter(|&rung| rung < self.rungs_max)?;
        (self.price(rung) == Some(price)).then_some(rung)
    }

    /// What a rung still has to put out.
    pub(super) fn owed(&self, rung: u32) -> Lots {
        if self.done.contains(rung) {
            return Lots::ZERO;
        }
        self.partial.get(&rung).copied().unwrap_or(self.order_lots)
    }

    fn owe(&mut self, rung: u32, lots: Lots) {
        self.changed |= if lots.is_zero() {
            let was_done = self.done.contains(rung);
            self.partial.remove(&rung);
            self.done.insert(rung);
            !was_done
        } else if lots == self.order_lots {
            self.partial.remove(&rung).is_some()
        } else {
            self.partial.insert(rung, lots) != Some(lots)
        };
    }

    /// How many orders this lane may wish for in this cycle.
    pub(super) fn room(&self, at: Boot) -> usize {
        match (self.first, self.backoff.is_over(at)) {
            (Some(_), true) if self.backoff.is_wary() => 1,
            (Some(_), true) => PLACED_PER_CYCLE_MAX,
            _ => 0,
        }
    }

    /// Rungs whose wait is over may try again; a few a cycle.
    pub(super) fn wake(&mut self, at: Boot) {
        for _ in 0..PLACED_PER_CYCLE_MAX {
            match self.waiting.first() {
                Some(&(until, rung)) if until <= at => {
                    self.waiting.pop_first();
                    self.again.insert(rung);
                }
                _ => return,
            }
        }
    }

    /// The nearest rung that wants an order. It is taken out of the queue, and its order is noted as wished.
    pub(super) fn next(&mut self, instrument: &Instrument) -> Result<Option<Wanted>, TooSmall> {
        while let Some(rung) = self.take_nearest() {
            if self.rungs.get(rung as usize).is_none_or(|rung| rung.order.is_some()) {
                // Queued twice: an adopted rung lost its order before its first turn came. One turn was enough.
                continue;
            }
            let late = self.rungs.get_mut(rung as usize).map(|rung| std::mem::take(&mut rung.late));
            let owed = self.owed(rung).less(late.unwrap_or_default());
            if owed != self.owed(rung) {
                self.owe(rung, owed);
            }
            let Some(price) = self.price(rung) else {
                return Err(TooSmall { rung });
            };
            if owed.is_zero() {
                continue;
            }
            let both = owed.checked_add(self.carry).unwrap_or(owed);
            let qty = [self.most(both).max(owed), owed].into_iter().find(|&qty| instrument.takes(price, qty));
            let Some(qty) = qty else {
                return Err(TooSmall { rung });
            };
            let carried = qty.less(owed);
            self.carry = self.carry.less(carried);
            self.owe(rung, qty);
            if let Some(rung) = self.rungs.get_mut(rung as usize) {
                rung.order = Some(RungOrder { client_id: None, qty, filled: Lots::ZERO, carried });
            }
            return Ok(Some(Wanted { rung, price, qty }));
        }
        Ok(None)
    }

    fn take_nearest(&mut self) -> Option<u32> {
        // Done rungs of an earlier run lie in ranges and are leapt over; adopted orders are stepped over once.
        while self.fresh < self.rungs_max {
            if let Some(end) = self.done.end_from(self.fresh) {
                self.fresh = end.saturating_add(1);
            } else if self.rungs.get(self.fresh as usize).is_some_and(|rung| rung.order.is_some()) {
                self.fresh += 1;
            } else {
                break;
            }
        }
        match self.again.first() {
            Some(&rung) if rung < self.fresh || self.fresh >= self.rungs_max => self.again.pop_first(),
            _ if self.fresh < self.rungs_max => {
                self.fresh += 1;
                Some(self.fresh - 1)
            }
            _ => None,
        }
    }

    /// The wished order exists.
    pub(super) fn placed(&mut self, rung: u32, client_id: ClientOrderId) {
        self.backoff.reset();
        if let Some(order) = self.rungs.get_mut(rung as usize).and_then(|rung| rung.order.as_mut()) {
            order.client_id = Some(client_id);
        }
    }

    /// The wished order does not exist.
    pub(super) fn refused(&mut self, at: Boot, rung: u32, why: &RiskRefusal) {
        let Some(order) = self.rungs.get_mut(rung as usize).and_then(|rung| rung.order.take()) else {
            return;
        };
        self.owe(rung, order.qty.less(order.carried));
        self.carry = self.carry.checked_add(order.carried).unwrap_or(self.carry);
        if !order.carried.is_zero() && why.breach.is_about_size() {
            self.no_extra = true;
            self.again.insert(rung);
            return;
        }
        match &why.breach {
            // This rung's own trouble: the next one may do.
            Breach::WouldCross { .. }
            | Breach::SelfCross { .. }
            | Breach::CollarThrough { .. }
            | Breach::OrderNotional { .. }
            | Breach::BelowMinNotional { .. }
            | Breach::BelowMinQty { .. }
            | Breach::AboveMaxQty { .. }
            | Breach::Price(_)
            | Breach::TooLarge(_) => self.wait(at, rung),
            // Every rung's trouble: the lane waits, and tries the nearest alone.
            Breach::Rate { .. } => {
                self.backoff.wait(at.after(RATE_WAIT));
                self.again.insert(rung);
            }
            Breach::Latched(_)
            | Breach::Paused
            | Breach::SymbolPaused(_)
            | Breach::StaleMarket { .. }
            | Breach::NotNow(_)
            | Breach::NotTradable
            | Breach::NoMarket
            | Breach::CollarAway { .. }
            | Breach::PositionNotional { .. }
            | Breach::Uncovered { .. }
            | Breach::OpenOrders { .. }
            | Breach::VenueOrders { .. } => {
                self.backoff.refused(at, LANE_WAIT_MAX);
                self.again.insert(rung);
            }
        }
    }

    fn wait(&mut self, at: Boot, number: u32) {
        if let Some(rung) = self.rungs.get_mut(number as usize) {
            rung.backoff.refused(at, RUNG_WAIT_MAX);
            self.waiting.insert((rung.backoff.until(), number));
        }
    }

    /// An order of this rung changed. Returns the id whose fills no longer matter, once another took its place.
    pub(super) fn changed(
        &mut self,
        at: Boot,
        number: u32,
        change: &OrderChange,
        instrument: &Instrument,
    ) -> Option<ClientOrderId> {
        let rung = self.rungs.get_mut(number as usize)?;
        if let Some((id, counted)) = &mut rung.before
            && *id == change.client_id
        {
            let more = change.filled.less(*counted);
            *counted = change.filled.max(*counted);
            rung.late = rung.late.checked_add(more).unwrap_or(rung.late);
            return None;
        }
        let order = rung.order.as_mut().filter(|order| order.client_id == Some(change.client_id))?;
        if change.filled > order.filled {
            order.filled = change.filled;
            rung.backoff.reset();
        }
        if !change.state.is_terminal() {
            return None;
        }
        let left = order.qty.less(order.filled).less(rung.late);
        let filled = order.filled;
        rung.order = None;
        rung.late = Lots::ZERO;
        let forget = rung.before.replace((change.client_id, filled)).map(|(id, _)| id);
        self.settle(number, left, instrument);
        if !self.owed(number).is_zero() {
            match (change.state, filled.is_zero()) {
                (StateName::Canceled | StateName::Expired, false) => {
                    self.again.insert(number);
                }
                // The venue took it off without a fill: the same again at once would end the same way.
                _ => self.wait(at, number),
            }
        }
        forget
    }

    /// What is left of a rung after its order: owed again where the venue takes it, else carried to the next order of
    /// this lane, and the rung is done.
    pub(super) fn settle(&mut self, rung: u32, left: Lots, instrument: &Instrument) {
        let takes = |lots| self.price(rung).is_some_and(|price| instrument.takes(price, lots));
        let both = left.checked_add(self.carry).unwrap_or(left);
        let most = self.most(both);
        if left.is_zero() || takes(left) {
            self.owe(rung, left);
        } else if takes(most) {
            self.carry = both.less(most);
            self.owe(rung, most);
        } else {
            self.carry = both;
            self.owe(rung, Lots::ZERO);
        }
    }

    /// As much of this as may go out in one order.
    fn most(&self, lots: Lots) -> Lots {
        if self.no_extra { lots.min(self.order_lots) } else { lots }
    }
}

/// A rung that can never be an order at its price.
pub(super) struct TooSmall {
    pub(super) rung: u32,
}
