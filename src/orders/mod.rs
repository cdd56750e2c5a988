//! Ring 1. The order machine, and the desk that all three machines share. Pure.
//!
//! Read in this order: `moves` (the table), `machine` (the orders), `desk` with its doors (`answers`, `intake`,
//! `externals`, `contracts`, `lists`, `cancels`, `doubts`, `restore`, `keepalive`), then `sweep` and `proof`, which show that nothing of ours is left;
//! `troubles` for what is told while that does not come about.
//!
//! Always holds: an order moves only as the table allows; a fill is booked once; `UNKNOWN` ends by evidence alone.
//! Never does: I/O, clocks, chance.

pub mod machine;
pub mod moves;

pub mod desk;

mod answers;
mod cancels;
pub mod contracts;
mod doubts;
mod externals;
mod intake;
mod keepalive;
pub mod lists;
mod restore;

pub mod proof;
pub mod status;
pub mod sweep;
pub mod troubles;

#[cfg(test)]
mod tests;
