//! Ring 1. Trade: market, strategies, risk. Pure.
//!
//! Read in this order: `trade` (the machine), `strategy` (what it drives), `risk` with `exposure` (what it asks), then
//! `holds`, `stale` and `reconcile` (what stops it from creating).
//!
//! Always holds: an order exists only because a strategy wished for it and the gate let it through.
//! Never does: I/O, clocks, chance.

pub mod trade;

pub mod strategy;

pub mod ladder;
pub mod market_maker;

pub mod exposure;
pub mod market;
pub mod risk;

pub mod holds;
pub mod reconcile;
mod stale;

#[cfg(test)]
mod testing;
