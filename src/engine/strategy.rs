//! What a strategy is: something that hears about its market and its orders, and wishes.
//!
//! Always holds: a strategy decides from what it is told and nothing else (same story, same wishes); what an event
//! costs does not grow with the number of orders that rest; a slot holds at most one order.
//! Never does: place or cancel. The engine checks every wish and carries it out, or says no.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::ladder::Ladder;
use super::market::Market;
use super::market_maker::MarketMaker;
use super::risk::RiskRefusal;
use crate::domain::action::Level;
use crate::domain::ids::{ClientOrderId, InstrumentId, VenueId};
use crate::domain::instrument::{Catalogue, Instrument};
use crate::domain::money::{Decimal, Lots};
use crate::domain::order::{OrderTerms, StateName};
use crate::domain::settings::{StrategyKind, StrategySettings};
use crate::domain::time::{Boot, Stamp};

/// A strategy's own place for one order: a level, a rung. Means nothing to anyone else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// What a strategy wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// An order. The engine answers with exactly one of `placed` and `refused` before it tells the strategy anything
    /// else; until that order has ended nothing more is wished for this slot.
    Place {
        /// For this place.
        slot: Slot,
        /// With these terms.
        terms: OrderTerms,
    },
    /// An end to one of its orders. Wished once: the engine asks the venue until the order has ended.
    Cancel(ClientOrderId),
    /// A rare word for the operator.
    Say(Level, String),
}

/// What a strategy sees while it decides.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Now.
    pub at: Stamp,
    /// Instruments and venues.
    pub catalogue: &'a Catalogue,
    /// Best prices.
    pub market: &'a Market,
    /// What we hold of an instrument; negative when short.
    pub position: &'a dyn Fn(InstrumentId) -> Decimal,
    /// Whether new orders are possible at all. If not, wishing for one is idle; cancels always go.
    pub may_create: bool,
}

/// News about an order of the strategy: where it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderChange {
    /// Which order.
    pub client_id: ClientOrderId,
    /// What it was placed with.
    pub terms: OrderTerms,
    /// Booked fills, all together.
    pub filled: Lots,
    /// Its state. An ended order may still be told of again, with more filled.
    pub state: StateName,
}

/// An order of an earlier run, offered to the strategy whose letter it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdoptedOrder {
    /// Which order.
    pub client_id: ClientOrderId,
    /// What it was placed with.
    pub terms: OrderTerms,
    /// Booked fills, all together.
    pub filled: Lots,
    /// It has ended since that run (filled while we were away, or swept): nothing can be kept, but what it filled counts.
    pub ended: bool,
}

/// A trading strategy. All of it is called from the engine's cycle.
pub trait Strategy: Send {
    /// New best prices of an instrument; others' instruments are ignored.
    fn on_market(&mut self, view: &View<'_>, instrument: InstrumentId, out: &mut Vec<Wish>);

    /// One of its own orders changed: acknowledged, part-filled, ended. Its fills are in `View::position` already.
    fn on_order(&mut self, view: &View<'_>, change: &OrderChange, out: &mut Vec<Wish>);

    /// Once a cycle, after the cycle's events: pacing and second tries. Next to nothing when there is nothing to do.
    fn on_cycle(&mut self, view: &View<'_>, out: &mut Vec<Wish>);

    /// A wished order exists under this id.
    fn placed(&mut self, slot: Slot, client_id: ClientOrderId);

    /// A wished order does not exist.
    fn refused(&mut self, at: Boot, slot: Slot, why: &RiskRefusal);

    /// What to save with the state and hand to `recall` after a restart.
    fn memory(&self) -> Value;

    /// Whether `memory` has changed since this was last asked. Saved in the same cycle, it fits the orders on disk.
    fn take_memory_changed(&mut self) -> bool;

    /// What an earlier run remembered. An error says in words why nothing can be made of it; then it begins anew.
    fn recall(&mut self, memory: &Value) -> Result<(), String>;

    /// An order of an earlier run that was open when that run was last saved; offered after `recall`, before anything
    /// else. False: it has no place here (any more), and a live one is to be cancelled.
    fn adopt(&mut self, order: &AdoptedOrder) -> bool;
}

/// The strategy these settings describe, trading at `venue`. The refusals name strategy, key, value and what is allowed.
pub fn build(
    settings: &StrategySettings,
    catalogue: &Catalogue,
    venue: VenueId,
) -> Result<Box<dyn Strategy>, Vec<String>> {
    let mut refusals = Refusals::new(&settings.name);
    let mut instruments = Vec::new();
    for symbol in &settings.symbols {
        match catalogue.find(venue, symbol) {
            Some(instrument) if instruments.iter().any(|known: &&Instrument| known.id == instrument.id) => {
                refusals.refuse("symbols", symbol, "each symbol once");
            }
            Some(instrument) => instruments.push(instrument),
            None => refusals.refuse("symbols", symbol, &format!("a symbol of venue {}", catalogue.venue(venue).name)),
        }
    }
    if settings.symbols.is_empty() {
        refusals.refuse("symbols", "[]", "at least one symbol");
    }
    let built: Option<Box<dyn Strategy>> = match &settings.kind {
        StrategyKind::MarketMaker(own) => MarketMaker::new(own, &instruments, &mut refusals).map(boxed),
        StrategyKind::Ladder(own) => Ladder::new(own, &instruments, &mut refusals).map(boxed),
    };
    match built {
        Some(strategy) if refusals.words.is_empty() => Ok(strategy),
        _ => Err(refusals.words),
    }
}

fn boxed<S: Strategy + 'static>(strategy: S) -> Box<dyn Strategy> {
    Box::new(strategy)
}

/// What is wrong with a strategy's settings, gathered so that all of it can be said at once.
pub(super) struct Refusals {
    strategy: String,
    words: Vec<String>,
}

impl Refusals {
    pub(super) fn new(strategy: &str) -> Refusals {
        Refusals { strategy: strategy.to_owned(), words: Vec::new() }
    }

    pub(super) fn refuse(&mut self, key: &str, value: impl std::fmt::Display, allowed: &str) {
        let strategy = &self.strategy;
        self.words.push(format!("strategy \"{strategy}\": {key} = {value} is refused; allowed: {allowed}"));
    }

    /// Refuses unless the condition holds.
    pub(super) fn demand(&mut self, holds: bool, key: &str, value: impl std::fmt::Display, allowed: &str) {
        if !holds {
            self.refuse(key, value, allowed);
        }
    }

    /// The order quantity in lots, when the venue takes such an order at a good price.
    pub(super) fn order_lots(&mut self, instrument: &Instrument, qty: Decimal) -> Option<Lots> {
        let (rules, symbol) = (&instrument.rules, instrument.symbol());
        let lots = instrument.qty(qty).ok();
        if lots.is_none() || qty < rules.min_qty || qty > rules.max_qty || !qty.is_positive() {
            let (lot, min, max) = (rules.lot, rules.min_qty, rules.max_qty);
            self.refuse("order_qty", qty, &format!("multiples of {lot} from {min} to {max} for {symbol}"));
            return None;
        }
        lots
    }
}

/// Where each order of a strategy belongs.
pub(super) type Owners = BTreeMap<ClientOrderId, Slot>;

/// Waiting longer after each refusal in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    refusals: u32,
    until: Boot,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);

    /// One more refusal: a second, then twice as long each time, up to `longest`. Refusals of wishes that were under
    /// way together count as one.
    pub(super) fn refused(&mut self, at: Boot, longest: Duration) {
        if at < self.until {
            return;
        }
        let wait = Self::FIRST.saturating_mul(1 << self.refusals.min(16));
        self.wait(at.after(wait.min(longest)));
    }

    /// One more refusal, with the wait it names itself.
    pub(super) fn wait(&mut self, until: Boot) {
        self.refusals += 1;
        self.until = until;
    }

    /// Things go well again.
    pub(super) fn reset(&mut self) {
        *self = Backoff::default();
    }

    pub(super) fn until(&self) -> Boot {
        self.until
    }

    pub(super) fn is_over(&self, at: Boot) -> bool {
        at >= self.until
    }

    /// Whether the last try was refused.
    pub(super) fn is_wary(&self) -> bool {
        self.refusals > 0
    }
}

/// A strategy's places, reached one at a time: there is no way to walk them all, on purpose.
#[derive(Clone, Debug)]
pub(super) struct Places<T> {
    places: Vec<T>,
    #[cfg(test)]
    pub(super) visited: std::cell::Cell<u64>,
}

impl<T: Clone + Default> Places<T> {
    pub(super) fn new(number: usize) -> Places<T> {
        Places {
            places: vec![T::default(); number],
            #[cfg(test)]
            visited: std::cell::Cell::new(0),
        }
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        #[cfg(test)]
        self.visited.set(self.visited.get() + 1);
        self.places.get(place)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        #[cfg(test)]
        self.visited.set(self.visited.get() + 1);
        self.places.get_mut(place)
    }
}
