//! One integration binary: behaviour across rings, as sentences.

mod agreement;
mod bomb;
mod harness;
mod oracle;
mod process;
mod stop;
mod storm;
mod worlds;
