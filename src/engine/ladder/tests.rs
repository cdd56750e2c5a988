//! Rungs: where they lie, that each is filled once, what becomes of leftovers, and what an event costs.

use super::super::risk::{Breach, RiskRefusal};
use super::super::strategy::{Refusals, build};
use super::super::testing::{BTC, Desk, Dice, Live, catalogue, client_id, decimal, lots};
use super::*;
use crate::domain::ids::Symbol;
use crate::domain::order::StateName;
use crate::domain::settings::{StrategyKind, StrategySettings};

/// Five buys of 0.01 from 4,000 down, 10 apart.
fn settings() -> LadderSettings {
    LadderSettings {
        sides: LadderSides::One(Side::Buy),
        start: LadderStart::Price(decimal("4000")),
        step: decimal("10"),
        rungs: 5,
        order_qty: decimal("0.01"),
        post_only: true,
    }
}

fn ladder(settings: &LadderSettings) -> Ladder {
    let catalogue = catalogue();
    Ladder::new(settings, &[catalogue.instrument(BTC)], &mut Refusals::new("rungs")).unwrap()
}

fn desk(settings: &LadderSettings) -> Desk<Ladder> {
    let mut desk = Desk::new(ladder(settings));
    desk.quote("4999.5", "5000.5");
    desk.cycle();
    desk
}

fn prices(desk: &Desk<Ladder>, side: Side) -> Vec<String> {
    desk.book(side).into_iter().map(|(price, _)| price).collect()
}

/// An earlier ladder's memory in a new one.
fn restarted(desk: &Desk<Ladder>, settings: &LadderSettings) -> Desk<Ladder> {
    let mut next = Desk::new(ladder(settings));
    next.next_id = 10_000;
    next.strategy.recall(&desk.strategy.memory()).unwrap();
    next
}

#[test]
fn rungs_rest_at_steps_away_from_the_start() {
    let mut settings = settings();
    assert_eq!(prices(&desk(&settings), Side::Buy), ["4000", "3990", "3980", "3970", "3960"]);
    settings.sides = LadderSides::One(Side::Sell);
    assert_eq!(prices(&desk(&settings), Side::Sell), ["4000", "4010", "4020", "4030", "4040"]);
}

#[test]
fn a_start_price_with_both_sides_is_the_middle() {
    let mut settings = settings();
    settings.sides = LadderSides::Both;
    settings.rungs = 2;
    let desk = desk(&settings);
    assert_eq!(prices(&desk, Side::Buy), ["3990", "3980"]);
    assert_eq!(prices(&desk, Side::Sell), ["4010", "4020"]);
}

#[test]
fn an_offset_is_measured_from_the_first_middle_and_then_fixed() {
    let mut settings = settings();
    settings.sides = LadderSides::Both;
    settings.start = LadderStart::OffsetBps(decimal("100"));
    settings.rungs = 2;
    let mut desk = desk(&settings);
    assert_eq!(prices(&desk, Side::Buy), ["4950", "4940"]);
    assert_eq!(prices(&desk, Side::Sell), ["5050", "5060"]);
    desk.end(desk.nearest(Side::Buy), StateName::Canceled);
    desk.quote("5999.5", "6000.5");
    desk.pass(1_000);
    assert_eq!(prices(&desk, Side::Buy), ["4950", "4940"]);
    let mut desk = restarted(&desk, &settings);
    desk.quote("3999.5", "4000.5");
    desk.cycle();
    assert_eq!(prices(&desk, Side::Buy), ["4950", "4940"], "a restart finds the same rungs");
}

#[test]
fn an_offset_between_ticks_is_rounded_away_from_the_market() {
    let mut settings = settings();
    settings.sides = LadderSides::Both;
    settings.start = LadderStart::OffsetBps(decimal("0.01"));
    settings.rungs = 1;
    let desk = desk(&settings);
    assert_eq!((prices(&desk, Side::Buy), prices(&desk, Side::Sell)), (vec!["4999.5".into()], vec!["5000.5".into()]));
}

#[test]
fn an_offset_ladder_waits_for_its_first_quote() {
    let mut settings = settings();
    settings.start = LadderStart::OffsetBps(decimal("100"));
    let mut desk = Desk::new(ladder(&settings));
    desk.cycle();
    assert!(desk.placed.is_empty());
    assert!(!desk.strategy.take_memory_changed());
    desk.quote("4999.5", "5000.5");
    assert!(desk.strategy.take_memory_changed(), "the start is worth remembering at once");
    desk.cycle();
    assert_eq!(desk.live.len(), 5);
}

#[test]
fn a_few_orders_a_cycle_nearest_first() {
    let mut settings = settings();
    settings.rungs = 25;
    let mut desk = desk(&settings);
    assert_eq!(desk.live.len(), lane::PLACED_PER_CYCLE_MAX);
    assert_eq!(prices(&desk, Side::Buy)[9], "3910");
    desk.cycle();
    desk.cycle();
    assert_eq!(desk.live.len(), 25);
    desk.cycle();
    assert_eq!(desk.placed.len(), 25);
}

#[test]
fn a_filled_rung_stays_done_also_after_a_restart() {
    let settings = settings();
    let mut desk = desk(&settings);
    desk.strategy.take_memory_changed();
    desk.fill(desk.nearest(Side::Buy), lots(10));
    assert!(desk.strategy.take_memory_changed());
    desk.pass(100_000);
    assert_eq!(prices(&desk, Side::Buy), ["3990", "3980", "3970", "3960"]);
    let mut desk = restarted(&desk, &settings);
    desk.cycle();
    assert_eq!(prices(&desk, Side::Buy), ["3990", "3980", "3970", "3960"]);
}

#[test]
fn a_rung_the_venue_took_off_is_placed_again_after_a_wait_that_grows() {
    for state in [StateName::Canceled, StateName::Expired, StateName::Rejected] {
        let mut desk = desk(&settings());
        for wait in [1_000, 2_000, 4_000] {
            desk.end(desk.nearest(Side::Buy), state);
            desk.pass(wait - 1);
            assert_eq!(desk.live.len(), 4, "{state}");
            desk.pass(1);
            assert_eq!(prices(&desk, Side::Buy)[0], "4000", "{state}");
        }
    }
}

#[test]
fn what_is_left_of_a_part_filled_rung_is_placed_again() {
    let mut desk = desk(&settings());
    let id = desk.nearest(Side::Buy);
    desk.fill(id, lots(4));
    desk.end(id, StateName::Canceled);
    desk.cycle();
    assert_eq!(desk.book(Side::Buy)[0], ("4000".into(), "0.006".into()));
    let mut again = restarted(&desk, &settings());
    again.cycle();
    assert_eq!(again.book(Side::Buy)[0], ("4000".into(), "0.006".into()), "also after a restart");
}

/// Fills all but one lot of the nearest rung; the venue takes at least two. Then the rest is cancelled.
fn leave_one_lot(desk: &mut Desk<Ladder>) {
    let id = desk.nearest(Side::Buy);
    let open = desk.live[&id].open();
    desk.fill(id, open.less(lots(1)));
    desk.end(id, StateName::Canceled);
    desk.cycle();
}

#[test]
fn a_leftover_below_the_minimum_is_carried_to_the_next_order_and_its_rung_is_done() {
    let mut settings = settings();
    settings.rungs = 20;
    let mut desk = desk(&settings);
    leave_one_lot(&mut desk);
    // The first ten rest already; the eleventh is the next order of this side.
    let book = desk.book(Side::Buy);
    assert_eq!(book[0].0, "3990");
    assert_eq!(book[9], ("3900".into(), "0.011".into()));
    assert_eq!(book[10], ("3890".into(), "0.01".into()));
}

#[test]
fn leftovers_with_no_order_after_them_wait_in_the_memory_until_they_are_an_order() {
    let settings = settings();
    let mut desk = desk(&settings);
    leave_one_lot(&mut desk);
    assert_eq!(desk.placed.len(), 5);
    assert_eq!(desk.strategy.memory()["BTC-USDT BUY"]["carry"], "0.001");
    let mut again = restarted(&desk, &settings);
    assert_eq!(again.strategy.memory(), desk.strategy.memory());
    again.cycle();
    assert_eq!(again.book(Side::Buy)[0], ("3990".into(), "0.011".into()), "the next order takes it along");
    leave_one_lot(&mut desk);
    // Two lots are an order, and go out at the rung that made them two.
    assert_eq!(desk.book(Side::Buy)[0], ("3990".into(), "0.002".into()));
    assert_eq!(desk.strategy.memory()["BTC-USDT BUY"]["carry"], "0");
}

#[test]
fn a_late_fill_of_a_replaced_order_is_not_bought_twice() {
    let mut desk = desk(&settings());
    let (old, terms) = (desk.nearest(Side::Buy), desk.live[&desk.nearest(Side::Buy)].terms);
    let late = |filled| OrderChange { client_id: old, terms, filled: lots(filled), state: StateName::Canceled };
    desk.end(old, StateName::Canceled);
    // Before its place is taken again ...
    desk.change(late(3));
    desk.pass(1_000);
    assert_eq!(desk.book(Side::Buy)[0], ("4000".into(), "0.007".into()));
    // ... and while another order rests there: that one cannot shrink, but what is left of it does.
    desk.change(late(5));
    desk.change(late(5));
    let new = desk.nearest(Side::Buy);
    desk.fill(new, lots(1));
    desk.end(new, StateName::Canceled);
    desk.cycle();
    assert_eq!(desk.book(Side::Buy)[0], ("4000".into(), "0.004".into()));
}

fn refusal(breach: Breach) -> RiskRefusal {
    let catalogue = catalogue();
    let terms = OrderTerms {
        instrument: BTC,
        side: Side::Buy,
        price: PriceTicks::new(1),
        qty: lots(1),
        time_in_force: TimeInForce::Gtc,
    };
    RiskRefusal { breach, ..RiskRefusal::not_now(catalogue.instrument(BTC), &terms, "") }
}

#[test]
fn a_rate_limit_is_waited_out_and_tried_with_one_order() {
    let mut settings = settings();
    settings.rungs = 30;
    let mut desk = Desk::new(ladder(&settings));
    desk.gate = |_, id| (id == 3).then_some("rate");
    desk.refusal = |_, _, _| refusal(Breach::Rate { allowed: 3 });
    desk.quote("4999.5", "5000.5");
    desk.cycle();
    assert_eq!((desk.live.len(), desk.n_refused), (3, 7), "the rest of one cycle's wishes were on their way");
    desk.pass(249);
    assert_eq!(desk.n_refused, 7);
    desk.pass(1);
    assert_eq!(desk.n_refused, 8, "one try");
    desk.gate = |_, _| None;
    for _ in 0..10 {
        desk.pass(250);
    }
    let all: Vec<String> = (0..30).map(|rung| (4_000 - 10 * rung).to_string()).collect();
    assert_eq!(prices(&desk, Side::Buy), all, "no rung was lost");
}

#[test]
fn a_rung_refused_for_itself_does_not_hold_up_the_others() {
    let mut desk = Desk::new(ladder(&settings()));
    desk.gate = |terms, _| (terms.price.count() == 8_000).then_some("crosses");
    desk.refusal = |_, _, _| refusal(Breach::WouldCross { value: Decimal::ONE, touch: Decimal::ONE });
    desk.quote("3999.5", "4000");
    desk.cycle();
    assert_eq!(prices(&desk, Side::Buy), ["3990", "3980", "3970", "3960"]);
    for _ in 0..50 {
        desk.pass(20);
    }
    assert_eq!(desk.n_refused, 2, "after a second, not in each cycle");
}

#[test]
fn a_limit_that_stops_the_whole_side_is_probed_with_one_order_and_growing_waits() {
    let mut settings = settings();
    settings.rungs = 1_000;
    settings.step = decimal("1");
    let mut desk = Desk::new(ladder(&settings));
    desk.gate = |_, _| Some("full");
    desk.refusal = |_, _, _| refusal(Breach::OpenOrders { value: 61, allowed: 60 });
    for _ in 0..600 {
        desk.pass(100);
    }
    assert_eq!(desk.n_refused, 10 + 9, "the first cycle's ten, then after 1, 2, 4, 8, 8 ... seconds");
    desk.gate = |_, _| None;
    for _ in 0..200 {
        desk.pass(100);
    }
    assert_eq!(desk.live.len(), 1_000);
}

#[test]
fn a_carry_a_limit_refuses_goes_back_and_the_rung_goes_out_without_it() {
    let mut settings = settings();
    settings.rungs = 20;
    let mut desk = desk(&settings);
    desk.gate = |terms, _| (terms.qty.count() > 10).then_some("too much");
    desk.refusal = |_, _, _| refusal(Breach::OrderNotional { value: Decimal::ONE, allowed: Decimal::ZERO });
    leave_one_lot(&mut desk);
    desk.cycle();
    assert_eq!(desk.n_refused, 1);
    assert!(desk.book(Side::Buy).iter().all(|(_, qty)| qty == "0.01"));
    assert_eq!(desk.live.len(), 19);
    assert_eq!(desk.strategy.lanes[0].carry, lots(1));
}

#[test]
fn rungs_worth_too_little_are_left_out_and_the_operator_hears_it_once() {
    let mut settings = settings();
    settings.start = LadderStart::OffsetBps(decimal("100"));
    settings.step = decimal("1500");
    // 4950, 3450, 1950, then 450 (worth 4.5 of at least 5), and two at no price at all.
    settings.rungs = 6;
    let mut desk = desk(&settings);
    desk.pass(100_000);
    assert_eq!(prices(&desk, Side::Buy), ["4950", "3450", "1950"]);
    assert_eq!(desk.said.len(), 1, "{:?}", desk.said);
    assert!(desk.said[0].contains("rung 3"), "{:?}", desk.said);
}

#[test]
fn orders_of_an_earlier_run_go_back_to_their_rungs() {
    let settings = settings();
    let mut next = restarted(&desk(&settings), &settings);
    let offer = |price: i64, filled: i64, ended: bool| AdoptedOrder {
        client_id: client_id(price as u32),
        terms: OrderTerms {
            instrument: BTC,
            side: Side::Buy,
            price: PriceTicks::new(price),
            qty: lots(10),
            time_in_force: TimeInForce::PostOnly,
        },
        filled: lots(filled),
        ended,
    };
    assert!(next.strategy.adopt(&offer(7_980, 2, false)), "3990 is rung 1");
    assert!(!next.strategy.adopt(&offer(7_980, 0, false)), "one order a rung");
    assert!(!next.strategy.adopt(&offer(7_981, 0, false)), "between rungs");
    assert!(!next.strategy.adopt(&offer(8_020, 0, false)), "before the first");
    assert!(!next.strategy.adopt(&offer(7_900, 0, false)), "after the last");
    assert!(!next.strategy.adopt(&offer(8_000, 10, true)), "it filled while we were away");
    assert!(!next.strategy.adopt(&offer(7_960, 4, true)), "swept after a part fill");
    next.keep(
        client_id(7_980),
        Live {
            slot: next.strategy.owners[&client_id(7_980)],
            terms: offer(7_980, 0, false).terms,
            filled: lots(2),
            cancel_wished: false,
        },
    );
    next.cycle();
    let expected = [("3990", "0.01"), ("3980", "0.006"), ("3970", "0.01"), ("3960", "0.01")];
    assert_eq!(next.book(Side::Buy), expected.map(|(price, qty)| (price.to_owned(), qty.to_owned())));
    next.end(client_id(7_980), StateName::Canceled);
    next.cycle();
    assert_eq!(next.book(Side::Buy)[0], ("3990".into(), "0.008".into()));
}

#[test]
fn a_memory_of_other_rungs_is_refused_with_words_and_the_ladder_begins_anew() {
    let mut before = desk(&settings());
    before.fill(before.nearest(Side::Buy), lots(10));
    let memory = before.strategy.memory();
    let mut other = settings();
    other.step = decimal("20");
    let mut strategy = ladder(&other);
    let words = strategy.recall(&memory).unwrap_err();
    assert!(words.contains("BTC-USDT BUY") && words.contains("step"), "{words}");
    let mut desk = Desk::new(strategy);
    desk.cycle();
    assert_eq!(prices(&desk, Side::Buy)[..2], ["4000", "3980"]);
    for damaged in ["3", "{\"BTC-USDT BUY\": {\"first\": 3}}"] {
        let value: Value = serde_json::from_str(damaged).unwrap();
        assert!(ladder(&settings()).recall(&value).is_err(), "{damaged}");
    }
    assert!(ladder(&settings()).recall(&Value::Null).is_ok(), "the first run remembers nothing");
}

#[test]
fn settings_that_cannot_work_are_all_refused_by_name_at_once() {
    let refused = |change: fn(&mut LadderSettings), expected: &[&str]| {
        let mut own = settings();
        change(&mut own);
        let catalogue = catalogue();
        let settings = StrategySettings {
            name: "steps".into(),
            venue: "main".into(),
            symbols: vec![Symbol::new("BTC-USDT")],
            kind: StrategyKind::Ladder(own),
        };
        let words = match build(&settings, &catalogue, catalogue.venues()[0].id) {
            Ok(_) => Vec::new(),
            Err(words) => words,
        };
        assert_eq!(words.len(), expected.len(), "{words:?}");
        for (word, expected) in words.iter().zip(expected) {
            assert!(word.starts_with("strategy \"steps\": "), "{word}");
            assert!(word.contains(expected), "{word}");
        }
    };
    refused(|_| {}, &[]);
    refused(|own| own.rungs = 0, &["rungs = 0 is refused; allowed: 1 to"]);
    refused(|own| own.rungs = 401, &["rungs = 401 is refused; allowed: so many"]);
    refused(|own| own.rungs = 400, &["order_qty = 0.01 is refused; allowed: a quantity worth at least 5"]);
    refused(|own| own.step = decimal("0.3"), &["step = 0.3 is refused; allowed: multiples of 0.5"]);
    refused(|own| own.step = Decimal::ZERO, &["step = 0 "]);
    refused(
        |own| own.start = LadderStart::Price(decimal("4000.1")),
        &["start_price = 4000.1 is refused; allowed: multiples of 0.5"],
    );
    refused(|own| own.order_qty = decimal("0.0015"), &["order_qty = 0.0015 is refused; allowed: multiples of 0.001"]);
    refused(
        |own| own.order_qty = decimal("0.001"),
        &["order_qty = 0.001 is refused; allowed: multiples of 0.001 from 0.002"],
    );
    refused(|own| (own.step, own.order_qty) = (decimal("0.3"), decimal("1000")), &["order_qty = 1000", "step = 0.3"]);
    refused(
        |own| (own.start, own.sides) = (LadderStart::OffsetBps(Decimal::ZERO), LadderSides::Both),
        &["start_offset_bps = 0"],
    );
}

/// Visits of rungs and wishes while an order fills, another is taken off and comes back, and prices move.
fn cost_of_some_events(rungs: u32) -> (u64, usize) {
    let mut settings = settings();
    settings.start = LadderStart::Price(decimal("40000"));
    settings.step = decimal("0.5");
    settings.rungs = rungs;
    let mut desk = desk(&settings);
    while desk.live.len() < rungs as usize {
        desk.cycle();
    }
    let visited = |desk: &Desk<Ladder>| desk.strategy.lanes[0].rungs.visited.get();
    let (visits, wishes) = (visited(&desk), desk.placed.len());
    desk.fill(desk.nearest(Side::Buy), lots(10));
    desk.cycle();
    desk.end(desk.nearest(Side::Buy), StateName::Canceled);
    desk.pass(1_000);
    desk.quote("4999.5", "5000");
    desk.cycle();
    (visited(&desk) - visits, desk.placed.len() - wishes)
}

#[test]
fn an_event_costs_the_same_with_10_and_with_10_000_rungs() {
    let (visits, wishes) = cost_of_some_events(10);
    assert_eq!(wishes, 1);
    assert!(visits > 0);
    assert_eq!(cost_of_some_events(10_000), (visits, wishes));
}

/// What is filled, rests, is owed and is carried adds up to `order_qty` for each rung.
fn check_sum(desk: &Desk<Ladder>, filled: &[i64; 2], seed: u64) {
    for (number, lane) in desk.strategy.lanes.iter().enumerate() {
        let mut sum = lane.carry.count() + filled[number];
        for rung in 0..lane.rungs_max {
            match lane.rungs.get(rung as usize).unwrap().order {
                Some(order) => sum += order.qty.less(order.filled).count(),
                None => sum += lane.owed(rung).count(),
            }
        }
        assert_eq!(sum, 10 * i64::from(lane.rungs_max), "seed {seed} lane {number}");
    }
}

#[test]
fn whatever_the_venue_does_each_rung_is_filled_once_and_nothing_is_lost() {
    let (mut n_fills, mut n_restarts) = (0, 0);
    for seed in 1..=200 {
        let mut dice = Dice::new(seed);
        let mut settings = settings();
        settings.sides = LadderSides::Both;
        settings.rungs = 1 + dice.below(15) as u32;
        let mut desk = desk(&settings);
        desk.refusal = |_, _, why| {
            refusal(match why {
                "rate" => Breach::Rate { allowed: 1 },
                "size" => Breach::PositionNotional { value: Decimal::ONE, allowed: Decimal::ZERO },
                _ => Breach::NoMarket,
            })
        };
        let mut filled = [0_i64; 2];
        for _ in 0..250 {
            match dice.below(7) {
                0 | 1 => desk.pass(dice.below(1_500)),
                2 => {
                    desk.gate = match dice.below(5) {
                        0 => |_, id| (id % 3 == 0).then_some("rate"),
                        1 => |terms, _| (terms.qty.count() > 10).then_some("size"),
                        2 => |_, id| (id % 2 == 0).then_some("other"),
                        _ => |_, _| None,
                    }
                }
                _ if desk.live.is_empty() => desk.cycle(),
                3 | 4 => {
                    let place = dice.below(desk.live.len() as u64) as usize;
                    let (&id, live) = desk.live.iter().nth(place).unwrap();
                    // Often all but one lot, which the venue finds too small an order.
                    let open = live.open().count();
                    let by = if dice.one_in(2) && open > 1 { open - 1 } else { 1 + dice.below(open as u64) as i64 };
                    filled[usize::from(live.terms.side == Side::Sell)] += by;
                    desk.fill(id, lots(by));
                    n_fills += 1;
                }
                5 => {
                    let place = dice.below(desk.live.len() as u64) as usize;
                    let id = *desk.live.keys().nth(place).unwrap();
                    let states = [StateName::Canceled, StateName::Rejected, StateName::Expired];
                    desk.end(id, states[dice.below(3) as usize]);
                }
                _ if dice.one_in(6) => {
                    n_restarts += 1;
                    let mut next = restarted(&desk, &settings);
                    (next.at, next.refusal, next.next_id) = (desk.at, desk.refusal, desk.next_id);
                    for (&id, live) in &desk.live {
                        let ended = dice.one_in(3);
                        let kept = next.strategy.adopt(&AdoptedOrder {
                            client_id: id,
                            terms: live.terms,
                            filled: live.filled,
                            ended,
                        });
                        assert_eq!(kept, !ended, "seed {seed}");
                        if kept {
                            next.keep(id, *live);
                        }
                    }
                    desk = next;
                }
                _ => desk.cycle(),
            }
            check_sum(&desk, &filled, seed);
        }
        // Let it come to rest: every rung is filled in the end, but for what is too small to be an order.
        desk.gate = |_, _| None;
        for _ in 0..400 {
            desk.pass(10_000);
            if let Some((&id, live)) = desk.live.first_key_value() {
                filled[usize::from(live.terms.side == Side::Sell)] += live.open().count();
                desk.fill(id, live.open());
            }
        }
        check_sum(&desk, &filled, seed);
        let all = 10 * i64::from(settings.rungs);
        assert!(
            desk.live.is_empty() && filled.iter().all(|filled| all - filled < 2),
            "seed {seed}: {filled:?} of {all}"
        );
    }
    assert!(n_fills > 1_000 && n_restarts > 200, "{n_fills} fills, {n_restarts} restarts");
}
