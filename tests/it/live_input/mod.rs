//! LIVE through the real binary, everything but its stop: what it refuses and in which words, what it makes of answers
//! that are none, of streams that break, of accounts that others touch; and the modes that must not touch the venue.
//!
//! The venue is `lastorders exchange` (`venue`), some answers of which a proxy in between exchanges for others
//! (`meddler`). What was sent is read from the exchange's ledger, what was booked from the state directory.
//!
//! Always holds: every trader here has a key and a secret of its own that may stand nowhere afterwards; nothing waits
//! without a deadline, nothing sleeps for luck.

mod books;
mod garbage;
mod judge;
mod keys;
mod meddler;
mod modes;
#[cfg(test)]
mod planted;
mod reconnects;
mod refused;
mod self_signed;
mod starts;
mod unusable;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::daemon::{Daemon, Exit, Home, Plan, Whom};
use crate::harness::wait;
use crate::venue::exchange::Exchange;
use crate::venue::ledger::VenueLedger;

/// A start, with everything a busy machine adds.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// A start gives up after a minute; the stop after it has its own time.
const EXIT_LIMIT: Duration = Duration::from_secs(150);

/// Between two looks that cost more than a look at a flag.
const LOOK: Duration = Duration::from_millis(30);

const INSTANCE: &str = "a1b2";

/// A small trader: two quotes each way on spot, a few rungs far below on the contract.
const CONFIG: &str = r#"
instance = "a1b2"

[[venue]]
name = "main"
kind = "bybit"
symbols = ["BTC-USDT", "BTC-USDT-PERP"]
exclusive_account = false

[[strategy]]
name = "mm"
kind = "market_maker"
symbols = ["BTC-USDT"]
levels = 2
spread_bps = 10
level_step_bps = 5
order_qty = "0.002"
max_position_qty = "0.02"
skew_bps = 2
requote_bps = 3

[[strategy]]
name = "rungs"
kind = "ladder"
symbols = ["BTC-USDT-PERP"]
side = "buy"
start_offset_bps = 200
step = "1"
rungs = 6
order_qty = "0.001"

[shutdown]
cancel_timeout_s = 10

[risk]
max_order_notional = "1000"
max_position_notional = "50000"
max_open_orders = 60
max_orders_per_second = 50
collar_through_bps = 100
collar_away_bps = 5000
max_daily_loss = "5000"
"#;

/// A crowd that trades now and then: most fills are those that a test asks for.
const QUIET: [&str; 2] = ["--activity", "300"];

/// A key of an account. Each name is drawn once: two runs with one key on one machine exclude each other.
#[derive(Clone, Debug)]
struct Key {
    key: String,
    secret: String,
    account: u64,
}

impl Key {
    fn new(account: u64) -> Key {
        static DRAWN: AtomicU64 = AtomicU64::new(0);
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:x}-{drawn:x}", std::process::id());
        Key { key: format!("canary-key-{name}"), secret: format!("canary-secret-{name}"), account }
    }

    /// As an exchange is told of it.
    fn word(&self, flags: &str) -> String {
        format!("{}:{}:{}:{flags}", self.key, self.secret, self.account)
    }
}

/// An exchange with these keys, and further words.
fn exchange(folder: &Path, keys: &[(&Key, &str)], words: &[&str]) -> Exchange {
    let keys: Vec<String> = keys.iter().map(|(key, flags)| key.word(flags)).collect();
    let keys = keys.iter().flat_map(|key| ["--key", key.as_str()]);
    Exchange::start(folder, &keys.chain(words.iter().copied()).collect::<Vec<_>>())
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Where a trader lives, what it reads and what it is told by its environment.
struct Desk {
    folder: TempDir,
    home: Home,
    config: String,
    environment: Vec<(&'static str, String)>,
}

/// A command that has ended.
struct Said {
    code: Option<i32>,
    text: String,
}

impl Desk {
    /// LIVE towards an exchange at this address.
    fn live(at: SocketAddr, key: &Key) -> Desk {
        let folder = temporary();
        let home = Home::new(folder.path());
        let environment = [
            ("MODE", "LIVE".to_owned()),
            ("BYBIT_REST_URL", format!("http://{at}")),
            ("BYBIT_WS_PUBLIC_URL", format!("ws://{at}/v5/public/linear")),
            ("BYBIT_WS_PRIVATE_URL", format!("ws://{at}/v5/private")),
            ("BYBIT_API_KEY", key.key.clone()),
            ("BYBIT_API_SECRET", key.secret.clone()),
        ];
        Desk { folder, home, config: CONFIG.to_owned(), environment: environment.to_vec() }
    }

    /// With another value of a variable; an empty one is as none.
    fn with(mut self, name: &'static str, value: &str) -> Desk {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.to_owned()));
        self
    }

    /// With a piece of the configuration exchanged for another.
    fn with_config(mut self, from: &str, to: &str) -> Desk {
        assert!(self.config.contains(from), "`{from}` is not in the configuration");
        self.config = self.config.replace(from, to);
        self
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn value_of(&self, name: &str) -> &str {
        self.environment.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Starts the trader.
    fn start(&self) -> Trader<'_> {
        let mut plan = Plan::new(&self.config);
        plan.environment.clone_from(&self.environment);
        Trader { desk: self, daemon: Daemon::start(&self.home, &plan) }
    }

    /// Starts it and waits until it trades.
    fn start_ready(&self) -> Trader<'_> {
        let mut trader = self.start();
        trader.daemon.wait_ready(READY_LIMIT).unwrap_or_else(|why| panic!("{why}"));
        trader
    }

    /// Runs it until it ends by itself.
    fn run_out(&self) -> Said {
        let before = self.home.printed().len();
        let exit = self.start().wait_exit();
        Said { code: exit.code, text: self.home.printed()[before..].to_owned() }
    }

    /// A command beside the trader, or without one.
    fn command(&self, words: &[&str]) -> Said {
        std::fs::write(self.place("lastorders.toml"), &self.config).expect("a file in a temporary folder");
        let output: Output = self.home.command_with(words, &self.environment).expect("the binary under test runs");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Said { code: output.status.code(), text }
    }

    /// What the running trader says of itself.
    fn status(&self) -> Option<Value> {
        let said = self.command(&["status", "--json"]);
        serde_json::from_str(&said.text).ok()
    }

    /// Client ids of ours begin so.
    fn ours() -> String {
        format!("lo{INSTANCE}")
    }
}

/// A running trader.
struct Trader<'d> {
    desk: &'d Desk,
    daemon: Daemon,
}

impl Trader<'_> {
    fn wait_exit(&mut self) -> Exit {
        self.daemon.wait_exit(EXIT_LIMIT).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Asks it to end as a supervisor does.
    fn terminate(&mut self) -> Exit {
        self.daemon.signal(Whom::Run, Signal::TERM);
        self.wait_exit()
    }

    /// Waits for something, while it must not end.
    fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let seen = wait::until(READY_LIMIT, what, || {
            assert!(self.daemon.is_ready(), "it ended before {what}\n{}", self.desk.home.printed());
            wait::let_pass(LOOK);
            look()
        });
        seen.unwrap_or_else(|why| panic!("{why}\n{:#?}\n{}", self.desk.status(), self.desk.home.printed()))
    }

    /// Waits until it trades without a hold and has booked every fill that the exchange knows.
    fn wait_settled(&mut self, exchange: &Exchange, account: u64) {
        let desk = self.desk;
        let mut last = (0, Value::Null, Value::Null);
        let seen = wait::until(READY_LIMIT, "every fill to be booked and trading to go on", || {
            assert!(self.daemon.is_ready(), "it ended\n{}", desk.home.printed());
            wait::let_pass(LOOK);
            let before = n_fills(&exchange.ledger(), account);
            let status = desk.status()?;
            last = (before, status["fills"].clone(), status["ready"].clone());
            (status["ready"] == true && status["fills"] == before).then_some(())
        });
        seen.unwrap_or_else(|why| panic!("{why}; fills there, here, and ready: {last:?}\n{}", desk.home.printed()));
    }

    /// Waits until an order of ours rests.
    fn wait_quoting(&mut self, exchange: &Exchange, account: u64, symbol: &str) {
        self.wait_for("an order on the book", || resting(exchange, account, symbol).map(drop));
    }
}

/// Orders of an account that live and are ours.
fn ours_live(ledger: &VenueLedger, account: u64) -> usize {
    let ours = Desk::ours();
    ledger.live_of(account).iter().filter(|id| id.starts_with(&ours)).count()
}

/// An order of ours that rests now, as the admin port shows it.
fn resting(exchange: &Exchange, account: u64, symbol: &str) -> Option<Value> {
    let shown = exchange.look("orders");
    let accounts = shown["accounts"].as_array()?;
    let here = accounts.iter().find(|one| one["account"] == account)?;
    let is_ours = |row: &&Value| {
        row["symbol"] == symbol && row["orderLinkId"].as_str().is_some_and(|id| id.starts_with(&Desk::ours()))
    };
    here["orders"].as_array()?.iter().find(is_ours).map(|row| row["order"].clone())
}

/// Someone takes an order of ours, if one rests, and everything before it.
fn take_one(exchange: &Exchange, account: u64, symbol: &str) -> bool {
    let Some(order) = resting(exchange, account, symbol) else { return false };
    let side = if order["side"] == "Buy" { "SELL" } else { "BUY" };
    let command =
        json!({"command": "crowd_takes", "symbol": symbol, "side": side, "price": order["price"], "qty": "2"});
    exchange.order(&command);
    true
}

/// How many fills of ours an account has at the exchange.
fn n_fills(ledger: &VenueLedger, account: u64) -> u64 {
    let ours = |client_id: &str| client_id.starts_with(&Desk::ours());
    ledger.book.fills.values().filter(|fill| fill.account == account && ours(&fill.client_id)).count() as u64
}

/// Something that is played from its beginning to its end, and what was wrong with it.
type Story = (&'static str, fn() -> Vec<String>);

/// Plays stories at once: most of their time is waiting. Nothing may be wrong with any.
fn tell(stories: &[Story]) {
    assert_none(&all_at_once(stories, |(name, _)| (*name).to_owned(), |(_, story)| story()));
}

/// Plays every case at once, each in a thread of its own: what was wrong, with the names.
fn all_at_once<C: Sync>(
    cases: &[C],
    name: impl Fn(&C) -> String,
    play: impl Fn(&C) -> Vec<String> + Sync,
) -> Vec<String> {
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let players: Vec<_> = cases.iter().map(|case| (name(case), scope.spawn(|| play(case)))).collect();
        for (name, player) in players {
            let findings = player.join().unwrap_or_else(|panic| {
                vec![panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned())]
            });
            if !findings.is_empty() {
                failures.push(format!("{name}: {}", findings.join("\n")));
            }
        }
    });
    failures
}

fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} failed:\n{}", findings.len(), findings.join("\n\n"));
}
