//! Ring 1. Stop: the ordered stop and its report. Pure: asks for actions and judges answers; opens no file, no socket.
//!
//! Read in this order: `steps` (what and how long), `stop` (the machine), `ending` (the exit code), `report`.
//!
//! Always holds: `Ending::Clean` exists only with a proof from every venue; each step leaves a line, good or bad.
//! Never does: create an order, or leave early.

pub mod ending;
mod report;
pub mod steps;
pub mod stop;
