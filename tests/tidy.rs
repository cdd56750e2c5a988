//! The tree checks itself: who may name whom, what stays out of where, who may make the values that prove something.
//!
//! The tables below are the rules; to change a rule is to change a line here, with its reason. Each rule is a pure
//! function over a file's text and is itself shown planted violations (`tidy/planted.rs`), and a rule or a line of a
//! table that finds nothing to look at fails, so that none of them rots when a file moves.

#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/tree.rs"]
mod tree;

use rules::{Ban, Home, Looked, Mint, Row, inspect};
use tree::Source;

/// Look down, never sideways. `lib.rs` and `main.rs` only join the modules.
const RINGS: &[Row] = &[
    row(0, "domain", &[]),
    row(1, "orders", &["domain"]),
    row(1, "outbox", &["domain"]),
    row(1, "exchange", &["domain"]),
    row(1, "engine", &["domain", "orders"]),
    row(1, "startup", &["domain", "orders"]),
    row(1, "shutdown", &["domain", "orders"]),
    row(1, "venues", &["domain"]),
    row(2, "net", &[]),
    row(2, "store", &["domain"]),
    row(2, "control", &["domain"]),
    row(3, "runtime", BELOW_RUNTIME),
    row(4, "cli", BELOW_CLI),
    // Beside the rings: the simulated world, around the same machines.
    row(3, "sim", BESIDE),
];
const BELOW_RUNTIME: &[&str] =
    &["domain", "orders", "outbox", "exchange", "engine", "startup", "shutdown", "venues", "net", "store", "control"];
const BELOW_CLI: &[&str] = &[
    "domain", "orders", "outbox", "exchange", "engine", "startup", "shutdown", "venues", "net", "store", "control",
    "runtime",
];
const BESIDE: &[&str] = BELOW_CLI;

/// Rings 0 and 1: same inputs, same outputs, byte for byte.
const PURE: &[&str] = &["domain", "orders", "outbox", "exchange", "engine", "startup", "shutdown", "venues"];

const BANS: &[Ban] = &[
    Ban {
        what: "rings 0 and 1 have no clock, chance, thread, file, socket, environment, log or shared memory",
        within: PURE,
        paths: &[
            "std::time::Instant",
            "std::time::SystemTime",
            "std::time::UNIX_EPOCH",
            "std::thread",
            "std::fs",
            "std::net",
            "std::os",
            "std::env",
            "std::process",
            "std::io",
            "std::cell",
            "std::sync::Mutex",
            "std::sync::RwLock",
            "std::sync::Condvar",
            "std::sync::OnceLock",
            "std::sync::LazyLock",
            "std::sync::atomic",
            "std::sync::mpsc",
            "crossbeam_channel",
            "rustix",
            "signal_hook",
            "log",
            "env_logger",
            "rand",
            "getrandom",
            "ring::rand",
            "jiff::Timestamp::now",
            "jiff::Zoned",
            "jiff::tz",
        ],
        macros: &["thread_local"],
        ..Ban::EMPTY
    },
    Ban {
        what: "its order is random from run to run: BTreeMap, BTreeSet or Vec",
        within: PURE,
        names: &["HashMap", "HashSet", "RandomState", "hash_map", "hash_set"],
        ..Ban::EMPTY
    },
    Ban {
        what: "no float for money: Decimal, PriceTicks or Lots",
        names: &["f32", "f64"],
        float_literals: true,
        homes: FLOAT_HOMES,
        ..Ban::EMPTY
    },
    Ban {
        what: "clocks are read in one file; everywhere else time is an argument",
        paths: &[
            "std::time::Instant",
            "std::time::SystemTime",
            "std::time::UNIX_EPOCH",
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
            "rustix::time",
            "crossbeam_channel::after",
            "crossbeam_channel::at",
            "crossbeam_channel::tick",
        ],
        homes: CLOCK_HOMES,
        ..Ban::EMPTY
    },
    Ban {
        what: "threads have a name, an owner and an end: made in few places",
        paths: &["std::thread"],
        homes: THREAD_HOMES,
        ..Ban::EMPTY
    },
    Ban {
        what: "sockets are opened in few places",
        paths: &[
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "std::os::unix::net",
            "rustix::net",
        ],
        homes: SOCKET_HOMES,
        ..Ban::EMPTY
    },
    Ban {
        what: "the environment is read where the configuration is made",
        paths: &["std::env"],
        homes: ENVIRONMENT_HOMES,
        ..Ban::EMPTY
    },
    Ban {
        what: "chance is drawn in few places, and handed in as a value",
        paths: &["rand", "getrandom", "ring::rand", "rustix::rand"],
        homes: CHANCE_HOMES,
        ..Ban::EMPTY
    },
    Ban {
        what: "nobody ends the process from inside: a verdict goes up to main",
        paths: &["std::process::exit", "std::process::abort", "signal_hook::low_level::exit"],
        homes: EXIT_HOMES,
        ..Ban::EMPTY
    },
    Ban {
        what: "a closed or full pipe must not stop trading: writeln! to a handle, or the log",
        macros: &["println", "print", "eprintln", "eprint", "dbg"],
        ..Ban::EMPTY
    },
    Ban { what: "no unsafe code", names: &["unsafe"], ..Ban::EMPTY },
];

const FLOAT_HOMES: &[Home] = &[home("src/cli/config/nearest.rs", "how alike two words are; no money")];
const CLOCK_HOMES: &[Home] = &[
    home("src/runtime/clock.rs", "the one clock that decides anything"),
    home("src/control/lines.rs", "when to give up on a connection"),
    home("src/net/", "when to give up on a peer, and when a request arrived"),
    home("src/store/thread.rs", "a timer: when to look at a refused disk again"),
];
const THREAD_HOMES: &[Home] = &[
    home("src/runtime/", "names, starts and joins them"),
    home("src/control/", "one for the door, one for a connection"),
    home("src/net/", "looking names up ahead; the server's door and its connections"),
];
const SOCKET_HOMES: &[Home] = &[
    home("src/control/", "the control socket, both ends"),
    home("src/net/", "the sockets of clients and of the small server"),
    home("src/runtime/signals.rs", "a pair with itself, so that a signal wakes whoever waits"),
];
const ENVIRONMENT_HOMES: &[Home] = &[
    home("src/cli/", "configuration"),
    home("src/main.rs", "whether this is a run: then signals are registered before anything else is read"),
];
const CHANCE_HOMES: &[Home] = &[
    home("src/runtime/trader.rs", "draws the instance of a new state directory, once"),
    home("src/runtime/live/", "chance for signatures; waits that are never the same twice"),
];
/// `main` returns its code; nobody else may end the process.
const EXIT_HOMES: &[Home] = &[];

/// Values that prove something are made in one place each.
const MINTS: &[Mint] = &[
    // An order passed the risk gate.
    Mint { call: "Checked::mint", places: &["src/engine/risk.rs"] },
    // A record survives.
    Mint { call: "Durable::synced", places: &["src/store/thread.rs"] },
    // The venue showed that nothing of ours is left.
    Mint { call: "Proof::mint", places: &["src/orders/sweep.rs"] },
];

/// Longer than this is split; a file that is better whole has a line here with its own limit and the reason.
const LINES_MAX: usize = 700;
const LONG_FILES: &[(&str, usize, &str)] = &[];

/// Test files that may wait by the clock: they poll for something with a deadline.
const NAP_HOMES: &[&str] = &["tests/it/harness/wait.rs"];

/// Paths that exist on one machine only. Taken apart so that this file does not hold them.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("../sha", "red/"),
];
/// The gate uses a copy of the advisory data base that may lie beside the repository; two tests read frames and answers of
/// venues that may lie there, and say so where they do not.
const MACHINE_PATH_HOMES: &[&str] = &[".ci/run", "tests/it/venue_samples.rs", "tests/it/venue_streams.rs"];

const UNFINISHED_WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

const fn row(ring: u8, module: &'static str, may_use: &'static [&'static str]) -> Row {
    Row { module, ring, may_use }
}

const fn home(place: &'static str, why: &'static str) -> Home {
    Home { place, why }
}

/// Says how much each rule looked at, and all that they found.
#[derive(Default)]
struct Checks(Vec<String>);

impl Checks {
    #[allow(clippy::print_stdout, reason = "how much a rule looked at is read with --nocapture")]
    fn add(&mut self, rule: &str, looked: Looked) {
        println!("{rule}: {} files, {} lines", looked.files, looked.lines);
        self.0.extend(looked.findings.iter().map(|finding| {
            format!(
                "{rule}
    {finding}"
            )
        }));
    }

    fn done(self) {
        assert!(
            self.0.is_empty(),
            "
{}",
            self.0.join(
                "
"
            )
        );
    }
}

fn check(rule: &str, looked: Looked) {
    let mut checks = Checks::default();
    checks.add(rule, looked);
    checks.done();
}

fn library(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| source.is_library())
}

fn rust(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| source.is_rust())
}

#[test]
fn every_module_looks_down_and_never_sideways() {
    let sources = tree::read();
    let mut checks = Checks(rules::table_fits(&sources, RINGS));
    for row in RINGS {
        let own = library(&sources).filter(|source| source.modules().first() == Some(&row.module));
        checks.add(&format!("ring of {}", row.module), inspect(own, |source| rules::stray_uses(source, RINGS)));
    }
    checks.done();
}

#[test]
fn what_is_banned_stays_out() {
    let sources = tree::read();
    let mut checks = Checks::default();
    for ban in BANS {
        let watched = library(&sources).filter(|source| ban.is_about(source));
        let mut looked = inspect(watched, |source| ban.strays(source));
        looked.findings.extend(ban.stale_homes(&sources));
        checks.add(ban.what, looked);
    }
    checks.done();
}

#[test]
fn proofs_are_made_in_their_own_places() {
    let sources = tree::read();
    let mut checks = Checks::default();
    for mint in MINTS {
        let mut looked = inspect(library(&sources), |source| mint.forged(source));
        looked.findings.extend(mint.idle(&sources));
        checks.add(mint.call, looked);
    }
    checks.done();
}

#[test]
fn every_file_says_what_it_is() {
    check("header", inspect(rust(&tree::read()), rules::missing_header));
}

#[test]
fn every_test_runs_and_nothing_is_left_unfinished() {
    let sources = tree::read();
    let mut checks = Checks::default();
    checks.add("ignored tests", inspect(rust(&sources), rules::ignored_tests));
    checks.add("unfinished code", inspect(rust(&sources), rules::unfinished));
    checks.add("unfinished words", inspect(&sources, |source| rules::banned_words(source, UNFINISHED_WORDS)));
    checks.done();
}

#[test]
fn no_test_sleeps_for_luck() {
    check("sleeping tests", inspect(rust(&tree::read()), |source| rules::naps(source, NAP_HOMES)));
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let sources = tree::read();
    let mut looked = inspect(rust(&sources), |source| rules::too_long(source, LINES_MAX, LONG_FILES));
    looked.findings.extend(rules::stale_lengths(&sources, LINES_MAX, LONG_FILES));
    check("length", looked);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let sources = tree::read();
    let watched = sources.iter().filter(|source| !MACHINE_PATH_HOMES.contains(&source.path.as_str()));
    check("machine paths", inspect(watched, |source| rules::banned_words(source, MACHINE_PATHS)));
}
