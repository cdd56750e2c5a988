//! The sweep: cancel whatever is ours at a venue, until the venue has shown that nothing is left (design 5.2).
//! The stop, a start after a crash, `pause` and `cancel-all` all use this one.
//!
//! Always holds: a `Proof` comes only from two consecutive complete listings without ours, with every order known here
//! ended and every fill of it booked; anything of ours in a listing starts the count again.
//! Never does: give up (its owner has the deadline), or touch an order that is not ours.

use std::collections::BTreeSet;
use std::time::Duration;

use super::desk::Desk;
use super::machine::Order;
use super::proof::{Grade, Missing, Proof};
use crate::domain::action::Action;
use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::time::{Boot, Stamp};

/// A listing that still shows an order of ours is asked for again after the venue's lag, and after this at least: asking
/// faster shows nothing newer.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);

/// Who asks for it, and so how far a create may still be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// This process handed over every create itself and knows when the last one left.
    ThisProcess,
    /// Someone else may have sent a create up to this moment: a process that died, or one whose memory is lost.
    Unseen(Boot),
}

/// Where the sweep stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Orders have not ended.
    Chasing,
    /// All orders we know have ended; the venue is asked to show it.
    Proving,
    /// Shown.
    Proved(Proof),
}

/// The sweep of one venue.
#[derive(Clone, Debug)]
pub struct Sweep {
    venue: VenueId,
    began: Boot,
    before: Before,
    all_ended_at: Option<Boot>,
    first_clean: Option<Stamp>,
    n_first: u32,
    n_judged: u32,
    listed: BTreeSet<ClientOrderId>,
    n_listings_before: u32,
    look_again_at: Boot,
    proof: Option<Proof>,
    has_asked_all: bool,
}

impl Sweep {
    /// Begins now.
    pub fn new(venue: VenueId, at: Stamp, before: Before, desk: &Desk) -> Sweep {
        Sweep {
            venue,
            began: at.boot,
            before,
            all_ended_at: None,
            first_clean: None,
            n_first: 0,
            n_judged: desk.account(venue).n_listings(),
            listed: BTreeSet::new(),
            n_listings_before: desk.account(venue).n_listings(),
            look_again_at: at.boot,
            proof: None,
            has_asked_all: false,
        }
    }

    /// Which venue.
    pub fn venue(&self) -> VenueId {
        self.venue
    }

    /// The proof, once there is one.
    pub fn proof(&self) -> Option<Proof> {
        self.proof
    }

    /// One pass: want every cancel, judge what listings came, ask for the next.
    pub fn pass(&mut self, at: Stamp, desk: &mut Desk, out: &mut Vec<Action>) -> Progress {
        if let Some(proof) = self.proof {
            if self.is_still_so(desk) {
                return Progress::Proved(proof);
            }
            // News that nobody expected any more: it begins again.
            self.proof = None;
            self.first_clean = None;
        }
        self.want_cancels(at, desk, out);
        self.judge_listing(at, desk);
        if desk.orders.n_open_at(self.venue) > 0 || desk.account(self.venue).n_creates_on_their_way() > 0 {
            self.all_ended_at = None;
            self.first_clean = None;
            return Progress::Chasing;
        }
        self.all_ended_at.get_or_insert(at.boot);
        self.ask_fills(at, desk, out);
        self.ask_listing(at, desk, out);
        if let Some(proof) = self.prove(desk) {
            self.proof = Some(proof);
            return Progress::Proved(proof);
        }
        Progress::Proving
    }

    /// Nothing has been heard since that speaks against the proof.
    fn is_still_so(&self, desk: &Desk) -> bool {
        desk.orders.n_open_at(self.venue) == 0
            && desk.account(self.venue).n_creates_on_their_way() == 0
            && desk.orders.owed_at(self.venue).next().is_none()
            && desk.account(self.venue).last_listed().is_none_or(|listed| listed.ours.is_empty())
    }

    /// What a proof lacks now.
    pub fn missing(&self, desk: &Desk) -> Vec<Missing> {
        let mut missing: Vec<_> = desk.orders.open_at(self.venue).map(|order| Missing::LocalOpen(order.id())).collect();
        let ended = |id: &&ClientOrderId| desk.orders.get(**id).is_none_or(|order| !order.state.is_open());
        missing.extend(self.listed.iter().filter(ended).map(|id| Missing::VenueLists(*id)));
        missing.extend(desk.orders.owed_at(self.venue).map(|order| Missing::FillsOwed(order.id())));
        if self.proof.is_none() && self.listed.is_empty() && self.second_clean(desk).is_none() {
            missing.push(Missing::NoListing);
        }
        if self.proof.is_none() && !self.fills_are_complete(desk) {
            missing.push(Missing::NoFills);
        }
        missing
    }

    /// Orders the last listing showed though we believe they ended.
    pub fn listed_still(&self) -> &BTreeSet<ClientOrderId> {
        &self.listed
    }

    /// Complete listings since it began.
    pub fn n_listings(&self, desk: &Desk) -> u32 {
        desk.account(self.venue).n_listings() - self.n_listings_before
    }

    fn want_cancels(&mut self, at: Stamp, desk: &mut Desk, out: &mut Vec<Action>) {
        if !desk.wants_all_cancelled(self.venue) {
            if !std::mem::replace(&mut self.has_asked_all, true) {
                desk.cancel_all(at, self.venue, out);
            }
            let unwanted: Vec<_> = desk
                .orders
                .open_at(self.venue)
                .filter(|order| !desk.wants_cancel(order.id()))
                .map(|order| (order.id(), desk.cancel_rank(order)))
                .collect();
            for (id, rank) in unwanted {
                desk.cancel(at, id, rank, out);
            }
        }
        let never_left: Vec<_> =
            desk.orders.new_orders().filter(|order| order.key.venue == self.venue).map(Order::id).collect();
        for id in never_left {
            desk.cancel(at, id, 0, out);
        }
    }

    /// A listing that came in since the last pass: clean, or the count starts again.
    fn judge_listing(&mut self, at: Stamp, desk: &Desk) {
        let n_listings = desk.account(self.venue).n_listings();
        let Some(listed) = desk.account(self.venue).last_listed().filter(|_| n_listings > self.n_judged) else {
            return;
        };
        self.n_judged = n_listings;
        if listed.started.boot < self.began {
            return;
        }
        let finished = listed.finished;
        self.listed = listed.ours.clone();
        if !self.listed.is_empty() {
            // The desk cancels what it shows though we believe it ended, once the list can no longer be late.
            self.first_clean = None;
            self.look_again_at = at.boot.after(desk.catalogue.venue(self.venue).traits.lag.max(LOOK_AGAIN_MIN));
            return;
        }
        let counts = self.all_ended_at.is_some_and(|ended| listed.started.boot >= ended)
            && listed.started.boot >= self.earliest_first(desk);
        if counts && self.first_clean.is_none() {
            self.first_clean = Some(finished);
            self.n_first = n_listings;
        }
    }

    /// When the first listing that counts may begin: at once where no create left lately, else when it must show.
    fn earliest_first(&self, desk: &Desk) -> Boot {
        match self.grade(desk) {
            Grade::ByOrder => self.began,
            Grade::ByListing => self
                .last_create(desk)
                .map_or(self.began, |left| left.after(desk.catalogue.venue(self.venue).traits.settle)),
        }
    }

    fn last_create(&self, desk: &Desk) -> Option<Boot> {
        match self.before {
            Before::ThisProcess => desk.account(self.venue).last_create_left(),
            Before::Unseen(until) => desk.account(self.venue).last_create_left().max(Some(until)),
        }
    }

    fn grade(&self, desk: &Desk) -> Grade {
        let traits = &desk.catalogue.venue(self.venue).traits;
        let lately = |left: Boot| left.after(traits.create_deadline).after(traits.lag) > self.began;
        if self.last_create(desk).is_some_and(lately) { Grade::ByListing } else { Grade::ByOrder }
    }

    fn ask_fills(&self, at: Stamp, desk: &mut Desk, out: &mut Vec<Action>) {
        if !self.fills_are_complete(desk) {
            desk.fetch_fills(at, self.venue, out);
        }
    }

    /// Every fill up to the moment all orders had ended has been asked for, and none is owed.
    fn fills_are_complete(&self, desk: &Desk) -> bool {
        let asked_after_end = self
            .all_ended_at
            .is_some_and(|ended| desk.account(self.venue).fills_complete().is_some_and(|at| at >= ended));
        asked_after_end && desk.orders.owed_at(self.venue).next().is_none()
    }

    fn ask_listing(&self, at: Stamp, desk: &mut Desk, out: &mut Vec<Action>) {
        if self.second_clean(desk).is_some() {
            return;
        }
        let not_before = match self.first_clean {
            None => self.earliest_first(desk),
            Some(first) if self.grade(desk) == Grade::ByListing => {
                first.boot.after(desk.catalogue.venue(self.venue).traits.listing_gap)
            }
            Some(first) => first.boot,
        };
        if at.boot >= not_before.max(self.look_again_at) {
            desk.list(at, self.venue, out);
        }
    }

    /// The last listing, if it is clean and follows the first clean one as the grade asks.
    fn second_clean(&self, desk: &Desk) -> Option<Stamp> {
        let first = self.first_clean?;
        let listed = desk.account(self.venue).last_listed()?;
        let gap = match self.grade(desk) {
            Grade::ByOrder => Duration::ZERO,
            Grade::ByListing => desk.catalogue.venue(self.venue).traits.listing_gap,
        };
        (listed.ours.is_empty() && listed.started.boot >= first.boot.after(gap) && self.n_judged > self.n_first)
            .then_some(listed.finished)
    }

    fn prove(&self, desk: &Desk) -> Option<Proof> {
        let last = self.second_clean(desk)?;
        (self.listed.is_empty() && self.fills_are_complete(desk))
            .then(|| Proof::mint(self.venue, self.grade(desk), self.n_listings(desk), last.wall))
    }
}
