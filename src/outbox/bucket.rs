//! A token bucket on the boot clock.
//!
//! Always holds: over any span, no more is taken than the burst plus what the rate gave in that span (a single taking
//! above the burst waits for a full bucket and leaves it in debt, so the rate holds over time all the same).
//! Never does: count in floats, or read a clock.

use std::time::Duration;

use crate::domain::time::Boot;

/// A budget: so many a second, so many at once.
///
/// Kept as the moment at which the bucket will be full again, so there is nothing to refill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Nanoseconds one token takes to come back; rounded up, so we never go above the rate. 0: no limit.
    nanos_per_token: u64,
    burst: u64,
    full_at: Boot,
}

impl Bucket {
    /// A full bucket. A rate of 0 means no limit; a burst of 0 is taken as 1, or nothing could ever go.
    pub fn new(tokens_per_second: u32, burst: u32) -> Bucket {
        Bucket {
            nanos_per_token: match tokens_per_second {
                0 => 0,
                rate => 1_000_000_000_u64.div_ceil(u64::from(rate)),
            },
            burst: u64::from(burst.max(1)),
            full_at: Boot::ZERO,
        }
    }

    /// Whether it limits anything.
    pub fn is_limited(&self) -> bool {
        self.nanos_per_token > 0
    }

    /// The share (a fifth, rounded up) that `Share::Common` must leave. A burst of 1 has no room for one.
    fn reserve(&self) -> u64 {
        if self.burst < 2 { 0 } else { self.burst.div_ceil(5) }
    }

    /// The earliest moment, not before `at`, at which `tokens` may be taken.
    pub fn ready_at(&self, at: Boot, tokens: u64, share: Share) -> Boot {
        if !self.is_limited() || tokens == 0 {
            return at;
        }
        let usable = match share {
            Share::Whole => self.burst,
            Share::Common => self.burst - self.reserve(),
        };
        // More than fits waits for as full a bucket as it may use, and takes the rest as debt.
        let ahead = usable.saturating_sub(tokens).saturating_mul(self.nanos_per_token);
        at.max(self.full_at.before(Duration::from_nanos(ahead)))
    }

    /// Takes tokens at a moment `ready_at` allowed.
    pub fn take(&mut self, at: Boot, tokens: u64) {
        let span = tokens.saturating_mul(self.nanos_per_token);
        self.full_at = self.full_at.max(at).after(Duration::from_nanos(span));
    }

    /// Whole tokens in the bucket; 0 while it is in debt. `None` without a limit.
    pub fn tokens(&self, at: Boot) -> Option<u64> {
        let missing = at.until(self.full_at).as_nanos();
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        self.is_limited().then(|| self.burst.saturating_sub(missing.div_ceil(self.nanos_per_token)))
    }
}

/// How much of a bucket a taker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it: cancels.
    Whole,
    /// All but the reserve: creates and reads.
    Common,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Boot {
        Boot::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut bucket = Bucket::new(10, 3);
        for _ in 0..3 {
            assert_eq!(bucket.ready_at(ms(1_000), 1, Share::Whole), ms(1_000));
            bucket.take(ms(1_000), 1);
        }
        assert_eq!(bucket.tokens(ms(1_000)), Some(0));
        assert_eq!(bucket.ready_at(ms(1_000), 1, Share::Whole), ms(1_100));
    }

    #[test]
    fn the_common_share_leaves_a_fifth() {
        let mut bucket = Bucket::new(10, 10);
        for _ in 0..8 {
            assert_eq!(bucket.ready_at(ms(0), 1, Share::Common), ms(0));
            bucket.take(ms(0), 1);
        }
        assert_eq!(bucket.ready_at(ms(0), 1, Share::Common), ms(100));
        assert_eq!(bucket.ready_at(ms(0), 2, Share::Whole), ms(0), "the reserve is there");
    }

    #[test]
    fn more_than_the_burst_waits_for_a_full_bucket_and_leaves_a_debt() {
        let mut bucket = Bucket::new(10, 5);
        bucket.take(ms(0), 1);
        assert_eq!(bucket.ready_at(ms(0), 20, Share::Whole), ms(100));
        bucket.take(ms(100), 20);
        assert_eq!(bucket.tokens(ms(100)), Some(0));
        assert_eq!(bucket.ready_at(ms(100), 1, Share::Whole), ms(100 + 2_000 - 400));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit_and_a_burst_of_zero_still_lets_one_go() {
        let mut free = Bucket::new(0, 0);
        free.take(ms(5), 1_000_000);
        assert_eq!(free.ready_at(ms(5), 1_000_000, Share::Common), ms(5));
        assert_eq!(free.tokens(ms(5)), None);
        assert_eq!(Bucket::new(1, 0).ready_at(ms(5), 1, Share::Common), ms(5));
    }

    proptest! {
        /// Against a plain count: in every span between two takings, at most burst + rate x span was taken.
        #[test]
        fn no_span_sees_more_than_burst_and_rate(
            rate in 1_u32..50, burst in 1_u32..20,
            wishes in proptest::collection::vec((0_u64..400, 1_u64..4, any::<bool>()), 1..60),
        ) {
            let mut bucket = Bucket::new(rate, burst);
            let mut now = Boot::ZERO;
            let mut taken: Vec<(Boot, u64)> = Vec::new();
            for (wait_ms, tokens, patient) in wishes {
                now = now.after(Duration::from_millis(wait_ms));
                let tokens = tokens.min(u64::from(burst));
                let ready = bucket.ready_at(now, tokens, Share::Whole);
                if ready > now && !patient {
                    continue;
                }
                now = ready;
                bucket.take(now, tokens);
                taken.push((now, tokens));
                prop_assert!(bucket.tokens(now).unwrap() <= u64::from(burst));
            }
            for (first, (start, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (end, tokens) in &taken[first..] {
                    sum += tokens;
                    let span_ns = u128::from(end.nanos() - start.nanos());
                    let allowed = u128::from(burst) + span_ns * u128::from(rate) / 1_000_000_000;
                    prop_assert!(u128::from(sum) <= allowed, "{sum} taken, {allowed} allowed");
                }
            }
        }
    }
}
