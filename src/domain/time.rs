//! Time as values. Nobody in rings 0 and 1 reads a clock: the loop hands a `Stamp` in.
//!
//! Always holds: deadlines are `Boot` (counts suspend, never jumps back); `Wall` is for people, files and signatures.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point on the boot clock, in nanoseconds since the machine started. Counts suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Boot(u64);

impl Boot {
    /// The start of the clock.
    pub const ZERO: Boot = Boot(0);
    /// A point that never comes.
    pub const NEVER: Boot = Boot(u64::MAX);

    /// From nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Boot {
        Boot(nanos)
    }

    /// In nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This point moved later.
    pub fn after(self, wait: Duration) -> Boot {
        Boot(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This point moved earlier, not before the start of the clock.
    pub fn before(self, wait: Duration) -> Boot {
        Boot(self.0.saturating_sub(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; nothing when it lies ahead.
    pub fn since(self, earlier: Boot) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long until `later`; nothing when it has passed.
    pub fn until(self, later: Boot) -> Duration {
        later.since(self)
    }
}

/// A point on the wall clock: milliseconds since 1970 in UTC. Printed and stored as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(i64);

impl Wall {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Wall {
        Wall(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This point moved later (or earlier, for a negative number).
    pub fn plus_millis(self, millis: i64) -> Wall {
        Wall(self.0.saturating_add(millis))
    }

    /// The number of the UTC day since 1970.
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(out, "{stamp:.3}"),
            Err(_) => write!(out, "{}ms", self.0),
        }
    }
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wall, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let stamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Wall(stamp.as_millisecond()))
    }
}

/// The one moment a cycle happens at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// For deadlines.
    pub boot: Boot,
    /// For people, files and signatures.
    pub wall: Wall,
    /// How far `wall` may be off.
    pub wall_error: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_survives_a_file() {
        let wall = Wall::from_millis(1_795_169_472_123);
        let text = serde_json::to_string(&wall).unwrap();
        assert_eq!(text, "\"2026-11-20T10:11:12.123Z\"");
        assert_eq!(serde_json::from_str::<Wall>(&text).unwrap(), wall);
    }

    #[test]
    fn boot_time_never_wraps() {
        assert_eq!(Boot::ZERO.before(Duration::from_secs(1)), Boot::ZERO);
        assert_eq!(Boot::NEVER.after(Duration::from_secs(1)), Boot::NEVER);
        assert_eq!(Boot::from_nanos(5).since(Boot::from_nanos(9)), Duration::ZERO);
    }
}
