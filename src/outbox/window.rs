//! A rolling window on the boot clock: at most so many in any span of a length.
//!
//! Requests do not travel equally fast, and the venue counts them when they arrive. So a taking counts a little longer
//! than the span, and as much longer as its own answer was slower than the fastest of late: by so much later it may have
//! arrived, while the next one may be as fast as any. Until it is answered it counts for the most.
//!
//! Always holds: in no span of `per` is more taken than the limit (a single taking above the limit waits for an empty
//! window).
//! Never does: read a clock; let one lost answer hold a place for longer than half a span more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Share;
use crate::domain::time::Boot;

/// What was taken lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    limit: u32,
    per: Duration,
    /// What still counts, by the moment it is gone and a number of its own.
    taken: BTreeMap<(Boot, u64), u32>,
    n_taken: u64,
    sum: u32,
}

/// A taking, to be told about when its answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taking {
    at: Boot,
    number: u64,
}

impl Window {
    /// An empty window. A limit of 0 is taken as 1, or nothing could ever go.
    pub fn new(limit: u32, per: Duration) -> Window {
        Window { limit: limit.max(1), per, taken: BTreeMap::new(), n_taken: 0, sum: 0 }
    }

    /// The venue allows this many from now on.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit.max(1);
    }

    /// The earliest moment, not before `at`, at which `amount` may be taken. Others leave cancels a fifth.
    pub fn ready_at(&self, at: Boot, amount: u32, share: Share) -> Boot {
        let usable = match share {
            Share::Whole => self.limit,
            Share::Common if self.limit < 2 => self.limit,
            Share::Common => self.limit - self.limit.div_ceil(5),
        };
        let room_needed = amount.min(usable);
        let mut sum = self.sum;
        let mut ready = at;
        for (&(gone_at, _), taken) in &self.taken {
            if gone_at <= at || sum.saturating_add(room_needed) > usable {
                sum -= taken;
                ready = ready.max(gone_at);
            } else {
                break;
            }
        }
        ready
    }

    /// Takes at a moment `ready_at` allowed.
    pub fn take(&mut self, at: Boot, amount: u32) -> Option<Taking> {
        while let Some(entry) = self.taken.first_entry().filter(|entry| entry.key().0 <= at) {
            self.sum -= entry.remove();
        }
        if amount == 0 {
            return None;
        }
        self.n_taken += 1;
        let taking = Taking { at, number: self.n_taken };
        self.taken.insert((self.gone_at(taking, Duration::MAX), taking.number), amount);
        self.sum = self.sum.saturating_add(amount);
        Some(taking)
    }

    /// The answer came; it took this much longer than the fastest of late.
    pub fn answered(&mut self, taking: Taking, slower_by: Duration) {
        let longest = self.gone_at(taking, Duration::MAX);
        if let Some(amount) = self.taken.remove(&(longest, taking.number)) {
            self.taken.insert((self.gone_at(taking, slower_by), taking.number), amount);
        }
    }

    fn gone_at(&self, taking: Taking, slower_by: Duration) -> Boot {
        taking.at.after(self.per + slower_by.clamp(self.per / 20, self.per / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Boot {
        Boot::from_nanos(millis * 1_000_000)
    }

    fn take_and_answer(window: &mut Window, at_ms: u64, amount: u32) {
        let taking = window.take(ms(at_ms), amount).unwrap();
        window.answered(taking, Duration::ZERO);
    }

    #[test]
    fn a_slow_answer_holds_its_place_for_longer_and_a_lost_one_for_half_a_span() {
        let mut window = Window::new(1, Duration::from_secs(1));
        for (slower_ms, gone_ms) in [(0, 1_050), (50, 1_050), (200, 1_200), (500, 1_500), (9_000, 1_500)] {
            let mut window = window.clone();
            let taking = window.take(ms(0), 1).unwrap();
            assert_eq!(window.ready_at(ms(700), 1, Share::Whole), ms(1_500), "not answered");
            window.answered(taking, Duration::from_millis(slower_ms));
            assert_eq!(window.ready_at(ms(700), 1, Share::Whole), ms(gone_ms), "{slower_ms} ms slower");
        }
        let taking = window.take(ms(0), 1).unwrap();
        window.take(ms(1_500), 1);
        window.answered(taking, Duration::ZERO);
        assert_eq!(window.ready_at(ms(1_600), 1, Share::Whole), ms(3_000), "one that is gone is not brought back");
    }

    #[test]
    fn ten_go_at_once_and_the_next_ten_when_they_have_left_the_window() {
        let mut window = Window::new(10, Duration::from_secs(1));
        for number in 0..10 {
            assert_eq!(window.ready_at(ms(number), 1, Share::Whole), ms(number));
            take_and_answer(&mut window, number, 1);
        }
        assert_eq!(window.ready_at(ms(20), 1, Share::Whole), ms(1_050));
        assert_eq!(window.ready_at(ms(20), 10, Share::Whole), ms(1_059));
        assert_eq!(window.ready_at(ms(2_000), 10, Share::Whole), ms(2_000));
    }

    #[test]
    fn more_than_the_limit_waits_for_an_empty_window() {
        let mut window = Window::new(5, Duration::from_secs(1));
        take_and_answer(&mut window, 0, 1);
        assert_eq!(window.ready_at(ms(10), 50, Share::Whole), ms(1_050));
        take_and_answer(&mut window, 1_050, 50);
        assert_eq!(window.ready_at(ms(1_060), 1, Share::Whole), ms(2_100));
    }

    #[test]
    fn others_leave_a_fifth_and_a_new_limit_counts_at_once() {
        let mut window = Window::new(10, Duration::from_secs(1));
        take_and_answer(&mut window, 0, 8);
        assert_eq!(window.ready_at(ms(1), 1, Share::Common), ms(1_050));
        assert_eq!(window.ready_at(ms(1), 2, Share::Whole), ms(1));
        window.set_limit(100);
        assert_eq!(window.ready_at(ms(1), 50, Share::Common), ms(1));
    }

    proptest! {
        /// Against a plain count of arrivals: however long each takes there and back (up to half a span apart), in every
        /// span of the venue's length at most the limit arrives.
        #[test]
        fn no_span_sees_more_than_the_limit(
            limit in 1_u32..30,
            wishes in proptest::collection::vec((0_u64..300, 1_u32..5, 0_u64..250, 0_u64..250), 1..80),
        ) {
            const FASTEST_MS: u64 = 20;
            let per = Duration::from_secs(1);
            let mut window = Window::new(limit, per);
            let mut now = Boot::ZERO;
            let mut arrived: Vec<(Boot, u32)> = Vec::new();
            let mut answers: Vec<(Boot, Taking, Duration)> = Vec::new();
            for (wait_ms, amount, there_ms, back_ms) in wishes {
                let amount = amount.min(limit);
                now = now.after(Duration::from_millis(wait_ms));
                loop {
                    for (_, taking, slower_by) in answers.extract_if(.., |(at, ..)| *at <= now) {
                        window.answered(taking, slower_by);
                    }
                    let ready = window.ready_at(now, amount, Share::Whole);
                    let next_answer = answers.iter().map(|(at, ..)| *at).min();
                    match next_answer {
                        _ if ready <= now => break,
                        Some(answer) if answer < ready => now = answer,
                        _ => now = ready,
                    }
                }
                let taking = window.take(now, amount).unwrap();
                let (there, back) = (Duration::from_millis(FASTEST_MS + there_ms), Duration::from_millis(back_ms));
                arrived.push((now.after(there), amount));
                answers.push((now.after(there + back), taking, Duration::from_millis(there_ms + back_ms)));
            }
            arrived.sort();
            for (first, (start, _)) in arrived.iter().enumerate() {
                let within = arrived[first..].iter().filter(|(when, _)| *when < start.after(per));
                let sum: u32 = within.map(|(_, amount)| amount).sum();
                prop_assert!(sum <= limit, "{sum} arrived, {limit} allowed");
            }
        }
    }
}
