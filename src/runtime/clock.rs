//! The only place that reads a clock.
//!
//! Always holds: `boot` counts suspend and never jumps back, so every deadline is measured on it; `wall` is for people,
//! files and signatures and may jump.
//! Never does: correct the wall clock by a venue's offset. That happens where a request is signed.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::domain::time::{Boot, Stamp, Wall};

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The moment, for a cycle. The wall clock's error is not known here, so it is given as none.
    pub fn stamp(self) -> Stamp {
        Stamp { boot: self.boot(), wall: self.wall(), wall_error: Duration::ZERO }
    }

    /// The boot clock.
    pub fn boot(self) -> Boot {
        let time = clock_gettime(ClockId::Boottime);
        // The boot clock starts at 0 and its nanoseconds lie below a second, so neither is ever negative.
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Boot::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// The wall clock.
    pub fn wall(self) -> Wall {
        wall_of(clock_gettime(ClockId::Realtime))
    }
}

fn wall_of(time: Timespec) -> Wall {
    let millis = time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000);
    Wall::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back() {
        let clock = Clock;
        let mut last = clock.boot();
        assert!(last > Boot::ZERO);
        for _ in 0..1_000 {
            let now = clock.boot();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn the_wall_clock_shows_the_day_the_system_shows() {
        let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let ours = Clock.stamp().wall;
        assert!((ours.day() - (system.as_secs() / 86_400) as i64).abs() <= 1);
    }

    #[test]
    fn a_time_before_1970_is_still_a_time() {
        let time = Timespec { tv_sec: -1, tv_nsec: 250_000_000 };
        assert_eq!(wall_of(time), Wall::from_millis(-750));
    }
}
