//! Ring 1. Codecs: what we want said in a venue's bytes, and a venue's bytes as what they prove. A venue is one folder.
//!
//! A venue gives a [`Codec`] for requests and a [`StreamCodec`] for each socket it wants open. Both are pure: the wall
//! time, numbers that only rise and chance come in with [`Signing`]; bytes go out as [`HttpRequest`] and text frames.
//! What differs between venues stays behind these two: several HTTP requests for one call (`Reading::More`), a token
//! that must be fetched before a stream may open (`StreamCodec::before_open`), nonces that must leave in order
//! (`Codec::is_ordered`), ids of the venue's form.
//!
//! Always holds: an answer is `Done` or `Refused` only where the venue's words prove it, by the venue's tables; what is
//! not understood is `Unknown` for anything that changes orders. No text of a venue can panic a codec.
//! Never does: I/O, clocks, chance; decide what to do about an answer.

pub mod book;
pub mod bybit;
pub mod json;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::{LimitNews, MarketNews, Quote, Stream};
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::instrument::VenueTraits;
use crate::domain::order::{FillRow, OrderRow};
use crate::domain::request::{Answered, Call, Facts};
use crate::domain::secret::ApiKey;
use crate::domain::settings::{VenueKind, VenueSettings};
use crate::domain::time::{Boot, Wall};
use wire::{HttpOutcome, HttpRequest};

/// What a codec is made from.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// Its place in the catalogue.
    pub venue: VenueId,
    /// The operator's settings: symbols, environment, addresses.
    pub settings: &'a VenueSettings,
    /// The account's key; none where only public data is read.
    pub key: Option<ApiKey>,
    /// Symbols that are not configured and must be watched all the same: orders were left there.
    pub also: &'a [Symbol],
}

/// A venue account as the runtime works with it.
pub struct Account {
    /// What the venue promises and how it bills. Settle times are the venue's, lowered for loopback addresses only.
    pub traits: VenueTraits,
    /// Scheme, host and port of every request.
    pub rest_url: String,
    /// Requests and answers.
    pub codec: Arc<dyn Codec>,
    /// Sockets: which stream it belongs to, a short name for its thread (`public`, `public-linear`, `private`), its
    /// codec. Without a key there is no private one.
    pub streams: Vec<(Stream, String, Box<dyn StreamCodec>)>,
}

/// Makes the account of a venue from the operator's settings. Errors name everything that is wrong, each with its mend.
pub fn open(opening: &Opening<'_>) -> Result<Account, Vec<String>> {
    let name = &opening.settings.name;
    match opening.settings.kind {
        VenueKind::Bybit => bybit::open(opening),
        VenueKind::Sim => {
            Err(vec![format!("venue `{name}`: the built-in market runs inside this process and has no account")])
        }
        kind @ (VenueKind::Coinbase | VenueKind::Binance | VenueKind::BinanceUs | VenueKind::Kraken) => {
            let word = kind.word();
            Err(vec![format!(
                "venue `{name}`: {word} is not built yet in this version. Use bybit, or sim for the built-in market"
            )])
        }
    }
}

/// What a signature needs and no codec may take from anywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The venue's clock now, as well as we know it.
    pub now: Wall,
    /// How long the request may count: a create must not be executed later than `now` plus this.
    pub valid_for: Duration,
    /// Rises with every request of this process, and from process to process (nanoseconds since 1970, pushed up).
    pub nonce: u64,
    /// Drawn by the caller, fresh for each request.
    pub chance: [u8; 32],
}

/// How far the conversation for one call has come. Most calls are one request; some need several.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Part {
    /// Counts the requests of this call, from 0.
    pub number: u32,
    /// Where the next request goes on, in the codec's words.
    pub cursor: String,
    /// What the requests before have told.
    pub gathered: Vec<Facts>,
}

/// What an HTTP outcome means for its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The call has its answer.
    Answered(Answered),
    /// Another request is needed first. Only for calls that ask, and for what may be set twice.
    More(Part),
    /// The venue says our clock is off, and that nothing was executed: set the clock right, sign again, once.
    ClockWrong {
        /// The venue's clock when it answered.
        server: Wall,
    },
}

/// An outcome, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it means for the call.
    pub reading: Reading,
    /// What its headers tell of the limits.
    pub limits: Vec<LimitNews>,
    /// The venue's clock when it answered, where the answer tells.
    pub server_time: Option<Wall>,
}

/// Requests and answers of one venue account. Shared by all its workers.
pub trait Codec: Send + Sync {
    /// The bytes for a call. An `Answered` instead where no request is needed or none can be made (`NotSent`, or
    /// `Refused` for what this venue cannot do).
    fn request(&self, call: &Call, part: &Part, signing: &Signing) -> Result<HttpRequest, Box<Answered>>;

    /// What came of it. `part` is the one the request was made for.
    fn read(&self, call: &Call, part: &Part, outcome: &HttpOutcome) -> Read;

    /// Requests must reach the venue in the order of their nonces: the caller signs and sends one at a time.
    fn is_ordered(&self) -> bool {
        false
    }
}

/// What a stream codec wants done.
#[derive(Clone, PartialEq, Eq)]
pub enum StreamOut {
    /// Send this text frame.
    Send(String),
    /// The stream delivers from here on: logged in, subscribed, all of it confirmed.
    Up,
    /// It does not deliver any more, and the socket is of no use: close it, wait, open again.
    Broken(String),
    /// An order of this account, as it is now.
    Order(Box<OrderRow>),
    /// A line of the account's executions.
    Fill(Box<FillRow>),
    /// The best prices.
    Quote(Quote),
    /// More of the market.
    Market(Box<MarketNews>),
    /// For the log, at debug level.
    Remark(String),
}

impl std::fmt::Debug for StreamOut {
    /// Without the text of frames to send: one of them is the login.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StreamOut::Send(_) => out.write_str("Send(..)"),
            StreamOut::Up => out.write_str("Up"),
            StreamOut::Broken(why) => out.debug_tuple("Broken").field(why).finish(),
            StreamOut::Order(row) => out.debug_tuple("Order").field(row).finish(),
            StreamOut::Fill(row) => out.debug_tuple("Fill").field(row).finish(),
            StreamOut::Quote(quote) => out.debug_tuple("Quote").field(quote).finish(),
            StreamOut::Market(news) => out.debug_tuple("Market").field(news).finish(),
            StreamOut::Remark(words) => out.debug_tuple("Remark").field(words).finish(),
        }
    }
}

/// One socket: what to send when it opens, what its frames mean, when it has gone silent. Lives as long as the venue;
/// `opened` begins anew after each reconnect.
pub trait StreamCodec: Send {
    /// The address to connect to.
    fn url(&self) -> String;

    /// A request to make before the socket opens (a token, a listen key); its outcome comes to `before_open_done`.
    fn before_open(&mut self, signing: &Signing) -> Option<HttpRequest> {
        let _ = signing;
        None
    }

    /// The outcome of `before_open`. An error keeps the socket closed until the next try.
    fn before_open_done(&mut self, outcome: &HttpOutcome) -> Result<(), String> {
        let _ = outcome;
        Ok(())
    }

    /// The socket is open: log in, subscribe. Forgets whatever the connection before had told.
    fn opened(&mut self, at: Boot, signing: &Signing, out: &mut Vec<StreamOut>);

    /// A text frame came in.
    fn frame(&mut self, at: Boot, text: &str, out: &mut Vec<StreamOut>);

    /// Time has passed (at least four times a second): what is overdue, whether it has gone silent.
    fn tick(&mut self, at: Boot, out: &mut Vec<StreamOut>);

    /// The machine wants a ping sent (`Action::Ping`). A codec whose venue needs no pings of ours sends none.
    fn ping(&mut self, at: Boot, out: &mut Vec<StreamOut>);
}
