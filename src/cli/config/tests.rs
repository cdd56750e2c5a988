//! Configurations as data: what is refused and in which words, what is accepted and what it means.

use std::collections::BTreeSet;
use std::path::Path;

use super::refusal::{Refusal, told};
use super::{Loaded, parse, render};
use crate::cli::commands::init::MINIMAL;
use crate::cli::environment::Env;
use crate::cli::place::Place;
use crate::domain::money::Decimal;
use crate::domain::order::Side;
use crate::domain::settings::{
    Connection, Environment, LadderSides, LadderStart, Mode, OnExit, OnStart, StrategyKind, Sync, VenueKind,
};

pub(super) const NAME: &str = "my.toml";
const SAMPLE: &str = include_str!("../../../lastorders.toml");

pub(super) fn read(text: &str, pairs: &[(&str, &str)]) -> Result<Loaded, Vec<Refusal>> {
    let env = Env::of_pairs(pairs);
    parse(Some((Path::new(NAME), text)), &Place::of(None, None, &env), &env)
}

fn read_no_file(pairs: &[(&str, &str)]) -> Result<Loaded, Vec<Refusal>> {
    let env = Env::of_pairs(pairs);
    parse(None, &Place::of(None, None, &env), &env)
}

fn accepted(text: &str) -> Loaded {
    read(text, &[]).unwrap_or_else(|refusals| panic!("{}", told(&refusals)))
}

/// A sound file to put one mistake into.
pub(super) const SOUND: &str = r#"
[[venue]]
name = "main"
kind = "sim"
symbols = ["BTC-USDT", "ETH-USDT"]
[[strategy]]
name = "mm"
kind = "market_maker"
symbols = ["BTC-USDT"]
spread_bps = "10"
order_qty = "0.001"
max_position_qty = "0.01"
[[strategy]]
name = "rungs"
kind = "ladder"
symbols = ["ETH-USDT"]
side = "buy"
start_price = "3000"
step = "1"
rungs = 10
order_qty = "0.01"
"#;

#[test]
fn a_sound_file_is_accepted() {
    let loaded = accepted(SOUND);
    assert_eq!(loaded.notes, Vec::<String>::new());
    let settings = loaded.settings;
    assert_eq!(settings.mode, Mode::Paper);
    assert_eq!(settings.config_file.as_deref(), Some(Path::new(NAME)));
    assert_eq!(settings.strategies[0].venue, "main", "with one venue its name may be left out");
    assert!(!settings.risk.given);
    let StrategyKind::Ladder(ladder) = &settings.strategies[1].kind else {
        panic!("not a ladder");
    };
    assert_eq!(ladder.sides, LadderSides::One(Side::Buy));
    assert_eq!(ladder.start, LadderStart::Price(Decimal::whole(3_000)));
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "instance = \"TOOLONG\"\ninstanc = 1\n[shutdown]\ncancel_timeout_s = 1\n[store]\nsync = 1\nsnyc = 2\n";
    let refusals = read(text, &[("SYMBOLS", "btc"), ("LASTORDERS_WEB", "here"), ("MODE", "live")]).unwrap_err();
    let keys: Vec<&str> = refusals.iter().map(|refusal| refusal.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "MODE",
            "SYMBOLS",
            "LASTORDERS_WEB",
            "instance",
            "instanc",
            "shutdown.cancel_timeout_s",
            "store.sync",
            "store.snyc"
        ]
    );
}

#[test]
fn a_broken_line_is_told_by_its_number_and_the_rest_is_checked_all_the_same() {
    let refusals = read("[shutdown]\ncancel_timeout_s =\nrecorder_timeout_s = 0\n", &[]).unwrap_err();
    let seen: Vec<(usize, &str)> = refusals.iter().map(|refusal| (refusal.line, refusal.key.as_str())).collect();
    assert_eq!(seen, [(2, ""), (3, "shutdown.recorder_timeout_s")]);
}

#[test]
fn as_many_strategies_as_letters_and_no_more() {
    let strategy = |number: usize| {
        format!(
            "[[strategy]]\nname = \"s{number}\"\nkind = \"market_maker\"\nsymbols = [\"BTC-USDT\"]\nspread_bps = 9\n\
             order_qty = 1\nmax_position_qty = 1\n"
        )
    };
    let file = |count: usize| (0..count).map(strategy).collect::<String>();
    assert_eq!(accepted(&file(36)).settings.strategies.len(), 36);
    let refusals = read(&file(37), &[]).unwrap_err();
    assert_eq!((refusals[0].key.as_str(), refusals[0].value.as_deref()), ("strategy", Some("37")));
}

#[test]
fn secrets_in_a_file_are_refused_and_never_repeated() {
    const CANARY: &str = "canary-4be1";
    let files = [
        "api_key = \"canary-4be1\"",
        "apikey = \"canary-4be1\"",
        "api_kye = \"canary-4be1\"",
        "API-SECRET = \"canary-4be1\"",
        "token = \"canary-4be1\"",
        "db_password = \"canary-4be1\"",
        "bybit_api_secret = [\"canary-4be1\"]",
        "[[venue]]\nname = \"main\"\nkind = \"sim\"\nsymbols = [\"BTC-USDT\"]\napi_secret = \"canary-4be1\"",
        "[venue_keys]\nsecret = \"canary-4be1\"",
        "[secrets]\nbybit = \"canary-4be1\"",
        "[risk.symbol]\ntoken = \"canary-4be1\"",
        "list = [{ api_key = \"canary-4be1\" }]",
        "[store]\nsync = { token = \"canary-4be1\" }",
        "[start]\nother_instances = [{ api_key = \"canary-4be1\" }]",
        "venue = { api_key = \"canary-4be1\" }",
        "unknown = \"canary-4be1\"",
        // Not TOML: the parser's own words must not quote the line.
        "api_secret = canary-4be1",
        "api_secret = \"canary-4be1",
        "api_secret = 'canary-4be1",
        "api_secret canary-4be1",
        "api_secret = \"\"\"canary-4be1",
        "api_secret = \"canary-4be1\\q\"",
        "api_secret = \"x\" \"canary-4be1\"",
        "api_secret = 1\napi_secret = \"canary-4be1\"",
    ];
    for file in files {
        let refusals = read(file, &[]).expect_err(file);
        let shown = format!("{}{refusals:?}", told(&refusals));
        assert!(!shown.contains(CANARY), "{file}\n{shown}");
        assert!(!shown.contains("canary"), "{file}\n{shown}");
    }
    for file in &files[..6] {
        let refusals = read(file, &[]).expect_err(file);
        assert!(refusals[0].problem.contains("Secrets do not belong"), "{file}");
    }
}

#[test]
fn a_coin_called_like_a_secret_can_be_limited() {
    let text = "[risk.symbol.\"TOKEN-USDT\"]\nmax_order_notional = 7\n";
    let loaded = read(text, &[("SYMBOLS", "TOKEN-USDT")]).unwrap();
    assert_eq!(loaded.settings.risk.symbols.len(), 1);
}

#[test]
fn symbols_have_one_form() {
    for good in ["BTC-USDT", "BTC-USDT-PERP", "1INCH-USDT", "W-USDT", "1000000BABYDOGE-USDT-PERP"] {
        assert!(super::symbol(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "BTC",
        "BTCUSDT",
        "btc-usdt",
        "BTC-USDT-SWAP",
        "BTC-USDT-PERP-X",
        "-USDT",
        "BTC/USDT",
        " BTC-USDT",
        "ABCDEFGHIJKLMNOPQRSTU-USDT",
        "BTC--PERP",
        "BTC-USDT-",
    ] {
        assert!(super::symbol(bad).is_err(), "{bad}");
    }
}

#[test]
fn without_a_file_a_small_market_maker_trades_bitcoin_on_the_built_in_market() {
    let settings = read_no_file(&[]).unwrap().settings;
    assert_eq!((settings.mode, settings.config_file), (Mode::Paper, None));
    assert_eq!(settings.state_dir, Path::new("./var/paper"));
    assert_eq!(settings.venues.len(), 1);
    assert_eq!((settings.venues[0].name.as_str(), settings.venues[0].kind), ("sim", VenueKind::Sim));
    assert_eq!(settings.venues[0].symbols[0].as_str(), "BTC-USDT");
    assert_eq!(settings.strategies.len(), 1);
    assert!(matches!(&settings.strategies[0].kind, StrategyKind::MarketMaker(maker) if maker.levels == 3));
}

#[test]
fn the_environment_chooses_where_the_file_is_silent() {
    let pairs = [
        ("MODE", "DRY_RUN"),
        ("VENUE", "sim"),
        ("SYMBOLS", "ETH-USDT, SOL-USDT-PERP"),
        ("LASTORDERS_INSTANCE", "zz99"),
        ("LASTORDERS_STATE_DIR", "/somewhere"),
    ];
    let settings = read("instance = \"a1b2\"\n", &pairs).unwrap().settings;
    assert_eq!(settings.mode, Mode::DryRun);
    assert_eq!(settings.instance.unwrap().as_str(), "zz99", "the environment goes before the file");
    assert_eq!(settings.state_dir, Path::new("/somewhere"));
    let symbols: Vec<&str> = settings.venues[0].symbols.iter().map(|symbol| symbol.as_str()).collect();
    assert_eq!(symbols, ["ETH-USDT", "SOL-USDT-PERP"]);
    assert_eq!(settings.strategies[0].symbols, settings.venues[0].symbols);
}

const REAL: &str = r#"
[[venue]]
name = "main"
kind = "bybit"
environment = "demo"
symbols = ["BTC-USDT", "ETH-USDC-PERP"]
exclusive_account = true
rest_url = "http://127.0.0.1:8301/"
ws_public_url = "ws://127.0.0.1:8301/v5/public/linear"
[[venue]]
name = "other"
kind = "bybit"
symbols = ["BTC-USDT"]
"#;

#[test]
fn a_real_venue_has_its_world_and_its_addresses_and_the_environment_goes_before_the_file() {
    let first = &accepted(REAL).settings.venues[0];
    assert_eq!((first.kind, first.exclusive_account), (VenueKind::Bybit, true));
    assert_eq!(first.connection.environment, Environment::Demo);
    assert_eq!(first.connection.rest_url.as_deref(), Some("http://127.0.0.1:8301"));
    assert_eq!(first.connection.ws_public_url.as_deref(), Some("ws://127.0.0.1:8301/v5/public/linear"));
    assert_eq!(first.connection.ws_private_url, None);

    let (public, regional) = ("wss://stream.bybit.nl/v5/public/spot", "https://api.bybit.nl");
    let pairs = [("BYBIT_REST_URL", regional), ("BYBIT_WS_PUBLIC_URL", public), ("KRAKEN_REST_URL", "https://k")];
    let loaded = read(REAL, &pairs).unwrap();
    for venue in &loaded.settings.venues {
        assert_eq!(venue.connection.rest_url.as_deref(), Some("https://api.bybit.nl"));
    }
    assert_eq!(loaded.origins["venue[other].rest_url"], "BYBIT_REST_URL");
    assert!(loaded.notes.iter().any(|note| note.contains("KRAKEN_REST_URL")), "{:?}", loaded.notes);
    let refusals =
        read(REAL, &[("BYBIT_REST_URL", "http://192.0.2.1"), ("BYBIT_WS_PUBLIC_URL", "ws://a")]).unwrap_err();
    let names: Vec<&str> = refusals.iter().map(|refusal| refusal.key.as_str()).collect();
    assert_eq!(names, ["BYBIT_REST_URL", "BYBIT_WS_PUBLIC_URL"], "each once, though two venues use it");
}

#[test]
fn what_the_venue_itself_refuses_is_told_with_everything_else() {
    let inverse = REAL.replace("BTC-USDT\", \"ETH-USDC-PERP", "BTC-USD-PERP\", \"ETH-EUR-PERP");
    let file = format!("{inverse}[shutdown]\ncancel_timeout_s = 1\n");
    let refusals = read(&file, &[]).unwrap_err();
    let keys: Vec<&str> = refusals.iter().map(|refusal| refusal.key.as_str()).collect();
    assert_eq!(keys, ["venue[main]", "venue[main]", "shutdown.cancel_timeout_s"]);
    assert!(refusals[0].problem.contains("BTC-USD-PERP") && refusals[1].problem.contains("ETH-EUR-PERP"));
    assert_eq!(refusals[0].source, NAME);
    // One foot here and one at the real venue.
    let refusals = read_no_file(&[("VENUE", "bybit"), ("BYBIT_REST_URL", "http://127.0.0.1:1")]).unwrap_err();
    assert_eq!((refusals[0].source.as_str(), refusals[0].key.as_str()), ("environment", "venue[bybit]"));
    assert!(refusals[0].problem.contains("all lead to this machine"), "{refusals:?}");
    // With a key the account's stream counts too; without one there is none.
    let public = ("BYBIT_WS_PUBLIC_URL", "ws://127.0.0.1:1/v5/public/spot");
    let two = [("VENUE", "bybit"), ("BYBIT_REST_URL", "http://127.0.0.1:1"), public];
    assert!(read_no_file(&two).is_ok());
    let live: Vec<(&str, &str)> = two.into_iter().chain([("MODE", "LIVE")]).collect();
    assert!(read_no_file(&live).unwrap_err().iter().any(|refusal| refusal.key == "venue[bybit]"));
}

#[test]
fn a_venue_of_the_environment_can_be_real() {
    let settings = read_no_file(&[("VENUE", "bybit"), ("SYMBOLS", "BTC-USDT,BTC-USDT-PERP")]).unwrap().settings;
    assert_eq!((settings.venues[0].name.as_str(), settings.venues[0].kind), ("bybit", VenueKind::Bybit));
    assert_eq!(settings.venues[0].connection, Connection::default());
    let notes = read_no_file(&[("VENUE", "bybit"), ("SYMBOLS", "DOGE-USDT")]).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("DOGE-USDT")), "{notes:?}");
}

#[test]
fn a_venue_of_the_environment_is_refused_beside_one_of_the_file() {
    let refusals = read(SOUND, &[("VENUE", "sim"), ("SYMBOLS", "BTC-USDT")]).unwrap_err();
    let keys: Vec<&str> = refusals.iter().map(|refusal| refusal.key.as_str()).collect();
    assert_eq!(keys, ["VENUE", "SYMBOLS"]);
    assert!(refusals[0].to_string().contains(NAME), "it names the file: {}", refusals[0]);
}

#[test]
fn bad_variables_are_refused_like_bad_keys() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("MODE", "paper", &["`PAPER`", "DRY_RUN, PAPER, LIVE"]),
        ("MODE", "REAL", &["DRY_RUN, PAPER, LIVE"]),
        ("VENUE", "smi", &["`sim`", "kraken"]),
        ("VENUE", "kraken", &["not built yet", "`bybit`"]),
        ("VENUE", "coinbase", &["not built yet"]),
        ("VENUE", "binance", &["not built yet"]),
        ("VENUE", "binance-us", &["not built yet"]),
        ("SYMBOLS", "BTC-USDT,,ETH-USDT", &["``", "BASE-QUOTE"]),
        ("SYMBOLS", "BTC-USDT,BTC-USDT", &["twice"]),
        ("LASTORDERS_INSTANCE", "A1B2", &["0-9 and a-z"]),
        ("LASTORDERS_WEB", "8247", &["127.0.0.1:8247"]),
    ];
    for (name, value, words) in cases {
        let refusals = read_no_file(&[(name, value)]).unwrap_err();
        assert_eq!(refusals.len(), 1, "{}", told(&refusals));
        let shown = refusals[0].to_string();
        assert!(shown.starts_with(&format!("environment: {name} = {value}")), "{shown}");
        for word in *words {
            assert!(shown.contains(word), "`{word}` is missing in: {shown}");
        }
    }
}

#[test]
fn live_wants_everything_that_matters_from_the_operator_and_a_real_exchange() {
    let keys = |result: Result<Loaded, Vec<Refusal>>| -> Vec<String> {
        result.unwrap_err().into_iter().map(|refusal| refusal.key).collect()
    };
    assert_eq!(
        keys(read_no_file(&[("MODE", "LIVE")])),
        [
            "VENUE",
            "instance",
            "risk.max_order_notional",
            "risk.max_position_notional",
            "risk.max_open_orders",
            "risk.max_orders_per_second",
            "risk.max_daily_loss"
        ]
    );
    let text =
        format!("instance = \"a1b2\"\n{}\n{}", SOUND.replace("\"sim\"", "\"bybit\""), "[risk]\nmax_daily_loss = 5");
    assert_eq!(
        keys(read(&text, &[("MODE", "LIVE")])),
        ["risk.max_order_notional", "risk.max_position_notional", "risk.max_open_orders", "risk.max_orders_per_second"]
    );
    assert_eq!(
        keys(read(&format!("{SOUND}{FULL_RISK}"), &[("MODE", "LIVE"), ("LASTORDERS_INSTANCE", "a1b2")])),
        ["venue[main].kind"]
    );
}

const FULL_RISK: &str = "[risk]\nmax_order_notional = 100\nmax_position_notional = 500\nmax_open_orders = 9\n\
                         max_orders_per_second = 5\nmax_daily_loss = 5\n";

#[test]
fn the_operator_is_told_what_is_allowed_but_surprising() {
    let noted = |text: &str, pairs: &[(&str, &str)], word: &str| {
        let notes = read(text, pairs).unwrap().notes;
        assert!(notes.iter().any(|note| note.contains(word)), "`{word}` is missing in {notes:?}");
    };
    noted("[guardian]\nrestart = \"never\"", &[], "guardian is not built yet");
    noted("", &[("LASTORDERS_WEB", "127.0.0.1:8247")], "page is not built yet");
    noted("", &[("LASTORDERS_STATEDIR", "/x")], "LASTORDERS_STATE_DIR");
    noted("[[venue]]\nname = \"a\"\nkind = \"sim\"\nsymbols = [\"BTC-USDT\"]", &[], "nothing will be traded");
    noted(&SOUND.replace("rungs = 10", "rungs = 100"), &[], "up to 102 open orders and may own 60");
    noted(&SOUND.replace("order_qty = \"0.01\"", "order_qty = \"0.1\""), &[], "max_order_notional = 100");
    assert_eq!(read("", &[("LASTORDERS_WEB", "off")]).unwrap().notes, Vec::<String>::new());
}

#[test]
fn what_is_printed_reads_back_as_the_same_settings() {
    let other = r#"
instance = "a1b2"
[risk]
max_daily_loss = "12.5"
symbol."ETH-USDT".max_order_notional = "77.7"
[shutdown]
cancel_timeout_s = 60
on_exit = "keep"
[start]
on_start = "adopt"
other_instances = ["c3d4"]
[guardian]
restart = "never"
hang_timeout_s = 9
[store]
sync = "os"
[[strategy]]
name = "grid"
kind = "ladder"
symbols = ["BTC-USDT", "ETH-USDT"]
side = "both"
start_offset_bps = "12.5"
step = "0.1"
rungs = 2
order_qty = "0.01"
post_only = false
"#;
    let sim = "[venue.sim]\nseed = 9\nlatency_ms = 3\n[venue.sim.faults]\nanswer_lost = 20\nlost_push = 1\n";
    let with_sim = SOUND.replace("[[strategy]]\nname = \"mm\"", &format!("{sim}[[strategy]]\nname = \"mm\""));
    let files = [
        String::new(),
        SOUND.to_owned(),
        format!("{other}{with_sim}"),
        MINIMAL.to_owned(),
        REAL.to_owned(),
        uncommented(SAMPLE),
        shaken(&uncommented(SAMPLE)),
    ];
    for text in files {
        let first = accepted(&text);
        let printed = render::toml(&first);
        let mut second = accepted(&printed);
        // A printed limit is one the operator has seen and kept.
        assert!(second.settings.risk.given);
        second.settings.risk.given = first.settings.risk.given;
        assert_eq!(second.settings, first.settings, "{printed}");
        assert_eq!(second.extra, first.extra, "{printed}");
        assert_eq!(accepted(&render::toml(&second)).settings.strategies, first.settings.strategies);
    }
    let loaded = accepted(&format!("{other}{with_sim}"));
    let settings = &loaded.settings;
    assert_eq!((settings.shutdown.on_exit, settings.start.on_start), (OnExit::Keep, OnStart::Adopt));
    assert_eq!(settings.store.sync, Sync::Os);
    assert_eq!(settings.venues[0].sim.faults.answer_lost, 20);
    assert_eq!(settings.risk.symbols[0].1.max_order_notional, "77.7".parse().unwrap());
    let general = settings.risk.general.max_position_notional;
    assert_eq!(settings.risk.symbols[0].1.max_position_notional, general, "what is not overridden is inherited");
}

#[test]
fn a_printed_value_says_where_it_was_given() {
    let loaded = read("[shutdown]\ncancel_timeout_s = 31\n", &[("SYMBOLS", "ETH-USDT")]).unwrap();
    let printed = render::toml(&loaded);
    let line = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(line("cancel_timeout_s = 31").ends_with("# my.toml:2"));
    assert!(line("symbols = [\"ETH-USDT\"]").ends_with("# SYMBOLS"));
    assert_eq!(line("recorder_timeout_s"), "recorder_timeout_s = 10");
}

/// The sample with every setting in effect: `#key` is a setting, `# word` is a comment.
fn uncommented(sample: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    sample.lines().map(line).collect::<Vec<String>>().join("\n")
}

#[test]
fn the_sample_sets_nothing_as_it_stands_and_documents_every_key_at_its_default() {
    let mut as_it_stands = accepted(SAMPLE);
    as_it_stands.settings.config_file = None;
    assert_eq!(as_it_stands.settings, read_no_file(&[]).unwrap().settings);

    let all = accepted(&uncommented(SAMPLE));
    let usual = read_no_file(&[]).unwrap();
    assert_eq!(all.settings.shutdown, usual.settings.shutdown);
    assert_eq!(all.settings.start, usual.settings.start);
    assert_eq!(all.settings.store, usual.settings.store);
    assert_eq!(all.settings.risk.general, usual.settings.risk.general);
    assert_eq!(all.settings.risk.max_open_orders, usual.settings.risk.max_open_orders);
    assert_eq!(all.settings.venues[0].sim, usual.settings.venues[0].sim);
    assert_eq!(all.settings.strategies[0].kind, usual.settings.strategies[0].kind);
    assert_eq!(all.extra, usual.extra);
    // The printed form has every key of the sample and no other (one symbol's limits are printed whole).
    let (documented, printed) = (keys(&uncommented(SAMPLE)), keys(&render::toml(&all)));
    assert!(documented.len() > 50, "{documented:?}");
    assert_eq!(documented.difference(&printed).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    let more = printed.difference(&documented).filter(|(table, _)| !table.starts_with("[risk.symbol"));
    assert_eq!(more.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

#[test]
fn the_sample_names_every_key_of_a_real_venue() {
    let private = "symbols = [\"BTC-USDT\", \"ETH-USDC-PERP\"]\nws_private_url = \"ws://127.0.0.1:8301/v5/private\"";
    let whole = REAL.replace("symbols = [\"BTC-USDT\", \"ETH-USDC-PERP\"]", private);
    let printed = keys(&render::toml(&accepted(&whole)));
    let documented = keys(&uncommented(SAMPLE));
    let only_real: Vec<&str> = printed
        .difference(&documented)
        .filter(|(table, _)| table == "[[venue]]")
        .map(|(_, key)| key.as_str())
        .collect();
    assert_eq!(only_real, ["environment", "rate_multiple", "rest_url", "ws_private_url", "ws_public_url"]);
    for key in only_real {
        assert!(SAMPLE.lines().any(|line| line.starts_with(&format!("# {key} = "))), "{key} is not in the sample");
    }
}

/// Every key of a file with the header it stands under.
fn keys(text: &str) -> BTreeSet<(String, String)> {
    entries(text).into_iter().map(|(table, key, _)| (table, key)).collect()
}

/// The same with the values.
fn entries(text: &str) -> BTreeSet<(String, String, String)> {
    let mut table = String::new();
    let mut entries = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            table = line.split_whitespace().next().unwrap_or_default().to_owned();
        } else if let Some((key, rest)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) {
            let value = rest.split('#').next().unwrap_or_default().trim();
            entries.insert((table.clone(), key.to_owned(), value.to_owned()));
        }
    }
    entries
}

#[test]
fn every_value_of_a_file_takes_effect() {
    let file = shaken(&uncommented(SAMPLE));
    let (given, printed) = (entries(&file), entries(&render::toml(&accepted(&file))));
    let lost: Vec<_> = given.difference(&printed).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_ne!(entries(&uncommented(SAMPLE)), given);
}

/// A file with every number and every switch changed, no two numbers alike.
fn shaken(text: &str) -> String {
    let line = |(number, line): (usize, &str)| {
        let Some((key, rest)) = line.split_once(" = ") else {
            return line.to_owned();
        };
        let (value, comment) = rest.split_once('#').unwrap_or((rest, ""));
        match value.trim() {
            "true" => format!("{key} = false"),
            "false" => format!("{key} = true"),
            value => match value.parse::<usize>() {
                Ok(value) => format!("{key} = {}", value + number % 40 + 1),
                Err(_) => format!("{key} = {value} #{comment}"),
            },
        }
    };
    text.lines().enumerate().map(line).collect::<Vec<String>>().join("\n")
}

#[test]
fn what_init_writes_is_accepted_without_a_note() {
    let loaded = accepted(MINIMAL);
    assert_eq!(loaded.notes, Vec::<String>::new());
    assert!(loaded.settings.risk.given);
}
