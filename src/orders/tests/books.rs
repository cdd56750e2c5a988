//! Lists, fills, orders found, and what a restart makes of the file.

use std::collections::BTreeSet;

use super::bench::*;
use crate::domain::ids::ClientOrderId;
use crate::domain::order::{FillRow, OrderRow, Outcome, StateName, VenueStatus};
use crate::domain::request::{Answered, Call, Facts, Page};
use crate::orders::desk::Note;

fn list(bench: &mut Bench) {
    bench.with(|desk, at, out| desk.list(at, MAIN, out));
}

fn fetch(bench: &mut Bench) {
    bench.with(|desk, at, out| desk.fetch_fills(at, MAIN, out));
}

fn page(rows: Vec<OrderRow>, next: &str) -> Answered {
    Answered::Done(Facts::OpenOrders { rows, next: Some(Page(next.into())) })
}

fn fills_page(bench: &Bench, rows: Vec<FillRow>, next: &str) -> Answered {
    Answered::Done(Facts::Fills { rows, next: Some(Page(next.into())), complete_to: bench.at.wall })
}

fn listed(bench: &Bench) -> BTreeSet<ClientOrderId> {
    bench.desk.account(MAIN).last_listed().map(|listed| listed.ours.clone()).unwrap_or_default()
}

#[test]
fn a_listing_is_all_its_pages() {
    let mut bench = Bench::new();
    let (first, second) = (bench.resting(MAIN), bench.resting(MAIN));
    list(&mut bench);
    list(&mut bench);
    bench.reply("list_open", page(vec![open(first), foreign_row("someone")], "p2"));
    assert_eq!(bench.desk.account(MAIN).n_listings(), 0);
    let request = bench.reply("list_open", listing(vec![open(second), open(first)]));
    assert!(matches!(request.call, Call::ListOpen(Some(Page(next))) if next == "p2"));
    assert_eq!(listed(&bench), BTreeSet::from([first, second]));
    assert_eq!(bench.desk.account(MAIN).last_listed().unwrap().n_foreign, 1);
    assert!(bench.wire.is_empty(), "one listing, asked for once");
}

#[test]
fn a_page_error_makes_a_listing_nothing_not_empty() {
    let mut bench = Bench::new();
    bench.resting(MAIN);
    bench.pass(60_000);
    for broken in [lost(), later(50), refused(crate::domain::request::RefusalKind::Other)] {
        list(&mut bench);
        bench.reply("list_open", page(Vec::new(), "p2"));
        bench.reply("list_open", broken);
        assert!(matches!(bench.notes.last(), Some(Note::ListingFailed(MAIN, _))));
        bench.pass_slowly(1_000);
    }
    assert_eq!(bench.desk.account(MAIN).n_listings(), 0);
    assert!(bench.desk.account(MAIN).last_listed().is_none());
    assert!(!bench.desk.has_doubts(), "what a broken listing lacks is not missing");
}

#[test]
fn orders_of_others_are_left_alone_and_other_instances_are_named() {
    let mut bench = Bench::new();
    let stranger = strange_id(4);
    list(&mut bench);
    bench.reply("list_open", listing(vec![foreign_row("by-hand"), open(stranger)]));
    bench.push(MAIN, foreign_row("by-hand"));
    bench.push(MAIN, open(stranger));
    bench.fill(MAIN, bench.trade(stranger, "t-1", 1));
    bench.pass_slowly(5_000);
    assert!(bench.wire.is_empty() && bench.notes.iter().all(|note| matches!(note, Note::Listed(_))));
    assert_eq!((bench.desk.orders.n_open(), bench.desk.tally().foreign_fills), (0, 1));
    let listed = bench.desk.account(MAIN).last_listed().unwrap();
    assert!(listed.ours.is_empty() && listed.n_foreign == 1);
    assert_eq!(listed.strangers[&stranger.instance()], [stranger.as_str()]);
    bench.agrees_with_its_records();
}

#[test]
fn an_answer_about_a_strangers_order_is_not_taken_in() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.answer_create(id, lost());
    bench.reply("query", Answered::Done(Facts::Order(Some(open(strange_id(1))))));
    assert_eq!((bench.state_of(id), bench.desk.orders.n_open()), (StateName::Unknown, 1));
    bench.pass_slowly(3_000);
    assert_eq!(bench.n_waiting("query"), 1, "and the question stands");
}

#[test]
fn a_listed_order_without_its_client_id_is_known_by_the_venues() {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    bench.pass(60_000);
    list(&mut bench);
    bench.reply("list_open", listing(vec![OrderRow { client_id: None, ..open(id) }]));
    assert_eq!(listed(&bench), BTreeSet::from([id]));
    assert!(!bench.desk.has_doubts());
}

#[test]
fn where_the_two_ids_of_a_row_disagree_ours_decides() {
    let mut bench = Bench::new();
    let (first, second) = (bench.resting(MAIN), bench.resting(MAIN));
    bench.push(MAIN, OrderRow { venue_order_id: venue_id(first), ..ended(second, Outcome::Canceled, 0) });
    assert_eq!((bench.state_of(first), bench.state_of(second)), (StateName::Open, StateName::Canceled));
    assert_eq!(bench.alarms().len(), 1);
}

#[test]
fn an_order_that_a_listing_lacks_is_asked_about_and_not_ended() {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    bench.pass(LAG_MS);
    list(&mut bench);
    bench.reply("list_open", listing(Vec::new()));
    assert!(!bench.desk.has_doubts(), "the list may be behind the book by the lag");
    bench.pass(1_000);
    list(&mut bench);
    bench.reply("list_open", listing(Vec::new()));
    assert_eq!(bench.state_of(id), StateName::Open);
    bench.pass(0);
    bench.reply("query", Answered::Done(Facts::Order(Some(ended(id, Outcome::Expired, 0)))));
    assert_eq!(bench.state_of(id), StateName::Expired);
    bench.agrees_with_its_records();
}

#[test]
fn the_lists_of_one_venue_prove_nothing_about_anothers_orders() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.answer_create(id, lost());
    for _ in 0..40 {
        bench.pass_slowly(500);
        for (word, nothing) in [("query", Facts::Order(None)), ("history", Facts::Order(None))] {
            if bench.n_waiting(word) > 0 {
                bench.reply(word, Answered::Done(nothing));
            }
        }
        bench.with(|desk, at, out| {
            desk.list(at, PLAIN, out);
            desk.fetch_fills(at, PLAIN, out);
        });
        for place in (0..bench.wire.len()).rev() {
            let request = bench.wire[place].clone();
            if request.venue == PLAIN {
                bench.wire.remove(place);
                let nothing = if request.call.word() == "list_open" { listing(vec![]) } else { bench.fills(vec![]) };
                bench.answer(&request, nothing);
            }
        }
    }
    assert_eq!(bench.state_of(id), StateName::Unknown);
}

#[test]
fn a_listed_order_that_ended_long_ago_is_cancelled_whatever_we_are_doing() {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    list(&mut bench);
    bench.reply("list_open", listing(vec![open(id)]));
    assert!(bench.wire.is_empty(), "the list may be late");
    bench.pass(LAG_MS + 1);
    for _ in 0..3 {
        list(&mut bench);
        bench.reply("list_open", listing(vec![open(id)]));
        let request = bench.next("cancel").expect("it rests");
        assert!(matches!(&request.call, Call::Cancel(key) if key.client_id == id));
        bench.answer(&request, taken());
        bench.pass(10);
    }
    assert_eq!(bench.state_of(id), StateName::Canceled, "ended stays ended");
    assert!(!bench.alarms().is_empty());
}

#[test]
fn an_order_of_ours_whose_numbers_fit_no_grid_is_cancelled_all_the_same() {
    let mut bench = Bench::new();
    let huge = OrderRow { qty: crate::domain::money::Decimal::whole(i64::MAX), ..open(old_id(1)) };
    list(&mut bench);
    bench.reply("list_open", listing(vec![huge]));
    let request = bench.next("cancel").unwrap();
    assert!(matches!(&request.call, Call::Cancel(key) if key.client_id == old_id(1)));
    assert_eq!(listed(&bench), BTreeSet::from([old_id(1)]));
}

#[test]
fn an_order_of_ours_that_nobody_here_knew_is_taken_in() {
    let mut bench = Bench::new();
    bench.push(MAIN, row(old_id(1), VenueStatus::Open, 3));
    bench.push(MAIN, ended(old_id(2), Outcome::Canceled, 0));
    assert!(bench.notes.contains(&Note::Found(old_id(1))));
    assert_eq!(bench.state_of(old_id(1)), StateName::Open);
    assert!(bench.desk.orders.get(old_id(2)).is_none(), "it left nothing behind");
    bench.pass_slowly(500);
    let owed = bench.fills(vec![bench.trade(old_id(1), "t-1", 3)]);
    bench.reply("list_fills", owed);
    assert_eq!((bench.state_of(old_id(1)), bench.filled(old_id(1))), (StateName::PartiallyFilled, 3));
    bench.agrees_with_its_records();
}

#[test]
fn an_order_first_known_by_a_fill_gets_its_true_size_here_and_on_file() {
    let mut bench = Bench::new();
    bench.fill(MAIN, bench.trade(old_id(1), "t-1", 2));
    assert_eq!(bench.state_of(old_id(1)), StateName::PartiallyFilled, "a fill does not say that nothing is left");
    bench.agrees_with_its_records();
    bench.reply("query", Answered::Done(Facts::Order(Some(row(old_id(1), VenueStatus::Open, 2)))));
    assert_eq!(bench.desk.orders.get(old_id(1)).unwrap().left().count(), QTY - 2);
    bench.agrees_with_its_records();
    let mut bench = bench.restarted();
    bench.fill(MAIN, bench.trade(old_id(1), "t-2", 1));
    assert_eq!(bench.state_of(old_id(1)), StateName::PartiallyFilled);
    bench.agrees_with_its_records();
}

#[test]
fn a_size_that_only_a_fill_told_is_mended_after_a_restart_too() {
    let mut bench = Bench::new();
    bench.fill(MAIN, bench.trade(old_id(1), "t-1", 2));
    let mut bench = bench.restarted();
    bench.push(MAIN, row(old_id(1), VenueStatus::Open, 2));
    bench.fill(MAIN, bench.trade(old_id(1), "t-2", 1));
    assert_eq!(bench.desk.orders.get(old_id(1)).unwrap().left().count(), QTY - 3);
    bench.agrees_with_its_records();
}

/// An order of an earlier run whose records are gone, three lots of it traded long before the lists begin.
fn found_with_old_fills() -> Bench {
    let mut bench = Bench::new();
    bench.push(MAIN, row(old_id(1), VenueStatus::Open, 3));
    bench.pass_slowly(LAG_MS + 1_000);
    let nothing = bench.fills(Vec::new());
    bench.reply("list_fills", nothing);
    bench.pass_slowly(1_000);
    while bench.n_waiting("list_fills") > 0 {
        let nothing = bench.fills(Vec::new());
        bench.reply("list_fills", nothing);
    }
    bench
}

#[test]
fn what_a_found_order_traded_before_the_lists_begin_is_not_owed_here_nor_after_a_restart() {
    let bench = found_with_old_fills();
    assert_eq!((bench.desk.orders.owed_at(MAIN).count(), bench.filled(old_id(1))), (0, 3));
    assert_eq!(bench.desk.positions().count(), 0, "no trade of it was seen");
    bench.agrees_with_its_records();
    let mut bench = bench.restarted();
    bench.push(MAIN, row(old_id(1), VenueStatus::Open, 3));
    assert_eq!(bench.desk.orders.owed_at(MAIN).count(), 0);
    bench.fill(MAIN, bench.trade(old_id(1), "t-1", 7));
    assert_eq!(bench.state_of(old_id(1)), StateName::Filled);
    bench.agrees_with_its_records();
}

#[test]
fn a_restart_before_that_was_counted_still_knows_that_the_order_was_found() {
    let mut bench = Bench::new();
    bench.push(MAIN, row(old_id(1), VenueStatus::Open, 3));
    let mut bench = bench.restarted();
    bench.push(MAIN, row(old_id(1), VenueStatus::Open, 3));
    for _ in 0..5 {
        bench.pass_slowly(LAG_MS);
        if bench.n_waiting("list_fills") > 0 {
            let nothing = bench.fills(Vec::new());
            bench.reply("list_fills", nothing);
        }
    }
    assert_eq!((bench.desk.orders.owed_at(MAIN).count(), bench.filled(old_id(1))), (0, 3));
    bench.agrees_with_its_records();
}

#[test]
fn a_fill_of_a_found_order_that_the_list_does_not_show_yet_is_waited_for() {
    let mut bench = Bench::new();
    bench.push(MAIN, row(old_id(1), VenueStatus::Open, 3));
    bench.pass_slowly(200);
    let too_early = bench.fills(Vec::new());
    bench.reply("list_fills", too_early);
    assert_eq!((bench.desk.orders.owed_at(MAIN).count(), bench.filled(old_id(1))), (1, 0), "lists lag behind");
    bench.pass_slowly(LAG_MS);
    let in_time = bench.fills(vec![bench.trade(old_id(1), "t-1", 3)]);
    bench.reply("list_fills", in_time);
    assert_eq!((bench.desk.orders.owed_at(MAIN).count(), bench.filled(old_id(1))), (0, 3), "once");
    bench.agrees_with_its_records();
}

#[test]
fn fills_on_overlapping_pages_are_booked_once() {
    let mut bench = Bench::new();
    let (first, second) = (bench.resting(MAIN), bench.resting(MAIN));
    let fill = |bench: &Bench, id, name: &str| bench.trade(id, name, 1);
    bench.fill(MAIN, bench.trade(first, "t-1", 1));
    fetch(&mut bench);
    let rows = vec![fill(&bench, first, "t-1"), fill(&bench, second, "t-2")];
    let answered = fills_page(&bench, rows, "p2");
    bench.reply("list_fills", answered);
    bench.fill(MAIN, bench.trade(second, "t-3", 1));
    let rows = vec![fill(&bench, second, "t-2"), fill(&bench, second, "t-3"), fill(&bench, first, "t-4")];
    let answered = bench.fills(rows);
    let request = bench.reply("list_fills", answered);
    assert!(matches!(request.call, Call::ListFills(_, Some(Page(next))) if next == "p2"));
    assert_eq!((bench.filled(first), bench.filled(second), bench.desk.tally().fills), (2, 2, 4));
    let position = bench.desk.positions().next().unwrap().1.clone();
    assert_eq!((position.qty, position.fills), (lots(4), 4));
    bench.agrees_with_its_records();
}

#[test]
fn the_cursor_moves_only_when_the_last_page_is_booked() {
    let mut bench = Bench::new();
    fetch(&mut bench);
    let answered = fills_page(&bench, Vec::new(), "p2");
    bench.reply("list_fills", answered);
    assert_eq!(bench.desk.account(MAIN).booked_to(), None);
    bench.reply("list_fills", lost());
    assert_eq!((bench.desk.account(MAIN).booked_to(), bench.desk.account(MAIN).fills_complete()), (None, None));
    bench.pass(300);
    let began = bench.at.boot;
    let horizon = matches!(bench.wire[0].call, Call::ListFills(since, None) if since < bench.at.wall);
    assert!(horizon, "again from the beginning");
    let booked_to = bench.at.wall;
    let answered = bench.fills(Vec::new());
    bench.reply("list_fills", answered);
    assert_eq!(bench.desk.account(MAIN).booked_to(), Some(booked_to));
    assert_eq!(bench.desk.account(MAIN).fills_complete(), Some(began));
    bench.pass(10_000);
    fetch(&mut bench);
    let request = bench.next("list_fills").unwrap();
    assert!(matches!(request.call, Call::ListFills(since, None) if since < booked_to), "with an overlap");
    let early = Facts::Fills { rows: vec![], next: None, complete_to: booked_to.plus_millis(-5_000) };
    bench.answer(&request, Answered::Done(early));
    assert_eq!(bench.desk.account(MAIN).booked_to(), Some(booked_to), "never back");
    bench.agrees_with_its_records();
}

#[test]
fn fills_that_are_owed_are_fetched_until_they_are_booked() {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    bench.push(MAIN, ended(id, Outcome::Canceled, 2));
    for _ in 0..3 {
        bench.pass_slowly(400);
        let answered = bench.fills(Vec::new());
        bench.reply("list_fills", answered);
    }
    bench.pass_slowly(400);
    let answered = bench.fills(vec![bench.trade(id, "t-1", 2)]);
    bench.reply("list_fills", answered);
    bench.pass_slowly(5_000);
    assert!(bench.wire.is_empty(), "{:?}", bench.waiting());
    assert_eq!(bench.filled(id), 2);
}

#[test]
fn a_fill_off_the_grid_is_not_booked_and_never_silent() {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    let mut odd = bench.trade(id, "t-1", 1);
    odd.fill.qty = lots(1).mul_ratio(1, 2).unwrap();
    bench.fill(MAIN, odd);
    assert_eq!((bench.filled(id), bench.desk.tally().unbookable_fills), (0, 1));
    assert_eq!(bench.alarms().len(), 1);
    bench.agrees_with_its_records();
}

#[test]
fn after_a_restart_what_may_have_left_is_unknown_and_nothing_is_booked_twice() {
    let mut bench = Bench::new();
    let (sent, unknown) = (bench.sent(MAIN), bench.sent(MAIN));
    bench.answer_create(unknown, lost());
    let (resting, canceling, filled) = (bench.resting(MAIN), bench.resting(MAIN), bench.resting(PLAIN));
    let new = bench.intend(MAIN);
    bench.fill(MAIN, bench.trade(resting, "t-1", 4));
    bench.cancel(canceling);
    bench.fill(PLAIN, bench.trade(filled, "t-1", QTY));
    bench.agrees_with_its_records();
    let before = bench;
    let mut bench = before.restarted();
    for (id, was, wanted) in [
        (new, StateName::New, StateName::Unknown),
        (sent, StateName::Sent, StateName::Unknown),
        (unknown, StateName::Unknown, StateName::Unknown),
        (resting, StateName::PartiallyFilled, StateName::PartiallyFilled),
        (canceling, StateName::PendingCancel, StateName::PendingCancel),
        (filled, StateName::Filled, StateName::Filled),
    ] {
        assert_eq!((before.state_of(id), bench.state_of(id)), (was, wanted));
    }
    assert_eq!(bench.filled(resting), 4);
    assert!(bench.desk.positions().eq(before.desk.positions()), "positions are those before");
    bench.fill(MAIN, bench.trade(resting, "t-1", 4));
    assert_eq!((bench.filled(resting), bench.desk.tally().fills), (4, 0), "that trade is on file");
    bench.fill(MAIN, bench.trade(resting, "t-2", 1));
    assert_eq!(bench.filled(resting), 5);
    bench.pass(0);
    assert_eq!(bench.n_waiting("query"), 3, "each unknown one is asked about");
    assert_eq!(bench.n_waiting("create"), 0, "and none is sent again");
}

#[test]
fn a_late_fill_of_an_order_that_left_the_file_long_ago_is_no_misfit() {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    for _ in 0..crate::domain::snapshot::RECENTLY_CLOSED_MAX + 5 {
        let other = bench.sent(MAIN);
        bench.answer_create(other, refused(crate::domain::request::RefusalKind::Other));
    }
    bench.fill(MAIN, bench.trade(id, "t-1", QTY));
    assert_eq!(bench.state_of(id), StateName::Filled);
    bench.agrees_with_its_records();
}

#[test]
fn orders_of_a_venue_that_is_not_configured_any_more_are_handed_back() {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    let mut state = bench.state.clone();
    for order in state.orders.open.values_mut() {
        order.venue = "sold".into();
    }
    let (desk, unwatched) = crate::orders::desk::Desk::restore(catalogue(), identity(), &state, 0, bench.at);
    assert_eq!(unwatched.iter().map(|order| order.client_id).collect::<Vec<_>>(), [id]);
    assert_eq!(desk.orders.n_open(), 0);
}

#[test]
fn a_trade_of_another_venue_with_the_same_number_is_another_trade() {
    let mut bench = Bench::new();
    let (here, there) = (bench.resting(MAIN), bench.resting(PLAIN));
    bench.fill(MAIN, bench.trade(here, "1", 1));
    bench.fill(PLAIN, bench.trade(there, "1", 1));
    assert_eq!((bench.filled(here), bench.filled(there)), (1, 1));
    bench.agrees_with_its_records();
}
