//! The operator's end.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::lines::{Deadline, LineError, read_line, write_all};
use super::path::Address;
use super::{ANSWER_BYTES_MAX, protocol};
use crate::domain::command::{Command, CommandAnswer};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no daemon is running here: nobody listens at {}. Start one with `lastorders run`, or say which one you mean \
         with LASTORDERS_STATE_DIR or MODE",
        .socket.display()
    )]
    NotRunning {
        /// Where one would.
        socket: PathBuf,
    },
    /// Somebody listens and says nothing.
    #[error(
        "the daemon at {} did not answer within {} s: it may be busy, stopped or stuck. The command may still be \
         carried out; `lastorders status` and the log tell",
        .socket.display(), .waited.as_secs()
    )]
    Silent {
        /// Where.
        socket: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// Anything else, in words.
    #[error("the daemon could not be asked: {0}")]
    Broken(String),
}

/// Asks a daemon and waits for its answer, at most so long in all.
pub fn ask(socket: &Path, command: &Command, timeout: Duration) -> Result<CommandAnswer, AskError> {
    let deadline = Deadline::within(timeout);
    let silent = || AskError::Silent { socket: socket.to_owned(), waited: timeout };
    let stream = connect(socket, deadline)?.ok_or_else(silent)?;
    let line = protocol::line(command).map_err(|error| AskError::Broken(error.to_string()))?;
    let failed = |error: LineError| match error {
        LineError::Late | LineError::Closing => silent(),
        LineError::TooLong => AskError::Broken(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")),
        LineError::Half(bytes) => AskError::Broken(format!("its answer broke off after {bytes} bytes: it has ended")),
        LineError::Broken(error) => AskError::Broken(error.to_string()),
    };
    write_all(&stream, &line, deadline).map_err(failed)?;
    let answer = read_line(&stream, ANSWER_BYTES_MAX, deadline, None).map_err(failed)?;
    serde_json::from_slice(&answer)
        .map_err(|error| AskError::Broken(format!("its answer is not understood, are both the same version? {error}")))
}

/// Connects; `None` when the time is up. A daemon that is stopped (SIGSTOP) with a full queue blocks a connect for ever,
/// and the standard library has no timeout for it: so a thread tries, and is left behind if need be.
fn connect(socket: &Path, deadline: Deadline) -> Result<Option<UnixStream>, AskError> {
    let (tell, told) = bounded(1);
    let path = socket.to_owned();
    thread::Builder::new()
        .name("control.connect".to_owned())
        .spawn(move || {
            let stream = Address::of(&path).and_then(|address| UnixStream::connect(address.path()));
            // Nobody listens any more once the time is up.
            let _ = tell.send(stream);
        })
        .map_err(|error| AskError::Broken(error.to_string()))?;
    match told.recv_timeout(deadline.left()) {
        Ok(Ok(stream)) => Ok(Some(stream)),
        Ok(Err(error)) => Err(refusal(socket, &error)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(AskError::Broken("the connecting thread ended".to_owned())),
    }
}

fn refusal(socket: &Path, error: &io::Error) -> AskError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning { socket: socket.to_owned() }
        }
        io::ErrorKind::PermissionDenied => {
            AskError::Broken(format!("{}: {error}. Only the user who runs the daemon can ask it", socket.display()))
        }
        _ => AskError::Broken(format!("{}: {error}", socket.display())),
    }
}
