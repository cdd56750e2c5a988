//! The local exchange as a process: the real binary's `lastorders exchange`, spoken to over real sockets, judged by its
//! ledger.
//!
//! `exchange` starts one, `client` speaks to it, `ledger` reads what happened there. Other tests start theirs the same
//! way.
//!
//! Always holds: client and judge use nothing of the crate, so that one misreading cannot cancel another; no exchange
//! outlives the value that stands for it; every wait has a deadline.

pub(crate) mod client;
pub(crate) mod exchange;
pub(crate) mod ledger;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod server;
