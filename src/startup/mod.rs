//! Ring 1. Start: what must be true before the first order. Pure.
//!
//! Always holds: no order is created here; trading begins on complete, settled books or not at all.
//! Never does: I/O, clocks, chance.

pub mod start;
