//! `[[venue]]`, and the one-venue configuration of `VENUE` and `SYMBOLS`.

use super::nearest::did_you_mean;
use super::reader::Section;
use super::refusal::Refusal;
use super::{Names, defaults, symbol};
use crate::cli::environment::Env;
use crate::domain::ids::Symbol;
use crate::domain::settings::{Connection, Mode, SimFaults, SimSettings, VenueKind, VenueSettings};

const VENUES_MAX: usize = 32;
const SYMBOLS_MAX: usize = 200;
const KINDS_NOW: &str = "This version trades on `sim`, the built-in market, only; real exchanges are not built yet.";

/// The venues of a file. A venue that is not sound is left out after its refusal; its name stays known.
pub(super) fn of_file(root: &Section<'_>, mode: Mode, names: &mut Names) -> Vec<VenueSettings> {
    let sections = root.tables("venue");
    if sections.len() > VENUES_MAX {
        root.refuse("venue", Some(&sections.len().to_string()), "These are too many venues.", "Allowed: up to 32.");
    }
    let mut venues = Vec::new();
    for section in &sections {
        let venue = of_section(section, mode, names);
        section.finish();
        if venue.is_none() {
            names.is_incomplete();
        }
        venues.extend(venue);
    }
    venues
}

fn of_section(section: &Section<'_>, mode: Mode, names: &mut Names) -> Option<VenueSettings> {
    let name = section.text("name");
    let name = section.require("name", name, "Give the account a name of your own, such as \"main\".");
    let name = name.filter(|name| names.take(section, name));
    let words = VenueKind::ALL.map(|kind| (kind.word(), kind));
    let kind = section.choice("kind", &words);
    let kind = section.require("kind", kind, &format!("Allowed: {}.", VenueKind::ALL.map(VenueKind::word).join(", ")));
    let symbols = section.symbols("symbols");
    let symbols = section.require("symbols", symbols, "List what to trade, such as symbols = [\"BTC-USDT\"].");
    match symbols.as_ref().map(Vec::len) {
        // An unsound entry has been refused already; a list that was empty from the start has not.
        Some(0) if section.texts("symbols", "").is_some_and(|texts| texts.is_empty()) => {
            section.refuse("symbols", Some("[]"), "Nothing would be traded here.", "List at least one symbol.");
        }
        Some(count) if count > SYMBOLS_MAX => {
            let allowed = format!("Allowed: up to {SYMBOLS_MAX}.");
            section.refuse("symbols", Some(&format!("{count} symbols")), "These are too many.", &allowed);
        }
        _ => {}
    }
    let exclusive_account = section.flag("exclusive_account").unwrap_or(false);
    let environment = section.choice("environment", &[("mainnet", ()), ("testnet", ()), ("demo", ())]);
    let sim_section = section.table("sim");
    let sim = sim(&sim_section);
    if let (Some(name), Some(symbols)) = (&name, &symbols) {
        names.symbols_of(name, symbols);
    }
    let (name, kind, symbols) = (name?, kind?, symbols?);
    if kind == VenueKind::Sim {
        if environment.is_some() {
            section.refuse("environment", None, "The built-in market has no such thing.", "Take this key out.");
        }
        if let Some(refusal) = refuse_invented(mode) {
            section.refuse("kind", Some("\"sim\""), refusal.0, refusal.1);
        }
    } else {
        section.refuse("kind", Some(&format!("\"{}\"", kind.word())), "This exchange is not built yet.", KINDS_NOW);
        if sim_section.is_there() {
            section.refuse("sim", None, "Only `sim` has these settings.", "Take this table out.");
        }
    }
    Some(VenueSettings { name, kind, symbols, exclusive_account, connection: Connection::default(), sim })
}

fn refuse_invented(mode: Mode) -> Option<(&'static str, &'static str)> {
    (mode == Mode::Live).then_some((
        "LIVE needs a real exchange, and this market is invented.",
        "Real exchanges are not built yet; use MODE=PAPER.",
    ))
}

fn sim(section: &Section<'_>) -> SimSettings {
    let usual = SimSettings::default();
    let settings = SimSettings {
        // TOML's whole numbers end here.
        seed: section.whole("seed", (0, i64::MAX as u64)).unwrap_or(usual.seed),
        latency_ms: section.whole_u32("latency_ms", (0, 60_000)).unwrap_or(usual.latency_ms),
        latency_jitter_ms: section.whole_u32("latency_jitter_ms", (0, 60_000)).unwrap_or(usual.latency_jitter_ms),
        activity: section.whole_u32("activity", (0, 100_000)).unwrap_or(usual.activity),
        synchronous_cancel: section.flag("synchronous_cancel").unwrap_or(usual.synchronous_cancel),
        batch_cancel_max: section.whole_u32("batch_cancel_max", (0, 1_000)).unwrap_or(usual.batch_cancel_max),
        cancels_per_second: section.whole_u32("cancels_per_second", (0, 1_000_000)).unwrap_or(usual.cancels_per_second),
        open_orders_max: section.whole_u32("open_orders_max", (1, 1_000_000)).unwrap_or(usual.open_orders_max),
        faults: faults(&section.table("faults")),
    };
    section.finish();
    settings
}

fn faults(section: &Section<'_>) -> SimFaults {
    let per_thousand = |key| section.whole_u32(key, (0, 1_000)).unwrap_or(0);
    let faults = SimFaults {
        answer_lost: per_thousand("answer_lost"),
        server_error: per_thousand("server_error"),
        late_execution: per_thousand("late_execution"),
        partial_batch: per_thousand("partial_batch"),
        shuffled_batch: per_thousand("shuffled_batch"),
        not_found: per_thousand("not_found"),
        stale_listing: per_thousand("stale_listing"),
        broken_listing: per_thousand("broken_listing"),
        slow_cancel: per_thousand("slow_cancel"),
        rate_limited: per_thousand("rate_limited"),
        duplicate_push: per_thousand("duplicate_push"),
        lost_push: per_thousand("lost_push"),
    };
    section.finish();
    faults
}

/// The one venue of the environment, or the default one. `None` after a refusal.
pub(super) fn of_environment(env: &Env, mode: Mode, refusals: &mut Vec<Refusal>) -> Option<VenueSettings> {
    let before = refusals.len();
    let words = VenueKind::ALL.map(VenueKind::word);
    let allowed = format!("Allowed: {}.", words.join(", "));
    let kind = match env.get("VENUE") {
        None => VenueKind::Sim,
        Some(word) => match VenueKind::ALL.iter().find(|kind| kind.word() == word) {
            Some(VenueKind::Sim) => VenueKind::Sim,
            Some(kind) => {
                refusals.push(Refusal::of_variable("VENUE", word, "This exchange is not built yet.", KINDS_NOW));
                *kind
            }
            None => {
                let problem = format!("This is no kind of venue.{}", did_you_mean(word, &words));
                refusals.push(Refusal::of_variable("VENUE", word, &problem, &allowed));
                VenueKind::Sim
            }
        },
    };
    if let (VenueKind::Sim, Some((problem, mend))) = (kind, refuse_invented(mode)) {
        let shown = env.get("VENUE").unwrap_or("sim (the default)");
        refusals.push(Refusal::of_variable("VENUE", shown, problem, mend));
    }
    let listed = env.get("SYMBOLS").unwrap_or(defaults::SYMBOL);
    let mut symbols: Vec<Symbol> = Vec::new();
    for text in listed.split(',').map(str::trim) {
        match symbol(text) {
            Ok(symbol) if symbols.contains(&symbol) => {
                let mend = "Name each symbol once.";
                refusals.push(Refusal::of_variable("SYMBOLS", listed, &format!("`{text}` is listed twice."), mend));
            }
            Ok(symbol) => symbols.push(symbol),
            Err(allowed) => {
                let problem = format!("`{text}` is not a symbol in our form.");
                let allowed = format!("{allowed} Several are separated by commas.");
                refusals.push(Refusal::of_variable("SYMBOLS", listed, &problem, &allowed));
            }
        }
    }
    (refusals.len() == before).then(|| defaults::venue(kind, symbols))
}
