//! Starts that are refused: the keys, the account, the addresses, the clock, the configuration.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::judge::{of_clean_stop, of_end};
use super::self_signed::SelfSigned;
use super::{Desk, Key, all_at_once, exchange, temporary};
use crate::venue::exchange::Exchange;

/// A start that must not come about.
struct Case {
    name: &'static str,
    /// Flags of the key at the exchange; none: the exchange does not know the key.
    flags: Option<&'static str>,
    spoil: fn(Desk) -> Desk,
    code: i32,
    /// Words that tell the cause and the mend.
    words: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "a key nobody knows",
        flags: None,
        spoil: |desk| desk,
        code: 3,
        words: &["10003", "Key, secret, environment and host must belong together", "The start tries again"],
    },
    Case {
        name: "a wrong secret",
        flags: Some(""),
        spoil: |desk| desk.with("BYBIT_API_SECRET", "canary-secret-that-is-wrong"),
        code: 3,
        words: &["10004", "Key, secret, environment and host must belong together", "The start tries again"],
    },
    Case {
        name: "a key that may withdraw",
        flags: Some("withdraw"),
        spoil: |desk| desk,
        code: 1,
        words: &["may withdraw", "make one that may only trade"],
    },
    Case {
        name: "a key that may not trade",
        flags: Some("read-only"),
        spoil: |desk| desk,
        code: 1,
        words: &["may not place orders", "give it the permission to trade"],
    },
    Case {
        name: "hedge mode",
        flags: Some("hedge"),
        spoil: |desk| desk,
        code: 1,
        words: &["hedge mode", "set it to one-way mode"],
    },
    Case {
        name: "all of it",
        flags: Some("withdraw,read-only,hedge"),
        spoil: |desk| desk,
        code: 1,
        words: &["may withdraw", "may not place orders", "hedge mode"],
    },
    Case {
        name: "a stranger's order",
        flags: Some(""),
        spoil: |desk| desk,
        code: 1,
        words: &["another lastorders instance", "zz99", "other_instances"],
    },
    Case {
        name: "a symbol that is not traded",
        flags: Some(""),
        spoil: |desk| desk.with_config("\"BTC-USDT-PERP\"]\nexclusive", "\"BTC-USDT-PERP\", \"NOPE-USDT\"]\nexclusive"),
        code: 1,
        words: &["does not trade NOPE-USDT", "Change `symbols`"],
    },
    Case {
        name: "nobody listens there",
        flags: Some(""),
        // The first port of all: nothing of this machine listens there.
        spoil: |desk| {
            desk.with("BYBIT_REST_URL", "http://127.0.0.1:1")
                .with("BYBIT_WS_PUBLIC_URL", "ws://127.0.0.1:1/v5/public/linear")
                .with("BYBIT_WS_PRIVATE_URL", "ws://127.0.0.1:1/v5/private")
        },
        code: 3,
        words: &["127.0.0.1:1", "refused", "Check that the venue can be reached"],
    },
    Case {
        name: "a name that does not exist",
        flags: Some(""),
        spoil: |desk| {
            desk.with("BYBIT_REST_URL", "https://no-such-host.invalid")
                .with("BYBIT_WS_PUBLIC_URL", "wss://no-such-host.invalid/v5/public/linear")
                .with("BYBIT_WS_PRIVATE_URL", "wss://no-such-host.invalid/v5/private")
        },
        code: 3,
        words: &["no-such-host.invalid", "Check that the venue can be reached"],
    },
    Case {
        name: "streams to nowhere",
        flags: Some(""),
        spoil: |desk| desk.with("BYBIT_WS_PRIVATE_URL", "ws://127.0.0.1:1/v5/private"),
        code: 1,
        words: &["Private stream down", "127.0.0.1:1"],
    },
    Case {
        name: "a stream that is another's",
        flags: Some(""),
        spoil: |desk| {
            let rest = desk.value_of("BYBIT_REST_URL").replace("http", "ws");
            desk.with("BYBIT_WS_PRIVATE_URL", &format!("{rest}/nothing/here"))
        },
        code: 1,
        words: &["Private stream down", "404"],
    },
    Case {
        name: "no instance",
        flags: Some(""),
        spoil: |desk| desk.with_config("instance = \"a1b2\"", ""),
        code: 2,
        words: &["instance", "LIVE"],
    },
    Case {
        name: "no key",
        flags: Some(""),
        spoil: |desk| desk.with("BYBIT_API_KEY", ""),
        code: 2,
        words: &["BYBIT_API_KEY", "LIVE needs it"],
    },
    Case {
        name: "no limits",
        flags: Some(""),
        spoil: |desk| {
            desk.with_config("max_daily_loss", "# max_daily_loss")
                .with_config("max_order_notional", "# max_order_notional")
        },
        code: 2,
        words: &["risk.max_daily_loss", "risk.max_order_notional"],
    },
    Case {
        name: "a key file that others may read",
        flags: Some(""),
        spoil: |desk| {
            let file = desk.place("secret");
            std::fs::write(&file, desk.value_of("BYBIT_API_SECRET")).expect("a file");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("our own file");
            desk.with("BYBIT_API_SECRET", "").with("BYBIT_API_SECRET_FILE", &file.display().to_string())
        },
        code: 2,
        words: &["BYBIT_API_SECRET_FILE", "Others may read", "chmod 600"],
    },
    Case {
        name: "an address without TLS",
        flags: Some(""),
        spoil: |desk| desk.with("BYBIT_REST_URL", "http://192.0.2.1"),
        code: 2,
        words: &["BYBIT_REST_URL", "unencrypted"],
    },
];

const STRANGER: &str = "lozz9900001a000001";

/// Every start of the table, at one exchange.
pub(super) fn all_of_the_table() -> Vec<String> {
    let keys: Vec<Key> = (1..).zip(CASES).map(|(account, _)| Key::new(account)).collect();
    let folder = temporary();
    let known = keys.iter().zip(CASES).filter_map(|(key, case)| case.flags.map(|flags| (key, flags)));
    let exchange = exchange(folder.path(), &known.collect::<Vec<_>>(), &["--activity", "0"]);
    let place = CASES.iter().position(|case| case.name == "a stranger's order").expect("it stands in the table");
    exchange.order(&json!({
        "command": "foreign_order", "account": keys[place].account, "symbol": "BTC-USDT-PERP", "side": "BUY",
        "price": "40000", "qty": "0.001", "link": STRANGER,
    }));
    let both: Vec<_> = CASES.iter().zip(&keys).collect();
    let mut findings = all_at_once(
        &both,
        |(case, _)| case.name.to_owned(),
        |(case, key)| {
            let desk = (case.spoil)(Desk::live(exchange.address(), key));
            of_end(&desk, &desk.run_out(), case.code, case.words)
        },
    );
    findings.extend(anything_sent(&exchange));
    let is_left = exchange.ledger().live_of(keys[place].account).contains(STRANGER);
    findings.extend((!is_left).then(|| "the stranger's order was taken, which is not ours to touch".to_owned()));
    findings
}

pub(super) fn a_clock_that_is_off() -> Vec<String> {
    let skews = [2_000, -2_000, 600_000, -600_000];
    all_at_once(
        &skews,
        |skew| format!("{skew} ms"),
        |skew| {
            let (folder, key) = (temporary(), Key::new(0));
            let exchange = exchange(folder.path(), &[(&key, "")], &["--activity", "0"]);
            exchange.order(&json!({"command": "clock_skew", "ms": skew}));
            let desk = Desk::live(exchange.address(), &key);
            let mut findings = of_end(&desk, &desk.run_out(), 1, &["clock", "differ by", "NTP"]);
            findings.extend(anything_sent(&exchange));
            findings
        },
    )
}

pub(super) fn a_second_start_on_the_same_account() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &["--activity", "0"]);
    let (desk, other) = (Desk::live(exchange.address(), &key), Desk::live(exchange.address(), &key));
    let mut first = desk.start_ready();
    first.wait_quoting(&exchange, 0, "BTC-USDT");
    let mut findings = of_end(&other, &other.run_out(), 4, &["another run holds account main", "stop that run first"]);
    first.wait_quoting(&exchange, 0, "BTC-USDT");
    let code = first.terminate().code;
    findings.extend(of_clean_stop(&desk, &exchange, 0, code));
    findings
}

pub(super) fn a_server_that_nobody_vouches_for() -> Vec<String> {
    let server = SelfSigned::start();
    let at = format!("localhost:{}", server.port());
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &["--activity", "0"]);
    let all = |desk: Desk| {
        desk.with("BYBIT_REST_URL", &format!("https://{at}"))
            .with("BYBIT_WS_PUBLIC_URL", &format!("wss://{at}/v5/public/linear"))
            .with("BYBIT_WS_PRIVATE_URL", &format!("wss://{at}/v5/private"))
    };
    let stream_only = |desk: Desk| desk.with("BYBIT_WS_PRIVATE_URL", &format!("wss://{at}/v5/private"));
    type Spoil<'s> = &'s (dyn Fn(Desk) -> Desk + Sync);
    let keys = [Key::new(0), key.clone()];
    let cases: [(&str, Spoil<'_>, i32, &Key); 2] =
        [("everything", &all, 3, &keys[0]), ("the account's stream", &stream_only, 1, &keys[1])];
    let mut findings = all_at_once(
        &cases,
        |(name, ..)| (*name).to_owned(),
        |(_, spoil, code, key)| {
            let desk = spoil(Desk::live(exchange.address(), key));
            of_end(&desk, &desk.run_out(), *code, &["certificate"])
        },
    );
    findings.extend((server.n_heard() > 0).then(|| format!("a stranger was told {} bytes", server.n_heard())));
    findings.extend((server.n_met() == 0).then(|| "nobody came: this shows nothing".to_owned()));
    findings
}

/// What was sent to the venue that must not be sent.
fn anything_sent(exchange: &Exchange) -> Vec<String> {
    let ledger = exchange.ledger();
    let told = ledger.arrivals.iter().filter(|arrival| arrival.creates() || arrival.cancels());
    let mut findings: Vec<_> = told.map(|arrival| format!("this was sent: {arrival:?}")).collect();
    findings.extend((ledger.arrivals.len() < 5).then(|| "nobody asked anything: this shows nothing".to_owned()));
    findings
}
