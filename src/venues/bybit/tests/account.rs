//! Balances, positions, instruments, the key, the switch, and what an account is opened with.

use super::{NOW, account, account_of, answered, api_key, converse, facts, ok, refusal, result, settings};
use crate::domain::event::Stream;
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::instrument::{InstrumentKind, InstrumentRules, Switch};
use crate::domain::request::{Access, Answered, Call, Facts, Scope};
use crate::domain::secret::{ApiKey, Secret};
use crate::domain::settings::{Connection, Environment, VenueKind};
use crate::venues::wire::{HttpOutcome, HttpRequest};
use crate::venues::{Account, Opening, open};
use std::time::Duration;

#[test]
fn balances_are_what_the_wallet_holds() {
    let account = account();
    let body = r#"{"list":[{"accountType":"UNIFIED","coin":[{"coin":"BTC","walletBalance":"0.5","locked":"0.1"},
        {"coin":"USDT","walletBalance":"-3.25"},{"coin":"MNT","walletBalance":""}]}]}"#;
    match facts(answered(&account, &Call::Balances, &result(body))) {
        Facts::Balances(held) => {
            let held: Vec<_> = held.iter().map(|(coin, amount)| format!("{coin} {amount}")).collect();
            assert_eq!(held, ["BTC 0.5", "MNT 0", "USDT -3.25"]);
        }
        other => panic!("{other:?}"),
    }
    for odd in [r#"{"list":[]}"#, r#"{"list":[{"coin":[{"coin":"BTC","walletBalance":1}]}]}"#] {
        assert!(matches!(answered(&account, &Call::Balances, &result(odd)), Answered::Unknown(_)), "{odd}");
    }
}

#[test]
fn positions_of_both_coins_are_one_list() {
    let account = account();
    let told = converse(&account, &Call::Positions, |request| {
        let row = |symbol: &str, side: &str, size: &str| {
            format!(r#"{{"symbol":"{symbol}","side":"{side}","size":"{size}","avgPrice":"100","positionIdx":0}}"#)
        };
        if request.path_and_query.contains("USDC") {
            result(&format!(r#"{{"list":[{}],"nextPageCursor":"x"}}"#, row("ETHPERP", "Buy", "2")))
        } else {
            let rows = [row("BTCUSDT", "Sell", "0.3"), row("XRPUSDT", "", "0")].join(",");
            result(&format!(r#"{{"list":[{rows}],"nextPageCursor":"x"}}"#))
        }
    });
    match facts(told) {
        Facts::Positions(rows) => {
            let rows: Vec<_> = rows.iter().map(|row| format!("{} {}", row.symbol, row.qty)).collect();
            assert_eq!(rows, ["BTC-USDT-PERP -0.3", "ETH-USDC-PERP 2"]);
        }
        other => panic!("{other:?}"),
    }
    let negative = r#"{"list":[{"symbol":"BTCUSDT","side":"Buy","size":"-1"}]}"#;
    assert!(matches!(answered(&account, &Call::Positions, &result(negative)), Answered::Unknown(_)));
}

#[test]
fn without_contracts_nobody_asks_for_positions() {
    let spot = account_of(&settings(&["BTC-USDT"], false), Some(api_key()));
    let told = converse(&spot, &Call::Positions, |_| panic!("a key for spot may not look"));
    assert_eq!(facts(told), Facts::Positions(vec![]));
}

const SPOT: &str = r#"{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"Trading","lotSizeFilter":{"basePrecision":"0.000001",
    "minOrderQty":"0.000011","maxOrderQty":"83","minOrderAmt":"5","maxLimitOrderQty":"83","postOnlyMaxLimitOrderSize":"60"},
    "priceFilter":{"tickSize":"0.1"}}"#;
const LINEAR: &str = r#"{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"PreLaunch","priceFilter":{"tickSize":"0.10"},
    "lotSizeFilter":{"maxOrderQty":"1190","minOrderQty":"0.001","qtyStep":"0.001","postOnlyMaxOrderQty":"1200","minNotionalValue":"5"}}"#;

fn rules(account: &Account, venue: impl FnMut(&HttpRequest) -> HttpOutcome) -> Vec<InstrumentRules> {
    match facts(converse(account, &Call::Instruments, venue)) {
        Facts::Instruments(rules) => rules,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_instruments_rules_are_the_narrower_of_what_the_venue_says() {
    let rules = rules(&account(), |request| {
        let row = if request.path_and_query.contains("spot") { SPOT } else { LINEAR };
        result(&format!(r#"{{"list":[{row}]}}"#))
    });
    let [spot, linear] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((spot.symbol.as_str(), spot.kind, spot.tradable), ("BTC-USDT", InstrumentKind::Spot, true));
    let numbers = |rules: &InstrumentRules| {
        [rules.tick, rules.lot, rules.min_qty, rules.max_qty, rules.min_notional].map(|number| number.to_string())
    };
    assert_eq!(numbers(spot), ["0.1", "0.000001", "0.000011", "60", "5"]);
    assert_eq!(
        (linear.symbol.as_str(), linear.kind, linear.tradable),
        ("BTC-USDT-PERP", InstrumentKind::Linear, false)
    );
    assert_eq!(numbers(linear), ["0.1", "0.001", "0.001", "1190", "5"]);
}

#[test]
fn a_name_the_venue_does_not_know_does_not_hide_the_others() {
    let two = account_of(&settings(&["BTC-USDT", "NO-USDT"], false), None);
    let known = rules(&two, |request| {
        if request.path_and_query.contains("NOUSDT") {
            refusal(10_001, "params error: symbol invalid NOUSDT")
        } else {
            result(&format!(r#"{{"list":[{SPOT}]}}"#))
        }
    });
    assert_eq!(known.len(), 1);
    let failed = converse(&two, &Call::Instruments, |_| refusal(10_016, "server error"));
    assert!(matches!(failed, Answered::Unknown(_)));
}

#[test]
fn many_instruments_are_read_from_the_whole_list() {
    let names: Vec<String> = (0..7).map(|n| format!("C{n}-USDT-PERP")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = account_of(&settings(&names, false), None);
    let mut paths = Vec::new();
    let rules = rules(&many, |request| {
        paths.push(request.path_and_query.clone());
        let page = paths.len();
        // An instrument nobody works with, and that cannot be read, among a thousand.
        let mut rows = vec![r#"{"symbol":"ODDUSDT","priceFilter":7}"#.to_owned(); if page == 1 { 997 } else { 0 }];
        let ours = if page == 1 { 0..3 } else { 3..7 };
        rows.extend(ours.map(|n| LINEAR.replace("BTCUSDT", &format!("C{n}USDT"))));
        result(&format!(r#"{{"list":[{}],"nextPageCursor":"first%3DA%26last%3DB"}}"#, rows.join(",")))
    });
    assert_eq!(rules.len(), 7);
    assert_eq!(
        paths,
        [
            "/v5/market/instruments-info?category=linear&limit=1000",
            "/v5/market/instruments-info?category=linear&limit=1000&cursor=first%3DA%26last%3DB"
        ]
    );
}

#[test]
fn the_venues_clock_is_read_to_the_millisecond() {
    let account = account();
    let told =
        answered(&account, &Call::Time, &result(r#"{"timeSecond":"1688639403","timeNano":"1688639403423213947"}"#));
    assert!(matches!(facts(told), Facts::Time(at) if at.millis() == 1_688_639_403_423));
}

fn key_info(permissions: &str, rest: &str) -> String {
    format!(r#"{{"permissions":{permissions},{rest}}}"#)
}

fn access(account: &Account, key: &str, idx: u8, dcp: &HttpOutcome) -> Access {
    let told = converse(account, &Call::Access, |request| match request.path_and_query.split('?').next().unwrap() {
        "/v5/user/query-api" => result(key),
        "/v5/position/list" => {
            assert!(request.path_and_query.contains("symbol="), "only then a flat contract is shown");
            result(&format!(r#"{{"list":[{{"symbol":"BTCUSDT","size":"0","side":"","positionIdx":{idx}}}]}}"#))
        }
        "/v5/account/query-dcp-info" => dcp.clone(),
        other => panic!("{other}"),
    });
    match facts(told) {
        Facts::Access(access) => access,
        other => panic!("{other:?}"),
    }
}

const GOOD_KEY: &str = r#"{"ContractTrade":["Order","Position"],"Spot":["SpotTrade"],"Wallet":[]}"#;
const BOUND: &str = r#""readOnly":0,"ips":["203.0.113.7"],"expiredAt":"1970-01-01T00:00:00Z","uta":1"#;

#[test]
fn a_good_key_is_good_and_nothing_is_left_to_say() {
    let on = result(
        r#"{"dcpInfos":[{"product":"SPOT","dcpStatus":"ON","timeWindow":"40"},{"product":"DERIVATIVES","dcpStatus":"OFF"}]}"#,
    );
    let told = access(&account(), &key_info(GOOD_KEY, BOUND), 0, &on);
    let good = Access {
        may_trade: Some(true),
        may_withdraw: Some(false),
        hedge_mode: Some(false),
        switch: Some(true),
        remarks: vec![],
    };
    assert_eq!(told, good);
}

#[test]
fn what_is_wrong_with_a_key_is_told() {
    let none = result(r#"{"dcpInfos":[{"product":"SPOT","dcpStatus":"ON","timeWindow":"40"}]}"#);
    let wide = r#"{"ContractTrade":["Order"],"Spot":[],"Wallet":["AccountTransfer","Withdraw"]}"#;
    let told =
        access(&account(), &key_info(wide, r#""readOnly":0,"ips":["*"],"expiredAt":"2026-12-01T00:00:00Z""#), 1, &none);
    assert_eq!((told.may_trade, told.may_withdraw), (Some(false), Some(true)));
    assert_eq!((told.hedge_mode, told.switch), (Some(true), Some(false)));
    for word in ["spot trade", "move money", "2026-12-01", "DCP"] {
        assert!(told.remarks.iter().any(|remark| remark.contains(word)), "{word}: {:?}", told.remarks);
    }
    let reads =
        access(&account(), &key_info(GOOD_KEY, r#""readOnly":1,"ips":["203.0.113.7"]"#), 0, &refusal(10_005, "denied"));
    assert_eq!((reads.may_trade, reads.switch), (Some(false), Some(false)));
    let odd = converse(&account(), &Call::Access, |_| result(&key_info(r#"{"Spot":"all"}"#, r#""readOnly":0"#)));
    assert!(matches!(odd, Answered::Unknown(_)), "{odd:?}");
}

#[test]
fn a_venue_that_tells_nothing_of_its_switch_has_not_said_no() {
    let silent = access(&account(), &key_info(GOOD_KEY, BOUND), 0, &result(r#"{"dcpInfos":[]}"#));
    assert_eq!(silent.switch, None);
    assert!(silent.remarks[0].contains("sub-account"), "{:?}", silent.remarks);
}

#[test]
fn the_switch_is_asked_about_only_where_it_could_be_used() {
    let shared = account_of(&settings(&["BTC-USDT", "BTC-USDT-PERP"], false), Some(api_key()));
    assert_eq!(access(&shared, &key_info(GOOD_KEY, BOUND), 0, &ok("nobody asks")).switch, None);
    let refused = converse(&shared, &Call::SetSwitch(Some(Duration::from_secs(40))), |_| panic!("nothing leaves"));
    assert!(matches!(refused, Answered::Refused(_)));
}

#[test]
fn the_switch_is_set_for_each_product_and_armed_only_when_all_are() {
    let account = account();
    let mut bodies = Vec::new();
    let set = converse(&account, &Call::SetSwitch(Some(Duration::from_secs(40))), |request| {
        bodies.push(request.body.clone().unwrap());
        ok(r#"{"retCode":0,"retMsg":"success"}"#)
    });
    assert_eq!(facts(set), Facts::Switch(Some(Duration::from_secs(40))));
    assert_eq!(bodies, [r#"{"product":"SPOT","timeWindow":40}"#, r#"{"product":"DERIVATIVES","timeWindow":40}"#]);
    let read = |infos: &str| match facts(answered(
        &account,
        &Call::ReadSwitch,
        &result(&format!(r#"{{"dcpInfos":[{infos}]}}"#)),
    )) {
        Facts::Switch(window) => window.map(|window| window.as_secs()),
        other => panic!("{other:?}"),
    };
    let info = |product: &str, status: &str, window: &str| {
        format!(r#"{{"product":"{product}","dcpStatus":"{status}","timeWindow":"{window}"}}"#)
    };
    assert_eq!(read(&[info("SPOT", "ON", "10"), info("DERIVATIVES", "ON", "40")].join(",")), Some(40));
    assert_eq!(read(&[info("SPOT", "ON", "10"), info("DERIVATIVES", "OFF", "40")].join(",")), None);
    assert_eq!(read(&info("SPOT", "ON", "10")), None);
    assert_eq!(read(""), None);
}

fn opened(
    symbols: &[&str],
    exclusive: bool,
    connection: Connection,
    key: Option<ApiKey>,
) -> Result<Account, Vec<String>> {
    let settings = crate::domain::settings::VenueSettings { connection, ..settings(symbols, exclusive) };
    open(&Opening { venue: VenueId(0), settings: &settings, key, also: &[] })
}

#[test]
fn an_account_promises_what_its_configuration_allows() {
    let both = opened(&["BTC-USDT", "BTC-USDT-PERP"], true, Connection::default(), Some(api_key())).unwrap();
    let spot = opened(&["BTC-USDT"], false, Connection::default(), None).unwrap();
    assert_eq!(both.rest_url, "https://api.bybit.com");
    assert_eq!((both.traits.cancels_per_second, spot.traits.cancels_per_second), (20, 40), "the slowest kind counts");
    let scopes = ["spot", "linear:USDT", "linear:USDC"].map(|scope| Scope(scope.into()));
    assert_eq!(both.traits.cancel_all_scopes, scopes);
    assert_eq!(spot.traits.cancel_all_scopes, []);
    assert!(
        matches!(both.traits.switch, Switch::Session { window } if Some(window) >= both.traits.ping_every.map(|ping| ping * 4))
    );
    assert_eq!(spot.traits.switch, Switch::None);
    assert_eq!(
        (both.traits.settle.as_secs(), both.traits.listing_gap.as_secs(), both.traits.lag.as_secs()),
        (15, 1, 5)
    );
    let streams =
        |account: &Account| account.streams.iter().map(|(stream, name, _)| (*stream, name.clone())).collect::<Vec<_>>();
    assert_eq!(streams(&both).len(), 3);
    assert!(streams(&spot).iter().all(|(stream, _)| *stream == Stream::Public), "no key, no private stream");
    assert!(both.streams.iter().any(|(_, _, codec)| codec.url().starts_with("wss://stream.bybit.com/v5/private")));

    let demo = Connection { environment: Environment::Demo, ..Connection::default() };
    let demo = opened(&["BTC-USDT"], true, demo, Some(api_key())).unwrap();
    assert_eq!(
        (demo.traits.batch_cancel_max, demo.traits.cancels_per_second, demo.traits.switch),
        (0, 20, Switch::None)
    );

    let here = |port: &str| Connection {
        environment: Environment::Mainnet,
        rest_url: Some(format!("http://127.0.0.1:{port}")),
        ws_public_url: Some(format!("ws://127.0.0.1:{port}/v5/public/spot")),
        ws_private_url: Some(format!("ws://127.0.0.1:{port}/v5/private")),
        ..Connection::default()
    };
    let local = opened(&["BTC-USDT-PERP"], false, here("9"), Some(api_key())).unwrap();
    assert!(local.traits.settle < Duration::from_secs(4) && local.traits.settle > local.traits.create_deadline);
    assert!(local.streams.iter().any(|(_, _, codec)| codec.url() == "ws://127.0.0.1:9/v5/public/linear"));
}

#[test]
fn everything_wrong_with_an_account_is_told_at_once_and_no_key_with_it() {
    let connection = Connection { rest_url: Some("http://api.bybit.com".into()), ..Connection::default() };
    let key = ApiKey { key: Secret::new("canary key".into()), secret: Secret::new("canary\n".into()) };
    let Err(errors) = opened(&["BTC-EUR-PERP"], false, connection, Some(key)) else { panic!("opened") };
    assert_eq!(errors.len(), 3, "{errors:?}");
    for word in ["BTC-EUR-PERP", "rest_url", "API key"] {
        assert!(errors.iter().any(|error| error.contains(word) && error.contains("`main`")), "{word}: {errors:?}");
    }
    assert!(!errors.concat().contains("canary"));
    assert!(opened(&[], false, Connection::default(), None).is_err());
    for kind in [VenueKind::Sim, VenueKind::Coinbase, VenueKind::Binance, VenueKind::BinanceUs, VenueKind::Kraken] {
        let settings = crate::domain::settings::VenueSettings { kind, ..settings(&["BTC-USDT"], false) };
        let Err(errors) = open(&Opening { venue: VenueId(0), settings: &settings, key: None, also: &[] }) else {
            panic!()
        };
        assert!(errors[0].contains("main"), "{errors:?}");
    }
}

#[test]
fn orders_left_in_another_category_are_watched() {
    let settings = settings(&["BTC-USDT"], false);
    let also = [Symbol::new("ETH-USDT-PERP")];
    let account = open(&Opening { venue: VenueId(0), settings: &settings, key: Some(api_key()), also: &also }).unwrap();
    assert_eq!(account.traits.cancels_per_second, 20, "contracts count though none is configured");
    let known = rules(&account, |request| {
        if request.path_and_query.contains("spot") {
            result(&format!(r#"{{"list":[{SPOT}]}}"#))
        } else {
            result(&format!(r#"{{"list":[{}]}}"#, LINEAR.replace("BTCUSDT", "ETHUSDT")))
        }
    });
    assert_eq!(known.len(), 2);
    assert_eq!(NOW.millis() % 1_000, 0);
}
