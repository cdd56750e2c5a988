//! What a real account brings: trades of others, funding, liquidations, contracts that were there before us, keys that
//! may too much. On the real machines in virtual time.

use lastorders::domain::event::{Event, MarketNews, SignalName, Stream, Ticker};
use lastorders::domain::ids::{Symbol, TradeId, VenueId, VenueOrderId};
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{Fill, FillKind, FillRow, Side, TimeInForce};
use lastorders::domain::position::Position;
use lastorders::domain::settings::{
    LadderSettings, LadderSides, LadderStart, Mode, Settings, StrategyKind, StrategySettings,
};
use lastorders::exchange::{Ask, AskKind, Exchange, Fault, NewOrder, On, Plan, PostOnlyCross, Setup};
use lastorders::sim::settings::{ladder, quiet};
use lastorders::sim::world::{ACCOUNT, World};

use crate::worlds::{
    MINUTE, SECOND, assert_clean_stop, btc, crowd, decimal, foreign_ask, foreign_order, ladder_of, ledger_mark,
    n_requests, now, open, report, resting, said, state_on_disk, trade_until_resting, world_at_rest,
};

fn perp() -> Symbol {
    Symbol::new("BTC-USDT-PERP")
}

/// A venue of contracts beside coins, and a ladder of five buys on the contract.
fn contracts() -> Settings {
    let mut settings = quiet();
    settings.venues[0].symbols.push(perp());
    settings.strategies = vec![StrategySettings { symbols: vec![perp()], ..ladder("rungs", "main", 5) }];
    settings
}

/// Such a world; it tells positions.
fn contract_world(settings: &Settings) -> World {
    let mut world = World::new(settings.clone());
    world.venues[0].traits.tells_positions = true;
    world
}

/// Somebody else of the account trades the contract by hand.
fn by_hand(world: &mut World, id: &str, side: Side, price: &str, qty: &str) {
    let order = NewOrder {
        client_id: id.to_owned(),
        symbol: perp(),
        side,
        price: decimal(price),
        qty: decimal(qty),
        time_in_force: TimeInForce::Gtc,
        not_after: None,
    };
    foreign_ask(world, 0, Ask::Create(order));
    let at = now(world).plus_millis(10);
    let (price, qty) = (decimal(price), decimal(qty));
    assert!(world.venues[0].exchange.crowd_takes(at, &perp(), side.opposite(), price, qty));
    world.run_for(SECOND);
}

fn wait_for_trading(world: &mut World) {
    let is_trading = |world: &World| world.machine().is_some_and(|machine| machine.is_trading());
    assert!(world.run_until(MINUTE, is_trading), "{:#?}", world.said);
}

fn booked(world: &World, settings: &Settings, symbol: &Symbol) -> Position {
    let state = state_on_disk(world, settings);
    assert_eq!(state.misfits, 0, "records did not fit");
    state.venues["main"].positions.get(symbol).cloned().unwrap_or_default()
}

fn entry(symbol: &Symbol, id: &str, kind: FillKind, at: &World) -> FillRow {
    FillRow {
        symbol: symbol.clone(),
        client_id: None,
        venue_order_id: VenueOrderId::new("elsewhere"),
        side: Side::Sell,
        kind,
        fill: Fill {
            trade_id: TradeId::new(id),
            price: decimal("60000"),
            qty: decimal("0.5"),
            fee: decimal("3"),
            fee_asset: "USDT".into(),
            maker: false,
            at: at.stamp().wall,
        },
    }
}

fn differs(world: &World, from: usize) -> bool {
    said(world, from).iter().any(|text| text.starts_with("Our books and the venue's differ"))
}

#[test]
fn a_trade_of_others_is_booked_once_told_and_no_difference() {
    for is_pushed in [true, false] {
        let settings = resting(5);
        let mut world = world_at_rest(settings.clone(), 5);
        world.run_for(2 * MINUTE);
        if !is_pushed {
            world.venues[0].exchange.plan(Plan::always(On::FillPush, Fault::LostPush)).unwrap();
        }
        foreign_order(&mut world, 0, "by-hand-1", Side::Sell, "70000", "1");
        crowd(&mut world, 0, 10, Side::Buy, "70000", "1");
        world.run_for(10 * MINUTE);
        assert!(!differs(&world, 0), "{is_pushed}: {:#?}", world.said);
        assert_eq!(open(&world).len(), 5, "{is_pushed}: trading goes on");
        let position = booked(&world, &settings, &btc());
        assert_eq!((position.qty, position.fills, position.externals), (decimal("-1"), 0, 1), "{is_pushed}");
        let n_told = said(&world, 0).iter().filter(|text| text.contains("not ours: SELL 1 @ 70000")).count();
        assert_eq!(n_told, 1, "{is_pushed}: {:#?}", world.said);
        // Lists overlap, and a new run reads them again.
        world.kill();
        world.start().unwrap();
        wait_for_trading(&mut world);
        trade_until_resting(&mut world, 5);
        world.run_for(2 * MINUTE);
        assert_eq!(booked(&world, &settings, &btc()).externals, 1, "{is_pushed}");
        world.run_for(5 * SECOND);
        world.signal(SignalName::Term);
        assert_eq!(world.run_to_verdict(), Some(0), "{is_pushed}");
    }
}

#[test]
fn what_others_did_before_our_books_began_is_not_booked() {
    let settings = resting(5);
    let mut world = World::new(settings.clone());
    foreign_order(&mut world, 0, "by-hand-1", Side::Sell, "70000", "1");
    crowd(&mut world, 0, 10, Side::Buy, "70000", "1");
    world.run_for(5 * SECOND);
    assert_eq!(world.venues[0].exchange.fills(ACCOUNT).len(), 1, "it was made");
    for _ in 0..3 {
        // Soon enough that the overlap of the lists shows it again.
        world.start().unwrap();
        wait_for_trading(&mut world);
        world.run_for(10 * SECOND);
        assert_eq!(booked(&world, &settings, &btc()), Position::default());
        assert!(!differs(&world, 0), "{:#?}", world.said);
        world.kill();
    }
}

#[test]
fn what_others_do_while_we_are_away_is_booked_at_the_next_start() {
    let settings = resting(5);
    let mut world = world_at_rest(settings.clone(), 5);
    world.kill();
    world.run_for(MINUTE);
    foreign_order(&mut world, 0, "by-hand-1", Side::Buy, "60000", "2");
    crowd(&mut world, 0, 10, Side::Sell, "60000", "2");
    world.run_for(MINUTE);
    let from = world.said.len();
    world.start().unwrap();
    wait_for_trading(&mut world);
    assert_eq!(booked(&world, &settings, &btc()).qty, decimal("2"));
    assert!(said(&world, from).iter().any(|text| text.starts_with("1 entries booked")), "{:#?}", said(&world, from));
}

#[test]
fn funding_liquidation_and_their_like_are_booked_once_and_said() {
    let settings = contracts();
    let mut world = world_at_rest(settings.clone(), 5);
    let kinds = [FillKind::Funding, FillKind::Liquidation, FillKind::Deleveraging, FillKind::Settlement];
    for (number, kind) in kinds.into_iter().enumerate() {
        let row = entry(&perp(), &format!("x-{number}"), kind, &world);
        for _ in 0..3 {
            world.tell(Event::Fill(VenueId(0), Box::new(row.clone())));
            world.run_for(SECOND);
        }
    }
    let position = booked(&world, &settings, &perp());
    assert_eq!((position.qty, position.fees, position.externals), (decimal("-1.5"), decimal("12"), 4));
    assert_eq!((position.fills, position.turnover), (0, Decimal::ZERO), "none of it is our trade");
    for word in ["LIQUIDATION", "AUTO-DELEVERAGING", "settlement", "funding"] {
        assert!(said(&world, 0).iter().any(|text| text.contains(word)), "{word}: {:#?}", world.said);
    }
    world.run_for(5 * SECOND);
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(0));
    assert_eq!(report(&world).external_entries, 4);
    assert_eq!(report(&world).positions[0].qty, decimal("-1.5"));
}

#[test]
fn losses_of_others_latch_trading_off_also_in_a_symbol_nobody_configured() {
    let mut settings = resting(5);
    settings.risk.max_daily_loss = Decimal::whole(100);
    let mut world = world_at_rest(settings.clone(), 5);
    world.run_for(MINUTE);
    let mut row = entry(&Symbol::new("DOGE-USDT"), "x-1", FillKind::Trade, &world);
    row.fill.fee = decimal("50");
    world.tell(Event::Fill(VenueId(0), Box::new(row)));
    world.run_for(MINUTE);
    assert_eq!(open(&world).len(), 5, "half of what the day may lose: {:#?}", world.said);
    assert_eq!(booked(&world, &settings, &Symbol::new("DOGE-USDT")).qty, decimal("-0.5"));
    let mut row = entry(&Symbol::new("DOGE-USDT"), "x-2", FillKind::Funding, &world);
    row.fill.fee = decimal("50");
    world.tell(Event::Fill(VenueId(0), Box::new(row)));
    assert!(world.run_until(MINUTE, |world| open(world).is_empty()), "{:#?}", world.said);
    assert!(said(&world, 0).iter().any(|text| text.starts_with("TRADING IS LATCHED OFF")));
}

#[test]
fn a_position_others_opened_counts_for_the_position_limit() {
    let mut settings = resting(5);
    settings.risk.general.max_position_notional = Decimal::whole(100_000);
    let mut world = world_at_rest(settings, 5);
    let mut row = entry(&btc(), "x-1", FillKind::Trade, &world);
    (row.side, row.fill.qty) = (Side::Buy, decimal("2"));
    world.tell(Event::Fill(VenueId(0), Box::new(row)));
    world.run_for(SECOND);
    crowd(&mut world, 0, 0, Side::Sell, "39996", "0.005");
    world.run_for(MINUTE);
    assert!(open(&world).is_empty(), "filled");
    let n_created = world.creates_seen.len();
    let at = now(&world);
    assert!(world.venues[0].exchange.move_price(at, &btc(), decimal("64000")));
    world.run_for(MINUTE);
    assert_eq!(world.creates_seen.len(), n_created, "2 coins of others are worth more than we may hold");
}

#[test]
fn contracts_that_were_there_before_us_are_taken_over_once_at_the_venues_price() {
    let settings = contracts();
    let mut world = contract_world(&settings);
    by_hand(&mut world, "by-hand-1", Side::Buy, "60000", "0.3");
    by_hand(&mut world, "by-hand-2", Side::Buy, "63000", "0.1");
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    let position = booked(&world, &settings, &perp());
    assert_eq!((position.qty, position.average_price()), (decimal("0.4"), Some(decimal("60750"))));
    assert_eq!(position.externals, 1);
    assert!(said(&world, 0).iter().any(|text| text.contains("the rest is taken over at 60750")), "{:#?}", world.said);
    world.run_for(5 * MINUTE);
    for _ in 0..2 {
        world.kill();
        world.start().unwrap();
        wait_for_trading(&mut world);
        trade_until_resting(&mut world, 5);
        world.run_for(3 * MINUTE);
    }
    assert_eq!(booked(&world, &settings, &perp()), position);
    assert!(!differs(&world, 0), "{:#?}", world.said);
    // And what happens from then on is booked trade by trade.
    by_hand(&mut world, "by-hand-3", Side::Sell, "66000", "0.4");
    assert_eq!(booked(&world, &settings, &perp()).qty, Decimal::ZERO);
    world.run_for(5 * MINUTE);
    assert!(!differs(&world, 0), "{:#?}", world.said);
}

#[test]
fn a_lost_directory_takes_over_what_our_own_fills_of_today_do_not_explain() {
    let settings = contracts();
    let mut world = contract_world(&settings);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    let at = now(&world);
    assert!(world.venues[0].exchange.crowd_takes(at, &perp(), Side::Sell, decimal("40000"), decimal("0.001")));
    by_hand(&mut world, "by-hand-1", Side::Buy, "60000", "0.3");
    world.run_for(MINUTE);
    world.kill();
    world.disk = lastorders::sim::disk::MemoryDisk::default();
    world.run_for(MINUTE);
    world.start().unwrap();
    wait_for_trading(&mut world);
    world.run_for(SECOND);
    let position = booked(&world, &settings, &perp());
    assert_eq!((position.qty, position.fills, position.externals), (decimal("0.301"), 1, 1));
    // 0.001 at 40,000 and 0.3 at 60,000, whoever bought them.
    let error = position.cost.checked_sub(decimal("18040")).unwrap().abs();
    assert!(error < decimal("0.000001"), "{}", position.cost);
    world.run_for(5 * MINUTE);
    assert!(!differs(&world, 0), "{:#?}", world.said);
}

#[test]
fn contracts_that_differ_at_a_later_start_are_held_from_the_first_order_and_not_taken_over() {
    let settings = contracts();
    let mut world = contract_world(&settings);
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    world.run_for(MINUTE);
    world.kill();
    world.venues[0].positions_by_hand.insert(perp(), decimal("0.5"));
    let n_created = world.creates_seen.len();
    world.start().unwrap();
    world.run_for(5 * MINUTE);
    assert_eq!((open(&world).len(), world.creates_seen.len()), (0, n_created), "{:#?}", world.said);
    assert!(
        said(&world, 0).iter().any(|text| text.contains("the venue's position differs from our books by 0.5")),
        "{:#?}",
        world.said
    );
    assert_eq!(booked(&world, &settings, &perp()).qty, Decimal::ZERO, "never adopted");
    world.venues[0].positions_by_hand.clear();
    trade_until_resting(&mut world, 5);
}

#[test]
fn contracts_that_differ_while_trading_are_pulled_alone_until_two_comparisons_agree() {
    let mut settings = contracts();
    settings.strategies.push(ladder_of("coins", "main", 3, "0.001"));
    let mut world = contract_world(&settings);
    world.start().unwrap();
    trade_until_resting(&mut world, 8);
    world.run_for(2 * MINUTE);
    // One look alone proves nothing.
    world.venues[0].exchange.plan(Plan::next(On::Ask(AskKind::Positions), Fault::ServerError)).unwrap();
    world.run_for(2 * MINUTE);
    assert_eq!(open(&world).len(), 8);
    world.venues[0].positions_by_hand.insert(perp(), decimal("0.7"));
    let from = ledger_mark(&world, 0);
    assert!(world.run_until(2 * MINUTE, |world| n_requests(world, 0, from, "positions") > 0));
    world.run_for(SECOND);
    world.venues[0].positions_by_hand.clear();
    world.run_for(3 * MINUTE);
    assert!(open(&world).len() == 8 && !differs(&world, 0), "the second look did not confirm it: {:#?}", world.said);
    world.venues[0].positions_by_hand.insert(perp(), decimal("-0.002"));
    assert!(world.run_until(3 * MINUTE, |world| open(world).len() == 3), "{:#?}", world.said);
    assert!(open(&world).iter().all(|order| order.symbol == btc()), "only what differs is pulled");
    assert!(said(&world, 0).iter().any(|text| text.contains("BTC-USDT-PERP by -0.002")), "{:#?}", world.said);
    world.run_for(10 * MINUTE);
    assert_eq!(open(&world).len(), 3, "it does not go away by itself");
    world.venues[0].positions_by_hand.clear();
    trade_until_resting(&mut world, 8);
    assert!(said(&world, 0).iter().any(|text| text.contains("two reconciliations agree again")));
}

#[test]
fn a_venue_that_tells_no_positions_at_the_start_starts_nothing() {
    let settings = contracts();
    let mut world = contract_world(&settings);
    world.venues[0].exchange.plan(Plan::always(On::Ask(AskKind::Positions), Fault::ServerError)).unwrap();
    world.start().unwrap();
    assert_eq!(world.run_to_verdict(), Some(1), "{:#?}", world.said);
    assert!(world.creates_seen.is_empty());
}

#[test]
fn keys_that_may_too_much_or_too_little_refuse_live_all_at_once() {
    let mut settings = contracts();
    settings.mode = Mode::Live;
    settings.venues.push(lastorders::sim::settings::venue("second"));
    let mut world = World::new(settings.clone());
    for venue in &mut world.venues {
        venue.traits.tells_positions = true;
    }
    world.venues[0].access.may_withdraw = Some(true);
    world.venues[0].access.hedge_mode = Some(true);
    world.venues[0].access.remarks = vec!["this key expires in 9 days".into()];
    world.venues[1].access.may_trade = Some(false);
    world.start().unwrap();
    assert_eq!(world.run_to_verdict(), Some(1), "{:#?}", world.said);
    assert!(world.creates_seen.is_empty());
    let told = said(&world, 0);
    let refusal = told.iter().find(|text| text.starts_with("The start did not get through")).unwrap();
    for part in [
        "the key of main may withdraw: make one that may only trade",
        "the account of main is in hedge mode: set it to one-way mode",
        "the key of second may not place orders: give it the permission to trade",
    ] {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    assert!(told.iter().any(|text| text.contains("this key expires in 9 days")), "{told:#?}");
    // Mended, the same account starts.
    for venue in &mut world.venues {
        venue.access = lastorders::domain::request::Access { may_trade: Some(true), ..Default::default() };
    }
    world.start().unwrap();
    assert!(world.run_until(MINUTE, |world| open(world).len() == 5), "{:#?}", world.said);
}

#[test]
fn a_contract_is_valued_at_the_venues_mark_price() {
    let mut settings = contracts();
    settings.risk.max_daily_loss = Decimal::whole(1_000);
    let mut world = contract_world(&settings);
    by_hand(&mut world, "by-hand-1", Side::Buy, "64000", "1");
    world.start().unwrap();
    trade_until_resting(&mut world, 5);
    let news = |mark: &str| {
        let ticker = Ticker { mark: Some(decimal(mark)), ..Ticker::default() };
        let (venue, symbol) = (VenueId(0), perp());
        Event::Market(Box::new(MarketNews { venue, symbol, depth: None, last: None, ticker: Some(ticker) }))
    };
    world.tell(news("63500"));
    world.run_for(MINUTE);
    assert_eq!(open(&world).len(), 5, "{:#?}", world.said);
    world.tell(news("62999"));
    assert!(world.run_until(MINUTE, |world| open(world).is_empty()), "the last prices did not move: {:#?}", world.said);
    assert!(said(&world, 0).iter().any(|text| text.starts_with("TRADING IS LATCHED OFF")));
}

#[test]
fn a_post_only_order_that_met_the_market_is_no_rejection_of_the_venue() {
    for cross in [PostOnlyCross::AcceptThenCancel, PostOnlyCross::AcceptThenReject, PostOnlyCross::Refuse] {
        let mut settings = quiet();
        settings.strategies = vec![StrategySettings {
            kind: StrategyKind::Ladder(LadderSettings {
                sides: LadderSides::One(Side::Buy),
                start: LadderStart::Price(decimal("64500")),
                step: Decimal::ONE,
                rungs: 30,
                order_qty: decimal("0.001"),
                post_only: true,
            }),
            ..ladder("rungs", "main", 30)
        }];
        let mut world = World::new(settings.clone());
        let mut setup = Setup::from_settings(&settings.venues[0].sim, &settings.venues[0].symbols);
        setup.post_only_cross = cross;
        world.venues[0].exchange = Exchange::new(setup);
        let at = now(&world);
        assert!(world.venues[0].exchange.move_price(at, &btc(), decimal("65000")));
        world.start().unwrap();
        wait_for_trading(&mut world);
        // The market falls through every rung, and the process does not hear of it.
        world.silence(0, Stream::Public);
        let at = now(&world);
        assert!(world.venues[0].exchange.move_price(at, &btc(), decimal("64000")));
        world.run_for(5 * SECOND);
        assert!(world.creates_seen.len() >= 20, "{cross:?}: {} tries", world.creates_seen.len());
        assert!(open(&world).is_empty(), "{cross:?}: all of them would have taken");
        let paused = said(&world, 0).iter().any(|text| text.contains("the venue refused ten orders"));
        assert!(!paused, "{cross:?}: {:#?}", world.said);
        assert!(n_requests(&world, 0, 0, "create") >= 20);
        world.signal(SignalName::Term);
        assert_clean_stop(&mut world, &settings, 0, &format!("{cross:?}"));
    }
}
