//! A rate limit as a bucket of tokens that refills evenly.
//!
//! Always holds: never more tokens than a second's worth; whole arithmetic, so nothing drifts.

use super::asks::Micros;

const ONE_TOKEN: u64 = 1_000_000;

/// What the venue says about a limit beside an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitInfo {
    /// Requests a second.
    pub limit: u32,
    /// Left at this moment.
    pub remaining: u32,
}

/// Tokens for one kind of request of one account.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    per_second: u32,
    millionths: u64,
    filled_at: Micros,
}

impl Bucket {
    /// A full bucket; 0 a second means no limit.
    pub(super) fn new(per_second: u32) -> Bucket {
        Bucket { per_second, millionths: u64::from(per_second) * ONE_TOKEN, filled_at: Micros::default() }
    }

    fn refill(&mut self, now: Micros) {
        let elapsed_us = u64::try_from(now.micros() - self.filled_at.micros()).unwrap_or(0);
        // Tokens a second are millionths of a token a microsecond.
        let gained = elapsed_us.saturating_mul(u64::from(self.per_second));
        self.millionths = self.millionths.saturating_add(gained).min(u64::from(self.per_second) * ONE_TOKEN);
        self.filled_at = self.filled_at.max(now);
    }

    /// Takes a token, or says in how many milliseconds there will be one.
    pub(super) fn take(&mut self, now: Micros) -> Result<(), u32> {
        if self.per_second == 0 {
            return Ok(());
        }
        self.refill(now);
        if self.millionths >= ONE_TOKEN {
            self.millionths -= ONE_TOKEN;
            return Ok(());
        }
        let wait_us = (ONE_TOKEN - self.millionths).div_ceil(u64::from(self.per_second));
        Err(u32::try_from(wait_us.div_ceil(1_000)).unwrap_or(u32::MAX))
    }

    /// What to say about it; nothing where there is no limit.
    pub(super) fn info(&mut self, now: Micros) -> Option<LimitInfo> {
        if self.per_second == 0 {
            return None;
        }
        self.refill(now);
        Some(LimitInfo {
            limit: self.per_second,
            remaining: u32::try_from(self.millionths / ONE_TOKEN).unwrap_or(u32::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_refills_exactly_what_a_second_allows() {
        let mut bucket = Bucket::new(4);
        let at = |ms: i64| Micros::from_millis(1_000_000 + ms);
        let taken = |bucket: &mut Bucket, ms| (0..10).filter(|_| bucket.take(at(ms)).is_ok()).count();
        assert_eq!(taken(&mut bucket, 0), 4);
        assert_eq!(bucket.take(at(0)), Err(250));
        assert_eq!(taken(&mut bucket, 250), 1);
        assert_eq!(taken(&mut bucket, 749), 1);
        assert_eq!(taken(&mut bucket, 750), 1);
        assert_eq!(taken(&mut bucket, 99_000), 4, "a long rest saves up no more");
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_away() {
        let mut bucket = Bucket::new(1);
        assert!(bucket.take(Micros::from_millis(5_000)).is_ok());
        assert!(bucket.take(Micros::from_millis(1_000)).is_err());
        assert!(bucket.take(Micros::from_millis(5_500)).is_err());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut bucket = Bucket::new(0);
        assert!((0..100).all(|_| bucket.take(Micros::default()).is_ok()));
        assert_eq!(bucket.info(Micros::default()), None);
    }
}
