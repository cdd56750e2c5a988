//! Complete lists of an account: open orders, and fills since the cursor.
//!
//! Always holds: a listing counts only when every page came in; a page error makes it nothing, not empty; the cursor
//! moves only after every fill up to it is booked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::contracts::Contracts;
use super::desk::{About, Desk, Note};
use super::doubts::Question;
use super::machine::{Moved, Order};
use crate::domain::action::{Action, Level};
use crate::domain::ids::{ClientOrderId, Instance, VenueId, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::{FillRow, OrderKey, OrderRow, OrderState, VenueStatus};
use crate::domain::record::Record;
use crate::domain::request::{Access, Call, Page};
use crate::domain::snapshot::TRADE_MEMORY_MS;
use crate::domain::time::{Boot, Stamp, Wall};

/// Fills are asked for from this long before the cursor: two clocks and a late row must not lose one.
const FILL_OVERLAP_MS: i64 = 60_000;
/// Without a cursor (a new or lost state directory) fills of ours are looked for this far back.
const FILL_HORIZON_MS: i64 = 24 * 60 * 60 * 1000;
/// Two clocks may differ by this much before a start is refused.
const CURSOR_AHEAD_MAX_MS: i64 = 1_000;
/// Before a list that broke off is asked for again.
const LIST_RETRY: Duration = Duration::from_millis(200);
/// Before the list is asked again for a row that could not be placed.
const DEFERRED_RETRY: Duration = Duration::from_secs(1);
/// A push usually brings an owed fill sooner than a list does.
pub(super) const FILL_PATIENCE: Duration = Duration::from_millis(150);

/// A complete listing of an account's open orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// When it was asked for.
    pub started: Stamp,
    /// When its last page came.
    pub finished: Stamp,
    /// Orders of ours it shows as open.
    pub ours: BTreeSet<ClientOrderId>,
    /// Orders of others, left alone.
    pub n_foreign: u32,
    /// `lo` orders of instances that are not ours: instance and ids.
    pub strangers: BTreeMap<Instance, Vec<String>>,
}

#[derive(Clone, Debug)]
struct ListRun {
    started: Stamp,
    rows: BTreeMap<VenueOrderId, OrderRow>,
}

/// One account's books.
#[derive(Clone, Debug, Default)]
pub struct Account {
    listing: Option<ListRun>,
    list_not_before: Boot,
    last_listed: Option<Listed>,
    n_listings: u32,
    fetching_since: Option<Stamp>,
    pub(super) fills_due: Option<Boot>,
    fills_complete: Option<Boot>,
    pub(super) booked_to: Option<Wall>,
    pub(super) last_create_left: Option<Boot>,
    pub(super) n_creates_on_their_way: u32,
    pub(super) n_cancel_requests: u32,
    pub(super) n_cancels_wanted: usize,
    /// Resting orders are cancelled one by one from here on; before it a cancel-all is at it.
    pub(super) singly_from: Boot,
    pub(super) balances: BTreeMap<String, Decimal>,
    /// Our books of it begin here; `None` until they do.
    pub(super) opened_at: Option<Wall>,
    /// What the venue last said of its contracts.
    pub(super) contracts: Option<Contracts>,
    /// What the venue said the key may do.
    pub(super) access: Option<Access>,
    /// Rows of trades and entries that came in, each once.
    pub(super) n_rows: u64,
    /// The first of the rows that were left for later in this list of fills: the cursor stays before it.
    deferred_from: Option<Wall>,
}

impl Account {
    /// The last complete listing.
    pub fn last_listed(&self) -> Option<&Listed> {
        self.last_listed.as_ref()
    }

    /// How many complete listings came in.
    pub fn n_listings(&self) -> u32 {
        self.n_listings
    }

    /// When the last complete list of fills was asked for.
    pub fn fills_complete(&self) -> Option<Boot> {
        self.fills_complete
    }

    /// All fills up to here are booked.
    pub fn booked_to(&self) -> Option<Wall> {
        self.booked_to
    }

    /// The last moment a create may have left, as far as answers have told.
    pub fn last_create_left(&self) -> Option<Boot> {
        self.last_create_left
    }

    /// Creates that were handed over and not answered.
    pub fn n_creates_on_their_way(&self) -> u32 {
        self.n_creates_on_their_way
    }

    /// Cancel requests sent (a batch is one).
    pub fn n_cancel_requests(&self) -> u32 {
        self.n_cancel_requests
    }

    /// When our books of it began; what others did before is not ours to book.
    pub fn opened_at(&self) -> Option<Wall> {
        self.opened_at
    }

    /// What the venue said the key may do.
    pub fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }

    /// What the account holds, as the venue last said.
    pub fn balances(&self) -> &BTreeMap<String, Decimal> {
        &self.balances
    }
}

impl Desk {
    /// Asks for a complete listing, unless one is under way or the last try was a moment ago.
    pub fn list(&mut self, at: Stamp, venue: VenueId, out: &mut Vec<Action>) {
        let account = &mut self.accounts[usize::from(venue.0)];
        if account.listing.is_some() || at.boot < account.list_not_before {
            return;
        }
        account.listing = Some(ListRun { started: at, rows: BTreeMap::new() });
        self.send(at, venue, Call::ListOpen(None), About::ListOpen, Boot::NEVER, out);
    }

    /// Asks for all fills since the cursor, unless that is under way.
    pub fn fetch_fills(&mut self, at: Stamp, venue: VenueId, out: &mut Vec<Action>) {
        let account = &mut self.accounts[usize::from(venue.0)];
        if account.fetching_since.is_some() || account.fills_due.is_some_and(|due| at.boot < due) {
            return;
        }
        account.fills_due = None;
        account.fetching_since = Some(at);
        account.deferred_from = None;
        let since = match account.booked_to {
            Some(cursor) => cursor.plus_millis(-FILL_OVERLAP_MS),
            None => at.wall.plus_millis(-FILL_HORIZON_MS),
        };
        self.send(at, venue, Call::ListFills(since, None), About::ListFills, Boot::NEVER, out);
    }

    pub(super) fn listed_page(
        &mut self,
        at: Stamp,
        venue: VenueId,
        rows: Vec<OrderRow>,
        next: Option<Page>,
        out: &mut Vec<Action>,
    ) {
        let account = &mut self.accounts[usize::from(venue.0)];
        let Some(run) = &mut account.listing else { return };
        for row in rows {
            run.rows.insert(row.venue_order_id.clone(), row);
        }
        if next.is_some() {
            self.send(at, venue, Call::ListOpen(next), About::ListOpen, Boot::NEVER, out);
            return;
        }
        let Some(run) = account.listing.take() else { return };
        self.listing_complete(at, venue, run, out);
    }

    fn listing_complete(&mut self, at: Stamp, venue: VenueId, run: ListRun, out: &mut Vec<Action>) {
        let mut listed = Listed {
            started: run.started,
            finished: at,
            ours: BTreeSet::new(),
            n_foreign: 0,
            strangers: BTreeMap::new(),
        };
        let asked_at = run.started.boot;
        let mut shown = BTreeSet::new();
        for row in run.rows.values() {
            let Some(id) = self.whose(venue, row.client_id.as_deref(), &row.venue_order_id) else {
                match row.our_id() {
                    Some(id) => listed.strangers.entry(id.instance()).or_default().push(id.as_str().to_owned()),
                    None => listed.n_foreign += 1,
                }
                continue;
            };
            let had_ended = self.had_ended_before(id, asked_at);
            self.see(at, venue, row, out);
            shown.insert(id);
            if !matches!(row.status, VenueStatus::Ended(_)) {
                listed.ours.insert(id);
                if had_ended || self.orders.get(id).is_none() {
                    self.cancel_ghost(at, venue, id, row, out);
                }
            }
        }
        self.doubts.list_lacks((venue, Question::Listing), asked_at, at.boot, |id| shown.contains(&id));
        self.doubt_what_is_missing(at, venue, asked_at, &shown);
        let account = &mut self.accounts[usize::from(venue.0)];
        account.n_listings += 1;
        account.last_listed = Some(listed);
        self.notes.push(Note::Listed(venue));
    }

    /// Whether an order had ended for longer than a list can be behind when that list was asked for.
    fn had_ended_before(&self, id: ClientOrderId, asked_at: Boot) -> bool {
        self.orders.get(id).filter(|order| order.state.is_terminal()).is_some_and(|order| {
            let lag = self.catalogue.venue(order.key.venue).traits.lag;
            order.changed_at.after(lag) < asked_at
        })
    }

    /// Cancels an order of ours that a listing shows though we believe it ended, or cannot keep books of it. It stays
    /// ended here; each listing that shows it leads to another cancel.
    fn cancel_ghost(&mut self, at: Stamp, venue: VenueId, id: ClientOrderId, row: &OrderRow, out: &mut Vec<Action>) {
        let belief = self.orders.get(id).map_or("not on our books", |order| order.state_name().word());
        out.push(Action::Say(
            Level::Error,
            format!("The venue lists {id} as open, which is {belief} here: it is cancelled. Compare with the venue"),
        ));
        let key = OrderKey {
            venue,
            symbol: row.symbol.clone(),
            client_id: id,
            venue_order_id: Some(row.venue_order_id.clone()),
        };
        self.tally.cancel_requests += 1;
        self.accounts[usize::from(venue.0)].n_cancel_requests += 1;
        self.send(at, venue, Call::Cancel(key), About::Ghost(id), Boot::NEVER, out);
    }

    /// Orders we believe on the book and the listing lacks: something happened to them that we did not hear.
    fn doubt_what_is_missing(&mut self, at: Stamp, venue: VenueId, asked_at: Boot, shown: &BTreeSet<ClientOrderId>) {
        let lag = self.catalogue.venue(venue).traits.lag;
        let missing: Vec<_> = self
            .orders
            .open_at(venue)
            .filter(|order| matches!(order.state, OrderState::Resting | OrderState::Canceling))
            .filter(|order| order.changed_at.after(lag) < asked_at && !shown.contains(&order.id()))
            .map(|order| (order.id(), self.arrives_by(order)))
            .collect();
        for (id, arrives_by) in missing {
            self.doubts.raise(venue, id, at.boot, arrives_by.max(at.boot));
        }
    }

    pub(super) fn listing_failed(&mut self, at: Stamp, venue: VenueId, wait: Duration, why: &str) {
        let account = &mut self.accounts[usize::from(venue.0)];
        account.listing = None;
        account.list_not_before = at.boot.after(wait.max(LIST_RETRY));
        self.notes.push(Note::ListingFailed(venue, why.to_owned()));
    }

    pub(super) fn fills_page(
        &mut self,
        at: Stamp,
        venue: VenueId,
        rows: Vec<FillRow>,
        page: (Option<Page>, Wall),
        out: &mut Vec<Action>,
    ) {
        for row in rows {
            self.fill(at, venue, &row, out);
        }
        let account = &mut self.accounts[usize::from(venue.0)];
        let Some(started) = account.fetching_since else { return };
        let (next, complete_to) = page;
        if next.is_some() {
            // The cursor has not moved, so the same beginning belongs to the next page.
            let since = match account.booked_to {
                Some(cursor) => cursor.plus_millis(-FILL_OVERLAP_MS),
                None => started.wall.plus_millis(-FILL_HORIZON_MS),
            };
            self.send(at, venue, Call::ListFills(since, next), About::ListFills, Boot::NEVER, out);
            return;
        }
        account.fetching_since = None;
        account.fills_complete = Some(started.boot);
        // A venue clock that runs ahead must not carry the cursor past fills that are still to come.
        let complete_to = complete_to.min(at.wall.plus_millis(CURSOR_AHEAD_MAX_MS));
        // A row nobody can place yet is read again before the cursor passes it.
        let complete_to = account.deferred_from.map_or(complete_to, |row_at| complete_to.min(row_at));
        let cursor = account.booked_to.max(Some(complete_to)).unwrap_or(complete_to);
        account.booked_to = Some(cursor);
        // An order that a fill showed is not in doubt any more: booking it settled that.
        self.doubts.list_lacks((venue, Question::Fills), started.boot, at.boot, |_| false);
        self.orders.forget_trades(venue, cursor.plus_millis(-TRADE_MEMORY_MS));
        let name = self.catalogue.venue(venue).name.clone();
        self.record(Record::Cursor { venue: name, booked_to: cursor }, out);
        self.count_what_was_booked_before(venue, started.boot, out);
        if self.orders.owed_at(venue).next().is_some() {
            self.accounts[usize::from(venue.0)].fills_due = Some(at.boot.after(LIST_RETRY));
        }
        self.notes.push(Note::FillsComplete(venue));
    }

    /// A complete list of fills came in that can no longer be behind what the venue said of an order that was found:
    /// what that order had filled besides happened before the list begins, in an earlier run or long ago.
    fn count_what_was_booked_before(&mut self, venue: VenueId, asked_at: Boot, out: &mut Vec<Action>) {
        let lag = self.catalogue.venue(venue).traits.lag;
        let is_in_time = |order: &&Order| self.found.contains(&order.id()) && order.changed_at.after(lag) <= asked_at;
        let booked_before: Vec<_> = self.orders.owed_at(venue).filter(is_in_time).map(Order::id).collect();
        for id in booked_before {
            let Some(Moved { before, after }) = self.orders.count_as_booked(id) else { continue };
            let Some(order) = self.orders.get(id) else { continue };
            let filled = self.catalogue.instrument(order.terms.instrument).qty_of(order.filled);
            self.record(Record::BookedBefore { client_id: id, filled }, out);
            self.notes.push(Note::Moved { id, before, after });
        }
    }

    /// A row that cannot be placed yet comes again with the next list.
    pub(super) fn defer(&mut self, at: Stamp, venue: VenueId, row_at: Wall) {
        let account = &mut self.accounts[usize::from(venue.0)];
        account.deferred_from = Some(account.deferred_from.map_or(row_at, |earlier| earlier.min(row_at)));
        let due = at.boot.after(DEFERRED_RETRY);
        account.fills_due = Some(account.fills_due.map_or(due, |earlier| earlier.min(due)));
    }

    pub(super) fn fills_failed(&mut self, at: Stamp, venue: VenueId, wait: Duration, why: &str) {
        let account = &mut self.accounts[usize::from(venue.0)];
        account.fetching_since = None;
        account.fills_due = Some(at.boot.after(wait.max(LIST_RETRY)));
        self.notes.push(Note::FillsFailed(venue, why.to_owned()));
    }
}
