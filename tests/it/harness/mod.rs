//! Running the daemon as an operator or a supervisor does, and telling it to stop in every way there is.
//!
//! Always holds: no process outlives the value that stands for it; every wait has a deadline and says what it waited
//! for; every drawn number comes from a seed that is printed.

pub(crate) mod chance;
pub(crate) mod daemon;
pub(crate) mod met;
pub(crate) mod wait;

#[cfg(test)]
mod checks;
