//! Asks a running trader over its control socket: one line of JSON there, one line back.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::command::{Command, CommandAnswer};

/// An answer longer than this is no answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// Nobody listens there.
    NotRunning {
        /// Where.
        socket: PathBuf,
    },
    /// Somebody listens, but did not answer in time.
    Silent,
    /// Something else, in words.
    Broken(String),
}

/// Asks the trader behind `socket` and waits for its answer for at most `timeout`.
pub fn ask(socket: &Path, command: &Command, timeout: Duration) -> Result<CommandAnswer, AskError> {
    let broken = |what: &str, why: &dyn std::fmt::Display| AskError::Broken(format!("{what}: {why}"));
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NotRunning {
            socket: socket.to_owned(),
        },
        _ => broken("the control socket cannot be opened", &error),
    })?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Silent,
        _ => broken("the control socket failed", &error),
    };
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    let mut line = serde_json::to_string(command).map_err(|error| broken("the command cannot be written", &error))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX))
        .read_line(&mut answer)
        .map_err(failed)?;
    if answer.is_empty() {
        return Err(AskError::Broken(
            "the trader closed the connection without an answer".to_owned(),
        ));
    }
    serde_json::from_str(&answer).map_err(|error| broken("the answer cannot be read", &error))
}
