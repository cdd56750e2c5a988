//! A rolling window on the boot clock: at most so many in any span of a length, as the venue sees them arrive.
//!
//! A request arrives somewhere between the moment it is handed out and the moment it is answered. Its place in the window
//! is free again a whole span after the answer, or, if the answer takes long, a span after half a second. So requests
//! that travel slower than others, or a machine that is slow to send them, do not put two spans' worth into one.
//!
//! Always holds: in no span of `per` does more arrive than the limit, as long as requests take less than half a second
//! there (a single taking above the limit waits for an empty window).
//! Never does: read a clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::Share;
use crate::domain::request::RequestId;
use crate::domain::time::Boot;

/// A request is thought to have arrived by then, whether it is answered or not.
const TRAVEL_MAX: Duration = Duration::from_millis(500);
/// Two clocks do not tick alike.
const MARGIN: Duration = Duration::from_millis(2);

/// What was taken lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    limit: u32,
    span: Duration,
    /// What still counts, in the order it was taken.
    taken: VecDeque<Taken>,
    sum: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    request: RequestId,
    amount: u32,
    /// The latest it arrived: the answer, or the longest travel.
    arrived: Boot,
    is_answered: bool,
}

impl Window {
    /// An empty window. A limit of 0 is taken as 1, or nothing could ever go.
    pub fn new(limit: u32, per: Duration) -> Window {
        Window { limit: limit.max(1), span: per + MARGIN, taken: VecDeque::new(), sum: 0 }
    }

    /// The venue allows this many from now on.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit.max(1);
    }

    /// The earliest moment, not before `at`, at which `amount` may be taken, as far as the answers so far tell; another
    /// answer may make it earlier. Others than cancels leave a fifth.
    pub fn ready_at(&self, at: Boot, amount: u32, share: Share) -> Boot {
        let usable = match share {
            Share::Whole => self.limit,
            Share::Common if self.limit < 2 => self.limit,
            Share::Common => self.limit - self.limit.div_ceil(5),
        };
        let room_needed = amount.min(usable);
        if self.sum.saturating_add(room_needed) <= usable {
            return at;
        }
        let leaves = |taken: &Taken| (taken.arrived.after(self.span), taken.amount);
        let mut leaving: Vec<(Boot, u32)> = self.taken.iter().map(leaves).collect();
        leaving.sort_unstable();
        let (mut sum, mut ready) = (self.sum, at);
        for (gone_at, amount) in leaving {
            if gone_at > at && sum.saturating_add(room_needed) <= usable {
                break;
            }
            sum -= amount;
            ready = ready.max(gone_at);
        }
        ready
    }

    /// Takes at a moment `ready_at` allowed.
    pub fn take(&mut self, at: Boot, amount: u32, request: RequestId) {
        let span = self.span;
        self.taken.retain(|taken| taken.arrived.after(span) > at);
        if amount > 0 {
            self.taken.push_back(Taken { request, amount, arrived: at.after(TRAVEL_MAX), is_answered: false });
        }
        self.sum = self.taken.iter().map(|taken| taken.amount).fold(0, u32::saturating_add);
    }

    /// A request came back: it had arrived by now.
    pub fn answered(&mut self, at: Boot, request: RequestId) {
        let open = self.taken.iter_mut().find(|taken| taken.request == request && !taken.is_answered);
        if let Some(taken) = open {
            taken.arrived = taken.arrived.min(at);
            taken.is_answered = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Boot {
        Boot::from_nanos(millis * 1_000_000)
    }

    fn id(number: u64) -> RequestId {
        RequestId(number)
    }

    /// Takes and is answered at once.
    fn pass(window: &mut Window, at: Boot, amount: u32, number: u64) {
        window.take(at, amount, id(number));
        window.answered(at, id(number));
    }

    #[test]
    fn ten_go_at_once_and_the_next_ten_when_they_have_left_the_window() {
        let mut window = Window::new(10, Duration::from_secs(1));
        for number in 0..10 {
            assert_eq!(window.ready_at(ms(number), 1, Share::Whole), ms(number));
            pass(&mut window, ms(number), 1, number);
        }
        assert_eq!(window.ready_at(ms(20), 1, Share::Whole), ms(1_002));
        assert_eq!(window.ready_at(ms(20), 10, Share::Whole), ms(1_011));
        assert_eq!(window.ready_at(ms(2_000), 10, Share::Whole), ms(2_000));
    }

    #[test]
    fn a_place_is_free_a_span_after_the_answer_or_after_the_longest_travel() {
        let mut window = Window::new(1, Duration::from_secs(1));
        window.take(ms(0), 1, id(1));
        assert_eq!(window.ready_at(ms(10), 1, Share::Whole), ms(1_502));
        window.answered(ms(200), id(1));
        assert_eq!(window.ready_at(ms(210), 1, Share::Whole), ms(1_202));
        window.answered(ms(900), id(1));
        assert_eq!(window.ready_at(ms(910), 1, Share::Whole), ms(1_202), "the first answer counts");
        window.answered(ms(3_000), id(7));
        assert_eq!(window.ready_at(ms(910), 1, Share::Whole), ms(1_202), "an answer to something else");
    }

    #[test]
    fn more_than_the_limit_waits_for_an_empty_window() {
        let mut window = Window::new(5, Duration::from_secs(1));
        pass(&mut window, ms(0), 1, 1);
        assert_eq!(window.ready_at(ms(10), 50, Share::Whole), ms(1_002));
        pass(&mut window, ms(1_002), 50, 2);
        assert_eq!(window.ready_at(ms(1_060), 1, Share::Whole), ms(2_004));
    }

    #[test]
    fn others_leave_a_fifth_and_a_new_limit_counts_at_once() {
        let mut window = Window::new(10, Duration::from_secs(1));
        pass(&mut window, ms(0), 8, 1);
        assert_eq!(window.ready_at(ms(1), 1, Share::Common), ms(1_002));
        assert_eq!(window.ready_at(ms(1), 2, Share::Whole), ms(1));
        window.set_limit(100);
        assert_eq!(window.ready_at(ms(1), 50, Share::Common), ms(1));
    }

    proptest! {
        /// Against a plain count of arrivals, each anywhere between its hand-over and its answer: in every span of the
        /// venue's length at most the limit arrived.
        #[test]
        fn no_span_sees_more_arrivals_than_the_limit(
            limit in 1_u32..30,
            wishes in proptest::collection::vec((0_u64..300, 1_u32..5, 0_u64..480, 0_u64..101), 1..80),
        ) {
            let per = Duration::from_secs(1);
            let mut window = Window::new(limit, per);
            let mut now = Boot::ZERO;
            let mut answers: Vec<(Boot, u64)> = Vec::new();
            let mut arrivals: Vec<(Boot, u32)> = Vec::new();
            for (number, (wait_ms, amount, travel_ms, share)) in wishes.into_iter().enumerate() {
                let number = number as u64;
                let amount = amount.min(limit);
                now = now.after(Duration::from_millis(wait_ms));
                // Answers that come while it waits may let it go earlier.
                loop {
                    let ready = window.ready_at(now, amount, Share::Whole);
                    answers.sort_unstable();
                    match answers.first().copied() {
                        Some((when, answered)) if when <= ready => {
                            window.answered(when, id(answered));
                            answers.remove(0);
                            now = now.max(when);
                        }
                        _ => {
                            now = ready;
                            break;
                        }
                    }
                }
                window.take(now, amount, id(number));
                arrivals.push((now.after(Duration::from_millis(travel_ms * share / 100)), amount));
                answers.push((now.after(Duration::from_millis(travel_ms)), number));
            }
            arrivals.sort_unstable();
            for (first, (start, _)) in arrivals.iter().enumerate() {
                let within = arrivals[first..].iter().filter(|(when, _)| *when < start.after(per));
                let sum: u32 = within.map(|(_, amount)| amount).sum();
                prop_assert!(sum <= limit, "{sum} arrived, {limit} allowed");
            }
        }
    }
}
