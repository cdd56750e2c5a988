//! Which traded instruments have prices that are too old to quote by.
//!
//! Always holds: an instrument turns stale when its venue's patience is over and fresh with the first sign of life; a
//! pass costs the number of traded instruments, whatever rests. Where the venue names no patience nothing is ever stale:
//! a quiet market says nothing there.
//! Never does: cancel or refuse. It says what turned.

use std::collections::BTreeSet;
use std::time::Duration;

use super::market::Market;
use crate::domain::ids::InstrumentId;
use crate::domain::instrument::Catalogue;
use crate::domain::time::Boot;

/// What a pass found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// No price for longer than this.
    Stale(InstrumentId, Duration),
    /// Prices again.
    Fresh(InstrumentId),
}

/// The instruments that are watched, and those that are stale now.
#[derive(Clone, Debug, Default)]
pub(super) struct Staleness {
    watched: Vec<(InstrumentId, Duration)>,
    stale: BTreeSet<InstrumentId>,
}

impl Staleness {
    /// Watches these, where their venue has a patience.
    pub(super) fn new(traded: &BTreeSet<InstrumentId>, catalogue: &Catalogue) -> Staleness {
        let patience = |id: &InstrumentId| catalogue.venue(catalogue.instrument(*id).venue).traits.stale_after;
        let watched = traded.iter().filter_map(|id| Some((*id, patience(id)?))).collect();
        Staleness { watched, stale: BTreeSet::new() }
    }

    /// What turned since the last pass. An instrument that was never quoted has nothing that could be old.
    pub(super) fn pass(&mut self, at: Boot, market: &Market) -> Vec<Turned> {
        let mut turned = Vec::new();
        for (instrument, patience) in &self.watched {
            let Some(age) = market.age(at, *instrument) else { continue };
            if age > *patience {
                if self.stale.insert(*instrument) {
                    turned.push(Turned::Stale(*instrument, *patience));
                }
            } else if self.stale.remove(instrument) {
                turned.push(Turned::Fresh(*instrument));
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BTC, ETH, catalogue_with, quote, traits};
    use super::*;
    use crate::domain::instrument::VenueTraits;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Boot {
        Boot::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn each_instrument_turns_stale_once_and_fresh_with_the_first_price() {
        let catalogue = catalogue_with(&VenueTraits { stale_after: Some(PATIENCE), ..traits() });
        let mut staleness = Staleness::new(&BTreeSet::from([BTC, ETH]), &catalogue);
        let mut market = Market::default();
        assert_eq!(staleness.pass(at(100), &market), [], "never quoted");
        market.take(at(100), catalogue.instrument(BTC), &quote("100", "101")).unwrap();
        assert_eq!(staleness.pass(at(110), &market), []);
        assert_eq!(staleness.pass(at(111), &market), [Turned::Stale(BTC, PATIENCE)]);
        assert_eq!(staleness.pass(at(112), &market), []);
        market.take(at(113), catalogue.instrument(BTC), &quote("100", "101")).unwrap();
        assert_eq!(staleness.pass(at(113), &market), [Turned::Fresh(BTC)]);
    }

    #[test]
    fn where_the_venue_has_no_patience_nothing_is_ever_stale() {
        let catalogue = catalogue_with(&traits());
        let mut staleness = Staleness::new(&BTreeSet::from([BTC]), &catalogue);
        let mut market = Market::default();
        market.take(at(1), catalogue.instrument(BTC), &quote("100", "101")).unwrap();
        assert_eq!(staleness.pass(at(1_000_000), &market), []);
    }
}
