//! A trader in LIVE against an exchange of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::daemon::{Daemon, Exit, Home, Plan, Whom};
use crate::harness::wait;
use crate::oracle::files::{Journal, read_state, states_recorded};
use crate::oracle::ledger::Ledger;
use crate::venue::exchange::{Exchange, SECRET};
use crate::venue::ledger::VenueLedger;

pub(super) const VENUE: &str = "main";
const INSTANCE: &str = "a1b2";
pub(super) const READY_LIMIT: Duration = Duration::from_secs(90);
/// The longest stop there is, and what a busy machine adds.
pub(super) const EXIT_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks into a ledger that grows.
const LOOK: Duration = Duration::from_millis(10);

/// What is traded, and how the exchange is.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// Rungs of a ladder far below the market, on spot and on the contract: they rest.
    pub(super) rungs: (usize, usize),
    /// A market maker on spot and a ladder on the contract at the market: they are filled and move.
    pub(super) is_busy: bool,
    pub(super) latency_ms: u32,
    pub(super) jitter_ms: u32,
    pub(super) is_exclusive: bool,
    pub(super) cancel_timeout_s: u32,
    pub(super) market_seed: u64,
}

impl Terms {
    /// So many orders that rest until they are cancelled.
    pub(super) fn resting(n_orders: usize) -> Terms {
        // The contract takes half as many a second as spot does.
        let n_linear = n_orders / 3;
        Terms {
            rungs: (n_orders - n_linear, n_linear),
            is_busy: false,
            latency_ms: 0,
            jitter_ms: 0,
            is_exclusive: false,
            cancel_timeout_s: 30,
            market_seed: 1,
        }
    }

    fn config(&self) -> String {
        let Terms { is_exclusive, cancel_timeout_s, .. } = self;
        // What a stop can cancel in its time: 0.7 of twenty a second.
        let n_orders_max = 14 * cancel_timeout_s;
        let mut text = format!(
            r#"instance = "{INSTANCE}"

[[venue]]
name = "{VENUE}"
kind = "bybit"
symbols = ["BTC-USDT", "BTC-USDT-PERP"]
exclusive_account = {is_exclusive}

[shutdown]
cancel_timeout_s = {cancel_timeout_s}

[risk]
max_order_notional = "200000"
max_position_notional = "10000000"
max_open_orders = {n_orders_max}
max_orders_per_second = 18
max_daily_loss = "1000000"
"#
        );
        for (name, symbol, rungs) in
            [("deep_spot", "BTC-USDT", self.rungs.0), ("deep_linear", "BTC-USDT-PERP", self.rungs.1)]
        {
            if rungs > 0 {
                text.push_str(&format!(
                    r#"
[[strategy]]
name = "{name}"
kind = "ladder"
symbols = ["{symbol}"]
side = "buy"
start_offset_bps = 300
step = "0.5"
rungs = {rungs}
order_qty = "0.001"
"#
                ));
            }
        }
        if self.is_busy {
            text.push_str(BUSY);
        }
        text
    }
}

const BUSY: &str = r#"
[[strategy]]
name = "mm"
kind = "market_maker"
symbols = ["BTC-USDT"]
levels = 3
spread_bps = "6"
level_step_bps = "3"
order_qty = "0.02"
max_position_qty = "1"
skew_bps = "2"
requote_bps = "2"

[[strategy]]
name = "rungs"
kind = "ladder"
symbols = ["BTC-USDT-PERP"]
side = "both"
start_offset_bps = "4"
step = "5"
rungs = 6
order_qty = "0.5"
"#;

static STANDS: AtomicU32 = AtomicU32::new(0);

/// An exchange, a trader's home, and the trader while it runs.
pub(super) struct Stand {
    pub(super) exchange: Exchange,
    pub(super) home: Home,
    plan: Plan,
    daemon: Option<Daemon>,
    folder: TempDir,
}

impl Stand {
    /// Starts an exchange. Nothing trades yet.
    pub(super) fn new(terms: &Terms) -> Result<Stand, String> {
        let mut folder = TempDir::new().map_err(|error| error.to_string())?;
        folder.disable_cleanup(super::switch("LASTORDERS_TEST_KEEP").is_some());
        let place = folder.path().join("exchange");
        std::fs::create_dir(&place).map_err(|error| error.to_string())?;
        let activity = if terms.is_busy { 8_000 } else { 0 };
        // Who has the same key has the same lock: each of these has its own.
        let key = format!("live-{}-{}", std::process::id(), STANDS.fetch_add(1, Ordering::Relaxed));
        let words = [
            ("--key", format!("{key}:{SECRET}")),
            ("--latency-ms", terms.latency_ms.to_string()),
            ("--latency-jitter-ms", terms.jitter_ms.to_string()),
            ("--activity", activity.to_string()),
            ("--seed", terms.market_seed.to_string()),
        ];
        let words: Vec<&str> = words.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        let exchange = Exchange::start(&place, &words);
        let mut plan = Plan::new(&terms.config());
        plan.environment = exchange.environment();
        plan.environment.retain(|(name, _)| *name != "BYBIT_API_KEY");
        plan.environment.extend([("BYBIT_API_KEY", key), ("MODE", "LIVE".to_owned())]);
        Ok(Stand { exchange, home: Home::new(folder.path()), plan, daemon: None, folder })
    }

    /// Starts the trader; it need not be ready.
    pub(super) fn start(&mut self) {
        self.daemon = Some(Daemon::start(&self.home, &self.plan));
    }

    /// Starts the trader and waits until it trades.
    pub(super) fn start_ready(&mut self) -> Result<(), String> {
        self.start();
        self.daemon().wait_ready(READY_LIMIT)
    }

    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("a trader was started")
    }

    /// Waits until so many orders were accepted in all, and are not closed.
    pub(super) fn wait_open(&mut self, n_orders: usize) -> Result<(), String> {
        let place = self.exchange.ledger_path();
        let seen = wait::until(READY_LIMIT, &format!("{n_orders} orders on the book"), || {
            // The whole ledger is judged at the end. Here a count must do: it is taken often.
            let text = std::fs::read_to_string(&place).unwrap_or_default();
            let count = |kind: &str| text.matches(&format!("\"kind\":\"{kind}\"")).count();
            let n_open = count("accepted").saturating_sub(count("closed"));
            if n_open >= n_orders {
                return Some(());
            }
            wait::let_pass(LOOK);
            None
        });
        seen.map_err(|why| format!("{why}\n{}", self.printed()))
    }

    /// Whether a fault strikes within a time.
    pub(super) fn has_struck(&self, word: &str, limit: Duration) -> bool {
        let place = self.exchange.ledger_path();
        let wanted = format!("\"fault\":\"{word}\"");
        let seen = wait::until(limit, &format!("the fault {word}"), || {
            let has_struck = std::fs::read_to_string(&place).unwrap_or_default().contains(&wanted);
            if !has_struck {
                wait::let_pass(LOOK);
            }
            has_struck.then_some(())
        });
        seen.is_ok()
    }

    /// Sends a signal, and says when. What it met is read from the daemon's own records later, by `states_at`.
    pub(super) fn signal(&mut self, signal: Signal) -> Struck {
        let state = read_state(&self.home.state().join("state.json")).ok();
        let at_us = wait::wall_us();
        let was_ready = self.daemon().is_ready();
        self.daemon().signal(Whom::Run, signal);
        let journal = Journal::read(&self.home.state().join("journal"), false);
        Struck { at_us, was_ready, state, journal }
    }

    /// Waits until it has ended.
    pub(super) fn wait_exit(&mut self) -> Result<Exit, String> {
        let exit = self.daemon().wait_exit(EXIT_LIMIT)?;
        self.daemon = None;
        Ok(exit)
    }

    /// Kills the trader without a word.
    pub(super) fn kill(&mut self) {
        self.daemon().kill();
        self.daemon = None;
    }

    pub(super) fn ledger(&self) -> VenueLedger {
        self.exchange.ledger()
    }

    pub(super) fn state(&self) -> PathBuf {
        self.home.state()
    }

    pub(super) fn report(&self) -> Result<Value, String> {
        crate::oracle::verdict::read_json(&self.home.state().join("last_shutdown.json"))
    }

    /// The exchange is told something.
    pub(super) fn order(&self, command: &Value) {
        self.exchange.order(command);
    }

    /// What both have printed, and where their files lay.
    pub(super) fn printed(&self) -> String {
        let said = self.home.printed();
        // Below the banner, and not every order by name.
        let said: Vec<&str> =
            said.lines().skip_while(|line| !line.starts_with("20")).filter(|line| !line.contains("   - ")).collect();
        format!("{}\n{}\n{}", self.folder.path().display(), said.join("\n"), self.exchange.errors())
    }
}

/// A signal that was sent, and what its receiver knew.
pub(super) struct Struck {
    pub(super) at_us: i64,
    pub(super) was_ready: bool,
    state: Option<Value>,
    journal: Journal,
}

impl Struck {
    /// In which states orders were when the signal came, by the receiver's records. To be asked after its end, because
    /// what was on its way to the disk is only there then; a segment may be deleted before, so both looks count.
    pub(super) fn states(&self, stand: &Stand) -> Vec<String> {
        let mut journal = self.journal.clone();
        journal.records.extend(Journal::read(&stand.state().join("journal"), false).records);
        let at = jiff::Timestamp::from_millisecond(self.at_us / 1_000).expect("a time of today");
        states_recorded(self.state.as_ref(), &journal, &format!("{at:.3}")).into_values().collect()
    }
}

/// Open orders of a ledger.
pub(super) fn open_ids(ledger: &Ledger) -> Vec<String> {
    ledger.open().map(|(id, _)| id.clone()).collect()
}
