//! Orders whose state at the venue is in doubt, and the evidence gathered about each.
//!
//! Always holds: absence counts only when the query, the history, a complete listing and a complete list of fills all
//! lack the order, and each of the four was asked for after the last moment the order could have arrived, lag included.
//! Never does: end a doubt by time or by a number of tries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::request::RequestId;
use crate::domain::time::Boot;

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What to ask next about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Query it by id.
    Query,
    /// Look it up in the history.
    History,
    /// A complete listing of the account.
    Listing,
    /// A complete list of fills.
    Fills,
}

#[derive(Clone, Debug)]
struct Doubt {
    venue: VenueId,
    arrives_by: Boot,
    next_at: Boot,
    n_tries: u32,
    on_its_way: Option<RequestId>,
    query_lacks: bool,
    history_lacks: bool,
    listing_lacks: bool,
    fills_lack: bool,
}

/// All doubts.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubts {
    doubts: BTreeMap<ClientOrderId, Doubt>,
    queue: BTreeSet<(Boot, ClientOrderId)>,
    proven: BTreeSet<ClientOrderId>,
}

impl Doubts {
    /// Raises a doubt: first asked about at `first_at`; nothing seen before `arrives_by` counts as absence.
    pub(super) fn raise(&mut self, venue: VenueId, id: ClientOrderId, first_at: Boot, arrives_by: Boot) {
        if self.doubts.contains_key(&id) {
            return;
        }
        let doubt = Doubt {
            venue,
            arrives_by,
            next_at: first_at,
            n_tries: 0,
            on_its_way: None,
            query_lacks: false,
            history_lacks: false,
            listing_lacks: false,
            fills_lack: false,
        };
        self.doubts.insert(id, doubt);
        self.queue.insert((first_at, id));
    }

    /// The doubt is over: the venue showed the order, or its end.
    pub(super) fn settle(&mut self, id: ClientOrderId) {
        if let Some(doubt) = self.doubts.remove(&id) {
            self.queue.remove(&(doubt.next_at, id));
            self.proven.remove(&id);
        }
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.doubts.is_empty()
    }

    /// What is due to be asked. Each is answered with `sent` (a query or history is on its way) or nothing.
    pub(super) fn due(&mut self, at: Boot) -> Vec<(ClientOrderId, Question)> {
        let mut questions = Vec::new();
        while let Some(&(next_at, id)) = self.queue.first() {
            if next_at > at {
                break;
            }
            self.queue.pop_first();
            let Some(doubt) = self.doubts.get_mut(&id) else {
                continue;
            };
            doubt.n_tries += 1;
            let wait = BACKOFF_FIRST.saturating_mul(1_u32 << doubt.n_tries.saturating_sub(1).min(8)).min(BACKOFF_MAX);
            // Exactly when absence begins to count there is something to ask, whatever the backoff says.
            let next_at = at.after(wait);
            let next_at = if at < doubt.arrives_by { next_at.min(doubt.arrives_by) } else { next_at };
            doubt.next_at = next_at;
            self.queue.insert((next_at, id));
            if doubt.on_its_way.is_some() {
                continue;
            }
            let question = match (doubt.query_lacks, doubt.history_lacks, doubt.listing_lacks, doubt.fills_lack) {
                (false, _, _, _) => Question::Query,
                (true, false, _, _) => Question::History,
                (true, true, false, _) => Question::Listing,
                (true, true, true, false) => Question::Fills,
                (true, true, true, true) => continue,
            };
            questions.push((id, question));
        }
        questions
    }

    /// A query or history request is on its way.
    pub(super) fn sent(&mut self, id: ClientOrderId, request: RequestId) {
        if let Some(doubt) = self.doubts.get_mut(&id) {
            doubt.on_its_way = Some(request);
        }
    }

    /// That request ended, whatever it said: the next question is due now if it brought evidence, else after the wait.
    pub(super) fn back(&mut self, id: ClientOrderId, at: Boot, lacking: Option<Question>, asked_at: Boot) {
        let Some(doubt) = self.doubts.get_mut(&id) else { return };
        doubt.on_its_way = None;
        if let Some(question) = lacking
            && asked_at >= doubt.arrives_by
        {
            self.note(id, at, question);
        }
    }

    /// A complete list of a venue (asked for at `asked_at`) lacks these orders: all its doubts but those in `shown`.
    pub(super) fn list_lacks(
        &mut self,
        (venue, question): (VenueId, Question),
        asked_at: Boot,
        at: Boot,
        shown: impl Fn(ClientOrderId) -> bool,
    ) {
        let counts = |doubt: &Doubt| doubt.venue == venue && asked_at >= doubt.arrives_by;
        let lacking: Vec<_> =
            self.doubts.iter().filter(|(id, doubt)| counts(doubt) && !shown(**id)).map(|(id, _)| *id).collect();
        for id in lacking {
            self.note(id, at, question);
        }
    }

    /// Orders proven absent by all four.
    pub(super) fn proven_absent(&self) -> impl Iterator<Item = ClientOrderId> {
        self.proven.iter().copied()
    }

    /// Evidence is in: the next question is due now.
    fn note(&mut self, id: ClientOrderId, at: Boot, question: Question) {
        let Some(doubt) = self.doubts.get_mut(&id) else { return };
        doubt.note(question);
        if doubt.is_proven() {
            self.proven.insert(id);
        }
        let due_now = at.min(doubt.next_at);
        self.queue.remove(&(doubt.next_at, id));
        doubt.next_at = due_now;
        self.queue.insert((due_now, id));
    }
}

impl Doubt {
    fn note(&mut self, question: Question) {
        match question {
            Question::Query => self.query_lacks = true,
            Question::History => self.history_lacks = true,
            Question::Listing => self.listing_lacks = true,
            Question::Fills => self.fills_lack = true,
        }
    }

    fn is_proven(&self) -> bool {
        self.query_lacks && self.history_lacks && self.listing_lacks && self.fills_lack
    }
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

    const HERE: VenueId = VenueId(0);
    const ELSEWHERE: VenueId = VenueId(1);

    const ALL: [Question; 4] = [Question::Query, Question::History, Question::Listing, Question::Fills];

    #[test]
    fn absence_needs_all_four_sources() {
        for missing in ALL {
            let mut doubts = Doubts::default();
            doubts.raise(HERE, id(1), ms(0), ms(0));
            for question in ALL.into_iter().filter(|question| *question != missing) {
                doubts.back(id(1), ms(1), Some(question), ms(1));
            }
            assert!(doubts.proven_absent().next().is_none(), "without {missing:?}");
            doubts.back(id(1), ms(2), Some(missing), ms(2));
            assert!(doubts.proven_absent().eq([id(1)]));
        }
    }

    #[test]
    fn what_was_asked_before_the_last_moment_it_could_arrive_does_not_count() {
        let mut doubts = Doubts::default();
        doubts.raise(HERE, id(1), ms(0), ms(1_000));
        for question in ALL {
            doubts.back(id(1), ms(2_000), Some(question), ms(999));
            doubts.list_lacks((HERE, question), ms(999), ms(2_000), |_| false);
        }
        assert!(doubts.proven_absent().next().is_none());
        for question in ALL {
            doubts.list_lacks((HERE, question), ms(1_000), ms(2_000), |_| false);
        }
        assert!(doubts.proven_absent().eq([id(1)]));
    }

    #[test]
    fn what_another_venue_lacks_or_a_list_shows_does_not_count() {
        let mut doubts = Doubts::default();
        doubts.raise(HERE, id(1), ms(0), ms(0));
        for question in ALL {
            doubts.list_lacks((ELSEWHERE, question), ms(1), ms(1), |_| false);
            doubts.list_lacks((HERE, question), ms(1), ms(1), |shown| shown == id(1));
        }
        assert!(doubts.proven_absent().next().is_none());
    }

    #[test]
    fn a_doubt_is_asked_about_until_something_settles_it() {
        let mut doubts = Doubts::default();
        doubts.raise(HERE, id(1), ms(0), ms(5_000));
        let mut asked = 0;
        for step in 0..600 {
            asked += doubts.due(ms(step * 100)).len();
        }
        assert!(asked > 20, "asked {asked} times in a minute");
        doubts.settle(id(1));
        assert!(doubts.due(ms(100_000)).is_empty());
    }
}
