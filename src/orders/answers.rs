//! What an answer to a request of ours means for the orders it was about.
//!
//! Always holds: silence, a broken body and a refusal that proves nothing leave the order where it may still rest;
//! each item of a batch is judged by its own client id, a missing item as silence.

use super::desk::{About, Desk, Note};
use super::doubts::Question;
use super::moves::News;
use crate::domain::action::{Action, Level};
use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::order::VenueStatus;
use crate::domain::request::{Answer, Answered, Facts, Refusal, RefusalKind};
use crate::domain::time::{Boot, Stamp};
use std::time::Duration;

/// A cancel that was taken shows by a push; if none comes in this time, the order is asked about.
const PUSH_PATIENCE: Duration = Duration::from_millis(300);

impl Desk {
    /// Takes in an answer. One to a request this desk did not make (it began after a panic) says nothing here; the
    /// listings will.
    pub(super) fn answer(&mut self, at: Stamp, answer: Answer, out: &mut Vec<Action>) {
        let Some(pending) = self.pending.remove(&answer.id) else {
            return;
        };
        let (venue, asked_at) = (pending.venue, pending.asked.boot);
        match pending.about {
            About::Create(id) => self.create_answered(at, venue, id, answer, out),
            About::Cancel(id) => self.cancel_answered(at, id, answer.answered, false, out),
            About::CancelBatch(ids) => self.batch_answered(at, &ids, answer.answered, out),
            About::CancelAll => match answer.answered {
                // Taken: pushes, queries and listings show what it ended; what it did not is asked for by itself.
                Answered::Done(_) => {}
                other => {
                    self.notes.push(Note::CancelAllFailed(venue, word_of(&other)));
                    self.cancel_singly(at, venue);
                }
            },
            About::Ghost(id) => match answer.answered {
                Answered::Done(_) => {}
                other => self.notes.push(Note::CancelFailed(id, word_of(&other))),
            },
            About::Query(id) => self.query_answered(at, venue, id, (Question::Query, asked_at), answer.answered, out),
            About::History(id) => {
                self.query_answered(at, venue, id, (Question::History, asked_at), answer.answered, out)
            }
            About::ListOpen => match answer.answered {
                Answered::Done(Facts::OpenOrders { rows, next }) => self.listed_page(at, venue, rows, next, out),
                other => self.listing_failed(at, venue, wait_of(&other), &word_of(&other)),
            },
            About::ListFills => match answer.answered {
                Answered::Done(Facts::Fills { rows, next, complete_to }) => {
                    self.fills_page(at, venue, rows, (next, complete_to), out);
                }
                other => self.fills_failed(at, venue, wait_of(&other), &word_of(&other)),
            },
            About::Balances => match answer.answered {
                Answered::Done(Facts::Balances(balances)) => self.balances_in(venue, balances, out),
                other => self.notes.push(Note::AskFailed(venue, "balances", word_of(&other))),
            },
            About::Positions(n_rows) => match answer.answered {
                Answered::Done(Facts::Positions(rows)) => {
                    self.positions_in(venue, (pending.asked, n_rows), rows);
                    self.notes.push(Note::Positions(venue));
                }
                other => self.notes.push(Note::AskFailed(venue, "positions", word_of(&other))),
            },
            About::Access => match answer.answered {
                Answered::Done(Facts::Access(access)) => {
                    self.accounts[usize::from(venue.0)].access = Some(access);
                    self.notes.push(Note::Access(venue));
                }
                other => self.notes.push(Note::AskFailed(venue, "key", word_of(&other))),
            },
            About::Switch(ask) => self.switch_answered(at, venue, (ask, pending.asked), answer.answered, out),
            About::Instruments => match answer.answered {
                Answered::Done(Facts::Instruments(rules)) => {
                    let n_known = rules.into_iter().filter_map(|rules| self.catalogue.learn(venue, rules)).count();
                    self.notes.push(Note::Instruments(venue, n_known));
                }
                other => self.notes.push(Note::AskFailed(venue, "instruments", word_of(&other))),
            },
            About::Time => match answer.answered {
                Answered::Done(Facts::Time(theirs)) => {
                    // Asked, stamped by the venue, answered: the stamp lies somewhere between, so the middle it is.
                    let span = at.wall.millis().saturating_sub(pending.asked.wall.millis());
                    let offset_ms = theirs.millis().saturating_sub(pending.asked.wall.plus_millis(span / 2).millis());
                    let error = Duration::from_millis(span.unsigned_abs() / 2 + 1);
                    self.notes.push(Note::ClockOffset(venue, offset_ms, error));
                }
                other => self.notes.push(Note::AskFailed(venue, "clock", word_of(&other))),
            },
        }
    }

    fn create_answered(&mut self, at: Stamp, venue: VenueId, id: ClientOrderId, answer: Answer, out: &mut Vec<Action>) {
        let account = &mut self.accounts[usize::from(venue.0)];
        account.n_creates_on_their_way = account.n_creates_on_their_way.saturating_sub(1);
        account.last_create_left = account.last_create_left.max(answer.left_at);
        match answer.answered {
            Answered::Done(Facts::Created(venue_order_id)) => {
                self.name(id, &venue_order_id, out);
                self.news(at, id, News::Created, "", out);
            }
            Answered::NotSent(why) => self.news(at, id, News::EndedUnsent, &format!("not sent: {why}"), out),
            // Not executed, says the venue; a create is never sent twice, so this one is over.
            Answered::Later { why, .. } => {
                let refusal = Refusal { kind: RefusalKind::NotNow, text: why };
                self.create_refused(at, id, refusal, out);
            }
            // An earlier try went in after all, or someone used the id: the venue must say which.
            Answered::Refused(refusal) if refusal.kind == RefusalKind::DuplicateId => {
                self.news(at, id, News::NoAnswer, "", out);
            }
            Answered::Refused(refusal) => self.create_refused(at, id, refusal, out),
            Answered::Unknown(why) => {
                out.push(Action::Say(
                    Level::Warn,
                    format!("No proof about create {id}: {why}. It counts as open until the venue says"),
                ));
                self.news(at, id, News::NoAnswer, "", out);
            }
            Answered::Done(other) => {
                out.push(Action::Say(Level::Warn, format!("A create was answered with something else: {other:?}")));
                self.news(at, id, News::NoAnswer, "", out);
            }
        }
    }

    fn create_refused(&mut self, at: Stamp, id: ClientOrderId, refusal: Refusal, out: &mut Vec<Action>) {
        self.news(at, id, News::Rejected, &refusal.text, out);
        self.notes.push(Note::CreateRefused(id, refusal));
    }

    fn batch_answered(&mut self, at: Stamp, ids: &[ClientOrderId], answered: Answered, out: &mut Vec<Action>) {
        match answered {
            Answered::Done(Facts::Batch(mut items)) => {
                for id in ids {
                    let item =
                        items.remove(id).unwrap_or_else(|| Answered::Unknown("no line about it in the batch".into()));
                    self.cancel_answered(at, *id, item, true, out);
                }
            }
            other => {
                for id in ids {
                    self.cancel_answered(at, *id, other.clone(), true, out);
                }
            }
        }
    }

    fn cancel_answered(
        &mut self,
        at: Stamp,
        id: ClientOrderId,
        answered: Answered,
        in_batch: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(order) = self.orders.get(id) else { return };
        if !order.state.is_open() {
            // It has ended meanwhile (filled, or never sent): its cancel can only tell how much was filled.
            if let Answered::Done(Facts::CancelTaken { filled }) = answered {
                self.note_filled(at, id, filled);
            }
            return;
        }
        let (venue, arrives_by) = (order.key.venue, self.arrives_by(order));
        let (is_final, lag) = {
            let traits = &self.catalogue.venue(venue).traits;
            (traits.cancel_ack_is_final, traits.lag)
        };
        match answered {
            Answered::Done(Facts::CancelTaken { filled }) => {
                self.cancels.taken(id, at.boot);
                self.note_filled(at, id, filled);
                // An end without the sum of its fills could hide one: then the order is asked about first.
                if is_final && filled.is_some() {
                    self.news(at, id, News::CancelDone, "", out);
                } else {
                    self.news(at, id, News::CancelTaken, "", out);
                    self.doubt_if_open(id, at.boot.after(lag).after(PUSH_PATIENCE), arrives_by);
                }
            }
            Answered::Refused(Refusal { kind: RefusalKind::AlreadyCanceling, .. }) => {
                self.cancels.taken(id, at.boot);
                self.doubt_if_open(id, at.boot.after(lag).after(PUSH_PATIENCE), arrives_by);
            }
            // It ended, or is not there yet: neither is a proof. Ask about the order, and ask for the cancel again.
            Answered::Refused(refusal @ Refusal { kind: RefusalKind::NotFound | RefusalKind::AlreadyEnded, .. }) => {
                self.cancels.failed(id, at.boot, false);
                self.doubt_if_open(id, at.boot, arrives_by);
                if refusal.kind == RefusalKind::NotFound {
                    self.notes.push(Note::CancelFailed(id, refusal.text));
                }
            }
            Answered::Later { wait, .. } => self.cancels.again_after(id, at.boot, wait),
            other => {
                // One order may spoil its whole batch: every third time each of them is asked for by itself.
                // What never left says nothing about the batch.
                let spoils = !matches!(other, Answered::NotSent(_)) && self.cancels.is_third_try_next(id);
                let alone = in_batch && (matches!(other, Answered::Refused(_)) || spoils);
                self.cancels.failed(id, at.boot, alone);
                self.notes.push(Note::CancelFailed(id, word_of(&other)));
            }
        }
    }

    /// Doubts an order that may rest; one that has ended needs no questions.
    fn doubt_if_open(&mut self, id: ClientOrderId, first_at: Boot, arrives_by: Boot) {
        if let Some(order) = self.orders.get(id).filter(|order| order.state.is_open()) {
            self.doubts.raise(order.key.venue, id, first_at, arrives_by);
        }
    }

    fn query_answered(
        &mut self,
        at: Stamp,
        venue: VenueId,
        id: ClientOrderId,
        question: (Question, Boot),
        answered: Answered,
        out: &mut Vec<Action>,
    ) {
        let lacking = match answered {
            Answered::Done(Facts::Order(Some(row))) => {
                self.see(at, venue, &row, out);
                // Still open, as far as this answer knows: then the doubt was about the cancel. Ask for it again. An
                // answer nobody can read, or about another order, settles nothing.
                let tells = row.status != VenueStatus::Strange
                    && self.whose(venue, row.client_id.as_deref(), &row.venue_order_id) == Some(id);
                if tells && self.orders.get(id).is_some_and(|order| order.state.is_open()) {
                    self.doubts.settle(id);
                    self.cancels.hasten_taken(id, at.boot);
                }
                None
            }
            Answered::Done(Facts::Order(None)) => Some(question.0),
            Answered::Refused(Refusal { kind: RefusalKind::NotFound, .. }) => Some(question.0),
            _ => None,
        };
        self.doubts.back(id, at.boot, lacking, question.1);
    }
}

pub(super) fn wait_of(answered: &Answered) -> Duration {
    match answered {
        Answered::Later { wait, .. } => *wait,
        _ => Duration::ZERO,
    }
}

pub(super) fn word_of(answered: &Answered) -> String {
    match answered {
        Answered::Done(facts) => format!("an answer to another question: {facts:?}"),
        Answered::Refused(refusal) => format!("refused: {}", refusal.text),
        Answered::Later { why, .. } => format!("not now: {why}"),
        Answered::NotSent(why) => format!("not sent: {why}"),
        Answered::Unknown(why) => format!("no answer that proves anything: {why}"),
    }
}
