//! A real venue: request workers over HTTP, a thread for each stream, one venue clock.
//!
//! Read in this order: `transport` (one call, one answer), `streams` (sockets that come back), `links` (when a venue's
//! streams count as up), `venue_clock` (what time it is there), `open` (all of it brought up), `wire` (real sockets).
//!
//! Always holds: what codecs say goes out byte for byte and once; what comes in is read by the codec alone; a stream
//! that breaks is told before it is opened again.
//! Never does: decide what an answer means, or retry a create.

mod links;
mod open;
mod streams;
#[cfg(test)]
mod testing;
mod transport;
mod venue_clock;
mod wire;

pub use open::{CannotReach, LiveVenue, Probe};
pub use streams::{Feed, FeedEnd, StreamThread, Towards};
pub use transport::{LiveTransport, Wire};
pub use venue_clock::VenueClock;
