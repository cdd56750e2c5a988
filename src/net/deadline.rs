//! When to give up on a socket, by the clock that counts suspend.
//!
//! Always holds: no wait is longer than [`SLICE`] before the deadline is read anew, so a machine that slept does not wait
//! out what was left when it fell asleep.
//! Never does: decide anything about an order. That clock is the runtime's.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The longest single wait.
pub const SLICE: Duration = Duration::from_millis(250);

/// A moment to give up at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// Since boot.
    at: Duration,
}

impl Deadline {
    /// So long from now.
    pub fn after(wait: Duration) -> Deadline {
        Deadline { at: since_boot().saturating_add(wait) }
    }

    /// What is left; nothing once it is over.
    pub fn left(self) -> Option<Duration> {
        self.at.checked_sub(since_boot()).filter(|left| !left.is_zero())
    }

    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        self.left().is_none()
    }

    /// How long to wait before looking again; nothing once it is over.
    pub fn slice(self) -> Option<Duration> {
        // A socket's time-out of less than a microsecond would mean "for ever".
        self.left().map(|left| left.clamp(Duration::from_micros(1), SLICE))
    }
}

/// The boot clock.
pub(super) fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // The boot clock starts at 0 and its nanoseconds lie below a second, so neither is ever negative.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_over_when_nothing_is_left_and_waits_come_in_slices() {
        let over = Deadline::after(Duration::ZERO);
        assert!(over.is_over() && over.left().is_none() && over.slice().is_none());
        let far = Deadline::after(Duration::from_secs(3_600));
        assert!(!far.is_over());
        assert_eq!(far.slice(), Some(SLICE));
        assert!(over < far);
        assert!(!Deadline::after(Duration::MAX).is_over());
    }
}
