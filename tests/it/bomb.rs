//! A strategy that rests some orders and panics when it is told to: what a broken strategy does to the daemon.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastorders::domain::ids::{ClientOrderId, InstrumentId};
use lastorders::domain::money::PriceTicks;
use lastorders::domain::order::{OrderTerms, Side, TimeInForce};
use lastorders::domain::time::Boot;
use lastorders::engine::risk::RiskRefusal;
use lastorders::engine::strategy::{AdoptedOrder, OrderChange, Slot, Strategy, View, Wish};
use lastorders::runtime::machine::OwnStrategy;
use lastorders::sim::world::World;
use serde_json::Value;

use crate::worlds::{btc, decimal};

/// Lights the bomb.
pub(crate) struct Fuse(Arc<AtomicBool>);

impl Fuse {
    pub(crate) fn light(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Buys at 40,000 and below, then panics in the middle of a cycle.
pub(crate) struct Bomb {
    lit: Arc<AtomicBool>,
    n_orders: u32,
    wished: BTreeSet<u32>,
}

impl Bomb {
    /// Takes the place of strategy `name` in the next process.
    pub(crate) fn plant(world: &mut World, name: &str, n_orders: u32) -> Fuse {
        let lit = Arc::new(AtomicBool::new(false));
        let bomb = Bomb { lit: Arc::clone(&lit), n_orders, wished: BTreeSet::new() };
        world.give_strategy(OwnStrategy { name: name.into(), strategy: Box::new(bomb) });
        Fuse(lit)
    }
}

impl Strategy for Bomb {
    fn on_market(&mut self, _: &View<'_>, _: InstrumentId, _: &mut Vec<Wish>) {}

    fn on_order(&mut self, _: &View<'_>, _: &OrderChange, _: &mut Vec<Wish>) {}

    fn on_cycle(&mut self, view: &View<'_>, out: &mut Vec<Wish>) {
        assert!(!self.lit.load(Ordering::SeqCst), "the bomb was lit");
        let Some(instrument) = view.catalogue.instruments().iter().find(|it| *it.symbol() == btc()) else { return };
        for slot in 0..self.n_orders {
            if self.wished.insert(slot) {
                let price = PriceTicks::new(400_000 - i64::from(slot) * 10);
                let qty = instrument.qty(decimal("0.010")).expect("ten lots");
                let terms = OrderTerms {
                    instrument: instrument.id,
                    side: Side::Buy,
                    price,
                    qty,
                    time_in_force: TimeInForce::PostOnly,
                };
                out.push(Wish::Place { slot: Slot(slot), terms });
            }
        }
    }

    fn placed(&mut self, _: Slot, _: ClientOrderId) {}

    fn refused(&mut self, _: Boot, slot: Slot, _: &RiskRefusal) {
        self.wished.remove(&slot.0);
    }

    fn memory(&self) -> Value {
        Value::Null
    }

    fn take_memory_changed(&mut self) -> bool {
        false
    }

    fn recall(&mut self, _: &Value) -> Result<(), String> {
        Ok(())
    }

    fn adopt(&mut self, _: &AdoptedOrder) -> bool {
        false
    }
}
