//! What time it is at a venue: our wall clock and how far it is off.
//!
//! Always holds: the estimate with the smallest error wins until it is a minute old; one that an answer excludes gives way
//! at once. A venue that calls our clock wrong tells its own like any other answer: where that agrees with a better
//! estimate, the request was late and the clock was right, unless the venue says so twice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::{Boot, Wall};
use crate::runtime::clock::Clock;

/// An estimate older than this gives way to any newer one: clocks drift.
const ESTIMATE_AGE_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    /// The venue's clock less ours, in milliseconds.
    offset_ms: i64,
    /// Half the round trip it came with.
    error: Duration,
    at: Boot,
}

/// The clock of one venue, shared by its workers and streams.
#[derive(Clone, Debug, Default)]
pub struct VenueClock(Arc<Mutex<Option<Estimate>>>);

impl VenueClock {
    /// The venue's time now, as well as we know it. Without an estimate it is ours.
    pub fn now(&self) -> Wall {
        Clock.wall().plus_millis(self.offset_ms())
    }

    /// How far the venue's clock is ahead of ours.
    pub fn offset_ms(&self) -> i64 {
        self.estimate().map_or(0, |estimate| estimate.offset_ms)
    }

    /// A request left at `sent`, its answer came at `back` (our wall clock then: `wall`) and says what time it is there.
    pub fn heard(&self, server: Wall, sent: Boot, back: Boot, wall: Wall) {
        let round_trip = back.since(sent);
        let middle = wall.plus_millis(-(i64::try_from(round_trip.as_millis()).unwrap_or(i64::MAX) / 2));
        let heard =
            Estimate { offset_ms: server.millis().saturating_sub(middle.millis()), error: round_trip / 2, at: back };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_better = known.is_none_or(|known| {
            let apart_ms = known.offset_ms.abs_diff(heard.offset_ms);
            let errors_ms = (known.error + heard.error).as_millis();
            // Two estimates that exclude each other mean that a clock was set: the newer one counts.
            heard.error <= known.error
                || back.since(known.at) > ESTIMATE_AGE_MAX
                || u128::from(apart_ms) > errors_ms + 20
        });
        if is_better {
            *known = Some(heard);
        }
    }

    /// The venue called our clock wrong again, by the estimate that we have: it is of no use, whatever it seems worth.
    pub fn corrected(&self, server: Wall, sent: Boot, back: Boot, wall: Wall) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.heard(server, sent, back, wall);
    }

    fn estimate(&self) -> Option<Estimate> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Boot {
        Boot::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_answer_with_the_shorter_way_tells_the_time() {
        let clock = VenueClock::default();
        let wall = Wall::from_millis(1_000_000);
        // 400 ms there and back: the venue answered 200 ms before `wall`.
        clock.heard(Wall::from_millis(1_000_300), ms(0), ms(400), wall);
        assert_eq!(clock.offset_ms(), 500);
        clock.heard(Wall::from_millis(1_000_495), ms(500), ms(510), wall);
        assert_eq!(clock.offset_ms(), 500, "the shorter way agrees to a few milliseconds");
        clock.heard(Wall::from_millis(1_000_100), ms(600), ms(1_600), wall);
        assert_eq!(clock.offset_ms(), 500, "a slow answer does not spoil a good estimate");
    }

    #[test]
    fn a_refusal_that_was_late_does_not_spoil_the_clock() {
        let clock = VenueClock::default();
        let wall = Wall::from_millis(1_000_000);
        clock.heard(wall, ms(0), ms(2), wall);
        // Three seconds to connect, then at once: the middle of that would be 1.5 s off.
        clock.heard(wall.plus_millis(3_000), ms(10), ms(3_010), wall.plus_millis(3_000));
        assert_eq!(clock.offset_ms(), 1);
        clock.corrected(wall.plus_millis(3_000), ms(10), ms(3_010), wall.plus_millis(3_000));
        assert_eq!(clock.offset_ms(), 1_500, "said twice, it is believed");
    }

    #[test]
    fn an_old_estimate_and_a_refuted_one_give_way() {
        let clock = VenueClock::default();
        let wall = Wall::from_millis(1_000_000);
        clock.heard(wall, ms(0), ms(2), wall);
        clock.heard(wall.plus_millis(9_000), ms(10), ms(60), wall);
        assert_eq!(clock.offset_ms(), 9_025, "a clock was set");
        clock.heard(wall.plus_millis(70), ms(70), ms(170), wall);
        assert_eq!(clock.offset_ms(), 120);
        clock.heard(wall.plus_millis(60), ms(90_000), ms(90_300), wall);
        assert_eq!(clock.offset_ms(), 210, "after a minute a worse one is better than an old one");
    }
}
