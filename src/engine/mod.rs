//! Ring 1. Trade: market, strategies, risk. Pure.
