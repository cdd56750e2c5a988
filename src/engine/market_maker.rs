//! Quotes on both sides of the middle, leaning against what it holds.
//!
//! Always holds: at most `levels` orders a side and one a level; a new quote never meets one of its own; what may
//! still fill never takes the position past `max_position_qty`; a quote is left alone while it is off by less than
//! `requote_bps`, and replaced only once its cancel is done.
//! Never does: place an order the venue would find too small. What is left of a cancelled quote goes back on as it is
//! if the venue takes that much, else it is added to the level's next quote, else it waits: over its life a level puts
//! out whole multiples of `order_qty`.
//!
//! The middle is not that of our own quotes: where only we stand at a touch, the last price others stood at counts,
//! or leaning quotes would drag their own middle away step by step.

mod aim;
mod book;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use self::aim::Aim;
use self::book::{Book, Level, Quote};
use super::risk::RiskRefusal;
use super::strategy::{AdoptedOrder, OrderChange, Owners, Refusals, Slot, Strategy, View, Wish};
use crate::domain::action::Level as Loudness;
use crate::domain::ids::{ClientOrderId, InstrumentId};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Decimal, Lots, PriceTicks};
use crate::domain::order::{OrderTerms, Side, StateName, TimeInForce};
use crate::domain::settings::MarketMakerSettings;
use crate::domain::time::Boot;

/// Most levels a side: every new price looks at each of them.
pub const LEVELS_MAX: u32 = 50;
/// The longest wait after refusals in a row.
const WAIT_MAX: Duration = Duration::from_secs(8);
const WHOLE_BPS_UNITS: i128 = 10_000 * Decimal::ONE.units();
const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

/// The strategy.
#[derive(Debug)]
pub struct MarketMaker {
    settings: MarketMakerSettings,
    /// Distance of each level from the middle, in units of a 10^-18 hundredth of a percent.
    distances: Vec<i128>,
    books: Vec<Book>,
    owners: Owners,
    /// Books that something happened to since they were last quoted.
    stirred: BTreeSet<usize>,
    /// When the first waiting level may try again.
    wake_at: Boot,
    could_create: bool,
}

/// One side of one instrument, while it is brought up to date.
struct Turn<'a> {
    place: usize,
    number: usize,
    side: Side,
    instrument: &'a Instrument,
    targets: Vec<Option<PriceTicks>>,
    /// How much more may be held on this side.
    free: Option<Decimal>,
}

impl MarketMaker {
    pub(super) fn new(
        settings: &MarketMakerSettings,
        instruments: &[&Instrument],
        refusals: &mut Refusals,
    ) -> Option<MarketMaker> {
        let levels = settings.levels;
        let bps = |value: Decimal, least_open: bool| {
            !value.is_negative() && value < Decimal::whole(10_000) && (!least_open || value.is_positive())
        };
        let range = format!("1 to {LEVELS_MAX}");
        refusals.demand((1..=LEVELS_MAX).contains(&levels), "levels", levels, &range);
        let above = "above 0, below 10000";
        refusals.demand(bps(settings.spread_bps, true), "spread_bps", settings.spread_bps, above);
        let step = settings.level_step_bps;
        refusals.demand(bps(step, levels > 1), "level_step_bps", step, "above 0, below 10000 (0 with one level)");
        let from_zero = "from 0, below 10000";
        refusals.demand(bps(settings.skew_bps, false), "skew_bps", settings.skew_bps, from_zero);
        refusals.demand(bps(settings.requote_bps, false), "requote_bps", settings.requote_bps, from_zero);
        let distances: Vec<i128> = (0..levels.min(LEVELS_MAX))
            .map(|level| {
                let steps = step.units().saturating_mul(i128::from(level));
                (settings.spread_bps.units() / 2).saturating_add(steps)
            })
            .collect();
        let furthest = distances.last().copied().unwrap_or(0);
        if furthest.saturating_add(settings.skew_bps.units()) >= WHOLE_BPS_UNITS {
            let allowed = "spread_bps / 2 + (levels - 1) * level_step_bps + skew_bps below 10000, or the last buy would cost nothing";
            refusals.refuse("level_step_bps", step, allowed);
        }
        let max = settings.max_position_qty;
        let least = format!("at least order_qty = {}", settings.order_qty);
        refusals.demand(max.is_positive() && max >= settings.order_qty, "max_position_qty", max, &least);
        let mut books = Vec::new();
        for instrument in instruments {
            let order_lots = refusals.order_lots(instrument, settings.order_qty)?;
            books.push(Book::new(instrument.id, order_lots, distances.len()));
        }
        Some(MarketMaker {
            settings: settings.clone(),
            distances,
            books,
            owners: Owners::new(),
            stirred: BTreeSet::new(),
            wake_at: Boot::NEVER,
            could_create: false,
        })
    }

    fn slot(&self, book: usize, side: usize, level: usize) -> Slot {
        let levels = self.distances.len();
        // At most 65,536 instruments with 100 levels.
        Slot(u32::try_from((book * 2 + side) * levels + level).unwrap_or(u32::MAX))
    }

    fn level_mut(&mut self, slot: Slot) -> Option<(usize, &mut Level)> {
        let (levels, slot) = (self.distances.len(), slot.0 as usize);
        let (line, level) = (slot / levels, slot % levels);
        let book = self.books.get_mut(line / 2)?;
        Some((line / 2, book.sides[line % 2].get_mut(level)?))
    }

    /// Brings the quotes of one instrument where they belong.
    fn requote(&mut self, place: usize, view: &View<'_>, out: &mut Vec<Wish>) {
        self.stirred.remove(&place);
        let instrument = view.catalogue.instrument(self.books[place].instrument);
        let position = (view.position)(instrument.id);
        let spread = view.market.spread(instrument.id);
        let aim = spread.and_then(|spread| {
            let half_ticks = self.books[place].foreign_middle(instrument, spread)?;
            Aim::new(&self.settings, instrument, spread, half_ticks, position)
        });
        for (number, side) in SIDES.into_iter().enumerate() {
            let held = if side == Side::Buy { position } else { -position };
            let turn = Turn {
                place,
                number,
                side,
                instrument,
                targets: (self.distances.iter()).map(|&distance| aim.as_ref()?.price(side, distance)).collect(),
                free: self.settings.max_position_qty.checked_sub(held),
            };
            self.pull(&turn, aim.as_ref(), out);
            if view.may_create {
                self.place(&turn, view.at.boot, out);
            }
        }
    }

    /// Cancels quotes that are off, that have no market to stand in, or whose fill would be too much.
    fn pull(&mut self, turn: &Turn<'_>, aim: Option<&Aim>, out: &mut Vec<Wish>) {
        let levels = &mut self.books[turn.place].sides[turn.number];
        let mut cancel = |quote: &mut Quote| {
            if let (Some(client_id), false) = (quote.client_id, quote.cancel_wished) {
                quote.cancel_wished = true;
                out.push(Wish::Cancel(client_id));
            }
        };
        for (level, target) in levels.iter_mut().zip(&turn.targets) {
            if let Some(quote) = &mut level.quote {
                match (aim, target) {
                    (Some(aim), Some(target)) if !aim.is_off(quote.price, *target) => {}
                    _ => cancel(quote),
                }
            }
        }
        // A position can grow without these quotes (another strategy, another hand): the furthest go first.
        let mut room = turn.free;
        for quote in levels.iter().filter_map(|level| level.quote.as_ref()) {
            if !quote.cancel_wished {
                room = room.and_then(|room| room.checked_sub(turn.instrument.qty_of(quote.open())));
            }
        }
        for quote in levels.iter_mut().rev().filter_map(|level| level.quote.as_mut()) {
            if !quote.cancel_wished && room.is_none_or(Decimal::is_negative) {
                cancel(quote);
                room = room.and_then(|room| room.checked_add(turn.instrument.qty_of(quote.open())));
            }
        }
    }

    /// Wishes for quotes on the levels that have none.
    fn place(&mut self, turn: &Turn<'_>, now: Boot, out: &mut Vec<Wish>) {
        let (side, instrument) = (turn.side, turn.instrument);
        // A quote whose cancel is under way may still fill: it counts until it has ended.
        let mut room = turn.free;
        let levels = &self.books[turn.place].sides[turn.number];
        for quote in levels.iter().filter_map(|level| level.quote.as_ref()) {
            room = room.and_then(|room| room.checked_sub(instrument.qty_of(quote.open())));
        }
        let own = self.books[turn.place].nearest_own(side.opposite());
        let time_in_force = if self.settings.post_only { TimeInForce::PostOnly } else { TimeInForce::Gtc };
        for (index, target) in turn.targets.iter().enumerate() {
            let slot = self.slot(turn.place, turn.number, index);
            let book = &mut self.books[turn.place];
            let (order_lots, level) = (book.order_lots, &mut book.sides[turn.number][index]);
            let (Some(price), None) = (*target, level.quote) else {
                continue;
            };
            if !level.backoff.is_over(now) {
                self.wake_at = self.wake_at.min(level.backoff.until());
                continue;
            }
            let meets = own.is_some_and(|own| match side {
                Side::Buy => price >= own,
                Side::Sell => price <= own,
            });
            let Some(left) = room.filter(|_| !meets) else {
                continue;
            };
            let chosen = level.choose(order_lots, |qty| instrument.takes(price, qty) && instrument.qty_of(qty) <= left);
            let Some(qty) = chosen else {
                if !instrument.takes(price, order_lots) && !book.told_too_small {
                    book.told_too_small = true;
                    out.push(Wish::Say(Loudness::Warn, too_small(instrument, price, order_lots)));
                }
                continue;
            };
            room = left.checked_sub(instrument.qty_of(qty));
            level.quote = Some(Quote { client_id: None, price, qty, filled: Lots::ZERO, cancel_wished: false });
            let terms = OrderTerms { instrument: instrument.id, side, price, qty, time_in_force };
            out.push(Wish::Place { slot, terms });
        }
    }
}

fn too_small(instrument: &Instrument, price: PriceTicks, lots: Lots) -> String {
    let rules = &instrument.rules;
    format!(
        "{}: order_qty = {} at {} is not an order the venue takes (from {} to {}, worth at least {}); nothing is quoted there",
        instrument.symbol(),
        instrument.qty_of(lots),
        instrument.price_of(price),
        rules.min_qty,
        rules.max_qty,
        rules.min_notional
    )
}

impl Strategy for MarketMaker {
    fn on_market(&mut self, view: &View<'_>, instrument: InstrumentId, out: &mut Vec<Wish>) {
        if let Some(place) = self.books.iter().position(|book| book.instrument == instrument) {
            self.requote(place, view, out);
        }
    }

    fn on_order(&mut self, view: &View<'_>, change: &OrderChange, _: &mut Vec<Wish>) {
        let Some(&slot) = self.owners.get(&change.client_id) else {
            return;
        };
        let Some((place, level)) = self.level_mut(slot) else {
            return;
        };
        let Some(quote) = &mut level.quote else {
            return;
        };
        if change.filled > quote.filled {
            quote.filled = change.filled;
            level.backoff.reset();
        }
        if change.state.is_terminal() {
            let (left, cancel_wished) = (quote.open(), quote.cancel_wished);
            level.quote = None;
            level.owe(left);
            if change.state == StateName::Filled || cancel_wished {
                level.backoff.reset();
            } else {
                // Nobody here asked for that: the same again at once would end the same way.
                level.backoff.refused(view.at.boot, WAIT_MAX);
            }
            self.owners.remove(&change.client_id);
        }
        self.stirred.insert(place);
    }

    fn on_cycle(&mut self, view: &View<'_>, out: &mut Vec<Wish>) {
        let may_create_again = view.may_create && !self.could_create;
        self.could_create = view.may_create;
        if may_create_again || view.at.boot >= self.wake_at {
            self.wake_at = Boot::NEVER;
            self.stirred.extend(0..self.books.len());
        }
        while let Some(place) = self.stirred.pop_first() {
            self.requote(place, view, out);
        }
    }

    fn placed(&mut self, slot: Slot, client_id: ClientOrderId) {
        if let Some((_, level)) = self.level_mut(slot)
            && let Some(quote) = &mut level.quote
        {
            quote.client_id = Some(client_id);
            self.owners.insert(client_id, slot);
        }
    }

    fn refused(&mut self, at: Boot, slot: Slot, why: &RiskRefusal) {
        let Some((place, level)) = self.level_mut(slot) else {
            return;
        };
        let Some(quote) = level.quote.take() else {
            return;
        };
        level.owe(quote.qty);
        level.backoff.refused(at, WAIT_MAX);
        let until = level.backoff.until();
        let extra = quote.qty > self.books[place].order_lots && why.breach.is_about_size();
        if let (Some((_, level)), true) = (self.level_mut(slot), extra) {
            level.no_extra = true;
        }
        self.wake_at = self.wake_at.min(until);
    }

    fn memory(&self) -> Value {
        // Quotes are made anew from the market; all that is lost is a leftover too small to be an order.
        Value::Null
    }

    fn take_memory_changed(&mut self) -> bool {
        false
    }

    fn recall(&mut self, _: &Value) -> Result<(), String> {
        Ok(())
    }

    fn adopt(&mut self, order: &AdoptedOrder) -> bool {
        let wanted = order.terms;
        let Some(place) = self.books.iter().position(|book| book.instrument == wanted.instrument) else {
            return false;
        };
        if order.ended || wanted.qty > self.books[place].order_lots {
            return false;
        }
        let side = usize::from(wanted.side == Side::Sell);
        let levels = &mut self.books[place].sides[side];
        let Some(index) = levels.iter().position(|level| level.quote.is_none()) else {
            return false;
        };
        levels[index].quote = Some(Quote {
            client_id: Some(order.client_id),
            price: wanted.price,
            qty: wanted.qty,
            filled: order.filled,
            cancel_wished: false,
        });
        let slot = self.slot(place, side, index);
        self.owners.insert(order.client_id, slot);
        self.stirred.insert(place);
        true
    }
}
