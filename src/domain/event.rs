//! Everything that can move a machine, on one page. A recording of events and stamps is the whole input.

use super::command::{Command, CommandId};
use super::ids::{Symbol, VenueId};
use super::money::Decimal;
use super::order::{Durable, FillRow, OrderRow, Side};
use super::request::Answer;
use super::time::Wall;

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
    /// More of the market than the best prices. Merged like quotes.
    Market(Box<MarketNews>),
    /// A venue's answer told how fast it lets us go, and it is not what we took for granted.
    Limits(VenueId, LimitNews),
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

/// What a market data stream tells beside the best prices. `None`: nothing new of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketNews {
    /// Where.
    pub venue: VenueId,
    /// What.
    pub symbol: Symbol,
    /// The best levels of the book.
    pub depth: Option<Depth>,
    /// The last trade of anyone.
    pub last: Option<Print>,
    /// Mark price and funding, for contracts.
    pub ticker: Option<Ticker>,
}

/// The best levels of a book, best first: price and quantity.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Depth {
    /// Buyers.
    pub bids: Vec<(Decimal, Decimal)>,
    /// Sellers.
    pub asks: Vec<(Decimal, Decimal)>,
}

/// A trade of anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print {
    /// At.
    pub price: Decimal,
    /// How much.
    pub qty: Decimal,
    /// Which side took.
    pub taker: Side,
    /// When, by the venue.
    pub at: Wall,
}

/// What a contract is worth by the venue's own measure.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ticker {
    /// The mark price.
    pub mark: Option<Decimal>,
    /// The next funding, as a part of the position's worth.
    pub funding_rate: Option<Decimal>,
    /// When it is due.
    pub next_funding: Option<Wall>,
}

/// How fast a venue lets us go, learnt from its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitNews {
    /// Which of the venue's buckets, by its place in `Billing::buckets`.
    pub bucket: usize,
    /// How many in the bucket's span.
    pub limit: u32,
    /// How many are left now, as the venue counts.
    pub left: u32,
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
