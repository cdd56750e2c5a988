//! A desk from the state on disk: at a start, and after a panic in `Trade`, when memory may hold half a booking.
//!
//! Always holds: an intent without an outcome is `UNKNOWN`; what was booked is not booked again.

use super::desk::{Desk, Identity};
use super::machine::Order;
use crate::domain::ids::VenueId;
use crate::domain::instrument::Catalogue;
use crate::domain::money::Lots;
use crate::domain::order::{OrderKey, OrderState, Outcome, StateName};
use crate::domain::snapshot::{SavedOrder, State};
use crate::domain::time::{Boot, Stamp};

impl Desk {
    /// The desk a state describes, from what is known of the venues now. See `load` for the second part.
    pub fn restore(
        catalogue: Catalogue,
        identity: Identity,
        state: &State,
        first_request: u64,
        at: Stamp,
    ) -> (Desk, Vec<SavedOrder>) {
        let mut desk = Desk::new(catalogue, identity, state.journal_seq, first_request);
        let unwatched = desk.load(state, at);
        (desk, unwatched)
    }

    /// Takes in what a state knows. Once, and after the venues told their instruments: an order on an instrument
    /// nobody knows yet gets an implied grid for good. Gives back open orders of venues that nobody configured any
    /// more: they cannot be watched, so whoever loads must say so.
    pub fn load(&mut self, state: &State, at: Stamp) -> Vec<SavedOrder> {
        let desk = self;
        let mut unwatched = Vec::new();
        for (name, saved) in &state.venues {
            let Some(venue) = desk.catalogue.venue_named(name).map(|venue| venue.id) else {
                continue;
            };
            let account = &mut desk.accounts[usize::from(venue.0)];
            account.booked_to = saved.booked_to;
            account.opened_at = saved.opened_at;
            if account.balances.is_empty() {
                account.balances.clone_from(&saved.balances);
            }
            for (trade, booked_at) in &saved.recent_trades {
                desk.orders.claim_trade(venue, trade, *booked_at);
            }
            for (symbol, position) in &saved.positions {
                let instrument = desk.instrument_for(venue, symbol);
                desk.positions.insert(instrument, position.clone());
            }
        }
        for saved in state.orders.open.values().chain(&state.orders.recently_closed) {
            let venue = desk.catalogue.venue_named(&saved.venue).map(|venue| venue.id);
            let taken = venue.is_some_and(|venue| desk.restore_order(venue, saved, at));
            if !taken && !saved.state.is_terminal() {
                unwatched.push(saved.clone());
            }
        }
        unwatched
    }

    fn restore_order(&mut self, venue: VenueId, saved: &SavedOrder, at: Stamp) -> bool {
        let shape = (saved.side, saved.price, saved.qty);
        let Some(terms) = self.terms_on_grid(venue, &saved.symbol, shape, saved.time_in_force) else {
            return false;
        };
        let filled = self.catalogue.instrument(terms.instrument).qty(saved.filled).unwrap_or(Lots::ZERO);
        let state = match saved.state {
            StateName::New | StateName::Sent | StateName::Unknown => {
                OrderState::Unknown { since: at.boot, cancel_asked: false }
            }
            StateName::Open | StateName::PartiallyFilled => OrderState::Resting,
            StateName::PendingCancel => OrderState::Canceling,
            StateName::Filled => OrderState::Done(Outcome::Filled),
            StateName::Canceled => OrderState::Done(Outcome::Canceled),
            StateName::Rejected => OrderState::Done(Outcome::Rejected),
            StateName::Expired => OrderState::Done(Outcome::Expired),
        };
        let is_unsettled = matches!(state, OrderState::Unknown { .. });
        let order = Order {
            key: OrderKey {
                venue,
                symbol: saved.symbol.clone(),
                client_id: saved.client_id,
                venue_order_id: saved.venue_order_id.clone(),
            },
            terms,
            state,
            filled,
            venue_filled: filled,
            checked: None,
            // Also for one that rests: what was placed just before a crash may not show in the venue's lists yet.
            handed_over_at: at.boot,
            // Last heard of before this run: a listing that lacks it says something.
            changed_at: Boot::ZERO,
            reason: saved.reason.clone(),
        };
        let (id, arrives_by) = (order.id(), self.arrives_by(&order));
        if is_unsettled {
            self.doubts.raise(venue, id, at.boot, arrives_by);
        }
        if saved.found {
            self.found.insert(id);
        }
        if state == OrderState::Canceling {
            // Whoever asked for it is gone, the wish is not.
            self.want_cancel(at, venue, id, 0);
        }
        self.orders.insert(order)
    }
}
