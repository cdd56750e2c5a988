//! What can be traded where, and by which rules.
//!
//! Always holds: a price or a quantity inside the program lies on its instrument's grid, because the only doors are
//! `price` and `qty` here, and both refuse what lies between the lines.

use std::time::Duration;

use super::event::LimitNews;
use super::ids::{InstrumentId, Symbol, VenueId};
use super::money::{Decimal, Lots, PriceTicks};
use super::order::Side;
use super::rates::Billing;
use super::request::Scope;

/// Why a number is not on the instrument's grid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffGrid {
    /// A price between two ticks, or out of range.
    #[error("price {price} is not a multiple of the tick {tick}")]
    Tick {
        /// The price.
        price: Decimal,
        /// The instrument's tick.
        tick: Decimal,
    },
    /// A quantity between two lots, negative, or out of range.
    #[error("quantity {qty} is not a multiple of the lot {lot}")]
    Lot {
        /// The quantity.
        qty: Decimal,
        /// The instrument's lot.
        lot: Decimal,
    },
}

/// Whether holding it is owning it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstrumentKind {
    /// Base currency changes hands.
    Spot,
    /// A linear perpetual contract.
    Linear,
}

impl InstrumentKind {
    /// By our form of the symbol.
    pub fn of_symbol(symbol: &Symbol) -> InstrumentKind {
        if symbol.is_perpetual() { InstrumentKind::Linear } else { InstrumentKind::Spot }
    }
}

/// The venue's rules for an instrument, in the venue's own decimals. What a codec reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentRules {
    /// Our symbol.
    pub symbol: Symbol,
    /// Spot or contract.
    pub kind: InstrumentKind,
    /// Bought and sold.
    pub base: String,
    /// Paid with.
    pub quote: String,
    /// Price step.
    pub tick: Decimal,
    /// Quantity step.
    pub lot: Decimal,
    /// Smallest quantity of an order.
    pub min_qty: Decimal,
    /// Largest quantity of an order.
    pub max_qty: Decimal,
    /// Smallest price times quantity of an order.
    pub min_notional: Decimal,
    /// Whether new orders are taken.
    pub tradable: bool,
}

/// An instrument in the catalogue: the rules plus its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Place in the catalogue.
    pub id: InstrumentId,
    /// Where it trades.
    pub venue: VenueId,
    /// The venue's rules.
    pub rules: InstrumentRules,
    tick_lot_value: Decimal,
}

impl Instrument {
    /// From the venue's rules; `None` when tick or lot are not positive or their product cannot be kept exactly.
    pub fn new(id: InstrumentId, venue: VenueId, rules: InstrumentRules) -> Option<Instrument> {
        if !rules.tick.is_positive() || !rules.lot.is_positive() {
            return None;
        }
        let tick_lot_value = rules.tick.checked_mul(rules.lot)?;
        let exact = tick_lot_value.mul_ratio(Decimal::ONE.units(), rules.lot.units()) == Some(rules.tick);
        (exact && tick_lot_value.is_positive()).then_some(Instrument { id, venue, rules, tick_lot_value })
    }

    /// Our symbol.
    pub fn symbol(&self) -> &Symbol {
        &self.rules.symbol
    }

    /// A price that must lie on a tick.
    pub fn price(&self, price: Decimal) -> Result<PriceTicks, OffGrid> {
        match price.steps_of(self.rules.tick) {
            Some((ticks, true)) => Ok(PriceTicks::new(ticks)),
            _ => Err(OffGrid::Tick { price, tick: self.rules.tick }),
        }
    }

    /// The nearest tick away from the market: down for a buy, up for a sell.
    pub fn price_away_from_market(&self, side: Side, price: Decimal) -> Result<PriceTicks, OffGrid> {
        let refuse = || OffGrid::Tick { price, tick: self.rules.tick };
        let (ticks, exact) = price.steps_of(self.rules.tick).ok_or_else(refuse)?;
        let ticks = PriceTicks::new(ticks);
        match side {
            Side::Sell if !exact => ticks.checked_add(1).ok_or_else(refuse),
            Side::Buy | Side::Sell => Ok(ticks),
        }
    }

    /// The decimal a count of ticks stands for. A count from `price` always fits.
    pub fn price_of(&self, price: PriceTicks) -> Decimal {
        self.rules.tick.checked_mul_int(price.count()).unwrap_or(Decimal::ZERO)
    }

    /// A quantity that must be a whole, non-negative number of lots.
    pub fn qty(&self, qty: Decimal) -> Result<Lots, OffGrid> {
        let refuse = || OffGrid::Lot { qty, lot: self.rules.lot };
        match qty.steps_of(self.rules.lot) {
            Some((lots, true)) => Lots::new(lots).ok_or_else(refuse),
            _ => Err(refuse()),
        }
    }

    /// The decimal a count of lots stands for. A count from `qty` always fits.
    pub fn qty_of(&self, qty: Lots) -> Decimal {
        self.rules.lot.checked_mul_int(qty.count()).unwrap_or(Decimal::ZERO)
    }

    /// Price times quantity, exactly; `None` when it does not fit.
    pub fn notional(&self, price: PriceTicks, qty: Lots) -> Option<Decimal> {
        self.tick_lot_value.checked_mul_int(price.count())?.checked_mul_int(qty.count())
    }

    /// Whether the venue takes an order of this size at this price: smallest and largest quantity, smallest notional.
    pub fn takes(&self, price: PriceTicks, qty: Lots) -> bool {
        let amount = self.qty_of(qty);
        let worth = self.notional(price, qty);
        !qty.is_zero()
            && amount >= self.rules.min_qty
            && amount <= self.rules.max_qty
            && worth.is_some_and(|worth| worth >= self.rules.min_notional)
    }

    /// Digits after the point that prices are shown with.
    pub fn price_places(&self) -> usize {
        places(self.rules.tick)
    }

    /// Digits after the point that quantities are shown with.
    pub fn qty_places(&self) -> usize {
        places(self.rules.lot)
    }
}

fn places(step: Decimal) -> usize {
    step.to_string().split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// What a venue can do and how long its news may take: constants of its codec (and of the paper exchange).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueTraits {
    /// An acknowledged cancel is done (Binance). Otherwise only a push or a query ends the order.
    pub cancel_ack_is_final: bool,
    /// Most orders in one batch cancel; 0 where there is none.
    pub batch_cancel_max: usize,
    /// Cancel works with the client id alone.
    pub cancel_by_client_id: bool,
    /// A create is signed for this long; after it the venue refuses it.
    pub create_deadline: Duration,
    /// The venue's lists may be this much behind its book.
    pub lag: Duration,
    /// From the last moment a create could have left to the first listing that counts (grade `by_listing`).
    pub settle: Duration,
    /// Between the two listings that count (grade `by_listing`).
    pub listing_gap: Duration,
    /// Cancels a second the venue allows, as it bills them.
    pub cancels_per_second: u32,
    /// Cancels that go at once before the rate binds.
    pub cancel_burst: u32,
    /// Whole time of one request.
    pub request_timeout: Duration,
    /// Most orders the venue lets rest at once.
    pub open_orders_max: u32,
    /// What calls cost, where the venue bills more finely than cancels a second; empty: no limits known.
    pub billing: Billing,
    /// Which orders may stand in one batch cancel.
    pub batch_cancel_by: BatchBy,
    /// Scopes of cancel-all that cover the account together; empty: the venue has no such call.
    pub cancel_all_scopes: Vec<Scope>,
    /// A market whose prices are older than this is stale: quotes are pulled. `None`: a quiet market says nothing.
    pub stale_after: Option<Duration>,
    /// The venue's dead man's switch.
    pub switch: Switch,
    /// A ping is due this often on every stream.
    pub ping_every: Option<Duration>,
    /// Whether `Call::Positions` and `Call::Access` are answered.
    pub tells_positions: bool,
}

impl Default for VenueTraits {
    /// A careful venue without limits and without a switch.
    fn default() -> VenueTraits {
        VenueTraits {
            cancel_ack_is_final: false,
            batch_cancel_max: 0,
            cancel_by_client_id: false,
            create_deadline: Duration::from_secs(3),
            lag: Duration::from_secs(5),
            settle: Duration::from_secs(15),
            listing_gap: Duration::from_secs(1),
            cancels_per_second: 0,
            cancel_burst: 0,
            request_timeout: Duration::from_secs(5),
            open_orders_max: 100,
            billing: Billing::default(),
            batch_cancel_by: BatchBy::Any,
            cancel_all_scopes: Vec::new(),
            stale_after: None,
            switch: Switch::None,
            ping_every: None,
            tells_positions: false,
        }
    }
}

/// Which orders may stand in one batch cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchBy {
    /// Any orders of the account.
    Any,
    /// Orders of one kind of instrument.
    Kind,
    /// Orders of one symbol.
    Symbol,
}

/// A venue's dead man's switch: it cancels what rests when we fall silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// There is none.
    None,
    /// It hangs on our private stream: set once, held off by its pings (`Action::Ping`). Account-wide.
    Session {
        /// How long the stream may be silent.
        window: Duration,
    },
    /// A timer that must be set again and again. Account-wide.
    Timer {
        /// How long it is set for.
        window: Duration,
        /// How often it is set anew.
        renew_every: Duration,
    },
}

/// A venue account of this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Venue {
    /// Place in the catalogue.
    pub id: VenueId,
    /// The operator's name for it.
    pub name: String,
    /// What it can do.
    pub traits: VenueTraits,
}

/// Every venue and instrument, by place. Grows at start, never shrinks.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    venues: Vec<Venue>,
    instruments: Vec<Instrument>,
}

impl Catalogue {
    /// Adds a venue; `None` past 255.
    pub fn add_venue(&mut self, name: &str, traits: VenueTraits) -> Option<VenueId> {
        let id = VenueId(u8::try_from(self.venues.len()).ok()?);
        self.venues.push(Venue { id, name: name.to_owned(), traits });
        Some(id)
    }

    /// Adds an instrument, or brings the rules of a known one up to date. `None` for rules that cannot be used, or for
    /// a changed grid, which would reinterpret orders that already rest.
    pub fn learn(&mut self, venue: VenueId, rules: InstrumentRules) -> Option<InstrumentId> {
        if let Some(known) = self.find(venue, &rules.symbol) {
            let id = known.id;
            if known.rules.tick != rules.tick || known.rules.lot != rules.lot {
                return None;
            }
            self.instruments[usize::from(id.0)] = Instrument::new(id, venue, rules)?;
            return Some(id);
        }
        let id = InstrumentId(u16::try_from(self.instruments.len()).ok()?);
        self.instruments.push(Instrument::new(id, venue, rules)?);
        Some(id)
    }

    /// A venue told that a limit is not what was taken for granted: what is planned with it changes too.
    pub fn learn_limit(&mut self, venue: VenueId, news: LimitNews) {
        let Some(venue) = self.venues.get_mut(usize::from(venue.0)) else { return };
        if let Some(bucket) = venue.traits.billing.buckets.get_mut(news.bucket) {
            bucket.limit = news.limit;
        }
        if let Some((rate, burst)) = venue.traits.billing.cancels_per_second() {
            (venue.traits.cancels_per_second, venue.traits.cancel_burst) = (rate, burst);
        }
    }

    /// All venues.
    pub fn venues(&self) -> &[Venue] {
        &self.venues
    }

    /// All instruments.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The venue with this id. Ids come only from this catalogue, so it is there.
    pub fn venue(&self, id: VenueId) -> &Venue {
        &self.venues[usize::from(id.0)]
    }

    /// The instrument with this id. Ids come only from this catalogue, so it is there.
    pub fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[usize::from(id.0)]
    }

    /// The instrument a venue calls by this symbol.
    pub fn find(&self, venue: VenueId, symbol: &Symbol) -> Option<&Instrument> {
        self.instruments.iter().find(|instrument| instrument.venue == venue && instrument.symbol() == symbol)
    }

    /// The venue of this name.
    pub fn venue_named(&self, name: &str) -> Option<&Venue> {
        self.venues.iter().find(|venue| venue.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument() -> Instrument {
        let decimal = |text: &str| text.parse().unwrap();
        let rules = InstrumentRules {
            symbol: Symbol::new("BTC-USDT"),
            kind: InstrumentKind::Spot,
            base: "BTC".into(),
            quote: "USDT".into(),
            tick: decimal("0.5"),
            lot: decimal("0.001"),
            min_qty: decimal("0.001"),
            max_qty: decimal("100"),
            min_notional: decimal("5"),
            tradable: true,
        };
        Instrument::new(InstrumentId(0), VenueId(0), rules).unwrap()
    }

    #[test]
    fn a_price_between_ticks_is_refused_not_rounded() {
        let instrument = instrument();
        assert_eq!(instrument.price("64000.5".parse().unwrap()).unwrap(), PriceTicks::new(128_001));
        assert!(matches!(instrument.price("64000.4".parse().unwrap()), Err(OffGrid::Tick { .. })));
        assert!(matches!(instrument.qty("0.0015".parse().unwrap()), Err(OffGrid::Lot { .. })));
        assert!(matches!(instrument.qty("-0.001".parse().unwrap()), Err(OffGrid::Lot { .. })));
    }

    #[test]
    fn rounding_goes_away_from_the_market() {
        let instrument = instrument();
        let price = "64000.3".parse().unwrap();
        assert_eq!(instrument.price_away_from_market(Side::Buy, price).unwrap(), PriceTicks::new(128_000));
        assert_eq!(instrument.price_away_from_market(Side::Sell, price).unwrap(), PriceTicks::new(128_001));
    }

    #[test]
    fn notional_is_exact_and_minimums_hold() {
        let instrument = instrument();
        let price = instrument.price("64000.5".parse().unwrap()).unwrap();
        assert_eq!(instrument.notional(price, Lots::new(3).unwrap()).unwrap().to_string(), "192.0015");
        assert!(instrument.takes(price, Lots::new(1).unwrap()));
        assert!(!instrument.takes(PriceTicks::new(10), Lots::new(1).unwrap()), "5 USDT is the minimum");
        assert!(!instrument.takes(price, Lots::ZERO));
    }
}
