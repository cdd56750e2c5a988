//! Ring 1. A model of a venue: order books and matching, accounts and money, limits, delays, faults, and an invented
//! market. It serves PAPER in process, and is made to serve a network server, a simulator and backtests as well.
//!
//! Requests go in with [`Exchange::submit`], time goes on with [`Exchange::advance`], and everything that leaves comes
//! out of it as [`Emit`]s, to be carried out in that order: ledger lines are written before what follows is delivered.
//! [`Exchange::next_due`] says until when nothing will happen by itself. `ledger` documents the ledger's lines.
//!
//! Always holds: the same setup, requests, plans and times give the same emissions, byte for byte. Money, coins and
//! contracts sum to what they were, to the last digit ([`Exchange::totals`]). Whatever the venue did stands in the
//! ledger before anyone hears of it, injected faults included, and [`Exchange::restore`] brings all of it back.
//! Never does: reads a clock, draws from anything but its seed, shares a request or answer type with a trader.
//!
//! Absent on purpose: stop orders; the crowd does not react to what accounts do. Funding and liquidation happen only
//! where somebody outside orders them.

mod answers;
mod asks;
mod book;
mod chance;
mod checkpoint;
mod crowd;
pub mod dialects;
mod external;
mod faults;
mod fed;
pub mod ledger;
mod limits;
mod listing;
mod looking;
mod market;
mod money;
mod requests;
mod restore;
mod setup;
mod trading;
mod venue;

pub use answers::{
    BalanceView, BatchItem, Body, Cause, Emit, ErrorCode, FillView, Names, OrderView, PositionView, Push, Quote,
    Reason, Reply, Status,
};
pub use asks::{
    AccountId, Amendment, Ask, AskKind, FillPage, Micros, NewOrder, OrderMarks, OrderPage, OrderRef, Placement, Ticket,
};
pub use faults::{Fault, FaultRates, ImpossiblePlan, On, Place, Plan, Times};
pub use ledger::BadLedger;
pub use limits::LimitInfo;
pub use restore::Restored;
pub use setup::{Listing, PostOnlyCross, Setup};
pub use venue::Exchange;

#[cfg(test)]
mod tests;
