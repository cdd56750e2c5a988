//! Whole commands: arguments in, words and exit code out.

mod live;

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;

use clap::CommandFactory;
use tempfile::TempDir;

use super::args::Arguments;
use super::commands::doctor::Ask;
use super::commands::run::Starter;
use super::console::Console;
use super::dispatch;
use super::environment::Env;
use super::secrets::{Keys, Vault};
use crate::domain::ids::Symbol;
use crate::domain::order::StateName;
use crate::domain::report::{OrderCounts, OrderLine, PositionReport, ProofReport, Report, StepLine, TaskReport};
use crate::domain::secret::ApiKey;
use crate::domain::settings::{Mode, Settings, VenueSettings};
use crate::domain::time::Wall;

/// What a command did.
struct Done {
    code: u8,
    out: String,
    err: String,
}

impl Done {
    fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

fn nobody(_: Settings, _: Keys) -> u8 {
    panic!("a run was started")
}

/// No test of whole commands asks a venue by accident.
pub(super) fn unreachable_venue(_: &VenueSettings, _: Option<&ApiKey>) -> Result<Box<dyn Ask>, String> {
    Err("nobody is there".to_owned())
}

fn call_with(args: &[&str], env: &[(&str, &str)], launcher: &dyn Fn(Settings, Keys) -> u8) -> Done {
    let starter = Starter { launcher, again: &|| panic!("the process began again"), open: &unreachable_venue };
    call_starter(args, env, &starter)
}

fn call_starter(args: &[&str], env: &[(&str, &str)], starter: &Starter<'_>) -> Done {
    let args: Vec<OsString> = ["lastorders"].iter().chain(args).map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let variable = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    let (known, vault) = (Env::of_pairs(env), Vault::of(&variable));
    let code = dispatch(&args, (&known, vault), starter, &mut Console::new(&mut out, &mut err));
    Done { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn call(args: &[&str], env: &[(&str, &str)]) -> Done {
    call_with(args, env, &nobody)
}

/// An empty state directory with the permissions it must have, and an empty configuration beside it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("s")).unwrap();
        fs::set_permissions(folder.path().join("s"), fs::Permissions::from_mode(0o700)).unwrap();
        let desk = Desk { folder };
        desk.configure("");
        desk
    }

    fn state_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("s")
    }

    fn configure(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
        fs::set_permissions(self.file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("c.toml")
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.state_dir().join(name), text).unwrap();
    }

    fn call_with(&self, args: &[&str], launcher: &dyn Fn(Settings, Keys) -> u8) -> Done {
        let (file, state_dir) = (self.file(), self.state_dir());
        let env =
            [("LASTORDERS_CONFIG", file.to_str().unwrap()), ("LASTORDERS_STATE_DIR", state_dir.to_str().unwrap())];
        call_with(args, &env, launcher)
    }

    fn call(&self, args: &[&str]) -> Done {
        self.call_with(args, &nobody)
    }

    /// A trader that answers one connection with `answer`; gives the line it was asked.
    fn trader(&self, answer: &'static str) -> JoinHandle<String> {
        let listener = UnixListener::bind(self.state_dir().join("control.sock")).unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            BufReader::new(&stream).read_line(&mut asked).unwrap();
            (&stream).write_all(answer.as_bytes()).unwrap();
            asked.trim_end().to_owned()
        })
    }
}

const OPEN_ORDER: &str = r#"{"orders": {"open": {"lo7k2p000a1a000001": {"venue": "main", "symbol": "BTC-USDT",
    "side": "buy", "qty": "0.010", "price": "64000", "state": "OPEN"}}}}"#;

#[test]
fn the_help_of_every_command_has_an_example() {
    let mut seen = 0;
    for command in Arguments::command().get_subcommands() {
        let name = command.get_name();
        let done = call(&[name, "--help"], &[]);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{name}");
        assert!(done.out.contains("Example"), "{name} has no example:\n{}", done.out);
        seen += 1;
    }
    assert!(seen >= 13, "only {seen} commands were looked at");
    let done = call(&["--help"], &[]);
    assert!(done.out.contains("Examples") && done.out.contains("Exit codes"));
    assert!(!done.out.contains("\n  trade "), "the trader process is not for people");
}

#[test]
fn what_cannot_be_understood_ends_with_2_and_starts_nothing() {
    for args in [
        &[] as &[&str],
        &["rnu"],
        &["run", "--fast"],
        &["--mode", "live", "run"],
        &["stop", "now"],
        &["completions", "tcl"],
    ] {
        let done = call(args, &[]);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{args:?}");
        assert!(!done.err.is_empty(), "{args:?}");
    }
    for command in ["run", "trade", "config", "status", "stop", "report"] {
        let done = call(&[command], &[("MODE", "live")]);
        assert_eq!(done.code, 2, "{command}");
        assert!(done.err.contains("MODE = live") && done.err.contains("DRY_RUN, PAPER, LIVE"), "{}", done.err);
    }
}

#[test]
fn a_run_is_handed_its_settings_and_gives_the_traders_code() {
    let desk = Desk::new();
    for code in [0, 1, 3, 4] {
        let seen = RefCell::new(None);
        let done = desk.call_with(&["run", "--mode", "DRY_RUN"], &|settings, _| {
            *seen.borrow_mut() = Some(settings);
            code
        });
        assert_eq!((done.code, done.out.as_str()), (code, ""));
        let settings = seen.take().unwrap();
        assert_eq!((settings.mode, settings.state_dir), (Mode::DryRun, desk.state_dir()));
        assert!(done.err.contains("DRY_RUN") && done.err.contains("grant 45 s"), "{}", done.err);
    }
}

#[test]
fn a_wanted_restart_begins_again_unless_the_caller_sees_to_it() {
    let desk = Desk::new();
    let (file, state_dir) = (desk.file(), desk.state_dir());
    let env = [("LASTORDERS_CONFIG", file.to_str().unwrap()), ("LASTORDERS_STATE_DIR", state_dir.to_str().unwrap())];
    for (args, again_expected, code_expected) in
        [(&["run"] as &[&str], 1, 1), (&["run", "--no-guard"], 0, 75), (&["trade"], 0, 75)]
    {
        let again = Cell::new(0);
        let starter = Starter {
            launcher: &|_, _| 75,
            again: &|| {
                again.set(again.get() + 1);
                std::io::Error::other("no such program")
            },
            open: &unreachable_venue,
        };
        let done = call_starter(args, &env, &starter);
        assert_eq!((again.get(), done.code), (again_expected, code_expected), "{args:?}");
        assert_eq!(done.err.contains("no such program"), again_expected == 1, "{args:?}");
    }
}

#[test]
fn a_run_with_a_bad_configuration_starts_nothing_and_names_the_open_orders_it_knows_of() {
    let desk = Desk::new();
    desk.configure("[shutdown]\ncancel_timeout_s = 1\n");
    desk.put("state.json", OPEN_ORDER);
    let done = desk.call(&["run"]);
    assert_eq!(done.code, 2);
    for part in ["c.toml:2", "5 to 600", "WARNING", "BTC-USDT BUY 0.010 @ 64000", "id=lo7k2p000a1a000001"] {
        assert!(done.err.contains(part), "{part} is missing in:\n{}", done.err);
    }
}

#[test]
fn a_reader_that_went_away_changes_neither_code_nor_course() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }
    let desk = Desk::new();
    for (args, code) in [
        (&["--help"] as &[&str], 0),
        (&["config"], 0),
        (&["completions", "zsh"], 0),
        (&["doctor"], 0),
        (&["status"], 1),
        (&["rnu"], 2),
        (&["run"], 9),
    ] {
        let mut all: Vec<OsString> = vec!["lastorders".into(), "--config".into(), desk.file().into()];
        all.extend(["--state-dir".into(), desk.state_dir().into()]);
        all.extend(args.iter().map(OsString::from));
        let starter =
            Starter { launcher: &|_, _| 9, again: &|| panic!("the process began again"), open: &unreachable_venue };
        let (mut out, mut err) = (Closed, Closed);
        let seen =
            dispatch(&all, (&Env::default(), Vault::of(&|_| None)), &starter, &mut Console::new(&mut out, &mut err));
        assert_eq!(seen, code, "{args:?}");
    }
}

#[test]
fn commands_reach_the_trader_in_its_own_words() {
    let cases: &[(&[&str], &str)] = &[
        (&["status"], r#"{"command":"status"}"#),
        (&["pause"], r#"{"command":"pause","keep_orders":false}"#),
        (&["pause", "--keep-orders"], r#"{"command":"pause","keep_orders":true}"#),
        (&["resume"], r#"{"command":"resume"}"#),
        (&["cancel-all"], r#"{"command":"cancel-all"}"#),
        (&["stop"], r#"{"command":"stop"}"#),
        (&["restart"], r#"{"command":"restart"}"#),
    ];
    for (args, asked) in cases {
        let desk = Desk::new();
        let trader = desk.trader("{\"ok\":true,\"text\":\"as you say\"}\n");
        let done = desk.call(args);
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "as you say\n", ""), "{args:?}");
        assert_eq!(trader.join().unwrap(), *asked);
    }
}

#[test]
fn a_refusal_of_the_trader_is_a_failure() {
    let desk = Desk::new();
    let trader = desk.trader("{\"ok\":false,\"text\":\"latched: daily loss\"}\n");
    let done = desk.call(&["resume"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (1, "", "latched: daily loss\n"));
    trader.join().unwrap();
}

#[test]
fn a_broken_file_keeps_nobody_from_stopping_a_trader() {
    let desk = Desk::new();
    desk.configure("this is not toml");
    let trader = desk.trader("{\"ok\":true,\"text\":\"stopping\"}\n");
    assert_eq!(desk.call(&["stop"]).code, 0);
    trader.join().unwrap();
}

#[test]
fn a_probe_says_ready_by_its_exit_code() {
    const READY: &str = "{\"ok\":true,\"text\":\"fine\",\"data\":{\"ready\":true,\"orders\":3}}\n";
    const NOT_READY: &str = "{\"ok\":true,\"text\":\"reconciling\",\"data\":{\"ready\":false}}\n";
    const SAYS_NOTHING: &str = "{\"ok\":true,\"text\":\"?\"}\n";
    for (answer, args, code, word) in [
        (READY, &["status", "--ready"] as &[&str], 0, "ready\n"),
        (NOT_READY, &["status", "--ready"], 1, "reconciling"),
        (SAYS_NOTHING, &["status", "--ready"], 1, "not ready"),
        (NOT_READY, &["status"], 0, "reconciling"),
        (READY, &["status", "--json"], 0, "\"orders\": 3"),
        (NOT_READY, &["status", "--json", "--ready"], 1, "\"ready\": false"),
    ] {
        let desk = Desk::new();
        let trader = desk.trader(answer);
        let done = desk.call(args);
        assert_eq!(done.code, code, "{args:?} {answer}");
        assert!(done.all().contains(word), "`{word}` is missing in {}", done.all());
        trader.join().unwrap();
    }
}

#[test]
fn without_a_trader_the_way_to_one_is_told() {
    let desk = Desk::new();
    let done = desk.call(&["status", "--ready"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.contains("No PAPER trader is running") && done.err.contains("control.sock"), "{}", done.err);
    desk.put("state.json", OPEN_ORDER);
    assert!(desk.call(&["stop"]).err.contains("lo7k2p000a1a000001"), "open orders are named");
    // A socket left behind by a process that was killed.
    drop(UnixListener::bind(desk.state_dir().join("control.sock")).unwrap());
    assert!(desk.call(&["status"]).err.contains("No PAPER trader is running"));
}

#[test]
fn init_writes_for_its_owner_alone_and_never_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.toml");
    let name = path.to_str().unwrap();
    assert_eq!(call(&["init", "--config", name], &[]).code, 0);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(call(&["config", "--config", name], &[]).code, 0);
    fs::write(&path, "mine").unwrap();
    let done = call(&["init", "--config", name], &[]);
    assert_eq!((done.code, fs::read_to_string(&path).unwrap().as_str()), (1, "mine"));
    assert!(done.err.contains("left as it is"));
}

#[test]
fn completions_are_there_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = call(&["completions", shell], &[]);
        assert_eq!(done.code, 0);
        assert!(done.out.contains("cancel-all"), "{shell}");
    }
}

#[test]
fn no_command_prints_a_secret_of_environment_or_file() {
    const CANARY: &str = "canary-92c7";
    let desk = Desk::new();
    let (file, state_dir) = (desk.file(), desk.state_dir());
    for text in ["", "api_key = \"canary-92c7\"\n[venue]\ntoken = \"canary-92c7\"\n"] {
        desk.configure(text);
        let env = [
            ("LASTORDERS_CONFIG", file.to_str().unwrap()),
            ("LASTORDERS_STATE_DIR", state_dir.to_str().unwrap()),
            ("BYBIT_API_KEY", CANARY),
            ("BYBIT_API_SECRET", CANARY),
            ("LASTORDERS_MAIN_API_KEY", CANARY),
            ("LASTORDERS_MAIN_API_SECRET_FILE", CANARY),
            ("LASTORDERS_STATEDIR", CANARY),
        ];
        for command in ["config", "doctor", "run", "status", "report"] {
            let done = call_with(&[command], &env, &|_, _| 0);
            assert!(!done.all().is_empty());
            assert!(!done.all().contains(CANARY), "{command} printed a secret:\n{}", done.all());
        }
    }
}

fn report(complete: bool, exit_code: u8) -> Report {
    let remaining = OrderLine {
        venue: "main".to_owned(),
        symbol: Symbol::new("BTC-USDT"),
        client_order_id: "lo7k2p000a1a000001".parse().unwrap(),
        venue_order_id: None,
        state: StateName::Unknown,
        why: "the create was never answered".to_owned(),
    };
    Report {
        version: 1,
        complete,
        instance: "7k2p".to_owned(),
        epoch: 77,
        mode: "PAPER".to_owned(),
        reason: "SIGTERM".to_owned(),
        signal: Some("SIGTERM".to_owned()),
        signals_repeated: 0,
        started_at: Wall::from_millis(1_795_169_472_123),
        finished_at: Wall::from_millis(1_795_169_472_333),
        duration_ms: 210,
        steps: vec![StepLine { name: "gate".to_owned(), ok: true, ms: 0, note: "shut".to_owned() }],
        orders: OrderCounts {
            found: 4,
            canceled: 3,
            remaining: if exit_code == 3 { vec![remaining] } else { Vec::new() },
            ..OrderCounts::default()
        },
        venues: Vec::new(),
        proof: ProofReport {
            proved: exit_code == 0,
            grade: "by_order".to_owned(),
            listings: 2,
            at: None,
            missing: Vec::new(),
        },
        dead_man_switch: "none".to_owned(),
        external_entries: 0,
        pending_jobs: Vec::new(),
        tasks: TaskReport::default(),
        positions: vec![PositionReport {
            venue: "main".to_owned(),
            symbol: Symbol::new("BTC-USDT"),
            qty: "0.010".parse().unwrap(),
            notional: Some("640.005".parse().unwrap()),
            mark: Some("64000.5".parse().unwrap()),
        }],
        state_flushed: true,
        recorder_flushed: true,
        swept_by: "trader".to_owned(),
        exit_code,
    }
}

#[test]
fn the_report_names_what_is_left_and_does_not_flatter_a_draft() {
    let cases = [
        (
            true,
            0,
            &[
                "clean (exit code 0)",
                "3 canceled",
                "0 remaining",
                "by_order, 2 listings",
                "BTC-USDT 0.01 (640.00 at 64000.5)",
            ] as &[&str],
        ),
        (true, 3, &["MAY BE OPEN (exit code 3)", "lo7k2p000a1a000001", "UNKNOWN", "never answered", "NONE (by_order)"]),
        (false, 3, &["DID NOT COME TO ITS END", "lo7k2p000a1a000001"]),
    ];
    for (complete, exit_code, parts) in cases {
        let desk = Desk::new();
        let text = serde_json::to_string(&report(complete, exit_code)).unwrap();
        desk.put("last_shutdown.json", &text);
        let done = desk.call(&["report"]);
        assert_eq!(done.code, 0);
        for part in parts {
            assert!(done.out.contains(part), "`{part}` is missing in:\n{}", done.out);
        }
        assert_eq!(desk.call(&["report", "--json"]).out.trim_end(), text);
    }
}

#[test]
fn a_report_that_is_missing_or_broken_is_a_failure() {
    let desk = Desk::new();
    let done = desk.call(&["report"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.contains("There is no report"));
    desk.put("last_shutdown.json", "{\"version\": 1");
    assert_eq!(desk.call(&["report"]).code, 1);
}

#[test]
fn doctor_finds_nothing_wrong_where_nothing_is_wrong() {
    let desk = Desk::new();
    let done = desk.call(&["doctor"]);
    assert_eq!(done.code, 0, "{}", done.out);
    for part in [
        "No problems found",
        "0700",
        "free: no trader",
        "60 open orders",
        "45 s",
        "none yet",
        "nobody until somebody kills it",
    ] {
        assert!(done.out.contains(part), "`{part}` is missing in:\n{}", done.out);
    }
}

#[test]
fn doctor_names_each_problem_with_its_mend() {
    type Break = fn(&Desk);
    let cases: &[(&str, Break, &[&str])] = &[
        ("configuration", |desk| desk.configure("[shutdown]\ncancel_timeout_s = 1\n"), &["c.toml:2", "5 to 600"]),
        (
            "open directory",
            |desk| fs::set_permissions(desk.state_dir(), fs::Permissions::from_mode(0o755)).unwrap(),
            &["0755", "Mend: chmod 700"],
        ),
        (
            "configuration others may change",
            |desk| fs::set_permissions(desk.file(), fs::Permissions::from_mode(0o622)).unwrap(),
            &["Others may change", "Mend: chmod go-w"],
        ),
        ("open orders", |desk| desk.put("state.json", OPEN_ORDER), &["id=lo7k2p000a1a000001", "Mend: lastorders run"]),
        ("damaged state", |desk| desk.put("state.json", "{"), &["state.json cannot be read", "Mend: "]),
        ("damaged report", |desk| desk.put("last_shutdown.json", "{"), &["last_shutdown.json cannot be read"]),
        (
            "residue",
            |desk| desk.put("last_shutdown.json", &serde_json::to_string(&report(true, 3)).unwrap()),
            &["left 1 order that may be open", "Mend: lastorders report"],
        ),
        (
            "a stop cut short",
            |desk| desk.put("last_shutdown.json", &serde_json::to_string(&report(false, 3)).unwrap()),
            &["DID NOT COME TO ITS END"],
        ),
    ];
    for (what, damage, parts) in cases {
        let desk = Desk::new();
        damage(&desk);
        let done = desk.call(&["doctor"]);
        assert_eq!(done.code, 1, "{what}:\n{}", done.out);
        assert!(done.out.contains("One problem:"), "{what}:\n{}", done.out);
        for part in *parts {
            assert!(done.out.contains(part), "{what}: `{part}` is missing in:\n{}", done.out);
        }
    }
}

#[test]
fn doctor_sees_who_holds_the_lock_and_does_not_call_its_orders_a_problem() {
    let desk = Desk::new();
    desk.put("lastorders.lock", "");
    desk.put("lastorders.pid", "4242\n");
    desk.put("state.json", OPEN_ORDER);
    assert!(desk.call(&["doctor"]).out.contains("free: no trader"), "a pid file alone means nothing");
    let file = fs::File::open(desk.state_dir().join("lastorders.lock")).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let done = desk.call(&["doctor"]);
    assert_eq!(done.code, 0, "{}", done.out);
    assert!(done.out.contains("held: a trader is running, pid 4242"), "{}", done.out);
}

#[test]
fn doctor_looks_without_touching() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path().join("not/there");
    let file = folder.path().join("c.toml");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let env = [("LASTORDERS_STATE_DIR", state_dir.to_str().unwrap()), ("LASTORDERS_CONFIG", file.to_str().unwrap())];
    let done = call(&["doctor"], &env);
    assert_eq!(done.code, 0, "{}", done.out);
    assert!(done.out.contains("not yet: the first start makes it"));
    assert!(!Path::new(&state_dir).exists() && !folder.path().join("not").exists());
}
