//! The table of legal moves: which news takes an order from which state to which.
//!
//! Always holds: an ended order stays ended; `UNKNOWN` ends only by what a venue said or by proven absence; a cancel
//! that was asked for is never forgotten; a fill fits every state.
//! Never does: look at anything but state, size and news.

use crate::domain::money::Lots;
use crate::domain::order::{OrderState, Outcome};
use crate::domain::time::Boot;

/// What can be learnt about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Its record is durable and it goes to the outbox.
    HandedOver,
    /// Not one byte of it left.
    EndedUnsent,
    /// The venue took the create.
    Created,
    /// The venue refused the create.
    Rejected,
    /// The create got no answer that proves anything.
    NoAnswer,
    /// We ask for its cancel.
    CancelAsked,
    /// The venue took the cancel, which is not the end.
    CancelTaken,
    /// The venue took the cancel and that is the end (where its traits say so).
    CancelDone,
    /// A push, query or listing shows it open.
    SeenOpen,
    /// A push, query or listing shows its cancel queued.
    SeenCanceling,
    /// A push, query or history shows its end.
    SeenEnded(Outcome),
    /// It traded. Booked whatever the answer of this table.
    Fill,
    /// Listing, query, history and fills all lack it, long enough after the last moment it could have arrived.
    Absent,
}

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Into this state.
    To(OrderState),
    /// Nothing new: late, repeated, or outrun by other news.
    Stay,
    /// Not possible: counted and shown to the operator, nothing changes.
    Refuse,
}

/// What an order becomes. `left` is what of it is not filled, a fill in the news included.
pub fn next(state: OrderState, left: Lots, news: News, at: Boot) -> Move {
    use Move::{Refuse, Stay, To};
    use OrderState::{Canceling, Done, New, Resting, Sent, Unknown};
    let seen_open = |cancel_asked: bool| To(if cancel_asked { Canceling } else { Resting });
    match (news, state) {
        (News::HandedOver, New) => To(Sent { cancel_asked: false }),
        (News::HandedOver, Sent { .. } | Unknown { .. } | Resting | Canceling | Done(_)) => Refuse,

        (News::EndedUnsent, New | Sent { .. }) => To(Done(Outcome::Canceled)),
        (News::EndedUnsent, Unknown { .. } | Resting | Canceling | Done(_)) => Refuse,

        (News::Created, Sent { cancel_asked } | Unknown { cancel_asked, .. }) => seen_open(cancel_asked),
        (News::Created, Resting | Canceling | Done(_)) => Stay,
        (News::Created, New) => Refuse,

        (News::Rejected, Sent { .. } | Unknown { .. }) => To(Done(Outcome::Rejected)),
        // Some venues push the end of a refused order as a cancel or an expiry, and the push may outrun the answer.
        (News::Rejected, Done(Outcome::Rejected | Outcome::Canceled | Outcome::Expired)) => Stay,
        (News::Rejected, New | Resting | Canceling | Done(Outcome::Filled)) => Refuse,

        (News::NoAnswer, Sent { cancel_asked }) => To(Unknown { since: at, cancel_asked }),
        (News::NoAnswer, Unknown { .. } | Resting | Canceling | Done(_)) => Stay,
        (News::NoAnswer, New) => Refuse,

        (News::CancelAsked, Sent { .. }) => To(Sent { cancel_asked: true }),
        (News::CancelAsked, Unknown { since, .. }) => To(Unknown { since, cancel_asked: true }),
        (News::CancelAsked, Resting) => To(Canceling),
        (News::CancelAsked, Canceling) => Stay,
        (News::CancelAsked, New | Done(_)) => Refuse,

        // A queued cancel does not say that the order was there: UNKNOWN stays.
        (News::CancelTaken, Sent { .. } | Unknown { .. } | Canceling | Done(_)) => Stay,
        (News::CancelTaken, Resting) => To(Canceling),
        (News::CancelTaken, New) => Refuse,

        (News::CancelDone, Sent { .. } | Unknown { .. } | Resting | Canceling) => To(Done(Outcome::Canceled)),
        (News::CancelDone, Done(_)) => Stay,
        (News::CancelDone, New) => Refuse,

        (News::SeenOpen, Sent { cancel_asked } | Unknown { cancel_asked, .. }) => seen_open(cancel_asked),
        // A list may be behind the book: it never reopens an ended order. Whoever needs proof asks again.
        (News::SeenOpen, Resting | Canceling | Done(_)) => Stay,
        (News::SeenOpen, New) => Refuse,

        (News::SeenCanceling, Sent { .. } | Unknown { .. } | Resting) => To(Canceling),
        (News::SeenCanceling, Canceling | Done(_)) => Stay,
        (News::SeenCanceling, New) => Refuse,

        (News::SeenEnded(outcome), Sent { .. } | Unknown { .. } | Resting | Canceling) => To(Done(outcome)),
        (News::SeenEnded(_), Done(_)) => Stay,
        (News::SeenEnded(_), New) => Refuse,

        (News::Fill, Done(Outcome::Filled)) => Stay,
        (News::Fill, _) if left.is_zero() => To(Done(Outcome::Filled)),
        (News::Fill, Sent { cancel_asked } | Unknown { cancel_asked, .. }) => seen_open(cancel_asked),
        (News::Fill, New) => To(Resting),
        (News::Fill, Resting | Canceling | Done(Outcome::Canceled | Outcome::Expired)) => Stay,
        // A refused order that traded was taken after all; what is left of it is gone.
        (News::Fill, Done(Outcome::Rejected)) => To(Done(Outcome::Canceled)),

        (News::Absent, Unknown { .. }) => To(Done(Outcome::Rejected)),
        (News::Absent, Resting | Canceling) => To(Done(Outcome::Canceled)),
        (News::Absent, Done(_)) => Stay,
        // While the create is unanswered nobody knows when it left, or whether.
        (News::Absent, New | Sent { .. }) => Refuse,
    }
}
