//! One mistake at a time, as data: the line, the key, the value and the words of its refusal.

use super::refusal::told;
use super::tests::{NAME, SOUND, read};

/// What stands in `SOUND`, what is put there instead, and the one refusal: line, key, value, and parts of the words.
type Case = (&'static str, &'static str, usize, &'static str, Option<&'static str>, &'static [&'static str]);

#[rustfmt::skip]
const ONE_MISTAKE: &[Case] = &[
    ("name = \"main\"", "", 2, "venue[#1].name", None, &["missing"]),
    ("name = \"main\"", "name = \"My venue\"", 3, "venue[My venue].name", Some("\"My venue\""), &["a-z, 0-9, - and _"]),
    ("name = \"main\"", "name = \"../x\"", 3, "venue[../x].name", Some("\"../x\""), &["a-z, 0-9, - and _"]),
    ("kind = \"sim\"", "kind = \"smi\"", 4, "venue[main].kind", Some("\"smi\""), &["`sim`", "Allowed: sim, bybit, coinbase"]),
    ("kind = \"sim\"", "kind = 3", 4, "venue[main].kind", Some("3"), &["not a text", "Allowed: sim"]),
    ("kind = \"sim\"", "kind = \"kraken\"", 4, "venue[main].kind", Some("\"kraken\""), &["not built yet", "`bybit`", "`sim`"]),
    ("kind = \"sim\"", "kind = \"coinbase\"", 4, "venue[main].kind", Some("\"coinbase\""), &["not built yet"]),
    ("kind = \"sim\"", "kind = \"binance\"", 4, "venue[main].kind", Some("\"binance\""), &["not built yet"]),
    ("kind = \"sim\"", "kind = \"binance-us\"", 4, "venue[main].kind", Some("\"binance-us\""), &["not built yet"]),
    ("kind = \"sim\"", "kind = \"bybit\"\nenvironment = \"prod\"", 5, "venue[main].environment", Some("\"prod\""), &["mainnet, testnet, demo"]),
    ("kind = \"sim\"", "kind = \"bybit\"\nrest_url = \"http://api.bybit.com\"", 5, "venue[main].rest_url", Some("\"http://api.bybit.com\""), &["unencrypted", "https://HOST"]),
    ("kind = \"sim\"", "kind = \"bybit\"\nrest_url = \"https://me:word@api.bybit.com\"", 5, "venue[main].rest_url", None, &["no password"]),
    ("kind = \"sim\"", "kind = \"bybit\"\nws_public_url = \"ws://10.0.0.1\"", 5, "venue[main].ws_public_url", Some("\"ws://10.0.0.1\""), &["unencrypted", "wss://HOST"]),
    ("kind = \"sim\"", "kind = \"bybit\"\nws_private_url = \"https://a\"", 5, "venue[main].ws_private_url", Some("\"https://a\""), &["wss://HOST"]),
    ("kind = \"sim\"", "kind = \"bybit\"\nws_private_url = 7", 5, "venue[main].ws_private_url", Some("7"), &["not a text"]),
    ("kind = \"sim\"", "kind = \"bybit\"\nsim.seed = 3", 5, "venue[main].sim", None, &["Only `sim`"]),
    ("kind = \"sim\"", "kind = \"sim\"\nrest_url = \"http://127.0.0.1:1\"", 5, "venue[main].rest_url", None, &["Take this key out"]),
    ("kind = \"sim\"", "kind = \"sim\"\nws_public_url = \"ws://127.0.0.1:1\"", 5, "venue[main].ws_public_url", None, &["Take this key out"]),
    ("kind = \"sim\"", "kind = \"sim\"\nws_private_url = \"ws://127.0.0.1:1\"", 5, "venue[main].ws_private_url", None, &["Take this key out"]),
    ("kind = \"sim\"", "kind = \"sim\"\nenvironment = \"demo\"", 5, "venue[main].environment", None, &["Take this key out"]),
    ("kind = \"sim\"", "kind = \"sim\"\nsymbol = \"X\"", 5, "venue[main].symbol", None, &["not known in venue[main]", "`symbols`", "Known here: environment, exclusive_account, kind"]),
    ("kind = \"sim\"", "kind = \"sim\"\nmax_open_orders = 3", 5, "venue[main].max_open_orders", None, &["belongs to [risk]"]),
    ("kind = \"sim\"", "kind = \"sim\"\nexclusive_account = \"no\"", 5, "venue[main].exclusive_account", Some("\"no\""), &["true, false"]),
    ("kind = \"sim\"", "kind = \"sim\"\nsim = 1", 5, "venue[main].sim", Some("1"), &["[venue.sim]"]),
    ("kind = \"sim\"", "kind = \"sim\"\nsim.latency = 1", 5, "venue[main].sim.latency", None, &["`latency_ms`"]),
    ("kind = \"sim\"", "kind = \"sim\"\nsim.latency_ms = -1", 5, "venue[main].sim.latency_ms", Some("-1"), &["0 to 60000"]),
    ("kind = \"sim\"", "kind = \"sim\"\nsim.faults.not_found = 1001", 5, "venue[main].sim.faults.not_found", Some("1001"), &["0 to 1000"]),
    ("kind = \"sim\"", "kind = \"sim\"\nsim.faults.notfound = 1", 5, "venue[main].sim.faults.notfound", None, &["`not_found`"]),
    ("\"ETH-USDT\"]\n[[", "\"ETH-USDT\", \"btcusdt\"]\n[[", 5, "venue[main].symbols", Some("\"btcusdt\""), &["BASE-QUOTE-PERP"]),
    ("\"ETH-USDT\"]\n[[", "\"ETH-USDT\", \"ETH-USDT\"]\n[[", 5, "venue[main].symbols", Some("\"ETH-USDT\""), &["twice"]),
    ("\"ETH-USDT\"]\n[[", "\"ETH-USDT\", 7]\n[[", 5, "venue[main].symbols", Some("a list"), &["not a text"]),
    ("name = \"mm\"", "name = \"mm\"\nvenue = \"mian\"", 8, "strategy[mm].venue", Some("\"mian\""), &["`main`", "Known: main"]),
    ("name = \"rungs\"", "name = \"mm\"", 14, "strategy[mm].name", Some("\"mm\""), &["taken"]),
    ("kind = \"market_maker\"", "kind = \"marketmaker\"", 8, "strategy[mm].kind", Some("\"marketmaker\""), &["`market_maker`", "ladder"]),
    ("symbols = [\"BTC-USDT\"]", "symbols = [\"SOL-USDT\"]", 9, "strategy[mm].symbols", Some("\"SOL-USDT\""), &["`main`", "BTC-USDT, ETH-USDT"]),
    ("symbols = [\"BTC-USDT\"]", "symbols = []", 9, "strategy[mm].symbols", Some("[]"), &["at least one"]),
    ("spread_bps = \"10\"", "spread_bps = 10.5", 10, "strategy[mm].spread_bps", Some("10.5"), &["not kept exactly", "spread_bps = \"10.5\""]),
    ("spread_bps = \"10\"", "spread_bps = \"10000\"", 10, "strategy[mm].spread_bps", Some("10000"), &["below 10000"]),
    ("spread_bps = \"10\"", "spread_bps = \"10\"\nlevels = 3", 6, "strategy[mm].level_step_bps", None, &["missing", "more than one level"]),
    ("spread_bps = \"10\"", "spread_bps = \"10\"\nlevels = 51", 11, "strategy[mm].levels", Some("51"), &["1 to 50"]),
    ("spread_bps = \"10\"", "spread_bps = \"10\"\nrungs = 3", 11, "strategy[mm].rungs", None, &["not known"]),
    ("order_qty = \"0.001\"", "order_qty = \"0\"", 11, "strategy[mm].order_qty", Some("\"0\""), &["above zero"]),
    ("order_qty = \"0.001\"", "order_qty = \"-1\"", 11, "strategy[mm].order_qty", Some("\"-1\""), &["above zero"]),
    ("order_qty = \"0.001\"", "order_qty = \"1e-3\"", 11, "strategy[mm].order_qty", Some("\"1e-3\""), &["not an amount"]),
    ("order_qty = \"0.001\"", "order_qty = 0.001", 11, "strategy[mm].order_qty", Some("0.001"), &["order_qty = \"0.001\""]),
    ("order_qty = \"0.001\"", "order_qty = \"0.02\"", 12, "strategy[mm].max_position_qty", Some("0.01"), &["0.02", "order_qty or more"]),
    ("side = \"buy\"", "side = \"long\"", 17, "strategy[rungs].side", Some("\"long\""), &["buy, sell, both"]),
    ("side = \"buy\"", "side = \"both\"", 18, "strategy[rungs].start_price", None, &["start_offset_bps"]),
    ("start_price = \"3000\"", "", 13, "strategy[rungs].start_price", None, &["start_offset_bps"]),
    ("start_price = \"3000\"", "start_price = \"3000\"\nstart_offset_bps = 5", 19, "strategy[rungs].start_offset_bps", None, &["Keep one"]),
    ("start_price = \"3000\"", "start_price = \"5\"", 20, "strategy[rungs].rungs", Some("10"), &["does not exist"]),
    ("rungs = 10", "rungs = 0", 20, "strategy[rungs].rungs", Some("0"), &["1 to 10000"]),
    ("rungs = 10", "", 13, "strategy[rungs].rungs", None, &["missing", "1 to 10000"]),
];

/// A table, and the one refusal as above.
type TableCase = (&'static str, usize, &'static str, Option<&'static str>, &'static [&'static str]);

/// Tables put behind `SOUND`, whose last line is 22.
#[rustfmt::skip]
const ONE_BAD_TABLE: &[TableCase] = &[
    ("[risk]\nmax_order_notional = \"0\"", 23, "risk.max_order_notional", Some("\"0\""), &["above zero"]),
    ("[risk]\nmax_daily_loss = 50.0", 23, "risk.max_daily_loss", Some("50.0"), &["max_daily_loss = \"50.0\""]),
    ("[risk]\nmax_open_orders = 0", 23, "risk.max_open_orders", Some("0"), &["1 to"]),
    ("[risk]\nmax_orders_per_second = \"5\"", 23, "risk.max_orders_per_second", Some("\"5\""), &["not a whole number"]),
    ("[risk]\ncollar_away_bps = 20000", 23, "risk.collar_away_bps", Some("20000"), &["up to 10000"]),
    ("[risk]\nmax_order = 1", 23, "risk.max_order", None, &["`max_", "Known here: collar_away_bps"]),
    ("[risk]\nsymbol.\"SOL-USDT\".max_order_notional = 1", 23, "risk.symbol.\"SOL-USDT\"", None, &["No venue lists", "BTC-USDT, ETH-USDT"]),
    ("[risk.symbol.\"ETH-USDT\"]\nmax_open_orders = 1", 23, "risk.symbol.\"ETH-USDT\".max_open_orders", None, &["belongs to [risk]"]),
    ("[shutdown]\ncancel_timeout_s = 4", 23, "shutdown.cancel_timeout_s", Some("4"), &["5 to 600"]),
    ("[shutdown]\ncancel_timeout_s = 601", 23, "shutdown.cancel_timeout_s", Some("601"), &["5 to 600"]),
    ("[shutdown]\ncancel_timeout = 9", 23, "shutdown.cancel_timeout", None, &["`cancel_timeout_s`"]),
    ("[shutdown]\non_exit = \"kep\"", 23, "shutdown.on_exit", Some("\"kep\""), &["`keep`", "cancel, keep"]),
    ("[shutdown]\non_exit = \"keep\"", 23, "shutdown.on_exit", Some("\"keep\""), &["on_start = \"adopt\""]),
    ("[start]\non_start = \"adopt\"\n[shutdown]\non_exit = \"keep\"\n[risk]\nuncovered_max_notional = 0", 25, "shutdown.on_exit", Some("\"keep\""), &["uncovered_max_notional"]),
    ("[start]\nother_instances = [\"A1B2\"]", 23, "start.other_instances", Some("\"A1B2\""), &["four characters"]),
    ("[start]\nother_instances = [\"a1b2\", \"a1b2\"]", 23, "start.other_instances", Some("\"a1b2\""), &["twice"]),
    ("[guardian]\nrestart = \"allways\"", 23, "guardian.restart", Some("\"allways\""), &["`always`", "never, on-failure, always"]),
    ("[guardian]\nhang_timeout_s = 0", 23, "guardian.hang_timeout_s", Some("0"), &["1 to 60"]),
    ("[store]\nsync = \"none\"", 23, "store.sync", Some("\"none\""), &["cycle, os"]),
    ("[stor]\nsync = \"os\"", 22, "stor", None, &["`store`", "Known here: guardian, instance, risk, shutdown, start, store, strategy, venue"]),
];

fn check_one(text: &str, line: usize, key: &str, value: Option<&str>, words: &[&str]) {
    let refusals = read(text, &[]).expect_err(text);
    assert_eq!(refusals.len(), 1, "{text}\n{}", told(&refusals));
    let refusal = &refusals[0];
    assert_eq!((refusal.source.as_str(), refusal.key.as_str()), (NAME, key), "{text}");
    assert_eq!((refusal.line, refusal.value.as_deref()), (line, value), "{refusal}");
    let shown = refusal.to_string();
    assert!(shown.starts_with(&format!("{NAME}:{line}: {key}")), "{shown}");
    assert!(!refusal.allowed.is_empty(), "what is allowed is not told: {shown}");
    for word in words {
        assert!(shown.contains(word), "`{word}` is missing in: {shown}");
    }
}

#[test]
fn each_mistake_is_refused_once_with_file_line_key_value_and_what_is_allowed() {
    for (sound, mistake, line, key, value, words) in ONE_MISTAKE {
        assert_eq!(SOUND.matches(sound).count().min(1), 1, "{sound} is not in the sound file");
        check_one(&SOUND.replacen(sound, mistake, 1), *line, key, *value, words);
    }
    for (table, line, key, value, words) in ONE_BAD_TABLE {
        check_one(&format!("{}\n{table}\n", SOUND.trim_end()), *line, key, *value, words);
    }
}

#[test]
fn what_belongs_to_the_environment_is_not_taken_from_a_file() {
    for (line, word) in [
        ("mode = \"LIVE\"", "MODE or --mode"),
        ("state_dir = \"/x\"", "LASTORDERS_STATE_DIR"),
        ("web = \"off\"", "LASTORDERS_WEB"),
    ] {
        let key = line.split(' ').next().unwrap();
        check_one(&format!("{line}{SOUND}"), 1, key, None, &[word]);
    }
}
