//! LIVE end to end: the real binary trades on Bybit's dialect of the local exchange, over real sockets, with Bybit's
//! billing on; it is stopped by real signals and judged from the exchange's ledger.
//!
//! `trader` starts both and judges; `stops`, `faults` and `restarts` are the sets; `planted` shows the judge what it must
//! find.
//!
//! ```sh
//! cargo test --test it live:: -- --nocapture             # what every change must pass, with seed and histogram
//! LASTORDERS_TEST_SEED=7 cargo test --test it live::     # a set again, by its seed
//! LASTORDERS_TEST_LIVE_FAULT='banned' cargo test --test it live::faults   # one fault, or a pair: `banned + every push lost`
//! LASTORDERS_TEST_KEEP=1 cargo test --test it live::     # leaves the files of every stop where they are
//! LASTORDERS_TEST_LIVE=full cargo test --test it live::stops   # 300 open orders as well
//! LASTORDERS_TEST_LIVE_PAIRS=all LASTORDERS_TEST_LIVE_REPEAT=20 cargo test --test it live::faults -- --nocapture
//!                                                        # every pair of faults, twenty times: hours
//! ```
//!
//! Always holds: what is asserted comes from the ledger and from the files of the daemon, read without the crate; no
//! test asserts a time.

#![allow(clippy::print_stdout, reason = "seed and histogram are read with --nocapture, and shown when a test fails")]

mod faults;
mod judge;
#[cfg(test)]
mod planted;
mod restarts;
mod stops;
mod table;
mod trader;

/// A switch of these tests.
fn switch(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "a test's own switch")]
    std::env::var(name).ok()
}
