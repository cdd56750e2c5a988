//! A real venue: request workers over HTTP, a thread for each stream, one venue clock.
//!
//! Read in this order: `transport` (one call, one answer), `streams` (sockets that come back), `links` (when a venue's
//! streams count as up), `venue_clock` (what time it is there).
//!
//! Always holds: what codecs say goes out byte for byte and once; what comes in is read by the codec alone; a stream
//! that breaks is told before it is opened again.
//! Never does: decide what an answer means, or retry a create.

mod links;

mod streams;
#[cfg(test)]
mod testing;
mod transport;
mod venue_clock;

pub use streams::{Feed, StreamThread, Towards};
pub use transport::{LiveTransport, Wire};
pub use venue_clock::VenueClock;
