//! The table of moves, cell by cell, and the races it is there for.

use std::collections::BTreeMap;

use crate::domain::money::Lots;
use crate::domain::order::{OrderState, Outcome};
use crate::domain::time::Boot;
use crate::orders::moves::{Move, News, next};

/// `+`: a cancel was asked for. `.`: stays. `!`: refused. A fill that leaves something is `fill`, one that leaves
/// nothing is `fill all`.
///
/// Read across: what a piece of news makes of an order in each state.
/// - A fill fits every state, even `NEW` (then somebody else's order has our id, and it rests).
/// - An end that the venue refuses or we never sent is impossible for an order that was seen at the venue; one that
///   ended without resting (`REJECTED`, and `CANCELED` or `EXPIRED` by a push that outran the answer) may hear it again.
/// - Absence proves nothing while the create is unanswered, so `SENT` refuses it: the desk waits for the answer.
const TABLE: &str = "
news              | NEW    SENT     SENT+    UNKNOWN  UNKNOWN+ OPEN     PENDING  FILLED CANCELED REJECTED EXPIRED
handed over       | SENT   !        !        !        !        !        !        !      !        !        !
ended unsent      | CANCELED CANCELED CANCELED !      !        !        !        !      !        !        !
created           | !      OPEN     PENDING  OPEN     PENDING  .        .        .      .        .        .
rejected          | !      REJECTED REJECTED REJECTED REJECTED !        !        !      .        .        .
no answer         | !      UNKNOWN  UNKNOWN+ .        .        .        .        .      .        .        .
cancel asked      | !      SENT+    SENT+    UNKNOWN+ UNKNOWN+ PENDING  .        !      !        !        !
cancel taken      | !      .        .        .        .        PENDING  .        .      .        .        .
cancel done       | !      CANCELED CANCELED CANCELED CANCELED CANCELED CANCELED .      .        .        .
seen open         | !      OPEN     PENDING  OPEN     PENDING  .        .        .      .        .        .
seen canceling    | !      PENDING  PENDING  PENDING  PENDING  PENDING  .        .      .        .        .
seen filled       | !      FILLED   FILLED   FILLED   FILLED   FILLED   FILLED   .      .        .        .
seen canceled     | !      CANCELED CANCELED CANCELED CANCELED CANCELED CANCELED .      .        .        .
seen rejected     | !      REJECTED REJECTED REJECTED REJECTED REJECTED REJECTED .      .        .        .
seen expired      | !      EXPIRED  EXPIRED  EXPIRED  EXPIRED  EXPIRED  EXPIRED  .      .        .        .
fill              | OPEN   OPEN     PENDING  OPEN     PENDING  .        .        .      .        CANCELED .
fill all          | FILLED FILLED   FILLED   FILLED   FILLED   FILLED   FILLED   .      FILLED   FILLED   FILLED
absent            | !      !        !        REJECTED REJECTED CANCELED CANCELED .      .        .        .
";

const EARLIER: Boot = Boot::from_nanos(3);
const NOW: Boot = Boot::from_nanos(7);

/// The table's word for a state. No `_` arm: a new state does not compile until it has a column.
fn word(state: OrderState) -> &'static str {
    match state {
        OrderState::New => "NEW",
        OrderState::Sent { cancel_asked: false } => "SENT",
        OrderState::Sent { cancel_asked: true } => "SENT+",
        OrderState::Unknown { cancel_asked: false, .. } => "UNKNOWN",
        OrderState::Unknown { cancel_asked: true, .. } => "UNKNOWN+",
        OrderState::Resting => "OPEN",
        OrderState::Canceling => "PENDING",
        OrderState::Done(Outcome::Filled) => "FILLED",
        OrderState::Done(Outcome::Canceled) => "CANCELED",
        OrderState::Done(Outcome::Rejected) => "REJECTED",
        OrderState::Done(Outcome::Expired) => "EXPIRED",
    }
}

/// The table's words for news. No `_` arm: new news does not compile until it has a row.
fn words(news: News, leaves_nothing: bool) -> &'static str {
    match news {
        News::HandedOver => "handed over",
        News::EndedUnsent => "ended unsent",
        News::Created => "created",
        News::Rejected => "rejected",
        News::NoAnswer => "no answer",
        News::CancelAsked => "cancel asked",
        News::CancelTaken => "cancel taken",
        News::CancelDone => "cancel done",
        News::SeenOpen => "seen open",
        News::SeenCanceling => "seen canceling",
        News::SeenEnded(Outcome::Filled) => "seen filled",
        News::SeenEnded(Outcome::Canceled) => "seen canceled",
        News::SeenEnded(Outcome::Rejected) => "seen rejected",
        News::SeenEnded(Outcome::Expired) => "seen expired",
        News::Fill if leaves_nothing => "fill all",
        News::Fill => "fill",
        News::Absent => "absent",
    }
}

fn all_states() -> Vec<OrderState> {
    let mut states = vec![OrderState::New, OrderState::Resting, OrderState::Canceling];
    for cancel_asked in [false, true] {
        states.push(OrderState::Sent { cancel_asked });
        states.push(OrderState::Unknown { since: EARLIER, cancel_asked });
    }
    states.extend(OUTCOMES.map(OrderState::Done));
    states
}

const OUTCOMES: [Outcome; 4] = [Outcome::Filled, Outcome::Canceled, Outcome::Rejected, Outcome::Expired];

/// All news, each with whether it leaves nothing of the order.
pub(super) fn all_news() -> Vec<(News, bool)> {
    let mut news = vec![
        News::HandedOver,
        News::EndedUnsent,
        News::Created,
        News::Rejected,
        News::NoAnswer,
        News::CancelAsked,
        News::CancelTaken,
        News::CancelDone,
        News::SeenOpen,
        News::SeenCanceling,
        News::Absent,
    ];
    news.extend(OUTCOMES.map(News::SeenEnded));
    let mut news: Vec<_> = news.into_iter().map(|news| (news, false)).collect();
    news.extend([(News::Fill, false), (News::Fill, true)]);
    news
}

/// Row and column to cell.
fn cells(table: &'static str) -> BTreeMap<(&'static str, &'static str), &'static str> {
    let mut lines = table.trim().lines().filter_map(|line| line.split_once('|'));
    let (_, head) = lines.next().unwrap();
    let columns: Vec<_> = head.split_whitespace().collect();
    let mut cells = BTreeMap::new();
    for (row, line) in lines {
        let found: Vec<_> = line.split_whitespace().collect();
        assert_eq!(found.len(), columns.len(), "row `{}`", row.trim());
        for (column, cell) in columns.iter().zip(found) {
            assert!(cells.insert((row.trim(), *column), cell).is_none(), "row `{}` stands twice", row.trim());
        }
    }
    cells
}

#[test]
fn every_state_takes_every_news_as_the_table_says() {
    let mut cells = cells(TABLE);
    for state in all_states() {
        for (news, leaves_nothing) in all_news() {
            let place = (words(news, leaves_nothing), word(state));
            let wanted = cells.remove(&place).unwrap_or_else(|| panic!("no cell for {place:?}"));
            let left = if leaves_nothing { Lots::ZERO } else { Lots::new(1).unwrap() };
            let got = match next(state, left, news, NOW) {
                Move::Stay => ".",
                Move::Refuse => "!",
                Move::To(state) => word(state),
            };
            assert_eq!(got, wanted, "{place:?}");
        }
    }
    assert!(cells.is_empty(), "cells for states or news that do not exist: {cells:?}");
}

#[test]
fn how_long_an_order_is_unknown_counts_from_the_lost_answer() {
    let unknown = Move::To(OrderState::Unknown { since: NOW, cancel_asked: true });
    assert_eq!(next(OrderState::Sent { cancel_asked: true }, Lots::ZERO, News::NoAnswer, NOW), unknown);
    let unknown = OrderState::Unknown { since: EARLIER, cancel_asked: false };
    let asked = Move::To(OrderState::Unknown { since: EARLIER, cancel_asked: true });
    assert_eq!(next(unknown, Lots::ZERO, News::CancelAsked, NOW), asked, "asking to cancel is no news of the order");
}

#[test]
fn nothing_but_a_fill_moves_an_ended_order_and_nothing_reopens_it() {
    for outcome in OUTCOMES {
        for (news, leaves_nothing) in all_news() {
            let left = if leaves_nothing { Lots::ZERO } else { Lots::new(1).unwrap() };
            match next(OrderState::Done(outcome), left, news, NOW) {
                Move::Stay | Move::Refuse => {}
                Move::To(OrderState::Done(_)) => assert_eq!(news, News::Fill, "{outcome:?}"),
                Move::To(state) => panic!("{news:?} makes {state:?} of an order that ended {outcome:?}"),
            }
        }
    }
}

/// Runs one order of two lots, already handed over, through a line of news. A word with `!` at its end is the venue's
/// answer to what the word alone asks for; each `fill` trades one lot.
fn check(line: &str, wanted: &str) {
    let mut state = OrderState::Sent { cancel_asked: false };
    let mut left = 2;
    let mut got = Vec::new();
    for step in line.split_whitespace() {
        let news = match step {
            "ack" => News::Created,
            "nack" => News::Rejected,
            "unsent" => News::EndedUnsent,
            "silence" => News::NoAnswer,
            "cancel?" => News::CancelAsked,
            "cancel..." => News::CancelTaken,
            "cancel!" => News::CancelDone,
            "open" => News::SeenOpen,
            "canceling" => News::SeenCanceling,
            "canceled" => News::SeenEnded(Outcome::Canceled),
            "filled" => News::SeenEnded(Outcome::Filled),
            "expired" => News::SeenEnded(Outcome::Expired),
            "fill" => News::Fill,
            "absent" => News::Absent,
            other => panic!("no such step: {other}"),
        };
        left -= i64::from(news == News::Fill);
        match next(state, Lots::new(left).unwrap(), news, NOW) {
            Move::To(to) => state = to,
            Move::Stay => {}
            Move::Refuse => {
                got.push("REFUSED");
                continue;
            }
        }
        got.push(word(state));
    }
    assert_eq!(got.join(" "), wanted, "{line}");
}

#[test]
fn a_fill_wins_the_race_against_a_cancel() {
    check("ack cancel? fill fill cancel!", "OPEN PENDING PENDING FILLED FILLED");
    check("ack cancel? fill fill canceled", "OPEN PENDING PENDING FILLED FILLED");
    check("cancel? fill fill ack", "SENT+ PENDING FILLED FILLED");
}

#[test]
fn a_fill_after_the_cancel_is_booked_on_an_ended_order() {
    check("ack cancel? cancel! fill", "OPEN PENDING CANCELED CANCELED");
    check("ack cancel? canceled fill fill", "OPEN PENDING CANCELED CANCELED FILLED");
    check("ack expired fill fill", "OPEN EXPIRED EXPIRED FILLED");
}

#[test]
fn a_cancel_of_a_create_in_flight_is_not_forgotten_when_the_create_is_answered() {
    check("cancel? ack", "SENT+ PENDING");
    check("cancel? cancel... ack canceled", "SENT+ SENT+ PENDING CANCELED");
    check("cancel? silence cancel... open canceled", "SENT+ UNKNOWN+ UNKNOWN+ PENDING CANCELED");
    check("cancel? unsent", "SENT+ CANCELED");
}

#[test]
fn a_lost_answer_is_ended_by_evidence_only() {
    check("silence cancel? cancel...", "UNKNOWN UNKNOWN+ UNKNOWN+");
    check("silence silence absent", "UNKNOWN UNKNOWN REJECTED");
    check("silence open", "UNKNOWN OPEN");
    check("silence fill", "UNKNOWN OPEN");
    check("silence cancel? cancel!", "UNKNOWN UNKNOWN+ CANCELED");
    check("absent", "REFUSED");
}

#[test]
fn pushes_that_outrun_the_answer_are_believed_and_the_answer_changes_nothing() {
    check("open ack", "OPEN OPEN");
    check("fill fill ack", "OPEN FILLED FILLED");
    check("canceled ack open", "CANCELED CANCELED CANCELED");
    check("canceled nack", "CANCELED CANCELED");
    check("fill fill silence", "OPEN FILLED FILLED");
}

#[test]
fn what_contradicts_the_venues_own_word_is_refused() {
    check("ack nack", "OPEN REFUSED");
    check("ack unsent", "OPEN REFUSED");
    check("silence unsent", "UNKNOWN REFUSED");
    check("filled nack", "FILLED REFUSED");
    check("nack fill", "REJECTED CANCELED");
}
