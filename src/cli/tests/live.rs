//! LIVE as a whole command: what it accepts, what it refuses and in which words, what PAPER never looks at.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Desk, Done, call_with, nobody, unreachable_venue};
use crate::cli::commands::run::Starter;
use crate::cli::console::Console;
use crate::cli::dispatch;
use crate::cli::environment::Env;
use crate::cli::secrets::{Keys, Vault};
use crate::domain::settings::{Mode, Settings};

/// Everything LIVE wants, on an exchange that is not asked here.
const LIVE: &str = r#"
instance = "a1b2"
[[venue]]
name = "main"
kind = "bybit"
environment = "testnet"
symbols = ["BTC-USDT", "BTC-USDT-PERP"]
[risk]
max_order_notional = 100
max_position_notional = 500
max_open_orders = 20
max_orders_per_second = 5
max_daily_loss = 50
"#;
const CANARY_KEY: &str = "canary-key-0aa51";
const CANARY_SECRET: &str = "canary-secret-77d2";

impl Desk {
    /// A command in LIVE with these variables beside the usual ones.
    fn call_live(&self, command: &str, more: &[(&str, &str)], launcher: &dyn Fn(Settings, Keys) -> u8) -> Done {
        let (file, state_dir) = (self.file(), self.state_dir());
        let mut env = vec![
            ("MODE", "LIVE"),
            ("LASTORDERS_CONFIG", file.to_str().unwrap()),
            ("LASTORDERS_STATE_DIR", state_dir.to_str().unwrap()),
        ];
        env.extend(more);
        let done = call_with(&[command], &env, launcher);
        assert!(!done.all().contains("canary"), "{command}:\n{}", done.all());
        done
    }
}

#[test]
fn live_is_accepted_when_all_it_wants_is_there_and_hands_the_keys_over() {
    let desk = Desk::new();
    desk.configure(LIVE);
    let keys = [("BYBIT_API_KEY", CANARY_KEY), ("BYBIT_API_SECRET", CANARY_SECRET)];
    let seen = Cell::new(false);
    let done = desk.call_live("run", &keys, &|settings, keys| {
        assert_eq!(settings.mode, Mode::Live);
        assert!(!format!("{settings:?}{keys:?}").contains("canary"));
        assert_eq!(keys["main"].key.expose(), CANARY_KEY);
        assert_eq!(keys["main"].secret.expose(), CANARY_SECRET);
        seen.set(true);
        3
    });
    assert_eq!((done.code, seen.get()), (3, true), "{}", done.err);
    assert!(done.err.contains("L I V E") && done.err.contains("P L A Y   M O N E Y"), "{}", done.err);
    let done = desk.call_live("config", &keys, &nobody);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("main: BYBIT_API_KEY; BYBIT_API_SECRET"), "{}", done.out);
    assert!(done.out.contains("environment = \"testnet\""), "{}", done.out);
}

#[test]
fn live_refuses_everything_that_is_wrong_at_once_and_starts_nothing() {
    let desk = Desk::new();
    desk.configure(
        "[[venue]]\nname = \"main\"\nkind = \"bybit\"\nsymbols = [\"BTC-USDT\"]\n[risk]\nmax_open_orders = 9000\n",
    );
    let file = desk.folder.path().join("secret");
    fs::write(&file, CANARY_SECRET).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(desk.state_dir(), fs::Permissions::from_mode(0o750)).unwrap();
    let more = [("BYBIT_API_SECRET_FILE", file.to_str().unwrap())];
    for command in ["run", "config"] {
        let done = desk.call_live(command, &more, &nobody);
        assert_eq!(done.code, 2);
        for part in [
            "8 things in the configuration are refused",
            "instance",
            "risk.max_order_notional",
            "risk.max_position_notional",
            "risk.max_orders_per_second",
            "risk.max_daily_loss",
            "environment: BYBIT_API_KEY\n    LIVE needs it for venue `main`",
            "chmod 600",
            "chmod 700",
        ] {
            assert!(done.err.contains(part), "{command}: `{part}` is missing in:\n{}", done.err);
        }
    }
}

#[test]
fn without_a_file_too_everything_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path().join("s");
    let env = [
        ("MODE", "LIVE"),
        ("VENUE", "bybit"),
        ("SYMBOLS", "btcusdt"),
        ("BYBIT_API_KEY", CANARY_KEY),
        ("LASTORDERS_STATE_DIR", state_dir.to_str().unwrap()),
        ("LASTORDERS_CONFIG", "/dev/null"),
    ];
    let done = call_with(&["run"], &env, &nobody);
    assert_eq!(done.code, 2);
    for part in ["SYMBOLS = btcusdt", "instance", "risk.max_daily_loss", "BYBIT_API_SECRET"] {
        assert!(done.err.contains(part), "`{part}` is missing in:\n{}", done.err);
    }
    assert!(!done.err.contains("canary"));
}

/// What spoils a sound LIVE, how often it is refused, and the words.
type LiveCase = (&'static str, fn(&Desk), &'static [(&'static str, &'static str)], &'static [&'static str]);

const KEYS: &[(&str, &str)] = &[("BYBIT_API_KEY", CANARY_KEY), ("BYBIT_API_SECRET", CANARY_SECRET)];

const LIVE_CASES: &[LiveCase] = &[
    (
        "no key",
        |_| {},
        &[("BYBIT_API_SECRET", CANARY_SECRET)],
        &["BYBIT_API_KEY", "BYBIT_API_KEY_FILE", "LASTORDERS_MAIN_API_KEY"],
    ),
    (
        "a key for another account",
        |_| {},
        &[("LASTORDERS_MAIN_API_KEY", CANARY_KEY), ("BYBIT_API_SECRET", CANARY_SECRET)],
        &["LASTORDERS_MAIN_API_SECRET"],
    ),
    ("no instance", |desk| desk.configure(&LIVE.replace("instance", "#")), KEYS, &["instance", "LIVE wants this"]),
    (
        "a limit is missing",
        |desk| desk.configure(&LIVE.replace("max_daily_loss", "#")),
        KEYS,
        &["risk.max_daily_loss", "under [risk]"],
    ),
    (
        "the built-in market",
        |desk| desk.configure(&LIVE.replace("\"bybit\"\nenvironment = \"testnet\"", "\"sim\"")),
        KEYS,
        &["venue[main].kind", "invented", "Use `bybit`"],
    ),
    ("an exchange of later", |desk| desk.configure(&LIVE.replace("\"bybit\"", "\"kraken\"")), KEYS, &["not built yet"]),
    (
        "more than could be cancelled",
        |desk| desk.configure(&LIVE.replace("max_open_orders = 20", "max_open_orders = 5000")),
        KEYS,
        &["risk.max_open_orders = 5000", "cancels a second", "cancel_timeout_s", "max_open_orders = "],
    ),
    (
        "kept orders without a limit",
        |desk| desk.configure(&format!("{LIVE}[shutdown]\non_exit = \"keep\"\n[start]\non_start = \"adopt\"\n")),
        KEYS,
        &["shutdown.on_exit", "uncovered_max_notional"],
    ),
    (
        "a state directory others may look into",
        |desk| fs::set_permissions(desk.state_dir(), fs::Permissions::from_mode(0o705)).unwrap(),
        KEYS,
        &["state directory", "0705", "chmod 700"],
    ),
    (
        "a state directory that is a file",
        |desk| {
            fs::remove_dir(desk.state_dir()).unwrap();
            fs::write(desk.state_dir(), "").unwrap();
        },
        KEYS,
        &["state directory", "no directory", "LASTORDERS_STATE_DIR"],
    ),
    (
        "an address that leaks",
        |_| {},
        &[("BYBIT_API_KEY", CANARY_KEY), ("BYBIT_API_SECRET", CANARY_SECRET), ("BYBIT_REST_URL", "http://192.0.2.1")],
        &["BYBIT_REST_URL = http://192.0.2.1", "unencrypted"],
    ),
    (
        "a key in an address",
        |_| {},
        &[("BYBIT_API_KEY", CANARY_KEY), ("BYBIT_API_SECRET", CANARY_SECRET), ("BYBIT_REST_URL", "https://canary@a")],
        &["BYBIT_REST_URL\n", "no password"],
    ),
    (
        "a key for an address",
        |_| {},
        &[("BYBIT_API_KEY", CANARY_KEY), ("BYBIT_API_SECRET", CANARY_SECRET), ("BYBIT_WS_PRIVATE_URL", CANARY_KEY)],
        &["BYBIT_WS_PRIVATE_URL\n", "wss://HOST"],
    ),
];

#[test]
fn each_thing_live_refuses_is_refused_alone_with_its_mend() {
    for (what, spoil, env, words) in LIVE_CASES {
        let desk = Desk::new();
        desk.configure(LIVE);
        spoil(&desk);
        let done = desk.call_live("run", env, &nobody);
        assert_eq!(done.code, 2, "{what}");
        assert!(done.err.starts_with("One thing"), "{what}:\n{}", done.err);
        for word in *words {
            assert!(done.err.contains(word), "{what}: `{word}` is missing in:\n{}", done.err);
        }
    }
}

#[test]
fn paper_and_dry_run_never_look_for_a_key() {
    let desk = Desk::new();
    let (file, state_dir) = (desk.file(), desk.state_dir());
    for mode in ["PAPER", "DRY_RUN"] {
        for configuration in [LIVE, ""] {
            desk.configure(configuration);
            let names: Vec<OsString> = ["lastorders", "run", "--mode", mode].iter().map(OsString::from).collect();
            let mut env = vec![
                ("LASTORDERS_CONFIG", file.to_str().unwrap()),
                ("LASTORDERS_STATE_DIR", state_dir.to_str().unwrap()),
            ];
            if configuration.is_empty() {
                env.extend([("VENUE", "bybit"), ("SYMBOLS", "BTC-USDT,BTC-USDT-PERP")]);
            }
            let vault = |name: &str| panic!("{name} was read");
            let launcher = |settings: Settings, keys: Keys| {
                assert_eq!(settings.venues[0].kind, crate::domain::settings::VenueKind::Bybit);
                assert!(keys.is_empty());
                0
            };
            let starter =
                Starter { launcher: &launcher, again: &|| panic!("the process began again"), open: &unreachable_venue };
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let given = (&Env::of_pairs(&env), Vault::of(&vault));
            let code = dispatch(&names, given, &starter, &mut Console::new(&mut out, &mut err));
            let err = String::from_utf8(err).unwrap();
            assert_eq!(code, 0, "{err}");
            assert!(err.contains("The market is REAL"), "{err}");
            assert_eq!(err.contains("the fills are INVENTED"), mode == "PAPER", "{err}");
        }
    }
}
