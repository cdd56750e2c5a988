//! Ring 1. Requests waiting for a worker: priority, rate budgets, a reserve for cancels. Pure.
//!
//! What a venue bills in detail (`VenueTraits::billing`) is kept as rolling windows: a request goes when every window it
//! draws from has room, and one that waits for its window lets others of its class pass that draw from another.
//!
//! Beside these, two budgets a venue. The *cancel* budget counts orders as the venue bills them (`VenueTraits::cancels_per_second`
//! and `cancel_burst`) and nothing else may draw from it. The *request* budget counts requests of every kind, for
//! venues that bill them together (`limit_requests`; no limit until it is told); creates and reads must leave a fifth
//! of it, so a cancel always finds room. What a budget cannot foresee, the venue says: `Later` moves the next request
//! of that class, a long wait (a ban, maintenance) moves every class.
//!
//! Always holds:
//! - Every request that is pushed comes out exactly once: to be sent, unsent with a reason, or by `shut_gate`. Nothing
//!   is merged or dropped, because each request's answer is awaited.
//! - More urgent first (`Call::urgency`), first in first out within a class, lists before questions about single orders.
//!   One exception: after `OVERTAKEN_MAX`
//!   requests have passed a waiting read, the oldest read goes next, out of the reserve if need be. So a stream of
//!   cancels cannot starve the reads that tell whether they worked; reads cost cancels at most one in nine.
//! - After the gate is shut no create goes out, whatever is pushed.
//! - Risk comes off before it goes on: no create leaves for a venue while a cancel waits there, whatever it waits for.
//!   Reads are not held up by a class that must wait; they draw from another budget.
//!
//! Full: creates beyond `CREATES_MAX` and reads beyond `READS_MAX` are handed back and end unsent. Cancels are never
//! handed back; the order machine bounds them, since it asks one cancel at a time for each order we own.
//!
//! Never does: split a cancel batch (the machine decides sizes; one larger than the budget waits for a full bucket and
//! leaves a debt), retry, read a clock, or hold a cancel or a read back for its `not_after`: late they do no harm.

mod bucket;
mod queue;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use bucket::{Bucket, Share};
use queue::Queue;
pub use window::{Taking, Window};

use crate::domain::event::LimitNews;
use crate::domain::ids::VenueId;
use crate::domain::instrument::{Catalogue, VenueTraits};
use crate::domain::rates::Billing;
use crate::domain::request::{Answer, Answered, Call, Facts, Request, RequestId, Urgency};
use crate::domain::time::Boot;

/// Creates that may wait at one venue.
pub const CREATES_MAX: usize = 16_384;
/// Reads (everything but creates and cancels) that may wait at one venue.
pub const READS_MAX: usize = 16_384;
/// More urgent requests that may pass a waiting class of reads before it is its turn.
pub const OVERTAKEN_MAX: u32 = 8;
/// A `Later` of at least this long is meant for all traffic: rate windows are seconds, bans and maintenance minutes.
pub const BAN_WAIT_MIN: Duration = Duration::from_secs(30);

/// Of so many answers the fastest tells how fast a request can be.
const ROUND_TRIPS_KEPT: usize = 32;

/// The classes, most urgent first.
const CLASSES: [Urgency; 4] = [Urgency::Cancel, Urgency::Resolve, Urgency::Books, Urgency::Create];

/// What a worker may be given. At least two workers of a venue take no creates, so that a flood of creates never leaves a
/// cancel without a hand, and one of them no reads either: lists that hang for seconds must not stand in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Anything.
    Any,
    /// Cancels and reads.
    NoCreates,
    /// Cancels alone.
    Cancels,
}

/// The gate as the caller read it just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Orders may leave.
    Open,
    /// Nothing that can raise exposure starts any more.
    Shut,
}

/// Why a request ends unsent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// A create whose `not_after` passed while it waited.
    Expired,
    /// A create after the gate was shut.
    GateShut,
    /// The queue of its class is full.
    Full,
}

impl Unsent {
    /// In words, for `Answered::NotSent`.
    pub fn words(self) -> &'static str {
        match self {
            Unsent::Expired => "it waited past its deadline and was not sent",
            Unsent::GateShut => "the gate was shut before it was sent",
            Unsent::Full => "too many requests wait for this venue, it was not sent",
        }
    }
}

/// What to do for an idle worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Hand this over.
    Go(Box<Request>),
    /// This one ends without being sent: answer it `NotSent` and ask again.
    Unsent(Box<Request>, Unsent),
    /// Something waits, but nothing may go before this.
    Wait {
        /// Ask again then, or after the next push or answer.
        until: Boot,
    },
    /// Nothing waits for this lane.
    Empty,
}

/// What a request took, by bucket.
type Takings = Vec<(usize, Taking)>;

/// A request that a worker holds.
#[derive(Debug)]
struct HandedOut {
    /// To know what a `Later` is about.
    class: Urgency,
    at: Boot,
    takings: Takings,
}

/// Requests waiting, venue by venue.
#[derive(Debug)]
pub struct Outbox {
    venues: Vec<Waiting>,
    /// The requests that workers hold.
    handed_out: BTreeMap<RequestId, HandedOut>,
    gate: Gate,
    arrivals: u64,
    last_at: Boot,
}

impl Outbox {
    /// An empty outbox with full budgets for every venue of the catalogue.
    pub fn new(catalogue: &Catalogue) -> Outbox {
        let venues = catalogue.venues().iter();
        Outbox {
            venues: venues.map(|venue| Waiting::new(&venue.traits)).collect(),
            handed_out: BTreeMap::new(),
            gate: Gate::Open,
            arrivals: 0,
            last_at: Boot::ZERO,
        }
    }

    /// Tells the budget that all requests of a venue share; 0 a second is no limit.
    pub fn limit_requests(&mut self, venue: VenueId, requests_per_second: u32, burst: u32) {
        self.waiting(venue).requests = Bucket::new(requests_per_second, burst);
    }

    /// The venue's answers told that a limit is not what its codec took for granted.
    pub fn learn(&mut self, venue: VenueId, news: LimitNews) {
        if let Some(window) = self.waiting(venue).windows.get_mut(news.bucket) {
            window.set_limit(news.limit);
        }
    }

    /// Takes a request in, or hands it back to end unsent.
    pub fn push(&mut self, request: Box<Request>) -> Result<(), (Box<Request>, Unsent)> {
        let class = request.call.urgency();
        if request.call.raises_exposure() && self.gate == Gate::Shut {
            return Err((request, Unsent::GateShut));
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        let waiting = self.waiting(request.venue);
        if waiting.is_full(class) {
            return Err((request, Unsent::Full));
        }
        if class == Urgency::Create {
            waiting.create_deadlines.insert((request.not_after, arrival));
            waiting.creates.insert(arrival, request);
        } else {
            let draws = waiting.billing.draws(&request.call);
            waiting.queue(class).push(arrival, draws, request);
        }
        Ok(())
    }

    /// The next request for an idle worker of a venue.
    pub fn next(&mut self, at: Boot, venue: VenueId, lane: Lane, gate: Gate) -> Next {
        self.last_at = self.last_at.max(at);
        let at = self.last_at;
        if gate == Gate::Shut {
            self.gate = Gate::Shut;
        }
        let gate = self.gate;
        let waiting = self.waiting(venue);
        if let Some((request, why)) = waiting.take_unsent(at, gate) {
            return Next::Unsent(request, why);
        }
        let mut until = waiting.first_deadline();
        // A class that was passed too often comes first; otherwise the order of urgency.
        let due = CLASSES.into_iter().filter(|class| waiting.is_due(*class));
        let turns: Vec<(Urgency, Share)> =
            due.map(|class| (class, Share::Whole)).chain(CLASSES.map(|class| (class, share_of(class)))).collect();
        for (class, share) in turns {
            let held = lane != Lane::Any || waiting.n_waiting(Urgency::Cancel) > 0;
            if (class == Urgency::Create && held) || (class != Urgency::Cancel && lane == Lane::Cancels) {
                continue;
            }
            let Some(ready) = waiting.ready_at(at, class, share) else {
                continue;
            };
            if ready <= at
                && let Some((request, takings)) = waiting.take(at, class, share)
            {
                self.handed_out.insert(request.id, HandedOut { class, at, takings });
                return Next::Go(request);
            }
            until = Some(until.map_or(ready, |until| until.min(ready)));
        }
        until.map_or(Next::Empty, |until| Next::Wait { until })
    }

    /// Learns from an answer. To be called with every answer a worker brings.
    pub fn answered(&mut self, at: Boot, answer: &Answer) {
        let handed_out = self.handed_out.remove(&answer.id);
        let class = handed_out.as_ref().map(|handed_out| handed_out.class);
        if let Some(handed_out) = handed_out {
            let has_left = !matches!(answer.answered, Answered::NotSent(_));
            self.waiting(answer.venue).came_back(at, &handed_out, has_left);
        }
        let Some(wait) = longest_wait(&answer.answered) else {
            return;
        };
        let not_before = at.after(wait);
        let waiting = self.waiting(answer.venue);
        for (place, other) in CLASSES.into_iter().enumerate() {
            // An answer to something we did not hand out says nothing about its class: the careful reading is "all".
            if class.is_none_or(|class| class == other) || wait >= BAN_WAIT_MIN {
                waiting.not_before[place] = waiting.not_before[place].max(not_before);
            }
        }
    }

    /// Shuts the gate for good and gives back every create that waits, oldest first, to end unsent.
    pub fn shut_gate(&mut self) -> Vec<Request> {
        self.gate = Gate::Shut;
        let mut creates = BTreeMap::new();
        for waiting in &mut self.venues {
            waiting.create_deadlines.clear();
            creates.append(&mut waiting.creates);
        }
        creates.into_values().map(|request| *request).collect()
    }

    /// How many requests of a class wait at a venue.
    pub fn n_waiting(&self, venue: VenueId, class: Urgency) -> usize {
        self.venues.get(usize::from(venue.0)).map_or(0, |waiting| waiting.n_waiting(class))
    }

    /// Requests that workers hold and have not answered.
    pub fn n_handed_out(&self) -> usize {
        self.handed_out.len()
    }

    /// Until when a venue wants no request of a class; in the past when it takes them.
    pub fn not_before(&self, venue: VenueId, class: Urgency) -> Boot {
        self.venues.get(usize::from(venue.0)).map_or(Boot::ZERO, |waiting| waiting.not_before[place_of(class)])
    }

    /// The venue's queue. A venue that joined the catalogue after us gets one without limits.
    fn waiting(&mut self, venue: VenueId) -> &mut Waiting {
        let place = usize::from(venue.0);
        while self.venues.len() <= place {
            self.venues.push(Waiting::unlimited());
        }
        &mut self.venues[place]
    }
}

/// What waits for one venue.
#[derive(Debug)]
struct Waiting {
    cancels: Bucket,
    requests: Bucket,
    billing: Billing,
    /// One for each of the billing's buckets.
    windows: Vec<Window>,
    /// How long the latest answers took.
    round_trips: VecDeque<Duration>,
    /// The queues of cancels and the two kinds of reads.
    queues: [Queue; 3],
    /// Creates by arrival, so that one can expire out of the middle.
    creates: BTreeMap<u64, Box<Request>>,
    create_deadlines: BTreeSet<(Boot, u64)>,
    /// By class: not before this, as the venue asked.
    not_before: [Boot; 4],
    /// By class: more urgent requests that went out while one of this class waited.
    overtaken: [u32; 4],
}

impl Waiting {
    fn new(traits: &VenueTraits) -> Waiting {
        if traits.billing.buckets.is_empty() {
            let cancels = Bucket::new(traits.cancels_per_second, traits.cancel_burst);
            return Waiting { cancels, ..Waiting::unlimited() };
        }
        // The finer table holds; the two figures are a summary of it, for planning.
        let windows = traits.billing.buckets.iter().map(|bucket| Window::new(bucket.limit, bucket.per)).collect();
        Waiting { billing: traits.billing.clone(), windows, ..Waiting::unlimited() }
    }

    fn unlimited() -> Waiting {
        Waiting {
            cancels: Bucket::new(0, 0),
            requests: Bucket::new(0, 0),
            billing: Billing::default(),
            windows: Vec::new(),
            round_trips: VecDeque::new(),
            queues: Default::default(),
            creates: BTreeMap::new(),
            create_deadlines: BTreeSet::new(),
            not_before: [Boot::ZERO; 4],
            overtaken: [0; 4],
        }
    }

    /// The queue of a class that is not `Create`.
    fn queue(&mut self, class: Urgency) -> &mut Queue {
        // Creates have their own map; the last place here belongs to `Books`.
        &mut self.queues[place_of(class).min(2)]
    }

    fn n_waiting(&self, class: Urgency) -> usize {
        match class {
            Urgency::Create => self.creates.len(),
            Urgency::Cancel | Urgency::Resolve | Urgency::Books => self.queues[place_of(class)].len(),
        }
    }

    fn is_full(&self, class: Urgency) -> bool {
        match class {
            Urgency::Cancel => false,
            Urgency::Create => self.creates.len() >= CREATES_MAX,
            Urgency::Resolve | Urgency::Books => {
                self.n_waiting(Urgency::Resolve) + self.n_waiting(Urgency::Books) >= READS_MAX
            }
        }
    }

    /// A create that can never go any more.
    fn take_unsent(&mut self, at: Boot, gate: Gate) -> Option<(Box<Request>, Unsent)> {
        if gate == Gate::Shut {
            let (arrival, request) = self.creates.pop_first()?;
            self.create_deadlines.remove(&(request.not_after, arrival));
            return Some((request, Unsent::GateShut));
        }
        let &(not_after, arrival) = self.create_deadlines.first()?;
        if at <= not_after {
            return None;
        }
        self.create_deadlines.pop_first();
        let request = self.creates.remove(&arrival)?;
        Some((request, Unsent::Expired))
    }

    /// When the next create expires: the moment after its last good one.
    fn first_deadline(&self) -> Option<Boot> {
        let &(not_after, _) = self.create_deadlines.first()?;
        (not_after < Boot::NEVER).then(|| not_after.after(Duration::from_nanos(1)))
    }

    fn is_due(&self, class: Urgency) -> bool {
        matches!(class, Urgency::Resolve | Urgency::Books)
            && self.overtaken[place_of(class)] >= OVERTAKEN_MAX
            && self.n_waiting(class) > 0
    }

    /// When the first of a class may go; `None` when none waits.
    fn ready_at(&self, at: Boot, class: Urgency, share: Share) -> Option<Boot> {
        let not_before = self.not_before[place_of(class)];
        let ready = match class {
            Urgency::Create => {
                let request = self.creates.values().next()?;
                self.has_room_at(at, &self.billing.draws(&request.call), &request.call, share)
            }
            Urgency::Cancel | Urgency::Resolve | Urgency::Books => {
                let (_, ready) = self.first_ready(at, class, share)?;
                ready
            }
        };
        Some(ready.max(not_before))
    }

    /// The request of a class that may go first, by its line in the queue, and when.
    fn first_ready(&self, at: Boot, class: Urgency, share: Share) -> Option<(u64, Boot)> {
        let heads = self.queues[place_of(class)].heads();
        let ready =
            heads.map(|head| (self.has_room_at(at, head.draws, &head.request.call, share), head.rank, head.arrival));
        // The earliest moment; of two at one moment a list, then the one that has waited longer.
        ready.min().map(|(ready, _, arrival)| (arrival, ready))
    }

    fn has_room_at(&self, at: Boot, draws: &[(usize, u32)], call: &Call, share: Share) -> Boot {
        let by_cancels = self.cancels.ready_at(at, n_cancels(call), Share::Whole);
        let by_requests = self.requests.ready_at(at, 1, share);
        let by_windows = draws
            .iter()
            .filter_map(|(bucket, amount)| self.windows.get(*bucket).map(|window| window.ready_at(at, *amount, share)));
        by_windows.fold(by_cancels.max(by_requests), Boot::max)
    }

    /// An answer came: what its request took counts as long as it may have been on its way.
    fn came_back(&mut self, at: Boot, handed_out: &HandedOut, has_left: bool) {
        let took = at.since(handed_out.at);
        if has_left {
            if self.round_trips.len() >= ROUND_TRIPS_KEPT {
                self.round_trips.pop_front();
            }
            self.round_trips.push_back(took);
        }
        let fastest = self.round_trips.iter().min().copied().unwrap_or(took);
        for (bucket, taking) in &handed_out.takings {
            if let Some(window) = self.windows.get_mut(*bucket) {
                window.answered(*taking, took.saturating_sub(fastest));
            }
        }
    }

    fn take(&mut self, at: Boot, class: Urgency, share: Share) -> Option<(Box<Request>, Takings)> {
        let (draws, request) = match class {
            Urgency::Create => {
                let (arrival, request) = self.creates.pop_first()?;
                self.create_deadlines.remove(&(request.not_after, arrival));
                (self.billing.draws(&request.call), request)
            }
            Urgency::Cancel | Urgency::Resolve | Urgency::Books => {
                let (arrival, _) = self.first_ready(at, class, share)?;
                self.queue(class).take(arrival)?
            }
        };
        self.cancels.take(at, n_cancels(&request.call));
        self.requests.take(at, 1);
        let taking = |(bucket, amount): (usize, u32)| Some((bucket, self.windows.get_mut(bucket)?.take(at, amount)?));
        let takings = draws.into_iter().filter_map(taking).collect();
        for other in CLASSES {
            let passed = other > class && self.n_waiting(other) > 0;
            let count = &mut self.overtaken[place_of(other)];
            *count = if passed { count.saturating_add(1) } else { *count };
        }
        self.overtaken[place_of(class)] = 0;
        Some((request, takings))
    }
}

fn place_of(class: Urgency) -> usize {
    match class {
        Urgency::Cancel => 0,
        Urgency::Resolve => 1,
        Urgency::Books => 2,
        Urgency::Create => 3,
    }
}

fn share_of(class: Urgency) -> Share {
    match class {
        Urgency::Cancel => Share::Whole,
        Urgency::Resolve | Urgency::Books | Urgency::Create => Share::Common,
    }
}

/// What a call draws from the cancel budget.
fn n_cancels(call: &Call) -> u64 {
    match call {
        Call::Cancel(_) => 1,
        Call::CancelBatch(keys) => keys.len() as u64,
        Call::Create(_)
        | Call::Query(_)
        | Call::History(_)
        | Call::ListOpen(_)
        | Call::ListFills(..)
        | Call::Balances
        | Call::Positions
        | Call::Instruments
        | Call::Time
        | Call::Access
        | Call::CancelAll(_)
        | Call::SetSwitch(_)
        | Call::ReadSwitch => 0,
    }
}

/// The longest wait an answer asks for, itself or in an item of its batch.
fn longest_wait(answered: &Answered) -> Option<Duration> {
    match answered {
        Answered::Later { wait, .. } => Some(*wait),
        Answered::Done(Facts::Batch(items)) => items.values().filter_map(longest_wait).max(),
        Answered::Done(_) | Answered::Refused(_) | Answered::NotSent(_) | Answered::Unknown(_) => None,
    }
}
