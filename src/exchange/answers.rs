//! What the model says: answers, pushes, quotes and ledger lines. Its own types, like its requests.

use serde::{Deserialize, Serialize};

use super::asks::{AccountId, Micros, OrderMarks, Ticket};
use super::limits::LimitInfo;
use crate::domain::ids::{Symbol, TradeId, VenueOrderId};
use crate::domain::instrument::InstrumentRules;
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};

/// Something that leaves the model. They are to be carried out in the order they come: a ledger line must be written
/// before anything after it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emit {
    /// A line of JSON for the ledger, without the line break.
    Ledger(String),
    /// The answer to a request.
    Answer(Ticket, Reply),
    /// News for the holder of an account.
    Push(AccountId, Push),
    /// The best prices of a symbol.
    Quote(Quote),
}

/// Best prices and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// What.
    pub symbol: Symbol,
    /// Best buyer: price and quantity.
    pub bid: Option<(Decimal, Decimal)>,
    /// Best seller: price and quantity.
    pub ask: Option<(Decimal, Decimal)>,
    /// When.
    pub at: Micros,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What came of it.
    pub result: Result<Body, ErrorCode>,
    /// What is left of the rate limit it counted against.
    pub limit: Option<LimitInfo>,
    /// The venue's clock when it decided.
    pub at: Micros,
}

/// What a good answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The order was accepted; whether it rests, filled or was taken back, the pushes tell.
    Created(Names),
    /// The cancel was taken.
    CancelTaken {
        /// Of which order.
        names: Names,
        /// With a synchronous cancel: how much was filled, finally. Otherwise the order leaves the book a moment later.
        filled: Option<Decimal>,
    },
    /// A batch, item by item. Neither order nor completeness is promised.
    Batch(Vec<BatchItem>),
    /// Orders the cancel-all was taken for.
    AllCanceled(Vec<Names>),
    /// An order.
    Order(OrderView),
    /// A page of open orders.
    OpenOrders {
        /// The orders.
        rows: Vec<OrderView>,
        /// Where the next page begins; `None` on the last.
        next: Option<String>,
    },
    /// A page of fills.
    Fills {
        /// The fills.
        rows: Vec<FillView>,
        /// Where the next page begins; `None` on the last.
        next: Option<String>,
        /// Everything up to here is in the list.
        complete_to: Micros,
    },
    /// What the account holds.
    Balances(Vec<BalanceView>),
    /// The account's contracts.
    Positions(Vec<PositionView>),
    /// What is traded.
    Instruments(Vec<InstrumentRules>),
    /// The venue's clock.
    Time(Micros),
    /// When the dead man's switch runs out; `None` while it is disarmed.
    Countdown(Option<Micros>),
}

/// Both names of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The caller's.
    pub client_id: String,
    /// The venue's.
    pub order_id: VenueOrderId,
}

/// An item of a batch answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// The caller's name, as asked or as known.
    pub client_id: Option<String>,
    /// The venue's name, as asked or as known.
    pub order_id: Option<VenueOrderId>,
    /// As with a single cancel.
    pub result: Result<Option<Decimal>, ErrorCode>,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No such order is known.
    OrderNotFound,
    /// It has ended full.
    AlreadyFilled,
    /// It has ended otherwise.
    AlreadyCanceled,
    /// A cancel of it is under way.
    AlreadyCanceling,
    /// A post-only order would have taken.
    WouldCross,
    /// Not enough free money.
    Funds,
    /// Too many orders rest already.
    TooManyOrders,
    /// The client id is in use.
    DuplicateId,
    /// Too fast.
    RateLimited {
        /// When there is room again.
        retry_after_ms: u32,
    },
    /// It arrived after its signed deadline.
    Deadline,
    /// Something broke at the venue. The caller cannot know whether the request was carried out.
    Server,
    /// The request breaks a rule.
    BadRequest(String),
}

impl ErrorCode {
    /// A short name, as in the ledger.
    pub fn word(&self) -> &'static str {
        match self {
            ErrorCode::OrderNotFound => "order_not_found",
            ErrorCode::AlreadyFilled => "already_filled",
            ErrorCode::AlreadyCanceled => "already_canceled",
            ErrorCode::AlreadyCanceling => "already_canceling",
            ErrorCode::WouldCross => "would_cross",
            ErrorCode::Funds => "funds",
            ErrorCode::TooManyOrders => "too_many_orders",
            ErrorCode::DuplicateId => "duplicate_id",
            ErrorCode::RateLimited { .. } => "rate_limited",
            ErrorCode::Deadline => "deadline",
            ErrorCode::Server => "server",
            ErrorCode::BadRequest(_) => "bad_request",
        }
    }
}

/// News about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// An order's state.
    Order(OrderView),
    /// A fill.
    Fill(FillView),
}

/// Where an order stands, in this venue's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Live, nothing filled.
    New,
    /// Live, in part filled.
    PartiallyFilled,
    /// Ended full.
    Filled,
    /// Ended otherwise.
    Canceled,
    /// Accepted, then refused before it touched the book.
    Rejected,
}

impl Status {
    /// Whether the order has ended.
    pub fn ended(self) -> bool {
        match self {
            Status::New | Status::PartiallyFilled => false,
            Status::Filled | Status::Canceled | Status::Rejected => true,
        }
    }
}

/// Why an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing is left.
    Filled,
    /// Asked for, by itself, in a batch or with all.
    Cancelled,
    /// The dead man's switch ran out.
    Countdown,
    /// Post-only, and it would have taken; ends as canceled.
    PostOnlyWouldCross,
    /// The same, at a venue that calls it rejected.
    PostOnlyRejected,
    /// The rest of an IOC.
    IocRest,
    /// It met an order of its own account; the later one goes.
    SelfTrade,
    /// It could only have made a position smaller, and there was not that much left of it.
    ReduceOnly,
    /// Its account's position is being liquidated.
    Liquidation,
}

impl Reason {
    /// The word, as in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Filled => "filled",
            Reason::Cancelled => "cancelled",
            Reason::Countdown => "countdown",
            Reason::PostOnlyWouldCross => "post_only_would_cross",
            Reason::PostOnlyRejected => "post_only_rejected",
            Reason::IocRest => "ioc_rest",
            Reason::SelfTrade => "self_trade",
            Reason::ReduceOnly => "reduce_only",
            Reason::Liquidation => "liquidation",
        }
    }

    /// The status it ends in.
    pub(super) fn status(self) -> Status {
        match self {
            Reason::Filled => Status::Filled,
            Reason::PostOnlyRejected => Status::Rejected,
            Reason::Cancelled
            | Reason::Countdown
            | Reason::PostOnlyWouldCross
            | Reason::IocRest
            | Reason::SelfTrade
            | Reason::ReduceOnly
            | Reason::Liquidation => Status::Canceled,
        }
    }
}

/// An order as the venue shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// The caller's name.
    pub client_id: String,
    /// The venue's.
    pub order_id: VenueOrderId,
    /// What.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// At.
    pub price: Decimal,
    /// How much in all.
    pub qty: Decimal,
    /// How much of it is filled.
    pub filled: Decimal,
    /// For how long.
    pub time_in_force: TimeInForce,
    /// Where it stands.
    pub status: Status,
    /// Whether a cancel was taken and is not done yet.
    pub cancel_queued: bool,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// When it was accepted.
    pub created_at: Micros,
    /// When it ended.
    pub closed_at: Option<Micros>,
    /// What it says beyond its terms.
    pub marks: OrderMarks,
    /// Prices times quantities of its fills.
    pub worth: Decimal,
    /// Fees of its fills.
    pub paid: Decimal,
    /// When it changed last.
    pub updated_at: Micros,
}

/// Why something was booked on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An order of the account traded.
    Trade,
    /// Funding of a contract; the fee is what was paid.
    Funding,
    /// The venue closed the position.
    Liquidation,
    /// The venue closed the position against somebody's liquidation.
    AutoDeleverage,
}

/// A fill as the venue shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillView {
    /// The trade's name: the same on both sides, once for each order.
    pub trade_id: TradeId,
    /// The caller's name for the order.
    pub client_id: String,
    /// The venue's.
    pub order_id: VenueOrderId,
    /// What.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// At.
    pub price: Decimal,
    /// How much.
    pub qty: Decimal,
    /// What it cost; negative for a rebate.
    pub fee: Decimal,
    /// In which currency.
    pub fee_asset: String,
    /// Whether the order rested.
    pub maker: bool,
    /// When.
    pub at: Micros,
    /// Why. Anything but a trade has no order: both names are empty.
    pub cause: Cause,
}

/// What an account holds of a currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceView {
    /// Which.
    pub asset: String,
    /// All of it.
    pub total: Decimal,
    /// Held for open orders.
    pub locked: Decimal,
}

/// A contract position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionView {
    /// What.
    pub symbol: Symbol,
    /// How much; negative when short.
    pub qty: Decimal,
    /// What it was opened for; negative when short.
    pub cost: Decimal,
}
