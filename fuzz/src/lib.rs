//! Fuzz targets of lastorders, as plain functions: bytes in, a panic where something that must hold does not.
//!
//! One module a target, named as the target is; its header says how its bytes are read. `fuzz_targets/` hands them to
//! libFuzzer, and `tests/seeds.rs` runs them over `seeds/` with nothing but cargo.
//!
//! Always holds: a check judges by its own reading of the input, never by asking the code under test again; the same
//! bytes give the same run. Inputs are text wherever they can be, so that a seed or a finding can be read.
//! Never does: open a socket or a file, read a clock.

pub mod accounts;
pub mod book;
pub mod bybit_answers;
pub mod bybit_private;
pub mod bybit_public;
pub mod dialect;
pub mod script;
pub mod store;
pub mod talk;
