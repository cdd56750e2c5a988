//! Ring 0: values. What everything else talks about; depends on nothing else in the crate.
//!
//! Always holds: values are checked when they are made and carry their venue.
//! Never does: I/O, clocks, chance, threads, logging.

pub mod action;
pub mod command;
pub mod event;
pub mod ids;
pub mod instrument;
pub mod money;
pub mod order;
pub mod position;
pub mod rates;
pub mod record;
pub mod report;
pub mod request;
pub mod secret;
pub mod settings;
pub mod snapshot;
pub mod stop;
pub mod time;
