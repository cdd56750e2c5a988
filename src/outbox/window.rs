//! A rolling window on the boot clock: at most so many in any span of a length.
//!
//! Always holds: in no span of `per` is more taken than the limit (a single taking above the limit waits for an empty
//! window). The span is kept a little longer than the venue's, because requests do not travel equally fast.
//! Never does: read a clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::Share;
use crate::domain::time::Boot;

/// What was taken lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    limit: u32,
    span: Duration,
    /// When and how much, oldest first; only what still counts.
    taken: VecDeque<(Boot, u32)>,
    sum: u32,
}

impl Window {
    /// An empty window. A limit of 0 is taken as 1, or nothing could ever go.
    pub fn new(limit: u32, per: Duration) -> Window {
        Window { limit: limit.max(1), span: per + per / 20, taken: VecDeque::new(), sum: 0 }
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
        for (when, taken) in &self.taken {
            let gone_at = when.after(self.span);
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
    pub fn take(&mut self, at: Boot, amount: u32) {
        while let Some(&(when, taken)) = self.taken.front() {
            if when.after(self.span) > at {
                break;
            }
            self.sum -= taken;
            self.taken.pop_front();
        }
        if amount > 0 {
            self.taken.push_back((at, amount));
            self.sum = self.sum.saturating_add(amount);
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

    #[test]
    fn ten_go_at_once_and_the_next_ten_when_they_have_left_the_window() {
        let mut window = Window::new(10, Duration::from_secs(1));
        for number in 0..10 {
            assert_eq!(window.ready_at(ms(number), 1, Share::Whole), ms(number));
            window.take(ms(number), 1);
        }
        assert_eq!(window.ready_at(ms(20), 1, Share::Whole), ms(1_050));
        assert_eq!(window.ready_at(ms(20), 10, Share::Whole), ms(1_059));
        assert_eq!(window.ready_at(ms(2_000), 10, Share::Whole), ms(2_000));
    }

    #[test]
    fn more_than_the_limit_waits_for_an_empty_window() {
        let mut window = Window::new(5, Duration::from_secs(1));
        window.take(ms(0), 1);
        assert_eq!(window.ready_at(ms(10), 50, Share::Whole), ms(1_050));
        window.take(ms(1_050), 50);
        assert_eq!(window.ready_at(ms(1_060), 1, Share::Whole), ms(2_100));
    }

    #[test]
    fn others_leave_a_fifth_and_a_new_limit_counts_at_once() {
        let mut window = Window::new(10, Duration::from_secs(1));
        window.take(ms(0), 8);
        assert_eq!(window.ready_at(ms(1), 1, Share::Common), ms(1_050));
        assert_eq!(window.ready_at(ms(1), 2, Share::Whole), ms(1));
        window.set_limit(100);
        assert_eq!(window.ready_at(ms(1), 50, Share::Common), ms(1));
    }

    proptest! {
        /// Against a plain count: in every span of the venue's length at most the limit was taken.
        #[test]
        fn no_span_sees_more_than_the_limit(
            limit in 1_u32..30,
            wishes in proptest::collection::vec((0_u64..300, 1_u32..5), 1..80),
        ) {
            let per = Duration::from_secs(1);
            let mut window = Window::new(limit, per);
            let mut now = Boot::ZERO;
            let mut taken: Vec<(Boot, u32)> = Vec::new();
            for (wait_ms, amount) in wishes {
                let amount = amount.min(limit);
                now = window.ready_at(now.after(Duration::from_millis(wait_ms)), amount, Share::Whole);
                window.take(now, amount);
                taken.push((now, amount));
            }
            for (first, (start, _)) in taken.iter().enumerate() {
                let within = taken[first..].iter().filter(|(when, _)| *when < start.after(per));
                let sum: u32 = within.map(|(_, amount)| amount).sum();
                prop_assert!(sum <= limit, "{sum} taken, {limit} allowed");
            }
        }
    }
}
