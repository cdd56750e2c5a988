//! `OrderStateMachine`: holds every order and is the only way to change one.
//!
//! Always holds: an order moves only as `moves::next` allows; a trade is booked once; the counts and indexes agree
//! with the orders; an ended order whose fills are not all booked is not forgotten.
//! Never does: decide what to do about an order, or talk to anyone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::moves::{Move, News, next};
use crate::domain::ids::{ClientOrderId, TradeId, VenueId, VenueOrderId};
use crate::domain::money::Lots;
use crate::domain::order::{Checked, OrderKey, OrderState, OrderTerms, StateName};
use crate::domain::time::{Boot, Wall};

/// Ended orders remembered for late news. Older ones are dropped, unless fills of theirs are still owed.
pub(super) const ENDED_MAX: usize = 5_000;

/// An order and all we know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its names.
    pub key: OrderKey,
    /// What was asked for.
    pub terms: OrderTerms,
    /// Where it stands.
    pub state: OrderState,
    /// Booked, trade by trade.
    pub filled: Lots,
    /// The most the venue said is filled; more than `filled` while a fill is owed to us.
    pub venue_filled: Lots,
    /// The risk gate's word for it; only orders of this run have one, and only they can be sent.
    pub checked: Option<Checked>,
    /// When it was handed to the outbox (for a restored order: when it was restored).
    pub handed_over_at: Boot,
    /// When anything was last learnt of it; for an ended order: when it ended as it stands.
    pub changed_at: Boot,
    /// Why it ended, in words.
    pub reason: String,
}

impl Order {
    /// What of it is not booked as filled.
    pub fn left(&self) -> Lots {
        self.terms.qty.less(self.filled)
    }

    /// The state's name in files, logs and API.
    pub fn state_name(&self) -> StateName {
        self.state.name(self.filled)
    }

    /// Its id.
    pub fn id(&self) -> ClientOrderId {
        self.key.client_id
    }
}

/// A move that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// From.
    pub before: StateName,
    /// To.
    pub after: StateName,
}

/// News that fits no move: nothing changed, and the operator should hear of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The table does not list it.
    #[error("order {id} is {state}: `{news:?}` is not possible")]
    Illegal {
        /// The order.
        id: ClientOrderId,
        /// Where it stands.
        state: StateName,
        /// What was said.
        news: News,
    },
    /// Two venue ids for one order.
    #[error("order {id} is known to the venue as {known}, now as {told}")]
    OtherVenueId {
        /// The order.
        id: ClientOrderId,
        /// What we knew.
        known: VenueOrderId,
        /// What was said.
        told: VenueOrderId,
    },
    /// The venue's id of one order, told of another.
    #[error("order {id} is said to be {told} at the venue, which is order {owner}")]
    NameTaken {
        /// The order.
        id: ClientOrderId,
        /// What was said.
        told: VenueOrderId,
        /// Whose it is.
        owner: ClientOrderId,
    },
    /// No such order.
    #[error("order {0} is not known here")]
    NoSuchOrder(ClientOrderId),
}

/// Every order of this process, and the only door to it.
#[derive(Clone, Debug, Default)]
pub struct OrderStateMachine {
    orders: BTreeMap<ClientOrderId, Order>,
    open: BTreeMap<VenueId, BTreeSet<ClientOrderId>>,
    new: BTreeSet<ClientOrderId>,
    unknown: BTreeSet<ClientOrderId>,
    by_venue_id: BTreeMap<(VenueId, VenueOrderId), ClientOrderId>,
    other_names: BTreeMap<ClientOrderId, Vec<VenueOrderId>>,
    ended: VecDeque<ClientOrderId>,
    owed: BTreeSet<ClientOrderId>,
    trades: BTreeMap<VenueId, BTreeMap<TradeId, Wall>>,
    n_refused: u64,
}

impl OrderStateMachine {
    /// Takes an order in. `false`, and nothing changed, when the id is taken.
    pub fn insert(&mut self, order: Order) -> bool {
        let id = order.id();
        if self.orders.contains_key(&id) {
            return false;
        }
        if let Some(venue_order_id) = &order.key.venue_order_id {
            self.by_venue_id.insert((order.key.venue, venue_order_id.clone()), id);
        }
        self.index(id, order.key.venue, order.state);
        let has_ended = order.state.is_terminal();
        self.orders.insert(id, order);
        self.note_owed(id);
        if has_ended {
            self.ended.push_back(id);
            self.forget_oldest();
        }
        true
    }

    /// Applies news to an order.
    pub fn apply(&mut self, at: Boot, id: ClientOrderId, news: News) -> Result<Option<Moved>, Refused> {
        let Some(order) = self.orders.get_mut(&id) else {
            self.n_refused += 1;
            return Err(Refused::NoSuchOrder(id));
        };
        let before = order.state_name();
        let left = order.left();
        let state = match next(order.state, left, news, at) {
            Move::Refuse => {
                self.n_refused += 1;
                return Err(Refused::Illegal { id, state: before, news });
            }
            Move::Stay => order.state,
            Move::To(state) => state,
        };
        // What repeats the end of an ended order is no news of it.
        if !before.is_terminal() || order.state != state {
            order.changed_at = at;
        }
        order.state = state;
        if news == News::HandedOver {
            order.handed_over_at = at;
        }
        let (after, venue) = (order.state_name(), order.key.venue);
        self.index(id, venue, state);
        if after.is_terminal() && !before.is_terminal() {
            self.ended.push_back(id);
            self.forget_oldest();
        }
        Ok((before != after).then_some(Moved { before, after }))
    }

    /// The venue's id of an order, from any news. The first one stays; news under a second one still finds the order.
    /// Refused once, because the operator should hear of it.
    pub fn name(&mut self, id: ClientOrderId, told: &VenueOrderId) -> Result<(), Refused> {
        let Some(order) = self.orders.get_mut(&id) else {
            self.n_refused += 1;
            return Err(Refused::NoSuchOrder(id));
        };
        let owner = *self.by_venue_id.entry((order.key.venue, told.clone())).or_insert(id);
        if owner != id {
            self.n_refused += 1;
            return Err(Refused::NameTaken { id, told: told.clone(), owner });
        }
        let known = order.key.venue_order_id.get_or_insert_with(|| told.clone());
        if known == told {
            return Ok(());
        }
        let known = known.clone();
        let others = self.other_names.entry(id).or_default();
        if others.contains(told) {
            return Ok(());
        }
        others.push(told.clone());
        self.n_refused += 1;
        Err(Refused::OtherVenueId { id, known, told: told.clone() })
    }

    /// Whether this trade is new, and from now on it is not.
    pub fn claim_trade(&mut self, venue: VenueId, trade: &TradeId, at: Wall) -> bool {
        self.trades.entry(venue).or_default().insert(trade.clone(), at).is_none()
    }

    /// What of an order was filled before anyone here knew it is booked elsewhere: nothing is owed for it.
    pub fn count_as_booked(&mut self, id: ClientOrderId) -> Option<Moved> {
        let order = self.orders.get_mut(&id)?;
        let before = order.state_name();
        order.filled = order.venue_filled;
        let after = order.state_name();
        self.note_owed(id);
        Some(Moved { before, after })
    }

    /// Drops the memory of trades before a moment: lists reach no further back.
    pub fn forget_trades(&mut self, venue: VenueId, before: Wall) {
        if let Some(trades) = self.trades.get_mut(&venue) {
            trades.retain(|_, at| *at >= before);
        }
    }

    /// Books a fill on an order: counts it, then moves the state. The caller has claimed the trade.
    pub fn book(&mut self, at: Boot, id: ClientOrderId, qty: Lots) -> Result<Option<Moved>, Refused> {
        let Some(order) = self.orders.get_mut(&id) else {
            self.n_refused += 1;
            return Err(Refused::NoSuchOrder(id));
        };
        let before = order.state_name();
        order.filled = order.filled.checked_add(qty).unwrap_or(order.filled);
        order.venue_filled = order.venue_filled.max(order.filled);
        self.note_owed(id);
        self.apply(at, id, News::Fill)?;
        let after = self.orders.get(&id).map_or(before, Order::state_name);
        Ok((before != after).then_some(Moved { before, after }))
    }

    /// What the venue says is filled in all. More than booked means a fill is owed.
    pub fn venue_says_filled(&mut self, id: ClientOrderId, filled: Lots) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.venue_filled = order.venue_filled.max(filled);
            self.note_owed(id);
        }
    }

    /// The true size of an order that was first known by one of its fills.
    pub fn mend_size(&mut self, id: ClientOrderId, qty: Lots) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.terms.qty = qty;
        }
    }

    /// Why it ended, for people.
    pub fn give_reason(&mut self, id: ClientOrderId, reason: &str) {
        if let Some(order) = self.orders.get_mut(&id)
            && !reason.is_empty()
        {
            reason.clone_into(&mut order.reason);
        }
    }

    /// An order.
    pub fn get(&self, id: ClientOrderId) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// The order a venue knows by this id.
    pub fn by_venue_id(&self, venue: VenueId, venue_order_id: &VenueOrderId) -> Option<&Order> {
        self.orders.get(self.by_venue_id.get(&(venue, venue_order_id.clone()))?)
    }

    /// Orders of a venue that may rest.
    pub fn open_at(&self, venue: VenueId) -> impl Iterator<Item = &Order> {
        self.open.get(&venue).into_iter().flatten().filter_map(|id| self.orders.get(id))
    }

    /// Orders anywhere that may rest.
    pub fn open(&self) -> impl Iterator<Item = &Order> {
        self.open.values().flatten().filter_map(|id| self.orders.get(id))
    }

    /// Orders that are intended and not handed over.
    pub fn new_orders(&self) -> impl Iterator<Item = &Order> {
        self.new.iter().filter_map(|id| self.orders.get(id))
    }

    /// How many orders of a venue may rest.
    pub fn n_open_at(&self, venue: VenueId) -> usize {
        self.open.get(&venue).map_or(0, BTreeSet::len)
    }

    /// How many orders may rest.
    pub fn n_open(&self) -> usize {
        self.open.values().map(BTreeSet::len).sum()
    }

    /// How many orders are intended and not handed over.
    pub fn n_new(&self) -> usize {
        self.new.len()
    }

    /// How many orders may rest without anyone knowing: the answer to their create was lost.
    pub fn n_unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Orders of a venue whose fills are not all booked.
    pub fn owed_at(&self, venue: VenueId) -> impl Iterator<Item = &Order> {
        self.owed.iter().filter_map(|id| self.orders.get(id)).filter(move |order| order.key.venue == venue)
    }

    /// News that was refused so far.
    pub fn n_refused(&self) -> u64 {
        self.n_refused
    }

    fn index(&mut self, id: ClientOrderId, venue: VenueId, state: OrderState) {
        let open = self.open.entry(venue).or_default();
        if state.is_open() {
            open.insert(id)
        } else {
            open.remove(&id)
        };
        if state == OrderState::New {
            self.new.insert(id)
        } else {
            self.new.remove(&id)
        };
        if matches!(state, OrderState::Unknown { .. }) {
            self.unknown.insert(id)
        } else {
            self.unknown.remove(&id)
        };
    }

    fn note_owed(&mut self, id: ClientOrderId) {
        let owes = self.orders.get(&id).is_some_and(|order| order.venue_filled > order.filled);
        if owes {
            self.owed.insert(id)
        } else {
            self.owed.remove(&id)
        };
    }

    fn forget_oldest(&mut self) {
        // Whatever is kept because fills of it are owed goes to the end of the line, and the next one goes instead.
        for _ in 0..=self.owed.len() {
            if self.ended.len() <= ENDED_MAX {
                return;
            }
            let Some(id) = self.ended.pop_front() else { return };
            if self.owed.contains(&id) {
                self.ended.push_back(id);
                continue;
            }
            let Some(order) = self.orders.remove(&id) else { continue };
            let names = self.other_names.remove(&id).unwrap_or_default();
            for name in names.into_iter().chain(order.key.venue_order_id) {
                self.by_venue_id.remove(&(order.key.venue, name));
            }
        }
    }
}
