//! Everything that is tested from outside: the binary as a process, and the files it leaves.
//!
//! `harness` starts and signals the process; `oracle` judges what it left, from the exchange's ledger and the files
//! alone: no line of it uses the crate.

#[allow(dead_code, reason = "its checks use only a part of it")]
mod harness;
#[allow(dead_code, reason = "its checks use only a part of it")]
mod oracle;
