//! The clock of an exchange that we run ourselves.
//!
//! Always holds: it never goes back, and it shows the wall clock as it was when the exchange opened.
//! Never does: follow a wall clock that is set meanwhile. One that is set back must not make a venue stand still.

use super::clock::Clock;
use crate::domain::time::Boot;
use crate::exchange::Micros;

/// The wall clock when the exchange opened, carried on by the boot clock.
#[derive(Clone, Copy, Debug)]
pub struct ModelClock {
    wall_at_open: Micros,
    boot_at_open: Boot,
}

impl ModelClock {
    /// Begins now.
    pub fn start() -> ModelClock {
        ModelClock { wall_at_open: Micros::from(Clock.wall()), boot_at_open: Clock.boot() }
    }

    /// The venue's time.
    pub fn now(self) -> Micros {
        let elapsed = Clock.boot().since(self.boot_at_open);
        self.wall_at_open.plus(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }
}
