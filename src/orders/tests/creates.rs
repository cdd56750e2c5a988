//! From the intent to the order on the book, and what a lost answer leads to.

use super::bench::*;
use crate::domain::event::Event;
use crate::domain::order::{Durable, Lsn, Outcome, StateName, VenueStatus};
use crate::domain::request::{Answered, Call, Facts, RefusalKind};
use crate::orders::desk::Note;

#[test]
fn a_create_leaves_only_when_the_disk_holds_its_record() {
    let mut bench = Bench::new();
    let first = bench.intend(MAIN);
    let first_lsn = bench.state.journal_seq;
    let second = bench.intend(MAIN);
    bench.pass(DEADLINE_MS);
    assert!(bench.wire.is_empty());
    bench.take(Event::Durable(Durable::synced(Lsn(first_lsn.0 - 1))));
    assert!(bench.wire.is_empty(), "that word does not cover it");
    bench.take(Event::Durable(Durable::synced(first_lsn)));
    assert_eq!((bench.state_of(first), bench.state_of(second)), (StateName::Sent, StateName::New));
    let request = bench.next("create").unwrap();
    assert!(matches!(&request.call, Call::Create(create) if create.key.client_id == first
        && create.sealed().lsn() == first_lsn && create.qty == lots(QTY)));
    assert_eq!(request.not_after, bench.at.boot.after(ms(DEADLINE_MS)), "late it ends unsent");
    bench.durable();
    bench.durable();
    assert_eq!(bench.waiting(), ["create"], "once");
    bench.agrees_with_its_records();
}

#[test]
fn an_intent_whose_record_took_too_long_never_leaves() {
    let mut bench = Bench::new();
    let id = bench.intend(MAIN);
    bench.pass(DEADLINE_MS + 1);
    bench.durable();
    assert!(bench.wire.is_empty(), "its price is of a market that has gone");
    assert_eq!(bench.state_of(id), StateName::Canceled);
    bench.agrees_with_its_records();
}

#[test]
fn after_the_gate_is_shut_nothing_leaves_and_nothing_is_taken_in() {
    let mut bench = Bench::new();
    let id = bench.intend(MAIN);
    bench.with(|desk, at, out| desk.shut_gate(at, out));
    bench.durable();
    assert!(bench.wire.is_empty());
    assert_eq!(bench.state_of(id), StateName::Canceled);
    bench.agrees_with_its_records();
}

#[test]
fn a_new_order_that_is_cancelled_never_leaves() {
    let mut bench = Bench::new();
    let id = bench.intend(MAIN);
    bench.cancel(id);
    bench.durable();
    assert!(bench.wire.is_empty());
    assert_eq!(bench.state_of(id), StateName::Canceled);
}

#[test]
fn each_answer_to_a_create_means_what_it_proves() {
    let created = |id| Answered::Done(Facts::Created(venue_id(id)));
    for (answered, wanted) in [
        (None, StateName::Open),
        (Some(refused(RefusalKind::WouldCross)), StateName::Rejected),
        (Some(refused(RefusalKind::Other)), StateName::Rejected),
        (Some(refused(RefusalKind::DuplicateId)), StateName::Unknown),
        (Some(later(1_000)), StateName::Rejected),
        (Some(Answered::NotSent("gate".into())), StateName::Canceled),
        (Some(lost()), StateName::Unknown),
        (Some(Answered::Done(Facts::Order(None))), StateName::Unknown),
    ] {
        let mut bench = Bench::new();
        let id = bench.sent(MAIN);
        bench.answer_create(id, answered.clone().unwrap_or_else(|| created(id)));
        assert_eq!(bench.state_of(id), wanted, "{answered:?}");
        assert_eq!(bench.n_waiting("create"), 0, "a create is never sent twice");
        assert_eq!(bench.desk.has_doubts(), wanted == StateName::Unknown);
        let told = bench.notes.iter().any(|note| matches!(note, Note::CreateRefused(..)));
        assert_eq!(told, wanted == StateName::Rejected);
        bench.agrees_with_its_records();
    }
}

#[test]
fn a_create_without_an_answer_is_asked_about_until_the_venue_shows_it() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.answer_create(id, lost());
    for _ in 0..20 {
        bench.reply("query", lost());
        assert_eq!(bench.state_of(id), StateName::Unknown);
        bench.pass_slowly(2_100);
    }
    bench.reply("query", Answered::Done(Facts::Order(Some(open(id)))));
    assert_eq!(bench.state_of(id), StateName::Open);
    bench.pass_slowly(10_000);
    assert!(bench.wire.is_empty(), "nothing is in doubt any more: {:?}", bench.waiting());
    bench.agrees_with_its_records();
}

/// Answers every question about orders for a while as a venue that knows nothing of ours would, except the source
/// named. Gives how long the order stayed unknown.
fn unknown_for(bench: &mut Bench, id: crate::domain::ids::ClientOrderId, silent: &str, millis: u64) -> Option<u64> {
    let began = bench.at.boot;
    while bench.at.boot.since(began) < ms(millis) {
        while let Some(place) = bench.wire.iter().position(|request| request.call.word() != "create") {
            let request = bench.wire.remove(place);
            let answered = match request.call {
                ref call if call.word() == silent => lost(),
                Call::Query(_) => Answered::Done(Facts::Order(None)),
                Call::History(_) => refused(RefusalKind::NotFound),
                Call::ListOpen(_) => listing(vec![foreign_row("someone")]),
                Call::ListFills(..) => bench.fills(Vec::new()),
                ref other => panic!("why {other:?}?"),
            };
            bench.answer(&request, answered);
        }
        if bench.state_of(id).is_terminal() {
            return Some(u64::try_from(bench.at.boot.since(began).as_millis()).unwrap());
        }
        bench.pass(10);
    }
    None
}

#[test]
fn absence_ends_an_unknown_order_when_a_fresh_one_would_show_and_not_before() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.answer_create(id, lost());
    let lasted_ms = unknown_for(&mut bench, id, "nothing", 60_000).expect("four sources lack it");
    const { assert!(SETTLE_MS > DEADLINE_MS + LAG_MS) };
    assert!(lasted_ms >= SETTLE_MS, "ended after {lasted_ms} ms, when it could rest and not show yet");
    assert!(lasted_ms <= SETTLE_MS + 1_000, "and soon after: {lasted_ms} ms");
    assert_eq!(bench.state_of(id), StateName::Rejected);
    bench.agrees_with_its_records();
}

#[test]
fn three_of_four_sources_prove_nothing_however_long_they_say_so() {
    for silent in ["query", "history", "list_open", "list_fills"] {
        let mut bench = Bench::new();
        let id = bench.sent(MAIN);
        bench.answer_create(id, lost());
        assert_eq!(unknown_for(&mut bench, id, silent, 120_000), None, "without {silent}");
        assert_eq!(bench.state_of(id), StateName::Unknown);
    }
}

#[test]
fn a_create_that_is_not_answered_yet_is_not_absent_however_often_the_venue_lacks_it() {
    let mut bench = Bench::new();
    let id = bench.sent(PLAIN);
    // This venue cancels by its own id only, so the order is looked up while its create is still out.
    bench.cancel(id);
    assert_eq!(unknown_for(&mut bench, id, "nothing", 20_000), None);
    assert_eq!(bench.state_of(id), StateName::Sent);
    assert_eq!(bench.desk.tally().refused_news, 0, "and nothing impossible was concluded: {:?}", bench.said);
    bench.answer_create(id, lost());
    let lasted_ms = unknown_for(&mut bench, id, "nothing", 20_000).expect("what was seen meanwhile counts");
    assert!(lasted_ms < 100, "{lasted_ms} ms");
}

#[test]
fn a_status_nobody_can_read_settles_nothing() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.answer_create(id, lost());
    bench.reply("query", Answered::Done(Facts::Order(Some(row(id, VenueStatus::Strange, 0)))));
    assert_eq!(bench.state_of(id), StateName::Unknown);
    bench.pass_slowly(3_000);
    bench.reply("query", Answered::Done(Facts::Order(Some(open(id)))));
    assert_eq!(bench.state_of(id), StateName::Open);
}

#[test]
fn a_push_that_shows_the_order_ends_the_questions_about_it() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.answer_create(id, lost());
    bench.reply("query", lost());
    bench.push(MAIN, open(id));
    assert!(!bench.desk.has_doubts());
    bench.pass_slowly(10_000);
    assert!(bench.wire.is_empty(), "{:?}", bench.waiting());
}

#[test]
fn a_push_that_outruns_the_answer_is_believed() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.fill(MAIN, bench.trade(id, "t-1", QTY));
    bench.push(MAIN, ended(id, Outcome::Filled, QTY));
    bench.answer_create(id, lost());
    assert_eq!((bench.state_of(id), bench.filled(id)), (StateName::Filled, QTY));
    assert!(!bench.desk.has_doubts());
    bench.agrees_with_its_records();
}

#[test]
fn a_second_venue_id_alarms_and_hides_no_move() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.push(MAIN, row(id, VenueStatus::Strange, 0));
    bench.answer_create(id, Answered::Done(Facts::Created(crate::domain::ids::VenueOrderId::new("other"))));
    assert_eq!(bench.state_of(id), StateName::Open);
    assert_eq!(bench.alarms().len(), 1);
    bench.agrees_with_its_records();
    let mut nameless = bench.trade(id, "t-1", 1);
    nameless.client_id = None;
    nameless.venue_order_id = crate::domain::ids::VenueOrderId::new("other");
    bench.fill(MAIN, nameless);
    assert_eq!(bench.filled(id), 1, "and it is watched under both");
}

#[test]
fn in_a_dry_run_nothing_is_written_or_sent() {
    let mut bench = Bench::new();
    bench.desk.identity.mode = crate::domain::settings::Mode::DryRun;
    let id = bench.intend(MAIN);
    bench.durable();
    bench.pass_slowly(5_000);
    assert_eq!((bench.state_of(id), bench.state.journal_seq), (StateName::New, Lsn(0)));
    assert!(bench.wire.is_empty());
}
