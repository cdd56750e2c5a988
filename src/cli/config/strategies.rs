//! `[[strategy]]`.

use super::Names;
use super::nearest::{did_you_mean, nearest};
use super::reader::{Amount, Section};
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::order::Side;
use crate::domain::settings::{
    LadderSettings, LadderSides, LadderStart, MarketMakerSettings, StrategyKind, StrategySettings,
};

/// As many as there are letters in client ids.
const STRATEGIES_MAX: usize = 36;
const LEVELS_MAX: u32 = 50;
const RUNGS_MAX: u32 = 10_000;
const ABOVE_ZERO: &str = "Allowed: a number above zero, as a text such as \"0.25\".";

#[derive(Clone, Copy)]
enum Kind {
    MarketMaker,
    Ladder,
}

/// The strategies of a file. One that is not sound is left out after its refusal.
pub(super) fn of_file(root: &Section<'_>, venues: &Names) -> Vec<StrategySettings> {
    let sections = root.tables("strategy");
    if sections.len() > STRATEGIES_MAX {
        let allowed = format!("Allowed: up to {STRATEGIES_MAX}, one for each letter in client ids.");
        root.refuse("strategy", Some(&sections.len().to_string()), "These are too many strategies.", &allowed);
    }
    let mut names = Names::default();
    let mut strategies = Vec::new();
    for section in &sections {
        strategies.extend(of_section(section, venues, &mut names));
    }
    strategies
}

fn of_section(section: &Section<'_>, venues: &Names, names: &mut Names) -> Option<StrategySettings> {
    let name = section.text("name");
    let name = section.require("name", name, "Give it a name of your own; its orders are found again by it.");
    let name = name.filter(|name| names.take(section, name));
    let venue = venue(section, venues);
    let symbols = section.symbols("symbols");
    let symbols = section.require("symbols", symbols, "List what it trades, such as symbols = [\"BTC-USDT\"].");
    if let (Some(venue), Some(symbols)) = (&venue, &symbols) {
        check_symbols(section, venues, venue, symbols);
    }
    let kind = section.choice("kind", &[("market_maker", Kind::MarketMaker), ("ladder", Kind::Ladder)]);
    let kind = section.require("kind", kind, "Allowed: market_maker, ladder.");
    let settings = match kind {
        Some(Kind::MarketMaker) => market_maker(section).map(StrategyKind::MarketMaker),
        Some(Kind::Ladder) => ladder(section).map(StrategyKind::Ladder),
        None => None,
    };
    if kind.is_some() {
        // Without a kind nobody knows which keys belong here.
        section.finish();
    }
    Some(StrategySettings { name: name?, venue: venue?, symbols: symbols?, kind: settings? })
}

fn venue(section: &Section<'_>, venues: &Names) -> Option<String> {
    let known = venues.listed();
    match section.text("venue") {
        Some(name) if venues.has(&name) => Some(name),
        // A venue whose own name was refused may be the one that is meant, unless another name is near.
        Some(name) if !venues.is_whole() && nearest(&name, &known).is_none() => Some(name),
        Some(name) => {
            let meant = did_you_mean(&name, &known);
            let problem = format!("There is no venue of this name.{meant}");
            section.refuse("venue", Some(&format!("\"{name}\"")), &problem, &format!("Known: {}.", known.join(", ")));
            None
        }
        None if section.has("venue") => None,
        None => match known.as_slice() {
            [only] => Some((*only).to_owned()),
            [] => None,
            _ => {
                let allowed = format!("There are several venues, so name one: {}.", known.join(", "));
                section.refuse("venue", None, "This key is missing.", &allowed);
                None
            }
        },
    }
}

fn check_symbols(section: &Section<'_>, venues: &Names, venue: &str, symbols: &[Symbol]) {
    let Some(traded) = venues.symbols(venue) else {
        return;
    };
    let listed: Vec<&str> = traded.iter().map(Symbol::as_str).collect();
    for symbol in symbols.iter().filter(|symbol| !traded.contains(symbol)) {
        let problem = format!("Venue `{venue}` does not list this symbol.");
        let allowed = format!("It lists: {}. Add it there, or take it out here.", listed.join(", "));
        section.refuse("symbols", Some(&format!("\"{symbol}\"")), &problem, &allowed);
    }
    if symbols.is_empty() && section.texts("symbols", "").is_some_and(|texts| texts.is_empty()) {
        section.refuse("symbols", Some("[]"), "It would trade nothing.", "List at least one symbol.");
    }
}

fn market_maker(section: &Section<'_>) -> Option<MarketMakerSettings> {
    let levels_given = section.whole_u32("levels", (1, LEVELS_MAX));
    let levels = levels_given.unwrap_or(1);
    let spread_bps = bps(section, "spread_bps", Amount::Positive);
    let spread_bps = section.require("spread_bps", spread_bps, ABOVE_ZERO);
    let level_step_bps = bps(section, "level_step_bps", Amount::Positive);
    let level_step_bps = if levels > 1 {
        section.require(
            "level_step_bps",
            level_step_bps,
            "With more than one level their distance is needed, above zero.",
        )
    } else {
        Some(level_step_bps.unwrap_or(Decimal::ZERO))
    };
    let order_qty = section.amount("order_qty", Amount::Positive);
    let order_qty = section.require("order_qty", order_qty, ABOVE_ZERO);
    let max_position_qty = section.amount("max_position_qty", Amount::Positive);
    let max_position_qty = section.require("max_position_qty", max_position_qty, ABOVE_ZERO);
    if let (Some(order), Some(position)) = (order_qty, max_position_qty)
        && order > position
    {
        let problem = format!("One order of {order} would already exceed this.");
        section.refuse("max_position_qty", Some(&position.to_string()), &problem, "Allowed: order_qty or more.");
    }
    let skew_bps = bps(section, "skew_bps", Amount::NotNegative).unwrap_or(Decimal::ZERO);
    let requote_bps = bps(section, "requote_bps", Amount::NotNegative).unwrap_or(Decimal::whole(2));
    let post_only = section.flag("post_only").unwrap_or(true);
    Some(MarketMakerSettings {
        levels,
        spread_bps: spread_bps?,
        level_step_bps: level_step_bps?,
        order_qty: order_qty?,
        max_position_qty: max_position_qty?,
        skew_bps,
        requote_bps,
        post_only,
    })
}

fn ladder(section: &Section<'_>) -> Option<LadderSettings> {
    let words =
        [("buy", LadderSides::One(Side::Buy)), ("sell", LadderSides::One(Side::Sell)), ("both", LadderSides::Both)];
    let sides = section.choice("side", &words);
    let sides = section.require("side", sides, "Allowed: buy, sell, both.");
    let start = ladder_start(section, sides);
    let step = section.amount("step", Amount::Positive);
    let step = section.require("step", step, ABOVE_ZERO);
    let rungs = section.whole_u32("rungs", (1, RUNGS_MAX));
    let rungs = section.require("rungs", rungs, &format!("Allowed: a whole number from 1 to {RUNGS_MAX}."));
    let order_qty = section.amount("order_qty", Amount::Positive);
    let order_qty = section.require("order_qty", order_qty, ABOVE_ZERO);
    let post_only = section.flag("post_only").unwrap_or(true);
    let settings =
        LadderSettings { sides: sides?, start: start?, step: step?, rungs: rungs?, order_qty: order_qty?, post_only };
    check_lowest_rung(section, &settings);
    Some(settings)
}

fn ladder_start(section: &Section<'_>, sides: Option<LadderSides>) -> Option<LadderStart> {
    let price = section.amount("start_price", Amount::Positive);
    let offset = bps(section, "start_offset_bps", Amount::NotNegative);
    match (section.has("start_price"), section.has("start_offset_bps")) {
        (true, true) => {
            let mend = "Keep one of start_price and start_offset_bps.";
            section.refuse("start_offset_bps", None, "start_price says already where it begins.", mend);
            None
        }
        (false, false) => {
            let mend = "Give start_price, or start_offset_bps from the middle.";
            section.refuse("start_price", None, "Nothing says where it begins.", mend);
            None
        }
        (true, false) if sides == Some(LadderSides::Both) => {
            let mend = "Use start_offset_bps, so that each side begins away from the middle.";
            section.refuse("start_price", None, "A ladder on both sides would cross itself at one price.", mend);
            None
        }
        (true, false) => price.map(LadderStart::Price),
        (false, true) => offset.map(LadderStart::OffsetBps),
    }
}

fn check_lowest_rung(section: &Section<'_>, settings: &LadderSettings) {
    let LadderStart::Price(start) = settings.start else {
        return;
    };
    let depth = settings.step.checked_mul_int(i64::from(settings.rungs) - 1);
    let last = match settings.sides {
        LadderSides::One(Side::Sell) => depth.and_then(|depth| start.checked_add(depth)),
        LadderSides::One(Side::Buy) | LadderSides::Both => depth.and_then(|depth| start.checked_sub(depth)),
    };
    if !last.is_some_and(Decimal::is_positive) {
        let rungs = settings.rungs.to_string();
        let problem = "The last rung would lie at a price that does not exist.";
        section.refuse("rungs", Some(&rungs), problem, "Use fewer rungs or a smaller step.");
    }
}

/// A distance in hundredths of a percent, below the whole price.
fn bps(section: &Section<'_>, key: &'static str, limit: Amount) -> Option<Decimal> {
    let amount = section.amount(key, limit)?;
    if amount >= Decimal::whole(10_000) {
        section.refuse(
            key,
            Some(&amount.to_string()),
            "This is the whole price or more.",
            "Allowed: below 10000 (100 %).",
        );
        return None;
    }
    Some(amount)
}
