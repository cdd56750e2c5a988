//! `[[venue]]`, and the one-venue configuration of `VENUE` and `SYMBOLS`.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{Purpose, checked};
use super::nearest::did_you_mean;
use super::reader::Section;
use super::refusal::Refusal;
use super::{Names, defaults, symbol};
use crate::cli::environment::Env;
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::secret::{ApiKey, Secret};
use crate::domain::settings::{Connection, Environment, Mode, SimFaults, SimSettings, VenueKind, VenueSettings};
use crate::venues::{self, Opening};

const VENUES_MAX: usize = 32;
const SYMBOLS_MAX: usize = 200;
/// The kinds of venue this version can trade on.
const BUILT: [VenueKind; 2] = [VenueKind::Sim, VenueKind::Bybit];
const NOT_BUILT: &str = "This exchange is not built yet.";
const KINDS_NOW: &str = "This version trades on `bybit`, and on `sim`, the built-in market.";
/// What the built-in market has no use for.
const REAL_ONLY: [&str; 5] = ["environment", "rate_multiple", "rest_url", "ws_public_url", "ws_private_url"];

/// Whether this version can trade there.
pub(crate) fn is_built(kind: VenueKind) -> bool {
    BUILT.contains(&kind)
}

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
    let connection = connection(section, names, name.as_deref());
    let sim_section = section.table("sim");
    let sim = sim(&sim_section);
    if let (Some(name), Some(symbols)) = (&name, &symbols) {
        names.symbols_of(name, symbols);
    }
    let (name, kind, symbols) = (name?, kind?, symbols?);
    if kind == VenueKind::Sim {
        for key in REAL_ONLY.into_iter().filter(|key| section.has(key)) {
            section.refuse(key, None, "The built-in market has no such thing.", "Take this key out.");
        }
        if let Some(refusal) = refuse_invented(mode) {
            section.refuse("kind", Some("\"sim\""), refusal.0, refusal.1);
        }
    } else {
        if !is_built(kind) {
            section.refuse("kind", Some(&format!("\"{}\"", kind.word())), NOT_BUILT, KINDS_NOW);
        }
        if sim_section.is_there() {
            section.refuse("sim", None, "Only `sim` has these settings.", "Take this table out.");
        }
    }
    Some(VenueSettings { name, kind, symbols, exclusive_account, connection, sim })
}

/// Where the file says the venue is reached.
fn connection(section: &Section<'_>, names: &mut Names, name: Option<&str>) -> Connection {
    let words = [Environment::Mainnet, Environment::Testnet, Environment::Demo].map(|world| (world.word(), world));
    let environment = section.choice("environment", &words).unwrap_or_default();
    let mut address = |key, purpose| {
        let text = section.text(key)?;
        match checked(&text, purpose) {
            Ok(address) => Some(address),
            Err(bad) => {
                let shown = format!("\"{text}\"");
                section.refuse(key, Some(shown.as_str()).filter(|_| !bad.is_private), bad.problem, bad.allowed);
                names.spoilt.extend(name.map(str::to_owned));
                None
            }
        }
    };
    Connection {
        environment,
        rest_url: address("rest_url", Purpose::Rest),
        ws_public_url: address("ws_public_url", Purpose::Stream),
        ws_private_url: address("ws_private_url", Purpose::Stream),
        rate_multiple: section.whole_u32("rate_multiple", (1, 1_000)).unwrap_or(1),
    }
}

/// Addresses of the environment go before those of the file.
pub(super) fn take_addresses(
    venues: &mut [VenueSettings],
    env: &Env,
    (refusals, spoilt): (&mut Vec<Refusal>, &mut BTreeSet<String>),
    origins: &mut BTreeMap<String, String>,
) {
    let mut bad_names = Vec::new();
    for venue in venues.iter_mut().filter(|venue| venue.kind != VenueKind::Sim) {
        for (rest, key, purpose) in [
            ("REST_URL", "rest_url", Purpose::Rest),
            ("WS_PUBLIC_URL", "ws_public_url", Purpose::Stream),
            ("WS_PRIVATE_URL", "ws_private_url", Purpose::Stream),
        ] {
            let Some((name, text)) = env.address(venue.kind, rest) else {
                continue;
            };
            match checked(text, purpose) {
                Ok(address) => {
                    let connection = &mut venue.connection;
                    let place = match key {
                        "rest_url" => &mut connection.rest_url,
                        "ws_public_url" => &mut connection.ws_public_url,
                        _ => &mut connection.ws_private_url,
                    };
                    *place = Some(address);
                    origins.insert(format!("venue[{}].{key}", venue.name), name);
                }
                Err(bad) => {
                    spoilt.insert(venue.name.clone());
                    // One variable speaks for every venue of its kind, and is refused once.
                    if bad_names.contains(&name) {
                        continue;
                    }
                    let mut refusal = Refusal::of_variable(&name, text, bad.problem, bad.allowed);
                    refusal.value = refusal.value.filter(|_| !bad.is_private);
                    refusals.push(refusal);
                    bad_names.push(name);
                }
            }
        }
    }
}

/// What the venue itself says of its settings: symbols it cannot have, addresses that do not fit each other. `source` is
/// where the settings come from. Venues in `spoilt` had an address refused already.
pub(super) fn not_openable(
    venues: &[VenueSettings],
    mode: Mode,
    source: &str,
    spoilt: &BTreeSet<String>,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for venue in
        venues.iter().filter(|venue| venue.kind != VenueKind::Sim && is_built(venue.kind) && !venue.symbols.is_empty())
    {
        // With a key the account's stream counts too. Which key it is does not matter here.
        let nobody = || Secret::new("none".to_owned());
        let key = (mode == Mode::Live).then(|| ApiKey { key: nobody(), secret: nobody() });
        let opened = venues::open(&Opening { venue: VenueId(0), settings: venue, key, also: &[] });
        for why in opened.err().unwrap_or_default() {
            let why = why.strip_prefix(&format!("venue `{}`: ", venue.name)).unwrap_or(&why);
            if spoilt.contains(&venue.name) && why.contains("_url") {
                continue;
            }
            refusals.push(Refusal {
                source: source.to_owned(),
                line: 0,
                key: format!("venue[{}]", venue.name),
                value: None,
                problem: format!("{}.", why.trim_end_matches('.')),
                allowed: String::new(),
            });
        }
    }
    refusals
}

fn refuse_invented(mode: Mode) -> Option<(&'static str, &'static str)> {
    (mode == Mode::Live)
        .then_some(("LIVE needs a real exchange, and this market is invented.", "Use `bybit`, or MODE=PAPER."))
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
            Some(kind) => {
                if !is_built(*kind) {
                    refusals.push(Refusal::of_variable("VENUE", word, NOT_BUILT, KINDS_NOW));
                }
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
