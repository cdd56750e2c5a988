//! What is written to the journal: the form on disk, in decimals and names, never the engine's own types.
//!
//! Always holds: folding all records in order (`snapshot::State::apply`) gives the state; a record means the same for
//! ever, so fields are added, not changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{ClientOrderId, Epoch, Symbol, VenueOrderId};
use super::money::Decimal;
use super::order::{Fill, FillKind, Side, StateName, TimeInForce};
use super::time::Wall;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A process began.
    Epoch {
        /// Its run number.
        epoch: Epoch,
        /// When.
        at: Wall,
    },
    /// An order is intended. Written before it may leave.
    Intent(Intent),
    /// An order of ours that the journal did not know was found at the venue, or its true size was: one that is first
    /// known by a fill is found again with the size the venue shows.
    Found(Intent),
    /// An order changed its state.
    Moved(Moved),
    /// A fill was booked.
    Fill {
        /// The order.
        client_id: ClientOrderId,
        /// Where.
        venue: String,
        /// What.
        symbol: Symbol,
        /// Which way.
        side: Side,
        /// Base currency of the instrument.
        base: String,
        /// Quote currency of the instrument.
        quote: String,
        /// The trade.
        fill: Fill,
    },
    /// Something of the account that is no trade of an order of ours: a foreign trade, funding, a liquidation, what was
    /// held when the books began. Counts for position, profit and limits.
    External {
        /// Where.
        venue: String,
        /// What.
        symbol: Symbol,
        /// What came about.
        what: FillKind,
        /// Which way.
        side: Side,
        /// Base currency of the instrument.
        base: String,
        /// Quote currency of the instrument.
        quote: String,
        /// The entry, in the form of a trade.
        fill: Fill,
    },
    /// Our books of a venue begin: what others did there before is in what it held then, not an entry of its own.
    Opened {
        /// Where.
        venue: String,
        /// When.
        at: Wall,
    },
    /// What of a found order was filled before any list of fills reaches: counted on the order, in no position.
    BookedBefore {
        /// The order.
        client_id: ClientOrderId,
        /// Filled in all.
        filled: Decimal,
    },
    /// All fills of a venue up to here are booked.
    Cursor {
        /// Where.
        venue: String,
        /// Up to when, by the venue.
        booked_to: Wall,
    },
    /// What the account holds, as the venue says.
    Balances {
        /// Where.
        venue: String,
        /// Currency to amount.
        balances: BTreeMap<String, Decimal>,
    },
    /// The risk gate's memory.
    Risk(RiskState),
    /// What a strategy wants to find again after a restart.
    Strategy {
        /// Its name in the configuration.
        name: String,
        /// Its letter in client ids: never given to another name.
        letter: char,
        /// Its own memory.
        memory: serde_json::Value,
    },
}

/// What an order was meant to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Our id.
    pub client_id: ClientOrderId,
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// At.
    pub price: Decimal,
    /// How much.
    pub qty: Decimal,
    /// For how long.
    pub time_in_force: TimeInForce,
    /// When.
    pub at: Wall,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The order.
    pub client_id: ClientOrderId,
    /// Its new state.
    pub state: StateName,
    /// The venue's id, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When.
    pub at: Wall,
}

/// What the risk gate must not forget.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RiskState {
    /// The UTC day the figures below belong to.
    pub day: i64,
    /// Profit (all venues, fees included) when the day began.
    pub profit_at_day_start: Decimal,
    /// Trading is latched off: the reason. Only `rearm` ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latched: Option<String>,
    /// Paused by the operator.
    #[serde(default)]
    pub paused: bool,
}
