//! `[risk]`, `[shutdown]`, `[start]`, `[guardian]`, `[store]`.

use super::reader::{Amount, Section};
use super::{Extra, Names, defaults, symbol};
use crate::domain::ids::{Instance, Symbol};
use crate::domain::money::Decimal;
use crate::domain::settings::{
    Mode, OnExit, OnStart, RiskLimits, ShutdownSettings, StartSettings, StoreSettings, SymbolLimits, Sync,
};

/// What LIVE wants to read from the operator's own hand.
const NEEDED_LIVE: [&str; 5] =
    ["max_order_notional", "max_position_notional", "max_open_orders", "max_orders_per_second", "max_daily_loss"];

pub(super) fn risk(root: &Section<'_>, mode: Mode, venues: &Names, usual: RiskLimits) -> RiskLimits {
    let section = root.table("risk");
    let amount = |key, usual| section.amount(key, Amount::Positive).unwrap_or(usual);
    let general = of_symbol(&section, &usual.general);
    let limits = RiskLimits {
        given: section.is_there(),
        symbols: overrides(&section, &general, venues),
        general,
        max_open_orders: section.whole_u32("max_open_orders", (1, 1_000_000)).unwrap_or(usual.max_open_orders),
        max_orders_per_second: section
            .whole_u32("max_orders_per_second", (1, 1_000_000))
            .unwrap_or(usual.max_orders_per_second),
        max_daily_loss: amount("max_daily_loss", usual.max_daily_loss),
        uncovered_max_notional: section.amount("uncovered_max_notional", Amount::NotNegative),
    };
    section.finish();
    if mode == Mode::Live {
        for key in NEEDED_LIVE.iter().filter(|key| !section.has(key)) {
            section.refuse(key, None, "LIVE wants this limit from you.", "Set it under [risk], in quote currency.");
        }
    }
    limits
}

fn of_symbol(section: &Section<'_>, usual: &SymbolLimits) -> SymbolLimits {
    let amount = |key, limit, usual| section.amount(key, limit).unwrap_or(usual);
    let limits = SymbolLimits {
        max_order_notional: amount("max_order_notional", Amount::Positive, usual.max_order_notional),
        max_position_notional: amount("max_position_notional", Amount::Positive, usual.max_position_notional),
        collar_through_bps: amount("collar_through_bps", Amount::NotNegative, usual.collar_through_bps),
        collar_away_bps: amount("collar_away_bps", Amount::Positive, usual.collar_away_bps),
    };
    for (key, value) in [("collar_through_bps", limits.collar_through_bps), ("collar_away_bps", limits.collar_away_bps)]
    {
        if section.has(key) && value > Decimal::whole(10_000) {
            section.refuse(key, Some(&value.to_string()), "This is out of range.", "Allowed: up to 10000 (100 %).");
        }
    }
    limits
}

fn overrides(section: &Section<'_>, general: &SymbolLimits, venues: &Names) -> Vec<(Symbol, SymbolLimits)> {
    let traded = venues.all_symbols();
    let mut all = Vec::new();
    for (name, inner) in section.named_tables("symbol") {
        let limits = of_symbol(&inner, general);
        inner.finish();
        match symbol(&name) {
            Ok(symbol) if traded.contains(&symbol) || !venues.is_whole() => all.push((symbol, limits)),
            Ok(_) => {
                let listed: Vec<&str> = traded.iter().map(Symbol::as_str).collect();
                let allowed = format!("Listed: {}.", listed.join(", "));
                inner.refuse("", None, "No venue lists this symbol.", &allowed);
            }
            Err(allowed) => inner.refuse("", None, "This is not a symbol in our form.", &allowed),
        }
    }
    all
}

pub(super) fn shutdown(root: &Section<'_>) -> ShutdownSettings {
    let section = root.table("shutdown");
    let usual = defaults::shutdown();
    let settings = ShutdownSettings {
        cancel_timeout_s: section.whole_u32("cancel_timeout_s", (5, 600)).unwrap_or(usual.cancel_timeout_s),
        recorder_timeout_s: section.whole_u32("recorder_timeout_s", (1, 120)).unwrap_or(usual.recorder_timeout_s),
        on_exit: section
            .choice("on_exit", &[("cancel", OnExit::Cancel), ("keep", OnExit::Keep)])
            .unwrap_or(usual.on_exit),
    };
    section.finish();
    settings
}

pub(super) fn start(root: &Section<'_>) -> StartSettings {
    let section = root.table("start");
    let usual = defaults::start();
    let mut other_instances: Vec<Instance> = Vec::new();
    for (text, _) in section.texts("other_instances", "a list of instances such as [\"a1b2\"]").unwrap_or_default() {
        match text.parse::<Instance>() {
            Ok(instance) if other_instances.contains(&instance) => {
                let shown = format!("\"{text}\"");
                section.refuse("other_instances", Some(&shown), "It is listed twice.", "Name each instance once.");
            }
            Ok(instance) => other_instances.push(instance),
            Err(why) => section.refuse(
                "other_instances",
                Some(&format!("\"{text}\"")),
                "This is not an instance.",
                &format!("Allowed: {why}."),
            ),
        }
    }
    let settings = StartSettings {
        on_start: section
            .choice("on_start", &[("cancel", OnStart::Cancel), ("adopt", OnStart::Adopt)])
            .unwrap_or(usual.on_start),
        other_instances,
    };
    section.finish();
    settings
}

/// `on_exit = "keep"` leaves orders alone with the market: somebody must be there to take them back, and their worth
/// must be limited.
pub(super) fn check_keep(
    root: &Section<'_>,
    mode: Mode,
    shutdown: &ShutdownSettings,
    start: &StartSettings,
    risk: &RiskLimits,
) {
    if shutdown.on_exit != OnExit::Keep {
        return;
    }
    let section = root.table("shutdown");
    if start.on_start != OnStart::Adopt {
        section.refuse(
            "on_exit",
            Some("\"keep\""),
            "Orders that are kept must be adopted by the next start.",
            "Set on_start = \"adopt\" under [start], or on_exit = \"cancel\".",
        );
    }
    // Real money that rests with nobody watching wants its limit from the operator's own hand.
    if !risk.uncovered_max_notional.map_or(mode != Mode::Live, |most| most.is_positive()) {
        section.refuse(
            "on_exit",
            Some("\"keep\""),
            "No venue switch covers kept orders, and risk.uncovered_max_notional allows none.",
            "Set uncovered_max_notional above zero under [risk], or on_exit = \"cancel\".",
        );
    }
}

pub(super) fn guardian(root: &Section<'_>, extra: &mut Extra) -> bool {
    let section = root.table("guardian");
    let guardian = &mut extra.guardian;
    let restarts = ["never", "on-failure", "always"].map(|word| (word, word));
    guardian.restart = section.choice("restart", &restarts).unwrap_or(guardian.restart);
    let after = ["pause", "trade"].map(|word| (word, word));
    guardian.after_crash = section.choice("after_crash", &after).unwrap_or(guardian.after_crash);
    guardian.hang_timeout_s = section.whole_u32("hang_timeout_s", (1, 60)).unwrap_or(guardian.hang_timeout_s);
    guardian.residue_timeout_s =
        section.whole_u32("residue_timeout_s", (0, 86_400)).unwrap_or(guardian.residue_timeout_s);
    section.finish();
    section.is_there()
}

pub(super) fn store(root: &Section<'_>) -> StoreSettings {
    let section = root.table("store");
    let sync = section.choice("sync", &[("cycle", Sync::Cycle), ("os", Sync::Os)]);
    section.finish();
    sync.map_or_else(defaults::store, |sync| StoreSettings { sync })
}
