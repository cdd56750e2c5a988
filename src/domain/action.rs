//! Everything a machine can ask of the runtime. Values only: nothing here does anything.

use std::time::Duration;

use super::command::{CommandAnswer, CommandId};
use super::event::{Part, Saved, Stream};
use super::ids::VenueId;
use super::order::Lsn;
use super::record::Record;
use super::report::Report;
use super::request::Request;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Append to the journal. Answered by `Event::Durable` once it survives.
    Record(Lsn, Box<Record>),
    /// Write a file from the store's own fold. Answered by `Event::Saved`.
    SaveState,
    /// Write `last_shutdown.json`. Answered by `Event::Saved`.
    SaveReport(Saved, Box<Report>),
    /// Put a request into the outbox. Answered by `Event::Answer`, always.
    Send(Box<Request>),
    /// Shut the gate: queued creates end unsent, nothing that can raise exposure starts any more. One-way.
    ShutGate,
    /// Cut the sockets that still carry creates; their requests end unknown.
    Sever(VenueId),
    /// Send a ping on a stream. A venue's switch that hangs on a connection is kept off by these, so they come from the
    /// loop and stop with it.
    Ping(VenueId, Stream),
    /// Close a part, at the latest after this long. Answered by `Event::Closed`.
    Close(Part, Duration),
    /// A line for the operator's log.
    Say(Level, String),
    /// Answer a command.
    Answer(CommandId, CommandAnswer),
    /// Everything is done: flush the log, release the locks, end with this.
    Finish(Verdict),
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Someone must look.
    Error,
    /// Someone should look.
    Warn,
    /// The course of things.
    Info,
    /// Detail.
    Debug,
}

/// How the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The exit code (design 7).
    pub exit_code: u8,
    /// One line for the terminal.
    pub summary: String,
}
