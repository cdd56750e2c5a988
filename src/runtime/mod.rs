//! Ring 3. The loop, channels, threads, clock, signals, workers.

pub mod clock;
pub mod logging;
pub mod signals;
pub mod terminal;
