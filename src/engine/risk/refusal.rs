//! Why the risk gate refused an order, as values for machines and as a sentence for the operator.
//!
//! Always holds: the sentence names the order, the limit by its key, the value, and what is allowed.
//! Never does: judge. That is the gate's.

use std::fmt;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::money::Decimal;
use crate::domain::order::{OrderTerms, Side};

/// An order the gate did not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskRefusal {
    /// Which order.
    pub order: Box<OrderWords>,
    /// Which limit it would have broken.
    pub breach: Breach,
}

impl RiskRefusal {
    /// An order that never came to the gate because something else stands in the way: the engine's word for it.
    pub fn not_now(instrument: &Instrument, terms: &OrderTerms, why: &str) -> RiskRefusal {
        RiskRefusal { order: Box::new(OrderWords::new(instrument, terms)), breach: Breach::NotNow(why.to_owned()) }
    }
}

impl fmt::Display for RiskRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} refused: {}", self.order, self.breach)
    }
}

impl std::error::Error for RiskRefusal {}

/// An order in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderWords {
    symbol: Symbol,
    side: Side,
    qty: Decimal,
    qty_places: usize,
    price: Decimal,
    price_places: usize,
}

impl OrderWords {
    pub(super) fn new(instrument: &Instrument, terms: &OrderTerms) -> OrderWords {
        OrderWords {
            symbol: instrument.symbol().clone(),
            side: terms.side,
            qty: instrument.qty_of(terms.qty),
            qty_places: instrument.qty_places(),
            price: instrument.price_of(terms.price),
            price_places: instrument.price_places(),
        }
    }
}

impl fmt::Display for OrderWords {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let qty = self.qty.with_places(self.qty_places);
        let price = self.price.with_places(self.price_places);
        write!(out, "{} {} {qty} @ {price}", self.symbol, self.side)
    }
}

/// The limit, the value that broke it, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Trading is latched off.
    #[error("trading is latched off ({0}) until it is rearmed")]
    Latched(String),
    /// The operator paused trading.
    #[error("trading is paused until the operator resumes it")]
    Paused,
    /// The symbol is paused.
    #[error("the symbol is paused ({0})")]
    SymbolPaused(String),
    /// Prices too old to quote by.
    #[error("the market is stale: no price came for over {after_s} s")]
    StaleMarket {
        /// The venue's patience, in seconds.
        after_s: u64,
    },
    /// Something outside the gate stands in the way.
    #[error("no new orders now: {0}")]
    NotNow(String),
    /// The venue takes no orders for the instrument.
    #[error("the venue takes no new orders for this symbol at present")]
    NotTradable,
    /// A price that is not above zero.
    #[error("the price {0} is not above zero")]
    Price(Decimal),
    /// Below the venue's smallest quantity.
    #[error("quantity {value} is below the venue's smallest, {allowed}")]
    BelowMinQty {
        /// The quantity.
        value: Decimal,
        /// The smallest.
        allowed: Decimal,
    },
    /// Above the venue's largest quantity.
    #[error("quantity {value} is above the venue's largest, {allowed}")]
    AboveMaxQty {
        /// The quantity.
        value: Decimal,
        /// The largest.
        allowed: Decimal,
    },
    /// Below the venue's smallest notional.
    #[error("worth {value}, below the venue's smallest, {allowed}")]
    BelowMinNotional {
        /// Price times quantity.
        value: Decimal,
        /// The smallest.
        allowed: Decimal,
    },
    /// `max_order_notional`.
    #[error("worth {value}, above max_order_notional = {allowed}")]
    OrderNotional {
        /// Price times quantity.
        value: Decimal,
        /// The limit.
        allowed: Decimal,
    },
    /// `max_position_notional`.
    #[error(
        "the position would be worth {value} were all orders of this side filled, above max_position_notional = {allowed}"
    )]
    PositionNotional {
        /// Worth of the position with every open order of this side and this one.
        value: Decimal,
        /// The limit.
        allowed: Decimal,
    },
    /// No two-sided market to judge the price by.
    #[error("the market is not quoted on both sides, so no price can be judged")]
    NoMarket,
    /// `collar_through_bps`.
    #[error("the price {value} lies too far through the market: collar_through_bps allows {allowed}")]
    CollarThrough {
        /// The price.
        value: Decimal,
        /// The furthest price allowed.
        allowed: Decimal,
    },
    /// `collar_away_bps`.
    #[error("the price {value} lies too far from the market: collar_away_bps allows {allowed}")]
    CollarAway {
        /// The price.
        value: Decimal,
        /// The furthest price allowed.
        allowed: Decimal,
    },
    /// A post-only order that would take.
    #[error("a post-only order at {value} would take: the other side stands at {touch}")]
    WouldCross {
        /// The price.
        value: Decimal,
        /// The best price of the other side.
        touch: Decimal,
    },
    /// It would trade with an order of ours.
    #[error("the price {value} would trade with our own order at {own}")]
    SelfCross {
        /// The price.
        value: Decimal,
        /// Our own best price of the other side.
        own: Decimal,
    },
    /// `max_open_orders`.
    #[error("it would be open order number {value}, max_open_orders = {allowed}")]
    OpenOrders {
        /// With this one.
        value: u32,
        /// The limit.
        allowed: u32,
    },
    /// What we may own at a venue.
    #[error(
        "it would be open order number {value} at {venue}, where we may own {allowed} (what could be cancelled in time)"
    )]
    VenueOrders {
        /// Where.
        venue: String,
        /// With this one.
        value: u32,
        /// The cap.
        allowed: u32,
    },
    /// `uncovered_max_notional`.
    #[error(
        "orders worth {value} would rest where no dead man's switch is armed, above uncovered_max_notional = {allowed}"
    )]
    Uncovered {
        /// With this one.
        value: Decimal,
        /// The limit.
        allowed: Decimal,
    },
    /// `max_orders_per_second`.
    #[error("{allowed} orders went out within the last second already, max_orders_per_second = {allowed}")]
    Rate {
        /// The limit.
        allowed: u32,
    },
    /// A figure that cannot be kept exactly.
    #[error("{0} cannot be worked out exactly: a number is too large")]
    TooLarge(&'static str),
}

impl Breach {
    /// Whether a smaller order at the same price might pass.
    pub fn is_about_size(&self) -> bool {
        matches!(self, Breach::OrderNotional { .. } | Breach::PositionNotional { .. } | Breach::AboveMaxQty { .. })
    }
}
