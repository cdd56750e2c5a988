//! Cancels: alone and in batches, answered well, badly, in part and not at all.

use std::time::Duration;

use super::bench::*;
use crate::domain::ids::ClientOrderId;
use crate::domain::order::{Outcome, StateName, VenueStatus};
use crate::domain::rates::{Billing, Bucket, CallClass, Charge};
use crate::domain::request::{Answered, Call, Facts, RefusalKind, Request};
use crate::orders::desk::Note;

fn ids_of(request: &Request) -> Vec<ClientOrderId> {
    match &request.call {
        Call::Cancel(key) => vec![key.client_id],
        Call::CancelBatch(keys) => keys.iter().map(|key| key.client_id).collect(),
        _ => Vec::new(),
    }
}

/// This many resting orders, their cancels wanted and sent.
fn canceling(n: usize) -> (Bench, Vec<ClientOrderId>) {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..n).map(|_| bench.resting(MAIN)).collect();
    bench.with(|desk, at, out| {
        for id in &ids {
            desk.cancel(at, *id, 0, out);
        }
        desk.work(at, out);
    });
    (bench, ids)
}

fn batch(items: impl IntoIterator<Item = (ClientOrderId, Answered)>) -> Answered {
    Answered::Done(Facts::Batch(items.into_iter().collect()))
}

#[test]
fn one_order_is_cancelled_alone_and_many_in_batches() {
    let (bench, _) = canceling(1);
    assert_eq!(bench.waiting(), ["cancel"]);
    let (bench, ids) = canceling(25);
    let sizes: Vec<_> = bench.wire.iter().map(|request| ids_of(request).len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    let mut asked: Vec<_> = bench.wire.iter().flat_map(ids_of).collect();
    asked.sort();
    assert_eq!(asked, ids, "each once");
}

#[test]
fn an_acknowledged_cancel_is_final_only_where_the_venue_says_so() {
    let mut bench = Bench::new();
    let (later_done, done) = (bench.resting(MAIN), bench.resting(PLAIN));
    for id in [later_done, done] {
        bench.cancel(id);
        bench.reply("cancel", Answered::Done(Facts::CancelTaken { filled: Some(lots(0)) }));
    }
    assert_eq!((bench.state_of(later_done), bench.state_of(done)), (StateName::PendingCancel, StateName::Canceled));
    bench.pass_slowly(1_000);
    bench.reply("query", Answered::Done(Facts::Order(Some(ended(later_done, Outcome::Canceled, 0)))));
    assert_eq!(bench.state_of(later_done), StateName::Canceled, "nobody pushed it, so it was asked about");
    bench.pass_slowly(5_000);
    assert!(bench.wire.is_empty(), "{:?}", bench.waiting());
    bench.agrees_with_its_records();
}

#[test]
fn a_cancel_that_ends_an_order_tells_which_fills_are_owed_and_they_are_fetched() {
    let mut bench = Bench::new();
    let id = bench.resting(PLAIN);
    bench.cancel(id);
    bench.reply("cancel", Answered::Done(Facts::CancelTaken { filled: Some(lots(3)) }));
    assert_eq!(bench.state_of(id), StateName::Canceled);
    bench.pass_slowly(500);
    let fills = bench.fills(vec![bench.trade(id, "t-1", 3)]);
    bench.reply("list_fills", fills);
    assert_eq!((bench.state_of(id), bench.filled(id)), (StateName::Canceled, 3));
    bench.agrees_with_its_records();
}

#[test]
fn a_final_cancel_that_does_not_say_what_was_filled_is_asked_about() {
    let mut bench = Bench::new();
    let id = bench.resting(PLAIN);
    bench.cancel(id);
    bench.reply("cancel", Answered::Done(Facts::CancelTaken { filled: None }));
    bench.pass_slowly(1_000);
    bench.reply("query", Answered::Done(Facts::Order(Some(ended(id, Outcome::Canceled, 4)))));
    assert_eq!(bench.state_of(id), StateName::Canceled);
    assert_eq!(bench.desk.orders.owed_at(PLAIN).count(), 1);
}

#[test]
fn every_partial_batch_is_judged_item_by_item_by_client_id() {
    let (ready, ids) = canceling(10);
    for subset in 0..1_024_usize {
        let mut bench = ready.clone();
        let request = bench.next("cancel_batch").unwrap();
        let is_in = |place: usize| subset >> place & 1 == 1;
        // What the batch does not list failed in one of four ways, one of them a missing line. The map that carries
        // the items has no order of its own: see the next test for venues that shuffle.
        let items = ids.iter().enumerate().filter_map(|(place, id)| {
            let how = match (is_in(place), (place + subset) % 4) {
                (true, _) => Some(taken()),
                (false, 0) => Some(refused(RefusalKind::Other)),
                (false, 1) => Some(refused(RefusalKind::NotFound)),
                (false, 2) => Some(lost()),
                (false, _) => None,
            };
            how.map(|how| (*id, how))
        });
        bench.answer(&request, batch(items));
        for (place, id) in ids.iter().enumerate() {
            let failed = bench.notes.iter().any(|note| matches!(note, Note::CancelFailed(failed, _) if failed == id));
            assert_eq!(failed, !is_in(place), "subset {subset}, item {place}");
            assert_eq!(bench.state_of(*id), StateName::PendingCancel, "none of it is an end");
        }
        // What was not taken is asked for again within a second, what was taken not before it had time to show.
        let mut again: Vec<_> = (0..20)
            .flat_map(|_| {
                bench.pass(50);
                std::mem::take(&mut bench.wire)
            })
            .flat_map(|request| ids_of(&request))
            .collect();
        again.sort();
        let wanted: Vec<_> = ids.iter().enumerate().filter(|(place, _)| !is_in(*place)).map(|(_, id)| *id).collect();
        assert_eq!(again, wanted, "subset {subset}");
    }
}

#[test]
fn ends_pushed_in_any_order_reach_the_right_orders() {
    let (ready, ids) = canceling(10);
    for subset in 0..1_024_usize {
        let mut bench = ready.clone();
        let request = bench.next("cancel_batch").unwrap();
        bench.answer(&request, batch(ids.iter().map(|id| (*id, taken()))));
        let step = [1, 3, 7, 9][subset % 4];
        for place in (0..10).map(|turn| (turn * step + subset) % 10).filter(|place| subset >> place & 1 == 1) {
            let filled = i64::try_from(place).unwrap() % 3;
            bench.push(MAIN, ended(ids[place], Outcome::Canceled, filled));
        }
        for (place, id) in ids.iter().enumerate() {
            let is_in = subset >> place & 1 == 1;
            let wanted = if is_in { StateName::Canceled } else { StateName::PendingCancel };
            assert_eq!(bench.state_of(*id), wanted, "subset {subset}, order {place}");
            let owes = bench.desk.orders.owed_at(MAIN).any(|order| order.id() == *id);
            assert_eq!(owes, is_in && place % 3 > 0, "subset {subset}, order {place}");
        }
    }
}

#[test]
fn what_a_batch_refused_goes_alone_next_and_what_was_lost_goes_together_again() {
    let (mut bench, ids) = canceling(4);
    let request = bench.next("cancel_batch").unwrap();
    let item = |place: usize| if place < 2 { refused(RefusalKind::Other) } else { lost() };
    bench.answer(&request, batch(ids.iter().enumerate().map(|(place, id)| (*id, item(place)))));
    bench.pass(250);
    let mut asked: Vec<_> = bench.wire.iter().map(ids_of).collect();
    asked.sort();
    assert_eq!(asked, [vec![ids[0]], vec![ids[1]], vec![ids[2], ids[3]]]);
}

#[test]
fn a_whole_batch_that_was_refused_goes_one_by_one_and_a_lost_one_as_a_batch() {
    let (mut bench, _) = canceling(3);
    bench.reply("cancel_batch", refused(RefusalKind::Other));
    bench.pass(250);
    assert_eq!(bench.waiting(), ["cancel", "cancel", "cancel"]);
    let (mut bench, _) = canceling(3);
    bench.reply("cancel_batch", lost());
    bench.pass(250);
    assert_eq!(bench.waiting(), ["cancel_batch"]);
}

#[test]
fn a_rate_limited_batch_is_sent_as_a_batch_again_when_the_venue_said() {
    let (mut bench, ids) = canceling(10);
    bench.reply("cancel_batch", later(5_000));
    bench.pass_slowly(4_950);
    assert!(bench.wire.is_empty(), "not before");
    bench.pass(50);
    assert_eq!(bench.wire.iter().flat_map(ids_of).count(), ids.len());
    assert_eq!(bench.waiting(), ["cancel_batch"]);
}

#[test]
fn a_refusal_alone_ends_no_order() {
    for kind in [
        RefusalKind::NotFound,
        RefusalKind::AlreadyEnded,
        RefusalKind::AlreadyCanceling,
        RefusalKind::Other,
        RefusalKind::TooManyOrders,
    ] {
        let (mut bench, ids) = canceling(1);
        bench.reply("cancel", refused(kind));
        assert_eq!(bench.state_of(ids[0]), StateName::PendingCancel, "{kind:?}");
        bench.pass_slowly(3_000);
        assert!(bench.n_waiting("cancel") > 0, "{kind:?}: it is asked for again");
        if kind != RefusalKind::Other && kind != RefusalKind::TooManyOrders {
            assert_eq!(bench.n_waiting("query"), 1, "{kind:?}: and asked about");
        }
    }
}

#[test]
fn not_found_for_an_order_that_rests_leads_to_its_cancel_all_the_same() {
    let (mut bench, ids) = canceling(1);
    bench.reply("cancel", refused(RefusalKind::NotFound));
    bench.reply("query", Answered::Done(Facts::Order(Some(open(ids[0])))));
    assert_eq!(bench.state_of(ids[0]), StateName::PendingCancel);
    assert!(bench.wire.is_empty(), "a venue that denies what rests is not asked as fast as it answers");
    bench.pass_slowly(1_000);
    assert_eq!(bench.waiting(), ["cancel"], "but within the second");
    bench.reply("cancel", taken());
    bench.push(MAIN, ended(ids[0], Outcome::Canceled, 0));
    assert_eq!(bench.state_of(ids[0]), StateName::Canceled);
    bench.pass_slowly(5_000);
    assert!(bench.wire.is_empty());
}

#[test]
fn a_taken_cancel_of_an_order_that_still_rests_is_asked_for_again_at_once() {
    let (mut bench, ids) = canceling(1);
    bench.reply("cancel", taken());
    bench.pass_slowly(LAG_MS + 300);
    bench.reply("query", Answered::Done(Facts::Order(Some(open(ids[0])))));
    assert_eq!(bench.waiting(), ["cancel"]);
}

#[test]
fn at_most_one_cancel_of_an_order_is_on_its_way() {
    let (mut bench, ids) = canceling(1);
    bench.push(MAIN, row(ids[0], VenueStatus::PendingCancel, 0));
    bench.push(MAIN, row(ids[0], VenueStatus::Open, 1));
    bench.cancel(ids[0]);
    bench.pass_slowly(30_000);
    assert_eq!(bench.n_waiting("cancel"), 1);
}

#[test]
fn the_answer_to_a_create_sends_no_second_cancel_while_the_first_is_out() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.cancel(id);
    bench.answer_create(id, Answered::Done(Facts::Created(venue_id(id))));
    bench.pass(0);
    assert_eq!(bench.waiting(), ["cancel"]);
    bench.reply("cancel", refused(RefusalKind::NotFound));
    bench.pass_slowly(1_000);
    assert_eq!(bench.n_waiting("cancel"), 1, "the first may have come too early");
}

#[test]
fn an_order_without_an_exchange_id_is_cancelled_by_client_id() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.cancel(id);
    let request = bench.next("cancel").unwrap();
    assert!(matches!(&request.call, Call::Cancel(key) if key.client_id == id && key.venue_order_id.is_none()));
    bench.answer(&request, refused(RefusalKind::NotFound));
    assert_eq!(bench.state_of(id), StateName::Sent);
    // And again each second until it is settled.
    for _ in 0..10 {
        bench.pass_slowly(1_000);
        bench.reply("cancel", refused(RefusalKind::NotFound));
    }
    bench.answer_create(id, Answered::Done(Facts::Created(venue_id(id))));
    assert_eq!(bench.state_of(id), StateName::PendingCancel);
    bench.pass(0);
    let request = bench.next("cancel").unwrap();
    assert!(matches!(&request.call, Call::Cancel(key) if key.venue_order_id == Some(venue_id(id))));
}

#[test]
fn where_the_venue_wants_its_own_id_the_order_is_looked_up_first() {
    let mut bench = Bench::new();
    let id = bench.sent(PLAIN);
    bench.cancel(id);
    bench.pass_slowly(500);
    assert_eq!(bench.n_waiting("cancel"), 0, "it would be refused");
    bench.reply("query", Answered::Done(Facts::Order(Some(open(id)))));
    bench.pass(0);
    let request = bench.next("cancel").unwrap();
    assert!(matches!(&request.call, Call::Cancel(key) if key.venue_order_id == Some(venue_id(id))));
    bench.answer(&request, Answered::Done(Facts::CancelTaken { filled: Some(lots(0)) }));
    assert_eq!(bench.state_of(id), StateName::Canceled);
}

#[test]
fn a_fill_during_the_cancel_and_one_after_it_are_both_booked() {
    let (mut bench, ids) = canceling(1);
    bench.fill(MAIN, bench.trade(ids[0], "t-1", 4));
    assert_eq!(bench.state_of(ids[0]), StateName::PendingCancel);
    bench.reply("cancel", taken());
    bench.push(MAIN, ended(ids[0], Outcome::Canceled, 4));
    bench.fill(MAIN, bench.trade(ids[0], "t-2", 1));
    assert_eq!((bench.state_of(ids[0]), bench.filled(ids[0])), (StateName::Canceled, 5));
    bench.fill(MAIN, bench.trade(ids[0], "t-3", 5));
    bench.fill(MAIN, bench.trade(ids[0], "t-3", 5));
    assert_eq!((bench.state_of(ids[0]), bench.filled(ids[0])), (StateName::Filled, QTY));
    bench.agrees_with_its_records();
}

#[test]
fn orders_that_a_stop_cancels_are_closed_with_its_reason() {
    let mut bench = Bench::new();
    let id = bench.resting(PLAIN);
    bench.with(|desk, _, _| desk.close_with_reason("graceful_shutdown"));
    bench.cancel(id);
    bench.reply("cancel", Answered::Done(Facts::CancelTaken { filled: Some(lots(0)) }));
    assert_eq!(bench.desk.orders.get(id).unwrap().reason, "graceful_shutdown");
    assert_eq!(bench.state.orders.recently_closed[0].reason, "graceful_shutdown");
}

#[test]
fn single_cancels_go_between_batches_where_the_venue_bills_them_apart() {
    let charge = |class, bucket| Charge { class, kind: None, bucket, per_request: 0, per_order: 1 };
    let bucket = || Bucket { name: String::new(), limit: 10, per: Duration::from_secs(1) };
    let charges = vec![charge(CallClass::CancelOne, 0), charge(CallClass::CancelBatch, 1)];
    let billing = Billing { buckets: vec![bucket(), bucket()], charges };
    let mut bench = Bench::with_main(|traits| traits.billing = billing);
    let ids: Vec<_> = (0..45).map(|_| bench.resting(MAIN)).collect();
    bench.with(|desk, at, out| {
        for id in &ids {
            desk.cancel(at, *id, 0, out);
        }
        desk.work(at, out);
    });
    let sizes: Vec<_> = bench.wire.iter().map(|request| ids_of(request).len()).collect();
    let round = [&[10][..], &[1; 10]].concat();
    assert_eq!(sizes, [round.clone(), round, vec![5]].concat());
    let mut asked: Vec<_> = bench.wire.iter().flat_map(ids_of).collect();
    asked.sort();
    assert_eq!(asked, ids, "each once");
}
