//! lastorders: a trading daemon that never leaves an order behind.
//!
//! The rings, lowest first. *Look down, never sideways; values go up, actions come down.* `tests/tidy.rs` holds the
//! table of who may use whom.
//!
//! | ring | module | what |
//! |---|---|---|
//! | 0 | [`domain`] | values: ids, money, time, orders, events, actions, records, settings |
//! | 1 | [`orders`] | the order machine, and the desk all three machines share |
//! | 1 | [`engine`] | `Trade`: market, strategies, risk |
//! | 1 | [`startup`] | `Start`: load, reconcile, resolve, sweep or adopt |
//! | 1 | [`shutdown`] | `Stop`: the ordered stop, its report |
//! | 1 | [`outbox`] | requests waiting: priority, rate budget, reserve for cancels |
//! | 1 | [`exchange`] | a model of a venue: book, matching, accounts, faults |
//! | 1 | [`venues`] | codecs: a venue's bytes out, its answers and frames in |
//! | 2 | [`net`] | HTTP and WebSocket clients, a small server for both |
//! | 2 | [`store`] | the state directory: locks, journal, snapshots, the store thread |
//! | 2 | [`control`] | the control socket, both ends |
//! | 3 | [`runtime`] | the loop, channels, threads, clock, signals, workers |
//! | 4 | [`cli`] | arguments, configuration, one file per command |
//! | beside | [`sim`] | the same machines in virtual time: tests, simulation, backtest |
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod domain;

pub mod engine;
pub mod exchange;
pub mod orders;
pub mod outbox;
pub mod shutdown;
pub mod startup;
pub mod venues;

pub mod control;
pub mod net;
pub mod store;

pub mod runtime;

pub mod cli;

pub mod sim;
