//! The ledger tells everything, and brings everything back.

use std::collections::BTreeMap;

use super::*;
use crate::exchange::{AskKind, BadLedger, BalanceView, Fault, FaultRates, On, Plan, PositionView};

/// Everything that must survive.
#[derive(Debug, PartialEq)]
struct Truth {
    open: Vec<OrderView>,
    fills: Vec<FillView>,
    balances: Vec<BalanceView>,
    positions: Vec<PositionView>,
    totals: BTreeMap<String, Decimal>,
}

fn truth(exchange: &Exchange, account: AccountId) -> Truth {
    Truth {
        open: exchange.open_orders(account),
        fills: exchange.fills(account),
        balances: exchange.balances(account),
        positions: exchange.positions(account),
        totals: exchange.totals(),
    }
}

fn both(exchange: &Exchange) -> [Truth; 2] {
    [truth(exchange, ANN), truth(exchange, BOB)]
}

/// A busy minute with trades on spot and contract, cancels under way and faults.
fn busy_minute(seed: u64, steps: i64) -> (Setup, Bench) {
    let mut setup = Setup::new(&[btc(), Symbol::new("BTC-USDT-PERP")]);
    setup.open_account(BOB);
    let faults = FaultRates {
        answer_lost: 50,
        server_error: 50,
        late_execution: 100,
        slow_cancel: 200,
        lost_push: 100,
        ..FaultRates::default()
    };
    let setup = Setup { seed, faults, ..setup };
    let mut bench = Bench::new(setup.clone());
    for step in 0..steps {
        let symbol = if step % 3 == 0 { "BTC-USDT-PERP" } else { "BTC-USDT" };
        let on = |new: NewOrder| NewOrder { symbol: Symbol::new(symbol), ..new };
        let price = (63_985 + (step * 7) % 30).to_string();
        bench.submit(ANN, Ask::Create(on(buy(&format!("b{step}"), &price).of("0.05"))));
        bench.submit(BOB, Ask::Create(on(sell(&format!("s{step}"), &price).of("0.02"))));
        bench.submit(ANN, Ask::Cancel(OrderRef::client(&format!("b{}", step / 2))));
        bench.run_ms(100);
    }
    (setup, bench)
}

#[test]
fn a_restart_brings_back_orders_fills_balances_and_contracts() {
    let (mut open, mut fills, mut positions) = (0, 0, 0);
    for seed in 0..6 {
        let (setup, bench) = busy_minute(seed, 200);
        let restored = Exchange::restore(setup, &bench.file()).unwrap();
        assert_eq!((restored.whole_bytes, restored.torn_bytes), (bench.file().len(), 0));
        let before = both(&bench.exchange);
        for truth in &before {
            open += truth.open.len();
            fills += truth.fills.len();
            positions += truth.positions.len();
        }
        assert_eq!(both(&restored.exchange), before, "seed {seed}");
    }
    assert!(open > 100 && fills > 500 && positions >= 10, "{open} {fills} {positions}");
}

#[test]
fn a_fresh_ledger_stands_for_the_old_one() {
    let (setup, mut bench) = busy_minute(9, 200);
    let before = both(&bench.exchange);
    let short = |setup: &Setup| Setup { fills_max: 15, closed_orders_max: 10, ..setup.clone() };
    let lines = bench.exchange.checkpoint_lines();
    let file = lines.join("\n") + "\n";
    assert!(file.len() < bench.file().len());
    let restored = Exchange::restore(setup.clone(), file.as_bytes()).unwrap();
    assert_eq!(both(&restored.exchange), before);
    // And what happens afterwards goes into it.
    bench.heard.clear();
    bench.run_ms(3_000);
    bench.create(ANN, buy("after", "40000")).ok();
    let file = [file.into_bytes(), bench.file()].concat();
    let restored = Exchange::restore(setup.clone(), &file).unwrap();
    assert_eq!(both(&restored.exchange), both(&bench.exchange));
    // A shorter memory loses old fills and ends, never money or open orders.
    let mut less = Exchange::restore(short(&setup), &file).unwrap().exchange;
    let lines = less.checkpoint_lines().join("\n") + "\n";
    let less = Exchange::restore(short(&setup), lines.as_bytes()).unwrap().exchange;
    for account in [ANN, BOB] {
        let (less, more) = (truth(&less, account), truth(&bench.exchange, account));
        assert_eq!((less.open, less.balances, less.totals), (more.open, more.balances, more.totals));
        assert_eq!(less.fills, more.fills[more.fills.len() - 15..]);
    }
}

#[test]
fn killed_after_any_line_nothing_is_lost_or_doubled() {
    let (setup, bench) = busy_minute(4, 40);
    let file = bench.file();
    let initial = Exchange::new(setup.clone()).totals();
    let ends: Vec<usize> = (0..file.len()).filter(|&place| file[place] == b'\n').collect();
    let mut whole = 0;
    for end in ends {
        let mut exchange = match Exchange::restore(setup.clone(), &file[..=end]) {
            Ok(restored) => restored.exchange,
            Err(BadLedger::Unfinished) => continue,
            Err(other) => panic!("{other}"),
        };
        whole += 1;
        let mut out = Vec::new();
        exchange.catch_up(exchange.now(), &mut out);
        let mut totals = exchange.totals();
        assert_eq!(totals.remove("BTC-USDT-PERP").unwrap_or_default(), Decimal::ZERO);
        assert_eq!(totals, initial, "{} bytes", end);
        for account in [ANN, BOB] {
            for view in exchange.open_orders(account) {
                assert!(view.filled < view.qty, "{} is finished after {end} bytes", view.client_id);
                assert_eq!(view.time_in_force, TimeInForce::Gtc);
            }
        }
    }
    assert!(whole > 200, "{whole}");
}

#[test]
fn a_torn_end_is_cut_and_damage_elsewhere_names_its_line() {
    let (setup, bench) = busy_minute(2, 5);
    let file = bench.file();
    let last = file[..file.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for cut in [last + 1, file.len() - 1] {
        let restored = Exchange::restore(setup.clone(), &file[..cut]).unwrap();
        assert_eq!((restored.whole_bytes, restored.torn_bytes), (last, cut - last));
    }
    let mut damaged = file.clone();
    let third = 1 + file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    damaged[third + 30] ^= 1;
    let error = Exchange::restore(setup.clone(), &damaged).unwrap_err();
    assert!(matches!(error, BadLedger::Line { line: 3, .. }), "{error}");
    assert_eq!(Exchange::restore(setup.clone(), b"").unwrap_err(), BadLedger::Unfinished);
    assert_eq!(Exchange::restore(setup, b"{\"seq\":1").unwrap_err(), BadLedger::Unfinished);
}

#[test]
fn the_line_in_time_survives_a_restart() {
    let mut bench = Bench::new(still());
    for id in ["first", "second", "third"] {
        bench.create(ANN, buy(id, "63000")).unwrap();
    }
    let checkpoint = bench.exchange.checkpoint_lines().join("\n") + "\n";
    for file in [bench.file(), checkpoint.into_bytes()] {
        let mut bench = Bench::on(Exchange::restore(still(), &file).unwrap().exchange, bench.now);
        bench.create(BOB, sell("taker", "63000").of("0.015")).unwrap();
        assert_eq!(bench.open(ANN), ["second", "third"]);
        assert_eq!(bench.query(ANN, "second").unwrap().filled.to_string(), "0.005");
        assert_eq!(bench.exchange.fills(BOB).len(), 2);
        let order_id = bench.query(BOB, "taker").unwrap().order_id;
        assert_eq!(order_id.as_str(), "V4", "ids go on counting");
    }
}

#[test]
fn what_was_under_way_goes_on_after_a_restart() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("slow", "63000")).unwrap();
    bench.create(BOB, buy("armed", "63000")).unwrap();
    let plan = |kind, fault| Plan::next(On::Ask(kind), fault);
    let late = Fault::LateExecution { after_ms: Some(2_000) };
    bench.exchange.plan(plan(AskKind::Create, late)).unwrap();
    let slow = Fault::SlowCancel { by_ms: Some(2_000) };
    bench.exchange.plan(plan(AskKind::Cancel, slow)).unwrap();
    bench.submit(ANN, Ask::Create(buy("late", "62000")));
    bench.cancel(ANN, "slow").unwrap();
    bench.ask(BOB, Ask::SetCountdown { ms: Some(2_000) }).unwrap();
    let checkpoint = bench.exchange.checkpoint_lines().join("\n") + "\n";
    for file in [bench.file(), checkpoint.into_bytes()] {
        let mut bench = Bench::on(Exchange::restore(still(), &file).unwrap().exchange, bench.now);
        bench.run_ms(1_999);
        assert_eq!((bench.open(ANN), bench.open(BOB)), (vec!["slow".to_owned()], vec!["armed".to_owned()]));
        bench.run_ms(1);
        assert_eq!((bench.open(ANN), bench.open(BOB)), (vec!["late".to_owned()], Vec::new()));
    }
}

#[test]
fn a_market_that_went_on_alone_fills_into_the_ledger_but_tells_nobody() {
    let (setup, bench) = busy_minute(3, 20);
    let mut exchange = Exchange::restore(setup.clone(), &bench.file()).unwrap().exchange;
    let fills_before = exchange.fills(ANN).len();
    exchange.move_price(exchange.now(), &btc(), decimal("63000"));
    let week_later = exchange.now().plus_millis(7 * 86_400_000);
    let mut out = Vec::new();
    exchange.catch_up(week_later, &mut out);
    assert!(out.iter().all(|emit| matches!(emit, Emit::Ledger(_))));
    assert!(exchange.fills(ANN).len() > fills_before, "missed fills");
    let text: String = out
        .iter()
        .map(|emit| match emit {
            Emit::Ledger(line) => format!("{line}\n"),
            other => panic!("{other:?}"),
        })
        .collect();
    let file = [bench.file(), text.into_bytes()].concat();
    let again = Exchange::restore(setup, &file).unwrap().exchange;
    assert_eq!(both(&again), both(&exchange));
    // Afterwards it talks again, beginning with a quote.
    out.clear();
    exchange.advance(week_later.plus_millis(300), &mut out);
    assert!(out.iter().any(|emit| matches!(emit, Emit::Quote(_))));
}

#[test]
fn a_changed_setup_keeps_old_orders_and_opens_what_is_new() {
    let mut bench = Bench::new(still());
    bench.create(ANN, buy("old", "63000")).unwrap();
    let mut changed = Setup::new(&[Symbol::new("ETH-USDT")]);
    changed.activity = 0;
    let mut exchange = Exchange::restore(changed, &bench.file()).unwrap().exchange;
    let mut out = Vec::new();
    exchange.catch_up(exchange.now(), &mut out);
    assert_eq!(exchange.open_orders(ANN)[0].client_id, "old");
    let balances = exchange.balances(ANN);
    let of = |asset: &str| balances.iter().find(|row| row.asset == asset).unwrap().total.to_string();
    assert_eq!((of("ETH"), of("BTC"), of("USDT")), ("100".into(), "100".into(), "1000000".into()));
    assert!(out.iter().any(|emit| matches!(emit, Emit::Ledger(line) if line.contains("\"ETH\""))));
}

#[test]
fn the_ledger_alone_tells_what_is_open_and_filled() {
    let (_, bench) = busy_minute(5, 150);
    let mut open: BTreeMap<(u64, String), Decimal> = BTreeMap::new();
    for emit in &bench.heard {
        let Emit::Ledger(line) = emit else { continue };
        let line: Value = serde_json::from_str(line).unwrap();
        let key = || (line["account"].as_u64().unwrap(), line["client_id"].as_str().unwrap().to_owned());
        match line["kind"].as_str().unwrap() {
            "accepted" => assert!(open.insert(key(), decimal(line["filled"].as_str().unwrap())).is_none()),
            "fill" => {
                let filled = open.get_mut(&key()).unwrap();
                *filled = filled.checked_add(decimal(line["qty"].as_str().unwrap())).unwrap();
            }
            "closed" => {
                let filled = open.remove(&key()).unwrap();
                assert_eq!(filled, decimal(line["filled"].as_str().unwrap()));
            }
            _ => {}
        }
    }
    let mut truly = BTreeMap::new();
    for account in [ANN, BOB] {
        for view in bench.exchange.open_orders(account) {
            truly.insert((u64::from(account.0), view.client_id), view.filled);
        }
    }
    assert_eq!(open, truly);
}

#[test]
fn nothing_is_told_before_it_is_written() {
    let (_, bench) = busy_minute(7, 100);
    let mut written: Vec<String> = Vec::new();
    let mut told = 0;
    for emit in &bench.heard {
        match emit {
            Emit::Ledger(line) => written.push(line.clone()),
            Emit::Push(_, Push::Fill(view)) => {
                let name = format!("\"trade_id\":\"{}\"", view.trade_id);
                assert!(written.iter().any(|line| line.contains(&name)));
                told += 1;
            }
            Emit::Push(_, Push::Order(view)) if view.status.ended() => {
                let name = format!("\"client_id\":\"{}\"", view.client_id);
                assert!(written.iter().any(|line| line.contains("\"closed\"") && line.contains(&name)));
                told += 1;
            }
            Emit::Push(..) | Emit::Answer(..) | Emit::Quote(_) => {}
        }
    }
    assert!(told > 50);
}

#[test]
fn a_clock_set_back_between_two_runs_stops_nothing() {
    let mut bench = Bench::new(still());
    for id in ["a", "b"] {
        bench.create(ANN, buy(id, "63000")).unwrap();
    }
    bench.create(BOB, sell("s1", "63000").of("0.001")).unwrap();
    bench.ask(ANN, Ask::SetCountdown { ms: Some(2_000) }).unwrap();
    let mut exchange = Exchange::restore(still(), &bench.file()).unwrap().exchange;
    let yesterday = bench.now.plus_millis(-86_400_000);
    let mut out = Vec::new();
    exchange.catch_up(yesterday, &mut out);
    let mut bench = Bench::on(exchange, yesterday);
    bench.create(BOB, sell("s2", "63000").of("0.002")).unwrap();
    bench.cancel(ANN, "a").unwrap();
    bench.run_ms(10);
    assert_eq!(bench.open(ANN), ["b"]);
    let since = Micros::from_millis(START_MS);
    match bench.ask(ANN, Ask::ListFills { since, cursor: None }).unwrap() {
        Body::Fills { rows, .. } => assert_eq!(rows.len(), 2, "a cursor from before finds the new fill"),
        other => panic!("{other:?}"),
    }
    bench.run_ms(2_000);
    assert!(bench.open(ANN).is_empty(), "the switch runs out all the same");
}
