//! `doctor` against a venue that answers what a test wants.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use super::findings::WIDTH;
use super::{Ask, Open};
use crate::cli::commands::run::Starter;
use crate::cli::console::Console;
use crate::cli::dispatch;
use crate::cli::environment::Env;
use crate::cli::secrets::Vault;
use crate::domain::ids::{Symbol, VenueOrderId};
use crate::domain::instrument::{InstrumentKind, InstrumentRules};
use crate::domain::order::{OrderRow, Side, VenueStatus};
use crate::domain::request::{Access, Answered, Call, Facts, Page, Refusal, RefusalKind};
use crate::domain::time::{Boot, Stamp, Wall};

const KEY: &str = "canary-key-0123456789-wxyz";
const SECRET: &str = "canary-secret-98765";
const NOON: i64 = 1_795_169_472_000;

/// A venue of a test: what it answers to each kind of call, and how its clock stands.
#[derive(Clone)]
struct Fake {
    answers: BTreeMap<&'static str, Vec<Answered>>,
    /// How far its clock is ahead of ours.
    ahead_ms: i64,
    asked: Rc<Cell<u64>>,
}

impl Ask for Fake {
    fn ask(&mut self, call: &Call) -> Answered {
        self.asked.set(self.asked.get() + 1);
        let answers = self.answers.get_mut(call.word()).unwrap_or_else(|| panic!("{} was asked for", call.word()));
        match call {
            // The venue read its clock half way.
            Call::Time if matches!(answers[0], Answered::Done(_)) => {
                Answered::Done(Facts::Time(self.now().wall.plus_millis(self.ahead_ms - 10)))
            }
            // The pages of a list, one after the other.
            Call::ListOpen(Some(_)) => answers.remove(1),
            _ => answers[0].clone(),
        }
    }

    /// Each look at the clock is 20 ms after the one before.
    fn now(&self) -> Stamp {
        let ms = self.asked.get() * 20;
        let boot = Boot::from_nanos(ms * 1_000_000);
        Stamp { boot, wall: Wall::from_millis(NOON + ms as i64), ..Stamp::default() }
    }
}

fn decimal(text: &str) -> crate::domain::money::Decimal {
    text.parse().unwrap()
}

fn rules(symbol: &str, lot: &str, tradable: bool) -> InstrumentRules {
    InstrumentRules {
        symbol: Symbol::new(symbol),
        kind: InstrumentKind::of_symbol(&Symbol::new(symbol)),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        tick: decimal("0.1"),
        lot: decimal(lot),
        min_qty: decimal(lot),
        max_qty: decimal("100"),
        min_notional: decimal("5"),
        tradable,
    }
}

fn order(client_id: Option<&str>, number: u32) -> OrderRow {
    OrderRow {
        symbol: Symbol::new("BTC-USDT"),
        client_id: client_id.map(str::to_owned),
        venue_order_id: VenueOrderId::new(&number.to_string()),
        side: Side::Buy,
        price: decimal("64000"),
        qty: decimal("0.001"),
        filled: decimal("0"),
        status: VenueStatus::Open,
        reason: String::new(),
    }
}

fn page(rows: Vec<OrderRow>, next: Option<&str>) -> Answered {
    Answered::Done(Facts::OpenOrders { rows, next: next.map(|cursor| Page(cursor.to_owned())) })
}

fn refused(text: &str) -> Answered {
    Answered::Refused(Refusal { kind: RefusalKind::Other, text: text.to_owned() })
}

fn access() -> Access {
    Access {
        may_trade: Some(true),
        may_withdraw: Some(false),
        hedge_mode: Some(false),
        switch: Some(false),
        remarks: vec!["bound to 203.0.113.7; expires never".to_owned()],
    }
}

/// A venue with which nothing is wrong.
fn well() -> Fake {
    let instruments = vec![rules("BTC-USDT", "0.000001", true), rules("BTC-USDT-PERP", "0.001", true)];
    Fake {
        answers: BTreeMap::from([
            ("time", vec![Answered::Done(Facts::Time(Wall::from_millis(0)))]),
            ("access", vec![Answered::Done(Facts::Access(access()))]),
            ("instruments", vec![Answered::Done(Facts::Instruments(instruments))]),
            ("list_open", vec![page(Vec::new(), None)]),
            ("positions", vec![Answered::Done(Facts::Positions(Vec::new()))]),
        ]),
        ahead_ms: 0,
        asked: Rc::default(),
    }
}

const CONFIGURATION: &str = r#"
instance = "a1b2"
[[venue]]
name = "main"
kind = "bybit"
symbols = ["BTC-USDT", "BTC-USDT-PERP"]
[[strategy]]
name = "mm"
kind = "market_maker"
symbols = ["BTC-USDT", "BTC-USDT-PERP"]
spread_bps = 10
order_qty = "0.001"
max_position_qty = "0.004"
[risk]
max_order_notional = 200
max_position_notional = 500
max_open_orders = 20
max_orders_per_second = 5
max_daily_loss = 50
uncovered_max_notional = 500
[start]
other_instances = ["c3d4"]
"#;

struct Done {
    code: u8,
    out: String,
}

fn look(fake: &Fake, mode: &str, configuration: &str, more: &[&str]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let (state_dir, file) = (folder.path().join("s"), folder.path().join("c.toml"));
    fs::create_dir(&state_dir).unwrap();
    fs::set_permissions(&state_dir, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&file, configuration).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let given = ["lastorders", "doctor", "--mode", mode, "--config", file.to_str().unwrap(), "--state-dir"];
    let args: Vec<OsString> =
        given.iter().chain([&state_dir.to_str().unwrap()]).chain(more).map(OsString::from).collect();
    let variable = |name: &str| match name {
        "BYBIT_API_KEY" => Some(OsString::from(KEY)),
        "BYBIT_API_SECRET" => Some(OsString::from(SECRET)),
        _ => None,
    };
    let open = |_: &_, key: Option<&_>| {
        assert_eq!(key.is_some(), mode == "LIVE", "a key is for LIVE");
        Ok(Box::new(fake.clone()) as Box<dyn Ask>)
    };
    let open: &Open<'_> = &open;
    let starter = Starter { launcher: &|_, _| panic!("a run was started"), again: &|| panic!("again"), open };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // Of this user alone, so that other runs on this machine are not seen.
    let env = Env::of_pairs(&[]);
    let code = dispatch(&args, (&env, Vault::of(&variable)), &starter, &mut Console::new(&mut out, &mut err));
    assert!(err.is_empty());
    let out = String::from_utf8(out).unwrap();
    let whole = folder.path().to_str().unwrap();
    for line in out.lines().filter(|line| !line.contains(whole)) {
        assert!(line.chars().count() <= WIDTH, "too wide: {line}");
    }
    assert!(!out.contains(KEY) && !out.contains(SECRET) && !out.contains("canary"), "{out}");
    Done { code, out }
}

fn live(fake: &Fake) -> Done {
    look(fake, "LIVE", CONFIGURATION, &[])
}

#[test]
fn with_a_venue_that_is_well_nothing_is_wrong() {
    let done = live(&well());
    assert_eq!(done.code, 0, "{}", done.out);
    for part in [
        "No problems found",
        "REAL MONEY",
        "there (ends in wxyz): BYBIT_API_KEY; BYBIT_API_SECRET",
        "account lock: free",
        "round trip 20.0 ms",
        "ours is 0 ms behind",
        "may trade       yes",
        "may withdraw    no",
        "bound to 203.0.113.7",
        "BTC-USDT-PERP: tick 0.1, lot 0.001",
        "0 ours, 0 of strange instances",
        "SIGKILL, crash, out of",
        "until the next start",
    ] {
        assert!(done.out.contains(part), "`{part}` is missing in:\n{}", done.out);
    }
}

#[test]
fn paper_on_live_data_asks_for_nothing_that_needs_a_key() {
    let mut fake = well();
    for word in ["access", "list_open", "positions"] {
        fake.answers.remove(word);
    }
    let done = look(&fake, "PAPER", CONFIGURATION, &[]);
    assert_eq!(done.code, 0, "{}", done.out);
    assert!(done.out.contains("none needed in PAPER, and none read"), "{}", done.out);
    assert!(done.out.contains("stands still"), "{}", done.out);
}

#[test]
fn offline_nobody_is_asked() {
    let fake = well();
    let done = look(&fake, "LIVE", CONFIGURATION, &["--offline"]);
    assert_eq!((done.code, fake.asked.get()), (0, 0), "{}", done.out);
    assert!(done.out.contains("no: --offline"));
}

/// What is wrong, how it comes about, how many problems it is, and the words of the page.
type Case = (&'static str, fn(&mut Fake), usize, &'static [&'static str]);

fn answers(fake: &mut Fake, word: &'static str, answered: Answered) {
    fake.answers.insert(word, vec![answered]);
}

fn may(fake: &mut Fake, change: fn(&mut Access)) {
    let mut access = access();
    change(&mut access);
    answers(fake, "access", Answered::Done(Facts::Access(access)));
}

const CASES: &[Case] = &[
    (
        "unreachable",
        |fake| {
            fake.answers.clear();
            answers(fake, "time", Answered::NotSent("no such host".to_owned()));
        },
        1,
        &["reached         NO", "no such host", "firewall"],
    ),
    (
        "a page of a proxy",
        |fake| answers(fake, "time", Answered::Unknown("<html> with status 200".to_owned())),
        1,
        &["no answer that can be read"],
    ),
    ("a clock that is behind", |fake| fake.ahead_ms = 1_001, 1, &["1001 ms behind", "timedatectl"]),
    ("a clock that is ahead", |fake| fake.ahead_ms = -1_500, 1, &["1500 ms ahead of"]),
    (
        "a bad key, echoed",
        |fake| answers(fake, "access", refused("error sign! origin_string[1canary-key-0123456789-wxyz5000]")),
        1,
        &["NOT USABLE", "[secret]", "mainnet"],
    ),
    (
        "a key that may not trade",
        |fake| may(fake, |access| access.may_trade = Some(false)),
        1,
        &["the key may not trade"],
    ),
    (
        "a key that may withdraw",
        |fake| may(fake, |access| access.may_withdraw = Some(true)),
        1,
        &["may withdraw    YES", "LIVE refuses such a key", "without the right to withdraw"],
    ),
    ("hedge mode", |fake| may(fake, |access| access.hedge_mode = Some(true)), 1, &["one-way"]),
    (
        "instruments that cannot be had",
        |fake| {
            answers(fake, "instruments", Answered::Later { wait: std::time::Duration::ZERO, why: "busy".to_owned() })
        },
        1,
        &["not now: busy"],
    ),
    (
        "an unknown symbol, and one that is closed",
        |fake| {
            let rules = vec![rules("BTC-USDT", "0.000001", false)];
            answers(fake, "instruments", Answered::Done(Facts::Instruments(rules)));
        },
        2,
        &["it has no BTC-USDT-PERP", "BTC-USDT is not open for trading"],
    ),
    (
        "sizes off the grid and too small",
        |fake| {
            let mut small = rules("BTC-USDT", "0.0001", true);
            small.min_qty = decimal("0.002");
            let rules = vec![small, rules("BTC-USDT-PERP", "0.003", true)];
            answers(fake, "instruments", Answered::Done(Facts::Instruments(rules)));
        },
        2,
        &["less than BTC-USDT allows, 0.002", "no multiple of BTC-USDT-PERP's lot 0.003"],
    ),
    (
        "orders of ours and nobody running",
        |fake| {
            // The second page repeats a row of the first.
            let first =
                vec![order(Some("loa1b200abc1000001"), 1), order(None, 2), order(Some("loc3d400abc1000001"), 3)];
            let second = vec![order(None, 2), order(Some("loa1b200abc1000002"), 4)];
            fake.answers.insert("list_open", vec![page(first, Some("x")), page(second, None)]);
        },
        1,
        &["2 ours, 0 of strange instances, 1 of other_instances, 1 of others", "loa1b200abc1000002", "lastorders run"],
    ),
    (
        "orders of a strange instance",
        |fake| answers(fake, "list_open", page(vec![order(Some("lozz9900abc1000001"), 1)], None)),
        1,
        &["instance zz99", "lozz9900abc1000001", "other_instances = [\"zz99\"]", "instance = \"zz99\""],
    ),
    (
        "a list that breaks off",
        |fake| {
            let broken = Answered::Unknown("cut short".to_owned());
            fake.answers.insert("list_open", vec![page(Vec::new(), Some("x")), broken]);
        },
        1,
        &["the open orders were asked for", "cut short"],
    ),
];

#[test]
fn each_thing_a_venue_tells_is_a_problem_with_its_mend() {
    for (what, spoil, n_problems, parts) in CASES {
        let mut fake = well();
        spoil(&mut fake);
        let done = live(&fake);
        assert_eq!(done.code, 1, "{what}:\n{}", done.out);
        let head = if *n_problems == 1 { "One problem:".to_owned() } else { format!("{n_problems} problems:") };
        assert!(done.out.contains(&head), "{what}:\n{}", done.out);
        assert_eq!(done.out.matches("Mend: ").count(), *n_problems, "{what}:\n{}", done.out);
        // Lines are wrapped: the words count, not where they stand.
        let flat = done.out.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in *parts {
            let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(&part), "{what}: `{part}` is missing in:\n{}", done.out);
        }
    }
}

#[test]
fn orders_of_others_are_a_problem_where_the_account_is_called_ours_alone() {
    let exclusive = CONFIGURATION.replace("kind = \"bybit\"", "kind = \"bybit\"\nexclusive_account = true");
    let mut fake = well();
    answers(&mut fake, "list_open", page(vec![order(None, 1)], None));
    answers(&mut fake, "read_switch", Answered::Done(Facts::Switch(None)));
    assert_eq!(live(&fake).code, 0, "other people's orders are no business of ours");
    let done = look(&fake, "LIVE", &exclusive, &[]);
    assert_eq!(done.code, 1);
    assert!(done.out.contains("but there are orders of others"), "{}", done.out);
}

#[test]
fn without_keys_the_public_part_is_looked_at_all_the_same() {
    let mut fake = well();
    fake.answers.remove("access");
    let configuration = CONFIGURATION.replace("max_open_orders = 20", "max_open_orders = 2000");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, configuration).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let state_dir = folder.path().join("s");
    let args = ["lastorders", "doctor", "--mode", "LIVE", "--config", file.to_str().unwrap(), "--state-dir"];
    let args: Vec<OsString> = args.iter().chain([&state_dir.to_str().unwrap()]).map(OsString::from).collect();
    let open = |_: &_, _: Option<&_>| Ok(Box::new(fake.clone()) as Box<dyn Ask>);
    let starter = Starter { launcher: &|_, _| panic!("a run was started"), again: &|| panic!("again"), open: &open };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let variables = (&Env::default(), Vault::of(&|_| None));
    let code = dispatch(&args, variables, &starter, &mut Console::new(&mut out, &mut err));
    let out = String::from_utf8(out).unwrap();
    assert_eq!(code, 1);
    for part in
        ["3 problems:", "NOT THERE", "BYBIT_API_KEY", "BYBIT_API_SECRET", "BTC-USDT-PERP: tick", "max_open_orders"]
    {
        assert!(out.contains(part), "`{part}` is missing in:\n{out}");
    }
}
