//! What the model can be asked: its own types, shared with no codec and no trader, so that a misreading on one side
//! cannot hide behind the same misreading on the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{Symbol, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};
use crate::domain::time::Wall;

/// A point in the model's time: microseconds since 1970. Given by the caller, real or invented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(i64);

impl Micros {
    /// From microseconds.
    pub const fn new(micros: i64) -> Micros {
        Micros(micros)
    }

    /// From milliseconds.
    pub const fn from_millis(millis: i64) -> Micros {
        Micros(millis.saturating_mul(1_000))
    }

    /// In microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// In milliseconds, the part below one cut off.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Moved later (or earlier, for a negative number).
    pub const fn plus(self, micros: i64) -> Micros {
        Micros(self.0.saturating_add(micros))
    }

    /// Moved later by milliseconds.
    pub const fn plus_millis(self, millis: i64) -> Micros {
        self.plus(millis.saturating_mul(1_000))
    }

    /// As wall time, the part below a millisecond cut off.
    pub const fn wall(self) -> Wall {
        Wall::from_millis(self.millis())
    }
}

impl From<Wall> for Micros {
    fn from(wall: Wall) -> Micros {
        Micros::from_millis(wall.millis())
    }
}

/// An account at this venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub u16);

impl fmt::Display for AccountId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// The caller's number for a request; comes back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u64);

/// A new order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrder {
    /// The caller's name for it; not used twice within an account.
    pub client_id: String,
    /// What.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// At which price or better.
    pub price: Decimal,
    /// How much.
    pub qty: Decimal,
    /// For how long.
    pub time_in_force: TimeInForce,
    /// The signed deadline: when the venue gets to it later than this, it refuses.
    #[serde(rename = "not_after_us", default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Micros>,
}

/// Which order: by the caller's name, the venue's, or both (then both must fit).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderRef {
    /// The caller's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The venue's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<VenueOrderId>,
}

impl OrderRef {
    /// By the caller's name.
    pub fn client(client_id: &str) -> OrderRef {
        OrderRef { client_id: Some(client_id.to_owned()), order_id: None }
    }

    /// By the venue's name.
    pub fn venue(order_id: &VenueOrderId) -> OrderRef {
        OrderRef { client_id: None, order_id: Some(order_id.clone()) }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Ask {
    /// Place an order.
    Create(NewOrder),
    /// Cancel one order.
    Cancel(OrderRef),
    /// Cancel several, answered one by one.
    CancelBatch {
        /// Which.
        orders: Vec<OrderRef>,
    },
    /// Cancel every order of the account, or of one symbol.
    CancelAll {
        /// Of this symbol only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        symbol: Option<Symbol>,
    },
    /// An order, live or recently ended.
    Query(OrderRef),
    /// An ended order; the history may be a moment behind.
    History(OrderRef),
    /// A page of the account's open orders, oldest first.
    ListOpen {
        /// Where the page begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// A page of the account's fills, oldest first.
    ListFills {
        /// Not older than this.
        #[serde(rename = "since_us")]
        since: Micros,
        /// Where the page begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// What the account holds.
    Balances,
    /// The account's contracts.
    Positions,
    /// What is traded, by which rules.
    Instruments,
    /// The venue's clock.
    Time,
    /// Arm the dead man's switch (or put it off, or disarm it): when it runs out, everything of the account is cancelled.
    SetCountdown {
        /// From now; `None` disarms.
        ms: Option<u32>,
    },
    /// When the switch runs out.
    ReadCountdown,
}

/// Kinds of request, for plans and for the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskKind {
    /// [`Ask::Create`].
    Create,
    /// [`Ask::Cancel`].
    Cancel,
    /// [`Ask::CancelBatch`].
    CancelBatch,
    /// [`Ask::CancelAll`].
    CancelAll,
    /// [`Ask::Query`].
    Query,
    /// [`Ask::History`].
    History,
    /// [`Ask::ListOpen`].
    ListOpen,
    /// [`Ask::ListFills`].
    ListFills,
    /// [`Ask::Balances`].
    Balances,
    /// [`Ask::Positions`].
    Positions,
    /// [`Ask::Instruments`].
    Instruments,
    /// [`Ask::Time`].
    Time,
    /// [`Ask::SetCountdown`].
    SetCountdown,
    /// [`Ask::ReadCountdown`].
    ReadCountdown,
}

impl AskKind {
    /// Whether it cancels.
    pub fn cancels(self) -> bool {
        matches!(self, AskKind::Cancel | AskKind::CancelBatch | AskKind::CancelAll)
    }

    /// Whether it can change an order.
    pub fn changes_orders(self) -> bool {
        self == AskKind::Create || self.cancels()
    }
}

impl Ask {
    /// Which kind.
    pub fn kind(&self) -> AskKind {
        match self {
            Ask::Create(_) => AskKind::Create,
            Ask::Cancel(_) => AskKind::Cancel,
            Ask::CancelBatch { .. } => AskKind::CancelBatch,
            Ask::CancelAll { .. } => AskKind::CancelAll,
            Ask::Query(_) => AskKind::Query,
            Ask::History(_) => AskKind::History,
            Ask::ListOpen { .. } => AskKind::ListOpen,
            Ask::ListFills { .. } => AskKind::ListFills,
            Ask::Balances => AskKind::Balances,
            Ask::Positions => AskKind::Positions,
            Ask::Instruments => AskKind::Instruments,
            Ask::Time => AskKind::Time,
            Ask::SetCountdown { .. } => AskKind::SetCountdown,
            Ask::ReadCountdown => AskKind::ReadCountdown,
        }
    }

    /// The orders it names.
    pub(super) fn named(&self) -> &[OrderRef] {
        match self {
            Ask::Cancel(which) | Ask::Query(which) | Ask::History(which) => std::slice::from_ref(which),
            Ask::CancelBatch { orders } => orders,
            _ => &[],
        }
    }
}
