//! The daemon's end.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{convert::Infallible, fs};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::lines::{Deadline, LineError, read_line, readable, write_all};
use super::path::Address;
use super::{COMMAND_BYTES_MAX, LINE_WAIT, protocol};
use crate::domain::command::{Command, CommandAnswer};
use crate::domain::event::Closing;

/// Threads that take connections: so many are served at once, others wait in the kernel's queue.
pub const N_THREADS: usize = 4;

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Others may enter the directory, so they might get at the socket.
    #[error("control socket: {} can be entered by other users (mode {mode:03o}): run `chmod 700` on it", .directory.display())]
    DirectoryOpen {
        /// The directory.
        directory: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Something else lies where the socket belongs.
    #[error("control socket: {} exists and is no socket: look at it and move it away", .socket.display())]
    InTheWay {
        /// The path.
        socket: PathBuf,
    },
    /// The system refused.
    #[error("control socket {}: {what}: {error}", .socket.display())]
    System {
        /// The path.
        socket: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What it said.
        error: io::Error,
    },
}

/// An open control socket. Dropping it removes the socket and ends the threads without waiting for them.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
    /// Device and inode of our socket: another one at the same path is not ours to remove.
    identity: (u64, u64),
    /// Dropped to wake whoever waits on a descriptor.
    wake: Option<UnixStream>,
    /// Dropped to wake whoever waits for an answer.
    closing: Option<Sender<Infallible>>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens the socket. The caller holds the state directory's lock, so a socket that lies there already is a leftover
    /// of a dead process and is replaced.
    ///
    /// `on_command` runs on a thread of ours and must not block: it passes the command on and returns where the answer
    /// will come from. After `answer_wait` the client is told that none came; a sender that is dropped tells it that
    /// none will.
    pub fn open(
        socket: &Path,
        answer_wait: Duration,
        on_command: impl Fn(Command) -> Receiver<CommandAnswer> + Send + Sync + 'static,
    ) -> Result<Server, OpenError> {
        let listener = listen(socket)?;
        let system =
            |what: &'static str| move |error: io::Error| OpenError::System { socket: socket.to_owned(), what, error };
        let identity = identity(socket).map_err(system("cannot be looked at"))?;
        let (wake, woken) = UnixStream::pair().map_err(system("no wake-up pair"))?;
        let (closing, closed) = bounded(0);
        let shared = Arc::new(Shared { listener, woken, closed, answer_wait, on_command });
        let mut server = Server {
            socket: socket.to_owned(),
            identity,
            wake: Some(wake),
            closing: Some(closing),
            threads: Vec::new(),
        };
        for number in 1..=N_THREADS {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new()
                .name(format!("control.{number}"))
                .spawn(move || shared.serve())
                .map_err(system("no thread"))?;
            server.threads.push(thread);
        }
        Ok(server)
    }

    /// Takes no more connections, removes the socket, tells those who wait that we are closing, and joins the threads
    /// that end in time. Whoever is late is named.
    #[allow(clippy::disallowed_methods, reason = "joining with a deadline: std has no timed join")]
    pub fn close(mut self, within: Duration) -> Closing {
        let deadline = Deadline::within(within);
        self.signal_end();
        let mut waiting = std::mem::take(&mut self.threads);
        let mut closing = Closing::default();
        loop {
            let (ended, running): (Vec<_>, Vec<_>) = waiting.into_iter().partition(JoinHandle::is_finished);
            closing.joined += u32::try_from(ended.len()).unwrap_or(u32::MAX);
            for thread in ended {
                // A panic was told by the panic hook; here it only matters that the thread has ended.
                let _ = thread.join();
            }
            waiting = running;
            if waiting.is_empty() || deadline.left().is_zero() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let name = |thread: &JoinHandle<()>| thread.thread().name().unwrap_or("control").to_owned();
        closing.late = waiting.iter().map(name).collect();
        closing.ok = closing.late.is_empty();
        closing.note = match closing.ok {
            true => "control socket closed".to_owned(),
            false => format!("control socket closed, late: {}", closing.late.join(", ")),
        };
        closing
    }

    fn signal_end(&mut self) {
        self.wake.take();
        self.closing.take();
        if identity(&self.socket).is_ok_and(|found| found == self.identity) {
            // What cannot be removed is replaced by the next start.
            let _ = fs::remove_file(&self.socket);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal_end();
    }
}

/// What the threads share.
struct Shared<F> {
    listener: UnixListener,
    /// Ends when we close.
    woken: UnixStream,
    /// Disconnects when we close.
    closed: Receiver<Infallible>,
    answer_wait: Duration,
    on_command: F,
}

impl<F: Fn(Command) -> Receiver<CommandAnswer>> Shared<F> {
    /// Takes one connection after the other until we close.
    #[allow(clippy::disallowed_methods, reason = "out of descriptors there is nothing to wait on")]
    fn serve(&self) {
        loop {
            let [asked, closing] = readable([&self.listener, &self.woken]);
            if closing {
                return;
            }
            if !asked {
                continue;
            }
            match self.listener.accept() {
                // The client may be gone by the time it is answered; that is its affair.
                Ok((stream, _)) => {
                    let _ = self.converse(&stream);
                }
                // Another thread was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Out of descriptors, most likely: no use in asking again at once.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// One line in, one line out.
    fn converse(&self, stream: &UnixStream) -> Result<(), LineError> {
        let line = read_line(stream, COMMAND_BYTES_MAX, Deadline::within(LINE_WAIT), Some(&self.woken));
        let answer = match line {
            Ok(line) => match protocol::command(&line) {
                Ok(command) => self.answer_to(command),
                Err(why) => protocol::refusal(why),
            },
            Err(LineError::Half(0)) => return Ok(()),
            Err(LineError::Broken(error)) => return Err(LineError::Broken(error)),
            Err(error) => protocol::refusal(refused(&error)),
        };
        let line = protocol::line(&answer)
            .or_else(|error| protocol::line(&protocol::refusal(format!("the answer cannot be written: {error}"))))
            .unwrap_or_default();
        write_all(stream, &line, Deadline::within(LINE_WAIT))
    }

    fn answer_to(&self, command: Command) -> CommandAnswer {
        let answers = (self.on_command)(command);
        select! {
            recv(answers) -> answer => answer.unwrap_or_else(|_| {
                protocol::refusal("the daemon takes no commands just now: it is busy or about to end".to_owned())
            }),
            // Closing must not swallow an answer that is there.
            recv(self.closed) -> _ => answers.try_recv().unwrap_or_else(|_| {
                protocol::refusal("the daemon ended before it answered; its report tells what it did".to_owned())
            }),
            default(self.answer_wait) => protocol::refusal(format!(
                "no answer within {} s; the command was taken and may still be carried out",
                self.answer_wait.as_secs()
            )),
        }
    }
}

fn refused(error: &LineError) -> String {
    let why = match error {
        LineError::Late => format!("the line did not come within {} s", LINE_WAIT.as_secs()),
        LineError::TooLong => format!("a line has at most {COMMAND_BYTES_MAX} bytes"),
        LineError::Half(bytes) => format!("the line broke off after {bytes} bytes"),
        LineError::Closing => "the daemon is closing".to_owned(),
        LineError::Broken(error) => error.to_string(),
    };
    format!("nothing was done: {why}")
}

/// Binds under another name and moves the finished socket into place, so that at its own path it is never anything but
/// private and listening.
fn listen(socket: &Path) -> Result<UnixListener, OpenError> {
    let system =
        |what: &'static str| move |error: io::Error| OpenError::System { socket: socket.to_owned(), what, error };
    let directory = match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mode = fs::metadata(directory).map_err(system("its directory"))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OpenError::DirectoryOpen { directory: directory.to_owned(), mode });
    }
    let newborn = socket.with_extension("sock.new");
    for path in [socket, &newborn] {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(OpenError::InTheWay { socket: path.to_owned() });
            }
            Ok(_) | Err(_) => {}
        }
    }
    match fs::remove_file(&newborn) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(system("a leftover stays")(error)),
        Ok(()) | Err(_) => {}
    }
    let address = Address::of(&newborn).map_err(system("cannot be bound"))?;
    let listener = UnixListener::bind(address.path()).map_err(system("cannot be bound"))?;
    fs::set_permissions(&newborn, fs::Permissions::from_mode(0o600)).map_err(system("cannot be made private"))?;
    listener.set_nonblocking(true).map_err(system("cannot be made non-blocking"))?;
    fs::rename(&newborn, socket).map_err(system("cannot be moved into place"))?;
    Ok(listener)
}

fn identity(socket: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(socket)?;
    Ok((found.dev(), found.ino()))
}
