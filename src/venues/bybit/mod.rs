//! Bybit v5, unified accounts: spot and linear contracts.

pub mod rows;
pub mod streams;
pub mod symbols;
