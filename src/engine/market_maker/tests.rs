//! What the market maker quotes, leaves alone and carries; then long random markets with every kind of news.

use super::super::strategy::Refusals;
use super::super::testing::{BTC, Desk, Dice, catalogue, client_id, decimal, lots, quote};
use super::*;

/// Two levels at 25 and 125 bps from the middle, 0.01 each, at most 0.03 held.
fn settings() -> MarketMakerSettings {
    MarketMakerSettings {
        levels: 2,
        spread_bps: decimal("50"),
        level_step_bps: decimal("100"),
        order_qty: decimal("0.01"),
        max_position_qty: decimal("0.03"),
        skew_bps: decimal("30"),
        requote_bps: decimal("10"),
        post_only: true,
    }
}

fn desk(settings: &MarketMakerSettings) -> Desk<MarketMaker> {
    let catalogue = catalogue();
    let mut refusals = Refusals::new("mm");
    Desk::new(MarketMaker::new(settings, &[catalogue.instrument(BTC)], &mut refusals).unwrap())
}

fn orders(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(price, qty)| ((*price).to_owned(), (*qty).to_owned())).collect()
}

#[test]
fn quotes_lie_around_the_middle_rounded_away_from_the_market() {
    let mut desk = desk(&settings());
    desk.quote("999.5", "1000.5");
    // 1000 less 0.25 % and 1.25 %; the sells at 1002.5 and 1012.5 lie on a tick.
    assert_eq!(desk.book(Side::Buy), orders(&[("997.5", "0.01"), ("987.5", "0.01")]));
    assert_eq!(desk.book(Side::Sell), orders(&[("1002.5", "0.01"), ("1012.5", "0.01")]));
    let mut desk = self::desk(&settings());
    desk.quote("999.5", "1000");
    // The middle is 999.75: 997.25... goes down, 1002.24... goes up.
    assert_eq!(desk.book(Side::Buy)[0].0, "997");
    assert_eq!(desk.book(Side::Sell)[0].0, "1002.5");
}

#[test]
fn a_quote_is_left_alone_until_it_is_off_by_the_tolerance() {
    let mut desk = desk(&settings());
    desk.quote("999.5", "1000.5");
    // The sells should lie 1 higher, just short of 10 bps of 1000.5.
    desk.quote("1000", "1001");
    assert!(desk.live.values().all(|live| !live.cancel_wished));
    desk.quote("1001.5", "1002.5");
    assert!(desk.live.values().all(|live| live.cancel_wished));
    assert_eq!(desk.placed.len(), 4, "nothing new before the old ones are gone");
    desk.cycle();
    assert_eq!(desk.placed.len(), 4);
    desk.settle_cancels();
    desk.cycle();
    assert_eq!(desk.placed.len(), 8);
    assert_eq!(desk.book(Side::Buy)[0].0, "999");
}

#[test]
fn without_a_tolerance_a_quote_that_is_right_is_still_left_alone() {
    let mut settings = settings();
    settings.requote_bps = Decimal::ZERO;
    let mut desk = desk(&settings);
    desk.quote("999.5", "1000.5");
    desk.quote("999", "1001");
    assert!(desk.live.values().all(|live| !live.cancel_wished));
    desk.quote("1000", "1001");
    assert!(desk.live.values().any(|live| live.cancel_wished));
}

#[test]
fn a_held_position_moves_both_sides_against_it() {
    let mut desk = desk(&settings());
    // A third of what may be held: a third of 30 bps.
    desk.position = decimal("0.01");
    desk.quote("999.5", "1000.5");
    assert_eq!(desk.book(Side::Buy)[0].0, "996.5");
    assert_eq!(desk.book(Side::Sell)[0].0, "1001.5");
    let mut desk = self::desk(&settings());
    desk.position = decimal("-0.01");
    desk.quote("999.5", "1000.5");
    assert_eq!(desk.book(Side::Buy)[0].0, "998.5");
    assert_eq!(desk.book(Side::Sell)[0].0, "1003.5");
}

#[test]
fn a_side_that_could_fill_past_the_position_limit_is_not_quoted() {
    let mut desk = desk(&settings());
    desk.position = decimal("0.025");
    desk.quote("999.5", "1000.5");
    assert!(desk.book(Side::Buy).is_empty());
    assert_eq!(desk.book(Side::Sell).len(), 2);
    let mut desk = self::desk(&settings());
    desk.position = decimal("0.02");
    desk.quote("999.5", "1000.5");
    assert_eq!(desk.book(Side::Buy).len(), 1, "one more fits, and it is the nearest");
}

#[test]
fn a_position_that_others_grew_pulls_the_furthest_quotes() {
    let mut settings = settings();
    settings.skew_bps = Decimal::ZERO;
    let mut desk = desk(&settings);
    desk.quote("999.5", "1000.5");
    desk.position = decimal("0.015");
    desk.quote("999.5", "1000.5");
    let pulled: Vec<_> = desk.live.values().filter(|live| live.cancel_wished).collect();
    assert_eq!(pulled.len(), 1);
    assert_eq!(pulled[0].terms.price.count(), 1975, "the buy at 987.5");
    desk.position = decimal("0.05");
    desk.quote("999.5", "1000.5");
    assert!(desk.live.values().all(|live| live.cancel_wished == (live.terms.side == Side::Buy)));
}

#[test]
fn without_a_market_every_quote_is_pulled() {
    let mut desk = desk(&settings());
    desk.quote("999.5", "1000.5");
    let mut one_sided = quote("999.5", "1000.5");
    one_sided.bid = None;
    desk.hear(&one_sided);
    assert!(desk.live.values().all(|live| live.cancel_wished));
    desk.settle_cancels();
    desk.cycle();
    assert!(desk.live.is_empty());
}

#[test]
fn nothing_is_placed_while_nothing_may_be_created_and_quoting_resumes_by_itself() {
    let mut desk = desk(&settings());
    desk.may_create = false;
    desk.quote("999.5", "1000.5");
    desk.cycle();
    assert!(desk.placed.is_empty());
    desk.may_create = true;
    desk.cycle();
    assert_eq!(desk.live.len(), 4);
}

#[test]
fn a_full_fill_is_quoted_anew_in_full() {
    let mut settings = settings();
    settings.skew_bps = Decimal::ZERO;
    let mut desk = desk(&settings);
    desk.quote("999.5", "1000.5");
    desk.fill(desk.nearest(Side::Buy), lots(10));
    desk.cycle();
    assert_eq!(desk.book(Side::Buy), orders(&[("997.5", "0.01"), ("987.5", "0.01")]));
}

/// A market around 5,000 a piece, where the smallest order (0.002) is worth enough.
fn part_filled(by: i64) -> Desk<MarketMaker> {
    let mut settings = settings();
    settings.levels = 1;
    settings.skew_bps = Decimal::ZERO;
    let mut desk = desk(&settings);
    desk.quote("4999.5", "5000.5");
    desk.fill(desk.nearest(Side::Buy), lots(by));
    desk.quote("5099.5", "5100.5");
    desk.settle_cancels();
    desk.cycle();
    desk
}

#[test]
fn what_is_left_of_a_requoted_order_goes_back_on_as_it_is() {
    assert_eq!(part_filled(4).book(Side::Buy)[0].1, "0.006");
    assert_eq!(part_filled(8).book(Side::Buy)[0].1, "0.002", "just the venue's smallest");
}

#[test]
fn a_leftover_below_the_venues_smallest_is_added_to_the_next_quote() {
    let mut desk = part_filled(9);
    assert_eq!(desk.book(Side::Buy)[0].1, "0.011");
    desk.fill(desk.nearest(Side::Buy), lots(11));
    desk.cycle();
    assert_eq!(desk.book(Side::Buy)[0].1, "0.01", "once");
}

#[test]
fn a_leftover_a_limit_refuses_to_add_waits_and_the_plain_quote_goes_out() {
    let mut settings = settings();
    settings.levels = 1;
    settings.skew_bps = Decimal::ZERO;
    let mut desk = desk(&settings);
    desk.gate = |terms, _| (terms.qty.count() > 10).then_some("more than the limit");
    desk.refusal = |desk, terms, _| {
        use super::super::risk::{Breach, RiskRefusal};
        let instrument = desk.catalogue.instrument(BTC);
        RiskRefusal {
            breach: Breach::OrderNotional { value: Decimal::ONE, allowed: Decimal::ZERO },
            ..RiskRefusal::not_now(instrument, terms, "")
        }
    };
    desk.quote("4999.5", "5000.5");
    desk.fill(desk.nearest(Side::Buy), lots(9));
    desk.quote("5099.5", "5100.5");
    desk.settle_cancels();
    desk.cycle();
    assert!(desk.book(Side::Buy).is_empty(), "refused with the leftover");
    desk.pass(1_000);
    assert_eq!(desk.book(Side::Buy)[0].1, "0.01");
    assert_eq!(desk.strategy.books[0].sides[0][0].owed, lots(1), "and the leftover is not forgotten");
}

#[test]
fn a_refused_quote_is_not_tried_again_before_its_wait_is_over() {
    let mut desk = desk(&settings());
    desk.gate = |_, _| Some("no");
    desk.quote("999.5", "1000.5");
    assert_eq!(desk.n_refused, 4);
    for (millis, refused) in [(999, 4), (1, 8), (1_999, 8), (1, 12), (3_999, 12), (1, 16), (8_000, 20), (8_000, 24)] {
        desk.quote("999.5", "1000.5");
        desk.pass(millis);
        assert_eq!(desk.n_refused, refused);
    }
}

#[test]
fn an_order_the_venue_ends_by_itself_is_placed_again_only_after_a_while() {
    for state in [StateName::Rejected, StateName::Expired, StateName::Canceled] {
        let mut desk = desk(&settings());
        desk.quote("999.5", "1000.5");
        desk.end(desk.nearest(Side::Buy), state);
        desk.cycle();
        assert_eq!(desk.book(Side::Buy).len(), 1, "{state}");
        desk.pass(1_000);
        assert_eq!(desk.book(Side::Buy), orders(&[("997.5", "0.01"), ("987.5", "0.01")]), "{state}");
    }
}

#[test]
fn quotes_worth_too_little_are_not_placed_and_the_operator_hears_it_once() {
    let mut desk = desk(&settings());
    // 0.01 at 100 is worth 1, and the venue wants 5.
    desk.quote("100", "101");
    desk.quote("101", "102");
    assert!(desk.placed.is_empty());
    assert_eq!(desk.said.len(), 1, "{:?}", desk.said);
    assert!(desk.said[0].contains("order_qty = 0.01") && desk.said[0].contains("at least 5"), "{:?}", desk.said);
}

#[test]
fn our_own_quotes_alone_at_the_touch_do_not_move_the_middle() {
    let mut desk = desk(&settings());
    desk.position = decimal("0.01");
    desk.quote("990", "1010");
    let placed = desk.placed.len();
    // Our quotes are now the best prices; a lean measured from their own middle would walk away step by step.
    for _ in 0..20 {
        let own = |side| {
            let live = desk.live[&desk.nearest(side)];
            let instrument = desk.catalogue.instrument(BTC);
            Some((instrument.price_of(live.terms.price), instrument.qty_of(live.open())))
        };
        let mut ours = quote("990", "1010");
        (ours.bid, ours.ask) = (own(Side::Buy), own(Side::Sell));
        desk.hear(&ours);
        desk.settle_cancels();
        desk.cycle();
    }
    assert_eq!(desk.placed.len(), placed, "nothing was requoted");
}

#[test]
fn a_post_only_quote_never_reaches_the_other_side_however_it_leans() {
    let mut settings = settings();
    settings.spread_bps = decimal("2");
    settings.skew_bps = decimal("500");
    let mut desk = desk(&settings);
    desk.position = decimal("0.03");
    desk.quote("999.5", "1000.5");
    assert_eq!(desk.book(Side::Sell)[0].0, "1000", "one tick above the best buyer");
    settings.post_only = false;
    let mut desk = self::desk(&settings);
    desk.position = decimal("0.03");
    desk.quote("999.5", "1000.5");
    assert_eq!(desk.book(Side::Sell)[0].0, "950.5", "one that may take leans all the way");
}

#[test]
fn an_adopted_order_takes_a_level_and_is_requoted_like_any_other() {
    let mut desk = desk(&settings());
    let old = AdoptedOrder {
        client_id: client_id(900),
        terms: OrderTerms {
            instrument: BTC,
            side: Side::Buy,
            price: PriceTicks::new(1_900),
            qty: lots(10),
            time_in_force: TimeInForce::PostOnly,
        },
        filled: lots(3),
        ended: false,
    };
    assert!(desk.strategy.adopt(&old));
    let slot = desk.strategy.owners[&old.client_id];
    let live = super::super::testing::Live { slot, terms: old.terms, filled: old.filled, cancel_wished: false };
    desk.keep(old.client_id, live);
    desk.quote("999.5", "1000.5");
    assert!(desk.live[&old.client_id].cancel_wished, "950 is far off");
    desk.settle_cancels();
    desk.cycle();
    assert_eq!(desk.book(Side::Buy), orders(&[("997.5", "0.007"), ("987.5", "0.01")]));
    let again = |change: fn(&mut AdoptedOrder)| {
        let mut other = old;
        other.client_id = client_id(901);
        change(&mut other);
        self::desk(&settings()).strategy.adopt(&other)
    };
    assert!(again(|_| {}));
    assert!(!again(|order| order.ended = true));
    assert!(!again(|order| order.terms.qty = lots(11)), "larger than it would quote");
    assert!(!again(|order| order.terms.instrument = InstrumentId(1)));
}

#[test]
fn more_orders_than_levels_are_not_adopted() {
    let mut desk = desk(&settings());
    let adopted = (0..3).filter(|&number| {
        desk.strategy.adopt(&AdoptedOrder {
            client_id: client_id(number),
            terms: OrderTerms {
                instrument: BTC,
                side: Side::Sell,
                price: PriceTicks::new(2_000),
                qty: lots(10),
                time_in_force: TimeInForce::PostOnly,
            },
            filled: Lots::ZERO,
            ended: false,
        })
    });
    assert_eq!(adopted.count(), 2);
}

#[test]
fn settings_that_cannot_work_are_all_refused_by_name_at_once() {
    let catalogue = catalogue();
    let mut bad = settings();
    bad.levels = 51;
    bad.spread_bps = Decimal::ZERO;
    bad.skew_bps = decimal("-1");
    bad.order_qty = decimal("0.0015");
    bad.max_position_qty = decimal("0.001");
    let settings = crate::domain::settings::StrategySettings {
        name: "quotes".into(),
        venue: "main".into(),
        symbols: vec![crate::domain::ids::Symbol::new("BTC-USDT"), crate::domain::ids::Symbol::new("XRP-USDT")],
        kind: crate::domain::settings::StrategyKind::MarketMaker(bad),
    };
    let venue = catalogue.venues()[0].id;
    let Err(words) = super::super::strategy::build(&settings, &catalogue, venue) else {
        panic!("built from bad settings");
    };
    for expected in [
        "levels = 51",
        "spread_bps = 0",
        "skew_bps = -1",
        "order_qty = 0.0015",
        "max_position_qty = 0.001",
        "symbols = XRP-USDT",
    ] {
        let found = words.iter().find(|word| word.contains(expected));
        assert!(found.is_some_and(|word| word.starts_with("strategy \"quotes\"")), "{expected}: {words:?}");
    }
}

/// Over its life a level puts out whole multiples of `order_qty`.
fn check_owed(desk: &Desk<MarketMaker>, filled: &[i64], order: i64) {
    for (number, side) in desk.strategy.books[0].sides.iter().enumerate() {
        for (index, level) in side.iter().enumerate() {
            let open = level.quote.map_or(0, |quote| quote.open().count());
            let all = filled[number * side.len() + index] + open + level.owed.count();
            assert_eq!(all % order, 0, "side {number} level {index}: {level:?}");
        }
    }
}

#[test]
fn whatever_the_market_and_the_venue_do_the_quotes_keep_their_promises() {
    let mut n_fills = 0;
    for seed in 1..=150 {
        let mut dice = Dice::new(seed);
        let mut settings = settings();
        settings.levels = 1 + dice.below(4) as u32;
        settings.spread_bps = Decimal::whole(1 + dice.below(60) as i64);
        settings.requote_bps = Decimal::whole(dice.below(80) as i64);
        settings.skew_bps = Decimal::whole(dice.below(200) as i64);
        settings.max_position_qty = Decimal::whole(dice.below(5) as i64 + 1).mul_ratio(1, 50).unwrap();
        settings.post_only = dice.one_in(2);
        let mut desk = desk(&settings);
        let mut filled = vec![0_i64; settings.levels as usize * 2];
        let mut bid = 10_000 + dice.below(2_000) as i64;
        for step in 0..300 {
            match dice.below(8) {
                0..=2 => {
                    bid = (bid + dice.below(200) as i64 - 100).max(6_000);
                    let ask = bid + 1 + dice.below(30) as i64;
                    let price = |ticks| decimal("0.5").checked_mul_int(ticks).unwrap().to_string();
                    desk.quote(&price(bid), &price(ask));
                }
                3 => desk.pass(dice.below(1_500)),
                4 => desk.settle_cancels(),
                5 => desk.gate = if dice.one_in(3) { |_, id| (id % 3 == 0).then_some("no") } else { |_, _| None },
                _ if desk.live.is_empty() => desk.cycle(),
                6 => {
                    let place = dice.below(desk.live.len() as u64) as usize;
                    let (&id, live) = desk.live.iter().nth(place).unwrap();
                    let (slot, open) = (live.slot, live.open().count());
                    let by = 1 + dice.below(open as u64) as i64;
                    filled[slot.0 as usize] += by;
                    n_fills += 1;
                    desk.fill(id, lots(by));
                }
                _ => {
                    let place = dice.below(desk.live.len() as u64) as usize;
                    let id = *desk.live.keys().nth(place).unwrap();
                    let states = [StateName::Canceled, StateName::Rejected, StateName::Expired];
                    if dice.one_in(4) {
                        desk.end(id, states[dice.below(3) as usize]);
                    }
                }
            }
            for side in SIDES {
                let live = desk.live.values().filter(|live| live.terms.side == side);
                let open: i64 = live.clone().map(|live| live.open().count()).sum();
                assert!(live.count() <= settings.levels as usize, "seed {seed} step {step}");
                let held = desk.position.mul_ratio(1_000, 1).unwrap().units() / Decimal::ONE.units();
                let held = if side == Side::Buy { held } else { -held };
                let most = settings.max_position_qty.mul_ratio(1_000, 1).unwrap().units() / Decimal::ONE.units();
                assert!(held + i128::from(open) <= most, "seed {seed} step {step}: could hold too much");
            }
            check_owed(&desk, &filled, 10);
        }
    }
    assert!(n_fills > 1_000, "hardly anything happened: {n_fills} fills");
}
