//! An order: what we ask for, what state it is in, what the venue says about it.
//!
//! Always holds: `OrderState::is_open` is the one definition of "may rest on the book"; a `Create` exists only for an
//! order that passed the risk gate (`Checked`) and whose intent is on disk (`Sealed`).
//! Never does: change an order. That is `orders::machine`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{ClientOrderId, InstrumentId, Symbol, TradeId, VenueId, VenueOrderId};
use super::money::{Decimal, Lots, PriceTicks};
use super::time::{Boot, Wall};

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Side {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
}

impl Side {
    /// The other side.
    pub fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// `BUY` or `SELL`.
    pub fn word(self) -> &'static str {
        match self {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

/// How long an order rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeInForce {
    /// Until canceled.
    Gtc,
    /// Until canceled, and never as a taker.
    PostOnly,
    /// What fills at once; the rest is canceled.
    Ioc,
}

/// What we ask the venue for. All a limit order can say in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderTerms {
    /// What.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// At which price or better.
    pub price: PriceTicks,
    /// How much.
    pub qty: Lots,
    /// For how long.
    pub time_in_force: TimeInForce,
}

/// Terms that passed the risk gate. Only `engine::risk` mints it (`tests/tidy.rs` watches), so an unchecked order
/// cannot become a `Create`:
///
/// ```compile_fail
/// fn forge(terms: lastorders::domain::order::OrderTerms) -> lastorders::domain::order::Checked {
///     lastorders::domain::order::Checked::mint(terms)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked(OrderTerms);

impl Checked {
    /// For the risk gate alone.
    pub(crate) fn mint(terms: OrderTerms) -> Checked {
        Checked(terms)
    }

    /// What was checked.
    pub fn terms(&self) -> &OrderTerms {
        &self.0
    }
}

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(pub u64);

/// The store's word that every record up to here survives. Only the store thread mints it.
///
/// ```compile_fail
/// let forged = lastorders::domain::order::Durable::synced(lastorders::domain::order::Lsn(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable(Lsn);

impl Durable {
    /// For the store thread alone (and its stand-ins in tests).
    pub(crate) fn synced(up_to: Lsn) -> Durable {
        Durable(up_to)
    }

    /// Up to where.
    pub fn up_to(&self) -> Lsn {
        self.0
    }

    /// A seal for a record this word covers.
    pub fn seal(&self, record: Lsn) -> Option<Sealed> {
        (record <= self.0).then_some(Sealed(record))
    }
}

/// The intent of this order is on disk. Made only from the store's `Durable`:
///
/// ```compile_fail
/// let forged = lastorders::domain::order::Sealed(lastorders::domain::order::Lsn(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed(Lsn);

impl Sealed {
    /// The record.
    pub fn lsn(&self) -> Lsn {
        self.0
    }
}

/// Which order a request is about, in the venue's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderKey {
    /// Where.
    pub venue: VenueId,
    /// Our symbol of it.
    pub symbol: Symbol,
    /// Our id; always known.
    pub client_id: ClientOrderId,
    /// The venue's id, once it told us.
    pub venue_order_id: Option<VenueOrderId>,
}

/// A create that may go out: risk-checked and recorded. With both, this compiles:
///
/// ```
/// use lastorders::domain::money::Decimal;
/// use lastorders::domain::order::{Checked, Create, OrderKey, Sealed};
/// fn send(key: OrderKey, checked: Checked, sealed: Sealed, price: Decimal, qty: Decimal) -> Create {
///     Create::new(key, checked, sealed, price, qty)
/// }
/// ```
///
/// An order that passed no check has no `Checked`, so it has no `Create` either:
///
/// ```compile_fail
/// use lastorders::domain::money::Decimal;
/// use lastorders::domain::order::{Create, OrderKey, OrderTerms, Sealed};
/// fn send(key: OrderKey, terms: OrderTerms, sealed: Sealed, price: Decimal, qty: Decimal) -> Create {
///     Create::new(key, terms, sealed, price, qty)
/// }
/// ```
///
/// And one without a durable record has no `Sealed`:
///
/// ```compile_fail
/// use lastorders::domain::money::Decimal;
/// use lastorders::domain::order::{Checked, Create, Lsn, OrderKey};
/// fn send(key: OrderKey, checked: Checked, record: Lsn, price: Decimal, qty: Decimal) -> Create {
///     Create::new(key, checked, record, price, qty)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Its names.
    pub key: OrderKey,
    checked: Checked,
    sealed: Sealed,
    /// The price on the wire.
    pub price: Decimal,
    /// The quantity on the wire.
    pub qty: Decimal,
}

impl Create {
    /// Brings together what must have happened before an order may leave.
    pub fn new(key: OrderKey, checked: Checked, sealed: Sealed, price: Decimal, qty: Decimal) -> Create {
        Create { key, checked, sealed, price, qty }
    }

    /// What was checked.
    pub fn terms(&self) -> &OrderTerms {
        self.checked.terms()
    }

    /// Where its intent is recorded.
    pub fn sealed(&self) -> Sealed {
        self.sealed
    }
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Nothing is left of it.
    Filled,
    /// Taken off the book, with or without fills; or ended before it left.
    Canceled,
    /// The venue never took it.
    Rejected,
    /// The venue ended it by its own rules.
    Expired,
}

/// Where an order stands; "the answer was lost" is a state. What outlives a state (the venue's id, what is filled) is
/// kept on the order, because an ended order still needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Recorded, not sent.
    New,
    /// Handed over; no answer yet.
    Sent {
        /// Whether a cancel was asked for meanwhile.
        cancel_asked: bool,
    },
    /// It left, no answer came: it may rest on the book. Only evidence ends this.
    Unknown {
        /// Since when.
        since: Boot,
        /// Whether a cancel was asked for meanwhile.
        cancel_asked: bool,
    },
    /// On the book.
    Resting,
    /// A cancel is under way and may still lose against a fill.
    Canceling,
    /// Ended.
    Done(Outcome),
}

impl OrderState {
    /// May rest on the book, now or in a moment: counts for every limit and must be cancelled at a stop. `New` counts
    /// for limits too (see `counts_for_limits`) but cannot rest: nothing of it has left.
    pub fn is_open(&self) -> bool {
        match self {
            OrderState::Sent { .. } | OrderState::Unknown { .. } | OrderState::Resting | OrderState::Canceling => true,
            OrderState::New | OrderState::Done(_) => false,
        }
    }

    /// Counts for exposure and for the cap on what we may own.
    pub fn counts_for_limits(&self) -> bool {
        matches!(self, OrderState::New) || self.is_open()
    }

    /// Ended for good (more fills may still be booked).
    pub fn is_terminal(&self) -> bool {
        matches!(self, OrderState::Done(_))
    }

    /// The name in files, logs and API; `filled` decides between `OPEN` and `PARTIALLY_FILLED`.
    pub fn name(&self, filled: Lots) -> StateName {
        match self {
            OrderState::New => StateName::New,
            OrderState::Sent { .. } => StateName::Sent,
            OrderState::Unknown { .. } => StateName::Unknown,
            OrderState::Resting if filled.is_zero() => StateName::Open,
            OrderState::Resting => StateName::PartiallyFilled,
            OrderState::Canceling => StateName::PendingCancel,
            OrderState::Done(Outcome::Filled) => StateName::Filled,
            OrderState::Done(Outcome::Canceled) => StateName::Canceled,
            OrderState::Done(Outcome::Rejected) => StateName::Rejected,
            OrderState::Done(Outcome::Expired) => StateName::Expired,
        }
    }
}

/// The ten names a state has in files, logs and API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StateName {
    /// Recorded, not sent.
    New,
    /// Handed to a worker.
    Sent,
    /// It may rest; nobody knows.
    Unknown,
    /// On the book.
    Open,
    /// On the book, in part filled.
    PartiallyFilled,
    /// A cancel is under way.
    PendingCancel,
    /// Ended full.
    Filled,
    /// Ended by a cancel.
    Canceled,
    /// Never taken.
    Rejected,
    /// Ended by the venue's rules.
    Expired,
}

impl StateName {
    /// Every name, in the order of the table.
    pub const ALL: [StateName; 10] = [
        StateName::New,
        StateName::Sent,
        StateName::Unknown,
        StateName::Open,
        StateName::PartiallyFilled,
        StateName::PendingCancel,
        StateName::Filled,
        StateName::Canceled,
        StateName::Rejected,
        StateName::Expired,
    ];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            StateName::New => "NEW",
            StateName::Sent => "SENT",
            StateName::Unknown => "UNKNOWN",
            StateName::Open => "OPEN",
            StateName::PartiallyFilled => "PARTIALLY_FILLED",
            StateName::PendingCancel => "PENDING_CANCEL",
            StateName::Filled => "FILLED",
            StateName::Canceled => "CANCELED",
            StateName::Rejected => "REJECTED",
            StateName::Expired => "EXPIRED",
        }
    }

    /// Whether an order of this name has ended.
    pub fn is_terminal(self) -> bool {
        match self {
            StateName::Filled | StateName::Canceled | StateName::Rejected | StateName::Expired => true,
            StateName::New
            | StateName::Sent
            | StateName::Unknown
            | StateName::Open
            | StateName::PartiallyFilled
            | StateName::PendingCancel => false,
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

/// A trade of an order of ours, as the venue reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The venue's id: booked once.
    pub trade_id: TradeId,
    /// At.
    pub price: Decimal,
    /// How much.
    pub qty: Decimal,
    /// What it cost us; negative for a rebate.
    pub fee: Decimal,
    /// In which currency.
    pub fee_asset: String,
    /// Whether we were the resting side.
    pub maker: bool,
    /// When, by the venue.
    pub at: Wall,
}

/// A fill with the names of its order, from a push or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillRow {
    /// Our symbol.
    pub symbol: Symbol,
    /// The client id as the venue keeps it; foreign orders have others or none.
    pub client_id: Option<String>,
    /// The venue's id of the order.
    pub venue_order_id: VenueOrderId,
    /// Which way.
    pub side: Side,
    /// What came about.
    pub kind: FillKind,
    /// The trade.
    pub fill: Fill,
}

/// What a line of an account's list of executions is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillKind {
    /// A trade of an order.
    Trade,
    /// Funding of a position: only the fee counts, no quantity changes hands.
    Funding,
    /// The venue took the position away.
    Liquidation,
    /// The venue reduced the position against someone else's liquidation.
    Deleveraging,
    /// The contract was settled.
    Settlement,
    /// What the account held when our books began. Never in a venue's list: `orders::contracts` makes it.
    Opening,
}

impl FillKind {
    /// In words, for the operator.
    pub fn words(self) -> &'static str {
        match self {
            FillKind::Trade => "trade of an order that is not ours",
            FillKind::Funding => "funding",
            FillKind::Liquidation => "LIQUIDATION",
            FillKind::Deleveraging => "AUTO-DELEVERAGING",
            FillKind::Settlement => "settlement",
            FillKind::Opening => "taken over",
        }
    }

    /// Whether quantity changes hands. Funding is money alone.
    pub fn moves_quantity(self) -> bool {
        self != FillKind::Funding
    }
}

/// What a venue says an order's state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueStatus {
    /// On the book (or about to be).
    Open,
    /// A cancel is queued.
    PendingCancel,
    /// Ended.
    Ended(Outcome),
    /// A word we do not know: ask again, conclude nothing.
    Strange,
}

/// An order as the venue shows it: in a push, a listing or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Our symbol.
    pub symbol: Symbol,
    /// The client id as the venue keeps it; foreign orders have others or none.
    pub client_id: Option<String>,
    /// The venue's id.
    pub venue_order_id: VenueOrderId,
    /// Which way.
    pub side: Side,
    /// At.
    pub price: Decimal,
    /// How much in all.
    pub qty: Decimal,
    /// How much of it is filled.
    pub filled: Decimal,
    /// Where it stands.
    pub status: VenueStatus,
    /// The venue's words for an end, if any.
    pub reason: String,
}

impl OrderRow {
    /// The client id, when it has the form of ours (of any instance).
    pub fn our_id(&self) -> Option<ClientOrderId> {
        self.client_id.as_deref()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_states_agree_about_the_end() {
        let states = [
            OrderState::New,
            OrderState::Sent { cancel_asked: false },
            OrderState::Unknown { since: Boot::ZERO, cancel_asked: false },
            OrderState::Resting,
            OrderState::Canceling,
            OrderState::Done(Outcome::Filled),
            OrderState::Done(Outcome::Canceled),
            OrderState::Done(Outcome::Rejected),
            OrderState::Done(Outcome::Expired),
        ];
        for state in states {
            assert_eq!(state.is_terminal(), state.name(Lots::ZERO).is_terminal(), "{state:?}");
            assert!(!(state.is_open() && state.is_terminal()), "{state:?}");
        }
    }

    #[test]
    fn a_seal_needs_the_stores_word_for_that_record() {
        assert!(Durable::synced(Lsn(4)).seal(Lsn(5)).is_none());
        assert!(Durable::synced(Lsn(5)).seal(Lsn(5)).is_some());
    }
}
