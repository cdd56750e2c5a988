//! Beside the rings: a world in virtual time around the real machines. For tests now, for `simulate` and `backtest` later.
//!
//! Always holds: deterministic; uses the real machines, outbox, store, codec words and exchange model.
//! Never does: decide anything a daemon decides.

pub mod disk;
pub mod settings;
pub mod world;
