//! `exchange`: a local exchange to run LIVE against.
//!
//! Always holds: both ports are on this machine unless `--allow-remote` says otherwise; a ready file stands only while
//! both ports take connections; a secret that was handed in is not printed.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::args::ExchangeArguments;
use crate::cli::console::Console;
use crate::cli::exit;
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::exchange::dialects::bybit::{GatewaySetup, Key, Limits};
use crate::exchange::{AccountId, Listing, Setup};
use crate::runtime::exchange_server::{Addresses, News, Plan, serve};

/// What everyone has who gives no key. It opens nothing but this exchange.
const LOCAL_KEY: &str = "local-key";
const LOCAL_SECRET: &str = "local-secret";

/// Serves until a signal comes.
pub fn exchange(arguments: &ExchangeArguments, console: &mut Console<'_>) -> u8 {
    let (plan, keys) = match plan_of(arguments) {
        Ok(plan) => plan,
        Err(mistakes) => {
            for mistake in mistakes {
                console.tell(&mistake);
            }
            console.tell("\nNothing was started.");
            return exit::USAGE;
        }
    };
    let ready_file = arguments.ready_file.as_deref();
    if let Some(place) = ready_file {
        // One that a killed exchange left would be believed. If it cannot be removed, writing it fails as well.
        let _ = std::fs::remove_file(place);
    }
    let served = serve(plan, &mut |news| {
        match news {
            News::Ready(addresses) => {
                if let Some(place) = ready_file {
                    write_ready(place, &addresses, &arguments.ledger)
                        .map_err(|error| io::Error::other(format!("{}: {error}", place.display())))?;
                }
                if !arguments.quiet {
                    console.say(&banner(arguments, &addresses, &keys));
                }
            }
            News::Remark(text) => console.tell(&text),
        }
        Ok(())
    });
    if let Some(place) = ready_file {
        let _ = std::fs::remove_file(place);
    }
    match served {
        Ok(()) => exit::DONE,
        Err(why) => {
            console.tell(&format!("lastorders exchange: {why}"));
            exit::FAILED
        }
    }
}

/// Everything wrong is told at once.
fn plan_of(arguments: &ExchangeArguments) -> Result<(Plan, Vec<Key>), Vec<String>> {
    let mut mistakes = Vec::new();
    for (name, address) in [("--listen", arguments.listen), ("--admin", arguments.admin)] {
        if !address.ip().is_loopback() && !arguments.allow_remote {
            mistakes.push(format!(
                "{name} {address}: not an address of this machine alone. Use 127.0.0.1, or add --allow-remote if \
                 everyone who reaches the port may trade and order faults."
            ));
        }
    }
    let symbols: Vec<Symbol> = arguments.symbols.iter().map(|name| Symbol::new(name.trim())).collect();
    for (place, symbol) in symbols.iter().enumerate() {
        if let Err(why) = is_listable(symbol) {
            mistakes.push(format!("--symbols {symbol}: {why}"));
        } else if symbols[..place].contains(symbol) {
            mistakes.push(format!("--symbols {symbol}: it stands there twice"));
        }
    }
    let keys = match keys_of(&arguments.keys) {
        Ok(keys) => keys,
        Err(wrong) => {
            mistakes.extend(wrong);
            Vec::new()
        }
    };
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut setup = Setup::new(&symbols);
    setup.seed = arguments.seed;
    setup.activity = arguments.activity;
    setup.latency_us = i64::from(arguments.latency_ms) * 1_000;
    setup.latency_jitter_us = i64::from(arguments.latency_jitter_ms) * 1_000;
    for key in &keys {
        setup.open_account(key.account);
    }
    let plan = Plan {
        listen: arguments.listen,
        admin: arguments.admin,
        ledger: arguments.ledger.clone(),
        gateway: GatewaySetup { setup, keys: keys.clone(), limits: limits_of(arguments), clock_skew_ms: 0 },
    };
    Ok((plan, keys))
}

fn is_listable(symbol: &Symbol) -> Result<(), &'static str> {
    let pair = symbol.as_str().strip_suffix("-PERP").unwrap_or(symbol.as_str());
    let parts: Vec<&str> = pair.split('-').collect();
    let plain =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if parts.len() == 2 && parts.iter().all(plain) {
        return Ok(());
    }
    Err("write BTC-USDT for a pair, BTC-USDT-PERP for a contract")
}

fn keys_of(given: &[String]) -> Result<Vec<Key>, Vec<String>> {
    if given.is_empty() {
        return Ok(vec![Key::trading(LOCAL_KEY, LOCAL_SECRET, AccountId::default())]);
    }
    let mut keys: Vec<Key> = Vec::new();
    let mut mistakes = Vec::new();
    for (number, text) in given.iter().enumerate() {
        // Named by its place: the text holds a secret.
        match key_of(text) {
            Ok(key) if keys.iter().any(|known| known.api_key == key.api_key) => {
                mistakes.push(format!("--key number {}: a key of this name was given before", number + 1));
            }
            Ok(key) => keys.push(key),
            Err(why) => mistakes.push(format!("--key number {}: {why}", number + 1)),
        }
    }
    if mistakes.is_empty() { Ok(keys) } else { Err(mistakes) }
}

fn key_of(text: &str) -> Result<Key, String> {
    let mut parts = text.splitn(4, ':');
    let (key, secret) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if key.is_empty() || secret.is_empty() {
        return Err("write KEY:SECRET, KEY:SECRET:ACCOUNT or KEY:SECRET:ACCOUNT:FLAGS".to_owned());
    }
    let account = match parts.next() {
        None | Some("") => AccountId::default(),
        Some(number) => {
            AccountId(number.parse().map_err(|_| format!("an account is a number, and `{number}` is none"))?)
        }
    };
    let mut key = Key::trading(key, secret, account);
    for flag in parts.next().unwrap_or_default().split(',').filter(|flag| !flag.is_empty()) {
        match flag {
            "read-only" => key.may_trade = false,
            "withdraw" => key.may_withdraw = true,
            "switch" => key.has_switch = true,
            "hedge" => key.hedge_mode = true,
            other => return Err(format!("`{other}` is no flag: there are read-only, withdraw, switch and hedge")),
        }
    }
    Ok(key)
}

fn limits_of(arguments: &ExchangeArguments) -> Limits {
    if arguments.no_limits {
        return Limits::off();
    }
    Limits { percent: arguments.limits_scale, ..Limits::default() }
}

/// Whole or not there at all: it is written beside and then put in place.
fn write_ready(place: &Path, addresses: &Addresses, ledger: &Path) -> io::Result<()> {
    let Addresses { listen, admin } = addresses;
    let text = serde_json::json!({
        "pid": std::process::id(),
        "listen": listen.to_string(),
        "admin": admin.to_string(),
        "rest_url": format!("http://{listen}"),
        "ws_public_url": format!("ws://{listen}/v5/public/linear"),
        "ws_private_url": format!("ws://{listen}/v5/private"),
        "ledger": ledger,
    });
    let beside = place.with_extension("new");
    let mut file = std::fs::File::create(&beside)?;
    writeln!(file, "{text:#}")?;
    std::fs::rename(&beside, place)
}

/// What to type in another terminal.
fn banner(arguments: &ExchangeArguments, addresses: &Addresses, keys: &[Key]) -> String {
    let Addresses { listen, admin } = addresses;
    let mut lines = vec![
        format!("lastorders exchange {}   the market is INVENTED, the money is play money", env!("CARGO_PKG_VERSION")),
        format!("  speaks    {} at http://{listen} and ws://{listen}", arguments.dialect),
        format!("  symbols   {}", arguments.symbols.join(", ")),
        format!("  admin     http://{admin}   GET /health /orders /faults, POST /command"),
        format!("  ledger    {}", arguments.ledger.display()),
        "  ends on   Ctrl-C or SIGTERM; the same ledger goes on from there".to_owned(),
        String::new(),
        "To trade here, in another terminal:".to_owned(),
        String::new(),
        local_file(&arguments.symbols),
        "  export MODE=LIVE LASTORDERS_CONFIG=local.toml".to_owned(),
        format!("  export BYBIT_REST_URL=http://{listen}"),
        format!("  export BYBIT_WS_PUBLIC_URL=ws://{listen}/v5/public/{}", public_channel(&arguments.symbols)),
        format!("  export BYBIT_WS_PRIVATE_URL=ws://{listen}/v5/private"),
    ];
    for (number, key) in keys.iter().enumerate() {
        let mark = if number == 0 { "" } else { "# or: " };
        lines.push(format!("  {mark}export BYBIT_API_KEY={}", key.api_key));
        if key.api_secret == LOCAL_SECRET {
            lines.push(format!("  {mark}export BYBIT_API_SECRET={LOCAL_SECRET}"));
        } else {
            lines.push(format!("  {mark}export BYBIT_API_SECRET=...          as you gave it"));
        }
    }
    lines.push("  lastorders run".to_owned());
    lines.join("\n")
}

/// A configuration to begin with, as a command that writes it: LIVE wants limits, and only a file has them.
fn local_file(symbols: &[String]) -> String {
    let first = Listing::for_symbol(&Symbol::new(symbols.first().map_or("BTC-USDT", |symbol| symbol.trim())));
    // Worth about 60 in quote currency, in whole lots.
    let lots = first.rules.lot.checked_mul(first.start_price).and_then(|worth| Decimal::whole(60).steps_of(worth));
    let lots = lots.map_or(1, |(lots, _)| lots.max(1));
    let qty = first.rules.lot.checked_mul_int(lots).unwrap_or(first.rules.lot);
    let listed: Vec<_> = symbols.iter().map(|symbol| format!("\"{}\"", symbol.trim())).collect();
    format!(
        r#"cat > local.toml <<'END'
instance = "a1b2"
[[venue]]
name = "local"
kind = "bybit"
symbols = [{}]
[[strategy]]
name = "mm"
kind = "market_maker"
symbols = ["{}"]
levels = 2
spread_bps = 20
level_step_bps = 10
order_qty = "{qty}"
max_position_qty = "{}"
skew_bps = 5
requote_bps = 5
[risk]
max_order_notional = "250"
max_position_notional = "2500"
max_open_orders = 60
max_orders_per_second = 5
max_daily_loss = "500"
END"#,
        listed.join(", "),
        first.rules.symbol,
        qty.checked_mul_int(10).unwrap_or(qty),
    )
}

/// The channel that most of the symbols are on; the client finds the other by itself.
fn public_channel(symbols: &[String]) -> &'static str {
    if symbols.iter().any(|symbol| symbol.ends_with("-PERP")) { "linear" } else { "spot" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_their_account_and_flags() {
        let cases: &[(&str, Key)] = &[
            ("a:b", Key::trading("a", "b", AccountId(0))),
            ("a:b:7", Key::trading("a", "b", AccountId(7))),
            ("a:b::read-only", Key { may_trade: false, ..Key::trading("a", "b", AccountId(0)) }),
            (
                "a:b:2:withdraw,switch,hedge",
                Key { may_withdraw: true, has_switch: true, hedge_mode: true, ..Key::trading("a", "b", AccountId(2)) },
            ),
        ];
        for (text, key) in cases {
            assert!(key_of(text).as_ref() == Ok(key), "{text}");
        }
        for text in ["", "a", "a:", ":b", "a:b:x", "a:b:70000", "a:b:0:root"] {
            assert!(key_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn without_a_key_there_is_one_pair_and_a_name_is_given_once() {
        assert_eq!(keys_of(&[]).unwrap().len(), 1);
        let twice = keys_of(&["a:canary".to_owned(), "a:canary".to_owned()]).unwrap_err();
        assert_eq!(twice.len(), 1);
        assert!(!twice[0].contains("canary"));
    }

    #[test]
    fn symbols_are_written_our_way() {
        for (name, good) in [
            ("BTC-USDT", true),
            ("BTC-USDT-PERP", true),
            ("1000PEPE-USDT-PERP", true),
            ("BTCUSDT", false),
            ("btc-usdt", false),
            ("BTC-", false),
            ("BTC-USDT-PERP-PERP", false),
            ("", false),
        ] {
            assert_eq!(is_listable(&Symbol::new(name)).is_ok(), good, "{name}");
        }
    }
}
