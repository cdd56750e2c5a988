//! Helpers of the engine's tests: instruments, quotes, dice, and a desk that carries out a strategy's wishes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::exposure::Exposure;
use super::market::Market;
use super::risk::RiskRefusal;
use super::strategy::{OrderChange, Slot, Strategy, View, Wish};
use crate::domain::event::Quote;
use crate::domain::ids::{ClientOrderId, Epoch, Instance, InstrumentId, StrategyLetter, Symbol, VenueId};
use crate::domain::instrument::{Catalogue, InstrumentKind, InstrumentRules, VenueTraits};
use crate::domain::money::{Decimal, Lots};
use crate::domain::order::{OrderTerms, Side, StateName};
use crate::domain::time::Stamp;

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
        ..VenueTraits::default()
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
    catalogue_with(&traits())
}

/// The same with other traits of both venues.
pub(super) fn catalogue_with(traits: &VenueTraits) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (name, symbol) in [("main", "BTC-USDT"), ("other", "ETH-USDT")] {
        let venue = catalogue.add_venue(name, traits.clone()).unwrap();
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

pub(super) fn lots(count: i64) -> Lots {
    Lots::new(count).unwrap()
}

/// The nth client id of some run.
pub(super) fn client_id(number: u32) -> ClientOrderId {
    let letter = StrategyLetter::nth(0).unwrap();
    ClientOrderId::new(Instance::from_chance(7), Epoch(1), letter, number).unwrap()
}

/// An order on the desk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) slot: Slot,
    pub(super) terms: OrderTerms,
    pub(super) filled: Lots,
    pub(super) cancel_wished: bool,
}

impl Live {
    pub(super) fn open(&self) -> Lots {
        self.terms.qty.less(self.filled)
    }
}

/// Carries out a strategy's wishes as the engine would, and holds each against what every strategy promises.
pub(super) struct Desk<S> {
    pub(super) strategy: S,
    pub(super) catalogue: Catalogue,
    pub(super) market: Market,
    pub(super) at: Stamp,
    pub(super) position: Decimal,
    pub(super) may_create: bool,
    pub(super) live: BTreeMap<ClientOrderId, Live>,
    taken: BTreeSet<Slot>,
    exposure: Exposure,
    /// What was wished for, newest last.
    pub(super) placed: Vec<OrderTerms>,
    pub(super) said: Vec<String>,
    pub(super) next_id: u32,
    /// Says why a wished order does not pass; nothing: it does.
    pub(super) gate: fn(&OrderTerms, u32) -> Option<&'static str>,
    pub(super) refusal: fn(&Desk<S>, &OrderTerms, &str) -> RiskRefusal,
    pub(super) n_refused: u32,
}

impl<S: Strategy> Desk<S> {
    pub(super) fn new(strategy: S) -> Desk<S> {
        Desk {
            strategy,
            catalogue: catalogue(),
            market: Market::default(),
            at: Stamp::default(),
            position: Decimal::ZERO,
            may_create: true,
            live: BTreeMap::new(),
            taken: BTreeSet::new(),
            exposure: Exposure::default(),
            placed: Vec::new(),
            said: Vec::new(),
            next_id: 0,
            gate: |_, _| None,
            refusal: |desk, terms, why| RiskRefusal::not_now(desk.catalogue.instrument(terms.instrument), terms, why),
            n_refused: 0,
        }
    }

    fn tell(&mut self, hear: impl FnOnce(&mut S, &View<'_>, &mut Vec<Wish>)) {
        let mut wishes = Vec::new();
        let position = self.position;
        let view = View {
            at: self.at,
            catalogue: &self.catalogue,
            market: &self.market,
            position: &|_| position,
            may_create: self.may_create,
        };
        hear(&mut self.strategy, &view, &mut wishes);
        for wish in wishes {
            self.carry_out(wish);
        }
    }

    fn carry_out(&mut self, wish: Wish) {
        match wish {
            Wish::Say(_, words) => self.said.push(words),
            Wish::Cancel(id) => {
                let order = self.live.get_mut(&id).expect("only a live order is cancelled");
                assert!(!order.cancel_wished, "a cancel is wished once");
                order.cancel_wished = true;
            }
            Wish::Place { slot, terms } => {
                assert!(self.may_create, "nothing is wished for while nothing may be created");
                assert!(!self.taken.contains(&slot), "slot {slot:?} holds two orders");
                let instrument = self.catalogue.instrument(terms.instrument);
                assert!(instrument.takes(terms.price, terms.qty), "too small an order: {terms:?}");
                let own = self.exposure.own_opposite(terms.instrument, terms.side);
                let meets = own.is_some_and(|own| match terms.side {
                    Side::Buy => terms.price >= own,
                    Side::Sell => terms.price <= own,
                });
                assert!(!meets, "{terms:?} meets our own at {own:?}");
                self.placed.push(terms);
                if let Some(why) = (self.gate)(&terms, self.next_id) {
                    self.n_refused += 1;
                    let refusal = (self.refusal)(self, &terms, why);
                    return self.strategy.refused(self.at.boot, slot, &refusal);
                }
                let id = client_id(self.next_id);
                self.next_id += 1;
                self.strategy.placed(slot, id);
                self.keep(id, Live { slot, terms, filled: Lots::ZERO, cancel_wished: false });
            }
        }
    }

    /// An order rests.
    pub(super) fn keep(&mut self, id: ClientOrderId, live: Live) {
        assert!(self.taken.insert(live.slot));
        self.exposure.add(VenueId(0), &live.terms, live.terms.qty);
        self.live.insert(id, live);
    }

    fn drop_order(&mut self, id: ClientOrderId) -> Live {
        let live = self.live.remove(&id).unwrap();
        self.taken.remove(&live.slot);
        self.exposure.remove(VenueId(0), &live.terms, live.terms.qty).unwrap();
        live
    }

    pub(super) fn quote(&mut self, bid: &str, ask: &str) {
        self.hear(&quote(bid, ask));
    }

    pub(super) fn hear(&mut self, quote: &Quote) {
        let instrument = self.catalogue.instrument(BTC);
        self.market.take(self.at.boot, instrument, quote).unwrap();
        self.tell(|strategy, view, out| strategy.on_market(view, BTC, out));
    }

    pub(super) fn cycle(&mut self) {
        self.tell(|strategy, view, out| strategy.on_cycle(view, out));
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.at.boot = self.at.boot.after(Duration::from_millis(millis));
        self.cycle();
    }

    pub(super) fn change(&mut self, change: OrderChange) {
        self.tell(|strategy, view, out| strategy.on_order(view, &change, out));
    }

    /// Part or all of an order fills.
    pub(super) fn fill(&mut self, id: ClientOrderId, by: Lots) {
        let order = self.live.get_mut(&id).unwrap();
        assert!(by <= order.open());
        order.filled = order.filled.checked_add(by).unwrap();
        let (terms, filled, full) = (order.terms, order.filled, order.open().is_zero());
        let qty = self.catalogue.instrument(terms.instrument).qty_of(by);
        let qty = if terms.side == Side::Buy { qty } else { -qty };
        self.position = self.position.checked_add(qty).unwrap();
        let state = if full { StateName::Filled } else { StateName::PartiallyFilled };
        if full {
            self.drop_order(id);
        }
        self.change(OrderChange { client_id: id, terms, filled, state });
    }

    /// An order ends as it is.
    pub(super) fn end(&mut self, id: ClientOrderId, state: StateName) {
        let Live { terms, filled, .. } = self.drop_order(id);
        self.change(OrderChange { client_id: id, terms, filled, state });
    }

    /// Every cancel wished for is done.
    pub(super) fn settle_cancels(&mut self) {
        let wished: Vec<_> = self.live.iter().filter(|(_, live)| live.cancel_wished).map(|(id, _)| *id).collect();
        for id in wished {
            self.end(id, StateName::Canceled);
        }
    }

    /// Live orders of a side, as price and quantity, nearest the market first.
    pub(super) fn book(&self, side: Side) -> Vec<(String, String)> {
        let mut orders: Vec<_> = self.live.values().filter(|live| live.terms.side == side).collect();
        orders.sort_by_key(|live| live.terms.price);
        if side == Side::Buy {
            orders.reverse();
        }
        let words = |live: &&Live| {
            let instrument = self.catalogue.instrument(live.terms.instrument);
            (instrument.price_of(live.terms.price).to_string(), instrument.qty_of(live.terms.qty).to_string())
        };
        orders.iter().map(words).collect()
    }

    /// The nearest live order of a side.
    pub(super) fn nearest(&self, side: Side) -> ClientOrderId {
        let mut orders: Vec<_> = self.live.iter().filter(|(_, live)| live.terms.side == side).collect();
        orders.sort_by_key(|(_, live)| live.terms.price);
        let place = if side == Side::Buy { orders.len() - 1 } else { 0 };
        *orders[place].0
    }
}
