//! What is allowed but may surprise: told at the start, by `config` and by `doctor`.

use super::Extra;
use crate::cli::environment::Env;
use crate::cli::grace;
use crate::domain::ids::Symbol;
use crate::domain::settings::{
    LadderSides, LadderStart, Mode, OnExit, Settings, StrategyKind, VenueKind, VenueSettings,
};

pub(super) fn notes(
    settings: &Settings,
    extra: &Extra,
    env: &Env,
    (guardian_given, is_demonstration): (bool, bool),
) -> Vec<String> {
    let mut notes = Vec::new();
    let kinds: Vec<VenueKind> = settings.venues.iter().map(|venue| venue.kind).collect();
    for (name, meant) in env.misspelt(&kinds) {
        notes.push(format!("{name} is not a variable we read. Did you mean {meant}?"));
    }
    if extra.web != "off" {
        notes.push(format!("LASTORDERS_WEB = {}: the page is not built yet, nothing listens there.", extra.web));
    }
    if guardian_given {
        notes.push("[guardian]: the guardian is not built yet, so this is checked but not in effect.".to_owned());
    }
    if settings.strategies.is_empty() {
        notes.push("There is no [[strategy]]: nothing will be traded.".to_owned());
    }
    notes.extend(unused_addresses(env, &kinds));
    if is_demonstration {
        notes.extend(settings.venues.iter().filter_map(small_sizes));
    }
    if settings.mode == Mode::Live && settings.risk.uncovered_max_notional.is_none() {
        notes.push(
            "risk.uncovered_max_notional is not set: what rests where no switch of the venue covers it has no limit of \
             its own."
                .to_owned(),
        );
    }
    let keeps = settings.shutdown.on_exit == OnExit::Keep;
    for venue in settings.venues.iter().filter(|venue| keeps && venue.exclusive_account) {
        notes.push(format!(
            "on_exit = \"keep\" and exclusive_account at venue `{}`: where its dead man's switch is armed, the venue \
             cancels the kept orders once the trader has gone.",
            venue.name
        ));
    }
    for venue in &settings.venues {
        let wanted = orders_wanted(settings, venue);
        let may_own = grace::may_own(settings, venue);
        if wanted > u64::from(may_own) {
            notes.push(format!(
                "The strategies of venue `{}` want up to {wanted} open orders and may own {may_own}: the rest is refused \
                 by the risk gate. What they may own is the smallest of risk.max_open_orders, what could be cancelled \
                 within shutdown.cancel_timeout_s, and the venue's own limit.",
                venue.name
            ));
        }
    }
    notes.extend(oversized_rungs(settings));
    notes
}

/// Addresses that nobody uses: a venue of that kind may have been meant.
fn unused_addresses(env: &Env, kinds: &[VenueKind]) -> Vec<String> {
    let mut notes = Vec::new();
    for kind in VenueKind::ALL.into_iter().filter(|kind| !kinds.contains(kind)) {
        for rest in ["REST_URL", "WS_PUBLIC_URL", "WS_PRIVATE_URL"] {
            if let Some((name, _)) = env.address(kind, rest) {
                notes.push(format!("{name} is set, but there is no venue of kind {}.", kind.word()));
            }
        }
    }
    notes
}

/// The market maker of a run without a file is sized for bitcoin.
fn small_sizes(venue: &VenueSettings) -> Option<String> {
    let others: Vec<&str> =
        venue.symbols.iter().map(Symbol::as_str).filter(|symbol| !symbol.starts_with("BTC-")).collect();
    (venue.kind != VenueKind::Sim && !others.is_empty()).then(|| {
        format!(
            "The market maker used without a [[strategy]] quotes 0.001 of everything, which {} may refuse as too small \
             for {}. Write a [[strategy]] with sizes of your own: lastorders init.",
            venue.name,
            others.join(", ")
        )
    })
}

/// Open orders the strategies of a venue would like to have.
fn orders_wanted(settings: &Settings, venue: &VenueSettings) -> u64 {
    let of_strategy = |kind: &StrategyKind| match kind {
        StrategyKind::MarketMaker(maker) => u64::from(maker.levels) * 2,
        StrategyKind::Ladder(ladder) => match ladder.sides {
            LadderSides::One(_) => u64::from(ladder.rungs),
            LadderSides::Both => u64::from(ladder.rungs) * 2,
        },
    };
    settings
        .strategies
        .iter()
        .filter(|strategy| strategy.venue == venue.name)
        .map(|strategy| of_strategy(&strategy.kind) * strategy.symbols.len() as u64)
        .sum()
}

fn oversized_rungs(settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    for strategy in &settings.strategies {
        let StrategyKind::Ladder(ladder) = &strategy.kind else {
            continue;
        };
        let LadderStart::Price(price) = ladder.start else {
            continue;
        };
        for symbol in &strategy.symbols {
            let limit = settings.risk.of(symbol).max_order_notional;
            if price.checked_mul(ladder.order_qty).is_none_or(|worth| worth > limit) {
                notes.push(format!(
                    "Strategy `{}`: {} {symbol} at {price} is worth more than max_order_notional = {limit}, so the risk \
                     gate refuses it.",
                    strategy.name, ladder.order_qty
                ));
            }
        }
    }
    notes
}
