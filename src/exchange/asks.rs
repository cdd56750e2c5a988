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

/// What an order says beyond its terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderMarks {
    /// Sent as a market order; its price is how far the venue goes.
    #[serde(skip_serializing_if = "is_false")]
    pub market: bool,
    /// Only ever makes a position smaller.
    #[serde(skip_serializing_if = "is_false")]
    pub reduce_only: bool,
    /// All at once or not at all.
    #[serde(skip_serializing_if = "is_false")]
    pub all_or_none: bool,
    /// Which of a hedged pair of positions it is for.
    #[serde(skip_serializing_if = "is_zero")]
    pub position_index: u8,
    /// A market buy that was asked for in this much of the quote currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_qty: Option<Decimal>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl OrderMarks {
    /// Whether it says nothing.
    pub fn is_plain(&self) -> bool {
        *self == OrderMarks::default()
    }
}

/// A new order with what it says beyond its terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The order.
    #[serde(flatten)]
    pub order: NewOrder,
    /// What else.
    #[serde(default, skip_serializing_if = "OrderMarks::is_plain")]
    pub marks: OrderMarks,
}

/// A page of orders, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderPage {
    /// Ended orders instead of open ones.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ended: bool,
    /// Of the ended ones only those the history has: it may be a moment behind.
    #[serde(default, skip_serializing_if = "is_false")]
    pub history: bool,
    /// Of these instruments.
    pub symbols: Vec<Symbol>,
    /// Not created before this.
    #[serde(rename = "since_us", default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Micros>,
    /// Created before this.
    #[serde(rename = "until_us", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Micros>,
    /// Where the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Rows on it.
    pub limit: usize,
}

/// A page of fills, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FillPage {
    /// Of these instruments.
    pub symbols: Vec<Symbol>,
    /// Only of this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderRef>,
    /// Not before this.
    #[serde(rename = "since_us", default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Micros>,
    /// Before this.
    #[serde(rename = "until_us", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Micros>,
    /// Where the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Rows on it.
    pub limit: usize,
}

/// A change of a resting order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    /// Which order.
    #[serde(flatten)]
    pub which: OrderRef,
    /// Its new price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// How much it is to be in all, what is filled included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<Decimal>,
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
    /// Place an order that says more than its terms.
    Place(Placement),
    /// Place several, answered one by one, in the order asked for.
    PlaceBatch {
        /// Which.
        placements: Vec<Placement>,
    },
    /// Change a resting order.
    Amend(Amendment),
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
    /// Cancel every order of the account in these instruments.
    CancelScope {
        /// Which.
        symbols: Vec<Symbol>,
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
    /// A page of orders, newest first.
    ListOrders(OrderPage),
    /// A page of fills, newest first.
    ListTrades(FillPage),
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
    /// [`Ask::Create`] and [`Ask::Place`].
    Create,
    /// [`Ask::PlaceBatch`].
    CreateBatch,
    /// [`Ask::Amend`].
    Amend,
    /// [`Ask::Cancel`].
    Cancel,
    /// [`Ask::CancelBatch`].
    CancelBatch,
    /// [`Ask::CancelAll`] and [`Ask::CancelScope`].
    CancelAll,
    /// [`Ask::Query`].
    Query,
    /// [`Ask::History`], and [`Ask::ListOrders`] of ended orders.
    History,
    /// [`Ask::ListOpen`], and [`Ask::ListOrders`] of open orders.
    ListOpen,
    /// [`Ask::ListFills`] and [`Ask::ListTrades`].
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

    /// Whether it places orders.
    pub fn creates(self) -> bool {
        matches!(self, AskKind::Create | AskKind::CreateBatch)
    }

    /// Whether it can change an order.
    pub fn changes_orders(self) -> bool {
        self.creates() || self == AskKind::Amend || self.cancels()
    }
}

impl Ask {
    /// Which kind.
    pub fn kind(&self) -> AskKind {
        match self {
            Ask::Create(_) | Ask::Place(_) => AskKind::Create,
            Ask::PlaceBatch { .. } => AskKind::CreateBatch,
            Ask::Amend(_) => AskKind::Amend,
            Ask::Cancel(_) => AskKind::Cancel,
            Ask::CancelBatch { .. } => AskKind::CancelBatch,
            Ask::CancelAll { .. } | Ask::CancelScope { .. } => AskKind::CancelAll,
            Ask::Query(_) => AskKind::Query,
            Ask::ListOrders(page) if !page.ended => AskKind::ListOpen,
            Ask::History(_) | Ask::ListOrders(_) => AskKind::History,
            Ask::ListOpen { .. } => AskKind::ListOpen,
            Ask::ListFills { .. } | Ask::ListTrades(_) => AskKind::ListFills,
            Ask::Balances => AskKind::Balances,
            Ask::Positions => AskKind::Positions,
            Ask::Instruments => AskKind::Instruments,
            Ask::Time => AskKind::Time,
            Ask::SetCountdown { .. } => AskKind::SetCountdown,
            Ask::ReadCountdown => AskKind::ReadCountdown,
        }
    }

    /// The signed deadline of a create.
    pub(super) fn not_after(&self) -> Option<Micros> {
        match self {
            Ask::Create(new) => new.not_after,
            Ask::Place(placement) => placement.order.not_after,
            Ask::PlaceBatch { placements } => placements.iter().filter_map(|placement| placement.order.not_after).min(),
            _ => None,
        }
    }

    /// How many items a batch has.
    pub(super) fn item_count(&self) -> usize {
        match self {
            Ask::PlaceBatch { placements } => placements.len(),
            _ => self.named().len(),
        }
    }

    /// The orders it names.
    pub(super) fn named(&self) -> &[OrderRef] {
        match self {
            Ask::Cancel(which) | Ask::Query(which) | Ask::History(which) => std::slice::from_ref(which),
            Ask::Amend(amendment) => std::slice::from_ref(&amendment.which),
            Ask::CancelBatch { orders } => orders,
            _ => &[],
        }
    }
}
