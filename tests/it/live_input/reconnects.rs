//! Streams that break, again and again, while orders are filled: every fill is booked once, no create goes out twice, and
//! nothing in it exceeds what the venue allows.

#![allow(clippy::print_stdout, reason = "the seed is read with --nocapture, and shown when a test fails")]

use std::time::Duration;

use serde_json::json;

use super::judge::{of_clean_stop, of_limits};
use super::{Desk, Key, QUIET, all_at_once, assert_none, exchange, n_fills, take_one, temporary};
use crate::harness::chance::{Chance, seed};
use crate::harness::wait;

/// Traders that are cut off at the same time, each at an exchange of its own.
const TRADERS: usize = 3;
/// Reconnects in all, unless the environment asks for more.
const RECONNECTS: usize = 12;
const SPOT: &str = "BTC-USDT";
const CONTRACT: &str = "BTC-USDT-PERP";

fn reconnects() -> usize {
    #[allow(clippy::disallowed_methods, reason = "a longer loop is asked for by a documented command")]
    let asked = std::env::var("LASTORDERS_TEST_RECONNECTS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(RECONNECTS)
}

/// Which sockets go, and how. A private one that falls silent is found out after half a minute: one for each trader.
fn way(chance: &mut Chance, number: usize) -> (&'static str, &'static str) {
    const WAYS: [(&str, &str); 5] =
        [("private", "hard"), ("private", "hard"), ("private", "gracefully"), ("public", "hard"), ("public", "silent")];
    if number == 1 {
        return ("private", "silent");
    }
    let drawn = chance.below(WAYS.len() as u64);
    WAYS[usize::try_from(drawn).expect("one of a few")]
}

#[test]
fn no_fill_is_lost_or_doubled_through_forced_reconnects() {
    let (set_seed, count) = (seed(), reconnects().div_ceil(TRADERS));
    println!("LASTORDERS_TEST_SEED={set_seed}, {count} reconnects of each of {TRADERS} traders");
    let play = |number: &usize| {
        let (folder, key, account) = (temporary(), Key::new(0), 0);
        let exchange = exchange(folder.path(), &[(&key, "")], &QUIET);
        let mut chance = Chance::new(set_seed, *number as u64);
        let desk = Desk::live(exchange.address(), &key);
        let mut trader = desk.start_ready();
        for number in 0..count {
            trader.wait_quoting(&exchange, account, SPOT);
            let (scope, how) = way(&mut chance, number);
            let command = json!({"command": "drop_sockets", "scope": scope, "how": how});
            let filled = n_fills(&exchange.ledger(), account);
            // One that is just being opened cannot be cut yet.
            trader.wait_for("a socket to cut", || (exchange.order(&command)["sockets"] != 0).then_some(()));
            // In the gap, or just behind it.
            wait::let_pass(Duration::from_millis(chance.below(400)));
            let symbol = if chance.below(4) == 0 { CONTRACT } else { SPOT };
            trader.wait_for("a fill", || {
                take_one(&exchange, account, symbol);
                (n_fills(&exchange.ledger(), account) > filled).then_some(())
            });
            trader.wait_settled(&exchange, account);
            wait::let_pass(Duration::from_millis(chance.below(3_000)));
        }
        let code = trader.terminate().code;
        let mut findings = of_clean_stop(&desk, &exchange, account, code);
        findings.extend(of_limits(&exchange.ledger()));
        findings
    };
    let findings = all_at_once(&(0..TRADERS).collect::<Vec<_>>(), |number| format!("trader {number}"), play);
    assert_none(&findings);
}
