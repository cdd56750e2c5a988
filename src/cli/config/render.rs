//! The effective settings as a file that can be read back. A value that was given says where; the others are defaults.

use std::fmt::Display;
use std::fmt::Write;

use super::Loaded;
use crate::domain::ids::Symbol;
use crate::domain::order::Side;
use crate::domain::settings::{
    LadderSides, LadderStart, OnExit, OnStart, SimSettings, StrategyKind, StrategySettings, SymbolLimits, Sync,
    VenueKind, VenueSettings,
};

/// Where the comments begin.
const COMMENT_COLUMN: usize = 38;

/// The settings as TOML.
pub fn toml(loaded: &Loaded) -> String {
    let mut page = Page { text: String::new(), loaded, path: String::new() };
    let settings = &loaded.settings;
    match settings.instance {
        Some(instance) => page.key("instance", quoted(instance.as_str())),
        None => page.comment("instance is drawn at the first start and kept in the state directory"),
    }
    settings.venues.iter().for_each(|venue| page.venue(venue));
    settings.strategies.iter().for_each(|strategy| page.strategy(strategy));
    page.risk();
    page.table("shutdown");
    page.key("cancel_timeout_s", settings.shutdown.cancel_timeout_s);
    page.key("recorder_timeout_s", settings.shutdown.recorder_timeout_s);
    let on_exit = match settings.shutdown.on_exit {
        OnExit::Cancel => "cancel",
        OnExit::Keep => "keep",
    };
    page.key("on_exit", quoted(on_exit));
    page.table("start");
    let on_start = match settings.start.on_start {
        OnStart::Cancel => "cancel",
        OnStart::Adopt => "adopt",
    };
    page.key("on_start", quoted(on_start));
    page.key("other_instances", list(settings.start.other_instances.iter().map(|instance| instance.as_str())));
    page.table("guardian");
    page.comment("checked, but not in effect: the guardian is not built yet");
    let guardian = &loaded.extra.guardian;
    page.key("restart", quoted(guardian.restart));
    page.key("after_crash", quoted(guardian.after_crash));
    page.key("hang_timeout_s", guardian.hang_timeout_s);
    page.key("residue_timeout_s", guardian.residue_timeout_s);
    page.table("store");
    let sync = match settings.store.sync {
        Sync::Cycle => "cycle",
        Sync::Os => "os",
    };
    page.key("sync", quoted(sync));
    page.text
}

struct Page<'l> {
    text: String,
    loaded: &'l Loaded,
    path: String,
}

impl Page<'_> {
    fn key(&mut self, key: &str, value: impl Display) {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let line = format!("{key} = {value}");
        match self.loaded.origins.get(&path) {
            Some(origin) => self.line(&format!("{line:<COMMENT_COLUMN$} # {origin}")),
            None => self.line(&line),
        }
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {text}"));
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn header(&mut self, header: &str, path: String) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "\n{header}");
        self.path = path;
    }

    fn table(&mut self, name: &str) {
        self.header(&format!("[{name}]"), name.to_owned());
    }

    fn venue(&mut self, venue: &VenueSettings) {
        self.header("[[venue]]", format!("venue[{}]", venue.name));
        self.key("name", quoted(&venue.name));
        self.key("kind", quoted(venue.kind.word()));
        self.key("symbols", symbols(&venue.symbols));
        self.key("exclusive_account", venue.exclusive_account);
        if venue.kind == VenueKind::Sim {
            self.sim(venue);
            return;
        }
        let connection = &venue.connection;
        self.key("environment", quoted(connection.environment.word()));
        self.key("rate_multiple", connection.rate_multiple.to_string());
        for (key, address) in [
            ("rest_url", &connection.rest_url),
            ("ws_public_url", &connection.ws_public_url),
            ("ws_private_url", &connection.ws_private_url),
        ] {
            if let Some(address) = address {
                self.key(key, quoted(address));
            }
        }
    }

    fn sim(&mut self, venue: &VenueSettings) {
        let sim: &SimSettings = &venue.sim;
        self.header("[venue.sim]", format!("venue[{}].sim", venue.name));
        self.key("seed", sim.seed);
        self.key("latency_ms", sim.latency_ms);
        self.key("latency_jitter_ms", sim.latency_jitter_ms);
        self.key("activity", sim.activity);
        self.key("synchronous_cancel", sim.synchronous_cancel);
        self.key("batch_cancel_max", sim.batch_cancel_max);
        self.key("cancels_per_second", sim.cancels_per_second);
        self.key("open_orders_max", sim.open_orders_max);
        self.header("[venue.sim.faults]", format!("venue[{}].sim.faults", venue.name));
        let faults = &sim.faults;
        self.key("answer_lost", faults.answer_lost);
        self.key("server_error", faults.server_error);
        self.key("late_execution", faults.late_execution);
        self.key("partial_batch", faults.partial_batch);
        self.key("shuffled_batch", faults.shuffled_batch);
        self.key("not_found", faults.not_found);
        self.key("stale_listing", faults.stale_listing);
        self.key("broken_listing", faults.broken_listing);
        self.key("slow_cancel", faults.slow_cancel);
        self.key("rate_limited", faults.rate_limited);
        self.key("duplicate_push", faults.duplicate_push);
        self.key("lost_push", faults.lost_push);
    }

    fn strategy(&mut self, strategy: &StrategySettings) {
        self.header("[[strategy]]", format!("strategy[{}]", strategy.name));
        self.key("name", quoted(&strategy.name));
        self.key("venue", quoted(&strategy.venue));
        self.key("symbols", symbols(&strategy.symbols));
        match &strategy.kind {
            StrategyKind::MarketMaker(maker) => {
                self.key("kind", quoted("market_maker"));
                self.key("levels", maker.levels);
                self.key("spread_bps", amount(maker.spread_bps));
                // Zero stands for "there is one level"; the file has no such value.
                if !maker.level_step_bps.is_zero() {
                    self.key("level_step_bps", amount(maker.level_step_bps));
                }
                self.key("order_qty", amount(maker.order_qty));
                self.key("max_position_qty", amount(maker.max_position_qty));
                self.key("skew_bps", amount(maker.skew_bps));
                self.key("requote_bps", amount(maker.requote_bps));
                self.key("post_only", maker.post_only);
            }
            StrategyKind::Ladder(ladder) => {
                self.key("kind", quoted("ladder"));
                let side = match ladder.sides {
                    LadderSides::One(Side::Buy) => "buy",
                    LadderSides::One(Side::Sell) => "sell",
                    LadderSides::Both => "both",
                };
                self.key("side", quoted(side));
                match ladder.start {
                    LadderStart::Price(price) => self.key("start_price", amount(price)),
                    LadderStart::OffsetBps(offset) => self.key("start_offset_bps", amount(offset)),
                }
                self.key("step", amount(ladder.step));
                self.key("rungs", ladder.rungs);
                self.key("order_qty", amount(ladder.order_qty));
                self.key("post_only", ladder.post_only);
            }
        }
    }

    fn risk(&mut self) {
        let risk = &self.loaded.settings.risk;
        self.table("risk");
        self.limits(&risk.general);
        self.key("max_open_orders", risk.max_open_orders);
        self.key("max_orders_per_second", risk.max_orders_per_second);
        self.key("max_daily_loss", amount(risk.max_daily_loss));
        match risk.uncovered_max_notional {
            Some(most) => self.key("uncovered_max_notional", amount(most)),
            None => self.comment("uncovered_max_notional is not set: what rests without a venue's switch has no limit"),
        }
        for (symbol, limits) in &risk.symbols {
            let path = format!("risk.symbol.\"{symbol}\"");
            self.header(&format!("[{path}]"), path);
            self.limits(limits);
        }
    }

    fn limits(&mut self, limits: &SymbolLimits) {
        self.key("max_order_notional", amount(limits.max_order_notional));
        self.key("max_position_notional", amount(limits.max_position_notional));
        self.key("collar_through_bps", amount(limits.collar_through_bps));
        self.key("collar_away_bps", amount(limits.collar_away_bps));
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn amount(number: impl Display) -> String {
    format!("\"{number}\"")
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.map(quoted).collect();
    format!("[{}]", texts.join(", "))
}

fn symbols(symbols: &[Symbol]) -> String {
    list(symbols.iter().map(Symbol::as_str))
}
