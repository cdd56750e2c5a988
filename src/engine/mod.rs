//! Ring 1. Trade: market, strategies, risk. Pure.

pub mod exposure;
pub mod ladder;
pub mod market;
pub mod market_maker;
pub mod risk;
pub mod strategy;

#[cfg(test)]
mod testing;
