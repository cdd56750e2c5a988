//! The gate, limit by limit: just inside passes, just outside is refused with the right word; then 100,000 random
//! orders against limits worked out by looking at every order.

use super::super::testing::{BTC, Dice, ETH, catalogue, decimal, lots, quote, rules, traits};
use super::*;
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::settings::OnExit;
use crate::domain::time::Wall;

fn limits() -> RiskLimits {
    RiskLimits {
        given: true,
        general: SymbolLimits {
            max_order_notional: decimal("100"),
            max_position_notional: decimal("500"),
            collar_through_bps: decimal("100"),
            collar_away_bps: decimal("5000"),
        },
        symbols: Vec::new(),
        max_open_orders: 60,
        max_orders_per_second: 5,
        max_daily_loss: decimal("50"),
        uncovered_max_notional: None,
    }
}

fn shutdown() -> ShutdownSettings {
    ShutdownSettings { cancel_timeout_s: 30, recorder_timeout_s: 10, on_exit: OnExit::Cancel }
}

/// Everything a check needs: market 100 / 101, nothing held, nothing resting.
struct Desk {
    gate: RiskGate,
    catalogue: Catalogue,
    market: Market,
    exposure: Exposure,
    position: Decimal,
    is_covered: bool,
    at: Stamp,
}

impl Desk {
    fn new(limits: RiskLimits) -> Desk {
        let catalogue = catalogue();
        let mut market = Market::default();
        market.take(Boot::ZERO, catalogue.instrument(BTC), &quote("100", "101")).unwrap();
        Desk {
            gate: RiskGate::new(limits, shutdown(), RiskState::default()),
            catalogue,
            market,
            exposure: Exposure::default(),
            position: Decimal::ZERO,
            is_covered: false,
            at: Stamp::default(),
        }
    }

    fn check(&mut self, terms: OrderTerms) -> Result<Checked, RiskRefusal> {
        let is_covered = self.is_covered;
        let view = GateView {
            catalogue: &self.catalogue,
            market: &self.market,
            exposure: &self.exposure,
            position: self.position,
            is_covered: &|_| is_covered,
        };
        self.gate.check(self.at, terms, &view)
    }

    /// The breach in short, or `ok`.
    fn verdict(&mut self, terms: OrderTerms) -> String {
        match self.check(terms) {
            Ok(checked) => {
                assert_eq!(*checked.terms(), terms);
                "ok".to_owned()
            }
            Err(refusal) => {
                let words = format!("{:?}", refusal.breach);
                words.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
            }
        }
    }

    fn rest(&mut self, side: Side, price: &str, qty: &str) {
        let terms = order(side, price, qty);
        self.exposure.add(VenueId(0), &terms, terms.qty);
    }
}

fn order(side: Side, price: &str, qty: &str) -> OrderTerms {
    let catalogue = catalogue();
    let instrument = catalogue.instrument(BTC);
    OrderTerms {
        instrument: BTC,
        side,
        price: instrument.price(decimal(price)).unwrap(),
        qty: instrument.qty(decimal(qty)).unwrap(),
        time_in_force: TimeInForce::Gtc,
    }
}

fn buy(price: &str, qty: &str) -> OrderTerms {
    order(Side::Buy, price, qty)
}

fn sell(price: &str, qty: &str) -> OrderTerms {
    order(Side::Sell, price, qty)
}

#[test]
fn the_venues_sizes_and_the_worth_of_an_order_are_kept_to_the_lot() {
    for (terms, expected) in [
        (buy("100", "0.05"), "ok"),
        (buy("100", "0.049"), "BelowMinNotional"),
        (buy("100", "1"), "ok"),
        (buy("100", "1.001"), "OrderNotional"),
        (sell("101", "0.99"), "ok"),
        (sell("101", "0.991"), "OrderNotional"),
        (buy("100", "0.001"), "BelowMinQty"),
        (buy("100", "0"), "BelowMinQty"),
        (buy("100", "100"), "OrderNotional"),
        (buy("100", "100.001"), "AboveMaxQty"),
        (buy("0", "1"), "Price"),
        (buy("-0.5", "1"), "Price"),
    ] {
        assert_eq!(Desk::new(limits()).verdict(terms), expected, "{terms:?}");
    }
}

#[test]
fn the_collar_is_kept_to_the_tick() {
    let mut narrow = limits();
    narrow.general.collar_away_bps = decimal("1000");
    for (terms, expected) in [
        // 1 % beyond the ask of 101 is 102.01, and 1 % beyond the bid of 100 is 99.
        (buy("102", "0.1"), "ok"),
        (buy("102.5", "0.1"), "CollarThrough"),
        (sell("99", "0.1"), "ok"),
        (sell("98.5", "0.1"), "CollarThrough"),
        // 10 % away from the bid is 90, and 10 % away from the ask is 111.1.
        (buy("90", "0.1"), "ok"),
        (buy("89.5", "0.1"), "CollarAway"),
        (sell("111", "0.1"), "ok"),
        (sell("111.5", "0.1"), "CollarAway"),
    ] {
        assert_eq!(Desk::new(narrow.clone()).verdict(terms), expected, "{terms:?}");
    }
}

#[test]
fn without_both_sides_quoted_nothing_passes() {
    let mut desk = Desk::new(limits());
    let mut one_sided = quote("100", "101");
    one_sided.ask = None;
    desk.market.take(Boot::ZERO, desk.catalogue.instrument(BTC), &one_sided).unwrap();
    assert_eq!(desk.verdict(buy("100", "0.1")), "NoMarket");
    let other = OrderTerms { instrument: ETH, ..buy("100", "0.1") };
    assert_eq!(desk.verdict(other), "NoMarket");
}

#[test]
fn post_only_stays_behind_the_touch() {
    let post_only = |terms| OrderTerms { time_in_force: TimeInForce::PostOnly, ..terms };
    for (terms, expected) in [
        (buy("100.5", "0.1"), "ok"),
        (buy("101", "0.1"), "WouldCross"),
        (sell("100.5", "0.1"), "ok"),
        (sell("100", "0.1"), "WouldCross"),
    ] {
        assert_eq!(Desk::new(limits()).verdict(post_only(terms)), expected, "{terms:?}");
        assert_eq!(Desk::new(limits()).verdict(terms), "ok", "one that may take passes: {terms:?}");
    }
}

#[test]
fn we_never_trade_with_ourselves() {
    let mut desk = Desk::new(limits());
    desk.rest(Side::Sell, "100.5", "0.1");
    desk.rest(Side::Sell, "102", "0.1");
    desk.rest(Side::Buy, "99", "0.1");
    desk.rest(Side::Buy, "98", "0.1");
    for (terms, expected) in [
        (buy("100", "0.1"), "ok"),
        (buy("100.5", "0.1"), "SelfCross"),
        (buy("101", "0.1"), "SelfCross"),
        (sell("99.5", "0.1"), "ok"),
        (sell("99", "0.1"), "SelfCross"),
    ] {
        assert_eq!(desk.verdict(terms), expected, "{terms:?}");
    }
}

#[test]
fn the_position_limit_counts_what_is_held_and_everything_that_rests() {
    // (held, resting of the same side as (price, quantity), order, expected); limit 500, mark 100.5
    type Row = (&'static str, &'static [(&'static str, &'static str)], OrderTerms, &'static str);
    let cases: &[Row] = &[
        ("4", &[], buy("98", "1"), "ok"), // 402 + 98 is 500
        ("4", &[], buy("98.5", "1"), "PositionNotional"),
        ("0", &[("100", "4")], buy("100", "1"), "ok"),
        ("0", &[("100", "4.001")], buy("100", "1"), "PositionNotional"),
        ("-4", &[], sell("101", "0.97"), "ok"), // 402 + 97.97
        ("-4", &[], sell("101", "0.971"), "PositionNotional"),
        // Reducing passes however large the position is, as far as it reduces.
        ("90", &[], sell("100", "1"), "ok"),
        ("90", &[], buy("100", "0.05"), "PositionNotional"),
        ("-90", &[("100", "89")], buy("100", "1"), "ok"),
        ("-90", &[("100", "89")], buy("60", "1"), "ok"),
        // Past zero only the rest counts: 5.95 held, 10 and this one resting.
        ("-5.95", &[("100", "10")], buy("100", "0.95"), "ok"),
        ("-5.95", &[("100", "10")], buy("100", "0.951"), "PositionNotional"),
        // The cheapest are taken to close, so the dear ones count in full: 5 * 100 + 0.5 * 100, less 0.5 * 60.
        ("-0.5", &[("100", "4.7")], buy("60", "0.5"), "ok"),
        ("-0.5", &[("100", "5")], buy("60", "0.501"), "PositionNotional"),
    ];
    for (held, resting, terms, expected) in cases {
        let mut desk = Desk::new(limits());
        desk.position = decimal(held);
        for (price, qty) in *resting {
            desk.rest(terms.side, price, qty);
        }
        assert_eq!(desk.verdict(*terms), *expected, "{held} {resting:?} {terms:?}");
    }
}

#[test]
fn orders_are_counted_in_all_and_by_venue() {
    let mut few = limits();
    few.max_open_orders = 3;
    let mut desk = Desk::new(few);
    for expected in ["ok", "ok", "ok", "OpenOrders"] {
        assert_eq!(desk.verdict(buy("100", "0.1")), expected);
        desk.rest(Side::Buy, "100", "0.1");
    }
    let mut desk = Desk::new(limits());
    let mut slow = Catalogue::default();
    let mut slow_traits = traits();
    // 0.7 * 1 a second * 30 s
    slow_traits.cancels_per_second = 1;
    let venue = slow.add_venue("slow", slow_traits).unwrap();
    slow.learn(venue, rules("BTC-USDT")).unwrap();
    desk.catalogue = slow;
    desk.gate.limits.max_orders_per_second = 100;
    for number in 1..=22 {
        let expected = if number <= 21 { "ok" } else { "VenueOrders" };
        assert_eq!(desk.verdict(buy("100", "0.05")), expected, "order {number}");
        desk.rest(Side::Buy, "100", "0.05");
    }
}

#[test]
fn what_we_may_own_is_what_we_can_cancel_in_time() {
    let with = |cancels_per_second, open_orders_max| VenueTraits { cancels_per_second, open_orders_max, ..traits() };
    let own = |traits: VenueTraits| may_own(&traits, &limits(), &shutdown());
    assert_eq!(own(with(0, 1_000)), 60, "no limit on cancels");
    assert_eq!(own(with(0, 40)), 40);
    assert_eq!(own(with(2, 1_000)), 42);
    assert_eq!(own(with(3, 1_000)), 60);
    assert_eq!(own(with(u32::MAX, 1_000)), 60);
}

#[test]
fn no_stretch_of_a_second_holds_more_orders_than_allowed() {
    let mut desk = Desk::new(limits());
    let millis = |n: u64| Boot::from_nanos(n * 1_000_000);
    for (at, expected) in [
        (0, "ok"),
        (0, "ok"),
        (400, "ok"),
        (400, "ok"),
        (999, "ok"),
        (999, "Rate"),
        (1_000, "ok"),
        (1_000, "ok"),
        (1_000, "Rate"),
        (1_399, "Rate"),
        (1_400, "ok"),
    ] {
        desk.at.boot = millis(at);
        assert_eq!(desk.verdict(buy("100", "0.1")), expected, "at {at} ms");
    }
    desk.gate.limits.max_orders_per_second = 0;
    desk.at.boot = millis(60_000);
    assert_eq!(desk.verdict(buy("100", "0.1")), "Rate");
}

#[test]
fn a_refused_order_does_not_count_for_the_rate() {
    let mut desk = Desk::new(limits());
    for _ in 0..50 {
        assert_eq!(desk.verdict(buy("100", "2")), "OrderNotional");
    }
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
}

#[test]
fn ten_rejections_within_a_minute_pause_the_symbol_until_the_operator_resumes() {
    let mut desk = Desk::new(limits());
    let at = |seconds: u64| Stamp { boot: Boot::from_nanos(seconds * 1_000_000_000), ..Stamp::default() };
    for second in 0..9 {
        assert!(!desk.gate.note_rejection(at(second), BTC));
    }
    // The first has left the window by now: nine again.
    assert!(!desk.gate.note_rejection(at(61), BTC));
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
    assert!(!desk.gate.note_rejection(at(61), ETH), "another symbol counts by itself");
    assert!(desk.gate.note_rejection(at(61), BTC));
    assert!(!desk.gate.note_rejection(at(61), BTC), "it is said once");
    assert_eq!(desk.verdict(buy("100", "0.1")), "SymbolPaused");
    desk.at = at(10_000);
    assert_eq!(desk.verdict(buy("100", "0.1")), "SymbolPaused", "time alone does not end it");
    desk.gate.resume();
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
    assert!(!desk.gate.note_rejection(at(10_000), BTC), "and the count begins anew");
}

#[test]
fn a_hold_ends_by_release_and_not_by_resume() {
    let mut desk = Desk::new(limits());
    desk.gate.hold(BTC, "books differ from the venue's");
    desk.gate.resume();
    assert_eq!(desk.verdict(buy("100", "0.1")), "SymbolPaused");
    assert!(desk.gate.shut_for(BTC).unwrap().contains("books differ"));
    desk.gate.release(BTC);
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
}

#[test]
fn a_pause_is_recorded_and_holds_until_resumed() {
    let mut desk = Desk::new(limits());
    desk.gate.pause();
    assert_eq!(desk.verdict(buy("100", "0.1")), "Paused");
    assert!(desk.gate.take_unsaved().unwrap().paused);
    assert_eq!(desk.gate.take_unsaved(), None, "asked once, told once");
    desk.gate.pause();
    assert_eq!(desk.gate.take_unsaved(), None, "nothing new");
    desk.gate.resume();
    assert!(!desk.gate.take_unsaved().unwrap().paused);
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
}

#[test]
fn a_symbol_the_venue_closed_gets_no_orders() {
    let mut desk = Desk::new(limits());
    let mut closed = rules("BTC-USDT");
    closed.tradable = false;
    desk.catalogue.learn(VenueId(0), closed).unwrap();
    assert_eq!(desk.verdict(buy("100", "0.1")), "NotTradable");
}

#[test]
fn a_symbols_own_limits_override_the_general_ones() {
    let mut own = limits();
    let stricter = SymbolLimits { max_order_notional: decimal("10"), ..own.general.clone() };
    own.symbols = vec![(Symbol::new("BTC-USDT"), stricter)];
    let mut desk = Desk::new(own);
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
    assert_eq!(desk.verdict(buy("100", "0.101")), "OrderNotional");
}

#[test]
fn numbers_that_do_not_fit_refuse() {
    let mut vast = limits();
    vast.general.max_order_notional = Decimal::from_units(i128::MAX);
    vast.general.max_position_notional = Decimal::from_units(i128::MAX);
    let mut desk = Desk::new(vast);
    let huge = |price, qty| OrderTerms { price: PriceTicks::new(price), qty: lots(qty), ..buy("100", "0.1") };
    for terms in [huge(i64::MAX, 100), huge(200, i64::MAX), huge(i64::MAX, i64::MAX)] {
        assert!(desk.check(terms).is_err(), "{terms:?}");
    }
    let resting = huge(i64::MAX, i64::MAX);
    for _ in 0..3 {
        desk.exposure.add(VenueId(0), &resting, resting.qty);
    }
    assert_eq!(desk.verdict(buy("100", "0.1")), "TooLarge");
    let mut desk = Desk::new(limits());
    desk.gate.limits.general.collar_through_bps = Decimal::from_units(i128::MAX);
    assert_eq!(desk.verdict(buy("100", "0.1")), "TooLarge");
    let mut desk = Desk::new(limits());
    desk.position = Decimal::from_units(i128::MAX);
    assert_eq!(desk.verdict(buy("100", "0.1")), "TooLarge");
    desk.position = Decimal::from_units(i128::MIN);
    assert_eq!(desk.verdict(sell("101", "0.1")), "TooLarge");
}

#[test]
fn a_refusal_names_order_limit_value_and_what_is_allowed() {
    let mut desk = Desk::new(limits());
    assert_eq!(
        desk.check(buy("100", "1.5")).unwrap_err().to_string(),
        "BTC-USDT BUY 1.500 @ 100.0 refused: worth 150, above max_order_notional = 100"
    );
    assert_eq!(
        desk.check(sell("98", "0.1")).unwrap_err().to_string(),
        "BTC-USDT SELL 0.100 @ 98.0 refused: the price 98 lies too far through the market: collar_through_bps allows 99"
    );
}

const DAY_MS: i64 = 86_400_000;

fn on(day: i64, millis: i64) -> Stamp {
    Stamp { wall: Wall::from_millis(day * DAY_MS + millis), ..Stamp::default() }
}

#[test]
fn the_days_loss_latches_exactly_at_the_limit_and_outlives_the_process() {
    let mut desk = Desk::new(limits());
    assert_eq!(desk.gate.mark(on(20_000, 0), decimal("7")), None);
    assert_eq!(desk.gate.mark(on(20_000, 1), decimal("-42.999")), None);
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
    let reason = desk.gate.mark(on(20_000, 2), decimal("-43")).unwrap();
    assert!(reason.contains("max_daily_loss = 50"), "{reason}");
    assert_eq!(desk.verdict(buy("100", "0.1")), "Latched");
    assert_eq!(desk.gate.mark(on(20_000, 3), decimal("-44")), None, "it is said once");

    let saved = desk.gate.take_unsaved().unwrap();
    desk.gate = RiskGate::new(limits(), shutdown(), saved);
    desk.gate.resume();
    desk.gate.mark(on(20_001, 0), decimal("1000"));
    assert_eq!(desk.verdict(buy("100", "0.1")), "Latched", "neither resume nor a new day ends it");
    desk.gate.rearm(decimal("-44"));
    assert_eq!(desk.gate.mark(on(20_001, 1), decimal("-93")), None, "the loss counts from the rearming");
    assert_eq!(desk.verdict(buy("100", "0.1")), "ok");
    assert!(desk.gate.mark(on(20_001, 2), decimal("-94")).is_some());
}

#[test]
fn a_new_day_counts_its_own_loss_from_the_last_figure_of_the_old_one() {
    let mut gate = RiskGate::new(limits(), shutdown(), RiskState::default());
    gate.mark(on(20_000, 0), decimal("100"));
    gate.mark(on(20_000, DAY_MS - 1), decimal("60"));
    assert_eq!(gate.mark(on(20_001, 0), decimal("50")), None, "ten lost today");
    assert_eq!(gate.state().profit_at_day_start, decimal("60"));
    // A clock set back over midnight and again does not forget today's loss.
    gate.mark(on(20_000, DAY_MS - 5), decimal("20"));
    assert_eq!(gate.mark(on(20_001, 5), decimal("10.001")), None);
    assert!(gate.mark(on(20_001, 6), decimal("10")).is_some());
}

#[test]
fn a_restart_within_the_day_goes_on_counting() {
    let mut gate = RiskGate::new(limits(), shutdown(), RiskState::default());
    gate.mark(on(20_000, 0), decimal("0"));
    gate.mark(on(20_000, 1), decimal("-49"));
    let mut gate = RiskGate::new(limits(), shutdown(), gate.take_unsaved().unwrap());
    assert!(gate.mark(on(20_000, 2), decimal("-50")).is_some());
}

#[test]
fn a_loss_that_cannot_be_worked_out_latches() {
    let mut gate = RiskGate::new(limits(), shutdown(), RiskState::default());
    gate.mark(on(20_000, 0), Decimal::from_units(i128::MAX));
    assert!(gate.mark(on(20_000, 1), Decimal::from_units(i128::MIN)).is_some());
}

/// An order of the random run, with what is open of it.
struct Resting {
    terms: OrderTerms,
    open: i64,
}

/// The limits of the random run, worked out from scratch in whole ticks and lots. A tick lot is worth 0.0005.
fn breaks_a_limit(terms: &OrderTerms, resting: &[Resting], held_lots: i64, bid: i64, ask: i64) -> Option<&'static str> {
    let (price, qty) = (terms.price.count(), terms.qty.count());
    let buys = terms.side == Side::Buy;
    let worth = |tick_lots: i64| tick_lots * 5; // in 0.0001
    if qty < 2 || worth(price * qty) < 50_000 {
        return Some("too small");
    }
    if worth(price * qty) > 1_000_000 {
        return Some("order notional");
    }
    let (through, behind) = if buys {
        (price * 100 > ask * 101, price * 100 < bid * 90)
    } else {
        (price * 100 < bid * 99, price * 100 > ask * 110)
    };
    if through || behind {
        return Some("collar");
    }
    if terms.time_in_force == TimeInForce::PostOnly && (if buys { price >= ask } else { price <= bid }) {
        return Some("post-only");
    }
    let meets = |other: &Resting| {
        let other = other.terms.price.count();
        if buys { other <= price } else { other >= price }
    };
    if resting.iter().any(|other| other.terms.side != terms.side && meets(other)) {
        return Some("self-cross");
    }
    if resting.len() >= 20 {
        return Some("count");
    }
    let same = resting.iter().filter(|other| other.terms.side == terms.side);
    let mut orders: Vec<(i64, i64)> = same.map(|other| (other.terms.price.count(), other.open)).collect();
    orders.push((price, qty));
    let held = if buys { held_lots } else { -held_lots };
    let all: i64 = orders.iter().map(|(price, open)| price * open).sum();
    // Twice everything, because the mark may lie on half a tick.
    let twice = if held >= 0 {
        held * (bid + ask) + 2 * all
    } else {
        // Whichever orders close the position, the rest is never worth more than without the cheapest ones.
        orders.sort_unstable();
        let mut closing = -held;
        2 * orders
            .iter()
            .map(|(price, open)| {
                let closed = closing.min(*open);
                closing -= closed;
                price * (open - closed)
            })
            .sum::<i64>()
    };
    (twice * 5 > 2 * 5_000_000).then_some("position notional")
}

#[test]
fn none_of_a_hundred_thousand_random_orders_passes_a_breached_limit() {
    let mut tight = limits();
    tight.general.collar_away_bps = decimal("1000");
    tight.max_open_orders = 20;
    tight.max_orders_per_second = 500;
    let mut desk = Desk::new(tight);
    let mut dice = Dice::new(1);
    let (mut resting, mut held, mut bid, mut ask) = (Vec::<Resting>::new(), 0_i64, 200_i64, 202_i64);
    let mut minted_at: VecDeque<u64> = VecDeque::new();
    let mut verdicts: BTreeMap<String, u32> = BTreeMap::new();
    let mut now = 0_u64;
    for round in 0..100_000 {
        now += dice.below(600_000);
        desk.at.boot = Boot::from_nanos(now);
        if dice.one_in(20) {
            bid = 190 + dice.below(20) as i64;
            ask = bid + 1 + dice.below(4) as i64;
            let instrument = desk.catalogue.instrument(BTC);
            let price = |ticks| instrument.price_of(PriceTicks::new(ticks)).to_string();
            let news = quote(&price(bid), &price(ask));
            desk.market.take(desk.at.boot, instrument, &news).unwrap();
        }
        if dice.one_in(40) {
            held = dice.below(12_000) as i64 - 6_000;
            desk.position = desk.catalogue.instrument(BTC).rules.lot.checked_mul_int(held).unwrap();
        }
        if !resting.is_empty() && dice.one_in(3) {
            let place = dice.below(resting.len() as u64) as usize;
            let by = dice.below(resting[place].open as u64 + 1) as i64;
            desk.exposure.reduce(&resting[place].terms, lots(by)).unwrap();
            resting[place].open -= by;
            if dice.one_in(2) {
                let gone = resting.swap_remove(place);
                desk.exposure.remove(VenueId(0), &gone.terms, lots(gone.open)).unwrap();
            }
        }
        // Quiet times now and then, so that limits other than the count are reached.
        if dice.one_in(500) {
            for gone in resting.drain(..) {
                desk.exposure.remove(VenueId(0), &gone.terms, lots(gone.open)).unwrap();
            }
        }
        let largest = if dice.one_in(3) { 1_200 } else { 120 };
        let terms = OrderTerms {
            instrument: BTC,
            side: if dice.one_in(2) { Side::Buy } else { Side::Sell },
            price: PriceTicks::new(bid - 30 + dice.below(60) as i64),
            qty: lots(dice.below(largest) as i64),
            time_in_force: if dice.one_in(2) { TimeInForce::PostOnly } else { TimeInForce::Gtc },
        };
        let breach = breaks_a_limit(&terms, &resting, held, bid, ask);
        let verdict = desk.verdict(terms);
        *verdicts.entry(verdict.clone()).or_default() += 1;
        if verdict != "ok" {
            continue;
        }
        assert_eq!(breach, None, "round {round}: {terms:?} with {held} lots held at {bid}/{ask} passed");
        while minted_at.front().is_some_and(|then| now - then >= 1_000_000_000) {
            minted_at.pop_front();
        }
        minted_at.push_back(now);
        assert!(minted_at.len() <= 500, "round {round}: too many within a second");
        desk.exposure.add(VenueId(0), &terms, terms.qty);
        resting.push(Resting { terms, open: terms.qty.count() });
    }
    // A run in which a limit never bound would prove nothing about it.
    for word in [
        "ok",
        "BelowMinQty",
        "BelowMinNotional",
        "OrderNotional",
        "PositionNotional",
        "CollarThrough",
        "CollarAway",
        "WouldCross",
        "SelfCross",
        "OpenOrders",
        "Rate",
    ] {
        assert!(verdicts.get(word).copied().unwrap_or(0) > 100, "{word}: {verdicts:?}");
    }
}

#[test]
fn orders_without_a_switch_are_limited_by_their_sum_and_covered_ones_are_not() {
    let mut desk = Desk::new(RiskLimits { uncovered_max_notional: Some(decimal("25")), ..limits() });
    let order = buy("100", "0.1");
    for _ in 0..2 {
        desk.check(order).unwrap();
        desk.exposure.add(VenueId(0), &order, order.qty);
    }
    let refused = desk.check(order).unwrap_err();
    assert_eq!(refused.breach, Breach::Uncovered { value: decimal("30"), allowed: decimal("25") });
    desk.is_covered = true;
    assert!(desk.check(order).is_ok());
}

#[test]
fn an_old_market_refuses_by_its_own_word_until_it_is_fresh() {
    let mut desk = Desk::new(limits());
    desk.gate.stale(BTC, Duration::from_secs(10));
    assert_eq!(desk.check(buy("100", "0.1")).unwrap_err().breach, Breach::StaleMarket { after_s: 10 });
    assert!(desk.gate.shut_for(BTC).is_some());
    desk.gate.fresh(BTC);
    assert!(desk.check(buy("100", "0.1")).is_ok());
}
