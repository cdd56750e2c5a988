//! Which cancels are wanted, and when each is asked for (again).
//!
//! Always holds: a wanted cancel stays wanted until its order has ended; at most one request an order is on its way.
//! Never does: give up. Whoever has a deadline stops asking; this schedule does not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::ids::ClientOrderId;
use crate::domain::request::RequestId;
use crate::domain::time::Boot;

/// First wait after a try that came to nothing; doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest wait. A second, because an order whose create got no answer must be asked for again each second.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A cancel that was taken and shows no effect for this long is asked for again.
const TAKEN_PATIENCE: Duration = Duration::from_secs(2);

/// Smaller goes first: exposure-raising before reducing, near the market before far.
pub(super) type Rank = i64;

#[derive(Clone, Debug)]
struct Try {
    rank: Rank,
    next_at: Boot,
    n_tries: u32,
    on_its_way: Option<RequestId>,
    alone: bool,
    /// The last try came to nothing: the wait is a backoff, not patience.
    has_failed: bool,
}

/// The schedule.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancels {
    wanted: BTreeMap<ClientOrderId, Try>,
    queue: BTreeSet<(Boot, Rank, ClientOrderId)>,
}

/// A cancel that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The order.
    pub id: ClientOrderId,
    /// It was refused within a batch: ask for it alone.
    pub alone: bool,
}

impl Cancels {
    /// Wants an order cancelled. `false`, and nothing changes, when that is wanted already.
    pub(super) fn want(&mut self, id: ClientOrderId, rank: Rank, at: Boot) -> bool {
        if self.wanted.contains_key(&id) {
            return false;
        }
        self.wanted
            .insert(id, Try { rank, next_at: at, n_tries: 0, on_its_way: None, alone: false, has_failed: false });
        self.queue.insert((at, rank, id));
        true
    }

    /// Whether its cancel is wanted.
    pub(super) fn wants(&self, id: ClientOrderId) -> bool {
        self.wanted.contains_key(&id)
    }

    /// Whether the next try is the third, or the sixth, and so on.
    pub(super) fn is_third_try_next(&self, id: ClientOrderId) -> bool {
        self.wanted.get(&id).is_some_and(|wanted| wanted.n_tries % 3 == 2)
    }

    /// The order has ended. Whether its cancel was wanted.
    pub(super) fn settle(&mut self, id: ClientOrderId) -> bool {
        let Some(gone) = self.wanted.remove(&id) else { return false };
        self.queue.remove(&(gone.next_at, gone.rank, id));
        true
    }

    /// Everything that is due, nearest to the market first. Each must be answered with `sent` or `again_after`.
    pub(super) fn due(&mut self, at: Boot) -> Vec<Due> {
        let mut ripe = Vec::new();
        while let Some(&(next_at, rank, id)) = self.queue.first() {
            if next_at > at {
                break;
            }
            self.queue.pop_first();
            if let Some(wanted) = self.wanted.get(&id) {
                ripe.push((rank, Due { id, alone: wanted.alone }));
            }
        }
        ripe.sort_by_key(|(rank, due)| (*rank, due.id));
        ripe.into_iter().map(|(_, due)| due).collect()
    }

    /// A request for it is on its way.
    pub(super) fn sent(&mut self, id: ClientOrderId, request: RequestId) {
        if let Some(wanted) = self.wanted.get_mut(&id) {
            wanted.n_tries += 1;
            wanted.on_its_way = Some(request);
        }
    }

    /// The venue took the cancel: leave it time to show.
    pub(super) fn taken(&mut self, id: ClientOrderId, at: Boot) {
        self.requeue(id, at.after(TAKEN_PATIENCE), None);
        self.note_failure(id, false);
    }

    /// It came to nothing: ask again later. `alone` when a batch refused this one item.
    pub(super) fn failed(&mut self, id: ClientOrderId, at: Boot, alone: bool) {
        let n_tries = self.wanted.get(&id).map_or(0, |wanted| wanted.n_tries);
        self.requeue(id, at.after(backoff(id, n_tries)), Some(alone));
        self.note_failure(id, true);
    }

    /// Ask again after the venue's own wait (rate limit), in a batch again.
    pub(super) fn again_after(&mut self, id: ClientOrderId, at: Boot, wait: Duration) {
        self.requeue(id, at.after(wait), Some(false));
        self.note_failure(id, true);
    }

    /// Something new is known (it rests after all): ask now, unless a request is on its way.
    pub(super) fn hasten(&mut self, id: ClientOrderId, at: Boot) {
        if self.wanted.get(&id).is_some_and(|wanted| wanted.on_its_way.is_none()) {
            self.requeue(id, at, None);
        }
    }

    /// The order still rests though its cancel was taken: ask now. After a failure the backoff stands, or a venue that
    /// denies a resting order would be asked as fast as it answers.
    pub(super) fn hasten_taken(&mut self, id: ClientOrderId, at: Boot) {
        if self.wanted.get(&id).is_some_and(|wanted| !wanted.has_failed) {
            self.hasten(id, at);
        }
    }

    fn note_failure(&mut self, id: ClientOrderId, has_failed: bool) {
        if let Some(wanted) = self.wanted.get_mut(&id) {
            wanted.has_failed = has_failed;
        }
    }

    fn requeue(&mut self, id: ClientOrderId, next_at: Boot, alone: Option<bool>) {
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        self.queue.remove(&(wanted.next_at, wanted.rank, id));
        wanted.next_at = next_at;
        wanted.on_its_way = None;
        if let Some(alone) = alone {
            wanted.alone = alone;
        }
        self.queue.insert((next_at, wanted.rank, id));
    }
}

/// The wait after `n_tries` tries, spread by the id so that a thousand orders do not knock at once. No chance in here:
/// the same order waits the same time in every run.
pub(super) fn backoff(id: ClientOrderId, n_tries: u32) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1_u32 << n_tries.saturating_sub(1).min(8)).min(BACKOFF_MAX);
    let spread = id.as_str().bytes().fold(n_tries, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 25;
    doubled - doubled / 100 * spread
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Epoch, Instance, StrategyLetter};

    fn id(sequence: u32) -> ClientOrderId {
        ClientOrderId::new(Instance::from_chance(1), Epoch(1), StrategyLetter::nth(0).unwrap(), sequence).unwrap()
    }

    fn ms(millis: u64) -> Boot {
        Boot::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_nearest_to_the_market_goes_first() {
        let mut cancels = Cancels::default();
        cancels.want(id(1), 30, ms(0));
        cancels.want(id(2), 10, ms(0));
        cancels.want(id(3), 20, ms(0));
        let due: Vec<_> = cancels.due(ms(0)).iter().map(|due| due.id).collect();
        assert_eq!(due, [id(2), id(3), id(1)]);
        assert!(cancels.due(ms(0)).is_empty(), "each is due once");
    }

    #[test]
    fn a_cancel_without_effect_is_asked_for_again_until_the_order_ends() {
        let mut cancels = Cancels::default();
        cancels.want(id(1), 0, ms(0));
        for round in 0..50 {
            let at = ms(round * 1_000);
            assert_eq!(cancels.due(at).len(), 1, "round {round}");
            cancels.sent(id(1), RequestId(round));
            cancels.failed(id(1), at, false);
        }
        cancels.settle(id(1));
        assert!(cancels.due(ms(1_000_000)).is_empty());
    }

    #[test]
    fn waits_differ_between_orders_and_never_pass_a_second() {
        let waits: BTreeSet<_> = (0..25).map(|n| backoff(id(n), 4)).collect();
        assert!(waits.len() > 10);
        assert!((0..100).all(|tries| backoff(id(7), tries) <= BACKOFF_MAX));
    }
}
