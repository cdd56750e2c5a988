//! Random days at the desk: a small venue that does what it likes with answers, pushes and lists, against the ledger it
//! keeps itself. Whatever came, in whatever order: no fill is lost or doubled, the file tells what the desk believes,
//! and in the end the sweep's proof agrees with the ledger.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::bench::*;
use crate::domain::event::Event;
use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::order::{Durable, FillRow, OrderRow, Outcome, StateName, VenueStatus};
use crate::domain::request::{Answered, Call, Facts, Page, RefusalKind, Request};
use crate::orders::sweep::{Before, Progress, Sweep};

const VENUES: [VenueId; 2] = [MAIN, PLAIN];

/// An order as the venue keeps it. The whole truth.
#[derive(Clone, Debug)]
struct Kept {
    filled: i64,
    ended: Option<Outcome>,
    venue: VenueId,
}

/// The venues: their orders, and their trades in the order they happened.
#[derive(Clone, Debug, Default)]
struct Ledger {
    orders: BTreeMap<ClientOrderId, Kept>,
    trades: Vec<(VenueId, FillRow)>,
}

impl Ledger {
    fn row(&self, id: ClientOrderId) -> Option<OrderRow> {
        let kept = self.orders.get(&id)?;
        Some(row(id, kept.ended.map_or(VenueStatus::Open, VenueStatus::Ended), kept.filled))
    }

    fn create(&mut self, id: ClientOrderId, venue: VenueId) {
        self.orders.entry(id).or_insert(Kept { filled: 0, ended: None, venue });
    }

    fn cancel(&mut self, id: ClientOrderId) -> Answered {
        let Some(kept) = self.orders.get_mut(&id) else { return refused(RefusalKind::NotFound) };
        if kept.ended.is_some() {
            return refused(RefusalKind::AlreadyEnded);
        }
        kept.ended = Some(Outcome::Canceled);
        let filled = (kept.venue == PLAIN).then(|| lots(kept.filled));
        Answered::Done(Facts::CancelTaken { filled })
    }

    fn open_at(&self, venue: VenueId) -> Vec<OrderRow> {
        let open = self.orders.iter().filter(|(_, kept)| kept.venue == venue && kept.ended.is_none());
        open.filter_map(|(id, _)| self.row(*id)).collect()
    }

    /// What really happens to a request.
    fn carry_out(&mut self, request: &Request, bench: &Bench) -> Answered {
        match &request.call {
            Call::Create(create) => {
                let id = create.key.client_id;
                self.create(id, request.venue);
                Answered::Done(Facts::Created(venue_id(id)))
            }
            Call::Cancel(key) => self.cancel(key.client_id),
            Call::CancelBatch(keys) => {
                let items = keys.iter().map(|key| (key.client_id, self.cancel(key.client_id)));
                Answered::Done(Facts::Batch(items.collect()))
            }
            Call::Query(key) => match self.row(key.client_id) {
                Some(row) => Answered::Done(Facts::Order(Some(row))),
                None => refused(RefusalKind::NotFound),
            },
            Call::History(key) => Answered::Done(Facts::Order(self.row(key.client_id))),
            Call::ListOpen(_) => listing(self.open_at(request.venue)),
            Call::ListFills(since, page) => {
                let all = self.trades.iter().filter(|(venue, row)| *venue == request.venue && row.fill.at >= *since);
                let from = page.as_ref().map_or(0, |page| page.0.parse::<usize>().unwrap());
                // Pages overlap by one row.
                let rows: Vec<_> = all.skip(from).take(3).map(|(_, row)| row.clone()).collect();
                let next = (rows.len() == 3).then(|| Page((from + 2).to_string()));
                Answered::Done(Facts::Fills { rows, next, complete_to: bench.at.wall })
            }
            other => panic!("why {other:?}?"),
        }
    }
}

/// What happens next; the numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Intend(usize),
    Durable(u64),
    Cancel(usize),
    /// The venue takes a request off the wire; it may execute it or not, and answer or not.
    Answer(usize, Fate),
    Trade(usize, i64),
    /// The venue ends an order on its own.
    End(usize),
    /// A push of what is, again and again if it likes.
    PushOrder(usize),
    PushTrade(usize),
    Reconcile(usize),
    Pass(u64),
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    /// Executed, and nobody hears of it.
    AnswerLost,
    /// Never arrived, and nobody knows.
    RequestLost,
    /// Not executed: too many.
    Limited,
    /// A batch with some items done and the others not answered.
    Half,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        6 => Just(Fate::Done),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::RequestLost),
        1 => Just(Fate::Limited),
        1 => Just(Fate::Half),
    ];
    let any = 0_usize..1_000;
    let step = prop_oneof![
        4 => any.clone().prop_map(Step::Intend),
        4 => (0_u64..4).prop_map(Step::Durable),
        3 => any.clone().prop_map(Step::Cancel),
        12 => (any.clone(), fate).prop_map(|(which, fate)| Step::Answer(which, fate)),
        4 => (any.clone(), 1_i64..5).prop_map(|(which, qty)| Step::Trade(which, qty)),
        1 => any.clone().prop_map(Step::End),
        4 => any.clone().prop_map(Step::PushOrder),
        4 => any.clone().prop_map(Step::PushTrade),
        1 => any.prop_map(Step::Reconcile),
        6 => prop_oneof![0_u64..50, 100_u64..4_000].prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

fn pick<T: Clone>(from: impl IntoIterator<Item = T>, which: usize) -> Option<T> {
    let all: Vec<_> = from.into_iter().collect();
    (!all.is_empty()).then(|| all[which % all.len()].clone())
}

fn step(bench: &mut Bench, ledger: &mut Ledger, step: &Step) {
    match *step {
        Step::Intend(which) => {
            bench.intend(VENUES[which % 2]);
        }
        Step::Durable(behind) => {
            let up_to = crate::domain::order::Lsn(bench.state.journal_seq.0.saturating_sub(behind));
            bench.take(Event::Durable(Durable::synced(up_to)));
        }
        Step::Cancel(which) => {
            if let Some(id) = pick(bench.desk.orders.open().map(|order| order.id()), which) {
                bench.cancel(id);
            }
        }
        Step::Answer(which, fate) => {
            if !bench.wire.is_empty() {
                let request = bench.wire.remove(which % bench.wire.len());
                answer(bench, ledger, &request, fate);
            }
        }
        Step::Trade(which, qty) => {
            let open = ledger.orders.iter().filter(|(_, kept)| kept.ended.is_none()).map(|(id, _)| *id);
            if let Some(id) = pick(open, which) {
                let kept = ledger.orders.get_mut(&id).unwrap();
                let qty = qty.min(QTY - kept.filled);
                kept.filled += qty;
                kept.ended = (kept.filled == QTY).then_some(Outcome::Filled);
                let name = format!("t-{}", ledger.trades.len());
                ledger.trades.push((kept.venue, bench.trade(id, &name, qty)));
            }
        }
        Step::End(which) => {
            let open = ledger.orders.iter().filter(|(_, kept)| kept.ended.is_none()).map(|(id, _)| *id);
            if let Some(id) = pick(open, which) {
                ledger.orders.get_mut(&id).unwrap().ended = Some(Outcome::Expired);
            }
        }
        Step::PushOrder(which) => {
            if let Some((id, kept)) = pick(ledger.orders.clone(), which) {
                bench.push(kept.venue, ledger.row(id).unwrap());
            }
        }
        Step::PushTrade(which) => {
            if let Some((venue, row)) = pick(ledger.trades.clone(), which) {
                bench.fill(venue, row);
            }
        }
        Step::Reconcile(which) => bench.with(|desk, at, out| {
            desk.list(at, VENUES[which % 2], out);
            desk.fetch_fills(at, VENUES[which % 2], out);
        }),
        Step::Pass(millis) => bench.pass(millis),
        Step::Restart => {
            // What was on the wire is lost to us; every other create arrives all the same.
            for request in bench.wire.iter().step_by(2) {
                if let Call::Create(create) = &request.call {
                    ledger.create(create.key.client_id, request.venue);
                }
            }
            *bench = bench.restarted();
        }
    }
}

fn answer(bench: &mut Bench, ledger: &mut Ledger, request: &Request, fate: Fate) {
    // A create that waited too long is not executed any more; nobody here knows.
    let too_late = bench.at.boot > request.not_after;
    let answered = match fate {
        _ if too_late => lost(),
        Fate::Done => ledger.carry_out(request, bench),
        Fate::AnswerLost => {
            ledger.carry_out(request, bench);
            lost()
        }
        Fate::RequestLost => lost(),
        Fate::Limited => later(300),
        Fate::Half => match ledger.carry_out(request, bench) {
            Answered::Done(Facts::Batch(items)) => Answered::Done(Facts::Batch(items.into_iter().step_by(2).collect())),
            other => other,
        },
    };
    bench.answer(request, answered);
}

/// What must hold at every moment.
fn holds(bench: &Bench, ledger: &Ledger, before: &BTreeMap<ClientOrderId, StateName>) -> Result<(), TestCaseError> {
    for order in (1..=200).filter_map(|n| bench.desk.orders.get(own_id(bench, n))).chain(bench.desk.orders.open()) {
        let was = before.get(&order.id());
        prop_assert!(!was.is_some_and(|was| was.is_terminal()) || order.state.is_terminal(), "{} reopened", order.id());
        let truth = ledger.orders.get(&order.id());
        prop_assert!(order.filled.count() <= truth.map_or(0, |kept| kept.filled), "a fill of {} doubled", order.id());
        let rests = truth.is_some_and(|kept| kept.ended.is_none());
        prop_assert!(!(rests && order.state.is_terminal()), "{} rests, and is {:?} here", order.id(), order.state);
    }
    prop_assert_eq!(bench.desk.tally().refused_news, 0, "{:?}", bench.alarms());
    prop_assert_eq!(bench.desk.tally().unbookable_fills, 0);
    bench.agrees_with_its_records();
    Ok(())
}

/// The n-th order of this run.
fn own_id(bench: &Bench, n: u32) -> ClientOrderId {
    let identity = bench.desk.identity;
    let letter = crate::domain::ids::StrategyLetter::nth(0).unwrap();
    ClientOrderId::new(identity.instance, identity.epoch, letter, n).unwrap()
}

fn names(bench: &Bench, ledger: &Ledger) -> BTreeMap<ClientOrderId, StateName> {
    let known = ledger.orders.keys().filter_map(|id| bench.desk.orders.get(*id));
    known.map(|order| (order.id(), order.state_name())).collect()
}

/// Everything is healed; the desk is stopped. Whatever it believed, the ledger must be empty when it is proved so.
fn stop(mut bench: Bench, mut ledger: Ledger) -> Result<(), TestCaseError> {
    bench.with(|desk, at, out| desk.shut_gate(at, out));
    let mut sweeps = VENUES.map(|venue| Sweep::new(venue, bench.at, Before::Unseen(bench.at.boot), &bench.desk));
    for _ in 0..2_000 {
        while !bench.wire.is_empty() {
            let request = bench.wire.remove(0);
            answer(&mut bench, &mut ledger, &request, Fate::Done);
        }
        bench.pass(10);
        let mut n_proved = 0;
        for sweep in &mut sweeps {
            let progress = bench.with(|desk, at, out| sweep.pass(at, desk, out));
            n_proved += usize::from(matches!(progress, Progress::Proved(_)));
        }
        bench.pass(0);
        if n_proved == sweeps.len() {
            return proved(&bench, &ledger);
        }
    }
    let missing: Vec<_> = sweeps.iter().map(|sweep| sweep.missing(&bench.desk)).collect();
    prop_assert!(false, "not proved within 20 s of a healed venue: {missing:?}, {:?}", bench.waiting());
    Ok(())
}

fn proved(bench: &Bench, ledger: &Ledger) -> Result<(), TestCaseError> {
    for venue in VENUES {
        prop_assert_eq!(ledger.open_at(venue), [], "proved, and orders rest");
    }
    for (id, kept) in &ledger.orders {
        match bench.desk.orders.get(*id) {
            Some(order) => {
                prop_assert_eq!(order.filled.count(), kept.filled, "fills of {}", id);
                prop_assert_eq!(order.state_name() == StateName::Filled, kept.filled == QTY, "{}", id);
            }
            None => prop_assert_eq!(kept.filled, 0, "{} was never heard of", id),
        }
    }
    for venue in VENUES {
        let truth: i64 = ledger.orders.values().filter(|kept| kept.venue == venue).map(|kept| kept.filled).sum();
        let instrument = bench.desk.catalogue.find(venue, &symbol()).unwrap().id;
        prop_assert_eq!(bench.desk.position(instrument).qty, lots(truth));
    }
    bench.agrees_with_its_records();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_venue_does_no_fill_is_lost_and_the_proof_is_true(steps in steps()) {
        let (mut bench, mut ledger) = (Bench::new(), Ledger::default());
        for next in &steps {
            let before = names(&bench, &ledger);
            step(&mut bench, &mut ledger, next);
            if !matches!(next, Step::Restart) {
                holds(&bench, &ledger, &before)?;
            }
        }
        stop(bench, ledger)?;
    }
}
