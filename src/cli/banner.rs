//! The few lines a run begins with. Pure: settings in, text out.
//!
//! Always holds: LIVE cannot be taken for anything else, and the invented market is called invented.

use std::fmt::Write;

use super::config::address::is_loopback;
use super::grace::{deadline_s, grace_period_s, may_own, may_own_explained};
use super::place::shown;
use crate::domain::ids::Symbol;
use crate::domain::settings::{
    Connection, Environment, Mode, OnExit, Settings, StrategyKind, VenueKind, VenueSettings,
};

const RED: &str = "\x1b[1;97;41m";
const PLAIN: &str = "\x1b[0m";

/// The banner, with a line end after each line.
pub fn banner(settings: &Settings, is_coloured: bool) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    };
    head(settings, is_coloured).into_iter().for_each(&mut line);
    for venue in &settings.venues {
        venue_lines(settings, venue).into_iter().for_each(&mut line);
    }
    for (number, strategy) in strategy_lines(settings).into_iter().enumerate() {
        line(format!("  {:<9} {strategy}", if number == 0 { "trades" } else { "" }));
    }
    if settings.mode == Mode::Live {
        limit_lines(settings).into_iter().for_each(&mut line);
    }
    line(format!("  state     {}", shown(&settings.state_dir)));
    let at_stop = match settings.shutdown.on_exit {
        _ if settings.mode == Mode::DryRun => "there is nothing to cancel",
        OnExit::Cancel => "cancels every order and shows that it is gone",
        OnExit::Keep => "KEEPS its orders at the venue (on_exit = \"keep\")",
    };
    line(format!("  stop      Ctrl-C, SIGTERM or lastorders stop: {at_stop}"));
    line(format!(
        "            takes up to {} s; a supervisor must grant {} s before it kills",
        deadline_s(&settings.shutdown),
        grace_period_s(&settings.shutdown)
    ));
    about_the_market(settings).into_iter().for_each(&mut line);
    text
}

/// A venue: what is traded where, and how much of it may rest.
fn venue_lines(settings: &Settings, venue: &VenueSettings) -> Vec<String> {
    let symbols: Vec<&str> = venue.symbols.iter().map(Symbol::as_str).collect();
    let kind = venue.kind.word();
    let named = if venue.name == kind { venue.name.clone() } else { format!("{} ({kind})", venue.name) };
    let mut lines = vec![format!("  venue     {named}: {}", symbols.join(", "))];
    if venue.kind != VenueKind::Sim {
        lines.push(format!("            {}", world(settings.mode, &venue.connection)));
        for (what, address) in addresses(&venue.connection) {
            let here = if is_loopback(address) { " (this machine)" } else { "" };
            lines.push(format!("            {what} at {address}{here}"));
        }
        if venue.exclusive_account {
            lines.push(
                "            exclusive account: ALL orders of the account may be cancelled, not only ours".to_owned(),
            );
        }
    }
    lines.push(format!("            may own up to {} open orders", may_own(settings, venue)));
    if settings.mode == Mode::Live {
        lines.push(format!("            {}", may_own_explained(settings, venue)));
    }
    lines
}

/// The venue's world in words.
pub fn world(mode: Mode, connection: &Connection) -> String {
    let word = connection.environment.word();
    // Requests that stay on this machine reach whatever listens here, and what that does nobody can tell from outside.
    let is_local = connection.rest_url.as_deref().is_some_and(is_loopback);
    match (mode, connection.environment) {
        (Mode::Paper | Mode::DryRun, _) => format!("{word}: public market data, no key, no order leaves"),
        (Mode::Live, _) if is_local => format!("{word}, BUT BY AN ADDRESS OF THIS MACHINE"),
        (Mode::Live, Environment::Mainnet) => format!("{word}: REAL MONEY"),
        (Mode::Live, Environment::Testnet | Environment::Demo) => {
            format!("{word}: real orders, the venue's play money")
        }
    }
}

/// Addresses that stand in for the venue's own.
pub fn addresses(connection: &Connection) -> Vec<(&'static str, &str)> {
    let all = [
        ("requests", &connection.rest_url),
        ("market data", &connection.ws_public_url),
        ("account stream", &connection.ws_private_url),
    ];
    all.into_iter().filter_map(|(what, address)| Some((what, address.as_deref()?))).collect()
}

fn limit_lines(settings: &Settings) -> Vec<String> {
    let risk = &settings.risk;
    let general = &risk.general;
    let mut lines = vec![
        format!(
            "  limits    one order {}, one position {}, a day's loss {} (in quote currency)",
            general.max_order_notional, general.max_position_notional, risk.max_daily_loss
        ),
        format!("            {} open orders, {} new ones a second", risk.max_open_orders, risk.max_orders_per_second),
        match risk.uncovered_max_notional {
            Some(most) => format!("            resting where no switch of the venue covers it: {most}"),
            None => "            resting where no switch of the venue covers it: NO LIMIT".to_owned(),
        },
    ];
    for (symbol, own) in &risk.symbols {
        let (order, position) = (own.max_order_notional, own.max_position_notional);
        lines.push(format!("            {symbol}: one order {order}, its position {position}"));
    }
    lines
}

/// What is real about the market, where not everything is.
fn about_the_market(settings: &Settings) -> Vec<String> {
    let has = |is_sim: bool| settings.venues.iter().any(|venue| (venue.kind == VenueKind::Sim) == is_sim);
    let mut lines = Vec::new();
    if has(true) {
        lines.extend([
            "",
            "  The market is INVENTED: prices and trades come from a random process, and say nothing about a real one.",
            "  For a real market: VENUE=bybit, or kind = \"bybit\" of a [[venue]] in lastorders.toml.",
        ]);
    }
    if has(false) {
        match settings.mode {
            Mode::Live => {}
            Mode::Paper => lines.extend([
                "",
                "  The market is REAL and the fills are INVENTED: orders are matched here, against the venue's prices.",
                "  Nobody else sees them, so nobody trades with them: real fills will be fewer and worse.",
            ]),
            Mode::DryRun => {
                lines.extend(["", "  The market is REAL; no order goes anywhere, not even to a paper account."])
            }
        }
    }
    lines.into_iter().map(str::to_owned).collect()
}

fn head(settings: &Settings, is_coloured: bool) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let instance = settings.instance.map_or_else(String::new, |instance| format!("   instance {instance}"));
    match settings.mode {
        Mode::DryRun => {
            vec![format!("lastorders {version}   DRY_RUN: strategies run, no order is sent or recorded{instance}")]
        }
        Mode::Paper => vec![format!("lastorders {version}   PAPER: a paper account, no real money{instance}")],
        Mode::Live => {
            const WIDTH: usize = 72;
            let is_play = settings.venues.iter().all(|venue| venue.connection.environment != Environment::Mainnet);
            let words = if is_play {
                "L I V E   -   R E A L   O R D E R S,   P L A Y   M O N E Y"
            } else {
                "L I V E   -   R E A L   M O N E Y,   R E A L   O R D E R S"
            };
            let rule = "!".repeat(WIDTH);
            let words = format!("{words:^WIDTH$}");
            let mut lines: Vec<String> = [rule.clone(), words, rule]
                .into_iter()
                .map(|line| if is_coloured { format!("{RED}{line}{PLAIN}") } else { line })
                .collect();
            lines.push(format!("lastorders {version}   LIVE{instance}"));
            lines
        }
    }
}

/// Each strategy in a few words.
pub fn strategy_lines(settings: &Settings) -> Vec<String> {
    if settings.strategies.is_empty() {
        return vec!["nothing: there is no [[strategy]]".to_owned()];
    }
    let told = settings.strategies.iter().map(|strategy| {
        let kind = match strategy.kind {
            StrategyKind::MarketMaker(_) => "market maker",
            StrategyKind::Ladder(_) => "ladder",
        };
        let symbols: Vec<&str> = strategy.symbols.iter().map(Symbol::as_str).collect();
        format!("{}: {kind} on {}", strategy.name, symbols.join(", "))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config;
    use crate::cli::environment::Env;
    use crate::cli::place::Place;

    fn settings() -> Settings {
        let env = Env::default();
        config::parse(None, &Place::of(None, None, &env), &env).unwrap().settings
    }

    #[test]
    fn the_built_in_market_is_called_invented() {
        let text = banner(&settings(), false);
        for part in ["PAPER", "INVENTED", "BTC-USDT", "var/paper", "may own up to 60", "40 s", "45 s", "Ctrl-C"] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn live_is_unmistakable() {
        let mut settings = settings();
        settings.mode = Mode::Live;
        settings.venues[0].kind = VenueKind::Bybit;
        let plain = banner(&settings, false);
        assert!(plain.contains("R E A L   M O N E Y") && !plain.contains("INVENTED") && !plain.contains('\x1b'));
        assert!(banner(&settings, true).contains(RED));
        for part in [
            "mainnet: REAL MONEY",
            "a day's loss 50",
            "60 open orders",
            "NO LIMIT",
            "may own up to",
            "cancels a second",
        ] {
            assert!(plain.contains(part), "{part} is missing in:\n{plain}");
        }
    }

    #[test]
    fn live_says_which_money_and_which_address() {
        let mut settings = settings();
        settings.mode = Mode::Live;
        let venue = &mut settings.venues[0];
        venue.kind = VenueKind::Bybit;
        venue.exclusive_account = true;
        venue.connection.environment = Environment::Demo;
        let text = banner(&settings, false);
        assert!(
            text.contains("P L A Y   M O N E Y") && text.contains("demo: real orders, the venue's play money"),
            "{text}"
        );
        assert!(text.contains("ALL orders of the account"), "{text}");
        let connection = &mut settings.venues[0].connection;
        connection.environment = Environment::Mainnet;
        connection.rest_url = Some("http://127.0.0.1:8301".to_owned());
        let text = banner(&settings, false);
        assert!(text.contains("R E A L   M O N E Y"), "what stands behind an address nobody knows: {text}");
        assert!(text.contains("AN ADDRESS OF THIS MACHINE"), "{text}");
        assert!(text.contains("requests at http://127.0.0.1:8301 (this machine)"), "{text}");
    }

    #[test]
    fn paper_on_live_data_says_what_is_real_and_what_is_not() {
        let mut settings = settings();
        settings.venues[0].kind = VenueKind::Bybit;
        let text = banner(&settings, false);
        assert!(text.contains("The market is REAL and the fills are INVENTED"), "{text}");
        assert!(!text.contains("random process") && text.contains("no order leaves"), "{text}");
    }

    #[test]
    fn kept_orders_are_announced() {
        let mut settings = settings();
        settings.shutdown.on_exit = OnExit::Keep;
        assert!(banner(&settings, false).contains("KEEPS"));
    }
}
