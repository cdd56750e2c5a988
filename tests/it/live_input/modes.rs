//! Modes that must not touch the venue, the venue's dead man's switch, and `doctor`.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::judge::{of_clean_stop, soundness};
use super::{Desk, Key, exchange, ours_live, tell, temporary};
use crate::harness::daemon::Whom;
use crate::oracle::ledger::Ledger;
use crate::venue::exchange::Exchange;

const SPOT: &str = "BTC-USDT";

/// No order, no question about an account: only what anybody may ask.
fn assert_left_alone(exchange: &Exchange) {
    let ledger = exchange.ledger();
    assert!(!ledger.arrivals.is_empty(), "nobody asked anything: this shows nothing");
    let is_public = |path: &str| path.starts_with("/v5/market/");
    let private: Vec<_> = ledger.arrivals.iter().filter(|one| one.account.is_some() || !is_public(&one.path)).collect();
    assert!(private.is_empty(), "{private:#?}");
}

fn without_keys(desk: Desk, mode: &str) -> Desk {
    desk.with("MODE", mode).with("BYBIT_API_KEY", "").with("BYBIT_API_SECRET", "")
}

fn paper() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &[]);
    let desk = without_keys(Desk::live(exchange.address(), &key), "PAPER");
    let mut trader = desk.start_ready();
    let (paper, ours) = (desk.home.ledger("main"), Desk::ours());
    let mut n_moves = 0;
    trader.wait_for("fills on paper", || {
        let ledger = Ledger::read(&paper, &ours);
        let status = desk.status()?;
        let orders = status["orders"].as_array()?;
        // The market goes through the quotes, now this way, now that.
        let side = if n_moves % 2 == 0 { "BUY" } else { "SELL" };
        let quote = orders.iter().find(|order| order["symbol"] == SPOT && order["side"] == side)?;
        let price: u64 = quote["price"].as_str()?.split('.').next()?.parse().ok()?;
        let there = if side == "BUY" { price - 200 } else { price + 200 };
        exchange.order(&json!({"command": "move_price", "symbol": SPOT, "price": there.to_string()}));
        n_moves += 1;
        (ledger.fills.len() >= 4).then_some(())
    });
    let exit = trader.terminate();
    let ledger = Ledger::read(&paper, &ours);
    assert_eq!((exit.code, ledger.open().count()), (Some(0), 0), "{}", desk.home.printed());
    assert!(ledger.findings.is_empty(), "{:#?}", ledger.findings);
    assert_left_alone(&exchange);
    soundness(&desk, &[])
}

fn dry_run() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &[]);
    let desk = without_keys(Desk::live(exchange.address(), &key), "DRY_RUN");
    let mut trader = desk.start_ready();
    trader.wait_for("orders that would have been sent", || {
        let status = desk.status()?;
        (status["orders_new"].as_u64()? > 0).then_some(())
    });
    assert_eq!(trader.terminate().code, Some(0), "{}", desk.home.printed());
    assert_left_alone(&exchange);
    soundness(&desk, &[])
}

/// Lines of a kind in the exchange's ledger.
fn lines(exchange: &Exchange, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(exchange.ledger_path()).expect("the ledger of a running exchange");
    let mark = format!("\"kind\":\"{kind}\"");
    text.lines().filter(|line| line.contains(&mark)).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn exclusive(desk: Desk) -> Desk {
    desk.with_config("exclusive_account = false", "exclusive_account = true")
}

/// The exchange's own clock.
fn now_ms(exchange: &Exchange) -> i64 {
    exchange.look("health")["now_ms"].as_i64().expect("a time")
}

/// The window of the switch, as the exchange was first told.
fn window_ms(exchange: &Exchange) -> i64 {
    lines(exchange, "switch").first().and_then(|line| line["window_s"].as_i64()).expect("a window") * 1_000
}

fn killed() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "switch")], &["--activity", "0"]);
    let desk = exclusive(Desk::live(exchange.address(), &key));
    let mut trader = desk.start_ready();
    trader.wait_quoting(&exchange, 0, SPOT);
    let products: Vec<_> = lines(&exchange, "switch").iter().map(|line| line["product"].clone()).collect();
    assert!(products.contains(&json!("SPOT")) && products.contains(&json!("DERIVATIVES")), "{products:?}");
    // Kept alive over more than two windows.
    let (began, window) = (now_ms(&exchange), window_ms(&exchange));
    trader.wait_for("two windows and a half", || (now_ms(&exchange) > began + window * 5 / 2).then_some(()));
    assert!(lines(&exchange, "switch_fired").is_empty(), "{}", desk.home.printed());
    assert!(ours_live(&exchange.ledger(), 0) > 0);
    trader.daemon.signal(Whom::Trader, Signal::KILL);
    let killed = now_ms(&exchange);
    trader.wait_exit();
    let fired = exchange.wait_for("the switch", |ledger| {
        let fired = lines(&exchange, "switch_fired");
        (fired.len() >= 2 && ours_live(ledger, 0) == 0).then_some(fired)
    });
    for line in fired {
        let after_ms = line["t_ms"].as_i64().expect("a time") - killed;
        assert!(after_ms <= window + 1_000, "it fired {after_ms} ms after the kill, the window is {window} ms");
    }
    soundness(&desk, &[])
}

fn stopped() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "switch")], &["--activity", "0"]);
    let desk = exclusive(Desk::live(exchange.address(), &key));
    let mut trader = desk.start_ready();
    trader.wait_quoting(&exchange, 0, SPOT);
    let armed = desk.status().expect("it runs")["dead_man_switch"].to_string();
    assert!(armed.contains("armed"), "{armed}");
    let code = trader.terminate().code;
    let findings = of_clean_stop(&desk, &exchange, 0, code);
    // This venue's cannot be taken off, which the report says; it finds nothing.
    let report = std::fs::read_to_string(desk.home.state().join("last_shutdown.json")).expect("a report");
    assert!(report.contains("the venue does not let it be disarmed"), "{report}");
    exchange.wait_for("the switch", |_| (lines(&exchange, "switch_fired").len() >= 2).then_some(()));
    let taken: Vec<_> = lines(&exchange, "closed").into_iter().filter(|line| line["reason"] == "countdown").collect();
    assert!(taken.is_empty(), "{taken:?}");
    findings
}

fn without_the_right() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &["--activity", "0"]);
    let desk = exclusive(Desk::live(exchange.address(), &key));
    let mut trader = desk.start_ready();
    trader.wait_quoting(&exchange, 0, SPOT);
    let said = desk.home.printed();
    assert!(said.contains("dead man's switch"), "{said}");
    let code = trader.terminate().code;
    of_clean_stop(&desk, &exchange, 0, code)
}

fn doctor() -> Vec<String> {
    let keys = [Key::new(0), Key::new(1), Key::new(2)];
    let folder = temporary();
    let flags = [(&keys[0], ""), (&keys[1], "withdraw"), (&keys[2], "switch")];
    let exchange = exchange(folder.path(), &flags, &["--activity", "0"]);
    let asked = |desk: Desk, code: i32, words: &[&str]| {
        let said = desk.command(&["doctor"]);
        let mut findings = soundness(&desk, &[]);
        findings.extend((said.code != Some(code)).then(|| format!("it ended with {:?}", said.code)));
        findings.extend(words.iter().filter(|word| !said.text.contains(**word)).map(|word| format!("no `{word}`")));
        findings.extend(said.text.contains("canary").then(|| "a secret is shown".to_owned()));
        assert!(findings.is_empty(), "{}\n{}", findings.join("\n"), said.text);
    };
    let table = ["Who cancels our orders", "unwatched, at the longest", "SIGKILL, crash, out of"];
    asked(Desk::live(exchange.address(), &keys[0]), 0, &table);
    asked(Desk::live(exchange.address(), &keys[1]), 1, &["may withdraw"]);
    let covered = exclusive(Desk::live(exchange.address(), &keys[2]));
    asked(covered, 0, &["the venue cancels when we are silent for"]);
    asked(Desk::live(exchange.address(), &Key::new(0)), 1, &["10003"]);
    let told: Vec<_> = exchange.ledger().arrivals.into_iter().filter(|one| one.creates() || one.cancels()).collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(lines(&exchange, "switch").is_empty(), "doctor armed a switch");
    Vec::new()
}

#[test]
fn what_only_looks_sends_the_venue_nothing() {
    tell(&[
        ("paper on a real market needs no key", paper),
        ("a dry run on a real market", dry_run),
        ("doctor asks the venue, and says who cancels", doctor),
    ]);
}

#[test]
fn the_dead_mans_switch_cancels_when_the_trader_is_gone_and_only_then() {
    tell(&[
        ("the venue cancels when the trader is killed, and not before", killed),
        ("after a clean stop the switch finds nothing of ours", stopped),
        ("without the right to it this is said, and traded", without_the_right),
    ]);
}
