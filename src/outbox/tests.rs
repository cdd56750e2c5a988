//! What the outbox promises, against counts kept apart from it.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::ids::{ClientOrderId, Epoch, Instance, InstrumentId, StrategyLetter, Symbol};
use crate::domain::money::{Decimal, Lots, PriceTicks};
use crate::domain::order::{Checked, Create, Durable, Lsn, OrderKey, OrderTerms, Side, TimeInForce};
use crate::domain::rates;
use crate::domain::request::{Page, Refusal, RefusalKind};

const VENUE: VenueId = VenueId(0);

fn ms(millis: u64) -> Boot {
    Boot::from_nanos(millis * 1_000_000)
}

fn traits(cancels_per_second: u32, cancel_burst: u32) -> VenueTraits {
    VenueTraits {
        cancel_ack_is_final: false,
        batch_cancel_max: 10,
        cancel_by_client_id: true,
        create_deadline: Duration::from_secs(3),
        lag: Duration::from_secs(1),
        settle: Duration::from_secs(5),
        listing_gap: Duration::from_secs(1),
        cancels_per_second,
        cancel_burst,
        request_timeout: Duration::from_secs(5),
        open_orders_max: 500,
        ..VenueTraits::default()
    }
}

fn outbox(cancels_per_second: u32, cancel_burst: u32) -> Outbox {
    let mut catalogue = Catalogue::default();
    catalogue.add_venue("main", traits(cancels_per_second, cancel_burst)).unwrap();
    Outbox::new(&catalogue)
}

fn key(number: u64) -> OrderKey {
    let letter = StrategyLetter::nth(0).unwrap();
    OrderKey {
        venue: VENUE,
        symbol: Symbol::new("BTC-USDT"),
        client_id: ClientOrderId::new(Instance::from_chance(1), Epoch(1), letter, number as u32).unwrap(),
        venue_order_id: None,
    }
}

fn create(number: u64) -> Call {
    let checked = Checked::mint(OrderTerms {
        instrument: InstrumentId(0),
        side: Side::Buy,
        price: PriceTicks::new(1),
        qty: Lots::new(1).unwrap(),
        time_in_force: TimeInForce::Gtc,
    });
    let sealed = Durable::synced(Lsn(1)).seal(Lsn(1)).unwrap();
    Call::Create(Create::new(key(number), checked, sealed, Decimal::ONE, Decimal::ONE))
}

fn request(id: u64, call: Call) -> Box<Request> {
    Box::new(Request { id: RequestId(id), venue: VENUE, call, not_after: Boot::NEVER })
}

fn batch(id: u64, orders: u64) -> Box<Request> {
    request(id, Call::CancelBatch((0..orders).map(key).collect()))
}

/// `c` cancel, `r` resolve, `b` books, `n` new order; ids count from 1.
fn filled(mut outbox: Outbox, calls: &str) -> Outbox {
    for (place, letter) in calls.chars().enumerate() {
        let id = place as u64 + 1;
        outbox.push(request(id, call(letter, id))).unwrap();
    }
    outbox
}

fn call(letter: char, id: u64) -> Call {
    match letter {
        'c' => Call::Cancel(key(id)),
        'r' => Call::Query(key(id)),
        'l' => Call::ListOpen(Some(Page("2".into()))),
        'b' => Call::Balances,
        _ => create(id),
    }
}

/// What comes out at one moment, as a word: id of what goes, `x` of what ends unsent, then `.` empty or `~` waiting.
fn drained(outbox: &mut Outbox, at: Boot, lane: Lane, gate: Gate) -> String {
    let mut words = Vec::new();
    loop {
        match outbox.next(at, VENUE, lane, gate) {
            Next::Go(request) => words.push(request.id.0.to_string()),
            Next::Unsent(request, _) => words.push(format!("x{}", request.id.0)),
            Next::Wait { until } => {
                assert!(until > at, "waiting for the past would spin");
                words.push("~".into());
            }
            Next::Empty => words.push(".".into()),
        }
        if matches!(words.last().map(String::as_str), Some("." | "~")) {
            return words.join(" ");
        }
    }
}

fn check(calls: &str, lane: Lane, gate: Gate, expected: &str) {
    let mut outbox = filled(outbox(0, 0), calls);
    assert_eq!(drained(&mut outbox, ms(1), lane, gate), expected, "{calls}");
}

fn unknown(id: u64) -> Answer {
    Answer { answered: Answered::Unknown("no word".into()), ..later(id, 0) }
}

fn later(id: u64, wait_ms: u64) -> Answer {
    Answer {
        id: RequestId(id),
        venue: VENUE,
        left_at: None,
        answered: Answered::Later { wait: Duration::from_millis(wait_ms), why: "slow down".into() },
    }
}

#[test]
fn the_more_urgent_goes_first_and_within_a_class_the_older() {
    check("nbrc", Lane::Any, Gate::Open, "4 3 2 1 .");
    check("ncncrlr", Lane::Any, Gate::Open, "2 4 6 5 7 1 3 .");
}

#[test]
fn a_worker_without_creates_gets_cancels_and_reads_only() {
    check("nnbrc", Lane::NoCreates, Gate::Open, "5 4 3 .");
    check("nn", Lane::NoCreates, Gate::Open, ".");
}

#[test]
fn a_worker_for_cancels_gets_nothing_else_however_long_reads_have_waited() {
    check("nlrbc", Lane::Cancels, Gate::Open, "5 .");
    check(&("r".to_owned() + &"c".repeat(12)), Lane::Cancels, Gate::Open, "2 3 4 5 6 7 8 9 10 11 12 13 .");
    check("nrc", Lane::Cancels, Gate::Shut, "x1 3 .");
}

#[test]
fn with_the_gate_shut_creates_end_unsent_and_cancels_go_on() {
    check("ncnr", Lane::Any, Gate::Shut, "x1 x3 2 4 .");
    check("ncnr", Lane::NoCreates, Gate::Shut, "x1 x3 2 4 .");
}

#[test]
fn a_gate_once_seen_shut_stays_shut() {
    let mut outbox = filled(outbox(0, 0), "n");
    assert_eq!(drained(&mut outbox, ms(1), Lane::NoCreates, Gate::Shut), "x1 .");
    let refused = outbox.push(request(2, create(2))).unwrap_err();
    assert_eq!((refused.0.id, refused.1), (RequestId(2), Unsent::GateShut));
    assert_eq!(drained(&mut outbox, ms(1), Lane::Any, Gate::Open), ".");
}

#[test]
fn shutting_the_gate_gives_back_every_create_oldest_first() {
    let mut outbox = filled(outbox(0, 0), "ncnbn");
    let ids: Vec<u64> = outbox.shut_gate().iter().map(|request| request.id.0).collect();
    assert_eq!(ids, [1, 3, 5]);
    assert_eq!(drained(&mut outbox, ms(1), Lane::Any, Gate::Open), "2 4 .");
    assert!(outbox.shut_gate().is_empty());
}

#[test]
fn a_create_past_its_deadline_ends_unsent_even_out_of_the_middle() {
    let mut outbox = outbox(0, 0);
    for (id, not_after) in [(1, ms(100)), (2, ms(50)), (3, ms(100))] {
        let mut create = request(id, create(id));
        create.not_after = not_after;
        outbox.push(create).unwrap();
    }
    assert_eq!(
        outbox.next(ms(50), VENUE, Lane::NoCreates, Gate::Open),
        Next::Wait { until: ms(50).after(Duration::from_nanos(1)) },
        "the caller is told when to come for it"
    );
    assert_eq!(drained(&mut outbox, ms(51), Lane::NoCreates, Gate::Open), "x2 ~", "any worker's turn will do");
    assert_eq!(drained(&mut outbox, ms(100), Lane::Any, Gate::Open), "1 3 .");
}

#[test]
fn a_cancel_is_sent_however_late_it_is() {
    let mut outbox = outbox(0, 0);
    let mut cancel = request(1, call('c', 1));
    cancel.not_after = ms(1);
    outbox.push(cancel).unwrap();
    assert_eq!(drained(&mut outbox, ms(9_000), Lane::Any, Gate::Shut), "1 .");
}

#[test]
fn no_create_leaves_while_a_cancel_waits_for_its_budget() {
    let mut outbox = filled(outbox(10, 1), "ccnr");
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 4 ~");
    assert_eq!(drained(&mut outbox, ms(99), Lane::Any, Gate::Open), "~");
    assert_eq!(drained(&mut outbox, ms(100), Lane::Any, Gate::Open), "2 3 .");
}

#[test]
fn a_batch_costs_its_orders_and_is_never_split() {
    let mut outbox = outbox(10, 5);
    outbox.push(request(1, call('c', 1))).unwrap();
    outbox.push(batch(2, 8)).unwrap();
    outbox.push(request(3, call('c', 3))).unwrap();
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 ~");
    assert_eq!(drained(&mut outbox, ms(100), Lane::Any, Gate::Open), "2 ~", "as soon as the bucket is full");
    // 8 taken out of 5 leaves a debt of 3: four tokens later one more may go.
    assert_eq!(drained(&mut outbox, ms(499), Lane::Any, Gate::Open), "~");
    assert_eq!(drained(&mut outbox, ms(500), Lane::Any, Gate::Open), "3 .");
}

#[test]
fn creates_and_reads_leave_the_reserve_to_cancels() {
    let mut outbox = outbox(0, 0);
    outbox.limit_requests(VENUE, 10, 10);
    let mut outbox = filled(outbox, &"n".repeat(20));
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 2 3 4 5 6 7 8 ~");
    outbox.push(request(21, call('c', 1))).unwrap();
    outbox.push(request(22, call('c', 2))).unwrap();
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "21 22 ~");
}

#[test]
fn nine_in_a_row_never_pass_a_waiting_read() {
    let mut outbox = outbox(0, 0);
    outbox.limit_requests(VENUE, 1, 100);
    outbox.push(request(100, call('r', 1))).unwrap();
    outbox.push(request(101, call('b', 1))).unwrap();
    // Ever more cancels: the reads would never come up by urgency alone.
    let mut order = Vec::new();
    for id in 1..=12 {
        outbox.push(request(id, call('c', id))).unwrap();
        outbox.push(request(id + 50, call('c', id))).unwrap();
        if let Next::Go(request) = outbox.next(ms(0), VENUE, Lane::NoCreates, Gate::Open) {
            order.push(request.id.0);
        }
    }
    assert_eq!(order, [1, 51, 2, 52, 3, 53, 4, 54, 100, 101, 5, 55]);
}

#[test]
fn an_overdue_read_may_use_the_reserve() {
    let mut outbox = outbox(0, 0);
    outbox.limit_requests(VENUE, 1, 10);
    let mut outbox = filled(outbox, "rccccccccc");
    assert_eq!(
        drained(&mut outbox, ms(0), Lane::Any, Gate::Open),
        "2 3 4 5 6 7 8 9 1 10 .",
        "eight of ten are spent when it goes, which is all a read may use otherwise"
    );
}

#[test]
fn a_short_later_holds_its_class_and_a_ban_holds_everything() {
    let mut outbox = filled(outbox(0, 0), "cncnr");
    assert!(matches!(outbox.next(ms(0), VENUE, Lane::Any, Gate::Open), Next::Go(request) if request.id.0 == 1));
    outbox.answered(ms(0), &later(1, 500));
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "5 ~", "reads go on, creates wait behind cancels");
    assert_eq!(drained(&mut outbox, ms(500), Lane::Any, Gate::Open), "3 2 4 .");
    outbox.answered(ms(500), &later(3, 60_000));
    let mut outbox = filled(outbox, "crbn");
    assert_eq!(outbox.next(ms(501), VENUE, Lane::Any, Gate::Open), Next::Wait { until: ms(60_500) });
    assert_eq!(drained(&mut outbox, ms(60_500), Lane::Any, Gate::Open), "1 2 3 4 .");
}

#[test]
fn a_later_inside_a_batch_counts() {
    let mut outbox = outbox(0, 0);
    outbox.push(batch(1, 2)).unwrap();
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 .");
    let refused = Answered::Refused(Refusal { kind: RefusalKind::NotFound, text: "no".into() });
    let items = BTreeMap::from([(key(0).client_id, refused), (key(1).client_id, later(0, 700).answered)]);
    let answer = Answer { answered: Answered::Done(Facts::Batch(items)), ..later(1, 0) };
    outbox.answered(ms(0), &answer);
    assert_eq!(outbox.not_before(VENUE, Urgency::Cancel), ms(700));
    assert_eq!(outbox.not_before(VENUE, Urgency::Resolve), Boot::ZERO);
    assert_eq!(outbox.n_handed_out(), 0);
}

#[test]
fn full_queues_hand_back_creates_and_reads_but_never_cancels() {
    let mut outbox = outbox(0, 0);
    let last = CREATES_MAX as u64;
    for id in 1..=last {
        outbox.push(request(id, create(1))).unwrap();
        outbox.push(request(id, if id % 2 == 0 { Call::Time } else { call('r', 1) })).unwrap();
        outbox.push(request(id, call('c', 1))).unwrap();
    }
    assert_eq!(outbox.push(request(0, create(1))).unwrap_err().1, Unsent::Full);
    assert_eq!(outbox.push(request(0, Call::Time)).unwrap_err().1, Unsent::Full);
    assert_eq!(outbox.push(request(0, call('r', 1))).unwrap_err().1, Unsent::Full);
    assert!(outbox.push(request(0, call('c', 1))).is_ok());
}

#[test]
fn venues_do_not_wait_for_each_other() {
    let mut catalogue = Catalogue::default();
    catalogue.add_venue("slow", traits(1, 1)).unwrap();
    let other = catalogue.add_venue("fast", traits(0, 0)).unwrap();
    let mut outbox = Outbox::new(&catalogue);
    outbox.push(request(1, call('c', 1))).unwrap();
    outbox.push(request(2, call('c', 2))).unwrap();
    let mut elsewhere = request(3, call('c', 3));
    elsewhere.venue = other;
    outbox.push(elsewhere).unwrap();
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 ~");
    assert!(matches!(outbox.next(ms(0), other, Lane::Any, Gate::Open), Next::Go(request) if request.id.0 == 3));
    outbox.answered(ms(0), &later(1, 90_000));
    assert_eq!(outbox.not_before(other, Urgency::Cancel), Boot::ZERO);
}

#[derive(Clone, Debug)]
enum Step {
    Push { letter: char, orders: u64, lives_ms: u64 },
    Next { lane: Lane, wait_ms: u64 },
    Later { wait_ms: u64 },
    ShutGate,
}

fn step() -> impl Strategy<Value = Step> {
    let letter = prop::sample::select(vec!['c', 'C', 'r', 'b', 'n', 'n']);
    let lane = prop::sample::select(vec![Lane::Any, Lane::NoCreates]);
    prop_oneof![
        8 => (letter, 1_u64..9, 0_u64..3_000).prop_map(|(letter, orders, lives_ms)| Step::Push { letter, orders, lives_ms }),
        10 => (lane, 0_u64..300).prop_map(|(lane, wait_ms)| Step::Next { lane, wait_ms }),
        1 => (0_u64..40_000).prop_map(|wait_ms| Step::Later { wait_ms }),
        1 => Just(Step::ShutGate),
    ]
}

/// What came out and when, and what a plain reading of the rules says about it.
#[derive(Default)]
struct Ledger {
    pushed: BTreeMap<u64, Request>,
    ended: BTreeMap<u64, u32>,
    gate_shut: bool,
    passed: BTreeMap<Urgency, u32>,
    /// Cancels taken, by moment.
    cancels: Vec<(Boot, u64)>,
    /// Requests taken, by moment; whether the reserve was forbidden to it.
    requests: Vec<(Boot, bool)>,
}

impl Ledger {
    fn end(&mut self, request: &Request) {
        assert_eq!(self.pushed.get(&request.id.0), Some(request), "what comes out is what went in");
        *self.ended.entry(request.id.0).or_default() += 1;
    }

    fn waiting(&self, class: Urgency) -> Vec<u64> {
        let waits = |(id, request): &(&u64, &Request)| request.call.urgency() == class && !self.ended.contains_key(*id);
        self.pushed.iter().filter(waits).map(|(id, _)| *id).collect()
    }

    fn went(&mut self, at: Boot, request: &Request, lane: Lane, outbox: &Outbox) {
        let class = request.call.urgency();
        assert_eq!(self.waiting(class).first(), Some(&request.id.0), "first in, first out");
        let overdue = self.passed.get(&class).copied().unwrap_or_default() >= OVERTAKEN_MAX;
        if class == Urgency::Create {
            assert!(lane == Lane::Any && !self.gate_shut, "no create here");
            assert!(at <= request.not_after, "too late to be sent");
            assert!(self.waiting(Urgency::Cancel).is_empty(), "risk comes off first");
        }
        assert!(outbox.not_before(VENUE, class) <= at, "the venue asked for patience");
        self.end(request);
        for other in [Urgency::Resolve, Urgency::Books] {
            let waits = !self.waiting(other).is_empty();
            let passed = self.passed.entry(other).or_default();
            if other == class {
                *passed = 0;
            } else if other > class && waits {
                *passed += 1;
            }
        }
        match &request.call {
            Call::CancelBatch(keys) => self.cancels.push((at, keys.len() as u64)),
            Call::Cancel(_) => self.cancels.push((at, 1)),
            _ => {}
        }
        self.requests.push((at, class != Urgency::Cancel && !overdue));
    }

    /// Recounts both budgets from the takings alone, in token-nanoseconds.
    fn check_budgets(&self, cancel_rate: u64, cancel_burst: u64, request_rate: u64, request_burst: u64) {
        let second = 1_000_000_000_i128;
        let mut level = i128::from(cancel_burst) * second;
        let mut last = Boot::ZERO;
        for (at, orders) in &self.cancels {
            let gained = i128::from(at.nanos() - last.nanos()) * i128::from(cancel_rate);
            level = (level + gained).min(i128::from(cancel_burst) * second);
            let needed = (*orders).min(cancel_burst);
            assert!(level >= i128::from(needed) * second, "cancels above the budget");
            level -= i128::from(*orders) * second;
            last = *at;
        }
        let mut level = i128::from(request_burst) * second;
        let mut last = Boot::ZERO;
        for (at, keeps_reserve) in &self.requests {
            let gained = i128::from(at.nanos() - last.nanos()) * i128::from(request_rate);
            level = (level + gained).min(i128::from(request_burst) * second);
            level -= second;
            let floor = if *keeps_reserve { request_burst.div_ceil(5) } else { 0 };
            assert!(level >= i128::from(floor) * second, "the reserve was touched");
            last = *at;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_promises_hold(
        cancel_rate in 1_u32..20, cancel_burst in 1_u32..8,
        request_rate in 1_u32..20, request_burst in 2_u32..12,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut outbox = outbox(cancel_rate, cancel_burst);
        outbox.limit_requests(VENUE, request_rate, request_burst);
        let mut ledger = Ledger::default();
        let mut at = ms(0);
        let mut held: Vec<u64> = Vec::new();
        for (place, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { letter, orders, lives_ms } => {
                    let id = place as u64;
                    let call = if letter == 'C' { Call::CancelBatch((0..orders).map(key).collect()) } else { call(letter, id) };
                    let mut request = request(id, call);
                    request.not_after = at.after(Duration::from_millis(lives_ms));
                    let (copy, is_create) = (*request.clone(), letter == 'n');
                    let taken = outbox.push(request);
                    prop_assert_eq!(taken.is_ok(), !(is_create && ledger.gate_shut));
                    if taken.is_ok() {
                        ledger.pushed.insert(id, copy);
                    }
                }
                Step::Next { lane, wait_ms } => {
                    at = at.after(Duration::from_millis(wait_ms));
                    match outbox.next(at, VENUE, lane, Gate::Open) {
                        Next::Go(request) => {
                            held.push(request.id.0);
                            ledger.went(at, &request, lane, &outbox);
                        }
                        Next::Unsent(request, why) => {
                            prop_assert_eq!(why, Unsent::Expired);
                            prop_assert!(request.call.raises_exposure() && at > request.not_after);
                            ledger.end(&request);
                        }
                        Next::Wait { until } => prop_assert!(until > at),
                        Next::Empty => {
                            for class in [Urgency::Cancel, Urgency::Resolve, Urgency::Books] {
                                prop_assert!(ledger.waiting(class).is_empty(), "{:?} forgotten", class);
                            }
                        }
                    }
                }
                Step::Later { wait_ms } => {
                    let id = held.pop().unwrap_or(9_999);
                    outbox.answered(at, &later(id, wait_ms));
                }
                Step::ShutGate => {
                    ledger.gate_shut = true;
                    for request in outbox.shut_gate() {
                        ledger.end(&request);
                    }
                    prop_assert!(ledger.waiting(Urgency::Create).is_empty());
                }
            }
        }
        // Time heals all budgets: everything that still waits comes out.
        for _ in 0..400 {
            at = at.after(Duration::from_secs(60));
            match outbox.next(at, VENUE, Lane::Any, Gate::Open) {
                Next::Go(request) => ledger.went(at, &request, Lane::Any, &outbox),
                Next::Unsent(request, _) => ledger.end(&request),
                Next::Wait { .. } => {}
                Next::Empty => break,
            }
        }
        prop_assert_eq!(ledger.pushed.len(), ledger.ended.len(), "all came out");
        prop_assert!(ledger.ended.values().all(|times| *times == 1), "each once");
        ledger.check_budgets(u64::from(cancel_rate), u64::from(cancel_burst), u64::from(request_rate), u64::from(request_burst));
    }

    /// Of what may go at one moment, the most urgent goes, unless a read has been passed too often.
    #[test]
    fn order_follows_urgency(letters in prop::collection::vec(prop::sample::select(vec!['c', 'r', 'b', 'n']), 1..60)) {
        let mut outbox = filled(outbox(0, 0), &letters.iter().collect::<String>());
        let mut passed: BTreeMap<Urgency, u32> = BTreeMap::new();
        let mut left: Vec<Urgency> = letters.iter().map(|letter| call(*letter, 1).urgency()).collect();
        while let Next::Go(request) = outbox.next(ms(1), VENUE, Lane::Any, Gate::Open) {
            let class = request.call.urgency();
            let due = [Urgency::Resolve, Urgency::Books]
                .into_iter()
                .find(|class| left.contains(class) && passed.get(class).is_some_and(|times| *times >= OVERTAKEN_MAX));
            prop_assert_eq!(Some(class), due.or(left.iter().min().copied()));
            let place = left.iter().position(|other| *other == class).unwrap();
            left.remove(place);
            for other in [Urgency::Resolve, Urgency::Books] {
                if other > class && left.contains(&other) {
                    *passed.entry(other).or_default() += 1;
                }
            }
            passed.insert(class, 0);
        }
        prop_assert!(left.is_empty());
    }
}

/// A venue that bills single and batch cancels apart, two a second each.
fn billed() -> Outbox {
    let bucket = |name: &str| rates::Bucket { name: name.into(), limit: 2, per: Duration::from_secs(1) };
    let charge = |class, bucket, per_order| rates::Charge { class, kind: None, bucket, per_request: 0, per_order };
    let billing = rates::Billing {
        buckets: vec![bucket("single"), bucket("batch")],
        charges: vec![charge(rates::CallClass::CancelOne, 0, 1), charge(rates::CallClass::CancelBatch, 1, 1)],
    };
    let mut catalogue = Catalogue::default();
    catalogue.add_venue("main", VenueTraits { billing, ..traits(0, 0) }).unwrap();
    Outbox::new(&catalogue)
}

#[test]
fn what_waits_for_its_bucket_lets_others_pass_that_draw_from_another() {
    let mut outbox = filled(billed(), "ccc");
    outbox.push(batch(4, 2)).unwrap();
    outbox.push(request(5, call('b', 5))).unwrap();
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 2 4 5 ~");
    outbox.answered(ms(5), &unknown(1));
    assert_eq!(drained(&mut outbox, ms(1_049), Lane::Any, Gate::Open), "~");
    assert_eq!(drained(&mut outbox, ms(1_050), Lane::Any, Gate::Open), "3 .");
}

#[test]
fn a_list_goes_before_questions_about_single_orders() {
    let mut outbox = filled(outbox(0, 0), "rrlr");
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "3 1 2 4 .");
}

/// It may have come to the venue just before its answer left: were the next one faster, both would be in one second.
#[test]
fn a_request_that_was_slow_holds_its_place_for_longer() {
    let mut outbox = filled(billed(), "cccc");
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 2 ~");
    outbox.answered(ms(10), &unknown(1));
    outbox.answered(ms(210), &unknown(2));
    assert_eq!(drained(&mut outbox, ms(1_050), Lane::Any, Gate::Open), "3 ~");
    assert_eq!(drained(&mut outbox, ms(1_199), Lane::Any, Gate::Open), "~");
    assert_eq!(drained(&mut outbox, ms(1_200), Lane::Any, Gate::Open), "4 .");
}

#[test]
fn a_limit_the_venue_told_counts_from_then_on() {
    let mut outbox = filled(billed(), "cccccc");
    assert_eq!(drained(&mut outbox, ms(0), Lane::Any, Gate::Open), "1 2 ~");
    outbox.learn(VENUE, LimitNews { bucket: 0, limit: 5, left: 3 });
    outbox.learn(VENUE, LimitNews { bucket: 77, limit: 5, left: 3 });
    assert_eq!(drained(&mut outbox, ms(1), Lane::Any, Gate::Open), "3 4 5 ~");
}
