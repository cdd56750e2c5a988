//! Ring 2. The control socket: how the same user asks a running daemon. Server and client.
//!
//! One connection carries one line with a `Command` as JSON and one line back with a `CommandAnswer`.
//!
//! Always holds: only the same user can connect (socket 0600 in a directory of 0700, or it is not opened); a line that
//! is not exactly a command has no effect and gets a refusal in words; every wait has a deadline; the number of threads
//! is fixed, so no number of clients can make it grow.
//! Never does: act on a command itself, or outlive `close` by more than its deadline.

pub mod client;
mod lines;
mod path;
mod protocol;
pub mod server;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use client::{AskError, ask};
pub use server::{OpenError, Server};

/// Name of the socket in the state directory.
pub const SOCKET_NAME: &str = "control.sock";
/// Longest line a client may send.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Longest answer a client takes.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a client may take to send its line, and to take its answer.
const LINE_WAIT: Duration = Duration::from_secs(2);
