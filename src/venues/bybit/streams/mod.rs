//! Bybit's sockets: prices, one socket or more for each category, and the account's own news.
//!
//! Always holds: a stream is `Up` only when the venue has confirmed all of it; after `Broken` a codec is silent until
//! its next `opened`.
//! Never does: send anything on its own account in the course of time. Pings come from the machine.

mod conversation;
pub mod private;
pub mod public;
#[cfg(test)]
mod tests;

use self::private::PrivateStream;
use self::public::{PublicStream, TOPIC_CHARACTERS_MAX, topics};
use super::symbols::{Category, Symbols, venue_name};
use crate::domain::event::Stream;
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::secret::ApiKey;
use crate::venues::StreamCodec;

/// Where the sockets are, and whose.
pub struct Sockets<'a> {
    /// The venue's place in the catalogue.
    pub venue: VenueId,
    /// What is configured or must be watched.
    pub symbols: &'a Symbols,
    /// What is configured: without prices of these a public stream does not deliver.
    pub configured: &'a [Symbol],
    /// The account's key; without one there is no private stream.
    pub key: Option<&'a ApiKey>,
    /// Nobody else trades on this account: the venue's dead man's switch may hang on the private stream.
    pub exclusive_account: bool,
    /// The address of each category's prices, whole.
    pub public_url: &'a dyn Fn(Category) -> String,
    /// The address of the account's news.
    pub private_url: &'a str,
}

/// Every socket the account wants open: `public-spot`, `public-linear` (and `public-linear-2`, where the symbols are
/// more than one connection may carry), `private`.
pub fn streams(sockets: &Sockets<'_>) -> Vec<(Stream, String, Box<dyn StreamCodec>)> {
    let mut all: Vec<(Stream, String, Box<dyn StreamCodec>)> = Vec::new();
    for category in sockets.symbols.categories() {
        let symbols: Vec<Symbol> = sockets.symbols.of(category).cloned().collect();
        for (number, some) in shares(category, &symbols).into_iter().enumerate() {
            let name = match number {
                0 => format!("public-{}", category.word()),
                more => format!("public-{}-{}", category.word(), more + 1),
            };
            let (needed, extras): (Vec<_>, Vec<_>) =
                some.into_iter().partition(|symbol| sockets.configured.contains(symbol));
            let url = (sockets.public_url)(category);
            let codec = PublicStream::new(sockets.venue, category, url, &needed, &extras);
            all.push((Stream::Public, name, Box::new(codec)));
        }
    }
    if let Some(key) = sockets.key {
        let codec =
            PrivateStream::new(sockets.private_url, key.clone(), sockets.symbols.clone(), sockets.exclusive_account);
        all.push((Stream::Private, "private".to_owned(), Box::new(codec)));
    }
    all
}

/// The symbols, in shares that one connection may carry.
fn shares(category: Category, symbols: &[Symbol]) -> Vec<Vec<Symbol>> {
    let mut shares: Vec<Vec<Symbol>> = Vec::new();
    let mut room = 0;
    for symbol in symbols {
        // Quotes and a comma for each topic; the brackets are the two more at the begin.
        let cost: usize = topics(category, &venue_name(symbol)).iter().map(|topic| topic.len() + 3).sum();
        match shares.last_mut().filter(|_| cost <= room) {
            Some(share) => share.push(symbol.clone()),
            None => {
                shares.push(vec![symbol.clone()]);
                room = TOPIC_CHARACTERS_MAX - 2;
            }
        }
        room = room.saturating_sub(cost);
    }
    shares
}
