//! Ring 3. The loop, channels, threads, clock, signals, workers.
//!
//! Read in this order: `trader` (the process and its loop), `machine` (what the loop runs), `hands` (carrying actions
//! out), then the threads: `channels`, `workers` with `gate`, `paper`, `signals`, `logging`.
//!
//! Always holds: this is the only ring that spawns threads, reads clocks and knows both sides of a seam.
//! Never does: decide anything about an order. It carries out and reports back.

pub mod trader;

pub mod hands;
pub mod machine;

pub mod channels;
pub mod exchange_server;
pub mod gate;
pub mod live;
pub mod paper;
pub mod venues_up;
pub mod workers;

pub mod clock;
pub mod logging;
pub mod model_clock;
pub mod signals;
pub mod terminal;
pub mod unstarted;
