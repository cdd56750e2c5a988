//! The machine against a model of it small enough to be believed: shuffled, repeated and dropped news, repeated trades,
//! fills after the end, two names for one order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::moves::all_news;
use crate::domain::ids::{ClientOrderId, Epoch, Instance, InstrumentId, StrategyLetter, Symbol, VenueId, VenueOrderId};
use crate::domain::money::{Lots, PriceTicks};
use crate::domain::order::{OrderKey, OrderState, OrderTerms, Outcome, Side, StateName, TimeInForce};
use crate::domain::time::{Boot, Wall};
use crate::orders::machine::{ENDED_MAX, Order, OrderStateMachine};
use crate::orders::moves::News;

const QTY: i64 = 4;

fn lots(count: i64) -> Lots {
    Lots::new(count).unwrap()
}

fn id(sequence: u32) -> ClientOrderId {
    ClientOrderId::new(Instance::from_chance(1), Epoch(1), StrategyLetter::nth(0).unwrap(), sequence).unwrap()
}

fn venue_id(number: u32) -> VenueOrderId {
    VenueOrderId::new(&format!("v-{number}"))
}

fn order(sequence: u32, venue: VenueId, state: OrderState) -> Order {
    Order {
        key: OrderKey { venue, symbol: Symbol::new("BTC-USDT"), client_id: id(sequence), venue_order_id: None },
        terms: OrderTerms {
            instrument: InstrumentId(0),
            side: Side::Buy,
            price: PriceTicks::new(100),
            qty: lots(QTY),
            time_in_force: TimeInForce::Gtc,
        },
        state,
        filled: Lots::ZERO,
        venue_filled: Lots::ZERO,
        checked: None,
        handed_over_at: Boot::ZERO,
        changed_at: Boot::ZERO,
        reason: String::new(),
    }
}

/// What happens to one of a handful of orders.
#[derive(Clone, Debug)]
enum Step {
    /// News from `all_news`, by its place; fills are `Trade`.
    News(u32, usize),
    /// A trade of one or two lots. The same number is the same trade.
    Trade(u32, u8),
    /// The venue's total, whatever was booked.
    VenueSays(u32, i64),
    /// The venue calls it by this name.
    Named(u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n_news = all_news().len() - 2;
    let step = prop_oneof![
        6 => (0_u32..5, 0..n_news).prop_map(|(order, place)| Step::News(order, place)),
        3 => (0_u32..5, 0_u8..6).prop_map(|(order, trade)| Step::Trade(order, trade)),
        1 => (0_u32..5, 0..=QTY).prop_map(|(order, filled)| Step::VenueSays(order, filled)),
        1 => (0_u32..5, 0_u32..8).prop_map(|(order, name)| Step::Named(order, name)),
    ];
    proptest::collection::vec(step, 0..80)
}

/// All the model knows of an order. Its state is judged step by step, see `judge`.
#[derive(Clone, Debug, Default)]
struct Model {
    trades: BTreeMap<u8, i64>,
    venue_says: i64,
    name: Option<u32>,
}

impl Model {
    fn filled(&self) -> i64 {
        self.trades.values().sum()
    }

    fn owes(&self) -> bool {
        self.venue_says > self.filled()
    }
}

/// News that is evidence: it may end `UNKNOWN`.
fn is_evidence(news: News) -> bool {
    match news {
        News::Created
        | News::Rejected
        | News::CancelDone
        | News::SeenOpen
        | News::SeenCanceling
        | News::SeenEnded(_)
        | News::Fill
        | News::Absent => true,
        News::HandedOver | News::EndedUnsent | News::NoAnswer | News::CancelAsked | News::CancelTaken => false,
    }
}

fn venue_of(order: u32) -> VenueId {
    VenueId((order % 2) as u8)
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut machine = OrderStateMachine::default();
    let mut model = vec![Model::default(); 5];
    let mut owners = BTreeMap::new();
    let mut others = BTreeSet::new();
    for number in 0..5 {
        machine.insert(order(number, venue_of(number), OrderState::New));
        machine.apply(Boot::ZERO, id(number), News::HandedOver).unwrap();
    }
    machine.insert(order(5, VenueId(0), OrderState::New));
    for (place, step) in steps.iter().enumerate() {
        let at = Boot::from_nanos(place as u64 + 1);
        let (Step::News(number, _) | Step::Trade(number, _) | Step::VenueSays(number, _) | Step::Named(number, _)) =
            *step;
        let before = machine.get(id(number)).unwrap().clone();
        let refused_before = machine.n_refused();
        let mut news = None;
        let mut is_refused = false;
        match *step {
            Step::News(_, place) => {
                let told = all_news()[place].0;
                let moved = machine.apply(at, id(number), told);
                is_refused = moved.is_err();
                news = Some(told);
                if let Ok(Some(moved)) = moved {
                    prop_assert_eq!(moved.before, before.state_name());
                    prop_assert_eq!(moved.after, machine.get(id(number)).unwrap().state_name());
                }
            }
            Step::Trade(_, trade) => {
                let qty = i64::from(trade % 2) + 1;
                let is_new = model[number as usize].trades.insert(trade, qty).is_none();
                let claimed = machine.claim_trade(venue_of(number), &trade_id(number, trade), Wall::default());
                prop_assert_eq!(claimed, is_new);
                if is_new {
                    machine.book(at, id(number), lots(qty)).unwrap();
                    let known = &mut model[number as usize];
                    known.venue_says = known.venue_says.max(known.filled());
                    news = Some(News::Fill);
                }
            }
            Step::VenueSays(_, filled) => {
                machine.venue_says_filled(id(number), lots(filled));
                let known = &mut model[number as usize];
                known.venue_says = known.venue_says.max(filled);
            }
            Step::Named(_, name) => {
                let owner = *owners.entry((venue_of(number), name)).or_insert(number);
                let first = &mut model[number as usize].name;
                let is_other = owner == number && *first.get_or_insert(name) != name;
                let fits = owner == number && (!is_other || !others.insert((number, name)));
                is_refused = machine.name(id(number), &venue_id(name)).is_err();
                prop_assert_eq!(is_refused, !fits);
            }
        }
        prop_assert_eq!(machine.n_refused(), refused_before + u64::from(is_refused));
        let after = machine.get(id(number)).unwrap();
        judge(&before, after, news)?;
        agree(&machine, &model)?;
        for ((venue, name), owner) in &owners {
            prop_assert_eq!(machine.by_venue_id(*venue, &venue_id(*name)).map(Order::id), Some(id(*owner)));
        }
    }
    Ok(())
}

fn trade_id(order: u32, trade: u8) -> crate::domain::ids::TradeId {
    crate::domain::ids::TradeId::new(&format!("t-{order}-{trade}"))
}

/// One step of one order.
fn judge(before: &Order, after: &Order, news: Option<News>) -> Result<(), TestCaseError> {
    if before.state.is_terminal() {
        prop_assert!(after.state.is_terminal(), "{:?} reopened by {news:?}", before.state);
    }
    let was_unknown = matches!(before.state, OrderState::Unknown { .. });
    let is_unknown = matches!(after.state, OrderState::Unknown { .. });
    if was_unknown && !is_unknown {
        prop_assert!(news.is_some_and(is_evidence), "UNKNOWN ended by {news:?}");
    }
    let wants = |state: OrderState| {
        matches!(
            state,
            OrderState::Sent { cancel_asked: true }
                | OrderState::Unknown { cancel_asked: true, .. }
                | OrderState::Canceling
        )
    };
    if wants(before.state) {
        prop_assert!(wants(after.state) || after.state.is_terminal(), "a cancel was forgotten: {news:?}");
    }
    prop_assert!(after.filled >= before.filled && after.venue_filled >= before.venue_filled);
    Ok(())
}

/// Counts, indexes and fills against the orders and the model.
fn agree(machine: &OrderStateMachine, model: &[Model]) -> Result<(), TestCaseError> {
    let all: Vec<_> = (0..6).map(|number| machine.get(id(number)).unwrap()).collect();
    let ids = |wanted: &dyn Fn(&Order) -> bool| -> BTreeSet<ClientOrderId> {
        all.iter().filter(|order| wanted(order)).map(|order| order.id()).collect()
    };
    for venue in [VenueId(0), VenueId(1)] {
        let open = ids(&|order| order.state.is_open() && order.key.venue == venue);
        prop_assert_eq!(machine.open_at(venue).map(Order::id).collect::<BTreeSet<_>>(), open.clone());
        prop_assert_eq!(machine.n_open_at(venue), open.len());
        let owed = ids(&|order| order.venue_filled > order.filled && order.key.venue == venue);
        prop_assert_eq!(machine.owed_at(venue).map(Order::id).collect::<BTreeSet<_>>(), owed);
    }
    prop_assert_eq!(machine.n_open(), ids(&|order| order.state.is_open()).len());
    prop_assert_eq!(machine.n_unknown(), ids(&|order| matches!(order.state, OrderState::Unknown { .. })).len());
    prop_assert_eq!(
        machine.new_orders().map(Order::id).collect::<BTreeSet<_>>(),
        ids(&|order| order.state == OrderState::New)
    );
    prop_assert_eq!(machine.n_new(), ids(&|order| order.state == OrderState::New).len());
    for (number, known) in model.iter().enumerate() {
        let order = all[number];
        prop_assert_eq!(order.filled, lots(known.filled()), "fills of {} lost or doubled", order.id());
        prop_assert_eq!(order.venue_filled > order.filled, known.owes());
        if known.filled() >= QTY {
            prop_assert_eq!(order.state_name(), StateName::Filled);
        }
        prop_assert_eq!(order.key.venue_order_id.clone(), known.name.map(venue_id));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_in_whatever_order_the_books_stay_true(steps in steps()) {
        run(&steps)?;
    }
}

#[test]
fn an_order_known_under_two_names_is_found_by_both_and_keeps_the_first() {
    let mut machine = OrderStateMachine::default();
    machine.insert(order(1, VenueId(0), OrderState::Sent { cancel_asked: false }));
    machine.name(id(1), &venue_id(1)).unwrap();
    assert!(machine.name(id(1), &venue_id(2)).is_err());
    let by = |name| machine.by_venue_id(VenueId(0), &venue_id(name)).map(Order::id);
    assert_eq!((by(1), by(2)), (Some(id(1)), Some(id(1))));
    assert_eq!(machine.get(id(1)).unwrap().key.venue_order_id, Some(venue_id(1)));
}

#[test]
fn a_name_that_belongs_to_another_order_is_not_taken_from_it() {
    let mut machine = OrderStateMachine::default();
    for number in [1, 2] {
        machine.insert(order(number, VenueId(0), OrderState::Sent { cancel_asked: false }));
    }
    machine.name(id(1), &venue_id(1)).unwrap();
    assert!(machine.name(id(2), &venue_id(1)).is_err());
    assert_eq!(machine.by_venue_id(VenueId(0), &venue_id(1)).map(Order::id), Some(id(1)));
    assert_eq!(machine.get(id(2)).unwrap().key.venue_order_id, None);
}

#[test]
fn news_of_an_order_that_nobody_knows_is_refused_and_counted() {
    let mut machine = OrderStateMachine::default();
    assert!(machine.apply(Boot::ZERO, id(1), News::SeenOpen).is_err());
    assert!(machine.book(Boot::ZERO, id(1), lots(1)).is_err());
    assert_eq!(machine.n_refused(), 2);
}

#[test]
fn an_id_is_taken_in_once() {
    let mut machine = OrderStateMachine::default();
    assert!(machine.insert(order(1, VenueId(0), OrderState::Resting)));
    assert!(!machine.insert(order(1, VenueId(0), OrderState::New)));
    assert_eq!((machine.n_open(), machine.n_new()), (1, 0));
}

/// Ends orders `from..from + n`, each with the venue's word that nothing of it filled.
fn end_many(machine: &mut OrderStateMachine, from: u32, n: usize) {
    for number in from..from + n as u32 {
        machine.insert(order(number, VenueId(0), OrderState::Resting));
        machine.name(id(number), &venue_id(number)).unwrap();
        machine.apply(Boot::ZERO, id(number), News::SeenEnded(Outcome::Canceled)).unwrap();
    }
}

#[test]
fn what_is_remembered_of_ended_orders_is_bounded_and_never_drops_one_that_is_owed_fills() {
    let mut machine = OrderStateMachine::default();
    machine.insert(order(1, VenueId(0), OrderState::Resting));
    machine.name(id(1), &venue_id(1)).unwrap();
    machine.venue_says_filled(id(1), lots(1));
    machine.apply(Boot::ZERO, id(1), News::SeenEnded(Outcome::Canceled)).unwrap();
    end_many(&mut machine, 10, 3 * ENDED_MAX);
    assert!(machine.get(id(1)).is_some(), "a fill of it is owed");
    let n_kept = (10..10 + 3 * ENDED_MAX as u32).filter(|number| machine.get(id(*number)).is_some()).count();
    assert_eq!(n_kept, ENDED_MAX - 1, "and it counts");
    assert!(machine.by_venue_id(VenueId(0), &venue_id(10)).is_none(), "its name is forgotten with it");
    assert!(machine.get(id(9 + 3 * ENDED_MAX as u32)).is_some(), "the newest is kept");
    machine.claim_trade(VenueId(0), &trade_id(1, 1), Wall::default());
    machine.book(Boot::ZERO, id(1), lots(1)).unwrap();
    end_many(&mut machine, 100_000, ENDED_MAX + 1);
    assert!(machine.get(id(1)).is_none(), "booked in full, it may be forgotten");
}

#[test]
fn orders_that_came_from_the_disk_ended_are_forgotten_like_any_other() {
    let mut machine = OrderStateMachine::default();
    for number in 0..ENDED_MAX as u32 + 10 {
        machine.insert(order(number, VenueId(0), OrderState::Done(Outcome::Canceled)));
    }
    assert!(machine.get(id(0)).is_none());
}

#[test]
fn trades_are_remembered_until_the_lists_reach_no_further_back() {
    let mut machine = OrderStateMachine::default();
    let (old, new) = (Wall::from_millis(10), Wall::from_millis(20));
    assert!(machine.claim_trade(VenueId(0), &trade_id(1, 1), old));
    assert!(machine.claim_trade(VenueId(0), &trade_id(1, 2), new));
    machine.forget_trades(VenueId(0), new);
    machine.forget_trades(VenueId(1), Wall::from_millis(1_000));
    assert!(!machine.claim_trade(VenueId(0), &trade_id(1, 2), new), "still in reach");
    assert!(machine.claim_trade(VenueId(0), &trade_id(1, 1), old), "out of reach");
    assert!(machine.claim_trade(VenueId(1), &trade_id(1, 2), new), "another venue's trades have names of their own");
}
