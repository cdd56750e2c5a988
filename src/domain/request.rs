//! What we ask a venue, and what its answer means.
//!
//! Always holds: an `Answered` says what is *proven*. Silence, a broken body and a 5xx are `Unknown`; only what the
//! venue says it did or did not do is `Done` or `Refused`; only what never left is `NotSent`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::{ClientOrderId, Symbol, VenueId, VenueOrderId};
use super::instrument::InstrumentRules;
use super::money::Decimal;
use super::order::{Create, FillRow, OrderKey, OrderRow};
use super::time::{Boot, Wall};

/// A request's number, unique within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Where the next page of a list begins, in the venue's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page(pub String);

/// What a venue can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Place an order. Never sent twice by any layer.
    Create(Create),
    /// Cancel one order. May be repeated.
    Cancel(OrderKey),
    /// Cancel several, answered one by one.
    CancelBatch(Vec<OrderKey>),
    /// The order by its id, live or recently ended.
    Query(OrderKey),
    /// The order in the venue's history.
    History(OrderKey),
    /// A page of the open orders of the whole account.
    ListOpen(Option<Page>),
    /// A page of our fills since a moment, oldest first.
    ListFills(Wall, Option<Page>),
    /// What the account holds.
    Balances,
    /// The account's contracts.
    Positions,
    /// The instruments and their rules.
    Instruments,
    /// The venue's clock.
    Time,
    /// What the key may do, and how the account is set up.
    Access,
    /// Cancel every order of a scope, foreign ones included: only where the account is ours alone.
    CancelAll(Scope),
    /// Arm the venue's dead man's switch for so long from now, or disarm it.
    SetSwitch(Option<Duration>),
    /// Whether the venue's switch is armed.
    ReadSwitch,
}

/// What one cancel-all covers, in the venue's words. `VenueTraits::cancel_all_scopes` lists them; together they are
/// the whole account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(pub String);

/// How urgent a request is; smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Takes risk off.
    Cancel,
    /// Settles what is not known.
    Resolve,
    /// Looks after the books.
    Books,
    /// Puts risk on.
    Create,
}

impl Call {
    /// How urgent it is.
    pub fn urgency(&self) -> Urgency {
        match self {
            // A switch is renewed with the urgency of a cancel: it is what cancels when we cannot.
            Call::Cancel(_) | Call::CancelBatch(_) | Call::CancelAll(_) | Call::SetSwitch(_) => Urgency::Cancel,
            Call::Query(_) | Call::History(_) | Call::ListOpen(_) | Call::ListFills(..) => Urgency::Resolve,
            Call::Balances | Call::Positions | Call::Instruments | Call::Time | Call::Access | Call::ReadSwitch => {
                Urgency::Books
            }
            Call::Create(_) => Urgency::Create,
        }
    }

    /// Whether it can raise exposure: such a call reads the gate before its first byte.
    pub fn raises_exposure(&self) -> bool {
        matches!(self, Call::Create(_))
    }

    /// A short name for logs and counters.
    pub fn word(&self) -> &'static str {
        match self {
            Call::Create(_) => "create",
            Call::Cancel(_) => "cancel",
            Call::CancelBatch(_) => "cancel_batch",
            Call::Query(_) => "query",
            Call::History(_) => "history",
            Call::ListOpen(_) => "list_open",
            Call::ListFills(..) => "list_fills",
            Call::Balances => "balances",
            Call::Positions => "positions",
            Call::Access => "access",
            Call::CancelAll(_) => "cancel_all",
            Call::SetSwitch(_) => "set_switch",
            Call::ReadSwitch => "read_switch",
            Call::Instruments => "instruments",
            Call::Time => "time",
        }
    }
}

/// A call on its way to a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// To whom.
    pub venue: VenueId,
    /// What.
    pub call: Call,
    /// Not to be sent after this: a create older than its deadline ends unsent.
    pub not_after: Boot,
}

/// What an answer proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The venue did it, or told us.
    Done(Facts),
    /// The venue did not do it, and says why.
    Refused(Refusal),
    /// Not executed; ask again after this wait (rate limit, maintenance with a time).
    Later {
        /// How long.
        wait: Duration,
        /// The venue's words.
        why: String,
    },
    /// Not one byte left (gate shut, no connection).
    NotSent(String),
    /// It may or may not have been executed.
    Unknown(String),
}

/// A proven refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// The venue's words.
    pub text: String,
}

/// Kinds of refusal that lead to different acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// "No such order": filled, cancelled, or not there yet. Proves nothing alone.
    NotFound,
    /// The order has ended already; a query tells how.
    AlreadyEnded,
    /// A cancel of it is under way already.
    AlreadyCanceling,
    /// A post-only order would have crossed.
    WouldCross,
    /// Not enough money.
    Funds,
    /// Too many orders rest already.
    TooManyOrders,
    /// A client id was used before: an earlier try went in.
    DuplicateId,
    /// It came too late or too fast: nothing against the order itself.
    NotNow,
    /// Anything else: our mistake or the venue's rule.
    Other,
}

/// What a venue told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facts {
    /// The order was taken (it may rest, or soon).
    Created(VenueOrderId),
    /// The cancel was taken. Ends the order only where the venue's traits say so; then `filled` is final.
    CancelTaken {
        /// What was filled before, where the venue says.
        filled: Option<Decimal>,
    },
    /// A batch, item by item, named by client id. A missing item is unknown.
    Batch(BTreeMap<ClientOrderId, Answered>),
    /// The order, or the venue's word that it knows none.
    Order(Option<OrderRow>),
    /// A page of open orders.
    OpenOrders {
        /// The orders, foreign ones included.
        rows: Vec<OrderRow>,
        /// The next page; `None` on the last.
        next: Option<Page>,
    },
    /// A page of fills.
    Fills {
        /// The fills, oldest first.
        rows: Vec<FillRow>,
        /// The next page; `None` on the last.
        next: Option<Page>,
        /// The venue has reported every fill up to here.
        complete_to: Wall,
    },
    /// What the account holds.
    Balances(BTreeMap<String, Decimal>),
    /// The instruments.
    Instruments(Vec<InstrumentRules>),
    /// The venue's clock.
    Time(Wall),
    /// The account's contracts; what is not named is flat.
    Positions(Vec<PositionRow>),
    /// What the key may do.
    Access(Access),
    /// The switch: `Some(window)` while it is armed.
    Switch(Option<Duration>),
}

/// A contract position, as the venue shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionRow {
    /// Our symbol.
    pub symbol: Symbol,
    /// How much; negative when short.
    pub qty: Decimal,
    /// The price it was opened at, on average, where the venue says.
    pub entry: Option<Decimal>,
}

/// What a key may do and how its account is set up. `None`: the venue does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Access {
    /// Whether it may place and cancel orders.
    pub may_trade: Option<bool>,
    /// Whether it may take money out of the account.
    pub may_withdraw: Option<bool>,
    /// Whether the account keeps long and short positions of one contract apart, which this version cannot.
    pub hedge_mode: Option<bool>,
    /// Whether the venue's dead man's switch can be used with this account.
    pub switch: Option<bool>,
    /// What else the operator should know, in words: an expiry date, a missing address list.
    pub remarks: Vec<String>,
}

/// An answer with its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which request.
    pub id: RequestId,
    /// From whom.
    pub venue: VenueId,
    /// When its first byte may have left; `None` when none did.
    pub left_at: Option<Boot>,
    /// What it proves.
    pub answered: Answered,
}
