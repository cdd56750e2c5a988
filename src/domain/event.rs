//! Everything that can move a machine, on one page. A recording of events and stamps is the whole input.

use super::command::{Command, CommandId};
use super::ids::{Symbol, VenueId};
use super::money::Decimal;
use super::order::{Durable, FillRow, OrderRow};
use super::request::Answer;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A venue answered, or a request ended without an answer.
    Answer(Box<Answer>),
    /// A venue pushed the state of an order of this account.
    Order(VenueId, Box<OrderRow>),
    /// A venue pushed a fill of this account.
    Fill(VenueId, Box<FillRow>),
    /// The best prices of an instrument. Merged when the loop is behind: only the newest matters.
    Quote(Quote),
    /// A stream came up or went down.
    Link(VenueId, Stream, LinkState),
    /// Records survive up to here.
    Durable(Durable),
    /// The disk refused, or works again.
    Disk(DiskNews),
    /// A file that was asked for is written, or is not.
    Saved(Saved, Result<(), String>),
    /// The operator asks.
    Command(CommandId, Command),
    /// A signal after the first (the first one begins the stop).
    Signal(SignalName),
    /// A part of the process ended, as the stop asked.
    Closed(Part, Closing),
}

/// Best prices and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Where.
    pub venue: VenueId,
    /// What.
    pub symbol: Symbol,
    /// Best buyer: price and quantity.
    pub bid: Option<(Decimal, Decimal)>,
    /// Best seller: price and quantity.
    pub ask: Option<(Decimal, Decimal)>,
}

/// Which stream of a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Prices.
    Public,
    /// Our orders and fills.
    Private,
}

/// Whether a stream delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It delivers; what happened before is not replayed.
    Up,
    /// It does not.
    Down(String),
}

/// What the store says about its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskNews {
    /// Writing failed: nothing is recorded until it is mended.
    Failed(String),
    /// A new file took over; recording goes on.
    Recovered,
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saved {
    /// `state.json`.
    State,
    /// `last_shutdown.json`, a draft.
    Draft,
    /// `last_shutdown.json`, complete.
    Report,
}

/// Signals that end us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignalName {
    /// SIGTERM.
    Term,
    /// SIGINT, Ctrl-C.
    Int,
    /// SIGHUP.
    Hup,
}

impl SignalName {
    /// The name.
    pub fn word(self) -> &'static str {
        match self {
            SignalName::Term => "SIGTERM",
            SignalName::Int => "SIGINT",
            SignalName::Hup => "SIGHUP",
        }
    }
}

/// A part of the process that the stop closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Strategies that run outside (child processes).
    Strategies,
    /// Streams and request workers.
    Links,
    /// Control socket, page, alerts.
    Faces,
    /// Threads.
    Tasks,
    /// The recorder.
    Recorder,
}

/// How a part ended.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Closing {
    /// Whether all of it ended in time.
    pub ok: bool,
    /// In words.
    pub note: String,
    /// Threads that were joined.
    pub joined: u32,
    /// Threads that were late, by name.
    pub late: Vec<String>,
}
