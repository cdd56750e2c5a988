//! One integration binary: behaviour across rings, as sentences.

mod agreement;
mod harness;
mod oracle;
mod process;
mod review;
mod stop;
