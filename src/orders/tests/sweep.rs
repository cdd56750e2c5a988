//! What a proof needs (design 5.2), and what each thing missing does to it.

use super::bench::*;
use crate::domain::ids::ClientOrderId;
use crate::domain::order::{OrderRow, Outcome, StateName};
use crate::domain::request::{Answered, Call, Facts, Page, RefusalKind, Scope};
use crate::domain::time::Boot;
use crate::orders::proof::{Grade, Missing, Proof};
use crate::orders::sweep::{Before, Progress, Sweep};

/// A bench with a sweep of `MAIN` on it.
struct Broom {
    bench: Bench,
    sweep: Sweep,
    last: Progress,
    /// What the venue lists, and whether its lists break off.
    book: Vec<OrderRow>,
    breaks: bool,
    /// When each listing was asked for, in milliseconds since the sweep began.
    asked_ms: Vec<u64>,
    began: Boot,
}

impl Broom {
    fn new(bench: Bench, before: Before) -> Broom {
        let sweep = Sweep::new(MAIN, bench.at, before, &bench.desk);
        let began = bench.at.boot;
        Broom { bench, sweep, last: Progress::Chasing, book: Vec::new(), breaks: false, asked_ms: Vec::new(), began }
    }

    fn pass(&mut self, millis: u64) {
        self.bench.pass(millis);
        let sweep = &mut self.sweep;
        self.last = self.bench.with(|desk, at, out| {
            let progress = sweep.pass(at, desk, out);
            desk.work(at, out);
            progress
        });
    }

    /// Time passes; the venue answers every listing and every list of fills in the millisecond after it was asked.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            for word in ["list_open", "list_fills"] {
                while let Some(request) = self.bench.next(word) {
                    let answered = match word {
                        "list_open" if self.breaks => lost(),
                        "list_open" => listing(self.book.clone()),
                        _ => self.bench.fills(Vec::new()),
                    };
                    self.bench.answer(&request, answered);
                }
            }
            let n_before = self.bench.n_waiting("list_open");
            self.pass(1);
            for _ in n_before..self.bench.n_waiting("list_open") {
                let asked = self.bench.at.boot.since(self.began);
                self.asked_ms.push(u64::try_from(asked.as_millis()).unwrap());
            }
        }
    }

    fn proof(&self) -> Option<Proof> {
        match self.last {
            Progress::Proved(proof) => Some(proof),
            Progress::Chasing | Progress::Proving => None,
        }
    }

    fn missing(&self) -> Vec<Missing> {
        self.sweep.missing(&self.bench.desk)
    }
}

/// A desk with one order that rested and was handed over long ago.
fn one_resting() -> (Bench, ClientOrderId) {
    let mut bench = Bench::new();
    let id = bench.resting(MAIN);
    bench.pass(60_000);
    (bench, id)
}

#[test]
fn nothing_known_and_no_create_lately_takes_two_listings_back_to_back() {
    let mut broom = Broom::new(Bench::new(), Before::ThisProcess);
    broom.run(10);
    let proof = broom.proof().expect("shown");
    assert_eq!((proof.grade(), proof.n_listings(), proof.venue()), (Grade::ByOrder, 2, MAIN));
    assert_eq!(broom.asked_ms, [1, 2]);
    assert_eq!(broom.missing(), []);
    assert_eq!(broom.sweep.proof(), Some(proof));
}

#[test]
fn one_listing_proves_nothing() {
    let mut broom = Broom::new(Bench::new(), Before::ThisProcess);
    broom.pass(1);
    broom.bench.reply("list_open", listing(Vec::new()));
    let fills = broom.bench.fills(Vec::new());
    broom.bench.reply("list_fills", fills);
    for _ in 0..100 {
        broom.pass(100);
        assert_eq!(broom.last, Progress::Proving);
    }
    assert_eq!(broom.missing(), [Missing::NoListing]);
}

#[test]
fn every_order_is_cancelled_and_must_end_before_a_listing_counts() {
    let (bench, id) = one_resting();
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(5);
    assert_eq!((broom.last, broom.asked_ms.len()), (Progress::Chasing, 0));
    assert_eq!(broom.missing()[0], Missing::LocalOpen(id));
    broom.bench.reply("cancel", taken());
    // A listing that someone else asked for while the order had not ended does not count, empty as it is.
    broom.bench.with(|desk, at, out| desk.list(at, MAIN, out));
    broom.run(5);
    broom.bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    broom.asked_ms.clear();
    broom.run(10);
    assert_eq!(broom.asked_ms.len(), 2);
    assert_eq!(broom.proof().map(|proof| proof.grade()), Some(Grade::ByOrder));
    assert_eq!(broom.bench.desk.account(MAIN).n_cancel_requests(), 1);
}

#[test]
fn a_listing_that_broke_off_counts_for_nothing_and_takes_nothing_away() {
    let mut broom = Broom::new(Bench::new(), Before::ThisProcess);
    broom.run(1);
    broom.run(1);
    assert_eq!(broom.bench.desk.account(MAIN).n_listings(), 1);
    broom.breaks = true;
    broom.run(5_000);
    assert!(broom.asked_ms.len() > 5, "it is asked again and again");
    assert!(broom.proof().is_none());
    broom.breaks = false;
    broom.run(500);
    assert_eq!(broom.proof().map(|proof| proof.n_listings()), Some(2));
}

#[test]
fn a_page_that_shows_ours_is_not_undone_by_an_empty_one_after_it() {
    let (mut bench, id) = one_resting();
    bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    bench.pass(10_000);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.pass(1);
    let first = Facts::OpenOrders { rows: vec![open(id)], next: Some(Page("p2".into())) };
    broom.bench.reply("list_open", Answered::Done(first));
    broom.bench.reply("list_open", listing(Vec::new()));
    broom.pass(0);
    assert!(broom.missing().contains(&Missing::VenueLists(id)));
}

#[test]
fn anything_of_ours_in_a_listing_starts_the_count_again() {
    let (mut bench, id) = one_resting();
    bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    bench.pass(10_000);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(2);
    assert_eq!(broom.bench.desk.account(MAIN).n_listings(), 1, "one clean");
    broom.book = vec![open(id)];
    broom.run(1);
    broom.book.clear();
    assert!(broom.missing().contains(&Missing::VenueLists(id)));
    broom.run(LAG_MS + 10);
    assert_eq!(broom.proof().map(|proof| proof.n_listings()), Some(4), "clean, ours, clean, clean");
    assert_eq!(broom.asked_ms, [1, 2, 3 + LAG_MS, 4 + LAG_MS], "asking faster would show nothing newer");
}

#[test]
fn a_ghost_is_cancelled_again_and_blocks_the_proof_while_it_is_listed() {
    let (mut bench, id) = one_resting();
    bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    bench.pass(10_000);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.book = vec![open(id)];
    broom.run(50);
    assert!(broom.proof().is_none());
    assert!(broom.bench.n_waiting("cancel") > 0, "the venue shows it, whatever we believe");
    assert!(broom.missing().contains(&Missing::VenueLists(id)));
    assert_eq!(broom.sweep.listed_still().len(), 1);
    broom.book.clear();
    broom.run(LAG_MS + 50);
    assert!(broom.proof().is_some());
}

#[test]
fn an_unknown_order_of_an_earlier_run_that_a_listing_shows_is_found_cancelled_and_proved_gone() {
    let mut broom = Broom::new(Bench::new(), Before::Unseen(stamp(1_000_000).boot));
    broom.book = vec![open(old_id(1)), foreign_row("by-hand"), open(strange_id(1))];
    broom.run(SETTLE_MS + 100);
    assert_eq!(broom.last, Progress::Chasing);
    assert_eq!(broom.bench.state_of(old_id(1)), StateName::PendingCancel);
    assert_eq!(broom.bench.waiting(), ["cancel"], "ours alone");
    broom.book.remove(0);
    broom.bench.reply("cancel", taken());
    broom.bench.push(MAIN, ended(old_id(1), Outcome::Canceled, 0));
    broom.run(3 * GAP_MS);
    assert_eq!(broom.proof().map(|proof| proof.grade()), Some(Grade::ByListing));
}

#[test]
fn a_create_that_left_lately_makes_the_listings_wait_until_it_could_no_longer_arrive_unseen() {
    // How long before the sweep it left, and when the two listings that count may be asked for.
    let lately_ms = DEADLINE_MS + LAG_MS;
    for (left_before_ms, grade, first_ms) in [
        (0, Grade::ByListing, SETTLE_MS),
        (1_000, Grade::ByListing, SETTLE_MS - 1_000),
        (lately_ms - 1, Grade::ByListing, SETTLE_MS - lately_ms + 1),
        (lately_ms, Grade::ByOrder, 1),
        (60_000, Grade::ByOrder, 1),
    ] {
        let mut bench = Bench::new();
        let id = bench.resting(MAIN);
        bench.push(MAIN, ended(id, Outcome::Canceled, 0));
        bench.pass(left_before_ms);
        let mut broom = Broom::new(bench, Before::ThisProcess);
        broom.run(10_000);
        let proof = broom.proof().unwrap();
        assert_eq!(proof.grade(), grade, "left {left_before_ms} ms before");
        // The first is answered a pass after it was asked for; the second waits the gap from there.
        let second_ms = first_ms + 1 + if grade == Grade::ByListing { GAP_MS - 1 } else { 0 };
        assert_eq!(broom.asked_ms, [first_ms, second_ms], "left {left_before_ms} ms before");
    }
}

#[test]
fn what_someone_else_may_have_sent_always_waits() {
    for (unseen_ms, first_ms) in [(0, SETTLE_MS), (1_500, SETTLE_MS + 1_500)] {
        let bench = Bench::new();
        let until = bench.at.boot.after(ms(unseen_ms));
        let mut broom = Broom::new(bench, Before::Unseen(until));
        broom.run(first_ms - 1);
        assert_eq!((broom.last, broom.asked_ms.len()), (Progress::Proving, 0));
        broom.run(GAP_MS + 10);
        assert_eq!(broom.proof().map(|proof| proof.grade()), Some(Grade::ByListing));
        assert_eq!(broom.asked_ms, [first_ms, first_ms + GAP_MS]);
    }
}

#[test]
fn a_listing_that_someone_else_asked_for_within_the_gap_is_not_the_second_one() {
    let bench = Bench::new();
    let mut broom = Broom::new(bench.clone(), Before::Unseen(bench.at.boot));
    broom.run(SETTLE_MS + 2);
    assert_eq!(broom.bench.desk.account(MAIN).n_listings(), 1);
    broom.bench.with(|desk, at, out| desk.list(at, MAIN, out));
    broom.run(GAP_MS - 10);
    assert_eq!((broom.bench.desk.account(MAIN).n_listings(), broom.last), (2, Progress::Proving));
    broom.run(20);
    assert_eq!(broom.proof().map(|proof| proof.n_listings()), Some(3));
}

#[test]
fn a_create_still_on_its_way_blocks_the_proof_whatever_is_known_of_its_order() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    bench.pass(60_000);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(100);
    assert_eq!((broom.last, broom.asked_ms.len()), (Progress::Chasing, 0));
    broom.bench.answer_create(id, lost());
    let answered_ms = u64::try_from(broom.bench.at.boot.since(broom.began).as_millis()).unwrap();
    broom.run(10_000);
    assert_eq!(broom.proof().map(|proof| proof.grade()), Some(Grade::ByListing));
    assert_eq!(broom.asked_ms[0], answered_ms + SETTLE_MS, "as far as we know it left a moment ago");
}

#[test]
fn an_unanswered_create_is_chased_until_evidence_ends_it() {
    let mut bench = Bench::new();
    let id = bench.sent(MAIN);
    bench.answer_create(id, lost());
    let mut broom = Broom::new(bench, Before::ThisProcess);
    for _ in 0..600 {
        for word in ["query", "history"] {
            if broom.bench.n_waiting(word) > 0 {
                broom.bench.reply(word, Answered::Done(Facts::Order(None)));
            }
        }
        if broom.bench.n_waiting("cancel") > 0 {
            broom.bench.reply("cancel", refused(RefusalKind::NotFound));
        }
        broom.run(20);
        if broom.bench.at.boot.since(broom.began) < ms(DEADLINE_MS + LAG_MS) {
            assert_eq!(broom.last, Progress::Chasing);
        }
    }
    assert_eq!(broom.bench.state_of(id), StateName::Rejected);
    assert_eq!(broom.proof().map(|proof| proof.grade()), Some(Grade::ByListing));
}

#[test]
fn fills_that_are_owed_block_the_proof() {
    let (bench, id) = one_resting();
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(1);
    broom.bench.push(MAIN, ended(id, Outcome::Canceled, 3));
    broom.run(5_000);
    assert!(broom.proof().is_none());
    assert!(broom.missing().contains(&Missing::FillsOwed(id)));
    broom.bench.fill(MAIN, broom.bench.trade(id, "t-1", 3));
    broom.run(1_000);
    assert!(broom.proof().is_some());
    broom.bench.agrees_with_its_records();
}

#[test]
fn fills_asked_for_before_all_orders_had_ended_do_not_count() {
    let (mut bench, id) = one_resting();
    bench.with(|desk, at, out| desk.fetch_fills(at, MAIN, out));
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.pass(1);
    broom.bench.push(MAIN, ended(id, Outcome::Canceled, 0));
    broom.pass(1);
    let early = broom.bench.fills(Vec::new());
    broom.bench.reply("list_fills", early);
    for _ in 0..3 {
        broom.pass(1);
        if broom.bench.n_waiting("list_open") > 0 {
            broom.bench.reply("list_open", listing(Vec::new()));
        }
    }
    broom.pass(1);
    assert_eq!(broom.missing(), [Missing::NoFills]);
    let fills = broom.bench.fills(Vec::new());
    broom.bench.reply("list_fills", fills);
    broom.pass(1);
    assert!(broom.proof().is_some());
}

#[test]
fn a_new_order_ends_unsent_and_an_order_that_turns_up_late_is_chased_again() {
    let mut bench = Bench::new();
    let new = bench.intend(MAIN);
    bench.pass(60_000);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(2);
    assert_eq!(broom.bench.state_of(new), StateName::Canceled);
    broom.bench.push(MAIN, open(old_id(1)));
    broom.run(2);
    assert_eq!(broom.last, Progress::Chasing);
    broom.bench.push(MAIN, ended(old_id(1), Outcome::Canceled, 0));
    let n_before = broom.asked_ms.len();
    broom.run(10);
    assert!(broom.proof().is_some());
    assert!(broom.asked_ms.len() >= n_before + 2, "two listings after its end");
}

#[test]
fn the_orders_of_another_venue_are_none_of_its_business() {
    let mut bench = Bench::new();
    let other = bench.resting(PLAIN);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(10);
    assert!(broom.proof().is_some());
    assert_eq!(broom.bench.state_of(other), StateName::Open);
}

/// A bench whose main venue cancels everything at once, in two scopes, with this many resting orders.
fn of_our_own(n: usize) -> (Bench, Vec<ClientOrderId>) {
    let scopes = ["spot", "linear:USDT"].map(|scope| Scope(scope.to_owned())).to_vec();
    let mut bench = Bench::with_main(|traits| traits.cancel_all_scopes = scopes);
    let ids = (0..n).map(|_| bench.resting(MAIN)).collect();
    bench.pass(60_000);
    (bench, ids)
}

#[test]
fn where_the_account_is_ours_alone_one_cancel_all_a_scope_comes_first() {
    let (bench, ids) = of_our_own(5);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(900);
    assert_eq!(broom.bench.waiting(), ["cancel_all", "cancel_all"]);
    for id in &ids[..4] {
        broom.bench.push(MAIN, ended(*id, Outcome::Canceled, 0));
    }
    broom.bench.reply("cancel_all", taken());
    broom.bench.reply("cancel_all", taken());
    broom.run(200);
    let request = broom.bench.reply("cancel", taken());
    assert!(matches!(request.call, Call::Cancel(key) if key.client_id == ids[4]), "the one it left over");
    broom.bench.push(MAIN, ended(ids[4], Outcome::Canceled, 0));
    broom.run(10);
    assert!(broom.proof().is_some());
}

#[test]
fn a_cancel_all_that_comes_to_nothing_holds_no_order_up() {
    for answer in [lost(), refused(RefusalKind::Other), later(9_000), Answered::NotSent("no way".into())] {
        let (bench, ids) = of_our_own(5);
        let mut broom = Broom::new(bench, Before::ThisProcess);
        broom.run(3);
        broom.bench.reply("cancel_all", answer);
        broom.run(1);
        let request = broom.bench.next("cancel_batch").expect("at once");
        assert!(matches!(request.call, Call::CancelBatch(keys) if keys.len() == ids.len()));
    }
}

#[test]
fn an_order_that_may_not_have_arrived_does_not_wait_for_a_cancel_all() {
    let (mut bench, _) = of_our_own(2);
    let on_its_way = bench.sent(MAIN);
    let mut broom = Broom::new(bench, Before::ThisProcess);
    broom.run(3);
    let request = broom.bench.next("cancel").expect("at once");
    assert!(matches!(request.call, Call::Cancel(key) if key.client_id == on_its_way));
}
