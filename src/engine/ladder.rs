//! Rests orders at steps, on one side or both: a rung is filled once and then done.
//!
//! Always holds: a rung has at most one order; the prices are fixed at the first quote and remembered, so a restart
//! finds the same rungs; a few orders a cycle go out, nearest first; an event costs the same with 10 and with 10,000
//! rungs.
//! Never does: move a rung, or place an order the venue would find too small. A rung the venue took off is placed
//! again, as is what is left of a part-filled one; a leftover below the venue's minimum is carried to the next order of
//! the same side, and its rung is done. A leftover with no order after it stays in the memory.
//!
//! With `side = "both"` and a `start_price`, that price is the middle: the first buy lies one step below it and the
//! first sell one step above.

mod lane;
mod ranges;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::lane::{Lane, RungOrder};
use self::ranges::Ranges;
use super::risk::RiskRefusal;
use super::strategy::{AdoptedOrder, OrderChange, Owners, Refusals, Slot, Strategy, View, Wish};
use crate::domain::action::Level;
use crate::domain::ids::{ClientOrderId, InstrumentId};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Decimal, Lots, PriceTicks};
use crate::domain::order::{OrderTerms, Side, TimeInForce};
use crate::domain::settings::{LadderSettings, LadderSides, LadderStart};
use crate::domain::time::Boot;

/// Most rungs a side.
pub const RUNGS_MAX: u32 = 100_000;
const WHOLE_BPS_UNITS: i128 = 10_000 * Decimal::ONE.units();

/// The strategy.
#[derive(Debug)]
pub struct Ladder {
    settings: LadderSettings,
    lanes: Vec<Lane>,
    /// By lane.
    notes: Vec<LaneNote>,
    owners: Owners,
}

/// What the memory needs to know of a lane's instrument.
#[derive(Debug)]
struct LaneNote {
    name: String,
    instrument: Instrument,
}

/// A lane as it is remembered.
#[derive(Debug, Serialize, Deserialize)]
struct SavedLane {
    first: Decimal,
    step: Decimal,
    order_qty: Decimal,
    #[serde(default)]
    done: String,
    #[serde(default)]
    partial: BTreeMap<u32, Decimal>,
    #[serde(default)]
    carry: Decimal,
}

impl Ladder {
    pub(super) fn new(
        settings: &LadderSettings,
        instruments: &[&Instrument],
        refusals: &mut Refusals,
    ) -> Option<Ladder> {
        let rungs = settings.rungs;
        refusals.demand((1..=RUNGS_MAX).contains(&rungs), "rungs", rungs, &format!("1 to {RUNGS_MAX}"));
        let sides = match settings.sides {
            LadderSides::One(side) => vec![side],
            LadderSides::Both => vec![Side::Buy, Side::Sell],
        };
        if let LadderStart::OffsetBps(bps) = settings.start {
            let both = sides.len() > 1;
            let fits = !bps.is_negative() && bps < Decimal::whole(10_000) && !(both && bps.is_zero());
            refusals.demand(fits, "start_offset_bps", bps, "from 0, below 10000; above 0 with both sides");
        }
        let mut ladder =
            Ladder { settings: settings.clone(), lanes: Vec::new(), notes: Vec::new(), owners: Owners::new() };
        for instrument in instruments {
            let tick = instrument.rules.tick;
            let step = instrument.price(settings.step).ok().filter(|step| step.count() > 0);
            let (Some(step), Some(lots)) = (step, refusals.order_lots(instrument, settings.order_qty)) else {
                if step.is_none() {
                    let allowed = format!("multiples of {tick}, the tick of {}", instrument.symbol());
                    refusals.refuse("step", settings.step, &allowed);
                }
                continue;
            };
            for &side in &sides {
                let mut lane = Lane::new(instrument.id, side, step.count(), lots, rungs.min(RUNGS_MAX));
                if let LadderStart::Price(start) = settings.start {
                    lane.first = first_at_price(instrument, side, start, step.count(), sides.len() > 1, refusals);
                    check_last(&lane, instrument, settings, refusals);
                }
                ladder.lanes.push(lane);
                ladder.notes.push(LaneNote {
                    name: format!("{} {side}", instrument.symbol()),
                    instrument: (*instrument).clone(),
                });
            }
        }
        Some(ladder)
    }

    fn split(&self, slot: Slot) -> (usize, u32) {
        let rungs = self.settings.rungs.clamp(1, RUNGS_MAX);
        ((slot.0 / rungs) as usize, slot.0 % rungs)
    }

    fn slot(&self, lane: usize, rung: u32) -> Slot {
        let rungs = self.settings.rungs.clamp(1, RUNGS_MAX);
        Slot(u32::try_from(lane).unwrap_or(u32::MAX).saturating_mul(rungs).saturating_add(rung))
    }

    /// Fixes the first rung of a lane that has none, from the middle of the market.
    fn fix_start(&mut self, number: usize, view: &View<'_>) {
        let (lane, LadderStart::OffsetBps(bps)) = (&mut self.lanes[number], &self.settings.start) else {
            return;
        };
        let instrument = view.catalogue.instrument(lane.instrument);
        let first = view.market.spread(lane.instrument).and_then(|spread| {
            let middle = (instrument.rules.tick.checked_mul_int(spread.middle_half_ticks())?).mul_ratio(1, 2)?;
            let away = middle.mul_ratio(bps.units(), WHOLE_BPS_UNITS)?;
            let price = match lane.side {
                Side::Buy => middle.checked_sub(away)?,
                Side::Sell => middle.checked_add(away)?,
            };
            instrument.price_away_from_market(lane.side, price).ok()
        });
        if let Some(first) = first {
            lane.first = Some(first);
            lane.changed = true;
        }
    }

    /// Wishes for the orders one lane may have now.
    fn place(&mut self, number: usize, view: &View<'_>, out: &mut Vec<Wish>) {
        let at = view.at.boot;
        let time_in_force = if self.settings.post_only { TimeInForce::PostOnly } else { TimeInForce::Gtc };
        for _ in 0..self.lanes[number].room(at) {
            let lane = &mut self.lanes[number];
            let instrument = view.catalogue.instrument(lane.instrument);
            let wanted = match lane.next(instrument) {
                Ok(Some(wanted)) => wanted,
                Ok(None) => return,
                Err(too_small) => {
                    if !std::mem::replace(&mut lane.told_left_out, true) {
                        out.push(Wish::Say(Level::Warn, left_out(lane, too_small.rung, instrument)));
                    }
                    continue;
                }
            };
            let terms = OrderTerms {
                instrument: lane.instrument,
                side: lane.side,
                price: wanted.price,
                qty: wanted.qty,
                time_in_force,
            };
            let slot = self.slot(number, wanted.rung);
            out.push(Wish::Place { slot, terms });
        }
    }

    fn lane_of(&self, terms: &OrderTerms) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.instrument == terms.instrument && lane.side == terms.side)
    }

    fn recall_lane(&mut self, number: usize, saved: &SavedLane) -> Result<(), String> {
        let (lane, note) = (&mut self.lanes[number], &self.notes[number]);
        let words = |what: &dyn std::fmt::Display| format!("{}: {what}", note.name);
        let instrument = &note.instrument;
        let first = instrument.price(saved.first).map_err(|bad| words(&bad))?;
        let (step, order_qty) = (self.settings.step, self.settings.order_qty);
        if (saved.step, saved.order_qty) != (step, order_qty) || lane.first.is_some_and(|fixed| fixed != first) {
            return Err(words(&"its rungs were others; step, order_qty or start_price have changed"));
        }
        let done: Ranges = saved.done.parse().map_err(|bad: String| words(&bad))?;
        let mut partial = BTreeMap::new();
        for (&rung, &qty) in &saved.partial {
            let lots = instrument.qty(qty).map_err(|bad| words(&bad))?;
            if rung < lane.rungs_max && !lots.is_zero() && !done.contains(rung) {
                partial.insert(rung, lots);
            }
        }
        lane.carry = instrument.qty(saved.carry).map_err(|bad| words(&bad))?;
        (lane.first, lane.done, lane.partial) = (Some(first), done, partial);
        Ok(())
    }
}

impl Strategy for Ladder {
    fn on_market(&mut self, view: &View<'_>, instrument: InstrumentId, _: &mut Vec<Wish>) {
        for number in 0..self.lanes.len() {
            if self.lanes[number].instrument == instrument && self.lanes[number].first.is_none() {
                self.fix_start(number, view);
            }
        }
    }

    fn on_order(&mut self, view: &View<'_>, change: &OrderChange, _: &mut Vec<Wish>) {
        let Some(&slot) = self.owners.get(&change.client_id) else {
            return;
        };
        let (number, rung) = self.split(slot);
        if let Some(lane) = self.lanes.get_mut(number) {
            let instrument = view.catalogue.instrument(lane.instrument);
            if let Some(forget) = lane.changed(view.at.boot, rung, change, instrument) {
                self.owners.remove(&forget);
            }
        }
    }

    fn on_cycle(&mut self, view: &View<'_>, out: &mut Vec<Wish>) {
        for number in 0..self.lanes.len() {
            self.lanes[number].wake(view.at.boot);
            if view.may_create {
                self.place(number, view, out);
            }
        }
    }

    fn placed(&mut self, slot: Slot, client_id: ClientOrderId) {
        let (number, rung) = self.split(slot);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.placed(rung, client_id);
            self.owners.insert(client_id, slot);
        }
    }

    fn refused(&mut self, at: Boot, slot: Slot, why: &RiskRefusal) {
        let (number, rung) = self.split(slot);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.refused(at, rung, why);
        }
    }

    fn memory(&self) -> Value {
        let mut saved = BTreeMap::new();
        for (lane, note) in self.lanes.iter().zip(&self.notes) {
            let Some(first) = lane.first else { continue };
            let of_lots = |lots: Lots| note.instrument.qty_of(lots);
            saved.insert(
                note.name.clone(),
                SavedLane {
                    first: note.instrument.price_of(first),
                    step: self.settings.step,
                    order_qty: self.settings.order_qty,
                    done: lane.done.to_string(),
                    partial: lane.partial.iter().map(|(&rung, &lots)| (rung, of_lots(lots))).collect(),
                    carry: of_lots(lane.carry),
                },
            );
        }
        // Text keys and plain values always serialize.
        serde_json::to_value(saved).unwrap_or(Value::Null)
    }

    fn take_memory_changed(&mut self) -> bool {
        let mut changed = false;
        for lane in &mut self.lanes {
            changed |= std::mem::take(&mut lane.changed);
        }
        changed
    }

    fn recall(&mut self, memory: &Value) -> Result<(), String> {
        if memory.is_null() {
            return Ok(());
        }
        let saved: BTreeMap<String, SavedLane> = serde_json::from_value(memory.clone())
            .map_err(|bad| format!("the memory is not one of a ladder: {bad}"))?;
        let mut errors = Vec::new();
        for number in 0..self.lanes.len() {
            if let Some(lane) = saved.get(&self.notes[number].name) {
                errors.extend(self.recall_lane(number, lane).err());
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    fn adopt(&mut self, order: &AdoptedOrder) -> bool {
        let Some(number) = self.lane_of(&order.terms) else {
            return false;
        };
        let (lane, instrument) = (&mut self.lanes[number], &self.notes[number].instrument);
        let Some(rung) = lane.rung_at(order.terms.price).filter(|&rung| !lane.owed(rung).is_zero()) else {
            return false;
        };
        if order.ended {
            let left = lane.owed(rung).less(order.filled);
            lane.settle(rung, left, instrument);
            return false;
        }
        let Some(place) = lane.rungs.get_mut(rung as usize).filter(|place| place.order.is_none()) else {
            return false;
        };
        place.order = Some(RungOrder {
            client_id: Some(order.client_id),
            qty: order.terms.qty,
            filled: order.filled,
            carried: Lots::ZERO,
        });
        let slot = self.slot(number, rung);
        self.owners.insert(order.client_id, slot);
        true
    }
}

/// The first rung for a configured price.
fn first_at_price(
    instrument: &Instrument,
    side: Side,
    start: Decimal,
    step_ticks: i64,
    both: bool,
    refusals: &mut Refusals,
) -> Option<PriceTicks> {
    let Some(price) = instrument.price(start).ok().filter(|price| price.count() > 0) else {
        let allowed = format!("multiples of {}, the tick of {}", instrument.rules.tick, instrument.symbol());
        refusals.refuse("start_price", start, &allowed);
        return None;
    };
    match (both, side) {
        (false, _) => Some(price),
        (true, Side::Buy) => price.checked_add(step_ticks.checked_neg()?),
        (true, Side::Sell) => price.checked_add(step_ticks),
    }
}

/// Refuses a ladder whose last rung could never be an order. Of buys the last is the cheapest, of sells the first.
fn check_last(lane: &Lane, instrument: &Instrument, settings: &LadderSettings, refusals: &mut Refusals) {
    if lane.first.is_none() {
        return;
    }
    let last = lane.rungs_max.saturating_sub(1);
    let Some(last_price) = lane.price(last) else {
        refusals.refuse("rungs", settings.rungs, "so many that every price stays above zero");
        return;
    };
    let cheapest = if lane.side == Side::Buy { Some(last_price) } else { lane.price(0) };
    if let Some(price) = cheapest.filter(|&price| !instrument.takes(price, lane.order_lots)) {
        let (price, least) = (instrument.price_of(price), instrument.rules.min_notional);
        let allowed =
            format!("a quantity worth at least {least} at the cheapest rung, {price}, of {}", instrument.symbol());
        refusals.refuse("order_qty", settings.order_qty, &allowed);
    }
}

fn left_out(lane: &Lane, rung: u32, instrument: &Instrument) -> String {
    let qty = instrument.qty_of(lane.owed(rung));
    let price = lane.price(rung).map_or(Decimal::ZERO, |price| instrument.price_of(price));
    let (symbol, side, least) = (instrument.symbol(), lane.side, instrument.rules.min_notional);
    format!(
        "{symbol} {side}: rung {rung}, {qty} at {price}, is not an order the venue takes (worth at least {least}); such rungs are left out"
    )
}
